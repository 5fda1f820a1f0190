//! States, messages and the structs of module.h have the same bytes in every language.

use crate::nvrtc;
use crate::tools::{command, cuda_home, families, folder, glslc, run, INCLUDE};
use std::collections::HashMap;
use std::path::Path;

struct Struct {
    /// In C; GLSL has no tags.
    c: &'static str,
    fields: &'static [&'static str],
}

const STRUCTS: [Struct; 12] = [
    Struct {
        c: "rk_outgoing",
        fields: &["to", "correlation", "deadline", "kind", "type", "size", "priority", "reserved"],
    },
    Struct {
        c: "rk_context",
        fields: &[
            "state",
            "message",
            "scratch",
            "outbox",
            "outbox_used",
            "outbox_limit",
            "type",
            "size",
            "index",
            "actors",
            "self",
            "sender",
            "correlation",
            "time",
            "counters",
            "priority",
            "result",
            "fail_code",
            "refused",
            "buffers",
            "reserved",
        ],
    },
    Struct { c: "rk_buffer_entry", fields: &["id", "size", "address", "reserved"] },
    Struct { c: "all_types", fields: &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] },
    Struct { c: "one_byte", fields: &["x"] },
    Struct { c: "five_bytes", fields: &["x"] },
    Struct { c: "doubles", fields: &["x"] },
    Struct { c: "largest", fields: &["x"] },
    Struct { c: "tick", fields: &["rk_no_payload"] },
    Struct { c: "struct everything", fields: &["a", "b", "c", "d", "e", "f", "g", "last", "h", "total"] },
    Struct { c: "struct mathematician", fields: &["backend"] },
    Struct { c: "struct relay", fields: &["next", "hops"] },
];
const MESSAGES: [&str; 8] = ["all_types", "one_byte", "five_bytes", "doubles", "number", "largest", "tick", "halt"];

const FIXTURES: &str = "#include \"everything.rk.h\"\n#include \"sub/relay.rk.h\"\n";

/// For each struct its size and then the offsets of its fields, as gcc or clang have them in C.
fn expected(out: &Path) -> Vec<u64> {
    let program = format!("#include <stdio.h>\n{}{PRINT}", table("offsetof", "static const unsigned long long"));
    let numbers = print(out, families()[0].c, "expected.c", &program);
    assert_eq!(numbers[..9], [48, 0, 8, 16, 24, 28, 32, 36, 40], "rk_outgoing is as documented");
    assert_eq!(numbers[9], 144, "rk_context is as documented");
    numbers
}

const PRINT: &str = "
int main(void) {
    for (size_t i = 0; i < sizeof layout / sizeof *layout; i++) {
        printf(\"%llu\\n\", (unsigned long long)layout[i]);
    }
    return 0;
}
";

/// An array of all sizes and offsets, and then of all messages' RK_SIZE and RK_TYPE.
fn table(offsetof: &str, declaration: &str) -> String {
    let mut entries = String::new();
    for Struct { c, fields } in &STRUCTS {
        entries += &format!("sizeof({c}),\n");
        fields.iter().for_each(|field| entries += &format!("{offsetof}({c}, {field}),\n"));
    }
    MESSAGES.iter().for_each(|message| entries += &format!("RK_SIZE({message}), RK_TYPE({message}),\n"));
    format!("{FIXTURES}{declaration} layout[] = {{\n{entries}}};\n")
}

fn print(out: &Path, compiler: &str, name: &str, source: &str) -> Vec<u64> {
    let (file, program) = (out.join(name), out.join("print"));
    std::fs::write(&file, source).unwrap();
    run(command(compiler).args(["-I", INCLUDE, "-I.", "-Iinclude", "-o"]).arg(&program).arg(&file).arg("-lm"));
    numbers(&run(&mut command(program)))
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().unwrap())
        .collect()
}

