//! Devices.

use super::convert;
use super::guard::{enter, in_out};
use super::handle;
use super::options::copy_out;
use super::status::{rk_error, rk_status};
use super::types::{rk_device_properties, rk_runtime};

/// Counts the devices of all backends, usable or not. Device 0 is the CPU.
///
/// count: receives the number. Opens drivers at the first call, which may take a second. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_device_count(runtime: rk_runtime, count: *mut u32) -> rk_status {
    enter(|| {
        // SAFETY: the caller passes NULL or a place for the count.
        let out = unsafe { handle::out(count) }?;
        *out = handle::runtime(runtime)?.devices().len() as u32;
        Ok(())
    })
}

/// Describes one device. index: below the count. info: caller-owned, with its struct_size set; no more is written.
///
/// RK_ERROR_NOT_FOUND: no such device. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_device_info(
    runtime: rk_runtime,
    index: u32,
    info: *mut rk_device_properties,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let runtime = handle::runtime(runtime)?;
        let devices = runtime.devices();
        let device = devices.get(index as usize).ok_or_else(|| crate::error::Error::not_found("device", index))?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        unsafe { copy_out(info, convert::device_info(device)) }
    })
}
