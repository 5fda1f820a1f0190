#include "driver.h"

#include "../support/harness.h"

const cuda_driver *cuda(void) {
    const char *why;
    const cuda_driver *driver = cuda_open(&why);
    if (driver == NULL) test_skip(why);
    return driver;
}

cu_context own_context(void) {
    cu_device device;
    cu_context context = NULL;
    CHECK_CU(cuda()->device_get(&device, 0));
    CHECK_CU(cuda()->context_create(&context, 0, device));
    return context;
}
