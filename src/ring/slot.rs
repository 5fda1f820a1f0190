//! What a slot holds.
//!
//! ```text
//!   word   0                  1                  2                  3
//!          d0  d1  d2  t0     d3  d4  d5  t1     d6  d7  d8  t2     d9  d10 d11 t3      32 bits each
//!
//!   d0     actor: generation and index; of the receiver, or in rings to the host of the sender
//!   d1     message type (16) | bytes of inline payload (6) | priority level (2) | flags (8)
//!   d2 d3  correlation
//!   d4...  32 bytes: [sender, if FLAG_SENDER] [deadline, if FLAG_DEADLINE] then the payload, or if FLAG_BODY its size
//!   t      stamp (16) | a quarter of the time stamp (16)
//! ```

use std::arch::x86_64::*;

/// Bits of `d1`.
pub mod flags {
    /// A sending actor's address is in the slot. Without it the host is the sender.
    pub const SENDER: u8 = 1;
    /// A deadline is in the slot.
    pub const DEADLINE: u8 = 2;
    /// The payload is in the slot's body.
    pub const BODY: u8 = 4;
    /// The correlation is that of an `rk_call`.
    pub const CALL: u8 = 8;
    /// In rings to the host: an answer. Otherwise unasked.
    pub const REPLY: u8 = 16;
    /// If the handler fails and its actor is restarted, that is handed the message again.
    pub const AGAIN: u8 = 32;
    /// What an envelope says; the others follow from the rest of it.
    pub const SAID: u8 = CALL | REPLY | AGAIN;
}

/// Bytes that a slot has for sender, deadline and payload.
pub const INLINE_BYTES: usize = 8 * AREA;
/// The same in words of 8.
pub const AREA: usize = 4;

/// A message without its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Lower half of an actor's address.
    pub actor: u32,
    /// Message type.
    pub kind: u16,
    /// Priority level, 0 to 3.
    pub level: u8,
    /// Of `flags::SAID`.
    pub flags: u8,
    /// Bytes of payload.
    pub size: u32,
    /// Comes back with a reply.
    pub correlation: u64,
    /// Address of the sending actor, 0 for the host.
    pub sender: u64,
    /// Clock's physical time after which it is not to be handled; 0 for none.
    pub deadline: u64,
    /// Hybrid logical clock.
    pub time: u64,
}

/// 16 bytes, as two halves: they stay in registers on their way to the one store, where four quarters would go through
/// memory and stall it.
pub type Word = [u64; 2];

/// Four words. Stamps are put in by the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    words: [Word; 4],
}

/// What messages from the host without deadlines have in common that are of one type, size and level.
#[derive(Clone, Copy)]
pub struct Like {
    d1: u32,
    size: usize,
}

impl Like {
    /// Of a message of `size` bytes.
    pub fn new(kind: u16, level: u8, size: usize) -> Self {
        let (inline, bits) = if size <= INLINE_BYTES { (size as u32, 0) } else { (0, flags::BODY) };
        Self { d1: d1(kind, inline, level, bits), size }
    }
}

fn d1(kind: u16, inline: u32, level: u8, bits: u8) -> u32 {
    u32::from(kind) | inline << 16 | u32::from(level) << 22 | u32::from(bits) << 24
}

impl Slot {
    #[inline(always)]
    pub(super) fn new(words: [Word; 4]) -> Self {
        Self { words }
    }

    /// A slot as it lies in memory, if all its words have that stamp.
    #[cfg(not(loom))] // of snapshots
    pub(crate) fn whole(words: [Word; 4], stamp: u16) -> Option<Self> {
        words.iter().all(|[_, upper]| Self::stamp(*upper) == stamp).then_some(Self { words })
    }

    /// Its words with a stamp, as they lie in memory.
    #[cfg(not(loom))] // of snapshots
    pub(crate) fn stamped(&self, stamp: u16) -> [Word; 4] {
        self.words.map(|[lower, upper]| [lower, upper | u64::from(stamp) << 48])
    }

    /// Word `index`, as yet without a stamp.
    #[inline(always)]
    pub(crate) fn word(&self, index: usize) -> Word {
        self.words[index]
    }

    /// The stamp in the upper half of a word.
    #[inline(always)]
    pub(super) fn stamp(upper: u64) -> u16 {
        (upper >> 48) as u16
    }

    /// Whether the payload lies in the slot's body.
    #[inline(always)]
    pub(super) fn has_body(&self) -> bool {
        (self.words[0][0] >> 56) as u8 & flags::BODY != 0
    }

