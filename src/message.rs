//! Messages as host threads see them.

use std::time::Duration;

use crate::error::{DeadReason, Result};
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
}

/// Events. The numbers are `RK_EVENT_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Event {
    ActorFailed = 1,
    KernelTerminated = 2,
    KernelFailed = 3,
    Transfer = 4,
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

impl<P: AsRef<[u8]>> Incoming<P> {
    pub(crate) fn borrowed(&self) -> Incoming<&[u8]> {
        self.with(self.payload.as_ref())
    }

    pub(crate) fn to_owned(&self) -> Owned {
        self.with(self.payload.as_ref().into())
    }

    fn with<Q>(&self, payload: Q) -> Incoming<Q> {
        let Self { class, from, to, correlation, time, kind, reason, level, call, .. } = *self;
        Incoming { class, from, to, correlation, time, kind, reason, level, call, payload }
    }

    /// Why it died, if it did.
    pub(crate) fn dead(&self) -> Option<DeadReason> {
        (self.class == Class::DeadLetter).then(|| DeadReason::from_code(self.reason)).flatten()
    }
}

/// What a [`Sink`] did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Copied.
    Taken,
    /// There is no room for one more.
    Full,
}

/// Where polled messages go: the caller's arrays.
pub(crate) trait Sink {
    /// Takes a copy of a message if there is room. An error ends the poll with the message still queued.
    fn offer(&mut self, message: &Incoming<&[u8]>) -> Result<Offer>;
    /// How many were taken.
    fn taken(&self) -> usize;
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
