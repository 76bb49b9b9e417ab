//! The HTTP side: who may, in which form, and the answers.
use super::session::{self, Command, Patched, Request};
use super::sessions::Owner;
use super::streams;
use crate::auth::{self, Pass, Wanted};
use crate::ice;
use crate::metrics::Metrics;
use crate::registry::Shared;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::timeout;
use trtc_stream::whip::{FRAGMENT, Fragment, Offer, Refusal, Role, SDP, Wish, accepts, is_type};

/// Offers of browsers have 2 to 8 KB.
const OFFER_MAX_BYTES: usize = 64 * 1024;
const FRAGMENT_MAX_BYTES: usize = 16 * 1024;
/// What a refused client should wait at least, in seconds.
const RETRY_AFTER_S: &str = "5";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

pub(super) type Parameters = Query<BTreeMap<String, String>>;
type Answer = Result<Response, Refusal>;

/// All routes of WHIP, WHEP and the list of streams.
pub fn routes() -> Router<Arc<Shared>> {
    let whip = |state, path, query, request| endpoint(Role::Publish, state, path, query, request);
    let whep = |state, path, query, request| endpoint(Role::Watch, state, path, query, request);
    Router::new()
        .route("/whip", any(whip))
        .route("/whip/{room}", any(whip))
        .route("/whip/{room}/{session}", any(resource))
        .route("/whep", any(whep))
        .route("/whep/{room}", any(whep))
        .route("/whep/{room}/{session}", any(resource))
        .route("/trtc/v1/streams", get(list).options(list_preflight))
}

async fn endpoint(
    role: Role,
    State(shared): State<Arc<Shared>>,
    path: Option<Path<String>>,
    Query(query): Parameters,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let room = path.map(|Path(room)| room).or_else(|| query.get("room").cloned());
    let answer = match head.method {
        Method::POST => post(&shared, role, room, &query, &head.headers, body).await,
        Method::OPTIONS => Ok(preflight("POST, OPTIONS", ACCEPT_POST, SDP)),
        // No representation, hence no content (RFC 9725 4.1).
        Method::GET | Method::HEAD => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Ok(not_allowed("POST, OPTIONS, GET, HEAD")),
    };
    finish(&shared, answer)
}

async fn resource(
    State(shared): State<Arc<Shared>>,
    Path((_, id)): Path<(String, String)>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let answer = match head.method {
        Method::PATCH => patch(&shared, &id, &head.headers, body).await,
        Method::DELETE => delete(&shared, &id, &head.headers).await,
        Method::OPTIONS => Ok(preflight("PATCH, DELETE, OPTIONS", ACCEPT_PATCH, FRAGMENT)),
        Method::GET | Method::HEAD => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Ok(not_allowed("PATCH, DELETE, OPTIONS, GET, HEAD")),
    };
    finish(&shared, answer)
}

async fn post(
    shared: &Arc<Shared>,
    role: Role,
    room: Option<String>,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    let token = bearer(headers);
    let pass = admit(shared, token, room.as_deref(), role)?;
    if !is_type(text(headers, header::CONTENT_TYPE), SDP) {
        return Err(Refusal::new(415, format!("the Content-Type must be {SDP}")));
    }
    if !accepts(text(headers, header::ACCEPT), SDP) {
        return Err(Refusal::new(406, format!("the answer has the type {SDP}, which Accept leaves out")));
    }
    let screen = match query.get("source").map(String::as_str) {
        None | Some("camera") => false,
        Some("screen_share") => true,
        Some(_) => return Err(Refusal::new(400, "source must be camera or screen_share")),
    };
    let wish = Wish { identity: query.get("userid").cloned().filter(|id| !id.is_empty()), screen };
    let sdp = read(shared, body, OFFER_MAX_BYTES).await?;
    let offer = Offer::parse(&sdp, role)?;
    let token = token.unwrap_or_default().to_owned();
    let room = pass.room.clone();
    let request = Request { role, pass, token, sdp, offer, wish };
    // A client that hangs up ends this future, but not what has joined the room in the meantime.
    let opening = tokio::spawn(session::open(shared.clone(), request));
    let opened = opening.await.map_err(|_| Refusal::new(500, "the session could not be opened"))??;
    let kind = if role == Role::Publish { "whip" } else { "whep" };
    let location = format!("/{kind}/{}/{}", percent_encoded(&room), opened.id);
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (header::ETAG, opened.etag),
        (ACCEPT_PATCH, FRAGMENT.to_owned()),
    ];
    let mut response = (StatusCode::CREATED, headers, opened.answer).into_response();
    let servers = ice::servers(&shared.config.ice_servers, kind, auth::unix_ms() / 1000);
    for link in ice::links(&servers).into_iter().filter_map(|link| HeaderValue::try_from(link).ok()) {
        response.headers_mut().append(header::LINK, link);
    }
    Ok(response)
}

