/* The hot loop: from a message in a ring to what its handler led to. */
#ifndef RINGKERNEL_CUDA_SERVE_CUH
#define RINGKERNEL_CUDA_SERVE_CUH

#include <ringkernel/cuda/deliver.cuh>
#include <ringkernel/cuda/handler.cuh>
#include <ringkernel/cuda/scout.cuh>

/* Between looks at the command word and at the time: looks that found nothing, of which a round with messages takes the time
 * of four or more. */
#define RK_LOOKS 64u
#define RK_LOOKS_A_ROUND 4u
/* Rounds with nothing to do after which a worker that is asked to leave when idle does. */
#define RK_IDLE 16u
#define RK_ALL_RINGS 0x11111111u
#define RK_PEER_RINGS 0x1111u

/* A message that came alone. */
struct rk_alone {
    bool taken;
    rk_u32 actor, d1;
};

/* Takes one message from `ring`, which begins so, into item 0 by the shortest way. Not taken: there is something special about it,
 * or it has a body. */
RK_PUMP_FN rk_alone rk_take_alone(const rk_pump &p, rk_u32 ring, rk_u32 actor, rk_u32 d1, const rk_word &word) {
    rk_block &rk_s = rk_here(p);
    rk_alone m;
    m.d1 = d1, m.actor = actor;
    m.taken = !(d1 >> 24 & RK_F_BODY) & rk_is_plain(p, actor, d1);
    if (m.taken & (p.thread >> 2 == ring)) {
        rk_take_apart(rk_s.items[0], word, d1, p.thread & 3);
        rk_s.items[0].size = d1 >> 16 & 0x3f;
    }
    return m;
}

/* Runs the handlers of a batch in items from `first` on, until one has too many posts or there is none. Gives how many were
 * handled, in `call` the last, and in `outcome` what they came to. Where one lane does it, plain replies to the host do not
 * count there, up to the first post that is none: `kept` of them are to be sent before everything else. */
RK_PUMP_FN rk_u32 rk_run_batch(rk_pump &p, const rk_dev_kernel &k, rk_u32 first, rk_u32 count, bool fetched, rk_call &call,
                               rk_u32 &outcome, rk_u32 &kept) {
    rk_block &rk_s = rk_here(p);
    call = rk_new_call();
    rk_u32 taken = 0;
    rk_u64 latest = p.clock;
    outcome = kept = 0;
    /* Lanes fewer than a warp go through the whole batch by themselves. */
    if (RK_LANES >= 32 || p.thread < RK_LANES) {
        rk_item_head m = rk_s.items[first];
        call.number = first, call.readable = RK_MEDIUM;
        call.message = p.at.base + ((rk_u8 *)rk_s.items[first].payload - (rk_u8 *)&rk_s);
        if (fetched) call.message = rk_s.call.message, call.readable = ~0u;
        /* For all of the batch. */
        const bool room = !p.blocked && (rk_u32)p.out_tail + count - (rk_u32)p.out_head <= p.out_mask + 1;
        for (;;) {
            latest = latest > m.time ? latest : m.time;
            /* The clock's rule, for all messages before at once. */
            call.time = latest + 1 + taken, call.size = m.size;
            const rk_u32 actor = m.actor, d1 = m.d1, posts = call.posts;
            const rk_u64 correlation = m.correlation;
            /* On its way while this one is handled. */
            m = rk_s.items[call.number + 1];
            if (RK_LANES > 32) {
                if (p.thread == 0) rk_s.call = call;
                __syncthreads();
            }
            rk_own own;
            const rk_call done = rk_run_handler(rk_s, p.at, k, actor, d1, correlation, call, own);
            if (RK_LANES > 32) __syncthreads();
            if (RK_LANES == 1 && (room & rk_is_plain_reply(own, done, posts, d1))) {
                rk_keep_reply(p, kept, own, call.number);
                kept++;
                if (++taken == count) break;
            } else {
                call = done;
                if (call.result == RK_RESULT_UNHANDLED) break;
                rk_let_go(rk_s, p.at, own, call);
                if (++taken == count || rk_is_enough(call)) break;
            }
            call.number++, call.message += sizeof(rk_item);
        }
        if (taken) outcome = rk_outcome_of(call);
    }
    __syncwarp();
    if (RK_LANES < 32) {
        outcome = __shfl_sync(RK_WARP, outcome, 0);
        taken = __shfl_sync(RK_WARP, taken, 0);
        latest = rk_shfl(latest, 0);
    }
    if (RK_LANES == 1) kept = __shfl_sync(RK_WARP, kept, 0);
    p.clock = latest + taken;
    return taken;
}

