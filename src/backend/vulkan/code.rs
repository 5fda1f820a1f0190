//! A module's SPIR-V as the device runs it.

use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::refused;
use super::spirv::Spirv;
use crate::error::{Error, Result};

/// What a recorded dispatch is told. `rk_push` in `pump.comp`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Push {
    /// Address of the [`Order`](super::stream::Order).
    pub(super) order: u64,
}

/// The pump in the shapes that a device needs.
#[derive(Clone)]
pub(super) struct Variants {
    pub(super) thorough: Arc<Code>,
    /// Without what is seldom, for devices that run through what they do not execute.
    pub(super) fast: Option<Arc<Code>>,
}

impl Variants {
    pub(super) fn new(device: &Arc<Device>, spirv: &Spirv, lanes: u32, scratch: u32) -> Result<Self> {
        let make = |thorough| Code::new(device, spirv, lanes, scratch, thorough).map(Arc::new);
        let fast = if device.properties.is_processor { Some(make(false)?) } else { None };
        Ok(Self { thorough: make(true)?, fast })
    }
}

/// A pipeline.
pub(super) struct Code {
    pub(super) pipeline: vk::Pipeline,
    pub(super) layout: vk::PipelineLayout,
    device: Arc<Device>,
}

impl Code {
    /// The pump with an actor's handlers, for workers of so many lanes. `thorough`: with all that is seldom.
    fn new(device: &Arc<Device>, spirv: &Spirv, lanes: u32, scratch: u32, thorough: bool) -> Result<Self> {
        let properties = &device.properties;
        let refuse = |why: String| Err(Error::Unsupported(format!("{}: {why}", properties.name)));
        let missing = properties.features.missing_for(&spirv.capabilities);
        if !missing.is_empty() {
            return refuse(format!("it has no {}, which the module uses", missing.join(", no ")));
        }
        if lanes > properties.lanes {
            return refuse(format!("a worker can have {} lanes, not {lanes}", properties.lanes));
        }
        if scratch > properties.shared_memory {
            return refuse(format!("a worker has {} bytes of scratch memory, not {scratch}", properties.shared_memory));
        }
        let ranges = [vk::PushConstantRange::default()
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
            .size(size_of::<Push>() as u32)];
        let info = vk::PipelineLayoutCreateInfo::default().push_constant_ranges(&ranges);
        // SAFETY: the structs are whole, here and below.
        let layout = unsafe { device.raw.create_pipeline_layout(&info, None) }.map_err(refused("a pipeline's layout"))?;
        // From here on dropping it destroys what there is.
        let mut code = Self { pipeline: vk::Pipeline::null(), layout, device: device.clone() };
        let info = vk::ShaderModuleCreateInfo::default().code(&spirv.words);
        // SAFETY: as above. That the SPIR-V is valid is what the module's maker, glslc, is trusted for.
        let module = unsafe { device.raw.create_shader_module(&info, None) }.map_err(refused("the module's SPIR-V"))?;
        let entry = |id: u32| vk::SpecializationMapEntry::default().constant_id(id).offset(4 * id).size(4);
        let (entries, constants) = ([entry(0), entry(1)], [lanes, u32::from(thorough)]);
        let constants =
            vk::SpecializationInfo::default().map_entries(&entries).data(bytemuck::cast_slice(&constants));
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main")
            .specialization_info(&constants);
        let info = [vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout)];
        // SAFETY: as above; the module is no longer needed when the pipeline is made.
        let made = unsafe {
            let made = device.raw.create_compute_pipelines(vk::PipelineCache::null(), &info, None);
            device.raw.destroy_shader_module(module, None);
            made
        };
        code.pipeline = made.map_err(|(_, result)| refused("compiling the pump")(result))?[0];
        Ok(code)
    }

    /// Records one run of so many workers.
    ///
    /// # Safety
    /// `commands` is being recorded.
    pub(super) unsafe fn record(&self, commands: vk::CommandBuffer, push: Push, workers: u32) {
        let raw = &self.device.raw;
        let stage = vk::ShaderStageFlags::COMPUTE;
        // SAFETY: the caller's promise; the layout has these constants.
        unsafe {
            raw.cmd_bind_pipeline(commands, vk::PipelineBindPoint::COMPUTE, self.pipeline);
            raw.cmd_push_constants(commands, self.layout, stage, 0, bytemuck::bytes_of(&push));
            raw.cmd_dispatch(commands, workers, 1, 1);
        }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        if self.device.outlast_dispatches() {
            // SAFETY: made by us, and no dispatch of it is under way.
            unsafe {
                self.device.raw.destroy_pipeline(self.pipeline, None);
                self.device.raw.destroy_pipeline_layout(self.layout, None);
            }
        }
    }
}

/// For `Code::record`'s users: a fence between what dispatches write and what comes after reads.
pub(super) fn order_memory(device: &Device, commands: vk::CommandBuffer, to: vk::PipelineStageFlags, access: vk::AccessFlags) {
    let barrier = [vk::MemoryBarrier::default()
        .src_access_mask(vk::AccessFlags::SHADER_WRITE)
        .dst_access_mask(access)];
    let from = vk::PipelineStageFlags::COMPUTE_SHADER;
    // SAFETY: the command buffer is being recorded by the caller.
    unsafe { device.raw.cmd_pipeline_barrier(commands, from, to, vk::DependencyFlags::empty(), &barrier, &[], &[]) };
}

