#include "surface.h"

#include <string.h>

enum { MILLISECOND = 1000000 };
#define NOT_ZERO UINT64_C(0xDEADBEEF)

static rk_status runtime_destroy(const fixture *with, rk_error *error) {
    (void)error;
    return rk_runtime_destroy(with->runtime);
}

static rk_status runtime_park(const fixture *with, rk_error *error) {
    rk_status status = rk_runtime_park(with->runtime, MILLISECOND, error);
    if (status == RK_OK) rk_runtime_unpark(with->runtime, NULL);
    return status;
}

static rk_status runtime_unpark(const fixture *with, rk_error *error) {
    return rk_runtime_unpark(with->runtime, error);
}

static rk_status runtime_fd(const fixture *with, rk_error *error) {
    int32_t fd = -1;
    return rk_runtime_fd(with->runtime, &fd, error);
}

static rk_status runtime_arm(const fixture *with, rk_error *error) {
    (void)error;
    return rk_runtime_arm(with->runtime);
}

static rk_status device_count(const fixture *with, rk_error *error) {
    (void)error;
    uint32_t count = 0;
    return rk_device_count(with->runtime, &count);
}

static rk_status device_info(const fixture *with, rk_error *error) {
    rk_device_properties info = RK_DEVICE_PROPERTIES_INIT;
    return rk_device_info(with->runtime, 0, &info, error);
}

static rk_status selftest(const fixture *with, rk_error *error) {
    rk_selftest_report report = RK_SELFTEST_REPORT_INIT;
    rk_status status = rk_selftest(with->runtime, 0, &report, error);
    if (status == RK_OK) {
        CHECK_EQ(report.inbound_memory, RK_INBOUND_HOST); /* of the CPU */
        CHECK(report.messages > 0 && report.host_p50_ns > 0 && report.host_p50_ns <= report.host_p999_ns);
        CHECK(report.device_p50_ns == 0 && report.reason[0] != 0);
    }
    return status;
}

/* Handles are set to zero on error. */
static rk_status created_module(rk_status status, rk_module module) {
    if (status == RK_OK) {
        CHECK(module.id != 0);
        rk_module_destroy(module);
    } else {
        CHECK_EQ(module.id, 0);
    }
    return status;
}

static rk_status module_create(const fixture *with, rk_error *error) {
    rk_module module = {NOT_ZERO};
    rk_status status = rk_module_create(with->runtime, &capi, &module, error);
    return created_module(status, module);
}

static rk_status module_load(const fixture *with, rk_error *error) {
    rk_module module = {NOT_ZERO};
    rk_status status = rk_module_load(with->runtime, fixture_file(), strlen(fixture_file()), &module, error);
    return created_module(status, module);
}

static rk_status module_load_memory(const fixture *with, rk_error *error) {
    size_t size;
    const void *bytes = fixture_file_bytes(&size);
    rk_module module = {NOT_ZERO};
    rk_status status = rk_module_load_memory(with->runtime, bytes, size, &module, error);
    return created_module(status, module);
}

static rk_status module_destroy(const fixture *with, rk_error *error) {
    (void)error;
    return rk_module_destroy(with->module);
}

static rk_status kernel_launch(const fixture *with, rk_error *error) {
    rk_kernel kernel = {NOT_ZERO};
    rk_status status = rk_kernel_launch(with->runtime, with->module, "responder", 9, NULL, &kernel, error);
    if (status == RK_OK) {
        CHECK(kernel.id != 0);
        rk_kernel_destroy(kernel);
    } else {
        CHECK_EQ(kernel.id, 0);
    }
    return status;
}

static rk_status kernel_activate(const fixture *with, rk_error *error) {
    return rk_kernel_activate(with->kernel, error);
}

static rk_status kernel_deactivate(const fixture *with, rk_error *error) {
    return rk_kernel_deactivate(with->kernel, error);
}

static rk_status kernel_drain(const fixture *with, rk_error *error) {
    return rk_kernel_drain(with->kernel, MILLISECOND, error);
}

