//! The states of a kernel, and who may move it between them.
//!
//! ```text
//!                ┌─────────── activate ───────────┐
//!                ▼                                │
//!   Created ─► Active ── deactivate ─► Suspended ─┘
//!      │         │                         │
//!      │         └──── drain ──► Draining ◄┘
//!      │                            │ nothing left
//!      └────── terminate ──► Ending ◄┘ ─► Terminated, or after `escalate` Failed    any ── fault ──► Failed
//! ```
//!
//! Captured is where Created, Active and Suspended are left for while an image is taken (`capture.rs`); users see Suspended.
//! Ending is not shown to users either, who see Draining: workers, each in its own thread, close their rings, turn what is left
//! into dead letters and leave; the last one out makes the kernel Terminated.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Captures, Kernel};
use crate::bell::{heavy, Bell};
use crate::error::{Error, Result};
use crate::message::{Class, Event, Incoming, Timeout};
use crate::time::Deadline;

/// State of a kernel. The numbers are `RK_KERNEL_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum State {
    Captured = 0,
    Created = 1,
    Active = 2,
    Suspended = 3,
    Draining = 4,
    Terminated = 5,
    Failed = 6,
    Ending = 7,
}

impl State {
    fn from_bits(bits: u32) -> Self {
        use State::*;
        [Captured, Created, Active, Suspended, Draining, Terminated, Failed]
            .into_iter()
            .find(|state| *state as u32 == bits)
            .unwrap_or(Ending)
    }

    /// For errors.
    pub(crate) fn phrase(self) -> &'static str {
        match self {
            Self::Created => "for a kernel that was not activated",
            Self::Active => "for an active kernel",
            Self::Suspended | Self::Captured => "for a suspended kernel",
            Self::Draining | Self::Ending => "for a draining kernel",
            Self::Terminated => "for a terminated kernel",
            Self::Failed => "for a failed kernel",
        }
    }
}

/// What a worker is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run,
    Hold,
    /// As Hold, and say what there is, once; see [`Kernel::capture_wanted`].
    Show,
    /// Turn what is left into dead letters, and leave.
    End,
    /// Leave everything as it is: the kernel failed.
    Leave,
}

/// Where a kernel is in its life.
pub(crate) struct Life {
    state: AtomicU32,
    /// Rung at every change of state.
    pub(super) changed: Bell,
    /// Workers that have not left.
    remaining: AtomicU32,
    /// Messages that were waiting when it ended.
    left: AtomicU64,
    /// Set when the kernel is being destroyed: waiting calls return.
    closing: AtomicU32,
    /// 1 when a drain has closed the rings from the host.
    sealed: AtomicU32,
    /// 1 after a drain that timed out, until the next.
    drain_timed_out: AtomicU32,
    /// 1 if the kernel ends because an actor failed.
    escalated: AtomicU32,
    pub(super) captures: Captures,
}

impl Life {
    pub(crate) fn new(workers: u32) -> Self {
        Self {
            state: AtomicU32::new(State::Created as u32),
            changed: Bell::default(),
            remaining: AtomicU32::new(workers),
            left: AtomicU64::new(0),
            closing: AtomicU32::new(0),
            sealed: AtomicU32::new(0),
            drain_timed_out: AtomicU32::new(0),
            escalated: AtomicU32::new(0),
            captures: Captures::default(),
        }
    }
}

impl Kernel {
    pub(crate) fn state(&self) -> State {
        // Acquire: pairs with the exchange in `shift`; who sees Terminated sees what the workers did before.
        State::from_bits(self.life.state.load(Ordering::Acquire))
    }

    /// What its workers are to do now. They ask before every message.
    #[inline]
    pub(crate) fn command(&self) -> Command {
        // Relaxed: who changes either makes a `heavy` fence before it relies on workers having seen the change.
        match self.life.state.load(Ordering::Relaxed) {
            2 | 4 if !self.home.is_parked() => Command::Run,
            0 => Command::Show,
            7 => Command::End,
            6 => Command::Leave,
            _ => Command::Hold,
        }
    }

