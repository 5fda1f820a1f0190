//! Physical devices: what they are, and what they lack.

use std::ffi::CStr;

use ash::vk;

use super::features::{Features, Sets};
use super::instance::Instance;
use super::memory::{IMPORTED, USAGE};
use super::refused;
use crate::error::Result;

/// What a device is.
#[derive(Clone)]
pub(super) struct Properties {
    pub(super) device: vk::PhysicalDevice,
    pub(super) name: String,
    /// Bytes that are the device's own.
    pub(super) memory: u64,
    /// Largest number of lanes.
    pub(super) lanes: u32,
    /// Invocations of a subgroup.
    pub(super) subgroup: u32,
    /// Workers that run at once, as well as that can be known.
    pub(super) workers: u32,
    /// Bytes of memory that a workgroup shares.
    pub(super) shared_memory: u32,
    pub(super) features: Features,
    /// A family of queues that compute.
    pub(super) family: Option<Family>,
    /// It is the host's processor: waiting for it should leave that alone.
    pub(super) is_processor: bool,
    /// It conforms but for what an extension lists, which has to be switched on.
    pub(super) portability_subset: bool,
    /// It takes memory of the host program's in pieces that are aligned to this: with VK_EXT_external_memory_host.
    pub(super) host_import: Option<u64>,
    version: u32,
    memory_types: Vec<vk::MemoryType>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) index: u32,
    pub(super) queues: u32,
}

/// What a piece of memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The device's own.
    Device,
    /// Host memory, which the device reaches.
    Host,
    /// The device's own, which the host writes.
    Window,
}

/// Most queues that are of use.
const QUEUES: u32 = 8;
/// Workers where nothing tells how many a device runs at once.
const WORKERS: u32 = 16;

impl Properties {
    /// All devices that the driver has.
    pub(super) fn all(instance: &Instance) -> Result<Vec<Self>> {
        // SAFETY: the instance exists.
        let devices =
            unsafe { instance.raw.enumerate_physical_devices() }.map_err(refused("listing Vulkan's devices"))?;
        devices.into_iter().map(|device| Self::of(instance, device)).collect()
    }

    pub(super) fn of(instance: &Instance, device: vk::PhysicalDevice) -> Result<Self> {
        // SAFETY: the device is the instance's, here and below; the structs are whole.
        let core = unsafe { instance.raw.get_physical_device_properties(device) };
        // SAFETY: as above.
        let extensions = unsafe { instance.raw.enumerate_device_extension_properties(device) };
        let extensions = extensions.map_err(refused("listing a device's extensions"))?;
        let has = |name: &CStr| extensions.iter().any(|one| one.extension_name_as_c_str() == Ok(name));
        // SAFETY: as above.
        let memory = unsafe { instance.raw.get_physical_device_memory_properties(device) };
        // SAFETY: as above.
        let families = unsafe { instance.raw.get_physical_device_queue_family_properties(device) };
        let mut sets = Sets::default();
        if core.api_version >= vk::API_VERSION_1_2 {
            // SAFETY: as above; the structs of Vulkan 1.2 are known to the device, and that of an extension that it has.
            sets.chained(has(ash::khr::shader_clock::NAME), |chain| unsafe {
                instance.raw.get_physical_device_features2(device, chain);
            });
        }
        let mut subgroups = vk::PhysicalDeviceSubgroupProperties::default();
        if core.api_version >= vk::API_VERSION_1_1 {
            let mut chain = vk::PhysicalDeviceProperties2::default().push_next(&mut subgroups);
            // SAFETY: as above; the struct of Vulkan 1.1 is known to the device.
            unsafe { instance.raw.get_physical_device_properties2(device, &mut chain) };
        }
        let limits = &core.limits;
        let is_processor = core.device_type == vk::PhysicalDeviceType::CPU;
        let local = vk::MemoryHeapFlags::DEVICE_LOCAL;
        Ok(Self {
            device,
            name: core.device_name_as_c_str().unwrap_or(c"?").to_string_lossy().into_owned(),
            memory: memory
                .memory_heaps_as_slice()
                .iter()
                .filter(|heap| heap.flags.contains(local))
                .map(|h| h.size)
                .sum(),
            lanes: limits.max_compute_work_group_invocations.min(limits.max_compute_work_group_size[0]).min(1024),
            subgroup: subgroups.subgroup_size,
            workers: if is_processor {
                std::thread::available_parallelism().map_or(1, |all| all.get() as u32)
            } else if has(ash::nv::shader_sm_builtins::NAME) {
                multiprocessors(instance, device)
            } else {
                WORKERS
            },
            shared_memory: limits.max_compute_shared_memory_size,
            features: Features::from_sets(sets),
            family: choose_family(&families),
            is_processor,
            portability_subset: has(ash::khr::portability_subset::NAME),
            host_import: (core.api_version >= vk::API_VERSION_1_1 && has(ash::ext::external_memory_host::NAME))
                .then(|| import_alignment(instance, device))
                .flatten(),
            version: core.api_version,
            memory_types: memory.memory_types_as_slice().to_vec(),
        })
    }

