/* Actors that were started by others, and end with them. */
#include "world.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Actors of several workers, unless the command line says how many. */
static rk_kernel family(const world *w, rk_kernel_options options) {
    if (world_workers == 0) options.workers = 4;
    return world_start(w, "kinsman", options);
}

static void tell(rk_kernel kernel, uint32_t actor, act message) {
    send_to(actor_of(kernel, actor), RK_TYPE(act), &message, sizeof message);
}

static void start(rk_kernel kernel, uint32_t parent, uint32_t child) {
    tell(kernel, parent, (act){.what = ACT_START, .first = child, .count = 1});
}

static void stop(rk_kernel kernel, uint32_t actor) { send_to(actor_of(kernel, actor), RK_ACTOR_STOP, NULL, 0); }

/* Waits until nothing is under way in the kernel: what its actors do to each other goes on after they have answered us. Gives how
 * many messages they have handled. */
static uint64_t settle(rk_kernel kernel) {
    const int64_t deadline = test_now() + 4 * PATIENCE;
    for (;;) {
        CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
        const rk_kernel_statistics stats = check_accounts(kernel);
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        if (stats.pending == 0 && stats.deferred == 0) return stats.handled;
        CHECK(test_now() < deadline);
        sched_yield();
    }
}

/* Which of the actors run, a character each: '1' runs, '0' is stopped, 'x' has failed. */
static char *who_runs(const world *w, rk_kernel kernel, uint32_t actors) {
    enum { ROUND = 512 };
    char *runs = calloc(actors + 1, 1);
    CHECK(runs != NULL);
    for (uint32_t first = 0; first < actors; first += ROUND) {
        const uint32_t end = first + ROUND < actors ? first + ROUND : actors;
        for (uint32_t i = first; i < end; i++) send_to(actor_of(kernel, i), RK_TYPE(inquire), NULL, 0);
        for (uint32_t i = first; i < end; i++) {
            tally got;
            rk_message message = next_message(w, &got, sizeof got);
            const bool reply = message.kind == RK_MESSAGE_REPLY;
            if (!reply) CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
            const uint32_t index = rk_actor_index(reply ? message.from : message.to);
            CHECK(index < actors && runs[index] == 0);
            if (reply) CHECK_EQ(got.other, 0);
            runs[index] = reply ? '1' : message.reason == RK_DEAD_STOPPED ? '0' : message.reason == RK_DEAD_FAILED ? 'x' : '?';
        }
    }
    return runs;
}

static void expect_runs(const world *w, rk_kernel kernel, const char *expected) {
    settle(kernel);
    char *runs = who_runs(w, kernel, (uint32_t)strlen(expected));
    if (strcmp(runs, expected) != 0) test_fail(__FILE__, __LINE__, "%s run, not %s", runs, expected);
    free(runs);
}

/* So many actors, `from` on, all of which run or none. */
static void expect_all(const world *w, rk_kernel kernel, uint32_t from, uint32_t actors, char expected) {
    settle(kernel);
    char *runs = who_runs(w, kernel, from + actors);
    for (uint32_t i = from; i < from + actors; i++)
        if (runs[i] != expected) test_fail(__FILE__, __LINE__, "actor %u of %u: %c, not %c", i, from + actors, runs[i], expected);
    free(runs);
}

static void expect_event_of(const world *w, rk_kernel kernel, uint32_t type, uint32_t actor) {
    rk_message event = next_message(w, NULL, 0);
    CHECK_EQ(event.kind, RK_MESSAGE_EVENT);
    CHECK_EQ(event.type, type);
    CHECK_EQ(event.from.id, actor_of(kernel, actor).id);
}

/* 1 starts 2 and 3, 3 starts 4 and 5; 0 and 6 are relatives of nobody's, 7 is started by the host. */
static void found(const world *w, rk_kernel kernel) {
    tell(kernel, 1, (act){.what = ACT_START, .first = 2, .count = 2, .step = 1});
    settle(kernel);
    tell(kernel, 3, (act){.what = ACT_START, .first = 4, .count = 2, .step = 1});
    send_to(actor_of(kernel, 7), RK_ACTOR_START, NULL, 0);
    expect_runs(w, kernel, "11111111");
}

enum { BY_HOST, BY_ACTOR, BY_ITSELF, BY_FAILURE, BY_TOO_MANY_RESTARTS, WAYS };

