/* Topics: who gets what, what is retained, what is dropped. */
#include "topics_fixture.h"

#include <sched.h>
#include <stdio.h>

CASE(topics_open_and_close) {
    fixture all = fixture_open();
    rk_topic topic = open_topic(all.runtime, "a/b", 0), again = open_topic(all.runtime, "a/b", 0);
    CHECK_EQ(topic.id, again.id);
    CHECK(open_topic(all.runtime, "a", 0).id != topic.id);
    rk_topic_options retain = RK_TOPIC_OPTIONS_INIT;
    retain.flags = RK_TOPIC_RETAIN;
    CHECK_ERROR(rk_topic_open(all.runtime, TEXT("a/b"), &retain, &again, &test_error), RK_ERROR_EXISTS);
    CHECK_EQ(again.id, 0);
    char name[RK_NAME_SIZE];
    size_t length = 0;
    CHECK_DONE(rk_topic_name(topic, name, sizeof name, &length, &test_error));
    CHECK(length == 3 && strcmp(name, "a/b") == 0);
    /* Its address is no actor's for the host. */
    CHECK_STATUS(rk_send((rk_actor){topic.id}, RK_TYPE(poke), NULL, 0, NULL), RK_ERROR_STALE_HANDLE);
    CHECK_OK(rk_topic_close(topic));
    CHECK_STATUS(rk_topic_close(topic), RK_ERROR_STALE_HANDLE);
    CHECK_STATUS(publish(topic, 1, 0, 0), RK_ERROR_STALE_HANDLE);
    again = open_topic(all.runtime, "a/b", RK_TOPIC_RETAIN);
    CHECK(again.id != topic.id);
    /* Names are the runtime's. */
    rk_runtime other = fixture_runtime();
    CHECK(open_topic(other, "a/b", 0).id != again.id);
    CHECK_OK(rk_runtime_destroy(other));
    fixture_close(&all);
}

CASE(topics_limits) {
    fixture all = fixture_open();
    rk_topic topic = {0};
    rk_subscription subscription = {0};
    char name[32];
    uint32_t topics = 0, subscriptions = 0;
    rk_status status = RK_OK;
    for (; status == RK_OK && topics < 5000; topics++) {
        snprintf(name, sizeof name, "many/%u", topics);
        status = rk_topic_open(all.runtime, TEXT(name), NULL, &topic, NULL);
    }
    CHECK_STATUS(status, RK_ERROR_LIMIT);
    for (status = RK_OK; status == RK_OK && subscriptions < 5000; subscriptions++)
        status = rk_subscribe(all.runtime, TEXT(name), NULL, &subscription, NULL);
    CHECK_STATUS(status, RK_ERROR_LIMIT);
    CHECK_EQ(topics, 4096); /* the fixture has one */
    CHECK_EQ(subscriptions, 4096);
    fixture_close(&all);
}

