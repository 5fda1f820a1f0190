//! Tables of things that callers name by number, safe against any number at any time from any thread.
//!
//! A key is a slot (12 bits) and the generation of what is in it (20 bits, from 1). Looking a key up *pins* the slot: what
//! is there stays until the pin is gone. Removing takes the key away first, so that nobody new gets in, then waits for the
//! pins. A slot whose generations are used up is retired, so that no key is ever given twice; only who asks for a key that
//! nothing has any more gets it again.
//!
//! A pin is a note in memory of the thread's own ([`pins`](crate::pins)); a thread that has too many of these counts in the
//! slot instead.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::bell::{heavy, light};
use crate::error::{Error, Result};
use crate::futex;
use crate::pins::{self, Place};
use crate::time::Deadline;

const SLOT_BITS: u32 = 12;
/// Things that a table can hold at once.
pub(crate) const CAPACITY: usize = 1 << SLOT_BITS;
const CHUNK: usize = 64;
/// One less than there could be: keys whose generation is all ones are left to addresses of topics.
const LAST_GENERATION: u32 = (1 << (32 - SLOT_BITS)) - 2;
/// Of a key that comes from outside: where nobody means well, it leaves the slot a quarter of its generations.
const LAST_RESTORED: u32 = LAST_GENERATION / 4 * 3;

/// What can be in a table.
pub(crate) trait Noun {
    /// A call that used it panicked.
    fn poison(&self);
}

struct Entry<T> {
    /// The key by which the value can be had; 0 while there is none.
    key: AtomicU32,
    /// Counts pins that were given back while somebody waited.
    drained: AtomicU32,
    /// Pins of threads that had no place left for a note.
    counted: AtomicU32,
    /// The highest generation that the slot has had.
    latest: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: `value` is written only by who holds the slot's reservation or, in `take`, when there is no pin left; shared
// references to it exist only under pins.
unsafe impl<T: Send + Sync> Sync for Entry<T> {}

/// A table of up to [`CAPACITY`] values.
pub(crate) struct Table<T> {
    chunks: [OnceLock<Box<[Entry<T>]>>; CAPACITY / CHUNK],
    free: Mutex<Free>,
}

struct Free {
    /// Slots never used start here.
    fresh: u32,
    /// Slots to use again, with the generation to use.
    again: Vec<(u32, u32)>,
    /// Slots whose generations are used up.
    retired: Vec<u32>,
}

/// A place in the table that has its key already.
pub(crate) struct Vacant<'a, T: 'static> {
    table: &'a Table<T>,
    key: u32,
    filled: bool,
}

/// A value that stays in its table.
pub(crate) struct Pinned<'a, T: Noun> {
    value: &'a T,
    entry: &'a Entry<T>,
    note: Option<Place>,
}

/// A value that nobody can look up any more.
pub(crate) struct Removed<'a, T> {
    table: &'a Table<T>,
    entry: &'a Entry<T>,
    key: u32,
}

/// A key whose value is gone.
pub(crate) struct Key<'a, T> {
    table: &'a Table<T>,
    key: u32,
}

impl<T> Drop for Key<'_, T> {
    fn drop(&mut self) {
        self.table.give_back(self.key);
    }
}

fn slot(key: u32) -> usize {
    key as usize & (CAPACITY - 1)
}

impl<T> Table<T> {
    fn give_back(&self, key: u32) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let chunk = self.chunks[slot(key) / CHUNK].get().expect("made by reserve");
        // Relaxed: used under the lock only.
        let generation = chunk[slot(key) % CHUNK].latest.load(Ordering::Relaxed);
        if generation < LAST_GENERATION {
            free.again.push((slot(key) as u32, generation + 1));
        } else {
            free.retired.push(slot(key) as u32);
        }
    }
}

