/* What becomes of actors whose handlers fail: restarts, their limits, and kernels that fail with their actors; and actors that
 * others start and stop. */
#include "world.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_MS 86400000u

static void crash_at(rk_actor actor, int32_t code) {
    crash message = {.code = code};
    send_to(actor, RK_TYPE(crash), &message, sizeof message);
}

static void expect_event(const world *w, uint32_t type, rk_actor from, int32_t reason) {
    rk_message event = next_message(w, NULL, 0);
    CHECK_EQ(event.kind, RK_MESSAGE_EVENT);
    CHECK_EQ(event.type, type);
    CHECK_EQ(event.from.id, from.id);
    CHECK_EQ(event.reason, reason);
    CHECK(event.time != 0);
}

static uint64_t visits_of(rk_actor actor) {
    visit message = {.nonce = 5};
    visited got;
    ask_for(actor, RK_TYPE(visit), &message, sizeof message, RK_TYPE(visited), &got, sizeof got);
    CHECK_EQ(got.nonce, 5);
    return got.seen;
}

/* Launched actors start with that. */
static struct patient random_patient(void) {
    uint64_t random = test_seed();
    struct patient state = {.seen = 1000 + test_random_below(&random, 1000), .work = test_random(&random)};
    for (size_t i = 0; i < sizeof state.given / sizeof state.given[0]; i++) state.given[i] = (uint32_t)test_random(&random);
    return state;
}

static void expect_state(rk_actor actor, const struct patient *expected) {
    reveal question = {0};
    revealed got;
    ask_for(actor, RK_TYPE(reveal), &question, sizeof question, RK_TYPE(revealed), &got, sizeof got);
    CHECK_EQ(got.seen, expected->seen);
    CHECK_EQ(got.work, expected->work);
    CHECK(memcmp(got.given, expected->given, sizeof got.given) == 0);
}

/* A restarted actor has the state that it was launched with, and so often only; its neighbours keep theirs. */
static void restart(const struct patient *initial) {
    enum { ACTORS = 3, RESTARTS = 4 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS, .initial_state = initial,
                                                          .initial_state_size = initial ? sizeof *initial : 0,
                                                          .on_failure = RK_ON_FAILURE_RESTART, .max_restarts = RESTARTS,
                                                          .restart_window_ms = DAY_MS));
    const struct patient zeros = {0}, *start = initial ? initial : &zeros;
    rk_actor failing = actor_of(kernel, 1), bystander = actor_of(kernel, 2);
    uint64_t seen = 0;
    for (int32_t i = 0; i < RESTARTS; i++) {
        for (int32_t v = 0; v <= i; v++) CHECK_EQ(visits_of(failing), start->seen + (uint64_t)v + 1);
        toil work = {.rounds = 10};
        tally worked;
        ask_for(failing, RK_TYPE(toil), &work, sizeof work, RK_TYPE(tally), &worked, sizeof worked);
        CHECK_EQ(visits_of(bystander), start->seen + ++seen);
        crash_at(failing, -i);
        expect_event(&w, RK_EVENT_ACTOR_RESTARTED, failing, -i);
        expect_state(failing, start);
    }
    CHECK_EQ(visits_of(bystander), start->seen + ++seen);
    crash_at(failing, 99);
    expect_event(&w, RK_EVENT_ACTOR_FAILED, failing, 99);
    visit late = {.nonce = 1};
    send_to(failing, RK_TYPE(visit), &late, sizeof late);
    rk_message dead = next_message(&w, &late, sizeof late);
    CHECK_EQ(dead.kind, RK_MESSAGE_DEAD_LETTER);
    CHECK_EQ(dead.reason, RK_DEAD_FAILED);
    CHECK_EQ(visits_of(bystander), start->seen + ++seen);
    CHECK_EQ(state_of(kernel), RK_KERNEL_ACTIVE);
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    rk_kernel_statistics stats = check_accounts(kernel);
    CHECK_EQ(stats.restarts, RESTARTS);
    CHECK_EQ(stats.failures, RESTARTS + 1);
    CHECK_EQ(stats.dead_letters, 1);
    world_close(&w);
}

