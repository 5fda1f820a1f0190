/* The pump on CUDA: one block is one worker. For a bounded quantum it takes messages from the rings, finds the actor,
 * runs its handler with all lanes, and sends what it produced; then it leaves, with all state in device memory, and is
 * launched again while there is work. src/ring/mod.rs says how rings work, and src/backend/cpu is the same machine on the
 * CPU.
 *
 *   memory.cuh ── block.cuh ── letters.cuh ─┬─ take.cuh ────────────────┬─ pump.cuh
 *                                           └─ posts.cuh ── deliver.cuh ┘
 *
 * Warp 0 is the pump: its 32 threads take every decision together, on equal values; other warps wait for handlers to run.
 * What costs time is not bandwidth but the way to memory, a third of a microsecond, and the length of the path through one
 * warp, some four cycles an instruction. So up to eight messages are taken with one look, and the look for the next is
 * under way while their handlers run; slots are taken apart, looked up and written by four threads each, side by side;
 * a batch lies in shared memory. Whatever is seldom needed is out of line: the hot loop calls nothing, for with a call in
 * it the compiler would keep half of its registers in memory. It is left for such work, and entered again.
 *
 * Compiled after the user's actors, with RK_PUMP_ACTOR the actor's name and RK_LANES the threads of a worker.
 */
#ifndef RINGKERNEL_CUDA_PUMP_CUH
#define RINGKERNEL_CUDA_PUMP_CUH

#include <ringkernel/cuda/deliver.cuh>
#include <ringkernel/cuda/take.cuh>

/* Rounds between looks at the command word and at the time. */
#define RK_BEATS 16u
/* Rounds with nothing to do after which a worker that is asked to leave when idle does. */
#define RK_IDLE 16u
/* Rings that were never used are looked at every so often only. */
#define RK_SELDOM 8u
/* No more messages are added to a batch that has led to so many posts. */
#define RK_POSTS_ENOUGH 56u
#define RK_ALL_RINGS 0x11111111u
#define RK_PEER_RINGS 0x1111u

/* Runs the handler of an item: by every lane. What comes of it is the same in all of them. */
RK_PUMP_FN rk_call rk_run_handler(const rk_dev_kernel &k, rk_call call, void *scratch) {
    const rk_item &m = rk_s.items[call.number];
    rk_lane_context cx;
    cx.state = (void *)(k.states + (rk_u64)(call.actor & 0xfffff) * k.stride);
    cx.message = (const void *)call.message;
    cx.scratch = scratch;
    cx.outbox = (rk_u8 *)rk_s.w.outbox;
    cx.outbox_used = call.used;
    cx.outbox_limit = k.outbox_limit;
    cx.type = call.d1 & 0xffff;
    cx.size = call.size;
    cx.index = call.actor & 0xfffff;
    cx.actors = k.actors;
    cx.self = (rk_u64)k.key << 32 | call.actor;
    cx.sender = m.sender();
    cx.correlation = m.correlation;
    cx.time = call.time;
    cx.counters = (rk_u64 *)((rk_dev_worker *)k.workers)[blockIdx.x].counters;
    cx.priority = 64 * (call.d1 >> 22 & 3);
    cx.result = 0;
    cx.fail_code = 0;
    cx.refused = 0;
    cx.front = rk_s.front;
    cx.front_size = RK_FRONT;
    cx.front_end = call.front_end;
    cx.filled = 0;
    cx.posts = call.posts;
    cx.origin = call.number;
    cx.offsets = rk_s.index;
    if (threadIdx.x < RK_LANES) RK_DISPATCH(&cx);
    call.used = cx.outbox_used;
    call.front_end = cx.front_end;
    call.posts = cx.posts;
    call.result = cx.result;
    call.code = cx.fail_code;
    call.refused = cx.refused;
    return call;
}

RK_PUMP_FN void rk_all_lanes() {
    if (RK_LANES > 32) __syncthreads();
    else __syncwarp();
}

