//! Deadlines of waiting calls, and a cheap tick counter.

use std::time::{Duration, Instant};

/// When a waiting call gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// At once.
    Now,
    /// Then.
    At(Instant),
    /// Never.
    Never,
}

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        if time.is_zero() {
            return Self::Now;
        }
        // Further away than the clock can say is never.
        Instant::now().checked_add(time).map_or(Self::Never, Self::At)
    }

    pub(crate) fn has_passed(self) -> bool {
        match self {
            Self::Now => true,
            Self::At(at) => Instant::now() >= at,
            Self::Never => false,
        }
    }

    /// Time left; `None` is for ever.
    pub(crate) fn remaining(self) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::At(at) => Some(at.saturating_duration_since(Instant::now())),
            Self::Never => None,
        }
    }
}

/// Spins for a bounded time before a thread goes to sleep.
pub(crate) struct Spin {
    until: Option<Instant>,
    budget: Duration,
    turns: u32,
}

impl Spin {
    /// Spins for `budget`, or until `deadline` if that is sooner.
    pub(crate) fn new(budget: Duration, deadline: Deadline) -> Self {
        let budget = deadline.remaining().map_or(budget, |left| left.min(budget));
        Self { until: None, budget, turns: 0 }
    }

    /// One turn of spinning; false when the budget is used up. The clock is read every 128 turns only.
    #[inline]
    pub(crate) fn turn(&mut self) -> bool {
        std::hint::spin_loop();
        self.turns = self.turns.wrapping_add(1);
        if self.turns % 128 != 1 {
            return true;
        }
        let now = Instant::now();
        now < *self.until.get_or_insert(now + self.budget)
    }

    /// There was work: the budget is whole again.
    pub(crate) fn reset(&mut self) {
        self.until = None;
        self.turns = 0;
    }
}
