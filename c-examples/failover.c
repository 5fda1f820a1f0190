/* failover: actors that fail are started again, and when one fails too often a spare one takes over. An instrument has
 * three channels, one with a loose cable: a reading of an open circuit makes its actor fail. The kernel starts it
 * again, with nothing remembered, at most twice; then it has failed for good, and the program starts an actor that has
 * been dormant.
 *
 * Usage: failover [--backend auto|cpu|cuda|vulkan]
 */
#include "common.h"
#include "failover.rk.h"

#include <getopt.h>
#include <inttypes.h>
#include <ringkernel/module.h>

RK_DECLARE_MODULE(failover);

#define SECOND INT64_C(1000000000)
enum { CHANNELS = 3, SPARES = 1, READINGS = 40, LOOSE = 1 };

typedef struct instrument {
    rk_runtime runtime;
    rk_kernel kernel;
    rk_actor channels[CHANNELS];
    mean means[CHANNELS];
    uint32_t next_spare;
} instrument;

static void parse_options(int argc, char **argv, uint32_t *backend) {
    static const struct option options[] = {{"backend", required_argument, NULL, 'b'}, {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option != 'b') exit(EXIT_FAILURE);
        *backend = parse_backend(optarg);
    }
}

static instrument open_instrument(uint32_t backend) {
    instrument all = {.next_spare = CHANNELS};
    rk_error error;
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.backend = backend;
    check(rk_runtime_create(RK_VERSION, &options, &all.runtime, &error), &error, "rk_runtime_create");
    rk_module module;
    check(rk_module_create(all.runtime, &failover, &module, &error), &error, "rk_module_create");
    rk_kernel_options kernel = RK_KERNEL_OPTIONS_INIT;
    kernel.actors = CHANNELS + SPARES;
    kernel.dormant = SPARES; /* they take no message until they are started */
    kernel.on_failure = RK_ON_FAILURE_RESTART;
    kernel.max_restarts = 2;
    kernel.restart_window_ms = 60 * 60 * 1000;
    check(rk_kernel_launch(all.runtime, module, NULL, 0, &kernel, &all.kernel, &error), &error, "rk_kernel_launch");
    check(rk_kernel_activate(all.kernel, &error), &error, "rk_kernel_activate");
    for (uint32_t i = 0; i < CHANNELS; i++)
        check(rk_kernel_actor(all.kernel, i, &all.channels[i]), NULL, "rk_kernel_actor");
    return all;
}

/* Noise around a value; the loose cable loses contact now and then. */
static reading measure(uint32_t channel, uint32_t number) {
    static uint32_t random = 1;
    random = random * 1664525u + 1013904223u;
    if (channel == LOOSE && number % 9 == 8) return (reading){.value = FAILOVER_OPEN_CIRCUIT};
    return (reading){.value = 1000 * (channel + 1) + (random >> 16) % 100};
}

/* The actor of a channel has failed for good: a spare one, which starts with nothing, has its place from now on. */
static void take_over(instrument *all, uint32_t channel) {
    if (all->next_spare == CHANNELS + SPARES) {
        fprintf(stderr, "channel %" PRIu32 " has failed, and there is no spare actor left\n", channel);
        exit(EXIT_FAILURE);
    }
    check(rk_kernel_actor(all->kernel, all->next_spare++, &all->channels[channel]), NULL, "rk_kernel_actor");
    check(rk_send(all->channels[channel], RK_ACTOR_START, NULL, 0, NULL), NULL, "rk_send");
}

/* Hands a reading to its actor, and waits for what comes of it. */
static void process(instrument *all, uint32_t channel, uint32_t number) {
    const reading now = measure(channel, number);
    check(rk_send(all->channels[channel], RK_TYPE(reading), &now, sizeof now, NULL), NULL, "rk_send");
    rk_message message;
    mean result;
    uint32_t count;
    check(rk_poll(all->runtime, &message, 1, &result, sizeof result, 10 * SECOND, &count), NULL, "rk_poll");
    if (message.kind == RK_MESSAGE_REPLY) {
        all->means[channel] = result;
    } else if (message.kind == RK_MESSAGE_EVENT && message.type == RK_EVENT_ACTOR_RESTARTED) {
        printf("reading %" PRIu32 " of channel %" PRIu32 ": bad (code %" PRId32 "), its actor starts again\n", number,
               channel, message.reason);
    } else if (message.kind == RK_MESSAGE_EVENT && message.type == RK_EVENT_ACTOR_FAILED) {
        printf("reading %" PRIu32 " of channel %" PRIu32 ": bad once too often, a spare actor takes over\n", number,
               channel);
        take_over(all, channel);
    } else {
        fprintf(stderr, "a message of kind %" PRIu32 ", reason %" PRId32 "\n", message.kind, message.reason);
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv) {
    uint32_t backend = RK_BACKEND_AUTO;
    parse_options(argc, argv, &backend);
    instrument all = open_instrument(backend);
    for (uint32_t number = 0; number < READINGS; number++)
        for (uint32_t channel = 0; channel < CHANNELS; channel++) process(&all, channel, number);
    for (uint32_t i = 0; i < CHANNELS; i++)
        printf("channel %" PRIu32 ": mean %" PRIu32 " of the last %" PRIu32 " readings\n", i, all.means[i].value,
               all.means[i].readings);
    rk_error error;
    check(rk_kernel_drain(all.kernel, 10 * SECOND, &error), &error, "rk_kernel_drain");
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    check(rk_kernel_stats(all.kernel, &stats, &error), &error, "rk_kernel_stats");
    printf("%" PRIu64 " handlers failed, %" PRIu64 " actors started again\n", stats.failures, stats.restarts);
    check(rk_runtime_destroy(all.runtime), NULL, "rk_runtime_destroy");
    return EXIT_SUCCESS;
}
