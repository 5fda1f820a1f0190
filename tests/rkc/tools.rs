//! Programs that the tests run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const INCLUDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
/// The fixtures, and the working directory of every program.
pub const DIALECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialect");
/// All warnings, and none allowed.
pub const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// A C compiler and its C++ sibling.
pub struct Family {
    pub c: &'static str,
    pub cpp: &'static str,
}

/// gcc and clang, as far as they are installed.
pub fn families() -> Vec<Family> {
    let clang = [("clang", "clang++"), ("clang-19", "clang++-19")].into_iter().find(|(c, _)| exists(c));
    let mut families = Vec::new();
    for (what, names) in [("gcc", Some(("gcc", "g++"))), ("clang", clang)] {
        match names.filter(|(c, cpp)| exists(c) && exists(cpp)) {
            Some((c, cpp)) => families.push(Family { c, cpp }),
            None => skip(&format!("{what} is not installed")),
        }
    }
    assert!(!families.is_empty(), "a C compiler is needed");
    families
}

/// `Some(())` where the tools of Vulkan are.
pub fn glslc() -> Option<()> {
    let found = ["glslc", "spirv-val", "spirv-dis"].into_iter().all(exists);
    if !found {
        skip("glslc, spirv-val or spirv-dis is not installed");
    }
    found.then_some(())
}

/// Where CUDA's compilers are.
pub fn cuda_home() -> Option<PathBuf> {
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        let nvcc = std::env::split_paths(&path).map(|dir| dir.join("nvcc")).find(|nvcc| nvcc.is_file())?;
        Some(nvcc.canonicalize().ok()?.parent()?.parent()?.to_path_buf())
    };
    let home = std::env::var_os("RINGKERNEL_CUDA_HOME").map(PathBuf::from).or_else(on_path);
    if home.is_none() {
        skip("no CUDA compilers: RINGKERNEL_CUDA_HOME is not set and nvcc not on PATH");
    }
    home
}

fn exists(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Says why something is not tested here, past the capture of the test harness.
pub fn skip(reason: &str) {
    writeln!(std::io::stderr(), "skipped: {reason}").expect("standard error is open");
}

/// An empty folder of the test's own.
pub fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rkc").join(test);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(DIALECT);
    command
}

pub fn rkc() -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_rkc"));
    for name in ["CC", "GLSLC", "RINGKERNEL_INCLUDE"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command that must succeed, and gives its standard output.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Runs a command that must fail, and gives its status and all it said.
pub fn run_failing(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(!status.success(), "{command:?} succeeded");
    (status.code().expect("no signal"), text(&stdout) + &text(&stderr))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