CASE(topics_for_the_host) {
    fixture all = fixture_open();
    rk_topic topic = open_topic(all.runtime, "plant/3/pump", 0);
    rk_subscription mine = subscribe(all.runtime, "plant/*/pump", SUBSCRIBING(.queue = all.queue));
    rk_subscription runtimes = subscribe(all.runtime, "plant/#", SUBSCRIBING(.capacity = 2));
    rk_publish_options options = RK_PUBLISH_OPTIONS_INIT;
    options.priority = RK_PRIORITY_HIGH;
    options.correlation = 77;
    note message = {.value = 5};
    uint64_t before = 0;
    CHECK_OK(rk_hlc_now(all.runtime, &before));
    CHECK_OK(rk_publish(topic, RK_TYPE(note), &message, sizeof message, &options));
    /* It was in neither queue's way: a descriptor tells of it. */
    CHECK_STATUS(rk_queue_arm(all.queue), RK_AGAIN);
    rk_message got;
    CHECK(receive(&all, all.queue, &got, &message));
    CHECK_EQ(got.kind, RK_MESSAGE_PUBLICATION);
    CHECK_EQ(got.to.id, topic.id);
    CHECK_EQ(got.correlation, 77);
    CHECK_EQ(got.priority, RK_PRIORITY_HIGH);
    CHECK(rk_hlc_compare(got.time, before) > 0);
    CHECK_OK(rk_queue_arm(all.queue));
    CHECK_OK(publish(topic, 6, 0, 0));
    CHECK_STATUS(rk_queue_arm(all.queue), RK_AGAIN);
    expect(&all, all.queue, topic, 6);
    check_counts(mine, 2, 0, 0, 0);
    check_counts(runtimes, 0, 0, 0, 2);
    /* A caller that waits for its answer does not take what is others'. */
    fixture_verify(all.actor);
    check_counts(runtimes, 0, 0, 0, 2);
    /* No room for a payload: it stays. */
    uint32_t count = 0;
    CHECK_STATUS(rk_poll(all.runtime, &got, 1, NULL, 0, 0, &count), RK_ERROR_SIZE);
    CHECK_EQ(got.size, sizeof message);
    rk_message both[2];
    unsigned char payloads[64];
    CHECK_OK(rk_poll(all.runtime, both, 2, payloads, sizeof payloads, 0, &count));
    CHECK_EQ(count, 2);
    CHECK_EQ(both[1].to.id, topic.id);
    check_counts(runtimes, 2, 0, 0, 0);
    rk_topic_statistics stats = topic_stats(topic);
    CHECK(stats.published == 2 && stats.delivered == 4 && stats.dropped == 0 && stats.waiting == 0);
    CHECK_EQ(stats.subscriptions, 2);
    /* A queue stays as long as a subscription needs it. */
    CHECK_STATUS(rk_queue_destroy(all.queue), RK_ERROR_BAD_STATE);
    CHECK_OK(publish(topic, 7, 0, 0));
    CHECK_OK(rk_unsubscribe(mine));
    CHECK_STATUS(rk_unsubscribe(mine), RK_ERROR_STALE_HANDLE);
    expect_nothing(&all, all.queue);
    CHECK_OK(publish(topic, 8, 0, 0));
    expect_nothing(&all, all.queue);
    expect(&all, own, topic, 7);
    expect(&all, own, topic, 8);
    stats = topic_stats(topic);
    CHECK(stats.published == 4 && stats.delivered == 6 && stats.dropped == 1 && stats.waiting == 0);
    fixture_close(&all);
}

/* Of several subscriptions of a queue none keeps the others from their turns, nor kernels from theirs. */
CASE(topics_take_turns) {
    fixture all = fixture_open();
    rk_topic topics[3];
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        topics[i] = open_topic(all.runtime, names[i], 0);
        subscribe(all.runtime, names[i], SUBSCRIBING(0));
    }
    for (int i = 0; i < 20; i++) CHECK_OK(rk_send(all.actor, RK_TYPE(poke), NULL, 0, NULL));
    uint32_t got[4] = {0};
    fixture_verify(all.actor); /* the emits are there */
    for (int i = 0; i < 24; i++) {
        for (int k = 0; k < 3; k++) CHECK_OK(publish(topics[k], 1, 0, 0));
        rk_message message;
        _Alignas(16) unsigned char payload[64];
        uint32_t count = 0;
        CHECK_OK(rk_poll(all.runtime, &message, 1, payload, sizeof payload, 0, &count));
        uint32_t from = 3;
        for (uint32_t k = 0; k < 3; k++)
            if (message.to.id == topics[k].id) from = k;
        got[from]++;
    }
    CHECK(got[0] >= 3 && got[1] >= 3 && got[2] >= 3 && got[3] >= 3);
    CHECK_OK(rk_runtime_destroy(all.runtime));
}

CASE(topics_wildcards) {
    fixture all = fixture_open();
    static const char *const names[] = {"a", "a/x", "a/x/1", "a/y/1", "b"};
    static const struct {
        const char *filter, *found; /* the numbers of the topics */
    } filters[] = {{"#", "01234"}, {"*", "04"},    {"a/#", "0123"}, {"a/*", "1"},
                   {"a/*/1", "23"}, {"*/x/#", "12"}, {"b", "4"},      {"c/#", ""}};
    rk_topic topics[5];
    /* Topics may come before the subscription or after. */
    for (int late = 0; late < 2; late++) {
        for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
            rk_subscription subscription = {0};
            if (late) subscription = subscribe(all.runtime, filters[i].filter, SUBSCRIBING(0));
            for (uint32_t k = 0; k < 5; k++) topics[k] = open_topic(all.runtime, names[k], 0);
            if (!late) subscription = subscribe(all.runtime, filters[i].filter, SUBSCRIBING(0));
            for (uint32_t k = 0; k < 5; k++) CHECK_OK(publish(topics[k], k, 0, 0));
            for (const char *found = filters[i].found; *found != 0; found++)
                expect(&all, own, topics[*found - '0'], (uint64_t)(*found - '0'));
            expect_nothing(&all, own);
            CHECK_OK(rk_unsubscribe(subscription));
            for (uint32_t k = 0; k < 5; k++) CHECK_OK(rk_topic_close(topics[k]));
        }
    }
    fixture_close(&all);
}

