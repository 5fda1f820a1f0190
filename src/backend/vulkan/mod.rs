//! The Vulkan backend: actors on any GPU, and on lavapipe.
//!
//! A kernel is one dispatch whose workgroups are its workers, `include/ringkernel/vulkan/pump.comp`; [`gpu`](super::gpu)
//! submits it for a quantum at a time. Here is what is Vulkan's own: instance and devices, ours or the host program's,
//! memory, pipelines, submitting.

mod borrowed;
mod clock;
mod code;
mod device;
mod features;
mod instance;
mod memories;
mod memory;
mod physical;
mod probe;
mod program;
mod spirv;
mod transfer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ash::vk::{self, Handle};

pub(crate) use self::borrowed::{Borrowed, LoaderFn};
use self::code::PumpCode;
use self::device::Device as Logical;
pub(crate) use self::features::Features;
use self::instance::Instance;
use self::memories::KernelMemory;
use self::physical::Properties;
use self::probe::Findings;
use self::program::{Bounds, Pump};
use self::spirv::Spirv;
use super::gpu::{Block, BufferTable, Fanout, Place, Pumps, Tables};
use super::signals::SignalsBlocked;
use super::{Backend, Device, Kind};
use crate::buffer::{HostMemory, Memory};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Placement, Plan};
use crate::log::Level;
use crate::module::Module;
use crate::runtime::Home;
use crate::selftest::{Inbound, Measured, Report};
use crate::time::Deadline;

/// Turns of loops after which a dispatch leaves, well below where Mesa 22's lavapipe ends them all (65,535), with room for
/// what comes after the last look: posts of the largest message, of 1024 turns each, one for each message of a row (eight), and
/// leaving.
const TURNS: u32 = 40_000;
/// The same where loops may go on: some tenths of a second on a slow device.
const TURNS_UNCUT: u32 = 1 << 20;
/// Messages of one worker in one dispatch, so that others have their turn on the queue.
const MESSAGES: u32 = 4096;
/// Dispatches in one submission where each may handle only one message, because its handler's loops count too.
const DISPATCHES: u32 = 16;

/// Sheets of subscribers that a topic may have: a worker goes through all of them in one dispatch, with the turns of loops
/// that are left after [`TURNS`].
const SHEETS: usize = 1;

/// An error of Vulkan's that says what was tried.
fn refused(what: &'static str) -> impl Fn(vk::Result) -> Error {
    move |result| Error::Vulkan { what, code: result.as_raw(), text: result.to_string() }
}

/// What a submission may do on a device, and whether the pump may stay there.
fn bounds(device: &Logical, findings: &Findings, handlers_loop: bool, workers: u32) -> Bounds {
    let watches = findings.resident.is_ok() && !device.properties.is_processor;
    let bounds = Bounds { turns: TURNS_UNCUT, messages: MESSAGES, dispatches: 1, watches, resident: false };
    if findings.cuts_loops {
        return match handlers_loop {
            true => Bounds { turns: TURNS, messages: 1, dispatches: DISPATCHES, ..bounds },
            false => Bounds { turns: TURNS, ..bounds },
        };
    }
    // On a processor a pump that stays takes the cores that its senders need, so only if it is asked for.
    let wish = std::env::var("RINGKERNEL_VULKAN_PUMP");
    let wanted = match wish.as_deref() {
        Ok("bounded") => false,
        Ok("resident") => true,
        _ => !device.properties.is_processor,
    };
    let resident = wanted && findings.resident.is_ok() && workers <= device.properties.workers;
    Bounds { resident, ..bounds }
}

/// The backend.
pub(super) struct Vulkan {
    instance: Arc<Instance>,
    physical: Vec<Properties>,
    borrowed: Option<Arc<Borrowed>>,
    /// By ordinal, opened when first used.
    opened: Mutex<Vec<Option<Opened>>>,
    home: Arc<Home>,
    pumps: Arc<Pumps>,
    me: Weak<Vulkan>,
}

/// A device that is in use, and the pipelines that were made for it, of modules that are still there.
struct Opened {
    device: Arc<Logical>,
    findings: Findings,
    codes: Vec<(Weak<Module>, Shape, Arc<PumpCode>)>,
    tables: Tables,
}

