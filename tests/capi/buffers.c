/* Buffers: arguments, transfers and races. What handlers do with them is in the conformance suite. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INVALID RK_ERROR_INVALID_ARGUMENT
#define NOT_ZERO UINT64_C(0xDEADBEEF)

static const rk_queue own_queue = {0};

CASE(buffers_bad_options) {
    fixture all = fixture_open();
    static _Alignas(16) unsigned char memory[64];
    rk_buffer buffer = {NOT_ZERO};
#define REFUSES(expected, ...)                                                                                         \
    do {                                                                                                               \
        const rk_buffer_options options = {.struct_size = sizeof options, __VA_ARGS__};                                \
        buffer.id = NOT_ZERO;                                                                                          \
        CHECK_ERROR(rk_buffer_create(all.runtime, &options, &buffer, &test_error), expected);                          \
        CHECK_EQ(buffer.id, 0);                                                                                        \
    } while (0)
    REFUSES(INVALID, .size = 0);
    REFUSES(INVALID, .size = (UINT64_C(1) << 48) + 1);
    REFUSES(INVALID, .size = UINT64_MAX);
    REFUSES(INVALID, .size = 16, .reserved = 1);
    REFUSES(INVALID, .size = 16, .backend = RK_BACKEND_VULKAN + 1);
    REFUSES(INVALID, .size = 16, .host = memory + 1);
    REFUSES(INVALID, .size = 16, .host = memory + 8);
    REFUSES(INVALID, .size = 16, .host = memory, .device_address = 16);
    REFUSES(INVALID, .size = 4096, .host = (void *)(UINTPTR_MAX - 255));
    REFUSES(RK_ERROR_UNSUPPORTED, .size = 16, .device_address = 4096);
    REFUSES(RK_ERROR_NOT_FOUND, .size = 16, .device = 1);
    if (!TEST_SANITIZED) REFUSES(RK_ERROR_NO_MEMORY, .size = UINT64_C(1) << 48); /* whose malloc would abort */
#undef REFUSES
    CHECK_ERROR(rk_buffer_create(all.runtime, NULL, &buffer, &test_error), INVALID);
    const rk_buffer_options good = {.struct_size = sizeof good, .size = 16};
    CHECK_ERROR(rk_buffer_create(all.runtime, &good, NULL, &test_error), INVALID);
    fixture_close(&all);
}

CASE(buffers_info_and_map) {
    fixture all = fixture_open();
    rk_buffer_properties info = RK_BUFFER_PROPERTIES_INIT;
    CHECK_DONE(rk_buffer_info(all.buffer, &info, &test_error));
    CHECK_EQ(info.struct_size, sizeof info);
    CHECK_EQ(info.size, FIXTURE_BUFFER);
    CHECK_EQ(info.backend, RK_BACKEND_CPU);
    CHECK_EQ(info.device, 0);
    CHECK_EQ(info.imported, 0);
    CHECK_EQ(info.mappable, 1);
    CHECK_EQ(info.reserved, 0);
    CHECK_ERROR(rk_buffer_info(all.buffer, NULL, &test_error), INVALID);
    void *address = NULL;
    CHECK_DONE(rk_buffer_map(all.buffer, &address, &test_error));
    CHECK_EQ((uintptr_t)address % 16, 0);
    static const unsigned char zeros[FIXTURE_BUFFER];
    CHECK_EQ(memcmp(address, zeros, FIXTURE_BUFFER), 0);
    memset(address, 7, FIXTURE_BUFFER);
    unsigned char got[4] = {0};
    CHECK_DONE(rk_buffer_download(all.buffer, FIXTURE_BUFFER - 4, got, 4, &test_error));
    CHECK_EQ(memcmp(got, address, 4), 0);
    /* A buffer onto itself. */
    unsigned char *last = (unsigned char *)address + FIXTURE_BUFFER - 1;
    CHECK_ERROR(rk_buffer_upload(all.buffer, 4, address, 16, &test_error), INVALID);
    CHECK_ERROR(rk_buffer_download(all.buffer, 0, last, 1, &test_error), INVALID);
    CHECK_ERROR(rk_buffer_upload_async(all.buffer, 0, last, 1, own_queue, 0, &test_error), INVALID);
    CHECK_ERROR(rk_buffer_map(all.buffer, NULL, &test_error), INVALID);

    static _Alignas(16) unsigned char memory[100];
    const rk_buffer_options options = {.struct_size = sizeof options, .size = 99, .host = memory};
    rk_buffer imported;
    CHECK_DONE(rk_buffer_create(all.runtime, &options, &imported, &test_error));
    CHECK_DONE(rk_buffer_info(imported, &info, &test_error));
    CHECK_EQ(info.imported, 1);
    CHECK_DONE(rk_buffer_map(imported, &address, &test_error));
    CHECK(address == memory);
    CHECK_OK(rk_buffer_destroy(imported));
    fixture_close(&all);
}

