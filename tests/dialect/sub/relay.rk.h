/* Found in a folder of its own, with an include that leads out of it and one through -I. */
#include "../protocol.rk.h"
#include <limits.rk.h>

RK_STATE(relay, rk_address next; rk_u32 hops;)

RK_ON(relay, number) {
    if (rk_state.hops < RELAY_HOPS) {
        RK_OUT(number).x = rk_msg.x;
        rk_tell(rk_state.next, number);
        rk_barrier();
        if (rk_lane() == 0u) {
            rk_state.hops += 1u;
        }
    }
}
RK_ACTOR(relay, RK_HANDLES(relay, number))
