//! The core's error type. `capi::status` maps it to status codes.

use std::fmt;

/// What a call of the core may end with other than success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument is out of range or contradicts another.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// The handle or address is of nothing that exists.
    #[error("the handle is zero, of another kind, or of something destroyed")]
    Stale,
    /// The process was forked after it created a runtime.
    #[error("the process was forked; a child cannot use its parent's runtimes")]
    Forked,
    /// An earlier call panicked.
    #[error("an earlier call hit a bug in the library; destroy the runtime")]
    Poisoned,
    /// Memory or the like ran out.
    #[error("out of memory: {0}")]
    NoMemory(String),
    /// Header and library differ.
    #[error("program was compiled with ringkernel.h {}.{}, the library is {}.{}", header.0, header.1, library.0, library.1)]
    Version {
        /// Major and minor version of the header.
        header: (u32, u32),
        /// Major and minor version of the library.
        library: (u32, u32),
    },
    /// Not possible with this build, backend or device.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// No usable device.
    #[error("no device: {0}")]
    NoDevice(String),
    /// Not legal now.
    #[error("{call} is not legal {state}")]
    BadState {
        /// What was asked for.
        call: &'static str,
        /// "while ..." or "for ...".
        state: &'static str,
    },
    /// The kernel failed.
    #[error("the kernel has failed: {0}")]
    KernelFailed(String),
    /// The module image is unusable.
    #[error("bad module image: {0}")]
    BadImage(String),
    /// The module was built with another layout.
    #[error(
        "module was built with layout version {module}, the library has {library}; rebuild it with this version's rkc"
    )]
    Layout {
        /// Of the module.
        module: u32,
        /// Of the library.
        library: u32,
    },
    /// Nothing of that name or number.
    #[error("not found: {0}")]
    NotFound(String),
    /// The payload, or a text, is too large.
    #[error("{size} bytes, where there is room for {limit}")]
    Size {
        /// Bytes that it has.
        size: u32,
        /// Bytes that it may have.
        limit: u32,
    },
    /// The message became a dead letter.
    #[error("the message became a dead letter: {0}")]
    Undelivered(DeadReason),
    /// Something else has it.
    #[error("{0}")]
    Exists(String),
    /// A limit of the library.
    #[error("limit reached: {0}")]
    Limit(String),
    /// The operating system refused.
    #[error("{what}: {}", std::io::Error::from_raw_os_error(*errno))]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        errno: i32,
    },
    /// A device driver refused.
    #[error("{what}: {text} (CUDA error {code})")]
    Cuda {
        /// What was tried.
        what: &'static str,
        /// A `CUresult`.
        code: i32,
        /// The driver's words.
        text: String,
    },
    /// A Vulkan driver refused.
    #[error("{what}: {text} (Vulkan result {code})")]
    Vulkan {
        /// What was tried.
        what: &'static str,
        /// A `VkResult`.
        code: i32,
        /// In words.
        text: String,
    },
    /// Something on a device did not come to its end.
    #[error("{0}")]
    Unfinished(&'static str),
    /// A handler did not return within its time.
    #[error("a handler has not returned {0:?} after the end of its quantum")]
    Stuck(std::time::Duration),
    /// A handler that was given up still runs.
    #[error("a handler that did not return still runs on the device, and what is to be done would wait for it")]
    Occupied,
    /// The module's source did not compile for the device.
    #[error("the module does not compile for {arch}: {log}")]
    Compile {
        /// The device's architecture.
        arch: String,
        /// An `nvrtcResult`.
        code: i32,
        /// The compiler's words.
        log: String,
    },
    /// The stamp of a clock that is too far ahead.
    #[error("the stamp is {ahead:?} ahead of this machine's time, the bound is {bound:?}")]
    Drift {
        /// How far.
        ahead: std::time::Duration,
        /// How far it may be.
        bound: std::time::Duration,
    },
    /// Full or empty; not an error.
    #[error("try again")]
    Again,
    /// Time ran out; not an error.
    #[error("timed out")]
    Timeout,
}

