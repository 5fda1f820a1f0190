//! The same handlers on the CPU, by Vulkan and by CUDA leave the same bytes.

use crate::compilers::{fixture, ptx};
use crate::tools::{command, cuda_home, families, folder, run, skip, INCLUDE, STRICT};
use std::path::Path;

#[test]
fn backends_leave_the_same_bytes() {
    let out = folder("run");
    let c = fixture(&out);
    let mut program = command(compile(&out, &c));
    if let Some(home) = cuda_home() {
        let path = out.join("kernels.ptx");
        std::fs::write(&path, ptx(&home, &out)).unwrap();
        program.env("RUN_PTX", path);
    }
    let said = run(&mut program);
    for backend in ["cpu", "vulkan", "cuda"] {
        let line = said.lines().find(|line| line.starts_with(backend)).unwrap_or_else(|| panic!("{said}"));
        if line != format!("{backend} ok") {
            skip(&line.replace(" skipped", ""));
        }
    }
    assert!(said.starts_with("cpu ok\n"), "{said}");
}

/// With every C compiler; by the last of them, the program.
fn compile(out: &Path, module: &Path) -> std::path::PathBuf {
    let program = out.join("run");
    for family in families() {
        let mut cc = command(family.c);
        cc.args(["-std=c11", "-D_POSIX_C_SOURCE=200809L"]).args(STRICT).args(["-I", INCLUDE, "-I.", "-Iinclude"]);
        cc.args(["run.c", "run_vulkan.c", "run_cuda.c"]).arg(module).arg("-o").arg(&program).args(["-lm", "-ldl"]);
        if Path::new("/usr/include/vulkan/vulkan.h").exists() {
            cc.args(["-DRUN_VULKAN", "-lvulkan"]);
        }
        run(&mut cc);
    }
    program
}
