/* The pump on Vulkan: one workgroup is one worker. In one dispatch it takes messages from the rings, finds the actor, runs
 * its handler with all lanes, and sends what it produced; then it leaves, with all state in device memory, and is
 * submitted again while there is work. It waits for nobody: what cannot go on now is for a later dispatch.
 * src/backend/cpu/{worker,courier,outbox}.rs is the same machine on the CPU, src/ring says how rings work.
 *
 * Mesa's llvmpipe executes both sides of every branch, the one that is not taken with nothing switched on, and every loop
 * once: what code there is costs time whether it is needed or not. Hence every large piece is here once, called from one
 * place, and a step is a straight line: which post, where to, which message, what of it, write. Of this file two programs are
 * made: the thorough pump, and the quick one (quick.glsl), which leaves when it meets what only the other can do.
 *
 * rkc includes this before the user's files, whose types would be in the way of our variables' names, with RK_DISPATCH set
 * to the dispatch of one actor type. */
#ifndef RINGKERNEL_VULKAN_PUMP_COMP
#define RINGKERNEL_VULKAN_PUMP_COMP

#include <ringkernel/device/layout.h>
#include <ringkernel/vulkan/memory.glsl>
#include <ringkernel/vulkan/worker.glsl>
#include <ringkernel/vulkan/out.glsl>
#include <ringkernel/vulkan/topics.glsl>
#include <ringkernel/vulkan/in.glsl>
#include <ringkernel/vulkan/latency.glsl>
#include <ringkernel/vulkan/family.glsl>

void RK_DISPATCH();

/* What lanes do next. */
#define RK_GO_ON 0u
#define RK_HANDLE 1u
#define RK_LEAVE 2u
#define RK_WATCH 4u /* for the next message of a row, quick.glsl */

/* Turns that a step's loops take when there is nothing for them to do, see rk_turns. */
#define RK_STEP_TURNS 16u

/* From lane 0 to the others. */
shared rk_context rk_told_cx;
shared rk_u32 rk_told;

/* 1 when the loops were left by the way that is meant to lead out. Where a driver cuts a loop short, a handler's included,
 * the ones around it end too, and the host learns by our silence. An atomic, for a compiler is sure that no loop ends but
 * by its own break. */
shared rk_u32 rk_left;

/* We are setting our posts aside, to take a message from an actor: where workers wait for each other in a circle somebody
 * must, for only that makes room for one. */
bool rk_breaking = false;
rk_u32 rk_steps = 0u, rk_looks = 0u;

/* A round without anything done. */
rk_u32 rk_pause() {
    rk_breaking = false;
    rk_from.more = 0u;
    return ++rk_idle >= rk_task.idle ? RK_LEAVE : RK_GO_ON;
}

/* What the quick pump leaves for the thorough one. The host has the other workers leave, too. */
rk_u32 rk_want() {
    rk_poke(rk_order_at(rk_pushed.order).v.wanted, 1u);
    return RK_LEAVE;
}

void rk_dead_letter(rk_u64 from, rk_u64 to, rk_u64 correlation, rk_u64 time, rk_u32 type, rk_u32 level, rk_u32 call,
                    rk_i32 reason) {
    rk_out.klass = RK_CLASS_DEAD;
    rk_out.from = from;
    rk_out.to = to;
    rk_out.correlation = correlation;
    rk_out.sent_at = time;
    rk_out.type = type;
    rk_out.level = level;
    rk_out.call = call;
    rk_out.reason = reason;
}

/* The host ends the quantum. Looked at every few steps, for it costs one more access. */
bool rk_is_told_to_leave() {
    return (++rk_steps & 7u) == 0u && rk_peek(rk_dev_command_at(rk_kernel.command).v.leave) == rk_task.launch;
}

/* Starts an actor: one that is restarted (`again`) with the state that is kept for that, if any is, others with the one that they
 * were launched with, which is then kept. Few turns for much: a driver may have counted those. */
