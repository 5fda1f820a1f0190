/* Sending: slots of rings, letters, and the way to the receiver. All by lane 0. */
#ifndef RINGKERNEL_VULKAN_SEND_GLSL
#define RINGKERNEL_VULKAN_SEND_GLSL

/* The halves of a slot's words. The upper ones carry the stamps. */
#define rk_low_at(slot, word) rk_u64_at((slot) + (word) * 16u).v
#define rk_high_at(slot, word) rk_u64_at((slot) + (word) * 16u + 8u).v

/* Writes a message to a position of a ring that the caller owns. `payload`: its address. */
void rk_write(rk_dev_ring ring, rk_u64 position, rk_dev_post post, rk_u64 time, rk_u64 deadline, rk_u64 payload) {
    rk_u64 index = position & ((rk_u64(1) << ring.shift) - rk_u64(1));
    rk_u32 room = 32u - (post.sender != rk_u64(0) ? 8u : 0u) - (deadline != rk_u64(0) ? 8u : 0u);
    bool fits = post.size <= room;
    rk_u32 bits = post.flags & (RK_F_CALL | RK_F_REPLY);
    u64vec4 area = u64vec4(post.size, 0, 0, 0);
    if (fits) {
        area.x = post.size > 0u ? rk_u64_at(payload).v : rk_u64(0);
        area.y = post.size > 8u ? rk_u64_at(payload + 8u).v : rk_u64(0);
        area.z = post.size > 16u ? rk_u64_at(payload + 16u).v : rk_u64(0);
        area.w = post.size > 24u ? rk_u64_at(payload + 24u).v : rk_u64(0);
        /* Nothing of what lies behind the payload. */
        if (post.size % 8u != 0u) {
            rk_u64 mask = (rk_u64(1) << (8u * (post.size % 8u))) - rk_u64(1);
            rk_u32 last = post.size / 8u;
            area.x &= last == 0u ? mask : ~rk_u64(0);
            area.y &= last == 1u ? mask : ~rk_u64(0);
            area.z &= last == 2u ? mask : ~rk_u64(0);
            area.w &= last == 3u ? mask : ~rk_u64(0);
        }
    } else {
        bits |= RK_F_BODY;
        rk_copy(ring.bodies + index * ring.body, payload, post.size);
    }
    if (deadline != rk_u64(0)) {
        bits |= RK_F_DEADLINE;
        area = u64vec4(deadline, area.xyz);
    }
    if (post.sender != rk_u64(0)) {
        bits |= RK_F_SENDER;
        area = u64vec4(post.sender, area.xyz);
    }
    rk_u32 d1 = post.type | (fits ? post.size : 0u) << 16 | post.level << 22 | bits << 24;
    rk_u64 low_half = rk_u64(0xffffffffu), c = post.correlation;
    rk_u64 stamp = (position >> ring.shift) + rk_u64(1) << 48;
    u64vec4 low = u64vec4(rk_u64(post.actor) | rk_u64(d1) << 32, c >> 32 | area.x << 32, area.y,
                          area.z >> 32 | area.w << 32);
    u64vec4 high = u64vec4(c & low_half, area.x >> 32, area.z & low_half, area.w >> 32);
    high |= (u64vec4(time, time >> 16, time >> 32, time >> 48) & rk_u64(0xffff)) << 32 | stamp;
    rk_u64 slot = ring.slots + (index << 6);
    rk_poke(rk_low_at(slot, 0u), low.x);
    rk_poke(rk_low_at(slot, 1u), low.y);
    rk_poke(rk_low_at(slot, 2u), low.z);
    rk_poke(rk_low_at(slot, 3u), low.w);
    /* Whoever sees a stamp sees its word's other half, and the body. */
    rk_release();
    rk_poke(rk_high_at(slot, 3u), high.w);
    rk_poke(rk_high_at(slot, 2u), high.z);
    rk_poke(rk_high_at(slot, 1u), high.y);
    rk_poke(rk_high_at(slot, 0u), high.x);
}

