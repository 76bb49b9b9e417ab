//! One client's WebSocket: frames in and out, liveness, and the limits that protect the rooms from it.
use crate::auth::Pass;
use crate::bucket::Bucket;
use crate::media::{MediaEvent, MemberKey};
use crate::metrics::Metrics;
use crate::outbox::{Outbox, OutboxReader, Outgoing};
use crate::registry::Shared;
use crate::room::{Comeback, Joiner, Refused, RoomHandle, RoomInput, Wire, messages};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{timeout, timeout_at};
use trtc_proto::Message as _;
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::{DisconnectReason, SignalRequest};

/// Largest message that we act on.
const FRAME_MAX_BYTES: usize = 1 << 20;
/// Largest message that is read at all: a client that is only told of its size must have been heard to the end.
pub const FRAME_READ_BYTES: usize = 2 * FRAME_MAX_BYTES;
const EVENTS_CAP: usize = 1024;
const SID_MAX_BYTES: usize = 64;
/// Signal messages and their bytes: a burst and a rate that no honest client comes near.
const FLOOD_MESSAGES: (u32, u32) = (500, 100);
const FLOOD_BYTES: (u32, u32) = (8 << 20, 1 << 20);

mod close {
    pub const NORMAL: u16 = 1000;
    pub const PROTOCOL: u16 = 1002;
    pub const UNSUPPORTED: u16 = 1003;
    pub const POLICY: u16 = 1008;
    pub const TOO_BIG: u16 = 1009;
}

/// Close code and reason.
type End = (u16, &'static str);

const GONE: End = (close::NORMAL, "");
const SILENT: End = (close::POLICY, "the client is silent");
const ROOM_CLOSED: End = (close::NORMAL, "the room is closed");
const DOES_NOT_READ: End = (close::POLICY, "the client does not read");
const TOO_BIG: End = (close::TOO_BIG, "the message is larger than 1 MiB");

/// Query parameters of `/rtc` that we act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub auto_subscribe: bool,
    /// The client says how large it shows each track.
    pub adaptive_stream: bool,
    pub reconnect: bool,
    /// The participant that a reconnect is about.
    pub sid: String,
    /// The client offers on the connection on which it watches (WHEP); never a parameter of `/rtc`.
    pub viewer: bool,
    /// Another door of ours speaks for the client (WHIP, WHEP); never a parameter of `/rtc`.
    pub served: bool,
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
            adaptive_stream: flag("adaptive_stream", false),
            reconnect: flag("reconnect", false),
            sid: query.get("sid").filter(|sid| sid.len() <= SID_MAX_BYTES).cloned().unwrap_or_default(),
            viewer: false,
            served: false,
            protocol: number("protocol"),
            client_protocol: number("client_protocol"),
        }
    }
}

/// Runs one connection from upgrade to close.
pub async fn serve(shared: Arc<Shared>, mut socket: WebSocket, pass: Pass, options: Options) {
    shared.count_sockets(1);
    let (connection, leave) = if options.reconnect {
        // Who is not known any more makes a full reconnect with a new membership.
        let leave = messages::leave(DisconnectReason::StateMismatch, Action::Reconnect);
        (Connection::resume(&shared, pass, &options).await.ok_or("there is no such member to resume"), leave)
    } else {
        let leave = messages::leave(DisconnectReason::JoinFailure, Action::Disconnect);
        (Connection::join(&shared, pass, &options).await, leave)
    };
    match connection {
        Ok(connection) => connection.run(&shared, &mut socket).await,
        Err(why) => {
            let _ = timeout(shared.config.send_timeout, socket.send(Message::Binary(leave))).await;
            finish(&mut socket, (close::NORMAL, why)).await;
        }
    }
    shared.count_sockets(-1);
}

struct Connection {
    room: RoomHandle,
    wire: Wire,
    outgoing: OutboxReader,
    kill: Arc<Notify>,
    /// When a client that was sent away must have read its last words.
    deadline: Option<tokio::time::Instant>,
}

