//! The memory of one kernel: a block of each kind, divided among its parts, and set up.

use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use super::layout::{
    Command, Control, Entry, Kernel, Kin, Letter, Orders, Post, Report, Ring, Span, Worker, FRONT, SPANS,
};
use super::snapshot::{self, Share};
use super::{stride_of, Block, Memories, Place, Tables};
use crate::error::{Error, Result};
use crate::kernel::{Placement, Plan, TypeTable};
use crate::latency::{Latencies, View};
use crate::layout::Outgoing;
use crate::message::LEVELS;
use crate::ring::{Channel, Memory, INLINE_BYTES};

/// Most memory for posts set aside, of all workers together, and least and most of one.
const ASIDE_BUDGET: usize = 128 << 20;
const ASIDE: std::ops::RangeInclusive<usize> = 1 << 16..=4 << 20;
/// Memory for letters on their way.
const LETTERS_BUDGET: usize = 1 << 20;

/// Hands out consecutive places.
struct Places(usize);

impl Places {
    fn take(&mut self, size: usize) -> usize {
        let at = self.0.next_multiple_of(256);
        self.0 = at + size;
        at
    }
}

/// The rings of one worker with the host, by level and outbound.
pub(super) type HostRings = ([Channel; LEVELS], Channel);

/// Memory of a kernel. While it lives, the kernel's address is in the device's directory.
pub(super) struct Arena {
    /// Slots of rings from the host, commands and orders.
    pub(super) inbound: Block,
    /// Slots of rings to the host, heads of those from it, reports, letters.
    host: Block,
    pub(super) device: Block,
    pub(super) memories: Arc<dyn Memories>,
    /// Whose addresses the kernel has.
    _tables: Tables,
    pub(super) descriptor: Kernel,
    key: u32,
    workers: usize,
    command: usize,
    orders: usize,
    control: usize,
    reports: usize,
    /// Of the first worker; none if nothing is measured.
    latencies: Option<usize>,
    spans: usize,
    letters: usize,
    letter_stride: usize,
    pub(super) letter_count: u64,
    /// Bytes of all three.
    pub(super) size: usize,
}

/// Bytes of a slot's body for payloads up to `largest`. A sender's address and a deadline share the slot with the payload.
fn body_for(largest: u32) -> usize {
    if largest as usize <= INLINE_BYTES - 16 {
        0
    } else {
        (largest as usize).next_multiple_of(64)
    }
}

fn capacities(capacity: u32) -> [usize; LEVELS] {
    let side = (capacity / 4).max(4) as usize;
    [side, capacity as usize, side, side]
}

/// Places of a ring with the host.
struct HostRing {
    slots: usize,
    head: usize,
    capacity: usize,
    body: usize,
}

