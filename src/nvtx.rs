//! Ranges for NVIDIA's profilers, where one is attached: launches of kernels, quanta and snapshots, in a domain of ours.
//!
//! A profiler names a library in NVTX_INJECTION64_PATH and sets functions in tables that we show it, as it does for every
//! library that uses NVTX: nvtxDetail/nvtxInit.h and nvtxTypes.h of NVTX 3, whose names the ones here have. Without a profiler
//! a range costs a load and a branch.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::OnceLock;

/// Places for the functions of a module of NVTX, by their number there. The profiler stores to them before it returns.
type Table = [AtomicPtr<c_void>; 16];

/// NVTX_CB_MODULE_CORE, whose functions we do not call.
const CORE: u32 = 1;
/// NVTX_CB_MODULE_CORE2: functions with domains.
const CORE2: u32 = 5;
/// NVTX_CBID_CORE2_...
const DOMAIN_RANGE_PUSH_EX: usize = 4;
const DOMAIN_RANGE_POP: usize = 5;
const DOMAIN_CREATE_A: usize = 12;
/// NVTX_ETID_...
const CALLBACKS: u32 = 1;
const VERSION_INFO: u32 = 3;
/// NVTX_VERSION
const VERSION: u16 = 3;
/// NVTX_PAYLOAD_TYPE_UNSIGNED_INT64, NVTX_MESSAGE_TYPE_ASCII
const NUMBER: i32 = 1;
const ASCII: i32 = 1;

static CORE_TABLE: Table = [const { AtomicPtr::new(null_mut()) }; 16];
static CORE2_TABLE: Table = [const { AtomicPtr::new(null_mut()) }; 16];

/// NvtxExportTableCallbacks
#[repr(C)]
struct Callbacks {
    struct_size: usize,
    table: unsafe extern "C" fn(u32, *mut *const *const AtomicPtr<c_void>, *mut u32) -> c_int,
}

/// NvtxExportTableVersionInfo
#[repr(C)]
struct VersionInfo {
    struct_size: usize,
    version: u32,
    reserved: u32,
    set: unsafe extern "C" fn(u32),
}

/// nvtxEventAttributes_t
#[repr(C)]
struct Attributes {
    version: u16,
    size: u16,
    category: u32,
    color_type: i32,
    color: u32,
    payload_type: i32,
    reserved: i32,
    payload: u64,
    message_type: i32,
    message: *const c_char,
}

/// A table as the profiler gets it: pointers to the places, of which there is none of number 0, and NULL. Static, for it may
/// keep them.
struct Places([*const AtomicPtr<c_void>; 17]);

// SAFETY: pointers to statics.
unsafe impl Sync for Places {}

static CORE_PLACES: Places = places(&CORE_TABLE);
static CORE2_PLACES: Places = places(&CORE2_TABLE);

const fn places(table: &'static Table) -> Places {
    let mut places: [*const AtomicPtr<c_void>; 17] = [std::ptr::null(); 17];
    let mut i = 1;
    while i < table.len() {
        places[i] = &raw const table[i];
        i += 1;
    }
    Places(places)
}

unsafe extern "C" fn table(module: u32, table: *mut *const *const AtomicPtr<c_void>, size: *mut u32) -> c_int {
    let Places(places) = match module {
        CORE => &CORE_PLACES,
        CORE2 => &CORE2_PLACES,
        _ => return 0,
    };
    // SAFETY: the profiler passes places for the answers, or NULL.
    unsafe {
        if !size.is_null() {
            size.write(places.len() as u32 - 1);
        }
        if !table.is_null() {
            table.write(places.as_ptr());
        }
    }
    1
}

unsafe extern "C" fn set_version(_version: u32) {}

unsafe extern "C" fn export_table(id: u32) -> *const c_void {
    static OF_CALLBACKS: Callbacks = Callbacks { struct_size: size_of::<Callbacks>(), table };
    static OF_VERSION: VersionInfo =
        VersionInfo { struct_size: size_of::<VersionInfo>(), version: VERSION as u32, reserved: 0, set: set_version };
    match id {
        CALLBACKS => (&raw const OF_CALLBACKS).cast(),
        VERSION_INFO => (&raw const OF_VERSION).cast(),
        _ => std::ptr::null(),
    }
}

