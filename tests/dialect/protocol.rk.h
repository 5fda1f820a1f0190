/* Messages that the other files share. */
#ifndef PROTOCOL_RK_H
#define PROTOCOL_RK_H
#include <ringkernel/actor.h>

#define PROTOCOL_FIRST 100

/* Every type, in an order that needs padding before, between and after. */
RK_MESSAGE(all_types, PROTOCOL_FIRST,
           rk_u8 a;
           rk_u64 b;
           rk_u16 c;
           rk_i32 d;
           rk_u8 e[3];
           rk_f64 f;
           rk_f32 g;
           rk_i64 h;
           rk_address i;
           rk_u16 j[5];
           rk_u32 k;
           rk_u8 l;)
RK_MESSAGE(one_byte, PROTOCOL_FIRST + 1, rk_u8 x;)
RK_MESSAGE(five_bytes, PROTOCOL_FIRST + 2, rk_u8 x[5];)
RK_MESSAGE(doubles, PROTOCOL_FIRST + 3, rk_f64 x[16];)
RK_MESSAGE(number, PROTOCOL_FIRST + 4, rk_u64 x;)
RK_MESSAGE(largest, 65279, rk_u32 x[16384];)
RK_SIGNAL(tick, 1)
RK_SIGNAL(halt, 2)

#endif
