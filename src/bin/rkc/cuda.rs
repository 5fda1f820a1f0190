//! CUDA source, for NVRTC to compile when the module is loaded, and what is compiled of it already.

use crate::args::Args;
use crate::emit::{include_lines, Data, Section};
use crate::scan::{Actor, Names};
use crate::Error;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What is to be compiled, named after the module; then the user's files that it includes.
pub fn sections(args: &Args, files: &[String]) -> Result<Vec<Section>, Error> {
    let root = format!("{}#include <ringkernel/actor.h>\n{}", definitions(args), include_lines(&args.sources));
    let names: HashMap<PathBuf, &str> =
        files.iter().filter_map(|file| Some((Path::new(file).canonicalize().ok()?, file.as_str()))).collect();

    let root = with_full_includes(args, "", &root, &names);
    let mut sections = vec![section(format!("{}.cu", args.module), root)];
    for file in files {
        let source = std::fs::read_to_string(file).map_err(|error| Error::Io(file.clone(), error))?;
        sections.push(section(file.clone(), with_full_includes(args, file, &source, &names)));
    }
    Ok(sections)
}

/// For which devices, and how many lanes, pumps are compiled ahead.
pub struct Wish {
    /// `sm_90`, or `compute_90` for PTX.
    target: String,
    lanes: u32,
}

impl Wish {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (target, lanes) = text.split_once(':').unwrap_or((text, "1"));
        let number = target.strip_prefix("sm_").or_else(|| target.strip_prefix("compute_"));
        let is_named = number.is_some_and(|number| number.parse::<u32>().is_ok());
        let lanes = lanes.parse().ok().filter(|lanes| (1..=1024).contains(lanes));
        match lanes {
            Some(lanes) if is_named => Ok(Self { target: target.into(), lanes }),
            _ => Err(Error::Usage(format!(
                "--cuda-code {text}: a device is named like sm_90, or compute_90 for PTX, and sm_90:32 is for 32 lanes"
            ))),
        }
    }
}

/// Machine code and PTX of all actors, as wished. `sections`: with CUDA source.
pub fn code(args: &Args, names: &Names, sections: &[Section]) -> Result<Vec<Section>, Error> {
    let source = source(sections);
    let section = |name: String, target: &str, bytes: Result<Vec<u8>, String>| {
        let mut bytes = bytes.map_err(|error| Error::Source(format!("{name}: {error}")))?;
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let kind = if target.starts_with("sm_") { "RK_SECTION_CUDA_CUBIN" } else { "RK_SECTION_CUDA_PTX" };
        Ok(Section { kind, name, data: Data::words(&bytes) })
    };
    let mut all = Vec::new();
    for (number, Wish { target, lanes }) in args.cuda_code.iter().enumerate() {
        if args.cuda_code[..number].iter().all(|other| other.target != *target) {
            all.push(section(
                format!("rk_selftest.{target}.32"),
                target,
                said(ringkernel::cuda_selftest_code(target)),
            )?);
        }
        for actor in &names.actors {
            let code = ringkernel::cuda_code(&source, &actor.name, &scratch(actor), *lanes, target);
            all.push(section(format!("{}.{target}.{lanes}", actor.name), target, said(code))?);
        }
    }
    Ok(all)
}

fn said(outcome: Result<Vec<u8>, impl std::fmt::Display>) -> Result<Vec<u8>, String> {
    outcome.map_err(|error| error.to_string())
}

/// Names and texts of the CUDA source.
pub fn source(sections: &[Section]) -> Vec<(String, String)> {
    let text = |section: &Section| match &section.data {
        Data::Text(text) => Some((section.name.clone(), text.clone())),
        Data::Words(_) => None,
    };
    sections.iter().filter_map(text).collect()
}

/// Bytes of an actor's scratch memory, as C says it.
pub fn scratch(actor: &Actor) -> String {
    if actor.has_scratch {
        format!("((rk_u32)sizeof({}_rk_scratch))", actor.name)
    } else {
        "0".into()
    }
}

/// What `-D` defines, which NVRTC is not told of.
fn definitions(args: &Args) -> String {
    args.definitions().map(|(name, value)| format!("#define {name} {value}\n")).collect()
}

fn section(name: String, text: String) -> Section {
    Section { kind: "RK_SECTION_CUDA_SOURCE", name, data: Data::Text(text) }
}

/// `source` with every include of one of the user's files under the name of its section: NVRTC finds a file that is
/// only in memory by the very characters between the quotes, whichever directory the including file is in.
fn with_full_includes(args: &Args, file: &str, source: &str, names: &HashMap<PathBuf, &str>) -> String {
    let own_dir = Path::new(file).parent().unwrap_or(Path::new(""));
    let user_dirs = args.flags.iter().filter_map(|flag| flag.strip_prefix("-I")).map(Path::new);
    let full = |line: &str| -> Option<String> {
        let (quote, name) = included(line)?;
        let own = (quote == '"').then_some(own_dir);
        let found = own.into_iter().chain(user_dirs.clone()).find_map(|dir| dir.join(name).canonicalize().ok())?;
        Some(format!("#include \"{}\"", names.get(&found)?))
    };
    source.split_inclusive('\n').map(|line| full(line).map_or(line.into(), |full| full + "\n")).collect()
}

/// `"` or `<`, and what follows it.
fn included(line: &str) -> Option<(char, &str)> {
    let directive = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?.trim_start();
    let name = directive.strip_prefix('"').map(|rest| ('"', rest.split_once('"')));
    let (quote, found) = name.or_else(|| directive.strip_prefix('<').map(|rest| ('<', rest.split_once('>'))))?;
    Some((quote, found?.0))
}
