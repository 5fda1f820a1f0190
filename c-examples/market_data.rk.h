/* Actors that follow quotes. Prices are in cents, and averages in sixteenths of them, so that all backends agree. */
#ifndef MARKET_DATA_RK_H
#define MARKET_DATA_RK_H

#include <ringkernel/actor.h>

RK_MESSAGE(quote, 1, rk_u32 instrument; rk_u32 number; rk_u32 cents;)
RK_MESSAGE(follow, 2, rk_address signals;)
RK_SIGNAL(report, 3)
RK_MESSAGE(summary, 4, rk_u32 quotes; rk_u32 signals; rk_u32 last; rk_u32 average;)
RK_MESSAGE(crossing, 5, rk_u32 instrument; rk_u32 number; rk_u32 cents; rk_u32 average;)
RK_STATE(follower, rk_address signals; rk_u32 quotes; rk_u32 made; rk_u32 last; rk_u32 average;)

RK_ON(follower, follow) {
    if (rk_lane() == 0u) rk_state.signals = rk_msg.signals;
}

/* Follows the average, and publishes when the price crosses two percent above it. A topic is told as an actor is. */
RK_ON(follower, quote) {
    rk_u32 price = rk_msg.cents * 16u;
    rk_u32 before = rk_state.quotes == 0u ? price : rk_state.average;
    rk_u32 crosses = price > before + before / 50u && rk_state.last * 16u <= before + before / 50u ? 1u : 0u;
    rk_barrier();
    if (rk_lane() == 0u) {
        rk_state.quotes += 1u;
        rk_state.made += crosses;
        rk_state.last = rk_msg.cents;
        rk_state.average = before + price / 32u - before / 32u;
    }
    if (crosses == 1u && rk_state.signals != rk_u64(0)) {
        RK_OUT(crossing).instrument = rk_msg.instrument;
        RK_OUT(crossing).number = rk_msg.number;
        RK_OUT(crossing).cents = rk_msg.cents;
        RK_OUT(crossing).average = before / 16u;
        rk_tell(rk_state.signals, crossing);
    }
}

RK_ON(follower, report) {
    RK_OUT(summary).quotes = rk_state.quotes;
    RK_OUT(summary).signals = rk_state.made;
    RK_OUT(summary).last = rk_state.last;
    RK_OUT(summary).average = rk_state.average / 16u;
    rk_reply(summary);
}

RK_ACTOR(follower, RK_HANDLES(follower, follow) RK_HANDLES(follower, quote) RK_HANDLES(follower, report))

#endif
