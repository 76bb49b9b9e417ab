//! Results that leave by pointer.
use std::mem::align_of;
use trtc_types::{Error, Result};

/// A place of the host's for a result.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// A place that must be given.
    ///
    /// # Safety
    /// `to` is NULL, misaligned or writable, until the exported function returns.
    pub(super) unsafe fn required(to: *mut T, argument: &str) -> Result<Self> {
        if to.is_null() {
            return Err(Error::invalid(format!("{argument} must not be NULL")));
        }
        // SAFETY: passed on.
        unsafe { Self::optional(to, argument) }
    }

    /// A place that may be NULL.
    ///
    /// # Safety
    /// As [`Out::required`].
    pub(super) unsafe fn optional(to: *mut T, argument: &str) -> Result<Self> {
        if to.is_aligned() {
            return Ok(Self(to));
        }
        Err(Error::invalid(format!("{argument} must be aligned to {} bytes", align_of::<T>())))
    }

    /// Writes the result, unless the place is NULL.
    pub(super) fn put(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not NULL, aligned, and writable by the promise at construction.
            unsafe { self.0.write(value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_aligned_places_are_written() {
        let mut places = [7u32; 2];
        let odd = (&raw mut places).cast::<u8>().wrapping_add(1).cast::<u32>();
        // SAFETY: NULL, misaligned, or a live local.
        unsafe {
            assert!(Out::<u32>::required(std::ptr::null_mut(), "x").is_err());
            assert!(Out::required(odd, "x").is_err() && Out::optional(odd, "x").is_err());
            Out::<u32>::optional(std::ptr::null_mut(), "x").unwrap().put(1);
            Out::required(&raw mut places[0], "x").unwrap().put(9);
        }
        assert_eq!(places, [9, 7]);
    }
}
