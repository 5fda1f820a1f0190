/* Receiving: which ring to take from, taking a message out of its slot, and what is to become of it. All by lane 0. */
#ifndef RINGKERNEL_VULKAN_RECEIVE_GLSL
#define RINGKERNEL_VULKAN_RECEIVE_GLSL

/* The ring that we take from, so long that others do not wait too long. */
struct rk_source {
    rk_u64 slots, bodies;
    rk_u32 shift, body;
    rk_u32 ring;
    rk_u32 more; /* messages until all rings are looked at again */
};
rk_source rk_from;

/* A message taken out of its slot. */
struct rk_taken {
    rk_u64 correlation, sender, deadline, time, payload;
    rk_u32 actor, type, level, call, size;
};
rk_taken rk_m;

/* What rk_m's type was last time, and its declared size: mostly what it is now. */
rk_u32 rk_known_type = 0u, rk_known_size = 0u;

/* Which rings have a message, as far as the first word of the slot tells. */
rk_u32 rk_look() {
    rk_u64 first[RK_RINGS];
    rk_u32 ready = 0u;
#define RK_LOOK_(ring) first[ring] = rk_peek(rk_u64_at(rk_next_at[ring]).v);
#define RK_SEE_(ring) ready |= rk_u32(first[ring] >> 48) == rk_next_stamp[ring] ? 1u << ring : 0u;
    /* All loads, then all looks at them, so that the loads are under way together. */
    RK_LOOK_(0) RK_LOOK_(1) RK_LOOK_(2) RK_LOOK_(3) RK_LOOK_(4) RK_LOOK_(5) RK_LOOK_(6) RK_LOOK_(7)
    RK_SEE_(0) RK_SEE_(1) RK_SEE_(2) RK_SEE_(3) RK_SEE_(4) RK_SEE_(5) RK_SEE_(6) RK_SEE_(7)
    return ready;
}

/* Begins with a ring: of those that are ready the one of the highest level, or now and then of another, actors and the
 * host in turns. */
void rk_choose(rk_u32 ready) {
    /* As four pairs of bits, the one for a level in place 2 * level: actors first, or the host. */
    rk_u32 first = rk_turn % RK_FAIRNESS == RK_FAIRNESS - 1u ? rk_turn / RK_FAIRNESS % RK_LEVELS : RK_LEVELS - 1u;
    rk_u32 levels = (ready | ready >> 4) & 15u;
    /* Turned so that the level to begin with is the highest bit. */
    rk_u32 turned = (levels << 4 | levels) >> (first + 1u) & 15u;
    rk_u32 level = (rk_u32(findMSB(turned)) + first + 1u) & 3u;
    rk_u32 host = ready >> (level + RK_LEVELS) & 1u, actors = ready >> level & 1u;
    rk_u32 ring = level + (rk_turn % 2u == 1u && host == 1u || actors == 0u ? RK_LEVELS : 0u);
    rk_dev_ring which = rk_ring_of(ring);
    rk_from = rk_source(which.slots, which.bodies, which.shift, which.body, ring,
                        rk_clamp(RK_FAIRNESS - 1u - rk_turn % RK_FAIRNESS, 1u, RK_BATCH));
}

/* Gives the slots before our position back. */
void rk_publish(rk_u32 ring, rk_u64 head) {
    rk_published[ring] = rk_position[ring];
    rk_release(); /* our reads of them, and handlers' of bodies, are over */
    rk_poke(rk_u64_at(head).v, rk_position[ring]);
}

/* Steps over the message at our position. */
void rk_consume() {
    rk_u32 ring = rk_from.ring;
    rk_position[ring]++;
    rk_expect(ring, rk_from.slots, rk_from.shift);
    rk_consumed++;
    rk_turn++;
    rk_from.more--;
    rk_u64 due = rk_u64(rk_clamp((1u << rk_from.shift) / 4u, 1u, 32u));
    if (rk_position[ring] - rk_published[ring] >= due) rk_publish(ring, rk_ring_of(ring).head);
}

/* Takes the next message out of its slot, into rk_m, and its payload to where handlers can read it. False if it is not
 * all there. */
