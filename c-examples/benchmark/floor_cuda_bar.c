/* Device memory that the host writes: allocated by Vulkan, mapped there, exported, imported by CUDA. */
#include "floor_cuda.h"

#include "vulkan.h"

#if HAS_VULKAN

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bar_owner {
    vulkan v;
    VkDeviceMemory memory;
    cu_external imported;
};

/* The card that CUDA has under this UUID. */
static const char *find_card(struct bar_owner *o, const unsigned char uuid[16]) {
    VkPhysicalDevice cards[VULKAN_CARDS];
    uint32_t count = VULKAN_CARDS;
    const char *failure = vulkan_cards(&o->v, cards, &count);
    for (uint32_t i = 0; i < count && failure == NULL; i++) {
        VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
        VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &id};
        VULKAN_FUNCTION(&o->v, vkGetPhysicalDeviceProperties2)(cards[i], &properties);
        if (memcmp(id.deviceUUID, uuid, sizeof id.deviceUUID) == 0) {
            o->v.card = cards[i];
            return NULL;
        }
    }
    return failure != NULL ? failure : "Vulkan does not have the device";
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
    TRY_VULKAN(&o->v, vkCreateDevice, o->v.card, &info, NULL, &o->v.device);
    return NULL;
}

static const char *allocate(struct bar_owner *o, VkDeviceSize size, void **host) {
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const int type = vulkan_memory_type(&o->v, UINT32_MAX, wanted);
    if (type < 0)
        return "the device has no memory that the host can write";
    const VkExportMemoryAllocateInfo export = {.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
                                               .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &export,
                                       .allocationSize = size,
                                       .memoryTypeIndex = (uint32_t)type};
    TRY_VULKAN(&o->v, vkAllocateMemory, o->v.device, &info, NULL, &o->memory);
    TRY_VULKAN(&o->v, vkMapMemory, o->v.device, o->memory, 0, VK_WHOLE_SIZE, 0, host);
    return NULL;
}

static const char *import(struct bar_owner *o, const cuda_driver *cu, VkDeviceSize size, uint64_t *address) {
    const VkMemoryGetFdInfoKHR request = {.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
                                          .memory = o->memory,
                                          .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    cu_external_handle handle = {.type = CU_EXTERNAL_OPAQUE_FD_, .size = size};
    const cu_external_buffer buffer = {.size = size};
    TRY_VULKAN(&o->v, vkGetMemoryFdKHR, o->v.device, &request, &handle.handle.fd);
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
    const char *failure = result == 0 ? vulkan_open(&o->v, VK_API_VERSION_1_1) : cuda_failed(cu, "cuDeviceGetUuid", result);
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
        VULKAN_FUNCTION(&o->v, vkFreeMemory)(o->v.device, o->memory, NULL); /* unmaps it */
    vulkan_close(&o->v);
    free(o);
    *memory = (bar_memory){0};
}

#else

const char *bar_memory_open(bar_memory *memory, const cuda_driver *cu, cu_device device, size_t size) {
    (void)memory, (void)cu, (void)device, (void)size;
    return NO_VULKAN_HEADERS;
}

void bar_memory_close(bar_memory *memory, const cuda_driver *cu) {
    (void)memory, (void)cu;
}

#endif
