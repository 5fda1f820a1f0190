/* A runtime brought to rest, and back: what a program waits for that wants the device for itself for a while. */
#include "benchmark.h"

#include "benchmark.rk.h"
#include "clock.h"

#include <stdlib.h>
#include <string.h>

static void answered(setup *s, rk_actor to, uint64_t handled, inbox *in) {
    ping message;
    pong reply;
    for (int w = 0; w < 4; w++)
        message.words[w] = random_next(&s->seed);
    must(rk_send(to, RK_TYPE(ping), &message, RK_SIZE(ping), NULL), "rk_send", NULL);
    receive(s->runtime, (rk_queue){0}, in);
    if (in->count != 1 || in->messages[0].type != RK_TYPE(pong) || in->messages[0].size != RK_SIZE(pong))
        wrong("reply before or after a park");
    memcpy(&reply, in->messages[0].payload, sizeof reply);
    for (int w = 0; w < 4; w++)
        if (reply.words[w] != message.words[w] + handled)
            wrong("words of a reply before or after a park");
}

/* The kernel has just answered when the park begins, so its pump is on the device. */
void measure_park(setup *s) {
    const uint32_t count = 20000 / s->divisor;
    uint32_t *parks = malloc(count * sizeof *parks);
    uint32_t *replies = malloc(count * sizeof *replies);
    inbox *in = calloc(1, sizeof *in);
    if (parks == NULL || replies == NULL || in == NULL)
        must(RK_ERROR_NO_MEMORY, "samples", NULL);
    rk_kernel_options options = s->options;
    options.actors = 1;
    rk_actor to;
    const rk_kernel kernel = launch(s, "echoer", &options, &to);
    static shares parked, answers;
    uint64_t handled = 0;
    for (uint32_t run = 0; run < s->runs; run++) {
        /* As many, or what goes in two seconds. */
        const double until = seconds() + 2;
        uint32_t i = 0;
        for (; i < count && (i < 100 || seconds() < until); i++) {
            rk_error error;
            answered(s, to, handled++, in);
            uint64_t begin = ticks();
            must(rk_runtime_park(s->runtime, INT64_C(10000000000), &error), "rk_runtime_park", &error);
            parks[i] = (uint32_t)(ticks() - begin);
            begin = ticks();
            must(rk_runtime_unpark(s->runtime, &error), "rk_runtime_unpark", &error);
            answered(s, to, handled++, in);
            replies[i] = (uint32_t)(ticks() - begin);
        }
        add_run(&parked, run, parks, i, s->ns_per_tick / 1000);
        add_run(&answers, run, replies, i, s->ns_per_tick / 1000);
    }
    const int is_vulkan = s->options.backend == RK_BACKEND_VULKAN;
    report_shares(s, "rk_runtime_park", &parked, NULL, is_vulkan ? NONE : 50);
    report_shares(s, "rk_runtime_unpark to the first reply", &answers, NULL, is_vulkan ? NONE : 15);
    finish(kernel, handled);
    free(in);
    free(replies);
    free(parks);
}
