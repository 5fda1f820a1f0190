/* Snapshots: what they hold, kernels that begin as one on this or another backend, and moves under load. */
#include "snapshots.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

snapshot take(rk_kernel kernel, uint32_t flags) {
    snapshot taken = {NULL, 0};
    CHECK_DONE(rk_kernel_snapshot(kernel, flags, &taken.data, &taken.size, &test_error));
    CHECK(taken.data != NULL && taken.size > 0);
    return taken;
}

rk_snapshot_info info_of(snapshot taken) {
    rk_snapshot_info info = {.struct_size = sizeof info};
    CHECK_DONE(rk_snapshot_describe(taken.data, taken.size, &info, &test_error));
    CHECK_EQ(info.version, 4);
    return info;
}

rk_kernel_options place(uint32_t turn) {
    if (turn % 2 == 0)
        return OPTIONS(.backend = world_backend, .lanes = world_lanes, .workers = world_workers);
    return OPTIONS(.backend = RK_BACKEND_CPU, .lanes = 1, .workers = 1 + turn / 2 % 3);
}

rk_kernel restore(const world *w, snapshot taken, uint32_t flags, rk_kernel_options options) {
    rk_kernel kernel;
    if (options.workers > info_of(taken).actors) options.workers = info_of(taken).actors;
    CHECK_DONE(rk_kernel_restore(w->runtime, w->module, taken.data, taken.size, flags, &options, &kernel, &test_error));
    CHECK_EQ(state_of(kernel), RK_KERNEL_CREATED);
    return kernel;
}

enum { ACTORS = 5, EACH = 12, LEVELS = 4 };
static const uint32_t priorities[LEVELS] = {RK_PRIORITY_LOW, RK_PRIORITY_NORMAL, RK_PRIORITY_HIGH,
                                            RK_PRIORITY_CRITICAL};

static void send_entries(rk_kernel kernel, uint32_t first) {
    for (uint32_t i = 0; i < ACTORS; i++) {
        for (uint32_t level = 0; level < LEVELS; level++) {
            for (uint32_t k = first; k < first + EACH; k++) {
                entry message = {.value = k * 1000 + i, .source = 3, .sequence = k, .level = level};
                send_with(actor_of(kernel, i), RK_TYPE(entry), &message, sizeof message,
                          SENDING(.priority = priorities[level], .correlation = k + 1));
            }
        }
    }
}

/* The answers to entries first.. of every actor, level by level in order; `total` entries before these. */
static void receive_entries(const world *w, rk_kernel kernel, uint32_t first, uint32_t total) {
    uint32_t following[ACTORS][LEVELS] = {{0}}, totals[ACTORS] = {0};
    for (uint32_t n = 0; n < ACTORS * LEVELS * EACH; n++) {
        receipt got;
        rk_message message = next_message(w, &got, sizeof got);
        CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
        uint32_t actor = rk_actor_index(message.from);
        CHECK_EQ(message.from.id, actor_of(kernel, actor).id);
        CHECK_EQ(got.sequence, first + following[actor][got.level]++);
        CHECK_EQ(got.sequence, got.expected);
        CHECK_EQ(got.value, got.sequence * UINT64_C(1000) + actor);
        CHECK_EQ(message.correlation, got.sequence + UINT64_C(1));
        CHECK_EQ(message.priority, priorities[got.level] & ~63u);
        CHECK_EQ(got.total, total + ++totals[actor]);
    }
}

