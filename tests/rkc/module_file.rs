//! Files that rkc writes for rk_module_load().

use crate::tools::{families, folder, rkc, run};
use ringkernel::layout::LAYOUT_VERSION;
use ringkernel::module::file::{Error, LoadedFile};
use std::ffi::CStr;
use std::path::Path;

fn build(out: &Path, module: &str, cc: &str) -> Vec<u8> {
    let rkm = out.join(module).with_extension("rkm");
    let mut command = rkc();
    command.env("CC", cc).args(["everything.rk.h", "--no-vulkan", "--module", module, "--file"]).arg(&rkm);
    run(&mut command);
    std::fs::read(rkm).unwrap()
}

/// # Safety
/// The file is one that [`build`] made.
unsafe fn load(file: &[u8]) -> Result<LoadedFile, Error> {
    // SAFETY: our own code.
    unsafe { LoadedFile::load(file) }
}

fn name(loaded: &LoadedFile) -> String {
    // SAFETY: rkc's image starts so, and lives as long as `loaded`.
    let image = unsafe { loaded.image().as_ref() };
    assert_eq!((image.struct_size as usize, image.layout_version), (size_of_val(image), LAYOUT_VERSION));
    // SAFETY: its name is a string literal.
    unsafe { CStr::from_ptr(image.name) }.to_str().unwrap().into()
}

#[test]
fn a_module_file_loads() {
    let out = folder("module_file");
    for family in families() {
        let file = build(&out, "single", family.c);
        // SAFETY: just built.
        assert_eq!(name(&unsafe { load(&file) }.unwrap()), "single");
    }
    let left: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["single.rkm"], "nothing but the output is left");
}

/// The dynamic linker takes two files of one name for the same; descriptors are names here, and are used again.
#[test]
fn files_do_not_stand_in_for_each_other() {
    let out = folder("module_files");
    let cc = families()[0].c;
    let (first, second) = (build(&out, "first", cc), build(&out, "second", cc));
    // SAFETY: just built.
    let load = |file| unsafe { load(file) }.unwrap();

    let (a, b, again) = (load(&first), load(&second), load(&first));
    assert_eq!([name(&a), name(&b), name(&again)], ["first", "second", "first"]);
    assert_ne!(a.image(), again.image(), "each has its own");
    drop(a);
    let c = load(&second);
    assert_eq!([name(&b), name(&again), name(&c)], ["second", "first", "second"]);
}

#[test]
fn an_object_without_an_image_is_refused() {
    let out = folder("no_image");
    let object = out.join("empty.so");
    std::fs::write(out.join("empty.c"), "int nothing;\n").unwrap();
    let mut cc = crate::tools::command(families()[0].c);
    run(cc.args(["-shared", "-fPIC", "-o"]).arg(&object).arg(out.join("empty.c")));
    let file = ringkernel::module::file::pack(&std::fs::read(object).unwrap()).unwrap();
    // SAFETY: it has no code.
    let error = unsafe { load(&file) }.unwrap_err();
    assert!(matches!(&error, Error::NoImage(text) if text.contains("rk_file_image")), "{error}");
}

#[test]
fn only_the_image_is_exported() {
    let out = folder("exports");
    let file = build(&out, "exports", families()[0].c);
    let object = out.join("exports.so");
    std::fs::write(&object, ringkernel::module::file::parse(&file).unwrap()).unwrap();
    let symbols = run(crate::tools::command("nm").args(["-D", "--defined-only"]).arg(&object));
    let names: Vec<_> = symbols.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(names, ["rk_file_image"]);
}
