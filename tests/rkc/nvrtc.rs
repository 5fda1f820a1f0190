//! NVRTC, opened where it is: a test should not need it to be linked.

use crate::tools::INCLUDE;
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

type Program = *mut c_void;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Text = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

/// The dialect's headers, under the names that they include each other by.
pub fn dialect() -> impl Iterator<Item = (String, String)> {
    ["actor.h", "module.h", "dialect_c.h", "cuda/context.cuh"].into_iter().map(|name| {
        let name = format!("ringkernel/{name}");
        let text = std::fs::read_to_string(Path::new(INCLUDE).join(&name)).unwrap();
        (name, text)
    })
}

/// PTX of `source`, which includes `headers` (name and text), or what NVRTC has to say.
pub fn compile(home: &Path, source: &str, headers: &[(String, String)]) -> Result<String, String> {
    let library = open(home);
    let c_string = |text: &str| CString::new(text).unwrap();
    let names: Vec<CString> = headers.iter().map(|(name, _)| c_string(name)).collect();
    let texts: Vec<CString> = headers.iter().map(|(_, text)| c_string(text)).collect();
    let options = ["--gpu-architecture=compute_90", "-std=c++17"].map(c_string);
    let pointers = |strings: &[CString]| strings.iter().map(|string| string.as_ptr()).collect::<Vec<_>>();

    // SAFETY: the types are those of nvrtc.h, every string and array outlives the calls, and the sizes are NVRTC's own.
    unsafe {
        let create: Create = std::mem::transmute(symbol(library, c"nvrtcCreateProgram"));
        let compile: Compile = std::mem::transmute(symbol(library, c"nvrtcCompileProgram"));
        let text = |size: &CStr, get: &CStr, program| {
            let size: Size = std::mem::transmute(symbol(library, size));
            let get: Text = std::mem::transmute(symbol(library, get));
            let mut bytes = 0;
            assert_eq!(size(program, &mut bytes), 0);
            let mut buffer = vec![0u8; bytes.max(1)];
            assert_eq!(get(program, buffer.as_mut_ptr().cast()), 0);
            CStr::from_bytes_until_nul(&buffer).unwrap().to_string_lossy().into_owned()
        };
        let mut program = null_mut();
        let (source, file) = (c_string(source), c"actors.cu");
        let created = create(
            &mut program,
            source.as_ptr(),
            file.as_ptr(),
            headers.len() as c_int,
            pointers(&texts).as_ptr(),
            pointers(&names).as_ptr(),
        );
        assert_eq!(created, 0, "nvrtcCreateProgram");
        if compile(program, options.len() as c_int, pointers(&options).as_ptr()) != 0 {
            return Err(text(c"nvrtcGetProgramLogSize", c"nvrtcGetProgramLog", program));
        }
        Ok(text(c"nvrtcGetPTXSize", c"nvrtcGetPTX", program))
    }
}

/// The library, with its builtins, which it looks for by name only, opened before it.
fn open(home: &Path) -> *mut c_void {
    let folder = ["lib", "lib64"].map(|lib| home.join(lib)).into_iter().find(|lib| lib.is_dir());
    let folder = folder.unwrap_or_else(|| panic!("{} has no lib", home.display()));
    let starting_with = |prefix: &str| {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let is = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(prefix);
        entries.filter(is).min().unwrap_or_else(|| panic!("{} has no {prefix}", folder.display()))
    };
    let open = |path: PathBuf| {
        let path = CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
        // SAFETY: NVIDIA's libraries do nothing of note when loaded.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        assert!(!library.is_null(), "cannot open {path:?}");
        library
    };
    open(starting_with("libnvrtc-builtins.so"));
    open(starting_with("libnvrtc.so"))
}

/// # Safety
/// `library` is open.
unsafe fn symbol(library: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: as the caller promises.
    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!symbol.is_null(), "{name:?}");
    symbol
}