    /// Whether the host may send.
    #[inline(always)]
    pub(crate) fn accepts(&self) -> Result<()> {
        match self.life.state.load(Ordering::Relaxed) {
            0..=3 => Ok(()),
            _ => Err(self.refusal("sending")),
        }
    }

    #[cold]
    pub(super) fn refusal(&self, call: &'static str) -> Error {
        if self.life.closing.load(Ordering::Relaxed) != 0 {
            return Error::Stale;
        }
        match self.state() {
            State::Failed => Error::KernelFailed("see its event".into()),
            state => Error::BadState { call, state: state.phrase() },
        }
    }

    /// Moves from one of `from` to `to`.
    pub(super) fn shift(&self, from: &[State], to: State) -> bool {
        self.shift_from(from, to).is_some()
    }

    /// The same, and from which. Waits while an image is taken, for that passes.
    pub(super) fn shift_from(&self, from: &[State], to: State) -> Option<State> {
        loop {
            let mark = self.life.changed.mark();
            let mut passing = false;
            let found = from.iter().find(|from| {
                // AcqRel: pairs with the Acquire in `state`; SeqCst for the fence that callers build on it.
                let moved =
                    self.life.state.compare_exchange(**from as u32, to as u32, Ordering::SeqCst, Ordering::Relaxed);
                passing |= moved == Err(State::Captured as u32);
                moved.is_ok()
            });
            if found.is_some() {
                self.life.changed.ring();
            }
            if found.is_some() || !passing {
                return found.copied();
            }
            self.life.changed.wait(mark, Deadline::Never);
        }
    }

    pub(crate) fn activate(&self) -> Result<()> {
        if !self.shift(&[State::Created, State::Suspended], State::Active) {
            return Err(self.refusal("activating"));
        }
        self.kick();
        Ok(())
    }

    /// Returns when no handler runs.
    pub(crate) fn deactivate(&self) -> Result<()> {
        if !self.shift(&[State::Active], State::Suspended) {
            return Err(self.refusal("deactivating"));
        }
        heavy();
        // Without a deadline only the runtime's end cuts it short.
        if self.backend.rest(Some(self), self.home.spin, Deadline::Never) {
            Ok(())
        } else {
            Err(Error::Stale)
        }
    }

    pub(crate) fn drain(&self, timeout: Timeout) -> Result<()> {
        let started = self.shift(&[State::Active, State::Suspended], State::Draining);
        if started {
            // A sender that found the kernel active may be on its way: either it has its place in a ring now, and is waited
            // for, or it finds the ring closed.
            self.ports.iter().flat_map(|port| &port.inbound).for_each(|channel| {
                channel.close();
            });
            // Release: pairs with the Acquire in `end_if_drained`.
            self.life.sealed.store(1, Ordering::Release);
        }
        // A drain that timed out may have ended since: whoever calls again, as told, is to learn that.
        let again = self.life.drain_timed_out.swap(0, Ordering::AcqRel) == 1;
        match self.state() {
            State::Draining | State::Ending => {}
            State::Terminated if started || again => return Ok(()),
            _ => return Err(self.refusal("draining")),
        }
        self.kick();
        let outcome = self.await_end(timeout.deadline());
        if matches!(outcome, Err(Error::Timeout)) {
            self.life.drain_timed_out.store(1, Ordering::Release);
        }
        outcome
    }

    /// Ends the kernel. Gives the number of messages that were waiting.
    pub(crate) fn terminate(&self) -> Result<u64> {
        let from = [State::Created, State::Active, State::Suspended, State::Draining];
        if !self.shift(&from, State::Ending) && self.state() != State::Ending {
            return Err(self.refusal("terminating"));
        }
        self.kick();
        self.await_end(Deadline::Never)?;
        Ok(self.life.left.load(Ordering::Acquire))
    }

    pub(super) fn await_end(&self, deadline: Deadline) -> Result<()> {
        loop {
            let mark = self.life.changed.mark();
            match self.state() {
                State::Terminated => return Ok(()),
                State::Failed => return Err(self.refusal("waiting for the end")),
                _ if self.life.closing.load(Ordering::SeqCst) == 1 => return Err(Error::Stale),
                _ if deadline.has_passed() => return Err(Error::Timeout),
                _ => self.life.changed.wait(mark, deadline),
            }
        }
    }

