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
 * Compiled after the user's actors, with RK_PUMP_ACTOR the actor's name, RK_LANES the threads of a worker, and
 * RK_SCRATCH_BYTES of scratch memory.
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
/* Where states that are kept close lie in the dynamic shared memory: behind the scratch memory. */
#define RK_NEAR_AT ((RK_SCRATCH_BYTES + 63u) & ~63u)

/* Where the state of an actor is while its worker is on the device. */
RK_PUMP_FN void *rk_state_of(const rk_dev_kernel &k, rk_u32 index, rk_u64 scratch) {
    if (k.near) return (void *)(scratch + RK_NEAR_AT + (index - blockIdx.x * k.block) * k.stride);
    return (void *)(k.states + (rk_u64)index * k.stride);
}

/* Runs the handler of an item: by every lane. What comes of it is the same in all of them. */
RK_PUMP_FN rk_call rk_run_handler(rk_block &rk_s, rk_u64 base, const rk_dev_kernel &k, rk_call call, rk_u64 scratch) {
    const rk_item &m = rk_s.items[call.number];
    const rk_u32 actor = m.actor, d1 = m.d1;
    rk_lane_context cx;
    cx.state = rk_state_of(k, actor & 0xfffff, scratch);
    cx.message = (const void *)call.message;
    cx.scratch = (void *)scratch;
    cx.outbox = (rk_u8 *)rk_s.w.outbox;
    cx.outbox_used = call.used;
    cx.outbox_limit = k.outbox_limit;
    cx.type = d1 & 0xffff;
    cx.size = call.size;
    cx.index = actor & 0xfffff;
    cx.actors = k.actors;
    cx.self = (rk_u64)k.key << 32 | actor;
    cx.sender = m.sender();
    cx.correlation = m.correlation;
    cx.time = call.time;
    cx.counters = (rk_u64 *)((rk_dev_worker *)k.workers)[blockIdx.x].counters;
    cx.priority = 64 * (d1 >> 22 & 3);
    cx.result = 0;
    cx.fail_code = 0;
    cx.refused = 0;
    cx.buffers = (const rk_buffer_table *)k.buffers;
    cx.opened = 0;
    cx.front = (rk_u8 *)(base + ((rk_u8 *)&rk_s.front - (rk_u8 *)&rk_s));
    cx.front_size = RK_FRONT;
    cx.front_end = call.front_end;
    cx.filled = 0;
    cx.posts = call.posts;
    cx.origin = call.number;
    cx.offsets = (rk_u32 *)(base + ((rk_u8 *)&rk_s.index - (rk_u8 *)&rk_s));
    if (RK_LANES < 32 || threadIdx.x < RK_LANES) RK_DISPATCH(&cx);
    /* Release, by every lane for what it wrote, before anything is sent; at system scope, for the host may download it. */
    if (cx.opened) __threadfence_system();
    call.used = cx.outbox_used;
    call.front_end = cx.front_end;
    call.posts = cx.posts;
    call.result = cx.result;
    call.code = cx.fail_code;
    call.refused = cx.refused;
    return call;
}

/* Takes up to `count` messages from our position of a ring apart, four threads with the words of each, from item `first`
 * on: the item of a thread is that of its number by four. Gives how many can be handled: up to the first that there is
 * something special about. */
