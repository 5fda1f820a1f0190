//! The driver: devices, the context that we are guests in, memory. Every unsafe call of it but launches is here.

use std::ffi::{c_void, CStr};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use cudarc::driver::sys::{self, CUcontext, CUdevice, CUdevice_attribute as Attribute, CUresult, CUstream};

use super::bar::Window;
use super::memory::Pool;
use super::share::Share;
use super::{prebuilt, selftest};
use crate::backend::gpu::Directory;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::selftest::Report;

/// The oldest devices whose threads advance independently, which the pump's loops rely on, and that have 16-byte words.
const OLDEST: (i32, i32) = (7, 0);

/// An error if the driver says so.
pub(super) fn check(result: CUresult, what: &'static str) -> Result<()> {
    if result == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    let mut text = std::ptr::null();
    // SAFETY: the driver is open, since it answered; it sets the pointer to a static string, or to NULL.
    let text = unsafe {
        sys::cuGetErrorString(result, &mut text);
        if text.is_null() {
            "unknown".into()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    };
    Err(Error::Cuda { what, code: result as i32, text })
}

/// Opens the driver, once a process. The reason if there is none.
pub(super) fn open() -> Result<()> {
    static OPENED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    OPENED
        .get_or_init(|| {
            // SAFETY: loads libcuda.so.1, which does nothing of note then. Without this question cudarc would panic.
            if !unsafe { sys::is_culib_present() } {
                return Err("there is no CUDA driver (libcuda.so.1)".into());
            }
            // SAFETY: the driver is present.
            check(unsafe { sys::cuInit(0) }, "opening the CUDA driver").map_err(|error| error.to_string())
        })
        .clone()
        .map_err(Error::NoDevice)
}

pub(super) fn device_count() -> Result<u32> {
    open()?;
    let mut count = 0;
    // SAFETY: the driver is open; `count` is a place for the number.
    check(unsafe { sys::cuDeviceGetCount(&mut count) }, "counting devices")?;
    Ok(count as u32)
}

/// What a device is.
#[derive(Clone, Debug)]
pub(super) struct Properties {
    pub(super) device: CUdevice,
    pub(super) name: String,
    pub(super) memory: u64,
    pub(super) multiprocessors: u32,
    /// Compute capability.
    pub(super) capability: (i32, i32),
}

impl Properties {
    pub(super) fn of(ordinal: u32) -> Result<Self> {
        if ordinal >= device_count()? {
            return Err(Error::not_found("CUDA device", ordinal));
        }
        let (mut device, mut memory, mut name) = (0, 0, [0; 128]);
        // SAFETY: the driver is open, the device exists, and every pointer is to a place of the right size.
        unsafe {
            check(sys::cuDeviceGet(&mut device, ordinal as i32), "opening a device")?;
            check(sys::cuDeviceGetName(name.as_mut_ptr(), name.len() as i32 - 1, device), "naming a device")?;
            check(sys::cuDeviceTotalMem_v2(&mut memory, device), "asking for a device's memory")?;
        }
        let attribute = |which| {
            let mut value = 0;
            // SAFETY: as above.
            check(unsafe { sys::cuDeviceGetAttribute(&mut value, which, device) }, "asking for a device's properties")?;
            Ok::<i32, Error>(value)
        };
        // SAFETY: the array was zeroed and its last byte was not given away.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        Ok(Self {
            device,
            name,
            memory: memory as u64,
            multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32,
            capability: (
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
        })
    }

    /// Why we cannot use it, if so.
    pub(super) fn unusable(&self) -> Option<String> {
        let (major, minor) = self.capability;
        (self.capability < OLDEST)
            .then(|| format!("its compute capability is {major}.{minor}, {}.{} is needed", OLDEST.0, OLDEST.1))
    }
}

