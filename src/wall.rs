//! Physical time for the hybrid logical clock: units of 2^-24 s since 1970, cheap enough to ask for at every message.
//!
//! `CLOCK_MONOTONIC` plus the offset to the wall clock that was found first, so that stepping the wall clock moves nothing.
//! Between two readings of it, at least a millisecond apart, the time stamp counter interpolates: 13 ns against 32 ns for
//! `clock_gettime` on the machine this was measured on. Processors whose counter is not invariant always ask the system.

use std::arch::x86_64::{__cpuid, _rdtsc};
use std::sync::atomic::{fence, AtomicBool, AtomicU64, Ordering};
use std::sync::OnceLock;

/// Units in a second.
const PER_SECOND: u64 = 1 << 24;
/// How long an anchor is trusted, and the least time between the two that a rate is taken from.
const ANCHOR_NS: u64 = 1_000_000;

/// Units in so many nanoseconds, rounded up, so that a deadline is never early.
pub(crate) fn units(ns: u64) -> u64 {
    (u128::from(ns) * u128::from(PER_SECOND)).div_ceil(1_000_000_000) as u64
}

/// The clock of this process.
pub(crate) struct Wall {
    /// Nanoseconds to add to `CLOCK_MONOTONIC` for time since 1970.
    offset: u64,
    invariant: bool,
    /// Counter and monotonic time at the start.
    start: (u64, u64),
    /// Seqlock: odd while the anchor is being changed.
    version: AtomicU64,
    anchor_tsc: AtomicU64,
    anchor_ns: AtomicU64,
    /// The same in units since 1970.
    anchor_units: AtomicU64,
    /// Units in a tick, times 2^40. Zero: not known yet.
    rate: AtomicU64,
    /// Ticks after the anchor that it is good for. Zero, and stays so, where the counter is not invariant.
    valid: AtomicU64,
    refreshing: AtomicBool,
}

static WALL: OnceLock<Wall> = OnceLock::new();

/// The process's clock, started at the first call.
pub(crate) fn wall() -> &'static Wall {
    WALL.get_or_init(Wall::start)
}

fn system_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a place for the answer. Both clocks used exist on every Linux.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The processor's counter. Reading it takes a third of a call that sends, and what stands behind it waits for that; what is
/// made of it, and needed late, comes about while the rest goes on. So it is asked for first.
#[inline(always)]
pub(crate) fn counter() -> u64 {
    // SAFETY: every x86-64 has the counter; Linux lets user space read it unless told otherwise by prctl.
    unsafe { _rdtsc() }
}

impl Wall {
    fn start() -> Self {
        // CPUID leaf 0x8000_0007, EDX bit 8: invariant TSC.
        let invariant = __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0;
        let now = system_ns(libc::CLOCK_MONOTONIC);
        let tsc = counter();
        Self {
            offset: system_ns(libc::CLOCK_REALTIME).saturating_sub(now),
            invariant,
            start: (tsc, now),
            version: AtomicU64::new(0),
            anchor_tsc: AtomicU64::new(tsc),
            anchor_ns: AtomicU64::new(now),
            anchor_units: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            valid: AtomicU64::new(0),
            refreshing: AtomicBool::new(false),
        }
    }

    /// A counter for short times, cheaper than [`now`](Self::now) and finer.
    #[inline]
    pub(crate) fn ticks(&self) -> u64 {
        if self.invariant {
            counter()
        } else {
            system_ns(libc::CLOCK_MONOTONIC)
        }
    }

    /// Nanoseconds in a tick, in the mean since the start.
    pub(crate) fn tick_ns(&self) -> f64 {
        if !self.invariant {
            return 1.0;
        }
        let ns = system_ns(libc::CLOCK_MONOTONIC).saturating_sub(self.start.1);
        ns as f64 / self.ticks().saturating_sub(self.start.0).max(1) as f64
    }

    /// This moment: ticks, and nanoseconds since 1970.
    pub(crate) fn instant(&self) -> (u64, u64) {
        // Between two readings of the counter, since we may be interrupted anywhere: the shortest of some tries.
        let read = || {
            let before = self.ticks();
            let ns = system_ns(libc::CLOCK_MONOTONIC);
            let taken = self.ticks().wrapping_sub(before);
            (taken, before + taken / 2, ns)
        };
        let (_, ticks, ns) = (0..4).map(|_| read()).min().unwrap_or_else(read);
        (ticks, ns + self.offset)
    }

