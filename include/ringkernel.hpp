/* ringkernel.hpp: ringkernel.h for C++17 and later, header-only.
 *
 *     #include <ringkernel.hpp>
 *     #include "counter.rk.h"                       // a file of actors; its messages are plain structs
 *     RK_CPP_MESSAGE(add);                          // makes the struct `add` known as a message
 *     RK_CPP_MESSAGE(sum);
 *     RK_DECLARE_MODULE(counters);                  // what rkc made of counter.rk.h
 *
 *     rk::runtime runtime{rk::runtime_options()};
 *     rk::module module(runtime, counters);
 *     rk::kernel kernel(runtime, module);
 *     kernel.activate();
 *     rk::actor first = kernel.actor(0);
 *     sum total = first.call<sum>(add{5}, 1s);      // send and wait for the reply
 *     if (!first.send(add{7})) ...                  // or only send, unless the ring is full,
 *     rk::inbox inbox;
 *     while (runtime.poll(inbox, 10ms))             // and let poll receive the reply
 *         for (const rk_message &message : inbox)
 *             if (const sum *total = rk::get_if<sum>(message)) ...
 *
 * Ownership    runtime, module, kernel, queue, buffer and alert are owners: move-only; the destructor destroys what they own.
 *              Default-made or moved from they own nothing, and using them gives RK_ERROR_STALE_HANDLE. No order in
 *              which they die does harm: destroying a runtime destroys all that is in it, and the library refuses
 *              handles of what is gone. actor is a value: an address, copied freely, that owns nothing.
 * Errors       Functions throw rk::error. RK_AGAIN and RK_TIMEOUT are outcomes, not errors: send, poll, arm and drain
 *              return false for them and never throw them. Each function has a twin named try_... (the constructors:
 *              create, load) that throws nothing but std::bad_alloc: it returns an rk_status where it is on the hot
 *              path and an rk::result elsewhere. With -fno-exceptions, or RK_NO_EXCEPTIONS defined, only they exist.
 * Threads      As the C functions, all const member functions may be called on one object from any thread at any time.
 *              Moving, assigning, resetting or destroying an owner must not happen while another thread uses that
 *              same object. An inbox belongs to one thread at a time.
 */
#ifndef RINGKERNEL_HPP
#define RINGKERNEL_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ringkernel.h"
#include "ringkernel/module.h"

#if !defined(RK_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define RK_NO_EXCEPTIONS
#endif
#if !defined(RK_NO_EXCEPTIONS)
#include <exception>
#endif

/** Makes the struct of an RK_MESSAGE or RK_SIGNAL known to the typed functions: at global scope, in each source file
 * that uses them. */
