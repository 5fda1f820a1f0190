/* The whole language in two actors. */
#include "protocol.rk.h"

RK_STATE(everything,
         rk_u8 a;
         rk_f64 b;
         rk_u16 c[3];
         rk_i64 d;
         rk_u32 e;
         rk_f32 f[7];
         rk_u8 g;
         rk_address last;
         rk_i32 h;
         rk_u64 total;)
RK_SCRATCH(everything,
           rk_u8 flag;
           rk_u64 partial[64];)

RK_FUNC rk_u32 square(rk_u32 x) {
    return x * x;
}

RK_FUNC rk_u64 sum_over_lanes(RK_PARAMS(everything), rk_u64 mine) {
    rk_scratch(everything).partial[rk_lane()] = mine;
    rk_barrier();
    rk_u64 sum = rk_u64(0);
    for (rk_u32 i = 0u; i < rk_lanes(); i++) {
        sum += rk_scratch(everything).partial[i];
    }
    rk_barrier();
    return sum;
}

/* Each field is read and written. */
RK_ON(everything, all_types) {
    if (rk_lane() == 0u) {
        rk_state.a = rk_u8(rk_u32(rk_msg.a) + 1u);
        rk_state.b = rk_msg.f * rk_f64(2);
        rk_state.c[1] = rk_msg.c;
        rk_state.d = rk_msg.h - rk_i64(rk_msg.d);
        rk_state.e = square(rk_msg.k);
        rk_state.f[6] = rk_msg.g * 0.5f;
        rk_state.g = rk_msg.l;
        rk_state.last = rk_msg.i;
        rk_state.h = rk_i32(rk_msg.e[2]) - 1000;
        rk_state.total += rk_msg.b;
    }
    rk_barrier();
    if (rk_lane() == 0u) {
        RK_OUT(all_types).a = rk_state.a;
        RK_OUT(all_types).b = rk_state.total;
        RK_OUT(all_types).c = rk_state.c[1];
        RK_OUT(all_types).d = rk_state.h;
        RK_OUT(all_types).e[2] = rk_state.g;
        RK_OUT(all_types).f = rk_state.b;
        RK_OUT(all_types).g = rk_state.f[6];
        RK_OUT(all_types).h = rk_state.d;
        RK_OUT(all_types).i = rk_self();
        RK_OUT(all_types).k = rk_state.e;
        RK_OUT(all_types).l = rk_u8(rk_size() & 255u);
    }
    for (rk_u32 i = rk_lane(); i < 5u; i += rk_lanes()) {
        RK_OUT(all_types).j[i] = rk_u16(rk_u32(rk_msg.j[i]) * 3u);
    }
    rk_reply(all_types);
}

/* Lanes work together through scratch memory. */
RK_ON(everything, doubles) {
    rk_u64 mine = rk_u64(0);
    for (rk_u32 i = rk_lane(); i < 16u; i += rk_lanes()) {
        mine += rk_u64(rk_msg.x[i]);
    }
    rk_u64 sum = sum_over_lanes(RK_ARGS, mine);
    RK_OUT(number).x = sum;
    rk_emit(number);
    if (rk_lane() == 0u) {
        rk_state.total = sum;
        rk_count(3u, sum);
    }
}

/* Everything that tells who we are, and each way to send. */
RK_ON(everything, number) {
    rk_address next = rk_peer((rk_index() + 1u) % rk_actors());
    RK_OUT(number).x = rk_msg.x + rk_u64(1);
    rk_tell(next, number);
    RK_OUT(one_byte).x = rk_u8(7);
    rk_tell_as(rk_sender(), one_byte, 128u, rk_correlation(), rk_u64(1000000));
    for (rk_u32 i = rk_lane(); i < 5u; i += rk_lanes()) {
        RK_OUT(five_bytes).x[i] = rk_u8(i + rk_priority());
    }
    rk_forward(next, five_bytes);
    rk_tell(rk_self(), tick);
    if (!rk_from_host() && rk_lane() == 0u) {
        rk_state.last = rk_sender();
        rk_state.total = rk_time();
    }
}

/* Fills the outbox. */
RK_ON(everything, one_byte) {
    rk_u32 refused = 0u;
    for (rk_u32 i = 0u; i < rk_u32(rk_msg.x); i++) {
        RK_OUT(doubles).x[0] = rk_f64(i);
        refused += rk_emit(doubles);
    }
    if (rk_lane() == 0u) {
        rk_state.e = refused;
    }
}

RK_ON(everything, tick) {
    if (rk_lane() == 0u) {
        rk_state.e += 1u;
    }
    rk_reply(tick);
}

RK_ON(everything, five_bytes) {
    if (rk_u32(rk_msg.x[0]) > 100u) {
        rk_fail(-rk_i32(rk_msg.x[0]));
    }
    rk_reply(halt);
}

RK_ON(everything, halt) {
    rk_stop();
}

RK_ACTOR(everything,
         RK_HANDLES(everything, all_types)
         RK_HANDLES(everything, doubles)
         RK_HANDLES(everything, number)
         RK_HANDLES(everything, one_byte)
         RK_HANDLES(everything, tick)
         RK_HANDLES(everything, five_bytes)
         RK_HANDLES(everything, halt))

/* A second actor in one file, with code of its own for a backend. */
RK_MESSAGE(angle, 10, rk_f32 x;)
RK_MESSAGE(functions, 11, rk_f32 y[19];)
RK_STATE(mathematician, rk_u32 backend;)

RK_ON(mathematician, angle) {
#if RK_IS_CPU
    rk_state.backend = 1u;
#elif RK_IS_CUDA
    rk_state.backend = 2u;
#elif RK_IS_VULKAN
    rk_state.backend = 3u;
#endif
    rk_f32 x = rk_msg.x;
    RK_OUT(functions).y[0] = rk_sin(x);
    RK_OUT(functions).y[1] = rk_cos(x);
    RK_OUT(functions).y[2] = rk_tan(x);
    RK_OUT(functions).y[3] = rk_atan2(x, 2.0f);
    RK_OUT(functions).y[4] = rk_sqrt(x);
    RK_OUT(functions).y[5] = rk_rsqrt(x);
    RK_OUT(functions).y[6] = rk_exp(x);
    RK_OUT(functions).y[7] = rk_log(x);
    RK_OUT(functions).y[8] = rk_pow(x, 1.5f);
    RK_OUT(functions).y[9] = rk_floor(x);
    RK_OUT(functions).y[10] = rk_fabs(-x);
    RK_OUT(functions).y[11] = rk_fma(x, 2.0f, 1.0f);
    RK_OUT(functions).y[12] = rk_min(x, 0.25f);
    RK_OUT(functions).y[13] = rk_max(x, 0.25f);
    RK_OUT(functions).y[14] = rk_clamp(x, 0.1f, 0.2f);
    RK_OUT(functions).y[15] = rk_f32(rk_min(3u, 2u));
    RK_OUT(functions).y[16] = rk_f32(rk_max(rk_u64(3), rk_u64(2)));
    RK_OUT(functions).y[17] = rk_f32(rk_clamp(rk_i32(x) - 9, -1, 1));
    RK_OUT(functions).y[18] = rk_f32(rk_f64(x) / rk_f64(2));
    rk_reply(functions);
}
RK_ACTOR(mathematician, RK_HANDLES(mathematician, angle))
