/* How long messages wait and handlers run, of those that are picked: device/histogram.h says which and how they are counted. All
 * by lane 0.
 *
 * Only programs that are made for it do this. Where nothing is to be measured none of it is compiled, and the host takes the
 * readings of clocks out of the SPIR-V for devices that have none (src/backend/vulkan/spirv.rs). */
#ifndef RINGKERNEL_VULKAN_LATENCY_GLSL
#define RINGKERNEL_VULKAN_LATENCY_GLSL

#include <ringkernel/device/histogram.h>

/* 1: latencies are measured. */
layout(constant_id = 3) const rk_u32 RK_MEASURES = 0u;

RK_AT_(rk_dev_span_at, rk_dev_span, 8)
RK_SIZED_(rk_dev_span)
RK_SIZED_(rk_histogram)

/* The device's clock, the same for all workers; and a finer one of ours, for short times. The units are the device's own. */
#define rk_timer() clockRealtimeEXT()
#define rk_ticks() clockARB()

/* A stamp from elsewhere may be of a later time than it is here; by so much, in units of 2^-32 s, it is believed. */
#define RK_LEAD rk_u64(1u << 22)

/* What is needed at those that are measured only, lane 0's: not in registers, of which all handlers would have the fewer. */
struct rk_measure {
    rk_u64 timer_began, ticks_began; /* clocks at the start of the dispatch */
    rk_u64 time_began; /* the same moment in the host's time, in units of 2^-32 s as stamps are */
    rk_u64 waited, handler_began;
};
shared rk_measure rk_measured;
rk_u32 rk_sample_ahead;
bool rk_sampled; /* the handler that runs is measured */

/* Ticks of a clock since it was so much. What takes longer than it counts is taken for shorter: 4.29 s on Mesa's llvmpipe. */
rk_u64 rk_ticks_since(rk_u64 then, rk_u64 now) {
    return now - then & rk_task.mask;
}

/* The time since the timer was so much, in units of 2^-32 s. None after more than a minute, which would overflow: stamps are given
 * by this, and others follow them. */
rk_u64 rk_time_since(rk_u64 then, rk_u64 now) {
    rk_u64 ticks = rk_ticks_since(then, now);
    return ticks < rk_task.most ? ticks * rk_task.rate >> 24 : rk_u64(0);
}

/* The host's time by the device's clock. What is sent from now on is stamped with it, or later. */
rk_u64 rk_catch_up() {
    rk_u64 now = rk_measured.time_began + rk_time_since(rk_measured.timer_began, rk_timer());
    rk_clock = rk_max(rk_clock, now & ~rk_u64(255));
    return now;
}

/* A dispatch begins. */
void rk_begin_measuring() {
    rk_u64 timer = rk_timer();
    rk_sample_ahead = rk_dev_worker_at(rk_me).v.sample_ahead;
    /* We were submitted before; how much, only the host's reading of the timer tells, if it gives one. */
    rk_u64 since = rk_task.timer != rk_u64(0) ? rk_time_since(rk_task.timer, timer) : rk_u64(0);
    rk_u64 time = rk_max(rk_task.now, rk_task.time + since);
    rk_measured.timer_began = timer;
    rk_measured.ticks_began = rk_ticks();
    rk_measured.time_began = time;
    rk_clock = rk_max(rk_clock, time & ~rk_u64(255));
    /* For the host, which reads it when all have left; of the first dispatch of a submission. */
    if (gl_WorkGroupID.x == 0u && rk_task.began == rk_u64(0)) rk_order_at(rk_pushed.order).v.began = timer;
}

/* The handler of rk_m is about to run. One that seems to come from the future says that our time is late. */
void rk_begin_handler() {
    rk_sampled = rk_sample_ahead == 0u;
    if (!rk_sampled) {
        rk_sample_ahead--;
    } else {
        rk_u64 now = rk_catch_up(), late = rk_m.time > now ? rk_m.time - now : rk_u64(0);
        if (late < RK_LEAD) rk_measured.time_began += late;
        rk_measured.waited = late != rk_u64(0) ? rk_u64(0) : (now >> 8) - (rk_m.time >> 8);
        rk_measured.handler_began = rk_ticks();
    }
}

/* Counts a value in one of our histograms, and where the host reads it: three words, for all of it is too much to copy. */
void rk_record(rk_u64 own_at, rk_u64 seen_at, rk_u64 value) {
    rk_histogram_ref own = rk_histogram_ref(own_at), seen = rk_histogram_ref(seen_at);
    rk_u32 index = rk_histogram_index(value);
    rk_histogram_record(own_at, value);
    /* Relaxed: readers want no order among them. */
    rk_poke(seen.v.sum, own.v.sum);
    rk_poke(seen.v.largest, own.v.largest);
    rk_poke(seen.v.buckets[index], own.v.buckets[index]);
}

/* It has run. */
void rk_end_handler() {
    if (!rk_sampled) return;
    rk_u64 took = rk_ticks_since(rk_measured.handler_began, rk_ticks()), next = rk_u64(rk_histogram_rk_sizeof());
    rk_dev_worker_at me = rk_dev_worker_at(rk_me);
    rk_record(me.v.latencies, me.v.latencies_host, took);
    rk_record(me.v.latencies + next, me.v.latencies_host + next, rk_measured.waited);
    rk_u64 place = me.v.span_count++ % rk_u64(RK_SPANS) * rk_u64(rk_dev_span_rk_sizeof());
    rk_dev_span_at(me.v.spans + place).v =
        rk_dev_span(rk_m.time, rk_m.correlation, rk_m.sender, rk_measured.waited, took, rk_m.actor, rk_m.type, rk_m.size,
                    rk_m.level, rk_u64(0));
    me.v.sample_random = rk_sample_random(me.v.sample_random);
    rk_sample_ahead = rk_sample_gap(me.v.sample_random, me.v.sample_every) - 1u;
    rk_catch_up();
}

/* We leave. */
void rk_end_measuring(rk_dev_report_at report) {
    rk_dev_worker_at me = rk_dev_worker_at(rk_me);
    me.v.sample_ahead = rk_sample_ahead;
    /* What ticks are worth, once the host knows what those of the timer are: by 2^-32 s, 1953125 / 2^23 ns. */
    if (rk_task.rate != rk_u64(0)) {
        me.v.ticks += rk_ticks_since(rk_measured.ticks_began, rk_ticks());
        me.v.ticks_ns += rk_time_since(rk_measured.timer_began, rk_timer()) * rk_u64(1953125) >> 23;
    }
    report.v.ticks = me.v.ticks;
    report.v.ticks_ns = me.v.ticks_ns;
    report.v.span_count = me.v.span_count;
}

#endif
