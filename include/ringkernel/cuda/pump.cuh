/* The pump on CUDA: one block is one worker. For a bounded quantum it takes messages from the rings, finds the actor,
 * runs its handler with all lanes, and sends what it produced; then it leaves, with all state in device memory, and is
 * launched again while there is work. src/backend/cuda/layout.rs is the other half of the structs, src/ring/mod.rs says
 * how rings work, and src/backend/cpu/{worker,courier,outbox}.rs is the same machine on the CPU.
 *
 * Warp 0 is the pump: its 32 threads take every decision together, on equal values; other warps wait for handlers to run.
 * Compiled after the user's actors, with RK_PUMP_ACTOR the actor's name and RK_LANES the threads of a worker.
 */
#ifndef RINGKERNEL_CUDA_PUMP_CUH
#define RINGKERNEL_CUDA_PUMP_CUH

#include <ringkernel/device/layout.h>

#define RK_WARP 0xffffffffu
/* Rounds between looks at the command word and at the time. */
#define RK_BEATS 16u
/* Rounds with nothing to do after which a worker that is asked to leave when idle does. */
#define RK_IDLE 16u

#define RK_PUMP_FN static __device__ __forceinline__

struct rk_word {
    rk_u64 a, b;
};

/* One 16-byte access, which the words of slots rely on. Relaxed at system scope: other parties write (read) it, L1 must
 * not answer, and no order is asked for: a word says itself whether it is there. PTX has 16-byte scalars since 8.3; before,
 * a vector access of an aligned 16 bytes, which the hardware performs as one. */
RK_PUMP_FN rk_word rk_load_word(rk_u64 at) {
    rk_word w;
#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1204
    asm volatile("{ .reg .b128 t; ld.relaxed.sys.global.b128 t, [%2]; mov.b128 {%0, %1}, t; }"
                 : "=l"(w.a), "=l"(w.b) : "l"(at) : "memory");
#else
    asm volatile("ld.volatile.global.v2.u64 {%0, %1}, [%2];" : "=l"(w.a), "=l"(w.b) : "l"(at) : "memory");
#endif
    return w;
}

RK_PUMP_FN void rk_store_word(rk_u64 at, rk_u64 a, rk_u64 b) {
#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1204
    asm volatile("{ .reg .b128 t; mov.b128 t, {%1, %2}; st.relaxed.sys.global.b128 [%0], t; }"
                 :: "l"(at), "l"(a), "l"(b) : "memory");
#else
    asm volatile("st.volatile.global.v2.u64 [%0], {%1, %2};" :: "l"(at), "l"(a), "l"(b) : "memory");
#endif
}

/* Words that others write or read: relaxed, so that they are read where they are. */
RK_PUMP_FN rk_u64 rk_peek(rk_u64 at) {
    rk_u64 v;
    asm volatile("ld.relaxed.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(at) : "memory");
    return v;
}

RK_PUMP_FN void rk_poke(rk_u64 at, rk_u64 v) {
    asm volatile("st.relaxed.sys.global.u64 [%0], %1;" :: "l"(at), "l"(v) : "memory");
}

/* Acquire: what the other side did before it wrote this is seen by what follows: a consumer's reads of a slot are over. */
RK_PUMP_FN rk_u64 rk_acquire(rk_u64 at) {
    rk_u64 v;
    asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(at) : "memory");
    return v;
}

RK_PUMP_FN rk_u64 rk_timer() {
    rk_u64 ns;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns));
    return ns;
}

RK_PUMP_FN rk_u64 rk_shfl(rk_u64 value, rk_u32 lane) {
    return __shfl_sync(RK_WARP, (unsigned long long)value, (int)lane);
}

/* What all threads of a block share. */
struct rk_block {
    rk_dev_worker w;
    rk_dev_kernel k;
    rk_u64 published[RK_RINGS];
    rk_u64 waits;
    /* The call that other lanes are to make. */
    rk_u64 state, message, self, sender, correlation, time;
    rk_u32 type, size, index, priority, leave;
    /* What came of it. */
    rk_u32 used, result, refused;
    rk_i32 code;
    alignas(16) rk_u8 payload[64];
};

/* The pump's view of everything, the same in all threads of warp 0. */
struct rk_pump {
    rk_block &s;
    rk_dev_kernel *kernel; /* for what changes; the rest is in s.k */
    rk_u32 me, lane, mode;
    rk_u64 launch, until;
};

RK_PUMP_FN rk_u64 rk_physical(const rk_pump &p) {
    /* As src/wall.rs: ns * 2^24 / 10^9, then 8 bits for the logical count. */
    rk_u64 ns = rk_timer() + (rk_u64)p.s.w.clock_offset;
    return (__umul64hi(ns, 9903520314283042199ull) >> 5) << 8;
}

RK_PUMP_FN rk_u64 rk_tick(const rk_pump &p) {
    rk_u64 time = p.s.w.clock + 1;
    __syncwarp();
    if (p.lane == 0) p.s.w.clock = time;
    __syncwarp();
    return time;
}

RK_PUMP_FN void rk_add(const rk_pump &p, int count, rk_u64 n) {
    if (p.lane == 0) p.s.w.counts[count] += n;
}

RK_PUMP_FN void rk_copy(rk_u64 to, const rk_u8 *from, rk_u32 size, rk_u32 lane) {
    for (rk_u32 at = lane * 16; at < size; at += 512) *(uint4 *)(to + at) = *(const uint4 *)(from + at);
}

