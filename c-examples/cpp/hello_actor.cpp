// hello_actor in C++: accounts, from launch to the last dead letter.
#include <ringkernel.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "account.rk.h"

RK_CPP_MESSAGE(deposit);
RK_CPP_MESSAGE(withdraw);
RK_CPP_MESSAGE(close_account);
RK_CPP_MESSAGE(balance);
RK_DECLARE_MODULE(accounts);

using namespace std::chrono_literals;

static double euros(std::uint64_t cents) { return static_cast<double>(cents) / 100; }

static void hello_actor() {
    // Owners destroy what they own, in any order; an actor is an address and owns nothing.
    rk::runtime runtime{rk::runtime_options()};
    rk::module module(runtime, accounts);
    rk::kernel_options options;
    options.actors = 3;
    rk::kernel kernel(runtime, module, options);
    const rk::actor first = kernel.actor(0);
    const rk::actor last = kernel.actor(2);

    // call() sends, waits for the reply and checks that it is one.
    kernel.activate();
    first.call<balance>(deposit{5000}, 10s);
    const balance after = first.call<balance>(withdraw{1250}, 10s);
    std::printf("active:    account %u holds %.2f\n", static_cast<unsigned>(after.account), euros(after.cents));

    // A suspended kernel accepts messages, which wait. send() is false only when the ring is full.
    kernel.deactivate();
    if (!last.send(deposit{700}) || !last.send(withdraw{900}) || !last.send(withdraw{200}))
        std::printf("the ring is full\n");
    std::printf("suspended: %u messages wait\n", static_cast<unsigned>(kernel.statistics().pending));

    // Replies to send() come to the runtime's queue, those of one actor in order.
    kernel.activate();
    rk::inbox inbox;
    for (int replies = 0; replies < 3 && runtime.poll(inbox, 10s);) {
        for (const rk_message &message : inbox) {
            if (const balance *now = rk::get_if<balance>(message)) {
                std::printf("resumed:   account %u holds %.2f after %u refusal(s)\n",
                            static_cast<unsigned>(now->account), euros(now->cents),
                            static_cast<unsigned>(now->refusals));
                replies++;
            }
        }
    }

    // Nothing is lost silently: what a closed account gets comes back.
    if (!last.send(close_account{}) || !last.send(deposit{500}))
        std::printf("the ring is full\n");
    if (runtime.poll(inbox, 10s))
        if (const deposit *returned = rk::dead_if<deposit>(inbox[0]))
            std::printf("closed:    a deposit of %.2f came back: %s\n", euros(returned->cents),
                        inbox[0].reason == RK_DEAD_STOPPED ? "the actor has stopped" : "for another reason");

    if (!kernel.drain(10s))
        std::printf("still draining\n");
    const rk_kernel_statistics statistics = kernel.statistics();
    std::printf("drained:   accepted %u = handled %u + dead letters %u + pending %u\n",
                static_cast<unsigned>(statistics.accepted), static_cast<unsigned>(statistics.handled),
                static_cast<unsigned>(statistics.dead_letters), static_cast<unsigned>(statistics.pending));

    try {
        kernel.activate();
    } catch (const rk::error &error) {
        std::printf("over:      %s\n", rk_status_name(error.status()));
    }
}

int main() {
    try {
        hello_actor();
        return EXIT_SUCCESS;
    } catch (const rk::error &error) {
        std::fprintf(stderr, "hello_actor: %s: %s\n", rk_status_name(error.status()), error.what());
    } catch (const std::exception &error) {
        std::fprintf(stderr, "hello_actor: %s\n", error.what());
    }
    return EXIT_FAILURE;
}
