//! Topics on a device: which actors there get what others there publish (`crate::topics::fanout` says which may).
//!
//! ```text
//!   table, by slot of the topic's key: key, address ──▶ sheet of 60 places ──▶ sheet ...     the host writes these
//!                                                         └──▶ what became of it, by place   the device writes that
//! ```
//!
//! The first is the device's own memory, where the host can reach that. On CUDA so is the other: there a device counts in
//! passing, while counts in the host's memory would be waited for by the next fence. The host asks for them seldom, over the bus.
//!
//! Handlers look while the host writes: a place is an actor's address or zero, in one word, and is never moved. What was left
//! or closed is used again when no quanta are left that ran then.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::arena::host_of;
use super::directory::Directory;
use super::layout::{Audience, Outcome, PLACES};
use super::{Block, Memories, Place, Pumps, Quanta};
use crate::error::Result;
use crate::topics::{self, Counts, Seat};

/// Sheets of all topics. What finds no place is left to the host.
const SHEETS: usize = 512;
/// What the messages that a topic's subscribers take may have in all, for each sheet that a topic may have: a worker copies
/// them one after the other, and does nothing else meanwhile.
const BYTES: usize = 1 << 16;

/// The subscribers on one device, of the topics of a runtime.
pub(in crate::backend) struct Fanout {
    directory: Directory,
    /// The directory's table, and behind it the sheets, of which the host reads nothing.
    sheets: Block,
    /// What became of publications, by sheet.
    outcomes: Block,
    memories: Arc<dyn Memories>,
    pumps: Arc<Pumps>,
    /// Sheets that one topic may have.
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: HashMap<u32, Line>,
    /// Sheets that are no topic's: zeros.
    free: Vec<usize>,
    /// In the order in which they were given up.
    left: VecDeque<Left>,
}

/// One topic.
struct Line {
    sheets: Vec<usize>,
    /// Those who sit, by place.
    seats: HashMap<usize, (Weak<Seat>, u32)>,
    /// Places where nobody sits.
    free: Vec<usize>,
    /// Places that were ever used.
    used: usize,
    /// How many ever came.
    changes: u64,
    /// What their largest messages come to.
    bytes: usize,
    /// Publications that its first sheet had counted for others before.
    start: u64,
}

/// Given up, while handlers may still look at it.
struct Left {
    until: Quanta,
    topic: u32,
    seats: Vec<(usize, Weak<Seat>)>,
    /// Of a topic that is closed.
    sheets: Vec<usize>,
}

impl Fanout {
    /// `most`: sheets that one topic may have. `counts`: where what becomes of publications is counted.
    pub(in crate::backend) fn new(
        memories: Arc<dyn Memories>,
        pumps: Arc<Pumps>,
        most: usize,
        counts: Place,
    ) -> Result<Arc<Self>> {
        let sizes = (Directory::SIZE + SHEETS * size_of::<Audience>(), SHEETS * size_of::<Outcome>());
        let sheets = memories.allocate(Place::Inbound, sizes.0)?;
        let outcomes = memories.allocate(counts, sizes.1)?;
        memories.zero(&sheets, 0, sizes.0)?;
        memories.zero(&outcomes, 0, sizes.1)?;
        memories.finish()?;
        let state = State { free: (0..SHEETS).rev().collect(), ..State::default() };
        let directory = Directory::default();
        Ok(Arc::new(Self { directory, sheets, outcomes, memories, pumps, most, state: state.into() }))
    }

