/* From rings to messages that handlers can be called with: looking, choosing, taking slots apart, and the verdict whether a
 * message can be handled. */
#ifndef RINGKERNEL_CUDA_TAKE_CUH
#define RINGKERNEL_CUDA_TAKE_CUH

#include <ringkernel/cuda/letters.cuh>

/* The one that most messages come through: from the host, of normal priority. */
#define RK_USUAL_RING (RK_LEVELS + 1)
/* Rings that were never used are looked at every so often only. */
#define RK_SELDOM 8u

/* A bit at 4 r for every ring of whose slot all words are there. */
RK_PUMP_FN rk_u32 rk_whole(bool there) {
    const rk_u32 words = __ballot_sync(RK_WARP, there);
    return words & words >> 1 & words >> 2 & words >> 3 & 0x11111111u;
}

/* Where this thread looks for the next message while none comes, worked out once. Rings that were never used are looked at
 * seldom; else their threads look where others do, which costs nothing, for a lap that there is not. */
struct rk_aim {
    rk_u64 at, seldom_at;
    rk_u32 lap, seldom_lap;
};

RK_PUMP_FN rk_aim rk_aim_at(const rk_pump &p) {
    const rk_u64 at = p.slots + (p.position & p.mask) * 64, usual = rk_shfl(at, 4 * RK_USUAL_RING);
    const bool used = p.position != 0 || p.thread >> 2 == RK_USUAL_RING;
    rk_aim aim;
    aim.seldom_at = at, aim.seldom_lap = (rk_u16)((p.position >> p.shift) + 1);
    aim.at = used ? at : usual, aim.lap = used ? aim.seldom_lap : ~0u;
    return aim;
}

/* Looks until something is there, at most until `looks` has come to `limit`. Gives a bit at 4 r for every ring, of those allowed,
 * that has a whole message, and this thread's word; also, for all threads, the beginning of what is in the usual ring, which is
 * handed round while it is not known yet whether it is there. */
RK_PUMP_FN rk_u32 rk_watch(const rk_aim &aim, rk_u32 allowed, rk_u32 &looks, rk_u32 limit, rk_word &word, rk_u32 &actor,
                           rk_u32 &d1) {
    rk_u32 ready;
    do {
        const bool seldom = looks % RK_SELDOM == 0;
        word = rk_load_word(seldom ? aim.seldom_at : aim.at);
        actor = __shfl_sync(RK_WARP, (rk_u32)word.a, 4 * RK_USUAL_RING);
        d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), 4 * RK_USUAL_RING);
        ready = rk_whole((rk_u32)(word.b >> 48) == (seldom ? aim.seldom_lap : aim.lap)) & allowed;
    } while (ready == 0 && ++looks < limit);
    return ready;
}

/* The ring that a row of messages comes from: the same in all threads, where they need not ask each other, but for the
 * word of a slot that each of them looks at. */
struct rk_row {
    rk_u64 slots, position;
    rk_u32 mask, shift;
};

RK_PUMP_FN rk_row rk_row_of(const rk_pump &p, rk_u32 ring) {
    rk_row row;
    row.slots = rk_shfl(p.slots, 4 * ring + (p.thread & 3)), row.position = rk_shfl(p.position, 4 * ring);
    row.mask = __shfl_sync(RK_WARP, p.mask, 4 * ring), row.shift = __shfl_sync(RK_WARP, p.shift, 4 * ring);
    return row;
}

/* In a row of messages: this thread's word of the next slot of its ring, and of the slots ahead in one: thread 4 i + w has word
 * w of the i-th from our position. They are read together: one by one would cost the way to memory for each. `taken` messages
 * of `ring`, the row's, are going to be taken before this is acted on. */
RK_PUMP_FN void rk_look(const rk_pump &p, const rk_row &row, rk_u32 ring, rk_u32 taken, rk_word &next, rk_word &ahead) {
    const rk_u64 position = p.position + (p.thread >> 2 == ring ? taken : 0);
    const rk_u32 from = (rk_u32)row.position + taken + (p.thread >> 2);
    rk_load_words(p.slots + (position & p.mask) * 64, next, row.slots + (rk_u64)(from & row.mask) * 64, ahead);
}