/* The clock when the message of an item is handled. */
RK_PUMP_FN rk_u64 rk_clock_after(const rk_pump &p, rk_u32 number) {
    const rk_u64 time = rk_here(p).items[number].time;
    return (p.clock > time ? p.clock : time) + 1;
}

/* The same of a message that came alone. Its handler is compiled once more here, where much of what it is called with is
 * known; for more than a warp of lanes it is not, whose barriers take longer than what this saves. */
RK_PUMP_FN rk_u32 rk_run_alone(rk_pump &p, const rk_dev_kernel &k, const rk_alone &m, rk_call &call, rk_u32 &outcome,
                               rk_u32 &kept) {
    rk_block &rk_s = rk_here(p);
    call = rk_new_call();
    outcome = kept = 0;
    if (RK_LANES == 32 || p.thread < RK_LANES) {
        call.number = 0;
        call.message = p.at.base + ((rk_u8 *)rk_s.items[0].payload - (rk_u8 *)&rk_s);
        call.size = m.d1 >> 16 & 0x3f, call.readable = RK_MEDIUM, call.time = rk_clock_after(p, 0);
        rk_own own;
        call = rk_run_handler(rk_s, p.at, k, m.actor, m.d1, rk_s.items[0].correlation, call, own);
        if ((rk_u32)p.out_tail - (rk_u32)p.out_head <= p.out_mask && rk_is_plain_reply(own, call, 0, m.d1)) {
            rk_keep_reply(p, 0, own, 0);
            outcome = RK_B_KEPT;
        } else {
            rk_let_go(rk_s, p.at, own, call);
            outcome = call.result == RK_RESULT_UNHANDLED ? RK_B_UNHANDLED : rk_outcome_of(call);
        }
    }
    __syncwarp();
    /* Once more: few handlers ask for the time, and who does not is not to wait for it. */
    p.clock = rk_clock_after(p, 0);
    if (RK_LANES < 32) outcome = __shfl_sync(RK_WARP, outcome, 0);
    const rk_u32 taken = outcome == RK_B_UNHANDLED ? 0 : 1;
    kept = outcome == RK_B_KEPT ? 1 : 0;
    if (kept || !taken) outcome = 0;
    return taken;
}

/* There is something special about the message in an item. */
RK_PUMP_FN rk_u32 rk_to_fetch(const rk_pump &p, rk_u32 number) {
    if (p.thread == 0) rk_here(p).todo.number = number;
    return RK_TO_FETCH;
}

/* What handlers led to, delivered as far as it is small. `taken` messages from our position of a ring, in items from `first` on,
 * were handled; their words are with the groups of threads from `holder` on. Gives RK_TO_... */
