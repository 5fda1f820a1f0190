/* Actors that hand messages on from kernel to kernel, for the trace that trace_parse.py checks. */
#include <ringkernel/actor.h>

RK_MESSAGE(attach, 1, rk_address next;)
RK_SIGNAL(attached, 2)
/* Goes on for the host's sake until there is no next, where it is answered. */
RK_MESSAGE(order, 3, rk_u64 number;)
/* Goes round. */
RK_MESSAGE(ball, 4, rk_u32 hops; rk_u32 number;)

RK_STATE(relay, rk_address next; rk_address round; rk_u64 seen;)

RK_ON(relay, attach) {
    if (rk_lane() == 0u) {
        /* The first one is for orders, the second for balls. */
        if (rk_state.seen == rk_u64(0)) rk_state.next = rk_msg.next;
        rk_state.round = rk_msg.next;
        rk_state.seen += rk_u64(1);
    }
    rk_reply(attached);
}

RK_ON(relay, order) {
    RK_OUT(order).number = rk_msg.number;
    if (rk_state.next == rk_u64(0))
        rk_reply(order);
    else
        rk_forward(rk_state.next, order);
}

RK_ON(relay, ball) {
    RK_OUT(ball).number = rk_msg.number;
    if (rk_msg.hops == 0u) {
        RK_OUT(ball).hops = 0u;
        rk_emit(ball);
    } else {
        RK_OUT(ball).hops = rk_msg.hops - 1u;
        rk_tell(rk_state.round, ball);
    }
}

RK_ACTOR(relay, RK_HANDLES(relay, attach) RK_HANDLES(relay, order) RK_HANDLES(relay, ball))
