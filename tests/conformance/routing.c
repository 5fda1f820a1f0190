/* Messages between actors: rings and meshes whose own rings are too small for the traffic, and addresses of nobody. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

RK_DECLARE_MODULE(misfit);

#define SMALL .inbound_capacity = 4, .actor_capacity = 4, .outbound_capacity = 4

/* Tokens run round a ring of actors with room for fewer than there are; each comes home after all its hops. */
static void run_ring(uint32_t kernels, rk_kernel_options options, uint32_t tokens, uint32_t hops) {
    enum { KERNELS = 4 };
    CHECK(kernels <= KERNELS);
    world w = world_open();
    uint64_t random = test_seed();
    rk_kernel all[KERNELS];
    const uint32_t actors = options.actors, stations = kernels * actors;
    for (uint32_t k = 0; k < kernels; k++) all[k] = world_start(&w, "station", options);
    for (uint32_t i = 0; i < stations; i++) {
        uint32_t next = (i + 1) % stations;
        attach_to(actor_of(all[i % kernels], i / kernels), actor_of(all[next % kernels], next / kernels));
    }
    uint32_t *hops_of = calloc(tokens, sizeof *hops_of);
    bool *home = calloc(tokens, sizeof *home);
    CHECK(hops_of != NULL && home != NULL);
    uint64_t passes = 0;
    uint32_t received = 0;
    for (uint32_t i = 0; i < tokens || received < tokens;) {
        if (i < tokens) {
            hops_of[i] = hops / 2 + test_random_below(&random, hops);
            token message = {.id = i, .hops = hops_of[i]};
            uint32_t station = test_random_below(&random, stations);
            rk_status status = rk_send(actor_of(all[station % kernels], station / kernels), RK_TYPE(token), &message,
                                       sizeof message, NULL);
            if (status == RK_OK) {
                passes += hops_of[i++] + UINT64_C(1);
                continue;
            }
            CHECK_STATUS(status, RK_AGAIN);
        }
        token got;
        rk_message message;
        uint32_t count = 0;
        int64_t patience = i < tokens ? MILLISECOND : PATIENCE;
        rk_status status = rk_poll(w.runtime, &message, 1, &got, sizeof got, patience, &count);
        if (status == RK_TIMEOUT && i < tokens) continue;
        if (status != RK_OK) test_fail(__FILE__, __LINE__, "%u of %u tokens came home", received, tokens);
        CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
        CHECK_EQ(message.type, RK_TYPE(token));
        CHECK_EQ(got.hops, 0);
        CHECK(got.id < tokens && !home[got.id]);
        home[got.id] = true;
        received++;
    }
    uint64_t passed = 0, came_home = 0, handled = 0;
    for (uint32_t i = 0; i < stations; i++) {
        tally counted = inquire_of(actor_of(all[i % kernels], i / kernels));
        passed += counted.count;
        came_home += counted.other;
    }
    CHECK_EQ(passed, passes);
    CHECK_EQ(came_home, tokens);
    expect_silence(&w);
    for (uint32_t k = 0; k < kernels; k++) {
        CHECK_DONE(rk_kernel_drain(all[k], PATIENCE, &test_error));
        rk_kernel_statistics stats = check_accounts(all[k]);
        CHECK_EQ(stats.pending, 0);
        CHECK_EQ(stats.dead_letters, 0);
        CHECK_EQ(stats.deferred, 0);
        CHECK_EQ(stats.undeliverable, 0);
        handled += stats.handled;
    }
    CHECK_EQ(handled, passes + 2 * (uint64_t)stations); /* and what set it up and asked */
    free(hops_of);
    free(home);
    world_close(&w);
}

