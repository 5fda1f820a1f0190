//! Taking a kernel's image while its workers hold.
//!
//! The workers themselves say what they have, each what is its own: it is theirs alone, and they are at rest when they do.

use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lifecycle::State;
use super::{Kernel, INBOUND_BIT};
use crate::address::index_of;
use crate::error::{Error, Result};
use crate::nvtx;
use crate::pins;
use crate::ring::Slot;
use crate::snapshot::{Image, Message, Part, Unsent};
use crate::time::Deadline;

/// What workers have handed in.
#[derive(Default)]
struct Collected {
    parts: Vec<Part>,
    /// Workers that have not.
    missing: usize,
    /// Workers that have not come to rest yet.
    moving: usize,
    /// Something was closed: nothing comes in any more.
    closed: bool,
    error: Option<Error>,
}

/// The captures of a kernel.
#[derive(Default)]
pub(crate) struct Captures {
    /// Held by who takes one.
    turn: Mutex<()>,
    /// How many there have been, this one included.
    number: AtomicU64,
    /// The last one for which all workers have come to rest: none sends to another any more, so each can say what it has.
    resting: AtomicU64,
    /// 1 if the kernel ends with this one, and nothing comes in any more.
    ends: AtomicU32,
    /// 1 if the kernel is otherwise active: handlers may run until their worker has handed in what it has.
    active: AtomicU32,
    /// 1 when what the kernel had is somebody else's: it ends without dead letters.
    handed_over: AtomicU32,
    /// Number of the last one that somebody has, for as long as the kernel goes on.
    kept: AtomicU64,
    collected: Mutex<Collected>,
}

