//! Structs that grow: they begin with the size that the caller knows them by.

use std::mem::{size_of, MaybeUninit};
use std::ptr;

use super::alert::rk_alert_options;
use super::buffer::{rk_buffer_options, rk_buffer_properties};
use super::metrics::rk_latency;
use super::selftest::rk_selftest_report;
use super::snapshot::rk_snapshot_info;
use super::topic::{
    rk_publish_options, rk_subscription_options, rk_subscription_statistics, rk_topic_options, rk_topic_statistics,
};
use super::trace::rk_trace_options;
use super::types::{
    rk_device_properties, rk_kernel_options, rk_kernel_statistics, rk_runtime_options, rk_send_options,
    rk_vulkan_context,
};
use crate::error::{Error, Result};

/// Larger than any struct will be; what claims more is not one.
const SIZE_MAX: usize = 1 << 16;

/// A struct of plain C data whose first field is `u32 struct_size`, and for which zeros are valid.
///
/// # Safety
/// Both must be so: `repr(C)`, that first field, all zeros a value.
pub(super) unsafe trait Sized32: Copy {}

// SAFETY: integers, raw pointers and an optional function pointer; `struct_size` is first.
unsafe impl Sized32 for rk_runtime_options {}
// SAFETY: as above.
unsafe impl Sized32 for rk_vulkan_context {}
// SAFETY: as above.
unsafe impl Sized32 for rk_kernel_options {}
// SAFETY: as above.
unsafe impl Sized32 for rk_send_options {}
// SAFETY: as above.
unsafe impl Sized32 for rk_kernel_statistics {}
// SAFETY: as above.
unsafe impl Sized32 for rk_device_properties {}
// SAFETY: as above.
unsafe impl Sized32 for rk_selftest_report {}
// SAFETY: as above.
unsafe impl Sized32 for rk_snapshot_info {}
// SAFETY: as above, and numbers.
unsafe impl Sized32 for rk_latency {}
// SAFETY: as above.
unsafe impl Sized32 for rk_alert_options {}
// SAFETY: as above.
unsafe impl Sized32 for rk_trace_options {}
// SAFETY: as above.
unsafe impl Sized32 for rk_buffer_options {}
// SAFETY: as above.
unsafe impl Sized32 for rk_buffer_properties {}
// SAFETY: as above.
unsafe impl Sized32 for rk_topic_options {}
// SAFETY: as above.
unsafe impl Sized32 for rk_topic_statistics {}
// SAFETY: as above.
unsafe impl Sized32 for rk_publish_options {}
// SAFETY: as above.
unsafe impl Sized32 for rk_subscription_options {}
// SAFETY: as above.
unsafe impl Sized32 for rk_subscription_statistics {}

/// All defaults.
pub(super) fn zeroed<T: Sized32>() -> T {
    // SAFETY: zeros are a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The caller's struct_size.
///
/// # Safety
/// `from` points to at least four readable bytes.
unsafe fn claimed_size<T>(from: *const T) -> Result<usize> {
    if !from.is_aligned() {
        return Err(Error::invalid("a struct is not aligned"));
    }
    // SAFETY: the caller's promise; aligned for T, which begins with a u32.
    let size = unsafe { from.cast::<u32>().read() } as usize;
    if !(size_of::<u32>()..=SIZE_MAX).contains(&size) {
        return Err(Error::invalid(format!("a struct_size of {size}")));
    }
    Ok(size)
}

/// The caller's options; the defaults for NULL. What we know is copied; what we do not know must be zero.
///
/// # Safety
/// `from` is NULL or points to as many readable bytes as its struct_size says.
#[inline(always)]
pub(super) unsafe fn copy_in<T: Sized32>(from: *const T) -> Result<T> {
    let mut options = zeroed::<T>();
    if from.is_null() {
        return Ok(options);
    }
    // SAFETY: the caller's promise.
    let size = unsafe { claimed_size(from) }?;
    // SAFETY: both are at least that large.
    unsafe {
        ptr::copy_nonoverlapping(from.cast::<u8>(), ptr::from_mut(&mut options).cast(), size.min(size_of::<T>()))
    };
    if size > size_of::<T>() {
        // SAFETY: the rest of what the caller says is there.
        let tail = unsafe { std::slice::from_raw_parts(from.cast::<u8>().add(size_of::<T>()), size - size_of::<T>()) };
        if tail.iter().any(|byte| *byte != 0) {
            return Err(Error::invalid("options of a newer version are set that this library does not know"));
        }
    }
    Ok(options)
}

/// An error if [`copy_out`] would give one, for who has much to do before it; the size otherwise.
///
/// # Safety
/// As for [`copy_out`].
pub(super) unsafe fn check_out<T: Sized32>(to: *mut T) -> Result<usize> {
    if to.is_null() {
        return Err(Error::invalid("the struct to fill is NULL"));
    }
    // SAFETY: the caller's promise.
    unsafe { claimed_size(to) }
}

/// Fills the caller's struct as far as the caller knows it, and with zeros where only the caller knows it.
///
/// # Safety
/// `to` is NULL or points to as many writable bytes as its struct_size says.
pub(super) unsafe fn copy_out<T: Sized32>(to: *mut T, value: T) -> Result<()> {
    // SAFETY: the caller's promise.
    let size = unsafe { check_out(to) }?;
    // SAFETY: the caller's promise, and T begins with the size, which is kept.
    unsafe { fill(to, &value, size) };
    Ok(())
}

/// Sets the caller's struct to zeros but for its struct_size.
///
/// # Safety
/// `to` is NULL or points to `size` writable bytes.
pub(super) unsafe fn write_init<T: Sized32>(to: *mut T, size: u32) -> Result<()> {
    if to.is_null() || !to.is_aligned() {
        return Err(Error::invalid("the options are NULL or not aligned"));
    }
    if !(size_of::<u32>()..=SIZE_MAX).contains(&(size as usize)) {
        return Err(Error::invalid(format!("a struct_size of {size}")));
    }
    // SAFETY: the caller's promise.
    unsafe { fill(to, &zeroed(), size as usize) };
    Ok(())
}

/// # Safety
/// `to` points to `size` writable bytes.
unsafe fn fill<T: Sized32>(to: *mut T, value: &T, size: usize) {
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's promise.
    unsafe {
        ptr::copy_nonoverlapping(ptr::from_ref(value).cast::<u8>(), to.cast(), known);
        to.cast::<u8>().add(known).write_bytes(0, size - known);
        to.cast::<u32>().write(size as u32);
    }
}
