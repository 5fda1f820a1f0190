// ringkernel.hpp without exceptions: compiled with -fno-exceptions, where only the try_ functions exist.
#include <ringkernel.hpp>

#include <chrono>

#include "cell.rk.h"
#include "check.hpp"

RK_CPP_MESSAGE(store);
RK_CPP_MESSAGE(stored);
RK_DECLARE_MODULE(cells);

using namespace std::chrono_literals;

int main() {
    auto runtime = rk::runtime::create();
    if (!CHECK(runtime))
        return check_result();
    auto module = rk::module::create(*runtime, cells);
    auto nobody = rk::kernel::create(*runtime, *module, rk::kernel_options(), "nobody");
    CHECK(!nobody && nobody.status() == RK_ERROR_NOT_FOUND && nobody.error().message[0] != '\0');
    auto kernel = rk::kernel::create(*runtime, *module);
    if (!CHECK(kernel))
        return check_result();
    CHECK(kernel->try_activate());
    CHECK(kernel->try_activate().status() == RK_ERROR_BAD_STATE);

    const rk::actor first = *kernel->try_actor(0);
    stored reply = {};
    rk_error error;
    CHECK(first.try_call(store{5}, reply, 10s, nullptr, &error) == RK_OK && reply.now == 5);
    CHECK(first.try_send(store{6}) == RK_OK);
    rk::inbox inbox;
    CHECK(runtime->try_poll(inbox, 10s) == RK_OK);
    CHECK(inbox.size() == 1 && rk::get_if<stored>(inbox[0]) != nullptr && rk::get_if<stored>(inbox[0])->before == 5);
    CHECK(runtime->try_poll(inbox) == RK_AGAIN);
    CHECK(kernel->try_statistics()->handled == 2);
    CHECK(*kernel->try_drain(10s));
    return check_result();
}
