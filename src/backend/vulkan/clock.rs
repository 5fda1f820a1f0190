//! What the clock that shaders read says in the host's time. Vulkan tells neither how long its ticks are nor since when it counts.
//!
//! Every submission that measures brackets it: its first reading is made after the host submitted, the last before the host sees
//! that all workers have left. As between two hosts (NTP), what of the host's time was not spent on the device bounds the error.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Units of 2^-32 s, in which stamps count.
const fn units(ms: u64) -> u64 {
    (ms << 32) / 1000
}

/// Between the two readings that the length of a tick is taken from first, at least; and so many times their errors.
const SHORTEST: u64 = units(10);
const EXACT: u64 = 64;
/// How old the older of the two becomes: half of it, then it is replaced, so that what was wrong once mends itself.
const HALF: u64 = units(30_000);
/// A reading is not good for longer than the device's arithmetic allows.
pub(super) const LONGEST: u64 = units(60_000);
/// How much faster than was measured the clock may go. That much a reading may drift to where the host saw the workers leave,
/// which is truer than where it submitted them: it sees that sooner than a device begins.
const DRIFT: f64 = 1.0 / 65_536.0;
/// Clocks are of 64 bits, but not all: those of Mesa's llvmpipe (22.3 and 25) count nanoseconds in 32.
const NARROW: u64 = u32::MAX as u64;

/// A submission, seen from both sides: by the host's clock when it was made and when it was seen to have ended, by the device's when
/// it began and when it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) submitted: u64,
    pub(super) began: u64,
    pub(super) left: u64,
    pub(super) seen: u64,
}

/// A moment by both clocks: ticks, and units of 2^-32 s since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) ticks: u64,
    pub(super) time: u64,
}

/// Its readings' ticks go on where a narrow clock begins again.
#[derive(Clone, Copy)]
struct Watch {
    /// The bits of the clock.
    mask: u64,
    first: Reading,
    /// The next `first`.
    half: Reading,
    last: Reading,
    /// Within which the first one is known.
    error: u64,
    /// Units in a tick; 0: not known yet.
    rate: f64,
}

/// A device's.
#[derive(Default)]
pub(super) struct Clock(Mutex<Option<Watch>>);

impl Clock {
    fn lock(&self) -> MutexGuard<'_, Option<Watch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Units in a tick, if that is known.
    pub(super) fn rate(&self) -> Option<f64> {
        self.lock().map(|watch| watch.rate).filter(|rate| *rate != 0.0)
    }

    /// The bits that it has, as far as that is known.
    pub(super) fn mask(&self) -> u64 {
        self.lock().map_or(u64::MAX, |watch| watch.mask)
    }

    /// A reading to go on from, if there is one that is good now: it is for as long as the clock had been watched when it was
    /// made, for so long the error of the rate adds no more than those of the readings that it is from.
    pub(super) fn reading(&self, now: u64) -> Option<Reading> {
        let watch = (*self.lock())?;
        let longest = LONGEST.min((watch.mask as f64 * watch.rate / 2.0) as u64);
        let good_for = watch.last.time.saturating_sub(watch.first.time).min(longest);
        (watch.rate != 0.0 && now.saturating_sub(watch.last.time) <= good_for).then_some(watch.last)
    }

    /// A submission has ended.
    pub(super) fn observe(&self, visit: &Visit) {
        let seen = Reading { ticks: visit.left, time: visit.seen };
        let error = visit.seen.saturating_sub(visit.submitted);
        let mask = if visit.left <= NARROW { NARROW } else { u64::MAX };
        let new = Watch { mask, first: seen, half: seen, last: seen, error, rate: 0.0 };
        let mut watch = self.lock();
        let ahead = watch.map_or(0, |known| known.ahead(visit));
        match watch.as_mut() {
            // Two kernels may be told of in another order than they left in; or the clock began anew.
            Some(known) if ahead <= 0 => {
                if visit.submitted > known.last.time {
                    *watch = Some(new);
                }
            }
            Some(known) if known.rate == 0.0 && error < known.error => *watch = Some(new),
            Some(known) => known.add(visit, ahead as u64),
            None => *watch = Some(new),
        }
    }
}

impl Watch {
    /// How many ticks the visit ended after the last one: of the numbers that its bits may stand for, the one nearest to what the
    /// host's clock makes likely.
    fn ahead(&self, visit: &Visit) -> i64 {
        let ahead = visit.left.wrapping_sub(self.last.ticks);
        if self.mask != NARROW {
            return ahead as i64;
        }
        let ahead = i64::from(ahead as u32 as i32);
        let likely = if self.rate == 0.0 { 0.0 } else { (visit.seen as f64 - self.last.time as f64) / self.rate };
        let rounds = ((likely - ahead as f64) / (NARROW + 1) as f64).round();
        ahead + ((rounds as i64) << 32)
    }

