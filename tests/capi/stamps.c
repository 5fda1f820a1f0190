/* Stamps of the hybrid logical clock: their parts, their texts, and those that come from outside. */
#include "fixture.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)

CASE(stamps_parts) {
    CHECK_EQ(rk_hlc_unix_ns(0), 0);
    CHECK_EQ(rk_hlc_logical(0), 0);
    CHECK_EQ(rk_hlc_logical(UINT64_MAX), 255);
    CHECK_EQ(rk_hlc_unix_ns(UINT64_C(1) << 32), SECOND);
    CHECK_EQ(rk_hlc_from_unix_ns(SECOND), UINT64_C(1) << 32);
    CHECK_EQ(rk_hlc_from_unix_ns(UINT64_MAX), UINT64_MAX);
    CHECK(rk_hlc_compare(1, 2) == -1);
    CHECK(rk_hlc_compare(2, 1) == 1);
    CHECK(rk_hlc_compare(UINT64_MAX, UINT64_MAX) == 0);
    CHECK(rk_hlc_compare(UINT64_MAX, 0) == 1);
    uint64_t random = test_seed();
    for (int i = 0; i < 100000; i++) {
        uint64_t stamp = test_random(&random), unit = stamp & ~UINT64_C(255);
        CHECK_EQ(rk_hlc_from_unix_ns(rk_hlc_unix_ns(stamp)), unit);
        CHECK_EQ(unit + rk_hlc_logical(stamp), stamp);
    }
}

CASE(stamps_as_text) {
    char text[RK_HLC_TEXT_SIZE + 1];
    size_t length = 0;
    const uint64_t stamp = UINT64_C(1000000000) << 32 | UINT64_C(1) << 31 | 7;
    static const char expected[] = "2001-09-09T01:46:40.500000000Z/7";
    CHECK_OK(rk_hlc_format(stamp, text, sizeof text, &length));
    CHECK(strcmp(text, expected) == 0);
    CHECK_EQ(length, strlen(expected));
    /* The longest fits the size that the header gives; and one byte less than needed is not enough. */
    CHECK_OK(rk_hlc_format(UINT64_MAX, text, RK_HLC_TEXT_SIZE, NULL));
    for (size_t capacity = 0; capacity <= sizeof expected; capacity++) {
        memset(text, 0x5A, sizeof text);
        length = 0;
        const rk_status status = rk_hlc_format(stamp, text, capacity, &length);
        CHECK_STATUS(status, capacity < sizeof expected ? RK_ERROR_SIZE : RK_OK);
        CHECK_EQ(length, strlen(expected));
        if (capacity > 0 && status != RK_OK) CHECK_EQ(text[0], 0);
        for (size_t i = capacity; i < sizeof text; i++) CHECK_EQ(text[i], 0x5A);
    }
    CHECK_STATUS(rk_hlc_format(stamp, NULL, 1, &length), RK_ERROR_INVALID_ARGUMENT);
    CHECK_STATUS(rk_hlc_format(stamp, NULL, 0, &length), RK_ERROR_SIZE);
    CHECK_EQ(length, strlen(expected));
}

CASE(stamps_drift_bound) {
    static const struct {
        uint32_t clock_drift_ms;
        uint64_t refused, taken; /* nanoseconds ahead; 0 for none */
    } bounds[] = {
        {0, 10 * SECOND, SECOND / 2},
        {1, SECOND, SECOND / 10000},
        {3600000, 3700 * SECOND, 3500 * SECOND},
        {RK_NONE, 0, 1000000 * SECOND},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
        options.backend = RK_BACKEND_CPU;
        options.clock_drift_ms = bounds[i].clock_drift_ms;
        rk_runtime runtime;
        CHECK_DONE(rk_runtime_create(RK_VERSION, &options, &runtime, &test_error));
        uint64_t now = 0, next = 0;
        CHECK_OK(rk_hlc_now(runtime, &now));
        const uint64_t time = rk_hlc_unix_ns(now);
        if (bounds[i].refused != 0) {
            next = 77;
            CHECK_ERROR(rk_hlc_merge(runtime, rk_hlc_from_unix_ns(time + bounds[i].refused), &next, &test_error),
                        RK_ERROR_DRIFT);
            CHECK_EQ(next, 77);
        }
        const uint64_t taken = rk_hlc_from_unix_ns(time + bounds[i].taken);
        CHECK_DONE(rk_hlc_merge(runtime, taken, &next, &test_error));
        CHECK(next > taken);
        CHECK_OK(rk_hlc_now(runtime, &now));
        CHECK(now > next);
        /* The clock's end is nobody's, whatever the bound: nothing would come after. */
        CHECK_ERROR(rk_hlc_merge(runtime, UINT64_MAX, NULL, &test_error), RK_ERROR_DRIFT);
        CHECK_ERROR(rk_hlc_merge(runtime, UINT64_MAX - (UINT64_C(1) << 60) + 1, NULL, &test_error), RK_ERROR_DRIFT);
        CHECK_DONE(rk_hlc_merge(runtime, 0, NULL, &test_error)); /* of long ago: changes nothing */
        CHECK_OK(rk_hlc_now(runtime, &next));
        CHECK(next > now);
        CHECK_OK(rk_runtime_destroy(runtime));
    }
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    rk_runtime runtime;
    options.clock_drift_ms = 3600001;
    CHECK_ERROR(rk_runtime_create(RK_VERSION, &options, &runtime, &test_error), RK_ERROR_INVALID_ARGUMENT);
}

/* Two runtimes that tell each other their time are one causality, whoever else ticks. */
typedef struct pair {
    rk_runtime runtimes[2];
} pair;

static void exchange(unsigned index, void *shared) {
    const pair *with = shared;
    uint64_t last = 0, now = 0;
    for (uint32_t i = 0; i < test_load(100000); i++) {
        CHECK_OK(rk_hlc_merge(with->runtimes[(index + i) % 2], last, &now, NULL));
        CHECK(now > last);
        last = now;
    }
}

CASE(stamps_between_runtimes) {
    const pair both = {{fixture_runtime(), fixture_runtime()}};
    test_threads(4, exchange, (void *)&both);
    CHECK_OK(rk_runtime_destroy(both.runtimes[0]));
    CHECK_OK(rk_runtime_destroy(both.runtimes[1]));
}
