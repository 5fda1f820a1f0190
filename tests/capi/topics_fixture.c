#include "topics_fixture.h"

#include <sched.h>

rk_topic open_topic(rk_runtime runtime, const char *name, uint32_t flags) {
    rk_topic_options options = RK_TOPIC_OPTIONS_INIT;
    options.flags = flags;
    rk_topic topic = {0};
    CHECK_DONE(rk_topic_open(runtime, TEXT(name), &options, &topic, &test_error));
    CHECK(topic.id != 0);
    return topic;
}

rk_subscription subscribe(rk_runtime runtime, const char *filter, rk_subscription_options options) {
    rk_subscription subscription = {0};
    CHECK_DONE(rk_subscribe(runtime, TEXT(filter), &options, &subscription, &test_error));
    CHECK(subscription.id != 0);
    return subscription;
}

rk_status publish(rk_topic topic, uint64_t value, uint32_t flags, int64_t timeout) {
    rk_publish_options options = RK_PUBLISH_OPTIONS_INIT;
    options.flags = flags;
    options.timeout_ns = timeout;
    note message = {.value = value};
    return rk_publish(topic, RK_TYPE(note), &message, sizeof message, &options);
}

rk_topic_statistics topic_stats(rk_topic topic) {
    rk_topic_statistics stats = RK_TOPIC_STATISTICS_INIT;
    CHECK_DONE(rk_topic_stats(topic, &stats, &test_error));
    return stats;
}

rk_subscription_statistics stats_of(rk_subscription subscription) {
    rk_subscription_statistics stats = RK_SUBSCRIPTION_STATISTICS_INIT;
    CHECK_DONE(rk_subscription_stats(subscription, &stats, &test_error));
    return stats;
}

void check_counts(rk_subscription subscription, uint64_t delivered, uint64_t dropped, uint64_t dead,
                         uint64_t waiting) {
    rk_subscription_statistics stats = stats_of(subscription);
    CHECK_EQ(stats.delivered, delivered);
    CHECK_EQ(stats.dropped, dropped);
    CHECK_EQ(stats.dead_letters, dead);
    CHECK_EQ(stats.waiting, waiting);
}

void wait_until_delivered(rk_subscription subscription) {
    while (stats_of(subscription).waiting != 0) sched_yield();
}

bool receive(const fixture *all, rk_queue queue, rk_message *message, note *payload) {
    uint32_t count = 0;
    rk_status status = queue.id == 0 ? rk_poll(all->runtime, message, 1, payload, sizeof *payload, 0, &count)
                                     : rk_queue_poll(queue, message, 1, payload, sizeof *payload, 0, &count);
    CHECK(status == RK_OK || status == RK_AGAIN);
    return status == RK_OK;
}

void expect(const fixture *all, rk_queue queue, rk_topic topic, uint64_t value) {
    rk_message message;
    note payload;
    CHECK(receive(all, queue, &message, &payload));
    CHECK_EQ(message.kind, RK_MESSAGE_PUBLICATION);
    CHECK_EQ(message.to.id, topic.id);
    CHECK_EQ(message.from.id, 0);
    CHECK_EQ(message.type, RK_TYPE(note));
    CHECK_EQ(message.size, sizeof payload);
    CHECK_EQ(message.reason, 0);
    CHECK_EQ(payload.value, value);
}

void expect_nothing(const fixture *all, rk_queue queue) {
    rk_message message;
    note payload;
    CHECK(!receive(all, queue, &message, &payload));
}

uint64_t seen_by(rk_actor actor) {
    ask question = {.nonce = 0};
    answer reply;
    CHECK_DONE(rk_call(actor, RK_TYPE(ask), &question, sizeof question, NULL, &reply, sizeof reply, NULL, 30 * SECOND,
                       &test_error));
    return reply.seen;
}

void wait_until_seen(rk_actor actor, uint64_t sum) {
    uint64_t seen, questions = 0;
    do seen = seen_by(actor) - ++questions;
    while (seen < sum);
    CHECK_EQ(seen, sum);
}

rk_actor full_soon(const fixture *all, rk_kernel *kernel) {
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actor_capacity = 4;
    options.inbound_capacity = 4;
    *kernel = fixture_launch(all->runtime, all->module, &options);
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(*kernel, 0, &actor));
    return actor;
}
