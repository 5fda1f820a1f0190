#include "vulkan.h"

#if HAS_VULKAN

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const char *vulkan_open(vulkan *v, uint32_t version) {
    void *library = dlopen("libvulkan.so.1", RTLD_NOW);
    if (library == NULL)
        return "there is no Vulkan (libvulkan.so.1)";
    void *get = dlsym(library, "vkGetInstanceProcAddr");
    if (get == NULL)
        return "libvulkan.so.1 has no vkGetInstanceProcAddr";
    memcpy(&v->get, &get, sizeof get);
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = version};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    TRY_VULKAN(v, vkCreateInstance, &info, NULL, &v->instance);
    return NULL;
}

void vulkan_close(vulkan *v) {
    if (v->device != VK_NULL_HANDLE)
        VULKAN_FUNCTION(v, vkDestroyDevice)(v->device, NULL);
    if (v->instance != VK_NULL_HANDLE)
        VULKAN_FUNCTION(v, vkDestroyInstance)(v->instance, NULL);
    *v = (vulkan){0};
}

const char *vulkan_cards(vulkan *v, VkPhysicalDevice *cards, uint32_t *count) {
    const PFN_vkEnumeratePhysicalDevices list = VULKAN_FUNCTION(v, vkEnumeratePhysicalDevices);
    if (list == NULL)
        return "Vulkan does not list devices";
    const VkResult result = list(v->instance, count, cards);
    return result == VK_SUCCESS || result == VK_INCOMPLETE ? NULL : vulkan_refused("vkEnumeratePhysicalDevices", result);
}

int vulkan_memory_type(vulkan *v, uint32_t allowed, VkMemoryPropertyFlags wanted) {
    VkPhysicalDeviceMemoryProperties memory;
    VULKAN_FUNCTION(v, vkGetPhysicalDeviceMemoryProperties)(v->card, &memory);
    for (uint32_t i = 0; i < memory.memoryTypeCount; i++)
        if ((allowed >> i & 1) != 0 && (memory.memoryTypes[i].propertyFlags & wanted) == wanted)
            return (int)i;
    return -1;
}

const char *vulkan_refused(const char *what, VkResult result) {
    static char text[96];
    snprintf(text, sizeof text, "%s: VkResult %d", what, (int)result);
    return text;
}

#else

typedef int nothing_of_vulkan; /* ISO C wants a file to declare something */

#endif
