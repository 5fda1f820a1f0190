/* Latencies that workers measure. */
#include "world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Stations, active; skips the case where no latencies are measured. */
static rk_kernel measured(const world *w, const rk_kernel_options *options) {
    rk_kernel kernel = {0};
    rk_error error;
    const rk_status status = rk_kernel_launch(w->runtime, w->module, "station", 7, options, &kernel, &error);
    if (status == RK_ERROR_UNSUPPORTED) test_skip(error.message);
    CHECK_OK(status);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    return kernel;
}

CASE(latency_of_queues_and_handlers) {
    world w = world_open();
    rk_kernel_options options = OPTIONS(.actors = 4, .latency_every = 1, .lanes = world_lanes, .workers = world_workers);
    if (options.workers > options.actors) options.workers = options.actors;
    rk_kernel kernel = measured(&w, &options);
    for (uint32_t i = 0; i < 4; i++) attach_to(actor_of(kernel, i), actor_of(kernel, (i + 1) % 4));
    const int64_t start = test_now();
    enum { TOKENS = 8, HOPS = 99 };
    for (uint32_t i = 0; i < TOKENS; i++) {
        token sent = {.id = i, .hops = HOPS};
        send_to(actor_of(kernel, i % 4), RK_TYPE(token), &sent, sizeof sent);
    }
    for (uint32_t i = 0; i < TOKENS; i++) {
        token got;
        (void)next_message(&w, &got, sizeof got);
    }
    const double spent = (double)(test_now() - start);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    const uint64_t handled = stats_of(kernel).handled;
    CHECK_EQ(handled, 4 + TOKENS * (HOPS + 1));
    for (uint32_t which = RK_LATENCY_HANDLER; which <= RK_LATENCY_QUEUE; which++) {
        rk_latency latency = RK_LATENCY_INIT;
        CHECK_DONE(rk_kernel_latency(kernel, which, RK_NONE, &latency, &test_error));
        CHECK_EQ(latency.count, handled);
        CHECK(latency.p50_ns <= latency.p99_ns && latency.p99_ns <= latency.p999_ns);
        CHECK(latency.p999_ns <= latency.max_ns);
        CHECK(latency.max_ns > 0 && latency.p50_ns < spent * 1.1 + 1e6);
    }
    world_close(&w);
}

/* All that messages have waited, and handlers have taken, in ns; of a kernel at rest. */
static double total_of(rk_kernel kernel, uint32_t which) {
    rk_latency latency = RK_LATENCY_INIT;
    CHECK_DONE(rk_kernel_latency(kernel, which, RK_NONE, &latency, &test_error));
    return latency.mean_ns * (double)latency.count;
}

/* What is measured is what the host can know of it: a message that has waited for its kernel has waited that long, and no
 * message waits and is handled for longer than until its reply is there. */
CASE(latency_as_the_host_sees_it) {
    world w = world_open();
    rk_kernel_options options = OPTIONS(.actors = 1, .latency_every = 1, .lanes = world_lanes);
    rk_kernel kernel = measured(&w, &options);
    const rk_actor actor = actor_of(kernel, 0);
    token sent = {.hops = 0}, got;
    attach_to(actor, actor);
    for (int64_t rest = 10 * MILLISECOND; rest <= 40 * MILLISECOND; rest *= 2) {
        CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
        const double before = total_of(kernel, RK_LATENCY_QUEUE);
        const int64_t begin = test_now();
        send_to(actor, RK_TYPE(token), &sent, sizeof sent);
        nanosleep(&(struct timespec){.tv_nsec = rest}, NULL);
        const int64_t woken = test_now();
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        (void)next_message(&w, &got, sizeof got);
        const double spent = (double)(test_now() - begin);
        CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
        const double waited = total_of(kernel, RK_LATENCY_QUEUE) - before;
        CHECK(waited > (double)(woken - begin) * 0.999 - 100e3 && waited < spent * 1.02 + 1e6);
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    }
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    const double before = total_of(kernel, RK_LATENCY_QUEUE) + total_of(kernel, RK_LATENCY_HANDLER);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    enum { MESSAGES = 200 };
    double spent = 0;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        const int64_t begin = test_now();
        send_to(actor, RK_TYPE(token), &sent, sizeof sent);
        (void)next_message(&w, &got, sizeof got);
        spent += (double)(test_now() - begin);
    }
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    const double measured_ns = total_of(kernel, RK_LATENCY_QUEUE) + total_of(kernel, RK_LATENCY_HANDLER) - before;
    CHECK(measured_ns > 0 && measured_ns < spent * 1.1 + MESSAGES * 200e3);
    world_close(&w);
}

