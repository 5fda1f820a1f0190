//! Topics: publish and subscribe.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::guard::{enter, in_out};
use super::options::{copy_in, copy_out, write_init};
use super::status::{rk_error, rk_status};
use super::types::{rk_actor, rk_queue, rk_runtime};
use super::{convert, handle, text};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::hlc;
use crate::layout::TYPE_MAX;
use crate::pins;
use crate::ring::Envelope;
use crate::topics::{Overflow, Quality, Request, Subscriber};

/// A topic that is open. Its id is also its address, an `rk_address` for handlers: rk_tell() to it publishes. Zero is never
/// valid.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub struct rk_topic {
    /// Opaque.
    pub id: u64,
}

/// A subscription. Zero is never valid.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub struct rk_subscription {
    /// Opaque.
    pub id: u64,
}

/// rk_topic_options.flags: the topic retains the last message that is published to it, by whomever, as
/// RK_PUBLISH_RETAIN does for one message.
pub const RK_TOPIC_RETAIN: u32 = 1;

/// Options of a topic.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_topic_options {
    /// sizeof this struct, as RK_TOPIC_OPTIONS_INIT sets it.
    pub struct_size: u32,
    /// RK_TOPIC_... bits.
    pub flags: u32,
}

/// Counters of a topic, filled by rk_topic_stats(). Every publication counts once for each subscription that it is for, and
/// a retained message once for each that gets it later; what became of these is `delivered`, `dropped`, `dead_letters` or,
/// as yet, `waiting`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_topic_statistics {
    /// sizeof this struct, set by the caller.
    pub struct_size: u32,
    /// Subscriptions that a publication goes to now.
    pub subscriptions: u32,
    /// Publications.
    pub published: u64,
    /// Taken by the rings of actors' workers, or received by the host.
    pub delivered: u64,
    /// Lost because there was no room, because the subscription ended first or, without the host (see rk_topic_open()), because
    /// the actor's kernel had.
    pub dropped: u64,
    /// Not taken by the actor's kernel; each came back as a dead letter unless 4,096 were unread.
    pub dead_letters: u64,
    /// In the queues of subscriptions.
    pub waiting: u64,
    /// 1 if a message is retained.
    pub retained: u32,
    /// Zero.
    pub reserved: u32,
}

/// rk_publish_options.flags: the message is kept, and subscriptions made later get it at once; the next one that is retained
/// takes its place. One without payload leaves none kept.
pub const RK_PUBLISH_RETAIN: u32 = 1;

/// Options of rk_publish().
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_publish_options {
    /// sizeof this struct, as RK_PUBLISH_OPTIONS_INIT sets it.
    pub struct_size: u32,
    /// RK_PRIORITY_..., or any number to 255.
    pub priority: u32,
    /// Subscribers receive it. The library gives it no meaning.
    pub correlation: u64,
    /// Nanoseconds from now after which actors are no longer to handle it. 0: none.
    pub deadline_ns: u64,
    /// Nanoseconds to wait for subscriptions with RK_OVERFLOW_BLOCK that have no room; RK_FOREVER without limit.
    pub timeout_ns: i64,
    /// RK_PUBLISH_... bits.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

/// rk_subscription_options.qos: a message is lost, and counted, where an actor's ring has no room at that moment; a
/// subscription of an actor keeps none.
pub const RK_QOS_AT_MOST_ONCE: u32 = 0;
/// rk_subscription_options.qos: what finds no room waits in the subscription's queue; none is lost unless that overflows,
/// and with RK_OVERFLOW_BLOCK it does not. A subscriber of which several subscriptions match gets a message through each.
///
/// An actor acknowledges a message when its handler returns and has not failed. If it has, and the actor is restarted
/// (RK_ON_FAILURE_RESTART), the message is sent to the actor again with all that is said of it, until a handler does
/// not fail, the deadline has passed, which makes a dead letter of it, as does the kernel's end or that there is no
/// room for it on a device (RK_DEAD_OVERFLOW), or the actor is not restarted any more and has failed for good. It goes
/// behind what its handler had sent and what waits for the actor by then, so these messages do not keep their order.
/// Snapshots keep what is not acknowledged. In rk_kernel_statistics each time counts as one more message that the
/// actor sent, to itself; topics and subscriptions count it as delivered once.
pub const RK_QOS_AT_LEAST_ONCE: u32 = 1;
/// rk_subscription_options.qos: what finds no room waits likewise, and of the subscriptions of one subscriber with this quality
/// that match a topic only the oldest counts: it gets no message twice, and an actor none again at which it failed.
pub const RK_QOS_EXACTLY_ONCE: u32 = 2;

/// rk_subscription_options.overflow: when the queue is full, the message that comes is dropped.
pub const RK_OVERFLOW_DROP_NEWEST: u32 = 1;
/// rk_subscription_options.overflow: when the queue is full, the one that waited longest is dropped.
pub const RK_OVERFLOW_DROP_OLDEST: u32 = 2;
/// rk_subscription_options.overflow: when the queue is full, publishers wait: rk_publish() as long as it may, an actor's
/// worker as for a full ring. What actors on a device publish waits at the host, which holds them up when that is much.
pub const RK_OVERFLOW_BLOCK: u32 = 3;

/// Options of a subscription. Zero everywhere is one of the runtime's own queue, at most once.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_subscription_options {
    /// sizeof this struct, as RK_SUBSCRIPTION_OPTIONS_INIT sets it.
    pub struct_size: u32,
    /// RK_QOS_...
    pub qos: u32,
    /// The actor that subscribes, of a kernel of the runtime; zero: the host does, with `queue`.
    pub actor: rk_actor,
    /// The queue that messages are received from; zero: the runtime's own. Zero if `actor` is not.
    pub queue: rk_queue,
    /// Messages that may wait for the subscriber, 1 to 1,048,576. 0: 256. Without meaning for an actor with
    /// RK_QOS_AT_MOST_ONCE, for which none wait.
    pub capacity: u32,
    /// RK_OVERFLOW_... 0: RK_OVERFLOW_BLOCK, with RK_QOS_AT_MOST_ONCE RK_OVERFLOW_DROP_NEWEST. With that quality nobody is
    /// made to wait, and an actor has no oldest to drop.
    pub overflow: u32,
}

