/* The Vulkan backend of run.c: the module's SPIR-V on the first device that can. RUN_VULKAN says that there is Vulkan to
 * compile and link with. */
#include "run.h"

#ifdef RUN_VULKAN

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

static VkDevice device;
static VkQueue queue;
static VkCommandPool pool;
static VkBuffer buffer;
static VkDeviceAddress address;
static arena *mapped;

#define MUST(call) CHECK((call) == VK_SUCCESS)

typedef struct features {
    VkPhysicalDeviceFeatures2 base;
    VkPhysicalDeviceVulkan11Features v11;
    VkPhysicalDeviceVulkan12Features v12;
} features;

static void chain(features *f) {
    memset(f, 0, sizeof *f);
    f->base.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    f->base.pNext = &f->v11;
    f->v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
    f->v11.pNext = &f->v12;
    f->v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
}

/* What the fixtures use; asks for them where they are all there. */
static int can(VkPhysicalDevice physical, features *wanted) {
    features have;
    chain(&have);
    vkGetPhysicalDeviceFeatures2(physical, &have.base);
    chain(wanted);
    wanted->base.features.shaderInt64 = wanted->base.features.shaderInt16 = VK_TRUE;
    wanted->base.features.shaderFloat64 = VK_TRUE;
    wanted->v11.storageBuffer16BitAccess = VK_TRUE;
    wanted->v12.storageBuffer8BitAccess = wanted->v12.shaderInt8 = VK_TRUE;
    wanted->v12.bufferDeviceAddress = wanted->v12.scalarBlockLayout = wanted->v12.vulkanMemoryModel = VK_TRUE;
    return have.base.features.shaderInt64 && have.base.features.shaderInt16 && have.base.features.shaderFloat64 &&
           have.v11.storageBuffer16BitAccess && have.v12.storageBuffer8BitAccess && have.v12.shaderInt8 &&
           have.v12.bufferDeviceAddress && have.v12.scalarBlockLayout && have.v12.vulkanMemoryModel;
}

/* The first family of queues that computes; UINT32_MAX if none does. */
static uint32_t compute_family(VkPhysicalDevice physical) {
    VkQueueFamilyProperties families[16];
    uint32_t count = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
    for (uint32_t i = 0; i < count; i++) {
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* Memory that both sides see, for the arena. */
static void allocate(VkPhysicalDevice physical) {
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = sizeof(arena),
                               .usage = VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    MUST(vkCreateBuffer(device, &info, NULL, &buffer));
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device, buffer, &needs);
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    const VkMemoryPropertyFlags visible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;
    while (!(needs.memoryTypeBits >> type & 1u) || (memory.memoryTypes[type].propertyFlags & visible) != visible) {
        CHECK(++type < memory.memoryTypeCount);
    }
    VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                       .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo request = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .pNext = &flags,
                                    .allocationSize = needs.size, .memoryTypeIndex = type};
    VkDeviceMemory allocation;
    MUST(vkAllocateMemory(device, &request, NULL, &allocation));
    MUST(vkBindBufferMemory(device, buffer, allocation, 0));
    void *at;
    MUST(vkMapMemory(device, allocation, 0, VK_WHOLE_SIZE, 0, &at));
    mapped = at;
    VkBufferDeviceAddressInfo of = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = buffer};
    address = vkGetBufferDeviceAddress(device, &of);
}

/* bare.comp with the actor's handlers, which the test has put into the directory RUN_SPIRV. */
static const rk_section *image_of(const char *actor) {
    static uint32_t words[1 << 18];
    static rk_section section = {.data = words};
    char path[4096];
    const char *directory = getenv("RUN_SPIRV");
    if (directory == NULL) return NULL;
    snprintf(path, sizeof path, "%s/%s.spv", directory, actor);
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    section.size = fread(words, 1, sizeof words, file);
    CHECK(feof(file));
    fclose(file);
    return &section;
}

