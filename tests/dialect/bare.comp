/* In place of the pump, for run_vulkan.c: each workgroup runs the one handler that its context describes. Compiled after
 * the actors, with RK_DISPATCH set to the dispatch of one type. */
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer rk_contexts_ref {
    nonprivate rk_context v[];
};

layout(push_constant, scalar) uniform rk_push {
    uint64_t contexts; /* one for each workgroup */
} rk_bare;

void main() {
    rk_contexts_ref contexts = rk_contexts_ref(rk_bare.contexts);
    rk_cx = contexts.v[gl_WorkGroupID.x];
    RK_DISPATCH();
    rk_barrier(); /* the outbox is complete, but for the first post, before the context says so */
    if (rk_lane() == 0u) {
        if (rk_cx.outbox_used != 0u) rk_put_(0u, rk_first);
        contexts.v[gl_WorkGroupID.x] = rk_cx;
    }
}
