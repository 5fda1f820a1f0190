/* batch_processor: daily weather records through a pipeline of three kernels, with rings so small that each stage is
 * held up by the next, and the host by the first.
 *
 *     records.csv -> 4 parsers -> one aggregator for each station -> reporter -> table
 *
 * Usage: batch_processor [--backend auto|cpu|cuda|vulkan] [--ring N] [--stations N] [records.csv]
 */
#define _POSIX_C_SOURCE 200809L /* getline */
#include "batch_processor.rk.h"
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <ringkernel/module.h>

RK_DECLARE_MODULE(batch_processor);

#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define PARSERS 4

struct pipeline {
    rk_runtime runtime;
    rk_kernel parsers;
    rk_kernel aggregators;
    rk_kernel reporter;
    rk_actor parser[PARSERS];
    uint64_t refused; /* sends that found the ring full */
    rejected *rejections;
    size_t rejection_count;
    report reports[STATIONS_MAX];
    uint32_t report_count;
    size_t reported; /* lines that went into the reports */
    int report_is_complete;
};

static rk_kernel launch(rk_runtime runtime, rk_module module, const char *actor, uint32_t actors, uint32_t ring) {
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = actors;
    options.inbound_capacity = ring;
    options.actor_capacity = ring;
    options.outbound_capacity = ring;
    rk_kernel kernel;
    rk_error error;
    check(rk_kernel_launch(runtime, module, actor, strlen(actor), &options, &kernel, &error), &error,
          "rk_kernel_launch");
    check(rk_kernel_activate(kernel, &error), &error, "rk_kernel_activate");
    return kernel;
}

static rk_actor actor_of(rk_kernel kernel, uint32_t index) {
    rk_actor actor;
    check(rk_kernel_actor(kernel, index, &actor), NULL, "rk_kernel_actor");
    return actor;
}

/* A call, not a send: when it returns, the actor knows its neighbours. Before that nothing may reach it from a stage
 * before, and messages of different senders have no order. */
static void connect_actor(rk_actor actor, uint32_t type, const void *message, uint32_t size) {
    rk_error error;
    check(rk_call(actor, type, message, size, NULL, NULL, 0, NULL, 10 * SECOND, &error), &error, "rk_call");
}

static void connect_pipeline(struct pipeline *pipeline, uint32_t stations) {
    const connect_reporter to_reporter = {.stations = stations};
    connect_actor(actor_of(pipeline->reporter, 0), RK_TYPE(connect_reporter), &to_reporter, sizeof to_reporter);

    const connect_aggregator to_aggregator = {.parsers = PARSERS, .reporter = actor_of(pipeline->reporter, 0).id};
    connect_parser to_parser = {.stations = stations};
    for (uint32_t i = 0; i < stations; i++) {
        rk_actor aggregator = actor_of(pipeline->aggregators, i);
        connect_actor(aggregator, RK_TYPE(connect_aggregator), &to_aggregator, sizeof to_aggregator);
        to_parser.aggregators[i] = aggregator.id;
    }
    for (uint32_t i = 0; i < PARSERS; i++) {
        pipeline->parser[i] = actor_of(pipeline->parsers, i);
        connect_actor(pipeline->parser[i], RK_TYPE(connect_parser), &to_parser, sizeof to_parser);
    }
}

static void add_rejection(struct pipeline *pipeline, const rejected *rejection) {
    size_t count = pipeline->rejection_count;
    if ((count & (count - 1)) == 0) { /* full, as capacities are powers of two */
        size_t capacity = count == 0 ? 1 : 2 * count;
        pipeline->rejections = realloc(pipeline->rejections, capacity * sizeof *rejection);
        if (pipeline->rejections == NULL) {
            perror("realloc");
            exit(EXIT_FAILURE);
        }
    }
    pipeline->rejections[pipeline->rejection_count++] = *rejection;
}

static void add_report(struct pipeline *pipeline, const report *row) {
    pipeline->reports[pipeline->report_count++] = *row;
    pipeline->reported += row->days;
}

/* Takes what the pipeline has for the host: rejections as they occur, the reports at the end. */
static rk_status collect(struct pipeline *pipeline, int64_t timeout_ns) {
    rk_message messages[16];
    _Alignas(16) unsigned char payloads[16 * 64];
    uint32_t count;
    rk_status status = rk_poll(pipeline->runtime, messages, 16, payloads, sizeof payloads, timeout_ns, &count);
    if (status != RK_OK) {
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        const rk_message *message = &messages[i];
        if (message->kind != RK_MESSAGE_EMIT) {
            fprintf(stderr, "unexpected message of kind %" PRIu32 ", reason %" PRId32 "\n", message->kind,
                    message->reason);
            exit(EXIT_FAILURE);
        }
        switch (message->type) {
        case RK_TYPE(rejected): add_rejection(pipeline, message->payload); break;
        case RK_TYPE(report): add_report(pipeline, message->payload); break;
        case RK_TYPE(end_of_report): pipeline->report_is_complete = 1; break;
        }
    }
    return RK_OK;
}

/* Sends; while the ring is full, takes what the pipeline has for us, for it may be waiting for just that. */
static void feed(struct pipeline *pipeline, rk_actor parser, uint32_t type, const void *message, uint32_t size) {
    rk_send_options patient = RK_SEND_OPTIONS_INIT;
    patient.timeout_ns = MILLISECOND;
    rk_status status = rk_send(parser, type, message, size, NULL);
    for (int attempts = 0; (status == RK_AGAIN || status == RK_TIMEOUT) && attempts < 10000; attempts++) {
        pipeline->refused++;
        while ((status = collect(pipeline, 0)) == RK_OK) {
        }
        if (status != RK_AGAIN) {
            check(status, NULL, "rk_poll");
        }
        status = rk_send(parser, type, message, size, &patient);
    }
    check(status, NULL, "rk_send");
}

