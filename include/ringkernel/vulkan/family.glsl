/* Who started whom, as src/kernel/family.rs says it: children put themselves at the head of their parent's list, which it takes
 * whole when it ends. All by lane 0, and seldom. */
#ifndef RINGKERNEL_VULKAN_FAMILY_GLSL
#define RINGKERNEL_VULKAN_FAMILY_GLSL

rk_dev_kin_at rk_kin_of(rk_u32 index) {
    return rk_dev_kin_at(rk_kernel.kin + 12u * index);
}

rk_u32 rk_exchange_first(rk_u32 index, rk_u32 old, rk_u32 new) {
    return atomicCompSwap(rk_kin_of(index).v.first, old, new, gl_ScopeDevice, gl_StorageSemanticsNone,
                          gl_SemanticsRelaxed, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
}

/* An actor of ours starts, and `parent`, if it is one of our kernel, has started it: may have children, and becomes that one's
 * child unless it is somebody's. False if that one has ended. */
bool rk_join_family(rk_u32 child, rk_u32 parent) {
    rk_dev_kin_at kin = rk_kin_of(child);
    rk_exchange_first(child, RK_ENDED, 0u);
    if (parent >= rk_kernel.actors || parent == child || kin.v.parent != 0u) return true;
    rk_u32 first = rk_peek(rk_kin_of(parent).v.first);
    bool joined = false;
    [[dont_unroll]] while (!joined && first != RK_ENDED) {
        rk_turns++;
        kin.v.parent = parent + 1u;
        kin.v.next = first;
        rk_release(); /* pairs with the acquire in rk_end_family; who takes the list reads what we wrote of ourselves */
        rk_u32 now = rk_exchange_first(parent, first, child + 1u);
        joined = now == first;
        first = joined ? first : now;
    }
    if (!joined) {
        kin.v.parent = 0u;
        kin.v.next = 0u;
    }
    return joined;
}

/* An actor of ours has ended: the first child to be told, by its index plus 1; or 0. */
rk_u32 rk_end_family(rk_u32 index) {
    rk_u32 first = atomicExchange(rk_kin_of(index).v.first, RK_ENDED, gl_ScopeDevice, gl_StorageSemanticsNone,
                                  gl_SemanticsRelaxed);
    rk_acquire();
    return first == RK_ENDED ? 0u : first;
}

/* Who is to be told after a child, likewise. */
rk_u32 rk_following(rk_u32 child, rk_u64 mark) {
    rk_dev_kin_at kin = rk_kin_of(child);
    return rk_u64(kin.v.parent) == mark ? kin.v.next : 0u;
}

/* An actor of ours is told: it leaves the list. Whether it was in that one. */
bool rk_leave_family(rk_u32 index, rk_u64 mark) {
    rk_dev_kin_at kin = rk_kin_of(index);
    bool ours = kin.v.parent != 0u && rk_u64(kin.v.parent) == mark;
    if (ours) {
        kin.v.parent = 0u;
        kin.v.next = 0u;
    }
    return ours;
}

#endif