/// Counters of a subscription, filled by rk_subscription_stats(). Every message that it was for is in one of them.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_subscription_statistics {
    /// sizeof this struct, set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// See rk_topic_statistics.
    pub delivered: u64,
    /// See rk_topic_statistics.
    pub dropped: u64,
    /// See rk_topic_statistics.
    pub dead_letters: u64,
    /// In the subscription's queue.
    pub waiting: u64,
}

/// Sets `options` to zeros, for languages without RK_TOPIC_OPTIONS_INIT.
///
/// As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_topic_options_init(options: *mut rk_topic_options, struct_size: u32) -> rk_status {
    // SAFETY: the caller passes NULL or a struct of struct_size bytes.
    enter(|| unsafe { write_init(options, struct_size) })
}

/// Sets `options` to zeros, for languages without RK_PUBLISH_OPTIONS_INIT.
///
/// As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_publish_options_init(options: *mut rk_publish_options, struct_size: u32) -> rk_status {
    // SAFETY: the caller passes NULL or a struct of struct_size bytes.
    enter(|| unsafe { write_init(options, struct_size) })
}

/// Sets `options` to zeros, for languages without RK_SUBSCRIPTION_OPTIONS_INIT.
///
/// As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_subscription_options_init(
    options: *mut rk_subscription_options,
    struct_size: u32,
) -> rk_status {
    // SAFETY: the caller passes NULL or a struct of struct_size bytes.
    enter(|| unsafe { write_init(options, struct_size) })
}

/// Opens a topic; one of that name that is open is given to all who ask.
///
/// name: UTF-8 of name_length bytes, 1 to 231, in levels divided by '/', none empty, without '*' and '#'; copied. options:
/// may be NULL. topic: receives the handle; set to zero on error. error: may be NULL.
///
/// Its id goes into messages and states as an address. A handler publishes by rk_tell(id, type), or with rk_tell_as();
/// rk_forward() too keeps the sender, but a call's message cannot be passed on to a topic and becomes a dead letter.
/// rk_send() to a topic is RK_ERROR_STALE_HANDLE.
///
/// On CUDA and Vulkan a handler's publication goes to actors of the same device and runtime that subscribed with
/// RK_QOS_AT_MOST_ONCE without the host, into the rings for messages from actors; the host takes it to all others. So it
/// does with topics that have RK_TOPIC_RETAIN, to actors that subscribed while the topic retained something, and to those
/// for whom there is no place: a topic has 960 on a CUDA device, 60 on a Vulkan one (fewer for actors that take messages of
/// more than a kilobyte), of 30,720 of all topics, which get them by 60.
///
/// RK_ERROR_EXISTS: it is open with other options. RK_ERROR_LIMIT: 4,096 topics are open. Closed with
/// rk_topic_close(), or with the runtime. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_topic_open(
    runtime: rk_runtime,
    name: *const c_char,
    name_length: usize,
    options: *const rk_topic_options,
    topic: *mut rk_topic,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(topic) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(topic) }?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let options = unsafe { copy_in(options) }?;
        // SAFETY: the caller passes NULL or name_length readable bytes.
        let name = unsafe { convert::string(name, name_length, "name") }?;
        if options.flags & !RK_TOPIC_RETAIN != 0 {
            return Err(Error::invalid(format!("flags are {}, which has unknown bits", options.flags)));
        }
        let runtime = handle::runtime(runtime)?;
        let home = runtime.home();
        let key = home.topics.open(home, name, options.flags & RK_TOPIC_RETAIN != 0)?;
        out.id = Address::of_topic(key).to_bits();
        Ok(())
    })
}

