#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_SKIPPED = 77 };

static test_case *cases;
static const test_case *running;
static uint64_t seed;
static unsigned seconds = TEST_SANITIZED ? 180 : 60, longer;
unsigned test_load_percent = TEST_SANITIZED ? 10 : 100;
/* A copy of stderr: a case may put something else in its place. */
static int report_fd = STDERR_FILENO;

void test_register(test_case *entry) {
    test_case **last = &cases;
    while (*last != NULL) last = &(*last)->next;
    *last = entry;
}

static void report(const char *file, int line, const char *text) {
    dprintf(report_fd, "%s:%d: %s: %s\n", file, line, running != NULL ? running->name : "main", text);
}

void test_fail(const char *file, int line, const char *format, ...) {
    /* Of several threads that fail, the first one is heard. */
    static atomic_flag reported = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&reported)) {
        char text[1024];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        report(file, line, text);
        _exit(EXIT_FAILURE);
    }
    for (;;) pause();
}

void test_skip(const char *reason) {
    dprintf(report_fd, "skip  %s: %s\n", running != NULL ? running->name : "all", reason);
    exit(EXIT_SKIPPED);
}

void test_child_done(void) {
    _exit(EXIT_SUCCESS);
}

uint64_t test_seed(void) {
    uint64_t state = seed;
    for (const char *c = running->name; *c != 0; c++) state = test_random(&state) ^ (unsigned char)*c;
    return test_random(&state);
}

void test_random_bytes(uint64_t *state, void *bytes, size_t size) {
    for (unsigned char *at = bytes; size > 0;) {
        uint64_t word = test_random(state);
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(at, &word, part);
        at += part;
        size -= part;
    }
}

typedef struct thread_start {
    test_thread_fn run;
    void *shared;
    unsigned index;
    pthread_t thread;
} thread_start;

static void *thread_main(void *argument) {
    thread_start *start = argument;
    start->run(start->index, start->shared);
    return NULL;
}

void test_threads(unsigned count, test_thread_fn run, void *shared) {
    thread_start *starts = calloc(count, sizeof *starts);
    CHECK(starts != NULL);
    for (unsigned i = 0; i < count; i++) {
        starts[i] = (thread_start){.run = run, .shared = shared, .index = i};
        CHECK_EQ(pthread_create(&starts[i].thread, NULL, thread_main, &starts[i]), 0);
    }
    for (unsigned i = 0; i < count; i++) CHECK_EQ(pthread_join(starts[i].thread, NULL), 0);
    free(starts);
}

