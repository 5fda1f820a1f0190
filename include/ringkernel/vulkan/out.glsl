/* On the way out: which post is next, where it goes, and what is written there. As src/backend/cpu/{outbox,courier}.rs. All
 * by lane 0. */
#ifndef RINGKERNEL_VULKAN_OUT_GLSL
#define RINGKERNEL_VULKAN_OUT_GLSL

#define RK_ENTRY_SIZE 48u

/* What a step writes, if anything: a message into a slot, a letter, a record of posts set aside. */
struct rk_writing {
    rk_u64 slot, body; /* of the message; no slot: no message */
    rk_u64 time, deadline;
    rk_u32 stamp; /* of the lap, as rk_stamp() */
    bool abroad; /* the message is for another kernel */
    rk_u64 record; /* of posts set aside */
    /* A letter, if it has a class. */
    rk_u64 from, to, correlation, sent_at;
    rk_u32 klass, type, level, call;
    rk_i32 reason;
    /* The payload of whatever it is. */
    rk_u64 payload;
    rk_u32 size;
};
rk_writing rk_out;
rk_dev_post rk_post; /* the message that is written into the slot or the record */

rk_u32 rk_level_of(rk_u32 priority) {
    return priority == 0u ? 1u : rk_min(priority, 255u) / 64u;
}

/* The post that an entry of the outbox asks for. */
rk_dev_post rk_post_of(rk_outgoing entry) {
    bool reply = entry.kind == RK_POST_REPLY, again = entry.kind == RK_POST_AGAIN;
    bool forward = entry.kind == RK_POST_FORWARD || again, answers = reply || forward;
    rk_dev_post post;
    post.to = reply ? rk_origin.sender : entry.kind == RK_POST_EMIT ? rk_u64(0) : entry.to;
    bool to_host = post.to == rk_u64(0);
    post.by = rk_origin.actor;
    post.correlation = answers ? rk_origin.correlation : entry.correlation;
    post.sender = to_host ? rk_u64(0) : forward ? rk_origin.sender : rk_origin.actor;
    post.deadline_ns = entry.deadline;
    post.actor = rk_u32(to_host ? rk_origin.actor : post.to);
    /* Zero, for what no slot can say, is a type that nobody handles. */
    post.type = entry.type > 0xffffu ? 0u : entry.type;
    post.size = entry.size;
    post.level = entry.priority == 0u && answers ? rk_origin.level : rk_level_of(entry.priority);
    /* A reply to an actor ends a call's way: the answer that the caller waits for is another. */
    post.flags = (reply && to_host) || forward ? rk_origin.call : 0u;
    post.flags |= (reply && to_host ? RK_F_REPLY : 0u) | (again ? RK_F_AGAIN : 0u);
    post.reserved = 0u;
    return post;
}

/* Bytes of a post with its payload among those set aside. */
rk_u64 rk_record(rk_u32 size) {
    return rk_u64(rk_dev_post_rk_sizeof() + ((size + 15u) & ~15u));
}

/* Offset in a record of who sent it, which is never all ones: that marks an end without one. */
#define RK_SKIP_AT rk_u64(8)

/* Address of the oldest post that was set aside. Records are whole, so an end too short for one is skipped; its first word
 * says so. */
rk_u64 rk_aside_front() {
    rk_u64 at = rk_aside_head & (rk_kernel.aside_size - rk_u64(1));
    if (rk_u64_at(rk_aside + at + RK_SKIP_AT).v == ~rk_u64(0)) {
        rk_aside_head += rk_kernel.aside_size - at;
        at = rk_u64(0);
    }
    return rk_aside + at;
}

/* Has rk_post waiting aside. False if there is no room. */
bool rk_set_aside() {
    rk_u64 need = rk_record(rk_post.size), size = rk_kernel.aside_size, at = rk_aside_tail & (size - rk_u64(1));
    rk_u64 skip = size - at >= need ? rk_u64(0) : size - at;
    /* The last of it is for what an actor's children learn its end from: one post stands for all of them. */
    rk_u64 room = rk_post.type == RK_TYPE_ORPHANED ? size : size - size / rk_u64(8);
    if (rk_aside_tail + skip + need - rk_aside_head > room) return false;
    if (skip != rk_u64(0)) rk_u64_at(rk_aside + at + RK_SKIP_AT).v = ~rk_u64(0);
    rk_out.record = rk_aside + (skip != rk_u64(0) ? rk_u64(0) : at);
    rk_aside_tail += skip + need;
    rk_aside_count++;
    return true;
}

/* The address that goes with a key in a table like the directory; or 0. Keys are never used again: one that is read before and
 * after the address is the address's. */
