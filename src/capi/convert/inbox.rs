//! Messages received.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use crate::capi::handle;
use crate::capi::types::{rk_actor, rk_message};
use crate::error::{Error, Result};
use crate::message::{priority_of, Incoming, Line, Offer, Payload, Plain, Sink, LINE};
use crate::ring::AREA;

/// The caller's arrays for received messages.
pub(in crate::capi) struct Inbox<'a> {
    messages: *mut rk_message,
    capacity: usize,
    payloads: &'a mut [MaybeUninit<u8>],
    count: &'a mut u32,
    /// What `count` is to be; beside it, so that it stays in a register meanwhile.
    taken: usize,
    /// Bytes of `payloads` that are taken.
    used: usize,
}

impl Inbox<'_> {
    /// # Safety
    /// `messages` is NULL or has room for `capacity`, `payloads` is NULL or has `payload_bytes`, `count` is NULL or a
    /// place for the count, all for `'a`.
    #[inline(always)]
    pub(in crate::capi) unsafe fn new(
        messages: *mut rk_message,
        capacity: u32,
        payloads: *mut c_void,
        payload_bytes: usize,
        count: *mut u32,
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        let count = unsafe { handle::out(count) }?;
        *count = 0;
        if messages.is_null() || !messages.is_aligned() || capacity == 0 {
            return Err(Error::invalid("messages is NULL, not aligned or without capacity"));
        }
        if payloads.is_null() && payload_bytes != 0 {
            return Err(Error::invalid("payloads is NULL but has a size"));
        }
        // More than an object can have is as much as it can have.
        let payloads = match payload_bytes.min(isize::MAX as usize) {
            0 => &mut [],
            // SAFETY: the caller's promise; not NULL, not larger than an object.
            size => unsafe { std::slice::from_raw_parts_mut(payloads.cast(), size) },
        };
        Ok(Self { messages, capacity: capacity as usize, payloads, count, taken: 0, used: 0 })
    }

    /// A payload has no room. If it is the first one's, the caller is told how much it needs.
    #[cold]
    fn too_large(&mut self, message: rk_message) -> Result<Offer> {
        if self.taken > 0 {
            return Ok(Offer::Full);
        }
        // SAFETY: there is room for one at least, as `new` was promised.
        unsafe { self.messages.write(message) };
        Err(Error::Size { size: message.size, limit: self.payloads.len().min(u32::MAX as usize) as u32 })
    }
}

impl Drop for Inbox<'_> {
    fn drop(&mut self) {
        *self.count = self.taken as u32;
    }
}

impl Sink for Inbox<'_> {
    #[inline(always)]
    fn offer<P: Payload>(&mut self, message: &Incoming<P>) -> Result<Offer> {
        if self.taken == self.capacity {
            return Ok(Offer::Full);
        }
        let size = message.payload.bytes().len();
        // Payloads lie at multiples of 16 from where the buffer starts.
        let start = self.used.next_multiple_of(16);
        let mut place = std::ptr::null();
        if size > 0 {
            match self.payloads.get_mut(start..) {
                Some(room) if room.len() >= size => {
                    place = room.as_ptr();
                    message.payload.copy_to(room);
                }
                _ => return self.too_large(record(message, place.cast())),
            }
            self.used = start + size;
        }
        // SAFETY: `taken` is below the capacity that `new` was promised.
        unsafe { self.messages.add(self.taken).write(record(message, place.cast())) };
        self.taken += 1;
        Ok(Offer::Taken)
    }

    fn taken(&self) -> usize {
        self.taken
    }

    #[inline(always)]
    fn offer_run<'a>(&mut self, mut next: impl FnMut() -> Option<Plain<'a>>) {
        let (messages, capacity, payloads) = (self.messages, self.capacity, self.payloads.as_mut_ptr());
        let Some(last) = self.payloads.len().checked_sub(LINE) else { return };
        let (mut taken, mut used) = (self.taken, self.used.next_multiple_of(16));
        while taken < capacity && used <= last {
            let Some(message) = next() else { break };
            // SAFETY: `last` leaves room for a line. Any bytes will do.
            let place = unsafe { payloads.add(used) };
            match message.payload {
                // SAFETY: as above.
                Line::Inline(words) => unsafe { place.cast::<[u64; AREA]>().write_unaligned(words) },
                // SAFETY: as above.
                Line::Body(line) => unsafe { place.cast::<[u8; LINE]>().write(*line) },
            }
            // SAFETY: `taken` is below the capacity that `new` was promised.
            unsafe {
                messages.add(taken).write(rk_message {
                    from: rk_actor { id: message.from },
                    to: rk_actor { id: 0 },
                    correlation: message.correlation,
                    time: message.time,
                    payload: if message.size > 0 { place.cast_const().cast() } else { std::ptr::null() },
                    kind: message.class as u32,
                    r#type: u32::from(message.kind),
                    size: message.size,
                    reason: 0,
                    priority: priority_of(message.level),
                    reserved: 0,
                });
            }
            taken += 1;
            used += (message.size as usize).next_multiple_of(16);
        }
        (self.taken, self.used) = (taken, used);
    }
}

