//! What no query tells about a device: whether it cuts loops short, and whether a dispatch that runs sees what the host
//! writes, and the host what it answers. Neither is promised by Vulkan; where it holds, a pump may stay on the device.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ash::vk;

use super::code::Code;
use super::device::{Device, Timeline, PATIENCE};
use super::memory::Piece;
use super::physical::Use;
use super::refused;
use super::spirv::Spirv;
use crate::error::{Error, Result};
use crate::selftest::Measured;

/// Made from `probe.comp`.
static SPIRV: &[u8] = include_bytes!("probe.spv");

/// More than drivers allow that have a limit: Mesa's llvmpipe before 23 ends all loops after 65,535 turns.
const TURNS: u32 = 70_000;
/// Calls that a running dispatch has to answer.
const CALLS: u32 = 64;
/// Looks of the dispatch for one call: some tenths of a second.
const LOOKS: u32 = 2_000_000;
/// How long the host waits for one answer.
const ANSWER: Duration = Duration::from_millis(20);

/// `asked` in `probe.comp`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Asked {
    call: u64,
    answer: u64,
    result: u64,
    turns: u32,
    calls: u32,
    patience: u32,
    pad: u32,
}

/// What was found out.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    /// Loops are ended after some 65,000 turns in all.
    pub(super) cuts_loops: bool,
    /// Times from a call to its answer; or why the pump cannot stay on the device.
    pub(super) resident: std::result::Result<Measured, &'static str>,
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.resident {
            Ok(times) => write!(f, "a running dispatch answers the host in {:?}, the pump may stay on it", times.p50),
            Err(reason) => write!(f, "bounded pump, because {reason}"),
        }
    }
}

/// Asks the device.
pub(super) fn probe(device: &Device) -> Result<Findings> {
    let code = Code::of_shader(device, &Spirv::read(SPIRV)?, &[], size_of::<Asked>() as u32)?;
    let mut pieces = Vec::new();
    let mut run = Run { device, code: &code, pool: vk::CommandPool::null(), timeline: Timeline::new(device)? };
    let findings = run.prepare().and_then(|commands| {
        pieces.push(Piece::new(device, 128, Use::Host)?);
        if device.has_window() {
            pieces.push(Piece::new(device, 128, Use::Window)?);
        }
        run.ask(commands, &pieces)
    });
    if run.end() {
        // SAFETY: what was submitted has ended.
        unsafe {
            pieces.iter().for_each(|piece| piece.free(device));
            code.destroy(device);
        }
    }
    findings
}

/// One use of the queue.
struct Run<'a> {
    device: &'a Device,
    code: &'a Code,
    pool: vk::CommandPool,
    timeline: Arc<Timeline>,
}

impl Run<'_> {
    fn prepare(&mut self) -> Result<[vk::CommandBuffer; 2]> {
        let raw = &self.device.raw;
        let info = vk::CommandPoolCreateInfo::default().queue_family_index(self.device.family());
        // SAFETY: the structs are whole, here and below.
        self.pool = unsafe { raw.create_command_pool(&info, None) }.map_err(refused("a command pool"))?;
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(2);
        // SAFETY: as above.
        let commands = unsafe { raw.allocate_command_buffers(&info) }.map_err(refused("command buffers"))?;
        Ok([commands[0], commands[1]])
    }

    fn ask(&self, [loops, calls]: [vk::CommandBuffer; 2], pieces: &[Piece]) -> Result<Findings> {
        let words = |piece: &Piece| piece.host.expect("of a kind that the host reaches").cast::<AtomicU64>();
        // SAFETY: the piece has 16 words of 8 bytes, used as atomics by both sides.
        let word = |piece: &Piece, index: usize| unsafe { &*words(piece).as_ptr().add(index) };
        let (host, inbound) = (&pieces[0], pieces.last().expect("the host's at least"));
        let mut asked = Asked {
            call: inbound.address,
            answer: host.address + 64,
            result: host.address,
            turns: TURNS,
            calls: 0,
            patience: LOOKS,
            pad: 0,
        };
        self.submit(loops, &asked)?;
        if !self.device.wait(self.timeline.semaphore, 1, PATIENCE)? {
            return Err(Error::Unfinished("the probe of the device does not end"));
        }
        let turns = word(host, 0).load(Ordering::Acquire);
        let mut findings = Findings { cuts_loops: turns != u64::from(TURNS), resident: Err("") };
        if findings.cuts_loops {
            findings.resident = Err("the driver ends loops early");
            return Ok(findings);
        }
        (asked.turns, asked.calls) = (0, CALLS);
        self.submit(calls, &asked)?;
        let mut times = Vec::new();
        for number in 1..=u64::from(CALLS) {
            let called = Instant::now();
            // Release: nothing else is said by it.
            word(inbound, 0).store(number, Ordering::Release);
            // SAFETY: every x86-64 has it; it brings the store out to the device's memory.
            unsafe { std::arch::x86_64::_mm_sfence() };
            // The first may have to wait for the dispatch to begin.
            let patience = if number == 1 { 10 * ANSWER } else { ANSWER };
            while word(host, 8).load(Ordering::Acquire) != number {
                if called.elapsed() > patience {
                    findings.resident =
                        Err("a dispatch does not see what the host writes, or the host not what it answers");
                    return Ok(findings);
                }
                std::hint::spin_loop();
            }
            // That it was answered while the dispatch ran, and not at its end.
            if number < u64::from(CALLS) && self.device.has_ended(&self.timeline)? {
                findings.resident = Err("a dispatch ended before its time");
                return Ok(findings);
            }
            times.push(called.elapsed());
        }
        findings.resident = Ok(Measured::of(times, u64::from(CALLS)));
        Ok(findings)
    }

    fn submit(&self, commands: vk::CommandBuffer, asked: &Asked) -> Result<()> {
        let raw = &self.device.raw;
        // SAFETY: the command buffer is ours and used once; the code and all memory stay until it has ended.
        let recorded = unsafe {
            raw.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()).and_then(|()| {
                self.code.record(self.device, commands, bytemuck::bytes_of(asked), 1);
                super::code::order_memory(
                    self.device,
                    commands,
                    vk::PipelineStageFlags::HOST,
                    vk::AccessFlags::HOST_READ,
                );
                raw.end_command_buffer(commands)
            })
        };
        recorded.map_err(refused("recording commands"))?;
        self.device.submit(0, commands, &self.timeline).map(|_| ())
    }

    /// False if something of it may still be running.
    fn end(&self) -> bool {
        let ended = self.device.outlast_dispatches();
        self.device.forget(&self.timeline);
        if ended {
            // SAFETY: made by us, and what was submitted has ended.
            unsafe {
                self.device.raw.destroy_command_pool(self.pool, None);
                self.device.raw.destroy_semaphore(self.timeline.semaphore, None);
            }
        }
        ended
    }
}
