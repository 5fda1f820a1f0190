//! The pump on the CPU: takes a message from the rings, finds the actor, runs its handler, sends what it produced.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::actors::{Actors, Buffer};
use super::courier::Courier;
use super::outbox::{Outbox, Step};
use crate::address::{generation_of, index_of, Address};
use crate::bell::Bell;
use crate::error::{DeadReason, Result};
use crate::hlc;
use crate::kernel::{Command, Entry, Kernel, Origin, Plan, Wait, INBOUND_BIT};
use crate::latency::Probe;
use crate::layout::{Context, Handler, HandlerFn, COUNTERS, RESULT_FAIL, RESULT_STOP, TYPE_ORPHANED};
use crate::layout::{TYPE_START, TYPE_STOP};
use crate::message::{priority_of, Class, Event, Incoming, LEVELS};
use crate::ring::{flags, Cursor, Envelope, Slot, AREA, INLINE_BYTES};
use crate::trace::{self, what, Message};
use crate::wall::wall;

/// Messages that a worker handles before the next one on the same thread has its turn.
const TURN: u32 = 256;
/// Every so many messages one is taken from a lower level first, so that no level waits for ever.
const FAIRNESS: u32 = 32;

/// Which of them. Not the first: a start is when priorities matter most.
const FAIRNESS_TURN: u32 = FAIRNESS - 1;
/// So many messages in one visit are a backlog.
const BACKLOG: u32 = 16;
/// Messages between looks at physical time and at how much waits.
const SAMPLE: u32 = 32;

/// What came of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// Something was done.
    Busy,
    /// Nothing to do, or nothing that can be done now.
    Idle,
    /// The kernel has ended and the worker with it.
    Left,
}

/// Which ring a message came from: peers' by level, then the host's.
type Lane = usize;

/// A worker. Belongs to one thread of the pool.
pub(super) struct Worker {
    pub(super) courier: Courier,
    pub(super) actors: Arc<Actors>,
    handlers: Box<[Handler]>,
    pub(super) cursors: [Cursor; 2 * LEVELS],
    pub(super) outbox: Outbox,
    /// Where inline payloads are put for handlers: as large as the largest declared size.
    message: Buffer,
    context: Context,
    /// Owns what `context.scratch` and `context.counters` point to.
    _scratch: Buffer,
    pub(super) user_counters: Box<[u64; COUNTERS]>,
    consumed: u64,
    /// The kernel did not run at the last visit.
    pub(super) held: bool,
    /// The kernel did run since the last capture.
    pub(super) ran: bool,
    /// Number of the last capture that we handed something in for.
    pub(super) shown: u64,
    /// Number of the last capture that we have come to rest for.
    pub(super) resting: u64,
    /// Number of the last capture of which we know whether it is what actors are restarted with.
    pub(super) settled: u64,
    /// Counts messages, for fairness.
    turn: u32,
    quantum: Duration,
    probe: Probe,
}

// SAFETY: the pointers in `context` are to memory that the worker owns, or are set before each use; a worker is used by one
// thread at a time.
unsafe impl Send for Worker {}

impl Worker {
    pub(super) fn new(
        kernel: Arc<Kernel>,
        number: u32,
        actors: Arc<Actors>,
        plan: &Plan,
        probe: Probe,
    ) -> Result<Self> {
        let kind = &plan.module.actors()[plan.actor];
        let outbox = Outbox::new(plan.outbox_bytes, plan.module.largest_message())?;
        let scratch = Buffer::new(kind.scratch_size as usize)?;
        let mut user_counters = Box::new([0; COUNTERS]);
        let (base, limit) = outbox.raw();
        let context = Context {
            state: std::ptr::null_mut(),
            message: std::ptr::null(),
            scratch: scratch.as_ptr().cast(),
            outbox: base,
            outbox_used: 0,
            outbox_limit: limit,
            r#type: 0,
            size: 0,
            index: 0,
            actors: plan.actors,
            self_: 0,
            sender: 0,
            correlation: 0,
            time: 0,
            counters: user_counters.as_mut_ptr(),
            priority: 0,
            result: 0,
            fail_code: 0,
            refused: 0,
            buffers: kernel.home.buffers.table()?,
            reserved: [0; 3],
        };
        let mut worker = Self {
            actors,
            handlers: kind.handlers.clone().into(),
            cursors: Default::default(),
            outbox,
            message: Buffer::new(kernel.types.largest() as usize + INLINE_BYTES)?,
            context,
            _scratch: scratch,
            user_counters,
            consumed: 0,
            held: true,
            ran: true,
            shown: 0,
            resting: 0,
            settled: 0,
            turn: 0,
            quantum: plan.quantum,
            probe,
            courier: Courier::new(kernel, number),
        };
        if let Some(image) = &plan.image {
            worker.restore(image);
        }
        Ok(worker)
    }

