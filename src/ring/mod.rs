//! Bounded lock-free rings of 64-byte slots, between host threads, workers and devices.
//!
//! # Protocol
//!
//! Positions count messages from 0 and never wrap; position `p` lives in slot `p % capacity`. A producer *reserves*
//! positions by moving `tail`, then writes its slots. Each slot is four 16-byte words, every word written by one 16-byte
//! store and carrying a **stamp**: the lap `p / capacity + 1`, modulo 2^16. The consumer looks at the slot where the next
//! message will be; the message is there when all four stamps are that lap's. So
//!
//! - there is no flag beside the data and no fence between the two: words may become visible in any order,
//! - a ring of zeros is empty (the first lap is 1),
//! - a producer that is slow between reserving and writing only holds up what comes after it.
//!
//! A slot is free again when the consumer has moved `head` past it. The consumer *publishes* head every few messages, and
//! producers keep the last value they saw (`head_seen`) beside `tail`: in the common case a producer touches no line that
//! the consumer writes. Across PCIe, tail is in host memory and head in memory near the producer, so nothing is read and
//! no read-modify-write goes over the bus.
//!
//! Payloads that do not fit a slot lie in its **body**, in a parallel array: plain stores before the slot's words.
//!
//! Ending: [`Ring::close`] sets a bit in `tail`, after which nobody can reserve; every position below is written by the
//! producer that holds it, so the consumer can empty the ring to the last message.

#[cfg(not(loom))]
mod channel;
mod consumer;
mod slot;
mod storage;

use std::convert::Infallible;

use crate::align::Aligned;
use crate::bias::{Biased, Inside, Section};
use crate::sync::{AtomicU64, Ordering};

#[cfg(not(loom))]
pub(crate) use channel::{Channel, Room};
pub use consumer::Cursor;
pub use slot::{flags, Envelope, Like, Slot, Word, AREA, INLINE_BYTES};
#[cfg(not(loom))]
pub use storage::Memory;
pub use storage::{Sight, Storage};

/// In `tail`: nobody may reserve any more.
const CLOSED: u64 = 1 << 63;

/// So many slots ahead of the one in use lines are fetched.
const AHEAD: u64 = 8;

/// Why nothing could be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No slot is free.
    Full,
    /// The ring was closed.
    Closed,
}

/// The right to write one position. It must be used: the consumer waits for it.
#[must_use]
#[derive(Debug)]
pub struct Ticket(u64);

/// Consecutive positions, reserved together.
#[must_use]
#[derive(Debug)]
pub struct Reservation {
    next: u64,
    end: u64,
}

impl Reservation {
    /// How many tickets are left.
    pub fn remaining(&self) -> usize {
        (self.end - self.next) as usize
    }
}

impl Iterator for Reservation {
    type Item = Ticket;

    fn next(&mut self) -> Option<Ticket> {
        (self.next < self.end).then(|| {
            self.next += 1;
            Ticket(self.next - 1)
        })
    }
}

/// The producers' side of a ring, and what both sides share.
#[derive(Debug)]
pub struct Ring<S> {
    /// Next position to reserve, and [`CLOSED`].
    tail: Aligned<Biased>,
    /// A head that some producer saw; at or before the real one.
    head_seen: AtomicU64,
    capacity: u64,
    shift: u32,
    /// Slots that the consumer frees together.
    stride: u64,
    storage: S,
}

impl<S: Storage> Ring<S> {
    /// A ring over zeroed storage. Its capacity must be a power of two.
    pub fn new(storage: S) -> Self {
        let capacity = storage.capacity() as u64;
        assert!(capacity.is_power_of_two());
        let shift = capacity.trailing_zeros();
        let stride = (capacity / 4).clamp(1, 32);
        Self { tail: Aligned::default(), head_seen: AtomicU64::new(0), capacity, shift, stride, storage }
    }

    /// Slots.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Where the slots are.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Positions reserved so far: all messages ever accepted.
    pub fn accepted(&self) -> u64 {
        // As a statistic any value is good that the counter had; Acquire, for what was done before the count.
        self.tail.load(Ordering::Acquire) & !CLOSED
    }

    /// Reserves up to `want` positions, at least one. Any thread may call it; `me` is its section.
    #[inline(always)]
    pub fn reserve(&self, me: &'static Section, want: u64) -> Result<Reservation, Refused> {
        let mut count = 0;
        // The position is only a number; that its slot is free was learned with the Acquire in `room`, that it is full the
        // consumer learns from the stamps.
        let first = self.tail.update(me, |tail| {
            count = self.room(tail, want)?;
            Ok(tail + count)
        })?;
        Ok(Reservation { next: first, end: first + count })
    }

    /// [`reserve`](Self::reserve) of one position.
    #[cold]
    pub fn reserve_one(&self, me: &'static Section) -> Result<Ticket, Refused> {
        self.reserve(me, 1).map(|tickets| Ticket(tickets.next))
    }

