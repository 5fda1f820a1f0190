/* plant_monitor: what a program has to watch its actors with. Names and patterns, alerts, latencies, stamps, metrics for
 * Prometheus, a trace for Perfetto, and options from a file.
 *
 * Usage: plant_monitor [--backend auto|cpu|cuda|vulkan] [--config FILE.toml] [--metrics FILE] [--trace FILE] [--timings]
 */
#define _POSIX_C_SOURCE 200809L /* nanosleep */

#include "common.h"
#include "plant_monitor.rk.h"

#include <getopt.h>
#include <inttypes.h>
#include <ringkernel/module.h>
#include <time.h>

RK_DECLARE_MODULE(plant_monitor);

#define SECOND INT64_C(1000000000)
enum { PUMPS = 3 };

static void add_names(rk_runtime runtime, rk_kernel kernel, const char *hall) {
    char name[64];
    rk_error error;
    int length = snprintf(name, sizeof name, "plant/%s", hall);
    check(rk_registry_add_kernel(runtime, name, (size_t)length, kernel, &error), &error, "rk_registry_add_kernel");
    for (uint32_t i = 0; i < PUMPS; i++) {
        rk_actor pump;
        check(rk_kernel_actor(kernel, i, &pump), NULL, "rk_kernel_actor");
        length = snprintf(name, sizeof name, "plant/%s/pump/%" PRIu32, hall, i);
        check(rk_registry_add_actor(runtime, name, (size_t)length, pump, &error), &error, "rk_registry_add_actor");
    }
}

static rk_kernel launch(rk_runtime runtime, rk_module module, const char *hall) {
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = PUMPS;
    options.name = hall;
    options.name_length = (uint32_t)strlen(hall);
    rk_kernel kernel;
    rk_error error;
    check(rk_kernel_launch(runtime, module, NULL, 0, &options, &kernel, &error), &error, "rk_kernel_launch");
    check(rk_kernel_activate(kernel, &error), &error, "rk_kernel_activate");
    add_names(runtime, kernel, hall);
    return kernel;
}

/* Everything that a pattern finds; the last one comes back. */
static rk_registry_entry find(rk_runtime runtime, const char *pattern) {
    rk_registry_entry entries[8];
    uint32_t count;
    rk_error error;
    check(rk_registry_find(runtime, pattern, strlen(pattern), entries, 8, &count, &error), &error, "rk_registry_find");
    printf("%s:", pattern);
    for (uint32_t i = 0; i < count; i++) printf(" %s", entries[i].name);
    printf("\n");
    return entries[count - 1];
}

/* Told inside rk_alerts_check(), in our own thread. */
static void on_alert(void *user, const rk_alert_notice *notice) {
    static const char *const metrics[] = {"", "drops", "failures", "depth", "queue time", "handler time", "memory"};
    uint64_t *last = user;
    printf("alert: %s %s\n", metrics[notice->metric], notice->raised ? "is too high" : "is as it should be");
    if (rk_hlc_compare(*last, notice->time) >= 0) printf("which was told too late\n");
    *last = notice->time;
}

static void watch(rk_runtime runtime, uint32_t metric, double threshold, uint64_t *last) {
    rk_alert_options options = RK_ALERT_OPTIONS_INIT;
    options.metric = metric;
    options.threshold = threshold;
    options.window_ms = 20;
    options.notify = on_alert;
    options.user = last;
    rk_alert alert;
    rk_error error;
    check(rk_alert_create(runtime, &options, &alert, &error), &error, "rk_alert_create");
}

/* Alerts are looked at when we say so. */
static uint32_t look(rk_runtime runtime) {
    const struct timespec window = {.tv_nsec = 25000000};
    nanosleep(&window, NULL);
    uint32_t raised;
    rk_error error;
    check(rk_alerts_check(runtime, &raised, &error), &error, "rk_alerts_check");
    return raised;
}

static uint64_t litres_of(rk_actor pump) {
    delivered reply;
    rk_error error;
    check(rk_call(pump, RK_TYPE(report), NULL, 0, NULL, &reply, sizeof reply, NULL, 10 * SECOND, &error), &error,
          "rk_call");
    return reply.litres;
}

static void print_latency(rk_kernel kernel, uint32_t which, const char *what) {
    rk_latency latency = RK_LATENCY_INIT;
    rk_error error;
    check(rk_kernel_latency(kernel, which, RK_NONE, &latency, &error), &error, "rk_kernel_latency");
    printf("%s of %" PRIu64 " messages: p50 %.0f ns, p99 %.0f ns\n", what, latency.count, latency.p50_ns,
           latency.p99_ns);
}

