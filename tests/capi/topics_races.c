/* Topics, with several threads that publish, subscribe and end things. */
#include "topics_fixture.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

typedef struct blocked {
    fixture all;
    rk_topic topic;
    rk_subscription subscription;
    atomic_uint waiting;
    rk_status expected;
} blocked;

static void wait_for_room(unsigned index, void *shared) {
    blocked *with = shared;
    if (index < 4) {
        atomic_fetch_add(&with->waiting, 1);
        CHECK_STATUS(publish(with->topic, index, 0, RK_FOREVER), with->expected);
        return;
    }
    while (atomic_load(&with->waiting) < 4) sched_yield();
    test_until(test_now() + 10000000);
    if (with->expected == RK_OK) CHECK_OK(rk_unsubscribe(with->subscription));
    else if (with->subscription.id != 0) CHECK_OK(rk_topic_close(with->topic));
    else CHECK_OK(rk_runtime_destroy(with->all.runtime));
}

/* Who waits goes on when the subscription ends, the topic or the runtime. */
CASE(topics_waiting_ends) {
    for (int what = 0; what < 3; what++) {
        blocked with = {.all = fixture_open(), .expected = what == 0 ? RK_OK : RK_ERROR_STALE_HANDLE};
        with.topic = open_topic(with.all.runtime, "t", 0);
        with.subscription =
            subscribe(with.all.runtime, "t", SUBSCRIBING(.qos = RK_QOS_AT_LEAST_ONCE, .capacity = 1));
        CHECK_OK(publish(with.topic, 0, 0, 0));
        rk_subscription subscription = with.subscription;
        if (what == 2) with.subscription.id = 0;
        test_threads(5, wait_for_room, &with);
        if (what == 2) continue;
        if (what == 1) CHECK_OK(rk_unsubscribe(subscription));
        fixture_close(&with.all);
    }
}

enum { PUBLISHERS = 4, EACH = 3000 };

typedef struct stream {
    fixture all;
    rk_topic topic;
    rk_subscription host;
    atomic_uint done;
} stream;

static void pour(unsigned index, void *shared) {
    stream *with = shared;
    uint32_t each = test_load(EACH);
    if (index < PUBLISHERS) {
        for (uint32_t i = 0; i < each; i++)
            CHECK_OK(publish(with->topic, (uint64_t)index << 32 | i, 0, RK_FOREVER));
        return;
    }
    /* Of each publisher everything once, in order. */
    uint32_t next[PUBLISHERS] = {0};
    for (uint32_t left = PUBLISHERS * each; left > 0;) {
        rk_message messages[16];
        _Alignas(16) unsigned char payloads[16 * 16];
        uint32_t count = 0;
        CHECK_OK(rk_poll(with->all.runtime, messages, 16, payloads, sizeof payloads, 30 * SECOND, &count));
        for (uint32_t i = 0; i < count; i++) {
            note got;
            memcpy(&got, messages[i].payload, sizeof got);
            CHECK_EQ(next[got.value >> 32]++, (uint32_t)got.value);
        }
        left -= count;
    }
}

CASE(topics_lose_nothing) {
    stream with = {.all = fixture_open()};
    with.topic = open_topic(with.all.runtime, "t", 0);
    rk_kernel kernel;
    rk_actor actor = full_soon(&with.all, &kernel);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    with.host = subscribe(with.all.runtime, "t", SUBSCRIBING(.qos = RK_QOS_EXACTLY_ONCE, .capacity = 7));
    rk_subscription to_actor =
        subscribe(with.all.runtime, "t", SUBSCRIBING(.actor = actor, .qos = RK_QOS_AT_LEAST_ONCE, .capacity = 3));
    test_threads(PUBLISHERS + 1, pour, &with);
    wait_until_delivered(to_actor);
    uint64_t each = test_load(EACH), sum = PUBLISHERS * (each * (each - 1) / 2);
    for (uint64_t i = 0; i < PUBLISHERS; i++) sum += (i << 32) * each;
    wait_until_seen(actor, sum);
    check_counts(with.host, PUBLISHERS * each, 0, 0, 0);
    check_counts(to_actor, PUBLISHERS * each, 0, 0, 0);
    CHECK_OK(rk_unsubscribe(with.host));
    CHECK_OK(rk_kernel_destroy(kernel));
    fixture_close(&with.all);
}

