/* Arguments that are NULL, out of range or not text, for every public function. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#define NOT_ZERO UINT64_C(0xDEADBEEF)
#define INVALID RK_ERROR_INVALID_ARGUMENT

/* A call that must fail, and may choose between several statuses. */
#define CHECK_REFUSED(call)                                                                                            \
    do {                                                                                                               \
        rk_error test_error;                                                                                           \
        test_error_prepare(&test_error);                                                                               \
        rk_status refused_ = (call);                                                                                   \
        if (refused_ >= 0) test_fail(__FILE__, __LINE__, "%s gives %s", #call, rk_status_name(refused_));              \
        test_error_check(__FILE__, __LINE__, &test_error, refused_);                                                   \
    } while (0)

/* Text that is not UTF-8: stray and missing continuations, overlong forms, surrogates, beyond the last. */
static const struct {
    const char *text;
    size_t length;
} not_utf8[] = {
    {"\xff", 1},         {"\x80", 1},     {"abc\xc3", 4},       {"\xc0\xaf", 2},
    {"\xe2\x82", 2},     {"\xe0\x80\xaf", 3}, {"\xed\xa0\x80", 3}, {"\xf4\x90\x80\x80", 4},
    {"\xf0\x28\x8c\x28", 4},
};
enum { NOT_UTF8 = sizeof not_utf8 / sizeof not_utf8[0] };

CASE(arguments_runtime_create) {
    CHECK_ERROR(rk_runtime_create(RK_VERSION, NULL, NULL, &test_error), INVALID);
    CHECK_STATUS(rk_runtime_create(RK_VERSION, NULL, NULL, NULL), INVALID);
    const uint32_t versions[] = {0, 1, UINT32_MAX, RK_VERSION + (1u << 22), RK_VERSION + (1u << 12)};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        rk_runtime runtime = {NOT_ZERO};
        CHECK_ERROR(rk_runtime_create(versions[i], NULL, &runtime, &test_error), RK_ERROR_VERSION);
        CHECK_EQ(runtime.id, 0);
    }
    const uint32_t cpus[] = {0};
#define REFUSES(field, value)                                                                                          \
    do {                                                                                                               \
        rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;                                                          \
        options.field = (value);                                                                                       \
        rk_runtime runtime = {NOT_ZERO};                                                                               \
        CHECK_ERROR(rk_runtime_create(RK_VERSION, &options, &runtime, &test_error), INVALID);                          \
        CHECK_EQ(runtime.id, 0);                                                                                       \
    } while (0)
    REFUSES(backend, RK_BACKEND_VULKAN + 1);
    REFUSES(backend, UINT32_MAX);
    REFUSES(cpu_threads, 1025);
    REFUSES(cpu_threads, UINT32_MAX);
    REFUSES(quantum_us, 99);
    REFUSES(quantum_us, 1000001);
    REFUSES(quantum_us, UINT32_MAX);
    REFUSES(log_level, RK_LOG_DEBUG + 1);
    REFUSES(log_level, UINT32_MAX);
    REFUSES(cpu_count, 1); /* of a NULL list */
    REFUSES(reserved, 1);
#undef REFUSES
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    const uint32_t no_such_cpu[] = {UINT32_MAX, 100000};
    for (uint32_t i = 0; i < 2; i++) {
        options.cpus = &no_such_cpu[i];
        options.cpu_count = 1;
        rk_runtime runtime = {NOT_ZERO};
        CHECK_REFUSED(rk_runtime_create(RK_VERSION, &options, &runtime, &test_error));
        CHECK_EQ(runtime.id, 0);
    }
    /* And the ends of the ranges. */
    options = (rk_runtime_options)RK_RUNTIME_OPTIONS_INIT;
    options.cpus = cpus;
    options.cpu_count = 1;
    options.cpu_threads = 3;
    options.spin_us = RK_NONE;
    options.quantum_us = 100;
    options.log_level = RK_LOG_DEBUG;
    rk_runtime runtime = {0};
    CHECK_DONE(rk_runtime_create(RK_VERSION, &options, &runtime, &test_error));
    CHECK_OK(rk_runtime_destroy(runtime));
}

