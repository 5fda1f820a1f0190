/* Requests and their replies: correlation, calls of many threads, time limits. */
#include "world.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A window of requests with random correlation; each reply answers one of them, once. */
CASE(request_correlation) {
    enum { ACTORS = 16, WINDOW = 64 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS));
    uint64_t random = test_seed();
    struct {
        uint64_t nonce, correlation;
        uint32_t actor;
        bool open;
    } window[WINDOW] = {{0, 0, 0, false}};
    uint32_t sent = 0, answered = 0;
    const uint32_t total = test_load(20000);
    while (answered < total) {
        for (uint32_t i = 0; i < WINDOW && sent < total; i++) {
            if (window[i].open) continue;
            /* The low bits say where to look, the others are noise. */
            window[i].correlation = (test_random(&random) & ~(uint64_t)(WINDOW - 1)) | i;
            window[i].nonce = test_random(&random);
            window[i].actor = test_random_below(&random, ACTORS);
            window[i].open = true;
            visit message = {.nonce = window[i].nonce};
            send_with(actor_of(kernel, window[i].actor), RK_TYPE(visit), &message, sizeof message,
                      SENDING(.correlation = window[i].correlation));
            sent++;
        }
        visited got;
        rk_message message = next_message(&w, &got, sizeof got);
        uint32_t i = message.correlation & (WINDOW - 1);
        CHECK(window[i].open);
        CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
        CHECK_EQ(message.correlation, window[i].correlation);
        CHECK_EQ(got.nonce, window[i].nonce);
        CHECK_EQ(got.correlation, window[i].correlation);
        CHECK_EQ(got.index, window[i].actor);
        CHECK_EQ(message.from.id, actor_of(kernel, window[i].actor).id);
        window[i].open = false;
        answered++;
    }
    expect_silence(&w);
    world_close(&w);
}

typedef struct callers {
    rk_kernel kernel;
    uint32_t actors, each;
    uint64_t seed;
} callers;

static void call_often(unsigned index, void *shared) {
    const callers *with = shared;
    uint64_t random = with->seed + index;
    for (uint32_t i = 0; i < with->each; i++) {
        rk_actor to = actor_of(with->kernel, test_random_below(&random, with->actors));
        visit question = {.nonce = test_random(&random)};
        visited got;
        rk_message message;
        rk_send_options options = SENDING(.priority = test_random_below(&random, 256));
        CHECK_DONE(rk_call(to, RK_TYPE(visit), &question, sizeof question, &options, &got, sizeof got, &message,
                           PATIENCE, &test_error));
        CHECK_EQ(got.nonce, question.nonce);
        CHECK_EQ(got.self, to.id);
        CHECK_EQ(message.from.id, to.id);
        CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
        CHECK_EQ(message.type, RK_TYPE(visited));
        CHECK(message.payload == &got);
    }
}

CASE(request_calls_of_many_threads) {
    enum { THREADS = 16 };
    world w = world_open();
    callers with = {.actors = 20, .each = test_load(1000), .seed = test_seed()};
    with.kernel = world_start(&w, "patient", OPTIONS(.actors = with.actors));
    test_threads(THREADS, call_often, &with);
    expect_silence(&w); /* replies to calls are for the callers alone */
    CHECK_DONE(rk_kernel_deactivate(with.kernel, &test_error));
    CHECK_EQ(check_accounts(with.kernel).handled, (uint64_t)THREADS * with.each);
    world_close(&w);
}

/* A call that gave up: its reply comes to nobody, and does not answer the next call. */
CASE(request_call_times_out) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 1, .inbound_capacity = 4));
    rk_actor to = actor_of(kernel, 0);
    uint64_t random = test_seed();
    for (int round = 0; round < 20; round++) {
        CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
        visit question = {.nonce = test_random(&random)};
        visited got;
        for (int i = 0; i < 3; i++) {
            int64_t start = test_now();
            CHECK_ERROR(rk_call(to, RK_TYPE(visit), &question, sizeof question, NULL, &got, sizeof got, NULL,
                                i * MILLISECOND, &test_error),
                        RK_TIMEOUT);
            CHECK(test_now() - start >= i * MILLISECOND);
        }
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        question.nonce = test_random(&random);
        ask_for(to, RK_TYPE(visit), &question, sizeof question, RK_TYPE(visited), &got, sizeof got);
        CHECK_EQ(got.nonce, question.nonce);
    }
    expect_silence(&w);
    world_close(&w);
}