    pub(super) fn kernel(&self) -> &Kernel {
        &self.courier.kernel
    }

    /// One bounded stay. `alone`: no other worker waits for this thread.
    #[inline]
    pub(super) fn visit(&mut self, alone: bool) -> Visit {
        if self.kernel().home.trace.is_on() {
            return self.visit_traced(alone);
        }
        self.stay(alone)
    }

    /// The same, in the trace if anything of it is, or if it did anything and the trace is of visits alone.
    #[cold]
    fn visit_traced(&mut self, alone: bool) -> Visit {
        let began = wall().ticks();
        let before = (self.courier.tracer.count(), self.consumed);
        let visit = self.stay(alone);
        let notable = self.courier.tracer.count() != before.0
            || visit == Visit::Busy && !self.courier.wants_all(what::HANDLERS | what::SENDS);
        if notable && self.courier.wants_all(what::VISITS | what::DEPTH) {
            let waiting = self.waiting();
            self.courier.record(trace::Event::visit(began, wall().ticks(), self.consumed - before.1, waiting));
        }
        visit
    }

    fn stay(&mut self, alone: bool) -> Visit {
        match self.courier.kernel.command() {
            Command::Hold => {
                self.held = true;
                return Visit::Idle;
            }
            Command::Show if self.ran || !self.courier.kernel.may_go_on_first(self.resting) => return self.show(),
            // One message, then it is shown.
            Command::Show => self.go_on(),
            Command::End => {
                self.end();
                return Visit::Left;
            }
            Command::Leave => return Visit::Left,
            Command::Run => self.go_on(),
        }
        let before = (self.done(), self.courier.waits_for());
        if self.outbox.is_empty() {
            self.courier.wait_for(Wait::Nothing);
        }
        let mut until = None;
        let mut handled = 0;
        loop {
            if !self.outbox.is_empty() && !self.flush() {
                if !self.break_cycle() {
                    break;
                }
            } else {
                let Some((lane, slot)) = self.next() else { break };
                if handled % SAMPLE == 0 {
                    self.courier.clock.refresh();
                }
                // What waited while we held, and whatever has grown into a backlog.
                if self.held || handled % TURN == BACKLOG {
                    self.sample();
                    self.held = false;
                }
                if !self.handle(lane, &slot) {
                    break;
                }
            }
            handled += 1;
            if handled == TURN && !alone || self.courier.kernel.command() != Command::Run {
                break;
            }
            if handled % TURN == 0 {
                let now = Instant::now();
                if now >= *until.get_or_insert(now + self.quantum) {
                    break;
                }
            }
        }
        // Waiting for something else than before is no rest: the thread sleeps only after it has asked to be woken for it,
        // and neighbours in a circle have seen it.
        match (self.done(), self.courier.waits_for()) {
            after if after == before => {
                if self.courier.kernel.command() == Command::Show {
                    return self.show();
                }
                self.courier.kernel.end_if_drained();
                return Visit::Idle;
            }
            (done, _) if done == before.0 => {}
            _ => self.leave(),
        }
        Visit::Busy
    }

    /// Grows with everything that a visit can do.
    fn done(&self) -> u64 {
        let counts = &self.courier.counts;
        self.consumed + counts.sent_host + counts.sent_actors + counts.undeliverable
    }

