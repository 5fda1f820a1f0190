//! Messages to send, and answers to calls.

use std::ffi::c_void;

use super::bytes;
use super::inbox::record;
use crate::address::Address;
use crate::capi::types::{rk_actor, rk_message, rk_outbound, rk_send_options};
use crate::error::{Error, Result};
use crate::kernel::Batch as BatchOf;
use crate::layout::PAYLOAD_MAX;
use crate::message::{level_of, Letter, Owned};

const PRIORITY_MAX: u32 = 255;

/// # Safety
/// As [`bytes`].
#[inline(always)]
pub(in crate::capi) unsafe fn payload<'a>(at: *const c_void, size: u32) -> Result<&'a [u8]> {
    if size > PAYLOAD_MAX {
        return Err(Error::Size { size, limit: PAYLOAD_MAX });
    }
    // SAFETY: the caller's promise.
    unsafe { bytes(at.cast(), size as usize, "payload") }
}

#[inline(always)]
pub(in crate::capi) fn letter<'a>(
    to: rk_actor,
    kind: u32,
    payload: &'a [u8],
    options: &rk_send_options,
) -> Result<Letter<'a>> {
    Ok(Letter {
        actor: Address::from_bits(to.id).actor(),
        kind,
        payload,
        level: level(options.priority)?,
        correlation: options.correlation,
        deadline_ns: options.deadline_ns,
    })
}

#[inline(always)]
pub(in crate::capi) fn level(priority: u32) -> Result<u8> {
    if priority > PRIORITY_MAX {
        return Err(Error::invalid(format!("priority is {priority}, it can be 0 to {PRIORITY_MAX}")));
    }
    Ok(level_of(priority))
}

/// Of messages to send: all but receiver, correlation and payload.
#[derive(Clone, Copy)]
pub(in crate::capi) struct Likeness {
    kind: u32,
    size: u32,
    priority: u32,
}

/// The caller's array of messages to send.
pub(in crate::capi) struct Batch<'a>(&'a [rk_outbound]);

impl Batch<'_> {
    /// # Safety
    /// `messages` is NULL or points to `count` structs whose payloads are readable, all for `'a`.
    pub(in crate::capi) unsafe fn new(messages: *const rk_outbound, count: u32) -> Result<Self> {
        if count == 0 {
            return Ok(Self(&[]));
        }
        if messages.is_null() || !messages.is_aligned() {
            return Err(Error::invalid("messages is NULL or not aligned"));
        }
        // SAFETY: the caller's promise.
        Ok(Self(unsafe { std::slice::from_raw_parts(messages, count as usize) }))
    }
}

impl BatchOf for Batch<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn get(&self, index: usize) -> Option<(u32, Letter<'_>)> {
        let message = &self.0[index];
        let readable = message.size == 0 || !message.payload.is_null();
        if message.reserved != 0 || message.priority > PRIORITY_MAX || message.size > PAYLOAD_MAX || !readable {
            return None;
        }
        let payload = match message.size {
            0 => &[],
            // SAFETY: promised to `new`; not NULL.
            size => unsafe { std::slice::from_raw_parts(message.payload.cast(), size as usize) },
        };
        let letter = Letter {
            actor: Address::from_bits(message.to.id).actor(),
            kind: message.r#type,
            payload,
            level: level_of(message.priority),
            correlation: message.correlation,
            deadline_ns: message.deadline_ns,
        };
        Some((Address::from_bits(message.to.id).kernel(), letter))
    }

    type Likeness = Likeness;

    #[inline(always)]
    fn likeness(&self, index: usize, letter: &Letter<'_>) -> Option<Likeness> {
        // Of the next one: whatever that is, it is to stand for the letter's level.
        let priority = self.0.get(index)?.priority;
        let same = priority <= PRIORITY_MAX && level_of(priority) == letter.level;
        let like = Likeness { kind: letter.kind, size: letter.payload.len() as u32, priority };
        (same && letter.deadline_ns == 0).then_some(like)
    }

    #[inline(always)]
    fn get_like(&self, index: usize, like: Likeness) -> Option<(u64, u64, &[u8])> {
        let message = &self.0[index];
        let same = message.r#type == like.kind && message.size == like.size && message.priority == like.priority;
        if !same || message.reserved != 0 || message.deadline_ns != 0 {
            return None;
        }
        let payload = match (message.payload, like.size) {
            (_, 0) => &[][..],
            (at, _) if at.is_null() => return None,
            // SAFETY: promised to `new`; not NULL.
            (at, size) => unsafe { std::slice::from_raw_parts(at.cast(), size as usize) },
        };
        Some((message.to.id, message.correlation, payload))
    }

    #[cold]
    fn flaw(&self, index: usize) -> Error {
        let message = &self.0[index];
        let checked = match message.reserved {
            // SAFETY: promised to `new`.
            0 => unsafe { payload(message.payload, message.size) }.and_then(|_| level(message.priority).map(drop)),
            _ => Err(Error::invalid("reserved is not zero")),
        };
        checked.err().unwrap_or_else(|| Error::invalid("the message changed while it was being sent"))
    }
}

/// Hands a call's answer to the caller.
///
/// # Safety
/// `reply` is NULL or has room for `capacity` bytes, `message` is NULL or a place for one.
pub(in crate::capi) unsafe fn answer(
    answer: &Owned,
    reply: *mut c_void,
    capacity: u32,
    message: *mut rk_message,
) -> Result<()> {
    let size = answer.payload.len();
    let fits = size <= capacity as usize;
    if !message.is_null() {
        let payload = if fits && size > 0 { reply.cast_const() } else { std::ptr::null() };
        // The number of the call is ours, not the caller's.
        let record = rk_message { correlation: 0, ..record(answer, payload) };
        // SAFETY: the caller's promise.
        unsafe { message.write_unaligned(record) };
    }
    if !fits {
        return Err(Error::Size { size: size as u32, limit: capacity });
    }
    if size > 0 {
        // SAFETY: the caller's promise, and it fits.
        unsafe { reply.cast::<u8>().copy_from_nonoverlapping(answer.payload.as_ptr(), size) };
    }
    Ok(())
}

/// Checks the caller's place for a reply before anything is sent.
pub(in crate::capi) fn check_reply(reply: *mut c_void, capacity: u32) -> Result<()> {
    if reply.is_null() && capacity != 0 {
        return Err(Error::invalid("reply is NULL but has a capacity"));
    }
    Ok(())
}
