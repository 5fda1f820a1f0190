/* What the tests of topics do again and again. Where a queue may be 0 it is the runtime's own. */
#ifndef RK_TESTS_CAPI_TOPICS_FIXTURE_H
#define RK_TESTS_CAPI_TOPICS_FIXTURE_H

#include "fixture.h"

#include <string.h>

#define NOT_ZERO UINT64_C(0xDEADBEEF)
#define TEXT(text) (text), strlen(text)
#define SECOND INT64_C(1000000000)
#define SUBSCRIBING(...) ((rk_subscription_options){.struct_size = sizeof(rk_subscription_options), __VA_ARGS__})

static const rk_queue own = {0};

rk_topic open_topic(rk_runtime runtime, const char *name, uint32_t flags);
rk_subscription subscribe(rk_runtime runtime, const char *filter, rk_subscription_options options);
rk_status publish(rk_topic topic, uint64_t value, uint32_t flags, int64_t timeout);

rk_topic_statistics topic_stats(rk_topic topic);
rk_subscription_statistics stats_of(rk_subscription subscription);
void check_counts(rk_subscription subscription, uint64_t delivered, uint64_t dropped, uint64_t dead, uint64_t waiting);
void wait_until_delivered(rk_subscription subscription);

/* The next message. */
bool receive(const fixture *all, rk_queue queue, rk_message *message, note *payload);
/* It is this publication of the host's. */
void expect(const fixture *all, rk_queue queue, rk_topic topic, uint64_t value);
void expect_nothing(const fixture *all, rk_queue queue);

/* What an actor's notes and questions came to. */
uint64_t seen_by(rk_actor actor);
/* What is in its ring is handled some time; each question adds one. */
void wait_until_seen(rk_actor actor, uint64_t sum);
/* A kernel at rest with one actor, whose rings take four messages. */
rk_actor full_soon(const fixture *all, rk_kernel *kernel);

#endif
