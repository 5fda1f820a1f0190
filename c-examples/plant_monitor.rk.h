/* Pumps of a plant, which are given work and sometimes break. */
#ifndef PLANT_MONITOR_RK_H
#define PLANT_MONITOR_RK_H

#include <ringkernel/actor.h>

RK_MESSAGE(deliver, 1, rk_u32 litres;)
RK_SIGNAL(smash, 2)
RK_SIGNAL(report, 3)
RK_MESSAGE(delivered, 4, rk_u64 litres;)
RK_STATE(pump, rk_u64 litres;)

RK_ON(pump, deliver) {
    if (rk_lane() == 0u) rk_state.litres += rk_u64(rk_msg.litres);
}

RK_ON(pump, smash) { rk_fail(13); }

RK_ON(pump, report) {
    RK_OUT(delivered).litres = rk_state.litres;
    rk_reply(delivered);
}

RK_ACTOR(pump, RK_HANDLES(pump, deliver) RK_HANDLES(pump, smash) RK_HANDLES(pump, report))

#endif