#define RK_CPP_MESSAGE(message)                                                                                        \
    template <> struct rk::message_traits<message> {                                                                   \
        static constexpr std::uint32_t type = RK_TYPE(message);                                                        \
        static constexpr std::uint32_t size = RK_SIZE(message);                                                        \
        static_assert(std::is_trivially_copyable<message>::value, #message " has to be plain bytes");                  \
    }

namespace rk {

/** Number and payload size of a message struct; RK_CPP_MESSAGE specialises it. */
template <class M> struct message_traits {
    static_assert(sizeof(M) == 0, "not a known message: write RK_CPP_MESSAGE(...) after including its file of actors");
};

/** An options struct of the C API with all defaults; its fields are set by name. */
template <class Options> struct sized_options : Options {
    sized_options() noexcept : Options() { this->struct_size = sizeof(Options); }
};
using runtime_options = sized_options<rk_runtime_options>;
using kernel_options = sized_options<rk_kernel_options>;
using send_options = sized_options<rk_send_options>;
using alert_options = sized_options<rk_alert_options>;
using buffer_options = sized_options<rk_buffer_options>;
using topic_options = sized_options<rk_topic_options>;
using publish_options = sized_options<rk_publish_options>;
using subscription_options = sized_options<rk_subscription_options>;
using trace_options = sized_options<rk_trace_options>;

/** How long to wait. Any std::chrono duration converts: one that is not positive does not wait, and none overflows. */
class timeout {
  public:
    template <class Rep, class Period>
    constexpr timeout(std::chrono::duration<Rep, Period> wait) noexcept : ns_(0) {
        const double ns = std::chrono::duration<double, std::nano>(wait).count();
        if (ns >= 9.2e18)
            ns_ = std::numeric_limits<std::int64_t>::max();
        else if (ns > 0)
            ns_ = std::chrono::duration_cast<std::chrono::duration<std::int64_t, std::nano>>(wait).count();
    }
    /** Without limit. */
    static constexpr timeout never() noexcept { return timeout(); }
    /** Nanoseconds, or RK_FOREVER. */
    constexpr std::int64_t ns() const noexcept { return ns_; }

  private:
    constexpr timeout() noexcept : ns_(RK_FOREVER) {}
    std::int64_t ns_;
};

/** Waits without limit. */
inline constexpr timeout forever = timeout::never();
/** Does not wait. */
inline constexpr timeout no_wait = std::chrono::nanoseconds(0);

#if !defined(RK_NO_EXCEPTIONS)
/** A call failed. A value: copying does not throw. */
class error : public std::exception {
  public:
    explicit error(const rk_error &detail) noexcept : detail_(detail) {}
    /** The library's text. */
    const char *what() const noexcept override { return detail_.message; }
    /** RK_ERROR_..., or RK_TIMEOUT and RK_AGAIN where a function has no other way to say so. */
    rk_status status() const noexcept { return detail_.status; }
    /** Code of the operating system or driver, 0 if none; native_domain() says whose it is, RK_NATIVE_... */
    std::int64_t native_code() const noexcept { return detail_.native_code; }
    std::uint32_t native_domain() const noexcept { return detail_.native_domain; }
    /** The same call may succeed later. */
    bool retriable() const noexcept { return (detail_.flags & RK_ERROR_FLAG_RETRIABLE) != 0; }
    /** The object can only be destroyed. */
    bool fatal() const noexcept { return (detail_.flags & RK_ERROR_FLAG_FATAL) != 0; }
    const rk_error &detail() const noexcept { return detail_; }

  private:
    rk_error detail_;
};
#endif

namespace detail {

/** For functions of the C API that return a status alone. */
inline rk_error describe(rk_status status, const char *function) noexcept {
    rk_error error = rk_error();
    error.status = status;
    (void)std::snprintf(error.message, sizeof error.message, "%s: %s", function, rk_status_name(status));
    return error;
}

#if !defined(RK_NO_EXCEPTIONS)
/** True for RK_OK, false for RK_AGAIN and RK_TIMEOUT. */
inline bool done_or_throw(rk_status status, const char *function) {
    if (status < 0)
        throw error(describe(status, function));
    return status == RK_OK;
}
#endif

} // namespace detail

struct nothing {};

/** A value, or the rk_error that says why there is none. */
template <class T = nothing> class [[nodiscard]] result {
  public:
    result(T value) noexcept(std::is_nothrow_move_constructible<T>::value) : value_(std::move(value)), error_() {}
    result(const rk_error &error) noexcept : value_(), error_(error) {}

    explicit operator bool() const noexcept { return error_.status == RK_OK; }
    rk_status status() const noexcept { return error_.status; }
    /** Its status is RK_OK and its message empty where there is a value. */
    const rk_error &error() const noexcept { return error_; }
    /** The value; a default one where there is an error. */
    T &operator*() noexcept { return value_; }
    const T &operator*() const noexcept { return value_; }
    T *operator->() noexcept { return &value_; }
    const T *operator->() const noexcept { return &value_; }
#if !defined(RK_NO_EXCEPTIONS)
    /** The value, or throws the error. */
    T value() && {
        if (error_.status != RK_OK)
            throw rk::error(error_);
        return std::move(value_);
    }
#endif

  private:
    T value_;
    rk_error error_;
};

/** The address of an actor: a value of 64 bits that owns nothing. Converts from the rk_actor of a message. */
class actor {
  public:
    constexpr actor() noexcept : handle_() {}
    constexpr actor(rk_actor handle) noexcept : handle_(handle) {}

    constexpr rk_actor get() const noexcept { return handle_; }
    /** What handlers know as rk_address: put it into messages. */
    constexpr std::uint64_t address() const noexcept { return handle_.id; }
    /** In its kernel. */
    std::uint32_t index() const noexcept { return rk_actor_index(handle_); }
    explicit constexpr operator bool() const noexcept { return handle_.id != 0; }

    /** rk_send(). */
    [[nodiscard]] rk_status try_send(std::uint32_t type, const void *payload, std::uint32_t size,
                                     const rk_send_options *options = nullptr) const noexcept {
        return rk_send(handle_, type, payload, size, options);
    }
    template <class M>
    [[nodiscard]] rk_status try_send(const M &message, const rk_send_options *options = nullptr) const noexcept {
        return rk_send(handle_, message_traits<M>::type, &message, message_traits<M>::size, options);
    }

    /** rk_call(). received: may be null; receives type, size and sender of the reply. */
    [[nodiscard]] rk_status try_call(std::uint32_t type, const void *payload, std::uint32_t size, void *reply,
                                     std::uint32_t reply_capacity, rk_message *received, timeout wait,
                                     const rk_send_options *options = nullptr,
                                     rk_error *error = nullptr) const noexcept {
        return rk_call(handle_, type, payload, size, options, reply, reply_capacity, received, wait.ns(), error);
    }
    /** The reply must be a Reply; anything else that the actor answers is RK_ERROR_INVALID_ARGUMENT. */
    template <class Request, class Reply>
    [[nodiscard]] rk_status try_call(const Request &request, Reply &reply, timeout wait = forever,
                                     const rk_send_options *options = nullptr,
                                     rk_error *error = nullptr) const noexcept {
        using asked = message_traits<Request>;
        using expected = message_traits<Reply>;
        rk_message received = rk_message();
        const rk_status status = rk_call(handle_, asked::type, &request, asked::size, options, &reply, expected::size,
                                         &received, wait.ns(), error);
        if (status != RK_OK || (received.type == expected::type && received.size == expected::size))
            return status;
        if (error != nullptr) {
            *error = detail::describe(RK_ERROR_INVALID_ARGUMENT, "rk_call");
            (void)std::snprintf(error->message, sizeof error->message,
                                "the reply has message type %u and %u bytes; type %u and %u bytes were expected",
                                static_cast<unsigned>(received.type), static_cast<unsigned>(received.size),
                                static_cast<unsigned>(expected::type), static_cast<unsigned>(expected::size));
        }
        return RK_ERROR_INVALID_ARGUMENT;
    }

#if !defined(RK_NO_EXCEPTIONS)
    /** False: the ring is full, within options->timeout_ns if that is given. */
    [[nodiscard]] bool send(std::uint32_t type, const void *payload, std::uint32_t size,
                            const rk_send_options *options = nullptr) const {
        return detail::done_or_throw(try_send(type, payload, size, options), "rk_send");
    }
    template <class M> [[nodiscard]] bool send(const M &message, const rk_send_options *options = nullptr) const {
        return detail::done_or_throw(try_send(message, options), "rk_send");
    }
    /** Sends and waits for the reply. Also throws when there is none in time, with status RK_TIMEOUT. */
    template <class Reply, class Request>
    Reply call(const Request &request, timeout wait = forever, const rk_send_options *options = nullptr) const {
        Reply reply = Reply();
        rk_error failure;
        const rk_status status = try_call(request, reply, wait, options, &failure);
        if (status < 0)
            throw error(failure);
        if (status != RK_OK)
            throw error(detail::describe(status, "rk_call"));
        return reply;
    }
#endif

    friend constexpr bool operator==(actor a, actor b) noexcept { return a.handle_.id == b.handle_.id; }
    friend constexpr bool operator!=(actor a, actor b) noexcept { return a.handle_.id != b.handle_.id; }
    friend constexpr bool operator<(actor a, actor b) noexcept { return a.handle_.id < b.handle_.id; }

  private:
    rk_actor handle_;
};

/** An entry for send_many. It points to the message, which must stay where it is until then. */
template <class M> rk_outbound outbound(actor to, const M &message, std::uint64_t correlation = 0) noexcept {
    rk_outbound entry = rk_outbound();
    entry.to = to.get();
    entry.correlation = correlation;
    entry.payload = &message;
    entry.type = message_traits<M>::type;
    entry.size = message_traits<M>::size;
    return entry;
}
template <class M> rk_outbound outbound(actor, const M &&, std::uint64_t = 0) = delete;

/** rk_send_many(). sent: receives how many of them, from the first, were accepted, whatever is returned. */
[[nodiscard]] inline rk_status try_send_many(const rk_outbound *messages, std::uint32_t count, timeout wait,
                                             std::uint32_t &sent) noexcept {
    return rk_send_many(messages, count, wait.ns(), &sent);
}
#if !defined(RK_NO_EXCEPTIONS)
/** How many, from the first, were accepted: fewer than count when a ring is full or an entry is wrong. Sending on from
 * that entry then throws what is wrong with it. */
[[nodiscard]] inline std::uint32_t send_many(const rk_outbound *messages, std::uint32_t count, timeout wait = no_wait) {
    std::uint32_t sent = 0;
    const rk_status status = try_send_many(messages, count, wait, sent);
    if (sent == 0)
        (void)detail::done_or_throw(status, "rk_send_many");
    return sent;
}
#endif

/** The payload of a message as bytes; valid as long as the message's inbox is left alone. */
inline std::string_view payload(const rk_message &message) noexcept {
    return {static_cast<const char *>(message.payload), message.size};
}

namespace detail {
template <class M> const M *payload_as(const rk_message &message) noexcept {
    static const M signal = M();
    if (message.type != message_traits<M>::type || message.size < message_traits<M>::size)
        return nullptr;
    return message_traits<M>::size == 0 ? &signal : static_cast<const M *>(message.payload);
}
} // namespace detail

/** The payload if the message is an M that an actor replied or emitted, else null. Where it points is the inbox. */
template <class M> const M *get_if(const rk_message &message) noexcept {
    const bool from_actor = message.kind == RK_MESSAGE_REPLY || message.kind == RK_MESSAGE_EMIT;
    return from_actor ? detail::payload_as<M>(message) : nullptr;
}

/** The payload if the message is an M that was published, else null. The topic is {message.to.id}. */
template <class M> const M *publication_if(const rk_message &message) noexcept {
    return message.kind == RK_MESSAGE_PUBLICATION ? detail::payload_as<M>(message) : nullptr;
}

/** The payload if the message is an M that came back as a dead letter, else null. */
template <class M> const M *dead_if(const rk_message &message) noexcept {
    return message.kind == RK_MESSAGE_DEAD_LETTER ? detail::payload_as<M>(message) : nullptr;
}

/** Room for what one poll receives, and a range of it until the next. Belongs to one thread at a time. */
class inbox {
  public:
    /** capacity: messages, at least 1. payload_bytes: of all of them together; with RK_PAYLOAD_MAX or more no message
     * is too large. */
    explicit inbox(std::uint32_t capacity = 64, std::size_t payload_bytes = RK_PAYLOAD_MAX)
        : messages_(capacity), payloads_((payload_bytes + sizeof(block) - 1) / sizeof(block)), count_(0) {}
    inbox(const inbox &) = delete;
    inbox &operator=(const inbox &) = delete;

    const rk_message *begin() const noexcept { return messages_.data(); }
    const rk_message *end() const noexcept { return messages_.data() + count_; }
    const rk_message &operator[](std::size_t i) const noexcept { return messages_[i]; }
    std::size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }

  private:
    friend class runtime;
    friend class queue;
    struct alignas(16) block {
        unsigned char bytes[16];
    };

    template <class Poll> rk_status fill(Poll poll) noexcept {
        count_ = 0;
        std::uint32_t count = 0;
        const rk_status status = poll(messages_.data(), static_cast<std::uint32_t>(messages_.size()), payloads_.data(),
                                      payloads_.size() * sizeof(block), &count);
        if (status == RK_OK)
            count_ = count;
        return status;
    }

    std::vector<rk_message> messages_;
    std::vector<block> payloads_;
    std::uint32_t count_;
};

namespace detail {

/** Sole owner of a handle. */
template <class Handle, rk_status (*destroy)(Handle)> class owner {
  public:
    owner() noexcept : handle_() {}
    owner(owner &&other) noexcept : handle_(other.release()) {}
    owner &operator=(owner &&other) noexcept {
        if (this != &other) {
            (void)reset();
            handle_ = other.release();
        }
        return *this;
    }
    ~owner() { (void)reset(); }

    /** The handle, for the C API; still owned here. Zero if nothing is owned. */
    Handle get() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_.id != 0; }
    /** Gives the handle up: the caller destroys it. */
    [[nodiscard]] Handle release() noexcept { return std::exchange(handle_, Handle()); }
    /** Destroys what is owned, now. After RK_ERROR_BAD_STATE, and only then, it is still there and owned. */
    rk_status reset() noexcept {
        const rk_status status = handle_.id == 0 ? RK_OK : destroy(handle_);
        if (status != RK_ERROR_BAD_STATE)
            handle_ = Handle();
        return status;
    }

  protected:
    explicit owner(Handle handle) noexcept : handle_(handle) {}

  private:
    Handle handle_;
};

} // namespace detail

