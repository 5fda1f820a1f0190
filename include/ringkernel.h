/*
 * ringkernel.h: GPU actors for C, C++, Go and Zig.
 *
 * Generated from src/capi by cbindgen (run `cargo test --test header` with UPDATE=1 to renew it); do not edit.
 *
 * In general
 *   Handles   are passed by value and never valid when zero. One that was destroyed, also by another thread at this
 *             moment, gives RK_ERROR_STALE_HANDLE and nothing else happens.
 *   Status    RK_OK is 0, errors are negative, RK_AGAIN and RK_TIMEOUT are positive and no errors. `error` may always
 *             be NULL.
 *   Options   start with struct_size; zero everywhere means the defaults. Set them up with RK_..._INIT, or the
 *             _init function, so that fields added later are zero. NULL is the defaults.
 *   Strings   come in as pointer and length in UTF-8.
 *   Threads   every function may be called from any thread at any time unless it says otherwise.
 *   After     fork() the child gets RK_ERROR_FORKED from everything but rk_version() and rk_status_name().
 *   The host  is left alone: nothing is printed, no signal handler installed, no exit handler registered.
 *   Messages  travel from rk_send() over a ring to a handler (ringkernel/actor.h) and from its replies over a ring to
 *             rk_poll(). Nothing is lost silently: what cannot be delivered comes back as a dead letter and is counted.
 */


#ifndef RINGKERNEL_H
#define RINGKERNEL_H

#include <stddef.h>
#include <stdint.h>

/** Version of this header, for rk_runtime_create(). */
#define RK_VERSION (((uint32_t)RK_VERSION_MAJOR << 22) | ((uint32_t)RK_VERSION_MINOR << 12) | RK_VERSION_PATCH)

/** A compiled module, defined in ringkernel/module.h and written by rkc. */
#ifndef RK_MODULE_IMAGE_DECLARED
#define RK_MODULE_IMAGE_DECLARED
typedef struct rk_module_image rk_module_image;
#endif

/** Initialisers: `rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;` */
#ifdef __cplusplus
template <class T> static inline T rk_sized_() {
    T value = T();
    value.struct_size = sizeof(T);
    return value;
}
#define RK_SIZED_(type) rk_sized_<type>()
#else
#define RK_SIZED_(type) {.struct_size = sizeof(type)}
#endif
#define RK_RUNTIME_OPTIONS_INIT RK_SIZED_(rk_runtime_options)
#define RK_VULKAN_CONTEXT_INIT RK_SIZED_(rk_vulkan_context)
#define RK_KERNEL_OPTIONS_INIT RK_SIZED_(rk_kernel_options)
#define RK_SEND_OPTIONS_INIT RK_SIZED_(rk_send_options)
#define RK_KERNEL_STATISTICS_INIT RK_SIZED_(rk_kernel_statistics)
#define RK_LATENCY_INIT RK_SIZED_(rk_latency)
#define RK_ALERT_OPTIONS_INIT RK_SIZED_(rk_alert_options)
#define RK_TRACE_OPTIONS_INIT RK_SIZED_(rk_trace_options)
#define RK_BUFFER_OPTIONS_INIT RK_SIZED_(rk_buffer_options)
#define RK_BUFFER_PROPERTIES_INIT RK_SIZED_(rk_buffer_properties)
#define RK_TOPIC_OPTIONS_INIT RK_SIZED_(rk_topic_options)
#define RK_TOPIC_STATISTICS_INIT RK_SIZED_(rk_topic_statistics)
#define RK_PUBLISH_OPTIONS_INIT RK_SIZED_(rk_publish_options)
#define RK_SUBSCRIPTION_OPTIONS_INIT RK_SIZED_(rk_subscription_options)
#define RK_SUBSCRIPTION_STATISTICS_INIT RK_SIZED_(rk_subscription_statistics)
#define RK_DEVICE_PROPERTIES_INIT RK_SIZED_(rk_device_properties)
#define RK_SELFTEST_REPORT_INIT RK_SIZED_(rk_selftest_report)
#define RK_SNAPSHOT_INFO_INIT RK_SIZED_(rk_snapshot_info)

/**
 * Version of this header; a program passes RK_VERSION, made of these, to rk_runtime_create().
 */
#define RK_VERSION_MAJOR 0

/**
 * See RK_VERSION_MAJOR.
 */
#define RK_VERSION_MINOR 1

/**
 * See RK_VERSION_MAJOR.
 */
#define RK_VERSION_PATCH 0

/**
 * rk_error.native_domain: there is no native code.
 */
#define RK_NATIVE_NONE 0

/**
 * rk_error.native_domain: native_code is an errno.
 */
#define RK_NATIVE_ERRNO 1

/**
 * rk_error.native_domain: native_code is a CUresult.
 */
#define RK_NATIVE_CUDA 2

/**
 * rk_error.native_domain: native_code is an nvrtcResult.
 */
#define RK_NATIVE_NVRTC 3

/**
 * rk_error.native_domain: native_code is a VkResult.
 */
#define RK_NATIVE_VULKAN 4

/**
 * rk_error.flags: the same call may succeed later.
 */
#define RK_ERROR_FLAG_RETRIABLE 1

/**
 * rk_error.flags: the object is beyond use and can only be destroyed.
 */
#define RK_ERROR_FLAG_FATAL 2

/**
 * Bytes of rk_error.message, with its NUL.
 */
#define RK_ERROR_MESSAGE_SIZE 488

/**
 * Backend by choice: as configured (see rk_runtime_create()), else CUDA where there is a device that can be used and code for
 * it or an NVRTC that makes some, else the CPU. It is found out once for a runtime, by the first kernel or buffer that leaves
 * it open, which opens the CUDA driver if there is one (some tenths of a second); a later kernel whose module has nothing
 * for that device goes to the CPU. rk_kernel_stats() and rk_buffer_info() say where, the log at RK_LOG_INFO why. Vulkan is
 * asked for by name.
 */
#define RK_BACKEND_AUTO 0

/**
 * Worker threads of this process. Always there.
 */
#define RK_BACKEND_CPU 1

/**
 * NVIDIA GPUs, through the CUDA driver.
 */
#define RK_BACKEND_CUDA 2

/**
 * GPUs through Vulkan compute.
 */
#define RK_BACKEND_VULKAN 3

/**
 * Log levels; a callback gets messages of its level and below.
 */
#define RK_LOG_ERROR 1

/**
 * See RK_LOG_ERROR.
 */
#define RK_LOG_WARN 2

/**
 * See RK_LOG_ERROR.
 */
#define RK_LOG_INFO 3

/**
 * See RK_LOG_ERROR.
 */
#define RK_LOG_DEBUG 4

/**
 * In place of a time or count where zero means "default": none at all.
 */
#define RK_NONE 4294967295

/**
 * As a timeout: wait without limit.
 */
#define RK_FOREVER -1

/**
 * rk_vulkan_context.features: what the device was created with, as Vulkan names it. The first seven are needed, the next
 * five by modules that use such types, the last two by kernels that measure latencies.
 */
#define RK_VULKAN_MEMORY_MODEL 1

/**
 * vulkanMemoryModelDeviceScope
 */
#define RK_VULKAN_MEMORY_MODEL_DEVICE_SCOPE 2

/**
 * bufferDeviceAddress
 */
#define RK_VULKAN_BUFFER_DEVICE_ADDRESS 4

/**
 * scalarBlockLayout
 */
#define RK_VULKAN_SCALAR_BLOCK_LAYOUT 8

/**
 * timelineSemaphore
 */
#define RK_VULKAN_TIMELINE_SEMAPHORE 16

/**
 * shaderInt64
 */
#define RK_VULKAN_SHADER_INT64 32

/**
 * shaderBufferInt64Atomics
 */
#define RK_VULKAN_SHADER_BUFFER_INT64_ATOMICS 64

/**
 * shaderInt16
 */
#define RK_VULKAN_SHADER_INT16 128

/**
 * shaderInt8
 */
#define RK_VULKAN_SHADER_INT8 256

/**
 * storageBuffer16BitAccess
 */
#define RK_VULKAN_STORAGE_BUFFER_16BIT_ACCESS 512

/**
 * storageBuffer8BitAccess
 */
#define RK_VULKAN_STORAGE_BUFFER_8BIT_ACCESS 1024

/**
 * shaderFloat64
 */
#define RK_VULKAN_SHADER_FLOAT64 2048

/**
 * shaderDeviceClock, of VK_KHR_shader_clock
 */
#define RK_VULKAN_SHADER_DEVICE_CLOCK 4096

/**
 * shaderSubgroupClock, of VK_KHR_shader_clock
 */
#define RK_VULKAN_SHADER_SUBGROUP_CLOCK 8192

/**
 * Message type, without payload, that every actor takes: it starts, with the state that it was launched with. Also one that
 * runs, has stopped or has failed. Sent as any other, by rk_send() or by handlers (see ringkernel/actor.h), and taken in
 * order with them.
 *
 * An actor that one of the same kernel starts is its child, unless it is somebody's already, and ends when its parent does: when
 * that stops, is stopped, or fails for good, but not when it is restarted or started again. Its own children end with it. The
 * host is nobody's parent. A child stays one until its parent ends: also if it stopped meanwhile and was started again, by
 * whomever. If its parent has ended when it takes this, it ends at once.
 *
 * Children hear of their parent's end by a message, of normal priority, which rk_kernel_statistics counts as others: it takes
 * its time. What the parent sends to a child after it was started again comes after that, as of one sender, unless its
 * priority is higher. What waits for a child that has ended becomes dead letters.
 */
#define RK_ACTOR_START 65281

/**
 * The same: it stops, and its children with it; messages become dead letters until it is started.
 */
#define RK_ACTOR_STOP 65282

/**
 * rk_kernel_options.on_failure: the actor starts again, with the state that it was launched with (but see
 * RK_ON_FAILURE_FROM_SNAPSHOT), and handles what waits for it. The message at which it failed counts as handled, and is not
 * given to it again but for what RK_QOS_AT_LEAST_ONCE says; what the handler had sent before is sent. Its children go on.
 */
#define RK_ON_FAILURE_RESTART 1

/**
 * An actor that fails for good (with RK_ON_FAILURE_RESTART: after too many restarts) takes its kernel with it: the
 * kernel ends as by rk_kernel_terminate(), what waits becomes dead letters, and its state is then RK_KERNEL_FAILED.
 */
#define RK_ON_FAILURE_ESCALATE 2

/**
 * With RK_ON_FAILURE_RESTART, without which it is an error: the actor starts again with the state that it had in the last
 * snapshot that rk_kernel_snapshot() gave, or in the one that rk_kernel_restore() made the kernel of. If there is none, or
 * RK_ACTOR_START has started the actor since, with the state that it was launched with, as one that was stopped or had failed
 * in the snapshot does in any case. What waits for it is not taken back. Takes memory for every state a second time, where
 * the states are.
 */
#define RK_ON_FAILURE_FROM_SNAPSHOT 4

/**
 * rk_kernel_options.inbound_memory: in the device's own memory if it can be written by the host and rk_selftest() finds
 * that it works and is not slower there, else in the host's. On the CPU backend all are the same.
 */
#define RK_INBOUND_AUTO 0

/**
 * In the host's memory, which the device maps. Round trips take half as long again.
 */
#define RK_INBOUND_HOST 1

/**
 * In the device's memory; RK_ERROR_UNSUPPORTED where that does not work.
 */
#define RK_INBOUND_DEVICE 2

/**
 * Kernel states.
 */
#define RK_KERNEL_CREATED 1

/**
 * Messages are handled.
 */
#define RK_KERNEL_ACTIVE 2

/**
 * Messages are accepted and wait.
 */
#define RK_KERNEL_SUSPENDED 3

/**
 * What is there is handled, nothing more accepted from the host.
 */
#define RK_KERNEL_DRAINING 4

/**
 * Over; what was left became dead letters.
 */
#define RK_KERNEL_TERMINATED 5

/**
 * Over because of a fault of the device or the library, or of an actor, see RK_ON_FAILURE_ESCALATE.
 */
#define RK_KERNEL_FAILED 6

/**
 * Priorities. Any value of 1 to 255 is taken for the highest of these not above it. Messages of one sender to one
 * actor stay in order within a priority; a higher one overtakes.
 */
#define RK_PRIORITY_DEFAULT 0

/**
 * Level 0, below 64.
 */
#define RK_PRIORITY_LOW 1

/**
 * Level 64; what RK_PRIORITY_DEFAULT stands for.
 */
#define RK_PRIORITY_NORMAL 64

/**
 * Level 128.
 */
