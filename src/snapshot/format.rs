//! The format of snapshots, version 4. Numbers are little-endian; every section begins at a multiple of 8 and is padded to
//! one with zeros.
//!
//! ```text
//!   bytes
//!   header    8   "RKSNAP" 0x0d 0x0a
//!             4   version of the format, 4
//!             4   CRC-32 (ISO 3309, as in zlib and PNG) of all that follows
//!             8   bytes of the whole
//!             8   the latest stamp of the kernel's clocks
//!             4   key: upper half of its actors' addresses
//!             4   actors
//!             4   bytes of a state
//!             2   bytes of the actor type's name
//!             2   bytes of the kernel's name
//!             8   messages
//!             8   posts
//!            64   user counters, 8 of them
//!   names         of the actor type, of the kernel; UTF-8
//!   entries  16   for each actor: status (0 running, 1 stopped, 2 failed), generation, restarts within the window, when
//!                 that began in 2^-10 s; 4 bytes each
//!   kin      12   for each actor: parent, child that came last, child of the same parent that came before: index plus 1, or
//!                 0; instead of a child 0xffffffff, if the actor has ended; 4 bytes each
//!   states        of each actor, as its handlers have it
//!   messages 48   each: receiver (lower half of its address), type (2), level (1), bits (1: 1 came from the host, 2 of a
//!                 call, 4 handed over again if the handler fails); payload's bytes (4), zero (4); correlation, sender,
//!                 deadline, stamp (8 each); then the payload
//!   posts    56   each: receiver, actor that sent it, correlation, sender, nanoseconds until its deadline (8 each);
//!                 lower half of the receiver's address (4), type (2), level (1), bits (1: 1 a reply, 2 of a call,
//!                 4 as of messages, 8 had by the same as the post before); payload's bytes (4), number of actors that
//!                 have had it, if it is not the same (4); then the payload, then those actors' addresses (8 each)
//! ```
//!
//! Messages are in the order of their rings, those of one sender, receiver and level among them in theirs. Posts are what
//! handlers sent and found no room; they leave before anything else does. An actor has had a publication if a device has brought
//! it there for a subscription of RK_QOS_AT_MOST_ONCE; it is there once for each.

use bytemuck::{Pod, Zeroable};

use super::{reserve, Entry, Image, Kin, Message, Part, Post, Unsent};
use crate::address::{index_of, Address, MAX_ACTORS};
use crate::error::{Error, Result};
use crate::layout::{COUNTERS, PAYLOAD_MAX, STATE_MAX};
use crate::message::LEVELS;
use crate::ring::{flags, Envelope};

const MAGIC: [u8; 8] = *b"RKSNAP\r\n";
pub(crate) const VERSION: u32 = 4;
/// Bytes before what the checksum covers.
const COVERED_FROM: usize = 16;

const FROM_HOST: u8 = 1;
const REPLY: u8 = 1;
const HEARD_LIKEWISE: u8 = 8;
/// Bits that messages and posts have, and the envelope's for each.
const BITS: [(u8, u8); 2] = [(2, flags::CALL), (4, flags::AGAIN)];

fn bits_of(envelope: &Envelope) -> u8 {
    BITS.iter().filter(|(_, flag)| envelope.flags & flag != 0).fold(0, |bits, (bit, _)| bits | bit)
}

