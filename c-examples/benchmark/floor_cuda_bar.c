/* Device memory that the host writes: allocated by Vulkan, mapped there, exported, imported by CUDA. */
#include "floor_cuda.h"

#if defined(__has_include)
#if __has_include(<vulkan/vulkan_core.h>)
#define HAS_VULKAN 1
#endif
#endif

#if HAS_VULKAN

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bar_owner {
    PFN_vkGetInstanceProcAddr get;
    VkInstance instance;
    VkPhysicalDevice card;
    VkDevice device;
    VkDeviceMemory memory;
    cu_external imported;
};

static const char *refused(const char *what, VkResult result) {
    static char text[96];
    snprintf(text, sizeof text, "%s: VkResult %d", what, (int)result);
    return text;
}

/* The function of that name, as a pointer of its type. `instance` may be NULL. */
#define FUNCTION(name) ((PFN_##name)o->get(o->instance, #name))
/* Ends the function with what went wrong. */
#define TRY_VK(name, ...)                                                                                              \
    do {                                                                                                               \
        const PFN_##name function_ = FUNCTION(name);                                                                   \
        const VkResult result_ = function_ == NULL ? VK_ERROR_EXTENSION_NOT_PRESENT : function_(__VA_ARGS__);          \
        if (result_ != VK_SUCCESS)                                                                                     \
            return refused(#name, result_);                                                                            \
    } while (0)

static const char *open_instance(struct bar_owner *o) {
    void *library = dlopen("libvulkan.so.1", RTLD_NOW);
    if (library == NULL)
        return "there is no Vulkan (libvulkan.so.1)";
    void *get = dlsym(library, "vkGetInstanceProcAddr");
    if (get == NULL)
        return "libvulkan.so.1 has no vkGetInstanceProcAddr";
    memcpy(&o->get, &get, sizeof get);
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    TRY_VK(vkCreateInstance, &info, NULL, &o->instance);
    return NULL;
}

/* The card that CUDA has under this UUID. */
static const char *find_card(struct bar_owner *o, const unsigned char uuid[16]) {
    enum { CARDS = 32 };
    VkPhysicalDevice cards[CARDS];
    uint32_t count = CARDS;
    const PFN_vkEnumeratePhysicalDevices list = FUNCTION(vkEnumeratePhysicalDevices);
    const PFN_vkGetPhysicalDeviceProperties2 describe = FUNCTION(vkGetPhysicalDeviceProperties2);
    if (list == NULL || describe == NULL)
        return "Vulkan does not list devices";
    const VkResult result = list(o->instance, &count, cards);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return refused("vkEnumeratePhysicalDevices", result);
    for (uint32_t i = 0; i < count; i++) {
        VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
        VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &id};
        describe(cards[i], &properties);
        if (memcmp(id.deviceUUID, uuid, sizeof id.deviceUUID) == 0) {
            o->card = cards[i];
            return NULL;
        }
    }
    return "Vulkan does not have the device";
}

static const char *open_device(struct bar_owner *o) {
    const float priority = 1;
    const char *extensions[] = {VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME};
    const VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = 1,
                                     .ppEnabledExtensionNames = extensions};
    TRY_VK(vkCreateDevice, o->card, &info, NULL, &o->device);
    return NULL;
}

static const char *allocate(struct bar_owner *o, VkDeviceSize size, void **host) {
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const PFN_vkGetPhysicalDeviceMemoryProperties describe = FUNCTION(vkGetPhysicalDeviceMemoryProperties);
    if (describe == NULL)
        return "Vulkan does not list memory";
    VkPhysicalDeviceMemoryProperties memory;
    describe(o->card, &memory);
    uint32_t type = 0;
    while (type < memory.memoryTypeCount && (memory.memoryTypes[type].propertyFlags & wanted) != wanted)
        type++;
    if (type == memory.memoryTypeCount)
        return "the device has no memory that the host can write";
    const VkExportMemoryAllocateInfo export = {.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
                                               .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &export,
                                       .allocationSize = size,
                                       .memoryTypeIndex = type};
    TRY_VK(vkAllocateMemory, o->device, &info, NULL, &o->memory);
    TRY_VK(vkMapMemory, o->device, o->memory, 0, VK_WHOLE_SIZE, 0, host);
    return NULL;
}

static const char *import(struct bar_owner *o, const cuda_driver *cu, VkDeviceSize size, uint64_t *address) {
    const VkMemoryGetFdInfoKHR request = {.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
                                          .memory = o->memory,
                                          .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    cu_external_handle handle = {.type = CU_EXTERNAL_OPAQUE_FD_, .size = size};
    const cu_external_buffer buffer = {.size = size};
    TRY_VK(vkGetMemoryFdKHR, o->device, &request, &handle.handle.fd);
    cu_result result = cu->external_import(&o->imported, &handle);
    if (result != 0) {
        close(handle.handle.fd); /* CUDA's, had it been imported */
        return cuda_failed(cu, "cuImportExternalMemory", result);
    }
    result = cu->external_map(address, o->imported, &buffer);
    return result == 0 ? NULL : cuda_failed(cu, "cuExternalMemoryGetMappedBuffer", result);
}

const char *bar_memory_open(bar_memory *memory, const cuda_driver *cu, cu_device device, size_t size) {
    unsigned char uuid[16];
    const VkDeviceSize rounded = (size + 0xffff) & ~(VkDeviceSize)0xffff;
    struct bar_owner *o = calloc(1, sizeof *o);
    memory->owner = o;
    if (o == NULL)
        return "out of memory";
    const cu_result result = cu->device_uuid(uuid, device);
    const char *failure = result == 0 ? open_instance(o) : cuda_failed(cu, "cuDeviceGetUuid", result);
    if (failure == NULL)
        failure = find_card(o, uuid);
    if (failure == NULL)
        failure = open_device(o);
    if (failure == NULL)
        failure = allocate(o, rounded, &memory->host);
    if (failure == NULL)
        failure = import(o, cu, rounded, &memory->device);
    if (failure != NULL)
        bar_memory_close(memory, cu);
    return failure;
}

void bar_memory_close(bar_memory *memory, const cuda_driver *cu) {
    struct bar_owner *o = memory->owner;
    if (o == NULL)
        return;
    if (memory->device != 0)
        (void)cu->free(memory->device);
    if (o->imported != NULL)
        (void)cu->external_destroy(o->imported);
    if (o->memory != VK_NULL_HANDLE)
        FUNCTION(vkFreeMemory)(o->device, o->memory, NULL); /* unmaps it */
    if (o->device != VK_NULL_HANDLE)
        FUNCTION(vkDestroyDevice)(o->device, NULL);
    if (o->instance != VK_NULL_HANDLE)
        FUNCTION(vkDestroyInstance)(o->instance, NULL);
    free(o);
    *memory = (bar_memory){0};
}

#else

const char *bar_memory_open(bar_memory *memory, const cuda_driver *cu, cu_device device, size_t size) {
    (void)memory, (void)cu, (void)device, (void)size;
    return "the benchmark was built without Vulkan's headers (libvulkan-dev)";
}

void bar_memory_close(bar_memory *memory, const cuda_driver *cu) {
    (void)memory, (void)cu;
}

#endif