#define RK_PRIORITY_HIGH 128

/**
 * Level 192.
 */
#define RK_PRIORITY_CRITICAL 192

/**
 * rk_message.kind: an actor's reply to a message from the host.
 */
#define RK_MESSAGE_REPLY 1

/**
 * rk_message.kind: an actor's message that answers none.
 */
#define RK_MESSAGE_EMIT 2

/**
 * rk_message.kind: a message that could not be handled comes back; `reason` says why.
 */
#define RK_MESSAGE_DEAD_LETTER 3

/**
 * rk_message.kind: something happened to a kernel or actor; type is RK_EVENT_..., reason a code.
 */
#define RK_MESSAGE_EVENT 4

/**
 * rk_message.kind: a message that was published to a topic, `to`, which a queue is subscribed to: see rk_subscribe().
 */
#define RK_MESSAGE_PUBLICATION 5

/**
 * Why a message became a dead letter; rk_message.reason.
 */
#define RK_DEAD_EXPIRED 1

/**
 * The address has no actor, or not any more.
 */
#define RK_DEAD_NO_ACTOR 2

/**
 * The actor had stopped.
 */
#define RK_DEAD_STOPPED 3

/**
 * The actor had failed.
 */
#define RK_DEAD_FAILED 4

/**
 * The actor does not handle that type.
 */
#define RK_DEAD_UNKNOWN_TYPE 5

/**
 * The kernel was terminated with the message waiting.
 */
#define RK_DEAD_TERMINATED 6

/**
 * Memory for messages on their way between actors ran out.
 */
#define RK_DEAD_OVERFLOW 7

/**
 * The payload is larger than the type's, or than the receiver's rings can carry.
 */
#define RK_DEAD_SIZE 8

/**
 * An actor's handler failed, and the actor with it; `from` is the actor, reason its code.
 */
#define RK_EVENT_ACTOR_FAILED 1

/**
 * A kernel was terminated or drained; the payload is empty.
 */
#define RK_EVENT_KERNEL_TERMINATED 2

/**
 * A kernel failed; reason is an rk_status.
 */
#define RK_EVENT_KERNEL_FAILED 3

/**
 * A transfer of a buffer is done, or failed; reason is an rk_status.
 */
#define RK_EVENT_TRANSFER 4

/**
 * An actor's handler failed and it was restarted; `from` is the actor, reason its code. Left out while the host has
 * 4096 letters of the worker unread; rk_kernel_statistics.restarts counts all.
 */
#define RK_EVENT_ACTOR_RESTARTED 5

/**
 * Room for a name in rk_registry_entry, with its NUL.
 */
#define RK_NAME_SIZE 232

/**
 * rk_route(): one worker has both actors.
 */
#define RK_ROUTE_WORKER 1

/**
 * rk_route(): a ring in the memory of the device that both are on, the CPU or a GPU.
 */
#define RK_ROUTE_DEVICE 2

/**
 * rk_route(): the host takes messages from one device to the other.
 */
#define RK_ROUTE_HOST 3

/**
 * Room for what rk_hlc_format() writes, with its NUL.
 */
#define RK_HLC_TEXT_SIZE 40

/**
 * rk_metrics_write(), rk_metrics_format(): also the metrics of every worker.
 */
#define RK_METRICS_WORKERS 1

/**
 * rk_kernel_latency(): from a handler's start to its end.
 */
#define RK_LATENCY_HANDLER 1

/**
 * rk_kernel_latency(): from the stamp that a message got when it was sent to its handler's start.
 */
#define RK_LATENCY_QUEUE 2

/**
 * rk_alert_options.metric: messages a second that became dead letters, had nowhere to go or found an outbox full.
 */
#define RK_ALERT_DROPS 1

/**
 * rk_alert_options.metric: handlers a second that failed.
 */
#define RK_ALERT_FAILURES 2

/**
 * rk_alert_options.metric: messages waiting in rings.
 */
#define RK_ALERT_DEPTH 3

/**
 * rk_alert_options.metric: nanoseconds that messages waited, of kernels that measure it (latency_every).
 */
#define RK_ALERT_QUEUE_TIME 4

/**
 * rk_alert_options.metric: nanoseconds that handlers took, of kernels that measure it.
 */
#define RK_ALERT_HANDLER_TIME 5

/**
 * rk_alert_options.metric: bytes of memory of states, actor tables and rings; of a whole runtime, of buffers too.
 */
#define RK_ALERT_MEMORY 6

/**
 * rk_trace_options.events: a slice for each handler, named after the type of its message, from its start to its end.
 */
#define RK_TRACE_HANDLERS 1

/**
 * rk_trace_options.events: a slice for each reply, emit and message that a worker puts into a ring.
 */
#define RK_TRACE_SENDS 2

/**
 * rk_trace_options.events: a slice for each visit of a worker's pump to its thread, and for each quantum of a kernel on a
 * GPU.
 */
#define RK_TRACE_VISITS 4

/**
 * rk_trace_options.events: how many messages wait for a worker at the end of its visits.
 */
#define RK_TRACE_DEPTH 8

/**
 * rk_kernel_snapshot(): the kernel ends with it.
 */
#define RK_SNAPSHOT_END 1

/**
 * rk_kernel_restore(): the actors get new addresses.
 */
#define RK_RESTORE_NEW_ADDRESSES 1

/**
 * rk_topic_options.flags: the topic retains the last message that is published to it, by whomever, as
 * RK_PUBLISH_RETAIN does for one message.
 */
#define RK_TOPIC_RETAIN 1

/**
 * rk_publish_options.flags: the message is kept, and subscriptions made later get it at once; the next one that is retained
 * takes its place. One without payload leaves none kept.
 */
#define RK_PUBLISH_RETAIN 1

/**
 * rk_subscription_options.qos: a message is lost, and counted, where an actor's ring has no room at that moment; a
 * subscription of an actor keeps none.
 */
#define RK_QOS_AT_MOST_ONCE 0

/**
 * rk_subscription_options.qos: what finds no room waits in the subscription's queue; none is lost unless that overflows,
 * and with RK_OVERFLOW_BLOCK it does not. A subscriber of which several subscriptions match gets a message through each.
 *
 * An actor acknowledges a message when its handler returns and has not failed. If it has, and the actor is restarted
 * (RK_ON_FAILURE_RESTART), the message is sent to the actor again with all that is said of it, until a handler does
 * not fail, the deadline has passed, which makes a dead letter of it, as does the kernel's end or that there is no
 * room for it on a device (RK_DEAD_OVERFLOW), or the actor is not restarted any more and has failed for good. It goes
 * behind what its handler had sent and what waits for the actor by then, so these messages do not keep their order.
 * Snapshots keep what is not acknowledged. In rk_kernel_statistics each time counts as one more message that the
 * actor sent, to itself; topics and subscriptions count it as delivered once.
 */
#define RK_QOS_AT_LEAST_ONCE 1

/**
 * rk_subscription_options.qos: what finds no room waits likewise, and of the subscriptions of one subscriber with this quality
 * that match a topic only the oldest counts: it gets no message twice, and an actor none again at which it failed.
 */
#define RK_QOS_EXACTLY_ONCE 2

/**
 * rk_subscription_options.overflow: when the queue is full, the message that comes is dropped.
 */
#define RK_OVERFLOW_DROP_NEWEST 1

/**
 * rk_subscription_options.overflow: when the queue is full, the one that waited longest is dropped.
 */
#define RK_OVERFLOW_DROP_OLDEST 2

/**
 * rk_subscription_options.overflow: when the queue is full, publishers wait: rk_publish() as long as it may, an actor's
 * worker as for a full ring. What actors on a device publish waits at the host, which holds them up when that is much.
 */
#define RK_OVERFLOW_BLOCK 3

/**
 * Result of every call. Negative: an error. Zero: done. Positive: an ordinary outcome that is not an error.
 */
typedef int32_t rk_status;

/**
 * Receives log messages. `text` is UTF-8 of `length` bytes, not NUL-terminated, valid during the call only. Called
 * from any thread, the library's own included, with no lock held; must not call back into the library, and must not
 * unwind.
 */
typedef void (*rk_log_fn)(void *user, uint32_t level, const char *text, size_t length);

/**
 * Takes a queue for the calling thread, or gives it back. Called from threads of the library, with no lock held that a
 * host program could know; must not call back into the library, and must not unwind.
 */
typedef void (*rk_vulkan_lock_fn)(void *user);

/**
 * A Vulkan device of the host program, of Vulkan 1.2 or later. It is used from the library's threads while the runtime
 * exists, which must be destroyed first, and none of it is ever destroyed or reset by the library.
 */
typedef struct rk_vulkan_context {
    /**
     * sizeof this struct, as RK_VULKAN_CONTEXT_INIT sets it.
     */
    uint32_t struct_size;
    /**
     * Family of `queue`, which computes.
     */
    uint32_t queue_family;
    /**
     * VkInstance.
     */
    void *instance;
    /**
     * VkPhysicalDevice.
     */
    void *physical_device;
    /**
     * VkDevice.
     */
    void *device;
    /**
     * VkQueue. With a pump submitted to it at times, never for longer than some milliseconds.
     */
    void *queue;
    /**
     * vkGetInstanceProcAddr of the loader that these are of; NULL: that of libvulkan.so.1.
     */
    void *get_instance_proc_addr;
    /**
     * RK_VULKAN_... bits of the features that the device was created with.
     */
    uint32_t features;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Called before and after the library submits to `queue`, which Vulkan lets one thread do at a time. Both or
     * neither: NULL says that the queue is the library's alone.
     */
    rk_vulkan_lock_fn lock;
    /**
     * See lock.
     */
    rk_vulkan_lock_fn unlock;
    /**
     * Passed to `lock` and `unlock`.
     */
    void *lock_user;
} rk_vulkan_context;

/**
 * Options of a runtime. Zero everywhere is a good default.
 */
typedef struct rk_runtime_options {
    /**
     * sizeof this struct, as RK_RUNTIME_OPTIONS_INIT sets it.
     */
    uint32_t struct_size;
    /**
     * RK_BACKEND_... for kernels and buffers that do not name one.
     */
    uint32_t backend;
    /**
     * Threads of the CPU backend, 1 to 1024. 0: one less than the processors this process may use, at least one.
     */
    uint32_t cpu_threads;
    /**
     * Microseconds that an idle thread of ours looks for work before it sleeps. 0: 50. RK_NONE: sleeps at once.
     */
    uint32_t spin_us;
    /**
     * Longest stay of a kernel's pump on a device, in microseconds, 100 to 1,000,000. 0: 2000.
     */
    uint32_t quantum_us;
    /**
     * RK_LOG_... level for `log`. 0: RK_LOG_WARN.
     */
    uint32_t log_level;
    /**
     * Receives log messages; NULL: the library is silent.
     */
    rk_log_fn log;
    /**
     * Passed to `log`.
     */
    void *log_user;
    /**
     * Processors for the CPU backend: thread i runs on cpus[i % cpu_count]. NULL: wherever the system puts it. Read
     * during the call only.
     */
    const uint32_t *cpus;
    /**
     * Entries of `cpus`.
     */
    uint32_t cpu_count;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * How far ahead of this machine's time another clock may be, in milliseconds, 1 to 3,600,000: see rk_hlc_merge().
     * 0: 1000. RK_NONE: no bound but the 36 years before the last stamp that there can be.
     */
    uint32_t clock_drift_ms;
    /**
     * Multiprocessors of a CUDA device that all kernels of the runtime together may use at most, rounded up to what the
     * device can set apart (groups of 8 on compute capability 9.0); the others never run them. 0, or so many that no
     * group is left: all. Launches fail with RK_ERROR_UNSUPPORTED where the driver is older than CUDA 12.5. Two runtimes
     * may be given the same ones.
     */
    uint32_t cuda_multiprocessors;
    /**
     * Path of a TOML file with options for what is zero here and in other structs of options, see
     * rk_runtime_create(); UTF-8. NULL: what RINGKERNEL_CONFIG from the environment names, if set. Read during the call
     * only.
     */
    const char *config;
    /**
     * Bytes of `config`.
     */
    size_t config_length;
    /**
     * The host program's own Vulkan device, for the Vulkan backend to use; NULL: it makes its own. Copied.
     */
    const struct rk_vulkan_context *vulkan;
} rk_runtime_options;

/**
 * A runtime: devices, worker threads, kernels. Zero is never valid.
 */
typedef struct rk_runtime {
    /**
     * Opaque.
     */
    uint64_t id;
} rk_runtime;