/* Has a dead letter or event wait for the host. False if there is no room, which the host makes when it looks next. */
bool rk_letter(rk_u32 klass, rk_u64 from, rk_u64 to, rk_u64 correlation, rk_u64 time, rk_u32 type, rk_i32 reason,
               rk_u32 level, rk_u32 call, rk_u64 payload, rk_u32 size) {
    rk_dev_kernel_at kernel = rk_dev_kernel_at(rk_task.kernel);
    rk_u64 ticket = rk_peek(kernel.v.letter_tail);
    bool found = false;
    [[dont_unroll]] while (!found) {
        rk_turns++;
        rk_u64 head = rk_peek(rk_dev_command_at(rk_kernel.command).v.letter_head);
        /* A ticket that others have left behind may be behind the host too; then the exchange will fail. */
        if (ticket > head && ticket - head > rk_u64(rk_kernel.letter_mask)) return false;
        rk_u64 now = atomicCompSwap(kernel.v.letter_tail, ticket, ticket + rk_u64(1), gl_ScopeDevice,
                                    gl_StorageSemanticsNone, gl_SemanticsRelaxed, gl_StorageSemanticsNone,
                                    gl_SemanticsRelaxed);
        found = now == ticket;
        ticket = found ? ticket : now;
    }
    rk_acquire(); /* the host has read what lay there */
    rk_u64 at = rk_kernel.letters + (ticket & rk_u64(rk_kernel.letter_mask)) * rk_u64(rk_kernel.letter_stride);
    rk_dev_letter_at letter = rk_dev_letter_at(at);
    letter.v.from = from;
    letter.v.to = to;
    letter.v.correlation = correlation;
    letter.v.time = time;
    letter.v.worker = gl_WorkGroupID.x;
    letter.v.klass = klass;
    letter.v.type = type;
    letter.v.level = level;
    letter.v.call = call;
    letter.v.size = size;
    letter.v.reason = reason;
    rk_copy(at + rk_dev_letter_rk_sizeof(), payload, size);
    rk_release();
    rk_poke(letter.v.stamp, ticket + rk_u64(1));
    return true;
}

/* Whether the host has too many dead letters unread for more to be made. */
bool rk_is_full_of_letters() {
    return rk_peek(rk_dev_orders_at(rk_orders).v.letters_full) != rk_u64(0);
}

bool rk_undeliverable(rk_dev_post post, rk_u64 payload, rk_i32 reason) {
    if (!rk_letter(RK_CLASS_DEAD, post.sender, post.to, post.correlation, rk_clock + rk_u64(1), post.type, reason,
                   post.level, post.flags & RK_F_CALL, payload, post.size))
        return false;
    rk_tick();
    rk_counts[RK_C_UNDELIVERABLE]++;
    return true;
}

/* Address of the descriptor of the kernel with that key; 0 if it is not here. Keys are never used again: one that is read
 * before and after the address is the address's. */
rk_u64 rk_find_kernel(rk_u32 key) {
    if (key == rk_kernel.key) return rk_task.kernel;
    rk_u64 at = rk_kernel.directory + 16u * (key & 0xfffu);
    if (rk_peek(rk_u64_at(at).v) != rk_u64(key)) return rk_u64(0);
    rk_acquire();
    rk_u64 kernel = rk_peek(rk_u64_at(at + 8u).v);
    rk_acquire();
    return rk_peek(rk_u64_at(at).v) == rk_u64(key) ? kernel : rk_u64(0);
}

/* Declared size of a type that a kernel's actors handle, or ~0. The table is src/kernel/types.rs's. */
rk_u32 rk_declared(rk_u64 types, rk_u32 shift, rk_u32 mask, rk_u32 type) {
    rk_u32 at = type * 0x9e3779b9u >> shift;
    [[dont_unroll]] for (rk_u32 i = 0u; i <= mask; i++, at++) {
        rk_turns++;
        rk_u64 entry = types + 8u * (at & mask);
        rk_u32 found = rk_u32_at(entry).v;
        if (found == type) return rk_u32_at(entry + 4u).v;
        if (found == 0u) break;
    }
    return ~0u;
}

