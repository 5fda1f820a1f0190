//! What one worker has for the host, from both sides.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Queue;
use crate::address::Address;
use crate::error::Result;
use crate::message::{Class, InBody, Incoming, Inline, Line, Offer, Owned, Payload, Plain, Sink, LINE};
use crate::ring::{flags, Channel, Cursor, Envelope, Memory, Ring, INLINE_BYTES};
use crate::runtime::Home;

/// Dead letters and events that a worker may have waiting before it stops making more of them.
pub(crate) const LETTERS_LIMIT: usize = 4096;

/// What one worker has for the host. The worker is the only producer of the ring.
pub(crate) struct Outbound {
    pub(crate) channel: Channel,
    /// Key of the kernel: the upper half of its actors' addresses.
    kernel: u32,
    /// Dead letters, events, and what was left over when the kernel ended; after what is in the ring.
    letters: Mutex<VecDeque<Owned>>,
    /// How many; looked at before the lock is taken.
    letter_count: AtomicUsize,
    pub(crate) queue: Arc<Queue>,
}

impl Outbound {
    pub(crate) fn new(channel: Channel, kernel: u32, queue: Arc<Queue>) -> Self {
        Self { channel, kernel, letters: Mutex::default(), letter_count: AtomicUsize::new(0), queue }
    }

    /// Adds a letter. The caller tells the queue.
    pub(crate) fn post(&self, letter: Owned) {
        self.with_letters(|letters| letters.push_back(letter));
    }

    fn with_letters<R>(&self, change: impl FnOnce(&mut VecDeque<Owned>) -> R) -> R {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut letters);
        // Release: pairs with the Acquire in `waiting_letters`, though the lock is what protects the letters.
        self.letter_count.store(letters.len(), Ordering::Release);
        result
    }

    fn waiting_letters(&self) -> usize {
        self.letter_count.load(Ordering::Acquire)
    }

    /// Key of the kernel.
    pub(super) fn kernel(&self) -> u32 {
        self.kernel
    }

    /// Whether a message lies in the ring that the consumer has not taken, as far as it has published.
    pub(crate) fn has_unread(&self) -> bool {
        self.channel.has_unread()
    }

    /// Whether the host has so many letters unread that no more should be made.
    pub(crate) fn is_full_of_letters(&self) -> bool {
        self.waiting_letters() >= LETTERS_LIMIT
    }
}

impl Outbound {
    #[inline(always)]
    fn take_ring<S: Sink>(&self, cursor: &mut Cursor, home: &Home, sink: &mut S, latest: &mut u64) -> Result<bool> {
        let ring = &self.channel.ring;
        loop {
            self.take_run(cursor, sink, latest);
            if cursor.is_due(ring) {
                self.channel.publish(cursor);
                continue;
            }
            let Some(slot) = cursor.peek(ring) else { return Ok(true) };
            let (envelope, words, in_body) = slot.decode();
            let message = Incoming {
                class: class(&envelope),
                from: Address::new(self.kernel, envelope.actor).to_bits(),
                to: 0,
                correlation: envelope.correlation,
                time: envelope.time,
                kind: u32::from(envelope.kind),
                reason: 0,
                level: envelope.level,
                call: envelope.flags & flags::CALL != 0,
                payload: (),
            };
            let outcome = if in_body {
                let body = body(ring, cursor);
                // At most what there is: a device may have written nonsense.
                let size = envelope.size.min(body.len() as u32);
                hand_over(message.with(InBody { body, size }), home, sink)?
            } else {
                let size = envelope.size.min(INLINE_BYTES as u32);
                hand_over(message.with(Inline { words, size }), home, sink)?
            };
            if outcome == Offer::Full {
                return Ok(false);
            }
            *latest = (*latest).max(envelope.time);
            cursor.advance();
        }
    }