/* Writes a message to a position of a ring that the caller owns. */
RK_PUMP_FN void rk_write(const rk_pump &p, rk_u64 slots, rk_u64 bodies, rk_u32 body, rk_u32 shift, rk_u64 position,
                         const rk_dev_post &post, rk_u64 time, rk_u64 deadline, const rk_u8 *payload) {
    rk_u64 index = position & ((1ull << shift) - 1);
    rk_u32 room = 32 - (post.sender ? 8 : 0) - (deadline ? 8 : 0);
    bool fits = post.size <= room;
    rk_u32 bits = (post.flags & (RK_F_CALL | RK_F_REPLY)) | (post.sender ? RK_F_SENDER : 0) |
                  (deadline ? RK_F_DEADLINE : 0) | (fits ? 0 : RK_F_BODY);
    rk_u64 v[4] = {post.size, 0, 0, 0};
    if (fits) {
        for (rk_u32 i = 0; i < 4; i++) {
            rk_u32 left = post.size > 8 * i ? post.size - 8 * i : 0;
            v[i] = left ? ((const rk_u64 *)payload)[i] : 0;
            if (left && left < 8) v[i] &= (1ull << (8 * left)) - 1;
        }
    } else {
        rk_copy(bodies + index * body, payload, post.size, p.lane);
        /* Release: whoever sees the stamps sees the body. By every lane, for its part, at system scope: the reader may be
         * the host. */
        __threadfence_system();
        __syncwarp();
    }
    rk_u64 area[4];
    if (post.sender && deadline) {
        area[0] = post.sender, area[1] = deadline, area[2] = v[0], area[3] = v[1];
    } else if (post.sender || deadline) {
        area[0] = post.sender | deadline, area[1] = v[0], area[2] = v[1], area[3] = v[2];
    } else {
        area[0] = v[0], area[1] = v[1], area[2] = v[2], area[3] = v[3];
    }
    rk_u32 d1 = post.type | (fits ? post.size : 0) << 16 | post.level << 22 | bits << 24;
    rk_u64 stamp = (rk_u64)(rk_u16)((position >> shift) + 1) << 48;
    rk_u64 c = post.correlation;
    rk_u32 i = p.lane & 3;
    rk_u64 a = i == 0 ? (rk_u64)post.actor | (rk_u64)d1 << 32
             : i == 1 ? c >> 32 | area[0] << 32
             : i == 2 ? area[1] : area[2] >> 32 | area[3] << 32;
    rk_u64 b = i == 0 ? (rk_u32)c : i == 1 ? area[0] >> 32 : i == 2 ? (rk_u32)area[2] : area[3] >> 32;
    b |= (time >> (16 * i) & 0xffff) << 32 | stamp;
    if (p.lane < 4) rk_store_word(slots + index * 64 + i * 16, a, b);
}

/* Has a dead letter or event wait for the host, which reads letters as long as we are here: there will be room. */
RK_PUMP_FN void rk_letter(const rk_pump &p, rk_u32 klass, rk_u64 from, rk_u64 to, rk_u64 correlation, rk_u64 time,
                          rk_u32 type, rk_i32 reason, rk_u32 level, rk_u32 call, const rk_u8 *payload, rk_u32 size) {
    rk_u64 ticket = 0;
    if (p.lane == 0) {
        unsigned long long *tail = (unsigned long long *)&p.kernel->letter_tail;
        ticket = rk_peek((rk_u64)tail);
        for (;;) {
            if (ticket - rk_acquire(p.s.k.command + 64) > p.s.k.letter_mask) {
                ticket = rk_peek((rk_u64)tail);
                continue;
            }
            rk_u64 now = atomicCAS(tail, (unsigned long long)ticket, (unsigned long long)ticket + 1);
            if (now == ticket) break;
            ticket = now;
        }
    }
    ticket = rk_shfl(ticket, 0);
    rk_dev_letter *letter =
        (rk_dev_letter *)(p.s.k.letters + (ticket & p.s.k.letter_mask) * (rk_u64)p.s.k.letter_stride);
    if (p.lane == 0) {
        letter->from = from, letter->to = to, letter->correlation = correlation, letter->time = time;
        letter->worker = p.me, letter->klass = klass, letter->type = type, letter->level = level;
        letter->call = call, letter->size = size, letter->reason = reason;
    }
    rk_copy((rk_u64)(letter + 1), payload, size, p.lane);
    /* Release, by every lane for its part. */
    __threadfence_system();
    __syncwarp();
    if (p.lane == 0) rk_poke((rk_u64)&letter->stamp, ticket + 1);
    __syncwarp();
}

RK_PUMP_FN void rk_undeliverable(const rk_pump &p, const rk_dev_post &post, const rk_u8 *payload, rk_i32 reason) {
    rk_add(p, RK_C_UNDELIVERABLE, 1);
    rk_letter(p, RK_CLASS_DEAD, post.sender, post.to, post.correlation, rk_tick(p), post.type, reason, post.level,
              post.flags & RK_F_CALL, payload, post.size);
}

RK_PUMP_FN const rk_dev_kernel *rk_find_kernel(const rk_pump &p, rk_u32 key) {
    if (key == p.s.k.key) return p.kernel;
    rk_word found = rk_load_word(p.s.k.directory + 16ull * (key & 0xfff));
    return found.a == key ? (const rk_dev_kernel *)found.b : (const rk_dev_kernel *)0;
}

/* Declared size of a type that the kernel's actors handle, or ~0. The table is src/kernel/types.rs's. */
RK_PUMP_FN rk_u32 rk_declared(const rk_dev_kernel &k, rk_u32 type) {
    const uint2 *types = (const uint2 *)k.types;
    for (rk_u32 i = 0, at = (type * 0x9e3779b9u) >> k.type_shift; i <= k.type_mask; i++, at = (at + 1) & k.type_mask) {
        uint2 entry = types[at];
        if (entry.x == type) return entry.y;
        if (entry.x == 0) break;
    }
    return ~0u;
}

