/* What the benchmark and tests/cuda need of cuda.h, found at run time: they are built where there is no CUDA. */
#ifndef CUDA_H
#define CUDA_H

#include <stddef.h>
#include <stdint.h>

typedef int cu_result;
typedef int cu_device;
typedef struct cu_opaque *cu_context, *cu_stream, *cu_module, *cu_function, *cu_graph, *cu_graph_exec, *cu_external;

/* CUDA_EXTERNAL_MEMORY_HANDLE_DESC and CUDA_EXTERNAL_MEMORY_BUFFER_DESC. */
typedef struct cu_external_handle {
    int type;
    union {
        int fd;
        void *others[2];
    } handle;
    unsigned long long size;
    unsigned flags, reserved[16];
} cu_external_handle;
typedef struct cu_external_buffer {
    unsigned long long offset, size;
    unsigned flags, reserved[16];
} cu_external_buffer;

enum { CU_STREAM_NON_BLOCKING_ = 1, CU_HOST_MAPPED_ = 2, CU_CAPTURE_THREAD_LOCAL_ = 1, CU_EXTERNAL_OPAQUE_FD_ = 1 };

typedef struct cuda_driver {
    cu_result (*init)(unsigned flags);
    cu_result (*error_name)(cu_result error, const char **name);
    cu_result (*device_get)(cu_device *device, int ordinal);
    cu_result (*device_uuid)(unsigned char uuid[16], cu_device device);
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
    cu_result (*host_device_address)(uint64_t *address, void *host, unsigned flags);
    cu_result (*reserve)(uint64_t *address, size_t size, size_t alignment, uint64_t wish, unsigned long long flags);
    cu_result (*set32)(uint64_t address, unsigned value, size_t count);
    cu_result (*set32_async)(uint64_t address, unsigned value, size_t count, cu_stream stream);
    cu_result (*copy_to_host)(void *to, uint64_t from, size_t size);
    cu_result (*copy_to_device_async)(uint64_t to, const void *from, size_t size, cu_stream stream);
    cu_result (*copy_to_host_async)(void *to, uint64_t from, size_t size, cu_stream stream);
    cu_result (*module_load)(cu_module *module, const void *image);
    cu_result (*module_unload)(cu_module module);
    cu_result (*module_function)(cu_function *function, cu_module module, const char *name);
    cu_result (*launch)(cu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared, cu_stream stream, void **parameters,
                        void **extra);
    cu_result (*stream_create)(cu_stream *stream, unsigned flags);
    cu_result (*stream_synchronize)(cu_stream stream);
    cu_result (*stream_destroy)(cu_stream stream);
    cu_result (*capture_begin)(cu_stream stream, int mode);
    cu_result (*capture_end)(cu_stream stream, cu_graph *graph);
    cu_result (*graph_instantiate)(cu_graph_exec *exec, cu_graph graph, unsigned long long flags);
    cu_result (*graph_launch)(cu_graph_exec exec, cu_stream stream);
    cu_result (*graph_exec_destroy)(cu_graph_exec exec);
    cu_result (*graph_destroy)(cu_graph graph);
    cu_result (*external_import)(cu_external *memory, const cu_external_handle *handle);
    cu_result (*external_map)(uint64_t *address, cu_external memory, const cu_external_buffer *buffer);
    cu_result (*external_destroy)(cu_external memory);
} cuda_driver;

/* The driver, initialised. NULL where there is none, or no device: `why` says so. */
const cuda_driver *cuda_open(const char **why);
/* "cuFunction: CUDA_ERROR_WHAT", until the next failure. */
const char *cuda_failed(const cuda_driver *cu, const char *what, cu_result result);

#endif
