/* What the tests need of cuda.h, found at run time: they are compiled where there is no CUDA. */
#ifndef RK_TESTS_CUDA_DRIVER_H
#define RK_TESTS_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

typedef int cu_result;
typedef int cu_device;
typedef struct cu_opaque *cu_context, *cu_stream, *cu_module, *cu_function;

typedef struct cuda_driver {
    cu_result (*init)(unsigned flags);
    cu_result (*device_get)(cu_device *device, int ordinal);
    cu_result (*primary_retain)(cu_context *context, cu_device device);
    cu_result (*primary_release)(cu_device device);
    cu_result (*primary_reset)(cu_device device);
    cu_result (*context_create)(cu_context *context, unsigned flags, cu_device device);
    cu_result (*context_destroy)(cu_context context);
    cu_result (*context_set)(cu_context context);
    cu_result (*context_get)(cu_context *context);
    cu_result (*context_synchronize)(void);
    cu_result (*alloc)(uint64_t *address, size_t size);
    cu_result (*free)(uint64_t address);
    cu_result (*host_alloc)(void **address, size_t size, unsigned flags);
    cu_result (*host_free)(void *address);
    cu_result (*reserve)(uint64_t *address, size_t size, size_t alignment, uint64_t wish, unsigned long long flags);
    cu_result (*set32)(uint64_t address, unsigned value, size_t count);
    cu_result (*copy_to_host)(void *to, uint64_t from, size_t size);
    cu_result (*module_load)(cu_module *module, const void *image);
    cu_result (*module_unload)(cu_module module);
    cu_result (*module_function)(cu_function *function, cu_module module, const char *name);
    cu_result (*launch)(cu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared, cu_stream stream, void **parameters,
                        void **extra);
    cu_result (*stream_create)(cu_stream *stream, unsigned flags);
    cu_result (*stream_synchronize)(cu_stream stream);
    cu_result (*stream_destroy)(cu_stream stream);
} cuda_driver;

/* The driver, initialised. Skips the case where there is none, or no device. */
const cuda_driver *cuda(void);
/* A context of its own, as a host program's: current for the calling thread. */
cu_context own_context(void);

#define CHECK_CU(call) CHECK_EQ(call, 0)

#endif
