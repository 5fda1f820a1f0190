//! Which files a module is made of.

use crate::args::{path, Args};
use crate::cc::Compiler;
use crate::emit::include_lines;
use crate::scan::marking;
use crate::Error;
use std::path::Path;

/// The include closure.
pub struct Files {
    /// All that a change of must rebuild the module, the dialect's own headers too.
    pub all: Vec<String>,
    /// The user's files that the CUDA backend compiles.
    pub cuda: Vec<String>,
}

pub fn closure(cc: &Compiler, args: &Args) -> Result<Files, Error> {
    let files = |source: &str| -> Result<Vec<String>, Error> {
        let mut files = prerequisites(&cc.dependencies(source)?);
        // What is not there is a system's header that only the other compiler has.
        files.retain(|file| Path::new(file).is_file());
        Ok(files)
    };
    let real = |path: &Path| path.canonicalize().map_err(|error| Error::Io(path.display().to_string(), error));
    let dialect = real(&args.include_dir.join("ringkernel"))?;
    let is_users = |file: &String| real(Path::new(file)).is_ok_and(|file| !file.starts_with(&dialect));
    let cuda = files(&marking("CUDA", &args.sources))?;
    let mut all = files(&include_lines(&args.sources))?;
    all.extend(files(&marking("VULKAN", &args.sources))?);
    all.extend_from_slice(&cuda);
    if args.vulkan {
        all.extend(pump_of_vulkan(args)?);
    }
    all.sort();
    all.dedup();
    all.iter().try_for_each(|file| path(file.clone()).map(drop))?;
    Ok(Files { all, cuda: cuda.into_iter().filter(is_users).collect() })
}

/// The library's files that are compiled into the Vulkan images. Those of the CUDA pump are in the library itself.
fn pump_of_vulkan(args: &Args) -> Result<Vec<String>, Error> {
    let mut files = Vec::new();
    for folder in ["ringkernel/vulkan", "ringkernel/device"].map(|folder| args.include_dir.join(folder)) {
        let io = |error| Error::Io(folder.display().to_string(), error);
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            files.push(entry.map_err(io)?.path().display().to_string());
        }
    }
    Ok(files)
}

/// The right side of a Makefile rule as compilers write it.
fn prerequisites(rule: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut file = String::new();
    let mut chars = rule.split_once(": ").map_or("", |(_, right)| right).chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('\n')) => {}
            ('\\', Some(' ' | '#')) | ('$', Some('$')) => file.extend(chars.next()),
            (' ' | '\n', _) => files.push(std::mem::take(&mut file)),
            _ => file.push(c),
        }
    }
    files.push(file);
    files.retain(|file| !file.is_empty());
    files.iter_mut().for_each(|file| *file = file.strip_prefix("./").unwrap_or(file).to_string());
    files
}

/// The rule that says on what the outputs depend.
pub fn makefile(args: &Args, files: &[String]) -> String {
    let list = |paths: Vec<&String>| paths.into_iter().map(|path| escape(path)).collect::<Vec<_>>();
    let outputs = list(args.output.iter().chain(&args.file).collect());
    format!("{}: {}\n", outputs.join(" "), list(files.iter().collect()).join(" \\\n "))
}

fn escape(path: &str) -> String {
    path.replace('$', "$$").replace('#', "\\#").replace(' ', "\\ ")
}
