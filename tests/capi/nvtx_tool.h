/* A library that stands for a profiler. */
#ifndef RK_TESTS_CAPI_NVTX_TOOL_H
#define RK_TESTS_CAPI_NVTX_TOOL_H

#include <stdint.h>

/* Ranges begun, by what they are called; ended; and what a profiler would stumble over. */
typedef struct tool_counts {
    uint64_t launches, quanta, snapshots, others, pops, wrong;
} tool_counts;

tool_counts nvtx_tool_counts(void);

#endif
