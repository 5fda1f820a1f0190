/* The CUDA half of the dialect: a handler runs in every thread of a block, its lanes.
 *
 * A thread has a context of its own, in registers once it is all inlined: all lanes make the same calls with the same
 * arguments, so their copies stay equal and posting needs no barrier. Only the outbox is memory.
 */
#ifndef RINGKERNEL_CUDA_CONTEXT_CUH
#define RINGKERNEL_CUDA_CONTEXT_CUH

#define RK_UNUSED __attribute__((unused))
#define RK_DEVICE static __device__ __forceinline__ __attribute__((unused))

#define RK_LOAD_(place) (*(const volatile uint64_t *)&(place))

#define rk_lane() threadIdx.x
#if defined(RK_LANES) /* by the library: a block has at least a warp, of which these run handlers */
#define rk_lanes() ((rk_u32)RK_LANES)
#if RK_LANES > 32
#define rk_barrier() __syncthreads()
#else
#define rk_barrier() __syncwarp(RK_LANES == 32 ? 0xffffffffu : (1u << (RK_LANES % 32)) - 1u)
#endif
#else
#define rk_lanes() blockDim.x
#define rk_barrier() __syncthreads()
#endif
#define rk_count(k, n)                                                                                                 \
    ((void)atomicAdd((unsigned long long *)&rk_cx->counters[(k) % RK_COUNTERS], (unsigned long long)(n)))

/* See cpu_context.h. */
RK_DEVICE void *rk_stage_(rk_context *rk_cx) {
    return rk_cx->outbox + rk_cx->outbox_used + sizeof(rk_outgoing);
}

RK_DEVICE rk_u32 rk_post_(rk_context *rk_cx, rk_u32 kind, rk_address to, rk_u32 type, rk_u32 size, rk_u32 priority,
                          rk_u64 correlation, rk_u64 deadline) {
    rk_u32 need = (rk_u32)sizeof(rk_outgoing) + ((size + 15u) & ~15u);
    if (rk_cx->outbox_limit - rk_cx->outbox_used < need) {
        rk_cx->refused++;
        return 1u;
    }
    if (rk_lane() == 0u) {
        rk_outgoing *entry = (rk_outgoing *)(rk_cx->outbox + rk_cx->outbox_used);
        entry->to = to;
        entry->correlation = correlation;
        entry->deadline = deadline;
        entry->kind = kind;
        entry->type = type;
        entry->size = size;
        entry->priority = priority;
    }
    rk_cx->outbox_used += need;
    return 0u;
}

RK_DEVICE rk_address rk_peer_(rk_context *rk_cx, rk_u32 index) {
    return (rk_cx->self & ~(rk_address)0xffffffffu) | (index & 0xfffffu);
}

#define RK_ON(A_, M_) RK_DEVICE void A_##_on_##M_(RK_PARAMS(A_), RK_UNUSED const M_ *rk_in)

#define RK_HANDLES(A_, M_)                                                                                             \
    case M_##_rk_type:                                                                                                 \
        A_##_on_##M_(rk_cx, (struct A_ *)rk_cx->state, (const M_ *)rk_cx->message);                                    \
        break;

/* What a pump calls with a context set up. */
#define RK_ACTOR(A_, handlers)                                                                                         \
    RK_DEVICE void A_##_rk_dispatch(rk_context *rk_cx) {                                                               \
        switch (rk_cx->type) {                                                                                         \
            handlers                                                                                                   \
        default:                                                                                                       \
            break;                                                                                                     \
        }                                                                                                              \
    }

#endif
