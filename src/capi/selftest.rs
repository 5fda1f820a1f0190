//! The test of memory that rings lie in.

use std::ffi::c_char;

use super::convert;
use super::guard::in_out;
use super::handle;
use super::options::{check_out, copy_out};
use super::status::{rk_error, rk_status};
use super::types::rk_runtime;
use crate::selftest::{Measured, Report};

/// What rk_selftest() found. Times are of round trips of 32 bytes between host and device memory, without actors.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rk_selftest_report {
    /// sizeof this struct, set by the caller.
    pub struct_size: u32,
    /// RK_INBOUND_HOST or RK_INBOUND_DEVICE: what RK_INBOUND_AUTO stands for on this device.
    pub inbound_memory: u32,
    /// Messages that went there and came back unchanged, by each kind of memory that works.
    pub messages: u64,
    /// With rings from the host in its own memory: half of the round trips took at most so many nanoseconds; 0 if that
    /// could not be tested.
    pub host_p50_ns: u64,
    /// 99 % of them.
    pub host_p99_ns: u64,
    /// 99.9 % of them.
    pub host_p999_ns: u64,
    /// With rings from the host in the device's memory; 0 if that does not work.
    pub device_p50_ns: u64,
    /// 99 % of them.
    pub device_p99_ns: u64,
    /// 99.9 % of them.
    pub device_p999_ns: u64,
    /// Why the device's memory is not used; UTF-8, NUL-terminated, empty if it is.
    pub reason: [c_char; 256],
}

/// Tests the memory that rings between the host and a device lie in: that what is written arrives while a kernel runs,
/// whole and in order. The library does so itself before it uses a device's memory for rings; here is what it found.
///
/// index: of the device, below rk_device_count(). report: caller-owned, with its struct_size set; no more is written.
/// error: may be NULL. Takes some hundredths of a second at the first call for a device, and keeps two processors busy
/// meanwhile. RK_ERROR_NOT_FOUND: no such device. RK_ERROR_NO_DEVICE, RK_ERROR_UNSUPPORTED, RK_ERROR_DRIVER: it cannot be
/// used, as the error says. RK_TIMEOUT: the processors were too busy with other things to tell. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_selftest(
    runtime: rk_runtime,
    index: u32,
    report: *mut rk_selftest_report,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let runtime = handle::runtime(runtime)?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size, here and below.
        unsafe { check_out(report) }?;
        let found = runtime.selftest(index)?;
        // SAFETY: as above.
        unsafe { copy_out(report, convert(&found)) }
    })
}

fn convert(report: &Report) -> rk_selftest_report {
    let ns = |measured: &Measured| [measured.p50, measured.p99, measured.p999].map(|time| time.as_nanos() as u64);
    let [host_p50_ns, host_p99_ns, host_p999_ns] = ns(&report.host);
    let [device_p50_ns, device_p99_ns, device_p999_ns] = ns(&report.device.clone().unwrap_or_default());
    rk_selftest_report {
        struct_size: 0,
        inbound_memory: report.chosen as u32,
        messages: report.host.messages,
        host_p50_ns,
        host_p99_ns,
        host_p999_ns,
        device_p50_ns,
        device_p99_ns,
        device_p999_ns,
        reason: convert::c_text(report.device.as_ref().err().map_or("", String::as_str)),
    }
}
