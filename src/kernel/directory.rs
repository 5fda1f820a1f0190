//! All kernels of the process, by key: how an address is found, from the host and from other kernels.

use std::sync::Arc;

use super::Kernel;
use crate::table::{Pinned, Removed, Table, Vacant};

static KERNELS: Table<Arc<Kernel>> = Table::new();

/// A kernel that stays in the directory while this is held.
pub(crate) type Found = Pinned<'static, Arc<Kernel>>;

pub(crate) fn reserve() -> crate::error::Result<Vacant<'static, Arc<Kernel>>> {
    KERNELS.reserve()
}

/// Takes the place of a kernel that is gone, if nobody has it.
pub(crate) fn reserve_again(key: u32) -> Option<Vacant<'static, Arc<Kernel>>> {
    KERNELS.reserve_again(key)
}

#[inline(always)]
pub(crate) fn find(key: u32) -> Option<Found> {
    KERNELS.get(key)
}

pub(crate) fn remove(key: u32) -> Option<Removed<'static, Arc<Kernel>>> {
    KERNELS.remove(key)
}

pub(crate) fn keys(which: impl Fn(&Arc<Kernel>) -> bool) -> Vec<u32> {
    KERNELS.keys(which)
}
