//! A kernel's pump on a queue: command buffers that are recorded once, a timeline semaphore that counts them.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ash::vk;

use super::super::gpu::{Mode, Program, Quantum};
use super::clock::{Reading, Visit, LONGEST};
use super::code::{order_memory, Code, PumpCode};
use super::device::{Device, Timeline, PATIENCE};
use super::memory::Memory;
use super::physical::Use;
use super::refused;
use crate::error::{Error, Result};
use crate::hlc;

/// Submissions under way at most.
const IN_FLIGHT: usize = 2;
/// Rounds with nothing to do after which a bounded pump leaves; and where it would see what comes, and nobody waits for its
/// queue: for who comes when it has left waits for a submission, 67 us on an H200.
const IDLE: u32 = 2;
const LINGER: u32 = 200;
/// Launches of the thorough pump after one that was needed, for what is seldom comes in series; of one that stays, each of
/// which is a quantum.
const THOROUGH: u32 = 64;
const THOROUGH_QUANTA: u32 = 2;
/// How long to look at the semaphore before waiting for it in the driver, which takes long to wake up.
const SPIN: Duration = Duration::from_micros(50);
/// How long to wait in the driver between two looks at everything else: an eighth of the time since the submission, within
/// these. What waits long, waits for those before it on the queue, and looking on does not make them faster.
const SHORTEST_WAIT: Duration = Duration::from_micros(20);
const LONGEST_WAIT: Duration = Duration::from_millis(1);
/// Between two readings of the device's clock before the first launch.
const PAUSE: Duration = Duration::from_millis(2);
/// One, of `rk_order.rate`.
const RATE: f64 = (1u32 << 24) as f64;

/// `rk_order` in `include/ringkernel/vulkan/worker.glsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Order {
    kernel: u64,
    launch: u64,
    now: u64,
    mode: u32,
    idle: u32,
    turns: u32,
    messages: u32,
    dispatches: u32,
    wanted: u32,
    rate: u64,
    mask: u64,
    most: u64,
    timer: u64,
    time: u64,
    began: u64,
    left: u64,
}

/// What one submission may do.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Turns of loops.
    pub(super) turns: u32,
    /// Messages of each worker.
    pub(super) messages: u32,
    /// Dispatches, one after the other.
    pub(super) dispatches: u32,
    /// A dispatch sees what comes while it runs, and waiting for that takes nothing from the host.
    pub(super) watches: bool,
    /// The pump may stay on the device when it has nothing to do, without any of these bounds.
    pub(super) resident: bool,
}

pub(super) struct Pump {
    code: Arc<PumpCode>,
    orders: Memory,
    /// For each submission under way the thorough pump's, and the quick one's.
    commands: [[vk::CommandBuffer; 2]; IN_FLIGHT],
    /// Those that are recorded, which they are when they are first used.
    recorded: [[bool; 2]; IN_FLIGHT],
    workers: u32,
    /// Slot of the last submission.
    slot: usize,
    /// Launches that are still to be of the thorough pump.
    thorough: u32,
    pool: vk::CommandPool,
    timeline: Arc<Timeline>,
    queue: usize,
    bounds: Bounds,
    /// It measures latencies, and so tells of the device's clock.
    measures: bool,
    /// When the last submission was made, and whether the pump stays in it.
    submitted: Instant,
    stays: bool,
    device: Arc<Device>,
}

// SAFETY: the command pool is used by one thread at a time, whichever has the pump.
unsafe impl Send for Pump {}

