//! Messages of a kernel's actors to actors that their device does not reach, and to the subscribers of topics that it does not
//! serve: the host takes them there.
//!
//! They come as letters and wait here, by the ring that they are for, until there is room. While many wait, the kernel's
//! workers are told to make no more, which is how back-pressure travels. Only where nothing gets on although the receivers
//! run (workers may be waiting for each other in a circle through the host) they may go on, and more memory is used, up to
//! a limit past which messages become dead letters.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::layout::Letter;
use crate::address::{index_of, Address};
use crate::bell::Bell;
use crate::error::DeadReason;
use crate::hlc;
use crate::kernel::{dead_letter, directory, Command, Kernel, Offered, Post, Wait};
use crate::message::{Owned, LEVELS};
use crate::ring::{flags, Envelope};
use crate::snapshot::{Image, Unsent};
use crate::topics::{self, Fanout, Heard, Refusal};

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
    /// Of a publication: who has it.
    heard: Heard,
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

    fn offer(&self, topics: &mut topics::Reader) -> Outcome {
        let envelope = &self.envelope;
        if let Some(topic) = self.to.topic() {
            // Of several who might answer a call none is the one that does.
            if envelope.flags & flags::CALL != 0 {
                return Outcome::Dead(DeadReason::NoActor);
            }
            return match topics.publish(topic, envelope, &self.payload, &self.heard) {
                Ok(()) => Outcome::Sent,
                Err(Refusal::Closed) => Outcome::Dead(DeadReason::NoActor),
                Err(Refusal::Full(subscription)) => Outcome::Full { rests: rests(subscription.holds_up()) },
            };
        }
        let Some(kernel) = directory::find(self.to.kernel()) else { return Outcome::Dead(DeadReason::NoActor) };
        match kernel.offer(envelope, &self.payload, false, || (envelope.time, envelope.deadline)) {
            Offered::Sent => Outcome::Sent,
            Offered::Full(_) => Outcome::Full { rests: kernel.command() != Command::Run },
            Offered::Dead(reason) => Outcome::Dead(reason),
        }
    }
}

/// Whether what is waited for lasts until the host does something.
fn rests(wait: Wait) -> bool {
    match wait {
        Wait::Worker { kernel, .. } => directory::find(kernel).is_some_and(|kernel| kernel.command() != Command::Run),
        _ => true,
    }
}

enum Outcome {
    Sent,
    /// `rests`: there will be no room before the host does something, so this is no circle.
    Full {
        rests: bool,
    },
    Dead(DeadReason),
}

/// A ring, by kernel, worker and level, or a topic.
type Place = (u32, usize, u8);

fn place(to: Address, level: u8) -> Option<Place> {
    match to.topic() {
        Some(topic) => Some((to.kernel(), topic as usize, 0)),
        None => Some((to.kernel(), directory::find(to.kernel())?.placement.worker(to.index()), level)),
    }
}

/// Those of one kernel.
pub(super) struct Forwards {
    /// In the order in which they came; no queue is empty.
    waiting: BTreeMap<Place, VecDeque<Forward>>,
    /// Publications that the kernel began with, which are to wait until it runs, with the worker that they are of: they are
    /// no longer for the device, where some have heard them.
    begun_with: Vec<(u32, Unsent)>,
    count: usize,
    bytes: usize,
    /// Some will wait until the host does something.
    resting: bool,
    /// Those that are published to.
    topics: topics::Reader,
    fanout: Option<Arc<dyn Fanout>>,
    /// When one was delivered, or the first came.
    moved: Instant,
}

impl Forwards {
    pub(super) fn of(kernel: &Kernel) -> Self {
        Self {
            waiting: BTreeMap::new(),
            begun_with: Vec::new(),
            count: 0,
            bytes: 0,
            resting: false,
            topics: topics::Reader::default(),
            fanout: kernel.fanout.clone(),
            moved: Instant::now(),
        }
    }

    /// Takes what is theirs of what the kernel begins with.
    pub(super) fn restore(&mut self, kernel: &Kernel, image: &Image) {
        kernel.home.clock.merge(image.all.time);
        let ours = image.all.posts.iter().filter(|unsent| !unsent.heard.is_empty());
        let worker = |unsent: &Unsent| kernel.placement.worker(index_of(unsent.post.by as u32)) as u32;
        self.begun_with.extend(ours.map(|unsent| (worker(unsent), unsent.clone())));
    }

