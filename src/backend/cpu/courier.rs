//! Delivery of what handlers produced: into other workers' rings, to the host, or as dead letters.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use super::actors::Actors;
use super::outbox::Step;
use crate::address::Address;
use crate::bell::Bell;
use crate::error::DeadReason;
use crate::hlc::{self, WorkerClock};
use crate::kernel::{dead_letter, directory, Counts, Kernel, Offered, Port, Post, Wait};
use crate::message::{Class, Incoming, Owned};
use crate::ring::{flags, Channel, Envelope, Slot};
use crate::topics::{self, Heard, Refusal, Subscription};
use crate::trace::{what, Event, Message, Tracer};
use crate::wall::wall;

/// What a worker delivers with.
pub(super) struct Courier {
    pub(super) kernel: Arc<Kernel>,
    pub(super) number: u32,
    pub(super) clock: WorkerClock,
    pub(super) counts: Counts,
    /// The topics that our actors publish to.
    topics: topics::Reader,
    /// The subscription that a publication waited for, if that was the last that any post waited for.
    subscription: Option<Arc<Subscription>>,
    pub(super) tracer: Tracer,
}

impl Courier {
    pub(super) fn new(kernel: Arc<Kernel>, number: u32) -> Self {
        let clock = WorkerClock::new(kernel.home.clock.drift());
        let (topics, subscription, tracer) = Default::default();
        Self { kernel, number, clock, counts: Counts::default(), topics, subscription, tracer }
    }

    #[inline]
    pub(super) fn port(&self) -> &Port {
        &self.kernel.ports[self.number as usize]
    }

    /// One of our inbound rings.
    #[inline]
    pub(super) fn channel(&self, lane: usize) -> &Channel {
        self.port().lane(lane)
    }

    /// Publishes what we wait for.
    #[inline]
    pub(super) fn wait_for(&self, wait: Wait) {
        let word = &self.port().waits_for;
        // Relaxed, both: readers look for circles, in which by definition nobody's word changes any more.
        if word.load(Ordering::Relaxed) != wait.to_bits() {
            word.store(wait.to_bits(), Ordering::Relaxed);
        }
        if wait == Wait::Host {
            // Every time: a caller may be asleep until its reply comes, which is behind what nobody polls.
            self.kernel.home.calls.bell.ring();
            self.port().outbound.queue.notify();
        }
    }

    /// Delivers a post, now or never; or says what it must wait for. `heard`: who has it, if it is a publication.
    #[inline]
    pub(super) fn deliver(&mut self, post: &Post, payload: &[u8], heard: &Heard) -> Result<(), Wait> {
        if self.kernel.home.trace.is_on() {
            return self.deliver_traced(post, payload, heard);
        }
        self.carry(post, payload, heard)
    }

    /// The same with one that tells an actor that its parent has ended, and goes on to the next.
    #[cold]
    pub(super) fn tell_orphan(&mut self, actors: &Actors, post: &Post) -> Result<Step, Wait> {
        // Asked first, for who is told forgets it.
        let next = actors.following(self.kernel.key, post);
        self.deliver(post, &[], &Heard::Nobody)?;
        Ok(next.map_or(Step::Left, Step::GoesOn))
    }

    #[inline]
    fn carry(&mut self, post: &Post, payload: &[u8], heard: &Heard) -> Result<(), Wait> {
        if post.to == 0 {
            return self.hand_over(post, payload);
        }
        let to = Address::from_bits(post.to);
        let clock = &mut self.clock;
        let stamp = || (clock.tick(), hlc::deadline_from_now(post.deadline_ns));
        let key = to.kernel();
        let outcome = if key == self.kernel.key {
            self.kernel.offer(&post.envelope, payload, false, stamp)
        } else if let Some(topic) = to.topic() {
            return self.publish(topic, post, payload, heard);
        } else {
            match directory::find(key) {
                Some(kernel) => kernel.offer(&post.envelope, payload, false, stamp),
                None => Offered::Dead(DeadReason::NoActor),
            }
        };
        match outcome {
            Offered::Sent => self.counts.sent_actors += 1,
            Offered::Full(worker) => return self.held_up(Wait::Worker { kernel: key, worker }),
            Offered::Dead(reason) => return self.give_up(post, payload, reason),
        }
        Ok(())
    }