impl Pump {
    pub(super) fn new(
        device: &Arc<Device>,
        code: Arc<PumpCode>,
        workers: u32,
        bounds: Bounds,
        measures: bool,
    ) -> Result<Self> {
        let orders = Memory::new(device, IN_FLIGHT * size_of::<Order>(), Use::Host)?;
        let timeline = Timeline::new(device)?;
        // From here on dropping it destroys what there is.
        let mut pump = Self {
            code,
            orders,
            commands: [[vk::CommandBuffer::null(); 2]; IN_FLIGHT],
            recorded: [[false; 2]; IN_FLIGHT],
            workers,
            slot: 0,
            thorough: 0,
            pool: vk::CommandPool::null(),
            timeline,
            queue: device.join_queue(),
            bounds,
            measures,
            submitted: Instant::now(),
            stays: false,
            device: device.clone(),
        };
        let info = vk::CommandPoolCreateInfo::default().queue_family_index(device.family());
        // SAFETY: the structs are whole, here and below.
        pump.pool = unsafe { device.raw.create_command_pool(&info, None) }.map_err(refused("a command pool"))?;
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(pump.pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(2 * IN_FLIGHT as u32);
        // SAFETY: as above.
        let commands = unsafe { device.raw.allocate_command_buffers(&info) }.map_err(refused("command buffers"))?;
        for (slot, pair) in commands.chunks_exact(2).enumerate() {
            pump.commands[slot].copy_from_slice(pair);
        }
        Ok(pump)
    }

    fn record(&self, commands: vk::CommandBuffer, code: &Code, slot: usize) -> ash::prelude::VkResult<()> {
        let raw = &self.device.raw;
        let order = self.orders.address() + (slot * size_of::<Order>()) as u64;
        let shader =
            (vk::PipelineStageFlags::COMPUTE_SHADER, vk::AccessFlags::SHADER_READ | vk::AccessFlags::SHADER_WRITE);
        // SAFETY: the command buffer is ours and not in use; what it refers to lives as long as the pump.
        unsafe {
            raw.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default())?;
            for _ in 0..self.bounds.dispatches {
                // Before the first too: after what is before it on the queue.
                order_memory(&self.device, commands, shader.0, shader.1);
                code.record(&self.device, commands, &order.to_ne_bytes(), self.workers);
            }
            order_memory(&self.device, commands, vk::PipelineStageFlags::HOST, vk::AccessFlags::HOST_READ);
            raw.end_command_buffer(commands)
        }
    }

    fn order(&self, slot: usize) -> NonNull<Order> {
        let host = self.orders.host().expect("host memory is the host's too");
        // SAFETY: there are as many orders as slots.
        unsafe { host.cast::<Order>().add(slot) }
    }

    fn submit(&mut self, quantum: &Quantum<'_>, quick: bool) -> Result<()> {
        let slot = (quantum.number % IN_FLIGHT as u64) as usize;
        // A pump that stays leaves when it is told to; one that others wait for on its queue has bounds.
        let stays = quantum.mode == Mode::Run;
        let bounds = match stays {
            true => Bounds { turns: u32::MAX, messages: u32::MAX, ..self.bounds },
            false => self.bounds,
        };
        let now = hlc::physical();
        let clock = &self.device.clock;
        let rate = clock.rate().unwrap_or_default();
        let Reading { ticks, time } = clock.reading(now).unwrap_or_default();
        let order = Order {
            kernel: quantum.kernel,
            launch: quantum.number,
            now,
            mode: quantum.mode as u32,
            idle: match quantum.mode {
                Mode::Run => u32::MAX,
                _ if self.bounds.dispatches > 1 => 1,
                _ if self.bounds.watches && self.device.is_alone(self.queue) => LINGER,
                _ => IDLE,
            },
            turns: bounds.turns,
            messages: bounds.messages,
            dispatches: bounds.dispatches,
            wanted: 0,
            rate: (rate * RATE) as u64,
            mask: clock.mask(),
            most: (LONGEST as f64 / rate) as u64,
            timer: ticks,
            time,
            began: 0,
            left: 0,
        };
        // SAFETY: the submission that used the slot last has ended: the pump has left since.
        unsafe { self.order(slot).write(order) };
        self.slot = slot;
        let commands = self.commands[slot][usize::from(quick)];
        if !self.recorded[slot][usize::from(quick)] {
            let code = if quick { &self.code.quick } else { &self.code.thorough };
            self.record(commands, code, slot).map_err(refused("recording commands"))?;
            self.recorded[slot][usize::from(quick)] = true;
        }
        self.device.submit(self.queue, commands, &self.timeline)?;
        self.submitted = Instant::now();
        self.stays = stays;
        Ok(())
    }