rk_u64 rk_look_up(rk_u64 table, rk_u64 key) {
    rk_u64 at = table + rk_u64(16u * (rk_u32(key) & 0xfffu));
    if (rk_peek(rk_u64_at(at).v) != key) return rk_u64(0);
    rk_acquire();
    rk_u64 found = rk_peek(rk_u64_at(at + 8u).v);
    rk_acquire();
    return rk_peek(rk_u64_at(at).v) == key ? found : rk_u64(0);
}

/* Address of the descriptor of the kernel with that key; 0 if it is not here. */
rk_u64 rk_find_kernel(rk_u32 key) {
    return key == rk_kernel.key ? rk_task.kernel : rk_look_up(rk_kernel.directory, rk_u64(key));
}

/* Declared size of a type that a kernel's actors handle, or ~0. The table is src/kernel/types.rs's. */
rk_u32 rk_declared(rk_u64 types, rk_u32 shift, rk_u32 mask, rk_u32 type) {
    rk_u32 at = type * 0x9e3779b9u >> shift, size = ~0u;
    bool found = false;
    [[dont_unroll]] for (rk_u32 i = 0u; i <= mask && !found; i++, at++) {
        rk_turns++;
        u32vec2 entry = rk_half_pair_at(types + 8u * (at & mask)).v;
        size = entry.x == type && entry.x != 0u ? entry.y : ~0u;
        found = entry.x == type || entry.x == 0u;
    }
    return size;
}

/* Chooses the slot at a position of a ring that is ours to write. */
void rk_aim(rk_dev_ring ring, rk_u64 position) {
    rk_out.slot = rk_slot_at(ring.slots, position, ring.shift);
    rk_out.body = ring.bodies + rk_u64(rk_place(position, ring.shift)) * rk_u64(ring.body);
    rk_out.stamp = rk_stamp(position, ring.shift);
    rk_out.time = ++rk_clock;
}

/* A deadline in the clock's units, of nanoseconds from now: 2^24 units of 2^8 a second. */
rk_u64 rk_deadline(rk_u64 ns) {
    rk_u64 whole = ns / rk_u64(1953125), rest = ns % rk_u64(1953125);
    rk_u64 units = (whole << 15) + (rest << 15) / rk_u64(1953125) + rk_u64(1);
    return ns == rk_u64(0) ? ns : rk_now() + (rk_min(units, rk_u64(1) << 54) << 8);
}

/* Nanoseconds until such a deadline; at least one, for none are no deadline. */
rk_u64 rk_until_deadline(rk_u64 deadline) {
    rk_u64 now = rk_now(), left = deadline > now ? deadline - now : rk_u64(0), half_mask = rk_u64(0xffffffffu);
    return rk_max((left >> 32) * rk_u64(1000000000) + ((left & half_mask) * rk_u64(1000000000) >> 32), rk_u64(1));
}

/* A place for rk_post in our ring to the host. What we wait for. */
rk_u64 rk_aim_at_host() {
    rk_u64 capacity = rk_u64(1) << rk_outbound.shift;
    if (rk_out_tail - rk_out_head >= capacity) {
        rk_out_head = rk_peek(rk_u64_at(rk_outbound.head).v);
        rk_acquire(); /* the host has read what lay there */
        if (rk_out_tail - rk_out_head >= capacity) return RK_WAIT_HOST;
    }
    rk_aim(rk_outbound, rk_out_tail++);
    rk_out.deadline = rk_u64(0);
    rk_counts[RK_C_SENT_HOST]++;
    return RK_WAIT_NOTHING;
}

/* A place for rk_post in the ring of the receiver's worker. What we wait for; or a reason why it cannot be delivered.
 * `publishing`: to a subscriber. `asks`: no place is taken. */
