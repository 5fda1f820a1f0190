/* CUDA's driver, as the benchmark finds it. */
#ifndef RK_TESTS_CUDA_DRIVER_H
#define RK_TESTS_CUDA_DRIVER_H

#include "../../c-examples/benchmark/cuda.h"

/* The driver, initialised. Skips the case where there is none, or no device. */
const cuda_driver *cuda(void);
/* A context of its own, as a host program's: current for the calling thread. */
cu_context own_context(void);

#define CHECK_CU(call) CHECK_EQ(call, 0)

#endif