    /// Where the table is for the device.
    pub(super) fn address(&self) -> u64 {
        self.sheets.device
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> NonNull<u8> {
        host_of(&self.sheets, 0)
    }

    fn sheet_at(sheet: usize, offset: usize) -> usize {
        Directory::SIZE + sheet * size_of::<Audience>() + offset
    }

    fn address_of(&self, sheet: usize) -> u64 {
        self.sheets.device + Self::sheet_at(sheet, 0) as u64
    }

    /// Writes a word of a sheet, after those before and before those to come.
    fn set(&self, sheet: usize, offset: usize, value: u64) {
        debug_assert!(sheet < SHEETS && offset < size_of::<Audience>());
        // SAFETY: an aligned word within the sheets, which the device only reads.
        let word = unsafe { host_of(&self.sheets, Self::sheet_at(sheet, offset)).cast::<AtomicU64>().as_ref() };
        // Release: orders a sheet's words; partner: the device's acquiring loads. `Pumps::quanta` has a fence of its own.
        word.store(value, Ordering::Release);
        if self.memories.combines() {
            // SAFETY: every x86-64 has it; it orders stores.
            unsafe { std::arch::x86_64::_mm_sfence() };
        }
    }

    /// Has what was written arrived before anything that the caller goes on to write, elsewhere too: a reading follows the
    /// writes over the bus, which else are only on their way.
    fn settle(&self) {
        if self.memories.combines() {
            // SAFETY: a word within the block, which only the host writes.
            unsafe { host_of(&self.sheets, 0).cast::<u64>().as_ptr().read_volatile() };
        }
    }

    /// A word of a place.
    fn set_place(&self, place: usize, field: usize, value: u64) {
        self.set(place / PLACES, field + place % PLACES * 8, value);
    }

    /// A word that the device counts in.
    fn count(&self, sheet: usize, offset: usize) -> u64 {
        debug_assert!(sheet < SHEETS && offset < size_of::<Outcome>());
        let at = sheet * size_of::<Outcome>() + offset;
        // SAFETY: an aligned word within the outcomes, used by both sides as an atomic word.
        let word = unsafe { host_of(&self.outcomes, at).cast::<AtomicU64>().as_ref() };
        // Acquire: see `Seat::counts`; for the rest it is a count.
        let count = word.load(Ordering::Acquire);
        if self.memories.combines() {
            // Such memory's loads keep no order by themselves.
            // SAFETY: every x86-64 has it; it orders loads.
            unsafe { std::arch::x86_64::_mm_lfence() };
        }
        count
    }

    /// Takes back what no handler looks at any more.
    fn recover(&self, state: &mut State) {
        while state.left.front().is_some_and(|left| left.until.are_over()) {
            let Left { topic, seats, sheets, .. } = state.left.pop_front().expect("just seen");
            for (place, seat) in seats {
                // Who has nobody left that asks for its counts needs none.
                if let Some(seat) = seat.upgrade() {
                    seat.finish();
                }
                if let Some(line) = state.lines.get_mut(&topic) {
                    line.free.push(place);
                }
            }
            for sheet in sheets {
                (0..size_of::<Audience>()).step_by(8).for_each(|offset| self.set(sheet, offset, 0));
                state.free.push(sheet);
            }
        }
    }

    /// A line of a topic that had none, in which anybody finds a place. None if there is no sheet.
    fn open(&self, topic: u32, free: &mut Vec<usize>) -> Option<Line> {
        let mut sheets = Vec::new();
        self.extend(&mut sheets, free).then_some(())?;
        let start = self.count(sheets[0], offset_of!(Outcome, published));
        // SAFETY: the table is ours as long as this, aligned as blocks are, and written through the directory alone.
        unsafe { self.directory.register(self.table(), topic, self.address_of(sheets[0])) };
        let (seats, free, used, changes, bytes) = Default::default();
        Some(Line { sheets, seats, free, used, changes, bytes, start })
    }

    /// Gives a line one more sheet, to which the last one leads. False if there is none.
    fn extend(&self, sheets: &mut Vec<usize>, free: &mut Vec<usize>) -> bool {
        let Some(sheet) = (sheets.len() < self.most).then(|| free.pop()).flatten() else { return false };
        let counts = self.outcomes.device + (sheet * size_of::<Outcome>()) as u64;
        self.set(sheet, offset_of!(Audience, counts), counts);
        // Until we are told.
        self.set(sheet, offset_of!(Audience, others), 1);
        // Who sees one come, and not yet when, is not to think that it was always there: the two are read in any order.
        for place in 0..PLACES {
            self.set(sheet, offset_of!(Audience, since) + place * 8, u64::MAX);
        }
        if let Some(last) = sheets.last() {
            self.set(*last, offset_of!(Audience, next), self.address_of(sheet));
        }
        sheets.push(sheet);
        true
    }

    /// A place of a line. None if it has no more.
    fn take_place(&self, line: &mut Line, free: &mut Vec<usize>) -> Option<usize> {
        line.free.pop().or_else(|| {
            let number = line.used;
            if number / PLACES == line.sheets.len() && !self.extend(&mut line.sheets, free) {
                return None;
            }
            line.used += 1;
            Some(line.sheets[number / PLACES] * PLACES + number % PLACES)
        })
    }
}

impl topics::Fanout for Fanout {
    fn admit(self: Arc<Self>, topic: u32, actor: u64, largest: u32) -> Option<Arc<Seat>> {
        let mut state = self.lock();
        self.recover(&mut state);
        let State { lines, free, .. } = &mut *state;
        let line = match lines.entry(topic) {
            Entry::Occupied(line) => line.into_mut(),
            Entry::Vacant(place) => place.insert(self.open(topic, free)?),
        };
        if line.bytes + largest as usize > self.most * BYTES {
            return None;
        }
        let place = self.take_place(line, free)?;
        line.bytes += largest as usize;
        let seat = Arc::new(Seat::new(self.clone(), place));
        line.seats.insert(place, (Arc::downgrade(&seat), largest));
        line.changes += 1;
        self.set_place(place, offset_of!(Audience, since), line.changes);
        self.set_place(place, offset_of!(Audience, actors), actor);
        // Whoever looks as far finds the actor. Sheets before the last are full.
        let (sheet, used) = (line.sheets[(line.used - 1) / PLACES], (line.used - 1) % PLACES + 1);
        self.set(sheet, offset_of!(Audience, used), used as u64);
        self.set(line.sheets[0], offset_of!(Audience, changes), line.changes);
        self.settle();
        Some(seat)
    }