/* Messages that are about to be handled: `count` in consecutive items from `first` on. */
struct rk_batch {
    rk_u32 first, count;
    rk_u32 todo; /* RK_TO_FETCH or RK_TO_REJECT if the first is not to be handled here; then count is 0 */
    /* Of the one message, where it is only one; d1 is 0 otherwise. */
    rk_u32 actor, d1;
    rk_u64 time;
};

/* Large messages, and those whose handler may read more than an item holds. */
RK_PUMP_FN bool rk_is_large(rk_u32 d1, rk_u32 declared) {
    return d1 >> 24 & RK_F_BODY || (declared > 32 && declared != ~0u);
}

/* One message, whose words are with the four threads of `ring`: the shortest way, for it is what a round trip takes. */
RK_PUMP_FN rk_batch rk_take_one(const rk_dev_kernel &k, rk_u32 ring, const rk_word &word) {
    rk_batch batch;
    const rk_u32 lane = 4 * ring, high = (rk_u32)(word.b >> 32);
    batch.first = ring;
    batch.d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), lane);
    batch.actor = __shfl_sync(RK_WARP, (rk_u32)word.a, lane);
    const rk_u32 t0 = __shfl_sync(RK_WARP, high, lane), t1 = __shfl_sync(RK_WARP, high, lane + 1);
    const rk_u32 t2 = __shfl_sync(RK_WARP, high, lane + 2), t3 = __shfl_sync(RK_WARP, high, lane + 3);
    batch.time = __byte_perm(t0, t1, 0x5410) | (rk_u64)__byte_perm(t2, t3, 0x5410) << 32;
    const rk_u32 declared = RK_DECLARED(batch.d1 & 0xffff);
    if (rk_thread() >> 2 == ring) rk_take_apart(word, batch.d1);
    __syncwarp();
    batch.todo = rk_is_large(batch.d1, declared) ? RK_TO_FETCH
                 : rk_verdict(k, batch.actor, batch.d1, rk_s.items[ring], declared, batch.d1 >> 16 & 0x3f)
                     ? RK_TO_REJECT
                     : 0;
    batch.count = batch.todo ? 0 : 1;
    return batch;
}

/* Up to `count` messages, four threads with the words of each. */
RK_PUMP_FN rk_batch rk_take_some(const rk_dev_kernel &k, rk_u32 count, const rk_word &word) {
    rk_batch batch;
    const rk_u32 group = rk_thread() >> 2, part = rk_thread() & 3, lane = rk_thread() & ~3u;
    const rk_u32 d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), lane);
    const rk_u32 actor = __shfl_sync(RK_WARP, (rk_u32)word.a, lane), index = actor & 0xfffff;
    const rk_u32 declared = RK_DECLARED(d1 & 0xffff);
    const bool mine = group < count;
    rk_take_apart(word, d1);
    if (mine && index < k.actors && part * 128 < k.stride)
        rk_prefetch(k.states + (rk_u64)index * k.stride + part * 128);
    __syncwarp();
    const bool large = mine && rk_is_large(d1, declared);
    const bool bad = mine && part == 0 && !large && rk_verdict(k, actor, d1, rk_s.items[group], declared, d1 >> 16 & 0x3f);
    /* Up to the first that is not to be handled here. */
    const rk_u32 special = __ballot_sync(RK_WARP, large || bad);
    const rk_u32 whole = special ? (rk_u32)(__ffs((int)special) - 1) / 4 : count;
    batch.first = 0, batch.count = whole;
    batch.todo = whole ? 0 : __shfl_sync(RK_WARP, large ? RK_TO_FETCH : RK_TO_REJECT, 0);
    batch.actor = batch.d1 = 0, batch.time = 0;
    return batch;
}