CASE(supervision_restart) { restart(NULL); }

CASE(supervision_restart_from_initial_state) {
    struct patient initial = random_patient();
    restart(&initial);
}

/* Without the option nothing is restarted, and an actor that stops itself never is. */
CASE(supervision_only_when_asked) {
    world w = world_open();
    rk_kernel plain = world_start(&w, "patient", OPTIONS(.actors = 1, .max_restarts = 5, .restart_window_ms = DAY_MS));
    crash_at(actor_of(plain, 0), 3);
    expect_event(&w, RK_EVENT_ACTOR_FAILED, actor_of(plain, 0), 3);
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 1, .on_failure = RK_ON_FAILURE_RESTART));
    tally last;
    ask_for(actor_of(kernel, 0), RK_TYPE(halt), NULL, 0, RK_TYPE(tally), &last, sizeof last);
    visit message = {.nonce = 1};
    send_to(actor_of(kernel, 0), RK_TYPE(visit), &message, sizeof message);
    CHECK_EQ(next_message(&w, &message, sizeof message).reason, RK_DEAD_STOPPED);
    CHECK_EQ(stats_of(kernel).restarts, 0);
    CHECK_EQ(stats_of(plain).restarts, 0);
    world_close(&w);
}

/* Three in five seconds, which is what it says that zeros mean. */
CASE(supervision_defaults) {
    enum { RESTARTS = 3 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 1, .on_failure = RK_ON_FAILURE_RESTART));
    rk_actor actor = actor_of(kernel, 0);
    int64_t begun = test_now();
    for (int i = 0; i <= RESTARTS; i++) crash_at(actor, i);
    for (int i = 0; i < RESTARTS; i++) expect_event(&w, RK_EVENT_ACTOR_RESTARTED, actor, i);
    rk_message event = next_message(&w, NULL, 0);
    if (test_now() - begun < 4 * SECOND) CHECK_EQ(event.type, RK_EVENT_ACTOR_FAILED); /* the machine did not stand still */
    CHECK_EQ(event.reason, RESTARTS);
    world_close(&w);
}

/* After the window has passed it has as many again. */
CASE(supervision_window) {
    enum { WINDOWS = 3, WINDOW_MS = 100 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 1, .on_failure = RK_ON_FAILURE_RESTART,
                                                          .max_restarts = 1, .restart_window_ms = WINDOW_MS));
    rk_actor actor = actor_of(kernel, 0);
    for (int i = 0; i < WINDOWS; i++) {
        CHECK_EQ(visits_of(actor), 1);
        crash_at(actor, i);
        expect_event(&w, RK_EVENT_ACTOR_RESTARTED, actor, i);
        nanosleep(&(struct timespec){.tv_nsec = 3 * WINDOW_MS * MILLISECOND}, NULL);
    }
    CHECK_EQ(stats_of(kernel).restarts, WINDOWS);
    world_close(&w);
}

/* What waits for a failing actor is handled after the restart, in order. */
CASE(supervision_keeps_the_mailbox) {
    enum { BEFORE = 7, AFTER = 30 };
    world w = world_open();
    rk_kernel kernel = world_launch(&w, "patient", OPTIONS(.actors = 1, .on_failure = RK_ON_FAILURE_RESTART));
    rk_actor actor = actor_of(kernel, 0);
    for (uint64_t i = 0; i < BEFORE + AFTER; i++) {
        if (i == BEFORE) crash_at(actor, 8);
        visit message = {.nonce = i};
        send_to(actor, RK_TYPE(visit), &message, sizeof message);
    }
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    uint32_t events = 0;
    for (uint64_t i = 0; i < BEFORE + AFTER + 1; i++) {
        visited got;
        rk_message message = next_message(&w, &got, sizeof got);
        if (message.kind == RK_MESSAGE_EVENT) {
            CHECK_EQ(message.type, RK_EVENT_ACTOR_RESTARTED);
            events++;
            continue;
        }
        uint64_t nonce = i - events;
        CHECK_EQ(got.nonce, nonce);
        CHECK_EQ(got.seen, nonce < BEFORE ? nonce + 1 : nonce - BEFORE + 1);
    }
    CHECK_EQ(events, 1);
    world_close(&w);
}