/// The primary context of a device: the one that the host program uses too, through the CUDA runtime. Shared by all
/// runtimes of the process, and kept while anything in it is.
pub(super) struct Context {
    context: CUcontext,
    pub(super) properties: Properties,
    /// All kernels on the device.
    directory: Directory,
    /// The directory's memory: the host's, so that it can be changed while kernels run.
    table: OnceLock<Mapped>,
    /// The device's memory as the host can write it; or why it cannot. Opened for the first kernel.
    window: OnceLock<std::result::Result<Arc<Window>, String>>,
    /// What the self-test found, which is made for the first kernel that it matters to.
    trial: OnceLock<Arc<Report>>,
    /// Its kernel, if a module brought it.
    selftest: OnceLock<Vec<u8>>,
    /// A fault of the device ended it.
    is_lost: AtomicBool,
    /// Kernels of handlers that did not return.
    occupants: Mutex<Vec<Arc<dyn Occupant>>>,
    /// How many use it.
    runtimes: AtomicU32,
    /// Workers that have a second warp.
    pub(super) scouts: AtomicU32,
    /// Of all kernels in it.
    pulses: Mutex<Vec<Weak<Pulse>>>,
    /// Memory for the next kernel.
    pub(super) pool: Pool,
}

/// A kernel on the device that was given up because a handler of it does not return.
pub(super) trait Occupant: Send + Sync {
    /// Whether it has returned after all; an error is a fault of the device.
    fn is_gone(&self) -> Result<bool>;
}

/// Counts a kernel's quanta: odd while one runs.
#[derive(Default)]
pub(super) struct Pulse(AtomicU64);

impl Pulse {
    pub(super) fn begin(&self) {
        // SeqCst: before the kernel runs, and before anybody who finds the number even gives memory to another.
        self.0.fetch_or(1, Ordering::SeqCst);
    }

    /// By the kernel's thread; idempotent.
    pub(super) fn end(&self) {
        let now = self.0.load(Ordering::SeqCst);
        self.0.store(now + (now & 1), Ordering::SeqCst);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the driver answers to everything after a fault of the device, of which cuda.h says that the process must be started anew.
const FAULTS: [CUresult; 9] = [
    CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
    CUresult::CUDA_ERROR_LAUNCH_TIMEOUT,
    CUresult::CUDA_ERROR_ASSERT,
    CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR,
    CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION,
    CUresult::CUDA_ERROR_MISALIGNED_ADDRESS,
    CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE,
    CUresult::CUDA_ERROR_INVALID_PC,
    CUresult::CUDA_ERROR_LAUNCH_FAILED,
];
const FAULTED: &str = "an earlier fault of the device ended CUDA in this process, which must be started anew";

/// How long to wait for a kernel's quantum to end: the longest quantum, and as much again.
const BOUNDARY: Duration = Duration::from_secs(2);

// SAFETY: a context may be used by any thread, which makes it current first.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

static CONTEXTS: Mutex<Vec<(u32, Arc<Context>)>> = Mutex::new(Vec::new());

impl Context {
    /// For a runtime, that [releases](Self::release) it. Kept for the process's next runtime, since making one takes a tenth
    /// of a second; until it is [lost](Self::lost).
    pub(super) fn get(ordinal: u32) -> Result<Arc<Self>> {
        let mut contexts = CONTEXTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, context)) = contexts.iter().find(|(other, _)| *other == ordinal) {
            context.runtimes.fetch_add(1, Ordering::Relaxed);
            return Ok(context.clone());
        }
        let properties = Properties::of(ordinal)?;
        if let Some(reason) = properties.unusable() {
            return Err(Error::Unsupported(format!("{}: {reason}", properties.name)));
        }
        let mut context = std::ptr::null_mut();
        // SAFETY: a place for the context and a device that the driver counted.
        let retained = unsafe { sys::cuDevicePrimaryCtxRetain(&mut context, properties.device) };
        check(retained, if FAULTS.contains(&retained) { FAULTED } else { "retaining the primary context" })?;
        let context = Arc::new(Self {
            context,
            properties,
            directory: Directory::default(),
            table: OnceLock::new(),
            window: OnceLock::new(),
            trial: OnceLock::new(),
            selftest: OnceLock::new(),
            is_lost: AtomicBool::new(false),
            occupants: Mutex::default(),
            runtimes: AtomicU32::new(1),
            scouts: AtomicU32::new(0),
            pulses: Mutex::default(),
            pool: Pool::default(),
        });
        let table = Mapped::new(context.clone(), Directory::SIZE, false)?;
        // Just made: nobody can have set it.
        let _set = context.table.set(table);
        contexts.push((ordinal, context.clone()));
        Ok(context)
    }