#[test]
fn c_and_cpp_agree() {
    let out = folder("layout_c");
    let expected = expected(&out);
    let program = format!("#include <stdio.h>\n{}{PRINT}", table("offsetof", "static const unsigned long long"));
    for family in families() {
        assert_eq!(print(&out, family.c, "layout.c", &program), expected, "{}", family.c);
        assert_eq!(print(&out, family.cpp, "layout.cpp", &program), expected, "{}", family.cpp);
    }
}

/// The array in PTX: `.global .align 4 .b8 layout[BYTES] = {…}`, without the zeros at its end.
fn in_ptx(ptx: &str) -> Vec<u64> {
    let (_, array) = ptx.split_once(".b8 layout[").unwrap_or_else(|| panic!("no layout in\n{ptx}"));
    let (size, bytes) = array.split_once(']').unwrap();
    let mut bytes = numbers(bytes.split_once('}').unwrap().0);
    bytes.resize(size.parse().unwrap(), 0);
    bytes.chunks(4).map(|word| word.iter().rev().fold(0, |number, byte| number << 8 | byte)).collect()
}

/// NVRTC has no header with offsetof() in it.
fn cuda_table() -> String {
    let offsetof = "#define rk_offsetof(type, field) (unsigned)((char *)&((type *)0)->field - (char *)0)\n";
    offsetof.to_string() + &table("rk_offsetof", "extern \"C\" __device__ const unsigned")
}

#[test]
fn nvcc_agrees() {
    let Some(home) = cuda_home() else { return };
    let out = folder("layout_nvcc");
    let (source, ptx) = (out.join("layout.cu"), out.join("layout.ptx"));
    std::fs::write(&source, cuda_table()).unwrap();
    let mut nvcc = command(home.join("bin/nvcc"));
    run(nvcc.args(["-std=c++17", "-ptx", "-I", INCLUDE, "-I.", "-Iinclude", "-o"]).arg(&ptx).arg(&source));
    assert_eq!(in_ptx(&std::fs::read_to_string(ptx).unwrap()), expected(&out));
}

#[test]
fn nvrtc_agrees() {
    let Some(home) = cuda_home() else { return };
    let file = |name: &str, path: &str| {
        (name.to_string(), std::fs::read_to_string(Path::new(crate::tools::DIALECT).join(path)).unwrap())
    };
    let fixtures = [
        file("everything.rk.h", "everything.rk.h"),
        file("protocol.rk.h", "protocol.rk.h"),
        file("../protocol.rk.h", "protocol.rk.h"),
        file("sub/relay.rk.h", "sub/relay.rk.h"),
        file("limits.rk.h", "include/limits.rk.h"),
    ];
    let headers: Vec<_> = nvrtc::dialect().chain(fixtures).collect();
    let ptx = nvrtc::compile(&home, &cuda_table(), &headers).unwrap_or_else(|log| panic!("{log}"));
    assert_eq!(in_ptx(&ptx), expected(&folder("layout_nvrtc")));
}

#[test]
fn glsl_agrees() {
    if glslc().is_none() {
        return;
    }
    let out = folder("layout_glsl");
    let expected = expected(&out);
    let spirv = Disassembly::of(&out, "layout.comp", &shader(), &[]);
    let mut at = expected.iter();
    for Struct { c, fields } in &STRUCTS {
        let name = c.trim_start_matches("struct ");
        let found = spirv.layout(name);
        assert_eq!(found.size, at.next().copied(), "size of {name}");
        for field in *fields {
            assert_eq!(found.offsets.get(*field), at.next(), "offset of {name}.{field}");
        }
    }
}

