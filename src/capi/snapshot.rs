//! Snapshots: a kernel's actors, and the messages that wait for them, as bytes.

use std::ffi::{c_char, c_void};

use super::guard::in_out;
use super::options::{copy_in, copy_out};
use super::status::{rk_error, rk_status};
use super::types::{rk_actor, rk_kernel, rk_kernel_options, rk_module, rk_runtime};
use super::{config, convert, handle};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::snapshot::{encode, Head, Image};

/// rk_kernel_snapshot(): the kernel ends with it.
pub const RK_SNAPSHOT_END: u32 = 1;

/// rk_kernel_restore(): the actors get new addresses.
pub const RK_RESTORE_NEW_ADDRESSES: u32 = 1;

/// What a snapshot says of itself. Set up with RK_SNAPSHOT_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rk_snapshot_info {
    /// sizeof this struct, set by the caller.
    pub struct_size: u32,
    /// Version of the format.
    pub version: u32,
    /// Actors.
    pub actors: u32,
    /// Bytes of an actor's state.
    pub state_size: u32,
    /// Messages that had been accepted and not handled.
    pub messages: u64,
    /// What handlers had sent and nobody had room for.
    pub posts: u64,
    /// The latest stamp of the kernel's clocks, see rk_hlc_unix_ns().
    pub time: u64,
    /// Address of the first actor, when the snapshot was taken.
    pub first_actor: rk_actor,
    /// Name of the actor type: UTF-8 of actor_length bytes, not NUL-terminated, within the snapshot.
    pub actor: *const c_char,
    /// Name of the kernel, likewise, of name_length bytes.
    pub name: *const c_char,
    /// Bytes of `actor`.
    pub actor_length: u32,
    /// Bytes of `name`.
    pub name_length: u32,
}

/// Takes a snapshot of a kernel: the states of its actors, what has become of them, who started whom, the messages that wait for them, what
/// they sent and nobody had room for, user counters, and the time of its clocks.
///
/// The kernel rests meanwhile, at a quantum's end, and then goes on as it was: RK_KERNEL_CREATED, _ACTIVE or _SUSPENDED.
/// Messages are accepted all the time; those that come while the snapshot is taken are in it or not. For snapshots of several
/// kernels that fit together, park the runtime first. Not in it: what the kernel has for the host (poll it), buffers,
/// subscriptions, names. With RK_ON_FAILURE_FROM_SNAPSHOT it is, if the call succeeds, what actors are restarted with from now
/// on.
///
/// flags: 0 or RK_SNAPSHOT_END: nothing comes in any more, and then the kernel is RK_KERNEL_TERMINATED. What was waiting
/// is in the snapshot and does not become dead letters; rk_kernel_statistics.pending goes on to count it. What is sent
/// to it later is refused (RK_ERROR_BAD_STATE) or a dead letter. If the call fails, the kernel goes on, or where nothing
/// comes in any more ends as by rk_kernel_terminate(), with dead letters.
///
/// data, size: receive the bytes, to be given back with rk_snapshot_free(); NULL and 0 on error. The format has a version and
/// a checksum, and is the same for all backends (src/snapshot/format.rs). error: may be NULL. RK_ERROR_BAD_STATE: the kernel is
/// draining or over, or an actor of it on a GPU failed and the host has still to be told of that: activate it, poll, and call
/// again. RK_ERROR_NO_MEMORY: as it says. Who waits in rk_call() for an answer of a kernel that ended so gets it from the
/// one that is restored in the same process, unless this one is destroyed first: then RK_ERROR_STALE_HANDLE. Thread-safe;
/// other calls that change the kernel's state wait. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_snapshot(
    kernel: rk_kernel,
    flags: u32,
    data: *mut *mut c_void,
    size: *mut usize,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or places for the results, both.
    unsafe {
        handle::clear(data);
        handle::clear(size);
    }
    in_out(error, || {
        // SAFETY: as above, both.
        let (data, size) = unsafe { (handle::out(data)?, handle::out(size)?) };
        known(flags, RK_SNAPSHOT_END)?;
        let kernel = handle::kernel(kernel)?;
        let captured = kernel.capture(flags & RK_SNAPSHOT_END != 0)?;
        let mut bytes = Allocated::default();
        encode(captured.image(), |size| bytes.allocate(size))?;
        captured.hand_over();
        (*data, *size) = bytes.release();
        Ok(())
    })
}

/// Gives back what rk_kernel_snapshot() gave. NULL: does nothing. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_snapshot_free(data: *mut c_void) {
    // SAFETY: the caller passes NULL or what `Allocated` allocated.
    unsafe { libc::free(data) };
}

/// What a snapshot is of. data: size bytes, anywhere. info: receives it. error: may be NULL. RK_ERROR_BAD_IMAGE: it is no
/// snapshot, truncated, damaged, or of a version that this library does not read.
///
/// Needs no runtime. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_snapshot_describe(
    data: *const c_void,
    size: usize,
    info: *mut rk_snapshot_info,
    error: *mut rk_error,
) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes size readable bytes.
        let bytes = unsafe { convert::bytes(data.cast(), size, "data") }?;
        let head = Head::read(bytes)?;
        let described = rk_snapshot_info {
            struct_size: 0,
            version: head.version,
            actors: head.actors,
            state_size: head.state_size,
            messages: head.messages,
            posts: head.posts,
            time: head.time,
            first_actor: rk_actor { id: Address::new(head.key, 0).to_bits() },
            actor: head.actor.as_ptr().cast(),
            name: head.name.as_ptr().cast(),
            actor_length: head.actor.len() as u32,
            name_length: head.name.len() as u32,
        };
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        unsafe { copy_out(info, described) }
    })
}

