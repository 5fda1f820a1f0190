#version 460
/* What probe.rs asks a device. Compiled to probe.spv, which is committed: building the library takes no shader compiler.
 * tests/rkc/compilers.rs makes it anew and compares; UPDATE=1 renews it.
 */
#extension GL_EXT_buffer_reference2 : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_EXT_shader_atomic_int64 : require
#extension GL_KHR_memory_scope_semantics : require
#pragma use_vulkan_memory_model

layout(local_size_x = 1) in;
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer word {
    nonprivate uint64_t v;
};
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer pair {
    volatile devicecoherent u64vec2 v;
};
layout(push_constant, scalar) uniform asked {
    uint64_t call;   /* the host writes 1, 2, 3... here, in memory for what it sends */
    uint64_t answer; /* and gets each back here, in its own memory */
    uint64_t result; /* four words: turns of the loop, calls that were answered, pairs that were seen, and how many not whole */
    uint32_t turns;  /* of the loop */
    uint32_t calls;
    uint32_t patience; /* looks for one call */
    uint32_t pairs;    /* the host writes pairs of a number and its complement to `call`, up to this number, and reads ours */
} ask;

void main() {
    uint32_t turns = 0u;
    for (uint32_t i = 0u; i < ask.turns; i++) turns += 1u + (i >> 31);
    word(ask.result).v = uint64_t(turns);

    uint32_t looks = 0u, heard = 0u;
    while (heard < ask.calls && looks < ask.patience) {
        looks++;
        uint64_t call = atomicLoad(word(ask.call).v, gl_ScopeDevice, gl_StorageSemanticsBuffer,
                                   gl_SemanticsAcquire | gl_SemanticsMakeVisible);
        if (call > uint64_t(heard)) {
            heard++;
            looks = 0u;
            atomicStore(word(ask.answer).v, uint64_t(heard), gl_ScopeDevice, gl_StorageSemanticsBuffer,
                        gl_SemanticsRelease | gl_SemanticsMakeAvailable);
        }
    }
    word(ask.result + 8u).v = uint64_t(heard);

    uint64_t last = 0ul, seen = 0ul, torn = 0ul, told = 0ul;
    looks = 0u;
    while (last < uint64_t(ask.pairs) && looks < ask.patience) {
        looks++;
        u64vec2 now = pair(ask.call).v;
        torn += now.x != ~now.y && now != u64vec2(0) ? 1ul : 0ul;
        if (now.x != last) {
            last = now.x;
            seen++;
            told++;
            pair(ask.answer).v = u64vec2(told, ~told);
        }
    }
    word(ask.result + 16u).v = seen;
    word(ask.result + 24u).v = torn;
}
