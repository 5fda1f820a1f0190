/* Actors that start and stop each other. They use messages of delivery.rk.h. */
#ifndef RK_TESTS_FAMILY_RK_H
#define RK_TESTS_FAMILY_RK_H
#include <ringkernel/actor.h>

#define ACT_START 1u
#define ACT_STOP 2u
#define ACT_QUIT 4u
#define ACT_FAIL 8u
/* To `count` actors, from `first` on and each `step` after the one before: START or STOP; then to itself. */
RK_MESSAGE(act, 110, rk_u32 what; rk_u32 first; rk_u32 count; rk_u32 step; rk_i32 code; rk_u32 priority;)
/* Starts the next one and hands it on, so many times. */
RK_MESSAGE(descend, 111, rk_u32 left; rk_u32 step;)
RK_STATE(kinsman, rk_u64 acts; rk_u64 refused;)

RK_ON(kinsman, act) {
    rk_u32 refused = 0u;
    for (rk_u32 i = 0u; i < rk_msg.count; i++) {
        rk_address to = rk_peer((rk_msg.first + i * rk_msg.step) % rk_actors());
        if ((rk_msg.what & ACT_START) != 0u)
            refused += rk_tell_as(to, rk_actor_start, rk_msg.priority, rk_u64(0), rk_u64(0));
        if ((rk_msg.what & ACT_STOP) != 0u) refused += rk_tell(to, rk_actor_stop);
    }
    if (rk_lane() == 0u) {
        rk_state.acts += rk_u64(1);
        rk_state.refused += rk_u64(refused);
    }
    if ((rk_msg.what & ACT_FAIL) != 0u) rk_fail(rk_msg.code);
    if ((rk_msg.what & ACT_QUIT) != 0u) rk_stop();
}

RK_ON(kinsman, descend) {
    if (rk_msg.left == 0u) {
        RK_OUT(tally).count = rk_u64(rk_index());
        RK_OUT(tally).other = rk_u64(0);
        rk_emit(tally);
    } else {
        rk_address child = rk_peer((rk_index() + rk_msg.step) % rk_actors());
        rk_tell(child, rk_actor_start);
        RK_OUT(descend).left = rk_msg.left - 1u;
        RK_OUT(descend).step = rk_msg.step;
        rk_tell(child, descend);
    }
}

RK_ON(kinsman, inquire) {
    RK_OUT(tally).count = rk_state.acts;
    RK_OUT(tally).other = rk_state.refused;
    rk_reply(tally);
}

RK_ACTOR(kinsman, RK_HANDLES(kinsman, act) RK_HANDLES(kinsman, descend) RK_HANDLES(kinsman, inquire))

#endif