fn flags_of(bits: u8) -> u8 {
    BITS.iter().filter(|(bit, _)| bits & bit != 0).fold(0, |flags, (_, flag)| flags | flag)
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Header {
    magic: [u8; 8],
    version: u32,
    checksum: u32,
    size: u64,
    time: u64,
    key: u32,
    actors: u32,
    state_size: u32,
    actor_length: u16,
    name_length: u16,
    messages: u64,
    posts: u64,
    counters: [u64; COUNTERS],
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct MessageHead {
    actor: u32,
    kind: u16,
    level: u8,
    bits: u8,
    size: u32,
    zero: u32,
    correlation: u64,
    sender: u64,
    deadline: u64,
    time: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct PostHead {
    to: u64,
    by: u64,
    correlation: u64,
    sender: u64,
    deadline_ns: u64,
    actor: u32,
    kind: u16,
    level: u8,
    bits: u8,
    size: u32,
    heard: u32,
}

/// What a snapshot says of itself before its contents.
pub(crate) struct Head<'a> {
    pub(crate) version: u32,
    pub(crate) time: u64,
    pub(crate) key: u32,
    pub(crate) actors: u32,
    pub(crate) state_size: u32,
    pub(crate) messages: u64,
    pub(crate) posts: u64,
    pub(crate) actor: &'a str,
    pub(crate) name: &'a str,
}

fn padded(size: usize) -> usize {
    size.next_multiple_of(8)
}

/// Posts, each with what is to be said of who has had it.
fn with_heard(posts: &[Unsent]) -> impl Iterator<Item = (&Unsent, &[u64])> {
    let before = std::iter::once(None).chain(posts.iter().map(Some));
    posts.iter().zip(before).map(|(unsent, before)| match before {
        Some(before) if before.heard == unsent.heard => (unsent, &[][..]),
        _ => (unsent, &unsent.heard[..]),
    })
}

/// Bytes that an image takes.
fn size_of_all(image: &Image) -> usize {
    let messages = image.all.messages.iter().map(|message| size_of::<MessageHead>() + padded(message.payload.len()));
    let size_of_post =
        |(unsent, heard): (&Unsent, &[u64])| size_of::<PostHead>() + padded(unsent.payload.len()) + size_of_val(heard);
    let posts = with_heard(&image.all.posts).map(size_of_post);
    size_of::<Header>()
        + padded(image.actor.len() + image.name.len())
        + image.all.entries.len() * size_of::<Entry>()
        + padded(image.all.kin.len() * size_of::<Kin>())
        + padded(image.all.states.len())
        + messages.sum::<usize>()
        + posts.sum::<usize>()
}

/// Where an image is written, as far as it has got.
struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..][..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn pad(&mut self) {
        let to = padded(self.at);
        self.out[self.at..to].fill(0);
        self.at = to;
    }
}

/// Writes an image into memory that `room` gives for as many bytes as it is asked for.
pub(crate) fn encode<'a>(image: &Image, room: impl FnOnce(usize) -> Result<&'a mut [u8]>) -> Result<()> {
    let size = size_of_all(image);
    let mut writer = Writer { out: room(size)?, at: 0 };
    let header = Header {
        magic: MAGIC,
        version: VERSION,
        checksum: 0,
        size: size as u64,
        time: image.all.time,
        key: image.key,
        actors: image.actors(),
        state_size: image.state_size,
        actor_length: image.actor.len() as u16,
        name_length: image.name.len() as u16,
        messages: image.all.messages.len() as u64,
        posts: image.all.posts.len() as u64,
        counters: image.all.counters,
    };
    writer.put(bytemuck::bytes_of(&header));
    writer.put(image.actor.as_bytes());
    writer.put(image.name.as_bytes());
    writer.pad();
    writer.put(bytemuck::cast_slice(&image.all.entries));
    writer.put(bytemuck::cast_slice(&image.all.kin));
    writer.pad();
    writer.put(&image.all.states);
    writer.pad();
    for Message { from_host, envelope, payload } in &image.all.messages {
        writer.put(bytemuck::bytes_of(&MessageHead {
            actor: envelope.actor,
            kind: envelope.kind,
            level: envelope.level,
            bits: if *from_host { FROM_HOST } else { 0 } | bits_of(envelope),
            size: payload.len() as u32,
            zero: 0,
            correlation: envelope.correlation,
            sender: envelope.sender,
            deadline: envelope.deadline,
            time: envelope.time,
        }));
        writer.put(payload);
        writer.pad();
    }
    for (Unsent { post, payload, heard }, told) in with_heard(&image.all.posts) {
        let envelope = &post.envelope;
        let likewise = if told.len() < heard.len() { HEARD_LIKEWISE } else { 0 };
        let reply = if envelope.flags & flags::REPLY != 0 { REPLY } else { 0 };
        writer.put(bytemuck::bytes_of(&PostHead {
            to: post.to,
            by: post.by,
            correlation: envelope.correlation,
            sender: envelope.sender,
            deadline_ns: post.deadline_ns,
            actor: envelope.actor,
            kind: envelope.kind,
            level: envelope.level,
            bits: reply | likewise | bits_of(envelope),
            size: payload.len() as u32,
            heard: told.len() as u32,
        }));
        writer.put(payload);
        writer.pad();
        writer.put(bytemuck::cast_slice(told));
    }
    debug_assert_eq!(writer.at, size);
    let checksum = crc32fast::hash(&writer.out[COVERED_FROM..]);
    writer.out[12..COVERED_FROM].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

fn bad(what: impl Into<String>) -> Error {
    Error::BadImage(format!("the snapshot {}", what.into()))
}

/// Values out of bytes that need not be aligned; an error if there is no memory for them.
fn copy<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Result<Vec<T>> {
    let mut values = Vec::new();
    reserve(&mut values, bytes.len() / size_of::<T>())?;
    values.extend(bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned::<T>));
    Ok(values)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, size: usize) -> Result<&'a [u8]> {
        if size > self.0.len() {
            return Err(bad("says of itself that it is longer than it is"));
        }
        let (taken, rest) = self.0.split_at(size);
        self.0 = rest;
        Ok(taken)
    }

    /// The same, and what pads them.
    fn section(&mut self, size: usize) -> Result<&'a [u8]> {
        let taken = self.bytes(size)?;
        self.bytes(padded(size) - size)?;
        Ok(taken)
    }

    fn read<T: Pod>(&mut self) -> Result<T> {
        self.bytes(size_of::<T>()).map(bytemuck::pod_read_unaligned)
    }

    fn text(bytes: &[u8]) -> Result<&str> {
        std::str::from_utf8(bytes).map_err(|_| bad("has a name that is not UTF-8"))
    }
}

