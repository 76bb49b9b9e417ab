//! TRTC's two tickets, UserSig ("who") and PrivateMapKey ("what in which room"): one container of JSON, HMAC-SHA256, zlib and a
//! Base64 alphabet of its own. Both are checked by the server and made where the secret key is, never in an app.
//!
//! A PrivateMapKey is a UserSig with a [`RoomKey`] in its `TLS.userbuf`; neither passes for the other.
mod room_key;

pub use room_key::{Privileges, RoomKey};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Decompress, FlushDecompress, Status, write::ZlibEncoder};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use trtc_types::{RoomId, UserId};

/// Longest ticket that is looked at, bytes.
pub const TICKET_MAX_BYTES: usize = 4096;
/// Longest JSON inside, bytes; a ticket that inflates to more is refused.
pub const JSON_MAX_BYTES: usize = 8192;
/// How far in the future a ticket may have been issued: clocks differ.
pub const SKEW_MAX_S: u64 = 300;
const VERSION: &str = "2.0";

/// What a ticket says about its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The holder.
    pub user: UserId,
    /// The application.
    pub sdk_app_id: u32,
    /// Unix seconds.
    pub issued_at_s: u64,
    /// Seconds that it is valid from then.
    pub expire_s: u64,
}

impl Ticket {
    /// A UserSig, signed with the application's secret key (used as text, although it looks like hexadecimal).
    #[must_use]
    pub fn sign_user_sig(&self, secret_key: &str) -> String {
        self.seal(secret_key, None)
    }

    /// A PrivateMapKey for a room.
    #[must_use]
    pub fn sign_private_map_key(&self, secret_key: &str, room: RoomId, privileges: Privileges) -> String {
        let key = RoomKey {
            account: self.user.clone(),
            sdk_app_id: self.sdk_app_id,
            room,
            expires_at_s: u32::try_from(self.expires_at_s()).unwrap_or(u32::MAX),
            privileges,
        };
        self.seal(secret_key, Some(STANDARD.encode(key.to_bytes())))
    }

    /// The last second at which it is valid.
    #[must_use]
    pub fn expires_at_s(&self) -> u64 {
        self.issued_at_s.saturating_add(self.expire_s)
    }

    fn seal(&self, secret_key: &str, userbuf: Option<String>) -> String {
        let mut json = Json {
            version: VERSION.to_owned(),
            identifier: self.user.as_str().to_owned(),
            sdk_app_id: self.sdk_app_id.into(),
            expire_s: self.expire_s,
            issued_at_s: self.issued_at_s,
            userbuf,
            signature: String::new(),
        };
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret_key.as_bytes()), json.signed().as_bytes());
        json.signature = STANDARD.encode(signature);
        let json = serde_json::to_vec(&json).expect("plain data with text keys");
        let mut zlib = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        let deflated = zlib.write_all(&json).and_then(|()| zlib.finish()).expect("writing to memory");
        to_ticket_alphabet(&STANDARD.encode(deflated))
    }
}

/// Checks a UserSig of this user for this application.
///
/// # Errors
/// What is wrong with it; never says anything about the key.
pub fn verify_user_sig(sig: &str, expected: &Expected<'_>) -> Result<Ticket, TicketError> {
    let (ticket, userbuf) = open(sig, expected)?;
    userbuf.map_or(Ok(ticket), |_| Err(TicketError::NotAUserSig))
}

/// Checks a PrivateMapKey of this user for this application. Whether it is for the wanted room and act is for the caller to ask
/// [`RoomKey`].
///
/// # Errors
/// What is wrong with it; never says anything about the key.
pub fn verify_private_map_key(key: &str, expected: &Expected<'_>) -> Result<RoomKey, TicketError> {
    let (ticket, userbuf) = open(key, expected)?;
    let userbuf = userbuf.ok_or(TicketError::NotAPrivateMapKey)?;
    let bytes = STANDARD.decode(userbuf).map_err(|_| TicketError::Malformed("TLS.userbuf is not Base64"))?;
    let room_key = RoomKey::from_bytes(&bytes).map_err(TicketError::Malformed)?;
    if room_key.account != ticket.user || room_key.sdk_app_id != ticket.sdk_app_id {
        return Err(TicketError::Malformed("TLS.userbuf belongs to another user or application"));
    }
    if u64::from(room_key.expires_at_s) < expected.now_s {
        return Err(TicketError::Expired);
    }
    Ok(room_key)
}

/// Who has to hold the ticket, and when.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Its holder.
    pub user: &'a UserId,
    /// The application.
    pub sdk_app_id: u32,
    /// The application's key.
    pub secret_key: &'a str,
    /// Unix seconds.
    pub now_s: u64,
}