/* However an actor ends, its children do, and theirs; nobody else does, and each is told once. */
static void ends(int way) {
    world w = world_open();
    const uint32_t policy = way == BY_TOO_MANY_RESTARTS ? RK_ON_FAILURE_RESTART : 0;
    rk_kernel kernel = family(&w, OPTIONS(.actors = 8, .dormant = 6, .on_failure = policy, .max_restarts = 1));
    send_to(actor_of(kernel, 6), RK_ACTOR_START, NULL, 0);
    found(&w, kernel);
    uint64_t handled = settle(kernel);
    if (way == BY_HOST) stop(kernel, 1);
    if (way == BY_ACTOR) tell(kernel, 0, (act){.what = ACT_STOP, .first = 1, .count = 1});
    if (way == BY_ITSELF) tell(kernel, 1, (act){.what = ACT_QUIT});
    if (way >= BY_FAILURE) tell(kernel, 1, (act){.what = ACT_FAIL, .code = 3});
    if (way == BY_TOO_MANY_RESTARTS) {
        expect_event_of(&w, kernel, RK_EVENT_ACTOR_RESTARTED, 1);
        expect_runs(&w, kernel, "11111111");
        handled += 8;
        tell(kernel, 1, (act){.what = ACT_FAIL, .code = 3});
    }
    if (way >= BY_FAILURE) expect_event_of(&w, kernel, RK_EVENT_ACTOR_FAILED, 1);
    CHECK_EQ(settle(kernel), handled + 1 + (way == BY_ACTOR || way == BY_TOO_MANY_RESTARTS) + 4);
    expect_runs(&w, kernel, way >= BY_FAILURE ? "1x000011" : "10000011");
    /* Nobody's child any more: started by the host, and not touched by another end of the parent. */
    send_to(actor_of(kernel, 4), RK_ACTOR_START, NULL, 0);
    send_to(actor_of(kernel, 1), RK_ACTOR_START, NULL, 0);
    expect_runs(&w, kernel, "11001011");
    tell(kernel, 4, (act){.what = ACT_START, .first = 1, .count = 1});
    settle(kernel);
    stop(kernel, 3);
    stop(kernel, 2);
    expect_runs(&w, kernel, "11001011");
    /* The other way round now. */
    stop(kernel, 4);
    expect_runs(&w, kernel, "10000011");
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    CHECK_EQ(check_accounts(kernel).undeliverable, 0);
    world_close(&w);
}

CASE(supervision_children_of_one_that_is_stopped) {
    ends(BY_HOST);
    ends(BY_ACTOR);
}

CASE(supervision_children_of_one_that_stops) { ends(BY_ITSELF); }

CASE(supervision_children_of_one_that_fails) {
    ends(BY_FAILURE);
    ends(BY_TOO_MANY_RESTARTS);
}

/* A restart is no end, by the policy or by a START, neither of the parent nor of the child. A child that failed stays so. */
CASE(supervision_restarts_in_a_family) {
    world w = world_open();
    rk_kernel kernel = family(&w, OPTIONS(.actors = 8, .dormant = 6, .on_failure = RK_ON_FAILURE_RESTART, .max_restarts = 2));
    send_to(actor_of(kernel, 6), RK_ACTOR_START, NULL, 0);
    found(&w, kernel);
    for (uint32_t actor = 1; actor <= 4; actor++) {
        tell(kernel, actor, (act){.what = ACT_FAIL});
        expect_event_of(&w, kernel, RK_EVENT_ACTOR_RESTARTED, actor);
        expect_runs(&w, kernel, "11111111");
        send_to(actor_of(kernel, actor), RK_ACTOR_START, NULL, 0);
        expect_runs(&w, kernel, "11111111");
    }
    for (int i = 0; i < 3; i++) {
        tell(kernel, 2, (act){.what = ACT_FAIL});
        expect_event_of(&w, kernel, i < 2 ? RK_EVENT_ACTOR_RESTARTED : RK_EVENT_ACTOR_FAILED, 2);
    }
    expect_runs(&w, kernel, "11x11111");
    stop(kernel, 1);
    expect_runs(&w, kernel, "10x00011");
    world_close(&w);
}

