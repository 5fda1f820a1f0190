//! Traces: what workers did when, recorded by each worker for itself, and written for Perfetto.
//!
//! While nothing is recorded a worker pays one branch a handler, a post and a visit, on a word that hardly ever changes.
//! While something is, it writes events of 64 bytes into a tape of its own, at two readings of the time stamp counter each.
//! Nobody waits for anybody: `tape.rs` says how a copy is taken meanwhile.

mod event;
mod flows;
mod json;
mod tape;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub(crate) use self::event::{what, Event, Message};
pub(crate) use self::json::write;
use self::tape::{Copied, Pen, Tape};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::log::Level;
use crate::wall::wall;

/// Most workers that one recording has tapes for: kernels may come and go while it runs.
const TRACKS_MAX: usize = 4096;

/// What is to be recorded; every number is checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// Bits of [`what`].
    pub(crate) what: u32,
    /// One message in so many.
    pub(crate) every: u32,
    /// Memory of one worker.
    pub(crate) bytes: u64,
}

/// The traces of a runtime.
#[derive(Default)]
pub(crate) struct Trace {
    /// Number of the recording that runs; 0 for none.
    running: AtomicU32,
    /// Bits of [`what`] that the last recording wants.
    what: AtomicU32,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    number: u32,
    recording: Option<Arc<Recording>>,
}

/// One recording, running or not.
struct Recording {
    wish: Wish,
    /// Ticks, and nanoseconds since 1970.
    start: (u64, u64),
    /// The same, when it was stopped.
    end: OnceLock<(u64, u64)>,
    tracks: Mutex<Vec<(Arc<Track>, Arc<Tape>)>>,
    /// Workers for which there was no memory, or no track.
    without: AtomicU32,
}

/// Who records on a tape.
struct Track {
    kernel: u32,
    name: String,
    /// `None`: the pump thread of a kernel on a device.
    worker: Option<u32>,
    /// Names of message types.
    messages: Arc<BTreeMap<u32, String>>,
}

impl Trace {
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        // Relaxed: the lock is what gives workers the recording. Who starts one and then sends is seen by the receiver,
        // which reads the message first.
        self.running.load(Ordering::Relaxed) != 0
    }

    /// Whether such events are recorded.
    pub(crate) fn is_on_for(&self, what: u32) -> bool {
        // Relaxed: as in `is_on`.
        self.is_on() && self.what.load(Ordering::Relaxed) & what != 0
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records from now on. What was recorded before is forgotten.
    pub(crate) fn start(&self, wish: Wish) -> Result<()> {
        let mut last = self.last();
        if self.is_on() {
            return Err(Error::BadState { call: "starting a trace", state: "while one is recorded" });
        }
        last.number = last.number.wrapping_add(1).max(1);
        last.recording = Some(Arc::new(Recording {
            wish,
            start: wall().instant(),
            end: OnceLock::new(),
            tracks: Mutex::default(),
            without: AtomicU32::new(0),
        }));
        // Relaxed: who sees the number and not yet this records a quantum more or less; the rest is under the lock.
        self.what.store(wish.what, Ordering::Relaxed);
        self.running.store(last.number, Ordering::Relaxed);
        Ok(())
    }

    /// Records no more. What was recorded can still be read.
    pub(crate) fn stop(&self) -> Result<()> {
        let last = self.last();
        if !self.is_on() {
            return Err(Error::BadState { call: "stopping a trace", state: "while none is recorded" });
        }
        self.running.store(0, Ordering::Relaxed);
        if let Some(recording) = &last.recording {
            recording.end.get_or_init(|| wall().instant());
        }
        Ok(())
    }

    /// What was recorded, up to now if it goes on. `process`: tells the runtime from others of the program.
    pub(crate) fn copy(&self, process: u32) -> Result<Snapshot> {
        // The locks are held to look, not to copy.
        let recording = self.last().recording.clone();
        let none = Error::BadState { call: "writing a trace", state: "before one was started" };
        let recording = recording.ok_or(none)?;
        let tracks = recording.tracks().clone();
        let tracks = tracks.into_iter().map(|(track, tape)| Ok((track, tape.copy()?))).collect::<Result<_>>()?;
        let (start, end) = (recording.start, recording.end.get().copied().unwrap_or_else(|| wall().instant()));
        let (ticks, ns) = (end.0.saturating_sub(start.0), end.1.saturating_sub(start.1));
        Ok(Snapshot {
            process,
            wish: recording.wish,
            start,
            end: end.1,
            // What the counter did meanwhile, whatever it does at other times.
            tick_ns: if ns < 1_000 { wall().tick_ns() } else { ns as f64 / ticks.max(1) as f64 },
            tracks,
            without: recording.without.load(Ordering::Relaxed),
        })
    }

    /// A tape in the recording that runs.
    fn join(&self, kernel: &Kernel, worker: Option<u32>) -> (u32, u64, Option<(Wish, Pen)>) {
        let (number, recording) = {
            let last = self.last();
            (self.running.load(Ordering::Relaxed), last.recording.clone())
        };
        let Some(recording) = recording.filter(|_| number != 0) else { return (0, 0, None) };
        let mut tracks = recording.tracks();
        let pen = if tracks.len() < TRACKS_MAX {
            Pen::new(recording.wish.bytes)
        } else {
            Err(Error::Limit(format!("{TRACKS_MAX} workers in a trace")))
        };
        match pen {
            Ok(pen) => {
                let messages = kernel.module.messages().clone();
                let track = Track { kernel: kernel.key, name: kernel.name.clone(), worker, messages };
                tracks.push((Arc::new(track), pen.tape()));
                (number, recording.start.0, Some((recording.wish, pen)))
            }
            Err(error) => {
                drop(tracks); // who hears of it may call us
                recording.without.fetch_add(1, Ordering::Relaxed);
                let name = &kernel.name;
                kernel.home.log.write(Level::Warn, format_args!("a worker of {name} is not in the trace: {error}"));
                (number, recording.start.0, None)
            }
        }
    }
}

