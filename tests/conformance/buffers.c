/* Buffers, as handlers see them. */
#include "buffers.rk.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

RK_DECLARE_MODULE(buffers);
RK_DECLARE_MODULE(buffers_debug);

static rk_buffer_options buffer_options(uint64_t size) {
    rk_buffer_options options = RK_BUFFER_OPTIONS_INIT;
    options.size = size;
    return options;
}

/* One on the device under test, or the case is skipped. */
static rk_buffer buffer_of(const world *w, uint64_t size) {
    const rk_buffer_options options = buffer_options(size);
    rk_buffer buffer = {0};
    rk_error error;
    const rk_status status = rk_buffer_create(w->runtime, &options, &buffer, &error);
    if (status == RK_ERROR_UNSUPPORTED) test_skip(error.message);
    CHECK_OK(status);
    return buffer;
}

static rk_kernel clerks_of(const world *w, const rk_module_image *image, uint32_t actors) {
    rk_module module = {0};
    CHECK_DONE(rk_module_create(w->runtime, image, &module, &test_error));
    const world with = {w->runtime, module};
    return world_start(&with, "clerk", OPTIONS(.actors = actors));
}

static void change(rk_actor clerk, rk_buffer buffer, uint32_t what, uint32_t number) {
    transform message = {.data = buffer.id, .what = what, .number = number};
    transformed reply;
    ask_for(clerk, RK_TYPE(transform), &message, sizeof message, RK_TYPE(transformed), &reply, sizeof reply);
    CHECK_EQ(reply.data, buffer.id);
}

CASE(buffer_lengths) {
    world w = world_open();
    rk_actor clerk = actor_of(clerks_of(&w, &buffers, 1), 0);
    static const uint64_t sizes[] = {1, 3, 4, 23, 24, 1000, 4096, 100003};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        rk_buffer buffer = buffer_of(&w, sizes[i]);
        measure message = {.data = buffer.id};
        measured got;
        ask_for(clerk, RK_TYPE(measure), &message, sizeof message, RK_TYPE(measured), &got, sizeof got);
        CHECK_EQ(got.there, 1);
        const uint64_t elements[] = {1, 4, 8, 4, sizeof(pixel), sizeof(reading)};
        for (int k = 0; k < 6; k++) CHECK_EQ(got.lengths[k], sizes[i] / elements[k]);
        CHECK_OK(rk_buffer_destroy(buffer));
        ask_for(clerk, RK_TYPE(measure), &message, sizeof message, RK_TYPE(measured), &got, sizeof got);
        CHECK_EQ(got.there, 0);
    }
    world_close(&w);
}

/* What the host uploads handlers see, and the other way round, for elements of every size. */
CASE(buffer_contents) {
    enum { BYTES = 24 * 1000 };
    world w = world_open();
    rk_buffer buffer = buffer_of(&w, BYTES);
    static const rk_module_image *const images[] = {&buffers, &buffers_debug};
    for (int image = 0; image < 2; image++) {
        rk_actor clerk = actor_of(clerks_of(&w, images[image], 1), 0);
        static unsigned char sent[BYTES], got[BYTES], expected[BYTES];
        uint64_t random = test_seed();
        for (uint32_t what = 0; what < 4; what++) {
            test_random_bytes(&random, sent, BYTES);
            /* Numbers, not what happens to be none. */
            for (uint32_t i = 0; what == 2 && i < BYTES / sizeof(reading); i++)
                ((reading *)(void *)sent)[i].value = i * 0.75;
            for (uint32_t i = 0; what == 3 && i < BYTES / 4; i++) ((float *)(void *)sent)[i] = (float)i;
            memcpy(expected, sent, BYTES);
            for (uint32_t i = 0; i < BYTES / 4 && what == 0; i++)
                ((uint32_t *)(void *)expected)[i] = ((uint32_t *)(void *)expected)[i] * 3 + i;
            for (uint32_t i = 0; i < BYTES / 3 && what == 1; i++) {
                pixel *at = (pixel *)(void *)expected + i;
                at->r = 9;
                at->b = at->g;
            }
            for (uint32_t i = 0; i < BYTES / sizeof(reading) && what == 2; i++) {
                reading *at = (reading *)(void *)expected + i;
                at->value *= 2;
                at->tag[2] = i;
            }
            for (uint32_t i = 0; i < BYTES / 4 && what == 3; i++) ((float *)(void *)expected)[i] += 0.5f;
            CHECK_DONE(rk_buffer_upload(buffer, 0, sent, BYTES, &test_error));
            change(clerk, buffer, what, 9);
            CHECK_DONE(rk_buffer_download(buffer, 0, got, BYTES, &test_error));
            CHECK_EQ(memcmp(got, expected, BYTES), 0);
        }
    }
    world_close(&w);
}

