//! Queues: where kernels put what they have for the host, for programs with more than one consumer.

use super::guard::{enter, in_out};
use super::status::{rk_error, rk_status};
use super::types::{rk_message, rk_queue, rk_runtime};
use super::{convert, handle};

/// Creates a queue beside the runtime's own, for a thread that wants its kernels' messages for itself.
///
/// Kernels are given queues when they are launched. queue: receives the handle; set to zero on error. error: may be
/// NULL. Destroyed with rk_queue_destroy(), or with the runtime. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_queue_create(runtime: rk_runtime, queue: *mut rk_queue, error: *mut rk_error) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(queue) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(queue) }?;
        let runtime = handle::runtime(runtime)?;
        *out = handle::insert_queue(runtime.create_queue()?)?;
        Ok(())
    })
}

/// Destroys a queue. RK_ERROR_BAD_STATE while a kernel that uses it has not been destroyed, or a
/// subscription has not ended.
///
/// Waiting calls of other threads return RK_ERROR_STALE_HANDLE. Thread-safe. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_queue_destroy(queue: rk_queue) -> rk_status {
    enter(|| handle::remove_queue(queue))
}

/// rk_poll() on a queue other than the runtime's own.
///
/// Thread-safe; threads that share a queue share its messages. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_queue_poll(
    queue: rk_queue,
    messages: *mut rk_message,
    capacity: u32,
    payloads: *mut std::ffi::c_void,
    payload_bytes: usize,
    timeout_ns: i64,
    count: *mut u32,
) -> rk_status {
    enter(|| {
        // SAFETY: the caller passes NULL or places as large as said.
        let mut sink = unsafe { convert::Inbox::new(messages, capacity, payloads, payload_bytes, count) }?;
        handle::queue(queue)?.poll(&mut sink, convert::timeout(timeout_ns)?)
    })
}

/// An eventfd that becomes readable when a message arrives after rk_queue_arm(), for epoll, libuv, asio or Go.
///
/// Non-blocking and close-on-exec. Owned by the queue: do not close it. Do not read it either; rk_queue_arm() resets it. fd: receives it. error: may be
/// NULL. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_queue_fd(queue: rk_queue, fd: *mut i32, error: *mut rk_error) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or a place for the descriptor.
        let out = unsafe { handle::out(fd) }?;
        *out = handle::queue(queue)?.fd()?;
        Ok(())
    })
}

/// Asks for the file descriptor to become readable with the next message.
///
/// The loop that loses no wake-up: poll with timeout 0 until RK_AGAIN, arm, and wait for the descriptor only if that
/// returned RK_OK. RK_AGAIN: a message is there already; poll again. One message makes it readable once; arm again for
/// the next. Thread-safe. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_queue_arm(queue: rk_queue) -> rk_status {
    enter(|| handle::queue(queue)?.arm())
}
