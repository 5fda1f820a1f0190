//! An actor's entry in its kernel's table, the same on every backend.

use super::Restarts;

/// What becomes of messages to an actor, and how often it was restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) status: u32,
    pub(crate) generation: u32,
    pub(crate) restarts: Restarts,
}

impl Entry {
    /// Status of an actor whose messages are handled. Zero, so that a fresh table is memory that the system has not even
    /// touched.
    pub(crate) const RUNNING: u32 = 0;
    /// It stopped itself, was stopped, or was not started yet.
    pub(crate) const STOPPED: u32 = 1;
    /// It failed for good.
    pub(crate) const FAILED: u32 = 2;

    /// Of an actor that begins stopped.
    pub(crate) fn stopped() -> Self {
        Self { status: Self::STOPPED, ..Self::default() }
    }
}