/* Many actors each sum up their part of one buffer. */
CASE(buffer_shared_by_actors) {
    enum { ACTORS = 16, EACH = 5000 };
    world w = world_open();
    rk_kernel kernel = clerks_of(&w, &buffers, ACTORS);
    rk_buffer buffer = buffer_of(&w, ACTORS * EACH * sizeof(uint64_t));
    uint64_t *numbers = malloc(ACTORS * EACH * sizeof *numbers), random = test_seed(), all = 0;
    CHECK(numbers != NULL);
    for (int i = 0; i < ACTORS * EACH; i++) all += numbers[i] = test_random(&random);
    CHECK_DONE(rk_buffer_upload(buffer, 0, numbers, ACTORS * EACH * sizeof *numbers, &test_error));
    for (uint32_t i = 0; i < ACTORS; i++) {
        add_up message = {.data = buffer.id, .from = (uint64_t)i * EACH, .count = EACH};
        send_to(actor_of(kernel, i), RK_TYPE(add_up), &message, sizeof message);
    }
    for (uint32_t i = 0; i < ACTORS; i++) {
        added_up got;
        rk_message message = next_message(&w, &got, sizeof got);
        CHECK_EQ(message.type, RK_TYPE(added_up));
        all -= got.sum;
    }
    CHECK_EQ(all, 0);
    free(numbers);
    world_close(&w);
}

static void expect_failure(const world *w, rk_actor clerk, int32_t reason) {
    rk_message message = next_message(w, NULL, 0);
    CHECK_EQ(message.kind, RK_MESSAGE_EVENT);
    CHECK_EQ(message.type, RK_EVENT_ACTOR_FAILED);
    CHECK_EQ(message.from.id, clerk.id);
    CHECK_EQ(message.reason, reason);
}

/* An id of nothing fails the actor, and nobody else. */
CASE(buffer_that_is_not_there) {
    world w = world_open();
    rk_buffer alive = buffer_of(&w, 64), dead = buffer_of(&w, 64);
    CHECK_OK(rk_buffer_destroy(dead));
    const uint64_t ids[] = {0, 1, dead.id, alive.id + 1, alive.id ^ UINT64_C(1) << 40, w.runtime.id, UINT64_MAX};
    enum { IDS = sizeof ids / sizeof ids[0] };
    rk_kernel kernel = clerks_of(&w, &buffers, IDS + 1);
    for (uint32_t i = 0; i < IDS; i++) {
        transform message = {.data = ids[i]};
        send_to(actor_of(kernel, i), RK_TYPE(transform), &message, sizeof message);
        expect_failure(&w, actor_of(kernel, i), RK_FAIL_NO_BUFFER);
    }
    change(actor_of(kernel, IDS), alive, 0, 0);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error)); /* devices count at the end of a quantum */
    CHECK_EQ(stats_of(kernel).failures, IDS);
    world_close(&w);
}

/* Of another runtime: as if it were not there. */
CASE(buffer_of_another_runtime) {
    world w = world_open(), other = world_open();
    rk_buffer theirs = buffer_of(&other, 64);
    rk_actor clerk = actor_of(clerks_of(&w, &buffers, 1), 0);
    measure message = {.data = theirs.id};
    measured got;
    ask_for(clerk, RK_TYPE(measure), &message, sizeof message, RK_TYPE(measured), &got, sizeof got);
    CHECK_EQ(got.there, 0);
    world_close(&other);
    world_close(&w);
}