CASE(arguments_runtime) {
    fixture all = fixture_open();
    const int64_t bad_timeouts[] = {-2, INT64_MIN};
    for (size_t i = 0; i < 2; i++) CHECK_ERROR(rk_runtime_park(all.runtime, bad_timeouts[i], &test_error), INVALID);
    CHECK_ERROR(rk_runtime_unpark(all.runtime, &test_error), RK_ERROR_BAD_STATE);
    CHECK_DONE(rk_runtime_park(all.runtime, INT64_MAX, &test_error));
    CHECK_DONE(rk_runtime_unpark(all.runtime, &test_error));
    CHECK_ERROR(rk_runtime_fd(all.runtime, NULL, &test_error), INVALID);
    CHECK_STATUS(rk_hlc_now(all.runtime, NULL), INVALID);
    CHECK_STATUS(rk_device_count(all.runtime, NULL), INVALID);
    uint32_t count = 0;
    CHECK_OK(rk_device_count(all.runtime, &count));
    CHECK(count >= 1);
    rk_selftest_report report = RK_SELFTEST_REPORT_INIT;
    CHECK_ERROR(rk_selftest(all.runtime, count, &report, &test_error), RK_ERROR_NOT_FOUND);
    CHECK_ERROR(rk_selftest(all.runtime, UINT32_MAX, &report, &test_error), RK_ERROR_NOT_FOUND);
    CHECK_ERROR(rk_selftest(all.runtime, 0, NULL, &test_error), INVALID);
    report.struct_size = 3;
    CHECK_ERROR(rk_selftest(all.runtime, 0, &report, &test_error), INVALID);
    rk_device_properties info = RK_DEVICE_PROPERTIES_INIT;
    CHECK_ERROR(rk_device_info(all.runtime, count, &info, &test_error), RK_ERROR_NOT_FOUND);
    CHECK_ERROR(rk_device_info(all.runtime, UINT32_MAX, &info, &test_error), RK_ERROR_NOT_FOUND);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_DONE(rk_device_info(all.runtime, i, &info, &test_error));
        CHECK(info.backend == (i == 0 ? RK_BACKEND_CPU : info.backend));
        CHECK(info.backend >= RK_BACKEND_CPU && info.backend <= RK_BACKEND_VULKAN);
        CHECK(memchr(info.name, 0, sizeof info.name) != NULL && info.name[0] != 0);
        CHECK(memchr(info.reason, 0, sizeof info.reason) != NULL);
        CHECK_EQ(info.usable == 0, info.reason[0] != 0);
        CHECK(info.usable == 0 || (info.workers >= 1 && info.lanes >= 1));
    }
    fixture_close(&all);
}