    /// A visit that ended so many ticks after the last one.
    fn add(&mut self, visit: &Visit, ahead: u64) {
        let ticks = self.last.ticks + ahead;
        let expected = self.last.time + (ahead as f64 * self.rate * (1.0 + DRIFT)) as u64;
        let stay = visit.left.wrapping_sub(visit.began) & self.mask;
        let earliest = visit.submitted + (stay as f64 * self.rate) as u64;
        let time = if self.rate == 0.0 { visit.seen } else { expected.max(earliest).min(visit.seen) };
        self.last = Reading { ticks, time };
        if time.saturating_sub(self.half.time) > HALF {
            (self.first, self.half) = (self.half, self.last);
        }
        let watched = time.saturating_sub(self.first.time);
        let errors = self.error + visit.seen.saturating_sub(visit.submitted);
        if self.rate != 0.0 || watched >= SHORTEST.max(errors * EXACT) {
            self.rate = watched as f64 / (ticks - self.first.ticks) as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = units(1000) / 1_000_000;

    /// A device whose clock has ticks of that many units.
    struct Device {
        clock: Clock,
        tick: f64,
        mask: u64,
        now: u64,
        random: u32,
    }

    impl Device {
        fn new(tick: f64) -> Self {
            Self { clock: Clock::default(), tick, mask: u64::MAX, now: 1_700_000_000 << 32, random: 1 }
        }

        fn ticks(&self) -> u64 {
            ((self.now as f64 / self.tick) as u64) & self.mask
        }

        /// Goes on by `us`, and up to so much more.
        fn pass(&mut self, us: u64, more: u64) {
            self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            self.now += us * US + u64::from(self.random >> 16) * more * US / 65_536;
        }

        /// A submission that takes from 12 to 80 us to begin, and 1 to 20 until its end is seen.
        fn visit(&mut self, us: u64) -> Visit {
            let submitted = self.now;
            self.pass(12, 68);
            let began = self.ticks();
            self.pass(us, 0);
            let left = self.ticks();
            self.pass(1, 19);
            Visit { submitted, began, left, seen: self.now }
        }

        /// How far in microseconds the host's time is off that the device now goes by.
        fn error(&self) -> f64 {
            let at = self.clock.reading(self.now).expect("not long ago");
            let ticks = self.ticks().wrapping_sub(at.ticks) & self.clock.mask();
            let since = ticks as f64 * self.clock.rate().expect("known");
            (at.time as f64 - self.now as f64 + since) / US as f64
        }
    }

    #[test]
    fn follows_a_device() {
        // 1 GHz, 2.7 GHz, 100 MHz; 1 GHz in 32 bits.
        let wide = [4.294_967_296, 1.6, 42.9].map(|tick| (tick, u64::MAX));
        for (tick, mask) in wide.into_iter().chain([(4.294_967_296, NARROW)]) {
            let mut device = Device { mask, ..Device::new(tick) };
            while device.clock.rate().is_none() {
                let visit = device.visit(3);
                device.clock.observe(&visit);
                device.pass(2000, 0);
            }
            for quantum in [10, 1000, 5000].repeat(1000) {
                let visit = device.visit(quantum);
                device.clock.observe(&visit);
                device.pass(1, 3000);
                let error = device.error();
                assert!(error.abs() < 100.0, "{error} us with ticks of {tick}");
            }
            let error = device.error();
            assert!((-2.0..25.0).contains(&error), "{error} us with ticks of {tick}");
            let rate = device.clock.rate().expect("known");
            assert!((rate / tick - 1.0).abs() < 1e-4, "{rate} is not {tick}");
            // And where it has not been watched for more than a round of a narrow one.
            device.pass(10_000_000, 0);
            let visit = device.visit(10);
            device.clock.observe(&visit);
            let error = device.error();
            assert!((-100.0..25.0).contains(&error), "{error} us with ticks of {tick}, after a rest");
            let rate = device.clock.rate().expect("known");
            assert!((rate / tick - 1.0).abs() < 1e-4, "{rate} is not {tick}, after a rest");
        }
    }

    #[test]
    fn is_not_trusted_for_longer_than_it_was_watched() {
        let mut device = Device::new(2.0);
        for _ in 0..20 {
            let visit = device.visit(3);
            device.clock.observe(&visit);
            device.pass(1000, 0);
        }
        assert!(device.clock.reading(device.now).is_some());
        device.pass(200_000, 0);
        assert_eq!(device.clock.reading(device.now), None);
        for seconds in 0..200 {
            let visit = device.visit(3);
            device.clock.observe(&visit);
            device.pass(1_000_000, 0);
            assert!(seconds < 2 || device.clock.reading(device.now).is_some());
        }
        device.pass(61_000_000, 0);
        assert_eq!(device.clock.reading(device.now), None);
    }

    #[test]
    fn visits_in_another_order_and_a_clock_that_begins_anew() {
        let mut device = Device::new(2.0);
        for _ in 0..20 {
            let (one, other) = (device.visit(3), device.visit(3));
            device.clock.observe(&other);
            let last = device.clock.reading(device.now);
            device.clock.observe(&one);
            assert_eq!(device.clock.reading(device.now), last, "one of before");
            device.pass(1000, 0);
        }
        let rate = device.clock.rate().expect("known");
        assert!((rate / device.tick - 1.0).abs() < 1e-2);
        let visit = device.visit(3);
        device.clock.observe(&Visit { began: 5, left: 6, ..visit });
        assert_eq!((device.clock.rate(), device.clock.reading(device.now)), (None, None));
    }
}
