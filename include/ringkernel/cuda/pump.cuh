/* The pump on CUDA: one block is one worker. For a bounded quantum it takes messages from the rings, finds the actor,
 * runs its handler with all lanes, and sends what it produced; then it leaves, with all state in device memory, and is
 * launched again while there is work. src/ring/mod.rs says how rings work, and src/backend/cpu is the same machine on the
 * CPU.
 *
 *   memory.cuh ── block.cuh ─┬─ letters.cuh ─┬─ take.cuh ── scout.cuh ─────┐
 *                            ├─ family.cuh ──┴─ posts.cuh ─┬─ deliver.cuh ──┴─ serve.cuh ─┬─ pump.cuh
 *                            └─ handler.cuh ───────────────┤                latency.cuh ──┤
 *                                                          └─ topics.cuh ─────────────────┘
 *
 * Warp 0 is the pump: its 32 threads take every decision together, on equal values; other warps wait for handlers to run, or
 * where one lane runs them, a second one takes messages apart ahead of it.
 * What costs time is not bandwidth but the way to memory, a third of a microsecond, and the length of the path through one
 * warp, some four cycles an instruction. So up to eight messages are taken with one look, and the look for the next is
 * under way while their handlers run; slots are taken apart, looked up and written by four threads each, side by side;
 * a batch lies in shared memory. Whatever is seldom needed is out of line: the hot loop calls nothing, for with a call in
 * it the compiler would keep half of its registers in memory. It is left for such work, and entered again.
 *
 * Compiled after the user's actors, with RK_PUMP_ACTOR the actor's name, RK_LANES the threads that run handlers, and
 * RK_SCRATCH_BYTES of scratch memory.
 */
#ifndef RINGKERNEL_CUDA_PUMP_CUH
#define RINGKERNEL_CUDA_PUMP_CUH

#include <ringkernel/cuda/latency.cuh>
#include <ringkernel/cuda/serve.cuh>
#include <ringkernel/cuda/topics.cuh>

/* Between looks at the command word and at the time, where work is out of line. */
#define RK_BEATS 16u

/* Whether the actor whose handler failed is restarted; counts it if so. src/kernel/supervision.rs says the rule. */
RK_PUMP_FN bool rk_counts_restart(rk_dev_entry &entry, rk_u64 time) {
    const rk_u32 now = (rk_u32)(time >> 22);
    if (entry.restarts == 0 || now - entry.since > rk_s.k.restart_window) entry.restarts = 0, entry.since = now;
    if (entry.restarts >= rk_s.k.restarts) return false;
    entry.restarts++;
    return true;
}

/* Gives an actor a state to begin with: to one that is restarted (`again`) the one that is kept for that, if any is, to others
 * the one that it was launched with, which is then kept. */
RK_PUMP_FN void rk_reset(rk_u32 index, bool again, void *scratch) {
    const rk_u64 offset = (rk_u64)index * rk_s.k.stride;
    ulonglong2 *state = (ulonglong2 *)(rk_place_of(rk_s.k, scratch).states + offset);
    ulonglong2 *kept = rk_s.k.kept ? (ulonglong2 *)(rk_s.k.kept + offset) : (ulonglong2 *)0;
    const ulonglong2 *from = again && kept ? kept : (const ulonglong2 *)rk_s.k.initial;
    for (rk_u32 i = rk_thread(); i < rk_s.k.stride / 16; i += 32) {
        const ulonglong2 part = from ? from[i] : make_ulonglong2(0, 0);
        state[i] = part;
        if (kept && !again) kept[i] = part;
    }
    __syncwarp();
}

/* The handler failed or stopped its actor. `fetched`: RK_FETCHED. */
RK_COLD_FN void rk_ended(bool fetched, void *scratch) {
    const rk_u32 number = rk_s.todo.number;
    const rk_item &m = rk_s.items[number];
    const rk_u32 index = m.actor & 0xfffff;
    rk_dev_entry &entry = ((rk_dev_entry *)rk_s.k.entries)[index];
    const bool failed = rk_s.todo.result & RK_RESULT_FAIL;
    const rk_u64 time = failed ? rk_tick() : 0;
    const bool again = __shfl_sync(RK_WARP, failed && rk_thread() == 0 && rk_counts_restart(entry, time), 0);
    rk_u32 orphan = 0;
    if (again) {
        rk_reset(index, true, scratch);
        rk_add(RK_C_RESTARTS, 1);
        if (m.flags() & RK_F_AGAIN) rk_add_again(number, (const rk_u8 *)(fetched ? rk_s.call.message : (rk_u64)m.payload));
    } else if (rk_thread() == 0) {
        entry.status = failed ? RK_FAILED : RK_STOPPED, rk_s.w.irregular = 1;
        orphan = rk_end_family(index);
    }
    orphan = __shfl_sync(RK_WARP, orphan, 0);
    if (orphan) rk_add_orphaned(number, orphan);
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
    if (rk_thread() < RK_BATCH) rk_s.w.origins[rk_thread()] = rk_origin_of(rk_s.items[rk_thread()]);
    __syncwarp();
    /* Behind what was set aside before, if there is any. */
    const rk_u64 wait = rk_flush();
    rk_waits_for(wait == RK_LATER ? 0 : wait);
}

