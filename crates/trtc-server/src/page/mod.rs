//! The page at `/`: the live streams of a room through WHEP, the browser's camera and microphone through WHIP. Everything it
//! needs comes from here, and nothing else may run on it.
use crate::auth;
use crate::registry::Shared;
use axum::extract::State;
use axum::http::header::{self, HeaderMap};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use trtc_proto::jwt::{self, Claims, VideoGrant};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const PERMISSIONS: &str = "camera=(self), microphone=(self), autoplay=(self)";
/// How long a token for development is good.
const TOKEN_S: u64 = 6 * 3600;
const NAME_MAX_BYTES: usize = 64;

/// The files of the page and what it asks.
pub fn routes() -> Router<Arc<Shared>> {
    let js = "text/javascript; charset=utf-8";
    let file = |content_type: &'static str, text: &'static str| get(move || async move { guarded(content_type, text) });
    Router::new()
        .route("/", get(index))
        .route("/page/page.css", file("text/css; charset=utf-8", include_str!("page.css")))
        .route("/page/page.js", file(js, include_str!("page.js")))
        .route("/page/studio.js", file(js, include_str!("studio.js")))
        .route("/page/whip.js", file(js, include_str!("whip.js")))
        .route("/page/icon.svg", file("image/svg+xml", include_str!("icon.svg")))
        .route("/page/config", get(config))
        .route("/page/token", post(token))
}

/// The page for browsers; `OK` for everybody who asks whether the server is there.
async fn index(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    if accept.contains("text/html") {
        return guarded("text/html; charset=utf-8", include_str!("index.html"));
    }
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, "OK").into_response()
}

fn guarded(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept"),
    ];
    (headers, text).into_response()
}

#[derive(Serialize)]
struct Config {
    /// `POST /page/token` gives tokens to whoever asks.
    dev: bool,
    version: &'static str,
}

async fn config(State(shared): State<Arc<Shared>>) -> Json<Config> {
    Json(Config { dev: shared.config.dev, version: env!("CARGO_PKG_VERSION") })
}

#[derive(Deserialize)]
struct Wish {
    room: String,
    identity: String,
}

#[derive(Serialize)]
struct Token {
    token: String,
}

/// A token of a room for whoever asks, with the public keys of development only. JSON is asked for, which a page of another
/// origin cannot send without being allowed to.
async fn token(
    State(shared): State<Arc<Shared>>,
    wish: Result<Json<Wish>, axum::extract::rejection::JsonRejection>,
) -> Response {
    if !shared.config.dev {
        return (StatusCode::NOT_FOUND, "this server gives tokens in development mode only").into_response();
    }
    let Ok(Json(Wish { room, identity })) = wish else {
        return (StatusCode::BAD_REQUEST, "the body must be JSON with room and identity").into_response();
    };
    if [&room, &identity].iter().any(|name| name.is_empty() || name.len() > NAME_MAX_BYTES) {
        return (StatusCode::BAD_REQUEST, "room and identity must have 1 to 64 bytes").into_response();
    }
    let now = auth::unix_ms() / 1000;
    let claims = Claims {
        iss: shared.config.api_key.clone(),
        name: identity.clone(),
        sub: identity,
        nbf: Some(now.saturating_sub(5)),
        exp: Some(now + TOKEN_S),
        video: Some(VideoGrant { room_join: true, room, ..VideoGrant::default() }),
        ..Claims::default()
    };
    let token = jwt::sign(&claims, &shared.config.api_secret);
    ([(header::CACHE_CONTROL, "no-store")], Json(Token { token })).into_response()
}
