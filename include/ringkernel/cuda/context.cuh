/* The CUDA half of the dialect: a handler runs in every thread of a block, its lanes.
 *
 * A thread has a context of its own, in registers once it is all inlined: all lanes make the same calls with the same
 * arguments, so their copies stay equal and posting needs no barrier. Only the outbox is memory, of which the beginning
 * may lie in shared memory: an entry that does not fit there, and all after it, go to the part behind it. A handler's first
 * post, if it is small and the pump lends it registers, stays in those until another follows it: most are the only one.
 */
#ifndef RINGKERNEL_CUDA_CONTEXT_CUH
#define RINGKERNEL_CUDA_CONTEXT_CUH

#define RK_UNUSED __attribute__((unused))
#define RK_DEVICE static __device__ __forceinline__ __attribute__((unused))

#define RK_LOAD_(place) (*(const volatile uint64_t *)&(place))
/* One lane's value, for all: they look at what the host changes, and must go the same way. */
RK_DEVICE rk_u64 rk_uniform_(rk_u64 value) {
#if defined(RK_LANES) && RK_LANES == 1
    return value;
#elif defined(RK_LANES) && RK_LANES <= 32
    return __shfl_sync(RK_LANES == 32 ? 0xffffffffu : (1u << RK_LANES % 32) - 1u, (unsigned long long)value, 0);
#else
    __shared__ rk_u64 word;
    if (threadIdx.x == 0u) word = value;
    __syncthreads();
    value = word;
    __syncthreads();
    return value;
#endif
}
/* A buffer was found. Acquire: what others wrote to it before they sent the message, for which the first-level cache, where
 * our older reads may still lie, is emptied. */
#define RK_FOUND_BUFFER_()                                                                                             \
    do {                                                                                                               \
        asm volatile("fence.acq_rel.sys;" ::: "memory");                                                               \
        static_cast<rk_lane_context *>(rk_cx)->opened = 1u;                                                            \
    } while (0)

#if defined(RK_LANES) && RK_LANES == 1
#define rk_lane() 0u
#else
#define rk_lane() threadIdx.x
#endif
#if defined(RK_LANES) /* by the library: a block has at least a warp, of which these run handlers */
#define rk_lanes() ((rk_u32)RK_LANES)
#if RK_LANES == 1
#define rk_barrier() ((void)0)
#elif RK_LANES > 32
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

/* Entries whose offsets the pump finds in a table. */
#define RK_INDEXED 64u

/* Payloads up to this size fit in a slot. */
#define RK_INLINE 32u

/* A post that stays in registers, and has no place in the outbox yet. */
struct rk_first {
    rk_u64 to, correlation, deadline;
    rk_u32 kind, type, size, priority;
};
/* That there is one; and that it is a mere reply: its type and size. */
#define RK_KEPT 0x80000000u
#define RK_KEPT_REPLY 0x40000000u

/* What a handler's thread knows. */
struct rk_lane_context : rk_context {
    rk_u8 *front;     /* the outbox's first bytes */
    rk_u32 front_size; /* how many; 0: all of it is at `outbox` */
    rk_u32 front_end; /* where the entries in the front end, once there is one behind it */
    rk_u32 filled;    /* bytes of this handler's posts */
    rk_u32 posts;     /* entries in the outbox */
    rk_u32 kinds;     /* theirs, or-ed */
    rk_u32 origin;    /* which message of the batch is being handled */
    rk_u32 opened;    /* 1: the handler found a buffer */
    rk_u32 *offsets;   /* of the first RK_INDEXED entries */
    rk_u32 readable;  /* bytes of the payload that can be read, whatever its size */
    rk_u8 *own;       /* RK_INLINE bytes of registers for the first post's payload, or 0 */
    rk_first first;
    rk_u32 kept;      /* 0, or RK_KEPT and so on: until there is another post */
    bool posted;      /* the first was made, or refused */

    __device__ __forceinline__ rk_lane_context() {}
    /* All of the outbox in one piece, and not indexed. */
    __device__ __forceinline__ explicit rk_lane_context(const rk_context &plain)
        : rk_context(plain), front(0), front_size(0), front_end(0), filled(0), posts(RK_INDEXED), kinds(0), origin(0), opened(0), offsets(0), readable(~0u), own(0), kept(0), posted(false) {}

    /* Bytes of an entry with so large a payload. */
    static __device__ __forceinline__ rk_u32 entry(rk_u32 size) {
        return (rk_u32)sizeof(rk_outgoing) + ((size + 15u) & ~15u);
    }
    /* Offset of the next entry. */
    __device__ __forceinline__ rk_u32 place(rk_u32 size) const {
        return outbox_used < front_size && outbox_used + entry(size) > front_size ? front_size : outbox_used;
    }
    __device__ __forceinline__ rk_u8 *at(rk_u32 offset) const {
        return (offset < front_size ? front : outbox) + offset;
    }
    /* Whether the next post, with so large a payload, stays in registers. */
    __device__ __forceinline__ bool keeps(rk_u32 size) const {
        return own != 0 && !posted && size <= RK_INLINE;
    }

    /* An entry, but for its payload. */
    __device__ __forceinline__ void add(const rk_first &post) {
        const rk_u32 need = entry(post.size), to = place(post.size);
        if (to != outbox_used) {
            front_end = outbox_used;
        }
        if (rk_lane() == 0u) {
            /* As rk_outgoing has it, in three stores. */
            ulonglong2 *head = (ulonglong2 *)at(to);
            head[0] = make_ulonglong2(post.to, post.correlation);
            head[1] = make_ulonglong2(post.deadline, post.kind | (rk_u64)post.type << 32);
            head[2] = make_ulonglong2(post.size | (rk_u64)post.priority << 32, origin);
            if (posts < RK_INDEXED) {
                offsets[posts] = to;
            }
        }
        posts++;
        kinds |= post.kind;
        outbox_used = to + need;
    }