/** Devices, worker threads, the queue that kernels without their own use, and all that was made in it. */
class runtime : public detail::owner<rk_runtime, rk_runtime_destroy> {
  public:
    runtime() noexcept = default;
    /** Takes over a handle. */
    explicit runtime(rk_runtime handle) noexcept : owner(handle) {}
    static result<runtime> create(const rk_runtime_options &options = runtime_options()) noexcept {
        rk_runtime handle;
        rk_error error;
        if (rk_runtime_create(RK_VERSION, &options, &handle, &error) != RK_OK)
            return error;
        return runtime(handle);
    }

    /** rk_poll(): fills the inbox, and empties it first. */
    [[nodiscard]] rk_status try_poll(inbox &inbox, timeout wait = no_wait) const noexcept {
        return inbox.fill([&](rk_message *messages, std::uint32_t capacity, void *payloads, std::size_t bytes,
                              std::uint32_t *count) {
            return rk_poll(get(), messages, capacity, payloads, bytes, wait.ns(), count);
        });
    }
    /** Makes the descriptor readable with the next message; RK_AGAIN if one is there already. */
    [[nodiscard]] rk_status try_arm() const noexcept { return rk_runtime_arm(get()); }
    /** An eventfd for epoll and the like: neither read nor close it. */
    result<int> try_fd() const noexcept {
        std::int32_t fd = -1;
        rk_error error;
        if (rk_runtime_fd(get(), &fd, &error) != RK_OK)
            return error;
        return static_cast<int>(fd);
    }
    /** All devices, usable or not; the first is the CPU. */
    result<std::vector<rk_device_properties>> try_devices() const {
        std::uint32_t count = 0;
        const rk_status status = rk_device_count(get(), &count);
        if (status != RK_OK)
            return detail::describe(status, "rk_device_count");
        std::vector<rk_device_properties> devices(count, sized_options<rk_device_properties>());
        for (std::uint32_t i = 0; i < count; i++) {
            rk_error error;
            if (rk_device_info(get(), i, &devices[i], &error) != RK_OK)
                return error;
        }
        return devices;
    }
    /** All counters in the text format of Prometheus; with those of every worker if asked for. */
    result<std::string> try_metrics(bool workers = false) const {
        const std::uint32_t flags = workers ? RK_METRICS_WORKERS : 0;
        std::string text;
        rk_error error;
        const auto append = [](void *user, const char *part, std::size_t length) {
            static_cast<std::string *>(user)->append(part, length);
        };
        if (rk_metrics_write(get(), flags, append, &text, &error) != RK_OK)
            return error;
        return text;
    }
    /** rk_trace_...: what workers do from start to stop, as JSON for Perfetto. */
    result<> try_start_trace(const rk_trace_options &options = trace_options()) const noexcept {
        rk_error error;
        if (rk_trace_start(get(), &options, &error) != RK_OK)
            return error;
        return nothing();
    }
    result<> try_stop_trace() const noexcept {
        rk_error error;
        if (rk_trace_stop(get(), &error) != RK_OK)
            return error;
        return nothing();
    }
    result<std::string> try_trace() const {
        std::string text;
        rk_error error;
        const auto append = [](void *user, const char *part, std::size_t length) {
            static_cast<std::string *>(user)->append(part, length);
        };
        if (rk_trace_write(get(), append, &text, &error) != RK_OK)
            return error;
        return text;
    }
    /** rk_alerts_check(): tells alerts' functions of what has changed. The value is how many are raised. */
    result<std::uint32_t> try_check_alerts() const noexcept {
        std::uint32_t raised = 0;
        rk_error error;
        if (rk_alerts_check(get(), &raised, &error) != RK_OK)
            return error;
        return raised;
    }
    /** rk_registry_...: names of kernels and actors. Levels are divided by '/'. */
    result<> try_add_name(std::string_view name, rk_kernel kernel) const noexcept {
        rk_error error;
        if (rk_registry_add_kernel(get(), name.data(), name.size(), kernel, &error) != RK_OK)
            return error;
        return nothing();
    }
    result<> try_add_name(std::string_view name, actor actor) const noexcept {
        rk_error error;
        if (rk_registry_add_actor(get(), name.data(), name.size(), actor.get(), &error) != RK_OK)
            return error;
        return nothing();
    }
    result<> try_remove_name(std::string_view name) const noexcept {
        rk_error error;
        if (rk_registry_remove(get(), name.data(), name.size(), &error) != RK_OK)
            return error;
        return nothing();
    }
    /** The handle is not owned. */
    result<rk_kernel> try_kernel_named(std::string_view name) const noexcept {
        rk_kernel handle;
        rk_error error;
        if (rk_registry_kernel(get(), name.data(), name.size(), &handle, &error) != RK_OK)
            return error;
        return handle;
    }
    result<actor> try_actor_named(std::string_view name) const noexcept {
        rk_actor handle;
        rk_error error;
        if (rk_registry_actor(get(), name.data(), name.size(), &handle, &error) != RK_OK)
            return error;
        return actor(handle);
    }
    /** All whose names a pattern matches: '*' is one level, '#' all that follow. */
    result<std::vector<rk_registry_entry>> try_find(std::string_view pattern) const {
        std::vector<rk_registry_entry> entries;
        std::uint32_t count = 0;
        do { /* more may come while we make room */
            entries.resize(count);
            rk_error error;
            const auto room = static_cast<std::uint32_t>(entries.size());
            if (rk_registry_find(get(), pattern.data(), pattern.size(), entries.data(), room, &count, &error) != RK_OK)
                return error;
        } while (count > entries.size());
        entries.resize(count);
        return entries;
    }
    /** rk_send_options_load(): what is zero in the options, as configured outside the program. */
    result<send_options> try_load(send_options options) const noexcept {
        rk_error error;
        if (rk_send_options_load(get(), &options, &error) != RK_OK)
            return error;
        return options;
    }
    /** rk_hlc_merge(): tells the clock of a stamp from outside, and gives a later one. */
    result<std::uint64_t> try_merge(std::uint64_t stamp) const noexcept {
        std::uint64_t now = 0;
        rk_error error;
        if (rk_hlc_merge(get(), stamp, &now, &error) != RK_OK)
            return error;
        return now;
    }
    /** A stamp of the runtime's hybrid logical clock. */
    result<std::uint64_t> try_now() const noexcept {
        std::uint64_t stamp = 0;
        const rk_status status = rk_hlc_now(get(), &stamp);
        if (status != RK_OK)
            return detail::describe(status, "rk_hlc_now");
        return stamp;
    }

#if !defined(RK_NO_EXCEPTIONS)
    explicit runtime(const rk_runtime_options &options) : runtime(create(options).value()) {}
    /** False: nothing came. */
    [[nodiscard]] bool poll(inbox &inbox, timeout wait = no_wait) const {
        return detail::done_or_throw(try_poll(inbox, wait), "rk_poll");
    }
    /** True: now wait for the descriptor. False: poll, a message is there. */
    [[nodiscard]] bool arm() const { return detail::done_or_throw(try_arm(), "rk_runtime_arm"); }
    int fd() const { return try_fd().value(); }
    std::vector<rk_device_properties> devices() const { return try_devices().value(); }
    std::uint64_t now() const { return try_now().value(); }
    std::string metrics(bool workers = false) const { return try_metrics(workers).value(); }
    void start_trace(const rk_trace_options &options = trace_options()) const { (void)try_start_trace(options).value(); }
    void stop_trace() const { (void)try_stop_trace().value(); }
    std::string trace() const { return try_trace().value(); }
    std::uint32_t check_alerts() const { return try_check_alerts().value(); }
    void add_name(std::string_view name, rk_kernel kernel) const { (void)try_add_name(name, kernel).value(); }
    void add_name(std::string_view name, actor actor) const { (void)try_add_name(name, actor).value(); }
    void remove_name(std::string_view name) const { (void)try_remove_name(name).value(); }
    rk_kernel kernel_named(std::string_view name) const { return try_kernel_named(name).value(); }
    actor actor_named(std::string_view name) const { return try_actor_named(name).value(); }
    std::vector<rk_registry_entry> find(std::string_view pattern) const { return try_find(pattern).value(); }
    send_options load(const send_options &options) const { return try_load(options).value(); }
    std::uint64_t merge(std::uint64_t stamp) const { return try_merge(stamp).value(); }
#endif
};