CASE(topics_retained) {
    fixture all = fixture_open();
    rk_topic one = open_topic(all.runtime, "r/1", 0), two = open_topic(all.runtime, "r/2", 0);
    CHECK_OK(publish(one, 1, RK_PUBLISH_RETAIN, 0));
    CHECK_OK(publish(one, 2, RK_PUBLISH_RETAIN, 0));
    CHECK_OK(publish(one, 3, 0, 0)); /* not kept */
    CHECK_OK(publish(two, 4, RK_PUBLISH_RETAIN, 0));
    CHECK_EQ(topic_stats(one).retained, 1);
    rk_subscription subscription = subscribe(all.runtime, "r/*", SUBSCRIBING(0));
    expect(&all, own, one, 2);
    expect(&all, own, two, 4);
    CHECK_OK(publish(one, 5, RK_PUBLISH_RETAIN, 0));
    expect(&all, own, one, 5);
    expect_nothing(&all, own);
    CHECK_OK(rk_unsubscribe(subscription));
    /* To an actor; what is kept is not used up. */
    subscription = subscribe(all.runtime, "r/#", SUBSCRIBING(.actor = all.actor));
    check_counts(subscription, 2, 0, 0, 0);
    wait_until_seen(all.actor, 5 + 4);
    CHECK_OK(rk_unsubscribe(subscription));
    /* More than there is room for, where nobody could wait. */
    subscription = subscribe(all.runtime, "r/#", SUBSCRIBING(.qos = RK_QOS_AT_LEAST_ONCE, .capacity = 1));
    check_counts(subscription, 0, 0, 0, 2);
    CHECK_STATUS(publish(one, 6, RK_PUBLISH_RETAIN, 0), RK_AGAIN);
    expect(&all, own, one, 5);
    CHECK_STATUS(publish(one, 6, RK_PUBLISH_RETAIN, 0), RK_AGAIN);
    expect(&all, own, two, 4);
    CHECK_OK(publish(one, 6, RK_PUBLISH_RETAIN, 0));
    expect(&all, own, one, 6);
    CHECK_OK(rk_unsubscribe(subscription));
    /* Forgotten: by one without payload, which is a message too, and without any message. */
    rk_publish_options retain = RK_PUBLISH_OPTIONS_INIT;
    retain.flags = RK_PUBLISH_RETAIN;
    subscription = subscribe(all.runtime, "r/1", SUBSCRIBING(0));
    expect(&all, own, one, 6);
    CHECK_OK(rk_publish(one, RK_TYPE(poke), NULL, 0, &retain));
    CHECK_OK(rk_publish(two, 0, NULL, 0, &retain));
    rk_message message;
    note payload;
    CHECK(receive(&all, own, &message, &payload));
    CHECK(message.type == RK_TYPE(poke) && message.size == 0 && message.payload == NULL);
    CHECK_EQ(topic_stats(one).retained, 0);
    CHECK_EQ(topic_stats(two).retained, 0);
    CHECK_OK(rk_unsubscribe(subscription));
    subscription = subscribe(all.runtime, "r/#", SUBSCRIBING(0));
    expect_nothing(&all, own);
    /* A topic that keeps everything, also what an actor publishes. */
    rk_topic last = open_topic(all.runtime, "last", RK_TOPIC_RETAIN);
    spread order = {.to = last.id, .value = 10, .count = 3};
    CHECK_OK(rk_send(all.actor, RK_TYPE(spread), &order, sizeof order, NULL));
    while (topic_stats(last).published < 3) sched_yield();
    (void)subscribe(all.runtime, "last", SUBSCRIBING(.queue = all.queue));
    CHECK(receive(&all, all.queue, &message, &payload));
    CHECK(message.from.id == all.actor.id && payload.value == 12);
    expect_nothing(&all, all.queue);
    CHECK_OK(rk_runtime_destroy(all.runtime));
}

