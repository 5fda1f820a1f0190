/* A second warp, which takes the next messages of a row apart while the first runs handlers: the way from a slot to an item is
 * some 2,000 cycles for eight messages, nearly all of them spent waiting for one instruction or the other, in which time
 * another warp's run. Where one lane handles messages, for handlers that have a warp or more would have to share the
 * multiprocessor with it; and not where the device would have no room left for the workers of others.
 *
 * It looks and takes; what it finds counts only once the first warp has handled it, and if that stops before, is forgotten: no
 * position of a ring is changed here. The two wait for each other at barriers of their own, which also order what they
 * write (PTX ISA, "bar": the producer-consumer model).
 */
#ifndef RINGKERNEL_CUDA_SCOUT_CUH
#define RINGKERNEL_CUDA_SCOUT_CUH

#include <ringkernel/cuda/take.cuh>

RK_PUMP_FN bool rk_has_scout() {
    return RK_LANES == 1 && blockDim.x > 32;
}

/* Looks at a row after which the scout comes back with nothing. */
#define RK_SCOUT_LOOKS 4u

/* Barriers of the block: to the scout, and back. 0 is __syncthreads'. */
#define RK_BAR_GO 1
#define RK_BAR_BACK 2

RK_PUMP_FN void rk_bar_wait(int barrier) {
    __syncwarp();
    asm volatile("bar.sync %0, 64;" :: "r"(barrier) : "memory");
}

/* Without waiting for the other warp. compute-sanitizer's racecheck does not know that this orders what was written before it,
 * and calls all of that a race: in modules compiled with RK_RACECHECK it waits, in which its synccheck sees an error. */
RK_PUMP_FN void rk_bar_pass(int barrier) {
#if defined(RK_RACECHECK)
    rk_bar_wait(barrier);
#else
    __syncwarp();
    asm volatile("bar.arrive %0, 64;" :: "r"(barrier) : "memory");
#endif
}

/* Has it look at `ring`, from the position of `row` on, for at most so many messages. */
RK_PUMP_FN void rk_send_scout(const rk_pump &p, const rk_row &row, rk_u32 ring, rk_u32 limit) {
    rk_scouted &scouted = rk_here(p).scouted;
    if (p.thread == 0) {
        scouted.slots = row.slots, scouted.position = row.position, scouted.mask = row.mask, scouted.shift = row.shift;
        scouted.ring = ring, scouted.limit = limit;
    }
    rk_bar_pass(RK_BAR_GO);
}

/* How many it has found that can be handled. */
RK_PUMP_FN rk_u32 rk_await_scout(const rk_pump &p) {
    rk_bar_wait(RK_BAR_BACK);
    return rk_here(p).scouted.count;
}

/* Takes over what it has found. */
RK_PUMP_FN void rk_copy_scouted(const rk_pump &p) {
    rk_block &rk_s = rk_here(p);
    const uint4 *from = (const uint4 *)&rk_s.scouted.items[p.thread >> 2];
    uint4 *to = (uint4 *)&rk_s.items[p.thread >> 2];
    uint4 parts[3];
    const rk_u32 part = p.thread & 3, whole = sizeof(rk_item) / 16;
    for (rk_u32 i = 0; i < 3; i++)
        if (part + 4 * i < whole) parts[i] = from[part + 4 * i];
    for (rk_u32 i = 0; i < 3; i++)
        if (part + 4 * i < whole) to[part + 4 * i] = parts[i];
    __syncwarp();
}

/* All that the second warp does. */
RK_PUMP_FN void rk_scout(const rk_dev_kernel &k) {
    rk_pump p;
    p.here = (rk_u32)__cvta_generic_to_shared(&rk_s), p.thread = threadIdx.x & 31;
    rk_scouted &scouted = rk_s.scouted;
    const rk_u32 number = p.thread >> 2, part = p.thread & 3;
    for (;;) {
        rk_bar_wait(RK_BAR_GO);
        if (rk_s.leave) return;
        const rk_u32 ring = scouted.ring, limit = scouted.limit < RK_BATCH ? scouted.limit : RK_BATCH;
        rk_row row;
        row.slots = scouted.slots + 16 * part, row.position = scouted.position;
        row.mask = scouted.mask, row.shift = scouted.shift;
        const rk_dev_ring &own = rk_s.w.rings[number];
        p.slots = own.slots + 16 * part, p.mask = (1u << own.shift) - 1, p.shift = own.shift;
        p.position = number == ring ? row.position : rk_s.w.position[number];
        p.at.actors = k.actors, p.irregular = rk_s.w.irregular, p.ahead = limit;
        rk_u32 count = 0;
        for (rk_u32 looks = 0; looks < RK_SCOUT_LOOKS && limit != 0; looks++) {
            rk_word next, ahead;
            rk_look(p, row, ring, 0, next, ahead);
            /* With messages elsewhere there is a choice to make, which is not ours. */
            if (rk_ready(p, next) & ~(1u << 4 * ring)) break;
            const rk_u32 whole = rk_count_ahead(p, row, ahead);
            if (whole == 0) continue;
            count = rk_take(p, k, row, ring, 0, whole < limit ? whole : limit, ahead, scouted.items);
            break;
        }
        if (p.thread == 0) scouted.count = count;
        rk_bar_pass(RK_BAR_BACK);
    }
}

#endif
