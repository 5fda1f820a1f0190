//! Module files, as `rkc --file` writes and `rk_module_load()` reads them.
//!
//! A header, a table of sections and the sections: shared objects that export one symbol, [`IMAGE_SYMBOL`]. Numbers are
//! in the byte order of the machine. A file is checked whole before any of it is used: sizes, checksum, every offset.

use crate::layout::{ModuleImage, LAYOUT_VERSION};
use bytemuck::{Pod, Zeroable};
use std::ffi::{c_void, CStr, CString};
use std::fs::File;
use std::io::{self, Write};
use std::mem::size_of;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;

/// First bytes of a module file.
pub const MAGIC: [u8; 8] = *b"RKMODULE";
/// Version of the structs below.
pub const FORMAT_VERSION: u32 = 1;
/// Name of the `const rk_module_image *const` in the shared object.
pub const IMAGE_SYMBOL: &CStr = c"rk_file_image";

/// [`Section::kind`]: an ELF shared object.
const SECTION_ELF: u32 = 1;

/// `e_machine` of the objects that run here, on the one processor that the library is for.
const MACHINE: u16 = libc::EM_X86_64;

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Header {
    magic: [u8; 8],
    format_version: u32,
    layout_version: u32,
    /// Of the whole file.
    size: u64,
    /// [`checksum`] of the whole file with zero here.
    checksum: u64,
    section_count: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Section {
    kind: u32,
    /// `e_machine` of the object.
    machine: u32,
    /// From the start of the file.
    offset: u64,
    size: u64,
}

/// What is wrong with a module file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Some other kind of file.
    #[error("not a module file: it does not start with \"RKMODULE\"")]
    BadMagic,
    /// Fewer bytes than there should be.
    #[error("truncated: {have} bytes of {want}")]
    Truncated {
        /// Bytes there are.
        have: u64,
        /// Bytes there should be.
        want: u64,
    },
    /// Something follows the end.
    #[error("{have} bytes, but the module ends after {want}")]
    TooLong {
        /// Bytes there are.
        have: u64,
        /// Bytes there should be.
        want: u64,
    },
    /// Written by another version of rkc.
    #[error("module file of format {0}, where this library reads format {FORMAT_VERSION}; rebuild it with rkc")]
    FormatVersion(u32),
    /// Written for another version of the library.
    #[error("module of layout {0}, where this library has layout {LAYOUT_VERSION}; rebuild it")]
    LayoutVersion(u32),
    /// Changed after it was written.
    #[error("corrupt: its checksum is {found:016x}, where {stated:016x} is stated")]
    Checksum {
        /// Of the bytes.
        found: u64,
        /// In the header.
        stated: u64,
    },
    /// The checksum holds, but the file contradicts itself.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// Nothing in it runs on this processor.
    #[error("built for another machine (ELF machine {found}; this is {MACHINE})")]
    Machine {
        /// `e_machine` of what is there.
        found: u32,
    },
    /// The system gave no memory or descriptor.
    #[error("cannot make a memory file for the module: {0}")]
    Memory(#[source] io::Error),
    /// The dynamic linker's words.
    #[error("cannot load the module: {0}")]
    Open(String),
    /// A shared object that rkc did not make.
    #[error("the module defines no image: {0}")]
    NoImage(String),
}

/// The 64-bit FNV-1a hash (Fowler, Noll and Vo), with `seed` the hash of what comes before.
///
/// Each step is a bijection of the state, so one changed byte always changes the result.
fn fnv1a(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Of a file whose header is `header`, and `rest` follows.
fn checksum(header: &Header, rest: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    let unsigned = Header { checksum: 0, ..*header };
    fnv1a(fnv1a(OFFSET_BASIS, bytemuck::bytes_of(&unsigned)), rest)
}

/// A file that holds the shared object `elf`.
///
/// # Errors
/// `elf` is no shared object.
pub fn pack(elf: &[u8]) -> Result<Vec<u8>, Error> {
    let offset = size_of::<Header>() + size_of::<Section>();
    let machine = u32::from(elf_machine(elf)?);
    let section = Section { kind: SECTION_ELF, machine, offset: offset as u64, size: elf.len() as u64 };
    let rest = [bytemuck::bytes_of(&section), elf].concat();
    let mut header = Header {
        magic: MAGIC,
        format_version: FORMAT_VERSION,
        layout_version: LAYOUT_VERSION,
        size: (size_of::<Header>() + rest.len()) as u64,
        checksum: 0,
        section_count: 1,
        reserved: 0,
    };
    header.checksum = checksum(&header, &rest);
    Ok([bytemuck::bytes_of(&header), &rest].concat())
}

/// Checks a file and finds the shared object in it that runs here.
///
/// # Errors
/// What is wrong with it.
pub fn parse(file: &[u8]) -> Result<&[u8], Error> {
    let have = file.len() as u64;
    let prefix = file.len().min(MAGIC.len());
    if file[..prefix] != MAGIC[..prefix] {
        return Err(Error::BadMagic);
    }
    let Some((header, rest)) = file.split_at_checked(size_of::<Header>()) else {
        return Err(Error::Truncated { have, want: size_of::<Header>() as u64 });
    };
    let header: Header = bytemuck::pod_read_unaligned(header);
    if header.format_version != FORMAT_VERSION {
        return Err(Error::FormatVersion(header.format_version));
    }
    if have < header.size {
        return Err(Error::Truncated { have, want: header.size });
    }
    if have > header.size {
        return Err(Error::TooLong { have, want: header.size });
    }
    let found = checksum(&header, rest);
    if found != header.checksum {
        return Err(Error::Checksum { found, stated: header.checksum });
    }
    if header.layout_version != LAYOUT_VERSION {
        return Err(Error::LayoutVersion(header.layout_version));
    }
    let table = (header.section_count as usize)
        .checked_mul(size_of::<Section>())
        .and_then(|size| rest.get(..size))
        .ok_or(Error::Malformed("its section table does not fit"))?;

    let mut other_machine = Error::Malformed("it has no shared object");
    for section in table.chunks_exact(size_of::<Section>()) {
        let section: Section = bytemuck::pod_read_unaligned(section);
        let data = range(&section)
            .filter(|range| range.start >= size_of::<Header>() + table.len())
            .and_then(|range| file.get(range))
            .ok_or(Error::Malformed("a section lies outside of it"))?;
        if section.kind == SECTION_ELF {
            if section.machine == u32::from(MACHINE) && elf_machine(data)? == MACHINE {
                return match has_its_segments(data) {
                    true => Ok(data),
                    false => Err(Error::Malformed("its shared object is cut short")),
                };
            }
            other_machine = Error::Machine { found: section.machine };
        }
    }
    Err(other_machine)
}

fn range(section: &Section) -> Option<Range<usize>> {
    let end = section.offset.checked_add(section.size)?;
    Some(usize::try_from(section.offset).ok()?..usize::try_from(end).ok()?)
}

/// `e_machine` of a 64-bit ELF shared object.
fn elf_machine(elf: &[u8]) -> Result<u16, Error> {
    let is_elf = elf.len() >= size_of::<libc::Elf64_Ehdr>() && elf.starts_with(b"\x7fELF\x02");
    let half = |at: usize| u16::from_ne_bytes([elf[at], elf[at + 1]]);
    if !is_elf || half(16) != libc::ET_DYN {
        return Err(Error::Malformed("its shared object is none"));
    }
    Ok(half(18))
}

/// Whether what the linker maps of it is there: it would only find out by a fault.
fn has_its_segments(elf: &[u8]) -> bool {
    // Offsets of e_phoff, e_phentsize and e_phnum; of p_offset and p_filesz.
    let half = |at: usize| usize::from(u16::from_ne_bytes([elf[at], elf[at + 1]]));
    let word = |bytes: &[u8], at: usize| bytes[at..at + 8].try_into().map_or(u64::MAX, u64::from_ne_bytes);
    let (size, count) = (half(54), half(56));
    if count == 0 {
        return true;
    }
    let segments = usize::try_from(word(elf, 32)).ok().and_then(|at| elf.get(at..at.checked_add(size * count)?));
    size == size_of::<libc::Elf64_Phdr>()
        && segments.is_some_and(|segments| {
            segments.chunks_exact(size).all(|segment| {
                let end = word(segment, 8).checked_add(word(segment, 32));
                end.is_some_and(|end| end <= elf.len() as u64)
            })
        })
}

/// A module file in memory, with its code mapped for as long as this lives.
#[derive(Debug)]
pub struct LoadedFile {
    image: NonNull<ModuleImage>,
    library: NonNull<c_void>,
    /// Kept open with the library: the linker knows it by the name `/proc/self/fd/N`, and would take the next file with
    /// that number for the same one.
    _memory: File,
}

// SAFETY: the image is constant, and dlclose() may be called from any thread.
unsafe impl Send for LoadedFile {}
// SAFETY: as above; `&self` gives nothing but the address of the image.
unsafe impl Sync for LoadedFile {}

impl LoadedFile {
    /// Checks a file and maps its code. Nothing of `file` is needed afterwards.
    ///
    /// # Errors
    /// What is wrong with it, or what the system refused.
    ///
    /// # Safety
    /// The file's constructors run here and its handlers later: it must come from someone trusted with that.
    pub unsafe fn load(file: &[u8]) -> Result<Self, Error> {
        let elf = parse(file)?;
        let memory = memory_file(elf).map_err(Error::Memory)?;
        let path = CString::new(format!("/proc/self/fd/{}", memory.as_raw_fd())).expect("no NUL in a number");
        // SAFETY: `path` is NUL-terminated; the caller vouches for the code.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let library = NonNull::new(library).ok_or_else(|| Error::Open(linker_error()))?;
        // Owned from here on: an error below unmaps it.
        let mut loaded = Self { image: NonNull::dangling(), library, _memory: memory };

        // SAFETY: the library is open and the name NUL-terminated.
        let symbol = unsafe { libc::dlsym(library.as_ptr(), IMAGE_SYMBOL.as_ptr()) };
        let symbol = NonNull::new(symbol).ok_or_else(|| Error::NoImage(linker_error()))?;
        // SAFETY: the symbol is rkc's, by its name: a pointer, aligned as the compiler aligns it.
        let image = unsafe { symbol.cast::<*mut ModuleImage>().read() };
        loaded.image = NonNull::new(image).ok_or_else(|| Error::NoImage("it is null".into()))?;
        Ok(loaded)
    }

    /// The `rk_module_image`, valid while `self` lives.
    #[must_use]
    pub fn image(&self) -> NonNull<ModuleImage> {
        self.image
    }
}

impl Drop for LoadedFile {
    fn drop(&mut self) {
        // SAFETY: dlopen() gave the handle and nothing else closes it.
        unsafe { libc::dlclose(self.library.as_ptr()) };
    }
}

/// The dynamic linker loads from files only; this one has no name on any disk.
fn memory_file(bytes: &[u8]) -> io::Result<File> {
    // SAFETY: the name is NUL-terminated.
    let fd = unsafe { libc::memfd_create(c"ringkernel-module".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and ours.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(bytes)?;
    Ok(file)
}

/// What the last dl… call of this thread complained about.
fn linker_error() -> String {
    // SAFETY: dlerror() gives NULL or a string that lives until the next dl… call of this thread.
    let text = unsafe { libc::dlerror().as_ref().map(|text| CStr::from_ptr(text)) };
    text.map_or_else(|| "no reason given".into(), |text| text.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As much of a shared object as the reader looks at itself.
    fn elf(machine: u16) -> Vec<u8> {
        let mut elf = vec![0; 200];
        elf[..5].copy_from_slice(b"\x7fELF\x02");
        elf[16..18].copy_from_slice(&libc::ET_DYN.to_ne_bytes());
        elf[18..20].copy_from_slice(&machine.to_ne_bytes());
        elf
    }

    fn packed() -> Vec<u8> {
        pack(&elf(MACHINE)).unwrap()
    }

    /// `file` with its header or section changed and a checksum that holds.
    fn forged(change: impl FnOnce(&mut Header, &mut Section)) -> Vec<u8> {
        let mut file = packed();
        let (head, rest) = file.split_at_mut(size_of::<Header>());
        let mut header: Header = bytemuck::pod_read_unaligned(head);
        let mut section: Section = bytemuck::pod_read_unaligned(&rest[..size_of::<Section>()]);
        change(&mut header, &mut section);
        rest[..size_of::<Section>()].copy_from_slice(bytemuck::bytes_of(&section));
        header.checksum = checksum(&header, rest);
        head.copy_from_slice(bytemuck::bytes_of(&header));
        file
    }

    #[test]
    fn hash_is_fnv1a() {
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        // From the authors' test vectors.
        assert_eq!(fnv1a(BASIS, b""), BASIS);
        assert_eq!(fnv1a(BASIS, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(BASIS, b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn what_was_packed_is_found() {
        assert_eq!(parse(&packed()).unwrap(), elf(MACHINE));
    }

    #[test]
    fn every_truncation_is_noticed() {
        let file = packed();
        for length in 0..file.len() {
            let error = parse(&file[..length]).unwrap_err();
            assert!(matches!(error, Error::Truncated { have, .. } if have == length as u64), "{length}: {error}");
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let file = packed();
        for at in 0..file.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut file = file.clone();
                file[at] ^= flip;
                let error = parse(&file).unwrap_err();
                let named = match at {
                    0..8 => matches!(error, Error::BadMagic),
                    8..12 => matches!(error, Error::FormatVersion(_)),
                    16..24 => matches!(error, Error::Truncated { .. } | Error::TooLong { .. }),
                    _ => matches!(error, Error::Checksum { .. }),
                };
                assert!(named, "byte {at}: {error}");
            }
        }
    }

    #[test]
    fn more_bytes_than_stated_are_refused() {
        let mut file = packed();
        file.push(0);
        assert!(matches!(parse(&file), Err(Error::TooLong { .. })));
    }

    #[test]
    fn another_layout_is_named() {
        let file = forged(|header, _| header.layout_version = 77);
        let error = parse(&file).unwrap_err();
        assert!(matches!(error, Error::LayoutVersion(77)), "{error}");
    }

    #[test]
    fn another_machine_is_named() {
        let file = pack(&elf(libc::EM_SPARCV9)).unwrap();
        let error = parse(&file).unwrap_err();
        assert!(matches!(error, Error::Machine { found } if found == u32::from(libc::EM_SPARCV9)), "{error}");
        // Section table and object must agree.
        let file = forged(|_, section| section.machine = 0);
        assert!(matches!(parse(&file), Err(Error::Machine { found: 0 })));
    }

    #[test]
    fn what_is_no_shared_object_is_not_packed() {
        for bytes in [&b""[..], b"\x7fELF\x02", &[0; 4096], &elf(MACHINE)[..63]] {
            assert!(matches!(pack(bytes), Err(Error::Malformed(_))));
        }
    }

    #[test]
    fn forged_sections_are_refused() {
        let size = packed().len() as u64;
        let ends = [0, 1, 39, 40, 63, 65, size - 1, size, size + 1, u64::MAX / 2, u64::MAX - 199, u64::MAX];
        for offset in ends {
            let file = forged(|_, section| section.offset = offset);
            assert!(matches!(parse(&file), Err(Error::Malformed(_))), "offset {offset}");
        }
        for length in [201, size, u64::MAX - 64, u64::MAX - 63, u64::MAX] {
            let file = forged(|_, section| section.size = length);
            assert!(matches!(parse(&file), Err(Error::Malformed(_))), "size {length}");
        }
        for count in [0, 20, 0x0aaa_aaab, u32::MAX] {
            let file = forged(|header, _| header.section_count = count);
            assert!(matches!(parse(&file), Err(Error::Malformed(_))), "count {count}");
        }
    }

    #[test]
    fn an_object_cut_short_is_refused() {
        let object = |offset: u64, length: u64, entry: u16| {
            let mut elf = elf(MACHINE);
            elf.resize(64, 0);
            elf[32..40].copy_from_slice(&64u64.to_ne_bytes());
            elf[54..56].copy_from_slice(&entry.to_ne_bytes());
            elf[56..58].copy_from_slice(&1u16.to_ne_bytes());
            elf.resize(64 + 56 + 100, 0);
            elf[64 + 8..64 + 16].copy_from_slice(&offset.to_ne_bytes());
            elf[64 + 32..64 + 40].copy_from_slice(&length.to_ne_bytes());
            pack(&elf).unwrap()
        };
        assert!(parse(&object(120, 100, 56)).is_ok());
        for (offset, length, entry) in
            [(120, 101, 56), (221, 0, 56), (u64::MAX, 2, 56), (0, u64::MAX, 56), (120, 100, 55)]
        {
            let file = object(offset, length, entry);
            assert!(matches!(parse(&file), Err(Error::Malformed(_))), "{offset} {length} {entry}");
        }
    }

    #[test]
    fn the_linkers_complaint_comes_through() {
        // SAFETY: the object has no segments, hence no code.
        let error = unsafe { LoadedFile::load(&packed()) }.unwrap_err();
        assert!(matches!(&error, Error::Open(text) if text.contains("/proc/self/fd/")), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn arbitrary_bytes_after_the_magic_are_refused(bytes: Vec<u8>) {
            prop_assert!(parse(&[&MAGIC[..], &bytes].concat()).is_err());
        }

        #[test]
        fn arbitrary_numbers_stay_inside(count: u32, kind: u32, machine: u32, offset: u64, size: u64) {
            let file = forged(|header, section| {
                header.section_count = count;
                *section = Section { kind, machine, offset, size };
            });
            prop_assert!(parse(&file).is_err());
        }

        #[test]
        fn sections_near_the_right_ones_stay_inside(count in 0..3u32, offset in 0..300u64, size in 0..300u64) {
            let file = forged(|header, section| {
                header.section_count = count;
                section.offset = offset;
                section.size = size;
            });
            let found = parse(&file);
            prop_assert!(found.is_err() || (count, offset) == (1, 64) && (64..=200).contains(&size));
        }
    }
}