    /// Takes messages until one is not plain, the sink has no room for any, or the ring's slots are to be given back. All that
    /// it uses are copies, which stay in registers.
    #[inline(always)]
    fn take_run<S: Sink>(&self, cursor: &mut Cursor, sink: &mut S, latest: &mut u64) {
        let ring = &self.channel.ring;
        let (sight, kernel) = (ring.sight(), self.kernel);
        let (mut at, mut newest, mut left) = (*cursor, *latest, cursor.until_due(ring));
        sink.offer_run(|| {
            if left == 0 {
                return None;
            }
            let (envelope, words, in_body) = at.peek_by(&sight)?.decode_plain()?;
            let payload = if in_body { Line::Body(body(ring, &at).first_chunk()?) } else { Line::Inline(words) };
            if envelope.size > if in_body { LINE as u32 } else { INLINE_BYTES as u32 } {
                return None;
            }
            at.advance();
            newest = newest.max(envelope.time);
            left -= 1;
            Some(Plain {
                class: class(&envelope),
                from: Address::new(kernel, envelope.actor).to_bits(),
                correlation: envelope.correlation,
                time: envelope.time,
                kind: envelope.kind,
                level: envelope.level,
                size: envelope.size,
                payload,
            })
        });
        (*cursor, *latest) = (at, newest);
    }
}

fn class(envelope: &Envelope) -> Class {
    if envelope.flags & flags::REPLY != 0 {
        Class::Reply
    } else {
        Class::Emit
    }
}

/// The consumer's side.
pub(super) struct Source {
    pub(super) outbound: Arc<Outbound>,
    cursor: Cursor,
}

impl Source {
    pub(super) fn new(outbound: Arc<Outbound>) -> Self {
        Self { outbound, cursor: Cursor::default() }
    }

    pub(super) fn has_news(&self) -> bool {
        self.cursor.peek(&self.outbound.channel.ring).is_some() || self.outbound.waiting_letters() > 0
    }

    /// Has the next message come nearer.
    #[inline(always)]
    pub(super) fn fetch(&self) {
        self.outbound.channel.ring.sight().fetch(self.cursor.position());
    }

    /// Offers what is there to a sink, and answers to calls to the callers. True if all was taken.
    #[inline(always)]
    pub(super) fn take<S: Sink>(&mut self, home: &Home, sink: &mut S, latest: &mut u64) -> Result<bool> {
        // Counted before: a letter that comes while we empty the ring may belong behind what comes into the ring.
        let letters = self.outbound.waiting_letters();
        // A copy, which stays in registers.
        let mut cursor = self.cursor;
        let outcome = self.outbound.take_ring(&mut cursor, home, sink, latest);
        self.outbound.channel.publish(&mut cursor);
        self.cursor = cursor;
        match outcome {
            Ok(true) if letters > 0 => {
                let outcome = self.take_letters(letters, home, sink);
                self.outbound.channel.made_room();
                outcome
            }
            other => other,
        }
    }

    #[cold]
    fn take_letters<S: Sink>(&mut self, count: usize, home: &Home, sink: &mut S) -> Result<bool> {
        let pop = || self.outbound.with_letters(VecDeque::pop_front);
        // Not held while offering: answering a call takes another lock.
        for letter in std::iter::from_fn(pop).take(count) {
            if letter.call {
                home.calls.answer(letter);
                continue;
            }
            let outcome = sink.offer(&letter);
            if !matches!(outcome, Ok(Offer::Taken)) {
                self.outbound.with_letters(|letters| letters.push_front(letter));
                return outcome.map(|_| false);
            }
        }
        Ok(true)
    }
}

#[inline(always)]
fn hand_over<P: Payload, S: Sink>(message: Incoming<P>, home: &Home, sink: &mut S) -> Result<Offer> {
    if message.call {
        answer(home, message);
        return Ok(Offer::Taken);
    }
    sink.offer(&message)
}

// Not inline, and with the message moved: it is in memory for this only.
#[cold]
fn answer<P: Payload>(home: &Home, message: Incoming<P>) {
    home.calls.answer(message.to_owned());
}

/// The body of the slot at the cursor, which was found written.
fn body<'a>(ring: &'a Ring<Memory>, cursor: &Cursor) -> &'a [u8] {
    let storage = ring.storage();
    // SAFETY: the slot at our position was found written, so its body is, and it is ours until we publish.
    unsafe { std::slice::from_raw_parts(storage.body(cursor.index(ring)), storage.body_size()) }
}
