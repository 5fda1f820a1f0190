/* One speaks, many hear: what an actor publishes, brought to the actors that subscribe. */
#include "benchmark.h"

#include "benchmark.rk.h"
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CRY = 32,     /* publications of one handler */
    UNDER_WAY = 2 /* cries that not all have heard */
};

/* What a subscriber has when it has heard `cries`, of which the first begins at `value`. */
static uint64_t mix_of(uint64_t value, uint32_t cries) {
    uint64_t mix = 0;
    for (uint64_t i = 0; i < (uint64_t)cries * CRY; i++)
        mix = mix * 3 + value + i;
    return mix;
}

/* Cries that all have heard. */
static uint32_t heard_by_all(const uint32_t *heards, uint32_t listeners) {
    uint32_t least = heards[1];
    for (uint32_t i = 2; i <= listeners; i++)
        least = heards[i] < least ? heards[i] : least;
    return least;
}

/* Actor 0 publishes, `listeners` others subscribe. Millions of deliveries a second, of which none may be lost. */
static double delivery_rate(setup *s, uint32_t listeners, uint32_t cries) {
    rk_kernel_options options = s->options;
    options.actors = listeners + 1;
    if (options.workers > options.actors)
        options.workers = options.actors;
    /* A power of two, with room for all that is under way, if all are of one worker; twice, for places are given back some at a
     * time. */
    options.actor_capacity = 1;
    while (options.actor_capacity < 2 * UNDER_WAY * CRY * listeners)
        options.actor_capacity *= 2;
    rk_actor *addresses = calloc(options.actors, sizeof *addresses);
    uint32_t *heards = calloc(options.actors, sizeof *heards);
    inbox *in = calloc(1, sizeof *in);
    if (addresses == NULL || heards == NULL || in == NULL)
        must(RK_ERROR_NO_MEMORY, "calloc", NULL);
    double rates[MAX_RUNS];
    for (uint32_t run = 0; run < s->runs; run++) {
        rk_error error;
        const rk_kernel kernel = launch(s, "crier", &options, addresses);
        rk_topic topic = {0};
        must(rk_topic_open(s->runtime, "cries", 5, NULL, &topic, &error), "rk_topic_open", &error);
        for (uint32_t i = 1; i <= listeners; i++) {
            const rk_subscription_options to = {.struct_size = sizeof to, .actor = addresses[i]};
            rk_subscription subscription = {0};
            must(rk_subscribe(s->runtime, "cries", 5, &to, &subscription, &error), "rk_subscribe", &error);
        }
        const uint64_t first = random_next(&s->seed);
        memset(heards, 0, options.actors * sizeof *heards);
        uint32_t sent = 0;
        const double begin = seconds();
        for (uint32_t done; (done = heard_by_all(heards, listeners)) < cries;) {
            for (; sent < cries && sent < done + UNDER_WAY; sent++) {
                const cry message = {.topic = topic.id, .first = first + (uint64_t)sent * CRY, .count = CRY};
                must(rk_send(addresses[0], RK_TYPE(cry), &message, RK_SIZE(cry), NULL), "rk_send", NULL);
            }
            receive(s->runtime, (rk_queue){0}, in);
            for (uint32_t i = 0; i < in->count; i++) {
                const rk_message *message = &in->messages[i];
                heard got;
                if (message->kind != RK_MESSAGE_EMIT || message->type != RK_TYPE(heard) || message->size != RK_SIZE(heard))
                    wrong("envelope of what a subscriber heard");
                memcpy(&got, message->payload, sizeof got);
                if (got.by == 0 || got.by > listeners || message->from.id != addresses[got.by].id ||
                    got.count != ++heards[got.by] * CRY ||
                    (got.count == cries * CRY && got.mix != mix_of(first, cries)))
                    wrong("what a subscriber heard");
            }
        }
        rates[run] = (double)cries * CRY * listeners / (seconds() - begin) / 1e6;
        must(rk_topic_close(topic), "rk_topic_close", NULL);
        finish(kernel, (uint64_t)cries * (1 + (uint64_t)CRY * listeners));
    }
    free(in);
    free(heards);
    free(addresses);
    return share_of(rates, s->runs, 0.5);
}

void measure_fanout(setup *s) {
    static const uint32_t listeners[] = {1, 8, 64};
    for (size_t i = 0; i < sizeof listeners / sizeof *listeners; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "deliveries of 16 B to %u actor%s that subscribe", listeners[i],
                 listeners[i] == 1 ? "" : "s");
        const uint32_t cries = UINT32_C(20000) / s->divisor / listeners[i];
        report(s, name, "M msg/s", delivery_rate(s, listeners[i], cries < 4 ? 4 : cries), NONE, AT_LEAST, NONE);
    }
}