/* A kernel at rest, with states and with messages of every level waiting; and kernels that begin as that, on each backend. */
CASE(snapshot_at_rest) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "ledger", OPTIONS(.actors = ACTORS, .name = "books", .name_length = 5));
    send_entries(kernel, 0);
    receive_entries(&w, kernel, 0, 0);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    send_entries(kernel, EACH);
    snapshot taken = take(kernel, 0);
    CHECK_EQ(state_of(kernel), RK_KERNEL_SUSPENDED);
    rk_snapshot_info info = info_of(taken);
    CHECK_EQ(info.actors, ACTORS);
    CHECK_EQ(info.state_size, sizeof(struct ledger));
    CHECK_EQ(info.messages, ACTORS * LEVELS * EACH);
    CHECK_EQ(info.posts, 0);
    CHECK_EQ(info.first_actor.id, actor_of(kernel, 0).id);
    CHECK(info.actor_length == 6 && memcmp(info.actor, "ledger", 6) == 0);
    CHECK(info.name_length == 5 && memcmp(info.name, "books", 5) == 0);
    uint64_t now;
    CHECK_OK(rk_hlc_now(w.runtime, &now));
    CHECK(info.time > 0 && info.time < now);
    for (uint32_t turn = 0; turn < 4; turn++) {
        rk_kernel other = restore(&w, taken, RK_RESTORE_NEW_ADDRESSES, place(turn));
        CHECK(actor_of(other, 0).id != actor_of(kernel, 0).id);
        rk_kernel_statistics stats = stats_of(other);
        CHECK(stats.accepted == info.messages && stats.pending == info.messages && stats.handled == 0);
        CHECK_DONE(rk_kernel_activate(other, &test_error));
        receive_entries(&w, other, EACH, LEVELS * EACH);
        CHECK_EQ(inquire_of(actor_of(other, 2)).count, 2 * LEVELS * EACH);
        CHECK_DONE(rk_kernel_deactivate(other, &test_error));
        CHECK_EQ(check_accounts(other).handled, info.messages + 1);
        CHECK_OK(rk_kernel_destroy(other));
    }
    /* What it is of goes on as if nothing had been. */
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    receive_entries(&w, kernel, EACH, LEVELS * EACH);
    rk_snapshot_free(taken.data);
    /* And one of a kernel that runs leaves it running. */
    taken = take(kernel, 0);
    CHECK_EQ(state_of(kernel), RK_KERNEL_ACTIVE);
    CHECK_EQ(info_of(taken).messages, 0);
    CHECK_EQ(inquire_of(actor_of(kernel, 0)).count, 2 * LEVELS * EACH);
    rk_snapshot_free(taken.data);
    world_close(&w);
}

/* Large payloads, deadlines, user counters, and actors that are not running. */
CASE(snapshot_of_all_that_there_is) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 4, .dormant = 1));
    crash bad = {.code = 5};
    send_to(actor_of(kernel, 1), RK_TYPE(crash), &bad, sizeof bad);
    rk_message message = next_message(&w, NULL, 0);
    CHECK(message.kind == RK_MESSAGE_EVENT && message.type == RK_EVENT_ACTOR_FAILED);
    spend counted = {.counter = 3, .amount = 1234567};
    send_to(actor_of(kernel, 0), RK_TYPE(spend), &counted, sizeof counted);
    CHECK_EQ(inquire_of(actor_of(kernel, 0)).count, 1);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    visit some = {.nonce = 77};
    for (uint32_t i = 0; i < 4; i++) send_to(actor_of(kernel, i), RK_TYPE(visit), &some, sizeof some);
    send_with(actor_of(kernel, 2), RK_TYPE(visit), &some, sizeof some, SENDING(.deadline_ns = MILLISECOND));
    rk_kernel scales = world_launch(&w, "scale", OPTIONS(.actors = 1, .inbound_capacity = 4));
    static unsigned char bytes[65536];
    uint64_t random = test_seed();
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)test_random(&random);
    send_to(actor_of(scales, 0), RK_TYPE(container), bytes, sizeof bytes);
    send_to(actor_of(scales, 0), RK_TYPE(container), bytes, 4711);
    snapshot taken = take(kernel, 0), large = take(scales, 0);
    CHECK(large.size > sizeof bytes + 4711);
    CHECK_DONE(rk_kernel_activate(scales, &test_error));
    weighed first, second, got;
    next_message(&w, &first, sizeof first);
    next_message(&w, &second, sizeof second);
    CHECK(first.size == sizeof bytes && second.size == 4711);
    for (uint32_t turn = 0; turn < 2; turn++) {
        rk_kernel other = restore(&w, large, RK_RESTORE_NEW_ADDRESSES, place(turn));
        CHECK_DONE(rk_kernel_activate(other, &test_error));
        next_message(&w, &got, sizeof got);
        CHECK(got.hash == first.hash && got.size == first.size);
        next_message(&w, &got, sizeof got);
        CHECK(got.hash == second.hash && got.size == second.size);
        CHECK_OK(rk_kernel_destroy(other));

        other = restore(&w, taken, RK_RESTORE_NEW_ADDRESSES, place(turn));
        CHECK_EQ(stats_of(other).counters[3], 1234567);
        CHECK_DONE(rk_kernel_activate(other, &test_error));
        uint32_t seen = 0;
        for (uint32_t n = 0; n < 5; n++) {
            visited reply;
            message = next_message(&w, &reply, sizeof reply);
            if (message.kind == RK_MESSAGE_REPLY) {
                CHECK(reply.nonce == 77 && reply.seen == (reply.index == 0 ? 2u : 1u));
                seen |= 1u << reply.index;
                continue;
            }
            CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
            const uint32_t index = rk_actor_index(message.to);
            CHECK_EQ(message.reason, index == 1   ? RK_DEAD_FAILED
                                     : index == 3 ? RK_DEAD_STOPPED
                                                  : RK_DEAD_EXPIRED);
            seen |= 16u << index;
        }
        CHECK_EQ(seen, 1u | 4u | 16u << 1 | 16u << 2 | 16u << 3);
        /* Started anew. */
        send_to(actor_of(other, 3), RK_TYPE_START, NULL, 0);
        CHECK_EQ(inquire_of(actor_of(other, 3)).count, 0);
        CHECK_OK(rk_kernel_destroy(other));
    }
    rk_snapshot_free(taken.data);
    rk_snapshot_free(large.data);
    world_close(&w);
}

