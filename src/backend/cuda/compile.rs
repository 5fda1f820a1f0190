//! From a module's CUDA source to machine code for one device: NVRTC, opened when it is first needed, and a cache on disk.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::Library;

use crate::error::{Error, Result};

/// The files of the library that user code and pump are compiled with, under the names they include each other by.
const HEADERS: [(&str, &str); 20] = [
    ("ringkernel/actor.h", include_str!("../../../include/ringkernel/actor.h")),
    ("ringkernel/module.h", include_str!("../../../include/ringkernel/module.h")),
    ("ringkernel/dialect_c.h", include_str!("../../../include/ringkernel/dialect_c.h")),
    ("ringkernel/device/layout.h", include_str!("../../../include/ringkernel/device/layout.h")),
    ("ringkernel/cuda/context.cuh", include_str!("../../../include/ringkernel/cuda/context.cuh")),
    ("ringkernel/cuda/memory.cuh", include_str!("../../../include/ringkernel/cuda/memory.cuh")),
    ("ringkernel/cuda/block.cuh", include_str!("../../../include/ringkernel/cuda/block.cuh")),
    ("ringkernel/cuda/letters.cuh", include_str!("../../../include/ringkernel/cuda/letters.cuh")),
    ("ringkernel/cuda/posts.cuh", include_str!("../../../include/ringkernel/cuda/posts.cuh")),
    ("ringkernel/cuda/topics.cuh", include_str!("../../../include/ringkernel/cuda/topics.cuh")),
    ("ringkernel/cuda/deliver.cuh", include_str!("../../../include/ringkernel/cuda/deliver.cuh")),
    ("ringkernel/cuda/family.cuh", include_str!("../../../include/ringkernel/cuda/family.cuh")),
    ("ringkernel/cuda/handler.cuh", include_str!("../../../include/ringkernel/cuda/handler.cuh")),
    ("ringkernel/cuda/take.cuh", include_str!("../../../include/ringkernel/cuda/take.cuh")),
    ("ringkernel/cuda/scout.cuh", include_str!("../../../include/ringkernel/cuda/scout.cuh")),
    ("ringkernel/cuda/serve.cuh", include_str!("../../../include/ringkernel/cuda/serve.cuh")),
    ("ringkernel/device/histogram.h", include_str!("../../../include/ringkernel/device/histogram.h")),
    ("ringkernel/cuda/latency.cuh", include_str!("../../../include/ringkernel/cuda/latency.cuh")),
    ("ringkernel/cuda/selftest.cuh", include_str!("../../../include/ringkernel/cuda/selftest.cuh")),
    ("ringkernel/cuda/pump.cuh", include_str!("../../../include/ringkernel/cuda/pump.cuh")),
];

const SELFTEST: &str = "#include <ringkernel/actor.h>\n#include <ringkernel/cuda/selftest.cuh>\n";

type Program = *mut c_void;

/// The functions of nvrtc.h that we use.
struct Nvrtc {
    version: (c_int, c_int),
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
    log_size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    log: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    cubin_size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    cubin: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    ptx_size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    ptx: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    /// Never unloaded: see `open`.
    _library: Library,
}

/// Where NVRTC may be, the best first: where `RINGKERNEL_CUDA_HOME` says, then wherever the dynamic linker looks, then the
/// toolkit's usual place. Version 12 or 13.
fn candidates() -> Vec<PathBuf> {
    let names = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];
    let homes = ["RINGKERNEL_CUDA_HOME", "CUDA_HOME"].iter().filter_map(std::env::var_os).map(PathBuf::from);
    let (mut paths, mut usual): (Vec<PathBuf>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    for home in homes {
        let folders = ["lib", "lib64"].map(|folder| home.join(folder));
        paths.extend(folders.iter().flat_map(|folder| names.map(|name| folder.join(name))));
    }
    usual.extend(names.map(|name| Path::new("/usr/local/cuda/lib64").join(name)));
    paths.into_iter().chain(names.map(PathBuf::from)).chain(usual).collect()
}

