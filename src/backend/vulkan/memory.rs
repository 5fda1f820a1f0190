//! Memory: pieces that shaders reach by address.

use std::ptr::NonNull;
use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::physical::Use;
use super::refused;
use crate::error::{Error, Result};

/// How the host program's memory comes in.
pub(super) const IMPORTED: vk::ExternalMemoryHandleTypeFlags = vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;

/// What pieces may be used for.
pub(super) const USAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::from_raw(
    vk::BufferUsageFlags::STORAGE_BUFFER.as_raw()
        | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS.as_raw()
        | vk::BufferUsageFlags::TRANSFER_SRC.as_raw()
        | vk::BufferUsageFlags::TRANSFER_DST.as_raw(),
);

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
        let info = vk::BufferCreateInfo::default().size(size).usage(USAGE);
        Self::make(device, &info, |piece| piece.fill(device, size, purpose))
    }

    /// `size` bytes of the host program's memory, which stays as long as this: the pages that they are in.
    pub(super) fn import(device: &Device, host: NonNull<u8>, size: usize) -> Result<Self> {
        let Some(grain) = device.properties.host_import else {
            return Err(Error::Unsupported(format!(
                "{} cannot use memory of the host program: it has no VK_EXT_external_memory_host, or was lent to us",
                device.properties.name
            )));
        };
        let before = host.as_ptr() as u64 % grain;
        let pages = host.as_ptr().wrapping_sub(before as usize);
        let size = (before + size as u64).next_multiple_of(grain);
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(IMPORTED);
        let info = vk::BufferCreateInfo::default().size(size).usage(USAGE).push_next(&mut external);
        let mut piece = Self::make(device, &info, |piece| piece.borrow(device, pages, size))?;
        piece.address += before;
        piece.host = Some(host);
        Ok(piece)
    }

    /// A buffer that `fill` gives memory.
    fn make(
        device: &Device,
        info: &vk::BufferCreateInfo<'_>,
        fill: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Self> {
        // SAFETY: the struct is whole. What is made is destroyed on every way out.
        let buffer = unsafe { device.raw.create_buffer(info, None) }.map_err(refused("a buffer for a kernel"))?;
        let mut piece = Self { buffer, address: 0, host: None, memory: vk::DeviceMemory::null() };
        match fill(&mut piece) {
            Ok(()) => Ok(piece),
            Err(error) => {
                // SAFETY: just made, and used by nothing.
                unsafe { piece.free(device) };
                Err(error)
            }
        }
    }

    fn borrow(&mut self, device: &Device, pages: *mut u8, size: u64) -> Result<()> {
        let mut found = vk::MemoryHostPointerPropertiesEXT::default();
        let ask = device.importer().fp().get_memory_host_pointer_properties_ext;
        // SAFETY: the device has the extension; the pages are the host program's memory.
        let asked = unsafe { ask(device.raw.handle(), IMPORTED, pages.cast(), &mut found) };
        asked.result().map_err(refused("importing memory of the host program"))?;
        let mut import = vk::ImportMemoryHostPointerInfoEXT::default().handle_type(IMPORTED).host_pointer(pages.cast());
        self.bind(device, found.memory_type_bits, size, Use::Host, |info| info.push_next(&mut import)).map(|_| ())
    }

    fn fill(&mut self, device: &Device, size: u64, purpose: Use) -> Result<()> {
        let kind = self.bind(device, u32::MAX, 0, purpose, |info| info)?;
        if purpose != Use::Device || device.properties.is_host_visible(kind) {
            let all = (vk::WHOLE_SIZE, vk::MemoryMapFlags::empty());
            // SAFETY: the memory is visible to the host and not mapped yet; it has `size` bytes.
            unsafe {
                let at = device.raw.map_memory(self.memory, 0, all.0, all.1).map_err(refused("mapping memory"))?;
                at.cast::<u8>().write_bytes(0, size as usize);
                self.host = NonNull::new(at.cast());
            }
        }
        Ok(())
    }

    /// Gives the buffer memory of an allowed type, as `with` says; `size`: exactly so much, if not 0. Which type it is.
    fn bind<'a>(
        &mut self,
        device: &Device,
        allowed: u32,
        size: u64,
        purpose: Use,
        with: impl FnOnce(vk::MemoryAllocateInfo<'a>) -> vk::MemoryAllocateInfo<'a>,
    ) -> Result<u32> {
        // SAFETY: the buffer is the device's, here and below.
        let needs = unsafe { device.raw.get_buffer_memory_requirements(self.buffer) };
        if size != 0 && needs.size > size {
            return Err(Error::Unsupported(format!(
                "{} wants more memory behind that of the host program",
                device.properties.name
            )));
        }
        let kind = device.properties.memory_type(needs.memory_type_bits & allowed, purpose).ok_or_else(|| {
            Error::Unsupported(format!("{} has no memory that can be {purpose:?} memory", device.properties.name))
        })?;
        let mut flags = vk::MemoryAllocateFlagsInfo::default().flags(vk::MemoryAllocateFlags::DEVICE_ADDRESS);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(if size != 0 { size } else { needs.size })
            .memory_type_index(kind);
        let info = with(info).push_next(&mut flags);
        let of = vk::BufferDeviceAddressInfo::default().buffer(self.buffer);
        // SAFETY: the structs are whole; the memory is as large as the buffer needs and bound once, and the buffer was made
        // to have an address.
        unsafe {
            self.memory = device.raw.allocate_memory(&info, None).map_err(refused("memory for a kernel"))?;
            let bound = device.raw.bind_buffer_memory(self.buffer, self.memory, 0);
            bound.map_err(refused("binding memory"))?;
            self.address = device.raw.get_buffer_device_address(&of);
        }
        Ok(kind)
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

    /// See [`Piece::import`].
    pub(super) fn import(device: &Arc<Device>, host: NonNull<u8>, size: usize) -> Result<Self> {
        Ok(Self { piece: Piece::import(device, host, size)?, device: device.clone() })
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