type Initialize = unsafe extern "C" fn(unsafe extern "C" fn(u32) -> *const c_void) -> c_int;
type CreateDomain = unsafe extern "C" fn(*const c_char) -> *mut c_void;
type Push = unsafe extern "C" fn(*mut c_void, *const Attributes) -> c_int;
type Pop = unsafe extern "C" fn(*mut c_void) -> c_int;

/// What an attached profiler takes ranges with.
struct Profiler {
    domain: *mut c_void,
    push: Push,
    pop: Pop,
}

// SAFETY: NVTX may be called from any thread, with any domain.
unsafe impl Send for Profiler {}
// SAFETY: as above.
unsafe impl Sync for Profiler {}

impl Profiler {
    fn attach() -> Option<Self> {
        let path = std::env::var_os("NVTX_INJECTION64_PATH")?;
        // SAFETY: whoever set the variable wants the library loaded, by every user of NVTX in the process. It stays.
        let initialized = unsafe {
            let library = std::mem::ManuallyDrop::new(libloading::Library::new(path).ok()?);
            let initialize = library.get::<Initialize>(c"InitializeInjectionNvtx2").ok()?;
            initialize(export_table)
        };
        if initialized == 0 {
            return None;
        }
        // Relaxed: stored by this thread, in the call above.
        let function = |number: usize| Some(CORE2_TABLE[number].load(Ordering::Relaxed)).filter(|at| !at.is_null());
        let (push, pop) = (function(DOMAIN_RANGE_PUSH_EX)?, function(DOMAIN_RANGE_POP)?);
        let create = function(DOMAIN_CREATE_A)?;
        // SAFETY: the profiler stored functions of these types, which NVTX gives those numbers.
        unsafe {
            let create = std::mem::transmute::<*mut c_void, CreateDomain>(create);
            Some(Self {
                domain: create(c"ringkernel".as_ptr()),
                push: std::mem::transmute::<*mut c_void, Push>(push),
                pop: std::mem::transmute::<*mut c_void, Pop>(pop),
            })
        }
    }
}

fn profiler() -> Option<&'static Profiler> {
    static PROFILER: OnceLock<Option<Profiler>> = OnceLock::new();
    PROFILER.get_or_init(Profiler::attach).as_ref()
}

/// What ranges of a kernel are called, as a profiler takes it.
pub(crate) struct Name(CString);

impl Name {
    pub(crate) fn new(what: &str, of: &str) -> Self {
        // A name with a zero in it ends there.
        let text: Vec<u8> = format!("{what} {of}").bytes().take_while(|byte| *byte != 0).collect();
        Self(CString::new(text).unwrap_or_default())
    }
}

/// A range of the calling thread's, which ends when this is dropped, by the same thread.
#[must_use]
pub(crate) struct Range(Option<&'static Profiler>, std::marker::PhantomData<*const ()>);

/// Begins one. `number`: shown with it.
pub(crate) fn range(name: &Name, number: u64) -> Range {
    let profiler = profiler();
    if let Some(profiler) = profiler {
        push(profiler, &name.0, number);
    }
    Range(profiler, std::marker::PhantomData)
}

#[cold]
fn push(profiler: &Profiler, name: &CStr, number: u64) {
    let attributes = Attributes {
        version: VERSION,
        size: size_of::<Attributes>() as u16,
        category: 0,
        color_type: 0,
        color: 0,
        payload_type: NUMBER,
        reserved: 0,
        payload: number,
        message_type: ASCII,
        message: name.as_ptr(),
    };
    // SAFETY: the profiler's function and domain; it copies what it needs.
    unsafe { (profiler.push)(profiler.domain, &attributes) };
}

impl Drop for Range {
    fn drop(&mut self) {
        if let Some(profiler) = self.0 {
            // SAFETY: as above; pushed by this thread.
            unsafe { (profiler.pop)(profiler.domain) };
        }
    }
}
