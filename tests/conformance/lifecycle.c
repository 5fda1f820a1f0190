/* The lives of kernels and actors: every transition, what suspension keeps, how messages die. */
#include "world.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

static rk_status activate(rk_kernel kernel, rk_error *error) { return rk_kernel_activate(kernel, error); }
static rk_status suspend(rk_kernel kernel, rk_error *error) { return rk_kernel_deactivate(kernel, error); }
static rk_status drain(rk_kernel kernel, rk_error *error) { return rk_kernel_drain(kernel, PATIENCE, error); }
static rk_status terminate(rk_kernel kernel, rk_error *error) { return rk_kernel_terminate(kernel, NULL, error); }

/* Brings a new kernel into a state. Draining is what a kernel is whose last reply nobody has taken. */
static rk_kernel in_state(const world *w, uint32_t state) {
    rk_kernel kernel = world_launch(w, "patient", OPTIONS(.actors = 1, .inbound_capacity = 4, .outbound_capacity = 4));
    if (state == RK_KERNEL_CREATED) return kernel;
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    if (state == RK_KERNEL_SUSPENDED) CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    if (state == RK_KERNEL_DRAINING) {
        visit message = {.nonce = 1};
        const rk_send_options wait = SENDING(.timeout_ns = 20 * MILLISECOND);
        while (rk_send(actor_of(kernel, 0), RK_TYPE(visit), &message, sizeof message, &wait) == RK_OK) {}
        CHECK_ERROR(rk_kernel_drain(kernel, 0, &test_error), RK_TIMEOUT);
    }
    if (state == RK_KERNEL_TERMINATED) CHECK_DONE(rk_kernel_terminate(kernel, NULL, &test_error));
    CHECK_EQ(state_of(kernel), state);
    return kernel;
}

typedef struct transition {
    const world *w;
    rk_kernel kernel;
    rk_status (*call)(rk_kernel kernel, rk_error *error);
    rk_error error;
    rk_status status;
} transition;

/* The one thread makes the call; the other one polls, without which a drain would not end. */
static void transit(unsigned index, void *shared) {
    transition *with = shared;
    if (index == 0) {
        test_error_prepare(&with->error);
        with->status = with->call(with->kernel, &with->error);
        return;
    }
    rk_message message;
    visited got;
    uint32_t count;
    while (rk_poll(with->w->runtime, &message, 1, &got, sizeof got, 10 * MILLISECOND, &count) == RK_OK) {}
}

CASE(lifecycle_transitions) {
    enum { CREATED = RK_KERNEL_CREATED, ACTIVE, SUSPENDED, DRAINING, TERMINATED, ILLEGAL = 0 };
    static const struct {
        const char *name;
        rk_status (*call)(rk_kernel kernel, rk_error *error);
        uint32_t leads_to[TERMINATED + 1]; /* from the state that is the index */
    } table[] = {
        {"activate", activate, {0, ACTIVE, ILLEGAL, ACTIVE, ILLEGAL, ILLEGAL}},
        {"deactivate", suspend, {0, ILLEGAL, SUSPENDED, ILLEGAL, ILLEGAL, ILLEGAL}},
        {"drain", drain, {0, ILLEGAL, TERMINATED, TERMINATED, TERMINATED, ILLEGAL}},
        {"terminate", terminate, {0, TERMINATED, TERMINATED, TERMINATED, TERMINATED, ILLEGAL}},
    };
    world w = world_open();
    for (size_t t = 0; t < sizeof table / sizeof table[0]; t++)
        for (uint32_t from = CREATED; from <= TERMINATED; from++) {
            rk_kernel kernel = in_state(&w, from);
            uint32_t expected = table[t].leads_to[from];
            transition with = {.w = &w, .kernel = kernel, .call = table[t].call};
            test_threads(from == DRAINING && table[t].call == drain ? 2 : 1, transit, &with);
            rk_status status = with.status;
            test_error_check(__FILE__, __LINE__, &with.error, status);
            if (status != (expected == ILLEGAL ? RK_ERROR_BAD_STATE : RK_OK))
                test_fail(__FILE__, __LINE__, "%s in state %u: %s", table[t].name, from, rk_status_name(status));
            if (state_of(kernel) != (expected == ILLEGAL ? from : expected))
                test_fail(__FILE__, __LINE__, "%s leads from state %u to %u", table[t].name, from, state_of(kernel));
            CHECK_EQ(stats_of(kernel).state, state_of(kernel));
            visit message = {.nonce = 1};
            if (state_of(kernel) >= DRAINING)
                CHECK_STATUS(rk_send(actor_of(kernel, 0), RK_TYPE(visit), &message, sizeof message, NULL),
                             RK_ERROR_BAD_STATE);
            CHECK_OK(rk_kernel_destroy(kernel)); /* legal in every state */
        }
    world_close(&w);
}