    /// Something else than a subscription has no room.
    #[cold]
    fn held_up(&mut self, wait: Wait) -> Result<(), Wait> {
        self.subscription = None;
        Err(wait)
    }

    /// A post has nowhere to go.
    #[cold]
    fn give_up(&mut self, post: &Post, payload: &[u8], reason: DeadReason) -> Result<(), Wait> {
        // Letters are memory, and the host is to read some first.
        if self.port().outbound.is_full_of_letters() {
            return self.held_up(Wait::Host);
        }
        self.undeliverable(post, payload, reason);
        Ok(())
    }

    /// Whether what we wait for is a place in a subscription.
    pub(super) fn waits_for_subscription(&self) -> bool {
        self.subscription.is_some()
    }

    /// To all subscribers of a topic that have not heard it, or to none yet.
    fn publish(&mut self, topic: u32, post: &Post, payload: &[u8], heard: &Heard) -> Result<(), Wait> {
        // Of several who might answer a call none is the one that does.
        if post.envelope.flags & flags::CALL != 0 {
            return self.give_up(post, payload, DeadReason::NoActor);
        }
        let envelope =
            Envelope { time: self.clock.tick(), deadline: hlc::deadline_from_now(post.deadline_ns), ..post.envelope };
        match self.topics.publish(topic, &envelope, payload, heard) {
            Ok(()) => self.counts.sent_actors += 1,
            Err(Refusal::Closed) => return self.give_up(post, payload, DeadReason::NoActor),
            Err(Refusal::Full(subscription)) => {
                let wait = subscription.holds_up();
                self.subscription = Some(subscription);
                return Err(wait);
            }
        }
        Ok(())
    }

    #[inline]
    fn hand_over(&mut self, post: &Post, payload: &[u8]) -> Result<(), Wait> {
        // No deadline: what reaches the host has arrived.
        let Ok(ticket) = self.port().outbound.channel.ring.reserve_sole() else { return self.held_up(Wait::Host) };
        let envelope = Envelope { time: self.clock.tick(), ..post.envelope };
        let port = self.port();
        let (slot, body) = Slot::encode(&envelope, payload);
        port.outbound.channel.ring.write(ticket, &slot, body);
        self.notify(envelope.flags & flags::CALL != 0);
        self.counts.sent_host += 1;
        Ok(())
    }

    /// Tells who receives what we have for the host.
    #[inline]
    fn notify(&self, call: bool) {
        if call {
            self.kernel.home.calls.bell.ring();
        } else {
            self.port().outbound.queue.notify();
        }
    }

    /// Has a dead letter or event wait for the host.
    pub(super) fn letter(&self, letter: Owned) {
        let call = letter.call;
        self.port().outbound.post(letter);
        self.notify(call);
    }

    /// A message of one of our rings becomes a dead letter.
    #[cold]
    pub(super) fn bury(&self, envelope: &Envelope, payload: &[u8], reason: DeadReason) {
        let to = Address::new(self.kernel.key, envelope.actor).to_bits();
        self.letter(dead_letter(envelope, to, envelope.time, payload, reason));
    }

    /// A post of one of our actors has nowhere to go.
    #[cold]
    pub(super) fn undeliverable(&mut self, post: &Post, payload: &[u8], reason: DeadReason) {
        self.counts.undeliverable += 1;
        let time = self.clock.tick();
        self.letter(dead_letter(&post.envelope, post.to, time, payload, reason));
    }

