//! Access tokens: JSON Web Tokens signed with HS256, with LiveKit's claims.
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far the clocks of issuer and verifier may differ, seconds.
pub const LEEWAY_S: u64 = 60;
/// Longest token that is looked at, bytes.
pub const TOKEN_MAX_BYTES: usize = 128 * 1024;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Signs claims with the secret that belongs to `claims.iss`.
#[must_use]
pub fn sign(claims: &Claims, secret: &str) -> String {
    let payload = serde_json::to_vec(claims).expect("claims are plain data with text keys");
    let mut token = URL_SAFE_NO_PAD.encode(HEADER);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = hmac::sign(&key(secret), token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// Checks algorithm, signature and times. `key_lookup` gives the secret of an API key (`iss`). A missing `exp` means
/// that the token does not expire, as with LiveKit's server.
///
/// # Errors
/// What is wrong with the token; never says anything about the secret.
pub fn verify(token: &str, key_lookup: &dyn Fn(&str) -> Option<String>, now_unix_s: u64) -> Result<Claims, JwtError> {
    let claims = decode_unverified(token)?;
    let secret = key_lookup(&claims.iss).ok_or_else(|| JwtError::UnknownKey(claims.iss.clone()))?;
    let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtError::Malformed)?;
    hmac::verify(&key(&secret), signed.as_bytes(), &signature).map_err(|_| JwtError::Signature)?;
    if claims.exp.is_some_and(|exp| now_unix_s > exp.saturating_add(LEEWAY_S)) {
        return Err(JwtError::Expired);
    }
    if claims.nbf.is_some_and(|nbf| now_unix_s.saturating_add(LEEWAY_S) < nbf) {
        return Err(JwtError::NotYetValid);
    }
    Ok(claims)
}

/// Reads the claims without checking signature or times: for clients, which have no secret.
///
/// # Errors
/// `Malformed` or `Algorithm`.
pub fn decode_unverified(token: &str) -> Result<Claims, JwtError> {
    if token.len() > TOKEN_MAX_BYTES {
        return Err(JwtError::Malformed);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(JwtError::Malformed);
    };
    let header: Header = json(header)?;
    if header.alg != "HS256" {
        return Err(JwtError::Algorithm(header.alg));
    }
    json(payload)
}

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three base64url parts of JSON with the right types.
    #[error("malformed token")]
    Malformed,
    /// Anything but HS256.
    #[error("token algorithm is {0:?}, not HS256")]
    Algorithm(String),
    /// Nobody knows the issuer.
    #[error("invalid API key: {0}")]
    UnknownKey(String),
    /// Signed with another secret, or changed.
    #[error("token signature does not match")]
    Signature,
    /// Past `exp`.
    #[error("token is expired")]
    Expired,
    /// Before `nbf`.
    #[error("token is not valid yet")]
    NotYetValid,
}

/// The claims of an access token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Claims {
    /// API key.
    pub iss: String,
    /// Identity of the participant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// Stands in for `sub` in old tokens.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// Not valid before, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Not valid after, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// Display name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Application data of the participant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// Attributes of the participant.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Kind of the participant (`standard`, `agent`, ...).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Base64 of the SHA-256 of a signed body (web hooks).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// What the token grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoGrant>,
    /// What TRTC tickets said: our own claim, which LiveKit's server and clients ignore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trtc: Option<TicketGrant>,
}

/// What of TRTC's tickets LiveKit's grant cannot say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TicketGrant {
    /// The application whose room it is.
    pub sdk_app_id: u32,
    /// 20 anchor, 21 audience.
    pub role: i32,
    /// Bits of [`crate::ticket::Privileges`].
    pub privileges: u32,
    /// The last second of the UserSig, Unix time.
    pub sig_expires_at_s: u64,
    /// The last second of the PrivateMapKey; `None` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_expires_at_s: Option<u64>,
}

impl TicketGrant {
    /// The last second at which the tickets let their holder in.
    #[must_use]
    pub fn expires_at_s(&self) -> u64 {
        self.sig_expires_at_s.min(self.key_expires_at_s.unwrap_or(u64::MAX))
    }
}

impl Claims {
    /// The participant's identity: `sub`, or `jti` of old tokens; empty when neither is there.
    #[must_use]
    pub fn identity(&self) -> &str {
        if self.sub.is_empty() { &self.jti } else { &self.sub }
    }
}

/// Rights in rooms. The three-state rights mean "allowed" when absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VideoGrant {
    /// May join `room`.
    #[serde(skip_serializing_if = "is_false")]
    pub room_join: bool,
    /// The room, for `room_join` and `room_admin`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// May publish tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// May receive tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// May send data; follows `can_publish` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// When not empty, only these: `camera`, `microphone`, `screen_share`, `screen_share_audio`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    /// May change its own name, metadata and attributes; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// Others do not see the participant.
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
    /// The participant records.
    #[serde(skip_serializing_if = "is_false")]
    pub recorder: bool,
    /// The participant is an agent.
    #[serde(skip_serializing_if = "is_false")]
    pub agent: bool,
    /// May receive metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe_metrics: Option<bool>,
    /// Room to forward to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination_room: String,
    /// May create and delete rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_create: bool,
    /// May list rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_list: bool,
    /// May manage `room`.
    #[serde(skip_serializing_if = "is_false")]
    pub room_admin: bool,
    /// May start recordings.
    #[serde(skip_serializing_if = "is_false")]
    pub room_record: bool,
    /// May manage ingress.
    #[serde(skip_serializing_if = "is_false")]
    pub ingress_admin: bool,
}