/* Suspended: everything is kept, and goes on in order. */
CASE(lifecycle_suspend_and_resume) {
    enum { ACTORS = 5 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "ledger", OPTIONS(.actors = ACTORS));
    uint32_t sequences[ACTORS] = {0};
    uint64_t random = test_seed(), sent = 0, received = 0;
    for (uint32_t round = 0; round < test_load(200); round++) {
        for (uint32_t i = 0; i < 20; i++, sent++) {
            uint32_t actor = test_random_below(&random, ACTORS);
            entry message = {.value = actor, .sequence = sequences[actor]++, .level = 1};
            send_to(actor_of(kernel, actor), RK_TYPE(entry), &message, sizeof message);
            if (i != 10) continue;
            CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
            CHECK_EQ(state_of(kernel), RK_KERNEL_SUSPENDED);
        }
        rk_kernel_statistics before = check_accounts(kernel);
        CHECK_EQ(before.accepted, sent);
        CHECK(before.pending >= 9);
        /* At rest means at rest. */
        rk_kernel_statistics after = check_accounts(kernel);
        CHECK_EQ(after.handled, before.handled);
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        for (; received < sent; received++) {
            receipt got;
            next_message(&w, &got, sizeof got);
            CHECK_EQ(got.expected, got.sequence);
        }
    }
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_EQ(check_accounts(kernel).handled, sent);
    world_close(&w);
}

/* Parks are counted, and hold every kernel of the runtime. */
CASE(lifecycle_park) {
    enum { KERNELS = 3 };
    world w = world_open();
    rk_kernel kernels[KERNELS];
    for (int i = 0; i < KERNELS; i++) kernels[i] = world_start(&w, "patient", OPTIONS(.actors = 2));
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 3; i++) CHECK_DONE(rk_runtime_park(w.runtime, PATIENCE, &test_error));
        visit message = {.nonce = 4};
        for (int i = 0; i < KERNELS; i++) {
            CHECK_EQ(state_of(kernels[i]), RK_KERNEL_ACTIVE);
            send_to(actor_of(kernels[i], 0), RK_TYPE(visit), &message, sizeof message);
            CHECK_EQ(check_accounts(kernels[i]).pending, 1);
        }
        for (int i = 0; i < 2; i++) {
            CHECK_DONE(rk_runtime_unpark(w.runtime, &test_error));
            expect_silence(&w);
        }
        /* A kernel launched and activated now rests, too. */
        rk_kernel late = world_start(&w, "patient", OPTIONS(.actors = 1));
        send_to(actor_of(late, 0), RK_TYPE(visit), &message, sizeof message);
        expect_silence(&w);
        CHECK_DONE(rk_runtime_unpark(w.runtime, &test_error));
        visited got;
        for (int i = 0; i < KERNELS + 1; i++) {
            next_message(&w, &got, sizeof got);
            CHECK_EQ(got.nonce, 4);
        }
        CHECK_OK(rk_kernel_destroy(late));
        CHECK_ERROR(rk_runtime_unpark(w.runtime, &test_error), RK_ERROR_BAD_STATE);
    }
    world_close(&w);
}

/* Rounds of toil that take some milliseconds. On an emulated device fewer do, and it may be one that ends loops after
 * 65,535 turns (Mesa 22's lavapipe). */
static uint32_t long_work(uint32_t rounds) {
    return !TEST_SANITIZED && test_load_percent < 100 ? 60000 : rounds;
}

/* A park that gives up has not happened. Whether a handler is in its way is a matter of chance where handlers are short, so it is
 * tried as long as it takes. */