/** While it lives, all kernels of a runtime are at rest. The runtime may be moved meanwhile. */
class parking {
  public:
    parking() noexcept : runtime_() {}
    parking(parking &&other) noexcept : runtime_(std::exchange(other.runtime_, rk_runtime())) {}
    parking &operator=(parking &&other) noexcept {
        std::swap(runtime_, other.runtime_);
        return *this;
    }
    ~parking() {
        if (runtime_.id != 0)
            (void)rk_runtime_unpark(runtime_, nullptr);
    }
    static result<parking> create(const runtime &runtime, timeout wait = forever) noexcept {
        rk_error error;
        const rk_status status = rk_runtime_park(runtime.get(), wait.ns(), &error);
        if (status < 0)
            return error;
        if (status != RK_OK)
            return detail::describe(status, "rk_runtime_park");
        return parking(runtime.get());
    }
#if !defined(RK_NO_EXCEPTIONS)
    /** Also throws when the kernels do not come to rest in time, with status RK_TIMEOUT. */
    explicit parking(const runtime &runtime, timeout wait = forever) : parking(create(runtime, wait).value()) {}
#endif

  private:
    explicit parking(rk_runtime runtime) noexcept : runtime_(runtime) {}
    rk_runtime runtime_;
};

/** Compiled handlers. One that dies before its kernels is kept by the runtime, until that dies. */
class module : public detail::owner<rk_module, rk_module_destroy> {
  public:
    module() noexcept = default;
    /** Takes over a handle. */
    explicit module(rk_module handle) noexcept : owner(handle) {}
    /** From an image that is part of the program: RK_DECLARE_MODULE(image). */
    static result<module> create(const runtime &runtime, const rk_module_image &image) noexcept {
        rk_module handle;
        rk_error error;
        if (rk_module_create(runtime.get(), &image, &handle, &error) != RK_OK)
            return error;
        return module(handle);
    }
    /** From a file that `rkc --file` wrote. Its code runs in this process: load only files you trust. */
    static result<module> try_load(const runtime &runtime, std::string_view path) noexcept {
        rk_module handle;
        rk_error error;
        if (rk_module_load(runtime.get(), path.data(), path.size(), &handle, &error) != RK_OK)
            return error;
        return module(handle);
    }
    /** From such a file in memory, which is not needed afterwards. */
    static result<module> try_load(const runtime &runtime, const void *data, std::size_t size) noexcept {
        rk_module handle;
        rk_error error;
        if (rk_module_load_memory(runtime.get(), data, size, &handle, &error) != RK_OK)
            return error;
        return module(handle);
    }
#if !defined(RK_NO_EXCEPTIONS)
    module(const runtime &runtime, const rk_module_image &image) : module(create(runtime, image).value()) {}
    static module load(const runtime &runtime, std::string_view path) { return try_load(runtime, path).value(); }
    static module load(const runtime &runtime, const void *data, std::size_t size) {
        return try_load(runtime, data, size).value();
    }
#endif
};