CASE(routing_ring_in_a_kernel) { run_ring(1, OPTIONS(.actors = 64), test_load(500), 1000); }
CASE(routing_ring_with_full_rings) { run_ring(1, OPTIONS(.actors = 8, .workers = 8, SMALL), test_load(400), 500); }
CASE(routing_ring_one_worker_full_rings) {
    run_ring(1, OPTIONS(.actors = 8, .workers = 1, SMALL), test_load(400), 500);
}
CASE(routing_ring_across_kernels_full_rings) {
    run_ring(4, OPTIONS(.actors = 2, .workers = 2, SMALL), test_load(300), 300);
}
CASE(routing_ring_short_quanta) {
    run_ring(2, OPTIONS(.actors = 16, .quantum_us = 100, .actor_capacity = 8), test_load(100), 1000);
}

/* Every actor bursts to all, itself included, and every item goes on for a while. */
static void run_mesh(rk_kernel_options options, uint32_t bursts, uint32_t ttl) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "mesh", options);
    const uint64_t actors = options.actors;
    for (uint32_t round = 0; round < bursts; round++)
        for (uint32_t i = 0; i < actors; i++) {
            burst message = {.ttl = ttl};
            send_to(actor_of(kernel, i), RK_TYPE(burst), &message, sizeof message);
        }
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    rk_kernel_statistics stats = check_accounts(kernel);
    const uint64_t items = bursts * actors * actors * (ttl + 1);
    CHECK_EQ(stats.counters[0], items);
    CHECK_EQ(stats.counters[1], 0); /* none overtook another of its sender */
    CHECK_EQ(stats.sent_actors, items);
    CHECK_EQ(stats.handled, items + bursts * actors);
    CHECK_EQ(stats.dead_letters, 0);
    CHECK_EQ(stats.pending, 0);
    CHECK_EQ(stats.deferred, 0);
    CHECK_EQ(stats.refused, 0);
    rk_message message = next_message(&w, NULL, 0);
    CHECK_EQ(message.kind, RK_MESSAGE_EVENT);
    CHECK_EQ(message.type, RK_EVENT_KERNEL_TERMINATED);
    expect_silence(&w);
    world_close(&w);
}

CASE(routing_mesh) { run_mesh(OPTIONS(.actors = 64), test_load(10), 10); }
CASE(routing_mesh_with_full_rings) { run_mesh(OPTIONS(.actors = 16, .workers = 16, SMALL), test_load(50), 10); }
CASE(routing_mesh_one_worker_full_rings) { run_mesh(OPTIONS(.actors = 16, .workers = 1, SMALL), test_load(50), 10); }
CASE(routing_mesh_of_many_workers) { run_mesh(OPTIONS(.actors = 64, .workers = 64, SMALL), test_load(10), 5); }

/* An actor that sends to itself and has its ring full of others' messages. */
CASE(routing_to_itself) {
    enum { SENT = 50, LEFT = 200 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "station", OPTIONS(.actors = 2, SMALL));
    countdown message = {.left = LEFT}, got;
    uint32_t received = 0;
    for (uint32_t sent = 0; received < SENT;) {
        if (sent < SENT && rk_send(actor_of(kernel, 1), RK_TYPE(countdown), &message, sizeof message,
                                   &SENDING(.correlation = sent + 1)) == RK_OK) {
            sent++;
            continue;
        }
        rk_message reply = next_message(&w, &got, sizeof got);
        CHECK_EQ(reply.kind, RK_MESSAGE_REPLY);
        CHECK_EQ(reply.from.id, actor_of(kernel, 1).id);
        CHECK(reply.correlation >= 1 && reply.correlation <= SENT);
        CHECK_EQ(got.left, 0);
        CHECK_EQ(got.done, LEFT + 1);
        received++;
    }
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_EQ(check_accounts(kernel).handled, (uint64_t)SENT * (LEFT + 1));
    world_close(&w);
}

static posted deliver_by(rk_actor by, deliver message) {
    posted done;
    ask_for(by, RK_TYPE(deliver), &message, sizeof message, RK_TYPE(posted), &done, sizeof done);
    CHECK_EQ(done.refused, 0);
    return done;
}