/* In modules compiled with RK_DEBUG an index that is too large harms nobody, and the actor fails. */
CASE(buffer_bounds_in_debug_modules) {
    world w = world_open();
    rk_buffer buffer = buffer_of(&w, 50);
    const uint64_t beyond[] = {50, 51, 1000000, UINT64_C(1) << 32, UINT64_C(1) << 62, UINT64_MAX};
    enum { COUNT = sizeof beyond / sizeof beyond[0] };
    rk_kernel kernel = clerks_of(&w, &buffers_debug, 2 * COUNT + 1);
    unsigned char before[50], after[50];
    uint64_t random = test_seed();
    test_random_bytes(&random, before, sizeof before);
    CHECK_DONE(rk_buffer_upload(buffer, 0, before, sizeof before, &test_error));
    for (uint32_t i = 0; i < 2 * COUNT; i++) {
        /* Two readings fit, and a part of a third. */
        reach message = {.data = buffer.id, .index = i < COUNT ? beyond[i] : beyond[i - COUNT] - 48, .wide = i >= COUNT};
        message.value = 7;
        rk_actor clerk = actor_of(kernel, i);
        send_to(clerk, RK_TYPE(reach), &message, sizeof message);
        /* What it sent before it failed was sent. */
        transformed got;
        rk_message first = next_message(&w, &got, sizeof got);
        if (first.kind == RK_MESSAGE_EVENT) {
            CHECK_EQ(first.reason, RK_FAIL_OUT_OF_BOUNDS);
            first = next_message(&w, &got, sizeof got);
        } else {
            expect_failure(&w, clerk, RK_FAIL_OUT_OF_BOUNDS);
        }
        CHECK_EQ(first.kind, RK_MESSAGE_REPLY);
    }
    CHECK_DONE(rk_buffer_download(buffer, 0, after, sizeof after, &test_error));
    CHECK_EQ(memcmp(before, after, sizeof before), 0);
    rk_actor last = actor_of(kernel, 2 * COUNT);
    reach message = {.data = buffer.id, .index = 49, .value = before[49] ^ 1u};
    transformed reply;
    ask_for(last, RK_TYPE(reach), &message, sizeof message, RK_TYPE(transformed), &reply, sizeof reply);
    CHECK_DONE(rk_buffer_download(buffer, 49, after, 1, &test_error));
    CHECK_EQ(after[0], before[49] ^ 1u);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error)); /* devices count at the end of a quantum */
    CHECK_EQ(stats_of(kernel).failures, 2 * COUNT);
    world_close(&w);
}

/* The host program's memory, used in place. */
CASE(buffer_of_the_host_program) {
    enum { COUNT = 3000 };
    world w = world_open();
    static _Alignas(16) uint32_t numbers[COUNT + 1];
    rk_buffer_options options = buffer_options(COUNT * sizeof numbers[0]);
    options.host = numbers;
    rk_buffer buffer = {0};
    rk_error error;
    const rk_status status = rk_buffer_create(w.runtime, &options, &buffer, &error);
    if (status == RK_ERROR_UNSUPPORTED) test_skip(error.message);
    CHECK_OK(status);
    for (uint32_t i = 0; i <= COUNT; i++) numbers[i] = i * i;
    change(actor_of(clerks_of(&w, &buffers, 1), 0), buffer, 0, 0);
    for (uint32_t i = 0; i < COUNT; i++) CHECK_EQ(numbers[i], i * i * 3 + i);
    CHECK_EQ(numbers[COUNT], COUNT * COUNT);
    /* Another one in a part of it, which stays when the first goes; and again and again. */
    rk_actor clerk = actor_of(clerks_of(&w, &buffers, 1), 0);
    for (uint32_t round = 0; round < 20; round++) {
        rk_buffer part = {0};
        options.host = numbers + 4 * round, options.size = COUNT / 2 * sizeof numbers[0];
        CHECK_DONE(rk_buffer_create(w.runtime, &options, &part, &test_error));
        CHECK_OK(rk_buffer_destroy(buffer));
        if (round % 4 == 3) {
            CHECK_DONE(rk_runtime_park(w.runtime, PATIENCE, &test_error)); /* by which the first is gone */
            CHECK_DONE(rk_runtime_unpark(w.runtime, &test_error));
        }
        for (uint32_t i = 0; i <= COUNT; i++) numbers[i] = i * round;
        change(clerk, part, 0, 0);
        for (uint32_t i = 0; i <= COUNT; i++) {
            const uint32_t at = i - 4 * round;
            CHECK_EQ(numbers[i], at < COUNT / 2 ? i * round * 3 + at : i * round);
        }
        options.host = numbers, options.size = COUNT * sizeof numbers[0];
        CHECK_DONE(rk_buffer_create(w.runtime, &options, &buffer, &test_error));
        CHECK_OK(rk_buffer_destroy(part));
    }
    CHECK_OK(rk_buffer_destroy(buffer));
    world_close(&w);
}

