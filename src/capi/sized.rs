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

#[cfg(test)]
mod tests {
    use super::*;

    /// A struct whose second version has `added`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Grown {
        struct_size: u32,
        first: u32,
        added: u32,
    }

    // SAFETY: repr(C), begins with struct_size, integers only.
    unsafe impl SizedStruct for Grown {
        const NAME: &'static str = "grown";
        const FIRST: usize = 8;
        fn defaults() -> Self {
            Self { struct_size: 12, first: 1, added: 2 }
        }
    }

    /// Five words of a host: the struct as it knows it, then its own memory.
    fn host(struct_size: u32) -> [u32; 5] {
        [struct_size, 10, 20, 0, 0xaaaa]
    }

    fn at(words: &mut [u32; 5]) -> *mut Grown {
        words.as_mut_ptr().cast()
    }

    #[test]
    fn an_older_host_is_read_and_written_only_as_far_as_it_knows() {
        let mut words = host(8);
        // SAFETY: live words, at least as many bytes as they say.
        unsafe {
            let read = read(at(&mut words), "x").unwrap();
            assert_eq!(read, Grown { struct_size: 8, first: 10, added: 2 });
            write(at(&mut words), &Grown { struct_size: 12, first: 11, added: 21 }, "x").unwrap();
            assert_eq!(words, [8, 11, 20, 0, 0xaaaa]);
            init(at(&mut words), 8);
            assert_eq!(words, [8, 1, 20, 0, 0xaaaa]);
        }
    }

    #[test]
    fn a_newer_host_has_a_tail_of_zeros() {
        let mut words = host(16);
        // SAFETY: as above.
        unsafe {
            assert_eq!(read(at(&mut words), "x").unwrap(), Grown { struct_size: 16, first: 10, added: 20 });
            words[3] = 1 << 31;
            let error = read(at(&mut words), "x").unwrap_err();
            assert_eq!(error.code, Code::STRUCT_SIZE);
            assert!(error.message.contains("after byte 12 of grown"), "{}", error.message);
            write(at(&mut words), &Grown::defaults(), "x").unwrap();
            assert_eq!(words, [16, 1, 2, 1 << 31, 0xaaaa]);
            init(at(&mut words), 16);
            assert_eq!(words, [16, 1, 2, 0, 0xaaaa]);
        }
    }

    #[test]
    fn impossible_sizes_and_places_are_refused() {
        for size in [0, 7, SIZE_MAX as u32 + 1, u32::MAX] {
            let mut words = host(size);
            // SAFETY: the size field is there, and nothing behind it is looked at.
            unsafe {
                assert_eq!(read(at(&mut words), "x").unwrap_err().code, Code::STRUCT_SIZE, "{size}");
                assert_eq!(write(at(&mut words), &Grown::defaults(), "x").unwrap_err().code, Code::STRUCT_SIZE);
                init(at(&mut words), size);
            }
            assert_eq!(words, host(size));
        }
        let mut words = host(12);
        let odd = at(&mut words).cast::<u8>().wrapping_add(1).cast::<Grown>();
        // SAFETY: refused before it is looked at.
        unsafe {
            for place in [std::ptr::null_mut(), odd] {
                assert_eq!(read(place, "x").unwrap_err().code, Code::INVALID_PARAMETER);
                init(place, 12);
            }
        }
        assert_eq!(words, host(12));
    }
}
