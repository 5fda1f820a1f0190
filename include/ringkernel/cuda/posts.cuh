/* Posts one at a time, wherever they go and however large: what the fast way (deliver.cuh) does not do. Also posts set
 * aside, and circles of workers that wait for each other. The same machine as src/backend/cpu/{courier,outbox}.rs. */
#ifndef RINGKERNEL_CUDA_POSTS_CUH
#define RINGKERNEL_CUDA_POSTS_CUH

#include <ringkernel/cuda/family.cuh>
#include <ringkernel/cuda/letters.cuh>

#define RK_POST_SENT 0u /* an entry of the outbox that has left */
/* Of rk_flush: nobody is waited for, but the quantum is over. Of a publication: everybody has it, likewise. */
#define RK_LATER (~0ull - 2)
/* Children told of an end between looks at the command word and at the time. */
#define RK_TOLD 16u

/* Whether to leave, asked where work is out of line: pump.cuh. */
RK_PUMP_FN bool rk_must_leave();
/* A post for a topic. 0, RK_LATER, or what we wait for: topics.cuh. */
RK_COLD_FN rk_u64 rk_publish_post(const rk_dev_post &post, const rk_u8 *payload);

/* The four words of a slot for a message, without stamp and time. */
struct rk_slot {
    rk_u64 head, correlation, area[4];

    /* Word `i`, of a position and with a time stamp. */
    __device__ __forceinline__ rk_word word(rk_u32 i, rk_u64 lap, rk_u64 time) const {
        rk_word w;
        w.a = i == 0 ? head : i == 1 ? correlation >> 32 | area[0] << 32 : i == 2 ? area[1] : area[2] >> 32 | area[3] << 32;
        w.b = i == 0 ? (rk_u32)correlation : i == 1 ? area[0] >> 32 : i == 2 ? (rk_u32)area[2] : area[3] >> 32;
        w.b |= (time >> (16 * i) & 0xffff) << 32 | lap << 48;
        return w;
    }
};

/* Words of a slot that are not the payload's. */
RK_PUMP_FN rk_u32 rk_taken_of(const rk_dev_post &post, rk_u64 deadline) {
    return (post.sender ? 1 : 0) + (deadline ? 1 : 0);
}

/* Whether the payload needs no body. */
RK_PUMP_FN bool rk_fits(const rk_dev_post &post, rk_u64 deadline) {
    return post.size <= 32 - 8 * rk_taken_of(post, deadline);
}

RK_PUMP_FN rk_slot rk_slot_of(const rk_dev_post &post, rk_u64 deadline, const rk_u8 *payload) {
    const rk_u32 taken = rk_taken_of(post, deadline);
    const bool fits = rk_fits(post, deadline);
    const rk_u32 bits = (post.flags & RK_F_SAID) | (post.sender ? RK_F_SENDER : 0) |
                        (deadline ? RK_F_DEADLINE : 0) | (fits ? 0 : RK_F_BODY);
    rk_slot slot;
    slot.head = post.actor | (rk_u64)(post.type | (fits ? post.size : 0) << 16 | post.level << 22 | bits << 24) << 32;
    slot.correlation = post.correlation;
    rk_u64 v[4] = {post.size, 0, 0, 0};
    if (fits)
        for (rk_u32 i = 0; i < 4; i++) v[i] = 8 * i < post.size ? ((const rk_u64 *)payload)[i] : 0;
    slot.area[0] = post.sender ? post.sender : deadline ? deadline : v[0];
    slot.area[1] = taken == 2 ? deadline : taken == 1 ? v[0] : v[1];
    slot.area[2] = taken == 2 ? v[0] : taken == 1 ? v[1] : v[2];
    slot.area[3] = taken == 2 ? v[1] : taken == 1 ? v[2] : v[3];
    return slot;
}

