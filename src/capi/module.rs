//! Modules: compiled handlers, from an image in the program or from a file.

use std::ffi::{c_char, c_void};

use super::guard::{enter, in_out};
use super::status::{rk_error, rk_status};
use super::types::{rk_module, rk_runtime};
use super::{convert, handle};
use crate::module::Module;

/// A module image, as rkc writes it into a C file. Defined in ringkernel/module.h.
#[allow(non_camel_case_types)]
pub type rk_module_image = crate::layout::ModuleImage;

/// Creates a module from an image that is part of the program.
///
/// image: must stay where it is, with all it points to, until the module and its kernels are destroyed; it is what
/// `RK_DECLARE_MODULE(name)` declares. module: receives the handle; set to zero on error. error: may be NULL.
/// RK_ERROR_LAYOUT if it was built with another layout version, RK_ERROR_BAD_IMAGE if it contradicts itself.
/// Destroyed with rk_module_destroy(), or with the runtime. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_module_create(
    runtime: rk_runtime,
    image: *const rk_module_image,
    module: *mut rk_module,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(module) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(module) }?;
        let runtime = handle::runtime(runtime)?;
        // SAFETY: the caller promises an image that rkc made and that outlives the module.
        let module = unsafe { Module::from_image(image) }?;
        *out = handle::insert_module(&runtime, module)?;
        Ok(())
    })
}

/// Creates a module from a file that `rkc --file` wrote.
///
/// path: UTF-8, path_length bytes, not NUL-terminated. The file is read during the call and not needed later. Its CPU
/// code is native code and runs in this process: load only files you trust. The file is checked whole (size, checksum,
/// every offset) before any of it is used; RK_ERROR_BAD_IMAGE says what is wrong, RK_ERROR_LAYOUT that it was built
/// with another layout version. Else as rk_module_create(). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_module_load(
    runtime: rk_runtime,
    path: *const c_char,
    path_length: usize,
    module: *mut rk_module,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(module) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(module) }?;
        // SAFETY: the caller passes NULL or path_length readable bytes.
        let path = unsafe { convert::path(path, path_length) }?;
        let runtime = handle::runtime(runtime)?;
        let module = Module::from_file(path)?;
        *out = handle::insert_module(&runtime, module)?;
        Ok(())
    })
}

/// rk_module_load() of a file that is in memory already. data: size bytes, read during the call only.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_module_load_memory(
    runtime: rk_runtime,
    data: *const c_void,
    size: usize,
    module: *mut rk_module,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(module) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(module) }?;
        // SAFETY: the caller passes NULL or size readable bytes.
        let bytes = unsafe { convert::bytes(data.cast(), size, "data") }?;
        let runtime = handle::runtime(runtime)?;
        let module = Module::from_bytes(bytes)?;
        *out = handle::insert_module(&runtime, module)?;
        Ok(())
    })
}

/// Destroys a module. RK_ERROR_BAD_STATE while a kernel launched from it has not been destroyed.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_module_destroy(module: rk_module) -> rk_status {
    enter(|| handle::remove_module(module))
}
