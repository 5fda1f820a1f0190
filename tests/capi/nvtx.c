/* Ranges for a profiler, and none for one that is not there. */
#include "fixture.h"
#include "nvtx_tool.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const int64_t PATIENCE = INT64_C(30) * 1000000000;

/* What the tool has counted, if the library has loaded it. */
static tool_counts counted(void) {
    void *tool = dlopen(TEST_NVTX_TOOL, RTLD_NOW | RTLD_NOLOAD);
    CHECK(tool != NULL);
    tool_counts (*counts)(void);
    void *found = dlsym(tool, "nvtx_tool_counts");
    CHECK(found != NULL);
    memcpy(&counts, &found, sizeof counts);
    return counts();
}

static void check(const tool_counts *counts) {
    CHECK_EQ(counts->wrong, 0);
    CHECK_EQ(counts->others, 0);
    CHECK_EQ(counts->pops, counts->launches + counts->quanta + counts->snapshots);
}

CASE(nvtx_launches_and_snapshots) {
    CHECK_EQ(setenv("NVTX_INJECTION64_PATH", TEST_NVTX_TOOL, 1), 0);
    fixture all = fixture_open();
    void *bytes;
    size_t size;
    tool_counts before = counted();
    CHECK_EQ(before.launches, 1);
    CHECK_DONE(rk_kernel_snapshot(all.kernel, 0, &bytes, &size, &test_error));
    rk_snapshot_free(bytes);
    rk_kernel another = fixture_launch(all.runtime, all.module, NULL);
    CHECK_OK(rk_kernel_destroy(another));
    fixture_close(&all);
    const tool_counts counts = counted();
    check(&counts);
    CHECK_EQ(counts.launches, 2);
    CHECK_EQ(counts.snapshots, before.snapshots + 1);
    CHECK_EQ(counts.quanta, 0);
}

CASE(nvtx_quanta) {
    if (TEST_SANITIZED) test_skip("sanitizers find things in Mesa's drivers");
    CHECK_EQ(setenv("NVTX_INJECTION64_PATH", TEST_NVTX_TOOL, 1), 0);
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.backend = RK_BACKEND_VULKAN;
    rk_runtime runtime = {0};
    rk_error error;
    if (rk_runtime_create(RK_VERSION, &options, &runtime, &error) != RK_OK) test_skip(error.message);
    rk_kernel kernel = fixture_launch(runtime, fixture_module(runtime), NULL);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
    for (uint64_t nonce = 0; nonce < 10; nonce++) {
        const ask question = {nonce};
        answer reply;
        CHECK_DONE(rk_call(actor, RK_TYPE(ask), &question, RK_SIZE(ask), NULL, &reply, sizeof reply, NULL, PATIENCE,
                           &test_error));
        CHECK_EQ(reply.nonce, nonce);
    }
    CHECK_OK(rk_runtime_destroy(runtime));
    const tool_counts counts = counted();
    check(&counts);
    CHECK_EQ(counts.launches, 1);
    CHECK(counts.quanta > 0);
}

static void works_without(void) {
    fixture all = fixture_open();
    fixture_close(&all);
}

CASE(nvtx_library_that_is_not_there) {
    CHECK_EQ(setenv("NVTX_INJECTION64_PATH", "/there/is/no/such/library.so", 1), 0);
    works_without();
}

CASE(nvtx_library_that_is_none) {
    CHECK_EQ(setenv("NVTX_INJECTION64_PATH", "libc.so.6", 1), 0);
    works_without();
}

CASE(nvtx_tool_that_refuses) {
    CHECK_EQ(setenv("NVTX_INJECTION64_PATH", TEST_NVTX_TOOL, 1), 0);
    CHECK_EQ(setenv("NVTX_TOOL_REFUSES", "1", 1), 0);
    works_without();
    const tool_counts counts = counted();
    CHECK_EQ(counts.launches, 0);
}