CASE(lifecycle_park_times_out) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 1));
    int64_t deadline = test_now() + PATIENCE;
    for (uint64_t attempt = 0; test_now() < deadline; attempt++) {
        toil message = {.rounds = long_work(20000000)};
        send_to(actor_of(kernel, 0), RK_TYPE(toil), &message, sizeof message);
        tally got;
        rk_message reply;
        uint32_t count = 0;
        while (rk_poll(w.runtime, &reply, 1, &got, sizeof got, 0, &count) == RK_AGAIN) {
            rk_error error;
            test_error_prepare(&error);
            rk_status status = rk_runtime_park(w.runtime, 0, &error);
            test_error_check(__FILE__, __LINE__, &error, status);
            if (status == RK_TIMEOUT) {
                CHECK_ERROR(rk_runtime_unpark(w.runtime, &test_error), RK_ERROR_BAD_STATE);
                next_message(&w, &got, sizeof got);
                CHECK_EQ(got.count, attempt + 1);
                world_close(&w);
                return;
            }
            CHECK_OK(status); /* the handler had not begun, or was done */
            CHECK_DONE(rk_runtime_unpark(w.runtime, &test_error));
        }
    }
    test_fail(__FILE__, __LINE__, "no handler was ever in the way of a park");
}

/* Terminated with work waiting: as many dead letters as it says were left, each with what was sent. */
CASE(lifecycle_terminate_with_work_waiting) {
    enum { ACTORS = 7, SENT = 100 };
    world w = world_open();
    rk_kernel kernel = world_launch(&w, "patient", OPTIONS(.actors = ACTORS));
    uint64_t random = test_seed(), nonces[SENT];
    for (uint32_t i = 0; i < SENT; i++) {
        visit message = {.nonce = nonces[i] = test_random(&random)};
        send_with(actor_of(kernel, i % ACTORS), RK_TYPE(visit), &message, sizeof message,
                  SENDING(.correlation = i + 1, .priority = 64 * (i % 4) + 1));
    }
    uint64_t left = 0;
    CHECK_DONE(rk_kernel_terminate(kernel, &left, &test_error));
    CHECK_EQ(left, SENT);
    rk_kernel_statistics stats = check_accounts(kernel);
    CHECK_EQ(stats.dead_letters, SENT);
    CHECK_EQ(stats.pending, 0);
    CHECK_EQ(stats.handled, 0);
    bool seen[SENT] = {false}, event = false;
    for (uint32_t i = 0; i < SENT + 1; i++) {
        visit got;
        rk_message message = next_message(&w, &got, sizeof got);
        if (message.kind == RK_MESSAGE_EVENT) {
            CHECK_EQ(message.type, RK_EVENT_KERNEL_TERMINATED);
            CHECK_EQ(message.size, 0);
            CHECK(!event);
            event = true;
            continue;
        }
        CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
        CHECK_EQ(message.reason, RK_DEAD_TERMINATED);
        CHECK_EQ(message.type, RK_TYPE(visit));
        CHECK_EQ(message.from.id, 0);
        CHECK(message.correlation >= 1 && message.correlation <= SENT);
        uint32_t which = (uint32_t)message.correlation - 1;
        CHECK(!seen[which]);
        seen[which] = true;
        CHECK_EQ(message.to.id, actor_of(kernel, which % ACTORS).id);
        CHECK_EQ(got.nonce, nonces[which]);
    }
    expect_silence(&w);
    visit message = {.nonce = 1};
    CHECK_STATUS(rk_send(actor_of(kernel, 0), RK_TYPE(visit), &message, sizeof message, NULL), RK_ERROR_BAD_STATE);
    world_close(&w);
}

/* After the event that says that it is over a kernel has nothing more for the host, whichever worker it came from. */
CASE(lifecycle_the_end_comes_last) {
    enum { ACTORS = 16, SENT = 400 };
    world w = world_open();
    for (int round = 0; round < 20; round++) {
        rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS, .workers = 8, .outbound_capacity = 64));
        for (uint32_t i = 0; i < SENT; i++) {
            visit message = {.nonce = i};
            send_to(actor_of(kernel, i % ACTORS), RK_TYPE(visit), &message, sizeof message);
        }
        if (round % 2 == 0) CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
        else CHECK_DONE(rk_kernel_terminate(kernel, NULL, &test_error));
        for (uint32_t i = 0; i < SENT; i++) {
            visited got;
            rk_message message = next_message(&w, &got, sizeof got);
            if (message.kind == RK_MESSAGE_EVENT)
                test_fail(__FILE__, __LINE__, "the event came before %u messages", SENT - i);
        }
        rk_message event = next_message(&w, NULL, 0);
        CHECK_EQ(event.kind, RK_MESSAGE_EVENT);
        CHECK_EQ(event.type, RK_EVENT_KERNEL_TERMINATED);
        CHECK_OK(rk_kernel_destroy(kernel));
    }
    world_close(&w);
}

