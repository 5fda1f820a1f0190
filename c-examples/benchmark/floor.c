#define _GNU_SOURCE
#include "floor.h"

#include "clock.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 1024, WORDS = 6, STOP = 1, LINE = 64 };

/* A bounded queue after Vyukov: a slot belongs to whoever its sequence number says. One cache line a message. */
typedef struct slot {
    alignas(LINE) _Atomic uint64_t sequence;
    uint64_t control;
    uint64_t words[WORDS];
} slot;

_Static_assert(sizeof(slot) == LINE, "a message is one cache line");

typedef struct ring {
    alignas(2 * LINE) _Atomic uint64_t tail;
    alignas(2 * LINE) uint64_t head;
    alignas(2 * LINE) slot slots[CAPACITY];
} ring;

typedef struct rings {
    ring in;  /* any number of producers, as rk_send() has to allow */
    ring out; /* one producer */
} rings;

static void relax(void) {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int push_shared(ring *r, uint64_t control, const uint64_t *words) {
    uint64_t position = atomic_load_explicit(&r->tail, memory_order_relaxed);
    for (;;) {
        slot *s = &r->slots[position % CAPACITY];
        int64_t lead = (int64_t)(atomic_load_explicit(&s->sequence, memory_order_acquire) - position);
        if (lead < 0)
            return 0; /* full */
        if (lead > 0) {
            position = atomic_load_explicit(&r->tail, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(&r->tail, &position, position + 1, memory_order_relaxed,
                                                         memory_order_relaxed)) {
            s->control = control;
            memcpy(s->words, words, sizeof s->words);
            atomic_store_explicit(&s->sequence, position + 1, memory_order_release);
            return 1;
        }
    }
}

static int push_alone(ring *r, const uint64_t *words) {
    uint64_t position = atomic_load_explicit(&r->tail, memory_order_relaxed);
    slot *s = &r->slots[position % CAPACITY];
    if (atomic_load_explicit(&s->sequence, memory_order_acquire) != position)
        return 0;
    memcpy(s->words, words, sizeof s->words);
    atomic_store_explicit(&s->sequence, position + 1, memory_order_release);
    atomic_store_explicit(&r->tail, position + 1, memory_order_relaxed);
    return 1;
}

static int pop(ring *r, uint64_t *control, uint64_t *words) {
    slot *s = &r->slots[r->head % CAPACITY];
    if (atomic_load_explicit(&s->sequence, memory_order_acquire) != r->head + 1)
        return 0;
    *control = s->control;
    memcpy(words, s->words, sizeof s->words);
    atomic_store_explicit(&s->sequence, r->head + CAPACITY, memory_order_release);
    r->head++;
    return 1;
}

/* Does what the echo actor does: adds to every word how many messages came before. */
static void *echo(void *argument) {
    rings *r = argument;
    for (uint64_t handled = 0;; handled++) {
        uint64_t control;
        uint64_t words[WORDS];
        while (!pop(&r->in, &control, words))
            relax();
        if (control == STOP)
            return NULL;
        for (int i = 0; i < WORDS; i++)
            words[i] += handled;
        while (!push_alone(&r->out, words))
            relax();
    }
}

static rings *start(int cpu, pthread_t *thread) {
    rings *r = aligned_alloc(2 * LINE, sizeof *r);
    if (r == NULL)
        return NULL;
    memset(r, 0, sizeof *r);
    for (uint64_t i = 0; i < CAPACITY; i++) {
        atomic_store(&r->in.slots[i].sequence, i);
        atomic_store(&r->out.slots[i].sequence, i);
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (cpu >= 0) { /* from the start: it must not begin behind its maker, which spins */
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((unsigned)cpu, &set);
        (void)pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    }
    const int failure = pthread_create(thread, &attributes, echo, r);
    pthread_attr_destroy(&attributes);
    if (failure != 0) {
        free(r);
        return NULL;
    }
    return r;
}

/* After all echoes were received: the rings are empty, so there is room. */
static void stop(rings *r, pthread_t thread) {
    const uint64_t words[WORDS] = {0};
    (void)push_shared(&r->in, STOP, words);
    pthread_join(thread, NULL);
    free(r);
}

static int is_echo(const uint64_t *sent, const uint64_t *received, uint64_t handled) {
    uint64_t wrong = 0;
    for (int i = 0; i < WORDS; i++)
        wrong |= received[i] ^ (sent[i] + handled);
    return wrong == 0;
}

/* False when nothing comes for ten seconds. */
static int pop_in_time(ring *r, uint64_t *words) {
    uint64_t control;
    double deadline = 0;
    for (uint32_t spins = 1; !pop(r, &control, words); spins++) {
        relax();
        if (spins % 65536 != 0)
            continue;
        if (deadline == 0)
            deadline = seconds() + 10;
        else if (seconds() > deadline)
            return 0;
    }
    return 1;
}

int floor_round_trips(int cpu, uint64_t seed, uint32_t count, uint32_t *ticks_taken) {
    pthread_t thread;
    rings *r = start(cpu, &thread);
    if (r == NULL)
        return -1;
    int good = 1;
    for (uint32_t i = 0; i < count && good; i++) {
        uint64_t sent[WORDS] = {0};
        uint64_t received[WORDS];
        for (int w = 0; w < 4; w++)
            sent[w] = random_next(&seed);
        uint64_t begin = ticks();
        good = push_shared(&r->in, 0, sent) && pop_in_time(&r->out, received);
        ticks_taken[i] = (uint32_t)(ticks() - begin);
        good = good && is_echo(sent, received, i);
    }
    stop(r, thread);
    return good ? 0 : -1;
}

int floor_echoes(int cpu, uint64_t seed, uint64_t count, uint64_t window, double *seconds_taken) {
    enum { POOL = 512 };
    uint64_t pool[POOL][WORDS];
    for (int i = 0; i < POOL; i++)
        for (int w = 0; w < WORDS; w++)
            pool[i][w] = random_next(&seed);
    pthread_t thread;
    rings *r = start(cpu, &thread);
    if (r == NULL)
        return -1;
    int good = 1;
    double begin = seconds();
    for (uint64_t sent = 0, received = 0; received < count && good;) {
        while (sent < count && sent - received < window && push_shared(&r->in, 0, pool[sent % POOL]))
            sent++;
        uint64_t control;
        uint64_t words[WORDS];
        good = pop_in_time(&r->out, words);
        do {
            good = good && is_echo(pool[received % POOL], words, received);
            received++;
        } while (good && pop(&r->out, &control, words));
    }
    *seconds_taken = seconds() - begin;
    stop(r, thread);
    return good ? 0 : -1;
}