    /// A fault of the device ended the context. When everything in it is gone, so is it, unless the host program keeps it,
    /// and the next runtime gets a new one.
    pub(super) fn lost(&self) {
        // Relaxed: who makes the next kernel learns of the fault through its runtime, if it is to know.
        self.is_lost.store(true, Ordering::Relaxed);
        let mut contexts = CONTEXTS.lock().unwrap_or_else(PoisonError::into_inner);
        contexts.retain(|(_, other)| !std::ptr::eq(&**other, self));
        drop(contexts);
        // What it holds would hold it.
        if !self.is_occupied() {
            self.pool.clear();
        }
    }

    /// If the self-test has not been made yet, it is made with what the module brings for it, if it does.
    pub(super) fn try_selftest_of(&self, module: &Module) {
        let (name, lanes) = prebuilt::SELFTEST;
        if let Some(code) = prebuilt::find(module, name, lanes, self.properties.capability) {
            self.selftest.get_or_init(|| code.to_vec());
        }
    }

    /// What a module has brought for it.
    pub(super) fn brought_selftest(&self) -> Option<&[u8]> {
        self.selftest.get().map(Vec::as_slice)
    }

    /// What the self-test found. Takes some hundredths of a second when it is first asked for.
    pub(super) fn trial(self: &Arc<Self>) -> &Arc<Report> {
        self.trial.get_or_init(|| Arc::new(selftest::report(self)))
    }

    /// The same, if it need not be made while a handler that does not return would hold it up.
    pub(super) fn try_trial(self: &Arc<Self>) -> Option<Arc<Report>> {
        match self.trial.get() {
            None if self.is_occupied() => None,
            _ => Some(self.trial().clone()),
        }
    }

    /// For a new kernel.
    pub(super) fn pulse(&self) -> Arc<Pulse> {
        let pulse = Arc::<Pulse>::default();
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.retain(|pulse| pulse.strong_count() > 0);
        pulses.push(Arc::downgrade(&pulse));
        pulse
    }

    /// Whether so many bytes at that address are memory of this context.
    pub(super) fn check_memory(&self, address: u64, size: u64) -> Result<()> {
        let _entered = self.enter()?;
        let (mut base, mut whole) = (0, 0);
        // SAFETY: a context is current; both are places for the answers. Any number may be asked for.
        let found = unsafe { sys::cuMemGetAddressRange_v2(&mut base, &mut whole, address) };
        let end = base.saturating_add(whole as u64);
        if found != CUresult::CUDA_SUCCESS || address < base || end - address < size {
            return Err(Error::invalid(format!(
                "device_address: {size} bytes at {address:#x} are not one allocation of the device's primary context"
            )));
        }
        Ok(())
    }

