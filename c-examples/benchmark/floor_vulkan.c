#define _GNU_SOURCE
#include "floor_vulkan.h"

#include "clock.h"
#include "stamped.h"
#include "vulkan.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if HAS_VULKAN && defined(FLOOR_VULKAN_SHADER)

static const uint32_t SHADER[] = {
#include FLOOR_VULKAN_SHADER
};

/* As in floor_vulkan.comp: what a dispatch does, and the stamp that ends it. */
enum { NOTHING, WHOLE_WORDS, HALVES, PROGRAMS };
static const uint32_t QUIT = UINT32_MAX;
typedef struct asked {
    uint64_t from, to, told;
    uint32_t patience;
} asked;

/* Looks of a dispatch for one message, some seconds: each costs a way to the card's memory, or a few nanoseconds. */
enum { LOOKS = 1 << 22, LOOKS_OF_A_PROCESSOR = 1 << 28 };
/* Echoes that show whether they work, and whether words move whole. */
enum { TRIAL = 20000 };
static const double MEASURED_SECONDS = 2;
/* For what is to end by itself. */
static const double PATIENCE = 10;
/* In the host's memory: answers, and lines away how the dispatch ended. */
enum { ANSWER = 0, TOLD = 256, PIECE_SIZE = 4096 };

typedef struct piece {
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkDeviceAddress address;
    void *host;
} piece;

struct floor_vulkan {
    vulkan v;
    int is_processor;
    uint32_t family;
    VkQueue queue;
    VkFence fence;
    VkShaderModule shader;
    VkPipelineLayout layout;
    VkPipeline programs[PROGRAMS];
    VkCommandPool pool;
    VkCommandBuffer commands[PROGRAMS];
    piece inbound, outbound;
    stamped line;
    int echo; /* which program */
    const char *no_echoes;
    int is_stuck; /* a dispatch did not end: what it may use is never freed */
    PFN_vkQueueSubmit submit;
    PFN_vkGetFenceStatus fence_status;
    PFN_vkWaitForFences wait;
    PFN_vkResetFences reset;
};

#define TRY(name, ...) TRY_VULKAN(&f->v, name, __VA_ARGS__)
#define FUNCTION(name) VULKAN_FUNCTION(&f->v, name)

static const char *find_card(floor_vulkan *f, uint32_t ordinal, const char *name) {
    VkPhysicalDevice cards[VULKAN_CARDS];
    uint32_t count = VULKAN_CARDS;
    const char *failure = vulkan_cards(&f->v, cards, &count);
    if (failure != NULL)
        return failure;
    if (ordinal >= count)
        return "Vulkan lists fewer devices than the library";
    VkPhysicalDeviceSubgroupProperties subgroups = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &subgroups};
    f->v.card = cards[ordinal];
    FUNCTION(vkGetPhysicalDeviceProperties2)(f->v.card, &properties);
    if (strncmp(properties.properties.deviceName, name, strlen(name)) != 0)
        return "Vulkan's devices are in another order than the library's";
    if ((subgroups.supportedOperations & VK_SUBGROUP_FEATURE_VOTE_BIT) == 0)
        return "the device's invocations cannot vote";
    f->is_processor = properties.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    return NULL;
}

/* One that does nothing but compute, if there is one, as the library. */
static const char *find_family(floor_vulkan *f) {
    enum { FAMILIES = 32 };
    VkQueueFamilyProperties families[FAMILIES];
    uint32_t count = FAMILIES;
    int best = -1;
    FUNCTION(vkGetPhysicalDeviceQueueFamilyProperties)(f->v.card, &count, families);
    for (uint32_t i = 0; i < count; i++) {
        const VkQueueFlags flags = families[i].queueFlags;
        if ((flags & VK_QUEUE_COMPUTE_BIT) != 0 && (best < 0 || (flags & VK_QUEUE_GRAPHICS_BIT) == 0)) {
            best = (int)i;
            if ((flags & VK_QUEUE_GRAPHICS_BIT) == 0)
                break;
        }
    }
    f->family = (uint32_t)best;
    return best < 0 ? "the device has no queue that computes" : NULL;
}