/* Into our ring to the host. 0, or what we wait for. */
RK_PUMP_FN rk_u64 rk_hand_over(const rk_pump &p, const rk_dev_post &post, const rk_u8 *payload) {
    const rk_dev_ring &ring = p.s.w.outbound;
    rk_u64 tail = p.s.w.out_tail;
    if (tail - p.s.w.out_head >> ring.shift) {
        /* Over the bus, so only when the ring seems full. Every lane acquires: all of them may write a body. */
        rk_u64 head = rk_shfl(rk_acquire(ring.head), 0);
        if (p.lane == 0) p.s.w.out_head = head;
        __syncwarp();
        if (tail - head >> ring.shift) return RK_WAIT_HOST;
    }
    rk_write(p, ring.slots, ring.bodies, ring.body, ring.shift, tail, post, rk_tick(p), 0, payload);
    if (p.lane == 0) p.s.w.out_tail = tail + 1;
    rk_add(p, RK_C_SENT_HOST, 1);
    __syncwarp();
    return 0;
}

/* Into the ring of the receiver's worker. 0, or what we wait for. */
RK_PUMP_FN rk_u64 rk_offer(const rk_pump &p, const rk_dev_post &post, const rk_u8 *payload) {
    rk_u32 key = (rk_u32)(post.to >> 32), index = post.actor & 0xfffff;
    const rk_dev_kernel *found = rk_find_kernel(p, key);
    rk_i32 reason = 0;
    rk_u64 wait = 0;
    if (!found || index >= found->actors) {
        reason = RK_D_NO_ACTOR;
    } else {
        rk_u32 declared = rk_declared(*found, post.type);
        reason = declared == ~0u ? RK_D_TYPE : post.size > declared ? RK_D_SIZE : 0;
    }
    if (reason == 0) {
        rk_u32 worker = (rk_u32)((rk_u64)index * found->reciprocal >> 42);
        const rk_dev_ring &ring = ((const rk_dev_worker *)found->workers)[worker].rings[post.level];
        /* Relaxed: the position is only a number; that its slot is free is learned by acquiring head. */
        rk_u64 tail = 0;
        if (p.lane == 0) {
            tail = rk_peek(ring.tail);
            for (;;) {
                if (tail & RK_CLOSED) break;
                if (tail - rk_acquire(ring.head) >> ring.shift) {
                    tail = ~0ull - 1;
                    break;
                }
                rk_u64 now = atomicCAS((unsigned long long *)ring.tail, (unsigned long long)tail,
                                       (unsigned long long)tail + 1);
                if (now == tail) break;
                tail = now;
            }
        }
        tail = rk_shfl(tail, 0);
        if (tail == ~0ull - 1) {
            wait = (rk_u64)key << 32 | worker;
        } else if (tail & RK_CLOSED) {
            reason = RK_D_TERMINATED;
        } else {
            rk_u64 deadline = 0;
            if (post.deadline_ns) {
                rk_u64 units = __umul64hi(post.deadline_ns, 9903520314283042199ull) >> 5;
                deadline = rk_shfl(rk_physical(p), 0) + ((units + 1) << 8);
            }
            rk_write(p, ring.slots, ring.bodies, ring.body, ring.shift, tail, post, rk_tick(p), deadline, payload);
            rk_add(p, RK_C_SENT_ACTORS, 1);
            if (key != p.s.k.key && p.lane == 0)
                rk_poke(p.s.k.control + 64, (rk_u64)(p.me + 1) << 40 | p.s.w.counts[RK_C_SENT_ACTORS]);
        }
    }
    if (reason) rk_undeliverable(p, post, payload, reason);
    __syncwarp();
    return wait;
}

RK_PUMP_FN rk_u64 rk_deliver(const rk_pump &p, const rk_dev_post &post, const rk_u8 *payload) {
    return post.to ? rk_offer(p, post, payload) : rk_hand_over(p, post, payload);
}

RK_PUMP_FN rk_u32 rk_level_of(rk_u32 priority) {
    return priority == 0 ? 1 : priority < 64 ? 0 : priority < 128 ? 1 : priority < 192 ? 2 : 3;
}

/* The post that an entry of the outbox asks for. See src/backend/cpu/outbox.rs. */
RK_PUMP_FN rk_dev_post rk_post_of(const rk_pump &p, const rk_outgoing &entry) {
    const rk_dev_worker &w = p.s.w;
    bool reply = entry.kind == RK_POST_REPLY, forward = entry.kind == RK_POST_FORWARD;
    rk_dev_post post;
    post.to = reply ? w.origins[0].sender : entry.kind == RK_POST_EMIT ? 0 : entry.to;
    post.by = w.origins[0].actor;
    post.correlation = reply || forward ? w.origins[0].correlation : entry.correlation;
    post.sender = post.to == 0 ? 0 : forward ? w.origins[0].sender : w.origins[0].actor;
    post.deadline_ns = entry.deadline;
    post.actor = post.to == 0 ? (rk_u32)w.origins[0].actor : (rk_u32)post.to;
    post.type = entry.type & 0xffff;
    post.size = entry.size;
    post.level = entry.priority == 0 && (reply || forward) ? w.origins[0].level : rk_level_of(entry.priority);
    post.flags = post.to == 0 ? (reply ? w.origins[0].call | RK_F_REPLY : forward ? w.origins[0].call : 0)
                              : (forward ? w.origins[0].call : 0);
    post.reserved = 0;
    return post;
}

RK_PUMP_FN bool rk_next_entry(const rk_pump &p, rk_outgoing &entry, rk_u32 &next) {
    rk_u32 at = p.s.w.outbox_sent, used = p.s.w.outbox_used;
    if (used - at < (rk_u32)sizeof(rk_outgoing)) return false;
    entry = *(const rk_outgoing *)(p.s.w.outbox + at);
    next = at + (rk_u32)sizeof(rk_outgoing) + ((entry.size + 15u) & ~15u);
    return next <= used;
}

RK_PUMP_FN rk_u32 rk_record(rk_u32 size) {
    return (rk_u32)sizeof(rk_dev_post) + ((size + 15u) & ~15u);
}