rk_u64 rk_aim_at_actor(bool publishing, bool asks, out rk_i32 reason) {
    rk_u32 key = rk_u32(rk_post.to >> 32), index = rk_post.actor & 0xfffffu;
    rk_u64 found = rk_find_kernel(key);
    /* What a kernel takes the host knows also when that has ended: who counts must not depend on who looks first. */
    bool gone = found == rk_u64(0);
    if (gone && publishing) found = rk_look_up(rk_kernel.directory, rk_u64(key) | RK_GONE);
    reason = RK_D_ELSEWHERE;
    if (found == rk_u64(0)) return RK_WAIT_NOTHING;
    reason = RK_D_NO_ACTOR;
    rk_dev_kernel_at kernel = rk_dev_kernel_at(found);
    if (index >= kernel.v.actors) return RK_WAIT_NOTHING;
    rk_u32 declared = rk_declared(kernel.v.types, kernel.v.type_shift, kernel.v.type_mask, rk_post.type);
    reason = declared == ~0u ? RK_D_TYPE : rk_post.size > declared ? RK_D_SIZE : gone ? RK_D_ELSEWHERE : 0;
    if (reason != 0 || asks) return RK_WAIT_NOTHING;
    rk_u32 worker = rk_u32(rk_u64(index) * kernel.v.reciprocal >> 42);
    rk_u64 at = kernel.v.workers + worker * rk_dev_worker_rk_sizeof() + rk_post.level * rk_dev_ring_rk_sizeof();
    rk_dev_ring ring = rk_dev_ring_at(at).v;
    /* Relaxed: the position is only a number; that its slot is free is learned from head. */
    rk_u64 tail = rk_peek(rk_u64_at(ring.tail).v);
    bool reserved = false, full = false;
    [[dont_unroll]] while (!reserved && !full && (tail & RK_CLOSED) == rk_u64(0)) {
        rk_turns++;
        rk_u64 head = rk_peek(rk_u64_at(ring.head).v);
        /* A tail that others have left behind may be behind the head too; then the exchange will fail. */
        full = tail > head && tail - head >> ring.shift != rk_u64(0);
        if (!full) {
            rk_u64 now = atomicCompSwap(rk_u64_at(ring.tail).v, tail, tail + rk_u64(1), gl_ScopeDevice,
                                        gl_StorageSemanticsNone, gl_SemanticsRelaxed, gl_StorageSemanticsNone,
                                        gl_SemanticsRelaxed);
            reserved = now == tail;
            tail = reserved ? tail : now;
        }
    }
    if (full) return rk_u64(key) << 32 | rk_u64(worker);
    if (!reserved) {
        reason = RK_D_TERMINATED;
        return RK_WAIT_NOTHING;
    }
    rk_acquire(); /* its consumer has read what lay there */
    rk_aim(ring, tail);
    rk_out.deadline = rk_deadline(rk_post.deadline_ns);
    rk_out.abroad = key != rk_kernel.key;
    return RK_WAIT_NOTHING;
}

/* Another kernel was sent something: what is told to the host grows with what has been sent. */
void rk_tell_of_foreign() {
    /* Now that it is all there: the other kernel's pump may look at once, and only once. */
    rk_release();
    rk_poke(rk_dev_control_at(rk_kernel.control).v.foreign,
            rk_u64(gl_WorkGroupID.x + 1u) << 40 | rk_counts[RK_C_SENT_ACTORS]);
}

/* Whether the worker that we wait for waits, through any number of others, for us. See src/backend/cpu/courier.rs. */
bool rk_is_in_cycle() {
    rk_u64 self = rk_u64(rk_kernel.key) << 32 | rk_u64(gl_WorkGroupID.x), at = rk_waits, mark = at;
    rk_u32 steps = 0u, power = 1u;
    bool lost = false;
    [[dont_unroll]] while (!lost && at != RK_WAIT_NOTHING && at != RK_WAIT_HOST && at != self) {
        rk_turns++;
        rk_u64 kernel = rk_find_kernel(rk_u32(at >> 32));
        lost = kernel == rk_u64(0) || rk_turns >= rk_task.turns;
        /* A kernel that began again may have fewer workers. */
        if (!lost) lost = rk_u32(at) >= rk_dev_kernel_at(kernel).v.worker_count;
        if (!lost) at = rk_peek(rk_u64_at(rk_dev_kernel_at(kernel).v.waits + 8u * rk_u32(at)).v);
        lost = lost || at == mark;
        if (++steps == power) {
            mark = at;
            steps = 0u;
            power *= 2u;
        }
    }
    return at == self;
}

/* A place for the letter in rk_out, which then is its address; 0 if there is none until the host looks. */
rk_u64 rk_aim_letter(out rk_u64 ticket) {
    rk_dev_kernel_at kernel = rk_dev_kernel_at(rk_task.kernel);
    ticket = rk_peek(kernel.v.letter_tail);
    bool reserved = false, full = false;
    [[dont_unroll]] while (!reserved && !full) {
        rk_turns++;
        rk_u64 head = rk_peek(rk_dev_command_at(rk_kernel.command).v.letter_head);
        full = ticket > head && ticket - head > rk_u64(rk_kernel.letter_mask);
        if (!full) {
            rk_u64 now = atomicCompSwap(kernel.v.letter_tail, ticket, ticket + rk_u64(1), gl_ScopeDevice,
                                        gl_StorageSemanticsNone, gl_SemanticsRelaxed, gl_StorageSemanticsNone,
                                        gl_SemanticsRelaxed);
            reserved = now == ticket;
            ticket = reserved ? ticket : now;
        }
    }
    if (!reserved) return rk_u64(0);
    rk_acquire(); /* the host has read what lay there */
    return rk_kernel.letters + (ticket & rk_u64(rk_kernel.letter_mask)) * rk_u64(rk_kernel.letter_stride);
}

