/* Actors that publish and subscribe. They use messages of delivery.rk.h. */
#ifndef RK_TESTS_TOPICS_RK_H
#define RK_TESTS_TOPICS_RK_H
#include <ringkernel/actor.h>

RK_MESSAGE(proclaim, 100, rk_address topic; rk_u32 first; rk_u32 count; rk_u32 speaker; rk_u32 unused;)
RK_MESSAGE(news, 101, rk_u32 number; rk_u32 speaker;)
RK_MESSAGE(recite, 107, rk_u32 speaker; rk_u32 unused;)
RK_MESSAGE(summon, 108, rk_address topic; rk_u32 ends; rk_u32 unused;)
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

/* Ends the topic's subscribers, or starts them. */
RK_ON(herald, summon) {
    if (rk_msg.ends != 0u) rk_tell(rk_msg.topic, rk_actor_stop);
    else rk_tell(rk_msg.topic, rk_actor_start);
}

RK_ACTOR(herald, RK_HANDLES(herald, proclaim) RK_HANDLES(herald, news) RK_HANDLES(herald, summon) RK_HANDLES(herald, inquire)
         RK_HANDLES(herald, recite))

/* Fails at a lesson so often as that says. The tries are counted in a buffer, which outlives what it remembers, and the host is
 * told of each. */
RK_MESSAGE(tried, 105, rk_u64 correlation; rk_address sender; rk_u32 number; rk_u32 tries; rk_u32 heard; rk_u32 priority;
           rk_u32 size; rk_u32 sum;)
/* Has one published; of the size of `kind`. */
RK_MESSAGE(teach, 106, rk_address topic; rk_u64 book; rk_u64 correlation; rk_u64 deadline_ns; rk_u32 number; rk_u32 failures;
           rk_u32 priority; rk_u32 kind; rk_u32 words; rk_u32 unused;)
RK_BUFFER(rk_u32)
RK_STATE(novice, rk_u32 heard; rk_u32 unused;)

/* Bounded by rk_size(), as the errands of endurance.rk.h. A try that fails says `posts` things more, as far as there is room. */
#define LESSON(name_, type_, words_)                                                                                   \
    RK_MESSAGE(name_, type_, rk_u64 book; rk_u32 number; rk_u32 failures; rk_u32 posts; rk_u32 words[words_];)         \
    RK_ON(novice, name_) {                                                                                             \
        RK_OPEN(book, rk_msg.book);                                                                                    \
        rk_u64 line = rk_u64(rk_msg.number) * rk_u64(rk_actors()) + rk_u64(rk_index());                                \
        rk_u32 tries = rk_at(book, rk_u32, line) + 1u;                                                                 \
        rk_u32 heard = rk_state.heard + 1u;                                                                            \
        rk_u32 sum = 0u;                                                                                               \
        for (rk_u32 i = 0u; i < (rk_size() - 20u) / 4u; i++) sum += rk_msg.words[i] * (2u * i + 1u);                   \
        rk_barrier();                                                                                                  \
        if (rk_lane() == 0u) {                                                                                         \
            rk_at(book, rk_u32, line) = tries;                                                                         \
            rk_state.heard = heard;                                                                                    \
        }                                                                                                              \
        RK_OUT(tried).correlation = rk_correlation();                                                                  \
        RK_OUT(tried).sender = rk_sender();                                                                            \
        RK_OUT(tried).number = rk_msg.number;                                                                          \
        RK_OUT(tried).tries = tries;                                                                                   \
        RK_OUT(tried).heard = heard;                                                                                   \
        RK_OUT(tried).priority = rk_priority();                                                                        \
        RK_OUT(tried).size = rk_size();                                                                                \
        RK_OUT(tried).sum = sum;                                                                                       \
        rk_emit(tried);                                                                                                \
        if (tries <= rk_msg.failures) {                                                                                \
            for (rk_u32 i = 0u; i < rk_msg.posts; i++) {                                                               \
                RK_OUT(tally).count = rk_u64(i);                                                                       \
                RK_OUT(tally).other = rk_u64(tries);                                                                   \
                rk_emit(tally);                                                                                        \
            }                                                                                                          \
            rk_fail(rk_i32(rk_msg.number));                                                                            \
        }                                                                                                              \
    }
/* In a slot; in a body and taken in batches; taken alone. */
LESSON(lesson, 102, 1)
LESSON(long_lesson, 103, 23)
LESSON(heavy_lesson, 104, 16379)

#define TEACH(name_)                                                                                                   \
    RK_OUT(name_).book = rk_msg.book;                                                                                  \
    RK_OUT(name_).number = rk_msg.number;                                                                              \
    RK_OUT(name_).failures = rk_msg.failures;                                                                          \
    RK_OUT(name_).posts = 0u;                                                                                          \
    for (rk_u32 i = rk_lane(); i < rk_msg.words; i += rk_lanes()) RK_OUT(name_).words[i] = rk_msg.number + i;          \
    rk_tell_as(rk_msg.topic, name_, rk_msg.priority, rk_msg.correlation, rk_msg.deadline_ns);

RK_ON(novice, teach) {
    if (rk_msg.kind == 0u) {
        TEACH(lesson)
    } else if (rk_msg.kind == 1u) {
        TEACH(long_lesson)
    } else {
        TEACH(heavy_lesson)
    }
}

RK_ACTOR(novice, RK_HANDLES(novice, lesson) RK_HANDLES(novice, long_lesson) RK_HANDLES(novice, heavy_lesson)
         RK_HANDLES(novice, teach))

#endif