    /// The same, if the thread whose section this is owns the ring's tail.
    #[inline(always)]
    pub fn reserve_owned(&self, inside: &Inside<'_>) -> Option<Result<Ticket, Refused>> {
        let reserved = self.tail.update_owned(inside, |tail| self.room(tail, 1).map(|_| tail + 1));
        reserved.map(|position| position.map(Ticket))
    }

    /// [`reserve`](Self::reserve) of one position for a ring that has one producer only, without a read-modify-write.
    #[inline]
    pub fn reserve_sole(&self) -> Result<Ticket, Refused> {
        // Relaxed: only we write it.
        let tail = self.tail.load(Ordering::Relaxed);
        self.room(tail, 1)?;
        self.tail.store(tail + 1, Ordering::Relaxed);
        Ok(Ticket(tail))
    }

    /// How many of so many wanted slots are free when `tail` is the next position.
    #[inline(always)]
    fn room(&self, tail: u64, want: u64) -> Result<u64, Refused> {
        // Acquire: pairs with the Release below by which another producer passed on what it had acquired.
        let seen = self.head_seen.load(Ordering::Acquire);
        // A tail read before `seen` may lie behind it; the exchange will fail then. A closed one lies far ahead.
        if tail + want <= seen + self.capacity {
            return Ok(want);
        }
        self.look(tail, want)
    }

    /// The same with a look at the consumer's line.
    #[cold]
    fn look(&self, tail: u64, want: u64) -> Result<u64, Refused> {
        if tail & CLOSED != 0 {
            return Err(Refused::Closed);
        }
        // Acquire: pairs with the Release in `Cursor::publish`; the consumer is done reading those slots.
        let head = self.storage.head().load(Ordering::Acquire);
        // Release: see above. A slower producer may set it back to an older head, which costs a look, no more.
        self.head_seen.store(head, Ordering::Release);
        match tail.saturating_sub(head) {
            used if used < self.capacity => Ok(want.min(self.capacity - used)),
            _ => Err(Refused::Full),
        }
    }

    /// Writes a message to the position of the ticket. `body` is what [`Slot::encode`] left for it.
    #[inline(always)]
    pub fn write(&self, ticket: Ticket, slot: &Slot, body: &[u8]) {
        if !body.is_empty() {
            self.write_body(ticket.0, body);
            self.storage.settle_bodies();
        }
        // Each store releases what was written before it (see Storage): whoever sees the stamps sees the body.
        self.storage.store_slot(self.index(ticket.0), slot, self.lap(ticket.0));
    }

    /// Writes messages to consecutive positions. Where memory is far all bodies come before the first slot, since they are settled
    /// once; where it is near each is followed by its slot, so that the consumer can begin.
    #[inline(always)]
    pub fn write_all<'a>(&self, tickets: Reservation, messages: impl Iterator<Item = (&'a Slot, &'a [u8])> + Clone) {
        if messages.clone().any(|(_, body)| !body.is_empty()) {
            if !self.storage.is_far() {
                tickets.zip(messages).for_each(|(ticket, (slot, body))| self.write(ticket, slot, body));
                return;
            }
            for (position, (_, body)) in (tickets.next..tickets.end).zip(messages.clone()) {
                if !body.is_empty() {
                    self.write_body(position, body);
                }
            }
            self.storage.settle_bodies();
        }
        // Up to the ring's end, and what goes over it.
        let mut slots = messages.map(|(slot, _)| slot);
        let mut next = tickets.next;
        while next < tickets.end {
            let end = tickets.end.min((next | (self.capacity - 1)) + 1);
            self.storage.store_slots(self.index(next), slots.by_ref().take((end - next) as usize), self.lap(next));
            next = end;
        }
    }

    /// Lets nobody reserve any more, and returns how many messages there have been.
    pub fn close(&self, me: &'static Section) -> u64 {
        let Ok(tail) = self.tail.update(me, |tail| Ok::<_, Infallible>(tail | CLOSED));
        tail & !CLOSED
    }

    /// Sets what a ring has come to that lies in a device's memory and of which this one is the host's image.
    pub fn mirror(&self, accepted: u64, consumed: u64) {
        // Release, both: readers pair them with Acquire. Only one thread mirrors; CLOSED stays.
        self.storage.head().store(consumed, Ordering::Release);
        let closed = self.tail.load(Ordering::Relaxed) & CLOSED;
        self.tail.store(accepted | closed, Ordering::Release);
    }

    #[inline(always)]
    fn write_body(&self, position: u64, body: &[u8]) {
        self.storage.claim_body(self.index(position + AHEAD));
        self.storage.write_body(self.index(position), body);
    }

    /// Number of the slot of a position.
    fn index(&self, position: u64) -> usize {
        (position & (self.capacity - 1)) as usize
    }

    fn lap(&self, position: u64) -> u16 {
        lap(position, self.shift)
    }
}

/// Stamp of a position in a ring of `1 << shift` slots.
fn lap(position: u64, shift: u32) -> u16 {
    ((position >> shift) + 1) as u16
}
