//! Kernels on devices as images: read out of a device's memory while the kernel rests, and put there before it begins.

use std::time::Duration;

use bytemuck::Zeroable;

use super::arena::Arena;
use super::layout::{Kin, Origin, Post, Ring, Worker, BATCH, COMPLETED, FRONT};
use super::Block;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::kernel::{self, Entry, Kernel, Port, NOT_YET};
use crate::layout::Outgoing;
use crate::message::LEVELS;
use crate::ring::{flags, Envelope, Slot, Word};
use crate::snapshot::{reserve, Image, Message, Part, Unsent};
use crate::time::Deadline;

/// An entry of the outbox that has left, see `include/ringkernel/cuda/posts.cuh`.
const POST_SENT: u32 = 0;
/// As the sender of a record among posts set aside, which no actor is: the next is at the beginning.
const SKIP: u64 = u64::MAX;
const SKIP_AT: usize = std::mem::offset_of!(Post, by);
/// Bytes of a slot.
const SLOT: usize = 64;
/// How long a thread of the host may take between reserving a place and writing it.
const PATIENCE: Duration = Duration::from_secs(10);

impl Arena {
    /// An error if the host has still to be told that an actor failed, which no image could say.
    pub(super) fn check_failures(&self, kernel: &Kernel) -> Result<()> {
        let at = self.on_device(self.descriptor.workers);
        let workers: Vec<Worker> = self.read(&self.device, at, kernel.ports.len())?;
        for worker in workers.iter().filter(|worker| worker.failed_actor != 0) {
            let index = Address::from_bits(worker.failed_actor).index().min(kernel.actors - 1) as usize;
            let at = self.on_device(self.descriptor.entries) + index * size_of::<Entry>();
            if self.read::<Entry>(&self.device, at, 1)?[0].status != Entry::STOPPED {
                let state = "while the host has still to be told that an actor failed";
                return Err(Error::BadState { call: "taking a snapshot", state });
            }
        }
        Ok(())
    }

    /// What the kernel consists of. It rests.
    pub(super) fn part(&self, kernel: &Kernel) -> Result<Part> {
        self.check_failures(kernel)?;
        let workers: Vec<Worker> =
            self.read(&self.device, self.on_device(self.descriptor.workers), kernel.ports.len())?;
        let entries = self.read(&self.device, self.on_device(self.descriptor.entries), kernel.actors as usize)?;
        let kin = self.read(&self.device, self.on_device(self.descriptor.kin), kernel.actors as usize)?;
        let mut part = Part { entries, kin, ..Part::default() };
        let (stride, size) = (self.descriptor.stride as usize, kernel.state_size());
        let padded: Vec<u8> =
            self.read(&self.device, self.on_device(self.descriptor.states), stride * kernel.actors as usize)?;
        reserve(&mut part.states, size * kernel.actors as usize)?;
        part.states.extend(padded.chunks_exact(stride).flat_map(|state| &state[..size]));
        for (worker, port) in workers.iter().zip(&kernel.ports) {
            for lane in 0..2 * LEVELS {
                self.collect(worker, port, lane, &mut part.messages)?;
            }
            self.collect_aside(worker, &mut part)?;
            self.collect_outbox(worker, &mut part)?;
            orphan_children(worker, &mut part);
            part.counters.iter_mut().zip(worker.counters).for_each(|(sum, count)| *sum = sum.wrapping_add(count));
            part.time = part.time.max(worker.clock);
        }
        Ok(part)
    }

    pub(super) fn on_device(&self, address: u64) -> usize {
        (address - self.device.device) as usize
    }

    fn read<T: bytemuck::Pod>(&self, block: &Block, at: usize, count: usize) -> Result<Vec<T>> {
        let mut values = Vec::new();
        reserve(&mut values, count)?;
        values.resize(count, T::zeroed());
        self.memories.download(block, at, bytemuck::cast_slice_mut(&mut values))?;
        Ok(values)
    }

