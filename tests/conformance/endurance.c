/* Everything that there is a counter for, at once and for long: --soak 300 is five minutes of it, --load 2500 ten million
 * messages. The end of each message is known: an answer, a dead letter, or a handler that failed. */
#include "world.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SENDERS = 3, ACTORS = 24, MESSAGES = 400000, BATCH = 64, WINDOW = 1024, MAX_WORDS = 130, MAX_HOPS = 7 };
enum { KINDS = 4, CRASH = KINDS - 1 };

/* Of every kind, the last of which are the crashes. */
static const struct {
    const char *name;
    uint32_t type, words;
} kinds[KINDS] = {{"of 32 B", RK_TYPE(short_errand), 2},
                  {"of 96 B", RK_TYPE(long_errand), 10},
                  {"of 1056 B", RK_TYPE(heavy_errand), MAX_WORDS},
                  {"at which handlers fail", RK_TYPE(crash), 0}};

typedef heavy_errand errand; /* all begin alike */
#define ERRAND_SIZE(words_) (offsetof(errand, words) + 8 * (size_t)(words_))

/* A message that is under way. Its id is the flight's place and the number of its use, so that one that comes to two ends,
 * or to that of another, is found out. */
typedef struct flight {
    atomic_bool open;
    uint32_t use, kind, hops, first;
} flight;

typedef struct totals {
    uint64_t sent[KINDS], answered[KINDS], expired[KINDS]; /* of each kind */
    uint64_t failed, handled, accepted;                    /* what the kernel must have counted */
} totals;

typedef struct endurance {
    world w;
    rk_kernel kernel;
    rk_actor actors[ACTORS];
    uint64_t seed;
    uint32_t each;             /* messages of one sender; with --soak as many as come in time */
    int64_t until, park_every; /* of --soak, else 0; nanoseconds */
    atomic_uint senders;       /* that are still sending */
    atomic_bool over;          /* all that was sent has come to something */
    atomic_uint_fast64_t sent[KINDS];
    flight flights[SENDERS * WINDOW];
    totals t;                  /* but `sent`: of the receiving thread */
    uint32_t parks, snapshots; /* taken */
    int64_t longest_park;
} endurance;

static uint64_t word_of(uint64_t id, uint32_t which) {
    return id * UINT64_C(0x9E3779B97F4A7C15) + which;
}

/* The next flight of this sender that is not under way, which may be any: those of low priority take their time. */
static flight *next_free(endurance *with, unsigned index, uint32_t *cursor) {
    for (const int64_t begin = test_now();; sched_yield()) {
        for (uint32_t tries = 0; tries < WINDOW; tries++) {
            flight *f = &with->flights[index * WINDOW + (*cursor)++ % WINDOW];
            if (!atomic_load_explicit(&f->open, memory_order_acquire)) return f;
        }
        if (test_now() - begin > PATIENCE) test_fail(__FILE__, __LINE__, "no message has come to an end for 30 s");
    }
}

/* All priorities; deadlines, some of them too short; and now and then a handler that fails, whose actor is restarted. */
static void send_all(endurance *with, unsigned index) {
    uint64_t random = with->seed + index;
    uint32_t cursor = 0;
    for (uint32_t i = 0; with->until == 0 ? i < with->each : test_now() < with->until; i++) {
        const uint32_t what = test_random_below(&random, 1000);
        rk_send_options options = SENDING(.priority = test_random_below(&random, 256), .timeout_ns = PATIENCE);
        flight *f = next_free(with, index, &cursor);
        const uint32_t place = (uint32_t)(f - with->flights);
        f->use++;
        f->kind = what == 0 ? CRASH : what % 10 == 9 ? 2 : what % 10 > 5 ? 1 : 0;
        f->hops = what % 2 == 0 ? 0 : test_random_below(&random, MAX_HOPS + 1);
        f->first = test_random_below(&random, ACTORS);
        const uint32_t kind = f->kind;
        const rk_actor to = with->actors[f->first];
        const crash failing = {.code = (int32_t)place};
        errand message = {.id = (uint64_t)f->use << 32 | place, .left = f->hops};
        for (uint32_t w = 0; w < kinds[kind].words; w++) message.words[w] = word_of(message.id, w);
        if (kind != CRASH && what < 300) options.deadline_ns = 1 + test_random_below(&random, 1000000);
        atomic_store_explicit(&f->open, true, memory_order_release);
        if (kind == CRASH) CHECK_OK(rk_send(to, RK_TYPE(crash), &failing, sizeof failing, &options));
        else CHECK_OK(rk_send(to, kinds[kind].type, &message, ERRAND_SIZE(kinds[kind].words), &options));
        atomic_fetch_add(&with->sent[kind], 1);
    }
    atomic_fetch_sub(&with->senders, 1);
}

