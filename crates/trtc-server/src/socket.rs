//! One client's WebSocket: frames in and out, liveness, and the limits that protect the rooms from it.
use crate::auth::Pass;
use crate::media::{MediaEvent, MemberKey};
use crate::metrics::Metrics;
use crate::outbox::{Outbox, Outgoing};
use crate::registry::Shared;
use crate::room::{Joiner, RoomHandle, RoomInput, messages};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;
use trtc_proto::Message as _;
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::{DisconnectReason, SignalRequest};

const WS_PING_EVERY: Duration = Duration::from_secs(10);
/// Clients ping every 5 s and answer our pings; silence of this length means that nobody is there.
const SILENCE_MAX: Duration = Duration::from_secs(35);
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const EVENTS_CAP: usize = 1024;
/// Signal messages: a burst and a rate that no honest client comes near.
const FLOOD_DEPTH: f64 = 500.0;
const FLOOD_RATE: f64 = 100.0;

mod close {
    pub const NORMAL: u16 = 1000;
    pub const PROTOCOL: u16 = 1002;
    pub const UNSUPPORTED: u16 = 1003;
    pub const POLICY: u16 = 1008;
    pub const TOO_BIG: u16 = 1009;
}

/// Query parameters of `/rtc` that we act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub auto_subscribe: bool,
    pub reconnect: bool,
    pub protocol: i32,
    pub client_protocol: i32,
}

impl Options {
    /// Unknown and malformed parameters fall back to the defaults.
    pub fn parse(query: &BTreeMap<String, String>) -> Self {
        let flag = |name: &str, default| match query.get(name).map(String::as_str) {
            Some("1" | "true") => true,
            Some("0" | "false") => false,
            _ => default,
        };
        let number = |name: &str| query.get(name).and_then(|v| v.parse().ok()).unwrap_or(0);
        Self {
            auto_subscribe: flag("auto_subscribe", true),
            reconnect: flag("reconnect", false),
            protocol: number("protocol"),
            client_protocol: number("client_protocol"),
        }
    }
}

/// Runs one connection from upgrade to close.
pub async fn serve(shared: Arc<Shared>, mut socket: WebSocket, pass: Pass, options: Options) {
    shared.count_sockets(1);
    if options.reconnect {
        // Allowed by the protocol and simple: the client makes a full reconnect with a new membership.
        Metrics::add(&shared.metrics.resumes_declined);
        let leave = messages::leave(DisconnectReason::StateMismatch, Action::Reconnect);
        let _ = timeout(SEND_TIMEOUT, socket.send(Message::Binary(leave))).await;
        finish(&mut socket, close::NORMAL, "resume is not supported").await;
    } else if let Some(connection) = Connection::join(&shared, pass, &options).await {
        connection.run(&shared, &mut socket).await;
    } else {
        let leave = messages::leave(DisconnectReason::JoinFailure, Action::Disconnect);
        let _ = timeout(SEND_TIMEOUT, socket.send(Message::Binary(leave))).await;
        finish(&mut socket, close::NORMAL, "the room takes no more members").await;
    }
    shared.count_sockets(-1);
}

struct Connection {
    room: RoomHandle,
    member: MemberKey,
    outgoing: mpsc::Receiver<Outgoing>,
    events: mpsc::Receiver<MediaEvent>,
    kill: Arc<Notify>,
}

impl Connection {
    async fn join(shared: &Arc<Shared>, pass: Pass, options: &Options) -> Option<Self> {
        // A room may end between finding and entering it; the second one is new.
        for _ in 0..3 {
            let room = shared.room(&pass.room)?;
            let (outbox, outgoing, kill) = Outbox::new();
            let (events_in, events) = mpsc::channel(EVENTS_CAP);
            let (reply, answer) = oneshot::channel();
            let member = shared.next_key();
            let joiner =
                Joiner { member, pass: pass.clone(), options: options.clone(), outbox, events: events_in, reply };
            if room.send(RoomInput::Join(Box::new(joiner))).await.is_err() {
                continue;
            }
            match answer.await {
                Ok(true) => return Some(Self { room, member, outgoing, events, kill }),
                Ok(false) => return None,
                Err(_) => {}
            }
        }
        None
    }

