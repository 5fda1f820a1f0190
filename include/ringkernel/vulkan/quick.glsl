/* The way of most messages, by lane 0: a handler is called with one, and what it posted is sent, if that is one message to the
 * host or to an actor of this kernel. Whatever is anything else is left to rk_step().
 *
 * One invocation does all of this, so what counts is how many instructions and branches a message takes. Messages are handled in
 * rows, the innermost loop, which looks at one ring only and leaves positions and counts as they are; between rows all rings are
 * looked at. Of a row most messages are plain, and so are most answers: these have a straight way of their own. (On an H200 a
 * round trip takes 2.17 us with both, 2.48 with rows alone, 2.75 with neither. To read the next slot of a row while the
 * handler runs costs more than it saves: 3.0 us where it is 2.7 without.) */
#ifndef RINGKERNEL_VULKAN_QUICK_GLSL
#define RINGKERNEL_VULKAN_QUICK_GLSL

/* Looks at a ring between two at all of them, where no other is in use, and where one is. */
#define RK_SELDOM 32u
#define RK_OFTEN 4u
/* Messages of a row, at most: between rows a worker learns that it is to leave. */
#define RK_ROW 8u
/* After so many looks at all rings only that is in use which is taken from. */
#define RK_IN_USE 256u

/* The command, as of the last look. */
rk_u64 rk_leave_seen = rk_u64(0);

/* As rk_is_told_to_leave(), without waiting for what it looks at, which is acted on next time. */
bool rk_was_told_to_leave() {
    bool told = rk_leave_seen == rk_task.launch;
    rk_leave_seen = rk_peek(rk_dev_command_at(rk_kernel.command).v.leave);
    return told;
}

/* A row: messages of rk_from's ring. rk_from and the counts learn of them when it has ended. */
struct rk_messages {
    rk_u64 slots;
    rk_u32 place, mask, stamp; /* of the next slot */
    rk_u32 left;               /* messages that it may still have */
    rk_u32 looks;              /* for the next one, before it ends */
    rk_u32 done, answers, tells;
};
rk_messages rk_row = rk_messages(rk_u64(0), 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u);

void rk_begin_row(rk_u32 messages, rk_u32 looks) {
    rk_row.slots = rk_from.slots;
    rk_row.mask = (1u << rk_from.shift) - 1u;
    rk_row.place = rk_place(rk_from.position, rk_from.shift);
    rk_row.stamp = rk_stamp(rk_from.position, rk_from.shift);
    rk_row.left = rk_min(rk_min(messages, rk_due() - rk_from.unpublished), rk_task.messages - rk_handled);
    rk_row.looks = looks;
}

void rk_end_row() {
    rk_from.position += rk_u64(rk_row.done);
    rk_from.unpublished += rk_row.done;
    rk_turn += rk_row.done;
    rk_handled += rk_row.done;
    rk_counts[RK_C_HANDLED] += rk_u64(rk_row.done);
    rk_counts[RK_C_SENT_HOST] += rk_u64(rk_row.answers);
    rk_counts[RK_C_SENT_ACTORS] += rk_u64(rk_row.tells);
    if (rk_row.done != 0u) rk_idle = 0u;
    rk_row.done = rk_row.answers = rk_row.tells = 0u;
    rk_give_back();
}

/* A message of the known type for an actor below this is plain: 0 if one has to look at actors' entries, or at the type. */
rk_u32 rk_plain_actors = 0u;

/* Whether the actor of rk_m can have it, as far as its entry tells. */
bool rk_is_running() {
    rk_u32 index = rk_m.actor & 0xfffffu;
    if (rk_irregular == 0u) return rk_m.actor < rk_cx.actors;
    if (index >= rk_cx.actors) return false;
    u32vec2 entry = rk_half_pair_at(rk_kernel.entries + 16u * index).v; /* status, generation */
    return entry.x == RK_RUNNING && entry.y == rk_m.actor >> 20;
}

