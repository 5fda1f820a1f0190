/* A Vulkan device of the host program's own, beside actors on the CPU, all in one process. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <vulkan/vulkan.h>

typedef struct own {
    VkInstance instance;
    VkDevice device;
    VkQueue queue;
    rk_vulkan_context context;
    pthread_mutex_t lock;
    atomic_uint locked;
} own;

static void lock(void *user) {
    own *o = user;
    pthread_mutex_lock(&o->lock);
    atomic_fetch_add(&o->locked, 1);
}

static void unlock(void *user) { pthread_mutex_unlock(&((own *)user)->lock); }

/* Whether the device has the clocks of VK_KHR_shader_clock. */
static bool has_clocks(VkPhysicalDevice physical) {
    static VkExtensionProperties all[512];
    uint32_t count = 512;
    vkEnumerateDeviceExtensionProperties(physical, NULL, &count, all);
    bool has = false;
    for (uint32_t i = 0; i < count; i++) has |= strcmp(all[i].extensionName, VK_KHR_SHADER_CLOCK_EXTENSION_NAME) == 0;
    if (!has) return false;
    VkPhysicalDeviceShaderClockFeaturesKHR clocks = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CLOCK_FEATURES_KHR};
    VkPhysicalDeviceFeatures2 have = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &clocks};
    vkGetPhysicalDeviceFeatures2(physical, &have);
    return clocks.shaderDeviceClock && clocks.shaderSubgroupClock;
}

/* With the features that the library asks for, and all of them said; with clocks too if so asked, or the case is skipped. */
static void make_with(own *o, bool clocks) {
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    if (vkCreateInstance(&info, NULL, &o->instance) != VK_SUCCESS) test_skip("there is no Vulkan driver");
    VkPhysicalDevice physical;
    uint32_t count = 1;
    VkResult listed = vkEnumeratePhysicalDevices(o->instance, &count, &physical);
    if ((listed != VK_SUCCESS && listed != VK_INCOMPLETE) || count == 0) test_skip("there is no Vulkan device");
    VkPhysicalDeviceVulkan11Features v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES};
    VkPhysicalDeviceVulkan12Features v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &v11};
    VkPhysicalDeviceFeatures2 have = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &v12};
    vkGetPhysicalDeviceFeatures2(physical, &have);
    if (!v12.vulkanMemoryModelDeviceScope || !v12.bufferDeviceAddress || !v12.shaderBufferInt64Atomics ||
        !v12.scalarBlockLayout || !v12.timelineSemaphore || !v12.shaderInt8 || !v12.storageBuffer8BitAccess)
        test_skip("the first Vulkan device lacks features");
    VkPhysicalDeviceShaderClockFeaturesKHR both = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CLOCK_FEATURES_KHR,
                                                   .shaderSubgroupClock = VK_TRUE, .shaderDeviceClock = VK_TRUE};
    const char *extension = VK_KHR_SHADER_CLOCK_EXTENSION_NAME;
    if (clocks) {
        if (!has_clocks(physical)) test_skip("the first Vulkan device has no clocks for shaders");
        v11.pNext = &both;
    }
    const float priority = 1;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueFamilyIndex = 0,
                                     .queueCount = 1, .pQueuePriorities = &priority};
    VkDeviceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .pNext = &have,
                                 .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue,
                                 .enabledExtensionCount = clocks ? 1 : 0, .ppEnabledExtensionNames = &extension};
    CHECK(vkCreateDevice(physical, &create, NULL, &o->device) == VK_SUCCESS);
    vkGetDeviceQueue(o->device, 0, 0, &o->queue);
    pthread_mutex_init(&o->lock, NULL);
    o->context = (rk_vulkan_context){
        .struct_size = sizeof(rk_vulkan_context), .queue_family = 0, .instance = o->instance,
        .physical_device = physical, .device = o->device, .queue = o->queue,
        .lock = lock, .unlock = unlock, .lock_user = o,
        .features = RK_VULKAN_MEMORY_MODEL | RK_VULKAN_MEMORY_MODEL_DEVICE_SCOPE | RK_VULKAN_BUFFER_DEVICE_ADDRESS |
                    RK_VULKAN_SCALAR_BLOCK_LAYOUT | RK_VULKAN_TIMELINE_SEMAPHORE | RK_VULKAN_SHADER_INT64 |
                    RK_VULKAN_SHADER_BUFFER_INT64_ATOMICS | RK_VULKAN_SHADER_INT16 | RK_VULKAN_SHADER_INT8 |
                    RK_VULKAN_STORAGE_BUFFER_16BIT_ACCESS | RK_VULKAN_STORAGE_BUFFER_8BIT_ACCESS |
                    RK_VULKAN_SHADER_FLOAT64};
    if (clocks) o->context.features |= RK_VULKAN_SHADER_DEVICE_CLOCK | RK_VULKAN_SHADER_SUBGROUP_CLOCK;
    /* ISO C has no conversion of functions to objects. */
    PFN_vkGetInstanceProcAddr find = vkGetInstanceProcAddr;
    memcpy(&o->context.get_instance_proc_addr, &find, sizeof find);
}

