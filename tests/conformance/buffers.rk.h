/* Actors that work on buffers, with elements of many sizes. */
#ifndef RK_TESTS_CONFORMANCE_BUFFERS_H
#define RK_TESTS_CONFORMANCE_BUFFERS_H

#include <ringkernel/actor.h>

RK_RECORD(pixel, rk_u8 r; rk_u8 g; rk_u8 b;)
RK_RECORD(reading, rk_f64 value; rk_u32 tag[3];)
RK_BUFFER(rk_u8)
RK_BUFFER(rk_u32)
RK_BUFFER(rk_u64)
RK_BUFFER(rk_f32)
RK_BUFFER(pixel)
RK_BUFFER(reading)

RK_MESSAGE(measure, 80, rk_u64 data;)
RK_MESSAGE(measured, 81, rk_u64 there; rk_u64 lengths[6];)
RK_MESSAGE(add_up, 82, rk_u64 data; rk_u64 from; rk_u64 count;)
RK_MESSAGE(added_up, 83, rk_u64 sum;)
RK_MESSAGE(transform, 84, rk_u64 data; rk_u32 what; rk_u32 number;)
RK_MESSAGE(transformed, 85, rk_u64 data;)
RK_MESSAGE(reach, 86, rk_u64 data; rk_u64 index; rk_u32 value; rk_u32 wide;)
RK_STATE(clerk, rk_u64 jobs; rk_u64 sum;)

RK_ON(clerk, measure) {
    RK_OUT(measured).there = rk_u64(rk_has(rk_msg.data));
    rk_barrier();
    if (rk_has(rk_msg.data) == 1u) {
        RK_OPEN(all, rk_msg.data);
        RK_OUT(measured).lengths[0] = rk_length(all, rk_u8);
        RK_OUT(measured).lengths[1] = rk_length(all, rk_u32);
        RK_OUT(measured).lengths[2] = rk_length(all, rk_u64);
        RK_OUT(measured).lengths[3] = rk_length(all, rk_f32);
        RK_OUT(measured).lengths[4] = rk_length(all, pixel);
        RK_OUT(measured).lengths[5] = rk_length(all, reading);
    }
    rk_reply(measured);
}

RK_ON(clerk, add_up) {
    RK_OPEN(numbers, rk_msg.data);
    if (rk_lane() == 0u) {
        rk_state.sum = rk_u64(0);
        for (rk_u64 i = rk_u64(0); i < rk_msg.count; i++) rk_state.sum += rk_at(numbers, rk_u64, rk_msg.from + i);
        rk_state.jobs += rk_u64(1);
    }
    rk_barrier();
    RK_OUT(added_up).sum = rk_state.sum;
    rk_reply(added_up);
}

RK_FUNC rk_u32 next_number(RK_PARAMS(clerk), rk_view numbers, rk_u32 i) {
    return rk_at(numbers, rk_u32, i) * 3u + i;
}

/* In place, by all lanes. */
RK_ON(clerk, transform) {
    RK_OPEN(all, rk_msg.data);
    if (rk_msg.what == 0u) {
        for (rk_u32 i = rk_lane(); i < rk_u32(rk_length(all, rk_u32)); i += rk_lanes())
            rk_at(all, rk_u32, i) = next_number(RK_ARGS, all, i);
    } else if (rk_msg.what == 1u) {
        for (rk_u32 i = rk_lane(); i < rk_u32(rk_length(all, pixel)); i += rk_lanes()) {
            rk_at(all, pixel, i).r = rk_u8(rk_msg.number);
            rk_at(all, pixel, i).b = rk_at(all, pixel, i).g;
        }
    } else if (rk_msg.what == 2u) {
        for (rk_u32 i = rk_lane(); i < rk_u32(rk_length(all, reading)); i += rk_lanes()) {
            rk_at(all, reading, i).value = rk_at(all, reading, i).value * rk_f64(2.0f);
            rk_at(all, reading, i).tag[2] = i;
        }
    } else {
        for (rk_u32 i = rk_lane(); i < rk_u32(rk_length(all, rk_f32)); i += rk_lanes())
            rk_at(all, rk_f32, i) += 0.5f;
    }
    rk_barrier();
    RK_OUT(transformed).data = rk_msg.data;
    rk_reply(transformed);
}

/* One element, wherever it is. */
RK_ON(clerk, reach) {
    RK_OPEN(all, rk_msg.data);
    if (rk_msg.wide == 0u)
        rk_at(all, rk_u8, rk_msg.index) = rk_u8(rk_msg.value);
    else
        rk_at(all, reading, rk_msg.index).tag[0] = rk_msg.value;
    RK_OUT(transformed).data = rk_msg.data;
    rk_reply(transformed);
}

RK_ACTOR(clerk, RK_HANDLES(clerk, measure) RK_HANDLES(clerk, add_up) RK_HANDLES(clerk, transform)
         RK_HANDLES(clerk, reach))

#endif