/* An actor is held up by one that does not take its messages: what it sent and what waits for it move on, all of it. */
CASE(snapshot_of_one_that_is_held_up) {
    enum { SENT = 40, ROOM = 4 };
    for (uint32_t turn = 0; turn < 2; turn++) {
        world w = world_open();
        rk_kernel from = world_start(&w, "courier", OPTIONS(.actors = 1));
        rk_kernel to = world_launch(&w, "courier", OPTIONS(.actors = 1, .actor_capacity = ROOM));
        for (uint64_t i = 0; i < SENT; i++) {
            deliver message = {.to = actor_of(to, 0).id, .value = i, .correlation = i + 1};
            send_to(actor_of(from, 0), RK_TYPE(deliver), &message, sizeof message);
        }
        union {
            posted reply;
            read_letter read;
        } got;
        rk_message message;
        uint32_t replies = 0;
        wait_until_handled(from, ROOM + 1); /* one more than there is room for */
        snapshot taken = take(from, RK_SNAPSHOT_END);
        while (replies < stats_of(from).sent_host) { /* what is not received by then is gone with the kernel */
            message = next_message(&w, &got, sizeof got);
            if (message.kind == RK_MESSAGE_EVENT) continue; /* its end */
            CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
            replies++;
        }
        rk_snapshot_info info = info_of(taken);
        CHECK_EQ(stats_of(from).deferred, info.posts);
        CHECK_EQ(stats_of(from).handled + info.messages, SENT);
        CHECK(info.posts >= 1 && info.messages > 0);
        CHECK_OK(rk_kernel_destroy(from));
        from = restore(&w, taken, 0, place(turn));
        CHECK_EQ(stats_of(from).deferred, info.posts);
        CHECK_DONE(rk_kernel_activate(from, &test_error));
        CHECK_ERROR(rk_kernel_drain(from, 20 * MILLISECOND, &test_error), RK_TIMEOUT); /* it has still to send them */
        CHECK_DONE(rk_kernel_activate(to, &test_error));
        bool read[SENT] = {false};
        for (uint32_t letters = 0; replies < SENT || letters < SENT;) {
            message = next_message(&w, &got, sizeof got);
            if (message.kind == RK_MESSAGE_EVENT) continue; /* its end */
            if (message.kind == RK_MESSAGE_REPLY) {
                CHECK_EQ(got.reply.refused, 0);
                replies++;
                continue;
            }
            CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
            CHECK(got.read.value < SENT && !read[got.read.value]);
            CHECK_EQ(got.read.from, actor_of(from, 0).id);
            CHECK_EQ(got.read.correlation, got.read.value + 1);
            read[got.read.value] = true;
            letters++;
        }
        CHECK_DONE(rk_kernel_drain(from, PATIENCE, &test_error));
        CHECK_EQ(check_accounts(from).undeliverable, 0);
        rk_snapshot_free(taken.data);
        world_close(&w);
    }
}

typedef struct moving {
    world w;
    rk_kernel kernel;
    rk_actor actors[ACTORS];
    uint32_t each;
    uint32_t moves;
    atomic_uint ends;     /* of kernels, that the receiver has seen */
    atomic_uint finished; /* senders */
} moving;

