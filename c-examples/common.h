/* What every example needs: to stop with a message when a call failed, and --backend. */
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H

#include <ringkernel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `error` is what the call filled in, or NULL where it takes none. */
static inline void check(rk_status status, const rk_error *error, const char *call) {
    if (status != RK_OK) {
        fprintf(stderr, "%s: %s%s%s\n", call, rk_status_name(status), status < 0 && error ? ": " : "",
                status < 0 && error ? error->message : "");
        exit(EXIT_FAILURE);
    }
}

static const char *const backend_names[] = {"auto", "cpu", "cuda", "vulkan"};

/* The argument of --backend as RK_BACKEND_... */
static inline uint32_t parse_backend(const char *text) {
    for (uint32_t i = 0; i <= RK_BACKEND_VULKAN; i++) {
        if (strcmp(text, backend_names[i]) == 0) {
            return i;
        }
    }
    fprintf(stderr, "unknown backend \"%s\": choose auto, cpu, cuda or vulkan\n", text);
    exit(EXIT_FAILURE);
}

/* The argument of a numeric option. */
static inline uint32_t parse_number(const char *option, const char *text, uint32_t low, uint32_t high) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "%s: \"%s\" is not a number from %u to %u\n", option, text, low, high);
        exit(EXIT_FAILURE);
    }
    return (uint32_t)value;
}

#endif
