//! The host's side of a kernel on a device: a thread that launches the pump for one quantum after the other while there is
//! work, passes on what it has for the host, and sleeps when there is nothing to do. It never waits inside the driver.

use std::sync::atomic::{fence, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::arena::Arena;
use super::forwards::Forwards;
use super::handlers::Handlers;
use super::layout::{Mode, FORWARD};
use super::{made_room_for_others, poke_others, Program, Pumps, Quantum, Shared, ROOM};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::hlc;
use crate::kernel::{told_as, Command, Kernel, Plan, Port, State, Wait};
use crate::log::Level;
use crate::message::{Class, Event, Incoming, Owned, LEVELS};
use crate::nvtx;
use crate::queue::Queue;
use crate::snapshot::Part;
use crate::time::Deadline;
use crate::trace::{self, what, Tracer};
use crate::wall::wall;

/// How often the thread asks the driver whether the device is still well, while a quantum runs.
const CHECK: Duration = Duration::from_micros(50);
/// Quanta after which a pump is told to leave that does so by itself when it is idle.
const PATIENT: u32 = 50;
/// How often at most it launches a look at what other kernels sent to a kernel at rest.
const LOOK: Duration = Duration::from_millis(1);

pub(super) struct Pump {
    pub(super) kernel: Arc<Kernel>,
    pub(super) shared: Arc<Shared>,
    pumps: Arc<Pumps>,
    program: Box<dyn Program>,
    arena: Arc<Arena>,
    /// The queues that the kernel's workers use, each once.
    queues: Vec<Arc<Queue>>,
    length: Duration,
    /// How long handlers may go on after that.
    watchdog: Option<Duration>,
    launches: u64,
    /// Number of the last capture that we handed something in for.
    shown: u64,
    /// How many launches there had been then.
    shown_at: u64,
    /// Number of the last capture of which we know whether it is what actors are restarted with.
    settled: u64,
    /// Letters taken.
    letters: u64,
    foreign: u64,
    /// Messages from the host accepted when the last quantum began.
    accepted: u64,
    /// What the host had taken from each worker then.
    taken: Vec<u64>,
    /// Sum of all counts of what has been done, which only grow.
    done: u64,
    /// Messages of actors taken.
    consumed: u64,
    /// [`ROOM`] when the last quantum began.
    room: u64,
    high_water: Vec<u64>,
    /// What is on its way to actors that the device does not reach.
    forwards: Forwards,
    /// Of these, by worker, those that the kernel began with, which the worker did not count as sent.
    begun_with: Vec<u64>,
    /// And those that were counted as sent and could not be delivered.
    refused: Vec<u64>,
    /// Workers that are told to make no more letters.
    letters_full: Vec<bool>,
    /// Those that were told so at any time since the last launch: they may wait, whatever has been told since.
    barred: Vec<bool>,
    tracer: Tracer,
    handlers: Handlers,
    /// Of quanta, in a profiler.
    label: nvtx::Name,
}

impl Pump {
    pub(super) fn new(
        kernel: Arc<Kernel>,
        shared: Arc<Shared>,
        pumps: Arc<Pumps>,
        program: Box<dyn Program>,
        arena: Arc<Arena>,
        plan: &Plan,
    ) -> Self {
        let mut queues: Vec<Arc<Queue>> = kernel.ports.iter().map(|port| port.outbound.queue.clone()).collect();
        queues.sort_by_key(Arc::as_ptr);
        queues.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let workers = kernel.ports.len();
        let label = nvtx::Name::new("quantum of", &kernel.name);
        let mut forwards = Forwards::of(&kernel);
        if let Some(image) = &plan.image {
            forwards.restore(&kernel, image);
        }
        Self {
            kernel,
            shared,
            pumps,
            program,
            arena,
            queues,
            length: plan.quantum,
            watchdog: plan.watchdog,
            launches: 0,
            shown: 0,
            shown_at: u64::MAX,
            settled: 0,
            letters: 0,
            foreign: 0,
            accepted: 0,
            taken: vec![0; workers],
            done: 0,
            consumed: 0,
            room: 0,
            high_water: vec![0; workers],
            forwards,
            begun_with: vec![0; workers],
            refused: vec![0; workers],
            letters_full: vec![false; workers],
            barred: vec![false; workers],
            tracer: Tracer::default(),
            handlers: Handlers::new(workers),
            label,
        }
    }

    /// Before the thread begins.
    pub(super) fn warm_up(&mut self) -> Result<()> {
        self.program.warm_up(&order(&self.arena, self.launches, self.length, Mode::Look))
    }

    /// The thread. A panic is a bug of ours: the runtime is poisoned and the kernel fails, so that nobody waits for us.
    pub(super) fn run(mut self) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.serve()));
        let status = match outcome {
            Ok(Ok(())) => {
                self.deliver_forwards(true);
                None
            }
            Ok(Err(error)) => {
                let is_stuck = matches!(error, Error::Stuck(_));
                match is_stuck {
                    true => self.program.abandon(),
                    false => self.program.lost(),
                }
                let name = &self.kernel.name;
                self.kernel.home.log.write(Level::Error, format_args!("kernel {name} failed: {error}"));
                // Before the event that is to come last.
                self.deliver_forwards(true);
                Some(if is_stuck { crate::capi::RK_TIMEOUT } else { crate::capi::RK_ERROR_DRIVER })
            }
            Err(_) => {
                self.kernel.home.poison();
                Some(crate::capi::RK_ERROR_PANIC)
            }
        };
        if let Some(status) = status {
            // Other kernels on the device would fill rings that nobody empties. Now the host takes over what they send, and
            // finds them closed.
            self.arena.leave_directory();
            self.kernel.fail(status);
        }
        self.rest();
        // Another kernel may have the key by now.
        let mut pumps = self.pumps.lock();
        if pumps.get(&self.shared.key).is_some_and(|pump| Arc::ptr_eq(pump, &self.shared)) {
            pumps.remove(&self.shared.key);
        }
    }

    fn serve(&mut self) -> Result<()> {
        // It may have been activated before we began to listen, and begin with something to send.
        let mut news = true;
        let mut next_look = Deadline::Now;
        loop {
            let command = self.kernel.command();
            match command {
                Command::End => return self.end(),
                Command::Show => {
                    if self.launches == self.shown_at && self.kernel.may_go_on_first(self.shown) {
                        self.quantum(Mode::LeaveIdle, command)?;
                    }
                    self.show()?;
                }
                Command::Run if news => {
                    news = self.quantum(self.mode(), command)?;
                    self.end_if_drained();
                    continue;
                }
                _ if self.kernel.state() == State::Failed => return Ok(()),
                Command::Hold if self.may_look() && next_look.has_passed() => {
                    self.quantum(Mode::Look, command)?;
                    next_look = Deadline::after(LOOK);
                    // Seen, but not attended to.
                    news = true;
                    continue;
                }
                _ => {}
            }
            let mark = self.shared.bell.mark();
            self.await_room();
            // While an image is taken they are in it. In a parked runtime nothing moves.
            if command != Command::Show && !self.kernel.home.is_parked() {
                self.deliver_forwards(false);
            }
            // The last look, after the mark: all that the bell may have been rung for before it. News that could not be
            // attended to, because the kernel was held, stay news.
            self.end_if_drained();
            let now = self.kernel.command();
            // One capture may have followed on another.
            let changed = now != command || now == Command::Show && self.kernel.capture_wanted().0 != self.shown;
            news |= changed || self.has_arrivals() || self.host_made_room() || self.others_made_room();
            let runs = news && command == Command::Run;
            if !changed && !runs && self.kernel.state() != State::Failed {
                let looks = command == Command::Hold && self.may_look();
                self.shared.bell.wait(mark, if looks { next_look } else { self.patience() });
                // Whatever it was: a message, room, a change of state.
                news = true;
            }
        }
    }

    /// How long to sleep at most. While messages wait for room elsewhere, workers may have to be told something else.
    fn patience(&self) -> Deadline {
        match self.forwards.is_empty() && !self.expects_more() {
            true => Deadline::Never,
            false => Deadline::after(LOOK),
        }
    }

    /// Whether a worker that nothing holds up has left messages in its rings: their places were taken when it looked, and
    /// they were not written. Who wrote them since may have rung the bell before we had begun to listen.
    fn expects_more(&self) -> bool {
        self.kernel.command() == Command::Run
            && self.kernel.ports.iter().any(|port| {
                Wait::from_bits(port.waits_for.load(Ordering::Relaxed)) == Wait::Nothing
                    && port.channels().any(|channel| channel.ring.accepted() != channel.consumed())
            })
    }

    fn end_if_drained(&self) {
        // What the last messages led to has not been accepted while it is on its way.
        if self.forwards.is_empty() {
            self.kernel.end_if_drained();
        }
    }

    /// Draining kernels leave when idle, so that it is seen soon that nothing is left.
    fn mode(&self) -> Mode {
        if self.program.leaves_when_idle() || self.kernel.state() == State::Draining {
            Mode::LeaveIdle
        } else {
            Mode::Run
        }
    }

    /// Of a kernel at rest: whether what it has accepted may have grown, and it is allowed to find out.
    fn may_look(&self) -> bool {
        // SeqCst: see `poke_others`.
        self.shared.poked.load(Ordering::SeqCst) && !self.kernel.home.is_parked()
    }

    fn has_arrivals(&self) -> bool {
        self.shared.poked.load(Ordering::SeqCst) || self.accepted_from_host() != self.accepted
    }

    /// Whether workers that wait for the host can go on. It may have polled before `await_room`, which tells of later.
    fn host_made_room(&self) -> bool {
        self.kernel.ports.iter().enumerate().any(|(worker, port)| {
            Wait::from_bits(port.waits_for.load(Ordering::Relaxed)) == Wait::Host
                && (port.outbound.channel.consumed() != self.taken[worker]
                    || self.barred[worker] && !self.is_full_of_letters(worker))
        })
    }

    /// Whether workers that wait for those of other kernels may be able to go on.
    fn others_made_room(&self) -> bool {
        // Relaxed: only this thread writes it. SeqCst: see `made_room_for_others`.
        self.shared.held_up.load(Ordering::Relaxed) && ROOM.load(Ordering::SeqCst) != self.room
    }

    fn accepted_from_host(&self) -> u64 {
        self.kernel.ports.iter().flat_map(|port| &port.inbound).map(|channel| channel.ring.accepted()).sum()
    }

    /// Whether the host has as many letters of a worker as it is to have for now.
    fn is_full_of_letters(&self, worker: usize) -> bool {
        self.kernel.ports[worker].outbound.is_full_of_letters() || self.forwards.are_many()
    }

    /// Has the bell rung when workers that wait for the host, or messages for other kernels, can go on.
    fn await_room(&self) {
        self.forwards.await_room(&self.shared.bell);
        for port in &self.kernel.ports {
            if Wait::from_bits(port.waits_for.load(Ordering::Relaxed)) == Wait::Host {
                port.outbound.channel.await_room(&self.shared.bell);
            }
        }
    }

    /// One launch, unless `command` is no longer what is to be done. True if anything was done.
    fn quantum(&mut self, mode: Mode, command: Command) -> Result<bool> {
        self.shared.running.store(1, Ordering::SeqCst);
        // Partner of the fence that `Backend::rest` is called after: it sees us run, or we see what it changed.
        fence(Ordering::SeqCst);
        let parked = command == Command::Show && self.kernel.home.is_parked();
        if self.kernel.command() != command || parked || mode == Mode::Look && !self.may_look() {
            self.rest();
            return Ok(true);
        }
        self.shared.poked.store(false, Ordering::SeqCst);
        self.room = ROOM.load(Ordering::SeqCst);
        self.accepted = self.accepted_from_host();
        for (taken, port) in self.taken.iter_mut().zip(&self.kernel.ports) {
            *taken = port.outbound.channel.consumed();
        }
        self.made_room();
        self.barred.clone_from(&self.letters_full);
        self.sample();
        self.settle()?;
        if mode != Mode::Look {
            self.begin_forwards();
        }
        self.launches += 1;
        let began = wall().ticks();
        let range = nvtx::range(&self.label, self.launches);
        self.program.launch(&order(&self.arena, self.launches, self.length, mode))?;
        self.attend(mode, command)?;
        drop(range);
        self.trace(began);
        let progressed = self.mirror() | self.program.wants_more();
        self.settle_with_others();
        self.rest();
        Ok(progressed)
    }

    /// What the host knows of a quantum: from its launch to when all workers had left.
    fn trace(&mut self, began: u64) {
        if self.kernel.home.trace.is_on() && self.tracer.wants_all(&self.kernel, None, what::VISITS) {
            let event = trace::Event::quantum(began, wall().ticks(), self.launches);
            self.tracer.record(&self.kernel, None, event);
        }
    }

    fn rest(&self) {
        self.shared.running.store(0, Ordering::SeqCst);
        self.shared.rests.fetch_add(1, Ordering::SeqCst);
        self.shared.rested.ring();
    }

    fn has_left(&self) -> bool {
        // Acquire: the reports were written before.
        self.arena.left().load(Ordering::Acquire) == self.launches
    }

    /// Until all workers have left: passes on what they have for others.
    fn attend(&mut self, mode: Mode, expected: Command) -> Result<()> {
        let started = Instant::now();
        let length = if mode == Mode::Run { self.length } else { PATIENT * self.length };
        let mut checked = started;
        let mut told: Option<Instant> = None;
        while !self.has_left() {
            self.program.pause();
            self.pass_on();
            let drains = mode == Mode::Run && self.kernel.state() == State::Draining;
            // Not all devices know when the quantum is over. A pump that leaves when idle has other bounds too, and on a slow
            // device it takes longer than a quantum until the last of many workers has had its turn.
            let over = started.elapsed() >= length || self.program.wants_more();
            if told.is_none() && (over || drains || self.kernel.command() != expected) {
                told = Some(Instant::now());
                // Relaxed: it says nothing else. Partner: the devices' looks at `rk_dev_command.leave`.
                self.arena.leave().store(self.launches, Ordering::Relaxed);
                self.arena.flush();
            }
            if checked.elapsed() >= CHECK {
                checked = Instant::now();
                self.deliver_forwards(false);
                self.made_room();
                if !self.program.has_clock() {
                    // Relaxed: only a time.
                    self.arena.now().store(hlc::physical(), Ordering::Relaxed);
                    self.arena.flush();
                }
                // We may have been stopped ourselves: it must have had the time, and not have left meanwhile.
                let too_long = |watchdog: &Duration| told.is_some_and(|told| told.elapsed() >= *watchdog);
                if let Some(watchdog) = self.watchdog.filter(too_long).filter(|_| !self.has_left()) {
                    self.pass_on();
                    return Err(Error::Stuck(watchdog));
                }
                if self.program.is_over()? && !self.has_left() {
                    self.pass_on();
                    return Err(Error::Unfinished(self.program.unfinished()));
                }
            }
        }
        self.program.settle()?;
        // Once more: now everything that was written is there to be seen.
        self.pass_on();
        self.tell_host();
        self.made_room();
        Ok(())
    }

    fn pass_on(&mut self) {
        // Letters are always looked for: workers wait for room for them.
        if self.take_letters() {
            self.deliver_forwards(false);
            self.tell_host();
        }
        self.wake_pollers();
        // Acquire: what the device counted has been written. Partner: its release before it counts.
        let foreign = self.arena.foreign().load(Ordering::Acquire);
        if foreign != self.foreign {
            self.foreign = foreign;
            poke_others(self.shared.key);
        }
    }

    /// Devices do not ring bells. Who is asleep is woken here when something lies in a ring, which costs them nothing.
    fn wake_pollers(&self) {
        let calls = &self.kernel.home.calls.bell;
        let calling = calls.is_marked();
        if !calling && !self.queues.iter().any(|queue| queue.is_awaited()) {
            return;
        }
        for port in &self.kernel.ports {
            if (calling || port.outbound.queue.is_awaited()) && port.outbound.has_unread() {
                calls.ring();
                port.outbound.queue.notify();
            }
        }
    }

    fn tell_host(&self) {
        self.kernel.home.calls.bell.ring();
        self.queues.iter().for_each(|queue| queue.notify());
    }

    /// Senders wait for room in rings that the device empties.
    fn made_room(&mut self) {
        self.kernel.ports.iter().flat_map(|port| &port.inbound).for_each(|channel| channel.made_room());
        for worker in 0..self.letters_full.len() {
            self.order_letters(worker);
        }
    }

    /// Tells a worker whether the host has too many letters unread.
    fn order_letters(&mut self, worker: usize) {
        let full = self.is_full_of_letters(worker);
        self.barred[worker] |= full;
        if full != std::mem::replace(&mut self.letters_full[worker], full) {
            // Relaxed: it says nothing else. Partner: the worker's look before it writes a letter that may wait.
            self.arena.letters_full(worker).store(u64::from(full), Ordering::Relaxed);
            self.arena.flush();
        }
    }

    fn take_letters(&mut self) -> bool {
        let before = self.letters;
        // Acquire: the letter was written before its stamp.
        while self.arena.letter_stamp(self.letters).load(Ordering::Acquire) == self.letters + 1 {
            let (mut letter, payload) = self.arena.letter(self.letters);
            // A handler may have written nonsense over it.
            letter.worker = letter.worker.min(self.kernel.ports.len() as u32 - 1);
            self.letters += 1;
            // Release: the device may write the place again.
            self.arena.letter_head().store(self.letters, Ordering::Release);
            self.arena.flush();
            if letter.klass == FORWARD {
                if let Some(dead) = self.forwards.add(&letter, payload) {
                    self.refuse(dead);
                }
                self.order_letters(letter.worker as usize);
                continue;
            }
            let class = match letter.klass {
                1 => Class::Reply,
                2 => Class::Emit,
                3 => Class::DeadLetter,
                _ => Class::Event,
            };
            self.kernel.ports[letter.worker as usize].outbound.post(Incoming {
                class,
                from: letter.from,
                to: letter.to,
                correlation: letter.correlation,
                time: letter.time,
                kind: told_as(letter.r#type),
                reason: letter.reason,
                level: letter.level as u8,
                call: letter.call != 0,
                payload,
            });
            self.order_letters(letter.worker as usize);
            let failed = class == Class::Event && letter.r#type == Event::ActorFailed as u32;
            if failed && self.kernel.supervision.escalates {
                self.kernel.escalate();
            }
        }
        self.letters != before
    }

    /// What the kernel began with, and is not for the device, goes on its way.
    fn begin_forwards(&mut self) {
        let Self { forwards, kernel, begun_with, .. } = self;
        forwards.begin(kernel).into_iter().for_each(|worker| begun_with[worker as usize] += 1);
    }

    /// Takes messages on to where the device does not reach.
    fn deliver_forwards(&mut self, last: bool) {
        if self.forwards.is_empty() {
            return;
        }
        let mut dead = Vec::new();
        self.forwards.deliver(last, |letter| dead.push(letter));
        if !dead.is_empty() {
            dead.into_iter().for_each(|letter| self.refuse(letter));
            self.tell_host();
        }
    }

    /// The worker counted it as sent.
    fn refuse(&mut self, (worker, letter): (u32, Owned)) {
        let port = &self.kernel.ports[worker as usize];
        self.refused[worker as usize] += 1;
        let (sent, undeliverable) = (&port.tally.sent_actors, &port.tally.undeliverable);
        // Only this thread writes these; Release as in `Tally::store`.
        sent.store(sent.load(Ordering::Relaxed).saturating_sub(1), Ordering::Release);
        undeliverable.store(undeliverable.load(Ordering::Relaxed) + 1, Ordering::Release);
        port.outbound.post(letter);
    }

    /// How much waits, before the device takes it.
    fn sample(&mut self) {
        for (most, port) in self.high_water.iter_mut().zip(&self.kernel.ports) {
            let waiting =
                port.channels().map(|channel| channel.ring.accepted().saturating_sub(channel.consumed())).sum();
            *most = (*most).max(waiting);
        }
    }

    /// The reports to where everybody looks. True if anything was done, or a worker waits for something else than before:
    /// that is no rest yet, its neighbours in a circle are still to see it.
    fn mirror(&mut self) -> bool {
        // Taken letters make room for more.
        let mut done = self.letters;
        let mut waits_changed = false;
        for (worker, port) in self.kernel.ports.iter().enumerate() {
            let report = self.arena.report(worker);
            self.handlers.trace(&self.kernel, &self.arena, worker, &report);
            for (level, channel) in port.peers.iter().enumerate() {
                channel.ring.mirror(report.accepted[level], report.consumed[level]);
            }
            let mut counts = report.counts(self.high_water[worker]);
            // What came and went between two looks has waited, too.
            counts.high_water = counts.high_water.max(u64::from(counts.handled + counts.dead > 0));
            counts.sent_actors = (counts.sent_actors + self.begun_with[worker]).saturating_sub(self.refused[worker]);
            counts.undeliverable = counts.undeliverable.saturating_add(self.refused[worker]);
            done += counts.handled + counts.dead + counts.sent_host + counts.sent_actors + counts.undeliverable;
            port.tally.store(&counts);
            // Relaxed, as its loads: it says nothing else, and who looks for circles looks again.
            waits_changed |= port.waits_for.swap(report.waits, Ordering::Relaxed) != report.waits;
        }
        waits_changed | (std::mem::replace(&mut self.done, done) != done)
    }

    /// Says whether we are held up by other kernels, and tells those that we may have held up.
    fn settle_with_others(&mut self) {
        let waits_for_other = |port: &Port| {
            matches!(Wait::from_bits(port.waits_for.load(Ordering::Relaxed)),
                Wait::Worker { kernel, .. } if kernel != self.kernel.key)
        };
        let held_up = self.kernel.ports.iter().any(waits_for_other);
        // SeqCst: see `made_room_for_others`.
        self.shared.held_up.store(held_up, Ordering::SeqCst);
        let consumed = self.kernel.ports.iter().flat_map(|port| &port.peers).map(|channel| channel.consumed()).sum();
        if consumed != std::mem::replace(&mut self.consumed, consumed) {
            made_room_for_others();
        }
    }

    /// Before handlers may run again, or another image is taken: the capture that we handed something in for is over, and
    /// nothing has changed since. If there is a snapshot of it, that is what actors are restarted with.
    fn settle(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.settled, self.shown) != self.shown && self.kernel.is_kept(self.shown) {
            true => self.arena.keep_states(),
            false => Ok(()),
        }
    }

    /// Hands in what the kernel consists of, once for each capture.
    fn show(&mut self) -> Result<()> {
        let (number, ends) = self.kernel.capture_wanted();
        if number != self.shown {
            self.settle()?;
            self.shown = number;
            self.shown_at = self.launches;
            // All workers are ours, and have left the device.
            let workers = self.kernel.ports.len();
            self.kernel.come_to_rest(number, workers);
            let part = self.part(ends);
            self.kernel.hand_in(number, workers, part);
        }
        Ok(())
    }

    fn part(&mut self, ends: bool) -> Result<Part> {
        if ends {
            self.arena.check_failures(&self.kernel)?;
            self.kernel.note_closed();
            // What other kernels on the device send from now on the host takes over, and finds the rings closed.
            if !self.arena.leave_others() {
                return Err(Error::Unfinished("another kernel on the device does not leave it"));
            }
            self.kernel.ports.iter().flat_map(Port::channels).for_each(|channel| {
                channel.close();
            });
        }
        let mut part = self.arena.part(&self.kernel)?;
        // Counted as sent, but not out of our hands. They are older than what waits on the device.
        let forwards = self.forwards.iter().map(|(worker, mut unsent)| {
            unsent.post.by = Address::new(self.kernel.key, self.kernel.actors_of(worker).start).to_bits();
            unsent
        });
        part.posts.splice(0..0, forwards.collect::<Vec<_>>());
        Ok(part)
    }

    /// The kernel has ended: no more comes in, and the workers turn what is left into dead letters.
    fn end(&mut self) -> Result<()> {
        if self.kernel.is_handed_over() {
            self.forwards = Forwards::of(&self.kernel);
            self.kernel.ports.iter().for_each(|_| self.kernel.worker_left(0));
            return Ok(());
        }
        for (worker, port) in self.kernel.ports.iter().enumerate() {
            for level in 0..LEVELS {
                let accepted = port.inbound[level].close();
                // Relaxed: the launch that reads it comes after.
                self.arena.end_at(worker, level).store(accepted, Ordering::Relaxed);
            }
        }
        self.arena.flush();
        loop {
            self.quantum(Mode::End, Command::End)?;
            if (0..self.kernel.ports.len()).all(|worker| self.arena.report(worker).ended != 0) {
                break;
            }
            if self.kernel.state() == State::Failed {
                return Ok(());
            }
        }
        // Before the event that is to come last.
        self.deliver_forwards(true);
        // And before anybody can know that it is gone.
        self.arena.leave_directory();
        for (worker, port) in self.kernel.ports.iter().enumerate() {
            port.peers.iter().for_each(|channel| {
                channel.close();
            });
            self.kernel.worker_left(self.arena.report(worker).found_waiting);
        }
        Ok(())
    }
}

fn order(arena: &Arena, number: u64, length: Duration, mode: Mode) -> Quantum<'_> {
    Quantum {
        descriptor: arena.descriptor(),
        kernel: arena.kernel(),
        number,
        unix_ns: ((u128::from(hlc::physical() >> 8) * 1_000_000_000) >> 24) as u64,
        length_ns: length.as_nanos() as u64,
        mode,
    }
}
