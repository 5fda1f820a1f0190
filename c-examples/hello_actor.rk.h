/* A counter: the smallest actor with a state. */
#include <ringkernel/actor.h>

RK_MESSAGE(add, 1, rk_u64 value;)
RK_SIGNAL(ask, 2)
RK_MESSAGE(total, 3, rk_u64 sum; rk_u64 additions;)

RK_STATE(counter, rk_u64 sum; rk_u64 additions;)

RK_ON(counter, add) {
    rk_state.sum += rk_msg.value;
    rk_state.additions += rk_u64(1);
}

RK_ON(counter, ask) {
    RK_OUT(total).sum = rk_state.sum;
    RK_OUT(total).additions = rk_state.additions;
    rk_reply(total);
}

RK_ACTOR(counter, RK_HANDLES(counter, add) RK_HANDLES(counter, ask))
