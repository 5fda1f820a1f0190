//! The one place that asks the kernel to sleep and to wake.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::time::Deadline;

/// Sleeps while `*word == expected`, until woken or the deadline. May return early for no reason; callers look again.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Deadline) {
    let timeout = match deadline.remaining() {
        None => None,
        Some(Duration::ZERO) => return,
        Some(left) => Some(libc::timespec {
            tv_sec: left.as_secs().min(i64::MAX as u64) as libc::time_t,
            tv_nsec: libc::c_long::from(left.subsec_nanos() as i32),
        }),
    };
    let timeout: *const libc::timespec = timeout.as_ref().map_or(std::ptr::null(), |t| t);
    // SAFETY: `word` is a live aligned u32; `timeout` is NULL or points to a timespec that outlives the call. Any outcome
    // (woken, value changed, interrupted, timed out) means the same to the caller.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, timeout);
    }
}

/// Wakes everyone who sleeps on `word`.
pub(crate) fn wake_all(word: &AtomicU32) {
    // SAFETY: `word` is a live aligned u32; the kernel only uses its address.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, i32::MAX);
    }
}
