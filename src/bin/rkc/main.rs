//! The module builder: turns files of actors into one C file, or one file for `rk_module_load()`.
//!
//! It parses no C. The compilers that a module is for do: the host's preprocessor finds the names ([`scan`]) and the
//! files ([`depend`]), and the generated C file ([`emit`]) includes the user's files, so that the handlers are compiled
//! by the user's own compiler.

mod args;
mod cc;
mod cuda;
mod depend;
mod emit;
mod file;
mod report;
mod scan;
mod vulkan;

use args::{Action, Args};
use std::process::ExitCode;

/// Why rkc gives up, for the person at the terminal.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Source(String),
    /// As compilers write it, for editors to jump to.
    #[error("{0}: error: {1}")]
    At(scan::Place, String),
    /// The tool has said what is wrong on standard error.
    #[error("{0} failed ({1})")]
    Tool(String, std::process::ExitStatus),
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
}

fn main() -> ExitCode {
    let result = match args::parse() {
        Ok(Action::Print(text)) => {
            print!("{text}");
            Ok(())
        }
        Ok(Action::Build(args)) => build(&args),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ Error::At(..)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("rkc: {error}");
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn build(args: &Args) -> Result<(), Error> {
    let cc = cc::Compiler::find(args);
    let names = scan::scan(&cc, args)?;
    let files = depend::closure(&cc, args)?;
    cc.check(&emit::module(args, &names, &[], &args.sources))?;

    let mut sections = cuda::sections(args, &files.cuda)?;
    if !args.cuda_report.is_empty() {
        report::print(args, &names, &sections)?;
    }
    let code = cuda::code(args, &names, &sections)?;
    sections.extend(code);
    if args.vulkan {
        sections.extend(vulkan::sections(args, &names)?);
    }
    if let Some(output) = &args.output {
        let includes = emit::relative_to(output, &args.sources)?;
        write(output, emit::module(args, &names, &sections, &includes).as_bytes())?;
    }
    if let Some(output) = &args.file {
        write(output, &file::build(&cc, args, &names, &sections, output)?)?;
    }
    if let Some(depfile) = &args.depfile {
        write(depfile, depend::makefile(args, &files.all).as_bytes())?;
    }
    Ok(())
}

/// Writes the whole file or none of it: what is there after an interrupted build was finished.
fn write(path: &str, bytes: &[u8]) -> Result<(), Error> {
    let unfinished = format!("{path}.{}.tmp", std::process::id());
    std::fs::write(&unfinished, bytes)
        .and_then(|()| std::fs::rename(&unfinished, path))
        .map_err(|error| Error::Io(path.into(), error))
}
