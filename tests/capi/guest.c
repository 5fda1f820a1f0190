/* A guest in its host's process: prints nothing, leaves signals alone, uses no processor when idle, takes nothing with
 * it when it goes. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MILLISECOND = 1000000, SECOND = 1000000000 };

static unsigned entries(const char *path) {
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    unsigned count = 0;
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count;
}

static unsigned threads(void) { return entries("/proc/self/task"); }
static unsigned descriptors(void) { return entries("/proc/self/fd"); }

/* Some of everything, with errors and a failing actor, so that there would be something to say. */
static void live_a_life(void) {
    fixture all = fixture_open();
    fixture_verify(all.actor);
    break_down bad = {.code = 5};
    CHECK_OK(rk_send(all.actor, RK_TYPE(break_down), &bad, sizeof bad, NULL));
    rk_message message;
    uint32_t count;
    CHECK_OK(rk_poll(all.runtime, &message, 1, NULL, 0, RK_FOREVER, &count));
    CHECK_EQ(message.type, RK_EVENT_ACTOR_FAILED);
    rk_kernel kernel;
    CHECK_ERROR(rk_kernel_launch(all.runtime, all.module, "nobody", 6, NULL, &kernel, &test_error), RK_ERROR_NOT_FOUND);
    rk_module module;
    CHECK_ERROR(rk_module_load(all.runtime, "/nonexistent", 12, &module, &test_error), RK_ERROR_NOT_FOUND);
    for (uint32_t backend = RK_BACKEND_CPU; backend <= RK_BACKEND_VULKAN; backend++) {
        rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
        options.backend = backend;
        if (rk_kernel_launch(all.runtime, all.module, "responder", 9, &options, &kernel, NULL) == RK_OK)
            CHECK_OK(rk_kernel_destroy(kernel));
    }
    fixture_close(&all);
}

CASE(guest_prints_nothing) {
    int kept[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
    CHECK(kept[0] >= 0 && kept[1] >= 0);
    FILE *instead = tmpfile();
    CHECK(instead != NULL);
    CHECK_EQ(fflush(NULL), 0);
    CHECK(dup2(fileno(instead), STDOUT_FILENO) >= 0 && dup2(fileno(instead), STDERR_FILENO) >= 0);
    live_a_life();
    CHECK_EQ(fflush(NULL), 0);
    CHECK(dup2(kept[0], STDOUT_FILENO) >= 0 && dup2(kept[1], STDERR_FILENO) >= 0);
    char text[512];
    rewind(instead);
    size_t length = fread(text, 1, sizeof text - 1, instead);
    text[length] = 0;
    if (length > 0) test_fail(__FILE__, __LINE__, "printed: %s", text);
    fclose(instead);
}

CASE(guest_leaves_signal_handlers_alone) {
    struct sigaction before[65], after;
    memset(before, 0, sizeof before);
    for (int number = 1; number < 65; number++) sigaction(number, NULL, &before[number]);
    sigset_t mask_before, mask_after;
    CHECK_EQ(sigprocmask(SIG_SETMASK, NULL, &mask_before), 0);
    fixture all = fixture_open();
    live_a_life();
    for (int number = 1; number < 65; number++) {
        memset(&after, 0, sizeof after);
        if (sigaction(number, NULL, &after) != 0) continue;
        CHECK_EQ(after.sa_flags, before[number].sa_flags);
        CHECK(after.sa_handler == before[number].sa_handler);
    }
    fixture_close(&all);
    CHECK_EQ(sigprocmask(SIG_SETMASK, NULL, &mask_after), 0);
    for (int number = 1; number < 65; number++)
        CHECK_EQ(sigismember(&mask_before, number), sigismember(&mask_after, number));
}

static unsigned long long blocked_signals(const char *task) {
    char path[64 + 256], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    unsigned long long mask = 0;
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) found = sscanf(line, "SigBlk: %llx", &mask) == 1;
    fclose(file);
    CHECK(found);
    return mask;
}

