//! Kernels: N actors of one type on one device, as the host and other kernels see them.

mod capture;
pub(crate) mod directory;
mod entry;
mod family;
mod lifecycle;
mod offer;
mod post;
mod route;
mod send;
mod stats;
mod supervision;
mod types;

use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::Arc;

pub(crate) use capture::{Captures, NOT_YET};
pub(crate) use entry::Entry;
pub(crate) use family::{told_as, Family, Kin};
pub(crate) use lifecycle::{Command, Life, State};
pub(crate) use offer::{dead_letter, Offered};
pub(crate) use post::{Origin, Post};
pub(crate) use route::Route;
pub(crate) use send::{send_many, Batch};
pub(crate) use stats::{Counts, Load, Statistics, Tally};
pub(crate) use supervision::{Restarts, Supervision};
pub(crate) use types::TypeTable;

use crate::address::{actor_bits, Address};
use crate::align::Aligned;
use crate::backend::Backend;
use crate::bell::Bell;
use crate::error::{Error, Result};
use crate::message::LEVELS;
use crate::module::Module;
use crate::queue::{Outbound, Queue};
use crate::ring::Channel;
use crate::runtime::Home;
use crate::snapshot::Image;
use crate::topics::Fanout;

/// What a launch asks for; every number is checked and final.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) module: Arc<Module>,
    /// Which actor type of the module.
    pub(crate) actor: usize,
    pub(crate) actors: u32,
    pub(crate) workers: u32,
    /// Threads of a worker, where the backend has more than one.
    pub(crate) lanes: u32,
    /// Number of the device within its backend.
    pub(crate) device: u32,
    pub(crate) quantum: std::time::Duration,
    /// How long a handler may go on after that, on a device. None: for ever.
    pub(crate) watchdog: Option<std::time::Duration>,
    pub(crate) inbound_capacity: u32,
    pub(crate) actor_capacity: u32,
    pub(crate) outbound_capacity: u32,
    pub(crate) outbox_bytes: u32,
    /// Measures latencies of one message in so many; 0 of none.
    pub(crate) latency_every: u32,
    /// Where rings from the host lie, on a device.
    pub(crate) inbound: crate::selftest::Inbound,
    pub(crate) initial_state: Option<Vec<u8>>,
    /// What the kernel begins as, if not afresh.
    pub(crate) image: Option<Image>,
    pub(crate) supervision: Supervision,
    /// Actors, the last ones, that begin stopped.
    pub(crate) dormant: u32,
    /// Worker w uses `queues[w * queues.len() / workers]`.
    pub(crate) queues: Vec<Arc<Queue>>,
}

/// What the rest of the library touches of one worker.
pub(crate) struct Port {
    /// From the host, by level.
    pub(crate) inbound: [Channel; LEVELS],
    /// From actors, by level.
    pub(crate) peers: [Channel; LEVELS],
    /// Which of these have ever been used, so that the worker looks at no others: bit `level`, plus 4 for `inbound`.
    pub(crate) used: AtomicU32,
    /// Wakes the worker.
    pub(crate) bell: Arc<Bell>,
    /// To the host.
    pub(crate) outbound: Arc<Outbound>,
    // What is above is written seldom and read by senders; what is below is written by the worker, on lines of its own.
    /// What the worker is blocked on, see [`Wait`].
    pub(crate) waits_for: Aligned<AtomicU64>,
    pub(crate) tally: Tally,
    /// How long its messages wait and its handlers run, if that is measured.
    pub(crate) latency: Option<crate::latency::View>,
}

/// Index of the channels in a port and in `used`.
pub(crate) const INBOUND_BIT: u32 = 4;

/// Where actors live: contiguous runs of `block` actors to a worker.
#[derive(Clone, Copy)]
pub(crate) struct Placement {
    /// `2^42 / block`, rounded up: exact for the 20 bits of an index, and a multiplication where a division was.
    reciprocal: u64,
}

impl Placement {
    /// Divides actors among at most so many workers. Gives the number of workers that get any.
    pub(crate) fn new(actors: u32, workers: u32) -> (Self, u32) {
        let block = actors.div_ceil(workers);
        (Self { reciprocal: (1u64 << 42).div_ceil(u64::from(block)) }, actors.div_ceil(block))
    }

