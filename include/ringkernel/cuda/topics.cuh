/* Publishing: what an actor tells a topic goes from here to the subscribers that the host has given a place in the topic's
 * rk_dev_audience, 32 at a time, and to all others by one letter, from which the host leaves these out. They are never waited
 * for. src/topics/fanout.rs says who they are. */
#ifndef RINGKERNEL_CUDA_TOPICS_CUH
#define RINGKERNEL_CUDA_TOPICS_CUH

#include <ringkernel/cuda/posts.cuh>

/* What a step of 32 subscribers came to. */
struct rk_reached {
    bool misfits; /* one does not take such a message, which the host makes a dead letter */
    bool abroad;  /* one has it that is of another kernel */
};

/* To the subscriber `actor` of this lane, if there is one. What became of it is counted at `delivered` or `dropped`: relaxed, at
 * system scope, for the host reads it. */
RK_COLD_FN rk_reached rk_reach(rk_u64 actor, rk_u64 delivered, rk_u64 dropped, const rk_dev_post &post, rk_u64 deadline,
                               const rk_u8 *payload) {
    const rk_u32 key = (rk_u32)(actor >> 32), index = (rk_u32)actor & 0xfffff, thread = rk_thread();
    const rk_dev_kernel *found = actor ? rk_find_kernel(key) : (const rk_dev_kernel *)0;
    /* What a kernel takes the host knows also when that has ended: who counts must not depend on who looks first. */
    const rk_dev_kernel *asked =
        actor && !found ? (const rk_dev_kernel *)rk_look_up(rk_s.k.directory, key | RK_GONE) : found;
    rk_u32 declared = ~0u;
    if (asked && index < asked->actors) {
        if (key == rk_s.k.key) declared = RK_DECLARED(post.type);
        /* Signals are in the table only. */
        if (declared == ~0u) declared = rk_declared_of(*asked, post.type);
    }
    const bool misfits = asked && (declared == ~0u || post.size > declared), fits = found && !misfits;
    const rk_u32 fitting = __ballot_sync(RK_WARP, fits);
    rk_dev_ring ring = {0, 0, 0, 0, 0, 0};
    rk_u64 position = 0;
    bool granted = false;
    if (fits) {
        const rk_u32 worker = (rk_u32)((rk_u64)index * found->reciprocal >> 42);
        ring = ((const rk_dev_worker *)found->workers)[worker].rings[post.level];
        /* Those whose ring is the same get places together. */
        const rk_u32 same = __match_any_sync(fitting, (unsigned long long)ring.tail);
        const int leader = __ffs((int)same) - 1;
        rk_u32 got = 0;
        if ((int)thread == leader) position = rk_reserve(ring, __popc(same), got);
        const rk_u32 rank = __popc(same & ((1u << thread) - 1));
        granted = __shfl_sync(same, got, leader) > rank;
        position = __shfl_sync(same, (unsigned long long)position, leader) + rank;
    }
    __syncwarp();
    const rk_u32 all = __ballot_sync(RK_WARP, granted);
    const rk_u64 place = position & ((1ull << ring.shift) - 1);
    if (!rk_fits(post, deadline)) {
        for (rk_u32 left = all; left; left &= left - 1)
            rk_copy(rk_shfl(ring.bodies + place * ring.body, __ffs((int)left) - 1), payload, post.size, thread);
        /* Release, by every lane for its part: whoever sees the stamps sees the body. */
        __threadfence();
        __syncwarp();
    }
    const rk_u64 time = rk_s.w.clock + 1 + __popc(all & ((1u << thread) - 1));
    __syncwarp();
    if (thread == 0) rk_s.w.clock += __popc(all);
    __syncwarp();
    if (granted) {
        rk_slot slot = rk_slot_of(post, deadline, payload);
        slot.head = (slot.head & ~0xffffffffull) | (rk_u32)actor;
        for (rk_u32 i = 0; i < 4; i++) {
            const rk_word word = slot.word(i, (rk_u16)((position >> ring.shift) + 1), time);
            rk_store_word(ring.slots + place * 64 + i * 16, word.a, word.b);
        }
    }
    if (actor && !misfits) atomicAdd_system((unsigned long long *)(granted ? delivered : dropped), 1ull);
    rk_reached reached;
    reached.misfits = __any_sync(RK_WARP, misfits);
    reached.abroad = __any_sync(RK_WARP, granted && key != rk_s.k.key);
    return reached;
}

