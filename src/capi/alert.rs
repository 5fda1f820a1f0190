//! Alerts.

use std::ffi::c_void;
use std::time::Duration;

use super::guard::{enter, in_out};
use super::handle;
use super::options::{copy_in, write_init};
use super::status::{rk_error, rk_status};
use super::types::{rk_kernel, rk_runtime};
use crate::alerts::{Metric, Notice, Rule};
use crate::error::{Error, Result};

/// An alert: a value, a threshold, and a function that is told when it is crossed. Zero is never valid.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub struct rk_alert {
    /// Opaque.
    pub id: u64,
}

/// rk_alert_options.metric: messages a second that became dead letters, had nowhere to go or found an outbox full.
pub const RK_ALERT_DROPS: u32 = 1;
/// rk_alert_options.metric: handlers a second that failed.
pub const RK_ALERT_FAILURES: u32 = 2;
/// rk_alert_options.metric: messages waiting in rings.
pub const RK_ALERT_DEPTH: u32 = 3;
/// rk_alert_options.metric: nanoseconds that messages waited, of kernels that measure it (latency_every).
pub const RK_ALERT_QUEUE_TIME: u32 = 4;
/// rk_alert_options.metric: nanoseconds that handlers took, of kernels that measure it.
pub const RK_ALERT_HANDLER_TIME: u32 = 5;
/// rk_alert_options.metric: bytes of memory of states, actor tables and rings; of a whole runtime, of buffers too.
pub const RK_ALERT_MEMORY: u32 = 6;

/// What an alert's function is told. Valid during its call only.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_alert_notice {
    /// The alert.
    pub alert: rk_alert,
    /// The kernel that it watches; zero for all of its runtime.
    pub kernel: rk_kernel,
    /// RK_ALERT_...
    pub metric: u32,
    /// 1: the value has reached the threshold. 0: it has fallen below rk_alert_options.clear_below.
    pub raised: u32,
    /// The value.
    pub value: f64,
    /// rk_alert_options.threshold.
    pub threshold: f64,
    /// Stamp of the runtime's clock, see rk_hlc_now().
    pub time: u64,
}

/// Is told of an alert, inside rk_alerts_check() and in its thread, with no lock held: it may call the library, also to
/// destroy the alert. Must not unwind.
#[allow(non_camel_case_types)]
pub type rk_alert_fn = Option<unsafe extern "C" fn(user: *mut c_void, notice: *const rk_alert_notice)>;

/// Options of an alert.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_alert_options {
    /// sizeof this struct, as RK_ALERT_OPTIONS_INIT sets it.
    pub struct_size: u32,
    /// RK_ALERT_...
    pub metric: u32,
    /// The kernel to watch. Zero: all of the runtime together; counts are added up, of times it is the worst kernel's.
    pub kernel: rk_kernel,
    /// The value at which it is raised; above 0.
    pub threshold: f64,
    /// The value below which it is cleared, at most the threshold, so that one that wavers is not told of again and
    /// again. 0: the threshold.
    pub clear_below: f64,
    /// Of times: which quantile, above 0 to 1. 0: 0.99.
    pub quantile: f64,
    /// Of what is measured over time (not RK_ALERT_DEPTH and RK_ALERT_MEMORY): least milliseconds that a value is taken
    /// over, up to 3,600,000; checks before that do nothing. 0: 1000.
    pub window_ms: u32,
    /// Zero.
    pub reserved: u32,
    /// Is told. Not NULL.
    pub notify: rk_alert_fn,
    /// Passed to `notify`.
    pub user: *mut c_void,
}

/// Sets `options` to zeros, for languages without RK_ALERT_OPTIONS_INIT.
///
/// As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_alert_options_init(options: *mut rk_alert_options, struct_size: u32) -> rk_status {
    // SAFETY: the caller passes NULL or a struct of struct_size bytes.
    enter(|| unsafe { write_init(options, struct_size) })
}

