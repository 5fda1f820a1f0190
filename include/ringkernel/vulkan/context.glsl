/* The Vulkan half of the dialect: a handler runs in every invocation of a workgroup, its lanes.
 *
 * The structs are those of module.h, with addresses in place of pointers; tests/rkc.rs compares every offset. The
 * context is private to the invocation: all lanes make the same calls with the same arguments, so their copies stay
 * equal and posting needs no barrier. Only the outbox is memory.
 */
#ifndef RINGKERNEL_VULKAN_CONTEXT_GLSL
#define RINGKERNEL_VULKAN_CONTEXT_GLSL

#define RK_COUNTERS 8u
#define RK_BUFFERS 4096u
#define RK_FAIL_NO_BUFFER (-2000000001)
#define RK_FAIL_OUT_OF_BOUNDS (-2000000002)
#define RK_RESULT_FAIL 1u
#define RK_RESULT_STOP 2u
#define RK_POST_REPLY 1u
#define RK_POST_SEND 2u
#define RK_POST_EMIT 3u
#define RK_POST_FORWARD 4u

struct rk_outgoing {
    uint64_t to;
    uint64_t correlation;
    uint64_t deadline;
    uint32_t kind;
    uint32_t type;
    uint32_t size;
    uint32_t priority;
    uint64_t reserved;
};

struct rk_context {
    uint64_t state;
    uint64_t message;
    uint64_t scratch; /* unused: scratch memory is the workgroup's, see rk_scratch() */
    uint64_t outbox;
    uint32_t outbox_used;
    uint32_t outbox_limit;
    uint32_t type;
    uint32_t size;
    uint32_t index;
    uint32_t actors;
    uint64_t self;
    uint64_t sender;
    uint64_t correlation;
    uint64_t time;
    uint64_t counters;
    uint32_t priority;
    uint32_t result;
    int32_t fail_code;
    uint32_t refused;
    uint64_t buffers;
    uint64_t reserved[3];
};

layout(buffer_reference, scalar, buffer_reference_align = 16) buffer rk_outgoing_ref {
    nonprivate rk_outgoing v;
};
struct rk_buffer_entry {
    uint64_t id;
    uint64_t size;
    uint64_t address;
    uint64_t reserved;
};

layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer rk_buffer_table_ref {
    nonprivate uint64_t sink;
    nonprivate uint64_t reserved[3];
    nonprivate rk_buffer_entry entries[RK_BUFFERS];
};
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer rk_counters_ref {
    nonprivate uint64_t v[RK_COUNTERS];
};

/* The number of lanes is given when the pipeline is made. */
layout(local_size_x = 1, local_size_x_id = 0) in;

/* What rk_post_() was called with. */
struct rk_posted {
    uint64_t to, correlation, deadline;
    uint32_t kind, type, size, priority;
};

rk_context rk_cx;
/* A handler's first post, which mostly is its only one. Of it only the payload is in the outbox: the pump, or whoever called the
 * handler, takes the rest from here, or puts it there with rk_put_(0u, rk_first). */
rk_posted rk_first;
/* Handlers have opened buffers since the pump last released what they wrote there. */
bool rk_opened = false;

#define rk_lane() gl_LocalInvocationID.x
#define rk_lanes() gl_WorkGroupSize.x
#define rk_barrier() rk_barrier_()
#define rk_count(k, n) rk_counters_ref(rk_cx.counters).v[(k) % RK_COUNTERS] += uint64_t(n)

/* One lane waits for nobody. It would not in any case, but a barrier costs drivers that compile for processors dearly. */
void rk_barrier_() {
    if (rk_lanes() > 1u)
        controlBarrier(gl_ScopeWorkgroup, gl_ScopeWorkgroup, gl_StorageSemanticsBuffer | gl_StorageSemanticsShared,
                       gl_SemanticsAcquireRelease | gl_SemanticsMakeAvailable | gl_SemanticsMakeVisible);
}

/* Acquire: pairs with the release before a slot that the pump writes after a handler that had opened one (out.glsl), or that
 * the host wrote. */
void rk_open_buffers_() {
    rk_opened = true;
    memoryBarrier(gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsAcquire | gl_SemanticsMakeVisible);
}

/* See cpu_context.h. */
uint64_t rk_stage_() {
    return rk_cx.outbox + rk_cx.outbox_used + 48u;
}

void rk_put_(uint32_t at, rk_posted post) {
    /* `reserved` is 0: the one origin. */
    rk_outgoing_ref(rk_cx.outbox + at).v = rk_outgoing(post.to, post.correlation, post.deadline, post.kind, post.type, post.size,
                                                       post.priority, uint64_t(0));
}

uint32_t rk_post_(uint32_t kind, uint64_t to, uint32_t type, uint32_t size, uint32_t priority, uint64_t correlation,
                  uint64_t deadline) {
    uint32_t need = 48u + ((size + 15u) & ~15u);
    if (rk_cx.outbox_limit - rk_cx.outbox_used < need) {
        rk_cx.refused++;
        return 1u;
    }
    rk_posted post = rk_posted(to, correlation, deadline, kind, type, size, priority);
    if (rk_cx.outbox_used == 0u) rk_first = post;
    else if (rk_lane() == 0u) rk_put_(rk_cx.outbox_used, post);
    rk_cx.outbox_used += need;
    return 0u;
}

uint64_t rk_peer_(uint32_t index) {
    return (rk_cx.self & ~uint64_t(0xffffffffu)) | (index & 0xfffffu);
}

#endif
