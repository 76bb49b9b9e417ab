//! The HTTP surface: health, `/rtc`, `/rtc/validate`, `/metrics`; 404 on `/rtc/v1*` makes clients fall back to `/rtc`.
use crate::auth::{self, Pass, Refusal, Wanted};
use crate::metrics::Metrics;
use crate::registry::Shared;
use crate::{socket, tickets};
use axum::Router;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use std::collections::BTreeMap;
use std::sync::Arc;
use trtc_proto::entry::{ROLE_PATH, TOKEN_PATH};
use trtc_proto::ticket::Privileges;

/// Signal messages are short, and every member has such a buffer.
const READ_BUFFER_BYTES: usize = 2 * 1024;

type Parameters = Query<BTreeMap<String, String>>;

/// All routes.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(ready))
        .route("/metrics", get(metrics))
        .route("/rtc", get(rtc))
        .route("/rtc/validate", get(validate).options(preflight))
        .route(TOKEN_PATH, post(tickets::token).options(preflight))
        .route(ROLE_PATH, post(tickets::role).options(preflight))
        .route("/rtc/v1", any(not_found))
        .route("/rtc/v1/{*rest}", any(not_found))
        .merge(crate::page::routes())
        .merge(crate::whip::routes())
        .fallback(not_found)
        .with_state(shared)
}

/// For load balancers: 200 while new members may come.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.is_open() {
        true => text(StatusCode::OK, "OK"),
        false => text(StatusCode::SERVICE_UNAVAILABLE, shared.why_no_place()),
    }
}

async fn not_found() -> Response {
    cors(text(StatusCode::NOT_FOUND, "404 page not found\n"))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let gauges = [
        ("trtc_rooms", "Rooms.", shared.room_count() as u64),
        ("trtc_members", "Members of all rooms.", shared.member_count() as u64),
        ("trtc_sockets", "WebSockets of members.", shared.socket_count() as u64),
        ("trtc_open", "1 while new members may come, 0 while the server drains.", u64::from(shared.is_open())),
        ("trtc_start_time_seconds", "When the server started, Unix time.", shared.started_unix_ms / 1000),
    ];
    let page = shared.metrics.render(&gauges, &shared.media.counters());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}

async fn validate(State(shared): State<Arc<Shared>>, query: Parameters, headers: HeaderMap) -> Response {
    cors(match admit(&shared, &query, &headers) {
        Ok(_) => text(StatusCode::OK, "success"),
        Err(refusal) => refuse(&shared, &refusal),
    })
}

async fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    cors((StatusCode::NO_CONTENT, headers).into_response())
}

async fn rtc(
    State(shared): State<Arc<Shared>>,
    query: Parameters,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let pass = match admit(&shared, &query, &headers) {
        Ok(pass) => pass,
        Err(refusal) => return cors(refuse(&shared, &refusal)),
    };
    Metrics::add(&shared.metrics.sockets_opened);
    let options = socket::Options::parse(&query);
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(socket::FRAME_READ_BYTES)
        .max_frame_size(socket::FRAME_READ_BYTES)
        .on_upgrade(move |web_socket| socket::serve(shared, web_socket, pass, options))
}

fn admit(shared: &Shared, query: &Parameters, headers: &HeaderMap) -> Result<Pass, Refusal> {
    let token = bearer(headers).or_else(|| query.get("access_token").map(String::as_str));
    let resumes = socket::Options::parse(query).reconnect;
    let wanted = Wanted { room: query.get("room").map(String::as_str), resumes };
    let pass = auth::check(&shared.config, token, wanted)?;
    let name = (pass.app, pass.room.clone());
    if !pass.privileges().allow(Privileges::CREATE_ROOM) && shared.open_room(&name).is_none() {
        return Err(Refusal { status: 401, text: "no right to create the room".to_owned() });
    }
    // Who comes back to a membership keeps it while the server drains.
    let returns = resumes && shared.open_room(&name).is_some();
    if !returns && !shared.has_place(&name) {
        return Err(Refusal { status: 503, text: shared.why_no_place().to_owned() });
    }
    Ok(pass)
}

/// The token of `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")).map(str::trim)
}

fn refuse(shared: &Shared, refusal: &Refusal) -> Response {
    Metrics::add(&shared.metrics.joins_refused);
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    text(status, refusal.text.clone())
}

fn text(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body.into()).into_response()
}

/// Pages of any origin may read the answer.
pub fn cors(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, header::HeaderValue::from_static("*"));
    response
}