/**
 * Detail of a failed call. Owned by the caller, who may leave it uninitialised; a call that returns a negative status
 * fills it, any other leaves it alone. Nothing is kept per thread.
 */
typedef struct rk_error {
    /**
     * The status that the call returned.
     */
    rk_status status;
    /**
     * RK_NATIVE_...: what native_code is.
     */
    uint32_t native_domain;
    /**
     * Code of the operating system or driver, 0 if none.
     */
    int64_t native_code;
    /**
     * RK_ERROR_FLAG_... bits.
     */
    uint32_t flags;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * What happened, in English; UTF-8, NUL-terminated, cut at a character boundary when longer.
     */
    char message[RK_ERROR_MESSAGE_SIZE];
} rk_error;

/**
 * A device and what it can do. Filled by rk_device_info().
 */
typedef struct rk_device_properties {
    /**
     * sizeof this struct, set by the caller.
     */
    uint32_t struct_size;
    /**
     * RK_BACKEND_...
     */
    uint32_t backend;
    /**
     * Number of the device within its backend, for rk_kernel_options.device.
     */
    uint32_t ordinal;
    /**
     * 1 if kernels can run on it, 0 if not; `reason` says why not.
     */
    uint32_t usable;
    /**
     * Workers that can run at once.
     */
    uint32_t workers;
    /**
     * Largest number of lanes of a worker.
     */
    uint32_t lanes;
    /**
     * Device memory in bytes; 0 for the CPU.
     */
    uint64_t memory;
    /**
     * UTF-8, NUL-terminated.
     */
    char name[128];
    /**
     * UTF-8, NUL-terminated, empty if usable.
     */
    char reason[256];
} rk_device_properties;

/**
 * What rk_selftest() found. Times are of round trips of 32 bytes between host and device memory, without actors.
 */
typedef struct rk_selftest_report {
    /**
     * sizeof this struct, set by the caller.
     */
    uint32_t struct_size;
    /**
     * RK_INBOUND_HOST or RK_INBOUND_DEVICE: what RK_INBOUND_AUTO stands for on this device.
     */
    uint32_t inbound_memory;
    /**
     * Messages that went there and came back unchanged, by each kind of memory that works.
     */
    uint64_t messages;
    /**
     * With rings from the host in its own memory: half of the round trips took at most so many nanoseconds; 0 if that
     * could not be tested.
     */
    uint64_t host_p50_ns;
    /**
     * 99 % of them.
     */
    uint64_t host_p99_ns;
    /**
     * 99.9 % of them.
     */
    uint64_t host_p999_ns;
    /**
     * With rings from the host in the device's memory; 0 if that does not work.
     */
    uint64_t device_p50_ns;
    /**
     * 99 % of them.
     */
    uint64_t device_p99_ns;
    /**
     * 99.9 % of them.
     */
    uint64_t device_p999_ns;
    /**
     * Why the device's memory is not used; UTF-8, NUL-terminated, empty if it is.
     */
    char reason[256];
} rk_selftest_report;

/**
 * A module: compiled handlers. Zero is never valid.
 */
typedef struct rk_module {
    /**
     * Opaque.
     */
    uint64_t id;
} rk_module;

/**
 * A queue: where kernels put what they have for the host. Zero stands for the runtime's own queue in options.
 */
typedef struct rk_queue {
    /**
     * Opaque.
     */
    uint64_t id;
} rk_queue;

/**
 * Options of a kernel. Zero everywhere launches one actor.
 */
typedef struct rk_kernel_options {
    /**
     * sizeof this struct, as RK_KERNEL_OPTIONS_INIT sets it.
     */
    uint32_t struct_size;
    /**
     * RK_BACKEND_...; 0: the runtime's.
     */
    uint32_t backend;
    /**
     * Ordinal of the device within the backend.
     */
    uint32_t device;
    /**
     * Number of actors, 1 to 1,048,576. 0: one.
     */
    uint32_t actors;
    /**
     * Workers that they are divided among, in equal runs of consecutive actors. 0: as many as the device runs well,
     * at most one an actor. On the CPU backend several workers may share a thread.
     */
    uint32_t workers;
    /**
     * Threads of a worker, 1 to 1024, all of which run each handler. 0: one. The CPU backend always has one.
     */
    uint32_t lanes;
    /**
     * Microseconds, 100 to 1,000,000. 0: the runtime's.
     */
    uint32_t quantum_us;
    /**
     * Messages that the rings of one worker hold: from the host, from actors, and for the host. Each a power of two
     * from 4 to 1,048,576. 0: 1024, or fewer where payloads are large. The rings for high, low and critical
     * priority hold a quarter of that, at least 4.
     */
    uint32_t inbound_capacity;
    /**
     * See inbound_capacity.
     */
    uint32_t actor_capacity;
    /**
     * See inbound_capacity.
     */
    uint32_t outbound_capacity;
    /**
     * Bytes that the posts of one handler may fill, each with 48 bytes of envelope. 0: 65,536, or room for four of
     * the largest messages if that is more.
     */
    uint32_t outbox_bytes;
    /**
     * Bytes of `initial_state`.
     */
    uint32_t initial_state_size;
    /**
     * State that every actor starts with, copied during the call: as large as the actor's state, or NULL for zeros.
     */
    const void *initial_state;
    /**
     * Queues for what the kernel has for the host; worker w uses queues[w * queue_count / workers]. NULL: the
     * runtime's own queue. Read during the call only.
     */
    const struct rk_queue *queues;
    /**
     * Entries of `queues`.
     */
    uint32_t queue_count;
    /**
     * Bytes of `name`.
     */
    uint32_t name_length;
    /**
     * Name in logs and statistics, UTF-8, at most 63 bytes. NULL: the actor's.
     */
    const char *name;
    /**
     * Measures how long messages wait and handlers run, of one message in so many at random, up to 1,000,000: see
     * rk_kernel_latency(). 0: none. On CUDA a message that is measured takes some 2 us longer, and the others as long as
     * without. On Vulkan the pump is another program where this is not 0, and the host asks the device's clock before a
     * kernel's first launch how long its ticks are, for 10 ms or more, once for a device. RK_ERROR_UNSUPPORTED on Vulkan
     * devices without VK_KHR_shader_clock and both of its features, and where an rkc has built the module that did not know
     * of this.
     */
    uint32_t latency_every;
    /**
     * Where the rings from the host lie, on a device: RK_INBOUND_...
     */
    uint32_t inbound_memory;
    /**
     * What becomes of an actor whose handler fails: RK_ON_FAILURE_... bits. 0: it fails for good, and messages to it
     * become dead letters; nothing else is touched.
     */
    uint32_t on_failure;
    /**
     * Restarts of one actor, 1 to 1,000,000, within a window, after which it fails for good. 0: 3.
     */
    uint32_t max_restarts;
    /**
     * Length of the window in milliseconds, 1 to 86,400,000. It begins with the first restart, and the next with the
     * first one after its end. 0: 5000.
     */
    uint32_t restart_window_ms;
    /**
     * Actors, of those with the highest numbers, that begin stopped, until they are sent RK_ACTOR_START. At most `actors`.
     */
    uint32_t dormant;
    /**
     * On a device: how long a handler may go on after its quantum is over, in milliseconds, 1 to 86,400,000. Then the kernel
     * fails, RK_EVENT_KERNEL_FAILED with reason RK_TIMEOUT, and nothing waits for it any more. The handler itself nobody can
     * end: as long as it runs, its device refuses new kernels and buffers (RK_ERROR_DRIVER, which may pass), and memory that
     * is freed there meanwhile, the kernel's too, is not given back before the process ends. A worker asks for the time
     * once in 128 messages: that many handlers must be done by then. 0: 60,000. RK_NONE: for ever. The CPU backend always waits.
     */
    uint32_t watchdog_ms;
    /**
     * Zero.
     */
    uint32_t reserved;
} rk_kernel_options;

/**
 * A kernel: N actors of one type on one device. Zero is never valid.
 */
typedef struct rk_kernel {
    /**
     * Opaque.
     */
    uint64_t id;
} rk_kernel;

/**
 * The address of one actor. The same 64 bits as `rk_address` in handlers: keep it in state, send it in messages,
 * compare it. Zero is no actor (as a sender: the host).
 */
typedef struct rk_actor {
    /**
     * Kernel, generation and index, see rk_actor_index().
     */
    uint64_t id;
} rk_actor;

/**
 * Counters of a kernel, filled by rk_kernel_stats(). While it is parked, suspended or over,
 * accepted = handled + dead_letters + pending holds exactly.
 */
typedef struct rk_kernel_statistics {
    /**
     * sizeof this struct, set by the caller.
     */
    uint32_t struct_size;
    /**
     * RK_KERNEL_... state.
     */
    uint32_t state;
    /**
     * RK_BACKEND_...
     */
    uint32_t backend;
    /**
     * Actors launched.
     */
    uint32_t actors;
    /**
     * Workers.
     */
    uint32_t workers;
    /**
     * Lanes of a worker.
     */
    uint32_t lanes;
    /**
     * Messages taken into the kernel's rings, from the host and from actors.
     */
    uint64_t accepted;
    /**
     * Messages whose handler ran, also those whose handler failed; and those that start and stop actors.
     */
    uint64_t handled;
    /**
     * Accepted messages that could not be handled.
     */
    uint64_t dead_letters;
    /**
     * Messages waiting in the rings.
     */
    uint64_t pending;
    /**
     * Most messages that were seen waiting at one worker: a sample, taken at times on the CPU, when a quantum begins on other
     * backends, and by this call. At least 1 once a worker has taken any.
     */
    uint64_t high_water;
    /**
     * Replies and emits handed to the host's queues.
     */
    uint64_t sent_host;
    /**
     * Messages handed to actors' rings, and publications, each counted once; also those that go to an actor again, see
     * RK_QOS_AT_LEAST_ONCE.
     */
    uint64_t sent_actors;
    /**
     * Posts waiting for room in another worker's ring or in the host's.
     */
    uint64_t deferred;
    /**
     * Posts of its actors that no ring accepted: to an actor that does not exist (any more), of a type that it does not
     * handle, or larger than it takes. They become dead letters too.
     */
    uint64_t undeliverable;
    /**
     * Posts refused because a handler's outbox was full.
     */
    uint64_t refused;
    /**
     * Handlers that failed.
     */
    uint64_t failures;
    /**
     * Times that a worker's pump was left and entered again.
     */
    uint64_t quanta;
    /**
     * Bytes of memory of the kernel: states, actor table and rings.
     */
    uint64_t memory;
    /**
     * Bytes of memory per actor beside its state (the rings belong to the workers and are not counted).
     */
    uint64_t memory_per_actor;
    /**
     * User counters, see rk_count() in ringkernel/actor.h.
     */
    uint64_t counters[8];
    /**
     * Restarts of actors, see RK_ON_FAILURE_RESTART.
     */
    uint64_t restarts;
} rk_kernel_statistics;

/**
 * Options of rk_send() and rk_call().
 */
typedef struct rk_send_options {
    /**
     * sizeof this struct, as RK_SEND_OPTIONS_INIT sets it.
     */
    uint32_t struct_size;
    /**
     * RK_PRIORITY_..., or any number to 255.
     */
    uint32_t priority;
    /**
     * Comes back with the reply. The library gives it no meaning. Ignored by rk_call().
     */
    uint64_t correlation;
    /**
     * Nanoseconds from now after which the message is no longer to be handled but becomes a dead letter. 0: none.
     */
    uint64_t deadline_ns;
    /**
     * rk_send(): nanoseconds to wait for room in the ring; RK_FOREVER without limit. Ignored by rk_call().
     */
    int64_t timeout_ns;
} rk_send_options;

/**
 * One message for rk_send_many(). Zero everything that is not used.
 */
typedef struct rk_outbound {
    /**
     * Receiver.
     */
    struct rk_actor to;
    /**
     * Comes back with the reply.
     */
    uint64_t correlation;
    /**
     * As in rk_send_options.
     */
    uint64_t deadline_ns;
    /**
     * Payload, read during the call only; may be NULL if size is 0.
     */
    const void *payload;
    /**
     * Message type.
     */
    uint32_t type;
    /**
     * Bytes of payload.
     */
    uint32_t size;
    /**
     * RK_PRIORITY_...
     */
    uint32_t priority;
    /**
     * Zero.
     */
    uint32_t reserved;
} rk_outbound;

/**
 * One message for the host, filled by rk_poll(). 64 bytes.
 */
