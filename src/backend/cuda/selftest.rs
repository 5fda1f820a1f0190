//! Whether memory that host and device share does what rings need, found out before it is trusted: that what the processor
//! writes arrives while a kernel runs, each word whole, and bodies before the words that announce them; and what a round
//! trip takes. Messages of random content go to a kernel and come back through rings as kernels have them.

use std::ffi::c_void;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cudarc::driver::sys;

use super::super::gpu::{Block, Memories, Place, Ring as DeviceRing};
use super::compile;
use super::driver::{check, Context, Stream};
use super::memory::KernelMemory;
use crate::error::{Error, Result};
use crate::pins;
use crate::ring::{flags, Cursor, Envelope, Memory, Ring, Slot};
use crate::selftest::{Measured, Report};

const CAPACITY: usize = 64;
/// Bytes of the largest body; multiples of 8 are sent, for the kernel folds whole words.
const BODY: usize = 1024;
/// One at a time, of which the first few are not measured; then as many on their way as fit.
const WARM: u64 = 100;
const SINGLE: u64 = 2_000;
const STREAMED: u64 = 20_000;
/// For all of it; what it takes is some ten milliseconds.
const LIMIT: Duration = Duration::from_secs(2);

/// Random numbers: xorshift64* (Marsaglia 2003, Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// A message on its way, and what must come back.
struct Sent {
    envelope: Envelope,
    payload: Vec<u8>,
}

impl Sent {
    fn random(random: &mut Random) -> Self {
        let large = random.next() % 8 == 0;
        let size =
            if large { 40 + 8 * (random.next() as usize % ((BODY - 40) / 8 + 1)) } else { random.next() as usize % 33 };
        let payload = (0..size).map(|_| random.next() as u8).collect();
        let envelope = Envelope {
            actor: random.next() as u32,
            kind: random.next() as u16 | 1,
            level: random.next() as u8 & 3,
            flags: random.next() as u8 & flags::SAID,
            size: size as u32,
            correlation: random.next(),
            sender: 0,
            deadline: 0,
            time: random.next(),
        };
        Self { envelope, payload }
    }

    /// See the kernel.
    fn fold(&self) -> u64 {
        let words = self.payload.chunks_exact(8).enumerate();
        words.fold(0, |fold, (i, word)| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            fold ^ u64::from_le_bytes(bytes).wrapping_mul(2 * i as u64 + 1)
        })
    }

    fn came_back(&self, slot: &Slot) -> bool {
        let (envelope, inline, in_body) = slot.decode();
        let large = self.payload.len() > 32;
        let correlation = if large { self.fold() } else { self.envelope.correlation };
        let same = large || bytemuck::bytes_of(&inline)[..self.payload.len()] == self.payload[..];
        envelope == Envelope { correlation, ..self.envelope } && in_body == large && same
    }
}

/// The rings, and what keeps them.
struct Course {
    to_device: Ring<Memory>,
    from_device: Ring<Memory>,
    cursor: Cursor,
    until: Instant,
}

impl Course {
    fn send(&self, sent: &Sent) -> Result<()> {
        let (slot, body) = Slot::encode(&sent.envelope, &sent.payload);
        let wrong = |_| Error::Unsupported("the device does not say that it takes messages".into());
        let ticket = self.to_device.reserve(pins::section(), 1).map_err(wrong)?.next();
        self.to_device.write(ticket.ok_or(Error::Again)?, &slot, body);
        Ok(())
    }

    fn receive(&mut self, sent: &Sent) -> Result<()> {
        loop {
            if let Some(slot) = self.cursor.peek(&self.from_device) {
                if !sent.came_back(&slot) {
                    return Err(Error::Unsupported("a message came back changed".into()));
                }
                self.cursor.advance();
                self.cursor.publish(&self.from_device);
                return Ok(());
            }
            if Instant::now() > self.until {
                return Err(Error::Unsupported("a message did not arrive while the kernel ran".into()));
            }
            std::hint::spin_loop();
        }
    }

    fn run(&mut self, random: &mut Random) -> Result<Measured> {
        let mut times = Vec::with_capacity(SINGLE as usize);
        for number in 0..WARM + SINGLE {
            let sent = Sent::random(random);
            let begin = Instant::now();
            self.send(&sent)?;
            self.receive(&sent)?;
            // Of small ones, which are what is asked about.
            if number >= WARM && sent.payload.len() <= 32 {
                times.push(begin.elapsed());
            }
        }
        // The device gives places back in eights, and the host in quarters of the ring.
        let mut under_way = std::collections::VecDeque::new();
        for _ in 0..STREAMED {
            if under_way.len() == CAPACITY - 8 {
                self.receive(&under_way.pop_front().ok_or(Error::Again)?)?;
            }
            let sent = Sent::random(random);
            self.send(&sent)?;
            under_way.push_back(sent);
        }
        under_way.iter().try_for_each(|sent| self.receive(sent))?;
        Ok(Measured::of(times, WARM + SINGLE + STREAMED))
    }
}

