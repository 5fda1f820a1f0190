/* Options from the environment and from files: precedence, and everything that can be wrong with them. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INVALID RK_ERROR_INVALID_ARGUMENT

static char path[] = "/tmp/rk-config-XXXXXX";

static void write_config(const char *text) {
    if (strstr(path, "XXXXXX") != NULL) {
        int file = mkstemp(path);
        CHECK(file >= 0);
        close(file);
    }
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fputs(text, file);
    CHECK_EQ(fclose(file), 0);
}

static rk_runtime_options from_file(void) {
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.config = path;
    options.config_length = strlen(path);
    return options;
}

static rk_runtime create(rk_runtime_options options) {
    rk_runtime runtime = {0};
    CHECK_DONE(rk_runtime_create(RK_VERSION, &options, &runtime, &test_error));
    return runtime;
}

/* Threads of the CPU backend. */
static uint32_t threads_of(rk_runtime runtime) {
    rk_device_properties device = RK_DEVICE_PROPERTIES_INIT;
    CHECK_DONE(rk_device_info(runtime, 0, &device, &test_error));
    return device.workers;
}

static rk_kernel_statistics launched(rk_runtime runtime, rk_kernel_options options) {
    rk_module module = fixture_module(runtime);
    rk_kernel kernel = fixture_launch(runtime, module, &options);
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_stats(kernel, &stats, &test_error));
    CHECK_OK(rk_kernel_destroy(kernel));
    CHECK_OK(rk_module_destroy(module));
    return stats;
}
#define OPTIONS(...) ((rk_kernel_options){.struct_size = sizeof(rk_kernel_options), __VA_ARGS__})

CASE(config_precedence) {
    write_config("[runtime]\nbackend = \"cpu\"\ncpu_threads = 3\n"
                 "[kernel]\nactors = 12\nworkers = 2\n[kernels.special]\nactors = 9\n"
                 "[kernels.responder]\nactors = 6\n");
    rk_runtime runtime = create(from_file());
    CHECK_EQ(threads_of(runtime), 3);
    CHECK_EQ(launched(runtime, OPTIONS(.device = 0)).actors, 6); /* by the actor's name */
    CHECK_EQ(launched(runtime, OPTIONS(.device = 0)).workers, 2);
    CHECK_EQ(launched(runtime, OPTIONS(.name = "special", .name_length = 7)).actors, 9);
    CHECK_EQ(launched(runtime, OPTIONS(.name = "other", .name_length = 5)).actors, 12);
    CHECK_EQ(launched(runtime, OPTIONS(.actors = 4, .workers = 4)).actors, 4);
    CHECK_EQ(launched(runtime, OPTIONS(.actors = 4, .workers = 4)).workers, 4);
    CHECK_OK(rk_runtime_destroy(runtime));

    CHECK_EQ(setenv("RINGKERNEL_CPU_THREADS", "5", 1), 0);
    CHECK_EQ(setenv("RINGKERNEL_KERNEL_ACTORS", "3", 1), 0);
    runtime = create(from_file());
    CHECK_EQ(threads_of(runtime), 5);
    CHECK_EQ(launched(runtime, OPTIONS(.name = "special", .name_length = 7)).actors, 3);
    CHECK_EQ(launched(runtime, OPTIONS(.actors = 7)).actors, 7);
    CHECK_OK(rk_runtime_destroy(runtime));

    rk_runtime_options explicit_options = from_file();
    explicit_options.cpu_threads = 2;
    runtime = create(explicit_options);
    CHECK_EQ(threads_of(runtime), 2);
    CHECK_OK(rk_runtime_destroy(runtime));

    /* Set to nothing is not set. */
    CHECK_EQ(setenv("RINGKERNEL_CPU_THREADS", "", 1), 0);
    runtime = create(from_file());
    CHECK_EQ(threads_of(runtime), 3);
    CHECK_OK(rk_runtime_destroy(runtime));
    unlink(path);
}