    /// Returns when every quantum that runs now has ended; false if one does not.
    pub(super) fn await_boundaries(&self) -> bool {
        if self.is_occupied() {
            return false;
        }
        let pulses: Vec<Arc<Pulse>> = {
            let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
            pulses.iter().filter_map(Weak::upgrade).collect()
        };
        let until = Instant::now() + BOUNDARY;
        pulses.iter().all(|pulse| {
            let first = pulse.0.load(Ordering::SeqCst);
            // A context that had a fault runs nothing any more.
            while first % 2 == 1 && pulse.0.load(Ordering::SeqCst) == first && !self.is_lost() {
                if Instant::now() > until {
                    return false;
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            true
        })
    }

    /// A handler of that kernel does not return.
    pub(super) fn occupy(&self, occupant: Arc<dyn Occupant>) {
        self.occupants().push(occupant);
    }

    fn occupants(&self) -> MutexGuard<'_, Vec<Arc<dyn Occupant>>> {
        self.occupants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a handler that was given up still runs: the driver's calls that free memory and load code would wait for it.
    pub(super) fn is_occupied(&self) -> bool {
        let mut occupants = self.occupants();
        let mut gone = Vec::new();
        let mut has_faulted = false;
        for occupant in std::mem::take(&mut *occupants) {
            let is_gone = occupant.is_gone();
            has_faulted |= is_gone.is_err();
            match is_gone {
                Ok(false) => occupants.push(occupant),
                Ok(true) | Err(_) => gone.push(occupant),
            }
        }
        let is_occupied = !occupants.is_empty();
        drop(occupants);
        // Outside the lock, for what they hold asks whether the context is occupied.
        if has_faulted {
            self.lost();
        }
        drop(gone);
        is_occupied
    }

    /// A runtime is done with it. The last one gives back the memory that is kept for kernels to come.
    pub(super) fn release(&self) {
        // AcqRel: the last one has seen the others' memory go to the pool.
        if self.runtimes.fetch_sub(1, Ordering::AcqRel) == 1 && !self.is_occupied() {
            self.pool.clear();
        }
    }

    /// Whether a runtime has it.
    pub(super) fn is_in_use(&self) -> bool {
        // Acquire: as in `release`.
        self.runtimes.load(Ordering::Acquire) > 0
    }

    /// See [`lost`](Self::lost).
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Makes the context current for the calling thread, which gets its own back when the guard is dropped.
    pub(super) fn enter(&self) -> Result<Entered> {
        // SAFETY: the context is retained.
        check(unsafe { sys::cuCtxPushCurrent_v2(self.context) }, "entering the context")?;
        Ok(Entered(()))
    }

    /// The device's memory as the host can write it.
    pub(super) fn window(&self) -> std::result::Result<&Arc<Window>, &str> {
        let open = || {
            let mut uuid = sys::CUuuid { bytes: [0; 16] };
            // SAFETY: the device exists; `uuid` is a place for the answer.
            check(unsafe { sys::cuDeviceGetUuid(&mut uuid, self.properties.device) }, "asking for a device's UUID")?;
            Window::open(uuid.bytes.map(|byte| byte as u8)).map(Arc::new)
        };
        let window = self.window.get_or_init(|| open().map_err(|error: Error| error.to_string()));
        window.as_ref().map_err(String::as_str)
    }

    fn table(&self) -> &Mapped {
        self.table.get().expect("set before the context is given to anybody")
    }

    pub(super) fn directory_address(&self) -> u64 {
        self.table().device()
    }

    /// See [`Directory::register`].
    pub(super) fn register(&self, key: u32, address: u64) {
        // SAFETY: the table has the directory's size, is aligned as pages are, and nobody else writes it.
        unsafe { self.directory.register(self.table().host(), key, address) };
    }

    /// See [`Directory::retire`].
    pub(super) fn retire(&self, key: u32, address: u64) {
        // SAFETY: as above.
        unsafe { self.directory.retire(self.table().host(), key, address) };
    }

    /// See [`Directory::unregister`].
    pub(super) fn unregister(&self, key: u32, address: u64) {
        // SAFETY: as above.
        unsafe { self.directory.unregister(self.table().host(), key, address) };
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let (Some(table), Ok(_entered)) = (self.table.take(), self.enter()) {
            // SAFETY: the context's own, see `Mapped::drop`; no kernel is left that could read it.
            unsafe { sys::cuMemFreeHost(table.host.as_ptr().cast()) };
        }
        // SAFETY: retained once; nothing of ours is left in it. What the driver says is of no use here.
        unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.properties.device) };
    }
}

/// While this lives a context is current.
pub(super) struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        let mut ours = std::ptr::null_mut();
        // SAFETY: pushed by `enter`.
        unsafe { sys::cuCtxPopCurrent_v2(&mut ours) };
    }
}

/// Host memory that the device reads and writes in place. Zeroed.
pub(super) struct Mapped {
    host: NonNull<u8>,
    device: u64,
    context: Weak<Context>,
    /// Keeps the context, except for the context's own.
    _keep: Option<Arc<Context>>,
}

// SAFETY: owned memory; who uses it says how.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    pub(super) fn new(context: Arc<Context>, size: usize, keep: bool) -> Result<Self> {
        let _entered = context.enter()?;
        let (mut host, mut device) = (std::ptr::null_mut::<c_void>(), 0);
        let flags = sys::CU_MEMHOSTALLOC_DEVICEMAP | sys::CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: a context is current; both pointers are places for the answers.
        unsafe {
            check(sys::cuMemHostAlloc(&mut host, size, flags), "host memory for a kernel")?;
            let mapped = sys::cuMemHostGetDevicePointer_v2(&mut device, host, 0);
            if let Err(error) = check(mapped, "mapping host memory") {
                sys::cuMemFreeHost(host);
                return Err(error);
            }
            host.cast::<u8>().write_bytes(0, size);
        }
        let host = NonNull::new(host.cast()).ok_or_else(|| Error::NoMemory(format!("{size} bytes of host memory")))?;
        Ok(Self { host, device, context: Arc::downgrade(&context), _keep: keep.then(|| context.clone()) })
    }

    pub(super) fn host(&self) -> NonNull<u8> {
        self.host
    }

    pub(super) fn device(&self) -> u64 {
        self.device
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // The context's own goes with the context.
        let entered = self.context.upgrade().map(|context| context.enter());
        if matches!(entered, Some(Ok(_))) {
            // SAFETY: allocated in this context. Waits for kernels that run, which is one quantum.
            unsafe { sys::cuMemFreeHost(self.host.as_ptr().cast()) };
        }
    }
}