typedef struct rk_message {
    /**
     * Sending actor, 0 for the host; of a dead letter: the sender of the message that died.
     */
    struct rk_actor from;
    /**
     * Of a dead letter: the intended receiver. Of a publication: the topic, whose handle has the same id. Else 0.
     */
    struct rk_actor to;
    /**
     * Of the message that this answers, or of the dead letter.
     */
    uint64_t correlation;
    /**
     * Hybrid logical clock stamp given when it was sent, see rk_hlc_now().
     */
    uint64_t time;
    /**
     * In the caller's payload buffer, 16-byte aligned if that is; NULL if size is 0.
     */
    const void *payload;
    /**
     * RK_MESSAGE_...
     */
    uint32_t kind;
    /**
     * Message type, or RK_EVENT_...
     */
    uint32_t type;
    /**
     * Bytes of payload.
     */
    uint32_t size;
    /**
     * RK_DEAD_... of a dead letter, code of an event, else 0.
     */
    int32_t reason;
    /**
     * Level it was sent with: 0, 64, 128 or 192.
     */
    uint32_t priority;
    /**
     * Zero.
     */
    uint32_t reserved;
} rk_message;

/**
 * What has a name, as rk_registry_find() gives it. 256 bytes.
 */
typedef struct rk_registry_entry {
    /**
     * The kernel, or that of the actor.
     */
    struct rk_kernel kernel;
    /**
     * The actor; zero if it is a kernel that has the name.
     */
    struct rk_actor actor;
    /**
     * Bytes of the name without its NUL.
     */
    uint32_t name_length;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * UTF-8, NUL-terminated.
     */
    char name[RK_NAME_SIZE];
} rk_registry_entry;

/**
 * Receives a part of a text: UTF-8 of `length` bytes, not NUL-terminated, valid during the call only.
 */
typedef void (*rk_write_fn)(void *user, const char *text, size_t length);

/**
 * How long something took, filled by rk_kernel_latency(). All times in nanoseconds; zero where nothing was measured. A
 * percentile is at most an eighth too large, and never too small.
 */
typedef struct rk_latency {
    /**
     * sizeof this struct, set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Messages that were measured.
     */
    uint64_t count;
    /**
     * Their mean.
     */
    double mean_ns;
    /**
     * Half of them took no longer.
     */
    double p50_ns;
    /**
     * 90 % of them took no longer.
     */
    double p90_ns;
    /**
     * 99 %.
     */
    double p99_ns;
    /**
     * 99.9 %.
     */
    double p999_ns;
    /**
     * The longest of them.
     */
    double max_ns;
} rk_latency;

/**
 * An alert: a value, a threshold, and a function that is told when it is crossed. Zero is never valid.
 */
typedef struct rk_alert {
    /**
     * Opaque.
     */
    uint64_t id;
} rk_alert;

/**
 * What an alert's function is told. Valid during its call only.
 */
typedef struct rk_alert_notice {
    /**
     * The alert.
     */
    struct rk_alert alert;
    /**
     * The kernel that it watches; zero for all of its runtime.
     */
    struct rk_kernel kernel;
    /**
     * RK_ALERT_...
     */
    uint32_t metric;
    /**
     * 1: the value has reached the threshold. 0: it has fallen below rk_alert_options.clear_below.
     */
    uint32_t raised;
    /**
     * The value.
     */
    double value;
    /**
     * rk_alert_options.threshold.
     */
    double threshold;
    /**
     * Stamp of the runtime's clock, see rk_hlc_now().
     */
    uint64_t time;
} rk_alert_notice;

/**
 * Is told of an alert, inside rk_alerts_check() and in its thread, with no lock held: it may call the library, also to
 * destroy the alert. Must not unwind.
 */
typedef void (*rk_alert_fn)(void *user, const struct rk_alert_notice *notice);

/**
 * Options of an alert.
 */
typedef struct rk_alert_options {
    /**
     * sizeof this struct, as RK_ALERT_OPTIONS_INIT sets it.
     */
    uint32_t struct_size;
    /**
     * RK_ALERT_...
     */
    uint32_t metric;
    /**
     * The kernel to watch. Zero: all of the runtime together; counts are added up, of times it is the worst kernel's.
     */
    struct rk_kernel kernel;
    /**
     * The value at which it is raised; above 0.
     */
    double threshold;
    /**
     * The value below which it is cleared, at most the threshold, so that one that wavers is not told of again and
     * again. 0: the threshold.
     */
    double clear_below;
    /**
     * Of times: which quantile, above 0 to 1. 0: 0.99.
     */
    double quantile;
    /**
     * Of what is measured over time (not RK_ALERT_DEPTH and RK_ALERT_MEMORY): least milliseconds that a value is taken
     * over, up to 3,600,000; checks before that do nothing. 0: 1000.
     */
    uint32_t window_ms;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Is told. Not NULL.
     */
    rk_alert_fn notify;
    /**
     * Passed to `notify`.
     */
    void *user;
} rk_alert_options;

/**
 * Options of a trace.
 */
typedef struct rk_trace_options {
    /**
     * sizeof this struct, as RK_TRACE_OPTIONS_INIT sets it.
     */
    uint32_t struct_size;
    /**
     * RK_TRACE_... bits. 0: all of them.
     */
    uint32_t events;
    /**
     * Records one message in so many, with the visits that it is handled in; visits alone are all recorded. A message is picked by its correlation or,
     * where that is 0, by its stamp, so that its sender and its receiver pick the same: an rk_call() is recorded with
     * all replies and forwards that it leads to, or not at all. 0: 1, which is every message.
     */
    uint32_t every;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Bytes of memory for the events of one worker, 4096 to 2^30, rounded down to a power of two; an event takes 64.
     * Memory is taken when a worker first records, and used as far as there are events. When it is full the oldest are
     * overwritten. 0: 2^20.
     */
    uint64_t worker_bytes;
} rk_trace_options;

/**
 * What a snapshot says of itself. Set up with RK_SNAPSHOT_INFO_INIT.
 */
typedef struct rk_snapshot_info {
    /**
     * sizeof this struct, set by the caller.
     */
    uint32_t struct_size;
    /**
     * Version of the format.
     */
    uint32_t version;
    /**
     * Actors.
     */
    uint32_t actors;
    /**
     * Bytes of an actor's state.
     */
    uint32_t state_size;
    /**
     * Messages that had been accepted and not handled.
     */
    uint64_t messages;
    /**
     * What handlers had sent and nobody had room for.
     */
    uint64_t posts;
    /**
     * The latest stamp of the kernel's clocks, see rk_hlc_unix_ns().
     */
    uint64_t time;
    /**
     * Address of the first actor, when the snapshot was taken.
     */
    struct rk_actor first_actor;
    /**
     * Name of the actor type: UTF-8 of actor_length bytes, not NUL-terminated, within the snapshot.
     */
    const char *actor;
    /**
     * Name of the kernel, likewise, of name_length bytes.
     */
    const char *name;
    /**
     * Bytes of `actor`.
     */
    uint32_t actor_length;
    /**
     * Bytes of `name`.
     */
    uint32_t name_length;
} rk_snapshot_info;

/**
 * Options of a buffer.
 */
typedef struct rk_buffer_options {
    /**
     * sizeof this struct, as RK_BUFFER_OPTIONS_INIT sets it.
     */
    uint32_t struct_size;
    /**
     * RK_BACKEND_... whose handlers are to reach it; 0: the runtime's.
     */
    uint32_t backend;
    /**
     * Ordinal of the device within the backend.
     */
    uint32_t device;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Bytes, 1 to 2^48.
     */
    uint64_t size;
    /**
     * Memory of the host program to be used in place, aligned to 16 bytes; NULL: the library allocates zeros. It must
     * stay until the buffer is destroyed and then rk_runtime_park(), which waits for that, or rk_runtime_destroy() has
     * returned. For CUDA its pages are pinned so long, unless the program has pinned all of it; RK_ERROR_DRIVER if some of
     * them are pinned already. For Vulkan the device must have VK_EXT_external_memory_host, and not be lent by the
     * program: RK_ERROR_UNSUPPORTED.
     */
    void *host;
    /**
     * Device pointer of the host program, a CUdeviceptr of the device's primary context, to be used in place; 0: none.
     * Otherwise as `host`.
     */
    uint64_t device_address;
} rk_buffer_options;

/**
 * A buffer: bytes that handlers read and write in place (RK_OPEN() in ringkernel/actor.h). Its id is what messages
 * carry. Zero is never valid.
 */
typedef struct rk_buffer {
    /**
     * Opaque.
     */
    uint64_t id;
} rk_buffer;

/**
 * What a buffer is, filled by rk_buffer_info().
 */
typedef struct rk_buffer_properties {
    /**
     * sizeof this struct, set by the caller.
     */
    uint32_t struct_size;
    /**
     * RK_BACKEND_...
     */
    uint32_t backend;
    /**
     * Ordinal of the device within the backend.
     */
    uint32_t device;
    /**
     * 1 if the memory is the host program's.
     */
    uint32_t imported;
    /**
     * 1 if rk_buffer_map() works.
     */
    uint32_t mappable;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Bytes.
     */
    uint64_t size;
} rk_buffer_properties;

/**
 * Options of a topic.
 */
typedef struct rk_topic_options {
    /**
     * sizeof this struct, as RK_TOPIC_OPTIONS_INIT sets it.
     */
    uint32_t struct_size;
    /**
     * RK_TOPIC_... bits.
     */
    uint32_t flags;
} rk_topic_options;

/**
 * Options of rk_publish().
 */
typedef struct rk_publish_options {
    /**
     * sizeof this struct, as RK_PUBLISH_OPTIONS_INIT sets it.
     */
    uint32_t struct_size;
    /**
     * RK_PRIORITY_..., or any number to 255.
     */
    uint32_t priority;
    /**
     * Subscribers receive it. The library gives it no meaning.
     */
    uint64_t correlation;
    /**
     * Nanoseconds from now after which actors are no longer to handle it. 0: none.
     */
    uint64_t deadline_ns;
    /**
     * Nanoseconds to wait for subscriptions with RK_OVERFLOW_BLOCK that have no room; RK_FOREVER without limit.
     */
    int64_t timeout_ns;
    /**
     * RK_PUBLISH_... bits.
     */
    uint32_t flags;
    /**
     * Zero.
     */
    uint32_t reserved;
} rk_publish_options;

/**
 * Options of a subscription. Zero everywhere is one of the runtime's own queue, at most once.
 */
typedef struct rk_subscription_options {
    /**
     * sizeof this struct, as RK_SUBSCRIPTION_OPTIONS_INIT sets it.
     */
    uint32_t struct_size;
    /**
     * RK_QOS_...
     */
    uint32_t qos;
    /**
     * The actor that subscribes, of a kernel of the runtime; zero: the host does, with `queue`.
     */
    struct rk_actor actor;
    /**
     * The queue that messages are received from; zero: the runtime's own. Zero if `actor` is not.
     */
    struct rk_queue queue;
    /**
     * Messages that may wait for the subscriber, 1 to 1,048,576. 0: 256. Without meaning for an actor with
     * RK_QOS_AT_MOST_ONCE, for which none wait.
     */
    uint32_t capacity;
    /**
     * RK_OVERFLOW_... 0: RK_OVERFLOW_BLOCK, with RK_QOS_AT_MOST_ONCE RK_OVERFLOW_DROP_NEWEST. With that quality nobody is
     * made to wait, and an actor has no oldest to drop.
     */
    uint32_t overflow;
} rk_subscription_options;

/**
 * A topic that is open. Its id is also its address, an `rk_address` for handlers: rk_tell() to it publishes. Zero is never
 * valid.
 */
typedef struct rk_topic {
    /**
     * Opaque.
     */
    uint64_t id;
} rk_topic;

/**
 * Counters of a topic, filled by rk_topic_stats(). Every publication counts once for each subscription that it is for, and
 * a retained message once for each that gets it later; what became of these is `delivered`, `dropped`, `dead_letters` or,
 * as yet, `waiting`.
 */
typedef struct rk_topic_statistics {
    /**
     * sizeof this struct, set by the caller.
     */
    uint32_t struct_size;
    /**
     * Subscriptions that a publication goes to now.
     */
    uint32_t subscriptions;
    /**
     * Publications.
     */
    uint64_t published;
    /**
     * Taken by the rings of actors' workers, or received by the host.
     */
    uint64_t delivered;
    /**
     * Lost because there was no room, because the subscription ended first or, without the host (see rk_topic_open()), because
     * the actor's kernel had.
     */
    uint64_t dropped;
    /**
     * Not taken by the actor's kernel; each came back as a dead letter unless 4,096 were unread.
     */
    uint64_t dead_letters;
    /**
     * In the queues of subscriptions.
     */
    uint64_t waiting;
    /**
     * 1 if a message is retained.
     */
    uint32_t retained;
    /**
     * Zero.
     */
    uint32_t reserved;
} rk_topic_statistics;