/// What pipelines of one module differ by.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    actor: usize,
    lanes: u32,
    measures: bool,
}

/// What a kernel is made of.
struct Loaded {
    device: Arc<Logical>,
    code: Arc<PumpCode>,
    bounds: Bounds,
    tables: Tables,
}

impl Vulkan {
    /// An error if there is no Vulkan; that no device of it can be used is not one.
    pub(super) fn open(home: &Arc<Home>, borrowed: Option<Arc<Borrowed>>) -> Result<Arc<Self>> {
        // Drivers start threads, which are to take no signals of the host program's.
        let _masked = SignalsBlocked::new()?;
        let instance = Arc::new(Instance::open(home, borrowed.as_deref())?);
        let physical = match &borrowed {
            Some(theirs) => {
                vec![theirs.restrict(Properties::of(&instance, vk::PhysicalDevice::from_raw(theirs.physical_device))?)]
            }
            None => Properties::all(&instance)?,
        };
        let opened = Mutex::new(physical.iter().map(|_| None).collect());
        Ok(Arc::new_cyclic(|me| Self {
            instance,
            physical,
            borrowed,
            opened,
            home: home.clone(),
            pumps: Arc::default(),
            me: me.clone(),
        }))
    }

    /// An error if no device can be used, with the reasons.
    pub(super) fn check(&self) -> Result<()> {
        let mut reasons = Vec::new();
        for properties in &self.physical {
            match properties.unusable() {
                None => return Ok(()),
                Some(reason) => reasons.push(format!("{}: {reason}", properties.name)),
            }
        }
        Err(Error::NoDevice(match reasons.len() {
            0 => "Vulkan has no device".into(),
            _ => format!("Vulkan has no device that can be used ({})", reasons.join("; ")),
        }))
    }

    fn properties(&self, ordinal: u32) -> Result<&Properties> {
        self.physical.get(ordinal as usize).ok_or_else(|| Error::not_found("Vulkan device", ordinal))
    }

    fn opened(&self) -> MutexGuard<'_, Vec<Option<Opened>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device that works, opened and probed if it was not or the one before was lost.
    fn open_device<'a>(&self, all: &'a mut [Option<Opened>], ordinal: u32) -> Result<&'a mut Opened> {
        let properties = self.properties(ordinal)?;
        let place = &mut all[ordinal as usize];
        if place.as_ref().is_none_or(|opened| opened.device.is_lost()) {
            let _masked = SignalsBlocked::new()?;
            let device = Logical::open(&self.instance, properties.clone(), self.borrowed.clone())?;
            let findings = probe::probe(&device)?;
            self.home.log.write(Level::Info, format_args!("{}: {findings}", properties.name));
            let memories = Arc::new(KernelMemory::new(&device)?);
            // Counts in the host's memory: whether it sees through the window what a device writes there is not probed.
            let fanout = Fanout::new(memories.clone(), self.pumps.clone(), SHEETS, Place::Host)?;
            let tables = Tables { buffers: BufferTable::new(memories)?, fanout };
            *place = Some(Opened { device, findings, codes: Vec::new(), tables });
        }
        Ok(place.as_mut().expect("opened above"))
    }

    /// The device and the pump of an actor on it.
    fn load(&self, plan: &Plan, workers: u32) -> Result<Loaded> {
        self.properties(plan.device)?;
        let actor = &plan.module.actors()[plan.actor];
        let spirv = plan.module.spirv.iter().find(|(name, _)| *name == actor.name).ok_or_else(|| {
            Error::Unsupported(format!("the module has no Vulkan image of {}: it was built without glslc", actor.name))
        })?;
        let mut spirv = Spirv::read(&spirv.1)?;
        let mut all = self.opened();
        let opened = self.open_device(&mut all, plan.device)?;
        opened.codes.retain(|(module, ..)| module.strong_count() > 0);
        let properties = &opened.device.properties;
        if opened.findings.cuts_loops && plan.lanes > properties.subgroup {
            return Err(Error::Unsupported(format!(
                "{}: handlers of more than {} lanes give wrong results on drivers that cut loops short, such as \
                 llvmpipe of Mesa before 23",
                properties.name, properties.subgroup
            )));
        }
        let shape = Shape { actor: plan.actor, lanes: plan.lanes, measures: plan.latency_every != 0 };
        let no_clocks = properties.features.missing_clocks();
        if shape.measures && !no_clocks.is_empty() {
            return Err(Error::Unsupported(format!(
                "{}: it has no {} (VK_KHR_shader_clock), which latencies are measured with",
                properties.name,
                no_clocks.join(", no ")
            )));
        }
        if shape.measures && !spirv.measures {
            return Err(Error::Unsupported(
                "the module's Vulkan images do not measure latencies: they were built with an older rkc".into(),
            ));
        }
        if !no_clocks.is_empty() {
            spirv = spirv.without_clocks();
        }
        let known = opened
            .codes
            .iter()
            .find(|(module, other, _)| std::ptr::eq(module.as_ptr(), Arc::as_ptr(&plan.module)) && *other == shape);
        let code = match known {
            Some((.., code)) => code.clone(),
            None => {
                let _masked = SignalsBlocked::new()?;
                let code = Arc::new(PumpCode::new(
                    &opened.device,
                    &spirv,
                    plan.lanes,
                    actor.scratch_size,
                    opened.findings.whole_words,
                    shape.measures,
                )?);
                opened.codes.push((Arc::downgrade(&plan.module), shape, code.clone()));
                code
            }
        };
        let bounds = bounds(&opened.device, &opened.findings, spirv.handlers_loop, workers);
        Ok(Loaded { device: opened.device.clone(), code, bounds, tables: opened.tables.clone() })
    }
}