/* Every message comes to one end, and then its flight is free. */
static flight *end_of(endurance *with, uint64_t place) {
    CHECK(place < SENDERS * WINDOW);
    flight *f = &with->flights[place];
    if (!atomic_load_explicit(&f->open, memory_order_acquire))
        test_fail(__FILE__, __LINE__, "a message has come to a second end");
    return f;
}

/* An answer of the last actor on the message's way, or a dead letter of one on it. */
static void receive_errand(endurance *with, const rk_message *message) {
    errand got = {0};
    CHECK(message->size >= ERRAND_SIZE(0) && message->size <= sizeof got);
    memcpy(&got, message->payload, message->size);
    flight *f = end_of(with, (uint32_t)got.id);
    const uint32_t kind = f->kind;
    CHECK_EQ(got.id >> 32, f->use);
    CHECK(kind != CRASH && got.left <= f->hops);
    CHECK_EQ(message->type, kinds[kind].type);
    CHECK_EQ(message->size, ERRAND_SIZE(kinds[kind].words));
    const bool died = message->kind == RK_MESSAGE_DEAD_LETTER;
    uint32_t at = f->first, passed = 0;
    for (uint32_t left = f->hops; left > got.left; left--, passed++) at = (at * 5 + left) % ACTORS;
    if (died) {
        CHECK_EQ(message->reason, RK_DEAD_EXPIRED);
        CHECK_EQ(message->to.id, with->actors[at].id);
        with->t.expired[kind]++;
        with->t.handled += passed;
    } else {
        CHECK_EQ(got.left, 0);
        CHECK_EQ(message->from.id, with->actors[at].id);
        with->t.answered[kind]++;
        with->t.handled += passed + 1;
    }
    const uint32_t changes = died ? passed : passed + 1;
    for (uint32_t w = 0; w < kinds[kind].words; w++) CHECK_EQ(got.words[w], word_of(got.id, w) + changes);
    with->t.accepted += passed + 1;
    atomic_store_explicit(&f->open, false, memory_order_release);
}

static void receive_crash(endurance *with, const rk_message *event) {
    CHECK_EQ(event->kind, RK_MESSAGE_EVENT);
    CHECK_EQ(event->type, RK_EVENT_ACTOR_RESTARTED);
    flight *f = end_of(with, (uint32_t)event->reason);
    CHECK_EQ(f->kind, CRASH);
    CHECK_EQ(event->from.id, with->actors[f->first].id);
    with->t.failed++, with->t.handled++, with->t.accepted++;
    atomic_store_explicit(&f->open, false, memory_order_release);
}

static uint64_t sum(const uint64_t *of) {
    uint64_t all = 0;
    for (int k = 0; k < KINDS; k++) all += of[k];
    return all;
}

static void receive_all(endurance *with) {
    rk_message messages[BATCH];
    static _Alignas(16) unsigned char payloads[BATCH * sizeof(errand)];
    for (;;) {
        const bool all_sent = atomic_load(&with->senders) == 0;
        uint64_t sent = 0;
        for (int k = 0; k < KINDS; k++) sent += atomic_load(&with->sent[k]);
        if (all_sent && sum(with->t.answered) + sum(with->t.expired) + with->t.failed == sent) break;
        uint32_t count = 0;
        const rk_status status =
            rk_poll(with->w.runtime, messages, BATCH, payloads, sizeof payloads, PATIENCE, &count);
        if (status == RK_TIMEOUT)
            test_fail(__FILE__, __LINE__, "nothing has come for 30 s; %llu sent, %llu answered, %llu expired, %llu failed",
                      (unsigned long long)sent, (unsigned long long)sum(with->t.answered),
                      (unsigned long long)sum(with->t.expired), (unsigned long long)with->t.failed);
        CHECK_OK(status);
        for (uint32_t i = 0; i < count; i++) {
            if (messages[i].kind == RK_MESSAGE_REPLY || messages[i].kind == RK_MESSAGE_DEAD_LETTER)
                receive_errand(with, &messages[i]);
            else
                receive_crash(with, &messages[i]);
        }
    }
    atomic_store(&with->over, true);
}

static void wait_until(endurance *with, int64_t time) {
    while (test_now() < time && !atomic_load(&with->over)) {
        const int64_t soon = test_now() + 20 * MILLISECOND;
        test_until(time < soon ? time : soon);
    }
}

