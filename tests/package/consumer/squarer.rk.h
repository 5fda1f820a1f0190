#include <ringkernel/actor.h>
#include "bonus.h" /* from INCLUDE_DIRECTORIES; a change there has to reach the module */

RK_MESSAGE(square, 1, rk_u64 value;)
RK_MESSAGE(squared, 2, rk_u64 value; rk_u32 seen;)

RK_STATE(squarer, rk_u32 seen;)

RK_ON(squarer, square) {
    if (rk_lane() == 0u) rk_state.seen += 1u;
    rk_barrier();
    RK_OUT(squared).value = rk_u64(SCALE) * rk_msg.value * rk_msg.value + rk_u64(BONUS);
    RK_OUT(squared).seen = rk_state.seen;
    rk_reply(squared);
}

RK_ACTOR(squarer, RK_HANDLES(squarer, square))
