/* Runs the handlers of everything.rk.h on the CPU, checks what they did, and runs them on each GPU backend that there
 * is with the same bytes, which must come out the same. Prints a line for each backend. */
#include "run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SELF ((rk_address)0x0123456700100002u)
#define SENDER ((rk_address)0x0765432100200009u)

void arena_point(arena *a, uint64_t base) {
    a->context.state = (void *)(uintptr_t)(base + offsetof(arena, state));
    a->context.message = (void *)(uintptr_t)(base + offsetof(arena, message));
    a->context.outbox = (uint8_t *)(uintptr_t)(base + offsetof(arena, outbox));
    a->context.counters = (uint64_t *)(uintptr_t)(base + offsetof(arena, counters));
}

void arena_unpoint(arena *a) {
    a->context.state = a->context.scratch = NULL;
    a->context.message = NULL;
    a->context.outbox = NULL;
    a->context.counters = NULL;
}

static const char *cpu_open(void) {
    return NULL;
}

static int cpu_run(const char *actor, uint32_t lanes, arena *a) {
    static _Alignas(64) uint8_t scratch[RK_SCRATCH_MAX];
    (void)lanes;
    arena_point(a, (uint64_t)(uintptr_t)a);
    a->context.scratch = scratch;
    for (uint32_t i = 0; i < fixture.actor_count; i++) {
        const rk_actor_type *type = &fixture.actors[i];
        for (uint32_t j = 0; strcmp(type->name, actor) == 0 && j < type->handler_count; j++) {
            if (type->handlers[j].type == a->context.type) {
                type->handlers[j].run(&a->context);
                arena_unpoint(a);
                return 0;
            }
        }
    }
    return -1;
}

static const backend backend_cpu = {"cpu", cpu_open, cpu_run};

static const rk_outgoing *entry(const arena *a, uint32_t offset) {
    return (const rk_outgoing *)(const void *)(a->outbox + offset);
}

static const void *payload(const arena *a, uint32_t offset) {
    return a->outbox + offset + sizeof(rk_outgoing);
}

/* One case: how the arena is set up, and what must be in it after. */
typedef struct scenario {
    const char *actor;
    void (*prepare)(arena *a);
    void (*check)(const arena *a);
} scenario;

#define PREPARE(a, name)                                                                                               \
    (a)->context.type = RK_TYPE(name), (a)->context.size = RK_SIZE(name);                                              \
    name *message = (name *)(void *)(a)->message
#define STATE(a, actor) ((const struct actor *)(const void *)(a)->state)

static void prepare_types(arena *a) {
    PREPARE(a, all_types);
    /* Field by field: assigning a struct leaves its padding open, and all bytes are compared. */
    message->a = 255;
    message->b = 1ull << 40;
    message->c = 65535;
    message->d = -5;
    message->e[2] = 250;
    message->f = 0.125;
    message->g = -3.5f;
    message->h = -(1ll << 50);
    message->i = SENDER;
    message->j[0] = 1;
    message->j[4] = 30000;
    message->k = 70000;
    message->l = 9;
}

static void check_types(const arena *a) {
    const all_types *out = payload(a, 0);
    CHECK(STATE(a, everything)->a == 0 && STATE(a, everything)->b == 0.25);
    CHECK(STATE(a, everything)->h == -750 && STATE(a, everything)->last == SENDER);
    CHECK(out->b == 1ull << 40 && out->c == 65535 && out->d == -750 && out->e[2] == 9 && out->f == 0.25);
    CHECK(out->g == -1.75f && out->h == -(1ll << 50) + 5 && out->i == SELF);
    CHECK(out->j[0] == 3 && out->j[4] == (90000 & 65535) && out->k == 70000u * 70000u && out->l == sizeof *out);
    CHECK(entry(a, 0)->kind == RK_POST_REPLY && entry(a, 0)->type == RK_TYPE(all_types));
    CHECK(entry(a, 0)->size == sizeof *out && a->context.outbox_used == sizeof(rk_outgoing) + 96);
}

static void prepare_lanes(arena *a) {
    PREPARE(a, doubles);
    for (int i = 0; i < 16; i++) {
        message->x[i] = 1000.0 * i;
    }
}

static void check_lanes(const arena *a) {
    CHECK(((const number *)payload(a, 0))->x == 120000 && entry(a, 0)->kind == RK_POST_EMIT);
    CHECK(STATE(a, everything)->total == 120000 && a->counters[3] == 120000 && a->counters[2] == 0);
}

static void prepare_sends(arena *a) {
    PREPARE(a, number);
    message->x = 41;
    a->context.sender = SENDER;
}

static void check_sends(const arena *a) {
    const uint32_t step = sizeof(rk_outgoing) + 16;
    const rk_address next = (SELF & ~(rk_address)0xffffffffu) | 3u;
    const rk_outgoing *tell = entry(a, 0), *as = entry(a, step), *forward = entry(a, 2 * step);
    CHECK(tell->kind == RK_POST_SEND && tell->to == next && tell->type == RK_TYPE(number) && tell->size == 8);
    CHECK(((const number *)payload(a, 0))->x == 42 && tell->priority == 0 && tell->correlation == 0);
    CHECK(as->to == SENDER && as->priority == 128 && as->correlation == 77 && as->deadline == 1000000);
    CHECK(((const one_byte *)payload(a, step))->x == 7 && as->size == 1);
    CHECK(forward->kind == RK_POST_FORWARD && forward->to == next && forward->size == 5);
    CHECK(((const five_bytes *)payload(a, 2 * step))->x[4] == 68);
    CHECK(entry(a, 3 * step)->to == SELF && entry(a, 3 * step)->size == 0);
    CHECK(a->context.outbox_used == 3 * step + sizeof(rk_outgoing));
    CHECK(STATE(a, everything)->last == SENDER && STATE(a, everything)->total == 123456789012345);
}

