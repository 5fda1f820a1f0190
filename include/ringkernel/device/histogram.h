/* Histograms of latencies, as workers write them and the host reads them: compiled as C, C++, CUDA C++ and GLSL with scalar
 * layout. src/histogram.rs is the host's half; tests/histogram.rs compares the two.
 *
 * Buckets are linear in each power of two (as in HdrHistogram): values below 8 have one each, then every power of two has
 * eight, so that a bucket is at most an eighth of its values wide. A worker alone writes its histograms, without a lock and
 * without read-modify-write; the host reads them at any time, also after a fault.
 *
 * What a pump does, by one lane, with a sampler of its own ({left, every, random}, see below):
 *
 *   before a handler     sampler.left -= 1;
 *                        if (sampler.left == 0) {
 *                            sampler.random = rk_sample_random(sampler.random);
 *                            sampler.left = rk_sample_gap(sampler.random, sampler.every);
 *                            rk_histogram_record(queue, now - sent);     stamps, without their logical parts
 *                            started = timer;
 *                        }
 *   after the handler    if (sampled) rk_histogram_record(handler, timer - started);
 */
#ifndef RINGKERNEL_DEVICE_HISTOGRAM_H
#define RINGKERNEL_DEVICE_HISTOGRAM_H

/* Three bits below the highest; values of 2^40 and more are in the last bucket. */
#define RK_HISTOGRAM_BUCKETS 304u
#define RK_HISTOGRAM_LIMIT ((rk_u64(1) << 40) - rk_u64(1))

/* 2496 bytes. A sum that overflows goes round. */
struct rk_histogram {
    rk_u64 sum;
    rk_u64 largest;
    rk_u64 reserved[6];
    rk_u64 buckets[RK_HISTOGRAM_BUCKETS];
};

#if !defined(RK_GLSL)
typedef struct rk_histogram rk_histogram;
#endif

/* Of one worker. */
struct rk_latencies {
    rk_histogram handler;
    rk_histogram queue;
};

/* The highest bit of a number that is not zero. */
#if defined(RK_GLSL)
#define RK_HIGHEST_BIT_(x) rk_u32(findMSB(x))
#elif defined(__CUDACC__)
#define RK_HIGHEST_BIT_(x) rk_u32(31 - __clz(int(x)))
#else
#define RK_HIGHEST_BIT_(x) rk_u32(31 - __builtin_clz(x))
#endif

/* The bucket of a value. */
RK_FUNC rk_u32 rk_histogram_index(rk_u64 value) {
    if (value > RK_HISTOGRAM_LIMIT) value = RK_HISTOGRAM_LIMIT;
    if (value < rk_u64(8)) return rk_u32(value);
    rk_u32 upper = rk_u32(value >> 32);
    rk_u32 power = upper != 0u ? 32u + RK_HIGHEST_BIT_(upper) : RK_HIGHEST_BIT_(rk_u32(value));
    return (power - 2u) * 8u + (rk_u32(value >> (power - 3u)) & 7u);
}

/* How many messages until the next that is measured: `every` in the mean, and not in step with anything. */
RK_FUNC rk_u32 rk_sample_gap(rk_u32 random, rk_u32 every) {
    return 1u + (random >> 8) % (2u * every - 1u);
}

RK_FUNC rk_u32 rk_sample_random(rk_u32 random) {
    return random * 1664525u + 1013904223u;
}

/* By the worker's one lane that does this. */
#if defined(RK_GLSL)
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer rk_histogram_ref {
    nonprivate rk_histogram v;
};
void rk_histogram_record(rk_u64 histogram, rk_u64 value) {
    rk_histogram_ref at = rk_histogram_ref(histogram);
    at.v.sum += value;
    if (value > at.v.largest) at.v.largest = value;
    at.v.buckets[rk_histogram_index(value)] += rk_u64(1);
}
#else
/* volatile: each a single access to memory, now. */
RK_FUNC void rk_histogram_record(volatile rk_histogram *histogram, rk_u64 value) {
    histogram->sum = histogram->sum + value;
    if (value > histogram->largest) histogram->largest = value;
    rk_u32 index = rk_histogram_index(value);
    histogram->buckets[index] = histogram->buckets[index] + rk_u64(1);
}
#endif

#endif
