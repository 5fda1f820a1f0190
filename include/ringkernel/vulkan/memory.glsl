/* How the pump reaches memory: by addresses, since what it works on is the host's layout (device/layout.h).
 *
 * Words that another party writes or reads meanwhile are atomics of device scope. They are relaxed, and stand between
 * rk_acquire() and rk_release() where they say that something else is there; everything else is plain, and `nonprivate`,
 * or the fences would not order it.
 */
#ifndef RINGKERNEL_VULKAN_MEMORY_GLSL
#define RINGKERNEL_VULKAN_MEMORY_GLSL

#define RK_AT_(name, type, align)                                                                                      \
    layout(buffer_reference, scalar, buffer_reference_align = align) buffer name {                                     \
        nonprivate type v;                                                                                             \
    };

RK_AT_(rk_u32_at, rk_u32, 4)
RK_AT_(rk_u64_at, rk_u64, 8)
RK_AT_(rk_half_pair_at, u32vec2, 8)
RK_AT_(rk_pair_at, u64vec2, 16)
RK_AT_(rk_dev_ring_at, rk_dev_ring, 8)
RK_AT_(rk_dev_post_at, rk_dev_post, 8)
RK_AT_(rk_dev_worker_at, rk_dev_worker, 8)
RK_AT_(rk_dev_report_at, rk_dev_report, 8)
RK_AT_(rk_dev_control_at, rk_dev_control, 8)
RK_AT_(rk_dev_command_at, rk_dev_command, 8)
RK_AT_(rk_dev_orders_at, rk_dev_orders, 8)
RK_AT_(rk_dev_letter_at, rk_dev_letter, 8)
RK_AT_(rk_dev_entry_at, rk_dev_entry, 4)
RK_AT_(rk_dev_kin_at, rk_dev_kin, 4)
RK_AT_(rk_dev_kernel_at, rk_dev_kernel, 8)
RK_AT_(rk_dev_audience_at, rk_dev_audience, 8)
RK_AT_(rk_dev_outcome_at, rk_dev_outcome, 8)

/* The size of a struct in an array of them, see RK_SIZED_. */
RK_SIZED_(rk_dev_worker)
RK_SIZED_(rk_dev_report)
RK_SIZED_(rk_dev_orders)
RK_SIZED_(rk_dev_ring)
RK_SIZED_(rk_dev_letter)
RK_SIZED_(rk_dev_post)

/* Of the user counters in rk_dev_worker; the last fields are known to be these. */
#define RK_COUNTERS_OFFSET rk_u64(rk_dev_worker_rk_sizeof() - 16u - 8u * RK_COUNTERS)

/* Of one word, as it is now. */
#define rk_peek(place) atomicLoad(place, gl_ScopeDevice, gl_StorageSemanticsNone, gl_SemanticsRelaxed)
#define rk_poke(place, value) atomicStore(place, value, gl_ScopeDevice, gl_StorageSemanticsNone, gl_SemanticsRelaxed)

/* After a relaxed load of a word that says that something is there: what was written before it is seen by what follows. */
#define rk_acquire()                                                                                                   \
    memoryBarrier(gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsAcquire | gl_SemanticsMakeVisible)
/* Before a relaxed store of a word that says that something is there, or that something may be overwritten. */
#define rk_release()                                                                                                   \
    memoryBarrier(gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease | gl_SemanticsMakeAvailable)

/* How the words of slots move: 1 where the device moves 16 bytes at once, so that a word's stamp and the rest of it are seen
 * together; 0 where halves have to be kept in order. It has been tried between device and host, both ways
 * (src/backend/vulkan/probe.rs); that it is so from worker to worker too is inferred from that. */
layout(constant_id = 2) const rk_u32 RK_WHOLE_WORDS = 0u;

/* `volatile`, for another party reads or writes meanwhile. */
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer rk_word_at {
    volatile devicecoherent u64vec2 v;
};

#define rk_low_at(slot, word) rk_u64_at((slot) + (word) * 16u).v
#define rk_high_at(slot, word) rk_u64_at((slot) + (word) * 16u + 8u).v

/* A slot's words, as 32-bit parts: devices work in these, and so every part is where it belongs at once. */
struct rk_words {
    u32vec4 a, b, c, d;
};

#define rk_parts(word) u32vec4(unpackUint2x32((word).x), unpackUint2x32((word).y))
#define rk_whole(parts) u64vec2(packUint2x32((parts).xy), packUint2x32((parts).zw))
#define rk_join(low, high) packUint2x32(u32vec2(low, high))