/* One in ten, at random: of many about a tenth. */
CASE(latency_of_some) {
    world w = world_open();
    rk_kernel_options options = OPTIONS(.actors = 1, .latency_every = 10, .lanes = world_lanes);
    rk_kernel kernel = measured(&w, &options);
    const uint32_t hops = test_load(20000);
    countdown sent = {.left = hops}, got;
    send_to(actor_of(kernel, 0), RK_TYPE(countdown), &sent, sizeof sent);
    (void)next_message(&w, &got, sizeof got);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    rk_latency latency = RK_LATENCY_INIT;
    CHECK_DONE(rk_kernel_latency(kernel, RK_LATENCY_HANDLER, RK_NONE, &latency, &test_error));
    /* Within six standard deviations of a binomial distribution: one run in a billion is not. */
    const double mean = hops / 10., allowed = 6 * sqrt(mean * 0.9);
    CHECK(latency.count > 0 && fabs((double)latency.count - mean) < allowed);
    world_close(&w);
}

typedef struct text {
    char *at;
    size_t size;
} text;

static void gather(void *user, const char *part, size_t size) {
    text *all = user;
    all->at = realloc(all->at, all->size + size + 1);
    CHECK(all->at != NULL);
    memcpy(all->at + all->size, part, size);
    all->size += size;
    all->at[all->size] = 0;
}

/* The number behind a key of one event. */
static double number_of(const char *event, const char *key) {
    const char *found = strstr(event, key);
    CHECK(found != NULL);
    return strtod(found + strlen(key), NULL);
}

/* Handlers that are measured are in traces, one after the other, at times that agree with the host's. */
CASE(latency_in_traces) {
    enum { MESSAGES = 50 };
    world w = world_open();
    rk_kernel_options options = OPTIONS(.actors = 1, .latency_every = 1, .lanes = world_lanes);
    rk_kernel kernel = measured(&w, &options);
    const rk_actor actor = actor_of(kernel, 0);
    token sent = {.hops = 0}, got;
    attach_to(actor, actor);
    send_to(actor, RK_TYPE(token), &sent, sizeof sent);
    (void)next_message(&w, &got, sizeof got); /* not recorded */
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    rk_trace_options trace = RK_TRACE_OPTIONS_INIT;
    trace.events = RK_TRACE_HANDLERS;
    CHECK_DONE(rk_trace_start(w.runtime, &trace, &test_error));
    const int64_t begin = test_now();
    for (uint32_t i = 0; i < MESSAGES; i++) {
        send_to(actor, RK_TYPE(token), &sent, sizeof sent);
        (void)next_message(&w, &got, sizeof got);
    }
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    const double spent = (double)(test_now() - begin) / 1000;
    CHECK_DONE(rk_trace_stop(w.runtime, &test_error));
    text all = {0};
    CHECK_DONE(rk_trace_write(w.runtime, gather, &all, &test_error));
    uint32_t count = 0;
    double last = 0, sum = 0;
    for (const char *event = all.at; (event = strstr(event, "\"cat\":\"handler\"")) != NULL; event++, count++) {
        const double ts = number_of(event, "\"ts\":"), took = number_of(event, "\"dur\":");
        CHECK(strncmp(strstr(event, "\"name\":"), "\"name\":\"token\"", 14) == 0);
        CHECK(number_of(event, "\"waited_us\":") <= spent);
        CHECK(ts > last - 0.002 && took >= 0); /* both are rounded */
        last = ts + took, sum += took;
    }
    CHECK_EQ(count, MESSAGES);
    CHECK(sum > 0 && sum < spent && last < spent + 1000);
    free(all.at);
    world_close(&w);
}