/* Into our ring to the host. What we wait for. */
rk_u64 rk_hand_over(rk_dev_post post, rk_u64 payload) {
    if (rk_out_tail - rk_out_head >> rk_outbound.shift != rk_u64(0)) {
        rk_out_head = rk_peek(rk_u64_at(rk_outbound.head).v);
        rk_acquire(); /* the host has read what lay there */
        if (rk_out_tail - rk_out_head >> rk_outbound.shift != rk_u64(0)) return RK_WAIT_HOST;
    }
    rk_write(rk_outbound, rk_out_tail, post, rk_tick(), rk_u64(0), payload);
    rk_out_tail++;
    rk_counts[RK_C_SENT_HOST]++;
    return RK_WAIT_NOTHING;
}

/* A deadline in the clock's units, of nanoseconds from now: 2^24 units of 2^8 a second. */
rk_u64 rk_deadline(rk_u64 ns) {
    if (ns == rk_u64(0)) return ns;
    rk_u64 whole = ns / rk_u64(1953125), rest = ns % rk_u64(1953125);
    rk_u64 units = (whole << 15) + (rest << 15) / rk_u64(1953125) + rk_u64(1);
    return rk_task.now + (rk_min(units, rk_u64(1) << 54) << 8);
}

/* Into the ring of the receiver's worker. What we wait for. */
rk_u64 rk_offer(rk_dev_post post, rk_u64 payload) {
    rk_u32 key = rk_u32(post.to >> 32), index = post.actor & 0xfffffu;
    rk_u64 found = rk_find_kernel(key);
    rk_dev_kernel_at kernel = rk_dev_kernel_at(found);
    rk_i32 reason = 0;
    if (found == rk_u64(0)) {
        reason = RK_D_NO_ACTOR;
    } else if (index >= kernel.v.actors) {
        reason = RK_D_NO_ACTOR;
    } else {
        rk_u32 declared = rk_declared(kernel.v.types, kernel.v.type_shift, kernel.v.type_mask, post.type);
        reason = declared == ~0u ? RK_D_TYPE : post.size > declared ? RK_D_SIZE : 0;
    }
    if (reason == 0) {
        rk_u32 worker = rk_u32(rk_u64(index) * kernel.v.reciprocal >> 42);
        rk_u64 at = kernel.v.workers + worker * rk_dev_worker_rk_sizeof() + post.level * rk_dev_ring_rk_sizeof();
        rk_dev_ring ring = rk_dev_ring_at(at).v;
        /* Relaxed: the position is only a number; that its slot is free is learned from head. */
        rk_u64 tail = rk_peek(rk_u64_at(ring.tail).v);
        bool reserved = false;
        [[dont_unroll]] while (!reserved && (tail & RK_CLOSED) == rk_u64(0)) {
            rk_turns++;
            rk_u64 head = rk_peek(rk_u64_at(ring.head).v);
            /* As in rk_letter: a tail behind the head is an old one. */
            if (tail > head && tail - head >> ring.shift != rk_u64(0)) return rk_u64(key) << 32 | rk_u64(worker);
            rk_u64 now = atomicCompSwap(rk_u64_at(ring.tail).v, tail, tail + rk_u64(1), gl_ScopeDevice,
                                        gl_StorageSemanticsNone, gl_SemanticsRelaxed, gl_StorageSemanticsNone,
                                        gl_SemanticsRelaxed);
            reserved = now == tail;
            tail = reserved ? tail : now;
        }
        if (reserved) {
            rk_acquire(); /* its consumer has read what lay there */
            rk_write(ring, tail, post, rk_tick(), rk_deadline(post.deadline_ns), payload);
            rk_counts[RK_C_SENT_ACTORS]++;
            if (key != rk_kernel.key)
                rk_poke(rk_dev_control_at(rk_kernel.control).v.foreign,
                        rk_u64(gl_WorkGroupID.x + 1u) << 40 | rk_counts[RK_C_SENT_ACTORS]);
            return RK_WAIT_NOTHING;
        }
        reason = RK_D_TERMINATED;
    }
    /* Letters are memory, and the host is to read some first. */
    if (rk_is_full_of_letters() || !rk_undeliverable(post, payload, reason)) return RK_WAIT_HOST;
    return RK_WAIT_NOTHING;
}

#endif