/* Also when there is no room for the question. */
CASE(request_call_of_a_full_ring_times_out) {
    world w = world_open();
    rk_kernel kernel = world_launch(&w, "patient", OPTIONS(.actors = 1, .inbound_capacity = 4));
    rk_actor to = actor_of(kernel, 0);
    visit question = {.nonce = 1};
    for (int i = 0; i < 4; i++) CHECK_OK(rk_send(to, RK_TYPE(visit), &question, sizeof question, NULL));
    visited got;
    CHECK_ERROR(rk_call(to, RK_TYPE(visit), &question, sizeof question, NULL, &got, sizeof got, NULL, 5 * MILLISECOND,
                        &test_error),
                RK_TIMEOUT);
    CHECK_EQ(stats_of(kernel).accepted, 4);
    world_close(&w);
}

/* A handler that does not answer, but emits: the emit is no reply. */
CASE(request_emit_is_no_reply) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "courier", OPTIONS(.actors = 1));
    letter sent = {.value = 5};
    CHECK_ERROR(rk_call(actor_of(kernel, 0), RK_TYPE(letter), &sent, sizeof sent, NULL, NULL, 0, NULL, 20 * MILLISECOND,
                        &test_error),
                RK_TIMEOUT);
    read_letter got;
    rk_message message = next_message(&w, &got, sizeof got);
    CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
    CHECK_EQ(message.correlation, 0);
    CHECK_EQ(got.value, 5);
    CHECK_EQ(got.from, 0);
    CHECK_EQ(got.size, sizeof sent);
    world_close(&w);
}

/* A call that was forwarded is answered by the last of the chain, from another kernel. */
CASE(request_forwarded) {
    enum { LINKS = 9 };
    world w = world_open();
    rk_kernel kernels[3];
    for (int i = 0; i < 3; i++) kernels[i] = world_start(&w, "mirror", OPTIONS(.actors = 3));
    for (uint32_t i = 0; i + 1 < LINKS; i++)
        attach_to(actor_of(kernels[i % 3], i / 3), actor_of(kernels[(i + 1) % 3], (i + 1) / 3));
    uint64_t random = test_seed();
    for (uint32_t i = 0; i < test_load(1000); i++) {
        blob_25 sent, got;
        test_random_bytes(&random, &sent, sizeof sent);
        rk_message message;
        CHECK_DONE(rk_call(actor_of(kernels[0], 0), RK_TYPE(blob_25), &sent, sizeof sent, NULL, &got, sizeof got,
                           &message, PATIENCE, &test_error));
        CHECK_EQ(message.from.id, actor_of(kernels[(LINKS - 1) % 3], (LINKS - 1) / 3).id);
        for (size_t k = 0; k < sizeof sent; k++) CHECK_EQ(got.bytes[k], sent.bytes[k]);
    }
    expect_silence(&w);
    world_close(&w);
}

/* Nobody polls, the worker waits for room for its replies, and in the end the ring to it is full as well: a caller makes
 * room by itself, and what it finds on its way is still there for those who poll, in order. */
