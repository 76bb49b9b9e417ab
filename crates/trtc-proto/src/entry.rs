//! The bodies of `POST /trtc/v1/token` and `POST /trtc/v1/role`: JSON, our own shapes, described in `docs/entry.md`.
use crate::ticket::TICKET_MAX_BYTES;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use trtc_types::{Code, Error, Result, Role, RoomId, UserId};

/// Where a ticket is exchanged for a token.
pub const TOKEN_PATH: &str = "/trtc/v1/token";
/// Where role and PrivateMapKey are changed.
pub const ROLE_PATH: &str = "/trtc/v1/role";
/// Longest body of either request, bytes: two tickets and the names.
pub const BODY_MAX_BYTES: usize = 16 * 1024;
/// The participant attribute that tells others the role: [`role_name`].
pub const ROLE_ATTRIBUTE: &str = "trtc.role";

/// Wants into a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The application.
    pub sdk_app_id: u32,
    /// Who.
    pub user: UserId,
    /// Its UserSig; not looked into here.
    pub user_sig: String,
    /// Where to.
    pub room: RoomId,
    /// As what.
    pub role: Role,
    /// What it may do there; empty for none.
    pub private_map_key: String,
}

impl TokenRequest {
    /// As sent by a client.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let room = match &self.room {
            RoomId::Number(number) => json!(number),
            RoomId::Text(text) => json!(&**text),
        };
        let mut body = json!({
            "sdkAppId": self.sdk_app_id,
            "userId": self.user.as_str(),
            "userSig": self.user_sig,
            "room": room,
            "role": self.role as i32,
        });
        if !self.private_map_key.is_empty() {
            body["privateMapKey"] = json!(self.private_map_key);
        }
        body.to_string().into_bytes()
    }

    /// As read by a server.
    ///
    /// # Errors
    /// The vendor's code of the field, and a sentence that names it and what is allowed.
    pub fn from_json(body: &[u8]) -> Result<Self> {
        let fields = Fields::read(body)?;
        Ok(Self {
            sdk_app_id: fields.app()?,
            user: UserId::new(fields.text("userId", 256).map_err(|e| e.with(Code::INVALID_USER_ID))?.unwrap_or(""))
                .map_err(|e| Error::new(e.code, e.message.replace("user_id", "userId")))?,
            user_sig: fields
                .text("userSig", TICKET_MAX_BYTES)
                .map_err(|e| e.with(Code::USER_SIG_CHECK_FAILED))?
                .filter(|sig| !sig.is_empty())
                .ok_or_else(|| Error::new(Code::INVALID_USER_SIG, "userSig is required: a UserSig of userId"))?
                .to_owned(),
            room: fields.room()?,
            role: fields.role()?.unwrap_or(Role::Anchor),
            private_map_key: fields.key()?,
        })
    }
}

/// Lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenResponse {
    /// Address of the WebSocket, without `/rtc`.
    pub url: String,
    /// A LiveKit token; with it every LiveKit client can enter.
    pub token: String,
    /// Name of the room on the wire.
    pub room: String,
    /// The role, as asked for.
    pub role: i32,
    /// Bits of [`crate::ticket::Privileges`].
    pub privileges: u32,
}

/// Wants another role, or brings another PrivateMapKey, or both. Who asks stands in the `Authorization: Bearer` token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleRequest {
    /// `None` keeps the role.
    pub role: Option<Role>,
    /// Empty for the one that is known.
    pub private_map_key: String,
}

impl RoleRequest {
    /// As sent by a client.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut body = json!({});
        if let Some(role) = self.role {
            body["role"] = json!(role as i32);
        }
        if !self.private_map_key.is_empty() {
            body["privateMapKey"] = json!(self.private_map_key);
        }
        body.to_string().into_bytes()
    }

    /// As read by a server.
    ///
    /// # Errors
    /// As [`TokenRequest::from_json`]; also when it asks for nothing.
    pub fn from_json(body: &[u8]) -> Result<Self> {
        let fields = Fields::read(body)?;
        let request = Self { role: fields.role()?, private_map_key: fields.key()? };
        if request == Self::default() {
            return Err(Error::invalid("one of role (20 anchor, 21 audience) and privateMapKey is required"));
        }
        Ok(request)
    }
}

/// The role and the rights from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleResponse {
    /// 20 anchor, 21 audience.
    pub role: i32,
    /// Bits of [`crate::ticket::Privileges`].
    pub privileges: u32,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The vendor's number.
    pub code: i32,
    /// A sentence; of a wrong field its name and what is allowed.
    pub message: String,
}

/// The value of [`ROLE_ATTRIBUTE`].
#[must_use]
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Anchor => "anchor",
        Role::Audience => "audience",
    }
}

struct Fields(Map<String, Value>);

/// A field of the wrong type or size; the code depends on which.
struct Wrong(String);

impl Wrong {
    fn with(self, code: Code) -> Error {
        Error::new(code, self.0)
    }
}

