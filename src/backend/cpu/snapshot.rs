//! Workers as parts of images: what they hand in when one is taken, and how they begin as one.

use super::worker::{payload_bytes, Visit, Worker};
use crate::address::Address;
use crate::error::Result;
use crate::kernel::NOT_YET;
use crate::message::LEVELS;
use crate::snapshot::{reserve, Image, Message, Part, Unsent};
use crate::topics::Heard;

impl Worker {
    /// Comes to rest, and when all have, hands in what we consist of, once for each capture.
    #[cold]
    pub(super) fn show(&mut self) -> Visit {
        self.held = true;
        let kernel = self.courier.kernel.clone();
        let (number, ends) = kernel.capture_wanted();
        if number != std::mem::replace(&mut self.resting, number) {
            kernel.come_to_rest(number, 1);
        }
        if !kernel.rests(number) || number == self.shown {
            return Visit::Idle;
        }
        self.settle();
        self.shown = number;
        if ends {
            kernel.note_closed();
        }
        self.ran = false;
        let part = self.part(ends);
        kernel.hand_in(number, 1, part);
        Visit::Busy
    }

    /// Handlers may run again.
    #[inline]
    pub(super) fn go_on(&mut self) {
        self.ran = true;
        if self.settled != self.shown {
            self.settle();
        }
    }

    /// The capture that we handed something in for is over, and nothing has changed since: if there is a snapshot of it, that
    /// is what our actors are restarted with.
    #[cold]
    fn settle(&mut self) {
        let kernel = &self.courier.kernel;
        if std::mem::replace(&mut self.settled, self.shown) != self.shown && kernel.is_kept(self.shown) {
            // SAFETY: states of our actors are ours, and no handler runs.
            unsafe { self.actors.keep(kernel.actors_of(self.courier.number)) };
        }
    }

    fn part(&self, ends: bool) -> Result<Part> {
        let kernel = &self.courier.kernel;
        let (mine, size) = (kernel.actors_of(self.courier.number), kernel.state_size());
        let time = self.courier.clock.next() - 1;
        let mut part = Part { first: mine.start, counters: *self.user_counters, time, ..Part::default() };
        reserve(&mut part.states, mine.len() * size)?;
        reserve(&mut part.entries, mine.len())?;
        reserve(&mut part.kin, mine.len())?;
        for index in mine {
            // SAFETY: states and entries of our actors are ours, and no handler runs.
            let (entry, state) =
                unsafe { (*self.actors.entry(index), std::slice::from_raw_parts(self.actors.state(index), size)) };
            part.entries.push(entry);
            part.kin.push(self.actors.family(index).load());
            part.states.extend_from_slice(state);
        }
        (0..2 * LEVELS).for_each(|lane| self.collect(lane, ends, &mut part.messages));
        self.outbox.look(|post, payload, heard| {
            let heard = heard.actors(&post.envelope);
            part.posts.push(Unsent { post: *post, payload: payload.into(), heard });
        });
        Ok(part)
    }

    /// What waits in one of our rings.
    fn collect(&self, lane: usize, ends: bool, messages: &mut Vec<Message>) {
        let channel = self.courier.channel(lane);
        // Those that come while we look are not of this image.
        let accepted = if ends { channel.close() } else { channel.ring.accepted() };
        let mut cursor = self.cursors[lane];
        while cursor.position() < accepted {
            let Some(slot) = cursor.peek(&channel.ring) else {
                // Its producer holds the ticket and is about to write it.
                std::thread::yield_now();
                continue;
            };
            let (envelope, inline, in_body) = slot.decode();
            let body = channel.ring.storage().body(cursor.index(&channel.ring));
            let payload = if in_body { body } else { inline.as_ptr().cast() };
            let payload = payload_bytes(payload, &envelope);
            messages.push(Message { from_host: lane >= LEVELS, envelope, payload });
            cursor.advance();
        }
    }

    /// Begins as a part of an image: with the posts and counts of our actors. States and entries are there already.
    pub(super) fn restore(&mut self, image: &Image) {
        let mine = self.courier.kernel.actors_of(self.courier.number);
        for Unsent { post, payload, heard } in &image.all.posts {
            if mine.contains(&Address::from_bits(post.by).index()) {
                self.outbox.restore(*post, payload.clone(), Heard::of_actors(heard));
            }
        }
        if self.courier.number == 0 {
            *self.user_counters = image.all.counters;
        }
        self.courier.clock.receive(image.all.time);
        if !self.outbox.is_empty() {
            self.courier.counts.completed = NOT_YET;
        }
        self.publish();
    }
}