CASE(buffers_ranges) {
    fixture all = fixture_open();
    unsigned char data[FIXTURE_BUFFER + 1] = {0};
    static const struct {
        uint64_t offset;
        size_t size;
        rk_status expected;
    } ranges[] = {
        {0, 0, RK_OK}, {0, FIXTURE_BUFFER, RK_OK}, {FIXTURE_BUFFER, 0, RK_OK}, {FIXTURE_BUFFER - 1, 1, RK_OK},
        {0, FIXTURE_BUFFER + 1, INVALID}, {1, FIXTURE_BUFFER, INVALID}, {FIXTURE_BUFFER, 1, INVALID},
        {FIXTURE_BUFFER + 1, 0, INVALID}, {UINT64_MAX, 1, INVALID}, {UINT64_MAX, 0, INVALID}, {0, SIZE_MAX, INVALID},
        {1, SIZE_MAX, INVALID},
    };
    rk_message message;
    uint32_t count;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const uint64_t offset = ranges[i].offset;
        const size_t size = ranges[i].size;
        const rk_status expected = ranges[i].expected;
        CHECK_ERROR(rk_buffer_upload(all.buffer, offset, data, size, &test_error), expected);
        CHECK_ERROR(rk_buffer_download(all.buffer, offset, data, size, &test_error), expected);
        CHECK_ERROR(rk_buffer_upload_async(all.buffer, offset, data, size, own_queue, 1, &test_error), expected);
        CHECK_ERROR(rk_buffer_download_async(all.buffer, offset, data, size, own_queue, 2, &test_error), expected);
        for (int k = 0; k < 2 && expected == RK_OK; k++)
            CHECK_OK(rk_poll(all.runtime, &message, 1, NULL, 0, RK_FOREVER, &count));
    }
    CHECK_ERROR(rk_buffer_upload(all.buffer, 0, NULL, 1, &test_error), INVALID);
    CHECK_ERROR(rk_buffer_download(all.buffer, 0, NULL, 1, &test_error), INVALID);
    CHECK_ERROR(rk_buffer_upload_async(all.buffer, 0, NULL, 1, own_queue, 0, &test_error), INVALID);
    CHECK_ERROR(rk_buffer_download_async(all.buffer, 0, NULL, 1, own_queue, 0, &test_error), INVALID);
    CHECK_DONE(rk_buffer_upload(all.buffer, 0, NULL, 0, &test_error));
    CHECK_STATUS(rk_poll(all.runtime, &message, 1, NULL, 0, 0, &count), RK_AGAIN);
    fixture_close(&all);
}

/* Completions come to the queue that was asked for; one of another runtime is refused. */
CASE(buffers_completions) {
    fixture all = fixture_open();
    unsigned char data[16] = {1};
    rk_message message;
    uint32_t count = 0;
    CHECK_DONE(rk_buffer_upload_async(all.buffer, 0, data, sizeof data, all.queue, 42, &test_error));
    CHECK_OK(rk_queue_poll(all.queue, &message, 1, NULL, 0, RK_FOREVER, &count));
    CHECK_EQ(message.kind, RK_MESSAGE_EVENT);
    CHECK_EQ(message.type, RK_EVENT_TRANSFER);
    CHECK_EQ(message.correlation, 42);
    CHECK_EQ(message.reason, RK_OK);
    CHECK_EQ(message.size, 0);
    CHECK_EQ(message.from.id, 0);
    CHECK(message.payload == NULL && message.time != 0);
    fixture other = fixture_open();
    CHECK_ERROR(rk_buffer_upload_async(all.buffer, 0, data, sizeof data, other.queue, 0, &test_error),
                RK_ERROR_STALE_HANDLE);
    fixture_close(&other);
    /* It wakes a file descriptor, too. */
    CHECK_OK(rk_queue_arm(all.queue));
    CHECK_DONE(rk_buffer_download_async(all.buffer, 0, data, sizeof data, all.queue, 43, &test_error));
    while (rk_queue_arm(all.queue) == RK_OK) usleep(100);
    CHECK_OK(rk_queue_poll(all.queue, &message, 1, NULL, 0, 0, &count));
    CHECK_EQ(message.correlation, 43);
    /* Asked for, and destroyed: it is made before the memory goes. */
    rk_buffer_options options = {.struct_size = sizeof options, .size = 1 << 20};
    static unsigned char large[1 << 20];
    for (uint32_t round = 0; round < 50; round++) {
        rk_buffer buffer;
        CHECK_DONE(rk_buffer_create(all.runtime, &options, &buffer, &test_error));
        CHECK_DONE(rk_buffer_upload_async(buffer, 0, large, sizeof large, all.queue, round, &test_error));
        CHECK_OK(rk_buffer_destroy(buffer));
        CHECK_OK(rk_queue_poll(all.queue, &message, 1, NULL, 0, RK_FOREVER, &count));
        CHECK_EQ(message.correlation, round);
        CHECK_EQ(message.reason, RK_OK);
    }
    fixture_close(&all);
}

