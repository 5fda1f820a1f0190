/* Eight threads use a runtime, module, queue or kernel with everything the header has, while others destroy it. From
 * then on every call gives RK_ERROR_STALE_HANDLE; until then each gives an ordinary outcome; nobody waits for ever. */
#include "surface.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { USERS = 8, DESTROYERS = 2, WAITERS = 4 };

typedef struct race {
    fixture all;
    unsigned noun;
    /* A kernel that is not activated, so that a send to it and a call wait. */
    rk_kernel stuck;
    rk_actor stuck_actor;
    uint64_t seed;
    atomic_uint started; /* users that made a call */
    atomic_uint destroyed_by;
    atomic_bool destroyed;
} race;

static bool ordinary(rk_status status) {
    switch (status) {
    case RK_OK:
    case RK_AGAIN:
    case RK_TIMEOUT:
    case RK_ERROR_STALE_HANDLE:
    case RK_ERROR_BAD_STATE:
    case RK_ERROR_NOT_FOUND: /* a name that nothing has */
    case RK_ERROR_UNDELIVERED: return true;
    default: return false;
    }
}

/* What uses the noun, also through what belongs to it. */
static bool concerns(const surface_call *entry, unsigned noun) {
    switch (noun) {
    case TAKES_RUNTIME: return true;
    case TAKES_KERNEL: return (entry->takes & (TAKES_KERNEL | TAKES_ACTOR)) != 0;
    default: return (entry->takes & noun) != 0;
    }
}

static void use(race *with, unsigned index) {
    enum { CALLS = 400, RARELY = 64 };
    uint64_t random = with->seed + index;
    bool started = false;
    for (unsigned calls = 0; calls < CALLS; calls++) {
        const surface_call *entry = &surface[test_random_below(&random, (uint32_t)surface_count)];
        bool rarely = test_random_below(&random, RARELY) != 0;
        if (!concerns(entry, with->noun) || entry->effect == EFFECT_DESTROYS) continue;
        if (entry->effect == EFFECT_ENDS && rarely) continue;
        bool over = atomic_load(&with->destroyed);
        rk_error error;
        test_error_prepare(&error);
        rk_status status = entry->call(&with->all, &error);
        if (entry->has_error) test_error_check(__FILE__, __LINE__, &error, status);
        if (over ? status != RK_ERROR_STALE_HANDLE : !ordinary(status))
            test_fail(__FILE__, __LINE__, "%s, %s: %s", entry->name, over ? "destroyed" : "being destroyed",
                      rk_status_name(status));
        if (!started) atomic_fetch_add(&with->started, 1);
        started = true;
        if (over) return;
    }
    if (!started) atomic_fetch_add(&with->started, 1);
}

/* Waits without limit; only the destruction ends it. */
static void wait_for_ever(race *with, unsigned which) {
    rk_message messages[8];
    _Alignas(16) unsigned char payloads[4096];
    uint32_t count = 0;
    rk_status status = RK_OK;
    ask question = {.nonce = 1};
    answer reply;
    rk_send_options patient = RK_SEND_OPTIONS_INIT;
    patient.timeout_ns = RK_FOREVER;
    while (ordinary(status) && status != RK_ERROR_STALE_HANDLE) {
        if (with->noun == TAKES_QUEUE) {
            status = rk_queue_poll(with->all.queue, messages, 8, payloads, sizeof payloads, RK_FOREVER, &count);
        } else if (with->noun == TAKES_KERNEL && which % 2 == 0) {
            status = rk_send(with->stuck_actor, RK_TYPE(ask), &question, sizeof question, &patient);
        } else if (with->noun == TAKES_RUNTIME && which % 2 == 0) {
            status = rk_poll(with->all.runtime, messages, 8, payloads, sizeof payloads, RK_FOREVER, &count);
        } else {
            status = rk_call(with->stuck_actor, RK_TYPE(note), &question, sizeof question, NULL, &reply, sizeof reply,
                             NULL, RK_FOREVER, NULL);
        }
    }
    if (status != RK_ERROR_STALE_HANDLE) test_fail(__FILE__, __LINE__, "waiter %u: %s", which, rk_status_name(status));
}

static rk_status destroy_once(race *with) {
    switch (with->noun) {
    case TAKES_RUNTIME: return rk_runtime_destroy(with->all.runtime);
    case TAKES_MODULE: return rk_module_destroy(with->all.module);
    case TAKES_QUEUE: return rk_queue_destroy(with->all.queue);
    default: return rk_kernel_destroy(with->all.kernel);
    }
}

static void destroy(race *with) {
    while (atomic_load(&with->started) < USERS) sched_yield();
    rk_status status;
    /* In use until the last kernel of it is gone. */
    while ((status = destroy_once(with)) == RK_ERROR_BAD_STATE && (with->noun & (TAKES_MODULE | TAKES_QUEUE)) != 0)
        sched_yield();
    if (status == RK_OK) {
        CHECK_EQ(atomic_fetch_add(&with->destroyed_by, 1), 0);
        if (with->noun == TAKES_KERNEL) CHECK_OK(rk_kernel_destroy(with->stuck));
        atomic_store(&with->destroyed, true);
    } else {
        CHECK_STATUS(status, RK_ERROR_STALE_HANDLE);
    }
}

static void take_part(unsigned index, void *shared) {
    race *with = shared;
    if (index < USERS) use(with, index);
    else if (index < USERS + DESTROYERS) destroy(with);
    else wait_for_ever(with, index - USERS - DESTROYERS);
}

/* A kernel that handles nothing: its rings fill, its calls wait. */
static void launch_stuck(race *with) {
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.inbound_capacity = 4;
    with->stuck = fixture_launch(with->all.runtime, with->all.module, &options);
    CHECK_OK(rk_kernel_actor(with->stuck, 0, &with->stuck_actor));
}

