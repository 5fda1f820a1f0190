//! What backends on devices have in common: the memory of a kernel ([`arena`]), the thread that launches its pump for one
//! quantum after the other ([`pump`]), and what both sides share ([`layout`]). A backend gives memory and launches.

mod arena;
mod buffers;
mod directory;
mod fanout;
mod forwards;
mod handlers;
mod layout;
mod pump;
mod snapshot;

use std::any::Any;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use self::arena::Arena;
use self::pump::Pump;
use super::signals::SignalsBlocked;
use super::Backend;
use crate::bell::{heavy, Bell};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Life, Placement, Plan, Port, Tally, TypeTable};
use crate::queue::Outbound;
use crate::ring::Channel;
use crate::runtime::Home;
use crate::time::{Deadline, Spin};

pub(super) use self::buffers::Table as BufferTable;
pub(in crate::backend) use self::directory::Directory;
pub(super) use self::fanout::Fanout;
pub(in crate::backend) use self::layout::{Mode, Ring};

/// Where memory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Only the device touches it.
    Device,
    /// The host's, which the device writes, and the host reads while the device runs.
    Host,
    /// What the host writes and the device polls. It may be the device's own memory, so that the host reads it seldom or never.
    Inbound,
}

/// A piece of memory that the device reaches.
pub(super) struct Block {
    /// Where the host reaches it, if it does.
    pub(super) host: Option<NonNull<u8>>,
    /// Address on the device, aligned to 256.
    pub(super) device: u64,
    /// The backend's own; frees it when dropped.
    pub(super) owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: whoever uses the memory says how; the owner may be sent.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

/// Gives memory of one device.
pub(super) trait Memories: Send + Sync {
    /// Memory with any content.
    fn allocate(&self, place: Place, size: usize) -> Result<Block>;

    /// Clears a part of a block; done when [`finish`](Self::finish) returns.
    fn zero(&self, block: &Block, at: usize, size: usize) -> Result<()>;

    /// Copies bytes into a block; done when [`finish`](Self::finish) returns.
    fn upload(&self, block: &Block, at: usize, bytes: &[u8]) -> Result<()>;

    /// Copies from one place of a block of the device's to another that has nothing of it; done when [`finish`](Self::finish)
    /// returns.
    fn copy(&self, block: &Block, from: usize, to: usize, size: usize) -> Result<()>;

    fn finish(&self) -> Result<()>;

    /// Copies bytes out of a block.
    fn download(&self, block: &Block, at: usize, bytes: &mut [u8]) -> Result<()>;

    /// Whether the processor combines writes to inbound memory, in any order, until told to let go of them.
    fn combines(&self) -> bool;

    /// Address, on the device, of the table of all kernels there: pairs of key and address, by slot of the key.
    fn directory(&self) -> u64;

    /// Makes a kernel known to all others on the device.
    fn register(&self, key: u32, address: u64);

    /// Has handlers that look for it from now on send it nothing any more. What it consists of may still be read.
    fn retire(&self, key: u32, address: u64);

    /// Makes it unknown again, to handlers that look for it from now on.
    fn unregister(&self, key: u32, address: u64);

    /// Returns when no kernel uses an address any more that is not known now: at the end of the quanta that run. False if
    /// one did not end in time; the memory is not to be used again then.
    fn outlast_others(&self) -> bool;
}

/// What the handlers of a runtime find on one device.
#[derive(Clone)]
pub(super) struct Tables {
    pub(super) buffers: Arc<BufferTable>,
    pub(super) fanout: Arc<Fanout>,
}

/// Bytes of the states of a worker's actors.
pub(super) fn states_of_a_worker(plan: &Plan) -> usize {
    plan.actors.div_ceil(plan.workers) as usize * stride_of(plan)
}

/// Bytes from state to state.
fn stride_of(plan: &Plan) -> usize {
    (plan.module.actors()[plan.actor].state_size as usize).max(1).next_multiple_of(16)
}

/// One bounded stay of a kernel's pump on the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantum<'a> {
    /// The kernel's descriptor, `rk_dev_kernel`, and its address.
    pub(super) descriptor: &'a [u8],
    pub(super) kernel: u64,
    /// Grows by one.
    pub(super) number: u64,
    /// The host's clock, since 1970.
    pub(super) unix_ns: u64,
    pub(super) length_ns: u64,
    pub(super) mode: Mode,
}

/// The loaded code of a kernel.
pub(super) trait Program: Send {
    /// Before all launches: has the driver do now what it would do at the first of them. Some compile then, for seconds.
    fn warm_up(&mut self, _quantum: &Quantum<'_>) -> Result<()> {
        Ok(())
    }