/* A call whose message dies. */
CASE(lifecycle_calls_undelivered) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 2));
    crash message = {.code = -12};
    CHECK_OK(rk_send(actor_of(kernel, 0), RK_TYPE(crash), &message, sizeof message, NULL));
    rk_message event = next_message(&w, NULL, 0);
    CHECK_EQ(event.type, RK_EVENT_ACTOR_FAILED);
    visit question = {.nonce = 1};
    visited got;
    CHECK_ERROR(rk_call(actor_of(kernel, 0), RK_TYPE(visit), &question, sizeof question, NULL, &got, sizeof got, NULL,
                        PATIENCE, &test_error),
                RK_ERROR_UNDELIVERED);
    /* The caller knows; nobody else needs to. */
    expect_silence(&w);
    ask_for(actor_of(kernel, 1), RK_TYPE(visit), &question, sizeof question, RK_TYPE(visited), &got, sizeof got);
    world_close(&w);
}

static void expect_dead(const world *w, rk_actor to, int32_t reason, uint64_t correlation, uint64_t nonce) {
    visit got;
    rk_message message = next_message(w, &got, sizeof got);
    CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
    CHECK_EQ(message.reason, reason);
    CHECK_EQ(message.to.id, to.id);
    CHECK_EQ(message.from.id, 0);
    CHECK_EQ(message.correlation, correlation);
    CHECK_EQ(message.type, RK_TYPE(visit));
    CHECK_EQ(message.size, sizeof got);
    CHECK_EQ(got.nonce, nonce);
}

/* An actor that stops takes nothing more; its neighbours go on. */
CASE(lifecycle_stop) {
    enum { ACTORS = 3, LATER = 20 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS));
    rk_actor stopped = actor_of(kernel, 1);
    tally last;
    ask_for(stopped, RK_TYPE(halt), NULL, 0, RK_TYPE(tally), &last, sizeof last);
    CHECK_EQ(last.count, 1);
    for (uint64_t i = 0; i < LATER; i++) {
        visit message = {.nonce = i * 3};
        send_with(stopped, RK_TYPE(visit), &message, sizeof message, SENDING(.correlation = i + 5));
        expect_dead(&w, stopped, RK_DEAD_STOPPED, i + 5, i * 3);
    }
    visit message = {.nonce = 77};
    visited got;
    ask_for(actor_of(kernel, 0), RK_TYPE(visit), &message, sizeof message, RK_TYPE(visited), &got, sizeof got);
    ask_for(actor_of(kernel, 2), RK_TYPE(visit), &message, sizeof message, RK_TYPE(visited), &got, sizeof got);
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    rk_kernel_statistics stats = check_accounts(kernel);
    CHECK_EQ(stats.handled, 3);
    CHECK_EQ(stats.dead_letters, LATER);
    CHECK_EQ(stats.failures, 0);
    world_close(&w);
}

/* One that fails says so, with its code. */
CASE(lifecycle_fail) {
    enum { ACTORS = 3, LATER = 20 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS));
    const int32_t codes[ACTORS] = {INT32_MIN, 7, -1};
    for (uint32_t a = 0; a < ACTORS; a++) {
        rk_actor failing = actor_of(kernel, a);
        crash message = {.code = codes[a]};
        send_to(failing, RK_TYPE(crash), &message, sizeof message);
        rk_message event = next_message(&w, NULL, 0);
        CHECK_EQ(event.kind, RK_MESSAGE_EVENT);
        CHECK_EQ(event.type, RK_EVENT_ACTOR_FAILED);
        CHECK_EQ(event.reason, codes[a]);
        CHECK_EQ(event.from.id, failing.id);
        for (uint64_t i = 0; i < LATER; i++) {
            visit later = {.nonce = i};
            send_with(failing, RK_TYPE(visit), &later, sizeof later, SENDING(.correlation = i));
            expect_dead(&w, failing, RK_DEAD_FAILED, i, i);
        }
        CHECK_EQ(state_of(kernel), RK_KERNEL_ACTIVE);
    }
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    rk_kernel_statistics stats = check_accounts(kernel);
    CHECK_EQ(stats.failures, ACTORS);
    CHECK_EQ(stats.handled, ACTORS);
    CHECK_EQ(stats.dead_letters, ACTORS * LATER);
    world_close(&w);
}