fn open(text: &str, expected: &Expected<'_>) -> Result<(Ticket, Option<String>), TicketError> {
    if text.len() > TICKET_MAX_BYTES {
        return Err(TicketError::TooLong);
    }
    let deflated = STANDARD.decode(from_ticket_alphabet(text)).map_err(|_| TicketError::Malformed("not Base64"))?;
    let json: Json =
        serde_json::from_slice(&inflate(&deflated)?).map_err(|_| TicketError::Malformed("not the JSON of a ticket"))?;
    if json.version != VERSION {
        return Err(TicketError::Malformed("TLS.ver is not 2.0"));
    }
    let signature = STANDARD.decode(&json.signature).map_err(|_| TicketError::Malformed("TLS.sig is not Base64"))?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, expected.secret_key.as_bytes());
    hmac::verify(&key, json.signed().as_bytes(), &signature).map_err(|_| TicketError::Signature)?;
    if json.sdk_app_id != u64::from(expected.sdk_app_id) {
        return Err(TicketError::OtherApplication);
    }
    if json.identifier != expected.user.as_str() {
        return Err(TicketError::OtherUser);
    }
    let ticket = Ticket {
        user: expected.user.clone(),
        sdk_app_id: expected.sdk_app_id,
        issued_at_s: json.issued_at_s,
        expire_s: json.expire_s,
    };
    if ticket.issued_at_s > expected.now_s.saturating_add(SKEW_MAX_S) {
        return Err(TicketError::NotYetValid);
    }
    if ticket.expires_at_s() < expected.now_s {
        return Err(TicketError::Expired);
    }
    Ok((ticket, json.userbuf))
}

/// Inflates to at most [`JSON_MAX_BYTES`], whatever the ticket claims.
fn inflate(deflated: &[u8]) -> Result<Vec<u8>, TicketError> {
    let mut json = Vec::with_capacity(JSON_MAX_BYTES + 1);
    let status = Decompress::new(true).decompress_vec(deflated, &mut json, FlushDecompress::Finish);
    match status {
        _ if json.len() > JSON_MAX_BYTES => Err(TicketError::TooLong),
        Ok(Status::StreamEnd) => Ok(json),
        _ => Err(TicketError::Malformed("not zlib")),
    }
}

/// `-` stands for `/` here: this is not RFC 4648 base64url.
fn to_ticket_alphabet(base64: &str) -> String {
    base64
        .chars()
        .map(|c| match c {
            '+' => '*',
            '/' => '-',
            '=' => '_',
            c => c,
        })
        .collect()
}

fn from_ticket_alphabet(ticket: &str) -> String {
    ticket
        .chars()
        .map(|c| match c {
            '*' => '+',
            '-' => '/',
            '_' => '=',
            c => c,
        })
        .collect()
}

#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(rename = "TLS.ver")]
    version: String,
    #[serde(rename = "TLS.identifier")]
    identifier: String,
    #[serde(rename = "TLS.sdkappid")]
    sdk_app_id: u64,
    #[serde(rename = "TLS.expire")]
    expire_s: u64,
    #[serde(rename = "TLS.time")]
    issued_at_s: u64,
    #[serde(rename = "TLS.userbuf", default, skip_serializing_if = "Option::is_none")]
    userbuf: Option<String>,
    #[serde(rename = "TLS.sig")]
    signature: String,
}

impl Json {
    /// What is signed, in this order, which is not the usual one of the JSON.
    fn signed(&self) -> String {
        let mut text = format!(
            "TLS.identifier:{}\nTLS.sdkappid:{}\nTLS.time:{}\nTLS.expire:{}\n",
            self.identifier, self.sdk_app_id, self.issued_at_s, self.expire_s
        );
        if let Some(userbuf) = &self.userbuf {
            text.push_str(&format!("TLS.userbuf:{userbuf}\n"));
        }
        text
    }
}

/// Why a ticket was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Longer than [`TICKET_MAX_BYTES`], or than [`JSON_MAX_BYTES`] when inflated.
    #[error("ticket is too long")]
    TooLong,
    /// Not a ticket.
    #[error("malformed ticket: {0}")]
    Malformed(&'static str),
    /// Signed with another key, or changed.
    #[error("ticket signature does not match")]
    Signature,
    /// For another application.
    #[error("ticket is for another sdk_app_id")]
    OtherApplication,
    /// For another user.
    #[error("ticket is for another user")]
    OtherUser,
    /// Issued in the future.
    #[error("ticket is not valid yet")]
    NotYetValid,
    /// Too old.
    #[error("ticket is expired")]
    Expired,
    /// A PrivateMapKey where a UserSig is wanted.
    #[error("ticket is a PrivateMapKey, not a UserSig")]
    NotAUserSig,
    /// A UserSig where a PrivateMapKey is wanted.
    #[error("ticket is a UserSig, not a PrivateMapKey")]
    NotAPrivateMapKey,
}

#[cfg(test)]
mod tests;