static rk_status kernel_terminate(const fixture *with, rk_error *error) {
    uint64_t left = 0;
    return rk_kernel_terminate(with->kernel, &left, error);
}

static rk_status kernel_destroy(const fixture *with, rk_error *error) {
    (void)error;
    return rk_kernel_destroy(with->kernel);
}

static rk_status kernel_state(const fixture *with, rk_error *error) {
    (void)error;
    uint32_t state = 0;
    return rk_kernel_state(with->kernel, &state);
}

static rk_status kernel_actor(const fixture *with, rk_error *error) {
    (void)error;
    rk_actor actor = {NOT_ZERO};
    return rk_kernel_actor(with->kernel, FIXTURE_ACTORS - 1, &actor);
}

static rk_status kernel_stats(const fixture *with, rk_error *error) {
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    return rk_kernel_stats(with->kernel, &stats, error);
}

static rk_status kernel_snapshot(const fixture *with, rk_error *error) {
    void *data = &data;
    size_t size = 1;
    rk_status status = rk_kernel_snapshot(with->kernel, 0, &data, &size, error);
    CHECK((data != NULL) == (status == RK_OK) && (size > 0) == (status == RK_OK));
    rk_snapshot_free(data);
    return status;
}

static rk_status kernel_restore(const fixture *with, rk_error *error) {
    size_t size;
    const void *bytes = fixture_snapshot(&size);
    rk_kernel kernel = {NOT_ZERO};
    rk_status status = rk_kernel_restore(with->runtime, with->module, bytes, size, RK_RESTORE_NEW_ADDRESSES, NULL,
                                         &kernel, error);
    if (status == RK_OK) {
        CHECK(kernel.id != 0);
        rk_kernel_destroy(kernel);
    } else {
        CHECK_EQ(kernel.id, 0);
    }
    return status;
}

static rk_status send_one(const fixture *with, rk_error *error) {
    (void)error;
    ask question = {.nonce = 1};
    return rk_send(with->actor, RK_TYPE(ask), &question, sizeof question, NULL);
}

static rk_status send_many(const fixture *with, rk_error *error) {
    (void)error;
    note value = {.value = 1};
    rk_outbound messages[4];
    memset(messages, 0, sizeof messages);
    for (size_t i = 0; i < 4; i++) {
        messages[i].to = with->actor;
        messages[i].type = RK_TYPE(note);
        messages[i].payload = &value;
        messages[i].size = sizeof value;
    }
    uint32_t sent = 0;
    rk_status status = rk_send_many(messages, 4, MILLISECOND, &sent);
    CHECK_AT_MOST(sent, status == RK_OK ? 4 : 3);
    return status;
}

static rk_status poll_runtime(const fixture *with, rk_error *error) {
    (void)error;
    rk_message messages[8];
    _Alignas(16) unsigned char payloads[4096];
    uint32_t count = 0;
    return rk_poll(with->runtime, messages, 8, payloads, sizeof payloads, MILLISECOND / 10, &count);
}

static rk_status call_actor(const fixture *with, rk_error *error) {
    ask question = {.nonce = 7};
    answer reply = {0};
    rk_status status = rk_call(with->actor, RK_TYPE(ask), &question, sizeof question, NULL, &reply, sizeof reply, NULL,
                               MILLISECOND, error);
    if (status == RK_OK) CHECK_EQ(reply.nonce, 7);
    return status;
}

static rk_status queue_create(const fixture *with, rk_error *error) {
    rk_queue queue = {NOT_ZERO};
    rk_status status = rk_queue_create(with->runtime, &queue, error);
    if (status == RK_OK) {
        CHECK(queue.id != 0);
        rk_queue_destroy(queue);
    } else {
        CHECK_EQ(queue.id, 0);
    }
    return status;
}

static rk_status queue_destroy(const fixture *with, rk_error *error) {
    (void)error;
    return rk_queue_destroy(with->queue);
}

