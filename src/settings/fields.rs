//! The options that can be set from outside the program, and how their values are written.

use crate::error::{Error, Result};

/// Which struct of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Runtime,
    Kernel,
    Send,
}

/// A field of such a struct, under its own name.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    form: Form,
}

/// Words that stand for numbers.
type Words = &'static [(&'static str, u64)];

/// How a value is written.
#[derive(Clone, Copy)]
enum Form {
    /// A number of 32 bits, or a word.
    Number(Words),
    /// A number that is not negative, or a word.
    Long(Words),
    /// Numbers of 32 bits.
    Numbers,
    /// Bytes, as pairs of hexadecimal digits.
    Bytes,
    Text,
}

/// A value, of the form that its field has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(u64),
    Numbers(Vec<u32>),
    Bytes(Vec<u8>),
    Text(String),
}

const fn field(name: &'static str, form: Form) -> Field {
    Field { name, form }
}

const BACKEND: Form = Form::Number(&[("auto", 0), ("cpu", 1), ("cuda", 2), ("vulkan", 3)]);
const LOG_LEVEL: Form = Form::Number(&[("error", 1), ("warn", 2), ("info", 3), ("debug", 4)]);
const PRIORITY: Form = Form::Number(&[("low", 1), ("normal", 64), ("high", 128), ("critical", 192)]);
const INBOUND: Form = Form::Number(&[("auto", 0), ("host", 1), ("device", 2)]);
const ON_FAILURE: Form = Form::Number(&[
    ("fail", 0),
    ("restart", 1),
    ("escalate", 2),
    ("restart-then-escalate", 3),
    ("restart-from-snapshot", 5),
    ("restart-from-snapshot-then-escalate", 7),
]);
const PLAIN: Form = Form::Number(&[]);
/// `RK_NONE`
const OR_NONE: Form = Form::Number(&[("none", u32::MAX as u64)]);
/// `RK_FOREVER`
const OR_FOREVER: Form = Form::Long(&[("forever", u64::MAX)]);

const RUNTIME: &[Field] = &[
    field("backend", BACKEND),
    field("cpu_threads", PLAIN),
    field("spin_us", OR_NONE),
    field("quantum_us", PLAIN),
    field("log_level", LOG_LEVEL),
    field("cpus", Form::Numbers),
    field("clock_drift_ms", OR_NONE),
    field("cuda_multiprocessors", PLAIN),
];

const KERNEL: &[Field] = &[
    field("backend", BACKEND),
    field("device", PLAIN),
    field("actors", PLAIN),
    field("workers", PLAIN),
    field("lanes", PLAIN),
    field("quantum_us", PLAIN),
    field("inbound_capacity", PLAIN),
    field("actor_capacity", PLAIN),
    field("outbound_capacity", PLAIN),
    field("outbox_bytes", PLAIN),
    field("latency_every", PLAIN),
    field("inbound_memory", INBOUND),
    field("on_failure", ON_FAILURE),
    field("max_restarts", PLAIN),
    field("restart_window_ms", PLAIN),
    field("dormant", PLAIN),
    field("watchdog_ms", OR_NONE),
    field("initial_state", Form::Bytes),
    field("name", Form::Text),
];

const SEND: &[Field] = &[
    field("priority", PRIORITY),
    field("correlation", Form::Long(&[])),
    field("deadline_ns", Form::Long(&[])),
    field("timeout_ns", OR_FOREVER),
];

impl Section {
    pub(crate) const ALL: [Self; 3] = [Self::Runtime, Self::Kernel, Self::Send];

    pub(crate) fn fields(self) -> &'static [Field] {
        match self {
            Self::Runtime => RUNTIME,
            Self::Kernel => KERNEL,
            Self::Send => SEND,
        }
    }

    /// Of its table in a file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Kernel => "kernel",
            Self::Send => "send",
        }
    }
}

impl Field {
    /// The value that a number stands for.
    pub(super) fn number(&self, number: u64) -> Result<Value> {
        let limit = match self.form {
            Form::Number(_) => u64::from(u32::MAX),
            Form::Long(_) => i64::MAX as u64,
            _ => return Err(self.expected()),
        };
        if number > limit {
            return Err(Error::invalid(format!("{} is {number}, it can be at most {limit}", self.name)));
        }
        Ok(Value::Number(number))
    }

    /// The value that a word or a text stands for.
    pub(super) fn text(&self, text: &str) -> Result<Value> {
        match self.form {
            Form::Number(words) | Form::Long(words) => {
                let found = words.iter().find(|(word, _)| *word == text);
                found.map(|(_, number)| Value::Number(*number)).ok_or_else(|| self.expected())
            }
            Form::Bytes => bytes(text).map(Value::Bytes).ok_or_else(|| self.expected()),
            Form::Text => Ok(Value::Text(text.into())),
            Form::Numbers => Err(self.expected()),
        }
    }

    pub(super) fn numbers(&self, numbers: Vec<u32>) -> Result<Value> {
        match self.form {
            Form::Numbers => Ok(Value::Numbers(numbers)),
            _ => Err(self.expected()),
        }
    }

    /// The value as an environment variable has it, where everything is text.
    pub(crate) fn variable(&self, text: &str) -> Result<Value> {
        let text = if matches!(self.form, Form::Text) { text } else { text.trim() };
        match self.form {
            Form::Number(_) | Form::Long(_) if text.starts_with(|first: char| first.is_ascii_digit()) => {
                self.number(text.parse().map_err(|_| self.expected())?)
            }
            Form::Numbers => {
                let numbers: std::result::Result<_, _> = text.split(',').map(|number| number.trim().parse()).collect();
                self.numbers(numbers.map_err(|_| self.expected())?)
            }
            _ => self.text(text),
        }
    }

    pub(super) fn expected(&self) -> Error {
        let words = |words: Words| words.iter().map(|(word, _)| format!(" or {word:?}")).collect::<String>();
        let form = match self.form {
            Form::Number(all) | Form::Long(all) => format!("a number that is not negative{}", words(all)),
            Form::Numbers => "a list of numbers".into(),
            Form::Bytes => "a text of hexadecimal digits, two for a byte".into(),
            Form::Text => "a text".into(),
        };
        Error::invalid(format!("{} must be {form}", self.name))
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Of `known`, the name most like `name`; `what` is what they are names of.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let likeness = |other: &str| strsim::jaro_winkler(name, other);
    let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or("");
    Error::invalid(format!("there is no {what} {name}; the nearest is {nearest}"))
}