/* Handles a batch from our position of a ring, and delivers what it led to as far as that is small. Gives RK_TO_... */
RK_PUMP_FN rk_u32 rk_handle(rk_pump &p, const rk_dev_kernel &k, rk_u32 ring, const rk_batch &batch, const rk_word &word,
                            const rk_call &fetched, void *scratch) {
    rk_call call;
    call.used = call.posts = call.result = call.refused = 0;
    call.front_end = RK_FRONT;
    rk_u32 taken = 0, outcome = 0;
    do {
        call.number = batch.first + taken;
        const rk_item &m = rk_s.items[call.number];
        call.message = fetched.message ? fetched.message : (rk_u64)m.payload;
        rk_u64 time = batch.time;
        call.actor = batch.actor, call.d1 = batch.d1;
        if (batch.d1 == 0) call.actor = m.actor, call.d1 = m.d1, time = m.time;
        call.size = fetched.message ? fetched.size : call.d1 >> 16 & 0x3f;
        p.clock = (p.clock > time ? p.clock : time) + 1;
        call.time = p.clock;
        if (RK_LANES > 32) {
            if (rk_thread() == 0) rk_s.call = call;
            __syncthreads();
        }
        call = rk_run_handler(k, call, scratch);
        rk_all_lanes();
        taken++;
        /* Threads beyond the lanes ran nothing. */
        outcome = __shfl_sync(RK_WARP, call.posts | (call.result ? 1u << 29 : 0) | (call.refused ? 1u << 30 : 0) |
                                           (call.used >= RK_FRONT ? 1u << 31 : 0), 0);
    } while (taken < batch.count && outcome < RK_POSTS_ENOUGH);

    rk_u32 todo = outcome >> 29 & 1 ? RK_TO_END : 0, to_host = 0, to_actors = 0;
    if (outcome == 1 && batch.d1 && !rk_s.blocked && rk_reply_one(p, ring, batch.d1, word)) {
        to_host = 1;
    } else if (outcome & 0x1fffffff) {
        const rk_u32 posts = outcome & 0x1fffffff;
        if (rk_thread() == 0) rk_s.w.outbox_used = call.used, rk_s.w.outbox_sent = 0, rk_s.w.front_end = call.front_end;
        __syncwarp();
        if (rk_s.blocked || posts > RK_INDEXED || !rk_deliver(p, k, posts, to_host, to_actors)) todo |= RK_TO_POST;
        else if (rk_thread() == 0) rk_s.w.outbox_used = 0;
    }
    if (rk_thread() == 0) {
        rk_s.w.counts[RK_C_HANDLED] += taken;
        rk_s.w.counts[RK_C_SENT_HOST] += to_host;
        rk_s.w.counts[RK_C_SENT_ACTORS] += to_actors;
        rk_s.w.consumed += taken;
        if (outcome >> 30 & 1) rk_s.w.counts[RK_C_REFUSED] += call.refused;
        if (todo) rk_s.todo.number = call.number, rk_s.todo.result = call.result, rk_s.todo.code = call.code;
    }
    if (rk_thread() >> 2 == ring) p.position += taken;
    const rk_u64 position = rk_shfl(p.position, 4 * ring), capacity = 1ull << rk_s.w.rings[ring].shift;
    const rk_u64 due = capacity / 4 < 1 ? 1 : capacity / 4 > 32 ? 32 : capacity / 4;
    if (position - rk_s.published[ring] >= due) rk_publish(ring, position);
    p.turn += taken;
    __syncwarp();
    return todo;
}

/* Whether to leave: told to, or the quantum is over. The clock catches up here, for reading the timer takes long. */
RK_PUMP_FN bool rk_is_over(rk_pump &p, const rk_dev_kernel &k) {
    const rk_u64 now = rk_shfl(rk_timer(), 0), physical = rk_units(now + (rk_u64)rk_s.w.clock_offset);
    if (physical > p.clock) p.clock = physical;
    return rk_shfl(rk_peek(k.command), 0) == rk_s.launch || now >= rk_s.until;
}

