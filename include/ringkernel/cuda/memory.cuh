/* Loads and stores of memory that others touch too, by the PTX memory model (PTX ISA, "Memory Consistency Model"). */
#ifndef RINGKERNEL_CUDA_MEMORY_CUH
#define RINGKERNEL_CUDA_MEMORY_CUH

#define RK_PUMP_FN static __device__ __forceinline__
/* What seldom runs is kept out of the way of what often does: one copy, for the instruction cache's sake. */
#define RK_COLD_FN static __device__ __noinline__
#define RK_WARP 0xffffffffu

struct rk_word {
    rk_u64 a, b;
};

/* One 16-byte access, which the words of slots rely on. Relaxed at system scope: other parties write (read) it, L1 must
 * not answer, and no order is asked for: a word says itself whether it is there. PTX has 16-byte scalars since 8.3; before,
 * a vector access of an aligned 16 bytes, which the hardware performs as one. */
RK_PUMP_FN rk_word rk_load_word(rk_u64 at) {
    rk_word w;
#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1204
    asm volatile("{ .reg .b128 t; ld.relaxed.sys.global.b128 t, [%2]; mov.b128 {%0, %1}, t; }"
                 : "=l"(w.a), "=l"(w.b) : "l"(at) : "memory");
#else
    asm volatile("ld.volatile.global.v2.u64 {%0, %1}, [%2];" : "=l"(w.a), "=l"(w.b) : "l"(at) : "memory");
#endif
    return w;
}

/* Two, the second of which does not wait for the first. */
RK_PUMP_FN void rk_load_words(rk_u64 at, rk_word &w, rk_u64 other_at, rk_word &other) {
#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1204
    asm volatile("{ .reg .b128 t, u; ld.relaxed.sys.global.b128 t, [%4]; ld.relaxed.sys.global.b128 u, [%5]; "
                 "mov.b128 {%0, %1}, t; mov.b128 {%2, %3}, u; }"
                 : "=l"(w.a), "=l"(w.b), "=l"(other.a), "=l"(other.b) : "l"(at), "l"(other_at) : "memory");
#else
    w = rk_load_word(at), other = rk_load_word(other_at);
#endif
}

RK_PUMP_FN void rk_store_word(rk_u64 at, rk_u64 a, rk_u64 b) {
#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1204
    asm volatile("{ .reg .b128 t; mov.b128 t, {%1, %2}; st.relaxed.sys.global.b128 [%0], t; }"
                 :: "l"(at), "l"(a), "l"(b) : "memory");
#else
    asm volatile("st.volatile.global.v2.u64 [%0], {%1, %2};" :: "l"(at), "l"(a), "l"(b) : "memory");
#endif
}

/* Words that others write or read: relaxed, so that they are read where they are. */
RK_PUMP_FN rk_u64 rk_peek(rk_u64 at) {
    rk_u64 v;
    asm volatile("ld.relaxed.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(at) : "memory");
    return v;
}

RK_PUMP_FN void rk_poke(rk_u64 at, rk_u64 v) {
    asm volatile("st.relaxed.sys.global.u64 [%0], %1;" :: "l"(at), "l"(v) : "memory");
}

/* Acquire: what the other side did before it wrote this is seen by what follows. It empties L1, so not where a relaxed
 * load will do: before a slot's words are written again, which no processor does ahead of the look that allows it. */
RK_PUMP_FN rk_u64 rk_acquire(rk_u64 at) {
    rk_u64 v;
    asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(at) : "memory");
    return v;
}

RK_PUMP_FN void rk_prefetch(rk_u64 at) {
    asm volatile("prefetch.global.L2 [%0];" :: "l"(at));
}

RK_PUMP_FN rk_u64 rk_timer() {
    rk_u64 ns;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns));
    return ns;
}

/* The multiprocessor's own clock: finer than the timer. */
RK_PUMP_FN rk_u64 rk_ticks() {
    rk_u64 ticks;
    asm volatile("mov.u64 %0, %%clock64;" : "=l"(ticks) :: "memory");
    return ticks;
}

RK_PUMP_FN rk_u64 rk_shfl(rk_u64 value, rk_u32 lane) {
    return __shfl_sync(RK_WARP, (unsigned long long)value, (int)lane);
}

RK_PUMP_FN void rk_copy(rk_u64 to, const rk_u8 *from, rk_u32 size, rk_u32 lane) {
    for (rk_u32 at = lane * 16; at < size; at += 512) *(uint4 *)(to + at) = *(const uint4 *)(from + at);
}

#endif
