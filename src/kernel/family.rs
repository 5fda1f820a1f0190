//! Who started whom: an actor that another one of its kernel starts is its child, and ends when its parent does.
//!
//! ```text
//!   parent's entry: first ──▶ child ── next ──▶ child ── next ──▶ 0
//!                                └──── parent ────┴──── parent, each
//! ```
//!
//! A child is put at the head of its parent's list by its own worker, when that takes the RK_ACTOR_START. When an actor ends, its
//! worker takes the whole list, leaves [`Kin::ENDED`] for those who come too late, and has one post go from child to child
//! (`TYPE_ORPHANED`): it finds room for one, and goes on to the next. Who gets it leaves the list, and ends in turn. A child
//! that ends by itself stays in the list, and is the parent's still when it is started again, whoever does that: nothing is
//! ever taken out of the middle. So every child in a list gets one such message for it, and an end costs the time of its own
//! children only, however many actors there are.
//!
//! Devices do the same: `include/ringkernel/cuda/family.cuh`, `include/ringkernel/vulkan/family.glsl`.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::layout::{Outgoing, POST_SEND, TYPE_ORPHANED, TYPE_STOP};

/// An actor among its relatives, by their indices plus 1; 0: there is none. `rk_dev_kin`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Kin {
    pub(crate) parent: u32,
    /// The child that came last, or [`Kin::ENDED`].
    pub(crate) first: u32,
    /// The child of the same parent that came before.
    pub(crate) next: u32,
}

impl Kin {
    /// As `first`: the actor has ended, and gets no children before it is started.
    pub(crate) const ENDED: u32 = u32::MAX;

    /// Index of the actor that a word means.
    pub(crate) fn index(word: u32) -> Option<u32> {
        (word != Self::ENDED).then(|| word.checked_sub(1)).flatten()
    }

    /// Whether it is of one among so many actors.
    pub(crate) fn is_within(&self, actors: u32) -> bool {
        self.parent <= actors && self.next <= actors && (self.first <= actors || self.first == Self::ENDED)
    }
}

/// What an actor that has ended sends to its children.
impl Outgoing {
    pub(crate) fn to_orphan(parent: u32, to: u64) -> Self {
        let correlation = u64::from(parent) + 1;
        Self { to, correlation, kind: POST_SEND, r#type: TYPE_ORPHANED, ..Self::default() }
    }
}

/// The type by which the host knows a message that died. A child to which there was no way to tell its parent's end was to be
/// stopped.
pub(crate) fn told_as(kind: u32) -> u32 {
    if kind == TYPE_ORPHANED {
        TYPE_STOP
    } else {
        kind
    }
}

/// The same, in a table that workers share. `parent` and `next` are written by the actor's worker alone, and read by its
/// parent's; `first` is written by any.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Family {
    parent: AtomicU32,
    first: AtomicU32,
    next: AtomicU32,
}

impl Family {
    /// Of a kernel at rest, as `store`.
    pub(crate) fn load(&self) -> Kin {
        let word = |word: &AtomicU32| word.load(Ordering::Relaxed);
        Kin { parent: word(&self.parent), first: word(&self.first), next: word(&self.next) }
    }

    pub(crate) fn store(&self, kin: Kin) {
        self.parent.store(kin.parent, Ordering::Relaxed);
        self.first.store(kin.first, Ordering::Relaxed);
        self.next.store(kin.next, Ordering::Relaxed);
    }

    /// By the worker of an actor that starts: it may have children.
    pub(crate) fn begin(&self) {
        // Relaxed: nothing is said by it but that. Only this worker changes `ENDED`; children that there are stay.
        if self.first.load(Ordering::Relaxed) == Kin::ENDED {
            self.first.store(0, Ordering::Relaxed);
        }
    }