static rk_status queue_poll(const fixture *with, rk_error *error) {
    (void)error;
    rk_message messages[8];
    _Alignas(16) unsigned char payloads[4096];
    uint32_t count = 0;
    return rk_queue_poll(with->queue, messages, 8, payloads, sizeof payloads, MILLISECOND / 10, &count);
}

static rk_status queue_fd(const fixture *with, rk_error *error) {
    int32_t fd = -1;
    return rk_queue_fd(with->queue, &fd, error);
}

static rk_status queue_arm(const fixture *with, rk_error *error) {
    (void)error;
    return rk_queue_arm(with->queue);
}

static rk_status hlc_now(const fixture *with, rk_error *error) {
    (void)error;
    uint64_t stamp = 0;
    return rk_hlc_now(with->runtime, &stamp);
}

static rk_status hlc_merge(const fixture *with, rk_error *error) {
    uint64_t stamp = 0;
    return rk_hlc_merge(with->runtime, 1, &stamp, error);
}

static rk_status send_options_load(const fixture *with, rk_error *error) {
    rk_send_options options = RK_SEND_OPTIONS_INIT;
    return rk_send_options_load(with->runtime, &options, error);
}

static rk_status registry_add_kernel(const fixture *with, rk_error *error) {
    rk_status status = rk_registry_add_kernel(with->runtime, "kernel", 6, with->kernel, error);
    if (status == RK_OK) (void)rk_registry_remove(with->runtime, "kernel", 6, NULL);
    return status;
}

static rk_status registry_add_actor(const fixture *with, rk_error *error) {
    rk_status status = rk_registry_add_actor(with->runtime, "actor", 5, with->actor, error);
    if (status == RK_OK) (void)rk_registry_remove(with->runtime, "actor", 5, NULL);
    return status;
}

static rk_status registry_remove(const fixture *with, rk_error *error) {
    return rk_registry_remove(with->runtime, "nothing", 7, error);
}

static rk_status registry_kernel(const fixture *with, rk_error *error) {
    rk_kernel kernel = {NOT_ZERO};
    rk_status status = rk_registry_kernel(with->runtime, "nothing", 7, &kernel, error);
    CHECK_EQ(kernel.id, 0);
    return status;
}

static rk_status registry_actor(const fixture *with, rk_error *error) {
    rk_actor actor = {NOT_ZERO};
    rk_status status = rk_registry_actor(with->runtime, "nothing", 7, &actor, error);
    CHECK_EQ(actor.id, 0);
    return status;
}

static rk_status registry_find(const fixture *with, rk_error *error) {
    rk_registry_entry entries[2];
    uint32_t count = 0;
    return rk_registry_find(with->runtime, "#", 1, entries, 2, &count, error);
}

static rk_status route(const fixture *with, rk_error *error) {
    uint32_t way = 0;
    return rk_route(with->actor, with->actor, &way, error);
}

static rk_status kernel_latency(const fixture *with, rk_error *error) {
    rk_latency latency = RK_LATENCY_INIT;
    return rk_kernel_latency(with->kernel, RK_LATENCY_HANDLER, RK_NONE, &latency, error);
}

static void write_nothing(void *user, const char *text, size_t length) {
    (void)user, (void)text, (void)length;
}

static rk_status metrics_write(const fixture *with, rk_error *error) {
    return rk_metrics_write(with->runtime, 0, write_nothing, NULL, error);
}

static rk_status metrics_format(const fixture *with, rk_error *error) {
    static _Thread_local char text[1 << 20];
    return rk_metrics_format(with->runtime, 0, text, sizeof text, NULL, error);
}

static rk_status alert_create(const fixture *with, rk_error *error) {
    rk_alert alert = {NOT_ZERO};
    rk_status status = fixture_alert(with, &alert, error);
    if (status == RK_OK) {
        CHECK(alert.id != 0);
        rk_alert_destroy(alert);
    } else {
        CHECK_EQ(alert.id, 0);
    }
    return status;
}

