/* A small test harness for C programs.
 *
 *     CASE(echo_answers) { CHECK_OK(rk_send(...)); CHECK_EQ(reply.value, 42); }
 *
 * Every case runs in a process of its own: one that crashes or hangs is reported by name, and the others still run. A
 * failed check ends its case at once, from whatever thread. Fresh random numbers in each run; --seed repeats one.
 */
#ifndef RK_TESTS_HARNESS_H
#define RK_TESTS_HARNESS_H

#include <ringkernel.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif
#define TEST_THREAD_SANITIZED 0
#if defined(__SANITIZE_THREAD__)
#undef TEST_THREAD_SANITIZED
#define TEST_THREAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef TEST_THREAD_SANITIZED
#define TEST_THREAD_SANITIZED 1
#endif
#endif

typedef struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
} test_case;

/* Defines a case and puts it on the program's list, so that none can be forgotten there. */
#define CASE(name_)                                                                                                    \
    static void name_(void);                                                                                           \
    __attribute__((constructor)) static void name_##_register(void) {                                                  \
        static test_case entry = {#name_, name_, NULL};                                                                \
        test_register(&entry);                                                                                         \
    }                                                                                                                  \
    static void name_(void)

void test_register(test_case *entry);

/* A program's own command line options: returns false if it does not know `name`. */
typedef bool (*test_option_fn)(const char *name, const char *value);

/* Runs the cases that the command line asks for: --filter TEXT, --case NAME, --seed N, --seconds N (per case), --load PERCENT,
 * --list, --no-fork (one case, under a debugger). `option` may be NULL, and `needed`, which is run first and may skip everything.
 * Returns the exit status: 0, 1, or 77 if all was skipped. */
int test_main(int argc, char **argv, test_option_fn option, void (*needed)(void));
/* An option of the program's own has cases take so many seconds by intent: they come on top of the limit. */
void test_take_longer(unsigned by_seconds);

/* Ends the case. `reason` is printed. */
_Noreturn void test_skip(const char *reason);
_Noreturn void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Ends a child process that a case forked, without the exit handlers of the parent. */
_Noreturn void test_child_done(void);

/* The seed of this case, and a generator of good random numbers from one (splitmix64). */
uint64_t test_seed(void);

static inline uint64_t test_random(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint32_t test_random_below(uint64_t *state, uint32_t limit) {
    return (uint32_t)((test_random(state) >> 32) * limit >> 32);
}

void test_random_bytes(uint64_t *state, void *bytes, size_t size);

/* Runs count threads, each with its index, and joins them. */
typedef void (*test_thread_fn)(unsigned index, void *shared);
void test_threads(unsigned count, test_thread_fn run, void *shared);

/* Monotonic nanoseconds. */
int64_t test_now(void);
/* Returns when that time has come. */
void test_until(int64_t time);
/* A count for a load test: less where a sanitizer makes everything slow, or --load says so, for emulated devices. */
extern unsigned test_load_percent;
static inline uint32_t test_load(uint32_t count) {
    return (uint32_t)(((uint64_t)count * test_load_percent + 99) / 100);
}

static inline bool test_is_utf8(const char *text, size_t length) {
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    while (at < end) {
        size_t more = *at < 0x80 ? 0 : *at >= 0xC2 && *at < 0xE0 ? 1 : (*at & 0xF0) == 0xE0 ? 2 : *at < 0xF5 ? 3 : 4;
        if (more == 4 || (*at >= 0x80 && *at < 0xC2) || (size_t)(end - at) <= more) return false;
        for (at++; more > 0; more--, at++)
            if ((*at & 0xC0) != 0x80) return false;
    }
    return true;
}

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) test_fail(__FILE__, __LINE__, "not true: %s", #condition);                                   \
    } while (0)

#define CHECK_EQ(actual, expected)                                                                                     \
    do {                                                                                                               \
        uint64_t actual_ = (uint64_t)(actual), expected_ = (uint64_t)(expected);                                       \
        if (actual_ != expected_)                                                                                      \
            test_fail(__FILE__, __LINE__, "%s is %lld (0x%llx), not %s = %lld (0x%llx)", #actual, (long long)actual_,  \
                      (unsigned long long)actual_, #expected, (long long)expected_, (unsigned long long)expected_);    \
    } while (0)

/* actual <= limit, as unsigned numbers. */
#define CHECK_AT_MOST(actual, limit)                                                                                   \
    do {                                                                                                               \
        uint64_t actual_ = (uint64_t)(actual), limit_ = (uint64_t)(limit);                                             \
        if (actual_ > limit_)                                                                                          \
            test_fail(__FILE__, __LINE__, "%s is %llu, more than %s = %llu", #actual, (unsigned long long)actual_,     \
                      #limit, (unsigned long long)limit_);                                                             \
    } while (0)

#define CHECK_STATUS(call, expected)                                                                                   \
    do {                                                                                                               \
        rk_status actual_ = (call), expected_ = (expected);                                                            \
        if (actual_ != expected_)                                                                                      \
            test_fail(__FILE__, __LINE__, "%s gives %s (%d), not %s", #call, rk_status_name(actual_), (int)actual_,    \
                      rk_status_name(expected_));                                                                      \
    } while (0)

#define CHECK_OK(call) CHECK_STATUS(call, RK_OK)

/* A call whose last argument is &test_error: the status, and what the header promises of rk_error. */
#define CHECK_ERROR(call, expected)                                                                                    \
    do {                                                                                                               \
        rk_error test_error;                                                                                           \
        test_error_prepare(&test_error);                                                                               \
        rk_status actual_ = (call), expected_ = (expected);                                                            \
        if (actual_ != expected_)                                                                                      \
            test_fail(__FILE__, __LINE__, "%s gives %s (%d), not %s: %s", #call, rk_status_name(actual_),              \
                      (int)actual_, rk_status_name(expected_), actual_ < 0 ? test_error.message : "");                 \
        test_error_check(__FILE__, __LINE__, &test_error, actual_);                                                    \
    } while (0)

/* As CHECK_ERROR(call, RK_OK), with the library's own words if it fails. */
#define CHECK_DONE(call) CHECK_ERROR(call, RK_OK)

void test_error_prepare(rk_error *error);
void test_error_check(const char *file, int line, const rk_error *error, rk_status status);

#endif