/* Takes a message about which something is special. */
rk_u32 rk_take_special(rk_words words) {
    rk_take_apart(words, rk_row.place);
    if (rk_m.type != rk_known_type) {
        rk_known_size = rk_declared(rk_kernel.types, rk_kernel.type_shift, rk_kernel.type_mask, rk_m.type);
        rk_known_type = rk_m.type;
    }
    /* Whoever starts or stops it comes by such a type, too. */
    bool signals = rk_m.type >= RK_TYPE_START, expires = rk_m.deadline != rk_u64(0), known = rk_known_size != ~0u;
    rk_plain_actors = known && !signals && rk_irregular == 0u ? rk_cx.actors : 0u;
    if (signals || expires || !known || !rk_is_running() || rk_m.size > rk_known_size) return rk_want();
    rk_prepare();
    return RK_HANDLE;
}

/* The next message of the row, if it comes soon. */
rk_u32 rk_watch() {
    if (rk_row.left == 0u) return RK_GO_ON;
    rk_u64 slot = rk_row.slots + (rk_u64(rk_row.place) << 6);
    rk_words words;
    bool there;
    rk_u32 looks = rk_row.looks;
    rk_turns += RK_STEP_TURNS;
    [[dont_unroll]] do {
        rk_turns++;
        words = rk_load_slot(slot);
        there = rk_is_there(words, rk_row.stamp);
    } while (!there && --looks != 0u);
    if (!there) {
        rk_idle += rk_row.looks;
        return rk_row.done == 0u && rk_idle >= rk_task.idle ? RK_LEAVE : RK_GO_ON;
    }
    rk_u32 d1 = words.a.y, size = d1 >> 16 & 0x3fu;
    /* All of d1 but two flags, level and size. */
    bool plain = (d1 & ~((RK_F_CALL | RK_F_SENDER) << 24 | 3u << 22 | 0x3fu << 16)) == rk_known_type;
    plain = plain && size <= rk_known_size && words.a.x < rk_plain_actors;
    if (!plain) return rk_take_special(words);
    u64vec4 area = u64vec4(rk_join(words.b.y, words.b.z), rk_join(words.c.x, words.c.y), rk_join(words.c.z, words.d.x),
                           rk_join(words.d.y, words.d.z));
    rk_m.sender = rk_u64(0);
    if ((d1 & RK_F_SENDER << 24) != 0u) {
        rk_m.sender = area.x;
        area = u64vec4(area.yzw, 0);
    }
    rk_m.actor = words.a.x;
    rk_m.type = rk_known_type;
    rk_m.level = d1 >> 22 & 3u;
    rk_m.call = d1 >> 24 & RK_F_CALL;
    rk_m.again = 0u;
    rk_m.correlation = rk_join(words.a.z, words.b.x);
    rk_m.deadline = rk_u64(0);
    rk_m.time = rk_join(words.a.w & 0xffffu | words.b.w << 16, words.c.w & 0xffffu | words.d.w << 16);
    rk_m.size = size;
    rk_m.payload = rk_message;
    rk_pair_at(rk_message).v = area.xy;
    rk_pair_at(rk_message + 16u).v = area.zw;
    rk_prepare();
    return RK_HANDLE;
}

/* The ring between actors that was sent to last, by the address of its tail; what that was then; and a head of it, up to which
 * its consumer was seen to be done. */
rk_u64 rk_peer = rk_u64(0), rk_peer_tail, rk_peer_head;

