/* Many messages on their way: echoes to the host, and hops round a ring of actors. */
#define _GNU_SOURCE
#include "benchmark.h"

#include "benchmark.rk.h"
#include "clock.h"
#include "floor.h"
#include "floor_vulkan.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const rk_queue own_queue = {0};

static void *room_for(size_t count, size_t size) {
    void *room = calloc(count, size);
    if (room == NULL)
        must(RK_ERROR_NO_MEMORY, "calloc", NULL);
    return room;
}

/* One host thread and the actors that it alone talks to. */
typedef struct driver {
    const setup *s;
    rk_queue queue;
    const rk_actor *actors;
    uint32_t actor_count;
    uint32_t type;
    uint32_t words;     /* of a payload */
    uint64_t messages;  /* of one run, a multiple of the batch */
    uint64_t seed;
    uint64_t window;
    uint64_t *handled;  /* by each actor */
    pthread_barrier_t *start;
    double begin, end;
} driver;

enum { MAX_WORDS = 8 };

/* A pool of random payloads, sent in turn: `each` to one actor, then as many to the next. The correlation of entry i is i,
 * so that a reply says what it must contain. */
typedef struct pool {
    uint32_t size, each;
    uint64_t (*payloads)[MAX_WORDS];
    rk_outbound *messages;
    uint32_t *next; /* of each actor: the entry that its next reply must belong to */
} pool;

static pool new_pool(driver *d) {
    pool p;
    p.each = d->actor_count < 8 ? 512 / d->actor_count : 64;
    if (p.each * d->actor_count < d->s->batch) /* or no batch would be whole */
        p.each = (d->s->batch + d->actor_count - 1) / d->actor_count;
    p.size = p.each * d->actor_count;
    p.payloads = room_for(p.size, sizeof *p.payloads);
    p.messages = room_for(p.size, sizeof *p.messages);
    p.next = room_for(d->actor_count, sizeof *p.next);
    for (uint32_t i = 0; i < p.size; i++) {
        for (uint32_t w = 0; w < d->words; w++)
            p.payloads[i][w] = random_next(&d->seed);
        p.messages[i].to = d->actors[i / p.each];
        p.messages[i].correlation = i;
        p.messages[i].payload = p.payloads[i];
        p.messages[i].type = d->type;
        p.messages[i].size = d->words * (uint32_t)sizeof(uint64_t);
    }
    for (uint32_t a = 0; a < d->actor_count; a++)
        p.next[a] = a * p.each;
    return p;
}

static void free_pool(pool *p) {
    free(p->payloads);
    free(p->messages);
    free(p->next);
}

/* Right sender, in order, with the right words: each sent one plus the number of messages before it. */
static void verify_echo(const driver *d, pool *p, const rk_message *reply) {
    const uint64_t entry = reply->correlation;
    if (reply->kind != RK_MESSAGE_REPLY || entry >= p->size || reply->from.id != p->messages[entry].to.id ||
        reply->type != d->type || reply->size != p->messages[entry].size)
        wrong("envelope of an echo");
    const uint32_t a = (uint32_t)entry / p->each;
    if (p->next[a] != entry)
        wrong("order of the echoes");
    const uint64_t *received = reply->payload;
    const uint64_t *sent = p->payloads[entry];
    const uint64_t handled = d->handled[a];
    uint64_t differ = 0;
    for (uint32_t w = 0; w < d->words; w++)
        differ |= received[w] ^ (sent[w] + handled);
    if (differ != 0)
        wrong("words of an echo");
    d->handled[a]++;
    p->next[a] += 1;
    if (p->next[a] == (a + 1) * p->each)
        p->next[a] = a * p->each;
}

static void *drive(void *argument) {
    driver *d = argument;
    pool p = new_pool(d);
    inbox *in = room_for(1, sizeof *in);
    pthread_barrier_wait(d->start);
    d->begin = seconds();
    uint64_t sent = 0;
    for (uint64_t received = 0; received < d->messages;) {
        if (sent < d->messages && sent - received + d->s->batch <= d->window) {
            const uint32_t first = (uint32_t)(sent % p.size);
            uint32_t count = p.size - first < d->s->batch ? p.size - first : d->s->batch;
            if (count > d->messages - sent)
                count = (uint32_t)(d->messages - sent);
            uint32_t accepted = 0;
            const rk_status status = rk_send_many(&p.messages[first], count, 0, &accepted);
            if (status != RK_AGAIN)
                must(status, "rk_send_many", NULL);
            sent += accepted;
            receive_some(d->s->runtime, d->queue, in);
        } else {
            receive(d->s->runtime, d->queue, in);
        }
        for (uint32_t i = 0; i < in->count; i++)
            verify_echo(d, &p, &in->messages[i]);
        received += in->count;
    }
    d->end = seconds();
    free_pool(&p);
    free(in);
    return NULL;
}

