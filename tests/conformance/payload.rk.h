/* Actors that give back what they get: payloads of many sizes, fields of every type. Large ones by four bytes a turn, for
 * there is a Vulkan driver (Mesa 22's lavapipe) that ends loops after 65,535. */
#include <ringkernel/actor.h>

/* Fewer bytes than declared may be sent; rk_size() says how many. */
RK_MESSAGE(parcel, 40, rk_u8 bytes[300];)
RK_MESSAGE(container, 41, rk_u8 bytes[65536];)
RK_MESSAGE(weighed, 42, rk_u64 hash; rk_u32 size; rk_u32 unused;)
RK_STATE(scale, rk_u64 hash; rk_u64 count;)

#define WEIGH(message_)                                                                                                \
    RK_ON(scale, message_) {                                                                                           \
        if (rk_lane() == 0u) {                                                                                         \
            rk_u64 hash = rk_u64(0);                                                                                   \
            for (rk_u32 i = 0u; i < rk_size(); i += 4u) {                                                              \
                hash = hash * rk_u64(31) + rk_u64(rk_msg.bytes[i]);                                                    \
                if (i + 1u < rk_size()) hash = hash * rk_u64(31) + rk_u64(rk_msg.bytes[i + 1u]);                       \
                if (i + 2u < rk_size()) hash = hash * rk_u64(31) + rk_u64(rk_msg.bytes[i + 2u]);                       \
                if (i + 3u < rk_size()) hash = hash * rk_u64(31) + rk_u64(rk_msg.bytes[i + 3u]);                       \
            }                                                                                                          \
            rk_state.hash = hash;                                                                                      \
        }                                                                                                              \
        rk_barrier();                                                                                                  \
        RK_OUT(weighed).hash = rk_state.hash;                                                                          \
        RK_OUT(weighed).size = rk_size();                                                                              \
        rk_reply(weighed);                                                                                             \
    }
WEIGH(parcel)
WEIGH(container)
RK_ACTOR(scale, RK_HANDLES(scale, parcel) RK_HANDLES(scale, container))

/* A message type for each size, sent back, or on to the next actor that it is attached to. */
RK_MESSAGE(attach, 43, rk_address to;)
RK_SIGNAL(attached, 44)
RK_STATE(mirror, rk_address next;)

#define BLOB_SIZES_BUT_LARGEST(X)                                                                                      \
    X(1) X(2) X(3) X(4) X(7) X(8) X(11) X(12) X(13) X(15) X(16) X(17) X(23) X(24) X(25) X(31) X(32) X(33) X(47) X(48)  \
    X(49) X(63) X(64) X(65) X(80) X(96) X(100) X(127) X(128) X(129) X(200) X(255) X(256) X(257) X(300) X(4096)
#define BLOB_SIZES(X) BLOB_SIZES_BUT_LARGEST(X) X(65536)
/* Types 5001 to 9096, and 10000 for the largest. */
#define BLOB_TYPE(size_) ((size_) == 65536 ? 10000 : 5000 + (size_))

