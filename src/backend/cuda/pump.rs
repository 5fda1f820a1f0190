//! The host's side of a kernel on a device: a thread that launches the pump for one quantum after the other while there is
//! work, passes on what it has for the host, and sleeps when there is nothing to do. It never waits inside the driver.

use std::ffi::c_void;
use std::sync::atomic::{fence, AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cudarc::driver::sys;

use super::arena::Arena;
use super::driver::{check, Context, Stream};
use super::layout::{control, orders, Mode};
use crate::bell::Bell;
use crate::error::{Error, Result};
use crate::hlc;
use crate::kernel::{Command, Kernel, State, Wait};
use crate::log::Level;
use crate::message::{Class, Incoming, LEVELS};
use crate::time::Deadline;

/// How often the thread asks the driver whether the device is still well, while a quantum runs.
const CHECK: Duration = Duration::from_micros(50);

/// What other threads know of a pump.
pub(super) struct Shared {
    pub(super) key: u32,
    pub(super) bell: Arc<Bell>,
    /// 1 while handlers may run.
    pub(super) running: AtomicU32,
    /// Rung when `running` becomes 0.
    pub(super) rested: Bell,
    /// An actor of another kernel sent something.
    pub(super) poked: AtomicBool,
}

/// The loaded code.
pub(super) struct Code {
    pub(super) function: sys::CUfunction,
    pub(super) module: sys::CUmodule,
    pub(super) context: Arc<Context>,
    pub(super) threads: u32,
    pub(super) scratch: u32,
    /// More workers than fit the device at once.
    pub(super) crowded: bool,
}

// SAFETY: handles of the driver, which any thread may use with the context current.
unsafe impl Send for Code {}

impl Drop for Code {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: loaded by us; no kernel of it runs any more.
            unsafe { sys::cuModuleUnload(self.module) };
        }
    }
}

pub(super) struct Pump {
    pub(super) kernel: Arc<Kernel>,
    pub(super) shared: Arc<Shared>,
    pub(super) others: Arc<super::Pumps>,
    pub(super) code: Code,
    pub(super) stream: Stream,
    pub(super) arena: Arc<Arena>,
    pub(super) quantum: Duration,
    pub(super) launches: u64,
    pub(super) letters: u64,
    pub(super) news: u64,
    pub(super) foreign: u64,
    /// Messages from the host accepted when the last quantum began.
    pub(super) accepted: u64,
    /// What the host had taken from each worker then.
    pub(super) taken: Vec<u64>,
    /// Sum of all counts, to tell progress.
    pub(super) progress: u64,
    pub(super) high_water: Vec<u64>,
}