/* A place for rk_post, which is for an actor of our own kernel. False if there is none. */
bool rk_aim_at_peer() {
    rk_u32 worker = rk_u32(rk_u64(rk_post.actor) * rk_kernel.reciprocal >> 42);
    rk_u64 at = rk_kernel.workers + worker * rk_dev_worker_rk_sizeof() + rk_post.level * rk_dev_ring_rk_sizeof();
    rk_dev_ring ring = rk_dev_ring_at(at).v;
    bool reserved = false, refused = false, looks = false;
    if (ring.tail != rk_peer) {
        rk_peer = ring.tail;
        /* Relaxed: the position is only a number; that its slot is free is learned from head. */
        rk_peer_tail = rk_peek(rk_u64_at(ring.tail).v);
        looks = true;
    }
    [[dont_unroll]] while (!reserved && !refused) {
        rk_turns++;
        rk_u64 tail = rk_peer_tail;
        if (looks || tail - rk_peer_head >> ring.shift != rk_u64(0)) {
            rk_peer_head = rk_peek(rk_u64_at(ring.head).v);
            rk_acquire(); /* its consumer has read what lay before it */
        }
        looks = false;
        /* A tail that others have left behind may be behind the head too; then the exchange will fail. */
        refused = (tail & RK_CLOSED) != rk_u64(0) ||
                  (tail > rk_peer_head && tail - rk_peer_head >> ring.shift != rk_u64(0));
        if (!refused) {
            rk_u64 now = atomicCompSwap(rk_u64_at(ring.tail).v, tail, tail + rk_u64(1), gl_ScopeDevice,
                                        gl_StorageSemanticsNone, gl_SemanticsRelaxed, gl_StorageSemanticsNone,
                                        gl_SemanticsRelaxed);
            reserved = now == tail;
            rk_peer_tail = reserved ? tail + rk_u64(1) : now;
            if (reserved) rk_aim(ring, tail);
        }
    }
    return reserved;
}

/* What rk_aim_first() gives for what does not go this way: no worker's wait, for no kernel has key 0. */
#define RK_OTHERWISE rk_u64(1)

/* A place for rk_first, posted by the handler of rk_m, which becomes rk_post. What we wait for, or RK_OTHERWISE. */
rk_u64 rk_aim_first() {
    bool reply = rk_first.kind == RK_POST_REPLY, emit = rk_first.kind == RK_POST_EMIT;
    rk_u64 to = reply ? rk_m.sender : emit ? rk_u64(0) : rk_first.to;
    bool to_host = to == rk_u64(0);
    rk_post.actor = to_host ? rk_m.actor : rk_u32(to);
    rk_post.correlation = reply ? rk_m.correlation : rk_first.correlation;
    rk_post.sender = to_host ? rk_u64(0) : rk_cx.self;
    /* Zero, for what no slot can say, is a type that nobody handles. */
    rk_post.type = rk_first.type > 0xffffu ? 0u : rk_first.type;
    rk_post.size = rk_first.size;
    rk_post.level = reply && rk_first.priority == 0u ? rk_m.level : rk_level_of(rk_first.priority);
    rk_post.flags = reply && to_host ? rk_m.call | RK_F_REPLY : 0u;
    if (to_host && (reply || emit)) return rk_aim_at_host();
    if (!reply && rk_first.kind != RK_POST_SEND) return RK_OTHERWISE;
    /* An actor of a generation other than 0 has an index that is too large. */
    if (rk_u32(to >> 32) != rk_kernel.key || rk_post.actor >= rk_cx.actors || rk_first.deadline != rk_u64(0)) return RK_OTHERWISE;
    if (rk_first.type >= RK_TYPE_START) return RK_OTHERWISE;
    rk_u32 declared = rk_known_size;
    if (rk_post.type != rk_known_type)
        declared = rk_declared(rk_kernel.types, rk_kernel.type_shift, rk_kernel.type_mask, rk_post.type);
    if (declared == ~0u || rk_post.size > declared || !rk_aim_at_peer()) return RK_OTHERWISE;
    rk_out.deadline = rk_u64(0);
    rk_row.tells++;
    return RK_WAIT_NOTHING;
}

/* After the handler of rk_m ran: sends its post, if it has at most one and that goes this way. False: rk_conclude() is to do
 * it. */
