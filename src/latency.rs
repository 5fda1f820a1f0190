//! How long messages wait and handlers run, of one in so many messages.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::histogram::{Distribution, Histogram};
use crate::hlc;
use crate::wall::wall;

/// Of one worker, which alone writes it. `rk_latencies` of `include/ringkernel/device/histogram.h`; zeros are empty.
#[repr(C)]
#[derive(Default)]
pub struct Latencies {
    /// From a handler's start to its end, in the ticks of the worker's timer.
    pub handler: Histogram,
    /// From the stamp of a message to its handler's start, in the units of stamps' physical part.
    pub queue: Histogram,
}

/// Which of them. The numbers are `RK_LATENCY_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Which {
    Handler = 1,
    Queue = 2,
}

impl Which {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::Handler, Self::Queue].into_iter().find(|which| *which as u32 == number)
    }
}

type TickNs = Box<dyn Fn() -> f64 + Send + Sync>;

/// Where a worker's latencies are, and what its ticks are worth.
pub(crate) struct View {
    at: NonNull<Latencies>,
    /// Nanoseconds in a tick of the worker's timer; 0 while that is not known and nothing was measured.
    tick_ns: TickNs,
    /// Keeps the memory.
    _owner: Arc<dyn Send + Sync>,
}

// SAFETY: what it points to is atomics, which stay as long as the owner.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    /// # Safety
    /// `at` stays valid, and is written by one thread or device at most, while `owner` lives.
    pub(crate) unsafe fn new(at: NonNull<Latencies>, tick_ns: TickNs, owner: Arc<dyn Send + Sync>) -> Self {
        Self { at, tick_ns, _owner: owner }
    }

    fn latencies(&self) -> &Latencies {
        // SAFETY: promised to `new`.
        unsafe { self.at.as_ref() }
    }
}

/// A distribution in nanoseconds.
#[derive(Clone, Default)]
pub(crate) struct Times {
    all: Distribution,
    /// Nanoseconds in its unit.
    unit: f64,
}

impl Times {
    /// Those of some workers of one kernel, whose ticks are the same.
    pub(crate) fn of<'a>(which: Which, views: impl Iterator<Item = &'a View>) -> Self {
        let mut times = Self::default();
        for view in views {
            let latencies = view.latencies();
            match which {
                Which::Handler => {
                    times.all.add(&latencies.handler);
                    times.unit = times.unit.max((view.tick_ns)());
                }
                Which::Queue => {
                    times.all.add(&latencies.queue);
                    times.unit = 1e9 / f64::from(1u32 << 24);
                }
            }
        }
        times
    }

    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self { all: self.all.since(&earlier.all), unit: self.unit }
    }

    pub(crate) fn count(&self) -> u64 {
        self.all.count()
    }

    pub(crate) fn sum(&self) -> f64 {
        self.all.sum() as f64 * self.unit
    }

    pub(crate) fn largest(&self) -> f64 {
        self.all.largest() as f64 * self.unit
    }

    pub(crate) fn quantile(&self, q: f64) -> f64 {
        self.all.quantile(q) as f64 * self.unit
    }

    pub(crate) fn at_most(&self, ns: f64) -> u64 {
        if self.unit == 0.0 {
            return 0;
        }
        self.all.at_most(ns / self.unit)
    }
}

/// What a worker of the CPU backend measures with. Three calls: [`due`](Self::due) before every handler and, where that
/// says so, [`begin`](Self::begin) before it and [`end`](Self::end) after.
pub(crate) struct Probe {
    /// Messages until the next that is measured, that one included.
    left: u32,
    every: u32,
    random: u32,
    latencies: Option<Arc<Latencies>>,
}

impl Probe {
    /// Of one in `every` messages; of none if that is 0.
    pub(crate) fn new(every: u32, seed: u32) -> Self {
        Self { left: every.min(1), every, random: seed, latencies: (every > 0).then(Arc::default) }
    }

    /// For the port of the worker.
    pub(crate) fn view(&self) -> Option<View> {
        let owner = self.latencies.clone()?;
        // SAFETY: an Arc's value stays where it is; this probe, which one worker has, is what writes it.
        Some(unsafe { View::new(NonNull::from(&*owner), Box::new(|| wall().tick_ns()), owner.clone()) })
    }

    /// Whether the next message is to be measured. A decrement and a branch.
    #[inline(always)]
    pub(crate) fn due(&mut self) -> bool {
        self.left = self.left.wrapping_sub(1);
        self.left == 0 && self.next()
    }

    #[cold]
    fn next(&mut self) -> bool {
        if self.every == 0 {
            return false; // once in 2^32 messages
        }
        // As rk_sample_random() and rk_sample_gap() have it.
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.left = 1 + (self.random >> 8) % (2 * self.every - 1);
        true
    }

    /// A handler starts, for a message sent at `stamp`. Gives what `end` wants.
    #[cold]
    pub(crate) fn begin(&self, stamp: u64) -> u64 {
        if let Some(latencies) = &self.latencies {
            latencies.queue.record(hlc::units_since(stamp));
        }
        wall().ticks()
    }

    /// It has ended.
    #[cold]
    pub(crate) fn end(&self, started: u64) {
        let ended = wall().ticks();
        if let Some(latencies) = &self.latencies {
            latencies.handler.record(ended.saturating_sub(started));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn one_in_so_many() {
        let mut off = Probe::new(0, 1);
        assert!((0..100_000).all(|_| !off.due()));
        assert!(off.view().is_none());
        let mut all = Probe::new(1, 1);
        assert!((0..1000).all(|_| all.due()));
        for every in [2, 16, 100] {
            let mut some = Probe::new(every, 7);
            assert!(some.due(), "the first");
            let measured = (0..every * 10_000).filter(|_| some.due()).count();
            assert!((9_000..11_000).contains(&measured), "{measured} with {every}");
        }
    }

    #[test]
    fn measures_time() {
        let mut probe = Probe::new(1, 1);
        let view = probe.view().expect("it is on");
        let sent = hlc::physical();
        std::thread::sleep(Duration::from_millis(3));
        assert!(probe.due());
        let before = Instant::now();
        let started = probe.begin(sent);
        std::thread::sleep(Duration::from_millis(5));
        probe.end(started);
        let most = before.elapsed().as_nanos() as f64 * 1.01 + 1000.0;
        let handler = Times::of(Which::Handler, [&view].into_iter());
        let queue = Times::of(Which::Queue, [&view].into_iter());
        assert_eq!((handler.count(), queue.count()), (1, 1));
        assert!(handler.largest() > 4.9e6 && handler.largest() < most, "{}", handler.largest());
        assert!(queue.largest() > 2.9e6, "{}", queue.largest());
        assert_eq!(handler.quantile(0.999), handler.largest());
        assert_eq!((handler.at_most(4e6), handler.at_most(1e12)), (0, 1));
    }
}
