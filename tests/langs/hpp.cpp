// What ringkernel.hpp adds to the C API: ownership, exceptions, typed messages, durations.
#include <ringkernel.hpp>

#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "cell.rk.h"
#include "check.hpp"

RK_CPP_MESSAGE(store);
RK_CPP_MESSAGE(stored);
RK_CPP_MESSAGE(load);
RK_CPP_MESSAGE(chime);
RK_CPP_MESSAGE(halt);
RK_CPP_MESSAGE(wide);
RK_DECLARE_MODULE(cells);

using namespace std::chrono_literals;

namespace {

template <class Owner> constexpr bool is_move_only() {
    return !std::is_copy_constructible<Owner>::value && !std::is_copy_assignable<Owner>::value &&
           std::is_nothrow_move_constructible<Owner>::value && std::is_nothrow_move_assignable<Owner>::value;
}
static_assert(is_move_only<rk::runtime>());
static_assert(is_move_only<rk::module>());
static_assert(is_move_only<rk::kernel>());
static_assert(is_move_only<rk::queue>());
static_assert(is_move_only<rk::parking>());
static_assert(std::is_trivially_copyable<rk::actor>::value);
static_assert(sizeof(rk::kernel) == sizeof(rk_kernel), "an owner costs what its handle costs");
static_assert(std::is_nothrow_copy_constructible<rk::error>::value);

static_assert(rk::timeout(3us).ns() == 3000);
static_assert(rk::timeout(std::chrono::duration<double>(0.5)).ns() == 500000000);
static_assert(rk::timeout(-1ns).ns() == 0, "a deadline that has passed must not become RK_FOREVER");
static_assert(rk::timeout(std::chrono::hours::max()).ns() == INT64_MAX);
static_assert(rk::forever.ns() == RK_FOREVER && rk::no_wait.ns() == 0);

static_assert(rk::message_traits<store>::type == 1 && rk::message_traits<store>::size == 8);
static_assert(rk::message_traits<load>::size == 0, "a signal has no payload though its struct has a size");

// The status that the call throws, RK_OK if it throws nothing.
template <class Call> rk_status status_thrown_by(Call call) {
    try {
        call();
    } catch (const rk::error &error) {
        CHECK(error.what()[0] != '\0');
        CHECK(error.detail().status == error.status());
        return error.status();
    }
    return RK_OK;
}

rk_status state_of(rk_kernel kernel) {
    std::uint32_t state = 0;
    return rk_kernel_state(kernel, &state);
}

// A runtime with one kernel of cells.
struct fixture {
    rk::runtime runtime{rk::runtime_options()};
    rk::module module{runtime, cells};
    rk::kernel kernel;

