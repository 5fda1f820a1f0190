//! Actors that work on buffers, through every compiler, with and without checks of their indices.

use crate::nvrtc;
use crate::tools::{command, cuda_home, families, folder, glslc, rkc, run, INCLUDE, STRICT};
use std::path::{Path, PathBuf};

const ACTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/buffers.rk.h");
const VARIANTS: [&[&str]; 2] = [&[], &["-DRK_DEBUG"]];

fn module(out: &Path, flags: &[&str]) -> PathBuf {
    let c = out.join("buffers.c");
    let mut command = rkc();
    command.args([ACTORS, "--module", "buffers", "-o"]).arg(&c).args(flags);
    if glslc().is_none() {
        command.arg("--no-vulkan");
    }
    run(&mut command);
    c
}

/// As a module, where glslc has its say too, and as a header of programs.
#[test]
fn c_cpp_and_glsl_compile_them() {
    for (number, flags) in VARIANTS.into_iter().enumerate() {
        let out = folder(&format!("buffers_{number}"));
        let c = module(&out, flags);
        for family in families() {
            let object = out.join("buffers.o");
            for standard in ["-std=c11", "-std=c17"] {
                let mut cc = command(family.c);
                run(cc
                    .arg(standard)
                    .args(flags)
                    .args(STRICT)
                    .args(["-O1", "-I", INCLUDE, "-c", "-o"])
                    .arg(&object)
                    .arg(&c));
            }
            for standard in ["-std=c++17", "-std=c++20"] {
                let mut cpp = command(family.cpp);
                cpp.args([standard, "-x", "c++"]).args(flags).args(STRICT).args(["-I", INCLUDE, "-c", "-o"]);
                run(cpp.arg(&object).arg(&c));
            }
            let header = out.join("program.c");
            std::fs::write(&header, format!("#include \"{ACTORS}\"\npixel p;\n")).unwrap();
            run(command(family.c).args(["-std=c99"]).args(STRICT).args(["-I", INCLUDE, "-fsyntax-only"]).arg(header));
        }
    }
}

#[test]
fn cuda_compiles_them() {
    let Some(home) = cuda_home() else { return };
    let actors = std::fs::read_to_string(ACTORS).unwrap();
    for (flags, checked) in VARIANTS.into_iter().zip([false, true]) {
        let debug = if flags.is_empty() { "" } else { "#define RK_DEBUG 1\n" };
        let source = format!(
            "{debug}#include <ringkernel/actor.h>\n{actors}\n\
             extern \"C\" __global__ void run(rk_context *at) {{ rk_lane_context cx(*at); clerk_rk_dispatch(&cx); *at = cx; }}\n"
        );
        let headers: Vec<_> = nvrtc::dialect().collect();
        let ptx = nvrtc::compile(&home, &source, &headers).unwrap_or_else(|log| panic!("{log}"));
        // RK_FAIL_OUT_OF_BOUNDS
        assert_eq!(ptx.contains("-2000000002"), checked);
    }
}

/// What `-D` defines reaches the source that NVRTC will compile.
#[test]
fn definitions_are_part_of_the_cuda_source() {
    let out = folder("buffers_definitions");
    let c = std::fs::read_to_string(module(&out, &["-DRK_DEBUG", "-D", "DEPTH=3u"])).unwrap();
    let bytes = |text: &str| text.bytes().map(|byte| format!("{byte},")).collect::<String>();
    let c: String = c.split_whitespace().collect();
    assert!(c.contains(&bytes("#define RK_DEBUG 1\n#define DEPTH 3u\n")));
}