static void run_races(unsigned noun, unsigned rounds) {
    uint64_t random = test_seed();
    fixture kept = fixture_open();
    size_t size;
    fixture_file_bytes(&size); /* read before the threads do */
    for (unsigned round = 0; round < rounds; round++) {
        race with;
        memset(&with, 0, sizeof with);
        with.noun = noun;
        with.seed = test_random(&random);
        with.all = noun == TAKES_RUNTIME ? fixture_open() : kept;
        unsigned waiters = 0;
        if (noun == TAKES_RUNTIME) {
            launch_stuck(&with);
            waiters = WAITERS;
        } else if (noun == TAKES_MODULE) {
            with.all.module = fixture_module(kept.runtime);
        } else if (noun == TAKES_QUEUE) {
            CHECK_DONE(rk_queue_create(kept.runtime, &with.all.queue, &test_error));
            waiters = WAITERS;
        } else {
            rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
            options.actors = FIXTURE_ACTORS;
            with.all.kernel = fixture_launch(kept.runtime, kept.module, &options);
            CHECK_DONE(rk_kernel_activate(with.all.kernel, &test_error));
            CHECK_OK(rk_kernel_actor(with.all.kernel, 1, &with.all.actor));
            launch_stuck(&with);
            waiters = 2;
        }
        test_threads(USERS + DESTROYERS + waiters, take_part, &with);
        CHECK_EQ(with.destroyed_by, 1);
        for (size_t i = 0; i < surface_count; i++)
            if (concerns(&surface[i], noun))
                surface_expect(&surface[i], &with.all, RK_ERROR_STALE_HANDLE, "after the race");
    }
    fixture_verify(kept.actor);
    fixture_close(&kept);
}

CASE(races_runtime) { run_races(TAKES_RUNTIME, test_load(40)); }
CASE(races_module) { run_races(TAKES_MODULE, test_load(20)); }
CASE(races_queue) { run_races(TAKES_QUEUE, test_load(100)); }
CASE(races_kernel) { run_races(TAKES_KERNEL, test_load(100)); }

/* A drain that cannot end, because nobody polls, ends when the kernel is destroyed. */
static void drain_without_end(unsigned index, void *shared) {
    race *with = shared;
    if (index == 0) {
        atomic_store(&with->started, 1);
        CHECK_STATUS(rk_kernel_drain(with->all.kernel, RK_FOREVER, NULL), RK_ERROR_STALE_HANDLE);
    } else {
        uint32_t state = 0;
        while (atomic_load(&with->started) == 0 || state != RK_KERNEL_DRAINING)
            CHECK_OK(rk_kernel_state(with->all.kernel, &state));
        CHECK_OK(rk_kernel_destroy(with->all.kernel));
    }
}

CASE(races_drain_and_destroy) {
    race with;
    memset(&with, 0, sizeof with);
    with.all = fixture_open();
    rk_kernel kept = with.all.kernel;
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.inbound_capacity = options.outbound_capacity = 4;
    for (uint32_t round = 0; round < test_load(50); round++) {
        /* With the runtime parked the drain begins and cannot end. */
        atomic_store(&with.started, 0);
        with.all.kernel = fixture_launch(with.all.runtime, with.all.module, &options);
        CHECK_DONE(rk_kernel_activate(with.all.kernel, &test_error));
        CHECK_DONE(rk_runtime_park(with.all.runtime, RK_FOREVER, &test_error));
        rk_actor actor;
        CHECK_OK(rk_kernel_actor(with.all.kernel, 0, &actor));
        for (int i = 0; i < 4; i++) CHECK_OK(rk_send(actor, RK_TYPE(ask), NULL, 0, NULL));
        test_threads(2, drain_without_end, &with);
        CHECK_DONE(rk_runtime_unpark(with.all.runtime, &test_error));
    }
    with.all.kernel = kept;
    fixture_close(&with.all);
}

typedef struct parking {
    const fixture *all;
    uint64_t seed;
    atomic_uint_fast64_t sent;
    atomic_bool over;
} parking;

static void park_or_work(unsigned index, void *shared) {
    parking *with = shared;
    if (index < 3) {
        for (uint32_t i = 0; i < test_load(300); i++) {
            CHECK_DONE(rk_runtime_park(with->all->runtime, RK_FOREVER, &test_error));
            CHECK_DONE(rk_runtime_unpark(with->all->runtime, &test_error));
        }
        atomic_store(&with->over, true);
        return;
    }
    ask question = {.nonce = index};
    answer reply;
    while (!atomic_load(&with->over)) {
        CHECK_DONE(rk_call(with->all->actor, RK_TYPE(ask), &question, sizeof question, NULL, &reply, sizeof reply, NULL,
                           RK_FOREVER, &test_error));
        CHECK_EQ(reply.nonce, index);
        atomic_fetch_add(&with->sent, 1);
    }
}

/* Parks of several threads are counted; the work in between goes on and is all done. */
CASE(races_park_and_unpark) {
    fixture all = fixture_open();
    parking with = {.all = &all};
    test_threads(6, park_or_work, &with);
    CHECK_ERROR(rk_runtime_unpark(all.runtime, &test_error), RK_ERROR_BAD_STATE);
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_runtime_park(all.runtime, RK_FOREVER, &test_error));
    CHECK_DONE(rk_kernel_stats(all.kernel, &stats, &test_error));
    CHECK_EQ(stats.handled, with.sent);
    CHECK_EQ(stats.accepted, with.sent);
    CHECK_DONE(rk_runtime_unpark(all.runtime, &test_error));
    fixture_close(&all);
}
