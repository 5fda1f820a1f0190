//! What host and device share: the host's half of `include/ringkernel/device/layout.h`, whose comments say what each field
//! means.

use bytemuck::{Pod, Zeroable};

use crate::kernel::Counts;
pub(super) use crate::kernel::{Entry, Kin};
use crate::layout::COUNTERS;
use crate::message::LEVELS;

/// Bytes of the outbox before what the posts of one handler may fill.
pub(super) const FRONT: usize = 2048;
/// Messages handled between two deliveries.
pub(super) const BATCH: usize = 8;
/// Class of a letter that is a message for an actor elsewhere.
pub(super) const FORWARD: u32 = 5;
/// Counters of a worker.
const COUNTS: usize = 11;
/// Which of them says what has been completed.
pub(super) const COMPLETED: usize = 9;

#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub(in crate::backend) struct Ring {
    pub(super) slots: u64,
    pub(super) bodies: u64,
    pub(super) head: u64,
    pub(super) tail: u64,
    pub(super) shift: u32,
    pub(super) body: u32,
}

impl Ring {
    /// A ring whose slots, and behind them its bodies, are at `slots`, and that has no tail.
    pub(in crate::backend) fn over(slots: u64, capacity: usize, body: usize, head: u64) -> Self {
        let bodies = slots + capacity as u64 * 64;
        Self { slots, bodies, head, tail: 0, shift: capacity.trailing_zeros(), body: body as u32 }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Origin {
    pub(super) actor: u64,
    pub(super) sender: u64,
    pub(super) correlation: u64,
    pub(super) level: u32,
    pub(super) call: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Post {
    pub(super) to: u64,
    pub(super) by: u64,
    pub(super) correlation: u64,
    pub(super) sender: u64,
    pub(super) deadline_ns: u64,
    pub(super) actor: u32,
    pub(super) r#type: u32,
    pub(super) size: u32,
    pub(super) level: u32,
    pub(super) flags: u32,
    pub(super) reserved: u32,
}

/// Spans of a worker that the host sees.
pub(super) const SPANS: usize = 128;

#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Span {
    pub(super) stamp: u64,
    pub(super) correlation: u64,
    pub(super) from: u64,
    pub(super) waited: u64,
    pub(super) took: u64,
    pub(super) actor: u32,
    pub(super) r#type: u32,
    pub(super) size: u32,
    pub(super) level: u32,
    reserved: u64,
}

/// Zeros but for what the host sets.
#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Worker {
    pub(super) rings: [Ring; 2 * LEVELS],
    pub(super) outbound: Ring,
    pub(super) outbox: u64,
    pub(super) message: u64,
    pub(super) aside: u64,
    pub(super) latencies: u64,
    pub(super) latencies_host: u64,
    pub(super) spans: u64,
    pub(super) sample_every: u32,
    sample_pad: u32,
    pub(super) position: [u64; 2 * LEVELS],
    out_tail: u64,
    out_head: u64,
    pub(super) clock: u64,
    pub(super) clock_offset: i64,
    pub(super) aside_head: u64,
    pub(super) aside_tail: u64,
    pub(super) origins: [Origin; BATCH],
    pub(super) outbox_used: u32,
    pub(super) outbox_sent: u32,
    pub(super) front_end: u32,
    turn: u32,
    ended: u32,
    pub(super) irregular: u32,
    sample_ahead: u32,
    pub(super) sample_random: u32,
    sample_offset: i64,
    ticks: u64,
    ticks_ns: u64,
    span_count: u64,
    consumed: u64,
    found_waiting: u64,
    pub(super) counts: [u64; COUNTS],
    pub(super) counters: [u64; COUNTERS],
    pub(super) failed_actor: u64,
    failed_code: i32,
    pub(super) aside_count: u32,
}

impl Worker {
    pub(super) fn new(rings: [Ring; 2 * LEVELS], outbound: Ring, outbox: u64, message: u64, aside: u64) -> Self {
        Self { rings, outbound, outbox, message, aside, front_end: FRONT as u32, ..Self::zeroed() }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Report {
    pub(super) counts: [u64; COUNTS],
    pub(super) counters: [u64; COUNTERS],
    pub(super) accepted: [u64; LEVELS],
    pub(super) consumed: [u64; LEVELS],
    pub(super) waits: u64,
    pub(super) ended: u64,
    pub(super) found_waiting: u64,
    pub(super) ticks: u64,
    pub(super) ticks_ns: u64,
    pub(super) span_count: u64,
}

impl Report {
    /// In the order of `RK_C_...`.
    pub(super) fn counts(&self, high_water: u64) -> Counts {
        let [handled, dead, sent_host, sent_actors, deferred, undeliverable, refused, failures, quanta, completed, restarts] =
            self.counts;
        Counts {
            handled,
            dead,
            sent_host,
            sent_actors,
            deferred,
            undeliverable,
            refused,
            failures,
            quanta,
            completed,
            restarts,
            high_water,
            counters: self.counters,
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Control {
    pub(super) left: u64,
    pad0: [u64; 7],
    pub(super) foreign: u64,
    pad1: [u64; 7],
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Command {
    pub(super) leave: u64,
    pad0: [u64; 7],
    pub(super) letter_head: u64,
    pub(super) now: u64,
    pad1: [u64; 6],
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Orders {
    pub(super) out_head: u64,
    pub(super) end_at: [u64; LEVELS],
    pub(super) letters_full: u64,
    pad: [u64; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Letter {
    pub(super) stamp: u64,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) correlation: u64,
    pub(super) time: u64,
    pub(super) worker: u32,
    pub(super) klass: u32,
    pub(super) r#type: u32,
    pub(super) level: u32,
    pub(super) call: u32,
    pub(super) size: u32,
    pub(super) reason: i32,
    reserved: u32,
    pub(super) deadline_ns: u64,
    pad: [u32; 12],
}

#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Kernel {
    pub(super) workers: u64,
    pub(super) waits: u64,
    pub(super) states: u64,
    pub(super) entries: u64,
    pub(super) types: u64,
    pub(super) reports: u64,
    pub(super) orders: u64,
    pub(super) control: u64,
    pub(super) command: u64,
    pub(super) letters: u64,
    pub(super) directory: u64,
    pub(super) reciprocal: u64,
    pub(super) aside_size: u64,
    pub(super) initial: u64,
    pub(super) kin: u64,
    pub(super) kept: u64,
    pub(super) buffers: u64,
    pub(super) topics: u64,
    pub(super) key: u32,
    pub(super) actors: u32,
    pub(super) worker_count: u32,
    pub(super) stride: u32,
    pub(super) type_shift: u32,
    pub(super) type_mask: u32,
    pub(super) outbox_limit: u32,
    pub(super) letter_mask: u32,
    pub(super) letter_stride: u32,
    pub(super) block: u32,
    pub(super) restarts: u32,
    pub(super) restart_window: u32,
    pub(super) near: u32,
    pub(super) left_count: u32,
    pub(super) letter_tail: u64,
}

/// Actors that one [`Audience`] has room for.
pub(super) const PLACES: usize = 60;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Audience {
    pub(super) next: u64,
    pub(super) counts: u64,
    pub(super) used: u64,
    pub(super) others: u64,
    pub(super) changes: u64,
    pad: [u64; 3],
    pub(super) actors: [u64; PLACES],
    pub(super) since: [u64; PLACES],
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Outcome {
    pub(super) published: u64,
    pad: [u64; 7],
    pub(super) delivered: [u64; PLACES],
    pub(super) dropped: [u64; PLACES],
}

/// What a launch does; `RK_MODE_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(in crate::backend) enum Mode {
    Run = 0,
    LeaveIdle = 1,
    End = 2,
    /// Nothing but a report of what has come in, of a kernel at rest.
    Look = 3,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::ring::flags;
    use std::fmt::Write;
    use std::mem::offset_of;
    use std::process::{Command as Process, Stdio};

    /// Pumps that modules bring were compiled for a layout, which only the version tells.
    #[test]
    fn version_is_raised_with_the_layout() {
        const KNOWN: (u32, u64) = (5, 9_547_567_822_333_371_780);
        let header = include_str!("../../../include/ringkernel/device/layout.h");
        let code = header.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, code)| code));
        // FNV-1a, of what is neither comment nor space.
        let hash = code
            .flat_map(str::bytes)
            .filter(|byte| !byte.is_ascii_whitespace())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        assert_eq!(
            (crate::layout::LAYOUT_VERSION, hash),
            KNOWN,
            "device/layout.h is another: raise RK_LAYOUT_VERSION, and note its hash here"
        );
    }

    /// The C compiler's own word: the header's structs have these offsets. CUDA C++ and GLSL's scalar layout follow C's.
    #[test]
    fn header_agrees() {
        let mut c = String::from(
            "#include <stddef.h>\n#include <stdint.h>\n#include <ringkernel/actor.h>\n\
             #include <ringkernel/device/layout.h>\n\
             #define SAME(c, rust) static_assert((c) == (rust), #c \" is not \" #rust)\n",
        );
        macro_rules! structs {
            ($($name:literal = $rust:ty { $($field:ident)* })*) => {$(
                writeln!(c, "SAME(sizeof({}), {});", $name, size_of::<$rust>()).unwrap();
                $(
                    let field = stringify!($field).trim_start_matches("r#");
                    writeln!(c, "SAME(offsetof({}, {field}), {});", $name, offset_of!($rust, $field)).unwrap();
                )*
            )*};
        }
        structs! {
            "rk_dev_ring" = Ring { slots bodies head tail shift body }
            "rk_dev_origin" = Origin { actor sender correlation level call }
            "rk_dev_post" = Post { to by correlation sender deadline_ns actor r#type size level flags reserved }
            "rk_dev_span" = Span { stamp correlation from waited took actor r#type size level reserved }
            "rk_dev_worker" = Worker {
                rings outbound outbox message aside latencies latencies_host spans sample_every sample_pad position out_tail out_head clock clock_offset aside_head aside_tail
                origins outbox_used outbox_sent front_end turn ended irregular consumed found_waiting counts counters
                failed_actor failed_code aside_count sample_ahead sample_random sample_offset ticks ticks_ns span_count
            }
            "rk_dev_report" = Report { counts counters accepted consumed waits ended found_waiting ticks ticks_ns span_count }
            "rk_dev_control" = Control { left pad0 foreign pad1 }
            "rk_dev_command" = Command { leave pad0 letter_head now pad1 }
            "rk_dev_orders" = Orders { out_head end_at letters_full pad }
            "rk_dev_letter" = Letter {
                stamp from to correlation time worker klass r#type level call size reason reserved deadline_ns pad
            }
            "rk_dev_entry" = Entry { status generation restarts }
            "rk_dev_kin" = Kin { parent first next }
            "rk_dev_kernel" = Kernel {
                workers waits states entries types reports orders control command letters directory reciprocal aside_size
                initial kin kept buffers topics key actors worker_count stride type_shift type_mask outbox_limit
                letter_mask letter_stride block restarts restart_window near left_count letter_tail
            }
            "rk_dev_audience" = Audience { next counts used others changes pad actors since }
            "rk_dev_outcome" = Outcome { published pad delivered dropped }
        }
        let names = [
            ("RK_FRONT", FRONT),
            ("RK_SPANS", SPANS),
            ("RK_PLACES", PLACES),
            ("RK_GONE", super::super::directory::GONE as usize),
            ("RK_TOPIC", Address::of_topic(0).kernel() as usize),
            ("RK_BATCH", BATCH),
            ("RK_C_COUNT", COUNTS),
            ("RK_C_COMPLETED", COMPLETED),
            ("RK_LEVELS", LEVELS),
            ("RK_CLASS_FORWARD", FORWARD as usize),
            ("RK_RUNNING", Entry::RUNNING as usize),
            ("RK_STOPPED", Entry::STOPPED as usize),
            ("RK_FAILED", Entry::FAILED as usize),
            ("RK_F_AGAIN", flags::AGAIN as usize),
            ("RK_F_SAID", flags::SAID as usize),
            ("RK_ENDED", Kin::ENDED as usize),
            ("RK_TYPE_ORPHANED", crate::layout::TYPE_ORPHANED as usize),
            ("RK_POST_AGAIN", crate::layout::POST_AGAIN as usize),
        ];
        for (name, value) in names {
            writeln!(c, "SAME({name}, {value});").unwrap();
        }
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
        let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include");
        let mut process = match Process::new(&compiler)
            .args(["-std=c++17", "-fsyntax-only", "-x", "c++", include, "-"])
            .stdin(Stdio::piped())
            .spawn()
        {
            Ok(process) => process,
            Err(error) => return println!("skipped: {compiler}: {error}"),
        };
        let mut input = process.stdin.take().expect("piped");
        std::io::Write::write_all(&mut input, c.as_bytes()).expect("the compiler reads");
        drop(input);
        assert!(process.wait().expect("it ends").success(), "{c}");
    }
}
