//! Memory of a kernel: the device's, the host's that the device maps, and for what the host sends the device's own through
//! the card's window where that works.

use std::sync::Arc;

use super::super::gpu::{Block, Memories, Place};
use super::bar::BarMemory;
use super::driver::{Context, DeviceMemory, Mapped, Stream};
use crate::error::{Error, Result};

/// Gives a kernel its memory.
pub(super) struct KernelMemory {
    context: Arc<Context>,
    /// For clearing and uploads, which no running kernel holds up.
    stream: Stream,
    bar: bool,
}

impl KernelMemory {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self> {
        // Not unless asked for: that a processor's stores into device memory arrive as the rings need it lies outside what
        // CUDA promises, and no test proves it yet before use.
        let bar = std::env::var_os("RINGKERNEL_INBOUND").is_some_and(|wish| wish == "bar");
        Ok(Self { context: context.clone(), stream: Stream::new(context.clone())?, bar })
    }
}

impl Memories for KernelMemory {
    fn allocate(&self, place: Place, size: usize) -> Result<Block> {
        if place == Place::Device {
            let memory = DeviceMemory::new(self.context.clone(), size)?;
            return Ok(Block { host: None, device: memory.address(), owner: Arc::new(memory) });
        }
        if place == Place::Inbound && self.bar {
            let window = self
                .context
                .window()
                .map_err(|reason| Error::Unsupported(format!("device memory that the host can write: {reason}")))?;
            let memory = BarMemory::new(window, &self.context, size)?;
            return Ok(Block { host: Some(memory.host()), device: memory.device(), owner: Arc::new(memory) });
        }
        let memory = Mapped::new(self.context.clone(), size, true)?;
        Ok(Block { host: Some(memory.host()), device: memory.device(), owner: Arc::new(memory) })
    }

    fn zero(&self, block: &Block, at: usize, size: usize) -> Result<()> {
        self.stream.zero(block.device + at as u64, size)
    }

    fn upload(&self, block: &Block, at: usize, bytes: &[u8]) -> Result<()> {
        self.stream.upload(block.device + at as u64, bytes)
    }

    fn finish(&self) -> Result<()> {
        self.stream.synchronize()
    }

    fn combines(&self) -> bool {
        self.bar
    }

    fn directory(&self) -> u64 {
        self.context.directory_address()
    }

    fn register(&self, key: u32, address: u64) {
        self.context.register(key, address);
    }
}
