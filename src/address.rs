//! Addresses of actors: 64 bits that mean the same on host and devices.
//!
//! ```text
//!   63        44 43       32 31        20 19         0
//!   kernel       kernel      actor        actor
//!   generation   slot        generation   index
//! ```
//!
//! The upper half is the kernel's key in the [directory](crate::kernel::directory), the lower half travels in every slot.
//! Kernel generations start at 1, so no address is zero and zero can mean the host; they end before all of the upper half is
//! ones, which is what addresses of topics have there.

/// Actors of a kernel are numbered in this many bits.
pub(crate) const INDEX_BITS: u32 = 20;
/// Most actors of one kernel.
pub(crate) const MAX_ACTORS: u32 = 1 << INDEX_BITS;
const INDEX_MASK: u32 = MAX_ACTORS - 1;

/// In the place of a kernel's key: the address is of a topic, whose key is the lower half. No kernel has it, see
/// `table::LAST_GENERATION`.
const TOPIC: u32 = u32::MAX;

/// The address of one actor, or of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(u64);

impl Address {
    pub(crate) fn new(kernel: u32, actor: u32) -> Self {
        Self(u64::from(kernel) << 32 | u64::from(actor))
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn of_topic(key: u32) -> Self {
        Self::new(TOPIC, key)
    }

    /// Key of the topic, if it is one's.
    #[inline(always)]
    pub(crate) fn topic(self) -> Option<u32> {
        (self.kernel() == TOPIC).then_some(self.actor())
    }

    /// Key of the kernel.
    pub(crate) fn kernel(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Generation and index within the kernel, as slots carry them.
    pub(crate) fn actor(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn index(self) -> u32 {
        index_of(self.actor())
    }
}

/// Index in the lower half of an address.
pub(crate) fn index_of(actor: u32) -> u32 {
    actor & INDEX_MASK
}

/// Generation in the lower half of an address.
pub(crate) fn generation_of(actor: u32) -> u32 {
    actor >> INDEX_BITS
}

/// The lower half of an address.
pub(crate) fn actor_bits(generation: u32, index: u32) -> u32 {
    generation << INDEX_BITS | index
}