static void write_part(void *file, const char *text, size_t length) {
    fwrite(text, 1, length, file);
}

static void write_metrics(rk_runtime runtime, const char *path) {
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    rk_error error;
    check(rk_metrics_write(runtime, RK_METRICS_WORKERS, write_part, file, &error), &error, "rk_metrics_write");
    fclose(file);
}

/* For https://ui.perfetto.dev or chrome://tracing. */
static void write_trace(rk_runtime runtime, const char *path) {
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    rk_error error;
    check(rk_trace_stop(runtime, &error), &error, "rk_trace_stop");
    check(rk_trace_write(runtime, write_part, file, &error), &error, "rk_trace_write");
    fclose(file);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"backend", required_argument, NULL, 'b'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"metrics", required_argument, NULL, 'm'},
                                            {"timings", no_argument, NULL, 't'},
                                            {"trace", required_argument, NULL, 'T'},
                                            {0}};
    rk_runtime_options runtime_options = RK_RUNTIME_OPTIONS_INIT;
    const char *metrics = NULL, *trace = NULL;
    int timings = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'b': runtime_options.backend = parse_backend(optarg); break;
        case 'c':
            runtime_options.config = optarg;
            runtime_options.config_length = strlen(optarg);
            break;
        case 'm': metrics = optarg; break;
        case 't': timings = 1; break;
        case 'T': trace = optarg; break;
        default: return EXIT_FAILURE;
        }
    }
    rk_error error;
    rk_runtime runtime;
    rk_module module;
    check(rk_runtime_create(RK_VERSION, &runtime_options, &runtime, &error), &error, "rk_runtime_create");
    check(rk_module_create(runtime, &plant_monitor, &module, &error), &error, "rk_module_create");
    if (trace != NULL) check(rk_trace_start(runtime, NULL, &error), &error, "rk_trace_start");
    rk_kernel north = launch(runtime, module, "north");
    rk_kernel south = launch(runtime, module, "south");
    (void)find(runtime, "plant/*");
    const rk_registry_entry pump = find(runtime, "plant/*/pump/1");
    (void)find(runtime, "plant/north/#");

    uint64_t told = 0;
    check(rk_hlc_now(runtime, &told), NULL, "rk_hlc_now");
    watch(runtime, RK_ALERT_DEPTH, 100, &told);
    watch(runtime, RK_ALERT_FAILURES, 0.1, &told);

    /* Work piles up while the south hall is closed. */
    check(rk_kernel_deactivate(south, &error), &error, "rk_kernel_deactivate");
    for (uint32_t i = 0; i < 150; i++) {
        const deliver message = {.litres = i};
        check(rk_send(pump.actor, RK_TYPE(deliver), &message, sizeof message, NULL), NULL, "rk_send");
    }
    printf("%" PRIu32 " alert\n", look(runtime));
    check(rk_kernel_activate(south, &error), &error, "rk_kernel_activate");
    printf("%s delivered %" PRIu64 " litres\n", pump.name, litres_of(pump.actor));
    printf("%" PRIu32 " alerts\n", look(runtime));

    /* A pump breaks. */
    rk_actor victim;
    check(rk_registry_actor(runtime, "plant/north/pump/0", 18, &victim, &error), &error, "rk_registry_actor");
    check(rk_send(victim, RK_TYPE(smash), NULL, 0, NULL), NULL, "rk_send");
    rk_message event;
    uint32_t count;
    check(rk_poll(runtime, &event, 1, NULL, 0, 10 * SECOND, &count), NULL, "rk_poll");
    check(rk_kernel_deactivate(north, &error), &error, "rk_kernel_deactivate");
    printf("%" PRIu32 " alert\n", look(runtime));
    printf("%" PRIu32 " alerts\n", look(runtime));

    if (timings) {
        char text[RK_HLC_TEXT_SIZE];
        check(rk_hlc_format(event.time, text, sizeof text, NULL), NULL, "rk_hlc_format");
        printf("it broke at %s\n", text);
        print_latency(south, RK_LATENCY_QUEUE, "waiting");
        print_latency(south, RK_LATENCY_HANDLER, "handling");
    }
    if (trace != NULL) write_trace(runtime, trace);
    if (metrics != NULL) write_metrics(runtime, metrics);
    check(rk_runtime_destroy(runtime), NULL, "rk_runtime_destroy");
    return EXIT_SUCCESS;
}
