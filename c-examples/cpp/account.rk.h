/* Bank accounts: they refuse to be overdrawn, and can be closed. */
#include <ringkernel/actor.h>

RK_MESSAGE(deposit, 1, rk_u64 cents;)
RK_MESSAGE(withdraw, 2, rk_u64 cents;)
RK_SIGNAL(close_account, 3)
RK_MESSAGE(balance, 4, rk_u64 cents; rk_u32 refusals; rk_u32 account;)

RK_STATE(account, rk_u64 cents; rk_u32 refusals;)

RK_FUNC void tell_balance(RK_PARAMS(account)) {
    RK_OUT(balance).cents = rk_state.cents;
    RK_OUT(balance).refusals = rk_state.refusals;
    RK_OUT(balance).account = rk_index();
    rk_reply(balance);
}

RK_ON(account, deposit) {
    rk_state.cents += rk_msg.cents;
    tell_balance(RK_ARGS);
}

RK_ON(account, withdraw) {
    if (rk_msg.cents <= rk_state.cents)
        rk_state.cents -= rk_msg.cents;
    else
        rk_state.refusals += 1u;
    tell_balance(RK_ARGS);
}

RK_ON(account, close_account) {
    rk_stop();
}

RK_ACTOR(account,
         RK_HANDLES(account, deposit)
         RK_HANDLES(account, withdraw)
         RK_HANDLES(account, close_account))
