//! The handlers that a device has measured, as events of traces: those of messages that `latency_every` picks.

use super::arena::Arena;
use super::layout::Report;
use crate::address::Address;
use crate::hlc;
use crate::kernel::Kernel;
use crate::ring::Envelope;
use crate::trace::{what, Event, Message, Tracer};
use crate::wall::wall;

/// How exactly stamps tell the time (`wall.rs`), in nanoseconds.
const STAMPS_NS: f64 = 2000.0;

/// Of the workers of one kernel.
pub(super) struct Handlers(Vec<Own>);

/// Of one.
#[derive(Default)]
struct Own {
    tracer: Tracer,
    /// Spans that were there when we last looked.
    seen: u64,
    /// When the last event ended, in ticks of the host.
    until: u64,
}

impl Handlers {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Own::default()).collect())
    }

    /// After a quantum: what a worker has measured in it.
    pub(super) fn trace(&mut self, kernel: &Kernel, arena: &Arena, worker: usize, report: &Report) {
        let Own { tracer, seen, until } = &mut self.0[worker];
        let first = std::mem::replace(seen, report.span_count);
        if first == report.span_count || report.ticks == 0 || !kernel.home.trace.is_on_for(what::HANDLERS) {
            return;
        }
        let ((now, now_ns), tick_ns) = (wall().instant(), wall().tick_ns());
        let ticks = |ns: f64| (ns / tick_ns) as u64;
        for span in arena.spans(worker, first, report.span_count) {
            if !tracer.wants(kernel, worker as u32, what::HANDLERS, span.correlation, span.stamp) {
                continue;
            }
            // The device knows the host's time to some microseconds, but how long it was since the stamp was given.
            let began_ns = hlc::unix_ns(span.stamp) + hlc::unix_ns(span.waited << 8);
            let began = now.saturating_sub(ticks(now_ns.saturating_sub(began_ns) as f64));
            // Of a quantum that began before the recording. Stamps may be so far from ticks.
            if began + ticks(STAMPS_NS) < tracer.start() {
                continue;
            }
            let began = began.max(tracer.start()).max(*until);
            *until = began + ticks(span.took as f64 * report.ticks_ns as f64 / report.ticks as f64);
            let envelope = Envelope {
                correlation: span.correlation,
                sender: span.from,
                size: span.size,
                kind: span.r#type as u16,
                level: span.level as u8,
                ..Envelope::default()
            };
            let message = Message::new(&envelope, span.stamp, Address::new(kernel.key, span.actor).to_bits());
            let waited = (span.from == 0).then_some(span.waited);
            tracer.record(kernel, Some(worker as u32), Event::handler(began, *until, message, waited));
        }
    }
}
