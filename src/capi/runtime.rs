//! The runtime: creation, destruction, park, its queue's file descriptor.

use super::guard::{enter, in_out};
use super::options::{copy_in, write_init};
use super::status::{rk_error, rk_status};
use super::types::{rk_runtime, rk_runtime_options};
use super::{config, convert, handle, version};
use crate::runtime::Runtime;

/// Sets `options` to the defaults, for languages without RK_RUNTIME_OPTIONS_INIT.
///
/// struct_size: sizeof(rk_runtime_options) as the caller knows it; no more is written. RK_ERROR_INVALID_ARGUMENT if
/// options is NULL or the size less than 4. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_runtime_options_init(options: *mut rk_runtime_options, struct_size: u32) -> rk_status {
    // SAFETY: the caller passes NULL or a struct of struct_size bytes.
    enter(|| unsafe { write_init(options, struct_size) })
}

/// Creates a runtime: its worker threads and its queue. Devices other than the CPU are opened when first used.
///
/// version: RK_VERSION, so that a library that does not match the header is found out (RK_ERROR_VERSION).
/// options: may be NULL for the defaults; copied. runtime: receives the handle; set to zero on error. error: may be
/// NULL. The caller destroys the runtime with rk_runtime_destroy(). Installs no signal
/// handlers; its threads have all signals blocked. Thread-safe. Since 0.1.0.
///
/// Options that are zero, here and in rk_kernel_options and rk_send_options (see rk_send_options_load()), may be set from
/// outside the program. First comes what the program says, then an environment variable, then the file that
/// options->config or RINGKERNEL_CONFIG names, then the default; no other file is ever read. Options have the names of
/// the fields, and their ranges. In the environment: RINGKERNEL_CPU_THREADS, RINGKERNEL_KERNEL_LANES,
/// RINGKERNEL_SEND_PRIORITY. In the file, in TOML: the tables [runtime], [kernel] for all kernels, [kernels.NAME] for
/// those of a name, which come before it, and [send]. Words stand for numbers: "auto" "cpu" "cuda" "vulkan"; "error"
/// "warn" "info" "debug"; "low" "normal" "high" "critical"; "none" for RK_NONE; "forever". Lists are [0, 2] in the file
/// and 0,2 in the environment, initial_state is hexadecimal. What is the program's own cannot be set: log, log_user,
/// queues. A name that is not known, in the file or after RINGKERNEL_, a value of another form or out of range, used or
/// not, is RK_ERROR_INVALID_ARGUMENT, and error->message says where it stands and which known name is nearest.
/// RK_ERROR_NOT_FOUND: there is no such file. All is read during this call.
#[no_mangle]
pub unsafe extern "C" fn rk_runtime_create(
    version: u32,
    options: *const rk_runtime_options,
    runtime: *mut rk_runtime,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(runtime) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(runtime) }?;
        super::guard::silence();
        version::check(version)?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let options = unsafe { copy_in(options) }?;
        // SAFETY: `config` is what the caller said it is, by the contract of the struct.
        let settings = unsafe { config::load(&options) }?;
        let options = config::runtime_options(options, &settings.runtime());
        // SAFETY: so are `cpus` and `log`, where they are not the settings', which outlive the call.
        let config = unsafe { convert::runtime_config(&options, settings.clone()) }?;
        *out = handle::insert_runtime(Runtime::create(config)?)?;
        Ok(())
    })
}

/// Destroys a runtime with everything in it: kernels are terminated, queues and modules destroyed, threads joined.
///
/// Calls of other threads that are waiting in it return RK_ERROR_STALE_HANDLE; this call waits for them to leave.
/// What handlers are doing is finished first. Thread-safe, but not from a log callback. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_runtime_destroy(runtime: rk_runtime) -> rk_status {
    enter(|| handle::remove_runtime(runtime))
}

/// Brings every kernel of the runtime to rest, and returns when no handler runs, no pump is on a device, and the memory of
/// buffers that were destroyed before is not used any more.
///
/// Messages are still accepted and wait. Counted: each park needs its unpark. While parked, the statistics are exact.
/// timeout_ns: RK_FOREVER, or nanoseconds to wait; on RK_TIMEOUT the park has been taken back. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_runtime_park(runtime: rk_runtime, timeout_ns: i64, error: *mut rk_error) -> rk_status {
    in_out(error, || handle::runtime(runtime)?.park(convert::timeout(timeout_ns)?))
}

/// Undoes one rk_runtime_park(); the last one lets the kernels go on.
///
/// RK_ERROR_BAD_STATE if the runtime is not parked. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_runtime_unpark(runtime: rk_runtime, error: *mut rk_error) -> rk_status {
    in_out(error, || handle::runtime(runtime)?.unpark())
}

/// The file descriptor of the runtime's own queue; see rk_queue_fd().
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_runtime_fd(runtime: rk_runtime, fd: *mut i32, error: *mut rk_error) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or a place for the descriptor.
        let out = unsafe { handle::out(fd) }?;
        *out = handle::runtime(runtime)?.queue().fd()?;
        Ok(())
    })
}

/// Arms the file descriptor of the runtime's own queue; see rk_queue_arm().
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_runtime_arm(runtime: rk_runtime) -> rk_status {
    enter(|| handle::runtime(runtime)?.queue().arm())
}