static const char *open_device(floor_vulkan *f) {
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = f->family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    VkPhysicalDeviceVulkan12Features needed = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                               .bufferDeviceAddress = VK_TRUE,
                                               .scalarBlockLayout = VK_TRUE,
                                               .shaderBufferInt64Atomics = VK_TRUE,
                                               .vulkanMemoryModel = VK_TRUE,
                                               .vulkanMemoryModelDeviceScope = VK_TRUE};
    const VkPhysicalDeviceFeatures core = {.shaderInt64 = VK_TRUE};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &needed,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .pEnabledFeatures = &core};
    TRY(vkCreateDevice, f->v.card, &info, NULL, &f->v.device);
    FUNCTION(vkGetDeviceQueue)(f->v.device, f->family, 0, &f->queue);
    /* The driver's own, with no loader in between. */
    const PFN_vkGetDeviceProcAddr find = FUNCTION(vkGetDeviceProcAddr);
    f->submit = (PFN_vkQueueSubmit)find(f->v.device, "vkQueueSubmit");
    f->fence_status = (PFN_vkGetFenceStatus)find(f->v.device, "vkGetFenceStatus");
    f->wait = (PFN_vkWaitForFences)find(f->v.device, "vkWaitForFences");
    f->reset = (PFN_vkResetFences)find(f->v.device, "vkResetFences");
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    TRY(vkCreateFence, f->v.device, &fence, NULL, &f->fence);
    return NULL;
}

/* Memory of the wanted kind, or else the other, that both sides reach. */
static const char *open_piece(floor_vulkan *f, piece *p, VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags other) {
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = PIECE_SIZE,
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                              VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    VkMemoryRequirements needs;
    TRY(vkCreateBuffer, f->v.device, &info, NULL, &p->buffer);
    FUNCTION(vkGetBufferMemoryRequirements)(f->v.device, p->buffer, &needs);
    int type = vulkan_memory_type(&f->v, needs.memoryTypeBits, wanted);
    if (type < 0)
        type = vulkan_memory_type(&f->v, needs.memoryTypeBits, other);
    if (type < 0)
        return "the device has no memory of its own that the host can write";
    const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                             .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    const VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                           .pNext = &flags,
                                           .allocationSize = needs.size,
                                           .memoryTypeIndex = (uint32_t)type};
    TRY(vkAllocateMemory, f->v.device, &allocate, NULL, &p->memory);
    TRY(vkBindBufferMemory, f->v.device, p->buffer, p->memory, 0);
    TRY(vkMapMemory, f->v.device, p->memory, 0, VK_WHOLE_SIZE, 0, &p->host);
    memset(p->host, 0, PIECE_SIZE);
    const VkBufferDeviceAddressInfo of = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = p->buffer};
    p->address = FUNCTION(vkGetBufferDeviceAddress)(f->v.device, &of);
    return NULL;
}

/* One for each thing that the shader can be. */
static const char *compile(floor_vulkan *f) {
    const VkShaderModuleCreateInfo module = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = sizeof SHADER, .pCode = SHADER};
    const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = sizeof(asked)};
    const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .pushConstantRangeCount = 1,
                                               .pPushConstantRanges = &range};
    TRY(vkCreateShaderModule, f->v.device, &module, NULL, &f->shader);
    TRY(vkCreatePipelineLayout, f->v.device, &layout, NULL, &f->layout);
    for (uint32_t what = 0; what < PROGRAMS; what++) {
        const VkSpecializationMapEntry entry = {.constantID = 0, .size = sizeof what};
        const VkSpecializationInfo special = {
            .mapEntryCount = 1, .pMapEntries = &entry, .dataSize = sizeof what, .pData = &what};
        const VkComputePipelineCreateInfo info = {
            .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
            .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                      .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                      .module = f->shader,
                      .pName = "main",
                      .pSpecializationInfo = &special},
            .layout = f->layout};
        TRY(vkCreateComputePipelines, f->v.device, VK_NULL_HANDLE, 1, &info, NULL, &f->programs[what]);
    }
    return NULL;
}

static const char *record(floor_vulkan *f) {
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, .queueFamilyIndex = f->family};
    TRY(vkCreateCommandPool, f->v.device, &pool, NULL, &f->pool);
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = f->pool,
                                              .commandBufferCount = PROGRAMS};
    TRY(vkAllocateCommandBuffers, f->v.device, &info, f->commands);
    const asked ask = {.from = f->inbound.address,
                       .to = f->outbound.address + ANSWER,
                       .told = f->outbound.address + TOLD,
                       .patience = f->is_processor ? LOOKS_OF_A_PROCESSOR : LOOKS};
    const VkMemoryBarrier to_host = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    for (int what = 0; what < PROGRAMS; what++) {
        const VkCommandBuffer to = f->commands[what];
        const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
        TRY(vkBeginCommandBuffer, to, &begin);
        FUNCTION(vkCmdBindPipeline)(to, VK_PIPELINE_BIND_POINT_COMPUTE, f->programs[what]);
        FUNCTION(vkCmdPushConstants)(to, f->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof ask, &ask);
        FUNCTION(vkCmdDispatch)(to, 1, 1, 1);
        if (what != NOTHING)
            FUNCTION(vkCmdPipelineBarrier)(to, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                                           &to_host, 0, NULL, 0, NULL);
        TRY(vkEndCommandBuffer, to);
    }
    return NULL;
}

