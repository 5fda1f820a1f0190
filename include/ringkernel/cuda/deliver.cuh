/* The fast way of posts: up to eight at a time, four threads to each, if all of them are of medium size and go to the host
 * or to actors of our own kernel. Everything else, and whatever finds no room, is left to posts.cuh. */
#ifndef RINGKERNEL_CUDA_DELIVER_CUH
#define RINGKERNEL_CUDA_DELIVER_CUH

#include <ringkernel/cuda/handler.cuh>
#include <ringkernel/cuda/posts.cuh>

#define RK_OUTGOING_WORDS (sizeof(rk_outgoing) / 4)

/* Reserves up to `want` consecutive places of a ring between actors, by one lane. Gives how many, from `first` on. The
 * first try is a guess: where the tail was after our last visit. */
RK_PUMP_FN rk_u32 rk_reserve_some(const rk_dev_ring &ring, rk_u32 want, rk_u64 &first) {
    rk_guess &guess = rk_s.guesses[threadIdx.x >> 2];
    const bool known = guess.ring == ring.tail;
    rk_u64 tail = known ? guess.tail : rk_peek(ring.tail), head = known ? guess.head : rk_peek(ring.head);
    const rk_u64 capacity = 1ull << ring.shift;
    rk_u32 granted = 0;
    for (;;) {
        if (tail & RK_CLOSED) break;
        rk_u64 room = capacity - (tail - head);
        if (room < want || tail - head > capacity) {
            /* Relaxed: only slots' words are written here, and those not before this is known. */
            head = rk_peek(ring.head);
            /* An old guess of the tail may lie behind; the exchange tells. */
            room = tail < head ? capacity : capacity - (tail - head);
            if (room == 0) break;
        }
        granted = room < want ? (rk_u32)room : want;
        rk_u64 now = atomicCAS((unsigned long long *)ring.tail, (unsigned long long)tail,
                               (unsigned long long)tail + granted);
        if (now == tail) break;
        granted = 0;
        tail = now;
    }
    first = tail;
    guess.ring = ring.tail, guess.tail = tail + granted, guess.head = head;
    return granted;
}

/* Where this thread writes its word of a reply to the host, and the lap that goes with it, above a quarter of a time stamp.
 * Worked out before it is known what there is to write. */
struct rk_out {
    rk_u64 at;
    rk_u32 lap;
};

/* Of the reply that is number `rank` from now. */
RK_PUMP_FN rk_out rk_out_at(const rk_pump &p, rk_u32 rank) {
    const rk_u64 position = p.out_tail + rank;
    rk_out out;
    out.at = p.out_slots + (position & p.out_mask) * 64 + (p.thread & 3) * 16;
    out.lap = (rk_u32)((position >> p.out_shift) + 1) << 16;
    return out;
}

/* Whether all that a handler for a message with `d1` did is a small reply to the host; `call` is what came of it, and before it
 * there were `posts` in the outbox. */
RK_PUMP_FN bool rk_is_plain_reply(const rk_own &own, const rk_call &call, rk_u32 posts, rk_u32 d1) {
    return ((own.kept & RK_KEPT_REPLY) != 0) & ((posts | call.result | call.refused | (d1 >> 24 & RK_F_SENDER)) == 0);
}

/* By one thread: such a reply, number `rank` from now, to the message of an item. The rest is done for all at once. */
RK_PUMP_FN void rk_keep_reply(const rk_pump &p, rk_u32 rank, const rk_own &own, rk_u32 item) {
    rk_reply_kept &reply = rk_here(p).replies[rank];
    ulonglong2 *payload = (ulonglong2 *)reply.payload;
    payload[0] = make_ulonglong2(own.payload[0], own.payload[1]);
    payload[1] = make_ulonglong2(own.payload[2], own.payload[3]);
    reply.code = own.kept, reply.item = item;
}

/* Sends `count` small replies to the host, four threads one, by one store, as one transfer over the bus: the one of number `rank`
 * from now at `out`, by the threads for which it is `mine`. `asked` is where actor and correlation lie in what is answered, with
 * `d1`; `what` type and size; x, y and z the twelve bytes of payload, as far as this thread's word has any. */
