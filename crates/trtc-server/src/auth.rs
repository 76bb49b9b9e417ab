//! Who may join what: the token check before the upgrade, with the answers LiveKit's server gives.
use crate::config::ServerConfig;
use std::time::{SystemTime, UNIX_EPOCH};
use trtc_proto::jwt::{self, Claims, JwtError, LEEWAY_S, VideoGrant};
use trtc_proto::livekit::{TrackSource, TrackType};
use trtc_proto::ticket::Privileges;

const NAME_MAX_BYTES: usize = 256;

/// A refusal: HTTP status and plain text.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub text: String,
}

/// What a valid token says.
#[derive(Clone, Debug)]
pub struct Pass {
    pub claims: Claims,
    /// The application whose room it is.
    pub app: u32,
    pub identity: String,
    pub room: String,
    pub grant: VideoGrant,
}

impl Pass {
    /// What TRTC's tickets allow; all of it for a LiveKit token, whose grant says the rest.
    pub fn privileges(&self) -> Privileges {
        self.claims.trtc.as_ref().map_or(Privileges::ALL, |grant| Privileges(grant.privileges))
    }

    /// May receive such a track at all.
    pub fn receives(&self, kind: TrackType, source: TrackSource) -> bool {
        let right = match (source, kind) {
            (TrackSource::ScreenShare | TrackSource::ScreenShareAudio, _) => Privileges::RECEIVE_SUB_STREAM,
            (_, TrackType::Audio) => Privileges::RECEIVE_AUDIO,
            _ => Privileges::RECEIVE_VIDEO,
        };
        self.grant.subscribes() && self.privileges().allow(right)
    }
}

/// What a client of the WebSocket says beside its token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Optional; may not differ from the token's.
    pub room: Option<&'a str>,
    /// Comes back to a membership: the tickets were good when it began.
    pub resumes: bool,
}

/// Checks a token for joining a room.
pub fn check(config: &ServerConfig, token: Option<&str>, wanted: Wanted<'_>) -> Result<Pass, Refusal> {
    let refuse = |status, text: &str| Err(Refusal { status, text: text.to_owned() });
    let Some(token) = token.filter(|t| !t.is_empty()) else {
        return refuse(401, "no permissions to access the room");
    };
    let lookup = |key: &str| config.secret_of(key).map(str::to_owned);
    let claims = match jwt::verify(token, &lookup, unix_ms() / 1000) {
        Ok(claims) => claims,
        Err(JwtError::Malformed) => return refuse(401, "invalid authorization token"),
        Err(e @ JwtError::UnknownKey(_)) => return refuse(401, &e.to_string()),
        Err(e) => return refuse(401, &format!("invalid token, error: {e}")),
    };
    let Some(grant) = claims.video.clone() else {
        return refuse(401, "no permissions to access the room");
    };
    if !grant.room_join {
        return refuse(401, "permissions denied");
    }
    let identity = claims.identity().to_owned();
    if identity.is_empty() {
        return refuse(400, "identity cannot be empty");
    }
    if grant.room.is_empty() {
        return refuse(400, "no room name");
    }
    if identity.len() > NAME_MAX_BYTES {
        return refuse(400, "participant identity length exceeds limits: max length 256");
    }
    if grant.room.len() > NAME_MAX_BYTES {
        return refuse(400, "room name length exceeds limits: max length 256");
    }
    if wanted.room.is_some_and(|room| !room.is_empty() && room != grant.room) {
        return refuse(401, "permissions denied");
    }
    let app = claims.trtc.as_ref().map_or_else(|| config.default_app(), |ticket| ticket.sdk_app_id);
    if let Some(ticket) = &claims.trtc {
        if config.application(app).is_none() {
            return refuse(401, "the application of the token is not known here");
        }
        if !wanted.resumes && unix_ms() / 1000 > ticket.expires_at_s().saturating_add(LEEWAY_S) {
            return refuse(401, "the ticket of the token is expired");
        }
    }
    Ok(Pass { app, room: grant.room.clone(), claims, identity, grant })
}

/// A fresh token with the same rights, valid for an hour; clients reconnect with the newest one. Those of tickets can be used
/// for a new join no longer than the tickets.
pub fn refreshed(config: &ServerConfig, claims: &Claims) -> String {
    let now = unix_ms() / 1000;
    let claims = Claims { nbf: Some(now), exp: Some(now + 3600), ..claims.clone() };
    // With the key that it came with, for whoever else knows that key.
    jwt::sign(&claims, config.secret_of(&claims.iss).unwrap_or(&config.api_secret))
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(claims: &Claims, room: Option<&str>) -> String {
        let config = ServerConfig::dev(0, 0);
        match check(&config, Some(&jwt::sign(claims, &config.api_secret)), Wanted { room, resumes: false }) {
            Ok(pass) => format!("ok {} {}", pass.identity, pass.room),
            Err(refusal) => format!("{} {}", refusal.status, refusal.text),
        }
    }

    #[test]
    fn answers_are_those_of_the_real_server() {
        let config = ServerConfig::dev(0, 0);
        let grant = VideoGrant { room_join: true, room: "r".into(), ..VideoGrant::default() };
        let good = Claims { iss: "devkey".into(), sub: "u".into(), video: Some(grant.clone()), ..Claims::default() };
        assert_eq!(text(&good, None), "ok u r");
        assert_eq!(text(&Claims { sub: String::new(), jti: "j".into(), ..good.clone() }, None), "ok j r");
        assert_eq!(text(&good, Some("other")), "401 permissions denied");
        assert_eq!(text(&Claims { iss: "x".into(), ..good.clone() }, None), "401 invalid API key: x");
        assert_eq!(text(&Claims { sub: String::new(), ..good.clone() }, None), "400 identity cannot be empty");
        assert_eq!(text(&Claims { video: None, ..good.clone() }, None), "401 no permissions to access the room");
        let no_room = VideoGrant { room: String::new(), ..grant.clone() };
        assert_eq!(text(&Claims { video: Some(no_room), ..good.clone() }, None), "400 no room name");
        let no_join = VideoGrant { room_join: false, ..grant };
        assert_eq!(text(&Claims { video: Some(no_join), ..good.clone() }, None), "401 permissions denied");
        assert_eq!(
            text(&Claims { sub: "i".repeat(257), ..good.clone() }, None),
            "400 participant identity length exceeds limits: max length 256"
        );
        assert!(text(&Claims { exp: Some(1000), ..good.clone() }, None).contains("expired"));
        let any = Wanted::default();
        assert_eq!(check(&config, None, any).map(|_| ()).map_err(|r| r.status), Err(401));
        assert_eq!(
            check(&config, Some("abc"), any).map(|_| ()).map_err(|r| r.text),
            Err("invalid authorization token".into())
        );
        let again = refreshed(&config, &good);
        assert!(check(&config, Some(&again), any).is_ok());
    }
}
