//! Shaders as the device runs them: a module's SPIR-V, and our own.

use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::refused;
use super::spirv::Spirv;
use crate::error::{Error, Result};

/// Bytes of a workgroup's memory that the pump has for itself, rounded up: what `include/ringkernel/vulkan` calls `shared`.
const SHARED: u32 = 256;

/// A pipeline. Whoever has it destroys it.
pub(super) struct Code {
    pipeline: vk::Pipeline,
    layout: vk::PipelineLayout,
}

impl Code {
    /// A shader with its specialisation constants, numbered from 0, and so many bytes of push constants.
    pub(super) fn of_shader(device: &Device, spirv: &Spirv, constants: &[u32], push: u32) -> Result<Self> {
        let ranges = [vk::PushConstantRange::default().stage_flags(vk::ShaderStageFlags::COMPUTE).size(push)];
        let info = vk::PipelineLayoutCreateInfo::default().push_constant_ranges(&ranges);
        // SAFETY: the structs are whole, here and below.
        let layout =
            unsafe { device.raw.create_pipeline_layout(&info, None) }.map_err(refused("a pipeline's layout"))?;
        let mut code = Self { pipeline: vk::Pipeline::null(), layout };
        match code.compile(device, spirv, constants) {
            Ok(()) => Ok(code),
            Err(error) => {
                // SAFETY: just made.
                unsafe { code.destroy(device) };
                Err(error)
            }
        }
    }

    fn compile(&mut self, device: &Device, spirv: &Spirv, constants: &[u32]) -> Result<()> {
        let info = vk::ShaderModuleCreateInfo::default().code(&spirv.words);
        // SAFETY: as above. That the SPIR-V is valid is what the module's maker, glslc, is trusted for.
        let module = unsafe { device.raw.create_shader_module(&info, None) }.map_err(refused("the module's SPIR-V"))?;
        let entries: Vec<_> = (0..constants.len() as u32)
            .map(|id| vk::SpecializationMapEntry::default().constant_id(id).offset(4 * id).size(4))
            .collect();
        let constants = vk::SpecializationInfo::default().map_entries(&entries).data(bytemuck::cast_slice(constants));
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main")
            .specialization_info(&constants);
        let info = [vk::ComputePipelineCreateInfo::default().stage(stage).layout(self.layout)];
        // SAFETY: as above; the module is no longer needed when the pipeline is made.
        let made = unsafe {
            let made = device.raw.create_compute_pipelines(vk::PipelineCache::null(), &info, None);
            device.raw.destroy_shader_module(module, None);
            made
        };
        self.pipeline = made.map_err(|(_, result)| refused("compiling the pump")(result))?[0];
        Ok(())
    }

    /// Records one run of so many workgroups.
    ///
    /// # Safety
    /// `commands` is being recorded, and `push` is as large as the layout says.
    pub(super) unsafe fn record(&self, device: &Device, commands: vk::CommandBuffer, push: &[u8], groups: u32) {
        // SAFETY: the caller's promise.
        unsafe {
            device.raw.cmd_bind_pipeline(commands, vk::PipelineBindPoint::COMPUTE, self.pipeline);
            device.raw.cmd_push_constants(commands, self.layout, vk::ShaderStageFlags::COMPUTE, 0, push);
            device.raw.cmd_dispatch(commands, groups, 1, 1);
        }
    }

    /// # Safety
    /// No dispatch of it is under way.
    pub(super) unsafe fn destroy(&self, device: &Device) {
        // SAFETY: made by us; the caller's promise.
        unsafe {
            device.raw.destroy_pipeline(self.pipeline, None);
            device.raw.destroy_pipeline_layout(self.layout, None);
        }
    }
}

/// The pump with an actor's handlers, twice: with all there is, and for the way of most messages only. The way of the one is as
/// long as the other is large: processors run through what they do not execute, and on an H200 both in one program, 270 KB of
/// code, took 4.2 us a message of a row, where the small one alone took 1.4 when it had 47 KB, and takes 0.96 with 70.
pub(super) struct PumpCode {
    pub(super) thorough: Code,
    pub(super) quick: Code,
    device: Arc<Device>,
}

impl PumpCode {
    /// For workers of so many lanes with so much scratch memory, which measure latencies or do not.
    pub(super) fn new(
        device: &Arc<Device>,
        spirv: &Spirv,
        lanes: u32,
        scratch: u32,
        whole_words: bool,
        measures: bool,
    ) -> Result<Self> {
        let properties = &device.properties;
        let refuse = |why: String| Err(Error::Unsupported(format!("{}: {why}", properties.name)));
        let missing = properties.features.missing_for(&spirv.capabilities);
        if !missing.is_empty() {
            return refuse(format!("it has no {}, which the module uses", missing.join(", no ")));
        }
        if lanes > properties.lanes {
            return refuse(format!("a worker can have {} lanes, not {lanes}", properties.lanes));
        }
        let most = properties.shared_memory.saturating_sub(SHARED);
        if scratch > most {
            return refuse(format!("a worker has {most} bytes of scratch memory, not {scratch}"));
        }
        let push = size_of::<u64>() as u32;
        // As worker.glsl, memory.glsl and latency.glsl number them.
        let shape = |thorough: bool| [lanes, thorough.into(), whole_words.into(), measures.into()];
        let thorough = Code::of_shader(device, spirv, &shape(true), push)?;
        match Code::of_shader(device, spirv, &shape(false), push) {
            Ok(quick) => Ok(Self { thorough, quick, device: device.clone() }),
            Err(error) => {
                // SAFETY: just made.
                unsafe { thorough.destroy(device) };
                Err(error)
            }
        }
    }
}

impl Drop for PumpCode {
    fn drop(&mut self) {
        if self.device.outlast_dispatches() {
            // SAFETY: no dispatch is under way.
            unsafe {
                self.thorough.destroy(&self.device);
                self.quick.destroy(&self.device);
            }
        }
    }
}

/// Records a fence between what dispatches have written and what comes after. The command buffer is being recorded.
pub(super) fn order_memory(
    device: &Device,
    commands: vk::CommandBuffer,
    to: vk::PipelineStageFlags,
    access: vk::AccessFlags,
) {
    let barrier = [vk::MemoryBarrier::default().src_access_mask(vk::AccessFlags::SHADER_WRITE).dst_access_mask(access)];
    let from = vk::PipelineStageFlags::COMPUTE_SHADER;
    // SAFETY: the caller records it.
    unsafe { device.raw.cmd_pipeline_barrier(commands, from, to, vk::DependencyFlags::empty(), &barrier, &[], &[]) };
}
