//! What a handler produced, on its way out.
//!
//! A handler's posts lie one after the other in the worker's outbox. They leave in order; when one finds a full ring, the
//! rest waits behind it and the worker handles nothing more, which is how back-pressure travels upstream. Only where
//! workers wait for each other in a circle does one of them set its posts aside, in memory, to take a message and so make
//! room for its neighbour (see `Worker::break_cycle`). Posts set aside leave first.

use std::collections::VecDeque;

use super::actors::Buffer;
use crate::error::Result;
use crate::layout::{Outgoing, POST_EMIT, POST_FORWARD, POST_REPLY};
use crate::message::level_of;
use crate::ring::{flags, Envelope};

/// Most bytes set aside by one worker. Circles of messages that only go round stay far below; past it, actors that answer
/// each message with several are filling memory for ever, and posts become dead letters.
const ASIDE_LIMIT: usize = 64 << 20;

const HEADER: usize = std::mem::size_of::<Outgoing>();

/// The message that was being handled when a post was made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin {
    /// Address of the actor that handled it.
    pub(super) actor: u64,
    /// Sender of the message, 0 for the host.
    pub(super) sender: u64,
    pub(super) correlation: u64,
    pub(super) level: u8,
    /// `flags::CALL` if the message was a call's.
    pub(super) call: u8,
}

/// A post with everything about it known: where it goes, and the envelope but for its time and deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Post {
    /// Receiver, 0 for the host.
    pub(super) to: u64,
    /// Actor that made it.
    pub(super) by: u64,
    pub(super) envelope: Envelope,
    /// Nanoseconds, 0 for none.
    pub(super) deadline_ns: u64,
}

impl Post {
    fn new(entry: &Outgoing, origin: &Origin) -> Self {
        let (to, sender, correlation, extra) = match entry.kind {
            POST_REPLY => (origin.sender, origin.actor, origin.correlation, origin.call | flags::REPLY),
            POST_EMIT => (0, origin.actor, entry.correlation, 0),
            POST_FORWARD => (entry.to, origin.sender, origin.correlation, origin.call),
            _ => (entry.to, origin.actor, entry.correlation, 0),
        };
        let answers = matches!(entry.kind, POST_REPLY | POST_FORWARD);
        let level = if entry.priority == 0 && answers { origin.level } else { level_of(entry.priority) };
        let envelope = Envelope {
            actor: if to == 0 { origin.actor as u32 } else { to as u32 },
            // Zero, for what no slot can say, is a type that nobody handles.
            kind: u16::try_from(entry.r#type).unwrap_or(0),
            level,
            // Only the host tells replies from other messages.
            flags: if to == 0 { extra } else { extra & flags::CALL },
            size: entry.size,
            correlation,
            sender: if to == 0 { 0 } else { sender },
            deadline: 0,
            time: 0,
        };
        // A reply to an actor ends a call's way: the answer that the caller waits for is another.
        let envelope = match entry.kind {
            POST_REPLY if to != 0 => Envelope { flags: 0, ..envelope },
            _ => envelope,
        };
        Self { to, by: origin.actor, envelope, deadline_ns: entry.deadline }
    }
}

/// Posts of one worker.
pub(super) struct Outbox {
    buffer: Buffer,
    limit: u32,
    /// Bytes that entries fill, and of these, bytes that have left.
    used: u32,
    sent: u32,
    origin: Origin,
    aside: VecDeque<(Post, Box<[u8]>)>,
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

    /// Hands posts to `deliver` in order until it refuses one, which stays. True if all have left.
    #[inline]
    pub(super) fn drain(&mut self, mut deliver: impl FnMut(&Post, &[u8]) -> bool) -> bool {
        while let Some((post, payload)) = self.aside.front() {
            if !deliver(post, payload) {
                return false;
            }
            self.aside_bytes -= payload.len() + std::mem::size_of::<Post>();
            self.aside.pop_front();
        }
        while let Some((entry, next)) = self.entry(self.sent) {
            if !deliver(&Post::new(&entry, &self.origin), self.payload(self.sent, entry.size)) {
                return false;
            }
            self.sent = next;
        }
        self.used = 0;
        self.sent = 0;
        true
    }

    /// Copies what waits in the outbox to the end of what is set aside, so that a handler can use the outbox again. What
    /// there is no room for is given to `lost`.
    pub(super) fn set_aside(&mut self, mut lost: impl FnMut(&Post, &[u8])) {
        while let Some((entry, next)) = self.entry(self.sent) {
            let post = Post::new(&entry, &self.origin);
            let payload = self.payload(self.sent, entry.size);
            let bytes = payload.len() + std::mem::size_of::<Post>();
            if self.aside_bytes + bytes > ASIDE_LIMIT {
                lost(&post, payload);
            } else {
                self.aside.push_back((post, payload.into()));
                self.aside_bytes += bytes;
            }
            self.sent = next;
        }
        self.used = 0;
        self.sent = 0;
    }
}
