//! Handles: numbers that callers hold, and what stands behind them.
//!
//! The top byte of a handle says which noun it is, so that one of another noun is as stale as one that was destroyed; the
//! lower half is a key of the noun's table. An actor's address has its kernel's key in the upper half instead, and a
//! topic's handle is its address.

use std::sync::Arc;

use super::alert::rk_alert;
use super::buffer::rk_buffer;
use super::convert;
use super::topic::{rk_subscription, rk_topic};
use super::types::{rk_actor, rk_kernel, rk_module, rk_queue, rk_runtime};
use crate::address::Address;
use crate::alerts::{Alert, Notice, Rule};
use crate::backend::{Backend, Tenant};
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::kernel::{directory, Plan};
use crate::module::Module;
use crate::queue::Queue;
use crate::runtime::{self, Home, Runtime};
use crate::snapshot::Image;
use crate::table::{Noun, Pinned, Table};
use crate::topics::{self, Subscription, Topic};

const RUNTIME: u64 = 0xa1 << 56;
const MODULE: u64 = 0xa2 << 56;
const KERNEL: u64 = 0xa3 << 56;
const QUEUE: u64 = 0xa4 << 56;
const ALERT: u64 = 0xa5 << 56;
const BUFFER: u64 = 0xa6 << 56;
const SUBSCRIPTION: u64 = 0xa7 << 56;

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
static ALERTS: Table<Arc<Alert>> = Table::new();
static BUFFERS: Table<Arc<Buffer>> = Table::new();

// Handlers find a buffer by the slot of its key.
const _: () = assert!(crate::table::CAPACITY == crate::layout::BUFFERS);

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

/// The handle of the kernel with that key.
pub(super) fn of_kernel(key: u32) -> rk_kernel {
    rk_kernel { id: KERNEL | u64::from(key) }
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
        Ok(place) => {
            // Release: pairs with the Acquire in `runtime_of`.
            runtime.home().handle.store(place.key(), std::sync::atomic::Ordering::Release);
            Ok(rk_runtime { id: RUNTIME | u64::from(place.fill(runtime)) })
        }
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

/// `tell` is given the alert's own handle too.
pub(super) fn insert_alert(
    runtime: &Runtime,
    rule: Rule,
    tell: impl Fn(rk_alert, &Rule, &Notice) + Send + Sync + 'static,
) -> Result<rk_alert> {
    let place = ALERTS.reserve()?;
    let handle = rk_alert { id: ALERT | u64::from(place.key()) };
    let tell = Box::new(move |rule: &Rule, notice: &Notice| tell(handle, rule, notice));
    place.fill(Arc::new(Alert::new(runtime.home().clone(), rule, tell)));
    Ok(handle)
}

/// The alerts of a runtime, by themselves.
pub(super) fn alerts(runtime: &Runtime) -> Vec<Arc<Alert>> {
    let keys = ALERTS.keys(|alert| Arc::ptr_eq(&alert.home, runtime.home()));
    keys.into_iter().filter_map(|key| ALERTS.get(key).map(|alert| Arc::clone(&*alert))).collect()
}

pub(super) fn remove_alert(handle: rk_alert) -> Result<()> {
    let key = key(handle.id, ALERT)?;
    ALERTS.remove(key).map(|removed| drop(removed.take())).ok_or(Error::Stale)
}

pub(super) fn buffer(handle: rk_buffer) -> Result<Pinned<'static, Arc<Buffer>>> {
    let buffer = BUFFERS.get(key(handle.id, BUFFER)?).ok_or(Error::Stale)?;
    buffer.home.check()?;
    Ok(buffer)
}

pub(super) fn insert_buffer(runtime: &Runtime, buffer: Buffer) -> Result<rk_buffer> {
    let place = BUFFERS.reserve()?;
    let handle = rk_buffer { id: BUFFER | u64::from(place.key()) };
    if let Err(error) = runtime.home().buffers.publish(handle.id, &buffer) {
        // It may be visible in part.
        if !runtime.home().buffers.withdraw(handle.id, &buffer) {
            std::mem::forget(buffer);
        }
        return Err(error);
    }
    place.fill(Arc::new(buffer));
    Ok(handle)
}

