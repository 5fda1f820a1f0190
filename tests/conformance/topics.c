/* Topics, as handlers use them: publishing from and to every backend. */
#include "topics.h"

#include <stdio.h>
#include <string.h>

rk_topic topic_of(const world *w, const char *name, uint32_t flags) {
    rk_topic_options options = RK_TOPIC_OPTIONS_INIT;
    options.flags = flags;
    rk_topic topic = {0};
    CHECK_DONE(rk_topic_open(w->runtime, name, strlen(name), &options, &topic, &test_error));
    return topic;
}

rk_subscription subscribe(const world *w, const char *filter, rk_subscription_options options) {
    rk_subscription subscription = {0};
    CHECK_DONE(rk_subscribe(w->runtime, filter, strlen(filter), &options, &subscription, &test_error));
    return subscription;
}

rk_topic_statistics stats_of_topic(rk_topic topic) {
    rk_topic_statistics stats = RK_TOPIC_STATISTICS_INIT;
    CHECK_DONE(rk_topic_stats(topic, &stats, &test_error));
    return stats;
}

void wait_until_published(rk_topic topic, uint64_t published) {
    int64_t deadline = test_now() + PATIENCE;
    for (uint64_t now; (now = stats_of_topic(topic).published) < published;)
        if (test_now() >= deadline) CHECK_EQ(now, published);
}

static void wait_until_delivered(rk_topic topic, uint64_t delivered) {
    int64_t deadline = test_now() + PATIENCE;
    while (stats_of_topic(topic).delivered < delivered) CHECK(test_now() < deadline);
}

lands lands_open(const char *actor, uint32_t actors) {
    lands all = {.w = world_open()};
    all.kernels[0] = world_start(&all.w, actor, OPTIONS(.actors = actors));
    all.kernels[1] = world_start(&all.w, actor, OPTIONS(.actors = actors));
    all.kernels[2] = world_start(&all.w, actor, OPTIONS(.actors = actors, .backend = RK_BACKEND_CPU, .lanes = 1));
    return all;
}

/* From an actor of each kernel, and from the host, to an actor of each, and to the host, with everything that is said. */
CASE(topics_reach_everybody) {
    lands all = lands_open("courier", 3);
    rk_topic topic = topic_of(&all.w, "town/square", 0);
    for (uint32_t i = 0; i < 3; i++)
        subscribe(&all.w, i == 1 ? "town/*" : "town/#", SUBSCRIBING(.actor = actor_of(all.kernels[i], i)));
    rk_queue queue = {0};
    CHECK_DONE(rk_queue_create(all.w.runtime, &queue, &test_error));
    subscribe(&all.w, "*/square", SUBSCRIBING(.queue = queue));
    for (uint32_t i = 0; i < 4; i++) {
        const uint64_t value = 1000 + i, correlation = 70 + i;
        const rk_actor sender = i < 3 ? actor_of(all.kernels[i], 0) : (rk_actor){0};
        if (i < 3) {
            deliver message = {.to = topic.id, .value = value, .correlation = correlation, .priority = RK_PRIORITY_HIGH};
            posted reply;
            ask_for(sender, RK_TYPE(deliver), &message, sizeof message, RK_TYPE(posted), &reply, sizeof reply);
            CHECK_EQ(reply.refused, 0);
        } else {
            rk_publish_options options = RK_PUBLISH_OPTIONS_INIT;
            options.correlation = correlation;
            options.priority = RK_PRIORITY_HIGH;
            letter message = {.value = value};
            CHECK_OK(rk_publish(topic, RK_TYPE(letter), &message, sizeof message, &options));
        }
        uint64_t heard_by[3] = {0}, stamps[3];
        for (uint32_t k = 0; k < 3; k++) {
            read_letter got;
            rk_message emitted = next_message(&all.w, &got, sizeof got);
            CHECK_EQ(emitted.kind, RK_MESSAGE_EMIT);
            heard_by[k] = emitted.from.id;
            CHECK_EQ(got.value, value);
            CHECK_EQ(got.from, sender.id);
            CHECK_EQ(got.correlation, correlation);
            CHECK_EQ(got.priority, RK_PRIORITY_HIGH);
            CHECK_EQ(got.size, sizeof(letter));
            stamps[k] = got.time;
        }
        for (uint32_t k = 0; k < 3; k++) {
            uint64_t subscriber = actor_of(all.kernels[k], k).id;
            CHECK((heard_by[0] == subscriber) + (heard_by[1] == subscriber) + (heard_by[2] == subscriber) == 1);
        }
        rk_message message;
        letter got;
        uint32_t count = 0;
        CHECK_OK(rk_queue_poll(queue, &message, 1, &got, sizeof got, PATIENCE, &count));
        CHECK_EQ(message.kind, RK_MESSAGE_PUBLICATION);
        CHECK_EQ(message.to.id, topic.id);
        CHECK_EQ(message.from.id, sender.id);
        CHECK_EQ(message.correlation, correlation);
        CHECK_EQ(message.priority, RK_PRIORITY_HIGH);
        CHECK_EQ(message.type, RK_TYPE(letter));
        CHECK_EQ(got.value, value);
        /* Each heard of it after it was said. */
        for (uint32_t k = 0; k < 3; k++) CHECK(rk_hlc_compare(stamps[k], message.time) >= 0);
    }
    expect_silence(&all.w);
    rk_topic_statistics stats = stats_of_topic(topic);
    CHECK(stats.published == 4 && stats.delivered == 16 && stats.dropped == 0 && stats.waiting == 0);
    world_close(&all.w);
}