    /// Keeps the high-water mark. Reads lines that senders write, so not for every message.
    #[cold]
    fn sample(&mut self) {
        let waiting = self.waiting();
        let high_water = &mut self.courier.counts.high_water;
        *high_water = waiting.max(*high_water);
    }

    fn waiting(&self) -> u64 {
        let lanes = self.courier.port().channels().zip(&self.cursors);
        lanes.map(|(channel, cursor)| channel.ring.accepted() - cursor.position()).sum()
    }

    /// At the end of a visit everything is in shared memory: heads, counters.
    fn leave(&mut self) {
        for (lane, cursor) in self.cursors.iter_mut().enumerate() {
            self.courier.channel(lane).publish(cursor);
        }
        self.courier.counts.quanta += 1;
        self.courier.counts.high_water = self.courier.counts.high_water.max(1);
        self.publish();
    }

    /// Shows others our counts.
    pub(super) fn publish(&mut self) {
        self.courier.counts.deferred = self.outbox.waiting();
        self.courier.counts.counters = *self.user_counters;
        if self.outbox.is_empty() {
            // Only now: what these messages led to has been accepted elsewhere (`Kernel::is_quiescent`).
            self.courier.counts.completed = self.consumed;
        }
        self.courier.port().tally.store(&self.courier.counts);
    }

    /// The next message: of the highest level that has one, or now and then of another. At one level actors and the host
    /// take turns.
    #[inline(always)] // with `handle`: a slot that went through memory would stall the loads of its parts
    fn next(&mut self) -> Option<(Lane, Slot)> {
        let port = self.courier.port();
        // Relaxed: see `Port::mark_used`.
        let used = port.used.load(Ordering::Relaxed);
        if used == 1 << (INBOUND_BIT + 1) {
            // Nothing but normal messages from the host, which is common.
            let lane = LEVELS + 1;
            return self.cursors[lane].peek(&port.lane(lane).ring).map(|slot| (lane, slot));
        }
        let first = match self.turn % FAIRNESS {
            FAIRNESS_TURN => (self.turn / FAIRNESS) as usize % LEVELS,
            _ => LEVELS - 1,
        };
        let host_first = self.turn % 2 == 1;
        for step in 0..LEVELS {
            let level = (first + LEVELS - step) % LEVELS;
            for from_host in [host_first, !host_first] {
                let lane = if from_host { LEVELS + level } else { level };
                if used & 1 << lane != 0 {
                    if let Some(slot) = self.cursors[lane].peek(&port.lane(lane).ring) {
                        return Some((lane, slot));
                    }
                }
            }
        }
        None
    }

    /// Handles the message at the cursor of a lane. False if it must wait because the host has too many dead letters.
    #[inline(always)]
    fn handle(&mut self, lane: Lane, slot: &Slot) -> bool {
        let (envelope, inline, in_body) = slot.decode();
        let payload = self.payload(lane, &envelope, &inline, in_body);
        match self.verdict(&envelope) {
            Ok((size, run)) => self.run(lane, &envelope, payload, in_body, size, run),
            Err(reason) if self.directed(&envelope, reason) => {}
            Err(_) if self.courier.port().outbound.is_full_of_letters() => {
                self.courier.wait_for(Wait::Host);
                return false;
            }
            Err(reason) => {
                self.courier.bury(&envelope, &payload_bytes(payload, &envelope), reason);
                self.courier.counts.dead += 1;
            }
        }
        self.consume(lane);
        true
    }

    fn consume(&mut self, lane: Lane) {
        let channel = self.courier.channel(lane);
        self.cursors[lane].advance();
        self.consumed += 1;
        self.turn = self.turn.wrapping_add(1);
        if self.cursors[lane].is_due(&channel.ring) {
            channel.publish(&mut self.cursors[lane]);
        }
    }

