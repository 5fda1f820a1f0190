//! The thread that does for buffers what nobody is to wait for: copies, and freeing memory when no handler uses it any more.
//! It is started by the first of these.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::backend::{Backends, SignalsBlocked};
use crate::bell::{heavy, Bell};
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::message::{Class, Event, Incoming};
use crate::queue::Queue;
use crate::time::Deadline;

/// Copies that can be waiting.
const LIMIT: usize = 1 << 16;
/// How long to wait at a time for handlers to return; copies come in between.
const PATIENCE: Duration = Duration::from_millis(5);

/// What is to be copied. The memory is the caller's, who keeps it until the completion.
pub(crate) enum Copy {
    Upload(&'static [u8]),
    Download(&'static mut [u8]),
}

/// A copy, and where its completion goes.
pub(crate) struct Transfer {
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) offset: u64,
    pub(crate) copy: Copy,
    pub(crate) queue: Arc<Queue>,
    pub(crate) correlation: u64,
}

impl Transfer {
    fn run(self) {
        let outcome = match self.copy {
            Copy::Upload(data) => self.buffer.write(self.offset, data),
            Copy::Download(data) => self.buffer.read(self.offset, data),
        };
        let event = Incoming {
            class: Class::Event,
            from: 0,
            to: 0,
            correlation: self.correlation,
            time: self.buffer.home.clock.witness(),
            kind: Event::Transfer as u32,
            reason: outcome.err().map_or(0, |error| crate::capi::status_of(&error)),
            level: 1,
            call: false,
            payload: Box::default(),
        };
        self.queue.announce(event, || true);
    }
}

/// Frees what handlers may be using.
pub(crate) type Free = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Jobs {
    copies: VecDeque<Transfer>,
    frees: Vec<Free>,
    /// The thread has taken some that it has not done yet.
    freeing: bool,
    /// The thread does nothing any more.
    ended: bool,
    thread: Option<JoinHandle<()>>,
    stopped: bool,
}

/// What the thread shares with those who give it work.
#[derive(Default)]
struct Desk {
    jobs: Mutex<Jobs>,
    /// Rung after every change.
    bell: Bell,
    /// Rung when all that was to be freed has been.
    freed: Bell,
}

impl Desk {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread of a runtime.
pub(crate) struct Transfers {
    desk: Arc<Desk>,
    backends: Arc<Backends>,
}

impl Transfers {
    pub(crate) fn new(backends: Arc<Backends>) -> Self {
        Self { desk: Arc::default(), backends }
    }

    /// Copies in turn; the completion is an event.
    pub(crate) fn copy(&self, transfer: Transfer) -> Result<()> {
        let mut jobs = self.desk.jobs();
        if jobs.stopped {
            return Err(Error::Stale);
        }
        if jobs.copies.len() >= LIMIT {
            return Err(Error::Again);
        }
        self.start(&mut jobs)?;
        jobs.copies.push_back(transfer);
        drop(jobs);
        self.desk.bell.ring();
        Ok(())
    }

    /// Calls `free` when every handler that runs now has returned. At once if none will run any more.
    pub(crate) fn free(&self, free: Free) {
        let mut jobs = self.desk.jobs();
        if jobs.stopped {
            drop(jobs);
            return free();
        }
        jobs.frees.push(free);
        // Without a thread it is freed with the runtime.
        let _started = self.start(&mut jobs);
        drop(jobs);
        self.desk.bell.ring();
    }

    /// Returns when all has been freed that was to be; false if the deadline came first. While handlers run it may take long.
    pub(crate) fn settle(&self, deadline: Deadline) -> bool {
        // Without a thread, and when it is stopped or a bug of ours ended it, it is freed with the runtime.
        let is_settled = |jobs: &Jobs| jobs.frees.is_empty() && !jobs.freeing || jobs.thread.is_none() || jobs.ended;
        while !is_settled(&self.desk.jobs()) {
            let mark = self.desk.freed.mark();
            if is_settled(&self.desk.jobs()) {
                break;
            }
            if deadline.has_passed() {
                return false;
            }
            self.desk.freed.wait(mark, deadline);
        }
        true
    }

    fn start(&self, jobs: &mut Jobs) -> Result<()> {
        if jobs.thread.is_some() {
            return Ok(());
        }
        let (desk, backends) = (self.desk.clone(), self.backends.clone());
        // Threads inherit the mask: a signal of the host's must not end up in one of ours.
        let _masked = SignalsBlocked::new()?;
        let thread = std::thread::Builder::new().name("rk-buffers".into()).spawn(move || serve(&desk, &backends));
        jobs.thread = Some(thread.map_err(|error| Error::System {
            what: "starting a thread",
            errno: error.raw_os_error().unwrap_or(libc::EAGAIN),
        })?);
        Ok(())
    }

    /// When no handler runs any more. Copies that wait are not made: nobody can receive their completions.
    pub(crate) fn stop(&self) {
        let mut jobs = self.desk.jobs();
        jobs.stopped = true;
        let (copies, thread) = (std::mem::take(&mut jobs.copies), jobs.thread.take());
        drop(jobs);
        drop(copies);
        self.desk.bell.ring();
        self.desk.freed.ring();
        if let Some(thread) = thread {
            // A panic in it ended what it was doing; the rest is done here.
            let _ended = thread.join();
        }
        let frees = std::mem::take(&mut self.desk.jobs().frees);
        frees.into_iter().for_each(|free| free());
    }
}

/// What is to be done next.
enum Next {
    Copy(Transfer),
    Free(Vec<Free>),
    Sleep,
    Stop,
}

impl Desk {
    fn next(&self) -> Next {
        let mut jobs = self.jobs();
        if jobs.stopped {
            return Next::Stop;
        }
        match jobs.copies.pop_front() {
            Some(transfer) => Next::Copy(transfer),
            None if jobs.frees.is_empty() => Next::Sleep,
            None => {
                jobs.freeing = true;
                Next::Free(std::mem::take(&mut jobs.frees))
            }
        }
    }
}

/// Has who waits for it look when the thread ends, however it does.
struct Ending<'a>(&'a Desk);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.jobs().ended = true;
        self.0.freed.ring();
    }
}

fn serve(desk: &Desk, backends: &Backends) {
    let _ending = Ending(desk);
    loop {
        let mark = desk.bell.mark();
        match desk.next() {
            Next::Copy(transfer) => transfer.run(),
            Next::Sleep => desk.bell.wait(mark, Deadline::Never),
            Next::Stop => return,
            Next::Free(frees) => {
                // Handlers that found a buffer before it was withdrawn are over when every backend has rested since.
                heavy();
                let rested =
                    backends.open().all(|backend| backend.rest(None, Duration::ZERO, Deadline::after(PATIENCE)));
                if rested {
                    frees.into_iter().for_each(|free| free());
                    desk.jobs().freeing = false;
                    desk.freed.ring();
                } else {
                    // A handler takes long, or the runtime is being destroyed.
                    let mut jobs = desk.jobs();
                    jobs.frees.extend(frees);
                    jobs.freeing = false;
                    drop(jobs);
                    desk.bell.wait(mark, Deadline::after(PATIENCE));
                }
            }
        }
    }
}
