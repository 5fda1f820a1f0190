/* Running a handler: what it is called with, and what came of it. */
#ifndef RINGKERNEL_CUDA_HANDLER_CUH
#define RINGKERNEL_CUDA_HANDLER_CUH

#include <ringkernel/cuda/block.cuh>

/* The context of a handler for a message to `actor`, with `d1` of its slot. */
RK_PUMP_FN rk_lane_context rk_context_for(rk_block &rk_s, const rk_place &at, const rk_dev_kernel &k, rk_u32 actor, rk_u32 d1,
                                          rk_u64 sender, rk_u64 correlation, const rk_call &call) {
    rk_lane_context cx;
    cx.state = (void *)(at.states + (rk_u64)(actor & 0xfffff) * k.stride);
    cx.message = (const void *)call.message;
    cx.scratch = (void *)at.scratch;
    cx.outbox = (rk_u8 *)at.outbox;
    cx.outbox_used = call.used;
    cx.outbox_limit = at.outbox_limit;
    cx.type = d1 & 0xffff;
    cx.size = call.size;
    cx.index = actor & 0xfffff;
    cx.actors = k.actors;
    cx.self = (rk_u64)k.key << 32 | actor;
    cx.sender = sender;
    cx.correlation = correlation;
    cx.time = call.time;
    cx.counters = (rk_u64 *)((rk_dev_worker *)k.workers)[blockIdx.x].counters;
    cx.priority = 64 * (d1 >> 22 & 3);
    cx.result = 0;
    cx.fail_code = 0;
    cx.refused = 0;
    cx.buffers = (const rk_buffer_table *)k.buffers;
    cx.opened = 0;
    cx.front = (rk_u8 *)(at.base + ((rk_u8 *)&rk_s.front - (rk_u8 *)&rk_s));
    cx.front_size = RK_FRONT;
    cx.front_end = call.front_end;
    cx.filled = 0;
    cx.posts = call.posts, cx.kinds = call.kinds;
    cx.origin = call.number;
    cx.offsets = (rk_u32 *)(at.base + ((rk_u8 *)&rk_s.index - (rk_u8 *)&rk_s));
    cx.readable = call.readable;
    cx.own = 0, cx.kept = 0, cx.posted = false;
    return cx;
}

/* Runs it, by every lane. What comes of it is the same in all of them. */
RK_PUMP_FN void rk_run(rk_lane_context &cx, rk_call &call) {
    bool handled = false;
    if (RK_LANES < 32 || threadIdx.x < RK_LANES) handled = RK_DISPATCH(&cx) != ~0u;
#if defined(RK_DEBUG) && RK_LANES > 1
    /* An index may have been out of bounds in some lanes only, and all are to know. */
    const bool fails = cx.result & RK_RESULT_FAIL;
    const bool any = RK_LANES > 32 ? __syncthreads_or(fails)
                                   : __any_sync(RK_LANES < 32 ? (1u << RK_LANES % 32) - 1 : RK_WARP, fails);
    if (any && !fails) cx.result |= RK_RESULT_FAIL, cx.fail_code = RK_FAIL_OUT_OF_BOUNDS;
#endif
    /* Release, by every lane for what it wrote, before anything is sent; at system scope, for the host may download it. */
    if (cx.opened) __threadfence_system();
    call.used = cx.outbox_used;
    call.front_end = cx.front_end;
    call.posts = cx.posts, call.kinds = cx.kinds;
    call.result = handled ? cx.result : RK_RESULT_UNHANDLED;
    call.code = cx.fail_code;
    call.refused = cx.refused;
}

/* A handler's first post, if it stayed in registers: of one lane, and small. */
struct rk_own {
    rk_u32 kept; /* as in its context */
    rk_first first;
    rk_u64 payload[RK_INLINE / 8];
};

/* Runs the handler of an item, whose beginning is `actor`, `d1` and `correlation`. */
RK_PUMP_FN rk_call rk_run_handler(rk_block &rk_s, const rk_place &at, const rk_dev_kernel &k, rk_u32 actor, rk_u32 d1,
                                  rk_u64 correlation, rk_call call, rk_own &own) {
    alignas(16) rk_u64 payload[RK_INLINE / 8];
    rk_lane_context cx = rk_context_for(rk_s, at, k, actor, d1, rk_s.items[call.number].sender(), correlation, call);
    cx.own = RK_LANES == 1 ? (rk_u8 *)payload : (rk_u8 *)0;
    rk_run(cx, call);
    own.first = cx.first, own.kept = cx.kept;
    for (int i = 0; i < (int)RK_INLINE / 8; i++) own.payload[i] = payload[i];
    return call;
}

/* Puts the post into the outbox after all. */
RK_PUMP_FN void rk_let_go(rk_block &rk_s, const rk_place &at, const rk_own &own, rk_call &call) {
    alignas(16) rk_u64 payload[RK_INLINE / 8];
    for (int i = 0; i < (int)RK_INLINE / 8; i++) payload[i] = own.payload[i];
    rk_lane_context cx;
    cx.outbox = (rk_u8 *)at.outbox, cx.front = rk_s.front, cx.front_size = RK_FRONT, cx.front_end = call.front_end;
    cx.outbox_used = call.used, cx.posts = call.posts, cx.kinds = call.kinds;
    cx.offsets = rk_s.index, cx.origin = call.number;
    cx.own = (rk_u8 *)payload, cx.first = own.first, cx.kept = own.kept;
    cx.let_go();
    call.used = cx.outbox_used, call.posts = cx.posts, call.kinds = cx.kinds, call.front_end = cx.front_end;
}

/* No more messages are added to a batch that has led to so many posts. */
#define RK_POSTS_ENOUGH 56u

/* Bits of what a batch came to, beside its number of posts. */
#define RK_B_POSTS 0xffffffu
#define RK_B_SENDS (1u << 27)     /* not all of them are replies */
#define RK_B_KEPT (1u << 26)      /* a reply in registers, and nothing else */
#define RK_B_UNHANDLED (1u << 28) /* and nothing else */
#define RK_B_RESULT (1u << 29)
#define RK_B_REFUSED (1u << 30)
#define RK_B_FAR (1u << 31) /* posts lie behind the front of the outbox */

RK_PUMP_FN rk_u32 rk_outcome_of(const rk_call &call) {
    return call.posts | (call.kinds > RK_POST_REPLY ? RK_B_SENDS : 0) |
           (call.result & ~RK_RESULT_UNHANDLED ? RK_B_RESULT : 0) | (call.refused ? RK_B_REFUSED : 0) |
           (call.used >= RK_FRONT ? RK_B_FAR : 0);
}

/* Whether no further message is added to the batch. */
RK_PUMP_FN bool rk_is_enough(const rk_call &call) {
    return call.posts >= RK_POSTS_ENOUGH || call.used >= RK_FRONT || (call.result | call.refused);
}

RK_PUMP_FN rk_call rk_new_call() {
    rk_call call;
    call.used = call.posts = call.kinds = call.result = call.refused = 0;
    call.front_end = RK_FRONT;
    return call;
}

#endif
