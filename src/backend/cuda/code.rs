//! The code of a kernel: from the module's source to a function that is launched for a quantum at a time.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cudarc::driver::sys;

use super::super::gpu::{Program, Quantum};
use super::driver::{check, Context, Occupant, Pulse, Stream};
use super::share::Share;
use super::{compile, prebuilt};
use crate::error::{Error, Result};
use crate::kernel::Plan;
use crate::module::Module;

/// Loaded code by module, actor, lanes and device, of modules that are still there. Loading waits for kernels that run, so
/// it is done once.
#[derive(Default)]
pub(super) struct Images(Mutex<HashMap<ImageKey, Known>>);

/// The module is its address, which nothing else has as long as there is a `Weak` of it.
type ImageKey = (*const Module, usize, u32, u32);
type Known = (Weak<Module>, Arc<Image>);

// SAFETY: the pointers are compared and never followed.
unsafe impl Send for Images {}
// SAFETY: as above.
unsafe impl Sync for Images {}

/// A loaded pump with the handlers of one actor type.
struct Image {
    function: sys::CUfunction,
    module: sys::CUmodule,
    context: Arc<Context>,
}

// SAFETY: handles of the driver, which any thread may use with the context current.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Images {
    fn get(&self, context: &Arc<Context>, plan: &Plan) -> Result<Arc<Image>> {
        let key = (Arc::as_ptr(&plan.module), plan.actor, plan.lanes, plan.device);
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, image)) = images.get(&key).filter(|(_, image)| Arc::ptr_eq(&image.context, context)) {
            return Ok(image.clone());
        }
        // Unloading waits for all that runs, as loading does.
        if !context.await_boundaries() {
            return Err(Error::Occupied);
        }
        images.retain(|_, (module, _)| module.strong_count() > 0);
        let actor = &plan.module.actors()[plan.actor];
        let target = compile::Target {
            actor: &actor.name,
            scratch: actor.scratch_size,
            lanes: plan.lanes,
            capability: context.properties.capability,
        };
        let prebuilt = prebuilt::find(&plan.module, &actor.name, plan.lanes, target.capability);
        let image = match prebuilt.map(|code| Image::load(context, code)) {
            Some(Ok(image)) => image,
            Some(Err(Error::Occupied)) => return Err(Error::Occupied),
            // An older driver may not know that PTX. Why is said if there is no other way.
            unloadable => match compile::compile(&plan.module.cuda_source, &target) {
                Ok(code) => Image::load(context, &code)?,
                Err(error) => return Err(unloadable.and_then(Result::err).unwrap_or(error)),
            },
        };
        let image = Arc::new(image);
        images.insert(key, (Arc::downgrade(&plan.module), image.clone()));
        Ok(image)
    }

    /// Forgets what kernels do not use.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Image {
    fn load(context: &Arc<Context>, cubin: &[u8]) -> Result<Self> {
        // Loading waits for all that runs. Quanta end, but for those of a handler that does not return.
        if !context.await_boundaries() {
            return Err(Error::Occupied);
        }
        let _entered = context.enter()?;
        let (mut module, mut function) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the cubin is whole; the module is unloaded when the image is dropped.
        unsafe { check(sys::cuModuleLoadData(&mut module, cubin.as_ptr().cast::<c_void>()), "loading the module") }?;
        let mut image = Self { function, module, context: context.clone() };
        // SAFETY: the module is loaded, the pointer is a place for the answer.
        let found = unsafe { sys::cuModuleGetFunction(&mut function, module, c"rk_pump_kernel".as_ptr()) };
        check(found, "finding the pump")?;
        image.function = function;
        Ok(image)
    }
}

impl Occupant for Running {
    fn is_gone(&self) -> Result<bool> {
        self.stream.query()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Unloading waits for everything that runs.
        if self.context.is_occupied() {
            return;
        }
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: loaded by us; no kernel of it runs any more.
            unsafe { sys::cuModuleUnload(self.module) };
        }
    }
}

/// What a quantum needs as long as it runs.
struct Running {
    image: Arc<Image>,
    stream: Stream,
    pulse: Arc<Pulse>,
}

/// The code of one kernel, and the stream that it runs in.
pub(super) struct Code {
    running: Arc<Running>,
    workers: u32,
    threads: u32,
    /// Bytes of shared memory: scratch, and behind it states that are kept close.
    shared: u32,
    crowded: bool,
    _scouts: Option<Scouts>,
}