CASE(config_named_by_the_environment) {
    write_config("[runtime]\ncpu_threads = 4\n");
    CHECK_EQ(setenv("RINGKERNEL_CONFIG", path, 1), 0);
    rk_runtime runtime = {0};
    CHECK_DONE(rk_runtime_create(RK_VERSION, NULL, &runtime, &test_error));
    CHECK_EQ(threads_of(runtime), 4);
    CHECK_OK(rk_runtime_destroy(runtime));
    /* The program's own file is in its place, not beside it. */
    CHECK_EQ(setenv("RINGKERNEL_CONFIG", "/nowhere/rk.toml", 1), 0);
    CHECK_ERROR(rk_runtime_create(RK_VERSION, NULL, &runtime, &test_error), RK_ERROR_NOT_FOUND);
    runtime = create(from_file());
    CHECK_EQ(threads_of(runtime), 4);
    CHECK_OK(rk_runtime_destroy(runtime));
    unlink(path);
}

CASE(config_of_states_and_sending) {
    write_config("[kernel]\ninitial_state = \"2a000000000000000000000000000000\"\n"
                 "[send]\npriority = \"critical\"\ncorrelation = 9\ndeadline_ns = 1_000\ntimeout_ns = \"forever\"\n");
    CHECK_EQ(sizeof(struct responder), 16);
    rk_runtime runtime = create(from_file());
    rk_module module = fixture_module(runtime);
    rk_kernel kernel = fixture_launch(runtime, module, NULL);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
    ask question = {.nonce = 1};
    answer reply;
    CHECK_DONE(rk_call(actor, RK_TYPE(ask), &question, sizeof question, NULL, &reply, sizeof reply, NULL, RK_FOREVER,
                       &test_error));
    CHECK_EQ(reply.seen, 43);
    rk_send_options options = RK_SEND_OPTIONS_INIT;
    options.correlation = 5;
    CHECK_DONE(rk_send_options_load(runtime, &options, &test_error));
    CHECK_EQ(options.struct_size, sizeof options);
    CHECK_EQ(options.priority, RK_PRIORITY_CRITICAL);
    CHECK_EQ(options.correlation, 5);
    CHECK_EQ(options.deadline_ns, 1000);
    CHECK(options.timeout_ns == RK_FOREVER);
    /* A caller of an older header. */
    memset(&options, 0, sizeof options);
    options.struct_size = offsetof(rk_send_options, deadline_ns);
    CHECK_DONE(rk_send_options_load(runtime, &options, &test_error));
    CHECK_EQ(options.correlation, 9);
    CHECK_EQ(options.deadline_ns, 0);
    CHECK_ERROR(rk_send_options_load(runtime, NULL, &test_error), INVALID);
    CHECK_OK(rk_runtime_destroy(runtime));
    unlink(path);
}

/* Refused, with words in the message that help. */
static void check_refused(rk_runtime_options options, rk_status expected, const char *words) {
    rk_runtime runtime = {1};
    rk_error error;
    test_error_prepare(&error);
    const rk_status status = rk_runtime_create(RK_VERSION, &options, &runtime, &error);
    if (status != expected || strstr(error.message, words) == NULL)
        test_fail(__FILE__, __LINE__, "%s: %s, without '%s'", rk_status_name(status), error.message, words);
    test_error_check(__FILE__, __LINE__, &error, status);
    CHECK_EQ(runtime.id, 0);
}

