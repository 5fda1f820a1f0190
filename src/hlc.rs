//! The hybrid logical clock: Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks", OPODIS 2014.
//!
//! A stamp is 64 bits: physical time in units of 2^-24 s since 1970 (56 bits), then a logical count (8 bits). The paper's
//! rules "the larger of the physical times; count up when it stands still" become, on the packed number, "the larger of
//! physical time and last stamp plus one": a count that overflows carries into the physical part, which then runs ahead of
//! real time by that unit, as the paper's bound allows.
//!
//! A clock follows what it receives, so one that is wrong would drag all others along. Each has a bound: stamps from outside
//! that are further ahead of physical time are refused, and of those that messages bring only the bound is believed.

use crate::align::Aligned;
use crate::bias::{Biased, Inside, Section};
use crate::error::{Error, Result};
use crate::wall::wall;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Bits of the logical count.
const LOGICAL_BITS: u32 = 8;

/// Physical time now, as a stamp with a count of zero.
#[inline(always)]
pub(crate) fn physical() -> u64 {
    wall().now() << LOGICAL_BITS
}

/// The same at a reading of the processor's counter of just now.
#[inline(always)]
pub(crate) fn physical_at(counter: u64) -> u64 {
    wall().at(counter) << LOGICAL_BITS
}

/// The stamp `ns` nanoseconds from now; 0, which is no deadline, for none.
#[inline(always)]
pub(crate) fn deadline_from_now(ns: u64) -> u64 {
    // For those who have one, which are few.
    #[cold]
    fn some(ns: u64) -> u64 {
        deadline(physical(), ns)
    }
    match ns {
        0 => 0,
        ns => some(ns),
    }
}

/// The stamp after which a message that may wait `ns` nanoseconds is late. Never zero.
pub(crate) fn deadline(now: u64, ns: u64) -> u64 {
    let units = crate::wall::units(ns);
    now.saturating_add(units.saturating_mul(1 << LOGICAL_BITS)).max(1)
}

/// Nanoseconds until that stamp, for [`deadline_from_now`]: at least one, for none are no deadline, as a stamp of zero is.
#[cold]
pub(crate) fn until_deadline(stamp: u64) -> u64 {
    match stamp {
        0 => 0,
        _ => unix_ns(stamp).saturating_sub(unix_ns(physical())).max(1),
    }
}

/// Units of physical time since a stamp.
pub(crate) fn units_since(stamp: u64) -> u64 {
    wall().now().saturating_sub(stamp >> LOGICAL_BITS)
}

/// The logical count of a stamp.
pub(crate) fn logical(stamp: u64) -> u32 {
    (stamp & ((1 << LOGICAL_BITS) - 1)) as u32
}

/// The physical time of a stamp, in nanoseconds since 1970, rounded down. Below 2^62.
pub(crate) fn unix_ns(stamp: u64) -> u64 {
    ((u128::from(stamp >> LOGICAL_BITS) * 1_000_000_000) >> 24) as u64
}

/// The first stamp whose physical time is not before that. The last stamp of all, if it would be later (in 2106).
pub(crate) fn from_unix_ns(ns: u64) -> u64 {
    // The units of 2^64 ns fit 59 bits.
    crate::wall::units(ns).saturating_mul(1 << LOGICAL_BITS)
}

/// A stamp for people: RFC 3339 in UTC to the nanosecond, then the logical count.
pub(crate) fn text(stamp: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns(stamp));
    format!("{}/{}", humantime::format_rfc3339_nanos(time), logical(stamp))
}

/// 36 years before the last one.
const LAST_BELIEVED: u64 = u64::MAX - (1 << 60);

/// How far ahead of physical time a clock lets itself be taken by others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drift {
    /// In the unit of stamps; so many are no bound.
    bound: u64,
}

impl Drift {
    pub(crate) fn of(bound: Duration) -> Self {
        let ns = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Self { bound: crate::wall::units(ns).saturating_mul(1 << LOGICAL_BITS) }
    }

    pub(crate) const NONE: Self = Self { bound: u64::MAX };

    /// The largest stamp that is believed now, whatever the bound: a clock that has been taken further would come to its end.
    pub(crate) fn limit(self) -> u64 {
        physical().saturating_add(self.bound).min(LAST_BELIEVED)
    }
}

/// The clock that a runtime's host threads share.
pub(crate) struct Clock {
    /// The last stamp given.
    last: Aligned<Biased>,
    /// The latest stamp of a message that arrived: apart, for who receives is often not who sends.
    merged: Aligned<AtomicU64>,
    drift: Drift,
    /// A limit as it was some time ago, so that physical time is asked for only when a stamp is above.
    limit: AtomicU64,
    /// Messages whose stamps were above it.
    limited: AtomicU64,
}

