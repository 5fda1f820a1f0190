//! What each thread is using at this moment.
//!
//! Every call pins what its handle names. A count in the thing itself would be two locked instructions, of which the second
//! waits for all stores of the call to leave the processor, among them those into a ring that another core is reading. So
//! a thread says what it uses in memory of its own, by plain stores, and who wants to remove something looks through all
//! threads' memory after a [`heavy`](crate::bell::heavy) fence (hazard pointers: Michael, IEEE TPDS 15(6), 2004).
//!
//! The memory belongs to a thread until it ends. Nobody tells us when (there are no destructors in the host's threads), so
//! when there are many, those of threads that have ended are found by asking the system, and used again.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};

use crate::bias::Section;

/// Things that a thread can use at once; one call uses three at most, a log callback's calls not included.
const PLACES: usize = 6;
/// Records from which on those of dead threads are looked for.
const MANY: usize = 64;

/// What one thread uses, by address; zero for nothing.
#[repr(align(128))]
pub(crate) struct Record {
    places: [AtomicUsize; PLACES],
    section: Section,
    /// The thread, by the system's number.
    owner: AtomicI32,
    /// The record made before. Records are never freed.
    next: *const Record,
}

// SAFETY: `next` is set before the record is published and not changed; the rest is atomic.
unsafe impl Sync for Record {}

static RECORDS: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What the library keeps for each thread; together, for finding it is a call in a shared library.
struct Mine {
    record: Cell<*const Record>,
    inside: Cell<bool>,
}

thread_local! {
    /// Without a destructor: nothing is registered with the host's thread.
    static MINE: Mine = const { Mine { record: Cell::new(ptr::null()), inside: Cell::new(false) } };
}

/// Notes whether this thread is in a call of the library, and gives what was noted before.
#[inline(always)]
pub(crate) fn set_inside(inside: bool) -> bool {
    MINE.with(|mine| mine.inside.replace(inside))
}

/// Whether this thread is in a call of the library.
pub(crate) fn is_inside() -> bool {
    MINE.with(|mine| mine.inside.get())
}

#[inline(always)]
fn mine() -> &'static Record {
    let record = MINE.with(|mine| mine.record.get());
    // SAFETY: records are never freed.
    unsafe { record.as_ref() }.unwrap_or_else(|| register())
}

/// This thread's section.
#[inline(always)]
pub fn section() -> &'static Section {
    &mine().section
}

/// A place that says that something is in use.
pub(crate) type Place = &'static AtomicUsize;

/// Says that this thread uses what is at `address`. None if it uses too many things at once.
#[inline(always)]
pub(crate) fn announce(address: usize) -> Option<Place> {
    // Relaxed: only this thread writes its places. A signal handler's calls, should there be any, clear what they took.
    let place = mine().places.iter().find(|place| place.load(Ordering::Relaxed) == 0)?;
    // Release: whoever finds this address rather than the one before, or zero, sees that the use before is over.
    place.store(address, Ordering::Release);
    crate::bell::light();
    Some(place)
}

/// Whether any thread uses what is at `address`. Meaningful after a `heavy` fence after which nobody can begin to.
pub(crate) fn is_used(address: usize) -> bool {
    // Acquire: pairs with the Release in `announce` and when a use ends.
    records().any(|record| record.places.iter().any(|place| place.load(Ordering::Acquire) == address))
}

fn records() -> impl Iterator<Item = &'static Record> {
    // Acquire: pairs with the Release of the exchange in `register`.
    let first = RECORDS.load(Ordering::Acquire);
    // SAFETY: records are never freed, and each is whole before the next names it.
    let at = |record: *const Record| unsafe { record.as_ref() };
    std::iter::successors(at(first), move |record| at(record.next))
}

#[cold]
fn register() -> &'static Record {
    // SAFETY: gettid only gives a number.
    let me = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
    let record = inherit(me).unwrap_or_else(|| add(me));
    MINE.with(|mine| mine.record.set(record));
    record
}

/// The record of a thread that has ended.
fn inherit(me: i32) -> Option<&'static Record> {
    if COUNT.load(Ordering::Relaxed) < MANY {
        return None;
    }
    records().find(|record| {
        let owner = record.owner.load(Ordering::Acquire);
        // AcqRel: of several who find it, one gets it. A new thread may have an old one's number; then it stays unused
        // until that one has ended too.
        // Acquire: pairs with the Release of its last use, which we pass on with our own uses.
        let idle = || record.places.iter().all(|place| place.load(Ordering::Acquire) == 0);
        !is_alive(owner)
            && idle()
            && record.owner.compare_exchange(owner, me, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    })
}

fn is_alive(thread: i32) -> bool {
    // SAFETY: signal 0 is not sent; the call only tells whether the thread of this process exists.
    let found = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) } == 0;
    // A sandbox may refuse the question; that is not an answer.
    found || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

fn add(me: i32) -> &'static Record {
    let record = Box::leak(Box::new(Record {
        places: [const { AtomicUsize::new(0) }; PLACES],
        section: Section::default(),
        owner: AtomicI32::new(me),
        next: ptr::null(),
    }));
    let mut first = RECORDS.load(Ordering::Relaxed);
    loop {
        record.next = first;
        // Release: publishes the record to `records`.
        match RECORDS.compare_exchange_weak(first, record, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => first = now,
        }
    }
    COUNT.fetch_add(1, Ordering::Relaxed);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_ended_leave_their_records() {
        for round in 0..8 * MANY {
            std::thread::spawn(move || {
                let address = 0x1000 + round;
                let place = announce(address).expect("a new thread uses nothing");
                assert!(is_used(address));
                place.store(0, Ordering::Release);
                assert!(!is_used(address));
            })
            .join()
            .expect("no panic");
        }
        // Other tests' threads have some, and a thread may be seen for a moment after it was joined.
        assert!(COUNT.load(Ordering::Relaxed) < 4 * MANY, "{}", COUNT.load(Ordering::Relaxed));
    }

    #[test]
    fn places_run_out() {
        let places: Vec<Place> = (1..=PLACES).filter_map(announce).collect();
        assert_eq!(places.len(), PLACES);
        assert!(announce(99).is_none());
        for place in &places {
            place.store(0, Ordering::Release);
        }
        let place = announce(99).expect("there is room again");
        place.store(0, Ordering::Release);
    }
}
