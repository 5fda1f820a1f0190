#include "cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const cuda_driver *cuda_open(const char **why) {
    static cuda_driver driver;
    static int is_open;
    if (is_open)
        return &driver;
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == NULL) {
        *why = "there is no CUDA driver (libcuda.so.1)";
        return NULL;
    }
    const struct {
        void *place;
        const char *name;
    } functions[] = {
        {&driver.init, "cuInit"},
        {&driver.error_name, "cuGetErrorName"},
        {&driver.device_get, "cuDeviceGet"},
        {&driver.device_uuid, "cuDeviceGetUuid"},
        {&driver.primary_retain, "cuDevicePrimaryCtxRetain"},
        {&driver.primary_release, "cuDevicePrimaryCtxRelease_v2"},
        {&driver.primary_reset, "cuDevicePrimaryCtxReset_v2"},
        {&driver.context_create, "cuCtxCreate_v2"},
        {&driver.context_destroy, "cuCtxDestroy_v2"},
        {&driver.context_set, "cuCtxSetCurrent"},
        {&driver.context_get, "cuCtxGetCurrent"},
        {&driver.context_synchronize, "cuCtxSynchronize"},
        {&driver.alloc, "cuMemAlloc_v2"},
        {&driver.free, "cuMemFree_v2"},
        {&driver.host_alloc, "cuMemHostAlloc"},
        {&driver.host_free, "cuMemFreeHost"},
        {&driver.host_device_address, "cuMemHostGetDevicePointer_v2"},
        {&driver.reserve, "cuMemAddressReserve"},
        {&driver.set32, "cuMemsetD32_v2"},
        {&driver.set32_async, "cuMemsetD32Async"},
        {&driver.copy_to_host, "cuMemcpyDtoH_v2"},
        {&driver.copy_to_device_async, "cuMemcpyHtoDAsync_v2"},
        {&driver.copy_to_host_async, "cuMemcpyDtoHAsync_v2"},
        {&driver.module_load, "cuModuleLoadData"},
        {&driver.module_unload, "cuModuleUnload"},
        {&driver.module_function, "cuModuleGetFunction"},
        {&driver.launch, "cuLaunchKernel"},
        {&driver.stream_create, "cuStreamCreate"},
        {&driver.stream_synchronize, "cuStreamSynchronize"},
        {&driver.stream_destroy, "cuStreamDestroy_v2"},
        {&driver.capture_begin, "cuStreamBeginCapture_v2"},
        {&driver.capture_end, "cuStreamEndCapture"},
        {&driver.graph_instantiate, "cuGraphInstantiateWithFlags"},
        {&driver.graph_launch, "cuGraphLaunch"},
        {&driver.graph_exec_destroy, "cuGraphExecDestroy"},
        {&driver.graph_destroy, "cuGraphDestroy"},
        {&driver.external_import, "cuImportExternalMemory"},
        {&driver.external_map, "cuExternalMemoryGetMappedBuffer"},
        {&driver.external_destroy, "cuDestroyExternalMemory"},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(library, functions[i].name);
        if (function == NULL) {
            static char missing[96];
            snprintf(missing, sizeof missing, "the CUDA driver has no %s", functions[i].name);
            *why = missing;
            return NULL;
        }
        memcpy(functions[i].place, &function, sizeof function);
    }
    const cu_result result = driver.init(0);
    if (result != 0) {
        *why = cuda_failed(&driver, "cuInit", result);
        return NULL;
    }
    is_open = 1;
    return &driver;
}

const char *cuda_failed(const cuda_driver *cu, const char *what, cu_result result) {
    static char text[192];
    const char *name;
    if (cu->error_name(result, &name) != 0)
        name = "an unknown error";
    snprintf(text, sizeof text, "%.120s: %s (%d)", what, name, result);
    return text;
}