    /// For devices, which do the same.
    pub(crate) fn reciprocal(self) -> u64 {
        self.reciprocal
    }

    #[inline]
    pub(crate) fn worker(self, index: u32) -> usize {
        ((u64::from(index) * self.reciprocal) >> 42) as usize
    }
}

/// A launched kernel.
pub(crate) struct Kernel {
    pub(crate) key: u32,
    pub(crate) name: String,
    pub(crate) home: Arc<Home>,
    pub(crate) backend: Arc<dyn Backend>,
    /// Keeps the handlers' code where it is.
    pub(crate) module: Arc<Module>,
    /// Which actor type of the module.
    pub(crate) kind: usize,
    /// Number of the device within the backend.
    pub(crate) device: u32,
    pub(crate) actors: u32,
    pub(crate) lanes: u32,
    pub(crate) placement: Placement,
    pub(crate) types: TypeTable,
    pub(crate) ports: Box<[Port]>,
    /// The rings between its actors are in a device's memory, `Port::peers` only their image: from host workers messages
    /// come as from the host.
    pub(crate) remote: bool,
    /// What its device brings to subscribers of topics there, if it does.
    pub(crate) fanout: Option<Arc<dyn Fanout>>,
    /// Bytes of states, actor table, rings and the rest.
    pub(crate) memory: u64,
    /// Bytes for one actor beside its state.
    pub(crate) memory_per_actor: u64,
    pub(crate) supervision: Supervision,
    pub(crate) life: Life,
}

impl crate::table::Noun for Arc<Kernel> {
    fn poison(&self) {
        self.home.poison();
    }
}

impl Kernel {
    /// The address of an actor.
    pub(crate) fn address(&self, index: u32) -> Result<Address> {
        if index >= self.actors {
            return Err(Error::NotFound(format!("actor {index} of {}", self.actors)));
        }
        Ok(Address::new(self.key, actor_bits(0, index)))
    }

    /// Bytes of an actor's state.
    pub(crate) fn state_size(&self) -> usize {
        self.module.actors()[self.kind].state_size as usize
    }

    /// The actors that a worker has.
    pub(crate) fn actors_of(&self, worker: u32) -> std::ops::Range<u32> {
        // As `Placement::new` divided them: as many workers as have any came of the same number to each.
        let block = self.actors.div_ceil(self.ports.len() as u32);
        block * worker..(block * (worker + 1)).min(self.actors)
    }

    /// Has every worker look at what it is to do.
    pub(crate) fn kick(&self) {
        for port in &self.ports {
            port.bell.ring();
        }
    }
}

/// What a worker waits for, as one word that other workers can read: to tell a cycle of full rings, which somebody has to
/// break, from back-pressure, which ends when the host polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It goes on.
    Nothing,
    /// The host must poll.
    Host,
    /// A worker of a kernel must take something.
    Worker {
        /// Its kernel's key.
        kernel: u32,
        /// Which worker.
        worker: u32,
    },
}

impl Wait {
    pub(crate) fn to_bits(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Host => u64::MAX,
            // Keys are not zero.
            Self::Worker { kernel, worker } => u64::from(kernel) << 32 | u64::from(worker),
        }
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        match bits {
            0 => Self::Nothing,
            u64::MAX => Self::Host,
            _ => Self::Worker { kernel: (bits >> 32) as u32, worker: bits as u32 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placement_is_exact() {
        for (actors, workers) in
            [(1, 1), (7, 3), (64, 4), (1000, 999), (1 << 20, 1), (1 << 20, 528), ((1 << 20) - 1, 7), (1 << 20, 1 << 20)]
        {
            let (placement, used) = Placement::new(actors, workers);
            assert!(used <= workers);
            let step = (actors / 5000).max(1);
            assert_eq!(actors.div_ceil(used), actors.div_ceil(workers), "see Kernel::actors_of");
            for index in (0..actors).step_by(step as usize).chain([actors - 1]) {
                let worker = placement.worker(index);
                assert_eq!(worker as u32, index / actors.div_ceil(workers));
                assert!((worker as u32) < used);
            }
        }
    }

    #[test]
    fn waits() {
        for wait in [Wait::Nothing, Wait::Host, Wait::Worker { kernel: 0x1001, worker: 0 }] {
            assert_eq!(Wait::from_bits(wait.to_bits()), wait);
        }
    }
}
