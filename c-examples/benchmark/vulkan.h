/* What the floors need of Vulkan, found at run time: the benchmark is built without its headers too, and runs without its
 * loader. */
#ifndef VULKAN_H
#define VULKAN_H

#if defined(__has_include)
#if __has_include(<vulkan/vulkan_core.h>)
#define HAS_VULKAN 1
#endif
#endif

#if HAS_VULKAN

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

typedef struct vulkan {
    PFN_vkGetInstanceProcAddr get;
    VkInstance instance;
    VkPhysicalDevice card; /* which is up to the caller, as all that follows */
    VkDevice device;
} vulkan;

/* A loader and an instance of that version. NULL, or why there is none; to be closed in either case. */
const char *vulkan_open(vulkan *v, uint32_t version);
/* Also the device. Does nothing with zeroes. */
void vulkan_close(vulkan *v);

/* count: room for so many; receives how many there are. */
const char *vulkan_cards(vulkan *v, VkPhysicalDevice *cards, uint32_t *count);
enum { VULKAN_CARDS = 32 };
/* The card's first type of memory that is all that, among those that `allowed` has a bit for; -1 if there is none. */
int vulkan_memory_type(vulkan *v, uint32_t allowed, VkMemoryPropertyFlags wanted);
/* "vkFunction: VkResult -3", until the next failure. */
const char *vulkan_refused(const char *what, VkResult result);

/* The function of that name, as a pointer of its type; NULL where there is none. */
#define VULKAN_FUNCTION(v, name) ((PFN_##name)(v)->get((v)->instance, #name))
/* Ends the function with what went wrong. */
#define TRY_VULKAN(v, name, ...)                                                                                       \
    do {                                                                                                               \
        const PFN_##name function_ = VULKAN_FUNCTION(v, name);                                                         \
        const VkResult result_ = function_ == NULL ? VK_ERROR_EXTENSION_NOT_PRESENT : function_(__VA_ARGS__);          \
        if (result_ != VK_SUCCESS)                                                                                     \
            return vulkan_refused(#name, result_);                                                                     \
    } while (0)

#else

#define NO_VULKAN_HEADERS "the benchmark was built without Vulkan's headers (libvulkan-dev)"

#endif
#endif
