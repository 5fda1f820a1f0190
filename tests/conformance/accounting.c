/* accepted = handled + dead letters + pending, at every moment of rest, whatever happens meanwhile. */
#include "world.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SENDERS = 3, ACTORS = 24 };

typedef struct traffic {
    world w;
    rk_kernel kernel;
    rk_kernel mesh; /* messages between actors all the time */
    uint64_t seed;
    atomic_bool stop;
    atomic_uint_fast64_t sent;
} traffic;

/* Good messages, messages that expire, actors that stop and fail: everything that there is a counter for. */
static void send_traffic(traffic *with, unsigned index) {
    uint64_t random = with->seed + index;
    while (!atomic_load(&with->stop)) {
        uint32_t what = test_random_below(&random, 1000);
        uint32_t actor = test_random_below(&random, ACTORS);
        rk_send_options options = SENDING(.priority = test_random_below(&random, 256), .timeout_ns = MILLISECOND);
        rk_status status;
        if (what == 0) {
            crash message = {.code = 1};
            status = rk_send(actor_of(with->kernel, actor), RK_TYPE(crash), &message, sizeof message, &options);
        } else if (what == 1) {
            status = rk_send(actor_of(with->kernel, actor), RK_TYPE(halt), NULL, 0, &options);
        } else if (what < 20) {
            burst message = {.ttl = 3};
            CHECK(rk_send(actor_of(with->mesh, actor), RK_TYPE(burst), &message, sizeof message, &options) >= 0);
            continue;
        } else {
            if (what < 200) options.deadline_ns = 1 + test_random_below(&random, 20000);
            visit message = {.nonce = what};
            status = rk_send(actor_of(with->kernel, actor), RK_TYPE(visit), &message, sizeof message, &options);
        }
        if (status == RK_OK) atomic_fetch_add(&with->sent, 1);
        else CHECK(status == RK_TIMEOUT || status == RK_AGAIN);
    }
}

static void receive_traffic(traffic *with) {
    enum { BATCH = 64 };
    rk_message messages[BATCH];
    _Alignas(16) unsigned char payloads[BATCH * sizeof(visited)];
    while (!atomic_load(&with->stop)) {
        uint32_t count = 0;
        rk_status status =
            rk_poll(with->w.runtime, messages, BATCH, payloads, sizeof payloads, 5 * MILLISECOND, &count);
        CHECK(status == RK_OK || status == RK_TIMEOUT);
    }
}

/* At rest the counters agree, and stay as they are. */
static void expect_rest(rk_kernel kernel) {
    rk_kernel_statistics before = check_accounts(kernel), after = check_accounts(kernel);
    CHECK_EQ(before.handled, after.handled);
    CHECK_EQ(before.dead_letters, after.dead_letters);
}

static uint64_t done_of(rk_kernel kernel) {
    rk_kernel_statistics stats = stats_of(kernel);
    return stats.handled + stats.dead_letters;
}

static void park_and_check(traffic *with) {
    uint64_t done = 0;
    for (uint32_t round = 0; round < test_load(300); round++) {
        if (round % 3 != 0) {
            CHECK_DONE(rk_runtime_park(with->w.runtime, PATIENCE, &test_error));
            expect_rest(with->kernel);
            expect_rest(with->mesh);
            CHECK_DONE(rk_runtime_unpark(with->w.runtime, &test_error));
        } else {
            CHECK_DONE(rk_kernel_deactivate(with->kernel, &test_error));
            expect_rest(with->kernel);
            CHECK_DONE(rk_kernel_activate(with->kernel, &test_error));
        }
        /* And between two rests it goes on. */
        int64_t deadline = test_now() + PATIENCE;
        uint64_t before = done;
        while ((done = done_of(with->kernel)) == before) CHECK(test_now() < deadline);
    }
    atomic_store(&with->stop, true);
}

static void traffic_thread(unsigned index, void *shared) {
    traffic *with = shared;
    if (index < SENDERS) send_traffic(with, index);
    else if (index == SENDERS) receive_traffic(with);
    else park_and_check(with);
}

CASE(accounting_under_load) {
    traffic with = {.w = world_open(), .seed = test_seed()};
    with.kernel = world_start(&with.w, "patient", OPTIONS(.actors = ACTORS, .inbound_capacity = 256));
    with.mesh = world_start(&with.w, "mesh", OPTIONS(.actors = ACTORS, .actor_capacity = 16));
    test_threads(SENDERS + 2, traffic_thread, &with);
    CHECK_DONE(rk_kernel_deactivate(with.kernel, &test_error));
    rk_kernel_statistics stats = check_accounts(with.kernel);
    CHECK_EQ(stats.accepted, with.sent);
    CHECK(stats.handled > 0);
    /* What is left when it ends becomes dead letters, and the sum still holds. */
    uint64_t left = 0, pending = stats.pending;
    CHECK_DONE(rk_kernel_terminate(with.kernel, &left, &test_error));
    CHECK_EQ(left, pending);
    rk_kernel_statistics end = check_accounts(with.kernel);
    CHECK_EQ(end.pending, 0);
    CHECK_EQ(end.accepted, with.sent);
    CHECK_EQ(end.dead_letters, stats.dead_letters + left);
    CHECK_DONE(rk_kernel_terminate(with.mesh, NULL, &test_error));
    CHECK_EQ(check_accounts(with.mesh).pending, 0);
    world_close(&with.w);
}

typedef struct ending {
    world w;
    rk_kernel kernel;
    bool drains;
    uint64_t seed, left;
    atomic_uint_fast64_t sent, replies, dead;
    atomic_bool over;
} ending;