/* Writes a message to a position of a ring that the caller owns. */
RK_COLD_FN void rk_write(const rk_dev_ring &ring, rk_u64 position, const rk_dev_post &post,
                         rk_u64 time, rk_u64 deadline, const rk_u8 *payload) {
    const rk_u64 index = position & ((1ull << ring.shift) - 1);
    const rk_slot slot = rk_slot_of(post, deadline, payload);
    if (!rk_fits(post, deadline)) {
        rk_copy(ring.bodies + index * ring.body, payload, post.size, rk_thread());
        /* Release: whoever sees the stamps sees the body. By every lane, for its part, at system scope: the reader may be
         * the host. */
        __threadfence_system();
        __syncwarp();
    }
    if (rk_thread() < 4) {
        rk_word word = slot.word(rk_thread(), (rk_u16)((position >> ring.shift) + 1), time);
        rk_store_word(ring.slots + index * 64 + rk_thread() * 16, word.a, word.b);
    }
}

/* The address that goes with a key in a table like the directory; or 0. */
RK_PUMP_FN rk_u64 rk_look_up(rk_u64 table, rk_u64 key) {
    const rk_word found = rk_load_word(table + 16ull * (key & 0xfff));
    return found.a == key ? found.b : 0;
}

/* All that is read of a kernel there is in the copy of our own too; what changes is not, `left_count` and `letter_tail`. */
RK_PUMP_FN const rk_dev_kernel *rk_find_kernel(rk_u32 key) {
    return key == rk_s.k.key ? &rk_s.k : (const rk_dev_kernel *)rk_look_up(rk_s.k.directory, key);
}

/* Declared size of a type that a kernel's actors handle, or ~0. The table is src/kernel/types.rs's. */
RK_COLD_FN rk_u32 rk_declared_of(const rk_dev_kernel &k, rk_u32 type) {
    const uint2 *types = (const uint2 *)k.types;
    for (rk_u32 i = 0, at = (type * 0x9e3779b9u) >> k.type_shift; i <= k.type_mask; i++, at = (at + 1) & k.type_mask) {
        uint2 entry = types[at];
        if (entry.x == type) return entry.y;
        if (entry.x == 0) break;
    }
    return ~0u;
}

/* Into our ring to the host. 0, or what we wait for. */
RK_COLD_FN rk_u64 rk_hand_over(const rk_dev_post &post, const rk_u8 *payload) {
    const rk_dev_ring &ring = rk_s.w.outbound;
    rk_u64 tail = rk_s.w.out_tail;
    if (tail - rk_s.w.out_head >> ring.shift) {
        /* Every lane acquires: all of them may write a body. */
        rk_u64 head = rk_shfl(rk_acquire(ring.head), 0);
        __syncwarp();
        if (rk_thread() == 0) rk_s.w.out_head = head;
        __syncwarp();
        if (tail - head >> ring.shift) return RK_WAIT_HOST;
    }
    rk_write(ring, tail, post, rk_tick(), 0, payload);
    if (rk_thread() == 0) rk_s.w.out_tail = tail + 1;
    rk_add(RK_C_SENT_HOST, 1);
    __syncwarp();
    return 0;
}

#define RK_FULL (~0ull - 1)

/* Reserves up to `want` consecutive places of a ring between actors, by one lane. Gives the position of the first, and how many
 * there are; or RK_FULL, or a position with RK_CLOSED, and none. */
RK_PUMP_FN rk_u64 rk_reserve(const rk_dev_ring &ring, rk_u32 want, rk_u32 &granted) {
    const rk_u64 capacity = 1ull << ring.shift;
    rk_u64 tail = rk_peek(ring.tail);
    for (;;) {
        granted = 0;
        /* Acquire: the receiver's handlers are done with the bodies. Asked for before the tail has come. */
        const rk_u64 head = rk_acquire(ring.head);
        if (tail & RK_CLOSED) return tail;
        /* A tail that others have left behind may be behind the head too; then the exchange will fail. */
        const rk_u64 room = tail < head ? capacity : capacity - (tail - head);
        if (room == 0) return RK_FULL;
        granted = room < want ? (rk_u32)room : want;
        /* Relaxed: the position is only a number. */
        const rk_u64 now =
            atomicCAS((unsigned long long *)ring.tail, (unsigned long long)tail, (unsigned long long)tail + granted);
        if (now == tail) return tail;
        tail = now;
    }
}

/* When a message may no longer be handled, in the clock's units; or 0. The same for all lanes. */
RK_PUMP_FN rk_u64 rk_deadline_of(const rk_dev_post &post) {
    return post.deadline_ns ? rk_shfl(rk_physical(), 0) + rk_units(post.deadline_ns) + 256 : 0;
}

