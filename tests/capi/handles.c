/* Handles that are zero, of something destroyed, of another kind or of another runtime, given to every function. */
#include "surface.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const noun_names[NOUNS] = {"runtime", "module", "queue", "kernel", "actor", "alert", "buffer",
                                              "topic", "subscription"};

/* Calls everything that takes a noun with each of the bad ids in its place, everything else being alive. */
static void expect_stale(const fixture *alive, unsigned noun, const uint64_t *ids, size_t count, const char *why) {
    for (size_t i = 0; i < surface_count; i++) {
        if ((surface[i].takes & (1u << noun)) == 0) continue;
        for (size_t k = 0; k < count; k++) {
            fixture with = *alive;
            *surface_id(&with, 1u << noun) = ids[k];
            char text[128];
            snprintf(text, sizeof text, "%s 0x%llx (%s)", noun_names[noun], (unsigned long long)ids[k], why);
            surface_expect(&surface[i], &with, RK_ERROR_STALE_HANDLE, text);
        }
    }
}

/* The table has every function of the header, so that none escapes these tests. */
CASE(handles_table_is_complete) {
    static const char *const without_handle[] = {
        "rk_version",         "rk_status_name",  "rk_runtime_options_init", "rk_kernel_options_init",
        "rk_send_options_init", "rk_runtime_create", "rk_actor_index",
        "rk_hlc_compare",     "rk_hlc_unix_ns",  "rk_hlc_logical",          "rk_hlc_from_unix_ns",
        "rk_hlc_format",      "rk_alert_options_init",  "rk_buffer_options_init", "rk_trace_options_init",
        "rk_topic_options_init", "rk_publish_options_init", "rk_subscription_options_init",
        "rk_snapshot_free",   "rk_snapshot_describe",
    };
    static const char *const results[] = {"rk_status ", "uint32_t ", "uint64_t ", "int32_t ", "const char *", "void "};
    FILE *header = fopen(TEST_HEADER, "r");
    CHECK(header != NULL);
    char line[512];
    size_t found = 0;
    while (fgets(line, sizeof line, header) != NULL) {
        /* A declaration starts in the first column; comments, macros and struct members do not look like this. */
        bool declares = false;
        for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
            declares = declares || strncmp(line, results[i], strlen(results[i])) == 0;
        if (!declares) continue;
        char *open = strchr(line, '(');
        if (open == NULL) continue;
        char *name = open;
        while (name > line && (isalnum((unsigned char)name[-1]) || name[-1] == '_')) name--;
        *open = 0;
        bool known = false;
        for (size_t i = 0; i < surface_count; i++) known = known || strcmp(surface[i].name, name) == 0;
        for (size_t i = 0; i < sizeof without_handle / sizeof without_handle[0]; i++)
            known = known || strcmp(without_handle[i], name) == 0;
        if (!known) test_fail(__FILE__, __LINE__, "%s is in the header and not in surface.c", name);
        found++;
    }
    fclose(header);
    CHECK_EQ(found, surface_count + sizeof without_handle / sizeof without_handle[0]);
}

CASE(handles_zero) {
    fixture alive = fixture_open();
    const uint64_t zero = 0;
    for (unsigned noun = 0; noun < NOUNS; noun++) expect_stale(&alive, noun, &zero, 1, "zero");
    fixture_verify(alive.actor);
    fixture_close(&alive);
}

