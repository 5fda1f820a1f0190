//! What a trace is made of: one event is 64 bytes, whatever it is about.

use bytemuck::{Pod, Zeroable};

use crate::ring::Envelope;

/// Words of an event.
pub(super) const WORDS: usize = 8;

/// What to record: the bits are `RK_TRACE_...`.
pub(crate) mod what {
    pub(crate) const HANDLERS: u32 = 1;
    pub(crate) const SENDS: u32 = 2;
    pub(crate) const VISITS: u32 = 4;
    pub(crate) const DEPTH: u32 = 8;
    pub(crate) const ALL: u32 = HANDLERS | SENDS | VISITS | DEPTH;
}

/// Which event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    /// A handler, of a message that an actor sent.
    Handler = 1,
    /// A handler, of a message that the host sent.
    HostHandler = 2,
    /// A post on its way into a ring.
    Send = 3,
    /// A stay of a worker's pump on its thread.
    Visit = 4,
    /// A stay of a kernel's pump on a device, as the host sees it.
    Quantum = 5,
}

/// One event, as it lies in a tape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Event {
    /// When, in ticks of `Wall::ticks`.
    pub(super) begin: u64,
    pub(super) end: u64,
    /// Of the message. Of visits: messages handled. Of quanta: the number.
    pub(super) stamp: u64,
    pub(super) correlation: u64,
    /// Sender as the receiver sees it, 0 for the host. With stamp and receiver it tells a message from all others.
    pub(super) from: u64,
    /// Receiver, 0 for the host.
    pub(super) to: u64,
    /// Of messages from the host: how long it waited, in units of stamps. Of sends: the actor that made the post. Of
    /// visits: messages that wait at the end.
    pub(super) extra: u64,
    /// Bytes of payload.
    pub(super) size: u32,
    /// Message type.
    pub(super) kind: u16,
    pub(super) level: u8,
    class: u8,
}

/// A message as both its ends know it.
#[derive(Clone, Copy)]
pub(crate) struct Message {
    pub(crate) stamp: u64,
    pub(crate) correlation: u64,
    from: u64,
    to: u64,
    size: u32,
    kind: u16,
    level: u8,
}

impl Message {
    /// `to`: the receiver's address, 0 for the host.
    pub(crate) fn new(envelope: &Envelope, stamp: u64, to: u64) -> Self {
        let Envelope { correlation, sender: from, size, kind, level, .. } = *envelope;
        Self { stamp, correlation, from, to, size, kind, level }
    }
}

impl Event {
    fn of(class: Class, begin: u64, end: u64, message: Message) -> Self {
        let Message { stamp, correlation, from, to, size, kind, level } = message;
        Self { begin, end, stamp, correlation, from, to, extra: 0, size, kind, level, class: class as u8 }
    }

    /// `waited`: of a message from the host.
    pub(crate) fn handler(begin: u64, end: u64, message: Message, waited: Option<u64>) -> Self {
        let class = if waited.is_some() { Class::HostHandler } else { Class::Handler };
        Self { extra: waited.unwrap_or(0), ..Self::of(class, begin, end, message) }
    }

    /// `by`: the actor that made the post.
    pub(crate) fn send(begin: u64, end: u64, message: Message, by: u64) -> Self {
        Self { extra: by, ..Self::of(Class::Send, begin, end, message) }
    }

    pub(crate) fn visit(begin: u64, end: u64, handled: u64, waiting: u64) -> Self {
        Self { begin, end, stamp: handled, extra: waiting, class: Class::Visit as u8, ..Self::default() }
    }

    pub(crate) fn quantum(begin: u64, end: u64, number: u64) -> Self {
        Self { begin, end, stamp: number, class: Class::Quantum as u8, ..Self::default() }
    }

    /// `None` only of zeros.
    pub(super) fn class(&self) -> Option<Class> {
        use Class::*;
        [Handler, HostHandler, Send, Visit, Quantum].into_iter().find(|class| *class as u8 == self.class)
    }

    pub(super) fn to_words(self) -> [u64; WORDS] {
        bytemuck::cast(self)
    }

    pub(super) fn from_words(words: [u64; WORDS]) -> Self {
        bytemuck::cast(words)
    }
}