static const char *submit(floor_vulkan *f, int what) {
    const VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &f->commands[what]};
    const VkResult result = f->submit(f->queue, 1, &info, f->fence);
    return result == VK_SUCCESS ? NULL : vulkan_refused("vkQueueSubmit", result);
}

/* Until what was submitted is over, in time. */
static const char *outlast(floor_vulkan *f, int waits) {
    VkResult result;
    if (waits) {
        result = f->wait(f->v.device, 1, &f->fence, VK_TRUE, (uint64_t)(PATIENCE * 1e9));
    } else {
        const double deadline = seconds() + PATIENCE;
        uint32_t looks = 0;
        while ((result = f->fence_status(f->v.device, f->fence)) == VK_NOT_READY)
            if (++looks % 65536 == 0 && seconds() > deadline)
                break;
    }
    if (result == VK_SUCCESS)
        return NULL;
    f->is_stuck = result == VK_NOT_READY || result == VK_TIMEOUT;
    return f->is_stuck ? "a dispatch does not end" : vulkan_refused("waiting for a dispatch", result);
}

static const char *forget(floor_vulkan *f) {
    const VkResult result = f->reset(f->v.device, 1, &f->fence);
    return result == VK_SUCCESS ? NULL : vulkan_refused("vkResetFences", result);
}

const char *floor_vulkan_submits(floor_vulkan *f, int waits, uint32_t *count, uint32_t *ticks_taken) {
    const double until = seconds() + MEASURED_SECONDS;
    uint32_t i = 0;
    for (; i < *count && (i == 0 || i % 64 != 0 || seconds() < until); i++) {
        const uint64_t begin = ticks();
        const char *failure = submit(f, NOTHING);
        if (failure == NULL)
            failure = outlast(f, waits);
        ticks_taken[i] = (uint32_t)(ticks() - begin);
        if (failure == NULL)
            failure = forget(f);
        if (failure != NULL)
            return failure;
    }
    *count = i;
    return NULL;
}

static volatile uint32_t *told(const floor_vulkan *f) {
    return (volatile uint32_t *)((char *)f->outbound.host + TOLD);
}

/* Why the dispatch ended, which has, if it was not told to. */
static const char *why_it_ended(const floor_vulkan *f) {
    const uint32_t looks = *told(f);
    if (looks == QUIT)
        return NULL;
    return looks >= (f->is_processor ? LOOKS_OF_A_PROCESSOR : LOOKS) ? "a dispatch does not see what the host writes"
                                                                     : "the driver ends loops early";
}

/* No echo comes any more when the dispatch has ended. */
static const char *over(void *device) {
    floor_vulkan *f = device;
    const VkResult result = f->fence_status(f->v.device, f->fence);
    if (result == VK_NOT_READY)
        return NULL;
    const char *failure = result == VK_SUCCESS ? why_it_ended(f) : vulkan_refused("vkGetFenceStatus", result);
    return failure != NULL ? failure : "a dispatch ended before its time";
}

const char *floor_vulkan_echoes(floor_vulkan *f, uint64_t seed, uint32_t *count, uint32_t *ticks_taken) {
    if (f->no_echoes != NULL)
        return f->no_echoes;
    stamped_sign(&f->line, 0); /* the last one was to quit */
    *told(f) = 0;
    const char *failure = submit(f, f->echo);
    if (failure != NULL)
        return failure;
    f->line.until = seconds() + MEASURED_SECONDS;
    failure = stamped_echoes(&f->line, seed, count, ticks_taken);
    stamped_sign(&f->line, QUIT);
    const char *end = outlast(f, 1); /* in time: it quits, or its patience ends */
    if (end == NULL)
        end = why_it_ended(f);
    if (!f->is_stuck) {
        const char *reset = forget(f);
        end = end == NULL ? reset : end;
    }
    return failure != NULL ? failure : end;
}