/** Receives what the kernels that were given it have for the host. Threads that share one share its messages. One that
 * dies before its kernels is kept by the runtime, until that dies. */
class queue : public detail::owner<rk_queue, rk_queue_destroy> {
  public:
    queue() noexcept = default;
    /** Takes over a handle. */
    explicit queue(rk_queue handle) noexcept : owner(handle) {}
    static result<queue> create(const runtime &runtime) noexcept {
        rk_queue handle;
        rk_error error;
        if (rk_queue_create(runtime.get(), &handle, &error) != RK_OK)
            return error;
        return queue(handle);
    }

    /** As those of runtime, for this queue. */
    [[nodiscard]] rk_status try_poll(inbox &inbox, timeout wait = no_wait) const noexcept {
        return inbox.fill([&](rk_message *messages, std::uint32_t capacity, void *payloads, std::size_t bytes,
                              std::uint32_t *count) {
            return rk_queue_poll(get(), messages, capacity, payloads, bytes, wait.ns(), count);
        });
    }
    [[nodiscard]] rk_status try_arm() const noexcept { return rk_queue_arm(get()); }
    result<int> try_fd() const noexcept {
        std::int32_t fd = -1;
        rk_error error;
        if (rk_queue_fd(get(), &fd, &error) != RK_OK)
            return error;
        return static_cast<int>(fd);
    }
#if !defined(RK_NO_EXCEPTIONS)
    explicit queue(const runtime &runtime) : queue(create(runtime).value()) {}
    [[nodiscard]] bool poll(inbox &inbox, timeout wait = no_wait) const {
        return detail::done_or_throw(try_poll(inbox, wait), "rk_queue_poll");
    }
    [[nodiscard]] bool arm() const { return detail::done_or_throw(try_arm(), "rk_queue_arm"); }
    int fd() const { return try_fd().value(); }
#endif
};