/* An actor publishes to a topic that it is subscribed to, and whose subscription holds its publishers up: nobody but itself
 * makes room, in the ring that the host's publications fill. */
CASE(topics_of_ones_own_with_full_rings) {
    enum { SAID = 20, ROOM = 4 };
    world w = world_open();
    rk_kernel kernel = world_launch(&w, "herald", OPTIONS(.actors = 1, .inbound_capacity = ROOM, .actor_capacity = ROOM));
    rk_topic topic = topic_of(&w, "own", 0);
    subscribe(&w, "own", SUBSCRIBING(.actor = actor_of(kernel, 0), .qos = RK_QOS_AT_LEAST_ONCE, .capacity = 1));
    proclaim message = {.topic = topic.id, .first = 1, .count = SAID, .speaker = 0};
    send_to(actor_of(kernel, 0), RK_TYPE(proclaim), &message, sizeof message);
    uint32_t published = 0;
    for (rk_status status = RK_OK; status == RK_OK; published += status == RK_OK) {
        CHECK(published <= ROOM);
        news more = {.number = published + 1, .speaker = 1};
        status = rk_publish(topic, RK_TYPE(news), &more, sizeof more, NULL);
        CHECK(status == RK_OK || status == RK_AGAIN);
    }
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    tally heard = {0};
    for (int64_t end = test_now() + PATIENCE; heard.count < SAID + published && test_now() < end;)
        heard = inquire_of(actor_of(kernel, 0));
    CHECK_EQ(heard.count, SAID + published);
    CHECK_EQ(heard.other, 0);
    world_close(&w);
}

/* Speakers everywhere, listeners everywhere, rings too small for what is said: nothing is lost and all is in order. */
CASE(topics_lose_nothing_and_keep_order) {
    enum { ACTORS = 4, SPEAKERS = 3 };
    lands all = {.w = world_open()};
    for (uint32_t i = 0; i < 3; i++) {
        rk_kernel_options options = OPTIONS(.actors = ACTORS, .inbound_capacity = 16, .actor_capacity = 16);
        if (i == 2) options.backend = RK_BACKEND_CPU, options.lanes = 1;
        all.kernels[i] = world_start(&all.w, "herald", options);
    }
    rk_topic topic = topic_of(&all.w, "t", 0);
    for (uint32_t i = 0; i < 3 * ACTORS; i++)
        subscribe(&all.w, "t",
                  SUBSCRIBING(.actor = actor_of(all.kernels[i % 3], i / 3), .qos = RK_QOS_AT_LEAST_ONCE,
                              .capacity = 1u << 20));
    const uint32_t rounds = test_load(40), each = 50;
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t speaker = 0; speaker < SPEAKERS; speaker++) {
            proclaim message = {.topic = topic.id, .first = 1 + round * each, .count = each, .speaker = speaker};
            send_to(actor_of(all.kernels[speaker], speaker), RK_TYPE(proclaim), &message, sizeof message);
        }
        for (uint32_t i = 0; i < each; i++) {
            news message = {.number = 1 + round * each + i, .speaker = SPEAKERS};
            rk_publish_options options = RK_PUBLISH_OPTIONS_INIT;
            options.timeout_ns = PATIENCE;
            CHECK_OK(rk_publish(topic, RK_TYPE(news), &message, sizeof message, &options));
        }
    }
    const uint64_t said = (uint64_t)(SPEAKERS + 1) * rounds * each;
    wait_until_delivered(topic, said * 3 * ACTORS);
    for (uint32_t i = 0; i < 3; i++) wait_until_handled(all.kernels[i], said * ACTORS + rounds);
    for (uint32_t i = 0; i < 3 * ACTORS; i++) {
        tally heard = inquire_of(actor_of(all.kernels[i % 3], i / 3));
        CHECK_EQ(heard.count, said);
        CHECK_EQ(heard.other, 0);
    }
    rk_topic_statistics stats = stats_of_topic(topic);
    CHECK(stats.published == said && stats.dropped == 0 && stats.dead_letters == 0 && stats.waiting == 0);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_DONE(rk_kernel_deactivate(all.kernels[i], &test_error));
        rk_kernel_statistics kernel = check_accounts(all.kernels[i]);
        CHECK_EQ(kernel.accepted, said * ACTORS + rounds + ACTORS);
        CHECK_EQ(kernel.sent_actors, rounds * each);
        CHECK_EQ(kernel.undeliverable, 0);
    }
    expect_silence(&all.w);
    world_close(&all.w);
}

