//! Copies to and from memory that the host does not reach.

use std::ptr::NonNull;
use std::sync::Arc;

use ash::vk;

use super::device::{Device, Timeline, PATIENCE};
use super::memory::Memory;
use super::physical::Use;
use super::refused;
use crate::error::{Error, Result};

/// Bytes that go at once.
const STAGE: usize = 1 << 20;

/// Copies through a piece of host memory, one at a time, each to its end.
pub(super) struct Transfer {
    /// Made when it is first needed.
    stage: Option<Memory>,
    pool: vk::CommandPool,
    commands: vk::CommandBuffer,
    timeline: Arc<Timeline>,
    /// A copy that has not ended: it has the commands and the stage.
    unfinished: Option<u64>,
    device: Arc<Device>,
}

// SAFETY: the command pool is used by one thread at a time, whichever has the transfer.
unsafe impl Send for Transfer {}

impl Transfer {
    pub(super) fn new(device: &Arc<Device>) -> Result<Self> {
        let timeline = Timeline::new(device)?;
        let mut transfer = Self {
            stage: None,
            pool: vk::CommandPool::null(),
            commands: vk::CommandBuffer::null(),
            timeline,
            unfinished: None,
            device: device.clone(),
        };
        let info = vk::CommandPoolCreateInfo::default()
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER)
            .queue_family_index(device.family());
        // SAFETY: the structs are whole, here and below.
        transfer.pool = unsafe { device.raw.create_command_pool(&info, None) }.map_err(refused("a command pool"))?;
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(transfer.pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        // SAFETY: as above.
        let commands = unsafe { device.raw.allocate_command_buffers(&info) }.map_err(refused("a command buffer"))?;
        transfer.commands = commands[0];
        Ok(transfer)
    }

    pub(super) fn zero(&mut self, buffer: vk::Buffer, at: usize, size: usize) -> Result<()> {
        self.await_last()?;
        let size = (size as u64).next_multiple_of(4);
        // SAFETY: the place is within the buffer; the command buffer is being recorded.
        self.run(|raw, commands| unsafe { raw.cmd_fill_buffer(commands, buffer, at as u64, size, 0) })
    }

    /// From one place of a buffer to another that has nothing of it.
    pub(super) fn copy(&mut self, buffer: vk::Buffer, from: usize, to: usize, size: usize) -> Result<()> {
        self.await_last()?;
        let region = [vk::BufferCopy::default().src_offset(from as u64).dst_offset(to as u64).size(size as u64)];
        // SAFETY: as above.
        self.run(|raw, commands| unsafe { raw.cmd_copy_buffer(commands, buffer, buffer, &region) })
    }

    pub(super) fn upload(&mut self, buffer: vk::Buffer, at: usize, bytes: &[u8]) -> Result<()> {
        let (from, host) = self.stage()?;
        for (number, part) in bytes.chunks(STAGE).enumerate() {
            // SAFETY: the stage has room for a part, and the copy before has ended.
            unsafe { host.as_ptr().copy_from_nonoverlapping(part.as_ptr(), part.len()) };
            let region = [vk::BufferCopy::default().dst_offset((at + number * STAGE) as u64).size(part.len() as u64)];
            // SAFETY: both places are within their buffers; the command buffer is being recorded.
            self.run(|raw, commands| unsafe { raw.cmd_copy_buffer(commands, from, buffer, &region) })?;
        }
        Ok(())
    }

    pub(super) fn download(&mut self, buffer: vk::Buffer, at: usize, bytes: &mut [u8]) -> Result<()> {
        let (to, host) = self.stage()?;
        for (number, part) in bytes.chunks_mut(STAGE).enumerate() {
            let region = [vk::BufferCopy::default().src_offset((at + number * STAGE) as u64).size(part.len() as u64)];
            // SAFETY: as above.
            self.run(|raw, commands| unsafe { raw.cmd_copy_buffer(commands, buffer, to, &region) })?;
            // SAFETY: as above; the copy has ended.
            unsafe { host.as_ptr().copy_to_nonoverlapping(part.as_mut_ptr(), part.len()) };
        }
        Ok(())
    }

    /// Host memory for a part of a copy.
    fn stage(&mut self) -> Result<(vk::Buffer, NonNull<u8>)> {
        self.await_last()?;
        let stage = match self.stage.take() {
            Some(stage) => stage,
            None => Memory::new(&self.device, STAGE, Use::Host)?,
        };
        let stage = self.stage.insert(stage);
        Ok((stage.buffer(), stage.host().expect("host memory is the host's too")))
    }

    fn run(&mut self, record: impl FnOnce(&ash::Device, vk::CommandBuffer)) -> Result<()> {
        let raw = &self.device.raw;
        let begin = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        let shaders = vk::AccessFlags::SHADER_READ | vk::AccessFlags::SHADER_WRITE;
        let before = [vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::SHADER_WRITE)
            .dst_access_mask(vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE)];
        let after = [vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
            .dst_access_mask(shaders | vk::AccessFlags::HOST_READ)];
        let copies = vk::PipelineStageFlags::TRANSFER;
        let kernels = vk::PipelineStageFlags::COMPUTE_SHADER;
        // SAFETY: the command buffer is ours, and what it did before has ended.
        unsafe {
            raw.begin_command_buffer(self.commands, &begin).map_err(refused("recording commands"))?;
            let none = vk::DependencyFlags::empty();
            raw.cmd_pipeline_barrier(self.commands, kernels, copies, none, &before, &[], &[]);
            record(raw, self.commands);
            let then = kernels | vk::PipelineStageFlags::HOST;
            raw.cmd_pipeline_barrier(self.commands, copies, then, none, &after, &[], &[]);
            raw.end_command_buffer(self.commands).map_err(refused("recording commands"))?;
        }
        // Not a kernel's queue in particular; whatever runs there leaves within a quantum.
        let value = self.device.submit(0, self.commands, &self.timeline)?;
        self.unfinished = Some(value);
        self.await_last()
    }

    fn await_last(&mut self) -> Result<()> {
        if let Some(value) = self.unfinished {
            if !self.device.wait(self.timeline.semaphore, value, PATIENCE)? {
                return Err(Error::Unfinished("a copy to or from the device does not end"));
            }
            self.unfinished = None;
        }
        Ok(())
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let ended = self.device.outlast_dispatches();
        self.device.forget(&self.timeline);
        if ended {
            // SAFETY: made by us, and none of it is in use any more.
            unsafe {
                self.device.raw.destroy_command_pool(self.pool, None);
                self.device.raw.destroy_semaphore(self.timeline.semaphore, None);
            }
        }
    }
}
