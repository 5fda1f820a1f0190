//! What a kernel at rest consists of, whatever it runs on: what a snapshot keeps, and what a kernel can begin as.

mod format;

use std::sync::Arc;

use crate::address::{index_of, Address};
use crate::error::{Error, Result};
use crate::kernel::{Entry, Kin, Placement, Post};
use crate::layout::COUNTERS;
use crate::message::LEVELS;
use crate::ring::Envelope;

pub(crate) use format::{encode, Head};

/// Rings may be made larger than asked for up to this many bytes in all, and so many times what waits in them.
const MEMORY_FREE: usize = 256 << 20;
const MEMORY_FACTOR: usize = 64;
/// Most messages of one level that a worker can begin with.
const RING_MAX: usize = 1 << 20;

/// A message that was accepted and is not handled yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// It lies in a ring from the host; otherwise in one from actors.
    pub(crate) from_host: bool,
    /// Its `actor` is the receiver.
    pub(crate) envelope: Envelope,
    pub(crate) payload: Box<[u8]>,
}

/// What a handler sent and has not left, for want of room at its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsent {
    pub(crate) post: Post,
    pub(crate) payload: Box<[u8]>,
    /// Of a publication: the actors that have it already, see [`Heard`](crate::topics::Heard).
    pub(crate) heard: Arc<[u64]>,
}

impl Unsent {
    pub(crate) fn new(post: Post, payload: Box<[u8]>) -> Self {
        Self { post, payload, heard: Arc::default() }
    }
}

/// What consecutive actors of a kernel consist of: those of a worker, or all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Of the first of the actors.
    pub(crate) first: u32,
    pub(crate) entries: Vec<Entry>,
    pub(crate) kin: Vec<Kin>,
    /// States, one right after the other.
    pub(crate) states: Vec<u8>,
    pub(crate) counters: [u64; COUNTERS],
    /// Those of one ring in their order.
    pub(crate) messages: Vec<Message>,
    /// Of one actor in their order.
    pub(crate) posts: Vec<Unsent>,
    /// The latest stamp that its clock gave.
    pub(crate) time: u64,
}

/// A whole kernel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// Of its actors' addresses.
    pub(crate) key: u32,
    /// Name of the actor type.
    pub(crate) actor: String,
    /// Name of the kernel.
    pub(crate) name: String,
    /// Bytes of a state.
    pub(crate) state_size: u32,
    pub(crate) all: Part,
}

impl Image {
    /// Puts parts together that cover all actors.
    pub(crate) fn new(key: u32, actor: String, name: String, state_size: u32, mut parts: Vec<Part>) -> Result<Self> {
        parts.sort_by_key(|part| part.first);
        let states: usize = parts.iter().skip(1).map(|part| part.states.len()).sum();
        let mut rest = parts.into_iter();
        let mut all = rest.next().unwrap_or_default();
        reserve(&mut all.states, states)?;
        for part in rest {
            debug_assert_eq!(part.first as usize, all.entries.len());
            all.entries.extend(part.entries);
            all.kin.extend(part.kin);
            all.states.extend(part.states);
            all.messages.extend(part.messages);
            all.posts.extend(part.posts);
            all.counters.iter_mut().zip(part.counters).for_each(|(sum, count)| *sum = sum.wrapping_add(count));
            all.time = all.time.max(part.time);
        }
        Ok(Self { key, actor, name, state_size, all })
    }

    pub(crate) fn actors(&self) -> u32 {
        self.all.entries.len() as u32
    }

    /// State of an actor.
    pub(crate) fn state(&self, index: u32) -> &[u8] {
        let size = self.state_size as usize;
        &self.all.states[index as usize * size..][..size]
    }