    /// What waits in one of a worker's rings.
    fn collect(&self, worker: &Worker, port: &Port, lane: usize, messages: &mut Vec<Message>) -> Result<()> {
        let (ring, first) = (&worker.rings[lane], worker.position[lane]);
        let from_host = lane >= LEVELS;
        let (block, accepted) = if from_host {
            (&self.inbound, port.inbound[lane - LEVELS].ring.accepted())
        } else {
            let tail: Vec<u64> = self.read(&self.device, self.on_device(ring.tail), 1)?;
            let accepted = tail[0] & !(1 << 63);
            port.peers[lane].ring.mirror(accepted, first);
            (&self.device, accepted)
        };
        let deadline = Deadline::after(PATIENCE);
        let mut position = first;
        while position < accepted {
            // As far as the ring's end, all at once.
            let index = position & ((1 << ring.shift) - 1);
            let count = (accepted - position).min((1 << ring.shift) - index) as usize;
            let at = (ring.slots - block.device) as usize + index as usize * SLOT;
            let slots: Vec<[Word; 4]> = self.read(block, at, count)?;
            let before = position;
            for words in slots {
                let stamp = ((position >> ring.shift) + 1) as u16;
                let Some(slot) = Slot::whole(words, stamp) else { break };
                messages.push(self.message(block, ring, position, &slot, from_host)?);
                position += 1;
            }
            if position < accepted && position == before {
                // Its producer holds the place and is about to write it.
                if deadline.has_passed() {
                    return Err(Error::Unfinished("a message that was begun is not written"));
                }
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    fn message(&self, block: &Block, ring: &Ring, position: u64, slot: &Slot, from_host: bool) -> Result<Message> {
        let (envelope, inline, in_body) = slot.decode();
        let payload = if in_body {
            let index = position & ((1 << ring.shift) - 1);
            let at = (ring.bodies - block.device) as usize + index as usize * ring.body as usize;
            self.read(block, at, (envelope.size as usize).min(ring.body as usize))?
        } else {
            let inline: &[u8] = bytemuck::cast_slice(&inline);
            part_of(inline, 0, envelope.size as usize)?.to_vec()
        };
        let envelope = Envelope { size: payload.len() as u32, ..envelope };
        Ok(Message { from_host, envelope, payload: payload.into() })
    }

    /// Posts that were set aside: records in a ring of bytes.
    fn collect_aside(&self, worker: &Worker, part: &mut Part) -> Result<()> {
        if worker.aside_head == worker.aside_tail {
            return Ok(());
        }
        let size = self.descriptor.aside_size as usize;
        let bytes: Vec<u8> = self.read(&self.device, self.on_device(worker.aside), size)?;
        let mut at = worker.aside_head;
        while at < worker.aside_tail {
            let from = at as usize & (size - 1);
            let record = &bytes[from..];
            if bytemuck::pod_read_unaligned::<u64>(part_of(record, SKIP_AT, 8)?) == SKIP {
                at += (size - from) as u64;
                continue;
            }
            let post: Post = bytemuck::pod_read_unaligned(part_of(record, 0, size_of::<Post>())?);
            let payload = part_of(record, size_of::<Post>(), post.size as usize)?;
            part.posts.push(Unsent::new(post.into(), payload.into()));
            at += record_size(payload.len()) as u64;
        }
        Ok(())
    }

    /// Posts of the last messages that were handled. See `rk_next_entry` in `include/ringkernel/cuda/posts.cuh`.
    fn collect_outbox(&self, worker: &Worker, part: &mut Part) -> Result<()> {
        if worker.outbox_sent == worker.outbox_used {
            return Ok(());
        }
        let used = worker.outbox_used as usize;
        let bytes: Vec<u8> = self.read(&self.device, self.on_device(worker.outbox), used)?;
        let mut at = worker.outbox_sent as usize;
        while at < used {
            if at < FRONT && at >= worker.front_end as usize {
                at = FRONT;
            }
            let entry: Outgoing = bytemuck::pod_read_unaligned(part_of(&bytes, at, size_of::<Outgoing>())?);
            let payload = part_of(&bytes, at + size_of::<Outgoing>(), entry.size as usize)?;
            if entry.kind != POST_SENT {
                let origin = &worker.origins[entry.reserved as usize & (BATCH - 1)];
                part.posts.push(Unsent::new(kernel::Post::new(&entry, &origin.into()), payload.into()));
            }
            at += size_of::<Outgoing>() + payload.len().next_multiple_of(16);
        }
        Ok(())
    }
}

/// Has the children of an actor told that has stopped itself, as its worker was about to.
fn orphan_children(worker: &Worker, part: &mut Part) {
    let actor = Address::from_bits(worker.failed_actor);
    let Some(kin) = part.kin.get_mut(actor.index() as usize).filter(|_| worker.failed_actor != 0) else { return };
    if let Some(first) = Kin::index(std::mem::replace(&mut kin.first, Kin::ENDED)) {
        let (to, origin) = (Address::new(actor.kernel(), first).to_bits(), kernel::Origin::of(actor.to_bits()));
        let post = kernel::Post::new(&Outgoing::to_orphan(actor.index(), to), &origin);
        part.posts.push(Unsent::new(post, Box::default()));
    }
}

/// Some bytes of what a device left; its handlers may have written nonsense over what says how many.
fn part_of(bytes: &[u8], at: usize, size: usize) -> Result<&[u8]> {
    let part = bytes.get(at..).and_then(|bytes| bytes.get(..size));
    let state = "for a kernel whose handlers wrote over its memory";
    part.ok_or(Error::BadState { call: "taking a snapshot", state })
}

/// Bytes of a record with so large a payload.
pub(super) fn record_size(payload: usize) -> usize {
    size_of::<Post>() + payload.next_multiple_of(16)
}

impl From<Post> for kernel::Post {
    fn from(post: Post) -> Self {
        let envelope = Envelope {
            actor: post.actor,
            kind: post.r#type as u16,
            level: post.level as u8,
            flags: post.flags as u8 & flags::SAID,
            size: post.size,
            correlation: post.correlation,
            sender: post.sender,
            deadline: 0,
            time: 0,
        };
        Self { to: post.to, by: post.by, envelope, deadline_ns: post.deadline_ns }
    }
}

impl From<&kernel::Post> for Post {
    fn from(post: &kernel::Post) -> Self {
        let envelope = &post.envelope;
        Self {
            to: post.to,
            by: post.by,
            correlation: envelope.correlation,
            sender: envelope.sender,
            deadline_ns: post.deadline_ns,
            actor: envelope.actor,
            r#type: u32::from(envelope.kind),
            size: envelope.size,
            level: u32::from(envelope.level),
            flags: u32::from(envelope.flags),
            ..Self::zeroed()
        }
    }
}

impl From<&Origin> for kernel::Origin {
    fn from(origin: &Origin) -> Self {
        let (level, call) = (origin.level as u8, origin.call as u8);
        Self { actor: origin.actor, sender: origin.sender, correlation: origin.correlation, level, call }
    }
}

/// What a worker begins with that is in an image.
#[derive(Default)]
pub(super) struct Share {
    /// Messages from actors, by level.
    pub(super) peers: [Vec<u8>; LEVELS],
    /// Their bodies.
    pub(super) bodies: [Vec<u8>; LEVELS],
    /// Records of posts set aside.
    pub(super) aside: Vec<u8>,
    pub(super) posts: u32,
}

/// Divides what is in an image among workers: the one that `worker` gives for an actor's index. `body`: bytes of a slot's.
pub(super) fn divide(image: &Image, workers: usize, body: usize, worker: impl Fn(u32) -> usize) -> Vec<Share> {
    let mut shares: Vec<Share> = (0..workers).map(|_| Share::default()).collect();
    for Message { from_host, envelope, payload } in &image.all.messages {
        if *from_host {
            continue;
        }
        let (share, level) =
            (&mut shares[worker(crate::address::index_of(envelope.actor))], usize::from(envelope.level));
        let (slot, in_body) = Slot::encode(envelope, payload);
        // The first lap, for the ring is new.
        share.peers[level].extend_from_slice(bytemuck::bytes_of(&slot.stamped(1)));
        let bodies = &mut share.bodies[level];
        bodies.extend_from_slice(in_body);
        bodies.resize(share.peers[level].len() / SLOT * body, 0);
    }
    // Publications that some have heard are the pump's.
    for Unsent { post, payload, .. } in image.all.posts.iter().filter(|unsent| unsent.heard.is_empty()) {
        let share = &mut shares[worker(crate::address::index_of(post.by as u32))];
        share.aside.extend_from_slice(bytemuck::bytes_of(&Post::from(post)));
        let end = share.aside.len() + record_size(payload.len()) - size_of::<Post>();
        share.aside.extend_from_slice(payload);
        share.aside.resize(end, 0);
        share.posts += 1;
    }
    shares
}

/// Number of messages among slots.
pub(super) fn count(slots: &[u8]) -> u64 {
    (slots.len() / SLOT) as u64
}

/// States of an image, each as far from the next as on the device.
pub(super) fn spread(image: &Image, first: usize, count: usize, stride: usize) -> Vec<u8> {
    let mut states = vec![0; count * stride];
    for (index, place) in (first..).zip(states.chunks_exact_mut(stride)) {
        let state = image.state(index as u32);
        place[..state.len()].copy_from_slice(state);
    }
    states
}

impl Worker {
    /// Begins with its share of an image.
    pub(super) fn restore(&mut self, image: &Image, share: &Share, number: usize) {
        self.clock = image.all.time;
        // Less than any, for the first one that is known is the true one.
        self.clock_offset = i64::MIN / 2;
        if share.posts > 0 {
            self.counts[COMPLETED] = NOT_YET;
        }
        (self.aside_tail, self.aside_count) = (share.aside.len() as u64, share.posts);
        if number == 0 {
            self.counters = image.all.counters;
        }
        let regular = |entry: &Entry| entry.status == Entry::RUNNING && entry.generation == 0;
        self.irregular = u32::from(!image.all.entries.iter().all(regular));
    }
}