static void make(own *o) { make_with(o, false); }

static rk_runtime runtime_on(own *o) {
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.vulkan = &o->context;
    rk_runtime runtime;
    CHECK_DONE(rk_runtime_create(RK_VERSION, &options, &runtime, &test_error));
    return runtime;
}

CASE(borrowed_device_beside_the_cpu) {
    own o = {0};
    make(&o);
    rk_runtime runtime = runtime_on(&o);
    rk_module module = fixture_module(runtime);
    for (int round = 0; round < 3; round++) {
        rk_kernel kernels[2];
        for (uint32_t i = 0; i < 2; i++) {
            rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
            options.backend = i == 0 ? RK_BACKEND_CPU : RK_BACKEND_VULKAN;
            options.actors = 2;
            kernels[i] = fixture_launch(runtime, module, &options);
            CHECK_DONE(rk_kernel_activate(kernels[i], &test_error));
            rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
            CHECK_DONE(rk_kernel_stats(kernels[i], &stats, &test_error));
            CHECK_EQ(stats.backend, options.backend);
        }
        for (uint32_t i = 0; i < 20; i++) {
            rk_actor actor;
            CHECK_OK(rk_kernel_actor(kernels[i % 2], i / 2 % 2, &actor));
            fixture_verify(actor);
        }
        CHECK_OK(rk_kernel_destroy(kernels[1]));
        CHECK_OK(rk_kernel_destroy(kernels[0]));
    }
    CHECK_OK(rk_runtime_destroy(runtime));
    CHECK(atomic_load(&o.locked) > 0);
    /* All is as it was: the device works, and there is nothing left of ours that it would be missing. */
    CHECK(vkDeviceWaitIdle(o.device) == VK_SUCCESS);
    vkDestroyDevice(o.device, NULL);
    vkDestroyInstance(o.instance, NULL);
}

CASE(borrowed_device_without_a_feature) {
    own o = {0};
    make(&o);
    o.context.features &= ~(RK_VULKAN_SHADER_INT64 | RK_VULKAN_TIMELINE_SEMAPHORE);
    rk_runtime runtime = runtime_on(&o);
    uint32_t count = 0, found = 0;
    CHECK_OK(rk_device_count(runtime, &count));
    for (uint32_t i = 0; i < count; i++) {
        rk_device_properties device = RK_DEVICE_PROPERTIES_INIT;
        CHECK_DONE(rk_device_info(runtime, i, &device, &test_error));
        if (device.backend != RK_BACKEND_VULKAN) continue;
        found++;
        CHECK_EQ(device.usable, 0);
        CHECK(strstr(device.reason, "shaderInt64") != NULL && strstr(device.reason, "timelineSemaphore") != NULL);
    }
    CHECK_EQ(found, 1);
    rk_module module = fixture_module(runtime);
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.backend = RK_BACKEND_VULKAN;
    rk_kernel kernel;
    rk_error error;
    test_error_prepare(&error);
    CHECK_STATUS(rk_kernel_launch(runtime, module, "responder", 9, &options, &kernel, &error), RK_ERROR_NO_DEVICE);
    CHECK(strstr(error.message, "shaderInt64") != NULL);
    CHECK_OK(rk_runtime_destroy(runtime));
    vkDestroyDevice(o.device, NULL);
    vkDestroyInstance(o.instance, NULL);
}

