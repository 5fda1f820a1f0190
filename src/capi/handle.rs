//! Handles: numbers that callers hold, and what stands behind them.
//!
//! The top byte of a handle says which noun it is, so that one of another noun is as stale as one that was destroyed; the
//! lower half is a key of the noun's table. An actor's address has its kernel's key in the upper half instead.

use std::sync::Arc;

use super::convert;
use super::types::{rk_actor, rk_kernel, rk_module, rk_queue, rk_runtime};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::kernel::directory;
use crate::module::Module;
use crate::queue::Queue;
use crate::runtime::{self, Home, Runtime};
use crate::table::{Noun, Pinned, Table};

const RUNTIME: u64 = 0xa1 << 56;
const MODULE: u64 = 0xa2 << 56;
const KERNEL: u64 = 0xa3 << 56;
const QUEUE: u64 = 0xa4 << 56;

/// A module with the runtime it was created in.
pub(super) struct OwnedModule {
    home: Arc<Home>,
    module: Arc<Module>,
}

impl Noun for OwnedModule {
    fn poison(&self) {
        self.home.poison();
    }
}

static RUNTIMES: Table<Arc<Runtime>> = Table::new();
static MODULES: Table<OwnedModule> = Table::new();
static QUEUES: Table<Arc<Queue>> = Table::new();

// A call, where a value would be made and dropped on every way.
#[cold]
fn stale() -> Error {
    Error::Stale
}

fn key(id: u64, noun: u64) -> Result<u32> {
    if id & !u64::from(u32::MAX) == noun {
        Ok(id as u32)
    } else {
        Err(Error::Stale)
    }
}

/// Sets a handle of the caller's to zero, whatever comes of the call.
///
/// # Safety
/// `out` is NULL or points to a writable T, for which zeros are valid.
pub(super) unsafe fn clear<T>(out: *mut T) {
    if !out.is_null() && out.is_aligned() {
        // SAFETY: the caller's promise.
        unsafe { out.write_bytes(0, 1) };
    }
}

/// A place of the caller's for a result.
///
/// # Safety
/// `out` is NULL or points to a writable T.
pub(super) unsafe fn out<'a, T>(out: *mut T) -> Result<&'a mut T> {
    if out.is_null() || !out.is_aligned() {
        return Err(Error::invalid("the place for the result is NULL or not aligned"));
    }
    // SAFETY: the caller's promise, and it is neither NULL nor misaligned.
    Ok(unsafe { &mut *out })
}

#[inline(always)]
pub(super) fn runtime(handle: rk_runtime) -> Result<Pinned<'static, Arc<Runtime>>> {
    let runtime = RUNTIMES.get(key(handle.id, RUNTIME)?).ok_or_else(stale)?;
    runtime.home().check()?;
    Ok(runtime)
}

pub(super) fn module(handle: rk_module) -> Result<Pinned<'static, OwnedModule>> {
    MODULES.get(key(handle.id, MODULE)?).ok_or_else(stale)
}

#[inline(always)]
pub(super) fn queue(handle: rk_queue) -> Result<Pinned<'static, Arc<Queue>>> {
    let queue = QUEUES.get(key(handle.id, QUEUE)?).ok_or_else(stale)?;
    queue.home().check()?;
    Ok(queue)
}

pub(super) fn kernel(handle: rk_kernel) -> Result<directory::Found> {
    find_kernel(key(handle.id, KERNEL)?)
}

/// The kernel of an actor.
#[inline(always)]
pub(super) fn kernel_of(actor: rk_actor) -> Result<directory::Found> {
    find_kernel(Address::from_bits(actor.id).kernel())
}

#[inline(always)]
fn find_kernel(key: u32) -> Result<directory::Found> {
    let kernel = directory::find(key).ok_or_else(stale)?;
    kernel.home.check()?;
    Ok(kernel)
}