/// Launches a kernel that begins as a snapshot says, on any backend and device, with any number of workers. It is
/// RK_KERNEL_CREATED; rk_kernel_activate() has it go on where the other one was.
///
/// module: with an actor type of the same name and size of state. data: size bytes, read during the call only; nothing in
/// them is trusted. flags: 0: the actors have the addresses that they had, also if the snapshot is of another process; that
/// kernel must have been destroyed. A handle of it is valid again and means this one. RK_RESTORE_NEW_ADDRESSES: they get new
/// ones, and so do senders and receivers among them in the messages that wait; addresses in states and payloads stay as they
/// are. Messages that other actors sent before and after keep no order among themselves: they may go different ways. What
/// handlers had published and some subscribers were still to get goes to these; not again to actors that had it from a
/// device (see rk_topic_open()), wherever they are by now.
/// options: as for rk_kernel_launch(), may be NULL; actors must be 0 or the snapshot's, dormant 0. Rings are made larger
/// than asked for if what waits needs it. kernel: receives the handle. error: may be NULL.
///
/// RK_ERROR_BAD_IMAGE: it is no snapshot, truncated, damaged, of another version, or does not fit the module.
/// RK_ERROR_NOT_FOUND: the module has no such actor type. RK_ERROR_EXISTS: a kernel of this process has the addresses, or
/// they are such as no kernel gets. RK_ERROR_LIMIT: what waits needs too much memory with so many workers. Others as of
/// rk_kernel_launch(). Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_kernel_restore(
    runtime: rk_runtime,
    module: rk_module,
    data: *const c_void,
    size: usize,
    flags: u32,
    options: *const rk_kernel_options,
    kernel: *mut rk_kernel,
    error: *mut rk_error,
) -> rk_status {
    // SAFETY: the caller passes NULL or a place for a handle.
    unsafe { handle::clear(kernel) };
    in_out(error, || {
        // SAFETY: as above.
        let out = unsafe { handle::out(kernel) }?;
        known(flags, RK_RESTORE_NEW_ADDRESSES)?;
        // SAFETY: the caller passes size readable bytes.
        let bytes = unsafe { convert::bytes(data.cast(), size, "data") }?;
        // SAFETY: the caller passes NULL or a struct whose first field is its size.
        let options = unsafe { copy_in(options) }?;
        let runtime = handle::runtime(runtime)?;
        let module = handle::module(module)?;
        let image = Image::decode(bytes)?;
        let number = module.find(Some(&image.actor))?;
        let state_size = module.state_size(number);
        if state_size != image.state_size {
            let (is, was) = (state_size, image.state_size);
            return Err(Error::BadImage(format!("the snapshot has states of {was} bytes, the module's have {is}")));
        }
        // SAFETY: the pointers in the options are what the caller said they are, by the contract of the struct.
        let name = unsafe { convert::optional_string(options.name, options.name_length as usize, "name") }?;
        let view = runtime.settings().kernel(name.unwrap_or(&image.name));
        let asked = convert::fit(options, &image)?;
        let options = rk_kernel_options { actors: image.actors(), dormant: 0, ..config::kernel_options(asked, &view) };
        // SAFETY: as above, or they point to the settings, which the runtime keeps.
        let spec = unsafe { convert::kernel_spec(&options, state_size) }?;
        *out = handle::restore(&runtime, &module, number, spec, image, flags & RK_RESTORE_NEW_ADDRESSES != 0)?;
        Ok(())
    })
}

fn known(flags: u32, all: u32) -> Result<()> {
    if flags & !all != 0 {
        return Err(Error::invalid(format!("flags are {flags:#x}, bits can be {all:#x}")));
    }
    Ok(())
}

/// Memory that C can give back.
struct Allocated {
    base: *mut c_void,
    size: usize,
}

impl Default for Allocated {
    fn default() -> Self {
        Self { base: std::ptr::null_mut(), size: 0 }
    }
}

impl Allocated {
    fn allocate(&mut self, size: usize) -> Result<&mut [u8]> {
        // SAFETY: the size is not zero: a header is in it. Cleared memory is initialised.
        self.base = unsafe { libc::calloc(1, size) };
        if self.base.is_null() {
            return Err(Error::NoMemory(format!("a snapshot of {size} bytes")));
        }
        self.size = size;
        // SAFETY: just allocated, and ours.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.base.cast(), size) })
    }

    fn release(mut self) -> (*mut c_void, usize) {
        (std::mem::replace(&mut self.base, std::ptr::null_mut()), self.size)
    }
}

impl Drop for Allocated {
    fn drop(&mut self) {
        // SAFETY: NULL or ours.
        unsafe { libc::free(self.base) };
    }
}
