//! Names of messages, actors and handlers, and what is wrong with them that no compiler says well.

use crate::args::Args;
use crate::cc::Compiler;
use crate::emit::include_lines;
use crate::Error;
use std::collections::HashMap;
use std::fmt;

/// Where a macro was used.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub file: String,
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// RK_MESSAGE or RK_SIGNAL.
#[derive(Debug)]
pub struct Message {
    pub name: String,
    pub place: Place,
}

/// RK_ACTOR.
#[derive(Debug)]
pub struct Actor {
    pub name: String,
    pub has_scratch: bool,
}

/// All that the module's tables are made of.
#[derive(Debug)]
pub struct Names {
    pub messages: Vec<Message>,
    pub actors: Vec<Actor>,
}

pub fn scan(cc: &Compiler, args: &Args) -> Result<Names, Error> {
    names(&Marks(&marks(&cc.preprocess(&marking("CPU", &args.sources))?)?), args)
}

/// The sources as one backend's compiler would see them, with marks in place of the dialect.
pub fn marking(backend: &str, sources: &[String]) -> String {
    let is = |name| format!("#define RK_IS_{name} {}\n", u8::from(name == backend));
    let backends: String = ["CPU", "CUDA", "VULKAN"].map(is).concat();
    format!("{backends}{}{}", include_str!("dialect_scan.h"), include_lines(sources))
}

/// One use of a macro, see dialect_scan.h.
#[derive(Debug, PartialEq)]
struct Mark {
    kind: String,
    name: String,
    other: String,
    place: Place,
}

fn marks(text: &str) -> Result<Vec<Mark>, Error> {
    text.split("@rk ").skip(1).map(|rest| mark(rest).ok_or_else(|| unreadable(rest))).collect()
}

fn unreadable(rest: &str) -> Error {
    let start: String = rest.chars().take(60).collect();
    Error::Source(format!("cannot make out a use of the dialect near `{start}`: is a name missing, or a macro?"))
}

/// `KIND NAME OTHER LINE "FILE"`.
fn mark(text: &str) -> Option<Mark> {
    let (words, rest) = text.split_once('"')?;
    let file = rest.split_once('"')?.0;
    let words: Vec<&str> = words.split_whitespace().collect();
    let [kind, name, other, line] = words[..] else { return None };
    let file = file.strip_prefix("./").unwrap_or(file); // clang's, for what standard input includes
    let place = Place { file: file.into(), line: line.parse().ok()? };
    Some(Mark { kind: kind.into(), name: name.into(), other: other.into(), place })
}

/// The uses of each macro.
struct Marks<'a>(&'a [Mark]);

impl Marks<'_> {
    fn of(&self, kind: &'static str) -> impl Iterator<Item = &Mark> {
        self.0.iter().filter(move |mark| mark.kind == kind)
    }

    fn has(&self, kind: &'static str, name: &str) -> bool {
        self.of(kind).any(|mark| mark.name == name)
    }

    /// The one of `kind` for the same actor and message.
    fn has_same(&self, kind: &'static str, mark: &Mark) -> bool {
        self.of(kind).any(|other| (&other.name, &other.other) == (&mark.name, &mark.other))
    }
}

fn names(marks: &Marks, args: &Args) -> Result<Names, Error> {
    nothing_twice(marks)?;
    handlers_fit(marks)?;
    if marks.of("actor").next().is_none() {
        let sources = args.sources.join(", ");
        return Err(Error::Source(format!("no RK_ACTOR in {sources}; does it #include <ringkernel/actor.h>?")));
    }
    if let Some(mark) = marks.of("message").find(|mark| mark.name == args.module) {
        return fail(mark, format!("message {0} has the name of the module; give another to --module", mark.name));
    }
    let message = |mark: &Mark| Message { name: mark.name.clone(), place: mark.place.clone() };
    let actor = |mark: &Mark| Actor { name: mark.name.clone(), has_scratch: marks.has("scratch", &mark.name) };
    Ok(Names { messages: marks.of("message").map(message).collect(), actors: marks.of("actor").map(actor).collect() })
}

fn nothing_twice(marks: &Marks) -> Result<(), Error> {
    for (kind, what) in [
        ("message", "message NAME is declared twice"),
        ("state", "RK_STATE(NAME, ...) is given twice"),
        ("scratch", "RK_SCRATCH(NAME, ...) is given twice"),
        ("on", "RK_ON(NAME) is defined twice"),
        ("handles", "RK_HANDLES(NAME) is listed twice"),
        ("actor", "RK_ACTOR(NAME, ...) is given twice"),
    ] {
        let mut seen = HashMap::new();
        for mark in marks.of(kind) {
            if let Some(first) = seen.insert((&mark.name, &mark.other), &mark.place) {
                return fail(mark, format!("{}; first at {first}", what.replace("NAME", &shown(mark))));
            }
        }
    }
    Ok(())
}

/// Each handler has its message, its actor's state, and its place in the actor's list.
fn handlers_fit(marks: &Marks) -> Result<(), Error> {
    for mark in marks.of("on").chain(marks.of("handles")) {
        let (actor, message) = (&mark.name, &mark.other);
        let verb = if mark.kind == "on" { "RK_ON" } else { "RK_HANDLES" };
        if !marks.has("message", message) {
            return fail(mark, format!("{verb}({}): there is no RK_MESSAGE or RK_SIGNAL {message}", shown(mark)));
        }
        if !marks.has("state", actor) {
            return fail(mark, format!("actor {actor} has no RK_STATE({actor}, ...)"));
        }
        if !marks.has("actor", actor) {
            return fail(mark, format!("actor {actor} has no RK_ACTOR({actor}, ...)"));
        }
        if !marks.has_same("on", mark) {
            return fail(mark, format!("RK_HANDLES({0}): there is no RK_ON({0})", shown(mark)));
        }
        if !marks.has_same("handles", mark) {
            let pair = shown(mark);
            return fail(
                mark,
                format!("RK_ON({pair}) is never called: RK_ACTOR({actor}, ...) lacks RK_HANDLES({pair})"),
            );
        }
    }
    match marks.of("actor").find(|mark| !marks.has("handles", &mark.name)) {
        Some(mark) => fail(mark, format!("actor {0} handles nothing: it has no RK_HANDLES({0}, ...)", mark.name)),
        None => Ok(()),
    }
}

/// As between the parentheses of its macro.
fn shown(mark: &Mark) -> String {
    if mark.other == "-" {
        mark.name.clone()
    } else {
        format!("{}, {}", mark.name, mark.other)
    }
}

fn fail<T>(mark: &Mark, text: String) -> Result<T, Error> {
    Err(Error::At(mark.place.clone(), text))
}