/* The oldest of what was set aside; records are whole, so a tail too short for one is skipped (marked by `to`). */
RK_PUMP_FN const rk_dev_post *rk_aside_front(const rk_pump &p) {
    if (p.s.w.aside_head == p.s.w.aside_tail) return (const rk_dev_post *)0;
    rk_u64 at = p.s.w.aside_head & (p.s.k.aside_size - 1);
    if (*(const rk_u64 *)(p.s.w.aside + at) == ~0ull) {
        __syncwarp();
        if (p.lane == 0) p.s.w.aside_head += p.s.k.aside_size - at;
        __syncwarp();
        at = 0;
    }
    return (const rk_dev_post *)(p.s.w.aside + at);
}

RK_PUMP_FN bool rk_is_flushed(const rk_pump &p) {
    return p.s.w.outbox_sent == p.s.w.outbox_used && p.s.w.aside_head == p.s.w.aside_tail;
}

/* A post that still waits when the kernel ends: to an actor it dies, to the host it joins the letters. */
RK_PUMP_FN void rk_leave_behind(const rk_pump &p, const rk_dev_post &post, const rk_u8 *payload) {
    if (post.to) {
        rk_undeliverable(p, post, payload, RK_D_TERMINATED);
        return;
    }
    rk_add(p, RK_C_SENT_HOST, 1);
    rk_letter(p, post.flags & RK_F_REPLY ? RK_CLASS_REPLY : RK_CLASS_EMIT, post.by, 0, post.correlation, rk_tick(p),
              post.type, 0, post.level, post.flags & RK_F_CALL, payload, post.size);
}

/* Sends what waits, what was set aside first. Gives what we wait for; at the end of the kernel, nothing waits. */
RK_PUMP_FN rk_u64 rk_flush(const rk_pump &p) {
    rk_outgoing entry;
    rk_u32 next = 0;
    for (;;) {
        rk_dev_post post;
        const rk_u8 *payload;
        const rk_dev_post *front = rk_aside_front(p);
        if (front) {
            post = *front;
            payload = (const rk_u8 *)(front + 1);
        } else if (rk_next_entry(p, entry, next)) {
            post = rk_post_of(p, entry);
            payload = (const rk_u8 *)(p.s.w.outbox + p.s.w.outbox_sent + sizeof(rk_outgoing));
        } else {
            break;
        }
        rk_u64 wait = rk_deliver(p, post, payload);
        if (wait && p.mode != RK_MODE_END) return wait;
        if (wait) rk_leave_behind(p, post, payload);
        __syncwarp();
        if (p.lane == 0) {
            if (front) p.s.w.aside_head += rk_record(post.size);
            else p.s.w.outbox_sent = next;
        }
        __syncwarp();
    }
    if (p.lane == 0) p.s.w.outbox_used = p.s.w.outbox_sent = 0;
    __syncwarp();
    return 0;
}

/* Moves what waits in the outbox behind what is set aside, so that a handler can use the outbox again. */
RK_PUMP_FN void rk_set_aside(const rk_pump &p) {
    rk_outgoing entry;
    rk_u32 next = 0;
    while (rk_next_entry(p, entry, next)) {
        rk_dev_post post = rk_post_of(p, entry);
        const rk_u8 *payload = (const rk_u8 *)(p.s.w.outbox + p.s.w.outbox_sent + sizeof(rk_outgoing));
        rk_u64 need = rk_record(post.size), tail = p.s.w.aside_tail;
        rk_u64 at = tail & (p.s.k.aside_size - 1), skip = p.s.k.aside_size - at >= need ? 0 : p.s.k.aside_size - at;
        if (tail + skip + need - p.s.w.aside_head > p.s.k.aside_size) {
            rk_undeliverable(p, post, payload, RK_D_OVERFLOW);
        } else {
            if (skip && p.lane == 0) *(rk_u64 *)(p.s.w.aside + at) = ~0ull;
            at = skip ? 0 : at;
            if (p.lane == 0) *(rk_dev_post *)(p.s.w.aside + at) = post;
            rk_copy(p.s.w.aside + at + sizeof(rk_dev_post), payload, post.size, p.lane);
            __syncwarp();
            if (p.lane == 0) p.s.w.aside_tail = tail + skip + need;
        }
        __syncwarp();
        if (p.lane == 0) p.s.w.outbox_sent = next;
        __syncwarp();
    }
    if (p.lane == 0) p.s.w.outbox_used = p.s.w.outbox_sent = 0;
    __syncwarp();
}

/* Publishes what we wait for. */
RK_PUMP_FN void rk_waits_for(const rk_pump &p, rk_u64 wait) {
    if (p.s.waits == wait) return;
    __syncwarp();
    if (p.lane == 0) {
        p.s.waits = wait;
        rk_poke(p.s.k.waits + 8ull * p.me, wait);
    }
    __syncwarp();
}

/* Whether the worker that we wait for waits, through any number of others, for us. See courier.rs. */
RK_PUMP_FN bool rk_is_in_cycle(const rk_pump &p) {
    rk_u32 found = 0;
    if (p.lane == 0) {
        rk_u64 self = (rk_u64)p.s.k.key << 32 | p.me, at = p.s.waits, mark = at, steps = 0, power = 1;
        while (at != 0 && at != RK_WAIT_HOST) {
            if (at == self) {
                found = 1;
                break;
            }
            const rk_dev_kernel *kernel = rk_find_kernel(p, (rk_u32)(at >> 32));
            at = kernel ? rk_peek(kernel->waits + 8ull * (rk_u32)at) : 0;
            if (at == mark) break;
            if (++steps == power) mark = at, steps = 0, power *= 2;
        }
    }
    return __shfl_sync(RK_WARP, found, 0) != 0;
}

/* The slots at our positions of all rings at once: thread 4 r + w has word w of ring r. A bit at 4 r for every ring that
 * has a whole message there. */
