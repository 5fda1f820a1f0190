//! The runtime: what all kernels of a host program share, and its end.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, Backends, Device, Kind, Tenant, VulkanContext};
use crate::bell::heavy;
use crate::buffer;
use crate::calls::{Calls, CALLS};
use crate::error::{Error, Result};
use crate::fork;
use crate::hlc::{Clock, Drift};
use crate::kernel::{directory, Kernel, Plan};
use crate::log::{Level, Log};
use crate::message::Timeout;
use crate::module::Module;
use crate::nvtx;
use crate::queue::{self, Queue};
use crate::registry::Registry;
use crate::selftest::Report;
use crate::settings::Settings;
use crate::snapshot::Image;
use crate::table::Vacant;
use crate::topics::Topics;
use crate::trace::Trace;
use crate::transfers::Transfers;

/// What a runtime is created with; every number is checked and final.
pub(crate) struct Config {
    /// For kernels that do not say.
    pub(crate) backend: Option<Kind>,
    pub(crate) cpu_threads: usize,
    /// Processors of the threads; empty for any.
    pub(crate) cpus: Vec<u32>,
    pub(crate) spin: Duration,
    pub(crate) quantum: Duration,
    pub(crate) drift: Drift,
    pub(crate) log: Log,
    /// The host program's own Vulkan objects.
    pub(crate) vulkan: Option<VulkanContext>,
    /// Of a device, for all kernels; 0: all.
    pub(crate) cuda_multiprocessors: u32,
    /// For what is launched and sent later.
    pub(crate) settings: Settings,
}

/// What everything in a runtime has at hand.
pub(crate) struct Home {
    pub(crate) clock: Clock,
    pub(crate) calls: &'static Calls,
    pub(crate) log: Log,
    pub(crate) registry: Registry,
    pub(crate) topics: Topics,
    pub(crate) buffers: buffer::Directory,
    pub(crate) trace: Trace,
    /// How long to look for news before sleeping.
    pub(crate) spin: Duration,
    pub(crate) quantum: Duration,
    /// Parks that have not been undone.
    parked: AtomicU32,
    /// Key of the runtime in the table of those.
    pub(crate) handle: AtomicU32,
    poisoned: AtomicBool,
    closing: AtomicBool,
}

impl Home {
    pub(crate) fn new(drift: Drift, log: Log, spin: Duration, quantum: Duration) -> Self {
        Self {
            clock: Clock::new(drift),
            calls: &CALLS,
            log,
            registry: Registry::default(),
            topics: Topics::default(),
            buffers: buffer::Directory::default(),
            trace: Trace::default(),
            spin,
            quantum,
            parked: AtomicU32::new(0),
            handle: AtomicU32::new(0),
            poisoned: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(crate) fn is_parked(&self) -> bool {
        // Relaxed: see `Kernel::command`.
        self.parked.load(Ordering::Relaxed) != 0
    }

    /// A bug was caught; nothing in this runtime is to be trusted.
    pub(crate) fn poison(&self) {
        if !self.poisoned.swap(true, Ordering::SeqCst) {
            self.log.write(Level::Error, format_args!("a bug in ringkernel was caught; the runtime is poisoned"));
        }
    }

    /// An error if the runtime is poisoned.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.poisoned.load(Ordering::Relaxed) {
            return Err(Error::Poisoned);
        }
        Ok(())
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }
}

/// A runtime. Dropping it without [`close`](Self::close) and [`finish`](Self::finish) leaves its kernels running.
pub(crate) struct Runtime {
    home: Arc<Home>,
    queue: Arc<Queue>,
    backends: Arc<Backends>,
    transfers: Transfers,
    settings: Settings,
}

impl crate::table::Noun for Arc<Runtime> {
    fn poison(&self) {
        self.home.poison();
    }
}

