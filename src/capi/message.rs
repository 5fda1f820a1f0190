//! Messages: send, poll, call.

use std::ffi::c_void;

use super::guard::{enter, in_out};
use super::options::{copy_in, write_init};
use super::status::{rk_error, rk_status};
use super::types::{rk_actor, rk_message, rk_outbound, rk_runtime, rk_send_options};
use super::{convert, handle};
use crate::error::Result;

/// Sets `options` to the defaults, for languages without RK_SEND_OPTIONS_INIT.
///
/// As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_send_options_init(options: *mut rk_send_options, struct_size: u32) -> rk_status {
    // SAFETY: the caller passes NULL or a struct of struct_size bytes.
    enter(|| unsafe { write_init(options, struct_size) })
}

/// Sends one message to an actor.
///
/// payload: size bytes, copied; may be NULL if size is 0. size may be less than the declared size of the type; what is
/// missing then reads as unspecified bytes, and rk_size() tells the handler. options: may be NULL.
///
/// RK_OK: the actor's kernel accepted it. It will be handled once, or become a dead letter; messages of one thread to
/// one actor with one priority are handled in the order sent. RK_AGAIN: the ring is full (RK_TIMEOUT: still full after
/// options->timeout_ns); nothing was sent. RK_ERROR_NOT_FOUND: the actor's type does not handle `type`.
/// RK_ERROR_SIZE: larger than the type. RK_ERROR_STALE_HANDLE: no such actor. RK_ERROR_BAD_STATE: the kernel is
/// draining or over. Costs tens of nanoseconds when the ring has room. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_send(
    to: rk_actor,
    r#type: u32,
    payload: *const c_void,
    size: u32,
    options: *const rk_send_options,
) -> rk_status {
    // Before anything else: see there.
    let counter = crate::wall::counter();
    enter(|| {
        // SAFETY: the caller passes NULL or size readable bytes.
        let payload = unsafe { convert::payload(payload, size) }?;
        if options.is_null() {
            // Compiled apart, for constants that make much of the work go away.
            // SAFETY: NULL is as good as the defaults.
            return send(to, r#type, payload, &unsafe { copy_in(std::ptr::null()) }?, counter);
        }
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        send(to, r#type, payload, &unsafe { copy_in(options) }?, counter)
    })
}

#[inline(always)]
fn send(to: rk_actor, kind: u32, payload: &[u8], options: &rk_send_options, counter: u64) -> Result<()> {
    let now = crate::hlc::physical_at(counter);
    let letter = convert::letter(to, kind, payload, options)?;
    let kernel = handle::kernel_of(to)?;
    // Not the call's own result: an error's many words would be carried over the end of the pin.
    kernel.send(&letter, convert::timeout(options.timeout_ns)?, now)?;
    kernel.release();
    Ok(())
}

/// Sends many messages, to any actors, in order.
///
/// messages: count of them, read during the call only. timeout_ns: to wait for room, 0 not at all, RK_FOREVER without
/// limit. sent: may be NULL; receives how many, from the first, were accepted, whatever is returned. RK_OK: all.
/// Otherwise what stopped it at messages[*sent], as rk_send() would return. Cheaper a message than rk_send().
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_send_many(
    messages: *const rk_outbound,
    count: u32,
    timeout_ns: i64,
    sent: *mut u32,
) -> rk_status {
    let mut accepted = 0;
    let status = enter(|| {
        // SAFETY: the caller passes NULL or count structs.
        let batch = unsafe { convert::Batch::new(messages, count) }?;
        crate::kernel::send_many(&batch, convert::timeout(timeout_ns)?, &mut accepted)
    });
    if !sent.is_null() {
        // SAFETY: the caller passes NULL or a place for the count.
        unsafe { sent.write_unaligned(accepted) };
    }
    status
}

/// Receives messages from the runtime's own queue: replies, emits, dead letters, events, and what is published to
/// topics that it is subscribed to.
///
/// messages: room for capacity of them, at least 1. payloads: room for payload_bytes; payloads are copied there, one
/// after the other, each at a 16-byte boundary, and messages[i].payload points to them; may be NULL if no message has
/// a payload; its other bytes are unspecified afterwards. count: receives how many came. timeout_ns: to wait for the first one, 0 not at all, RK_FOREVER without
/// limit; it never waits for a second.
///
/// RK_OK: *count is at least 1. RK_AGAIN: nothing there, with timeout 0. RK_TIMEOUT: nothing came. RK_ERROR_SIZE: the
/// next message's payload does not fit `payloads`; messages[0].size says what it needs, and it stays queued.
/// Messages of one actor come in the order sent; those of different actors in no particular order. Thread-safe;
/// threads that poll together share the messages.
/// Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_poll(
    runtime: rk_runtime,
    messages: *mut rk_message,
    capacity: u32,
    payloads: *mut c_void,
    payload_bytes: usize,
    timeout_ns: i64,
    count: *mut u32,
) -> rk_status {
    enter(|| {
        // SAFETY: the caller passes NULL or places as large as said.
        let mut sink = unsafe { convert::Inbox::new(messages, capacity, payloads, payload_bytes, count) }?;
        handle::runtime(runtime)?.queue().poll(&mut sink, convert::timeout(timeout_ns)?)
    })
}

/// Sends a message and waits for its reply, which no rk_poll() will see.
///
/// payload, size, options: as rk_send(); options->priority and deadline_ns are used. reply: receives up to
/// reply_capacity bytes; may be NULL if that is 0. message: may be NULL; receives type, size and sender of the reply,
/// its payload pointing to `reply`. timeout_ns: for sending and reply together, RK_FOREVER without limit. error: may
/// be NULL.
///
/// A full ring is waited for within the timeout; with timeout 0 it is RK_AGAIN. A message whose handler fails, or returns
/// without a reply, counts as handled: there is no reply then, and RK_FOREVER waits for one until the runtime ends.
/// RK_OK: the reply is there. RK_TIMEOUT: none came in time; it is discarded when it comes, as a second reply to one
/// call is. RK_ERROR_UNDELIVERED: the message became a dead letter. RK_ERROR_SIZE: the reply is larger than reply_capacity;
/// message->size says how large, and the reply is lost. Waits without holding anything: any number of threads may call at
/// once. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_call(
    to: rk_actor,
    r#type: u32,
    payload: *const c_void,
    size: u32,
    options: *const rk_send_options,
    reply: *mut c_void,
    reply_capacity: u32,
    message: *mut rk_message,
    timeout_ns: i64,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let options = unsafe { copy_in(options) }?;
        // SAFETY: the caller passes NULL or size readable bytes.
        let payload = unsafe { convert::payload(payload, size) }?;
        let letter = convert::letter(to, r#type, payload, &options)?;
        convert::check_reply(reply, reply_capacity)?;
        let kernel = handle::kernel_of(to)?;
        let answer = kernel.call(&letter, convert::timeout(timeout_ns)?)?;
        // SAFETY: the caller passes NULL or places as large as said.
        unsafe { convert::answer(&answer, reply, reply_capacity, message) }
    })
}
