/* On the way in: which ring to take from, taking a message out of its slot, and what is to become of it. All by lane 0. */
#ifndef RINGKERNEL_VULKAN_IN_GLSL
#define RINGKERNEL_VULKAN_IN_GLSL

/* The ring that we take from, so long that others do not wait too long. */
struct rk_source {
    rk_u64 position, slots;
    rk_u32 shift, ring;
    rk_u32 unpublished;
    rk_u32 more; /* messages until all rings are looked at again */
};
rk_source rk_from;

/* A message taken out of its slot. */
struct rk_taken {
    rk_u64 correlation, sender, deadline, time, payload;
    rk_u32 actor, type, level, call, again, size;
};
rk_taken rk_m;

/* What rk_m's type was last time, and its declared size: mostly what it is now. */
rk_u32 rk_known_type = 0u, rk_known_size = ~0u;

/* Has the arrays of all rings say how far we are in the one that we take from. */
void rk_put_back() {
#define RK_PUT_BACK_(i)                                                                                                \
    rk_position[i] = rk_from.ring == i ? rk_from.position : rk_position[i];                                            \
    rk_unpublished[i] = rk_from.ring == i ? rk_from.unpublished : rk_unpublished[i];
    RK_EACH_RING_(RK_PUT_BACK_)
}

/* Which rings have a message, as far as the first word of the slot tells. After rk_put_back(). */
rk_u32 rk_look() {
    rk_u64 first[RK_RINGS];
    rk_u32 ready = 0u;
    /* All loads, then all looks at them, so that the loads are under way together. */
#define RK_LOOK_(i) first[i] = rk_peek(rk_high_at(rk_slot_at(rk_slots[i], rk_position[i], rk_shift[i]), 0u));
#define RK_SEE_(i)                                                                                                     \
    ready |= rk_has_stamp(unpackUint2x32(first[i]).y, rk_stamp(rk_position[i], rk_shift[i])) ? 1u << i : 0u;
    RK_EACH_RING_(RK_LOOK_)
    RK_EACH_RING_(RK_SEE_)
    return ready;
}

/* Begins with a ring. After rk_put_back(). */
void rk_take_from(rk_u32 ring, rk_u32 messages) {
    rk_from.ring = ring;
    rk_from.more = messages;
    rk_used |= 1u << ring & 255u;
#define RK_FROM_(i)                                                                                                    \
    rk_from.position = ring == i ? rk_position[i] : rk_from.position;                                                  \
    rk_from.slots = ring == i ? rk_slots[i] : rk_from.slots;                                                           \
    rk_from.shift = ring == i ? rk_shift[i] : rk_from.shift;                                                           \
    rk_from.unpublished = ring == i ? rk_unpublished[i] : rk_from.unpublished;
    RK_EACH_RING_(RK_FROM_)
}

/* Of the rings that are ready the one of the highest level, or now and then of another; actors and the host in turns: after the
 * ring that was taken from last, and where another level has its turn by how often all of them have had theirs. */
rk_u32 rk_choose(rk_u32 ready) {
    bool other = rk_turn % RK_FAIRNESS == RK_FAIRNESS - 1u;
    rk_u32 first = other ? rk_turn / RK_FAIRNESS % RK_LEVELS : RK_LEVELS - 1u;
    bool host_first = other ? (rk_turn / (RK_FAIRNESS * RK_LEVELS) & 1u) != 0u : rk_from.ring < RK_LEVELS;
    rk_u32 levels = (ready | ready >> 4) & 15u;
    /* Turned so that the level to begin with is the highest bit. */
    rk_u32 turned = (levels << 4 | levels) >> (first + 1u) & 15u;
    rk_u32 level = (rk_u32(findMSB(turned)) + first + 1u) & 3u;
    rk_u32 host = ready >> (level + RK_LEVELS) & 1u, actors = ready >> level & 1u;
    return level + ((host_first && host == 1u) || actors == 0u ? RK_LEVELS : 0u);
}

/* At the kernel's end: a ring that has accepted more than we have taken; RK_RINGS if there is none. */
rk_u32 rk_choose_unfinished() {
    rk_u32 ring = RK_RINGS;
#define RK_UNFINISHED_(i) ring = ring == RK_RINGS && rk_position[i] < rk_end_at[i] ? i : ring;
    RK_EACH_RING_(RK_UNFINISHED_)
    return ring;
}