/* Another kernel was sent something: what is told to the host grows with what has been sent. */
RK_PUMP_FN void rk_tell_of_foreign() {
    if (rk_thread() == 0)
        rk_poke((rk_u64)&((rk_dev_control *)rk_s.k.control)->foreign,
                (rk_u64)(blockIdx.x + 1) << 40 | rk_s.w.counts[RK_C_SENT_ACTORS]);
}

/* Into the ring of the receiver's worker, or of a topic's subscribers. As rk_publish_post. */
RK_COLD_FN rk_u64 rk_offer(const rk_dev_post &post, const rk_u8 *payload) {
    const rk_u32 key = (rk_u32)(post.to >> 32), index = post.actor & 0xfffff;
    if (key == RK_TOPIC) return rk_publish_post(post, payload);
    const rk_dev_kernel *found = rk_find_kernel(key);
    rk_i32 reason = 0;
    rk_u64 wait = 0;
    if (!found) {
        reason = RK_D_ELSEWHERE;
    } else if (index >= found->actors) {
        reason = RK_D_NO_ACTOR;
    } else {
        rk_u32 declared = rk_declared_of(*found, post.type);
        reason = declared == ~0u ? RK_D_TYPE : post.size > declared ? RK_D_SIZE : 0;
    }
    if (reason == 0) {
        rk_u32 worker = (rk_u32)((rk_u64)index * found->reciprocal >> 42);
        const rk_dev_ring &ring = ((const rk_dev_worker *)found->workers)[worker].rings[post.level];
        rk_u32 granted = 0;
        rk_u64 tail = rk_shfl(rk_thread() == 0 ? rk_reserve(ring, 1, granted) : 0, 0);
        if (tail == RK_FULL) {
            wait = (rk_u64)key << 32 | worker;
        } else if (tail & RK_CLOSED) {
            reason = RK_D_TERMINATED;
        } else {
            const rk_u64 deadline = rk_deadline_of(post);
            rk_write(ring, tail, post, rk_tick(), deadline, payload);
            rk_add(RK_C_SENT_ACTORS, 1);
            if (key != rk_s.k.key) rk_tell_of_foreign();
        }
    }
    if (reason) {
        /* Letters are memory of the host's, who is to read some before there are more. */
        if (rk_s.mode != RK_MODE_END && rk_letters_full()) return RK_WAIT_HOST;
        if (reason == RK_D_ELSEWHERE) rk_forward_by_host(post, payload, rk_tick());
        else rk_undeliverable(post, payload, reason);
    }
    __syncwarp();
    return wait;
}

RK_PUMP_FN rk_u32 rk_level_of(rk_u32 priority) {
    return priority == 0 ? 1 : priority < 64 ? 0 : priority < 128 ? 1 : priority < 192 ? 2 : 3;
}

/* The post that an entry of the outbox asks for. See src/backend/cpu/outbox.rs. */
RK_PUMP_FN rk_dev_post rk_post_of(const rk_outgoing &entry, const rk_dev_origin &origin) {
    const bool reply = entry.kind == RK_POST_REPLY, again = entry.kind == RK_POST_AGAIN;
    const bool forward = entry.kind == RK_POST_FORWARD || again;
    rk_dev_post post;
    post.to = reply ? origin.sender : entry.kind == RK_POST_EMIT ? 0 : entry.to;
    post.by = origin.actor;
    post.correlation = reply || forward ? origin.correlation : entry.correlation;
    post.sender = post.to == 0 ? 0 : forward ? origin.sender : origin.actor;
    post.deadline_ns = entry.deadline;
    post.actor = post.to == 0 ? (rk_u32)origin.actor : (rk_u32)post.to;
    post.type = entry.type & 0xffff;
    post.size = entry.size;
    post.level = entry.priority == 0 && (reply || forward) ? origin.level : rk_level_of(entry.priority);
    post.flags = post.to == 0 && reply ? origin.call | RK_F_REPLY : forward ? origin.call : 0;
    post.flags |= again ? RK_F_AGAIN : 0;
    post.reserved = 0;
    return post;
}

RK_PUMP_FN rk_u8 *rk_outbox_at(rk_u32 offset) {
    return offset < RK_FRONT ? rk_s.front + offset : (rk_u8 *)rk_s.w.outbox + offset;
}