impl Captures {
    fn collected(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker that begins with posts counts as completed until they have left: the kernel is not quiescent before.
pub(crate) const NOT_YET: u64 = u64::MAX;

/// A kernel that holds, and what it consists of. Dropping it lets the kernel go on, or ends it with dead letters.
pub(crate) struct Captured<'a> {
    kernel: &'a Kernel,
    /// None: it could not be taken.
    image: Option<Image>,
    /// What it was before.
    state: State,
    number: u64,
    ends: bool,
    _turn: MutexGuard<'a, ()>,
}

impl Kernel {
    /// Brings the kernel to rest and takes its image. `ends`: lets nothing in any more.
    pub(crate) fn capture(&self, ends: bool) -> Result<Captured<'_>> {
        let _range = nvtx::range(&nvtx::Name::new("snapshot of", &self.name), u64::from(self.key));
        let captures = &self.life.captures;
        let turn = captures.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let number = {
            let mut collected = captures.collected();
            let workers = self.ports.len();
            *collected = Collected { missing: workers, moving: workers, ..Collected::default() };
            captures.ends.store(u32::from(ends), Ordering::Relaxed);
            captures.active.store(0, Ordering::Relaxed);
            // Release: pairs with the Acquire in `capture_wanted`; who sees the number sees the rest.
            captures.number.fetch_add(1, Ordering::Release) + 1
        };
        let states = [State::Active, State::Suspended, State::Created];
        let Some(state) = self.shift_from(&states, State::Captured) else {
            return Err(self.refusal("taking a snapshot"));
        };
        // Relaxed: who sees it late does without.
        captures.active.store(u32::from(state == State::Active), Ordering::Relaxed);
        self.kick();
        let collected = self.await_parts();
        let ends = captures.collected().closed;
        // From here on dropping it undoes what was done.
        let kind = &self.module.actors()[self.kind];
        let (actor, name, size) = (kind.name.clone(), self.name.clone(), self.state_size() as u32);
        let parts = match &collected {
            Ok(()) => std::mem::take(&mut captures.collected().parts),
            Err(_) => Vec::new(),
        };
        let image = collected.and_then(|()| Image::new(self.key, actor, name, size, parts));
        let (image, outcome) = match image {
            Ok(image) => (Some(image), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let captured = Captured { kernel: self, image, state, number, ends, _turn: turn };
        outcome.map(|()| captured)
    }

    fn await_parts(&self) -> Result<()> {
        loop {
            let mark = self.life.changed.mark();
            let mut collected = self.life.captures.collected();
            if let Some(error) = collected.error.take() {
                return Err(error);
            }
            if collected.missing == 0 {
                return Ok(());
            }
            drop(collected);
            if self.state() == State::Failed || self.is_closing() {
                return Err(self.refusal("taking a snapshot"));
            }
            self.life.changed.wait(mark, Deadline::Never);
        }
    }

    /// By a worker whose command is [`Show`](super::Command::Show): the number of the capture, and whether it is the end.
    pub(crate) fn capture_wanted(&self) -> (u64, bool) {
        // The command was read without an order; this makes what was written before it ours.
        fence(Ordering::Acquire);
        let captures = &self.life.captures;
        (captures.number.load(Ordering::Acquire), captures.ends.load(Ordering::Relaxed) == 1)
    }

    /// By a worker that has come to rest for capture `last`, and handled nothing since: whether it may, before it does so for
    /// the next one. Else a kernel of which images are taken all the time would never come to anything.
    pub(crate) fn may_go_on_first(&self, last: u64) -> bool {
        let number = self.capture_wanted().0;
        number != last && self.life.captures.active.load(Ordering::Relaxed) == 1 && !self.home.is_parked()
    }

    /// By so many workers: they send nothing more before they have handed in what they have, for the capture with that
    /// number.
    pub(crate) fn come_to_rest(&self, number: u64, workers: usize) {
        let captures = &self.life.captures;
        let mut collected = captures.collected();
        // Relaxed: changed under the lock. The capture may have been given up.
        if captures.number.load(Ordering::Relaxed) != number {
            return;
        }
        collected.moving = collected.moving.saturating_sub(workers);
        if collected.moving == 0 {
            // Release: pairs with the Acquire in `rests`; what workers sent before is in its ring.
            captures.resting.store(number, Ordering::Release);
            drop(collected);
            self.kick();
        }
    }

    /// Whether all workers rest for the capture with that number.
    pub(crate) fn rests(&self, number: u64) -> bool {
        // Acquire: pairs with the Release in `come_to_rest`.
        self.life.captures.resting.load(Ordering::Acquire) == number
    }

    /// By a worker that lets nothing in any more: however the capture goes on, the kernel ends with it.
    pub(crate) fn note_closed(&self) {
        self.life.captures.collected().closed = true;
    }

    /// By so many workers: what they consist of, for the capture with that number.
    pub(crate) fn hand_in(&self, number: u64, workers: usize, part: Result<Part>) {
        let captures = &self.life.captures;
        let mut collected = captures.collected();
        // Relaxed: changed under the lock. The capture may have been given up.
        if captures.number.load(Ordering::Relaxed) != number {
            return;
        }
        collected.missing = collected.missing.saturating_sub(workers);
        match part {
            Ok(part) => collected.parts.push(part),
            Err(error) => collected.error = Some(error),
        }
        drop(collected);
        self.life.changed.ring();
    }

    /// By a worker that is about to go on after the capture with that number: whether what it handed in is what actors are to
    /// be restarted with.
    pub(crate) fn is_kept(&self, number: u64) -> bool {
        // The command was read without an order; see `capture_wanted`.
        fence(Ordering::Acquire);
        // Acquire: pairs with the Release in `hand_over`.
        self.life.captures.kept.load(Ordering::Acquire) == number
    }

    /// By a worker of a kernel that ends: whether what it has is somebody else's by now.
    pub(crate) fn is_handed_over(&self) -> bool {
        // Acquire: pairs with the Release in `hand_over`.
        self.life.captures.handed_over.load(Ordering::Acquire) == 1
    }
}

impl Kernel {
    /// Puts the messages of an image where they came in, in a kernel that has just been made and whose rings are large
    /// enough. Those between actors of a device are only counted: they lie in its memory already.
    pub(crate) fn refill(&self, image: &Image) -> Result<()> {
        for Message { from_host, envelope, payload } in &image.all.messages {
            let port = &self.ports[self.placement.worker(index_of(envelope.actor))];
            let (rings, first_bit) = if *from_host { (&port.inbound, INBOUND_BIT) } else { (&port.peers, 0) };
            let ring = &rings[usize::from(envelope.level)].ring;
            if self.remote && !*from_host {
                ring.mirror(ring.accepted() + 1, 0);
                continue;
            }
            let full = |_| Error::Limit("more messages wait than the rings hold".into());
            let ticket = ring.reserve_one(pins::section()).map_err(full)?;
            let (slot, body) = Slot::encode(envelope, payload);
            port.mark_used(first_bit + u32::from(envelope.level));
            ring.write(ticket, &slot, body);
        }
        if self.remote {
            // Until a worker says so itself. Relaxed: nobody else has the kernel yet.
            for Unsent { post, .. } in &image.all.posts {
                let tally = &self.ports[self.placement.worker(index_of(post.by as u32))].tally;
                tally.deferred.fetch_add(1, Ordering::Relaxed);
                tally.completed.store(NOT_YET, Ordering::Relaxed);
            }
            for (counter, count) in self.ports[0].tally.counters.iter().zip(image.all.counters) {
                counter.store(count, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

impl Captured<'_> {
    pub(crate) fn image(&self) -> &Image {
        self.image.as_ref().expect("who has no image is given none of these")
    }

    /// Somebody has the image now. Ends the kernel, if it was to end, without dead letters: what it had is in there.
    pub(crate) fn hand_over(self) {
        let captures = &self.kernel.life.captures;
        if self.ends {
            // Release: pairs with the Acquire in `is_handed_over`.
            captures.handed_over.store(1, Ordering::Release);
        } else {
            // Release: pairs with the Acquire in `is_kept`. Before the kernel goes on, which it does when this is dropped.
            captures.kept.store(self.number, Ordering::Release);
        }
    }
}

impl Drop for Captured<'_> {
    fn drop(&mut self) {
        let next = if self.ends { State::Ending } else { self.state };
        // It may have failed meanwhile.
        if self.kernel.shift(&[State::Captured], next) {
            self.kernel.kick();
        }
        self.kernel.escalate_if_due();
        if self.ends {
            // An error means that it failed.
            let _over = self.kernel.await_end(Deadline::Never);
        }
    }
}
