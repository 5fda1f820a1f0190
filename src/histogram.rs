//! Histograms that one thread or device writes and anybody reads, without a lock: the host's half of
//! `include/ringkernel/device/histogram.h`, which says how buckets are laid out.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits below the highest that tell buckets apart.
const BITS: u32 = 3;
const STEPS: usize = 1 << BITS;
/// Buckets of a histogram.
pub const BUCKETS: usize = 304;
const LIMIT: u64 = (1 << 40) - 1;

/// `rk_histogram`. Zeros are an empty one.
#[repr(C)]
pub struct Histogram {
    sum: AtomicU64,
    largest: AtomicU64,
    reserved: [u64; 6],
    buckets: [AtomicU64; BUCKETS],
}

/// The bucket of a value.
#[inline]
pub fn index(value: u64) -> usize {
    let value = value.min(LIMIT);
    if value < STEPS as u64 {
        return value as usize;
    }
    let power = value.ilog2();
    (power - BITS + 1) as usize * STEPS + (value >> (power - BITS)) as usize % STEPS
}

/// The smallest value of a bucket.
pub fn lowest(index: usize) -> u64 {
    match index / STEPS {
        0 => index as u64,
        power => ((STEPS + index % STEPS) as u64) << (power - 1),
    }
}

/// The largest value of a bucket.
fn highest(index: usize) -> u64 {
    lowest(index + 1) - 1
}

impl Histogram {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            sum: AtomicU64::new(0),
            largest: AtomicU64::new(0),
            reserved: [0; 6],
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }

    /// Counts a value. For the one thread that writes this histogram.
    pub fn record(&self, value: u64) {
        // Relaxed loads and stores, not read-modify-writes: nobody else writes, and readers need no order among these.
        let add = |to: &AtomicU64, by: u64| to.store(to.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        add(&self.sum, value);
        if value > self.largest.load(Ordering::Relaxed) {
            self.largest.store(value, Ordering::Relaxed);
        }
        add(&self.buckets[index(value)], 1);
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// What histograms held at some moment.
#[derive(Clone)]
pub(crate) struct Distribution {
    sum: u64,
    largest: u64,
    buckets: Box<[u64; BUCKETS]>,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { sum: 0, largest: 0, buckets: Box::new([0; BUCKETS]) }
    }
}

impl Distribution {
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        // Relaxed: see `record`. A value that is being recorded may be in the sum and not yet in its bucket.
        self.sum = self.sum.wrapping_add(histogram.sum.load(Ordering::Relaxed));
        self.largest = self.largest.max(histogram.largest.load(Ordering::Relaxed));
        for (to, from) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *to += from.load(Ordering::Relaxed);
        }
    }

    /// Without what was there before. The largest value is then that of the bucket, as it is not known when it came.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut now = self.clone();
        now.sum = self.sum.wrapping_sub(earlier.sum);
        for (bucket, before) in now.buckets.iter_mut().zip(earlier.buckets.iter()) {
            *bucket = bucket.saturating_sub(*before);
        }
        now
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    pub(crate) fn largest(&self) -> u64 {
        self.largest
    }

    /// The value that a share `q` of all are not above; no more than an eighth too large. Zero if there are none.
    pub(crate) fn quantile(&self, q: f64) -> u64 {
        let rank = ((q * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest(index).min(self.largest);
            }
        }
        0
    }

    /// How many are at most `limit`, as far as buckets tell.
    pub(crate) fn at_most(&self, limit: f64) -> u64 {
        let below = self.buckets.iter().enumerate().take_while(|(index, _)| highest(*index) as f64 <= limit);
        below.map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_meet() {
        assert_eq!(lowest(0), 0);
        assert_eq!(index(u64::MAX), BUCKETS - 1);
        assert_eq!(highest(BUCKETS - 1), LIMIT);
        for bucket in 0..BUCKETS {
            assert_eq!(index(lowest(bucket)), bucket);
            assert_eq!(index(highest(bucket)), bucket);
            assert!(highest(bucket) - lowest(bucket) <= lowest(bucket) / 8);
        }
    }

    fn of(values: &[u64]) -> Distribution {
        let histogram = Histogram::new();
        values.iter().for_each(|value| histogram.record(*value));
        let mut distribution = Distribution::default();
        distribution.add(&histogram);
        distribution
    }

    proptest! {
        #[test]
        fn quantiles_are_near(mut values in prop::collection::vec(0..1u64 << 40, 1..400), q in 0.0..1.0f64) {
            let all = of(&values);
            values.sort_unstable();
            let exact = values[((q * values.len() as f64).ceil() as usize).max(1) - 1];
            let found = all.quantile(q);
            prop_assert!(found >= exact && found - exact <= exact / 8, "{found} for {exact}");
            prop_assert_eq!(all.count(), values.len() as u64);
            prop_assert_eq!(all.sum(), values.iter().sum::<u64>());
            prop_assert_eq!(all.largest(), values[values.len() - 1]);
            prop_assert_eq!(all.quantile(1.0), all.largest());
            prop_assert_eq!(all.at_most(f64::MAX), all.count());
        }

        #[test]
        fn differences(before in prop::collection::vec(0..1u64 << 20, 0..50), after in prop::collection::vec(0..1u64 << 20, 1..50)) {
            let both: Vec<u64> = before.iter().chain(&after).copied().collect();
            let since = of(&both).since(&of(&before));
            prop_assert_eq!(since.count(), after.len() as u64);
            prop_assert_eq!(since.sum(), after.iter().sum::<u64>());
            let found = since.quantile(0.5);
            let expected = of(&after).quantile(0.5);
            prop_assert!(found >= expected && found <= expected + expected / 8);
        }
    }

    #[test]
    fn nothing_is_zero() {
        let nothing = Distribution::default();
        assert_eq!((nothing.count(), nothing.quantile(0.99), nothing.largest(), nothing.at_most(1e9)), (0, 0, 0, 0));
    }
}
