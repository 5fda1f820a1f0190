/* The dialect in C, C++ and CUDA C++. See actor.h for what each name means. */
#ifndef RINGKERNEL_DIALECT_C_H
#define RINGKERNEL_DIALECT_C_H

#include <ringkernel/module.h>

#if defined(__CUDACC__)
#define RK_IS_CPU 0
#define RK_IS_CUDA 1
#else
#define RK_IS_CPU 1
#define RK_IS_CUDA 0
#endif
#define RK_IS_VULKAN 0

typedef uint8_t rk_u8;
typedef uint16_t rk_u16;
typedef uint32_t rk_u32;
typedef uint64_t rk_u64;
typedef int32_t rk_i32;
typedef int64_t rk_i64;
typedef float rk_f32;
typedef double rk_f64;
typedef uint64_t rk_address;
#ifndef __cplusplus
/* In C++ and GLSL the type's name is also its conversion. */
#define rk_u8(x) ((rk_u8)(x))
#define rk_u16(x) ((rk_u16)(x))
#define rk_u32(x) ((rk_u32)(x))
#define rk_u64(x) ((rk_u64)(x))
#define rk_i32(x) ((rk_i32)(x))
#define rk_i64(x) ((rk_i64)(x))
#define rk_f32(x) ((rk_f32)(x))
#define rk_f64(x) ((rk_f64)(x))
#define rk_address(x) ((rk_address)(x))
#endif

#if defined(__cplusplus)
#define RK_ASSERT(condition, text) static_assert(condition, text)
#define RK_ALIGNOF(type) alignof(type)
#elif __STDC_VERSION__ >= 201112L
#define RK_ASSERT(condition, text) _Static_assert(condition, text)
#define RK_ALIGNOF(type) _Alignof(type)
#else /* C99 has no assertion; the module itself is compiled as C11 or later and does */
#define RK_ASSERT(condition, text) struct rk_assert_unused
#define RK_ALIGNOF(type) 1
#endif

#if RK_IS_CUDA
#include <ringkernel/cuda/context.cuh>
#else
#include <ringkernel/cpu_context.h>
#endif