static void end_thread(unsigned index, void *shared) {
    ending *with = shared;
    uint64_t random = with->seed + index;
    if (index == 0) {
        /* Somewhere in the middle of the traffic. */
        while (atomic_load(&with->sent) < 1000 + with->seed % 1000) {}
        if (with->drains) CHECK_DONE(rk_kernel_drain(with->kernel, PATIENCE, &test_error));
        else CHECK_DONE(rk_kernel_terminate(with->kernel, &with->left, &test_error));
        atomic_store(&with->over, true);
    } else if (index <= SENDERS) {
        for (;;) {
            visit message = {.nonce = index};
            const rk_send_options options =
                SENDING(.timeout_ns = PATIENCE, .priority = test_random_below(&random, 256));
            rk_actor to = actor_of(with->kernel, test_random_below(&random, ACTORS));
            rk_status status = rk_send(to, RK_TYPE(visit), &message, sizeof message, &options);
            if (status == RK_ERROR_BAD_STATE) return;
            CHECK_OK(status);
            atomic_fetch_add(&with->sent, 1);
        }
    } else {
        for (bool quiet = false; !quiet || !atomic_load(&with->over);) {
            quiet = atomic_load(&with->over);
            rk_message message;
            visited got;
            uint32_t count = 0;
            rk_status status =
                rk_poll(with->w.runtime, &message, 1, &got, sizeof got, quiet ? 20 * MILLISECOND : MILLISECOND, &count);
            if (status == RK_TIMEOUT) continue;
            CHECK_OK(status);
            quiet = false;
            if (message.kind == RK_MESSAGE_REPLY) atomic_fetch_add(&with->replies, 1);
            else if (message.kind == RK_MESSAGE_DEAD_LETTER) atomic_fetch_add(&with->dead, 1);
            else CHECK_EQ(message.type, RK_EVENT_KERNEL_TERMINATED);
        }
    }
}

/* Every message that was accepted is answered or comes back dead, when the kernel ends under load. */
static void end_under_load(bool drains) {
    uint64_t random = test_seed();
    for (uint32_t round = 0; round < test_load(60); round++) {
        ending with = {.w = world_open(), .drains = drains, .seed = test_random(&random)};
        with.kernel = world_start(&with.w, "patient",
                                  OPTIONS(.actors = ACTORS, .inbound_capacity = 64, .outbound_capacity = 64));
        test_threads(SENDERS + 2, end_thread, &with);
        rk_kernel_statistics stats = check_accounts(with.kernel);
        CHECK_EQ(stats.state, RK_KERNEL_TERMINATED);
        CHECK_EQ(stats.accepted, with.sent);
        CHECK_EQ(stats.pending, 0);
        CHECK_EQ(stats.dead_letters, drains ? 0 : with.left);
        CHECK_EQ(with.replies, stats.handled);
        CHECK_EQ(with.dead, stats.dead_letters);
        world_close(&with.w);
    }
}

CASE(accounting_drained_under_load) { end_under_load(true); }
CASE(accounting_terminated_under_load) { end_under_load(false); }

/* Both ends of messages between kernels, one of which ends in the middle of it. */
CASE(accounting_between_kernels) {
    uint64_t random = test_seed();
    for (uint32_t round = 0; round < test_load(60); round++) {
        world w = world_open();
        rk_kernel one = world_start(&w, "station", OPTIONS(.actors = 4));
        rk_kernel two = world_start(&w, "station", OPTIONS(.actors = 4));
        /* Tokens go to and fro for ever. */
        enum { TOKENS = 20 };
        for (uint32_t i = 0; i < 4; i++) {
            attach_to(actor_of(one, i), actor_of(two, i));
            attach_to(actor_of(two, i), actor_of(one, (i + 1) % 4));
        }
        for (uint32_t i = 0; i < TOKENS; i++) {
            token message = {.id = i, .hops = UINT32_MAX};
            send_to(actor_of(one, i % 4), RK_TYPE(token), &message, sizeof message);
        }
        wait_until_handled(two, 1000 + test_random_below(&random, 5000));
        uint64_t left = 0;
        CHECK_DONE(rk_kernel_terminate(two, &left, &test_error));
        CHECK_EQ(check_accounts(two).pending, 0);
        CHECK(stats_of(two).dead_letters >= left);
        /* Those that were left, and those that come later, make twenty dead letters; each is one of the tokens. */
        bool seen[TOKENS] = {false};
        for (uint32_t dead = 0, events = 0; dead < TOKENS || events < 1;) {
            token got;
            rk_message message = next_message(&w, &got, sizeof got);
            if (message.kind == RK_MESSAGE_EVENT) {
                CHECK_EQ(events++, 0);
                continue;
            }
            CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
            CHECK(message.reason == RK_DEAD_TERMINATED || message.reason == RK_DEAD_NO_ACTOR);
            CHECK(got.id < TOKENS && !seen[got.id]);
            seen[got.id] = true;
            dead++;
        }
        expect_silence(&w);
        CHECK_DONE(rk_kernel_deactivate(one, &test_error));
        CHECK_EQ(check_accounts(one).pending, 0);
        world_close(&w);
    }
}

/* rk_count(): the kernel's sum over all actors and workers. */
CASE(accounting_user_counters) {
    enum { COUNTERS = 8 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 50, .workers = 5));
    uint64_t random = test_seed(), expected[COUNTERS] = {0};
    for (uint32_t i = 0; i < test_load(5000); i++) {
        spend message = {.counter = test_random_below(&random, COUNTERS), .amount = (uint32_t)test_random(&random)};
        expected[message.counter] += message.amount;
        send_to(actor_of(kernel, i % 50), RK_TYPE(spend), &message, sizeof message);
    }
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    rk_kernel_statistics stats = check_accounts(kernel);
    for (int i = 0; i < COUNTERS; i++) CHECK_EQ(stats.counters[i], expected[i]);
    world_close(&w);
}
