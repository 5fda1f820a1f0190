//! Finding out that this process is a fork of the one that created the runtimes: threads do not survive a fork.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::error::{Error, Result};

/// A page that the kernel hands to children zeroed (`MADV_WIPEONFORK`, Linux 4.14), so that asking costs two loads and no
/// handler is registered with the host.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

const ALIVE: u32 = 0x616c_6976;

/// Before the first runtime of the process.
pub(crate) fn watch() -> Result<()> {
    if !PAGE.load(Ordering::Acquire).is_null() {
        return check();
    }
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing of ours.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(Error::system("mmap of the fork guard"));
    }
    // SAFETY: `page` is the mapping made above.
    if unsafe { libc::madvise(page, 4096, libc::MADV_WIPEONFORK) } != 0 {
        let error = Error::system("madvise(MADV_WIPEONFORK)");
        // SAFETY: nobody else knows of the mapping yet.
        unsafe { libc::munmap(page, 4096) };
        return Err(error);
    }
    let page = page.cast::<AtomicU32>();
    // SAFETY: a writable page, aligned for anything.
    unsafe { (*page).store(ALIVE, Ordering::Relaxed) };
    // AcqRel: publishes the store above to the Acquire loads of `watch` and `forked`.
    if PAGE.compare_exchange(ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: another thread was first; ours was never shown to anybody.
        unsafe { libc::munmap(page.cast(), 4096) };
    }
    Ok(())
}

/// Whether a runtime was created by an ancestor of this process.
pub(crate) fn forked() -> bool {
    // Acquire: pairs with the compare-exchange in `watch`.
    let page = PAGE.load(Ordering::Acquire);
    // SAFETY: once set the page stays mapped; it is read as an atomic in every process that has it.
    !page.is_null() && unsafe { (*page).load(Ordering::Relaxed) } != ALIVE
}

pub(crate) fn check() -> Result<()> {
    if forked() {
        return Err(Error::Forked);
    }
    Ok(())
}