CASE(arguments_queue) {
    fixture all = fixture_open();
    CHECK_ERROR(rk_queue_create(all.runtime, NULL, &test_error), INVALID);
    CHECK_ERROR(rk_queue_fd(all.queue, NULL, &test_error), INVALID);
    rk_message message;
    uint32_t count;
    unsigned char payload[64];
    struct {
        rk_message *messages;
        uint32_t capacity;
        void *payloads;
        size_t bytes;
        int64_t timeout;
        uint32_t *count;
    } const bad[] = {
        {NULL, 1, payload, sizeof payload, 0, &count},     {&message, 0, payload, sizeof payload, 0, &count},
        {&message, 1, NULL, sizeof payload, 0, &count},    {&message, 1, payload, sizeof payload, 0, NULL},
        {&message, 1, payload, sizeof payload, -2, &count}, {&message, 1, payload, sizeof payload, INT64_MIN, &count},
        {NULL, 0, NULL, 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_STATUS(rk_poll(all.runtime, bad[i].messages, bad[i].capacity, bad[i].payloads, bad[i].bytes,
                             bad[i].timeout, bad[i].count),
                     INVALID);
        CHECK_STATUS(rk_queue_poll(all.queue, bad[i].messages, bad[i].capacity, bad[i].payloads, bad[i].bytes,
                                   bad[i].timeout, bad[i].count),
                     INVALID);
    }
    count = 77;
    CHECK_STATUS(rk_queue_poll(all.queue, &message, 1, payload, sizeof payload, 0, &count), RK_AGAIN);
    CHECK_EQ(count, 0);
    count = 77;
    CHECK_STATUS(rk_queue_poll(all.queue, &message, 1, NULL, 0, 1000, &count), RK_TIMEOUT);
    CHECK_EQ(count, 0);
    /* Room that is too small for the next message, or unaligned, or more than there is memory. */
    CHECK_OK(rk_send(all.actor, RK_TYPE(poke), NULL, 0, NULL));
    CHECK_STATUS(rk_poll(all.runtime, &message, 1, NULL, 0, RK_FOREVER, &count), RK_ERROR_SIZE);
    CHECK_EQ(message.size, sizeof(answer));
    CHECK_STATUS(rk_poll(all.runtime, &message, 1, payload, sizeof(answer) - 1, RK_FOREVER, &count), RK_ERROR_SIZE);
    CHECK_EQ(message.size, sizeof(answer));
    CHECK_OK(rk_poll(all.runtime, &message, 1, payload + 1, SIZE_MAX / 2, RK_FOREVER, &count));
    CHECK_EQ(count, 1);
    CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
    answer emitted;
    memcpy(&emitted, message.payload, sizeof emitted);
    CHECK_EQ(emitted.seen, 1);
    fixture_close(&all);
}

CASE(arguments_kernel_launch) {
    fixture all = fixture_open();
    rk_kernel kernel = {NOT_ZERO};
    CHECK_ERROR(rk_kernel_launch(all.runtime, all.module, "responder", 9, NULL, NULL, &test_error), INVALID);
#define NAMED(name, length, expected)                                                                                  \
    do {                                                                                                               \
        kernel.id = NOT_ZERO;                                                                                          \
        CHECK_ERROR(rk_kernel_launch(all.runtime, all.module, name, length, NULL, &kernel, &test_error), expected);    \
        CHECK_EQ(kernel.id, 0);                                                                                        \
    } while (0)
    NAMED("responde", 8, RK_ERROR_NOT_FOUND);
    NAMED("responder2", 10, RK_ERROR_NOT_FOUND);
    NAMED("responder\0", 10, RK_ERROR_NOT_FOUND);
    NAMED("", 0, RK_ERROR_NOT_FOUND);
    NAMED(NULL, 9, INVALID);
    NAMED("responder", SIZE_MAX, INVALID);
#undef NAMED
    CHECK_REFUSED(rk_kernel_launch(all.runtime, all.module, NULL, 0, NULL, &kernel, &test_error)); /* which of two? */
    for (size_t i = 0; i < NOT_UTF8; i++)
        CHECK_ERROR(rk_kernel_launch(all.runtime, all.module, not_utf8[i].text, not_utf8[i].length, NULL, &kernel,
                                     &test_error),
                    INVALID);
    static const struct responder state = {.seen = 5};
#define REFUSES(...)                                                                                                   \
    do {                                                                                                               \
        const rk_kernel_options options = {.struct_size = sizeof options, __VA_ARGS__};                                \
        kernel.id = NOT_ZERO;                                                                                          \
        CHECK_ERROR(rk_kernel_launch(all.runtime, all.module, "responder", 9, &options, &kernel, &test_error),         \
                    INVALID);                                                                                          \
        CHECK_EQ(kernel.id, 0);                                                                                        \
    } while (0)
    REFUSES(.backend = RK_BACKEND_VULKAN + 1);
    REFUSES(.backend = UINT32_MAX);
    REFUSES(.actors = 1048577);
    REFUSES(.actors = UINT32_MAX);
    REFUSES(.lanes = 1025);
    REFUSES(.lanes = UINT32_MAX);
    REFUSES(.quantum_us = 99);
    REFUSES(.quantum_us = 1000001);
    REFUSES(.on_failure = 8);
    REFUSES(.on_failure = RK_ON_FAILURE_FROM_SNAPSHOT);
    REFUSES(.on_failure = RK_ON_FAILURE_FROM_SNAPSHOT | RK_ON_FAILURE_ESCALATE);
    REFUSES(.max_restarts = 1000001);
    REFUSES(.restart_window_ms = 86400001);
    REFUSES(.watchdog_ms = 86400001);
    REFUSES(.reserved = 1);
    REFUSES(.dormant = 2);
    REFUSES(.actors = 5, .dormant = 6);
    REFUSES(.initial_state = &state, .initial_state_size = sizeof state - 1);
    REFUSES(.initial_state = &state, .initial_state_size = sizeof state + 1);
    REFUSES(.initial_state = &state, .initial_state_size = 0);
    REFUSES(.initial_state = &state, .initial_state_size = UINT32_MAX);
    REFUSES(.initial_state_size = sizeof state);
    REFUSES(.queue_count = 1);
    REFUSES(.queue_count = UINT32_MAX);
    REFUSES(.name_length = 1);
    REFUSES(.name = "0123456789012345678901234567890123456789012345678901234567890123", .name_length = 64);
    REFUSES(.name = "name", .name_length = UINT32_MAX);
    const uint32_t capacities[] = {1, 2, 3, 5, 6, 1000, 1048577, 2097152, UINT32_MAX, 1u << 31};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        REFUSES(.inbound_capacity = capacities[i]);
        REFUSES(.actor_capacity = capacities[i]);
        REFUSES(.outbound_capacity = capacities[i]);
    }
    for (size_t i = 0; i < NOT_UTF8; i++)
        REFUSES(.name = not_utf8[i].text, .name_length = (uint32_t)not_utf8[i].length);
#undef REFUSES
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.device = 1000;
    CHECK_REFUSED(rk_kernel_launch(all.runtime, all.module, "responder", 9, &options, &kernel, &test_error));
    options = (rk_kernel_options)RK_KERNEL_OPTIONS_INIT;
    const rk_queue stale[] = {all.queue, {NOT_ZERO}};
    options.queues = stale;
    options.queue_count = 2;
    CHECK_ERROR(rk_kernel_launch(all.runtime, all.module, "responder", 9, &options, &kernel, &test_error),
                RK_ERROR_STALE_HANDLE);
    /* A launch that failed holds nothing. */
    CHECK_OK(rk_kernel_destroy(all.kernel));
    CHECK_OK(rk_queue_destroy(all.queue));
    CHECK_OK(rk_module_destroy(all.module));
    CHECK_OK(rk_runtime_destroy(all.runtime));
}

