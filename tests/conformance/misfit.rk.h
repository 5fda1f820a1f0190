/* A module of its own, whose `letter` is larger than the one that couriers of routing.rk.h expect. */
#include <ringkernel/actor.h>

RK_MESSAGE(misaddress, 70, rk_address to;)
RK_MESSAGE(letter, 66, rk_u64 value[9];)
RK_STATE(misfit, rk_u32 unused;)

RK_ON(misfit, misaddress) {
    for (rk_u32 i = rk_lane(); i < 9u; i += rk_lanes()) RK_OUT(letter).value[i] = rk_u64(i);
    rk_barrier();
    rk_tell(rk_msg.to, letter);
}

RK_ACTOR(misfit, RK_HANDLES(misfit, misaddress))