/* The hot loop. Gives RK_TO_...; 0 after one round in a circle of waiting workers. */
RK_PUMP_FN rk_u32 rk_serve(const rk_dev_kernel &k, void *scratch) {
    rk_pump p = rk_fill();
    const rk_u32 allowed = rk_s.blocked ? RK_PEER_RINGS : RK_ALL_RINGS;
    rk_call fetched;
    fetched.message = 0;
    rk_word next = {0, 0}, ahead = {0, 0}, word = {0, 0};
    rk_u32 todo = 0, ring = rk_s.todo.ring, ahead_in = RK_LEVELS + 1; /* the ring that was looked ahead in */
    bool stream = false, have = false;                                /* messages come in a row; the look was made */
    rk_batch batch;
    bool prepared = rk_s.fetched;
    rk_u32 idle = 0;
    for (rk_u32 beat = 0; todo == 0; beat++) {
        if (beat % RK_BEATS == RK_BEATS - 1 && rk_is_over(p, k)) {
            todo = RK_TO_LEAVE;
            break;
        }
        if (prepared) {
            const rk_item &m = rk_s.items[rk_s.call.number];
            fetched.message = rk_s.call.message, fetched.size = rk_s.call.size;
            batch.first = rk_s.call.number, batch.count = 1, batch.todo = 0;
            batch.actor = m.actor, batch.d1 = m.d1, batch.time = m.time;
            /* Its words are gone: the item has what a reply takes of them. */
            word.a = (rk_thread() & 3) == 0 ? m.actor : m.correlation >> 32;
            word.b = (rk_u32)m.correlation;
        } else {
            if (!have) {
                next = rk_look(p, 0, 0, stream || beat % RK_SELDOM == 0);
                if (stream) ahead = rk_look_ahead(p, ahead_in, 0);
            }
            have = false;
            const rk_u32 ready = rk_ready(p, next) & allowed;
            if (ready == 0) {
                stream = false;
                if (rk_s.blocked || (rk_s.mode == RK_MODE_LEAVE_IDLE && ++idle >= RK_IDLE)) {
                    todo = rk_s.blocked ? 0 : RK_TO_LEAVE;
                    break;
                }
                continue;
            }
            idle = 0;
            ring = rk_choose(ready, p.turn);
            rk_u32 count = 1;
            if (stream && ring == ahead_in && !rk_s.blocked) {
                /* No further than to the next that fairness chooses. */
                const rk_u32 whole = rk_count_ahead(p, ahead, ring), fair = RK_FAIRNESS - 1 - p.turn % RK_FAIRNESS;
                count = whole < fair ? whole : fair;
                count = count ? count : 1;
            }
            word = next;
            batch = count == 1 ? rk_take_one(k, ring, next) : rk_take_some(k, count, ahead);
            ahead_in = ring;
            if (batch.todo) {
                todo = batch.todo;
                if (rk_thread() == 0) rk_s.todo.number = batch.first;
                break;
            }
            if (stream) {
                next = rk_look(p, ring, batch.count, true);
                ahead = rk_look_ahead(p, ring, batch.count);
            }
        }
        const rk_u32 before = p.turn;
        todo = rk_handle(p, k, ring, batch, word, fetched, scratch);
        have = stream && p.turn - before == batch.count;
        stream = !prepared;
        if (prepared) {
            prepared = false, fetched.message = 0;
            __syncwarp();
            if (rk_thread() == 0) rk_s.fetched = 0;
            __syncwarp();
        }
        if (rk_s.blocked) break;
    }
    if (rk_thread() == 0) rk_s.todo.ring = ring;
    rk_spill(p);
    return todo;
}

/* The handler failed or stopped its actor. */
RK_COLD_FN void rk_ended() {
    const rk_item &m = rk_s.items[rk_s.todo.number];
    rk_dev_entry *entry = (rk_dev_entry *)rk_s.k.entries + (m.actor & 0xfffff);
    const bool failed = rk_s.todo.result & RK_RESULT_FAIL;
    if (rk_thread() == 0) entry->status = failed ? RK_FAILED : RK_STOPPED;
    __syncwarp();
    if (!failed) return;
    rk_add(RK_C_FAILURES, 1);
    rk_note note = {(rk_u64)rk_s.k.key << 32 | m.actor, 0, 0, rk_tick(), RK_CLASS_EVENT, RK_EVENT_FAILED_ACTOR, 1, 0,
                    rk_s.todo.code};
    rk_letter(note, (const rk_u8 *)0, 0);
}