    /// Where the payload lies, 16-byte aligned.
    #[inline(always)]
    pub(super) fn payload(&self, lane: Lane, envelope: &Envelope, inline: &[u64; AREA], in_body: bool) -> *const u8 {
        if in_body {
            let ring = &self.courier.channel(lane).ring;
            return ring.storage().body(self.cursors[lane].index(ring));
        }
        let place = self.message.as_ptr();
        if envelope.size > 0 {
            // SAFETY: the buffer has room for 32 bytes and is the worker's alone.
            unsafe { place.cast::<[u64; AREA]>().write(*inline) };
        }
        place
    }

    /// Declared size and handler, or why the message dies.
    #[inline(always)]
    fn verdict(&self, envelope: &Envelope) -> std::result::Result<(u32, HandlerFn), DeadReason> {
        let index = index_of(envelope.actor);
        if index >= self.courier.kernel.actors {
            return Err(DeadReason::NoActor);
        }
        // SAFETY: entries of our actors are ours; senders put a message only into the ring of the actor's worker.
        let entry = unsafe { &*self.actors.entry(index) };
        if entry.generation != generation_of(envelope.actor) {
            return Err(DeadReason::NoActor);
        }
        match entry.status {
            Entry::RUNNING => {}
            Entry::STOPPED => return Err(DeadReason::Stopped),
            _ => return Err(DeadReason::Failed),
        }
        if envelope.deadline != 0 && hlc::physical() > envelope.deadline {
            return Err(DeadReason::Expired);
        }
        let (size, number) = self.courier.kernel.types.find(u32::from(envelope.kind)).ok_or(DeadReason::UnknownType)?;
        let run = self.handlers.get(number).and_then(|handler| handler.run).ok_or(DeadReason::UnknownType)?;
        if envelope.size > size {
            return Err(DeadReason::Size);
        }
        Ok((size, run))
    }

    /// Starts or stops an actor, if that is what the message asks for, which has no handler, or its parent has ended. False if
    /// it is another.
    #[cold]
    fn directed(&mut self, envelope: &Envelope, reason: DeadReason) -> bool {
        if !matches!(reason, DeadReason::Stopped | DeadReason::Failed | DeadReason::UnknownType) {
            return false;
        }
        let index = index_of(envelope.actor);
        let sender = Address::from_bits(envelope.sender);
        let relative = (sender.kernel() == self.courier.kernel.key).then(|| sender.index());
        // SAFETY: as in `verdict`, which found the actor to be there.
        let entry = unsafe { &mut *self.actors.entry(index) };
        let family = self.actors.family(index);
        let ends = match u32::from(envelope.kind) {
            TYPE_START => {
                // SAFETY: states of our actors are ours, and no handler runs.
                unsafe { self.actors.start(index) };
                (entry.status, entry.restarts) = (Entry::RUNNING, Default::default());
                family.begin();
                let parent = relative.filter(|parent| *parent < self.courier.kernel.actors);
                parent.is_some_and(|parent| !family.join(index, parent, self.actors.family(parent)))
            }
            TYPE_STOP => true,
            TYPE_ORPHANED if relative.is_some() => family.leave(envelope.correlation),
            _ => return false,
        };
        if ends && entry.status == Entry::RUNNING {
            entry.status = Entry::STOPPED;
            self.orphan_children(index, Address::new(self.courier.kernel.key, envelope.actor).to_bits());
        }
        self.courier.clock.receive(envelope.time);
        self.courier.counts.handled += 1;
        true
    }

    /// An actor of ours has ended, and so will its children.
    fn orphan_children(&mut self, index: u32, address: u64) {
        if let Some(first) = self.actors.family(index).end() {
            self.outbox.add_orphaned(address, Address::new(self.courier.kernel.key, first).to_bits());
        }
    }

