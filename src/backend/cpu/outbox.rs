//! What a handler produced, on its way out.
//!
//! A handler's posts lie one after the other in the worker's outbox. They leave in order; when one finds a full ring, the
//! rest waits behind it and the worker handles nothing more, which is how back-pressure travels upstream. Only where
//! workers wait for each other in a circle does one of them set its posts aside, in memory, to take a message and so make
//! room for its neighbour (see `Worker::break_cycle`). Posts set aside leave first.

use std::collections::VecDeque;

use super::actors::Buffer;
use crate::address::Address;
use crate::error::Result;
use crate::hlc;
use crate::kernel::{Origin, Post};
use crate::layout::{Outgoing, POST_AGAIN};
use crate::ring::Envelope;
use crate::topics::Heard;

/// Most bytes set aside by one worker. Circles of messages that only go round stay far below; past it, actors that answer
/// each message with several are filling memory for ever, and posts become dead letters.
const ASIDE_LIMIT: usize = 64 << 20;

/// Of those, bytes for what an actor's children learn its end from: one post stands for all of them.
const ASIDE_RESERVE: usize = ASIDE_LIMIT / 8;

const HEADER: usize = std::mem::size_of::<Outgoing>();

/// What became of a post that was to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It waits, and all behind it.
    Stays,
    Left,
    /// It has been delivered, and goes on to another actor.
    GoesOn(u64),
}

/// Posts of one worker.
pub(super) struct Outbox {
    buffer: Buffer,
    limit: u32,
    /// Bytes that entries fill, and of these, bytes that have left.
    used: u32,
    sent: u32,
    origin: Origin,
    /// Publications that began in an image may have been heard by some.
    aside: VecDeque<(Post, Box<[u8]>, Heard)>,
    aside_bytes: usize,
}

impl Outbox {
    /// For posts of `limit` bytes in all, and past them room to write the largest message.
    pub(super) fn new(limit: u32, largest: u32) -> Result<Self> {
        let room = limit as usize + HEADER + (largest as usize).next_multiple_of(16);
        let buffer = Buffer::new(room)?;
        Ok(Self { buffer, limit, used: 0, sent: 0, origin: Origin::default(), aside: VecDeque::new(), aside_bytes: 0 })
    }

    /// The memory and the limit, for a handler's context.
    pub(super) fn raw(&self) -> (*mut u8, u32) {
        (self.buffer.as_ptr(), self.limit)
    }

    /// Takes over what a handler wrote.
    #[inline]
    pub(super) fn filled(&mut self, used: u32, origin: Origin) {
        self.used = used.min(self.limit);
        self.sent = 0;
        self.origin = origin;
    }

    /// Adds a post of the library's, for an actor that has ended, to its children.
    #[cold]
    pub(super) fn add_orphaned(&mut self, actor: u64, first: u64) {
        let entry = Outgoing::to_orphan(Address::from_bits(actor).index(), first);
        self.add(Origin::of(actor), entry, &[]);
    }

    /// Adds one by which an actor is handed the message again that it failed at.
    #[cold]
    pub(super) fn add_again(&mut self, origin: Origin, envelope: &Envelope, payload: &[u8]) {
        let entry = Outgoing {
            to: origin.actor,
            deadline: hlc::until_deadline(envelope.deadline),
            kind: POST_AGAIN,
            r#type: u32::from(envelope.kind),
            size: envelope.size,
            ..Outgoing::default()
        };
        self.add(origin, entry, payload);
    }

    /// Behind the posts of the actor's handler, if these are what is here: there is room for one more than a handler may write.
    fn add(&mut self, origin: Origin, entry: Outgoing, payload: &[u8]) {
        if self.used == 0 {
            self.origin = origin;
        }
        debug_assert!(self.origin.actor == origin.actor && self.used <= self.limit);
        // SAFETY: room for the module's largest message follows the limit, which what is used does not pass; entries are at
        // multiples of 16; and what was handled lies elsewhere.
        unsafe {
            let place = self.buffer.as_ptr().add(self.used as usize);
            place.cast::<Outgoing>().write(entry);
            place.add(HEADER).copy_from_nonoverlapping(payload.as_ptr(), payload.len());
        }
        self.used += HEADER as u32 + entry.size.next_multiple_of(16);
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.used && self.aside.is_empty()
    }

