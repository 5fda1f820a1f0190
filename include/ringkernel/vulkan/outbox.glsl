/* What a handler produced, on its way out. As src/backend/cpu/outbox.rs: posts leave in order, when one finds a full ring
 * the rest waits behind it, and only where workers wait for each other in a circle are they set aside. All by lane 0. */
#ifndef RINGKERNEL_VULKAN_OUTBOX_GLSL
#define RINGKERNEL_VULKAN_OUTBOX_GLSL

#define RK_ENTRY_SIZE 48u

rk_u32 rk_level_of(rk_u32 priority) {
    return priority == 0u ? 1u : rk_min(priority, 255u) / 64u;
}

/* The post that an entry of the outbox asks for. */
rk_dev_post rk_post_of(rk_outgoing entry) {
    bool reply = entry.kind == RK_POST_REPLY, forward = entry.kind == RK_POST_FORWARD, answers = reply || forward;
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
    post.flags |= reply && to_host ? RK_F_REPLY : 0u;
    post.reserved = 0u;
    return post;
}

/* Bytes of a post with its payload among those set aside. */
rk_u32 rk_record(rk_u32 size) {
    return rk_dev_post_rk_sizeof() + ((size + 15u) & ~15u);
}

bool rk_is_flushed() {
    return rk_outbox_sent == rk_outbox_used && rk_aside_count == 0u && rk_failed_actor == rk_u64(0);
}

/* Address of the oldest post that was set aside. Records are whole, so an end too short for one is skipped; its first word
 * says so. */
rk_u64 rk_aside_front() {
    rk_u64 at = rk_aside_head & (rk_kernel.aside_size - rk_u64(1));
    if (rk_u64_at(rk_aside + at).v == ~rk_u64(0)) {
        rk_aside_head += rk_kernel.aside_size - at;
        at = rk_u64(0);
    }
    return rk_aside + at;
}

/* At the kernel's end: what is for an actor goes if it can, or dies; what is for the host joins the letters, behind what
 * is in the ring. */
rk_u64 rk_leave_behind(rk_dev_post post, rk_u64 payload) {
    if (post.to != rk_u64(0)) {
        rk_u64 wait = rk_offer(post, payload);
        if (wait == RK_WAIT_NOTHING || wait == RK_WAIT_HOST) return wait;
        return rk_undeliverable(post, payload, RK_D_TERMINATED) ? RK_WAIT_NOTHING : RK_WAIT_HOST;
    }
    rk_u32 klass = (post.flags & RK_F_REPLY) != 0u ? RK_CLASS_REPLY : RK_CLASS_EMIT;
    if (!rk_letter(klass, post.by, rk_u64(0), post.correlation, rk_clock + rk_u64(1), post.type, 0, post.level,
                   post.flags & RK_F_CALL, payload, post.size))
        return RK_WAIT_HOST;
    rk_tick();
    rk_counts[RK_C_SENT_HOST]++;
    return RK_WAIT_NOTHING;
}

/* Sends what waits, what was set aside first. Gives what we wait for. */
rk_u64 rk_flush() {
    if (rk_failed_actor != rk_u64(0)) {
        if (!rk_letter(RK_CLASS_EVENT, rk_failed_actor, rk_u64(0), rk_u64(0), rk_clock + rk_u64(1), RK_EVENT_FAILED_ACTOR,
                       rk_failed_code, 1u, 0u, rk_u64(0), 0u))
            return RK_WAIT_HOST;
        rk_tick();
        rk_failed_actor = rk_u64(0);
    }
    [[dont_unroll]] while (!rk_is_flushed()) {
        rk_turns++;
        if (rk_is_over()) return RK_WAIT_NEXT;
        bool aside = rk_aside_count != 0u;
        rk_dev_post post;
        rk_u64 at;
        if (aside) {
            at = rk_aside_front();
            post = rk_dev_post_at(at).v;
            at += rk_u64(rk_dev_post_rk_sizeof());
        } else {
            at = rk_outbox + rk_outbox_sent;
            post = rk_post_of(rk_outgoing_ref(at).v);
            at += rk_u64(RK_ENTRY_SIZE);
        }
        rk_u64 wait;
        if (rk_task.mode == RK_MODE_END)
            wait = rk_leave_behind(post, at);
        else if (post.to == rk_u64(0))
            wait = rk_hand_over(post, at);
        else
            wait = rk_offer(post, at);
        if (wait != RK_WAIT_NOTHING) return wait;
        if (aside) {
            rk_aside_head += rk_u64(rk_record(post.size));
            rk_aside_count--;
        } else {
            rk_outbox_sent += RK_ENTRY_SIZE + ((post.size + 15u) & ~15u);
        }
    }
    rk_outbox_used = rk_outbox_sent = 0u;
    return RK_WAIT_NOTHING;
}

/* Moves what waits in the outbox behind what is set aside, so that a handler can use the outbox again. False if the host
 * must first make room for letters. */
bool rk_set_aside() {
    [[dont_unroll]] while (rk_outbox_sent != rk_outbox_used) {
        rk_turns++;
        rk_u64 from = rk_outbox + rk_outbox_sent;
        rk_dev_post post = rk_post_of(rk_outgoing_ref(from).v);
        from += rk_u64(RK_ENTRY_SIZE);
        rk_u64 need = rk_u64(rk_record(post.size)), size = rk_kernel.aside_size;
        rk_u64 at = rk_aside_tail & (size - rk_u64(1)), skip = size - at >= need ? rk_u64(0) : size - at;
        if (rk_aside_tail + skip + need - rk_aside_head > size) {
            if (!rk_undeliverable(post, from, RK_D_OVERFLOW)) return false;
        } else {
            if (skip != rk_u64(0)) rk_u64_at(rk_aside + at).v = ~rk_u64(0);
            at = rk_aside + (skip != rk_u64(0) ? rk_u64(0) : at);
            rk_dev_post_at(at).v = post;
            rk_copy(at + rk_dev_post_rk_sizeof(), from, post.size);
            rk_aside_tail += skip + need;
            rk_aside_count++;
        }
        rk_outbox_sent += RK_ENTRY_SIZE + ((post.size + 15u) & ~15u);
    }
    rk_outbox_used = rk_outbox_sent = 0u;
    return true;
}

/* Whether the worker that we wait for waits, through any number of others, for us. See src/backend/cpu/courier.rs. */
bool rk_is_in_cycle() {
    rk_u64 self = rk_u64(rk_kernel.key) << 32 | rk_u64(gl_WorkGroupID.x), at = rk_waits, mark = at;
    rk_u32 steps = 0u, power = 1u;
    [[dont_unroll]] while (at != RK_WAIT_NOTHING && at != RK_WAIT_HOST && at != self && !rk_is_over()) {
        rk_turns++;
        rk_u64 kernel = rk_find_kernel(rk_u32(at >> 32));
        if (kernel == rk_u64(0)) return false;
        at = rk_peek(rk_u64_at(rk_dev_kernel_at(kernel).v.waits + 8u * rk_u32(at)).v);
        if (at == mark) return false;
        if (++steps == power) {
            mark = at;
            steps = 0u;
            power *= 2u;
        }
    }
    return at == self;
}

/* Posts that wait in the outbox, and aside. */
rk_u64 rk_count_waiting() {
    rk_u32 at = rk_outbox_sent, count = rk_aside_count;
    [[dont_unroll]] for (; at != rk_outbox_used; count++) {
        rk_turns++;
        at += RK_ENTRY_SIZE + ((rk_outgoing_ref(rk_outbox + at).v.size + 15u) & ~15u);
    }
    return rk_u64(count);
}

#endif
