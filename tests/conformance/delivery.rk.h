/* Actors that keep books about what reaches them, in which order. */
#include <ringkernel/actor.h>

RK_MESSAGE(entry, 10, rk_u64 value; rk_u32 source; rk_u32 sequence; rk_u32 level; rk_u32 unused;)
RK_MESSAGE(receipt, 11, rk_u64 value; rk_u64 total; rk_u32 source; rk_u32 sequence; rk_u32 level; rk_u32 expected;)
RK_SIGNAL(inquire, 12)
RK_MESSAGE(tally, 13, rk_u64 count; rk_u64 other;)

/* Sixteen sources at four levels, each with the number that it sends next. */
RK_STATE(ledger, rk_u64 total; rk_u32 following[64];)

RK_ON(ledger, entry) {
    rk_u32 place = rk_msg.source * 4u + rk_msg.level;
    rk_u32 expected = rk_state.following[place];
    rk_barrier();
    if (rk_lane() == 0u) {
        rk_state.following[place] = rk_msg.sequence + 1u;
        rk_state.total += rk_u64(1);
    }
    rk_barrier();
    RK_OUT(receipt).value = rk_msg.value;
    RK_OUT(receipt).total = rk_state.total;
    RK_OUT(receipt).source = rk_msg.source;
    RK_OUT(receipt).sequence = rk_msg.sequence;
    RK_OUT(receipt).level = rk_msg.level;
    RK_OUT(receipt).expected = expected;
    rk_reply(receipt);
}

RK_ON(ledger, inquire) {
    RK_OUT(tally).count = rk_state.total;
    RK_OUT(tally).other = rk_u64(rk_index());
    rk_reply(tally);
}

RK_ACTOR(ledger, RK_HANDLES(ledger, entry) RK_HANDLES(ledger, inquire))

/* Numbers what it handles, to show which came first. */
RK_MESSAGE(mark, 14, rk_u32 id; rk_u32 unused;)
RK_MESSAGE(marked, 15, rk_u32 id; rk_u32 place; rk_u32 priority; rk_u32 unused;)
RK_STATE(recorder, rk_u32 places; rk_u32 quit;)

RK_ON(recorder, mark) {
    rk_u32 place = rk_state.places;
    rk_barrier();
    if (rk_lane() == 0u) rk_state.places = place + 1u;
    rk_barrier();
    RK_OUT(marked).id = rk_msg.id;
    RK_OUT(marked).place = place;
    RK_OUT(marked).priority = rk_priority();
    rk_reply(marked);
}

/* Critical messages to itself without end, until it is told to quit. */
RK_SIGNAL(churn, 16)
RK_SIGNAL(quit, 17)

RK_ON(recorder, churn) {
    rk_u32 over = rk_state.quit;
    rk_barrier();
    if (rk_lane() == 0u) rk_state.places += 1u;
    rk_barrier();
    if (over == 0u) rk_tell_as(rk_self(), churn, 192u, rk_u64(0), rk_u64(0));
}

RK_ON(recorder, quit) {
    if (rk_lane() == 0u) rk_state.quit = 1u;
    rk_barrier();
    RK_OUT(tally).count = rk_u64(rk_state.places);
    RK_OUT(tally).other = rk_u64(rk_priority());
    rk_reply(tally);
}

RK_ACTOR(recorder, RK_HANDLES(recorder, mark) RK_HANDLES(recorder, churn) RK_HANDLES(recorder, quit))

/* Answers so often, or not at all. */
RK_MESSAGE(repeat, 18, rk_u32 number; rk_u32 times;)
RK_MESSAGE(repeated, 19, rk_u32 number; rk_u32 which;)
/* Larger than what is taken in batches. */
RK_MESSAGE(ballast, 20, rk_u32 number; rk_u32 words[49];)
RK_STATE(parrot, rk_u32 heard; rk_u32 unused;)

RK_ON(parrot, repeat) {
    if (rk_lane() == 0u) rk_state.heard += 1u;
    if (rk_msg.times > 0u) {
        RK_OUT(repeated).number = rk_msg.number;
        RK_OUT(repeated).which = 0u;
        rk_reply(repeated);
    }
    if (rk_msg.times > 1u) {
        RK_OUT(repeated).number = rk_msg.number;
        RK_OUT(repeated).which = 1u;
        rk_reply(repeated);
    }
}

RK_ON(parrot, ballast) {
    if (rk_lane() == 0u) rk_state.heard += 1u;
    RK_OUT(repeated).number = rk_msg.number;
    RK_OUT(repeated).which = rk_msg.words[48];
    rk_reply(repeated);
}

RK_ACTOR(parrot, RK_HANDLES(parrot, repeat) RK_HANDLES(parrot, ballast))
