//! Mistakes in files of actors: what the person reads.

use crate::tools::{command, families, folder, rkc, run, run_failing, INCLUDE};
use std::path::Path;

const GOOD: &str = "\
#include <ringkernel/actor.h>
RK_MESSAGE(add, 1, rk_u64 value;)
RK_MESSAGE(sum, 2, rk_u64 total;)
RK_STATE(counter, rk_u64 total;)
";

/// What follows [`GOOD`], starting on line 5, and what must be said about it. % stands for the right RK_ACTOR.
const WRONG: [(&str, &[&str]); 23] = [
    (
        "RK_ON(counter, nope) {}\nRK_ACTOR(counter, RK_HANDLES(counter, nope))",
        &["wrong.rk.h:5", "no RK_MESSAGE", "nope"],
    ),
    ("RK_ON(counter, add) { rk_state.totl = rk_u64(1); }\n%", &["wrong.rk.h:5", "counter", "totl"]),
    ("RK_ON(counter, add) { rk_state.total = rk_msg.valeu; }\n%", &["wrong.rk.h:5", "add", "valeu"]),
    ("RK_ON(counter, add) {\n  RK_OUT(summ).total = rk_u64(1);\n}\n%", &["wrong.rk.h:6", "summ"]),
    ("RK_ON(counter, add) { rk_reply(summ); }\n%", &["wrong.rk.h:5", "summ"]),
    ("RK_ON(counter, add) { rk_msg.value = rk_u64(1); }\n%", &["wrong.rk.h:5", "rea", "only"]),
    ("RK_ON(counter, add) { rk_scratch(counter).x = 1u; }\n%", &["wrong.rk.h:5", "counter_rk_scratch"]),
    (
        "RK_ON(counter, add) {}\nRK_ON(counter, add) {}\n%",
        &["wrong.rk.h:6", "RK_ON(counter, add) is defined twice", "wrong.rk.h:5"],
    ),
    (
        "RK_ON(counter, add) {}\nRK_ACTOR(counter, RK_HANDLES(counter, add) RK_HANDLES(counter, add))",
        &["wrong.rk.h:6", "RK_HANDLES(counter, add) is listed twice"],
    ),
    ("RK_ON(counter, add) {}\nRK_ON(counter, sum) {}\n%", &["wrong.rk.h:6", "RK_ON(counter, sum) is never called"]),
    ("%", &["wrong.rk.h:5", "RK_HANDLES(counter, add): there is no RK_ON(counter, add)"]),
    ("RK_ON(counter, add) {}", &["wrong.rk.h:5", "actor counter has no RK_ACTOR"]),
    ("RK_ON(ghost, add) {}\nRK_ACTOR(ghost, RK_HANDLES(ghost, add))", &["wrong.rk.h:5", "actor ghost has no RK_STATE"]),
    ("RK_ACTOR(counter, )", &["wrong.rk.h:5", "actor counter handles nothing"]),
    ("RK_MESSAGE(, 9, rk_u32 x;)", &["cannot make out a use of the dialect", "is a name missing"]),
    ("", &["no RK_ACTOR in wrong.rk.h"]),
    (
        "RK_MESSAGE(add, 9, rk_u32 x;)\nRK_ON(counter, add) {}\n%",
        &["wrong.rk.h:5", "message add is declared twice", "wrong.rk.h:2"],
    ),
    (
        "RK_MESSAGE(twin, 1 + 1, rk_u32 x;)\nRK_ON(counter, add) {}\n%",
        &["wrong.rk.h:5", "duplicate case", "wrong.rk.h:3"],
    ),
    ("RK_SIGNAL(far, 65280)\nRK_ON(counter, add) {}\n%", &["RK_SIGNAL(far, ...)", "1 to 65279"]),
    ("RK_MESSAGE(huge, 9, rk_u8 x[65537];)\nRK_ON(counter, add) {}\n%", &["RK_MESSAGE(huge, ...)", "over 64 KiB"]),
    (
        "RK_STATE(big, rk_u8 x[1048577];)\nRK_ON(big, add) {}\nRK_ACTOR(big, RK_HANDLES(big, add))",
        &["RK_STATE(big, ...)", "over 1 MiB"],
    ),
    ("RK_SCRATCH(counter, rk_u8 x[32769];)\nRK_ON(counter, add) {}\n%", &["RK_SCRATCH(counter, ...)", "over"]),
    (
        "RK_MESSAGE(mod, 9, rk_u32 x;)\nRK_ON(counter, add) {}\n%",
        &["wrong.rk.h:5", "message mod has the name of the module"],
    ),
];

fn write(out: &Path, rest: &str) {
    let rest = rest.replace('%', "RK_ACTOR(counter, RK_HANDLES(counter, add))");
    std::fs::write(out.join("wrong.rk.h"), format!("{GOOD}{rest}\n")).unwrap();
}

#[test]
fn each_mistake_is_named() {
    let out = folder("wrong_use");
    for family in families() {
        for (rest, expected) in WRONG {
            write(&out, rest);
            let mut command = rkc();
            command.current_dir(&out).env("CC", family.c).args([
                "wrong.rk.h",
                "-m",
                "mod",
                "--no-vulkan",
                "-o",
                "mod.c",
            ]);
            let (code, said) = run_failing(&mut command);
            assert_eq!(code, 1, "{rest}\n{said}");
            for part in expected {
                assert!(said.contains(part), "{} on\n{rest}\nshould say {part:?} but says\n{said}", family.c);
            }
            assert!(!out.join("mod.c").exists(), "{rest}: a module was written");
        }
    }
}

/// The base that the mistakes are made in has none itself.
#[test]
fn the_right_use_compiles() {
    let out = folder("right_use");
    write(&out, "RK_ON(counter, add) { rk_state.total += rk_msg.value; }\n%");
    run(rkc().current_dir(&out).args(["wrong.rk.h", "-m", "mod", "--no-vulkan", "-o", "mod.c"]));
}

/// A module whose C file outlived a change of its sources is checked again by the compiler of the program.
#[test]
fn the_c_file_checks_its_sources_again() {
    let out = folder("checks_again");
    for family in families() {
        write(&out, "RK_ON(counter, add) {}\n%");
        run(rkc().current_dir(&out).args(["wrong.rk.h", "-m", "mod", "--no-vulkan", "-o", "mod.c"]));
        let source = std::fs::read_to_string(out.join("wrong.rk.h")).unwrap();
        std::fs::write(out.join("wrong.rk.h"), source.replace("(sum, 2,", "(sum, 1,")).unwrap();
        let mut cc = command(family.c);
        cc.current_dir(&out).args(["-std=c11", "-fsyntax-only", "-I", INCLUDE, "mod.c"]);
        let (_, said) = run_failing(&mut cc);
        for part in ["wrong.rk.h:3", "duplicate case", "wrong.rk.h:2"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}

#[test]
fn errors_of_the_shader_compiler_come_through() {
    if crate::tools::glslc().is_none() {
        return;
    }
    let out = folder("wrong_shader");
    // Fine in C, where numbers narrow silently.
    write(&out, "RK_ON(counter, add) {\n  rk_u32 narrow = rk_msg.value;\n  rk_state.total = rk_u64(narrow);\n}\n%");
    let (code, said) = run_failing(rkc().current_dir(&out).args(["wrong.rk.h", "-m", "mod", "-o", "mod.c"]));
    assert_eq!(code, 1);
    assert!(said.contains("wrong.rk.h:6") && said.contains("cannot convert"), "{said}");
    assert!(!out.join("mod.c").exists());
}