impl VideoGrant {
    /// May publish at all.
    #[must_use]
    pub fn publishes(&self) -> bool {
        self.can_publish.unwrap_or(true)
    }

    /// May publish from this source, named as in `can_publish_sources`.
    #[must_use]
    pub fn publishes_source(&self, source: &str) -> bool {
        self.publishes()
            && (self.can_publish_sources.is_empty() || self.can_publish_sources.iter().any(|s| s == source))
    }

    /// May receive tracks.
    #[must_use]
    pub fn subscribes(&self) -> bool {
        self.can_subscribe.unwrap_or(true)
    }

    /// May send data.
    #[must_use]
    pub fn publishes_data(&self) -> bool {
        self.can_publish_data.unwrap_or_else(|| self.publishes())
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

fn json<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, JwtError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| JwtError::Malformed)
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "secretsecretsecretsecretsecretse";

    fn claims() -> Claims {
        Claims {
            iss: "devkey".into(),
            sub: "alice".into(),
            exp: Some(1000),
            nbf: Some(500),
            video: Some(VideoGrant { room_join: true, room: "n/1".into(), ..VideoGrant::default() }),
            ..Claims::default()
        }
    }

    fn keys(key: &str) -> Option<String> {
        (key == "devkey").then(|| SECRET.to_owned())
    }

    #[test]
    fn rfc_7515_appendix_a1_key_gives_its_signature() {
        // The RFC's key is bytes, so check the HMAC itself on the RFC's signing input.
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), input.as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.encode(tag), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    #[test]
    fn signs_and_verifies() {
        let token = sign(&claims(), SECRET);
        assert_eq!(verify(&token, &keys, 700), Ok(claims()));
        assert_eq!(decode_unverified(&token), Ok(claims()));
        assert_eq!(token, sign(&claims(), SECRET), "equal claims give equal tokens");
    }

    #[test]
    fn a_token_of_livekit_server_1_13_5_verifies() {
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJkZXZrZXkiLCJzdWIiOiJyYXcxIiwiZXhwIjoxNzk1MjQ5MjI0LCJuYmYiOjE3OTUyNDU2MjUsImlhdCI6MTc5NTI0NTYyNSwiaWRlbnRpdHkiOiJyYXcxIiwibmFtZSI6IlJhdyBPbmUiLCJraW5kIjoic3RhbmRhcmQiLCJ2aWRlbyI6eyJyb29tSm9pbiI6dHJ1ZSwicm9vbSI6InRhIiwiY2FuUHVibGlzaCI6dHJ1ZSwiY2FuU3Vic2NyaWJlIjp0cnVlLCJjYW5QdWJsaXNoRGF0YSI6dHJ1ZX0sIm1ldGFkYXRhIjoibWQxIiwiYXR0cmlidXRlcyI6eyJrIjoidiJ9fQ.aXfC6yUCcb674QRhiXYfZV5YkCqZZOygZRLKXUgif2Q";
        let claims = verify(token, &keys, 1_795_245_625).unwrap();
        assert_eq!((claims.identity(), claims.name.as_str(), claims.kind.as_str()), ("raw1", "Raw One", "standard"));
        let grant = claims.video.unwrap();
        assert!(grant.room_join && grant.room == "ta" && grant.can_publish == Some(true) && grant.publishes_data());
        assert_eq!(claims.attributes.get("k").map(String::as_str), Some("v"));
    }

    #[test]
    fn times_have_a_minute_of_leeway() {
        let token = sign(&claims(), SECRET);
        for (now, want) in
            [(439, Some(JwtError::NotYetValid)), (440, None), (1060, None), (1061, Some(JwtError::Expired))]
        {
            assert_eq!(verify(&token, &keys, now).err(), want, "{now}");
        }
        let forever = Claims { exp: None, nbf: None, ..claims() };
        assert!(verify(&sign(&forever, SECRET), &keys, u64::MAX).is_ok());
    }

    #[test]
    fn strangers_are_refused() {
        let token = sign(&claims(), SECRET);
        assert_eq!(verify(&sign(&claims(), "other"), &keys, 700), Err(JwtError::Signature));
        let other = Claims { iss: "x".into(), ..claims() };
        assert_eq!(verify(&sign(&other, SECRET), &keys, 700), Err(JwtError::UnknownKey("x".into())));
        for alg in ["none", "HS512", "RS256"] {
            let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}"}}"#));
            let forged = format!("{header}.{}", token.split_once('.').unwrap().1);
            assert_eq!(verify(&forged, &keys, 700), Err(JwtError::Algorithm(alg.into())));
        }
        for junk in ["", ".", "..", "a.b.c", "a.b.c.d", &token[..token.len() - 1].replace('.', "!"), "ä.ö.ü"] {
            assert!(verify(junk, &keys, 700).is_err(), "{junk}");
        }
        let cut = &token[..token.len() - 2];
        assert!(verify(cut, &keys, 700).is_err());
    }

    #[test]
    fn absent_rights_are_allowed_and_data_follows_publish() {
        let mut grant = VideoGrant::default();
        assert!(grant.publishes() && grant.subscribes() && grant.publishes_data());
        grant.can_publish = Some(false);
        assert!(!grant.publishes_data() && !grant.publishes_source("camera"));
        grant = VideoGrant { can_publish_sources: vec!["camera".into()], ..VideoGrant::default() };
        assert!(grant.publishes_source("camera") && !grant.publishes_source("microphone"));
    }
}
