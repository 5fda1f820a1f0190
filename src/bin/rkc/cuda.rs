//! CUDA source, for NVRTC to compile when the module is loaded.

use crate::args::Args;
use crate::emit::{include_lines, Data, Section};
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

/// What `-D` defines, which NVRTC is not told of.
fn definitions(args: &Args) -> String {
    let definition = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, "1"));
        format!("#define {name} {value}\n")
    };
    args.flags.iter().filter_map(|flag| flag.strip_prefix("-D")).map(definition).collect()
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
