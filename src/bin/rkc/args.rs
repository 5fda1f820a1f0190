//! The command line.

use crate::cuda;
use crate::report;
use crate::Error;
use std::path::{Path, PathBuf};

const HELP: &str = "\
rkc: builds a module of GPU actors out of files written in the dialect of ringkernel/actor.h

Usage:
    rkc FILE.rk.h... --module NAME -o MODULE.c [options]     a C file, compiled and linked with your program
    rkc FILE.rk.h... --module NAME --file MODULE.rkm         one file for rk_module_load()

Options:
    -m, --module NAME     name of the module: a C identifier, and the name of its rk_module_image
    -o, --output FILE     write the C file
        --file FILE       write the loadable file
    -I DIR                look here for files that yours include; may be repeated
    -D NAME[=VALUE]       define a macro; may be repeated; programs that include the
                          sources must define it too
        --include-dir DIR where ringkernel/actor.h is; else RINGKERNEL_INCLUDE, else beside this program
        --no-vulkan       leave out the Vulkan images, which need glslc
        --depfile FILE    write the files that the module depends on as a Makefile rule
        --cuda-code DEVICE[:LANES]
                          compile the actors for devices such as sm_90 now, or to PTX with compute_90, for workers of
                          so many lanes (default 1), so that no NVRTC is needed where the module is used; may be
                          repeated. Needs NVRTC now
        --cuda-report DEVICE[:ACTOR]
                          print what the actors' programs take of devices such as sm_90: registers, and bytes spilled;
                          or one actor's; may be repeated. Needs NVRTC and ptxas, see RINGKERNEL_CUDA_HOME
        --lanes N         lanes of a worker in that report; default 1
    -h, --help
    -V, --version

Environment:
    CC                    the C compiler; default cc
    GLSLC                 the compiler of Vulkan images; default glslc, and none are made where there is none
    RINGKERNEL_INCLUDE    as --include-dir
    RINGKERNEL_CUDA_HOME  where CUDA's compilers are, if not where systems look for them

Exit status: 0 done; 1 the sources are wrong or could not be compiled; 2 the command line is wrong.
";

/// What the command line asks for.
pub enum Action {
    Print(String),
    Build(Args),
}

/// A checked command line.
pub struct Args {
    pub sources: Vec<String>,
    pub module: String,
    pub output: Option<String>,
    pub file: Option<String>,
    /// `-I` and `-D`, as the C compiler and glslc both take them.
    pub flags: Vec<String>,
    pub include_dir: PathBuf,
    pub vulkan: bool,
    pub depfile: Option<String>,
    pub cuda_code: Vec<cuda::Wish>,
    pub cuda_report: Vec<report::Wish>,
    /// Of the report.
    pub lanes: u32,
}

impl Args {
    /// What `-D` defines: names and values.
    pub fn definitions(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.flags.iter().filter_map(|flag| flag.strip_prefix("-D"));
        all.map(|text| text.split_once('=').unwrap_or((text, "1")))
    }
}

pub fn parse() -> Result<Action, Error> {
    use lexopt::prelude::*;
    let usage = |error: lexopt::Error| Error::Usage(error.to_string());

    let (mut sources, mut flags) = (Vec::new(), Vec::new());
    let (mut module, mut output, mut file, mut include_dir, mut depfile) = (None, None, None, None, None);
    let (mut vulkan, mut cuda_code, mut cuda_report, mut lanes) = (true, Vec::new(), Vec::new(), 1);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(usage)? {
        let (name, slot) = match argument {
            Value(source) => {
                sources.push(path(source.string().map_err(usage)?)?);
                continue;
            }
            Short('h') | Long("help") => return Ok(Action::Print(HELP.into())),
            Short('V') | Long("version") => {
                return Ok(Action::Print(format!("rkc {}\n", env!("CARGO_PKG_VERSION"))));
            }
            Long("no-vulkan") => {
                vulkan = false;
                continue;
            }
            Long("cuda-code") => {
                cuda_code.push(cuda::Wish::parse(&parser.value().and_then(|v| v.string()).map_err(usage)?)?);
                continue;
            }
            Long("cuda-report") => {
                cuda_report.push(report::Wish::parse(&parser.value().and_then(|v| v.string()).map_err(usage)?)?);
                continue;
            }
            Long("lanes") => {
                lanes = parser.value().and_then(|value| value.parse()).map_err(usage)?;
                if !(1..=1024).contains(&lanes) {
                    return Err(Error::Usage(format!("--lanes {lanes}: it has to be from 1 to 1024")));
                }
                continue;
            }
            Short(letter @ ('I' | 'D')) => {
                flags.push(format!("-{letter}{}", parser.value().and_then(|v| v.string()).map_err(usage)?));
                continue;
            }
            Short('m') | Long("module") => ("--module", &mut module),
            Short('o') | Long("output") => ("--output", &mut output),
            Long("file") => ("--file", &mut file),
            Long("include-dir") => ("--include-dir", &mut include_dir),
            Long("depfile") => ("--depfile", &mut depfile),
            other => return Err(usage(other.unexpected())),
        };
        let value = path(parser.value().and_then(|value| value.string()).map_err(usage)?)?;
        if slot.replace(value).is_some() {
            return Err(Error::Usage(format!("{name} is given twice")));
        }
    }

    if sources.is_empty() {
        return Err(Error::Usage("no file of actors is given; see rkc --help".into()));
    }
    let module = module.ok_or_else(|| Error::Usage("--module NAME is missing".into()))?;
    if !is_identifier(&module) {
        return Err(Error::Usage(format!("--module {module}: a module's name must be a C identifier")));
    }
    if output.is_none() && file.is_none() && cuda_report.is_empty() {
        return Err(Error::Usage("nothing to write: give -o MODULE.c, --file MODULE.rkm, or both".into()));
    }
    let include_dir = find_include_dir(include_dir)?;
    let args =
        Args { sources, module, output, file, flags, include_dir, vulkan, depfile, cuda_code, cuda_report, lanes };
    Ok(Action::Build(args))
}

/// A path has to fit between the quotes of an #include.
pub fn path(path: String) -> Result<String, Error> {
    if path.is_empty() || path.contains(['"', '\\', '\n']) {
        return Err(Error::Usage(format!("{path:?}: a path may not be empty or hold quotes, backslashes or newlines")));
    }
    Ok(path)
}

fn is_identifier(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// `given`, the environment's, or beside this program: PREFIX/bin/rkc and PREFIX/include; else in the source tree.
fn find_include_dir(given: Option<String>) -> Result<PathBuf, Error> {
    let has_dialect = |dir: &Path| dir.join("ringkernel/actor.h").is_file();
    if let Some(dir) = given.map(PathBuf::from).or_else(|| std::env::var_os("RINGKERNEL_INCLUDE").map(PathBuf::from)) {
        return if has_dialect(&dir) {
            Ok(dir)
        } else {
            Err(Error::Usage(format!("{}: has no ringkernel/actor.h", dir.display())))
        };
    }
    let installed = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join("include")));
    let in_tree = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/include"));
    installed.into_iter().chain([in_tree]).find(|dir| has_dialect(dir)).ok_or_else(|| {
        Error::Usage("ringkernel/actor.h is not beside this program; give --include-dir or RINGKERNEL_INCLUDE".into())
    })
}
