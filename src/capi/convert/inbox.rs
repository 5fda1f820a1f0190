//! Messages received.

use std::ffi::c_void;

use crate::capi::handle;
use crate::capi::types::{rk_actor, rk_message};
use crate::error::{Error, Result};
use crate::message::{priority_of, Incoming, Offer, Sink};

/// The caller's arrays for received messages.
pub(in crate::capi) struct Inbox<'a> {
    messages: *mut rk_message,
    capacity: usize,
    payloads: *mut u8,
    payload_bytes: usize,
    count: &'a mut u32,
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
        Ok(Self { messages, capacity: capacity as usize, payloads: payloads.cast(), payload_bytes, count, used: 0 })
    }
}

impl Sink for Inbox<'_> {
    #[inline]
    fn offer(&mut self, message: &Incoming<&[u8]>) -> Result<Offer> {
        let taken = *self.count as usize;
        if taken == self.capacity {
            return Ok(Offer::Full);
        }
        let size = message.payload.len();
        // Payloads lie at multiples of 16 from where the buffer starts.
        let start = self.used.next_multiple_of(16);
        let fits = size == 0 || start.checked_add(size).is_some_and(|end| end <= self.payload_bytes);
        let mut place = std::ptr::null_mut();
        if fits && size > 0 {
            // SAFETY: `start + size` is within the buffer that `new` was promised.
            unsafe {
                place = self.payloads.add(start);
                place.copy_from_nonoverlapping(message.payload.as_ptr(), size);
            }
        }
        if !fits && taken > 0 {
            return Ok(Offer::Full);
        }
        // SAFETY: `taken` is below the capacity that `new` was promised.
        unsafe { self.messages.add(taken).write(record(message, place.cast_const().cast())) };
        if !fits {
            return Err(Error::Size { size: size as u32, limit: self.payload_bytes.min(u32::MAX as usize) as u32 });
        }
        if size > 0 {
            self.used = start + size;
        }
        *self.count += 1;
        Ok(Offer::Taken)
    }

    fn taken(&self) -> usize {
        *self.count as usize
    }
}

#[inline]
pub(super) fn record(message: &Incoming<&[u8]>, payload: *const c_void) -> rk_message {
    rk_message {
        from: rk_actor { id: message.from },
        to: rk_actor { id: message.to },
        correlation: message.correlation,
        time: message.time,
        payload,
        kind: message.class as u32,
        r#type: message.kind,
        size: message.payload.len() as u32,
        reason: message.reason,
        priority: priority_of(message.level),
        reserved: 0,
    }
}