impl Arena {
    /// Takes the memory and fills it. Gives the rings with the host, one of each worker.
    #[allow(clippy::too_many_arguments, reason = "each is another thing")]
    pub(super) fn new(
        memories: Arc<dyn Memories>,
        tables: &Tables,
        key: u32,
        plan: &Plan,
        near: u32,
        types: &TypeTable,
        placement: Placement,
        workers: usize,
    ) -> Result<(Arc<Self>, Vec<HostRings>)> {
        let stride = stride_of(plan);
        let body = body_for(types.largest());
        let largest = plan.module.largest_message() as usize;
        let out_body = body_for(plan.module.largest_message());
        let (table, shift) = types.raw();
        let shares: Vec<Share> = match &plan.image {
            Some(image) => snapshot::divide(image, workers, body, |index| placement.worker(index)),
            None => (0..workers).map(|_| Share::default()).collect(),
        };

        // Device: what begins as zeros first.
        let mut device = Places(0);
        let kernel_at = device.take(size_of::<Kernel>());
        let workers_at = device.take(workers * size_of::<Worker>());
        let waits_at = device.take(workers * 8);
        let types_at = device.take(table.len() * 8);
        let entries_at = device.take(plan.actors as usize * size_of::<Entry>());
        let kin_at = device.take(plan.actors as usize * size_of::<Kin>());
        let measured = if plan.latency_every == 0 { 0 } else { workers * size_of::<Latencies>() };
        let latencies_at = device.take(measured);
        let all_states = plan.actors as usize * stride;
        let states_at = device.take(all_states);
        let kept_at = plan.supervision.keeps.then(|| device.take(all_states));
        let peer_rings: Vec<[(usize, usize); LEVELS]> = (0..workers)
            .map(|_| {
                capacities(plan.actor_capacity).map(|capacity| (device.take(256 + capacity * (64 + body)), capacity))
            })
            .collect();
        // Payloads are copied from these in whole words, of which the last may not have been written.
        let message = types.largest() as usize + INLINE_BYTES;
        let entry = size_of::<Outgoing>() + largest.next_multiple_of(16);
        let outbox = FRONT + plan.outbox_bytes as usize + entry + INLINE_BYTES;
        let own: Vec<[usize; 2]> = (0..workers).map(|_| [device.take(outbox), device.take(message)]).collect();
        let zeroed = device.0;
        let initial_at = plan.initial_state.as_ref().map(|_| device.take(stride));
        let aside = (ASIDE_BUDGET / workers).clamp(*ASIDE.start(), *ASIDE.end());
        let begun = shares.iter().map(|share| share.aside.len()).max().unwrap_or(0);
        if begun * workers > ASIDE_BUDGET.max(64 * shares.iter().map(|share| share.aside.len()).sum::<usize>()) {
            return Err(Error::Limit("the posts of the snapshot would take too much memory; use fewer workers".into()));
        }
        let aside = aside.max(4 * (size_of::<Post>() + largest)).max(begun).next_power_of_two();
        let each: Vec<[usize; 3]> =
            own.iter().map(|[outbox, message]| [*outbox, *message, device.take(aside)]).collect();

        let mut inbound = Places(0);
        let command_at = inbound.take(size_of::<Command>());
        let orders_at = inbound.take(workers * size_of::<Orders>());
        let mut host = Places(0);
        let letter_stride = size_of::<Letter>() + largest.max(message).next_multiple_of(64);
        let letter_count = (LETTERS_BUDGET / letter_stride).clamp(16, 1024).next_power_of_two();
        let control_at = host.take(size_of::<Control>());
        let reports_at = host.take(workers * size_of::<Report>());
        let letters_at = host.take(letter_count * letter_stride);
        let latencies_seen = host.take(measured);
        let spans_at = host.take(if measured > 0 { workers * SPANS * size_of::<Span>() } else { 0 });
        let inbound_rings: Vec<[HostRing; LEVELS]> = (0..workers)
            .map(|_| {
                capacities(plan.inbound_capacity).map(|capacity| {
                    let slots = inbound.take(Memory::foreign_size(capacity, body));
                    HostRing { head: host.take(128), slots, capacity, body }
                })
            })
            .collect();
        let outbound_rings: Vec<HostRing> = (0..workers)
            .map(|_| {
                let capacity = plan.outbound_capacity as usize;
                let slots = host.take(Memory::foreign_size(capacity, out_body));
                HostRing { head: host.take(128), slots, capacity, body: out_body }
            })
            .collect();

        let mut arena = Self {
            inbound: memories.allocate(Place::Inbound, inbound.0)?,
            host: memories.allocate(Place::Host, host.0)?,
            device: memories.allocate(Place::Device, device.0)?,
            memories,
            _tables: tables.clone(),
            descriptor: Kernel::default(),
            key,
            workers,
            command: command_at,
            orders: orders_at,
            control: control_at,
            reports: reports_at,
            latencies: (measured > 0).then_some(latencies_seen),
            spans: spans_at,
            letters: letters_at,
            letter_stride,
            letter_count: letter_count as u64,
            size: device.0 + host.0 + inbound.0,
        };
        let memories = arena.memories.clone();
        let (base, shared, from_host) = (arena.device.device, arena.host.device, arena.inbound.device);
        memories.zero(&arena.inbound, 0, inbound.0)?;
        memories.zero(&arena.host, 0, host.0)?;
        memories.zero(&arena.device, 0, zeroed)?;
        let descriptions: Vec<Worker> = (0..workers)
            .map(|number| {
                let [outbox, message, aside] = each[number].map(|at| base + at as u64);
                let mut rings = [Ring::default(); 2 * LEVELS];
                for (level, (at, capacity)) in peer_rings[number].iter().enumerate() {
                    let at = base + *at as u64;
                    rings[level] = Ring { tail: at, ..Ring::over(at + 256, *capacity, body, at + 128) };
                }
                for (level, place) in inbound_rings[number].iter().enumerate() {
                    let (slots, head) = (from_host + place.slots as u64, shared + place.head as u64);
                    rings[LEVELS + level] = Ring::over(slots, place.capacity, place.body, head);
                }
                let to_host = &outbound_rings[number];
                let head = from_host + arena.order_at(number, 0) as u64;
                let outbound = Ring::over(shared + to_host.slots as u64, to_host.capacity, to_host.body, head);
                let mut worker = Worker::new(rings, outbound, outbox, message, aside);
                worker.irregular = u32::from(plan.dormant > 0);
                if measured > 0 {
                    let own = (number * size_of::<Latencies>()) as u64;
                    worker.latencies = base + latencies_at as u64 + own;
                    worker.latencies_host = shared + latencies_seen as u64 + own;
                    worker.spans = shared + (spans_at + number * SPANS * size_of::<Span>()) as u64;
                    (worker.sample_every, worker.sample_random) = (plan.latency_every, number as u32);
                }
                if let Some(image) = &plan.image {
                    worker.restore(image, &shares[number], number);
                }
                worker
            })
            .collect();
        memories.upload(&arena.device, workers_at, bytemuck::cast_slice(&descriptions))?;
        memories.upload(&arena.device, types_at, bytemuck::cast_slice(&table))?;
        arena.descriptor = Kernel {
            workers: base + workers_at as u64,
            waits: base + waits_at as u64,
            states: base + states_at as u64,
            entries: base + entries_at as u64,
            types: base + types_at as u64,
            reports: shared + reports_at as u64,
            orders: from_host + orders_at as u64,
            control: shared + control_at as u64,
            command: from_host + command_at as u64,
            letters: shared + letters_at as u64,
            directory: memories.directory(),
            reciprocal: placement.reciprocal(),
            aside_size: aside as u64,
            buffers: tables.buffers.address(),
            topics: tables.fanout.address(),
            initial: initial_at.map_or(0, |at| base + at as u64),
            kin: base + kin_at as u64,
            kept: kept_at.map_or(0, |at| base + at as u64),
            key,
            actors: plan.actors,
            worker_count: workers as u32,
            stride: stride as u32,
            type_shift: shift,
            type_mask: table.len() as u32 - 1,
            outbox_limit: plan.outbox_bytes,
            letter_mask: letter_count as u32 - 1,
            letter_stride: letter_stride as u32,
            block: plan.actors.div_ceil(plan.workers),
            restarts: plan.supervision.restarts,
            restart_window: plan.supervision.window,
            near,
            ..Kernel::default()
        };
        let arena = Arc::new(arena);
        let memories = &arena.memories;
        if let Some(image) = &plan.image {
            memories.upload(&arena.device, entries_at, bytemuck::cast_slice(&image.all.entries))?;
            memories.upload(&arena.device, kin_at, bytemuck::cast_slice(&image.all.kin))?;
            for (number, share) in shares.iter().enumerate() {
                memories.upload(&arena.device, each[number][2], &share.aside)?;
                for (level, (at, capacity)) in peer_rings[number].iter().enumerate() {
                    let slots = at + 256;
                    memories.upload(&arena.device, *at, &snapshot::count(&share.peers[level]).to_le_bytes())?;
                    memories.upload(&arena.device, slots, &share.peers[level])?;
                    memories.upload(&arena.device, slots + capacity * 64, &share.bodies[level])?;
                }
            }
        }
        if plan.dormant > 0 {
            let stopped = vec![Entry::stopped(); plan.dormant as usize];
            let first = entries_at + (plan.actors - plan.dormant) as usize * size_of::<Entry>();
            memories.upload(&arena.device, first, bytemuck::cast_slice(&stopped))?;
        }
        memories.upload(&arena.device, kernel_at, arena.descriptor())?;
        // Not all states at once: there may be many of them.
        let most = ((1 << 24) / stride).clamp(1, plan.actors as usize);
        let upload_states = |states: &dyn Fn(usize, usize) -> Vec<u8>| {
            (0..plan.actors as usize).step_by(most).try_for_each(|first| {
                let count = most.min(plan.actors as usize - first);
                memories.upload(&arena.device, states_at + first * stride, &states(first, count))
            })
        };
        let initial = plan.initial_state.as_ref().map(|initial| {
            let mut one = initial.clone();
            one.resize(stride, 0);
            one
        });
        if let (Some(one), Some(at)) = (&initial, initial_at) {
            memories.upload(&arena.device, at, one)?;
        }
        match (&plan.image, &initial) {
            (Some(image), _) => upload_states(&|first, count| snapshot::spread(image, first, count, stride))?,
            (None, Some(one)) => upload_states(&|_, count| one.repeat(count))?,
            (None, None) => {}
        }
        arena.keep_states()?;
        memories.register(key, base + kernel_at as u64);
        let channels = (inbound_rings.iter().zip(&outbound_rings).enumerate())
            .map(|(worker, (from_host, to_host))| {
                let inbound = from_host.each_ref().map(|place| arena.channel(place, &arena.inbound, None));
                (inbound, arena.channel(to_host, &arena.host, Some(worker)))
            })
            .collect();
        Ok((arena, channels))
    }

