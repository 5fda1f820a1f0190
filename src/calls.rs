//! Calls that wait for their replies.
//!
//! A call's message carries the number of the call as its correlation and a flag that says so. Whoever finds an answer with
//! that flag among a queue's messages, a poller or another caller, puts it here for the caller.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::align::Aligned;
use crate::bell::Bell;
use crate::message::Owned;

enum Call {
    Free,
    Waiting,
    Answered(Owned),
}

#[derive(Default)]
struct Slab {
    /// Generation and state; a number is `generation << 32 | index`.
    calls: Vec<(u32, Call)>,
    free: Vec<u32>,
}

/// The calls of the process. Not of a runtime: an actor of one may pass a call on to an actor of another.
pub(crate) static CALLS: LazyLock<Calls> = LazyLock::new(Calls::default);

/// Calls that wait.
#[derive(Default)]
pub(crate) struct Calls {
    /// On lines of its own: callers write it, workers read the bell.
    slab: Aligned<Mutex<Slab>>,
    /// Rung when there may be an answer somewhere.
    pub(crate) bell: Arc<Bell>,
}

impl Calls {
    fn slab(&self) -> MutexGuard<'_, Slab> {
        self.slab.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a call. Dropping it discards the answer, whenever that comes.
    pub(crate) fn begin(&self) -> Pending<'_> {
        let mut slab = self.slab();
        let index = slab.free.pop().unwrap_or(slab.calls.len() as u32);
        if index as usize == slab.calls.len() {
            // Not the numbers of another process, whose calls a snapshot may hold.
            slab.calls.push((crate::hlc::physical() as u32 ^ (crate::hlc::physical() >> 20) as u32, Call::Free));
        }
        let (generation, call) = &mut slab.calls[index as usize];
        *generation = generation.wrapping_add(1);
        *call = Call::Waiting;
        Pending { calls: self, number: u64::from(*generation) << 32 | u64::from(index) }
    }

    /// Delivers an answer. One to a call that gave up is discarded.
    pub(crate) fn answer(&self, message: Owned) {
        {
            let mut slab = self.slab();
            let number = message.correlation;
            match slab.calls.get_mut(number as u32 as usize) {
                Some((generation, call @ Call::Waiting)) if u64::from(*generation) == number >> 32 => {
                    *call = Call::Answered(message);
                }
                _ => return,
            }
        }
        self.bell.ring();
    }
}

/// A call that waits.
pub(crate) struct Pending<'a> {
    calls: &'a Calls,
    number: u64,
}

impl Pending<'_> {
    /// What its message carries as correlation.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Its answer, if that is there.
    pub(crate) fn take(&self) -> Option<Owned> {
        let mut slab = self.calls.slab();
        let call = &mut slab.calls[self.number as u32 as usize].1;
        match std::mem::replace(call, Call::Waiting) {
            Call::Answered(message) => Some(message),
            other => {
                *call = other;
                None
            }
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut slab = self.calls.slab();
        let index = self.number as u32;
        slab.calls[index as usize].1 = Call::Free;
        slab.free.push(index);
    }
}