static rk_status alert_destroy(const fixture *with, rk_error *error) {
    (void)error;
    return rk_alert_destroy(with->alert);
}

static rk_status alerts_check(const fixture *with, rk_error *error) {
    uint32_t raised = 0;
    return rk_alerts_check(with->runtime, &raised, error);
}

static rk_status trace_start(const fixture *with, rk_error *error) {
    rk_trace_options options = RK_TRACE_OPTIONS_INIT;
    options.worker_bytes = 4096;
    rk_status status = rk_trace_start(with->runtime, &options, error);
    if (status == RK_OK) rk_trace_stop(with->runtime, NULL);
    return status;
}

static rk_status trace_stop(const fixture *with, rk_error *error) {
    return rk_trace_stop(with->runtime, error);
}

static rk_status trace_write(const fixture *with, rk_error *error) {
    return rk_trace_write(with->runtime, write_nothing, NULL, error);
}

static rk_status buffer_create(const fixture *with, rk_error *error) {
    rk_buffer buffer = {NOT_ZERO};
    rk_status status = fixture_buffer(with, &buffer, error);
    if (status == RK_OK) {
        CHECK(buffer.id != 0);
        rk_buffer_destroy(buffer);
    } else {
        CHECK_EQ(buffer.id, 0);
    }
    return status;
}

static rk_status buffer_destroy(const fixture *with, rk_error *error) {
    (void)error;
    return rk_buffer_destroy(with->buffer);
}

static rk_status buffer_info(const fixture *with, rk_error *error) {
    rk_buffer_properties properties = RK_BUFFER_PROPERTIES_INIT;
    return rk_buffer_info(with->buffer, &properties, error);
}

static rk_status buffer_map(const fixture *with, rk_error *error) {
    void *address = &address;
    rk_status status = rk_buffer_map(with->buffer, &address, error);
    CHECK_EQ(address != NULL, status == RK_OK);
    return status;
}

/* The same bytes every time, for threads that do this at once. */
static rk_status buffer_upload(const fixture *with, rk_error *error) {
    static const unsigned char data[FIXTURE_BUFFER];
    return rk_buffer_upload(with->buffer, 0, data, sizeof data, error);
}

static rk_status buffer_download(const fixture *with, rk_error *error) {
    unsigned char data[FIXTURE_BUFFER];
    return rk_buffer_download(with->buffer, 0, data, sizeof data, error);
}

static rk_status buffer_upload_async(const fixture *with, rk_error *error) {
    static const unsigned char data[FIXTURE_BUFFER];
    return rk_buffer_upload_async(with->buffer, 0, data, sizeof data, with->queue, 1, error);
}

static rk_status buffer_download_async(const fixture *with, rk_error *error) {
    return rk_buffer_download_async(with->buffer, 0, NULL, 0, with->queue, 1, error);
}

static rk_status topic_open(const fixture *with, rk_error *error) {
    rk_topic topic = {NOT_ZERO};
    rk_status status = rk_topic_open(with->runtime, "surface", 7, NULL, &topic, error);
    if (status == RK_OK) {
        CHECK(topic.id != 0);
        rk_topic_close(topic);
    } else {
        CHECK_EQ(topic.id, 0);
    }
    return status;
}

static rk_status topic_close(const fixture *with, rk_error *error) {
    (void)error;
    return rk_topic_close(with->topic);
}

static rk_status topic_name(const fixture *with, rk_error *error) {
    char name[232];
    size_t length = 0;
    rk_status status = rk_topic_name(with->topic, name, sizeof name, &length, error);
    if (status == RK_OK) CHECK(length == 7 && strcmp(name, "fixture") == 0);
    return status;
}

static rk_status topic_stats(const fixture *with, rk_error *error) {
    rk_topic_statistics stats = RK_TOPIC_STATISTICS_INIT;
    return rk_topic_stats(with->topic, &stats, error);
}

static rk_status publish(const fixture *with, rk_error *error) {
    (void)error;
    note value = {.value = 1};
    return rk_publish(with->topic, RK_TYPE(note), &value, sizeof value, NULL);
}

