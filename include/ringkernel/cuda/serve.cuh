/* The hot loop: from a message in a ring to what its handler led to. */
#ifndef RINGKERNEL_CUDA_SERVE_CUH
#define RINGKERNEL_CUDA_SERVE_CUH

#include <ringkernel/cuda/deliver.cuh>
#include <ringkernel/cuda/take.cuh>

/* Between looks at the command word and at the time: looks that found nothing, of which a round with messages takes the time
 * of four or more. */
#define RK_LOOKS 64u
#define RK_LOOKS_A_ROUND 4u
/* Rounds with nothing to do after which a worker that is asked to leave when idle does. */
#define RK_IDLE 16u
/* No more messages are added to a batch that has led to so many posts. */
#define RK_POSTS_ENOUGH 56u
#define RK_ALL_RINGS 0x11111111u
#define RK_PEER_RINGS 0x1111u
/* Runs the handler of an item, whose beginning is `actor` and `d1`: by every lane. What comes of it is the same in all of them. */
RK_PUMP_FN rk_call rk_run_handler(rk_block &rk_s, const rk_place &at, const rk_dev_kernel &k, rk_u32 actor, rk_u32 d1,
                                  rk_call call) {
    const rk_item &m = rk_s.items[call.number];
    rk_lane_context cx;
    cx.state = (void *)(at.states + (rk_u64)(actor & 0xfffff) * k.stride);
    cx.message = (const void *)call.message;
    cx.scratch = (void *)at.scratch;
    cx.outbox = (rk_u8 *)at.outbox;
    cx.outbox_used = call.used;
    cx.outbox_limit = at.outbox_limit;
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
    cx.front = (rk_u8 *)(at.base + ((rk_u8 *)&rk_s.front - (rk_u8 *)&rk_s));
    cx.front_size = RK_FRONT;
    cx.front_end = call.front_end;
    cx.filled = 0;
    cx.posts = call.posts, cx.kinds = call.kinds;
    cx.origin = call.number;
    cx.offsets = (rk_u32 *)(at.base + ((rk_u8 *)&rk_s.index - (rk_u8 *)&rk_s));
    cx.readable = call.readable;
    bool handled = false;
    if (RK_LANES < 32 || threadIdx.x < RK_LANES) handled = RK_DISPATCH(&cx) != ~0u;
#if defined(RK_DEBUG) && RK_LANES > 1
    /* An index may have been out of bounds in some lanes only, and all are to know. */
    const bool fails = cx.result & RK_RESULT_FAIL;
    const bool any = RK_LANES > 32 ? __syncthreads_or(fails)
                                   : __any_sync(RK_LANES < 32 ? (1u << RK_LANES % 32) - 1 : RK_WARP, fails);
    if (any && !fails) cx.result |= RK_RESULT_FAIL, cx.fail_code = RK_FAIL_OUT_OF_BOUNDS;
#endif
    /* Release, by every lane for what it wrote, before anything is sent; at system scope, for the host may download it. */
    if (cx.opened) __threadfence_system();
    call.used = cx.outbox_used;
    call.front_end = cx.front_end;
    call.posts = cx.posts, call.kinds = cx.kinds;
    call.result = handled ? cx.result : RK_RESULT_UNHANDLED;
    call.code = cx.fail_code;
    call.refused = cx.refused;
    return call;
}

/* Takes up to `count` messages from our position in a row apart, four threads with the words of each, from item `first`
 * on: the item of a thread is that of its number by four. Gives how many can be handled, as far as that can be told without
 * their handlers: up to the first that there is something special about. */
RK_PUMP_FN rk_u32 rk_take(const rk_pump &p, const rk_dev_kernel &k, const rk_row &row, rk_u32 ring, rk_u32 first, rk_u32 count,
                          const rk_word &word) {
    rk_block &rk_s = rk_here(p);
    const rk_u32 group = (p.thread >> 2) - first, part = p.thread & 3, lane = p.thread & ~3u;
    const rk_u32 d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), lane);
    const rk_u32 actor = __shfl_sync(RK_WARP, (rk_u32)word.a, lane);
    const bool mine = group < count;
    bool plain = rk_is_plain(p, actor, d1);
    rk_item &m = rk_s.items[p.thread >> 2];
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

/* A message that came alone. */
struct rk_alone {
    bool taken;
    rk_u32 actor, d1;
};

/* The same of one message, into item 0, by the shortest way. Not taken: there is something special about it, or it has a
 * body. */
RK_PUMP_FN rk_alone rk_take_alone(const rk_pump &p, rk_u32 ring, const rk_word &word) {
    rk_block &rk_s = rk_here(p);
    rk_alone m;
    m.d1 = __shfl_sync(RK_WARP, (rk_u32)(word.a >> 32), 4 * ring);
    m.actor = __shfl_sync(RK_WARP, (rk_u32)word.a, 4 * ring);
    m.taken = !(m.d1 >> 24 & RK_F_BODY) && rk_is_plain(p, m.actor, m.d1);
    if (m.taken && p.thread >> 2 == ring) {
        rk_take_apart(rk_s.items[0], word, m.d1, p.thread & 3);
        rk_s.items[0].size = m.d1 >> 16 & 0x3f;
    }
    return m;
}

/* Bits of what a batch came to, beside its number of posts. */
#define RK_B_POSTS 0xffffffu
#define RK_B_SENDS (1u << 27)     /* not all of them are replies */
#define RK_B_UNHANDLED (1u << 28) /* and nothing else */
#define RK_B_RESULT (1u << 29)
#define RK_B_REFUSED (1u << 30)
#define RK_B_FAR (1u << 31) /* posts lie behind the front of the outbox */