impl<'a> Head<'a> {
    /// Reads the beginning of a snapshot, of which everything has been checked that can be without its module. Also gives
    /// the user counters and what follows.
    fn take(bytes: &'a [u8]) -> Result<(Self, [u64; COUNTERS], Reader<'a>)> {
        let mut reader = Reader(bytes);
        let magic = reader.bytes(MAGIC.len()).map_err(|_| bad("is too short for one"))?;
        if magic != MAGIC {
            return Err(bad("is not one"));
        }
        let version = reader.read::<u32>().map_err(|_| bad("is too short for one"))?;
        if version != VERSION {
            return Err(bad(format!("has version {version} of its format, this library reads version {VERSION}")));
        }
        let header: Header = Reader(bytes).read().map_err(|_| bad("is too short for one"))?;
        if header.size != bytes.len() as u64 {
            return Err(bad(format!("has {} bytes of {}", bytes.len(), header.size)));
        }
        if crc32fast::hash(&bytes[COVERED_FROM..]) != header.checksum {
            return Err(bad("is damaged: its checksum is another"));
        }
        let mut reader = Reader(&bytes[size_of::<Header>()..]);
        let actor_length = usize::from(header.actor_length);
        let names = reader.section(actor_length + usize::from(header.name_length))?;
        let head = Self {
            version,
            time: header.time,
            key: header.key,
            actors: header.actors,
            state_size: header.state_size,
            messages: header.messages,
            posts: header.posts,
            actor: Reader::text(&names[..actor_length])?,
            name: Reader::text(&names[actor_length..])?,
        };
        if head.actors == 0 || head.actors > MAX_ACTORS || head.state_size > STATE_MAX || head.key == 0 {
            return Err(bad("is of a kernel that there cannot be"));
        }
        Ok((head, header.counters, reader))
    }

    /// The beginning of a snapshot that is whole.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self> {
        Self::take(bytes).map(|(head, ..)| head)
    }
}

