/* Channels of an instrument, each with the mean of what it measured. */
#ifndef FAILOVER_RK_H
#define FAILOVER_RK_H

#include <ringkernel/actor.h>

/* What the converter gives when nothing is connected. */
#define FAILOVER_OPEN_CIRCUIT 4095u
#define FAILOVER_BAD_READING 7

RK_MESSAGE(reading, 1, rk_u32 value;)
RK_MESSAGE(mean, 2, rk_u32 readings; rk_u32 value;)
RK_STATE(channel, rk_u32 readings; rk_u32 sum;)

RK_ON(channel, reading) {
    if (rk_msg.value >= FAILOVER_OPEN_CIRCUIT) rk_fail(FAILOVER_BAD_READING);
    if (rk_lane() == 0u) {
        rk_state.readings += 1u;
        rk_state.sum += rk_msg.value;
    }
    rk_barrier();
    RK_OUT(mean).readings = rk_state.readings;
    RK_OUT(mean).value = rk_state.sum / rk_state.readings;
    rk_reply(mean);
}

RK_ACTOR(channel, RK_HANDLES(channel, reading))

#endif