RK_PUMP_FN rk_u32 rk_outcome_of(const rk_call &call) {
    return call.posts | (call.kinds > RK_POST_REPLY ? RK_B_SENDS : 0) | (call.result & ~RK_RESULT_UNHANDLED ? RK_B_RESULT : 0) | (call.refused ? RK_B_REFUSED : 0) |
           (call.used >= RK_FRONT ? RK_B_FAR : 0);
}

RK_PUMP_FN rk_call rk_new_call() {
    rk_call call;
    call.used = call.posts = call.kinds = call.result = call.refused = 0;
    call.front_end = RK_FRONT;
    return call;
}

/* Runs the handlers of a batch in items from `first` on, until one has too many posts or there is none. Gives how many were
 * handled, and in `call` the last. */
RK_PUMP_FN rk_u32 rk_run_batch(rk_pump &p, const rk_dev_kernel &k, rk_u32 first, rk_u32 count, bool fetched, rk_call &call,
                               rk_u32 &outcome) {
    rk_block &rk_s = rk_here(p);
    call = rk_new_call();
    rk_u32 taken = 0;
    rk_u64 latest = p.clock;
    outcome = 0;
    /* Lanes fewer than a warp go through the whole batch by themselves. */
    if (RK_LANES >= 32 || p.thread < RK_LANES) {
        rk_item_head m = rk_s.items[first];
        call.number = first, call.readable = RK_MEDIUM;
        call.message = p.at.base + ((rk_u8 *)rk_s.items[first].payload - (rk_u8 *)&rk_s);
        if (fetched) call.message = rk_s.call.message, call.readable = ~0u;
        for (;;) {
            latest = latest > m.time ? latest : m.time;
            /* The clock's rule, for all messages before at once. */
            call.time = latest + 1 + taken, call.size = m.size;
            const rk_u32 actor = m.actor, d1 = m.d1;
            /* On its way while this one is handled. */
            m = rk_s.items[call.number + 1];
            if (RK_LANES > 32) {
                if (p.thread == 0) rk_s.call = call;
                __syncthreads();
            }
            call = rk_run_handler(rk_s, p.at, k, actor, d1, call);
            if (RK_LANES > 32) __syncthreads();
            if (call.result == RK_RESULT_UNHANDLED) break;
            taken++;
            if (taken == count || call.posts >= RK_POSTS_ENOUGH || call.used >= RK_FRONT || (call.result | call.refused)) break;
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
RK_PUMP_FN rk_u32 rk_run_alone(rk_pump &p, const rk_dev_kernel &k, const rk_alone &m, rk_call &call, rk_u32 &outcome) {
    rk_block &rk_s = rk_here(p);
    call = rk_new_call();
    outcome = 0;
    if (RK_LANES == 32 || p.thread < RK_LANES) {
        call.number = 0;
        call.message = p.at.base + ((rk_u8 *)rk_s.items[0].payload - (rk_u8 *)&rk_s);
        call.size = m.d1 >> 16 & 0x3f, call.readable = RK_MEDIUM, call.time = rk_clock_after(p, 0);
        call = rk_run_handler(rk_s, p.at, k, m.actor, m.d1, call);
        outcome = call.result == RK_RESULT_UNHANDLED ? RK_B_UNHANDLED : rk_outcome_of(call);
    }
    __syncwarp();
    /* Once more: few handlers ask for the time, and who does not is not to wait for it. */
    p.clock = rk_clock_after(p, 0);
    if (RK_LANES < 32) outcome = __shfl_sync(RK_WARP, outcome, 0);
    const rk_u32 taken = outcome == RK_B_UNHANDLED ? 0 : 1;
    if (taken == 0) outcome = 0;
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
                            const rk_word &word, const rk_out &out, const rk_call &call, rk_u32 outcome) {
    rk_block &rk_s = rk_here(p);
    rk_u32 todo = 0;
    if (outcome == taken && !p.blocked && rk_answer(p, taken, first, holder, word, out)) {
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
            count = rk_take(p, k, row, ring, first, count > 1 ? count : 1, word);
            if (count == 0) return rk_to_fetch(p, first);
        }
        rk_look(p, row, ring, count, next, ahead);
        /* The words of item i are with group i. Of a message that was fetched all groups have them. */
        const rk_out out = rk_out_at(p, (p.thread >> 2) - first);
        rk_call call;
        rk_u32 outcome;
        __syncwarp();
        if (fetched && p.thread == 0) rk_s.began = rk_ticks();
        const rk_u32 taken = rk_run_batch(p, k, first, count, fetched, call, outcome);
        if (fetched && p.thread == 0) rk_s.ended = rk_ticks();
        rk_u32 todo = rk_settle(p, k, ring, first, first, taken, word, out, call, outcome);
        row.position += taken;
        if (fetched) {
            fetched = false;
            __syncwarp();
            if (rk_s.measured) todo |= RK_TO_RECORD;
            __syncwarp();
            if (p.thread == 0) rk_s.fetched = rk_s.measured = 0;
        }
        if (todo || taken != count || p.blocked) return todo;
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
            const rk_out out = rk_out_at(p, 0);
            const rk_u32 ready = rk_watch(rk_aim_at(p), allowed, looks, limit, word);
            if (ready == 0) {
                if (!leaves_idle) continue;
                todo = p.blocked ? 0 : RK_TO_LEAVE;
                break;
            }
            ring = rk_choose(ready, p.turn, ring);
            if (RK_LANES <= 32 && !p.blocked) {
                const rk_alone alone = rk_take_alone(p, ring, word);
                if (alone.taken) {
                    rk_call call;
                    rk_u32 outcome;
                    __syncwarp();
                    const rk_u32 taken = rk_run_alone(p, k, alone, call, outcome);
                    todo = rk_settle(p, k, ring, 0, ring, taken, word, out, call, outcome);
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
