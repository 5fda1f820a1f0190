//! The boundary: every entry point runs inside [`enter`] or [`in_out`].

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

use super::status::{rk_error, rk_status, status_of, RK_ERROR_PANIC, RK_OK};
use crate::error::{Error, Result};
use crate::{fork, pins};

/// A bug's panic message goes nowhere: the library is a guest and does not print. Panics of others are none of ours.
pub(super) fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let ours = pins::is_inside() || std::thread::current().name().is_some_and(|name| name.starts_with("rk-"));
            if !ours {
                others(panic);
            }
        }));
    });
}

/// Runs the body of an entry point without error detail.
#[inline(always)]
pub(super) fn enter(body: impl FnOnce() -> Result<()>) -> rk_status {
    guarded(|| match body() {
        Ok(()) => RK_OK,
        Err(error) => refused(error),
    })
    .unwrap_or_else(|problem| problem.status())
}

// Not inline: an error takes many words, which success should not even make room for.
#[cold]
fn refused(error: Error) -> rk_status {
    status_of(&error)
}

/// Runs the body of an entry point; an error is written to `error` if the caller gave one.
pub(super) fn in_out(error: *mut rk_error, body: impl FnOnce() -> Result<()>) -> rk_status {
    let detail = match guarded(body) {
        Ok(Ok(())) => return RK_OK,
        Ok(Err(error)) => rk_error::new(&error),
        Err(Problem::Forked) => rk_error::new(&Error::Forked),
        Err(Problem::Panicked) => rk_error::panic(),
    };
    let status = detail.status;
    if status < 0 && !error.is_null() && error.is_aligned() {
        // SAFETY: the caller passes NULL or a place for the detail, which need not be initialised.
        unsafe { error.write(detail) };
    }
    status
}

/// Why a body did not run to its end.
enum Problem {
    Forked,
    Panicked,
}

impl Problem {
    fn status(self) -> rk_status {
        match self {
            Self::Forked => status_of(&Error::Forked),
            Self::Panicked => RK_ERROR_PANIC,
        }
    }
}

#[inline(always)]
fn guarded<R>(body: impl FnOnce() -> R) -> std::result::Result<R, Problem> {
    if fork::forked() {
        return Err(Problem::Forked);
    }
    // Unwind safety: what a panic leaves half done belongs to a runtime, which is poisoned (`table::Pinned`).
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _inside = Inside::enter();
        body()
    }));
    outcome.map_err(|_| Problem::Panicked)
}

/// Marks this thread as inside. A log callback may be too, whose own panics cannot pass through C anyway.
struct Inside(bool);

impl Inside {
    #[inline(always)]
    fn enter() -> Self {
        Self(pins::set_inside(true))
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        // The hook has run by now: it does before unwinding.
        pins::set_inside(self.0);
    }
}