CASE(topics_overflow_at_the_host) {
    fixture all = fixture_open();
    rk_topic topic = open_topic(all.runtime, "t", 0);
    rk_subscription newest = subscribe(all.runtime, "t", SUBSCRIBING(.capacity = 3));
    for (uint64_t i = 0; i < 10; i++) CHECK_OK(publish(topic, i, 0, 0));
    check_counts(newest, 0, 7, 0, 3);
    for (uint64_t i = 0; i < 3; i++) expect(&all, own, topic, i);
    check_counts(newest, 3, 7, 0, 0);
    CHECK_OK(rk_unsubscribe(newest));
    rk_subscription oldest =
        subscribe(all.runtime, "t", SUBSCRIBING(.capacity = 3, .overflow = RK_OVERFLOW_DROP_OLDEST));
    for (uint64_t i = 0; i < 10; i++) CHECK_OK(publish(topic, i, 0, 0));
    check_counts(oldest, 0, 7, 0, 3);
    for (uint64_t i = 7; i < 10; i++) expect(&all, own, topic, i);
    CHECK_OK(rk_unsubscribe(oldest));
    /* All or nothing: one that blocks keeps the message from the other too. */
    rk_subscription blocks = subscribe(all.runtime, "t", SUBSCRIBING(.capacity = 3, .qos = RK_QOS_EXACTLY_ONCE));
    rk_subscription wide = subscribe(all.runtime, "#", SUBSCRIBING(.queue = all.queue));
    uint64_t published = topic_stats(topic).published;
    for (uint64_t i = 0; i < 10; i++) CHECK_STATUS(publish(topic, i, 0, 0), i < 3 ? RK_OK : RK_AGAIN);
    int64_t start = test_now();
    CHECK_STATUS(publish(topic, 3, 0, 5000000), RK_TIMEOUT);
    CHECK(test_now() - start >= 5000000);
    check_counts(blocks, 0, 0, 0, 3);
    check_counts(wide, 0, 0, 0, 3);
    CHECK_EQ(topic_stats(topic).published, published + 3);
    expect(&all, own, topic, 0);
    CHECK_OK(publish(topic, 3, 0, 0));
    CHECK_STATUS(publish(topic, 4, 0, 0), RK_AGAIN);
    for (uint64_t i = 1; i < 4; i++) expect(&all, own, topic, i);
    check_counts(blocks, 4, 0, 0, 0);
    CHECK_OK(rk_unsubscribe(wide));
    CHECK_EQ(topic_stats(topic).dropped, 7 + 7 + 4);
    CHECK_EQ(topic_stats(topic).waiting, 0);
    CHECK_OK(rk_unsubscribe(blocks));
    fixture_close(&all);
}