/* What a batch led to and could not leave: one by one, as soon as that goes. */
RK_COLD_FN void rk_deliver_rest() {
    if (rk_thread() < RK_BATCH) {
        const rk_item &m = rk_s.items[rk_thread()];
        rk_dev_origin &origin = rk_s.w.origins[rk_thread()];
        origin.actor = (rk_u64)rk_s.k.key << 32 | m.actor, origin.sender = m.sender();
        origin.correlation = m.correlation, origin.level = m.level(), origin.call = m.call();
    }
    __syncwarp();
    /* Behind what was set aside before, if there is any. */
    rk_waits_for(rk_flush());
}

/* The next message of `ring` is in an item, and large or not to be handled: it becomes a dead letter, or is made ready for
 * the hot loop. False if it must wait: the host has too many letters unread. */
RK_COLD_FN bool rk_fetch_or_bury() {
    const rk_u32 ring = rk_s.todo.ring;
    rk_item &m = rk_s.items[rk_s.todo.number];
    rk_u32 size = m.d1 >> 16 & 0x3f;
    const rk_u32 declared = RK_DECLARED(m.type());
    rk_u64 payload = (rk_u64)m.payload;
    if (rk_is_large(m.d1, declared)) payload = rk_fetch(ring, rk_s.w.position[ring], m, size);
    const rk_i32 reason = rk_verdict(rk_s.k, m.actor, m.d1, m, declared, size);
    /* A clock that another thread reads a little later may say otherwise. */
    const rk_i32 why = __shfl_sync(RK_WARP, reason, 0);
    if (why == 0) {
        if (rk_thread() == 0) {
            rk_s.call.message = payload, rk_s.call.size = size, rk_s.call.number = rk_s.todo.number, rk_s.fetched = 1;
        }
        __syncwarp();
        return true;
    }
    if (rk_letters_full()) {
        rk_waits_for(RK_WAIT_HOST);
        return false;
    }
    rk_waits_for(0);
    rk_bury(m, (const rk_u8 *)payload, size, why);
    if (rk_thread() == 0) rk_s.w.position[ring]++, rk_s.w.consumed++, rk_s.w.turn++;
    __syncwarp();
    return true;
}

/* Whether to leave, asked where work is out of line. */
RK_PUMP_FN bool rk_must_leave() {
    rk_pump p = rk_fill();
    const bool over = rk_is_over(p, rk_s.k);
    rk_spill(p);
    return over;
}

/* A quantum: the hot loop, and what it is left for. */
RK_PUMP_FN void rk_stay(const rk_dev_kernel &k, void *scratch) {
    rk_u32 idle = 0;
    for (rk_u32 beat = 1;; beat++) {
        /* Posts that could not leave come before anything else. */
        if (rk_thread() == 0) rk_s.blocked = 0;
        __syncwarp();
        if (!rk_is_flushed()) {
            const rk_u64 wait = rk_flush();
            rk_waits_for(wait);
            if (wait) {
                if (rk_must_leave() || (rk_s.mode == RK_MODE_LEAVE_IDLE && ++idle >= RK_IDLE)) return;
                /* Where workers wait for each other in a circle somebody must make room: we set our posts aside and take
                 * one message from an actor, for only that makes room for one. */
                if (!rk_is_in_cycle()) continue;
                rk_set_aside();
                if (rk_thread() == 0) rk_s.blocked = 1;
                __syncwarp();
            }
        }
        const rk_u32 todo = rk_serve(k, scratch);
        if (todo & RK_TO_LEAVE) return;
        if (todo & RK_TO_POST) rk_deliver_rest();
        if (todo & RK_TO_END) rk_ended();
        if (todo & (RK_TO_FETCH | RK_TO_REJECT)) {
            if (!rk_fetch_or_bury() && rk_s.mode == RK_MODE_LEAVE_IDLE && ++idle >= RK_IDLE) return;
        }
        if (beat % RK_BEATS == 0 && rk_must_leave()) return;
    }
}

/* The kernel has ended: what waits becomes dead letters, and nothing comes in any more. If it takes longer than a quantum,
 * the next goes on. */
