/* The part of the Vulkan pump that runs handlers: each workgroup, a worker, handles the one message that its context
 * describes. Rings and quanta are not here yet.
 *
 * rkc includes this after the user's files, with RK_DISPATCH set to the dispatch of one actor type. */
#ifndef RINGKERNEL_VULKAN_PUMP_COMP
#define RINGKERNEL_VULKAN_PUMP_COMP

layout(buffer_reference, scalar, buffer_reference_align = 16) buffer rk_contexts_ref {
    nonprivate rk_context v[];
};

layout(push_constant, scalar) uniform rk_push {
    uint64_t contexts; /* one for each workgroup */
} rk_pump;

void main() {
    rk_contexts_ref contexts = rk_contexts_ref(rk_pump.contexts);
    rk_cx = contexts.v[gl_WorkGroupID.x];
    RK_DISPATCH();
    rk_barrier(); /* the outbox is complete before the context says so */
    if (rk_lane() == 0u) {
        contexts.v[gl_WorkGroupID.x] = rk_cx;
    }
}

#endif