CASE(handles_destroyed) {
    fixture alive = fixture_open();
    fixture dead = alive;
    dead.module = fixture_module(alive.runtime);
    dead.kernel = fixture_launch(alive.runtime, dead.module, NULL);
    CHECK_OK(rk_kernel_actor(dead.kernel, 0, &dead.actor));
    CHECK_DONE(rk_queue_create(alive.runtime, &dead.queue, &test_error));
    CHECK_DONE(fixture_alert(&alive, &dead.alert, &test_error));
    CHECK_DONE(fixture_buffer(&alive, &dead.buffer, &test_error));
    CHECK_DONE(rk_topic_open(alive.runtime, "other", 5, NULL, &dead.topic, &test_error));
    CHECK_DONE(fixture_subscription(&alive, &dead.subscription, &test_error));
    dead.runtime = fixture_runtime();
    CHECK_OK(rk_kernel_destroy(dead.kernel));
    CHECK_OK(rk_module_destroy(dead.module));
    CHECK_OK(rk_queue_destroy(dead.queue));
    CHECK_OK(rk_alert_destroy(dead.alert));
    CHECK_OK(rk_buffer_destroy(dead.buffer));
    CHECK_OK(rk_topic_close(dead.topic));
    CHECK_OK(rk_unsubscribe(dead.subscription));
    CHECK_OK(rk_runtime_destroy(dead.runtime));
    for (unsigned noun = 0; noun < NOUNS; noun++)
        expect_stale(&alive, noun, surface_id(&dead, 1u << noun), 1, "destroyed");
    /* What takes their places has other handles. */
    fixture again = fixture_open();
    for (unsigned noun = 0; noun < NOUNS; noun++)
        expect_stale(&alive, noun, surface_id(&dead, 1u << noun), 1, "destroyed and replaced");
    fixture_verify(again.actor);
    fixture_close(&again);
    fixture_close(&alive);
}

/* Destroying a runtime destroys what is in it. */
CASE(handles_of_a_destroyed_runtime) {
    fixture alive = fixture_open();
    fixture dead = fixture_open();
    CHECK_OK(rk_runtime_destroy(dead.runtime));
    for (unsigned noun = 0; noun < NOUNS; noun++)
        expect_stale(&alive, noun, surface_id(&dead, 1u << noun), 1, "its runtime destroyed");
    fixture_close(&alive);
}

CASE(handles_of_another_kind) {
    fixture alive = fixture_open();
    for (unsigned noun = 0; noun < NOUNS; noun++) {
        uint64_t others[NOUNS];
        size_t count = 0;
        for (unsigned other = 0; other < NOUNS; other++)
            if (other != noun) others[count++] = *surface_id(&alive, 1u << other);
        expect_stale(&alive, noun, others, count, "another noun's");
    }
    fixture_verify(alive.actor);
    fixture_close(&alive);
}

CASE(handles_random) {
    enum { COUNT = 300 };
    fixture alive = fixture_open();
    uint64_t random = test_seed(), ids[COUNT];
    for (unsigned noun = 0; noun < NOUNS; noun++) {
        uint64_t valid = *surface_id(&alive, 1u << noun);
        for (size_t i = 0; i < COUNT; i++) {
            /* All bits, or the valid id with one of the upper half changed, which of an actor is its kernel. */
            uint64_t bits = test_random(&random);
            ids[i] = i % 2 == 0 ? bits : valid ^ (UINT64_C(1) << (32 + bits % 32));
        }
        expect_stale(&alive, noun, ids, COUNT, "random");
    }
    fixture_verify(alive.actor);
    fixture_close(&alive);
}

/* The actor's own generation is the kernel's business: the message is refused, or it is accepted and dies. */
CASE(handles_actor_of_another_generation) {
    fixture all = fixture_open();
    for (int bit = 20; bit < 32; bit++) {
        rk_actor other = {all.actor.id ^ (UINT64_C(1) << bit)};
        ask question = {.nonce = 1};
        rk_status status = rk_send(other, RK_TYPE(ask), &question, sizeof question, NULL);
        if (status == RK_ERROR_STALE_HANDLE) continue;
        CHECK_OK(status);
        rk_message message;
        uint32_t count = 0;
        CHECK_OK(rk_poll(all.runtime, &message, 1, &question, sizeof question, RK_FOREVER, &count));
        CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
        CHECK_EQ(message.reason, RK_DEAD_NO_ACTOR);
        CHECK_EQ(message.to.id, other.id);
    }
    fixture_close(&all);
}

