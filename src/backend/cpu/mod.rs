//! The CPU backend: a pool of threads is the device, a thread is what a multiprocessor is on a GPU, and each worker is a
//! pump that stays there for a bounded visit at a time.

mod actors;
mod courier;
mod outbox;
mod pool;
mod selftest;
mod snapshot;
mod worker;

use std::sync::atomic::AtomicU32;
use std::sync::Arc;
use std::time::Duration;

use self::actors::Actors;
use self::pool::{Pool, Seat};
use self::worker::Worker;
use super::{Backend, Device, Kind};
use crate::buffer::{HostMemory, Memory};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Life, Placement, Plan, Port, Route, Tally, TypeTable};
use crate::latency::Probe;
use crate::message::LEVELS;
use crate::queue::{Outbound, Queue};
use crate::ring::{Channel, INLINE_BYTES};
use crate::runtime::Home;
use crate::selftest::{Inbound, Report};
use crate::time::Deadline;

/// The backend.
pub(super) struct Cpu {
    pool: Arc<Pool>,
    me: std::sync::Weak<Cpu>,
}

impl Cpu {
    pub(super) fn start(home: &Arc<Home>, threads: usize, cpus: &[u32]) -> Result<Arc<Self>> {
        let pool = Pool::start(home, threads, cpus)?;
        Ok(Arc::new_cyclic(|me| Self { pool, me: me.clone() }))
    }
}

/// The rings of one worker, which sits at `seat`. `handled`: largest payload that its actors handle.
fn port(plan: &Plan, key: u32, handled: u32, queue: &Arc<Queue>, seat: &Seat, probe: &Probe) -> Result<Port> {
    let channels = |capacity: u32| -> Result<[Channel; LEVELS]> {
        let side = (capacity / 4).max(4) as usize;
        let body = body_for(handled);
        Ok([
            Channel::new(side, body)?,
            Channel::new(capacity as usize, body)?,
            Channel::new(side, body)?,
            Channel::new(side, body)?,
        ])
    };
    let to_host = Channel::new(plan.outbound_capacity as usize, body_for(plan.module.largest_message()))?;
    Ok(Port {
        inbound: channels(plan.inbound_capacity)?,
        peers: channels(plan.actor_capacity)?,
        used: AtomicU32::new(0),
        bell: seat.bell.clone(),
        outbound: Arc::new(Outbound::new(to_host, key, queue.clone())),
        waits_for: Default::default(),
        tally: Tally::default(),
        latency: probe.view(),
    })
}

/// Bytes of a slot's body for payloads up to `largest`. A sender's address and a deadline share the slot with the payload.
fn body_for(largest: u32) -> usize {
    if largest as usize <= INLINE_BYTES - 16 {
        0
    } else {
        largest as usize
    }
}

impl Backend for Cpu {
    fn kind(&self) -> u32 {
        Kind::Cpu as u32
    }

    fn devices(&self) -> Vec<Device> {
        vec![Device {
            kind: Kind::Cpu,
            ordinal: 0,
            name: "CPU".into(),
            workers: self.pool.threads() as u32,
            lanes: 1,
            memory: 0,
            unusable: None,
        }]
    }

    fn default_workers(&self, device: u32) -> Result<u32> {
        if device != 0 {
            return Err(Error::not_found("CPU device", device));
        }
        Ok(self.pool.threads() as u32)
    }

    fn launch(&self, home: &Arc<Home>, key: u32, plan: Plan) -> Result<Arc<Kernel>> {
        let actor = &plan.module.actors()[plan.actor];
        let types = TypeTable::new(actor.handlers.iter().map(|handler| (handler.r#type, handler.size)))?;
        let (placement, workers) = Placement::new(plan.actors, plan.workers);
        let state = actor.state_size as usize;
        let keeps = plan.supervision.keeps;
        let mut actors = Actors::new(plan.actors, state, plan.initial_state.as_deref(), plan.dormant, keeps)?;
        if let Some(image) = &plan.image {
            actors.restore(image);
        }
        let actors = Arc::new(actors);
        let seats = self.pool.choose(workers as usize);
        let probes: Vec<_> = (0..workers).map(|worker| Probe::new(plan.latency_every, worker)).collect();
        let queue = |worker: usize| &plan.queues[worker * plan.queues.len() / workers as usize];
        let ports: Result<Vec<Port>> = (seats.iter().enumerate())
            .map(|(worker, seat)| port(&plan, key, types.largest(), queue(worker), seat, &probes[worker]))
            .collect();
        let ports = ports?;
        let rings: usize = ports.iter().flat_map(Port::channels).map(Channel::size).sum();
        let to_host: usize = ports.iter().map(|port| port.outbound.channel.size()).sum();
        let me: Arc<dyn Backend> = self.me.upgrade().ok_or(Error::Stale)?;
        let kernel = Arc::new(Kernel {
            key,
            name: plan.name.clone(),
            home: home.clone(),
            backend: me,
            module: plan.module.clone(),
            kind: plan.actor,
            device: plan.device,
            actors: plan.actors,
            lanes: 1,
            placement,
            types,
            ports: ports.into(),
            remote: false,
            fanout: None,
            memory: (rings + to_host + actors.size()) as u64,
            memory_per_actor: actors.overhead() as u64,
            supervision: plan.supervision,
            life: Life::new(workers),
        });
        if let Some(image) = &plan.image {
            kernel.refill(image)?;
        }
        let built: Result<Vec<_>> = (probes.into_iter().zip(0..))
            .map(|(probe, worker)| Worker::new(kernel.clone(), worker, actors.clone(), &plan, probe))
            .collect();
        for (worker, seat) in built?.into_iter().zip(seats) {
            seat.adopt(worker);
        }
        Ok(kernel)
    }

    fn route(&self, _from: &Kernel, to: &Kernel) -> Route {
        // A worker is a thread of the host: into a device's rings it writes what the host would.
        if to.remote {
            Route::Host
        } else {
            Route::Device
        }
    }

    fn allocate(&self, device: u32, size: u64) -> Result<Box<dyn Memory>> {
        self.default_workers(device)?;
        Ok(Box::new(HostMemory::allocate(size)?))
    }

    fn import_host(&self, device: u32, host: HostMemory, _size: u64) -> Result<Box<dyn Memory>> {
        self.default_workers(device)?;
        Ok(Box::new(host))
    }

    fn selftest(&self, device: u32) -> Result<Arc<Report>> {
        if device != 0 {
            return Err(Error::not_found("CPU device", device));
        }
        let device = Err("the CPU's memory is the host's".into());
        Ok(Arc::new(Report { chosen: Inbound::Host, host: selftest::run()?, device }))
    }

    fn kick(&self) {
        self.pool.kick();
    }

    fn rest(&self, kernel: Option<&Kernel>, spin: Duration, deadline: Deadline) -> bool {
        self.pool.rest(kernel, spin, deadline)
    }

    fn interrupt(&self) {
        self.pool.interrupt();
    }

    fn stop(&self) {
        self.pool.stop();
    }
}
