//! Where one worker records: a ring of events, in which the newest overwrites the oldest.
//!
//! The worker never waits for who reads. It counts what it has written; a reader copies, then looks at the count once more
//! and throws away what may have been overwritten meanwhile. So a copy is a run of whole events without a gap, and to stop
//! the world for it, which would change what is being looked at, is not needed.

use std::alloc::{alloc_zeroed, Layout};
use std::sync::atomic::{fence, AtomicU64, Ordering};
use std::sync::Arc;

use super::event::{Event, WORDS};
use crate::error::{Error, Result};

/// Room for one event.
type Place = [AtomicU64; WORDS];

/// The ring.
pub(super) struct Tape {
    /// A power of two.
    places: Box<[Place]>,
    /// Events written, those overwritten since among them.
    written: AtomicU64,
}

/// What was on a tape.
pub(super) struct Copied {
    pub(super) events: Vec<Event>,
    /// Older events that are gone.
    pub(super) overwritten: u64,
}

impl Tape {
    /// With as many events as fit `bytes`, rounded down to a power of two.
    fn new(bytes: u64) -> Result<Self> {
        let none = || Error::NoMemory(format!("a trace's {bytes} bytes of a worker"));
        let count = usize::try_from(bytes).map_err(|_| none())? / size_of::<Place>();
        let count = 1 << count.max(2).ilog2();
        let layout = Layout::array::<Place>(count).map_err(|_| none())?;
        // Zeros from the system, which are touched when they are written to: no pause when recording begins.
        // SAFETY: the size is not zero.
        let base = unsafe { alloc_zeroed(layout) }.cast::<Place>();
        if base.is_null() {
            return Err(none());
        }
        // SAFETY: memory of the global allocator with a slice's layout, and zeros are atomics.
        let places = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(base, count)) };
        Ok(Self { places, written: AtomicU64::new(0) })
    }

    fn place(&self, number: u64) -> &Place {
        &self.places[number as usize & (self.places.len() - 1)]
    }

    /// The events of this moment or a later one.
    pub(super) fn copy(&self) -> Result<Copied> {
        let room = self.places.len() as u64;
        // Acquire: pairs with the Release in `push`; the words of these events are there.
        let written = self.written.load(Ordering::Acquire);
        let oldest = written.saturating_sub(room);
        let mut events = Vec::new();
        events.try_reserve_exact((written - oldest) as usize).map_err(|_| Error::NoMemory("a trace".into()))?;
        for number in oldest..written {
            // Relaxed: what may be torn is found out below.
            let words = self.place(number).each_ref().map(|word| word.load(Ordering::Relaxed));
            events.push(Event::from_words(words));
        }
        // Acquire fence: pairs with the Release fence in `push`. If a word above is of event n, the count below is at least n.
        fence(Ordering::Acquire);
        let now = self.written.load(Ordering::Relaxed);
        // Event `now` may be half written, in the place of one that is `room` older; those before that one are gone.
        let whole = (now + 1).saturating_sub(room).clamp(oldest, written);
        events.drain(..(whole - oldest) as usize);
        Ok(Copied { events, overwritten: whole })
    }
}

/// What writes a tape; there is one.
pub(super) struct Pen(Arc<Tape>);

impl Pen {
    /// With a new tape.
    pub(super) fn new(bytes: u64) -> Result<Self> {
        Tape::new(bytes).map(|tape| Self(Arc::new(tape)))
    }

    pub(super) fn tape(&self) -> Arc<Tape> {
        self.0.clone()
    }

    pub(super) fn push(&mut self, event: Event) {
        let tape = &*self.0;
        // Relaxed: nobody else writes it.
        let number = tape.written.load(Ordering::Relaxed);
        // Release fence: whoever reads a word stored below sees that the count had come to `number`. No instruction on x86.
        fence(Ordering::Release);
        for (to, from) in tape.place(number).iter().zip(event.to_words()) {
            to.store(from, Ordering::Relaxed);
        }
        // Release: who sees the count sees the event.
        tape.written.store(number + 1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// An event all of whose words are one number, so that a torn one shows.
    fn event(number: u64) -> Event {
        Event::from_words([number; WORDS])
    }

    fn check(copied: &Copied) {
        for (event, number) in copied.events.iter().zip(copied.overwritten..) {
            assert_eq!(event.to_words(), [number; WORDS]);
        }
    }

    #[test]
    fn keeps_the_newest() {
        for (bytes, room) in [(0, 2), (64, 2), (128, 2), (255, 2), (256, 4), (1 << 20, 1 << 14)] {
            let mut pen = Pen::new(bytes).expect("memory");
            let tape = pen.tape();
            assert_eq!(tape.places.len() as u64, room);
            let empty = tape.copy().expect("memory");
            assert_eq!((empty.events.len(), empty.overwritten), (0, 0));
            for number in 0..3 * room {
                pen.push(event(number));
                if room > 4 && number % 999 != 0 {
                    continue;
                }
                let copied = tape.copy().expect("memory");
                check(&copied);
                assert_eq!(copied.overwritten + copied.events.len() as u64, number + 1);
                // Of a full tape the oldest may be about to be overwritten.
                assert!(copied.overwritten <= (number + 2).saturating_sub(room));
            }
        }
        assert!(matches!(Pen::new(u64::MAX), Err(Error::NoMemory(_))));
    }

    #[test]
    fn copies_are_whole_while_it_goes_on() {
        let mut pen = Pen::new(16 * 64).expect("memory");
        let tape = pen.tape();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..3_000_000).for_each(|number| pen.push(event(number)));
                done.store(true, Ordering::Release);
            });
            let mut seen = 0;
            while !done.load(Ordering::Acquire) {
                let copied = tape.copy().expect("memory");
                check(&copied);
                assert!(copied.overwritten >= seen, "time goes forward");
                seen = copied.overwritten;
            }
        });
        let last = tape.copy().expect("memory");
        check(&last);
        assert_eq!((last.events.len(), last.overwritten), (15, 3_000_000 - 15));
    }
}