/* Whoever has a parent keeps it until that one ends, whoever starts it again; one that ends by itself is no exception. */
CASE(supervision_children_keep_their_parent) {
    world w = world_open();
    rk_kernel kernel = family(&w, OPTIONS(.actors = 4, .dormant = 2));
    start(kernel, 0, 2);
    settle(kernel);
    start(kernel, 1, 2);
    settle(kernel);
    start(kernel, 2, 3);
    expect_runs(&w, kernel, "1111");
    stop(kernel, 1);
    expect_runs(&w, kernel, "1011");
    stop(kernel, 2);
    expect_runs(&w, kernel, "1000");
    send_to(actor_of(kernel, 2), RK_ACTOR_START, NULL, 0);
    expect_runs(&w, kernel, "1010");
    stop(kernel, 0);
    expect_runs(&w, kernel, "0000");
    /* Now another can have it. */
    send_to(actor_of(kernel, 1), RK_ACTOR_START, NULL, 0);
    start(kernel, 1, 2);
    send_to(actor_of(kernel, 0), RK_ACTOR_START, NULL, 0);
    expect_runs(&w, kernel, "1110");
    stop(kernel, 0);
    expect_runs(&w, kernel, "0110");
    stop(kernel, 1);
    expect_runs(&w, kernel, "0000");
    world_close(&w);
}

/* A circle ends wherever it is cut, and who starts itself has no parent. */
CASE(supervision_families_in_circles) {
    enum { ACTORS = 100 };
    world w = world_open();
    rk_kernel kernel = family(&w, OPTIONS(.actors = ACTORS, .actor_capacity = 4));
    start(kernel, 0, 0);
    start(kernel, 0, 1);
    settle(kernel);
    start(kernel, 1, 0);
    settle(kernel);
    stop(kernel, 1);
    expect_all(&w, kernel, 0, 2, '0');
    expect_all(&w, kernel, 2, ACTORS - 2, '1');
    const uint64_t handled = settle(kernel);
    send_to(actor_of(kernel, 0), RK_ACTOR_START, NULL, 0);
    descend message = {.left = ACTORS, .step = 1};
    send_to(actor_of(kernel, 0), RK_TYPE(descend), &message, sizeof message);
    tally arrived;
    next_message(&w, &arrived, sizeof arrived);
    CHECK_EQ(arrived.count, 0);
    CHECK_EQ(settle(kernel), handled + 2 + 2 * ACTORS);
    stop(kernel, 63);
    CHECK_EQ(settle(kernel), handled + 2 + 2 * ACTORS + 1 + ACTORS);
    expect_all(&w, kernel, 0, ACTORS, '0');
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    check_accounts(kernel);
    world_close(&w);
}

/* One that starts others and ends at once: they end too, wherever their START has got to. */
CASE(supervision_parents_that_end_at_once) {
    enum { ACTORS = 64 };
    world w = world_open();
    rk_kernel kernel = family(&w, OPTIONS(.actors = ACTORS, .dormant = ACTORS - 1, .actor_capacity = 4));
    for (uint32_t round = 0; round < test_load(50); round++) {
        const uint32_t priority = round % 2 == 0 ? 0 : RK_PRIORITY_LOW;
        tell(kernel, 0, (act){.what = ACT_START | ACT_QUIT, .first = 1, .count = ACTORS - 1, .step = 1, .priority = priority});
        expect_all(&w, kernel, 0, ACTORS, '0');
        send_to(actor_of(kernel, 0), RK_ACTOR_START, NULL, 0);
    }
    /* And what a parent starts in its next life runs, in the order in which it said so. */
    for (uint32_t round = 0; round < test_load(50); round++) {
        tell(kernel, 0, (act){.what = ACT_START, .first = 1, .count = ACTORS - 1, .step = 1});
        settle(kernel);
        stop(kernel, 0);
        send_to(actor_of(kernel, 0), RK_ACTOR_START, NULL, 0);
        tell(kernel, 0, (act){.what = ACT_START, .first = 1, .count = ACTORS - 1, .step = 1});
        expect_all(&w, kernel, 0, ACTORS, '1');
    }
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    CHECK_EQ(check_accounts(kernel).refused, 0);
    world_close(&w);
}

