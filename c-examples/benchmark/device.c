/* What a device allows without the library, and on CUDA what it lets other calls of the program wait for. */
#define _GNU_SOURCE
#include "benchmark.h"

#include "benchmark.rk.h"
#include "clock.h"
#include "floor_cuda.h"
#include "floor_vulkan.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* count: at most so many; receives how many there were. */
typedef const char *(*floor_run)(setup *s, uint32_t *count, uint32_t *ticks_taken);

static const char *launches(setup *s, uint32_t *count, uint32_t *ticks_taken) {
    return floor_cuda_launches(s->cuda, *count, ticks_taken);
}

static const char *graphs(setup *s, uint32_t *count, uint32_t *ticks_taken) {
    return floor_cuda_graphs(s->cuda, *count, ticks_taken);
}

static const char *copies(setup *s, uint32_t *count, uint32_t *ticks_taken) {
    return floor_cuda_copies(s->cuda, random_next(&s->seed), *count, ticks_taken);
}

static const char *echoes_of_host_memory(setup *s, uint32_t *count, uint32_t *ticks_taken) {
    return floor_cuda_echoes(s->cuda, INBOUND_HOST, random_next(&s->seed), *count, ticks_taken);
}

static const char *echoes_of_device_memory(setup *s, uint32_t *count, uint32_t *ticks_taken) {
    return floor_cuda_echoes(s->cuda, INBOUND_DEVICE, random_next(&s->seed), *count, ticks_taken);
}

static const char *submits(setup *s, uint32_t *count, uint32_t *ticks_taken) {
    return floor_vulkan_submits(s->vulkan, 0, count, ticks_taken);
}

static const char *submits_and_waits(setup *s, uint32_t *count, uint32_t *ticks_taken) {
    return floor_vulkan_submits(s->vulkan, 1, count, ticks_taken);
}

static const char *echoes_of_a_dispatch(setup *s, uint32_t *count, uint32_t *ticks_taken) {
    return floor_vulkan_echoes(s->vulkan, random_next(&s->seed), count, ticks_taken);
}

/* Why that floor cannot be measured here; NULL if it can. */
static const char *why_not(const setup *s, floor_run run) {
    return run == echoes_of_device_memory ? floor_cuda_no_device_memory(s->cuda)
           : run == echoes_of_a_dispatch  ? floor_vulkan_no_echoes(s->vulkan)
                                          : NULL;
}

void measure_floors(setup *s) {
    static const struct {
        uint32_t backend;
        const char *name;
        floor_run run;
        uint32_t count;
    } floors[] = {
        {RK_BACKEND_CUDA, "floor: launch, synchronize", launches, 20000},
        {RK_BACKEND_CUDA, "floor: launch of a graph, synchronize", graphs, 20000},
        {RK_BACKEND_CUDA, "floor: copy, kernel, copy back, synchronize", copies, 20000},
        {RK_BACKEND_CUDA, "floor: stamped echo, inbound host memory", echoes_of_host_memory, 200000},
        {RK_BACKEND_CUDA, "floor: stamped echo, inbound device memory", echoes_of_device_memory, 200000},
        {RK_BACKEND_VULKAN, "floor: submit, look at the fence", submits, 20000},
        {RK_BACKEND_VULKAN, "floor: submit, wait for the fence", submits_and_waits, 20000},
        {RK_BACKEND_VULKAN, "floor: stamped echo, a dispatch that stays", echoes_of_a_dispatch, 200000},
    };
    if (s->cuda == NULL && s->vulkan == NULL)
        return; /* main() has said why */
    for (size_t i = 0; i < sizeof floors / sizeof *floors; i++) {
        if (floors[i].backend != s->options.backend)
            continue;
        const char *reason = why_not(s, floors[i].run);
        if (reason != NULL) {
            fprintf(stderr, "benchmark: no %s: %s\n", floors[i].name, reason);
            continue;
        }
        const uint32_t most = floors[i].count / s->divisor;
        uint32_t *samples = malloc(most * sizeof *samples);
        static shares all;
        if (samples == NULL)
            must(RK_ERROR_NO_MEMORY, "samples", NULL);
        for (uint32_t run = 0; run < s->runs; run++) {
            uint32_t count = most;
            const char *failure = floors[i].run(s, &count, samples);
            if (failure != NULL)
                wrong(failure);
            add_run(&all, run, samples, count, s->ns_per_tick / 1000);
        }
        report_shares(s, floors[i].name, &all, NULL, NONE);
        free(samples);
    }
}

/* An actor that answers all the while. */
typedef struct busy {
    rk_actor actor;
    uint64_t seed, handled;
    atomic_int stop;
} busy;

