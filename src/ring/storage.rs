//! Where a ring's slots lie, and how their words are read and written.

use super::Word;
use crate::sync::{AtomicU64, Ordering};

/// Slots, bodies and head of a ring. `load` and `store` move a whole word at once: a load gives what one store wrote, never
/// parts of two. A store releases everything its thread wrote before, a load acquires it; on x86 both are free.
pub trait Storage {
    /// Slots; a power of two.
    fn capacity(&self) -> usize;
    /// Reads word `index`; slot `s` has words `4 s` to `4 s + 3`.
    fn load(&self, index: usize) -> Word;
    /// Writes word `index`.
    fn store(&self, index: usize, word: Word);
    /// Writes the body of a slot that the caller holds a ticket for.
    fn write_body(&self, slot: usize, bytes: &[u8]);
    /// After a message was written: brings it out of the processor, where stores may gather.
    #[inline(always)]
    fn flush(&self) {}
    /// Where the consumer publishes its position.
    fn head(&self) -> &AtomicU64;
    /// Publishes the consumer's position.
    #[inline(always)]
    fn publish(&self, position: u64) {
        // Release: pairs with the Acquire in `Ring::room`; the consumer's reads of the slots come before.
        self.head().store(position, Ordering::Release);
    }
}

#[cfg(not(loom))]
pub use memory::Memory;

#[cfg(not(loom))]
mod memory {
    use std::alloc::{alloc_zeroed, dealloc, Layout};
    use std::any::Any;
    use std::arch::asm;
    use std::arch::x86_64::{__m128i, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_unpackhi_epi64};
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::Arc;

    use super::{Storage, Word};
    use crate::error::{Error, Result};

    #[cfg(tsan)]
    extern "C" {
        fn __tsan_acquire(address: *mut std::ffi::c_void);
        fn __tsan_release(address: *mut std::ffi::c_void);
    }

    /// Storage in memory of this process, its own or one that it shares with a device.
    #[derive(Debug)]
    pub struct Memory {
        base: NonNull<u8>,
        head: NonNull<AtomicU64>,
        capacity: usize,
        /// Bytes of one body; bodies start after the slots.
        body: usize,
        size: usize,
        /// Where a device that produces reads the consumer's position.
        far_head: Option<NonNull<AtomicU64>>,
        /// What we write is a device's memory, to which the processor combines writes, in any order, until told to let go
        /// of them.
        combines: bool,
        owner: Owner,
    }

    /// Whose the memory is.
    #[derive(Debug)]
    enum Owner {
        Us(Layout),
        /// Whoever this keeps alive.
        Other(#[allow(dead_code)] Arc<dyn Any + Send + Sync>),
    }

    // SAFETY: the memory is owned, and all access to it goes through single 16-byte loads and stores or, for bodies, is
    // given to one thread at a time by the ring's protocol.
    unsafe impl Send for Memory {}
    // SAFETY: as above.
    unsafe impl Sync for Memory {}

    impl Memory {
        /// Storage for `capacity` slots with bodies of at least `body` bytes. Pages are the system's untouched zero pages
        /// until used.
        pub fn new(capacity: usize, body: usize) -> Result<Self> {
            let body = body.next_multiple_of(64);
            // The head has lines of its own, after everything else.
            let slots = capacity.checked_mul(64 + body).and_then(|size| size.checked_next_multiple_of(128));
            let layout = (slots.and_then(|size| size.checked_add(128)))
                .and_then(|size| Layout::from_size_align(size, 128).ok())
                .ok_or_else(|| Error::NoMemory(format!("a ring of {capacity} slots")))?;
            // SAFETY: the size is not zero, a ring has slots.
            let base = NonNull::new(unsafe { alloc_zeroed(layout) })
                .ok_or_else(|| Error::NoMemory(format!("{} bytes for a ring", layout.size())))?;
            // SAFETY: the last 128 bytes of the allocation, which is aligned to 128.
            let head = unsafe { base.add(layout.size() - 128) }.cast();
            Ok(Self {
                base,
                head,
                capacity,
                body,
                size: layout.size(),
                far_head: None,
                combines: false,
                owner: Owner::Us(layout),
            })
        }

        /// Bytes of slots and bodies.
        pub fn foreign_size(capacity: usize, body: usize) -> usize {
            capacity * (64 + body.next_multiple_of(64))
        }

