//! Text across the boundary: UTF-8, NUL-terminated, copied.
use super::out::Out;
use std::ffi::{CString, c_char};
use trtc_types::{Code, Error, Result, UserId};

/// Longest text taken from a host, in bytes.
const MAX: usize = 65_536;

/// A text that must be given.
///
/// # Safety
/// `text` is NULL or NUL-terminated.
pub(super) unsafe fn required(text: *const c_char, argument: &str) -> Result<String> {
    // SAFETY: passed on.
    unsafe { optional(text, argument) }?.ok_or_else(|| Error::invalid(format!("{argument} must not be NULL")))
}

/// A text that may be NULL.
///
/// # Safety
/// `text` is NULL or NUL-terminated.
pub(super) unsafe fn optional(text: *const c_char, argument: &str) -> Result<Option<String>> {
    if text.is_null() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    loop {
        // SAFETY: no byte before this one was NUL, so this one belongs to the text.
        let byte = unsafe { text.add(bytes.len()).cast::<u8>().read() };
        if byte == 0 {
            break;
        }
        if bytes.len() >= MAX {
            return Err(Error::invalid(format!("{argument} must be at most {MAX} bytes")));
        }
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::new(Code::NOT_UTF8, format!("{argument} must be UTF-8")))?;
    Ok(Some(text))
}

/// A user id.
///
/// # Safety
/// `text` is NULL or NUL-terminated.
pub(super) unsafe fn user(text: *const c_char, argument: &str) -> Result<UserId> {
    // SAFETY: passed on.
    UserId::new(&unsafe { required(text, argument) }?)
}

/// Writes text and its NUL to the host's buffer; `need` (may be NULL) gets the size with the NUL.
///
/// # Safety
/// `buffer` is NULL or writable for `size` bytes; `need` is NULL or writable.
pub(super) unsafe fn write(text: &str, buffer: *mut c_char, size: u32, need: *mut u32) -> Result<()> {
    let bytes = text.as_bytes();
    let wanted = bytes.len() + 1;
    // SAFETY: passed on.
    unsafe { Out::optional(need, "out_need_bytes") }?.put(u32::try_from(wanted).unwrap_or(u32::MAX));
    if buffer.is_null() || (size as usize) < wanted {
        return Err(Error::new(
            Code::BUFFER_TOO_SMALL,
            format!("buffer must hold {wanted} bytes, size_bytes is {size}"),
        ));
    }
    // SAFETY: the buffer is writable for `size` bytes, which is at least `wanted`.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast::<u8>(), bytes.len());
        buffer.add(bytes.len()).write(0);
    }
    Ok(())
}

/// Text for a callback; NUL bytes in it become spaces.
pub(super) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}
