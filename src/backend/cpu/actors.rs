//! States and table of a kernel's actors.

use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ops::Range;
use std::ptr::NonNull;

use crate::address::{actor_bits, Address};
use crate::error::{Error, Result};
use crate::kernel::{Entry, Family, Kin, Post};
use crate::snapshot::Image;

/// Memory of all actors of a kernel. Each state and entry is used by one worker only, families by all.
pub(super) struct Actors {
    base: NonNull<u8>,
    layout: Layout,
    count: usize,
    stride: usize,
    /// Where the table starts.
    table: usize,
    /// Where the table of families starts.
    families: usize,
    /// Where the states are kept that actors are restarted with, if these are not all the same.
    kept: Option<usize>,
    /// State of an actor that starts; zeros if none.
    initial: Option<Box<[u8]>>,
}

// SAFETY: the memory is owned; who may touch which part of it is said at `state` and `entry`.
unsafe impl Send for Actors {}
// SAFETY: as above.
unsafe impl Sync for Actors {}

impl Actors {
    /// `keeps`: actors are restarted with what they were in the last snapshot.
    pub(super) fn new(count: u32, state: usize, initial: Option<&[u8]>, dormant: u32, keeps: bool) -> Result<Self> {
        let count = count as usize;
        let stride = state.max(1).next_multiple_of(16);
        let table = (stride * count).next_multiple_of(64);
        let none = || Error::NoMemory(format!("states of {count} actors of {state} bytes"));
        let families = (table + count * std::mem::size_of::<Entry>()).next_multiple_of(64);
        let end = (families + count * std::mem::size_of::<Family>()).next_multiple_of(64);
        let kept = keeps.then_some(end);
        let size = end + if keeps { stride * count } else { 0 };
        let layout = Layout::from_size_align(size, 64).map_err(|_| none())?;
        // SAFETY: the size is not zero: there is at least one actor.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(none)?;
        let initial = initial.map(|initial| initial[..initial.len().min(state)].into());
        let actors = Self { base, layout, count, stride, table, families, kept, initial };
        if actors.initial.is_some() {
            // SAFETY: nobody else has the memory yet.
            (0..count).for_each(|index| unsafe { actors.start(index as u32) });
        }
        for index in count as u32 - dormant..count as u32 {
            // SAFETY: as above.
            unsafe { *actors.entry(index) = Entry::stopped() };
        }
        Ok(actors)
    }

    /// Gives all actors the states and entries of an image.
    pub(super) fn restore(&mut self, image: &Image) {
        for ((index, entry), kin) in (0..image.actors()).zip(&image.all.entries).zip(&image.all.kin) {
            let state = image.state(index);
            self.family(index).store(*kin);
            // SAFETY: the image is of as many actors with as large states, and nobody else has them yet.
            unsafe {
                self.state(index).copy_from_nonoverlapping(state.as_ptr(), state.len());
                *self.entry(index) = *entry;
            }
        }
        // SAFETY: as above.
        unsafe { self.keep(0..image.actors()) };
    }

    /// Where the state that an actor is restarted with is kept.
    fn kept(&self, index: u32) -> Option<*mut u8> {
        // SAFETY: within the allocation.
        self.kept.map(|kept| unsafe { self.base.as_ptr().add(kept + index as usize * self.stride) })
    }

    /// Keeps the states of some actors, if any are kept: they are restarted with them from now on.
    ///
    /// # Safety
    /// Nobody uses the states meanwhile.
    pub(super) unsafe fn keep(&self, which: Range<u32>) {
        if let Some(kept) = self.kept(which.start) {
            // SAFETY: both are as many states one behind the other, in places of their own.
            unsafe { kept.copy_from_nonoverlapping(self.state(which.start), which.len() * self.stride) };
        }
    }

    /// Gives an actor that has failed the state that it is restarted with.
    ///
    /// # Safety
    /// Nobody uses the state meanwhile.
    pub(super) unsafe fn restart(&self, index: u32) {
        match self.kept(index) {
            // SAFETY: both are states, in places of their own.
            Some(kept) => unsafe { self.state(index).copy_from_nonoverlapping(kept, self.stride) },
            // SAFETY: the caller's promise.
            None => unsafe { self.start(index) },
        }
    }

    /// Gives an actor the state that it was launched with, with which it is also restarted then.
    ///
    /// # Safety
    /// Nobody uses the state meanwhile.
    pub(super) unsafe fn start(&self, index: u32) {
        let state = self.state(index);
        match &self.initial {
            // SAFETY: no larger than a state.
            Some(initial) => unsafe { state.copy_from_nonoverlapping(initial.as_ptr(), initial.len()) },
            // SAFETY: the stride is a state's and its padding.
            None => unsafe { state.write_bytes(0, self.stride) },
        }
        // SAFETY: the caller's promise.
        unsafe { self.keep(index..index + 1) };
    }

    /// State of an actor, 16-byte aligned. For the worker that has the actor.
    #[inline]
    pub(super) fn state(&self, index: u32) -> *mut u8 {
        debug_assert!((index as usize) < self.count);
        // SAFETY: within the allocation.
        unsafe { self.base.as_ptr().add(index as usize * self.stride) }
    }

    /// Entry of an actor. For the worker that has the actor.
    #[inline]
    pub(super) fn entry(&self, index: u32) -> *mut Entry {
        debug_assert!((index as usize) < self.count);
        // SAFETY: within the allocation, and aligned: the table is at a multiple of 64.
        unsafe { self.base.as_ptr().add(self.table).cast::<Entry>().add(index as usize) }
    }

    /// An actor's relatives.
    pub(super) fn family(&self, index: u32) -> &Family {
        debug_assert!((index as usize) < self.count);
        // SAFETY: within the allocation, aligned, and cleared when it was taken: words that any thread may use.
        unsafe { &*self.base.as_ptr().add(self.families).cast::<Family>().add(index as usize) }
    }

    /// Whom a post that tells an actor of the kernel with that key of its parent's end is to tell next, before it is sent.
    pub(super) fn following(&self, key: u32, post: &Post) -> Option<u64> {
        let to = Address::from_bits(post.to);
        let is_here = to.kernel() == key && (to.index() as usize) < self.count;
        let next = is_here.then(|| self.family(to.index()).following(post.envelope.correlation)).flatten();
        next.filter(|next| (*next as usize) < self.count).map(|next| Address::new(key, actor_bits(0, next)).to_bits())
    }

    /// Bytes for all.
    pub(super) fn size(&self) -> usize {
        self.layout.size()
    }

    /// Bytes for one actor beside its state.
    pub(super) fn overhead(&self) -> usize {
        std::mem::size_of::<Entry>() + std::mem::size_of::<Kin>() + if self.kept.is_some() { self.stride } else { 0 }
    }
}

impl Drop for Actors {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// Zeroed bytes, 64-byte aligned.
pub(super) struct Buffer {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: owned memory.
unsafe impl Send for Buffer {}

impl Buffer {
    pub(super) fn new(size: usize) -> Result<Self> {
        let none = || Error::NoMemory(format!("a buffer of {size} bytes"));
        let layout = Layout::from_size_align(size.max(64).next_multiple_of(64), 64).map_err(|_| none())?;
        // SAFETY: the size is not zero.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(none)?;
        Ok(Self { base, layout })
    }

    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}