RK_PUMP_FN void rk_send_replies(rk_pump &p, rk_u32 count, bool mine, rk_u32 rank, const rk_out &out, const rk_word &asked, rk_u32 d1,
                                rk_u32 what, rk_u32 x, rk_u32 y, rk_u32 z) {
    const rk_u32 i = p.thread & 3, answers = d1 & (3 << 22 | RK_F_CALL << 24);
    const rk_u64 clock = p.clock + 1 + rank;
    const rk_u32 a = i < 2 ? (rk_u32)asked.a : x;
    const rk_u32 b = i == 0 ? what | answers | RK_F_REPLY << 24 : i == 1 ? x : y;
    const rk_u32 c = i == 0 ? (rk_u32)asked.b : i == 1 ? y : z;
    const rk_u32 stamp = (rk_u32)(clock >> (16 * i)) & 0xffff | out.lap;
    if (mine) rk_store_word(out.at, a | (rk_u64)b << 32, c | (rk_u64)stamp << 32);
    p.clock += count;
    p.out_tail += count;
    p.sent_host += count;
}

/* Sends the replies that were kept, `count` of them: `out` is where each thread writes the one of its number by four. */
RK_PUMP_FN void rk_send_kept(rk_pump &p, rk_u32 count, const rk_out &out) {
    rk_block &rk_s = rk_here(p);
    const rk_u32 rank = p.thread >> 2, i = p.thread & 3;
    const bool mine = rank < count;
    const rk_reply_kept &reply = rk_s.replies[mine ? rank : 0];
    const rk_u32 code = reply.code;
    const rk_item_head &asked = rk_s.items[reply.item];
    const volatile rk_u32 *area = (const volatile rk_u32 *)reply.payload + (i < 2 ? 0 : 3 * i - 4);
    const rk_u32 x = area[0], y = area[1], z = area[2];
    const rk_u32 actor = asked.actor;
    const rk_u64 correlation = asked.correlation;
    const rk_word as_asked = {i == 0 ? actor : (rk_u32)(correlation >> 32), (rk_u32)correlation};
    rk_send_replies(p, count, mine, rank, out, as_asked, asked.d1, code & 0x3fffff, x, y, z);
}

/* The posts of a batch, which are as many replies as it has messages, if it is one small one to the host for each, and there is room: written by the
 * threads that still have the words of what is answered, with its correlation. Of the messages in items from `first` on, the
 * words of the i-th are with the four threads of number `holder` + i, and `out` is where they write. */
RK_PUMP_FN bool rk_answer(rk_pump &p, rk_u32 count, rk_u32 first, rk_u32 holder, const rk_word &asked, const rk_out &out) {
    rk_block &rk_s = rk_here(p);
    const rk_u32 rank = (p.thread >> 2) - holder, i = p.thread & 3;
    const bool mine = rank < count;
    rk_u32 offset = 0;
    if (count > 1 && mine) offset = rk_s.index[rank];
    const rk_u32 in_front = offset < RK_FRONT ? offset : 0;
    /* Loaded at once, before anything is decided: what is not there yet is not taken for something else. */
    const volatile rk_u32 *entry = (const volatile rk_u32 *)(rk_s.front + in_front);
    const volatile rk_u32 *area = entry + RK_OUTGOING_WORDS + (i < 2 ? 0 : 3 * i - 4);
    const rk_u32 type = entry[7], size = entry[8], priority = entry[9], x = area[0], y = area[1], z = area[2];
    const rk_u32 d1 = *(const volatile rk_u32 *)&rk_s.items[first + (mine ? rank : 0)].d1;
    const rk_u32 origin = entry[10]; /* of another message, if one has several posts and the next none */
    const bool plain = size <= 32 && !priority && !(d1 >> 24 & RK_F_SENDER) &&
                       offset < RK_FRONT && origin == first + rank;
    if (!__all_sync(RK_WARP, !mine || plain) || (rk_u32)p.out_tail + count - (rk_u32)p.out_head > p.out_mask + 1)
        return false;
    rk_send_replies(p, count, mine, rank, out, asked, d1, type | size << 16, x, y, z);
    return true;
}

/* The one post of a batch, if it is a small message to an actor of our own kernel, and there is room in the ring of its worker:
 * written by the first four threads. */
