//! A room in virtual time, for tests.
use super::line::SocketKey;
use super::state::Room;
use super::{Comeback, Joiner, RoomInput, Wire};
use crate::auth::Pass;
use crate::config::ServerConfig;
use crate::media::{Media, MediaConfig, MediaEvent, MemberKey};
use crate::outbox::{Outbox, OutboxReader, Outgoing};
use crate::registry::Shared;
use crate::socket::Options;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use trtc_proto::Message as _;
use trtc_proto::jwt::{Claims, VideoGrant};
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{SignalRequest, SignalResponse, signal_request};

/// A room, its clock, and the clients' ends of their WebSockets.
pub struct Rig {
    pub room: Room,
    pub shared: Arc<Shared>,
    pub now: Instant,
    next_socket: SocketKey,
    readers: BTreeMap<SocketKey, OutboxReader>,
    events: Vec<mpsc::Receiver<MediaEvent>>,
}

pub struct Seat {
    pub wire: Wire,
    pub sid: String,
}

impl Rig {
    pub fn new() -> Self {
        let config = ServerConfig::dev(0, 0);
        let media = Media::start(MediaConfig::new(([127, 0, 0, 1], 0).into())).unwrap();
        let shared = Shared::new(config, media);
        let now = Instant::now();
        let room = Room::new(shared.clone(), (0, "r".into()), 1, now);
        Self { room, shared, now, next_socket: 100, readers: BTreeMap::new(), events: Vec::new() }
    }

    fn socket(&mut self) -> (SocketKey, Outbox) {
        let (outbox, reader, _) = Outbox::new();
        self.next_socket += 1;
        self.readers.insert(self.next_socket, reader);
        (self.next_socket, outbox)
    }

    /// Joins, and both connections come up.
    pub async fn join(&mut self, member: MemberKey, identity: &str) -> Seat {
        let grant = VideoGrant { room_join: true, room: "r".into(), ..VideoGrant::default() };
        let claims = Claims { sub: identity.into(), video: Some(grant.clone()), ..Claims::default() };
        let pass = Pass { claims, app: 0, identity: identity.into(), room: "r".into(), grant };
        let (socket, outbox) = self.socket();
        let (events, receiver) = mpsc::channel(1024);
        self.events.push(receiver);
        let (reply, _answer) = oneshot::channel();
        let wire = Wire { member, socket };
        let options = Options::parse(&BTreeMap::new());
        self.room.handle(self.now, RoomInput::Join(Box::new(Joiner { wire, pass, options, outbox, events, reply })));
        let sid = match self.heard(socket).await.0.into_iter().next() {
            Some(Tell::Join(join)) => join.participant.unwrap().sid,
            other => panic!("{other:?}"),
        };
        for publisher in [false, true] {
            self.media(member, MediaEvent::Connected { publisher });
        }
        Seat { wire, sid }
    }

    pub fn media(&mut self, member: MemberKey, event: MediaEvent) {
        self.room.handle(self.now, RoomInput::Media(member, event));
    }

    pub fn says(&mut self, seat: &Seat, message: signal_request::Message) {
        let request = Box::new(SignalRequest { message: Some(message) });
        self.room.handle(self.now, RoomInput::Signal(seat.wire, request));
    }

    pub fn failed(&mut self, member: MemberKey) {
        let reason = "no answer from the network".to_owned();
        self.media(member, MediaEvent::Failed { publisher: false, reason });
    }

    pub fn lose(&mut self, seat: &Seat) {
        self.room.handle(self.now, RoomInput::SocketClosed { wire: seat.wire, may_resume: true });
    }

    /// A comeback on a new WebSocket; true when it is granted.
    pub fn resume(&mut self, identity: &str, seat: &mut Seat) -> bool {
        let (socket, outbox) = self.socket();
        let (reply, mut answer) = oneshot::channel();
        let comeback = Comeback { socket, identity: identity.into(), sid: seat.sid.clone(), outbox, reply };
        self.room.handle(self.now, RoomInput::Resume(Box::new(comeback)));
        let Ok(Some(member)) = answer.try_recv() else { return false };
        seat.wire = Wire { member, socket };
        self.media(member, MediaEvent::Resumed { last_sequence: 7 });
        true
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_secs(1).min(end - self.now);
            self.room.tick(self.now);
        }
    }

    /// What a WebSocket was told since the last look, and whether it was closed.
    pub async fn heard(&mut self, socket: SocketKey) -> (Vec<Tell>, bool) {
        let (mut told, mut closed) = (Vec::new(), false);
        let reader = self.readers.get_mut(&socket).unwrap();
        loop {
            let next = tokio::select! { biased; next = reader.recv() => next, () = std::future::ready(()) => break };
            match next {
                Some(Outgoing::Message(bytes)) => told.extend(SignalResponse::decode(bytes).unwrap().message),
                Some(Outgoing::Close(..)) => closed = true,
                None => break,
            }
        }
        (told, closed)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shared.media.stop();
    }
}