static void check_sends_from_host(const arena *a) {
    CHECK(STATE(a, everything)->last == 0 && entry(a, sizeof(rk_outgoing) + 16)->to == 0);
}

static void prepare_sends_from_host(arena *a) {
    prepare_sends(a);
    a->context.sender = 0;
}

static void prepare_full(arena *a) {
    PREPARE(a, one_byte);
    message->x = 9;
}

/* Five entries of 176 bytes fit 1024. */
static void check_full(const arena *a) {
    CHECK(a->context.outbox_used == 5 * 176 && a->context.refused == 4 && STATE(a, everything)->e == 4);
    CHECK(((const doubles *)payload(a, 4 * 176))->x[0] == 4.0);
}

static void prepare_fail(arena *a) {
    PREPARE(a, five_bytes);
    message->x[0] = 101;
}

static void check_fail(const arena *a) {
    CHECK(a->context.result == RK_RESULT_FAIL && a->context.fail_code == -101 && a->context.outbox_used == 0);
}

static void prepare_no_fail(arena *a) {
    PREPARE(a, five_bytes);
    message->x[0] = 100;
}

static void check_no_fail(const arena *a) {
    CHECK(a->context.result == 0 && entry(a, 0)->type == RK_TYPE(halt) && entry(a, 0)->kind == RK_POST_REPLY);
}

static void prepare_stop(arena *a) {
    a->context.type = RK_TYPE(halt);
}

static void check_stop(const arena *a) {
    CHECK(a->context.result == RK_RESULT_STOP && a->context.outbox_used == 0);
}

static void prepare_functions(arena *a) {
    PREPARE(a, angle);
    message->x = 0.7f;
}

static void check_functions(const arena *a) {
    const double x = 0.7f;
    const double want[] = {sin(x), cos(x),  tan(x), atan2(x, 2), sqrt(x),   1 / sqrt(x), exp(x), log(x), pow(x, 1.5), 0,
                           x,      2 * x + 1, 0.25,   x,         (double)0.2f, 2,        3,      -1,     x / 2};
    const functions *out = payload(a, 0);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        if (!(fabs(out->y[i] - want[i]) <= 1e-5 * (1 + fabs(want[i])))) {
            fprintf(stderr, "function %u: %g instead of %g\n", (unsigned)i, (double)out->y[i], want[i]);
            exit(1);
        }
    }
}

static const scenario scenarios[] = {
    {"everything", prepare_types, check_types},
    {"everything", prepare_lanes, check_lanes},
    {"everything", prepare_sends, check_sends},
    {"everything", prepare_sends_from_host, check_sends_from_host},
    {"everything", prepare_full, check_full},
    {"everything", prepare_fail, check_fail},
    {"everything", prepare_no_fail, check_no_fail},
    {"everything", prepare_stop, check_stop},
};
static const scenario mathematics = {"mathematician", prepare_functions, check_functions};

static void handle(const backend *by, uint32_t lanes, const scenario *s, arena *a) {
    memset(a, 0, sizeof *a);
    a->context.outbox_limit = 1024;
    a->context.index = 2;
    a->context.actors = 10;
    a->context.self = SELF;
    a->context.correlation = 77;
    a->context.time = 123456789012345;
    a->context.priority = 64;
    s->prepare(a);
    CHECK(by->run(s->actor, lanes, a) == 0);
    s->check(a);
}

/* Where two arenas differ, or their size. */
static size_t differ(const arena *a, const arena *b) {
    const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
    size_t i = 0;
    while (i < sizeof *a && x[i] == y[i]) {
        i++;
    }
    return i;
}

static void compare(const backend *by, const arena *expected, arena *a) {
    static const uint32_t lanes[] = {1, 3, 32, 64};
    for (size_t l = 0; l < sizeof lanes / sizeof *lanes; l++) {
        for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
            handle(by, lanes[l], &scenarios[i], a);
            if (differ(a, &expected[i]) != sizeof *a) {
                fprintf(stderr, "%s, %u lanes, case %u: byte %u differs\n", by->name, (unsigned)lanes[l], (unsigned)i,
                        (unsigned)differ(a, &expected[i]));
                exit(1);
            }
        }
        /* Functions differ in their last bits. */
        handle(by, lanes[l], &mathematics, a);
    }
}

int main(void) {
    const backend *backends[] = {&backend_cpu, &backend_vulkan, &backend_cuda};
    arena *expected = calloc(sizeof scenarios / sizeof *scenarios + 1, sizeof *expected);
    CHECK(expected);
    arena *a = expected + sizeof scenarios / sizeof *scenarios;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        handle(&backend_cpu, 1, &scenarios[i], &expected[i]);
    }
    for (size_t b = 0; b < sizeof backends / sizeof *backends; b++) {
        const char *reason = backends[b]->open();
        if (reason) {
            printf("%s skipped: %s\n", backends[b]->name, reason);
            continue;
        }
        compare(backends[b], expected, a);
        printf("%s ok\n", backends[b]->name);
    }
    free(expected);
    return 0;
}
