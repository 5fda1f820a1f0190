/* Prints the metrics of kernels with known traffic and difficult names, for metrics_parse.py to read. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

static void print(void *user, const char *text, size_t length) {
    fwrite(text, 1, length, user);
}

int main(void) {
    static const char *const names[] = {"plain", "quote \" backslash \\ newline \n end", "caf\xc3\xa9", ""};
    rk_runtime runtime = fixture_runtime();
    rk_module module = fixture_module(runtime);
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
        options.actors = i + 1;
        options.workers = 1;
        options.name = names[i];
        options.name_length = (uint32_t)strlen(names[i]);
        options.latency_every = i % 2; /* every one, or none */
        rk_kernel kernel = fixture_launch(runtime, module, &options);
        if (rk_kernel_activate(kernel, NULL) != RK_OK) return 1;
        for (uint32_t k = 0; k < 10 * (i + 1); k++) {
            rk_actor actor;
            ask question = {.nonce = k};
            answer reply;
            if (rk_kernel_actor(kernel, k % (i + 1), &actor) != RK_OK ||
                rk_call(actor, RK_TYPE(ask), &question, sizeof question, NULL, &reply, sizeof reply, NULL, RK_FOREVER,
                        NULL) != RK_OK)
                return 1;
        }
        if (rk_kernel_deactivate(kernel, NULL) != RK_OK) return 1;
    }
    return rk_metrics_write(runtime, RK_METRICS_WORKERS, print, stdout, NULL) == RK_OK ? 0 : 1;
}
