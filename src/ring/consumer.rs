//! The consumer's side of a ring.

use super::{Ring, Slot, Storage};

/// Where a ring's one consumer stands.
#[derive(Debug, Default)]
pub struct Cursor {
    position: u64,
    published: u64,
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
        let index = self.index(ring);
        let stamp = ring.lap(self.position);
        // Each load acquires (see Storage): the body was written before the stamps.
        let first = ring.storage.load(index * 4);
        if Slot::stamp(first) != stamp {
            return None;
        }
        // Word by word, not as an array: they stay in registers.
        let second = ring.storage.load(index * 4 + 1);
        let third = ring.storage.load(index * 4 + 2);
        let fourth = ring.storage.load(index * 4 + 3);
        let whole = Slot::stamp(second) == stamp && Slot::stamp(third) == stamp && Slot::stamp(fourth) == stamp;
        whole.then_some(Slot::new([first, second, third, fourth]))
    }

    /// Slot of the next message, for its body.
    #[inline]
    pub fn index<S: Storage>(&self, ring: &Ring<S>) -> usize {
        (self.position & (ring.capacity - 1)) as usize
    }

    /// Steps over the message that [`peek`](Self::peek) gave. Its slot is free for producers after the next publication.
    #[inline]
    pub fn advance(&mut self) {
        self.position += 1;
    }

    /// Whether so many slots wait for publication that a producer might soon miss them.
    #[inline]
    pub fn is_due<S: Storage>(&self, ring: &Ring<S>) -> bool {
        self.position - self.published >= (ring.capacity / 4).clamp(1, 32)
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