enum { SENDERS = 3 };

static void send_all_the_time(moving *with, uint32_t source) {
    for (uint32_t k = 0; k < with->each; k++) {
        for (uint32_t i = 0; i < ACTORS; i++) {
            entry message = {.value = k * UINT64_C(1000) + i, .source = source, .sequence = k, .level = source};
            const rk_send_options options = SENDING(.priority = priorities[source], .timeout_ns = 100 * MILLISECOND);
            const int64_t deadline = test_now() + 2 * PATIENCE;
            rk_status status;
            do {
                status = rk_send(with->actors[i], RK_TYPE(entry), &message, sizeof message, &options);
                CHECK(status == RK_OK || status == RK_TIMEOUT || status == RK_ERROR_BAD_STATE ||
                      status == RK_ERROR_STALE_HANDLE); /* it is between two places */
                CHECK(test_now() < deadline);
            } while (status != RK_OK);
        }
    }
    atomic_fetch_add(&with->finished, 1);
}

static void receive_all_the_time(moving *with) {
    uint32_t following[ACTORS][SENDERS] = {{0}}, totals[ACTORS] = {0};
    for (uint64_t received = 0; received < (uint64_t)SENDERS * ACTORS * with->each;) {
        receipt got;
        rk_message message = next_message(&with->w, &got, sizeof got);
        if (message.kind == RK_MESSAGE_EVENT) {
            CHECK_EQ(message.type, RK_EVENT_KERNEL_TERMINATED);
            atomic_fetch_add(&with->ends, 1);
            continue;
        }
        CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
        uint32_t actor = rk_actor_index(message.from);
        CHECK_EQ(message.from.id, with->actors[actor].id);
        CHECK_EQ(got.sequence, following[actor][got.source]++);
        CHECK_EQ(got.sequence, got.expected);
        CHECK_EQ(got.total, ++totals[actor]);
        received++;
    }
}

/* Ends the kernel with a snapshot, and begins it somewhere else with the addresses that it had. */
static rk_kernel move_on(moving *with, rk_kernel kernel, uint32_t turn) {
    const uint32_t before = atomic_load(&with->ends);
    snapshot taken = take(kernel, RK_SNAPSHOT_END);
    CHECK_EQ(state_of(kernel), RK_KERNEL_TERMINATED);
    CHECK_EQ(check_accounts(kernel).pending, info_of(taken).messages);
    /* What it has for the host is the receiver's first. */
    const int64_t deadline = test_now() + PATIENCE;
    while (atomic_load(&with->ends) == before && atomic_load(&with->finished) < SENDERS + 1)
        CHECK(test_now() < deadline);
    const uint64_t address = actor_of(kernel, 0).id;
    CHECK_OK(rk_kernel_destroy(kernel));
    rk_kernel next = restore(&with->w, taken, 0, place(turn));
    CHECK_EQ(actor_of(next, 0).id, address);
    CHECK_DONE(rk_kernel_activate(next, &test_error));
    rk_snapshot_free(taken.data);
    return next;
}

static void move_thread(unsigned index, void *shared) {
    moving *with = shared;
    if (index < SENDERS) {
        send_all_the_time(with, index);
    } else if (index == SENDERS) {
        receive_all_the_time(with);
        atomic_fetch_add(&with->finished, 1);
    } else {
        rk_kernel kernel = with->kernel;
        while (atomic_load(&with->finished) < SENDERS || with->moves < 2) kernel = move_on(with, kernel, ++with->moves);
    }
}

/* A kernel goes from backend to backend while three threads send to it: each message is handled once, and in order. */
CASE(snapshot_moves_under_load) {
    moving with = {.w = world_open(), .each = test_load(4000)};
    rk_kernel_options options = place(0);
    options.actors = ACTORS, options.inbound_capacity = 64;
    with.kernel = world_start(&with.w, "ledger", options);
    for (uint32_t i = 0; i < ACTORS; i++) with.actors[i] = actor_of(with.kernel, i);
    test_threads(SENDERS + 2, move_thread, &with);
    CHECK(with.moves >= 2);
    world_close(&with.w);
}

/* A ring of stations in three kernels, with room for less than what goes round; one of them moves. What others send to it
 * meanwhile comes back to the host, who sends it again. */
