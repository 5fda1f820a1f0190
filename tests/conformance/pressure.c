/* Full rings push back; a host that does not listen loses nothing and is not held up; urgent messages overtake. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

/* A kernel that handles nothing takes exactly its ring's capacity, whatever the size of the messages. */
static void fill(const world *w, uint32_t capacity, uint32_t type, uint32_t size, bool suspended) {
    rk_kernel kernel = world_launch(w, "scale", OPTIONS(.actors = 1, .workers = 1, .inbound_capacity = capacity));
    if (suspended) {
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    }
    static unsigned char bytes[65536];
    rk_actor to = actor_of(kernel, 0);
    for (uint32_t i = 0; i < capacity; i++) CHECK_OK(rk_send(to, type, bytes, size, NULL));
    CHECK_STATUS(rk_send(to, type, bytes, size, NULL), RK_AGAIN);
    CHECK_STATUS(rk_send(to, type, NULL, 0, NULL), RK_AGAIN);
    rk_kernel_statistics stats = check_accounts(kernel);
    CHECK_EQ(stats.accepted, capacity);
    CHECK_EQ(stats.pending, capacity);
    CHECK_EQ(stats.high_water, capacity);
    /* The rings of the other priorities are a quarter of that, at least 4, and have room. */
    const uint32_t priorities[] = {RK_PRIORITY_LOW, RK_PRIORITY_HIGH, RK_PRIORITY_CRITICAL};
    uint32_t quarter = capacity / 4 > 4 ? capacity / 4 : 4;
    for (int p = 0; p < 3; p++) {
        const rk_send_options options = SENDING(.priority = priorities[p]);
        for (uint32_t i = 0; i < quarter; i++) CHECK_OK(rk_send(to, type, bytes, size, &options));
        CHECK_STATUS(rk_send(to, type, bytes, size, &options), RK_AGAIN);
    }
    int64_t start = test_now();
    const rk_send_options wait = SENDING(.timeout_ns = 5 * MILLISECOND);
    CHECK_STATUS(rk_send(to, type, bytes, size, &wait), RK_TIMEOUT);
    CHECK(test_now() - start >= 5 * MILLISECOND);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    for (uint32_t i = 0; i < capacity + 3 * quarter; i++) {
        weighed got;
        next_message(w, &got, sizeof got);
        CHECK_EQ(got.size, size);
    }
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_EQ(check_accounts(kernel).handled, capacity + 3 * quarter);
    CHECK_OK(rk_kernel_destroy(kernel));
}

CASE(pressure_capacity_is_exact) {
    world w = world_open();
    for (uint32_t capacity = 4; capacity <= 4096; capacity *= 4) {
        fill(&w, capacity, RK_TYPE(parcel), 0, false);
        fill(&w, capacity, RK_TYPE(parcel), 300, true);
    }
    fill(&w, 4, RK_TYPE(container), 65536, false);
    fill(&w, 32, RK_TYPE(container), 20000, true);
    world_close(&w);
}

static void send_when_there_is_room(unsigned index, void *shared) {
    const rk_kernel *kernel = shared;
    if (index == 0) {
        CHECK_DONE(rk_kernel_activate(*kernel, &test_error));
        return;
    }
    send_to(actor_of(*kernel, 0), RK_TYPE(parcel), NULL, 0);
}

/* A send that waits for room gets it when a handler has taken a message. */
CASE(pressure_waiting_send_goes_on) {
    enum { THREADS = 5 };
    world w = world_open();
    for (int round = 0; round < 50; round++) {
        rk_kernel kernel = world_launch(&w, "scale", OPTIONS(.actors = 1, .inbound_capacity = 4));
        for (int i = 0; i < 4; i++) CHECK_OK(rk_send(actor_of(kernel, 0), RK_TYPE(parcel), NULL, 0, NULL));
        test_threads(THREADS, send_when_there_is_room, &kernel);
        weighed got;
        for (int i = 0; i < 4 + THREADS - 1; i++) next_message(&w, &got, sizeof got);
        CHECK_OK(rk_kernel_destroy(kernel));
    }
    world_close(&w);
}

