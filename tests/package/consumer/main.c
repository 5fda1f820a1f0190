/* Sends the numbers 1 to 10 to an actor and checks what comes back. Argument: what it adds to each square. */
#include <inttypes.h>
#include <ringkernel.h>
#include <ringkernel/module.h>
#include <stdio.h>
#include <stdlib.h>

#include "squarer.rk.h"

RK_DECLARE_MODULE(squares);

static rk_error error;

static void check(rk_status status, const char *what) {
    if (status == RK_OK) return;
    fprintf(stderr, "%s: %s%s%s\n", what, rk_status_name(status), status < 0 ? ": " : "",
            status < 0 ? error.message : "");
    exit(1);
}

int main(int argc, char **argv) {
    uint64_t bonus = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    rk_runtime runtime;
    rk_module module;
    rk_kernel kernel;
    rk_actor actor;

    options.backend = RK_BACKEND_CPU;
    check(rk_runtime_create(RK_VERSION, &options, &runtime, &error), "rk_runtime_create");
    check(rk_module_create(runtime, &squares, &module, &error), "rk_module_create");
    check(rk_kernel_launch(runtime, module, NULL, 0, NULL, &kernel, &error), "rk_kernel_launch");
    check(rk_kernel_activate(kernel, &error), "rk_kernel_activate");
    check(rk_kernel_actor(kernel, 0, &actor), "rk_kernel_actor");

    for (uint64_t i = 1; i <= 10; i++) {
        square question = {i};
        squared answer = {0, 0};
        check(rk_call(actor, RK_TYPE(square), &question, sizeof question, NULL, &answer, sizeof answer, NULL,
                      INT64_C(10000000000), &error),
              "rk_call");
        if (answer.value != i * i + bonus || answer.seen != i) {
            fprintf(stderr, "%" PRIu64 ": got %" PRIu64 ", seen %" PRIu32 "\n", i, answer.value, answer.seen);
            return 1;
        }
    }
    check(rk_runtime_destroy(runtime), "rk_runtime_destroy");
    printf("10 of 10 replies are right\n");
    return 0;
}
