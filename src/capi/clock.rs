//! The hybrid logical clock.

use super::guard::enter;
use super::handle;
use super::status::rk_status;
use super::types::rk_runtime;

/// Ticks the runtime's hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014) and gives the stamp.
///
/// Stamps compare as numbers: of two events where one could have caused the other, the later has the larger stamp, over
/// host, actors and devices. Bits 8 to 63: physical time in units of 2^-24 s (59.6 ns) since 1970; bits 0 to 7: logical
/// part. Every stamp given by one clock is unique and larger than the ones before, under any number of threads.
/// stamp: receives it. Thread-safe. Since 0.1.0.
#[no_mangle]
pub unsafe extern "C" fn rk_hlc_now(runtime: rk_runtime, stamp: *mut u64) -> rk_status {
    enter(|| {
        // SAFETY: the caller passes NULL or a place for the stamp.
        let out = unsafe { handle::out(stamp) }?;
        *out = handle::runtime(runtime)?.clock().tick(crate::pins::section());
        Ok(())
    })
}