/* Starts or stops an actor, if that is what a message asks for that cannot be handled for this reason, or its parent has
 * ended. */
RK_COLD_FN bool rk_direct(const rk_item &m, rk_i32 why, void *scratch) {
    const rk_u32 type = m.type(), index = m.actor & 0xfffff, parent = (rk_u32)m.sender() & 0xfffff;
    const bool relative = (rk_u32)(m.sender() >> 32) == rk_s.k.key && parent < rk_s.k.actors;
    if (type != RK_TYPE_START && type != RK_TYPE_STOP && !(type == RK_TYPE_ORPHANED && relative)) return false;
    if (why != RK_D_STOPPED && why != RK_D_FAILED && why != RK_D_TYPE) return false;
    rk_dev_entry &entry = ((rk_dev_entry *)rk_s.k.entries)[index];
    if (type == RK_TYPE_START) rk_reset(index, false, scratch);
    rk_u32 orphan = 0;
    if (rk_thread() == 0) {
        bool ends = type == RK_TYPE_STOP;
        if (type == RK_TYPE_START) {
            entry.status = RK_RUNNING, entry.restarts = 0;
            rk_begin_family(index);
            ends = relative && !rk_join_family(index, parent);
        } else if (type == RK_TYPE_ORPHANED) {
            ends = rk_leave_family(index, m.correlation);
        }
        if (ends && entry.status == RK_RUNNING) entry.status = RK_STOPPED, orphan = rk_end_family(index);
        rk_s.w.irregular = 1;
        if (m.time > rk_s.w.clock) rk_s.w.clock = m.time;
    }
    rk_add(RK_C_HANDLED, 1);
    orphan = __shfl_sync(RK_WARP, orphan, 0);
    if (orphan) rk_add_orphaned(rk_s.todo.number, orphan);
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
            m.size = size, rk_s.call.message = payload, rk_s.call.number = rk_s.todo.number, rk_s.fetched = 1;
            if (rk_s.w.sample_ahead == 0) rk_waited(m);
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
        bool stuck = false, leaving = false;
        /* Posts that could not leave come before anything else. */
        if (rk_thread() == 0) rk_s.blocked = 0;
        __syncwarp();
        if (!rk_is_flushed()) {
            const rk_u64 wait = rk_flush();
            rk_waits_for(wait == RK_LATER ? 0 : wait);
            if (wait == RK_LATER) return;
            if (wait) {
                stuck = rk_s.mode == RK_MODE_LEAVE_IDLE && ++idle >= RK_IDLE;
                /* Where workers wait for each other in a circle somebody must make room: we set our posts aside and take
                 * one message from an actor, for only that makes room for one. Once also if we are to leave: of a host
                 * that parks again and again nobody would make room. */
                if (!rk_is_in_cycle()) {
                    if (stuck || rk_must_leave()) return;
                    continue;
                }
                leaving = rk_must_leave();
                rk_set_aside();
                if (rk_thread() == 0) rk_s.blocked = 1;
                __syncwarp();
            }
        }
        const rk_u32 todo = rk_serve(k, scratch);
        if (todo & RK_TO_LEAVE) return;
        if (todo & RK_TO_RECORD) rk_took();
        if (todo & RK_TO_POST) rk_deliver_rest();
        if (todo & RK_TO_END) rk_ended(todo & RK_FETCHED, scratch);
        if (todo & RK_TO_FETCH) {
            if (!rk_fetch_or_bury(scratch) && rk_s.mode == RK_MODE_LEAVE_IDLE && ++idle >= RK_IDLE) return;
        }
        /* What was fetched is handled in the next round. */
        if (stuck || (leaving && !rk_s.fetched) || (beat % RK_BEATS == 0 && rk_must_leave())) return;
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
            const rk_word word = rk_load_word(p.slots + (p.position & p.mask) * 64);
            if (!(rk_ready(p, word) >> (4 * ring) & 1)) continue; /* its producer is about to write it */
            const rk_u32 d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), 4 * ring);
            rk_item &m = rk_s.items[ring];
            if (rk_thread() >> 2 == ring) rk_take_apart(m, word, d1, rk_thread() & 3);
            __syncwarp();
            rk_u32 size = d1 >> 16 & 0x3f;
            rk_u64 payload = (rk_u64)m.payload;
            if (m.flags() & RK_F_BODY) payload = rk_fetch(ring, rk_s.w.position[ring], m, size);
            /* That its parent has ended is no news to an actor that ends. */
            const bool news = m.type() != RK_TYPE_ORPHANED;
            if (news) rk_bury(m, (const rk_u8 *)payload, size, RK_D_TERMINATED);
            else rk_add(RK_C_HANDLED, 1);
            if (rk_thread() == 0) rk_s.w.position[ring]++, rk_s.w.consumed++, rk_s.w.found_waiting += news ? 1 : 0;
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
    rk_end_measuring();
    if (rk_s.w.outbox_sent != rk_s.w.outbox_used) rk_copy(rk_s.w.outbox, rk_s.front, RK_FRONT, rk_thread());
    const rk_u32 fixed = (rk_u32)((rk_u8 *)&rk_s.w.position - (rk_u8 *)&rk_s.w) / 8;
    const rk_u32 words = (rk_u32)((rk_u8 *)&rk_s.w.counters - (rk_u8 *)&rk_s.w) / 8;
    for (rk_u32 i = fixed + rk_thread(); i < words; i += 32) ((rk_u64 *)worker)[i] = ((const rk_u64 *)&rk_s.w)[i];
    if (rk_thread() < RK_C_COUNT) report->counts[rk_thread()] = rk_s.w.counts[rk_thread()];
    if (rk_thread() < RK_COUNTERS) report->counters[rk_thread()] = rk_peek((rk_u64)&worker->counters[rk_thread()]);
    if (rk_thread() < RK_LEVELS) report->consumed[rk_thread()] = rk_s.w.position[rk_thread()];
    if (rk_thread() == 0)
        report->ticks = rk_s.w.ticks, report->ticks_ns = rk_s.w.ticks_ns, report->span_count = rk_s.w.span_count;
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

