/* Structs of every size that a caller may know: versions, options and what is filled in. */
#include "fixture.h"

#include <string.h>

#define NOT_ZERO UINT64_C(0xDEADBEEF)
#define INVALID RK_ERROR_INVALID_ARGUMENT

CASE(structs_version_and_names) {
    CHECK_EQ(rk_version(), RK_VERSION);
    static const struct {
        rk_status status;
        const char *name;
    } names[] = {
#define NAME(status) {status, #status}
        NAME(RK_OK), NAME(RK_AGAIN), NAME(RK_TIMEOUT), NAME(RK_ERROR_INVALID_ARGUMENT), NAME(RK_ERROR_STALE_HANDLE),
        NAME(RK_ERROR_FORKED), NAME(RK_ERROR_PANIC), NAME(RK_ERROR_POISONED), NAME(RK_ERROR_NO_MEMORY),
        NAME(RK_ERROR_VERSION), NAME(RK_ERROR_UNSUPPORTED), NAME(RK_ERROR_NO_DEVICE), NAME(RK_ERROR_BAD_STATE),
        NAME(RK_ERROR_KERNEL_FAILED), NAME(RK_ERROR_BAD_IMAGE), NAME(RK_ERROR_LAYOUT), NAME(RK_ERROR_COMPILE),
        NAME(RK_ERROR_NOT_FOUND), NAME(RK_ERROR_SIZE), NAME(RK_ERROR_UNDELIVERED), NAME(RK_ERROR_LIMIT),
        NAME(RK_ERROR_SYSTEM), NAME(RK_ERROR_DRIVER), NAME(RK_ERROR_DRIFT),
        NAME(RK_ERROR_EXISTS), NAME(RK_ERROR_ACTOR_FAILED),
#undef NAME
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(rk_status_name(names[i].status), names[i].name) != 0)
            test_fail(__FILE__, __LINE__, "%s is named %s", names[i].name, rk_status_name(names[i].status));
    static const rk_status unknown[] = {3, 1000, INT32_MAX, -1000, INT32_MIN};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        CHECK(strcmp(rk_status_name(unknown[i]), "RK_UNKNOWN") == 0);
}

typedef rk_status (*init_fn)(void *options, uint32_t size);
static rk_status runtime_init(void *options, uint32_t size) { return rk_runtime_options_init(options, size); }
static rk_status kernel_init(void *options, uint32_t size) { return rk_kernel_options_init(options, size); }
static rk_status send_init(void *options, uint32_t size) { return rk_send_options_init(options, size); }
static rk_status buffer_init(void *options, uint32_t size) { return rk_buffer_options_init(options, size); }
static rk_status topic_init(void *options, uint32_t size) { return rk_topic_options_init(options, size); }
static rk_status publish_init(void *options, uint32_t size) { return rk_publish_options_init(options, size); }
static rk_status subscription_init(void *options, uint32_t size) { return rk_subscription_options_init(options, size); }
static rk_status alert_init(void *options, uint32_t size) { return rk_alert_options_init(options, size); }
static rk_status trace_init(void *options, uint32_t size) { return rk_trace_options_init(options, size); }

/* The _init functions write what they are told to, the size and zeros, and no byte more. */
static void check_init(init_fn init, uint32_t known, const void *macro) {
    unsigned char bytes[512];
    for (uint32_t size = 0; size < 4; size++) {
        memset(bytes, 0xEE, sizeof bytes);
        CHECK_STATUS(init(bytes, size), INVALID);
        for (size_t i = 0; i < sizeof bytes; i++) CHECK_EQ(bytes[i], 0xEE);
    }
    CHECK_STATUS(init(NULL, known), INVALID);
    CHECK_STATUS(init(NULL, 0), INVALID);
    for (uint32_t size = 4; size <= known; size += 4) {
        memset(bytes, 0xEE, sizeof bytes);
        CHECK_OK(init(bytes, size));
        uint32_t written;
        memcpy(&written, bytes, sizeof written);
        CHECK_EQ(written, size);
        for (size_t i = 4; i < size; i++) CHECK_EQ(bytes[i], 0);
        for (size_t i = size; i < sizeof bytes; i++) CHECK_EQ(bytes[i], 0xEE);
    }
    CHECK_OK(init(bytes, known));
    CHECK_EQ(memcmp(bytes, macro, known), 0);
}

