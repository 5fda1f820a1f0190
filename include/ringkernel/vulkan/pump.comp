/* The pump on Vulkan: one workgroup is one worker. In one dispatch it takes messages from the rings, finds the actor, runs
 * its handler with all lanes, and sends what it produced; then it leaves, with all state in device memory, and is
 * submitted again while there is work. It waits for nobody: what cannot go on now is for a later dispatch.
 * src/backend/cpu/{worker,courier,outbox}.rs is the same machine on the CPU, src/ring says how rings work.
 *
 * rkc includes this before the user's files, whose types would be in the way of our variables' names, with RK_DISPATCH set
 * to the dispatch of one actor type. */
#ifndef RINGKERNEL_VULKAN_PUMP_COMP
#define RINGKERNEL_VULKAN_PUMP_COMP

#include <ringkernel/device/layout.h>
#include <ringkernel/vulkan/memory.glsl>
#include <ringkernel/vulkan/worker.glsl>
#include <ringkernel/vulkan/send.glsl>
#include <ringkernel/vulkan/outbox.glsl>
#include <ringkernel/vulkan/receive.glsl>

void RK_DISPATCH();

/* What lanes do next. */
#define RK_GO_ON 0u
#define RK_HANDLE 1u
#define RK_LEAVE 2u

/* From lane 0 to the others. */
shared rk_context rk_told_cx;
shared rk_u32 rk_told;

/* A round without anything done. */
rk_u32 rk_pause() {
    return ++rk_idle >= rk_task.idle ? RK_LEAVE : RK_GO_ON;
}

/* Handles the message at our position of the ring that we take from. */
rk_u32 rk_attend() {
    if (!rk_take()) {
        rk_from.more = 0u;
        return rk_pause();
    }
    rk_i32 reason = rk_verdict();
    if (reason == 0) {
        rk_idle = 0u;
        rk_prepare();
        return RK_HANDLE;
    }
    if (rk_is_full_of_letters() || !rk_bury(reason)) {
        rk_wait_for(RK_WAIT_HOST);
        return rk_pause();
    }
    rk_wait_for(RK_WAIT_NOTHING);
    rk_idle = 0u;
    return RK_GO_ON;
}

/* With posts that cannot leave. Where workers wait for each other in a circle somebody must make room: we set our posts
 * aside and take a message from an actor, for only that makes room for one. */
rk_u32 rk_break_cycle() {
    if (!rk_is_in_cycle() || !rk_set_aside()) return rk_pause();
    rk_u32 ready = rk_look() & 15u;
    if (ready == 0u) return rk_pause();
    rk_choose(ready);
    rk_from.more = 1u;
    return rk_attend();
}

rk_u32 rk_step() {
    if (rk_is_over() || rk_peek(rk_dev_command_at(rk_kernel.command).v.leave) == rk_task.launch) return RK_LEAVE;
    if (!rk_is_flushed()) {
        rk_u64 wait = rk_flush();
        if (wait == RK_WAIT_NEXT) return RK_LEAVE;
        rk_wait_for(wait);
        if (wait != RK_WAIT_NOTHING) return rk_break_cycle();
        rk_idle = 0u;
        if (rk_is_over()) return RK_LEAVE;
    }
    if (rk_from.more == 0u) {
        rk_u32 ready = rk_look();
        if (ready == 0u) return rk_pause();
        rk_choose(ready);
    }
    return rk_attend();
}

/* The kernel has ended: what waits becomes dead letters, and nothing comes in any more. If it takes longer than a
 * dispatch, or more letters than there is room for, the next goes on. */
void rk_end() {
    rk_wait_for(RK_WAIT_NOTHING);
    if (rk_ended != 0u || rk_flush() != RK_WAIT_NOTHING) return;
    [[dont_unroll]] for (rk_u32 ring = 0u; ring < RK_RINGS; ring++) {
        rk_dev_ring which = rk_ring_of(ring);
        rk_u64 accepted = rk_peek(rk_dev_orders_at(rk_orders).v.end_at[ring % RK_LEVELS]);
        if (ring < RK_LEVELS)
            accepted = atomicOr(rk_u64_at(which.tail).v, RK_CLOSED, gl_ScopeDevice, gl_StorageSemanticsNone,
                                gl_SemanticsRelaxed) & ~RK_CLOSED;
        rk_from = rk_source(which.slots, which.bodies, which.shift, which.body, ring, 1u);
        [[dont_unroll]] while (rk_position[ring] < accepted) {
            rk_turns++;
            /* Not there: its producer is about to write it. */
            if (rk_is_over() || !rk_take() || !rk_bury(RK_D_TERMINATED)) return;
            rk_found_waiting++;
        }
    }
    rk_ended = 1u;
}