/* rk_tell_as() says who, what, how urgent and which conversation. */
CASE(routing_told_as) {
    world w = world_open();
    rk_kernel from = world_start(&w, "courier", OPTIONS(.actors = 2));
    rk_kernel to = world_start(&w, "courier", OPTIONS(.actors = 4));
    uint64_t random = test_seed();
    for (uint32_t i = 0; i < test_load(500); i++) {
        rk_actor sender = actor_of(from, i % 2), receiver = actor_of(to, i % 4);
        deliver message = {.to = receiver.id,
                           .value = test_random(&random),
                           .correlation = test_random(&random),
                           .priority = test_random_below(&random, 256),
                           .deadline = i % 3 == 0 ? (uint64_t)PATIENCE : 0};
        deliver_by(sender, message);
        read_letter got;
        rk_message emitted = next_message(&w, &got, sizeof got);
        CHECK_EQ(emitted.kind, RK_MESSAGE_EMIT);
        CHECK_EQ(emitted.from.id, receiver.id);
        CHECK_EQ(got.value, message.value);
        CHECK_EQ(got.from, sender.id);
        CHECK_EQ(got.correlation, message.correlation);
        CHECK_EQ(got.priority, message.priority == 0 ? RK_PRIORITY_NORMAL : message.priority & ~63u);
        CHECK_EQ(got.size, sizeof(letter));
    }
    expect_silence(&w);
    world_close(&w);
}

static void expect_dead(const world *w, int32_t reason, rk_actor from, rk_actor to, uint32_t type, uint64_t correlation,
                        uint64_t value) {
    uint64_t payload[16];
    rk_message dead = next_message(w, payload, sizeof payload);
    CHECK_EQ(dead.kind, RK_MESSAGE_DEAD_LETTER);
    CHECK_EQ(dead.reason, reason);
    CHECK_EQ(dead.from.id, from.id);
    CHECK_EQ(dead.to.id, to.id);
    CHECK_EQ(dead.type, type);
    CHECK_EQ(dead.correlation, correlation);
    CHECK(dead.size >= sizeof value);
    CHECK_EQ(payload[0], value);
}

/* Addresses that never were, or are no more, or are of an actor that does not know the message. */
CASE(routing_to_nobody) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "courier", OPTIONS(.actors = 3));
    rk_kernel gone = world_start(&w, "courier", OPTIONS(.actors = 1));
    rk_kernel other = world_start(&w, "ledger", OPTIONS(.actors = 1));
    const rk_actor ghost = actor_of(gone, 0), courier_2 = actor_of(kernel, 2);
    CHECK_OK(rk_kernel_destroy(gone));
    uint64_t random = test_seed();
    const rk_actor nobody[] = {{1}, {UINT64_MAX}, {UINT64_C(0x123456789abcdef)}, ghost, {actor_of(kernel, 0).id + 3}};
    enum { NOBODIES = sizeof nobody / sizeof nobody[0], ROUNDS = 20 };
    for (uint32_t i = 0; i < ROUNDS * NOBODIES; i++) {
        deliver message = {.to = nobody[i % NOBODIES].id, .value = test_random(&random), .correlation = i + 1};
        deliver_by(courier_2, message);
        expect_dead(&w, RK_DEAD_NO_ACTOR, courier_2, nobody[i % NOBODIES], RK_TYPE(letter), i + 1, message.value);
    }
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    rk_kernel_statistics stats = check_accounts(kernel);
    /* A number beyond the last actor of a living kernel may count there as its dead letter. */
    CHECK_EQ(stats.undeliverable + stats.dead_letters, ROUNDS * NOBODIES);
    CHECK(stats.undeliverable >= ROUNDS * (NOBODIES - 1));
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    deliver message = {.to = actor_of(other, 0).id, .value = 7, .correlation = 9};
    deliver_by(courier_2, message);
    expect_dead(&w, RK_DEAD_UNKNOWN_TYPE, courier_2, actor_of(other, 0), RK_TYPE(letter), 9, 7);
    message = (deliver){.to = actor_of(kernel, 1).id, .value = 8, .correlation = 10, .what = 1};
    deliver_by(courier_2, message);
    expect_dead(&w, RK_DEAD_UNKNOWN_TYPE, courier_2, actor_of(kernel, 1), RK_TYPE(stranger), 10, 8);
    /* Zero is the host, as whose address handlers know it. */
    message = (deliver){.to = 0, .value = 11, .correlation = 12};
    deliver_by(courier_2, message);
    letter emitted;
    rk_message to_host = next_message(&w, &emitted, sizeof emitted);
    CHECK_EQ(to_host.kind, RK_MESSAGE_EMIT);
    CHECK_EQ(to_host.from.id, courier_2.id);
    CHECK_EQ(to_host.type, RK_TYPE(letter));
    CHECK_EQ(emitted.value, 11);
    CHECK_DONE(rk_kernel_deactivate(other, &test_error));
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    /* Each death is counted once: in the receiver's kernel, or in the sender's. */
    stats = check_accounts(kernel);
    CHECK_EQ(check_accounts(other).dead_letters + stats.dead_letters + stats.undeliverable, ROUNDS * NOBODIES + 2);
    CHECK_STATUS(rk_send(ghost, RK_TYPE(letter), &message, sizeof(letter), NULL), RK_ERROR_STALE_HANDLE);
    expect_silence(&w);
    world_close(&w);
}

