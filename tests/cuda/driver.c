#include "driver.h"

#include "../support/harness.h"

#include <dlfcn.h>
#include <string.h>

const cuda_driver *cuda(void) {
    static cuda_driver driver;
    static bool is_open;
    if (is_open) return &driver;
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == NULL) test_skip("there is no CUDA driver (libcuda.so.1)");
    const struct {
        void *place;
        const char *name;
    } functions[] = {
        {&driver.init, "cuInit"},
        {&driver.device_get, "cuDeviceGet"},
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
        {&driver.reserve, "cuMemAddressReserve"},
        {&driver.set32, "cuMemsetD32_v2"},
        {&driver.copy_to_host, "cuMemcpyDtoH_v2"},
        {&driver.module_load, "cuModuleLoadData"},
        {&driver.module_unload, "cuModuleUnload"},
        {&driver.module_function, "cuModuleGetFunction"},
        {&driver.launch, "cuLaunchKernel"},
        {&driver.stream_create, "cuStreamCreate"},
        {&driver.stream_synchronize, "cuStreamSynchronize"},
        {&driver.stream_destroy, "cuStreamDestroy_v2"},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(library, functions[i].name);
        if (function == NULL) test_fail(__FILE__, __LINE__, "the driver has no %s", functions[i].name);
        memcpy(functions[i].place, &function, sizeof function);
    }
    if (driver.init(0) != 0) test_skip("the CUDA driver cannot be initialised: no device");
    is_open = true;
    return &driver;
}

cu_context own_context(void) {
    cu_device device;
    cu_context context = NULL;
    CHECK_CU(cuda()->device_get(&device, 0));
    CHECK_CU(cuda()->context_create(&context, 0, device));
    return context;
}
