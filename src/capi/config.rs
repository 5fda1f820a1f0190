//! Options from the environment and from files, put where the caller's structs have zeros.

use std::path::PathBuf;

use super::guard::in_out;
use super::options::{copy_in, copy_out, zeroed};
use super::status::{rk_error, rk_status};
use super::types::{rk_kernel_options, rk_runtime, rk_runtime_options, rk_send_options};
use super::{convert, handle};
use crate::error::Result;
use crate::settings::{Section, Settings, Value, View};

/// Fills in what is zero in `options` with what the environment and the runtime's configuration file say of sending, see
/// rk_runtime_create(). rk_send() itself looks at neither, for it would have to with every message.
///
/// options: with its struct_size set; no more is written. error: may be NULL. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_send_options_load(
    runtime: rk_runtime,
    options: *mut rk_send_options,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let runtime = handle::runtime(runtime)?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let given = unsafe { copy_in(options) }?;
        let loaded = send_options(given, &runtime.settings().send());
        // SAFETY: as above.
        unsafe { copy_out(options, loaded) }
    })
}

/// What is set outside the program; every value is one that an option could have.
///
/// # Safety
/// `options.config` is NULL or points to `options.config_length` bytes.
pub(super) unsafe fn load(options: &rk_runtime_options) -> Result<Settings> {
    let file = match (options.config.is_null(), options.config_length) {
        (true, 0) => None,
        // SAFETY: the caller's promise.
        (_, length) => Some(PathBuf::from(unsafe { convert::path(options.config, length) }?)),
    };
    let settings = Settings::load(file.as_deref())?;
    for (source, section, view) in settings.groups() {
        check(section, &view).map_err(|error| error.within(&source))?;
    }
    Ok(settings)
}

/// Values that stand alone, checked as the options of a program would be.
fn check(section: Section, view: &View<'_>) -> Result<()> {
    match section {
        Section::Runtime => {
            // SAFETY: the pointers in it are NULL or to what the view has.
            unsafe { convert::runtime_config(&runtime_options(zeroed(), view), Settings::default()) }.map(drop)
        }
        Section::Kernel => convert::check_kernel(&kernel_options(zeroed(), view)),
        Section::Send => {
            let options = send_options(zeroed(), view);
            convert::level(options.priority)?;
            convert::timeout(options.timeout_ns).map(drop)
        }
    }
}

/// A number where there is none.
fn number<T: Default + PartialEq>(field: &mut T, view: &View<'_>, name: &str, narrow: impl Fn(u64) -> T) {
    if *field == T::default() {
        if let Some(Value::Number(number)) = view.get(name) {
            *field = narrow(*number);
        }
    }
}

/// Numbers of 32 bits, which their forms keep them to.
macro_rules! numbers {
    ($view:expr; $($field:ident)*) => { $(number($field, $view, stringify!($field), |number| number as u32);)* };
}

// All fields are named, so that one that is new cannot be forgotten.

pub(super) fn runtime_options(mut options: rk_runtime_options, view: &View<'_>) -> rk_runtime_options {
    let rk_runtime_options {
        struct_size: _,
        backend,
        cpu_threads,
        spin_us,
        quantum_us,
        log_level,
        log: _,
        log_user: _,
        cpus,
        cpu_count,
        reserved: _,
        clock_drift_ms,
        cuda_multiprocessors,
        config: _,
        config_length: _,
        vulkan: _, // handles of this process, which nothing outside it can say
    } = &mut options;
    numbers!(view; backend cpu_threads spin_us quantum_us log_level clock_drift_ms cuda_multiprocessors);
    if cpus.is_null() && *cpu_count == 0 {
        if let Some(Value::Numbers(numbers)) = view.get("cpus") {
            (*cpus, *cpu_count) = (numbers.as_ptr(), numbers.len() as u32);
        }
    }
    options
}

pub(super) fn kernel_options(mut options: rk_kernel_options, view: &View<'_>) -> rk_kernel_options {
    let rk_kernel_options {
        struct_size: _,
        backend,
        device,
        actors,
        workers,
        lanes,
        quantum_us,
        inbound_capacity,
        actor_capacity,
        outbound_capacity,
        outbox_bytes,
        initial_state_size,
        initial_state,
        queues: _,
        queue_count: _,
        name_length,
        name,
        latency_every,
        inbound_memory,
        on_failure,
        max_restarts,
        restart_window_ms,
        dormant,
        watchdog_ms,
        reserved: _,
    } = &mut options;
    numbers!(view; backend device actors workers lanes quantum_us inbound_capacity actor_capacity outbound_capacity
             outbox_bytes latency_every inbound_memory on_failure max_restarts restart_window_ms
             dormant watchdog_ms);
    if initial_state.is_null() && *initial_state_size == 0 {
        if let Some(Value::Bytes(bytes)) = view.get("initial_state") {
            (*initial_state, *initial_state_size) = (bytes.as_ptr().cast(), bytes.len() as u32);
        }
    }
    if name.is_null() && *name_length == 0 {
        if let Some(Value::Text(text)) = view.get("name") {
            (*name, *name_length) = (text.as_ptr().cast(), text.len() as u32);
        }
    }
    options
}

fn send_options(mut options: rk_send_options, view: &View<'_>) -> rk_send_options {
    let rk_send_options { struct_size: _, priority, correlation, deadline_ns, timeout_ns } = &mut options;
    numbers!(view; priority);
    number(correlation, view, "correlation", |number| number);
    number(deadline_ns, view, "deadline_ns", |number| number);
    // "forever" is all ones, which is RK_FOREVER.
    number(timeout_ns, view, "timeout_ns", |number| number as i64);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every option that can be set changes the struct that it belongs to.
    #[test]
    fn every_field_arrives() {
        for section in Section::ALL {
            for field in section.fields() {
                let text = ["1", "high", "01"].into_iter().find(|text| field.variable(text).is_ok());
                let value = field.variable(text.expect("one of these is of its form")).expect("found above");
                let settings = Settings::of(section, field.name, value);
                let changed = match section {
                    Section::Runtime => bytes_differ(zeroed(), |options| runtime_options(options, &settings.runtime())),
                    Section::Kernel => bytes_differ(zeroed(), |options| kernel_options(options, &settings.kernel("k"))),
                    Section::Send => bytes_differ(zeroed(), |options| send_options(options, &settings.send())),
                };
                assert!(changed, "{section:?} {}", field.name);
            }
        }
    }

    fn bytes_differ<T: crate::capi::options::Sized32>(before: T, change: impl Fn(T) -> T) -> bool {
        let after = change(before);
        // SAFETY: both came from zeros and have no padding.
        let bytes = |value: &T| unsafe {
            std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), std::mem::size_of::<T>()).to_vec()
        };
        bytes(&before) != bytes(&after)
    }
}