/* Shaders read its clocks, if the host program says that it has them. */
CASE(latencies_on_a_borrowed_device) {
    own o = {0};
    make_with(&o, true);
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.backend = RK_BACKEND_VULKAN;
    options.latency_every = 1;
    for (int said = 0; said < 2; said++) {
        if (!said) o.context.features &= ~RK_VULKAN_SHADER_DEVICE_CLOCK;
        rk_runtime runtime = runtime_on(&o);
        rk_module module = fixture_module(runtime);
        if (!said) {
            rk_kernel kernel;
            rk_error error;
            test_error_prepare(&error);
            CHECK_STATUS(rk_kernel_launch(runtime, module, "responder", 9, &options, &kernel, &error),
                         RK_ERROR_UNSUPPORTED);
            CHECK(strstr(error.message, "no shaderDeviceClock (VK_KHR_shader_clock)") != NULL);
        } else {
            rk_kernel kernel = fixture_launch(runtime, module, &options);
            CHECK_DONE(rk_kernel_activate(kernel, &test_error));
            rk_actor actor;
            CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
            fixture_verify(actor);
            CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
            rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
            CHECK_DONE(rk_kernel_stats(kernel, &stats, &test_error));
            rk_latency latency = RK_LATENCY_INIT;
            CHECK_DONE(rk_kernel_latency(kernel, RK_LATENCY_HANDLER, RK_NONE, &latency, &test_error));
            CHECK(latency.count > 0 && latency.count == stats.handled);
        }
        CHECK_OK(rk_runtime_destroy(runtime));
        o.context.features |= RK_VULKAN_SHADER_DEVICE_CLOCK;
    }
    vkDestroyDevice(o.device, NULL);
    vkDestroyInstance(o.instance, NULL);
}

static void count_quanta(void *user, const char *text, size_t length) {
    static const char shown[] = "\"cat\":\"quantum\"";
    unsigned *count = user;
    for (size_t at = 0; at + sizeof shown <= length; at++) *count += memcmp(text + at, shown, sizeof shown - 1) == 0;
}

/* What the host knows of a device. */
CASE(trace_of_quanta) {
    own o = {0};
    make(&o);
    rk_runtime runtime = runtime_on(&o);
    rk_module module = fixture_module(runtime);
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.backend = RK_BACKEND_VULKAN;
    rk_kernel kernel = fixture_launch(runtime, module, &options);
    CHECK_DONE(rk_trace_start(runtime, NULL, &test_error));
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
    fixture_verify(actor);
    CHECK_DONE(rk_kernel_deactivate(kernel, &test_error));
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_stats(kernel, &stats, &test_error));
    unsigned count = 0;
    CHECK_DONE(rk_trace_write(runtime, count_quanta, &count, &test_error));
    CHECK(count >= 1 && count >= stats.quanta);
    CHECK_OK(rk_runtime_destroy(runtime));
    vkDestroyDevice(o.device, NULL);
    vkDestroyInstance(o.instance, NULL);
}

CASE(contexts_that_are_none) {
    own o = {0};
    make(&o);
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.vulkan = &o.context;
    rk_runtime runtime;
    const rk_vulkan_context good = o.context;
#define REFUSED(change)                                                                                                \
    o.context = good;                                                                                                  \
    o.context.change;                                                                                                  \
    CHECK_ERROR(rk_runtime_create(RK_VERSION, &options, &runtime, &test_error), RK_ERROR_INVALID_ARGUMENT)
    REFUSED(instance = NULL);
    REFUSED(physical_device = NULL);
    REFUSED(device = NULL);
    REFUSED(queue = NULL);
    REFUSED(reserved = 1);
    REFUSED(features |= 1u << 31);
    REFUSED(lock = NULL);
    REFUSED(unlock = NULL);
    REFUSED(struct_size = 1);
    vkDestroyDevice(o.device, NULL);
    vkDestroyInstance(o.instance, NULL);
}