impl<T: Noun> Table<T> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CAPACITY / CHUNK],
            free: Mutex::new(Free { fresh: 0, again: Vec::new(), retired: Vec::new() }),
        }
    }

    fn entry(&self, slot: usize) -> Option<&Entry<T>> {
        self.chunks[slot / CHUNK].get().map(|chunk| &chunk[slot % CHUNK])
    }

    /// Takes a place and gives its key; the value follows with [`Vacant::fill`].
    pub(crate) fn reserve(&self) -> Result<Vacant<'_, T>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (slot, generation) = match free.again.pop() {
            Some(place) => place,
            None if (free.fresh as usize) < CAPACITY => {
                free.fresh += 1;
                (free.fresh - 1, 1)
            }
            None => return Err(Error::Limit(format!("{CAPACITY} of a kind exist"))),
        };
        Ok(self.vacate(slot, generation))
    }

    /// Takes the place of a key that nothing has any more, or never had. None if something has it or its slot.
    pub(crate) fn reserve_again(&self, key: u32) -> Option<Vacant<'_, T>> {
        let (slot, generation) = (slot(key) as u32, key >> SLOT_BITS);
        if generation == 0 || generation > LAST_RESTORED {
            return None;
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while free.fresh <= slot {
            let fresh = free.fresh;
            free.again.push((fresh, 1));
            free.fresh += 1;
        }
        if let Some(at) = free.again.iter().position(|(other, _)| *other == slot) {
            free.again.swap_remove(at);
        } else {
            let at = free.retired.iter().position(|other| *other == slot)?;
            free.retired.swap_remove(at);
        }
        Some(self.vacate(slot, generation))
    }

    /// Under the lock, with a slot that was taken out of the free ones.
    fn vacate(&self, slot: u32, generation: u32) -> Vacant<'_, T> {
        let chunk = self.chunks[slot as usize / CHUNK].get_or_init(|| {
            let entry = || Entry {
                key: AtomicU32::new(0),
                drained: AtomicU32::new(0),
                counted: AtomicU32::new(0),
                latest: AtomicU32::new(0),
                value: UnsafeCell::new(None),
            };
            (0..CHUNK).map(|_| entry()).collect()
        });
        // Relaxed: used under the lock only.
        chunk[slot as usize % CHUNK].latest.fetch_max(generation, Ordering::Relaxed);
        Vacant { table: self, key: generation << SLOT_BITS | slot, filled: false }
    }

    /// The value with that key.
    #[inline(always)] // a returned pin would go through memory, and stall the loads of its parts
    pub(crate) fn get(&self, key: u32) -> Option<Pinned<'_, T>> {
        let entry = self.entry(slot(key))?;
        let note = entry.pin();
        // Acquire: the value, with the Release in `fill`. The pin comes before (`light`, or a locked instruction), and who
        // removes takes the key away, fences with `heavy` and then looks for pins: either we see the key gone, or it sees
        // our pin.
        let alive = entry.key.load(Ordering::Acquire) == key && key != 0;
        // SAFETY: pinned with the key still there, the value is not written before the pin is gone.
        let value = if alive { unsafe { (*entry.value.get()).as_ref() } } else { None };
        match value {
            Some(value) => Some(Pinned { value, entry, note }),
            None => {
                entry.unpin(note);
                None
            }
        }
    }

    /// Takes a key away. Of several who try, one succeeds.
    pub(crate) fn remove(&self, key: u32) -> Option<Removed<'_, T>> {
        let entry = self.entry(slot(key))?;
        // SeqCst: with the fence in `take`, see `get`.
        (key != 0 && entry.key.compare_exchange(key, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok())
            .then_some(Removed { table: self, entry, key })
    }

    /// Keys of the values of which `which` holds.
    pub(crate) fn keys(&self, which: impl Fn(&T) -> bool) -> Vec<u32> {
        let entries = self.chunks.iter().filter_map(OnceLock::get).flat_map(|chunk| chunk.iter());
        let keys = entries.map(|entry| entry.key.load(Ordering::Acquire));
        keys.filter(|key| self.get(*key).is_some_and(|value| which(&value))).collect()
    }
}