extern "C" __global__ void __launch_bounds__(RK_LANES > 32 ? RK_LANES : RK_LANES == 1 ? 64 : 32, 1)
    rk_pump_kernel(const __grid_constant__ rk_dev_kernel k, rk_dev_kernel *kernel, rk_u64 launch, rk_u64 unix_ns, rk_u64 quantum_ns, rk_u32 mode) {
    extern __shared__ __align__(64) rk_u8 scratch[];
    const rk_u32 thread = threadIdx.x;
    const rk_u64 now = rk_timer();
    if (RK_LANES == 1 && thread >= 32) {
        rk_scout(k);
        return;
    }
    if (RK_LANES > 32 && thread >= 32) {
        const rk_place at = rk_place_of(k, scratch);
        for (;;) {
            __syncthreads();
            if (rk_s.leave) return;
            const rk_item &m = rk_s.items[rk_s.call.number];
            rk_own own;
            rk_run_handler(rk_s, at, k, m.actor, m.d1, m.correlation, rk_s.call, own);
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
        rk_s.fetched = rk_s.measured = rk_s.blocked = rk_s.todo.ring = 0;
        rk_s.waits = rk_peek(rk_s.k.waits + 8ull * blockIdx.x);
        if (rk_s.w.outbox_used == 0) rk_s.w.front_end = RK_FRONT;
        /* The launch happened before we started, so the larger difference is the truer one; it fades, lest the two
         * clocks' drift be taken for delay. */
        const rk_i64 offset = (rk_i64)(unix_ns - now), known = rk_s.w.clock_offset - 2000;
        rk_s.w.clock_offset = rk_s.w.clock == 0 || offset > known ? offset : known;
        const rk_u64 physical = rk_units(now + (rk_u64)rk_s.w.clock_offset);
        if (physical > rk_s.w.clock) rk_s.w.clock = physical;
        rk_begin_measuring();
    }
    __syncwarp();
    if (k.near) rk_copy_states(false, scratch);
    const rk_u64 consumed = rk_s.w.consumed;
    if (mode == RK_MODE_END) rk_end();
    else if (mode != RK_MODE_LOOK) rk_stay(k, scratch);
    __syncwarp();
    if (thread == 0) rk_s.leave = 1;
    __syncwarp();
    if (rk_has_scout()) rk_bar_pass(RK_BAR_GO);
    if (RK_LANES > 32) __syncthreads();
    if (k.near) rk_copy_states(true, scratch);
    rk_leave(consumed);
}

#endif
