//! Generates the C header from `src/capi`. The one that users get is `include/ringkernel.h`, which `tests/header.rs`
//! compares with this.

use std::env;
use std::path::Path;

/// The nouns, in the order in which a reader meets them.
const NOUNS: &[&str] = &[
    "version", "status", "types", "runtime", "device", "selftest", "module", "kernel", "message", "queue", "registry",
    "route", "clock", "config", "metrics", "alert", "trace", "snapshot", "buffer", "topic",
];

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    let out = env::var("OUT_DIR").expect("set by cargo");
    println!("cargo::rerun-if-changed=src/capi");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    let config = cbindgen::Config::from_file(Path::new(&root).join("cbindgen.toml")).expect("cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for noun in NOUNS {
        builder = builder.with_src(Path::new(&root).join(format!("src/capi/{noun}.rs")));
    }
    let header = builder.generate().expect("src/capi is what cbindgen understands");
    header.write_to_file(Path::new(&out).join("ringkernel.h"));
}
