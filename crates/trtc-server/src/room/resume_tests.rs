//! A room in virtual time: what minutes without a WebSocket or a connection do to a member.
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
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::participant_info::State;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{DisconnectReason, ParticipantInfo, SignalRequest, SignalResponse, signal_request};

/// A room, its clock, and the clients' ends of their WebSockets.
struct Rig {
    room: Room,
    shared: Arc<Shared>,
    now: Instant,
    next_socket: SocketKey,
    readers: BTreeMap<SocketKey, OutboxReader>,
    events: Vec<mpsc::Receiver<MediaEvent>>,
}

struct Seat {
    wire: Wire,
    sid: String,
}

impl Rig {
    fn new() -> Self {
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
    async fn join(&mut self, member: MemberKey, identity: &str) -> Seat {
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

    fn media(&mut self, member: MemberKey, event: MediaEvent) {
        self.room.handle(self.now, RoomInput::Media(member, event));
    }

    fn failed(&mut self, member: MemberKey) {
        let reason = "no answer from the network".to_owned();
        self.media(member, MediaEvent::Failed { publisher: false, reason });
    }

    fn lose(&mut self, seat: &Seat) {
        self.room.handle(self.now, RoomInput::SocketClosed { wire: seat.wire, may_resume: true });
    }

    /// A comeback on a new WebSocket; true when it is granted.
    fn resume(&mut self, identity: &str, seat: &mut Seat) -> bool {
        let (socket, outbox) = self.socket();
        let (reply, mut answer) = oneshot::channel();
        let comeback = Comeback { socket, identity: identity.into(), sid: seat.sid.clone(), outbox, reply };
        self.room.handle(self.now, RoomInput::Resume(Box::new(comeback)));
        let Ok(Some(member)) = answer.try_recv() else { return false };
        seat.wire = Wire { member, socket };
        self.media(member, MediaEvent::Resumed { last_sequence: 7 });
        true
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_secs(1).min(end - self.now);
            self.room.tick(self.now);
        }
    }

    /// What a WebSocket was told since the last look, and whether it was closed.
    async fn heard(&mut self, socket: SocketKey) -> (Vec<Tell>, bool) {
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

    /// States of somebody as told to another member, in order, with their versions.
    async fn seen(&mut self, by: &Seat, identity: &str) -> Vec<(State, u32)> {
        let (told, _) = self.heard(by.wire.socket).await;
        participants(&told).filter(|p| p.identity == identity).map(|p| (p.state(), p.version)).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shared.media.stop();
    }
}

fn participants(told: &[Tell]) -> impl Iterator<Item = &ParticipantInfo> {
    told.iter().filter_map(|m| if let Tell::Update(u) = m { Some(&u.participants) } else { None }).flatten()
}

fn left(seen: &[(State, u32)]) -> bool {
    seen.iter().any(|(state, _)| *state == State::Disconnected)
}

const S: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_lost_websocket_alone_is_waited_for_a_minute() {
    let mut rig = Rig::new();
    let (mut ann, bob) = (rig.join(1, "ann").await, rig.join(2, "bob").await);
    rig.seen(&bob, "ann").await;
    rig.lose(&ann);
    rig.pass(59 * S);
    assert!(rig.seen(&bob, "ann").await.is_empty(), "nobody notices");
    assert!(rig.resume("ann", &mut ann));
    rig.pass(120 * S);
    assert!(!left(&rig.seen(&bob, "ann").await));
    rig.lose(&ann);
    rig.pass(61 * S);
    assert!(left(&rig.seen(&bob, "ann").await));
    assert!(!rig.resume("ann", &mut ann), "too late");
}

#[tokio::test]
async fn a_dead_path_is_told_to_resume_and_then_given_up() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.join(1, "ann").await, rig.join(2, "bob").await);
    rig.seen(&bob, "ann").await;
    rig.failed(1);
    rig.pass(2 * S);
    let (told, closed) = rig.heard(ann.wire.socket).await;
    let leave = told.iter().find_map(|m| if let Tell::Leave(l) = m { Some((l.reason(), l.action())) } else { None });
    assert_eq!((leave, closed), (Some((DisconnectReason::ConnectionTimeout, Action::Resume)), true));
    rig.pass(5 * S);
    assert!(rig.seen(&bob, "ann").await.is_empty());
    rig.pass(2 * S);
    assert!(left(&rig.seen(&bob, "ann").await));