static const char *vulkan_open(void) {
    if (!image_of("everything")) {
        return "RUN_SPIRV names no directory with SPIR-V: glslc is not installed";
    }
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    VkInstance instance;
    if (vkCreateInstance(&info, NULL, &instance) != VK_SUCCESS) {
        return "there is no Vulkan driver";
    }
    VkPhysicalDevice devices[16];
    uint32_t count = 16;
    vkEnumeratePhysicalDevices(instance, &count, devices);
    features wanted;
    uint32_t chosen = 0;
    while (chosen < count && (!can(devices[chosen], &wanted) || compute_family(devices[chosen]) == UINT32_MAX)) {
        chosen++;
    }
    if (chosen == count) {
        return "no Vulkan device has the features that the fixtures use";
    }
    const float priority = 1.0f;
    const uint32_t family = compute_family(devices[chosen]);
    VkDeviceQueueCreateInfo queues = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueFamilyIndex = family,
                                      .queueCount = 1, .pQueuePriorities = &priority};
    VkDeviceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .pNext = &wanted.base,
                                 .queueCreateInfoCount = 1, .pQueueCreateInfos = &queues};
    MUST(vkCreateDevice(devices[chosen], &create, NULL, &device));
    vkGetDeviceQueue(device, family, 0, &queue);
    VkCommandPoolCreateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, .queueFamilyIndex = family};
    MUST(vkCreateCommandPool(device, &commands, NULL, &pool));
    allocate(devices[chosen]);
    return NULL;
}

/* The pump's push constant is the address of the contexts, its specialization constant 0 the number of lanes. */
static VkPipeline pipeline_of(const rk_section *image, uint32_t lanes, VkPipelineLayout *layout) {
    VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                     .codeSize = (size_t)image->size, .pCode = image->data};
    VkShaderModule shader;
    MUST(vkCreateShaderModule(device, &code, NULL, &shader));
    VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(VkDeviceAddress)};
    VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                       .pushConstantRangeCount = 1, .pPushConstantRanges = &range};
    MUST(vkCreatePipelineLayout(device, &info, NULL, layout));
    VkSpecializationMapEntry entry = {0, 0, sizeof lanes};
    VkSpecializationInfo constants = {1, &entry, sizeof lanes, &lanes};
    VkComputePipelineCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = shader, .pName = "main", .pSpecializationInfo = &constants},
        .layout = *layout};
    VkPipeline pipeline;
    MUST(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &create, NULL, &pipeline));
    vkDestroyShaderModule(device, shader, NULL);
    return pipeline;
}

static int vulkan_run(const char *actor, uint32_t lanes, arena *a) {
    const rk_section *image = image_of(actor);
    if (!image) {
        return -1;
    }
    VkPipelineLayout layout;
    VkPipeline pipeline = pipeline_of(image, lanes, &layout);
    arena_point(a, address);
    memcpy(mapped, a, sizeof *a);

    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY, .commandBufferCount = 1};
    VkCommandBuffer commands;
    MUST(vkAllocateCommandBuffers(device, &info, &commands));
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    MUST(vkBeginCommandBuffer(commands, &begin));
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    VkDeviceAddress contexts = address + offsetof(arena, context);
    vkCmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof contexts, &contexts);
    vkCmdDispatch(commands, 1, 1, 1);
    VkMemoryBarrier to_host = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                               .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &to_host, 0,
                         NULL, 0, NULL);
    MUST(vkEndCommandBuffer(commands));
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands};
    VkFenceCreateInfo unsignaled = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkFence fence;
    MUST(vkCreateFence(device, &unsignaled, NULL, &fence));
    MUST(vkQueueSubmit(queue, 1, &submit, fence));
    MUST(vkWaitForFences(device, 1, &fence, VK_TRUE, 10000000000u));

    memcpy(a, mapped, sizeof *a);
    arena_unpoint(a);
    vkDestroyFence(device, fence, NULL);
    vkFreeCommandBuffers(device, pool, 1, &commands);
    vkDestroyPipeline(device, pipeline, NULL);
    vkDestroyPipelineLayout(device, layout, NULL);
    return 0;
}

const backend backend_vulkan = {"vulkan", vulkan_open, vulkan_run};

#else

static const char *vulkan_open(void) {
    return "/usr/include/vulkan/vulkan.h is not installed";
}

const backend backend_vulkan = {"vulkan", vulkan_open, NULL};

#endif