RK_PUMP_FN rk_u32 rk_poll_rings(const rk_pump &p, rk_word &word) {
    const rk_dev_ring &ring = p.s.w.rings[p.lane >> 2];
    rk_u64 position = p.s.w.position[p.lane >> 2];
    word = rk_load_word(ring.slots + (position & ((1ull << ring.shift) - 1)) * 64 + (p.lane & 3) * 16);
    rk_u32 there = __ballot_sync(RK_WARP, (rk_u16)(word.b >> 48) == (rk_u16)((position >> ring.shift) + 1));
    return there & there >> 1 & there >> 2 & there >> 3 & 0x11111111u;
}

/* The ring to take from: of the highest level, or now and then of another; actors and the host in turns. */
RK_PUMP_FN rk_u32 rk_choose(const rk_pump &p, rk_u32 ready) {
    rk_u32 turn = p.s.w.turn;
    rk_u32 first = turn % RK_FAIRNESS == RK_FAIRNESS - 1 ? turn / RK_FAIRNESS % RK_LEVELS : RK_LEVELS - 1;
    rk_u32 side = turn % 2;
    for (rk_u32 step = 0; step < RK_LEVELS; step++) {
        rk_u32 level = (first + RK_LEVELS - step) % RK_LEVELS;
        rk_u32 here = level + side * RK_LEVELS, other = level + (side ^ 1) * RK_LEVELS;
        if (ready >> (4 * here) & 1) return here;
        if (ready >> (4 * other) & 1) return other;
    }
    return 0;
}

/* Gives the slots before our position back. Relaxed: our reads of them are over, since we acted on their values. */
RK_PUMP_FN void rk_publish(const rk_pump &p, rk_u32 ring) {
    if (p.lane == 0) {
        p.s.published[ring] = p.s.w.position[ring];
        if (ring < RK_LEVELS) __threadfence(); /* release: handlers read bodies of these rings in place */
        rk_poke(p.s.w.rings[ring].head, p.s.w.position[ring]);
    }
}

RK_PUMP_FN void rk_consume(const rk_pump &p, rk_u32 ring) {
    __syncwarp();
    if (p.lane == 0) {
        p.s.w.position[ring]++;
        p.s.w.consumed++;
        p.s.w.turn++;
    }
    __syncwarp();
    rk_u64 capacity = 1ull << p.s.w.rings[ring].shift;
    rk_u64 due = capacity / 4 < 1 ? 1 : capacity / 4 > 32 ? 32 : capacity / 4;
    if (p.s.w.position[ring] - p.s.published[ring] >= due) rk_publish(p, ring);
}

/* Runs the handler of the call in `s`: by every lane. */
RK_PUMP_FN void rk_run_handler(rk_block &s, rk_u64 counters, void *scratch) {
    rk_context cx;
    cx.state = (void *)s.state;
    cx.message = (const void *)s.message;
    cx.scratch = scratch;
    cx.outbox = (rk_u8 *)s.w.outbox;
    cx.outbox_used = 0;
    cx.outbox_limit = s.k.outbox_limit;
    cx.type = s.type;
    cx.size = s.size;
    cx.index = s.index;
    cx.actors = s.k.actors;
    cx.self = s.self;
    cx.sender = s.sender;
    cx.correlation = s.correlation;
    cx.time = s.time;
    cx.counters = (rk_u64 *)counters;
    cx.priority = s.priority;
    cx.result = 0;
    cx.fail_code = 0;
    cx.refused = 0;
#define RK_PUMP_JOIN2(a, b) a##b
#define RK_PUMP_JOIN(a, b) RK_PUMP_JOIN2(a, b)
    if (threadIdx.x < RK_LANES) RK_PUMP_JOIN(RK_PUMP_ACTOR, _rk_dispatch)(&cx);
    if (threadIdx.x == 0) {
        s.used = cx.outbox_used;
        s.result = cx.result;
        s.code = cx.fail_code;
        s.refused = cx.refused;
    }
}

RK_PUMP_FN void rk_all_lanes() {
    if (RK_LANES > 32) __syncthreads();
    else __syncwarp();
}

/* A message taken out of its slot. */
struct rk_taken {
    rk_u32 actor, type, level, call, size;
    rk_u64 correlation, sender, deadline, time;
    const rk_u8 *payload;
};

/* Takes apart the slot of `ring` that `word` has a part of, and brings its payload to where handlers can read it. */
RK_PUMP_FN rk_taken rk_take_apart(const rk_pump &p, rk_u32 ring, const rk_word &word) {
    rk_u64 a0 = rk_shfl(word.a, 4 * ring), b0 = rk_shfl(word.b, 4 * ring);
    rk_u64 a1 = rk_shfl(word.a, 4 * ring + 1), b1 = rk_shfl(word.b, 4 * ring + 1);
    rk_u64 a2 = rk_shfl(word.a, 4 * ring + 2), b2 = rk_shfl(word.b, 4 * ring + 2);
    rk_u64 a3 = rk_shfl(word.a, 4 * ring + 3), b3 = rk_shfl(word.b, 4 * ring + 3);
    rk_u32 d1 = (rk_u32)(a0 >> 32), bits = d1 >> 24;
    rk_u64 area0 = a1 >> 32 | b1 << 32, area1 = a2, area2 = (rk_u32)b2 | a3 << 32, area3 = a3 >> 32 | b3 << 32;
    rk_taken m;
    m.actor = (rk_u32)a0;
    m.type = d1 & 0xffff;
    m.level = d1 >> 22 & 3;
    m.call = bits & RK_F_CALL;
    m.correlation = (rk_u32)b0 | a1 << 32;
    m.sender = m.deadline = 0;
    if (bits & RK_F_SENDER) m.sender = area0, area0 = area1, area1 = area2, area2 = area3, area3 = 0;
    if (bits & RK_F_DEADLINE) m.deadline = area0, area0 = area1, area1 = area2, area2 = area3, area3 = 0;
    m.time = (b0 >> 32 & 0xffff) | (b1 >> 32 & 0xffff) << 16 | (b2 >> 32 & 0xffff) << 32 | (b3 >> 32 & 0xffff) << 48;
    const rk_dev_ring &from = p.s.w.rings[ring];
    rk_u32 declared = rk_declared(p.s.k, m.type);
    if (bits & RK_F_BODY) {
        m.size = (rk_u32)area0 < from.body ? (rk_u32)area0 : from.body;
        rk_u64 body = from.bodies + (p.s.w.position[ring] & ((1ull << from.shift) - 1)) * from.body;
        if (ring < RK_LEVELS) {
            __threadfence(); /* acquire: the stamps were seen, so what was written before them is */
            m.payload = (const rk_u8 *)body;
        } else {
            /* Over the bus once, past L1, which may hold what lay there a lap ago; handlers may look as often as they like. */
            __threadfence_system();
            for (rk_u32 at = p.lane * 16; at < m.size; at += 512) {
                rk_word part = rk_load_word(body + at);
                *(ulonglong2 *)(p.s.w.message + at) = make_ulonglong2(part.a, part.b);
            }
            m.payload = (const rk_u8 *)p.s.w.message;
        }
    } else {
        m.size = d1 >> 16 & 0x3f;
        /* Handlers may read the whole declared size, whatever was sent. */
        rk_u64 place = declared == ~0u || declared <= sizeof p.s.payload ? (rk_u64)p.s.payload : p.s.w.message;
        if (p.lane < 4) ((rk_u64 *)place)[p.lane] = p.lane == 0 ? area0 : p.lane == 1 ? area1 : p.lane == 2 ? area2 : area3;
        m.payload = (const rk_u8 *)place;
    }
    __syncwarp();
    return m;
}