CASE(snapshot_moves_among_others) {
    enum { KERNELS = 3, STATIONS = 4, TOKENS = 40, HOPS = 60, MOVES = 6 };
    world w = world_open();
    rk_kernel all[KERNELS];
    for (uint32_t k = 0; k < KERNELS; k++)
        all[k] = world_start(&w, "station", OPTIONS(.actors = STATIONS, .actor_capacity = 4, .inbound_capacity = 64));
    const uint32_t stations = KERNELS * STATIONS;
    for (uint32_t i = 0; i < stations; i++) {
        const uint32_t next = (i + 1) % stations;
        attach_to(actor_of(all[i % KERNELS], i / KERNELS), actor_of(all[next % KERNELS], next / KERNELS));
    }
    uint32_t home = 0, moves = 0, ends = 0;
    uint64_t moved_messages = 0;
    for (uint32_t wave = 0; moves < MOVES; wave++) {
        CHECK(wave < 1000);
        for (uint32_t i = 0; i < TOKENS; i++) {
            token message = {.id = wave * TOKENS + i, .hops = HOPS};
            send_to(actor_of(all[i % KERNELS], i % STATIONS), RK_TYPE(token), &message, sizeof message);
        }
        snapshot taken = take(all[1], RK_SNAPSHOT_END);
        moved_messages += info_of(taken).messages + info_of(taken).posts;
        /* Dead letters of the others, until there is somebody again. */
        token kept[TOKENS];
        uint64_t kept_for[TOKENS];
        uint32_t waiting = 0;
        bool restored = false;
        const uint32_t goal = (wave + 1) * TOKENS;
        while (home < goal) {
            if (!restored && ends > moves) {
                CHECK_OK(rk_kernel_destroy(all[1]));
                all[1] = restore(&w, taken, 0, place(++moves));
                CHECK_DONE(rk_kernel_activate(all[1], &test_error));
                restored = true;
                rk_snapshot_free(taken.data);
            }
            while (restored && waiting > 0) {
                waiting--;
                send_to((rk_actor){kept_for[waiting]}, RK_TYPE(token), &kept[waiting], sizeof kept[waiting]);
            }
            token got;
            rk_message message = next_message(&w, &got, sizeof got);
            if (message.kind == RK_MESSAGE_EVENT) {
                CHECK_EQ(message.type, RK_EVENT_KERNEL_TERMINATED);
                ends++;
            } else if (message.kind == RK_MESSAGE_DEAD_LETTER) {
                CHECK(message.reason == RK_DEAD_TERMINATED || message.reason == RK_DEAD_NO_ACTOR);
                CHECK(waiting < TOKENS);
                kept[waiting] = got;
                kept_for[waiting++] = message.to.id;
            } else {
                CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
                CHECK_EQ(got.hops, 0);
                home++;
            }
        }
        if (!restored) {
            /* All came home without it: its end is still to be told. */
            rk_message message = next_message(&w, NULL, 0);
            CHECK_EQ(message.kind, RK_MESSAGE_EVENT);
            ends++;
            CHECK_OK(rk_kernel_destroy(all[1]));
            all[1] = restore(&w, taken, 0, place(++moves));
            CHECK_DONE(rk_kernel_activate(all[1], &test_error));
            rk_snapshot_free(taken.data);
        }
    }
    expect_silence(&w);
    uint64_t passed = 0, arrived = 0;
    for (uint32_t i = 0; i < stations; i++) {
        tally counted = inquire_of(actor_of(all[i % KERNELS], i / KERNELS));
        passed += counted.count;
        arrived += counted.other;
    }
    CHECK_EQ(arrived, home);
    CHECK_EQ(passed, (uint64_t)home * (HOPS + 1));
    CHECK(moved_messages > 0);
    world_close(&w);
}

static void watch_thread(unsigned index, void *shared) {
    moving *with = shared;
    if (index <= SENDERS) {
        move_thread(index, with);
        return;
    }
    do {
        snapshot taken = take(with->kernel, 0);
        CHECK_EQ(info_of(taken).actors, ACTORS);
        rk_snapshot_free(taken.data);
        with->moves++;
    } while (atomic_load(&with->finished) < SENDERS + 1);
}

