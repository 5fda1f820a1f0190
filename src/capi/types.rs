//! Handles, options and records: every struct that crosses the C boundary except `rk_error`.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};

/// A runtime: devices, worker threads, kernels. Zero is never valid.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct rk_runtime {
    /// Opaque.
    pub id: u64,
}

/// A module: compiled handlers. Zero is never valid.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct rk_module {
    /// Opaque.
    pub id: u64,
}

/// A kernel: N actors of one type on one device. Zero is never valid.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct rk_kernel {
    /// Opaque.
    pub id: u64,
}

/// A queue: where kernels put what they have for the host. Zero stands for the runtime's own queue in options.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct rk_queue {
    /// Opaque.
    pub id: u64,
}

/// The address of one actor. The same 64 bits as `rk_address` in handlers: keep it in state, send it in messages,
/// compare it. Zero is no actor (as a sender: the host).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct rk_actor {
    /// Kernel, generation and index, see rk_actor_index().
    pub id: u64,
}

/// Backend by choice: as configured (see rk_runtime_create()), else CUDA where there is a device that can be used and code for
/// it or an NVRTC that makes some, else the CPU. It is found out once for a runtime, by the first kernel or buffer that leaves
/// it open, which opens the CUDA driver if there is one (some tenths of a second); a later kernel whose module has nothing
/// for that device goes to the CPU. rk_kernel_stats() and rk_buffer_info() say where, the log at RK_LOG_INFO why. Vulkan is
/// asked for by name.
pub const RK_BACKEND_AUTO: u32 = 0;
/// Worker threads of this process. Always there.
pub const RK_BACKEND_CPU: u32 = 1;
/// NVIDIA GPUs, through the CUDA driver.
pub const RK_BACKEND_CUDA: u32 = 2;
/// GPUs through Vulkan compute.
pub const RK_BACKEND_VULKAN: u32 = 3;

/// Log levels; a callback gets messages of its level and below.
pub const RK_LOG_ERROR: u32 = 1;
/// See RK_LOG_ERROR.
pub const RK_LOG_WARN: u32 = 2;
/// See RK_LOG_ERROR.
pub const RK_LOG_INFO: u32 = 3;
/// See RK_LOG_ERROR.
pub const RK_LOG_DEBUG: u32 = 4;

/// Receives log messages. `text` is UTF-8 of `length` bytes, not NUL-terminated, valid during the call only. Called
/// from any thread, the library's own included, with no lock held; must not call back into the library, and must not
/// unwind.
pub type rk_log_fn = Option<unsafe extern "C" fn(user: *mut c_void, level: u32, text: *const c_char, length: usize)>;

/// In place of a time or count where zero means "default": none at all.
pub const RK_NONE: u32 = 0xffff_ffff;
/// As a timeout: wait without limit.
pub const RK_FOREVER: i64 = -1;

/// rk_vulkan_context.features: what the device was created with, as Vulkan names it. The first seven are needed, the next
/// five by modules that use such types, the last two by kernels that measure latencies.
pub const RK_VULKAN_MEMORY_MODEL: u32 = 1;
/// vulkanMemoryModelDeviceScope
pub const RK_VULKAN_MEMORY_MODEL_DEVICE_SCOPE: u32 = 2;
/// bufferDeviceAddress
pub const RK_VULKAN_BUFFER_DEVICE_ADDRESS: u32 = 4;
/// scalarBlockLayout
pub const RK_VULKAN_SCALAR_BLOCK_LAYOUT: u32 = 8;
/// timelineSemaphore
pub const RK_VULKAN_TIMELINE_SEMAPHORE: u32 = 16;
/// shaderInt64
pub const RK_VULKAN_SHADER_INT64: u32 = 32;
/// shaderBufferInt64Atomics
pub const RK_VULKAN_SHADER_BUFFER_INT64_ATOMICS: u32 = 64;
/// shaderInt16
pub const RK_VULKAN_SHADER_INT16: u32 = 128;
/// shaderInt8
pub const RK_VULKAN_SHADER_INT8: u32 = 256;
/// storageBuffer16BitAccess
pub const RK_VULKAN_STORAGE_BUFFER_16BIT_ACCESS: u32 = 512;
/// storageBuffer8BitAccess
pub const RK_VULKAN_STORAGE_BUFFER_8BIT_ACCESS: u32 = 1024;
/// shaderFloat64
pub const RK_VULKAN_SHADER_FLOAT64: u32 = 2048;
/// shaderDeviceClock, of VK_KHR_shader_clock
pub const RK_VULKAN_SHADER_DEVICE_CLOCK: u32 = 4096;
/// shaderSubgroupClock, of VK_KHR_shader_clock
pub const RK_VULKAN_SHADER_SUBGROUP_CLOCK: u32 = 8192;

