/* Handlers that do on a CUDA device what no handler should, and what becomes of everybody else. */
#include "driver.h"
#include "victims.h"

#include <ringkernel/module.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

RK_DECLARE_MODULE(guest);

/* What a new runtime needs at most, on a card that is well: compiling included. */
#define WELL_AGAIN (10 * SECOND)

static void ask_for(const victims *v, cause what) {
    CHECK_OK(rk_send(v->first, RK_TYPE(cause), &what, RK_SIZE(cause), NULL));
}

/* The kernel says that it failed, within that time. */
static void await_failure(const victims *v, int32_t reason, int64_t within) {
    const int64_t begin = test_now();
    for (;;) {
        rk_message message;
        uint64_t payload[8];
        uint32_t count = 0;
        CHECK_OK(rk_poll(v->runtime, &message, 1, payload, sizeof payload, PATIENCE, &count));
        /* A dead letter of a message that was under way, or a reply: a store that fails does so when the handler is over. */
        if (message.kind != RK_MESSAGE_EVENT) continue;
        CHECK_EQ(message.type, RK_EVENT_KERNEL_FAILED);
        CHECK_EQ(message.reason, reason);
        break;
    }
    CHECK_AT_MOST(test_now() - begin, within);
}

static void is_failed(const victims *v) {
    rk_kernel_statistics statistics = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_stats(v->kernel, &statistics, &test_error));
    CHECK_EQ(statistics.state, RK_KERNEL_FAILED);
    const add message = {1};
    CHECK_STATUS(rk_send(v->first, RK_TYPE(add), &message, RK_SIZE(add), NULL), RK_ERROR_KERNEL_FAILED);
    sum answer;
    CHECK_ERROR(rk_call(v->first, RK_TYPE(add), &message, RK_SIZE(add), NULL, &answer, sizeof answer, NULL, PATIENCE,
                        &test_error),
                RK_ERROR_KERNEL_FAILED);
}

static void works(void) {
    uint64_t random = test_seed();
    victims v = victims_start(NULL);
    for (int i = 0; i < 1000; i++) victims_add(&v, &random);
    victims_end(&v);
}

/* The fault ends all kernels of the context. The driver says of such faults that the process must be started anew to use CUDA
 * again; where it is not so strict a new runtime works, and where it is, the launch says so. */
static void survives(cause what) {
    uint64_t random = test_seed();
    victims v = victims_start(NULL), other = victims_start(NULL);
    victims_add(&v, &random);
    victims_add(&other, &random);
    ask_for(&v, what);
    await_failure(&v, RK_ERROR_DRIVER, 5 * SECOND);
    is_failed(&v);
    await_failure(&other, RK_ERROR_DRIVER, 5 * SECOND);
    is_failed(&other);
    const int64_t begin = test_now();
    victims_end(&v);
    victims_end(&other);
    CHECK_AT_MOST(test_now() - begin, 5 * SECOND);
    victims again = {.runtime = cuda_runtime()};
    CHECK_DONE(rk_module_create(again.runtime, &guest, &again.module, &test_error));
    rk_error error;
    const rk_status status = rk_kernel_launch(again.runtime, again.module, "victim", 6, NULL, &again.kernel, &error);
    victims_end(&again);
    if (status == RK_OK) {
        works();
    } else {
        CHECK_EQ(status, RK_ERROR_DRIVER);
        CHECK_EQ(error.native_domain, RK_NATIVE_CUDA);
        CHECK(strstr(error.message, "must be started anew") != NULL);
    }
}

CASE(faults_trap) {
    survives((cause){.what = CAUSE_TRAP});
}

/* At an address that is reserved and has no memory: at any other there may be some, of ours or of the host's. */
static void survives_access(rk_u32 what) {
    const size_t size = (size_t)1 << 21; /* a page of the device's */
    uint64_t hole = 0;
    own_context(); /* which may break with the others, and ends with the process */
    CHECK_CU(cuda()->reserve(&hole, size, 0, 0, 0));
    survives((cause){.what = what, .address = hole + size / 2});
}

CASE(faults_read_out_of_bounds) {
    survives_access(CAUSE_READ);
}

CASE(faults_write_out_of_bounds) {
    survives_access(CAUSE_WRITE);
}

CASE(faults_while_a_call_waits) {
    victims v = victims_start(NULL);
    const cause what = {.what = CAUSE_TRAP};
    sum answer;
    CHECK_ERROR(rk_call(v.first, RK_TYPE(cause), &what, RK_SIZE(cause), NULL, &answer, sizeof answer, NULL, PATIENCE,
                        &test_error),
                RK_ERROR_KERNEL_FAILED);
    victims_end(&v);
}

