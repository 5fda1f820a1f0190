/* Traces: their options and states, what is in them, and races. trace_parse.py looks at their form. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVALID RK_ERROR_INVALID_ARGUMENT
#define BAD_STATE RK_ERROR_BAD_STATE

typedef struct gathered {
    char *text;
    size_t length, parts;
    rk_runtime destroy;
} gathered;

static void gather(void *user, const char *text, size_t length) {
    gathered *all = user;
    all->text = realloc(all->text, all->length + length + 1);
    CHECK(all->text != NULL);
    memcpy(all->text + all->length, text, length);
    all->length += length;
    all->text[all->length] = 0;
    all->parts++;
    if (all->destroy.id != 0) CHECK_OK(rk_runtime_destroy(all->destroy));
    all->destroy.id = 0;
}

static gathered trace_of(rk_runtime runtime) {
    gathered all = {0};
    CHECK_DONE(rk_trace_write(runtime, gather, &all, &test_error));
    CHECK(all.length > 100 && all.text[0] == '{' && strcmp(all.text + all.length - 4, "\n]}\n") == 0);
    return all;
}

static size_t count_of(const char *text, const char *what) {
    size_t count = 0;
    for (; (text = strstr(text, what)) != NULL; text++) count++;
    return count;
}

/* How often something is in the trace of this moment. */
static size_t traced(rk_runtime runtime, const char *what) {
    gathered all = trace_of(runtime);
    size_t count = count_of(all.text, what);
    free(all.text);
    return count;
}

/* A number of otherData. */
static uint64_t about(rk_runtime runtime, const char *field) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", field);
    gathered all = trace_of(runtime);
    const char *at = strstr(all.text, key);
    CHECK(at != NULL);
    uint64_t value = strtoull(at + strlen(key), NULL, 10);
    free(all.text);
    return value;
}

static void ask_often(rk_actor actor, unsigned times) {
    for (unsigned i = 0; i < times; i++) fixture_verify(actor);
}

/* Until its workers rest, what they record is not all there. */
static void settle(rk_kernel kernel) {
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
}

CASE(trace_states) {
    fixture all = fixture_open();
    gathered got = {0};
    CHECK_ERROR(rk_trace_stop(all.runtime, &test_error), BAD_STATE);
    CHECK_ERROR(rk_trace_write(all.runtime, gather, &got, &test_error), BAD_STATE);
    CHECK_EQ(got.parts, 0);
    ask_often(all.actor, 3);
    CHECK_DONE(rk_trace_start(all.runtime, NULL, &test_error));
    CHECK_ERROR(rk_trace_start(all.runtime, NULL, &test_error), BAD_STATE);
    CHECK_STATUS(rk_trace_start(all.runtime, NULL, NULL), BAD_STATE);
    ask_often(all.actor, 5);
    settle(all.kernel);
    CHECK_EQ(traced(all.runtime, "\"name\":\"ask\""), 5); /* while it goes on */
    ask_often(all.actor, 2);
    settle(all.kernel);
    CHECK_DONE(rk_trace_stop(all.runtime, &test_error));
    CHECK_ERROR(rk_trace_stop(all.runtime, &test_error), BAD_STATE);
    ask_often(all.actor, 4);
    settle(all.kernel);
    CHECK_EQ(traced(all.runtime, "\"name\":\"ask\""), 7);
    CHECK_EQ(traced(all.runtime, "\"name\":\"send answer\""), 7);
    CHECK_EQ(traced(all.runtime, "\"ph\":\"f\""), 7);
    /* The next one begins anew. */
    CHECK_DONE(rk_trace_start(all.runtime, NULL, &test_error));
    CHECK_EQ(traced(all.runtime, "\"ph\":\"X\""), 0);
    ask_often(all.actor, 1);
    settle(all.kernel);
    CHECK_EQ(traced(all.runtime, "\"name\":\"ask\""), 1);
    CHECK_DONE(rk_trace_stop(all.runtime, &test_error));
    fixture_close(&all);
}

