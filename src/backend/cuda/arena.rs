//! The memory of one kernel: one piece of the device's, one of the host's that the device reaches.

use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use super::bar::BarMemory;
use super::driver::{Context, DeviceMemory, Mapped, Stream};
use super::layout::{control, orders, Kernel, Letter, Report, Ring, Worker, ENTRY};
use crate::error::{Error, Result};
use crate::kernel::{Placement, Plan, TypeTable};
use crate::message::LEVELS;
use crate::ring::{Channel, Memory, INLINE_BYTES};

/// Most memory for posts set aside, of all workers together, and least and most of one.
const ASIDE_BUDGET: usize = 128 << 20;
const ASIDE: std::ops::RangeInclusive<usize> = 1 << 16..=4 << 20;
/// Memory for letters on their way.
const LETTERS_BUDGET: usize = 1 << 20;

const POST: usize = 64;
const OUTGOING: usize = std::mem::size_of::<crate::layout::Outgoing>();

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
    /// The slots of rings from the host, where the host can write to device memory.
    bar: Option<BarMemory>,
    host: Mapped,
    device: DeviceMemory,
    context: Arc<Context>,
    key: u32,
    workers: usize,
    control: usize,
    orders: usize,
    reports: usize,
    letters: usize,
    letter_stride: usize,
    pub(super) letter_count: u64,
    /// Bytes of both.
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