/// Device memory.
pub(super) struct DeviceMemory {
    address: u64,
    context: Arc<Context>,
}

impl DeviceMemory {
    pub(super) fn new(context: Arc<Context>, size: usize) -> Result<Self> {
        let _entered = context.enter()?;
        let mut address = 0;
        // SAFETY: a context is current.
        check(unsafe { sys::cuMemAlloc_v2(&mut address, size) }, "device memory for a kernel")?;
        Ok(Self { address, context })
    }

    pub(super) fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: allocated in this context. Waits for kernels that run, which may be writing to it by an address that
            // they found before it was taken from the directory: one quantum.
            unsafe { sys::cuMemFree_v2(self.address) };
        }
    }
}

/// A stream that waits for no other.
pub(super) struct Stream {
    stream: CUstream,
    context: Arc<Context>,
    /// In which its kernels run, if not on the whole device.
    _share: Option<Arc<Share>>,
}

// SAFETY: streams may be used by any thread with the context current.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    pub(super) fn new(context: Arc<Context>) -> Result<Self> {
        let _entered = context.enter()?;
        let mut stream = std::ptr::null_mut();
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: a context is current.
        check(unsafe { sys::cuStreamCreate(&mut stream, flags) }, "creating a stream")?;
        Ok(Self { stream, context, _share: None })
    }

    pub(super) fn within(context: Arc<Context>, share: Arc<Share>) -> Result<Self> {
        let _entered = context.enter()?;
        Ok(Self { stream: share.create_stream()?, context, _share: Some(share) })
    }

    pub(super) fn raw(&self) -> CUstream {
        self.stream
    }

    pub(super) fn zero(&self, at: u64, size: usize) -> Result<()> {
        let _entered = self.context.enter()?;
        // SAFETY: callers give memory of ours that no kernel uses yet.
        check(unsafe { sys::cuMemsetD8Async(at, 0, size, self.stream) }, "clearing device memory")
    }

    pub(super) fn upload(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let _entered = self.context.enter()?;
        // SAFETY: as above; pageable memory is copied before the call returns.
        check(unsafe { sys::cuMemcpyHtoDAsync_v2(at, bytes.as_ptr().cast(), bytes.len(), self.stream) }, "an upload")
    }

    /// From one place of the device's to another that has nothing of it.
    pub(super) fn copy(&self, from: u64, to: u64, size: usize) -> Result<()> {
        let _entered = self.context.enter()?;
        // SAFETY: callers give memory of ours that no kernel uses meanwhile.
        check(unsafe { sys::cuMemcpyDtoDAsync_v2(to, from, size, self.stream) }, "a copy on the device")
    }

    /// Done when it returns.
    pub(super) fn download(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
        let entered = self.context.enter()?;
        let to = bytes.as_mut_ptr().cast();
        // SAFETY: callers give memory of a buffer; what it is copied to stays until the copy has ended, below.
        let copied = check(unsafe { sys::cuMemcpyDtoHAsync_v2(to, at, bytes.len(), self.stream) }, "a download");
        drop(entered);
        copied.and(self.synchronize())
    }

    pub(super) fn synchronize(&self) -> Result<()> {
        let _entered = self.context.enter()?;
        // SAFETY: the stream exists.
        check(unsafe { sys::cuStreamSynchronize(self.stream) }, "waiting for the device")
    }

    /// Whether all is done; an error is a fault of the device.
    pub(super) fn query(&self) -> Result<bool> {
        let _entered = self.context.enter()?;
        // SAFETY: the stream exists.
        match unsafe { sys::cuStreamQuery(self.stream) } {
            CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            other => check(other, "running the kernel").map(|()| true),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: created by us.
            unsafe { sys::cuStreamDestroy_v2(self.stream) };
        }
    }
}