/* Nobody polls: sends are refused in the end, a drain gives up in time, and when somebody listens all is there. */
CASE(pressure_host_does_not_poll) {
    enum { ACTORS = 4 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient",
                                   OPTIONS(.actors = ACTORS, .inbound_capacity = 16, .outbound_capacity = 4,
                                           .actor_capacity = 4));
    const rk_send_options wait = SENDING(.timeout_ns = 50 * MILLISECOND);
    uint64_t sent[ACTORS] = {0}, total = 0, refused = 0;
    for (uint32_t i = 0; refused < ACTORS; i = (i + 1) % ACTORS) {
        visit message = {.nonce = sent[i]};
        rk_status status = rk_send(actor_of(kernel, i), RK_TYPE(visit), &message, sizeof message, &wait);
        if (status == RK_TIMEOUT) {
            refused++;
            continue;
        }
        CHECK_OK(status);
        refused = 0;
        sent[i]++;
        CHECK_AT_MOST(++total, 10000000);
    }
    CHECK_DONE(rk_runtime_park(w.runtime, RK_FOREVER, &test_error));
    rk_kernel_statistics stats = check_accounts(kernel);
    CHECK_EQ(stats.accepted, total);
    CHECK_DONE(rk_runtime_unpark(w.runtime, &test_error));
    int64_t start = test_now();
    CHECK_ERROR(rk_kernel_drain(kernel, 20 * MILLISECOND, &test_error), RK_TIMEOUT);
    CHECK(test_now() - start >= 20 * MILLISECOND);
    CHECK_EQ(state_of(kernel), RK_KERNEL_DRAINING);
    visit late = {.nonce = 0};
    CHECK_STATUS(rk_send(actor_of(kernel, 0), RK_TYPE(visit), &late, sizeof late, NULL), RK_ERROR_BAD_STATE);
    uint64_t got[ACTORS] = {0};
    for (uint64_t i = 0; i < total; i++) {
        visited reply;
        rk_message message = next_message(&w, &reply, sizeof reply);
        if (message.kind == RK_MESSAGE_EVENT) message = next_message(&w, &reply, sizeof reply);
        CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
        CHECK(reply.index < ACTORS);
        CHECK_EQ(reply.nonce, got[reply.index]++);
        CHECK_EQ(reply.seen, got[reply.index]);
    }
    for (int i = 0; i < ACTORS; i++) CHECK_EQ(got[i], sent[i]);
    wait_until_terminated(kernel);
    stats = check_accounts(kernel);
    CHECK_EQ(stats.handled, total);
    CHECK_EQ(stats.pending, 0);
    world_close(&w);
}

/* Nobody polls the one kernel; the other one, with a queue of its own, does not notice. */
CASE(pressure_deaf_queue_does_not_block_others) {
    world w = world_open();
    rk_queue queue = {0};
    CHECK_DONE(rk_queue_create(w.runtime, &queue, &test_error));
    rk_kernel deaf = world_start(&w, "patient",
                                 OPTIONS(.actors = 1, .inbound_capacity = 4, .outbound_capacity = 4, .queues = &queue,
                                         .queue_count = 1));
    rk_kernel well = world_start(&w, "patient", OPTIONS(.actors = 1));
    const rk_send_options wait = SENDING(.timeout_ns = 20 * MILLISECOND);
    visit message = {.nonce = 1};
    visited got;
    uint64_t total = 0;
    while (rk_send(actor_of(deaf, 0), RK_TYPE(visit), &message, sizeof message, &wait) == RK_OK)
        CHECK_AT_MOST(++total, 10000000);
    for (uint32_t i = 0; i < test_load(5000); i++)
        ask_for(actor_of(well, 0), RK_TYPE(visit), &message, sizeof message, RK_TYPE(visited), &got, sizeof got);
    /* Terminated with replies that nobody took: they can still be had. */
    uint64_t left = 0;
    CHECK_DONE(rk_kernel_terminate(deaf, &left, &test_error));
    rk_kernel_statistics stats = check_accounts(deaf);
    CHECK_EQ(stats.accepted, total);
    CHECK_EQ(stats.dead_letters, left);
    uint64_t replies = 0, dead = 0, events = 0;
    while (replies + dead < total || events < 1) {
        rk_message out;
        uint32_t count = 0;
        CHECK_OK(rk_queue_poll(queue, &out, 1, &got, sizeof got, PATIENCE, &count));
        if (out.kind == RK_MESSAGE_REPLY) replies++;
        else if (out.kind == RK_MESSAGE_DEAD_LETTER) dead++;
        else events++;
    }
    CHECK_EQ(replies, stats.handled);
    CHECK_EQ(dead, left);
    world_close(&w);
}

