//! The CUDA backend: actors resident on NVIDIA devices.
//!
//! A kernel is one grid whose blocks are its workers, `include/ringkernel/cuda/pump.cuh`, launched for a quantum at a time by
//! a thread of its own ([`pump`]). Rings with the host lie in host memory that the device maps, rings between actors in
//! device memory, of which the host keeps an image for its statistics.

mod arena;
mod bar;
mod compile;
mod driver;
mod layout;
mod pump;

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

use cudarc::driver::sys;

use self::arena::Arena;
use self::driver::{check, Context, Properties, Stream};
use self::pump::{Code, Pump, Shared};
use super::signals::SignalsBlocked;
use super::{Backend, Device, Kind};
use crate::bell::{heavy, Bell};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Life, Placement, Plan, Port, Tally, TypeTable};
use crate::queue::Outbound;
use crate::ring::Channel;
use crate::runtime::Home;
use crate::time::Deadline;

/// Pumps of a runtime by the key of their kernel.
#[derive(Default)]
pub(super) struct Pumps(Mutex<HashMap<u32, Arc<Shared>>>);

impl Pumps {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Shared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Arc<Shared>> {
        self.lock().values().cloned().collect()
    }

    fn remove(&self, key: u32) {
        self.lock().remove(&key);
    }

    /// Something was sent from one kernel to another.
    fn poke(&self, from: u32) {
        for other in self.all().iter().filter(|other| other.key != from) {
            other.poked.store(true, Ordering::SeqCst);
            other.bell.ring();
        }
    }
}

/// The backend.
pub(super) struct Cuda {
    pumps: Arc<Pumps>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    contexts: Mutex<HashMap<u32, Arc<Context>>>,
    /// Machine code by actor, lanes and compute capability, of modules that are still there.
    #[allow(clippy::type_complexity, reason = "used once")]
    cubins: Mutex<HashMap<(usize, usize, u32, (i32, i32)), Arc<[u8]>>>,
    interrupted: AtomicBool,
    me: Weak<Cuda>,
}

impl Cuda {
    /// An error if there is no driver or no device that can be used.
    pub(super) fn start() -> Result<Arc<Self>> {
        let usable = (0..driver::device_count()?).filter_map(|ordinal| Properties::of(ordinal).ok());
        if !usable.into_iter().any(|properties| properties.unusable().is_none()) {
            return Err(Error::NoDevice("the CUDA driver has no device of compute capability 7.0 or later".into()));
        }
        Ok(Arc::new_cyclic(|me| Self {
            pumps: Arc::default(),
            threads: Mutex::default(),
            contexts: Mutex::default(),
            cubins: Mutex::default(),
            interrupted: AtomicBool::new(false),
            me: me.clone(),
        }))
    }

    fn context(&self, device: u32) -> Result<Arc<Context>> {
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = contexts.get(&device) {
            return Ok(context.clone());
        }
        let context = Context::get(device)?;
        contexts.insert(device, context.clone());
        Ok(context)
    }

    fn cubin(&self, plan: &Plan, capability: (i32, i32)) -> Result<Arc<[u8]>> {
        // The module outlives its kernels, and its sources are at their place as long as it lives.
        let key = (plan.module.cuda_source.as_ptr() as usize, plan.actor, plan.lanes, capability);
        let mut cubins = self.cubins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cubin) = cubins.get(&key) {
            return Ok(cubin.clone());
        }
        let name = &plan.module.actors()[plan.actor].name;
        let cubin: Arc<[u8]> = compile::compile(&plan.module.cuda_source, name, plan.lanes, capability)?.into();
        cubins.insert(key, cubin.clone());
        Ok(cubin)
    }

    fn load(&self, context: &Arc<Context>, plan: &Plan, workers: u32) -> Result<Code> {
        let cubin = self.cubin(plan, context.properties.capability)?;
        let _entered = context.enter()?;
        let (mut module, mut function, mut fitting) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        let threads = plan.lanes.max(32);
        let scratch = plan.module.actors()[plan.actor].scratch_size.next_multiple_of(64);
        // SAFETY: the cubin is whole; the module is unloaded by `Code`.
        unsafe { check(sys::cuModuleLoadData(&mut module, cubin.as_ptr().cast::<c_void>()), "loading the module") }?;
        let mut code = Code { function, module, context: context.clone(), threads, scratch, crowded: false };
        // SAFETY: the module is loaded, the pointers are places for the answers.
        unsafe {
            check(sys::cuModuleGetFunction(&mut function, module, c"rk_pump_kernel".as_ptr()), "finding the pump")?;
            let scratch = scratch as usize;
            let asked =
                sys::cuOccupancyMaxActiveBlocksPerMultiprocessor(&mut fitting, function, threads as i32, scratch);
            check(asked, "asking how many workers fit")?;
        }
        if fitting < 1 {
            return Err(Error::Unsupported(format!("a worker with {threads} threads does not fit the device")));
        }
        code.function = function;
        code.crowded = workers > fitting as u32 * context.properties.multiprocessors;
        Ok(code)
    }

    fn adopt(&self, pump: Pump) -> Result<()> {
        let shared = pump.shared.clone();
        self.pumps.lock().insert(shared.key, shared.clone());
        let _masked = SignalsBlocked::new()?;
        let thread = std::thread::Builder::new().name(format!("rk-cuda-{:x}", shared.key)).spawn(move || pump.run());
        match thread {
            Ok(thread) => {
                let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
                Ok(())
            }
            Err(error) => {
                self.pumps.remove(shared.key);
                let errno = error.raw_os_error().unwrap_or(libc::EAGAIN);
                Err(Error::System { what: "starting a thread", errno })
            }
        }
    }
}

