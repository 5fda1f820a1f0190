//! Which way messages go between actors.

use super::Kernel;
use crate::address::Address;
use crate::error::{Error, Result};

/// A way. The numbers are `RK_ROUTE_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Route {
    /// The same worker has both.
    Worker = 1,
    /// A ring in the memory of the device that both are on.
    Device = 2,
    /// The host takes them from one device to another.
    Host = 3,
}

impl Kernel {
    /// From one of our actors to one of another kernel, or of this.
    pub(crate) fn way_to(&self, from: Address, other: &Kernel, to: Address) -> Result<Route> {
        let worker = |kernel: &Kernel, address: Address| match address.index() {
            index if index < kernel.actors => Ok(kernel.placement.worker(index)),
            _ => Err(Error::Stale),
        };
        let (mine, theirs) = (worker(self, from)?, worker(other, to)?);
        if self.key == other.key && mine == theirs {
            return Ok(Route::Worker);
        }
        Ok(self.backend.route(self, other))
    }
}
