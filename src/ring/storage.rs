//! Where a ring's slots lie, and how their words are read and written.

use super::{Slot, Word};
use crate::sync::{AtomicU64, Ordering};

/// Slots, bodies and head of a ring. Words are stored whole, one at a time: nobody sees a part of one. Each store releases
/// everything its thread wrote before to whoever sees it by `upper` and then makes an acquire fence; on x86 both are free.
pub trait Storage {
    /// How its consumer reads it.
    type Sight<'a>: Sight
    where
        Self: 'a;
    /// What the consumer reads with.
    fn sight(&self) -> Self::Sight<'_>;
    /// Slots; a power of two.
    fn capacity(&self) -> usize;
    /// Writes a slot that the caller holds a ticket for, each word with the stamp in its highest 16 bits, which are zero; the
    /// last word first.
    fn store_slot(&self, slot: usize, content: &Slot, stamp: u16);
    /// The same of slots from `first` on, none of them behind the last.
    #[inline(always)]
    fn store_slots<'a>(&self, first: usize, slots: impl Iterator<Item = &'a Slot>, stamp: u16) {
        for (slot, content) in (first..).zip(slots) {
            self.store_slot(slot, content, stamp);
        }
    }
    /// Has the first line of a body fetched for writing. Only a hint.
    #[inline(always)]
    fn claim_body(&self, _slot: usize) {}
    /// Writes the body of a slot that the caller holds a ticket for.
    fn write_body(&self, slot: usize, bytes: &[u8]);
    /// After bodies and before their slots, where memory is far: it may take stores in any order.
    #[inline(always)]
    fn settle_bodies(&self) {}
    /// Whether that takes as long as writing dozens.
    #[inline(always)]
    fn is_far(&self) -> bool {
        false
    }
    /// Where the consumer publishes its position.
    fn head(&self) -> &AtomicU64;
    /// Publishes the consumer's position.
    #[inline(always)]
    fn publish(&self, position: u64) {
        // Release: pairs with the Acquire in `Ring::room`; the consumer's reads of the slots come before.
        self.head().store(position, Ordering::Release);
    }
}

/// Slots as their consumer reads them: a copy of where they lie, which stays in registers, when a reference to the ring would be
/// looked up again after every store.
pub trait Sight: Copy {
    /// Reads the upper half, with the stamp, of word `index`; slot `s` has words `4 s` to `4 s + 3`.
    fn upper(&self, index: usize) -> u64;
    /// Reads a word after `upper` and a fence; it must not be free yet to be written again.
    fn word(&self, index: usize) -> Word;
    /// Has a slot fetched, and the first line of its body if it is said to have one. Only a hint.
    #[inline(always)]
    fn fetch(&self, _slot: usize, _body: bool) {}
}

#[cfg(not(loom))]
pub use memory::Memory;

#[cfg(not(loom))]
mod memory {
    use std::alloc::{alloc_zeroed, dealloc, Layout};
    use std::any::Any;
    use std::arch::asm;
    use std::arch::x86_64::{__m128i, _mm_or_si128, _mm_prefetch, _mm_set_epi64x, _MM_HINT_T0};
    use std::marker::PhantomData;
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::Arc;

    use super::{Sight, Slot, Storage};
    use crate::error::{Error, Result};
    use crate::ring::{Word, AHEAD};

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
        /// Where a device that produces reads the consumer's position, and what it can read there.
        far_head: Option<NonNull<AtomicU64>>,
        far: AtomicU64,
        /// What we write lies in a device's memory, to which the processor combines stores, in any order.
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
                far: AtomicU64::new(0),
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
            let (far, owner) = (AtomicU64::new(0), Owner::Other(owner));
            Self { base, head, capacity, body, size, far_head, far, combines, owner }
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

    /// Copies bytes; up to a line of them without a call, which would cost as much as the rest of a small message: the first
    /// half and the last, which overlap where there are fewer.
    ///
    /// # Safety
    /// `to` is writable for as many bytes.
    #[inline(always)]
    unsafe fn copy(from: &[u8], to: *mut u8) {
        type Half = [u64; 4];
        let size = from.len();
        // SAFETY: both are as large as `size`, which is not less than a half, and do not overlap: nobody else has `to`.
        unsafe {
            if !(32..=64).contains(&size) {
                return to.copy_from_nonoverlapping(from.as_ptr(), size);
            }
            let (first, last) = (from.as_ptr().cast::<Half>(), from.as_ptr().add(size - 32).cast::<Half>());
            let (first, last) = (first.read_unaligned(), last.read_unaligned());
            to.cast::<Half>().write_unaligned(first);
            to.add(size - 32).cast::<Half>().write_unaligned(last);
        }
    }

    /// Has a line fetched for writing. Assembly: the intrinsic becomes a prefetch for reading where the compiler was not told that
    /// the processor has the other. One without it takes it for no operation.
    #[inline(always)]
    fn claim(at: *const u8) {
        // SAFETY: a hint changes nothing and faults nowhere.
        unsafe { asm!("prefetchw [{at}]", at = in(reg) at, options(readonly, nostack, preserves_flags)) };
    }

    /// Brings stores that the processor combines on their way.
    fn store_fence() {
        // SAFETY: every x86-64 has it; it orders stores.
        unsafe { std::arch::x86_64::_mm_sfence() };
    }

    /// A word with its stamp.
    #[inline(always)]
    fn stamped(word: Word, stamp: u16) -> __m128i {
        // SAFETY: every x86-64 has SSE2.
        unsafe {
            _mm_or_si128(std::mem::transmute::<Word, __m128i>(word), _mm_set_epi64x((u64::from(stamp) << 48) as i64, 0))
        }
    }