/* What a handler posts beyond its outbox is refused, which it learns and the kernel counts. */
CASE(pressure_outbox) {
    enum { EMIT = 48 + sizeof(tally), BYTES = 1 << 17, FIT = BYTES / EMIT, POSTS = FIT + 23 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 1, .outbox_bytes = BYTES, .outbound_capacity = 4096));
    for (uint64_t round = 1; round <= 10; round++) {
        flood message = {.posts = POSTS};
        send_to(actor_of(kernel, 0), RK_TYPE(flood), &message, sizeof message);
        /* The library may give some more room than asked for; what was sent comes, what was refused is counted. */
        tally counted = inquire_of(actor_of(kernel, 0));
        CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
        uint64_t refused = stats_of(kernel).refused;
        CHECK_EQ(counted.other, refused);
        CHECK_AT_MOST(refused, round * (POSTS - FIT));
        uint64_t emitted = round * POSTS - refused;
        CHECK_EQ(emitted % round, 0);
        for (uint64_t i = 0; i < emitted / round; i++) {
            tally got;
            rk_message out = next_message(&w, &got, sizeof got);
            CHECK_EQ(out.kind, RK_MESSAGE_EMIT);
            CHECK_EQ(got.count, i);
        }
        expect_silence(&w);
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    }
    CHECK(stats_of(kernel).refused > 0);
    world_close(&w);
}

/* All priorities waiting: a higher one overtakes. Lower ones are let through now and then, hence the averages. */
CASE(pressure_priorities_overtake) {
    enum { EACH = 64, LEVELS = 4 };
    static const uint32_t priorities[LEVELS] = {RK_PRIORITY_LOW, RK_PRIORITY_NORMAL, RK_PRIORITY_HIGH,
                                                RK_PRIORITY_CRITICAL};
    world w = world_open();
    rk_kernel kernel = world_launch(&w, "recorder", OPTIONS(.actors = 1, .inbound_capacity = 4 * EACH));
    for (uint32_t i = 0; i < EACH; i++)
        for (uint32_t level = 0; level < LEVELS; level++) {
            mark message = {.id = level * EACH + i};
            /* Any number stands for the level below it. */
            send_with(actor_of(kernel, 0), RK_TYPE(mark), &message, sizeof message,
                      SENDING(.priority = priorities[level] + i % 63));
        }
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    uint64_t places[LEVELS] = {0};
    uint32_t following[LEVELS] = {0};
    for (uint32_t i = 0; i < EACH * LEVELS; i++) {
        marked got;
        rk_message message = next_message(&w, &got, sizeof got);
        uint32_t level = got.id / EACH;
        CHECK_EQ(got.place, i);
        CHECK_EQ(got.priority, priorities[level] & ~63u);
        CHECK_EQ(message.priority, got.priority);
        CHECK_EQ(got.id % EACH, following[level]++); /* in order within its level */
        if (i == EACH / 2) CHECK(following[LEVELS - 1] > EACH / 3);
        places[level] += got.place;
    }
    for (uint32_t level = 1; level < LEVELS; level++) CHECK(places[level] < places[level - 1]);
    world_close(&w);
}

/* A low message among many of normal priority that wait has its turn after at most so many messages: one in 32 is of another
 * level, each of the four in turn. */
