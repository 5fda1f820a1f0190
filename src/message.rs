//! Messages as host threads see them.

use std::mem::MaybeUninit;
use std::time::Duration;

use crate::error::{DeadReason, Result};
use crate::ring::{AREA, INLINE_BYTES};
use crate::time::Deadline;

/// Priority levels, in the order of the rings: 0 low, 1 normal, 2 high, 3 critical.
pub(crate) const LEVELS: usize = 4;

/// The level of a priority as users give it.
#[inline]
pub(crate) fn level_of(priority: u32) -> u8 {
    match priority {
        0 | 64..=127 => 1,
        1..=63 => 0,
        128..=191 => 2,
        _ => 3,
    }
}

/// The priority that a level stands for.
pub(crate) fn priority_of(level: u8) -> u32 {
    64 * u32::from(level)
}

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    None,
    After(Duration),
    Never,
}

impl Timeout {
    pub(crate) fn deadline(self) -> Deadline {
        match self {
            Self::None => Deadline::Now,
            Self::After(time) => Deadline::after(time),
            Self::Never => Deadline::Never,
        }
    }
}

/// A message from the host to an actor.
#[derive(Clone, Copy)]
pub(crate) struct Letter<'a> {
    /// Lower half of the receiver's address.
    pub(crate) actor: u32,
    pub(crate) kind: u32,
    pub(crate) payload: &'a [u8],
    pub(crate) level: u8,
    pub(crate) correlation: u64,
    /// Nanoseconds from now, 0 for none.
    pub(crate) deadline_ns: u64,
}

/// What a message for the host is. The numbers are `RK_MESSAGE_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Class {
    Reply = 1,
    Emit = 2,
    DeadLetter = 3,
    Event = 4,
    Publication = 5,
}

/// Events. The numbers are `RK_EVENT_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Event {
    ActorFailed = 1,
    KernelTerminated = 2,
    KernelFailed = 3,
    Transfer = 4,
    ActorRestarted = 5,
}

/// A message for the host.
#[derive(Clone, Debug)]
pub(crate) struct Incoming<P> {
    pub(crate) class: Class,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) correlation: u64,
    pub(crate) time: u64,
    pub(crate) kind: u32,
    pub(crate) reason: i32,
    pub(crate) level: u8,
    /// The correlation is that of a call.
    pub(crate) call: bool,
    pub(crate) payload: P,
}

/// One that owns its payload.
pub(crate) type Owned = Incoming<Box<[u8]>>;

impl<P> Incoming<P> {
    /// The same with another payload.
    #[inline(always)]
    pub(crate) fn with<Q>(&self, payload: Q) -> Incoming<Q> {
        let Self { class, from, to, correlation, time, kind, reason, level, call, .. } = *self;
        Incoming { class, from, to, correlation, time, kind, reason, level, call, payload }
    }

    /// Why it died, if it did.
    pub(crate) fn dead(&self) -> Option<DeadReason> {
        (self.class == Class::DeadLetter).then(|| DeadReason::from_code(self.reason)).flatten()
    }
}

impl<P: Payload> Incoming<P> {
    pub(crate) fn to_owned(&self) -> Owned {
        self.with(self.payload.bytes().into())
    }
}

/// A payload, wherever it lies.
pub(crate) trait Payload {
    fn bytes(&self) -> &[u8];

    /// Copies it to the start of `room`, which is large enough. Bytes of `room` after it may be written too: whole words are
    /// quicker to copy than what a length says that the compiler does not know.
    #[inline(always)]
    fn copy_to(&self, room: &mut [MaybeUninit<u8>]) {
        copy(self.bytes(), room);
    }
}

fn copy(bytes: &[u8], room: &mut [MaybeUninit<u8>]) {
    // SAFETY: bytes are good as bytes that may be uninitialised.
    let bytes = unsafe { &*(std::ptr::from_ref(bytes) as *const [MaybeUninit<u8>]) };
    room[..bytes.len()].copy_from_slice(bytes);
}

impl Payload for Box<[u8]> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// One that somebody else owns.
impl Payload for &[u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// [`copy`] of one that is still in registers. Not inline: of this and of a copy of known length beside it the compiler makes one
/// call of `memcpy`, which reads the words in other pieces than they were written in, and waits (8 ns of 28 that a poll took).
#[inline(never)]
fn copy_part(bytes: &[u8], room: &mut [MaybeUninit<u8>]) {
    copy(bytes, room);
}

/// One that came in a slot, and is still in registers.
pub(crate) struct Inline {
    pub(crate) words: [u64; AREA],
    pub(crate) size: u32,
}

impl Payload for Inline {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        &bytemuck::bytes_of(&self.words)[..self.size as usize]
    }

    #[inline(always)]
    fn copy_to(&self, room: &mut [MaybeUninit<u8>]) {
        match room.first_chunk_mut::<INLINE_BYTES>() {
            // SAFETY: as large as the words, and any bytes will do.
            Some(whole) => unsafe { whole.as_mut_ptr().cast::<[u64; AREA]>().write_unaligned(self.words) },
            None => copy_part(self.bytes(), room),
        }
    }
}

/// One that lies in a slot's body.
pub(crate) struct InBody<'a> {
    /// The whole body, in lines of 64 bytes.
    pub(crate) body: &'a [u8],
    pub(crate) size: u32,
}

impl Payload for InBody<'_> {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        &self.body[..self.size as usize]
    }

    #[inline(always)]
    fn copy_to(&self, room: &mut [MaybeUninit<u8>]) {
        match (self.body.first_chunk::<LINE>(), room.first_chunk_mut::<LINE>()) {
            (Some(line), Some(whole)) if self.size as usize <= LINE => *whole = line.map(MaybeUninit::new),
            _ => copy(self.bytes(), room),
        }
    }
}

/// Bytes of a body's first line.
pub(crate) const LINE: usize = 64;

/// A message from an actor that fits a line, and about which there is nothing special, as most are.
pub(crate) struct Plain<'a> {
    pub(crate) class: Class,
    pub(crate) from: u64,
    pub(crate) correlation: u64,
    pub(crate) time: u64,
    pub(crate) kind: u16,
    pub(crate) level: u8,
    /// Bytes of the payload; the rest means nothing.
    pub(crate) size: u32,
    pub(crate) payload: Line<'a>,
}

/// Where it came.
pub(crate) enum Line<'a> {
    Inline([u64; AREA]),
    Body(&'a [u8; LINE]),
}

/// What a [`Sink`] did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Copied.
    Taken,
    /// There is no room for one more.
    Full,
}

/// Where received messages go. Not an object: for every message a call through memory would cost as much as the rest.
pub(crate) trait Sink {
    /// Takes a copy of a message if there is room. An error ends the poll with the message still queued.
    fn offer<P: Payload>(&mut self, message: &Incoming<P>) -> Result<Offer>;
    /// How many were taken.
    fn taken(&self) -> usize;
    /// Takes what `next` gives, while there is room for whatever that may be: a sink that most messages go to, for which no
    /// message has to be in memory. What it leaves is offered. Copies every [`Line`] before it returns: its place in the ring is then
    /// given back.
    #[inline(always)]
    fn offer_run<'a>(&mut self, _next: impl FnMut() -> Option<Plain<'a>>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let table = [(0, 1), (1, 0), (63, 0), (64, 1), (127, 1), (128, 2), (191, 2), (192, 3), (255, 3)];
        for (priority, level) in table {
            assert_eq!(level_of(priority), level, "{priority}");
        }
        assert_eq!([0, 1, 2, 3].map(priority_of), [0, 64, 128, 192]);
    }
}
