//! Sending from actors of other workers: what their couriers do, and the host for devices that do not reach each other.

use super::{Kernel, Wait, INBOUND_BIT};
use crate::address::index_of;
use crate::error::DeadReason;
use crate::pins;
use crate::ring::{Envelope, Refused, Slot};

/// What came of offering a message.
pub(crate) enum Offered {
    Sent,
    /// There is no room until what is said has happened.
    Full(Wait),
    Dead(DeadReason),
}

impl Kernel {
    /// Puts a message into the ring of the receiver's worker, if it can be had there. `last` gives its time and deadline
    /// once there is room.
    #[inline]
    pub(crate) fn offer(&self, envelope: &Envelope, payload: &[u8], last: impl FnOnce() -> (u64, u64)) -> Offered {
        let index = index_of(envelope.actor);
        if index >= self.actors {
            return Offered::Dead(DeadReason::NoActor);
        }
        match self.types.find(u32::from(envelope.kind)) {
            None => return Offered::Dead(DeadReason::UnknownType),
            Some((size, _)) if envelope.size > size => return Offered::Dead(DeadReason::Size),
            Some(_) => {}
        }
        let worker = self.placement.worker(index);
        let port = &self.ports[worker];
        let (rings, first_bit) = if self.remote { (&port.inbound, INBOUND_BIT) } else { (&port.peers, 0) };
        let channel = &rings[usize::from(envelope.level)];
        let ticket = match channel.ring.reserve(pins::section(), 1).map(|mut tickets| tickets.next()) {
            Ok(Some(ticket)) => ticket,
            Ok(None) | Err(Refused::Full) => {
                return Offered::Full(Wait::Worker { kernel: self.key, worker: worker as u32 })
            }
            Err(Refused::Closed) => return Offered::Dead(DeadReason::Terminated),
        };
        let (time, deadline) = last();
        let (slot, body) = Slot::encode(&Envelope { time, deadline, ..*envelope }, payload);
        port.mark_used(first_bit + u32::from(envelope.level));
        channel.ring.write(ticket, &slot, body);
        channel.ring.flush();
        port.bell.ring();
        Offered::Sent
    }
}
