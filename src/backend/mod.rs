//! Backends: what runs workers. The core knows them by this trait only.

mod cpu;
mod cuda;
mod gpu;
mod signals;
mod vulkan;

pub(crate) use signals::SignalsBlocked;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use self::cuda::{code as cuda_code, selftest_code as cuda_selftest_code};
pub(crate) use self::vulkan::{Borrowed as VulkanContext, Features as VulkanFeatures, LoaderFn as VulkanLoaderFn};
use crate::buffer::{HostMemory, Memory};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Plan, Route};
use crate::log::Level;
use crate::module::Module;
use crate::runtime::Home;
use crate::selftest::Report;
use crate::time::Deadline;

/// Which backend. The numbers are `RK_BACKEND_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    Cpu = 1,
    Cuda = 2,
    Vulkan = 3,
}

impl Kind {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::Cpu, Self::Cuda, Self::Vulkan].into_iter().find(|kind| *kind as u32 == number)
    }
}

/// A device that a backend found.
pub(crate) struct Device {
    pub(crate) kind: Kind,
    pub(crate) ordinal: u32,
    pub(crate) name: String,
    pub(crate) workers: u32,
    pub(crate) lanes: u32,
    /// Bytes; 0 for the CPU.
    pub(crate) memory: u64,
    /// Why it cannot be used, if so.
    pub(crate) unusable: Option<String>,
}

/// What is to be at home on a backend that nobody named.
pub(crate) enum Tenant<'a> {
    /// A kernel of that actor type of the module, with so many lanes.
    Kernel {
        module: &'a Module,
        actor: usize,
        lanes: u32,
    },
    Buffer,
}

/// Runs the workers of kernels.
pub(crate) trait Backend: Send + Sync {
    /// `RK_BACKEND_...`
    fn kind(&self) -> u32;

    fn devices(&self) -> Vec<Device>;

    /// How many workers a kernel gets that leaves it to us.
    fn default_workers(&self, device: u32) -> Result<u32>;

    /// Makes a kernel whose workers hold, until its state lets them run.
    fn launch(&self, home: &Arc<Home>, key: u32, plan: Plan) -> Result<Arc<Kernel>>;

    /// Which way messages go from one of its kernels to another kernel.
    fn route(&self, from: &Kernel, to: &Kernel) -> Route {
        if Arc::ptr_eq(&from.backend, &to.backend) && from.device == to.device {
            Route::Device
        } else {
            Route::Host
        }
    }

    /// Memory for a buffer, zeros, that handlers on the device reach.
    fn allocate(&self, _device: u32, _size: u64) -> Result<Box<dyn Memory>> {
        Err(self.without_buffers())
    }

    /// Memory of the host program, for handlers on the device.
    fn import_host(&self, _device: u32, _host: HostMemory, _size: u64) -> Result<Box<dyn Memory>> {
        Err(self.without_buffers())
    }

    /// Memory of the device that the host program allocated.
    fn import_device(&self, _device: u32, _address: u64, _size: u64) -> Result<Box<dyn Memory>> {
        Err(self.without_buffers())
    }

    fn without_buffers(&self) -> Error {
        Error::Unsupported("the backend cannot use such memory for buffers".into())
    }

    /// Tests the memory that rings between host and device lie in.
    fn selftest(&self, device: u32) -> Result<Arc<Report>>;

    /// Has all workers look at what they are to do.
    fn kick(&self);

    /// Waits until no handler runs, of one kernel or of any, for `spin` without sleeping. Call after changing what workers are
    /// to do and a [`heavy`](crate::bell::heavy) fence. False if the deadline came first, or [`interrupt`](Self::interrupt).
    fn rest(&self, kernel: Option<&Kernel>, spin: Duration, deadline: Deadline) -> bool;

    /// Makes waiting calls of `rest` return, for good.
    fn interrupt(&self);

    /// Ends the backend's threads, when all kernels have ended.
    fn stop(&self);
}