/* Transfers complete in the order asked for, beside the messages. */
CASE(buffer_transfers) {
    enum { ROUNDS = 300, BYTES = 4096 };
    world w = world_open();
    rk_buffer buffer = buffer_of(&w, BYTES);
    rk_actor clerk = actor_of(clerks_of(&w, &buffers, 1), 0);
    static unsigned char sent[ROUNDS][BYTES], got[ROUNDS][BYTES];
    uint64_t random = test_seed();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        test_random_bytes(&random, sent[i], BYTES);
        CHECK_DONE(rk_buffer_upload_async(buffer, 0, sent[i], BYTES, (rk_queue){0}, 2 * i, &test_error));
        CHECK_DONE(rk_buffer_download_async(buffer, 0, got[i], BYTES, (rk_queue){0}, 2 * i + 1, &test_error));
    }
    uint64_t last = 0;
    for (uint32_t i = 0; i < 2 * ROUNDS; i++) {
        rk_message message = next_message(&w, NULL, 0);
        CHECK_EQ(message.kind, RK_MESSAGE_EVENT);
        CHECK_EQ(message.type, RK_EVENT_TRANSFER);
        CHECK_EQ(message.reason, RK_OK);
        CHECK_EQ(message.correlation, i);
        CHECK(message.time > last);
        last = message.time;
    }
    CHECK_EQ(memcmp(sent, got, sizeof sent), 0);
    /* A handler whose message is sent after the completion sees what was uploaded. */
    const uint64_t ones[2] = {1, 2};
    CHECK_DONE(rk_buffer_upload_async(buffer, 8, ones, sizeof ones, (rk_queue){0}, 77, &test_error));
    CHECK_EQ(next_message(&w, NULL, 0).correlation, 77);
    add_up message = {.data = buffer.id, .from = 1, .count = 2};
    added_up sum;
    ask_for(clerk, RK_TYPE(add_up), &message, sizeof message, RK_TYPE(added_up), &sum, sizeof sum);
    CHECK_EQ(sum.sum, 3);
    world_close(&w);
}

/* Destroyed while handlers use it, again and again: each works on a buffer, or fails because it is gone. */
CASE(buffer_destroyed_in_use) {
    enum { ACTORS = 64, BYTES = 1 << 16 };
    world w = world_open();
    for (uint32_t round = 0; round < test_load(100); round++) {
        rk_kernel kernel = clerks_of(&w, &buffers, ACTORS);
        rk_buffer buffer = buffer_of(&w, BYTES);
        for (uint32_t i = 0; i < ACTORS; i++) {
            transform message = {.data = buffer.id, .what = 3};
            send_to(actor_of(kernel, i), RK_TYPE(transform), &message, sizeof message);
        }
        int64_t start = test_now();
        CHECK_OK(rk_buffer_destroy(buffer));
        if (!TEST_SANITIZED) CHECK(test_now() - start < 100 * MILLISECOND);
        CHECK_STATUS(rk_buffer_destroy(buffer), RK_ERROR_STALE_HANDLE);
        /* Its place is for others; who works on the old one does not touch them. */
        rk_buffer next = buffer_of(&w, BYTES);
        uint32_t done = 0, failed = 0;
        while (done + failed < ACTORS) {
            transformed got;
            rk_message message = next_message(&w, &got, sizeof got);
            if (message.kind == RK_MESSAGE_REPLY) done++;
            else if (message.kind == RK_MESSAGE_EVENT && message.reason == RK_FAIL_NO_BUFFER) failed++;
            else test_fail(__FILE__, __LINE__, "kind %u reason %d", message.kind, message.reason);
        }
        static unsigned char contents[BYTES], zeros[BYTES];
        CHECK_DONE(rk_buffer_download(next, 0, contents, BYTES, &test_error));
        CHECK_EQ(memcmp(contents, zeros, BYTES), 0);
        CHECK_OK(rk_buffer_destroy(next));
        CHECK_OK(rk_kernel_destroy(kernel));
    }
    world_close(&w);
}
