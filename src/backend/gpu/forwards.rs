//! Messages of a kernel's actors to actors that their device does not reach: the host takes them there.
//!
//! They come as letters and wait here, in order, for room in the receivers' rings; one whose ring is full holds up those
//! behind it that go to the same ring, and no others. While many wait, the kernel's workers are told to make no more, which
//! is how back-pressure travels. Only where nothing gets on (workers may be waiting for each other in a circle through
//! the host) they may go on, and more memory is used, up to a limit past which messages become dead letters.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::layout::Letter;
use crate::address::{index_of, Address};
use crate::bell::Bell;
use crate::error::DeadReason;
use crate::hlc;
use crate::kernel::{directory, Offered};
use crate::message::{Class, Incoming, Owned};
use crate::ring::{flags, Envelope};

/// Messages from which on workers are to wait.
const MANY: usize = 4096;
/// Unless none has got on for so long.
const STUCK: Duration = Duration::from_millis(20);
/// Most bytes that wait.
const LIMIT: usize = 64 << 20;

struct Forward {
    worker: u32,
    to: Address,
    envelope: Envelope,
    payload: Box<[u8]>,
}

impl Forward {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }

    /// What becomes of it, and of which worker, if it cannot be delivered.
    fn dead(&self, reason: DeadReason) -> (u32, Owned) {
        let letter = Incoming {
            class: Class::DeadLetter,
            from: self.envelope.sender,
            to: self.to.to_bits(),
            correlation: self.envelope.correlation,
            time: self.envelope.time,
            kind: u32::from(self.envelope.kind),
            reason: reason as i32,
            level: self.envelope.level,
            call: self.envelope.flags & flags::CALL != 0,
            payload: self.payload.clone(),
        };
        (self.worker, letter)
    }
}

/// Those of one kernel.
pub(super) struct Forwards {
    waiting: VecDeque<Forward>,
    bytes: usize,
    /// When one was delivered, or the first came.
    moved: Instant,
}

impl Forwards {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, moved: Instant::now() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether workers are to make no more for now.
    pub(super) fn are_many(&self) -> bool {
        self.waiting.len() >= MANY && self.moved.elapsed() < STUCK
    }

    /// Takes what a letter of the class has. Its dead letter, and of which worker, if there is no room.
    pub(super) fn add(&mut self, letter: &Letter, payload: Box<[u8]>) -> Option<(u32, Owned)> {
        let to = Address::from_bits(letter.to);
        let envelope = Envelope {
            actor: to.actor(),
            kind: letter.r#type as u16,
            level: letter.level as u8 % crate::message::LEVELS as u8,
            flags: if letter.call != 0 { flags::CALL } else { 0 },
            size: payload.len() as u32,
            correlation: letter.correlation,
            sender: letter.from,
            deadline: match letter.deadline_ns {
                0 => 0,
                ns => hlc::deadline_from_now(ns),
            },
            time: letter.time,
        };
        let forward = Forward { worker: letter.worker, to, envelope, payload };
        if self.bytes + forward.bytes() > LIMIT {
            return Some(forward.dead(DeadReason::Overflow));
        }
        if self.waiting.is_empty() {
            self.moved = Instant::now();
        }
        self.bytes += forward.bytes();
        self.waiting.push_back(forward);
        None
    }

    /// Delivers what can be. `dead` gets the dead letters of what never can. `last`: nothing waits any longer.
    pub(super) fn deliver(&mut self, last: bool, mut dead: impl FnMut((u32, Owned))) {
        // Rings in which there was no room: to wait for, and not to be tried again, lest messages overtake each other.
        let mut full = Vec::new();
        let before = self.waiting.len();
        let bytes = &mut self.bytes;
        self.waiting.retain(|forward| {
            let Some(kernel) = directory::find(forward.to.kernel()) else {
                *bytes -= forward.bytes();
                dead(forward.dead(DeadReason::NoActor));
                return false;
            };
            let envelope = &forward.envelope;
            let ring = (kernel.key, kernel.placement.worker(index_of(envelope.actor)), envelope.level);
            let offered = match full.contains(&ring) {
                true if !last => return true,
                true => Offered::Dead(DeadReason::Terminated),
                false => kernel.offer(envelope, &forward.payload, || (envelope.time, envelope.deadline)),
            };
            match offered {
                Offered::Full(_) if !last => {
                    full.push(ring);
                    return true;
                }
                Offered::Full(_) => {
                    full.push(ring);
                    dead(forward.dead(DeadReason::Terminated));
                }
                Offered::Dead(reason) => dead(forward.dead(reason)),
                Offered::Sent => {}
            }
            *bytes -= forward.bytes();
            false
        });
        if self.waiting.len() != before {
            self.moved = Instant::now();
        }
    }

    /// Has `bell` rung when there may be room for some.
    pub(super) fn await_room(&self, bell: &Arc<Bell>) {
        let mut known = Vec::new();
        for forward in &self.waiting {
            let key = forward.to.kernel();
            if known.contains(&key) {
                continue;
            }
            known.push(key);
            if let Some(kernel) = directory::find(key) {
                kernel.ports.iter().flat_map(|port| port.channels()).for_each(|channel| channel.await_room(bell));
            }
        }
    }
}
