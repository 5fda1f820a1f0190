/* An actor that answers questions and says the how many-th each was. */
#include <ringkernel/actor.h>

RK_MESSAGE(question, 1, rk_u32 number;)
RK_MESSAGE(answer, 2, rk_u64 square; rk_u32 number; rk_u32 turn;)

RK_STATE(oracle, rk_u32 turns;)

RK_ON(oracle, question) {
    rk_state.turns += 1u;
    RK_OUT(answer).number = rk_msg.number;
    RK_OUT(answer).square = rk_u64(rk_msg.number) * rk_u64(rk_msg.number);
    RK_OUT(answer).turn = rk_state.turns;
    rk_reply(answer);
}

RK_ACTOR(oracle, RK_HANDLES(oracle, question))
