//! What becomes of an actor whose handler fails.

/// By what a restart is counted: an actor's, kept beside its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Restarts {
    /// Since the window began.
    pub(crate) count: u32,
    /// When that was, in the unit of windows, modulo 2^32.
    pub(crate) since: u32,
}

/// A kernel's policy. Devices have the same, see `rk_dev_kernel`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Supervision {
    /// Restarts of one actor within a window, after which it fails for good. 0: it is never restarted.
    pub(crate) restarts: u32,
    /// Length of a window, in 2^-10 s.
    pub(crate) window: u32,
    /// An actor that fails for good takes the kernel with it.
    pub(crate) escalates: bool,
    /// Actors are restarted with what they were in the last snapshot, which is kept for that.
    pub(crate) keeps: bool,
}

/// Of a stamp, whose unit is 2^-32 s, to the unit of windows.
const SHIFT: u32 = 22;

impl Supervision {
    /// Windows of so many milliseconds.
    pub(crate) fn new(restarts: u32, window_ms: u32, escalates: bool, keeps: bool) -> Self {
        let window = (u64::from(window_ms) << 10).div_ceil(1000);
        Self { restarts, window: u32::try_from(window).unwrap_or(u32::MAX), escalates, keeps }
    }

    /// Whether the actor whose handler failed at `stamp` is restarted; counts it if so.
    pub(crate) fn restarts(&self, restarts: &mut Restarts, stamp: u64) -> bool {
        let now = (stamp >> SHIFT) as u32;
        if restarts.count == 0 || now.wrapping_sub(restarts.since) > self.window {
            *restarts = Restarts { count: 0, since: now };
        }
        let again = restarts.count < self.restarts;
        restarts.count += u32::from(again);
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << 32;

    #[test]
    fn within_the_window() {
        let policy = Supervision::new(3, 5000, false, false);
        assert_eq!(policy.window, 5120);
        let mut restarts = Restarts::default();
        // Near where the unit of windows wraps.
        let start = (1 << 54) - SECOND;
        let failing = |restarts: &mut Restarts, at: u64| policy.restarts(restarts, start + at);
        assert!((0..3).all(|second| failing(&mut restarts, second * SECOND)));
        assert!(!failing(&mut restarts, 3 * SECOND));
        assert!(!failing(&mut restarts, 5 * SECOND));
        // The window began with the first of them.
        assert!((0..3).all(|_| failing(&mut restarts, 5 * SECOND + SECOND / 512)));
        assert!(!failing(&mut restarts, 6 * SECOND));
    }

    #[test]
    fn never() {
        let mut restarts = Restarts::default();
        assert!(!Supervision::default().restarts(&mut restarts, 7 * SECOND));
        assert_eq!(Supervision::new(u32::MAX, u32::MAX, true, true).window, u32::MAX);
    }
}
