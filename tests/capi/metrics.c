/* Metrics as text, latencies, and alerts. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INVALID RK_ERROR_INVALID_ARGUMENT
#define NOT_ZERO UINT64_C(0xDEADBEEF)


static void settle(rk_kernel kernel) {
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
}

/* Sends messages whose handlers fail; a failed actor's further messages are dead letters. */
static void break_actor(const fixture *all, uint32_t index, uint32_t dead) {
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(all->kernel, index, &actor));
    break_down message = {.code = 3};
    for (uint32_t i = 0; i <= dead; i++) CHECK_OK(rk_send(actor, RK_TYPE(break_down), &message, sizeof message, NULL));
    rk_message got;
    uint32_t count = 0;
    for (uint32_t i = 0; i <= dead; i++) {
        _Alignas(16) char payload[64];
        CHECK_OK(rk_poll(all->runtime, &got, 1, payload, sizeof payload, RK_FOREVER, &count));
    }
    settle(all->kernel);
}

static char *metrics_of(rk_runtime runtime, uint32_t flags) {
    size_t length = 0;
    CHECK_ERROR(rk_metrics_format(runtime, flags, NULL, 0, &length, &test_error), RK_ERROR_SIZE);
    char *text = malloc(length + 1000);
    CHECK(text != NULL);
    CHECK_DONE(rk_metrics_format(runtime, flags, text, length + 1000, &length, &test_error));
    CHECK_EQ(strlen(text), length);
    return text;
}

static void expect_line(const char *text, const char *line) {
    const char *found = strstr(text, line);
    if (found == NULL || (found != text && found[-1] != '\n') || found[strlen(line)] != '\n')
        test_fail(__FILE__, __LINE__, "no line %s in\n%s", line, text);
}

CASE(metrics_text) {
    fixture all = fixture_open();
    for (int i = 0; i < 5; i++) fixture_verify(all.actor);
    break_actor(&all, 0, 2);
    char *text = metrics_of(all.runtime, 0), line[256];
    const char *labels = "kernel=\"responder\",id=\"%u\",backend=\"cpu\"";
    char of[128];
    snprintf(of, sizeof of, labels, (unsigned)(uint32_t)all.kernel.id);
#define EXPECT(name, value)                                                                                            \
    do {                                                                                                               \
        snprintf(line, sizeof line, "ringkernel_%s{%s} %s", name, of, value);                                          \
        expect_line(text, line);                                                                                       \
    } while (0)
    EXPECT("accepted_total", "8");
    EXPECT("handled_total", "6");
    EXPECT("dead_letters_total", "2");
    EXPECT("failures_total", "1");
    EXPECT("pending", "0");
    EXPECT("actors", "4");
#undef EXPECT
    expect_line(text, "ringkernel_build_info{version=\"0.1.0\"} 1");
    expect_line(text, "ringkernel_clock_limited_total 0");
    expect_line(text, "# TYPE ringkernel_accepted_total counter");
    CHECK(strstr(text, "state=\"active\"} 1\n") != NULL);
    CHECK(strstr(text, "worker=") == NULL);
    free(text);
    text = metrics_of(all.runtime, RK_METRICS_WORKERS);
    CHECK(strstr(text, "worker=\"0\"} ") != NULL);
    free(text);
    fixture_close(&all);
}

typedef struct gathered {
    char text[1 << 16];
    size_t length;
    rk_runtime destroy;
} gathered;

static void gather(void *user, const char *text, size_t length) {
    gathered *all = user;
    CHECK(all->length + length < sizeof all->text);
    memcpy(all->text + all->length, text, length);
    all->length += length;
    if (all->destroy.id != 0) CHECK_OK(rk_runtime_destroy(all->destroy));
    all->destroy.id = 0;
}

