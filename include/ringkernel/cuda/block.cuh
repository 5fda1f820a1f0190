/* What the threads of a block share while they are on the device, and the small things that everything needs. */
#ifndef RINGKERNEL_CUDA_BLOCK_CUH
#define RINGKERNEL_CUDA_BLOCK_CUH

#include <ringkernel/cuda/memory.cuh>
#include <ringkernel/device/layout.h>

#define RK_JOIN2(a, b) a##b
#define RK_JOIN(a, b) RK_JOIN2(a, b)
/* Of the actor type that this is compiled for. */
#define RK_DISPATCH RK_JOIN(RK_PUMP_ACTOR, _rk_dispatch)
#define RK_DECLARED RK_JOIN(RK_PUMP_ACTOR, _rk_declared)

/* Payloads up to this size are handled in batches; larger ones alone. */
#define RK_MEDIUM 128u

/* The beginning of a message out of its slot, which takes two loads. */
struct alignas(16) rk_item_head {
    rk_u32 actor, d1;
    rk_u64 correlation;
    rk_u64 time;
    rk_u32 size; /* of the payload */
    rk_u32 unused;
};

/* All of it. Sender and deadline, as far as there are any, lie right before the payload. */
struct alignas(16) rk_item : rk_item_head {
    rk_u64 extra[2];
    rk_u64 payload[RK_MEDIUM / 8];

    __device__ __forceinline__ rk_u32 flags() const { return d1 >> 24; }
    __device__ __forceinline__ rk_u32 type() const { return d1 & 0xffff; }
    __device__ __forceinline__ rk_u32 level() const { return d1 >> 22 & 3; }
    __device__ __forceinline__ rk_u32 call() const { return flags() & RK_F_CALL; }
    __device__ __forceinline__ rk_u64 sender() const {
        return flags() & RK_F_SENDER ? extra[flags() & RK_F_DEADLINE ? 0 : 1] : 0;
    }
    __device__ __forceinline__ rk_u64 deadline() const { return flags() & RK_F_DEADLINE ? extra[1] : 0; }
};

#define RK_ITEM_PAYLOAD 48u

/* Where the tail of a ring between actors probably is: a first guess that is right saves a look at it. `head` may be old,
 * but was true. */
struct rk_guess {
    rk_u64 ring, tail, head;
};

/* What a handler is called with, beside its item; and what came of it. */
struct rk_call {
    rk_u64 message, time;
    rk_u32 number; /* which item */
    rk_u32 size;   /* of the payload */
    rk_u32 readable; /* bytes of it that a handler may read: one that declares more is not run */
    rk_u32 used, front_end, posts; /* of the outbox */
    rk_u32 kinds;                  /* of those posts: all their RK_POST_... or-ed */
    rk_u32 result, refused;
    rk_i32 code;
};

/* `result`: the actor has no handler for the message, or one that may read more than is there. */
#define RK_RESULT_UNHANDLED 0x80000000u

/* Why the hot loop was left: to leave the device, or for work that is out of line. Bits. */
#define RK_TO_LEAVE 1u
#define RK_TO_FETCH 2u /* there is something special about the next message of `todo.ring` */
#define RK_TO_POST 4u  /* posts of the last batch wait in the outbox */
#define RK_TO_END 8u   /* the last handler failed or stopped its actor */
#define RK_TO_RECORD 16u /* the last handler's time was taken */
/* Its message had been fetched: the payload is where `call` says, not in its item. */
#define RK_FETCHED 32u

struct rk_todo {
    rk_u32 ring, number; /* of the message to fetch, or of the last that was handled: its item */
    rk_u32 result;
    rk_i32 code;
};

/* A small reply to the host. */
struct alignas(16) rk_reply_kept {
    rk_u64 payload[4];
    rk_u32 code, item; /* type (16), size (6); and which item is answered */
};

/* Where the second warp is to look, and what it has found: scout.cuh. */
struct rk_scouted {
    rk_u64 slots, position;
    rk_u32 mask, shift, ring, limit;
    rk_u32 count;
    rk_item items[RK_LANES == 1 ? RK_BATCH : 1];
};

struct rk_block {
    rk_dev_worker w;
    rk_dev_kernel k;
    rk_u64 published[RK_RINGS];
    rk_u64 waits;
    rk_item items[RK_BATCH + 1]; /* one is read ahead */
    rk_guess guesses[RK_BATCH]; /* of the thread that reserves for a group of four: no two write one */
    rk_u32 index[RK_INDEXED];
    rk_call call; /* for the other warps; and a message that was fetched for the hot loop */
    rk_todo todo;
    rk_dev_kernel *kernel; /* for what changes; the rest is in `k` */
    rk_u64 launch, until;
    rk_u32 mode, leave;
    rk_u32 fetched; /* `call` is to be made first */
    rk_u32 measured; /* and its time is to be taken */
    rk_u32 sampled;  /* something was since we came */
    rk_u64 waited;   /* how long that message had */
    rk_u64 began, ended; /* its handler, in ticks */
    rk_u32 blocked; /* posts wait: in a circle of waiting workers one message from an actor is taken all the same */
    rk_scouted scouted;
    rk_reply_kept replies[RK_LANES == 1 ? RK_BATCH : 1]; /* to the host, about to be sent */
    /* With room to read a whole inline payload at its end. */
    alignas(16) rk_u8 front[RK_FRONT + 32];
};

static __shared__ rk_block rk_s;

/* Of warp 0, the pump. */
#define rk_thread() threadIdx.x

/* Where states that are kept close lie in the dynamic shared memory: behind the scratch memory. */
#define RK_NEAR_AT ((RK_SCRATCH_BYTES + 63u) & ~63u)

