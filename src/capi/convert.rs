//! From C's structs to the core's types and back, with every range checked.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::types::{
    rk_actor, rk_device_properties, rk_kernel_options, rk_kernel_statistics, rk_message, rk_outbound, rk_queue,
    rk_runtime_options, rk_send_options, RK_FOREVER, RK_LOG_DEBUG, RK_LOG_WARN, RK_NONE,
};
use crate::address::{Address, MAX_ACTORS};
use crate::backend::{Backend, Device, Kind};
use crate::error::{Error, Result};
use crate::kernel::{Batch as BatchOf, Plan, State, Statistics};
use crate::layout::PAYLOAD_MAX;
use crate::log::{Level, Log};
use crate::message::{level_of, priority_of, Incoming, Letter, Offer, Owned, Sink, Timeout};
use crate::module::Module;
use crate::queue::Queue;
use crate::runtime::{Config, Home};

/// Most threads of the CPU backend.
const THREADS_MAX: u32 = 1024;
const CAPACITY_MAX: u32 = 1 << 20;
const OUTBOX_DEFAULT: u32 = 1 << 16;
const OUTBOX_MAX: u32 = 1 << 28;
/// Bytes of bodies that a ring gets by default, rather than fewer slots.
const BODIES_DEFAULT: u32 = 1 << 20;
const CAPACITY_DEFAULT: u32 = 1024;
const NAME_MAX: usize = 63;

fn in_range(what: &str, value: u32, low: u32, high: u32) -> Result<u32> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(Error::invalid(format!("{what} is {value}, it can be {low} to {high}")))
    }
}

/// `size` readable bytes, none for NULL with size 0.
///
/// # Safety
/// `at` is NULL or points to `size` bytes that stay readable for `'a`.
#[inline(always)]
pub(super) unsafe fn bytes<'a>(at: *const u8, size: usize, what: &str) -> Result<&'a [u8]> {
    if size == 0 {
        return Ok(&[]);
    }
    if at.is_null() {
        return Err(Error::invalid(format!("{what} is NULL")));
    }
    if size > isize::MAX as usize {
        return Err(Error::invalid(format!("{what} has {size} bytes")));
    }
    // SAFETY: the caller's promise; not NULL, not larger than an object can be.
    Ok(unsafe { std::slice::from_raw_parts(at, size) })
}

/// A string.
///
/// # Safety
/// As [`bytes`].
pub(super) unsafe fn string<'a>(at: *const c_char, length: usize, what: &str) -> Result<&'a str> {
    if at.is_null() {
        return Err(Error::invalid(format!("{what} is NULL")));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(at.cast(), length, what) }?;
    std::str::from_utf8(bytes).map_err(|_| Error::invalid(format!("{what} is not UTF-8")))
}

/// A string, or none for NULL.
///
/// # Safety
/// As [`bytes`].
pub(super) unsafe fn optional_string<'a>(at: *const c_char, length: usize, what: &str) -> Result<Option<&'a str>> {
    if at.is_null() && length == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { string(at, length, what) }.map(Some)
}

/// A path.
///
/// # Safety
/// As [`bytes`].
pub(super) unsafe fn path<'a>(at: *const c_char, length: usize) -> Result<&'a Path> {
    // SAFETY: the caller's promise.
    let text = unsafe { string(at, length, "path") }?;
    if text.is_empty() || text.contains('\0') {
        return Err(Error::invalid("path is empty or has a NUL in it"));
    }
    Ok(Path::new(text))
}

#[inline(always)]
pub(super) fn timeout(ns: i64) -> Result<Timeout> {
    match ns {
        0 => Ok(Timeout::None),
        RK_FOREVER => Ok(Timeout::Never),
        1.. => Ok(Timeout::After(Duration::from_nanos(ns as u64))),
        _ => Err(Error::invalid(format!("a timeout of {ns}"))),
    }
}

