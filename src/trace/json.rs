//! A trace in the JSON of the "Trace Event Format", which Perfetto and chrome://tracing open.
//!
//! A process is a runtime; its threads are the workers, each with what it did as nested slices, and one for the host, with
//! the sends that messages bear witness of by their stamps. A flow leads from a send to the handler.

use std::collections::HashMap;
use std::fmt::{Display, Write};

use super::event::{what, Class, Event};
use super::flows::{End, Flows, Time, Timed, Timeline, FIRST, HOST};
use super::{Snapshot, Track};
use crate::address::Address;
use crate::error::Result;
use crate::hlc;

/// Text is given out in parts of about this size.
const PART: usize = 1 << 16;

impl Snapshot {
    /// Names of kernels, by key.
    fn names(&self) -> HashMap<u32, &str> {
        self.tracks.iter().map(|(track, _)| (track.kernel, &*track.name)).collect()
    }
}

/// Gives `out` a trace, one part after the other.
pub(crate) fn write(snapshot: &Snapshot, out: impl FnMut(&str)) -> Result<()> {
    let tracks = snapshot.timed()?;
    let flows = Flows::find(&tracks)?;
    let mut writer =
        Writer { process: snapshot.process, names: snapshot.names(), text: String::new(), out, some: false };
    writer.head(snapshot, &flows);
    for (thread, timed) in (FIRST..).zip(&tracks) {
        writer.track(snapshot.wish.what, thread, timed);
    }
    writer.host(&flows);
    // After all slices: an end belongs to the slice that is there at its time.
    for (number, (from, to)) in flows.pairs.iter().enumerate() {
        writer.flow(number, *from, *to);
    }
    writer.text.push_str("\n]}\n");
    writer.give();
    Ok(())
}

/// In microseconds.
struct Micros(Time);

impl Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A JSON string, but for its quotes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if u32::from(c) < 32 => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

struct Writer<'a, F> {
    process: u32,
    names: HashMap<u32, &'a str>,
    text: String,
    out: F,
    /// Something is before the next event.
    some: bool,
}