CASE(metrics_by_callback) {
    fixture all = fixture_open();
    static gathered got;
    settle(all.kernel);
    CHECK_DONE(rk_metrics_write(all.runtime, RK_METRICS_WORKERS, gather, &got, &test_error));
    char *text = metrics_of(all.runtime, RK_METRICS_WORKERS);
    CHECK_EQ(got.length, strlen(text));
    CHECK_EQ(memcmp(got.text, text, got.length), 0);
    free(text);
    CHECK_ERROR(rk_metrics_write(all.runtime, 0, NULL, NULL, &test_error), INVALID);
    CHECK_ERROR(rk_metrics_write(all.runtime, 2, gather, &got, &test_error), INVALID);
    CHECK_ERROR(rk_metrics_format(all.runtime, 2, NULL, 0, NULL, &test_error), INVALID);
    CHECK_ERROR(rk_metrics_format(all.runtime, 0, NULL, 5, NULL, &test_error), INVALID);
    char small[8] = "xxxxxxx";
    CHECK_ERROR(rk_metrics_format(all.runtime, 0, small, sizeof small, NULL, &test_error), RK_ERROR_SIZE);
    CHECK_EQ(small[0], 0);
    /* Whoever is written to may do as it likes. */
    got.length = 0;
    got.destroy = all.runtime;
    CHECK_DONE(rk_metrics_write(all.runtime, 0, gather, &got, &test_error));
    CHECK(got.length > 1000);
    CHECK_ERROR(rk_metrics_write(all.runtime, 0, gather, &got, &test_error), RK_ERROR_STALE_HANDLE);
}

/* A message that waits for 5 ms, and one whose handler takes more than 1. */
static void spend(rk_kernel kernel, rk_actor actor) {
    labour work = {.rounds = 5000000};
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_OK(rk_send(actor, RK_TYPE(labour), &work, sizeof work, NULL));
    usleep(5000);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    fixture_verify(actor);
    settle(kernel);
}

CASE(latency_measured) {
    fixture all = fixture_open();
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = 2;
    options.workers = 2;
    options.latency_every = 1;
    rk_kernel kernel = fixture_launch(all.runtime, all.module, &options);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    enum { MESSAGES = 200 };
    const int64_t start = test_now();
    for (uint32_t i = 0; i < MESSAGES; i++) {
        rk_actor actor;
        CHECK_OK(rk_kernel_actor(kernel, i % 2, &actor));
        fixture_verify(actor);
    }
    settle(kernel);
    for (uint32_t which = RK_LATENCY_HANDLER; which <= RK_LATENCY_QUEUE; which++) {
        rk_latency both = RK_LATENCY_INIT, one = RK_LATENCY_INIT;
        CHECK_DONE(rk_kernel_latency(kernel, which, RK_NONE, &both, &test_error));
        CHECK_EQ(both.count, MESSAGES);
        CHECK(both.mean_ns > 0 && both.mean_ns <= both.max_ns);
        CHECK(both.p50_ns > 0 && both.p50_ns <= both.p90_ns && both.p90_ns <= both.p99_ns);
        CHECK(both.p99_ns <= both.p999_ns && both.p999_ns <= both.max_ns && both.max_ns < 1e10);
        uint64_t sum = 0;
        for (uint32_t worker = 0; worker < 2; worker++) {
            CHECK_DONE(rk_kernel_latency(kernel, which, worker, &one, &test_error));
            sum += one.count;
        }
        CHECK_EQ(sum, MESSAGES);
    }
    /* Time spent is time seen. */
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
    spend(kernel, actor);
    rk_latency handler = RK_LATENCY_INIT, queue = RK_LATENCY_INIT;
    CHECK_DONE(rk_kernel_latency(kernel, RK_LATENCY_HANDLER, 0, &handler, &test_error));
    CHECK_DONE(rk_kernel_latency(kernel, RK_LATENCY_QUEUE, 0, &queue, &test_error));
    const double since = (double)(test_now() - start);
    CHECK(handler.max_ns > 1e6 && handler.max_ns < since * 1.05);
    CHECK(queue.max_ns > 4.9e6 && queue.max_ns < since * 1.05);

    rk_latency latency = RK_LATENCY_INIT;
    CHECK_ERROR(rk_kernel_latency(kernel, 0, RK_NONE, &latency, &test_error), INVALID);
    CHECK_ERROR(rk_kernel_latency(kernel, 3, RK_NONE, &latency, &test_error), INVALID);
    CHECK_ERROR(rk_kernel_latency(kernel, 1, 2, &latency, &test_error), RK_ERROR_NOT_FOUND);
    CHECK_ERROR(rk_kernel_latency(kernel, 1, RK_NONE, NULL, &test_error), INVALID);
    latency.struct_size = 3;
    CHECK_ERROR(rk_kernel_latency(kernel, 1, RK_NONE, &latency, &test_error), INVALID);
    /* A caller of an older header. */
    memset(&latency, 0x5A, sizeof latency);
    latency.struct_size = offsetof(rk_latency, mean_ns);
    CHECK_DONE(rk_kernel_latency(kernel, 1, RK_NONE, &latency, &test_error));
    CHECK_EQ(latency.count, MESSAGES + 2);
    const double *untouched = &latency.mean_ns;
    for (size_t i = 0; i < sizeof *untouched; i++) CHECK_EQ(((const unsigned char *)untouched)[i], 0x5A);
    char *text = metrics_of(all.runtime, 0);
    CHECK(strstr(text, "ringkernel_handler_seconds_bucket{") != NULL);
    CHECK(strstr(text, "ringkernel_queue_seconds_count{") != NULL);
    free(text);
    CHECK_OK(rk_kernel_destroy(kernel));
    /* None is measured unless asked for. */
    fixture_verify(all.actor);
    rk_latency none = RK_LATENCY_INIT;
    CHECK_DONE(rk_kernel_latency(all.kernel, RK_LATENCY_HANDLER, RK_NONE, &none, &test_error));
    CHECK_EQ(none.count, 0);
    CHECK(none.p99_ns == 0 && none.mean_ns == 0 && none.max_ns == 0);
    options.latency_every = 1000001;
    CHECK_ERROR(rk_kernel_launch(all.runtime, all.module, "responder", 9, &options, &kernel, &test_error), INVALID);
    fixture_close(&all);
}