void rk_start(rk_u32 index, bool again) {
    rk_dev_entry_at(rk_kernel.entries + 16u * index).v.status = RK_RUNNING;
    rk_u64 offset = rk_u64(index) * rk_u64(rk_kernel.stride), state = rk_kernel.states + offset;
    bool keeps = rk_kernel.kept != rk_u64(0);
    rk_u64 from = again && keeps ? rk_kernel.kept + offset : rk_kernel.initial;
    bool zeros = from == rk_u64(0);
    [[dont_unroll]] for (rk_u32 at = 0u; at < rk_kernel.stride; at += 64u) {
        rk_turns++;
#define RK_RESET_(i)                                                                                                   \
    if (at + 16u * i < rk_kernel.stride) {                                                                             \
        u64vec2 part = zeros ? u64vec2(0) : rk_pair_at(from + rk_u64(at + 16u * i)).v;                                 \
        rk_pair_at(state + rk_u64(at + 16u * i)).v = part;                                                             \
        if (keeps && !again) rk_pair_at(rk_kernel.kept + offset + rk_u64(at + 16u * i)).v = part;                      \
    }
        RK_EACH_LEVEL_(RK_RESET_)
    }
}

/* Starts or stops the actor of rk_m, as that asks for, or because its parent has ended. Gives the index of one that is to start,
 * or ~0, and of one that ends; it may be both. */
rk_u32 rk_direct(out rk_u32 ended) {
    rk_u32 index = rk_m.actor & 0xfffffu;
    rk_dev_entry_at entry = rk_dev_entry_at(rk_kernel.entries + 16u * index);
    rk_u32 parent = rk_u32(rk_m.sender >> 32) == rk_kernel.key ? rk_u32(rk_m.sender) & 0xfffffu : ~0u;
    bool starts = rk_m.type == RK_TYPE_START, ends = rk_m.type == RK_TYPE_STOP;
    rk_clock = rk_max(rk_clock, rk_m.time);
    rk_counts[RK_C_HANDLED]++;
    rk_handled++;
    rk_consume();
    if (starts) {
        entry.v.restarts = 0u;
        ends = !rk_join_family(index, parent);
    }
    /* When the kernel ends there is nobody left to be told. */
    if (rk_m.type == RK_TYPE_ORPHANED && rk_task.mode != RK_MODE_END)
        ends = parent != ~0u && rk_leave_family(index, rk_m.correlation);
    ended = ends && (starts || entry.v.status == RK_RUNNING) ? index : ~0u;
    return starts ? index : ~0u;
}

/* An actor has ended: has its children told, by a post behind those of its handler, if these are in the outbox. Room for one
 * more than a handler may write is there. */
void rk_orphan_children(rk_u32 index) {
    rk_dev_entry_at entry = rk_dev_entry_at(rk_kernel.entries + 16u * index);
    if (entry.v.status == RK_RUNNING) entry.v.status = RK_STOPPED;
    rk_irregular = 1u;
    rk_u32 first = rk_end_family(index);
    if (first == 0u) return;
    rk_u64 key = rk_u64(rk_kernel.key) << 32;
    if (rk_outbox_sent == rk_outbox_used) {
        rk_outbox_sent = rk_outbox_used = 0u;
        rk_origin = rk_dev_origin(key | rk_u64(index), rk_u64(0), rk_u64(0), 1u, 0u);
    }
    rk_outgoing_ref(rk_cx.outbox + rk_outbox_used).v = rk_outgoing(key | rk_u64(first - 1u), rk_u64(index + 1u), rk_u64(0),
                                                                   RK_POST_SEND, RK_TYPE_ORPHANED, 0u, 0u, rk_u64(0));
    rk_outbox_used += RK_ENTRY_SIZE;
}