/* What an rk_dev_audience says but for its places, which are of those that are used. */
struct rk_sheet {
    rk_u64 next, counts, used, others;
};

/* Who sits in a place, and since when. */
struct rk_sitter {
    rk_u64 actor, since;
};

RK_PUMP_FN rk_sitter rk_sitter_at(const rk_dev_audience *audience, rk_u32 place) {
    const rk_sitter sitter = {rk_peek((rk_u64)&audience->actors[place]), rk_peek((rk_u64)&audience->since[place])};
    return sitter;
}

/* With the first 32 places, by lane, which are there whether they are used or not: none of it waits for the rest. What the sheet
 * says is as one lane sees it, for another may see more. Relaxed: it is not older than `changes`, which has been acquired, and who
 * came later is not meant. */
RK_PUMP_FN rk_sheet rk_sheet_at(rk_u64 at, rk_sitter &first) {
    rk_word front, back;
    rk_load_words(at, front, at + 16, back);
    first = rk_sitter_at((const rk_dev_audience *)at, rk_thread());
    rk_sheet sheet;
    sheet.next = rk_shfl(front.a, 0), sheet.counts = rk_shfl(front.b, 0);
    sheet.used = rk_shfl(back.a, 0), sheet.others = rk_shfl(back.b, 0);
    return sheet;
}

/* To all who subscribe to the topic. 0, or RK_LATER if the worker is to leave; or what we wait for: then nobody has
 * it. */
RK_COLD_FN rk_u64 rk_publish_post(const rk_dev_post &post, const rk_u8 *payload) {
    const bool ends = rk_s.mode == RK_MODE_END;
    /* Asked for before they are needed, so that they are not waited for. */
    const rk_u64 full = rk_peek_letters_full();
    const rk_u64 told = rk_peek((rk_u64)&((const rk_dev_command *)rk_s.k.command)->leave);
    /* Of several who might answer a call none is the one that does: that is for the host to say. */
    rk_u64 at = post.flags & RK_F_CALL ? 0 : rk_shfl(rk_look_up(rk_s.k.topics, (rk_u32)post.to), 0), changes = 0;
    rk_sheet sheet = {0, 0, 0, 1};
    rk_sitter sitter = {0, 0};
    if (at) {
        /* Acquire, by every lane, for each looks at other places: those who came before this are there to be seen. Partner:
         * `Fanout::admit`. */
        changes = rk_shfl(rk_acquire((rk_u64)&((const rk_dev_audience *)at)->changes), 0);
        __syncwarp(); /* lane 0's, by which all go */
        sheet = rk_sheet_at(at, sitter);
    }
    const rk_u64 published = sheet.counts; /* its first word */
    bool others = sheet.others, abroad = false;
    /* Letters are memory of the host's, who is to read some before there are more. Whether there will be one is not known yet:
     * some of ours may not take such a message. */
    if (!ends && rk_shfl(full, 0)) return RK_WAIT_HOST;
    /* When it was said: nobody hears it before. */
    const rk_u64 time = rk_tick(), deadline = rk_deadline_of(post);
    while (at) {
        const rk_dev_audience *audience = (const rk_dev_audience *)at;
        const rk_dev_outcome *counts = (const rk_dev_outcome *)sheet.counts;
        for (rk_u32 from = 0; from < sheet.used; from += 32) {
            const bool mine = from + rk_thread() < sheet.used;
            const rk_u32 place = mine ? from + rk_thread() : 0;
            if (from) sitter = rk_sitter_at(audience, place);
            const rk_reached reached =
                rk_reach(mine && sitter.since <= changes ? sitter.actor : 0, (rk_u64)&counts->delivered[place],
                         (rk_u64)&counts->dropped[place], post, deadline, payload);
            others |= reached.misfits, abroad |= reached.abroad;
        }
        at = sheet.next;
        if (at) sheet = rk_sheet_at(at, sitter);
    }
    if (others) {
        rk_forward_by_host(post, payload, time);
    } else {
        rk_add(RK_C_SENT_ACTORS, 1);
        if (rk_thread() == 0) atomicAdd_system((unsigned long long *)published, 1ull);
    }
    if (abroad) rk_tell_of_foreign();
    __syncwarp();
    /* As rk_must_leave, but for the clock's catching up. */
    const bool over = rk_shfl(told, 0) == rk_s.launch || rk_shfl(rk_timer(), 0) >= rk_s.until;
    return over && !ends ? RK_LATER : 0;
}

#endif
