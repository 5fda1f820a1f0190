//! The code of a kernel: from the module's source to a function that is launched for a quantum at a time.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::sys;

use super::super::gpu::{Program, Quantum};
use super::compile;
use super::driver::{check, Context, Stream};
use crate::error::{Error, Result};
use crate::kernel::Plan;

/// Machine code by module, actor, lanes and compute capability, of modules that are still there.
#[derive(Default)]
pub(super) struct Cubins(Mutex<HashMap<CubinKey, Arc<[u8]>>>);

type CubinKey = (usize, usize, u32, (i32, i32));

impl Cubins {
    fn get(&self, plan: &Plan, capability: (i32, i32)) -> Result<Arc<[u8]>> {
        // The module outlives its kernels, and its sources are at their place as long as it lives.
        let key = (plan.module.cuda_source.as_ptr() as usize, plan.actor, plan.lanes, capability);
        let mut cubins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cubin) = cubins.get(&key) {
            return Ok(cubin.clone());
        }
        let name = &plan.module.actors()[plan.actor].name;
        let cubin: Arc<[u8]> = compile::compile(&plan.module.cuda_source, name, plan.lanes, capability)?.into();
        cubins.insert(key, cubin.clone());
        Ok(cubin)
    }
}

/// A loaded pump with the handlers of one actor type, and the stream that it runs in.
pub(super) struct Code {
    function: sys::CUfunction,
    module: sys::CUmodule,
    context: Arc<Context>,
    stream: Stream,
    workers: u32,
    threads: u32,
    scratch: u32,
    crowded: bool,
}

// SAFETY: handles of the driver, which any thread may use with the context current.
unsafe impl Send for Code {}

impl Code {
    pub(super) fn load(cubins: &Cubins, context: &Arc<Context>, plan: &Plan, workers: u32) -> Result<Self> {
        let cubin = cubins.get(plan, context.properties.capability)?;
        let stream = Stream::new(context.clone())?;
        let _entered = context.enter()?;
        let (mut module, mut function, mut fitting) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        let threads = plan.lanes.max(32);
        let scratch = plan.module.actors()[plan.actor].scratch_size.next_multiple_of(64);
        // SAFETY: the cubin is whole; the module is unloaded when `Code` is dropped.
        unsafe { check(sys::cuModuleLoadData(&mut module, cubin.as_ptr().cast::<c_void>()), "loading the module") }?;
        let context = context.clone();
        let mut code = Self { function, module, context, stream, workers, threads, scratch, crowded: false };
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
        code.crowded = workers > fitting as u32 * code.context.properties.multiprocessors;
        Ok(code)
    }
}

impl Program for Code {
    fn launch(&mut self, quantum: &Quantum) -> Result<()> {
        let mode = quantum.mode as u32;
        let mut arguments: [*mut c_void; 5] = [
            (&raw const quantum.kernel).cast_mut().cast(),
            (&raw const quantum.number).cast_mut().cast(),
            (&raw const quantum.unix_ns).cast_mut().cast(),
            (&raw const quantum.length_ns).cast_mut().cast(),
            (&raw const mode).cast_mut().cast(),
        ];
        let _entered = self.context.enter()?;
        // SAFETY: the arguments are those of rk_pump_kernel, whose memory the caller keeps; the driver copies them.
        let launched = unsafe {
            sys::cuLaunchKernel(
                self.function,
                self.workers,
                1,
                1,
                self.threads,
                1,
                1,
                self.scratch,
                self.stream.raw(),
                arguments.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        check(launched, "launching the kernel")
    }

    fn is_over(&mut self) -> Result<bool> {
        self.stream.query()
    }

    fn settle(&mut self) -> Result<()> {
        // What the pump wrote before its last word is in host memory by then: it fenced at system scope in between.
        Ok(())
    }

    fn leaves_when_idle(&self) -> bool {
        self.crowded
    }

    fn lost(&self) {
        self.context.lost();
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: loaded by us; no kernel of it runs any more.
            unsafe { sys::cuModuleUnload(self.module) };
        }
    }
}
