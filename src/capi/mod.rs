//! The C interface: one file per noun, and what they share.
//!
//! Nothing here knows how things are done; nothing outside takes a caller's pointer. `include/ringkernel.h` is generated
//! from the nouns' files.
#![allow(clippy::missing_safety_doc, reason = "the doc comments are the C header's, where everything is unsafe")]

mod alert;
mod buffer;
mod clock;
mod config;
mod convert;
mod device;
mod guard;
mod handle;
mod kernel;
mod message;
mod metrics;
mod module;
mod options;
mod queue;
mod registry;
mod route;
mod runtime;
mod selftest;
mod snapshot;
mod status;
mod text;
mod topic;
mod trace;
mod types;
mod version;

pub use alert::*;
pub use buffer::*;
pub use clock::*;
pub use config::*;
pub use device::*;
pub use kernel::*;
pub use message::*;
pub use metrics::*;
pub use module::*;
pub use queue::*;
pub use registry::*;
pub use route::*;
pub use runtime::*;
pub use selftest::*;
pub use snapshot::*;
pub use status::*;
pub use topic::*;
pub use trace::*;
pub use types::*;
pub use version::*;