impl<F: FnMut(&str)> Writer<'_, F> {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let outcome = self.text.write_fmt(text);
        debug_assert!(outcome.is_ok(), "strings take everything");
    }

    fn give(&mut self) {
        (self.out)(&self.text);
        self.text.clear();
    }

    /// One event of the format; `rest`: what follows its thread.
    fn event(&mut self, phase: char, thread: usize, rest: std::fmt::Arguments<'_>) {
        if self.text.len() >= PART {
            self.give();
        }
        let comma = if std::mem::replace(&mut self.some, true) { "," } else { "" };
        let process = self.process;
        self.put(format_args!("{comma}\n{{\"ph\":\"{phase}\",\"pid\":{process},\"tid\":{thread},{rest}}}"));
    }

    fn head(&mut self, snapshot: &Snapshot, flows: &Flows) {
        let sum =
            |count: fn(&super::Copied) -> u64| snapshot.tracks.iter().map(|(_, copied)| count(copied)).sum::<u64>();
        let overwritten = sum(|copied| copied.overwritten);
        let recorded = overwritten + sum(|copied| copied.events.len() as u64);
        let start = snapshot.start.1;
        let time = humantime::format_rfc3339_nanos(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(start));
        self.put(format_args!(
            "{{\"displayTimeUnit\":\"ns\",\n\"otherData\":{{\"library\":\"ringkernel {}\",\"start\":\"{time}\",\
             \"start_unix_ns\":\"{start}\",\"duration_ns\":{},\"every\":{},\"recorded\":{recorded},\
             \"overwritten\":{overwritten},\"workers_left_out\":{},\"handlers_without_send\":{},\
             \"sends_without_handler\":{}}},\n\"traceEvents\":[",
            env!("CARGO_PKG_VERSION"),
            snapshot.end.saturating_sub(start),
            snapshot.wish.every,
            snapshot.without,
            flows.unsent,
            flows.unhandled,
        ));
        let (runtime, process) = (snapshot.process, std::process::id());
        let name =
            format_args!("\"name\":\"process_name\",\"args\":{{\"name\":\"ringkernel {runtime} of {process}\"}}");
        self.event('M', 0, name);
        self.thread(HOST, format_args!("host"));
    }

    fn thread(&mut self, thread: usize, name: std::fmt::Arguments<'_>) {
        self.event('M', thread, format_args!("\"name\":\"thread_name\",\"args\":{{\"name\":\"{name}\"}}"));
        self.event('M', thread, format_args!("\"name\":\"thread_sort_index\",\"args\":{{\"sort_index\":{thread}}}"));
    }

    fn track(&mut self, wish: u32, thread: usize, line: &Timeline<'_>) {
        let name = Escaped(&line.track.name);
        match line.track.worker {
            Some(worker) => self.thread(thread, format_args!("{name}, worker {worker}")),
            None => self.thread(thread, format_args!("{name}, pump on the device")),
        }
        if let (Some(first), 1..) = (line.events.first(), line.overwritten) {
            let ts = Micros(first.begin);
            let name = format_args!("{} older events were overwritten", line.overwritten);
            self.event('i', thread, format_args!("\"s\":\"t\",\"ts\":{ts},\"name\":\"{name}\""));
        }
        for timed in &line.events {
            self.timed(wish, thread, line.track, timed);
        }
    }

    fn timed(&mut self, wish: u32, thread: usize, track: &Track, timed: &Timed<'_>) {
        let Timed { begin, end, event } = *timed;
        let (ts, dur) = (Micros(begin), Micros(end - begin));
        let at = format_args!("\"ts\":{ts},\"dur\":{dur}").to_string();
        let kernel = track.kernel;
        match event.class() {
            Some(Class::Handler | Class::HostHandler) => {
                let (name, message) = (self.name_of(track, event), self.message(event));
                let (actor, from) = (self.actor(event.to), self.actor(event.from));
                let waited = match event.class() {
                    Some(Class::HostHandler) => format!(",\"waited_us\":{}", Micros(hlc::unix_ns(event.extra << 8))),
                    _ => String::new(),
                };
                self.event(
                    'X',
                    thread,
                    format_args!(
                        "\"cat\":\"handler\",{at},\"name\":\"{name}\",\
                         \"args\":{{\"actor\":\"{actor}\",\"from\":\"{from}\"{waited},{message}}}"
                    ),
                );
            }
            Some(Class::Send) => {
                let (name, message) = (self.name_of(track, event), self.message(event));
                let (by, to) = (self.actor(event.extra), self.actor(event.to));
                self.event(
                    'X',
                    thread,
                    format_args!(
                        "\"cat\":\"send\",{at},\"name\":\"send {name}\",\
                         \"args\":{{\"by\":\"{by}\",\"to\":\"{to}\",{message}}}"
                    ),
                );
            }
            Some(Class::Visit) => {
                let (handled, waiting) = (event.stamp, event.extra);
                if wish & what::VISITS != 0 {
                    self.event(
                        'X',
                        thread,
                        format_args!(
                            "\"cat\":\"visit\",{at},\"name\":\"visit\",\
                             \"args\":{{\"kernel\":{kernel},\"handled\":{handled},\"waiting\":{waiting}}}"
                        ),
                    );
                }
                if wish & what::DEPTH != 0 {
                    let (name, ts) = (Escaped(&track.name), Micros(end));
                    let worker = track.worker.unwrap_or(0);
                    self.event(
                        'C',
                        thread,
                        format_args!(
                            "\"ts\":{ts},\"id\":\"{kernel}/{worker}\",\
                             \"name\":\"waiting for {name}, worker {worker}\",\"args\":{{\"messages\":{waiting}}}"
                        ),
                    );
                }
            }
            Some(Class::Quantum) => self.event(
                'X',
                thread,
                format_args!(
                    "\"cat\":\"quantum\",{at},\"name\":\"quantum\",\
                     \"args\":{{\"kernel\":{kernel},\"number\":{}}}",
                    event.stamp
                ),
            ),
            None => debug_assert!(false, "tapes hold events"),
        }
    }

    /// The host's sends.
    fn host(&mut self, flows: &Flows) {
        for (begin, end, count) in &flows.host {
            let (ts, dur) = (Micros(*begin), Micros(end - begin));
            self.event(
                'X',
                HOST,
                format_args!(
                    "\"cat\":\"send\",\"ts\":{ts},\"dur\":{dur},\"name\":\"send\",\"args\":{{\"messages\":{count}}}"
                ),
            );
        }
    }

    fn flow(&mut self, number: usize, from: End, to: End) {
        let of = format_args!("\"cat\":\"message\",\"name\":\"message\",\"id\":{number}").to_string();
        self.event('s', from.0, format_args!("{of},\"ts\":{}", Micros(from.1)));
        self.event('f', to.0, format_args!("{of},\"bp\":\"e\",\"ts\":{}", Micros(to.1)));
    }

    /// Of a message: its type's name where the module has one.
    fn name_of(&self, track: &Track, event: &Event) -> String {
        match track.messages.get(&u32::from(event.kind)) {
            Some(name) => Escaped(name).to_string(),
            None => format!("message {}", event.kind),
        }
    }

    /// Numbers of 64 bits are strings: readers of JSON have but 53.
    fn message(&self, event: &Event) -> String {
        format!(
            "\"type\":{},\"bytes\":{},\"priority\":{},\"stamp\":\"{:#x}\",\"correlation\":\"{:#x}\"",
            event.kind,
            event.size,
            crate::message::priority_of(event.level),
            event.stamp,
            event.correlation
        )
    }

    /// An actor, by its address.
    fn actor(&self, bits: u64) -> String {
        let address = Address::from_bits(bits);
        let index = crate::address::index_of(bits as u32);
        match (bits, self.names.get(&address.kernel())) {
            (0, _) => "host".into(),
            (_, Some(name)) => format!("{}[{index}]", Escaped(name)),
            (_, None) => format!("kernel {}[{index}]", address.kernel()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Copied, Message, Wish};
    use super::*;
    use crate::ring::Envelope;
    use std::sync::Arc;

    const NORTH: u64 = 0x1001 << 32;
    const SOUTH: u64 = 0x1002 << 32;

    fn message(from: u64, to: u64, stamp: u64) -> Message {
        Message::new(&Envelope { sender: from, kind: 7, size: 4, ..Envelope::default() }, stamp, to)
    }

    fn track(kernel: u64, name: &str, events: Vec<Event>, overwritten: u64) -> (Arc<Track>, Copied) {
        let messages = Arc::new([(7, "ti\"ck".to_owned())].into());
        let track = Track { kernel: (kernel >> 32) as u32, name: name.into(), worker: Some(3), messages };
        (Arc::new(track), Copied { events, overwritten })
    }

    fn text(tracks: Vec<(Arc<Track>, Copied)>) -> String {
        let wish = Wish { what: what::ALL, every: 1, bytes: 4096 };
        let snapshot = Snapshot {
            process: 9,
            wish,
            start: (1000, 5_000_000_000),
            end: 6_000_000_000,
            tick_ns: 0.5,
            tracks,
            without: 2,
        };
        let mut text = String::new();
        write(&snapshot, |part| text.push_str(part)).expect("memory");
        text
    }

    #[test]
    fn events_of_all_kinds() {
        let unit = 256; // units of stamps to a tick's nanoseconds do not matter here
        let text = text(vec![
            track(
                NORTH,
                "nor\"th\n",
                vec![
                    Event::handler(5000, 5200, message(0, NORTH, 10 * unit), Some(10)),
                    Event::send(5200, 5300, message(NORTH, SOUTH | 5, 77), NORTH),
                    Event::send(5300, 5400, message(NORTH, SOUTH | 5, 78), NORTH),
                    Event::visit(4000, 6000, 1, 12),
                ],
                41,
            ),
            track(
                SOUTH,
                "south",
                vec![
                    Event::handler(7000, 7003, message(NORTH, SOUTH | 5, 77), None),
                    Event::handler(7010, 7020, message(NORTH, SOUTH | 5, 76), None),
                    Event::quantum(500, 9000, 3),
                ],
                0,
            ),
        ]);
        for expected in [
            "\"start\":\"1970-01-01T00:00:05.000000000Z\",\"start_unix_ns\":\"5000000000\",\"duration_ns\":1000000000",
            "\"recorded\":48,\"overwritten\":41,\"workers_left_out\":2,\"handlers_without_send\":1,\"sends_without_handler\":1}",
            "{\"ph\":\"M\",\"pid\":9,\"tid\":2,\"name\":\"thread_name\",\"args\":{\"name\":\"nor\\\"th\\u000a, worker 3\"}}",
            "\"name\":\"41 older events were overwritten\"",
            "{\"ph\":\"X\",\"pid\":9,\"tid\":2,\"cat\":\"visit\",\"ts\":1.500,\"dur\":1.000,\"name\":\"visit\",",
            "{\"ph\":\"X\",\"pid\":9,\"tid\":2,\"cat\":\"handler\",\"ts\":2.000,\"dur\":0.100,\"name\":\"ti\\\"ck\",\
             \"args\":{\"actor\":\"nor\\\"th\\u000a[0]\",\"from\":\"host\",\"waited_us\":0.596,\"type\":7,\"bytes\":4,",
            "\"name\":\"send ti\\\"ck\",\"args\":{\"by\":\"nor\\\"th\\u000a[0]\",\"to\":\"south[5]\"",
            "\"ts\":3.000,\"dur\":0.001,",
            "{\"ph\":\"X\",\"pid\":9,\"tid\":1,\"cat\":\"send\",\"ts\":1.404,\"dur\":0.059,",
            "{\"ph\":\"s\",\"pid\":9,\"tid\":2,\"cat\":\"message\",\"name\":\"message\",\"id\":0,\"ts\":2.100}",
            "{\"ph\":\"f\",\"pid\":9,\"tid\":3,\"cat\":\"message\",\"name\":\"message\",\"id\":0,\"bp\":\"e\",\"ts\":3.000}",
            "\"tid\":3,\"cat\":\"quantum\",\"ts\":0.000,\"dur\":4.000,",
            "\"ph\":\"C\",\"pid\":9,\"tid\":2,\"ts\":2.500,\"id\":\"4097/3\",",
        ] {
            assert!(text.contains(expected), "no {expected} in\n{text}");
        }
        assert_eq!(text.matches("\"ph\":\"s\"").count(), 2);
    }

    #[test]
    fn the_same_stamp_twice_is_no_flow() {
        let twice = |begin| Event::send(begin, begin + 10, message(NORTH, SOUTH, 5), NORTH);
        let handler = Event::handler(3000, 3100, message(NORTH, SOUTH, 5), None);
        let text =
            text(vec![track(NORTH, "a", vec![twice(2000), twice(2100)], 0), track(SOUTH, "b", vec![handler], 0)]);
        assert!(text.contains("\"handlers_without_send\":1,\"sends_without_handler\":1}"), "{text}");
        assert!(!text.contains("\"ph\":\"f\""));
    }
}