CASE(trace_bad_arguments) {
    fixture all = fixture_open();
    gathered got = {0};
#define REFUSES(change)                                                                                                \
    do {                                                                                                               \
        rk_trace_options options = RK_TRACE_OPTIONS_INIT;                                                              \
        change;                                                                                                        \
        CHECK_ERROR(rk_trace_start(all.runtime, &options, &test_error), INVALID);                                      \
        CHECK_ERROR(rk_trace_stop(all.runtime, &test_error), BAD_STATE);                                               \
    } while (0)
    REFUSES(options.events = 16);
    REFUSES(options.events = UINT32_MAX);
    REFUSES(options.reserved = 1);
    REFUSES(options.worker_bytes = 4095);
    REFUSES(options.worker_bytes = (UINT64_C(1) << 30) + 1);
    REFUSES(options.worker_bytes = UINT64_MAX);
    REFUSES(options.struct_size = 3);
#undef REFUSES
    /* The ends of the ranges. Memory is taken when it is used. */
    rk_trace_options options = RK_TRACE_OPTIONS_INIT;
    options.events = RK_TRACE_HANDLERS | RK_TRACE_SENDS | RK_TRACE_VISITS | RK_TRACE_DEPTH;
    options.every = UINT32_MAX;
    options.worker_bytes = 1 << 30;
    CHECK_DONE(rk_trace_start(all.runtime, &options, &test_error));
    ask_often(all.actor, 1);
    CHECK_DONE(rk_trace_stop(all.runtime, &test_error));
    options.every = 1;
    options.worker_bytes = 4096;
    CHECK_DONE(rk_trace_start(all.runtime, &options, &test_error));
    CHECK_ERROR(rk_trace_write(all.runtime, NULL, NULL, &test_error), INVALID);
    CHECK_STATUS(rk_trace_write(all.runtime, NULL, NULL, NULL), INVALID);
    CHECK_OK(rk_trace_stop(all.runtime, NULL));
    const rk_runtime gone = all.runtime, none = {0};
    fixture_close(&all);
    CHECK_ERROR(rk_trace_start(gone, NULL, &test_error), RK_ERROR_STALE_HANDLE);
    CHECK_ERROR(rk_trace_stop(gone, &test_error), RK_ERROR_STALE_HANDLE);
    CHECK_ERROR(rk_trace_write(gone, gather, &got, &test_error), RK_ERROR_STALE_HANDLE);
    CHECK_ERROR(rk_trace_start(none, NULL, &test_error), RK_ERROR_STALE_HANDLE);
    CHECK_EQ(got.parts, 0);
}

CASE(trace_of_chosen_events) {
    fixture all = fixture_open();
    static const struct {
        uint32_t bit;
        const char *shows;
    } kinds[] = {
        {RK_TRACE_HANDLERS, "\"cat\":\"handler\""},
        {RK_TRACE_SENDS, "\"name\":\"send answer\""},
        {RK_TRACE_VISITS, "\"cat\":\"visit\""},
        {RK_TRACE_DEPTH, "\"ph\":\"C\""},
    };
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    for (uint32_t chosen = 1; chosen < 1u << KINDS; chosen++) {
        rk_trace_options options = RK_TRACE_OPTIONS_INIT;
        options.events = chosen;
        CHECK_DONE(rk_trace_start(all.runtime, &options, &test_error));
        ask_often(all.actor, 3);
        settle(all.kernel);
        CHECK_DONE(rk_trace_stop(all.runtime, &test_error));
        for (size_t i = 0; i < KINDS; i++) {
            const size_t count = traced(all.runtime, kinds[i].shows);
            if ((chosen & kinds[i].bit) == 0) CHECK_EQ(count, 0);
            else if (i < 2) CHECK_EQ(count, 3);
            /* Visits are recorded for what is in them, or by themselves if nothing else is asked for. */
            else CHECK(count >= 1 && count <= 3);
        }
    }
    fixture_close(&all);
}

CASE(trace_counts_what_is_overwritten) {
    fixture all = fixture_open();
    rk_trace_options options = RK_TRACE_OPTIONS_INIT;
    options.events = RK_TRACE_HANDLERS;
    options.worker_bytes = 8191; /* 64 events */
    CHECK_DONE(rk_trace_start(all.runtime, &options, &test_error));
    ask_often(all.actor, 63);
    settle(all.kernel);
    CHECK_EQ(about(all.runtime, "overwritten"), 0);
    ask_often(all.actor, 500);
    settle(all.kernel);
    CHECK_EQ(about(all.runtime, "recorded"), 563);
    CHECK_EQ(about(all.runtime, "overwritten"), 500);
    CHECK_EQ(traced(all.runtime, "\"name\":\"ask\""), 63);
    CHECK_EQ(traced(all.runtime, "\"name\":\"500 older events were overwritten\""), 1);
    CHECK_EQ(about(all.runtime, "workers_left_out"), 0);
    /* More than one part. */
    CHECK_DONE(rk_trace_stop(all.runtime, &test_error));
    CHECK_DONE(rk_trace_start(all.runtime, NULL, &test_error));
    ask_often(all.actor, 1000);
    gathered got = trace_of(all.runtime);
    CHECK(got.parts > 3);
    free(got.text);
    fixture_close(&all);
}