    /// The last submission has ended, which was seen at that time of the host's clock.
    fn observe(&self, seen: u64) {
        // SAFETY: the pump has left, and what it wrote is there.
        let Order { now, began, left, .. } = unsafe { self.order(self.slot).read_volatile() };
        if began != 0 && left != 0 {
            self.device.clock.observe(&Visit { submitted: now, began, left, seen });
        }
    }

    /// Submissions of nothing, until it is known how long a tick of the device's clock is.
    fn find_rate(&mut self, quantum: &Quantum<'_>) -> Result<()> {
        let started = Instant::now();
        while self.device.clock.rate().is_none() {
            if started.elapsed() > PATIENCE {
                return Err(Error::Unsupported(format!("{}: its clock stands still", self.device.properties.name)));
            }
            self.submit(quantum, true)?;
            while !self.is_over()? {
                std::hint::spin_loop();
            }
            self.observe(hlc::physical());
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        while !self.device.wait(self.timeline.semaphore, self.value(), LONGEST_WAIT)? {}
        Ok(())
    }

    fn value(&self) -> u64 {
        self.timeline.submitted.load(Ordering::Relaxed)
    }
}

impl Program for Pump {
    fn warm_up(&mut self, quantum: &Quantum<'_>) -> Result<()> {
        for quick in [false, true] {
            self.submit(quantum, quick)?;
            // However long it compiles; if the device is lost it is an error.
            self.finish()?;
        }
        match self.measures {
            true => self.find_rate(quantum),
            false => Ok(()),
        }
    }

    fn launch(&mut self, quantum: &Quantum<'_>) -> Result<()> {
        self.thorough = match self.wants_more() {
            true if self.stays => THOROUGH_QUANTA,
            true => THOROUGH,
            false if quantum.mode == Mode::Look => self.thorough,
            false => self.thorough.saturating_sub(1),
        };
        let quick = quantum.mode != Mode::End && self.thorough == 0;
        self.submit(quantum, quick)
    }

    fn is_over(&mut self) -> Result<bool> {
        self.device.has_ended(&self.timeline)
    }

    fn pause(&mut self) {
        match self.device.properties.is_processor {
            true if self.stays => return std::thread::yield_now(),
            false if self.stays || self.submitted.elapsed() < SPIN => return std::hint::spin_loop(),
            _ => {}
        }
        // An error is met again by `is_over`.
        let wait = (self.submitted.elapsed() / 8).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        let _ended = self.device.wait(self.timeline.semaphore, self.value(), wait);
    }

    fn settle(&mut self) -> Result<()> {
        let seen = hlc::physical();
        self.finish()?;
        if self.measures {
            self.observe(seen);
        }
        Ok(())
    }

    fn leaves_when_idle(&self) -> bool {
        // Others would never have the queue.
        !self.bounds.resident || !self.device.is_alone(self.queue)
    }

    fn has_clock(&self) -> bool {
        false
    }

    fn wants_more(&self) -> bool {
        // SAFETY: a word of the order, in which there is nothing else that the device writes; zero before the first launch.
        // Relaxed: it says nothing else. Partner: rk_want() in pump.comp.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.order(self.slot).as_ptr()).wanted) }.load(Ordering::Relaxed) != 0
    }

    fn unfinished(&self) -> &'static str {
        "the pump ended early, for the driver ended a loop of it before its end; handlers that loop less may work"
    }

    fn lost(&self) {
        self.device.lose();
    }

    fn abandon(&self) {
        self.device.abandon();
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.device.leave_queue(self.queue);
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
