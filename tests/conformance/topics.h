/* Topics and subscriptions, for the cases that are about them. */
#ifndef RK_TESTS_CONFORMANCE_TOPICS_H
#define RK_TESTS_CONFORMANCE_TOPICS_H

#include "world.h"

rk_topic topic_of(const world *w, const char *name, uint32_t flags);
rk_topic_statistics stats_of_topic(rk_topic topic);
/* Waits until so many messages were published there. */
void wait_until_published(rk_topic topic, uint64_t published);

rk_subscription subscribe(const world *w, const char *filter, rk_subscription_options options);
#define SUBSCRIBING(...) ((rk_subscription_options){.struct_size = sizeof(rk_subscription_options), __VA_ARGS__})

/* Two kernels on the backend under test and one on the CPU. */
typedef struct lands {
    world w;
    rk_kernel kernels[3];
} lands;

lands lands_open(const char *actor, uint32_t actors);

#endif