CASE(topics_overflow_at_an_actor) {
    fixture all = fixture_open();
    rk_topic topic = open_topic(all.runtime, "t", 0);
    static const struct {
        uint32_t qos, overflow;
        uint64_t dropped, waiting, sum; /* of 1 to 10, published while the ring takes 4 and the queue 3 */
    } cases[] = {
        {RK_QOS_AT_MOST_ONCE, 0, 6, 0, 1 + 2 + 3 + 4},
        {RK_QOS_AT_LEAST_ONCE, RK_OVERFLOW_DROP_NEWEST, 3, 3, 1 + 2 + 3 + 4 + 5 + 6 + 7},
        {RK_QOS_AT_LEAST_ONCE, RK_OVERFLOW_DROP_OLDEST, 3, 3, 1 + 2 + 3 + 4 + 8 + 9 + 10},
        {RK_QOS_EXACTLY_ONCE, RK_OVERFLOW_BLOCK, 0, 3, 1 + 2 + 3 + 4 + 5 + 6 + 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rk_kernel kernel;
        rk_actor actor = full_soon(&all, &kernel);
        rk_subscription subscription = subscribe(
            all.runtime, "t",
            SUBSCRIBING(.actor = actor, .qos = cases[i].qos, .overflow = cases[i].overflow, .capacity = 3));
        bool blocks = cases[i].overflow == RK_OVERFLOW_BLOCK;
        for (uint64_t k = 1; k <= 10; k++)
            CHECK_STATUS(publish(topic, k, 0, 0), blocks && k > 7 ? RK_AGAIN : RK_OK);
        check_counts(subscription, 4, cases[i].dropped, 0, cases[i].waiting);
        rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
        CHECK_DONE(rk_kernel_stats(kernel, &stats, &test_error));
        CHECK(stats.accepted == 4 && stats.pending == 4);
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        wait_until_delivered(subscription);
        check_counts(subscription, 4 + cases[i].waiting, cases[i].dropped, 0, 0);
        wait_until_seen(actor, cases[i].sum);
        CHECK_OK(rk_kernel_destroy(kernel));
        CHECK_STATUS(rk_unsubscribe(subscription), RK_ERROR_STALE_HANDLE); /* it went with the kernel */
        CHECK_EQ(topic_stats(topic).waiting, 0);
    }
    fixture_close(&all);
}

/* An actor publishes more than its slow subscriber takes, and loses nothing, in order. */
CASE(topics_back_pressure_between_actors) {
    fixture all = fixture_open();
    rk_topic topic = open_topic(all.runtime, "t", 0);
    rk_kernel kernel;
    rk_actor actor = full_soon(&all, &kernel);
    subscribe(all.runtime, "t", SUBSCRIBING(.actor = actor, .qos = RK_QOS_AT_LEAST_ONCE, .capacity = 2));
    rk_subscription host =
        subscribe(all.runtime, "t", SUBSCRIBING(.queue = all.queue, .qos = RK_QOS_AT_LEAST_ONCE, .capacity = 5));
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    enum { COUNT = 1000 };
    spread order = {.to = topic.id, .value = 1, .count = COUNT};
    CHECK_OK(rk_send(all.actor, RK_TYPE(spread), &order, sizeof order, NULL));
    for (uint64_t i = 1; i <= COUNT; i++) {
        rk_message message;
        note payload;
        uint32_t count = 0;
        CHECK_OK(rk_queue_poll(all.queue, &message, 1, &payload, sizeof payload, 30 * SECOND, &count));
        CHECK_EQ(message.from.id, all.actor.id);
        CHECK_EQ(payload.value, i);
    }
    while (topic_stats(topic).waiting != 0) sched_yield();
    wait_until_seen(actor, COUNT * (COUNT + 1) / 2);
    rk_topic_statistics stats = topic_stats(topic);
    CHECK(stats.published == COUNT && stats.delivered == 2 * COUNT && stats.dropped == 0 && stats.dead_letters == 0);
    rk_kernel_statistics publisher = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_deactivate(all.kernel, &test_error));
    CHECK_DONE(rk_kernel_stats(all.kernel, &publisher, &test_error));
    CHECK_EQ(publisher.sent_actors, COUNT);
    CHECK_EQ(publisher.accepted, publisher.handled);
    /* A publisher that waits for nobody's polling ends with its kernel. */
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    CHECK_OK(rk_send(all.actor, RK_TYPE(spread), &order, sizeof order, NULL));
    while (stats_of(host).waiting < 5) sched_yield();
    CHECK_DONE(rk_kernel_terminate(all.kernel, NULL, &test_error));
    stats = topic_stats(topic);
    CHECK_EQ(stats.published, COUNT + 5);
    CHECK_DONE(rk_kernel_stats(all.kernel, &publisher, &test_error));
    CHECK_EQ(publisher.undeliverable, COUNT - 5);
    CHECK_OK(rk_runtime_destroy(all.runtime));
}

/* Actors of one worker that publish to themselves, with rings that are always full. */
CASE(topics_in_a_circle) {
    fixture all = fixture_open();
    rk_topic topic = open_topic(all.runtime, "t", 0);
    rk_kernel kernel;
    rk_actor actor = full_soon(&all, &kernel);
    subscribe(all.runtime, "t", SUBSCRIBING(.actor = actor, .qos = RK_QOS_EXACTLY_ONCE, .capacity = 1));
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    spread order = {.to = topic.id, .value = 1, .count = 500};
    for (uint64_t i = 0; i < 4; i++) CHECK_OK(rk_send(actor, RK_TYPE(spread), &order, sizeof order, NULL));
    while (topic_stats(topic).delivered < 2000) sched_yield();
    wait_until_seen(actor, 4 * 500 * 501 / 2);
    CHECK_OK(rk_kernel_destroy(kernel));
    fixture_close(&all);
}