    #[inline(always)]
    fn run(&mut self, lane: Lane, envelope: &Envelope, payload: *const u8, in_body: bool, size: u32, run: HandlerFn) {
        let index = index_of(envelope.actor);
        let address = Address::new(self.courier.kernel.key, envelope.actor).to_bits();
        // A payload in its slot's body is readable to the body's end, which is the largest declared size.
        debug_assert!(!in_body || size <= self.courier.kernel.types.largest());
        let context = &mut self.context;
        context.state = self.actors.state(index).cast();
        context.message = payload.cast();
        context.outbox_used = 0;
        context.r#type = u32::from(envelope.kind);
        context.size = envelope.size;
        context.index = index;
        context.self_ = address;
        context.sender = envelope.sender;
        context.correlation = envelope.correlation;
        context.time = self.courier.clock.receive(envelope.time);
        context.priority = priority_of(envelope.level);
        context.result = 0;
        context.refused = 0;
        // SAFETY: the handler is code of the module, called as module.h says: every pointer in the context is to memory of
        // the size that the module declared, and no other thread uses it meanwhile.
        unsafe {
            let due = self.probe.due();
            if due | self.courier.kernel.home.trace.is_on() {
                self.run_watched(lane, *envelope, run, due);
            } else {
                run(&mut self.context);
            }
        }
        let context = &self.context;
        self.courier.counts.handled += 1;
        self.courier.counts.refused += u64::from(context.refused);
        let (used, result, code) = (context.outbox_used, context.result, context.fail_code);
        let origin = Origin {
            actor: address,
            sender: envelope.sender,
            correlation: envelope.correlation,
            level: envelope.level,
            call: envelope.flags & flags::CALL,
        };
        if used > 0 {
            self.outbox.filled(used, origin);
        }
        if result != 0 {
            self.ended(*envelope, payload, origin, result, code);
        }
    }

    /// Runs a handler whose time may be wanted: by the histograms if it is `due`, by the trace or not. Takes a copy of the
    /// envelope, as all do that are called seldom: one that nobody points to stays in registers.
    ///
    /// # Safety
    /// As for the handler, with the context filled in.
    #[cold]
    unsafe fn run_watched(&mut self, lane: Lane, envelope: Envelope, run: HandlerFn, due: bool) {
        let message = Message::new(&envelope, envelope.time, self.context.self_);
        let traced = self.courier.kernel.home.trace.is_on() && self.courier.wants(what::HANDLERS, &message);
        if !due && !traced {
            // SAFETY: the caller's promise.
            return unsafe { run(&mut self.context) };
        }
        // Who sends from the host records nothing: the stamp says when it was.
        let waited = (traced && lane >= LEVELS).then(|| hlc::units_since(envelope.time));
        let started = if due { self.probe.begin(envelope.time) } else { wall().ticks() };
        // SAFETY: the caller's promise.
        unsafe { run(&mut self.context) };
        if due {
            self.probe.end(started);
        }
        if traced {
            self.courier.record(trace::Event::handler(started, wall().ticks(), message, waited));
        }
    }

    /// The handler of a message failed or stopped its actor.
    #[cold]
    fn ended(&mut self, envelope: Envelope, payload: *const u8, origin: Origin, result: u32, code: i32) {
        let (index, address) = (index_of(envelope.actor), origin.actor);
        // SAFETY: as in `verdict`.
        let entry = unsafe { &mut *self.actors.entry(index) };
        if result & RESULT_FAIL == 0 {
            if result & RESULT_STOP != 0 {
                entry.status = Entry::STOPPED;
                self.orphan_children(index, address);
            }
            return;
        }
        self.courier.counts.failures += 1;
        let supervision = self.courier.kernel.supervision;
        let time = self.courier.clock.tick();
        let event = if supervision.restarts(&mut entry.restarts, time) {
            // SAFETY: states of our actors are ours, and no handler runs.
            unsafe { self.actors.restart(index) };
            self.courier.counts.restarts += 1;
            if envelope.flags & flags::AGAIN != 0 {
                self.outbox.add_again(origin, &envelope, &payload_bytes(payload, &envelope));
            }
            // Any number of them may come, and a host that does not read is not to run out of memory.
            if self.courier.port().outbound.is_full_of_letters() {
                return;
            }
            Event::ActorRestarted
        } else {
            entry.status = Entry::FAILED;
            self.orphan_children(index, address);
            Event::ActorFailed
        };
        self.courier.letter(Incoming {
            class: Class::Event,
            from: address,
            to: 0,
            correlation: 0,
            time,
            kind: event as u32,
            reason: code,
            level: 1,
            call: false,
            payload: Box::default(),
        });
        if supervision.escalates && event == Event::ActorFailed {
            self.courier.kernel.escalate();
        }
    }