    // One that comes back in time has to bring its connection up again.
    let mut carl = rig.join(3, "carl").await;
    rig.failed(3);
    rig.pass(3 * S);
    assert!(rig.resume("carl", &mut carl));
    rig.pass(15 * S);
    assert!(!left(&rig.seen(&bob, "carl").await));
    rig.media(3, MediaEvent::Connected { publisher: false });
    rig.pass(100 * S);
    assert!(!left(&rig.seen(&bob, "carl").await), "it is up");
    rig.failed(3);
    rig.pass(3 * S);
    assert!(rig.resume("carl", &mut carl));
    rig.pass(21 * S);
    let (told, _) = rig.heard(carl.wire.socket).await;
    assert!(told.iter().any(|m| matches!(m, Tell::Leave(l) if l.action() == Action::Reconnect)), "{told:?}");
    assert!(left(&rig.seen(&bob, "carl").await));
}

#[tokio::test]
async fn what_was_missed_comes_in_the_order_of_versions() {
    let mut rig = Rig::new();
    let (mut ann, bob) = (rig.join(1, "ann").await, rig.join(2, "bob").await);
    rig.lose(&ann);
    let carl = rig.join(3, "carl").await;
    rig.room.handle(rig.now, RoomInput::SocketClosed { wire: carl.wire, may_resume: false });
    assert!(rig.resume("ann", &mut ann));
    let (told, _) = rig.heard(ann.wire.socket).await;
    assert!(matches!(&told[0], Tell::Reconnect(r) if r.last_message_seq == 7), "{told:?}");
    let of = |identity: &'static str| participants(&told).filter(move |p| p.identity == identity);
    assert_eq!(of("carl").map(ParticipantInfo::state).collect::<Vec<_>>(), [State::Disconnected]);
    for identity in ["ann", "bob"] {
        let versions: Vec<u32> = of(identity).map(|p| p.version).collect();
        assert!(!versions.is_empty() && versions.is_sorted(), "{identity}: {versions:?}");
    }
    assert!(told.iter().any(|m| matches!(m, Tell::RoomUpdate(_))));
    drop(bob);
}

#[tokio::test]
async fn too_much_missed_needs_a_new_join() {
    let mut rig = Rig::new();
    let (mut ann, _bob) = (rig.join(1, "ann").await, rig.join(2, "bob").await);
    rig.lose(&ann);
    for key in 10..300 {
        let guest = rig.join(key, &format!("guest {key}")).await;
        rig.room.handle(rig.now, RoomInput::SocketClosed { wire: guest.wire, may_resume: false });
    }
    assert!(!rig.resume("ann", &mut ann));
}

#[tokio::test]
async fn hostile_comebacks_change_nothing() {
    let mut rig = Rig::new();
    let (mut ann, mut bob) = (rig.join(1, "ann").await, rig.join(2, "bob").await);
    // Somebody else's sid, in both directions.
    std::mem::swap(&mut ann.sid, &mut bob.sid);
    assert!(!rig.resume("ann", &mut ann) && !rig.resume("bob", &mut bob));
    std::mem::swap(&mut ann.sid, &mut bob.sid);
    // Two at once: the later has the member, and the earlier no say.
    let before = Seat { wire: ann.wire, sid: ann.sid.clone() };
    assert!(rig.resume("ann", &mut ann));
    let first = Seat { wire: ann.wire, sid: ann.sid.clone() };
    assert!(rig.resume("ann", &mut ann));
    for old in [&before, &first] {
        assert!(rig.heard(old.wire.socket).await.1, "closed");
        let leave = signal_request::Message::Leave(trtc_proto::livekit::LeaveRequest::default());
        let leave = Box::new(SignalRequest { message: Some(leave) });
        rig.room.handle(rig.now, RoomInput::Signal(old.wire, leave));
        rig.lose(old);
    }
    assert!(rig.room.members.contains_key(&1));
    // A storm, and patience.
    let granted = (0..1000).filter(|_| rig.resume("ann", &mut ann)).count();
    assert!(granted <= 10, "{granted}");
    rig.pass(2 * S);
    assert!(rig.resume("ann", &mut ann));
    assert!(!left(&rig.seen(&bob, "ann").await));
}
