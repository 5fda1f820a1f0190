//! A ring with a place to wait for room.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Cursor, Memory, Ring, Storage};
use crate::bell::{heavy, light, Bell};
use crate::error::Result;
use crate::pins;

/// A ring in this process's memory, and who waits for room in it.
pub(crate) struct Channel {
    pub(crate) ring: Ring<Memory>,
    room: Room,
}

impl Channel {
    pub(crate) fn new(capacity: usize, body: usize) -> Result<Self> {
        Ok(Self { ring: Ring::new(Memory::new(capacity, body)?), room: Room::default() })
    }

    /// Over storage that a device shares.
    pub(crate) fn over(memory: Memory) -> Self {
        Self { ring: Ring::new(memory), room: Room::default() }
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        self.ring.storage().size() + std::mem::size_of::<Self>()
    }

    /// Messages consumed, as far as the consumer has published.
    pub(crate) fn consumed(&self) -> u64 {
        // Acquire: pairs with the Release in `Cursor::publish`.
        self.ring.storage().head().load(Ordering::Acquire)
    }

    /// Whether a message lies at the position that the consumer has published.
    pub(crate) fn has_unread(&self) -> bool {
        Cursor::at(self.consumed()).peek(&self.ring).is_some()
    }

    /// Publishes what the consumer has consumed, and wakes who waits for room.
    #[inline]
    pub(crate) fn publish(&self, cursor: &mut Cursor) {
        if cursor.publish(&self.ring) {
            self.room.made();
        }
    }

    /// Wakes who waits for room for another reason than published slots.
    pub(crate) fn made_room(&self) {
        self.room.made();
    }

    /// Lets nobody in any more, tells those who wait, and returns how many messages there have been.
    pub(crate) fn close(&self) -> u64 {
        let accepted = self.ring.close(pins::section());
        self.room.made();
        accepted
    }

    /// Forgets that `bell` was to be rung.
    pub(crate) fn forget(&self, bell: &Arc<Bell>) {
        self.room.forget(bell);
    }

    /// Has `bell` rung when there is room, or the ring is closed. Look again after this, before sleeping.
    pub(crate) fn await_room(&self, bell: &Arc<Bell>) {
        self.room.register(bell);
    }
}

/// Bells of those who wait for room. Empty in the common case, which the consumer sees from one word.
#[derive(Default)]
pub(crate) struct Room {
    waiting: AtomicU32,
    bells: Mutex<Vec<Arc<Bell>>>,
}

impl Room {
    /// Has `bell` rung at the next [`made`](Self::made). Look again after this, before sleeping.
    pub(crate) fn register(&self, bell: &Arc<Bell>) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if !bells.iter().any(|other| Arc::ptr_eq(other, bell)) {
            bells.push(bell.clone());
        }
        // Relaxed: ordered before the caller's second look by `heavy`; its partner is `light` in `made`.
        self.waiting.store(1, Ordering::Relaxed);
        heavy();
    }

    /// Forgets that `bell` was to be rung.
    pub(crate) fn forget(&self, bell: &Arc<Bell>) {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, bell));
    }

    /// Has everybody look.
    #[inline]
    pub(crate) fn made(&self) {
        light();
        // Relaxed: ordered after the new head by `light`.
        if self.waiting.load(Ordering::Relaxed) != 0 {
            self.tell();
        }
    }

    #[cold]
    fn tell(&self) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.store(0, Ordering::Relaxed);
        for bell in bells.drain(..) {
            bell.ring();
        }
    }
}
