/* The dialect in GLSL 4.60 for Vulkan 1.2. See actor.h for what each name means.
 *
 * State and messages lie in device memory, in C's layout (scalar block layout), and are reached in place through
 * buffer references. There are no pointers to pass: what C reaches through rk_cx is a global of the invocation here.
 */
#ifndef RINGKERNEL_DIALECT_GLSL_H
#define RINGKERNEL_DIALECT_GLSL_H

#extension GL_EXT_buffer_reference2 : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_atomic_int64 : require
#extension GL_EXT_shader_realtime_clock : require
#extension GL_ARB_shader_clock : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require
#pragma use_vulkan_memory_model

#define RK_IS_CPU 0
#define RK_IS_CUDA 0
#define RK_IS_VULKAN 1

#define rk_u8 uint8_t
#define rk_u16 uint16_t
#define rk_u32 uint32_t
#define rk_u64 uint64_t
#define rk_i32 int32_t
#define rk_i64 int64_t
#define rk_f32 float32_t
#define rk_f64 float64_t
#define rk_address uint64_t

#include <ringkernel/vulkan/context.glsl>

/* GLSL has no sizeof. A reference to a block steps over the whole of it: two in a row less one are the size with its
 * tail padding, which scalar layout gives a struct in an array only. Nothing is read, and it folds to a constant. */
#define RK_SIZED_(name)                                                                                                \
    layout(buffer_reference, scalar, buffer_reference_align = 1) buffer name##_rk_one {                                \
        name v;                                                                                                        \
    };                                                                                                                 \
    layout(buffer_reference, scalar, buffer_reference_align = 1) buffer name##_rk_two {                                \
        name v[2];                                                                                                     \
    };                                                                                                                 \
    rk_u32 name##_rk_sizeof() {                                                                                        \
        return rk_u32(rk_u64(name##_rk_two(rk_u64(0)) + 1) - rk_u64(name##_rk_one(rk_u64(0)) + 1));                    \
    }

/* `nonprivate`, or the barrier would not order them; on the member, because glslang loses it on the block. */
#define RK_REFERENCES_(name)                                                                                           \
    layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer name##_rk_in {                       \
        nonprivate name v;                                                                                             \
    };                                                                                                                 \
    layout(buffer_reference, scalar, buffer_reference_align = 16) buffer name##_rk_ref {                               \
        nonprivate name v;                                                                                             \
    };

#define RK_MESSAGE(name, id, fields)                                                                                   \
    struct name {                                                                                                      \
        fields                                                                                                         \
    };                                                                                                                 \
    RK_REFERENCES_(name)                                                                                               \
    RK_SIZED_(name)                                                                                                    \
    const rk_u32 name##_rk_type = rk_u32(id);                                                                          \
    rk_u32 name##_rk_size() {                                                                                          \
        return name##_rk_sizeof();                                                                                     \
    }

/* Signals that every actor takes, and that no handler sees. */
#define RK_TYPE_START 65281u
#define RK_TYPE_STOP 65282u
const rk_u32 rk_actor_start_rk_type = RK_TYPE_START, rk_actor_stop_rk_type = RK_TYPE_STOP;
rk_u32 rk_actor_start_rk_size() {
    return 0u;
}
rk_u32 rk_actor_stop_rk_size() {
    return 0u;
}

#define RK_SIGNAL(name, id)                                                                                            \
    struct name {                                                                                                      \
        rk_u32 rk_no_payload;                                                                                          \
    };                                                                                                                 \
    RK_REFERENCES_(name)                                                                                               \
    const rk_u32 name##_rk_type = rk_u32(id);                                                                          \
    rk_u32 name##_rk_size() {                                                                                          \
        return 0u;                                                                                                     \
    }

#define RK_TYPE(message) message##_rk_type
#define RK_SIZE(message) message##_rk_size()

#define RK_STATE(actor, fields)                                                                                        \
    struct actor {                                                                                                     \
        fields                                                                                                         \
    };                                                                                                                 \
    RK_REFERENCES_(actor)

#define RK_SCRATCH(actor, fields)                                                                                      \
    struct actor##_rk_scratch {                                                                                        \
        fields                                                                                                         \
    };                                                                                                                 \
    shared actor##_rk_scratch actor##_rk_scratch_memory;

#define RK_RECORD(name, fields)                                                                                        \
    struct name {                                                                                                      \
        fields                                                                                                         \
    };

#define RK_FUNC
#define RK_PARAMS(actor) actor##_rk_ref rk_self_state
#define RK_ARGS rk_self_state

#define RK_ON(A_, M_) void A_##_on_##M_(RK_PARAMS(A_), M_##_rk_in rk_in)

#define RK_HANDLES(A_, M_)                                                                                             \
    case M_##_rk_type:                                                                                                 \
        A_##_on_##M_(A_##_rk_ref(rk_cx.state), M_##_rk_in(rk_cx.message));                                             \
        break;

/* What a pump calls with rk_cx set up. */
#define RK_ACTOR(actor, handlers)                                                                                      \
    void actor##_rk_dispatch() {                                                                                       \
        switch (rk_cx.type) {                                                                                          \
            handlers                                                                                                   \
        default:                                                                                                       \
            break;                                                                                                     \
        }                                                                                                              \
    }

#define rk_state rk_self_state.v
#define rk_msg rk_in.v
#define RK_OUT(message) message##_rk_ref(rk_stage_()).v
#define rk_scratch(actor) actor##_rk_scratch_memory

