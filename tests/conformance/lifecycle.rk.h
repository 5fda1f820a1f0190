/* An actor whose life the host directs. It uses messages of delivery.rk.h. */
#include <ringkernel/actor.h>

RK_MESSAGE(visit, 80, rk_u64 nonce;)
RK_MESSAGE(visited, 81, rk_u64 nonce; rk_u64 seen; rk_address self; rk_address next_peer; rk_address sender;
           rk_u64 correlation; rk_u32 index; rk_u32 actors; rk_u32 from_host; rk_u32 lanes;)
RK_SIGNAL(halt, 82)
RK_MESSAGE(crash, 83, rk_i32 code;)
RK_MESSAGE(toil, 84, rk_u32 rounds; rk_u32 unused;)
RK_MESSAGE(spend, 85, rk_u32 counter; rk_u32 amount;)
RK_MESSAGE(flood, 86, rk_u32 posts; rk_u32 unused;)
RK_MESSAGE(scribble, 87, rk_u32 seed; rk_u32 unused;)
RK_MESSAGE(scribbled, 88, rk_u32 wrong; rk_u32 sum;)
RK_STATE(patient, rk_u64 seen; rk_u64 work; rk_u32 refused; rk_u32 given[61];)
RK_SCRATCH(patient, rk_u32 words[2048];)

RK_ON(patient, visit) {
    if (rk_lane() == 0u) rk_state.seen += rk_u64(1);
    rk_barrier();
    RK_OUT(visited).nonce = rk_msg.nonce;
    RK_OUT(visited).seen = rk_state.seen;
    RK_OUT(visited).self = rk_self();
    RK_OUT(visited).next_peer = rk_peer((rk_index() + 1u) % rk_actors());
    RK_OUT(visited).sender = rk_sender();
    RK_OUT(visited).correlation = rk_correlation();
    RK_OUT(visited).index = rk_index();
    RK_OUT(visited).actors = rk_actors();
    RK_OUT(visited).from_host = rk_from_host() ? 1u : 0u;
    RK_OUT(visited).lanes = rk_lanes();
    rk_reply(visited);
}

/* What happened before leaving the handler counts. */
RK_ON(patient, halt) {
    if (rk_lane() == 0u) rk_state.seen += rk_u64(1);
    rk_barrier();
    RK_OUT(tally).count = rk_state.seen;
    RK_OUT(tally).other = rk_u64(0);
    rk_reply(tally);
    rk_stop();
}

RK_ON(patient, crash) { rk_fail(rk_msg.code); }

RK_ON(patient, toil) {
    if (rk_lane() == 0u) {
        for (rk_u32 i = 0u; i < rk_msg.rounds; i++) {
            rk_state.work = rk_state.work * rk_u64(3) + rk_u64(i);
            rk_state.work = rk_state.work ^ (rk_state.work >> 7);
        }
        rk_state.seen += rk_u64(1);
    }
    rk_barrier();
    RK_OUT(tally).count = rk_state.seen;
    RK_OUT(tally).other = rk_state.work;
    rk_reply(tally);
}

RK_ON(patient, spend) {
    if (rk_lane() == 0u) {
        rk_count(rk_msg.counter, rk_u64(rk_msg.amount));
        rk_state.seen += rk_u64(1);
    }
}

/* More than the outbox holds; a reply would not fit behind it, `inquire` asks for the count. */
RK_ON(patient, flood) {
    rk_u32 refused = 0u;
    for (rk_u32 i = 0u; i < rk_msg.posts; i++) {
        RK_OUT(tally).count = rk_u64(i);
        RK_OUT(tally).other = rk_u64(rk_msg.posts);
        refused += rk_emit(tally);
    }
    if (rk_lane() == 0u) rk_state.refused += refused;
}

RK_ON(patient, inquire) {
    RK_OUT(tally).count = rk_state.seen;
    RK_OUT(tally).other = rk_u64(rk_state.refused);
    rk_reply(tally);
}

/* Every lane writes some words of the scratch memory and reads those of others. */
RK_ON(patient, scribble) {
    for (rk_u32 i = rk_lane(); i < 2048u; i += rk_lanes()) rk_scratch(patient).words[i] = i * 2654435761u + rk_msg.seed;
    rk_barrier();
    if (rk_lane() == 0u) {
        rk_u32 wrong = 0u;
        rk_u32 sum = 0u;
        for (rk_u32 i = 0u; i < 2048u; i++) {
            rk_u32 word = rk_scratch(patient).words[2047u - i];
            if (word != (2047u - i) * 2654435761u + rk_msg.seed) wrong += 1u;
            sum += word;
        }
        rk_scratch(patient).words[0] = wrong;
        rk_scratch(patient).words[1] = sum;
    }
    rk_barrier();
    RK_OUT(scribbled).wrong = rk_scratch(patient).words[0];
    RK_OUT(scribbled).sum = rk_scratch(patient).words[1];
    rk_reply(scribbled);
}

/* What it was launched with. */
RK_MESSAGE(reveal, 89, rk_u32 first; rk_u32 unused;)
RK_MESSAGE(revealed, 90, rk_u64 seen; rk_u64 work; rk_u32 given[61]; rk_u32 unused;)
RK_ON(patient, reveal) {
    RK_OUT(revealed).seen = rk_state.seen;
    RK_OUT(revealed).work = rk_state.work;
    for (rk_u32 i = rk_lane(); i < 61u; i += rk_lanes()) RK_OUT(revealed).given[i] = rk_state.given[i];
    rk_reply(revealed);
}

RK_ACTOR(patient, RK_HANDLES(patient, visit) RK_HANDLES(patient, halt) RK_HANDLES(patient, crash)
         RK_HANDLES(patient, toil) RK_HANDLES(patient, spend) RK_HANDLES(patient, flood)
         RK_HANDLES(patient, inquire) RK_HANDLES(patient, scribble) RK_HANDLES(patient, reveal))

/* Starts and stops others. */
RK_MESSAGE(lead, 91, rk_address who; rk_u32 starts; rk_u32 unused;)
RK_SIGNAL(led, 92)
RK_STATE(leader, rk_u64 told;)

RK_ON(leader, lead) {
    if (rk_msg.starts == 1u)
        rk_tell(rk_msg.who, rk_actor_start);
    else
        rk_tell(rk_msg.who, rk_actor_stop);
    if (rk_lane() == 0u) rk_state.told += rk_u64(1);
    rk_reply(led);
}

RK_ACTOR(leader, RK_HANDLES(leader, lead))