typedef struct heard {
    rk_alert_notice last;
    atomic_uint raised, cleared;
    bool destroys;
} heard;

static void hear(void *user, const rk_alert_notice *notice) {
    heard *with = user;
    with->last = *notice;
    atomic_fetch_add(notice->raised == 1 ? &with->raised : &with->cleared, 1);
    if (with->destroys) CHECK_OK(rk_alert_destroy(notice->alert));
}

static rk_alert watch(const fixture *all, uint32_t metric, double threshold, heard *with) {
    rk_alert_options options = RK_ALERT_OPTIONS_INIT;
    options.metric = metric;
    options.threshold = threshold;
    options.window_ms = 1;
    options.notify = hear;
    options.user = with;
    rk_alert alert = {0};
    CHECK_DONE(rk_alert_create(all->runtime, &options, &alert, &test_error));
    CHECK(alert.id != 0);
    return alert;
}

/* Past every window. */
static uint32_t check_alerts(const fixture *all) {
    usleep(3000);
    uint32_t raised = 77;
    CHECK_DONE(rk_alerts_check(all->runtime, &raised, &test_error));
    return raised;
}

CASE(alerts_raise_and_clear) {
    enum { LARGE = 1 << 28 };
    fixture all = fixture_open();
    static heard drops, failures, depth, memory;
    rk_alert drop_alert = watch(&all, RK_ALERT_DROPS, 0.001, &drops);
    watch(&all, RK_ALERT_FAILURES, 0.001, &failures);
    watch(&all, RK_ALERT_DEPTH, 3, &depth);
    watch(&all, RK_ALERT_MEMORY, LARGE, &memory);
    CHECK_EQ(check_alerts(&all), 0);
    break_actor(&all, 0, 2);
    CHECK_EQ(check_alerts(&all), 2);
    CHECK_EQ(drops.raised, 1);
    CHECK_EQ(failures.raised, 1);
    CHECK_EQ(drops.last.alert.id, drop_alert.id);
    CHECK_EQ(drops.last.kernel.id, 0);
    CHECK_EQ(drops.last.metric, RK_ALERT_DROPS);
    CHECK(drops.last.value >= 0.001 && drops.last.threshold == 0.001);
    CHECK(drops.last.time != 0);
    /* Nothing more happens: cleared, once. */
    CHECK_EQ(check_alerts(&all), 0);
    CHECK_EQ(check_alerts(&all), 0);
    CHECK_EQ(drops.raised, 1);
    CHECK_EQ(drops.cleared, 1);
    CHECK_EQ(failures.cleared, 1);
    /* What waits, waits. */
    CHECK_DONE(rk_kernel_deactivate(all.kernel, &test_error));
    note value = {.value = 1};
    for (int i = 0; i < 3; i++) CHECK_OK(rk_send(all.actor, RK_TYPE(note), &value, sizeof value, NULL));
    CHECK_EQ(check_alerts(&all), 1);
    CHECK_EQ(depth.raised, 1);
    CHECK(depth.last.value == 3);
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    fixture_verify(all.actor);
    settle(all.kernel);
    CHECK_EQ(check_alerts(&all), 0);
    CHECK_EQ(depth.cleared, 1);
    CHECK_EQ(memory.raised, 0);
    /* Buffers count, as long as they live. */
    rk_buffer_options large = RK_BUFFER_OPTIONS_INIT;
    large.size = LARGE;
    rk_buffer buffer;
    CHECK_DONE(rk_buffer_create(all.runtime, &large, &buffer, &test_error));
    CHECK_EQ(check_alerts(&all), 1);
    CHECK(memory.raised == 1 && memory.last.value >= LARGE);
    CHECK_OK(rk_buffer_destroy(buffer));
    CHECK_EQ(check_alerts(&all), 0);
    fixture_close(&all);
}

