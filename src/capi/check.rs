//! Arguments within their ranges; the message names the argument and what is allowed.
use std::ops::RangeInclusive;
use trtc_types::{Error, Result};

pub(super) fn within(argument: &str, value: u32, range: RangeInclusive<u32>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("{argument} must be {}..={}, got {value}", range.start(), range.end())))
}

/// One of the header's constants.
pub(super) fn one_of<T: TryFrom<i32, Error = Error>>(argument: &str, value: i32) -> Result<T> {
    T::try_from(value).map_err(|e| Error::new(e.code, format!("{argument}: {}", e.message)))
}
