//! Buffers: bulk data that messages name by id.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use super::guard::{enter, in_out};
use super::options::{copy_in, copy_out, write_init};
use super::status::{rk_error, rk_status};
use super::types::{rk_queue, rk_runtime};
use super::{convert, handle};
use crate::backend::{Kind, Tenant};
use crate::buffer::{Buffer, HostMemory, Memory, SIZE_MAX};
use crate::error::{Error, Result};
use crate::transfers::{Copy, Transfer};

/// A buffer: bytes that handlers read and write in place (RK_OPEN() in ringkernel/actor.h). Its id is what messages
/// carry. Zero is never valid.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub struct rk_buffer {
    /// Opaque.
    pub id: u64,
}

/// Options of a buffer.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_buffer_options {
    /// sizeof this struct, as RK_BUFFER_OPTIONS_INIT sets it.
    pub struct_size: u32,
    /// RK_BACKEND_... whose handlers are to reach it; 0: the runtime's.
    pub backend: u32,
    /// Ordinal of the device within the backend.
    pub device: u32,
    /// Zero.
    pub reserved: u32,
    /// Bytes, 1 to 2^48.
    pub size: u64,
    /// Memory of the host program to be used in place, aligned to 16 bytes; NULL: the library allocates zeros. It must
    /// stay until the buffer is destroyed and then rk_runtime_park(), which waits for that, or rk_runtime_destroy() has
    /// returned. For CUDA its pages are pinned so long, unless the program has pinned all of it; RK_ERROR_DRIVER if some of
    /// them are pinned already. For Vulkan the device must have VK_EXT_external_memory_host, and not be lent by the
    /// program: RK_ERROR_UNSUPPORTED.
    pub host: *mut c_void,
    /// Device pointer of the host program, a CUdeviceptr of the device's primary context, to be used in place; 0: none.
    /// Otherwise as `host`.
    pub device_address: u64,
}

/// What a buffer is, filled by rk_buffer_info().
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct rk_buffer_properties {
    /// sizeof this struct, set by the caller.
    pub struct_size: u32,
    /// RK_BACKEND_...
    pub backend: u32,
    /// Ordinal of the device within the backend.
    pub device: u32,
    /// 1 if the memory is the host program's.
    pub imported: u32,
    /// 1 if rk_buffer_map() works.
    pub mappable: u32,
    /// Zero.
    pub reserved: u32,
    /// Bytes.
    pub size: u64,
}

/// Sets `options` to zeros, for languages without RK_BUFFER_OPTIONS_INIT.
///
/// As rk_runtime_options_init(). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_buffer_options_init(options: *mut rk_buffer_options, struct_size: u32) -> rk_status {
    // SAFETY: the caller passes NULL or a struct of struct_size bytes.
    enter(|| unsafe { write_init(options, struct_size) })
}

/// Creates a buffer: zeros in the memory of a device, or memory that the program has.
///
/// options: copied. buffer: receives the handle, whose id goes into messages; set to zero on error. error: may be NULL.
/// RK_ERROR_UNSUPPORTED: the backend has no buffers, or cannot use such memory. Destroyed with rk_buffer_destroy(), or with
/// the runtime. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_buffer_create(
    runtime: rk_runtime,
    options: *const rk_buffer_options,
    buffer: *mut rk_buffer,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(buffer) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(buffer) }?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let options = unsafe { copy_in(options) }?;
        check(&options)?;
        let runtime = handle::runtime(runtime)?;
        let (size, device) = (options.size, options.device);
        let backend = runtime.backend(convert::backend(options.backend)?, device, &Tenant::Buffer)?;
        let memory: Box<dyn Memory> = match NonNull::new(options.host.cast()) {
            Some(base) => {
                // SAFETY: the caller promises that the memory stays.
                let host = unsafe { HostMemory::borrow(base) };
                backend.import_host(device, host, size)?
            }
            None if options.device_address != 0 => backend.import_device(device, options.device_address, size)?,
            None => backend.allocate(device, size)?,
        };
        let imported = !options.host.is_null() || options.device_address != 0;
        let kind = Kind::from_number(backend.kind()).ok_or(Error::Stale)?;
        *out =
            handle::insert_buffer(&runtime, Buffer::new(runtime.home().clone(), kind, device, size, imported, memory))?;
        Ok(())
    })
}

fn check(options: &rk_buffer_options) -> Result<()> {
    if options.size == 0 || options.size > SIZE_MAX {
        return Err(Error::invalid(format!("size is {}, it can be 1 to {SIZE_MAX}", options.size)));
    }
    if options.reserved != 0 {
        return Err(Error::invalid("reserved is not zero"));
    }
    if !options.host.is_null() && options.device_address != 0 {
        return Err(Error::invalid("host and device_address are both set"));
    }
    let fits = |address: u64| address % 16 == 0 && address.checked_add(options.size).is_some();
    if !fits(options.host as u64) || !fits(options.device_address) {
        return Err(Error::invalid("the memory to import is not aligned to 16 bytes, or wraps around"));
    }
    Ok(())
}

/// Destroys a buffer. Its handle and id are stale from now on; its memory is freed when transfers and handlers that may be
/// using it are done, which this call does not wait for.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub extern "C" fn rk_buffer_destroy(buffer: rk_buffer) -> rk_status {
    enter(|| handle::remove_buffer(buffer))
}

