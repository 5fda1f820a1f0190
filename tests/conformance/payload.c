/* Payloads of every size and fields of every type arrive as they were sent. */
#include "world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const unsigned char *bytes, uint32_t size) {
    uint64_t hash = 0;
    for (uint32_t i = 0; i < size; i++) hash = hash * 31 + bytes[i];
    return hash;
}

/* Any number of bytes up to the declared size, several on their way at a time. */
static void weigh_sizes(uint32_t type, uint32_t largest, const uint32_t *sizes, uint32_t count) {
    enum { FLYING = 8 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "scale", OPTIONS(.actors = 1));
    uint64_t random = test_seed();
    unsigned char *bytes = malloc(largest);
    uint64_t hashes[FLYING];
    CHECK(bytes != NULL);
    for (uint32_t start = 0; start < count; start += FLYING) {
        uint32_t flying = count - start < FLYING ? count - start : FLYING;
        for (uint32_t i = 0; i < flying; i++) {
            uint32_t size = sizes[start + i];
            test_random_bytes(&random, bytes, size);
            hashes[i] = hash_of(bytes, size);
            send_to(actor_of(kernel, 0), type, size > 0 ? bytes : NULL, size);
        }
        for (uint32_t i = 0; i < flying; i++) {
            weighed got;
            rk_message message = next_message(&w, &got, sizeof got);
            CHECK_EQ(message.type, RK_TYPE(weighed));
            CHECK_EQ(got.size, sizes[start + i]);
            CHECK_EQ(got.hash, hashes[i]);
        }
    }
    free(bytes);
    world_close(&w);
}

CASE(payload_sizes_0_to_300) {
    enum { ROUNDS = 4, SIZES = 301 };
    uint32_t sizes[ROUNDS * SIZES];
    uint64_t random = test_seed();
    for (uint32_t i = 0; i < ROUNDS * SIZES; i++) sizes[i] = i < SIZES ? i : test_random_below(&random, SIZES);
    weigh_sizes(RK_TYPE(parcel), 300, sizes, ROUNDS * SIZES);
}

CASE(payload_sizes_to_64_kib) {
    enum { COUNT = 200 };
    uint32_t sizes[COUNT] = {65536, 4096, 65535, 4095, 4097, 0, 1, 32768, 65536, 65521, 65520, 301};
    uint64_t random = test_seed();
    for (uint32_t i = 12; i < COUNT; i++) sizes[i] = test_random_below(&random, 65537);
    weigh_sizes(RK_TYPE(container), 65536, sizes, COUNT);
}

/* Messages of all kinds in one rk_send_many(), most like the one before and some unlike it in any way: each is answered by the
 * actor that it was for, as it was sent. */
CASE(payload_in_batches) {
    enum { BATCH = 150, LARGEST = 300, ACTORS = 5 };
    static unsigned char bytes[BATCH][LARGEST];
    world w = world_open();
    rk_kernel kernels[] = {world_start(&w, "scale", OPTIONS(.actors = ACTORS)),
                           world_start(&w, "scale", OPTIONS(.actors = ACTORS))};
    uint64_t random = test_seed();
    rk_outbound batch[BATCH] = {{.to = actor_of(kernels[0], 0), .type = RK_TYPE(parcel)}};
    for (uint32_t rounds = test_load(100); rounds > 0; rounds--) {
        const uint32_t count = 1 + test_random_below(&random, BATCH);
        bool answered[BATCH] = {false};
        for (uint32_t i = 0; i < count; i++) {
            if (i > 0) batch[i] = batch[i - 1];
            const uint32_t size = test_random_below(&random, LARGEST + 1);
            switch (test_random_below(&random, 24)) {
            case 0: batch[i].to = actor_of(kernels[test_random_below(&random, 2)], test_random_below(&random, ACTORS)); break;
            case 1: batch[i].size = size; break;
            case 2: batch[i].size = size % 33; break;
            case 3: batch[i].priority = test_random_below(&random, 256); break;
            case 4: batch[i].deadline_ns = batch[i].deadline_ns == 0 ? UINT64_C(3600000000000) : 0; break;
            case 5: batch[i].type = batch[i].type == RK_TYPE(parcel) ? RK_TYPE(container) : RK_TYPE(parcel); break;
            }
            test_random_bytes(&random, bytes[i], batch[i].size);
            batch[i].payload = batch[i].size == 0 ? NULL : bytes[i];
            batch[i].correlation = i;
        }
        uint32_t sent = 0;
        for (uint32_t received = 0; received < count; received++) {
            if (sent < count) { /* as many as there is room for until answers are received */
                uint32_t more = 0;
                const rk_status status = rk_send_many(batch + sent, count - sent, 0, &more);
                CHECK(status == (more == count - sent ? RK_OK : RK_AGAIN));
                sent += more;
            }
            weighed got;
            rk_message message = next_message(&w, &got, sizeof got);
            CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
            const uint64_t which = message.correlation;
            CHECK(which < count && !answered[which]);
            answered[which] = true;
            CHECK_EQ(message.from.id, batch[which].to.id);
            CHECK_EQ(message.priority / 64, batch[which].priority == 0 ? 1 : batch[which].priority / 64);
            CHECK_EQ(got.size, batch[which].size);
            CHECK_EQ(got.hash, hash_of(bytes[which], got.size));
        }
    }
    world_close(&w);
}