impl Fields {
    fn read(body: &[u8]) -> Result<Self> {
        if body.len() > BODY_MAX_BYTES {
            return Err(Error::invalid(format!("the body must be at most {BODY_MAX_BYTES} bytes")));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Error::invalid("the body must be a JSON object")),
            Err(e) => Err(Error::invalid(format!("the body must be a JSON object: {e}"))),
        }
    }

    fn text(&self, name: &str, most: usize) -> Result<Option<&str>, Wrong> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= most => Ok(Some(text)),
            Some(Value::String(text)) => Err(Wrong(format!("{name} must be at most {most} bytes, got {}", text.len()))),
            Some(_) => Err(Wrong(format!("{name} must be a string of at most {most} bytes"))),
        }
    }

    fn app(&self) -> Result<u32> {
        let id = self.0.get("sdkAppId").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        id.filter(|n| *n != 0)
            .ok_or_else(|| Error::new(Code::INVALID_SDK_APPID, "sdkAppId must be a number 1..=4294967295"))
    }

    /// A number is another room than the same digits as text.
    fn room(&self) -> Result<RoomId> {
        const ALLOWED: &str = "room must be a number 1..=4294967294 or a string of 1..=64 bytes";
        let said = |e: Error| {
            let rest = e.message.trim_start_matches("str_").trim_start_matches("room_id");
            Error::new(e.code, format!("room{rest}"))
        };
        match self.0.get("room") {
            Some(Value::Number(number)) => {
                let id = number.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
                RoomId::number(id).map_err(|_| Error::new(Code::INVALID_ROOM_ID, format!("{ALLOWED}, got {number}")))
            }
            Some(Value::String(text)) => RoomId::text(text).map_err(said),
            _ => Err(Error::new(Code::INVALID_ROOM_ID, ALLOWED)),
        }
    }

    fn role(&self) -> Result<Option<Role>> {
        match self.0.get("role") {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_i64()
                .and_then(|n| i32::try_from(n).ok())
                .and_then(|n| Role::try_from(n).ok())
                .map(Some)
                .ok_or_else(|| Error::invalid("role must be 20 (anchor) or 21 (audience)")),
        }
    }

    fn key(&self) -> Result<String> {
        let key = self.text("privateMapKey", TICKET_MAX_BYTES).map_err(|e| e.with(Code::INVALID_PRIVATE_MAPKEY))?;
        Ok(key.unwrap_or("").to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(room: RoomId) -> TokenRequest {
        TokenRequest {
            sdk_app_id: 1_400_000_001,
            user: UserId::new("ann").unwrap(),
            user_sig: "sig".into(),
            room,
            role: Role::Audience,
            private_map_key: "key".into(),
        }
    }

    #[test]
    fn requests_come_back_and_numbers_stay_numbers() {
        for room in [RoomId::number(123).unwrap(), RoomId::text("123").unwrap()] {
            let asked = request(room);
            assert_eq!(TokenRequest::from_json(&asked.to_json()), Ok(asked));
        }
        for asked in [
            RoleRequest { role: Some(Role::Anchor), private_map_key: String::new() },
            RoleRequest { role: None, private_map_key: "key".into() },
        ] {
            assert_eq!(RoleRequest::from_json(&asked.to_json()), Ok(asked));
        }
    }

    #[test]
    fn a_wrong_field_is_named_with_its_range_and_code() {
        let good: Value = serde_json::from_slice(&request(RoomId::number(1).unwrap()).to_json()).unwrap();
        for (field, value, code, says) in [
            ("sdkAppId", json!(0), Code::INVALID_SDK_APPID, "1..=4294967295"),
            ("sdkAppId", json!("1400000001"), Code::INVALID_SDK_APPID, "number"),
            ("sdkAppId", json!(4_294_967_296u64), Code::INVALID_SDK_APPID, "1..=4294967295"),
            ("userId", json!(""), Code::INVALID_USER_ID, "1..=256"),
            ("userId", json!("u".repeat(257)), Code::INVALID_USER_ID, "256"),
            ("userId", json!(7), Code::INVALID_USER_ID, "string"),
            ("userSig", json!(""), Code::INVALID_USER_SIG, "required"),
            ("userSig", json!("s".repeat(4097)), Code::USER_SIG_CHECK_FAILED, "4096"),
            ("room", json!(0), Code::INVALID_ROOM_ID, "1..=4294967294"),
            ("room", json!(4_294_967_295u64), Code::INVALID_ROOM_ID, "1..=4294967294"),
            ("room", json!(-1), Code::INVALID_ROOM_ID, "1..=4294967294"),
            ("room", json!(1.5), Code::INVALID_ROOM_ID, "1..=4294967294"),
            ("room", json!("n/1"), Code::INVALID_ROOM_ID, "64"),
            ("room", json!("a".repeat(65)), Code::INVALID_ROOM_ID, "64"),
            ("room", json!(null), Code::INVALID_ROOM_ID, "64"),
            ("role", json!(22), Code::INVALID_PARAMETER, "20"),
            ("role", json!("anchor"), Code::INVALID_PARAMETER, "20"),
            ("privateMapKey", json!("k".repeat(4097)), Code::INVALID_PRIVATE_MAPKEY, "4096"),
        ] {
            let mut body = good.clone();
            body[field] = value.clone();
            let error = TokenRequest::from_json(body.to_string().as_bytes()).unwrap_err();
            assert!(error.code == code && error.message.starts_with(field), "{field} {value}: {error}");
            assert!(error.message.contains(says), "{field} {value}: {error}");
        }
        for body in [&b""[..], b"[]", b"{", b"null", &[b' '; BODY_MAX_BYTES + 1]] {
            assert_eq!(TokenRequest::from_json(body).unwrap_err().code, Code::INVALID_PARAMETER);
        }
        assert!(RoleRequest::from_json(b"{}").unwrap_err().message.contains("role"));
    }
}
