/* A runtime brought to rest, and back: what a program waits for that wants the device for itself for a while. */
#include "clock.h"
#include "round_trip.h"

#include <stdlib.h>

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
            ping message = random_ping(s);
            by_polling(s, to, &message, handled++, in);
            message = random_ping(s);
            uint64_t begin = ticks();
            must(rk_runtime_park(s->runtime, INT64_C(10000000000), &error), "rk_runtime_park", &error);
            parks[i] = (uint32_t)(ticks() - begin);
            begin = ticks();
            must(rk_runtime_unpark(s->runtime, &error), "rk_runtime_unpark", &error);
            by_polling(s, to, &message, handled++, in);
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