/// Creates an alert, which is not raised. It is looked at by rk_alerts_check() only.
///
/// options: copied; not NULL. alert: receives the handle; set to zero on error. error: may be NULL. Destroyed with
/// rk_alert_destroy(), or with the runtime. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_alert_create(
    runtime: rk_runtime,
    options: *const rk_alert_options,
    alert: *mut rk_alert,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(alert) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(alert) }?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let options = unsafe { copy_in(options) }?;
        let runtime = handle::runtime(runtime)?;
        let rule = rule(&options)?;
        if options.kernel.id != 0 && !std::sync::Arc::ptr_eq(&handle::kernel(options.kernel)?.home, runtime.home()) {
            return Err(Error::Stale);
        }
        let Some(notify) = options.notify else { return Err(Error::invalid("notify is NULL")) };
        let user = User(options.user);
        *out = handle::insert_alert(&runtime, rule, move |alert, rule: &Rule, notice: &Notice| {
            let user: &User = &user;
            let record = record(alert, rule, notice);
            // SAFETY: a function of this type by the struct's contract; the notice is valid during the call.
            unsafe { notify(user.0, &record) };
        })?;
        Ok(())
    })
}

/// The caller's pointer. It is only ever handed back.
struct User(*mut c_void);

// SAFETY: the caller is told that the function is called in the thread that checks, with this pointer.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

fn record(alert: rk_alert, rule: &Rule, notice: &Notice) -> rk_alert_notice {
    rk_alert_notice {
        alert,
        kernel: rule.kernel.map_or(rk_kernel { id: 0 }, handle::of_kernel),
        metric: rule.metric as u32,
        raised: u32::from(notice.raised),
        value: notice.value,
        threshold: rule.threshold,
        time: notice.time,
    }
}

fn rule(options: &rk_alert_options) -> Result<Rule> {
    let metric = Metric::from_number(options.metric)
        .ok_or_else(|| Error::invalid(format!("metric is {}, it can be RK_ALERT_...", options.metric)))?;
    let or = |value: f64, default: f64| if value == 0.0 { default } else { value };
    let clear = or(options.clear_below, options.threshold);
    let quantile = or(options.quantile, 0.99);
    if !(options.threshold > 0.0 && options.threshold.is_finite()) {
        return Err(Error::invalid(format!("threshold is {}, it must be above 0", options.threshold)));
    }
    if !(clear > 0.0 && clear <= options.threshold) {
        return Err(Error::invalid(format!("clear_below is {clear}, it can be up to the threshold")));
    }
    if !(quantile > 0.0 && quantile <= 1.0) {
        return Err(Error::invalid(format!("quantile is {quantile}, it can be above 0 up to 1")));
    }
    if options.window_ms > 3_600_000 || options.reserved != 0 {
        return Err(Error::invalid("window_ms is above 3,600,000, or reserved is not zero"));
    }
    Ok(Rule {
        metric,
        kernel: (options.kernel.id != 0).then_some(options.kernel.id as u32),
        threshold: options.threshold,
        clear,
        quantile,
        window: Duration::from_millis(u64::from(if options.window_ms == 0 { 1000 } else { options.window_ms })),
    })
}

/// Destroys an alert; its function is not told of that.
///
/// A check that another thread is in may still tell it: keep `user` until that has returned. Thread-safe. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_alert_destroy(alert: rk_alert) -> rk_status {
    enter(|| handle::remove_alert(alert))
}

/// Looks at all alerts of a runtime, and tells the functions of those that have been raised or cleared since.
///
/// Call it as often as alerts are to be seen: beside rk_poll(), say, or from a timer. raised: may be NULL; receives how
/// many are raised now. error: may be NULL. Makes no call to a driver. Thread-safe; of several threads that check, one tells
/// of a change. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_alerts_check(runtime: rk_runtime, raised: *mut u32, error: *mut rk_error) -> rk_status {
    in_out(error, || {
        let alerts = handle::alerts(&*handle::runtime(runtime)?);
        // Nothing is pinned by now, so that a function may destroy what it likes.
        let count = alerts.iter().filter(|alert| alert.check()).count() as u32;
        if !raised.is_null() {
            // SAFETY: the caller passes NULL or a place for the count.
            unsafe { raised.write_unaligned(count) };
        }
        Ok(())
    })
}
