/* After fork() the child cannot use what its parent has, and the parent does not notice. */
#include "surface.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void child(const fixture *all) {
    alarm(60); /* not under the watchdog of the harness */
    for (size_t i = 0; i < surface_count; i++) surface_expect(&surface[i], all, RK_ERROR_FORKED, "in a forked child");
    fixture nothing;
    memset(&nothing, 0, sizeof nothing);
    for (size_t i = 0; i < surface_count; i++)
        surface_expect(&surface[i], &nothing, RK_ERROR_FORKED, "in a forked child, zero handle");
    rk_runtime runtime = {UINT64_C(0xDEADBEEF)};
    CHECK_ERROR(rk_runtime_create(RK_VERSION, NULL, &runtime, &test_error), RK_ERROR_FORKED);
    CHECK_EQ(runtime.id, 0);
    rk_runtime_options runtime_options;
    rk_kernel_options kernel_options;
    rk_send_options send_options;
    CHECK_STATUS(rk_runtime_options_init(&runtime_options, sizeof runtime_options), RK_ERROR_FORKED);
    CHECK_STATUS(rk_kernel_options_init(&kernel_options, sizeof kernel_options), RK_ERROR_FORKED);
    CHECK_STATUS(rk_send_options_init(&send_options, sizeof send_options), RK_ERROR_FORKED);
    CHECK_EQ(rk_version(), RK_VERSION);
    CHECK(rk_status_name(RK_ERROR_FORKED)[0] == 'R');
    test_child_done();
}

static void wait_for(pid_t pid) {
    int status = -1;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
}

CASE(fork_child_is_refused_and_parent_goes_on) {
    fixture all = fixture_open();
    fixture_verify(all.actor);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) child(&all);
    fixture_verify(all.actor);
    wait_for(pid);
    fixture_verify(all.actor);
    fixture_close(&all);
}

typedef struct traffic {
    const fixture *all;
    _Atomic int forked;
} traffic;

/* Three threads use the library, which then holds whatever locks it has, while the fourth forks. */
static void fork_in_traffic(unsigned index, void *shared) {
    traffic *with = shared;
    if (index > 0) {
        while (with->forked == 0) fixture_verify(with->all->actor);
        return;
    }
    for (int round = 0; round < 20; round++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) child(with->all);
        wait_for(pid);
    }
    with->forked = 1;
}

CASE(fork_under_load) {
    fixture all = fixture_open();
    traffic with = {.all = &all};
    test_threads(4, fork_in_traffic, &with);
    fixture_verify(all.actor);
    fixture_close(&all);
}

/* A process that forks before it uses the library: parent and child each have their own. */
CASE(fork_before_the_first_runtime) {
    CHECK_EQ(rk_version(), RK_VERSION);
    pid_t pid = fork();
    CHECK(pid >= 0);
    fixture all = fixture_open();
    fixture_verify(all.actor);
    fixture_close(&all);
    if (pid == 0) test_child_done();
    wait_for(pid);
}