/* Millions of echoes a second, of the median run. messages: of one thread in a run. */
static double echo_rate(setup *s, uint64_t messages, uint32_t actors, uint32_t threads, uint32_t type, uint32_t words) {
    rk_kernel_options options = s->options;
    rk_queue *queues = room_for(threads, sizeof *queues);
    rk_actor *addresses = room_for(actors, sizeof *addresses);
    uint64_t *handled = room_for(actors, sizeof *handled);
    driver *drivers = room_for(threads, sizeof *drivers);
    pthread_t *ids = room_for(threads, sizeof *ids);
    pthread_barrier_t start;
    rk_error error;
    options.actors = actors;
    if (options.workers > actors)
        options.workers = actors;
    if (threads > 1) { /* each has its own queue, and its own workers behind it */
        if (options.workers < threads)
            options.workers = threads;
        for (uint32_t t = 0; t < threads; t++)
            must(rk_queue_create(s->runtime, &queues[t], &error), "rk_queue_create", &error);
        options.queues = queues;
        options.queue_count = threads;
    }
    const rk_kernel kernel = launch(s, "echoer", &options, addresses);
    pthread_barrier_init(&start, NULL, threads);
    const uint32_t workers = options.workers == 0 ? 1 : options.workers;
    double rates[MAX_RUNS];
    for (uint32_t run = 0; run < s->runs; run++) {
        for (uint32_t t = 0; t < threads; t++) {
            const uint32_t share = actors / threads;
            drivers[t] = (driver){.s = s, .queue = queues[t], .actors = addresses + t * share, .actor_count = share,
                                  .type = type, .words = words, .messages = messages, .seed = random_next(&s->seed),
                                  .window = (uint64_t)s->window * workers / threads,
                                  .handled = handled + t * share, .start = &start};
            if (t > 0 && pthread_create(&ids[t], NULL, drive, &drivers[t]) != 0)
                must(RK_ERROR_SYSTEM, "pthread_create", NULL);
        }
        drive(&drivers[0]);
        double begin = drivers[0].begin;
        double end = drivers[0].end;
        for (uint32_t t = 1; t < threads; t++) {
            pthread_join(ids[t], NULL);
            begin = drivers[t].begin < begin ? drivers[t].begin : begin;
            end = drivers[t].end > end ? drivers[t].end : end;
        }
        rates[run] = (double)messages * threads / (end - begin) / 1e6;
    }
    finish(kernel, messages * threads * s->runs);
    for (uint32_t t = 0; t < threads && queues[t].id != 0; t++)
        must(rk_queue_destroy(queues[t]), "rk_queue_destroy", NULL);
    pthread_barrier_destroy(&start);
    free(ids);
    free(drivers);
    free(handled);
    free(addresses);
    free(queues);
    return share_of(rates, s->runs, 0.5);
}

/* As many as --actors and --host-threads say. */
static void measure_these_echoes(setup *s, uint64_t count) {
    const uint32_t actors = s->actors == 0 ? 64 * s->host_threads : s->actors;
    if (actors % s->host_threads != 0 || s->options.workers % s->host_threads != 0)
        wrong("--actors and --workers must be multiples of --host-threads");
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "echoes of 32 B by %u actors, %u host thread(s)", actors, s->host_threads);
    report(s, name, "M msg/s", echo_rate(s, count, actors, s->host_threads, RK_TYPE(echo32), 4), NONE, AT_LEAST, NONE);
}