/* More than is sensible, but in range or cut to it: the kernel works, or the launch says why not. */
CASE(arguments_kernel_launch_extremes) {
    fixture all = fixture_open();
    static const struct responder state = {.seen = 41};
    const rk_queue own[] = {{0}, all.queue};
    const rk_kernel_options extremes[] = {
        {.struct_size = sizeof(rk_kernel_options), .actors = 3, .workers = UINT32_MAX},
        {.struct_size = sizeof(rk_kernel_options), .lanes = 1024},
        {.struct_size = sizeof(rk_kernel_options), .outbox_bytes = UINT32_MAX},
        {.struct_size = sizeof(rk_kernel_options), .outbox_bytes = 1},
        {.struct_size = sizeof(rk_kernel_options), .inbound_capacity = 4, .actor_capacity = 4, .outbound_capacity = 4},
        {.struct_size = sizeof(rk_kernel_options), .quantum_us = 100, .actors = 1, .workers = 1},
        {.struct_size = sizeof(rk_kernel_options), .initial_state = &state, .initial_state_size = sizeof state},
        {.struct_size = sizeof(rk_kernel_options), .queues = own, .queue_count = 2, .actors = 4, .workers = 2},
        {.struct_size = sizeof(rk_kernel_options), .name = "caf\xc3\xa9", .name_length = 5},
        {.struct_size = sizeof(rk_kernel_options), .name = "", .name_length = 0},
    };
    for (size_t i = 0; i < sizeof extremes / sizeof extremes[0]; i++) {
        rk_kernel kernel = {NOT_ZERO};
        rk_error error;
        test_error_prepare(&error);
        rk_status status =
            rk_kernel_launch(all.runtime, all.module, "responder", 9, &extremes[i], &kernel, &error);
        test_error_check(__FILE__, __LINE__, &error, status);
        if (status != RK_OK) {
            CHECK_EQ(kernel.id, 0);
            continue;
        }
        rk_actor actor;
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
        if (extremes[i].outbox_bytes != 1) fixture_verify(actor); /* else there is no room for an answer */
        rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
        CHECK_DONE(rk_kernel_stats(kernel, &stats, &test_error));
        CHECK_AT_MOST(stats.workers, stats.actors);
        CHECK_EQ(stats.lanes, 1);
        CHECK_OK(rk_kernel_destroy(kernel));
    }
    fixture_close(&all);
}

CASE(arguments_kernel) {
    fixture all = fixture_open();
    CHECK_STATUS(rk_kernel_state(all.kernel, NULL), INVALID);
    CHECK_STATUS(rk_kernel_actor(all.kernel, 0, NULL), INVALID);
    CHECK_ERROR(rk_kernel_drain(all.kernel, -2, &test_error), INVALID);
    CHECK_ERROR(rk_kernel_drain(all.kernel, INT64_MIN, &test_error), INVALID);
    uint32_t state = 0;
    CHECK_OK(rk_kernel_state(all.kernel, &state));
    CHECK_EQ(state, RK_KERNEL_ACTIVE);
    CHECK_DONE(rk_kernel_terminate(all.kernel, NULL, &test_error));
    fixture_close(&all);
}