/// Takes a queue for the calling thread, or gives it back. Called from threads of the library, with no lock held that a
/// host program could know; must not call back into the library, and must not unwind.
pub type rk_vulkan_lock_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// A Vulkan device of the host program, of Vulkan 1.2 or later. It is used from the library's threads while the runtime
/// exists, which must be destroyed first, and none of it is ever destroyed or reset by the library.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rk_vulkan_context {
    /// sizeof this struct, as RK_VULKAN_CONTEXT_INIT sets it.
    pub struct_size: u32,
    /// Family of `queue`, which computes.
    pub queue_family: u32,
    /// VkInstance.
    pub instance: *mut c_void,
    /// VkPhysicalDevice.
    pub physical_device: *mut c_void,
    /// VkDevice.
    pub device: *mut c_void,
    /// VkQueue. With a pump submitted to it at times, never for longer than some milliseconds.
    pub queue: *mut c_void,
    /// vkGetInstanceProcAddr of the loader that these are of; NULL: that of libvulkan.so.1.
    pub get_instance_proc_addr: *mut c_void,
    /// RK_VULKAN_... bits of the features that the device was created with.
    pub features: u32,
    /// Zero.
    pub reserved: u32,
    /// Called before and after the library submits to `queue`, which Vulkan lets one thread do at a time. Both or
    /// neither: NULL says that the queue is the library's alone.
    pub lock: rk_vulkan_lock_fn,
    /// See lock.
    pub unlock: rk_vulkan_lock_fn,
    /// Passed to `lock` and `unlock`.
    pub lock_user: *mut c_void,
}

/// Options of a runtime. Zero everywhere is a good default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rk_runtime_options {
    /// sizeof this struct, as RK_RUNTIME_OPTIONS_INIT sets it.
    pub struct_size: u32,
    /// RK_BACKEND_... for kernels and buffers that do not name one.
    pub backend: u32,
    /// Threads of the CPU backend, 1 to 1024. 0: one less than the processors this process may use, at least one.
    pub cpu_threads: u32,
    /// Microseconds that an idle thread of ours looks for work before it sleeps. 0: 50. RK_NONE: sleeps at once.
    pub spin_us: u32,
    /// Longest stay of a kernel's pump on a device, in microseconds, 100 to 1,000,000. 0: 2000.
    pub quantum_us: u32,
    /// RK_LOG_... level for `log`. 0: RK_LOG_WARN.
    pub log_level: u32,
    /// Receives log messages; NULL: the library is silent.
    pub log: rk_log_fn,
    /// Passed to `log`.
    pub log_user: *mut c_void,
    /// Processors for the CPU backend: thread i runs on cpus[i % cpu_count]. NULL: wherever the system puts it. Read
    /// during the call only.
    pub cpus: *const u32,
    /// Entries of `cpus`.
    pub cpu_count: u32,
    /// Zero.
    pub reserved: u32,
    /// How far ahead of this machine's time another clock may be, in milliseconds, 1 to 3,600,000: see rk_hlc_merge().
    /// 0: 1000. RK_NONE: no bound but the 36 years before the last stamp that there can be.
    pub clock_drift_ms: u32,
    /// Multiprocessors of a CUDA device that all kernels of the runtime together may use at most, rounded up to what the
    /// device can set apart (groups of 8 on compute capability 9.0); the others never run them. 0, or so many that no
    /// group is left: all. Launches fail with RK_ERROR_UNSUPPORTED where the driver is older than CUDA 12.5. Two runtimes
    /// may be given the same ones.
    pub cuda_multiprocessors: u32,
    /// Path of a TOML file with options for what is zero here and in other structs of options, see
    /// rk_runtime_create(); UTF-8. NULL: what RINGKERNEL_CONFIG from the environment names, if set. Read during the call
    /// only.
    pub config: *const c_char,
    /// Bytes of `config`.
    pub config_length: usize,
    /// The host program's own Vulkan device, for the Vulkan backend to use; NULL: it makes its own. Copied.
    pub vulkan: *const rk_vulkan_context,
}