/* Offset of the first entry from `at` on. */
RK_PUMP_FN rk_u32 rk_entry_from(rk_u32 at) {
    return at < RK_FRONT && at >= rk_s.w.front_end ? RK_FRONT : at;
}

/* The first entry that has not left, and where the next is. */
RK_PUMP_FN const rk_outgoing *rk_next_entry(rk_u32 &next) {
    for (rk_u32 at = rk_s.w.outbox_sent;; at = next) {
        if (at >= rk_s.w.outbox_used) return (const rk_outgoing *)0;
        at = rk_entry_from(at);
        const rk_outgoing *entry = (const rk_outgoing *)rk_outbox_at(at);
        next = at + rk_lane_context::entry(entry->size);
        if (entry->kind != RK_POST_SENT) return entry;
    }
}

RK_PUMP_FN void rk_empty_outbox() {
    __syncwarp();
    if (rk_thread() == 0) rk_s.w.outbox_used = rk_s.w.outbox_sent = 0, rk_s.w.front_end = RK_FRONT;
    __syncwarp();
}

RK_PUMP_FN rk_u32 rk_record(rk_u32 size) {
    return (rk_u32)sizeof(rk_dev_post) + ((size + 15u) & ~15u);
}

/* The oldest of what was set aside; records are whole, so a tail too short for one is skipped (marked by `by`, which no actor
 * has as its address). */
RK_PUMP_FN const rk_dev_post *rk_aside_front() {
    if (rk_s.w.aside_head == rk_s.w.aside_tail) return (const rk_dev_post *)0;
    rk_u64 at = rk_s.w.aside_head & (rk_s.k.aside_size - 1);
    if (((const rk_dev_post *)(rk_s.w.aside + at))->by == ~0ull) {
        __syncwarp();
        if (rk_thread() == 0) rk_s.w.aside_head += rk_s.k.aside_size - at;
        __syncwarp();
        at = 0;
    }
    return (const rk_dev_post *)(rk_s.w.aside + at);
}

RK_PUMP_FN bool rk_is_flushed() {
    return rk_s.w.outbox_sent == rk_s.w.outbox_used && rk_s.w.aside_head == rk_s.w.aside_tail;
}

/* A post that still waits when the kernel ends: to an actor it dies, to the host it joins the letters. */
RK_COLD_FN void rk_leave_behind(const rk_dev_post &post, const rk_u8 *payload) {
    if (post.to) {
        rk_undeliverable(post, payload, RK_D_TERMINATED);
        return;
    }
    rk_add(RK_C_SENT_HOST, 1);
    rk_note note = {post.by, 0, post.correlation, rk_tick(), post.flags & RK_F_REPLY ? RK_CLASS_REPLY : RK_CLASS_EMIT,
                    post.type, post.level, post.flags & RK_F_CALL, 0, 0};
    rk_letter(note, payload, post.size);
}

/* The origin of what the handler of a message sends. */
RK_PUMP_FN rk_dev_origin rk_origin_of(const rk_item &m) {
    rk_dev_origin origin;
    origin.actor = (rk_u64)rk_s.k.key << 32 | m.actor, origin.sender = m.sender();
    origin.correlation = m.correlation, origin.level = m.level(), origin.call = m.call();
    return origin;
}

/* Adds a post of the library's behind those of a handler, if there are any: of the message in item `number`. Room for one post
 * more than a handler may write is there. */
RK_COLD_FN void rk_add_post(rk_u32 number, rk_outgoing entry, const rk_u8 *payload) {
    if (rk_s.w.outbox_sent == rk_s.w.outbox_used) rk_empty_outbox();
    const rk_u32 used = rk_s.w.outbox_used, size = rk_lane_context::entry(entry.size);
    const rk_u32 at = used < RK_FRONT && used + size > RK_FRONT ? RK_FRONT : used;
    entry.reserved = number;
    __syncwarp();
    rk_copy((rk_u64)(rk_outbox_at(at) + sizeof entry), payload, entry.size, rk_thread());
    if (rk_thread() == 0) {
        *(rk_outgoing *)rk_outbox_at(at) = entry;
        rk_s.w.origins[number] = rk_origin_of(rk_s.items[number]);
        if (at != used) rk_s.w.front_end = used;
        rk_s.w.outbox_used = at + size;
    }
    __syncwarp();
}