impl Runtime {
    pub(crate) fn create(config: Config) -> Result<Arc<Self>> {
        fork::watch()?;
        crate::bell::barrier::register();
        // SSE accesses of 16 bytes are single accesses on processors with AVX; see ring::storage.
        if !std::arch::is_x86_feature_detected!("avx") {
            return Err(Error::Unsupported("the processor has no AVX".into()));
        }
        let home = Arc::new(Home::new(config.drift, config.log, config.spin, config.quantum));
        let Config { backend, cpu_threads, cpus, vulkan, cuda_multiprocessors, .. } = config;
        let backends = Backends::new(&home, backend, cpu_threads, &cpus, vulkan, cuda_multiprocessors)?;
        let queue = Queue::create(&home);
        home.log.write(Level::Info, format_args!("runtime created with {cpu_threads} threads"));
        for source in config.settings.sources() {
            home.log.write(Level::Info, format_args!("options are also from {source}"));
        }
        let backends = Arc::new(backends);
        let transfers = Transfers::new(backends.clone());
        Ok(Arc::new(Self { home, queue, backends, transfers, settings: config.settings }))
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.home.clock
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn transfers(&self) -> &Transfers {
        &self.transfers
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    pub(crate) fn create_queue(&self) -> Result<Arc<Queue>> {
        Ok(Queue::create(&self.home))
    }

    pub(crate) fn add_module(&self, module: Module) -> Arc<Module> {
        self.home.log.write(Level::Debug, format_args!("module {} created", module.name()));
        Arc::new(module)
    }

    pub(crate) fn devices(&self) -> Vec<Device> {
        self.backends.devices()
    }

    /// Tests the memory that rings of a device, by its number among all, lie in.
    pub(crate) fn selftest(&self, index: u32) -> Result<Arc<Report>> {
        let devices = self.devices();
        let device = devices.get(index as usize).ok_or_else(|| Error::not_found("device", index))?;
        self.backends.get(device.kind)?.selftest(device.ordinal)
    }

    /// The backend for a kernel or buffer that asks for `kind`, or for none in particular.
    pub(crate) fn backend(&self, kind: Option<Kind>, device: u32, tenant: &Tenant<'_>) -> Result<Arc<dyn Backend>> {
        self.backends.home_of(kind, device, tenant)
    }

    /// Launches a kernel and gives its key.
    pub(crate) fn launch(&self, backend: Arc<dyn Backend>, plan: Plan) -> Result<u32> {
        self.launch_at(directory::reserve()?, backend, plan)
    }

    /// Launches a kernel that begins as `image`, with the addresses that it had or with new ones.
    pub(crate) fn restore(
        &self,
        backend: Arc<dyn Backend>,
        mut plan: Plan,
        mut image: Image,
        new_addresses: bool,
    ) -> Result<u32> {
        let place = if new_addresses {
            directory::reserve()?
        } else {
            directory::reserve_again(image.key).ok_or_else(|| {
                Error::Exists(
                    "the addresses of the snapshot's kernel are another one's, or such as no kernel has".into(),
                )
            })?
        };
        image.rename(place.key());
        image.limit(self.home.clock.drift().limit());
        // What it sends and receives from now on is later than all that it has seen.
        self.home.clock.merge(image.all.time);
        plan.image = Some(image);
        self.launch_at(place, backend, plan)
    }

    fn launch_at(&self, place: Vacant<'static, Arc<Kernel>>, backend: Arc<dyn Backend>, plan: Plan) -> Result<u32> {
        let _range = nvtx::range(&nvtx::Name::new("launch of", &plan.name), u64::from(place.key()));
        let module = plan.module.clone();
        if !module.enlist() {
            return Err(Error::Stale);
        }
        let kernel = backend.launch(&self.home, place.key(), plan).inspect_err(|_| module.dismiss())?;
        if !kernel.ports.iter().all(|port| port.outbound.queue.attach(&port.outbound)) {
            kernel.finish();
            return Err(Error::Stale);
        }
        self.home.log.write(
            Level::Info,
            format_args!("kernel {} launched: {} actors on {} workers", kernel.name, kernel.actors, kernel.ports.len()),
        );
        Ok(place.fill(kernel))
    }

    /// Brings all kernels to rest.
    pub(crate) fn park(&self, timeout: Timeout) -> Result<()> {
        let deadline = timeout.deadline();
        // SeqCst, and a fence that all threads execute: workers that go on after it see the park (`Kernel::command`).
        self.home.parked.fetch_add(1, Ordering::SeqCst);
        heavy();
        for backend in self.backends.open() {
            if !backend.rest(None, self.home.spin, deadline) {
                self.undo_park();
                return Err(if self.home.is_closing() { Error::Stale } else { Error::Timeout });
            }
        }
        // Buffers that were destroyed before, in memory of the host program's too.
        if !self.transfers.settle(deadline) {
            self.undo_park();
            return Err(Error::Timeout);
        }
        Ok(())
    }

    pub(crate) fn unpark(&self) -> Result<()> {
        let undone = self.home.parked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
        match undone {
            Ok(1) => self.kick(),
            Ok(_) => {}
            Err(_) => return Err(Error::BadState { call: "unparking", state: "for a runtime that is not parked" }),
        }
        Ok(())
    }

    fn undo_park(&self) {
        // Another thread may have unparked for us meanwhile; then there is nothing to undo.
        let _not_parked = self.unpark();
    }

    fn kick(&self) {
        for backend in self.backends.open() {
            backend.kick();
        }
    }

    /// Keys of its kernels.
    pub(crate) fn kernels(&self) -> Vec<u32> {
        directory::keys(|kernel| Arc::ptr_eq(&kernel.home, &self.home))
    }

    /// The runtime is being destroyed: calls of other threads that wait in it return.
    pub(crate) fn close(&self) {
        self.home.closing.store(true, Ordering::SeqCst);
        for queue in queue::all(|queue| Arc::ptr_eq(queue.home(), &self.home)) {
            queue.close();
        }
        for key in self.kernels() {
            if let Some(kernel) = directory::find(key) {
                kernel.close();
            }
        }
        self.home.topics.interrupt();
        self.home.calls.bell.ring();
        for backend in self.backends.open() {
            backend.interrupt();
        }
    }

    /// After `close`, when no other call uses the runtime: ends its kernels and its threads.
    pub(crate) fn finish(&self) {
        for key in self.kernels() {
            destroy(key);
        }
        for backend in self.backends.open() {
            backend.stop();
        }
        self.transfers.stop();
        self.home.topics.finish();
        self.home.log.write(Level::Info, format_args!("runtime destroyed"));
    }
}

/// Destroys the kernel with that key; false if there is none.
pub(crate) fn destroy(key: u32) -> bool {
    let Some(removed) = directory::remove(key) else { return false };
    removed.value().close();
    removed.value().home.registry.forget(key);
    removed.value().home.topics.forget(key);
    let (kernel, key): (Arc<Kernel>, _) = removed.take();
    kernel.finish();
    // Only now may another kernel have it: its queues and devices know it by that.
    drop(key);
    true
}