/* After how many messages their slots are given back. */
rk_u32 rk_due() {
    return rk_clamp((1u << rk_from.shift) / 4u, 1u, 32u);
}

/* Gives slots back, if there are so many. */
void rk_give_back() {
    if (rk_from.unpublished < rk_due()) return;
    rk_from.unpublished = 0u;
    rk_publish(rk_dev_ring_at(rk_ring_at(rk_from.ring)).v.head, rk_from.position);
}

/* Steps over the message at our position. */
void rk_consume() {
    rk_from.position++;
    rk_from.more--;
    rk_turn++;
    rk_from.unpublished++;
    rk_give_back();
}

/* Address of the slot that is next. */
rk_u64 rk_next_slot() {
    return rk_slot_at(rk_from.slots, rk_from.position, rk_from.shift);
}

/* Whether a slot, so read, has the message of a lap with that stamp. */
bool rk_is_there(rk_words words, rk_u32 stamp) {
    return rk_has_stamp((words.a.w ^ stamp | words.b.w ^ stamp) | (words.c.w ^ stamp | words.d.w ^ stamp), 0u);
}

/* Takes a message out of the words of a slot, by its place in the ring, into rk_m, and its payload to where handlers can read it. */
void rk_take_apart(rk_words words, rk_u32 place) {
    u32vec4 a = words.a, b = words.b, c = words.c, d = words.d;
    rk_u32 d1 = a.y, bits = d1 >> 24;
    u64vec4 area = u64vec4(rk_join(b.y, b.z), rk_join(c.x, c.y), rk_join(c.z, d.x), rk_join(d.y, d.z));
    rk_m.actor = a.x;
    rk_m.type = d1 & 0xffffu;
    rk_m.level = d1 >> 22 & 3u;
    rk_m.call = bits & RK_F_CALL;
    rk_m.again = bits & RK_F_AGAIN;
    rk_m.correlation = rk_join(a.z, b.x);
    rk_m.sender = rk_m.deadline = rk_u64(0);
    if ((bits & (RK_F_SENDER | RK_F_DEADLINE)) != 0u) {
        if ((bits & RK_F_SENDER) != 0u) {
            rk_m.sender = area.x;
            area = u64vec4(area.yzw, 0);
        }
        if ((bits & RK_F_DEADLINE) != 0u) {
            rk_m.deadline = area.x;
            area = u64vec4(area.yzw, 0);
        }
    }
    rk_m.time = rk_join(a.w & 0xffffu | b.w << 16, c.w & 0xffffu | d.w << 16);
    if ((bits & RK_F_BODY) != 0u) {
        if (RK_WHOLE_WORDS != 0u) rk_acquire(); /* pairs with the release before the slot; and the cache has older bodies */
        rk_dev_ring_at ring = rk_dev_ring_at(rk_ring_at(rk_from.ring));
        rk_u32 body = ring.v.body;
        rk_m.size = rk_min(rk_u32(area.x), body);
        rk_m.payload = ring.v.bodies + rk_u64(place) * rk_u64(body);
    } else {
        rk_m.size = d1 >> 16 & 0x3fu;
        /* Handlers may read the whole declared size, whatever was sent. */
        rk_m.payload = rk_message;
        rk_pair_at(rk_message).v = area.xy;
        rk_pair_at(rk_message + 16u).v = area.zw;
    }
}

/* The same, of a slot that is read here. False if the message is not all there. */
bool rk_take() {
    rk_words words = rk_load_slot(rk_next_slot());
    bool there = rk_is_there(words, rk_stamp(rk_from.position, rk_from.shift));
    if (there) rk_take_apart(words, rk_place(rk_from.position, rk_from.shift));
    return there;
}

/* Why rk_m cannot be handled; 0 if it can. */
rk_i32 rk_verdict() {
    if (rk_task.mode == RK_MODE_END) return RK_D_TERMINATED;
    rk_u32 index = rk_m.actor & 0xfffffu;
    if (index >= rk_kernel.actors) return RK_D_NO_ACTOR;
    u32vec2 entry = rk_half_pair_at(rk_kernel.entries + 16u * index).v; /* status, generation */
    if (entry.y != rk_m.actor >> 20) return RK_D_NO_ACTOR;
    if (entry.x != RK_RUNNING) return entry.x == RK_STOPPED ? RK_D_STOPPED : RK_D_FAILED;
    if (rk_m.deadline != rk_u64(0) && rk_now() > rk_m.deadline) return RK_D_EXPIRED;
    if (rk_m.type != rk_known_type) {
        rk_known_size = rk_declared(rk_kernel.types, rk_kernel.type_shift, rk_kernel.type_mask, rk_m.type);
        rk_known_type = rk_m.type;
    }
    return rk_known_size == ~0u ? RK_D_TYPE : rk_m.size > rk_known_size ? RK_D_SIZE : 0;
}