/* The first bytes, and zeros. */
u64vec4 rk_cut(u64vec4 area, rk_u32 size) {
    rk_u64 mask = (rk_u64(1) << (8u * (size % 8u))) - rk_u64(1), all = ~rk_u64(0), none = rk_u64(0);
    return area & u64vec4(size < 8u ? mask : all, size < 16u ? (size > 8u ? mask : none) : all,
                          size < 24u ? (size > 16u ? mask : none) : all, size > 24u ? mask : none);
}

/* A payload of at most 32 bytes, and zeros, for nothing of what lies behind it is to go out. The outbox has room for a largest
 * message behind its end. */
u64vec4 rk_area_at(rk_u64 payload, rk_u32 size) {
    u64vec4 area = u64vec4(rk_pair_at(payload).v, rk_pair_at(payload + 16u).v);
    return size < 32u ? rk_cut(area, size) : area;
}

/* Whether rk_post's payload is in its slot, and not in a body. */
bool rk_is_inside() {
    return rk_out.size <= 32u - (rk_post.sender != rk_u64(0) ? 8u : 0u) - (rk_out.deadline != rk_u64(0) ? 8u : 0u);
}

/* The words of a slot; `area` is the payload, behind sender and deadline if it has any. */
rk_words rk_put_together(rk_u32 actor, rk_u32 d1, rk_u64 correlation, u64vec4 area, rk_u64 time, rk_u32 stamp) {
    u32vec2 c = unpackUint2x32(correlation), t = unpackUint2x32(time);
    u32vec4 p = rk_parts(area.xy), q = rk_parts(area.zw);
    u32vec4 last = u32vec4(t.x & 0xffffu, t.x >> 16, t.y & 0xffffu, t.y >> 16) | stamp;
    return rk_words(u32vec4(actor, d1, c.x, last.x), u32vec4(c.y, p.xy, last.y), u32vec4(p.zw, q.x, last.z),
                    u32vec4(q.yzw, last.w));
}

/* Writes rk_post into the slot in rk_out, its body if it has one. */
void rk_write_slot() {
    rk_u32 size = rk_out.size, bits = rk_post.flags & RK_F_SAID;
    u64vec4 area = u64vec4(size, 0, 0, 0);
    bool inside = rk_is_inside();
    if (inside) {
        area = rk_area_at(rk_out.payload, size);
    } else {
        rk_copy(rk_out.body, rk_out.payload, size);
        bits |= RK_F_BODY;
    }
    if (rk_out.deadline != rk_u64(0)) {
        bits |= RK_F_DEADLINE;
        area = u64vec4(rk_out.deadline, area.xyz);
    }
    if (rk_post.sender != rk_u64(0)) {
        bits |= RK_F_SENDER;
        area = u64vec4(rk_post.sender, area.xyz);
    }
    rk_u32 d1 = rk_post.type | (inside ? size : 0u) << 16 | rk_post.level << 22 | bits << 24;
    rk_store_slot(rk_out.slot, rk_put_together(rk_post.actor, d1, rk_post.correlation, area, rk_out.time, rk_out.stamp), !inside);
}

/* Writes what rk_out says. `letter`: the place of the letter, if there is one, and its ticket. */
void rk_write(rk_u64 letter, rk_u64 ticket) {
    rk_u32 size = rk_out.size;
    rk_u64 to = letter != rk_u64(0) ? letter + rk_dev_letter_rk_sizeof()
                                    : rk_out.record != rk_u64(0) ? rk_out.record + rk_dev_post_rk_sizeof() : rk_u64(0);
    if (to != rk_u64(0)) rk_copy(to, rk_out.payload, size);
    if (rk_out.record != rk_u64(0)) rk_dev_post_at(rk_out.record).v = rk_post;
    if (letter != rk_u64(0)) {
        rk_dev_letter_at at = rk_dev_letter_at(letter);
        at.v.from = rk_out.from;
        at.v.to = rk_out.to;
        at.v.correlation = rk_out.correlation;
        at.v.time = rk_out.sent_at;
        at.v.worker = gl_WorkGroupID.x;
        at.v.klass = rk_out.klass;
        at.v.type = rk_out.type;
        at.v.level = rk_out.level;
        at.v.call = rk_out.call;
        at.v.size = size;
        at.v.reason = rk_out.reason;
        at.v.deadline_ns = rk_post.deadline_ns;
        rk_release();
        rk_poke(at.v.stamp, ticket + rk_u64(1));
    }
    if (rk_out.slot != rk_u64(0)) rk_write_slot();
}

/* Posts that wait in the outbox, and aside. */
rk_u64 rk_count_waiting() {
    rk_u32 at = rk_outbox_sent, count = rk_aside_count;
    [[dont_unroll]] for (; at != rk_outbox_used; count++) {
        rk_turns++;
        at += RK_ENTRY_SIZE + ((rk_outgoing_ref(rk_cx.outbox + at).v.size + 15u) & ~15u);
    }
    return rk_u64(count);
}

#endif
