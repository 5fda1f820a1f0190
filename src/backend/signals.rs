//! Threads of ours take no signals of the host's: threads inherit the mask of the one that starts them.

use crate::error::{Error, Result};

/// Blocks all signals of this thread while it lives.
pub(crate) struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: sigset_t is plain data; both calls write only to the sets given.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            match libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) {
                0 => Ok(Self(before)),
                errno => Err(Error::System { what: "pthread_sigmask", errno }),
            }
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled by the call that it is given back to.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}
