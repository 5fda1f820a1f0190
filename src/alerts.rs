//! Alerts: a value of a runtime's kernels, a threshold, and whom to tell when it is crossed. They are looked at when the
//! caller asks for it, in the caller's thread.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::kernel::{directory, Kernel};
use crate::latency::{Times, Which};
use crate::runtime::Home;

/// What is looked at. The numbers are `RK_ALERT_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Metric {
    /// Messages a second that were lost to their receivers.
    Drops = 1,
    /// Handlers a second that failed.
    Failures = 2,
    /// Messages that wait.
    Depth = 3,
    /// Nanoseconds that messages waited.
    QueueTime = 4,
    /// Nanoseconds that handlers took.
    HandlerTime = 5,
    /// Bytes.
    Memory = 6,
}

impl Metric {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        use Metric::*;
        [Drops, Failures, Depth, QueueTime, HandlerTime, Memory].into_iter().find(|metric| *metric as u32 == number)
    }

    /// Over the time since it was last looked at, rather than of this moment.
    fn needs_time(self) -> bool {
        !matches!(self, Self::Depth | Self::Memory)
    }
}

/// Told when an alert is raised or cleared.
pub(crate) struct Notice {
    pub(crate) raised: bool,
    pub(crate) value: f64,
    pub(crate) time: u64,
}

/// When to tell whom.
pub(crate) struct Rule {
    pub(crate) metric: Metric,
    /// Key of the kernel; `None` for all of the runtime.
    pub(crate) kernel: Option<u32>,
    /// Raised at this or above,
    pub(crate) threshold: f64,
    /// cleared below this.
    pub(crate) clear: f64,
    /// Of latencies.
    pub(crate) quantile: f64,
    /// Least time between two looks at what needs time.
    pub(crate) window: Duration,
}

/// Receives notices. Called with no lock held.
pub(crate) type Tell = Box<dyn Fn(&Rule, &Notice) + Send + Sync>;

/// An alert.
pub(crate) struct Alert {
    pub(crate) home: Arc<Home>,
    rule: Rule,
    tell: Tell,
    progress: Mutex<Progress>,
}

struct Progress {
    raised: bool,
    /// When it was last looked at, and what was there.
    since: Instant,
    before: HashMap<u32, Before>,
}

/// Of one kernel.
#[derive(Default)]
struct Before {
    count: u64,
    times: Times,
}

impl crate::table::Noun for Arc<Alert> {
    fn poison(&self) {
        self.home.poison();
    }
}

impl Alert {
    pub(crate) fn new(home: Arc<Home>, rule: Rule, tell: Tell) -> Self {
        let progress = Progress { raised: false, since: Instant::now(), before: HashMap::new() };
        let alert = Self { home, rule, tell, progress: Mutex::new(progress) };
        if alert.rule.metric.needs_time() {
            let mut progress = alert.progress.lock().unwrap_or_else(PoisonError::into_inner);
            alert.measure(&mut progress, Duration::ZERO);
            drop(progress);
        }
        alert
    }

    /// Looks at it, and tells if it has been raised or cleared. Gives whether it is raised now.
    pub(crate) fn check(&self) -> bool {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = progress.since.elapsed();
        if self.rule.metric.needs_time() && elapsed < self.rule.window {
            return progress.raised;
        }
        let value = self.measure(&mut progress, elapsed);
        let raised = if progress.raised { value >= self.rule.clear } else { value >= self.rule.threshold };
        let changed = raised != progress.raised;
        progress.raised = raised;
        // Of several threads that look, one sees the change.
        drop(progress);
        if changed {
            (self.tell)(&self.rule, &Notice { raised, value, time: self.home.clock.witness() });
        }
        raised
    }

    /// The value over all kernels: counts are added up, of times it is the worst.
    fn measure(&self, progress: &mut Progress, elapsed: Duration) -> f64 {
        progress.since = Instant::now();
        let before = std::mem::take(&mut progress.before);
        let mut value = match (self.rule.metric, self.rule.kernel) {
            // What belongs to no kernel.
            (Metric::Memory, None) => self.home.buffers.bytes() as f64,
            _ => 0.0f64,
        };
        let keys = match self.rule.kernel {
            Some(key) => vec![key],
            None => directory::keys(|kernel| Arc::ptr_eq(&kernel.home, &self.home)),
        };
        for key in keys {
            let Some(kernel) = directory::find(key) else { continue };
            let now = self.look(&kernel);
            let nothing = Before::default();
            let before = before.get(&key).unwrap_or(&nothing);
            let count = now.count.saturating_sub(before.count) as f64;
            match self.rule.metric {
                Metric::Drops | Metric::Failures => value += count / elapsed.as_secs_f64().max(1e-9),
                Metric::Depth | Metric::Memory => value += now.count as f64,
                Metric::QueueTime | Metric::HandlerTime => {
                    value = value.max(now.times.since(&before.times).quantile(self.rule.quantile));
                }
            }
            if self.rule.metric.needs_time() {
                progress.before.insert(key, now);
            }
        }
        value
    }

    fn look(&self, kernel: &Kernel) -> Before {
        let count = |count| Before { count, times: Times::default() };
        let times = |which| Before { count: 0, times: kernel.times(which, None).unwrap_or_default() };
        match self.rule.metric {
            Metric::Drops => {
                let counts = kernel.stats().sum.counts;
                count(counts.dead + counts.undeliverable + counts.refused)
            }
            Metric::Failures => count(kernel.stats().sum.counts.failures),
            Metric::Depth => count(kernel.stats().sum.pending),
            Metric::Memory => count(kernel.memory),
            Metric::QueueTime => times(Which::Queue),
            Metric::HandlerTime => times(Which::Handler),
        }
    }
}