/* Not a fault on a device: the quotient is any number. */
CASE(faults_division_by_zero) {
    uint64_t random = test_seed();
    victims v = victims_start(NULL);
    victims_add(&v, &random);
    const cause what = {.what = CAUSE_DIVISION};
    sum answer = {0};
    CHECK_DONE(rk_call(v.first, RK_TYPE(cause), &what, RK_SIZE(cause), NULL, &answer, sizeof answer, NULL, PATIENCE,
                       &test_error));
    CHECK_EQ(answer.total, v.total);
    victims_add(&v, &random);
    victims_end(&v);
}

/* The handler returns in the end. Until then the device takes no new kernels, and nobody waits for it. */
CASE(faults_watchdog) {
    enum { LOOP_MS = 4000, WATCHDOG_MS = 200 };
    works(); /* compiles */
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.watchdog_ms = WATCHDOG_MS;
    victims v = victims_start(&options);
    const int64_t begin = test_now();
    ask_for(&v, (cause){.what = CAUSE_LOOP, .ms = LOOP_MS});
    await_failure(&v, RK_TIMEOUT, WATCHDOG_MS * MS + SECOND);
    CHECK(test_now() - begin >= WATCHDOG_MS * MS);
    is_failed(&v);
    rk_kernel kernel;
    rk_error error;
    CHECK_STATUS(rk_kernel_launch(v.runtime, v.module, "victim", 6, NULL, &kernel, &error), RK_ERROR_DRIVER);
    CHECK(error.flags & RK_ERROR_FLAG_RETRIABLE);
    CHECK(strstr(error.message, "did not return") != NULL);
    victims_end(&v);
    CHECK_AT_MOST(test_now() - begin, (LOOP_MS - 500) * MS); /* the handler still runs */
    test_until(begin + (LOOP_MS + 200) * MS);
    works();
}

/* Quick handlers, a watchdog that is short, and work all the time: it does not bark. */
CASE(faults_watchdog_of_a_busy_kernel) {
    uint64_t random = test_seed();
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.watchdog_ms = 20, options.quantum_us = 1000;
    victims v = victims_start(&options);
    for (const int64_t end = test_now() + SECOND; test_now() < end;) victims_add(&v, &random);
    victims_end(&v);
}

/* Nobody can end such a handler but the end of its process. */
CASE(faults_loop_for_ever) {
    need_driver();
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
        options.watchdog_ms = 200;
        victims v = victims_start(&options);
        ask_for(&v, (cause){.what = CAUSE_LOOP});
        await_failure(&v, RK_TIMEOUT, 2 * SECOND);
        const int64_t begin = test_now();
        victims_end(&v);
        CHECK_AT_MOST(test_now() - begin, 5 * SECOND);
        test_child_done();
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    works(); /* skips, too, where there is no device */
    CHECK_EQ(WEXITSTATUS(status), 0);
}

CASE(faults_killed_program) {
    need_driver();
    int ready[2];
    CHECK(pipe(ready) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        uint64_t random = test_seed();
        victims v = victims_start(NULL);
        for (char byte = 1;; byte = 0) {
            victims_add(&v, &random);
            if (byte == 1 && write(ready[1], &byte, 1) != 1) _exit(1);
        }
    }
    close(ready[1]);
    char byte;
    const bool runs = read(ready[0], &byte, 1) == 1;
    if (runs) CHECK(kill(child, SIGKILL) == 0);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    const int64_t begin = test_now();
    works(); /* skips where there is no device */
    CHECK(runs && WIFSIGNALED(status));
    CHECK_AT_MOST(test_now() - begin, WELL_AGAIN);
}

CASE(faults_memory_exhausted) {
    uint64_t random = test_seed();
    victims v = victims_start(NULL);
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = 1 << 20; /* of 1 MiB each */
    rk_kernel kernel;
    rk_error error;
    CHECK_STATUS(rk_kernel_launch(v.runtime, v.module, "hog", 3, &options, &kernel, &error), RK_ERROR_NO_MEMORY);
    CHECK_EQ(error.native_domain, RK_NATIVE_CUDA);
    CHECK_EQ(error.native_code, 2); /* CUDA_ERROR_OUT_OF_MEMORY */
    CHECK(error.flags & RK_ERROR_FLAG_RETRIABLE);
    victims_add(&v, &random);
    victims_end(&v);
}
