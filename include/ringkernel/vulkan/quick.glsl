/* The way of most messages, by lane 0: what their handlers posted to the host goes there, and the next message is handled.
 * Whatever is anything else is left to rk_step().
 *
 * One invocation does all of this, so what counts is the length of the way. Posts go before the next message is looked for,
 * and while one ring only was ever used, the others are looked at every so often. (To read the next slot of a row while the
 * handler runs costs more than it saves: on an H200 a round trip takes 3.2 us with it, 2.9 without, a message of a row 1.5.) */
#ifndef RINGKERNEL_VULKAN_QUICK_GLSL
#define RINGKERNEL_VULKAN_QUICK_GLSL

/* Rounds of a worker of which only one ring was used between two looks at the others. */
#define RK_SELDOM 8u

/* The command, as of the last look. */
rk_u64 rk_leave_seen = rk_u64(0);

/* As rk_is_told_to_leave(), without waiting for what it looks at. */
bool rk_was_told_to_leave() {
    bool told = rk_leave_seen == rk_task.launch;
    if ((++rk_steps & 7u) == 0u) rk_leave_seen = rk_peek(rk_dev_command_at(rk_kernel.command).v.leave);
    return told;
}

/* Whether the actor of rk_m can have it, as far as its entry tells. */
bool rk_is_running() {
    rk_u32 index = rk_m.actor & 0xfffffu;
    if (rk_irregular == 0u) return rk_m.actor < rk_kernel.actors;
    if (index >= rk_kernel.actors) return false;
    u32vec2 entry = rk_half_pair_at(rk_kernel.entries + 16u * index).v; /* status, generation */
    return entry.x == RK_RUNNING && entry.y == rk_m.actor >> 20;
}

/* Whether a post is an answer to the host, or emitted to it: then it is rk_post. As rk_post_of(), which most of its time chooses. */
bool rk_is_plain(rk_outgoing entry) {
    bool reply = entry.kind == RK_POST_REPLY;
    rk_post.actor = rk_u32(rk_origin.actor);
    rk_post.correlation = reply ? rk_origin.correlation : entry.correlation;
    rk_post.sender = rk_u64(0);
    rk_post.type = entry.type > 0xffffu ? 0u : entry.type;
    rk_post.size = entry.size;
    rk_post.level = reply && entry.priority == 0u ? rk_origin.level : rk_level_of(entry.priority);
    rk_post.flags = reply ? rk_origin.call | RK_F_REPLY : 0u;
    return reply ? rk_origin.sender == rk_u64(0) : entry.kind == RK_POST_EMIT;
}

rk_u32 rk_quick() {
    rk_turns += RK_STEP_TURNS;
    if (rk_turns >= rk_task.turns || rk_was_told_to_leave()) return RK_LEAVE;
    if (rk_task.mode == RK_MODE_END || rk_failed_actor != rk_u64(0) || rk_aside_count != 0u || rk_breaking)
        return rk_want();
    if (rk_outbox_sent != rk_outbox_used) {
        rk_u64 at = rk_cx.outbox + rk_outbox_sent;
        if (!rk_is_plain(rk_outgoing_ref(at).v)) return rk_want();
        rk_u64 wait = rk_aim_at_host();
        rk_wait_for(wait);
        if (wait != RK_WAIT_NOTHING) return rk_pause();
        rk_out.payload = at + rk_u64(RK_ENTRY_SIZE);
        rk_out.size = rk_post.size;
        rk_write_slot();
        rk_outbox_sent += RK_ENTRY_SIZE + ((rk_post.size + 15u) & ~15u);
        rk_idle = 0u;
        if (rk_outbox_sent != rk_outbox_used) return RK_GO_ON;
    }
    if (rk_handled >= rk_task.messages) return RK_LEAVE;

    if (rk_from.more == 0u) {
        bool watches = rk_task.idle > 2u * RK_SELDOM, alone = (rk_used & ~(1u << rk_from.ring)) == 0u;
        if (watches && alone && ++rk_looks % RK_SELDOM != 0u) {
            rk_from.more = 1u;
        } else {
            rk_put_back();
            rk_u32 ready = rk_look();
            if (ready == 0u) return rk_pause();
            rk_take_from(rk_choose(ready), rk_clamp(RK_FAIRNESS - 1u - rk_turn % RK_FAIRNESS, 1u, RK_BATCH));
        }
    }
    if (!rk_take()) return rk_pause();
    if (rk_m.type != rk_known_type) {
        rk_known_size = rk_declared(rk_kernel.types, rk_kernel.type_shift, rk_kernel.type_mask, rk_m.type);
        rk_known_type = rk_m.type;
    }
    /* Whoever starts or stops it comes by such a type, too. */
    bool signals = rk_m.type >= RK_TYPE_START, expires = rk_m.deadline != rk_u64(0);
    if (signals || expires || !rk_is_running() || rk_known_size == ~0u || rk_m.size > rk_known_size) return rk_want();
    rk_prepare();
    rk_idle = 0u;
    return RK_HANDLE;
}

#endif