/* What fails or finds nobody is in it as far as it came. */
CASE(trace_of_failures) {
    fixture all = fixture_open();
    CHECK_DONE(rk_trace_start(all.runtime, NULL, &test_error));
    break_down message = {.code = 3};
    for (int i = 0; i < 2; i++) CHECK_OK(rk_send(all.actor, RK_TYPE(break_down), &message, sizeof message, NULL));
    rk_message got;
    uint32_t count = 0;
    for (uint32_t i = 0; i < 2; i++) {
        _Alignas(16) char payload[64];
        CHECK_OK(rk_poll(all.runtime, &got, 1, payload, sizeof payload, RK_FOREVER, &count));
    }
    settle(all.kernel);
    CHECK_EQ(traced(all.runtime, "\"name\":\"break_down\""), 1);
    CHECK_EQ(traced(all.runtime, "\"cat\":\"handler\""), 1);
    CHECK_EQ(traced(all.runtime, "\"name\":\"send "), 0);
    fixture_close(&all); /* while it goes on */
}

CASE(trace_outlives_kernels) {
    fixture all = fixture_open();
    CHECK_DONE(rk_trace_start(all.runtime, NULL, &test_error));
    for (int i = 0; i < 20; i++) {
        rk_kernel kernel = fixture_launch(all.runtime, all.module, NULL);
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        rk_actor actor;
        CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
        fixture_verify(actor);
        CHECK_OK(rk_kernel_destroy(kernel));
    }
    CHECK_EQ(traced(all.runtime, "\"name\":\"ask\""), 20);
    CHECK_EQ(traced(all.runtime, "\"name\":\"responder, worker 0\""), 20);
    /* Whoever is written to may do as it likes. */
    gathered got = {.destroy = all.runtime};
    CHECK_DONE(rk_trace_write(all.runtime, gather, &got, &test_error));
    CHECK_EQ(count_of(got.text, "\"name\":\"ask\""), 20);
    free(got.text);
    CHECK_ERROR(rk_trace_stop(all.runtime, &test_error), RK_ERROR_STALE_HANDLE);
}

CASE(trace_of_one_runtime) {
    fixture one = fixture_open(), other = fixture_open();
    CHECK_DONE(rk_trace_start(one.runtime, NULL, &test_error));
    ask_often(other.actor, 5);
    ask_often(one.actor, 3);
    settle(one.kernel);
    CHECK_ERROR(rk_trace_stop(other.runtime, &test_error), BAD_STATE);
    CHECK_EQ(traced(one.runtime, "\"name\":\"ask\""), 3);
    fixture_close(&one);
    fixture_close(&other);
}

typedef struct load {
    fixture all;
    atomic_uint working;
} load;

enum { WORKING = 2, STARTING = 2 };

/* Two send, two start and stop, the others write. */
static void strain(unsigned index, void *shared) {
    load *with = shared;
    uint64_t random = test_seed() + index;
    if (index < WORKING) {
        rk_actor actor;
        CHECK_OK(rk_kernel_actor(with->all.kernel, index, &actor));
        ask_often(actor, 3000);
        atomic_fetch_sub(&with->working, 1);
        return;
    }
    while (atomic_load(&with->working) != 0) {
        rk_status status;
        if (index < WORKING + STARTING) {
            rk_trace_options options = RK_TRACE_OPTIONS_INIT;
            options.worker_bytes = UINT64_C(4096) << test_random_below(&random, 4);
            options.every = test_random_below(&random, 3);
            status = test_random_below(&random, 2) ? rk_trace_start(with->all.runtime, &options, NULL)
                                                   : rk_trace_stop(with->all.runtime, NULL);
        } else {
            gathered got = {0};
            status = rk_trace_write(with->all.runtime, gather, &got, NULL);
            if (status == RK_OK) {
                CHECK(strcmp(got.text + got.length - 4, "\n]}\n") == 0);
                CHECK_EQ(count_of(got.text, "\"ph\":\"s\""), count_of(got.text, "\"ph\":\"f\""));
            }
            free(got.text);
        }
        if (status != BAD_STATE) CHECK_OK(status);
    }
}

CASE(trace_races) {
    static load with;
    with.all = fixture_open();
    atomic_store(&with.working, WORKING);
    test_threads(WORKING + STARTING + 2, strain, &with);
    fixture_verify(with.all.actor);
    fixture_close(&with.all);
}