/**
 * A subscription. Zero is never valid.
 */
typedef struct rk_subscription {
    /**
     * Opaque.
     */
    uint64_t id;
} rk_subscription;

/**
 * Counters of a subscription, filled by rk_subscription_stats(). Every message that it was for is in one of them.
 */
typedef struct rk_subscription_statistics {
    /**
     * sizeof this struct, set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * See rk_topic_statistics.
     */
    uint64_t delivered;
    /**
     * See rk_topic_statistics.
     */
    uint64_t dropped;
    /**
     * See rk_topic_statistics.
     */
    uint64_t dead_letters;
    /**
     * In the subscription's queue.
     */
    uint64_t waiting;
} rk_subscription_statistics;

/**
 * Done.
 */
#define RK_OK 0

/**
 * Nothing was done because a ring is full or empty right now. Try again.
 */
#define RK_AGAIN 1

/**
 * The time given ran out. What had been done until then is done.
 */
#define RK_TIMEOUT 2

/**
 * An argument is NULL, out of range or contradicts another.
 */
#define RK_ERROR_INVALID_ARGUMENT -1

/**
 * The handle or address is zero, was destroyed, or is of another kind.
 */
#define RK_ERROR_STALE_HANDLE -2

/**
 * The process was forked after the runtime was created; the child cannot use it.
 */
#define RK_ERROR_FORKED -3

/**
 * A bug in the library was caught at its boundary. The runtime is poisoned.
 */
#define RK_ERROR_PANIC -4

/**
 * An earlier call ended in RK_ERROR_PANIC; the runtime can only be destroyed.
 */
#define RK_ERROR_POISONED -5

/**
 * Memory, host's or device's, or another resource of the system ran out.
 */
#define RK_ERROR_NO_MEMORY -6

/**
 * Header and library are of incompatible versions.
 */
#define RK_ERROR_VERSION -7

/**
 * This build, backend or device cannot do it.
 */
#define RK_ERROR_UNSUPPORTED -8

/**
 * The backend has no usable driver or device here.
 */
#define RK_ERROR_NO_DEVICE -9

/**
 * The call is not legal in the kernel's present state.
 */
#define RK_ERROR_BAD_STATE -10

/**
 * The kernel failed; see rk_kernel_stats() and its event.
 */
#define RK_ERROR_KERNEL_FAILED -11

/**
 * The module image is truncated, corrupt, contradictory or not a module at all.
 */
#define RK_ERROR_BAD_IMAGE -12

/**
 * The module was built with another layout version; rebuild it.
 */
#define RK_ERROR_LAYOUT -13

/**
 * The module's source did not compile for the device.
 */
#define RK_ERROR_COMPILE -14

/**
 * There is nothing of that name, or the actor does not handle that message type.
 */
#define RK_ERROR_NOT_FOUND -15

/**
 * The payload is larger than its message type, or something is larger than the caller's buffer.
 */
#define RK_ERROR_SIZE -16

/**
 * The message, or the reply to it, became a dead letter.
 */
#define RK_ERROR_UNDELIVERED -17

/**
 * A limit of the library was reached, as said in the error.
 */
#define RK_ERROR_LIMIT -18

/**
 * The operating system refused; native_code is errno.
 */
#define RK_ERROR_SYSTEM -19

/**
 * A device driver refused; native_code is its code.
 */
#define RK_ERROR_DRIVER -20

/**
 * The stamp is further ahead of this machine's time than the clock's bound allows.
 */
#define RK_ERROR_DRIFT -21

/**
 * Something else has the name already.
 */
#define RK_ERROR_EXISTS -22

/**
 * As reason of RK_EVENT_KERNEL_FAILED: one of its actors failed for good.
 */
#define RK_ERROR_ACTOR_FAILED -23

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library that is loaded, laid out as RK_VERSION: major << 22 | minor << 12 | patch.
 *
 * Thread-safe, also in signal handlers and after fork. Since 0.1.0.
 */
uint32_t rk_version(void);

/**
 * The name of a status, such as "RK_ERROR_STALE_HANDLE"; "RK_UNKNOWN" for any other number.
 *
 * Static, never NULL. Thread-safe, also in signal handlers and after fork. Since 0.1.0.
 */
const char *rk_status_name(rk_status status);

/**
 * Sets `options` to the defaults, for languages without RK_RUNTIME_OPTIONS_INIT.
 *
 * struct_size: sizeof(rk_runtime_options) as the caller knows it; no more is written. RK_ERROR_INVALID_ARGUMENT if
 * options is NULL or the size less than 4. Thread-safe. Since 0.1.0.
 */
rk_status rk_runtime_options_init(struct rk_runtime_options *options,
                                  uint32_t struct_size);

/**
 * Creates a runtime: its worker threads and its queue. Devices other than the CPU are opened when first used.
 *
 * version: RK_VERSION, so that a library that does not match the header is found out (RK_ERROR_VERSION).
 * options: may be NULL for the defaults; copied. runtime: receives the handle; set to zero on error. error: may be
 * NULL. The caller destroys the runtime with rk_runtime_destroy(). Installs no signal
 * handlers; its threads have all signals blocked. Thread-safe. Since 0.1.0.
 *
 * Options that are zero, here and in rk_kernel_options and rk_send_options (see rk_send_options_load()), may be set from
 * outside the program. First comes what the program says, then an environment variable, then the file that
 * options->config or RINGKERNEL_CONFIG names, then the default; no other file is ever read. Options have the names of
 * the fields, and their ranges. In the environment: RINGKERNEL_CPU_THREADS, RINGKERNEL_KERNEL_LANES,
 * RINGKERNEL_SEND_PRIORITY. In the file, in TOML: the tables [runtime], [kernel] for all kernels, [kernels.NAME] for
 * those of a name, which come before it, and [send]. Words stand for numbers: "auto" "cpu" "cuda" "vulkan"; "error"
 * "warn" "info" "debug"; "low" "normal" "high" "critical"; "none" for RK_NONE; "forever". Lists are [0, 2] in the file
 * and 0,2 in the environment, initial_state is hexadecimal. What is the program's own cannot be set: log, log_user,
 * queues. A name that is not known, in the file or after RINGKERNEL_, a value of another form or out of range, used or
 * not, is RK_ERROR_INVALID_ARGUMENT, and error->message says where it stands and which known name is nearest.
 * RK_ERROR_NOT_FOUND: there is no such file. All is read during this call.
 */
rk_status rk_runtime_create(uint32_t version,
                            const struct rk_runtime_options *options,
                            struct rk_runtime *runtime,
                            struct rk_error *error);

/**
 * Destroys a runtime with everything in it: kernels are terminated, queues and modules destroyed, threads joined.
 *
 * Calls of other threads that are waiting in it return RK_ERROR_STALE_HANDLE; this call waits for them to leave.
 * What handlers are doing is finished first. Thread-safe, but not from a log callback. Since 0.1.0.
 */
rk_status rk_runtime_destroy(struct rk_runtime runtime);

/**
 * Brings every kernel of the runtime to rest, and returns when no handler runs, no pump is on a device, and the memory of
 * buffers that were destroyed before is not used any more.
 *
 * Messages are still accepted and wait. Counted: each park needs its unpark. While parked, the statistics are exact.
 * timeout_ns: RK_FOREVER, or nanoseconds to wait; on RK_TIMEOUT the park has been taken back. Thread-safe. Since 0.1.0.
 */
rk_status rk_runtime_park(struct rk_runtime runtime,
                          int64_t timeout_ns,
                          struct rk_error *error);

/**
 * Undoes one rk_runtime_park(); the last one lets the kernels go on.
 *
 * RK_ERROR_BAD_STATE if the runtime is not parked. Thread-safe. Since 0.1.0.
 */
rk_status rk_runtime_unpark(struct rk_runtime runtime, struct rk_error *error);

/**
 * The file descriptor of the runtime's own queue; see rk_queue_fd().
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_runtime_fd(struct rk_runtime runtime, int32_t *fd, struct rk_error *error);

/**
 * Arms the file descriptor of the runtime's own queue; see rk_queue_arm().
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_runtime_arm(struct rk_runtime runtime);

/**
 * Counts the devices of all backends, usable or not. Device 0 is the CPU.
 *
 * count: receives the number. Opens drivers at the first call, which may take a second. Thread-safe. Since 0.1.0.
 */
rk_status rk_device_count(struct rk_runtime runtime,
                          uint32_t *count);

/**
 * Describes one device. index: below the count. info: caller-owned, with its struct_size set; no more is written.
 *
 * RK_ERROR_NOT_FOUND: no such device. Thread-safe. Since 0.1.0.
 */
rk_status rk_device_info(struct rk_runtime runtime,
                         uint32_t index,
                         struct rk_device_properties *info,
                         struct rk_error *error);

/**
 * Tests the memory that rings between the host and a device lie in: that what is written arrives while a kernel runs,
 * whole and in order. The library does so itself before it uses a device's memory for rings; here is what it found.
 *
 * index: of the device, below rk_device_count(). report: caller-owned, with its struct_size set; no more is written.
 * error: may be NULL. Takes some hundredths of a second at the first call for a device, and keeps two processors busy
 * meanwhile. RK_ERROR_NOT_FOUND: no such device. RK_ERROR_NO_DEVICE, RK_ERROR_UNSUPPORTED, RK_ERROR_DRIVER: it cannot be
 * used, as the error says. RK_TIMEOUT: the processors were too busy with other things to tell. Thread-safe. Since 0.1.0.
 */
rk_status rk_selftest(struct rk_runtime runtime,
                      uint32_t index,
                      struct rk_selftest_report *report,
                      struct rk_error *error);

/**
 * Creates a module from an image that is part of the program.
 *
 * image: must stay where it is, with all it points to, until the module and its kernels are destroyed; it is what
 * `RK_DECLARE_MODULE(name)` declares. module: receives the handle; set to zero on error. error: may be NULL.
 * RK_ERROR_LAYOUT if it was built with another layout version, RK_ERROR_BAD_IMAGE if it contradicts itself.
 * Destroyed with rk_module_destroy(), or with the runtime. Thread-safe. Since 0.1.0.
 */
rk_status rk_module_create(struct rk_runtime runtime,
                           const rk_module_image *image,
                           struct rk_module *module,
                           struct rk_error *error);

/**
 * Creates a module from a file that `rkc --file` wrote.
 *
 * path: UTF-8, path_length bytes, not NUL-terminated. The file is read during the call and not needed later. Its CPU
 * code is native code and runs in this process: load only files you trust. The file is checked whole (size, checksum,
 * every offset) before any of it is used; RK_ERROR_BAD_IMAGE says what is wrong, RK_ERROR_LAYOUT that it was built
 * with another layout version. Else as rk_module_create(). Thread-safe. Since 0.1.0.
 */
rk_status rk_module_load(struct rk_runtime runtime,
                         const char *path,
                         size_t path_length,
                         struct rk_module *module,
                         struct rk_error *error);

