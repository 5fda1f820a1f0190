//! The command line of rkc.

use crate::tools::{command, folder, rkc, run, run_failing, INCLUDE};

#[test]
fn help_and_version_are_printed() {
    let help = run(rkc().arg("--help"));
    for option in [
        "--module",
        "--file",
        "--depfile",
        "--include-dir",
        "--no-vulkan",
        "--cuda-code",
        "--cuda-report",
        "RINGKERNEL_INCLUDE",
    ] {
        assert!(help.contains(option), "{option}");
    }
    assert_eq!(run(rkc().arg("--version")), format!("rkc {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_command_lines_are_named() {
    let cases: [(&[&str], &str); 16] = [
        (&[], "no file of actors"),
        (&["everything.rk.h"], "--module NAME is missing"),
        (&["everything.rk.h", "--module", "m"], "nothing to write"),
        (&["everything.rk.h", "--module", "7up", "-o", "x.c"], "7up: a module's name must be a C identifier"),
        (&["everything.rk.h", "--module", "a-b", "-o", "x.c"], "a-b: a module's name must be a C identifier"),
        (&["everything.rk.h", "--module", "", "-o", "x.c"], "may not be empty"),
        (&["everything.rk.h", "-m", "m", "--module", "n", "-o", "x.c"], "--module is given twice"),
        (&["everything.rk.h", "-m", "m", "-o"], "missing argument"),
        (&["everything.rk.h", "--modul", "m"], "--modul"),
        (&["every\"thing.rk.h", "-m", "m", "-o", "x.c"], "may not be empty or hold quotes"),
        (
            &["everything.rk.h", "-m", "m", "-o", "x.c", "--include-dir", "/nowhere"],
            "/nowhere: has no ringkernel/actor.h",
        ),
        (&["everything.rk.h", "-m", "m", "-o", "x.c", "--no-vulkan=1"], "no-vulkan"),
        (&["everything.rk.h", "-m", "m", "-o", "x.c", "--cuda-code", "90"], "named like sm_90"),
        (&["everything.rk.h", "-m", "m", "-o", "x.c", "--cuda-code", "sm_90:0"], "named like sm_90"),
        (&["everything.rk.h", "-m", "m", "--cuda-report", "90"], "named like sm_90"),
        (&["everything.rk.h", "-m", "m", "--cuda-report", "sm_90", "--lanes", "0"], "from 1 to 1024"),
    ];
    for (arguments, expected) in cases {
        let (code, said) = run_failing(rkc().args(arguments));
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.starts_with("rkc: ") && said.contains(expected), "{arguments:?}: {said}");
    }
}

/// As `make install` leaves it: PREFIX/bin/rkc and PREFIX/include.
#[test]
fn an_installed_rkc_finds_its_headers() {
    let out = folder("installed");
    let (bin, include) = (out.join("bin"), out.join("include"));
    std::fs::create_dir(&bin).unwrap();
    std::fs::create_dir(&include).unwrap();
    // Not a copy: a child that another test forks meanwhile would have it open for writing, and it could not be run.
    std::fs::hard_link(env!("CARGO_BIN_EXE_rkc"), bin.join("rkc")).unwrap();
    std::os::unix::fs::symlink(format!("{INCLUDE}/ringkernel"), include.join("ringkernel")).unwrap();
    let mut installed = command(bin.join("rkc"));
    installed.env_remove("CC").env_remove("RINGKERNEL_INCLUDE").args(["everything.rk.h", "-m", "m", "--no-vulkan"]);
    run(installed.arg("-o").arg(out.join("m.c")).arg("--depfile").arg(out.join("m.d")));
    let depfile = std::fs::read_to_string(out.join("m.d")).unwrap();
    assert!(depfile.contains(&format!("{}/ringkernel/actor.h", include.display())), "{depfile}");

    let (code, said) = run_failing(installed.env("RINGKERNEL_INCLUDE", "/nowhere"));
    assert_eq!(code, 2);
    assert!(said.contains("/nowhere: has no ringkernel/actor.h"), "{said}");
}

#[test]
fn files_that_are_not_there_are_named() {
    let out = folder("files_that_are_not_there");
    let c = out.join("m.c").display().to_string();
    let (code, said) = run_failing(rkc().args(["nothing.rk.h", "-m", "m", "-o", &c]));
    assert_eq!(code, 1);
    assert!(said.contains("nothing.rk.h") && said.contains("No such file"), "{said}");

    let (code, said) = run_failing(rkc().args(["everything.rk.h", "-m", "m", "--no-vulkan", "-o", "/nowhere/m.c"]));
    assert_eq!(code, 1);
    assert!(said.contains("/nowhere"), "{said}");

    let (code, said) = run_failing(rkc().env("CC", "no-such-cc").args(["everything.rk.h", "-m", "m", "-o", &c]));
    assert_eq!(code, 1);
    assert!(said.contains("no-such-cc"), "{said}");
    assert!(!out.join("m.c").exists());
}

#[test]
fn a_missing_glslc_is_said_and_no_error() {
    let out = folder("missing_glslc");
    let c = out.join("m.c");
    let mut command = rkc();
    command.env("GLSLC", "no-such-glslc").args(["everything.rk.h", "-m", "m", "-o"]).arg(&c);
    let output = command.output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no-such-glslc is not installed"), "{said}");
    assert!(!std::fs::read_to_string(&c).unwrap().contains("RK_SECTION_SPIRV"));

    let quiet = command.arg("--no-vulkan").output().unwrap();
    assert!(quiet.status.success() && quiet.stderr.is_empty());
}

#[test]
fn the_depfile_is_a_rule_that_make_understands() {
    let out = folder("depfile");
    for name in ["a b.rk.h", "dollar$.rk.h"] {
        std::fs::write(out.join(name), "#include <ringkernel/actor.h>\n").unwrap();
    }
    let source =
        "#include \"a b.rk.h\"\n#include \"dollar$.rk.h\"\nRK_MESSAGE(m, 1, rk_u32 x;)\nRK_STATE(s, rk_u32 x;)\n\
                  RK_ON(s, m) {}\nRK_ACTOR(s, RK_HANDLES(s, m))\n\
                  #if RK_IS_CUDA\n#include \"cuda_only.cuh\"\n#include <cuda_fp16.h>\n#endif\n";
    std::fs::write(out.join("s.rk.h"), source).unwrap();
    std::fs::write(out.join("cuda_only.cuh"), "").unwrap();
    run(rkc().current_dir(&out).args(["s.rk.h", "-m", "mod", "--no-vulkan", "-o", "mod.c", "--depfile", "mod.d"]));

    let depfile = std::fs::read_to_string(out.join("mod.d")).unwrap();
    assert!(depfile.starts_with("mod.c: "), "{depfile}");
    let actor_h = format!("{INCLUDE}/ringkernel/actor.h");
    for file in ["s.rk.h", "a\\ b.rk.h", "dollar$$.rk.h", "cuda_only.cuh", actor_h.as_str()] {
        assert!(depfile.contains(&format!(" {file}")), "{file} in {depfile}");
    }
    assert!(!depfile.contains("cuda_fp16.h"));

    let pump = format!(" {INCLUDE}/ringkernel/vulkan/pump.comp");
    assert!(!depfile.contains(&pump));
    // With a compiler or without: the pump is part of what would be made.
    run(rkc().current_dir(&out).args(["s.rk.h", "-m", "mod", "-o", "mod.c", "--depfile", "mod.d"]));
    assert!(std::fs::read_to_string(out.join("mod.d")).unwrap().contains(&pump));
}

#[test]
fn macros_and_include_directories_reach_every_compiler() {
    let out = folder("macros");
    std::fs::create_dir(out.join("inc")).unwrap();
    std::fs::write(out.join("inc/bias.h"), "#define BIAS (1u + EXTRA)\n").unwrap();
    let source = "#include <ringkernel/actor.h>\n#include <bias.h>\nRK_MESSAGE(m, NUMBER, rk_u32 x;)\n\
                  RK_STATE(s, rk_u32 x;)\nRK_ON(s, m) { rk_state.x = rk_msg.x + BIAS; }\nRK_ACTOR(s, RK_HANDLES(s, m))\n";
    std::fs::write(out.join("s.rk.h"), source).unwrap();
    let mut command = rkc();
    command.current_dir(&out).args([
        "s.rk.h",
        "-m",
        "mod",
        "-Iinc",
        "-D",
        "NUMBER=5",
        "-DEXTRA=2u",
        "--file",
        "mod.rkm",
    ]);
    run(&mut command);
    assert!(out.join("mod.rkm").exists());
    // And the C compiler, whoever calls it: with the definitions once more or without.
    let mut command = rkc();
    command.current_dir(&out).args(["s.rk.h", "-m", "mod", "-Iinc", "-DNUMBER=5", "-D", "EXTRA=2u", "-o", "mod.c"]);
    run(&mut command);
    for more in [&[][..], &["-DNUMBER=5", "-DEXTRA=2u"]] {
        let mut cc = crate::tools::command("cc");
        cc.current_dir(&out).args([
            "-std=c11",
            "-Werror",
            "-Iinc",
            "-I",
            crate::tools::INCLUDE,
            "-c",
            "mod.c",
            "-o",
            "mod.o",
        ]);
        run(cc.args(more));
    }
}