/// Tests both kinds of memory that rings from the host can lie in. The host's, which CUDA promises, is used whatever comes
/// of it; a device that fails even there will say so when a kernel runs.
pub(super) fn report(context: &Arc<Context>) -> Report {
    let host = run(context, false).unwrap_or_default();
    let device = run(context, true).map_err(|error| error.to_string());
    Report::new(host, device)
}

/// Tests one kind. An error says what went wrong, and that it is not to be used.
fn run(context: &Arc<Context>, device_memory: bool) -> Result<Measured> {
    let memories = KernelMemory::of(context, device_memory)?;
    let slots = Memory::foreign_size(CAPACITY, BODY);
    let inbound = memories.allocate(Place::Inbound, slots + 256)?;
    let host = memories.allocate(Place::Host, Memory::foreign_size(CAPACITY, 0) + 512)?;
    memories.zero(&inbound, 0, slots + 256)?;
    memories.zero(&host, 0, Memory::foreign_size(CAPACITY, 0) + 512)?;
    memories.finish()?;
    let kernel = Kernel::start(context, &inbound, &host, slots)?;
    let until = Instant::now() + LIMIT;
    // SAFETY: the places do not overlap, are zeroed and aligned, and the blocks' owners keep them.
    let (to_device, from_device) = unsafe {
        let reach = |block: &Block, at: usize| block.host.expect("the host reaches it").add(at);
        let heads = Memory::foreign_size(CAPACITY, 0);
        let far_head = reach(&inbound, slots).cast::<AtomicU64>();
        let combines = memories.combines();
        (
            Memory::foreign(
                reach(&inbound, 0),
                reach(&host, heads).cast(),
                None,
                (CAPACITY, BODY),
                combines,
                inbound.owner.clone(),
            ),
            Memory::foreign(
                reach(&host, 0),
                reach(&host, heads + 256).cast(),
                Some(far_head),
                (CAPACITY, 0),
                combines,
                host.owner.clone(),
            ),
        )
    };
    let (to_device, from_device) = (Ring::new(to_device), Ring::new(from_device));
    let mut course = Course { to_device, from_device, cursor: Cursor::default(), until };
    // Seeded by the time: content that is never the same.
    let mut random = Random(crate::hlc::physical() | 1);
    let outcome = course.run(&mut random);
    // The kernel ends by itself, at the latest when its time is over.
    kernel.await_end()?;
    outcome
}

/// The kernel that sends everything back.
struct Kernel {
    stream: Stream,
    module: sys::CUmodule,
    context: Arc<Context>,
}

impl Kernel {
    fn start(context: &Arc<Context>, inbound: &Block, host: &Block, slots: usize) -> Result<Self> {
        let stream = Stream::new(context.clone())?;
        let _entered = context.enter()?;
        let mut function = std::ptr::null_mut();
        let load = |code: &[u8]| {
            let mut module = std::ptr::null_mut();
            // SAFETY: the code is whole; the module is unloaded when the kernel is dropped.
            let loaded = unsafe { sys::cuModuleLoadData(&mut module, code.as_ptr().cast()) };
            check(loaded, "loading the self-test").map(|()| module)
        };
        let compiled = || compile::selftest(context.properties.capability).and_then(|code| load(&code));
        let module = match context.brought_selftest().map(load) {
            Some(Ok(module)) => module,
            // An older driver may not know that PTX.
            Some(Err(error)) => compiled().map_err(|_| error)?,
            None => compiled()?,
        };
        let kernel = Self { stream, module, context: context.clone() };
        // SAFETY: the module is loaded, the pointer is a place for the answer.
        let found = unsafe { sys::cuModuleGetFunction(&mut function, module, c"rk_selftest_kernel".as_ptr()) };
        check(found, "finding the self-test")?;
        let out_slots = Memory::foreign_size(CAPACITY, 0) as u64;
        let mut ring = DeviceRing::over(inbound.device, CAPACITY, BODY, host.device + out_slots);
        let (mut out, mut out_head) = (host.device, inbound.device + slots as u64);
        let (mut count, mut limit) = (WARM + SINGLE + STREAMED, LIMIT.as_nanos() as u64);
        let mut arguments: [*mut c_void; 5] = [
            (&raw mut ring).cast(),
            (&raw mut out).cast(),
            (&raw mut out_head).cast(),
            (&raw mut count).cast(),
            (&raw mut limit).cast(),
        ];
        // SAFETY: the arguments are those of rk_selftest_kernel, whose memory `run` keeps until it has ended.
        let launched = unsafe {
            let stream = kernel.stream.raw();
            sys::cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, stream, arguments.as_mut_ptr(), std::ptr::null_mut())
        };
        check(launched, "launching the self-test")?;
        Ok(kernel)
    }

    fn await_end(&self) -> Result<()> {
        self.stream.synchronize()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // On every way out: nothing is unloaded or given back under a kernel that runs.
        let _ended = self.stream.synchronize();
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: loaded by us; the kernel has ended.
            unsafe { sys::cuModuleUnload(self.module) };
        }
    }
}
