//! What host and device share: the host's half of the structs in `include/ringkernel/cuda/pump.cuh`, which assert the same
//! sizes. The fields say there what they mean.

use bytemuck::{Pod, Zeroable};

use crate::kernel::Counts;
use crate::layout::COUNTERS;
use crate::message::LEVELS;

#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Ring {
    pub(super) slots: u64,
    pub(super) bodies: u64,
    pub(super) head: u64,
    pub(super) tail: u64,
    pub(super) shift: u32,
    pub(super) body: u32,
}

/// The rest of the device's struct is the worker's own and begins as zeros.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Worker {
    pub(super) rings: [Ring; 2 * LEVELS],
    pub(super) outbound: Ring,
    pub(super) outbox: u64,
    pub(super) message: u64,
    pub(super) aside: u64,
    pub(super) own: [u64; 41],
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Report {
    pub(super) counts: [u64; 10],
    pub(super) counters: [u64; COUNTERS],
    pub(super) accepted: [u64; LEVELS],
    pub(super) consumed: [u64; LEVELS],
    pub(super) waits_for: u64,
    pub(super) ended: u64,
    pub(super) found_waiting: u64,
}

impl Report {
    /// In the order of `RK_C_...`.
    pub(super) fn counts(&self, high_water: u64) -> Counts {
        let [handled, dead, sent_host, sent_actors, deferred, undeliverable, refused, failures, quanta, completed] =
            self.counts;
        Counts {
            handled,
            dead,
            sent_host,
            sent_actors,
            deferred,
            undeliverable,
            refused,
            failures,
            quanta,
            completed,
            high_water,
            counters: self.counters,
        }
    }
}

/// Indices of the control words.
pub(super) mod control {
    pub(in super::super) const LEAVE: usize = 0;
    pub(in super::super) const LETTER_HEAD: usize = 8;
    pub(in super::super) const LEFT: usize = 16;
    pub(in super::super) const NEWS: usize = 24;
    pub(in super::super) const FOREIGN: usize = 32;
    pub(in super::super) const BYTES: usize = 320;
}

/// Indices of a worker's orders.
pub(super) mod orders {
    pub(in super::super) const END_AT: usize = 0;
    pub(in super::super) const LETTERS_FULL: usize = 4;
    pub(in super::super) const WORDS: usize = 5;
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Letter {
    pub(super) stamp: u64,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) correlation: u64,
    pub(super) time: u64,
    pub(super) worker: u32,
    pub(super) class: u32,
    pub(super) kind: u32,
    pub(super) level: u32,
    pub(super) call: u32,
    pub(super) size: u32,
    pub(super) reason: i32,
    pub(super) pad: [u32; 15],
}

#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Kernel {
    pub(super) workers: u64,
    pub(super) waits: u64,
    pub(super) states: u64,
    pub(super) entries: u64,
    pub(super) types: u64,
    pub(super) reports: u64,
    pub(super) orders: u64,
    pub(super) control: u64,
    pub(super) letters: u64,
    pub(super) directory: u64,
    pub(super) reciprocal: u64,
    pub(super) aside_size: u64,
    pub(super) key: u32,
    pub(super) actors: u32,
    pub(super) worker_count: u32,
    pub(super) stride: u32,
    pub(super) type_shift: u32,
    pub(super) type_mask: u32,
    pub(super) outbox_limit: u32,
    pub(super) letter_mask: u32,
    pub(super) letter_stride: u32,
    pub(super) left_count: u32,
    pub(super) letter_tail: u64,
}

/// Bytes of an actor's entry.
pub(super) const ENTRY: usize = 16;

/// What a launch does; `RK_MODE_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Mode {
    Run = 0,
    LeaveIdle = 1,
    End = 2,
}

const _: () = {
    assert!(size_of::<Ring>() == 40 && size_of::<Letter>() == 128 && size_of::<Kernel>() == 144);
    assert!(size_of::<Worker>() == 712 && size_of::<Report>() == 232);
};