impl Arena {
    /// Takes the memory and fills it. Gives the rings with the host, one of each worker.
    pub(super) fn new(
        context: &Arc<Context>,
        stream: &Stream,
        key: u32,
        plan: &Plan,
        types: &TypeTable,
        placement: Placement,
        workers: usize,
    ) -> Result<(Arc<Self>, Vec<HostRings>)> {
        let state = plan.module.actors()[plan.actor].state_size as usize;
        let stride = state.max(1).next_multiple_of(16);
        let body = body_for(types.largest());
        let largest = plan.module.largest_message() as usize;
        let out_body = body_for(plan.module.largest_message());
        let (table, shift) = types.raw();

        // Device: what begins as zeros first.
        let mut device = Places(0);
        let kernel_at = device.take(size_of::<Kernel>());
        let workers_at = device.take(workers * size_of::<Worker>());
        let waits_at = device.take(workers * 8);
        let types_at = device.take(table.len() * 8);
        let entries_at = device.take(plan.actors as usize * ENTRY);
        let states_at = device.take(plan.actors as usize * stride);
        let peer_rings: Vec<[(usize, usize); LEVELS]> = (0..workers)
            .map(|_| {
                capacities(plan.actor_capacity).map(|capacity| (device.take(256 + capacity * (64 + body)), capacity))
            })
            .collect();
        let zeroed = device.0;
        let message = types.largest() as usize + INLINE_BYTES;
        let outbox = plan.outbox_bytes as usize + OUTGOING + largest.next_multiple_of(16) + INLINE_BYTES;
        let aside = (ASIDE_BUDGET / workers).clamp(*ASIDE.start(), *ASIDE.end()).max(4 * (POST + largest));
        let aside = aside.next_power_of_two();
        let each: Vec<[usize; 3]> =
            (0..workers).map(|_| [device.take(outbox), device.take(message), device.take(aside)]).collect();

        let mut host = Places(0);
        let letter_stride = size_of::<Letter>() + largest.max(message).next_multiple_of(64);
        let letter_count = (LETTERS_BUDGET / letter_stride).clamp(16, 1024).next_power_of_two();
        let control_at = host.take(control::BYTES);
        let orders_at = host.take(workers * orders::WORDS * 8);
        let reports_at = host.take(workers * size_of::<Report>());
        let letters_at = host.take(letter_count * letter_stride);
        // Rings from the host: heads, which it reads, in its own memory, slots in the device's if it can write there.
        let mut inbound_slots = Places(0);
        let inbound_rings: Vec<[HostRing; LEVELS]> = (0..workers)
            .map(|_| {
                capacities(plan.inbound_capacity).map(|capacity| {
                    let slots = inbound_slots.take(Memory::foreign_size(capacity, body));
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
        let bar = inbound_bar(context, inbound_slots.0)?;
        let pinned_slots = if bar.is_none() { host.take(inbound_slots.0) } else { 0 };

        let arena = Arc::new(Self {
            bar,
            device: DeviceMemory::new(context.clone(), device.0)?,
            host: Mapped::new(context.clone(), host.0, true)?,
            context: context.clone(),
            key,
            workers,
            control: control_at,
            orders: orders_at,
            reports: reports_at,
            letters: letters_at,
            letter_stride,
            letter_count: letter_count as u64,
            size: device.0 + host.0,
        });
        let (base, shared) = (arena.device.address(), arena.host.device());

        // Where rings from the host begin, as the host and as the device sees it.
        let (inbound_host, inbound_device, combines) = match &arena.bar {
            Some(bar) => (bar.host(), bar.device(), true),
            // SAFETY: within the memory.
            None => (unsafe { arena.host.host().add(pinned_slots) }, shared + pinned_slots as u64, false),
        };
        if combines {
            stream.zero(inbound_device, inbound_slots.0)?;
        }
        stream.zero(base, zeroed)?;
        let descriptions: Vec<Worker> = (0..workers)
            .map(|number| {
                let [outbox, message, aside] = each[number].map(|at| base + at as u64);
                let peers = peer_rings[number].map(|(at, capacity)| {
                    let at = base + at as u64;
                    ring(at + 256, capacity, body, at + 128, at)
                });
                let with_host = |place: &HostRing, slots: u64| {
                    ring(slots + place.slots as u64, place.capacity, place.body, shared + place.head as u64, 0)
                };
                let from_host = inbound_rings[number].each_ref().map(|place| with_host(place, inbound_device));
                let mut rings = [Ring::default(); 2 * LEVELS];
                rings[..LEVELS].copy_from_slice(&peers);
                rings[LEVELS..].copy_from_slice(&from_host);
                let to_host = with_host(&outbound_rings[number], shared);
                Worker { rings, outbound: to_host, outbox, message, aside, own: [0; 41] }
            })
            .collect();
        stream.upload(base + workers_at as u64, bytemuck::cast_slice(&descriptions))?;
        stream.upload(base + types_at as u64, bytemuck::cast_slice(&table))?;
        let kernel = Kernel {
            workers: base + workers_at as u64,
            waits: base + waits_at as u64,
            states: base + states_at as u64,
            entries: base + entries_at as u64,
            types: base + types_at as u64,
            reports: shared + reports_at as u64,
            orders: shared + orders_at as u64,
            control: shared + control_at as u64,
            letters: shared + letters_at as u64,
            directory: context.directory_address(),
            reciprocal: placement.reciprocal(),
            aside_size: aside as u64,
            key,
            actors: plan.actors,
            worker_count: workers as u32,
            stride: stride as u32,
            type_shift: shift,
            type_mask: table.len() as u32 - 1,
            outbox_limit: plan.outbox_bytes,
            letter_mask: letter_count as u32 - 1,
            letter_stride: letter_stride as u32,
            left_count: 0,
            letter_tail: 0,
        };
        stream.upload(base + kernel_at as u64, bytemuck::bytes_of(&kernel))?;
        if let Some(initial) = &plan.initial_state {
            let mut one = initial.clone();
            one.resize(stride, 0);
            // Not all states at once: there may be many of them.
            let most = ((1 << 24) / stride).clamp(1, plan.actors as usize);
            let block = one.repeat(most);
            for first in (0..plan.actors as usize).step_by(most) {
                let count = most.min(plan.actors as usize - first);
                stream.upload(base + (states_at + first * stride) as u64, &block[..count * stride])?;
            }
        }
        stream.synchronize()?;
        context.register(key, base + kernel_at as u64);

        let channel = |place: &HostRing, slots: NonNull<u8>, combines: bool| {
            let size = (place.capacity, place.body);
            // SAFETY: the places were taken for this ring alone, are zeroed and aligned to 256, and the arena keeps them.
            Channel::over(unsafe {
                let head = arena.host.host().add(place.head).cast();
                Memory::foreign(slots.add(place.slots), head, size, combines, arena.clone())
            })
        };
        let channels = (inbound_rings.iter().zip(&outbound_rings))
            .map(|(inbound, outbound)| {
                let inbound = inbound.each_ref().map(|place| channel(place, inbound_host, combines));
                (inbound, channel(outbound, arena.host.host(), false))
            })
            .collect();
        Ok((arena, channels))
    }

    /// Address of the kernel's descriptor.
    pub(super) fn kernel(&self) -> u64 {
        self.device.address()
    }

    /// One of the control words.
    pub(super) fn control(&self, index: usize) -> &AtomicU64 {
        self.word(self.control + 8 * index)
    }

    /// One of a worker's orders.
    pub(super) fn order(&self, worker: usize, index: usize) -> &AtomicU64 {
        assert!(worker < self.workers && index < orders::WORDS);
        self.word(self.orders + 8 * (worker * orders::WORDS + index))
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: within the memory, aligned, and used by both sides as an atomic word.
        unsafe { self.host.host().add(at).cast::<AtomicU64>().as_ref() }
    }

    /// A worker's report. Between launches, when the device does not write it.
    pub(super) fn report(&self, worker: usize) -> Report {
        assert!(worker < self.workers);
        // SAFETY: within the memory and plain data.
        unsafe { self.host.host().add(self.reports).cast::<Report>().add(worker).read_volatile() }
    }

    /// The stamp of the letter with that ticket.
    pub(super) fn letter_stamp(&self, ticket: u64) -> &AtomicU64 {
        self.word(self.letter_at(ticket))
    }

    /// A letter and its payload, once its stamp is there.
    pub(super) fn letter(&self, ticket: u64) -> (Letter, Box<[u8]>) {
        let at = self.letter_at(ticket);
        // SAFETY: the letter is within the memory and the device is done with it; so is its payload, which is no longer
        // than the place for it.
        unsafe {
            let letter: NonNull<Letter> = self.host.host().add(at).cast();
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
        // Before the memory goes, which waits for kernels that have found the address.
        self.context.register(self.key, 0);
    }
}

fn ring(slots: u64, capacity: usize, body: usize, head: u64, tail: u64) -> Ring {
    let bodies = slots + capacity as u64 * 64;
    Ring { slots, bodies, head, tail, shift: capacity.trailing_zeros(), body: body as u32 }
}

/// Places of a ring with the host: in its memory, slots of inbound ones wherever those are.
struct HostRing {
    head: usize,
    slots: usize,
    capacity: usize,
    body: usize,
}

/// Device memory for rings from the host, if `RINGKERNEL_INBOUND` is `bar`. Not otherwise: that a processor's stores into
/// device memory arrive as the rings need it lies outside what CUDA promises, and no test proves it yet before use.
fn inbound_bar(context: &Arc<Context>, size: usize) -> Result<Option<BarMemory>> {
    if std::env::var_os("RINGKERNEL_INBOUND").is_none_or(|wish| wish != "bar") {
        return Ok(None);
    }
    match context.window() {
        Ok(window) => BarMemory::new(window, context, size).map(Some),
        Err(reason) => Err(Error::Unsupported(format!("device memory that the host can write: {reason}"))),
    }
}