    /// By the worker of actor `child`, which `parent` of the same kernel has started: makes it that one's, unless it is
    /// somebody's. False if the parent has ended.
    pub(crate) fn join(&self, child: u32, parent: u32, parents: &Self) -> bool {
        if self.parent.load(Ordering::Relaxed) != 0 || parent == child {
            return true;
        }
        let mut first = parents.first.load(Ordering::Relaxed);
        while first != Kin::ENDED {
            self.parent.store(parent + 1, Ordering::Relaxed);
            self.next.store(first, Ordering::Relaxed);
            // Release: pairs with the Acquire in `end`; who takes the list reads what we wrote of ourselves.
            match parents.first.compare_exchange_weak(first, child + 1, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => first = now,
            }
        }
        self.parent.store(0, Ordering::Relaxed);
        self.next.store(0, Ordering::Relaxed);
        false
    }

    /// By the worker of an actor that ends: the first child to be told.
    pub(crate) fn end(&self) -> Option<u32> {
        // Acquire: pairs with the Release in `join`, of every child, for exchanges in between do not break the chain.
        Kin::index(self.first.swap(Kin::ENDED, Ordering::Acquire))
    }

    /// By the parent's worker, which is about to tell the actor: who is to be told after it. `mark`: the parent, by
    /// the correlation of what it sends; the actor is another's only if a snapshot lied.
    pub(crate) fn following(&self, mark: u64) -> Option<u32> {
        // Relaxed: what the Acquire in `end` made ours, and stays until the actor has been told.
        let is_ours = u64::from(self.parent.load(Ordering::Relaxed)) == mark;
        is_ours.then(|| Kin::index(self.next.load(Ordering::Relaxed))).flatten()
    }

    /// By the worker of an actor that is told: leaves the list. Whether it was in that one.
    pub(crate) fn leave(&self, mark: u64) -> bool {
        let parent = self.parent.load(Ordering::Relaxed);
        let is_ours = parent != 0 && u64::from(parent) == mark;
        if is_ours {
            self.parent.store(0, Ordering::Relaxed);
            self.next.store(0, Ordering::Relaxed);
        }
        is_ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(families: &[Family], parent: u32) -> Vec<u32> {
        let mark = Outgoing::to_orphan(parent, 0).correlation;
        let mut told = Vec::new();
        let mut at = families[parent as usize].end();
        while let Some(child) = at {
            let family = &families[child as usize];
            at = family.following(mark);
            assert!(family.leave(mark));
            told.push(child);
        }
        told
    }

    #[test]
    fn one_list() {
        let families: Vec<Family> = (0..6).map(|_| Family::default()).collect();
        let join = |child: u32, parent: u32| families[child as usize].join(child, parent, &families[parent as usize]);
        assert!(join(0, 0) && families[0].load() == Kin::default());
        assert!(join(3, 0) && join(1, 0) && join(5, 0) && join(3, 0) && join(3, 1) && join(2, 1));
        assert_eq!(told(&families, 0), [5, 1, 3]);
        assert!(!join(3, 0) && families[3].load() == Kin::default());
        assert_eq!(told(&families, 1), [2]);
        assert_eq!(told(&families, 0), []);
        families[0].begin();
        assert!(join(3, 0) && join(0, 3));
        families[0].begin();
        assert_eq!(told(&families, 0), [3]);
        assert_eq!(told(&families, 3), [0]);
        assert!(families.iter().all(|family| family.load().is_within(6)));
    }

    /// Children come while the parent ends and begins again: each is told, or is told that it came too late.
    #[test]
    fn many_threads() {
        const EACH: u32 = 20_000;
        let families: Vec<Family> = (0..=3 * EACH).map(|_| Family::default()).collect();
        let told: usize = std::thread::scope(|scope| {
            let families = &families;
            let joining: Vec<_> = (0..3)
                .map(|thread| {
                    scope.spawn(move || {
                        let mine = 1 + thread * EACH..1 + (thread + 1) * EACH;
                        mine.filter(|child| families[*child as usize].join(*child, 0, &families[0])).count()
                    })
                })
                .collect();
            let mut all = 0;
            while joining.iter().any(|thread| !thread.is_finished()) {
                all += told(families, 0).len();
                families[0].begin();
            }
            all += told(families, 0).len();
            assert_eq!(joining.into_iter().map(|thread| thread.join().expect("no panic")).sum::<usize>(), all);
            all
        });
        assert!(told <= 3 * EACH as usize);
        assert!(families[1..].iter().all(|family| family.load() == Kin::default()));
    }
}