#define RK_MESSAGE(name, id, fields)                                                                                   \
    typedef struct name {                                                                                              \
        fields                                                                                                         \
    } name;                                                                                                            \
    enum { name##_rk_type = (id), name##_rk_size = (int)sizeof(name) };                                                \
    RK_ASSERT((id) >= 1 && (id) <= (int)RK_TYPE_MAX, "RK_MESSAGE(" #name ", ...): the type must be 1 to 65279");       \
    RK_ASSERT(sizeof(name) <= RK_PAYLOAD_MAX, "RK_MESSAGE(" #name ", ...): the payload is over 64 KiB");               \
    RK_ASSERT(RK_ALIGNOF(name) <= 16, "RK_MESSAGE(" #name ", ...): a field wants more than 16-byte alignment");

#define RK_SIGNAL(name, id)                                                                                            \
    typedef struct name {                                                                                              \
        rk_u32 rk_no_payload;                                                                                          \
    } name;                                                                                                            \
    enum { name##_rk_type = (id), name##_rk_size = 0 };                                                                \
    RK_ASSERT((id) >= 1 && (id) <= (int)RK_TYPE_MAX, "RK_SIGNAL(" #name ", ...): the type must be 1 to 65279");

/* Signals that every actor takes, and that no handler sees. */
enum {
    rk_actor_start_rk_type = (int)RK_TYPE_START,
    rk_actor_start_rk_size = 0,
    rk_actor_stop_rk_type = (int)RK_TYPE_STOP,
    rk_actor_stop_rk_size = 0
};

/** The number of a message type, for the C API and switch. */
#define RK_TYPE(message) ((uint32_t)message##_rk_type)
/** Bytes of its payload. */
#define RK_SIZE(message) ((uint32_t)message##_rk_size)

/* A tag only, so that a module, which is an object, can have the name of its actor. */
#define RK_STATE(actor, fields)                                                                                        \
    struct actor {                                                                                                     \
        fields                                                                                                         \
    };                                                                                                                 \
    RK_ASSERT(sizeof(struct actor) <= RK_STATE_MAX, "RK_STATE(" #actor ", ...): the state is over 1 MiB");             \
    RK_ASSERT(RK_ALIGNOF(struct actor) <= 16, "RK_STATE(" #actor ", ...): a field wants more than 16-byte alignment");

#define RK_SCRATCH(actor, fields)                                                                                      \
    typedef struct actor##_rk_scratch {                                                                                \
        fields                                                                                                         \
    } actor##_rk_scratch;                                                                                              \
    RK_ASSERT(sizeof(actor##_rk_scratch) <= RK_SCRATCH_MAX, "RK_SCRATCH(" #actor ", ...): over 32 KiB");

/* A plain struct, for the elements of buffers. */
#define RK_RECORD(name, fields)                                                                                        \
    typedef struct name {                                                                                              \
        fields                                                                                                         \
    } name;

#define RK_FUNC RK_DEVICE
/* State and payload are reached in no other way, least of all through the message being written: what was read of them need
 * not be read again. */
#if defined(__GNUC__) || defined(__CUDACC__)
#define RK_RESTRICT __restrict__
#else
#define RK_RESTRICT
#endif

/* Where several lanes run a handler, each may find in the state what another has written before a barrier. */
#if RK_IS_CUDA && !(defined(RK_LANES) && RK_LANES == 1)
#define RK_RESTRICT_STATE
#else
#define RK_RESTRICT_STATE RK_RESTRICT
#endif

#define RK_PARAMS(actor) RK_UNUSED rk_context *rk_cx, RK_UNUSED struct actor *RK_RESTRICT_STATE rk_self_state
#define RK_ARGS rk_cx, rk_self_state

#define rk_state (*rk_self_state)
#define rk_msg (*rk_in)
#define RK_OUT(message) (*(message *)rk_stage_(rk_cx, RK_SIZE(message)))
#define rk_scratch(actor) (*(actor##_rk_scratch *)rk_cx->scratch)

#define rk_reply(message) rk_post_(rk_cx, RK_POST_REPLY, 0, RK_TYPE(message), RK_SIZE(message), 0, 0, 0)
#define rk_tell(address, message)                                                                                      \
    rk_post_(rk_cx, RK_POST_SEND, (address), RK_TYPE(message), RK_SIZE(message), 0, 0, 0)
#define rk_tell_as(address, message, priority, correlation, deadline_ns)                                               \
    rk_post_(rk_cx, RK_POST_SEND, (address), RK_TYPE(message), RK_SIZE(message), (priority), (correlation),            \
             (deadline_ns))
#define rk_emit(message) rk_post_(rk_cx, RK_POST_EMIT, 0, RK_TYPE(message), RK_SIZE(message), 0, 0, 0)
#define rk_forward(address, message)                                                                                   \
    rk_post_(rk_cx, RK_POST_FORWARD, (address), RK_TYPE(message), RK_SIZE(message), 0, 0, 0)

#define rk_index() (rk_cx->index)
#define rk_actors() (rk_cx->actors)
#define rk_self() (rk_cx->self)
#define rk_peer(i) rk_peer_(rk_cx, (i))
#define rk_sender() (rk_cx->sender)
#define rk_from_host() (rk_cx->sender == 0u)
#define rk_correlation() (rk_cx->correlation)
#define rk_size() (rk_cx->size)
#define rk_time() (rk_cx->time)
#define rk_priority() (rk_cx->priority)

/* A buffer where this handler can reach it. */
typedef struct rk_view {
    rk_u64 address; /* 0: there is none */
    rk_u64 size;    /* bytes */
} rk_view;

/* The host may be taking the buffer away; what we found stays until the handler has returned. */
RK_DEVICE rk_view rk_view_(rk_context *rk_cx, rk_u64 id) {
    rk_view view = {0, 0};
    const rk_buffer_entry *entry;
    if (!rk_cx->buffers || id == 0u) return view;
    entry = &rk_cx->buffers->entries[id % RK_BUFFERS];
    if (rk_uniform_(RK_LOAD_(entry->id)) != id) return view;
    RK_FOUND_BUFFER_();
    view.address = entry->address;
    view.size = entry->size;
    return view;
}

RK_DEVICE rk_u64 rk_element_(rk_context *rk_cx, rk_view view, rk_u64 element, rk_u64 index) {
    if (index < view.size / element) return view.address + index * element;
    rk_cx->fail_code = RK_FAIL_OUT_OF_BOUNDS;
    rk_cx->result |= RK_RESULT_FAIL;
    return rk_cx->buffers->sink;
}

#define RK_BUFFER(type)                                                                                                \
    RK_ASSERT(sizeof(type) <= RK_PAYLOAD_MAX, "RK_BUFFER(" #type "): an element is over 64 KiB");                      \
    RK_ASSERT(RK_ALIGNOF(type) <= 16, "RK_BUFFER(" #type "): an element wants more than 16-byte alignment");
#define rk_has(id) (rk_view_(rk_cx, (id)).address != 0u ? 1u : 0u)
#define RK_OPEN(view, id)                                                                                              \
    rk_view view = rk_view_(rk_cx, (id));                                                                              \
    if (view.address == 0u) rk_fail(RK_FAIL_NO_BUFFER)
#define rk_length(view, type) ((view).size / sizeof(type))
#if defined(RK_DEBUG)
#define rk_at(view, type, index) (*(type *)(uintptr_t)rk_element_(rk_cx, (view), sizeof(type), (index)))
#else
#define rk_at(view, type, index) (((type *)(uintptr_t)(view).address)[index])
#endif

#define rk_fail(code)                                                                                                  \
    do {                                                                                                               \
        rk_cx->fail_code = (code);                                                                                     \
        rk_cx->result |= RK_RESULT_FAIL;                                                                               \
        return;                                                                                                        \
    } while (0)
#define rk_stop()                                                                                                      \
    do {                                                                                                               \
        rk_cx->result |= RK_RESULT_STOP;                                                                               \
        return;                                                                                                        \
    } while (0)

#define rk_min(a, b) ((a) < (b) ? (a) : (b))
#define rk_max(a, b) ((a) > (b) ? (a) : (b))
#define rk_clamp(x, low, high) rk_min(rk_max(x, low), high)
#define rk_sin(x) sinf(x)
#define rk_cos(x) cosf(x)
#define rk_tan(x) tanf(x)
#define rk_atan2(y, x) atan2f(y, x)
#define rk_sqrt(x) sqrtf(x)
#define rk_rsqrt(x) (1.0f / sqrtf(x))
#define rk_exp(x) expf(x)
#define rk_log(x) logf(x)
#define rk_pow(x, y) powf(x, y)
#define rk_floor(x) floorf(x)
#define rk_fabs(x) fabsf(x)
#define rk_fma(a, b, c) fmaf(a, b, c)

#endif