CASE(alerts_of_times) {
    fixture all = fixture_open();
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.latency_every = 1;
    rk_kernel kernel = fixture_launch(all.runtime, all.module, &options);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
    static heard slow, waiting;
    watch(&all, RK_ALERT_HANDLER_TIME, 1e6, &slow);
    watch(&all, RK_ALERT_QUEUE_TIME, 1e6, &waiting);
    spend(kernel, actor);
    CHECK_EQ(check_alerts(&all), 2);
    CHECK(slow.last.value >= 1e6 && slow.last.value < 1e10);
    CHECK_EQ(waiting.raised, 1);
    CHECK_EQ(check_alerts(&all), 0); /* no message since */
    CHECK_EQ(slow.cleared, 1);
    CHECK_EQ(waiting.cleared, 1);
    CHECK_OK(rk_kernel_destroy(kernel));
    CHECK_EQ(check_alerts(&all), 0);
    fixture_close(&all);
}

CASE(alerts_waver_between_two_thresholds) {
    fixture all = fixture_open();
    static heard with;
    rk_alert_options options = RK_ALERT_OPTIONS_INIT;
    options.metric = RK_ALERT_DEPTH;
    options.kernel = all.kernel;
    options.threshold = 4;
    options.clear_below = 2;
    options.notify = hear;
    options.user = &with;
    rk_alert alert;
    CHECK_DONE(rk_alert_create(all.runtime, &options, &alert, &test_error));
    note value = {.value = 1};
    static const struct {
        uint32_t waiting, raised;
    } steps[] = {{1, 0}, {3, 0}, {4, 1}, {3, 1}, {2, 1}, {5, 1}, {1, 0}, {2, 0}, {3, 0}, {4, 1}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        CHECK_DONE(rk_kernel_deactivate(all.kernel, &test_error));
        for (uint32_t k = 0; k < steps[i].waiting; k++)
            CHECK_OK(rk_send(all.actor, RK_TYPE(note), &value, sizeof value, NULL));
        CHECK_EQ(check_alerts(&all), steps[i].raised);
        CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
        fixture_verify(all.actor);
    }
    CHECK_EQ(with.raised, 2);
    CHECK_EQ(with.cleared, 1);
    CHECK_EQ(with.last.kernel.id, all.kernel.id);
    /* With its kernel the value is gone. */
    CHECK_OK(rk_kernel_destroy(all.kernel));
    CHECK_EQ(check_alerts(&all), 0);
    CHECK_EQ(with.cleared, 2);
    CHECK_OK(rk_alert_destroy(alert));
    CHECK_STATUS(rk_alert_destroy(alert), RK_ERROR_STALE_HANDLE);
    CHECK_OK(rk_runtime_destroy(all.runtime));
}