/* For the actor in item `number`, which has ended, to its children, of which `first` is one's index plus 1. */
RK_COLD_FN void rk_add_orphaned(rk_u32 number, rk_u32 first) {
    const rk_outgoing entry = {(rk_u64)rk_s.k.key << 32 | (first - 1), (rk_s.items[number].actor & 0xfffff) + 1, 0,
                               RK_POST_SEND, RK_TYPE_ORPHANED};
    rk_add_post(number, entry, (const rk_u8 *)0);
}

/* Hands an actor that was restarted the message of item `number` again, at which it failed. */
RK_COLD_FN void rk_add_again(rk_u32 number, const rk_u8 *payload) {
    const rk_item &m = rk_s.items[number];
    const rk_u64 now = rk_shfl(rk_physical(), 0), left = m.deadline() > now ? m.deadline() - now : 0;
    /* From units of 2^-32 s; at least one, for none are no deadline. */
    const rk_u64 ns = __umul64hi(left, 1000000000ull << 32), deadline = m.deadline() == 0 ? 0 : ns ? ns : 1;
    const rk_outgoing entry = {(rk_u64)rk_s.k.key << 32 | m.actor, 0, deadline, RK_POST_AGAIN, m.type(), m.size};
    rk_add_post(number, entry, payload);
}

/* The child, by its index plus 1, that such a post goes on to when it has been sent; or 0. When the kernel ends, all have. */
RK_COLD_FN rk_u32 rk_next_orphan(const rk_dev_post &post) {
    rk_u32 next = 0;
    const rk_u32 child = post.actor & 0xfffff;
    if (rk_thread() == 0 && rk_s.mode != RK_MODE_END && (rk_u32)(post.to >> 32) == rk_s.k.key && child < rk_s.k.actors)
        next = rk_following(child, post.correlation);
    return __shfl_sync(RK_WARP, next, 0);
}

/* Sends what waits, what was set aside first. Gives what we wait for, or RK_LATER; at the end of the kernel, nothing waits. */
RK_COLD_FN rk_u64 rk_flush() {
    rk_u32 told = 0;
    /* At the end: once something for the host is left behind, what follows it is too, to stay behind it. */
    bool behind = false;
    for (;;) {
        rk_dev_post post;
        const rk_u8 *payload;
        rk_u32 next = 0;
        const rk_dev_post *front = rk_aside_front();
        const rk_outgoing *entry = front ? (const rk_outgoing *)0 : rk_next_entry(next);
        if (front) {
            post = *front;
            payload = (const rk_u8 *)(front + 1);
        } else {
            if (!entry) break;
            post = rk_post_of(*entry, rk_s.w.origins[entry->reserved & (RK_BATCH - 1)]);
            payload = (const rk_u8 *)(entry + 1);
        }
        const bool orphaned = post.type == RK_TYPE_ORPHANED;
        /* Asked first, for who is told forgets it. */
        const rk_u32 orphan = orphaned ? rk_next_orphan(post) : 0;
        rk_u64 wait = orphaned && rk_s.mode == RK_MODE_END ? 0
                      : behind && post.to == 0             ? RK_WAIT_HOST
                      : post.to                            ? rk_offer(post, payload)
                                                           : rk_hand_over(post, payload);
        /* A publication may have gone to hundreds, and a handler may have made hundreds. */
        const bool later = wait == RK_LATER;
        if (later) wait = 0;
        if (wait && rk_s.mode != RK_MODE_END) return wait;
        if (wait) rk_leave_behind(post, payload);
        behind |= wait && post.to == 0;
        __syncwarp();
        if (rk_thread() == 0) {
            const rk_u64 on = (rk_u64)rk_s.k.key << 32 | (orphan - 1);
            if (orphan && front) ((rk_dev_post *)front)->to = on, ((rk_dev_post *)front)->actor = orphan - 1;
            else if (orphan) ((rk_outgoing *)entry)->to = on;
            else if (front) rk_s.w.aside_head += rk_record(post.size);
            else rk_s.w.outbox_sent = next;
        }
        __syncwarp();
        if (orphan && ++told % RK_TOLD == 0 && rk_must_leave()) return RK_LATER;
        if (later) return RK_LATER;
    }
    rk_empty_outbox();
    return 0;
}