/* A chain of ten thousand, each the child of the one before, through rings of four places. */
CASE(supervision_deep_family) {
    const uint32_t actors = test_load(10000);
    world w = world_open();
    rk_kernel kernel = family(&w, OPTIONS(.actors = actors + 1, .dormant = actors - 1, .actor_capacity = 4));
    descend message = {.left = actors - 1, .step = 1};
    send_to(actor_of(kernel, 0), RK_TYPE(descend), &message, sizeof message);
    tally arrived;
    next_message(&w, &arrived, sizeof arrived);
    CHECK_EQ(arrived.count, actors - 1);
    expect_all(&w, kernel, 0, actors, '1');
    const uint64_t handled = settle(kernel);
    stop(kernel, 0);
    CHECK_EQ(settle(kernel), handled + actors);
    expect_all(&w, kernel, 0, actors, '0');
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    CHECK_EQ(check_accounts(kernel).undeliverable, 0);
    world_close(&w);
}

/* Ten thousand children of one parent, and ten of each of some of them. */
CASE(supervision_wide_family) {
    enum { EACH = 500, GRAND = 10 };
    const uint32_t children = test_load(20) * EACH, parents = 20, actors = 1 + children + parents * GRAND;
    world w = world_open();
    rk_kernel kernel = family(&w, OPTIONS(.actors = actors, .dormant = actors - 1, .actor_capacity = 4));
    for (uint32_t first = 1; first <= children; first += EACH)
        tell(kernel, 0, (act){.what = ACT_START, .first = first, .count = EACH, .step = 1});
    settle(kernel);
    for (uint32_t i = 0; i < parents; i++)
        tell(kernel, 1 + i * 7, (act){.what = ACT_START, .first = 1 + children + i * GRAND, .count = GRAND, .step = 1});
    expect_all(&w, kernel, 0, actors, '1');
    const uint64_t handled = settle(kernel);
    tell(kernel, 0, (act){.what = ACT_QUIT});
    CHECK_EQ(settle(kernel), handled + actors);
    expect_all(&w, kernel, 0, actors, '0');
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    CHECK_EQ(check_accounts(kernel).undeliverable, 0);
    world_close(&w);
}

/* However many actors there are, an end is a matter of the children: a device that ends loops after 65,535 turns could not
 * even look at all. */
CASE(supervision_family_among_a_million) {
    enum { ACTORS = 1000000, CHILDREN = 16, STEP = 61803 };
    world w = world_open();
    rk_kernel kernel = family(&w, OPTIONS(.actors = ACTORS, .dormant = ACTORS - 1));
    for (int life = 0; life < 3; life++) {
        tell(kernel, 0, (act){.what = ACT_START, .first = ACTORS - 1, .count = CHILDREN, .step = ACTORS - STEP});
        const uint64_t handled = settle(kernel);
        for (uint32_t i = 0; i < CHILDREN; i++) inquire_of(actor_of(kernel, ACTORS - 1 - i * STEP));
        stop(kernel, 0);
        CHECK_EQ(settle(kernel), handled + 2 * CHILDREN + 1);
        for (uint32_t i = 0; i < CHILDREN; i++) {
            rk_actor child = actor_of(kernel, ACTORS - 1 - i * STEP);
            send_to(child, RK_TYPE(inquire), NULL, 0);
            rk_message message = next_message(&w, NULL, 0);
            CHECK(message.reason == RK_DEAD_STOPPED && message.to.id == child.id);
        }
        send_to(actor_of(kernel, 0), RK_ACTOR_START, NULL, 0);
    }
    world_close(&w);
}

/* The end of a kernel finds its actors telling each other: nobody hears of that, and it adds up. */
CASE(supervision_family_when_the_kernel_ends) {
    enum { ACTORS = 400 };
    for (uint32_t round = 0; round < test_load(30); round++) {
        world w = world_open();
        rk_kernel kernel = family(&w, OPTIONS(.actors = ACTORS, .actor_capacity = 4));
        tell(kernel, 0, (act){.what = ACT_START, .first = 1, .count = ACTORS - 1, .step = 1});
        settle(kernel);
        tell(kernel, 0, (act){.what = ACT_QUIT});
        if (round % 2 == 0) {
            uint64_t left;
            CHECK_DONE(rk_kernel_terminate(kernel, &left, &test_error));
            const rk_kernel_statistics stats = check_accounts(kernel);
            CHECK_EQ(stats.pending, 0);
            CHECK_EQ(stats.undeliverable, 0);
            CHECK_EQ(stats.dead_letters, left);
            CHECK(left <= 1); /* ours */
        } else {
            CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
            const rk_kernel_statistics stats = check_accounts(kernel);
            CHECK_EQ(stats.handled, 1 + ACTORS - 1 + 1 + ACTORS - 1);
            CHECK_EQ(stats.dead_letters + stats.undeliverable, 0);
        }
        world_close(&w);
    }
}

