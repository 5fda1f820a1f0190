//! A part of a device's multiprocessors, outside which our kernels do not run: what the driver calls a green context, since
//! CUDA 12.5. It is of the primary context, whose memory and code are used in it as elsewhere; only streams are its own.

use std::ffi::{c_void, CStr};
use std::sync::Arc;

use cudarc::driver::sys::{self, CUdevice, CUresult, CUstream};

use super::driver::Context;
use crate::error::{Error, Result};

/// The version whose functions these are, as the driver is asked for them.
const VERSION: i32 = 12050;
const TOO_OLD: &str =
    "cuda_multiprocessors: the CUDA driver cannot set multiprocessors apart, which one for CUDA 12.5 can";

/// `CU_DEV_RESOURCE_TYPE_SM`
const MULTIPROCESSORS: u32 = 1;
/// `CU_GREEN_CTX_DEFAULT_STREAM`, without which it makes none.
const WITH_DEFAULT_STREAM: u32 = 1;

/// `CUdevResource`: 144 bytes in CUDA 12, 152 in 13. There is room for more.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Resource {
    kind: u32,
    internal: [u8; 92],
    multiprocessors: u32,
    rest: [u8; 156],
}

const NOTHING: Resource = Resource { kind: 0, internal: [0; 92], multiprocessors: 0, rest: [0; 156] };

// They give numbers, for a `CUresult` of cudarc's cannot be one that is newer than its version.
type ResourceOf = unsafe extern "C" fn(CUdevice, *mut Resource, u32) -> i32;
type Split = unsafe extern "C" fn(*mut Resource, *mut u32, *const Resource, *mut Resource, u32, u32) -> i32;
type Describe = unsafe extern "C" fn(*mut *mut c_void, *mut Resource, u32) -> i32;
type Create = unsafe extern "C" fn(*mut *mut c_void, *mut c_void, CUdevice, u32) -> i32;
type Destroy = unsafe extern "C" fn(*mut c_void) -> i32;
type CreateStream = unsafe extern "C" fn(*mut CUstream, *mut c_void, u32, i32) -> i32;

/// `CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION`: there are no groups so large.
const NOT_SO_MANY: i32 = 914;

fn check(code: i32, what: &'static str) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(Error::Cuda { what, code, text: "see CUresult in cuda.h".into() }),
    }
}

/// The functions of cuda.h that cudarc does not have for the oldest driver that we run with.
struct Functions {
    resource_of: ResourceOf,
    split: Split,
    describe: Describe,
    create: Create,
    destroy: Destroy,
    create_stream: CreateStream,
}

impl Functions {
    fn find() -> Result<Self> {
        use std::mem::transmute;
        // SAFETY: each has in cuda.h, of that version, the type that it is given here.
        unsafe {
            Ok(Self {
                resource_of: transmute::<*mut c_void, ResourceOf>(find(c"cuDeviceGetDevResource")?),
                split: transmute::<*mut c_void, Split>(find(c"cuDevSmResourceSplitByCount")?),
                describe: transmute::<*mut c_void, Describe>(find(c"cuDevResourceGenerateDesc")?),
                create: transmute::<*mut c_void, Create>(find(c"cuGreenCtxCreate")?),
                destroy: transmute::<*mut c_void, Destroy>(find(c"cuGreenCtxDestroy")?),
                create_stream: transmute::<*mut c_void, CreateStream>(find(c"cuGreenCtxStreamCreate")?),
            })
        }
    }
}

fn find(name: &CStr) -> Result<*mut c_void> {
    let mut function = std::ptr::null_mut();
    let mut status = sys::CUdriverProcAddressQueryResult::CU_GET_PROC_ADDRESS_SUCCESS;
    // SAFETY: the driver is open; both pointers are places for the answers.
    let found = unsafe { sys::cuGetProcAddress_v2(name.as_ptr(), &mut function, VERSION, 0, &mut status) };
    match found {
        CUresult::CUDA_SUCCESS if !function.is_null() => Ok(function),
        _ => Err(Error::Unsupported(TOO_OLD.into())),
    }
}

/// Multiprocessors of a device that are set apart for a runtime. Other runtimes and the host program may be given the same.
pub(super) struct Share {
    green: *mut c_void,
    functions: Functions,
    context: Arc<Context>,
    pub(super) multiprocessors: u32,
}

// SAFETY: a handle of the driver, which any thread may use.
unsafe impl Send for Share {}
// SAFETY: as above.
unsafe impl Sync for Share {}

impl Share {
    /// At least `wanted`, for devices set them apart in groups. `None`: that is all of them.
    pub(super) fn new(context: &Arc<Context>, wanted: u32) -> Result<Option<Self>> {
        if wanted >= context.properties.multiprocessors {
            return Ok(None);
        }
        // Making one may wait for what runs.
        if context.is_occupied() {
            return Err(Error::Occupied);
        }
        let functions = Functions::find()?;
        let device = context.properties.device;
        let _entered = context.enter()?;
        let (mut all, mut part, mut groups) = (NOTHING, NOTHING, 1);
        let (mut description, mut green) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: a context of the device is current. Every pointer is to a place for what is asked for, `part` is one group,
        // and the remainder is not asked for.
        unsafe {
            check((functions.resource_of)(device, &mut all, MULTIPROCESSORS), "asking for a device's multiprocessors")?;
            let split = (functions.split)(&mut part, &mut groups, &all, std::ptr::null_mut(), 0, wanted);
            if split == NOT_SO_MANY || split == 0 && groups == 0 {
                return Ok(None);
            }
            check(split, "setting multiprocessors apart")?;
            check((functions.describe)(&mut description, &mut part, 1), "describing a share of a device")?;
            let created = (functions.create)(&mut green, description, device, WITH_DEFAULT_STREAM);
            check(created, "making a share of a device")?;
        }
        Ok(Some(Self { green, functions, context: context.clone(), multiprocessors: part.multiprocessors }))
    }

    /// A stream whose kernels run in the share. The context is current.
    pub(super) fn create_stream(&self) -> Result<CUstream> {
        let mut stream = std::ptr::null_mut();
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: the share is there; a place for the answer.
        let created = unsafe { (self.functions.create_stream)(&mut stream, self.green, flags, 0) };
        check(created, "creating a stream in a share of a device")?;
        Ok(stream)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // As in `new`.
        if self.context.is_occupied() {
            return;
        }
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: made by us; its streams, which keep it, are gone.
            unsafe { (self.functions.destroy)(self.green) };
        }
    }
}