CASE(alerts_bad_arguments) {
    fixture all = fixture_open();
    static heard with;
    rk_alert_options good = RK_ALERT_OPTIONS_INIT;
    good.metric = RK_ALERT_DEPTH;
    good.threshold = 1;
    good.notify = hear;
    good.user = &with;
    rk_alert alert = {NOT_ZERO};
#define REFUSES(expected, change)                                                                                      \
    do {                                                                                                               \
        rk_alert_options options = good;                                                                               \
        change;                                                                                                        \
        alert.id = NOT_ZERO;                                                                                           \
        CHECK_ERROR(rk_alert_create(all.runtime, &options, &alert, &test_error), expected);                            \
        CHECK_EQ(alert.id, 0);                                                                                         \
    } while (0)
    const double zero = 0;
    REFUSES(INVALID, options.metric = 0);
    REFUSES(INVALID, options.metric = 7);
    REFUSES(INVALID, options.threshold = 0);
    REFUSES(INVALID, options.threshold = -1);
    REFUSES(INVALID, options.threshold = 1 / zero);
    REFUSES(INVALID, options.threshold = zero / zero);
    REFUSES(INVALID, options.clear_below = 2);
    REFUSES(INVALID, options.clear_below = -1);
    REFUSES(INVALID, options.clear_below = zero / zero);
    REFUSES(INVALID, options.quantile = 1.1);
    REFUSES(INVALID, options.quantile = -0.5);
    REFUSES(INVALID, options.window_ms = 3600001);
    REFUSES(INVALID, options.reserved = 1);
    REFUSES(INVALID, options.notify = NULL);
    REFUSES(INVALID, options.struct_size = 3);
    REFUSES(RK_ERROR_STALE_HANDLE, options.kernel.id = NOT_ZERO);
#undef REFUSES
    CHECK_ERROR(rk_alert_create(all.runtime, NULL, &alert, &test_error), INVALID); /* no notify */
    CHECK_ERROR(rk_alert_create(all.runtime, &good, NULL, &test_error), INVALID);
    rk_runtime other = fixture_runtime();
    good.kernel = all.kernel;
    CHECK_ERROR(rk_alert_create(other, &good, &alert, &test_error), RK_ERROR_STALE_HANDLE);
    CHECK_OK(rk_runtime_destroy(other));
    CHECK_DONE(rk_alerts_check(all.runtime, NULL, &test_error));
    fixture_close(&all);
}

/* A change is told once, whoever looks; and an alert may be destroyed by its own function. */
static void look(unsigned index, void *shared) {
    const fixture *all = shared;
    (void)index;
    for (int i = 0; i < 300; i++) CHECK_DONE(rk_alerts_check(all->runtime, NULL, &test_error));
}

CASE(alerts_races) {
    fixture all = fixture_open();
    static heard once, last = {.destroys = true};
    CHECK_DONE(rk_kernel_deactivate(all.kernel, &test_error));
    watch(&all, RK_ALERT_DEPTH, 1, &once);
    rk_alert dies = watch(&all, RK_ALERT_DEPTH, 1, &last);
    note value = {.value = 1};
    CHECK_OK(rk_send(all.actor, RK_TYPE(note), &value, sizeof value, NULL));
    test_threads(4, look, &all);
    CHECK_EQ(once.raised, 1);
    CHECK_EQ(last.raised, 1);
    CHECK_STATUS(rk_alert_destroy(dies), RK_ERROR_STALE_HANDLE);
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    fixture_close(&all);
}
