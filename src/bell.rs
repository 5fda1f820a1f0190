//! Waking a thread that may be asleep, at almost no cost when it is not.
//!
//! Who has news stores it, then looks at the bell; who wants to sleep marks the bell, then looks for news. That is
//! Dekker's pattern and needs a full fence on both sides, some 20 ns each, which the side with news would pay for every
//! message. So the fence is asymmetric: the sleeper, who has time, makes every other thread of the process execute one
//! (`membarrier`, Linux 4.14), and the side with news needs only program order. Where `membarrier` is refused, both sides
//! fence.

use crate::sync::{fence, AtomicU32, Ordering};

/// The sleeper's half of the asymmetric fence: afterwards every other thread either sees what we stored before, or we see
/// what it had stored before its [`light`].
pub fn heavy() {
    fence(Ordering::SeqCst);
    #[cfg(not(loom))]
    if barrier::available() {
        barrier::issue();
    }
    fence(Ordering::SeqCst);
}

/// The half of the side with news, between its store and its look at the bell.
#[inline(always)]
pub fn light() {
    #[cfg(not(loom))]
    if !barrier::available() {
        whole_fence();
    }
    // Only the compiler must be held; the processor is, by `heavy`.
    #[cfg(not(loom))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

// The fence where there are no barriers; its partners are those of `heavy`. A call, so that where there are this is a comparison
// in passing.
#[cold]
#[inline(never)]
#[cfg(not(loom))]
fn whole_fence() {
    fence(Ordering::SeqCst);
}

/// Whether [`light`] costs nothing. Once true it stays true.
pub fn is_asymmetric() -> bool {
    #[cfg(not(loom))]
    return barrier::available();
    #[cfg(loom)]
    true
}

#[cfg(not(loom))]
pub(crate) mod barrier {
    use std::sync::atomic::{AtomicBool, Ordering};

    // From linux/membarrier.h.
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    static AVAILABLE: AtomicBool = AtomicBool::new(false);

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: membarrier takes no pointers and only orders memory.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Before the first bell is used; idempotent.
    pub(crate) fn register() {
        // Both commands are tried: a sandbox may allow the one and not the other. Once true it stays true, so that no
        // `light` without a fence can meet a `heavy` without a barrier. Release/Relaxed: threads get to know bells
        // through something that synchronises.
        if membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED) {
            AVAILABLE.store(true, Ordering::Release);
        }
    }

    #[inline(always)]
    pub(super) fn available() -> bool {
        AVAILABLE.load(Ordering::Relaxed)
    }

    pub(super) fn issue() {
        let done = membarrier(PRIVATE_EXPEDITED);
        debug_assert!(done, "membarrier worked when it was registered");
    }
}

/// What threads sleep on. The word is odd while somebody may be asleep, and grows with every ring, so that a ring between
/// a look and the sleep is noticed whoever else waits. It is looked at for every message: alone on its lines.
#[derive(Debug)]
#[repr(align(128))]
pub struct Bell {
    word: AtomicU32,
}

/// A mark on the bell, to sleep on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u32);

impl Default for Bell {
    fn default() -> Self {
        Self { word: AtomicU32::new(0) }
    }
}

impl Bell {
    /// Announces that we are about to sleep. Look for news after this, then [`wait`](Self::wait).
    pub fn mark(&self) -> Mark {
        let mut word = self.word.load(Ordering::Relaxed);
        // Relaxed: `heavy` below orders this mark before our look for news; its partner is `light` in `ring`.
        while word % 2 == 0 {
            match self.word.compare_exchange_weak(word, word.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => word = word.wrapping_add(1),
                Err(now) => word = now,
            }
        }
        heavy();
        Mark(word)
    }

    /// Whether somebody may be asleep. For who finds news for others, and does not store any: no fence is needed, for a
    /// sleeper that is missed now is met at the next look.
    #[cfg(not(loom))]
    pub(crate) fn is_marked(&self) -> bool {
        self.word.load(Ordering::Relaxed) % 2 == 1
    }

    /// Whether the bell has been rung since the mark.
    pub fn rung_since(&self, mark: Mark) -> bool {
        // Acquire: pairs with the Release in `ring`.
        self.word.load(Ordering::Acquire) != mark.0
    }

    /// Wakes everyone who waits. Call after storing the news.
    #[inline(always)]
    pub fn ring(&self) {
        light();
        // Relaxed: ordered after our news by `light`; its partner is `heavy` in `mark`.
        let word = self.word.load(Ordering::Relaxed);
        if word % 2 == 1 {
            self.wake(word);
        }
    }

    #[cold]
    fn wake(&self, mut word: u32) {
        while word % 2 == 1 {
            // Release: the woken thread's Acquire in `rung_since` sees our news.
            match self.word.compare_exchange(word, word.wrapping_add(1), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => {
                    #[cfg(not(loom))]
                    crate::futex::wake_all(&self.word);
                    return;
                }
                Err(now) => word = now,
            }
        }
    }

    /// Sleeps until the bell is rung after `mark`, or the deadline; may return early.
    #[cfg(not(loom))]
    pub(crate) fn wait(&self, mark: Mark, deadline: crate::time::Deadline) {
        crate::futex::wait(&self.word, mark.0, deadline);
    }
}
