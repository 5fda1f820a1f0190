//! How actors find other kernels of their device: a table in memory that the host writes while kernels run, with an entry
//! for each slot of the table of kernels (`crate::table`): the kernel's key and the address of its descriptor.

use std::arch::x86_64::{__m128i, _mm_set_epi64x, _mm_sfence, _mm_store_si128};
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Entries: as many as kernels can exist.
const ENTRIES: usize = crate::table::CAPACITY;

/// `RK_GONE` of `device/layout.h`.
pub(super) const GONE: u64 = 1 << 32;

/// The host's side of it; the memory is the backend's.
#[derive(Default)]
pub(in crate::backend) struct Directory {
    /// Whose the entries are. The host does not read the table itself, which may lie in a device's memory.
    owners: Mutex<HashMap<usize, (u32, u64)>>,
}

impl Directory {
    /// Bytes of the table, all zero at first.
    pub(in crate::backend) const SIZE: usize = 16 * ENTRIES;

    /// Makes a kernel known to all others on the device.
    ///
    /// # Safety
    /// `table` is writable for [`SIZE`](Self::SIZE) bytes, aligned to 16, and written through this alone.
    pub(in crate::backend) unsafe fn register(&self, table: NonNull<u8>, key: u32, address: u64) {
        let mut owners = self.lock();
        owners.insert(key as usize % ENTRIES, (key, address));
        // SAFETY: the caller's word, and the lock is held.
        unsafe { Self::write(table, key, u64::from(key), address) };
    }

    /// Has nothing sent to it any more, while it is still there to be read; unless its entry is another's by now.
    ///
    /// # Safety
    /// See [`register`](Self::register).
    pub(in crate::backend) unsafe fn retire(&self, table: NonNull<u8>, key: u32, address: u64) {
        let owners = self.lock();
        if owners.get(&(key as usize % ENTRIES)) == Some(&(key, address)) {
            // SAFETY: the caller's word, and the lock is held.
            unsafe { Self::write(table, key, GONE | u64::from(key), address) };
        }
    }

    /// Makes it unknown again; unless its entry is another's by now, as it may be when its memory goes late.
    ///
    /// # Safety
    /// See [`register`](Self::register).
    pub(in crate::backend) unsafe fn unregister(&self, table: NonNull<u8>, key: u32, address: u64) {
        let mut owners = self.lock();
        if owners.get(&(key as usize % ENTRIES)) == Some(&(key, address)) {
            owners.remove(&(key as usize % ENTRIES));
            // SAFETY: the caller's word, and the lock is held.
            unsafe { Self::write(table, key, 0, 0) };
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, (u32, u64)>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One 16-byte store, as CUDA's pump reads it; Vulkan's reads the key before and after the address.
    ///
    /// # Safety
    /// As for [`register`](Self::register), under the lock.
    unsafe fn write(table: NonNull<u8>, key: u32, key_word: u64, address: u64) {
        // SAFETY: the entry is within the table, whose alignment its own follows from.
        unsafe {
            let entry = table.add(key as usize % ENTRIES * 16).cast::<__m128i>();
            _mm_store_si128(entry.as_ptr(), _mm_set_epi64x(address as i64, key_word as i64));
            // The table may be write-combined.
            _mm_sfence();
        }
    }
}
