//! Words that one thread changes nearly always and any thread may change: the tail of a ring, a clock.
//!
//! A locked instruction waits until all stores before it have left the processor, among them those into a slot whose line
//! another core holds; two of these were half of what sending cost. So the thread that uses such a word *owns* it and
//! changes it without the lock prefix, as in biased locking (Kawachiya, Koseki, Onodera, "Lock Reservation", OOPSLA 2002;
//! Dice, Moir, Scherer, "Quickly Reacquirable Locks", 2003). While it does so it says so in a word of its own, its
//! [`Section`]. Another thread that wants the word takes ownership away, makes every thread execute a fence
//! ([`heavy`]), and waits until the former owner is outside: that one then sees that it owns the word no more. After
//! [`HANDS`] owners the word is *shared*, for good, and everyone uses locked instructions.
//!
//! Without `membarrier` a section would cost a fence, more than it saves: words are shared from the start.

use crate::bell::{heavy, is_asymmetric};
use crate::sync::{exchange_unlocked, hold, pause, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Owners that a word has before it is shared. Fewer for loom, which is to see it shared.
const HANDS: u32 = if cfg!(loom) { 1 } else { 4 };

/// Whether a thread is changing a word that it owns: odd while it is. The thread's own, and never freed.
#[derive(Debug, Default)]
pub struct Section {
    count: AtomicU32,
}

/// Leaves the section when dropped.
struct Inside<'a> {
    section: &'a Section,
    before: u32,
}

impl Section {
    #[inline(always)]
    fn enter(&self) -> Inside<'_> {
        // Relaxed: only this thread writes it.
        let before = self.count.load(Ordering::Relaxed);
        // In a signal handler that interrupted a section it is odd, and stays as it is.
        self.count.store(before | 1, Ordering::Relaxed);
        // Orders it before the look at the owner, together with `heavy` in `Biased::take_over`. Where that is no barrier for
        // all, nobody owns anything.
        hold();
        Inside { section: self, before }
    }

    /// Waits until the section that the thread may be in is over.
    fn await_end(&self) {
        // Acquire, both: pair with the Release in `drop`; we see what the owner has made of the word.
        let seen = self.count.load(Ordering::Acquire);
        let mut turns = 0;
        while seen % 2 == 1 && self.count.load(Ordering::Acquire) == seen {
            pause(turns);
            turns += 1;
        }
    }
}

impl Drop for Inside<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let after = if self.before % 2 == 0 { self.before.wrapping_add(2) } else { self.before };
        // Release: pairs with the Acquire in `await_end`.
        self.section.count.store(after, Ordering::Release);
    }
}

/// In place of an owner: everyone, by locked instructions.
const SHARED: *mut Section = 1 as *mut Section;
/// In place of an owner: nobody until the former one has been waited for.
const CHANGING: *mut Section = 2 as *mut Section;

/// A word as above.
#[derive(Debug)]
pub struct Biased {
    word: AtomicU64,
    /// The owner's section; NULL while nobody has used the word; SHARED; CHANGING.
    owner: AtomicPtr<Section>,
    /// Owners so far.
    hands: AtomicU32,
}

impl Default for Biased {
    fn default() -> Self {
        let owner = if is_asymmetric() { std::ptr::null_mut() } else { SHARED };
        Self { word: AtomicU64::new(0), owner: AtomicPtr::new(owner), hands: AtomicU32::new(0) }
    }
}

impl Biased {
    /// The word, as of some moment.
    #[inline(always)]
    pub fn load(&self, order: Ordering) -> u64 {
        self.word.load(order)
    }

    /// Sets it. For the one thread that changes it, if there is one thread only and it never calls `update`.
    #[inline(always)]
    pub fn store(&self, value: u64, order: Ordering) {
        self.word.store(value, order);
    }

    /// Replaces the word by what `next` makes of it, unless that is an error, and gives what it was. `me` is this thread's
    /// section. `next` may be asked several times; the last time counts.
    ///
    /// It orders no other memory, except that whoever changes the word has seen what those did who changed it before and
    /// were other threads.
    #[inline(always)]
    pub fn update<E>(&self, me: &'static Section, mut next: impl FnMut(u64) -> Result<u64, E>) -> Result<u64, E> {
        let (_inside, mine) = loop {
            let inside = me.enter();
            // Acquire: pairs with the Release in `take_over`, which has seen the last change of the owner before.
            let owner = self.owner.load(Ordering::Acquire);
            if std::ptr::eq(owner, me) || owner == SHARED {
                break (inside, owner != SHARED);
            }
            drop(inside);
            self.take_over(me, owner);
        };
        let mut before = self.word.load(Ordering::Relaxed);
        loop {
            let after = next(before)?;
            let exchanged = if mine {
                exchange_unlocked(&self.word, before, after)
            } else {
                self.word.compare_exchange_weak(before, after, Ordering::AcqRel, Ordering::Acquire)
            };
            match exchanged {
                Ok(_) => return Ok(before),
                Err(now) => before = now,
            }
        }
    }

    /// Makes this thread the owner, or the word shared, if `owner` still is what it was. Outside of a section: another
    /// thread may be waiting for ours to end.
    #[cold]
    fn take_over(&self, me: &'static Section, owner: *mut Section) {
        if owner == CHANGING {
            return pause(u32::MAX);
        }
        // Acquire: as in `update`, where there is no former owner to wait for.
        if self.owner.compare_exchange(owner, CHANGING, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        // SAFETY: neither SHARED, for which `update` does not come here, nor CHANGING: NULL or a section, of which there
        // are only static ones.
        if let Some(former) = unsafe { owner.as_ref() } {
            // Its next section will find the word changing, or we see the section that it is in.
            heavy();
            former.await_end();
        }
        // Relaxed: only who has the word changing counts.
        let hands = self.hands.load(Ordering::Relaxed);
        self.hands.store(hands + 1, Ordering::Relaxed);
        let owner = if hands < HANDS { std::ptr::from_ref(me).cast_mut() } else { SHARED };
        // Release: pairs with the Acquire in `update`.
        self.owner.store(owner, Ordering::Release);
    }
}