CASE(structs_options_init) {
    rk_runtime_options runtime = RK_RUNTIME_OPTIONS_INIT;
    rk_kernel_options kernel = RK_KERNEL_OPTIONS_INIT;
    rk_send_options send = RK_SEND_OPTIONS_INIT;
    check_init(runtime_init, sizeof runtime, &runtime);
    check_init(kernel_init, sizeof kernel, &kernel);
    rk_alert_options alert = RK_ALERT_OPTIONS_INIT;
    check_init(send_init, sizeof send, &send);
    check_init(alert_init, sizeof alert, &alert);
    rk_buffer_options buffer = RK_BUFFER_OPTIONS_INIT;
    check_init(buffer_init, sizeof buffer, &buffer);
    rk_topic_options topic = RK_TOPIC_OPTIONS_INIT;
    check_init(topic_init, sizeof topic, &topic);
    rk_publish_options publish = RK_PUBLISH_OPTIONS_INIT;
    check_init(publish_init, sizeof publish, &publish);
    rk_subscription_options subscription = RK_SUBSCRIPTION_OPTIONS_INIT;
    check_init(subscription_init, sizeof subscription, &subscription);
    rk_trace_options trace = RK_TRACE_OPTIONS_INIT;
    check_init(trace_init, sizeof trace, &trace);
}

/* Calls with an option struct of which only struct_size and a few bytes are what the case wants. */
typedef rk_status (*sized_fn)(const fixture *all, const void *options);

/* Options from a newer header: a tail that this library does not know must be zero. From an older one: short. */
static void check_sized(const fixture *all, sized_fn call, const void *good, uint32_t known) {
    enum { TAIL = 96 };
    struct {
        _Alignas(16) unsigned char bytes[512];
    } options;
    CHECK(known + TAIL <= sizeof options.bytes);
    memset(&options, 0, sizeof options);
    memcpy(options.bytes, good, known);
    const uint32_t newer = known + TAIL;
    memcpy(options.bytes, &newer, sizeof newer);
    CHECK_OK(call(all, &options));
    for (uint32_t i = known; i < newer; i++) {
        options.bytes[i] = 1;
        CHECK_STATUS(call(all, &options), INVALID);
        options.bytes[i] = 0;
    }
    CHECK_OK(call(all, &options));
    /* What lies beyond struct_size is not looked at. */
    memset(options.bytes + known, 0xEE, sizeof options.bytes - known);
    memcpy(options.bytes, &known, sizeof known);
    CHECK_OK(call(all, &options));
    const uint32_t only_size = 4;
    memset(options.bytes, 0xEE, sizeof options.bytes);
    memcpy(options.bytes, &only_size, sizeof only_size);
    CHECK_OK(call(all, &options));
    for (uint32_t size = 0; size < 4; size++) {
        memcpy(options.bytes, &size, sizeof size);
        CHECK_STATUS(call(all, &options), INVALID);
    }
    /* A size no version will have is not taken for a licence to read that much. */
    const uint32_t absurd[] = {UINT32_MAX, UINT32_MAX - 3, 1u << 31, 1u << 20};
    memset(&options, 0, sizeof options);
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
        memcpy(options.bytes, &absurd[i], sizeof absurd[i]);
        CHECK_STATUS(call(all, &options), INVALID);
    }
}

static rk_status sized_runtime(const fixture *all, const void *options) {
    (void)all;
    rk_runtime runtime = {NOT_ZERO};
    rk_status status = rk_runtime_create(RK_VERSION, options, &runtime, NULL);
    if (status == RK_OK) CHECK_OK(rk_runtime_destroy(runtime));
    else CHECK_EQ(runtime.id, 0);
    return status;
}

static rk_status sized_kernel(const fixture *all, const void *options) {
    rk_kernel kernel = {NOT_ZERO};
    rk_status status = rk_kernel_launch(all->runtime, all->module, "responder", 9, options, &kernel, NULL);
    if (status == RK_OK) CHECK_OK(rk_kernel_destroy(kernel));
    else CHECK_EQ(kernel.id, 0);
    return status;
}

static rk_status sized_send(const fixture *all, const void *options) {
    note value = {.value = 1};
    return rk_send(all->actor, RK_TYPE(note), &value, sizeof value, options);
}

static rk_status sized_call(const fixture *all, const void *options) {
    ask question = {.nonce = 1};
    answer reply;
    return rk_call(all->actor, RK_TYPE(ask), &question, sizeof question, options, &reply, sizeof reply, NULL,
                   RK_FOREVER, NULL);
}

static rk_status sized_topic(const fixture *all, const void *options) {
    rk_topic topic = {NOT_ZERO};
    rk_status status = rk_topic_open(all->runtime, "sized", 5, options, &topic, NULL);
    if (status == RK_OK) CHECK_OK(rk_topic_close(topic));
    else CHECK_EQ(topic.id, 0);
    return status;
}

