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

// Rings and bells are what the models check; under `--cfg loom` nothing else is built.
mod align;
#[doc(hidden)]
pub mod bell;
#[doc(hidden)]
pub mod bias;
#[doc(hidden)]
pub mod ring;
mod sync;

#[cfg(all(loom, test))]
mod models;

#[cfg(not(loom))]
mod address;
#[cfg(not(loom))]
mod alerts;
#[cfg(not(loom))]
mod backend;
// For rkc.
#[cfg(not(loom))]
#[doc(hidden)]
pub use backend::{cuda_code, cuda_selftest_code};
#[cfg(not(loom))]
mod buffer;
#[cfg(not(loom))]
mod calls;
#[cfg(not(loom))]
pub mod capi;
#[cfg(not(loom))]
pub mod error;
#[cfg(not(loom))]
mod fork;
#[cfg(not(loom))]
mod futex;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod histogram;
#[cfg(not(loom))]
mod hlc;
#[cfg(not(loom))]
mod kernel;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod latency;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod layout;
#[cfg(not(loom))]
mod log;
#[cfg(not(loom))]
mod message;
#[cfg(not(loom))]
mod metrics;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod module;
#[cfg(not(loom))]
mod nvtx;
#[cfg(not(loom))]
mod pattern;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod pins;
#[cfg(not(loom))]
mod queue;
#[cfg(not(loom))]
mod registry;
#[cfg(not(loom))]
mod regular_file;
#[cfg(not(loom))]
mod runtime;
#[cfg(not(loom))]
mod selftest;
#[cfg(not(loom))]
mod settings;
#[cfg(not(loom))]
mod snapshot;
#[cfg(not(loom))]
mod table;
#[cfg(not(loom))]
mod time;
#[cfg(not(loom))]
mod topics;
#[cfg(not(loom))]
mod trace;
#[cfg(not(loom))]
mod transfers;
#[cfg(not(loom))]
mod wall;