impl Image {
    /// Reads a snapshot. Nothing in it is believed: memory is taken only for what is there.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let (head, counters, mut reader) = Head::take(bytes)?;
        let actors = head.actors as usize;
        let entries = reader.bytes(actors * size_of::<Entry>())?;
        let entries: Vec<Entry> = copy(entries)?;
        if entries.iter().any(|entry| entry.status > Entry::FAILED) {
            return Err(bad("has an actor of unknown status"));
        }
        let kin = reader.section(actors * size_of::<Kin>())?;
        let kin: Vec<Kin> = copy(kin)?;
        if !kin.iter().all(|kin| kin.is_within(head.actors)) {
            return Err(bad("has an actor with relatives that there cannot be"));
        }
        let states = copy(reader.section(actors * head.state_size as usize)?)?;
        let fits = |level: u8, size: u32| usize::from(level) < LEVELS && size <= PAYLOAD_MAX;
        let mut all = Part { first: 0, entries, kin, states, counters, time: head.time, ..Part::default() };
        // As many as there can be in what is left, whatever it says.
        let room =
            |said: u64, each: usize, left: &[u8]| usize::try_from(said).unwrap_or(usize::MAX).min(left.len() / each);
        reserve(&mut all.messages, room(head.messages, size_of::<MessageHead>(), reader.0))?;
        for _ in 0..head.messages {
            let message: MessageHead = reader.read()?;
            if !fits(message.level, message.size) || index_of(message.actor) >= head.actors {
                return Err(bad("has a message that there cannot be"));
            }
            let payload = copy(reader.section(message.size as usize)?)?.into();
            let envelope = Envelope {
                actor: message.actor,
                kind: message.kind,
                level: message.level,
                flags: flags_of(message.bits),
                size: message.size,
                correlation: message.correlation,
                sender: message.sender,
                deadline: message.deadline,
                time: message.time,
            };
            all.messages.push(Message { from_host: message.bits & FROM_HOST != 0, envelope, payload });
        }
        reserve(&mut all.posts, room(head.posts, size_of::<PostHead>(), reader.0))?;
        for _ in 0..head.posts {
            let post: PostHead = reader.read()?;
            // To nobody's address, which would mean something else on its way.
            if !fits(post.level, post.size) || index_of(post.by as u32) >= head.actors || post.to == u64::MAX {
                return Err(bad("has a post that there cannot be"));
            }
            let by = Address::new(head.key, post.by as u32).to_bits();
            let payload = copy(reader.section(post.size as usize)?)?.into();
            let envelope = Envelope {
                actor: if post.to == 0 { by as u32 } else { post.to as u32 },
                kind: post.kind,
                level: post.level,
                flags: if post.bits & REPLY != 0 { flags::REPLY } else { 0 } | flags_of(post.bits),
                size: post.size,
                correlation: post.correlation,
                sender: post.sender,
                deadline: 0,
                time: 0,
            };
            let heard = reader.section(post.heard as usize * size_of::<u64>())?;
            let heard = match (post.bits & HEARD_LIKEWISE != 0, all.posts.last()) {
                (true, Some(before)) if heard.is_empty() && !before.heard.is_empty() => before.heard.clone(),
                (true, _) => return Err(bad("has a post that there cannot be")),
                (false, _) => heard.chunks_exact(size_of::<u64>()).map(bytemuck::pod_read_unaligned).collect(),
            };
            // Only what is published has several receivers.
            if !heard.is_empty() && Address::from_bits(post.to).topic().is_none() {
                return Err(bad("has a post that there cannot be"));
            }
            let post = Post { to: post.to, by, envelope, deadline_ns: post.deadline_ns };
            all.posts.push(Unsent { post, payload, heard });
        }
        if !reader.0.is_empty() {
            return Err(bad("has something behind its end"));
        }
        let (actor, name) = (head.actor.to_owned(), head.name.to_owned());
        Ok(Self { key: head.key, actor, name, state_size: head.state_size, all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Restarts;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn bytes_of(image: &Image) -> Vec<u8> {
        let mut bytes: &'static mut [u8] = &mut [];
        encode(image, |size| {
            bytes = Box::leak(vec![0xaa; size].into_boxed_slice());
            // SAFETY: used again only after `encode`.
            Ok(unsafe { &mut *std::ptr::from_mut(bytes) })
        })
        .expect("there is room");
        bytes.to_vec()
    }

    prop_compose! {
        fn payload()(bytes in proptest::collection::vec(any::<u8>(), 0..80)) -> Box<[u8]> { bytes.into() }
    }

    prop_compose! {
        fn envelope(actors: u32, with_reply: bool)(
            index in 0..actors, generation in 0..4096u32, kind in any::<u16>(), level in 0..4u8, said in any::<u8>(),
            numbers in any::<[u64; 4]>(),
        ) -> Envelope {
            let flags = said & if with_reply { flags::SAID } else { flags::SAID & !flags::REPLY };
            let [correlation, sender, deadline, time] = numbers;
            let actor = crate::address::actor_bits(generation, index);
            Envelope { actor, kind, level, flags, size: 0, correlation, sender, deadline, time }
        }
    }

    /// A post's receiver, and the actors that have had it.
    fn to() -> impl Strategy<Value = (u64, Arc<[u64]>)> {
        let heard = prop_oneof![Just(vec![]), Just(vec![7, 7, 8]), proptest::collection::vec(any::<u64>(), 1..5)];
        let topic = (0..u32::MAX, heard).prop_map(|(key, heard)| (Address::of_topic(key).to_bits(), heard.into()));
        prop_oneof![(0..u64::from(u32::MAX) << 32).prop_map(|to| (to, Arc::default())), topic]
    }

    prop_compose! {
        fn image()(actors in 1..20u32, state_size in 0..40u32)(
            actors in Just(actors), state_size in Just(state_size), key in 1..u32::MAX, time in any::<u64>(),
            actor in "[a-z]{1,20}", name in "\\PC{0,20}", counters in any::<[u64; COUNTERS]>(),
            entries in proptest::collection::vec((0..3u32, any::<u32>(), any::<u32>(), any::<u32>()), actors as usize),
            kin in proptest::collection::vec([0..=actors, 0..=actors + 1, 0..=actors], actors as usize),
            states in proptest::collection::vec(any::<u8>(), (actors * state_size) as usize),
            messages in proptest::collection::vec((any::<bool>(), envelope(actors, false), payload()), 0..20),
            posts in proptest::collection::vec((to(), envelope(actors, true), any::<u64>(), payload()), 0..20),
        ) -> Image {
            let entry = |(status, generation, count, since)| {
                Entry { status, generation, restarts: Restarts { count, since } }
            };
            let sized = |envelope, payload: &[u8]| Envelope { size: payload.len() as u32, ..envelope };
            let all = Part {
                first: 0,
                entries: entries.into_iter().map(entry).collect(),
                kin: kin.into_iter().map(|[parent, first, next]| {
                    Kin { parent, first: if first > actors { Kin::ENDED } else { first }, next }
                }).collect(),
                states,
                counters,
                messages: messages.into_iter().map(|(from_host, envelope, payload)| {
                    Message { from_host, envelope: sized(envelope, &payload), payload }
                }).collect(),
                posts: posts.into_iter().map(|((to, heard), envelope, deadline_ns, payload)| {
                    let by = Address::new(key, envelope.actor).to_bits();
                    let actor = if to == 0 { by } else { to } as u32;
                    let envelope = Envelope { actor, deadline: 0, time: 0, ..sized(envelope, &payload) };
                    Unsent { post: Post { to, by, envelope, deadline_ns }, payload, heard }
                }).collect(),
                time,
            };
            Image { key, actor, name, state_size, all }
        }
    }

    proptest! {
        #[test]
        fn there_and_back(image in image()) {
            let bytes = bytes_of(&image);
            prop_assert_eq!(bytes.len() % 8, 0);
            prop_assert_eq!(Image::decode(&bytes).expect("it was written so"), image);
        }

        #[test]
        fn what_is_damaged_is_refused(image in image(), at: prop::sample::Index, bit in 0..8u32) {
            let mut bytes = bytes_of(&image);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(matches!(Image::decode(&bytes), Err(Error::BadImage(_))));
            bytes[at] ^= 1 << bit;
            bytes.push(0);
            prop_assert!(matches!(Image::decode(&bytes), Err(Error::BadImage(_))));
            bytes.truncate(at);
            prop_assert!(matches!(Image::decode(&bytes), Err(Error::BadImage(_))));
        }

        /// Also with a checksum that is right: it keeps out accidents, nobody who means it.
        #[test]
        fn nonsense_is_refused(image in image(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut bytes = bytes_of(&image);
            for (at, value) in changes {
                let at = COVERED_FROM + 8 + at.index(bytes.len() - COVERED_FROM - 8);
                bytes[at] = value;
            }
            let checksum = crc32fast::hash(&bytes[COVERED_FROM..]);
            bytes[12..COVERED_FROM].copy_from_slice(&checksum.to_le_bytes());
            // It may still be one. Then it is one that can be used, and written again.
            if let Ok(image) = Image::decode(&bytes) {
                prop_assert!(image.all.messages.iter().all(|message| usize::from(message.envelope.level) < LEVELS));
                prop_assert_eq!(Image::decode(&bytes_of(&image)).expect("as above"), image);
            }
        }
    }
}
