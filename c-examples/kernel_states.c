/* kernel_states: the life of a kernel, legal and illegal transitions, and what becomes of messages on the way.
 *
 *     created --activate--> active --deactivate--> suspended --activate--> active
 *     active, suspended --drain--> (draining) --> terminated
 *     any of these --terminate--> terminated
 *
 * Usage: kernel_states [--backend auto|cpu|cuda|vulkan]
 */
#include "common.h"
#include "kernel_states.rk.h"

#include <getopt.h>
#include <inttypes.h>
#include <ringkernel/module.h>

RK_DECLARE_MODULE(kernel_states);

#define SECOND INT64_C(1000000000)

static const char *state_name(uint32_t state) {
    switch (state) {
    case RK_KERNEL_CREATED: return "created";
    case RK_KERNEL_ACTIVE: return "active";
    case RK_KERNEL_SUSPENDED: return "suspended";
    case RK_KERNEL_DRAINING: return "draining";
    case RK_KERNEL_TERMINATED: return "terminated";
    case RK_KERNEL_FAILED: return "failed";
    default: return "unknown";
    }
}

static const char *state_of(rk_kernel kernel) {
    uint32_t state;
    check(rk_kernel_state(kernel, &state), NULL, "rk_kernel_state");
    return state_name(state);
}

/* Tries a transition and prints what came of it. */
enum transition { ACTIVATE, DEACTIVATE, DRAIN, TERMINATE };

static void try_to(enum transition transition, rk_kernel kernel) {
    static const char *const names[] = {"activate", "deactivate", "drain", "terminate"};
    const char *before = state_of(kernel);
    uint64_t left = 0;
    rk_status status = RK_OK;
    switch (transition) {
    case ACTIVATE: status = rk_kernel_activate(kernel, NULL); break;
    case DEACTIVATE: status = rk_kernel_deactivate(kernel, NULL); break;
    case DRAIN: status = rk_kernel_drain(kernel, 10 * SECOND, NULL); break;
    case TERMINATE: status = rk_kernel_terminate(kernel, &left, NULL); break;
    }
    printf("    %-10s %-11s %-19s -> %s\n", before, names[transition], rk_status_name(status), state_of(kernel));
    if (left > 0) {
        printf("        %" PRIu64 " messages were waiting\n", left);
    }
}

static rk_status send_task(rk_kernel kernel, uint32_t number) {
    rk_actor actor;
    check(rk_kernel_actor(kernel, 0, &actor), NULL, "rk_kernel_actor");
    const task message = {.number = number};
    return rk_send(actor, RK_TYPE(task), &message, RK_SIZE(task), NULL);
}

static void send_tasks(rk_kernel kernel, uint32_t first, uint32_t last) {
    for (uint32_t number = first; number <= last; number++) {
        check(send_task(kernel, number), NULL, "rk_send");
    }
    printf("    %-10s sent tasks %" PRIu32 " to %" PRIu32 "\n", state_of(kernel), first, last);
}

/* Receives `count` replies or dead letters. Events tell of kernels that ended; here we know. */
static void receive(rk_runtime runtime, uint32_t count) {
    while (count > 0) {
        rk_message message;
        union {
            task task;
            receipt receipt;
        } payload;
        uint32_t received;
        check(rk_poll(runtime, &message, 1, &payload, sizeof payload, 10 * SECOND, &received), NULL, "rk_poll");
        if (message.kind == RK_MESSAGE_REPLY) {
            printf("        task %" PRIu32 " done, %" PRIu32 " in all\n", payload.receipt.number,
                   payload.receipt.done);
            count--;
        } else if (message.kind == RK_MESSAGE_DEAD_LETTER) {
            printf("        task %" PRIu32 " came back as a dead letter: %s\n", payload.task.number,
                   message.reason == RK_DEAD_TERMINATED ? "the kernel was terminated" : "another reason");
            count--;
        }
    }
}

static rk_kernel launch(rk_runtime runtime, rk_module module, const char *name) {
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.name = name;
    options.name_length = (uint32_t)strlen(name);
    rk_kernel kernel;
    rk_error error;
    check(rk_kernel_launch(runtime, module, NULL, 0, &options, &kernel, &error), &error, "rk_kernel_launch");
    printf("%s:\n", name);
    return kernel;
}

static void print_statistics(rk_kernel kernel) {
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    rk_error error;
    check(rk_kernel_stats(kernel, &stats, &error), &error, "rk_kernel_stats");
    printf("    accepted %" PRIu64 " = handled %" PRIu64 " + dead letters %" PRIu64 " + pending %" PRIu64 "\n",
           stats.accepted, stats.handled, stats.dead_letters, stats.pending);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"backend", required_argument, NULL, 'b'}, {0}};
    rk_runtime_options runtime_options = RK_RUNTIME_OPTIONS_INIT;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'b': runtime_options.backend = parse_backend(optarg); break;
        default: return EXIT_FAILURE;
        }
    }

    rk_error error;
    rk_runtime runtime;
    rk_module module;
    check(rk_runtime_create(RK_VERSION, &runtime_options, &runtime, &error), &error, "rk_runtime_create");
    check(rk_module_create(runtime, &kernel_states, &module, &error), &error, "rk_module_create");

    rk_kernel finisher = launch(runtime, module, "a kernel that is drained");
    try_to(DEACTIVATE, finisher);
    try_to(DRAIN, finisher);
    send_tasks(finisher, 1, 2);
    try_to(ACTIVATE, finisher);
    receive(runtime, 2);
    try_to(ACTIVATE, finisher);
    try_to(DEACTIVATE, finisher);
    try_to(DEACTIVATE, finisher);
    send_tasks(finisher, 3, 5);
    try_to(DRAIN, finisher);
    receive(runtime, 3);
    try_to(DRAIN, finisher);
    try_to(ACTIVATE, finisher);
    try_to(TERMINATE, finisher);
    printf("    %-10s send        %s\n", state_of(finisher), rk_status_name(send_task(finisher, 6)));
    print_statistics(finisher);

    rk_kernel quitter = launch(runtime, module, "a kernel that is terminated with work waiting");
    send_tasks(quitter, 11, 14);
    try_to(TERMINATE, quitter);
    receive(runtime, 4);
    print_statistics(quitter);

    /* Kernels know nothing of one another's state. */
    rk_kernel sleeper = launch(runtime, module, "a kernel that is suspended");
    try_to(ACTIVATE, sleeper);
    try_to(DEACTIVATE, sleeper);
    send_tasks(sleeper, 21, 22);
    rk_kernel runner = launch(runtime, module, "while another goes on");
    try_to(ACTIVATE, runner);
    send_tasks(runner, 31, 32);
    receive(runtime, 2);
    printf("and the first one again:\n");
    try_to(ACTIVATE, sleeper);
    receive(runtime, 2);
    try_to(TERMINATE, sleeper);
    print_statistics(sleeper);

    printf("handles of what was destroyed:\n");
    check(rk_kernel_destroy(finisher), NULL, "rk_kernel_destroy");
    printf("    activate: %s\n", rk_status_name(rk_kernel_activate(finisher, NULL)));
    printf("    destroy:  %s\n", rk_status_name(rk_kernel_destroy(finisher)));

    /* Kernels that are left go with the runtime. */
    check(rk_runtime_destroy(runtime), NULL, "rk_runtime_destroy");
    return EXIT_SUCCESS;
}