#define rk_reply(message)                                                                                              \
    rk_post_(RK_POST_REPLY, rk_u64(0), RK_TYPE(message), RK_SIZE(message), 0u, rk_u64(0), rk_u64(0))
#define rk_tell(address, message)                                                                                      \
    rk_post_(RK_POST_SEND, (address), RK_TYPE(message), RK_SIZE(message), 0u, rk_u64(0), rk_u64(0))
#define rk_tell_as(address, message, priority, correlation, deadline_ns)                                               \
    rk_post_(RK_POST_SEND, (address), RK_TYPE(message), RK_SIZE(message), (priority), (correlation), (deadline_ns))
#define rk_emit(message)                                                                                               \
    rk_post_(RK_POST_EMIT, rk_u64(0), RK_TYPE(message), RK_SIZE(message), 0u, rk_u64(0), rk_u64(0))
#define rk_forward(address, message)                                                                                   \
    rk_post_(RK_POST_FORWARD, (address), RK_TYPE(message), RK_SIZE(message), 0u, rk_u64(0), rk_u64(0))

#define rk_index() rk_cx.index
#define rk_actors() rk_cx.actors
#define rk_self() rk_cx.self
#define rk_peer(i) rk_peer_(i)
#define rk_sender() rk_cx.sender
#define rk_from_host() (rk_cx.sender == 0u)
#define rk_correlation() rk_cx.correlation
#define rk_size() rk_cx.size
#define rk_time() rk_cx.time
#define rk_priority() rk_cx.priority

struct rk_view {
    rk_u64 address;
    rk_u64 size;
};

/* From the lane that looks to all: the host changes the table meanwhile, and they must go the same way. */
shared rk_u64 rk_looked_up;

rk_view rk_view_(rk_u64 id) {
    rk_view view = rk_view(rk_u64(0), rk_u64(0));
    if (rk_cx.buffers == rk_u64(0) || id == rk_u64(0)) return view;
    rk_buffer_entry entry = rk_buffer_table_ref(rk_cx.buffers).entries[rk_u32(id) % RK_BUFFERS];
    if (rk_lanes() > 1u) {
        if (rk_lane() == 0u) rk_looked_up = entry.id;
        rk_barrier();
        entry.id = rk_looked_up;
        rk_barrier();
    }
    if (entry.id == id) {
        view = rk_view(entry.address, entry.size);
        rk_open_buffers_();
    }
    return view;
}

rk_u64 rk_element_(rk_view view, rk_u64 element, rk_u64 index) {
    if (index < view.size / element) return view.address + index * element;
    rk_cx.fail_code = RK_FAIL_OUT_OF_BOUNDS;
    rk_cx.result |= RK_RESULT_FAIL;
    return rk_buffer_table_ref(rk_cx.buffers).sink;
}

/* Arrays are indexed with 32 bits. One element, at any address; an array of them; and two, whose distance is the size, as in RK_SIZED_ (which would have the
 * type's name replaced by what it is a macro for). */
#define RK_BUFFER(type)                                                                                                \
    layout(buffer_reference, scalar, buffer_reference_align = 1) buffer type##_rk_element {                            \
        nonprivate type v;                                                                                             \
    };                                                                                                                 \
    layout(buffer_reference, scalar, buffer_reference_align = 16) buffer type##_rk_elements {                          \
        nonprivate type v[];                                                                                           \
    };                                                                                                                 \
    layout(buffer_reference, scalar, buffer_reference_align = 1) buffer type##_rk_pair {                               \
        type v[2];                                                                                                     \
    };                                                                                                                 \
    rk_u64 type##_rk_stride() {                                                                                        \
        return rk_u64(type##_rk_pair(rk_u64(0)) + 1) - rk_u64(type##_rk_element(rk_u64(0)) + 1);                       \
    }
#define rk_has(id) (rk_view_(id).address != rk_u64(0) ? 1u : 0u)
#define RK_OPEN(view, id)                                                                                              \
    rk_view view = rk_view_(id);                                                                                       \
    if (view.address == rk_u64(0)) rk_fail(RK_FAIL_NO_BUFFER)
#define rk_length(view, type) ((view).size / type##_rk_stride())
#if defined(RK_DEBUG)
#define rk_at(view, type, index) type##_rk_element(rk_element_((view), type##_rk_stride(), rk_u64(index))).v
#else
#define rk_at(view, type, index) type##_rk_elements((view).address).v[rk_u32(index)]
#endif

#define rk_fail(code)                                                                                                  \
    do {                                                                                                               \
        rk_cx.fail_code = (code);                                                                                      \
        rk_cx.result |= RK_RESULT_FAIL;                                                                                \
        return;                                                                                                        \
    } while (false)
#define rk_stop()                                                                                                      \
    do {                                                                                                               \
        rk_cx.result |= RK_RESULT_STOP;                                                                                \
        return;                                                                                                        \
    } while (false)

#define rk_min(a, b) ((a) < (b) ? (a) : (b))
#define rk_max(a, b) ((a) > (b) ? (a) : (b))
#define rk_clamp(x, low, high) rk_min(rk_max(x, low), high)
#define rk_sin(x) sin(x)
#define rk_cos(x) cos(x)
#define rk_tan(x) tan(x)
#define rk_atan2(y, x) atan(y, x)
#define rk_sqrt(x) sqrt(x)
#define rk_rsqrt(x) inversesqrt(x)
#define rk_exp(x) exp(x)
#define rk_log(x) log(x)
#define rk_pow(x, y) pow(x, y)
#define rk_floor(x) floor(x)
#define rk_fabs(x) abs(x)
#define rk_fma(a, b, c) fma(a, b, c)

#endif
