/* Who started whom, as src/kernel/family.rs says it: children put themselves at the head of their parent's list, which it takes
 * whole when it ends. By one thread, all of it, and seldom. */
#ifndef RINGKERNEL_CUDA_FAMILY_CUH
#define RINGKERNEL_CUDA_FAMILY_CUH

#include <ringkernel/cuda/block.cuh>

RK_PUMP_FN rk_dev_kin *rk_kin_of(rk_u32 index) {
    return (rk_dev_kin *)rk_s.k.kin + index;
}

/* An actor starts: it may have children. Those that there are stay. */
RK_PUMP_FN void rk_begin_family(rk_u32 index) {
    atomicCAS(&rk_kin_of(index)->first, RK_ENDED, 0u);
}

/* Makes an actor of ours the child of the one that started it, unless it is somebody's. False if that one has ended. */
RK_PUMP_FN bool rk_join_family(rk_u32 child, rk_u32 parent) {
    rk_dev_kin *kin = rk_kin_of(child);
    if (kin->parent != 0 || parent == child) return true;
    rk_u32 *head = &rk_kin_of(parent)->first, first = *(volatile rk_u32 *)head;
    while (first != RK_ENDED) {
        kin->parent = parent + 1, kin->next = first;
        /* Release: pairs with the acquire in rk_end_family; who takes the list reads what we wrote of ourselves. */
        __threadfence();
        const rk_u32 now = atomicCAS(head, first, child + 1);
        if (now == first) return true;
        first = now;
    }
    kin->parent = kin->next = 0;
    return false;
}

/* An actor of ours has ended: the first child to be told, by its index plus 1; or 0. */
RK_PUMP_FN rk_u32 rk_end_family(rk_u32 index) {
    const rk_u32 first = atomicExch(&rk_kin_of(index)->first, RK_ENDED);
    __threadfence(); /* acquire, see above */
    return first == RK_ENDED ? 0 : first;
}

/* Who is to be told after a child, likewise. Read past L1, for it is mostly another worker's. */
RK_PUMP_FN rk_u32 rk_following(rk_u32 child, rk_u64 mark) {
    const volatile rk_dev_kin *kin = rk_kin_of(child);
    return kin->parent == mark ? kin->next : 0;
}

/* An actor of ours is told: it leaves the list. Whether it was in that one. */
RK_PUMP_FN bool rk_leave_family(rk_u32 index, rk_u64 mark) {
    rk_dev_kin *kin = rk_kin_of(index);
    if (kin->parent == 0 || kin->parent != mark) return false;
    kin->parent = kin->next = 0;
    return true;
}

#endif