fn backend(number: u32) -> Result<Option<Kind>> {
    match number {
        0 => Ok(None),
        number => {
            Kind::from_number(number).map(Some).ok_or_else(|| Error::invalid(format!("there is no backend {number}")))
        }
    }
}

fn quantum(us: u32) -> Result<Duration> {
    Ok(Duration::from_micros(u64::from(in_range("quantum_us", us, 100, 1_000_000)?)))
}

/// # Safety
/// `cpus` points to `cpu_count` numbers, `log` may be called with `log_user` from any thread while the runtime lives.
pub(super) unsafe fn runtime_config(options: &rk_runtime_options) -> Result<Config> {
    if options.reserved != 0 {
        return Err(Error::invalid("reserved is not zero"));
    }
    let threads = match options.cpu_threads {
        0 => std::thread::available_parallelism().map_or(1, |all| (all.get() - 1).clamp(1, THREADS_MAX as usize)),
        count => in_range("cpu_threads", count, 1, THREADS_MAX)? as usize,
    };
    let cpus = match (options.cpus.is_null(), options.cpu_count) {
        (true, 0) => Vec::new(),
        (true, _) | (false, 0) => return Err(Error::invalid("cpus and cpu_count contradict each other")),
        // SAFETY: the caller's promise.
        (false, count) if options.cpus.is_aligned() => unsafe {
            std::slice::from_raw_parts(options.cpus, in_range("cpu_count", count, 1, 1 << 16)? as usize).to_vec()
        },
        _ => return Err(Error::invalid("cpus is not aligned")),
    };
    let spin = match options.spin_us {
        0 => Duration::from_micros(50),
        RK_NONE => Duration::ZERO,
        us => Duration::from_micros(u64::from(us)),
    };
    Ok(Config {
        backend: backend(options.backend)?,
        cpu_threads: threads,
        cpus,
        spin,
        quantum: if options.quantum_us == 0 { Duration::from_millis(2) } else { quantum(options.quantum_us)? },
        log: log(options)?,
        vulkan: None,
    })
}

/// The caller's pointer for its log callback. It is only ever handed back.
struct User(*mut c_void);

// SAFETY: the caller is told that the callback comes from any thread, with this pointer.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

fn log(options: &rk_runtime_options) -> Result<Log> {
    let level = match options.log_level {
        0 => RK_LOG_WARN,
        level => in_range("log_level", level, 1, RK_LOG_DEBUG)?,
    };
    let Some(callback) = options.log else { return Ok(Log::default()) };
    let user = User(options.log_user);
    let level = [Level::Error, Level::Warn, Level::Info, Level::Debug][level as usize - 1];
    Ok(Log::new(
        level,
        Box::new(move |level, text| {
            let user: &User = &user;
            // SAFETY: a function of this type by the struct's contract; the text is valid during the call.
            unsafe { callback(user.0, level as u32, text.as_ptr().cast(), text.len()) };
        }),
    ))
}

/// Options of a kernel, copied.
pub(super) struct KernelSpec {
    pub(super) backend: Option<Kind>,
    pub(super) queues: Vec<rk_queue>,
    options: rk_kernel_options,
    initial_state: Option<Vec<u8>>,
    name: Option<String>,
}

