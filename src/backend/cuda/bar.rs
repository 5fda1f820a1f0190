//! Device memory that the host writes in place, through the card's PCI window (BAR): rings from the host lie there, so that
//! the device polls its own memory. CUDA does not give it; Vulkan does, as a memory type that is both the device's and
//! visible to the host, and exports it to CUDA. The host reads it only for counts that are seldom asked for: each word takes a
//! way over the bus and back.
//!
//! That host stores arrive in order, or at all, while a kernel runs, is more than CUDA promises. It rests on PCIe's order
//! of writes and on slots whose words validate themselves. Where any step fails, rings lie in host memory.

use std::ptr::NonNull;
use std::sync::Arc;

use ash::vk;
use cudarc::driver::sys;

use super::driver::{check, Context};
use crate::error::{Error, Result};

const WANTED: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::from_raw(
    vk::MemoryPropertyFlags::DEVICE_LOCAL.as_raw()
        | vk::MemoryPropertyFlags::HOST_VISIBLE.as_raw()
        | vk::MemoryPropertyFlags::HOST_COHERENT.as_raw(),
);

fn refused(what: &'static str) -> impl Fn(vk::Result) -> Error {
    move |result| Error::Unsupported(format!("{what}: {result}"))
}

/// A card as Vulkan sees it.
pub(super) struct Window {
    device: ash::Device,
    export: ash::khr::external_memory_fd::Device,
    memory_type: u32,
    instance: ash::Instance,
    _entry: ash::Entry,
}

impl Window {
    /// The window of the device with that UUID.
    pub(super) fn open(uuid: [u8; 16]) -> Result<Self> {
        // SAFETY: loads libvulkan.so.1, whose functions are then those that ash declares.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| Error::Unsupported(error.to_string()))?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_1);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the structs are whole and outlive the calls, here and below.
        let instance = unsafe { entry.create_instance(&info, None) }.map_err(refused("creating a Vulkan instance"))?;
        match Self::find(&instance, uuid) {
            Ok((device, memory_type)) => {
                let export = ash::khr::external_memory_fd::Device::new(&instance, &device);
                Ok(Self { device, export, memory_type, instance, _entry: entry })
            }
            Err(error) => {
                // SAFETY: nothing of it is left.
                unsafe { instance.destroy_instance(None) };
                Err(error)
            }
        }
    }

    fn find(instance: &ash::Instance, uuid: [u8; 16]) -> Result<(ash::Device, u32)> {
        // SAFETY: the instance exists; the structs are whole.
        let devices = unsafe { instance.enumerate_physical_devices() }.map_err(refused("listing Vulkan's devices"))?;
        let is_it = |device: &vk::PhysicalDevice| {
            let mut id = vk::PhysicalDeviceIDProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut id);
            // SAFETY: as above.
            unsafe { instance.get_physical_device_properties2(*device, &mut properties) };
            id.device_uuid == uuid
        };
        let device =
            devices.into_iter().find(is_it).ok_or_else(|| Error::Unsupported("Vulkan does not have it".into()))?;
        // SAFETY: as above.
        let memory = unsafe { instance.get_physical_device_memory_properties(device) };
        let memory_type = (memory.memory_types_as_slice().iter())
            .position(|kind| kind.property_flags.contains(WANTED))
            .ok_or_else(|| Error::Unsupported("it has no memory that the host can write".into()))?;
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
        let extensions = [ash::khr::external_memory_fd::NAME.as_ptr()];
        let info = vk::DeviceCreateInfo::default().queue_create_infos(&queues).enabled_extension_names(&extensions);
        // SAFETY: as above.
        let device =
            unsafe { instance.create_device(device, &info, None) }.map_err(refused("creating a Vulkan device"))?;
        Ok((device, memory_type as u32))
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: all memory of it is gone, since that keeps the window.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

/// A piece of it.
pub(super) struct BarMemory {
    host: NonNull<u8>,
    device: u64,
    memory: vk::DeviceMemory,
    imported: sys::CUexternalMemory,
    window: Arc<Window>,
    context: Arc<Context>,
}

// SAFETY: owned memory; who uses it says how. The handles are used by one thread when it is freed.
unsafe impl Send for BarMemory {}
// SAFETY: as above.
unsafe impl Sync for BarMemory {}

impl BarMemory {
    pub(super) fn new(window: &Arc<Window>, context: &Arc<Context>, size: usize) -> Result<Self> {
        let opaque = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
        let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(opaque);
        let size = (size as u64).next_multiple_of(1 << 16);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(size)
            .memory_type_index(window.memory_type)
            .push_next(&mut export);
        // SAFETY: the structs are whole; what is made is freed on every way out.
        unsafe {
            let memory = window.device.allocate_memory(&info, None).map_err(refused("allocating device memory"))?;
            let imported = Self::import(window, context, memory, size);
            match imported {
                Ok((host, device, imported)) => {
                    Ok(Self { host, device, memory, imported, window: window.clone(), context: context.clone() })
                }
                Err(error) => {
                    window.device.free_memory(memory, None);
                    Err(error)
                }
            }
        }
    }

    /// # Safety
    /// `memory` is of the window and has `size` bytes.
    unsafe fn import(
        window: &Window,
        context: &Context,
        memory: vk::DeviceMemory,
        size: u64,
    ) -> Result<(NonNull<u8>, u64, sys::CUexternalMemory)> {
        let request =
            vk::MemoryGetFdInfoKHR::default().memory(memory).handle_type(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
        let _entered = context.enter()?;
        // SAFETY: the caller's promise; descriptions are plain data, zero where not said.
        unsafe {
            let host = window.device.map_memory(memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty());
            let host = host.map_err(refused("mapping device memory"))?;
            let fd = window.export.get_memory_fd(&request).map_err(refused("exporting device memory"))?;
            let description = sys::CUDA_EXTERNAL_MEMORY_HANDLE_DESC {
                type_: sys::CUexternalMemoryHandleType::CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD,
                handle: sys::CUDA_EXTERNAL_MEMORY_HANDLE_DESC_st__bindgen_ty_1 { fd },
                size,
                flags: 0,
                reserved: [0; 16],
            };
            let mut imported = std::ptr::null_mut();
            if let Err(error) = check(sys::cuImportExternalMemory(&mut imported, &description), "importing memory") {
                libc::close(fd);
                return Err(error);
            }
            // From here on the descriptor is CUDA's.
            let mut buffer: sys::CUDA_EXTERNAL_MEMORY_BUFFER_DESC = std::mem::zeroed();
            buffer.size = size;
            let mut device = 0;
            let mapped = sys::cuExternalMemoryGetMappedBuffer(&mut device, imported, &buffer);
            if let Err(error) = check(mapped, "mapping imported memory") {
                sys::cuDestroyExternalMemory(imported);
                return Err(error);
            }
            let host = NonNull::new(host.cast()).ok_or_else(|| Error::NoMemory("device memory".into()))?;
            Ok((host, device, imported))
        }
    }

    /// For writing, and seldom for reading.
    pub(super) fn host(&self) -> NonNull<u8> {
        self.host
    }

    pub(super) fn device(&self) -> u64 {
        self.device
    }
}

impl Drop for BarMemory {
    fn drop(&mut self) {
        // SAFETY: ours, and of no more use. Waits for kernels that run, which is one quantum.
        unsafe {
            if let Ok(_entered) = self.context.enter() {
                sys::cuMemFree_v2(self.device);
                sys::cuDestroyExternalMemory(self.imported);
            }
            self.window.device.unmap_memory(self.memory);
            self.window.device.free_memory(self.memory, None);
        }
    }
}
