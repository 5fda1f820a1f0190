/* A runtime on the first CUDA device with one kernel of victims. */
#ifndef RK_TESTS_CUDA_VICTIMS_H
#define RK_TESTS_CUDA_VICTIMS_H

#include "guest.rk.h"
#include "../support/harness.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
/* What takes longer hangs. */
#define PATIENCE (30 * SECOND)

typedef struct victims {
    rk_runtime runtime;
    rk_module module;
    rk_kernel kernel;
    rk_actor first;
    uint64_t total; /* of the first one, as far as answers are known */
} victims;

/* For cases that fork: skips them where there is no driver, without opening it. */
void need_driver(void);
/* Skips the case where there is no CUDA device. `options` may be NULL. */
rk_runtime cuda_runtime(void);
/* The same, where kernels may use so many multiprocessors. */
rk_runtime cuda_runtime_of(uint32_t multiprocessors);
victims victims_start(const rk_kernel_options *options);
victims victims_start_in(rk_runtime runtime, const rk_kernel_options *options);
victims victims_start_of(const rk_module_image *image, rk_runtime runtime, const rk_kernel_options *options);
/* Asks the first one to add a random number, and checks the sum. */
void victims_add(victims *v, uint64_t *random);
void victims_end(victims *v);

#endif