/// Second warps of workers, see `include/ringkernel/cuda/scout.cuh`, as long as their kernel is there.
struct Scouts {
    context: Arc<Context>,
    workers: u32,
}

impl Scouts {
    /// `fitting`: how many workers with one fit on the device when it is empty. Those of all kernels together take a quarter
    /// of it at most: others are to find room, for who finds none waits for the end of a quantum.
    fn claim(context: &Arc<Context>, workers: u32, fitting: u32) -> Option<Self> {
        let claimed = |taken: u32| taken.checked_add(workers).filter(|all| *all <= fitting / 4);
        // Relaxed, here and below: only the number counts.
        context.scouts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claimed).ok()?;
        Some(Self { context: context.clone(), workers })
    }
}

impl Drop for Scouts {
    fn drop(&mut self) {
        self.context.scouts.fetch_sub(self.workers, Ordering::Relaxed);
    }
}

impl Code {
    /// `near`: bytes of states that each worker keeps close.
    pub(super) fn load(
        images: &Images,
        context: &Arc<Context>,
        share: Option<Arc<Share>>,
        plan: &Plan,
        workers: u32,
        near: u32,
    ) -> Result<Self> {
        let image = images.get(context, plan)?;
        let shared = plan.module.actors()[plan.actor].scratch_size.next_multiple_of(64) + near;
        let multiprocessors = share.as_ref().map_or(context.properties.multiprocessors, |share| share.multiprocessors);
        let stream = match share {
            Some(share) => Stream::within(context.clone(), share)?,
            None => Stream::new(context.clone())?,
        };
        let together = |threads: u32| -> Result<u32> {
            let mut fitting = 0;
            let _entered = context.enter()?;
            // SAFETY: the function is loaded, the pointer is a place for the answer.
            let asked = unsafe {
                sys::cuOccupancyMaxActiveBlocksPerMultiprocessor(
                    &mut fitting,
                    image.function,
                    threads as i32,
                    shared as usize,
                )
            };
            check(asked, "asking how many workers fit")?;
            Ok(fitting as u32 * multiprocessors)
        };
        // Code of an older rkc has no second warp, and fits with none.
        let scouts = match plan.lanes {
            1 => Scouts::claim(context, workers, together(64).unwrap_or(0)),
            _ => None,
        };
        let threads = if scouts.is_some() { 64 } else { plan.lanes.max(32) };
        let fitting = together(threads)?;
        if fitting < 1 {
            return Err(Error::Unsupported(format!("a worker with {threads} threads does not fit the device")));
        }
        let crowded = workers > fitting;
        let running = Arc::new(Running { image, stream, pulse: context.pulse() });
        Ok(Self { running, workers, threads, shared, crowded, _scouts: scouts })
    }
}

impl Program for Code {
    fn launch(&mut self, quantum: &Quantum<'_>) -> Result<()> {
        let mode = quantum.mode as u32;
        let mut arguments: [*mut c_void; 6] = [
            quantum.descriptor.as_ptr().cast_mut().cast(),
            (&raw const quantum.kernel).cast_mut().cast(),
            (&raw const quantum.number).cast_mut().cast(),
            (&raw const quantum.unix_ns).cast_mut().cast(),
            (&raw const quantum.length_ns).cast_mut().cast(),
            (&raw const mode).cast_mut().cast(),
        ];
        let Running { image, stream, pulse } = &*self.running;
        let _entered = image.context.enter()?;
        pulse.begin();
        // SAFETY: the arguments are those of rk_pump_kernel, whose memory the caller keeps; the driver copies them.
        let launched = unsafe {
            sys::cuLaunchKernel(
                image.function,
                self.workers,
                1,
                1,
                self.threads,
                1,
                1,
                self.shared,
                stream.raw(),
                arguments.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        check(launched, "launching the kernel")
    }

    fn is_over(&mut self) -> Result<bool> {
        self.running.stream.query()
    }

    fn settle(&mut self) -> Result<()> {
        // What the pump wrote before its last word is in host memory by then: it fenced at system scope in between.
        self.running.pulse.end();
        Ok(())
    }

    fn leaves_when_idle(&self) -> bool {
        self.crowded
    }

    fn lost(&self) {
        self.running.pulse.end();
        self.running.image.context.lost();
    }

    fn abandon(&self) {
        self.running.image.context.occupy(self.running.clone());
    }
}