impl<T> Entry<T> {
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    #[inline(always)]
    fn pin(&self) -> Option<Place> {
        let note = pins::announce(self.address());
        if note.is_none() {
            // SeqCst: orders it before the look at the key, as the note's fence does.
            self.counted.fetch_add(1, Ordering::SeqCst);
        }
        note
    }

    #[inline(always)]
    fn unpin(&self, note: Option<Place>) {
        // Release: our use of the value is over; pairs with the Acquire of who looks for pins.
        match note {
            Some(place) => place.store(0, Ordering::Release),
            None => {
                self.counted.fetch_sub(1, Ordering::SeqCst);
            }
        }
        // The other half of the fence in `take`, which takes the key away before: either it sees our pin gone, or we see
        // the key gone and wake it. Entries are never freed.
        light();
        if self.key.load(Ordering::Relaxed) == 0 {
            self.drained.fetch_add(1, Ordering::SeqCst);
            futex::wake_all(&self.drained);
        }
    }

    fn is_pinned(&self) -> bool {
        self.counted.load(Ordering::SeqCst) != 0 || pins::is_used(self.address())
    }
}

impl<T> Vacant<'_, T> {
    pub(crate) fn key(&self) -> u32 {
        self.key
    }

    /// Puts the value in; from now on it can be looked up.
    pub(crate) fn fill(mut self, value: T) -> u32 {
        let entry = &self.table.chunks[slot(self.key) / CHUNK].get().expect("made by reserve")[slot(self.key) % CHUNK];
        // SAFETY: the place is reserved for us, and without a key nobody reads it.
        unsafe { *entry.value.get() = Some(value) };
        // Release (SeqCst): publishes the value to `get`.
        entry.key.store(self.key, Ordering::SeqCst);
        self.filled = true;
        self.key
    }
}

impl<T> Drop for Vacant<'_, T> {
    fn drop(&mut self) {
        if !self.filled {
            // The key was never given out, but it may have been written into memory that others read: not this one again.
            self.table.give_back(self.key);
        }
    }
}

impl<'a, T: Noun> Removed<'a, T> {
    /// What was removed, while others may still use it.
    pub(crate) fn value(&self) -> &T {
        // SAFETY: the value stays until `take`, which consumes self.
        unsafe { (*self.entry.value.get()).as_ref() }.expect("removed with its value")
    }

    /// Waits until nobody uses it, and gives it, and the key, which nothing else gets before that is dropped.
    pub(crate) fn take(self) -> (T, Key<'a, T>) {
        loop {
            let drained = self.entry.drained.load(Ordering::SeqCst);
            heavy();
            if !self.entry.is_pinned() {
                break;
            }
            futex::wait(&self.entry.drained, drained, Deadline::Never);
        }
        // SAFETY: no key, so no new pin gets at the value; no pin, so nobody has it. The fence between the two makes both
        // true at once (see `get`).
        let value = unsafe { (*self.entry.value.get()).take() }.expect("taken once");
        (value, Key { table: self.table, key: self.key })
    }
}

impl<T: Noun> Deref for Pinned<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: Noun> Pinned<'_, T> {
    /// As dropping it, where there is no panic under way: for calls that are counted in nanoseconds.
    #[inline(always)]
    pub(crate) fn release(self) {
        let this = ManuallyDrop::new(self);
        this.entry.unpin(this.note);
    }
}