/* What handlers are called with that is the same for all messages, worked out once. */
struct rk_place {
    rk_u64 base;    /* of `rk_s`, for generic accesses */
    rk_u64 scratch;
    rk_u64 states;  /* of actor 0, where the states of our actors are while we are on the device */
    rk_u64 outbox;
    rk_u32 outbox_limit, actors;
};

RK_PUMP_FN rk_place rk_place_of(const rk_dev_kernel &k, void *scratch) {
    rk_place at;
    at.base = (rk_u64)&rk_s, at.scratch = (rk_u64)scratch;
    at.states = k.near ? at.scratch + RK_NEAR_AT - (rk_u64)(blockIdx.x * k.block) * k.stride : k.states;
    at.outbox = ((const rk_dev_worker *)k.workers)[blockIdx.x].outbox, at.outbox_limit = k.outbox_limit;
    at.actors = k.actors;
    /* Kept in registers: the compiler would ask for them again and again, which takes as long as shared memory does. */
    asm volatile("" : "+l"(at.base), "+l"(at.scratch), "+l"(at.states), "+l"(at.outbox), "+r"(at.outbox_limit), "+r"(at.actors));
    return at;
}

/* What the hot loop has in registers: the same in all threads of warp 0, but for the ring of each. While it runs, what is
 * in `rk_s.w` is older; while it does not, that is all there is. */
struct rk_pump {
    rk_u32 here, thread; /* `rk_s` for shared accesses; kept like the rest of the place */
    rk_place at;
    /* The ring of which this thread looks at a word: thread 4 r + w at word w of ring r. */
    rk_u64 slots, position, head;
    rk_u32 mask, shift;
    rk_u32 published, due; /* low half of the position that was last given back; after how many messages the next is */
    rk_u32 turn;           /* counts messages, for fairness */
    rk_u32 ahead;          /* of the next whose time is taken */
    bool blocked, irregular;
    rk_u32 out_mask, out_shift;
    rk_u64 out_slots, out_tail, out_head;
    rk_u64 clock;
    rk_u32 handled, sent_host, sent_actors; /* since it was filled */
};

/* The hot loop's `rk_s`. */
RK_PUMP_FN rk_block &rk_here(const rk_pump &p) {
    return *(rk_block *)__cvta_shared_to_generic(p.here);
}

RK_PUMP_FN rk_pump rk_fill(void *scratch) {
    const rk_dev_worker &w = rk_s.w;
    const rk_u32 number = rk_thread() >> 2;
    const rk_dev_ring &ring = w.rings[number];
    rk_pump p;
    p.here = (rk_u32)__cvta_generic_to_shared(&rk_s), p.thread = rk_thread();
    asm volatile("" : "+r"(p.here), "+r"(p.thread));
    p.at = rk_place_of(rk_s.k, scratch);
    p.blocked = rk_s.blocked, p.irregular = w.irregular;
    p.slots = ring.slots + (rk_thread() & 3) * 16, p.position = w.position[number], p.head = ring.head;
    p.mask = (1u << ring.shift) - 1, p.shift = ring.shift;
    p.published = (rk_u32)rk_s.published[number];
    p.due = p.mask < 4 ? 1 : p.mask >= 127 ? 32 : (p.mask + 1) / 4;
    p.turn = w.turn, p.ahead = w.sample_ahead;
    p.out_mask = (1u << w.outbound.shift) - 1, p.out_shift = w.outbound.shift, p.out_slots = w.outbound.slots;
    p.out_tail = w.out_tail, p.out_head = w.out_head;
    p.clock = w.clock;
    p.handled = p.sent_host = p.sent_actors = 0;
    return p;
}

RK_PUMP_FN void rk_spill(const rk_pump &p) {
    __syncwarp();
    rk_dev_worker &w = rk_s.w;
    if (rk_thread() == 0) {
        w.clock = p.clock, w.out_tail = p.out_tail, w.out_head = p.out_head;
        w.turn = p.turn, w.sample_ahead = p.ahead;
        w.consumed += p.handled, w.counts[RK_C_HANDLED] += p.handled;
        w.counts[RK_C_SENT_HOST] += p.sent_host, w.counts[RK_C_SENT_ACTORS] += p.sent_actors;
    }
    if ((rk_thread() & 3) == 0) {
        const rk_u32 number = rk_thread() >> 2;
        w.position[number] = p.position;
        rk_s.published[number] = p.position - ((rk_u32)p.position - p.published);
    }
    __syncwarp();
}

/* As src/wall.rs: ns * 2^24 / 10^9, then 8 bits for the logical count. */
RK_PUMP_FN rk_u64 rk_units(rk_u64 ns) {
    return (__umul64hi(ns, 9903520314283042199ull) >> 5) << 8;
}

RK_PUMP_FN rk_u64 rk_physical() {
    return rk_units(rk_timer() + (rk_u64)rk_s.w.clock_offset);
}

/* A stamp of the clock in shared memory. */
RK_PUMP_FN rk_u64 rk_tick() {
    rk_u64 time = rk_s.w.clock + 1;
    __syncwarp();
    if (rk_thread() == 0) rk_s.w.clock = time;
    __syncwarp();
    return time;
}

RK_PUMP_FN void rk_add(int count, rk_u64 n) {
    if (rk_thread() == 0) rk_s.w.counts[count] += n;
}

/* Gives the slots before a position back, by one thread. Relaxed: our reads of them and of their bodies are over, since we
 * acted on what they gave. */
RK_PUMP_FN void rk_publish(rk_u64 head, rk_u64 position) {
    rk_poke(head, position);
}

#endif
