//! From C's structs to the core's types and back, with every range checked. One file a noun; here is what they share.

mod inbox;
mod kernel;
mod message;
mod runtime;

use std::ffi::c_char;
use std::path::Path;
use std::time::Duration;

use super::types::{rk_device_properties, RK_FOREVER};
use crate::backend::{Device, Kind};
use crate::error::{Error, Result};
use crate::message::Timeout;

pub(super) use inbox::Inbox;
pub(super) use kernel::{check_kernel, fit, kernel_spec, make_room, state, stats, KernelSpec};
pub(super) use message::{answer, check_reply, letter, level, payload, Batch};
pub(super) use runtime::runtime_config;

const QUANTUM_MIN: u32 = 100;
const QUANTUM_MAX: u32 = 1_000_000;

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
    if at.is_null() || size > isize::MAX as usize {
        return Err(unreadable(at, size, what));
    }
    // SAFETY: the caller's promise; not NULL, not larger than an object can be.
    Ok(unsafe { std::slice::from_raw_parts(at, size) })
}

#[cold]
fn unreadable(at: *const u8, size: usize, what: &str) -> Error {
    Error::invalid(if at.is_null() { format!("{what} is NULL") } else { format!("{what} has {size} bytes") })
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

pub(super) fn backend(number: u32) -> Result<Option<Kind>> {
    match number {
        0 => Ok(None),
        number => {
            Kind::from_number(number).map(Some).ok_or_else(|| Error::invalid(format!("there is no backend {number}")))
        }
    }
}

fn quantum(us: u32) -> Result<Duration> {
    Ok(Duration::from_micros(u64::from(in_range("quantum_us", us, QUANTUM_MIN, QUANTUM_MAX)?)))
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
