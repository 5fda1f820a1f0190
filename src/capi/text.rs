//! Texts into callers' buffers.

use std::ffi::c_char;

use crate::error::{Error, Result};

/// Writes `text` and a NUL; nothing but an empty text if it does not fit.
///
/// # Safety
/// `buffer` is NULL or has room for `capacity` bytes, `length` is NULL or a place for a number.
pub(super) unsafe fn write(text: &str, buffer: *mut c_char, capacity: usize, length: *mut usize) -> Result<()> {
    if buffer.is_null() && capacity != 0 {
        return Err(Error::invalid("the buffer for the text is NULL but has a capacity"));
    }
    if !length.is_null() {
        // SAFETY: the caller's promise.
        unsafe { length.write_unaligned(text.len()) };
    }
    let fits = text.len() < capacity;
    if capacity > 0 {
        let shown = if fits { text } else { "" };
        // SAFETY: the caller's promise, and text and NUL are no more than the capacity.
        unsafe {
            buffer.cast::<u8>().copy_from_nonoverlapping(shown.as_ptr(), shown.len());
            buffer.add(shown.len()).write(0);
        }
    }
    if fits {
        Ok(())
    } else {
        let clamp = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Err(Error::Size { size: clamp(text.len().saturating_add(1)), limit: clamp(capacity) })
    }
}