/// # Safety
/// The pointers in `options` are NULL or point to as much as the sizes beside them say.
pub(super) unsafe fn kernel_spec(options: &rk_kernel_options, state_size: u32) -> Result<KernelSpec> {
    // SAFETY: the caller's promise, for all three.
    let name = unsafe { optional_string(options.name, options.name_length as usize, "name") }?;
    if name.is_some_and(|name| name.len() > NAME_MAX) {
        return Err(Error::invalid(format!("name has more than {NAME_MAX} bytes")));
    }
    let initial_state = match (options.initial_state.is_null(), options.initial_state_size) {
        (true, 0) => None,
        (_, size) if size != state_size => {
            return Err(Error::invalid(format!(
                "initial_state_size is {size}, the actor's state has {state_size} bytes"
            )));
        }
        // SAFETY: as above.
        (_, size) => Some(unsafe { bytes(options.initial_state.cast(), size as usize, "initial_state") }?.to_vec()),
    };
    let queues = match (options.queues.is_null(), options.queue_count) {
        (true, 0) => Vec::new(),
        // SAFETY: as above.
        (false, count @ 1..) if options.queues.is_aligned() => unsafe {
            std::slice::from_raw_parts(options.queues, in_range("queue_count", count, 1, 1 << 16)? as usize).to_vec()
        },
        _ => return Err(Error::invalid("queues and queue_count contradict each other")),
    };
    Ok(KernelSpec {
        backend: backend(options.backend)?,
        queues,
        options: *options,
        initial_state,
        name: name.map(str::to_owned),
    })
}

impl KernelSpec {
    /// Fills in what was left open.
    pub(super) fn plan(
        self,
        home: &Home,
        backend: &dyn Backend,
        module: Arc<Module>,
        actor: usize,
        queues: Vec<Arc<Queue>>,
    ) -> Result<Plan> {
        let options = &self.options;
        let kind = &module.actors()[actor];
        let actors = match options.actors {
            0 => 1,
            count => in_range("actors", count, 1, MAX_ACTORS)?,
        };
        let workers = match options.workers {
            0 => backend.default_workers(options.device)?.min(actors),
            count => {
                backend.default_workers(options.device)?;
                in_range("workers", count, 1, actors)?
            }
        };
        if options.lanes != 0 {
            in_range("lanes", options.lanes, 1, 1024)?;
        }
        let capacity = |what: &str, asked: u32, largest: u32| match asked {
            0 => Ok((BODIES_DEFAULT / largest.next_multiple_of(64).max(64))
                .clamp(4, CAPACITY_DEFAULT)
                .next_power_of_two()),
            count if count.is_power_of_two() => in_range(what, count, 4, CAPACITY_MAX),
            count => Err(Error::invalid(format!("{what} is {count}, which is not a power of two"))),
        };
        let handled = kind.handlers.iter().map(|handler| handler.size).max().unwrap_or(0);
        let message = module.largest_message();
        let outbox = match options.outbox_bytes {
            0 => OUTBOX_DEFAULT.max(4 * (message.next_multiple_of(16) + 48)),
            bytes => in_range("outbox_bytes", bytes, 48 + message.next_multiple_of(16), OUTBOX_MAX)?,
        };
        Ok(Plan {
            name: self.name.clone().unwrap_or_else(|| kind.name.clone()),
            actor,
            actors,
            workers,
            lanes: options.lanes.max(1),
            device: options.device,
            quantum: if options.quantum_us == 0 { home.quantum } else { quantum(options.quantum_us)? },
            inbound_capacity: capacity("inbound_capacity", options.inbound_capacity, handled)?,
            actor_capacity: capacity("actor_capacity", options.actor_capacity, handled)?,
            outbound_capacity: capacity("outbound_capacity", options.outbound_capacity, message)?,
            outbox_bytes: outbox,
            initial_state: self.initial_state,
            queues,
            module,
        })
    }
}

/// # Safety
/// As [`bytes`].
#[inline(always)]
pub(super) unsafe fn payload<'a>(at: *const c_void, size: u32) -> Result<&'a [u8]> {
    if size > PAYLOAD_MAX {
        return Err(Error::Size { size, limit: PAYLOAD_MAX });
    }
    // SAFETY: the caller's promise.
    unsafe { bytes(at.cast(), size as usize, "payload") }
}

#[inline(always)]
pub(super) fn letter<'a>(to: rk_actor, kind: u32, payload: &'a [u8], options: &rk_send_options) -> Result<Letter<'a>> {
    Ok(Letter {
        actor: Address::from_bits(to.id).actor(),
        kind,
        payload,
        level: level(options.priority)?,
        correlation: options.correlation,
        deadline_ns: options.deadline_ns,
    })
}