/**
 * rk_module_load() of a file that is in memory already. data: size bytes, read during the call only.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_module_load_memory(struct rk_runtime runtime,
                                const void *data,
                                size_t size,
                                struct rk_module *module,
                                struct rk_error *error);

/**
 * Destroys a module. RK_ERROR_BAD_STATE while a kernel launched from it has not been destroyed.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_module_destroy(struct rk_module module);

/**
 * Sets `options` to the defaults, for languages without RK_KERNEL_OPTIONS_INIT.
 *
 * As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_options_init(struct rk_kernel_options *options, uint32_t struct_size);

/**
 * Launches a kernel: options->actors actors of the type `actor` of the module. It is RK_KERNEL_CREATED: messages are
 * accepted, and handled once rk_kernel_activate() is called.
 *
 * actor: name of the actor type, actor_length bytes, UTF-8; NULL if the module has only one. options: may be NULL.
 * What is zero in the options may be configured from outside, see rk_runtime_create().
 * kernel: receives the handle; set to zero on error. error: may be NULL. RK_ERROR_NOT_FOUND: no such actor type.
 * RK_ERROR_NO_MEMORY, RK_ERROR_NO_DEVICE, RK_ERROR_UNSUPPORTED: as the error says. RK_ERROR_DRIVER with
 * RK_ERROR_FLAG_RETRIABLE: a handler on the device has not returned for 2 s, and what is to be loaded would wait for it; see
 * rk_kernel_options.watchdog_ms. Destroyed with rk_kernel_destroy(), or with the runtime. Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_launch(struct rk_runtime runtime,
                           struct rk_module module,
                           const char *actor,
                           size_t actor_length,
                           const struct rk_kernel_options *options,
                           struct rk_kernel *kernel,
                           struct rk_error *error);

/**
 * Lets a kernel that is RK_KERNEL_CREATED or RK_KERNEL_SUSPENDED handle messages: RK_KERNEL_ACTIVE.
 *
 * RK_ERROR_BAD_STATE in any other state. Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_activate(struct rk_kernel kernel, struct rk_error *error);

/**
 * Suspends a kernel that is RK_KERNEL_ACTIVE, and returns when no handler of it runs. Messages are accepted and wait.
 *
 * RK_ERROR_BAD_STATE in any other state. Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_deactivate(struct rk_kernel kernel,
                               struct rk_error *error);

/**
 * Handles what has been accepted, then ends the kernel. From now on rk_send() returns RK_ERROR_BAD_STATE; messages of
 * actors are accepted until the rings are empty.
 *
 * Legal when RK_KERNEL_ACTIVE, _SUSPENDED or _DRAINING. timeout_ns: RK_FOREVER, or nanoseconds to wait. RK_OK: it is
 * RK_KERNEL_TERMINATED. RK_TIMEOUT: it goes on draining; call again, or terminate. Messages for the host stay in the
 * queue; if they fill it, polling is what lets the drain go on. Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_drain(struct rk_kernel kernel,
                          int64_t timeout_ns,
                          struct rk_error *error);

/**
 * Ends a kernel now, after the handlers that are running. What was still waiting becomes dead letters.
 *
 * Legal in every state but RK_KERNEL_TERMINATED and _FAILED. left: may be NULL; receives how many messages were
 * waiting. Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_terminate(struct rk_kernel kernel,
                              uint64_t *left,
                              struct rk_error *error);

/**
 * Destroys a kernel, in any state, and frees its memory. One that is not over is terminated first. What it had for
 * the host and nobody polled is lost.
 *
 * Thread-safe; calls of other threads that wait for it return RK_ERROR_STALE_HANDLE. Since 0.1.0.
 */
rk_status rk_kernel_destroy(struct rk_kernel kernel);

/**
 * The state of a kernel. state: receives RK_KERNEL_...
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_state(struct rk_kernel kernel, uint32_t *state);

/**
 * The address of actor `index` of a kernel.
 *
 * actor: receives it. RK_ERROR_NOT_FOUND: index is not below the number of actors. Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_actor(struct rk_kernel kernel, uint32_t index, struct rk_actor *actor);

/**
 * The index of an actor in its kernel, which is what rk_index() gives in its handlers. No check is made.
 *
 * Thread-safe. Since 0.1.0.
 */
uint32_t rk_actor_index(struct rk_actor actor);

/**
 * Reads a kernel's counters. stats: caller-owned, with its struct_size set; no more is written.
 *
 * Each counter is exact when the kernel is at rest; while it runs they are read one after the other. Makes no call to
 * a driver, and works on a failed kernel. Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_stats(struct rk_kernel kernel,
                          struct rk_kernel_statistics *stats,
                          struct rk_error *error);

/**
 * Sets `options` to the defaults, for languages without RK_SEND_OPTIONS_INIT.
 *
 * As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
 */
rk_status rk_send_options_init(struct rk_send_options *options, uint32_t struct_size);

/**
 * Sends one message to an actor.
 *
 * payload: size bytes, copied; may be NULL if size is 0. size may be less than the declared size of the type; what is
 * missing then reads as unspecified bytes, and rk_size() tells the handler. options: may be NULL.
 *
 * RK_OK: the actor's kernel accepted it. It will be handled once, or become a dead letter; messages of one thread to
 * one actor with one priority are handled in the order sent. RK_AGAIN: the ring is full (RK_TIMEOUT: still full after
 * options->timeout_ns); nothing was sent. RK_ERROR_NOT_FOUND: the actor's type does not handle `type`.
 * RK_ERROR_SIZE: larger than the type. RK_ERROR_STALE_HANDLE: no such actor. RK_ERROR_BAD_STATE: the kernel is
 * draining or over. Costs tens of nanoseconds when the ring has room. Thread-safe. Since 0.1.0.
 */
rk_status rk_send(struct rk_actor to,
                  uint32_t type,
                  const void *payload,
                  uint32_t size,
                  const struct rk_send_options *options);

/**
 * Sends many messages, to any actors, in order.
 *
 * messages: count of them, read during the call only. timeout_ns: to wait for room, 0 not at all, RK_FOREVER without
 * limit. sent: may be NULL; receives how many, from the first, were accepted, whatever is returned. RK_OK: all.
 * Otherwise what stopped it at messages[*sent], as rk_send() would return. Cheaper a message than rk_send().
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_send_many(const struct rk_outbound *messages,
                       uint32_t count,
                       int64_t timeout_ns,
                       uint32_t *sent);

/**
 * Receives messages from the runtime's own queue: replies, emits, dead letters, events, and what is published to
 * topics that it is subscribed to.
 *
 * messages: room for capacity of them, at least 1. payloads: room for payload_bytes; payloads are copied there, one
 * after the other, each at a 16-byte boundary, and messages[i].payload points to them; may be NULL if no message has
 * a payload; its other bytes are unspecified afterwards. count: receives how many came. timeout_ns: to wait for the first one, 0 not at all, RK_FOREVER without
 * limit; it never waits for a second.
 *
 * RK_OK: *count is at least 1. RK_AGAIN: nothing there, with timeout 0. RK_TIMEOUT: nothing came. RK_ERROR_SIZE: the
 * next message's payload does not fit `payloads`; messages[0].size says what it needs, and it stays queued.
 * Messages of one actor come in the order sent; those of different actors in no particular order. Thread-safe;
 * threads that poll together share the messages.
 * Since 0.1.0.
 */
rk_status rk_poll(struct rk_runtime runtime,
                  struct rk_message *messages,
                  uint32_t capacity,
                  void *payloads,
                  size_t payload_bytes,
                  int64_t timeout_ns,
                  uint32_t *count);

/**
 * Sends a message and waits for its reply, which no rk_poll() will see.
 *
 * payload, size, options: as rk_send(); options->priority and deadline_ns are used. reply: receives up to
 * reply_capacity bytes; may be NULL if that is 0. message: may be NULL; receives type, size and sender of the reply,
 * its payload pointing to `reply`. timeout_ns: for sending and reply together, RK_FOREVER without limit. error: may
 * be NULL.
 *
 * A full ring is waited for within the timeout; with timeout 0 it is RK_AGAIN. A message whose handler fails, or returns
 * without a reply, counts as handled: there is no reply then, and RK_FOREVER waits for one until the runtime ends.
 * RK_OK: the reply is there. RK_TIMEOUT: none came in time; it is discarded when it comes, as a second reply to one
 * call is. RK_ERROR_UNDELIVERED: the message became a dead letter. RK_ERROR_SIZE: the reply is larger than reply_capacity;
 * message->size says how large, and the reply is lost. Waits without holding anything: any number of threads may call at
 * once. Thread-safe. Since 0.1.0.
 */
rk_status rk_call(struct rk_actor to,
                  uint32_t type,
                  const void *payload,
                  uint32_t size,
                  const struct rk_send_options *options,
                  void *reply,
                  uint32_t reply_capacity,
                  struct rk_message *message,
                  int64_t timeout_ns,
                  struct rk_error *error);

/**
 * Creates a queue beside the runtime's own, for a thread that wants its kernels' messages for itself.
 *
 * Kernels are given queues when they are launched. queue: receives the handle; set to zero on error. error: may be
 * NULL. Destroyed with rk_queue_destroy(), or with the runtime. Thread-safe. Since 0.1.0.
 */
rk_status rk_queue_create(struct rk_runtime runtime,
                          struct rk_queue *queue,
                          struct rk_error *error);

/**
 * Destroys a queue. RK_ERROR_BAD_STATE while a kernel that uses it has not been destroyed, or a
 * subscription has not ended.
 *
 * Waiting calls of other threads return RK_ERROR_STALE_HANDLE. Thread-safe. Since 0.1.0.
 */
rk_status rk_queue_destroy(struct rk_queue queue);

/**
 * rk_poll() on a queue other than the runtime's own.
 *
 * Thread-safe; threads that share a queue share its messages. Since 0.1.0.
 */
rk_status rk_queue_poll(struct rk_queue queue,
                        struct rk_message *messages,
                        uint32_t capacity,
                        void *payloads,
                        size_t payload_bytes,
                        int64_t timeout_ns,
                        uint32_t *count);

/**
 * An eventfd that becomes readable when a message arrives after rk_queue_arm(), for epoll, libuv, asio or Go.
 *
 * Non-blocking and close-on-exec. Owned by the queue: do not close it. Do not read it either; rk_queue_arm() resets it. fd: receives it. error: may be
 * NULL. Thread-safe. Since 0.1.0.
 */
rk_status rk_queue_fd(struct rk_queue queue,
                      int32_t *fd,
                      struct rk_error *error);

/**
 * Asks for the file descriptor to become readable with the next message.
 *
 * The loop that loses no wake-up: poll with timeout 0 until RK_AGAIN, arm, and wait for the descriptor only if that
 * returned RK_OK. RK_AGAIN: a message is there already; poll again. One message makes it readable once; arm again for
 * the next. Thread-safe. Since 0.1.0.
 */
rk_status rk_queue_arm(struct rk_queue queue);

/**
 * Gives a kernel a name, by which other parts of the program can find it. It may have several.
 *
 * name: UTF-8 of name_length bytes, 1 to 231, in levels divided by '/', none empty, without '*' and '#'; copied. The name
 * goes when the kernel is destroyed, or with rk_registry_remove(). error: may be NULL. Giving the same again is RK_OK;
 * RK_ERROR_EXISTS: something else has it. Thread-safe. Since 0.1.0.
 */
rk_status rk_registry_add_kernel(struct rk_runtime runtime,
                                 const char *name,
                                 size_t name_length,
                                 struct rk_kernel kernel,
                                 struct rk_error *error);

/**
 * Gives an actor a name. The rest as rk_registry_add_kernel().
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_registry_add_actor(struct rk_runtime runtime,
                                const char *name,
                                size_t name_length,
                                struct rk_actor actor,
                                struct rk_error *error);

/**
 * Takes a name away. RK_ERROR_NOT_FOUND: nothing has it. error: may be NULL.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_registry_remove(struct rk_runtime runtime,
                             const char *name,
                             size_t name_length,
                             struct rk_error *error);

/**
 * The kernel of that name. kernel: receives the handle, which is the one that the launch gave; set to zero on error.
 * error: may be NULL. RK_ERROR_NOT_FOUND: nothing has the name, or an actor has it.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_registry_kernel(struct rk_runtime runtime,
                             const char *name,
                             size_t name_length,
                             struct rk_kernel *kernel,
                             struct rk_error *error);

/**
 * The actor of that name. actor: receives its address; set to zero on error. error: may be NULL. RK_ERROR_NOT_FOUND:
 * nothing has the name, or a kernel has it.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_registry_actor(struct rk_runtime runtime,
                            const char *name,
                            size_t name_length,
                            struct rk_actor *actor,
                            struct rk_error *error);

/**
 * Finds everything whose name a pattern matches: '*' is any one level, '#' as the last level all that follow, also
 * none ("plant/#" matches "plant").
 *
 * pattern: UTF-8 of pattern_length bytes. entries: room for capacity of them, which are filled in the order of the
 * names' bytes; may be NULL if that is 0. count: receives how many match in all, which may be more. error: may be NULL.
 * Thread-safe; names that come and go meanwhile are seen all at one moment. Since 0.1.0.
 */
rk_status rk_registry_find(struct rk_runtime runtime,
                           const char *pattern,
                           size_t pattern_length,
                           struct rk_registry_entry *entries,
                           uint32_t capacity,
                           uint32_t *count,
                           struct rk_error *error);

/**
 * Says which way messages of one actor get to another. There is always one.
 *
 * All actors of a kernel that has one worker, or is on another device, have the same route to another kernel's. route:
 * receives RK_ROUTE_... error: may be NULL. Thread-safe. Since 0.1.0.
 */
rk_status rk_route(struct rk_actor from,
                   struct rk_actor to,
                   uint32_t *route,
                   struct rk_error *error);

/**
 * Ticks the runtime's hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014) and gives the stamp.
 *
 * Stamps compare as numbers: of two events where one could have caused the other, the later has the larger stamp, over
 * host, actors and devices. Bits 8 to 63: physical time in units of 2^-24 s (59.6 ns) since 1970; bits 0 to 7: logical
 * part. Every stamp given by one clock is unique and larger than the ones before, under any number of threads.
 * stamp: receives it. Thread-safe. Since 0.1.0.
 */
