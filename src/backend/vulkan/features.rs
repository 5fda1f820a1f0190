//! What a device must be able to do, and what modules may ask of it beyond that.

use ash::vk;

/// One ability of a device, as the driver, a shader and the host program name it.
pub(super) struct Feature {
    /// In Vulkan's structs, for reasons.
    pub(super) name: &'static str,
    /// Bit of a set of features; the numbers are `RK_VULKAN_...`.
    bit: u32,
    /// In SPIR-V that uses it; 0 if nothing there says so.
    capability: u32,
    /// Without it no kernel runs.
    needed: bool,
    in_set: fn(&mut Sets) -> &mut vk::Bool32,
}

/// The structs that a driver fills and that a device is made with.
#[derive(Default)]
pub(super) struct Sets {
    core: vk::PhysicalDeviceFeatures,
    v11: vk::PhysicalDeviceVulkan11Features<'static>,
    v12: vk::PhysicalDeviceVulkan12Features<'static>,
    /// Of VK_KHR_shader_clock.
    clock: vk::PhysicalDeviceShaderClockFeaturesKHR<'static>,
}

impl Sets {
    /// Calls `with` on the structs as a chain. `clock`: with those of the extension, which not every device knows.
    pub(super) fn chained<R>(
        &mut self,
        clock: bool,
        with: impl FnOnce(&mut vk::PhysicalDeviceFeatures2<'_>) -> R,
    ) -> R {
        self.v11.p_next = std::ptr::null_mut();
        self.v12.p_next = std::ptr::null_mut();
        self.clock.p_next = std::ptr::null_mut();
        let mut chain = vk::PhysicalDeviceFeatures2::default().features(self.core);
        chain = chain.push_next(&mut self.v11).push_next(&mut self.v12);
        if clock {
            chain = chain.push_next(&mut self.clock);
        }
        let result = with(&mut chain);
        self.core = chain.features;
        result
    }
}

macro_rules! features {
    ($($bit:literal $field:ident in $set:ident, $name:literal, $capability:ident, $needed:literal;)*) => {
        /// All of them. Those that are needed are what the pump and the dialect are made of.
        pub(super) const ALL: &[Feature] = &[$(Feature {
            name: $name,
            bit: 1 << $bit,
            capability: capability::$capability,
            needed: $needed,
            in_set: |sets| &mut sets.$set.$field,
        },)*];
    };
}

/// Numbers of the SPIR-V specification, section 3.31.
pub(super) mod capability {
    pub(super) const UNSAID: u32 = 0;
    pub(super) const FLOAT64: u32 = 10;
    pub(super) const INT64: u32 = 11;
    pub(super) const INT64_ATOMICS: u32 = 12;
    pub(super) const INT16: u32 = 22;
    pub(super) const INT8: u32 = 39;
    pub(super) const STORAGE_BUFFER_16_BIT_ACCESS: u32 = 4433;
    pub(super) const STORAGE_BUFFER_8_BIT_ACCESS: u32 = 4448;
    pub(in super::super) const SHADER_CLOCK: u32 = 5055;
    pub(super) const VULKAN_MEMORY_MODEL: u32 = 5345;
    pub(super) const VULKAN_MEMORY_MODEL_DEVICE_SCOPE: u32 = 5346;
    pub(super) const PHYSICAL_STORAGE_BUFFER_ADDRESSES: u32 = 5347;
}

features! {
    0 vulkan_memory_model in v12, "vulkanMemoryModel", VULKAN_MEMORY_MODEL, true;
    1 vulkan_memory_model_device_scope in v12, "vulkanMemoryModelDeviceScope", VULKAN_MEMORY_MODEL_DEVICE_SCOPE, true;
    2 buffer_device_address in v12, "bufferDeviceAddress", PHYSICAL_STORAGE_BUFFER_ADDRESSES, true;
    3 scalar_block_layout in v12, "scalarBlockLayout", UNSAID, true;
    4 timeline_semaphore in v12, "timelineSemaphore", UNSAID, true;
    5 shader_int64 in core, "shaderInt64", INT64, true;
    6 shader_buffer_int64_atomics in v12, "shaderBufferInt64Atomics", INT64_ATOMICS, true;
    7 shader_int16 in core, "shaderInt16", INT16, false;
    8 shader_int8 in v12, "shaderInt8", INT8, false;
    9 storage_buffer16_bit_access in v11, "storageBuffer16BitAccess", STORAGE_BUFFER_16_BIT_ACCESS, false;
    10 storage_buffer8_bit_access in v12, "storageBuffer8BitAccess", STORAGE_BUFFER_8_BIT_ACCESS, false;
    11 shader_float64 in core, "shaderFloat64", FLOAT64, false;
    12 shader_device_clock in clock, "shaderDeviceClock", SHADER_CLOCK, false;
    13 shader_subgroup_clock in clock, "shaderSubgroupClock", SHADER_CLOCK, false;
}

/// Some of [`ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features(u32);

impl Features {
    /// From the bits that a host program gives; an error tells of a bit that is none.
    pub(crate) fn from_bits(bits: u32) -> Result<Self, u32> {
        let known = ALL.iter().fold(0, |bits, feature| bits | feature.bit);
        match bits & !known {
            0 => Ok(Self(bits)),
            unknown => Err(unknown),
        }
    }

    /// Those that a driver says it has.
    pub(super) fn from_sets(mut sets: Sets) -> Self {
        Self(ALL.iter().filter(|feature| *(feature.in_set)(&mut sets) == vk::TRUE).fold(0, |bits, f| bits | f.bit))
    }

    /// To make a device with.
    pub(super) fn to_sets(self) -> Sets {
        let mut sets = Sets::default();
        for feature in ALL.iter().filter(|feature| self.0 & feature.bit != 0) {
            *(feature.in_set)(&mut sets) = vk::TRUE;
        }
        sets
    }

    /// Names of those that latencies are measured with, of VK_KHR_shader_clock.
    pub(super) fn missing_clocks(self) -> Vec<&'static str> {
        self.missing_for(&[capability::SHADER_CLOCK])
    }

    fn lacks(self, feature: &Feature) -> bool {
        self.0 & feature.bit == 0
    }

    /// Names of those that no kernel can do without.
    pub(super) fn missing(self) -> Vec<&'static str> {
        ALL.iter().filter(|feature| feature.needed && self.lacks(feature)).map(|feature| feature.name).collect()
    }

    /// Names of those that a shader asks for by these capabilities.
    pub(super) fn missing_for(self, capabilities: &[u32]) -> Vec<&'static str> {
        ALL.iter()
            .filter(|feature| capabilities.contains(&feature.capability) && self.lacks(feature))
            .map(|feature| feature.name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_bits_say_the_same() {
        let all = Features(ALL.iter().fold(0, |bits, feature| bits | feature.bit));
        assert_eq!(Features::from_sets(all.to_sets()), all);
        assert!(all.missing().is_empty());
        assert_eq!(Features::from_bits(1 << 14), Err(1 << 14));
        for (number, feature) in ALL.iter().enumerate() {
            assert_eq!(feature.bit, 1 << number, "{}", feature.name);
            let without = Features(all.0 & !feature.bit);
            assert_eq!(Features::from_sets(without.to_sets()), without);
            assert_eq!(without.missing(), if feature.needed { vec![feature.name] } else { vec![] });
            if feature.capability != 0 {
                assert_eq!(without.missing_for(&[1, feature.capability]), [feature.name]);
            }
        }
    }
}
