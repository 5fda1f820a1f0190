//! Messages that come from actors, or by way of a topic: into the ring of the receiver's worker, or what becomes of them.

use super::{told_as, Kernel, Port, INBOUND_BIT};
use crate::address::{index_of, Address};
use crate::error::DeadReason;
use crate::message::{Class, Incoming, Owned};
use crate::pins;
use crate::ring::{flags, Channel, Envelope, Refused, Slot};

/// What came of offering a message.
pub(crate) enum Offered {
    Sent,
    /// That worker's ring has no room.
    Full(u32),
    Dead(DeadReason),
}

impl Kernel {
    /// The ring for such messages to an actor that exists: its worker, the ring, and the bit that says it is in use. What the
    /// host publishes goes where it sends, what actors publish where they do, so that each keeps its order.
    #[inline(always)]
    fn entrance(&self, index: u32, level: u8, from_host: bool) -> (usize, &Port, &Channel, u32) {
        let worker = self.placement.worker(index);
        let port = &self.ports[worker];
        let (rings, first_bit) = if self.remote || from_host { (&port.inbound, INBOUND_BIT) } else { (&port.peers, 0) };
        (worker, port, &rings[usize::from(level)], first_bit + u32::from(level))
    }

    /// The ring that a message which found no room waits for.
    pub(crate) fn entrance_of(&self, address: Address, level: u8, from_host: bool) -> &Channel {
        self.entrance(address.index(), level, from_host).2
    }

    /// Why no actor of ours takes such a message, whatever becomes of it.
    #[inline(always)]
    pub(crate) fn objection(&self, envelope: &Envelope) -> Option<DeadReason> {
        if index_of(envelope.actor) >= self.actors {
            return Some(DeadReason::NoActor);
        }
        match self.types.find(u32::from(envelope.kind)) {
            None => Some(DeadReason::UnknownType),
            Some((size, _)) if envelope.size > size => Some(DeadReason::Size),
            Some(_) => None,
        }
    }

    /// Puts a message into the ring of its receiver's worker, if there is room. `stamp` gives its time and its deadline.
    #[inline(always)]
    pub(crate) fn offer(
        &self,
        envelope: &Envelope,
        payload: &[u8],
        from_host: bool,
        stamp: impl FnOnce() -> (u64, u64),
    ) -> Offered {
        if let Some(reason) = self.objection(envelope) {
            return Offered::Dead(reason);
        }
        let index = index_of(envelope.actor);
        let (worker, port, channel, bit) = self.entrance(index, envelope.level, from_host);
        let ticket = match channel.ring.reserve(pins::section(), 1).map(|mut tickets| tickets.next()) {
            Ok(Some(ticket)) => ticket,
            Ok(None) | Err(Refused::Full) => return Offered::Full(worker as u32),
            Err(Refused::Closed) => return Offered::Dead(DeadReason::Terminated),
        };
        let (time, deadline) = stamp();
        let (slot, body) = Slot::encode(&Envelope { time, deadline, ..*envelope }, payload);
        port.mark_used(bit);
        channel.ring.write(ticket, &slot, body);
        port.bell.ring();
        Offered::Sent
    }

    /// A message that came by way of a topic cannot be delivered to an actor of ours: the host learns it from the queue of
    /// the actor's worker, unless it has left too many such letters there.
    #[cold]
    pub(crate) fn lament(&self, to: Address, envelope: &Envelope, payload: &[u8], reason: DeadReason) {
        let outbound = &self.ports[self.placement.worker(to.index())].outbound;
        if !outbound.is_full_of_letters() {
            outbound.post(dead_letter(envelope, to.to_bits(), envelope.time, payload, reason));
            outbound.queue.notify();
        }
    }
}

/// What comes back of a message that could not be delivered.
pub(crate) fn dead_letter(envelope: &Envelope, to: u64, time: u64, payload: &[u8], reason: DeadReason) -> Owned {
    Incoming {
        class: Class::DeadLetter,
        from: envelope.sender,
        to,
        correlation: envelope.correlation,
        time,
        kind: told_as(u32::from(envelope.kind)),
        reason: reason as i32,
        level: envelope.level,
        call: envelope.flags & flags::CALL != 0,
        payload: payload.into(),
    }
}