    fn dismiss(&self, topic: u32, seat: &Arc<Seat>) {
        let mut state = self.lock();
        let place = seat.place();
        // A closed topic's have been.
        let Some(line) = state.lines.get_mut(&topic) else { return };
        let Some((seat, largest)) = line.seats.remove(&place) else { return };
        line.bytes -= largest as usize;
        self.set_place(place, offset_of!(Audience, actors), 0);
        // As in `extend`: whoever finds the next one there.
        self.set_place(place, offset_of!(Audience, since), u64::MAX);
        self.settle();
        let until = self.pumps.quanta();
        state.left.push_back(Left { until, topic, seats: vec![(place, seat)], sheets: Vec::new() });
        self.recover(&mut state);
    }

    fn tell_of_others(&self, topic: u32, others: bool) {
        let state = self.lock();
        if let Some(line) = state.lines.get(&topic) {
            self.set(line.sheets[0], offset_of!(Audience, others), u64::from(others));
            self.settle();
        }
    }

    fn counts(&self, place: usize) -> Counts {
        let of = |field: usize| self.count(place / PLACES, field + place % PLACES * 8);
        Counts { delivered: of(offset_of!(Outcome, delivered)), dropped: of(offset_of!(Outcome, dropped)) }
    }

    fn published(&self, topic: u32) -> u64 {
        let state = self.lock();
        let published = |line: &Line| self.count(line.sheets[0], offset_of!(Outcome, published)) - line.start;
        state.lines.get(&topic).map_or(0, published)
    }