/* Bytes that posts of a type may fill of what is set aside. The last of it is for what an actor's children learn its end from:
 * one post stands for all of them. */
RK_PUMP_FN rk_u64 rk_room_aside(rk_u32 type) {
    return type == RK_TYPE_ORPHANED ? rk_s.k.aside_size : rk_s.k.aside_size - rk_s.k.aside_size / 8;
}

/* Moves what waits in the outbox behind what is set aside, so that a handler can use the outbox again. */
RK_COLD_FN void rk_set_aside() {
    rk_u32 next = 0;
    while (const rk_outgoing *entry = rk_next_entry(next)) {
        rk_dev_post post = rk_post_of(*entry, rk_s.w.origins[entry->reserved & (RK_BATCH - 1)]);
        const rk_u8 *payload = (const rk_u8 *)(entry + 1);
        rk_u64 need = rk_record(post.size), tail = rk_s.w.aside_tail;
        rk_u64 at = tail & (rk_s.k.aside_size - 1), skip = rk_s.k.aside_size - at >= need ? 0 : rk_s.k.aside_size - at;
        if (tail + skip + need - rk_s.w.aside_head > rk_room_aside(post.type)) {
            rk_undeliverable(post, payload, RK_D_OVERFLOW);
        } else {
            if (skip && rk_thread() == 0) ((rk_dev_post *)(rk_s.w.aside + at))->by = ~0ull;
            at = skip ? 0 : at;
            if (rk_thread() == 0) *(rk_dev_post *)(rk_s.w.aside + at) = post;
            rk_copy(rk_s.w.aside + at + sizeof(rk_dev_post), payload, post.size, rk_thread());
            __syncwarp();
            if (rk_thread() == 0) rk_s.w.aside_tail = tail + skip + need;
        }
        __syncwarp();
        if (rk_thread() == 0) rk_s.w.outbox_sent = next;
        __syncwarp();
    }
    rk_empty_outbox();
}

/* Publishes what we wait for. */
RK_PUMP_FN void rk_waits_for(rk_u64 wait) {
    if (rk_s.waits == wait) return;
    __syncwarp();
    if (rk_thread() == 0) {
        rk_s.waits = wait;
        rk_poke(rk_s.k.waits + 8ull * blockIdx.x, wait);
    }
    __syncwarp();
}

/* Whether the worker that we wait for waits, through any number of others, for us. See courier.rs. */
RK_COLD_FN bool rk_is_in_cycle() {
    rk_u32 found = 0;
    if (rk_thread() == 0) {
        rk_u64 self = (rk_u64)rk_s.k.key << 32 | blockIdx.x, at = rk_s.waits, mark = at, steps = 0, power = 1;
        while (at != 0 && at != RK_WAIT_HOST) {
            if (at == self) {
                found = 1;
                break;
            }
            const rk_dev_kernel *kernel = rk_find_kernel((rk_u32)(at >> 32));
            /* A kernel that began again may have fewer workers. */
            at = kernel && (rk_u32)at < kernel->worker_count ? rk_peek(kernel->waits + 8ull * (rk_u32)at) : 0;
            if (at == mark) break;
            if (++steps == power) mark = at, steps = 0, power *= 2;
        }
    }
    return __shfl_sync(RK_WARP, found, 0) != 0;
}

/* Posts that have not left, for the statistics. */
RK_COLD_FN rk_u64 rk_count_waiting() {
    rk_u64 waiting = 0;
    for (rk_u32 at = rk_s.w.outbox_sent; at < rk_s.w.outbox_used;) {
        at = rk_entry_from(at);
        const rk_outgoing *entry = (const rk_outgoing *)rk_outbox_at(at);
        waiting += entry->kind != RK_POST_SENT;
        at += rk_lane_context::entry(entry->size);
    }
    for (rk_u64 from = rk_s.w.aside_head; from != rk_s.w.aside_tail;) {
        const rk_u64 at = from & (rk_s.k.aside_size - 1);
        const rk_dev_post *post = (const rk_dev_post *)(rk_s.w.aside + at);
        if (post->by == ~0ull) {
            from += rk_s.k.aside_size - at;
            continue;
        }
        from += rk_record(post->size);
        waiting++;
    }
    return waiting;
}

#endif