impl Connection {
    async fn join(shared: &Arc<Shared>, pass: Pass, options: &Options) -> Result<Self, Refused> {
        const FULL: Refused = "the server takes no more members";
        // A room may end between finding and entering it; the second one is new.
        for _ in 0..3 {
            let room = shared.room(&(pass.app, pass.room.clone())).ok_or(FULL)?;
            let (outbox, outgoing, kill) = Outbox::new();
            let (events_in, events) = mpsc::channel(EVENTS_CAP);
            let (reply, answer) = oneshot::channel();
            let wire = Wire { member: shared.next_key(), socket: shared.next_key() };
            let joiner =
                Joiner { wire, pass: pass.clone(), options: options.clone(), outbox, events: events_in, reply };
            if room.send(RoomInput::Join(Box::new(joiner))).await.is_err() {
                continue;
            }
            match answer.await {
                Ok(Ok(())) => {
                    tokio::spawn(pass_on(room.clone(), wire.member, events));
                    return Ok(Self { room, wire, outgoing, kill, deadline: None });
                }
                Ok(Err(refused)) => return Err(refused),
                Err(_) => {}
            }
        }
        Err(FULL)
    }

    /// Takes a member over that has lost its WebSocket.
    async fn resume(shared: &Arc<Shared>, pass: Pass, options: &Options) -> Option<Self> {
        let room = shared.open_room(&(pass.app, pass.room.clone()));
        let (outbox, outgoing, kill) = Outbox::new();
        let (reply, answer) = oneshot::channel();
        let (socket, sid) = (shared.next_key(), options.sid.clone());
        let comeback = Comeback { socket, identity: pass.identity, sid, outbox, reply };
        if let Some(room) = room
            && room.send(RoomInput::Resume(Box::new(comeback))).await.is_ok()
        {
            let member = answer.await.ok().flatten()?;
            return Some(Self { room, wire: Wire { member, socket }, outgoing, kill, deadline: None });
        }
        Metrics::add(&shared.metrics.resumes_declined);
        None
    }

    async fn run(mut self, shared: &Shared, socket: &mut WebSocket) {
        let silence = shared.config.silence_timeout;
        let mut ping = tokio::time::interval((silence / 3).max(Duration::from_millis(1)));
        ping.reset();
        let mut heard = Instant::now();
        let mut limits = Limits::new(heard);
        let end = loop {
            let end = tokio::select! {
                frame = socket.recv() => {
                    heard = Instant::now();
                    self.received(shared, socket, frame, &mut limits).await
                }
                out = self.outgoing.recv() => match out {
                    Some(Outgoing::Message(bytes)) => {
                        if self.outgoing.is_orphan() {
                            self.deadline.get_or_insert(tokio::time::Instant::now() + shared.config.send_timeout);
                        }
                        self.send(shared, socket, Message::Binary(bytes)).await
                    }
                    Some(Outgoing::Close(code, reason)) => Err((code, reason)),
                    None => Err(GONE),
                },
                () = self.kill.notified() => Err(DOES_NOT_READ),
                _ = ping.tick() => {
                    if heard.elapsed() > silence {
                        Metrics::add(&shared.metrics.silent_sockets);
                        Err(SILENT)
                    } else {
                        self.send(shared, socket, Message::Ping(bytes::Bytes::new())).await
                    }
                }
            };
            if let Err(end) = end {
                break end;
            }
        };
        // First, so that others see the leave while this socket is still closing.
        let may_resume = end == GONE || end == SILENT;
        let _ = self.room.send(RoomInput::SocketClosed { wire: self.wire, may_resume }).await;
        finish(socket, end).await;
    }