impl Pump {
    /// The thread. A panic is a bug of ours: the runtime is poisoned and the kernel fails, so that nobody waits for us.
    pub(super) fn run(mut self) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.serve()));
        let status = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                self.code.context.lost();
                let name = &self.kernel.name;
                self.kernel.home.log.write(Level::Error, format_args!("kernel {name} failed: {error}"));
                Some(crate::capi::RK_ERROR_DRIVER)
            }
            Err(_) => {
                self.kernel.home.poison();
                Some(crate::capi::RK_ERROR_PANIC)
            }
        };
        if let Some(status) = status {
            self.kernel.fail(status);
        }
        self.rest();
        self.others.remove(self.shared.key);
    }

    fn serve(&mut self) -> Result<()> {
        let mut news = false;
        loop {
            let command = self.kernel.command();
            match command {
                Command::End => return self.end(),
                Command::Run if news => {
                    news = self.quantum(self.mode())?;
                    self.kernel.end_if_drained();
                    continue;
                }
                _ if self.kernel.state() == State::Failed => return Ok(()),
                _ => {}
            }
            let mark = self.shared.bell.mark();
            self.await_room();
            // The last look, after the mark: all that the bell may have been rung for before it. News that could not be
            // attended to, because the kernel was held, stay news.
            self.kernel.end_if_drained();
            let changed = self.kernel.command() != command;
            news |= changed || self.has_arrivals() || self.host_made_room();
            let runs = news && command == Command::Run;
            if !changed && !runs && self.kernel.state() != State::Failed {
                self.shared.bell.wait(mark, Deadline::Never);
                // Whatever it was: a message, room, a change of state.
                news = true;
            }
        }
    }

    /// Draining kernels leave when idle, so that it is seen soon that nothing is left; and where there are more workers
    /// than places, each leaves its own to the next.
    fn mode(&self) -> Mode {
        if self.code.crowded || self.kernel.state() == State::Draining {
            Mode::LeaveIdle
        } else {
            Mode::Run
        }
    }

    fn has_arrivals(&self) -> bool {
        self.shared.poked.load(Ordering::SeqCst) || self.accepted_from_host() != self.accepted
    }

    /// Whether workers that wait for the host can go on. It may have polled before `await_room`, which tells of later.
    fn host_made_room(&self) -> bool {
        self.kernel.ports.iter().enumerate().any(|(worker, port)| {
            Wait::from_bits(port.waits_for.load(Ordering::Relaxed)) == Wait::Host
                && (port.outbound.channel.consumed() != self.taken[worker]
                    || self.arena.order(worker, orders::LETTERS_FULL).load(Ordering::Relaxed) != 0
                        && !port.outbound.is_full_of_letters())
        })
    }

    fn accepted_from_host(&self) -> u64 {
        self.kernel.ports.iter().flat_map(|port| &port.inbound).map(|channel| channel.ring.accepted()).sum()
    }

    /// Has the bell rung when workers that wait for the host can go on.
    fn await_room(&self) {
        for port in &self.kernel.ports {
            if Wait::from_bits(port.waits_for.load(Ordering::Relaxed)) == Wait::Host {
                port.outbound.channel.await_room(&self.shared.bell);
            }
        }
    }

    /// One launch. True if anything was done.
    fn quantum(&mut self, mode: Mode) -> Result<bool> {
        self.shared.running.store(1, Ordering::SeqCst);
        // Partner of the fence that `Backend::rest` is called after: it sees us run, or we see what it changed.
        fence(Ordering::SeqCst);
        let expected = if mode == Mode::End { Command::End } else { Command::Run };
        if self.kernel.command() != expected {
            self.rest();
            return Ok(true);
        }
        self.shared.poked.store(false, Ordering::SeqCst);
        self.accepted = self.accepted_from_host();
        for (taken, port) in self.taken.iter_mut().zip(&self.kernel.ports) {
            *taken = port.outbound.channel.consumed();
        }
        self.made_room();
        self.sample();
        let launched = self.launch(mode).and_then(|()| self.attend(mode, expected));
        launched?;
        let progress = self.mirror();
        let progressed = progress != std::mem::replace(&mut self.progress, progress);
        self.rest();
        Ok(progressed)
    }

    fn rest(&self) {
        self.shared.running.store(0, Ordering::SeqCst);
        self.shared.rested.ring();
    }

    fn launch(&mut self, mode: Mode) -> Result<()> {
        self.launches += 1;
        let kernel = self.arena.kernel();
        // The host's clock, in ns.
        let unix = ((u128::from(hlc::physical() >> 8) * 1_000_000_000) >> 24) as u64;
        let quantum = self.quantum.as_nanos() as u64;
        let mode = mode as u32;
        let mut arguments: [*mut c_void; 5] = [
            (&raw const kernel).cast_mut().cast(),
            (&raw const self.launches).cast_mut().cast(),
            (&raw const unix).cast_mut().cast(),
            (&raw const quantum).cast_mut().cast(),
            (&raw const mode).cast_mut().cast(),
        ];
        let _entered = self.code.context.enter()?;
        let workers = self.kernel.ports.len() as u32;
        // SAFETY: the arguments are those of rk_pump_kernel, whose memory is the arena's; the driver copies them.
        check(
            unsafe {
                sys::cuLaunchKernel(
                    self.code.function,
                    workers,
                    1,
                    1,
                    self.code.threads,
                    1,
                    1,
                    self.code.scratch,
                    self.stream.raw(),
                    arguments.as_mut_ptr(),
                    std::ptr::null_mut(),
                )
            },
            "launching the kernel",
        )
    }

    /// Until all workers have left: passes on what they have for others.
    fn attend(&mut self, mode: Mode, expected: Command) -> Result<()> {
        let mut checked = Instant::now();
        // Acquire: the reports were written before.
        while self.arena.control(control::LEFT).load(Ordering::Acquire) != self.launches {
            std::hint::spin_loop();
            self.pass_on();
            let drains = mode == Mode::Run && self.kernel.state() == State::Draining;
            if drains || self.kernel.command() != expected {
                let leave = self.arena.control(control::LEAVE);
                if leave.load(Ordering::Relaxed) != self.launches {
                    leave.store(self.launches, Ordering::Relaxed);
                }
            }
            if checked.elapsed() >= CHECK {
                checked = Instant::now();
                self.made_room();
                let over = self.stream.query()?;
                if over && self.arena.control(control::LEFT).load(Ordering::Acquire) != self.launches {
                    return Err(Error::Cuda { what: "running the kernel", code: 999, text: "it ended early".into() });
                }
            }
        }
        self.pass_on();
        // Once more: now everything that was written is there to be seen.
        self.tell_host();
        self.made_room();
        Ok(())
    }

    fn pass_on(&mut self) {
        let news = self.arena.control(control::NEWS).load(Ordering::Acquire);
        // Letters are always looked for: workers wait for room for them.
        if self.take_letters() || news != self.news {
            self.news = news;
            self.tell_host();
        }
        let foreign = self.arena.control(control::FOREIGN).load(Ordering::Acquire);
        if foreign != self.foreign {
            self.foreign = foreign;
            self.others.poke(self.shared.key);
        }
    }

    fn tell_host(&self) {
        self.kernel.home.calls.bell.ring();
        let ports = &self.kernel.ports;
        for (number, port) in ports.iter().enumerate() {
            // Neighbours mostly share a queue.
            if number == 0 || !Arc::ptr_eq(&port.outbound.queue, &ports[number - 1].outbound.queue) {
                port.outbound.queue.notify();
            }
        }
    }

    /// Senders wait for room in rings that the device empties.
    fn made_room(&self) {
        self.kernel.ports.iter().flat_map(|port| &port.inbound).for_each(|channel| channel.made_room());
        for (worker, port) in self.kernel.ports.iter().enumerate() {
            let full = u64::from(port.outbound.is_full_of_letters());
            let order = self.arena.order(worker, orders::LETTERS_FULL);
            if order.load(Ordering::Relaxed) != full {
                order.store(full, Ordering::Relaxed);
            }
        }
    }

    fn take_letters(&mut self) -> bool {
        let before = self.letters;
        // Acquire: the letter was written before its stamp.
        while self.arena.letter_stamp(self.letters).load(Ordering::Acquire) == self.letters + 1 {
            let (letter, payload) = self.arena.letter(self.letters);
            self.letters += 1;
            // Release: the device may write the place again.
            self.arena.control(control::LETTER_HEAD).store(self.letters, Ordering::Release);
            let class = match letter.class {
                1 => Class::Reply,
                2 => Class::Emit,
                3 => Class::DeadLetter,
                _ => Class::Event,
            };
            let outbound = &self.kernel.ports[letter.worker as usize].outbound;
            outbound.post(Incoming {
                class,
                from: letter.from,
                to: letter.to,
                correlation: letter.correlation,
                time: letter.time,
                kind: letter.kind,
                reason: letter.reason,
                level: letter.level as u8,
                call: letter.call != 0,
                payload,
            });
            let full = u64::from(outbound.is_full_of_letters());
            self.arena.order(letter.worker as usize, orders::LETTERS_FULL).store(full, Ordering::Relaxed);
        }
        self.letters != before
    }

    /// How much waits, before the device takes it.
    fn sample(&mut self) {
        for (most, port) in self.high_water.iter_mut().zip(&self.kernel.ports) {
            let waiting =
                port.channels().map(|channel| channel.ring.accepted().saturating_sub(channel.consumed())).sum();
            *most = (*most).max(waiting);
        }
    }

    /// The reports to where everybody looks. Gives a sum that grows when anything was done.
    fn mirror(&mut self) -> u64 {
        let mut sum = 0;
        for (worker, port) in self.kernel.ports.iter().enumerate() {
            let report = self.arena.report(worker);
            for (level, channel) in port.peers.iter().enumerate() {
                channel.ring.mirror(report.accepted[level], report.consumed[level]);
            }
            let counts = report.counts(self.high_water[worker]);
            sum += counts.handled + counts.dead + counts.sent_host + counts.sent_actors + counts.undeliverable;
            port.tally.store(&counts);
            port.waits_for.store(report.waits_for, Ordering::Relaxed);
        }
        sum
    }

    /// The kernel has ended: no more comes in, and the workers turn what is left into dead letters.
    fn end(&mut self) -> Result<()> {
        for (worker, port) in self.kernel.ports.iter().enumerate() {
            for level in 0..LEVELS {
                let accepted = port.inbound[level].close();
                self.arena.order(worker, orders::END_AT + level).store(accepted, Ordering::Relaxed);
            }
        }
        loop {
            self.quantum(Mode::End)?;
            if (0..self.kernel.ports.len()).all(|worker| self.arena.report(worker).ended != 0) {
                break;
            }
            if self.kernel.state() == State::Failed {
                return Ok(());
            }
        }
        for (worker, port) in self.kernel.ports.iter().enumerate() {
            port.peers.iter().for_each(|channel| {
                channel.close();
            });
            self.kernel.worker_left(self.arena.report(worker).found_waiting);
        }
        Ok(())
    }
}