RK_COLD_FN void rk_end() {
    if (rk_s.w.ended) return;
    rk_flush();
    rk_waits_for(0);
    for (rk_u32 ring = 0; ring < RK_RINGS; ring++) {
        rk_u64 accepted = 0;
        if (rk_thread() == 0) {
            const rk_dev_orders *orders = (const rk_dev_orders *)rk_s.k.orders + blockIdx.x;
            accepted = ring < RK_LEVELS
                           ? atomicOr((unsigned long long *)rk_s.w.rings[ring].tail, RK_CLOSED) & ~RK_CLOSED
                           : rk_peek((rk_u64)&orders->end_at[ring - RK_LEVELS]);
        }
        accepted = rk_shfl(accepted, 0);
        for (rk_u32 beat = 1; rk_s.w.position[ring] < accepted; beat++) {
            if (beat % RK_BEATS == 0 && rk_must_leave()) return;
            const rk_pump p = rk_fill();
            const rk_word word = rk_look(p, 0, 0, true);
            if (!(rk_ready(p, word) >> (4 * ring) & 1)) continue; /* its producer is about to write it */
            const rk_u32 d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), 4 * ring);
            if (rk_thread() >> 2 == ring) rk_take_apart(word, d1);
            __syncwarp();
            rk_item &m = rk_s.items[ring];
            rk_u32 size = d1 >> 16 & 0x3f;
            rk_u64 payload = (rk_u64)m.payload;
            if (m.flags() & RK_F_BODY) payload = rk_fetch(ring, rk_s.w.position[ring], m, size);
            rk_bury(m, (const rk_u8 *)payload, size, RK_D_TERMINATED);
            if (rk_thread() == 0) rk_s.w.position[ring]++, rk_s.w.consumed++, rk_s.w.found_waiting++;
            __syncwarp();
        }
    }
    if (rk_thread() == 0) rk_s.w.ended = 1;
    __syncwarp();
}

/* State back to device memory, counts to the host. The last worker out says that all have left. */
RK_COLD_FN void rk_leave(rk_u64 consumed_before) {
    for (rk_u32 ring = 0; ring < RK_RINGS; ring++)
        if (rk_s.published[ring] != rk_s.w.position[ring]) rk_publish(ring, rk_s.w.position[ring]);
    __syncwarp();
    rk_dev_worker *worker = (rk_dev_worker *)rk_s.k.workers + blockIdx.x;
    rk_dev_report *report = (rk_dev_report *)rk_s.k.reports + blockIdx.x;
    if (rk_thread() == 0) {
        rk_s.w.counts[RK_C_DEFERRED] = rk_count_waiting();
        if (rk_s.w.consumed != consumed_before) rk_s.w.counts[RK_C_QUANTA]++;
        if (rk_is_flushed()) rk_s.w.counts[RK_C_COMPLETED] = rk_s.w.consumed;
    }
    __syncwarp();
    if (rk_s.w.outbox_sent != rk_s.w.outbox_used) rk_copy(rk_s.w.outbox, rk_s.front, RK_FRONT, rk_thread());
    const rk_u32 fixed = (rk_u32)((rk_u8 *)&rk_s.w.position - (rk_u8 *)&rk_s.w) / 8;
    const rk_u32 words = (rk_u32)((rk_u8 *)&rk_s.w.counters - (rk_u8 *)&rk_s.w) / 8;
    for (rk_u32 i = fixed + rk_thread(); i < words; i += 32) ((rk_u64 *)worker)[i] = ((const rk_u64 *)&rk_s.w)[i];
    if (rk_thread() < RK_C_COUNT) report->counts[rk_thread()] = rk_s.w.counts[rk_thread()];
    if (rk_thread() < RK_COUNTERS) report->counters[rk_thread()] = rk_peek((rk_u64)&worker->counters[rk_thread()]);
    if (rk_thread() < RK_LEVELS) report->consumed[rk_thread()] = rk_s.w.position[rk_thread()];
    if (rk_thread() == 0) report->waits = rk_s.waits, report->ended = rk_s.w.ended, report->found_waiting = rk_s.w.found_waiting;
    /* Release, by every lane for its part: before the count, and before the host's word. */
    __threadfence_system();
    __syncwarp();
    rk_u32 before = 0;
    if (rk_thread() == 0) before = atomicAdd(&rk_s.kernel->left_count, 1u);
    before = __shfl_sync(RK_WARP, before, 0);
    if (before + 1 != rk_s.k.worker_count) return;
    __threadfence();
    for (rk_u32 i = rk_thread(); i < rk_s.k.worker_count * RK_LEVELS; i += 32) {
        const rk_dev_ring &ring = ((const rk_dev_worker *)rk_s.k.workers)[i / RK_LEVELS].rings[i % RK_LEVELS];
        ((rk_dev_report *)rk_s.k.reports)[i / RK_LEVELS].accepted[i % RK_LEVELS] = rk_peek(ring.tail) & ~RK_CLOSED;
    }
    __threadfence_system();
    __syncwarp();
    if (rk_thread() == 0) {
        rk_s.kernel->left_count = 0;
        __threadfence();
        rk_poke(rk_s.k.control, rk_s.launch);
    }
}