static void expect_turn_of_low(void) {
    enum { NORMAL = 1000, TURN = 4 * 32 };
    world w = world_open();
    rk_kernel kernel = world_launch(&w, "recorder", OPTIONS(.actors = 1, .workers = 1, .inbound_capacity = 1024));
    const rk_send_options low = SENDING(.priority = RK_PRIORITY_LOW);
    for (uint32_t i = 0; i < NORMAL; i++) {
        mark message = {.id = i};
        send_to(actor_of(kernel, 0), RK_TYPE(mark), &message, sizeof message);
    }
    mark message = {.id = NORMAL};
    send_with(actor_of(kernel, 0), RK_TYPE(mark), &message, sizeof message, low);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    for (uint32_t i = 0, normal = 0; i <= NORMAL; i++) {
        marked got;
        next_message(&w, &got, sizeof got);
        CHECK_EQ(got.place, i);
        if (got.id == NORMAL) CHECK(i < TURN);
        else CHECK_EQ(got.id, normal++);
    }
    world_close(&w);
}

/* Critical messages without end, and still a low one gets its turn. */
CASE(pressure_no_starvation) {
    expect_turn_of_low();
    world w = world_open();
    rk_kernel kernel = world_start(&w, "recorder", OPTIONS(.actors = 1, .workers = 1));
    const rk_send_options critical = SENDING(.priority = RK_PRIORITY_CRITICAL);
    const rk_send_options low = SENDING(.priority = RK_PRIORITY_LOW);
    for (int i = 0; i < 3; i++) CHECK_OK(rk_send(actor_of(kernel, 0), RK_TYPE(churn), NULL, 0, &critical));
    CHECK_OK(rk_send(actor_of(kernel, 0), RK_TYPE(quit), NULL, 0, &low));
    tally got;
    rk_message message = next_message(&w, &got, sizeof got);
    CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
    CHECK_EQ(got.other, 0);
    CHECK_DONE(rk_kernel_drain(kernel, PATIENCE, &test_error));
    check_accounts(kernel);
    world_close(&w);
}

/* Dead letters that nobody reads are memory: there is a number at which the worker waits, and none is lost. */
CASE(pressure_unread_letters) {
    enum { SENT = 6000 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = 1, .workers = 1, .inbound_capacity = 8192));
    rk_actor to = actor_of(kernel, 0);
    tally last;
    ask_for(to, RK_TYPE(halt), NULL, 0, RK_TYPE(tally), &last, sizeof last);
    for (uint64_t i = 0; i < SENT; i++) {
        visit message = {.nonce = i};
        CHECK_OK(rk_send(to, RK_TYPE(visit), &message, sizeof message, NULL));
    }
    /* A device may take its time before the first of them. */
    uint64_t dead = 0;
    for (int64_t end = test_now() + PATIENCE; test_now() < end;) {
        rk_kernel_statistics stats = stats_of(kernel);
        if (stats.dead_letters != dead && stats.dead_letters >= 1024) end = test_now() + 100 * MILLISECOND;
        dead = stats.dead_letters;
    }
    CHECK(dead >= 1024);
    CHECK(dead < SENT);
    CHECK_DONE(rk_runtime_park(w.runtime, RK_FOREVER, &test_error));
    /* Some may have died since, but not all: nobody has read of them. */
    const rk_kernel_statistics parked = check_accounts(kernel);
    CHECK(parked.dead_letters >= dead && parked.dead_letters < SENT);
    CHECK_EQ(parked.pending, SENT - parked.dead_letters);
    CHECK_DONE(rk_runtime_unpark(w.runtime, &test_error));
    for (uint64_t i = 0; i < SENT; i++) {
        visit returned;
        rk_message message = next_message(&w, &returned, sizeof returned);
        CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
        CHECK_EQ(message.reason, RK_DEAD_STOPPED);
        CHECK_EQ(message.to.id, to.id);
        CHECK_EQ(returned.nonce, i);
    }
    expect_silence(&w);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    rk_kernel_statistics stats = check_accounts(kernel);
    CHECK_EQ(stats.dead_letters, SENT);
    CHECK_EQ(stats.pending, 0);
    world_close(&w);
}
