#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

enum { SECOND = 1000000000 };

rk_runtime fixture_runtime(void) {
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.backend = RK_BACKEND_CPU;
    options.cpu_threads = 2;
    rk_runtime runtime = {0};
    CHECK_DONE(rk_runtime_create(RK_VERSION, &options, &runtime, &test_error));
    CHECK(runtime.id != 0);
    return runtime;
}

rk_module fixture_module(rk_runtime runtime) {
    rk_module module = {0};
    CHECK_DONE(rk_module_create(runtime, &capi, &module, &test_error));
    CHECK(module.id != 0);
    return module;
}

rk_kernel fixture_launch(rk_runtime runtime, rk_module module, const rk_kernel_options *options) {
    rk_kernel kernel = {0};
    CHECK_DONE(rk_kernel_launch(runtime, module, "responder", 9, options, &kernel, &test_error));
    CHECK(kernel.id != 0);
    return kernel;
}

static void *snapshot_bytes;
static size_t snapshot_size;

const void *fixture_snapshot(size_t *size) {
    CHECK(snapshot_bytes != NULL);
    *size = snapshot_size;
    return snapshot_bytes;
}

fixture fixture_open(void) {
    fixture all = {.runtime = fixture_runtime()};
    all.module = fixture_module(all.runtime);
    CHECK_DONE(rk_queue_create(all.runtime, &all.queue, &test_error));
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = FIXTURE_ACTORS;
    all.kernel = fixture_launch(all.runtime, all.module, &options);
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    CHECK_OK(rk_kernel_actor(all.kernel, 1, &all.actor));
    if (snapshot_bytes == NULL)
        CHECK_DONE(rk_kernel_snapshot(all.kernel, 0, &snapshot_bytes, &snapshot_size, &test_error));
    CHECK_DONE(fixture_alert(&all, &all.alert, &test_error));
    CHECK_DONE(fixture_buffer(&all, &all.buffer, &test_error));
    CHECK_DONE(fixture_topic(&all, &all.topic, &test_error));
    CHECK_DONE(fixture_subscription(&all, &all.subscription, &test_error));
    return all;
}

rk_status fixture_buffer(const fixture *all, rk_buffer *buffer, rk_error *error) {
    rk_buffer_options options = RK_BUFFER_OPTIONS_INIT;
    options.size = FIXTURE_BUFFER;
    return rk_buffer_create(all->runtime, &options, buffer, error);
}

rk_status fixture_topic(const fixture *all, rk_topic *topic, rk_error *error) {
    return rk_topic_open(all->runtime, "fixture", 7, NULL, topic, error);
}

rk_status fixture_subscription(const fixture *all, rk_subscription *subscription, rk_error *error) {
    return rk_subscribe(all->runtime, "fixture/none", 12, NULL, subscription, error);
}

static void ignore(void *user, const rk_alert_notice *notice) {
    (void)user, (void)notice;
}

rk_status fixture_alert(const fixture *all, rk_alert *alert, rk_error *error) {
    rk_alert_options options = RK_ALERT_OPTIONS_INIT;
    options.metric = RK_ALERT_MEMORY;
    options.threshold = 1e18;
    options.notify = ignore;
    return rk_alert_create(all->runtime, &options, alert, error);
}

void fixture_close(const fixture *all) {
    CHECK_OK(rk_kernel_destroy(all->kernel));
    CHECK_OK(rk_queue_destroy(all->queue));
    CHECK_OK(rk_alert_destroy(all->alert));
    CHECK_OK(rk_buffer_destroy(all->buffer));
    CHECK_OK(rk_unsubscribe(all->subscription));
    CHECK_OK(rk_topic_close(all->topic));
    CHECK_OK(rk_module_destroy(all->module));
    CHECK_OK(rk_runtime_destroy(all->runtime));
}

const char *fixture_file(void) {
    return TEST_MODULE_FILE;
}

const void *fixture_file_bytes(size_t *size) {
    static void *bytes;
    static size_t length;
    if (bytes == NULL) {
        FILE *file = fopen(fixture_file(), "rb");
        CHECK(file != NULL);
        CHECK_EQ(fseek(file, 0, SEEK_END), 0);
        long end = ftell(file);
        CHECK(end > 0);
        rewind(file);
        bytes = malloc((size_t)end);
        CHECK(bytes != NULL);
        length = fread(bytes, 1, (size_t)end, file);
        CHECK_EQ(length, end);
        fclose(file);
    }
    *size = length;
    return bytes;
}

void fixture_verify(rk_actor actor) {
    uint64_t random = test_seed();
    ask question = {.nonce = test_random(&random)};
    answer reply = {0};
    rk_message message;
    CHECK_DONE(rk_call(actor, RK_TYPE(ask), &question, sizeof question, NULL, &reply, sizeof reply, &message,
                       10 * (int64_t)SECOND, &test_error));
    CHECK_EQ(reply.nonce, question.nonce);
    CHECK_EQ(message.from.id, actor.id);
    CHECK_EQ(message.type, RK_TYPE(answer));
    CHECK_EQ(message.size, sizeof reply);
}
