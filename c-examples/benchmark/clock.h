/* Clocks of the benchmark: processor ticks for single calls, seconds for runs. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Cheap: may be reordered with what is around it, which does not matter where that takes a hundred nanoseconds. */
static inline uint64_t ticks(void) {
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t t;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
    return t;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

/* Exact: what is before has been executed and what is after has not begun. Its own cost has to be subtracted. */
static inline uint64_t ticks_fenced(void) {
#if defined(__x86_64__)
    unsigned processor;
    uint64_t t = __rdtscp(&processor);
    _mm_lfence();
    return t;
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
    uint64_t t = ticks();
    __asm__ volatile("isb" ::: "memory");
    return t;
#else
    return ticks();
#endif
}

static inline double measure_ns_per_tick(void) {
    double start = seconds();
    uint64_t first = ticks();
    double now = start;
    while (now - start < 0.05)
        now = seconds();
    return (now - start) * 1e9 / (double)(ticks() - first);
}

/* splitmix64, seeded by the system: payloads are new in every run. */
static inline uint64_t random_next(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#endif