/* Deals the lines out to the parsers, whatever is in them, and returns how many. The very first one is not dealt: it
 * holds the names of the columns. */
static size_t feed_file(struct pipeline *pipeline, FILE *file) {
    char *text = NULL;
    size_t capacity = 0;
    ssize_t length;
    line message = {.number = 0};
    while ((length = getline(&text, &capacity, file)) >= 0) {
        if (message.number++ == 0) {
            continue;
        }
        while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) {
            length--;
        }
        /* A line this long is malformed however it goes on: no valid one is half of it. */
        message.bytes = length < LINE_MAX_BYTES ? (uint32_t)length : LINE_MAX_BYTES;
        memcpy(message.text, text, message.bytes);
        feed(pipeline, pipeline->parser[message.number % PARSERS], RK_TYPE(line), &message, RK_SIZE(line));
    }
    free(text);
    for (uint32_t i = 0; i < PARSERS; i++) {
        feed(pipeline, pipeline->parser[i], RK_TYPE(end_of_input), NULL, 0);
    }
    return message.number > 0 ? message.number - 1 : 0;
}

static int by_line(const void *a, const void *b) {
    uint32_t x = ((const rejected *)a)->number;
    uint32_t y = ((const rejected *)b)->number;
    return (x > y) - (x < y);
}

static void print_results(const struct pipeline *pipeline) {
    for (size_t i = 0; i < pipeline->rejection_count; i++) {
        printf("line %" PRIu32 ": %s\n", pipeline->rejections[i].number,
               pipeline->rejections[i].reason == REASON_MALFORMED ? "malformed" : "impossible");
    }
    printf("station days   mean anomaly coldest     on    warmest     on       rain\n");
    for (uint32_t i = 0; i < pipeline->report_count; i++) {
        const report *row = &pipeline->reports[i];
        printf("%7" PRIu32 " %4" PRIu32 " %6.2f %+7.2f %7.1f %" PRIu32 " %7.1f %" PRIu32 " %7.1f\n", row->station,
               row->days, row->mean / 100.0, row->anomaly / 100.0, row->coldest / 10.0, row->coldest_date,
               row->warmest / 10.0, row->warmest_date, row->rain / 10.0);
    }
}

/* To stderr, for unlike the results it differs from run to run. */
static void print_statistics(const char *name, rk_kernel kernel) {
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    rk_error error;
    check(rk_kernel_drain(kernel, 10 * SECOND, &error), &error, "rk_kernel_drain");
    check(rk_kernel_stats(kernel, &stats, &error), &error, "rk_kernel_stats");
    fprintf(stderr, "%-11s %2" PRIu32 " actors, %5" PRIu64 " messages handled, %5" PRIu64 " sent on, at most %" PRIu64
            " waiting\n", name, stats.actors, stats.handled, stats.sent_actors, stats.high_water);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"backend", required_argument, NULL, 'b'},
                                            {"ring", required_argument, NULL, 'r'},
                                            {"stations", required_argument, NULL, 's'},
                                            {0}};
    rk_runtime_options runtime_options = RK_RUNTIME_OPTIONS_INIT;
    uint32_t ring = 16;
    uint32_t stations = 12;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'b': runtime_options.backend = parse_backend(optarg); break;
        case 'r': ring = parse_number("--ring", optarg, 4, 1 << 20); break; /* a power of two */
        case 's': stations = parse_number("--stations", optarg, 1, STATIONS_MAX); break;
        default: return EXIT_FAILURE;
        }
    }
    const char *path = optind < argc ? argv[optind] : EXAMPLE_RECORDS;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_FAILURE;
    }

    struct pipeline pipeline = {0};
    rk_error error;
    rk_module module;
    check(rk_runtime_create(RK_VERSION, &runtime_options, &pipeline.runtime, &error), &error, "rk_runtime_create");
    check(rk_module_create(pipeline.runtime, &batch_processor, &module, &error), &error, "rk_module_create");
    pipeline.reporter = launch(pipeline.runtime, module, "reporter", 1, ring);
    pipeline.aggregators = launch(pipeline.runtime, module, "aggregator", stations, ring);
    pipeline.parsers = launch(pipeline.runtime, module, "parser", PARSERS, ring);
    connect_pipeline(&pipeline, stations);

    size_t lines = feed_file(&pipeline, file);
    if (ferror(file)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_FAILURE;
    }
    fclose(file);
    /* Messages of different actors have no order: a parser's rejection may come after the reporter's end_of_report. */
    while (!pipeline.report_is_complete || pipeline.reported + pipeline.rejection_count < lines) {
        check(collect(&pipeline, 10 * SECOND), NULL, "rk_poll");
    }

    if (pipeline.rejection_count > 0) {
        qsort(pipeline.rejections, pipeline.rejection_count, sizeof *pipeline.rejections, by_line);
    }
    print_results(&pipeline);
    fprintf(stderr, "%zu lines; the first ring was full %" PRIu64 " times\n", lines, pipeline.refused);
    print_statistics("parsers", pipeline.parsers);
    print_statistics("aggregators", pipeline.aggregators);
    print_statistics("reporter", pipeline.reporter);

    free(pipeline.rejections);
    check(rk_runtime_destroy(pipeline.runtime), NULL, "rk_runtime_destroy");
    return EXIT_SUCCESS;
}
