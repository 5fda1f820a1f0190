/* How long messages wait and handlers run, of those that are picked: device/histogram.h says which and how they are counted.
 * A message that is measured is taken out of the hot loop like one that there is something special about, so that the loop
 * pays for the others with a comparison a batch. */
#ifndef RINGKERNEL_CUDA_LATENCY_CUH
#define RINGKERNEL_CUDA_LATENCY_CUH

#include <ringkernel/cuda/block.cuh>
#include <ringkernel/device/histogram.h>

/* A stamp from another machine may be of a later time than it is here; by so much, in ns, it is believed. */
#define RK_LEAD 1000000

/* A quantum begins: by one thread. */
RK_PUMP_FN void rk_begin_measuring() {
    rk_dev_worker &w = rk_s.w;
    rk_s.sampled = 0;
    if (w.latencies == 0) {
        w.sample_ahead = ~0u;
        return;
    }
    const rk_i64 known = w.sample_offset - 2000;
    w.sample_offset = w.sample_offset == 0 || w.clock_offset > known ? w.clock_offset : known;
    w.ticks -= rk_ticks(), w.ticks_ns -= rk_timer();
}

/* This one is measured, and its handler is about to run: by one thread. The host's clock is known here as well as the fastest
 * message was fast: one that seems to come from the future says that the clock is late. */
RK_PUMP_FN void rk_waited(const rk_item &m) {
    rk_dev_worker &w = rk_s.w;
    const rk_i64 since = (rk_i64)(rk_units(rk_timer() + (rk_u64)w.sample_offset) >> 8) - (rk_i64)(m.time >> 8);
    const rk_i64 late = (-since * 1000000000 >> 24) + 1;
    if (since < 0 && late < RK_LEAD) w.sample_offset += late;
    rk_s.waited = since < 0 ? 0 : since, rk_s.measured = 1;
    rk_dev_span &span = ((rk_dev_span *)w.spans)[w.span_count % RK_SPANS];
    span.stamp = m.time, span.correlation = m.correlation, span.from = m.sender(), span.waited = rk_s.waited;
    span.actor = m.actor, span.type = m.type(), span.size = m.size, span.level = m.level();
}

/* Its handler has run. */
RK_COLD_FN void rk_took() {
    rk_dev_worker &w = rk_s.w;
    if (rk_thread() == 0) {
        rk_histogram_record(&((rk_latencies *)w.latencies)->queue, rk_s.waited);
        rk_histogram_record(&((rk_latencies *)w.latencies)->handler, rk_s.ended - rk_s.began);
        ((rk_dev_span *)w.spans)[w.span_count++ % RK_SPANS].took = rk_s.ended - rk_s.began;
        w.sample_random = rk_sample_random(w.sample_random);
        w.sample_ahead = rk_sample_gap(w.sample_random, w.sample_every) - 1u;
        rk_s.sampled = 1;
    }
    __syncwarp();
}

/* We leave: what was measured, to the host. */
RK_COLD_FN void rk_end_measuring() {
    rk_dev_worker &w = rk_s.w;
    if (w.latencies == 0) return;
    if (rk_thread() == 0) w.ticks += rk_ticks(), w.ticks_ns += rk_timer();
    __syncwarp();
    if (rk_s.sampled) rk_copy(w.latencies_host, (const rk_u8 *)w.latencies, sizeof(rk_latencies), rk_thread());
}

#endif