/* An index that the kernel does not have. */
CASE(handles_actor_beyond_the_last) {
    fixture alive = fixture_open();
    rk_actor actor = {0};
    for (uint32_t i = 0; i < FIXTURE_ACTORS; i++) {
        CHECK_OK(rk_kernel_actor(alive.kernel, i, &actor));
        CHECK_EQ(rk_actor_index(actor), i);
    }
    actor.id = UINT64_C(0xDEADBEEF);
    CHECK_STATUS(rk_kernel_actor(alive.kernel, FIXTURE_ACTORS, &actor), RK_ERROR_NOT_FOUND);
    CHECK_STATUS(rk_kernel_actor(alive.kernel, UINT32_MAX, &actor), RK_ERROR_NOT_FOUND);
    CHECK_OK(rk_kernel_actor(alive.kernel, 0, &actor));
    actor.id += FIXTURE_ACTORS;
    CHECK_EQ(rk_actor_index(actor), FIXTURE_ACTORS);
    ask question = {.nonce = 1};
    CHECK_STATUS(rk_send(actor, RK_TYPE(ask), &question, sizeof question, NULL), RK_ERROR_STALE_HANDLE);
    CHECK_EQ(rk_actor_index((rk_actor){0}), 0);
    fixture_close(&alive);
}

CASE(handles_destroyed_twice) {
    fixture all = fixture_open();
    CHECK_OK(rk_kernel_destroy(all.kernel));
    CHECK_STATUS(rk_kernel_destroy(all.kernel), RK_ERROR_STALE_HANDLE);
    CHECK_OK(rk_module_destroy(all.module));
    CHECK_STATUS(rk_module_destroy(all.module), RK_ERROR_STALE_HANDLE);
    CHECK_OK(rk_queue_destroy(all.queue));
    CHECK_STATUS(rk_queue_destroy(all.queue), RK_ERROR_STALE_HANDLE);
    CHECK_OK(rk_runtime_destroy(all.runtime));
    CHECK_STATUS(rk_runtime_destroy(all.runtime), RK_ERROR_STALE_HANDLE);
}

/* What is in use is not destroyed under its user. */
CASE(handles_in_use) {
    fixture all = fixture_open();
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.queues = &all.queue;
    options.queue_count = 1;
    rk_kernel user = fixture_launch(all.runtime, all.module, &options);
    CHECK_STATUS(rk_queue_destroy(all.queue), RK_ERROR_BAD_STATE);
    CHECK_STATUS(rk_module_destroy(all.module), RK_ERROR_BAD_STATE);
    CHECK_DONE(rk_kernel_terminate(user, NULL, &test_error));
    CHECK_STATUS(rk_queue_destroy(all.queue), RK_ERROR_BAD_STATE);
    CHECK_OK(rk_kernel_destroy(user));
    fixture_close(&all);
}

/* Objects of two runtimes do not mix. */
CASE(handles_of_another_runtime) {
    fixture one = fixture_open(), other = fixture_open();
    rk_kernel kernel = {UINT64_C(0xDEADBEEF)};
    CHECK_ERROR(rk_kernel_launch(one.runtime, other.module, "responder", 9, NULL, &kernel, &test_error),
                RK_ERROR_STALE_HANDLE);
    CHECK_EQ(kernel.id, 0);
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.queues = &other.queue;
    options.queue_count = 1;
    kernel.id = UINT64_C(0xDEADBEEF);
    CHECK_ERROR(rk_kernel_launch(one.runtime, one.module, "responder", 9, &options, &kernel, &test_error),
                RK_ERROR_STALE_HANDLE);
    CHECK_EQ(kernel.id, 0);
    fixture_verify(one.actor);
    fixture_verify(other.actor);
    fixture_close(&one);
    fixture_close(&other);
}

static int by_value(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* However often a place is used again, its handle is new. */
CASE(handles_are_never_reused) {
    enum { COUNT = 3000 };
    fixture all = fixture_open();
    static uint64_t ids[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        rk_queue queue;
        CHECK_DONE(rk_queue_create(all.runtime, &queue, &test_error));
        ids[i] = queue.id;
        CHECK_OK(rk_queue_destroy(queue));
    }
    qsort(ids, COUNT, sizeof ids[0], by_value);
    for (size_t i = 1; i < COUNT; i++) CHECK(ids[i] != ids[i - 1]);
    fixture_close(&all);
}
