//! Memory: pieces that shaders reach by address.

use std::ptr::NonNull;
use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::physical::Use;
use super::refused;
use crate::error::{Error, Result};

/// A buffer with memory of its own, which whoever has it frees.
pub(super) struct Piece {
    pub(super) buffer: vk::Buffer,
    pub(super) address: u64,
    /// Where the host sees it, if it does.
    pub(super) host: Option<NonNull<u8>>,
    memory: vk::DeviceMemory,
}

impl Piece {
    /// Memory that is not zeroed, except for what the host sees.
    pub(super) fn new(device: &Device, size: usize, purpose: Use) -> Result<Self> {
        let size = (size as u64).next_multiple_of(256);
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER
            | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS
            | vk::BufferUsageFlags::TRANSFER_SRC
            | vk::BufferUsageFlags::TRANSFER_DST;
        let info = vk::BufferCreateInfo::default().size(size).usage(usage);
        // SAFETY: the struct is whole. What is made is destroyed on every way out.
        let buffer = unsafe { device.raw.create_buffer(&info, None) }.map_err(refused("a buffer for a kernel"))?;
        let mut piece = Self { buffer, address: 0, host: None, memory: vk::DeviceMemory::null() };
        match piece.fill(device, size, purpose) {
            Ok(()) => Ok(piece),
            Err(error) => {
                // SAFETY: just made, and used by nothing.
                unsafe { piece.free(device) };
                Err(error)
            }
        }
    }

    fn fill(&mut self, device: &Device, size: u64, purpose: Use) -> Result<()> {
        // SAFETY: the buffer is the device's, here and below.
        let needs = unsafe { device.raw.get_buffer_memory_requirements(self.buffer) };
        let kind = device.properties.memory_type(needs.memory_type_bits, purpose).ok_or_else(|| {
            Error::Unsupported(format!("{} has no memory that can be {purpose:?} memory", device.properties.name))
        })?;
        let mut flags = vk::MemoryAllocateFlagsInfo::default().flags(vk::MemoryAllocateFlags::DEVICE_ADDRESS);
        let info =
            vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(kind).push_next(&mut flags);
        // SAFETY: the structs are whole; the memory is as large as the buffer needs and bound once.
        unsafe {
            self.memory = device.raw.allocate_memory(&info, None).map_err(refused("memory for a kernel"))?;
            let bound = device.raw.bind_buffer_memory(self.buffer, self.memory, 0);
            bound.map_err(refused("binding memory"))?;
        }
        if purpose != Use::Device || device.properties.is_host_visible(kind) {
            let all = (vk::WHOLE_SIZE, vk::MemoryMapFlags::empty());
            // SAFETY: the memory is visible to the host and not mapped yet; it has `size` bytes.
            unsafe {
                let at = device.raw.map_memory(self.memory, 0, all.0, all.1).map_err(refused("mapping memory"))?;
                at.cast::<u8>().write_bytes(0, size as usize);
                self.host = NonNull::new(at.cast());
            }
        }
        let of = vk::BufferDeviceAddressInfo::default().buffer(self.buffer);
        // SAFETY: the buffer has memory and was made to have an address.
        self.address = unsafe { device.raw.get_buffer_device_address(&of) };
        Ok(())
    }

    /// # Safety
    /// Nothing uses the memory any more, and nothing will.
    pub(super) unsafe fn free(&self, device: &Device) {
        // SAFETY: the caller's promise; freeing memory ends its mapping.
        unsafe {
            device.raw.destroy_buffer(self.buffer, None);
            device.raw.free_memory(self.memory, None);
        }
    }
}

/// A piece that goes when it is dropped.
pub(super) struct Memory {
    piece: Piece,
    device: Arc<Device>,
}

// SAFETY: owned memory; who uses it says how.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    pub(super) fn new(device: &Arc<Device>, size: usize, purpose: Use) -> Result<Self> {
        Ok(Self { piece: Piece::new(device, size, purpose)?, device: device.clone() })
    }

    pub(super) fn buffer(&self) -> vk::Buffer {
        self.piece.buffer
    }

    pub(super) fn address(&self) -> u64 {
        self.piece.address
    }

    pub(super) fn host(&self) -> Option<NonNull<u8>> {
        self.piece.host
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Other kernels may have found the way here before it was taken from the directory.
        if self.device.outlast_dispatches() {
            // SAFETY: what could reach it has ended, and what begins now does not find it.
            unsafe { self.piece.free(&self.device) };
        }
    }
}
