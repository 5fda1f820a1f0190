//! The hybrid logical clock: Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks", OPODIS 2014.
//!
//! A stamp is 64 bits: physical time in units of 2^-24 s since 1970 (56 bits), then a logical count (8 bits). The paper's
//! rules "the larger of the physical times; count up when it stands still" become, on the packed number, "the larger of
//! physical time and last stamp plus one": a count that overflows carries into the physical part, which then runs ahead of
//! real time by that unit, as the paper's bound allows.

use crate::align::Aligned;
use crate::wall::wall;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits of the logical count.
const LOGICAL_BITS: u32 = 8;

/// Physical time now, as a stamp with a count of zero.
#[inline]
pub(crate) fn physical() -> u64 {
    wall().now() << LOGICAL_BITS
}

/// The stamp after which a message that may wait `ns` nanoseconds is late. Never zero.
pub(crate) fn deadline(now: u64, ns: u64) -> u64 {
    let units = crate::wall::units(ns);
    now.saturating_add(units.saturating_mul(1 << LOGICAL_BITS)).max(1)
}

/// The clock that a runtime's host threads share.
#[derive(Default)]
pub(crate) struct Clock {
    last: Aligned<AtomicU64>,
}

impl Clock {
    /// One stamp, larger than every one before.
    #[inline]
    pub(crate) fn tick(&self) -> u64 {
        self.reserve(1)
    }

    /// `count` consecutive stamps, of which the first is given.
    #[inline]
    pub(crate) fn reserve(&self, count: u64) -> u64 {
        let physical = physical();
        // Relaxed: the stamps are unique by the exchange alone. That they grow along cause and effect needs no ordering of
        // other memory: whoever learns of a stamp learned it through something that synchronises, or merges it.
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let first = physical.max(last + 1);
            match self.last.compare_exchange_weak(last, first + count - 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return first,
                Err(now) => last = now,
            }
        }
    }

    /// A message with this stamp arrived: later stamps are larger.
    #[inline]
    pub(crate) fn merge(&self, stamp: u64) {
        if self.last.load(Ordering::Relaxed) < stamp {
            self.last.fetch_max(stamp, Ordering::Relaxed);
        }
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
    use std::collections::HashSet;

    #[test]
    fn unique_and_growing_under_threads() {
        let clock = Clock::default();
        let stamps: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..50_000).map(|_| clock.tick()).collect())).collect();
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
        let far = clock.tick() + (1 << 40);
        clock.merge(far);
        assert!(clock.tick() > far);
        clock.merge(1);
        assert!(clock.tick() > far);
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