/// Closes a topic, for all who opened it, and forgets what it retains. What handlers publish to its address becomes dead
/// letters from now on; so does what the host has still to take to subscribers, even if others have it from the device.
/// What waits for subscribers still reaches them. Calls of other threads that wait return RK_ERROR_STALE_HANDLE.
/// Subscriptions stay, for topics to come.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_topic_close(topic: rk_topic) -> rk_status {
    enter(|| handle::close_topic(topic))
}

/// The name of a topic: of {message.to.id}, for a message that came by way of one.
///
/// name: receives it, NUL-terminated; room for capacity bytes, of which 232 are enough. length: may be NULL; receives its
/// bytes without the NUL. error: may be NULL. RK_ERROR_SIZE: it does not fit, and name is empty (if capacity is not 0).
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_topic_name(
    topic: rk_topic,
    name: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let topic = handle::topic(topic)?;
        // SAFETY: the caller passes NULL or as much room as said.
        unsafe { text::write(topic.name(), name, capacity, length) }
    })
}

/// Reads a topic's counters. stats: caller-owned, with its struct_size set; no more is written. error: may be NULL.
///
/// Each is exact when nobody publishes or receives. What CUDA devices brought to their own actors is counted in their memory:
/// for each such subscriber the call goes over the bus and back, twice. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_topic_stats(
    topic: rk_topic,
    stats: *mut rk_topic_statistics,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let counts = handle::topic(topic)?.statistics();
        let record = rk_topic_statistics {
            struct_size: 0,
            subscriptions: counts.subscriptions,
            published: counts.published,
            delivered: counts.delivered,
            dropped: counts.dropped,
            dead_letters: counts.dead,
            waiting: counts.waiting,
            retained: u32::from(counts.retained),
            reserved: 0,
        };
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        unsafe { copy_out(stats, record) }
    })
}

/// Publishes a message to all subscriptions of which the filter matches the topic.
///
/// payload: size bytes, copied; may be NULL if size is 0. options: may be NULL.
///
/// RK_OK: every subscription has it or has counted its loss; one of an actor that does not handle the type, or takes no
/// message of that size, made it a dead letter, which comes to that actor's queue. RK_AGAIN: a subscription with
/// RK_OVERFLOW_BLOCK has no room (RK_TIMEOUT: still none after options->timeout_ns); nobody has it, and nothing is retained.
/// Type 0 with RK_PUBLISH_RETAIN and no payload only forgets what is retained.
///
/// What one thread publishes reaches a subscription in that order, and an actor in that order within a priority; what the
/// thread sends by rk_send() may overtake what waits in a subscription's queue. Handlers see the publisher as sender, zero
/// for the host; which topic it was, only the message itself can tell them. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_publish(
    topic: rk_topic,
    r#type: u32,
    payload: *const c_void,
    size: u32,
    options: *const rk_publish_options,
) -> rk_status {
    enter(|| {
        // SAFETY: the caller passes NULL or size readable bytes.
        let payload = unsafe { convert::payload(payload, size) }?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let options = unsafe { copy_in(options) }?;
        let retain = options.flags & RK_PUBLISH_RETAIN != 0;
        if options.flags & !RK_PUBLISH_RETAIN != 0 || options.reserved != 0 {
            return Err(Error::invalid("flags have unknown bits, or reserved is not zero"));
        }
        let level = convert::level(options.priority)?;
        let timeout = convert::timeout(options.timeout_ns)?;
        let topic = handle::topic(topic)?;
        if r#type == 0 && retain && size == 0 {
            topic.clear();
            return Ok(());
        }
        let kind = match r#type {
            1..=TYPE_MAX => r#type as u16,
            _ => return Err(Error::invalid(format!("type is {}, it can be 1 to {TYPE_MAX}", r#type))),
        };
        let envelope = Envelope {
            kind,
            level,
            size,
            correlation: options.correlation,
            deadline: hlc::deadline_from_now(options.deadline_ns),
            time: topic.home.clock.tick(pins::section()),
            ..Envelope::default()
        };
        topic.publish(&envelope, payload, retain, timeout)
    })
}

/// Subscribes an actor, or the host by a queue, to all topics of which a filter matches the name, also those opened later.
///
/// filter: UTF-8 of filter_length bytes, 1 to 231, copied: a name in which '*' stands for any one level, and '#' as the last
/// for all that follow, also none ("plant/#" matches "plant"). options: may be NULL. subscription: receives the handle; set
/// to zero on error. error: may be NULL.
///
/// What is published after this returned is for it; what such topics retain comes first, in the order of their names, and
/// where publishers wait even if it is more than may wait. An actor handles it as any message. The host receives it from the
/// queue as RK_MESSAGE_PUBLICATION, with the topic as `to`.
///
/// What actors published before, and is still on its way to others, may come too; but with RK_QOS_AT_MOST_ONCE not what the
/// actor's device has brought it without the host (see rk_topic_open()) by an earlier subscription with that quality, unless
/// that ended before the host had learned of the message.
///
/// What was accepted is delivered once, unless the actor stops, fails or ends first: then it is a dead letter as any other.
/// An actor that fails and starts again goes on with what waits; the one that it failed at is not delivered again.
/// RK_ERROR_LIMIT: 4,096 subscriptions exist. Ends with rk_unsubscribe(), the actor's kernel, or the runtime. Thread-safe.
/// Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_subscribe(
    runtime: rk_runtime,
    filter: *const c_char,
    filter_length: usize,
    options: *const rk_subscription_options,
    subscription: *mut rk_subscription,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(subscription) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(subscription) }?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let options = unsafe { copy_in(options) }?;
        // SAFETY: the caller passes NULL or filter_length readable bytes.
        let filter = unsafe { convert::string(filter, filter_length, "filter") }?;
        let (quality, overflow, capacity) = checked(&options)?;
        let runtime = handle::runtime(runtime)?;
        let to = match (options.actor.id, options.queue.id) {
            (0, 0) => Subscriber::Queue(runtime.queue().clone()),
            (0, _) => Subscriber::Queue(Arc::clone(&*handle::queue(options.queue)?)),
            (_, 0) => Subscriber::Actor(actor(options.actor, runtime.home())?),
            _ => return Err(Error::invalid("actor and queue are both set")),
        };
        // A queue of another runtime is as stale as any.
        if matches!(&to, Subscriber::Queue(queue) if !Arc::ptr_eq(queue.home(), runtime.home())) {
            return Err(Error::Stale);
        }
        let home = runtime.home();
        let key = home.topics.subscribe(home, Request { filter, to, quality, overflow, capacity })?;
        *out = handle::of_subscription(key);
        Ok(())
    })
}

