/* Actors that are asked for what no handler should do. For CUDA; on other backends they do nothing of the kind. */
#ifndef GUEST_RK_H
#define GUEST_RK_H

#include <ringkernel/actor.h>

#define CAUSE_TRAP 1u
#define CAUSE_READ 2u
#define CAUSE_WRITE 3u
#define CAUSE_DIVISION 4u
#define CAUSE_LOOP 5u /* for `ms`; 0: for ever */

RK_MESSAGE(add, 1, rk_u64 value;)
RK_MESSAGE(sum, 2, rk_u64 total;)
RK_MESSAGE(cause, 3, rk_u32 what; rk_u32 ms; rk_u64 address;)
RK_MESSAGE(where, 4, rk_u32 nothing;)
RK_MESSAGE(here, 5, rk_u32 multiprocessor;)
RK_STATE(victim, rk_u64 total; rk_u64 seen;)

RK_ON(victim, add) {
    if (rk_lane() == 0u) rk_state.total += rk_msg.value;
    RK_OUT(sum).total = rk_state.total;
    rk_reply(sum);
}

RK_ON(victim, cause) {
#if RK_IS_CUDA
    if (rk_msg.what == CAUSE_TRAP) asm volatile("trap;");
    if (rk_msg.what == CAUSE_READ) rk_state.seen += *(volatile rk_u64 *)rk_msg.address;
    if (rk_msg.what == CAUSE_WRITE) *(volatile rk_u64 *)rk_msg.address = 1u;
    if (rk_msg.what == CAUSE_DIVISION) rk_state.seen += rk_u64(rk_msg.what / rk_msg.ms);
    if (rk_msg.what == CAUSE_LOOP) {
        rk_u64 begin, now;
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
        do {
            asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
        } while (rk_msg.ms == 0u || now - begin < rk_u64(rk_msg.ms) * rk_u64(1000000));
    }
#endif
    RK_OUT(sum).total = rk_state.total;
    rk_reply(sum);
}

RK_ON(victim, where) {
    rk_u32 number = 0u;
#if RK_IS_CUDA
    asm volatile("mov.u32 %0, %%smid;" : "=r"(number));
#endif
    RK_OUT(here).multiprocessor = number + rk_msg.nothing;
    rk_reply(here);
}

RK_ACTOR(victim, RK_HANDLES(victim, add) RK_HANDLES(victim, cause) RK_HANDLES(victim, where))

/* Too large for any card if there are many. */
RK_STATE(hog, rk_u64 words[131072];)
RK_ON(hog, add) {
    if (rk_lane() == 0u) rk_state.words[0] += rk_msg.value;
}
RK_ACTOR(hog, RK_HANDLES(hog, add))

#endif
