//! When things were, and which way messages went: what the file says that no event says by itself.

use std::collections::HashMap;

use super::event::{Class, Event};
use super::{Snapshot, Track};
use crate::error::{Error, Result};
use crate::hlc;

/// The thread that stands for the host.
pub(super) const HOST: usize = 1;
/// The thread of the first track.
pub(super) const FIRST: usize = 2;

/// Nanoseconds since the recording began.
pub(super) type Time = u64;

/// What tells a message from all others: stamp, receiver, and sender as the receiver sees it.
type Key = (u64, u64, u64);

/// One end of a flow: which thread, and when.
pub(super) type End = (usize, Time);

fn key(event: &Event) -> Key {
    (event.stamp, event.to, event.from)
}

/// An event and its times.
pub(super) struct Timed<'a> {
    pub(super) begin: Time,
    pub(super) end: Time,
    pub(super) event: &'a Event,
}

/// A worker's events, those that enclose others before them.
pub(super) struct Timeline<'a> {
    pub(super) track: &'a Track,
    pub(super) overwritten: u64,
    pub(super) events: Vec<Timed<'a>>,
}

fn reserve<T>(room: &mut Vec<T>, count: usize) -> Result<()> {
    room.try_reserve_exact(count).map_err(|_| Error::NoMemory("a trace".into()))
}

impl Snapshot {
    fn time(&self, ticks: u64) -> Time {
        // What had begun before is shown from the start.
        (ticks.saturating_sub(self.start.0) as f64 * self.tick_ns) as Time
    }

    pub(super) fn timed(&self) -> Result<Vec<Timeline<'_>>> {
        let mut tracks = Vec::new();
        for (track, copied) in &self.tracks {
            let mut events = Vec::new();
            reserve(&mut events, copied.events.len())?;
            events.extend(copied.events.iter().map(|event| {
                let begin = self.time(event.begin);
                // Counters of processors between which the worker moved may differ.
                Timed { begin, end: self.time(event.end).max(begin), event }
            }));
            events.sort_unstable_by_key(|timed| (timed.begin, std::cmp::Reverse(timed.end), timed.event.begin));
            tracks.push(Timeline { track, overwritten: copied.overwritten, events });
        }
        Ok(tracks)
    }
}

/// The ways of messages.
#[derive(Default)]
pub(super) struct Flows {
    pub(super) pairs: Vec<(End, End)>,
    /// Sends by the host: one slice for each time.
    pub(super) host: Vec<(Time, Time, u32)>,
    /// Handlers whose message's send is not in the trace.
    pub(super) unsent: u64,
    /// Sends whose message's handler is not in the trace.
    pub(super) unhandled: u64,
}

impl Flows {
    pub(super) fn find(tracks: &[Timeline<'_>]) -> Result<Self> {
        let none = |_| Error::NoMemory("a trace".into());
        let all =
            || tracks.iter().zip(FIRST..).flat_map(|(track, thread)| track.events.iter().map(move |e| (thread, e)));
        let of = |class| all().filter(move |(_, timed)| timed.event.class() == Some(class));
        let mut sends: HashMap<Key, Option<End>> = HashMap::new();
        sends.try_reserve(of(Class::Send).count()).map_err(none)?;
        for (thread, timed) in of(Class::Send).filter(|(_, timed)| timed.event.to != 0) {
            // Clocks of two workers may have given the same stamp to what they forward of one sender: then nobody knows.
            let other = sends.insert(key(timed.event), Some((thread, timed.begin)));
            if other.is_some() {
                sends.insert(key(timed.event), None);
            }
        }
        let mut flows = Self::default();
        reserve(&mut flows.pairs, of(Class::Handler).count() + of(Class::HostHandler).count())?;
        let sent = sends.len() as u64;
        for (thread, timed) in of(Class::Handler) {
            match sends.get(&key(timed.event)).copied().flatten() {
                Some(from) if from.1 <= timed.begin => flows.pairs.push((from, (thread, timed.begin))),
                _ => flows.unsent += 1,
            }
        }
        flows.unhandled = sent.saturating_sub(flows.pairs.len() as u64);
        flows.find_host(of(Class::HostHandler))?;
        Ok(flows)
    }

    /// Sends from the host, from how long their messages waited.
    fn find_host<'a>(&mut self, handlers: impl Iterator<Item = (usize, &'a Timed<'a>)>) -> Result<()> {
        let first = self.pairs.len();
        for (thread, timed) in handlers {
            let waited = hlc::unix_ns(timed.event.extra << 8);
            match timed.begin.checked_sub(waited) {
                Some(sent) => self.pairs.push(((HOST, sent), (thread, timed.begin))),
                None => self.unsent += 1, // before the recording
            }
        }
        self.pairs[first..].sort_unstable_by_key(|(from, _)| from.1);
        reserve(&mut self.host, self.pairs.len() - first)?;
        for ((_, sent), _) in &self.pairs[first..] {
            match self.host.last_mut() {
                Some((begin, _, count)) if begin == sent => *count += 1,
                _ => self.host.push((*sent, *sent, 1)),
            }
        }
        // A stamp says when a message was sent to one unit, which is how long its slice is, but no two overlap.
        let unit = hlc::unix_ns(1 << 8);
        let mut next = Time::MAX;
        for (begin, end, _) in self.host.iter_mut().rev() {
            *end = next.min(*begin + unit);
            next = *begin;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::what;
    use super::super::{Copied, Message, Wish};
    use super::*;
    use crate::ring::Envelope;
    use std::sync::Arc;

    const NORTH: u64 = 0x1001 << 32;

    fn message(from: u64, to: u64, stamp: u64) -> Message {
        Message::new(&Envelope { sender: from, kind: 7, ..Envelope::default() }, stamp, to)
    }

    fn track(events: Vec<Event>) -> (Arc<Track>, Copied) {
        let track = Track { kernel: 0x1001, name: "a".into(), worker: Some(0), messages: Arc::default() };
        (Arc::new(track), Copied { events, overwritten: 0 })
    }

    #[test]
    fn sends_of_the_host_do_not_overlap() {
        let handled = |begin, waited| Event::handler(begin, begin + 10, message(0, NORTH, 5), Some(waited));
        let events = vec![handled(3000, 2), handled(3020, 2), handled(3040, 2), handled(3040, 2)];
        let snapshot = |tracks| Snapshot {
            process: 9,
            wish: Wish { what: what::ALL, every: 1, bytes: 4096 },
            start: (1000, 0),
            end: 0,
            tick_ns: 1.0,
            tracks,
            without: 0,
        };
        let all = snapshot(vec![track(events)]);
        let flows = Flows::find(&all.timed().expect("memory")).expect("memory");
        assert_eq!(flows.host, [(1881, 1901, 1), (1901, 1921, 1), (1921, 1980, 2)]);
        assert_eq!(flows.pairs.len(), 4);
        let early = snapshot(vec![track(vec![handled(1100, 20)])]);
        let flows = Flows::find(&early.timed().expect("memory")).expect("memory");
        assert_eq!((flows.host.len(), flows.unsent), (0, 1));
    }
}
