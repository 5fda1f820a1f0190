//! Atomics of the code that loom checks: loom's under `--cfg loom`, the standard library's otherwise.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{fence, AtomicPtr, AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{fence, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Keeps the compiler from moving memory accesses over it, and loom, which has no asymmetric fences, the processor.
#[inline(always)]
pub(crate) fn hold() {
    #[cfg(loom)]
    fence(Ordering::SeqCst);
    #[cfg(not(loom))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// Compares and exchanges without the lock prefix: whole as far as this thread, its signal handlers included, can see, but
/// not for other processors. For words that no other thread changes at the time. A release store, as all are on x86.
#[cfg(not(any(loom, tsan)))]
#[inline(always)]
pub(crate) fn exchange_unlocked(word: &AtomicU64, before: u64, after: u64) -> Result<u64, u64> {
    let mut found = before;
    // SAFETY: the word is readable and writable.
    unsafe {
        std::arch::asm!("cmpxchg [{word}], {after}", word = in(reg) word.as_ptr(), after = in(reg) after,
            inout("rax") found, options(nostack));
    }
    if found == before {
        Ok(found)
    } else {
        Err(found)
    }
}

/// The same for those who see atomics but no assembly.
#[cfg(any(loom, tsan))]
pub(crate) fn exchange_unlocked(word: &AtomicU64, before: u64, after: u64) -> Result<u64, u64> {
    let found = word.load(Ordering::Relaxed);
    if found != before {
        return Err(found);
    }
    word.store(after, Ordering::Release);
    Ok(found)
}

/// Between looks at what another thread is about to do. The other may have lost its processor to us: after some turns this
/// sleeps, which lets it go on whatever our priority.
#[cfg(not(loom))]
pub(crate) fn pause(turns: u32) {
    match turns {
        0..64 => std::hint::spin_loop(),
        _ => std::thread::sleep(std::time::Duration::from_micros(20)),
    }
}

#[cfg(loom)]
pub(crate) fn pause(_: u32) {
    loom::thread::yield_now();
}