/** N actors of one type on one device. The destructor terminates them and frees their memory. */
class kernel : public detail::owner<rk_kernel, rk_kernel_destroy> {
  public:
    kernel() noexcept = default;
    /** Takes over a handle. */
    explicit kernel(rk_kernel handle) noexcept : owner(handle) {}
    /** actor: name of the actor type; empty if the module has only one. */
    static result<kernel> create(const runtime &runtime, const module &module,
                                 const rk_kernel_options &options = kernel_options(),
                                 std::string_view actor = {}) noexcept {
        rk_kernel handle;
        rk_error error;
        const char *name = actor.empty() ? nullptr : actor.data();
        if (rk_kernel_launch(runtime.get(), module.get(), name, actor.size(), &options, &handle, &error) != RK_OK)
            return error;
        return kernel(handle);
    }

    /** Messages are handled. */
    result<> try_activate() const noexcept {
        rk_error error;
        if (rk_kernel_activate(get(), &error) != RK_OK)
            return error;
        return nothing();
    }
    /** Messages wait. */
    result<> try_deactivate() const noexcept {
        rk_error error;
        if (rk_kernel_deactivate(get(), &error) != RK_OK)
            return error;
        return nothing();
    }
    /** Handles what is there, then ends. False: it goes on draining. */
    result<bool> try_drain(timeout wait = forever) const noexcept {
        rk_error error;
        const rk_status status = rk_kernel_drain(get(), wait.ns(), &error);
        if (status < 0)
            return error;
        return status == RK_OK;
    }
    /** Ends now. The value is how many messages were waiting; they become dead letters. */
    result<std::uint64_t> try_terminate() const noexcept {
        std::uint64_t left = 0;
        rk_error error;
        if (rk_kernel_terminate(get(), &left, &error) != RK_OK)
            return error;
        return left;
    }
    /** The kernel as bytes. flags: RK_SNAPSHOT_..., see rk_kernel_snapshot(). */
    result<std::vector<std::byte>> try_snapshot(std::uint32_t flags = 0) const {
        void *data = nullptr;
        std::size_t size = 0;
        rk_error error;
        if (rk_kernel_snapshot(get(), flags, &data, &size, &error) != RK_OK)
            return error;
        const std::unique_ptr<void, decltype(&rk_snapshot_free)> owned(data, rk_snapshot_free);
        const auto *bytes = static_cast<const std::byte *>(data);
        return std::vector<std::byte>(bytes, bytes + size);
    }
    /** A kernel that begins as a snapshot says. flags: RK_RESTORE_..., see rk_kernel_restore(). */
    static result<kernel> restore(const runtime &runtime, const module &module, const void *data, std::size_t size,
                                  std::uint32_t flags = 0, const rk_kernel_options &options = kernel_options()) noexcept {
        rk_kernel handle;
        rk_error error;
        if (rk_kernel_restore(runtime.get(), module.get(), data, size, flags, &options, &handle, &error) != RK_OK)
            return error;
        return kernel(handle);
    }
    /** RK_KERNEL_... */
    result<std::uint32_t> try_state() const noexcept {
        std::uint32_t state = 0;
        const rk_status status = rk_kernel_state(get(), &state);
        if (status != RK_OK)
            return detail::describe(status, "rk_kernel_state");
        return state;
    }
    result<rk_kernel_statistics> try_statistics() const noexcept {
        sized_options<rk_kernel_statistics> statistics;
        rk_error error;
        if (rk_kernel_stats(get(), &statistics, &error) != RK_OK)
            return error;
        return rk_kernel_statistics(statistics);
    }
    /** How long messages waited or handlers took: RK_LATENCY_...; of one worker, or of all. */
    result<rk_latency> try_latency(std::uint32_t which, std::uint32_t worker = RK_NONE) const noexcept {
        sized_options<rk_latency> latency;
        rk_error error;
        if (rk_kernel_latency(get(), which, worker, &latency, &error) != RK_OK)
            return error;
        return rk_latency(latency);
    }
    result<rk::actor> try_actor(std::uint32_t index) const noexcept {
        rk_actor handle = rk_actor();
        const rk_status status = rk_kernel_actor(get(), index, &handle);
        if (status != RK_OK)
            return detail::describe(status, "rk_kernel_actor");
        return rk::actor(handle);
    }

#if !defined(RK_NO_EXCEPTIONS)
    kernel(const runtime &runtime, const module &module, const rk_kernel_options &options = kernel_options(),
           std::string_view actor = {})
        : kernel(create(runtime, module, options, actor).value()) {}
    void activate() const { (void)try_activate().value(); }
    void deactivate() const { (void)try_deactivate().value(); }
    [[nodiscard]] bool drain(timeout wait = forever) const { return try_drain(wait).value(); }
    std::uint64_t terminate() const { return try_terminate().value(); }
    std::uint32_t state() const { return try_state().value(); }
    rk_latency latency(std::uint32_t which, std::uint32_t worker = RK_NONE) const {
        return try_latency(which, worker).value();
    }
    rk_kernel_statistics statistics() const { return try_statistics().value(); }
    std::vector<std::byte> snapshot(std::uint32_t flags = 0) const { return try_snapshot(flags).value(); }
    rk::actor actor(std::uint32_t index) const { return try_actor(index).value(); }
#endif
};

