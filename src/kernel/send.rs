//! Sending from the host.

use std::mem::MaybeUninit;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use super::{directory, Kernel, Port, INBOUND_BIT};
use crate::address::{index_of, Address};
use crate::bell::Bell;
use crate::error::{Error, Result};
use crate::hlc;
use crate::layout::TYPE_ORPHANED;
use crate::message::{Letter, Owned, Timeout};
use crate::ring::{flags, Channel, Envelope, Like, Refused, Slot};
use crate::time::{Deadline, Spin};
use crate::{pins, queue};

/// Messages that one reservation covers at most: their places and stamps are taken together.
const RUN: usize = 64;

/// A message as it goes into a ring: its slot, and what is to go into the slot's body.
type Encoded<'a> = (Slot, &'a [u8]);

/// Turns between looks of a caller at queues where its answer is less likely to come.
const FAR: u32 = 32;

/// Messages for `rk_send_many`.
pub(crate) trait Batch {
    fn len(&self) -> usize;
    /// Key of the kernel, and the letter, of message `index`; none if that is not as a message must be.
    fn get(&self, index: usize) -> Option<(u32, Letter<'_>)>;
    /// What is wrong with a message that could not be had.
    fn flaw(&self, index: usize) -> Error;
    /// All but receiver, correlation and payload.
    type Likeness: Copy;
    /// That of message `index`, if its priority is one of the letter's level; with the letter's type and size. None if that has a
    /// deadline.
    fn likeness(&self, index: usize, letter: &Letter<'_>) -> Option<Self::Likeness>;
    /// Receiver's address, correlation and payload of message `index`, if the rest of it is like that.
    fn get_like(&self, index: usize, like: Self::Likeness) -> Option<(u64, u64, &[u8])>;
}

impl Kernel {
    /// Declared size of a type that actors take from the host.
    #[inline(always)]
    fn limit(&self, kind: u32) -> Option<u32> {
        self.types.find(kind).filter(|_| kind != TYPE_ORPHANED).map(|(limit, _)| limit)
    }

    /// The receiver's worker and the channel to it, if a letter can be sent. An option, since a result would go through
    /// memory.
    #[inline(always)]
    fn find(&self, letter: &Letter<'_>) -> Option<(&Port, &Channel)> {
        let index = index_of(letter.actor);
        if index >= self.actors {
            return None;
        }
        let limit = self.limit(letter.kind)?;
        if letter.payload.len() as u32 > limit {
            return None;
        }
        let port = self.ports.get(self.placement.worker(index))?;
        Some((port, port.inbound.get(usize::from(letter.level))?))
    }

    /// Whether a letter goes to that port, as one does that is of the same level and may be like it.
    #[inline(always)]
    fn follows(&self, letter: &Letter<'_>, other: &Letter<'_>, port: &Port) -> bool {
        if alike(letter, other) {
            // The type need not be looked up again.
            return self.leads_to(letter.actor, port);
        }
        self.find(letter).is_some_and(|(its, _)| std::ptr::eq(its, port))
    }

    /// Whether an actor is there, behind that port.
    #[inline(always)]
    fn leads_to(&self, actor: u32, port: &Port) -> bool {
        let index = index_of(actor);
        let its = self.ports.get(self.placement.worker(index));
        index < self.actors && its.is_some_and(|its| std::ptr::eq(its, port))
    }

    /// The same, or why it cannot be sent.
    #[inline(always)]
    fn route(&self, letter: &Letter<'_>) -> Result<(&Port, &Channel)> {
        match self.find(letter) {
            Some(found) => Ok(found),
            None => Err(self.misfit(*letter)),
        }
    }

    // Takes a copy, as all do that are called seldom: a letter that nobody points to stays in registers.
    #[cold]
    fn misfit(&self, letter: Letter<'_>) -> Error {
        if index_of(letter.actor) >= self.actors {
            return Error::Stale;
        }
        match self.limit(letter.kind) {
            None => Error::NotFound(format!("message type {} in the actor's handlers", letter.kind)),
            Some(limit) => Error::Size { size: letter.payload.len() as u32, limit },
        }
    }

    #[inline(always)]
    fn encode<'a>(letter: &Letter<'a>, time: u64, extra: u8) -> (Slot, &'a [u8]) {
        Slot::encode(&Self::envelope(letter, time, extra), letter.payload)
    }

    #[inline(always)]
    fn envelope(letter: &Letter<'_>, time: u64, extra: u8) -> Envelope {
        Envelope {
            actor: letter.actor,
            kind: letter.kind as u16,
            level: letter.level,
            flags: extra,
            size: letter.payload.len() as u32,
            correlation: letter.correlation,
            sender: 0,
            deadline: hlc::deadline_from_now(letter.deadline_ns),
            time,
        }
    }

    /// Sends if there is room. `now`: as of [`send`](Self::send).
    #[inline(always)]
    fn try_send(&self, letter: &Letter<'_>, extra: u8, now: u64) -> Result<()> {
        self.accepts()?;
        let (port, channel) = self.route(letter)?;
        let me = pins::section();
        // The stamp is taken after the place: messages in a ring have growing stamps per sender in any case. Both in one
        // section, for the common case.
        let (ticket, time) = {
            let inside = me.enter();
            (channel.ring.reserve_owned(&inside), self.home.clock.tick_owned(&inside, now))
        };
        let ticket = match ticket {
            Some(Ok(ticket)) => ticket,
            // Not merged with the above, for a result would go through memory.
            Some(Err(refused)) => return Err(self.full(refused)),
            None => channel.ring.reserve_one(me).map_err(|refused| self.full(refused))?,
        };
        let time = time.unwrap_or_else(|| self.home.clock.tick(me));
        let (slot, body) = Self::encode(letter, time, extra);
        port.mark_used(INBOUND_BIT + u32::from(letter.level));
        channel.ring.write(ticket, &slot, body);
        port.bell.ring();
        Ok(())
    }

    #[cold]
    fn full(&self, refused: Refused) -> Error {
        match refused {
            Refused::Full => Error::Again,
            Refused::Closed => self.refusal("sending"),
        }
    }

    /// Sends one message, waiting for room if asked to. `now`: [`hlc::physical`], as of the call's
    /// beginning: see [`counter`](crate::wall::counter).
    #[inline(always)]
    pub(crate) fn send(&self, letter: &Letter<'_>, timeout: Timeout, now: u64) -> Result<()> {
        match self.try_send(letter, 0, now) {
            Err(Error::Again) if timeout != Timeout::None => self.send_later(*letter, timeout.deadline()),
            other => other,
        }
    }

    #[cold]
    fn send_later(&self, letter: Letter<'_>, deadline: Deadline) -> Result<()> {
        let (_, channel) = self.route(&letter)?;
        self.wait_for_room(channel, &Arc::default(), deadline, || self.try_send(&letter, 0, hlc::physical()))
    }

    /// Tries until it says something else than [`Error::Again`]. `bell` is rung when there may be room.
    fn wait_for_room(
        &self,
        channel: &Channel,
        bell: &Arc<Bell>,
        deadline: Deadline,
        mut attempt: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut spin = Spin::new(self.home.spin, deadline);
        let outcome = loop {
            let mut outcome = Err(Error::Again);
            while matches!(outcome, Err(Error::Again)) && spin.turn() {
                outcome = if self.is_closing() { Err(Error::Stale) } else { attempt() };
            }
            if !matches!(outcome, Err(Error::Again)) {
                break outcome;
            }
            let mark = bell.mark();
            channel.await_room(bell);
            match attempt() {
                Err(Error::Again) if self.is_closing() => break Err(Error::Stale),
                Err(Error::Again) if deadline.has_passed() => break Err(Error::Timeout),
                Err(Error::Again) => bell.wait(mark, deadline),
                other => break other,
            }
        };
        // Not the one that all callers share: another may have it rung for the very same ring.
        if !Arc::ptr_eq(bell, &self.home.calls.bell) {
            channel.forget(bell);
        }
        outcome
    }

    /// Sends a message and waits for the answer.
    pub(crate) fn call(&self, letter: &Letter<'_>, timeout: Timeout) -> Result<Owned> {
        let calls = &self.home.calls;
        let call = calls.begin();
        let letter = Letter { correlation: call.number(), ..*letter };
        let deadline = timeout.deadline();
        let (port, channel) = self.route(&letter)?;
        let own = &port.outbound.queue;
        match self.try_send(&letter, flags::CALL, hlc::physical()) {
            // There may be no room because the worker waits for somebody to receive: we do.
            Err(Error::Again) if timeout != Timeout::None => {
                self.wait_for_room(channel, &calls.bell, deadline, || {
                    own.sift();
                    self.try_send(&letter, flags::CALL, hlc::physical())
                })?
            }
            other => other?,
        }
        let near = || {
            own.sift();
            call.take()
        };
        let far = || {
            // The answer may come from another kernel, by another queue, of another runtime even.
            queue::all(|queue| !std::ptr::eq(queue, &**own)).iter().for_each(|queue| queue.sift());
            near()
        };
        let mut spin = Spin::new(self.home.spin, deadline);
        loop {
            let mut turns = 0;
            while spin.turn() {
                turns += 1;
                // The others' queues have pollers of their own, who need not be disturbed at every turn.
                if let Some(answer) = if turns % FAR == 0 { far() } else { near() } {
                    return self.answered(answer);
                }
            }
            let mark = calls.bell.mark();
            if let Some(answer) = far() {
                return self.answered(answer);
            }
            if self.is_closing() || self.home.is_closing() {
                return Err(Error::Stale);
            }
            if self.state() == super::State::Failed {
                return Err(self.refusal("calling"));
            }
            if deadline.has_passed() {
                return Err(Error::Timeout);
            }
            calls.bell.wait(mark, deadline);
        }
    }

    fn answered(&self, answer: Owned) -> Result<Owned> {
        // It may have come by the queue of another runtime, which has merged it into that one's clock.
        self.home.clock.merge(answer.time);
        match answer.dead() {
            Some(reason) => Err(Error::Undelivered(reason)),
            None => Ok(answer),
        }
    }

    /// Encodes messages `first..` of a batch as far as there are places, and they are like `letter`, which goes to that port, and
    /// go there too: as nearly all do. Gives how many that were. A call, so that its loop has all registers.
    #[inline(never)]
    fn encode_alike<'a, B: Batch>(
        &self,
        batch: &'a B,
        first: usize,
        letter: &Letter<'_>,
        port: &Port,
        time: u64,
        places: &mut [MaybeUninit<Encoded<'a>>],
    ) -> usize {
        let Some(likeness) = batch.likeness(first, letter) else { return 0 };
        let like = Like::new(letter.kind as u16, letter.level, letter.payload.len());
        let mut known = Address::new(self.key, letter.actor).to_bits();
        let mut length = 0;
        for place in places {
            let Some((to, correlation, payload)) = batch.get_like(first + length, likeness) else { break };
            if to != known {
                let to_us = Address::from_bits(to).kernel() == self.key;
                if !to_us || !self.leads_to(Address::from_bits(to).actor(), port) {
                    break;
                }
                known = to;
            }
            place.write(Slot::encode_like(like, to as u32, correlation, time + length as u64, payload));
            length += 1;
        }
        length
    }

    /// Sends messages `first..` of a batch as far as they go to one ring of this kernel. Gives how many were sent; an error
    /// only if that is none.
    #[inline(always)]
    fn send_run(&self, batch: &impl Batch, first: usize, key: u32) -> Result<usize> {
        self.accepts()?;
        let Some((_, letter)) = batch.get(first) else { return Err(batch.flaw(first)) };
        let (port, channel) = self.route(&letter)?;
        let level = letter.level;
        // Encoded before anything is reserved: what was checked is what is sent, whatever the caller's other threads do to
        // the array meanwhile; and the slots are then written one right after the other, so that the processor fetches
        // their lines, which the worker has read, at the same time.
        let me = pins::section();
        let longest = RUN.min(batch.len() - first);
        let time = self.home.clock.reserve(me, longest as u64);
        let mut run = [const { MaybeUninit::uninit() }; RUN];
        let (mut length, mut before) = (0, None);
        while length < longest {
            let Some((to, next)) = batch.get(first + length) else { break };
            if to != key || next.level != level || !self.follows(&next, &letter, port) {
                break;
            }
            run[length].write(Self::encode(&next, time + length as u64, 0));
            length += 1;
            if length < longest && next.deadline_ns == 0 && before.is_some_and(|before| alike(&next, &before)) {
                // As nearly all are. Asked of the second, for where each is of another kind than the one before a call is dear.
                let (at, places) = (first + length, &mut run[length..longest]);
                length += self.encode_alike(batch, at, &next, port, time + length as u64, places);
            }
            before = Some(next);
        }
        if length == 0 {
            return Err(batch.flaw(first));
        }
        let tickets = channel.ring.reserve(me, length as u64).map_err(|refused| self.full(refused))?;
        let sent = tickets.remaining();
        port.mark_used(INBOUND_BIT + u32::from(level));
        let written = run[..sent].iter().map(|place| {
            // SAFETY: no more tickets than places were written.
            let (slot, body) = unsafe { place.assume_init_ref() };
            (slot, *body)
        });
        channel.ring.write_all(tickets, written);
        port.bell.ring();
        Ok(sent)
    }
}

/// Sends a batch in order. `sent` counts what was accepted, whatever the result.
pub(crate) fn send_many(batch: &impl Batch, timeout: Timeout, sent: &mut u32) -> Result<()> {
    let mut kernel: Option<directory::Found> = None;
    let deadline = timeout.deadline();
    while (*sent as usize) < batch.len() {
        let first = *sent as usize;
        let Some((key, letter)) = batch.get(first) else { return Err(batch.flaw(first)) };
        if kernel.as_ref().is_none_or(|kernel| kernel.key != key) {
            kernel = Some(directory::find(key).ok_or(Error::Stale)?);
        }
        let Some(kernel) = &kernel else { return Err(Error::Stale) };
        kernel.home.check()?;
        let mut attempt = || {
            *sent += kernel.send_run(batch, first, key)? as u32;
            Ok(())
        };
        match attempt() {
            Err(Error::Again) if timeout != Timeout::None => {
                let (_, channel) = kernel.route(&letter)?;
                kernel.wait_for_room(channel, &Arc::default(), deadline, attempt)?;
            }
            other => other?,
        }
    }
    Ok(())
}

/// Whether what one letter may do another may, as far as that is not for its receiver to say.
#[inline(always)]
fn alike(one: &Letter<'_>, other: &Letter<'_>) -> bool {
    one.kind == other.kind && one.payload.len() == other.payload.len() && one.level == other.level
}

impl Port {
    /// Makes the worker look at a ring from now on.
    #[inline]
    pub(crate) fn mark_used(&self, bit: u32) {
        // Relaxed: x86 keeps the exchange before the slot's stores, and a worker looks at all before it sleeps; a worker
        // that is late to see the bit is late to see the message.
        if self.used.load(Ordering::Relaxed) & 1 << bit == 0 {
            self.used.fetch_or(1 << bit, Ordering::SeqCst);
        }
    }
}
