//! What is shared with compiled modules and devices: the Rust half of `include/ringkernel/module.h`, whose comments say
//! what each field means. `tests/layout.rs` compares every offset.

#![allow(missing_docs)]

use std::ffi::{c_char, c_void};
use std::sync::atomic::AtomicU64;

/// Version of every struct here, of those of `device/layout.h`, which compiled pumps are made for, and of the slots in rings.
pub const LAYOUT_VERSION: u32 = 5;
pub const PAYLOAD_MAX: u32 = 65536;
pub const STATE_MAX: u32 = 1 << 20;
pub const SCRATCH_MAX: u32 = 32768;
pub const TYPE_MAX: u32 = 65279;
/// `RK_TYPE_START`
pub const TYPE_START: u32 = 65281;
/// `RK_TYPE_STOP`
pub const TYPE_STOP: u32 = 65282;
/// `RK_TYPE_ORPHANED` of `device/layout.h`: between workers only.
pub const TYPE_ORPHANED: u32 = 65283;
pub const COUNTERS: usize = 8;

pub const RESULT_FAIL: u32 = 1;
pub const RESULT_STOP: u32 = 2;

pub const POST_REPLY: u32 = 1;
pub const POST_SEND: u32 = 2;
pub const POST_EMIT: u32 = 3;
pub const POST_FORWARD: u32 = 4;
/// `RK_POST_AGAIN` of `device/layout.h`: by workers only.
pub const POST_AGAIN: u32 = 5;

pub const SECTION_CUDA_SOURCE: u32 = 1;
pub const SECTION_CUDA_CUBIN: u32 = 2;
pub const SECTION_CUDA_PTX: u32 = 3;
pub const SECTION_SPIRV: u32 = 4;

/// `rk_outgoing`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Outgoing {
    pub to: u64,
    pub correlation: u64,
    pub deadline: u64,
    pub kind: u32,
    pub r#type: u32,
    pub size: u32,
    pub priority: u32,
    pub reserved: u64,
}

/// Buffers that can exist at once.
pub const BUFFERS: usize = 4096;

/// `rk_buffer_entry`
#[repr(C)]
#[derive(Debug, Default)]
pub struct BufferEntry {
    pub id: AtomicU64,
    pub size: AtomicU64,
    pub address: AtomicU64,
    pub reserved: u64,
}

/// `rk_buffer_table`
#[repr(C)]
#[derive(Debug)]
pub struct BufferTable {
    pub sink: u64,
    pub reserved: [u64; 3],
    pub entries: [BufferEntry; BUFFERS],
}

/// `rk_context`
#[repr(C)]
#[derive(Debug)]
pub struct Context {
    pub state: *mut c_void,
    pub message: *const c_void,
    pub scratch: *mut c_void,
    pub outbox: *mut u8,
    pub outbox_used: u32,
    pub outbox_limit: u32,
    pub r#type: u32,
    pub size: u32,
    pub index: u32,
    pub actors: u32,
    pub self_: u64,
    pub sender: u64,
    pub correlation: u64,
    pub time: u64,
    pub counters: *mut u64,
    pub priority: u32,
    pub result: u32,
    pub fail_code: i32,
    pub refused: u32,
    pub buffers: *const BufferTable,
    pub reserved: [u64; 3],
}

/// `rk_handler_fn`
pub type HandlerFn = unsafe extern "C" fn(context: *mut Context);

/// `rk_handler`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Handler {
    pub r#type: u32,
    pub size: u32,
    pub run: Option<HandlerFn>,
}

/// `rk_actor_type`
#[repr(C)]
pub struct ActorType {
    pub name: *const c_char,
    pub state_size: u32,
    pub scratch_size: u32,
    pub handlers: *const Handler,
    pub handler_count: u32,
    pub reserved: u32,
}

/// `rk_message_type`
#[repr(C)]
pub struct MessageType {
    pub name: *const c_char,
    pub r#type: u32,
    pub size: u32,
}

/// `rk_section`
#[repr(C)]
pub struct Section {
    pub kind: u32,
    pub reserved: u32,
    pub name: *const c_char,
    pub data: *const c_void,
    pub size: u64,
}

/// `rk_module_image`
#[repr(C)]
pub struct ModuleImage {
    pub struct_size: u32,
    pub layout_version: u32,
    pub name: *const c_char,
    pub actors: *const ActorType,
    pub messages: *const MessageType,
    pub sections: *const Section,
    pub actor_count: u32,
    pub message_count: u32,
    pub section_count: u32,
    pub reserved: u32,
}