    /// A frame of the client, or how the socket ended.
    async fn received(
        &self,
        shared: &Shared,
        socket: &mut WebSocket,
        frame: Option<Result<Message, axum::Error>>,
        limits: &mut Limits,
    ) -> Result<(), End> {
        let metrics = &shared.metrics;
        let (counter, end): (&AtomicU64, End) = match frame {
            Some(Ok(Message::Binary(bytes))) if bytes.len() > FRAME_MAX_BYTES => (&metrics.oversize_frames, TOO_BIG),
            Some(Ok(Message::Binary(bytes))) => {
                Metrics::add(&metrics.signal_in);
                let length = bytes.len();
                match SignalRequest::decode(bytes) {
                    Ok(request) if limits.take(length) => {
                        return self.tell_room(RoomInput::Signal(self.wire, Box::new(request))).await;
                    }
                    Ok(_) => (&metrics.signal_floods, (close::POLICY, "too many signal messages")),
                    Err(e) => {
                        log::debug!("member {}: malformed frame: {e}", self.wire.member);
                        (&metrics.bad_frames, (close::PROTOCOL, "the frame is not a SignalRequest"))
                    }
                }
            }
            Some(Ok(Message::Text(_))) => {
                let reason = "JSON signalling is not supported, send binary protobuf";
                (&metrics.text_frames, (close::UNSUPPORTED, reason))
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                // They cost us an answer and a wake-up.
                if limits.take(0) {
                    return Ok(());
                }
                (&metrics.signal_floods, (close::POLICY, "too many pings"))
            }
            Some(Ok(Message::Close(_))) | None => return Err(GONE),
            // The library gives its errors as text only.
            Some(Err(e)) if e.to_string().to_ascii_lowercase().contains("too long") => {
                (&metrics.oversize_frames, TOO_BIG)
            }
            Some(Err(e)) => {
                log::debug!("member {}: socket failed: {e}", self.wire.member);
                return Err(GONE);
            }
        };
        Metrics::add(counter);
        let leave = messages::leave(DisconnectReason::StateMismatch, Action::Disconnect);
        let _ = self.send(shared, socket, Message::Binary(leave)).await;
        Err(end)
    }

    async fn tell_room(&self, input: RoomInput) -> Result<(), End> {
        self.room.send(input).await.map_err(|_| ROOM_CLOSED)
    }

    /// Writes to a client that reads.
    async fn send(&self, shared: &Shared, socket: &mut WebSocket, message: Message) -> Result<(), End> {
        let deadline = self.deadline.unwrap_or_else(|| tokio::time::Instant::now() + shared.config.send_timeout);
        let sent = tokio::select! {
            sent = timeout_at(deadline, socket.send(message)) => sent,
            () = self.kill.notified() => return Err(DOES_NOT_READ),
        };
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(GONE),
            Err(_) => {
                Metrics::add(&shared.metrics.slow_readers);
                Err(DOES_NOT_READ)
            }
        }
    }
}

/// What the media thread says about a member reaches its room also while there is no WebSocket.
async fn pass_on(room: RoomHandle, member: MemberKey, mut events: mpsc::Receiver<MediaEvent>) {
    while let Some(event) = events.recv().await {
        if room.send(RoomInput::Media(member, event)).await.is_err() {
            break;
        }
    }
}

/// Sends the close frame and waits a moment for the peer's, so that a reset does not overtake the last message.
async fn finish(socket: &mut WebSocket, (code, reason): End) {
    let frame = CloseFrame { code, reason: reason.into() };
    if !matches!(timeout(Duration::from_secs(1), socket.send(Message::Close(Some(frame)))).await, Ok(Ok(()))) {
        return;
    }
    let _ = timeout(Duration::from_secs(1), async { while let Some(Ok(_)) = socket.recv().await {} }).await;
}

/// What a client may send.
struct Limits {
    messages: Bucket,
    bytes: Bucket,
}

impl Limits {
    fn new(now: Instant) -> Self {
        let bucket = |(depth, rate)| Bucket::new(now, depth, rate);
        Self { messages: bucket(FLOOD_MESSAGES), bytes: bucket(FLOOD_BYTES) }
    }

    fn take(&mut self, bytes: usize) -> bool {
        let now = Instant::now();
        self.messages.take(now, 1) && self.bytes.take(now, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
