//! Which way messages go.

use super::guard::in_out;
use super::handle;
use super::status::{rk_error, rk_status};
use super::types::rk_actor;
use crate::address::Address;

/// rk_route(): one worker has both actors.
pub const RK_ROUTE_WORKER: u32 = 1;
/// rk_route(): a ring in the memory of the device that both are on, the CPU or a GPU.
pub const RK_ROUTE_DEVICE: u32 = 2;
/// rk_route(): the host takes messages from one device to the other.
pub const RK_ROUTE_HOST: u32 = 3;

/// Says which way messages of one actor get to another. There is always one.
///
/// All actors of a kernel that has one worker, or is on another device, have the same route to another kernel's. route:
/// receives RK_ROUTE_... error: may be NULL. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_route(from: rk_actor, to: rk_actor, route: *mut u32, error: *mut rk_error) -> rk_status {
    in_out(error, || {
        // SAFETY: the caller passes NULL or a place for the route.
        let out = unsafe { handle::out(route) }?;
        let (sender, receiver) = (handle::kernel_of(from)?, handle::kernel_of(to)?);
        *out = sender.way_to(Address::from_bits(from.id), &receiver, Address::from_bits(to.id))? as u32;
        Ok(())
    })
}