    fn close(&self, topic: u32) {
        let mut state = self.lock();
        let Some(line) = state.lines.remove(&topic) else { return };
        // SAFETY: see `open`.
        unsafe { self.directory.unregister(self.table(), topic, self.address_of(line.sheets[0])) };
        self.settle();
        let seats = line.seats.into_iter().map(|(place, (seat, _))| (place, seat)).collect();
        let until = self.pumps.quanta();
        state.left.push_back(Left { until, topic, seats, sheets: line.sheets });
        self.recover(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{alloc_zeroed, dealloc, Layout};
    use std::sync::atomic::{AtomicBool, AtomicU32};

    use super::super::Shared;
    use super::*;
    use crate::bell::Bell;
    use crate::topics::Fanout as _;

    /// Memory of this process, which is its own device.
    struct Here;

    struct Owned(NonNull<u8>, Layout);

    // SAFETY: owned memory, used as the fan-out does.
    unsafe impl Send for Owned {}
    // SAFETY: as above.
    unsafe impl Sync for Owned {}

    impl Drop for Owned {
        fn drop(&mut self) {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.0.as_ptr(), self.1) };
        }
    }

    impl Memories for Here {
        fn allocate(&self, _: Place, size: usize) -> Result<Block> {
            let layout = Layout::from_size_align(size, 256).expect("small");
            // SAFETY: the size is not zero.
            let memory = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
            let device = memory.as_ptr() as u64;
            Ok(Block { host: Some(memory), device, owner: Arc::new(Owned(memory, layout)) })
        }

        fn zero(&self, _: &Block, _: usize, _: usize) -> Result<()> {
            Ok(())
        }

        fn finish(&self) -> Result<()> {
            Ok(())
        }

        fn combines(&self) -> bool {
            false
        }

        fn upload(&self, _: &Block, _: usize, _: &[u8]) -> Result<()> {
            unreachable!()
        }

        fn copy(&self, _: &Block, _: usize, _: usize, _: usize) -> Result<()> {
            unreachable!()
        }

        fn download(&self, _: &Block, _: usize, _: &mut [u8]) -> Result<()> {
            unreachable!()
        }

        fn directory(&self) -> u64 {
            unreachable!()
        }

        fn register(&self, _: u32, _: u64) {
            unreachable!()
        }

        fn retire(&self, _: u32, _: u64) {
            unreachable!()
        }

        fn unregister(&self, _: u32, _: u64) {
            unreachable!()
        }

        fn outlast_others(&self) -> bool {
            true
        }
    }

    /// The topic's sheets, as a device finds them.
    fn sheets(fanout: &Fanout, topic: u32) -> Vec<Audience> {
        let at = fanout.address() + u64::from(topic % 4096) * 16;
        // SAFETY: within the table; what it leads to are sheets. Nobody else is there.
        unsafe {
            let [key, mut at] = *(at as *const [u64; 2]);
            let mut sheets = Vec::new();
            while key == u64::from(topic) && at != 0 {
                sheets.push(*(at as *const Audience));
                at = sheets.last().expect("one").next;
            }
            sheets
        }
    }

    fn actors(fanout: &Fanout, topic: u32) -> Vec<u64> {
        let used = |sheet: Audience| sheet.actors.into_iter().take(sheet.used as usize).filter(|actor| *actor != 0);
        sheets(fanout, topic).into_iter().flat_map(used).collect()
    }

