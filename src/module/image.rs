//! Reading a `rk_module_image`. It comes from `rkc`, so pointers are trusted to point to what they say; everything that can
//! be checked without that trust is.

use std::collections::BTreeMap;
use std::ffi::{c_char, CStr};
use std::sync::atomic::AtomicUsize;

use super::{ActorType, Module};
use crate::error::{Error, Result};
use crate::layout::{
    ModuleImage, LAYOUT_VERSION, PAYLOAD_MAX, SCRATCH_MAX, SECTION_CUDA_CUBIN, SECTION_CUDA_PTX, SECTION_CUDA_SOURCE,
    SECTION_SPIRV, STATE_MAX, TYPE_MAX,
};

/// Most entries of any table of an image; more is no image.
const TABLE_MAX: u32 = 65536;

/// # Safety
/// `image` is NULL or points to an image whose pointers are NULL or to as many things as its counts say.
pub(super) unsafe fn read(image: *const ModuleImage) -> Result<Module> {
    let bad = |text: String| Error::BadImage(text);
    if image.is_null() {
        return Err(Error::invalid("image is NULL"));
    }
    if !image.is_aligned() {
        return Err(bad("it is not aligned".into()));
    }
    // The first two fields are where every layout has them.
    // SAFETY: the caller's promise; eight bytes are read.
    let (size, layout) = unsafe { ((*image).struct_size, (*image).layout_version) };
    if layout != LAYOUT_VERSION {
        return Err(Error::Layout { module: layout, library: LAYOUT_VERSION });
    }
    if size as usize != size_of::<ModuleImage>() {
        return Err(bad(format!("its struct_size is {size}, not {}", size_of::<ModuleImage>())));
    }
    // SAFETY: the image says that it has this layout, all of it.
    let image = unsafe { &*image };
    // SAFETY: the caller's promise, here and below.
    let name = unsafe { text(image.name, "the module's name") }?;
    // SAFETY: as above.
    let actors = unsafe { table(image.actors, image.actor_count, "actor") }?;
    // SAFETY: as above.
    let messages = unsafe { table(image.messages, image.message_count, "message") }?;
    // SAFETY: as above.
    let sections = unsafe { table(image.sections, image.section_count, "section") }?;
    if actors.is_empty() {
        return Err(bad(format!("module {name} has no actors")));
    }

    for section in sections {
        // SAFETY: as above.
        let section_name = unsafe { text(section.name, "a section's name") }?;
        let known = [SECTION_CUDA_SOURCE, SECTION_CUDA_CUBIN, SECTION_CUDA_PTX, SECTION_SPIRV].contains(&section.kind);
        if !known || section.data.is_null() || section.size == 0 || section.size > isize::MAX as u64 {
            return Err(bad(format!("section {section_name} is of no kind, or empty, or too large")));
        }
    }

    let mut largest = 0;
    let mut names = BTreeMap::new();
    for message in messages {
        let what = "a message's name";
        // SAFETY: as above.
        let message_name = unsafe { text(message.name, what) }?;
        check_type(message.r#type, message.size).map_err(|why| bad(format!("message {message_name}: {why}")))?;
        largest = largest.max(message.size);
        names.insert(message.r#type, message_name);
    }
    let mut kinds: Vec<u32> = messages.iter().map(|message| message.r#type).collect();
    kinds.sort_unstable();
    if let Some(pair) = kinds.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(bad(format!("two messages have type {}", pair[0])));
    }

    let mut types = Vec::new();
    for actor in actors {
        // SAFETY: as above.
        let actor_name = unsafe { text(actor.name, "an actor's name") }?;
        let at = |why: String| bad(format!("actor {actor_name}: {why}"));
        if actor.state_size > STATE_MAX {
            return Err(at(format!("a state of {} bytes, {STATE_MAX} are possible", actor.state_size)));
        }
        if actor.scratch_size > SCRATCH_MAX {
            return Err(at(format!("scratch memory of {} bytes, {SCRATCH_MAX} are possible", actor.scratch_size)));
        }
        // SAFETY: as above.
        let handlers = unsafe { table(actor.handlers, actor.handler_count, "handler") }?;
        for (number, handler) in handlers.iter().enumerate() {
            check_type(handler.r#type, handler.size).map_err(&at)?;
            if !messages.iter().any(|message| message.r#type == handler.r#type && message.size == handler.size) {
                return Err(at(format!("message type {} is not in the module as it is handled", handler.r#type)));
            }
            if handler.run.is_none() {
                return Err(at(format!("message type {} has no handler function", handler.r#type)));
            }
            if handlers[..number].iter().any(|other| other.r#type == handler.r#type) {
                return Err(at(format!("message type {} has two handlers", handler.r#type)));
            }
            largest = largest.max(handler.size);
        }
        if types.iter().any(|other: &ActorType| other.name == actor_name) {
            return Err(bad(format!("two actors have the name {actor_name}")));
        }
        types.push(ActorType {
            name: actor_name,
            state_size: actor.state_size,
            scratch_size: actor.scratch_size,
            handlers: handlers.to_vec(),
        });
    }
    let (mut cuda_source, mut cuda_code, mut spirv) = (Vec::new(), Vec::new(), Vec::new());
    for section in sections {
        // SAFETY: as above.
        let section_name = unsafe { text(section.name, "a section's name") }?;
        // SAFETY: as above; size and pointer were checked before.
        let bytes = unsafe { std::slice::from_raw_parts(section.data.cast::<u8>(), section.size as usize) };
        match section.kind {
            SECTION_CUDA_SOURCE => cuda_source.push((section_name, String::from_utf8_lossy(bytes).into_owned())),
            SECTION_CUDA_CUBIN if !bytes.starts_with(b"\x7fELF") => {
                return Err(bad(format!("section {section_name} is no machine code")));
            }
            // The driver is not told how long it is: PTX ends with a NUL.
            SECTION_CUDA_CUBIN | SECTION_CUDA_PTX => cuda_code.push((section_name, [bytes, &[0]].concat())),
            SECTION_SPIRV => spirv.push((section_name, bytes.to_vec())),
            _ => {}
        }
    }
    Ok(Module {
        name,
        actors: types,
        cuda_source,
        cuda_code,
        spirv,
        messages: names.into(),
        largest_message: largest,
        kernels: AtomicUsize::new(0),
        _file: None,
    })
}

fn check_type(kind: u32, size: u32) -> std::result::Result<(), String> {
    if kind == 0 || kind > TYPE_MAX {
        return Err(format!("message type {kind} is not 1 to {TYPE_MAX}"));
    }
    if size > PAYLOAD_MAX {
        return Err(format!("message type {kind} has {size} bytes, {PAYLOAD_MAX} are possible"));
    }
    Ok(())
}

/// # Safety
/// `at` is NULL or NUL-terminated, for `'static` as far as the caller lets it.
unsafe fn text(at: *const c_char, what: &str) -> Result<String> {
    if at.is_null() {
        return Err(Error::BadImage(format!("{what} is NULL")));
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(at) };
    match text.to_str() {
        Ok("") => Err(Error::BadImage(format!("{what} is empty"))),
        Ok(text) => Ok(text.into()),
        Err(_) => Err(Error::BadImage(format!("{what} is not UTF-8"))),
    }
}

/// # Safety
/// `at` is NULL or points to `count` values that live as long as the image.
unsafe fn table<'a, T>(at: *const T, count: u32, what: &str) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if at.is_null() || !at.is_aligned() || count > TABLE_MAX {
        return Err(Error::BadImage(format!("its {count} {what}s are not where it says")));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(at, count as usize) })
}
