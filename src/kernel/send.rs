//! Sending from the host.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use super::{directory, Kernel, INBOUND_BIT};
use crate::address::index_of;
use crate::bell::Bell;
use crate::error::{Error, Result};
use crate::hlc;
use crate::message::{Letter, Owned, Timeout};
use crate::ring::{flags, Channel, Envelope, Refused, Slot};
use crate::time::{Deadline, Spin};

/// Messages that one reservation covers at most: their places and stamps are taken together.
const RUN: usize = 32;

/// Messages for `rk_send_many`.
pub(crate) trait Batch {
    fn len(&self) -> usize;
    /// Key of the kernel, and the letter, of message `index`.
    fn get(&self, index: usize) -> Result<(u32, Letter<'_>)>;
}

impl Kernel {
    /// The channel of a letter; or why it cannot be sent.
    #[inline(always)]
    fn route(&self, letter: &Letter<'_>) -> Result<(usize, &Channel)> {
        let index = index_of(letter.actor);
        if index >= self.actors {
            return Err(Error::Stale);
        }
        let Some((limit, _)) = self.types.find(letter.kind) else {
            return Err(Error::NotFound(format!("message type {} in the actor's handlers", letter.kind)));
        };
        let size = letter.payload.len() as u32;
        if size > limit {
            return Err(Error::Size { size, limit });
        }
        let worker = self.placement.worker(index);
        Ok((worker, &self.ports[worker].inbound[usize::from(letter.level)]))
    }

    #[inline]
    fn envelope(letter: &Letter<'_>, time: u64, extra: u8) -> Envelope {
        Envelope {
            actor: letter.actor,
            kind: letter.kind as u16,
            level: letter.level,
            flags: extra,
            size: letter.payload.len() as u32,
            correlation: letter.correlation,
            sender: 0,
            deadline: match letter.deadline_ns {
                0 => 0,
                ns => hlc::deadline(hlc::physical(), ns),
            },
            time,
        }
    }

    /// Sends if there is room.
    #[inline(always)]
    fn try_send(&self, letter: &Letter<'_>, extra: u8) -> Result<()> {
        self.accepts()?;
        let (worker, channel) = self.route(letter)?;
        let mut tickets = channel.ring.reserve(1).map_err(|refused| self.full(refused))?;
        // The stamp is taken after the place: messages in a ring have growing stamps per sender in any case.
        let envelope = Self::envelope(letter, self.home.clock.tick(), extra);
        let (slot, body) = Slot::encode(&envelope, letter.payload);
        let port = &self.ports[worker];
        port.mark_used(INBOUND_BIT + u32::from(letter.level));
        if let Some(ticket) = tickets.next() {
            channel.ring.write(ticket, &slot, body);
        }
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

    /// Sends one message, waiting for room if asked to.
    #[inline(always)]
    pub(crate) fn send(&self, letter: &Letter<'_>, timeout: Timeout) -> Result<()> {
        match self.try_send(letter, 0) {
            Err(Error::Again) if timeout != Timeout::None => {
                let (_, channel) = self.route(letter)?;
                self.wait_for_room(channel, &Arc::default(), timeout.deadline(), || self.try_send(letter, 0))
            }
            other => other,
        }
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
        channel.forget(bell);
        outcome
    }

    /// Sends a message and waits for the answer.
    pub(crate) fn call(&self, letter: &Letter<'_>, timeout: Timeout) -> Result<Owned> {
        let calls = &self.home.calls;
        let call = calls.begin();
        let letter = Letter { correlation: call.number(), ..*letter };
        let deadline = timeout.deadline();
        let (worker, channel) = self.route(&letter)?;
        let own = &self.ports[worker].outbound.queue;
        match self.try_send(&letter, flags::CALL) {
            // There may be no room because the worker waits for somebody to receive: we do.
            Err(Error::Again) if timeout != Timeout::None => {
                self.wait_for_room(channel, &calls.bell, deadline, || {
                    own.sift();
                    self.try_send(&letter, flags::CALL)
                })?
            }
            other => other?,
        }
        let look = || {
            own.sift();
            call.take().or_else(|| {
                // The answer may come from another kernel, by another queue.
                self.home.other_queues(own).iter().for_each(|queue| queue.sift());
                call.take()
            })
        };
        let mut spin = Spin::new(self.home.spin, deadline);
        loop {
            while spin.turn() {
                if let Some(answer) = look() {
                    return Self::answered(answer);
                }
            }
            let mark = calls.bell.mark();
            if let Some(answer) = look() {
                return Self::answered(answer);
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

    fn answered(answer: Owned) -> Result<Owned> {
        match answer.dead() {
            Some(reason) => Err(Error::Undelivered(reason)),
            None => Ok(answer),
        }
    }

    /// Sends messages `first..` of a batch as far as they go to one ring of this kernel. Gives how many were sent; an error
    /// only if that is none.
    fn send_run(&self, batch: &impl Batch, first: usize, key: u32) -> Result<usize> {
        self.accepts()?;
        let (_, letter) = batch.get(first)?;
        let (worker, channel) = self.route(&letter)?;
        let level = letter.level;
        // Encoded before anything is reserved: what was checked is what is sent, whatever the caller's other threads do to
        // the array meanwhile; and the slots are then written one right after the other, so that the processor fetches
        // their lines, which the worker has read, at the same time.
        let mut run = [(Slot::default(), &[][..]); RUN];
        run[0] = Slot::encode(&Self::envelope(&letter, 0, 0), letter.payload);
        let mut length = 1;
        while length < RUN.min(batch.len() - first) {
            match batch.get(first + length) {
                Ok((next, letter)) if next == key && letter.level == level => match self.route(&letter) {
                    Ok((next, _)) if next == worker => {
                        run[length] = Slot::encode(&Self::envelope(&letter, 0, 0), letter.payload);
                    }
                    _ => break,
                },
                _ => break,
            }
            length += 1;
        }
        let tickets = channel.ring.reserve(length as u64).map_err(|refused| self.full(refused))?;
        let sent = tickets.remaining();
        let time = self.home.clock.reserve(sent as u64);
        let port = &self.ports[worker];
        port.mark_used(INBOUND_BIT + u32::from(level));
        for (((slot, body), ticket), time) in run.iter().zip(tickets).zip(time..) {
            channel.ring.write(ticket, &slot.at(time), body);
        }
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
        let (key, letter) = batch.get(first)?;
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

impl super::Port {
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