    /* Puts what was kept into the outbox, for it is followed by another. */
    __device__ __forceinline__ void let_go() {
        if (kept == 0u) return;
        ulonglong2 *payload = (ulonglong2 *)(at(place(first.size)) + sizeof(rk_outgoing));
        const rk_u64 *from = (const rk_u64 *)__builtin_assume_aligned(own, 16);
        /* No further than the entry goes. */
        if (first.size > 0u) payload[0] = make_ulonglong2(from[0], from[1]);
        if (first.size > 16u) payload[1] = make_ulonglong2(from[2], from[3]);
        add(first);
        kept = 0u;
    }
};

/* The pump leaves room for one largest message past the limit, so staging never checks. */
RK_DEVICE void *rk_stage_(rk_context *rk_cx, rk_u32 size) {
    rk_lane_context *cx = static_cast<rk_lane_context *>(rk_cx);
    if (cx->keeps(size)) return __builtin_assume_aligned(cx->own, 16);
    cx->let_go();
    return __builtin_assume_aligned(cx->at(cx->place(size)) + sizeof(rk_outgoing), 16);
}

RK_DEVICE rk_u32 rk_post_(rk_context *rk_cx, rk_u32 kind, rk_address to, rk_u32 type, rk_u32 size, rk_u32 priority,
                          rk_u64 correlation, rk_u64 deadline) {
    rk_lane_context *cx = static_cast<rk_lane_context *>(rk_cx);
    const rk_u32 need = rk_lane_context::entry(size);
    const rk_first post = {to, correlation, deadline, kind, type, size, priority};
    if (cx->keeps(size)) {
        /* Without a branch: what hardly ever happens is not to cost one. */
        const bool fits = cx->outbox_limit >= need;
        const rk_u32 reply = kind == RK_POST_REPLY && priority == 0 ? RK_KEPT_REPLY | type | size << 16 : 0;
        cx->first = post, cx->kept = fits ? RK_KEPT | reply : 0u;
        cx->filled = fits ? need : 0u, cx->refused += fits ? 0u : 1u;
        cx->posted = true;
        return fits ? 0u : 1u;
    }
    cx->posted = true;
    if (cx->outbox_limit - cx->filled < need) {
        cx->refused++;
        return 1u;
    }
    cx->let_go();
    cx->add(post);
    cx->filled += need;
    return 0u;
}

RK_DEVICE rk_address rk_peer_(rk_context *rk_cx, rk_u32 index) {
    return (rk_cx->self & ~(rk_address)0xffffffffu) | (index & 0xfffffu);
}

#define RK_ON(A_, M_) RK_DEVICE void A_##_on_##M_(RK_PARAMS(A_), RK_UNUSED const M_ *RK_RESTRICT rk_in)

/* A payload as a handler gets it. What one lane alone handles, and is small, is copied first: it goes into registers, all of
 * it with one wait, where each word would be waited for in turn because the compiler must think that what is written to the
 * outbox changes it. */
template <class M, bool copied> struct rk_payload {
    M value;
    __device__ __forceinline__ explicit rk_payload(const void *at) : value(*(const M *)__builtin_assume_aligned(at, 16)) {}
    __device__ __forceinline__ const M *get() const { return &value; }
};
template <class M> struct rk_payload<M, false> {
    const M *at;
    __device__ __forceinline__ explicit rk_payload(const void *at_) : at((const M *)__builtin_assume_aligned(at_, 16)) {}
    __device__ __forceinline__ const M *get() const { return at; }
};
#if defined(RK_LANES) && RK_LANES == 1
#define RK_IS_COPIED_(M_) (sizeof(M_) <= 64)
#else
#define RK_IS_COPIED_(M_) false
#endif

/* What becomes of a list of handlers is for `rk_each` to say: it is one of these two. */
struct rk_dispatcher {
    rk_u32 type, size, readable;
    template <class F> __device__ __forceinline__ bool operator()(rk_u32 handled, rk_u32 declared, const F &run) const {
        if (handled != type || size > declared || declared > readable) return false;
        run();
        return true;
    }
};
struct rk_sizer {
    rk_u32 type;
    template <class F> __device__ __forceinline__ bool operator()(rk_u32 handled, rk_u32, const F &) const {
        return handled == type;
    }
};

#define RK_HANDLES(A_, M_)                                                                                             \
    if (rk_each(M_##_rk_type, M_##_rk_size, [&]() {                                                                    \
            const rk_payload<M_, RK_IS_COPIED_(M_)> rk_payload_(rk_cx->message);                                       \
            A_##_on_##M_(rk_cx, (struct A_ *)rk_cx->state, rk_payload_.get());                                         \
        }))                                                                                                            \
        return M_##_rk_size;

/* What a pump calls with a context set up, ~0 if there is no handler for that type and size; and the size of a type's payload,
 * ~0 for one that is not handled. */
#define RK_ACTOR(A_, handlers)                                                                                         \
    RK_DEVICE rk_u32 A_##_rk_dispatch(rk_context *rk_cx) {                                                             \
        const rk_dispatcher rk_each = {rk_cx->type, rk_cx->size, static_cast<rk_lane_context *>(rk_cx)->readable};     \
        handlers return ~0u;                                                                                           \
    }                                                                                                                  \
    RK_DEVICE rk_u32 A_##_rk_declared(rk_u32 type) {                                                                   \
        rk_context *const rk_cx = 0; /* nothing is run */                                                              \
        const rk_sizer rk_each = {type};                                                                               \
        handlers return ~0u;                                                                                           \
    }

#endif
