/* A memory cell, with one handler for each thing that ringkernel.hpp treats differently. */
#include <ringkernel/actor.h>

RK_MESSAGE(store, 1, rk_u64 value;)
RK_MESSAGE(stored, 2, rk_u64 before; rk_u64 now;)
RK_SIGNAL(load, 3)
RK_SIGNAL(chime, 4)
RK_SIGNAL(halt, 5)
RK_MESSAGE(wide, 6, rk_u64 words[32];)

RK_STATE(cell, rk_u64 value;)

RK_ON(cell, store) {
    RK_OUT(stored).before = rk_state.value;
    RK_OUT(stored).now = rk_msg.value;
    rk_state.value = rk_msg.value;
    rk_reply(stored);
}

/* Replies with another type than store does. */
RK_ON(cell, load) {
    RK_OUT(store).value = rk_state.value;
    rk_reply(store);
}

/* Replies without a payload. */
RK_ON(cell, chime) {
    rk_reply(chime);
}

RK_ON(cell, halt) {
    rk_stop();
}

/* Never replies. */
RK_ON(cell, wide) {
    rk_state.value += rk_msg.words[31];
}

RK_ACTOR(cell,
         RK_HANDLES(cell, store)
         RK_HANDLES(cell, load)
         RK_HANDLES(cell, chime)
         RK_HANDLES(cell, halt)
         RK_HANDLES(cell, wide))
