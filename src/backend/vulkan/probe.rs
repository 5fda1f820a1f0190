//! What no query tells about a device: whether it cuts loops short, whether a dispatch that runs sees what the host
//! writes, and the host what it answers, and whether 16 bytes move whole between them. None of it is promised by Vulkan; where
//! it holds, a pump may stay on the device, and reads and writes words of slots as they are.

use std::arch::x86_64::{__m128i, _mm_sfence};
use std::ptr::NonNull;
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
/// Pairs that the host writes while the device reads, some milliseconds long, and how many of them at least it must have seen
/// for that to say something.
const PAIRS: u32 = 50_000;
const SEEN: u64 = 500;
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
    pairs: u32,
}

/// What was found out.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    /// Loops are ended after some 65,000 turns in all.
    pub(super) cuts_loops: bool,
    /// Times from a call to its answer; or why the pump cannot stay on the device.
    pub(super) resident: std::result::Result<Measured, &'static str>,
    /// Words of 16 bytes are read and written whole, on both sides.
    pub(super) whole_words: bool,
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.resident {
            Ok(times) => {
                let words = if self.whole_words { "whole" } else { "in halves" };
                let p50 = times.p50;
                write!(f, "a running dispatch answers the host in {p50:?}, the pump may stay on it; words move {words}")
            }
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
    fn prepare(&mut self) -> Result<[vk::CommandBuffer; 3]> {
        let raw = &self.device.raw;
        let info = vk::CommandPoolCreateInfo::default().queue_family_index(self.device.family());
        // SAFETY: the structs are whole, here and below.
        self.pool = unsafe { raw.create_command_pool(&info, None) }.map_err(refused("a command pool"))?;
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(3);
        // SAFETY: as above.
        let commands = unsafe { raw.allocate_command_buffers(&info) }.map_err(refused("command buffers"))?;
        Ok([commands[0], commands[1], commands[2]])
    }

    fn ask(&self, [loops, calls, pairs]: [vk::CommandBuffer; 3], pieces: &[Piece]) -> Result<Findings> {
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
            pairs: 0,
        };
        self.submit(loops, &asked)?;
        self.await_end()?;
        let turns = word(host, 0).load(Ordering::Acquire);
        let mut findings = Findings { cuts_loops: turns != u64::from(TURNS), resident: Err(""), whole_words: false };
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
            unsafe { _mm_sfence() };
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
        // A processor reads halves one after the other, in an order of its own.
        if !self.device.properties.is_processor {
            self.await_end()?;
            asked.calls = 0;
            asked.pairs = PAIRS;
            findings.whole_words = self.move_pairs(pairs, &asked, words(host).cast(), words(inbound).cast())?;
        }
        Ok(findings)
    }

    /// Whether pairs that host and device write all the while are seen whole by the other.
    fn move_pairs(
        &self,
        commands: vk::CommandBuffer,
        asked: &Asked,
        host: NonNull<[u64; 2]>,
        inbound: NonNull<[u64; 2]>,
    ) -> Result<bool> {
        // SAFETY: pair 4 of the piece; both sides read and write it as one access of 16 bytes, which is what is asked here.
        let answer = unsafe { host.add(4) }.cast::<__m128i>();
        // SAFETY: 16 bytes are any two numbers.
        let of = |pair: [u64; 2]| unsafe { std::mem::transmute::<[u64; 2], __m128i>(pair) };
        // SAFETY: as `answer`, of the first pair; the fence has each leave the processor.
        let write = |pair| unsafe {
            inbound.cast::<__m128i>().write_volatile(of(pair));
            _mm_sfence();
        };
        // SAFETY: nothing runs now; likewise.
        unsafe { answer.write_volatile(of([0, 0])) };
        write([0, 0]);
        self.submit(commands, asked)?;
        let mut torn = 0;
        for number in 1..=u64::from(PAIRS) {
            write([number, !number]);
            // SAFETY: as above.
            let [low, high] = unsafe { std::mem::transmute::<__m128i, [u64; 2]>(answer.read_volatile()) };
            torn += u64::from(low != !high && (low, high) != (0, 0));
        }
        self.await_end()?;
        // SAFETY: the third word and the fourth; the dispatch has ended.
        let [seen, torn_there] = unsafe { host.add(1).read_volatile() };
        Ok(torn == 0 && torn_there == 0 && seen >= SEEN)
    }

    /// Of all that was submitted.
    fn await_end(&self) -> Result<()> {
        let value = self.timeline.submitted.load(Ordering::Relaxed);
        match self.device.wait(self.timeline.semaphore, value, PATIENCE)? {
            true => Ok(()),
            false => Err(Error::Unfinished("the probe of the device does not end")),
        }
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