extern "C" __global__ void __launch_bounds__(RK_LANES > 32 ? RK_LANES : 32)
    rk_pump_kernel(const __grid_constant__ rk_dev_kernel k, rk_dev_kernel *kernel, rk_u64 launch, rk_u64 unix_ns, rk_u64 quantum_ns, rk_u32 mode) {
    extern __shared__ __align__(64) rk_u8 scratch[];
    const rk_u32 thread = threadIdx.x;
    const rk_u64 now = rk_timer();
    if (thread >= 32) {
        for (;;) {
            __syncthreads();
            if (rk_s.leave) return;
            rk_run_handler(k, rk_s.call, scratch);
            __syncthreads();
        }
    }
    const rk_u64 *worker = (const rk_u64 *)((rk_dev_worker *)k.workers + blockIdx.x);
    for (rk_u32 i = thread; i < sizeof rk_s.w / 8; i += 32) ((rk_u64 *)&rk_s.w)[i] = worker[i];
    for (rk_u32 i = thread; i < sizeof rk_s.k / 8; i += 32) ((rk_u64 *)&rk_s.k)[i] = ((const rk_u64 *)&k)[i];
    if (thread < RK_BATCH) rk_s.guesses[thread].ring = 0;
    __syncwarp();
    if (thread < RK_RINGS) rk_s.published[thread] = rk_s.w.position[thread];
    if (rk_s.w.outbox_used) rk_copy((rk_u64)rk_s.front, (const rk_u8 *)rk_s.w.outbox, RK_FRONT, thread);
    if (thread == 0) {
        rk_s.leave = 0, rk_s.mode = mode, rk_s.kernel = kernel, rk_s.launch = launch, rk_s.until = now + quantum_ns;
        rk_s.fetched = rk_s.blocked = rk_s.todo.ring = 0;
        rk_s.waits = rk_peek(rk_s.k.waits + 8ull * blockIdx.x);
        if (rk_s.w.outbox_used == 0) rk_s.w.front_end = RK_FRONT;
        /* The launch happened before we started, so the larger difference is the truer one; it fades, lest the two
         * clocks' drift be taken for delay. */
        const rk_i64 offset = (rk_i64)(unix_ns - now), known = rk_s.w.clock_offset - 2000;
        rk_s.w.clock_offset = rk_s.w.clock == 0 || offset > known ? offset : known;
        const rk_u64 physical = rk_units(now + (rk_u64)rk_s.w.clock_offset);
        if (physical > rk_s.w.clock) rk_s.w.clock = physical;
    }
    __syncwarp();
    const rk_u64 consumed = rk_s.w.consumed;
    if (mode == RK_MODE_END) rk_end();
    else rk_stay(k, scratch);
    __syncwarp();
    if (thread == 0) rk_s.leave = 1;
    __syncwarp();
    if (RK_LANES > 32) __syncthreads();
    rk_leave(consumed);
}

#endif