/* One step: sends a post if there is one, takes a message if there is no other. */
rk_u32 rk_step() {
    rk_turns += RK_STEP_TURNS;
    if (!rk_spreading && (rk_turns >= rk_task.turns || rk_is_told_to_leave())) return RK_LEAVE;
    bool ends = rk_task.mode == RK_MODE_END;
    rk_out.slot = rk_out.record = rk_out.deadline = rk_u64(0);
    rk_out.abroad = false;
    rk_out.klass = 0u;
    rk_out.size = 0u;
    rk_u64 wait = RK_WAIT_NOTHING;

    /* Which post, and where to. */
    bool restarts = false, failure = rk_failed_actor != rk_u64(0), in_outbox = rk_outbox_sent != rk_outbox_used;
    bool from_aside = rk_aside_count != 0u && !rk_breaking;
    bool posting = failure || from_aside || in_outbox;
    /* To a topic, and there is more to do of it after this step; to one actor. */
    bool publishing = false, goes_on = false, to_one = false;
    if (!posting && rk_handled >= rk_task.messages) return RK_LEAVE;
    if (posting) {
        rk_u64 at = rk_cx.outbox + rk_outbox_sent;
        if (from_aside) {
            at = rk_aside_front();
            rk_post = rk_dev_post_at(at).v;
            at += rk_u64(rk_dev_post_rk_sizeof());
        } else {
            rk_post = rk_post_of(rk_outgoing_ref(at).v);
            at += rk_u64(RK_ENTRY_SIZE);
        }
        rk_out.payload = at;
        rk_out.size = rk_post.size;
        rk_i32 reason = 0;
        bool to_host = rk_post.to == rk_u64(0);
        if (failure) {
            rk_out.size = 0u;
        } else if (ends && rk_post.type == RK_TYPE_ORPHANED) {
            /* Who is still to be told that its parent has ended has ended too. */
        } else if (rk_breaking) {
            reason = rk_set_aside() ? 0 : RK_D_OVERFLOW;
        } else if (to_host) {
            if (!ends) wait = rk_aim_at_host();
        } else {
            publishing = rk_u32(rk_post.to >> 32) == RK_TOPIC;
            /* Handlers' loops are not counted, where a driver may cut loops. */
            if (publishing && rk_topic == rk_u64(0) && rk_task.dispatches > 1u && rk_handled != 0u) return RK_LEAVE;
            bool asks = publishing && rk_next_subscriber();
            wait = rk_aim_at_actor(publishing, asks, reason);
            if (publishing && rk_has_reached(asks, reason)) {
                wait = RK_WAIT_NOTHING;
                reason = 0;
            }
            goes_on = publishing && rk_goes_on();
            to_one = !publishing && rk_out.slot != rk_u64(0);
            if (ends && wait != RK_WAIT_NOTHING) {
                wait = RK_WAIT_NOTHING;
                reason = RK_D_TERMINATED;
            }
        }
        if (reason != 0 || failure || (to_host && ends)) {
            rk_dead_letter(rk_post.sender, rk_post.to, rk_post.correlation, ++rk_clock, rk_post.type, rk_post.level,
                           rk_post.flags & RK_F_CALL, reason);
            if (reason == RK_D_ELSEWHERE) {
                rk_out.klass = RK_CLASS_FORWARD;
            } else if (failure) {
                bool stopped = rk_failed_entry().v.status == RK_STOPPED;
                restarts = rk_failed_entry().v.status == RK_RESTARTING;
                /* Any number of restarts may come, and a host that does not read is not to run out of memory. */
                bool told = stopped ? false : !restarts || rk_peek(rk_dev_orders_at(rk_orders).v.letters_full) == rk_u64(0);
                rk_out.klass = told ? RK_CLASS_EVENT : 0u;
                rk_out.from = rk_failed_actor;
                rk_out.to = rk_out.correlation = rk_u64(0);
                rk_out.type = restarts ? RK_EVENT_RESTARTED_ACTOR : RK_EVENT_FAILED_ACTOR;
                rk_out.level = 1u;
                rk_out.call = 0u;
                rk_out.reason = rk_failed_code;
            } else if (reason == 0) {
                /* What is still for the host joins the letters, which are behind what is in the ring. */
                rk_out.klass = (rk_post.flags & RK_F_REPLY) != 0u ? RK_CLASS_REPLY : RK_CLASS_EMIT;
                rk_out.from = rk_post.by;
            }
        }
    }

    /* Which message, if no post is left after this one. */
    bool more_posts = posting && (failure || rk_aside_count > 1u || (from_aside && in_outbox));
    if (posting && !from_aside && !failure)
        more_posts = more_posts || rk_outbox_sent + RK_ENTRY_SIZE + ((rk_post.size + 15u) & ~15u) != rk_outbox_used;
    if (rk_breaking) more_posts = in_outbox;
    more_posts = more_posts || goes_on;
    /* A post that goes from child to child: who is next is asked first, for who is told forgets it. */
    rk_u32 orphan = 0u;
    if (posting && rk_out.slot != rk_u64(0) && rk_post.type == RK_TYPE_ORPHANED &&
        rk_u32(rk_post.to >> 32) == rk_kernel.key)
        orphan = rk_following(rk_post.actor & 0xfffffu, rk_post.correlation);
    more_posts = more_posts || orphan != 0u;
    bool taking = wait == RK_WAIT_NOTHING && !more_posts && rk_out.klass == 0u && rk_handled < rk_task.messages;
    bool dead = false, directed = false;
    rk_u32 starts = ~0u, ended = ~0u;
    rk_u32 next = posting ? RK_GO_ON : RK_LEAVE + 1u;
    if (taking) {
        rk_put_back();
        if (ends) {
            rk_u32 ring = rk_choose_unfinished();
            if (ring == RK_RINGS && !posting) {
                rk_ended = 1u;
                rk_wait_for(RK_WAIT_NOTHING);
                return RK_LEAVE;
            }
            rk_take_from(ring, 1u);
            taking = ring != RK_RINGS;
        } else if (rk_from.more == 0u || rk_breaking) {
            rk_u32 ready = rk_look() & (rk_breaking ? 15u : 255u);
            taking = ready != 0u;
            if (taking)
                rk_take_from(rk_choose(ready),
                             rk_breaking ? 1u : rk_clamp(RK_FAIRNESS - 1u - rk_turn % RK_FAIRNESS, 1u, RK_BATCH));
        }
        if (taking && rk_take()) {
            rk_i32 reason = rk_verdict();
            bool orphaned = rk_m.type == RK_TYPE_ORPHANED;
            bool directs = (rk_m.type == RK_TYPE_START || rk_m.type == RK_TYPE_STOP || orphaned) &&
                           (reason == 0 || reason == RK_D_STOPPED || reason == RK_D_FAILED || (orphaned && ends));
            if (reason == 0 && !directs) {
                rk_prepare();
                next = RK_HANDLE;
            } else if (directs) {
                directed = !posting;
            } else if (!posting) {
                /* Only one thing is written in a step that has a payload. */
                dead = true;
                rk_dead_letter(rk_m.sender, rk_u64(rk_kernel.key) << 32 | rk_u64(rk_m.actor), rk_m.correlation,
                               rk_m.time, rk_m.type, rk_m.level, rk_m.call, reason);
                rk_out.payload = rk_m.payload;
                rk_out.size = rk_m.size;
            }
        } else {
            rk_from.more = 0u;
        }
    }

    /* Letters are memory: for dead ones the host is to read some first. */
    rk_u64 letter = rk_u64(0), ticket = rk_u64(0);
    if (rk_out.klass != 0u) {
        bool full = (rk_out.klass == RK_CLASS_DEAD || rk_out.klass == RK_CLASS_FORWARD) && !ends &&
                    rk_peek(rk_dev_orders_at(rk_orders).v.letters_full) != rk_u64(0);
        if (!full) letter = rk_aim_letter(ticket);
        if (letter == rk_u64(0)) wait = RK_WAIT_HOST;
    }
    rk_write(letter, ticket);
    bool waited = rk_waits == wait;
    rk_wait_for(wait);
    if (wait != RK_WAIT_NOTHING) {
        /* Seen twice, so that the others have seen what we wait for. */
        if (wait != RK_WAIT_HOST && waited && rk_is_in_cycle()) {
            rk_breaking = true;
            return RK_GO_ON;
        }
        return rk_pause();
    }
    if (letter != rk_u64(0)) {
        rk_counts[RK_C_DEAD] += rk_u64(dead ? 1u : 0u);
        rk_counts[RK_C_UNDELIVERABLE] += rk_u64(!dead && rk_out.klass == RK_CLASS_DEAD ? 1u : 0u);
        rk_counts[RK_C_SENT_ACTORS] += rk_u64(rk_out.klass == RK_CLASS_FORWARD ? 1u : 0u);
        rk_counts[RK_C_SENT_HOST] += rk_u64(rk_out.klass == RK_CLASS_REPLY || rk_out.klass == RK_CLASS_EMIT ? 1u : 0u);
        rk_found_waiting += rk_u64(dead && ends ? 1u : 0u);
    }
    bool spread = publishing && !goes_on && rk_spreading;
    if (to_one || (spread && !rk_topic_others)) rk_counts[RK_C_SENT_ACTORS]++;
    if (to_one ? rk_out.abroad : spread && rk_topic_abroad) rk_tell_of_foreign();
    if (spread) rk_end_publication();
    if (dead) {
        rk_consume();
        next = RK_GO_ON;
    }
    if (failure) {
        rk_u32 index = rk_u32(rk_failed_actor) & 0xfffffu;
        if (restarts) starts = index;
        else ended = index;
        rk_failed_actor = rk_u64(0);
    } else if (orphan != 0u) {
        rk_u64 on = rk_u64(rk_kernel.key) << 32 | rk_u64(orphan - 1u);
        if (from_aside) {
            rk_dev_post_at record = rk_dev_post_at(rk_out.payload - rk_u64(rk_dev_post_rk_sizeof()));
            record.v.to = on;
            record.v.actor = orphan - 1u;
        } else {
            rk_outgoing_ref(rk_out.payload - rk_u64(RK_ENTRY_SIZE)).v.to = on;
        }
    } else if (goes_on) {
        if (letter != rk_u64(0)) rk_spread();
    } else if (posting && from_aside) {
        rk_aside_head += rk_record(rk_post.size);
        rk_aside_count--;
    } else if (posting) {
        rk_outbox_sent += RK_ENTRY_SIZE + ((rk_post.size + 15u) & ~15u);
    }
    if (directed) {
        starts = rk_direct(ended);
        next = RK_GO_ON;
    }
    if (starts != ~0u) rk_start(starts, failure);
    if (ended != ~0u) rk_orphan_children(ended);
    if (next > RK_LEAVE) return rk_pause();
    rk_idle = 0u;
    if (next == RK_HANDLE) rk_breaking = false;
    return next;
}

