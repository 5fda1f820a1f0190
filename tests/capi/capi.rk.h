/* Actors for the tests of the C interface: as plain as can be, the conformance suite has the rest. */
#include <ringkernel/actor.h>

RK_MESSAGE(ask, 1, rk_u64 nonce;)
RK_MESSAGE(answer, 2, rk_u64 nonce; rk_u64 seen;)
RK_MESSAGE(note, 3, rk_u64 value;)
RK_SIGNAL(poke, 4)
RK_MESSAGE(break_down, 5, rk_i32 code;)
RK_MESSAGE(labour, 6, rk_u32 rounds;)
RK_MESSAGE(large, 7, rk_u8 bytes[1000];)

/* Has an actor publish, or send. */
RK_MESSAGE(spread, 8, rk_address to; rk_u64 value; rk_u64 count;)
RK_MESSAGE(spread_ask, 9, rk_address to;)

RK_STATE(responder, rk_u64 seen; rk_u64 work;)

RK_ON(responder, ask) {
    if (rk_lane() == 0u) rk_state.seen += rk_u64(1);
    rk_barrier();
    RK_OUT(answer).nonce = rk_msg.nonce;
    RK_OUT(answer).seen = rk_state.seen;
    rk_reply(answer);
}

/* Handled without an answer. */
RK_ON(responder, note) {
    if (rk_lane() == 0u) rk_state.seen += rk_msg.value;
}

/* Answered with an emit, which nobody waits for by name. */
RK_ON(responder, poke) {
    if (rk_lane() == 0u) rk_state.seen += rk_u64(1);
    rk_barrier();
    RK_OUT(answer).nonce = rk_u64(0);
    RK_OUT(answer).seen = rk_state.seen;
    rk_emit(answer);
}

RK_ON(responder, break_down) { rk_fail(rk_msg.code); }

/* Keeps its worker busy, some nanoseconds a round. */
RK_ON(responder, labour) {
    if (rk_lane() == 0u) {
        for (rk_u32 i = 0u; i < rk_msg.rounds; i++) {
            rk_state.work = rk_state.work * rk_u64(3) + rk_u64(i);
            rk_state.work = rk_state.work ^ (rk_state.work >> 7);
        }
        rk_state.seen += rk_u64(1);
    }
    rk_barrier();
    RK_OUT(answer).nonce = rk_state.work;
    RK_OUT(answer).seen = rk_state.seen;
    rk_reply(answer);
}

RK_ON(responder, large) {
    for (rk_u32 i = rk_lane(); i < 1000u; i += rk_lanes()) RK_OUT(large).bytes[i] = rk_msg.bytes[i];
    rk_reply(large);
}

/* Notes of value, value + 1 and so on. */
RK_ON(responder, spread) {
    for (rk_u64 i = rk_u64(0); i < rk_msg.count; i++) {
        RK_OUT(note).value = rk_msg.value + i;
        rk_tell(rk_msg.to, note);
    }
}

/* Passes a question on. */
RK_ON(responder, spread_ask) {
    RK_OUT(ask).nonce = rk_u64(5);
    rk_forward(rk_msg.to, ask);
}

RK_ACTOR(responder, RK_HANDLES(responder, spread) RK_HANDLES(responder, spread_ask) RK_HANDLES(responder, ask) RK_HANDLES(responder, note) RK_HANDLES(responder, poke)
         RK_HANDLES(responder, break_down) RK_HANDLES(responder, labour) RK_HANDLES(responder, large))

/* A second type, so that the module has no only one. */
RK_STATE(idler, rk_u32 unused;)
RK_ON(idler, note) { rk_stop(); }
RK_ACTOR(idler, RK_HANDLES(idler, note))