    /// Gives the actors the addresses of the kernel with that key, wherever the library knows of the old ones. What lies in
    /// states and payloads is the handlers' own.
    pub(crate) fn rename(&mut self, key: u32) {
        let old = std::mem::replace(&mut self.key, key);
        let new = |bits: &mut u64| {
            let address = Address::from_bits(*bits);
            if address.kernel() == old {
                *bits = Address::new(key, *bits as u32).to_bits();
            }
        };
        self.all.messages.iter_mut().for_each(|message| new(&mut message.envelope.sender));
        // Many may share one.
        let mut renamed: [Arc<[u64]>; 2] = Default::default();
        for Unsent { post, heard, .. } in &mut self.all.posts {
            [&mut post.to, &mut post.by, &mut post.envelope.sender].into_iter().for_each(new);
            if !Arc::ptr_eq(heard, &renamed[0]) {
                // Those that had it may still be there too.
                let ours = heard.iter().filter(|actor| Address::from_bits(**actor).kernel() == old);
                let again = ours.map(|actor| Address::new(key, *actor as u32).to_bits());
                renamed = [heard.clone(), heard.iter().copied().chain(again).collect()];
            }
            *heard = renamed[1].clone();
        }
    }

    /// Takes stamps back that are later than a clock may be, for all clocks that see them follow.
    pub(crate) fn limit(&mut self, latest: u64) {
        let all = &mut self.all;
        let stamps = all.messages.iter_mut().map(|message| &mut message.envelope.time);
        stamps.chain([&mut all.time]).for_each(|stamp| *stamp = latest.min(*stamp));
    }

    /// Checks that a kernel whose actors handle messages of up to `largest` bytes, of a module whose largest has
    /// `module_largest`, can begin as this.
    pub(crate) fn check(&self, largest: u32, module_largest: u32) -> Result<()> {
        let bad = |what| Err(Error::BadImage(format!("the snapshot holds {what} that the module has no room for")));
        if self.all.messages.iter().any(|message| message.payload.len() > largest as usize) {
            return bad("a message");
        }
        if self.all.posts.iter().any(|unsent| unsent.payload.len() > module_largest as usize) {
            return bad("an answer");
        }
        Ok(())
    }

    /// Least capacities of normal rings from the host and from actors that hold what waits, if the actors are so placed.
    /// `body`: the largest payload that they handle.
    pub(crate) fn capacities(&self, placement: Placement, workers: u32, body: u32) -> Result<[u32; 2]> {
        let mut counts = vec![[[0usize; LEVELS]; 2]; workers as usize];
        for Message { from_host, envelope, .. } in &self.all.messages {
            let worker = placement.worker(index_of(envelope.actor));
            counts[worker][usize::from(!from_host)][usize::from(envelope.level)] += 1;
        }
        let most = |source: usize, level: usize| counts.iter().map(|worker| worker[source][level]).max().unwrap_or(0);
        let mut needed = [0; 2];
        for (source, needed) in needed.iter_mut().enumerate() {
            // Rings of other levels than the normal one have a quarter of its capacity.
            let each = (0..LEVELS).map(|level| if level == 1 { most(source, level) } else { 4 * most(source, level) });
            let capacity = each.max().unwrap_or(0);
            if capacity > RING_MAX {
                return Err(Error::Limit(format!("{capacity} messages wait for one worker; use more workers")));
            }
            *needed = capacity.next_power_of_two() as u32;
            // All workers have rings of one size: few messages for one may ask for much memory for all.
            let bytes = *needed as usize * (64 + body as usize) * workers as usize;
            let waiting: usize = self.all.messages.iter().map(|message| 64 + message.payload.len()).sum();
            if bytes > MEMORY_FREE + MEMORY_FACTOR * waiting {
                return Err(Error::Limit(format!("rings for what waits would take {bytes} bytes; use fewer workers")));
            }
        }
        Ok(needed)
    }
}

/// Makes room, or says that there is none: states may be large, and a library does not end its host's process.
pub(crate) fn reserve<T>(values: &mut Vec<T>, count: usize) -> Result<()> {
    let none = |_| Error::NoMemory(format!("{count} values for a snapshot"));
    values.try_reserve_exact(count).map_err(none)
}
