//! The CUDA backend: actors resident on NVIDIA devices.
//!
//! A kernel is one grid whose blocks are its workers, `include/ringkernel/cuda/pump.cuh`; [`gpu`](super::gpu) launches it
//! for a quantum at a time. Here is what is CUDA's own: the driver, memory, compiling and launching.

mod bar;
mod code;
mod compile;
mod driver;
mod memory;
mod pinned;
mod prebuilt;
mod selftest;
mod share;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use self::code::{Code, Images};
pub use self::compile::{code, selftest_code};
use self::driver::{Context, Properties};
use self::memory::KernelMemory;
use self::pinned::Pinned;
use self::share::Share;
use super::gpu::{self, Block, BufferTable, Fanout, Memories, Place, Pumps, Tables};
use super::{Backend, Device, Kind, Tenant};
use crate::buffer::{HostMemory, Memory};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Placement, Plan};
use crate::runtime::Home;
use crate::selftest::Report;
use crate::time::Deadline;

/// A worker whose states fit so many bytes keeps them in shared memory while it is on the device: an access takes 30 cycles
/// instead of 270, and copying them in and out a microsecond in each quantum.
const NEAR_LIMIT: usize = 4096;

/// Sheets of subscribers that a topic may have: at some microseconds for half a sheet, a fraction of a quantum.
const SHEETS: usize = 16;

/// A device that is in use.
#[derive(Clone)]
struct Opened {
    context: Arc<Context>,
    /// The runtime's, made when the first kernel or buffer needs them.
    buffers: Option<Arc<BufferTable>>,
    /// Made with the first kernel.
    fanout: Option<Arc<Fanout>>,
    /// Found out with the first kernel, if the runtime is to have a part of the device only.
    share: Option<Option<Arc<Share>>>,
}

/// The backend.
pub(super) struct Cuda {
    pumps: Arc<Pumps>,
    /// Devices that are in use, by ordinal.
    opened: Mutex<HashMap<u32, Opened>>,
    images: Images,
    /// Multiprocessors of a device that kernels may use; 0: all.
    multiprocessors: u32,
    me: Weak<Cuda>,
}

impl Cuda {
    /// An error if there is no driver or no device that can be used.
    pub(super) fn start(multiprocessors: u32) -> Result<Arc<Self>> {
        let usable = (0..driver::device_count()?).filter_map(|ordinal| Properties::of(ordinal).ok());
        if !usable.into_iter().any(|properties| properties.unusable().is_none()) {
            return Err(Error::NoDevice("the CUDA driver has no device of compute capability 7.0 or later".into()));
        }
        Ok(Arc::new_cyclic(|me| Self {
            pumps: Arc::default(),
            opened: Mutex::default(),
            images: Images::default(),
            multiprocessors,
            me: me.clone(),
        }))
    }

    /// Why it could not have that tenant, if so, as far as can be told without trying.
    pub(super) fn admits(&self, device: u32, tenant: &Tenant<'_>) -> Result<()> {
        let capability = Properties::of(device)?.capability;
        match tenant {
            Tenant::Kernel { module, actor, lanes } => {
                let name = &module.actors()[*actor].name;
                if prebuilt::find(module, name, *lanes, capability).is_none() {
                    compile::check(&module.cuda_source)?;
                }
            }
            // Of a runtime without kernels so far, which will need it.
            Tenant::Buffer => compile::check_compiler()?,
        }
        // Last, for it takes memory of the device.
        self.context(device).map(drop)
    }

    fn context(&self, device: u32) -> Result<Arc<Context>> {
        self.with_device(device, |opened| Ok(opened.context.clone()))
    }