CASE(topics_exactly_once) {
    fixture all = fixture_open();
    rk_topic topic = open_topic(all.runtime, "a/b", 0);
    CHECK_OK(publish(topic, 100, RK_PUBLISH_RETAIN, 0));
    static const char *const filters[] = {"a/b", "a/*", "#"};
    rk_subscription once[3], least[3];
    for (int i = 0; i < 3; i++) {
        once[i] = subscribe(all.runtime, filters[i], SUBSCRIBING(.qos = RK_QOS_EXACTLY_ONCE));
        least[i] = subscribe(all.runtime, filters[i], SUBSCRIBING(.qos = RK_QOS_AT_LEAST_ONCE, .queue = all.queue));
    }
    expect(&all, own, topic, 100);
    expect_nothing(&all, own);
    for (int i = 0; i < 3; i++) expect(&all, all.queue, topic, 100);
    CHECK_OK(publish(topic, 1, 0, 0));
    expect(&all, own, topic, 1);
    expect_nothing(&all, own);
    for (int i = 0; i < 3; i++) expect(&all, all.queue, topic, 1);
    check_counts(once[0], 2, 0, 0, 0);
    check_counts(once[1], 0, 0, 0, 0);
    CHECK_EQ(topic_stats(topic).subscriptions, 4);
    /* The next oldest takes over. */
    CHECK_OK(rk_unsubscribe(once[0]));
    CHECK_OK(publish(topic, 2, 0, 0));
    expect(&all, own, topic, 2);
    expect_nothing(&all, own);
    check_counts(once[1], 1, 0, 0, 0);
    for (int i = 0; i < 3; i++) CHECK_OK(rk_unsubscribe(least[i]));
    CHECK_OK(rk_unsubscribe(once[1]));
    CHECK_OK(rk_unsubscribe(once[2]));
    fixture_close(&all);
}

static void expect_dead(const fixture *all, rk_actor to, int32_t reason) {
    rk_message message;
    uint32_t count = 0;
    _Alignas(16) unsigned char payload[1024];
    CHECK_OK(rk_poll(all->runtime, &message, 1, payload, sizeof payload, 30 * SECOND, &count));
    CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
    CHECK_EQ(message.reason, reason);
    CHECK_EQ(message.to.id, to.id);
}

