/* The worker that a workgroup is, between being loaded from device memory at the start of a dispatch and saved at its end.
 *
 * Lane 0 is the pump: it alone looks at rings and sends, and what is here is its own, in registers as far as may be. The
 * other lanes wait for handlers to run.
 */
#ifndef RINGKERNEL_VULKAN_WORKER_GLSL
#define RINGKERNEL_VULKAN_WORKER_GLSL

/* 1: the pump can do everything. 0: only what most messages need, quick.glsl; a worker that meets anything else leaves, and
 * says so. */
layout(constant_id = 1) const rk_u32 RK_THOROUGH = 1u;

/* What one submission asks for; src/backend/vulkan/program.rs is the other half. */
struct rk_order {
    rk_u64 kernel; /* address of its rk_dev_kernel */
    rk_u64 launch;
    rk_u64 now;        /* the host's clock, as in stamps */
    rk_u32 mode;       /* RK_MODE_... */
    rk_u32 idle;       /* rounds with nothing to do after which a worker leaves */
    rk_u32 turns;      /* of loops, after which it leaves */
    rk_u32 messages;   /* that it handles at most */
    rk_u32 dispatches; /* in this submission */
    rk_u32 wanted;     /* from the device: a worker needs the thorough pump */
    /* For measuring, see latency.glsl. */
    rk_u64 rate;  /* units of 2^-32 s, times 2^24, in a tick of the device's clock; 0: not known yet */
    rk_u64 mask;  /* the bits of its clocks */
    rk_u64 most;  /* ticks that it can work with */
    rk_u64 timer; /* a reading of that, not long ago, and what the host's clock was then; or zeros */
    rk_u64 time;
    rk_u64 began; /* from the device: its clock when the first worker began and when the last one left */
    rk_u64 left;
};
RK_AT_(rk_order_at, rk_order, 8)

layout(push_constant, scalar) uniform rk_push {
    rk_u64 order;
} rk_pushed;

#define RK_WAIT_NOTHING rk_u64(0)

/* Once for each level, ring, counter: written out, so that they stay in registers. */
#define RK_EACH_LEVEL_(do_) do_(0) do_(1) do_(2) do_(3)
#define RK_EACH_RING_(do_) RK_EACH_LEVEL_(do_) do_(4) do_(5) do_(6) do_(7)
#define RK_EACH_COUNT_(do_) RK_EACH_RING_(do_) do_(8) do_(9) do_(10)

rk_order rk_task;
rk_dev_kernel rk_kernel;
rk_dev_ring rk_outbound;
rk_dev_origin rk_origin;
rk_u64 rk_me; /* address of our rk_dev_worker */
rk_u64 rk_orders;
rk_u64 rk_aside, rk_aside_head, rk_aside_tail;
rk_u64 rk_message;
rk_u64 rk_out_tail, rk_out_head;
rk_u64 rk_clock;
rk_u64 rk_waits; /* what we wait for, as published */
rk_u64 rk_found_waiting;
rk_u64 rk_failed_actor; /* that has ended or failed, of which others are still to be told */
rk_i32 rk_failed_code;
rk_u32 rk_aside_count, rk_outbox_used, rk_outbox_sent;
rk_u32 rk_turn, rk_turn_before; /* counts messages; and when the dispatch began */
rk_u32 rk_ended;
rk_u32 rk_irregular; /* an actor is not running, or not of generation 0 */
rk_u32 rk_idle, rk_handled;
rk_u64 rk_counts[RK_C_COUNT];

/* Of our rings, by number. */
rk_u64 rk_slots[RK_RINGS];
rk_u32 rk_shift[RK_RINGS];
rk_u64 rk_position[RK_RINGS];    /* of the next message */
rk_u32 rk_unpublished[RK_RINGS]; /* messages before it whose slots we have not given back */
rk_u32 rk_used;                  /* a bit for each that messages have come from */
rk_u64 rk_end_at[RK_RINGS];      /* at the kernel's end: what the ring has accepted */

rk_u64 rk_ring_at(rk_u32 ring) {
    return rk_me + ring * rk_dev_ring_rk_sizeof();
}

