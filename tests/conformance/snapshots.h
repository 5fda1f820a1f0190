/* Snapshots, for the cases that are about them and about what is in them. */
#ifndef RK_TESTS_CONFORMANCE_SNAPSHOTS_H
#define RK_TESTS_CONFORMANCE_SNAPSHOTS_H

#include "world.h"

typedef struct snapshot {
    void *data;
    size_t size;
} snapshot;

snapshot take(rk_kernel kernel, uint32_t flags);
rk_snapshot_info info_of(snapshot taken);

/* One of the two backends that there are for kernels under test, with any number of workers. */
rk_kernel_options place(uint32_t turn);
rk_kernel restore(const world *w, snapshot taken, uint32_t flags, rk_kernel_options options);

#endif
