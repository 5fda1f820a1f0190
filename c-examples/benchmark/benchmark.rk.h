/* The actors that benchmark.c measures. What they answer depends on every message that they have had before, so that a
 * lost, doubled or overtaking message shows in the next reply. */
#include <ringkernel/actor.h>

/* 32 bytes there and back: the round trip. */
RK_MESSAGE(ping, 1, rk_u64 words[4];)
RK_MESSAGE(pong, 2, rk_u64 words[4];)
/* 32, 48 and 64 bytes there and back: the throughput. */
RK_MESSAGE(echo48, 3, rk_u64 words[6];)
RK_MESSAGE(echo64, 4, rk_u64 words[8];)
RK_MESSAGE(echo32, 9, rk_u64 words[4];)
/* 32 bytes one way, and a question about them: the cost of sending. */
RK_MESSAGE(note, 5, rk_u64 words[4];)
RK_MESSAGE(ask, 6, rk_u64 key;)
RK_MESSAGE(answer, 7, rk_u64 key; rk_u64 notes; rk_u64 mix;)
/* 32 bytes round a ring of actors. */
RK_MESSAGE(token, 8, rk_u64 id; rk_u64 hops; rk_u64 value; rk_u64 origin;)

/* 24 bytes from actor to actor: to the next, or to any. */
RK_MESSAGE(baton, 10, rk_u32 hops; rk_u32 random; rk_u64 value; rk_u64 passed;)

/* `count` words, which follow on one another, to a topic; and of its subscribers to the host, when they have had the last. */
RK_MESSAGE(cry, 11, rk_address topic; rk_u64 first; rk_u32 count; rk_u32 unused;)
RK_MESSAGE(news, 12, rk_u64 value; rk_u32 left; rk_u32 unused;)
RK_MESSAGE(heard, 13, rk_u64 mix; rk_u32 count; rk_u32 by;)

RK_STATE(echoer, rk_u64 handled; rk_u64 mix;)

RK_ON(echoer, ping) {
    for (rk_u32 i = rk_lane(); i < 4u; i += rk_lanes()) RK_OUT(pong).words[i] = rk_msg.words[i] + rk_state.handled;
    rk_barrier();
    if (rk_lane() == 0u) rk_state.handled += rk_u64(1);
    rk_reply(pong);
}

RK_ON(echoer, echo32) {
    for (rk_u32 i = rk_lane(); i < 4u; i += rk_lanes()) RK_OUT(echo32).words[i] = rk_msg.words[i] + rk_state.handled;
    rk_barrier();
    if (rk_lane() == 0u) rk_state.handled += rk_u64(1);
    rk_reply(echo32);
}

RK_ON(echoer, echo48) {
    for (rk_u32 i = rk_lane(); i < 6u; i += rk_lanes()) RK_OUT(echo48).words[i] = rk_msg.words[i] + rk_state.handled;
    rk_barrier();
    if (rk_lane() == 0u) rk_state.handled += rk_u64(1);
    rk_reply(echo48);
}

RK_ON(echoer, echo64) {
    for (rk_u32 i = rk_lane(); i < 8u; i += rk_lanes()) RK_OUT(echo64).words[i] = rk_msg.words[i] + rk_state.handled;
    rk_barrier();
    if (rk_lane() == 0u) rk_state.handled += rk_u64(1);
    rk_reply(echo64);
}

RK_ON(echoer, note) {
    if (rk_lane() == 0u) {
        rk_u64 folded = rk_msg.words[0] ^ rk_msg.words[1] ^ rk_msg.words[2] ^ rk_msg.words[3];
        rk_state.handled += rk_u64(1);
        rk_state.mix = rk_state.mix * rk_u64(3) + folded;
    }
}

RK_ON(echoer, ask) {
    RK_OUT(answer).key = rk_msg.key;
    RK_OUT(answer).notes = rk_state.handled;
    RK_OUT(answer).mix = rk_state.mix;
    rk_reply(answer);
}

RK_ACTOR(echoer,
         RK_HANDLES(echoer, ping)
         RK_HANDLES(echoer, echo32)
         RK_HANDLES(echoer, echo48)
         RK_HANDLES(echoer, echo64)
         RK_HANDLES(echoer, note)
         RK_HANDLES(echoer, ask))

RK_STATE(ring_node, rk_u64 passed;)

/* Passes the token on until its hops are used up, then reports to the host. */
RK_ON(ring_node, token) {
    if (rk_lane() == 0u) rk_state.passed += rk_u64(1);
    RK_OUT(token).id = rk_msg.id;
    RK_OUT(token).origin = rk_msg.origin;
    RK_OUT(token).value = rk_msg.value * rk_u64(5) + rk_u64(rk_index());
    if (rk_msg.hops == rk_u64(0)) {
        RK_OUT(token).hops = rk_u64(0);
        rk_emit(token);
    } else {
        RK_OUT(token).hops = rk_msg.hops - rk_u64(1);
        rk_tell(rk_peer((rk_index() + 1u) % rk_actors()), token);
    }
}

RK_ACTOR(ring_node, RK_HANDLES(ring_node, token))

RK_STATE(runner, rk_u64 passed;)

/* random is 0: to the next actor. Else a number that changes with every hop and chooses the receiver. */
RK_ON(runner, baton) {
    rk_u32 random = rk_msg.random * 1664525u + 1013904223u;
    rk_u32 next = rk_msg.random == 0u ? rk_index() + 1u : random >> 8;
    if (rk_lane() == 0u) rk_state.passed += rk_u64(1);
    RK_OUT(baton).random = rk_msg.random == 0u ? 0u : random | 1u;
    RK_OUT(baton).value = rk_msg.value * rk_u64(5) + rk_u64(rk_index());
    RK_OUT(baton).passed = rk_msg.passed + rk_u64(1);
    if (rk_msg.hops == 0u) {
        RK_OUT(baton).hops = 0u;
        rk_emit(baton);
    } else {
        RK_OUT(baton).hops = rk_msg.hops - 1u;
        rk_tell(rk_peer(next % rk_actors()), baton);
    }
}

RK_ACTOR(runner, RK_HANDLES(runner, baton))

RK_STATE(crier, rk_u64 mix; rk_u32 count; rk_u32 unused;)

RK_ON(crier, cry) {
    for (rk_u32 i = 0u; i < rk_msg.count; i++) {
        RK_OUT(news).value = rk_msg.first + rk_u64(i);
        RK_OUT(news).left = rk_msg.count - 1u - i;
        rk_tell(rk_msg.topic, news);
    }
}

RK_ON(crier, news) {
    rk_u64 mix = rk_state.mix * rk_u64(3) + rk_msg.value;
    rk_u32 count = rk_state.count + 1u;
    rk_barrier();
    if (rk_lane() == 0u) {
        rk_state.mix = mix;
        rk_state.count = count;
    }
    if (rk_msg.left == 0u) {
        RK_OUT(heard).mix = mix;
        RK_OUT(heard).count = count;
        RK_OUT(heard).by = rk_index();
        rk_emit(heard);
    }
}

RK_ACTOR(crier, RK_HANDLES(crier, cry) RK_HANDLES(crier, news))