/* A bit at 4 r for every ring that has a whole message at our position. */
RK_PUMP_FN rk_u32 rk_ready(const rk_pump &p, const rk_word &next) {
    return rk_whole((rk_u16)(next.b >> 48) == (rk_u16)((p.position >> p.shift) + 1));
}

/* How many whole messages are ahead in a row. */
RK_PUMP_FN rk_u32 rk_count_ahead(const rk_pump &p, const rk_row &row, const rk_word &ahead) {
    const rk_u16 lap = (rk_u16)((row.position + (p.thread >> 2) >> row.shift) + 1);
    const rk_u32 there = __ballot_sync(RK_WARP, (rk_u16)(ahead.b >> 48) == lap);
    /* The lowest thread without its stamp ends them. */
    return there == RK_WARP ? RK_BATCH : (rk_u32)(__ffs((int)~there) - 1) / 4;
}

/* The ring to take from: of the highest level, or now and then of another; actors and the host in turns, after the ring that was
 * taken from last. */
RK_PUMP_FN rk_u32 rk_choose(rk_u32 ready, rk_u32 turn, rk_u32 last) {
    if ((ready & (ready - 1)) == 0) return (rk_u32)(__ffs((int)ready) - 1) / 4;
    const rk_u32 first = turn % RK_FAIRNESS == RK_FAIRNESS - 1 ? turn / RK_FAIRNESS % RK_LEVELS : RK_LEVELS - 1;
    const rk_u32 side = last < RK_LEVELS ? 1 : 0;
    for (rk_u32 step = 0; step < RK_LEVELS; step++) {
        const rk_u32 level = (first + RK_LEVELS - step) % RK_LEVELS;
        const rk_u32 here = level + side * RK_LEVELS, other = level + (side ^ 1) * RK_LEVELS;
        if (ready >> (4 * here) & 1) return here;
        if (ready >> (4 * other) & 1) return other;
    }
    return 0;
}

/* Takes slots apart, each by the four threads that have its words: the twelve bytes of data of each go one behind the
 * other, sender and deadline before the payload. Without a branch, for four ways through one warp are as long as their sum. */
RK_PUMP_FN void rk_take_apart(rk_item &item, const rk_word &word, rk_u32 d1, rk_u32 i) {
    const rk_u32 extra = (d1 >> 24 & RK_F_SENDER) + (d1 >> 25 & 1);
    /* Of data words 0 to 11 the first four are the item's beginning, the others end where a whole payload does. What does not
     * depend on `d1`, for which one waits, can be worked out before it comes. */
    const rk_u32 step = i >= 1 ? 8 : 0, step_of_first = i >= 2 ? 8 : 0, shift = (RK_ITEM_PAYLOAD - 16) / 8;
    rk_u8 *const at = (rk_u8 *)&item + 12 * i;
    rk_u8 *const rest = at + step * shift - extra * step;
    *(rk_u32 *)(at + step_of_first * shift - extra * step_of_first) = (rk_u32)word.a;
    *(rk_u32 *)(rest + 4) = (rk_u32)(word.a >> 32);
    *(rk_u32 *)(rest + 8) = (rk_u32)word.b;
    ((rk_u16 *)&item.time)[i] = (rk_u16)(word.b >> 32);
}

/* A message that is handled alone: its payload goes to where the handler can read all of the declared size. Gives address
 * and size. Bodies are read past L1, which may hold what lay there a lap ago, and where inbound memory is across a bus, over
 * that once. Relaxed: no load is made before the stamps were seen, on which it depends. */
RK_COLD_FN rk_u64 rk_fetch(rk_u32 ring, rk_u64 position, rk_item &m, rk_u32 &size) {
    const rk_dev_ring &from = rk_s.w.rings[ring];
    if (!(m.flags() & RK_F_BODY)) {
        if (rk_thread() < 4) ((rk_u64 *)rk_s.w.message)[rk_thread()] = m.payload[rk_thread()];
        __syncwarp();
        return rk_s.w.message;
    }
    size = (rk_u32)m.payload[0] < from.body ? (rk_u32)m.payload[0] : from.body;
    const rk_u64 body = from.bodies + (position & ((1ull << from.shift) - 1)) * from.body;
    for (rk_u32 at = rk_thread() * 16; at < size; at += 512) {
        const rk_word part = rk_load_word(body + at);
        *(ulonglong2 *)(rk_s.w.message + at) = make_ulonglong2(part.a, part.b);
    }
    __syncwarp();
    return rk_s.w.message;
}