/* Sets rk_cx for the handler of rk_m. */
void rk_prepare() {
    rk_u32 index = rk_m.actor & 0xfffffu;
    rk_clock = rk_max(rk_clock, rk_m.time) + rk_u64(1);
    rk_cx.state = rk_kernel.states + rk_u64(index) * rk_u64(rk_kernel.stride);
    rk_cx.message = rk_m.payload;
    rk_cx.type = rk_m.type;
    rk_cx.size = rk_m.size;
    rk_cx.index = index;
    rk_cx.self = rk_u64(rk_kernel.key) << 32 | rk_u64(rk_m.actor);
    rk_cx.sender = rk_m.sender;
    rk_cx.correlation = rk_m.correlation;
    rk_cx.time = rk_clock;
    rk_cx.priority = 64u * rk_m.level;
}

/* The entry of the actor whose handler failed or stopped it. */
rk_dev_entry_at rk_failed_entry() {
    return rk_dev_entry_at(rk_kernel.entries + 16u * (rk_u32(rk_failed_actor) & 0xfffffu));
}

/* Whether it is to be restarted, which is counted here; src/kernel/supervision.rs says the rule. */
bool rk_counts_restart() {
    rk_dev_entry_at entry = rk_failed_entry();
    rk_u32 now = rk_u32(rk_clock >> 22);
    if (entry.v.restarts == 0u || now - entry.v.since > rk_kernel.restart_window) {
        entry.v.restarts = 0u;
        entry.v.since = now;
    }
    bool restarts = entry.v.restarts < rk_kernel.restarts;
    if (restarts) {
        entry.v.restarts++;
        rk_counts[RK_C_RESTARTS]++;
    }
    return restarts;
}

/* Hands rk_m, whose handler failed, to its actor again, by a post behind those of the handler. Room for one more than it may
 * write is there. */
void rk_add_again() {
    rk_u64 at = rk_cx.outbox + rk_outbox_used, deadline = rk_u64(0);
    if (rk_m.deadline != rk_u64(0)) deadline = rk_until_deadline(rk_m.deadline);
    rk_outgoing_ref(at).v =
        rk_outgoing(rk_cx.self, rk_u64(0), deadline, RK_POST_AGAIN, rk_m.type, rk_m.size, 0u, rk_u64(0));
    rk_copy(at + rk_u64(RK_ENTRY_SIZE), rk_m.payload, rk_m.size);
    rk_outbox_used += RK_ENTRY_SIZE + ((rk_m.size + 15u) & ~15u);
}

/* After the handler of rk_m ran. */
void rk_conclude() {
    if (rk_cx.outbox_used != 0u) rk_put_(0u, rk_first);
    rk_handled++;
    rk_counts[RK_C_HANDLED]++;
    rk_counts[RK_C_REFUSED] += rk_u64(rk_cx.refused);
    rk_outbox_used = rk_min(rk_cx.outbox_used, rk_cx.outbox_limit);
    rk_outbox_sent = 0u;
    rk_origin = rk_dev_origin(rk_cx.self, rk_m.sender, rk_m.correlation, rk_m.level, rk_m.call);
    if (rk_cx.result != 0u) {
        bool failed = (rk_cx.result & RK_RESULT_FAIL) != 0u;
        rk_irregular = 1u;
        rk_counts[RK_C_FAILURES] += rk_u64(failed ? 1u : 0u);
        rk_failed_actor = rk_cx.self;
        rk_failed_code = rk_cx.fail_code;
        bool restarts = failed && rk_counts_restart();
        rk_failed_entry().v.status = restarts ? RK_RESTARTING : failed ? RK_FAILED : RK_STOPPED;
        if (restarts && rk_m.again != 0u) rk_add_again();
    }
    rk_consume();
}

#endif