    /// Puts a message into a slot. If its payload does not fit, the slot says so and the payload must be written to the
    /// body: the second result.
    #[inline(always)]
    pub fn encode<'a>(envelope: &Envelope, payload: &'a [u8]) -> (Self, &'a [u8]) {
        debug_assert_eq!(envelope.size as usize, payload.len());
        let mut bits = envelope.flags & flags::SAID;
        bits |= if envelope.sender != 0 { flags::SENDER } else { 0 };
        bits |= if envelope.deadline != 0 { flags::DEADLINE } else { 0 };
        let taken = 8 * usize::from(envelope.sender != 0) + 8 * usize::from(envelope.deadline != 0);
        let fits = payload.len() <= INLINE_BYTES - taken;
        let (inline, body) = if fits { (payload.len() as u32, &[][..]) } else { (0, payload) };
        bits |= if fits { 0 } else { flags::BODY };
        let [p, q, r, s] = if fits { load(payload) } else { [u64::from(envelope.size), 0, 0, 0] };
        let area = match (envelope.sender, envelope.deadline) {
            (0, 0) => [p, q, r, s],
            (0, deadline) => [deadline, p, q, r],
            (sender, 0) => [sender, p, q, r],
            (sender, deadline) => [sender, deadline, p, q],
        };
        let d1 = d1(envelope.kind, inline, envelope.level, bits);
        (Self::pack(envelope.actor, d1, envelope.correlation, envelope.time, area), body)
    }

    /// [`encode`](Self::encode) of one more message like another, with neither sender nor deadline, of which `like` is what both
    /// have in common.
    #[inline(always)]
    pub fn encode_like(like: Like, actor: u32, correlation: u64, time: u64, payload: &[u8]) -> (Self, &[u8]) {
        debug_assert_eq!(like.size, payload.len());
        let fits = like.size <= INLINE_BYTES;
        let area = if fits { load(payload) } else { [like.size as u64, 0, 0, 0] };
        (Self::pack(actor, like.d1, correlation, time, area), if fits { &[] } else { payload })
    }

    // In vectors: the words' parts move by 32 bits, which takes twice as many instructions in halves of 64.
    #[inline(always)]
    fn pack(actor: u32, d1: u32, correlation: u64, time: u64, area: [u64; AREA]) -> Self {
        // SAFETY: every x86-64 has SSE2; the transmuted are 16 bytes each, for which all values are valid.
        unsafe {
            let head = _mm_set_epi64x(correlation as i64, join(actor, d1) as i64);
            let [first, last]: [__m128i; 2] = std::mem::transmute(area);
            // A quarter of the time in each part, and the part of a word that it goes to.
            let quarters = _mm_unpacklo_epi16(_mm_cvtsi64_si128(time as i64), _mm_setzero_si128());
            let top = _mm_set_epi32(-1, 0, 0, 0);
            let word = |data, quarter| _mm_or_si128(_mm_andnot_si128(top, data), _mm_and_si128(top, quarter));
            let second = _mm_or_si128(_mm_slli_si128(first, 4), _mm_srli_si128(head, 12));
            let third = _mm_shuffle_ps::<0b00_00_11_10>(_mm_castsi128_ps(first), _mm_castsi128_ps(last));
            let words = [
                _mm_or_si128(_mm_andnot_si128(top, head), _mm_slli_si128(quarters, 12)),
                word(second, _mm_shuffle_epi32::<0b01_01_01_01>(quarters)),
                word(_mm_castps_si128(third), _mm_shuffle_epi32::<0b10_10_10_10>(quarters)),
                _mm_or_si128(_mm_srli_si128(last, 4), _mm_and_si128(top, quarters)),
            ];
            Self { words: std::mem::transmute::<[__m128i; 4], [Word; 4]>(words) }
        }
    }

    /// Takes a slot apart. The second result is the inline payload, of `size` bytes, zeros after it; it means nothing if
    /// the slot has a body, which is the third.
    #[inline(always)]
    pub fn decode(&self) -> (Envelope, [u64; AREA], bool) {
        // SAFETY: as in `pack`.
        let (first, correlation, time, payload, sender, deadline) = unsafe {
            let [a, b, c, d] = std::mem::transmute::<[Word; 4], [__m128i; 4]>(self.words);
            let low = |vector| _mm_cvtsi128_si64(vector) as u64;
            let float = |vector| _mm_castsi128_ps(vector);
            // Of each the last part, and of that the lower half: to 16 bits each with its sign, which then is the same.
            let tops = _mm_unpackhi_epi64(_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
            let quarters = _mm_srai_epi32(_mm_slli_epi32(tops, 16), 16);
            let p = _mm_unpacklo_epi64(_mm_srli_si128(b, 4), c);
            let q = _mm_castps_si128(_mm_move_ss(float(_mm_slli_si128(d, 4)), float(_mm_srli_si128(c, 8))));
            let second = _mm_unpackhi_epi64(p, p);
            let after_first = || [_mm_unpacklo_epi64(second, q), _mm_srli_si128(q, 8)];
            // One well-predicted branch: most messages are of one kind.
            let (sender, deadline, payload) = match (low(a) >> 56) as u8 & (flags::SENDER | flags::DEADLINE) {
                0 => (0, 0, [p, q]),
                flags::SENDER => (low(p), 0, after_first()),
                flags::DEADLINE => (0, low(p), after_first()),
                _ => (low(p), low(second), [q, _mm_setzero_si128()]),
            };
            let correlation = low(_mm_unpacklo_epi32(_mm_srli_si128(a, 8), b));
            let payload = std::mem::transmute::<[__m128i; 2], [u64; AREA]>(payload);
            (low(a), correlation, low(_mm_packs_epi32(quarters, quarters)), payload, sender, deadline)
        };
        let d1 = high(first);
        let bits = (d1 >> 24) as u8;
        let in_body = bits & flags::BODY != 0;
        let envelope = Envelope {
            actor: low(first),
            kind: d1 as u16,
            level: (d1 >> 22 & 3) as u8,
            flags: bits & flags::SAID,
            size: if in_body { payload[0] as u32 } else { d1 >> 16 & 0x3f },
            correlation,
            sender,
            deadline,
            time,
        };
        (envelope, payload, in_body)
    }

    /// The same of a message to the host, if there is nothing about it that is to be looked at again: as most are.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) fn decode_plain(&self) -> Option<(Envelope, [u64; AREA], bool)> {
        let special = flags::SENDER | flags::DEADLINE | flags::CALL;
        ((self.words[0][0] >> 56) as u8 & special == 0).then(|| self.decode())
    }
}