#[inline(always)]
fn level(priority: u32) -> Result<u8> {
    if priority > 255 {
        return Err(Error::invalid(format!("priority is {priority}, it can be 0 to 255")));
    }
    Ok(level_of(priority))
}

/// The caller's array of messages to send.
pub(super) struct Batch<'a>(&'a [rk_outbound]);

impl Batch<'_> {
    /// # Safety
    /// `messages` is NULL or points to `count` structs whose payloads are readable, all for `'a`.
    pub(super) unsafe fn new(messages: *const rk_outbound, count: u32) -> Result<Self> {
        if count == 0 {
            return Ok(Self(&[]));
        }
        if messages.is_null() || !messages.is_aligned() {
            return Err(Error::invalid("messages is NULL or not aligned"));
        }
        // SAFETY: the caller's promise.
        Ok(Self(unsafe { std::slice::from_raw_parts(messages, count as usize) }))
    }
}

impl BatchOf for Batch<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn get(&self, index: usize) -> Result<(u32, Letter<'_>)> {
        let message = &self.0[index];
        if message.reserved != 0 {
            return Err(Error::invalid("reserved is not zero"));
        }
        let letter = Letter {
            actor: Address::from_bits(message.to.id).actor(),
            kind: message.r#type,
            // SAFETY: promised to `new`.
            payload: unsafe { payload(message.payload, message.size) }?,
            level: level(message.priority)?,
            correlation: message.correlation,
            deadline_ns: message.deadline_ns,
        };
        Ok((Address::from_bits(message.to.id).kernel(), letter))
    }
}

/// The caller's arrays for received messages.
pub(super) struct MessageSink<'a> {
    messages: *mut rk_message,
    capacity: usize,
    payloads: *mut u8,
    payload_bytes: usize,
    count: &'a mut u32,
    /// Bytes of `payloads` that are taken.
    used: usize,
}

impl MessageSink<'_> {
    /// # Safety
    /// `messages` is NULL or has room for `capacity`, `payloads` is NULL or has `payload_bytes`, `count` is NULL or a
    /// place for the count, all for `'a`.
    #[inline(always)]
    pub(super) unsafe fn new(
        messages: *mut rk_message,
        capacity: u32,
        payloads: *mut c_void,
        payload_bytes: usize,
        count: *mut u32,
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        let count = unsafe { super::handle::out(count) }?;
        *count = 0;
        if messages.is_null() || !messages.is_aligned() || capacity == 0 {
            return Err(Error::invalid("messages is NULL, not aligned or without capacity"));
        }
        if payloads.is_null() && payload_bytes != 0 {
            return Err(Error::invalid("payloads is NULL but has a size"));
        }
        Ok(Self { messages, capacity: capacity as usize, payloads: payloads.cast(), payload_bytes, count, used: 0 })
    }
}

impl Sink for MessageSink<'_> {
    #[inline]
    fn offer(&mut self, message: &Incoming<&[u8]>) -> Result<Offer> {
        let taken = *self.count as usize;
        if taken == self.capacity {
            return Ok(Offer::Full);
        }
        let size = message.payload.len();
        // Payloads lie at multiples of 16 from where the buffer starts.
        let start = self.used.next_multiple_of(16);
        let fits = size == 0 || start.checked_add(size).is_some_and(|end| end <= self.payload_bytes);
        let mut place = std::ptr::null_mut();
        if fits && size > 0 {
            // SAFETY: `start + size` is within the buffer that `new` was promised.
            unsafe {
                place = self.payloads.add(start);
                place.copy_from_nonoverlapping(message.payload.as_ptr(), size);
            }
        }
        if !fits && taken > 0 {
            return Ok(Offer::Full);
        }
        // SAFETY: `taken` is below the capacity that `new` was promised.
        unsafe { self.messages.add(taken).write(record(message, place.cast_const().cast())) };
        if !fits {
            return Err(Error::Size { size: size as u32, limit: self.payload_bytes.min(u32::MAX as usize) as u32 });
        }
        if size > 0 {
            self.used = start + size;
        }
        *self.count += 1;
        Ok(Offer::Taken)
    }

    fn taken(&self) -> usize {
        *self.count as usize
    }
}

