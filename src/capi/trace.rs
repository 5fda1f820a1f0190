//! Traces: what workers did when, as a file that Perfetto and chrome://tracing open.

use std::ffi::c_void;
use std::sync::atomic::Ordering;

use super::guard::{enter, in_out};
use super::handle;
use super::metrics::rk_write_fn;
use super::options::{copy_in, write_init};
use super::status::{rk_error, rk_status};
use super::types::rk_runtime;
use crate::error::{Error, Result};
use crate::trace::{self, what, Wish};

/// rk_trace_options.events: a slice for each handler, named after the type of its message, from its start to its end.
pub const RK_TRACE_HANDLERS: u32 = 1;
/// rk_trace_options.events: a slice for each reply, emit and message that a worker puts into a ring.
pub const RK_TRACE_SENDS: u32 = 2;
/// rk_trace_options.events: a slice for each visit of a worker's pump to its thread, and for each quantum of a kernel on a
/// GPU.
pub const RK_TRACE_VISITS: u32 = 4;
/// rk_trace_options.events: how many messages wait for a worker at the end of its visits.
pub const RK_TRACE_DEPTH: u32 = 8;

/// Bytes for one worker, if nothing is said.
const MEMORY: u64 = 1 << 20;
const MEMORY_MIN: u64 = 4 << 10;
const MEMORY_MAX: u64 = 1 << 30;

/// Options of a trace.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_trace_options {
    /// sizeof this struct, as RK_TRACE_OPTIONS_INIT sets it.
    pub struct_size: u32,
    /// RK_TRACE_... bits. 0: all of them.
    pub events: u32,
    /// Records one message in so many, with the visits that it is handled in; visits alone are all recorded. A message is picked by its correlation or,
    /// where that is 0, by its stamp, so that its sender and its receiver pick the same: an rk_call() is recorded with
    /// all replies and forwards that it leads to, or not at all. 0: 1, which is every message.
    pub every: u32,
    /// Zero.
    pub reserved: u32,
    /// Bytes of memory for the events of one worker, 4096 to 2^30, rounded down to a power of two; an event takes 64.
    /// Memory is taken when a worker first records, and used as far as there are events. When it is full the oldest are
    /// overwritten. 0: 2^20.
    pub worker_bytes: u64,
}

/// Sets `options` to zeros, for languages without RK_TRACE_OPTIONS_INIT.
///
/// As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_trace_options_init(options: *mut rk_trace_options, struct_size: u32) -> rk_status {
    // SAFETY: the caller passes NULL or a struct of struct_size bytes.
    enter(|| unsafe { write_init(options, struct_size) })
}

/// Begins to record what the workers of a runtime's kernels do, those of kernels launched later included. What was
/// recorded before is forgotten.
///
/// options: may be NULL for the defaults; copied. error: may be NULL. RK_ERROR_BAD_STATE: a trace is being recorded.
/// Every message sent after this call is recorded by the CPU backend, as far as the options say; a visit of a worker that is
/// under way is not. Of kernels on GPUs the quanta are, as the host sees them: from a launch to when all workers have left;
/// and, when their quantum has ended, the handlers of messages that rk_kernel_options.latency_every picks, of each
/// worker the last 128 in a quantum.
///
/// At most 4096 workers are recorded; the file says how many were left out, for that reason or because there was no memory for
/// them, and how many events were overwritten. While nothing is recorded it costs a worker one branch for each handler and
/// each message sent. Makes no call to a driver. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_trace_start(
    runtime: rk_runtime,
    options: *const rk_trace_options,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let options = unsafe { copy_in(options) }?;
        let runtime = handle::runtime(runtime)?;
        runtime.home().trace.start(wish(&options)?)
    })
}

/// Records no more. What was recorded stays, for rk_trace_write(), until the next rk_trace_start() or the runtime's end.
///
/// error: may be NULL. RK_ERROR_BAD_STATE: no trace is being recorded. A handler that runs now may still be recorded.
/// Makes no call to a driver. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_trace_stop(runtime: rk_runtime, error: *mut rk_error) -> rk_status {
    in_out(error, || handle::runtime(runtime)?.home().trace.stop())
}

/// Writes what was recorded since rk_trace_start(), as JSON that https://ui.perfetto.dev and chrome://tracing open. It
/// does not stop workers, and may be called while the recording goes on.
///
/// write: called in this thread with one part after the other, with no lock held; it may call the library, and must not
/// unwind. user: passed to it. error: may be NULL. RK_ERROR_BAD_STATE: none was ever started. RK_ERROR_NO_MEMORY: before
/// anything was written. Makes no call to a driver. Thread-safe. Since 0.1.0.
///
/// In the file the runtime is a process, and each worker a thread, named after its kernel, with its visits, in them the
/// handlers, and after each the sends of what it produced; another thread, "host", has the sends of the host, as the
/// stamps of the messages tell them. Arrows (flow events) lead from a send to the handler. Times are microseconds
/// since the start, which otherData.start gives in UTC and otherData.start_unix_ns as a number.
/// otherData.recorded counts events, .overwritten those of them that are lost, .handlers_without_send and
/// .sends_without_handler the messages without an arrow because the other end was overwritten, not recorded, or is still
/// to come.
#[no_mangle]
pub unsafe extern "C" fn rk_trace_write(
    runtime: rk_runtime,
    write: rk_write_fn,
    user: *mut c_void,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let Some(write) = write else { return Err(Error::invalid("write is NULL")) };
        let snapshot = {
            let runtime = handle::runtime(runtime)?;
            // Relaxed: only a number, which the handle was made of.
            let number = runtime.home().handle.load(Ordering::Relaxed);
            runtime.home().trace.copy(number)?
        };
        // With the runtime let go of: it may take long, and may destroy the runtime.
        trace::write(&snapshot, |part| {
            // SAFETY: a function of this type by the contract of the call; the text is valid during it.
            unsafe { write(user, part.as_ptr().cast(), part.len()) };
        })
    })
}

fn wish(options: &rk_trace_options) -> Result<Wish> {
    if options.events & !what::ALL != 0 {
        return Err(Error::invalid(format!("events are {}, which has unknown bits", options.events)));
    }
    if options.reserved != 0 {
        return Err(Error::invalid("reserved is not zero"));
    }
    let bytes = if options.worker_bytes == 0 { MEMORY } else { options.worker_bytes };
    if !(MEMORY_MIN..=MEMORY_MAX).contains(&bytes) {
        return Err(Error::invalid(format!("worker_bytes is {bytes}, it can be {MEMORY_MIN} to {MEMORY_MAX}")));
    }
    Ok(Wish { what: if options.events == 0 { what::ALL } else { options.events }, every: options.every.max(1), bytes })
}

const _: () = assert!(
    RK_TRACE_HANDLERS == what::HANDLERS
        && RK_TRACE_SENDS == what::SENDS
        && RK_TRACE_VISITS == what::VISITS
        && RK_TRACE_DEPTH == what::DEPTH
);
