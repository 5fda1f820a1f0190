/* Modules that are not what they should be: images in memory, forged in every field, and files, cut and corrupted. */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOT_ZERO UINT64_C(0xDEADBEEF)

/* A module written by hand: one actor that answers `ask`. */
static void run_ask(rk_context *context) {
    const ask *question = context->message;
    answer *reply = rk_stage_(context, RK_SIZE(answer));
    reply->nonce = question->nonce;
    reply->seen = ++*(uint64_t *)context->state;
    rk_post_(context, RK_POST_REPLY, 0, RK_TYPE(answer), sizeof *reply, 0, 0, 0);
}

typedef struct forgery {
    rk_module_image image;
    rk_actor_type actors[2];
    rk_message_type messages[2];
    rk_handler handlers[2];
    rk_section section;
} forgery;

static void forge(forgery *module) {
    memset(module, 0, sizeof *module);
    module->handlers[0] = (rk_handler){.type = RK_TYPE(ask), .size = sizeof(ask), .run = run_ask};
    module->handlers[1] = (rk_handler){.type = RK_TYPE(answer), .size = sizeof(answer), .run = run_ask};
    module->messages[0] = (rk_message_type){.name = "ask", .type = RK_TYPE(ask), .size = sizeof(ask)};
    module->messages[1] = (rk_message_type){.name = "answer", .type = RK_TYPE(answer), .size = sizeof(answer)};
    for (int i = 0; i < 2; i++)
        module->actors[i] = (rk_actor_type){.name = i == 0 ? "one" : "two",
                                            .state_size = 8,
                                            .scratch_size = 64,
                                            .handlers = module->handlers,
                                            .handler_count = 2};
    module->section = (rk_section){.kind = RK_SECTION_SPIRV, .name = "one", .data = module, .size = 4};
    module->image = (rk_module_image){.struct_size = sizeof module->image,
                                      .layout_version = RK_LAYOUT_VERSION,
                                      .name = "forged",
                                      .actors = module->actors,
                                      .messages = module->messages,
                                      .sections = &module->section,
                                      .actor_count = 2,
                                      .message_count = 2,
                                      .section_count = 0};
}

CASE(modules_written_by_hand) {
    fixture all = fixture_open();
    static forgery module;
    forge(&module);
    rk_module handle = {0};
    CHECK_DONE(rk_module_create(all.runtime, &module.image, &handle, &test_error));
    rk_kernel kernel = {0};
    CHECK_DONE(rk_kernel_launch(all.runtime, handle, "two", 3, NULL, &kernel, &test_error));
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
    fixture_verify(actor);
    CHECK_OK(rk_kernel_destroy(kernel));
    CHECK_OK(rk_module_destroy(handle));
    fixture_close(&all);
}

/* One thing wrong with an image that is else right. */
#define FORGED(change, expected)                                                                                       \
    do {                                                                                                               \
        forge(&module);                                                                                                \
        change;                                                                                                        \
        handle.id = NOT_ZERO;                                                                                          \
        CHECK_ERROR(rk_module_create(all.runtime, &module.image, &handle, &test_error), expected);                     \
        CHECK_EQ(handle.id, 0);                                                                                        \
    } while (0)
#define CONTRADICTS(change) FORGED(change, RK_ERROR_BAD_IMAGE)

CASE(modules_forged_header) {
    fixture all = fixture_open();
    static forgery module;
    rk_module handle;
    FORGED(module.image.layout_version = 0, RK_ERROR_LAYOUT);
    FORGED(module.image.layout_version = RK_LAYOUT_VERSION + 1, RK_ERROR_LAYOUT);
    FORGED(module.image.layout_version = UINT32_MAX, RK_ERROR_LAYOUT);
    CONTRADICTS(module.image.struct_size = 0);
    CONTRADICTS(module.image.struct_size = 8);
    CONTRADICTS(module.image.struct_size = sizeof module.image - 1);
    CONTRADICTS(module.image.struct_size = UINT32_MAX);
    CONTRADICTS(module.image.name = NULL);
    CONTRADICTS(module.image.name = "\xff\xfe");
    CONTRADICTS(module.image.actors = NULL);
    CONTRADICTS(module.image.actor_count = 0);
    CONTRADICTS(module.image.actor_count = UINT32_MAX);
    CONTRADICTS(module.image.messages = NULL);
    CONTRADICTS(module.image.message_count = UINT32_MAX);
    CONTRADICTS((module.image.sections = NULL, module.image.section_count = 1));
    CONTRADICTS(module.image.section_count = UINT32_MAX);
    fixture_verify(all.actor);
    fixture_close(&all);
}

