//! ringkernel: GPU actors behind a C ABI.
//!
//! The public interface is `include/ringkernel.h`; [`capi`] is its Rust side and everything else is the core behind it,
//! which takes no raw pointers from callers. How the parts stand to each other:
//!
//! ```text
//!   capi ── runtime ── kernel ── backend::{cpu, …}
//!             │          │            │
//!           queue ── ring (slots, words) ── hlc, bell
//! ```
//!
//! A message goes kernel → ring → a backend's worker → handler → ring → queue.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_endian = "little")))]
compile_error!("ringkernel needs Linux on x86-64: its slots are written with single 16-byte stores");

// Rings and bells are what the models in tests/loom.rs check; under `--cfg loom` nothing else is built.
mod align;
#[doc(hidden)]
pub mod bell;
#[doc(hidden)]
pub mod ring;
mod sync;

macro_rules! modules {
    ($($(#[$meta:meta])* $vis:vis mod $name:ident;)*) => { $(#[cfg(not(loom))] $(#[$meta])* $vis mod $name;)* };
}

modules! {
    mod address;
    mod backend;
    mod calls;
    pub mod capi;
    pub mod error;
    mod fork;
    mod futex;
    mod hlc;
    mod kernel;
    #[doc(hidden)]
    pub mod layout;
    mod log;
    mod message;
    #[doc(hidden)]
    pub mod module;
    mod queue;
    mod runtime;
    mod table;
    mod time;
    mod wall;
}