RK_PUMP_FN bool rk_pass_on(rk_pump &p, const rk_dev_kernel &k) {
    rk_block &rk_s = rk_here(p);
    const rk_u32 i = p.thread & 3;
    /* Loaded at once, as in rk_answer. */
    const volatile rk_u32 *entry = (const volatile rk_u32 *)rk_s.front;
    const volatile rk_u32 *area = entry + RK_OUTGOING_WORDS + (i == 3 ? 3 : 0);
    const rk_u32 to = entry[0], key = entry[1], correlation = entry[2], correlation_high = entry[3];
    const rk_u32 deadline = entry[4] | entry[5], kind = entry[6], type = entry[7], size = entry[8], priority = entry[9];
    const rk_u32 x = area[0], y = area[1], z = area[2];
    const rk_u32 sender = *(const volatile rk_u32 *)&rk_s.items[entry[10] & (RK_BATCH - 1)].actor;
    const rk_u32 declared = RK_DECLARED(type);
    if (kind != RK_POST_SEND || size > 24 || priority | deadline || key != k.key || to >= k.actors || declared == ~0u ||
        size > declared)
        return false;
    const rk_u32 worker = (rk_u32)((rk_u64)to * k.reciprocal >> 42), level = rk_level_of(0);
    const rk_dev_ring ring = ((const rk_dev_worker *)k.workers)[worker].rings[level];
    rk_u64 position = 0;
    rk_u32 granted = 0;
    if (p.thread == 0) granted = rk_reserve_some(ring, 1, position);
    if (!__shfl_sync(RK_WARP, granted, 0)) return false;
    position = rk_shfl(position, 0);
    p.clock++;
    /* Twelve bytes of data in each word: src/ring/slot.rs. */
    const rk_u32 a = i == 0 ? to : i == 1 ? correlation_high : x;
    const rk_u32 b = i == 0 ? type | size << 16 | level << 22 | RK_F_SENDER << 24 : i == 1 ? sender : y;
    const rk_u32 c = i == 0 ? correlation : i == 1 ? key : z;
    const rk_u32 stamp = (rk_u32)(p.clock >> (16 * i)) & 0xffff | (rk_u32)((position >> ring.shift) + 1) << 16;
    if (p.thread < 4)
        rk_store_word(ring.slots + (position & ((1ull << ring.shift) - 1)) * 64 + i * 16, a | (rk_u64)b << 32,
                      c | (rk_u64)stamp << 32);
    p.sent_actors++;
    return true;
}

