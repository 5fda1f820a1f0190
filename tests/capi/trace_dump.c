/* Prints a trace of three kernels with known traffic and difficult names, for trace_parse.py to read.
 *
 *     trace_dump EVERY WORKER_BYTES */
#include "../support/harness.h"
#include "trace_dump.rk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RK_DECLARE_MODULE(relays);

enum { KERNELS = 3, ORDERS = 200, BALLS = 8, HOPS = 50, SECOND = 1000000000 };

static void must(rk_status status, const char *what, const rk_error *error) {
    if (status == RK_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, rk_status_name(status), error != NULL ? error->message : "");
    exit(1);
}

static void print(void *user, const char *text, size_t length) {
    fwrite(text, 1, length, user);
}

static void attach_to(rk_actor actor, uint64_t next) {
    rk_error error;
    const attach message = {.next = next};
    must(rk_call(actor, RK_TYPE(attach), &message, sizeof message, NULL, NULL, 0, NULL, 10 * (int64_t)SECOND, &error),
         "rk_call", &error);
}

int main(int argc, char **argv) {
    static const char *const names[KERNELS] = {"first", "quote \" backslash \\ newline \n end", "caf\xc3\xa9"};
    if (argc != 3) return 2;
    rk_error error;
    rk_runtime runtime;
    rk_module module;
    rk_kernel kernels[KERNELS];
    rk_actor actors[KERNELS];
    rk_runtime_options runtime_options = RK_RUNTIME_OPTIONS_INIT;
    runtime_options.backend = RK_BACKEND_CPU;
    runtime_options.cpu_threads = 2;
    must(rk_runtime_create(RK_VERSION, &runtime_options, &runtime, &error), "rk_runtime_create", &error);
    must(rk_module_create(runtime, &relays, &module, &error), "rk_module_create", &error);
    for (uint32_t i = 0; i < KERNELS; i++) {
        rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
        options.name = names[i];
        options.name_length = (uint32_t)strlen(names[i]);
        must(rk_kernel_launch(runtime, module, NULL, 0, &options, &kernels[i], &error), "rk_kernel_launch", &error);
        must(rk_kernel_activate(kernels[i], &error), "rk_kernel_activate", &error);
        must(rk_kernel_actor(kernels[i], 0, &actors[i]), "rk_kernel_actor", NULL);
    }
    /* What comes before the start is not in the trace. */
    for (uint32_t i = 0; i < KERNELS; i++) {
        attach_to(actors[i], i + 1 < KERNELS ? actors[i + 1].id : 0);
        attach_to(actors[i], actors[(i + 1) % KERNELS].id);
    }

    rk_trace_options options = RK_TRACE_OPTIONS_INIT;
    options.every = (uint32_t)strtoul(argv[1], NULL, 10);
    options.worker_bytes = strtoull(argv[2], NULL, 10);
    must(rk_trace_start(runtime, &options, &error), "rk_trace_start", &error);
    for (uint32_t i = 0; i < BALLS; i++) {
        const ball message = {.hops = HOPS, .number = i};
        must(rk_send(actors[0], RK_TYPE(ball), &message, sizeof message, NULL), "rk_send", NULL);
    }
    for (uint32_t i = 0; i < ORDERS; i++) {
        order message = {.number = i};
        must(rk_call(actors[0], RK_TYPE(order), &message, sizeof message, NULL, &message, sizeof message, NULL,
                     10 * (int64_t)SECOND, &error),
             "rk_call", &error);
    }
    for (uint32_t i = 0; i < BALLS;) {
        _Alignas(16) unsigned char payloads[1024];
        rk_message messages[BALLS];
        uint32_t count = 0;
        must(rk_poll(runtime, messages, BALLS, payloads, sizeof payloads, 10 * (int64_t)SECOND, &count), "rk_poll", NULL);
        i += count;
    }
    for (uint32_t i = 0; i < KERNELS; i++) must(rk_kernel_deactivate(kernels[i], &error), "rk_kernel_deactivate", &error);
    must(rk_trace_stop(runtime, &error), "rk_trace_stop", &error);
    /* Kernels that are gone are in the trace. */
    must(rk_kernel_destroy(kernels[1]), "rk_kernel_destroy", NULL);
    must(rk_trace_write(runtime, print, stdout, &error), "rk_trace_write", &error);
    must(rk_runtime_destroy(runtime), "rk_runtime_destroy", NULL);
    return 0;
}
