//! Values of a configuration that check themselves where they are read, so that a refusal knows its line.
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// Something that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(secret)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own message would quote the value.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("must be a text")),
        }
    }
}

/// A whole number of seconds in a range.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seconds<const MIN: u64, const MAX: u64>(Duration);

impl<const MIN: u64, const MAX: u64> Seconds<MIN, MAX> {
    /// The number.
    #[must_use]
    pub fn secs(self) -> u64 {
        self.0.as_secs()
    }
}

impl<const MIN: u64, const MAX: u64> From<Duration> for Seconds<MIN, MAX> {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl<const MIN: u64, const MAX: u64> From<Seconds<MIN, MAX>> for Duration {
    fn from(seconds: Seconds<MIN, MAX>) -> Self {
        seconds.0
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Debug for Seconds<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Seconds<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.as_secs())
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Seconds<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole::<D, MIN, MAX>(deserializer).map(|seconds| Self(Duration::from_secs(seconds)))
    }
}

/// A count in a range.
///
/// # Errors
/// What is allowed.
pub fn count<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(deserializer: D) -> Result<usize, D::Error> {
    whole::<D, MIN, MAX>(deserializer).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

fn whole<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(deserializer: D) -> Result<u64, D::Error> {
    let number = match toml::Value::deserialize(deserializer)? {
        toml::Value::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    };
    let allowed = || D::Error::custom(format_args!("must be an integer from {MIN} to {MAX}"));
    number.filter(|n| (MIN..=MAX).contains(n)).ok_or_else(allowed)
}