void rk_load() {
    rk_task = rk_order_at(rk_pushed.order).v;
    rk_kernel = rk_dev_kernel_at(rk_task.kernel).v;
    rk_me = rk_kernel.workers + gl_WorkGroupID.x * rk_dev_worker_rk_sizeof();
    rk_orders = rk_kernel.orders + gl_WorkGroupID.x * rk_dev_orders_rk_sizeof();
    rk_dev_worker_at me = rk_dev_worker_at(rk_me);
    rk_cx.outbox = me.v.outbox;
    rk_cx.outbox_limit = rk_kernel.outbox_limit;
    rk_cx.actors = rk_kernel.actors;
    rk_cx.scratch = rk_u64(0);
    rk_cx.buffers = rk_kernel.buffers;
    rk_cx.counters = rk_me + RK_COUNTERS_OFFSET;
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
    rk_turn = rk_turn_before = me.v.turn;
    rk_ended = me.v.ended;
    rk_irregular = me.v.irregular;
    rk_found_waiting = me.v.found_waiting;
    rk_waits = rk_peek(rk_u64_at(rk_kernel.waits + gl_WorkGroupID.x * 8u).v);
    rk_idle = 0u;
    rk_handled = 0u;
    rk_used = 0u;
#define RK_LOAD_RING_(i)                                                                                               \
    rk_slots[i] = me.v.rings[i].slots;                                                                                 \
    rk_shift[i] = me.v.rings[i].shift;                                                                                 \
    rk_position[i] = me.v.position[i];                                                                                 \
    rk_used |= rk_position[i] != rk_u64(0) ? 1u << i : 0u;                                                             \
    rk_unpublished[i] = 0u;
#define RK_LOAD_COUNT_(i) rk_counts[i] = me.v.counts[i];
    RK_EACH_RING_(RK_LOAD_RING_)
    RK_EACH_COUNT_(RK_LOAD_COUNT_)
}

/* The kernel ends: nothing comes in any more. */
void rk_close() {
#define RK_CLOSE_(i)                                                                                                   \
    rk_end_at[i] = atomicOr(rk_u64_at(rk_dev_worker_at(rk_me).v.rings[i].tail).v, RK_CLOSED, gl_ScopeDevice,           \
                            gl_StorageSemanticsNone, gl_SemanticsRelaxed) & ~RK_CLOSED;                                \
    rk_end_at[i + 4] = rk_peek(rk_dev_orders_at(rk_orders).v.end_at[i]);
    RK_EACH_LEVEL_(RK_CLOSE_)
}

/* Gives the slots before our position back. */
void rk_publish(rk_u64 head, rk_u64 position) {
    rk_release(); /* our reads of them, and handlers' of bodies, are over */
    rk_poke(rk_u64_at(head).v, position);
}

/* What lane 0 has changed, back to device memory. */
void rk_save() {
    rk_dev_worker_at me = rk_dev_worker_at(rk_me);
#define RK_SAVE_RING_(i)                                                                                               \
    me.v.position[i] = rk_position[i];                                                                                 \
    if (rk_unpublished[i] != 0u) rk_publish(me.v.rings[i].head, rk_position[i]);
#define RK_SAVE_COUNT_(i) me.v.counts[i] = rk_counts[i];
    RK_EACH_RING_(RK_SAVE_RING_)
    RK_EACH_COUNT_(RK_SAVE_COUNT_)
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
    me.v.irregular = rk_irregular;
    me.v.consumed += rk_u64(rk_turn - rk_turn_before);
    me.v.found_waiting = rk_found_waiting;
}

/* The host's time, as it was not long ago where the device sees what the host writes; else when the dispatch began. */
rk_u64 rk_now() {
    return rk_max(rk_task.now, rk_peek(rk_dev_command_at(rk_kernel.command).v.now));
}

/* Publishes what we wait for. */
void rk_wait_for(rk_u64 wait) {
    if (rk_waits == wait) return;
    rk_waits = wait;
    rk_poke(rk_u64_at(rk_kernel.waits + gl_WorkGroupID.x * 8u).v, wait);
}

#endif