/// A result of the core.
pub type Result<T> = std::result::Result<T, Error>;

/// A code of the system below that explains an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Native {
    /// No such code.
    None,
    /// An errno.
    Errno(i32),
    /// A `CUresult`.
    Cuda(i32),
    /// An `nvrtcResult`.
    Nvrtc(i32),
    /// A `VkResult`.
    Vulkan(i32),
}

impl Error {
    #[cold]
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::InvalidArgument(text.into())
    }

    /// The same error, with where an invalid argument stands.
    pub(crate) fn within(self, place: &str) -> Self {
        match self {
            Self::InvalidArgument(text) => Self::InvalidArgument(format!("{place}: {text}")),
            other => other,
        }
    }

    #[cold]
    pub(crate) fn not_found(what: &str, which: impl fmt::Display) -> Self {
        Self::NotFound(format!("{what} {which}"))
    }

    /// The calling thread's errno, after `what` failed.
    pub(crate) fn system(what: &'static str) -> Self {
        Self::System { what, errno: std::io::Error::last_os_error().raw_os_error().unwrap_or(0) }
    }

    pub(crate) fn native(&self) -> Native {
        match self {
            Self::System { errno, .. } => Native::Errno(*errno),
            Self::Cuda { code, .. } => Native::Cuda(*code),
            Self::Compile { code, .. } => Native::Nvrtc(*code),
            Self::Vulkan { code, .. } => Native::Vulkan(*code),
            _ => Native::None,
        }
    }

    /// Whether the same call may succeed later.
    pub(crate) fn is_retriable(&self) -> bool {
        matches!(self, Self::NoMemory(_) | Self::Limit(_) | Self::Again | Self::Timeout | Self::Occupied)
            || self.is_driver_without_memory()
            || matches!(self, Self::System { errno, .. } if [libc::EAGAIN, libc::EINTR, libc::EMFILE, libc::ENFILE, libc::ENOMEM].contains(errno))
    }

    /// A device driver has run out of memory, the host's or the device's, or of objects.
    pub(crate) fn is_driver_without_memory(&self) -> bool {
        // CUDA_ERROR_OUT_OF_MEMORY; VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_TOO_MANY_OBJECTS
        matches!(self, Self::Cuda { code: 2, .. } | Self::Vulkan { code: -1 | -2 | -10, .. })
    }

    /// Whether the object is beyond use.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(self, Self::Forked | Self::Poisoned | Self::KernelFailed(_))
    }
}

/// Why a message became a dead letter. The numbers are `RK_DEAD_...` of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum DeadReason {
    /// Its deadline passed.
    Expired = 1,
    /// The address has no actor.
    NoActor = 2,
    /// The actor had stopped.
    Stopped = 3,
    /// The actor had failed.
    Failed = 4,
    /// The actor does not handle the type.
    UnknownType = 5,
    /// The kernel ended with the message waiting.
    Terminated = 6,
    /// Memory for deferred posts ran out.
    Overflow = 7,
    /// The payload is larger than the receiver takes.
    Size = 8,
}

impl DeadReason {
    /// The reason with that number.
    pub(crate) fn from_code(code: i32) -> Option<Self> {
        use DeadReason::*;
        [Expired, NoActor, Stopped, Failed, UnknownType, Terminated, Overflow, Size]
            .into_iter()
            .find(|reason| *reason as i32 == code)
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its deadline passed",
            Self::NoActor => "there is no such actor",
            Self::Stopped => "the actor has stopped",
            Self::Failed => "the actor has failed",
            Self::UnknownType => "the actor does not handle its type",
            Self::Terminated => "the kernel was terminated",
            Self::Overflow => "no memory for deferred posts",
            Self::Size => "its payload is larger than the receiver takes",
        })
    }
}