    async fn run(mut self, shared: &Shared, socket: &mut WebSocket) {
        let mut ping = tokio::time::interval(WS_PING_EVERY);
        ping.reset();
        let mut heard = Instant::now();
        let mut bucket = Bucket::new(Instant::now());
        let (code, reason) = loop {
            tokio::select! {
                frame = socket.recv() => {
                    heard = Instant::now();
                    let request = match frame {
                        Some(Ok(Message::Binary(bytes))) => match SignalRequest::decode(bytes) {
                            Ok(request) => request,
                            Err(e) => {
                                Metrics::add(&shared.metrics.bad_frames);
                                log::warn!("member {}: malformed frame: {e}", self.member);
                                self.tell_leave(socket, Action::Disconnect).await;
                                break (close::PROTOCOL, "the frame is not a SignalRequest");
                            }
                        },
                        Some(Ok(Message::Text(_))) => {
                            Metrics::add(&shared.metrics.text_frames);
                            self.tell_leave(socket, Action::Disconnect).await;
                            break (close::UNSUPPORTED, "JSON signalling is not supported, send binary protobuf");
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                        Some(Ok(Message::Close(_))) | None => break (close::NORMAL, ""),
                        Some(Err(e)) => {
                            // The library gives its errors as text only.
                            if e.to_string().to_ascii_lowercase().contains("too long") || e.to_string().contains("too big") {
                                Metrics::add(&shared.metrics.oversize_frames);
                                self.tell_leave(socket, Action::Disconnect).await;
                                break (close::TOO_BIG, "the message is larger than 1 MiB");
                            }
                            log::debug!("member {}: socket failed: {e}", self.member);
                            break (close::NORMAL, "");
                        }
                    };
                    Metrics::add(&shared.metrics.signal_in);
                    if !bucket.take(heard) {
                        Metrics::add(&shared.metrics.signal_floods);
                        self.tell_leave(socket, Action::Disconnect).await;
                        break (close::POLICY, "too many signal messages");
                    }
                    if self.room.send(RoomInput::Signal(self.member, Box::new(request))).await.is_err() {
                        break (close::NORMAL, "the room is closed");
                    }
                }
                out = self.outgoing.recv() => match out {
                    Some(Outgoing::Message(bytes)) => match timeout(SEND_TIMEOUT, socket.send(Message::Binary(bytes))).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => break (close::NORMAL, ""),
                        Err(_) => {
                            Metrics::add(&shared.metrics.slow_readers);
                            break (close::POLICY, "the client does not read");
                        }
                    },
                    Some(Outgoing::Close(code, reason)) => break (code, reason),
                    None => break (close::NORMAL, ""),
                },
                Some(event) = self.events.recv() => {
                    if self.room.send(RoomInput::Media(self.member, event)).await.is_err() {
                        break (close::NORMAL, "the room is closed");
                    }
                }
                () = self.kill.notified() => break (close::POLICY, "the client does not read"),
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        break (close::POLICY, "the client is silent");
                    }
                    let _ = timeout(SEND_TIMEOUT, socket.send(Message::Ping(bytes::Bytes::new()))).await;
                }
            }
        };
        // First, so that others see the leave while this socket is still closing.
        let _ = self.room.send(RoomInput::SocketClosed(self.member)).await;
        finish(socket, code, reason).await;
    }

    async fn tell_leave(&self, socket: &mut WebSocket, action: Action) {
        let leave = messages::leave(DisconnectReason::StateMismatch, action);
        let _ = timeout(SEND_TIMEOUT, socket.send(Message::Binary(leave))).await;
    }
}

/// Sends the close frame and waits a moment for the peer's, so that a reset does not overtake the last message.
async fn finish(socket: &mut WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code, reason: reason.into() };
    if !matches!(timeout(Duration::from_secs(1), socket.send(Message::Close(Some(frame)))).await, Ok(Ok(()))) {
        return;
    }
    let _ = timeout(Duration::from_secs(1), async { while let Some(Ok(_)) = socket.recv().await {} }).await;
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self { tokens: FLOOD_DEPTH, at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        self.tokens = (self.tokens + now.duration_since(self.at).as_secs_f64() * FLOOD_RATE).min(FLOOD_DEPTH);
        self.at = now;
        self.tokens -= 1.0;
        self.tokens >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_takes_a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert!((0..500).all(|_| bucket.take(start)));
        assert!(!bucket.take(start));
        assert!(bucket.take(start + Duration::from_millis(50)));
    }

    #[test]
    fn options_have_defaults() {
        let options = |text: &str| {
            let query = text.split('&').filter_map(|p| p.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
            Options::parse(&query)
        };
        assert!(options("").auto_subscribe && !options("").reconnect);
        assert!(!options("auto_subscribe=0").auto_subscribe && !options("auto_subscribe=false").auto_subscribe);
        assert!(options("reconnect=1&protocol=x").reconnect);
        assert_eq!(options("protocol=15").protocol, 15);
    }
}
