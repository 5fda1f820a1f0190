//! Buffers: bulk data that messages name by its id.
//!
//! Handlers find a buffer in the table of their runtime, at the slot that its id says. Destroying one takes its id out of the
//! table, so that no handler finds it that has not done so yet, and frees the memory when those have returned that may have:
//! that wait is the [transfers](crate::transfers) thread's.

use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::backend::Kind;
use crate::error::{Error, Result};
use crate::layout::{BufferTable, BUFFERS, PAYLOAD_MAX};
use crate::runtime::Home;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Most bytes of one.
pub(crate) const SIZE_MAX: u64 = 1 << 48;

/// Bytes that a backend keeps somewhere. Offsets and sizes are within them, and data is no part of them. Handlers and host may use the same bytes at once,
/// which is theirs to sort out.
pub(crate) trait Memory: Send + Sync {
    fn write(&self, offset: u64, data: &[u8]) -> Result<()>;
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<()>;
    /// Where the host reaches them too, if it does.
    fn host(&self) -> Option<NonNull<u8>>;

    /// Shows the first `size` of them to handlers on a device that is not the host.
    fn publish(&self, _id: u64, _size: u64) -> Result<()> {
        Ok(())
    }

    /// Hides them from handlers that have not found them yet.
    fn withdraw(&self, _id: u64) -> Result<()> {
        Ok(())
    }
}

/// A buffer.
pub(crate) struct Buffer {
    pub(crate) home: Arc<Home>,
    pub(crate) kind: Kind,
    pub(crate) device: u32,
    pub(crate) size: u64,
    /// The bytes are the caller's.
    pub(crate) imported: bool,
    memory: Box<dyn Memory>,
}

impl crate::table::Noun for Arc<Buffer> {
    fn poison(&self) {
        self.home.poison();
    }
}

impl Buffer {
    pub(crate) fn new(
        home: Arc<Home>,
        kind: Kind,
        device: u32,
        size: u64,
        imported: bool,
        memory: Box<dyn Memory>,
    ) -> Self {
        Self { home, kind, device, size, imported, memory }
    }

    pub(crate) fn host(&self) -> Option<NonNull<u8>> {
        self.memory.host()
    }

    fn check(&self, offset: u64, size: usize) -> Result<()> {
        match offset.checked_add(size as u64) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(Error::invalid(format!("{size} bytes at {offset} of a buffer that has {}", self.size))),
        }
    }

    /// Whether data can be copied to or from `offset`: it fits, and is not a part of the buffer itself.
    pub(crate) fn check_copy(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.check(offset, data.len())?;
        let (start, end) = (data.as_ptr() as u64, data.as_ptr() as u64 + data.len() as u64);
        let own = self.host().map_or(0, |base| base.as_ptr() as u64);
        if start < own + self.size && own < end && own != 0 {
            return Err(Error::invalid("data is a part of the buffer itself"));
        }
        Ok(())
    }

    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.check_copy(offset, data)?;
        self.memory.write(offset, data)
    }

    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        self.check_copy(offset, data)?;
        self.memory.read(offset, data)
    }
}

/// Memory of the host.
pub(crate) struct HostMemory {
    base: NonNull<u8>,
    /// What was allocated, if it is ours.
    owned: Option<(NonNull<u8>, Layout)>,
}