rk_status rk_hlc_now(struct rk_runtime runtime,
                     uint64_t *stamp);

/**
 * Tells the runtime's clock of a stamp that came from outside: another runtime, process or machine. Everything that
 * happens here from now on is later.
 *
 * now: may be NULL; receives a new stamp, larger than `stamp` and as rk_hlc_now() gives it. error: may be NULL.
 * RK_ERROR_DRIFT: the stamp is further ahead of this machine's time than rk_runtime_options.clock_drift_ms, so that its
 * clock is wrong, or ours; nothing was changed. Messages are never refused for their stamps: one that was sent by a
 * clock beyond the bound, a device's say, takes the receiver's clock only to the bound. Thread-safe. Since 0.1.0.
 */
rk_status rk_hlc_merge(struct rk_runtime runtime,
                       uint64_t stamp,
                       uint64_t *now,
                       struct rk_error *error);

/**
 * Compares two stamps, as qsort() and the like want it: -1 if `left` is the earlier, 1 if `right` is, 0 if they are
 * the same.
 *
 * Thread-safe, also in signal handlers. Since 0.1.0.
 */
int32_t rk_hlc_compare(uint64_t left,
                       uint64_t right);

/**
 * The physical part of a stamp, in nanoseconds since 1970 (UTC, no leap seconds), rounded down to them.
 *
 * Thread-safe, also in signal handlers. Since 0.1.0.
 */
uint64_t rk_hlc_unix_ns(uint64_t stamp);

/**
 * The logical part of a stamp, 0 to 255: tells apart what happened in one unit of the physical part.
 *
 * Thread-safe, also in signal handlers. Since 0.1.0.
 */
uint32_t rk_hlc_logical(uint64_t stamp);

/**
 * The smallest stamp whose physical part is not before `unix_ns`: what comes before and after a moment in a log, say.
 *
 * UINT64_MAX for times after February 2106, which stamps cannot tell. Thread-safe, also in signal handlers.
 * Since 0.1.0.
 */
uint64_t rk_hlc_from_unix_ns(uint64_t unix_ns);

/**
 * Writes a stamp for people: the physical part as RFC 3339 has it, in UTC, and the logical part after a slash, such as
 * "2026-11-25T07:14:50.123456776Z/3".
 *
 * text: room for capacity bytes, of which RK_HLC_TEXT_SIZE suffice; NUL-terminated. length: may be NULL; receives the
 * bytes without the NUL, also where they do not fit. RK_ERROR_SIZE: they do not, and text is empty (if capacity is not
 * 0). Thread-safe. Since 0.1.0.
 */
rk_status rk_hlc_format(uint64_t stamp,
                        char *text,
                        size_t capacity,
                        size_t *length);

/**
 * Fills in what is zero in `options` with what the environment and the runtime's configuration file say of sending, see
 * rk_runtime_create(). rk_send() itself looks at neither, for it would have to with every message.
 *
 * options: with its struct_size set; no more is written. error: may be NULL. Thread-safe. Since 0.1.0.
 */
rk_status rk_send_options_load(struct rk_runtime runtime,
                               struct rk_send_options *options,
                               struct rk_error *error);

/**
 * Writes the counters of all kernels of a runtime in the text format of Prometheus, as its scrapers take it
 * (Content-Type: text/plain; version=0.0.4).
 *
 * flags: RK_METRICS_... bits, or 0. write: called in this thread with one part after the other, with no lock held; it
 * may call the library, and must not unwind. user: passed to it. error: may be NULL. Makes no call to a driver. Names:
 * ringkernel_accepted_total, _handled_total and so on as in rk_kernel_statistics, each with the labels kernel (its
 * name), id and backend; ringkernel_handler_seconds and _queue_seconds are histograms, of kernels that were launched
 * with latency_every. ringkernel_topic_published_total and so on, as in rk_topic_statistics, have the label topic.
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_metrics_write(struct rk_runtime runtime,
                           uint32_t flags,
                           rk_write_fn write,
                           void *user,
                           struct rk_error *error);

/**
 * rk_metrics_write() into a buffer. text: room for capacity bytes; NUL-terminated. length: may be NULL; receives the
 * bytes without the NUL, also where they do not fit. error: may be NULL. RK_ERROR_SIZE: they do not, and text is empty (if
 * capacity is not 0); another call may need more, as counters and kernels grow.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_metrics_format(struct rk_runtime runtime,
                            uint32_t flags,
                            char *text,
                            size_t capacity,
                            size_t *length,
                            struct rk_error *error);

/**
 * Reads how long a kernel's messages waited or its handlers took, since it was launched, of the messages that were
 * measured: see rk_kernel_options.latency_every. On CUDA, as of the end of each worker's last quantum, and how long a message
 * waited as exactly as the two clocks are known to each other: a microsecond or so, less than which is 0. On Vulkan likewise,
 * but the clocks are known to each other no better than the host sees when a submission has ended, and after a rest longer than
 * the kernels on the device had been measuring, less well for one quantum, by the time that it takes to launch: the message may
 * have waited so much longer. A message between actors there may seem to have waited for some messages longer than it has, for
 * stamps are given by a clock that is read once in eight steps. How long handlers take is as fine as the clock of the device's
 * subgroups is, and no longer than that counts: on Mesa's llvmpipe 4.29 s.
 *
 * which: RK_LATENCY_... worker: its number, or RK_NONE for all together. latency: caller-owned, with its struct_size set; no
 * more is written. error: may be NULL. RK_ERROR_NOT_FOUND: no such worker. Makes no call to a driver, and works on a
 * failed kernel. Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_latency(struct rk_kernel kernel,
                            uint32_t which,
                            uint32_t worker,
                            struct rk_latency *latency,
                            struct rk_error *error);

/**
 * Sets `options` to zeros, for languages without RK_ALERT_OPTIONS_INIT.
 *
 * As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
 */
rk_status rk_alert_options_init(struct rk_alert_options *options, uint32_t struct_size);

/**
 * Creates an alert, which is not raised. It is looked at by rk_alerts_check() only.
 *
 * options: copied; not NULL. alert: receives the handle; set to zero on error. error: may be NULL. Destroyed with
 * rk_alert_destroy(), or with the runtime. Thread-safe. Since 0.1.0.
 */
rk_status rk_alert_create(struct rk_runtime runtime,
                          const struct rk_alert_options *options,
                          struct rk_alert *alert,
                          struct rk_error *error);

/**
 * Destroys an alert; its function is not told of that.
 *
 * A check that another thread is in may still tell it: keep `user` until that has returned. Thread-safe. Since 0.1.0.
 */
rk_status rk_alert_destroy(struct rk_alert alert);

/**
 * Looks at all alerts of a runtime, and tells the functions of those that have been raised or cleared since.
 *
 * Call it as often as alerts are to be seen: beside rk_poll(), say, or from a timer. raised: may be NULL; receives how
 * many are raised now. error: may be NULL. Makes no call to a driver. Thread-safe; of several threads that check, one tells
 * of a change. Since 0.1.0.
 */
rk_status rk_alerts_check(struct rk_runtime runtime,
                          uint32_t *raised,
                          struct rk_error *error);

/**
 * Sets `options` to zeros, for languages without RK_TRACE_OPTIONS_INIT.
 *
 * As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
 */
rk_status rk_trace_options_init(struct rk_trace_options *options, uint32_t struct_size);

/**
 * Begins to record what the workers of a runtime's kernels do, those of kernels launched later included. What was
 * recorded before is forgotten.
 *
 * options: may be NULL for the defaults; copied. error: may be NULL. RK_ERROR_BAD_STATE: a trace is being recorded.
 * Every message sent after this call is recorded by the CPU backend, as far as the options say; a visit of a worker that is
 * under way is not. Of kernels on GPUs the quanta are, as the host sees them: from a launch to when all workers have left;
 * and, when their quantum has ended, the handlers of messages that rk_kernel_options.latency_every picks, of each
 * worker the last 128 in a quantum.
 *
 * At most 4096 workers are recorded; the file says how many were left out, for that reason or because there was no memory for
 * them, and how many events were overwritten. While nothing is recorded it costs a worker one branch for each handler and
 * each message sent. Makes no call to a driver. Thread-safe. Since 0.1.0.
 */
rk_status rk_trace_start(struct rk_runtime runtime,
                         const struct rk_trace_options *options,
                         struct rk_error *error);

/**
 * Records no more. What was recorded stays, for rk_trace_write(), until the next rk_trace_start() or the runtime's end.
 *
 * error: may be NULL. RK_ERROR_BAD_STATE: no trace is being recorded. A handler that runs now may still be recorded.
 * Makes no call to a driver. Thread-safe. Since 0.1.0.
 */
rk_status rk_trace_stop(struct rk_runtime runtime,
                        struct rk_error *error);

/**
 * Writes what was recorded since rk_trace_start(), as JSON that https://ui.perfetto.dev and chrome://tracing open. It
 * does not stop workers, and may be called while the recording goes on.
 *
 * write: called in this thread with one part after the other, with no lock held; it may call the library, and must not
 * unwind. user: passed to it. error: may be NULL. RK_ERROR_BAD_STATE: none was ever started. RK_ERROR_NO_MEMORY: before
 * anything was written. Makes no call to a driver. Thread-safe. Since 0.1.0.
 *
 * In the file the runtime is a process, and each worker a thread, named after its kernel, with its visits, in them the
 * handlers, and after each the sends of what it produced; another thread, "host", has the sends of the host, as the
 * stamps of the messages tell them. Arrows (flow events) lead from a send to the handler. Times are microseconds
 * since the start, which otherData.start gives in UTC and otherData.start_unix_ns as a number.
 * otherData.recorded counts events, .overwritten those of them that are lost, .handlers_without_send and
 * .sends_without_handler the messages without an arrow because the other end was overwritten, not recorded, or is still
 * to come.
 */
rk_status rk_trace_write(struct rk_runtime runtime,
                         rk_write_fn write,
                         void *user,
                         struct rk_error *error);

/**
 * Takes a snapshot of a kernel: the states of its actors, what has become of them, who started whom, the messages that wait for them, what
 * they sent and nobody had room for, user counters, and the time of its clocks.
 *
 * The kernel rests meanwhile, at a quantum's end, and then goes on as it was: RK_KERNEL_CREATED, _ACTIVE or _SUSPENDED.
 * Messages are accepted all the time; those that come while the snapshot is taken are in it or not. For snapshots of several
 * kernels that fit together, park the runtime first. Not in it: what the kernel has for the host (poll it), buffers,
 * subscriptions, names. With RK_ON_FAILURE_FROM_SNAPSHOT it is, if the call succeeds, what actors are restarted with from now
 * on.
 *
 * flags: 0 or RK_SNAPSHOT_END: nothing comes in any more, and then the kernel is RK_KERNEL_TERMINATED. What was waiting
 * is in the snapshot and does not become dead letters; rk_kernel_statistics.pending goes on to count it. What is sent
 * to it later is refused (RK_ERROR_BAD_STATE) or a dead letter. If the call fails, the kernel goes on, or where nothing
 * comes in any more ends as by rk_kernel_terminate(), with dead letters.
 *
 * data, size: receive the bytes, to be given back with rk_snapshot_free(); NULL and 0 on error. The format has a version and
 * a checksum, and is the same for all backends (src/snapshot/format.rs). error: may be NULL. RK_ERROR_BAD_STATE: the kernel is
 * draining or over, or an actor of it on a GPU failed and the host has still to be told of that: activate it, poll, and call
 * again. RK_ERROR_NO_MEMORY: as it says. Who waits in rk_call() for an answer of a kernel that ended so gets it from the
 * one that is restored in the same process, unless this one is destroyed first: then RK_ERROR_STALE_HANDLE. Thread-safe;
 * other calls that change the kernel's state wait. Since 0.1.0.
 */
rk_status rk_kernel_snapshot(struct rk_kernel kernel,
                             uint32_t flags,
                             void **data,
                             size_t *size,
                             struct rk_error *error);

/**
 * Gives back what rk_kernel_snapshot() gave. NULL: does nothing. Thread-safe. Since 0.1.0.
 */
void rk_snapshot_free(void *data);

/**
 * What a snapshot is of. data: size bytes, anywhere. info: receives it. error: may be NULL. RK_ERROR_BAD_IMAGE: it is no
 * snapshot, truncated, damaged, or of a version that this library does not read.
 *
 * Needs no runtime. Thread-safe. Since 0.1.0.
 */