impl Backend for Vulkan {
    fn kind(&self) -> u32 {
        Kind::Vulkan as u32
    }

    fn devices(&self) -> Vec<Device> {
        self.physical
            .iter()
            .enumerate()
            .map(|(ordinal, properties)| Device {
                kind: Kind::Vulkan,
                ordinal: ordinal as u32,
                name: properties.name.clone(),
                workers: properties.workers,
                lanes: properties.lanes,
                memory: properties.memory,
                unusable: properties.unusable(),
            })
            .collect()
    }

    fn default_workers(&self, device: u32) -> Result<u32> {
        Ok(self.properties(device)?.workers)
    }

    fn launch(&self, home: &Arc<Home>, key: u32, plan: Plan) -> Result<Arc<Kernel>> {
        let (_, workers) = Placement::new(plan.actors, plan.workers);
        let Loaded { device, code, bounds, tables } = self.load(&plan, workers)?;
        let memories = Arc::new(KernelMemory::new(&device)?);
        let pump = Pump::new(&device, code, workers, bounds, plan.latency_every != 0)?;
        let me: Arc<dyn Backend> = self.me.upgrade().ok_or(Error::Stale)?;
        self.pumps.launch(me, home, key, &plan, 0, memories, &tables, Box::new(pump))
    }

    fn allocate(&self, device: u32, size: u64) -> Result<Box<dyn Memory>> {
        let mut all = self.opened();
        let buffers = self.open_device(&mut all, device)?.tables.buffers.clone();
        drop(all);
        buffers.allocate(size)
    }

    fn import_host(&self, device: u32, host: HostMemory, size: u64) -> Result<Box<dyn Memory>> {
        let mut all = self.opened();
        let Opened { device, tables, .. } = self.open_device(&mut all, device)?;
        let (device, buffers) = (device.clone(), tables.buffers.clone());
        drop(all);
        let memory = memory::Memory::import(&device, host.base(), size as usize)?;
        Ok(buffers.import(Block { host: memory.host(), device: memory.address(), owner: Arc::new(memory) }))
    }

    fn selftest(&self, device: u32) -> Result<Arc<Report>> {
        let mut all = self.opened();
        let opened = self.open_device(&mut all, device)?;
        let window = opened.device.has_window();
        Ok(Arc::new(Report {
            chosen: if window { Inbound::Device } else { Inbound::Host },
            // Between submissions any memory does; while one runs, only what the probe has measured.
            host: Measured::default(),
            device: match &opened.findings.resident {
                _ if !window => Err("it has no memory that the host can write".into()),
                found => (*found).map_err(String::from),
            },
        }))
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
    }
}