enum { FROM_SNAPSHOT = RK_ON_FAILURE_RESTART | RK_ON_FAILURE_FROM_SNAPSHOT };

/* Taken, and thrown away but for what the kernel keeps of it. */
static void just_snapshot(rk_kernel kernel) {
    void *data;
    size_t size;
    CHECK_DONE(rk_kernel_snapshot(kernel, 0, &data, &size, &test_error));
    rk_snapshot_free(data);
}

static void fail_and_restart(const world *w, rk_actor actor, int32_t code) {
    crash_at(actor, code);
    expect_event(w, RK_EVENT_ACTOR_RESTARTED, actor, code);
}

/* With the state of the last snapshot, or the first one where there is none or the actor was started since; as often as it
 * fails. `initial`: NULL for zeros. */
static void restart_from_snapshot(const struct patient *initial) {
    enum { ACTORS = 5 };
    world w = world_open();
    rk_kernel plain = world_launch(&w, "patient", OPTIONS(.actors = ACTORS, .on_failure = RK_ON_FAILURE_RESTART));
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS, .initial_state = initial, .dormant = 1,
                                                          .initial_state_size = initial ? sizeof *initial : 0,
                                                          .on_failure = FROM_SNAPSHOT, .max_restarts = 1000));
    /* States lie at multiples of 16. */
    CHECK_EQ(stats_of(kernel).memory_per_actor, stats_of(plain).memory_per_actor + (sizeof(struct patient) + 15) / 16 * 16);
    const struct patient zeros = {0}, *start = initial ? initial : &zeros;
    struct patient kept = *start;
    rk_actor failing = actor_of(kernel, 1), bystander = actor_of(kernel, 2), stopped = actor_of(kernel, 3);
    rk_actor dormant = actor_of(kernel, 4);
    uint64_t seen = start->seen;
    tally last;
    visits_of(stopped);
    ask_for(stopped, RK_TYPE(halt), NULL, 0, RK_TYPE(tally), &last, sizeof last);
    for (int32_t round = 0; round < 6; round++) {
        for (int32_t again = 0; again < 3; again++) {
            CHECK_EQ(visits_of(failing), kept.seen + 1);
            toil work = {.rounds = 10};
            tally worked;
            ask_for(failing, RK_TYPE(toil), &work, sizeof work, RK_TYPE(tally), &worked, sizeof worked);
            fail_and_restart(&w, failing, round);
            expect_state(failing, &kept);
            CHECK_EQ(visits_of(bystander), ++seen);
        }
        for (int32_t v = 0; v < round; v++) CHECK_EQ(visits_of(failing), ++kept.seen);
        /* In every second round the one that fails next waits for that while the snapshot is taken. */
        const bool at_rest = round % 2 == 1;
        if (at_rest) {
            CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
            crash_at(failing, 100);
        }
        just_snapshot(kernel);
        if (at_rest) {
            just_snapshot(kernel); /* and once more, before anything has run */
            CHECK_DONE(rk_kernel_activate(kernel, &test_error));
            expect_event(&w, RK_EVENT_ACTOR_RESTARTED, failing, 100);
        }
        expect_state(failing, &kept);
    }
    /* What the bystander has seen since is forgotten, and nothing else. */
    CHECK_EQ(visits_of(bystander), seen + 1);
    fail_and_restart(&w, bystander, 7);
    CHECK_EQ(visits_of(bystander), seen + 1);
    /* These were not running. */
    for (int i = 0; i < 2; i++) {
        rk_actor actor = i == 0 ? stopped : dormant;
        send_to(actor, RK_ACTOR_START, NULL, 0);
        CHECK_EQ(visits_of(actor), start->seen + 1);
        fail_and_restart(&w, actor, i);
        expect_state(actor, start);
        CHECK_EQ(visits_of(actor), start->seen + 1);
        just_snapshot(kernel);
        CHECK_EQ(visits_of(actor), start->seen + 2);
        fail_and_restart(&w, actor, i);
        CHECK_EQ(visits_of(actor), start->seen + 2);
    }
    /* Started anew: what was kept is of another life. */
    send_to(failing, RK_ACTOR_START, NULL, 0);
    visits_of(failing);
    fail_and_restart(&w, failing, 8);
    expect_state(failing, start);
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    CHECK_EQ(check_accounts(kernel).dead_letters, 0);
    world_close(&w);
}

