//! The host's C compiler.

use crate::args::Args;
use crate::Error;
use std::io::Write;
use std::process::{Command, Stdio};

/// `CC`, with the flags that every call has.
pub struct Compiler {
    /// Program and first arguments: `CC` may be "ccache gcc".
    command: Vec<String>,
    flags: Vec<String>,
}

impl Compiler {
    pub fn find(args: &Args) -> Self {
        let cc = std::env::var("CC").unwrap_or_default();
        let mut command: Vec<String> = cc.split_whitespace().map(String::from).collect();
        if command.is_empty() {
            command.push("cc".into());
        }
        Self { command, flags: flags(args) }
    }

    /// Preprocesses `source`.
    pub fn preprocess(&self, source: &str) -> Result<String, Error> {
        let output = self.run(&["-E", "-P"], source)?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// The files that `source` includes, as a Makefile rule.
    pub fn dependencies(&self, source: &str) -> Result<String, Error> {
        let output = self.run(&["-MM", "-MG"], source)?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// Compiles `source` and throws the result away: the C compiler's errors are the most readable there are.
    pub fn check(&self, source: &str) -> Result<(), Error> {
        self.run(&["-fsyntax-only"], source).map(drop)
    }

    /// Compiles `source` to a shared object that exports what it says is visible, and needs nothing but the C library.
    pub fn link(&self, source: &str, object: &str) -> Result<(), Error> {
        let mut command =
            self.command(&["-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-z,defs", "-o", object]);
        command.arg("-lm");
        run(command, source).map(drop)
    }

    fn run(&self, arguments: &[&str], source: &str) -> Result<Vec<u8>, Error> {
        run(self.command(arguments), source)
    }

    /// The compiler reading C from standard input, from where includes are relative to the working directory.
    fn command(&self, arguments: &[&str]) -> Command {
        let (program, first) = self.command.split_first().expect("find() leaves no empty command");
        let mut command = Command::new(program);
        command.args(first).args(arguments).args(&self.flags).args(["-x", "c", "-"]);
        command
    }
}

/// The flags for C and GLSL alike: where the dialect is, and the user's own.
pub fn flags(args: &Args) -> Vec<String> {
    let mut flags = args.flags.clone();
    flags.push(format!("-I{}", args.include_dir.display()));
    flags
}

/// Runs a tool on `source` and gives what it wrote to standard output. What it has to complain about goes to ours.
pub fn run(mut command: Command, source: &str) -> Result<Vec<u8>, Error> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| Error::Io(name.clone(), error))?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    let output = std::thread::scope(|scope| {
        // A tool that fails early does not read to the end; its status tells.
        scope.spawn(move || stdin.write_all(source.as_bytes()));
        child.wait_with_output()
    })
    .map_err(|error| Error::Io(name.clone(), error))?;
    if !output.status.success() {
        return Err(Error::Tool(name, output.status));
    }
    Ok(output.stdout)
}
