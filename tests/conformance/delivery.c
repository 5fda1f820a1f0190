/* Every message is handled exactly once, and those of one sender to one actor with one priority in the order sent. */
#include "world.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SENDERS = 4, LEVELS = 4, BATCH = 32 };

static const uint32_t priorities[LEVELS] = {RK_PRIORITY_LOW, RK_PRIORITY_NORMAL, RK_PRIORITY_HIGH,
                                            RK_PRIORITY_CRITICAL};

typedef struct load {
    world w;
    rk_kernel kernel;
    uint32_t actors;
    uint32_t each; /* messages of one sender */
    uint64_t seed;
    atomic_uint finished; /* senders */
} load;

static uint64_t value_of(const load *with, uint32_t actor, uint32_t source, uint32_t level, uint32_t sequence) {
    uint64_t place = ((uint64_t)actor << 8) ^ (source << 4) ^ level, state = with->seed ^ (place << 32) ^ sequence;
    return test_random(&state);
}

/* Odd senders send one at a time, even ones in batches. */
static void send_load(load *with, uint32_t source) {
    uint64_t random = with->seed + source;
    uint32_t *following = calloc(with->actors * LEVELS, sizeof *following);
    rk_actor *actors = calloc(with->actors, sizeof *actors);
    CHECK(following != NULL && actors != NULL);
    for (uint32_t i = 0; i < with->actors; i++) actors[i] = actor_of(with->kernel, i);
    entry entries[BATCH];
    rk_outbound batch[BATCH];
    for (uint32_t sent = 0; sent < with->each;) {
        uint32_t count = source % 2 == 1 ? 1 : 1 + test_random_below(&random, BATCH);
        if (count > with->each - sent) count = with->each - sent;
        memset(batch, 0, sizeof batch);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t actor = test_random_below(&random, with->actors), level = test_random_below(&random, LEVELS);
            uint32_t sequence = following[actor * LEVELS + level]++;
            uint64_t value = value_of(with, actor, source, level, sequence);
            entries[i] = (entry){.value = value, .source = source, .sequence = sequence, .level = level};
            batch[i] = (rk_outbound){.to = actors[actor],
                                     .correlation = ~value,
                                     .payload = &entries[i],
                                     .type = RK_TYPE(entry),
                                     .size = sizeof entries[i],
                                     .priority = priorities[level]};
        }
        uint32_t done = 0;
        if (source % 2 == 0) CHECK_OK(rk_send_many(batch, count, PATIENCE, &done));
        else
            send_with(batch[0].to, batch[0].type, batch[0].payload, batch[0].size,
                      SENDING(.priority = batch[0].priority, .correlation = batch[0].correlation));
        if (source % 2 == 0) CHECK_EQ(done, count);
        sent += count;
    }
    free(following);
    free(actors);
    atomic_fetch_add(&with->finished, 1);
}

/* The host's view: the receipts of an actor come in the order of its handlers, so each is the one after the last. */
static void receive_load(load *with) {
    uint32_t *following = calloc((size_t)with->actors * SENDERS * LEVELS, sizeof *following);
    uint64_t *totals = calloc(with->actors, sizeof *totals);
    CHECK(following != NULL && totals != NULL);
    rk_message messages[BATCH];
    _Alignas(16) unsigned char payloads[BATCH * sizeof(receipt)];
    for (uint64_t received = 0; received < (uint64_t)SENDERS * with->each;) {
        uint32_t count = 0;
        rk_status status = rk_poll(with->w.runtime, messages, BATCH, payloads, sizeof payloads, PATIENCE, &count);
        if (status == RK_TIMEOUT)
            test_fail(__FILE__, __LINE__, "%llu of %llu receipts, then none", (unsigned long long)received,
                      (unsigned long long)SENDERS * with->each);
        CHECK_OK(status);
        for (uint32_t i = 0; i < count; i++) {
            const receipt *got = messages[i].payload;
            CHECK_EQ(messages[i].kind, RK_MESSAGE_REPLY);
            CHECK_EQ(messages[i].type, RK_TYPE(receipt));
            CHECK_EQ(messages[i].size, sizeof *got);
            CHECK(got->source < SENDERS && got->level < LEVELS);
            uint32_t actor = rk_actor_index(messages[i].from);
            CHECK_EQ(messages[i].from.id, actor_of(with->kernel, actor).id);
            CHECK_EQ(got->sequence, got->expected);
            uint32_t *next = &following[(actor * SENDERS + got->source) * LEVELS + got->level];
            CHECK_EQ(got->sequence, *next);
            (*next)++;
            CHECK_EQ(got->total, ++totals[actor]);
            uint64_t value = value_of(with, actor, got->source, got->level, got->sequence);
            CHECK_EQ(got->value, value);
            CHECK_EQ(messages[i].correlation, ~value);
            CHECK_EQ(messages[i].priority, (uint32_t)priorities[got->level] & ~63u);
        }
        received += count;
    }
    free(following);
    free(totals);
}

static void load_thread(unsigned index, void *shared) {
    if (index < SENDERS) send_load(shared, index);
    else receive_load(shared);
}

