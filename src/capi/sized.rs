//! Parameter structs begin with `uint32_t struct_size`. Fields are only appended: a shorter struct is an older host, a longer
//! one a newer host, whose unknown tail must be zero.
use std::mem::{align_of, size_of};
use trtc_types::{Code, Error, Result};

/// A host that claims more than this has not set `struct_size`.
const SIZE_MAX: usize = 65_536;

/// A struct of the header.
///
/// # Safety
/// `repr(C)`, begins with `struct_size: u32`, and every bit pattern of its fields is valid (integers, raw pointers, optional
/// function pointers).
pub(super) unsafe trait SizedStruct: Copy {
    /// Its name in the header.
    const NAME: &'static str;
    /// Size of its first version.
    const FIRST: usize;
    /// The documented defaults, with the full `struct_size`.
    fn defaults() -> Self;
}

/// Reads a struct of the host; fields that it does not know have their defaults.
///
/// # Safety
/// `from` is NULL or readable for the `struct_size` that it says.
pub(super) unsafe fn read<T: SizedStruct>(from: *const T, argument: &str) -> Result<T> {
    let size = check::<T>(from, argument)?;
    let mut value = T::defaults();
    let known = size.min(size_of::<T>());
    // SAFETY: both sides are valid for `known` bytes, and any bytes are a valid T.
    unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut value).cast::<u8>(), known) };
    // SAFETY: the host promises `size` readable bytes.
    let tail = unsafe { std::slice::from_raw_parts(from.cast::<u8>().add(known), size - known) };
    if tail.iter().any(|b| *b != 0) {
        let message = format!(
            "{argument}: fields after byte {known} of {} are unknown to this version and must be zero",
            T::NAME
        );
        return Err(Error::new(Code::STRUCT_SIZE, message));
    }
    Ok(value)
}

/// Writes a struct to the host, as much as it knows; its `struct_size` stays.
///
/// # Safety
/// `to` is NULL or writable for the `struct_size` that it says.
pub(super) unsafe fn write<T: SizedStruct>(to: *mut T, value: &T, argument: &str) -> Result<()> {
    let size = check::<T>(to, argument)?;
    let known = size.min(size_of::<T>());
    let head = size_of::<u32>();
    // SAFETY: both sides are valid for `known` bytes; the size field itself is skipped.
    unsafe {
        std::ptr::copy_nonoverlapping(
            std::ptr::from_ref(value).cast::<u8>().add(head),
            to.cast::<u8>().add(head),
            known - head,
        );
    }
    Ok(())
}

/// The body of the `trtc_x_init` functions: defaults for a host that knows `size` bytes of the struct.
///
/// # Safety
/// `to` is NULL or writable for `size` bytes.
pub(super) unsafe fn init<T: SizedStruct>(to: *mut T, size: u32) {
    let size = size as usize;
    if to.is_null() || !to.addr().is_multiple_of(align_of::<T>()) || !(T::FIRST..=SIZE_MAX).contains(&size) {
        return;
    }
    let value = T::defaults();
    let known = size.min(size_of::<T>());
    // SAFETY: the host promises `size` writable bytes; `known` bytes of `value` are readable.
    unsafe {
        std::ptr::write_bytes(to.cast::<u8>(), 0, size);
        std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), to.cast::<u8>(), known);
        to.cast::<u32>().write(size as u32);
    }
}

fn check<T: SizedStruct>(pointer: *const T, argument: &str) -> Result<usize> {
    if pointer.is_null() {
        return Err(Error::invalid(format!("{argument} must not be NULL")));
    }
    if !pointer.addr().is_multiple_of(align_of::<T>()) {
        return Err(Error::invalid(format!("{argument} must be aligned to {} bytes", align_of::<T>())));
    }
    // SAFETY: not NULL, aligned, and the host promises at least the size field.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    if (T::FIRST..=SIZE_MAX).contains(&size) {
        return Ok(size);
    }
    let message = format!("{argument}: struct_size of {} must be {}..={SIZE_MAX}, got {size}", T::NAME, T::FIRST);
    Err(Error::new(Code::STRUCT_SIZE, message))
}