CASE(topics_dead_letters) {
    fixture all = fixture_open();
    rk_topic topic = open_topic(all.runtime, "t", 0);
    rk_subscription subscription = subscribe(all.runtime, "t", SUBSCRIBING(.actor = all.actor));
    large bytes = {{0}};
    /* A type that it does not know, and more bytes than the type has. */
    CHECK_OK(rk_publish(topic, 999, &bytes, 8, NULL));
    expect_dead(&all, all.actor, RK_DEAD_UNKNOWN_TYPE);
    CHECK_OK(rk_publish(topic, RK_TYPE(note), &bytes, 100, NULL));
    expect_dead(&all, all.actor, RK_DEAD_SIZE);
    check_counts(subscription, 0, 0, 2, 0);
    CHECK_EQ(topic_stats(topic).dead_letters, 2);
    /* One whose time is over is accepted, and dies in the kernel. */
    CHECK_DONE(rk_kernel_deactivate(all.kernel, &test_error));
    rk_publish_options options = RK_PUBLISH_OPTIONS_INIT;
    options.deadline_ns = 1;
    note message = {.value = 1};
    CHECK_OK(rk_publish(topic, RK_TYPE(note), &message, sizeof message, &options));
    test_until(test_now() + 1000000);
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    expect_dead(&all, all.actor, RK_DEAD_EXPIRED);
    check_counts(subscription, 1, 0, 2, 0);
    /* A call cannot be answered by nobody in particular. */
    spread_ask pass_on = {.to = topic.id};
    answer reply;
    CHECK_ERROR(rk_call(all.actor, RK_TYPE(spread_ask), &pass_on, sizeof pass_on, NULL, &reply, sizeof reply, NULL,
                        30 * SECOND, &test_error),
                RK_ERROR_UNDELIVERED);
    /* But a message can be forwarded, and its reply comes to its sender. */
    CHECK_OK(rk_send(all.actor, RK_TYPE(spread_ask), &pass_on, sizeof pass_on, NULL));
    rk_message got;
    uint32_t count = 0;
    CHECK_OK(rk_poll(all.runtime, &got, 1, &reply, sizeof reply, 30 * SECOND, &count));
    CHECK(got.kind == RK_MESSAGE_REPLY && got.from.id == all.actor.id && reply.nonce == 5);
    /* A topic that is gone. */
    CHECK_OK(rk_topic_close(topic));
    spread order = {.to = topic.id, .value = 1, .count = 1};
    CHECK_OK(rk_send(all.actor, RK_TYPE(spread), &order, sizeof order, NULL));
    expect_dead(&all, (rk_actor){topic.id}, RK_DEAD_NO_ACTOR);
    /* A kernel that has ended, with something in the subscription's queue. */
    topic = open_topic(all.runtime, "t", 0);
    CHECK_OK(rk_unsubscribe(subscription));
    rk_kernel kernel;
    rk_actor actor = full_soon(&all, &kernel);
    subscription = subscribe(all.runtime, "t", SUBSCRIBING(.actor = actor, .qos = RK_QOS_AT_LEAST_ONCE));
    for (uint64_t i = 0; i < 6; i++) CHECK_OK(publish(topic, i, 0, 0));
    check_counts(subscription, 4, 0, 0, 2);
    uint64_t left = 0;
    CHECK_DONE(rk_kernel_terminate(kernel, &left, &test_error));
    CHECK_EQ(left, 4);
    wait_until_delivered(subscription);
    CHECK_OK(publish(topic, 6, 0, 0));
    check_counts(subscription, 4, 0, 3, 0);
    uint32_t dead = 0, ends = 0;
    while (dead + ends < 8) {
        _Alignas(16) note payload;
        CHECK_OK(rk_poll(all.runtime, &got, 1, &payload, sizeof payload, 30 * SECOND, &count));
        if (got.kind == RK_MESSAGE_EVENT) {
            ends++;
            continue;
        }
        CHECK_EQ(got.reason, RK_DEAD_TERMINATED);
        CHECK_EQ(got.to.id, actor.id);
        dead++;
    }
    CHECK(dead == 7 && ends == 1);
    CHECK_OK(rk_kernel_destroy(kernel));
    fixture_close(&all);
}

/* A subscriber that fails and starts again goes on with what waits for it, in the ring and in the subscription's queue; and with
 * this quality does not get again what it failed at. */
CASE(topics_outlive_failures) {
    fixture all = fixture_open();
    rk_topic topic = open_topic(all.runtime, "t", 0);
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.inbound_capacity = 4;
    options.on_failure = RK_ON_FAILURE_RESTART;
    rk_kernel kernel = fixture_launch(all.runtime, all.module, &options);
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
    rk_subscription subscription =
        subscribe(all.runtime, "t", SUBSCRIBING(.actor = actor, .qos = RK_QOS_EXACTLY_ONCE));
    break_down fault = {.code = 3};
    for (uint64_t i = 1; i <= 10; i++) {
        if (i == 3 || i == 7) CHECK_OK(rk_publish(topic, RK_TYPE(break_down), &fault, sizeof fault, NULL));
        else CHECK_OK(publish(topic, i, 0, 0));
    }
    check_counts(subscription, 4, 0, 0, 6);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    wait_until_delivered(subscription);
    check_counts(subscription, 10, 0, 0, 0);
    wait_until_seen(actor, 8 + 9 + 10); /* since it failed for the second time */
    CHECK_OK(rk_kernel_destroy(kernel));
    fixture_close(&all);
}

/* Draining: closed to the host. */
CASE(topics_and_drains) {
    fixture all = fixture_open();
    rk_topic topic = open_topic(all.runtime, "t", 0);
    rk_kernel kernel;
    rk_actor actor = full_soon(&all, &kernel);
    rk_subscription subscription = subscribe(all.runtime, "t", SUBSCRIBING(.actor = actor));
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    for (uint64_t i = 0; i < 3; i++) CHECK_OK(publish(topic, 1, 0, 0));
    CHECK_DONE(rk_kernel_drain(kernel, RK_FOREVER, &test_error));
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_stats(kernel, &stats, &test_error));
    CHECK(stats.accepted == 3 && stats.handled == 3);
    CHECK_OK(publish(topic, 1, 0, 0));
    check_counts(subscription, 3, 0, 1, 0);
    CHECK_OK(rk_kernel_destroy(kernel));
    fixture_close(&all);
}
