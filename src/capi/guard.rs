//! The boundary: every entry point runs inside [`enter`] or [`in_out`].

use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

use super::status::{rk_error, rk_status, status_of, RK_ERROR_PANIC, RK_OK};
use crate::error::Result;
use crate::fork;

thread_local! {
    /// Whether this thread is inside the library. No destructor, so nothing is registered with the host's thread.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A bug's panic message goes nowhere: the library is a guest and does not print. Panics of others are none of ours.
pub(super) fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let ours =
                INSIDE.with(Cell::get) || std::thread::current().name().is_some_and(|name| name.starts_with("rk-"));
            if !ours {
                others(panic);
            }
        }));
    });
}

/// Runs the body of an entry point without error detail.
#[inline(always)]
pub(super) fn enter(body: impl FnOnce() -> Result<()>) -> rk_status {
    match guarded(body) {
        Ok(Ok(())) => RK_OK,
        Ok(Err(error)) => status_of(&error),
        Err(Panicked) => RK_ERROR_PANIC,
    }
}

/// Runs the body of an entry point; an error is written to `error` if the caller gave one.
pub(super) fn in_out(error: *mut rk_error, body: impl FnOnce() -> Result<()>) -> rk_status {
    let detail = match guarded(body) {
        Ok(Ok(())) => return RK_OK,
        Ok(Err(error)) => rk_error::new(&error),
        Err(Panicked) => rk_error::panic(),
    };
    let status = detail.status;
    if status < 0 && !error.is_null() && error.is_aligned() {
        // SAFETY: the caller passes NULL or a place for the detail, which need not be initialised.
        unsafe { error.write(detail) };
    }
    status
}

struct Panicked;

#[inline(always)]
fn guarded(body: impl FnOnce() -> Result<()>) -> std::result::Result<Result<()>, Panicked> {
    if fork::forked() {
        return Ok(Err(crate::error::Error::Forked));
    }
    // Unwind safety: what a panic leaves half done belongs to a runtime, which is poisoned (`table::Pinned`).
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _inside = Inside::enter();
        body()
    }));
    outcome.map_err(|_| Panicked)
}

/// Marks this thread as inside. A log callback may be too, whose own panics cannot pass through C anyway.
struct Inside(bool);

impl Inside {
    #[inline]
    fn enter() -> Self {
        Self(INSIDE.with(|inside| inside.replace(true)))
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        // The hook has run by now: it does before unwinding.
        INSIDE.with(|inside| inside.set(self.0));
    }
}