CASE(modules_forged_actors) {
    fixture all = fixture_open();
    static forgery module;
    rk_module handle;
    CONTRADICTS(module.actors[1].name = NULL);
    CONTRADICTS(module.actors[1].name = "");
    CONTRADICTS(module.actors[1].name = "\xc3");
    CONTRADICTS(module.actors[1].name = "one"); /* twice */
    CONTRADICTS(module.actors[1].state_size = RK_STATE_MAX + 1);
    CONTRADICTS(module.actors[1].state_size = UINT32_MAX);
    CONTRADICTS(module.actors[1].scratch_size = RK_SCRATCH_MAX + 1);
    CONTRADICTS(module.actors[1].scratch_size = UINT32_MAX);
    CONTRADICTS(module.actors[1].handlers = NULL);
    CONTRADICTS(module.actors[1].handler_count = UINT32_MAX);
    CONTRADICTS(module.handlers[1].run = NULL);
    CONTRADICTS(module.handlers[1].type = 0);
    CONTRADICTS(module.handlers[1].type = RK_TYPE_MAX + 1);
    CONTRADICTS(module.handlers[1].type = UINT32_MAX);
    CONTRADICTS(module.handlers[1].size = RK_PAYLOAD_MAX + 1);
    CONTRADICTS(module.handlers[1].size = UINT32_MAX);
    CONTRADICTS(module.handlers[1] = module.handlers[0]); /* one type twice in an actor */
    CONTRADICTS(module.handlers[1].size = sizeof(answer) - 1); /* not what the table of messages says */
    fixture_verify(all.actor);
    fixture_close(&all);
}

CASE(modules_forged_messages_and_sections) {
    fixture all = fixture_open();
    static forgery module;
    rk_module handle;
    CONTRADICTS(module.messages[1].name = NULL);
    CONTRADICTS(module.messages[1].name = "\xff");
    CONTRADICTS(module.messages[1].type = 0);
    CONTRADICTS(module.messages[1].type = RK_TYPE_MAX + 1);
    CONTRADICTS(module.messages[1].size = RK_PAYLOAD_MAX + 1);
    CONTRADICTS(module.messages[1] = module.messages[0]); /* one type twice */
    CONTRADICTS((module.image.section_count = 1, module.section.data = NULL));
    CONTRADICTS((module.image.section_count = 1, module.section.name = NULL));
    CONTRADICTS((module.image.section_count = 1, module.section.kind = 0));
    CONTRADICTS((module.image.section_count = 1, module.section.kind = RK_SECTION_CUDA_CUBIN));
    CONTRADICTS((module.image.section_count = 1, module.section.size = UINT64_MAX));
    fixture_verify(all.actor);
    fixture_close(&all);
}

/* The module works: it is launched, asked, destroyed. */
static void use_module(rk_runtime runtime, rk_module module) {
    rk_kernel kernel = fixture_launch(runtime, module, NULL);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
    fixture_verify(actor);
    CHECK_STATUS(rk_module_destroy(module), RK_ERROR_BAD_STATE);
    CHECK_OK(rk_kernel_destroy(kernel));
    CHECK_OK(rk_module_destroy(module));
}

CASE(modules_file) {
    fixture all = fixture_open();
    for (int i = 0; i < 20; i++) {
        rk_module module = {0};
        CHECK_DONE(rk_module_load(all.runtime, fixture_file(), strlen(fixture_file()), &module, &test_error));
        use_module(all.runtime, module);
    }
    /* The path's length counts, not a NUL. */
    char path[4096];
    int length = snprintf(path, sizeof path, "%s.not", fixture_file());
    rk_module module = {0};
    CHECK_DONE(rk_module_load(all.runtime, path, (size_t)length - 4, &module, &test_error));
    use_module(all.runtime, module);
    fixture_close(&all);
}