RK_PUMP_FN rk_u32 rk_settle(rk_pump &p, const rk_dev_kernel &k, rk_u32 ring, rk_u32 first, rk_u32 holder, rk_u32 taken,
                            const rk_word &word, const rk_out &out, const rk_call &call, rk_u32 outcome, rk_u32 kept) {
    rk_block &rk_s = rk_here(p);
    rk_u32 todo = 0;
    if (RK_LANES == 1 && kept) rk_send_kept(p, kept, out);
    if (RK_LANES > 1 && outcome == taken && !p.blocked && rk_answer(p, taken, first, holder, word, out)) {
    } else if (outcome == (1 | RK_B_SENDS) && !p.blocked && rk_pass_on(p, k)) {
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
    /* Items and outbox are read: what comes next may write them. */
    __syncwarp();
    if (taken == 0) todo = rk_to_fetch(p, first);
    p.handled += taken;
    p.turn += taken;
    p.ahead -= p.ahead ? taken : 0;
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

/* The same, asked once in so many looks. */
RK_PUMP_FN bool rk_time_is_up(rk_pump &p, const rk_dev_kernel &k, rk_u32 &looks) {
    if (looks < RK_LOOKS) return false;
    looks = 0;
    return rk_is_over(p, k);
}

/* Where there are many in a row: the second warp takes the next apart while we run the handlers of those before. Ends where it
 * found none, or some elsewhere, or something must be done: RK_TO_... */
RK_PUMP_FN rk_u32 rk_serve_scouted(rk_pump &p, const rk_dev_kernel &k, rk_row &row, rk_u32 ring, rk_u32 &looks) {
    rk_block &rk_s = rk_here(p);
    /* Of the other rings, which are looked at too. */
    if ((p.thread & 3) == 0) rk_s.w.position[p.thread >> 2] = p.position;
    rk_send_scout(p, row, ring, p.ahead);
    for (;; looks += RK_LOOKS_A_ROUND) {
        const rk_u32 count = rk_await_scout(p);
        if (count == 0) return 0;
        if (rk_time_is_up(p, k, looks)) return RK_TO_LEAVE;
        rk_copy_scouted(p);
        row.position += count;
        rk_send_scout(p, row, ring, p.ahead - count);
        const rk_out out = rk_out_at(p, p.thread >> 2);
        const rk_word none = {0, 0};
        rk_call call;
        rk_u32 outcome, kept;
        const rk_u32 taken = rk_run_batch(p, k, 0, count, false, call, outcome, kept);
        const rk_u32 todo = rk_settle(p, k, ring, 0, 0, taken, none, out, call, outcome, kept);
        if (todo || taken != count) {
            rk_await_scout(p);
            row.position -= count - taken;
            return todo;
        }
    }
}

/* Messages that come in a row, `ring`'s ahead of the others: as many as can be taken at a time, while what comes next is on its
 * way. First the one that was fetched, if there is one. Ends where nothing is there, or something must be done elsewhere:
 * RK_TO_... */
RK_PUMP_FN rk_u32 rk_serve_row(rk_pump &p, const rk_dev_kernel &k, rk_u32 allowed, rk_u32 &ring, rk_u32 &looks, bool fetched) {
    rk_block &rk_s = rk_here(p);
    rk_row row = rk_row_of(p, ring);
    rk_word next, ahead;
    rk_look(p, row, ring, 0, next, ahead);
    for (;; looks += RK_LOOKS_A_ROUND) {
        rk_word word;
        rk_u32 first, count = 1;
        if (fetched) {
            first = rk_s.call.number;
            const rk_item &m = rk_s.items[first];
            /* Its words are gone: the item has what a reply takes of them. */
            word.a = (p.thread & 3) == 0 ? m.actor : m.correlation >> 32;
            word.b = (rk_u32)m.correlation;
        } else {
            const rk_u32 ready = rk_ready(p, next) & allowed;
            if (ready == 0) return 0;
            if (rk_time_is_up(p, k, looks)) return RK_TO_LEAVE;
            const rk_u32 chosen = rk_choose(ready, p.turn, ring);
            if (chosen == ring && !p.blocked) {
                /* No further than to the next that fairness chooses. */
                const rk_u32 whole = rk_count_ahead(p, row, ahead), fair = RK_FAIRNESS - 1 - p.turn % RK_FAIRNESS;
                count = whole < fair ? whole : fair;
                /* And to the one whose time is to be taken. */
                count = count < p.ahead ? count : p.ahead;
            }
            if (chosen != ring) row = rk_row_of(p, chosen);
            ring = chosen;
            word = count > 1 ? ahead : next;
            first = count > 1 ? 0 : ring;
            count = rk_take(p, k, row, ring, first, count > 1 ? count : 1, word, rk_s.items);
            if (count == 0) return rk_to_fetch(p, first);
        }
        rk_look(p, row, ring, count, next, ahead);
        /* The words of item i are with group i; of a message that was fetched all groups have them. With one lane they are not
         * needed, and replies are counted by themselves. */
        const rk_out out = rk_out_at(p, RK_LANES == 1 ? p.thread >> 2 : (p.thread >> 2) - first);
        rk_call call;
        rk_u32 outcome, kept;
        __syncwarp();
        if (fetched && p.thread == 0) rk_s.began = rk_ticks();
        const rk_u32 taken = rk_run_batch(p, k, first, count, fetched, call, outcome, kept);
        if (fetched && p.thread == 0) rk_s.ended = rk_ticks();
        rk_u32 todo = rk_settle(p, k, ring, first, first, taken, word, out, call, outcome, kept);
        row.position += taken;
        if (fetched) {
            fetched = false;
            __syncwarp();
            if (rk_s.measured) todo |= RK_TO_RECORD;
            if (todo) todo |= RK_FETCHED;
            __syncwarp();
            if (p.thread == 0) rk_s.fetched = rk_s.measured = 0;
        }
        if (todo || taken != count || p.blocked) return todo;
        /* With messages elsewhere, or one whose time is to be taken, the way would be in vain. */
        if (rk_has_scout() && count == RK_BATCH && p.ahead != 0 && !(rk_ready(p, next) & ~(1u << 4 * ring))) {
            todo = rk_serve_scouted(p, k, row, ring, looks);
            if (todo) return todo;
            rk_look(p, row, ring, 0, next, ahead);
        }
    }
}

/* The hot loop. Gives RK_TO_...; 0 after one round in a circle of waiting workers. */
RK_PUMP_FN rk_u32 rk_serve(const rk_dev_kernel &k, void *scratch) {
    rk_pump p = rk_fill(scratch);
    const rk_u32 allowed = p.blocked ? RK_PEER_RINGS : RK_ALL_RINGS;
    const bool leaves_idle = rk_s.mode == RK_MODE_LEAVE_IDLE || p.blocked;
    rk_u32 todo = 0, ring = rk_s.todo.ring, looks = 0;
    bool fetched = rk_s.fetched;
    __syncwarp();
    for (;;) {
        if (!fetched) {
            if (rk_time_is_up(p, k, looks)) {
                todo = RK_TO_LEAVE;
                break;
            }
            rk_word word;
            const rk_u32 limit = leaves_idle ? looks + RK_IDLE : RK_LOOKS;
            const rk_out out = rk_out_at(p, RK_LANES == 1 ? p.thread >> 2 : 0);
            rk_u32 actor, d1;
            const rk_u32 ready = rk_watch(rk_aim_at(p), allowed, looks, limit, word, actor, d1);
            if (ready == 0) {
                if (!leaves_idle) continue;
                todo = p.blocked ? 0 : RK_TO_LEAVE;
                break;
            }
            if (ready == 1u << 4 * RK_USUAL_RING) {
                ring = RK_USUAL_RING;
            } else {
                ring = rk_choose(ready, p.turn, ring);
                actor = __shfl_sync(RK_WARP, (rk_u32)word.a, 4 * ring);
                d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), 4 * ring);
            }
            if (RK_LANES <= 32 && !p.blocked) {
                const rk_alone alone = rk_take_alone(p, ring, actor, d1, word);
                if (alone.taken) {
                    rk_call call;
                    rk_u32 outcome, kept;
                    __syncwarp();
                    const rk_u32 taken = rk_run_alone(p, k, alone, call, outcome, kept);
                    todo = rk_settle(p, k, ring, 0, ring, taken, word, out, call, outcome, kept);
                    if (todo) break;
                }
            }
        }
        looks += RK_LOOKS_A_ROUND;
        todo = rk_serve_row(p, k, allowed, ring, looks, fetched);
        fetched = false;
        if (todo || p.blocked) break;
    }
    if (rk_thread() == 0) rk_s.todo.ring = ring;
    rk_spill(p);
    return todo;
}

#endif
