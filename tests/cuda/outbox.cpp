/* What handlers of one lane post on CUDA, compiled for the processor: include/ringkernel/cuda/context.cuh, where a first post may
 * stay in registers. With and without that, an outbox must hold the same afterwards. */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#define __device__
#define __forceinline__ inline
#define RK_LANES 1
struct alignas(16) ulonglong2 {
    unsigned long long x, y;
};
static ulonglong2 make_ulonglong2(unsigned long long x, unsigned long long y) {
    return {x, y};
}
#include <ringkernel/module.h>
using rk_u8 = uint8_t;
using rk_u32 = uint32_t;
using rk_u64 = uint64_t;
using rk_i32 = int32_t;
using rk_address = uint64_t;
#include <ringkernel/cuda/context.cuh>

namespace {
enum : rk_u32 { FRONT = 2048, LIMIT_MOST = 4096, LARGEST = 640, HANDLERS = 8 };

struct step {
    rk_u32 kind, type, size, priority, staged; /* staged: how often, 0 for a signal that is posted at once */
    rk_u64 to, correlation, deadline;
    rk_u8 fill;
};

struct outcome {
    std::vector<rk_u8> answers; /* of each post */
    rk_u32 used = 0, front_end = FRONT, posts = 0, kinds = 0, refused = 0, kept = 0;
    std::vector<rk_u8> entries; /* head and payload of each, without what pads them */
    rk_u32 index[RK_INDEXED] = {};
};

/* Handlers one after the other, as a batch runs them; each leaves its posts behind those of the one before. */
outcome run(const std::vector<std::vector<step>> &handlers, rk_u32 limit, bool lend) {
    outcome result;
    alignas(16) static rk_u8 front[FRONT + 32], back[FRONT + HANDLERS * (LIMIT_MOST + LARGEST + 64)];
    for (rk_u32 number = 0; number < handlers.size(); number++) {
        alignas(16) rk_u64 own[RK_INLINE / 8] = {};
        rk_context plain = {};
        plain.outbox = back, plain.outbox_used = result.used, plain.outbox_limit = limit;
        rk_lane_context cx(plain);
        cx.front = front, cx.front_size = FRONT, cx.front_end = result.front_end, cx.posts = result.posts;
        cx.kinds = result.kinds, cx.origin = number, cx.offsets = result.index;
        cx.first = {};
        if (lend) cx.own = reinterpret_cast<rk_u8 *>(own);
        for (const step &s : handlers[number]) {
            for (rk_u32 i = 0; i < s.staged; i++) std::memset(rk_stage_(&cx, s.size), s.fill, s.size);
            result.answers.push_back(
                static_cast<rk_u8>(rk_post_(&cx, s.kind, s.to, s.type, s.size, s.priority, s.correlation, s.deadline)));
        }
        if (cx.kept) result.kept++;
        cx.let_go();
        result.used = cx.outbox_used, result.front_end = cx.front_end, result.posts = cx.posts, result.kinds = cx.kinds;
        result.refused += cx.refused;
        if (result.used >= FRONT) break;
    }
    /* As the pump walks it. */
    for (rk_u32 at = 0; at < result.used;) {
        if (at == result.front_end) at = FRONT;
        const rk_u8 *entry = (at < FRONT ? front : back) + at;
        rk_outgoing head;
        std::memcpy(&head, entry, sizeof head);
        result.entries.insert(result.entries.end(), entry, entry + sizeof head + head.size);
        at += rk_lane_context::entry(head.size);
    }
    return result;
}

bool same(const outcome &a, const outcome &b) {
    return a.answers == b.answers && a.used == b.used && a.front_end == b.front_end && a.posts == b.posts &&
           a.kinds == b.kinds && a.refused == b.refused && a.entries == b.entries &&
           std::memcmp(a.index, b.index, sizeof a.index) == 0;
}
} // namespace

int main() {
    const unsigned seed = std::random_device{}();
    std::mt19937 random(seed);
    const auto below = [&](rk_u32 n) { return static_cast<rk_u32>(random() % n); };
    rk_u64 kept = 0, refused = 0, posts = 0;
    for (rk_u32 turn = 0; turn < 100000; turn++) {
        /* Small ones often: a post that is refused is to be common. */
        const rk_u32 limit = below(3) == 0 ? 48 + 16 * below(8) : 48 + LARGEST + below(LIMIT_MOST - LARGEST);
        const rk_u32 largest = limit - 48 < LARGEST ? limit - 48 : LARGEST;
        std::vector<std::vector<step>> handlers(1 + below(HANDLERS));
        for (auto &handler : handlers) {
            handler.resize(below(4) == 0 ? below(20) : below(3));
            for (step &s : handler) {
                s.kind = RK_POST_REPLY + below(4), s.type = 1 + below(65000), s.priority = below(3) ? 0 : below(256);
                s.size = below(2) ? below(RK_INLINE + 1) : below(LARGEST + 1);
                if (s.size > largest) s.size = below(largest + 1);
                s.staged = s.size ? 1 + below(2) : below(2);
                s.to = random(), s.correlation = random(), s.deadline = below(2) ? random() : 0;
                s.fill = static_cast<rk_u8>(random());
            }
        }
        const outcome in_registers = run(handlers, limit, true), in_outbox = run(handlers, limit, false);
        if (!same(in_registers, in_outbox) || in_outbox.kept != 0) {
            std::fprintf(stderr, "outboxes differ: seed %u, turn %u\n", seed, turn);
            return 1;
        }
        kept += in_registers.kept, refused += in_registers.refused, posts += in_registers.posts;
    }
    std::printf("%llu posts, %llu of them kept to the end, %llu refused\n", static_cast<unsigned long long>(posts),
                static_cast<unsigned long long>(kept), static_cast<unsigned long long>(refused));
    return kept == 0 || refused == 0;
}