    /// Keeps the states that there are, if any are kept: actors are restarted with them from now on. The kernel rests. All
    /// that was given to the device is there afterwards.
    pub(super) fn keep_states(&self) -> Result<()> {
        let Kernel { states, kept, stride, actors, .. } = self.descriptor;
        if kept != 0 {
            let (from, to) = (self.on_device(states), self.on_device(kept));
            self.memories.copy(&self.device, from, to, stride as usize * actors as usize)?;
        }
        self.memories.finish()
    }

    /// A ring with the host. `worker`: whose, if it is the one to the host.
    fn channel(self: &Arc<Self>, place: &HostRing, block: &Block, worker: Option<usize>) -> Channel {
        let far_head = worker.map(|worker| host_of(&self.inbound, self.order_at(worker, 0)).cast::<AtomicU64>());
        let (slots, head) = (host_of(block, place.slots), host_of(&self.host, place.head).cast());
        let size = (place.capacity, place.body);
        // SAFETY: the places were taken for this ring alone, are zeroed and aligned to 256, and the arena keeps them.
        Channel::over(unsafe { Memory::foreign(slots, head, far_head, size, self.memories.combines(), self.clone()) })
    }

    /// Has no handler that begins from now on send to this kernel on the device.
    pub(super) fn leave_directory(&self) {
        self.memories.retire(self.key, self.kernel());
        // Who waits to be able to send to the kernel learns that it is gone.
        super::made_room_for_others();
    }