impl Nvrtc {
    /// Opened once a process and kept: NVRTC does not like to be unloaded.
    fn get() -> Result<&'static Self> {
        static NVRTC: OnceLock<Option<Nvrtc>> = OnceLock::new();
        NVRTC.get_or_init(|| candidates().iter().find_map(|path| Self::open(path))).as_ref().ok_or_else(|| {
            Error::Unsupported(
                "CUDA source has to be compiled and there is no NVRTC (libnvrtc.so.12 or .13); say where with \
                 RINGKERNEL_CUDA_HOME"
                    .into(),
            )
        })
    }

    fn open(path: &Path) -> Option<Self> {
        // NVRTC looks for its builtins by name only, so that where no path of the linker leads to them they must be there
        // already; kept open.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
            let is_builtins = |path: &PathBuf| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                name.starts_with("libnvrtc-builtins.so")
            };
            for builtins in files.filter(is_builtins) {
                // SAFETY: NVIDIA's libraries do nothing of note when loaded.
                if let Ok(library) = unsafe { Library::new(builtins) } {
                    std::mem::forget(library);
                }
            }
        }
        // SAFETY: as above; the types of the functions are those of nvrtc.h.
        unsafe {
            let library = Library::new(path).ok()?;
            let version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int = symbol(&library, c"nvrtcVersion")?;
            let (mut major, mut minor) = (0, 0);
            if version(&mut major, &mut minor) != 0 {
                return None;
            }
            Some(Self {
                version: (major, minor),
                create: symbol(&library, c"nvrtcCreateProgram")?,
                compile: symbol(&library, c"nvrtcCompileProgram")?,
                destroy: symbol(&library, c"nvrtcDestroyProgram")?,
                log_size: symbol(&library, c"nvrtcGetProgramLogSize")?,
                log: symbol(&library, c"nvrtcGetProgramLog")?,
                cubin_size: symbol(&library, c"nvrtcGetCUBINSize")?,
                cubin: symbol(&library, c"nvrtcGetCUBIN")?,
                ptx_size: symbol(&library, c"nvrtcGetPTXSize")?,
                ptx: symbol(&library, c"nvrtcGetPTX")?,
                _library: library,
            })
        }
    }

    /// # Safety
    /// `size` and `get` are a pair of NVRTC's functions that give a text's size and the text.
    unsafe fn bytes(
        program: Program,
        size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
        get: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    ) -> Vec<u8> {
        let mut bytes = 0;
        // SAFETY: as the caller promises; the buffer is as large as NVRTC says.
        unsafe {
            if size(program, &mut bytes) != 0 {
                return Vec::new();
            }
            let mut buffer = vec![0u8; bytes];
            if get(program, buffer.as_mut_ptr().cast()) == 0 {
                buffer
            } else {
                Vec::new()
            }
        }
    }

    /// Machine code for `arch`, or PTX where it is a virtual one, `compute_90` instead of `sm_90`.
    fn run(&self, root: &str, files: &[(String, String)], options: &[String], arch: &str) -> Result<Vec<u8>> {
        let c = |text: &str| CString::new(text).map_err(|_| Error::BadImage("its CUDA source has a NUL".into()));
        let all = || HEADERS.iter().copied().chain(files.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        let names = all().map(|(name, _)| c(name)).collect::<Result<Vec<_>>>()?;
        let texts = all().map(|(_, text)| c(text)).collect::<Result<Vec<_>>>()?;
        let options = options.iter().map(|option| c(option)).collect::<Result<Vec<_>>>()?;
        let root = c(root)?;
        let pointers = |strings: &[CString]| strings.iter().map(|string| string.as_ptr()).collect::<Vec<_>>();
        let (names, texts, options) = (pointers(&names), pointers(&texts), pointers(&options));
        let mut program = std::ptr::null_mut();
        let failed = |code, log| Error::Compile { arch: arch.into(), code, log };
        // SAFETY: every string and array outlives the calls that take it.
        unsafe {
            let count = names.len() as c_int;
            match (self.create)(
                &mut program,
                root.as_ptr(),
                c"module.cu".as_ptr(),
                count,
                texts.as_ptr(),
                names.as_ptr(),
            ) {
                0 => {}
                code => return Err(failed(code, "NVRTC refused the program".into())),
            }
            let code = (self.compile)(program, options.len() as c_int, options.as_ptr());
            let outcome = if code == 0 {
                Ok(if arch.starts_with("compute_") {
                    Self::bytes(program, self.ptx_size, self.ptx)
                } else {
                    Self::bytes(program, self.cubin_size, self.cubin)
                })
            } else {
                let log = Self::bytes(program, self.log_size, self.log);
                Err(failed(code, String::from_utf8_lossy(&log).trim_end_matches('\0').trim().into()))
            };
            (self.destroy)(&mut program);
            outcome
        }
    }
}