int64_t test_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void test_until(int64_t time) {
    struct timespec until = {.tv_sec = time / 1000000000, .tv_nsec = time % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

void test_error_prepare(rk_error *error) {
    memset(error, 0xA5, sizeof *error);
}

void test_error_check(const char *file, int line, const rk_error *error, rk_status status) {
    if (status >= 0) {
        rk_error untouched;
        test_error_prepare(&untouched);
        if (memcmp(error, &untouched, sizeof untouched) != 0) test_fail(file, line, "rk_error was written without one");
        return;
    }
    if (error->status != status)
        test_fail(file, line, "rk_error.status is %d, the call returned %d", (int)error->status, (int)status);
    const char *end = memchr(error->message, 0, sizeof error->message);
    if (end == NULL) test_fail(file, line, "rk_error.message has no NUL");
    if (end == error->message) test_fail(file, line, "rk_error.message is empty for status %d", (int)status);
    if (!test_is_utf8(error->message, (size_t)(end - error->message)))
        test_fail(file, line, "rk_error.message is not UTF-8");
    if (error->native_domain > RK_NATIVE_VULKAN)
        test_fail(file, line, "rk_error.native_domain is %u", error->native_domain);
    if (error->reserved != 0) test_fail(file, line, "rk_error.reserved is not zero");
    if ((error->flags & ~(uint32_t)(RK_ERROR_FLAG_RETRIABLE | RK_ERROR_FLAG_FATAL)) != 0)
        test_fail(file, line, "rk_error.flags has unknown bits: %x", error->flags);
}

/* Runs a case in a child. The write end of a pipe, which only the child holds, tells the parent that it has ended. */
static int run_isolated(const test_case *entry) {
    int ended[2];
    if (pipe(ended) != 0) return -1;
    pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
        close(ended[0]);
        entry->run();
        exit(EXIT_SUCCESS);
    }
    close(ended[1]);
    int64_t deadline = test_now() + (int64_t)(seconds + longer) * 1000000000;
    struct pollfd wait = {.fd = ended[0], .events = POLLIN};
    int ready;
    do {
        int64_t left = (deadline - test_now()) / 1000000;
        ready = poll(&wait, 1, left > 0 ? (int)left : 0);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        dprintf(report_fd, "HANG  %s: still running after %u s\n", entry->name, seconds + longer);
        kill(child, SIGKILL);
    }
    close(ended[0]);
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (WIFSIGNALED(status) && ready != 0)
        dprintf(report_fd, "CRASH %s: %s\n", entry->name, strsignal(WTERMSIG(status)));
    return status;
}

void test_take_longer(unsigned by_seconds) {
    longer = by_seconds;
}

int test_main(int argc, char **argv, test_option_fn option, void (*needed)(void)) {
    const char *filter = "", *only = NULL;
    bool list = false, isolate = true;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) list = true;
        else if (strcmp(argv[i], "--no-fork") == 0) isolate = false;
        else if (i + 1 == argc) return fprintf(stderr, "%s: %s: unknown, or without a value\n", argv[0], argv[i]), 2;
        else if (strcmp(argv[i], "--filter") == 0) filter = argv[++i];
        else if (strcmp(argv[i], "--case") == 0) only = argv[++i];
        else if (strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--seconds") == 0) seconds = (unsigned)strtoul(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--load") == 0) test_load_percent = (unsigned)strtoul(argv[++i], NULL, 0);
        else if (option != NULL && option(argv[i], argv[i + 1])) i++;
        else return fprintf(stderr, "%s: %s %s: not understood\n", argv[0], argv[i], argv[i + 1]), 2;
    }
    const char *program = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
    report_fd = dup(STDERR_FILENO);
    if (report_fd < 0) return 2;
    if (!list) printf("%s --seed %llu\n", program, (unsigned long long)seed);
    if (needed != NULL && !list) {
        const test_case requirement = {"the requirements", needed, NULL};
        running = &requirement;
        fflush(stdout);
        int status = run_isolated(&requirement);
        if (status != 0) return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
    }
    unsigned passed = 0, failed = 0, skipped = 0;
    for (const test_case *entry = cases; entry != NULL; entry = entry->next) {
        if (only != NULL ? strcmp(entry->name, only) != 0 : strstr(entry->name, filter) == NULL) continue;
        if (list) {
            puts(entry->name);
            continue;
        }
        running = entry;
        fflush(stdout);
        int64_t start = test_now();
        int status = 0;
        if (isolate) status = run_isolated(entry);
        else entry->run();
        bool skip = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED;
        if (skip) skipped++;
        else if (status == 0) passed++;
        else failed++;
        if (!skip)
            printf("%s  %-44s %6lld ms\n", status == 0 ? "ok  " : "FAIL", entry->name,
                   (long long)((test_now() - start) / 1000000));
    }
    running = NULL;
    if (list) return EXIT_SUCCESS;
    printf("%s: %u passed, %u failed, %u skipped\n", program, passed, failed, skipped);
    if (passed + failed + skipped == 0) {
        fprintf(stderr, "%s: no case matches '%s'\n", program, only != NULL ? only : filter);
        return 2;
    }
    return failed > 0 ? EXIT_FAILURE : passed == 0 ? EXIT_SKIPPED : EXIT_SUCCESS;
}