static const struct {
    uint32_t type, size;
} blobs[] = {
#define BLOB_ROW(size_) {RK_TYPE(blob_##size_), size_},
    {RK_TYPE(blob_0), 0}, BLOB_SIZES(BLOB_ROW)};
enum { BLOBS = sizeof blobs / sizeof blobs[0] };

/* Each size there and back, in random order, answered by `answering`. */
static void round_trips(const world *w, rk_actor to, rk_actor answering, uint32_t rounds) {
    uint64_t random = test_seed();
    static unsigned char sent[65536];
    static _Alignas(16) unsigned char got[65536];
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t which = i < BLOBS ? i : test_random_below(&random, BLOBS);
        uint32_t size = blobs[which].size;
        test_random_bytes(&random, sent, size);
        memset(got, 0, sizeof got);
        rk_message message;
        if (i % 2 == 0) {
            CHECK_DONE(rk_call(to, blobs[which].type, sent, size, NULL, got, size, &message, PATIENCE, &test_error));
        } else {
            send_to(to, blobs[which].type, sent, size);
            message = next_message(w, got, sizeof got);
        }
        CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
        CHECK_EQ(message.type, blobs[which].type);
        CHECK_EQ(message.size, size);
        CHECK_EQ(message.from.id, answering.id);
        if (memcmp(sent, got, size) != 0) test_fail(__FILE__, __LINE__, "%u bytes came back changed", size);
    }
}

CASE(payload_round_trips) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "mirror", OPTIONS(.actors = 2));
    round_trips(&w, actor_of(kernel, 1), actor_of(kernel, 1), test_load(600));
    world_close(&w);
}

CASE(payload_between_actors) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "mirror", OPTIONS(.actors = 3));
    attach_to(actor_of(kernel, 0), actor_of(kernel, 1));
    attach_to(actor_of(kernel, 1), actor_of(kernel, 2));
    round_trips(&w, actor_of(kernel, 0), actor_of(kernel, 2), test_load(400));
    world_close(&w);
}

CASE(payload_between_kernels) {
    world w = world_open();
    rk_kernel one = world_start(&w, "mirror", OPTIONS(.actors = 1));
    rk_kernel two = world_start(&w, "mirror", OPTIONS(.actors = 5, .actor_capacity = 4));
    attach_to(actor_of(one, 0), actor_of(two, 3));
    round_trips(&w, actor_of(one, 0), actor_of(two, 3), test_load(400));
    world_close(&w);
}

/* Payloads of several messages lie one after the other, each at a 16-byte boundary of the caller's buffer. */
CASE(payload_placement) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "mirror", OPTIONS(.actors = 1, .workers = 1));
    const uint32_t order[] = {0, 1, 5, 13, 0, 17, 34, 2, 35, 20};
    enum { COUNT = sizeof order / sizeof order[0] };
    unsigned char sent[COUNT][300];
    uint64_t random = test_seed();
    for (uint32_t i = 0; i < COUNT; i++) {
        test_random_bytes(&random, sent[i], sizeof sent[i]);
        CHECK_AT_MOST(blobs[order[i]].size, sizeof sent[i]);
        send_to(actor_of(kernel, 0), blobs[order[i]].type, sent[i], blobs[order[i]].size);
    }
    wait_until_handled(kernel, COUNT);
    rk_message messages[COUNT];
    static _Alignas(16) unsigned char payloads[65536];
    for (uint32_t received = 0; received < COUNT;) {
        uint32_t count = 0;
        CHECK_OK(rk_poll(w.runtime, messages, COUNT, payloads, sizeof payloads, PATIENCE, &count));
        unsigned char *end = payloads;
        for (uint32_t i = 0; i < count; i++, received++) {
            uint32_t size = blobs[order[received]].size;
            CHECK_EQ(messages[i].size, size);
            if (size == 0) {
                CHECK(messages[i].payload == NULL);
                continue;
            }
            const unsigned char *at = messages[i].payload;
            CHECK(at >= end && at + size <= payloads + sizeof payloads);
            CHECK_EQ((at - payloads) % 16, 0);
            CHECK_EQ(memcmp(at, sent[received], size), 0);
            end = payloads + (at - payloads) + size;
        }
    }
    world_close(&w);
}