/* Messages whose time is over are not handled, those with time left are. */
CASE(lifecycle_deadlines) {
    enum { SENT = 60 };
    world w = world_open();
    rk_kernel kernel = world_launch(&w, "patient", OPTIONS(.actors = 1));
    uint64_t random = test_seed(), nonces[SENT];
    for (uint32_t i = 0; i < SENT; i++) {
        visit message = {.nonce = nonces[i] = test_random(&random)};
        const uint64_t deadlines[] = {1, MILLISECOND, 2 * PATIENCE, 0};
        send_with(actor_of(kernel, 0), RK_TYPE(visit), &message, sizeof message,
                  SENDING(.correlation = i, .deadline_ns = deadlines[i % 4]));
    }
    test_until(test_now() + 3 * MILLISECOND); /* the deadlines pass */
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    bool seen[SENT] = {false};
    for (uint32_t i = 0; i < SENT; i++) {
        union {
            visit question;
            visited answer;
        } got;
        rk_message message = next_message(&w, &got, sizeof got);
        uint32_t which = (uint32_t)message.correlation;
        CHECK(which < SENT && !seen[which]);
        seen[which] = true;
        if (which % 4 < 2) {
            CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
            CHECK_EQ(message.reason, RK_DEAD_EXPIRED);
            CHECK_EQ(got.question.nonce, nonces[which]);
        } else {
            CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
            CHECK_EQ(got.answer.nonce, nonces[which]);
        }
    }
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_EQ(check_accounts(kernel).dead_letters, SENT / 2);
    world_close(&w);
}

/* Also between actors. */
CASE(lifecycle_deadlines_between_actors) {
    enum { SENT = 20 };
    world w = world_open();
    rk_kernel from = world_start(&w, "courier", OPTIONS(.actors = 1));
    rk_kernel to = world_launch(&w, "courier", OPTIONS(.actors = 1));
    for (uint64_t i = 0; i < SENT; i++) {
        deliver message = {.to = actor_of(to, 0).id,
                           .value = i,
                           .correlation = i,
                           .deadline = i % 2 == 0 ? 1000 : 2 * (uint64_t)PATIENCE};
        posted done;
        ask_for(actor_of(from, 0), RK_TYPE(deliver), &message, sizeof message, RK_TYPE(posted), &done, sizeof done);
    }
    test_until(test_now() + MILLISECOND);
    CHECK_DONE(rk_kernel_activate(to, &test_error));
    uint32_t dead = 0;
    for (uint32_t i = 0; i < SENT; i++) {
        read_letter got;
        rk_message message = next_message(&w, &got, sizeof got);
        CHECK_EQ(got.value % 2, message.kind == RK_MESSAGE_DEAD_LETTER ? 0 : 1);
        if (message.kind != RK_MESSAGE_DEAD_LETTER) continue;
        CHECK_EQ(message.reason, RK_DEAD_EXPIRED);
        CHECK_EQ(message.from.id, actor_of(from, 0).id);
        CHECK_EQ(message.to.id, actor_of(to, 0).id);
        CHECK_EQ(message.correlation, got.value);
        dead++;
    }
    CHECK_EQ(dead, SENT / 2);
    world_close(&w);
}

typedef struct late_call {
    rk_kernel kernel;
    rk_error error;
    rk_status status;
} late_call;

/* The one thread calls an actor that does not run yet, the other lets it run when the deadline has passed. */
static void call_late(unsigned index, void *shared) {
    late_call *with = shared;
    if (index == 0) {
        const visit question = {.nonce = 1};
        visited got;
        const rk_send_options options = SENDING(.deadline_ns = 1000);
        test_error_prepare(&with->error);
        with->status = rk_call(actor_of(with->kernel, 0), RK_TYPE(visit), &question, sizeof question, &options, &got,
                               sizeof got, NULL, PATIENCE, &with->error);
        return;
    }
    while (stats_of(with->kernel).accepted == 0) sched_yield();
    test_until(test_now() + 3 * MILLISECOND);
    CHECK_OK(rk_kernel_activate(with->kernel, NULL));
}

CASE(lifecycle_call_deadline) {
    world w = world_open();
    late_call with = {.kernel = world_launch(&w, "patient", OPTIONS(.actors = 1, .workers = 1))};
    test_threads(2, call_late, &with);
    test_error_check(__FILE__, __LINE__, &with.error, with.status);
    CHECK_STATUS(with.status, RK_ERROR_UNDELIVERED);
    expect_silence(&w);
    world_close(&w);
}