/* A runtime may go while transfers wait. */
CASE(buffers_of_a_destroyed_runtime) {
    static unsigned char data[1 << 16];
    for (uint32_t round = 0; round < 20; round++) {
        fixture all = fixture_open();
        rk_buffer_options options = {.struct_size = sizeof options, .size = sizeof data};
        rk_buffer buffer;
        CHECK_DONE(rk_buffer_create(all.runtime, &options, &buffer, &test_error));
        for (uint32_t i = 0; i < 100; i++)
            CHECK_DONE(rk_buffer_download_async(buffer, 0, data, sizeof data, own_queue, i, &test_error));
        if (round % 2 == 0) CHECK_OK(rk_buffer_destroy(buffer));
        CHECK_OK(rk_runtime_destroy(all.runtime));
        CHECK_STATUS(rk_buffer_destroy(buffer), RK_ERROR_STALE_HANDLE);
    }
}

/* However many are created and destroyed, none is left: places come back when handlers are done. */
CASE(buffers_places_come_back) {
    enum { LIMIT = 4096 };
    fixture all = fixture_open();
    rk_buffer_options options = {.struct_size = sizeof options, .size = 1};
    static rk_buffer many[LIMIT];
    for (int i = 0; i < LIMIT - 1; i++) CHECK_DONE(rk_buffer_create(all.runtime, &options, &many[i], &test_error));
    rk_buffer one = {NOT_ZERO};
    CHECK_ERROR(rk_buffer_create(all.runtime, &options, &one, &test_error), RK_ERROR_LIMIT);
    CHECK_EQ(one.id, 0);
    for (int i = 0; i < LIMIT - 1; i++) CHECK_OK(rk_buffer_destroy(many[i]));
    for (int i = 0; i < LIMIT - 1; i++) {
        int64_t deadline = test_now() + INT64_C(10000000000);
        while (rk_buffer_create(all.runtime, &options, &many[i], NULL) == RK_ERROR_LIMIT) CHECK(test_now() < deadline);
        CHECK(many[i].id != 0);
    }
    fixture_close(&all);
}

typedef struct churn {
    fixture all;
    _Atomic uint64_t current;
} churn;

/* Create, use and destroy each other's buffers. */
static void churn_buffers(unsigned index, void *shared) {
    churn *with = shared;
    unsigned char data[256];
    memset(data, (int)index, sizeof data);
    for (uint32_t round = 0; round < test_load(2000); round++) {
        rk_buffer theirs = {atomic_load(&with->current)};
        rk_status status = round % 2 == 0 ? rk_buffer_upload(theirs, 0, data, sizeof data, NULL)
                                          : rk_buffer_download(theirs, 0, data, sizeof data, NULL);
        CHECK(status == RK_OK || status == RK_ERROR_STALE_HANDLE);
        if (round % 4 == 0) {
            rk_buffer_options options = {.struct_size = sizeof options, .size = 256};
            rk_buffer fresh;
            CHECK_DONE(rk_buffer_create(with->all.runtime, &options, &fresh, &test_error));
            rk_buffer old = {atomic_exchange(&with->current, fresh.id)};
            CHECK_OK(rk_buffer_destroy(old));
        }
    }
}

CASE(buffers_races) {
    churn with = {.all = fixture_open()};
    rk_buffer_options options = {.struct_size = sizeof options, .size = 256};
    rk_buffer first;
    CHECK_DONE(rk_buffer_create(with.all.runtime, &options, &first, &test_error));
    atomic_store(&with.current, first.id);
    test_threads(4, churn_buffers, &with);
    fixture_verify(with.all.actor);
    fixture_close(&with.all);
}
