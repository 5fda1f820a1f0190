/* One message at a time: the round trip, and what rk_send() costs its caller. */
#define _GNU_SOURCE

#include "clock.h"
#include "floor.h"
#include "floor_cuda.h"
#include "floor_vulkan.h"
#include "round_trip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const rk_queue own_queue = {0};

void add_run(shares *all, uint32_t run, uint32_t *samples, uint32_t count, double us_per_tick) {
    all->p50[run] = share_of_ticks(samples, count, 0.5) * us_per_tick;
    all->p99[run] = share_of_ticks(samples, count, 0.99) * us_per_tick;
    all->p999[run] = share_of_ticks(samples, count, 0.999) * us_per_tick;
}

void report_shares(const setup *s, const char *what, shares *all, shares *floor, double target) {
    const struct {
        const char *name;
        double *values, *floor, target;
    } lines[] = {
        {"p50", all->p50, floor == NULL ? NULL : floor->p50, target},
        {"p99", all->p99, floor == NULL ? NULL : floor->p99, NONE},
        {"p99.9", all->p999, floor == NULL ? NULL : floor->p999, NONE},
    };
    for (int i = 0; i < 3; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "%s, %s", what, lines[i].name);
        const double bare = lines[i].floor == NULL ? NONE : share_of(lines[i].floor, s->runs, 0.5);
        report_goal(s, name, "us", share_of(lines[i].values, s->runs, 0.5), bare, AT_MOST, lines[i].target);
    }
}

/* The same round trip by hand, by what the backend runs on: its messages lie where the library's lie. `stays`: on Vulkan the
 * pump does, and so does the floor's dispatch; else each round trip is a submission. Gives how many there were, at most
 * `count`, 0 where there is no floor. */
static uint32_t run_floor(setup *s, rk_kernel kernel, int stays, uint32_t count, uint32_t *samples) {
    const char *failure = NULL;
    if (s->cuda != NULL) {
        const int inbound = floor_cuda_no_device_memory(s->cuda) == NULL ? INBOUND_DEVICE : INBOUND_HOST;
        failure = floor_cuda_echoes(s->cuda, inbound, random_next(&s->seed), count, samples);
    } else if (s->vulkan != NULL) {
        if (stays && floor_vulkan_no_echoes(s->vulkan) != NULL)
            return 0;
        /* It has a logical device of its own, with which the library's would have to share the card in turns. */
        must(rk_kernel_deactivate(kernel, NULL), "rk_kernel_deactivate", NULL);
        failure = stays ? floor_vulkan_echoes(s->vulkan, random_next(&s->seed), &count, samples)
                        : floor_vulkan_submits(s->vulkan, 0, &count, samples);
        must(rk_kernel_activate(kernel, NULL), "rk_kernel_activate", NULL);
    } else if (s->options.backend != RK_BACKEND_CPU) {
        return 0;
    } else if (floor_round_trips(s->floor_cpu, random_next(&s->seed), count, samples) != 0) {
        failure = "echo of the floor";
    }
    if (failure != NULL)
        wrong(failure);
    return count;
}

static int is_pong(const ping *sent, const void *payload, uint64_t handled) {
    pong received;
    uint64_t differ = 0;
    memcpy(&received, payload, sizeof received);
    for (int i = 0; i < 4; i++)
        differ |= received.words[i] ^ (sent->words[i] + handled);
    return differ == 0;
}

uint32_t by_polling(const setup *s, rk_actor to, const ping *message, uint64_t handled, inbox *in) {
    const uint64_t begin = ticks();
    must(rk_send(to, RK_TYPE(ping), message, RK_SIZE(ping), NULL), "rk_send", NULL);
    receive(s->runtime, own_queue, in);
    const uint64_t taken = ticks() - begin;
    const rk_message *reply = in->messages;
    if (in->count != 1 || reply->kind != RK_MESSAGE_REPLY || reply->from.id != to.id || reply->type != RK_TYPE(pong) ||
        reply->size != RK_SIZE(pong) || !is_pong(message, reply->payload, handled))
        wrong("reply to rk_send");
    return (uint32_t)taken;
}

static uint32_t by_call(const setup *s, rk_actor to, const ping *message, uint64_t handled, inbox *in) {
    (void)s;
    const uint64_t begin = ticks();
    const rk_status status = rk_call(to, RK_TYPE(ping), message, RK_SIZE(ping), NULL, in->payloads, RK_SIZE(pong),
                                     in->messages, INT64_C(10000000000), NULL);
    const uint64_t taken = ticks() - begin;
    must(status, "rk_call", NULL);
    const rk_message *reply = in->messages;
    if (reply->type != RK_TYPE(pong) || reply->size != RK_SIZE(pong) || !is_pong(message, in->payloads, handled))
        wrong("reply to rk_call");
    return (uint32_t)taken;
}

