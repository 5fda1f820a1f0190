//! Names of kernels and actors, by which parts of a program find each other's.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::address::Address;
use crate::error::{Error, Result};
use crate::kernel::directory;
use crate::pattern::{check_name, Pattern};

/// Names that a runtime can have.
const LIMIT: usize = 1 << 20;

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// By its key.
    Kernel(u32),
    Actor(Address),
}

impl Named {
    /// Key of the kernel that it is or belongs to.
    pub(crate) fn kernel(self) -> u32 {
        match self {
            Self::Kernel(key) => key,
            Self::Actor(address) => address.kernel(),
        }
    }
}

/// The names of a runtime.
#[derive(Default)]
pub(crate) struct Registry(Mutex<BTreeMap<Box<str>, Named>>);

impl Registry {
    fn names(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Named>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives something a name. Doing so again changes nothing; two things cannot have the same.
    pub(crate) fn add(&self, name: &str, named: Named) -> Result<()> {
        check_name(name)?;
        let mut names = self.names();
        // Under the lock: a kernel that goes is first out of the directory, and then forgotten here.
        if directory::find(named.kernel()).is_none() {
            return Err(Error::Stale);
        }
        match names.get(name) {
            Some(other) if *other == named => Ok(()),
            Some(_) => Err(Error::Exists(format!("something else has the name {name:?}"))),
            None if names.len() >= LIMIT => Err(Error::Limit(format!("{LIMIT} names exist"))),
            None => {
                names.insert(name.into(), named);
                Ok(())
            }
        }
    }

    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.names().remove(name).map(drop).ok_or_else(|| Error::not_found("the name", format_args!("{name:?}")))
    }

    /// A kernel is gone, and its actors with it.
    pub(crate) fn forget(&self, kernel: u32) {
        self.names().retain(|_, named| named.kernel() != kernel);
    }

    pub(crate) fn get(&self, name: &str) -> Result<Named> {
        self.names().get(name).copied().ok_or_else(|| Error::not_found("the name", format_args!("{name:?}")))
    }

    /// Gives `visit` every name that the pattern matches, in the order of their bytes.
    pub(crate) fn find(&self, pattern: &Pattern<'_>, mut visit: impl FnMut(&str, Named)) {
        for (name, named) in self.names().iter().filter(|(name, _)| pattern.matches(name)) {
            visit(name, *named);
        }
    }
}
