/* Many actors: how long they take to make and reach, how much memory they need, what they cost when nothing happens. */
#define _GNU_SOURCE
#include "benchmark.h"

#include "benchmark.rk.h"
#include "clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const rk_queue own_queue = {0};

/* Asks every actor of a fresh kernel and checks each answer. reached: room for a byte an actor, zeroed here. */
static void reach_all(const setup *s, const rk_actor *addresses, uint32_t actors, uint64_t seed, unsigned char *reached,
                      inbox *in) {
    ask questions[64];
    rk_outbound batch[64];
    uint32_t sent = 0;
    memset(reached, 0, actors);
    memset(batch, 0, sizeof batch);
    for (uint32_t arrived = 0; arrived < actors; arrived += in->count) {
        uint32_t count = 0;
        for (; count < 64 && sent + count < actors && sent + count - arrived < 512; count++) {
            const uint32_t i = sent + count;
            questions[count].key = seed ^ (i * UINT64_C(0x9e3779b97f4a7c15));
            batch[count].to = addresses[i];
            batch[count].correlation = i;
            batch[count].payload = &questions[count];
            batch[count].type = RK_TYPE(ask);
            batch[count].size = RK_SIZE(ask);
        }
        if (count > 0) {
            uint32_t accepted = 0;
            const rk_status status = rk_send_many(batch, count, 0, &accepted);
            if (status != RK_AGAIN)
                must(status, "rk_send_many", NULL);
            sent += accepted;
            receive_some(s->runtime, own_queue, in);
        } else {
            receive(s->runtime, own_queue, in);
        }
        for (uint32_t m = 0; m < in->count; m++) {
            const rk_message *message = &in->messages[m];
            answer reply;
            if (message->kind != RK_MESSAGE_REPLY || message->type != RK_TYPE(answer) ||
                message->size != RK_SIZE(answer) || message->correlation >= actors)
                wrong("envelope of an answer");
            const uint64_t i = message->correlation;
            memcpy(&reply, message->payload, sizeof reply);
            if (message->from.id != addresses[i].id || reached[i]++ != 0 || reply.notes != 0 || reply.mix != 0 ||
                reply.key != (seed ^ (i * UINT64_C(0x9e3779b97f4a7c15))))
                wrong("an actor's answer");
        }
    }
}

typedef struct crowd {
    uint32_t actors;
    rk_actor *addresses;
    unsigned char *reached;
    inbox *in;
} crowd;

/* All of its memory is touched, so that it does not appear in what is measured. */
static crowd new_crowd(uint32_t actors) {
    crowd c = {actors, malloc(actors * sizeof *c.addresses), malloc(actors), malloc(sizeof *c.in)};
    if (c.addresses == NULL || c.reached == NULL || c.in == NULL)
        must(RK_ERROR_NO_MEMORY, "malloc", NULL);
    memset(c.addresses, 1, actors * sizeof *c.addresses);
    memset(c.reached, 1, actors);
    memset(c.in, 1, sizeof *c.in);
    return c;
}

static void free_crowd(crowd *c) {
    free(c->addresses);
    free(c->reached);
    free(c->in);
}

void measure_creation(setup *s) {
    crowd c = new_crowd(100000);
    rk_kernel_options options = s->options;
    options.actors = c.actors;
    double all[MAX_RUNS];
    double launched[MAX_RUNS];
    for (uint32_t run = 0; run < s->runs; run++) {
        const double begin = seconds();
        const rk_kernel kernel = launch(s, "echoer", &options, c.addresses);
        launched[run] = (seconds() - begin) * 1e3;
        reach_all(s, c.addresses, c.actors, random_next(&s->seed), c.reached, c.in);
        all[run] = (seconds() - begin) * 1e3;
        finish(kernel, c.actors);
    }
    report(s, "100,000 actors created, each reached", "ms", share_of(all, s->runs, 0.5), NONE, AT_MOST, 20);
    report(s, "  until they are created and addressed", "ms", share_of(launched, s->runs, 0.5), NONE, AT_MOST, NONE);
    free_crowd(&c);
}

static double resident_bytes(void) {
    unsigned long size = 0;
    unsigned long resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%lu %lu", &size, &resident) != 2)
        must(RK_ERROR_SYSTEM, "/proc/self/statm", NULL);
    fclose(statm);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

void measure_memory(setup *s) {
    crowd c = new_crowd(s->divisor == 1 ? 1000000 : 50000);
    rk_kernel_options options = s->options;
    rk_kernel_statistics statistics = RK_KERNEL_STATISTICS_INIT;
    rk_error error;
    char name[NAME_SIZE];
    options.actors = c.actors;
    const double before = resident_bytes();
    const double begin = seconds();
    const rk_kernel kernel = launch(s, "echoer", &options, c.addresses);
    reach_all(s, c.addresses, c.actors, random_next(&s->seed), c.reached, c.in);
    const double taken = seconds() - begin;
    const double grown = resident_bytes() - before;
    must(rk_kernel_stats(kernel, &statistics, &error), "rk_kernel_stats", &error);
    finish(kernel, c.actors);
    snprintf(name, sizeof name, "memory per actor beside its state, %" PRIu32 " actors", c.actors);
    report(s, name, "B", (double)statistics.memory_per_actor, NONE, AT_MOST, 128);
    if (s->options.backend == RK_BACKEND_CPU)
        report(s, "  of the process (resident growth, rings included)", "B",
               grown / c.actors - (double)sizeof(struct echoer), NONE, AT_MOST, 128);
    report(s, "  time until all were created and reached", "ms", taken * 1e3, NONE, AT_MOST, NONE);
    free_crowd(&c);
}

static double cpu_seconds(void) {
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        must(RK_ERROR_SYSTEM, "getrusage", NULL);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/* Begins after the spinning that follows the last message. */
void measure_idle(setup *s) {
    enum { ACTORS = 64 };
    const struct timespec settle = {0, 50000000};
    const struct timespec asleep = {s->divisor == 1, s->divisor == 1 ? 0 : 200000000};
    crowd c = new_crowd(ACTORS);
    rk_kernel_options options = s->options;
    options.actors = ACTORS;
    if (options.workers > ACTORS)
        options.workers = ACTORS;
    const rk_kernel kernel = launch(s, "echoer", &options, c.addresses);
    reach_all(s, c.addresses, ACTORS, random_next(&s->seed), c.reached, c.in);
    (void)nanosleep(&settle, NULL);
    const double begin = seconds();
    const double used = cpu_seconds();
    (void)nanosleep(&asleep, NULL);
    const double share = (cpu_seconds() - used) / (seconds() - begin) * 100;
    report(s, "processor time while 64 actors idle", "%", share, NONE, AT_MOST, 0.1);
    finish(kernel, ACTORS);
    free_crowd(&c);
}