CASE(modules_memory) {
    fixture all = fixture_open();
    size_t size;
    const void *bytes = fixture_file_bytes(&size);
    for (int i = 0; i < 20; i++) {
        /* At any alignment, and not needed after the call. */
        unsigned char *copy = malloc(size + 16);
        CHECK(copy != NULL);
        memcpy(copy + i % 16, bytes, size);
        rk_module module = {0};
        CHECK_DONE(rk_module_load_memory(all.runtime, copy + i % 16, size, &module, &test_error));
        memset(copy, 0xEE, size + 16);
        free(copy);
        use_module(all.runtime, module);
    }
    fixture_close(&all);
}

static void load_and_use(unsigned index, void *shared) {
    const fixture *all = shared;
    for (int i = 0; i < 5; i++) {
        size_t size;
        const void *bytes = fixture_file_bytes(&size);
        rk_module module = {0};
        if (index % 2 == 0) CHECK_DONE(rk_module_load_memory(all->runtime, bytes, size, &module, &test_error));
        else CHECK_DONE(rk_module_load(all->runtime, fixture_file(), strlen(fixture_file()), &module, &test_error));
        use_module(all->runtime, module);
    }
}

CASE(modules_eight_threads) {
    /* Seen once in some hundred runs: threads in dlopen() wait for ThreadSanitizer's runtime and it for the loader's lock. */
    if (TEST_THREAD_SANITIZED) test_skip("ThreadSanitizer and dlopen() in several threads can wait for each other");
    fixture all = fixture_open();
    size_t size;
    fixture_file_bytes(&size); /* read before the threads do */
    test_threads(8, load_and_use, &all);
    fixture_close(&all);
}

/* Loads bytes that are no module, from memory and from a file; what was wrong is a bad image or its layout version. */
static void expect_bad(rk_runtime runtime, const void *bytes, size_t size, const char *what) {
    char path[] = "bad_module_XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    for (int way = 0; way < 2; way++) {
        rk_error error;
        test_error_prepare(&error);
        rk_module module = {NOT_ZERO};
        rk_status status = way == 0 ? rk_module_load_memory(runtime, bytes, size, &module, &error)
                                    : rk_module_load(runtime, path, strlen(path), &module, &error);
        if (status != RK_ERROR_BAD_IMAGE && status != RK_ERROR_LAYOUT)
            test_fail(__FILE__, __LINE__, "%s, %zu bytes: %s", what, size, rk_status_name(status));
        test_error_check(__FILE__, __LINE__, &error, status);
        CHECK_EQ(module.id, 0);
    }
    CHECK_EQ(unlink(path), 0);
}

CASE(modules_truncated) {
    fixture all = fixture_open();
    size_t size;
    const unsigned char *bytes = fixture_file_bytes(&size);
    uint64_t random = test_seed();
    for (size_t length = 1; length < 200 && length < size; length++)
        expect_bad(all.runtime, bytes, length, "truncated");
    for (uint32_t i = 0; i < test_load(200); i++)
        expect_bad(all.runtime, bytes, 1 + test_random_below(&random, (uint32_t)size - 1), "truncated");
    expect_bad(all.runtime, bytes, size - 1, "truncated");
    unsigned char *longer = malloc(size + 64);
    CHECK(longer != NULL);
    memcpy(longer, bytes, size);
    memset(longer + size, 0, 64);
    expect_bad(all.runtime, longer, size + 1, "with something behind");
    expect_bad(all.runtime, longer, size + 64, "with something behind");
    free(longer);
    fixture_close(&all);
}