    /// Why we cannot use it, if so.
    pub(super) fn unusable(&self) -> Option<String> {
        if self.version < vk::API_VERSION_1_2 {
            let (major, minor) = (vk::api_version_major(self.version), vk::api_version_minor(self.version));
            return Some(format!("it knows Vulkan {major}.{minor}, 1.2 is needed"));
        }
        let missing = self.features.missing();
        if !missing.is_empty() {
            return Some(format!("it has no {}", missing.join(", no ")));
        }
        if self.family.is_none() {
            return Some("it has no queue that computes".into());
        }
        None
    }

    /// The best type of memory among those that `allowed` has a bit for.
    pub(super) fn memory_type(&self, allowed: u32, purpose: Use) -> Option<u32> {
        use vk::MemoryPropertyFlags as Has;
        let coherent = Has::HOST_VISIBLE | Has::HOST_COHERENT;
        let wishes: &[Has] = match purpose {
            Use::Device => &[Has::DEVICE_LOCAL, Has::empty()],
            Use::Host => &[coherent | Has::HOST_CACHED, coherent],
            Use::Window => &[coherent | Has::DEVICE_LOCAL],
        };
        wishes.iter().find_map(|wish| {
            let fits = |(index, kind): &(usize, &vk::MemoryType)| {
                allowed >> index & 1 == 1 && kind.property_flags.contains(*wish)
            };
            self.memory_types.iter().enumerate().find(fits).map(|(index, _)| index as u32)
        })
    }

    /// Whether the host writes memory of that type without going through the device's.
    pub(super) fn is_host_visible(&self, memory_type: u32) -> bool {
        let flags = self.memory_types[memory_type as usize].property_flags;
        flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT)
    }
}

/// `None`: buffers like ours cannot have such memory.
fn import_alignment(instance: &Instance, device: vk::PhysicalDevice) -> Option<u64> {
    let info = vk::PhysicalDeviceExternalBufferInfo::default().usage(USAGE).handle_type(IMPORTED);
    let mut external = vk::ExternalBufferProperties::default();
    // SAFETY: the device is the instance's and knows Vulkan 1.1; the structs are whole.
    unsafe { instance.raw.get_physical_device_external_buffer_properties(device, &info, &mut external) };
    let features = external.external_memory_properties.external_memory_features;
    if !features.contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE) {
        return None;
    }
    let mut imports = vk::PhysicalDeviceExternalMemoryHostPropertiesEXT::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut imports);
    // SAFETY: the device is the instance's and has the extension that the struct is of.
    unsafe { instance.raw.get_physical_device_properties2(device, &mut properties) };
    Some(imports.min_imported_host_pointer_alignment.max(1))
}

fn multiprocessors(instance: &Instance, device: vk::PhysicalDevice) -> u32 {
    let mut counted = vk::PhysicalDeviceShaderSMBuiltinsPropertiesNV::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut counted);
    // SAFETY: the device is the instance's and has the extension that the struct is of.
    unsafe { instance.raw.get_physical_device_properties2(device, &mut properties) };
    counted.shader_sm_count.max(1)
}

/// Rather one that does nothing but compute, which is beside what the host program draws; then the one with most queues.
fn choose_family(families: &[vk::QueueFamilyProperties]) -> Option<Family> {
    let computes = |family: &&(usize, &vk::QueueFamilyProperties)| {
        family.1.queue_flags.contains(vk::QueueFlags::COMPUTE) && family.1.queue_count > 0
    };
    let worth = |family: &&(usize, &vk::QueueFamilyProperties)| {
        (!family.1.queue_flags.contains(vk::QueueFlags::GRAPHICS), family.1.queue_count.min(QUEUES))
    };
    let families: Vec<_> = families.iter().enumerate().collect();
    let best = families.iter().filter(computes).rev().max_by_key(worth)?;
    Some(Family { index: best.0 as u32, queues: best.1.queue_count.min(QUEUES) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(flags: vk::QueueFlags, count: u32) -> vk::QueueFamilyProperties {
        vk::QueueFamilyProperties::default().queue_flags(flags).queue_count(count)
    }

    #[test]
    fn the_family_that_only_computes_is_chosen() {
        let all = vk::QueueFlags::GRAPHICS | vk::QueueFlags::COMPUTE | vk::QueueFlags::TRANSFER;
        let compute = vk::QueueFlags::COMPUTE | vk::QueueFlags::TRANSFER;
        let chosen = |families: &[_]| choose_family(families).map(|family| (family.index, family.queues));
        assert_eq!(chosen(&[family(all, 16), family(vk::QueueFlags::TRANSFER, 2), family(compute, 8)]), Some((2, 8)));
        assert_eq!(chosen(&[family(all, 1)]), Some((0, 1)));
        assert_eq!(chosen(&[family(all, 16), family(all, 1)]), Some((0, 8)));
        assert_eq!(chosen(&[family(vk::QueueFlags::TRANSFER, 1), family(compute, 0)]), None);
    }
}
