/* The worker that a workgroup is, between being loaded from device memory at the start of a dispatch and saved at its end.
 *
 * Lane 0 is the pump: it alone looks at rings and sends, and what is here is its own, in registers as far as may be. The
 * other lanes wait for handlers to run.
 */
#ifndef RINGKERNEL_VULKAN_WORKER_GLSL
#define RINGKERNEL_VULKAN_WORKER_GLSL

/* What one submission asks for; src/backend/vulkan/order.rs is the other half. */
struct rk_order {
    rk_u64 kernel; /* address of its rk_dev_kernel */
    rk_u64 launch;
    rk_u64 now;        /* the host's clock, as in stamps */
    rk_u32 mode;       /* RK_MODE_... */
    rk_u32 idle;       /* rounds with nothing to do after which a worker leaves */
    rk_u32 turns;      /* of loops, after which it leaves */
    rk_u32 messages;   /* that it handles at most */
    rk_u32 dispatches; /* in this submission */
    rk_u32 reserved;
};
RK_AT_(rk_order_at, rk_order, 8)

layout(push_constant, scalar) uniform rk_push {
    rk_u64 order;
} rk_pushed;

#define RK_WAIT_NOTHING rk_u64(0)
/* Not for anybody: the dispatch has done enough. */
#define RK_WAIT_NEXT (~rk_u64(0) - rk_u64(1))

rk_order rk_task;
rk_dev_kernel rk_kernel;
rk_dev_ring rk_outbound;
rk_dev_origin rk_origin;
rk_u64 rk_me; /* address of our rk_dev_worker */
rk_u64 rk_orders;
rk_u64 rk_aside, rk_aside_head, rk_aside_tail;
rk_u64 rk_outbox, rk_message;
rk_u64 rk_out_tail, rk_out_head;
rk_u64 rk_clock;
rk_u64 rk_waits; /* what we wait for, as published */
rk_u64 rk_consumed, rk_consumed_before, rk_found_waiting;
rk_u64 rk_failed_actor; /* whose failure the host is still to be told of */
rk_i32 rk_failed_code;
rk_u32 rk_aside_count, rk_outbox_used, rk_outbox_sent;
rk_u32 rk_turn, rk_ended;
rk_u32 rk_idle, rk_handled;
rk_u64 rk_counts[RK_C_COUNT];

/* Of rings: where the stamp of the next message will be, and what it will be; the position, and what of it is published.
 * In shared memory, for they are chosen by number. */
shared rk_u64 rk_next_at[RK_RINGS];
shared rk_u32 rk_next_stamp[RK_RINGS];
shared rk_u64 rk_position[RK_RINGS];
shared rk_u64 rk_published[RK_RINGS];

rk_u64 rk_tick() {
    return ++rk_clock;
}

rk_dev_ring rk_ring_of(rk_u32 ring) {
    return rk_dev_ring_at(rk_me + ring * rk_dev_ring_rk_sizeof()).v;
}

/* Looks forward to the message at our position. */
void rk_expect(rk_u32 ring, rk_u64 slots, rk_u32 shift) {
    rk_u64 position = rk_position[ring];
    rk_next_at[ring] = slots + ((position & ((rk_u64(1) << shift) - rk_u64(1))) << 6) + rk_u64(8);
    rk_next_stamp[ring] = rk_u32((position >> shift) + rk_u64(1)) & 0xffffu;
}

void rk_load() {
    rk_task = rk_order_at(rk_pushed.order).v;
    rk_kernel = rk_dev_kernel_at(rk_task.kernel).v;
    rk_me = rk_kernel.workers + gl_WorkGroupID.x * rk_dev_worker_rk_sizeof();
    rk_orders = rk_kernel.orders + gl_WorkGroupID.x * rk_dev_orders_rk_sizeof();
    rk_dev_worker_at me = rk_dev_worker_at(rk_me);
    rk_outbox = me.v.outbox;
    rk_cx.outbox = rk_outbox;
    rk_cx.outbox_limit = rk_kernel.outbox_limit;
    rk_cx.actors = rk_kernel.actors;
    rk_cx.counters = rk_u64(0);
    rk_cx.scratch = rk_u64(0);
    rk_cx.counters = rk_me + rk_u64(rk_dev_worker_rk_sizeof() - 16u - 8u * RK_COUNTERS);
    if (rk_lane() != 0u) return;
    rk_outbound = me.v.outbound;
    rk_origin = me.v.origins[0];
    rk_message = me.v.message;
    rk_aside = me.v.aside;
    rk_aside_head = me.v.aside_head;
    rk_aside_tail = me.v.aside_tail;
    rk_aside_count = me.v.aside_count;
    rk_failed_actor = me.v.failed_actor;
    rk_failed_code = me.v.failed_code;
    rk_out_tail = me.v.out_tail;
    rk_out_head = me.v.out_head;
    rk_clock = rk_max(me.v.clock, rk_task.now);
    rk_outbox_used = me.v.outbox_used;
    rk_outbox_sent = me.v.outbox_sent;
    rk_turn = me.v.turn;
    rk_ended = me.v.ended;
    rk_consumed = me.v.consumed;
    rk_consumed_before = rk_consumed;
    rk_found_waiting = me.v.found_waiting;
    rk_waits = rk_peek(rk_u64_at(rk_kernel.waits + gl_WorkGroupID.x * 8u).v);
    rk_idle = 0u;
    rk_handled = 0u;
    for (rk_u32 i = 0u; i < RK_C_COUNT; i++) rk_counts[i] = me.v.counts[i];
    [[dont_unroll]] for (rk_u32 ring = 0u; ring < RK_RINGS; ring++) {
        rk_turns++;
        rk_position[ring] = me.v.position[ring];
        rk_published[ring] = rk_position[ring];
        rk_dev_ring which = rk_ring_of(ring);
        rk_expect(ring, which.slots, which.shift);
    }
}

/* What lane 0 has changed, back to device memory; but for positions, which the caller publishes. */
void rk_save() {
    rk_dev_worker_at me = rk_dev_worker_at(rk_me);
    me.v.origins[0] = rk_origin;
    me.v.aside_head = rk_aside_head;
    me.v.aside_tail = rk_aside_tail;
    me.v.aside_count = rk_aside_count;
    me.v.failed_actor = rk_failed_actor;
    me.v.failed_code = rk_failed_code;
    me.v.out_tail = rk_out_tail;
    me.v.out_head = rk_out_head;
    me.v.clock = rk_clock;
    me.v.outbox_used = rk_outbox_used;
    me.v.outbox_sent = rk_outbox_sent;
    me.v.turn = rk_turn;
    me.v.ended = rk_ended;
    me.v.consumed = rk_consumed;
    me.v.found_waiting = rk_found_waiting;
    for (rk_u32 i = 0u; i < RK_C_COUNT; i++) me.v.counts[i] = rk_counts[i];
}

/* Publishes what we wait for. */
void rk_wait_for(rk_u64 wait) {
    if (rk_waits == wait) return;
    rk_waits = wait;
    rk_poke(rk_u64_at(rk_kernel.waits + gl_WorkGroupID.x * 8u).v, wait);
}

/* Whether this dispatch has done enough. */
bool rk_is_over() {
    return rk_turns >= rk_task.turns || rk_handled >= rk_task.messages;
}

#endif