/* Each sees what is retained last, however the two cross. */
static void cross(unsigned index, void *shared) {
    stream *with = shared;
    if (index == 0) {
        for (uint64_t i = 1; i <= test_load(4000); i++) {
            CHECK_OK(publish(with->topic, i, RK_PUBLISH_RETAIN, 0));
            if (i % 8 == 0) sched_yield();
        }
        atomic_store(&with->done, 1);
        return;
    }
    bool last = false;
    while (!last) {
        last = atomic_load(&with->done) != 0;
        rk_queue queue;
        CHECK_DONE(rk_queue_create(with->all.runtime, &queue, &test_error));
        rk_subscription subscription = subscribe(
            with->all.runtime, "t",
            SUBSCRIBING(.queue = queue, .qos = RK_QOS_EXACTLY_ONCE, .overflow = RK_OVERFLOW_DROP_NEWEST, .capacity = 64));
        uint64_t before = 0;
        rk_message message;
        note payload;
        for (int i = 0; i < 20 && receive(&with->all, queue, &message, &payload); i++) {
            CHECK(before == 0 ? payload.value > 0 : payload.value == before + 1);
            before = payload.value;
        }
        if (last) CHECK_EQ(before, test_load(4000));
        CHECK_OK(rk_unsubscribe(subscription));
        CHECK_OK(rk_queue_destroy(queue));
    }
}

CASE(topics_retained_races) {
    stream with = {.all = fixture_open()};
    with.topic = open_topic(with.all.runtime, "t", 0);
    test_threads(4, cross, &with);
    fixture_close(&with.all);
}

typedef struct race {
    fixture all;
    uint64_t seed;
    _Atomic uint64_t topics[4], subscriptions[16];
    atomic_uint running;
} race;

static bool ordinary(rk_status status) {
    return status == RK_OK || status == RK_AGAIN || status == RK_TIMEOUT || status == RK_ERROR_STALE_HANDLE ||
           status == RK_ERROR_BAD_STATE;
}