CASE(config_mistakes) {
    static const struct {
        const char *text, *words;
    } mistakes[] = {
        {"[runtime]\ncpu_thread = 3", ":2: there is no option cpu_thread; the nearest is cpu_threads"},
        {"[runtim]\n", "the nearest is runtime"},
        {"[kernels.a]\nactrs = 3", "the nearest is actors"},
        {"[runtime]\ncpu_threads = 1025", "cpu_threads is 1025, it can be 1 to 1024"},
        {"[runtime]\ncpu_threads = -3", ":2: cpu_threads must be a number"},
        {"[runtime]\nclock_drift_ms = 3600001", "clock_drift_ms is 3600001"},
        {"[runtime]\nquantum_us = 99", "quantum_us is 99"},
        {"[runtime]\nlog_level = 5", "log_level is 5"},
        {"[runtime]\nlog_level = \"loud\"", "\"debug\""},
        {"[runtime]\ncpus = []", "cpus"},
        {"[runtime]\nlog = 1", "there is no option log"},
        {"[kernel]\nbackend = 4", "there is no backend 4"},
        {"[kernel]\nlanes = 1025", "lanes is 1025"},
        {"[kernel]\nactors = 1048577", "actors is 1048577"},
        {"[kernels.a]\ninbound_capacity = 5", "kernel \"a\": inbound_capacity is 5, which is not a power of two"},
        {"[kernel]\nname = \"0123456789012345678901234567890123456789012345678901234567890123\"", "63 bytes"},
        {"[send]\npriority = 256", "priority is 256"},
        {"[runtime\n", ":1: "},
        {"\xff", "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        write_config(mistakes[i].text);
        check_refused(from_file(), INVALID, mistakes[i].words);
        check_refused(from_file(), INVALID, mistakes[i].text[0] == '\xff' ? path : "");
    }
    /* A value that something more important hides is checked too. */
    write_config("[runtime]\ncpu_threads = 1025\n");
    rk_runtime_options options = from_file();
    options.cpu_threads = 1;
    check_refused(options, INVALID, path);
    unlink(path);
}

CASE(config_mistakes_in_the_environment) {
    static const struct {
        const char *name, *value, *words;
    } mistakes[] = {
        {"RINGKERNEL_CPU_THREAD", "3", "the nearest is RINGKERNEL_CPU_THREADS"},
        {"RINGKERNEL_KERNEL_ACTER", "3", "the nearest is RINGKERNEL_KERNEL_ACTORS"},
        {"RINGKERNEL_CPU_THREADS", "three", "RINGKERNEL_CPU_THREADS: cpu_threads must be a number"},
        {"RINGKERNEL_CPU_THREADS", "1025", "the environment: cpu_threads is 1025"},
        {"RINGKERNEL_CPU_THREADS", "\xff", "RINGKERNEL_CPU_THREADS is not UTF-8"},
        {"RINGKERNEL_BACKEND", "metal", "or \"auto\" or \"cpu\""},
        {"RINGKERNEL_CPUS", "1;2", "cpus must be a list of numbers"},
        {"RINGKERNEL_CPUS", "4294967296", "cpus must be a list of numbers"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        CHECK_EQ(setenv(mistakes[i].name, mistakes[i].value, 1), 0);
        check_refused((rk_runtime_options)RK_RUNTIME_OPTIONS_INIT, INVALID, mistakes[i].words);
        CHECK_EQ(unsetenv(mistakes[i].name), 0);
    }
    CHECK_EQ(setenv("RINGKERNELS", "1", 1), 0); /* none of ours */
    CHECK_OK(rk_runtime_destroy(create((rk_runtime_options)RK_RUNTIME_OPTIONS_INIT)));
}

CASE(config_files_that_are_none) {
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.config = NULL;
    options.config_length = 1;
    check_refused(options, INVALID, "NULL");
    options.config = path;
    options.config_length = 0;
    check_refused(options, INVALID, "empty");
    options.config_length = SIZE_MAX;
    check_refused(options, INVALID, "");
    static const struct {
        const char *path;
        rk_status expected;
    } others[] = {
        {"/tmp/there is no such file", RK_ERROR_NOT_FOUND}, {"/tmp", INVALID}, {"/dev/zero", INVALID}, {"\xff", INVALID},
        {"/dev/null/x", RK_ERROR_SYSTEM},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        options.config = others[i].path;
        options.config_length = strlen(others[i].path);
        check_refused(options, others[i].expected, "");
    }
    char pipe_path[] = "/tmp/rk-config-pipe-XXXXXX";
    CHECK(mkdtemp(pipe_path) != NULL);
    CHECK_EQ(rmdir(pipe_path), 0);
    CHECK_EQ(mkfifo(pipe_path, 0600), 0);
    options.config = pipe_path;
    options.config_length = strlen(pipe_path);
    check_refused(options, INVALID, "is not a file");
    CHECK_EQ(unlink(pipe_path), 0);
}
