//! What a handler sends, from when it wrote it to when it leaves its kernel.

use crate::layout::{Outgoing, POST_AGAIN, POST_EMIT, POST_FORWARD, POST_REPLY, TYPE_ORPHANED};
use crate::message::level_of;
use crate::ring::{flags, Envelope};

/// The message that was being handled when a post was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    /// Address of the actor that handled it.
    pub(crate) actor: u64,
    /// Sender of the message, 0 for the host.
    pub(crate) sender: u64,
    pub(crate) correlation: u64,
    pub(crate) level: u8,
    /// `flags::CALL` if the message was a call's.
    pub(crate) call: u8,
}

impl Origin {
    /// Of what an actor sends that answers nothing.
    pub(crate) fn of(actor: u64) -> Self {
        Self { actor, level: 1, ..Self::default() }
    }
}

/// A post with everything about it known: where it goes, and the envelope but for its time and deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    /// Receiver, 0 for the host.
    pub(crate) to: u64,
    /// Actor that made it.
    pub(crate) by: u64,
    pub(crate) envelope: Envelope,
    /// Nanoseconds, 0 for none.
    pub(crate) deadline_ns: u64,
}

impl Post {
    /// Whether it tells the children of an actor of its kernel that this has ended.
    #[inline]
    pub(crate) fn is_to_orphan(&self) -> bool {
        u32::from(self.envelope.kind) == TYPE_ORPHANED && self.envelope.size == 0 && self.to >> 32 == self.by >> 32
    }

    pub(crate) fn new(entry: &Outgoing, origin: &Origin) -> Self {
        let (to, sender, correlation, extra) = match entry.kind {
            POST_REPLY => (origin.sender, origin.actor, origin.correlation, origin.call | flags::REPLY),
            POST_EMIT => (0, origin.actor, entry.correlation, 0),
            POST_FORWARD => (entry.to, origin.sender, origin.correlation, origin.call),
            POST_AGAIN => (entry.to, origin.sender, origin.correlation, origin.call | flags::AGAIN),
            _ => (entry.to, origin.actor, entry.correlation, 0),
        };
        let answers = matches!(entry.kind, POST_REPLY | POST_FORWARD | POST_AGAIN);
        let level = if entry.priority == 0 && answers { origin.level } else { level_of(entry.priority) };
        let envelope = Envelope {
            actor: if to == 0 { origin.actor as u32 } else { to as u32 },
            // Zero, for what no slot can say, is a type that nobody handles.
            kind: u16::try_from(entry.r#type).unwrap_or(0),
            level,
            // Only the host tells replies from other messages.
            flags: if to == 0 { extra } else { extra & !flags::REPLY },
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
