//! The consumer's side of a ring.

use super::{Ring, Slot, Storage};
use crate::sync::{fence, Ordering};

/// Where a ring's one consumer stands.
#[derive(Clone, Copy, Debug, Default)]
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
        let index = self.index(ring) * 4;
        let stamp = ring.lap(self.position);
        let first = ring.storage.upper(index);
        if Slot::stamp(first) != stamp {
            return None;
        }
        // One by one, not as an array: they stay in registers.
        let (second, third, fourth) =
            (ring.storage.upper(index + 1), ring.storage.upper(index + 2), ring.storage.upper(index + 3));
        if Slot::stamp(second) != stamp || Slot::stamp(third) != stamp || Slot::stamp(fourth) != stamp {
            return None;
        }
        ring.storage.fetch(((self.position + super::AHEAD) & (ring.capacity - 1)) as usize);
        // Pairs with the release of each store (see Storage): lower halves and the body were written before the stamps that
        // we have seen. One fence for all four: each keeps the compiler from what it knows of memory.
        fence(Ordering::Acquire);
        let lower = |word: usize| ring.storage.lower(index + word);
        Some(Slot::new([[lower(0), first], [lower(1), second], [lower(2), third], [lower(3), fourth]]))
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
        self.position - self.published >= ring.stride
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