#[inline]
fn record(message: &Incoming<&[u8]>, payload: *const c_void) -> rk_message {
    rk_message {
        from: rk_actor { id: message.from },
        to: rk_actor { id: message.to },
        correlation: message.correlation,
        time: message.time,
        payload,
        kind: message.class as u32,
        r#type: message.kind,
        size: message.payload.len() as u32,
        reason: message.reason,
        priority: priority_of(message.level),
        reserved: 0,
    }
}

/// Hands a call's answer to the caller.
///
/// # Safety
/// `reply` is NULL or has room for `capacity` bytes, `message` is NULL or a place for one.
pub(super) unsafe fn answer(answer: &Owned, reply: *mut c_void, capacity: u32, message: *mut rk_message) -> Result<()> {
    let size = answer.payload.len();
    let fits = size <= capacity as usize;
    if !message.is_null() {
        let payload = if fits && size > 0 { reply.cast_const() } else { std::ptr::null() };
        // The number of the call is ours, not the caller's.
        let record = rk_message { correlation: 0, ..record(&answer.borrowed(), payload) };
        // SAFETY: the caller's promise.
        unsafe { message.write_unaligned(record) };
    }
    if !fits {
        return Err(Error::Size { size: size as u32, limit: capacity });
    }
    if size > 0 {
        // SAFETY: the caller's promise, and it fits.
        unsafe { reply.cast::<u8>().copy_from_nonoverlapping(answer.payload.as_ptr(), size) };
    }
    Ok(())
}

/// Checks the caller's place for a reply before anything is sent.
pub(super) fn check_reply(reply: *mut c_void, capacity: u32) -> Result<()> {
    if reply.is_null() && capacity != 0 {
        return Err(Error::invalid("reply is NULL but has a capacity"));
    }
    Ok(())
}

pub(super) fn state(state: State) -> u32 {
    match state {
        // A moment at the end that users need not know.
        State::Ending => State::Draining as u32,
        state => state as u32,
    }
}

pub(super) fn stats(stats: &Statistics) -> rk_kernel_statistics {
    let sum = &stats.sum;
    rk_kernel_statistics {
        struct_size: 0,
        state: state(stats.state),
        backend: stats.backend,
        actors: stats.actors,
        workers: stats.workers,
        lanes: stats.lanes,
        accepted: stats.accepted,
        handled: sum.handled,
        dead_letters: sum.dead,
        pending: stats.pending,
        high_water: stats.high_water,
        sent_host: sum.sent_host,
        sent_actors: sum.sent_actors,
        deferred: sum.deferred,
        undeliverable: sum.undeliverable,
        refused: sum.refused,
        failures: sum.failures,
        quanta: sum.quanta,
        memory: stats.memory,
        memory_per_actor: stats.memory_per_actor,
        counters: sum.counters,
    }
}

pub(super) fn device_info(device: &Device) -> rk_device_properties {
    rk_device_properties {
        struct_size: 0,
        backend: device.kind as u32,
        ordinal: device.ordinal,
        usable: u32::from(device.unusable.is_none()),
        workers: device.workers,
        lanes: device.lanes,
        memory: device.memory,
        name: c_text(&device.name),
        reason: c_text(device.unusable.as_deref().unwrap_or("")),
    }
}

/// NUL-terminated, cut at a character boundary.
pub(super) fn c_text<const N: usize>(text: &str) -> [c_char; N] {
    let mut end = text.len().min(N - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(&text.as_bytes()[..end]) {
        *to = *from as c_char;
    }
    out
}
