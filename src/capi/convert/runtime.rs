//! Options of a runtime.

use std::ffi::c_void;
use std::time::Duration;

use super::{backend, in_range, quantum};
use crate::backend::{VulkanContext, VulkanFeatures, VulkanLoaderFn as LoaderFn};
use crate::capi::options::copy_in;
use crate::capi::types::{rk_runtime_options, rk_vulkan_context, RK_LOG_DEBUG, RK_LOG_WARN, RK_NONE};
use crate::error::{Error, Result};
use crate::hlc::Drift;
use crate::log::{Level, Log};
use crate::runtime::Config;
use crate::settings::Settings;

/// Most threads of the CPU backend.
const THREADS_MAX: u32 = 1024;

/// # Safety
/// `vulkan` is NULL or points to a struct whose first field is its size, with handles of objects that live as long as the
/// runtime. `cpus` points to `cpu_count` numbers, `log` may be called with `log_user` from any thread while the runtime lives.
pub(in crate::capi) unsafe fn runtime_config(options: &rk_runtime_options, settings: Settings) -> Result<Config> {
    if options.reserved != 0 {
        return Err(Error::invalid("reserved is not zero"));
    }
    let threads = match options.cpu_threads {
        0 => std::thread::available_parallelism().map_or(1, |all| (all.get() - 1).clamp(1, THREADS_MAX as usize)),
        count => in_range("cpu_threads", count, 1, THREADS_MAX)? as usize,
    };
    let cpus = match (options.cpus.is_null(), options.cpu_count) {
        (true, 0) => Vec::new(),
        (true, _) | (false, 0) => return Err(Error::invalid("cpus and cpu_count contradict each other")),
        // SAFETY: the caller's promise.
        (false, count) if options.cpus.is_aligned() => unsafe {
            std::slice::from_raw_parts(options.cpus, in_range("cpu_count", count, 1, 1 << 16)? as usize).to_vec()
        },
        _ => return Err(Error::invalid("cpus is not aligned")),
    };
    let spin = match options.spin_us {
        0 => Duration::from_micros(50),
        RK_NONE => Duration::ZERO,
        us => Duration::from_micros(u64::from(us)),
    };
    Ok(Config {
        backend: backend(options.backend)?,
        cpu_threads: threads,
        cpus,
        spin,
        quantum: if options.quantum_us == 0 { Duration::from_millis(2) } else { quantum(options.quantum_us)? },
        drift: match options.clock_drift_ms {
            0 => Drift::of(Duration::from_secs(1)),
            RK_NONE => Drift::NONE,
            ms => Drift::of(Duration::from_millis(u64::from(in_range("clock_drift_ms", ms, 1, 3_600_000)?))),
        },
        log: log(options)?,
        // SAFETY: the caller's promise.
        vulkan: unsafe { vulkan_context(options.vulkan) }?,
        cuda_multiprocessors: options.cuda_multiprocessors,
        settings,
    })
}

/// # Safety
/// As for `runtime_config`.
unsafe fn vulkan_context(context: *const rk_vulkan_context) -> Result<Option<VulkanContext>> {
    if context.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let theirs: rk_vulkan_context = unsafe { copy_in(context) }?;
    let handles = [theirs.instance, theirs.physical_device, theirs.device, theirs.queue];
    if handles.iter().any(|handle| handle.is_null()) {
        return Err(Error::invalid("the Vulkan context lacks an instance, physical device, device or queue"));
    }
    if theirs.reserved != 0 {
        return Err(Error::invalid("reserved is not zero"));
    }
    let features = VulkanFeatures::from_bits(theirs.features)
        .map_err(|bits| Error::invalid(format!("the Vulkan context has unknown features {bits:#x}")))?;
    let lock = match (theirs.lock, theirs.unlock) {
        (Some(lock), Some(unlock)) => Some((lock, unlock)),
        (None, None) => None,
        _ => return Err(Error::invalid("the Vulkan context has a lock without unlock, or the reverse")),
    };
    let [instance, physical_device, device, queue] = handles.map(|handle| handle as u64);
    // SAFETY: as the caller says, a function of that type, or NULL, which is none.
    let get_instance_proc_addr = unsafe { std::mem::transmute::<*mut c_void, LoaderFn>(theirs.get_instance_proc_addr) };
    let user = theirs.lock_user;
    let family = theirs.queue_family;
    Ok(Some(VulkanContext {
        get_instance_proc_addr,
        instance,
        physical_device,
        device,
        queue,
        family,
        features,
        lock,
        user,
    }))
}

/// The caller's pointer for its log callback. It is only ever handed back.
struct User(*mut c_void);

// SAFETY: the caller is told that the callback comes from any thread, with this pointer.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

fn log(options: &rk_runtime_options) -> Result<Log> {
    let level = match options.log_level {
        0 => RK_LOG_WARN,
        level => in_range("log_level", level, 1, RK_LOG_DEBUG)?,
    };
    let Some(callback) = options.log else { return Ok(Log::default()) };
    let user = User(options.log_user);
    let level = [Level::Error, Level::Warn, Level::Info, Level::Debug][level as usize - 1];
    Ok(Log::new(
        level,
        Box::new(move |level, text| {
            let user: &User = &user;
            // SAFETY: a function of this type by the struct's contract; the text is valid during the call.
            unsafe { callback(user.0, level as u32, text.as_ptr().cast(), text.len()) };
        }),
    ))
}