/* Reads a slot. Where a word's stamp is not the lap's, the rest of it means nothing. */
rk_words rk_load_slot(rk_u64 slot) {
    u64vec2 a, b, c, d;
    if (RK_WHOLE_WORDS != 0u) {
        a = rk_word_at(slot).v, b = rk_word_at(slot + 16u).v;
        c = rk_word_at(slot + 32u).v, d = rk_word_at(slot + 48u).v;
    } else {
        a.y = rk_peek(rk_high_at(slot, 0u)), b.y = rk_peek(rk_high_at(slot, 1u));
        c.y = rk_peek(rk_high_at(slot, 2u)), d.y = rk_peek(rk_high_at(slot, 3u));
        rk_acquire(); /* pairs with the release in rk_store_slot */
        a.x = rk_peek(rk_low_at(slot, 0u)), b.x = rk_peek(rk_low_at(slot, 1u));
        c.x = rk_peek(rk_low_at(slot, 2u)), d.x = rk_peek(rk_low_at(slot, 3u));
    }
    return rk_words(rk_parts(a), rk_parts(b), rk_parts(c), rk_parts(d));
}

/* Writes a slot. `has_body`: whoever sees it is to see what was written before; and so they are what handlers have written to
 * buffers since the last time. */
void rk_store_slot(rk_u64 slot, rk_words words, bool has_body) {
    u64vec2 a = rk_whole(words.a), b = rk_whole(words.b), c = rk_whole(words.c), d = rk_whole(words.d);
    if (RK_WHOLE_WORDS != 0u) {
        if (has_body || rk_opened) rk_release();
        rk_opened = false;
        rk_word_at(slot + 48u).v = d;
        rk_word_at(slot + 32u).v = c;
        rk_word_at(slot + 16u).v = b;
        rk_word_at(slot).v = a;
    } else {
        rk_poke(rk_low_at(slot, 0u), a.x);
        rk_poke(rk_low_at(slot, 1u), b.x);
        rk_poke(rk_low_at(slot, 2u), c.x);
        rk_poke(rk_low_at(slot, 3u), d.x);
        rk_release(); /* whoever sees a stamp sees its word's other half, and all before */
        rk_poke(rk_high_at(slot, 3u), d.y);
        rk_poke(rk_high_at(slot, 2u), c.y);
        rk_poke(rk_high_at(slot, 1u), b.y);
        rk_poke(rk_high_at(slot, 0u), a.y);
    }
}

/* Where in a ring of 1 << shift slots a position is. */
rk_u32 rk_place(rk_u64 position, rk_u32 shift) {
    return rk_u32(position) & (1u << shift) - 1u;
}

rk_u64 rk_slot_at(rk_u64 slots, rk_u64 position, rk_u32 shift) {
    return slots + (rk_u64(rk_place(position, shift)) << 6);
}

/* The stamp of a position's lap, where it is in the last part of a word. */
rk_u32 rk_stamp(rk_u64 position, rk_u32 shift) {
    return rk_u32(position >> shift) + 1u << 16;
}

bool rk_has_stamp(rk_u32 part, rk_u32 stamp) {
    return (part ^ stamp) < 0x10000u;
}

/* One turn of any loop. Drivers exist that end loops after so many turns in all (Mesa's llvmpipe before 23 after 65,535),
 * in silence: whoever loops counts, and the dispatch leaves long before. */
rk_u32 rk_turns = 0u;

/* Copies whole 16 bytes, up to the next multiple of that. Both places are aligned to it. */
void rk_copy(rk_u64 to, rk_u64 from, rk_u32 size) {
    rk_u32 at = 0u;
    [[dont_unroll]] for (; at + 64u <= size; at += 64u) {
        rk_turns++;
        u64vec2 a = rk_pair_at(from + at).v, b = rk_pair_at(from + at + 16u).v;
        u64vec2 c = rk_pair_at(from + at + 32u).v, d = rk_pair_at(from + at + 48u).v;
        rk_pair_at(to + at).v = a;
        rk_pair_at(to + at + 16u).v = b;
        rk_pair_at(to + at + 32u).v = c;
        rk_pair_at(to + at + 48u).v = d;
    }
    [[dont_unroll]] for (; at < size; at += 16u) {
        rk_turns++;
        rk_pair_at(to + at).v = rk_pair_at(from + at).v;
    }
}

#endif
