//! Kernels: launch, lifecycle, addresses, statistics.

use std::ffi::c_char;

use super::guard::{enter, in_out};
use super::options::{copy_in, copy_out, write_init};
use super::status::{rk_error, rk_status};
use super::types::{rk_actor, rk_kernel, rk_kernel_options, rk_kernel_statistics, rk_module, rk_runtime};
use super::{config, convert, handle};

/// Sets `options` to the defaults, for languages without RK_KERNEL_OPTIONS_INIT.
///
/// As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_options_init(options: *mut rk_kernel_options, struct_size: u32) -> rk_status {
    // SAFETY: the caller passes NULL or a struct of struct_size bytes.
    enter(|| unsafe { write_init(options, struct_size) })
}

/// Launches a kernel: options->actors actors of the type `actor` of the module. It is RK_KERNEL_CREATED: messages are
/// accepted, and handled once rk_kernel_activate() is called.
///
/// actor: name of the actor type, actor_length bytes, UTF-8; NULL if the module has only one. options: may be NULL.
/// What is zero in the options may be configured from outside, see rk_runtime_create().
/// kernel: receives the handle; set to zero on error. error: may be NULL. RK_ERROR_NOT_FOUND: no such actor type.
/// RK_ERROR_NO_MEMORY, RK_ERROR_NO_DEVICE, RK_ERROR_UNSUPPORTED: as the error says. RK_ERROR_DRIVER with
/// RK_ERROR_FLAG_RETRIABLE: a handler on the device has not returned for 2 s, and what is to be loaded would wait for it; see
/// rk_kernel_options.watchdog_ms. Destroyed with rk_kernel_destroy(), or with the runtime. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_launch(
    runtime: rk_runtime,
    module: rk_module,
    actor: *const c_char,
    actor_length: usize,
    options: *const rk_kernel_options,
    kernel: *mut rk_kernel,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(kernel) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(kernel) }?;
        // SAFETY: the caller passes NULL or actor_length readable bytes.
        let actor = unsafe { convert::optional_string(actor, actor_length, "actor") }?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let options = unsafe { copy_in(options) }?;
        let runtime = handle::runtime(runtime)?;
        let module = handle::module(module)?;
        let number = module.find(actor)?;
        // SAFETY: the pointers in the options are what the caller said they are, by the contract of the struct.
        let name = unsafe { convert::optional_string(options.name, options.name_length as usize, "name") }?;
        let view = runtime.settings().kernel(name.unwrap_or(module.actor_name(number)));
        let options = config::kernel_options(options, &view);
        // SAFETY: as above, or they point to the settings, which the runtime keeps.
        let spec = unsafe { convert::kernel_spec(&options, module.state_size(number)) }?;
        *out = handle::launch(&runtime, &module, number, spec)?;
        Ok(())
    })
}

/// Lets a kernel that is RK_KERNEL_CREATED or RK_KERNEL_SUSPENDED handle messages: RK_KERNEL_ACTIVE.
///
/// RK_ERROR_BAD_STATE in any other state. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_activate(kernel: rk_kernel, error: *mut rk_error) -> rk_status {
    in_out(error, || handle::kernel(kernel)?.activate())
}

/// Suspends a kernel that is RK_KERNEL_ACTIVE, and returns when no handler of it runs. Messages are accepted and wait.
///
/// RK_ERROR_BAD_STATE in any other state. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_deactivate(kernel: rk_kernel, error: *mut rk_error) -> rk_status {
    in_out(error, || handle::kernel(kernel)?.deactivate())
}

/// Handles what has been accepted, then ends the kernel. From now on rk_send() returns RK_ERROR_BAD_STATE; messages of
/// actors are accepted until the rings are empty.
///
/// Legal when RK_KERNEL_ACTIVE, _SUSPENDED or _DRAINING. timeout_ns: RK_FOREVER, or nanoseconds to wait. RK_OK: it is
/// RK_KERNEL_TERMINATED. RK_TIMEOUT: it goes on draining; call again, or terminate. Messages for the host stay in the
/// queue; if they fill it, polling is what lets the drain go on. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_drain(kernel: rk_kernel, timeout_ns: i64, error: *mut rk_error) -> rk_status {
    in_out(error, || handle::kernel(kernel)?.drain(convert::timeout(timeout_ns)?))
}

/// Ends a kernel now, after the handlers that are running. What was still waiting becomes dead letters.
///
/// Legal in every state but RK_KERNEL_TERMINATED and _FAILED. left: may be NULL; receives how many messages were
/// waiting. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_terminate(kernel: rk_kernel, left: *mut u64, error: *mut rk_error) -> rk_status {
    in_out(error, || {
        let count = handle::kernel(kernel)?.terminate()?;
        if !left.is_null() {
            // SAFETY: the caller passes NULL or a place for the count.
            unsafe { left.write_unaligned(count) };
        }
        Ok(())
    })
}

/// Destroys a kernel, in any state, and frees its memory. One that is not over is terminated first. What it had for
/// the host and nobody polled is lost.
///
/// Thread-safe; calls of other threads that wait for it return RK_ERROR_STALE_HANDLE. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_kernel_destroy(kernel: rk_kernel) -> rk_status {
    enter(|| handle::remove_kernel(kernel))
}

/// The state of a kernel. state: receives RK_KERNEL_...
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_state(kernel: rk_kernel, state: *mut u32) -> rk_status {
    enter(|| {
        // SAFETY: the caller passes NULL or a place for the state.
        let out = unsafe { handle::out(state) }?;
        *out = convert::state(handle::kernel(kernel)?.state());
        Ok(())
    })
}

/// The address of actor `index` of a kernel.
///
/// actor: receives it. RK_ERROR_NOT_FOUND: index is not below the number of actors. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_actor(kernel: rk_kernel, index: u32, actor: *mut rk_actor) -> rk_status {
    // SAFETY: the caller passes NULL or a place for the address.
    unsafe { handle::clear(actor) };
    enter(|| {
        // SAFETY: as above.
        let out = unsafe { handle::out(actor) }?;
        out.id = handle::kernel(kernel)?.address(index)?.to_bits();
        Ok(())
    })
}

/// The index of an actor in its kernel, which is what rk_index() gives in its handlers. No check is made.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_actor_index(actor: rk_actor) -> u32 {
    crate::address::Address::from_bits(actor.id).index()
}

/// Reads a kernel's counters. stats: caller-owned, with its struct_size set; no more is written.
///
/// Each counter is exact when the kernel is at rest; while it runs they are read one after the other. Makes no call to
/// a driver, and works on a failed kernel. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_stats(
    kernel: rk_kernel,
    stats: *mut rk_kernel_statistics,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let kernel = handle::kernel(kernel)?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        unsafe { copy_out(stats, convert::stats(&kernel.stats())) }
    })
}