/// Describes a buffer. properties: caller-owned, with its struct_size set; no more is written. error: may be NULL.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_buffer_info(
    buffer: rk_buffer,
    properties: *mut rk_buffer_properties,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        let buffer = handle::buffer(buffer)?;
        let record = rk_buffer_properties {
            struct_size: 0,
            backend: buffer.kind as u32,
            device: buffer.device,
            imported: u32::from(buffer.imported),
            mappable: u32::from(buffer.host().is_some()),
            reserved: 0,
            size: buffer.size,
        };
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        unsafe { copy_out(properties, record) }
    })
}

/// Where the host program can reach the bytes of a buffer, until it is destroyed; what handlers write is seen there and the
/// other way round, once a message or a call has come between.
///
/// address: receives it, aligned to 16 bytes; set to NULL on error. error: may be NULL. RK_ERROR_UNSUPPORTED: it is in
/// memory that the host cannot reach. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_buffer_map(
    buffer: rk_buffer,
    address: *mut *mut c_void,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a pointer.
    unsafe { handle::clear(address) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(address) }?;
        let base = handle::buffer(buffer)?.host();
        *out = base.ok_or_else(|| Error::Unsupported("the buffer is in memory of a device".into()))?.as_ptr().cast();
        Ok(())
    })
}

/// Copies `size` bytes of the host program to a buffer, from `offset` on, and returns when that is done. Handlers of
/// messages that are sent then see them; one that runs meanwhile may see some of them.
///
/// data: may be NULL if size is 0. error: may be NULL. RK_ERROR_INVALID_ARGUMENT: they do not lie within the buffer,
/// or `data` does.
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_buffer_upload(
    buffer: rk_buffer,
    offset: u64,
    data: *const c_void,
    size: usize,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or size readable bytes.
        let data = unsafe { convert::bytes(data.cast(), size, "data") }?;
        handle::buffer(buffer)?.write(offset, data)
    })
}

/// Copies `size` bytes of a buffer, from `offset` on, to the host program, and returns when that is done: what handlers wrote
/// whose replies have been received is among them.
///
/// data: may be NULL if size is 0. error: may be NULL. RK_ERROR_INVALID_ARGUMENT: they do not lie within the buffer,
/// or `data` does.
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_buffer_download(
    buffer: rk_buffer,
    offset: u64,
    data: *mut c_void,
    size: usize,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or size writable bytes.
        let data = unsafe { bytes_mut(data, size) }?;
        handle::buffer(buffer)?.read(offset, data)
    })
}

/// rk_buffer_upload() without waiting: the completion is a message of kind RK_MESSAGE_EVENT and type RK_EVENT_TRANSFER.
///
/// data: must stay as it is until the completion. queue: receives that, with `correlation` and as reason RK_OK or why it
/// failed; zero for the runtime's own queue. error: may be NULL. RK_AGAIN: 65,536 transfers wait. Transfers of a runtime
/// are made in the order asked for. Those that wait when the runtime is destroyed are not made. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_buffer_upload_async(
    buffer: rk_buffer,
    offset: u64,
    data: *const c_void,
    size: usize,
    queue: rk_queue,
    correlation: u64,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or size bytes, which stay until the completion.
        let data = unsafe { convert::bytes(data.cast(), size, "data") }?;
        transfer(buffer, offset, Copy::Upload(data), queue, correlation)
    })
}

/// rk_buffer_download() without waiting; as rk_buffer_upload_async(). data: is the library's until the completion.
///
/// Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_buffer_download_async(
    buffer: rk_buffer,
    offset: u64,
    data: *mut c_void,
    size: usize,
    queue: rk_queue,
    correlation: u64,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or size bytes, which are ours until the completion.
        let data = unsafe { bytes_mut(data, size) }?;
        transfer(buffer, offset, Copy::Download(data), queue, correlation)
    })
}

fn transfer(buffer: rk_buffer, offset: u64, copy: Copy, queue: rk_queue, correlation: u64) -> Result<()> {
    let buffer = Arc::clone(&*handle::buffer(buffer)?);
    match &copy {
        Copy::Upload(data) => buffer.check_copy(offset, data)?,
        Copy::Download(data) => buffer.check_copy(offset, data)?,
    }
    let runtime = handle::runtime_of(&buffer.home)?;
    let queue = match queue.id {
        0 => runtime.queue().clone(),
        _ => Arc::clone(&*handle::queue(queue)?),
    };
    if !Arc::ptr_eq(queue.home(), &buffer.home) {
        return Err(Error::Stale);
    }
    runtime.transfers().copy(Transfer { buffer, offset, copy, queue, correlation })
}

/// `size` writable bytes, none for NULL with size 0.
///
/// # Safety
/// `at` is NULL or points to `size` bytes that are the library's alone for `'a`.
unsafe fn bytes_mut<'a>(at: *mut c_void, size: usize) -> Result<&'a mut [u8]> {
    if size == 0 {
        return Ok(&mut []);
    }
    // SAFETY: readable too; only its checks are wanted.
    unsafe { convert::bytes(at.cast(), size, "data") }?;
    // SAFETY: the caller's promise; not NULL, not larger than an object can be.
    Ok(unsafe { std::slice::from_raw_parts_mut(at.cast(), size) })
}