RK_PUMP_FN void rk_bury(const rk_pump &p, const rk_taken &m, rk_i32 reason) {
    rk_add(p, RK_C_DEAD, 1);
    rk_letter(p, RK_CLASS_DEAD, m.sender, (rk_u64)p.s.k.key << 32 | m.actor, m.correlation, m.time, m.type, reason,
              m.level, m.call, m.payload, m.size);
}

/* Handles the message at our position of a ring. False if it must wait: the host has too many letters unread. */
RK_PUMP_FN bool rk_handle(const rk_pump &p, rk_u32 ring, const rk_word &word, void *scratch) {
    rk_taken m = rk_take_apart(p, ring, word);
    rk_u32 index = m.actor & 0xfffff;
    rk_i32 reason = 0;
    rk_dev_entry *entry = (rk_dev_entry *)p.s.k.entries + index;
    if (index >= p.s.k.actors) {
        reason = RK_D_NO_ACTOR;
    } else {
        uint4 e = *(const uint4 *)entry;
        rk_u32 declared = rk_declared(p.s.k, m.type);
        reason = e.y != m.actor >> 20 ? RK_D_NO_ACTOR
               : e.x == 1 ? RK_D_STOPPED
               : e.x != 0 ? RK_D_FAILED
               : m.deadline && rk_shfl(rk_physical(p), 0) > m.deadline ? RK_D_EXPIRED
               : declared == ~0u ? RK_D_TYPE
               : m.size > declared ? RK_D_SIZE : 0;
    }
    if (reason) {
        if (rk_shfl(rk_peek(p.s.k.orders + p.me * sizeof(rk_dev_orders) + 40), 0)) {
            rk_waits_for(p, RK_WAIT_HOST);
            return false;
        }
        rk_waits_for(p, 0);
        rk_bury(p, m, reason);
        rk_consume(p, ring);
        return true;
    }
    rk_block &s = p.s;
    if (p.lane == 0) {
        rk_u64 clock = (s.w.clock > m.time ? s.w.clock : m.time) + 1;
        s.w.clock = s.time = clock;
        s.state = s.k.states + (rk_u64)index * s.k.stride;
        s.message = (rk_u64)m.payload;
        s.self = (rk_u64)s.k.key << 32 | m.actor;
        s.sender = m.sender;
        s.correlation = m.correlation;
        s.type = m.type;
        s.size = m.size;
        s.index = index;
        s.priority = 64 * m.level;
    }
    rk_all_lanes();
    rk_run_handler(s, (rk_u64)((rk_dev_worker *)s.k.workers)[p.me].counters, scratch);
    rk_all_lanes();
    if (p.lane == 0) {
        s.w.counts[RK_C_HANDLED]++;
        s.w.counts[RK_C_REFUSED] += s.refused;
        s.w.outbox_used = s.used < s.k.outbox_limit ? s.used : s.k.outbox_limit;
        s.w.outbox_sent = 0;
        s.w.origins[0].actor = s.self;
        s.w.origins[0].sender = m.sender;
        s.w.origins[0].correlation = m.correlation;
        s.w.origins[0].level = m.level;
        s.w.origins[0].call = m.call;
    }
    __syncwarp();
    if (s.result & RK_RESULT_FAIL) {
        if (p.lane == 0) entry->status = 2;
        rk_add(p, RK_C_FAILURES, 1);
        rk_letter(p, RK_CLASS_EVENT, s.self, 0, 0, rk_tick(p), 1, s.code, 1, 0, (const rk_u8 *)0, 0);
    } else if (s.result & RK_RESULT_STOP) {
        if (p.lane == 0) entry->status = 1;
    }
    rk_consume(p, ring);
    return true;
}

/* With posts that cannot leave. Where workers wait for each other in a circle somebody must make room: we set our posts
 * aside and take a message from an actor, for only that makes room for one. False if we just wait. */
RK_PUMP_FN bool rk_break_cycle(const rk_pump &p, void *scratch) {
    if (!rk_is_in_cycle(p)) return false;
    rk_set_aside(p);
    rk_word word;
    rk_u32 ready = rk_poll_rings(p, word) & 0x1111u;
    if (!ready) return false;
    return rk_handle(p, (31 - __clz((int)ready)) / 4, word, scratch);
}