/// A device and what it can do. Filled by rk_device_info().
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rk_device_properties {
    /// sizeof this struct, set by the caller.
    pub struct_size: u32,
    /// RK_BACKEND_...
    pub backend: u32,
    /// Number of the device within its backend, for rk_kernel_options.device.
    pub ordinal: u32,
    /// 1 if kernels can run on it, 0 if not; `reason` says why not.
    pub usable: u32,
    /// Workers that can run at once.
    pub workers: u32,
    /// Largest number of lanes of a worker.
    pub lanes: u32,
    /// Device memory in bytes; 0 for the CPU.
    pub memory: u64,
    /// UTF-8, NUL-terminated.
    pub name: [c_char; 128],
    /// UTF-8, NUL-terminated, empty if usable.
    pub reason: [c_char; 256],
}

/// Options of a kernel. Zero everywhere launches one actor.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rk_kernel_options {
    /// sizeof this struct, as RK_KERNEL_OPTIONS_INIT sets it.
    pub struct_size: u32,
    /// RK_BACKEND_...; 0: the runtime's.
    pub backend: u32,
    /// Ordinal of the device within the backend.
    pub device: u32,
    /// Number of actors, 1 to 1,048,576. 0: one.
    pub actors: u32,
    /// Workers that they are divided among, in equal runs of consecutive actors. 0: as many as the device runs well,
    /// at most one an actor. On the CPU backend several workers may share a thread.
    pub workers: u32,
    /// Threads of a worker, 1 to 1024, all of which run each handler. 0: one. The CPU backend always has one.
    pub lanes: u32,
    /// Microseconds, 100 to 1,000,000. 0: the runtime's.
    pub quantum_us: u32,
    /// Messages that the rings of one worker hold: from the host, from actors, and for the host. Each a power of two
    /// from 4 to 1,048,576. 0: 1024, or fewer where payloads are large. The rings for high, low and critical
    /// priority hold a quarter of that, at least 4.
    pub inbound_capacity: u32,
    /// See inbound_capacity.
    pub actor_capacity: u32,
    /// See inbound_capacity.
    pub outbound_capacity: u32,
    /// Bytes that the posts of one handler may fill, each with 48 bytes of envelope. 0: 65,536, or room for four of
    /// the largest messages if that is more.
    pub outbox_bytes: u32,
    /// Bytes of `initial_state`.
    pub initial_state_size: u32,
    /// State that every actor starts with, copied during the call: as large as the actor's state, or NULL for zeros.
    pub initial_state: *const c_void,
    /// Queues for what the kernel has for the host; worker w uses queues[w * queue_count / workers]. NULL: the
    /// runtime's own queue. Read during the call only.
    pub queues: *const rk_queue,
    /// Entries of `queues`.
    pub queue_count: u32,
    /// Bytes of `name`.
    pub name_length: u32,
    /// Name in logs and statistics, UTF-8, at most 63 bytes. NULL: the actor's.
    pub name: *const c_char,
    /// Measures how long messages wait and handlers run, of one message in so many at random, up to 1,000,000: see
    /// rk_kernel_latency(). 0: none. On CUDA a message that is measured takes some 2 us longer, and the others as long as
    /// without. On Vulkan the pump is another program where this is not 0, and the host asks the device's clock before a
    /// kernel's first launch how long its ticks are, for 10 ms or more, once for a device. RK_ERROR_UNSUPPORTED on Vulkan
    /// devices without VK_KHR_shader_clock and both of its features, and where an rkc has built the module that did not know
    /// of this.
    pub latency_every: u32,
    /// Where the rings from the host lie, on a device: RK_INBOUND_...
    pub inbound_memory: u32,
    /// What becomes of an actor whose handler fails: RK_ON_FAILURE_... bits. 0: it fails for good, and messages to it
    /// become dead letters; nothing else is touched.
    pub on_failure: u32,
    /// Restarts of one actor, 1 to 1,000,000, within a window, after which it fails for good. 0: 3.
    pub max_restarts: u32,
    /// Length of the window in milliseconds, 1 to 86,400,000. It begins with the first restart, and the next with the
    /// first one after its end. 0: 5000.
    pub restart_window_ms: u32,
    /// Actors, of those with the highest numbers, that begin stopped, until they are sent RK_ACTOR_START. At most `actors`.
    pub dormant: u32,
    /// On a device: how long a handler may go on after its quantum is over, in milliseconds, 1 to 86,400,000. Then the kernel
    /// fails, RK_EVENT_KERNEL_FAILED with reason RK_TIMEOUT, and nothing waits for it any more. The handler itself nobody can
    /// end: as long as it runs, its device refuses new kernels and buffers (RK_ERROR_DRIVER, which may pass), and memory that
    /// is freed there meanwhile, the kernel's too, is not given back before the process ends. A worker asks for the time
    /// once in 128 messages: that many handlers must be done by then. 0: 60,000. RK_NONE: for ever. The CPU backend always waits.
    pub watchdog_ms: u32,
    /// Zero.
    pub reserved: u32,
}