async fn patch(shared: &Arc<Shared>, id: &str, headers: &HeaderMap, body: Body) -> Answer {
    let entry = owned(shared, id, headers)?;
    if !is_type(text(headers, header::CONTENT_TYPE), FRAGMENT) {
        return Err(Refusal::new(415, format!("the Content-Type must be {FRAGMENT}")));
    }
    let fragment = Fragment::parse(&read(shared, body, FRAGMENT_MAX_BYTES).await?)?;
    let if_match = text(headers, header::IF_MATCH).map(str::to_owned);
    let (reply, answer) = oneshot::channel();
    let command = Command::Patch(if_match, fragment, reply);
    entry.commands.try_send(command).map_err(|_| Refusal::new(503, "too many requests for this session"))?;
    match answer.await.map_err(|_| gone())?? {
        Patched::Candidates => Ok(StatusCode::NO_CONTENT.into_response()),
        Patched::Restart(etag, fragment) => {
            Ok(([(header::ETAG, etag), (header::CONTENT_TYPE, FRAGMENT.to_owned())], fragment).into_response())
        }
    }
}

async fn delete(shared: &Arc<Shared>, id: &str, headers: &HeaderMap) -> Answer {
    let entry = owned(shared, id, headers)?;
    let (done, ended) = oneshot::channel();
    entry.commands.send(Command::Delete(done)).await.map_err(|_| gone())?;
    ended.await.map_err(|_| gone())?;
    Ok(StatusCode::OK.into_response())
}

async fn list(State(shared): State<Arc<Shared>>, Query(query): Parameters, headers: HeaderMap) -> Response {
    let room = query.get("room").map(String::as_str);
    let answer = match admit(&shared, bearer(&headers), room, Role::Watch) {
        Ok(pass) => streams::of_room(&shared, (pass.app, pass.room)).await,
        Err(refusal) => Err(refusal),
    };
    finish(&shared, answer)
}

async fn list_preflight() -> Response {
    cors(preflight("GET, OPTIONS", ACCEPT_POST, ""))
}

/// A token of the room with the right to do this.
fn admit(shared: &Shared, token: Option<&str>, room: Option<&str>, role: Role) -> Result<Pass, Refusal> {
    let pass = auth::check(&shared.config, token, Wanted::default()).map_err(|e| Refusal::new(e.status, e.text))?;
    if room.is_some_and(|room| !room.is_empty() && room != pass.room) {
        return Err(Refusal::new(403, "the token is for another room"));
    }
    match role {
        Role::Publish if !pass.grant.publishes() => Err(Refusal::new(403, "the token does not allow publishing")),
        Role::Watch if !pass.grant.subscribes() => Err(Refusal::new(403, "the token does not allow watching")),
        _ if !shared.has_place(&(pass.app, pass.room.clone())) => Err(Refusal::new(503, shared.why_no_place())),
        _ => Ok(pass),
    }
}

/// The session of an address, for whoever opened it.
fn owned(shared: &Shared, id: &str, headers: &HeaderMap) -> Result<super::sessions::Entry, Refusal> {
    let token = bearer(headers);
    let entry = shared.whip.find(id);
    if let Some(entry) = entry.as_ref().filter(|entry| Some(entry.token.as_str()) == token) {
        return Ok(entry.clone());
    }
    let pass = auth::check(&shared.config, token, Wanted::default()).map_err(|e| Refusal::new(e.status, e.text))?;
    let entry = entry.ok_or_else(gone)?;
    if entry.owner != Owner::of(&pass) {
        return Err(Refusal::new(403, "the session belongs to somebody else"));
    }
    Ok(entry)
}

fn gone() -> Refusal {
    Refusal::new(404, "there is no such session (any more)")
}

async fn read(shared: &Shared, body: Body, max: usize) -> Result<String, Refusal> {
    let read = timeout(shared.config.request_timeout, axum::body::to_bytes(body, max)).await;
    let bytes: Bytes = match read {
        Err(_) => return Err(Refusal::new(408, "the body did not come in time")),
        Ok(Err(_)) => return Err(Refusal::new(413, format!("the body must have at most {max} bytes"))),
        Ok(Ok(bytes)) => bytes,
    };
    String::from_utf8(bytes.into()).map_err(|_| Refusal::new(400, "the body must be UTF-8 text"))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = text(headers, header::AUTHORIZATION)?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn finish(shared: &Shared, answer: Answer) -> Response {
    cors(answer.unwrap_or_else(|refusal| {
        Metrics::add(&shared.metrics.whip_refused);
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        let mut response = (status, content_type, refusal.text).into_response();
        let extra = match refusal.status {
            401 => Some((header::WWW_AUTHENTICATE, "Bearer")),
            429 | 503 => Some((header::RETRY_AFTER, RETRY_AFTER_S)),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }))
}

fn preflight(methods: &'static str, accept: HeaderName, media_type: &'static str) -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-match"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        (header::ALLOW, methods),
        (accept, media_type),
    ];
    headers.into_response()
}

fn not_allowed(methods: &'static str) -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, methods)]).into_response()
}

/// Pages of other origins may speak to us: the token is the only right, and no cookie is read.
fn cors(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = HeaderValue::from_static("location, etag, link, accept-patch, accept-post, retry-after");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn percent_encoded(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_stand_in_an_address_whatever_their_names() {
        assert_eq!(percent_encoded("n/123"), "n%2F123");
        assert_eq!(percent_encoded("Grüße ?#"), "Gr%C3%BC%C3%9Fe%20%3F%23");
    }
}