/* Zero is no stale actor or queue here, so that these are for tests of their own. */
static rk_status subscribe(const fixture *with, rk_error *error) {
    rk_subscription subscription = {NOT_ZERO};
    rk_status status = fixture_subscription(with, &subscription, error);
    if (status == RK_OK) {
        CHECK(subscription.id != 0);
        rk_unsubscribe(subscription);
    } else {
        CHECK_EQ(subscription.id, 0);
    }
    return status;
}

static rk_status unsubscribe(const fixture *with, rk_error *error) {
    (void)error;
    return rk_unsubscribe(with->subscription);
}

static rk_status subscription_stats(const fixture *with, rk_error *error) {
    rk_subscription_statistics stats = RK_SUBSCRIPTION_STATISTICS_INIT;
    return rk_subscription_stats(with->subscription, &stats, error);
}

const surface_call surface[] = {
    {"rk_runtime_destroy", runtime_destroy, TAKES_RUNTIME, EFFECT_DESTROYS, false},
    {"rk_runtime_park", runtime_park, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_runtime_unpark", runtime_unpark, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_runtime_fd", runtime_fd, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_runtime_arm", runtime_arm, TAKES_RUNTIME, EFFECT_NONE, false},
    {"rk_device_count", device_count, TAKES_RUNTIME, EFFECT_NONE, false},
    {"rk_device_info", device_info, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_selftest", selftest, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_module_create", module_create, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_module_load", module_load, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_module_load_memory", module_load_memory, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_module_destroy", module_destroy, TAKES_MODULE, EFFECT_DESTROYS, false},
    {"rk_kernel_launch", kernel_launch, TAKES_RUNTIME | TAKES_MODULE, EFFECT_NONE, true},
    {"rk_kernel_activate", kernel_activate, TAKES_KERNEL, EFFECT_NONE, true},
    {"rk_kernel_deactivate", kernel_deactivate, TAKES_KERNEL, EFFECT_NONE, true},
    {"rk_kernel_drain", kernel_drain, TAKES_KERNEL, EFFECT_ENDS, true},
    {"rk_kernel_terminate", kernel_terminate, TAKES_KERNEL, EFFECT_ENDS, true},
    {"rk_kernel_destroy", kernel_destroy, TAKES_KERNEL, EFFECT_DESTROYS, false},
    {"rk_kernel_state", kernel_state, TAKES_KERNEL, EFFECT_NONE, false},
    {"rk_kernel_actor", kernel_actor, TAKES_KERNEL, EFFECT_NONE, false},
    {"rk_kernel_stats", kernel_stats, TAKES_KERNEL, EFFECT_NONE, true},
    {"rk_kernel_snapshot", kernel_snapshot, TAKES_KERNEL, EFFECT_NONE, true},
    {"rk_kernel_restore", kernel_restore, TAKES_RUNTIME | TAKES_MODULE, EFFECT_NONE, true},
    {"rk_send", send_one, TAKES_ACTOR, EFFECT_NONE, false},
    {"rk_send_many", send_many, TAKES_ACTOR, EFFECT_NONE, false},
    {"rk_poll", poll_runtime, TAKES_RUNTIME, EFFECT_NONE, false},
    {"rk_call", call_actor, TAKES_ACTOR, EFFECT_NONE, true},
    {"rk_queue_create", queue_create, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_queue_destroy", queue_destroy, TAKES_QUEUE, EFFECT_DESTROYS, false},
    {"rk_queue_poll", queue_poll, TAKES_QUEUE, EFFECT_NONE, false},
    {"rk_queue_fd", queue_fd, TAKES_QUEUE, EFFECT_NONE, true},
    {"rk_queue_arm", queue_arm, TAKES_QUEUE, EFFECT_NONE, false},
    {"rk_hlc_now", hlc_now, TAKES_RUNTIME, EFFECT_NONE, false},
    {"rk_hlc_merge", hlc_merge, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_registry_add_kernel", registry_add_kernel, TAKES_RUNTIME | TAKES_KERNEL, EFFECT_NONE, true},
    {"rk_registry_add_actor", registry_add_actor, TAKES_RUNTIME | TAKES_ACTOR, EFFECT_NONE, true},
    {"rk_registry_remove", registry_remove, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_registry_kernel", registry_kernel, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_registry_actor", registry_actor, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_registry_find", registry_find, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_route", route, TAKES_ACTOR, EFFECT_NONE, true},
    {"rk_kernel_latency", kernel_latency, TAKES_KERNEL, EFFECT_NONE, true},
    {"rk_metrics_write", metrics_write, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_metrics_format", metrics_format, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_alert_create", alert_create, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_alert_destroy", alert_destroy, TAKES_ALERT, EFFECT_DESTROYS, false},
    {"rk_alerts_check", alerts_check, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_trace_start", trace_start, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_trace_stop", trace_stop, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_trace_write", trace_write, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_buffer_create", buffer_create, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_buffer_destroy", buffer_destroy, TAKES_BUFFER, EFFECT_DESTROYS, false},
    {"rk_buffer_info", buffer_info, TAKES_BUFFER, EFFECT_NONE, true},
    {"rk_buffer_map", buffer_map, TAKES_BUFFER, EFFECT_NONE, true},
    {"rk_buffer_upload", buffer_upload, TAKES_BUFFER, EFFECT_NONE, true},
    {"rk_buffer_download", buffer_download, TAKES_BUFFER, EFFECT_NONE, true},
    {"rk_buffer_upload_async", buffer_upload_async, TAKES_BUFFER, EFFECT_NONE, true},
    {"rk_buffer_download_async", buffer_download_async, TAKES_BUFFER, EFFECT_NONE, true},
    {"rk_topic_open", topic_open, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_topic_close", topic_close, TAKES_TOPIC, EFFECT_DESTROYS, false},
    {"rk_topic_name", topic_name, TAKES_TOPIC, EFFECT_NONE, true},
    {"rk_topic_stats", topic_stats, TAKES_TOPIC, EFFECT_NONE, true},
    {"rk_publish", publish, TAKES_TOPIC, EFFECT_NONE, false},
    {"rk_subscribe", subscribe, TAKES_RUNTIME, EFFECT_NONE, true},
    {"rk_unsubscribe", unsubscribe, TAKES_SUBSCRIPTION, EFFECT_DESTROYS, false},
    {"rk_subscription_stats", subscription_stats, TAKES_SUBSCRIPTION, EFFECT_NONE, true},
    {"rk_send_options_load", send_options_load, TAKES_RUNTIME, EFFECT_NONE, true},
};
const size_t surface_count = sizeof surface / sizeof surface[0];

uint64_t *surface_id(fixture *all, unsigned noun) {
    switch (noun) {
    case TAKES_RUNTIME: return &all->runtime.id;
    case TAKES_MODULE: return &all->module.id;
    case TAKES_QUEUE: return &all->queue.id;
    case TAKES_KERNEL: return &all->kernel.id;
    case TAKES_ALERT: return &all->alert.id;
    case TAKES_BUFFER: return &all->buffer.id;
    case TAKES_TOPIC: return &all->topic.id;
    case TAKES_SUBSCRIPTION: return &all->subscription.id;
    default: return &all->actor.id;
    }
}

void surface_expect(const surface_call *entry, const fixture *with, rk_status expected, const char *why) {
    rk_error error;
    test_error_prepare(&error);
    rk_status status = entry->call(with, &error);
    if (status != expected)
        test_fail(__FILE__, __LINE__, "%s, %s: %s, not %s", entry->name, why, rk_status_name(status),
                  rk_status_name(expected));
    if (entry->has_error) test_error_check(__FILE__, __LINE__, &error, status);
    status = entry->call(with, NULL);
    if (status != expected)
        test_fail(__FILE__, __LINE__, "%s, %s, without an rk_error: %s", entry->name, why, rk_status_name(status));
}