impl Clock {
    pub(crate) fn new(drift: Drift) -> Self {
        Self {
            last: Aligned::default(),
            merged: Aligned::default(),
            drift,
            limit: AtomicU64::new(0),
            limited: AtomicU64::new(0),
        }
    }

    /// For those of the runtime's workers.
    pub(crate) fn drift(&self) -> Drift {
        self.drift
    }

    /// Messages received whose stamps were further ahead than the bound.
    pub(crate) fn limited(&self) -> u64 {
        self.limited.load(Ordering::Relaxed)
    }

    /// A stamp came from outside the runtime: later stamps are larger. The next one is given. Refused if it is further
    /// ahead than the bound.
    pub(crate) fn observe(&self, me: &'static Section, stamp: u64) -> Result<u64> {
        if stamp > self.drift.limit() {
            let time = |stamps: u64| Duration::from_nanos(unix_ns(stamps));
            let now = physical();
            let bound = self.drift.bound.min(LAST_BELIEVED.saturating_sub(now));
            return Err(Error::Drift { ahead: time(stamp.saturating_sub(now)), bound: time(bound) });
        }
        self.merged.fetch_max(stamp, Ordering::Relaxed);
        Ok(self.tick(me))
    }

    /// One stamp, larger than every one before.
    #[inline(always)]
    pub(crate) fn tick(&self, me: &'static Section) -> u64 {
        self.reserve(me, 1)
    }

    /// One stamp, if the thread whose section this is owns the clock. `now`: [`physical`] time of not long ago.
    #[inline(always)]
    pub(crate) fn tick_owned(&self, inside: &Inside<'_>, now: u64) -> Option<u64> {
        let least = self.not_before(now);
        let ticked = self.last.update_owned(inside, |last| Ok::<_, Infallible>(least.max(last + 1)));
        ticked.map(|Ok(last)| least.max(last + 1))
    }

    /// What a stamp that is given at `now` is not below.
    #[inline(always)]
    fn not_before(&self, now: u64) -> u64 {
        // Relaxed: that stamps grow along cause and effect needs no ordering of other memory: whoever learns of a stamp
        // learned it through something that synchronises, or merges it.
        now.max(self.merged.load(Ordering::Relaxed) + 1)
    }

    /// `count` consecutive stamps, of which the first is given.
    #[inline(always)]
    pub(crate) fn reserve(&self, me: &'static Section, count: u64) -> u64 {
        let least = self.not_before(physical());
        let mut first = 0;
        let Ok(_) = self.last.update(me, |last| {
            first = least.max(last + 1);
            Ok::<_, Infallible>(first + count - 1)
        });
        first
    }

    /// A message with this stamp arrived: later stamps are larger.
    #[inline]
    pub(crate) fn merge(&self, stamp: u64) {
        // Relaxed, all: see `reserve`; a limit that is out of date is only lower.
        if stamp > self.limit.load(Ordering::Relaxed) {
            return self.merge_limited(stamp);
        }
        if self.merged.load(Ordering::Relaxed) < stamp {
            self.merged.fetch_max(stamp, Ordering::Relaxed);
        }
    }

    #[cold]
    fn merge_limited(&self, stamp: u64) {
        let limit = self.drift.limit();
        self.limit.store(limit, Ordering::Relaxed);
        if stamp > limit {
            self.limited.fetch_add(1, Ordering::Relaxed);
        }
        self.merged.fetch_max(stamp.min(limit), Ordering::Relaxed);
    }