CASE(supervision_from_snapshot) { restart_from_snapshot(NULL); }

CASE(supervision_from_snapshot_with_initial_state) {
    struct patient initial = random_patient();
    restart_from_snapshot(&initial);
}

/* A kernel that a snapshot was made into, on any backend, restarts its actors as they were there, if it is to. */
CASE(supervision_from_restored_snapshot) {
    enum { ACTORS = 3, VISITS = 4 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS));
    for (uint32_t i = 0; i < ACTORS; i++)
        for (uint32_t v = 0; v <= i * VISITS; v++) visits_of(actor_of(kernel, i));
    void *data;
    size_t size;
    CHECK_DONE(rk_kernel_snapshot(kernel, 0, &data, &size, &test_error));
    struct patient initial = random_patient();
    for (uint32_t turn = 0; turn < 4; turn++) {
        const bool keeps = turn % 2 == 0;
        rk_kernel_options options =
            OPTIONS(.backend = turn < 2 ? world_backend : RK_BACKEND_CPU, .lanes = turn < 2 ? world_lanes : 1,
                    .initial_state = &initial, .initial_state_size = sizeof initial,
                    .on_failure = keeps ? FROM_SNAPSHOT : RK_ON_FAILURE_RESTART);
        rk_kernel other;
        CHECK_DONE(rk_kernel_restore(w.runtime, w.module, data, size, RK_RESTORE_NEW_ADDRESSES, &options, &other, &test_error));
        CHECK_DONE(rk_kernel_activate(other, &test_error));
        for (uint32_t i = 0; i < ACTORS; i++) {
            rk_actor actor = actor_of(other, i);
            const uint64_t was = i * VISITS + 1;
            CHECK_EQ(visits_of(actor), was + 1);
            fail_and_restart(&w, actor, 3);
            CHECK_EQ(visits_of(actor), keeps ? was + 1 : initial.seen + 1);
            just_snapshot(other);
            CHECK_EQ(visits_of(actor), keeps ? was + 2 : initial.seen + 2);
            fail_and_restart(&w, actor, 4);
            CHECK_EQ(visits_of(actor), keeps ? was + 2 : initial.seen + 1);
        }
        CHECK_OK(rk_kernel_destroy(other));
    }
    rk_snapshot_free(data);
    world_close(&w);
}