/* Whether to leave: told to, or the quantum is over. The clock catches up here, for reading the timer takes long. */
RK_PUMP_FN bool rk_is_over(const rk_pump &p) {
    rk_u32 over = 0;
    if (p.lane == 0) {
        rk_u64 physical = rk_physical(p);
        if (physical > p.s.w.clock) p.s.w.clock = physical;
        over = rk_peek(p.s.k.command) == p.launch || rk_timer() >= p.until;
    }
    __syncwarp();
    return __shfl_sync(RK_WARP, over, 0) != 0;
}

/* Consecutive messages of one ring, read in one go: thread 4 i + w has word w of message i. Where the rings are across a
 * bus, reading them one by one costs the bus's latency for each. */
struct rk_batch {
    rk_word word;
    rk_u32 ring, next, count;
    rk_u64 position; /* of the next */
};

/* Where the word of this thread is of messages read ahead. */
RK_PUMP_FN rk_u64 rk_ahead_of(const rk_pump &p, rk_u32 number, rk_u64 position) {
    const rk_dev_ring &ring = p.s.w.rings[number];
    return ring.slots + ((position + (p.lane >> 2)) & ((1ull << ring.shift) - 1)) * 64 + (p.lane & 3) * 16;
}

/* How many whole messages `batch` has from the first on; no more than until the next that fairness chooses. */
RK_PUMP_FN rk_u32 rk_count_ahead(const rk_pump &p, const rk_batch &batch) {
    rk_u64 position = batch.position + (p.lane >> 2);
    rk_u16 stamp = (rk_u16)((position >> p.s.w.rings[batch.ring].shift) + 1);
    rk_u32 there = __ballot_sync(RK_WARP, (rk_u16)(batch.word.b >> 48) == stamp);
    /* The lowest thread without its stamp ends them. */
    rk_u32 count = there == RK_WARP ? 8 : (rk_u32)(__ffs((int)~there) - 1) / 4;
    return rk_min(count, RK_FAIRNESS - 1 - p.s.w.turn % RK_FAIRNESS);
}

RK_PUMP_FN void rk_serve(const rk_pump &p, void *scratch) {
    rk_u32 idle = 0;
    rk_batch batch = {{0, 0}, RK_LEVELS + 1, 0, 0, 0};
    bool busy = false;
    for (rk_u32 beat = 1;; beat++) {
        if (beat % RK_BEATS == 0 && rk_is_over(p)) return;
        if (p.mode == RK_MODE_LEAVE_IDLE && idle >= RK_IDLE) return;
        idle++;
        if (!rk_is_flushed(p)) {
            rk_u64 wait = rk_flush(p);
            rk_waits_for(p, wait);
            if (wait) {
                if (rk_break_cycle(p, scratch)) idle = 0;
                continue;
            }
            idle = 0;
        }
        /* Breaking a cycle may have taken what was read ahead. */
        if (batch.next < batch.count && p.s.w.position[batch.ring] == batch.position) {
            rk_word word = {rk_shfl(batch.word.a, batch.next * 4 + (p.lane & 3)),
                            rk_shfl(batch.word.b, batch.next * 4 + (p.lane & 3))};
            if (rk_handle(p, batch.ring, word, scratch)) {
                batch.next++;
                batch.position++;
                idle = 0;
            }
            continue;
        }
        /* Both looks at once: in a stream of messages the next ones of the same ring are probably there. */
        if (busy) {
            batch.position = p.s.w.position[batch.ring];
            batch.word = rk_load_word(rk_ahead_of(p, batch.ring, batch.position));
        }
        rk_word word;
        rk_u32 ready = rk_poll_rings(p, word);
        bool looked = busy;
        busy = ready != 0;
        batch.next = batch.count = 0;
        if (!ready) continue;
        rk_u32 ring = rk_choose(p, ready);
        if (looked && ring == batch.ring) {
            batch.count = rk_count_ahead(p, batch);
            if (batch.count) continue;
        }
        batch.ring = ring;
        if (rk_handle(p, ring, word, scratch)) idle = 0;
    }
}

/* The kernel has ended: what waits becomes dead letters, and nothing comes in any more. If it takes longer than a quantum,
 * the next goes on. */
RK_PUMP_FN void rk_end(const rk_pump &p) {
    if (p.s.w.ended) return;
    rk_flush(p);
    rk_waits_for(p, 0);
    for (rk_u32 ring = 0; ring < RK_RINGS; ring++) {
        rk_u64 accepted = 0;
        if (p.lane == 0) {
            accepted = ring < RK_LEVELS
                           ? atomicOr((unsigned long long *)p.s.w.rings[ring].tail, RK_CLOSED) & ~RK_CLOSED
                           : rk_peek(p.s.k.orders + p.me * sizeof(rk_dev_orders) + 8 + 8 * (ring - RK_LEVELS));
        }
        accepted = rk_shfl(accepted, 0);
        for (rk_u32 beat = 1; p.s.w.position[ring] < accepted; beat++) {
            if (beat % RK_BEATS == 0 && rk_is_over(p)) return;
            rk_word word;
            if (!(rk_poll_rings(p, word) >> (4 * ring) & 1)) continue; /* its producer is about to write it */
            rk_taken m = rk_take_apart(p, ring, word);
            rk_bury(p, m, RK_D_TERMINATED);
            rk_consume(p, ring);
            if (p.lane == 0) p.s.w.found_waiting++;
            __syncwarp();
        }
    }
    if (p.lane == 0) p.s.w.ended = 1;
    __syncwarp();
}