impl<T: Noun> Drop for Pinned<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.value.poison();
        }
        self.entry.unpin(self.note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    struct Thing<'a>(&'a AtomicUsize);
    impl Noun for Thing<'_> {
        fn poison(&self) {}
    }
    impl Drop for Thing<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn keys_are_never_reused() {
        static DROPS: AtomicUsize = AtomicUsize::new(0);
        let table = Table::new();
        let mut keys = std::collections::HashSet::new();
        for _ in 0..1000 {
            let key = table.reserve().expect("room").fill(Thing(&DROPS));
            assert!(keys.insert(key));
            assert!(table.get(key).is_some());
            drop(table.remove(key).expect("there").take());
            assert!(table.get(key).is_none() && table.remove(key).is_none());
        }
        assert_eq!(DROPS.load(Ordering::Relaxed), 1000);
        assert!(table.get(0).is_none() && table.get(u32::MAX).is_none());
    }

    #[test]
    fn a_key_can_be_asked_for_again() {
        static DROPS: AtomicUsize = AtomicUsize::new(0);
        let table = Table::new();
        let fill = || table.reserve().expect("room").fill(Thing(&DROPS));
        let first = fill();
        assert!(table.reserve_again(first).is_none(), "somebody has it");
        drop(table.remove(first).expect("there").take());
        let second = fill();
        assert_eq!(slot(second), slot(first));
        assert!(table.reserve_again(first).is_none(), "somebody has its slot");
        drop(table.remove(second).expect("there").take());
        assert_eq!(table.reserve_again(first).expect("nobody has it").fill(Thing(&DROPS)), first);
        assert!(table.get(first).is_some() && table.get(second).is_none());
        drop(table.remove(first).expect("there").take());
        // What was given in between is not given again by itself.
        let third = fill();
        assert!(third != first && third != second && slot(third) == slot(first));
        // One of another process.
        let far = 7 << SLOT_BITS | 1234;
        assert_eq!(table.reserve_again(far).expect("nobody has it").fill(Thing(&DROPS)), far);
        let keys: std::collections::HashSet<u32> = (2..CAPACITY).map(|_| fill()).collect();
        assert_eq!(keys.len(), CAPACITY - 2);
        assert!(table.reserve().is_err() && !keys.contains(&far));
        for key in [0, u32::MAX, 5] {
            assert!(table.reserve_again(key).is_none());
        }
        drop(table.remove(far).expect("there").take());
        assert_eq!(fill(), 8 << SLOT_BITS | 1234);
        // The last generations.
        let at = |generation: u32| generation << SLOT_BITS | slot(third) as u32;
        drop(table.remove(third).expect("there").take());
        let last = at(LAST_RESTORED);
        for _ in 0..2 {
            assert_eq!(table.reserve_again(last).expect("nobody has it").fill(Thing(&DROPS)), last);
            drop(table.remove(last).expect("there").take());
        }
        assert!(table.reserve_again(at(LAST_RESTORED + 1)).is_none());
        for generation in LAST_RESTORED + 1..=LAST_GENERATION {
            assert_eq!(fill(), at(generation));
            drop(table.remove(at(generation)).expect("there").take());
        }
        assert!(table.reserve().is_err(), "it is used up");
    }

    #[test]
    fn full() {
        static DROPS: AtomicUsize = AtomicUsize::new(0);
        let table = Table::new();
        let keys: Vec<u32> = (0..CAPACITY).map(|_| table.reserve().expect("room").fill(Thing(&DROPS))).collect();
        assert!(matches!(table.reserve(), Err(Error::Limit(_))));
        drop(table.remove(keys[77]).expect("there").take());
        let again = table.reserve().expect("room again").fill(Thing(&DROPS));
        assert_eq!(slot(again), 77);
    }

    #[test]
    fn removal_waits_for_users() {
        static DROPS: AtomicUsize = AtomicUsize::new(0);
        let table = Table::new();
        for _ in 0..200 {
            let key = table.reserve().expect("room").fill(Thing(&DROPS));
            let removed = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while let Some(value) = table.get(key) {
                            let before = value.0.load(Ordering::Relaxed);
                            std::hint::spin_loop();
                            assert_eq!(value.0.load(Ordering::Relaxed), before, "dropped while in use");
                        }
                        assert!(removed.load(Ordering::SeqCst));
                    });
                }
                removed.store(true, Ordering::SeqCst);
                drop(table.remove(key).expect("there").take());
            });
        }
    }
}