    fn launch(&mut self, quantum: &Quantum<'_>) -> Result<()>;

    /// Whether nothing runs on the device any more. An error is a fault of the device.
    fn is_over(&mut self) -> Result<bool>;

    /// Between two looks at what the device has come to.
    fn pause(&mut self) {
        std::hint::spin_loop();
    }

    /// Called when the pump has said that it left: returns when all it wrote can be read.
    fn settle(&mut self) -> Result<()>;

    /// The pump is to leave when it has nothing to do: because there are more workers than fit the device at once, or
    /// because it cannot see what comes.
    fn leaves_when_idle(&self) -> bool;

    /// Whether the device tells the time.
    fn has_clock(&self) -> bool {
        true
    }

    /// In a launch or after it: it leaves work that the next one is to do, whatever else there is.
    fn wants_more(&self) -> bool {
        false
    }

    /// Why a pump may be over that has not said that it left.
    fn unfinished(&self) -> &'static str {
        "the pump ended early, the driver does not say why"
    }

    /// The device failed: nothing is to be started with its present context.
    fn lost(&self);

    /// A handler does not return. What it may use stays as it is, and nothing that would wait for it is done to it.
    fn abandon(&self);
}

/// What other threads know of a pump.
pub(super) struct Shared {
    pub(super) key: u32,
    pub(super) bell: Arc<Bell>,
    /// 1 while handlers may run.
    running: AtomicU32,
    /// How often it has become 0: a pump that has work is hardly ever seen at rest.
    rests: AtomicU64,
    /// Rung when `running` becomes 0.
    rested: Bell,
    /// An actor of another kernel sent something.
    poked: AtomicBool,
    /// A worker waits for one of another kernel to take something.
    held_up: AtomicBool,
}

impl Shared {
    /// Whether a quantum is over that may have run when it had rested so often.
    fn has_rested_since(&self, rests: u64) -> bool {
        // SeqCst: what handlers did before the pump's stores is over; the `heavy` before `rests` was read orders what was
        // changed for them to see.
        self.running.load(Ordering::SeqCst) == 0 || self.rests.load(Ordering::SeqCst) != rests
    }
}

/// The quanta that ran at one moment.
struct Quanta(Vec<(Arc<Shared>, u64)>);

impl Quanta {
    fn are_over(&self) -> bool {
        self.0.iter().all(|(pump, rests)| pump.has_rested_since(*rests))
    }
}

/// Pumps of all runtimes: their kernels may share a device.
static EVERYONE: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

fn everyone() -> MutexGuard<'static, Vec<Weak<Shared>>> {
    EVERYONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something was sent by a kernel to another, which may be any.
fn poke_others(sender: u32) {
    for pump in everyone().iter().filter_map(Weak::upgrade).filter(|pump| pump.key != sender) {
        // Who has been poked and has not looked since is awake, or looks when its time comes. SeqCst, as the loads and the
        // store in `pump.rs` are: a pump that clears it launches after that, and so sees what was sent before the poke.
        if !pump.poked.swap(true, Ordering::SeqCst) {
            pump.bell.ring();
        }
    }
}

/// Grows when a pump has taken what actors sent, or a kernel has gone: who was held up by that may go on.
static ROOM: AtomicU64 = AtomicU64::new(0);

/// Tells pumps that are held up that they may not be any more. Device rings ring no bells, and a pump that is held up sleeps.
fn made_room_for_others() {
    // SeqCst, as `held_up` and the loads in `pump.rs`: a pump that says that it is held up and then finds `ROOM` as it was
    // when its workers looked is seen here.
    ROOM.fetch_add(1, Ordering::SeqCst);
    for pump in everyone().iter().filter_map(Weak::upgrade).filter(|pump| pump.held_up.load(Ordering::SeqCst)) {
        pump.bell.ring();
    }
}

/// Pumps of a runtime's kernels on one backend's devices.
#[derive(Default)]
pub(super) struct Pumps {
    pumps: Mutex<HashMap<u32, Arc<Shared>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    interrupted: AtomicBool,
}

impl Pumps {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Shared>>> {
        self.pumps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Arc<Shared>> {
        self.lock().values().cloned().collect()
    }

    /// See [`Backend::kick`].
    pub(super) fn kick(&self) {
        self.all().iter().for_each(|pump| pump.bell.ring());
    }

    /// The quanta in which handlers may not have seen what was changed before. One that begins later looks first at that.
    fn quanta(&self) -> Quanta {
        heavy();
        self.quanta_after_heavy()
    }

    /// The same, where a [`heavy`] fence has been since what was changed.
    fn quanta_after_heavy(&self) -> Quanta {
        // SeqCst: after that fence.
        let now = |pump: Arc<Shared>| {
            let rests = pump.rests.load(Ordering::SeqCst);
            (pump, rests)
        };
        Quanta(self.all().into_iter().map(now).collect())
    }