bool rk_answer() {
    rk_u32 size = rk_first.size;
    bool fine = (rk_cx.result | rk_cx.refused) == 0u, posted = rk_cx.outbox_used != 0u;
    bool one = rk_cx.outbox_used == RK_ENTRY_SIZE + ((size + 15u) & ~15u);
    bool room = rk_u32(rk_out_tail) - rk_u32(rk_out_head) >> rk_outbound.shift == 0u;
    bool reply = (rk_first.kind ^ RK_POST_REPLY | rk_first.type >> 16 | rk_first.priority) == 0u && rk_m.sender == rk_u64(0);
    bool plain = fine && one && reply && size <= 32u && room;
    if (plain) {
        u64vec4 area = rk_area_at(rk_cx.outbox + rk_u64(RK_ENTRY_SIZE), size);
        rk_u32 d1 = rk_first.type | size << 16 | rk_m.level << 22 | (rk_m.call | RK_F_REPLY) << 24;
        rk_store_slot(rk_slot_at(rk_outbound.slots, rk_out_tail, rk_outbound.shift),
                      rk_put_together(rk_m.actor, d1, rk_m.correlation, area, ++rk_clock, rk_stamp(rk_out_tail, rk_outbound.shift)),
                      false);
        rk_out_tail++;
        rk_row.answers++;
    } else if (!fine) {
        return false;
    } else if (posted) {
        if (!one || rk_aim_first() != RK_WAIT_NOTHING) return false;
        rk_out.payload = rk_cx.outbox + rk_u64(RK_ENTRY_SIZE);
        rk_out.size = rk_post.size;
        rk_write_slot();
    }
    rk_row.done++;
    rk_row.left--;
    rk_row.place = rk_row.place + 1u & rk_row.mask;
    rk_row.stamp += rk_row.place == 0u ? 1u << 16 : 0u;
    return true;
}

/* Between two rows: sends posts that wait, and chooses the ring of the next row. */
rk_u32 rk_quick() {
    rk_end_row();
    rk_turns += RK_STEP_TURNS;
    if (rk_turns >= rk_task.turns || rk_was_told_to_leave()) return RK_LEAVE;
    if (rk_task.mode == RK_MODE_END || rk_failed_actor != rk_u64(0) || rk_aside_count != 0u || rk_breaking)
        return rk_want();
    if (rk_outbox_sent != rk_outbox_used) {
        rk_u64 at = rk_cx.outbox + rk_outbox_sent;
        rk_outgoing entry = rk_outgoing_ref(at).v;
        rk_first = rk_posted(entry.to, entry.correlation, entry.deadline, entry.kind, entry.type, entry.size, entry.priority);
        rk_cx.self = rk_origin.actor;
        rk_m.actor = rk_u32(rk_origin.actor);
        rk_m.sender = rk_origin.sender;
        rk_m.correlation = rk_origin.correlation;
        rk_m.level = rk_origin.level;
        rk_m.call = rk_origin.call;
        rk_u64 wait = rk_aim_first();
        if (wait == RK_OTHERWISE) return rk_want();
        rk_wait_for(wait);
        if (wait != RK_WAIT_NOTHING) return rk_pause();
        rk_out.payload = at + rk_u64(RK_ENTRY_SIZE);
        rk_out.size = rk_post.size;
        rk_write_slot();
        rk_outbox_sent += RK_ENTRY_SIZE + ((rk_post.size + 15u) & ~15u);
        rk_idle = 0u;
        return RK_GO_ON;
    }
    if (rk_handled >= rk_task.messages) return RK_LEAVE;

    /* Else nothing comes while we are here. */
    bool watches = rk_task.idle > 2u * RK_SELDOM;
    rk_put_back();
    if (++rk_looks % RK_IN_USE == 0u) rk_used = 1u << rk_from.ring;
    rk_u32 ready = rk_look();
    if (ready != 0u) {
        rk_take_from(rk_choose(ready), RK_ROW);
    } else {
        rk_u32 next = rk_pause();
        if (next == RK_LEAVE || !watches) return next;
    }
    rk_u32 here = 1u << rk_from.ring;
    bool alone = ((rk_used | ready) & ~here) == 0u, ends = !watches || (ready & ~here) != 0u;
    rk_begin_row(alone ? RK_ROW : rk_clamp(RK_FAIRNESS - 1u - rk_turn % RK_FAIRNESS, 1u, RK_ROW),
                 ends ? 1u : alone ? RK_SELDOM : RK_OFTEN);
    return RK_WATCH;
}

#endif