    /// The same, also of those that run. False if one may do so for ever.
    pub(super) fn leave_others(&self) -> bool {
        self.leave_directory();
        self.memories.outlast_others()
    }

    /// The kernel's descriptor, as it was when it was made.
    pub(super) fn descriptor(&self) -> &[u8] {
        bytemuck::bytes_of(&self.descriptor)
    }

    /// Address of the kernel's descriptor.
    pub(super) fn kernel(&self) -> u64 {
        self.device.device
    }

    /// Words that the device writes.
    pub(super) fn left(&self) -> &AtomicU64 {
        self.word(&self.host, self.control + std::mem::offset_of!(Control, left))
    }

    /// See [`left`](Self::left).
    pub(super) fn foreign(&self) -> &AtomicU64 {
        self.word(&self.host, self.control + std::mem::offset_of!(Control, foreign))
    }

    /// Words that the host writes, and does not read.
    pub(super) fn leave(&self) -> &AtomicU64 {
        self.word(&self.inbound, self.command + std::mem::offset_of!(Command, leave))
    }

    /// See [`leave`](Self::leave).
    pub(super) fn letter_head(&self) -> &AtomicU64 {
        self.word(&self.inbound, self.command + std::mem::offset_of!(Command, letter_head))
    }

    /// See [`leave`](Self::leave).
    pub(super) fn now(&self) -> &AtomicU64 {
        self.word(&self.inbound, self.command + std::mem::offset_of!(Command, now))
    }

    /// See [`leave`](Self::leave).
    pub(super) fn end_at(&self, worker: usize, level: usize) -> &AtomicU64 {
        self.word(&self.inbound, self.order_at(worker, std::mem::offset_of!(Orders, end_at) + 8 * level))
    }

