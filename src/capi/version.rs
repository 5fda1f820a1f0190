//! Versions.

use crate::error::{Error, Result};

/// Version of this header; a program passes RK_VERSION, made of these, to rk_runtime_create().
pub const RK_VERSION_MAJOR: u32 = 0;
/// See RK_VERSION_MAJOR.
pub const RK_VERSION_MINOR: u32 = 1;
/// See RK_VERSION_MAJOR.
pub const RK_VERSION_PATCH: u32 = 0;

const VERSION: u32 = (RK_VERSION_MAJOR << 22) | (RK_VERSION_MINOR << 12) | RK_VERSION_PATCH;

/// The version of the library that is loaded, laid out as RK_VERSION: major << 22 | minor << 12 | patch.
///
/// Thread-safe, also in signal handlers and after fork. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_version() -> u32 {
    VERSION
}

/// A program fits if the library is of the same major version and at least its minor version; before 1.0 the minor
/// version must be the same.
pub(super) fn check(header: u32) -> Result<()> {
    let (major, minor) = (header >> 22, (header >> 12) & 0x3ff);
    if major == RK_VERSION_MAJOR && minor == RK_VERSION_MINOR {
        return Ok(());
    }
    Err(Error::Version { header: (major, minor), library: (RK_VERSION_MAJOR, RK_VERSION_MINOR) })
}
