//! Status codes and the caller-owned error detail.

use std::ffi::{c_char, CStr};

use crate::error::{Error, Native};

/// Result of every call. Negative: an error. Zero: done. Positive: an ordinary outcome that is not an error.
#[allow(non_camel_case_types)]
pub type rk_status = i32;

/// Done.
pub const RK_OK: rk_status = 0;
/// Nothing was done because a ring is full or empty right now. Try again.
pub const RK_AGAIN: rk_status = 1;
/// The time given ran out. What had been done until then is done.
pub const RK_TIMEOUT: rk_status = 2;

/// An argument is NULL, out of range or contradicts another.
pub const RK_ERROR_INVALID_ARGUMENT: rk_status = -1;
/// The handle or address is zero, was destroyed, or is of another kind.
pub const RK_ERROR_STALE_HANDLE: rk_status = -2;
/// The process was forked after the runtime was created; the child cannot use it.
pub const RK_ERROR_FORKED: rk_status = -3;
/// A bug in the library was caught at its boundary. The runtime is poisoned.
pub const RK_ERROR_PANIC: rk_status = -4;
/// An earlier call ended in RK_ERROR_PANIC; the runtime can only be destroyed.
pub const RK_ERROR_POISONED: rk_status = -5;
/// Memory, host's or device's, or another resource of the system ran out.
pub const RK_ERROR_NO_MEMORY: rk_status = -6;
/// Header and library are of incompatible versions.
pub const RK_ERROR_VERSION: rk_status = -7;
/// This build, backend or device cannot do it.
pub const RK_ERROR_UNSUPPORTED: rk_status = -8;
/// The backend has no usable driver or device here.
pub const RK_ERROR_NO_DEVICE: rk_status = -9;
/// The call is not legal in the kernel's present state.
pub const RK_ERROR_BAD_STATE: rk_status = -10;
/// The kernel failed; see rk_kernel_stats() and its event.
pub const RK_ERROR_KERNEL_FAILED: rk_status = -11;
/// The module image is truncated, corrupt, contradictory or not a module at all.
pub const RK_ERROR_BAD_IMAGE: rk_status = -12;
/// The module was built with another layout version; rebuild it.
pub const RK_ERROR_LAYOUT: rk_status = -13;
/// The module's source did not compile for the device.
pub const RK_ERROR_COMPILE: rk_status = -14;
/// There is nothing of that name, or the actor does not handle that message type.
pub const RK_ERROR_NOT_FOUND: rk_status = -15;
/// The payload is larger than its message type, or something is larger than the caller's buffer.
pub const RK_ERROR_SIZE: rk_status = -16;
/// The message, or the reply to it, became a dead letter.
pub const RK_ERROR_UNDELIVERED: rk_status = -17;
/// A limit of the library was reached, as said in the error.
pub const RK_ERROR_LIMIT: rk_status = -18;
/// The operating system refused; native_code is errno.
pub const RK_ERROR_SYSTEM: rk_status = -19;
/// A device driver refused; native_code is its code.
pub const RK_ERROR_DRIVER: rk_status = -20;
/// The stamp is further ahead of this machine's time than the clock's bound allows.
pub const RK_ERROR_DRIFT: rk_status = -21;
/// Something else has the name already.
pub const RK_ERROR_EXISTS: rk_status = -22;
/// As reason of RK_EVENT_KERNEL_FAILED: one of its actors failed for good.
pub const RK_ERROR_ACTOR_FAILED: rk_status = -23;

/// rk_error.native_domain: there is no native code.
pub const RK_NATIVE_NONE: u32 = 0;
/// rk_error.native_domain: native_code is an errno.
pub const RK_NATIVE_ERRNO: u32 = 1;
/// rk_error.native_domain: native_code is a CUresult.
pub const RK_NATIVE_CUDA: u32 = 2;
/// rk_error.native_domain: native_code is an nvrtcResult.
pub const RK_NATIVE_NVRTC: u32 = 3;
/// rk_error.native_domain: native_code is a VkResult.
pub const RK_NATIVE_VULKAN: u32 = 4;

/// rk_error.flags: the same call may succeed later.
pub const RK_ERROR_FLAG_RETRIABLE: u32 = 1;
/// rk_error.flags: the object is beyond use and can only be destroyed.
pub const RK_ERROR_FLAG_FATAL: u32 = 2;

/// Bytes of rk_error.message, with its NUL.
pub const RK_ERROR_MESSAGE_SIZE: usize = 488;

/// Detail of a failed call. Owned by the caller, who may leave it uninitialised; a call that returns a negative status
/// fills it, any other leaves it alone. Nothing is kept per thread.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct rk_error {
    /// The status that the call returned.
    pub status: rk_status,
    /// RK_NATIVE_...: what native_code is.
    pub native_domain: u32,
    /// Code of the operating system or driver, 0 if none.
    pub native_code: i64,
    /// RK_ERROR_FLAG_... bits.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
    /// What happened, in English; UTF-8, NUL-terminated, cut at a character boundary when longer.
    pub message: [c_char; RK_ERROR_MESSAGE_SIZE],
}

