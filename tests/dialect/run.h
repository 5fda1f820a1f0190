/* One message handled by one backend, on bytes that can be compared. */
#ifndef RUN_H
#define RUN_H

#include "everything.rk.h"

/* All that a handler sees. Pointers of the context are set by the backend, and cleared again after. */
typedef struct arena {
    rk_context context;
    uint64_t counters[RK_COUNTERS];
    _Alignas(16) uint8_t state[256];
    _Alignas(16) uint8_t message[256];
    _Alignas(16) uint8_t outbox[1024 + RK_PAYLOAD_MAX];
} arena;

typedef struct backend {
    const char *name;
    /* NULL, or why it cannot be had here. */
    const char *(*open)(void);
    /* Handles arena->message, by this many lanes where there are lanes. */
    int (*run)(const char *actor, uint32_t lanes, arena *arena);
} backend;

extern const backend backend_vulkan;
extern const backend backend_cuda;

/* The context's pointers, to an arena that a device has at `base`. */
void arena_point(arena *arena, uint64_t base);
void arena_unpoint(arena *arena);

RK_DECLARE_MODULE(fixture);

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
