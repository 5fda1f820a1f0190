//! One source through every compiler.

use crate::tools::{command, cuda_home, families, folder, glslc, rkc, run, run_failing, INCLUDE, STRICT};
use crate::{nvrtc, tools};
use std::path::{Path, PathBuf};

/// The module of all fixtures.
pub fn fixture(out: &Path) -> PathBuf {
    let c = out.join("fixture.c");
    let mut command = rkc();
    command.args(["./everything.rk.h", "sub/relay.rk.h", "-I", "./include", "--module", "fixture", "-o"]).arg(&c);
    if glslc().is_none() {
        command.arg("--no-vulkan");
    }
    run(&mut command);
    c
}

fn includes() -> [&'static str; 4] {
    ["-I", INCLUDE, "-I", "include"]
}

#[test]
fn the_module_compiles_without_a_warning() {
    let out = folder("module_compiles");
    let c = fixture(&out);
    for family in families() {
        for standard in ["c11", "c17", "gnu17"] {
            let standard = format!("-std={standard}");
            let mut cc = command(family.c);
            run(cc.arg(standard).args(STRICT).args(includes()).args(["-O1", "-c", "-o"]).arg(out.join("c.o")).arg(&c));
        }
        // Some programs compile all their C as C++.
        let mut cpp = command(family.cpp);
        cpp.args(["-std=c++17", "-x", "c++"]).args(STRICT).args(includes());
        run(cpp.args(["-c", "-o"]).arg(out.join("cpp.o")).arg(&c));
    }
}

#[test]
fn actor_files_are_headers_of_programs() {
    let out = folder("headers");
    let source = "#include \"everything.rk.h\"\n#include \"sub/relay.rk.h\"\n#include \"sub/../protocol.rk.h\"\n\
                  RK_DECLARE_MODULE(everything);\n\
                  extern const rk_module_image *module_of(all_types *message, struct everything *state);\n\
                  const rk_module_image *module_of(all_types *message, struct everything *state) {\n\
                  message->k = RK_TYPE(number) + RK_SIZE(number) + RK_SIZE(tick);\n\
                  state->total = 0;\n\
                  return &everything;\n}\n";
    let (c, cpp) = (out.join("program.c"), out.join("program.cpp"));
    std::fs::write(&c, source).unwrap();
    std::fs::write(&cpp, source).unwrap();
    for family in families() {
        for standard in ["c99", "c11", "c17"] {
            let standard = format!("-std={standard}");
            run(command(family.c).arg(standard).args(STRICT).args(includes()).args(["-I.", "-fsyntax-only"]).arg(&c));
        }
        for standard in ["c++14", "c++17", "c++20"] {
            let standard = format!("-std={standard}");
            run(command(family.cpp)
                .arg(standard)
                .args(STRICT)
                .args(includes())
                .args(["-I.", "-fsyntax-only"])
                .arg(&cpp));
        }
    }
}

/// The C file finds its sources from wherever it is compiled.
#[test]
fn the_c_file_is_independent_of_the_working_directory() {
    let out = folder("working_directory");
    let c = fixture(&out);
    let mut cc = command(families()[0].c);
    cc.current_dir("/").args(["-std=c11", "-I", INCLUDE, "-I"]).arg(Path::new(tools::DIALECT).join("include"));
    run(cc.arg("-fsyntax-only").arg(c));
}

#[test]
fn nvcc_compiles_the_actors() {
    let Some(home) = cuda_home() else { return };
    let out = folder("nvcc");
    let source = out.join("actors.cu");
    let text = "#include \"everything.rk.h\"\n#include \"sub/relay.rk.h\"\n#include \"kernels.cu\"\n";
    std::fs::write(&source, text).unwrap();
    for arch in ["sm_75", "sm_90"] {
        let arch = format!("-arch={arch}");
        let mut nvcc = command(home.join("bin/nvcc"));
        nvcc.args([&arch, "-std=c++17", "-Werror", "all-warnings", "-Xcompiler", "-Wall,-Wextra", "-cubin", "-I."]);
        run(nvcc.args(includes()).arg("-o").arg(out.join("actors.cubin")).arg(&source));
    }
}

#[test]
fn nvrtc_compiles_the_sections() {
    let Some(home) = cuda_home() else { return };
    let ptx = ptx(&home, &folder("nvrtc"));
    for actor in ["everything", "mathematician", "relay"] {
        assert!(ptx.contains(&format!(".entry run_{actor}(")), "{actor}");
    }
}

