#version 460
/* What floor_vulkan.c dispatches: nothing at all, or four invocations that answer stamped words, see stamped.h. */
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_EXT_shader_atomic_int64 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_vote : require
#pragma use_vulkan_memory_model

/* In floor_vulkan.c they have the same names. */
const uint NOTHING = 0u, WHOLE_WORDS = 1u; /* and HALVES */
layout(constant_id = 0) const uint WHAT = NOTHING;
const uint QUIT = 0xffffffffu; /* a stamp */

layout(local_size_x = 4) in;
/* `volatile`, for the host reads or writes meanwhile. */
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer word_at { volatile devicecoherent u64vec2 v; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer half_at { nonprivate uint64_t v; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer number_at { uint v; };
layout(push_constant, scalar) uniform asked {
    uint64_t from, to;
    uint64_t told;  /* how it ended: QUIT, or how often it had looked for the next message */
    uint patience;  /* looks for one message, after which it ends by itself */
} ask;

/* Where 16 bytes do not move at once, a stamp says that the half before it is there, both ways. Partner: the host, which
 * writes and reads a word in one access. */
u64vec2 look(uint64_t at) {
    if (WHAT == WHOLE_WORDS) return word_at(at).v;
    uint64_t high = atomicLoad(half_at(at + 8ul).v, gl_ScopeDevice, gl_StorageSemanticsBuffer,
                               gl_SemanticsAcquire | gl_SemanticsMakeVisible);
    return u64vec2(atomicLoad(half_at(at).v, gl_ScopeDevice, gl_StorageSemanticsNone, gl_SemanticsRelaxed), high);
}

void answer(uint64_t at, u64vec2 word) {
    if (WHAT == WHOLE_WORDS) {
        word_at(at).v = word;
    } else {
        atomicStore(half_at(at).v, word.x, gl_ScopeDevice, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
        atomicStore(half_at(at + 8ul).v, word.y, gl_ScopeDevice, gl_StorageSemanticsBuffer,
                    gl_SemanticsRelease | gl_SemanticsMakeAvailable);
    }
}

void main() {
    if (WHAT == NOTHING) return;
    uint64_t from = ask.from + 16ul * gl_LocalInvocationID.x, to = ask.to + 16ul * gl_LocalInvocationID.x;
    uint last = 0u, looks = 0u;
    while (last != QUIT && looks < ask.patience) {
        u64vec2 word = look(from);
        uint stamp = uint(word.y >> 32);
        looks++;
        /* All together, so that the answer leaves as one line. */
        if (subgroupAll(stamp != last)) {
            last = stamp;
            looks = 0u;
            if (stamp != QUIT) answer(to, u64vec2(word.x + 1ul, word.y));
        }
    }
    if (gl_LocalInvocationID.x == 0u) number_at(ask.told).v = last == QUIT ? QUIT : looks;
}