CASE(arguments_send) {
    fixture all = fixture_open();
    note value = {.value = 1};
    CHECK_STATUS(rk_send(all.actor, RK_TYPE(note), NULL, sizeof value, NULL), INVALID);
    CHECK(rk_send(all.actor, RK_TYPE(note), NULL, UINT32_MAX, NULL) < 0); /* two things are wrong */
    CHECK_STATUS(rk_send(all.actor, RK_TYPE(note), &value, sizeof value + 1, NULL), RK_ERROR_SIZE);
    CHECK_STATUS(rk_send(all.actor, RK_TYPE(note), &value, UINT32_MAX, NULL), RK_ERROR_SIZE);
    CHECK_STATUS(rk_send(all.actor, RK_TYPE(poke), &value, 1, NULL), RK_ERROR_SIZE);
    const uint32_t unknown[] = {0, RK_TYPE(answer), 100, RK_TYPE_MAX, RK_TYPE_MAX + 1, 65535, 65536, UINT32_MAX,
                                65536 + RK_TYPE(note)};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        CHECK_STATUS(rk_send(all.actor, unknown[i], &value, 0, NULL), RK_ERROR_NOT_FOUND);
    rk_send_options options = RK_SEND_OPTIONS_INIT;
    options.priority = 256;
    CHECK_STATUS(rk_send(all.actor, RK_TYPE(note), &value, sizeof value, &options), INVALID);
    options.priority = UINT32_MAX;
    CHECK_STATUS(rk_send(all.actor, RK_TYPE(note), &value, sizeof value, &options), INVALID);
    options.priority = 255;
    options.timeout_ns = -2;
    CHECK_STATUS(rk_send(all.actor, RK_TYPE(note), &value, sizeof value, &options), INVALID);
    options.timeout_ns = INT64_MAX;
    options.deadline_ns = UINT64_MAX; /* so far away that it is none */
    options.correlation = UINT64_MAX;
    CHECK_OK(rk_send(all.actor, RK_TYPE(note), &value, sizeof value, &options));
    fixture_verify(all.actor);
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_deactivate(all.kernel, &test_error));
    CHECK_DONE(rk_kernel_stats(all.kernel, &stats, &test_error));
    CHECK_EQ(stats.accepted, 2);
    CHECK_EQ(stats.handled, 2);
    fixture_close(&all);
}

CASE(arguments_send_many) {
    fixture all = fixture_open();
    uint32_t sent = 77;
    CHECK_STATUS(rk_send_many(NULL, 1, 0, &sent), INVALID);
    CHECK_EQ(sent, 0);
    CHECK_STATUS(rk_send_many(NULL, UINT32_MAX, 0, NULL), INVALID);
    note value = {.value = 1};
    rk_outbound messages[3];
    memset(messages, 0, sizeof messages);
    for (size_t i = 0; i < 3; i++) {
        messages[i].to = all.actor;
        messages[i].type = RK_TYPE(note);
        messages[i].payload = &value;
        messages[i].size = sizeof value;
    }
    sent = 77;
    CHECK_OK(rk_send_many(messages, 0, 0, &sent));
    CHECK_EQ(sent, 0);
    CHECK_STATUS(rk_send_many(messages, 3, -2, &sent), INVALID);
    CHECK_OK(rk_send_many(messages, 3, 0, NULL));
    /* Each way for the second to be wrong: the first is sent, nothing else. */
    rk_outbound good = messages[1];
#define STOPS_AT_SECOND(change, expected)                                                                              \
    do {                                                                                                               \
        messages[1] = good;                                                                                            \
        change;                                                                                                        \
        sent = 77;                                                                                                     \
        CHECK_STATUS(rk_send_many(messages, 3, RK_FOREVER, &sent), expected);                                          \
        CHECK_EQ(sent, 1);                                                                                             \
    } while (0)
    STOPS_AT_SECOND(messages[1].to.id = 0, RK_ERROR_STALE_HANDLE);
    STOPS_AT_SECOND(messages[1].to.id = NOT_ZERO, RK_ERROR_STALE_HANDLE);
    STOPS_AT_SECOND(messages[1].payload = NULL, INVALID);
    STOPS_AT_SECOND(messages[1].type = 0, RK_ERROR_NOT_FOUND);
    STOPS_AT_SECOND(messages[1].size = sizeof value + 1, RK_ERROR_SIZE);
    STOPS_AT_SECOND(messages[1].size = UINT32_MAX, RK_ERROR_SIZE);
    STOPS_AT_SECOND(messages[1].priority = 256, INVALID);
#undef STOPS_AT_SECOND
    fixture_verify(all.actor);
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_deactivate(all.kernel, &test_error));
    CHECK_DONE(rk_kernel_stats(all.kernel, &stats, &test_error));
    CHECK_EQ(stats.accepted, 3 + 7 + 1);
    fixture_close(&all);
}