/// All devices that the driver has; none if there is no driver.
pub(super) fn devices() -> Vec<Device> {
    let count = driver::device_count().unwrap_or(0);
    (0..count)
        .filter_map(|ordinal| {
            let properties = Properties::of(ordinal).ok()?;
            Some(Device {
                kind: Kind::Cuda,
                ordinal,
                workers: properties.multiprocessors,
                lanes: 1024,
                memory: properties.memory,
                unusable: properties.unusable(),
                name: properties.name,
            })
        })
        .collect()
}

impl Backend for Cuda {
    fn kind(&self) -> u32 {
        Kind::Cuda as u32
    }

    fn devices(&self) -> Vec<Device> {
        devices()
    }

    fn default_workers(&self, device: u32) -> Result<u32> {
        Ok(self.context(device)?.properties.multiprocessors)
    }

    fn launch(&self, home: &Arc<Home>, key: u32, plan: Plan) -> Result<Arc<Kernel>> {
        if plan.latency_every != 0 {
            return Err(Error::Unsupported("latencies are not measured on CUDA devices yet".into()));
        }
        let actor = &plan.module.actors()[plan.actor];
        let types = TypeTable::new(actor.handlers.iter().map(|handler| (handler.r#type, handler.size)))?;
        let (placement, workers) = Placement::new(plan.actors, plan.workers);
        let context = self.context(plan.device)?;
        let code = self.load(&context, &plan, workers)?;
        let stream = Stream::new(context.clone())?;
        let (arena, rings) = Arena::new(&context, &stream, key, &plan, &types, placement, workers as usize)?;
        let bell = Arc::new(Bell::default());
        let queue = |worker: usize| &plan.queues[worker * plan.queues.len() / workers as usize];
        let image = || Channel::new(4, 0);
        let ports: Result<Vec<Port>> = (rings.into_iter().enumerate())
            .map(|(worker, (inbound, to_host))| {
                Ok(Port {
                    inbound,
                    peers: [image()?, image()?, image()?, image()?],
                    used: AtomicU32::new(0),
                    bell: bell.clone(),
                    outbound: Arc::new(Outbound::new(to_host, key, queue(worker).clone())),
                    waits_for: crate::align::Aligned(AtomicU64::new(0)),
                    tally: Tally::default(),
                    latency: None,
                })
            })
            .collect();
        let me: Arc<dyn Backend> = self.me.upgrade().ok_or(Error::Stale)?;
        let kernel = Arc::new(Kernel {
            key,
            name: plan.name.clone(),
            home: home.clone(),
            backend: me,
            module: plan.module.clone(),
            device: plan.device,
            actors: plan.actors,
            lanes: plan.lanes,
            placement,
            types,
            ports: ports?.into(),
            remote: true,
            memory: arena.size as u64,
            memory_per_actor: layout::ENTRY as u64,
            life: Life::new(workers),
        });
        let shared = Arc::new(Shared {
            key,
            bell,
            running: AtomicU32::new(0),
            rested: Bell::default(),
            poked: AtomicBool::new(false),
        });
        self.adopt(Pump {
            kernel: kernel.clone(),
            shared,
            others: self.pumps.clone(),
            code,
            stream,
            arena,
            quantum: plan.quantum,
            launches: 0,
            letters: 0,
            news: 0,
            foreign: 0,
            accepted: 0,
            taken: vec![0; workers as usize],
            progress: 0,
            high_water: vec![0; workers as usize],
        })?;
        Ok(kernel)
    }

    fn kick(&self) {
        self.pumps.all().iter().for_each(|pump| pump.bell.ring());
    }

    fn rest(&self, kernel: Option<&Kernel>, deadline: Deadline) -> bool {
        heavy();
        let pumps = self.pumps.all();
        pumps.iter().filter(|pump| kernel.is_none_or(|kernel| kernel.key == pump.key)).all(|pump| loop {
            let mark = pump.rested.mark();
            if pump.running.load(Ordering::SeqCst) == 0 {
                return true;
            }
            if deadline.has_passed() || self.interrupted.load(Ordering::SeqCst) {
                return false;
            }
            pump.rested.wait(mark, deadline);
        })
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.pumps.all().iter().for_each(|pump| pump.rested.ring());
    }

    fn stop(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic in it was caught and reported inside.
            let _ended = thread.join();
        }
    }
}