/* Room for some of what is waiting: those come, the next stays queued until there is room for it. */
CASE(payload_little_room) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "mirror", OPTIONS(.actors = 1, .workers = 1));
    unsigned char sent[300];
    uint64_t random = test_seed();
    test_random_bytes(&random, sent, sizeof sent);
    enum { COUNT = 6 };
    for (uint32_t i = 0; i < COUNT; i++) send_to(actor_of(kernel, 0), RK_TYPE(blob_300), sent, sizeof sent);
    wait_until_handled(kernel, COUNT);
    rk_message messages[COUNT];
    _Alignas(16) unsigned char payloads[700]; /* two of them, not three */
    for (uint32_t received = 0; received < COUNT;) {
        uint32_t count = 0;
        memset(messages, 0, sizeof messages);
        CHECK_STATUS(rk_poll(w.runtime, messages, COUNT, payloads, 299, PATIENCE, &count), RK_ERROR_SIZE);
        CHECK_EQ(messages[0].size, 300);
        CHECK_OK(rk_poll(w.runtime, messages, COUNT, payloads, sizeof payloads, PATIENCE, &count));
        CHECK(count >= 1 && count <= 2);
        for (uint32_t i = 0; i < count; i++) CHECK_EQ(memcmp(messages[i].payload, sent, sizeof sent), 0);
        received += count;
    }
    world_close(&w);
}

/* A message larger than its type is refused at once. */
CASE(payload_too_large) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "mirror", OPTIONS(.actors = 1));
    static unsigned char bytes[65537];
    for (uint32_t i = 0; i < BLOBS; i++)
        CHECK_STATUS(rk_send(actor_of(kernel, 0), blobs[i].type, bytes, blobs[i].size + 1, NULL), RK_ERROR_SIZE);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_EQ(check_accounts(kernel).accepted, 0);
    world_close(&w);
}

static double random_number(uint64_t *random) {
    return ldexp((double)(int64_t)test_random(random), (int)test_random_below(random, 60) - 90);
}

static void random_medley(uint64_t *random, medley *m) {
    test_random_bytes(random, m, sizeof *m);
    /* Ordinary numbers: a device may change a NaN or a subnormal that it copies. */
    m->e = (float)random_number(random);
    m->h = random_number(random);
    for (int i = 0; i < 3; i++) m->k[i] = (float)random_number(random);
    for (int i = 0; i < 2; i++) m->m[i] = random_number(random);
}

#define SAME(field) CHECK_EQ(memcmp(&got.field, &sent.field, sizeof got.field), 0)
static void check_medley(medley got, medley sent) {
    SAME(a);
    SAME(b);
    SAME(c);
    SAME(d);
    SAME(e);
    SAME(f);
    SAME(g);
    SAME(h);
    SAME(i);
    SAME(j);
    SAME(k);
    SAME(l);
    SAME(m);
    SAME(n);
    SAME(o);
    SAME(p);
    SAME(q);
}

/* Into the state, and out of it again. */
CASE(payload_types) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "collector", OPTIONS(.actors = 3));
    uint64_t random = test_seed();
    for (uint32_t i = 0; i < test_load(300); i++) {
        medley sent, got;
        random_medley(&random, &sent);
        rk_actor to = actor_of(kernel, i % 3);
        ask_for(to, RK_TYPE(medley), &sent, sizeof sent, RK_TYPE(medley), &got, sizeof got);
        check_medley(got, sent);
        ask_for(to, RK_TYPE(recall), NULL, 0, RK_TYPE(medley), &got, sizeof got);
        check_medley(got, sent);
    }
    world_close(&w);
}