CASE(arguments_call) {
    fixture all = fixture_open();
    ask question = {.nonce = 3};
    answer reply = {0};
    rk_message message;
    CHECK_ERROR(rk_call(all.actor, RK_TYPE(ask), NULL, 8, NULL, &reply, sizeof reply, NULL, 0, &test_error), INVALID);
    CHECK_ERROR(rk_call(all.actor, RK_TYPE(ask), &question, 8, NULL, NULL, 16, NULL, 0, &test_error), INVALID);
    CHECK_ERROR(rk_call(all.actor, RK_TYPE(ask), &question, 8, NULL, &reply, 16, NULL, -2, &test_error), INVALID);
    CHECK_ERROR(rk_call(all.actor, 0, &question, 8, NULL, &reply, 16, NULL, 0, &test_error), RK_ERROR_NOT_FOUND);
    CHECK_ERROR(rk_call(all.actor, RK_TYPE(ask), &question, 9, NULL, &reply, 16, NULL, 0, &test_error), RK_ERROR_SIZE);
    /* A reply that is larger than its buffer is lost, but says how large it was. */
    CHECK_ERROR(rk_call(all.actor, RK_TYPE(ask), &question, sizeof question, NULL, &reply, sizeof reply - 1, &message,
                        RK_FOREVER, &test_error),
                RK_ERROR_SIZE);
    CHECK_EQ(message.size, sizeof reply);
    CHECK_ERROR(rk_call(all.actor, RK_TYPE(ask), &question, sizeof question, NULL, NULL, 0, &message, RK_FOREVER,
                        &test_error),
                RK_ERROR_SIZE);
    CHECK_EQ(message.size, sizeof reply);
    CHECK_DONE(rk_call(all.actor, RK_TYPE(ask), &question, sizeof question, NULL, &reply, UINT32_MAX, &message,
                       RK_FOREVER, &test_error));
    CHECK_EQ(reply.nonce, 3);
    CHECK_EQ(reply.seen, 3);
    CHECK(message.payload == &reply);
    CHECK_EQ(message.size, sizeof reply);
    /* A short payload is accepted; what is missing is unspecified. */
    CHECK_DONE(rk_call(all.actor, RK_TYPE(ask), NULL, 0, NULL, &reply, sizeof reply, NULL, RK_FOREVER, &test_error));
    CHECK_EQ(reply.seen, 4);
    fixture_close(&all);
}

CASE(arguments_topics) {
    fixture all = fixture_open();
    rk_topic topic = {NOT_ZERO};
    rk_subscription subscription = {NOT_ZERO};
    static const struct {
        const char *text;
        size_t length;
    } bad[] = {{NULL, 0}, {NULL, 3}, {"", 0}, {"/", 1}, {"a/", 2}, {"/a", 2}, {"a//b", 4}, {"a\0b", 3}, {"x", SIZE_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_ERROR(rk_topic_open(all.runtime, bad[i].text, bad[i].length, NULL, &topic, &test_error), INVALID);
        CHECK_EQ(topic.id, 0);
        CHECK_ERROR(rk_subscribe(all.runtime, bad[i].text, bad[i].length, NULL, &subscription, &test_error), INVALID);
        CHECK_EQ(subscription.id, 0);
    }
    for (size_t i = 0; i < NOT_UTF8; i++) {
        const char *text = not_utf8[i].text;
        CHECK_ERROR(rk_topic_open(all.runtime, text, not_utf8[i].length, NULL, &topic, &test_error), INVALID);
        CHECK_ERROR(rk_subscribe(all.runtime, text, not_utf8[i].length, NULL, &subscription, &test_error), INVALID);
    }
    static const char *const wild[] = {"*", "#", "a/*", "a/#"}, *const filters[] = {"a*", "*a", "#/a", "a/#/b", "**"};
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++)
        CHECK_ERROR(rk_topic_open(all.runtime, wild[i], strlen(wild[i]), NULL, &topic, &test_error), INVALID);
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        const size_t length = strlen(filters[i]);
        CHECK_ERROR(rk_topic_open(all.runtime, filters[i], length, NULL, &topic, &test_error), INVALID);
        CHECK_ERROR(rk_subscribe(all.runtime, filters[i], length, NULL, &subscription, &test_error), INVALID);
    }
    CHECK_ERROR(rk_topic_open(all.runtime, "a", 1, NULL, NULL, &test_error), INVALID);
    CHECK_ERROR(rk_subscribe(all.runtime, "a", 1, NULL, NULL, &test_error), INVALID);
    rk_topic_options options = RK_TOPIC_OPTIONS_INIT;
    options.flags = 2;
    CHECK_ERROR(rk_topic_open(all.runtime, "a", 1, &options, &topic, &test_error), INVALID);