void measure_echoes(setup *s) {
    const uint64_t count = UINT64_C(5000000) / s->divisor;
    if (s->actors != 0 || s->host_threads != 1) {
        measure_these_echoes(s, count);
        return;
    }
    double floor[MAX_RUNS];
    for (uint32_t run = 0; run < s->runs && s->options.backend == RK_BACKEND_CPU; run++) {
        double taken;
        if (floor_echoes(s->floor_cpu, random_next(&s->seed), count, 512, &taken) != 0)
            wrong("echo of the floor");
        floor[run] = (double)count / taken / 1e6;
    }
    const double bare = s->options.backend == RK_BACKEND_CPU ? share_of(floor, s->runs, 0.5) : NONE;
    report(s, "echoes of 32 B by 1 actor", "M msg/s", echo_rate(s, count, 1, 1, RK_TYPE(echo32), 4), bare, AT_LEAST, NONE);
    report(s, "echoes of 48 B by 1 actor", "M msg/s", echo_rate(s, count, 1, 1, RK_TYPE(echo48), 6), bare, AT_LEAST, 20);
    report(s, "echoes of 48 B by 64 actors", "M msg/s", echo_rate(s, count, 64, 1, RK_TYPE(echo48), 6), bare, AT_LEAST, 20);
    report(s, "echoes of 64 B by 1 actor", "M msg/s", echo_rate(s, count, 1, 1, RK_TYPE(echo64), 8), NONE, AT_LEAST, NONE);
    report(s, "echoes of 64 B by 64 actors", "M msg/s", echo_rate(s, count, 64, 1, RK_TYPE(echo64), 8), NONE, AT_LEAST, NONE);
}

/* What batches bring: echoes by one actor that is sent to in batches of several sizes. Twice the largest are on their way,
 * for one to be sent while another comes back. */
void measure_batched(setup *s) {
    enum { LARGEST = 1024 };
    static const uint32_t batches[] = {1, 64, LARGEST};
    /* Of Vulkan on a processor, with submissions. */
    const double goal = s->vulkan != NULL && floor_vulkan_is_processor(s->vulkan) && !pump_stays(s) ? 1.5 : NONE;
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        setup local = *s;
        char name[NAME_SIZE];
        local.seed = random_next(&s->seed);
        local.batch = batches[i];
        local.window = 2 * LARGEST;
        snprintf(name, sizeof name, "echoes of 32 B by 1 actor, in batches of %u", batches[i]);
        const double rate = echo_rate(&local, UINT64_C(2000000) / s->divisor, 1, 1, RK_TYPE(echo32), 4);
        report_goal(s, name, "M msg/s", rate, NONE, AT_LEAST, batches[i] == LARGEST ? goal : NONE);
    }
}

/* `tokens` tokens pass `hops` actors each. */
static double hop_rate(setup *s, uint32_t actors, uint32_t tokens, uint64_t hops) {
    rk_kernel_options options = s->options;
    rk_actor *addresses = room_for(actors, sizeof *addresses);
    token *sent = room_for(tokens, sizeof *sent);
    uint64_t *values = room_for(tokens, sizeof *values); /* when they arrive */
    inbox *in = room_for(1, sizeof *in);
    options.actors = actors;
    if (options.workers > actors)
        options.workers = actors;
    const rk_kernel kernel = launch(s, "ring_node", &options, addresses);
    double rates[MAX_RUNS];
    for (uint32_t run = 0; run < s->runs; run++) {
        for (uint32_t t = 0; t < tokens; t++) {
            sent[t] = (token){.id = t, .hops = hops, .value = random_next(&s->seed), .origin = random_next(&s->seed)};
            values[t] = sent[t].value;
            for (uint64_t h = 0; h <= hops; h++)
                values[t] = values[t] * 5 + (t + h) % actors;
        }
        const double begin = seconds();
        for (uint32_t t = 0; t < tokens; t++)
            must(rk_send(addresses[t % actors], RK_TYPE(token), &sent[t], RK_SIZE(token), NULL), "rk_send", NULL);
        for (uint32_t arrived = 0; arrived < tokens; arrived += in->count) {
            receive(s->runtime, own_queue, in);
            for (uint32_t i = 0; i < in->count; i++) {
                const rk_message *message = &in->messages[i];
                token last;
                if (message->kind != RK_MESSAGE_EMIT || message->type != RK_TYPE(token) ||
                    message->size != RK_SIZE(token))
                    wrong("envelope of a token");
                memcpy(&last, message->payload, sizeof last);
                if (last.id >= tokens || last.hops != 0 || last.origin != sent[last.id].origin ||
                    last.value != values[last.id] || message->from.id != addresses[(last.id + hops) % actors].id)
                    wrong("a token's way");
                sent[last.id].origin = ~last.origin; /* a second arrival would be wrong */
            }
        }
        rates[run] = (double)hops * tokens / (seconds() - begin) / 1e6;
    }
    finish(kernel, (hops + 1) * tokens * s->runs);
    free(in);
    free(values);
    free(sent);
    free(addresses);
    return share_of(rates, s->runs, 0.5);
}