/// The backends of a runtime.
pub(crate) struct Backends {
    cpu: Arc<cpu::Cpu>,
    /// Opened when it is first asked for.
    cuda: OnceLock<Arc<cuda::Cuda>>,
    /// As `cuda`; an error is kept, for asking again takes as long.
    vulkan: OnceLock<std::result::Result<Arc<vulkan::Vulkan>, String>>,
    home: Arc<Home>,
    /// The host program's, if it gives us its own.
    vulkan_context: Option<Arc<VulkanContext>>,
    cuda_multiprocessors: u32,
    /// What the program or its user asked for.
    named: Option<Kind>,
    /// Otherwise: found out with the first kernel or buffer that leaves it open, so that buffers are where kernels are.
    chosen: OnceLock<Kind>,
}

impl Backends {
    pub(crate) fn new(
        home: &Arc<Home>,
        kind: Option<Kind>,
        threads: usize,
        cpus: &[u32],
        vulkan_context: Option<VulkanContext>,
        cuda_multiprocessors: u32,
    ) -> Result<Self> {
        let backends = Self {
            cpu: cpu::Cpu::start(home, threads, cpus)?,
            cuda: OnceLock::new(),
            vulkan: OnceLock::new(),
            home: home.clone(),
            vulkan_context: vulkan_context.map(Arc::new),
            cuda_multiprocessors,
            named: kind,
            chosen: OnceLock::new(),
        };
        // Found out now rather than at the first launch.
        if let Some(Err(error)) = kind.map(|kind| backends.get(kind)) {
            backends.cpu.stop();
            return Err(error);
        }
        Ok(backends)
    }

    pub(crate) fn get(&self, kind: Kind) -> Result<Arc<dyn Backend>> {
        match kind {
            Kind::Cpu => Ok(self.cpu.clone()),
            Kind::Cuda => Ok(self.cuda()?.clone()),
            Kind::Vulkan => {
                let vulkan = self.vulkan()?;
                vulkan.check()?;
                Ok(vulkan.clone())
            }
        }
    }

    /// The one that was asked for, by the call or for the runtime. Otherwise CUDA, if it could have this tenant and had the
    /// first, else the CPU.
    pub(crate) fn home_of(&self, kind: Option<Kind>, device: u32, tenant: &Tenant<'_>) -> Result<Arc<dyn Backend>> {
        if let Some(kind) = kind.or(self.named) {
            return self.get(kind);
        }
        let found = match (self.chosen.get(), tenant) {
            (Some(Kind::Cpu), _) => None,
            // Where the kernels are, whatever they were compiled with.
            (Some(_), Tenant::Buffer) => Some(self.cuda()?),
            _ => (self.cuda().and_then(|cuda| cuda.admits(device, tenant).map(|()| cuda)))
                .inspect_err(|reason| {
                    self.home.log.write(Level::Info, format_args!("on the CPU instead of a CUDA device: {reason}"));
                })
                .ok(),
        };
        // Another thread may have been first meanwhile.
        let chosen = self.chosen.get_or_init(|| if found.is_some() { Kind::Cuda } else { Kind::Cpu });
        match found {
            Some(cuda) if *chosen == Kind::Cuda => Ok(cuda.clone()),
            _ => self.get(Kind::Cpu),
        }
    }

    fn cuda(&self) -> Result<&Arc<cuda::Cuda>> {
        if let Some(cuda) = self.cuda.get() {
            return Ok(cuda);
        }
        let cuda = cuda::Cuda::start(self.cuda_multiprocessors)?;
        Ok(self.cuda.get_or_init(|| cuda))
    }

    fn vulkan(&self) -> Result<&Arc<vulkan::Vulkan>> {
        let open = || vulkan::Vulkan::open(&self.home, self.vulkan_context.clone()).map_err(|error| error.to_string());
        self.vulkan.get_or_init(open).as_ref().map_err(|reason| Error::NoDevice(reason.clone()))
    }

    /// Those that are in use.
    pub(crate) fn open(&self) -> impl Iterator<Item = &dyn Backend> {
        let cuda = self.cuda.get().map(|cuda| &**cuda as &dyn Backend);
        let vulkan = self.vulkan.get().and_then(|vulkan| vulkan.as_ref().ok()).map(|vulkan| &**vulkan as &dyn Backend);
        std::iter::once(&*self.cpu as &dyn Backend).chain(cuda).chain(vulkan)
    }

    pub(crate) fn devices(&self) -> Vec<Device> {
        let vulkan = self.vulkan().map_or_else(|_| Vec::new(), |vulkan| vulkan.devices());
        self.cpu.devices().into_iter().chain(cuda::devices()).chain(vulkan).collect()
    }
}