/* An actor takes its kernel with it: what waits comes back, other kernels go on. */
static void escalate(uint32_t policy, int restarts) {
    enum { ACTORS = 4, WAITING = 12 };
    world w = world_open();
    rk_kernel kernel = world_launch(&w, "patient", OPTIONS(.actors = ACTORS, .on_failure = policy,
                                                           .max_restarts = (uint32_t)restarts, .restart_window_ms = DAY_MS));
    rk_kernel other = world_start(&w, "patient", OPTIONS(.actors = 1));
    rk_actor failing = actor_of(kernel, 2);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    for (int i = 0; i < restarts; i++) {
        crash_at(failing, 40 + i);
        expect_event(&w, RK_EVENT_ACTOR_RESTARTED, failing, 40 + i);
    }
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    crash_at(failing, 41);
    for (uint64_t i = 0; i < WAITING; i++) {
        visit message = {.nonce = i};
        send_to(failing, RK_TYPE(visit), &message, sizeof message);
    }
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    uint32_t failed = 0, dead = 0;
    for (;;) {
        visit got;
        rk_message message = next_message(&w, &got, sizeof got);
        if (message.kind == RK_MESSAGE_EVENT && message.type == RK_EVENT_KERNEL_FAILED) {
            CHECK_EQ(message.reason, RK_ERROR_ACTOR_FAILED);
            CHECK_EQ(message.from.id, actor_of(kernel, 0).id);
            break;
        }
        if (message.kind == RK_MESSAGE_EVENT) {
            CHECK_EQ(message.type, RK_EVENT_ACTOR_FAILED);
            CHECK_EQ(message.reason, 41);
            CHECK_EQ(failed++, 0);
            continue;
        }
        CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
        CHECK(message.reason == RK_DEAD_TERMINATED || message.reason == RK_DEAD_FAILED);
        CHECK_EQ(got.nonce, dead++);
    }
    CHECK_EQ(failed, 1);
    CHECK_EQ(dead, WAITING);
    CHECK_EQ(state_of(kernel), RK_KERNEL_FAILED);
    rk_kernel_statistics stats = check_accounts(kernel);
    CHECK_EQ(stats.restarts, (uint64_t)restarts);
    CHECK_EQ(stats.pending, 0);
    visit message = {.nonce = 1};
    CHECK_STATUS(rk_send(failing, RK_TYPE(visit), &message, sizeof message, NULL), RK_ERROR_KERNEL_FAILED);
    CHECK_ERROR(rk_kernel_activate(kernel, &test_error), RK_ERROR_KERNEL_FAILED);
    CHECK_ERROR(rk_kernel_drain(kernel, PATIENCE, &test_error), RK_ERROR_KERNEL_FAILED);
    CHECK_ERROR(rk_kernel_terminate(kernel, NULL, &test_error), RK_ERROR_KERNEL_FAILED);
    CHECK_EQ(visits_of(actor_of(other, 0)), 1);
    CHECK_OK(rk_kernel_destroy(kernel));
    expect_silence(&w);
    world_close(&w);
}

CASE(supervision_escalate) { escalate(RK_ON_FAILURE_ESCALATE, 0); }

CASE(supervision_restart_then_escalate) { escalate(RK_ON_FAILURE_RESTART | RK_ON_FAILURE_ESCALATE, 2); }

/* A drain in which an actor takes the kernel with it ends, and says so. */
CASE(supervision_escalate_while_draining) {
    world w = world_open();
    rk_kernel kernel = world_launch(&w, "patient", OPTIONS(.actors = 1, .on_failure = RK_ON_FAILURE_ESCALATE));
    crash_at(actor_of(kernel, 0), 5);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    rk_error error;
    test_error_prepare(&error);
    rk_status status = rk_kernel_drain(kernel, PATIENCE, &error);
    /* It may have failed before the drain began. */
    CHECK_EQ(status, RK_ERROR_KERNEL_FAILED);
    CHECK_EQ(state_of(kernel), RK_KERNEL_FAILED);
    world_close(&w);
}

/* Actors that fail at any time: each sees its messages in order, and what it remembers is what came since it failed last, and
 * what had come before the last snapshot if it is restarted from that. */