static void park_again_and_again(endurance *with) {
    for (int64_t next = test_now(); !atomic_load(&with->over); with->parks++) {
        wait_until(with, next += with->park_every);
        const int64_t begin = test_now();
        CHECK_DONE(rk_runtime_park(with->w.runtime, PATIENCE, &test_error));
        check_accounts(with->kernel);
        CHECK_DONE(rk_runtime_unpark(with->w.runtime, &test_error));
        const int64_t now = test_now();
        if (now - begin > with->longest_park) with->longest_park = now - begin;
        if (next < now) next = now;
    }
}

/* Every 100 ms. A kernel on a device refuses while it has still to say that an actor failed: then again, soon. */
static void snapshot_again_and_again(endurance *with) {
    for (int64_t next = test_now(), taken = next; !atomic_load(&with->over); wait_until(with, next)) {
        void *data;
        size_t size;
        rk_error error;
        const rk_status status = rk_kernel_snapshot(with->kernel, 0, &data, &size, &error);
        const int64_t now = test_now();
        next = now + MILLISECOND;
        if (status == RK_ERROR_BAD_STATE && now - taken < PATIENCE) continue;
        if (status != RK_OK) test_fail(__FILE__, __LINE__, "%s: %s", rk_status_name(status), error.message);
        rk_snapshot_info info = RK_SNAPSHOT_INFO_INIT;
        CHECK_DONE(rk_snapshot_describe(data, size, &info, &test_error));
        CHECK_EQ(info.actors, ACTORS);
        rk_snapshot_free(data);
        with->snapshots++;
        taken = now, next = now + 100 * MILLISECOND;
    }
}

static void endure_thread(unsigned index, void *shared) {
    endurance *with = shared;
    if (index < SENDERS) send_all(with, index);
    else if (index == SENDERS) receive_all(with);
    else if (index == SENDERS + 1) park_again_and_again(with);
    else snapshot_again_and_again(with);
}

static void begin(endurance *with, uint32_t messages) {
    with->w = world_open();
    with->seed = test_seed();
    with->each = messages / SENDERS + 1;
    with->park_every = world_soak == 0 ? 5 * MILLISECOND : SECOND;
    atomic_store(&with->senders, SENDERS);
    with->kernel = world_start(&with->w, "runner", OPTIONS(.actors = ACTORS, .on_failure = RK_ON_FAILURE_RESTART,
                                                           .max_restarts = 1000000, .restart_window_ms = 86400000));
    for (uint32_t a = 0; a < ACTORS; a++) with->actors[a] = actor_of(with->kernel, a);
}

static void endure(endurance *with) {
    if (world_soak != 0) with->until = test_now() + world_soak * SECOND;
    test_threads(SENDERS + 3, endure_thread, with);
}

/* Beside a program that does the same and is killed in the middle of it. */
CASE(endurance_of_everything_at_once) {
    static endurance with;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        begin(&with, UINT32_MAX / 2);
        endure(&with);
        test_child_done();
    }
    begin(&with, test_load(MESSAGES));
    test_until(test_now() + 200 * MILLISECOND);
    int status;
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    const int64_t began = test_now();
    endure(&with);
    const double took = (double)(test_now() - began) / 1e9;
    CHECK_DONE(rk_kernel_drain(with.kernel, PATIENCE, &test_error));
    const rk_kernel_statistics stats = check_accounts(with.kernel);
    totals *t = &with.t;
    for (int k = 0; k < KINDS; k++) {
        t->sent[k] = with.sent[k];
        CHECK_EQ(t->sent[k], t->answered[k] + t->expired[k] + (k == CRASH ? t->failed : 0));
    }
    CHECK_EQ(stats.pending, 0);
    CHECK_EQ(stats.accepted, t->accepted);
    CHECK_EQ(stats.handled, t->handled);
    CHECK_EQ(stats.dead_letters, sum(t->expired));
    CHECK_EQ(stats.restarts, t->failed);
    CHECK_EQ(stats.failures, t->failed);
    CHECK_EQ(stats.sent_actors, t->accepted - sum(t->sent));
    CHECK(with.parks > 0 && with.snapshots > 0 && sum(t->answered) > 0);
    for (int k = 0; k < KINDS; k++)
        printf("%llu messages %s: %llu answered, %llu expired, %llu handlers failed\n", (unsigned long long)t->sent[k],
               kinds[k].name, (unsigned long long)t->answered[k], (unsigned long long)t->expired[k],
               (unsigned long long)(k == CRASH ? t->failed : 0));
    printf("%llu messages in %.1f s, handled %llu times; %u parks, the longest %.3f ms; %u snapshots\n",
           (unsigned long long)sum(t->sent), took, (unsigned long long)t->handled, with.parks,
           (double)with.longest_park / 1e6, with.snapshots);
    world_close(&with.w);
}