CASE(request_call_with_a_full_outbound_ring) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient",
                                   OPTIONS(.actors = 1, .workers = 1, .inbound_capacity = 4, .outbound_capacity = 4));
    rk_actor to = actor_of(kernel, 0);
    const rk_send_options wait = SENDING(.timeout_ns = 50 * MILLISECOND);
    uint64_t sent = 0, taken = 0;
    for (int round = 0; round < 20; round++) {
        for (;;) {
            visit message = {.nonce = sent};
            rk_status status = rk_send(to, RK_TYPE(visit), &message, sizeof message, &wait);
            if (status == RK_TIMEOUT) break;
            CHECK_OK(status);
            CHECK_AT_MOST(++sent, 1000000);
        }
        visit question = {.nonce = ~sent};
        visited got;
        ask_for(to, RK_TYPE(visit), &question, sizeof question, RK_TYPE(visited), &got, sizeof got);
        CHECK_EQ(got.nonce, ~sent);
        CHECK_EQ(got.seen, sent + 1 + (uint64_t)round);
        /* Now and then; the others stay where the caller put them. */
        for (; round % 3 == 2 && taken < sent; taken++) {
            rk_message message = next_message(&w, &got, sizeof got);
            CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
            CHECK_EQ(got.nonce, taken);
        }
    }
    for (; taken < sent; taken++) {
        visited got;
        next_message(&w, &got, sizeof got);
        CHECK_EQ(got.nonce, taken);
    }
    expect_silence(&w);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_EQ(check_accounts(kernel).handled, sent + 20);
    world_close(&w);
}

typedef struct pair {
    rk_kernel first, second;
} pair;

static void call_and_destroy(unsigned index, void *shared) {
    const pair *of = shared;
    if (index == 0) {
        blob_25 question = {{1}}, got;
        CHECK_ERROR(rk_call(actor_of(of->first, 0), RK_TYPE(blob_25), &question, sizeof question, NULL, &got, sizeof got,
                            NULL, PATIENCE, &test_error),
                    RK_ERROR_UNDELIVERED);
        return;
    }
    while (stats_of(of->second).accepted == 0) {}
    CHECK_OK(rk_kernel_destroy(of->second));
}

/* The kernel that a call was passed on to is destroyed: while the call waits there, and before it gets there. The caller
 * learns it at once either way. */
CASE(request_forwarded_to_a_kernel_that_goes) {
    world w = world_open();
    for (uint32_t round = 0; round < test_load(20); round++) {
        pair of = {world_start(&w, "mirror", OPTIONS(.actors = 1)), world_start(&w, "mirror", OPTIONS(.actors = 1))};
        attach_to(actor_of(of.first, 0), actor_of(of.second, 0));
        CHECK_DONE(rk_kernel_deactivate(of.second, &test_error));
        test_threads(2, call_and_destroy, &of);
        blob_25 question = {{2}}, got;
        CHECK_ERROR(rk_call(actor_of(of.first, 0), RK_TYPE(blob_25), &question, sizeof question, NULL, &got, sizeof got,
                            NULL, PATIENCE, &test_error),
                    RK_ERROR_UNDELIVERED);
        CHECK_DONE(rk_kernel_deactivate(of.first, &test_error));
        CHECK_EQ(check_accounts(of.first).handled, 3);
        CHECK_OK(rk_kernel_destroy(of.first));
    }
    expect_silence(&w);
    world_close(&w);
}

/* A call is answered by an actor of another runtime, which nobody polls. */
CASE(request_call_across_two_runtimes) {
    world near = world_open(), far = world_open();
    rk_kernel here = world_start(&near, "mirror", OPTIONS(.actors = 1));
    rk_kernel there = world_start(&far, "mirror", OPTIONS(.actors = 1));
    attach_to(actor_of(here, 0), actor_of(there, 0));
    uint64_t random = test_seed();
    for (uint32_t i = 0; i < test_load(1000); i++) {
        blob_25 sent, got;
        test_random_bytes(&random, &sent, sizeof sent);
        rk_message message;
        CHECK_DONE(rk_call(actor_of(here, 0), RK_TYPE(blob_25), &sent, sizeof sent, NULL, &got, sizeof got, &message,
                           PATIENCE, &test_error));
        CHECK_EQ(message.from.id, actor_of(there, 0).id);
        for (size_t k = 0; k < sizeof sent; k++) CHECK_EQ(got.bytes[k], sent.bytes[k]);
    }
    expect_silence(&near);
    expect_silence(&far);
    world_close(&far);
    world_close(&near);
}
