//! The C file.

use crate::args::Args;
use crate::scan::{Message, Names};
use crate::Error;
use ringkernel::layout::LAYOUT_VERSION;
use std::fmt::Write;
use std::mem::size_of;
use std::path::{Component, Path, PathBuf};

/// A part of the image for one backend.
pub struct Section {
    /// RK_SECTION_...
    pub kind: &'static str,
    pub name: String,
    pub data: Data,
}

/// Bytes of a section, as aligned as their reader wants them.
pub enum Data {
    /// Followed by a NUL that does not count.
    Text(String),
    /// SPIR-V, or CUDA's machine code or PTX.
    Words(Vec<u32>),
}

impl Data {
    /// As many bytes as there are whole words.
    pub fn words(bytes: &[u8]) -> Self {
        Self::Words(bytes.chunks_exact(size_of::<u32>()).map(bytemuck::pod_read_unaligned).collect())
    }

    fn size(&self) -> usize {
        match self {
            Data::Text(text) => text.len(),
            Data::Words(words) => words.len() * size_of::<u32>(),
        }
    }
}

/// The user's files, included in the order given.
pub fn include_lines(paths: &[String]) -> String {
    paths.iter().map(|path| format!("#include \"{path}\"\n")).collect()
}

/// What `-D` defines: without it the compiler's handlers would be others than those of the devices.
fn definitions(args: &Args) -> String {
    let definition = |(name, value): (&str, &str)| {
        let macro_name = name.split('(').next().unwrap_or(name);
        format!("#ifndef {macro_name}\n#define {name} {value}\n#endif\n")
    };
    args.definitions().map(definition).collect()
}

/// The C file that defines the module's image.
pub fn module(args: &Args, names: &Names, sections: &[Section], includes: &[String]) -> String {
    let mut c = String::new();
    let module = &args.module;
    let version = env!("CARGO_PKG_VERSION");
    let sources = args.sources.join(", ");
    let _ = write!(
        c,
        "/* Module {module}, written by rkc {version} from {sources}; do not edit. */\n\
         {}#include <ringkernel/module.h>\n{}\n\
         RK_ASSERT(RK_LAYOUT_VERSION == {LAYOUT_VERSION}u, \"rkc is not of this version of ringkernel/module.h\");\n",
        definitions(args),
        include_lines(includes)
    );
    for (i, section) in sections.iter().enumerate() {
        data(&mut c, i, &section.data);
    }
    tables(&mut c, names, sections);
    let section_table = if sections.is_empty() { "NULL" } else { "rk_sections_" };
    let _ = write!(
        c,
        "RK_DECLARE_MODULE({module});\n\
         const rk_module_image {module} = {{\n    \
             (uint32_t)sizeof(rk_module_image), RK_LAYOUT_VERSION, \"{module}\", rk_actors_, rk_messages_, \
             {section_table},\n    {}, {}, {}, 0,\n}};\n",
        names.actors.len(),
        names.messages.len(),
        sections.len()
    );
    numbers_differ(&mut c, names);
    c
}

/// Numbers may be any constant expression, so it is the compiler that compares them, as cases on the lines of their
/// messages. Comes last, for the lines after it are no longer those of the file.
fn numbers_differ(c: &mut String, names: &Names) {
    c.push_str("\nRK_DEVICE void every_message_has_a_number_of_its_own(uint32_t number) {\n    switch (number) {\n");
    for Message { name, place } in &names.messages {
        let _ = writeln!(c, "#line {} \"{}\"\n    case RK_TYPE({name}):", place.line, place.file);
    }
    c.push_str("    default:\n        break;\n    }\n}\n");
}

fn data(c: &mut String, index: usize, data: &Data) {
    match data {
        Data::Text(text) => {
            let _ = write!(c, "static const unsigned char rk_data_{index}_[] = {{");
            for (i, byte) in text.bytes().chain([0]).enumerate() {
                let _ = write!(c, "{}{byte},", if i % 24 == 0 { "\n    " } else { "" });
            }
        }
        Data::Words(words) => {
            let _ = write!(c, "static const uint32_t rk_data_{index}_[] = {{");
            for (i, word) in words.iter().enumerate() {
                let _ = write!(c, "{}{word:#x},", if i % 10 == 0 { "\n    " } else { "" });
            }
        }
    }
    c.push_str("\n};\n\n");
}

fn tables(c: &mut String, names: &Names, sections: &[Section]) {
    c.push_str("static const rk_actor_type rk_actors_[] = {\n");
    for actor in &names.actors {
        let name = &actor.name;
        let scratch = if actor.has_scratch { format!("(uint32_t)sizeof({name}_rk_scratch)") } else { "0".into() };
        let handlers = format!("{name}_rk_handlers");
        let _ = writeln!(
            c,
            "    {{\"{name}\", (uint32_t)sizeof(struct {name}), {scratch}, {handlers},\n     \
             (uint32_t)(sizeof {handlers} / sizeof *{handlers}), 0}},"
        );
    }
    c.push_str("};\n\nstatic const rk_message_type rk_messages_[] = {\n");
    for message in &names.messages {
        let _ = writeln!(c, "    {{\"{0}\", RK_TYPE({0}), RK_SIZE({0})}},", message.name);
    }
    c.push_str("};\n\n");
    if sections.is_empty() {
        return;
    }
    c.push_str("static const rk_section rk_sections_[] = {\n");
    for (i, Section { kind, name, data }) in sections.iter().enumerate() {
        let _ = writeln!(c, "    {{{kind}, 0, \"{name}\", rk_data_{i}_, {}}},", data.size());
    }
    c.push_str("};\n\n");
}

/// The sources' paths as the C file includes them: relative to itself, so that it can be compiled from anywhere.
pub fn relative_to(output: &str, sources: &[String]) -> Result<Vec<String>, Error> {
    let from = real_dir(Path::new(output))?;
    sources
        .iter()
        .map(|source| {
            let source = Path::new(source);
            let name = source.file_name().ok_or_else(|| Error::Usage(format!("{}: not a file", source.display())))?;
            let to = real_dir(source)?.join(name);
            let path = relative(&from, &to);
            path.into_os_string().into_string().map_err(|path| Error::Usage(format!("{path:?}: not UTF-8")))
        })
        .collect()
}

/// The directory of `path`, without symbolic links: `..` means what it says only there.
fn real_dir(path: &Path) -> Result<PathBuf, Error> {
    let dir = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    dir.canonicalize().map_err(|error| Error::Io(dir.display().to_string(), error))
}

fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}