pub(super) fn remove_buffer(handle: rk_buffer) -> Result<()> {
    let key = key(handle.id, BUFFER)?;
    let home = BUFFERS.get(key).ok_or(Error::Stale)?.home.clone();
    // The runtime stays while this is held, or is being destroyed and waits for nobody new.
    let runtime = runtime_of(&home)?;
    let removed = BUFFERS.remove(key).ok_or(Error::Stale)?;
    if !home.buffers.withdraw(handle.id, removed.value()) {
        // It stays where it is, rather than be given to somebody else while a handler may find it.
        return Ok(());
    }
    // The slot is used again only when handlers cannot mistake its next buffer for this one.
    runtime.transfers().free(Box::new(move || drop(removed.take())));
    Ok(())
}

#[inline(always)]
pub(super) fn topic(handle: rk_topic) -> Result<Pinned<'static, Arc<Topic>>> {
    let topic = Address::from_bits(handle.id).topic().and_then(topics::find).ok_or_else(stale)?;
    topic.home.check()?;
    Ok(topic)
}

pub(super) fn close_topic(handle: rk_topic) -> Result<()> {
    // Not held meanwhile: closing waits for who uses it.
    let home = topic(handle)?.home.clone();
    home.topics.close(Address::from_bits(handle.id).actor())
}

/// The handle of the subscription with that key.
pub(super) fn of_subscription(key: u32) -> rk_subscription {
    rk_subscription { id: SUBSCRIPTION | u64::from(key) }
}

pub(super) fn subscription(handle: rk_subscription) -> Result<Pinned<'static, Arc<Subscription>>> {
    let subscription = topics::find_subscription(key(handle.id, SUBSCRIPTION)?).ok_or_else(stale)?;
    subscription.home.check()?;
    Ok(subscription)
}

pub(super) fn end_subscription(handle: rk_subscription) -> Result<()> {
    // Not held meanwhile, as above.
    let home = subscription(handle)?.home.clone();
    home.topics.unsubscribe(key(handle.id, SUBSCRIPTION)?)
}

/// The runtime that has that home.
pub(super) fn runtime_of(home: &Arc<Home>) -> Result<Pinned<'static, Arc<Runtime>>> {
    let key = home.handle.load(std::sync::atomic::Ordering::Acquire);
    RUNTIMES.get(key).ok_or(Error::Stale)
}

impl OwnedModule {
    /// Number of the actor type with that name.
    pub(super) fn find(&self, actor: Option<&str>) -> Result<usize> {
        self.module.find(actor)
    }

    /// Name of an actor type.
    pub(super) fn actor_name(&self, number: usize) -> &str {
        &self.module.actors()[number].name
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
    let (backend, plan) = plan(runtime, module, number, spec)?;
    Ok(of_kernel(runtime.launch(backend, plan)?))
}

/// As [`launch`], one that begins as `image`.
pub(super) fn restore(
    runtime: &Runtime,
    module: &OwnedModule,
    number: usize,
    spec: convert::KernelSpec,
    image: Image,
    new_addresses: bool,
) -> Result<rk_kernel> {
    let (backend, mut plan) = plan(runtime, module, number, spec)?;
    convert::make_room(&mut plan, &image)?;
    Ok(of_kernel(runtime.restore(backend, plan, image, new_addresses)?))
}

fn plan(
    runtime: &Runtime,
    module: &OwnedModule,
    number: usize,
    spec: convert::KernelSpec,
) -> Result<(Arc<dyn Backend>, Plan)> {
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
    let tenant = Tenant::Kernel { module: &module.module, actor: number, lanes: spec.lanes() };
    let backend = runtime.backend(spec.backend, spec.device(), &tenant)?;
    let plan = spec.plan(runtime.home(), &*backend, module.module.clone(), number, queues)?;
    Ok((backend, plan))
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
        return Err(Error::BadState {
            call: "destroying the queue",
            state: "while a kernel or a subscription uses it",
        });
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
    let (runtime, _key) = removed.take();
    runtime.finish();
    let home = runtime.home();
    for key in MODULES.keys(|module| Arc::ptr_eq(&module.home, home)) {
        drop(MODULES.remove(key).map(|removed| removed.take()));
    }
    for key in BUFFERS.keys(|buffer| Arc::ptr_eq(&buffer.home, home)) {
        // Its kernels have ended: no handler uses it.
        drop(BUFFERS.remove(key).map(|removed| removed.take()));
    }
    for key in ALERTS.keys(|alert| Arc::ptr_eq(&alert.home, home)) {
        drop(ALERTS.remove(key).map(|removed| removed.take()));
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