/// # Safety
/// `T` is the type of the function of that name.
unsafe fn symbol<T: Copy>(library: &Library, name: &CStr) -> Option<T> {
    // SAFETY: the caller's promise.
    unsafe { library.get::<T>(name.to_bytes_with_nul()).ok().map(|symbol| *symbol) }
}

/// What a pump is compiled for.
pub(super) struct Target<'a> {
    /// The actor type, and bytes of its scratch memory.
    pub(super) actor: &'a str,
    pub(super) scratch: u32,
    /// Threads of a worker.
    pub(super) lanes: u32,
    /// Compute capability of the device.
    pub(super) capability: (i32, i32),
}

/// Machine code of the kernel that tests memory.
pub(super) fn selftest(capability: (i32, i32)) -> Result<Vec<u8>> {
    cached(SELFTEST, &[], &[], capability)
}

/// Machine code of a pump.
pub(super) fn compile(source: &[(String, String)], target: &Target<'_>) -> Result<Vec<u8>> {
    let Target { actor, scratch, lanes, capability } = *target;
    let (root, files) = pump(source)?;
    cached(&root, files, &definitions(actor, &scratch.to_string(), lanes), capability)
}

/// A pump compiled ahead, which needs no device: machine code for `sm_90` and the like, PTX for a virtual architecture such
/// as `compute_90`. `source`: names and texts of the module's CUDA source; `scratch`: bytes of the actor's scratch memory, or
/// an expression of C for them.
pub fn code(source: &[(String, String)], actor: &str, scratch: &str, lanes: u32, arch: &str) -> Result<Vec<u8>> {
    let (root, files) = pump(source)?;
    ahead(&root, files, &definitions(actor, scratch, lanes), arch)
}

/// The same of the kernel that tests memory.
pub fn selftest_code(arch: &str) -> Result<Vec<u8>> {
    ahead(SELFTEST, &[], &[], arch)
}

fn ahead(root: &str, files: &[(String, String)], own: &[String], arch: &str) -> Result<Vec<u8>> {
    let mut options = vec![format!("--gpu-architecture={arch}"), "-std=c++17".into(), "-lineinfo".into()];
    options.extend_from_slice(own);
    let mut code = Nvrtc::get()?.run(root, files, &options, arch)?;
    if arch.starts_with("compute_") {
        code.pop(); // the NUL
    }
    Ok(code)
}

/// Why there is nothing to compile or nothing to compile it with, if so.
pub(super) fn check(source: &[(String, String)]) -> Result<()> {
    pump(source)?;
    check_compiler()
}

pub(super) fn check_compiler() -> Result<()> {
    Nvrtc::get().map(|_| ())
}

/// The program, and the files of the module that it includes.
fn pump(source: &[(String, String)]) -> Result<(String, &[(String, String)])> {
    let Some(((_, root), files)) = source.split_first() else {
        return Err(Error::Unsupported("the module has no CUDA source; build it with rkc".into()));
    };
    Ok((format!("{root}\n#include <ringkernel/cuda/pump.cuh>\n"), files))
}

fn definitions(actor: &str, scratch: &str, lanes: u32) -> [String; 3] {
    [format!("-DRK_LANES={lanes}"), format!("-DRK_PUMP_ACTOR={actor}"), format!("-DRK_SCRATCH_BYTES={scratch}")]
}

