//! TRTC's way in: a token for tickets (`POST /trtc/v1/token`), another role or key for a member (`POST /trtc/v1/role`).
//! Shapes and codes are in `docs/entry.md`.
use crate::auth::{self, Wanted, unix_ms};
use crate::config::{Application, ServerConfig};
use crate::metrics::Metrics;
use crate::registry::Shared;
use crate::room::{RoleChange, RoomInput};
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::timeout;
use trtc_proto::entry::{
    BODY_MAX_BYTES, ErrorBody, ROLE_ATTRIBUTE, RoleRequest, TokenRequest, TokenResponse, role_name,
};
use trtc_proto::jwt::{self, Claims, TicketGrant, VideoGrant};
use trtc_proto::ticket::{self, Expected, Privileges, TicketError};
use trtc_types::{Code, Error, Result, Role, RoomId, UserId};

/// A token that nobody refreshes is good for so long.
const TOKEN_TTL_S: u64 = 3600;

/// `POST /trtc/v1/token`.
pub async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    let answer = match read(&shared, body).await {
        Ok(body) => TokenRequest::from_json(&body).and_then(|request| let_in(&shared, &headers, &request)),
        Err(error) => Err(error),
    };
    respond(&shared, answer)
}

/// `POST /trtc/v1/role`.
pub async fn role(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    let answer = match read(&shared, body).await {
        Ok(body) => change_role(&shared, &headers, &body).await,
        Err(error) => Err(error),
    };
    respond(&shared, answer)
}

async fn read(shared: &Shared, body: Body) -> Result<Vec<u8>> {
    match timeout(shared.config.request_timeout, to_bytes(body, BODY_MAX_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => Err(Error::invalid(format!("the body must be at most {BODY_MAX_BYTES} bytes"))),
        Err(_) => Err(Error::new(Code::REQUEST_SERVER_TIMEOUT, "the body did not come in time")),
    }
}

fn let_in(shared: &Shared, headers: &HeaderMap, request: &TokenRequest) -> Result<TokenResponse> {
    let now_s = unix_ms() / 1000;
    let application = shared
        .config
        .application(request.sdk_app_id)
        .ok_or_else(|| Error::new(Code::INVALID_SDK_APPID, "sdkAppId is not an application of this server"))?;
    let sig = ticket::verify_user_sig(&request.user_sig, &expected(application, &request.user, now_s))
        .map_err(|e| Error::new(Code::USER_SIG_CHECK_FAILED, format!("userSig: {e}")))?;
    let holder = Holder { user: &request.user, room: &request.room };
    let rights = holder.rights(application, &request.private_map_key, now_s)?;
    if !rights.privileges.allow(Privileges::ENTER_ROOM) {
        return Err(Error::new(Code::NO_RIGHT_TO_ENTER_ROOM, "privateMapKey does not allow to enter the room"));
    }
    let name = (request.sdk_app_id, request.room.wire_name());
    if shared.open_room(&name).is_none() && !rights.privileges.allow(Privileges::CREATE_ROOM) {
        return Err(Error::new(Code::NO_RIGHT_TO_CREATE_ROOM, "privateMapKey does not allow to create the room"));
    }
    if !shared.has_place(&name) {
        return Err(Error::new(Code::SERVER_PROCESS_FAILED, shared.why_no_place()));
    }
    let grant = TicketGrant {
        sdk_app_id: request.sdk_app_id,
        role: request.role as i32,
        privileges: rights.privileges.0,
        sig_expires_at_s: sig.expires_at_s(),
        key_expires_at_s: rights.key_expires_at_s,
    };
    let claims = Claims {
        iss: shared.config.api_key.clone(),
        sub: request.user.as_str().to_owned(),
        nbf: Some(now_s),
        exp: Some(grant.expires_at_s().min(now_s + TOKEN_TTL_S)),
        attributes: BTreeMap::from([(ROLE_ATTRIBUTE.to_owned(), role_name(request.role).to_owned())]),
        video: Some(video_grant(&name.1, request.role, rights.privileges)),
        trtc: Some(grant),
        ..Claims::default()
    };
    Ok(TokenResponse {
        url: websocket_url(&shared.config, headers),
        token: jwt::sign(&claims, &shared.config.api_secret),
        room: name.1,
        role: request.role as i32,
        privileges: rights.privileges.0,
    })
}

async fn change_role(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Result<trtc_proto::entry::RoleResponse> {
    let token = crate::http::bearer(headers);
    let pass = auth::check(&shared.config, token, Wanted { resumes: true, ..Wanted::default() })
        .map_err(|refusal| Error::new(Code::USER_SIG_CHECK_FAILED, refusal.text))?;
    if pass.claims.trtc.is_none() {
        return Err(Error::new(Code::REFUSED, "the token was not made by /trtc/v1/token"));
    }
    let request = RoleRequest::from_json(body)?;
    let gone = || Error::new(Code::REFUSED, "the user is not in the room");
    let room = shared.open_room(&(pass.app, pass.room.clone())).ok_or_else(gone)?;
    let key = if request.private_map_key.is_empty() {
        None
    } else {
        let application = shared.config.application(pass.app).ok_or_else(gone)?;
        let (user, room) = (UserId::new(&pass.identity)?, RoomId::from_wire_name(&pass.room)?);
        let holder = Holder { user: &user, room: &room };
        Some(holder.checked_key(application, &request.private_map_key, unix_ms() / 1000))
    };
    let (reply, answer) = oneshot::channel();
    let change = RoleChange { identity: pass.identity, role: request.role, key, reply };
    room.send(RoomInput::ChangeRole(Box::new(change))).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// What a PrivateMapKey, or its absence, allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    pub privileges: Privileges,
    pub key_expires_at_s: Option<u64>,
}

/// A PrivateMapKey that was given for a change of role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Good but for its time.
    Expired,
    Refused(Error),
}

struct Holder<'a> {
    user: &'a UserId,
    room: &'a RoomId,
}

