/* An actor that answers each task with how many it has done. */
#include <ringkernel/actor.h>

RK_MESSAGE(task, 1, rk_u32 number;)
RK_MESSAGE(receipt, 2, rk_u32 number; rk_u32 done;)

RK_STATE(clerk, rk_u32 done;)

RK_ON(clerk, task) {
    rk_state.done += 1u;
    RK_OUT(receipt).number = rk_msg.number;
    RK_OUT(receipt).done = rk_state.done;
    rk_reply(receipt);
}

RK_ACTOR(clerk, RK_HANDLES(clerk, task))