/// RK_SIZE() and RK_TYPE() in GLSL are constants, and the right ones.
#[test]
fn sizes_in_glsl_are_constants() {
    if glslc().is_none() {
        return;
    }
    let out = folder("sizes_glsl");
    let mut stores = String::new();
    for (i, message) in MESSAGES.iter().enumerate() {
        stores += &format!("words.v[{}] = RK_SIZE({message});\n", 2 * i);
        stores += &format!("words.v[{}] = RK_TYPE({message});\n", 2 * i + 1);
    }
    let source = format!(
        "{PREAMBLE}{FIXTURES}layout(set = 0, binding = 0) buffer rk_words {{ uint v[]; }} words;\n\
         void main() {{\n{stores}}}\n"
    );
    let spirv = Disassembly::of(&out, "sizes.comp", &source, &["-O"]);
    let stored: Vec<u64> = spirv.lines("OpStore").map(|words| numbers(words[2])[0]).collect();
    assert_eq!(stored, expected(&out)[expected(&out).len() - 2 * MESSAGES.len()..]);
}

const PREAMBLE: &str = "#version 460\n#extension GL_GOOGLE_include_directive : require\n#define RK_GLSL 1\n";

/// Copies each struct within an array in memory, so that all of it is laid out.
fn shader() -> String {
    let mut probes = String::new();
    let mut body = String::new();
    for Struct { c, .. } in &STRUCTS {
        let name = c.trim_start_matches("struct ");
        probes += &format!("layout(buffer_reference, scalar) buffer {name}_probe {{ {name} v[2]; }};\n");
        body += &format!("{name}_probe(at).v[1] = {name}_probe(at).v[0];\n");
    }
    format!(
        "{PREAMBLE}{FIXTURES}{probes}layout(push_constant, scalar) uniform rk_push {{ uint64_t at; }};\n\
         void main() {{\n{body}}}\n"
    )
}

struct Layout {
    size: Option<u64>,
    offsets: HashMap<String, u64>,
}

/// SPIR-V in words: `%id = OpTypeArray %elem %n`, `OpMemberDecorate %id 0 Offset 8`.
struct Disassembly(String);

impl Disassembly {
    fn of(out: &Path, name: &str, source: &str, flags: &[&str]) -> Self {
        let (file, spirv) = (out.join(name), out.join("spv"));
        std::fs::write(&file, source).unwrap();
        let mut glslc = command("glslc");
        glslc.args(["--target-env=vulkan1.2", "-I", INCLUDE, "-I.", "-Iinclude"]).args(flags);
        run(glslc.arg("-o").arg(&spirv).arg(&file));
        Self(run(command("spirv-dis").arg(&spirv)))
    }

    fn lines(&self, operation: &'static str) -> impl Iterator<Item = Vec<&str>> {
        let words = self.0.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        words.filter(move |words| words.first() == Some(&operation) || words.get(2) == Some(&operation))
    }

    /// Of the struct in memory; of that name there is also the one in variables, which has no offsets.
    fn layout(&self, name: &str) -> Layout {
        let quoted = format!("\"{name}\"");
        let has_offsets = |id: &str| self.lines("OpMemberDecorate").any(|words| words[1] == id && words[3] == "Offset");
        let named = self.lines("OpName").filter(|words| words[2] == quoted).map(|words| words[1]);
        let laid_out: Vec<&str> = named.filter(|id| has_offsets(id)).collect();
        let [id] = laid_out[..] else { panic!("{name} is laid out {} times", laid_out.len()) };

        let array = self.lines("OpTypeArray").find(|words| words[3] == id).expect("it is in an array")[0];
        let stride = self.lines("OpDecorate").find(|words| words[1] == array && words[2] == "ArrayStride");
        let mut offsets = HashMap::new();
        for words in self.lines("OpMemberDecorate").filter(|words| words[1] == id && words[3] == "Offset") {
            let name = self.lines("OpMemberName").find(|name| name[1] == id && name[2] == words[2]).unwrap()[3];
            offsets.insert(name.trim_matches('"').to_string(), words[4].parse().unwrap());
        }
        Layout { size: stride.map(|words| words[3].parse().unwrap()), offsets }
    }
}