RK_PUMP_FN rk_u32 rk_take(const rk_pump &p, const rk_dev_kernel &k, rk_u32 ring, rk_u32 first, rk_u32 count,
                          const rk_word &word) {
    rk_block &rk_s = rk_here(p);
    const rk_u32 group = (p.thread >> 2) - first, part = p.thread & 3, lane = p.thread & ~3u;
    const rk_u32 d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), lane);
    const rk_u32 actor = __shfl_sync(RK_WARP, (rk_u32)word.a, lane), declared = RK_DECLARED(d1 & 0xffff);
    const bool mine = group < count;
    bool plain = rk_is_plain(p, k, actor, d1, declared);
    rk_item &m = rk_s.items[p.thread >> 2];
    rk_take_apart(m, word, d1, part);
    if (part == 0) m.size = d1 >> 16 & 0x3f;
    if (!k.near && mine && plain && part * 128 < k.stride)
        rk_prefetch(k.states + (rk_u64)actor * k.stride + part * 128);
    if (__any_sync(RK_WARP, mine && d1 >> 24 & RK_F_BODY)) {
        const rk_u32 position = __shfl_sync(RK_WARP, (rk_u32)p.position, 4 * ring) + group;
        __syncwarp(); /* the sibling's word is there */
        const rk_u32 size = (rk_u32)m.payload[0];
        plain = plain && (!(d1 >> 24 & RK_F_BODY) || size <= declared);
        __syncwarp();
        if (mine && plain && d1 >> 24 & RK_F_BODY) {
            const rk_dev_ring &from = rk_s.w.rings[ring];
            const rk_u64 body = from.bodies + (rk_u64)(position & ((1u << from.shift) - 1)) * from.body;
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

/* Bits of what a batch came to, beside its number of posts. */
#define RK_B_POSTS 0xffffffu
#define RK_B_RESULT (1u << 29)
#define RK_B_REFUSED (1u << 30)
#define RK_B_FAR (1u << 31) /* posts lie behind the front of the outbox */

/* Handles a batch from our position of a ring, in items from `first` on, and delivers what it led to as far as that is small.
 * `fetched`: the one message was fetched. Gives RK_TO_... */
RK_PUMP_FN rk_u32 rk_handle(rk_pump &p, const rk_dev_kernel &k, rk_u32 ring, rk_u32 first, rk_u32 count,
                            const rk_word &word, bool fetched) {
    rk_block &rk_s = rk_here(p);
    rk_call call;
    call.used = call.posts = call.result = call.refused = 0;
    call.front_end = RK_FRONT;
    rk_u32 taken = 0, outcome = 0;
    rk_u64 clock = p.clock;
    __syncwarp();
    /* Lanes fewer than a warp go through the whole batch by themselves. */
    if (RK_LANES >= 32 || p.thread < RK_LANES) {
        do {
            call.number = first + taken;
            const rk_item &m = rk_s.items[call.number];
            call.message = p.base + ((rk_u8 *)m.payload - (rk_u8 *)&rk_s), call.size = m.size;
            if (fetched) call.message = rk_s.call.message, call.size = rk_s.call.size;
            clock = (clock > m.time ? clock : m.time) + 1;
            call.time = clock;
            if (RK_LANES > 32) {
                if (p.thread == 0) rk_s.call = call;
                __syncthreads();
            }
            call = rk_run_handler(rk_s, p.base, k, call, p.scratch);
            if (RK_LANES > 32) __syncthreads();
            taken++;
            outcome = call.posts | (call.result ? RK_B_RESULT : 0) | (call.refused ? RK_B_REFUSED : 0) |
                      (call.used >= RK_FRONT ? RK_B_FAR : 0);
        } while (taken < count && outcome < RK_POSTS_ENOUGH);
    }
    __syncwarp();
    if (RK_LANES < 32) {
        outcome = __shfl_sync(RK_WARP, outcome, 0);
        taken = __shfl_sync(RK_WARP, taken, 0);
        clock = rk_shfl(clock, 0);
    }
    p.clock = clock;

    rk_u32 todo = 0;
    if (outcome == 1 && count == 1 && !p.blocked && rk_reply_one(p, first, word)) {
    } else if (outcome) {
        const rk_u32 posts = outcome & RK_B_POSTS;
        todo = outcome & RK_B_RESULT ? RK_TO_END : 0;
        if (p.thread == 0) {
            rk_s.w.outbox_used = call.used, rk_s.w.outbox_sent = 0, rk_s.w.front_end = call.front_end;
            rk_s.todo.number = call.number, rk_s.todo.result = call.result, rk_s.todo.code = call.code;
            if (outcome & RK_B_REFUSED) rk_s.w.counts[RK_C_REFUSED] += call.refused;
        }
        __syncwarp();
        if (posts && (p.blocked || posts > RK_INDEXED || !rk_deliver(p, k, posts))) todo |= RK_TO_POST;
        else if (p.thread == 0) rk_s.w.outbox_used = 0;
    }
    p.handled += taken;
    p.turn += taken;
    if (p.thread >> 2 == ring) {
        p.position += taken;
        if ((rk_u32)p.position - p.published >= p.due) {
            p.published = (rk_u32)p.position;
            if ((p.thread & 3) == 0) rk_publish(p.head, p.position);
        }
    }
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
    rk_pump p = rk_fill(scratch);
    rk_block &rk_s = rk_here(p);
    const rk_u32 allowed = p.blocked ? RK_PEER_RINGS : RK_ALL_RINGS;
    const bool leaves_idle = rk_s.mode == RK_MODE_LEAVE_IDLE || p.blocked;
    rk_word next = {0, 0}, ahead = {0, 0}, word;
    rk_u32 todo = 0, ring = rk_s.todo.ring, ahead_in = RK_LEVELS + 1; /* the ring that was looked ahead in */
    bool stream = false, have = false;                                /* messages come in a row; the look was made */
    bool fetched = rk_s.fetched;
    rk_u32 idle = 0;
    for (rk_u32 beat = 0; todo == 0; beat++) {
        if (beat % RK_BEATS == RK_BEATS - 1 && rk_is_over(p, k)) {
            todo = RK_TO_LEAVE;
            break;
        }
        rk_u32 first, count = 1;
        if (fetched) {
            first = rk_s.call.number;
            const rk_item &m = rk_s.items[first];
            /* Its words are gone: the item has what a reply takes of them. */
            word.a = (p.thread & 3) == 0 ? m.actor : m.correlation >> 32;
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
                if (!leaves_idle || ++idle < RK_IDLE) continue;
                todo = p.blocked ? 0 : RK_TO_LEAVE;
                break;
            }
            idle = 0;
            ring = rk_choose(ready, p.turn);
            if (stream && ring == ahead_in && !p.blocked) {
                /* No further than to the next that fairness chooses. */
                const rk_u32 whole = rk_count_ahead(p, ahead, ring), fair = RK_FAIRNESS - 1 - p.turn % RK_FAIRNESS;
                count = whole < fair ? whole : fair;
            }
            ahead_in = ring;
            word = count > 1 ? ahead : next;
            first = count > 1 ? 0 : ring;
            count = rk_take(p, k, ring, first, count > 1 ? count : 1, word);
            if (count == 0) {
                todo = RK_TO_FETCH;
                if (p.thread == 0) rk_s.todo.number = first;
                break;
            }
            if (stream) {
                next = rk_look(p, ring, count, true);
                ahead = rk_look_ahead(p, ring, count);
            }
        }
        const rk_u32 before = p.turn;
        todo = rk_handle(p, k, ring, first, count, word, fetched);
        have = stream && p.turn - before == count;
        stream = !fetched;
        if (fetched) {
            fetched = false;
            __syncwarp();
            if (p.thread == 0) rk_s.fetched = 0;
        }
        if (p.blocked) break;
    }
    if (p.thread == 0) rk_s.todo.ring = ring;
    rk_spill(p);
    return todo;
}

/* Whether the actor whose handler failed is restarted; counts it if so. src/kernel/supervision.rs says the rule. */
RK_PUMP_FN bool rk_counts_restart(rk_dev_entry &entry, rk_u64 time) {
    const rk_u32 now = (rk_u32)(time >> 22);
    if (entry.restarts == 0 || now - entry.since > rk_s.k.restart_window) entry.restarts = 0, entry.since = now;
    if (entry.restarts >= rk_s.k.restarts) return false;
    entry.restarts++;
    return true;
}

/* Gives an actor the state that it starts with. */
RK_PUMP_FN void rk_reset(rk_u32 index, void *scratch) {
    ulonglong2 *state = (ulonglong2 *)rk_state_of(rk_s.k, index, (rk_u64)scratch);
    const ulonglong2 *initial = (const ulonglong2 *)rk_s.k.initial;
    for (rk_u32 i = rk_thread(); i < rk_s.k.stride / 16; i += 32) state[i] = initial ? initial[i] : make_ulonglong2(0, 0);
    __syncwarp();
}

/* The handler failed or stopped its actor. */
RK_COLD_FN void rk_ended(void *scratch) {
    const rk_item &m = rk_s.items[rk_s.todo.number];
    const rk_u32 index = m.actor & 0xfffff;
    rk_dev_entry &entry = ((rk_dev_entry *)rk_s.k.entries)[index];
    const bool failed = rk_s.todo.result & RK_RESULT_FAIL;
    const rk_u64 time = failed ? rk_tick() : 0;
    const bool again = __shfl_sync(RK_WARP, failed && rk_thread() == 0 && rk_counts_restart(entry, time), 0);
    if (again) {
        rk_reset(index, scratch);
        rk_add(RK_C_RESTARTS, 1);
    } else if (rk_thread() == 0) {
        entry.status = failed ? RK_FAILED : RK_STOPPED, rk_s.w.irregular = 1;
    }
    __syncwarp();
    if (!failed) return;
    rk_add(RK_C_FAILURES, 1);
    /* Any number of restarts may come, and a host that does not read is not to run out of memory. */
    if (again && rk_letters_full()) return;
    rk_note note = {(rk_u64)rk_s.k.key << 32 | m.actor, 0, 0, time, RK_CLASS_EVENT,
                    again ? RK_EVENT_RESTARTED_ACTOR : RK_EVENT_FAILED_ACTOR, 1, 0, rk_s.todo.code, 0};
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

/* Starts or stops an actor, if that is what a message asks for that cannot be handled for this reason. */
RK_COLD_FN bool rk_direct(const rk_item &m, rk_i32 why, void *scratch) {
    const rk_u32 type = m.type(), index = m.actor & 0xfffff;
    if (type != RK_TYPE_START && type != RK_TYPE_STOP) return false;
    if (why != RK_D_STOPPED && why != RK_D_FAILED && why != RK_D_TYPE) return false;
    rk_dev_entry &entry = ((rk_dev_entry *)rk_s.k.entries)[index];
    if (type == RK_TYPE_START) rk_reset(index, scratch);
    if (rk_thread() == 0) {
        if (type == RK_TYPE_START) entry.status = RK_RUNNING, entry.restarts = 0;
        else if (entry.status == RK_RUNNING) entry.status = RK_STOPPED;
        rk_s.w.irregular = 1;
        if (m.time > rk_s.w.clock) rk_s.w.clock = m.time;
    }
    rk_add(RK_C_HANDLED, 1);
    __syncwarp();
    return true;
}

/* The next message of `ring` is in an item, and there is something special about it: it becomes a dead letter, or is made
 * ready for the hot loop. False if it must wait: the host has too many letters unread. */
RK_COLD_FN bool rk_fetch_or_bury(void *scratch) {
    const rk_u32 ring = rk_s.todo.ring;
    rk_item &m = rk_s.items[rk_s.todo.number];
    rk_u32 size = m.d1 >> 16 & 0x3f;
    const rk_u32 declared = RK_DECLARED(m.type());
    rk_u64 payload = (rk_u64)m.payload;
    if (m.flags() & RK_F_BODY || (declared > RK_MEDIUM && declared != ~0u))
        payload = rk_fetch(ring, rk_s.w.position[ring], m, size);
    /* One thread's, for another may read the clock a little later. */
    const rk_i32 why = __shfl_sync(RK_WARP, rk_verdict(m, declared, size), 0);
    if (why == 0) {
        if (rk_thread() == 0) {
            rk_s.call.message = payload, rk_s.call.size = size, rk_s.call.number = rk_s.todo.number, rk_s.fetched = 1;
        }
        __syncwarp();
        return true;
    }
    const bool directed = rk_direct(m, why, scratch);
    if (!directed && rk_letters_full()) {
        rk_waits_for(RK_WAIT_HOST);
        return false;
    }
    rk_waits_for(0);
    if (!directed) rk_bury(m, (const rk_u8 *)payload, size, why);
    if (rk_thread() == 0) rk_s.w.position[ring]++, rk_s.w.consumed++, rk_s.w.turn++;
    __syncwarp();
    return true;
}

/* Whether to leave, asked where work is out of line. */
RK_PUMP_FN bool rk_must_leave() {
    rk_pump p = rk_fill(0);
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
        if (todo & RK_TO_END) rk_ended(scratch);
        if (todo & RK_TO_FETCH) {
            if (!rk_fetch_or_bury(scratch) && rk_s.mode == RK_MODE_LEAVE_IDLE && ++idle >= RK_IDLE) return;
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
            const rk_pump p = rk_fill(0);
            const rk_word word = rk_look(p, 0, 0, true);
            if (!(rk_ready(p, word) >> (4 * ring) & 1)) continue; /* its producer is about to write it */
            const rk_u32 d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), 4 * ring);
            rk_item &m = rk_s.items[ring];
            if (rk_thread() >> 2 == ring) rk_take_apart(m, word, d1, rk_thread() & 3);
            __syncwarp();
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

/* States of this worker's actors, between device memory and what is close to it. */
RK_COLD_FN void rk_copy_states(bool back, void *scratch) {
    const rk_dev_kernel &k = rk_s.k;
    const rk_u32 first = blockIdx.x * k.block, rest = k.actors > first ? k.actors - first : 0;
    const rk_u32 bytes = (rest < k.block ? rest : k.block) * k.stride;
    uint4 *far = (uint4 *)(k.states + (rk_u64)first * k.stride), *close = (uint4 *)((rk_u8 *)scratch + RK_NEAR_AT);
    for (rk_u32 i = rk_thread(); i < bytes / 16; i += 32) {
        if (back) far[i] = close[i];
        else close[i] = far[i];
    }
    __syncwarp();
}

/* State back to device memory, counts to the host. The last worker out says that all have left. */
RK_COLD_FN void rk_leave(rk_u64 consumed_before) {
    for (rk_u32 ring = 0; ring < RK_RINGS; ring++)
        if (rk_thread() == ring && rk_s.published[ring] != rk_s.w.position[ring])
            rk_publish(rk_s.w.rings[ring].head, rk_s.w.position[ring]);
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
            rk_run_handler(rk_s, (rk_u64)&rk_s, k, rk_s.call, (rk_u64)scratch);
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
    if (k.near) rk_copy_states(false, scratch);
    const rk_u64 consumed = rk_s.w.consumed;
    if (mode == RK_MODE_END) rk_end();
    else if (mode != RK_MODE_LOOK) rk_stay(k, scratch);
    __syncwarp();
    if (thread == 0) rk_s.leave = 1;
    __syncwarp();
    if (RK_LANES > 32) __syncthreads();
    if (k.near) rk_copy_states(true, scratch);
    rk_leave(consumed);
}

#endif