#define CHECK_ORDINARY(call)                                                                                           \
    do {                                                                                                               \
        rk_status ordinary_ = (call);                                                                                  \
        if (!ordinary(ordinary_)) test_fail(__FILE__, __LINE__, "%s gives %s", #call, rk_status_name(ordinary_));      \
    } while (0)

static void subscribe_at_random(race *with, uint64_t *random, rk_actor actor) {
    static const char *const filters[] = {"race/#", "race/*", "race/0", "race/3", "#"};
    rk_subscription_options options = RK_SUBSCRIPTION_OPTIONS_INIT;
    options.qos = test_random_below(random, 3);
    options.capacity = 1 + test_random_below(random, 8);
    if (options.qos != 0) options.overflow = test_random_below(random, 4);
    switch (test_random_below(random, 4)) {
    case 0: options.actor = actor; break;
    case 1: options.actor = with->all.actor; break;
    case 2: options.queue = with->all.queue; break;
    default: break;
    }
    const char *filter = filters[test_random_below(random, 5)];
    rk_subscription made = {0};
    CHECK_ORDINARY(rk_subscribe(with->all.runtime, TEXT(filter), &options, &made, NULL));
    uint64_t old = atomic_exchange(&with->subscriptions[test_random_below(random, 16)], made.id);
    if (old != 0) CHECK_ORDINARY(rk_unsubscribe((rk_subscription){old}));
}

static void struggle(unsigned index, void *shared) {
    race *with = shared;
    uint64_t random = with->seed + index;
    rk_message messages[8];
    _Alignas(16) unsigned char payloads[4096];
    uint32_t count = 0;
    for (uint32_t round = 0; round < test_load(1500); round++) {
        const uint32_t which = test_random_below(&random, 4);
        rk_topic topic = {atomic_load(&with->topics[which])};
        char name[16];
        switch (test_random_below(&random, 16)) {
        case 0: {
            snprintf(name, sizeof name, "race/%u", which);
            CHECK_ORDINARY(rk_topic_open(with->all.runtime, TEXT(name), NULL, &topic, NULL));
            atomic_store(&with->topics[which], topic.id);
            break;
        }
        case 1:
            if (index == 0) CHECK_ORDINARY(rk_topic_close(topic));
            break;
        case 2:
        case 3: subscribe_at_random(with, &random, with->all.actor); break;
        case 4: {
            uint64_t old = atomic_exchange(&with->subscriptions[test_random_below(&random, 16)], 0);
            CHECK_ORDINARY(rk_unsubscribe((rk_subscription){old}));
            break;
        }
        case 5: {
            /* Subscribers that go with their kernel. */
            if (test_random_below(&random, 8) != 0) break;
            rk_kernel kernel;
            rk_actor actor = full_soon(&with->all, &kernel);
            for (int i = 0; i < 4; i++) subscribe_at_random(with, &random, actor);
            CHECK_ORDINARY(publish(topic, 1, 0, 0));
            if (test_random_below(&random, 2) == 0) CHECK_DONE(rk_kernel_activate(kernel, &test_error));
            CHECK_ORDINARY(publish(topic, 1, 0, 0));
            CHECK_OK(rk_kernel_destroy(kernel));
            break;
        }
        case 6: {
            spread order = {.to = topic.id, .value = 1, .count = 3};
            CHECK_ORDINARY(rk_send(with->all.actor, RK_TYPE(spread), &order, sizeof order, NULL));
            break;
        }
        case 7: {
            rk_topic_statistics stats = RK_TOPIC_STATISTICS_INIT;
            CHECK_ORDINARY(rk_topic_stats(topic, &stats, NULL));
            break;
        }
        case 8:
            CHECK_ORDINARY(rk_queue_poll(with->all.queue, messages, 8, payloads, sizeof payloads, 0, &count));
            break;
        case 9:
        case 10: CHECK_ORDINARY(rk_poll(with->all.runtime, messages, 8, payloads, sizeof payloads, 0, &count)); break;
        default:
            CHECK_ORDINARY(publish(topic, 1, test_random_below(&random, 2) * RK_PUBLISH_RETAIN,
                                   test_random_below(&random, 2) * 100000));
            break;
        }
    }
    atomic_fetch_sub(&with->running, 1);
    if (index == 0) { /* the others' actors wait for pollers */
        while (atomic_load(&with->running) > 0) {
            CHECK_ORDINARY(rk_poll(with->all.runtime, messages, 8, payloads, sizeof payloads, 0, &count));
            CHECK_ORDINARY(rk_queue_poll(with->all.queue, messages, 8, payloads, sizeof payloads, 0, &count));
        }
    }
}

CASE(topics_races) {
    race with = {.all = fixture_open(), .seed = test_seed(), .running = 8};
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "race/%d", i);
        with.topics[i] = open_topic(with.all.runtime, name, 0).id;
    }
    test_threads(8, struggle, &with);
    for (int i = 0; i < 16; i++) CHECK_ORDINARY(rk_unsubscribe((rk_subscription){with.subscriptions[i]}));
    /* What the actor was still told to publish it has published once it answers. */
    fixture_verify(with.all.actor);
    /* Whatever happened, of what was published everything is accounted for. */
    for (int i = 0; i < 4; i++) {
        rk_topic_statistics stats = RK_TOPIC_STATISTICS_INIT;
        rk_status status = rk_topic_stats((rk_topic){with.topics[i]}, &stats, NULL);
        if (status != RK_OK) continue;
        CHECK_EQ(stats.waiting, 0);
        CHECK_EQ(stats.subscriptions, 0);
    }
    CHECK_DONE(rk_kernel_deactivate(with.all.kernel, &test_error));
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_stats(with.all.kernel, &stats, &test_error));
    CHECK_EQ(stats.accepted, stats.handled + stats.dead_letters + stats.pending);
    fixture_close(&with.all);
}

/* The runtime goes while it is used. */
static void destroy_under(unsigned index, void *shared) {
    race *with = shared;
    uint64_t random = with->seed + index;
    if (index == 7) {
        test_until(test_now() + 1000 + test_random_below(&random, 2000000));
        CHECK_OK(rk_runtime_destroy(with->all.runtime));
        return;
    }
    rk_topic topic = {with->topics[0]};
    rk_status status = RK_OK;
    while (status != RK_ERROR_STALE_HANDLE) {
        status = publish(topic, 1, index == 0 ? RK_PUBLISH_RETAIN : 0, index % 2 == 0 ? 0 : RK_FOREVER);
        CHECK(ordinary(status));
        if (index == 2) subscribe_at_random(with, &random, with->all.actor);
    }
}

CASE(topics_of_a_runtime_that_goes) {
    for (uint32_t round = 0; round < test_load(40); round++) {
        race with = {.all = fixture_open(), .seed = test_seed() + round};
        with.topics[0] = open_topic(with.all.runtime, "race/0", 0).id;
        subscribe(with.all.runtime, "race/0", SUBSCRIBING(.qos = RK_QOS_AT_LEAST_ONCE, .capacity = 4));
        subscribe(with.all.runtime, "#", SUBSCRIBING(.actor = with.all.actor, .qos = RK_QOS_EXACTLY_ONCE));
        test_threads(8, destroy_under, &with);
        for (int i = 0; i < 16; i++)
            CHECK_STATUS(rk_unsubscribe((rk_subscription){with.subscriptions[i]}), RK_ERROR_STALE_HANDLE);
    }
}