impl Holder<'_> {
    fn rights(&self, application: &Application, key: &str, now_s: u64) -> Result<Rights> {
        if !key.is_empty() {
            return self.checked_key(application, key, now_s).map_err(|error| match error {
                KeyError::Expired => expired_key(),
                KeyError::Refused(error) => error,
            });
        }
        if application.advanced_permission_control {
            return Err(Error::new(
                Code::INVALID_PRIVATE_MAPKEY,
                "privateMapKey is required: the application has advanced permission control switched on",
            ));
        }
        Ok(Rights { privileges: Privileges::ALL, key_expires_at_s: None })
    }

    /// A key that is given counts, whether the application insists on one or not.
    fn checked_key(&self, application: &Application, key: &str, now_s: u64) -> Result<Rights, KeyError> {
        let refused = |e: &dyn std::fmt::Display| {
            KeyError::Refused(Error::new(Code::INVALID_PRIVATE_MAPKEY, format!("privateMapKey: {e}")))
        };
        match ticket::verify_private_map_key(key, &expected(application, self.user, now_s)) {
            Ok(key) if key.room != *self.room => Err(refused(&"ticket is for another room")),
            Ok(key) => {
                let key_expires_at_s = Some(key.expires_at_s.into());
                Ok(Rights { privileges: key.privileges, key_expires_at_s })
            }
            Err(TicketError::Expired) => Err(KeyError::Expired),
            Err(e) => Err(refused(&e)),
        }
    }
}

/// The refusal of a key whose time has come.
pub fn expired_key() -> Error {
    Error::new(Code::INVALID_PRIVATE_MAPKEY, "privateMapKey: ticket is expired")
}

fn expected<'a>(application: &'a Application, user: &'a UserId, now_s: u64) -> Expected<'a> {
    Expected { user, sdk_app_id: application.sdk_app_id, secret_key: application.secret_key.reveal(), now_s }
}

/// LiveKit's rights of a role with these bits. Receiving is all or nothing there; the room looks at the bits themselves.
pub fn video_grant(room: &str, role: Role, privileges: Privileges) -> VideoGrant {
    const SOURCES: [(&str, Privileges); 4] = [
        ("microphone", Privileges::SEND_AUDIO),
        ("camera", Privileges::SEND_VIDEO),
        ("screen_share", Privileges::SEND_SUB_STREAM),
        ("screen_share_audio", Privileges::SEND_SUB_STREAM),
    ];
    let sources: Vec<String> =
        SOURCES.iter().filter(|(_, right)| privileges.allow(*right)).map(|(name, _)| (*name).to_owned()).collect();
    let sends = role == Role::Anchor && !sources.is_empty();
    let receives = [Privileges::RECEIVE_AUDIO, Privileges::RECEIVE_VIDEO, Privileges::RECEIVE_SUB_STREAM];
    VideoGrant {
        room_join: true,
        room: room.to_owned(),
        can_publish: Some(sends),
        can_publish_data: Some(sends),
        can_subscribe: Some(receives.iter().any(|right| privileges.allow(*right))),
        // Without a list any source may be sent, also one that is none of these.
        can_publish_sources: if sends && sources.len() < SOURCES.len() { sources } else { Vec::new() },
        ..VideoGrant::default()
    }
}

/// Where this server can be reached, as far as the client's own words tell: a proxy in front of it may end TLS.
fn websocket_url(config: &ServerConfig, headers: &HeaderMap) -> String {
    let said = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let secure = config.tls.is_some() || said("x-forwarded-proto") == Some("https");
    let scheme = if secure { "wss" } else { "ws" };
    let plain =
        |host: &&str| host.len() <= 256 && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c));
    let host = said(header::HOST.as_str()).filter(plain).map_or_else(|| config.bind_http.to_string(), str::to_owned);
    format!("{scheme}://{host}")
}

fn respond(shared: &Shared, answer: Result<impl serde::Serialize>) -> Response {
    crate::http::cors(match answer {
        Ok(body) => (StatusCode::OK, axum::Json(body)).into_response(),
        Err(Error { code, message }) => {
            Metrics::add(&shared.metrics.tickets_refused);
            (status(code), axum::Json(ErrorBody { code: code.0, message })).into_response()
        }
    })
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::USER_SIG_CHECK_FAILED | Code::INVALID_PRIVATE_MAPKEY => StatusCode::UNAUTHORIZED,
        Code::NO_RIGHT_TO_CREATE_ROOM | Code::NO_RIGHT_TO_ENTER_ROOM | Code::REFUSED => StatusCode::FORBIDDEN,
        Code::SERVER_PROCESS_FAILED => StatusCode::SERVICE_UNAVAILABLE,
        Code::REQUEST_SERVER_TIMEOUT => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::BAD_REQUEST,
    }
}