    /// See [`Backend::rest`].
    pub(super) fn rest(&self, kernel: Option<&Kernel>, spin: Duration, deadline: Deadline) -> bool {
        let Quanta(quanta) = self.quanta_after_heavy();
        let mut concerned = quanta.iter().filter(|(pump, _)| kernel.is_none_or(|kernel| kernel.key == pump.key));
        concerned.all(|(pump, rests)| {
            // A pump that is told to leave has left before we could fall asleep, unless a handler is long.
            let mut spin = Spin::new(spin, deadline);
            while !pump.has_rested_since(*rests) {
                // SeqCst, here and below: see `interrupt`.
                if !self.interrupted.load(Ordering::SeqCst) && spin.turn() {
                    continue;
                }
                let mark = pump.rested.mark();
                if pump.has_rested_since(*rests) {
                    break;
                }
                if deadline.has_passed() || self.interrupted.load(Ordering::SeqCst) {
                    return false;
                }
                pump.rested.wait(mark, deadline);
            }
            true
        })
    }

    /// See [`Backend::interrupt`].
    pub(super) fn interrupt(&self) {
        // SeqCst: before the bells that the waiting `rest` looks at it after.
        self.interrupted.store(true, Ordering::SeqCst);
        self.all().iter().for_each(|pump| pump.rested.ring());
    }

    /// See [`Backend::stop`].
    pub(super) fn stop(&self) {
        for thread in std::mem::take(&mut *self.threads()) {
            // A panic in it was caught and reported inside.
            let _ended = thread.join();
        }
    }

    fn adopt(&self, pump: Pump) -> Result<()> {
        let shared = pump.shared.clone();
        self.lock().insert(shared.key, shared.clone());
        let mut everyone = everyone();
        everyone.retain(|pump| pump.strong_count() > 0);
        everyone.push(Arc::downgrade(&shared));
        drop(everyone);
        let _masked = SignalsBlocked::new()?;
        let thread = std::thread::Builder::new().name(format!("rk-pump-{:x}", shared.key)).spawn(move || pump.run());
        match thread {
            Ok(thread) => {
                let mut threads = self.threads();
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
                Ok(())
            }
            Err(error) => {
                self.lock().remove(&shared.key);
                let errno = error.raw_os_error().unwrap_or(libc::EAGAIN);
                Err(Error::System { what: "starting a thread", errno })
            }
        }
    }

    /// Makes a kernel of what the backend gives. `near`: bytes of states that each worker keeps close to it while it is on
    /// the device, 0 for none. See [`Backend::launch`].
    #[allow(clippy::too_many_arguments, reason = "each is another thing")]
    pub(super) fn launch(
        self: &Arc<Self>,
        backend: Arc<dyn Backend>,
        home: &Arc<Home>,
        key: u32,
        plan: &Plan,
        near: u32,
        memories: Arc<dyn Memories>,
        tables: &Tables,
        program: Box<dyn Program>,
    ) -> Result<Arc<Kernel>> {
        let actor = &plan.module.actors()[plan.actor];
        let types = TypeTable::new(actor.handlers.iter().map(|handler| (handler.r#type, handler.size)))?;
        let (placement, workers) = Placement::new(plan.actors, plan.workers);
        let (arena, rings) = Arena::new(memories, tables, key, plan, near, &types, placement, workers as usize)?;
        let kept = if plan.supervision.keeps { stride_of(plan) } else { 0 };
        let bell = Arc::new(Bell::default());
        let queue = |worker: usize| &plan.queues[worker * plan.queues.len() / workers as usize];
        // Rings between actors are the device's: what the host has of them is what they have come to.
        let image = || Channel::new(4, 0);
        let ports: Result<Vec<Port>> = (rings.into_iter().enumerate())
            .map(|(worker, (inbound, to_host))| {
                let latency = arena.latency(worker);
                Ok(Port {
                    inbound,
                    peers: [image()?, image()?, image()?, image()?],
                    used: AtomicU32::new(0),
                    bell: bell.clone(),
                    outbound: Arc::new(Outbound::new(to_host, key, queue(worker).clone())),
                    waits_for: crate::align::Aligned(AtomicU64::new(0)),
                    tally: Tally::default(),
                    latency,
                })
            })
            .collect();
        let kernel = Arc::new(Kernel {
            key,
            name: plan.name.clone(),
            home: home.clone(),
            backend,
            module: plan.module.clone(),
            kind: plan.actor,
            device: plan.device,
            actors: plan.actors,
            lanes: plan.lanes,
            placement,
            types,
            ports: ports?.into(),
            remote: true,
            fanout: Some(tables.fanout.clone()),
            memory: arena.size as u64,
            memory_per_actor: (size_of::<layout::Entry>() + size_of::<layout::Kin>() + kept) as u64,
            supervision: plan.supervision,
            life: Life::new(workers),
        });
        if let Some(image) = &plan.image {
            kernel.refill(image)?;
        }
        let shared = Arc::new(Shared {
            key,
            bell,
            running: AtomicU32::new(0),
            rests: AtomicU64::new(0),
            rested: Bell::default(),
            poked: AtomicBool::new(false),
            held_up: AtomicBool::new(false),
        });
        let mut pump = Pump::new(kernel.clone(), shared, self.clone(), program, arena, plan);
        pump.warm_up()?;
        self.adopt(pump)?;
        Ok(kernel)
    }
}