ping random_ping(setup *s) {
    ping message;
    for (int w = 0; w < 4; w++)
        message.words[w] = random_next(&s->seed);
    return message;
}

/* Round trips with half a millisecond of nothing before each: as many, or what goes in three seconds. */
static uint32_t after_pauses(setup *s, rk_actor to, uint64_t *handled, inbox *in, uint32_t count, uint32_t *samples) {
    double now = seconds();
    const double end = now + 3;
    uint32_t i = 0;
    for (; i < count && now < end; i++, ++*handled) {
        const ping message = random_ping(s);
        for (const double until = now + 0.0005; now < until;)
            now = seconds();
        samples[i] = by_polling(s, to, &message, *handled, in);
        now = seconds();
    }
    return i;
}

/* One that leaves takes a quantum for each message after a pause; of one that stays, with quanta as long as these, a few last
 * for all of them. */
int pump_stays(setup *s) {
    enum { MESSAGES = 100 };
    uint32_t samples[MESSAGES];
    static inbox in;
    rk_kernel_statistics before = RK_KERNEL_STATISTICS_INIT;
    rk_kernel_statistics after = RK_KERNEL_STATISTICS_INIT;
    rk_kernel_options options = s->options;
    options.actors = 1;
    options.quantum_us = 100000;
    rk_actor to;
    uint64_t handled = 0;
    const rk_kernel kernel = launch(s, "echoer", &options, &to);
    must(rk_kernel_stats(kernel, &before, NULL), "rk_kernel_stats", NULL);
    const uint32_t messages = after_pauses(s, to, &handled, &in, MESSAGES, samples);
    must(rk_kernel_stats(kernel, &after, NULL), "rk_kernel_stats", NULL);
    finish(kernel, handled);
    return after.quanta - before.quanta < messages / 2;
}

/* On two processors, or by what the device allows. floor: the p50; NONE where there is none. */
static double goal_of_round_trips(const setup *s, int stays, double floor) {
    if (s->options.backend == RK_BACKEND_CPU)
        return 0.25;
    if (floor == NONE)
        return NONE;
    if (s->vulkan == NULL)
        return 1.25 * floor;
    if (!stays)
        return 1.2 * floor;
    if (floor_vulkan_is_processor(s->vulkan))
        return NONE;
    return 1.15 * floor > 2.2 ? 1.15 * floor : 2.2;
}

void measure_round_trips(setup *s) {
    enum { WARM = 2000 };
    const uint32_t count = 500000 / s->divisor;
    const uint32_t pauses = 2000 / s->divisor;
    const int is_vulkan = s->options.backend == RK_BACKEND_VULKAN;
    uint32_t *samples = malloc(count * sizeof *samples);
    inbox *in = calloc(1, sizeof *in);
    if (samples == NULL || in == NULL)
        must(RK_ERROR_NO_MEMORY, "samples", NULL);
    const int stays = is_vulkan && pump_stays(s);
    rk_kernel_options options = s->options;
    options.actors = 1;
    rk_actor to;
    const rk_kernel kernel = launch(s, "echoer", &options, &to);
    static shares polled, called, paused, floor;
    uint64_t handled = 0;
    int has_floor = 0;
    for (uint32_t run = 0; run < s->runs; run++) {
        const uint32_t floors = run_floor(s, kernel, stays, count, samples);
        has_floor = floors != 0;
        if (has_floor)
            add_run(&floor, run, samples, floors, s->ns_per_tick / 1000);
        for (int calling = 0; calling < 2; calling++) {
            /* As many, or what goes in two seconds: where each is a submission, fewer will do. */
            const double until = seconds() + 2;
            uint32_t i = 0;
            for (; i < WARM + count && (i <= WARM + WARM || i % 64 != 0 || seconds() < until); i++, handled++) {
                const ping message = random_ping(s);
                const uint32_t taken = (calling ? by_call : by_polling)(s, to, &message, handled, in);
                samples[i < WARM ? 0 : i - WARM] = taken;
            }
            add_run(calling ? &called : &polled, run, samples, i - WARM, s->ns_per_tick / 1000);
        }
        if (is_vulkan) {
            const uint32_t after = after_pauses(s, to, &handled, in, pauses, samples);
            add_run(&paused, run, samples, after, s->ns_per_tick / 1000);
        }
    }
    shares *bare = has_floor ? &floor : NULL;
    const double goal = goal_of_round_trips(s, stays, has_floor ? share_of(floor.p50, s->runs, 0.5) : NONE);
    report_shares(s, "round trip of 32 B, rk_send + rk_poll", &polled, bare, goal);
    report_shares(s, "round trip of 32 B, rk_call", &called, bare, NONE);
    if (is_vulkan)
        report_shares(s, stays ? "round trip after 0.5 ms, the pump has stayed" : "round trip after 0.5 ms, the pump has left",
                      &paused, bare, stays ? NONE : goal);
    finish(kernel, handled);
    free(in);
    free(samples);
}