/** Bytes that handlers read and write in place. Its id goes into messages. Destroying it does not wait for handlers. */
class buffer : public detail::owner<rk_buffer, rk_buffer_destroy> {
  public:
    buffer() noexcept = default;
    /** Takes over a handle. */
    explicit buffer(rk_buffer handle) noexcept : owner(handle) {}
    static result<buffer> create(const runtime &runtime, const rk_buffer_options &options) noexcept {
        rk_buffer handle;
        rk_error error;
        if (rk_buffer_create(runtime.get(), &options, &handle, &error) != RK_OK)
            return error;
        return buffer(handle);
    }
    static result<buffer> create(const runtime &runtime, std::uint64_t bytes) noexcept {
        buffer_options options;
        options.size = bytes;
        return create(runtime, options);
    }

    /** For messages. */
    std::uint64_t id() const noexcept { return get().id; }
    result<> try_upload(std::uint64_t offset, const void *data, std::size_t size) const noexcept {
        rk_error error;
        if (rk_buffer_upload(get(), offset, data, size, &error) != RK_OK)
            return error;
        return nothing();
    }
    result<> try_download(std::uint64_t offset, void *data, std::size_t size) const noexcept {
        rk_error error;
        if (rk_buffer_download(get(), offset, data, size, &error) != RK_OK)
            return error;
        return nothing();
    }
    /** Where the host reaches the bytes, as long as the buffer lives. */
    result<void *> try_map() const noexcept {
        void *address = nullptr;
        rk_error error;
        if (rk_buffer_map(get(), &address, &error) != RK_OK)
            return error;
        return address;
    }
#if !defined(RK_NO_EXCEPTIONS)
    buffer(const runtime &runtime, const rk_buffer_options &options) : buffer(create(runtime, options).value()) {}
    buffer(const runtime &runtime, std::uint64_t bytes) : buffer(create(runtime, bytes).value()) {}
    void upload(std::uint64_t offset, const void *data, std::size_t size) const {
        (void)try_upload(offset, data, size).value();
    }
    void download(std::uint64_t offset, void *data, std::size_t size) const {
        (void)try_download(offset, data, size).value();
    }
    /** Elements from the start of the buffer. */
    template <class T> void upload(const std::vector<T> &elements) const {
        static_assert(std::is_trivially_copyable<T>::value, "elements have to be plain bytes");
        upload(0, elements.data(), elements.size() * sizeof(T));
    }
    template <class T> std::vector<T> download(std::size_t count) const {
        static_assert(std::is_trivially_copyable<T>::value, "elements have to be plain bytes");
        std::vector<T> elements(count);
        download(0, elements.data(), count * sizeof(T));
        return elements;
    }
    void *map() const { return try_map().value(); }
#endif
};