#[test]
fn actors_are_compiled_ahead() {
    if cuda_home().is_none() {
        return;
    }
    let c = folder("ahead").join("ahead.c");
    let mut rkc = rkc();
    rkc.args(["everything.rk.h", "-I", "include", "--module", "m", "--no-vulkan", "--cuda-code", "sm_80"]);
    run(rkc.args(["--cuda-code", "compute_75:32", "--cuda-code", "sm_80:64", "-o"]).arg(&c));
    let text = std::fs::read_to_string(c).unwrap();
    let sections: Vec<_> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("{RK_SECTION_CUDA_")?.split('"').nth(1))
        .filter(|name| name.contains("mathematician") || name.contains("selftest"))
        .collect();
    let expected = [
        "rk_selftest.sm_80.32",
        "mathematician.sm_80.1",
        "rk_selftest.compute_75.32",
        "mathematician.compute_75.32",
        "mathematician.sm_80.64",
    ];
    assert_eq!(sections, expected);
    // "\x7fELF", and the comment that PTX begins with, as words.
    let begin = |word: &str| text.matches(&format!("= {{\n    {word},")).count();
    assert_eq!((begin("0x464c457f"), begin("0x2f0a2f2f")), (1 + 2 * 2, 1 + 2));
    let (_, said) = run_failing(crate::tools::rkc().args(["everything.rk.h", "-I", "include", "-m", "m"]).args([
        "--no-vulkan",
        "--cuda-code",
        "sm_1",
        "-o",
        "/dev/null",
    ]));
    assert!(said.contains("sm_1"), "{said}");
}

#[test]
fn the_report_says_what_an_actor_takes() {
    if cuda_home().is_none() {
        return;
    }
    let report = |wish: &str| {
        let mut rkc = rkc();
        rkc.args(["everything.rk.h", "-I", "include", "--module", "m", "--no-vulkan", "--lanes", "32"]);
        rkc.args(["--cuda-report", wish]);
        rkc
    };
    let said = run(&mut report("sm_80:mathematician"));
    let lines: Vec<Vec<_>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines.len(), &lines[1][..3]), (2, &["m", "mathematician", "sm_80"][..]), "{said}");
    assert!(lines[1][3..].len() == 5 && lines[1][3].parse::<u32>().unwrap() >= 16, "{said}");
    let (_, said) = run_failing(&mut report("sm_80:nobody"));
    assert!(said.contains("no actor nobody"), "{said}");
    let (_, said) = run_failing(&mut report("sm_1"));
    assert!(said.contains("everything for sm_1: ") && said.contains("does not compile"), "{said}");
}

/// PTX of kernels.cu, from nothing but the sections of the module and the dialect, as the library will make it.
pub fn ptx(home: &Path, out: &Path) -> String {
    let sections = sections(out);
    let source: Vec<_> = sections.iter().filter(|section| section.kind == 1).collect();
    let (root, files) = source.split_first().expect("there is CUDA source");
    assert_eq!(root.name, "fixture.cu");
    let files = files.iter().map(|file| (file.name.clone(), read(&file.path)));
    let headers: Vec<_> = files.chain(nvrtc::dialect()).collect();
    let program = read(&root.path) + &read(&Path::new(tools::DIALECT).join("kernels.cu"));
    nvrtc::compile(home, &program, &headers).unwrap_or_else(|log| panic!("{log}"))
}

#[test]
fn spirv_is_valid() {
    if glslc().is_none() {
        return;
    }
    let out = folder("spirv");
    let sections = sections(&out);
    let images: Vec<_> = sections.iter().filter(|section| section.kind == 4).collect();
    let names: Vec<_> = images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["everything", "mathematician", "relay"]);
    for image in images {
        run(command("spirv-val").args(["--target-env", "vulkan1.2", "--scalar-block-layout"]).arg(&image.path));
    }
}

/// The committed SPIR-V of the library's own shader is what its source gives; UPDATE=1 renews it. Versions of glslc differ,
/// so only that it does the same thing is asked for: the same instructions in the same order.
#[test]
fn the_probe_is_up_to_date() {
    if glslc().is_none() {
        return;
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backend/vulkan");
    let committed = directory.join("probe.spv");
    let fresh = folder("probe").join("probe.spv");
    let mut glslc = command("glslc");
    glslc.args(["--target-env=vulkan1.2", "-O", "-fshader-stage=compute", "-o"]);
    run(glslc.arg(&fresh).arg(directory.join("probe.comp")));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::copy(&fresh, &committed).unwrap();
    }
    run(command("spirv-val").args(["--target-env", "vulkan1.2", "--scalar-block-layout"]).arg(&committed));
    let instructions = |image: &Path| {
        let text = run(command("spirv-dis").arg("--no-header").arg(image));
        let opcode = |line: &str| line.split_whitespace().find(|word| word.starts_with("Op")).map(str::to_string);
        text.lines().filter_map(opcode).collect::<Vec<_>>()
    };
    assert_eq!(instructions(&committed), instructions(&fresh), "run this test with UPDATE=1");
}

struct Section {
    kind: u32,
    name: String,
    path: PathBuf,
}

/// The sections of the fixture's image, as a C program that is linked with it sees them.
fn sections(out: &Path) -> Vec<Section> {
    let c = fixture(out);
    let program = out.join("sections");
    let mut cc = command(families()[0].c);
    run(cc.args(["-std=c11", "sections.c"]).arg(c).args(includes()).arg("-o").arg(&program).arg("-lm"));
    let list = run(command(&program).arg(out));
    let section = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (index, kind, name) = (words.next()?, words.next()?, words.next()?);
        Some(Section { kind: kind.parse().ok()?, name: name.into(), path: out.join(index) })
    };
    list.lines().map(|line| section(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
