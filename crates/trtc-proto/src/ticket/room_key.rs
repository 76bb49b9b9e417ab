//! The binary inside a PrivateMapKey (`TLS.userbuf`): who may do what in which room. Integers are big-endian.
use std::ops::BitOr;
use trtc_types::{RoomId, UserId};

/// What the holder may do; a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Privileges(pub u32);

impl Privileges {
    /// Make the room by entering it.
    pub const CREATE_ROOM: Self = Self(1);
    /// Enter the room.
    pub const ENTER_ROOM: Self = Self(2);
    /// Send audio.
    pub const SEND_AUDIO: Self = Self(4);
    /// Receive audio.
    pub const RECEIVE_AUDIO: Self = Self(8);
    /// Send video of the main stream.
    pub const SEND_VIDEO: Self = Self(16);
    /// Receive video of main streams.
    pub const RECEIVE_VIDEO: Self = Self(32);
    /// Send the sub stream.
    pub const SEND_SUB_STREAM: Self = Self(64);
    /// Receive sub streams.
    pub const RECEIVE_SUB_STREAM: Self = Self(128);
    /// Everything.
    pub const ALL: Self = Self(255);

    /// Holds all of these.
    #[must_use]
    pub const fn allow(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

impl BitOr for Privileges {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The content of a PrivateMapKey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomKey {
    /// The holder.
    pub account: UserId,
    /// The application.
    pub sdk_app_id: u32,
    /// The only room that it opens.
    pub room: RoomId,
    /// The last second at which it is valid, Unix seconds.
    pub expires_at_s: u32,
    /// What it allows there.
    pub privileges: Privileges,
}

const NUMERIC: u8 = 0;
const TEXT: u8 = 1;

impl RoomKey {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let account = self.account.as_str().as_bytes();
        let (version, number, text) = match &self.room {
            RoomId::Number(number) => (NUMERIC, *number, None),
            RoomId::Text(text) => (TEXT, 0, Some(text.as_bytes())),
        };
        let mut bytes = vec![version];
        put_text(&mut bytes, account);
        for word in [self.sdk_app_id, number, self.expires_at_s, self.privileges.0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        if let Some(text) = text {
            put_text(&mut bytes, text);
        }
        bytes
    }

    pub(super) fn from_bytes(mut bytes: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "TLS.userbuf is too short";
        let version = bytes.split_off_first().ok_or(SHORT)?;
        let account = take_text(&mut bytes).ok_or(SHORT)?;
        let mut word = || bytes.split_off(..4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes).ok_or(SHORT);
        let (sdk_app_id, number, expires_at_s, privileges, _account_type) =
            (word()?, word()?, word()?, word()?, word()?);
        let room = match *version {
            NUMERIC => RoomId::number(number),
            TEXT => RoomId::text(take_text(&mut bytes).ok_or(SHORT)?),
            _ => return Err("TLS.userbuf has an unknown version"),
        };
        if !bytes.is_empty() {
            return Err("TLS.userbuf is too long");
        }
        Ok(Self {
            account: UserId::new(account).map_err(|_| "TLS.userbuf has an invalid account")?,
            sdk_app_id,
            room: room.map_err(|_| "TLS.userbuf has an invalid room")?,
            expires_at_s,
            privileges: Privileges(privileges),
        })
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    // Ids have at most 64 bytes.
    bytes.extend((text.len() as u16).to_be_bytes());
    bytes.extend(text);
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let len = bytes.split_off(..2)?;
    let text = bytes.split_off(..usize::from(u16::from_be_bytes([len[0], len[1]])))?;
    std::str::from_utf8(text).ok()
}
