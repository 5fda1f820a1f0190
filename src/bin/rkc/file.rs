//! One file for `rk_module_load()`.

use crate::args::Args;
use crate::cc::Compiler;
use crate::emit;
use crate::scan::Names;
use crate::Error;
use ringkernel::module::file;

/// Compiles the module to a shared object, beside `output`, and packs it.
pub fn build(
    cc: &Compiler,
    args: &Args,
    names: &Names,
    sections: &[emit::Section],
    output: &str,
) -> Result<Vec<u8>, Error> {
    let symbol = file::IMAGE_SYMBOL.to_str().expect("it is ASCII");
    let source = format!(
        "{}\n\
         __attribute__((visibility(\"default\"))) extern const rk_module_image *const {symbol};\n\
         const rk_module_image *const {symbol} = &{};\n",
        emit::module(args, names, sections, &args.sources),
        args.module
    );
    let object = format!("{output}.{}.so", std::process::id());
    let elf = cc
        .link(&source, &object)
        .and_then(|()| std::fs::read(&object).map_err(|error| Error::Io(object.clone(), error)));
    // It was only on its way, and is not there if the compiler failed.
    let _ = std::fs::remove_file(&object);
    file::pack(&elf?).map_err(|error| Error::Source(format!("the C compiler's output: {error}")))
}
