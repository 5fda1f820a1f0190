//! Metrics in the text format of Prometheus, and latencies.

use std::ffi::{c_char, c_void};

use super::guard::in_out;
use super::options::copy_out;
use super::status::{rk_error, rk_status};
use super::types::{rk_kernel, rk_runtime, RK_NONE};
use super::{handle, text};
use crate::error::{Error, Result};
use crate::latency::{Times, Which};
use crate::metrics;

/// rk_metrics_write(), rk_metrics_format(): also the metrics of every worker.
pub const RK_METRICS_WORKERS: u32 = 1;

/// Receives a part of a text: UTF-8 of `length` bytes, not NUL-terminated, valid during the call only.
#[allow(non_camel_case_types)]
pub type rk_write_fn = Option<unsafe extern "C" fn(user: *mut c_void, text: *const c_char, length: usize)>;

/// Writes the counters of all kernels of a runtime in the text format of Prometheus, as its scrapers take it
/// (Content-Type: text/plain; version=0.0.4).
///
/// flags: RK_METRICS_... bits, or 0. write: called in this thread with one part after the other, with no lock held; it
/// may call the library, and must not unwind. user: passed to it. error: may be NULL. Makes no call to a driver. Names:
/// ringkernel_accepted_total, _handled_total and so on as in rk_kernel_statistics, each with the labels kernel (its
/// name), id and backend; ringkernel_handler_seconds and _queue_seconds are histograms, of kernels that were launched
/// with latency_every. ringkernel_topic_published_total and so on, as in rk_topic_statistics, have the label topic.
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_metrics_write(
    runtime: rk_runtime,
    flags: u32,
    write: rk_write_fn,
    user: *mut c_void,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let Some(write) = write else { return Err(Error::invalid("write is NULL")) };
        let mut parts = Vec::new();
        collect(runtime, flags, |part| parts.push(part.to_owned()))?;
        // Only now, with the runtime let go of: it may take long, and may destroy the runtime.
        for part in parts {
            // SAFETY: a function of this type by the contract of the call; the text is valid during it.
            unsafe { write(user, part.as_ptr().cast(), part.len()) };
        }
        Ok(())
    })
}

/// rk_metrics_write() into a buffer. text: room for capacity bytes; NUL-terminated. length: may be NULL; receives the
/// bytes without the NUL, also where they do not fit. error: may be NULL. RK_ERROR_SIZE: they do not, and text is empty (if
/// capacity is not 0); another call may need more, as counters and kernels grow.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_metrics_format(
    runtime: rk_runtime,
    flags: u32,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let mut all = String::new();
        collect(runtime, flags, |part| all.push_str(part))?;
        // SAFETY: the caller passes NULL or as much room as said.
        unsafe { text::write(&all, text, capacity, length) }
    })
}

fn collect(runtime: rk_runtime, flags: u32, out: impl FnMut(&str)) -> Result<()> {
    let runtime = handle::runtime(runtime)?;
    if flags & !RK_METRICS_WORKERS != 0 {
        return Err(Error::invalid(format!("flags are {flags}, which has unknown bits")));
    }
    metrics::write(&runtime, flags & RK_METRICS_WORKERS != 0, out);
    Ok(())
}

/// rk_kernel_latency(): from a handler's start to its end.
pub const RK_LATENCY_HANDLER: u32 = 1;
/// rk_kernel_latency(): from the stamp that a message got when it was sent to its handler's start.
pub const RK_LATENCY_QUEUE: u32 = 2;

/// How long something took, filled by rk_kernel_latency(). All times in nanoseconds; zero where nothing was measured. A
/// percentile is at most an eighth too large, and never too small.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_latency {
    /// sizeof this struct, set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Messages that were measured.
    pub count: u64,
    /// Their mean.
    pub mean_ns: f64,
    /// Half of them took no longer.
    pub p50_ns: f64,
    /// 90 % of them took no longer.
    pub p90_ns: f64,
    /// 99 %.
    pub p99_ns: f64,
    /// 99.9 %.
    pub p999_ns: f64,
    /// The longest of them.
    pub max_ns: f64,
}

/// Reads how long a kernel's messages waited or its handlers took, since it was launched, of the messages that were
/// measured: see rk_kernel_options.latency_every. On CUDA, as of the end of each worker's last quantum, and how long a message
/// waited as exactly as the two clocks are known to each other: a microsecond or so, less than which is 0. On Vulkan likewise,
/// but the clocks are known to each other no better than the host sees when a submission has ended, and after a rest longer than
/// the kernels on the device had been measuring, less well for one quantum, by the time that it takes to launch: the message may
/// have waited so much longer. A message between actors there may seem to have waited for some messages longer than it has, for
/// stamps are given by a clock that is read once in eight steps. How long handlers take is as fine as the clock of the device's
/// subgroups is, and no longer than that counts: on Mesa's llvmpipe 4.29 s.
///
/// which: RK_LATENCY_... worker: its number, or RK_NONE for all together. latency: caller-owned, with its struct_size set; no
/// more is written. error: may be NULL. RK_ERROR_NOT_FOUND: no such worker. Makes no call to a driver, and works on a
/// failed kernel. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_latency(
    kernel: rk_kernel,
    which: u32,
    worker: u32,
    latency: *mut rk_latency,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let kernel = handle::kernel(kernel)?;
        let which = Which::from_number(which)
            .ok_or_else(|| Error::invalid(format!("which is {which}, it can be RK_LATENCY_HANDLER or _QUEUE")))?;
        let worker = (worker != RK_NONE).then_some(worker as usize);
        let times = kernel.times(which, worker)?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        unsafe { copy_out(latency, record(&times)) }
    })
}

fn record(times: &Times) -> rk_latency {
    rk_latency {
        struct_size: 0,
        reserved: 0,
        count: times.count(),
        mean_ns: times.sum() / times.count().max(1) as f64,
        p50_ns: times.quantile(0.5),
        p90_ns: times.quantile(0.9),
        p99_ns: times.quantile(0.99),
        p999_ns: times.quantile(0.999),
        max_ns: times.largest(),
    }
}