RK_PUMP_FN rk_u64 rk_count_waiting(const rk_pump &p) {
    rk_u64 waiting = 0;
    rk_u32 at = p.s.w.outbox_sent;
    while (p.s.w.outbox_used - at >= (rk_u32)sizeof(rk_outgoing)) {
        at += (rk_u32)sizeof(rk_outgoing) + ((((const rk_outgoing *)(p.s.w.outbox + at))->size + 15u) & ~15u);
        waiting++;
    }
    for (rk_u64 from = p.s.w.aside_head; from != p.s.w.aside_tail;) {
        const rk_dev_post *post = (const rk_dev_post *)(p.s.w.aside + (from & (p.s.k.aside_size - 1)));
        if (post->to == ~0ull) {
            from += p.s.k.aside_size - (from & (p.s.k.aside_size - 1));
            continue;
        }
        from += rk_record(post->size);
        waiting++;
    }
    return waiting;
}

/* State back to device memory, counts to the host. The last worker out says that all have left. */
RK_PUMP_FN void rk_leave(const rk_pump &p, rk_u64 consumed_before) {
    rk_block &s = p.s;
    for (rk_u32 ring = 0; ring < RK_RINGS; ring++)
        if (s.published[ring] != s.w.position[ring]) rk_publish(p, ring);
    __syncwarp();
    rk_dev_worker *worker = (rk_dev_worker *)s.k.workers + p.me;
    rk_dev_report *report = (rk_dev_report *)s.k.reports + p.me;
    if (p.lane == 0) {
        s.w.counts[RK_C_DEFERRED] = rk_count_waiting(p);
        if (s.w.consumed != consumed_before) s.w.counts[RK_C_QUANTA]++;
        if (rk_is_flushed(p)) s.w.counts[RK_C_COMPLETED] = s.w.consumed;
    }
    __syncwarp();
    const rk_u32 fixed = (rk_u32)((rk_u8 *)&s.w.position - (rk_u8 *)&s.w) / 8;
    const rk_u32 words = (rk_u32)((rk_u8 *)&s.w.counters - (rk_u8 *)&s.w) / 8;
    for (rk_u32 i = fixed + p.lane; i < words; i += 32) ((rk_u64 *)worker)[i] = ((const rk_u64 *)&s.w)[i];
    if (p.lane < RK_C_COUNT) report->counts[p.lane] = s.w.counts[p.lane];
    if (p.lane < RK_COUNTERS) report->counters[p.lane] = rk_peek((rk_u64)&worker->counters[p.lane]);
    if (p.lane < RK_LEVELS) report->consumed[p.lane] = s.w.position[p.lane];
    if (p.lane == 0) {
        report->waits = s.waits;
        report->ended = s.w.ended;
        report->found_waiting = s.w.found_waiting;
    }
    /* Release, by every lane for its part: before the count, and before the host's word. */
    __threadfence_system();
    __syncwarp();
    rk_u32 before = 0;
    if (p.lane == 0) before = atomicAdd(&p.kernel->left_count, 1u);
    before = __shfl_sync(RK_WARP, before, 0);
    if (before + 1 != s.k.worker_count) return;
    __threadfence();
    for (rk_u32 i = p.lane; i < s.k.worker_count * RK_LEVELS; i += 32) {
        const rk_dev_ring &ring = ((const rk_dev_worker *)s.k.workers)[i / RK_LEVELS].rings[i % RK_LEVELS];
        ((rk_dev_report *)s.k.reports)[i / RK_LEVELS].accepted[i % RK_LEVELS] = rk_peek(ring.tail) & ~RK_CLOSED;
    }
    __threadfence_system();
    __syncwarp();
    if (p.lane == 0) {
        p.kernel->left_count = 0;
        __threadfence();
        rk_poke(s.k.control, p.launch);
    }
}

extern "C" __global__ void __launch_bounds__(RK_LANES > 32 ? RK_LANES : 32)
    rk_pump_kernel(rk_dev_kernel *kernel, rk_u64 launch, rk_u64 unix_ns, rk_u64 quantum_ns, rk_u32 mode) {
    extern __shared__ __align__(64) rk_u8 scratch[];
    __shared__ rk_block s;
    const rk_u32 thread = threadIdx.x;
    rk_u64 now = rk_timer();
    if (thread < 32) {
        const rk_u64 *worker = (const rk_u64 *)((rk_dev_worker *)kernel->workers + blockIdx.x);
        for (rk_u32 i = thread; i < sizeof s.w / 8; i += 32) ((rk_u64 *)&s.w)[i] = worker[i];
        for (rk_u32 i = thread; i < sizeof s.k / 8; i += 32) ((rk_u64 *)&s.k)[i] = ((const rk_u64 *)kernel)[i];
        __syncwarp();
        if (thread < RK_RINGS) s.published[thread] = s.w.position[thread];
        if (thread == 0) {
            s.leave = 0;
            s.waits = rk_peek(s.k.waits + 8ull * blockIdx.x);
            /* The launch happened before we started, so the larger difference is the truer one; it fades, lest the two
             * clocks' drift be taken for delay. */
            rk_i64 offset = (rk_i64)(unix_ns - now), known = s.w.clock_offset - 2000;
            s.w.clock_offset = s.w.clock == 0 || offset > known ? offset : known;
            rk_u64 physical = (__umul64hi(now + (rk_u64)s.w.clock_offset, 9903520314283042199ull) >> 5) << 8;
            if (physical > s.w.clock) s.w.clock = physical;
        }
        __syncwarp();
        rk_pump p = {s, kernel, blockIdx.x, thread, mode, launch, now + quantum_ns};
        rk_u64 consumed = s.w.consumed;
        if (mode == RK_MODE_END) rk_end(p);
        else rk_serve(p, scratch);
        __syncwarp();
        if (thread == 0) s.leave = 1;
        __syncwarp();
        if (RK_LANES > 32) __syncthreads();
        rk_leave(p, consumed);
    } else {
        for (;;) {
            __syncthreads();
            if (s.leave) return;
            rk_run_handler(s, (rk_u64)((rk_dev_worker *)s.k.workers)[blockIdx.x].counters, scratch);
            __syncthreads();
        }
    }
}

#endif
