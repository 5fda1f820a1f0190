/* market_data: quotes for whoever wants them. The host publishes prices to a topic for each instrument; actors subscribe
 * to one, or to all by a wildcard, and publish signals themselves, which the host subscribes to. A screen that is slower
 * than the market sees the newest quotes only, and who comes late gets the last price at once.
 *
 * Usage: market_data [--backend auto|cpu|cuda|vulkan] [--quotes N]
 */
#include "common.h"
#include "market_data.rk.h"

#include <getopt.h>
#include <inttypes.h>
#include <ringkernel/module.h>

RK_DECLARE_MODULE(market_data);

#define SECOND INT64_C(1000000000)
enum { INSTRUMENTS = 3, MOST_SIGNALS = 1024 };
static const char *const names[INSTRUMENTS] = {"quote/metal/copper", "quote/metal/zinc", "quote/grain/wheat"};

static rk_topic open_topic(rk_runtime runtime, const char *name, uint32_t flags) {
    rk_topic_options options = RK_TOPIC_OPTIONS_INIT;
    options.flags = flags;
    rk_topic topic;
    rk_error error;
    check(rk_topic_open(runtime, name, strlen(name), &options, &topic, &error), &error, "rk_topic_open");
    return topic;
}

static rk_subscription subscribe(rk_runtime runtime, const char *filter, const rk_subscription_options *options) {
    rk_subscription subscription;
    rk_error error;
    check(rk_subscribe(runtime, filter, strlen(filter), options, &subscription, &error), &error, "rk_subscribe");
    return subscription;
}

/* Every quote, however many wait: the publisher waits with them when even more do. */
static rk_actor follower(rk_runtime runtime, rk_kernel kernel, uint32_t index, const char *filter, rk_topic signals) {
    rk_subscription_options options = RK_SUBSCRIPTION_OPTIONS_INIT;
    options.qos = RK_QOS_EXACTLY_ONCE;
    check(rk_kernel_actor(kernel, index, &options.actor), NULL, "rk_kernel_actor");
    const follow message = {.signals = signals.id};
    check(rk_send(options.actor, RK_TYPE(follow), &message, sizeof message, NULL), NULL, "rk_send");
    (void)subscribe(runtime, filter, &options);
    return options.actor;
}

static summary ask(rk_actor actor) {
    summary reply;
    rk_error error;
    check(rk_call(actor, RK_TYPE(report), NULL, 0, NULL, &reply, sizeof reply, NULL, 10 * SECOND, &error), &error,
          "rk_call");
    return reply;
}

/* A price that walks at random. */
static uint32_t walk(uint32_t cents, uint32_t *random) {
    *random = *random * 1664525u + 1013904223u;
    return cents - cents / 100 + (*random >> 16) % (cents / 50 + 1);
}

static int by_number(const void *left, const void *right) {
    const crossing *a = left, *b = right;
    return a->number != b->number ? (a->number > b->number) - (a->number < b->number)
                                  : (a->instrument > b->instrument) - (a->instrument < b->instrument);
}

/* Those that actors have published. They come from several, so that the numbers put them in order. */
static void print_signals(rk_runtime runtime, uint32_t expected) {
    static crossing signals[MOST_SIGNALS];
    for (uint32_t i = 0; i < expected && i < MOST_SIGNALS; i++) {
        rk_message message;
        uint32_t count;
        check(rk_poll(runtime, &message, 1, &signals[i], sizeof signals[i], 10 * SECOND, &count), NULL, "rk_poll");
        if (message.kind != RK_MESSAGE_PUBLICATION) {
            fprintf(stderr, "a message of kind %" PRIu32 ", reason %" PRId32 "\n", message.kind, message.reason);
            exit(EXIT_FAILURE);
        }
    }
    qsort(signals, expected, sizeof signals[0], by_number);
    for (uint32_t i = 0; i < expected && i < 5; i++)
        printf("signal at quote %" PRIu32 ": %s is at %" PRIu32 ", above its average of %" PRIu32 "\n", signals[i].number,
               names[signals[i].instrument], signals[i].cents, signals[i].average);
}

/* What a queue has, by topic. */
static void print_quotes(rk_queue queue, const char *who) {
    rk_message message;
    quote last;
    uint32_t count;
    while (rk_queue_poll(queue, &message, 1, &last, sizeof last, 0, &count) == RK_OK) {
        char name[RK_NAME_SIZE];
        const rk_topic topic = {message.to.id};
        check(rk_topic_name(topic, name, sizeof name, NULL, NULL), NULL, "rk_topic_name");
        printf("%s: %s is at %" PRIu32 ", quote %" PRIu32 "\n", who, name, last.cents, last.number);
    }
}