#include <ringkernel/vulkan/quick.glsl>

/* State back to device memory, counts to the host. The last worker out says that all have left. */
void rk_leave() {
    if (RK_THOROUGH == 0u) rk_end_row();
    /* An end of which others are still to be told is a post that waits. */
    rk_counts[RK_C_DEFERRED] = rk_count_waiting() + rk_u64(rk_failed_actor != rk_u64(0) ? 1u : 0u);
    if (rk_turn != rk_turn_before) rk_counts[RK_C_QUANTA]++;
    if (rk_counts[RK_C_DEFERRED] == rk_u64(0))
        rk_counts[RK_C_COMPLETED] = rk_dev_worker_at(rk_me).v.consumed + rk_u64(rk_turn - rk_turn_before);
    rk_put_back();
    rk_save();
    rk_dev_report_at report = rk_dev_report_at(rk_kernel.reports + gl_WorkGroupID.x * rk_dev_report_rk_sizeof());
#define RK_REPORT_COUNT_(i) report.v.counts[i] = rk_counts[i];
#define RK_REPORT_COUNTER_(i) report.v.counters[i] = rk_dev_worker_at(rk_me).v.counters[i];
#define RK_REPORT_CONSUMED_(i) report.v.consumed[i] = rk_position[i];
    RK_EACH_COUNT_(RK_REPORT_COUNT_)
    RK_EACH_RING_(RK_REPORT_COUNTER_) /* as many as rings */
    RK_EACH_LEVEL_(RK_REPORT_CONSUMED_)
    report.v.waits = rk_waits;
    report.v.ended = rk_ended;
    report.v.found_waiting = rk_found_waiting;
    if (RK_MEASURES != 0u) rk_end_measuring(report);
    rk_release();
    rk_dev_kernel_at kernel = rk_dev_kernel_at(rk_task.kernel);
    rk_u32 before = atomicAdd(kernel.v.left_count, 1u, gl_ScopeDevice, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    if (before + 1u != rk_kernel.worker_count * rk_task.dispatches) return;
    rk_acquire(); /* what the others wrote before they counted themselves */
    [[dont_unroll]] for (rk_u32 worker = 0u; worker < rk_kernel.worker_count; worker++) {
        report = rk_dev_report_at(rk_kernel.reports + worker * rk_dev_report_rk_sizeof());
        rk_dev_worker_at which = rk_dev_worker_at(rk_kernel.workers + worker * rk_dev_worker_rk_sizeof());
#define RK_REPORT_ACCEPTED_(i) report.v.accepted[i] = rk_peek(rk_u64_at(which.v.rings[i].tail).v) & ~RK_CLOSED;
        RK_EACH_LEVEL_(RK_REPORT_ACCEPTED_)
    }
    kernel.v.left_count = 0u;
    if (RK_MEASURES != 0u) rk_order_at(rk_pushed.order).v.left = rk_timer();
    rk_release();
    rk_poke(rk_dev_control_at(rk_kernel.control).v.left, rk_task.launch);
}

void main() {
    bool sole = rk_lanes() == 1u;
    rk_load();
    bool left = rk_task.mode == RK_MODE_LOOK;
    if (RK_MEASURES != 0u && rk_lane() == 0u) rk_begin_measuring();
    if (rk_lane() == 0u) atomicExchange(rk_left, left ? 1u : 0u);
    if (rk_lane() == 0u) rk_take_from(RK_LEVELS + 1u, 0u); /* from the host, of normal priority: the one most used */
    if (rk_lane() == 0u && rk_task.mode == RK_MODE_END) rk_close();
    [[dont_unroll]] while (!left) {
        rk_u32 next = RK_GO_ON;
        if (rk_lane() == 0u) {
            [[dont_unroll]] do {
                next = RK_THOROUGH != 0u ? rk_step() : rk_quick();
                if (RK_MEASURES != 0u && (RK_THOROUGH == 0u || (rk_steps & 7u) == 0u)) rk_catch_up();
            } while (next == RK_GO_ON);
        }
        [[dont_unroll]] for (;;) {
            if (RK_THOROUGH == 0u && rk_lane() == 0u && next == RK_WATCH) next = rk_watch();
            if (!sole) {
                if (rk_lane() == 0u) {
                    rk_told = next;
                    rk_told_cx = rk_cx;
                }
                rk_barrier();
                next = rk_told;
                rk_cx = rk_told_cx;
                if (next != RK_HANDLE) rk_barrier(); /* who has read it, before it is written again */
            }
            if (next != RK_HANDLE) break;
            rk_cx.outbox_used = 0u;
            rk_cx.result = 0u;
            rk_cx.refused = 0u;
            if (RK_MEASURES != 0u && rk_lane() == 0u) rk_begin_handler();
            RK_DISPATCH();
            if (!sole) rk_barrier(); /* the posts are whole */
            if (RK_MEASURES != 0u && rk_lane() == 0u) rk_end_handler();
            if (RK_THOROUGH != 0u) {
                if (rk_lane() == 0u) rk_conclude();
                break;
            }
            next = RK_GO_ON;
            if (rk_lane() == 0u) {
                if (rk_answer()) {
                    next = RK_WATCH;
                } else {
                    rk_end_row();
                    rk_conclude();
                    rk_idle = 0u;
                }
            }
        }
        if (next == RK_LEAVE) {
            left = true;
            if (rk_lane() == 0u) atomicExchange(rk_left, 1u);
        }
    }
    if (rk_lane() == 0u && atomicAdd(rk_left, 0u) == 1u) rk_leave();
}

#endif