pub(super) fn insert_runtime(runtime: Arc<Runtime>) -> Result<rk_runtime> {
    match RUNTIMES.reserve() {
        Ok(place) => Ok(rk_runtime { id: RUNTIME | u64::from(place.fill(runtime)) }),
        Err(error) => {
            runtime.close();
            runtime.finish();
            Err(error)
        }
    }
}

pub(super) fn insert_module(runtime: &Runtime, module: Module) -> Result<rk_module> {
    let module = OwnedModule { home: runtime.home().clone(), module: runtime.add_module(module) };
    Ok(rk_module { id: MODULE | u64::from(MODULES.reserve()?.fill(module)) })
}

pub(super) fn insert_queue(queue: Arc<Queue>) -> Result<rk_queue> {
    Ok(rk_queue { id: QUEUE | u64::from(QUEUES.reserve()?.fill(queue)) })
}

impl OwnedModule {
    /// Number of the actor type with that name.
    pub(super) fn find(&self, actor: Option<&str>) -> Result<usize> {
        self.module.find(actor)
    }

    /// Bytes of the state of an actor type.
    pub(super) fn state_size(&self, number: usize) -> u32 {
        self.module.actors()[number].state_size
    }
}

/// Launches a kernel of the module's actor type `number`. Module and queues of another runtime are as stale as any.
pub(super) fn launch(
    runtime: &Runtime,
    module: &OwnedModule,
    number: usize,
    spec: convert::KernelSpec,
) -> Result<rk_kernel> {
    if !Arc::ptr_eq(&module.home, runtime.home()) {
        return Err(Error::Stale);
    }
    let mut queues = Vec::new();
    for handle in &spec.queues {
        let queue = match handle.id {
            0 => runtime.queue().clone(),
            _ => Arc::clone(&*queue(*handle)?),
        };
        if !Arc::ptr_eq(queue.home(), runtime.home()) {
            return Err(Error::Stale);
        }
        queues.push(queue);
    }
    if queues.is_empty() {
        queues.push(runtime.queue().clone());
    }
    let backend = runtime.backend(spec.backend)?;
    let plan = spec.plan(runtime.home(), &*backend, module.module.clone(), number, queues)?;
    Ok(rk_kernel { id: KERNEL | u64::from(runtime.launch(backend, plan)?) })
}

pub(super) fn remove_kernel(handle: rk_kernel) -> Result<()> {
    if runtime::destroy(key(handle.id, KERNEL)?) {
        Ok(())
    } else {
        Err(Error::Stale)
    }
}

pub(super) fn remove_module(handle: rk_module) -> Result<()> {
    let key = key(handle.id, MODULE)?;
    if !module(handle)?.module.retire() {
        return Err(Error::BadState { call: "destroying the module", state: "while a kernel uses it" });
    }
    MODULES.remove(key).map(|removed| drop(removed.take())).ok_or_else(stale)
}

pub(super) fn remove_queue(handle: rk_queue) -> Result<()> {
    let key = key(handle.id, QUEUE)?;
    if !QUEUES.get(key).ok_or_else(stale)?.retire() {
        return Err(Error::BadState { call: "destroying the queue", state: "while a kernel uses it" });
    }
    let removed = QUEUES.remove(key).ok_or_else(stale)?;
    removed.value().close();
    drop(removed.take());
    Ok(())
}

pub(super) fn remove_runtime(handle: rk_runtime) -> Result<()> {
    let removed = RUNTIMES.remove(key(handle.id, RUNTIME)?).ok_or_else(stale)?;
    // First nobody new gets in and whoever waits is told; then, when all have left, everything goes.
    removed.value().close();
    let runtime = removed.take();
    runtime.finish();
    let home = runtime.home();
    for key in MODULES.keys(|module| Arc::ptr_eq(&module.home, home)) {
        drop(MODULES.remove(key).map(|removed| removed.take()));
    }
    for key in QUEUES.keys(|queue| Arc::ptr_eq(queue.home(), home)) {
        if let Some(removed) = QUEUES.remove(key) {
            // One that was being created when the others were closed may have a poller.
            removed.value().close();
            drop(removed.take());
        }
    }
    Ok(())
}
