/* What a message costs the host thread when it travels in batches and nobody is at the other end of its rings: sent into a
 * suspended kernel, and received from one that is suspended again. The kernel's worker runs on the host thread's own
 * processor in between, so that no line of the rings has to come from another one's cache: what is left is the library's
 * own work. */
#define _GNU_SOURCE
#include "benchmark.h"

#include "benchmark.rk.h"
#include "clock.h"

#include <ringkernel/module.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

RK_DECLARE_MODULE(benchmarks);

enum { BATCH = 64, ROOM = 1024 };

/* Messages of 48 B, in the order in which they are sent and their replies come back. */
typedef struct pile {
    uint64_t words[ROOM][6];
    rk_outbound messages[ROOM];
    inbox in;
} pile;

static void await_replies(rk_kernel kernel, uint64_t handled) {
    rk_kernel_statistics statistics = RK_KERNEL_STATISTICS_INIT;
    const double deadline = seconds() + 10;
    do {
        must(rk_kernel_stats(kernel, &statistics, NULL), "rk_kernel_stats", NULL);
        if (seconds() > deadline)
            wrong("messages that are not handled within ten seconds");
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL); /* the worker has this processor */
    } while (statistics.handled != handled);
}

static void verify(const pile *p, uint32_t first, uint64_t handled) {
    for (uint32_t i = 0; i < p->in.count; i++) {
        const rk_message *reply = &p->in.messages[i];
        const uint64_t *sent = p->words[first + i];
        uint64_t received[6];
        uint64_t differ = 0;
        if (reply->kind != RK_MESSAGE_REPLY || reply->correlation != first + i || reply->type != RK_TYPE(echo48) ||
            reply->size != RK_SIZE(echo48) || reply->from.id != p->messages[first + i].to.id)
            wrong("envelope of a reply in a batch");
        memcpy(received, reply->payload, sizeof received);
        for (int w = 0; w < 6; w++)
            differ |= received[w] ^ (sent[w] + handled + i);
        if (differ != 0)
            wrong("words of a reply in a batch");
    }
}

static void measure_on(setup *s) {
    const uint32_t rounds = 500 / s->divisor;
    pile *p = aligned_alloc(64, (sizeof *p + 63) / 64 * 64);
    if (p == NULL)
        must(RK_ERROR_NO_MEMORY, "messages", NULL);
    rk_kernel_options options = s->options;
    rk_actor to;
    options.actors = options.workers = 1;
    options.inbound_capacity = options.outbound_capacity = ROOM;
    const rk_kernel kernel = launch(s, "echoer", &options, &to);
    memset(p, 0, sizeof *p);
    for (uint32_t i = 0; i < ROOM; i++)
        p->messages[i] = (rk_outbound){.to = to, .correlation = i, .payload = p->words[i], .type = RK_TYPE(echo48),
                                       .size = RK_SIZE(echo48)};
    /* Each batch is timed: the first of a round wakes the worker, which is another thing's cost. */
    const uint32_t count = rounds * (ROOM / BATCH);
    uint32_t *sent_ticks = malloc(count * sizeof *sent_ticks);
    uint32_t *received_ticks = malloc(count * sizeof *received_ticks);
    if (sent_ticks == NULL || received_ticks == NULL)
        must(RK_ERROR_NO_MEMORY, "samples", NULL);
    double sending[MAX_RUNS];
    double receiving[MAX_RUNS];
    uint64_t handled = 0;
    for (uint32_t run = 0; run < s->runs; run++) {
        uint32_t batch = 0;
        for (uint32_t round = 0; round < rounds; round++) {
            must(rk_kernel_deactivate(kernel, NULL), "rk_kernel_deactivate", NULL);
            for (uint32_t i = 0; i < ROOM; i++)
                for (int w = 0; w < 6; w++)
                    p->words[i][w] = random_next(&s->seed);
            for (uint32_t i = 0; i < ROOM / BATCH; i++) {
                const uint64_t begin = ticks();
                const rk_status status = rk_send_many(&p->messages[i * BATCH], BATCH, 0, NULL);
                sent_ticks[batch + i] = (uint32_t)(ticks() - begin);
                must(status, "rk_send_many", NULL);
            }
            must(rk_kernel_activate(kernel, NULL), "rk_kernel_activate", NULL);
            await_replies(kernel, handled + ROOM);
            must(rk_kernel_deactivate(kernel, NULL), "rk_kernel_deactivate", NULL);
            for (uint32_t i = 0; i < ROOM / BATCH; i++) {
                const uint64_t begin = ticks();
                const rk_status status = rk_poll(s->runtime, p->in.messages, BATCH, p->in.payloads,
                                                 sizeof p->in.payloads, 0, &p->in.count);
                received_ticks[batch + i] = (uint32_t)(ticks() - begin);
                must(status, "rk_poll", NULL);
                if (p->in.count != BATCH)
                    wrong("number of replies in a batch");
                verify(p, i * BATCH, handled + i * BATCH);
            }
            batch += ROOM / BATCH;
            handled += ROOM;
            must(rk_kernel_activate(kernel, NULL), "rk_kernel_activate", NULL);
        }
        sending[run] = share_of_ticks(sent_ticks, count, 0.5) / BATCH * s->ns_per_tick;
        receiving[run] = share_of_ticks(received_ticks, count, 0.5) / BATCH * s->ns_per_tick;
    }
    report(s, "rk_send_many of 48 B in batches of 64, a message", "ns", share_of(sending, s->runs, 0.5), NONE, AT_MOST, 8);
    report(s, "rk_poll of 48 B in batches of 64, a message", "ns", share_of(receiving, s->runs, 0.5), NONE, AT_MOST, 8);
    finish(kernel, handled);
    free(received_ticks);
    free(sent_ticks);
    free(p);
}

void measure_batches(setup *s) {
    if (s->options.backend != RK_BACKEND_CPU || s->floor_cpu < 0) {
        measure_on(s);
        return;
    }
    uint32_t here = (uint32_t)sched_getcpu();
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.cpus = &here;
    options.cpu_threads = options.cpu_count = 1;
    options.spin_us = RK_NONE;
    rk_error error;
    setup local = *s;
    must(rk_runtime_create(RK_VERSION, &options, &local.runtime, &error), "rk_runtime_create", &error);
    must(rk_module_create(local.runtime, &benchmarks, &local.module, &error), "rk_module_create", &error);
    measure_on(&local);
    must(rk_runtime_destroy(local.runtime), "rk_runtime_destroy", NULL);
}
