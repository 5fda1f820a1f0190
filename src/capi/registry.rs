//! Names for kernels and actors.

use std::ffi::c_char;

use super::guard::in_out;
use super::status::{rk_error, rk_status};
use super::types::{rk_actor, rk_kernel, rk_runtime};
use super::{convert, handle};
use crate::error::{Error, Result};
use crate::pattern::Pattern;
use crate::registry::Named;

/// Room for a name in rk_registry_entry, with its NUL.
pub const RK_NAME_SIZE: usize = 232;

/// What has a name, as rk_registry_find() gives it. 256 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_registry_entry {
    /// The kernel, or that of the actor.
    pub kernel: rk_kernel,
    /// The actor; zero if it is a kernel that has the name.
    pub actor: rk_actor,
    /// Bytes of the name without its NUL.
    pub name_length: u32,
    /// Zero.
    pub reserved: u32,
    /// UTF-8, NUL-terminated.
    pub name: [c_char; RK_NAME_SIZE],
}

/// Gives a kernel a name, by which other parts of the program can find it. It may have several.
///
/// name: UTF-8 of name_length bytes, 1 to 231, in levels divided by '/', none empty, without '*' and '#'; copied. The name
/// goes when the kernel is destroyed, or with rk_registry_remove(). error: may be NULL. Giving the same again is RK_OK;
/// RK_ERROR_EXISTS: something else has it. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_registry_add_kernel(
    runtime: rk_runtime,
    name: *const c_char,
    name_length: usize,
    kernel: rk_kernel,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or name_length readable bytes.
        let name = unsafe { convert::string(name, name_length, "name") }?;
        let found = handle::kernel(kernel)?;
        add(runtime, name, &found, Named::Kernel(found.key))
    })
}

/// Gives an actor a name. The rest as rk_registry_add_kernel().
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_registry_add_actor(
    runtime: rk_runtime,
    name: *const c_char,
    name_length: usize,
    actor: rk_actor,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or name_length readable bytes.
        let name = unsafe { convert::string(name, name_length, "name") }?;
        let found = handle::kernel_of(actor)?;
        let address = crate::address::Address::from_bits(actor.id);
        if address.index() >= found.actors {
            return Err(Error::Stale);
        }
        add(runtime, name, &found, Named::Actor(address))
    })
}

fn add(runtime: rk_runtime, name: &str, kernel: &crate::kernel::Kernel, named: Named) -> Result<()> {
    let runtime = handle::runtime(runtime)?;
    // A kernel of another runtime is as stale as any.
    if !std::sync::Arc::ptr_eq(&kernel.home, runtime.home()) {
        return Err(Error::Stale);
    }
    runtime.home().registry.add(name, named)
}

/// Takes a name away. RK_ERROR_NOT_FOUND: nothing has it. error: may be NULL.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_registry_remove(
    runtime: rk_runtime,
    name: *const c_char,
    name_length: usize,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or name_length readable bytes.
        let name = unsafe { convert::string(name, name_length, "name") }?;
        handle::runtime(runtime)?.home().registry.remove(name)
    })
}

/// The kernel of that name. kernel: receives the handle, which is the one that the launch gave; set to zero on error.
/// error: may be NULL. RK_ERROR_NOT_FOUND: nothing has the name, or an actor has it.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_registry_kernel(
    runtime: rk_runtime,
    name: *const c_char,
    name_length: usize,
    kernel: *mut rk_kernel,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(kernel) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(kernel) }?;
        // SAFETY: the caller passes NULL or name_length readable bytes.
        let name = unsafe { convert::string(name, name_length, "name") }?;
        match handle::runtime(runtime)?.home().registry.get(name)? {
            Named::Kernel(key) => *out = handle::of_kernel(key),
            Named::Actor(_) => return Err(Error::NotFound(format!("kernel {name:?}: an actor has that name"))),
        }
        Ok(())
    })
}

/// The actor of that name. actor: receives its address; set to zero on error. error: may be NULL. RK_ERROR_NOT_FOUND:
/// nothing has the name, or a kernel has it.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_registry_actor(
    runtime: rk_runtime,
    name: *const c_char,
    name_length: usize,
    actor: *mut rk_actor,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for an address.
    unsafe { handle::clear(actor) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(actor) }?;
        // SAFETY: the caller passes NULL or name_length readable bytes.
        let name = unsafe { convert::string(name, name_length, "name") }?;
        match handle::runtime(runtime)?.home().registry.get(name)? {
            Named::Actor(address) => out.id = address.to_bits(),
            Named::Kernel(_) => return Err(Error::NotFound(format!("actor {name:?}: a kernel has that name"))),
        }
        Ok(())
    })
}

/// Finds everything whose name a pattern matches: '*' is any one level, '#' as the last level all that follow, also
/// none ("plant/#" matches "plant").
///
/// pattern: UTF-8 of pattern_length bytes. entries: room for capacity of them, which are filled in the order of the
/// names' bytes; may be NULL if that is 0. count: receives how many match in all, which may be more. error: may be NULL.
/// Thread-safe; names that come and go meanwhile are seen all at one moment. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_registry_find(
    runtime: rk_runtime,
    pattern: *const c_char,
    pattern_length: usize,
    entries: *mut rk_registry_entry,
    capacity: u32,
    count: *mut u32,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or a place for the count.
        let count = unsafe { handle::out(count) }?;
        *count = 0;
        // SAFETY: the caller passes NULL or pattern_length readable bytes.
        let pattern = Pattern::parse(unsafe { convert::string(pattern, pattern_length, "pattern") }?)?;
        if capacity != 0 && (entries.is_null() || !entries.is_aligned()) {
            return Err(Error::invalid("entries is NULL or not aligned"));
        }
        handle::runtime(runtime)?.home().registry.find(&pattern, |name, named| {
            if *count < capacity {
                // SAFETY: within the room that the caller gave.
                unsafe { entries.add(*count as usize).write(entry(name, named)) };
            }
            *count += 1;
        });
        Ok(())
    })
}

fn entry(name: &str, named: Named) -> rk_registry_entry {
    rk_registry_entry {
        kernel: handle::of_kernel(named.kernel()),
        actor: match named {
            Named::Actor(address) => rk_actor { id: address.to_bits() },
            Named::Kernel(_) => rk_actor { id: 0 },
        },
        name_length: name.len() as u32,
        reserved: 0,
        name: convert::c_text(name),
    }
}