/* A sender that thinks the message is larger than the receiver does. */
CASE(routing_wrong_size) {
    world w = world_open();
    rk_module module = {0};
    CHECK_DONE(rk_module_create(w.runtime, &misfit, &module, &test_error));
    rk_kernel receiver = world_start(&w, "courier", OPTIONS(.actors = 1)), sender = {0};
    rk_kernel_options options = OPTIONS(.lanes = world_lanes);
    CHECK_DONE(rk_kernel_launch(w.runtime, module, NULL, 0, &options, &sender, &test_error));
    CHECK_DONE(rk_kernel_activate(sender, &test_error));
    const uint32_t misaddress = 70;
    rk_actor to = actor_of(receiver, 0), from = actor_of(sender, 0);
    for (uint32_t i = 0; i < 10; i++) {
        send_to(from, misaddress, &to.id, sizeof to.id);
        uint64_t payload[16] = {0};
        rk_message dead = next_message(&w, payload, sizeof payload);
        CHECK_EQ(dead.kind, RK_MESSAGE_DEAD_LETTER);
        CHECK_EQ(dead.reason, RK_DEAD_SIZE);
        CHECK_EQ(dead.from.id, from.id);
        CHECK_EQ(dead.to.id, to.id);
        CHECK_EQ(dead.type, RK_TYPE(letter));
        CHECK_EQ(dead.size, 72);
        for (uint64_t k = 0; k < 9; k++) CHECK_EQ(payload[k], k);
    }
    /* The receiver is none the worse for it. */
    letter good = {.value = 3};
    send_to(to, RK_TYPE(letter), &good, sizeof good);
    read_letter got;
    next_message(&w, &got, sizeof got);
    CHECK_EQ(got.value, 3);
    CHECK_DONE(rk_kernel_deactivate(receiver, &test_error));
    check_accounts(receiver);
    world_close(&w);
}