    /// As a device counts one that it delivered.
    fn deliver(fanout: &Fanout, topic: u32, place: usize) {
        let counts = sheets(fanout, topic)[place / PLACES].counts;
        let at = counts + (offset_of!(Outcome, delivered) + place % PLACES * 8) as u64;
        // SAFETY: within the sheet's outcome.
        unsafe { AtomicU64::from_ptr(at as *mut u64) }.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn devices_find_who_is_there() {
        let fanout = Fanout::new(Arc::new(Here), Arc::default(), 2, Place::Host).expect("memory");
        let admit = |topic, actor| fanout.clone().admit(topic, actor, 100);
        let mut seats: Vec<_> = (1..=2 * PLACES as u64).map(|actor| admit(0x1005, actor).expect("room")).collect();
        assert!(admit(0x1005, 1000).is_none(), "two sheets are full");
        let other = admit(0x2006, 2000).expect("another topic has its own");
        assert_eq!(sheets(&fanout, 0x1005).len(), 2);
        assert_eq!(actors(&fanout, 0x1005), (1..=2 * PLACES as u64).collect::<Vec<_>>());
        assert_eq!(actors(&fanout, 0x2006), [2000]);
        fanout.dismiss(0x1005, &seats.remove(69));
        fanout.dismiss(0x1005, &seats.remove(2));
        assert!(!actors(&fanout, 0x1005).iter().any(|actor| [3, 70].contains(actor)));
        assert_eq!(sheets(&fanout, 0x1005)[0].since[2], u64::MAX);
        let again = [3000, 3001].map(|actor| admit(0x1005, actor).expect("two have left"));
        assert_eq!((actors(&fanout, 0x1005)[2], actors(&fanout, 0x1005)[69]), (3000, 3001));
        let first = sheets(&fanout, 0x1005)[0];
        assert_eq!((first.since[0], first.since[2], first.changes), (1, 121, 122));
        assert_eq!(sheets(&fanout, 0x2006)[0].since[1], u64::MAX, "nobody was there yet");
        fanout.tell_of_others(0x1005, false);
        assert_eq!((sheets(&fanout, 0x1005)[0].others, sheets(&fanout, 0x2006)[0].others), (0, 1));
        fanout.close(0x1005);
        assert!(sheets(&fanout, 0x1005).is_empty());
        // After its topic.
        fanout.dismiss(0x1005, &again[0]);
        // The slot's next topic, in memory that is as new.
        let seat = admit(0x3005, 9).expect("room");
        assert_eq!(actors(&fanout, 0x3005), [9]);
        assert_eq!(sheets(&fanout, 0x3005)[0].others, 1);
        assert!(
            fanout.clone().admit(0x3005, 10, 1 << 16).is_some() && fanout.clone().admit(0x3005, 11, 1 << 16).is_none()
        );
        drop((seats, other, seat));
    }

    #[test]
    fn what_handlers_may_look_at_is_not_used_again() {
        let pumps = Arc::new(Pumps::default());
        let pump = Arc::new(Shared {
            key: 1,
            bell: Arc::default(),
            running: AtomicU32::new(1),
            rests: AtomicU64::new(0),
            rested: Bell::default(),
            poked: AtomicBool::new(false),
            held_up: AtomicBool::new(false),
        });
        pumps.lock().insert(1, pump.clone());
        let fanout = Fanout::new(Arc::new(Here), pumps, 1, Place::Host).expect("memory");
        let admit = |actor| fanout.clone().admit(0x1001, actor, 8).expect("room");
        let first = admit(1);
        deliver(&fanout, 0x1001, 0);
        fanout.dismiss(0x1001, &first);
        let second = admit(2);
        assert_eq!(actors(&fanout, 0x1001), [2]);
        assert_ne!(first.place(), second.place());
        // One that had found the first before.
        deliver(&fanout, 0x1001, 0);
        // A quantum has ended, and another has begun.
        pump.rests.store(1, Ordering::SeqCst);
        let third = admit(3);
        assert_eq!(third.place(), first.place());
        assert_eq!(actors(&fanout, 0x1001), [3, 2]);
        deliver(&fanout, 0x1001, 0);
        assert_eq!([&first, &second, &third].map(|seat| seat.counts().delivered), [2, 0, 1]);
        fanout.close(0x1001);
        assert_eq!(fanout.lock().free.len(), SHEETS - 1, "a handler may still be there");
        pump.running.store(0, Ordering::SeqCst);
        let mut state = fanout.lock();
        fanout.recover(&mut state);
        assert_eq!(state.free.len(), SHEETS);
    }
}