        /// Storage in memory that `owner` keeps. `far_head`: in a ring whose producer is a device, where that reads our
        /// position. `combines`: what we write, slots or that word, is a device's memory, which is never read here.
        ///
        /// # Safety
        /// `base` points to [`foreign_size`](Self::foreign_size) zeroed bytes, 64-byte aligned, and `head` and `far_head`
        /// to words, all there as long as `owner` is and used by nothing but this ring's protocol.
        pub unsafe fn foreign(
            base: NonNull<u8>,
            head: NonNull<AtomicU64>,
            far_head: Option<NonNull<AtomicU64>>,
            (capacity, body): (usize, usize),
            combines: bool,
            owner: Arc<dyn Any + Send + Sync>,
        ) -> Self {
            let size = Self::foreign_size(capacity, body);
            let body = body.next_multiple_of(64);
            Self { base, head, capacity, body, size, far_head, combines, owner: Owner::Other(owner) }
        }

        /// Bytes that it takes.
        pub fn size(&self) -> usize {
            self.size
        }

        /// Bytes of one body.
        pub fn body_size(&self) -> usize {
            self.body
        }

        /// The body of a slot: [`body_size`](Self::body_size) bytes, 64-byte aligned. To be read by the consumer between
        /// `peek` and `publish`, written by who holds a ticket of the slot.
        #[inline]
        pub fn body(&self, slot: usize) -> *mut u8 {
            debug_assert!(slot < self.capacity);
            // SAFETY: the slot's body lies within the allocation.
            unsafe { self.base.as_ptr().add(self.capacity * 64 + slot * self.body) }
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            if let Owner::Us(layout) = self.owner {
                // SAFETY: allocated with this layout; the owner is going.
                unsafe { dealloc(self.base.as_ptr(), layout) };
            }
        }
    }

    // A 16-byte aligned SSE access is one access on every processor with AVX, by Intel's and AMD's manuals (SDM vol. 3A
    // 9.1.1; APM vol. 2 7.3.2); creating a runtime asks for AVX. Inline assembly, so that the compiler can neither split
    // nor merge nor move them: for it they read and write any memory, which gives the acquire and release that x86's
    // memory order then keeps.
    //
    // ThreadSanitizer does not see assembly; built for it, we tell.
    impl Storage for Memory {
        fn capacity(&self) -> usize {
            self.capacity
        }

        #[inline(always)]
        fn load(&self, index: usize) -> Word {
            debug_assert!(index < self.capacity * 4);
            let value: __m128i;
            // SAFETY: the word is inside the allocation and 16-byte aligned.
            unsafe {
                let at = self.base.as_ptr().add(index * 16);
                asm!("movdqa {value}, [{at}]", at = in(reg) at, value = out(xmm_reg) value, options(nostack, preserves_flags));
                #[cfg(tsan)]
                __tsan_acquire(at.cast());
                [_mm_cvtsi128_si64(value) as u64, _mm_cvtsi128_si64(_mm_unpackhi_epi64(value, value)) as u64]
            }
        }

        #[inline(always)]
        fn store(&self, index: usize, word: Word) {
            debug_assert!(index < self.capacity * 4);
            // SAFETY: as in `load`.
            unsafe {
                let at = self.base.as_ptr().add(index * 16);
                let value = _mm_set_epi64x(word[1] as i64, word[0] as i64);
                #[cfg(tsan)]
                __tsan_release(at.cast());
                asm!("movdqa [{at}], {value}", at = in(reg) at, value = in(xmm_reg) value, options(nostack, preserves_flags));
            }
        }

        #[inline]
        fn write_body(&self, slot: usize, bytes: &[u8]) {
            assert!(bytes.len() <= self.body, "a payload larger than the ring's bodies");
            // SAFETY: the body is ours while we hold the slot's ticket, and large enough.
            unsafe { self.body(slot).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
            // Before the stamps.
            self.flush();
        }

        #[inline(always)]
        fn flush(&self) {
            if self.combines {
                // SAFETY: every x86-64 has it; it orders stores.
                unsafe { std::arch::x86_64::_mm_sfence() };
            }
        }

        #[inline]
        fn head(&self) -> &AtomicU64 {
            // SAFETY: an aligned word of memory that lives as long as we do.
            unsafe { self.head.as_ref() }
        }

        #[inline(always)]
        fn publish(&self, position: u64) {
            self.head().store(position, Ordering::Release);
            if let Some(far) = self.far_head {
                // Release: the device acquires it before it writes a slot again; our reads of that slot come before.
                // SAFETY: as in `head`.
                unsafe { far.as_ref() }.store(position, Ordering::Release);
                self.flush();
            }
        }
    }
}