/** A topic that is open. The destructor closes it for everybody: release() it where others have opened it too. */
class topic : public detail::owner<rk_topic, rk_topic_close> {
  public:
    topic() noexcept = default;
    /** Takes over a handle. */
    explicit topic(rk_topic handle) noexcept : owner(handle) {}
    static result<topic> create(const runtime &runtime, std::string_view name,
                                const rk_topic_options &options = topic_options()) noexcept {
        rk_topic handle;
        rk_error error;
        if (rk_topic_open(runtime.get(), name.data(), name.size(), &options, &handle, &error) != RK_OK)
            return error;
        return topic(handle);
    }

    /** What handlers publish to. */
    std::uint64_t address() const noexcept { return get().id; }
    /** rk_publish(). */
    [[nodiscard]] rk_status try_publish(std::uint32_t type, const void *payload, std::uint32_t size,
                                        const rk_publish_options *options = nullptr) const noexcept {
        return rk_publish(get(), type, payload, size, options);
    }
    template <class M>
    [[nodiscard]] rk_status try_publish(const M &message, const rk_publish_options *options = nullptr) const noexcept {
        return rk_publish(get(), message_traits<M>::type, &message, message_traits<M>::size, options);
    }
    result<rk_topic_statistics> try_statistics() const noexcept {
        sized_options<rk_topic_statistics> statistics;
        rk_error error;
        if (rk_topic_stats(get(), &statistics, &error) != RK_OK)
            return error;
        return rk_topic_statistics(statistics);
    }
#if !defined(RK_NO_EXCEPTIONS)
    topic(const runtime &runtime, std::string_view name, const rk_topic_options &options = topic_options())
        : topic(create(runtime, name, options).value()) {}
    /** False: a subscription that publishers wait for has no room; nobody has the message. */
    template <class M> [[nodiscard]] bool publish(const M &message, const rk_publish_options *options = nullptr) const {
        return detail::done_or_throw(try_publish(message, options), "rk_publish");
    }
    rk_topic_statistics statistics() const { return try_statistics().value(); }
#endif
};

/** A subscription of an actor or queue, which its options name. One that ends with its actor's kernel needs no owner. */
class subscription : public detail::owner<rk_subscription, rk_unsubscribe> {
  public:
    subscription() noexcept = default;
    /** Takes over a handle. */
    explicit subscription(rk_subscription handle) noexcept : owner(handle) {}
    static result<subscription> create(const runtime &runtime, std::string_view filter,
                                       const rk_subscription_options &options = subscription_options()) noexcept {
        rk_subscription handle;
        rk_error error;
        if (rk_subscribe(runtime.get(), filter.data(), filter.size(), &options, &handle, &error) != RK_OK)
            return error;
        return subscription(handle);
    }

    result<rk_subscription_statistics> try_statistics() const noexcept {
        sized_options<rk_subscription_statistics> statistics;
        rk_error error;
        if (rk_subscription_stats(get(), &statistics, &error) != RK_OK)
            return error;
        return rk_subscription_statistics(statistics);
    }
#if !defined(RK_NO_EXCEPTIONS)
    subscription(const runtime &runtime, std::string_view filter,
                 const rk_subscription_options &options = subscription_options())
        : subscription(create(runtime, filter, options).value()) {}
    rk_subscription_statistics statistics() const { return try_statistics().value(); }
#endif
};

/** Tells a function when a value crosses a threshold, inside runtime.check_alerts(). The function must not throw. Destroy
 * it in the thread that checks, or when none does. */
class alert : public detail::owner<rk_alert, rk_alert_destroy> {
  public:
    using function = std::function<void(const rk_alert_notice &)>;

    alert() noexcept = default;
    alert(alert &&) noexcept = default;
    alert &operator=(alert &&) noexcept = default;
    /** options.notify and user are ours. */
    static result<alert> create(const runtime &runtime, rk_alert_options options, function notify) {
        auto kept = std::make_unique<function>(std::move(notify));
        options.notify = [](void *user, const rk_alert_notice *notice) { (*static_cast<function *>(user))(*notice); };
        options.user = kept.get();
        rk_alert handle;
        rk_error error;
        if (rk_alert_create(runtime.get(), &options, &handle, &error) != RK_OK)
            return error;
        return alert(handle, std::move(kept));
    }
#if !defined(RK_NO_EXCEPTIONS)
    alert(const runtime &runtime, const rk_alert_options &options, function notify)
        : alert(create(runtime, options, std::move(notify)).value()) {}
#endif
    ~alert() { (void)reset(); } /* before the function goes */

  private:
    alert(rk_alert handle, std::unique_ptr<function> notify) noexcept : owner(handle), notify_(std::move(notify)) {}
    std::unique_ptr<function> notify_;
};

} // namespace rk

template <> struct std::hash<rk::actor> {
    std::size_t operator()(rk::actor actor) const noexcept { return std::hash<std::uint64_t>()(actor.address()); }
};

#endif
