/* Estimates of pi: the share of random points in a quarter of a circle. In whole numbers, so that every device says the
 * same. */
#ifndef CHECKPOINT_RK_H
#define CHECKPOINT_RK_H

#include <ringkernel/actor.h>

/* Points of one message. */
#define CHECKPOINT_POINTS 256u

RK_MESSAGE(draw, 1, rk_u32 rounds; rk_u32 unused;)
RK_SIGNAL(done, 2)
RK_SIGNAL(report, 3)
RK_MESSAGE(estimate, 4, rk_u64 points; rk_u64 inside;)
RK_STATE(estimator, rk_u64 points; rk_u64 inside; rk_u32 random; rk_u32 unused;)

/* One round, and the next by a message to itself: where the kernel is at rest, what is left to do is such a message. */
RK_ON(estimator, draw) {
    if (rk_lane() == 0u) {
        rk_u32 random = rk_state.points == rk_u64(0) ? 2654435761u * (rk_index() + 1u) : rk_state.random;
        rk_u32 inside = 0u;
        for (rk_u32 i = 0u; i < CHECKPOINT_POINTS; i++) {
            random = random * 1664525u + 1013904223u;
            rk_u32 x = random >> 17;
            random = random * 1664525u + 1013904223u;
            rk_u32 y = random >> 17;
            inside += x * x + y * y < (1u << 30) ? 1u : 0u;
        }
        rk_state.random = random;
        rk_state.points += rk_u64(CHECKPOINT_POINTS);
        rk_state.inside += rk_u64(inside);
    }
    if (rk_msg.rounds <= 1u) {
        rk_emit(done);
    } else {
        RK_OUT(draw).rounds = rk_msg.rounds - 1u;
        rk_tell(rk_self(), draw);
    }
}

RK_ON(estimator, report) {
    RK_OUT(estimate).points = rk_state.points;
    RK_OUT(estimate).inside = rk_state.inside;
    rk_reply(estimate);
}

RK_ACTOR(estimator, RK_HANDLES(estimator, draw) RK_HANDLES(estimator, report))

#endif
