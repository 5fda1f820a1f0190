//! Names of messages, actors and handlers, and what is wrong with them that no compiler says well.

use crate::args::Args;
use crate::cc::Compiler;
use crate::emit::include_lines;
use crate::Error;
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
    names(&marks(&cc.preprocess(&marking("CPU", &args.sources))?)?, args)
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

fn names(marks: &[Mark], args: &Args) -> Result<Names, Error> {
    let of = |kind: &'static str| marks.iter().filter(move |mark| mark.kind == kind);
    let has = |kind, name: &str| of(kind).any(|mark| mark.name == name);

    for (kind, what) in [
        ("message", "message NAME is declared twice"),
        ("state", "RK_STATE(NAME, ...) is given twice"),
        ("scratch", "RK_SCRATCH(NAME, ...) is given twice"),
        ("on", "RK_ON(NAME) is defined twice"),
        ("handles", "RK_HANDLES(NAME) is listed twice"),
        ("actor", "RK_ACTOR(NAME, ...) is given twice"),
    ] {
        let all: Vec<&Mark> = of(kind).collect();
        for (i, mark) in all.iter().enumerate() {
            if let Some(first) = all[..i].iter().find(|m| (&m.name, &m.other) == (&mark.name, &mark.other)) {
                let text = what.replace("NAME", &shown(mark));
                return fail(&mark.place, format!("{text}; first at {}", first.place));
            }
        }
    }
    for mark in of("on").chain(of("handles")) {
        if !has("message", &mark.other) {
            let verb = if mark.kind == "on" { "RK_ON" } else { "RK_HANDLES" };
            let text = format!("{verb}({}): there is no RK_MESSAGE or RK_SIGNAL {}", shown(mark), mark.other);
            return fail(&mark.place, text);
        }
        if !has("state", &mark.name) {
            return fail(&mark.place, format!("actor {0} has no RK_STATE({0}, ...)", mark.name));
        }
    }
    let listed = |kind, mark: &Mark| of(kind).any(|m| (&m.name, &m.other) == (&mark.name, &mark.other));
    for mark in of("handles").filter(|mark| !listed("on", mark)) {
        return fail(&mark.place, format!("RK_HANDLES({0}): there is no RK_ON({0})", shown(mark)));
    }
    for mark in of("on").filter(|mark| !listed("handles", mark)) {
        if !has("actor", &mark.name) {
            return fail(&mark.place, format!("actor {0} has no RK_ACTOR({0}, ...)", mark.name));
        }
        let text =
            format!("RK_ON({0}) is never called: RK_ACTOR({1}, ...) lacks RK_HANDLES({0})", shown(mark), mark.name);
        return fail(&mark.place, text);
    }
    for mark in of("actor") {
        if !has("handles", &mark.name) {
            return fail(&mark.place, format!("actor {0} handles nothing: it has no RK_HANDLES({0}, ...)", mark.name));
        }
    }
    if of("actor").next().is_none() {
        return Err(Error::Source(format!(
            "no RK_ACTOR in {}; does it #include <ringkernel/actor.h>?",
            args.sources.join(", ")
        )));
    }
    if let Some(mark) = of("message").find(|mark| mark.name == args.module) {
        let text = format!("message {0} has the name of the module; give another to --module", mark.name);
        return fail(&mark.place, text);
    }

    let message = |mark: &Mark| Message { name: mark.name.clone(), place: mark.place.clone() };
    let actor = |mark: &Mark| Actor { name: mark.name.clone(), has_scratch: has("scratch", &mark.name) };
    Ok(Names { messages: of("message").map(message).collect(), actors: of("actor").map(actor).collect() })
}

/// As between the parentheses of its macro.
fn shown(mark: &Mark) -> String {
    if mark.other == "-" {
        mark.name.clone()
    } else {
        format!("{}, {}", mark.name, mark.other)
    }
}

fn fail<T>(place: &Place, text: String) -> Result<T, Error> {
    Err(Error::At(place.clone(), text))
}