static void storm(uint32_t policy) {
    enum { ACTORS = 9, EVERY = 13, ROUND = 200 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS, .on_failure = policy,
                                                          .max_restarts = 1000000, .restart_window_ms = DAY_MS));
    uint64_t random = test_seed(), crashes = 0, events = 0;
    uint64_t sent[ACTORS] = {0}, got[ACTORS] = {0}, seen[ACTORS] = {0}, kept[ACTORS] = {0};
    /* What `seen` is to be at each message, by actor. */
    uint64_t(*expected)[ROUND] = calloc(ACTORS, sizeof *expected);
    CHECK(expected != NULL);
    for (uint32_t round = 0; round < test_load(50); round++) {
        memset(sent, 0, sizeof sent);
        memset(got, 0, sizeof got);
        uint64_t replies = 0;
        for (uint32_t i = 0; i < ROUND; i++) {
            uint32_t a = test_random_below(&random, ACTORS);
            if (test_random_below(&random, EVERY) == 0) {
                crash_at(actor_of(kernel, a), (int32_t)a);
                crashes++;
                seen[a] = kept[a];
                continue;
            }
            visit message = {.nonce = sent[a]};
            send_to(actor_of(kernel, a), RK_TYPE(visit), &message, sizeof message);
            expected[a][sent[a]++] = ++seen[a];
            replies++;
        }
        while (replies > 0 || events < crashes) {
            visited payload;
            rk_message message = next_message(&w, &payload, sizeof payload);
            uint32_t a = rk_actor_index(message.from);
            if (message.kind == RK_MESSAGE_EVENT) {
                CHECK_EQ(message.type, RK_EVENT_ACTOR_RESTARTED);
                CHECK_EQ(message.reason, (int32_t)a);
                events++;
                continue;
            }
            CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
            CHECK_EQ(payload.nonce, got[a]);
            CHECK_EQ(payload.seen, expected[a][got[a]]);
            got[a]++;
            replies--;
        }
        CHECK(memcmp(sent, got, sizeof sent) == 0);
        if (policy == FROM_SNAPSHOT && test_random_below(&random, 3) == 0) {
            just_snapshot(kernel);
            memcpy(kept, seen, sizeof kept);
        }
    }
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    rk_kernel_statistics stats = check_accounts(kernel);
    CHECK_EQ(stats.restarts, crashes);
    CHECK_EQ(stats.failures, crashes);
    CHECK_EQ(stats.dead_letters, 0);
    free(expected);
    world_close(&w);
}

CASE(supervision_storm) { storm(RK_ON_FAILURE_RESTART); }

CASE(supervision_storm_from_snapshot) { storm(FROM_SNAPSHOT); }

/* A host that does not read its events costs bounded memory, and is told the number. */
CASE(supervision_host_that_does_not_read) {
    enum { CRASHES = 6000, LETTERS = 4096 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 1, .on_failure = RK_ON_FAILURE_RESTART,
                                                          .max_restarts = 1000000, .restart_window_ms = DAY_MS));
    rk_actor actor = actor_of(kernel, 0);
    for (int i = 0; i < CRASHES; i++) crash_at(actor, i);
    wait_until_handled(kernel, CRASHES);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_EQ(check_accounts(kernel).restarts, CRASHES);
    uint32_t events = 0;
    int32_t last = -1;
    rk_message message;
    uint32_t count;
    while (rk_poll(w.runtime, &message, 1, NULL, 0, 0, &count) == RK_OK) {
        CHECK_EQ(message.type, RK_EVENT_ACTOR_RESTARTED);
        CHECK(message.reason > last);
        last = message.reason;
        events++;
    }
    /* A device hears a little late that there are enough. */
    CHECK(events >= LETTERS && events < LETTERS + 1100);
    world_close(&w);
}

static void direct(rk_actor actor, uint32_t what) { send_to(actor, what, NULL, 0); }

static void expect_stopped(const world *w, rk_actor actor) {
    visit message = {.nonce = 3};
    send_to(actor, RK_TYPE(visit), &message, sizeof message);
    rk_message dead = next_message(w, &message, sizeof message);
    CHECK_EQ(dead.kind, RK_MESSAGE_DEAD_LETTER);
    CHECK_EQ(dead.reason, RK_DEAD_STOPPED);
    CHECK_EQ(dead.to.id, actor.id);
}