// SAFETY: memory that anybody may write at any time, as is said at `Memory`; it is only copied from and to.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// Zeros, aligned to a line.
    pub(crate) fn allocate(size: u64) -> Result<Self> {
        let none = || Error::NoMemory(format!("a buffer of {size} bytes"));
        let bytes = usize::try_from(size).ok().and_then(|size| size.checked_add(LINE)).ok_or_else(none)?;
        // Aligned by hand: malloc has large zeros from the system, which are not touched, but only of its own alignment.
        let layout = Layout::from_size_align(bytes, 16).map_err(|_| none())?;
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(none)?;
        // SAFETY: less than a line further on, and there is a line more than what is used.
        let base = unsafe { start.add(start.align_offset(LINE)) };
        Ok(Self { base, owned: Some((start, layout)) })
    }

    /// # Safety
    /// As many bytes as the buffer will have stay there as long as this.
    pub(crate) unsafe fn borrow(base: NonNull<u8>) -> Self {
        Self { base, owned: None }
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl Memory for HostMemory {
    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        // SAFETY: within the memory and no part of it, by the trait's contract.
        unsafe { self.base.as_ptr().add(offset as usize).copy_from_nonoverlapping(data.as_ptr(), data.len()) };
        Ok(())
    }

    fn read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.base.as_ptr().add(offset as usize).copy_to_nonoverlapping(data.as_mut_ptr(), data.len()) };
        Ok(())
    }

    fn host(&self) -> Option<NonNull<u8>> {
        Some(self.base)
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        if let Some((start, layout)) = self.owned {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(start.as_ptr(), layout) };
        }
    }
}

/// A runtime's buffers as its handlers on the CPU find them.
#[derive(Default)]
pub(crate) struct Directory {
    /// Made for the first kernel or buffer.
    table: OnceLock<Table>,
    /// Bytes of buffers, imported ones not counted.
    bytes: AtomicU64,
}

struct Table {
    at: NonNull<BufferTable>,
    /// Where accesses go that are out of bounds.
    sink: HostMemory,
}

// SAFETY: the entries are atomics, and the rest does not change.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    fn new() -> Result<Self> {
        let sink = HostMemory::allocate(u64::from(PAYLOAD_MAX))?;
        let layout = Layout::new::<BufferTable>();
        // SAFETY: the size is not zero.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<BufferTable>());
        let at = memory.ok_or_else(|| Error::NoMemory("the table of buffers".into()))?;
        // SAFETY: ours, large enough, and zeros are a table.
        unsafe { (*at.as_ptr()).sink = sink.base.as_ptr() as u64 };
        Ok(Self { at, sink })
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; no handler runs any more that was given it.
        unsafe { dealloc(self.at.as_ptr().cast(), Layout::new::<BufferTable>()) };
    }
}

impl Directory {
    /// For the contexts of handlers; valid as long as this.
    pub(crate) fn table(&self) -> Result<*const BufferTable> {
        if let Some(table) = self.table.get() {
            return Ok(table.at.as_ptr());
        }
        let table = Table::new()?;
        debug_assert!(table.sink.owned.is_some());
        Ok(self.table.get_or_init(|| table).at.as_ptr())
    }

    /// Bytes of the runtime's buffers.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Shows a buffer to handlers.
    pub(crate) fn publish(&self, id: u64, buffer: &Buffer) -> Result<()> {
        buffer.memory.publish(id, buffer.size)?;
        // SAFETY: the table stays as long as this, and its entries are atomics.
        let entry = unsafe { &(*self.table()?).entries[id as usize % BUFFERS] };
        entry.size.store(buffer.size, Ordering::Relaxed);
        entry.address.store(buffer.host().map_or(0, |base| base.as_ptr() as u64), Ordering::Relaxed);
        // Release: who finds the id, finds the rest. Handlers read it without an order of their own: the id comes to them in
        // a message, whose ring orders what was before.
        entry.id.store(id, Ordering::Release);
        if !buffer.imported {
            self.bytes.fetch_add(buffer.size, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Hides it from handlers that have not found it yet. False if that is not certain: the memory is not to be freed then.
    pub(crate) fn withdraw(&self, id: u64, buffer: &Buffer) -> bool {
        let hidden = buffer.memory.withdraw(id).is_ok();
        let Ok(table) = self.table() else { return hidden };
        // SAFETY: as above.
        let entry = unsafe { &(*table).entries[id as usize % BUFFERS] };
        // SeqCst: before the fence with which `Backend::rest` looks for handlers that run.
        entry.id.store(0, Ordering::SeqCst);
        if !buffer.imported {
            self.bytes.fetch_sub(buffer.size, Ordering::Relaxed);
        }
        hidden
    }
}