/// The name of a status, such as "RK_ERROR_STALE_HANDLE"; "RK_UNKNOWN" for any other number.
///
/// Static, never NULL. Thread-safe, also in signal handlers and after fork. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_status_name(status: rk_status) -> *const c_char {
    name(status).as_ptr()
}

macro_rules! names {
    ($status:expr; $($code:ident)*) => {
        match $status {
            $($code => {
                const TEXT: &[u8] = concat!(stringify!($code), "\0").as_bytes();
                match CStr::from_bytes_with_nul(TEXT) { Ok(text) => text, Err(_) => c"RK_UNKNOWN" }
            })*
            _ => c"RK_UNKNOWN",
        }
    };
}

fn name(status: rk_status) -> &'static CStr {
    names!(status;
        RK_OK RK_AGAIN RK_TIMEOUT RK_ERROR_INVALID_ARGUMENT RK_ERROR_STALE_HANDLE RK_ERROR_FORKED RK_ERROR_PANIC
        RK_ERROR_POISONED RK_ERROR_NO_MEMORY RK_ERROR_VERSION RK_ERROR_UNSUPPORTED RK_ERROR_NO_DEVICE
        RK_ERROR_BAD_STATE RK_ERROR_KERNEL_FAILED RK_ERROR_BAD_IMAGE RK_ERROR_LAYOUT RK_ERROR_COMPILE
        RK_ERROR_NOT_FOUND RK_ERROR_SIZE RK_ERROR_UNDELIVERED RK_ERROR_LIMIT RK_ERROR_SYSTEM RK_ERROR_DRIVER
        RK_ERROR_DRIFT RK_ERROR_EXISTS RK_ERROR_ACTOR_FAILED)
}

/// The status that stands for an error of the core.
pub(crate) fn status_of(error: &Error) -> rk_status {
    match error {
        Error::InvalidArgument(_) => RK_ERROR_INVALID_ARGUMENT,
        Error::Stale => RK_ERROR_STALE_HANDLE,
        Error::Forked => RK_ERROR_FORKED,
        Error::Poisoned => RK_ERROR_POISONED,
        Error::NoMemory(_) => RK_ERROR_NO_MEMORY,
        Error::Version { .. } => RK_ERROR_VERSION,
        Error::Unsupported(_) => RK_ERROR_UNSUPPORTED,
        Error::NoDevice(_) => RK_ERROR_NO_DEVICE,
        Error::BadState { .. } => RK_ERROR_BAD_STATE,
        Error::KernelFailed(_) => RK_ERROR_KERNEL_FAILED,
        Error::BadImage(_) => RK_ERROR_BAD_IMAGE,
        Error::Layout { .. } => RK_ERROR_LAYOUT,
        Error::NotFound(_) => RK_ERROR_NOT_FOUND,
        Error::Size { .. } => RK_ERROR_SIZE,
        Error::Undelivered(_) => RK_ERROR_UNDELIVERED,
        Error::Limit(_) => RK_ERROR_LIMIT,
        Error::System { .. } => RK_ERROR_SYSTEM,
        Error::Cuda { .. } | Error::Vulkan { .. } if error.is_driver_without_memory() => RK_ERROR_NO_MEMORY,
        Error::Cuda { .. } | Error::Vulkan { .. } | Error::Unfinished(_) | Error::Occupied => RK_ERROR_DRIVER,
        Error::Stuck(_) => RK_TIMEOUT,
        Error::Compile { .. } => RK_ERROR_COMPILE,
        Error::Drift { .. } => RK_ERROR_DRIFT,
        Error::Exists(_) => RK_ERROR_EXISTS,
        Error::Again => RK_AGAIN,
        Error::Timeout => RK_TIMEOUT,
    }
}

impl rk_error {
    pub(super) fn new(error: &Error) -> Self {
        let (native_domain, native_code) = match error.native() {
            Native::None => (RK_NATIVE_NONE, 0),
            Native::Errno(code) => (RK_NATIVE_ERRNO, i64::from(code)),
            Native::Cuda(code) => (RK_NATIVE_CUDA, i64::from(code)),
            Native::Nvrtc(code) => (RK_NATIVE_NVRTC, i64::from(code)),
            Native::Vulkan(code) => (RK_NATIVE_VULKAN, i64::from(code)),
        };
        let mut flags = 0;
        if error.is_retriable() {
            flags |= RK_ERROR_FLAG_RETRIABLE;
        }
        if error.is_fatal() {
            flags |= RK_ERROR_FLAG_FATAL;
        }
        Self::with(status_of(error), native_domain, native_code, flags, &error.to_string())
    }

    /// What a caught bug leaves the caller with.
    pub(super) fn panic() -> Self {
        Self::with(
            RK_ERROR_PANIC,
            RK_NATIVE_NONE,
            0,
            RK_ERROR_FLAG_FATAL,
            "a bug in ringkernel was caught; the runtime is poisoned",
        )
    }

    fn with(status: rk_status, native_domain: u32, native_code: i64, flags: u32, text: &str) -> Self {
        let message = super::convert::c_text(text);
        Self { status, native_domain, native_code, flags, reserved: 0, message }
    }
}