#[inline(always)]
pub(super) fn record<P: Payload>(message: &Incoming<P>, payload: *const c_void) -> rk_message {
    rk_message {
        from: rk_actor { id: message.from },
        to: rk_actor { id: message.to },
        correlation: message.correlation,
        time: message.time,
        payload,
        kind: message.class as u32,
        r#type: message.kind,
        size: message.payload.bytes().len() as u32,
        reason: message.reason,
        priority: priority_of(message.level),
        reserved: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::hlc::Drift;
    use crate::log::Log;
    use crate::message::Timeout;
    use crate::queue::{Outbound, Queue};
    use crate::ring::{Channel, Slot};
    use crate::runtime::Home;

    const BODY: usize = 64;
    const ROOM: usize = 8;

    proptest! {
        /// Whatever a device writes into slots, what is received lies where it may, and all of it is received.
        #[test]
        fn takes_nonsense(
            slots in prop::collection::vec(any::<[u64; 8]>(), 1..ROOM),
            calls in any::<bool>(),
            bodies in any::<bool>(),
            bytes in 0..ROOM * BODY,
        ) {
            let nothing = Duration::ZERO;
            let home = Arc::new(Home::new(Drift::of(Duration::from_secs(1)), Log::default(), nothing, nothing));
            let queue = Queue::create(&home);
            let channel = Channel::new(ROOM, if bodies { BODY } else { 0 }).expect("memory");
            let outbound = Arc::new(Outbound::new(channel, 7, queue.clone()));
            prop_assert!(queue.attach(&outbound));
            let mut expected = 0;
            for words in &slots {
                // Of answers to calls, which callers get, most or none.
                let first = if calls { words[0] } else { words[0] & !(8 << 56) };
                let low = |word: usize| words[word] & !(0xffff << 48);
                let pairs = [[first, low(1)], [words[2], low(3)], [words[4], low(5)], [words[6], low(7)]];
                let slot = Slot::whole(pairs, 0).expect("stamps of zero");
                expected += u32::from(first >> 56 & 8 == 0);
                let ring = &outbound.channel.ring;
                ring.write(ring.reserve_sole().expect("room"), &slot, &[]);
            }
            let mut buffer = vec![0u8; bytes];
            let buffer_at = buffer.as_ptr() as usize;
            let mut messages: Vec<rk_message> = Vec::with_capacity(ROOM);
            let mut received = 0;
            loop {
                let mut count = 0;
                let capacity = messages.capacity() as u32;
                // SAFETY: places as large as said.
                let inbox =
                    unsafe { Inbox::new(messages.as_mut_ptr(), capacity, buffer.as_mut_ptr().cast(), bytes, &mut count) };
                let outcome = queue.poll(&mut inbox.expect("good arguments"), Timeout::None);
                // SAFETY: so many were written.
                unsafe { messages.set_len(count as usize) };
                for message in &messages {
                    let at = message.payload as usize;
                    prop_assert_eq!(at == 0, message.size == 0);
                    let fits = at >= buffer_at && at + message.size as usize <= buffer_at + bytes;
                    prop_assert!(message.size == 0 || fits);
                    prop_assert_eq!(message.from.id >> 32, 7);
                }
                received += count;
                match outcome {
                    Ok(()) => prop_assert!(count > 0),
                    // One that is larger than all of the buffer.
                    Err(Error::Size { size, .. }) => {
                        prop_assert!(size as usize > bytes);
                        break;
                    }
                    Err(Error::Again) => {
                        prop_assert_eq!(received, expected);
                        break;
                    }
                    Err(other) => prop_assert!(false, "{other}"),
                }
                messages.clear();
            }
        }
    }
}