#define REFUSES(expected, ...)                                                                                         \
    do {                                                                                                               \
        rk_subscription_options options = {.struct_size = sizeof options, __VA_ARGS__};                               \
        subscription.id = NOT_ZERO;                                                                                    \
        CHECK_ERROR(rk_subscribe(all.runtime, "a", 1, &options, &subscription, &test_error), expected);                \
        CHECK_EQ(subscription.id, 0);                                                                                  \
    } while (0)
    REFUSES(INVALID, .qos = RK_QOS_EXACTLY_ONCE + 1);
    REFUSES(INVALID, .qos = UINT32_MAX);
    REFUSES(INVALID, .overflow = RK_OVERFLOW_BLOCK + 1);
    REFUSES(INVALID, .overflow = RK_OVERFLOW_BLOCK);
    REFUSES(INVALID, .overflow = RK_OVERFLOW_DROP_OLDEST, .actor = all.actor);
    REFUSES(INVALID, .capacity = (1u << 20) + 1);
    REFUSES(INVALID, .actor = all.actor, .queue = all.queue);
    REFUSES(RK_ERROR_STALE_HANDLE, .actor = {all.actor.id + FIXTURE_ACTORS});
    REFUSES(RK_ERROR_STALE_HANDLE, .actor = {1});
    REFUSES(RK_ERROR_STALE_HANDLE, .actor = {all.topic.id});
    REFUSES(RK_ERROR_STALE_HANDLE, .queue = {1});
    fixture other = fixture_open();
    REFUSES(RK_ERROR_STALE_HANDLE, .actor = other.actor);
    REFUSES(RK_ERROR_STALE_HANDLE, .queue = other.queue);
    fixture_close(&other);
    REFUSES(RK_ERROR_STALE_HANDLE, .actor = other.actor);
    REFUSES(RK_ERROR_STALE_HANDLE, .queue = other.queue);
#undef REFUSES
    note value = {.value = 1};
    CHECK_STATUS(rk_publish(all.topic, RK_TYPE(note), NULL, 8, NULL), INVALID);
    CHECK_STATUS(rk_publish(all.topic, RK_TYPE(note), &value, 65537, NULL), RK_ERROR_SIZE);
    CHECK_STATUS(rk_publish(all.topic, 0, &value, sizeof value, NULL), INVALID);
    CHECK_STATUS(rk_publish(all.topic, 65280, &value, sizeof value, NULL), INVALID);
    CHECK_STATUS(rk_publish(all.topic, UINT32_MAX, &value, sizeof value, NULL), INVALID);
#define REFUSES(field_, value_)                                                                                        \
    do {                                                                                                               \
        rk_publish_options options = RK_PUBLISH_OPTIONS_INIT;                                                          \
        options.field_ = (value_);                                                                                     \
        CHECK_STATUS(rk_publish(all.topic, RK_TYPE(note), &value, sizeof value, &options), INVALID);                   \
    } while (0)
    REFUSES(priority, 256);
    REFUSES(timeout_ns, -2);
    REFUSES(flags, 2);
    REFUSES(reserved, 1);
#undef REFUSES
    CHECK_ERROR(rk_topic_stats(all.topic, NULL, &test_error), INVALID);
    CHECK_ERROR(rk_subscription_stats(all.subscription, NULL, &test_error), INVALID);
    rk_topic_statistics stats = RK_TOPIC_STATISTICS_INIT;
    CHECK_DONE(rk_topic_stats(all.topic, &stats, &test_error));
    CHECK_EQ(stats.published, 0);
    char name[8] = "x";
    size_t length = 0;
    CHECK_ERROR(rk_topic_name(all.topic, NULL, 8, &length, &test_error), INVALID);
    CHECK_ERROR(rk_topic_name(all.topic, name, 7, &length, &test_error), RK_ERROR_SIZE);
    CHECK(length == 7 && name[0] == 0);
    CHECK_DONE(rk_topic_name(all.topic, name, 8, NULL, &test_error));
    CHECK(strcmp(name, "fixture") == 0);
    fixture_close(&all);
}