/* Delivers the posts of a batch, all of them or none of what is left to rk_flush: false. */
RK_PUMP_FN bool rk_deliver(rk_pump &p, const rk_dev_kernel &k, rk_u32 posts) {
    rk_block &rk_s = rk_here(p);
    const rk_u32 group = p.thread >> 2, word = p.thread & 3, below = (1u << (p.thread & ~3u)) - 1;
    for (rk_u32 first = 0; first < posts; first += RK_BATCH) {
        const bool mine = first + group < posts;
        const rk_u32 offset = rk_s.index[mine ? first + group : first];
        const rk_outgoing *entry = (const rk_outgoing *)(offset < RK_FRONT ? rk_s.front + offset : (rk_u8 *)rk_s.w.outbox + offset);
        const rk_item &m = rk_s.items[entry->reserved & (RK_BATCH - 1)];
        const rk_u32 kind = entry->kind, size = entry->size, type = entry->type;
        const bool reply = kind == RK_POST_REPLY, forward = kind == RK_POST_FORWARD;
        const rk_u64 asker = m.sender();
        const rk_u64 to = reply ? asker : kind == RK_POST_EMIT ? 0 : entry->to;
        const rk_u32 index = (rk_u32)to & 0xfffff;
        const rk_u32 declared = RK_DECLARED(type);
        const bool local = to == 0 || ((rk_u32)(to >> 32) == k.key && index < k.actors && entry->deadline == 0 &&
                                       declared != ~0u && size <= declared);
        if (!__all_sync(RK_WARP, !mine || (local && size <= RK_MEDIUM && type <= 0xffff))) {
            if (p.thread == 0) rk_s.w.outbox_sent = rk_s.index[first];
            return false;
        }
        const rk_u32 level = entry->priority == 0 && (reply || forward) ? m.level() : rk_level_of(entry->priority);
        const rk_u32 call = m.call();

        /* Places. */
        const rk_u32 hosts = __ballot_sync(RK_WARP, mine && to == 0 && word == 0);
        const rk_u32 actors = __ballot_sync(RK_WARP, mine && to != 0 && word == 0);
        rk_u64 position = 0, slots = p.out_slots;
        rk_u32 shift = p.out_shift, body = rk_s.w.outbound.body;
        bool granted = false;
        if (hosts) {
            const rk_u32 want = __popc(hosts);
            if (p.out_tail + want - p.out_head > 1ull << shift) p.out_head = rk_shfl(rk_peek(rk_s.w.outbound.head), 0);
            const rk_u64 room = (1ull << shift) - (p.out_tail - p.out_head);
            const rk_u32 rank = __popc(hosts & below);
            granted = to == 0 && rank < room;
            position = p.out_tail + rank;
            p.out_tail += want < room ? want : room;
            p.sent_host += want < room ? want : (rk_u32)room;
        }
        if (actors) {
            /* All of it at once, before the way to its tail and back. */
            rk_dev_ring ring = {0, 0, 0, 0, 0, 0};
            if (mine && to != 0) {
                const rk_u32 worker = (rk_u32)((rk_u64)index * k.reciprocal >> 42);
                ring = ((const rk_dev_worker *)k.workers)[worker].rings[level];
            }
            rk_u32 got = 0;
            rk_u64 at = 0;
            if (actors >> p.thread & 1) {
                /* Those that go to the same ring get places together, in their order. */
                const bool alone = (actors & (actors - 1)) == 0;
                const rk_u32 same = alone ? actors : __match_any_sync(actors, (unsigned long long)ring.tail);
                const int leader = __ffs((int)same) - 1;
                if ((int)p.thread == leader) got = rk_reserve_some(ring, __popc(same), at);
                const rk_u32 rank = __popc(same & ((1u << p.thread) - 1));
                got = __shfl_sync(same, got, leader) > rank ? 1 : 0;
                at = __shfl_sync(same, (unsigned long long)at, leader) + rank;
            }
            __syncwarp();
            got = __shfl_sync(RK_WARP, got, p.thread & ~3u);
            at = rk_shfl(at, p.thread & ~3u);
            if (mine && to != 0) granted = got, position = at, slots = ring.slots, shift = ring.shift, body = ring.body;
            p.sent_actors += __popc(__ballot_sync(RK_WARP, mine && to != 0 && word == 0 && got));
        }

        /* Bodies, then words. */
        const rk_u64 *payload = (const rk_u64 *)(entry + 1);
        const rk_u64 own = (rk_u64)k.key << 32 | m.actor, sender = to == 0 ? 0 : forward ? asker : own;
        const bool in_body = granted && mine && size > (sender ? 24 : 32);
        if (__any_sync(RK_WARP, in_body)) {
            if (in_body) {
                const rk_u64 at = slots + (64ull << shift) + (position & ((1ull << shift) - 1)) * body;
                for (rk_u32 i = 16 * word; i < size; i += 64) *(uint4 *)(at + i) = *(const uint4 *)((const rk_u8 *)payload + i);
            }
            /* Release, by every thread for its part: whoever sees the stamps sees the body. */
            if (__any_sync(RK_WARP, in_body && to == 0)) __threadfence_system();
            else __threadfence();
            __syncwarp();
        }
        if (granted && mine) {
            const rk_u32 flags = (to == 0 && reply ? call | RK_F_REPLY : forward ? call : 0) |
                                 (sender ? RK_F_SENDER : 0) | (in_body ? RK_F_BODY : 0);
            rk_slot slot;
            slot.head = (to == 0 ? m.actor : (rk_u32)to) |
                        (rk_u64)(type | (in_body ? 0 : size) << 16 | level << 22 | flags << 24) << 32;
            slot.correlation = reply || forward ? m.correlation : entry->correlation;
            const rk_u64 x = in_body ? size : payload[0];
            slot.area[0] = sender ? sender : x, slot.area[1] = sender ? x : payload[1];
            slot.area[2] = payload[sender ? 1 : 2], slot.area[3] = payload[sender ? 2 : 3];
            const rk_word w = slot.word(word, (rk_u16)((position >> shift) + 1), p.clock + 1 + group);
            rk_store_word(slots + (position & ((1ull << shift) - 1)) * 64 + word * 16, w.a, w.b);
        }
        p.clock += RK_BATCH;
        if (!__all_sync(RK_WARP, !mine || granted)) {
            __syncwarp(); /* the others have read the entry */
            if (mine && granted && word == 0) ((rk_outgoing *)entry)->kind = RK_POST_SENT;
            if (p.thread == 0) rk_s.w.outbox_sent = rk_s.index[first];
            return false;
        }
    }
    return true;
}

#endif
