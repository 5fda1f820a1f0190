/* Actors that publish and subscribe. They use messages of delivery.rk.h. */
#include <ringkernel/actor.h>

RK_MESSAGE(proclaim, 100, rk_address topic; rk_u32 first; rk_u32 count; rk_u32 speaker; rk_u32 unused;)
RK_MESSAGE(news, 101, rk_u32 number; rk_u32 speaker;)
RK_MESSAGE(recite, 102, rk_u32 speaker; rk_u32 unused;)
/* How much was heard, and how much of it was not the next of its speaker. Counter 0 has what came after a later one. */
RK_STATE(herald, rk_u64 heard; rk_u64 late; rk_u32 last[16];)

RK_ON(herald, proclaim) {
    for (rk_u32 i = 0u; i < rk_msg.count; i++) {
        RK_OUT(news).number = rk_msg.first + i;
        RK_OUT(news).speaker = rk_msg.speaker;
        rk_tell(rk_msg.topic, news);
    }
}

RK_ON(herald, news) {
    if (rk_lane() == 0u) {
        if (rk_msg.number != rk_state.last[rk_msg.speaker] + 1u) rk_state.late += rk_u64(1);
        if (rk_msg.number <= rk_state.last[rk_msg.speaker]) rk_count(0u, 1);
        rk_state.last[rk_msg.speaker] = rk_msg.number;
        rk_state.heard += rk_u64(1);
    }
}

RK_ON(herald, inquire) {
    RK_OUT(tally).count = rk_state.heard;
    RK_OUT(tally).other = rk_state.late;
    rk_reply(tally);
}

/* The last that a speaker said. */
RK_ON(herald, recite) {
    RK_OUT(tally).count = rk_u64(rk_state.last[rk_msg.speaker]);
    RK_OUT(tally).other = rk_state.late;
    rk_reply(tally);
}

RK_ACTOR(herald, RK_HANDLES(herald, proclaim) RK_HANDLES(herald, news) RK_HANDLES(herald, inquire)
         RK_HANDLES(herald, recite))
