//! The consumer's side of a ring.

use super::{lap, Ring, Sight, Slot, Storage};
use crate::sync::{fence, Ordering};

/// Where a ring's one consumer stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    position: u64,
    published: u64,
}

/// What looking for the next message takes of a ring.
#[derive(Clone, Copy)]
pub struct RingSight<S> {
    slots: S,
    mask: u64,
    shift: u32,
}

impl<S: Storage> Ring<S> {
    /// What its consumer looks with.
    #[inline(always)]
    pub fn sight(&self) -> RingSight<S::Sight<'_>> {
        RingSight { slots: self.storage.sight(), mask: self.capacity - 1, shift: self.shift }
    }
}

impl<S: Sight> RingSight<S> {
    fn index(&self, position: u64) -> usize {
        (position & self.mask) as usize
    }

    fn lap(&self, position: u64) -> u16 {
        lap(position, self.shift)
    }

    /// Has the slot of a position fetched.
    #[inline(always)]
    pub fn fetch(&self, position: u64) {
        self.slots.fetch(self.index(position), false);
    }
}

impl Cursor {
    /// One that stands at a position which it has published.
    pub fn at(position: u64) -> Self {
        Self { position, published: position }
    }

    /// Messages consumed so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next message, if it is there whole. Looking takes one load when the ring is empty.
    #[inline(always)]
    pub fn peek<S: Storage>(&self, ring: &Ring<S>) -> Option<Slot> {
        self.peek_by(&ring.sight())
    }

    /// The same, for who looks often.
    #[inline(always)]
    pub fn peek_by<S: Sight>(&self, ring: &RingSight<S>) -> Option<Slot> {
        let index = ring.index(self.position) * 4;
        let stamp = ring.lap(self.position);
        let first = ring.slots.upper(index);
        if Slot::stamp(first) != stamp {
            return None;
        }
        // One by one, not as an array: they stay in registers.
        let (second, third, fourth) =
            (ring.slots.upper(index + 1), ring.slots.upper(index + 2), ring.slots.upper(index + 3));
        if Slot::stamp(second) != stamp || Slot::stamp(third) != stamp || Slot::stamp(fourth) != stamp {
            return None;
        }
        // Pairs with the release of each store (see Storage): the words and the body were written before the stamps that we
        // have seen. One fence for all four: each keeps the compiler from what it knows of memory.
        fence(Ordering::Acquire);
        let word = |word: usize| ring.slots.word(index + word);
        let slot = Slot::new([word(0), word(1), word(2), word(3)]);
        // Those that follow are mostly of its kind.
        ring.slots.fetch(ring.index(self.position + super::AHEAD), slot.has_body());
        Some(slot)
    }

    /// Slot of the next message, for its body.
    #[inline]
    pub fn index<S: Storage>(&self, ring: &Ring<S>) -> usize {
        ring.index(self.position)
    }

    /// Steps over the message that [`peek`](Self::peek) gave. Its slot is free for producers after the next publication.
    #[inline]
    pub fn advance(&mut self) {
        self.position += 1;
    }

    /// How many messages can be taken until so many slots wait for publication that a producer might soon miss them.
    #[inline]
    pub fn until_due<S: Storage>(&self, ring: &Ring<S>) -> u64 {
        ring.stride.saturating_sub(self.position - self.published)
    }

    /// Whether so many wait.
    #[inline]
    pub fn is_due<S: Storage>(&self, ring: &Ring<S>) -> bool {
        self.until_due(ring) == 0
    }

    /// Gives the slots before our position back to the producers. True if there were any.
    #[inline]
    pub fn publish<S: Storage>(&mut self, ring: &Ring<S>) -> bool {
        if self.position == self.published {
            return false;
        }
        self.published = self.position;
        ring.storage.publish(self.position);
        true
    }
}