/* What a handler said last, for who comes later. */
CASE(topics_retain_what_handlers_publish) {
    lands all = lands_open("herald", 1);
    for (uint32_t i = 0; i < 3; i++) {
        static const char *const names[] = {"last/0", "last/1", "last/2"};
        rk_topic topic = topic_of(&all.w, names[i], RK_TOPIC_RETAIN);
        proclaim message = {.topic = topic.id, .first = 5, .count = 3, .speaker = 9};
        send_to(actor_of(all.kernels[i], 0), RK_TYPE(proclaim), &message, sizeof message);
        wait_until_published(topic, 3);
        subscribe(&all.w, names[i], SUBSCRIBING(0));
        news got;
        rk_message kept = next_message(&all.w, &got, sizeof got);
        CHECK_EQ(kept.kind, RK_MESSAGE_PUBLICATION);
        CHECK_EQ(kept.to.id, topic.id);
        CHECK_EQ(kept.from.id, actor_of(all.kernels[i], 0).id);
        CHECK(got.number == 7 && got.speaker == 9);
    }
    expect_silence(&all.w);
    world_close(&all.w);
}

/* A topic that is closed is nobody, and one without subscribers is not. */
CASE(topics_to_nobody) {
    lands all = lands_open("herald", 1);
    rk_topic topic = topic_of(&all.w, "t", 0);
    for (uint32_t i = 0; i < 3; i++) {
        proclaim message = {.topic = topic.id, .first = 1, .count = 2};
        send_to(actor_of(all.kernels[i], 0), RK_TYPE(proclaim), &message, sizeof message);
    }
    wait_until_published(topic, 6);
    CHECK_OK(rk_topic_close(topic));
    expect_silence(&all.w);
    for (uint32_t i = 0; i < 3; i++) {
        proclaim message = {.topic = topic.id, .first = 1, .count = 1};
        send_to(actor_of(all.kernels[i], 0), RK_TYPE(proclaim), &message, sizeof message);
        news got;
        rk_message dead = next_message(&all.w, &got, sizeof got);
        CHECK_EQ(dead.kind, RK_MESSAGE_DEAD_LETTER);
        CHECK_EQ(dead.reason, RK_DEAD_NO_ACTOR);
        CHECK_EQ(dead.to.id, topic.id);
        CHECK_EQ(dead.from.id, actor_of(all.kernels[i], 0).id);
        CHECK_DONE(rk_kernel_deactivate(all.kernels[i], &test_error));
        rk_kernel_statistics stats = check_accounts(all.kernels[i]);
        CHECK(stats.sent_actors == 2 && stats.undeliverable == 1);
    }
    /* A listener that does not know the message. */
    CHECK_DONE(rk_kernel_activate(all.kernels[0], &test_error));
    topic = topic_of(&all.w, "t", 0);
    rk_kernel ledger = world_start(&all.w, "ledger", OPTIONS(.actors = 1));
    subscribe(&all.w, "t", SUBSCRIBING(.actor = actor_of(ledger, 0)));
    proclaim message = {.topic = topic.id, .first = 77, .count = 1};
    send_to(actor_of(all.kernels[0], 0), RK_TYPE(proclaim), &message, sizeof message);
    news got;
    rk_message dead = next_message(&all.w, &got, sizeof got);
    CHECK_EQ(dead.kind, RK_MESSAGE_DEAD_LETTER);
    CHECK_EQ(dead.reason, RK_DEAD_UNKNOWN_TYPE);
    CHECK_EQ(dead.to.id, actor_of(ledger, 0).id);
    CHECK_EQ(got.number, 77);
    /* Counted when what is done about it has been done. */
    int64_t deadline = test_now() + PATIENCE;
    while (stats_of_topic(topic).dead_letters < 1) CHECK(test_now() < deadline);
    CHECK_EQ(stats_of_topic(topic).dead_letters, 1);
    world_close(&all.w);
}
