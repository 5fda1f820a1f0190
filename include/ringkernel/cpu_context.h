/* The CPU half of the dialect: a handler is an ordinary function on a worker thread, with one lane. */
#ifndef RINGKERNEL_CPU_CONTEXT_H
#define RINGKERNEL_CPU_CONTEXT_H

#include <math.h>

/* Unused where a program includes a file of actors only for its messages. */
#if defined(__GNUC__)
#define RK_UNUSED __attribute__((unused))
#define RK_DEVICE static inline __attribute__((unused))
#define RK_DATA static const __attribute__((unused))
#else
#define RK_UNUSED
#define RK_DEVICE static inline
#define RK_DATA static const
#endif

/* Of what another thread may be writing. */
#if defined(__GNUC__)
#define RK_LOAD_(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
#else
#define RK_LOAD_(place) (*(const volatile uint64_t *)&(place))
#endif
#define RK_FOUND_BUFFER_() ((void)0)
#define rk_uniform_(value) (value)

#define rk_lane() 0u
#define rk_lanes() 1u
#define rk_barrier() ((void)0)
#define rk_count(k, n) ((void)(rk_cx->counters[(k) % RK_COUNTERS] += (n)))

/* The pump leaves room for one largest message past outbox_limit, so staging never checks. */
RK_DEVICE void *rk_stage_(rk_context *rk_cx, rk_u32 size) {
    (void)size;
    return rk_cx->outbox + rk_cx->outbox_used + sizeof(rk_outgoing);
}

RK_DEVICE rk_u32 rk_post_(rk_context *rk_cx, rk_u32 kind, rk_address to, rk_u32 type, rk_u32 size, rk_u32 priority,
                          rk_u64 correlation, rk_u64 deadline) {
    rk_u32 need = (rk_u32)sizeof(rk_outgoing) + ((size + 15u) & ~15u);
    if (rk_cx->outbox_limit - rk_cx->outbox_used < need) {
        rk_cx->refused++;
        return 1u;
    }
    rk_outgoing *entry = (rk_outgoing *)(void *)(rk_cx->outbox + rk_cx->outbox_used);
    entry->to = to;
    entry->correlation = correlation;
    entry->deadline = deadline;
    entry->kind = kind;
    entry->type = type;
    entry->size = size;
    entry->priority = priority;
    rk_cx->outbox_used += need;
    return 0u;
}

/* An address is kernel (high half), then generation and index of the actor: see src/address.rs. Actor generations of
 * peers are those of launch, so a peer that was stopped and replaced is reached only through an address it gave. */
RK_DEVICE rk_address rk_peer_(rk_context *rk_cx, rk_u32 index) {
    return (rk_cx->self & ~(rk_address)0xffffffffu) | (index & 0xfffffu);
}

#define RK_ON(A_, M_)                                                                                          \
    RK_DEVICE void A_##_on_##M_(RK_PARAMS(A_), RK_UNUSED const M_ *RK_RESTRICT rk_in);                                       \
    RK_DEVICE void A_##_run_##M_(rk_context *rk_cx) {                                                          \
        A_##_on_##M_(rk_cx, (struct A_ *)rk_cx->state, (const M_ *)rk_cx->message);                           \
    }                                                                                                                  \
    RK_DEVICE void A_##_on_##M_(RK_PARAMS(A_), RK_UNUSED const M_ *RK_RESTRICT rk_in)

#define RK_HANDLES(actor, message) {RK_TYPE(message), RK_SIZE(message), actor##_run_##message},

/* The module's C file, which rkc writes, gathers these. */
#define RK_ACTOR(actor, handlers) RK_DATA rk_handler actor##_rk_handlers[] = {handlers};

#endif