static void run_load(uint32_t actors, uint32_t each, rk_kernel_options options) {
    options.actors = actors;
    load with = {.w = world_open(), .actors = actors, .each = each, .seed = test_seed()};
    with.kernel = world_start(&with.w, "ledger", options);
    test_threads(SENDERS + 1, load_thread, &with);
    expect_silence(&with.w);
    CHECK_DONE(rk_kernel_deactivate(with.kernel, &test_error));
    rk_kernel_statistics stats = check_accounts(with.kernel);
    CHECK_EQ(stats.accepted, (uint64_t)SENDERS * each);
    CHECK_EQ(stats.handled, stats.accepted);
    CHECK_EQ(stats.pending, 0);
    CHECK_EQ(stats.dead_letters, 0);
    CHECK_EQ(stats.sent_host, stats.accepted);
    CHECK(stats.high_water > 0);
    world_close(&with.w);
}

CASE(delivery_one_actor) { run_load(1, test_load(40000), OPTIONS(.workers = 1)); }
CASE(delivery_many_actors) { run_load(100, test_load(40000), OPTIONS(.actors = 100)); }
CASE(delivery_many_workers) { run_load(64, test_load(20000), OPTIONS(.workers = 16)); }
CASE(delivery_small_rings) {
    run_load(8, test_load(20000), OPTIONS(.inbound_capacity = 4, .actor_capacity = 4, .outbound_capacity = 4));
}
CASE(delivery_short_quanta) { run_load(16, test_load(20000), OPTIONS(.quantum_us = 100, .inbound_capacity = 64)); }

/* rk_send_many() sends what fits and says how much that was. */
CASE(delivery_batch_larger_than_the_ring) {
    enum { CAPACITY = 16, COUNT = 50 };
    world w = world_open();
    rk_kernel kernel = world_launch(&w, "ledger", OPTIONS(.actors = 1, .inbound_capacity = CAPACITY, .outbound_capacity = 64));
    entry entries[COUNT];
    rk_outbound batch[COUNT];
    memset(batch, 0, sizeof batch);
    for (uint32_t i = 0; i < COUNT; i++) {
        entries[i] = (entry){.value = i, .sequence = i, .level = 1};
        batch[i] = (rk_outbound){
            .to = actor_of(kernel, 0), .payload = &entries[i], .type = RK_TYPE(entry), .size = sizeof entries[i]};
    }
    uint32_t sent = 0;
    CHECK_STATUS(rk_send_many(batch, COUNT, 0, &sent), RK_AGAIN);
    CHECK_EQ(sent, CAPACITY);
    uint32_t more = 77;
    CHECK_STATUS(rk_send_many(batch + sent, COUNT - sent, 5 * MILLISECOND, &more), RK_TIMEOUT);
    CHECK_EQ(more, 0);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    CHECK_OK(rk_send_many(batch + sent, COUNT - sent, PATIENCE, &more));
    CHECK_EQ(more, COUNT - sent);
    for (uint32_t i = 0; i < COUNT; i++) {
        receipt got;
        next_message(&w, &got, sizeof got);
        CHECK_EQ(got.value, i);
        CHECK_EQ(got.expected, i);
    }
    world_close(&w);
}

/* Messages of every kind in one row: plain ones, with deadlines, and large ones, answered once, twice or not at all. Each
 * answer is that of its own message. */
CASE(delivery_of_mixed_messages) {
    enum { COUNT = 100 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "parrot", OPTIONS(.actors = 1, .workers = 1, .inbound_capacity = 256));
    const rk_actor parrot = actor_of(kernel, 0);
    uint64_t random = test_seed();
    for (uint32_t round = 0; round < test_load(200); round++) {
        repeat sent[COUNT];
        bool is_large[COUNT];
        /* They queue up, so that they are taken in batches. */
        CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
        for (uint32_t i = 0; i < COUNT; i++) {
            const uint32_t what = test_random_below(&random, 16);
            sent[i] = (repeat){.number = (uint32_t)test_random(&random), .times = what < 4 ? test_random_below(&random, 3) : 1};
            is_large[i] = what == 4;
            rk_send_options options = SENDING(.correlation = ~(uint64_t)sent[i].number, .timeout_ns = PATIENCE);
            if (what == 5) options.deadline_ns = 1000 * SECOND;
            if (is_large[i]) {
                const ballast message = {.number = sent[i].number};
                send_with(parrot, RK_TYPE(ballast), &message, sizeof message, options);
            } else {
                send_with(parrot, RK_TYPE(repeat), &sent[i], sizeof sent[i], options);
            }
        }
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        for (uint32_t i = 0; i < COUNT; i++) {
            for (uint32_t which = 0; which < sent[i].times; which++) {
                repeated got;
                const rk_message message = next_message(&w, &got, sizeof got);
                CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
                CHECK_EQ(message.from.id, parrot.id);
                CHECK_EQ(got.number, sent[i].number);
                CHECK_EQ(got.which, which);
                CHECK_EQ(message.correlation, ~(uint64_t)sent[i].number);
            }
        }
    }
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_EQ(check_accounts(kernel).handled, (uint64_t)COUNT * test_load(200));
    world_close(&w);
}
