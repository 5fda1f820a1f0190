//! The hybrid logical clock: Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks", OPODIS 2014.
//!
//! A stamp is 64 bits: physical time in units of 2^-24 s since 1970 (56 bits), then a logical count (8 bits). The paper's
//! rules "the larger of the physical times; count up when it stands still" become, on the packed number, "the larger of
//! physical time and last stamp plus one": a count that overflows carries into the physical part, which then runs ahead of
//! real time by that unit, as the paper's bound allows.

use crate::align::Aligned;
use crate::bias::{Biased, Section};
use crate::wall::wall;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits of the logical count.
const LOGICAL_BITS: u32 = 8;

/// Physical time now, as a stamp with a count of zero.
#[inline(always)]
pub(crate) fn physical() -> u64 {
    wall().now() << LOGICAL_BITS
}

/// The stamp `ns` nanoseconds from now. For those who have a deadline, which are few.
#[cold]
pub(crate) fn deadline_from_now(ns: u64) -> u64 {
    deadline(physical(), ns)
}

/// The stamp after which a message that may wait `ns` nanoseconds is late. Never zero.
pub(crate) fn deadline(now: u64, ns: u64) -> u64 {
    let units = crate::wall::units(ns);
    now.saturating_add(units.saturating_mul(1 << LOGICAL_BITS)).max(1)
}

/// The clock that a runtime's host threads share.
#[derive(Default)]
pub(crate) struct Clock {
    /// The last stamp given.
    last: Aligned<Biased>,
    /// The latest stamp of a message that arrived: apart, for who receives is often not who sends.
    merged: Aligned<AtomicU64>,
}

impl Clock {
    /// One stamp, larger than every one before.
    #[inline(always)]
    pub(crate) fn tick(&self, me: &'static Section) -> u64 {
        self.reserve(me, 1)
    }

    /// `count` consecutive stamps, of which the first is given.
    #[inline(always)]
    pub(crate) fn reserve(&self, me: &'static Section, count: u64) -> u64 {
        // Relaxed: that stamps grow along cause and effect needs no ordering of other memory: whoever learns of a stamp
        // learned it through something that synchronises, or merges it.
        let least = physical().max(self.merged.load(Ordering::Relaxed) + 1);
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
        if self.merged.load(Ordering::Relaxed) < stamp {
            self.merged.fetch_max(stamp, Ordering::Relaxed);
        }
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
#[derive(Default)]
pub(crate) struct WorkerClock {
    last: u64,
}

impl WorkerClock {
    /// Catches up with physical time.
    #[inline]
    pub(crate) fn refresh(&mut self) {
        self.last = self.last.max(physical());
    }

    /// The stamp of receiving a message that was sent at `stamp`.
    #[inline]
    pub(crate) fn receive(&mut self, stamp: u64) -> u64 {
        self.last = self.last.max(stamp) + 1;
        self.last
    }

    /// The stamp of sending a message.
    #[inline]
    pub(crate) fn tick(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins;
    use std::collections::HashSet;

    #[test]
    fn unique_and_growing_under_threads() {
        let clock = Clock::default();
        let stamps: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..50_000).map(|_| clock.tick(pins::section())).collect())).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        for thread in &stamps {
            assert!(thread.windows(2).all(|pair| pair[0] < pair[1]));
        }
        let all: HashSet<u64> = stamps.iter().flatten().copied().collect();
        assert_eq!(all.len(), 200_000);
    }

    #[test]
    fn merges() {
        let clock = Clock::default();
        let far = clock.tick(pins::section()) + (1 << 40);
        clock.merge(far);
        assert!(clock.tick(pins::section()) > far);
        clock.merge(1);
        assert!(clock.tick(pins::section()) > far);
        let mut worker = WorkerClock::default();
        assert_eq!(worker.receive(far), far + 1);
        worker.refresh();
        assert!(worker.tick() > far + 1);
    }

    #[test]
    fn deadlines() {
        assert_eq!(deadline(0, 1_000_000_000), 1 << 32);
        assert_eq!(deadline(5, u64::MAX / 2).checked_sub(5).map(|d| d > 1 << 60), Some(true));
        assert_eq!(deadline(u64::MAX - 1, 1_000_000_000), u64::MAX);
        assert_eq!(deadline(0, 0), 1);
    }
}
