//! The same handlers on the CPU, by Vulkan and by CUDA leave the same bytes.

use crate::compilers::{fixture, ptx};
use crate::tools::{command, cuda_home, families, folder, glslc, run, skip, INCLUDE, STRICT};
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
    if glslc().is_some() {
        for actor in ["everything", "mathematician", "relay"] {
            bare_spirv(&out, actor);
        }
        program.env("RUN_SPIRV", &out);
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

/// The handlers of an actor as one dispatch each, without the pump.
fn bare_spirv(out: &Path, actor: &str) {
    let source = out.join(format!("{actor}.comp"));
    let text = format!(
        "#version 460\n#extension GL_GOOGLE_include_directive : require\n#define RK_GLSL 1\n\
         #include <ringkernel/actor.h>\n#include \"everything.rk.h\"\n#include \"sub/relay.rk.h\"\n\
         #define RK_DISPATCH {actor}_rk_dispatch\n#include \"bare.comp\"\n"
    );
    std::fs::write(&source, text).unwrap();
    let mut glslc = command("glslc");
    glslc.args(["--target-env=vulkan1.2", "-O", "-fshader-stage=compute", "-I", INCLUDE, "-I.", "-Iinclude", "-o"]);
    run(glslc.arg(out.join(format!("{actor}.spv"))).arg(&source));
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