    /// Now, in units since 1970. May step back by a microsecond or so; the hybrid clock does not.
    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        self.at(counter())
    }

    /// The same at a reading of the [`counter`] of just now.
    #[inline(always)]
    pub(crate) fn at(&self, counter: u64) -> u64 {
        self.interpolated(counter).unwrap_or_else(|| self.to_units(self.refresh()))
    }

    fn to_units(&self, ns: u64) -> u64 {
        let ns = ns + self.offset;
        // ns * 2^24 / 10^9 without 128 bits, which cost 20 ns: by 2^93 / 10^9, which fits 64 bits.
        const FACTOR: u64 = ((1u128 << 93) / 1_000_000_000) as u64;
        ((u128::from(ns) * u128::from(FACTOR)) >> 69) as u64
    }

    #[inline(always)]
    fn interpolated(&self, tsc: u64) -> Option<u64> {
        // Acquire: pairs with the Release that ends a change, below in `refresh`.
        let version = self.version.load(Ordering::Acquire);
        let anchor_tsc = self.anchor_tsc.load(Ordering::Relaxed);
        let anchor = self.anchor_units.load(Ordering::Relaxed);
        let rate = self.rate.load(Ordering::Relaxed);
        let valid = self.valid.load(Ordering::Relaxed);
        // Acquire fence: the four loads above come before the one below; pairs with the Release fence in `refresh`.
        fence(Ordering::Acquire);
        let ticks = tsc.wrapping_sub(anchor_tsc);
        (ticks < valid && version % 2 == 0 && self.version.load(Ordering::Relaxed) == version)
            .then(|| anchor + ((ticks * rate) >> 40))
    }

    /// Asks the system, and moves the anchor if it is old.
    #[cold]
    fn refresh(&self) -> u64 {
        let now = system_ns(libc::CLOCK_MONOTONIC);
        // Acquire/Release on `refreshing`: the anchor is changed by one thread after the other.
        if self.invariant && !self.refreshing.swap(true, Ordering::Acquire) {
            let tsc = counter();
            let ns = now.saturating_sub(self.anchor_ns.load(Ordering::Relaxed));
            let ticks = tsc.wrapping_sub(self.anchor_tsc.load(Ordering::Relaxed));
            if ns >= ANCHOR_NS && ticks > 0 {
                // ns / ticks * 2^24 / 10^9 units in a tick.
                let rate = ((u128::from(ns) << 64) / (u128::from(ticks) * 1_000_000_000)) as u64;
                let version = self.version.load(Ordering::Relaxed);
                self.version.store(version + 1, Ordering::Relaxed);
                // Release fence: whoever sees a value stored below sees the odd version.
                fence(Ordering::Release);
                self.anchor_tsc.store(tsc, Ordering::Relaxed);
                self.anchor_ns.store(now, Ordering::Relaxed);
                self.anchor_units.store(self.to_units(now), Ordering::Relaxed);
                self.rate.store(rate, Ordering::Relaxed);
                // At most as long as a counter of 10 GHz: a rate that is off, because the machine was asleep or moved and
                // only one of the clocks went on, mends itself.
                let valid = u128::from(ANCHOR_NS) * u128::from(ticks) / u128::from(ns);
                self.valid.store((valid as u64).min(10 * ANCHOR_NS), Ordering::Relaxed);
                self.version.store(version + 2, Ordering::Release);
            }
            self.refreshing.store(false, Ordering::Release);
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_time() {
        assert_eq!(units(1_000_000_000), PER_SECOND);
        assert_eq!(units(1), 1);
        assert_eq!(units(0), 0);
        let wall = Wall { offset: 0, ..Wall::start() };
        for ns in [0u64, 1, 59, 60, 1_000_000_000, 1_800_000_000_123_456_789] {
            let exact = (u128::from(ns) * u128::from(PER_SECOND) / 1_000_000_000) as u64;
            assert!(wall.to_units(ns).abs_diff(exact) <= 1, "{ns}");
        }
    }

    #[test]
    fn follows_the_system_clock() {
        let wall = Wall::start();
        let end = system_ns(libc::CLOCK_MONOTONIC) + 20_000_000;
        let mut interpolated = 0;
        loop {
            let before = system_ns(libc::CLOCK_MONOTONIC);
            let now = wall.interpolated(counter());
            let after = system_ns(libc::CLOCK_MONOTONIC);
            match now {
                // Some slack for the error of the rate: below a microsecond, but where a virtual machine's host interrupts the
                // readings that it is taken from, it was seen to be 1.07.
                Some(now) => {
                    interpolated += 1;
                    let (before, after) = (wall.to_units(before), wall.to_units(after));
                    assert!(now + units(2_000) >= before && now <= after + units(2_000), "{before} {now} {after}");
                }
                None => {
                    wall.refresh();
                }
            }
            if after > end {
                break;
            }
        }
        assert!(!wall.invariant || interpolated > 0);
    }
}
