//! What minutes without a WebSocket or a connection do to a member.
use super::RoomInput;
use super::rig::{Rig, Seat};
use crate::media::MediaEvent;
use std::time::Duration;
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::participant_info::State;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{
    AddTrackRequest, DisconnectReason, ParticipantInfo, SignalRequest, TrackSource, TrackType, signal_request,
};

impl Rig {
    /// States of somebody as told to another member, in order, with their versions.
    async fn seen(&mut self, by: &Seat, identity: &str) -> Vec<(State, u32)> {
        let (told, _) = self.heard(by.wire.socket).await;
        participants(&told).filter(|p| p.identity == identity).map(|p| (p.state(), p.version)).collect()
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

#[tokio::test]
async fn an_announced_sub_stream_without_media_keeps_its_place_for_a_while() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.join(1, "ann").await, rig.join(2, "bob").await);
    let mut cid = 0;
    let mut announce = |rig: &mut Rig, seat: &Seat| {
        cid += 1;
        let (r#type, source) = (TrackType::Video.into(), TrackSource::ScreenShare.into());
        let track = AddTrackRequest { cid: cid.to_string(), r#type, source, ..Default::default() };
        let message = Some(signal_request::Message::AddTrack(track));
        rig.room.handle(rig.now, RoomInput::Signal(seat.wire, Box::new(SignalRequest { message })));
        rig.room.members[&seat.wire.member].tracks.iter().any(|t| t.cid == cid.to_string())
    };
    assert!(announce(&mut rig, &ann));
    assert!(!announce(&mut rig, &bob), "taken");
    assert!(announce(&mut rig, &ann), "by the member itself, whose next offer ends the first");
    rig.pass(31 * S);
    assert!(announce(&mut rig, &bob), "nothing has come of it");
    let sid = rig.room.members[&2].tracks[0].info.sid.clone();
    rig.media(2, MediaEvent::TrackStarted { sid, codec_mime: "video/H264".into() });
    rig.pass(31 * S);
    assert!(!announce(&mut rig, &ann), "with media it is held");
}
