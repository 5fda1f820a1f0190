//! Buffers on a device: their memory, and the table in which handlers there find them (src/buffer.rs says how).

use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::{Block, Memories, Place};
use crate::buffer;
use crate::error::{Error, Result};
use crate::layout::{BufferEntry, BufferTable, BUFFERS, PAYLOAD_MAX};

/// The buffers of a runtime that handlers on one device find.
pub(in crate::backend) struct Table {
    /// A `BufferTable`, in the device's memory.
    table: Block,
    /// Where accesses go that are out of bounds.
    _sink: Block,
    memories: Arc<dyn Memories>,
}

impl Table {
    pub(in crate::backend) fn new(memories: Arc<dyn Memories>) -> Result<Arc<Self>> {
        let table = memories.allocate(Place::Device, size_of::<BufferTable>())?;
        let sink = memories.allocate(Place::Device, PAYLOAD_MAX as usize)?;
        memories.zero(&table, 0, size_of::<BufferTable>())?;
        memories.upload(&table, offset_of!(BufferTable, sink), &sink.device.to_ne_bytes())?;
        memories.finish()?;
        Ok(Arc::new(Self { table, _sink: sink, memories }))
    }

    /// Where it is for the device.
    pub(super) fn address(&self) -> u64 {
        self.table.device
    }

    /// Memory for a buffer: zeros.
    pub(in crate::backend) fn allocate(self: &Arc<Self>, size: u64) -> Result<Box<dyn buffer::Memory>> {
        let bytes = usize::try_from(size).map_err(|_| Error::NoMemory(format!("a buffer of {size} bytes")))?;
        let block = self.memories.allocate(Place::Device, bytes)?;
        self.memories.zero(&block, 0, bytes)?;
        self.memories.finish()?;
        Ok(self.import(block))
    }

    /// A buffer in memory that is there.
    pub(in crate::backend) fn import(self: &Arc<Self>, block: Block) -> Box<dyn buffer::Memory> {
        Box::new(Memory { block, table: self.clone() })
    }

    /// Sets a word of a buffer's entry; handlers see it when this returns.
    fn set(&self, id: u64, field: usize, value: u64) -> Result<()> {
        let at = offset_of!(BufferTable, entries) + id as usize % BUFFERS * size_of::<BufferEntry>() + field;
        if let Some(host) = self.table.host {
            // SAFETY: an aligned word within the table, which the device only reads.
            let word = unsafe { host.add(at).cast::<AtomicU64>().as_ref() };
            // SeqCst: orders the entry's words, and comes before what `Backend::rest` looks at.
            word.store(value, Ordering::SeqCst);
            return Ok(());
        }
        self.memories.upload(&self.table, at, &value.to_ne_bytes())?;
        self.memories.finish()
    }
}

/// Memory of a buffer.
struct Memory {
    block: Block,
    table: Arc<Table>,
}

impl buffer::Memory for Memory {
    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.table.memories.upload(&self.block, offset as usize, data)?;
        self.table.memories.finish()
    }

    fn read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        self.table.memories.download(&self.block, offset as usize, data)
    }

    fn host(&self) -> Option<NonNull<u8>> {
        self.block.host
    }

    fn publish(&self, id: u64, size: u64) -> Result<()> {
        self.table.set(id, offset_of!(BufferEntry, size), size)?;
        self.table.set(id, offset_of!(BufferEntry, address), self.block.device)?;
        self.table.set(id, offset_of!(BufferEntry, id), id)
    }

    fn withdraw(&self, id: u64) -> Result<()> {
        self.table.set(id, offset_of!(BufferEntry, id), 0)
    }
}