/* Whether a message can be handled if its actor has a handler for it: true only if there is nothing special about it. */
RK_PUMP_FN bool rk_is_plain(const rk_pump &p, rk_u32 actor, rk_u32 d1) {
    /* An actor of a generation other than 0 has an index that is too large. */
    return !(d1 >> 24 & RK_F_DEADLINE) & (actor < p.at.actors) & !p.irregular & (p.ahead != 0);
}

/* Takes up to `count` messages from our position in a row apart, four threads with the words of each, into `items` from
 * `first` on: the item of a thread is that of its number by four. Gives how many can be handled, as far as that can be told without
 * their handlers: up to the first that there is something special about. */
RK_PUMP_FN rk_u32 rk_take(const rk_pump &p, const rk_dev_kernel &k, const rk_row &row, rk_u32 ring, rk_u32 first, rk_u32 count,
                          const rk_word &word, rk_item *items) {
    rk_block &rk_s = rk_here(p);
    const rk_u32 group = (p.thread >> 2) - first, part = p.thread & 3, lane = p.thread & ~3u;
    const rk_u32 d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), lane);
    const rk_u32 actor = __shfl_sync(RK_WARP, (rk_u32)word.a, lane);
    const bool mine = group < count;
    bool plain = rk_is_plain(p, actor, d1);
    rk_item &m = items[p.thread >> 2];
    rk_take_apart(m, word, d1, part);
    if (part == 0) m.size = d1 >> 16 & 0x3f;
    if (!k.near && mine && plain && part * 128 < k.stride)
        rk_prefetch(k.states + (rk_u64)actor * k.stride + part * 128);
    if (__any_sync(RK_WARP, mine && d1 >> 24 & RK_F_BODY)) {
        __syncwarp(); /* the sibling's word is there */
        /* Only where it is certain to be handled is the size replaced by the body. */
        const rk_u32 size = (rk_u32)m.payload[0], declared = RK_DECLARED(d1 & 0xffff);
        plain = plain && (!(d1 >> 24 & RK_F_BODY) || (declared <= RK_MEDIUM && size <= declared));
        __syncwarp();
        if (mine && plain && d1 >> 24 & RK_F_BODY) {
            const rk_dev_ring &from = rk_s.w.rings[ring];
            const rk_u64 body = from.bodies + (rk_u64)((rk_u32)row.position + group & row.mask) * from.body;
            for (rk_u32 at = 16 * part; at < size; at += 64) {
                const rk_word some = rk_load_word(body + at);
                m.payload[at / 8] = some.a, m.payload[at / 8 + 1] = some.b;
            }
            if (part == 0) m.size = size;
        }
    }
    const rk_u32 special = __ballot_sync(RK_WARP, mine && !plain);
    return special ? (rk_u32)(__ffs((int)special) - 1) / 4 - first : count;
}

/* Why a message cannot be handled, or 0. */
RK_PUMP_FN rk_i32 rk_verdict(const rk_item &m, rk_u32 declared, rk_u32 size) {
    const rk_u32 index = m.actor & 0xfffff;
    if (index >= rk_s.k.actors) return RK_D_NO_ACTOR;
    const rk_dev_entry &entry = ((const rk_dev_entry *)rk_s.k.entries)[index];
    return entry.generation != m.actor >> 20                         ? RK_D_NO_ACTOR
           : entry.status == RK_STOPPED                              ? RK_D_STOPPED
           : entry.status != RK_RUNNING                              ? RK_D_FAILED
           : m.deadline() && rk_physical() > m.deadline()            ? RK_D_EXPIRED
           : declared == ~0u                                         ? RK_D_TYPE
           : size > declared                                         ? RK_D_SIZE
                                                                     : 0;
}

#endif