rk_status rk_snapshot_describe(const void *data,
                               size_t size,
                               struct rk_snapshot_info *info,
                               struct rk_error *error);

/**
 * Launches a kernel that begins as a snapshot says, on any backend and device, with any number of workers. It is
 * RK_KERNEL_CREATED; rk_kernel_activate() has it go on where the other one was.
 *
 * module: with an actor type of the same name and size of state. data: size bytes, read during the call only; nothing in
 * them is trusted. flags: 0: the actors have the addresses that they had, also if the snapshot is of another process; that
 * kernel must have been destroyed. A handle of it is valid again and means this one. RK_RESTORE_NEW_ADDRESSES: they get new
 * ones, and so do senders and receivers among them in the messages that wait; addresses in states and payloads stay as they
 * are. Messages that other actors sent before and after keep no order among themselves: they may go different ways. What
 * handlers had published and some subscribers were still to get goes to these; not again to actors that had it from a
 * device (see rk_topic_open()), wherever they are by now.
 * options: as for rk_kernel_launch(), may be NULL; actors must be 0 or the snapshot's, dormant 0. Rings are made larger
 * than asked for if what waits needs it. kernel: receives the handle. error: may be NULL.
 *
 * RK_ERROR_BAD_IMAGE: it is no snapshot, truncated, damaged, of another version, or does not fit the module.
 * RK_ERROR_NOT_FOUND: the module has no such actor type. RK_ERROR_EXISTS: a kernel of this process has the addresses, or
 * they are such as no kernel gets. RK_ERROR_LIMIT: what waits needs too much memory with so many workers. Others as of
 * rk_kernel_launch(). Thread-safe. Since 0.1.0.
 */
rk_status rk_kernel_restore(struct rk_runtime runtime,
                            struct rk_module module,
                            const void *data,
                            size_t size,
                            uint32_t flags,
                            const struct rk_kernel_options *options,
                            struct rk_kernel *kernel,
                            struct rk_error *error);

/**
 * Sets `options` to zeros, for languages without RK_BUFFER_OPTIONS_INIT.
 *
 * As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
 */
rk_status rk_buffer_options_init(struct rk_buffer_options *options, uint32_t struct_size);

/**
 * Creates a buffer: zeros in the memory of a device, or memory that the program has.
 *
 * options: copied. buffer: receives the handle, whose id goes into messages; set to zero on error. error: may be NULL.
 * RK_ERROR_UNSUPPORTED: the backend has no buffers, or cannot use such memory. Destroyed with rk_buffer_destroy(), or with
 * the runtime. Thread-safe. Since 0.1.0.
 */
rk_status rk_buffer_create(struct rk_runtime runtime,
                           const struct rk_buffer_options *options,
                           struct rk_buffer *buffer,
                           struct rk_error *error);

/**
 * Destroys a buffer. Its handle and id are stale from now on; its memory is freed when transfers and handlers that may be
 * using it are done, which this call does not wait for.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_buffer_destroy(struct rk_buffer buffer);

/**
 * Describes a buffer. properties: caller-owned, with its struct_size set; no more is written. error: may be NULL.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_buffer_info(struct rk_buffer buffer,
                         struct rk_buffer_properties *properties,
                         struct rk_error *error);

/**
 * Where the host program can reach the bytes of a buffer, until it is destroyed; what handlers write is seen there and the
 * other way round, once a message or a call has come between.
 *
 * address: receives it, aligned to 16 bytes; set to NULL on error. error: may be NULL. RK_ERROR_UNSUPPORTED: it is in
 * memory that the host cannot reach. Thread-safe. Since 0.1.0.
 */
rk_status rk_buffer_map(struct rk_buffer buffer,
                        void **address,
                        struct rk_error *error);

/**
 * Copies `size` bytes of the host program to a buffer, from `offset` on, and returns when that is done. Handlers of
 * messages that are sent then see them; one that runs meanwhile may see some of them.
 *
 * data: may be NULL if size is 0. error: may be NULL. RK_ERROR_INVALID_ARGUMENT: they do not lie within the buffer,
 * or `data` does.
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_buffer_upload(struct rk_buffer buffer,
                           uint64_t offset,
                           const void *data,
                           size_t size,
                           struct rk_error *error);

/**
 * Copies `size` bytes of a buffer, from `offset` on, to the host program, and returns when that is done: what handlers wrote
 * whose replies have been received is among them.
 *
 * data: may be NULL if size is 0. error: may be NULL. RK_ERROR_INVALID_ARGUMENT: they do not lie within the buffer,
 * or `data` does.
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_buffer_download(struct rk_buffer buffer,
                             uint64_t offset,
                             void *data,
                             size_t size,
                             struct rk_error *error);

/**
 * rk_buffer_upload() without waiting: the completion is a message of kind RK_MESSAGE_EVENT and type RK_EVENT_TRANSFER.
 *
 * data: must stay as it is until the completion. queue: receives that, with `correlation` and as reason RK_OK or why it
 * failed; zero for the runtime's own queue. error: may be NULL. RK_AGAIN: 65,536 transfers wait. Transfers of a runtime
 * are made in the order asked for. Those that wait when the runtime is destroyed are not made. Thread-safe. Since 0.1.0.
 */
rk_status rk_buffer_upload_async(struct rk_buffer buffer,
                                 uint64_t offset,
                                 const void *data,
                                 size_t size,
                                 struct rk_queue queue,
                                 uint64_t correlation,
                                 struct rk_error *error);

/**
 * rk_buffer_download() without waiting; as rk_buffer_upload_async(). data: is the library's until the completion.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_buffer_download_async(struct rk_buffer buffer,
                                   uint64_t offset,
                                   void *data,
                                   size_t size,
                                   struct rk_queue queue,
                                   uint64_t correlation,
                                   struct rk_error *error);

/**
 * Sets `options` to zeros, for languages without RK_TOPIC_OPTIONS_INIT.
 *
 * As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
 */
rk_status rk_topic_options_init(struct rk_topic_options *options, uint32_t struct_size);

/**
 * Sets `options` to zeros, for languages without RK_PUBLISH_OPTIONS_INIT.
 *
 * As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
 */
rk_status rk_publish_options_init(struct rk_publish_options *options, uint32_t struct_size);

/**
 * Sets `options` to zeros, for languages without RK_SUBSCRIPTION_OPTIONS_INIT.
 *
 * As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
 */
rk_status rk_subscription_options_init(struct rk_subscription_options *options, uint32_t struct_size);

/**
 * Opens a topic; one of that name that is open is given to all who ask.
 *
 * name: UTF-8 of name_length bytes, 1 to 231, in levels divided by '/', none empty, without '*' and '#'; copied. options:
 * may be NULL. topic: receives the handle; set to zero on error. error: may be NULL.
 *
 * Its id goes into messages and states as an address. A handler publishes by rk_tell(id, type), or with rk_tell_as();
 * rk_forward() too keeps the sender, but a call's message cannot be passed on to a topic and becomes a dead letter.
 * rk_send() to a topic is RK_ERROR_STALE_HANDLE.
 *
 * On CUDA and Vulkan a handler's publication goes to actors of the same device and runtime that subscribed with
 * RK_QOS_AT_MOST_ONCE without the host, into the rings for messages from actors; the host takes it to all others. So it
 * does with topics that have RK_TOPIC_RETAIN, to actors that subscribed while the topic retained something, and to those
 * for whom there is no place: a topic has 960 on a CUDA device, 60 on a Vulkan one (fewer for actors that take messages of
 * more than a kilobyte), of 30,720 of all topics, which get them by 60.
 *
 * RK_ERROR_EXISTS: it is open with other options. RK_ERROR_LIMIT: 4,096 topics are open. Closed with
 * rk_topic_close(), or with the runtime. Thread-safe. Since 0.1.0.
 */
rk_status rk_topic_open(struct rk_runtime runtime,
                        const char *name,
                        size_t name_length,
                        const struct rk_topic_options *options,
                        struct rk_topic *topic,
                        struct rk_error *error);

/**
 * Closes a topic, for all who opened it, and forgets what it retains. What handlers publish to its address becomes dead
 * letters from now on; so does what the host has still to take to subscribers, even if others have it from the device.
 * What waits for subscribers still reaches them. Calls of other threads that wait return RK_ERROR_STALE_HANDLE.
 * Subscriptions stay, for topics to come.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_topic_close(struct rk_topic topic);

/**
 * The name of a topic: of {message.to.id}, for a message that came by way of one.
 *
 * name: receives it, NUL-terminated; room for capacity bytes, of which 232 are enough. length: may be NULL; receives its
 * bytes without the NUL. error: may be NULL. RK_ERROR_SIZE: it does not fit, and name is empty (if capacity is not 0).
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_topic_name(struct rk_topic topic,
                        char *name,
                        size_t capacity,
                        size_t *length,
                        struct rk_error *error);

/**
 * Reads a topic's counters. stats: caller-owned, with its struct_size set; no more is written. error: may be NULL.
 *
 * Each is exact when nobody publishes or receives. What CUDA devices brought to their own actors is counted in their memory:
 * for each such subscriber the call goes over the bus and back, twice. Thread-safe. Since 0.1.0.
 */
rk_status rk_topic_stats(struct rk_topic topic,
                         struct rk_topic_statistics *stats,
                         struct rk_error *error);

/**
 * Publishes a message to all subscriptions of which the filter matches the topic.
 *
 * payload: size bytes, copied; may be NULL if size is 0. options: may be NULL.
 *
 * RK_OK: every subscription has it or has counted its loss; one of an actor that does not handle the type, or takes no
 * message of that size, made it a dead letter, which comes to that actor's queue. RK_AGAIN: a subscription with
 * RK_OVERFLOW_BLOCK has no room (RK_TIMEOUT: still none after options->timeout_ns); nobody has it, and nothing is retained.
 * Type 0 with RK_PUBLISH_RETAIN and no payload only forgets what is retained.
 *
 * What one thread publishes reaches a subscription in that order, and an actor in that order within a priority; what the
 * thread sends by rk_send() may overtake what waits in a subscription's queue. Handlers see the publisher as sender, zero
 * for the host; which topic it was, only the message itself can tell them. Thread-safe. Since 0.1.0.
 */
rk_status rk_publish(struct rk_topic topic,
                     uint32_t type,
                     const void *payload,
                     uint32_t size,
                     const struct rk_publish_options *options);

/**
 * Subscribes an actor, or the host by a queue, to all topics of which a filter matches the name, also those opened later.
 *
 * filter: UTF-8 of filter_length bytes, 1 to 231, copied: a name in which '*' stands for any one level, and '#' as the last
 * for all that follow, also none ("plant/#" matches "plant"). options: may be NULL. subscription: receives the handle; set
 * to zero on error. error: may be NULL.
 *
 * What is published after this returned is for it; what such topics retain comes first, in the order of their names, and
 * where publishers wait even if it is more than may wait. An actor handles it as any message. The host receives it from the
 * queue as RK_MESSAGE_PUBLICATION, with the topic as `to`.
 *
 * What actors published before, and is still on its way to others, may come too; but with RK_QOS_AT_MOST_ONCE not what the
 * actor's device has brought it without the host (see rk_topic_open()) by an earlier subscription with that quality, unless
 * that ended before the host had learned of the message.
 *
 * What was accepted is delivered once, unless the actor stops, fails or ends first: then it is a dead letter as any other.
 * An actor that fails and starts again goes on with what waits; the one that it failed at is not delivered again.
 * RK_ERROR_LIMIT: 4,096 subscriptions exist. Ends with rk_unsubscribe(), the actor's kernel, or the runtime. Thread-safe.
 * Since 0.1.0.
 */
rk_status rk_subscribe(struct rk_runtime runtime,
                       const char *filter,
                       size_t filter_length,
                       const struct rk_subscription_options *options,
                       struct rk_subscription *subscription,
                       struct rk_error *error);

/**
 * Ends a subscription. What waits in its queue is dropped, and counted by the topics; what is in an actor's ring is
 * handled.
 *
 * Thread-safe. Since 0.1.0.
 */
rk_status rk_unsubscribe(struct rk_subscription subscription);

/**
 * Reads a subscription's counters. stats: caller-owned, with its struct_size set; no more is written. error: may be NULL.
 *
 * Each is exact when nobody publishes or receives. May read counts in a GPU's memory, as rk_topic_stats(). Thread-safe.
 * Since 0.1.0.
 */
rk_status rk_subscription_stats(struct rk_subscription subscription,
                                struct rk_subscription_statistics *stats,
                                struct rk_error *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RINGKERNEL_H */