static rk_status sized_publish(const fixture *all, const void *options) {
    return rk_publish(all->topic, RK_TYPE(poke), NULL, 0, options);
}

static rk_status sized_subscription(const fixture *all, const void *options) {
    rk_subscription subscription = {NOT_ZERO};
    rk_status status = rk_subscribe(all->runtime, "sized", 5, options, &subscription, NULL);
    if (status == RK_OK) CHECK_OK(rk_unsubscribe(subscription));
    else CHECK_EQ(subscription.id, 0);
    return status;
}

static rk_status sized_trace(const fixture *all, const void *options) {
    rk_status status = rk_trace_start(all->runtime, options, NULL);
    if (status == RK_OK) CHECK_OK(rk_trace_stop(all->runtime, NULL));
    return status;
}

CASE(structs_struct_size) {
    fixture all = fixture_open();
    rk_runtime_options runtime = RK_RUNTIME_OPTIONS_INIT;
    rk_kernel_options kernel = RK_KERNEL_OPTIONS_INIT;
    rk_send_options send = RK_SEND_OPTIONS_INIT;
    check_sized(&all, sized_runtime, &runtime, sizeof runtime);
    check_sized(&all, sized_kernel, &kernel, sizeof kernel);
    check_sized(&all, sized_send, &send, sizeof send);
    check_sized(&all, sized_call, &send, sizeof send);
    rk_topic_options topic = RK_TOPIC_OPTIONS_INIT;
    check_sized(&all, sized_topic, &topic, sizeof topic);
    rk_publish_options publish = RK_PUBLISH_OPTIONS_INIT;
    check_sized(&all, sized_publish, &publish, sizeof publish);
    rk_subscription_options subscription = RK_SUBSCRIPTION_OPTIONS_INIT;
    check_sized(&all, sized_subscription, &subscription, sizeof subscription);
    rk_trace_options trace = RK_TRACE_OPTIONS_INIT;
    check_sized(&all, sized_trace, &trace, sizeof trace);
    fixture_verify(all.actor);
    fixture_close(&all);
}

/* Fields behind struct_size have their defaults, whatever stands there. */
CASE(structs_short_options_mean_defaults) {
    fixture all = fixture_open();
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = UINT32_MAX;
    options.struct_size = offsetof(rk_kernel_options, actors);
    rk_kernel kernel = fixture_launch(all.runtime, all.module, &options);
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_stats(kernel, &stats, &test_error));
    CHECK_EQ(stats.actors, 1);
    CHECK_OK(rk_kernel_destroy(kernel));
    fixture_close(&all);
}

/* Structs that the library fills: never a byte beyond the caller's struct_size. */
CASE(structs_out_structs) {
    fixture all = fixture_open();
    enum { MORE = 64 };
    union {
        rk_kernel_statistics stats;
        rk_device_properties device;
        unsigned char bytes[sizeof(rk_kernel_statistics) + sizeof(rk_device_properties) + MORE];
    } out, whole;
    for (int which = 0; which < 2; which++) {
        uint32_t known = which == 0 ? sizeof out.stats : sizeof out.device;
        memset(&whole, 0, sizeof whole);
        memcpy(whole.bytes, &known, sizeof known);
        if (which == 0) CHECK_DONE(rk_kernel_stats(all.kernel, &whole.stats, &test_error));
        else CHECK_DONE(rk_device_info(all.runtime, 0, &whole.device, &test_error));
        for (uint32_t size = 0; size <= known + MORE; size += size < 4 ? 1 : 4) {
            memset(&out, 0xEE, sizeof out);
            memcpy(out.bytes, &size, sizeof size);
            rk_status expected = size < 4 ? INVALID : RK_OK;
            if (which == 0) CHECK_ERROR(rk_kernel_stats(all.kernel, &out.stats, &test_error), expected);
            else CHECK_ERROR(rk_device_info(all.runtime, 0, &out.device, &test_error), expected);
            for (size_t i = size < 4 ? 4 : size; i < sizeof out.bytes; i++) CHECK_EQ(out.bytes[i], 0xEE);
            if (size < 4) continue;
            uint32_t filled = size < known ? size : known;
            CHECK_EQ(memcmp(out.bytes + 4, whole.bytes + 4, filled - 4), 0);
        }
    }
    CHECK_ERROR(rk_kernel_stats(all.kernel, NULL, &test_error), INVALID);
    CHECK_ERROR(rk_device_info(all.runtime, 0, NULL, &test_error), INVALID);
    fixture_close(&all);
}