    /// A stamp of an event that no host thread caused, larger than all before it. Not `last`'s, which belongs to a host
    /// thread: it is as if a message had brought it.
    pub(crate) fn witness(&self) -> u64 {
        let known = self.last.load(Ordering::Relaxed).max(physical());
        // Relaxed: as in `reserve`.
        self.merged.fetch_max(known, Ordering::Relaxed);
        self.merged.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The clock of one worker; the same rules for one thread.
pub(crate) struct WorkerClock {
    last: u64,
    drift: Drift,
    /// As in [`Clock`].
    limit: u64,
}

impl WorkerClock {
    pub(crate) fn new(drift: Drift) -> Self {
        Self { last: 0, drift, limit: 0 }
    }

    /// Catches up with physical time.
    #[inline]
    pub(crate) fn refresh(&mut self) {
        self.last = self.last.max(physical());
    }

    /// The stamp of receiving a message that was sent at `stamp`.
    #[inline]
    pub(crate) fn receive(&mut self, stamp: u64) -> u64 {
        let believed = if stamp > self.limit { self.limited(stamp) } else { stamp };
        self.last = self.last.max(believed) + 1;
        self.last
    }

    #[cold]
    fn limited(&mut self, stamp: u64) -> u64 {
        self.limit = self.drift.limit();
        stamp.min(self.limit)
    }

    /// What [`tick`](Self::tick) will give.
    pub(crate) fn next(&self) -> u64 {
        self.last + 1
    }

    /// The stamp of sending a message.
    #[inline]
    pub(crate) fn tick(&mut self) -> u64 {
        self.last = self.next();
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins;
    use proptest::prelude::*;

    const SECOND: u64 = 1 << 32;

    fn clock() -> Clock {
        Clock::new(Drift::of(Duration::from_secs(1)))
    }

    /// Eight threads tick a million times each. All stamps differ: every thread's grow, so merging the lists finds doubles.
    #[test]
    fn unique_and_growing_under_threads() {
        const THREADS: usize = 8;
        const EACH: usize = 1_000_000;
        let clock = clock();
        let mut stamps: Vec<u64> = std::thread::scope(|scope| {
            let tick = || (0..EACH).map(|_| clock.tick(pins::section())).collect::<Vec<_>>();
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(tick)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(stamps.len(), THREADS * EACH);
        assert!(stamps.chunks(EACH).all(|thread| thread.windows(2).all(|pair| pair[0] < pair[1])));
        stamps.sort_unstable();
        assert!(stamps.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn merges() {
        let clock = clock();
        let ahead = clock.tick(pins::section()) + SECOND / 2;
        clock.merge(ahead);
        assert!(clock.tick(pins::section()) > ahead);
        clock.merge(1);
        assert!(clock.tick(pins::section()) > ahead);
        let mut worker = WorkerClock::new(clock.drift());
        assert_eq!(worker.receive(ahead), ahead + 1);
        worker.refresh();
        assert!(worker.tick() > ahead + 1);
    }

    #[test]
    fn clocks_that_run_ahead_are_not_followed() {
        let clock = clock();
        let now = clock.tick(pins::section());
        let wrong = now + 3600 * SECOND;
        match clock.observe(pins::section(), wrong) {
            Err(Error::Drift { ahead, bound }) => {
                assert!(ahead > Duration::from_secs(3590) && ahead <= Duration::from_secs(3600), "{ahead:?}");
                assert_eq!(bound, Duration::from_secs(1));
            }
            other => panic!("{other:?}"),
        }
        assert!(clock.tick(pins::section()) < now + SECOND);
        assert_eq!(clock.limited(), 0);
        clock.merge(wrong);
        let after = clock.tick(pins::section());
        assert!(after > now + SECOND && after < now + 60 * SECOND);
        assert_eq!(clock.limited(), 1);
        let stamp = WorkerClock::new(clock.drift()).receive(wrong);
        assert!(stamp > now + SECOND && stamp < now + 60 * SECOND);
        let near = now + SECOND / 2;
        assert!(clock.observe(pins::section(), near).expect("within the bound") > near);

        let trusting = Clock::new(Drift::NONE);
        assert!(trusting.observe(pins::section(), wrong).expect("no bound") > wrong);
        assert_eq!(WorkerClock::new(Drift::NONE).receive(wrong), wrong + 1);
    }

    #[test]
    fn deadlines() {
        assert_eq!(deadline(0, 1_000_000_000), 1 << 32);
        assert_eq!(deadline(5, u64::MAX / 2).checked_sub(5).map(|d| d > 1 << 60), Some(true));
        assert_eq!(deadline(u64::MAX - 1, 1_000_000_000), u64::MAX);
        assert_eq!(deadline(0, 0), 1);
        assert_eq!((until_deadline(0), until_deadline(1)), (0, 1));
        let left = until_deadline(deadline_from_now(3_600_000_000_000));
        assert!(left <= 3_600_000_000_060 && left > 3_000_000_000_000);
    }

    #[test]
    fn texts() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000000000Z/0");
        assert_eq!(text(1_000_000_000 * SECOND + SECOND / 2 + 255), "2001-09-09T01:46:40.500000000Z/255");
        assert_eq!(text(u64::MAX), "2106-02-07T06:28:15.999999940Z/255");
    }

    proptest! {
        #[test]
        fn times_there_and_back(ns in 0..4_294_967_295_000_000_000u64, count in 0..256u64) {
            let stamp = from_unix_ns(ns);
            prop_assert!(unix_ns(stamp) - ns < 60);
            prop_assert_eq!(from_unix_ns(unix_ns(stamp)), stamp);
            prop_assert!(stamp == 0 || unix_ns(stamp - 256) < ns);
            prop_assert_eq!(logical(stamp + count), count as u32);
            prop_assert_eq!(unix_ns(stamp + count), unix_ns(stamp));
        }

        #[test]
        fn times_out_of_range(ns in 4_294_967_296_000_000_000u64..) {
            prop_assert_eq!(from_unix_ns(ns), u64::MAX);
        }
    }
}