    /// Sends what the outbox holds. False if something has to wait; `waits_for` says for what.
    #[inline]
    fn flush(&mut self) -> bool {
        let Self { outbox, courier, actors, .. } = self;
        let mut wait = Wait::Nothing;
        let done = outbox.drain(|post, payload, heard| {
            let outcome = if post.is_to_orphan() {
                courier.tell_orphan(actors, post)
            } else {
                courier.deliver(post, payload, heard).map(|()| Step::Left)
            };
            outcome.unwrap_or_else(|blocked| {
                wait = blocked;
                Step::Stays
            })
        });
        courier.wait_for(wait);
        done
    }

    /// Called with posts that cannot leave. Where that is because workers wait for each other in a circle, somebody must
    /// make room: we set our posts aside and go on. Otherwise false: we wait, and whoever we wait for goes on.
    #[cold]
    fn break_cycle(&mut self) -> bool {
        if !self.courier.is_in_cycle() {
            return false;
        }
        let Self { outbox, courier, .. } = self;
        outbox.set_aside(|post, payload| courier.undeliverable(post, payload, DeadReason::Overflow));
        // Only a message from an actor makes room for one. For a publication any may: what subscribers wait for is in both.
        let lanes = if self.courier.waits_for_subscription() { 2 * LEVELS } else { LEVELS };
        let peek = |lane: usize| self.cursors[lane].peek(&self.courier.channel(lane).ring).map(|slot| (lane, slot));
        let Some((lane, slot)) = (0..lanes).rev().find_map(peek) else { return false };
        self.handle(lane, &slot)
    }

    /// Before the thread sleeps: has it woken when what we wait for may have happened.
    pub(super) fn before_sleep(&self, bell: &Arc<Bell>) {
        self.courier.await_room(bell);
    }

    /// The kernel has ended: what waits becomes dead letters, and nothing comes in any more.
    fn end(&mut self) {
        if self.courier.kernel.is_handed_over() {
            self.courier.wait_for(Wait::Nothing);
            self.leave();
            return self.courier.kernel.worker_left(0);
        }
        let Self { outbox, courier, .. } = self;
        // Once something for the host is left behind, what follows it is too, to stay behind it.
        let mut behind = false;
        let all = outbox.drain(|post, payload, heard| {
            // Who is still to be told of a parent's end has ended too.
            if post.is_to_orphan() {
                return Step::Left;
            }
            if (behind && post.to == 0) || courier.deliver(post, payload, heard).is_err() {
                courier.leave_behind(post, payload);
                behind |= post.to == 0;
            }
            Step::Left
        });
        debug_assert!(all);
        courier.wait_for(Wait::Nothing);
        let mut waiting = 0;
        for lane in 0..2 * LEVELS {
            let accepted = self.courier.channel(lane).close();
            while self.cursors[lane].position() < accepted {
                // Its producer holds the ticket and is about to write it.
                let Some(slot) = self.cursors[lane].peek(&self.courier.channel(lane).ring) else {
                    std::thread::yield_now();
                    continue;
                };
                let (envelope, inline, in_body) = slot.decode();
                if u32::from(envelope.kind) == TYPE_ORPHANED {
                    self.courier.counts.handled += 1;
                    self.consume(lane);
                    continue;
                }
                let payload = self.payload(lane, &envelope, &inline, in_body);
                self.courier.bury(&envelope, &payload_bytes(payload, &envelope), DeadReason::Terminated);
                self.courier.counts.dead += 1;
                self.consume(lane);
                waiting += 1;
            }
        }
        self.leave();
        self.courier.kernel.worker_left(waiting);
    }
}

/// A copy of a message's payload.
pub(super) fn payload_bytes(payload: *const u8, envelope: &Envelope) -> Box<[u8]> {
    // SAFETY: callers pass where the payload of that very envelope lies, before they step over it.
    unsafe { std::slice::from_raw_parts(payload, envelope.size as usize) }.into()
}