/* Snapshots all the time of a kernel at work cost it nothing but time. */
CASE(snapshot_again_and_again) {
    moving with = {.w = world_open(), .each = test_load(4000)};
    with.kernel = world_start(&with.w, "ledger", OPTIONS(.actors = ACTORS));
    for (uint32_t i = 0; i < ACTORS; i++) with.actors[i] = actor_of(with.kernel, i);
    test_threads(SENDERS + 2, watch_thread, &with);
    CHECK(with.moves > 0);
    CHECK_DONE(rk_kernel_deactivate(with.kernel, &test_error));
    rk_kernel_statistics stats = check_accounts(with.kernel);
    CHECK_EQ(stats.handled, (uint64_t)SENDERS * ACTORS * with.each);
    CHECK(stats.dead_letters == 0 && stats.pending == 0);
    world_close(&with.w);
}

/* One that others wait for begins again with fewer workers than they know of. */
CASE(snapshot_begins_with_fewer_workers) {
    enum { SENT = 12, ROOM = 4, LAST = 3 };
    world w = world_open();
    rk_kernel from = world_start(&w, "courier", OPTIONS(.actors = 1, .backend = RK_BACKEND_CPU, .lanes = 1, .workers = 1));
    rk_kernel to = world_launch(&w, "courier", OPTIONS(.actors = 4, .backend = RK_BACKEND_CPU, .lanes = 1, .workers = 4,
                                                       .actor_capacity = ROOM));
    for (uint64_t i = 0; i < SENT; i++) {
        deliver message = {.to = actor_of(to, LAST).id, .value = i, .correlation = i};
        send_to(actor_of(from, 0), RK_TYPE(deliver), &message, sizeof message);
    }
    wait_until_handled(from, ROOM + 1);
    CHECK_DONE(rk_kernel_deactivate(from, &test_error));
    snapshot taken = take(to, RK_SNAPSHOT_END);
    CHECK_EQ(info_of(taken).messages, ROOM);
    CHECK_OK(rk_kernel_destroy(to));
    rk_kernel_options one = place(1);
    one.workers = 1;
    to = restore(&w, taken, 0, one);
    CHECK_DONE(rk_kernel_activate(to, &test_error));
    CHECK_DONE(rk_kernel_activate(from, &test_error));
    uint32_t letters = 0, replies = 0;
    while (letters < SENT || replies < SENT) {
        union {
            posted reply;
            read_letter read;
        } got;
        rk_message message = next_message(&w, &got, sizeof got);
        if (message.kind == RK_MESSAGE_REPLY) {
            replies++;
            continue;
        }
        CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
        CHECK_EQ(got.read.value, letters);
        letters++;
    }
    rk_snapshot_free(taken.data);
    world_close(&w);
}

static void snapshot_until_it_fails(unsigned index, void *shared) {
    const rk_kernel *kernel = shared;
    if (index == 0) {
        crash bad = {.code = 9};
        send_to(actor_of(*kernel, 0), RK_TYPE(crash), &bad, sizeof bad);
        return;
    }
    const int64_t deadline = test_now() + PATIENCE;
    for (rk_status status = RK_OK; status == RK_OK;) {
        void *data;
        size_t size;
        status = rk_kernel_snapshot(*kernel, 0, &data, &size, NULL);
        CHECK(status == RK_OK || status == RK_ERROR_BAD_STATE || status == RK_ERROR_KERNEL_FAILED);
        rk_snapshot_free(data);
        CHECK(test_now() < deadline);
    }
}

/* An actor takes its kernel with it while snapshots are taken. */
CASE(snapshot_while_an_actor_escalates) {
    world w = world_open();
    for (uint32_t round = 0; round < test_load(50); round++) {
        rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 2, .on_failure = RK_ON_FAILURE_ESCALATE));
        test_threads(2, snapshot_until_it_fails, &kernel);
        rk_message message = next_message(&w, NULL, 0);
        CHECK(message.kind == RK_MESSAGE_EVENT && message.type == RK_EVENT_ACTOR_FAILED);
        message = next_message(&w, NULL, 0);
        CHECK(message.kind == RK_MESSAGE_EVENT && message.type == RK_EVENT_KERNEL_FAILED);
        CHECK_OK(rk_kernel_destroy(kernel));
    }
    world_close(&w);
}