typedef struct kin {
    uint32_t parent, first, next; /* index plus 1 */
} kin;

/* What a snapshot says, see src/snapshot/format.rs, fits together: a list holds its owner's children, each once, and nobody runs
 * whose parent has ended. */
static void check_families(const void *data, uint32_t actors) {
    enum { HEADER = 128, ENTRY = 16 };
    const uint32_t ENDED = UINT32_MAX;
    const unsigned char *bytes = data;
    uint16_t names[2];
    memcpy(names, bytes + 44, sizeof names);
    const unsigned char *entries = bytes + HEADER + (names[0] + names[1] + 7) / 8 * 8;
    kin *all = malloc(actors * sizeof *all);
    uint32_t *listed = calloc(actors, sizeof *listed);
    CHECK(all != NULL && listed != NULL);
    memcpy(all, entries + (size_t)actors * ENTRY, actors * sizeof *all);
    for (uint32_t i = 0; i < actors; i++) {
        uint32_t status;
        memcpy(&status, entries + (size_t)i * ENTRY, sizeof status);
        CHECK(status == 0 ? all[i].first != ENDED : all[i].first == ENDED || all[i].first == 0);
        for (uint32_t at = all[i].first; at != 0 && at != ENDED; at = all[at - 1].next) {
            CHECK(at <= actors && all[at - 1].parent == i + 1);
            CHECK_EQ(listed[at - 1]++, 0);
        }
    }
    for (uint32_t i = 0; i < actors; i++) CHECK_EQ(listed[i], all[i].parent != 0);
    free(listed);
    free(all);
}

/* Dead letters and events, all that there are now. */
static void discard_letters(const world *w) {
    rk_message message;
    act payload;
    uint32_t count;
    rk_status status;
    while ((status = rk_poll(w->runtime, &message, 1, &payload, sizeof payload, 0, &count)) == RK_OK)
        CHECK(message.kind == RK_MESSAGE_DEAD_LETTER || message.kind == RK_MESSAGE_EVENT);
    CHECK_EQ(status, RK_AGAIN);
}

/* Everybody starts, stops and ends everybody, through small rings, while snapshots are taken and kernels begin from them on this
 * and another backend: whenever it comes to rest, all fits together, and no message is lost. */
CASE(supervision_families_in_a_storm) {
    enum { ACTORS = 60, ROUND = 60 };
    world w = world_open();
    rk_kernel_options options = OPTIONS(.actors = ACTORS, .dormant = ACTORS / 3, .actor_capacity = 4, .on_failure = 1,
                                        .max_restarts = 1, .restart_window_ms = 86400000);
    rk_kernel kernel = family(&w, options);
    options.actors = options.dormant = 0;
    uint64_t random = test_seed();
    for (uint32_t round = 0; round < test_load(60); round++) {
        for (uint32_t i = 0; i < ROUND; i++) {
            static const uint32_t often[] = {ACT_START, ACT_START, ACT_START, ACT_STOP, ACT_START | ACT_QUIT, ACT_FAIL};
            const act message = {.what = often[test_random_below(&random, 6)], .first = test_random_below(&random, ACTORS),
                                 .count = test_random_below(&random, 6), .step = test_random_below(&random, ACTORS)};
            tell(kernel, test_random_below(&random, ACTORS), message);
            const uint32_t who = test_random_below(&random, ACTORS);
            if (i % 5 == 0) send_to(actor_of(kernel, who), i % 2 == 0 ? RK_ACTOR_START : RK_ACTOR_STOP, NULL, 0);
        }
        const bool moves = round % 3 == 0;
        void *data;
        size_t size;
        rk_error error;
        /* In the middle of it. A GPU may have to be asked again, until we have read of a failure. */
        for (;;) {
            discard_letters(&w);
            test_error_prepare(&error);
            const rk_status status = rk_kernel_snapshot(kernel, moves ? RK_SNAPSHOT_END : 0, &data, &size, &error);
            if (status == RK_OK) break;
            CHECK_EQ(status, RK_ERROR_BAD_STATE);
            CHECK_EQ(state_of(kernel), RK_KERNEL_ACTIVE);
        }
        if (moves) {
            CHECK_OK(rk_kernel_destroy(kernel));
            options.backend = round % 2 == 0 ? RK_BACKEND_CPU : world_backend;
            options.lanes = options.backend == RK_BACKEND_CPU ? 1 : world_lanes;
            options.workers = 1 + test_random_below(&random, 6);
            CHECK_DONE(rk_kernel_restore(w.runtime, w.module, data, size, 0, &options, &kernel, &test_error));
            CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        }
        rk_snapshot_free(data);
        settle(kernel);
        discard_letters(&w);
        CHECK_DONE(rk_kernel_snapshot(kernel, 0, &data, &size, &test_error));
        check_families(data, ACTORS);
        rk_snapshot_free(data);
    }
    /* With the roots of all families the families end. */
    for (uint32_t i = 0; i < ACTORS; i++) stop(kernel, i);
    settle(kernel);
    discard_letters(&w);
    char *runs = who_runs(&w, kernel, ACTORS);
    for (uint32_t i = 0; i < ACTORS; i++) CHECK(runs[i] == '0' || runs[i] == 'x');
    free(runs);
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    CHECK_EQ(check_accounts(kernel).undeliverable, 0);
    world_close(&w);
}

