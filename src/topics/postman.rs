//! The thread that takes what waits for actors into their rings when these have room again. It is started with the first
//! subscription that may need it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::subscription::Subscription;
use crate::backend::SignalsBlocked;
use crate::bell::Bell;
use crate::error::{Error, Result};
use crate::runtime::Home;
use crate::time::Deadline;

/// The postman of a runtime.
#[derive(Default)]
pub(super) struct Postman {
    round: Mutex<Round>,
    /// Rung after every change of the round, and when a ring has room that something waits for.
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Round {
    /// Those with something that waits, each once.
    subscriptions: Vec<Arc<Subscription>>,
    thread: Option<JoinHandle<()>>,
    stopped: bool,
}

impl Postman {
    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn start(self: &Arc<Self>, home: &Arc<Home>) -> Result<()> {
        let mut round = self.round();
        if round.thread.is_some() {
            return Ok(());
        }
        let (postman, home) = (self.clone(), Arc::downgrade(home));
        // Threads inherit the mask: a signal of the host's must not end up in one of ours.
        let _masked = SignalsBlocked::new()?;
        let thread = std::thread::Builder::new().name("rk-topics".into()).spawn(move || {
            // A panic is a bug of ours: what it was about is lost, the runtime poisoned, and who waits is still served.
            while std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| postman.serve())).is_err() {
                if let Some(home) = home.upgrade() {
                    home.poison();
                }
            }
        });
        round.thread = Some(thread.map_err(|error| Error::System {
            what: "starting a thread",
            errno: error.raw_os_error().unwrap_or(libc::EAGAIN),
        })?);
        Ok(())
    }

    /// What waits for an actor has changed.
    pub(super) fn look(&self) {
        self.bell.ring();
    }

    /// Something has begun to wait.
    pub(super) fn add(&self, subscription: Arc<Subscription>) {
        self.round().subscriptions.push(subscription);
        self.bell.ring();
    }

    pub(super) fn stop(&self) {
        let mut round = self.round();
        round.stopped = true;
        let thread = round.thread.take();
        drop(round);
        self.bell.ring();
        if let Some(thread) = thread {
            // A panic in it left things waiting, which are dropped with their subscriptions.
            let _ended = thread.join();
        }
        self.round().subscriptions.clear();
    }

    fn serve(&self) {
        loop {
            let mark = self.bell.mark();
            let mut round = self.round();
            if round.stopped {
                return;
            }
            let mut subscriptions = std::mem::take(&mut round.subscriptions);
            drop(round);
            subscriptions.retain(|subscription| !subscription.forward());
            subscriptions.iter().for_each(|subscription| subscription.await_entrance(&self.bell));
            // The last look, after the mark.
            subscriptions.retain(|subscription| !subscription.forward());
            self.round().subscriptions.append(&mut subscriptions);
            self.bell.wait(mark, Deadline::Never);
        }
    }
}