/* Which program echoes on this device, or why none does. */
static const char *try_echoes(floor_vulkan *f) {
    static uint32_t ticks_taken[TRIAL];
    cpu_set_t allowed;
    const char *failure = NULL;
    if (f->is_processor && sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) < 2)
        return "the device is the only processor, which a dispatch that stays would keep from the host";
    f->line = (stamped){.to = f->inbound.host, .from = (char *)f->outbound.host + ANSWER, .combines = !f->is_processor,
                        .over = over, .device = f};
    /* A processor moves words as it likes. */
    for (f->echo = f->is_processor ? HALVES : WHOLE_WORDS; f->echo <= HALVES && !f->is_stuck; f->echo++) {
        uint32_t count = TRIAL;
        failure = floor_vulkan_echoes(f, (uint64_t)ticks(), &count, ticks_taken);
        if (failure == NULL)
            return NULL;
    }
    return failure;
}

static const char *prepare(floor_vulkan *f, uint32_t ordinal, const char *name) {
    const VkMemoryPropertyFlags coherent = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const VkMemoryPropertyFlags local = coherent | VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    const char *failure = vulkan_open(&f->v, VK_API_VERSION_1_2);
    if (failure == NULL)
        failure = find_card(f, ordinal, name);
    if (failure == NULL)
        failure = find_family(f);
    if (failure == NULL)
        failure = open_device(f);
    if (failure == NULL)
        f->no_echoes = open_piece(f, &f->inbound, local, local);
    if (failure == NULL)
        failure = open_piece(f, &f->outbound, coherent | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, coherent);
    if (failure == NULL)
        failure = compile(f);
    if (failure == NULL)
        failure = record(f);
    /* Once each: drivers compile what is dispatched for the first time. */
    uint32_t ticks_taken[2], count = 2;
    if (failure == NULL)
        failure = floor_vulkan_submits(f, 1, &count, ticks_taken);
    if (failure == NULL && f->no_echoes == NULL)
        f->no_echoes = try_echoes(f);
    return failure;
}

floor_vulkan *floor_vulkan_open(uint32_t ordinal, const char *name, const char **why) {
    floor_vulkan *f = calloc(1, sizeof *f);
    if (f == NULL) {
        *why = "out of memory";
        return NULL;
    }
    *why = prepare(f, ordinal, name);
    if (*why == NULL)
        return f;
    floor_vulkan_close(f);
    return NULL;
}

static void close_piece(floor_vulkan *f, piece *p) {
    FUNCTION(vkDestroyBuffer)(f->v.device, p->buffer, NULL);
    FUNCTION(vkFreeMemory)(f->v.device, p->memory, NULL); /* unmaps it */
}

/* Whatever has failed before: Vulkan takes what was not made for nothing. */
void floor_vulkan_close(floor_vulkan *f) {
    if (f->is_stuck)
        return;
    if (f->v.device != VK_NULL_HANDLE) {
        FUNCTION(vkDestroyCommandPool)(f->v.device, f->pool, NULL);
        for (int what = 0; what < PROGRAMS; what++)
            FUNCTION(vkDestroyPipeline)(f->v.device, f->programs[what], NULL);
        FUNCTION(vkDestroyPipelineLayout)(f->v.device, f->layout, NULL);
        FUNCTION(vkDestroyShaderModule)(f->v.device, f->shader, NULL);
        close_piece(f, &f->inbound);
        close_piece(f, &f->outbound);
        FUNCTION(vkDestroyFence)(f->v.device, f->fence, NULL);
    }
    vulkan_close(&f->v);
    free(f);
}

int floor_vulkan_is_processor(const floor_vulkan *f) {
    return f->is_processor;
}

const char *floor_vulkan_no_echoes(const floor_vulkan *f) {
    return f->no_echoes;
}

#else

#if HAS_VULKAN
#define WHY "the benchmark was built without glslc"
#else
#define WHY NO_VULKAN_HEADERS
#endif

floor_vulkan *floor_vulkan_open(uint32_t ordinal, const char *name, const char **why) {
    (void)ordinal, (void)name;
    *why = WHY;
    return NULL;
}

void floor_vulkan_close(floor_vulkan *f) {
    (void)f;
}

int floor_vulkan_is_processor(const floor_vulkan *f) {
    (void)f;
    return 0;
}

const char *floor_vulkan_no_echoes(const floor_vulkan *f) {
    (void)f;
    return WHY;
}

const char *floor_vulkan_submits(floor_vulkan *f, int waits, uint32_t *count, uint32_t *ticks_taken) {
    (void)f, (void)waits, (void)count, (void)ticks_taken;
    return WHY;
}

const char *floor_vulkan_echoes(floor_vulkan *f, uint64_t seed, uint32_t *count, uint32_t *ticks_taken) {
    (void)f, (void)seed, (void)count, (void)ticks_taken;
    return WHY;
}

#endif