    /// By a worker that found nothing to do: a draining kernel with nothing left ends.
    pub(crate) fn end_if_drained(&self) {
        // Acquire: pairs with the Release in `drain`; what is accepted now is all that ever will be, from the host.
        if self.life.state.load(Ordering::Relaxed) == State::Draining as u32
            && self.life.sealed.load(Ordering::Acquire) == 1
            && self.is_quiescent()
            && self.shift(&[State::Draining], State::Ending)
        {
            self.kick();
        }
    }

    /// By a worker that has ended, telling how many messages it found waiting.
    pub(crate) fn worker_left(&self, waiting: u64) {
        self.life.left.fetch_add(waiting, Ordering::Relaxed);
        // AcqRel: the last one out has seen what the others did.
        if self.life.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Acquire: pairs with the Release in `escalate`.
            let (event, reason, end) = match self.life.escalated.load(Ordering::Acquire) {
                0 => (Event::KernelTerminated, 0, State::Terminated),
                _ => (Event::KernelFailed, crate::capi::RK_ERROR_ACTOR_FAILED, State::Failed),
            };
            self.announce(event, reason, || self.shift(&[State::Ending], end));
        }
    }

    /// An actor failed for good, and takes the kernel with it: it ends in order.
    pub(crate) fn escalate(&self) {
        // SeqCst: see `escalate_if_due`; it is also the Release for the Acquire in `worker_left`.
        self.life.escalated.store(1, Ordering::SeqCst);
        // It may be ending already; then it ends failed.
        self.escalate_if_due();
    }

    /// Does so now, unless an image is being taken, which waits for the very worker that calls: then when that is done. SeqCst,
    /// all of it: either the end of the capture sees what was escalated, or it is seen here.
    pub(super) fn escalate_if_due(&self) {
        if self.life.escalated.load(Ordering::SeqCst) == 0 {
            return;
        }
        let from = [State::Active, State::Suspended, State::Draining];
        let ended = from.into_iter().any(|from| {
            let (from, to) = (from as u32, State::Ending as u32);
            self.life.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        });
        if ended {
            self.life.changed.ring();
            self.kick();
        }
    }

    /// The device or the library failed.
    pub(crate) fn fail(&self, status: i32) {
        let from = [State::Created, State::Active, State::Suspended, State::Captured, State::Draining, State::Ending];
        if self.shift(&from, State::Failed) {
            // Before anybody can know.
            self.ports.iter().flat_map(super::Port::channels).for_each(|channel| {
                channel.close();
            });
            self.announce(Event::KernelFailed, status, || true);
            self.ports.iter().for_each(|port| port.outbound.channel.made_room());
            self.home.calls.bell.ring();
        }
    }

    fn announce(&self, event: Event, reason: i32, end: impl FnOnce() -> bool) {
        let ending = Incoming {
            class: Class::Event,
            from: crate::address::Address::new(self.key, 0).to_bits(),
            to: 0,
            correlation: 0,
            time: self.home.clock.witness(),
            kind: event as u32,
            reason,
            level: 1,
            call: false,
            payload: Box::default(),
        };
        self.ports[0].outbound.queue.announce(ending, end);
    }

    /// The kernel is being destroyed: calls that wait for it return.
    pub(crate) fn close(&self) {
        self.life.closing.store(1, Ordering::SeqCst);
        self.life.changed.ring();
        for port in &self.ports {
            for channel in port.channels() {
                channel.made_room();
            }
        }
        self.home.calls.bell.ring();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.life.closing.load(Ordering::SeqCst) != 0
    }

    /// After `close`, when nobody else has it: ends it for good.
    pub(crate) fn finish(&self) {
        // Only waits that others began were to be cut short.
        self.life.closing.store(2, Ordering::SeqCst);
        // An error means that it was over.
        let _over = self.terminate();
        for port in &self.ports {
            port.outbound.queue.detach(self.key);
        }
        self.module.dismiss();
        self.home.log.write(crate::log::Level::Debug, format_args!("kernel {} destroyed", self.name));
    }
}