/* Every signal that can be blocked is, in every thread of the library: the host's threads get them all. */
CASE(guest_threads_block_signals) {
    char known[64][32];
    unsigned known_count = 0, ours = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    for (struct dirent *task; (task = readdir(tasks)) != NULL && known_count < 64; known_count++)
        snprintf(known[known_count], sizeof known[0], "%.31s", task->d_name);
    fixture all = fixture_open();
    fixture_verify(all.actor);
    rewinddir(tasks);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        bool old = false;
        for (unsigned i = 0; i < known_count; i++) old = old || strcmp(known[i], task->d_name) == 0;
        if (old) continue;
        unsigned long long mask = blocked_signals(task->d_name);
        /* Bit n-1 is signal n. SIGKILL and SIGSTOP cannot be blocked, 32 to 34 are the C library's own. */
        for (int number = 1; number <= 64; number++) {
            if (number == SIGKILL || number == SIGSTOP || (number >= 32 && number <= 34)) continue;
            if ((mask >> (number - 1) & 1) == 0)
                test_fail(__FILE__, __LINE__, "thread %s has signal %d not blocked", task->d_name, number);
        }
        ours++;
    }
    closedir(tasks);
    CHECK(ours >= 2);
    fixture_close(&all);
}

static int64_t processor_time(void) {
    struct rusage usage;
    CHECK_EQ(getrusage(RUSAGE_SELF, &usage), 0);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * SECOND +
           ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

/* Nothing to do: neither the library's threads nor the one that waits take a processor. */
CASE(guest_is_idle_when_idle) {
    fixture all = fixture_open();
    for (int i = 0; i < 10; i++) fixture_verify(all.actor);
    const int64_t window = 300 * (int64_t)MILLISECOND, allowed = (TEST_SANITIZED ? 60 : 15) * (int64_t)MILLISECOND;
    rk_message message;
    uint32_t count;
    int64_t before = processor_time(), start = test_now();
    CHECK_STATUS(rk_poll(all.runtime, &message, 1, NULL, 0, window, &count), RK_TIMEOUT);
    CHECK(test_now() - start >= window);
    CHECK_AT_MOST(processor_time() - before, allowed);
    /* Also with work that cannot be done now: suspended, and parked. */
    CHECK_DONE(rk_kernel_deactivate(all.kernel, &test_error));
    CHECK_OK(rk_send(all.actor, RK_TYPE(poke), NULL, 0, NULL));
    before = processor_time();
    CHECK_STATUS(rk_poll(all.runtime, &message, 1, NULL, 0, window, &count), RK_TIMEOUT);
    CHECK_AT_MOST(processor_time() - before, allowed);
    CHECK_DONE(rk_runtime_park(all.runtime, RK_FOREVER, &test_error));
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    before = processor_time();
    CHECK_STATUS(rk_poll(all.runtime, &message, 1, NULL, 0, window, &count), RK_TIMEOUT);
    CHECK_AT_MOST(processor_time() - before, allowed);
    CHECK_DONE(rk_runtime_unpark(all.runtime, &test_error));
    answer emitted;
    CHECK_OK(rk_poll(all.runtime, &message, 1, &emitted, sizeof emitted, RK_FOREVER, &count));
    fixture_close(&all);
}

/* A host that does not poll: replies are waiting and the rings are full. That is no reason to spin either. */
CASE(guest_is_idle_when_its_host_is_deaf) {
    fixture all = fixture_open();
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.inbound_capacity = options.outbound_capacity = 4;
    rk_kernel kernel = fixture_launch(all.runtime, all.module, &options);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
    rk_send_options wait = RK_SEND_OPTIONS_INIT;
    wait.timeout_ns = 100 * (int64_t)MILLISECOND;
    unsigned sent = 0;
    while (rk_send(actor, RK_TYPE(ask), NULL, 0, &wait) == RK_OK) CHECK_AT_MOST(++sent, 1000000);
    int64_t before = processor_time(), start = test_now();
    test_until(start + 300 * (int64_t)MILLISECOND); /* the measured time, no wait for anything */
    CHECK_AT_MOST(processor_time() - before, (TEST_SANITIZED ? 60 : 15) * (int64_t)MILLISECOND);
    for (unsigned received = 0; received < sent;) {
        rk_message messages[16];
        _Alignas(16) unsigned char payloads[16 * sizeof(answer)];
        uint32_t count;
        CHECK_OK(rk_poll(all.runtime, messages, 16, payloads, sizeof payloads, 10 * (int64_t)SECOND, &count));
        received += count;
    }
    CHECK_OK(rk_kernel_destroy(kernel));
    fixture_close(&all);
}

/* Bytes that are allocated. What a process has resident would also tell how much malloc keeps for later. */
static size_t allocated(void) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

CASE(guest_gives_everything_back) {
    enum { ROUNDS = 600, WARM = 300 };
    live_a_life();
    unsigned threads_before = threads(), descriptors_before = descriptors();
    size_t before = 0;
    for (int round = 0; round < ROUNDS; round++) {
        fixture all = fixture_open();
        CHECK(threads() > threads_before);
        fixture_verify(all.actor);
        /* One of two leaves its objects for the runtime to destroy. */
        if (round % 2 == 0) fixture_close(&all);
        else CHECK_OK(rk_runtime_destroy(all.runtime));
        /* The system shows a thread for a moment after it was joined. */
        int64_t deadline = test_now() + 10 * (int64_t)SECOND;
        while (threads() > threads_before && test_now() < deadline) sched_yield();
        CHECK_EQ(threads(), threads_before);
        CHECK_EQ(descriptors(), descriptors_before);
        if (round == WARM) before = allocated();
    }
    /* No more than threads' caches sway by, which takes some rounds to settle (without them, GLIBC_TUNABLES=
     * glibc.malloc.tcache_count=0, it is the same number every time). A sanitizer has its own malloc, and finds smaller
     * leaks itself. */
    if (!TEST_SANITIZED) CHECK_AT_MOST(allocated(), before + (ROUNDS - WARM) * 128);
}

typedef struct log_book {
    rk_runtime runtime;
    _Atomic unsigned lines;
    uint32_t level;
} log_book;

static void write_log(void *user, uint32_t level, const char *text, size_t length) {
    log_book *book = user;
    CHECK(level >= RK_LOG_ERROR && level <= book->level);
    CHECK(text != NULL && length > 0);
    CHECK(test_is_utf8(text, length));
    book->lines++;
}

CASE(guest_logs_to_its_host) {
    unsigned lines[RK_LOG_DEBUG + 1] = {0};
    for (uint32_t level = 0; level <= RK_LOG_DEBUG; level++) {
        log_book book = {.level = level == 0 ? RK_LOG_WARN : level};
        rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
        options.log_level = level;
        options.log = write_log;
        options.log_user = &book;
        options.backend = RK_BACKEND_CPU;
        rk_runtime runtime = {0};
        CHECK_DONE(rk_runtime_create(RK_VERSION, &options, &runtime, &test_error));
        rk_module module = fixture_module(runtime);
        rk_kernel kernel = fixture_launch(runtime, module, NULL);
        rk_actor actor;
        CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        break_down bad = {.code = -3};
        CHECK_OK(rk_send(actor, RK_TYPE(break_down), &bad, sizeof bad, NULL));
        rk_message message;
        uint32_t count;
        CHECK_OK(rk_poll(runtime, &message, 1, NULL, 0, RK_FOREVER, &count));
        CHECK_OK(rk_runtime_destroy(runtime));
        lines[level] = book.lines;
    }
    CHECK_EQ(lines[0], lines[RK_LOG_WARN]); /* the default */
    for (uint32_t level = RK_LOG_WARN; level <= RK_LOG_DEBUG; level++) CHECK(lines[level] >= lines[level - 1]);
    CHECK(lines[RK_LOG_DEBUG] > 0);
}

/* A snapshot of many actors, restored where there is memory for a part of it only: an error, and then room for something small. */
CASE(guest_restores_with_little_memory) {
    if (TEST_SANITIZED) test_skip("a sanitizer's shadow is larger than the limits that this sets");
    enum { ACTORS = 1 << 18 };
    rk_runtime runtime = fixture_runtime();
    rk_module module = fixture_module(runtime);
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = ACTORS, options.workers = 1;
    rk_kernel kernel = fixture_launch(runtime, module, &options), copy;
    void *bytes;
    size_t size;
    CHECK_DONE(rk_kernel_snapshot(kernel, 0, &bytes, &size, &test_error));
    struct rlimit all;
    CHECK_EQ(getrlimit(RLIMIT_AS, &all), 0);
    unsigned refused = 0;
    for (size_t room = 1 << 20;; room += 1 << 20, refused++) {
        rk_error error;
        unsigned long pages;
        FILE *self = fopen("/proc/self/statm", "r");
        CHECK(self != NULL && fscanf(self, "%lu", &pages) == 1);
        fclose(self);
        struct rlimit little = {pages * 4096 + room, all.rlim_max};
        CHECK_EQ(setrlimit(RLIMIT_AS, &little), 0);
        const rk_status status =
            rk_kernel_restore(runtime, module, bytes, size, RK_RESTORE_NEW_ADDRESSES, NULL, &copy, &error);
        CHECK_EQ(setrlimit(RLIMIT_AS, &all), 0);
        if (status == RK_OK) break;
        test_error_check(__FILE__, __LINE__, &error, status);
        CHECK_STATUS(status, RK_ERROR_NO_MEMORY);
        CHECK_OK(rk_kernel_destroy(fixture_launch(runtime, module, NULL)));
    }
    CHECK(refused >= 4);
    rk_snapshot_free(bytes);
    CHECK_OK(rk_runtime_destroy(runtime));
}

/* Counts lines that say why something is not on a CUDA device. */
static void count_reasons(void *user, uint32_t level, const char *text, size_t length) {
    const char says[] = "on the CPU instead of a CUDA device: ";
    if (level == RK_LOG_INFO && length > sizeof says && memcmp(text, says, sizeof says - 1) == 0) ++*(unsigned *)user;
}

/* What names no backend is on CUDA if a kernel that does name it can be there, and else on the CPU; buffers where kernels are. */
CASE(guest_that_names_no_backend) {
    for (int buffer_first = 0; buffer_first < 2; buffer_first++) {
        unsigned reasons = 0;
        rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
        options.log_level = RK_LOG_INFO, options.log = count_reasons, options.log_user = &reasons;
        fixture all = {0};
        CHECK_DONE(rk_runtime_create(RK_VERSION, &options, &all.runtime, &test_error));
        all.module = fixture_module(all.runtime);
        rk_buffer buffer;
        if (buffer_first) CHECK_DONE(fixture_buffer(&all, &buffer, &test_error));
        rk_kernel kernel = fixture_launch(all.runtime, all.module, NULL), named;
        if (!buffer_first) CHECK_DONE(fixture_buffer(&all, &buffer, &test_error));
        rk_kernel_options on_cuda = RK_KERNEL_OPTIONS_INIT;
        on_cuda.backend = RK_BACKEND_CUDA;
        const bool is_there = rk_kernel_launch(all.runtime, all.module, "responder", 9, &on_cuda, &named, NULL) == RK_OK;
        rk_kernel_statistics statistics = RK_KERNEL_STATISTICS_INIT;
        CHECK_DONE(rk_kernel_stats(kernel, &statistics, &test_error));
        CHECK_EQ(statistics.backend, is_there ? RK_BACKEND_CUDA : RK_BACKEND_CPU);
        rk_buffer_properties properties = RK_BUFFER_PROPERTIES_INIT;
        CHECK_DONE(rk_buffer_info(buffer, &properties, &test_error));
        CHECK_EQ(properties.backend, statistics.backend);
        CHECK_OK(rk_runtime_destroy(all.runtime));
        CHECK_EQ(reasons, is_there ? 0 : 1);
    }
}
