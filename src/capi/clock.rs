//! The hybrid logical clock.

use std::ffi::c_char;

use super::guard::{enter, in_out};
use super::status::{rk_error, rk_status};
use super::types::rk_runtime;
use super::{handle, text};
use crate::hlc;

/// Room for what rk_hlc_format() writes, with its NUL.
pub const RK_HLC_TEXT_SIZE: usize = 40;

/// Ticks the runtime's hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014) and gives the stamp.
///
/// Stamps compare as numbers: of two events where one could have caused the other, the later has the larger stamp, over
/// host, actors and devices. Bits 8 to 63: physical time in units of 2^-24 s (59.6 ns) since 1970; bits 0 to 7: logical
/// part. Every stamp given by one clock is unique and larger than the ones before, under any number of threads.
/// stamp: receives it. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_hlc_now(runtime: rk_runtime, stamp: *mut u64) -> rk_status {
    enter(|| {
        // SAFETY: the caller passes NULL or a place for the stamp.
        let out = unsafe { handle::out(stamp) }?;
        *out = handle::runtime(runtime)?.clock().tick(crate::pins::section());
        Ok(())
    })
}

/// Tells the runtime's clock of a stamp that came from outside: another runtime, process or machine. Everything that
/// happens here from now on is later.
///
/// now: may be NULL; receives a new stamp, larger than `stamp` and as rk_hlc_now() gives it. error: may be NULL.
/// RK_ERROR_DRIFT: the stamp is further ahead of this machine's time than rk_runtime_options.clock_drift_ms, so that its
/// clock is wrong, or ours; nothing was changed. Messages are never refused for their stamps: one that was sent by a
/// clock beyond the bound, a device's say, takes the receiver's clock only to the bound. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_hlc_merge(
    runtime: rk_runtime,
    stamp: u64,
    now: *mut u64,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let next = handle::runtime(runtime)?.clock().observe(crate::pins::section(), stamp)?;
        if !now.is_null() {
            // SAFETY: the caller passes NULL or a place for the stamp.
            unsafe { now.write_unaligned(next) };
        }
        Ok(())
    })
}

/// Compares two stamps, as qsort() and the like want it: -1 if `left` is the earlier, 1 if `right` is, 0 if they are
/// the same.
///
/// Thread-safe, also in signal handlers. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_hlc_compare(left: u64, right: u64) -> i32 {
    left.cmp(&right) as i32
}

/// The physical part of a stamp, in nanoseconds since 1970 (UTC, no leap seconds), rounded down to them.
///
/// Thread-safe, also in signal handlers. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_hlc_unix_ns(stamp: u64) -> u64 {
    hlc::unix_ns(stamp)
}

/// The logical part of a stamp, 0 to 255: tells apart what happened in one unit of the physical part.
///
/// Thread-safe, also in signal handlers. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_hlc_logical(stamp: u64) -> u32 {
    hlc::logical(stamp)
}

/// The smallest stamp whose physical part is not before `unix_ns`: what comes before and after a moment in a log, say.
///
/// UINT64_MAX for times after February 2106, which stamps cannot tell. Thread-safe, also in signal handlers.
/// Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_hlc_from_unix_ns(unix_ns: u64) -> u64 {
    hlc::from_unix_ns(unix_ns)
}

/// Writes a stamp for people: the physical part as RFC 3339 has it, in UTC, and the logical part after a slash, such as
/// "2026-11-25T07:14:50.123456776Z/3".
///
/// text: room for capacity bytes, of which RK_HLC_TEXT_SIZE suffice; NUL-terminated. length: may be NULL; receives the
/// bytes without the NUL, also where they do not fit. RK_ERROR_SIZE: they do not, and text is empty (if capacity is not
/// 0). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_hlc_format(
    stamp: u64,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> rk_status {
    // SAFETY: the caller passes NULL or as much room as said.
    enter(|| unsafe { text::write(&hlc::text(stamp), text, capacity, length) })
}
