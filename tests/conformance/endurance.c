/* Everything that there is a counter for, at once and for long: --load 1000 --seconds 600 is ten million messages. */
#include "world.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SENDERS = 3, ACTORS = 24, MESSAGES = 1000000, BATCH = 64 };

typedef struct endurance {
    world w;
    rk_kernel kernel;
    uint64_t seed;
    uint32_t each;             /* messages of one sender */
    atomic_uint senders;       /* that are still sending */
    atomic_bool over;          /* all that was sent has come to something */
    atomic_uint_fast64_t sent, crashes;
    uint64_t replies, dead;    /* received */
    uint32_t parks, snapshots; /* taken */
} endurance;

/* All priorities; deadlines, some of them too short; and now and then a handler that fails, whose actor is restarted. */
static void send_all(endurance *with, unsigned index) {
    uint64_t random = with->seed + index;
    for (uint32_t i = 0; i < with->each; i++) {
        const uint32_t what = test_random_below(&random, 1000);
        rk_send_options options = SENDING(.priority = test_random_below(&random, 256), .timeout_ns = PATIENCE);
        const rk_actor to = actor_of(with->kernel, test_random_below(&random, ACTORS));
        if (what == 0) {
            const crash message = {.code = 1};
            CHECK_OK(rk_send(to, RK_TYPE(crash), &message, sizeof message, &options));
            atomic_fetch_add(&with->crashes, 1);
        } else {
            if (what < 300) options.deadline_ns = 1 + test_random_below(&random, 1000000);
            const visit message = {.nonce = what};
            CHECK_OK(rk_send(to, RK_TYPE(visit), &message, sizeof message, &options));
        }
        atomic_fetch_add(&with->sent, 1);
    }
    atomic_fetch_sub(&with->senders, 1);
}

/* Until every message is answered, back, or one at which a handler failed. */
static void receive_all(endurance *with) {
    rk_message messages[BATCH];
    _Alignas(16) unsigned char payloads[BATCH * sizeof(visited)];
    for (;;) {
        const bool all_sent = atomic_load(&with->senders) == 0;
        if (all_sent && with->replies + with->dead + with->crashes == with->sent) break;
        uint32_t count = 0;
        CHECK_OK(rk_poll(with->w.runtime, messages, BATCH, payloads, sizeof payloads, PATIENCE, &count));
        for (uint32_t i = 0; i < count; i++) {
            const rk_message *message = &messages[i];
            if (message->kind == RK_MESSAGE_REPLY) {
                with->replies++;
            } else if (message->kind == RK_MESSAGE_DEAD_LETTER) {
                CHECK_EQ(message->reason, RK_DEAD_EXPIRED);
                with->dead++;
            } else {
                CHECK_EQ(message->kind, RK_MESSAGE_EVENT);
                CHECK_EQ(message->type, RK_EVENT_ACTOR_RESTARTED);
            }
        }
    }
    atomic_store(&with->over, true);
}

/* Every 5 ms. */
static void park_again_and_again(endurance *with) {
    for (int64_t next = test_now(); !atomic_load(&with->over); with->parks++) {
        test_until(next += 5 * MILLISECOND);
        CHECK_DONE(rk_runtime_park(with->w.runtime, PATIENCE, &test_error));
        check_accounts(with->kernel);
        CHECK_DONE(rk_runtime_unpark(with->w.runtime, &test_error));
        if (next < test_now()) next = test_now();
    }
}

/* Every 100 ms. */
static void snapshot_again_and_again(endurance *with) {
    for (int64_t next = test_now(); !atomic_load(&with->over); with->snapshots++) {
        void *data;
        size_t size;
        CHECK_DONE(rk_kernel_snapshot(with->kernel, 0, &data, &size, &test_error));
        rk_snapshot_info info = RK_SNAPSHOT_INFO_INIT;
        CHECK_DONE(rk_snapshot_describe(data, size, &info, &test_error));
        CHECK_EQ(info.actors, ACTORS);
        rk_snapshot_free(data);
        while (test_now() < next + 100 * MILLISECOND && !atomic_load(&with->over)) test_until(test_now() + MILLISECOND);
        next = test_now();
    }
}

static void endure_thread(unsigned index, void *shared) {
    endurance *with = shared;
    if (index < SENDERS) send_all(with, index);
    else if (index == SENDERS) receive_all(with);
    else if (index == SENDERS + 1) park_again_and_again(with);
    else snapshot_again_and_again(with);
}

static endurance begin(uint32_t messages) {
    endurance with = {.w = world_open(), .seed = test_seed(), .each = messages / SENDERS + 1, .senders = SENDERS};
    with.kernel = world_start(&with.w, "patient", OPTIONS(.actors = ACTORS, .on_failure = RK_ON_FAILURE_RESTART,
                                                          .max_restarts = 1000000, .restart_window_ms = 86400000));
    return with;
}

/* Beside a program that does the same and is killed in the middle of it. */
CASE(endurance_of_everything_at_once) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        endurance with = begin(UINT32_MAX / 2);
        test_threads(SENDERS + 3, endure_thread, &with);
        test_child_done();
    }
    endurance with = begin(test_load(MESSAGES));
    test_until(test_now() + 200 * MILLISECOND);
    int status;
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    const int64_t began = test_now();
    test_threads(SENDERS + 3, endure_thread, &with);
    const int64_t took = test_now() - began;
    CHECK_DONE(rk_kernel_drain(with.kernel, PATIENCE, &test_error));
    const rk_kernel_statistics stats = check_accounts(with.kernel);
    CHECK_EQ(stats.pending, 0);
    CHECK_EQ(stats.accepted, with.sent);
    CHECK_EQ(stats.handled, with.replies + with.crashes);
    CHECK_EQ(stats.dead_letters, with.dead);
    CHECK_EQ(stats.restarts, with.crashes);
    CHECK_EQ(stats.failures, with.crashes);
    CHECK(with.parks > 0 && with.snapshots > 0 && with.replies > 0);
    printf("%llu messages in %.1f s: %llu answered, %llu expired, %llu handlers failed; %u parks, %u snapshots\n",
           (unsigned long long)with.sent, (double)took / 1e9, (unsigned long long)with.replies,
           (unsigned long long)with.dead, (unsigned long long)with.crashes, with.parks, with.snapshots);
    world_close(&with.w);
}