/// Message type, without payload, that every actor takes: it starts, with the state that it was launched with. Also one that
/// runs, has stopped or has failed. Sent as any other, by rk_send() or by handlers (see ringkernel/actor.h), and taken in
/// order with them.
///
/// An actor that one of the same kernel starts is its child, unless it is somebody's already, and ends when its parent does: when
/// that stops, is stopped, or fails for good, but not when it is restarted or started again. Its own children end with it. The
/// host is nobody's parent. A child stays one until its parent ends: also if it stopped meanwhile and was started again, by
/// whomever. If its parent has ended when it takes this, it ends at once.
///
/// Children hear of their parent's end by a message, of normal priority, which rk_kernel_statistics counts as others: it takes
/// its time. What the parent sends to a child after it was started again comes after that, as of one sender, unless its
/// priority is higher. What waits for a child that has ended becomes dead letters.
pub const RK_ACTOR_START: u32 = 65281;
/// The same: it stops, and its children with it; messages become dead letters until it is started.
pub const RK_ACTOR_STOP: u32 = 65282;

/// rk_kernel_options.on_failure: the actor starts again, with the state that it was launched with (but see
/// RK_ON_FAILURE_FROM_SNAPSHOT), and handles what waits for it. The message at which it failed counts as handled, and is not
/// given to it again but for what RK_QOS_AT_LEAST_ONCE says; what the handler had sent before is sent. Its children go on.
pub const RK_ON_FAILURE_RESTART: u32 = 1;
/// An actor that fails for good (with RK_ON_FAILURE_RESTART: after too many restarts) takes its kernel with it: the
/// kernel ends as by rk_kernel_terminate(), what waits becomes dead letters, and its state is then RK_KERNEL_FAILED.
pub const RK_ON_FAILURE_ESCALATE: u32 = 2;
/// With RK_ON_FAILURE_RESTART, without which it is an error: the actor starts again with the state that it had in the last
/// snapshot that rk_kernel_snapshot() gave, or in the one that rk_kernel_restore() made the kernel of. If there is none, or
/// RK_ACTOR_START has started the actor since, with the state that it was launched with, as one that was stopped or had failed
/// in the snapshot does in any case. What waits for it is not taken back. Takes memory for every state a second time, where
/// the states are.
pub const RK_ON_FAILURE_FROM_SNAPSHOT: u32 = 4;

/// rk_kernel_options.inbound_memory: in the device's own memory if it can be written by the host and rk_selftest() finds
/// that it works and is not slower there, else in the host's. On the CPU backend all are the same.
pub const RK_INBOUND_AUTO: u32 = 0;
/// In the host's memory, which the device maps. Round trips take half as long again.
pub const RK_INBOUND_HOST: u32 = 1;
/// In the device's memory; RK_ERROR_UNSUPPORTED where that does not work.
pub const RK_INBOUND_DEVICE: u32 = 2;