static void *keep_busy(void *argument) {
    busy *b = argument;
    for (; !atomic_load_explicit(&b->stop, memory_order_relaxed); b->handled++) {
        ping message;
        pong reply;
        for (int w = 0; w < 4; w++)
            message.words[w] = random_next(&b->seed);
        must(rk_call(b->actor, RK_TYPE(ping), &message, RK_SIZE(ping), NULL, &reply, RK_SIZE(pong), NULL,
                     INT64_C(10000000000), NULL),
             "rk_call", NULL);
        for (int w = 0; w < 4; w++)
            if (reply.words[w] != message.words[w] + b->handled)
                wrong("reply while the program calls the driver");
    }
    return NULL;
}

static double timed(const cuda_driver *cu, const char *what, cu_result result, uint64_t begin, double ns_per_tick) {
    const uint64_t taken = ticks() - begin;
    if (result != 0)
        wrong(cuda_failed(cu, what, result));
    return (double)taken * ns_per_tick / 1e6;
}

/* Milliseconds of the one call; what it needs is made before. */
static double free_device_memory(const cuda_driver *cu, double ns_per_tick) {
    uint64_t address;
    const cu_result result = cu->alloc(&address, 16 << 20); /* small ones the driver keeps, without waiting */
    if (result != 0)
        wrong(cuda_failed(cu, "cuMemAlloc", result));
    const uint64_t begin = ticks();
    return timed(cu, "cuMemFree", cu->free(address), begin, ns_per_tick);
}

static double free_host_memory(const cuda_driver *cu, double ns_per_tick) {
    void *address;
    const cu_result result = cu->host_alloc(&address, 1 << 20, 0);
    if (result != 0)
        wrong(cuda_failed(cu, "cuMemHostAlloc", result));
    const uint64_t begin = ticks();
    return timed(cu, "cuMemFreeHost", cu->host_free(address), begin, ns_per_tick);
}

static double load_module(const cuda_driver *cu, double ns_per_tick) {
    static const char empty[] = ".version 6.0\n.target sm_70\n.address_size 64\n.visible .entry empty() { ret; }\n";
    cu_module module;
    const uint64_t begin = ticks();
    const double taken = timed(cu, "cuModuleLoadData", cu->module_load(&module, empty), begin, ns_per_tick);
    const cu_result result = cu->module_unload(module);
    if (result != 0)
        wrong(cuda_failed(cu, "cuModuleUnload", result));
    return taken;
}

/* Calls of the program that the driver lets wait for all that runs: they return when a quantum ends. */
void measure_calls(setup *s) {
    static const struct {
        const char *name;
        double (*run)(const cuda_driver *cu, double ns_per_tick);
    } calls[] = {
        {"cuMemFree", free_device_memory}, {"cuMemFreeHost", free_host_memory}, {"cuModuleLoadData", load_module}};
    static const uint32_t quanta_ms[] = {1, 2, 5, 20};
    enum { TIMES = 50 };
    const uint32_t times = s->divisor == 1 ? TIMES : 5;
    const char *why;
    if (s->cuda == NULL)
        return;
    const cuda_driver *cu = cuda_open(&why);
    for (size_t q = 0; q < sizeof quanta_ms / sizeof *quanta_ms; q++) {
        rk_kernel_options options = s->options;
        options.actors = 1;
        options.quantum_us = quanta_ms[q] * 1000;
        busy b = {.seed = random_next(&s->seed)};
        const rk_kernel kernel = launch(s, "echoer", &options, &b.actor);
        pthread_t thread;
        if (pthread_create(&thread, NULL, keep_busy, &b) != 0)
            must(RK_ERROR_SYSTEM, "pthread_create", NULL);
        for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
            double taken[TIMES];
            char name[NAME_SIZE];
            (void)calls[c].run(cu, s->ns_per_tick); /* the driver's compiler caches the module */
            for (uint32_t i = 0; i < times; i++)
                taken[i] = calls[c].run(cu, s->ns_per_tick);
            const double goal = s->divisor == 1 ? 1.1 * quanta_ms[q] : NONE;
            snprintf(name, sizeof name, "%s, quantum of %u ms, p50", calls[c].name, quanta_ms[q]);
            report_goal(s, name, "ms", share_of(taken, times, 0.5), NONE, AT_MOST, goal);
            snprintf(name, sizeof name, "%s, quantum of %u ms, longest", calls[c].name, quanta_ms[q]);
            report_goal(s, name, "ms", share_of(taken, times, 1), NONE, AT_MOST, goal);
        }
        atomic_store(&b.stop, 1);
        pthread_join(thread, NULL);
        finish(kernel, b.handled);
    }
}