/* What cannot be done is refused, and leaves everything as it was. */
CASE(snapshot_refusals) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "ledger", OPTIONS(.actors = ACTORS)), none;
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    entry message = {.value = 1};
    send_to(actor_of(kernel, 1), RK_TYPE(entry), &message, sizeof message);
    snapshot taken = take(kernel, 0);
    /* It is still there. */
    rk_kernel_options options = place(1);
    CHECK_ERROR(rk_kernel_restore(w.runtime, w.module, taken.data, taken.size, 0, &options, &none, &test_error),
                RK_ERROR_EXISTS);
    options.actors = ACTORS + 1;
    CHECK_ERROR(rk_kernel_restore(w.runtime, w.module, taken.data, taken.size, RK_RESTORE_NEW_ADDRESSES, &options, &none,
                                  &test_error),
                RK_ERROR_INVALID_ARGUMENT);
    options.actors = ACTORS, options.dormant = 1;
    CHECK_ERROR(rk_kernel_restore(w.runtime, w.module, taken.data, taken.size, RK_RESTORE_NEW_ADDRESSES, &options, &none,
                                  &test_error),
                RK_ERROR_INVALID_ARGUMENT);
    options = place(1);
    CHECK_ERROR(rk_kernel_restore(w.runtime, w.module, taken.data, taken.size, 2, &options, &none, &test_error),
                RK_ERROR_INVALID_ARGUMENT);
    CHECK_ERROR(rk_kernel_restore(w.runtime, w.module, NULL, taken.size, 0, &options, &none, &test_error),
                RK_ERROR_INVALID_ARGUMENT);
    CHECK_EQ(none.id, 0);
    /* Truncated and damaged ones. */
    unsigned char *copy = malloc(taken.size);
    CHECK(copy != NULL);
    rk_snapshot_info info = {.struct_size = sizeof info};
    for (size_t size = 0; size < taken.size; size += 1 + size / 16) {
        memcpy(copy, taken.data, taken.size);
        CHECK_ERROR(rk_snapshot_describe(copy, size, &info, &test_error), RK_ERROR_BAD_IMAGE);
        CHECK_ERROR(rk_kernel_restore(w.runtime, w.module, copy, size, RK_RESTORE_NEW_ADDRESSES, &options, &none,
                                      &test_error),
                    RK_ERROR_BAD_IMAGE);
        copy[size] ^= 0x10;
        CHECK_ERROR(rk_kernel_restore(w.runtime, w.module, copy, taken.size, RK_RESTORE_NEW_ADDRESSES, &options, &none,
                                      &test_error),
                    RK_ERROR_BAD_IMAGE);
    }
    free(copy);
    void *data = &data;
    size_t size = 1;
    CHECK_ERROR(rk_kernel_snapshot(kernel, 8, &data, &size, &test_error), RK_ERROR_INVALID_ARGUMENT);
    CHECK(data == NULL && size == 0);
    CHECK_ERROR(rk_kernel_snapshot(kernel, 0, NULL, &size, &test_error), RK_ERROR_INVALID_ARGUMENT);
    CHECK_ERROR(rk_kernel_snapshot(kernel, 0, &data, NULL, &test_error), RK_ERROR_INVALID_ARGUMENT);
    CHECK_EQ(check_accounts(kernel).pending, 1);
    CHECK_DONE(rk_kernel_terminate(kernel, NULL, &test_error));
    CHECK_ERROR(rk_kernel_snapshot(kernel, 0, &data, &size, &test_error), RK_ERROR_BAD_STATE);
    CHECK_OK(rk_kernel_destroy(kernel));
    CHECK_ERROR(rk_kernel_snapshot(kernel, 0, &data, &size, &test_error), RK_ERROR_STALE_HANDLE);
    /* A handle that is gone comes back with the kernel. */
    rk_kernel back = restore(&w, taken, 0, place(0));
    CHECK_EQ(back.id, kernel.id);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    for (;;) {
        receipt got;
        rk_message reply = next_message(&w, &got, sizeof got);
        if (reply.kind != RK_MESSAGE_REPLY) continue; /* the end of the first */
        CHECK_EQ(got.value, 1);
        break;
    }
    CHECK_ERROR(rk_kernel_restore(w.runtime, w.module, taken.data, taken.size, 0, &options, &none, &test_error),
                RK_ERROR_EXISTS);
    rk_snapshot_free(taken.data);
    rk_snapshot_free(NULL);
    world_close(&w);
}
