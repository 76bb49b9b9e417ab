//! Identifiers that cannot be malformed.
use crate::{Code, Error, Result};
use std::fmt;
use std::sync::Arc;

/// Longest user id in bytes. The vendor's generators stop at 32; LiveKit identities reach 256.
pub const USER_ID_MAX_BYTES: usize = 256;
/// Longest string room id in bytes (TRTC).
pub const ROOM_ID_MAX_BYTES: usize = 64;

/// A user id: 1 to 256 bytes of UTF-8 without control characters. LiveKit calls it identity.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Checks and keeps an id.
    ///
    /// # Errors
    /// `INVALID_USER_ID` when empty, longer than 256 bytes, or with control characters.
    pub fn new(id: &str) -> Result<Self> {
        if id.is_empty() || id.len() > USER_ID_MAX_BYTES || id.chars().any(char::is_control) {
            return Err(Error::new(
                Code::INVALID_USER_ID,
                format!(
                    "user_id must be 1..={USER_ID_MAX_BYTES} bytes without control characters, got {} bytes",
                    id.len()
                ),
            ));
        }
        Ok(Self(id.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A room. Numeric room 123 and string room "123" are different rooms.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoomId {
    /// 1..=4294967294.
    Number(u32),
    /// 1..=64 bytes of the vendor's 89 characters.
    Text(Arc<str>),
}

impl RoomId {
    /// A numeric room.
    ///
    /// # Errors
    /// `INVALID_ROOM_ID` outside 1..=4294967294.
    pub fn number(id: u32) -> Result<Self> {
        if id == 0 || id == u32::MAX {
            return Err(Error::new(Code::INVALID_ROOM_ID, format!("room_id must be 1..=4294967294, got {id}")));
        }
        Ok(Self::Number(id))
    }

    /// A string room.
    ///
    /// # Errors
    /// `INVALID_ROOM_ID` when empty, longer than 64 bytes, or with a character outside the vendor's set.
    pub fn text(id: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || " !#$%&()+-:;<=.>?@[]^_{}~,|".contains(c);
        if id.is_empty() || id.len() > ROOM_ID_MAX_BYTES || !id.chars().all(allowed) {
            return Err(Error::new(
                Code::INVALID_ROOM_ID,
                format!(
                    "str_room_id must be 1..={ROOM_ID_MAX_BYTES} bytes of a-z A-Z 0-9 space !#$%&()+-:;<=.>?@[]^_{{}}~,|"
                ),
            ));
        }
        Ok(Self::Text(id.into()))
    }

    /// The room of a name on the wire; LiveKit's own names may be no TRTC room at all.
    ///
    /// # Errors
    /// `INVALID_ROOM_ID`.
    pub fn from_wire_name(name: &str) -> Result<Self> {
        match name.strip_prefix("n/") {
            Some(digits) => Self::number(digits.parse().unwrap_or(0)).and_then(|id| {
                let same = id.wire_name() == name;
                if same { Ok(id) } else { Err(Error::new(Code::INVALID_ROOM_ID, "a numeric room is n/1..=4294967294")) }
            }),
            None => Self::text(name),
        }
    }

    /// The room's name on the wire: a string verbatim, a number as `n/123` (`/` is illegal in string ids).
    #[must_use]
    pub fn wire_name(&self) -> String {
        match self {
            Self::Number(n) => format!("n/{n}"),
            Self::Text(t) => t.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_text_rooms_differ_on_the_wire() {
        assert_eq!(RoomId::number(123).map(|r| r.wire_name()), Ok("n/123".into()));
        assert_eq!(RoomId::text("123").map(|r| r.wire_name()), Ok("123".into()));
        for name in ["n/123", "123", "a room"] {
            assert_eq!(RoomId::from_wire_name(name).map(|r| r.wire_name()), Ok(name.into()));
        }
        for name in ["n/0", "n/0123", "n/+1", "n/4294967295", "n/", "n/a", "a/b", ""] {
            assert!(RoomId::from_wire_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn bounds_are_exact() {
        assert!(RoomId::number(0).is_err() && RoomId::number(u32::MAX).is_err());
        assert!(RoomId::number(1).is_ok() && RoomId::number(u32::MAX - 1).is_ok());
        assert!(RoomId::text(&"a".repeat(64)).is_ok() && RoomId::text(&"a".repeat(65)).is_err());
        assert!(RoomId::text("n/1").is_err() && RoomId::text("").is_err());
        assert!(UserId::new(&"u".repeat(256)).is_ok() && UserId::new(&"u".repeat(257)).is_err());
        assert!(UserId::new("").is_err() && UserId::new("a\n").is_err());
    }
}