/* State back to device memory, counts to the host. The last worker out says that all have left. */
void rk_leave() {
    for (rk_u32 i = 0u; i < RK_RINGS; i++) {
        rk_dev_worker_at(rk_me).v.position[i] = rk_position[i];
        if (rk_published[i] != rk_position[i]) rk_publish(i, rk_ring_of(i).head);
    }
    rk_counts[RK_C_DEFERRED] = rk_count_waiting();
    if (rk_consumed != rk_consumed_before) rk_counts[RK_C_QUANTA]++;
    if (rk_is_flushed()) rk_counts[RK_C_COMPLETED] = rk_consumed;
    rk_save();
    rk_dev_report_at report = rk_dev_report_at(rk_kernel.reports + gl_WorkGroupID.x * rk_dev_report_rk_sizeof());
    for (rk_u32 i = 0u; i < RK_C_COUNT; i++) report.v.counts[i] = rk_counts[i];
    for (rk_u32 i = 0u; i < RK_COUNTERS; i++) report.v.counters[i] = rk_dev_worker_at(rk_me).v.counters[i];
    for (rk_u32 i = 0u; i < RK_LEVELS; i++) report.v.consumed[i] = rk_position[i];
    report.v.waits = rk_waits;
    report.v.ended = rk_ended;
    report.v.found_waiting = rk_found_waiting;
    rk_release();
    rk_dev_kernel_at kernel = rk_dev_kernel_at(rk_task.kernel);
    rk_u32 before = atomicAdd(kernel.v.left_count, 1u, gl_ScopeDevice, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    if (before + 1u != rk_kernel.worker_count * rk_task.dispatches) return;
    rk_acquire(); /* what the others wrote before they counted themselves */
    [[dont_unroll]] for (rk_u32 worker = 0u; worker < rk_kernel.worker_count; worker++) {
        report = rk_dev_report_at(rk_kernel.reports + worker * rk_dev_report_rk_sizeof());
        rk_u64 rings = rk_kernel.workers + worker * rk_dev_worker_rk_sizeof();
        for (rk_u32 level = 0u; level < RK_LEVELS; level++) {
            rk_u64 tail = rk_dev_ring_at(rings + level * rk_dev_ring_rk_sizeof()).v.tail;
            report.v.accepted[level] = rk_peek(rk_u64_at(tail).v) & ~RK_CLOSED;
        }
    }
    kernel.v.left_count = 0u;
    rk_release();
    rk_poke(rk_dev_control_at(rk_kernel.control).v.left, rk_task.launch);
}

void main() {
    bool sole = rk_lanes() == 1u;
    /* Only what came out of the loops by the way that is meant to lead out. Where a driver cut one short, handlers' loops
     * included, nobody says that we have left, and the host knows. */
    bool left = false;
    rk_load();
    rk_from.more = 0u;
    if (rk_task.mode == RK_MODE_END) {
        if (rk_lane() == 0u) rk_end();
        left = true;
    }
    [[dont_unroll]] while (!left) {
        rk_u32 next = RK_GO_ON;
        if (rk_lane() == 0u) {
            [[dont_unroll]] do {
                rk_turns++;
                next = rk_step();
            } while (next == RK_GO_ON);
        }
        if (!sole) {
            if (rk_lane() == 0u) {
                rk_told = next;
                rk_told_cx = rk_cx;
            }
            rk_barrier();
            next = rk_told;
            rk_cx = rk_told_cx;
        }
        if (next == RK_LEAVE) {
            left = true;
        } else {
            rk_cx.outbox_used = 0u;
            rk_cx.result = 0u;
            rk_cx.refused = 0u;
            RK_DISPATCH();
            if (!sole) rk_barrier(); /* the posts are whole */
            if (rk_lane() == 0u) rk_conclude();
        }
    }
    if (left && rk_lane() == 0u) rk_leave();
}

#endif