    /// The kernel runs: what it began with is sent. Gives of which workers, once for each.
    pub(super) fn begin(&mut self, kernel: &Kernel) -> Vec<u32> {
        let begun_with = std::mem::take(&mut self.begun_with);
        let begin = |(worker, Unsent { post, payload, heard })| {
            let deadline = hlc::deadline_from_now(post.deadline_ns);
            let envelope = Envelope { deadline, time: kernel.home.clock.witness(), ..post.envelope };
            let (to, heard) = (Address::from_bits(post.to), Heard::of_actors(&heard));
            // Topics are places, whatever becomes of them.
            let place = (to.kernel(), to.actor() as usize, 0);
            self.push(place, Forward { worker, to, envelope, payload, heard });
            worker
        };
        begun_with.into_iter().map(begin).collect()
    }

    /// Whether there are none that could be delivered.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// All that wait, with the worker whose actor sent it; those for one place in their order. Nobody says by which actor.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Unsent)> + '_ {
        let waiting = self.waiting.values().flatten().map(|Forward { worker, to, envelope, payload, heard }| {
            let deadline_ns = hlc::until_deadline(envelope.deadline);
            let heard = heard.actors(envelope);
            let envelope = Envelope { deadline: 0, time: 0, ..*envelope };
            let post = Post { to: to.to_bits(), by: 0, envelope, deadline_ns };
            (*worker, Unsent { post, payload: payload.clone(), heard })
        });
        self.begun_with.iter().cloned().chain(waiting)
    }

    /// Whether workers are to make no more for now.
    pub(super) fn are_many(&self) -> bool {
        self.count >= MANY && (self.resting || self.moved.elapsed() < STUCK)
    }

    /// Takes what a letter of the class has. Its dead letter, and of which worker, if there is no receiver, or no room.
    pub(super) fn add(&mut self, letter: &Letter, payload: Box<[u8]>) -> Option<(u32, Owned)> {
        let to = Address::from_bits(letter.to);
        let envelope = Envelope {
            actor: to.actor(),
            kind: letter.r#type as u16,
            level: letter.level as u8 % LEVELS as u8,
            flags: if letter.call != 0 { flags::CALL } else { 0 },
            size: payload.len() as u32,
            correlation: letter.correlation,
            sender: letter.from,
            deadline: hlc::deadline_from_now(letter.deadline_ns),
            time: letter.time,
        };
        let heard = match (to.topic(), &self.fanout) {
            (Some(topic), Some(fanout)) => self.topics.heard(topic, fanout),
            _ => Heard::Nobody,
        };
        let forward = Forward { worker: letter.worker, to, envelope, payload, heard };
        let Some(place) = place(to, envelope.level) else { return Some(forward.dead(DeadReason::NoActor)) };
        if self.bytes + forward.bytes() > LIMIT {
            return Some(forward.dead(DeadReason::Overflow));
        }
        self.push(place, forward);
        None
    }

    fn push(&mut self, place: Place, forward: Forward) {
        if self.count == 0 {
            self.moved = Instant::now();
        }
        self.count += 1;
        self.bytes += forward.bytes();
        self.waiting.entry(place).or_default().push_back(forward);
    }

    /// Delivers what can be. `dead` gets the dead letters of what never can. `last`: nothing waits any longer.
    pub(super) fn deliver(&mut self, last: bool, mut dead: impl FnMut((u32, Owned))) {
        let Self { waiting, count, bytes, resting, topics, moved, .. } = self;
        let before = *count;
        *resting = false;
        waiting.retain(|_, queue| {
            // At the end: once one has found no room, those behind it are not to overtake it.
            let mut full = false;
            while let Some(forward) = queue.front() {
                let outcome = if full { Outcome::Full { rests: false } } else { forward.offer(topics) };
                match outcome {
                    Outcome::Sent => {}
                    Outcome::Dead(reason) => dead(forward.dead(reason)),
                    Outcome::Full { rests } if !last => {
                        *resting |= rests;
                        return true;
                    }
                    Outcome::Full { .. } => {
                        full = true;
                        dead(forward.dead(DeadReason::Terminated));
                    }
                }
                *count -= 1;
                *bytes -= forward.bytes();
                queue.pop_front();
            }
            false
        });
        if *count != before {
            *moved = Instant::now();
        }
    }

    /// Has `bell` rung when there may be room for some. Subscribers of topics do not ring it.
    pub(super) fn await_room(&self, bell: &Arc<Bell>) {
        for Forward { to, envelope, .. } in self.waiting.values().filter_map(VecDeque::front) {
            if let (None, Some(kernel)) = (to.topic(), directory::find(to.kernel())) {
                if to.index() < kernel.actors {
                    kernel.entrance_of(*to, envelope.level, false).await_room(bell);
                }
            }
        }
    }
}
