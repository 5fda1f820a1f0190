//! Messages for the host program's log callback. Without one the library is silent.

use std::fmt::Arguments;

/// Severity; the numbers are `RK_LOG_...`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Level {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
}

/// Receives a level and a text.
pub(crate) type Sink = Box<dyn Fn(Level, &str) + Send + Sync>;

/// Where a runtime logs to.
#[derive(Default)]
pub(crate) struct Log(Option<(Level, Sink)>);

impl Log {
    pub(crate) fn new(level: Level, sink: Sink) -> Self {
        Self(Some((level, sink)))
    }

    pub(crate) fn write(&self, level: Level, text: Arguments<'_>) {
        if let Some((limit, sink)) = &self.0 {
            if level <= *limit {
                sink(level, &text.to_string());
            }
        }
    }
}