    /// Stores a word.
    ///
    /// # Safety
    /// `at` is a word of a slot.
    #[inline(always)]
    unsafe fn store_word(at: *mut u8, word: Word, stamp: u16) {
        // SAFETY: as the caller promises.
        unsafe {
            #[cfg(tsan)]
            __tsan_release(at.cast());
            let value = stamped(word, stamp);
            asm!("movdqa [{at}], {value}", at = in(reg) at, value = in(xmm_reg) value, options(nostack, preserves_flags));
        }
    }

    // A 16-byte aligned SSE access is one access on every processor with AVX, by Intel's and AMD's manuals (SDM vol. 3A
    // 9.1.1; APM vol. 2 7.3.2); creating a runtime asks for AVX. Whoever sees one half of such a store therefore finds the
    // other with a later load, x86's loads being in order, and so stamps are read by plain loads, and words when all have been
    // seen. The store is inline assembly, so that the compiler can neither split nor move it: for it
    // the assembly reads and writes any memory, which gives the release that x86's memory order then keeps.
    //
    // ThreadSanitizer does not see assembly; built for it, we tell.
    impl Storage for Memory {
        type Sight<'a> = Look<'a>;

        #[inline(always)]
        fn sight(&self) -> Look<'_> {
            Look { base: self.base, capacity: self.capacity, body: self.body, _memory: PhantomData }
        }

        fn capacity(&self) -> usize {
            self.capacity
        }

        #[inline(always)]
        fn write_body(&self, slot: usize, bytes: &[u8]) {
            assert!(bytes.len() <= self.body, "a payload larger than the ring's bodies");
            // SAFETY: the body is ours while we hold the slot's ticket, and large enough.
            unsafe { copy(bytes, self.body(slot)) };
        }

        #[inline(always)]
        fn settle_bodies(&self) {
            if self.is_far() {
                store_fence();
            }
        }

        #[inline(always)]
        fn is_far(&self) -> bool {
            self.combines
        }

        #[inline(always)]
        fn store_slot(&self, slot: usize, content: &Slot, stamp: u16) {
            self.store_slots(slot, std::iter::once(content), stamp);
        }

        // All four words of a line one behind the other: where the processor combines stores, a line that is full leaves it
        // at once, with no fence, which would wait for all that is on its way (on an H200: 3 ns a slot, with a fence for every
        // eight 22; a store of 64 bytes, MOVDIR64B, takes 9. A round trip takes the same with each of them). Would a processor
        // keep it: an interrupt, a locked instruction or a system call makes it go, so it would be late and not lost, and
        // `rk_selftest` would find this memory to be too slow.
        #[inline(always)]
        fn store_slots<'a>(&self, first: usize, slots: impl Iterator<Item = &'a Slot>, stamp: u16) {
            // SAFETY: within the allocation.
            let mut at = unsafe { self.base.as_ptr().add(first * 64) };
            for (slot, content) in (first..).zip(slots) {
                debug_assert!(slot < self.capacity);
                if !self.combines {
                    claim(self.base.as_ptr().wrapping_add(((slot + AHEAD as usize) & (self.capacity - 1)) * 64));
                }
                // SAFETY: within the allocation, all four; and behind the last slot the pointer is at the end of the slots.
                unsafe {
                    store_word(at.add(48), content.word(3), stamp);
                    store_word(at.add(32), content.word(2), stamp);
                    store_word(at.add(16), content.word(1), stamp);
                    store_word(at, content.word(0), stamp);
                    at = at.add(64);
                }
            }
        }

        #[inline(always)]
        fn claim_body(&self, slot: usize) {
            if !self.combines {
                claim(self.body(slot));
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
                // Not every time: it goes over a bus, and waits for that. A device that waits for room because it does not
                // know of the rest has left more than that to be taken, and then it is told.
                if position - self.far.load(Ordering::Relaxed) >= (self.capacity as u64 / 4).max(1) {
                    self.far.store(position, Ordering::Relaxed);
                    // Release: the device looks before it writes a slot again; our reads of that slot come before.
                    // SAFETY: as in `head`.
                    unsafe { far.as_ref() }.store(position, Ordering::Release);
                    if self.is_far() {
                        store_fence();
                    }
                }
            }
        }
    }

    /// What reading a [`Memory`] takes.
    #[derive(Clone, Copy)]
    pub struct Look<'a> {
        base: NonNull<u8>,
        capacity: usize,
        body: usize,
        _memory: PhantomData<&'a Memory>,
    }

    impl Sight for Look<'_> {
        #[inline(always)]
        fn upper(&self, index: usize) -> u64 {
            debug_assert!(index < self.capacity * 4);
            // SAFETY: the half word is inside the allocation and 8-byte aligned.
            unsafe {
                let at = self.base.as_ptr().add(index * 16 + 8);
                #[cfg(tsan)]
                __tsan_acquire(at.sub(8).cast());
                (*at.cast::<AtomicU64>()).load(Ordering::Relaxed)
            }
        }

        #[inline(always)]
        fn word(&self, index: usize) -> Word {
            debug_assert!(index < self.capacity * 4);
            // SAFETY: as in `upper`, and any bytes are a word. Not atomic: nobody writes it now.
            unsafe { std::mem::transmute::<__m128i, Word>(self.base.as_ptr().add(index * 16).cast::<__m128i>().read()) }
        }

        #[inline(always)]
        fn fetch(&self, slot: usize, body: bool) {
            // SAFETY: within the allocation; or at the end of the slots, where a device says that there is a body in a ring without.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(self.base.as_ptr().add(slot * 64).cast());
                if body {
                    _mm_prefetch::<_MM_HINT_T0>(self.base.as_ptr().add(self.capacity * 64 + slot * self.body).cast());
                }
            }
        }
    }
}
