//! Counters.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Kernel, State};
use crate::error::{Error, Result};
use crate::latency::{Times, Which};
use crate::layout::COUNTERS;
use crate::message::LEVELS;
use crate::ring::Channel;

macro_rules! tally {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// Counters of one worker, which alone writes them, all at the end of a visit; readers are anyone, at any time.
        #[derive(Default)]
        #[repr(align(128))]
        pub(crate) struct Tally {
            $($(#[$doc])* pub(crate) $field: AtomicU64,)*
            /// User counters.
            pub(crate) counters: [AtomicU64; COUNTERS],
        }

        /// The worker's own copy.
        #[derive(Clone, Copy, Default)]
        pub(crate) struct Counts {
            $($(#[$doc])* pub(crate) $field: u64,)*
            /// User counters.
            pub(crate) counters: [u64; COUNTERS],
        }

        impl Tally {
            /// Publishes the worker's counts.
            pub(crate) fn store(&self, counts: &Counts) {
                // Release: whoever reads a count with Acquire sees what was done before; for `rest` and drains.
                $(self.$field.store(counts.$field, Ordering::Release);)*
                for (to, from) in self.counters.iter().zip(counts.counters) {
                    to.store(from, Ordering::Release);
                }
            }

            fn add_to(&self, sum: &mut Counts) {
                $(sum.$field += self.$field.load(Ordering::Acquire);)*
                for (to, from) in sum.counters.iter_mut().zip(&self.counters) {
                    *to += from.load(Ordering::Acquire);
                }
            }
        }
    };
}

tally! {
    /// Messages whose handler ran.
    handled,
    /// Messages taken from a ring that could not be handled.
    dead,
    /// Replies and emits handed to a queue.
    sent_host,
    /// Posts handed to actors' rings, and publications.
    sent_actors,
    /// Posts that wait now.
    deferred,
    /// Posts that had nowhere to go.
    undeliverable,
    /// Posts that the outbox had no room for.
    refused,
    /// Handlers that failed.
    failures,
    /// Visits that handled something.
    quanta,
    /// Messages consumed whose consequences have all left the worker.
    completed,
    /// Actors restarted.
    restarts,
    /// Most messages that the worker saw waiting; not a sum.
    high_water,
}

/// A kernel's counters. Fields as `rk_kernel_statistics`.
pub(crate) struct Statistics {
    pub(crate) state: State,
    pub(crate) backend: u32,
    pub(crate) actors: u32,
    pub(crate) workers: u32,
    pub(crate) lanes: u32,
    pub(crate) memory: u64,
    pub(crate) memory_per_actor: u64,
    pub(crate) sum: Load,
}

/// The counters of a worker, or of several together.
#[derive(Clone, Copy, Default)]
pub(crate) struct Load {
    pub(crate) accepted: u64,
    pub(crate) pending: u64,
    pub(crate) high_water: u64,
    pub(crate) counts: Counts,
}

impl super::Port {
    pub(crate) fn load(&self) -> Load {
        let mut load = Load::default();
        self.add_to(&mut load);
        load
    }

    fn add_to(&self, sum: &mut Load) {
        self.tally.add_to(&mut sum.counts);
        // Accepted first, then the counts again would race the other way: with the worker at rest `consumed` stands
        // still, so that what is accepted now and not consumed is what is pending, exactly.
        let mut waiting = 0;
        for channel in self.channels() {
            let all = channel.ring.accepted();
            sum.accepted += all;
            waiting += all.saturating_sub(channel.consumed());
        }
        sum.pending += waiting;
        sum.high_water = sum.high_water.max(waiting).max(self.tally.high_water.load(Ordering::Acquire));
    }
}

impl Kernel {
    pub(crate) fn stats(&self) -> Statistics {
        let mut sum = Load::default();
        for port in &self.ports {
            port.add_to(&mut sum);
        }
        Statistics {
            state: self.state(),
            backend: self.backend.kind(),
            actors: self.actors,
            workers: self.ports.len() as u32,
            lanes: self.lanes,
            memory: self.memory,
            memory_per_actor: self.memory_per_actor,
            sum,
        }
    }

    /// Latencies of one worker, or of all.
    pub(crate) fn times(&self, which: Which, worker: Option<usize>) -> Result<Times> {
        let ports = match worker {
            None => &self.ports[..],
            Some(worker) => match self.ports.get(worker) {
                Some(port) => std::slice::from_ref(port),
                None => return Err(Error::NotFound(format!("worker {worker} of {}", self.ports.len()))),
            },
        };
        Ok(Times::of(which, ports.iter().filter_map(|port| port.latency.as_ref())))
    }

    /// Whether at some moment during this call no message was in the kernel or on its way within it.
    ///
    /// Completed is read first, accepted after. Both only grow, and a message's consequences are accepted before it counts
    /// as completed; so if the two sums are equal, then between the two readings nothing was under way.
    pub(crate) fn is_quiescent(&self) -> bool {
        // Wrapping, for what a worker counts that began with posts (`capture::NOT_YET`), which only makes it less.
        let completed =
            (self.ports.iter().map(|port| port.tally.completed.load(Ordering::Acquire))).fold(0u64, u64::wrapping_add);
        let accepted: u64 =
            self.ports.iter().flat_map(|port| port.channels()).map(|channel| channel.ring.accepted()).sum();
        completed == accepted
    }
}

impl super::Port {
    /// All rings into the worker: peers' by level, then the host's.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.peers.iter().chain(&self.inbound)
    }

    /// One of [`channels`](Self::channels).
    #[inline]
    pub(crate) fn lane(&self, lane: usize) -> &Channel {
        self.peers.get(lane).unwrap_or_else(|| &self.inbound[lane - LEVELS])
    }
}
