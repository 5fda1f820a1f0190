//! Messages of a kernel's actors to actors that their device does not reach: the host takes them there.
//!
//! To topics, too, which devices do not know. They come as letters and wait here, in order, for room in the receivers' rings; one whose ring is full holds up those
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
use crate::kernel::{dead_letter, directory, Command, Offered};
use crate::message::Owned;
use crate::ring::{flags, Envelope};
use crate::topics::{self, Refusal};

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
        let envelope = &self.envelope;
        (self.worker, dead_letter(envelope, self.to.to_bits(), envelope.time, &self.payload, reason))
    }

    /// The ring that it is for, by kernel, worker and level, or the topic. None if there is nobody.
    fn place(&self) -> Option<(u32, usize, u8)> {
        let (key, actor, level) = (self.to.kernel(), self.to.actor(), self.envelope.level);
        match self.to.topic() {
            Some(_) => Some((key, actor as usize, 0)),
            None => Some((key, directory::find(key)?.placement.worker(index_of(actor)), level)),
        }
    }

    /// Found full: whether that lasts until the host does something.
    fn waits_for_rest(&self) -> bool {
        match self.to.topic() {
            // A subscription that is full holds up until it is polled, or its actor goes on.
            Some(_) => true,
            None => directory::find(self.to.kernel()).is_some_and(|kernel| kernel.command() != Command::Run),
        }
    }

    fn offer(&self, topics: &mut topics::Reader) -> Offered {
        let envelope = &self.envelope;
        if let Some(topic) = self.to.topic() {
            // Of several who might answer a call none is the one that does.
            if envelope.flags & flags::CALL != 0 {
                return Offered::Dead(DeadReason::NoActor);
            }
            return match topics.publish(topic, envelope, &self.payload) {
                Ok(()) => Offered::Sent,
                Err(Refusal::Closed) => Offered::Dead(DeadReason::NoActor),
                Err(Refusal::Full(_)) => Offered::Full(0),
            };
        }
        match directory::find(self.to.kernel()) {
            Some(kernel) => kernel.offer(envelope, &self.payload, false, || (envelope.time, envelope.deadline)),
            None => Offered::Dead(DeadReason::NoActor),
        }
    }
}

/// Those of one kernel.
pub(super) struct Forwards {
    waiting: VecDeque<Forward>,
    bytes: usize,
    /// What some wait for is at rest, or the host's to do: nothing that waiting for could be a circle.
    resting: bool,
    /// Those that are published to.
    topics: topics::Reader,
    /// When one was delivered, or the first came.
    moved: Instant,
}

impl Forwards {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            resting: false,
            topics: topics::Reader::default(),
            moved: Instant::now(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether workers are to make no more for now.
    pub(super) fn are_many(&self) -> bool {
        self.waiting.len() >= MANY && (self.resting || self.moved.elapsed() < STUCK)
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
        let mut resting = false;
        let (bytes, topics) = (&mut self.bytes, &mut self.topics);
        self.waiting.retain(|forward| {
            let place = forward.place();
            let known = full.contains(&place);
            let offered = match known {
                true => Offered::Full(0),
                false => forward.offer(topics),
            };
            match offered {
                Offered::Full(_) => {
                    if !known {
                        full.push(place);
                        resting |= forward.waits_for_rest();
                    }
                    if !last {
                        return true;
                    }
                    dead(forward.dead(DeadReason::Terminated));
                }
                Offered::Dead(reason) => dead(forward.dead(reason)),
                Offered::Sent => {}
            }
            *bytes -= forward.bytes();
            false
        });
        self.resting = resting;
        if self.waiting.len() != before {
            self.moved = Instant::now();
        }
    }

    /// Has `bell` rung when there may be room for some. Subscribers of topics do not ring it.
    pub(super) fn await_room(&self, bell: &Arc<Bell>) {
        let mut known = Vec::new();
        for forward in &self.waiting {
            let place = forward.place();
            if known.contains(&place) {
                continue;
            }
            known.push(place);
            if let (None, Some(kernel)) = (forward.to.topic(), directory::find(forward.to.kernel())) {
                if forward.to.index() < kernel.actors {
                    kernel.entrance_of(forward.to, forward.envelope.level, false).await_room(bell);
                }
            }
        }
    }
}
