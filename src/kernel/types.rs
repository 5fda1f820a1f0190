//! The message types that an actor handles, found by number.

use crate::error::{Error, Result};
use crate::layout::{TYPE_ORPHANED, TYPE_START, TYPE_STOP};

/// A small hash table with linear probing, at most half full: one multiplication and, nearly always, one look.
pub(crate) struct TypeTable {
    /// Type (0 for none), declared size, number of the handler.
    entries: Box<[(u32, u32, u32)]>,
    shift: u32,
    largest: u32,
}

impl TypeTable {
    /// Of pairs of type and declared size, in the order of the handlers. The library's own follow, which all actors take.
    pub(crate) fn new(types: impl ExactSizeIterator<Item = (u32, u32)>) -> Result<Self> {
        let bits = ((types.len() + 3) * 2).next_power_of_two().trailing_zeros();
        let mut table = Self { entries: vec![(0, 0, 0); 1 << bits].into(), shift: 32 - bits, largest: 0 };
        let own = [TYPE_START, TYPE_STOP, TYPE_ORPHANED].map(|kind| (kind, 0));
        for (number, (kind, size)) in types.chain(own).enumerate() {
            if table.find(kind).is_some() {
                return Err(Error::BadImage(format!("message type {kind} has two handlers")));
            }
            let free = table.probe(kind).find(|at| table.entries[*at].0 == 0).expect("half of the table is free");
            table.entries[free] = (kind, size, number as u32);
            table.largest = table.largest.max(size);
        }
        Ok(table)
    }

    #[inline(always)]
    fn start(&self, kind: u32) -> usize {
        (kind.wrapping_mul(0x9e37_79b9) >> self.shift) as usize
    }

    fn probe(&self, kind: u32) -> impl Iterator<Item = usize> {
        let mask = self.entries.len() - 1;
        let start = self.start(kind);
        (0..=mask).map(move |step| (start + step) & mask)
    }

    /// Declared size and number of the handler of a type.
    #[inline(always)]
    pub(crate) fn find(&self, kind: u32) -> Option<(u32, usize)> {
        match self.entries.get(self.start(kind)) {
            Some((found, size, number)) if *found == kind && kind != 0 => Some((*size, *number as usize)),
            _ => self.find_further(kind),
        }
    }

    #[cold]
    fn find_further(&self, kind: u32) -> Option<(u32, usize)> {
        for at in self.probe(kind) {
            match self.entries[at] {
                (0, ..) => return None,
                (found, size, number) if found == kind => return Some((size, number as usize)),
                _ => {}
            }
        }
        None
    }

    /// Type and size of every entry of the table, and the shift of its hash: for devices, which look things up the same
    /// way.
    pub(crate) fn raw(&self) -> (Vec<[u32; 2]>, u32) {
        (self.entries.iter().map(|(kind, size, _)| [*kind, *size]).collect(), self.shift)
    }

    /// Largest declared size.
    pub(crate) fn largest(&self) -> u32 {
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_all_and_nothing_else() {
        let kinds: Vec<u32> = (1..200).map(|i| i * 317 % 65279 + 1).collect();
        let table = TypeTable::new(kinds.iter().map(|kind| (*kind, kind % 100))).expect("no doubles");
        for (number, kind) in kinds.iter().enumerate() {
            assert_eq!(table.find(*kind), Some((kind % 100, number)));
        }
        assert_eq!(table.find(TYPE_START), Some((0, kinds.len())));
        let own = [TYPE_START, TYPE_STOP, TYPE_ORPHANED];
        for kind in (0..70_000).filter(|kind| !kinds.contains(kind) && !own.contains(kind)) {
            assert_eq!(table.find(kind), None);
        }
        assert!(TypeTable::new([(5, 0), (5, 1)].into_iter()).is_err());
        assert_eq!(TypeTable::new([].into_iter()).expect("empty").find(1), None);
    }
}