CASE(modules_corrupt) {
    fixture all = fixture_open();
    size_t size;
    const unsigned char *bytes = fixture_file_bytes(&size);
    unsigned char *copy = malloc(size);
    CHECK(copy != NULL);
    memcpy(copy, bytes, size);
    uint64_t random = test_seed();
    for (uint32_t i = 0; i < test_load(1500); i++) {
        /* Bits all over the file, and each one of its first bytes. */
        size_t bit = i < 1000 && i < size * 8 ? i : test_random_below(&random, (uint32_t)size) * (size_t)8 + i % 8;
        copy[bit / 8] ^= (unsigned char)(1u << bit % 8);
        char what[64];
        snprintf(what, sizeof what, "bit %zu flipped", bit);
        expect_bad(all.runtime, copy, size, what);
        copy[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (uint32_t i = 0; i < test_load(100); i++) {
        /* Zeros, as a disk leaves them. */
        size_t start = test_random_below(&random, (uint32_t)size), length = 1 + test_random_below(&random, 4096);
        if (length > size - start) length = size - start;
        memset(copy + start, 0, length);
        if (memcmp(copy, bytes, size) != 0) expect_bad(all.runtime, copy, size, "zeroed in part");
        memcpy(copy + start, bytes + start, length);
    }
    rk_module module = {0};
    CHECK_DONE(rk_module_load_memory(all.runtime, copy, size, &module, &test_error));
    use_module(all.runtime, module);
    free(copy);
    fixture_close(&all);
}

/* Bytes that never were a module, also with the first ones of one. */
CASE(modules_random_bytes) {
    fixture all = fixture_open();
    size_t size;
    const unsigned char *bytes = fixture_file_bytes(&size);
    static unsigned char noise[8192];
    uint64_t random = test_seed();
    for (uint32_t i = 0; i < test_load(300); i++) {
        size_t length = 1 + test_random_below(&random, sizeof noise), kept = test_random_below(&random, 128);
        test_random_bytes(&random, noise, length);
        memcpy(noise, bytes, kept < length ? kept : length);
        if (length < size) expect_bad(all.runtime, noise, length, "noise");
    }
    fixture_close(&all);
}

CASE(modules_no_such_file) {
    fixture all = fixture_open();
    struct {
        const char *path;
        rk_status expected;
    } const bad[] = {
        {"/nonexistent/module.rkm", RK_ERROR_NOT_FOUND}, {"", RK_ERROR_INVALID_ARGUMENT},
        {"/etc/passwd/module.rkm", RK_ERROR_SYSTEM},     {"/proc/self/exe", RK_ERROR_BAD_IMAGE},
        {"/etc/passwd", RK_ERROR_BAD_IMAGE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rk_module module = {NOT_ZERO};
        rk_error error;
        test_error_prepare(&error);
        rk_status status = rk_module_load(all.runtime, bad[i].path, strlen(bad[i].path), &module, &error);
        if (status != bad[i].expected)
            test_fail(__FILE__, __LINE__, "'%s': %s", bad[i].path, rk_status_name(status));
        test_error_check(__FILE__, __LINE__, &error, status);
        CHECK_EQ(module.id, 0);
        if (status != RK_ERROR_SYSTEM) continue;
        CHECK_EQ(error.native_domain, RK_NATIVE_ERRNO);
        CHECK_EQ(error.native_code, ENOTDIR);
    }
    fixture_close(&all);
}

/* What is no file with an end: a directory, a pipe that nobody writes to, a device that never stops. */
CASE(modules_no_regular_file) {
    fixture all = fixture_open();
    char fifo[] = "module_fifo_XXXXXX";
    int fd = mkstemp(fifo);
    CHECK(fd >= 0);
    close(fd);
    CHECK_EQ(unlink(fifo), 0);
    CHECK_EQ(mkfifo(fifo, 0600), 0);
    const char *const paths[] = {"/", ".", fifo, "/dev/zero", "/dev/null"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        rk_module module = {NOT_ZERO};
        rk_error error;
        test_error_prepare(&error);
        rk_status status = rk_module_load(all.runtime, paths[i], strlen(paths[i]), &module, &error);
        if (status != RK_ERROR_SYSTEM && status != RK_ERROR_BAD_IMAGE)
            test_fail(__FILE__, __LINE__, "'%s': %s", paths[i], rk_status_name(status));
        test_error_check(__FILE__, __LINE__, &error, status);
        CHECK_EQ(module.id, 0);
    }
    CHECK_EQ(unlink(fifo), 0);
    fixture_close(&all);
}

/* Where src/module/file.rs puts things, to sign again what was changed. */
enum { AT_FORMAT = 8, AT_LAYOUT = 12, AT_SIZE = 16, AT_CHECKSUM = 24, AT_COUNT = 32, AT_SECTION = 40 };
enum { AT_MACHINE = AT_SECTION + 4, AT_OFFSET = AT_SECTION + 8, AT_LENGTH = AT_SECTION + 16 };

static void sign(unsigned char *bytes, size_t size) {
    uint64_t hash = 0xcbf29ce484222325u;
    memset(bytes + AT_CHECKSUM, 0, sizeof hash);
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    memcpy(bytes + AT_CHECKSUM, &hash, sizeof hash);
}

/* Files whose checksum is right, and whose contents are not. */
CASE(modules_signed_and_wrong) {
    fixture all = fixture_open();
    size_t size;
    const unsigned char *bytes = fixture_file_bytes(&size);
    unsigned char *copy = malloc(size);
    CHECK(copy != NULL);
    const struct {
        size_t at, width;
        uint64_t value;
        rk_status expected;
    } changes[] = {
        {AT_LAYOUT, 4, RK_LAYOUT_VERSION + 1, RK_ERROR_LAYOUT},
        {AT_LAYOUT, 4, 0, RK_ERROR_LAYOUT},
        {AT_LAYOUT, 4, UINT32_MAX, RK_ERROR_LAYOUT},
        {AT_FORMAT, 4, 0, RK_ERROR_BAD_IMAGE},
        {AT_FORMAT, 4, UINT32_MAX, RK_ERROR_BAD_IMAGE},
        {AT_SIZE, 8, 0, RK_ERROR_BAD_IMAGE},
        {AT_SIZE, 8, UINT64_MAX, RK_ERROR_BAD_IMAGE},
        {AT_COUNT, 4, 0, RK_ERROR_BAD_IMAGE},
        {AT_COUNT, 4, 1000, RK_ERROR_BAD_IMAGE},
        {AT_COUNT, 4, UINT32_MAX, RK_ERROR_BAD_IMAGE},
        {AT_MACHINE, 4, UINT32_MAX, RK_ERROR_BAD_IMAGE},
        {AT_OFFSET, 8, 0, RK_ERROR_BAD_IMAGE},
        {AT_OFFSET, 8, size, RK_ERROR_BAD_IMAGE},
        {AT_OFFSET, 8, UINT64_MAX, RK_ERROR_BAD_IMAGE},
        {AT_LENGTH, 8, 0, RK_ERROR_BAD_IMAGE},
        {AT_LENGTH, 8, size, RK_ERROR_BAD_IMAGE},
        {AT_LENGTH, 8, UINT64_MAX, RK_ERROR_BAD_IMAGE},
        {AT_LENGTH, 8, UINT64_MAX - AT_SECTION, RK_ERROR_BAD_IMAGE},
        {AT_SECTION + 24, 8, 0, RK_ERROR_BAD_IMAGE}, /* the object is none */
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        memcpy(copy, bytes, size);
        memcpy(copy + changes[i].at, &changes[i].value, changes[i].width);
        sign(copy, size);
        rk_module module = {NOT_ZERO};
        rk_error error;
        test_error_prepare(&error);
        rk_status status = rk_module_load_memory(all.runtime, copy, size, &module, &error);
        if (status != changes[i].expected)
            test_fail(__FILE__, __LINE__, "change %zu at byte %zu: %s", i, changes[i].at, rk_status_name(status));
        test_error_check(__FILE__, __LINE__, &error, status);
        CHECK_EQ(module.id, 0);
    }
    memcpy(copy, bytes, size);
    sign(copy, size);
    CHECK_EQ(memcmp(copy, bytes, size), 0);
    free(copy);
    fixture_close(&all);
}
