/* hello_actor: one actor that keeps a sum, from launch to statistics.
 *
 * Usage: hello_actor [--backend auto|cpu|cuda|vulkan] [--messages N]
 */
#include "common.h"
#include "hello_actor.rk.h"

#include <getopt.h>
#include <inttypes.h>
#include <ringkernel/module.h>

RK_DECLARE_MODULE(hello_actor);

#define SECOND INT64_C(1000000000)

/* Sends 1, 2, ... count. Nobody answers: the sum stays with the actor. */
static void add_numbers(rk_actor actor, uint32_t count) {
    const rk_send_options patient = {.struct_size = sizeof patient, .timeout_ns = SECOND};
    for (uint32_t i = 1; i <= count; i++) {
        const add message = {.value = i};
        check(rk_send(actor, RK_TYPE(add), &message, RK_SIZE(add), &patient), NULL, "rk_send");
    }
}

static total ask_total(rk_actor actor) {
    total reply;
    rk_error error;
    check(rk_call(actor, RK_TYPE(ask), NULL, 0, NULL, &reply, sizeof reply, NULL, 10 * SECOND, &error), &error,
          "rk_call");
    return reply;
}

static rk_kernel_statistics statistics(rk_kernel kernel) {
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    rk_error error;
    check(rk_kernel_stats(kernel, &stats, &error), &error, "rk_kernel_stats");
    return stats;
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"backend", required_argument, NULL, 'b'}, {"messages", required_argument, NULL, 'm'}, {0}};
    rk_runtime_options runtime_options = RK_RUNTIME_OPTIONS_INIT;
    uint32_t count = 100;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'b': runtime_options.backend = parse_backend(optarg); break;
        case 'm': count = parse_number("--messages", optarg, 1, 1000); break;
        default: return EXIT_FAILURE;
        }
    }

    rk_error error;
    rk_runtime runtime;
    rk_module module;
    rk_kernel kernel;
    rk_actor actor;
    check(rk_runtime_create(RK_VERSION, &runtime_options, &runtime, &error), &error, "rk_runtime_create");
    check(rk_module_create(runtime, &hello_actor, &module, &error), &error, "rk_module_create");
    check(rk_kernel_launch(runtime, module, NULL, 0, NULL, &kernel, &error), &error, "rk_kernel_launch");
    check(rk_kernel_actor(kernel, 0, &actor), NULL, "rk_kernel_actor");

    check(rk_kernel_activate(kernel, &error), &error, "rk_kernel_activate");
    add_numbers(actor, count);
    printf("active:    sent 1 to %" PRIu32 ", the sum is %" PRIu64 "\n", count, ask_total(actor).sum);

    /* A suspended kernel still accepts messages, as many as its rings hold; they wait. */
    check(rk_kernel_deactivate(kernel, &error), &error, "rk_kernel_deactivate");
    add_numbers(actor, count);
    printf("suspended: sent them again, %" PRIu64 " are waiting\n", statistics(kernel).pending);

    check(rk_kernel_activate(kernel, &error), &error, "rk_kernel_activate");
    const total last = ask_total(actor);
    printf("resumed:   %" PRIu64 " additions, the sum is %" PRIu64 "\n", last.additions, last.sum);

    check(rk_kernel_drain(kernel, 10 * SECOND, &error), &error, "rk_kernel_drain");
    const rk_kernel_statistics stats = statistics(kernel);
    printf("drained:   accepted %" PRIu64 " = handled %" PRIu64 " + dead letters %" PRIu64 " + pending %" PRIu64 "\n",
           stats.accepted, stats.handled, stats.dead_letters, stats.pending);
    printf("           %" PRIu64 " replies, at most %" PRIu64 " waiting, %" PRIu64 " bytes of memory, on %s\n",
           stats.sent_host, stats.high_water, stats.memory, backend_names[stats.backend]);

    check(rk_kernel_destroy(kernel), NULL, "rk_kernel_destroy");
    check(rk_module_destroy(module), NULL, "rk_module_destroy");
    check(rk_runtime_destroy(runtime), NULL, "rk_runtime_destroy");
    return EXIT_SUCCESS;
}
