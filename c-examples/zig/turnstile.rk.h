/* A turnstile: a coin unlocks it for one visitor; whoever pushes it while it is locked stays outside. */
#include <ringkernel/actor.h>

RK_MESSAGE(coin, 1, rk_u32 cents;)
RK_SIGNAL(push, 2)
RK_MESSAGE(outcome, 3, rk_u32 unlocked; rk_u32 visitors; rk_u32 refused; rk_u32 cents;)

RK_STATE(turnstile, rk_u32 unlocked; rk_u32 visitors; rk_u32 refused; rk_u32 cents;)

RK_FUNC void tell_outcome(RK_PARAMS(turnstile)) {
    RK_OUT(outcome).unlocked = rk_state.unlocked;
    RK_OUT(outcome).visitors = rk_state.visitors;
    RK_OUT(outcome).refused = rk_state.refused;
    RK_OUT(outcome).cents = rk_state.cents;
    rk_reply(outcome);
}

RK_ON(turnstile, coin) {
    rk_state.cents += rk_msg.cents;
    rk_state.unlocked = 1u;
    tell_outcome(RK_ARGS);
}

RK_ON(turnstile, push) {
    if (rk_state.unlocked != 0u)
        rk_state.visitors += 1u;
    else
        rk_state.refused += 1u;
    rk_state.unlocked = 0u;
    tell_outcome(RK_ARGS);
}

RK_ACTOR(turnstile, RK_HANDLES(turnstile, coin) RK_HANDLES(turnstile, push))