/* What a baton that passes `hops` actors after its first comes to. */
static uint64_t run_of_a_baton(baton b, uint32_t at, uint32_t actors) {
    for (;; b.hops--) {
        b.value = b.value * 5 + at;
        if (b.hops == 0)
            return b.value;
        const uint32_t random = b.random * 1664525u + 1013904223u;
        at = (b.random == 0 ? at + 1 : random >> 8) % actors;
        b.random = b.random == 0 ? 0 : random | 1;
    }
}

/* Batons of 24 bytes pass `hops` actors each, the next or any. Millions of messages between actors a second. */
static double baton_rate(setup *s, uint32_t actors, uint32_t workers, uint32_t batons, uint32_t hops, int any) {
    rk_kernel_options options = s->options;
    rk_actor *addresses = room_for(actors, sizeof *addresses);
    baton *sent = room_for(batons, sizeof *sent);
    uint64_t *values = room_for(batons, sizeof *values); /* when they arrive */
    unsigned char *arrived = room_for(batons, 1);
    inbox *in = room_for(1, sizeof *in);
    options.actors = actors;
    options.workers = workers;
    const rk_kernel kernel = launch(s, "runner", &options, addresses);
    double rates[MAX_RUNS];
    for (uint32_t run = 0; run < s->runs; run++) {
        for (uint32_t b = 0; b < batons; b++) {
            sent[b] = (baton){.hops = hops, .random = any ? (uint32_t)random_next(&s->seed) | 1 : 0,
                              .value = random_next(&s->seed), .passed = (uint64_t)b << 40};
            values[b] = run_of_a_baton(sent[b], b % actors, actors);
            arrived[b] = 0;
        }
        const double begin = seconds();
        for (uint32_t b = 0; b < batons; b++) {
            const rk_send_options wait = {.struct_size = sizeof wait, .timeout_ns = INT64_C(10000000000)};
            must(rk_send(addresses[b % actors], RK_TYPE(baton), &sent[b], RK_SIZE(baton), &wait), "rk_send", NULL);
        }
        double end = 0;
        for (uint32_t count = 0; count < batons; count += in->count) {
            receive(s->runtime, own_queue, in);
            end = seconds();
            for (uint32_t i = 0; i < in->count; i++) {
                baton last;
                memcpy(&last, in->messages[i].payload, sizeof last);
                const uint32_t b = (uint32_t)(last.passed >> 40);
                if (in->messages[i].kind != RK_MESSAGE_EMIT || b >= batons || arrived[b]++ != 0 ||
                    (last.passed & 0xffffffffff) != hops + 1u ||
                    last.value != values[b])
                    wrong("a baton's way");
            }
        }
        rates[run] = (double)hops * batons / (end - begin) / 1e6;
    }
    finish(kernel, (uint64_t)(hops + 1) * batons * s->runs);
    free(in);
    free(arrived);
    free(values);
    free(sent);
    free(addresses);
    return share_of(rates, s->runs, 0.5);
}

/* Between the processors of a device: on the CPU there are not enough of them for it to say anything. */
void measure_batons(setup *s) {
    if (s->options.backend == RK_BACKEND_CPU)
        return;
    report(s, "a baton (24 B) between two workers, one way", "us", 1 / baton_rate(s, 2, 2, 1, 200000 / s->divisor, 0),
           NONE, AT_MOST, NONE);
    report(s, "16,896 batons at random among 528 workers", "M msg/s",
           baton_rate(s, 528, 528, 528 * 32, 4000 / s->divisor, 1), NONE, AT_LEAST, NONE);
}

void measure_hops(setup *s) {
    report(s, "hops of 64 tokens (32 B) round 64 actors", "M/s", hop_rate(s, 64, 64, 300000 / s->divisor), NONE,
           AT_LEAST, 20);
    report(s, "hops of 1 token round 64 actors", "M/s", hop_rate(s, 64, 1, 2000000 / s->divisor), NONE, AT_LEAST, NONE);
}