    /// A post that still waits when the kernel ends: to an actor it dies, to the host it joins the letters.
    pub(super) fn leave_behind(&mut self, post: &Post, payload: &[u8]) {
        if post.to != 0 {
            self.undeliverable(post, payload, DeadReason::Terminated);
            return;
        }
        let time = self.clock.tick();
        let envelope = &post.envelope;
        self.counts.sent_host += 1;
        self.letter(Incoming {
            class: if envelope.flags & flags::REPLY != 0 { Class::Reply } else { Class::Emit },
            from: post.by,
            to: 0,
            reason: 0,
            ..dead_letter(envelope, 0, time, payload, DeadReason::Terminated)
        });
    }

    /// What we wait for.
    pub(super) fn waits_for(&self) -> Wait {
        Wait::from_bits(self.port().waits_for.load(Ordering::Relaxed))
    }

    /// Whether the worker that we wait for waits, through any number of others, for us. One that leads into a circle
    /// without us is none of our business. (Brent, "An improved Monte Carlo factorization algorithm", 1980, for the end of
    /// such a walk.)
    pub(super) fn is_in_cycle(&self) -> bool {
        let me = Wait::Worker { kernel: self.kernel.key, worker: self.number };
        let read = |wait: Wait| match wait {
            Wait::Worker { kernel, worker } => directory::find(kernel)
                .and_then(|kernel| kernel.ports.get(worker as usize).map(|port| port.waits_for.load(Ordering::Relaxed)))
                .map_or(Wait::Nothing, Wait::from_bits),
            other => other,
        };
        let mut at = self.waits_for();
        let (mut mark, mut steps, mut power) = (at, 0u64, 1u64);
        loop {
            match at {
                Wait::Nothing | Wait::Host => return false,
                Wait::Worker { .. } if at == me => return true,
                Wait::Worker { .. } => {}
            }
            at = read(at);
            steps += 1;
            if at == mark {
                return false;
            }
            if steps == power {
                (mark, steps, power) = (at, 0, power * 2);
            }
        }
    }

    #[cold]
    fn deliver_traced(&mut self, post: &Post, payload: &[u8], heard: &Heard) -> Result<(), Wait> {
        // Decided before, so that it costs nothing more where it is not wanted.
        let message = Message::new(&post.envelope, self.clock.next(), post.to);
        if !self.wants(what::SENDS, &message) {
            return self.carry(post, payload, heard);
        }
        let (began, sent) = (wall().ticks(), self.counts.sent_host + self.counts.sent_actors);
        self.carry(post, payload, heard)?;
        // Not what became a letter.
        if self.counts.sent_host + self.counts.sent_actors != sent {
            debug_assert_eq!(self.clock.next(), message.stamp + 1, "one stamp a post");
            self.record(Event::send(began, wall().ticks(), message, post.by));
        }
        Ok(())
    }

    /// Whether a trace wants such events of a message.
    pub(super) fn wants(&mut self, what: u32, message: &Message) -> bool {
        self.tracer.wants(&self.kernel, self.number, what, message.correlation, message.stamp)
    }

    /// Whether a trace wants such events.
    pub(super) fn wants_all(&mut self, what: u32) -> bool {
        self.tracer.wants_all(&self.kernel, Some(self.number), what)
    }

    pub(super) fn record(&mut self, event: Event) {
        self.tracer.record(&self.kernel, Some(self.number), event);
    }

    /// Has `bell` rung when what we wait for may have happened.
    pub(super) fn await_room(&self, bell: &Arc<Bell>) {
        let waits_for = self.waits_for();
        if let (Some(subscription), true) = (&self.subscription, waits_for != Wait::Nothing) {
            subscription.await_room(bell);
        }
        match waits_for {
            Wait::Nothing => {}
            Wait::Host => self.port().outbound.channel.await_room(bell),
            Wait::Worker { kernel, worker } => {
                // A kernel that began again may have fewer workers.
                if let Some(port) =
                    directory::find(kernel).as_ref().and_then(|kernel| kernel.ports.get(worker as usize))
                {
                    port.channels().for_each(|channel| channel.await_room(bell));
                }
            }
        }
    }
}
