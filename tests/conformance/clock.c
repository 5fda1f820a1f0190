/* The hybrid logical clock: unique, monotonic, and later for what was caused. */
#include "world.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_of(const world *w) {
    uint64_t stamp = 0;
    CHECK_OK(rk_hlc_now(w->runtime, &stamp));
    return stamp;
}

typedef struct ticking {
    const world *w;
    uint32_t each;
    uint64_t *stamps;
} ticking;

static void tick(unsigned index, void *shared) {
    const ticking *with = shared;
    uint64_t *stamps = with->stamps + (size_t)index * with->each, last = 0;
    for (uint32_t i = 0; i < with->each; i++) {
        stamps[i] = now_of(with->w);
        CHECK(stamps[i] > last);
        last = stamps[i];
    }
}

static int by_value(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Unique and growing: eight threads, a million stamps each. */
CASE(clock_threads) {
    enum { THREADS = 8 };
    world w = world_open();
    ticking with = {.w = &w, .each = test_load(1000000)};
    size_t count = (size_t)THREADS * with.each;
    with.stamps = malloc(count * sizeof *with.stamps);
    CHECK(with.stamps != NULL);
    test_threads(THREADS, tick, &with);
    qsort(with.stamps, count, sizeof *with.stamps, by_value);
    for (size_t i = 1; i < count; i++) CHECK(with.stamps[i] != with.stamps[i - 1]);
    free(with.stamps);
    world_close(&w);
}

/* The physical part is the time of day. */
CASE(clock_is_the_time_of_day) {
    world w = world_open();
    struct timespec day;
    CHECK_EQ(clock_gettime(CLOCK_REALTIME, &day), 0);
    uint64_t stamp = now_of(&w) >> 8; /* in units of 2^-24 s */
    int64_t expected = ((int64_t)day.tv_sec << 24) + (((int64_t)day.tv_nsec << 24) / SECOND);
    int64_t difference = (int64_t)stamp - expected;
    CHECK(difference > -(INT64_C(1) << 24) && difference < 5 * (INT64_C(1) << 24));
    world_close(&w);
}

/* Along a chain of actors in several kernels every hop is later than the one before, and all lie between two looks at
 * the host's clock. */
CASE(clock_along_a_chain) {
    enum { HOPS = 16, KERNELS = 4 };
    world w = world_open();
    rk_kernel kernels[KERNELS];
    for (int i = 0; i < KERNELS; i++) kernels[i] = world_start(&w, "station", OPTIONS(.actors = HOPS / KERNELS));
    for (uint32_t i = 0; i < HOPS; i++) {
        uint32_t next = (i + 1) % HOPS;
        attach_to(actor_of(kernels[i % KERNELS], i / KERNELS), actor_of(kernels[next % KERNELS], next / KERNELS));
    }
    uint64_t last = 0;
    for (uint32_t round = 0; round < test_load(2000); round++) {
        trail sent = {.depth = 0}, got;
        uint64_t before = now_of(&w);
        CHECK(before > last);
        send_to(actor_of(kernels[0], 0), RK_TYPE(trail), &sent, sizeof sent);
        rk_message message = next_message(&w, &got, sizeof got);
        uint64_t after = now_of(&w);
        CHECK_EQ(got.depth, HOPS);
        last = before;
        for (int i = 0; i < HOPS; i++) {
            if (got.stamps[i] <= last)
                test_fail(__FILE__, __LINE__, "hop %d at %llx, not after %llx", i, (unsigned long long)got.stamps[i],
                          (unsigned long long)last);
            last = got.stamps[i];
        }
        CHECK(message.time >= last);
        CHECK(after > message.time);
        last = after;
    }
    world_close(&w);
}

typedef struct conversation {
    const world *w;
    rk_kernel kernel;
    uint32_t each;
    pthread_mutex_t lock;
    uint64_t last;
} conversation;

/* Each takes the baton from another thread, and so everything before it is among its causes. */
static void converse(unsigned index, void *shared) {
    conversation *with = shared;
    for (uint32_t i = 0; i < with->each; i++) {
        CHECK_EQ(pthread_mutex_lock(&with->lock), 0);
        trail sent = {.depth = 15}, got;
        rk_message message;
        CHECK_DONE(rk_call(actor_of(with->kernel, index), RK_TYPE(trail), &sent, sizeof sent, NULL, &got, sizeof got,
                           &message, PATIENCE, &test_error));
        CHECK(got.stamps[15] > with->last);
        CHECK(message.time >= got.stamps[15]);
        with->last = now_of(with->w);
        CHECK(with->last > message.time);
        CHECK_EQ(pthread_mutex_unlock(&with->lock), 0);
    }
}

CASE(clock_across_threads_and_actors) {
    enum { THREADS = 4 };
    world w = world_open();
    conversation with = {.w = &w, .each = test_load(1000)};
    with.kernel = world_start(&w, "station", OPTIONS(.actors = THREADS));
    CHECK_EQ(pthread_mutex_init(&with.lock, NULL), 0);
    test_threads(THREADS, converse, &with);
    world_close(&w);
}

/* Replies of one actor bear growing stamps, no two the same. */
CASE(clock_of_replies) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 1));
    uint64_t last = 0;
    const uint32_t total = test_load(10000);
    for (uint32_t sent = 0, received = 0; received < total;) {
        visit message = {.nonce = sent};
        if (sent < total && rk_send(actor_of(kernel, 0), RK_TYPE(visit), &message, sizeof message, NULL) == RK_OK) {
            sent++;
            continue;
        }
        visited got;
        rk_message reply = next_message(&w, &got, sizeof got);
        CHECK_EQ(got.nonce, received);
        CHECK(reply.time > last);
        last = reply.time;
        received++;
    }
    world_close(&w);
}