CASE(arguments_module) {
    fixture all = fixture_open();
    rk_module module = {NOT_ZERO};
    CHECK_ERROR(rk_module_create(all.runtime, NULL, &module, &test_error), INVALID);
    CHECK_EQ(module.id, 0);
    CHECK_ERROR(rk_module_create(all.runtime, &capi, NULL, &test_error), INVALID);
    CHECK_ERROR(rk_module_load(all.runtime, NULL, 0, &module, &test_error), INVALID);
    CHECK_ERROR(rk_module_load(all.runtime, NULL, 5, &module, &test_error), INVALID);
    CHECK_ERROR(rk_module_load(all.runtime, "x", SIZE_MAX, &module, &test_error), INVALID);
    CHECK_ERROR(rk_module_load(all.runtime, fixture_file(), strlen(fixture_file()), NULL, &test_error), INVALID);
    for (size_t i = 0; i < NOT_UTF8; i++)
        CHECK_ERROR(rk_module_load(all.runtime, not_utf8[i].text, not_utf8[i].length, &module, &test_error), INVALID);
    size_t size;
    const void *bytes = fixture_file_bytes(&size);
    CHECK_ERROR(rk_module_load_memory(all.runtime, NULL, size, &module, &test_error), INVALID);
    CHECK_ERROR(rk_module_load_memory(all.runtime, bytes, size, NULL, &test_error), INVALID);
    CHECK_REFUSED(rk_module_load_memory(all.runtime, NULL, 0, &module, &test_error));
    CHECK_REFUSED(rk_module_load_memory(all.runtime, bytes, 0, &module, &test_error));
    CHECK_REFUSED(rk_module_load_memory(all.runtime, bytes, SIZE_MAX, &module, &test_error));
    fixture_close(&all);
}

/* The rest is in tests/conformance/snapshots.c. */
CASE(arguments_of_snapshots) {
    fixture all = fixture_open();
    size_t size;
    const unsigned char *bytes = fixture_snapshot(&size);
    rk_snapshot_info info = RK_SNAPSHOT_INFO_INIT;
    CHECK_ERROR(rk_snapshot_describe(NULL, size, &info, &test_error), INVALID);
    CHECK_ERROR(rk_snapshot_describe(bytes, size, NULL, &test_error), INVALID);
    CHECK_STATUS(rk_snapshot_describe(bytes, size, NULL, NULL), INVALID);
    info.struct_size = 3;
    CHECK_ERROR(rk_snapshot_describe(bytes, size, &info, &test_error), INVALID);
    /* A caller that knows less gets less. */
    memset(&info, 0x55, sizeof info);
    info.struct_size = 16;
    CHECK_DONE(rk_snapshot_describe(bytes, size, &info, &test_error));
    CHECK(info.actors == FIXTURE_ACTORS && info.messages == UINT64_C(0x5555555555555555));
    /* At any address, as from the middle of a file. */
    unsigned char *copy = malloc(size + 8);
    CHECK(copy != NULL);
    for (size_t shift = 0; shift < 8; shift++) {
        memcpy(copy + shift, bytes, size);
        info = (rk_snapshot_info)RK_SNAPSHOT_INFO_INIT;
        CHECK_DONE(rk_snapshot_describe(copy + shift, size, &info, &test_error));
        CHECK((const unsigned char *)info.actor > copy + shift && (const unsigned char *)info.actor < copy + shift + size);
        CHECK(info.actor_length == 9 && memcmp(info.actor, "responder", 9) == 0);
        rk_kernel kernel = {NOT_ZERO};
        CHECK_DONE(rk_kernel_restore(all.runtime, all.module, copy + shift, size, RK_RESTORE_NEW_ADDRESSES, NULL, &kernel,
                                     &test_error));
        rk_actor actor;
        CHECK_OK(rk_kernel_actor(kernel, 1, &actor));
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        fixture_verify(actor);
        CHECK_OK(rk_kernel_destroy(kernel));
    }
    free(copy);
    CHECK_REFUSED(rk_kernel_restore(all.runtime, all.module, bytes, size, 0, NULL, NULL, &test_error));
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.struct_size = 2;
    rk_kernel kernel = {NOT_ZERO};
    CHECK_ERROR(rk_kernel_restore(all.runtime, all.module, bytes, size, 1, &options, &kernel, &test_error), INVALID);
    CHECK_EQ(kernel.id, 0);
    fixture_close(&all);
}
