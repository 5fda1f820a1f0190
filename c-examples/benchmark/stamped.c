#define _GNU_SOURCE
#include "stamped.h"

#include "clock.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#include <sched.h>

typedef struct line {
    __m128i words[STAMPED_WORDS];
} line;

_Static_assert(sizeof(line) == STAMPED_SIZE, "a message is one cache line");

static line random_line(uint64_t *seed, uint32_t stamp) {
    line made;
    for (int w = 0; w < STAMPED_WORDS; w++)
        made.words[w] = _mm_set_epi64x((long long)((uint64_t)stamp << 32 | (uint32_t)random_next(seed)),
                                       (long long)random_next(seed));
    return made;
}

/* All of it, or not yet. */
static int is_there(const line *from, uint32_t stamp, line *taken) {
    int here = 1;
    for (int w = 0; w < STAMPED_WORDS; w++) {
        taken->words[w] = _mm_load_si128(&from->words[w]); /* 16 bytes in one access */
        here &= (uint32_t)_mm_cvtsi128_si32(_mm_srli_si128(taken->words[w], 12)) == stamp;
    }
    __asm__ volatile("" ::: "memory"); /* the next look reads again */
    return here;
}

static int is_answer(const line *sent, const line *received) {
    int same = 0xffff;
    for (int w = 0; w < STAMPED_WORDS; w++) {
        const __m128i expected = _mm_add_epi64(sent->words[w], _mm_set_epi64x(0, 1));
        same &= _mm_movemask_epi8(_mm_cmpeq_epi8(expected, received->words[w]));
    }
    return same == 0xffff;
}

static void put(const stamped *s, const line *sent) {
    line *to = s->to;
    for (int w = 0; w < STAMPED_WORDS; w++)
        _mm_store_si128(&to->words[w], sent->words[w]);
    if (s->combines)
        _mm_sfence(); /* or the line stays in the processor's buffer */
    __asm__ volatile("" ::: "memory");
}

static const char *exchange(stamped *s, const line *sent, line *received) {
    double deadline = 0;
    put(s, sent);
    for (uint32_t looks = 1; !is_there(s->from, s->stamp, received); looks++) {
        if (looks % 65536 != 0)
            continue;
        const char *over = s->over == NULL ? NULL : s->over(s->device);
        if (over != NULL)
            return over;
        if (deadline == 0)
            deadline = seconds() + STAMPED_PATIENCE;
        else if (seconds() > deadline)
            return "no echo for five seconds";
        (void)sched_yield(); /* where the device is a processor it may need this one */
    }
    return NULL;
}

const char *stamped_echoes(stamped *s, uint64_t seed, uint32_t *count, uint32_t *ticks_taken) {
    const uint32_t most = STAMPED_WARM + *count;
    uint32_t i = 0;
    for (; i < most && (i % 64 != 0 || s->until == 0 || seconds() < s->until); i++) {
        const line sent = random_line(&seed, ++s->stamp);
        line received;
        const uint64_t begin = ticks();
        const char *failure = exchange(s, &sent, &received);
        const uint64_t taken = ticks() - begin;
        if (failure != NULL)
            return failure;
        if (!is_answer(&sent, &received))
            return "an echo came back wrong";
        ticks_taken[i < STAMPED_WARM ? i % *count : i - STAMPED_WARM] = (uint32_t)taken;
    }
    /* Where they take so long that time ran out before, those are what there is. */
    const uint32_t timed = i <= STAMPED_WARM ? i : i - STAMPED_WARM;
    *count = timed < *count ? timed : *count;
    return NULL;
}

void stamped_sign(const stamped *s, uint32_t stamp) {
    line sign;
    for (int w = 0; w < STAMPED_WORDS; w++)
        sign.words[w] = _mm_set_epi32((int)stamp, 0, 0, 0);
    put(s, &sign);
}

#else

const char *stamped_echoes(stamped *s, uint64_t seed, uint32_t *count, uint32_t *ticks_taken) {
    (void)s, (void)seed, (void)count, (void)ticks_taken;
    return "only written for x86-64";
}

void stamped_sign(const stamped *s, uint32_t stamp) {
    (void)s, (void)stamp;
}

#endif
