/* Messages of three sizes that go from actor to actor before they are answered, and change at each. They use messages of
 * lifecycle.rk.h. */
#include <ringkernel/actor.h>

RK_STATE(runner, rk_u64 seen;)

/* As many actors more as `left` says; the next one is found without keeping anything. Bounded by rk_size(), which is the
 * size: compilers that know the number unroll all of these. */
#define ERRAND(name_, type_, words_)                                                                                   \
    RK_MESSAGE(name_, type_, rk_u64 id; rk_u32 left; rk_u32 unused; rk_u64 words[words_];)                             \
    RK_ON(runner, name_) {                                                                                             \
        if (rk_lane() == 0u) rk_state.seen += rk_u64(1);                                                               \
        RK_OUT(name_).id = rk_msg.id;                                                                                  \
        RK_OUT(name_).left = rk_msg.left == 0u ? 0u : rk_msg.left - 1u;                                                \
        RK_OUT(name_).unused = 0u;                                                                                     \
        for (rk_u32 i = rk_lane(); i < (rk_size() - 16u) / 8u; i += rk_lanes())                                        \
            RK_OUT(name_).words[i] = rk_msg.words[i] + rk_u64(1);                                                      \
        rk_barrier();                                                                                                  \
        if (rk_msg.left == 0u)                                                                                         \
            rk_reply(name_);                                                                                           \
        else                                                                                                           \
            rk_forward(rk_peer((rk_index() * 5u + rk_msg.left) % rk_actors()), name_);                                 \
    }

ERRAND(short_errand, 93, 2)
ERRAND(long_errand, 94, 10)
ERRAND(heavy_errand, 95, 130)

RK_ON(runner, crash) { rk_fail(rk_msg.code); }

RK_ACTOR(runner, RK_HANDLES(runner, short_errand) RK_HANDLES(runner, long_errand) RK_HANDLES(runner, heavy_errand)
         RK_HANDLES(runner, crash))