fn actor(actor: rk_actor, home: &Arc<crate::runtime::Home>) -> Result<Address> {
    let kernel = handle::kernel_of(actor)?;
    let address = Address::from_bits(actor.id);
    if !Arc::ptr_eq(&kernel.home, home) || address.index() >= kernel.actors {
        return Err(Error::Stale);
    }
    Ok(address)
}

fn checked(options: &rk_subscription_options) -> Result<(Quality, Overflow, usize)> {
    let quality = Quality::from_number(options.qos)
        .ok_or_else(|| Error::invalid(format!("qos is {}, it can be RK_QOS_...", options.qos)))?;
    let at_most_once = quality == Quality::AtMostOnce;
    let overflow = match options.overflow {
        0 if at_most_once => Overflow::DropNewest,
        0 => Overflow::Block,
        number => Overflow::from_number(number)
            .ok_or_else(|| Error::invalid(format!("overflow is {number}, it can be RK_OVERFLOW_...")))?,
    };
    if at_most_once && (overflow == Overflow::Block || options.actor.id != 0 && overflow == Overflow::DropOldest) {
        return Err(Error::invalid(
            "nobody waits for RK_QOS_AT_MOST_ONCE, and its actors have no oldest message to drop",
        ));
    }
    let capacity = match options.capacity {
        0 => 256,
        1..=CAPACITY_MAX => options.capacity as usize,
        _ => return Err(Error::invalid(format!("capacity is {}, it can be 1 to {CAPACITY_MAX}", options.capacity))),
    };
    Ok((quality, overflow, capacity))
}

const CAPACITY_MAX: u32 = 1 << 20;

/// Ends a subscription. What waits in its queue is dropped, and counted by the topics; what is in an actor's ring is
/// handled.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_unsubscribe(subscription: rk_subscription) -> rk_status {
    enter(|| handle::end_subscription(subscription))
}

/// Reads a subscription's counters. stats: caller-owned, with its struct_size set; no more is written. error: may be NULL.
///
/// Each is exact when nobody publishes or receives. May read counts in a GPU's memory, as rk_topic_stats(). Thread-safe.
/// Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_subscription_stats(
    subscription: rk_subscription,
    stats: *mut rk_subscription_statistics,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let counts = handle::subscription(subscription)?.statistics();
        let record = rk_subscription_statistics {
            struct_size: 0,
            reserved: 0,
            delivered: counts.delivered,
            dropped: counts.dropped,
            dead_letters: counts.dead,
            waiting: counts.waiting,
        };
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        unsafe { copy_out(stats, record) }
    })
}