int main(int argc, char **argv) {
    static const struct option arguments[] = {
        {"backend", required_argument, NULL, 'b'}, {"quotes", required_argument, NULL, 'q'}, {0}};
    rk_runtime_options runtime_options = RK_RUNTIME_OPTIONS_INIT;
    uint32_t quotes = 500;
    for (int option; (option = getopt_long(argc, argv, "", arguments, NULL)) != -1;) {
        switch (option) {
        case 'b': runtime_options.backend = parse_backend(optarg); break;
        case 'q': quotes = parse_number("--quotes", optarg, 1, 1000); break;
        default: return EXIT_FAILURE;
        }
    }
    rk_error error;
    rk_runtime runtime;
    rk_module module;
    rk_kernel kernel;
    rk_kernel_options kernel_options = RK_KERNEL_OPTIONS_INIT;
    kernel_options.actors = INSTRUMENTS + 1;
    check(rk_runtime_create(RK_VERSION, &runtime_options, &runtime, &error), &error, "rk_runtime_create");
    check(rk_module_create(runtime, &market_data, &module, &error), &error, "rk_module_create");
    check(rk_kernel_launch(runtime, module, NULL, 0, &kernel_options, &kernel, &error), &error, "rk_kernel_launch");
    check(rk_kernel_activate(kernel, &error), &error, "rk_kernel_activate");

    /* Each topic keeps its last price. Subscriptions may be made before the topics, and the other way round. */
    const rk_topic signals = open_topic(runtime, "signal", 0);
    rk_actor followers[INSTRUMENTS];
    for (uint32_t i = 0; i < INSTRUMENTS; i++) followers[i] = follower(runtime, kernel, i, names[i], signals);
    const rk_topic nowhere = {0};
    const rk_actor metals = follower(runtime, kernel, INSTRUMENTS, "quote/metal/*", nowhere);
    rk_topic topics[INSTRUMENTS];
    for (uint32_t i = 0; i < INSTRUMENTS; i++) topics[i] = open_topic(runtime, names[i], RK_TOPIC_RETAIN);

    /* The host: all signals by the runtime's own queue; of the quotes, the last three that the screen has not shown. */
    rk_subscription_options options = RK_SUBSCRIPTION_OPTIONS_INIT;
    options.capacity = MOST_SIGNALS;
    (void)subscribe(runtime, "signal", &options);
    rk_queue screen;
    check(rk_queue_create(runtime, &screen, &error), &error, "rk_queue_create");
    options.queue = screen;
    options.capacity = 3;
    options.overflow = RK_OVERFLOW_DROP_OLDEST;
    const rk_subscription shown = subscribe(runtime, "quote/#", &options);

    uint32_t random = 20, cents[INSTRUMENTS] = {90000, 25000, 60000};
    rk_publish_options patient = RK_PUBLISH_OPTIONS_INIT;
    patient.timeout_ns = 10 * SECOND;
    for (uint32_t number = 1; number <= quotes; number++) {
        for (uint32_t i = 0; i < INSTRUMENTS; i++) {
            cents[i] = walk(cents[i], &random);
            const quote message = {.instrument = i, .number = number, .cents = cents[i]};
            check(rk_publish(topics[i], RK_TYPE(quote), &message, sizeof message, &patient), NULL, "rk_publish");
        }
    }
    print_quotes(screen, "screen");
    rk_subscription_statistics counts = RK_SUBSCRIPTION_STATISTICS_INIT;
    check(rk_subscription_stats(shown, &counts, &error), &error, "rk_subscription_stats");
    printf("screen: %" PRIu64 " quotes shown, %" PRIu64 " passed by\n", counts.delivered, counts.dropped);

    /* Whoever asks now may be told before the last quotes that wait. */
    for (uint32_t i = 0; i < INSTRUMENTS; i++) {
        rk_topic_statistics stats = RK_TOPIC_STATISTICS_INIT;
        do check(rk_topic_stats(topics[i], &stats, &error), &error, "rk_topic_stats");
        while (stats.waiting != 0);
    }
    uint32_t made = 0;
    for (uint32_t i = 0; i < INSTRUMENTS; i++) {
        const summary got = ask(followers[i]);
        printf("%s: %" PRIu32 " quotes, the last %" PRIu32 ", average %" PRIu32 ", %" PRIu32 " signals\n", names[i],
               got.quotes, got.last, got.average, got.signals);
        made += got.signals;
    }
    printf("quote/metal/*: %" PRIu32 " quotes\n", ask(metals).quotes);
    print_signals(runtime, made);

    /* One who comes late. */
    rk_queue late;
    check(rk_queue_create(runtime, &late, &error), &error, "rk_queue_create");
    rk_subscription_options latecomer = RK_SUBSCRIPTION_OPTIONS_INIT;
    latecomer.queue = late;
    (void)subscribe(runtime, "quote/*/wheat", &latecomer);
    print_quotes(late, "latecomer");
    check(rk_runtime_destroy(runtime), NULL, "rk_runtime_destroy");
    return EXIT_SUCCESS;
}