/* Round a ring of kernels of which every other is on the CPU: the host takes tokens from one device to another. */
static void run_mixed_ring(uint32_t actors, uint32_t capacity, uint32_t tokens, uint32_t hops) {
    enum { KERNELS = 4 };
    world w = world_open();
    rk_kernel all[KERNELS];
    for (uint32_t k = 0; k < KERNELS; k++) {
        rk_kernel_options options = OPTIONS(.actors = actors, .inbound_capacity = capacity, .actor_capacity = capacity);
        if (k % 2 == 1) options.backend = RK_BACKEND_CPU, options.lanes = options.workers = 1;
        all[k] = world_start(&w, "station", options);
    }
    const uint32_t stations = KERNELS * actors;
    for (uint32_t i = 0; i < stations; i++) {
        const uint32_t next = (i + 1) % stations;
        attach_to(actor_of(all[i % KERNELS], i / KERNELS), actor_of(all[next % KERNELS], next / KERNELS));
    }
    uint64_t passes = 0;
    bool *home = calloc(tokens, sizeof *home);
    CHECK(home != NULL);
    for (uint32_t sent = 0, received = 0; received < tokens;) {
        token message = {.id = sent, .hops = hops + sent}, got;
        /* Who only sends would have to wait for itself: tokens that come home wait to be polled. */
        if (sent < tokens && rk_send(actor_of(all[sent % KERNELS], sent / KERNELS % actors), RK_TYPE(token), &message,
                                     sizeof message, NULL) == RK_OK) {
            passes += hops + sent++ + 1;
            continue;
        }
        rk_message arrived;
        uint32_t count = 0;
        const rk_status status =
            rk_poll(w.runtime, &arrived, 1, &got, sizeof got, sent < tokens ? MILLISECOND : PATIENCE, &count);
        if (status == RK_TIMEOUT && sent < tokens) continue;
        CHECK_OK(status);
        CHECK_EQ(arrived.kind, RK_MESSAGE_EMIT);
        CHECK(got.id < tokens && !home[got.id]);
        home[got.id] = true;
        received++;
    }
    uint64_t passed = 0;
    for (uint32_t i = 0; i < stations; i++) passed += inquire_of(actor_of(all[i % KERNELS], i / KERNELS)).count;
    CHECK_EQ(passed, passes);
    for (uint32_t k = 0; k < KERNELS; k++) {
        CHECK_DONE(rk_kernel_drain(all[k], PATIENCE, &test_error));
        rk_kernel_statistics stats = check_accounts(all[k]);
        CHECK_EQ(stats.dead_letters + stats.undeliverable + stats.pending + stats.deferred, 0);
    }
    free(home);
    world_close(&w);
}

CASE(routing_ring_across_backends) { run_mixed_ring(3, 0, test_load(100), 40); }
CASE(routing_ring_across_backends_full_rings) { run_mixed_ring(2, 4, test_load(300), 20); }

/* An actor sends to one on the CPU that is not active yet: the rings between them, or what the host holds, fill up and hold
 * the sender up; then all arrive, in order. */
CASE(routing_to_another_backend_in_order) {
    enum { LATER = 30 };
    world w = world_open();
    rk_kernel from = world_start(&w, "courier", OPTIONS(.actors = 1));
    rk_kernel to = world_launch(&w, "courier", OPTIONS(.actors = 1, .backend = RK_BACKEND_CPU, .lanes = 1, .workers = 1,
                                                       .inbound_capacity = 4, .actor_capacity = 4));
    const uint64_t count = 12000; /* more than anything between them holds */
    uint64_t sent = 0, posts = 0, letters = 0, late = 0;
    for (; sent < count && late < LATER;) {
        deliver message = {.to = actor_of(to, 0).id, .value = sent, .correlation = sent + 1};
        rk_send_options wait = SENDING(.timeout_ns = 20 * MILLISECOND);
        if (rk_send(actor_of(from, 0), RK_TYPE(deliver), &message, sizeof message, &wait) == RK_OK) sent++;
        else late++;
        rk_message got;
        posted reply;
        uint32_t some = 0;
        while (rk_poll(w.runtime, &got, 1, &reply, sizeof reply, 0, &some) == RK_OK) posts++;
    }
    CHECK(sent < count);
    CHECK_DONE(rk_kernel_activate(to, &test_error));
    while (posts < sent || letters < sent) {
        union {
            posted reply;
            read_letter letter;
        } got;
        rk_message message = next_message(&w, &got, sizeof got);
        if (message.type == RK_TYPE(posted)) {
            posts++;
            continue;
        }
        CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
        CHECK_EQ(got.letter.value, letters);
        CHECK_EQ(got.letter.from, actor_of(from, 0).id);
        CHECK_EQ(got.letter.correlation, letters + 1);
        letters++;
    }
    CHECK_DONE(rk_kernel_drain(from, PATIENCE, &test_error));
    CHECK_EQ(check_accounts(from).sent_actors, sent);
    world_close(&w);
}

