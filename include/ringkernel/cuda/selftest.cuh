/* The device's half of the test of memory that host and device share: takes messages from a ring as the pump does, and
 * gives them back through another. src/backend/cuda/selftest.rs is the host's half. */
#ifndef RINGKERNEL_CUDA_SELFTEST_CUH
#define RINGKERNEL_CUDA_SELFTEST_CUH

#include <ringkernel/cuda/memory.cuh>
#include <ringkernel/device/layout.h>

/* `in` and `out` are rings of the same capacity; `out_head`: where the host says what it has taken. By one warp. */
extern "C" __global__ void __launch_bounds__(32)
    rk_selftest_kernel(const __grid_constant__ rk_dev_ring in, rk_u64 out, rk_u64 out_head, rk_u64 count, rk_u64 limit_ns) {
    const rk_u32 lane = threadIdx.x;
    const rk_u64 until = rk_timer() + limit_ns;
    for (rk_u64 position = 0; position < count; position++) {
        const rk_u64 slot = position & ((1ull << in.shift) - 1), lap = (rk_u16)((position >> in.shift) + 1);
        rk_word word = {0, 0};
        for (;;) {
            if (lane < 4) word = rk_load_word(in.slots + slot * 64 + lane * 16);
            if (__all_sync(RK_WARP, lane >= 4 || word.b >> 48 == lap)) break;
            if (rk_timer() > until) return;
        }
        if (rk_shfl(word.a, 0) >> 56 & RK_F_BODY) {
            /* The body as the pump reads it, folded into one number in which every bit and every place counts, in place of
             * the correlation. Its size is what the message has in its slot. */
            const rk_u32 words = (rk_u32)(rk_shfl(word.a, 1) >> 32) / 8;
            rk_u64 fold = 0;
            for (rk_u32 i = 2 * lane; i < words; i += 64) {
                const rk_word part = rk_load_word(in.bodies + slot * in.body + 8 * i);
                fold ^= part.a * (2ull * i + 1);
                if (i + 1 < words) fold ^= part.b * (2ull * i + 3);
            }
            for (rk_u32 step = 16; step; step /= 2) fold ^= __shfl_xor_sync(RK_WARP, (unsigned long long)fold, step);
            if (lane == 0) word.b = (word.b & ~0xffffffffull) | (rk_u32)fold;
            if (lane == 1) word.a = (word.a & ~0xffffffffull) | fold >> 32;
        }
        while (position - rk_shfl(rk_peek(out_head), 0) >> in.shift)
            if (rk_timer() > until) return;
        if (lane < 4) rk_store_word(out + slot * 64 + lane * 16, word.a, word.b);
        if (lane == 0 && position % 8 == 7) rk_poke(in.head, position + 1);
    }
}

#endif