bool rk_take() {
    rk_u64 slot = rk_next_at[rk_from.ring] - rk_u64(8);
    u64vec4 high = u64vec4(rk_peek(rk_high_at(slot, 0u)), rk_peek(rk_high_at(slot, 1u)),
                           rk_peek(rk_high_at(slot, 2u)), rk_peek(rk_high_at(slot, 3u)));
    if (any(notEqual(high >> 48, u64vec4(rk_next_stamp[rk_from.ring])))) return false;
    rk_acquire();
    u64vec4 low = u64vec4(rk_peek(rk_low_at(slot, 0u)), rk_peek(rk_low_at(slot, 1u)), rk_peek(rk_low_at(slot, 2u)),
                          rk_peek(rk_low_at(slot, 3u)));
    rk_u64 low_half = rk_u64(0xffffffffu);
    rk_u32 d1 = rk_u32(low.x >> 32), bits = d1 >> 24;
    u64vec4 area = u64vec4(low.y >> 32 | high.y << 32, low.z, high.z & low_half | low.w << 32,
                           low.w >> 32 | high.w << 32);
    rk_m.actor = rk_u32(low.x);
    rk_m.type = d1 & 0xffffu;
    rk_m.level = d1 >> 22 & 3u;
    rk_m.call = bits & RK_F_CALL;
    rk_m.correlation = high.x & low_half | low.y << 32;
    rk_m.sender = rk_m.deadline = rk_u64(0);
    if ((bits & RK_F_SENDER) != 0u) {
        rk_m.sender = area.x;
        area = u64vec4(area.yzw, 0);
    }
    if ((bits & RK_F_DEADLINE) != 0u) {
        rk_m.deadline = area.x;
        area = u64vec4(area.yzw, 0);
    }
    rk_m.time = (high.x >> 32 & rk_u64(0xffff)) | (high.y >> 32 & rk_u64(0xffff)) << 16 |
                (high.z >> 32 & rk_u64(0xffff)) << 32 | (high.w >> 32 & rk_u64(0xffff)) << 48;
    if ((bits & RK_F_BODY) != 0u) {
        rk_m.size = rk_min(rk_u32(area.x), rk_from.body);
        rk_u64 index = rk_position[rk_from.ring] & ((rk_u64(1) << rk_from.shift) - rk_u64(1));
        rk_m.payload = rk_from.bodies + index * rk_from.body;
    } else {
        rk_m.size = d1 >> 16 & 0x3fu;
        /* Handlers may read the whole declared size, whatever was sent. */
        rk_m.payload = rk_message;
        if (rk_m.size > 0u) rk_u64_at(rk_message).v = area.x;
        if (rk_m.size > 8u) rk_u64_at(rk_message + 8u).v = area.y;
        if (rk_m.size > 16u) rk_u64_at(rk_message + 16u).v = area.z;
        if (rk_m.size > 24u) rk_u64_at(rk_message + 24u).v = area.w;
    }
    return true;
}

/* Makes rk_m a dead letter. False if there is no room for it. */
bool rk_bury(rk_i32 reason) {
    if (!rk_letter(RK_CLASS_DEAD, rk_m.sender, rk_u64(rk_kernel.key) << 32 | rk_u64(rk_m.actor), rk_m.correlation,
                   rk_m.time, rk_m.type, reason, rk_m.level, rk_m.call, rk_m.payload, rk_m.size))
        return false;
    rk_counts[RK_C_DEAD]++;
    rk_consume();
    return true;
}

/* Why rk_m cannot be handled; 0 if it can. */
rk_i32 rk_verdict() {
    rk_u32 index = rk_m.actor & 0xfffffu;
    if (index >= rk_kernel.actors) return RK_D_NO_ACTOR;
    rk_dev_entry_at entry = rk_dev_entry_at(rk_kernel.entries + 16u * index);
    rk_u32 status = entry.v.status;
    if (entry.v.generation != rk_m.actor >> 20) return RK_D_NO_ACTOR;
    if (status != RK_RUNNING) return status == RK_STOPPED ? RK_D_STOPPED : RK_D_FAILED;
    if (rk_m.deadline != rk_u64(0) && rk_task.now > rk_m.deadline) return RK_D_EXPIRED;
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

/* After the handler of rk_m ran. */
void rk_conclude() {
    rk_handled++;
    rk_counts[RK_C_HANDLED]++;
    rk_counts[RK_C_REFUSED] += rk_u64(rk_cx.refused);
    rk_outbox_used = rk_min(rk_cx.outbox_used, rk_cx.outbox_limit);
    rk_outbox_sent = 0u;
    rk_origin = rk_dev_origin(rk_cx.self, rk_m.sender, rk_m.correlation, rk_m.level, rk_m.call);
    if (rk_cx.result != 0u) {
        rk_dev_entry_at entry = rk_dev_entry_at(rk_kernel.entries + 16u * rk_cx.index);
        if ((rk_cx.result & RK_RESULT_FAIL) != 0u) {
            entry.v.status = RK_FAILED;
            rk_counts[RK_C_FAILURES]++;
            rk_failed_actor = rk_cx.self;
            rk_failed_code = rk_cx.fail_code;
        } else {
            entry.v.status = RK_STOPPED;
        }
    }
    rk_consume();
}

#endif
