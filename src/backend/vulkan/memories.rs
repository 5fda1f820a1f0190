//! Memory of a kernel, by its place, and how it is filled.

use std::sync::{Arc, Mutex, PoisonError};

use ash::vk;

use super::super::gpu::{Block, Memories, Place};
use super::device::Device;
use super::memory::Memory;
use super::physical::Use;
use super::transfer::Transfer;
use crate::error::Result;

/// Gives a kernel its memory.
pub(super) struct KernelMemory {
    device: Arc<Device>,
    /// Blocks that the host does not reach are filled through this.
    transfer: Mutex<Transfer>,
    window: bool,
}

impl KernelMemory {
    pub(super) fn new(device: &Arc<Device>) -> Result<Self> {
        Ok(Self { device: device.clone(), transfer: Mutex::new(Transfer::new(device)?), window: device.has_window() })
    }

    fn transfer(&self, block: &Block, with: impl FnOnce(&mut Transfer, vk::Buffer) -> Result<()>) -> Result<()> {
        let memory = (*block.owner).downcast_ref::<Memory>().expect("blocks are allocated here");
        with(&mut self.transfer.lock().unwrap_or_else(PoisonError::into_inner), memory.buffer())
    }
}

impl Memories for KernelMemory {
    fn allocate(&self, place: Place, size: usize) -> Result<Block> {
        let purpose = match place {
            Place::Device => Use::Device,
            Place::Inbound if self.window => Use::Window,
            Place::Inbound | Place::Host => Use::Host,
        };
        let memory = Memory::new(&self.device, size, purpose)?;
        Ok(Block { host: memory.host(), device: memory.address(), owner: Arc::new(memory) })
    }

    fn zero(&self, block: &Block, at: usize, size: usize) -> Result<()> {
        match block.host {
            // It was cleared when it was mapped.
            Some(_) => Ok(()),
            None => self.transfer(block, |transfer, buffer| transfer.zero(buffer, at, size)),
        }
    }

    fn upload(&self, block: &Block, at: usize, bytes: &[u8]) -> Result<()> {
        match block.host {
            Some(host) => {
                // SAFETY: the place is within the block, and either no kernel uses it yet, or it is a buffer's, of which users
                // sort out among themselves who writes when.
                unsafe { host.add(at).as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
                Ok(())
            }
            None => self.transfer(block, |transfer, buffer| transfer.upload(buffer, at, bytes)),
        }
    }

    fn download(&self, block: &Block, at: usize, bytes: &mut [u8]) -> Result<()> {
        match block.host {
            Some(host) => {
                // SAFETY: as in `upload`.
                unsafe { host.add(at).as_ptr().copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
                Ok(())
            }
            None => self.transfer(block, |transfer, buffer| transfer.download(buffer, at, bytes)),
        }
    }

    fn copy(&self, block: &Block, from: usize, to: usize, size: usize) -> Result<()> {
        self.transfer(block, |transfer, buffer| transfer.copy(buffer, from, to, size))
    }

    fn finish(&self) -> Result<()> {
        // Uploads have waited for their end. What the host wrote the next submission makes visible.
        Ok(())
    }

    fn combines(&self) -> bool {
        self.window && !self.device.properties.is_processor
    }

    fn directory(&self) -> u64 {
        self.device.directory_address()
    }

    fn register(&self, key: u32, address: u64) {
        self.device.register(key, address);
    }

    fn retire(&self, key: u32, address: u64) {
        self.device.retire(key, address);
    }

    fn unregister(&self, key: u32, address: u64) {
        self.device.unregister(key, address);
    }

    fn outlast_others(&self) -> bool {
        self.device.outlast_dispatches()
    }
}