/* Bounded by rk_size(), which is the size: compilers that know the number unroll all of these, and take for ever. */
#define COPY_BYTES(size_)                                                                                              \
    for (rk_u32 i = rk_lane(); i < rk_size(); i += rk_lanes()) RK_OUT(blob_##size_).bytes[i] = rk_msg.bytes[i];
#define COPY_FOUR_BYTES(size_)                                                                                         \
    for (rk_u32 i = 4u * rk_lane(); i < rk_size(); i += 4u * rk_lanes()) {                                             \
        RK_OUT(blob_##size_).bytes[i] = rk_msg.bytes[i];                                                               \
        RK_OUT(blob_##size_).bytes[i + 1u] = rk_msg.bytes[i + 1u];                                                     \
        RK_OUT(blob_##size_).bytes[i + 2u] = rk_msg.bytes[i + 2u];                                                     \
        RK_OUT(blob_##size_).bytes[i + 3u] = rk_msg.bytes[i + 3u];                                                     \
    }

#define BLOB(size_, copy_)                                                                                             \
    RK_MESSAGE(blob_##size_, BLOB_TYPE(size_), rk_u8 bytes[size_];)                                                    \
    RK_ON(mirror, blob_##size_) {                                                                                      \
        copy_(size_)                                                                                                   \
        rk_barrier();                                                                                                  \
        if (rk_state.next != rk_u64(0))                                                                                \
            rk_forward(rk_state.next, blob_##size_);                                                                   \
        else                                                                                                           \
            rk_reply(blob_##size_);                                                                                    \
    }
#define BLOB_BY_BYTE(size_) BLOB(size_, COPY_BYTES)
BLOB_SIZES_BUT_LARGEST(BLOB_BY_BYTE)
BLOB(65536, COPY_FOUR_BYTES)

RK_SIGNAL(blob_0, 5000)
RK_ON(mirror, blob_0) {
    if (rk_state.next != rk_u64(0))
        rk_forward(rk_state.next, blob_0);
    else
        rk_reply(blob_0);
}

RK_ON(mirror, attach) {
    if (rk_lane() == 0u) rk_state.next = rk_msg.to;
    rk_reply(attached);
}

#define MIRRORS(size_) RK_HANDLES(mirror, blob_##size_)
RK_ACTOR(mirror, RK_HANDLES(mirror, attach) RK_HANDLES(mirror, blob_0) BLOB_SIZES(MIRRORS))

/* Every type there is, alone and as an array, with the paddings of C. */
RK_MESSAGE(medley, 45, rk_u8 a; rk_u64 b; rk_u8 c[3]; rk_u16 d; rk_f32 e; rk_u16 f[7]; rk_i32 g; rk_f64 h; rk_i64 i;
           rk_u32 j[5]; rk_f32 k[3]; rk_address l; rk_f64 m[2]; rk_i32 n[2]; rk_u8 o; rk_i64 p[3]; rk_u64 q[2];)
RK_STATE(collector, rk_u8 a; rk_u64 b; rk_u8 c[3]; rk_u16 d; rk_f32 e; rk_u16 f[7]; rk_i32 g; rk_f64 h; rk_i64 i;
         rk_u32 j[5]; rk_f32 k[3]; rk_address l; rk_f64 m[2]; rk_i32 n[2]; rk_u8 o; rk_i64 p[3]; rk_u64 q[2];)
RK_SIGNAL(recall, 46)

#define COPY_MEDLEY(to_, from_)                                                                                        \
    to_.a = from_.a;                                                                                                   \
    to_.b = from_.b;                                                                                                   \
    for (rk_u32 x = 0u; x < 3u; x++) to_.c[x] = from_.c[x];                                                            \
    to_.d = from_.d;                                                                                                   \
    to_.e = from_.e;                                                                                                   \
    for (rk_u32 x = 0u; x < 7u; x++) to_.f[x] = from_.f[x];                                                            \
    to_.g = from_.g;                                                                                                   \
    to_.h = from_.h;                                                                                                   \
    to_.i = from_.i;                                                                                                   \
    for (rk_u32 x = 0u; x < 5u; x++) to_.j[x] = from_.j[x];                                                            \
    for (rk_u32 x = 0u; x < 3u; x++) to_.k[x] = from_.k[x];                                                            \
    to_.l = from_.l;                                                                                                   \
    for (rk_u32 x = 0u; x < 2u; x++) to_.m[x] = from_.m[x];                                                            \
    for (rk_u32 x = 0u; x < 2u; x++) to_.n[x] = from_.n[x];                                                            \
    to_.o = from_.o;                                                                                                   \
    for (rk_u32 x = 0u; x < 3u; x++) to_.p[x] = from_.p[x];                                                            \
    for (rk_u32 x = 0u; x < 2u; x++) to_.q[x] = from_.q[x];

RK_ON(collector, medley) {
    if (rk_lane() == 0u) {
        COPY_MEDLEY(rk_state, rk_msg)
    }
    rk_barrier();
    COPY_MEDLEY(RK_OUT(medley), rk_state)
    rk_reply(medley);
}

/* Once more, from the state alone. */
RK_ON(collector, recall) {
    COPY_MEDLEY(RK_OUT(medley), rk_state)
    rk_reply(medley);
}

RK_ACTOR(collector, RK_HANDLES(collector, medley) RK_HANDLES(collector, recall))