    explicit fixture(const rk_kernel_options &options = rk::kernel_options()) : kernel(runtime, module, options) {}
};

void owners_move_and_destroy_once() {
    fixture f;
    const rk_kernel first = f.kernel.get();
    CHECK(first.id != 0 && state_of(first) == RK_OK);

    rk::kernel moved(std::move(f.kernel));
    CHECK(moved.get().id == first.id);
    CHECK(!f.kernel && f.kernel.get().id == 0); // NOLINT(bugprone-use-after-move): what is left is what is tested
    CHECK(status_thrown_by([&] { f.kernel.activate(); }) == RK_ERROR_STALE_HANDLE);
    CHECK(f.kernel.reset() == RK_OK);
    CHECK(state_of(first) == RK_OK);

    moved = rk::kernel(f.runtime, f.module); // the first one goes
    const rk_kernel second = moved.get();
    CHECK(state_of(first) == RK_ERROR_STALE_HANDLE);
    CHECK(state_of(second) == RK_OK);

    rk::kernel &alias = moved;
    moved = std::move(alias);
    CHECK(moved && state_of(second) == RK_OK);

    rk_kernel released = moved.release();
    CHECK(!moved && released.id == second.id && state_of(second) == RK_OK);
    {
        rk::kernel again(released);
        CHECK(state_of(second) == RK_OK);
    }
    CHECK(state_of(second) == RK_ERROR_STALE_HANDLE);
    CHECK(rk_kernel_destroy(second) == RK_ERROR_STALE_HANDLE);

    rk::kernel last(f.runtime, f.module);
    CHECK(last.reset() == RK_OK && last.reset() == RK_OK && !last);
}

void refused_destruction_keeps_ownership() {
    fixture f;
    CHECK(f.module.reset() == RK_ERROR_BAD_STATE);
    CHECK(f.module);
    CHECK(f.kernel.reset() == RK_OK);
    CHECK(f.module.reset() == RK_OK);
    CHECK(!f.module);
}

void any_order_of_death() {
    rk::kernel kernel;
    rk::queue queue;
    rk::module module;
    {
        rk::runtime runtime{rk::runtime_options()};
        module = rk::module(runtime, cells);
        queue = rk::queue(runtime);
        kernel = rk::kernel(runtime, module);
    }
    CHECK(state_of(kernel.get()) == RK_ERROR_STALE_HANDLE);
    CHECK(status_thrown_by([&] { (void)queue.arm(); }) == RK_ERROR_STALE_HANDLE);
}

void errors_carry_status_and_text() {
    fixture f;
    f.kernel.activate();
    CHECK(status_thrown_by([&] { f.kernel.activate(); }) == RK_ERROR_BAD_STATE);
    CHECK(status_thrown_by([&] { (void)f.kernel.actor(1); }) == RK_ERROR_NOT_FOUND);
    CHECK(status_thrown_by([&] { (void)rk::actor().send(store{1}); }) == RK_ERROR_STALE_HANDLE);
    CHECK(status_thrown_by([&] { (void)f.kernel.actor(0).send(999, nullptr, 0); }) == RK_ERROR_NOT_FOUND);
    CHECK(status_thrown_by([&] { rk::module::load(f.runtime, "no such file.rkm"); }) < 0);
    CHECK(status_thrown_by([&] { rk::module::load(f.runtime, "not a module", 12); }) == RK_ERROR_BAD_IMAGE);
    CHECK(status_thrown_by([&] { rk::kernel(rk::runtime(), f.module); }) == RK_ERROR_STALE_HANDLE);
    CHECK(status_thrown_by([&] { rk::kernel(f.runtime, f.module, rk::kernel_options(), "nobody"); }) ==
          RK_ERROR_NOT_FOUND);

    const rk::result<rk::kernel> none = rk::kernel::create(f.runtime, f.module, rk::kernel_options(), "nobody");
    CHECK(!none && !*none && none.status() == RK_ERROR_NOT_FOUND && none.error().message[0] != '\0');

    std::string text;
    try {
        rk::kernel(f.runtime, rk::module());
    } catch (const std::exception &error) { // as code that knows nothing of ringkernel catches it
        text = error.what();
    }
    CHECK(!text.empty());
}

void typed_calls() {
    fixture f;
    f.kernel.activate();
    const rk::actor first = f.kernel.actor(0);
    CHECK(first.index() == 0 && first);

    CHECK(first.call<stored>(store{7}, 10s).before == 0);
    const stored reply = first.call<stored>(store{11}, 10s);
    CHECK(reply.before == 7 && reply.now == 11);
    CHECK(first.call<store>(load{}).value == 11);
    first.call<chime>(chime{}, 10s);

    // Replies of another type: a smaller one (load is answered with a store), then one that is also too large.
    CHECK(status_thrown_by([&] { first.call<stored>(load{}, 10s); }) == RK_ERROR_INVALID_ARGUMENT);
    CHECK(status_thrown_by([&] { first.call<chime>(load{}, 10s); }) == RK_ERROR_SIZE);
    store smaller;
    rk_error detail;
    CHECK(first.try_call(chime{}, smaller, 10s, nullptr, &detail) == RK_ERROR_INVALID_ARGUMENT);
    CHECK(std::string(detail.message).find("type 4") != std::string::npos);

    CHECK(status_thrown_by([&] { first.call<stored>(wide{}, 5ms); }) == RK_TIMEOUT);

    f.kernel.deactivate();
    CHECK(status_thrown_by([&] { first.call<stored>(store{1}, 5ms); }) == RK_TIMEOUT);
    CHECK(status_thrown_by([&] { first.call<stored>(store{1}, rk::no_wait); }) == RK_TIMEOUT);
}

void a_full_ring_is_no_error() {
    rk::kernel_options options;
    options.inbound_capacity = 4;
    fixture f(options);
    const rk::actor first = f.kernel.actor(0);
    std::uint64_t sent = 0;
    while (sent < 1000 && first.send(store{sent}))
        sent++;
    CHECK(sent >= 4 && sent < 1000);
    CHECK(first.try_send(store{0}) == RK_AGAIN);
    rk::send_options patient;
    patient.timeout_ns = rk::timeout(2ms).ns();
    CHECK(!first.send(store{0}, &patient));

    store batch[2] = {{100}, {101}};
    const rk_outbound outbound[2] = {rk::outbound(first, batch[0], 1), rk::outbound(first, batch[1], 2)};
    CHECK(rk::send_many(outbound, 2) == 0);
    f.kernel.activate();
    CHECK(rk::send_many(outbound, 2, 10s) == 2);

    rk::inbox inbox(3);
    std::uint64_t received = 0;
    while (received < sent + 2 && CHECK(f.runtime.poll(inbox, 10s)))
        for (const rk_message &message : inbox) {
            const stored *reply = rk::get_if<stored>(message);
            if (!CHECK(reply != nullptr))
                continue;
            CHECK(reply->now == (received < sent ? received : 100 + received - sent));
            CHECK(message.correlation == (received < sent ? 0 : 1 + received - sent));
            CHECK(rk::actor(message.from) == first);
            received++;
        }
    CHECK(!f.runtime.poll(inbox));
    CHECK(inbox.empty() && inbox.begin() == inbox.end());
}

void views_of_messages() {
    fixture f;
    const rk::actor first = f.kernel.actor(0);
    wide letter = {};
    letter.words[31] = 31;
    CHECK(first.send(letter));
    CHECK(first.send(chime{}));
    CHECK(f.kernel.terminate() == 2);

    rk::inbox inbox;
    int letters = 0;
    int chimes = 0;
    bool over = false;
    while (!(letters == 1 && chimes == 1 && over) && CHECK(f.runtime.poll(inbox, 10s)))
        for (const rk_message &message : inbox) {
            over = over || message.kind == RK_MESSAGE_EVENT;
            CHECK(rk::get_if<wide>(message) == nullptr); // it comes back, but not from an actor
            CHECK(rk::get_if<store>(message) == nullptr);
            if (const wide *dead = rk::dead_if<wide>(message)) {
                letters++;
                CHECK(message.reason == RK_DEAD_TERMINATED && rk::actor(message.to) == first);
                CHECK(dead->words[31] == 31);
                CHECK(rk::payload(message).size() == sizeof(wide));
                CHECK(std::memcmp(rk::payload(message).data(), &letter, sizeof letter) == 0);
            } else if (rk::dead_if<chime>(message) != nullptr) {
                chimes++;
                CHECK(rk::payload(message).empty());
            }
        }
    CHECK(letters == 1 && chimes == 1 && over);
}

void a_small_inbox_loses_nothing() {
    fixture f;
    CHECK(f.kernel.actor(0).send(wide{}));
    CHECK(f.kernel.terminate() == 1);
    rk::inbox small(8, 16);
    rk::inbox large;
    bool found = false;
    for (int polls = 0; polls < 8 && !found; polls++) {
        const rk_status status = f.runtime.try_poll(small, 10s);
        if (status == RK_OK) { // the event may come first
            CHECK(small.size() > 0);
            continue;
        }
        CHECK(status == RK_ERROR_SIZE && small.empty());
        CHECK(f.runtime.poll(large, 10s));
        for (const rk_message &message : large)
            found = found || rk::dead_if<wide>(message) != nullptr;
    }
    CHECK(found);
}

void parking_holds_messages_back() {
    fixture f;
    f.kernel.activate();
    const rk::actor first = f.kernel.actor(0);
    {
        rk::parking parked(f.runtime, 10s);
        rk::parking moved(std::move(parked));
        CHECK(first.send(store{3}));
        const rk_kernel_statistics statistics = f.kernel.statistics();
        CHECK(statistics.accepted == 1 && statistics.pending == 1 && statistics.handled == 0);
    }
    rk::inbox inbox;
    CHECK(f.runtime.poll(inbox, 10s));
    CHECK(inbox.size() == 1 && rk::get_if<stored>(inbox[0]) != nullptr);
    CHECK(status_thrown_by([&] { rk::parking(rk::runtime(), 1s); }) == RK_ERROR_STALE_HANDLE);
    CHECK(f.kernel.drain(10s));
    CHECK(f.kernel.state() == RK_KERNEL_TERMINATED);
}

void queues_and_descriptors() {
    rk::runtime runtime{rk::runtime_options()};
    rk::module module(runtime, cells);
    rk::queue queue(runtime);
    const rk_queue queues[1] = {queue.get()};
    rk::kernel_options options;
    options.queues = queues;
    options.queue_count = 1;
    rk::kernel kernel(runtime, module, options, "cell");
    kernel.activate();
    CHECK(queue.reset() == RK_ERROR_BAD_STATE && queue);

    CHECK(queue.arm());
    CHECK(runtime.arm());
    CHECK(kernel.actor(0).send(store{1}));
    pollfd descriptors[2] = {{queue.fd(), POLLIN, 0}, {runtime.fd(), POLLIN, 0}};
    CHECK(::poll(descriptors, 2, 10000) == 1);
    CHECK((descriptors[0].revents & POLLIN) != 0);
    CHECK(!queue.arm());
    rk::inbox inbox;
    CHECK(queue.poll(inbox) && inbox.size() == 1);
    CHECK(!runtime.poll(inbox));

    const auto devices = runtime.devices();
    CHECK(!devices.empty() && devices[0].backend == RK_BACKEND_CPU && devices[0].usable == 1);
    const std::uint64_t stamp = runtime.now();
    CHECK(runtime.now() > stamp);
    CHECK(runtime.merge(stamp + 1000) > stamp + 1000);
    rk::send_options urgent;
    urgent.priority = RK_PRIORITY_HIGH;
    CHECK(runtime.load(urgent).priority == RK_PRIORITY_HIGH);
    CHECK(runtime.try_merge(UINT64_MAX).status() == RK_ERROR_DRIFT);

    rk::kernel_options measured;
    measured.latency_every = 1;
    rk::kernel watched(runtime, module, measured, "cell");
    watched.activate();
    (void)watched.actor(0).call<stored>(store{1}, 10s);
    watched.deactivate();
    CHECK(watched.latency(RK_LATENCY_HANDLER).count == 1 && watched.latency(RK_LATENCY_QUEUE, 0).p99_ns > 0);
    CHECK(watched.try_latency(RK_LATENCY_QUEUE, 1000).status() == RK_ERROR_NOT_FOUND);
    const std::vector<std::byte> taken = watched.snapshot();
    CHECK(!taken.empty() && watched.try_snapshot(99).status() == RK_ERROR_INVALID_ARGUMENT);
    CHECK(rk::kernel::restore(runtime, module, taken.data(), taken.size()).status() == RK_ERROR_EXISTS);
    rk::result<rk::kernel> copy =
        rk::kernel::restore(runtime, module, taken.data(), taken.size(), RK_RESTORE_NEW_ADDRESSES);
    CHECK(copy && copy->get().id != watched.get().id && copy->try_activate());
    CHECK(runtime.metrics().find("ringkernel_handler_seconds_count") != std::string::npos);
    CHECK(runtime.metrics(true).size() > runtime.metrics().size());
    CHECK(runtime.try_stop_trace().status() == RK_ERROR_BAD_STATE);
    rk::trace_options traced;
    traced.events = RK_TRACE_HANDLERS;
    runtime.start_trace(traced);
    CHECK(runtime.try_start_trace().status() == RK_ERROR_BAD_STATE);
    watched.activate();
    (void)watched.actor(0).call<stored>(store{1}, 10s);
    watched.deactivate();
    runtime.stop_trace();
    CHECK(runtime.trace().find("\"name\":\"store\"") != std::string::npos);
    int told = 0;
    rk::alert_options rule;
    rule.metric = RK_ALERT_DEPTH;
    rule.kernel = watched.get();
    rule.threshold = 1;
    rk::alert deep(runtime, rule, [&](const rk_alert_notice &notice) { told += notice.raised == 1 ? 1 : 10; });
    CHECK(runtime.check_alerts() == 0 && told == 0);
    CHECK(watched.actor(0).send(store{1}));
    rk::alert moved = std::move(deep);
    CHECK(runtime.check_alerts() == 1 && told == 1);
    CHECK(moved.reset() == RK_OK && runtime.check_alerts() == 0 && told == 1);

    const rk::buffer bytes(runtime, 4 * sizeof(int));
    bytes.upload(std::vector<int>{1, 2, 3, 4});
    CHECK(static_cast<int *>(bytes.map())[2] == 3 && bytes.download<int>(2) == (std::vector<int>{1, 2}));
    CHECK(bytes.id() != 0 && !bytes.try_upload(16, &bytes, 1));
    CHECK(rk::buffer::create(runtime, 0).status() == RK_ERROR_INVALID_ARGUMENT);

    const rk::topic news(runtime, "news/today");
    rk::subscription_options bounded;
    bounded.capacity = 1;
    bounded.qos = RK_QOS_EXACTLY_ONCE;
    rk::queue paper(runtime);
    bounded.queue = paper.get();
    rk::subscription reader(runtime, "news/#", bounded);
    CHECK(news.publish(store{7}) && !news.publish(store{8}));
    CHECK(news.statistics().published == 1 && reader.statistics().waiting == 1);
    rk::inbox page;
    CHECK(paper.poll(page) && page.size() == 1 && page[0].to.id == news.address());
    CHECK(rk::publication_if<store>(page[0])->value == 7 && rk::get_if<store>(page[0]) == nullptr);
    CHECK(reader.reset() == RK_OK && news.statistics().subscriptions == 0);
    CHECK(rk::topic::create(runtime, "news/*").status() == RK_ERROR_INVALID_ARGUMENT);
    CHECK(rk::subscription::create(runtime, "").status() == RK_ERROR_INVALID_ARGUMENT);

    runtime.add_name("cells", kernel.get());
    for (std::uint32_t i = 0; i < 20; i++)
        runtime.add_name("cells/" + std::to_string(i), kernel.actor(0));
    CHECK(runtime.kernel_named("cells").id == kernel.get().id);
    CHECK(runtime.actor_named("cells/3") == kernel.actor(0));
    CHECK(runtime.try_actor_named("cells").status() == RK_ERROR_NOT_FOUND);
    runtime.remove_name("cells/3");
    const auto found = runtime.find("cells/*");
    CHECK(found.size() == 19 && std::string_view(found[0].name) == "cells/0");
    CHECK(runtime.find("nothing/#").empty());
}

void one_object_many_threads() {
    rk::kernel_options options;
    options.actors = 4;
    fixture f(options);
    f.kernel.activate();
    std::unordered_set<rk::actor> distinct;
    std::atomic<int> right{0};
    std::thread threads[4];
    for (std::uint32_t t = 0; t < 4; t++) {
        distinct.insert(f.kernel.actor(t));
        threads[t] = std::thread([&f, &right, t] {
            std::uint64_t before = 0;
            for (std::uint64_t i = 1; i <= 500; i++) {
                const stored reply = f.kernel.actor(t).call<stored>(store{1000 * t + i}, 30s);
                right += reply.before == before && reply.now == 1000 * t + i;
                before = reply.now;
            }
        });
    }
    for (std::thread &thread : threads)
        thread.join();
    CHECK(distinct.size() == 4);
    CHECK(right == 2000);
}

} // namespace

int main() {
    owners_move_and_destroy_once();
    refused_destruction_keeps_ownership();
    any_order_of_death();
    errors_carry_status_and_text();
    typed_calls();
    a_full_ring_is_no_error();
    views_of_messages();
    a_small_inbox_loses_nothing();
    parking_holds_messages_back();
    queues_and_descriptors();
    one_object_many_threads();
    return check_result();
}