/* Bursts that fit the ring, into a ring that is empty and a worker that is awake. */
enum { BURST = 256 };

typedef struct sender {
    rk_actor to;
    uint64_t notes, mix; /* what the actor must have seen */
} sender;

static void fill_burst(setup *s, sender *to, note *burst) {
    for (int i = 0; i < BURST; i++) {
        for (int w = 0; w < 4; w++)
            burst[i].words[w] = random_next(&s->seed);
        to->notes++;
        to->mix = to->mix * 3 + (burst[i].words[0] ^ burst[i].words[1] ^ burst[i].words[2] ^ burst[i].words[3]);
    }
}

/* Also waits until the ring is empty. */
static void verify_burst(setup *s, const sender *to, inbox *in) {
    const ask question = {random_next(&s->seed)};
    must(rk_send(to->to, RK_TYPE(ask), &question, RK_SIZE(ask), NULL), "rk_send", NULL);
    receive(s->runtime, own_queue, in);
    answer reply;
    if (in->count != 1 || in->messages[0].type != RK_TYPE(answer) || in->messages[0].size != RK_SIZE(answer))
        wrong("reply after a burst");
    memcpy(&reply, in->messages[0].payload, sizeof reply);
    if (reply.key != question.key || reply.notes != to->notes || reply.mix != to->mix)
        wrong("what the actor received of a burst");
}

void measure_send(setup *s) {
    const uint32_t bursts = 2000 / s->divisor;
    const uint32_t count = bursts * BURST;
    uint32_t *samples = malloc(count * sizeof *samples);
    inbox *in = calloc(1, sizeof *in);
    if (samples == NULL || in == NULL)
        must(RK_ERROR_NO_MEMORY, "samples", NULL);
    rk_kernel_options options = s->options;
    options.actors = 1;
    sender to = {{0}, 0, 0};
    const rk_kernel kernel = launch(s, "echoer", &options, &to.to);
    double medians[MAX_RUNS];
    double means[MAX_RUNS];
    for (uint32_t run = 0; run < s->runs; run++) {
        note burst[BURST];
        for (uint32_t i = 0; i < count; i++) {
            const uint64_t begin = ticks_fenced();
            samples[i] = (uint32_t)(ticks_fenced() - begin);
        }
        const double overhead = median_of_steps(samples, count);

        for (uint32_t b = 0; b < bursts; b++) {
            fill_burst(s, &to, burst);
            for (uint32_t i = 0; i < BURST; i++) {
                const uint64_t begin = ticks_fenced();
                const rk_status status = rk_send(to.to, RK_TYPE(note), &burst[i], RK_SIZE(note), NULL);
                samples[b * BURST + i] = (uint32_t)(ticks_fenced() - begin);
                must(status, "rk_send", NULL);
            }
            verify_burst(s, &to, in);
        }
        medians[run] = (median_of_steps(samples, count) - overhead) * s->ns_per_tick;

        uint64_t taken = 0;
        for (uint32_t b = 0; b < bursts; b++) {
            fill_burst(s, &to, burst);
            const uint64_t begin = ticks();
            for (uint32_t i = 0; i < BURST; i++)
                must(rk_send(to.to, RK_TYPE(note), &burst[i], RK_SIZE(note), NULL), "rk_send", NULL);
            taken += ticks() - begin;
            verify_burst(s, &to, in);
        }
        means[run] = (double)taken / count * s->ns_per_tick;
    }
    report(s, "rk_send of 32 B, median of single calls", "ns", share_of(medians, s->runs, 0.5), NONE, AT_MOST, 30);
    report(s, "rk_send of 32 B, mean over bursts of 256", "ns", share_of(means, s->runs, 0.5), NONE, AT_MOST, NONE);
    finish(kernel, to.notes + (uint64_t)s->runs * 2 * bursts);
    free(in);
    free(samples);
}