    /// Posts that wait.
    pub(super) fn waiting(&self) -> u64 {
        let (mut at, mut count) = (self.sent, self.aside.len() as u64);
        while let Some((_, next)) = self.entry(at) {
            at = next;
            count += 1;
        }
        count
    }

    /// The entry at an offset, and the offset of the next.
    fn entry(&self, at: u32) -> Option<(Outgoing, u32)> {
        if (self.used - at) < HEADER as u32 {
            return None;
        }
        // SAFETY: the handler wrote `used` bytes of entries at multiples of 16 into the 64-byte aligned buffer; an entry
        // is plain data.
        let entry = unsafe { self.buffer.as_ptr().add(at as usize).cast::<Outgoing>().read() };
        let next = at + HEADER as u32 + entry.size.next_multiple_of(16);
        (next <= self.used).then_some((entry, next))
    }

    fn payload(&self, at: u32, size: u32) -> &[u8] {
        // SAFETY: `entry` checked that the payload lies within what was written; handlers do not run while we look.
        unsafe { std::slice::from_raw_parts(self.buffer.as_ptr().add(at as usize + HEADER), size as usize) }
    }

    /// Hands posts to `deliver` in order until one stays. True if all have left.
    #[inline]
    pub(super) fn drain(&mut self, mut deliver: impl FnMut(&Post, &[u8], &Heard) -> Step) -> bool {
        while let Some((post, payload, heard)) = self.aside.front_mut() {
            match deliver(post, payload, heard) {
                Step::Stays => return false,
                Step::Left => {}
                Step::GoesOn(to) => {
                    (post.to, post.envelope.actor) = (to, to as u32);
                    continue;
                }
            }
            self.aside_bytes -= payload.len() + std::mem::size_of::<Post>();
            self.aside.pop_front();
        }
        while let Some((entry, next)) = self.entry(self.sent) {
            match deliver(&Post::new(&entry, &self.origin), self.payload(self.sent, entry.size), &Heard::Nobody) {
                Step::Stays => return false,
                Step::Left => self.sent = next,
                Step::GoesOn(to) => self.redirect(self.sent, to),
            }
        }
        self.used = 0;
        self.sent = 0;
        true
    }

    /// Has the entry at an offset go to another actor.
    #[cold]
    fn redirect(&mut self, at: u32, to: u64) {
        // SAFETY: as in `entry`, which found one there.
        unsafe { (*self.buffer.as_ptr().add(at as usize).cast::<Outgoing>()).to = to };
    }

    /// All posts that wait, in order.
    pub(super) fn look(&self, mut at_each: impl FnMut(&Post, &[u8], &Heard)) {
        self.aside.iter().for_each(|(post, payload, heard)| at_each(post, payload, heard));
        let mut at = self.sent;
        while let Some((entry, next)) = self.entry(at) {
            at_each(&Post::new(&entry, &self.origin), self.payload(at, entry.size), &Heard::Nobody);
            at = next;
        }
    }

    /// Has a post wait behind those that were set aside.
    pub(super) fn restore(&mut self, post: Post, payload: Box<[u8]>, heard: Heard) {
        self.aside_bytes += payload.len() + std::mem::size_of::<Post>();
        self.aside.push_back((post, payload, heard));
    }

    /// Copies what waits in the outbox to the end of what is set aside, so that a handler can use the outbox again. What
    /// there is no room for is given to `lost`.
    pub(super) fn set_aside(&mut self, mut lost: impl FnMut(&Post, &[u8])) {
        while let Some((entry, next)) = self.entry(self.sent) {
            let post = Post::new(&entry, &self.origin);
            let payload = self.payload(self.sent, entry.size);
            let bytes = payload.len() + std::mem::size_of::<Post>();
            let limit = if post.is_to_orphan() { ASIDE_LIMIT } else { ASIDE_LIMIT - ASIDE_RESERVE };
            if self.aside_bytes + bytes > limit {
                lost(&post, payload);
            } else {
                self.aside.push_back((post, payload.into(), Heard::Nobody));
                self.aside_bytes += bytes;
            }
            self.sent = next;
        }
        self.used = 0;
        self.sent = 0;
    }
}
