//! The Vulkan backend: actors on any GPU, and on lavapipe.
//!
//! A kernel is one dispatch whose workgroups are its workers, `include/ringkernel/vulkan/pump.comp`; [`gpu`](super::gpu)
//! submits it for a quantum at a time. Here is what is Vulkan's own: instance and devices, ours or the host program's,
//! memory, pipelines, submitting.

mod borrowed;
mod code;
mod device;
mod features;
mod instance;
mod memories;
mod memory;
mod physical;
mod program;
mod spirv;
mod transfer;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ash::vk;

pub(crate) use self::borrowed::Borrowed;
use self::code::Variants;
use self::device::Device as Logical;
pub(crate) use self::features::Features;
use self::instance::Instance;
use self::memories::KernelMemory;
use self::physical::Properties;
use self::program::{Bounds, Pump};
use self::spirv::Spirv;
use super::gpu::Pumps;
use super::signals::SignalsBlocked;
use super::{Backend, Device, Kind};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Placement, Plan};
use crate::module::Module;
use crate::runtime::Home;
use crate::time::Deadline;

/// Turns of loops after which a dispatch leaves, well below where Mesa 22's lavapipe ends them all (65,535), with room for
/// what comes after the last look: one post of the largest message, and leaving.
const TURNS: u32 = 40_000;
/// Dispatches in one submission where each may handle only one message, because its handler's loops count too.
const DISPATCHES: u32 = 8;

/// An error of Vulkan's that says what was tried.
fn refused(what: &'static str) -> impl Fn(vk::Result) -> Error {
    move |result| Error::Vulkan { what, code: result.as_raw(), text: result.to_string() }
}

/// The backend.
pub(super) struct Vulkan {
    instance: Arc<Instance>,
    physical: Vec<Properties>,
    borrowed: Option<Arc<Borrowed>>,
    /// By ordinal, opened when first used.
    opened: Mutex<Vec<Option<Opened>>>,
    pumps: Arc<Pumps>,
    me: Weak<Vulkan>,
}

/// A device that is in use, and the pipelines that were made for it, of modules that are still there.
struct Opened {
    device: Arc<Logical>,
    codes: Vec<(Weak<Module>, usize, u32, Variants)>,
}

impl Vulkan {
    /// An error if there is no Vulkan; that no device of it can be used is not one.
    pub(super) fn open(home: &Arc<Home>, borrowed: Option<Arc<Borrowed>>) -> Result<Arc<Self>> {
        // Drivers start threads, which are to take no signals of the host program's.
        let _masked = SignalsBlocked::new()?;
        let instance = Arc::new(Instance::open(home, borrowed.as_deref())?);
        let physical = match &borrowed {
            Some(theirs) => vec![theirs.restrict(Properties::of(&instance, theirs.physical_device)?)],
            None => Properties::all(&instance)?,
        };
        let opened = Mutex::new(physical.iter().map(|_| None).collect());
        Ok(Arc::new_cyclic(|me| Self {
            instance,
            physical,
            borrowed,
            opened,
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

    /// The device and the pump of an actor on it.
    fn load(&self, plan: &Plan) -> Result<(Arc<Logical>, Variants, Spirv)> {
        let properties = self.properties(plan.device)?;
        let actor = &plan.module.actors()[plan.actor];
        let spirv = plan.module.spirv.iter().find(|(name, _)| *name == actor.name).ok_or_else(|| {
            Error::Unsupported(format!("the module has no Vulkan image of {}: it was built without glslc", actor.name))
        })?;
        let spirv = Spirv::read(&spirv.1)?;
        let mut all = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match &mut all[plan.device as usize] {
            Some(opened) if !opened.device.is_lost() => opened,
            free => {
                let _masked = SignalsBlocked::new()?;
                let device = Logical::open(&self.instance, properties.clone(), self.borrowed.clone())?;
                free.insert(Opened { device, codes: Vec::new() })
            }
        };
        opened.codes.retain(|(module, ..)| module.strong_count() > 0);
        let known = opened.codes.iter().find(|(module, actor, lanes, _)| {
            std::ptr::eq(module.as_ptr(), Arc::as_ptr(&plan.module)) && (*actor, *lanes) == (plan.actor, plan.lanes)
        });
        let code = match known {
            Some((.., code)) => code.clone(),
            None => {
                let _masked = SignalsBlocked::new()?;
                let code = Variants::new(&opened.device, &spirv, plan.lanes, actor.scratch_size)?;
                opened.codes.push((Arc::downgrade(&plan.module), plan.actor, plan.lanes, code.clone()));
                code
            }
        };
        Ok((opened.device.clone(), code, spirv))
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
        let (device, code, spirv) = self.load(&plan)?;
        let memories = Arc::new(KernelMemory::new(&device)?);
        let bounds = match spirv.handlers_loop {
            true => Bounds { turns: TURNS, messages: 1, dispatches: DISPATCHES },
            false => Bounds { turns: TURNS, messages: u32::MAX, dispatches: 1 },
        };
        let pump = Pump::new(&device, code, workers, bounds)?;
        let me: Arc<dyn Backend> = self.me.upgrade().ok_or(Error::Stale)?;
        self.pumps.launch(me, home, key, &plan, memories, Box::new(pump))
    }

    fn kick(&self) {
        self.pumps.kick();
    }

    fn rest(&self, kernel: Option<&Kernel>, deadline: Deadline) -> bool {
        self.pumps.rest(kernel, deadline)
    }

    fn interrupt(&self) {
        self.pumps.interrupt();
    }

    fn stop(&self) {
        self.pumps.stop();
    }
}
