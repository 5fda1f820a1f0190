/* Thermometers: each keeps the extremes of what it has been told. */
#include <ringkernel/actor.h>

RK_MESSAGE(reading, 1, rk_f32 celsius;)
RK_MESSAGE(summary, 2, rk_f32 lowest; rk_f32 highest; rk_f32 mean; rk_u32 readings;)
RK_SIGNAL(query, 3)

RK_STATE(thermometer, rk_f32 lowest; rk_f32 highest; rk_f32 sum; rk_u32 readings;)

RK_FUNC void summarize(RK_PARAMS(thermometer)) {
    RK_OUT(summary).lowest = rk_state.lowest;
    RK_OUT(summary).highest = rk_state.highest;
    RK_OUT(summary).mean = rk_state.sum / rk_f32(rk_max(rk_state.readings, 1u));
    RK_OUT(summary).readings = rk_state.readings;
    rk_reply(summary);
}

RK_ON(thermometer, reading) {
    if (rk_lane() == 0u) {
        if (rk_state.readings == 0u || rk_msg.celsius < rk_state.lowest)
            rk_state.lowest = rk_msg.celsius;
        if (rk_state.readings == 0u || rk_msg.celsius > rk_state.highest)
            rk_state.highest = rk_msg.celsius;
        rk_state.sum += rk_msg.celsius;
        rk_state.readings += 1u;
    }
    rk_barrier();
    summarize(RK_ARGS);
}

RK_ON(thermometer, query) {
    summarize(RK_ARGS);
}

RK_ACTOR(thermometer, RK_HANDLES(thermometer, reading) RK_HANDLES(thermometer, query))
