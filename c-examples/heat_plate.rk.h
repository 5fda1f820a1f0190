/* Actors that each relax a band of rows of a plate, which lies in two buffers: the last step and the next. */
#ifndef HEAT_PLATE_RK_H
#define HEAT_PLATE_RK_H

#include <ringkernel/actor.h>

RK_BUFFER(rk_f32)

RK_MESSAGE(relax, 1, rk_u64 from; rk_u64 to; rk_u32 width; rk_u32 first_row; rk_u32 end_row; rk_u32 unused;)
RK_MESSAGE(relaxed, 2, rk_f32 change;)
RK_STATE(band, rk_f32 change;)
RK_SCRATCH(band, rk_f32 changes[1024];)

/* Every inner point becomes the mean of its neighbours; the edges stay. */
RK_ON(band, relax) {
    RK_OPEN(from, rk_msg.from);
    RK_OPEN(to, rk_msg.to);
    rk_u32 width = rk_msg.width;
    rk_f32 change = 0.0f;
    for (rk_u32 i = rk_msg.first_row * width + rk_lane(); i < rk_msg.end_row * width; i += rk_lanes()) {
        rk_f32 value = rk_at(from, rk_f32, i);
        if (i % width != 0u && i % width != width - 1u) {
            rk_f32 mean = 0.25f * (rk_at(from, rk_f32, i - 1u) + rk_at(from, rk_f32, i + 1u) +
                                   rk_at(from, rk_f32, i - width) + rk_at(from, rk_f32, i + width));
            change = rk_max(change, rk_fabs(mean - value));
            value = mean;
        }
        rk_at(to, rk_f32, i) = value;
    }
    rk_scratch(band).changes[rk_lane()] = change;
    rk_barrier();
    if (rk_lane() == 0u) {
        for (rk_u32 i = 1u; i < rk_lanes(); i++) change = rk_max(change, rk_scratch(band).changes[i]);
        rk_state.change = change;
    }
    rk_barrier();
    RK_OUT(relaxed).change = rk_state.change;
    rk_reply(relaxed);
}

RK_ACTOR(band, RK_HANDLES(band, relax))

#endif