/* A family goes on in a kernel that is made from a snapshot, and its end, where that was under way. */
CASE(supervision_family_in_a_snapshot) {
    enum { ACTORS = 120 };
    world w = world_open();
    for (uint32_t turn = 0; turn < 8; turn++) {
        rk_kernel kernel = family(&w, OPTIONS(.actors = ACTORS, .dormant = ACTORS - 1, .actor_capacity = 4));
        tell(kernel, 0, (act){.what = ACT_START, .first = 1, .count = ACTORS / 2, .step = 1});
        settle(kernel);
        tell(kernel, 1, (act){.what = ACT_START, .first = 1 + ACTORS / 2, .count = ACTORS - 1 - ACTORS / 2, .step = 1});
        settle(kernel);
        const bool under_way = turn % 2 == 1;
        if (under_way) tell(kernel, 0, (act){.what = ACT_QUIT});
        void *data;
        size_t size;
        CHECK_DONE(rk_kernel_snapshot(kernel, 0, &data, &size, &test_error));
        rk_kernel_options options = OPTIONS(.workers = 1 + turn % 5, .backend = turn % 4 < 2 ? world_backend : RK_BACKEND_CPU,
                                            .lanes = turn % 4 < 2 ? world_lanes : 1);
        rk_kernel other;
        CHECK_DONE(rk_kernel_restore(w.runtime, w.module, data, size, RK_RESTORE_NEW_ADDRESSES, &options, &other, &test_error));
        CHECK_DONE(rk_kernel_activate(other, &test_error));
        if (!under_way) {
            check_families(data, ACTORS);
            expect_all(&w, other, 0, ACTORS, '1');
            tell(other, 0, (act){.what = ACT_QUIT});
            expect_all(&w, kernel, 0, ACTORS, '1'); /* what it was made of goes on by itself */
        }
        rk_snapshot_free(data);
        expect_all(&w, other, 0, ACTORS, '0');
        if (under_way) expect_all(&w, kernel, 0, ACTORS, '0');
        CHECK_OK(rk_kernel_destroy(other));
        CHECK_OK(rk_kernel_destroy(kernel));
    }
    world_close(&w);
}

/* A parent is of the same kernel, and that it has ended nobody else can say. */
CASE(supervision_no_parent_from_another_kernel) {
    world w = world_open();
    rk_kernel kernel = family(&w, OPTIONS(.actors = 4, .dormant = 2));
    rk_kernel leaders = world_start(&w, "leader", OPTIONS(.actors = 4));
    rk_actor leader = actor_of(leaders, 1);
    lead message = {.who = actor_of(kernel, 2).id, .starts = 1};
    ask_for(leader, RK_TYPE(lead), &message, sizeof message, RK_TYPE(led), NULL, 0);
    while (stats_of(kernel).handled == 0) sched_yield();
    expect_runs(&w, kernel, "1110");
    send_to(leader, RK_ACTOR_STOP, NULL, 0);
    stop(kernel, 1); /* who has that one's number here */
    wait_until_handled(leaders, 2);
    expect_runs(&w, kernel, "1010");
    CHECK_STATUS(rk_send(actor_of(kernel, 0), RK_ACTOR_STOP + 1, NULL, 0, NULL), RK_ERROR_NOT_FOUND);
    world_close(&w);
}