/* Stopped by others, started again with the first state; also one that runs, has failed or has stopped itself. */
CASE(supervision_start_and_stop) {
    enum { ACTORS = 3 };
    struct patient initial = random_patient();
    world w = world_open();
    rk_kernel kernel = world_start(
        &w, "patient", OPTIONS(.actors = ACTORS, .initial_state = &initial, .initial_state_size = sizeof initial));
    rk_actor actor = actor_of(kernel, 1), bystander = actor_of(kernel, 0);
    CHECK_EQ(visits_of(actor), initial.seen + 1);
    direct(actor, RK_ACTOR_STOP);
    expect_stopped(&w, actor);
    direct(actor, RK_ACTOR_STOP); /* does nothing */
    expect_stopped(&w, actor);
    direct(actor, RK_ACTOR_START);
    expect_state(actor, &initial);
    CHECK_EQ(visits_of(actor), initial.seen + 1);
    direct(actor, RK_ACTOR_START);
    expect_state(actor, &initial);
    crash_at(actor, 4);
    expect_event(&w, RK_EVENT_ACTOR_FAILED, actor, 4);
    direct(actor, RK_ACTOR_STOP); /* it has failed, and stays so */
    visit late = {.nonce = 1};
    send_to(actor, RK_TYPE(visit), &late, sizeof late);
    CHECK_EQ(next_message(&w, &late, sizeof late).reason, RK_DEAD_FAILED);
    direct(actor, RK_ACTOR_START);
    expect_state(actor, &initial);
    tally last;
    ask_for(actor, RK_TYPE(halt), NULL, 0, RK_TYPE(tally), &last, sizeof last);
    expect_stopped(&w, actor);
    direct(actor, RK_ACTOR_START);
    CHECK_EQ(visits_of(actor), initial.seen + 1);
    CHECK_EQ(visits_of(bystander), initial.seen + 1);
    const char payload = 0;
    CHECK_STATUS(rk_send(actor, RK_ACTOR_START, &payload, 1, NULL), RK_ERROR_SIZE);
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    rk_kernel_statistics stats = check_accounts(kernel);
    CHECK_EQ(stats.handled, 4 + 4 + 1 + 1 + 3 + 3); /* visits, starts, crash, halt, stops, looks at the state */
    CHECK_EQ(stats.dead_letters, 4);
    world_close(&w);
}

/* Another actor's word reaches it sooner or later than ours. */
static void await_running(rk_actor actor, bool runs) {
    for (;;) {
        const visit message = {.nonce = 9};
        visited got;
        rk_error error;
        test_error_prepare(&error);
        const rk_status status = rk_call(actor, RK_TYPE(visit), &message, sizeof message, NULL, &got, sizeof got, NULL,
                                         PATIENCE, &error);
        if (status == (runs ? RK_OK : RK_ERROR_UNDELIVERED)) return;
        CHECK_STATUS(status, runs ? RK_ERROR_UNDELIVERED : RK_OK);
    }
}

/* Actors that wait to be needed, by the host and by other actors; in order with what is sent to them. */
CASE(supervision_dormant) {
    enum { ACTORS = 10, DORMANT = 6 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS, .dormant = DORMANT));
    for (uint32_t i = 0; i < ACTORS; i++) {
        rk_actor actor = actor_of(kernel, i);
        if (i < ACTORS - DORMANT) CHECK_EQ(visits_of(actor), 1);
        else expect_stopped(&w, actor);
    }
    for (uint32_t i = ACTORS - DORMANT; i < ACTORS; i++) {
        rk_actor actor = actor_of(kernel, i);
        direct(actor, RK_ACTOR_START);
        CHECK_EQ(visits_of(actor), 1);
        CHECK_EQ(visits_of(actor), 2);
        direct(actor, RK_ACTOR_STOP);
        expect_stopped(&w, actor);
    }
    rk_kernel leaders = world_start(&w, "leader", OPTIONS(.actors = 1));
    rk_actor leader = actor_of(leaders, 0);
    for (uint32_t i = 0; i < ACTORS; i++) {
        rk_actor actor = actor_of(kernel, i);
        lead message = {.who = actor.id, .starts = 1};
        ask_for(leader, RK_TYPE(lead), &message, sizeof message, RK_TYPE(led), NULL, 0);
        await_running(actor, true);
        message.starts = 0;
        ask_for(leader, RK_TYPE(lead), &message, sizeof message, RK_TYPE(led), NULL, 0);
    }
    for (uint32_t i = 0; i < ACTORS; i++) await_running(actor_of(kernel, i), false);
    CHECK_DONE(rk_kernel_drain(leaders, PATIENCE, &test_error));
    CHECK_EQ(check_accounts(leaders).undeliverable, 0);
    world_close(&w);
}
