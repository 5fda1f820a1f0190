//! Memory of the host program that devices read and write in place.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::sys::{self, CUpointer_attribute as Attribute};

use super::driver::{check, Context};
use crate::error::Result;

/// A range that we have pinned, for the whole process. The driver does not tell it from what the program has pinned itself.
struct Pin {
    start: usize,
    size: usize,
    /// Buffers in it. None is left of one that could not be given back because a handler does not return.
    users: usize,
}

static PINS: Mutex<Vec<Pin>> = Mutex::new(Vec::new());

fn pins() -> MutexGuard<'static, Vec<Pin>> {
    PINS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer's memory.
pub(super) struct Pinned {
    device: u64,
    /// Where our pin starts; `None`: the program has pinned it.
    pin: Option<usize>,
    context: Arc<Context>,
}

impl Pinned {
    /// The memory, which is not empty, stays as long as this.
    pub(super) fn new(context: Arc<Context>, host: NonNull<u8>, size: usize) -> Result<Self> {
        let _entered = context.enter()?;
        let start = host.as_ptr() as usize;
        let end = start + size;
        // Held until it is pinned: nobody gives back meanwhile what is found.
        let mut pins = pins();
        let at = match pins.iter().position(|pin| pin.start <= start && end <= pin.start + pin.size) {
            Some(at) => Some(at),
            // With a part of ours in it the driver refuses.
            None if pins.iter().all(|pin| pin.start >= end || pin.start + pin.size <= start)
                && is_pinned(start, end) =>
            {
                None
            }
            None => {
                let flags = sys::CU_MEMHOSTREGISTER_PORTABLE | sys::CU_MEMHOSTREGISTER_DEVICEMAP;
                // SAFETY: the caller's promise; what is no memory is an error.
                let registered = unsafe { sys::cuMemHostRegister_v2(host.as_ptr().cast(), size, flags) };
                check(registered, "pinning memory of the host program")?;
                pins.push(Pin { start, size, users: 0 });
                Some(pins.len() - 1)
            }
        };
        let mut pinned = Self { device: 0, pin: None, context: context.clone() };
        if let Some(at) = at {
            pins[at].users += 1;
            // From here on dropping it gives it back.
            pinned.pin = Some(pins[at].start);
        }
        drop(pins);
        // SAFETY: a context is current; the memory is pinned, and a place for the answer.
        let mapped = unsafe { sys::cuMemHostGetDevicePointer_v2(&mut pinned.device, host.as_ptr().cast(), 0) };
        check(mapped, "mapping memory of the host program")?;
        Ok(pinned)
    }

    pub(super) fn device(&self) -> u64 {
        self.device
    }
}

/// Whether all of it is pinned, in one piece or several.
fn is_pinned(start: usize, end: usize) -> bool {
    let mut at = start;
    while at < end {
        let (mut first, mut size) = (0usize, 0usize);
        let mut attributes =
            [Attribute::CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, Attribute::CU_POINTER_ATTRIBUTE_RANGE_SIZE];
        let mut places: [*mut c_void; 2] = [(&raw mut first).cast(), (&raw mut size).cast()];
        // SAFETY: a context is current; any address may be asked for, and the places are as large as what is asked for.
        let asked = unsafe { sys::cuPointerGetAttributes(2, attributes.as_mut_ptr(), places.as_mut_ptr(), at as u64) };
        // Of memory that it does not know it says zeros.
        match first.checked_add(size) {
            Some(next) if asked == sys::CUresult::CUDA_SUCCESS && first <= at && next > at => at = next,
            _ => return false,
        }
    }
    true
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let Some(start) = self.pin else { return };
        let mut pins = pins();
        let Some(at) = pins.iter().position(|pin| pin.start == start) else { return };
        pins[at].users -= 1;
        // Giving it back waits for kernels that run, and a handler that does not return may still use it.
        if pins[at].users > 0 || self.context.is_occupied() {
            return;
        }
        pins.swap_remove(at);
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: registered by us; no handler finds it any more.
            unsafe { sys::cuMemHostUnregister(start as *mut c_void) };
        }
    }
}