    /// See [`leave`](Self::leave).
    pub(super) fn letters_full(&self, worker: usize) -> &AtomicU64 {
        self.word(&self.inbound, self.order_at(worker, std::mem::offset_of!(Orders, letters_full)))
    }

    /// After words that the host writes were written: brings them out of the processor.
    pub(super) fn flush(&self) {
        if self.memories.combines() {
            // SAFETY: every x86-64 has it; it orders stores.
            unsafe { std::arch::x86_64::_mm_sfence() };
        }
    }

    fn order_at(&self, worker: usize, offset: usize) -> usize {
        assert!(worker < self.workers);
        self.orders + worker * size_of::<Orders>() + offset
    }

    fn word<'a>(&'a self, block: &'a Block, at: usize) -> &'a AtomicU64 {
        // SAFETY: within the memory, aligned, and used by both sides as an atomic word.
        unsafe { host_of(block, at).cast::<AtomicU64>().as_ref() }
    }

    /// What a worker has measured, as of its last quantum's end.
    pub(super) fn latency(self: &Arc<Self>, worker: usize) -> Option<View> {
        let at = host_of(&self.host, self.latencies? + worker * size_of::<Latencies>()).cast();
        let arena = self.clone();
        let tick_ns = move || {
            let both = || {
                let report = arena.report(worker);
                (report.ticks, report.ticks_ns)
            };
            // The device may be writing them, one behind the other.
            let mut read = both();
            loop {
                match both() {
                    again if again == read => break,
                    again => read = again,
                }
            }
            match read {
                (0, _) => 0.0,
                (ticks, ns) => ns as f64 / ticks as f64,
            }
        };
        // SAFETY: within the arena's memory, zeroed, and nobody but the worker on the device writes it.
        Some(unsafe { View::new(at, Box::new(tick_ns), self.clone()) })
    }

    /// The handlers that a worker has measured, counted from `first`, as far as they are still there. Between launches; of
    /// kernels that measure latencies.
    pub(super) fn spans(&self, worker: usize, first: u64, end: u64) -> impl Iterator<Item = Span> + '_ {
        assert!(worker < self.workers && self.latencies.is_some());
        let own = host_of(&self.host, self.spans + worker * SPANS * size_of::<Span>()).cast::<Span>();
        let first = first.max(end.saturating_sub(SPANS as u64));
        // SAFETY: within the memory and plain data, which the device does not write now.
        (first..end).map(move |number| unsafe { own.add(number as usize % SPANS).read_volatile() })
    }

    /// A worker's report, whole between launches, when the device does not write it.
    pub(super) fn report(&self, worker: usize) -> Report {
        assert!(worker < self.workers);
        // SAFETY: within the memory and plain data.
        unsafe { host_of(&self.host, self.reports).cast::<Report>().add(worker).read_volatile() }
    }

    /// The stamp of the letter with that ticket.
    pub(super) fn letter_stamp(&self, ticket: u64) -> &AtomicU64 {
        self.word(&self.host, self.letter_at(ticket))
    }

    /// A letter and its payload, once its stamp is there.
    pub(super) fn letter(&self, ticket: u64) -> (Letter, Box<[u8]>) {
        // SAFETY: the letter is within the memory and the device is done with it; so is its payload, which is no longer
        // than the place for it.
        unsafe {
            let letter: NonNull<Letter> = host_of(&self.host, self.letter_at(ticket)).cast();
            let size = (letter.as_ref().size as usize).min(self.letter_stride - size_of::<Letter>());
            let payload = std::slice::from_raw_parts(letter.add(1).cast::<u8>().as_ptr(), size);
            (letter.read(), payload.into())
        }
    }

    fn letter_at(&self, ticket: u64) -> usize {
        self.letters + (ticket % self.letter_count) as usize * self.letter_stride
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.leave_directory();
        self.memories.unregister(self.key, self.kernel());
        if !self.memories.outlast_others() {
            // Lost rather than given to somebody else while a kernel may write to it.
            for block in [&self.device, &self.host, &self.inbound] {
                std::mem::forget(block.owner.clone());
            }
        }
    }
}

/// Where the host reaches a place of a block that it does reach.
pub(super) fn host_of(block: &Block, at: usize) -> NonNull<u8> {
    let base = block.host.expect("inbound and host memory is the host's too");
    // SAFETY: places were taken within the block.
    unsafe { base.add(at) }
}