impl Recording {
    fn tracks(&self) -> MutexGuard<'_, Vec<(Arc<Track>, Arc<Tape>)>> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of a recording.
pub(crate) struct Snapshot {
    process: u32,
    wish: Wish,
    start: (u64, u64),
    /// Nanoseconds since 1970.
    end: u64,
    tick_ns: f64,
    tracks: Vec<(Arc<Track>, Copied)>,
    without: u32,
}

/// What a worker records with. Its methods are for when [`Trace::is_on`].
#[derive(Default)]
pub(crate) struct Tracer {
    /// Number of the recording that the rest is of.
    number: u32,
    pen: Option<(Wish, Pen)>,
    /// When it was started, in ticks.
    start: u64,
    /// Events recorded.
    count: u64,
}

impl Tracer {
    fn pen(&mut self, kernel: &Kernel, worker: Option<u32>) -> Option<&mut (Wish, Pen)> {
        if kernel.home.trace.running.load(Ordering::Relaxed) != self.number {
            self.pen = None; // its memory goes first
            (self.number, self.start, self.pen) = kernel.home.trace.join(kernel, worker);
        }
        self.pen.as_mut()
    }

    /// Whether such events of that message are to be recorded. Both its ends decide alike, and so do all who handle
    /// messages of one correlation: requests are recorded whole, or not at all.
    pub(crate) fn wants(&mut self, kernel: &Kernel, worker: u32, what: u32, correlation: u64, stamp: u64) -> bool {
        let Some((wish, _)) = self.pen(kernel, Some(worker)) else { return false };
        wish.what & what != 0 && picks(wish.every, if correlation != 0 { correlation } else { stamp })
    }

    /// Whether such events are to be recorded.
    pub(crate) fn wants_all(&mut self, kernel: &Kernel, worker: Option<u32>, what: u32) -> bool {
        self.pen(kernel, worker).is_some_and(|(wish, _)| wish.what & what != 0)
    }

    /// When the recording began that `wants` spoke of last, in ticks.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    pub(crate) fn record(&mut self, kernel: &Kernel, worker: Option<u32>, event: Event) {
        if let Some((_, pen)) = self.pen(kernel, worker) {
            pen.push(event);
            self.count += 1;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

/// One key in `every`. Keys are counted up, by anything: so all their bits are mixed (Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators", 2014; the finalizer of SplitMix64).
fn picks(every: u32, key: u64) -> bool {
    let key = (key ^ key >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ key >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((key ^ key >> 31) >> 32) * u64::from(every) < 1 << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Wish = Wish { what: what::ALL, every: 1, bytes: 4096 };

    #[test]
    fn starts_and_stops() {
        let trace = Trace::default();
        let bad = |outcome: Result<()>| assert!(matches!(outcome, Err(Error::BadState { .. })));
        bad(trace.stop());
        bad(trace.copy(1).map(drop));
        for round in 1..4 {
            trace.start(WISH).expect("none runs");
            assert!(trace.is_on());
            assert_eq!(trace.last().number, round);
            bad(trace.start(WISH));
            assert!(trace.copy(1).expect("memory").end >= trace.copy(1).expect("memory").start.1);
            trace.stop().expect("one runs");
            assert!(!trace.is_on());
            bad(trace.stop());
            assert_eq!(trace.copy(1).expect("memory").end, trace.copy(1).expect("memory").end);
        }
    }

    #[test]
    fn one_in_so_many() {
        for every in [1, 2, 16, 1000, u32::MAX] {
            for step in [1, 8, 256, 257, 1 << 20, 1 << 33, 1 << 46] {
                let start = 0x1234_5678_9abc_de00u64;
                let picked = (0..200_000).filter(|turn| picks(every, start.wrapping_add(turn * step))).count() as f64;
                let expected = 200_000.0 / f64::from(every);
                assert!((picked - expected).abs() <= 5.0 * expected.sqrt() + 5.0, "{picked} with {every}, {step}");
            }
        }
        assert!((0..1000).all(|key| picks(1, key)));
    }
}