/// Kernel states.
pub const RK_KERNEL_CREATED: u32 = 1;
/// Messages are handled.
pub const RK_KERNEL_ACTIVE: u32 = 2;
/// Messages are accepted and wait.
pub const RK_KERNEL_SUSPENDED: u32 = 3;
/// What is there is handled, nothing more accepted from the host.
pub const RK_KERNEL_DRAINING: u32 = 4;
/// Over; what was left became dead letters.
pub const RK_KERNEL_TERMINATED: u32 = 5;
/// Over because of a fault of the device or the library, or of an actor, see RK_ON_FAILURE_ESCALATE.
pub const RK_KERNEL_FAILED: u32 = 6;

/// Counters of a kernel, filled by rk_kernel_stats(). While it is parked, suspended or over,
/// accepted = handled + dead_letters + pending holds exactly.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rk_kernel_statistics {
    /// sizeof this struct, set by the caller.
    pub struct_size: u32,
    /// RK_KERNEL_... state.
    pub state: u32,
    /// RK_BACKEND_...
    pub backend: u32,
    /// Actors launched.
    pub actors: u32,
    /// Workers.
    pub workers: u32,
    /// Lanes of a worker.
    pub lanes: u32,
    /// Messages taken into the kernel's rings, from the host and from actors.
    pub accepted: u64,
    /// Messages whose handler ran, also those whose handler failed; and those that start and stop actors.
    pub handled: u64,
    /// Accepted messages that could not be handled.
    pub dead_letters: u64,
    /// Messages waiting in the rings.
    pub pending: u64,
    /// Most messages that were seen waiting at one worker: a sample, taken at times on the CPU, when a quantum begins on other
    /// backends, and by this call. At least 1 once a worker has taken any.
    pub high_water: u64,
    /// Replies and emits handed to the host's queues.
    pub sent_host: u64,
    /// Messages handed to actors' rings, and publications, each counted once; also those that go to an actor again, see
    /// RK_QOS_AT_LEAST_ONCE.
    pub sent_actors: u64,
    /// Posts waiting for room in another worker's ring or in the host's.
    pub deferred: u64,
    /// Posts of its actors that no ring accepted: to an actor that does not exist (any more), of a type that it does not
    /// handle, or larger than it takes. They become dead letters too.
    pub undeliverable: u64,
    /// Posts refused because a handler's outbox was full.
    pub refused: u64,
    /// Handlers that failed.
    pub failures: u64,
    /// Times that a worker's pump was left and entered again.
    pub quanta: u64,
    /// Bytes of memory of the kernel: states, actor table and rings.
    pub memory: u64,
    /// Bytes of memory per actor beside its state (the rings belong to the workers and are not counted).
    pub memory_per_actor: u64,
    /// User counters, see rk_count() in ringkernel/actor.h.
    pub counters: [u64; 8],
    /// Restarts of actors, see RK_ON_FAILURE_RESTART.
    pub restarts: u64,
}

/// Priorities. Any value of 1 to 255 is taken for the highest of these not above it. Messages of one sender to one
/// actor stay in order within a priority; a higher one overtakes.
pub const RK_PRIORITY_DEFAULT: u32 = 0;
/// Level 0, below 64.
pub const RK_PRIORITY_LOW: u32 = 1;
/// Level 64; what RK_PRIORITY_DEFAULT stands for.
pub const RK_PRIORITY_NORMAL: u32 = 64;
/// Level 128.
pub const RK_PRIORITY_HIGH: u32 = 128;
/// Level 192.
pub const RK_PRIORITY_CRITICAL: u32 = 192;

/// Options of rk_send() and rk_call().
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rk_send_options {
    /// sizeof this struct, as RK_SEND_OPTIONS_INIT sets it.
    pub struct_size: u32,
    /// RK_PRIORITY_..., or any number to 255.
    pub priority: u32,
    /// Comes back with the reply. The library gives it no meaning. Ignored by rk_call().
    pub correlation: u64,
    /// Nanoseconds from now after which the message is no longer to be handled but becomes a dead letter. 0: none.
    pub deadline_ns: u64,
    /// rk_send(): nanoseconds to wait for room in the ring; RK_FOREVER without limit. Ignored by rk_call().
    pub timeout_ns: i64,
}