    fn with_device<R>(&self, device: u32, with: impl FnOnce(&mut Opened) -> Result<R>) -> Result<R> {
        let mut all = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&device).is_none_or(|opened| opened.context.is_lost()) {
            all.insert(device, Opened { context: Context::get(device)?, buffers: None, fanout: None, share: None });
        }
        with(all.get_mut(&device).expect("inserted above"))
    }

    /// Where kernels run, if not on the whole device.
    fn share(&self, device: u32) -> Result<Option<Arc<Share>>> {
        if self.multiprocessors == 0 {
            return Ok(None);
        }
        self.with_device(device, |opened| {
            if opened.share.is_none() {
                opened.share = Some(Share::new(&opened.context, self.multiprocessors)?.map(Arc::new));
            }
            Ok(opened.share.clone().flatten())
        })
    }

    fn buffers(&self, device: u32) -> Result<Arc<BufferTable>> {
        self.with_device(device, |opened| match &opened.buffers {
            Some(buffers) => Ok(buffers.clone()),
            None => {
                let buffers = BufferTable::new(Arc::new(KernelMemory::of(&opened.context, false)?))?;
                Ok(opened.buffers.insert(buffers).clone())
            }
        })
    }

    /// For a first kernel with these memories.
    fn fanout(&self, device: u32, memories: &KernelMemory) -> Result<Arc<Fanout>> {
        self.with_device(device, |opened| match &opened.fanout {
            Some(fanout) => Ok(fanout.clone()),
            None => {
                let make = |bar| {
                    let memories = Arc::new(KernelMemory::of(&opened.context, bar)?);
                    Fanout::new(memories, self.pumps.clone(), SHEETS, Place::Inbound)
                };
                // Where its rings from the host are; or in the host's memory, if the window has no room for this too.
                let fanout = make(memories.combines()).or_else(|_| make(false))?;
                Ok(opened.fanout.insert(fanout).clone())
            }
        })
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
        let share = self.share(device)?;
        Ok(share.map_or(self.context(device)?.properties.multiprocessors, |share| share.multiprocessors))
    }

    fn launch(&self, home: &Arc<Home>, key: u32, plan: Plan) -> Result<Arc<Kernel>> {
        let (_, workers) = Placement::new(plan.actors, plan.workers);
        let context = self.context(plan.device)?;
        if context.is_occupied() {
            return Err(Error::Occupied);
        }
        context.try_selftest_of(&plan.module);
        let states = gpu::states_of_a_worker(&plan);
        let near = if states <= NEAR_LIMIT { states as u32 } else { 0 };
        let share = self.share(plan.device)?;
        let code = Code::load(&self.images, &context, share, &plan, workers, near)?;
        let memories = Arc::new(KernelMemory::new(&context, plan.inbound)?);
        let me: Arc<dyn Backend> = self.me.upgrade().ok_or(Error::Stale)?;
        let fanout = self.fanout(plan.device, &memories)?;
        let tables = Tables { buffers: self.buffers(plan.device)?, fanout };
        self.pumps.launch(me, home, key, &plan, near, memories, &tables, Box::new(code))
    }

    fn allocate(&self, device: u32, size: u64) -> Result<Box<dyn Memory>> {
        if self.context(device)?.is_occupied() {
            return Err(Error::Occupied);
        }
        self.buffers(device)?.allocate(size)
    }

    fn import_host(&self, device: u32, host: HostMemory, size: u64) -> Result<Box<dyn Memory>> {
        let context = self.context(device)?;
        if context.is_occupied() {
            return Err(Error::Occupied);
        }
        let (base, size) = (host.base(), size as usize);
        let memory = Pinned::new(context, base, size)?;
        let block = Block { host: Some(base), device: memory.device(), owner: Arc::new(memory) };
        Ok(self.buffers(device)?.import(block))
    }

    fn import_device(&self, device: u32, address: u64, size: u64) -> Result<Box<dyn Memory>> {
        self.context(device)?.check_memory(address, size)?;
        // The host program keeps it.
        Ok(self.buffers(device)?.import(Block { host: None, device: address, owner: Arc::new(()) }))
    }

    fn selftest(&self, device: u32) -> Result<Arc<Report>> {
        self.context(device)?.try_trial().ok_or(Error::Occupied)
    }

    fn kick(&self) {
        self.pumps.kick();
    }

    fn rest(&self, kernel: Option<&Kernel>, spin: Duration, deadline: Deadline) -> bool {
        self.pumps.rest(kernel, spin, deadline)
    }

    fn interrupt(&self) {
        self.pumps.interrupt();
    }

    fn stop(&self) {
        self.pumps.stop();
        self.images.clear();
        for (_, opened) in self.opened.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            drop((opened.buffers, opened.fanout));
            opened.context.release();
        }
    }
}