/* Along every path through every graph stamps grow: kernels, workers and edges are random, several trails are under way
 * at once, and each is later than the host's stamp before it and earlier than the one after. */
static void follow_trails(const world *w, const rk_actor *stations, uint32_t count, uint64_t *random) {
    enum { TRAILS = 32 };
    uint64_t before[TRAILS];
    for (uint32_t i = 0; i < TRAILS; i++) {
        /* Of any length, by starting in the midst of one. */
        trail sent = {.depth = test_random_below(random, 16)};
        before[i] = now_of(w);
        for (uint32_t hop = 0; hop < sent.depth; hop++) sent.stamps[hop] = before[i];
        send_with(stations[test_random_below(random, count)], RK_TYPE(trail), &sent, sizeof sent,
                  SENDING(.correlation = i | (uint64_t)sent.depth << 32));
    }
    for (uint32_t i = 0; i < TRAILS; i++) {
        trail got;
        rk_message message = next_message(w, &got, sizeof got);
        uint64_t after = now_of(w);
        CHECK_EQ(message.type, RK_TYPE(trail));
        if (message.kind == RK_MESSAGE_DEAD_LETTER)
            test_fail(__FILE__, __LINE__, "a dead letter at depth %u, reason %d", got.depth, message.reason);
        CHECK_EQ(got.depth, 16);
        uint64_t last = before[(uint32_t)message.correlation];
        for (uint32_t hop = (uint32_t)(message.correlation >> 32); hop < 16; hop++) {
            if (got.stamps[hop] <= last)
                test_fail(__FILE__, __LINE__, "hop %u at %llx, not after %llx", hop,
                          (unsigned long long)got.stamps[hop], (unsigned long long)last);
            last = got.stamps[hop];
        }
        CHECK(message.time > last);
        CHECK(after > message.time);
    }
}

CASE(clock_over_random_topologies) {
    enum { KERNELS = 5, ACTORS = 8 };
    world w = world_open();
    uint64_t random = test_seed();
    for (uint32_t topology = 0; topology < test_load(60); topology++) {
        rk_kernel kernels[KERNELS];
        rk_actor stations[KERNELS * ACTORS];
        uint32_t kernel_count = 1 + test_random_below(&random, KERNELS), count = 0;
        for (uint32_t k = 0; k < kernel_count; k++) {
            uint32_t actors = 1 + test_random_below(&random, ACTORS);
            kernels[k] = world_start(
                &w, "station", OPTIONS(.actors = actors, .workers = 1 + test_random_below(&random, actors)));
            for (uint32_t i = 0; i < actors; i++) stations[count++] = actor_of(kernels[k], i);
        }
        for (uint32_t i = 0; i < count; i++) attach_to(stations[i], stations[test_random_below(&random, count)]);
        for (uint32_t round = 0; round < 4; round++) follow_trails(&w, stations, count, &random);
        for (uint32_t k = 0; k < kernel_count; k++) CHECK_OK(rk_kernel_destroy(kernels[k]));
    }
    world_close(&w);
}

/* A stamp from outside is a cause of all that follows here, in handlers too; one of a clock that is wrong is refused. */
CASE(clock_merges_stamps_from_outside) {
    enum { HOUR = 3600 };
    world w = world_open_with((rk_runtime_options){.struct_size = sizeof(rk_runtime_options), .clock_drift_ms = 2000});
    rk_kernel kernel = world_start(&w, "station", OPTIONS(.actors = 1));
    attach_to(actor_of(kernel, 0), actor_of(kernel, 0));
    uint64_t ahead = rk_hlc_from_unix_ns(rk_hlc_unix_ns(now_of(&w)) + SECOND), now = 0;
    CHECK_DONE(rk_hlc_merge(w.runtime, ahead, &now, &test_error));
    CHECK(now > ahead);
    trail sent = {.depth = 0}, got;
    send_to(actor_of(kernel, 0), RK_TYPE(trail), &sent, sizeof sent);
    rk_message message = next_message(&w, &got, sizeof got);
    CHECK(got.stamps[0] > now);
    CHECK(message.time > got.stamps[15]);
    uint64_t wrong = rk_hlc_from_unix_ns(rk_hlc_unix_ns(now) + HOUR * (uint64_t)SECOND);
    CHECK_ERROR(rk_hlc_merge(w.runtime, wrong, &now, &test_error), RK_ERROR_DRIFT);
    CHECK(now_of(&w) < wrong);
    world_close(&w);
}
