//! The HTTP surface: health, `/rtc`, `/rtc/validate`, `/metrics`; 404 on `/rtc/v1*` makes clients fall back to `/rtc`.
use crate::auth::{self, Pass, Refusal};
use crate::metrics::Metrics;
use crate::registry::Shared;
use crate::socket;
use axum::Router;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Signal messages are short, and every member has such a buffer.
const READ_BUFFER_BYTES: usize = 8 * 1024;

type Parameters = Query<BTreeMap<String, String>>;

/// All routes.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(health))
        .route("/metrics", get(metrics))
        .route("/rtc", get(rtc))
        .route("/rtc/validate", get(validate).options(preflight))
        .route("/rtc/v1", any(not_found))
        .route("/rtc/v1/{*rest}", any(not_found))
        .fallback(not_found)
        .with_state(shared)
}

async fn health() -> Response {
    cors(text(StatusCode::OK, "OK"))
}

async fn not_found() -> Response {
    cors(text(StatusCode::NOT_FOUND, "404 page not found\n"))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let page = shared.metrics.render(shared.room_count(), shared.member_count(), &shared.media.counters());
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
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
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
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer ").or_else(|| v.strip_prefix("bearer ")));
    let token = bearer.map(str::trim).or_else(|| query.get("access_token").map(String::as_str));
    let pass = auth::check(&shared.config, token, query.get("room").map(String::as_str))?;
    if !shared.has_place(&pass.room) {
        return Err(Refusal { status: 503, text: "the server takes no more rooms".to_owned() });
    }
    Ok(pass)
}

fn refuse(shared: &Shared, refusal: &Refusal) -> Response {
    Metrics::add(&shared.metrics.joins_refused);
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    text(status, refusal.text.clone())
}

fn text(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body.into()).into_response()
}

fn cors(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, header::HeaderValue::from_static("*"));
    response
}