/* Messages on their way to a kernel that ends come back as dead letters. */
CASE(routing_to_another_backend_that_ends) {
    enum { SENT = 40, ROOM = 4 };
    world w = world_open();
    rk_kernel from = world_start(&w, "courier", OPTIONS(.actors = 1));
    rk_kernel to = world_launch(&w, "courier", OPTIONS(.actors = 1, .backend = RK_BACKEND_CPU, .lanes = 1, .workers = 1,
                                                       .inbound_capacity = ROOM, .actor_capacity = ROOM));
    const rk_actor receiver = actor_of(to, 0);
    for (uint64_t i = 0; i < SENT; i++) {
        deliver message = {.to = receiver.id, .value = i, .correlation = i};
        send_to(actor_of(from, 0), RK_TYPE(deliver), &message, sizeof message);
    }
    wait_until_handled(from, 1);
    CHECK_DONE(rk_kernel_terminate(to, NULL, &test_error));
    uint64_t replies = 0, dead = 0;
    while (replies < SENT || dead < SENT) {
        union {
            posted reply;
            letter back;
        } got;
        rk_message message = next_message(&w, &got, sizeof got);
        if (message.kind == RK_MESSAGE_EVENT) continue; /* the kernel's end */
        if (message.kind == RK_MESSAGE_REPLY) {
            replies++;
            continue;
        }
        CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
        CHECK_EQ(message.reason, RK_DEAD_TERMINATED);
        CHECK_EQ(message.to.id, receiver.id);
        CHECK_EQ(got.back.value, message.correlation);
        dead++;
    }
    CHECK_DONE(rk_kernel_deactivate(from, &test_error));
    rk_kernel_statistics stats = check_accounts(from);
    CHECK_EQ(stats.sent_actors + stats.undeliverable, SENT);
    world_close(&w);
}

/* A kernel at rest takes nothing, so that one that sends to it is held up, and both sleep. Then it goes on, or ends; nobody
 * else wakes the one that was held up. */
static void hold_up(bool ends) {
    enum { SENT = 40, ROOM = 4 };
    world w = world_open();
    rk_kernel from = world_start(&w, "courier", OPTIONS(.actors = 1));
    rk_kernel to = world_launch(&w, "courier", OPTIONS(.actors = 1, .actor_capacity = ROOM));
    const rk_actor receiver = actor_of(to, 0);
    for (uint64_t i = 0; i < SENT; i++) {
        deliver message = {.to = receiver.id, .value = i, .correlation = i + 1};
        send_to(actor_of(from, 0), RK_TYPE(deliver), &message, sizeof message);
    }
    union {
        posted reply;
        read_letter read;
        letter back;
    } got;
    rk_message message;
    uint64_t replies = 0, arrived = 0;
    for (uint32_t count; rk_poll(w.runtime, &message, 1, &got, sizeof got, 50 * MILLISECOND, &count) == RK_OK;) {
        CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
        replies++;
    }
    CHECK(replies < SENT);
    if (ends) CHECK_DONE(rk_kernel_terminate(to, NULL, &test_error));
    else CHECK_DONE(rk_kernel_activate(to, &test_error));
    while (replies < SENT || arrived < SENT) {
        message = next_message(&w, &got, sizeof got);
        if (message.kind == RK_MESSAGE_EVENT) continue; /* the kernel's end */
        if (message.kind == RK_MESSAGE_REPLY) {
            replies++;
        } else if (ends) {
            CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
            CHECK_EQ(message.reason, RK_DEAD_TERMINATED);
            CHECK_EQ(got.back.value, message.correlation - 1);
            arrived++;
        } else {
            CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
            CHECK_EQ(got.read.value, arrived);
            arrived++;
            CHECK_EQ(got.read.correlation, arrived);
        }
    }
    CHECK_DONE(rk_kernel_drain(from, PATIENCE, &test_error));
    check_accounts(from);
    world_close(&w);
}

CASE(routing_held_up_by_a_kernel_at_rest) { hold_up(false); }
CASE(routing_held_up_by_a_kernel_that_ends) { hold_up(true); }
