//! The machine in virtual time against a scripted server.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]
mod common;

use common::{Rig, join, published, sdp, track};
use proptest::prelude::*;
use trtc_proto::livekit::{self as lk, signal_request::Message as Request, signal_response::Message as Response};
use trtc_proto::{Message as _, command};
use trtc_session::{Event, LocalLayer, LocalTrack, Session, SessionConfig, Target, TrackSettings, VideoQuality};
use trtc_types::{Code, LeaveReason, MediaKind, NetworkQuality, TrackSource};

#[test]
fn join_opens_in_order() {
    let mut rig = Rig::new(true, true);
    rig.with(|s, now| s.connect(now));
    assert_eq!(rig.take_log(), ["open /rtc?protocol=15&sdk=trtc&version=0.1.0&auto_subscribe=1"]);
    rig.pass(20);
    rig.open();
    rig.say(Response::Join(join(&[bob(1, &[("TR_AM1", false)])])));
    assert_eq!(rig.take_log(), ["transports"]);
    assert!(rig.take_events().is_empty(), "not in the room before media can flow");
    rig.say(Response::Offer(sdp("offer", 7)));
    let events = rig.take_events();
    let [Event::Joined { elapsed, .. }, Event::UserEntered { .. }, Event::TrackAvailable(t)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((elapsed.as_millis(), t.sid.as_str(), t.subscribed), (20, "TR_AM1", true));
}

#[test]
fn join_failures_have_codes() {
    for (status, code) in [(401, Code::USER_SIG_CHECK_FAILED), (404, Code::ENTER_ROOM_FAILED)] {
        let mut rig = Rig::new(true, true);
        rig.with(|s, now| s.connect(now));
        rig.with(|s, now| s.socket_failed(now, Some(status), "no"));
        let events = rig.take_events();
        assert!(matches!(&events[..], [Event::JoinFailed(e)] if e.code == code), "{events:?}");
        assert_eq!(rig.session.timeout(), None);
    }
}

#[test]
fn a_server_that_is_not_there_is_tried_three_times() {
    let mut rig = Rig::new(true, true);
    rig.with(|s, now| s.connect(now));
    for _ in 0..3 {
        rig.with(|s, now| s.socket_failed(now, None, "refused"));
        rig.pass(2000);
    }
    let events = rig.take_events();
    assert!(matches!(&events[..], [Event::JoinFailed(e)] if e.code == Code::CONNECT_SERVER_TIMEOUT), "{events:?}");
    assert_eq!(rig.log.iter().filter(|l| l.starts_with("open")).count(), 3);
}

#[test]
fn a_silent_server_fails_the_join() {
    let mut rig = Rig::new(true, true);
    rig.with(|s, now| s.connect(now));
    rig.pass(60_000);
    assert!(matches!(&rig.take_events()[..], [Event::JoinFailed(_)]));
    let mut rig = Rig::new(true, true);
    rig.transports_work = false;
    rig.with(|s, now| s.connect(now));
    for _ in 0..3 {
        rig.open();
        rig.say(Response::Join(join(&[])));
        rig.say(Response::Offer(sdp("offer", 1)));
        rig.pass(16_000);
    }
    assert!(matches!(&rig.take_events()[..], [Event::JoinFailed(_)]));
}

#[test]
fn one_offer_at_a_time() {
    let mut rig = Rig::joined();
    rig.auto_offer = false;
    for cid in ["a", "b", "c"] {
        rig.with(|s, now| s.publish(now, track(cid))).unwrap();
    }
    assert_eq!(rig.take_sent().len(), 3);
    for cid in ["a", "b", "c"] {
        rig.say(published(cid, &format!("TR_{cid}")));
    }
    assert_eq!(rig.take_log(), ["add a TR_a", "create offer", "add b TR_b", "add c TR_c"]);
    rig.with(|s, now| s.local_offer(now, "one".into()));
    assert!(matches!(&rig.take_sent()[..], [Request::Offer(o)] if o.id == 1));
    rig.say(Response::Answer(sdp("answer", 9)));
    assert!(rig.take_log().is_empty(), "an answer to something else");
    rig.say(Response::Answer(sdp("answer", 1)));
    assert_eq!(rig.take_log(), ["accept answer", "create offer"]);
    rig.with(|s, now| s.local_offer(now, "two".into()));
    rig.say(Response::Answer(sdp("answer", 2)));
    assert_eq!(rig.take_log(), ["accept answer"], "b and c shared the second offer");
    rig.with(|s, now| s.unpublish(now, "b"));
    assert_eq!(rig.take_log(), ["remove b", "create offer"]);
}

#[test]
fn server_offers_are_answered_one_after_the_other() {
    let mut rig = Rig::joined();
    rig.auto_answer = false;
    rig.say(Response::Offer(sdp("offer", 8)));
    rig.say(Response::Offer(sdp("offer", 9)));
    assert_eq!(rig.take_log(), ["accept offer 8"]);
    rig.with(|s, now| s.local_answer(now, "x".into(), 8));
    assert_eq!(rig.take_log(), ["accept offer 9"]);
    assert!(matches!(&rig.take_sent()[..], [Request::Answer(a)] if a.id == 8));
}

#[test]
fn refused_tracks_are_told() {
    let cases = [
        (lk::request_response::Reason::LimitExceeded, TrackSource::ScreenShare, Code::SCREEN_SHARE_OCCUPIED),
        (lk::request_response::Reason::NotAllowed, TrackSource::Camera, Code::REFUSED),
    ];
    for (reason, source, code) in cases {
        let mut rig = Rig::joined();
        rig.with(|s, now| s.publish(now, LocalTrack { source, ..track("a") })).unwrap();
        let Some(Request::AddTrack(asked)) = rig.take_sent().pop() else { panic!() };
        let request = Some(lk::request_response::Request::AddTrack(asked));
        rig.say(Response::RequestResponse(lk::RequestResponse {
            reason: reason as i32,
            request,
            ..Default::default()
        }));
        let events = rig.take_events();
        assert!(matches!(&events[..], [Event::LocalTrackFailed { error, .. }] if error.code == code), "{events:?}");
    }
    let mut rig = Rig::joined();
    rig.with(|s, now| s.publish(now, track("a"))).unwrap();
    for _ in 0..11 {
        rig.pass(1000);
        rig.say(Response::Pong(1));
    }
    let events = rig.take_events();
    let late =
        |e: &Event| matches!(e, Event::LocalTrackFailed { error, .. } if error.code == Code::REQUEST_SERVER_TIMEOUT);
    assert!(events.len() == 1 && late(&events[0]), "{events:?}");
}

#[test]
fn a_mute_by_the_server_is_told_once_and_not_answered() {
    let mut rig = Rig::joined();
    publish(&mut rig, "a");
    let sid = "TR_a".to_owned();
    for muted in [true, true, false] {
        rig.say(Response::Mute(lk::MuteTrackRequest { sid: sid.clone(), muted }));
    }
    let told = |muted| Event::LocalTrackMuted { cid: "a".into(), muted };
    assert_eq!(rig.take_events(), [told(true), told(false)]);
    assert!(rig.take_sent().is_empty());
    rig.say(Response::Mute(lk::MuteTrackRequest { sid: "TR_nobody".into(), muted: true }));
    assert!(rig.take_events().is_empty());
}

#[test]
fn a_broken_socket_is_resumed() {
    let mut rig = Rig::joined();
    publish(&mut rig, "a");
    rig.with(|s, now| s.socket_closed(now));
    assert_eq!(rig.take_events(), [Event::ConnectionLost, Event::TryToReconnect]);
    let log = rig.take_log();
    assert!(log.last().unwrap().ends_with("&reconnect=1&sid=PA_me&reconnect_reason=1"), "{log:?}");
    rig.with(|s, now| s.set_muted(now, "a", true));
    assert!(rig.take_sent().is_empty(), "kept for later");
    rig.open();
    rig.say(Response::Reconnect(lk::ReconnectResponse::default()));
    let sent = rig.take_sent();
    assert!(matches!(&sent[0], Request::SyncState(s) if s.publish_tracks.len() == 1), "{sent:?}");
    assert!(sent.iter().any(|r| matches!(r, Request::Mute(m) if m.muted)), "{sent:?}");
    assert_eq!(rig.take_log(), ["create offer with restart"]);
    rig.say(Response::Offer(sdp("offer", 9)));
    assert!(rig.take_events().is_empty(), "the publisher's path is not verified yet");
    rig.say(Response::Answer(sdp("answer", 0)));
    assert_eq!(rig.take_events(), [Event::ConnectionRecovered]);
}

#[test]
fn a_dead_transport_is_resumed_and_comes_back_when_it_is_up() {
    let mut rig = Rig::joined();
    rig.with(|s, now| s.transport_failed(now, Target::Subscriber));
    assert_eq!(rig.take_events(), [Event::ConnectionLost, Event::TryToReconnect]);
    rig.open();
    rig.say(Response::Reconnect(lk::ReconnectResponse::default()));
    assert!(rig.take_events().is_empty());
    rig.say(Response::Offer(sdp("offer", 9)));
    assert_eq!(rig.take_events(), [Event::ConnectionRecovered]);
}

#[test]
fn a_closed_transport_waits_for_the_word_that_goes_with_it() {
    let mut rig = Rig::joined();
    rig.with(|s, now| s.transport_closed(now, Target::Subscriber));
    assert!(rig.take_events().is_empty());
    let reason = lk::DisconnectReason::ParticipantRemoved as i32;
    rig.say(Response::Leave(lk::LeaveRequest { reason, ..Default::default() }));
    assert_eq!(rig.take_events(), [Event::Left { reason: 1 }]);

    let mut rig = Rig::joined();
    rig.with(|s, now| s.transport_closed(now, Target::Subscriber));
    rig.pass(1_000);
    assert_eq!(rig.take_events(), [Event::ConnectionLost, Event::TryToReconnect]);
    let log = rig.take_log();
    assert!(log.last().unwrap().starts_with("open") && !log.last().unwrap().contains("reconnect"), "{log:?}");
}

#[test]
fn a_refused_resume_becomes_a_full_reconnect() {
    let mut rig = Rig::joined();
    publish(&mut rig, "a");
    rig.say(Response::Update(lk::ParticipantUpdate { participants: vec![bob(1, &[("TR_AM1", false)])] }));
    rig.take_events();
    rig.with(|s, now| s.socket_closed(now));
    rig.open();
    let reason = lk::DisconnectReason::StateMismatch as i32;
    let action = lk::leave_request::Action::Reconnect as i32;
    rig.say(Response::Leave(lk::LeaveRequest { reason, action, ..Default::default() }));
    rig.with(|s, now| s.socket_closed(now));
    rig.take_log();
    rig.pass(1000);
    rig.open();
    let mut answer = join(&[]);
    answer.participant.as_mut().unwrap().sid = "PA_new".into();
    rig.say(Response::Join(answer));
    rig.say(Response::Offer(sdp("offer", 3)));
    let sent = rig.take_sent();
    assert!(sent.iter().any(|r| matches!(r, Request::AddTrack(t) if t.cid == "a")), "{sent:?}");
    rig.say(published("a", "TR_new"));
    let log = rig.take_log();
    assert!(log.contains(&"transports".to_owned()) && log.contains(&"add a TR_new".to_owned()), "{log:?}");
    assert!(log.ends_with(&["create offer".to_owned()]), "{log:?}");
    let events = rig.take_events();
    assert!(matches!(&events[..2], [Event::ConnectionLost, Event::TryToReconnect]), "{events:?}");
    assert!(events.contains(&Event::ConnectionRecovered));
    let gone = |e: &Event| matches!(e, Event::UserLeft { user, .. } if user.as_str() == "bob");
    assert!(events.iter().any(gone), "bob is not in the new room: {events:?}");
    assert!(events.iter().any(|e| matches!(e, Event::LocalTrackPublished { sid, .. } if sid == "TR_new")));
    assert!(!events.iter().any(|e| matches!(e, Event::Joined { .. } | Event::Left { .. })));
}

#[test]
fn a_server_that_stays_away_ends_the_session() {
    let mut rig = Rig::joined();
    rig.with(|s, now| s.socket_closed(now));
    for _ in 0..20 {
        rig.with(|s, now| s.socket_failed(now, None, "refused"));
        rig.pass(9000);
    }
    assert_eq!(rig.take_events().last(), Some(&Event::Left { reason: 3 }));
    assert_eq!(rig.log.iter().filter(|l| l.starts_with("open")).count(), 10);
    assert_eq!(rig.session.timeout(), None);
}

#[test]
fn silence_is_a_lost_connection() {
    let mut rig = Rig::joined();
    rig.pass(14_999);
    assert_eq!(rig.take_sent().iter().filter(|r| matches!(r, Request::PingReq(_))).count(), 2);
    assert!(rig.take_events().is_empty());
    rig.pass(1);
    assert_eq!(rig.take_events(), [Event::ConnectionLost, Event::TryToReconnect]);
    let mut rig = Rig::joined();
    for _ in 0..20 {
        rig.pass(5000);
        rig.say(Response::PongResp(lk::Pong { last_ping_timestamp: rig.ms() as i64 - 40, timestamp: 1 }));
    }
    assert!(rig.take_events().is_empty());
    assert_eq!(rig.session.signal_rtt().map(|d| d.as_millis()), Some(41));
}

#[test]
fn reasons_to_leave() {
    use lk::DisconnectReason as R;
    for (reason, code) in
        [(R::DuplicateIdentity, 1), (R::ParticipantRemoved, 1), (R::RoomDeleted, 2), (R::ServerShutdown, 3)]
    {
        let mut rig = Rig::joined();
        rig.say(Response::Leave(lk::LeaveRequest { reason: reason as i32, ..Default::default() }));
        assert_eq!(rig.take_events(), [Event::Left { reason: code }]);
        rig.with(|s, now| s.socket_closed(now));
        rig.pass(60_000);
        assert!(rig.take_events().is_empty() && rig.session.timeout().is_none());
    }
    let mut rig = Rig::joined();
    rig.with(|s, now| s.leave(now));
    assert_eq!(rig.take_events(), [Event::Left { reason: 0 }]);
    assert!(matches!(&rig.take_sent()[..], [Request::Leave(_)]));
    assert_eq!(rig.take_log(), ["close"]);
}

#[test]
fn overtaken_updates_are_ignored() {
    let mut rig = Rig::joined();
    rig.say(update(bob(5, &[("TR_AM1", true)])));
    rig.say(update(bob(4, &[])));
    let events = rig.take_events();
    assert!(matches!(&events[..], [Event::UserEntered { .. }, Event::TrackAvailable(t)] if t.muted), "{events:?}");
    rig.say(update(bob(6, &[("TR_AM1", false)])));
    assert!(matches!(&rig.take_events()[..], [Event::TrackUpdated(t)] if !t.muted));
    // A newer membership of the same user; the end of the old one comes late.
    let newer = lk::ParticipantInfo { sid: "PA_bob2".into(), joined_at_ms: 9, ..bob(1, &[("TR_AM2", false)]) };
    rig.say(update(newer));
    let state = lk::participant_info::State::Disconnected as i32;
    rig.say(update(lk::ParticipantInfo { state, ..bob(7, &[]) }));
    let events = rig.take_events();
    assert!(matches!(&events[..], [Event::TrackUnavailable { .. }, Event::TrackAvailable(_)]), "{events:?}");
    let timeout = lk::DisconnectReason::ConnectionTimeout as i32;
    let info = lk::ParticipantInfo {
        sid: "PA_bob2".into(),
        joined_at_ms: 9,
        state,
        disconnect_reason: timeout,
        ..bob(2, &[])
    };
    rig.say(update(info));
    assert!(matches!(rig.take_events().last(), Some(Event::UserLeft { reason: LeaveReason::Timeout, .. })));
}

#[test]
fn privileges_change() {
    let mut rig = Rig::joined();
    publish(&mut rig, "a");
    let permission = Some(lk::ParticipantPermission { can_subscribe: true, ..Default::default() });
    let me = lk::ParticipantInfo { sid: "PA_me".into(), identity: "me".into(), permission, ..Default::default() };
    rig.say(update(me));
    rig.say(Response::TrackUnpublished(lk::TrackUnpublishedResponse { track_sid: "TR_a".into() }));
    let events = rig.take_events();
    assert!(
        matches!(&events[..], [Event::PrivilegesChanged(p), Event::LocalTrackFailed { .. }] if !p.can_publish),
        "{events:?}"
    );
    assert!(rig.with(|s, now| s.publish(now, track("b"))).is_err());
    assert_eq!(rig.with(|s, now| s.send_command(now, 1, b"x", true, true)).unwrap_err().code, Code::REFUSED);
    rig.say(Response::RefreshToken("new.token.x".into()));
    assert_eq!(rig.session.refreshed_token(), "new.token.x");
}

#[test]
fn commands_wait_for_the_channel_and_keep_their_limits() {
    let mut rig = Rig::joined();
    let send = |rig: &mut Rig, id, size: usize, reliable, ordered| {
        rig.with(|s, now| s.send_command(now, id, &vec![7; size], reliable, ordered)).map_err(|e| e.code)
    };
    for (id, size, reliable, ordered) in
        [(0, 1, true, true), (11, 1, true, true), (1, 1001, true, true), (1, 1, true, false)]
    {
        assert_eq!(send(&mut rig, id, size, reliable, ordered), Err(Code::INVALID_PARAMETER));
    }
    assert_eq!(send(&mut rig, 1, 1000, true, true), Ok(()));
    assert_eq!(rig.take_log(), ["create offer"], "data needs the publisher's transport");
    assert!(rig.data.is_empty());
    rig.with(|s, now| s.data_channel_open(now, Target::Publisher, "_reliable"));
    assert_eq!(rig.data.len(), 1);
    let sent = (0..40).filter(|_| send(&mut rig, 2, 1, true, true).is_ok()).count();
    assert_eq!(sent, 29);
    assert_eq!(send(&mut rig, 2, 1, true, true), Err(Code::RATE_LIMITED));
    let packets: Vec<_> = rig.data.iter().map(|(p, _)| lk::DataPacket::decode(&p[..]).unwrap()).collect();
    assert!(packets.iter().enumerate().all(|(i, p)| p.sequence == i as u32 + 1 && p.participant_sid == "PA_me"));
    let Some(lk::data_packet::Value::User(user)) = &packets[29].value else { panic!() };
    assert_eq!(command::decode(user.topic(), &user.payload), Some((2, 29, &[7u8][..])));
}

#[test]
fn gaps_and_copies_of_commands() {
    let mut rig = Rig::joined();
    rig.say(update(bob(1, &[])));
    rig.take_events();
    for (sequence, seq) in [(1, 1), (2, 2), (2, 2), (3, 6), (4, 1)] {
        let packet = command_packet(sequence, seq);
        rig.with(|s, now| s.data_received(now, &packet, true));
    }
    let packet = command_packet(0, 90);
    rig.with(|s, now| s.data_received(now, &packet, false));
    let told: Vec<String> = rig
        .take_events()
        .iter()
        .map(|e| match e {
            Event::Command { seq, .. } => format!("{seq}"),
            Event::CommandsMissed { missed, .. } => format!("missed {missed}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["1", "2", "missed 3", "6", "1", "90"]);
    assert_eq!(rig.session.counters().data_duplicates, 1);
}

#[test]
fn subscriptions_and_settings_go_to_the_server() {
    let mut rig = Rig::joined();
    rig.say(update(bob(1, &[("TR_AM1", false)])));
    rig.take_events();
    rig.with(|s, now| s.subscribe(now, "TR_AM1", false));
    rig.with(|s, now| s.subscribe(now, "TR_AM1", false));
    rig.with(|s, now| s.subscribe(now, "TR_unknown", true));
    assert!(matches!(&rig.take_events()[..], [Event::TrackUpdated(t)] if !t.subscribed));
    assert!(matches!(&rig.take_sent()[..], [Request::Subscription(s)] if !s.subscribe));
    rig.with(|s, now| {
        s.track_settings(now, "TR_AM1", TrackSettings { disabled: true, width: 320, ..Default::default() })
    });
    assert!(
        matches!(&rig.take_sent()[..], [Request::TrackSetting(s)] if s.disabled && s.width == 320 && s.quality == 2)
    );
    rig.with(|s, now| {
        s.track_settings(now, "TR_AM1", TrackSettings { quality: VideoQuality::Low, ..Default::default() })
    });
    assert!(matches!(&rig.take_sent()[..], [Request::TrackSetting(s)] if !s.disabled && s.quality == 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Garbage on every input, in any phase: no panic, no endless ticking, the roster stays bounded by its input.
    #[test]
    fn garbage_never_panics(
        start_joined in any::<bool>(),
        inputs in prop::collection::vec((0u8..12, prop::collection::vec(any::<u8>(), 0..80), 0u64..20_000), 0..60),
    ) {
        let mut rig = if start_joined { Rig::joined() } else { Rig::new(true, false) };
        rig.with(|s, now| s.connect(now));
        for (what, bytes, ms) in inputs {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            match what {
                0 => rig.with(|s, now| s.socket_message(now, &bytes)),
                1 => rig.with(|s, now| s.data_received(now, &bytes, ms % 2 == 0)),
                2 => rig.with(|s, now| s.socket_closed(now)),
                3 => rig.with(|s, now| s.socket_failed(now, (ms % 3 == 0).then_some(ms as u16 % 600), &text)),
                4 => rig.open(),
                5 => rig.with(|s, now| s.transport_failed(now, if ms % 2 == 0 { Target::Publisher } else { Target::Subscriber })),
                6 => rig.say(Response::Join(join(&[lk::ParticipantInfo { identity: text, ..bob(1, &[("TR_1", false)]) }]))),
                7 => rig.say(Response::Offer(sdp(&text, ms as u32))),
                8 => rig.say(Response::Trickle(lk::TrickleRequest { candidate_init: text, ..Default::default() })),
                9 => { let _ = rig.with(|s, now| s.publish(now, track(&text))); }
                10 => rig.say(published(&text, &text)),
                _ => rig.say(Response::Leave(lk::LeaveRequest { action: ms as i32 % 4, reason: ms as i32, ..Default::default() })),
            }
            rig.pass(ms);
        }
        rig.with(|s, now| s.leave(now));
        rig.pass(3_000);
        prop_assert!(rig.session.is_over() && rig.session.timeout().is_none());
    }

    /// Valid messages with every byte in turn damaged.
    #[test]
    fn damaged_messages_never_panic(at in 0usize..300, value in any::<u8>()) {
        let mut rig = Rig::joined();
        for message in [
            Response::Join(join(&[bob(1, &[("TR_1", false)])])),
            update(bob(2, &[("TR_1", true), ("TR_2", false)])),
            published("a", "TR_a"),
            Response::Reconnect(lk::ReconnectResponse { last_message_seq: 3, ..Default::default() }),
        ] {
            let mut frame = lk::SignalResponse::frame(message);
            let index = at % frame.len();
            frame[index] = value;
            rig.with(|s, now| s.socket_message(now, &frame));
        }
    }
}

#[test]
fn an_unconnected_session_takes_everything_calmly() {
    let mut session = Session::new(SessionConfig {
        hide_audience: false,
        token: String::new(),
        auto_subscribe_audio: true,
        auto_subscribe_video: true,
        sdk_version: "&x=1".into(),
    });
    let now = std::time::Instant::now();
    session.socket_opened(now);
    session.socket_message(now, &[1, 2, 3]);
    session.tick(now);
    assert!(session.send_user_data(now, "t", b"x", true, &[]).is_err());
    assert!(session.poll().is_none() && session.timeout().is_none());
    session.leave(now);
}

fn publish(rig: &mut Rig, cid: &str) {
    rig.with(|s, now| s.publish(now, track(cid))).unwrap();
    rig.say(published(cid, &format!("TR_{cid}")));
    rig.say(Response::Answer(sdp("answer", 1)));
    rig.take_events();
    rig.take_sent();
    rig.take_log();
}

fn update(info: lk::ParticipantInfo) -> Response {
    Response::Update(lk::ParticipantUpdate { participants: vec![info] })
}

fn bob(version: u32, tracks: &[(&str, bool)]) -> lk::ParticipantInfo {
    let track = |(sid, muted): &(&str, bool)| lk::TrackInfo {
        sid: (*sid).into(),
        muted: *muted,
        source: lk::TrackSource::Microphone as i32,
        ..Default::default()
    };
    lk::ParticipantInfo {
        sid: "PA_bob".into(),
        identity: "bob".into(),
        state: lk::participant_info::State::Active as i32,
        version,
        joined_at_ms: 5,
        tracks: tracks.iter().map(track).collect(),
        ..Default::default()
    }
}

fn command_packet(sequence: u32, seq: u32) -> Vec<u8> {
    let (topic, payload) = command::encode(3, seq, b"hi");
    lk::DataPacket {
        participant_identity: "bob".into(),
        participant_sid: "PA_bob".into(),
        sequence,
        value: Some(lk::data_packet::Value::User(lk::UserPacket { payload, topic: Some(topic), ..Default::default() })),
        ..Default::default()
    }
    .encode_to_vec()
}

#[test]
fn microphone_and_camera_differ_on_the_wire() {
    let mut rig = Rig::joined();
    let mic = LocalTrack { kind: MediaKind::Audio, source: TrackSource::Microphone, stereo: true, ..track("m") };
    rig.with(|s, now| s.publish(now, mic)).unwrap();
    rig.with(|s, now| s.publish(now, LocalTrack { source: TrackSource::ScreenShare, ..track("s") })).unwrap();
    let sent = rig.take_sent();
    let [Request::AddTrack(mic), Request::AddTrack(screen)] = &sent[..] else { panic!("{sent:?}") };
    assert!(mic.stereo && mic.disable_red && mic.stream == "camera" && mic.source == 2 && mic.r#type == 0);
    assert!(screen.stream == "screen" && screen.source == 3 && screen.r#type == 1 && screen.width == 640);
    assert!(rig.with(|s, now| s.publish(now, track("s"))).is_err(), "the cid is in use");
}

#[test]
fn layers_are_announced_and_follow_what_is_watched() {
    let mut rig = Rig::joined();
    let layer = |width, height, bitrate_bps| LocalLayer { width, height, bitrate_bps };
    let layers = vec![layer(320, 180, 150_000), layer(640, 360, 500_000)];
    let alone = LocalTrack { layers: layers[..1].to_vec(), ..track("x") };
    assert!(rig.with(|s, now| s.publish(now, alone)).is_err(), "one layer is none");
    rig.with(|s, now| s.publish(now, LocalTrack { layers, ..track("v") })).unwrap();
    let sent = rig.take_sent();
    let [Request::AddTrack(asked)] = &sent[..] else { panic!("{sent:?}") };
    let shown: Vec<_> = asked.layers.iter().map(|l| (l.quality, l.width, l.bitrate)).collect();
    assert_eq!(shown, [(0, 320, 150_000), (2, 640, 500_000)]);
    assert_eq!((asked.simulcast_codecs[0].codec.as_str(), &asked.simulcast_codecs[0].layers), ("h264", &asked.layers));
    rig.say(published("v", "TR_V"));
    rig.take_events();
    // (enabled qualities, layers wanted)
    for (enabled, expected) in [
        (vec![0, 1, 2], [true, true]),
        (vec![0], [true, false]),
        (vec![1], [false, true]),
        (vec![2], [false, true]),
        (vec![], [false, false]),
    ] {
        let qualities: Vec<_> =
            (0..3).map(|quality| lk::SubscribedQuality { quality, enabled: enabled.contains(&quality) }).collect();
        rig.say(Response::SubscribedQualityUpdate(lk::SubscribedQualityUpdate {
            track_sid: "TR_V".into(),
            subscribed_codecs: vec![lk::SubscribedCodec { codec: "H264".into(), qualities }],
            ..Default::default()
        }));
        let events = rig.take_events();
        let wanted = expected.to_vec();
        assert_eq!(events, [Event::LocalLayersWanted { cid: "v".into(), wanted }], "{enabled:?}");
    }
}

#[test]
fn ratings_of_others_are_told() {
    let mut rig = Rig::joined();
    rig.say(update(bob(1, &[])));
    rig.take_events();
    let rated = |sid: &str, quality: lk::ConnectionQuality| lk::ConnectionQualityInfo {
        participant_sid: sid.into(),
        quality: quality.into(),
        score: 4.5,
    };
    let updates = vec![rated("PA_nobody", lk::ConnectionQuality::Poor), rated("PA_bob", lk::ConnectionQuality::Lost)];
    rig.say(Response::ConnectionQuality(lk::ConnectionQualityUpdate { updates }));
    let events = rig.take_events();
    assert!(
        matches!(&events[..], [Event::ConnectionQuality { user, quality: NetworkQuality::Down }] if user.as_str() == "bob"),
        "{events:?}"
    );
}