/// One message for rk_send_many(). Zero everything that is not used.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rk_outbound {
    /// Receiver.
    pub to: rk_actor,
    /// Comes back with the reply.
    pub correlation: u64,
    /// As in rk_send_options.
    pub deadline_ns: u64,
    /// Payload, read during the call only; may be NULL if size is 0.
    pub payload: *const c_void,
    /// Message type.
    pub r#type: u32,
    /// Bytes of payload.
    pub size: u32,
    /// RK_PRIORITY_...
    pub priority: u32,
    /// Zero.
    pub reserved: u32,
}

/// rk_message.kind: an actor's reply to a message from the host.
pub const RK_MESSAGE_REPLY: u32 = 1;
/// rk_message.kind: an actor's message that answers none.
pub const RK_MESSAGE_EMIT: u32 = 2;
/// rk_message.kind: a message that could not be handled comes back; `reason` says why.
pub const RK_MESSAGE_DEAD_LETTER: u32 = 3;
/// rk_message.kind: something happened to a kernel or actor; type is RK_EVENT_..., reason a code.
pub const RK_MESSAGE_EVENT: u32 = 4;
/// rk_message.kind: a message that was published to a topic, `to`, which a queue is subscribed to: see rk_subscribe().
pub const RK_MESSAGE_PUBLICATION: u32 = 5;

/// Why a message became a dead letter; rk_message.reason.
pub const RK_DEAD_EXPIRED: i32 = 1;
/// The address has no actor, or not any more.
pub const RK_DEAD_NO_ACTOR: i32 = 2;
/// The actor had stopped.
pub const RK_DEAD_STOPPED: i32 = 3;
/// The actor had failed.
pub const RK_DEAD_FAILED: i32 = 4;
/// The actor does not handle that type.
pub const RK_DEAD_UNKNOWN_TYPE: i32 = 5;
/// The kernel was terminated with the message waiting.
pub const RK_DEAD_TERMINATED: i32 = 6;
/// Memory for messages on their way between actors ran out.
pub const RK_DEAD_OVERFLOW: i32 = 7;
/// The payload is larger than the type's, or than the receiver's rings can carry.
pub const RK_DEAD_SIZE: i32 = 8;

/// An actor's handler failed, and the actor with it; `from` is the actor, reason its code.
pub const RK_EVENT_ACTOR_FAILED: u32 = 1;
/// A kernel was terminated or drained; the payload is empty.
pub const RK_EVENT_KERNEL_TERMINATED: u32 = 2;
/// A kernel failed; reason is an rk_status.
pub const RK_EVENT_KERNEL_FAILED: u32 = 3;
/// A transfer of a buffer is done, or failed; reason is an rk_status.
pub const RK_EVENT_TRANSFER: u32 = 4;
/// An actor's handler failed and it was restarted; `from` is the actor, reason its code. Left out while the host has
/// 4096 letters of the worker unread; rk_kernel_statistics.restarts counts all.
pub const RK_EVENT_ACTOR_RESTARTED: u32 = 5;

/// One message for the host, filled by rk_poll(). 64 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rk_message {
    /// Sending actor, 0 for the host; of a dead letter: the sender of the message that died.
    pub from: rk_actor,
    /// Of a dead letter: the intended receiver. Of a publication: the topic, whose handle has the same id. Else 0.
    pub to: rk_actor,
    /// Of the message that this answers, or of the dead letter.
    pub correlation: u64,
    /// Hybrid logical clock stamp given when it was sent, see rk_hlc_now().
    pub time: u64,
    /// In the caller's payload buffer, 16-byte aligned if that is; NULL if size is 0.
    pub payload: *const c_void,
    /// RK_MESSAGE_...
    pub kind: u32,
    /// Message type, or RK_EVENT_...
    pub r#type: u32,
    /// Bytes of payload.
    pub size: u32,
    /// RK_DEAD_... of a dead letter, code of an event, else 0.
    pub reason: i32,
    /// Level it was sent with: 0, 64, 128 or 192.
    pub priority: u32,
    /// Zero.
    pub reserved: u32,
}