/// Compiles `root` with the library's headers and `files`, unless that was done before.
fn cached(root: &str, files: &[(String, String)], own: &[String], capability: (i32, i32)) -> Result<Vec<u8>> {
    let arch = format!("sm_{}{}", capability.0, capability.1);
    let mut options = vec![format!("--gpu-architecture={arch}"), "-std=c++17".into(), "-lineinfo".into()];
    options.extend_from_slice(own);
    let nvrtc = Nvrtc::get()?;
    let place = cache_file(&[
        &format!("nvrtc {}.{}", nvrtc.version.0, nvrtc.version.1),
        &options.join(" "),
        root,
        &files.iter().map(|(name, text)| format!("{name}\n{text}\n")).collect::<String>(),
        &HEADERS.map(|(_, text)| text).join("\n"),
    ]);
    if let Some(code) = place.as_deref().and_then(read_cached) {
        return Ok(code);
    }
    let code = nvrtc.run(root, files, &options, &arch)?;
    if let Some(place) = place {
        // A cache that cannot be written is no reason to fail.
        let _stored = store(&place, &code);
    }
    Ok(code)
}

/// Where the result of compiling `parts` is kept: under `XDG_CACHE_HOME` unless `RINGKERNEL_CACHE` is `off`.
fn cache_file(parts: &[&str]) -> Option<PathBuf> {
    if std::env::var_os("RINGKERNEL_CACHE").is_some_and(|value| value == "off") {
        return None;
    }
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    let hash = |seed: u64| parts.iter().fold(seed, |hash, part| fnv1a(fnv1a(hash, part.as_bytes()), &[0]));
    Some(folder.join("ringkernel").join(format!("{:016x}{:016x}.cubin", hash(0xcbf2_9ce4_8422_2325), hash(0x9e37))))
}

fn fnv1a(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The code, followed in the file by a checksum.
fn read_cached(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(path).ok()?;
    let checksum = bytes.split_off(bytes.len().checked_sub(8)?);
    (fnv1a(0, &bytes).to_le_bytes() == checksum[..]).then_some(bytes)
}

/// Written aside and renamed: other processes see all of it or nothing.
fn store(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let aside = folder.join(format!(".{}-{number}", std::process::id()));
    std::fs::write(&aside, [code, &fnv1a(0, code).to_le_bytes()[..]].concat())?;
    std::fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles for any number of lanes, which needs no device but an NVRTC. Of one lane, for every generation of devices:
    /// tests/cuda/pumps.sh.
    #[test]
    fn pump_compiles_for_any_lanes() {
        if std::env::var_os("RINGKERNEL_CUDA_HOME").is_none() {
            println!("skipped: RINGKERNEL_CUDA_HOME does not say where an NVRTC is");
            return;
        }
        let actors = "#include <ringkernel/actor.h>\n#include \"fixture.rk.h\"\n".to_string();
        let fixture = "
            RK_MESSAGE(add, 1, rk_u64 value; rk_f32 more[100];)
            RK_MESSAGE(sum, 2, rk_u64 total;)
            RK_STATE(counter, rk_u64 total;)
            RK_SCRATCH(counter, rk_f32 parts[64];)
            RK_ON(counter, add) {
                rk_scratch(counter).parts[rk_lane() % 64u] = rk_msg.more[rk_lane() % 100u];
                rk_barrier();
                if (rk_lane() == 0u) rk_state.total += rk_msg.value;
                rk_barrier();
                RK_OUT(sum).total = rk_state.total;
                rk_reply(sum);
                rk_forward(rk_peer(1u), add);
                rk_count(0u, 1u);
            }
            RK_ACTOR(counter, RK_HANDLES(counter, add))";
        let source = [("module.cu".to_string(), actors), ("fixture.rk.h".to_string(), fixture.to_string())];
        for capability in [(7, 5), (8, 0), (9, 0), (10, 0)] {
            assert_eq!(&selftest(capability).expect("compiles")[1..4], b"ELF");
        }
        for (lanes, other) in [(32, (8, 0)), (100, (10, 0)), (1024, (7, 5))] {
            for capability in [(9, 0), other] {
                let target = Target { actor: "counter", scratch: 256, lanes, capability };
                let code = compile(&source, &target).expect("compiles");
                assert_eq!(&code[1..4], b"ELF");
            }
        }
        let broken = [source[0].clone(), ("fixture.rk.h".to_string(), format!("{fixture}\n\nint x = y;\n"))];
        let target = Target { actor: "counter", scratch: 256, lanes: 1, capability: (9, 0) };
        let error = compile(&broken, &target).expect_err("must not compile").to_string();
        assert!(error.contains("fixture.rk.h(18)"), "{error}");
    }
}