fn low(word: u64) -> u32 {
    word as u32
}

fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

fn join(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// Up to 32 bytes as words, zeros after them. In whole words as far as they go: copies of a length that the compiler does
/// not know are calls.
#[inline(always)]
fn load(bytes: &[u8]) -> [u64; AREA] {
    if let Ok(full) = <&[u8; INLINE_BYTES]>::try_from(bytes) {
        return bytemuck::pod_read_unaligned(full);
    }
    let mut words = [0; AREA];
    let mut chunks = bytes.chunks_exact(8);
    for (word, chunk) in words.iter_mut().zip(&mut chunks) {
        let mut whole = [0; 8];
        whole.copy_from_slice(chunk);
        *word = u64::from_le_bytes(whole);
    }
    for (index, byte) in chunks.remainder().iter().enumerate() {
        words[bytes.len() / 8] |= u64::from(*byte) << (8 * index);
    }
    words
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Part by part, as the picture above says: a mistake of both `encode` and `decode` would not show in what comes back.
        #[test]
        fn lies_as_said(
            (actor, kind, level) in (any::<u32>(), any::<u16>(), 0..4u8),
            (correlation, time) in any::<(u64, u64)>(),
            (sender, deadline) in (prop_oneof![Just(0), any::<u64>()], prop_oneof![Just(0), any::<u64>()]),
            payload in prop::collection::vec(any::<u8>(), 0..48),
        ) {
            let size = payload.len() as u32;
            let envelope = Envelope { actor, kind, level, flags: flags::CALL, size, correlation, sender, deadline, time };
            let (slot, body) = Slot::encode(&envelope, &payload);
            let mut area: Vec<u8> =
                [sender, deadline].into_iter().filter(|word| *word != 0).flat_map(u64::to_le_bytes).collect();
            let inside = area.len() + payload.len() <= INLINE_BYTES;
            area.extend(if inside { payload.clone() } else { u64::from(size).to_le_bytes().to_vec() });
            area.resize(INLINE_BYTES, 0);
            let bits = flags::CALL
                | if sender != 0 { flags::SENDER } else { 0 }
                | if deadline != 0 { flags::DEADLINE } else { 0 }
                | if inside { 0 } else { flags::BODY };
            let d1 = u32::from(kind) | if inside { size << 16 } else { 0 } | u32::from(level) << 22 | u32::from(bits) << 24;
            let mut parts = vec![actor, d1, correlation as u32, (correlation >> 32) as u32];
            parts.extend(area.chunks(4).map(|part| u32::from_le_bytes(part.try_into().expect("four"))));
            let lies: Vec<u32> = (slot.stamped(0xabcd).into_iter().flatten())
                .flat_map(|half| [half as u32, (half >> 32) as u32])
                .collect();
            for (word, (lies, expected)) in lies.chunks(4).zip(parts.chunks(3)).enumerate() {
                prop_assert_eq!(&lies[..3], expected);
                prop_assert_eq!(lies[3], 0xabcd_0000 | (time >> (16 * word)) as u32 & 0xffff);
            }
            prop_assert_eq!(body, if inside { &[][..] } else { &payload[..] });
            let stamped = Slot::whole(slot.stamped(0xabcd), 0xabcd).expect("the same");
            let (decoded, words, in_body) = stamped.decode();
            prop_assert_eq!((decoded, in_body), (envelope, !inside));
            if inside {
                let mut whole = payload;
                whole.resize(INLINE_BYTES, 0);
                prop_assert_eq!(words.map(u64::to_le_bytes).concat(), whole);
            }
        }
    }
}
