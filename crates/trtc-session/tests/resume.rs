//! Connections that break: what waits, what is sent again, how often it is tried.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::{Rig, join, published, sdp, track};
use std::time::{Duration, Instant};
use trtc_proto::Message as _;
use trtc_proto::livekit::{self as lk, signal_request::Message as Request, signal_response::Message as Response};
use trtc_session::{Event, Session, Target};
use trtc_types::Code;

/// A member whose publisher carries data.
fn talking() -> Rig {
    let mut rig = Rig::joined();
    rig.with(|s, now| s.send_command(now, 1, b"1", true, true)).unwrap();
    rig.say(Response::Answer(sdp("answer", 1)));
    rig.with(|s, now| s.data_channel_open(now, Target::Publisher, "_reliable"));
    rig.take_log();
    rig.take_sent();
    rig
}

fn command(rig: &mut Rig, text: &[u8]) -> Result<(), Code> {
    rig.with(|s, now| s.send_command(now, 1, text, true, true)).map_err(|e| e.code)
}

/// The server's number and ours of every reliable packet that went to the channel.
fn sent(rig: &mut Rig) -> Vec<(u32, u32)> {
    let packets = std::mem::take(&mut rig.data);
    let number = |packet: &[u8]| {
        let packet = lk::DataPacket::decode(packet).unwrap();
        let Some(lk::data_packet::Value::User(user)) = packet.value else { panic!() };
        (packet.sequence, u32::from_be_bytes(user.payload[..4].try_into().unwrap()))
    };
    packets.iter().filter(|(_, reliable)| *reliable).map(|(packet, _)| number(packet)).collect()
}

fn reconnected(last_message_seq: u32) -> Response {
    Response::Reconnect(lk::ReconnectResponse { last_message_seq, ..Default::default() })
}

/// Both connections restart ICE and come up.
fn restarted(rig: &mut Rig) {
    rig.say(Response::Offer(sdp("offer", 90)));
    rig.say(Response::Answer(sdp("answer", 0)));
}

#[test]
fn what_the_server_missed_is_sent_again_and_what_waited_follows() {
    let mut rig = talking();
    (0..4).for_each(|_| command(&mut rig, b"x").unwrap());
    assert_eq!(sent(&mut rig), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    rig.with(|s, now| s.socket_closed(now));
    (0..2).for_each(|_| command(&mut rig, b"y").unwrap());
    let lossy = rig.with(|s, now| s.send_command(now, 2, b"z", false, false));
    assert_eq!(lossy.unwrap_err().code, Code::DISCONNECTED);
    rig.open();
    rig.say(reconnected(3));
    command(&mut rig, b"late").unwrap();
    assert!(sent(&mut rig).is_empty(), "the path may be another one: nothing before it is verified");
    restarted(&mut rig);
    assert_eq!(sent(&mut rig), [(4, 4), (5, 5), (6, 6), (7, 7), (8, 8)]);
    command(&mut rig, b"on").unwrap();
    assert_eq!(sent(&mut rig), [(9, 9)]);
    assert_eq!(rig.session.counters().data_replayed, 2);
}

#[test]
fn a_resume_passes_new_ice_servers_on_before_ice_restarts() {
    let mut rig = talking();
    let server = |username: &str| lk::IceServer {
        urls: vec!["turn:a".into()],
        username: username.into(),
        credential: "c".into(),
    };
    for (servers, told) in [(vec![server("later"), server("other")], true), (vec![], false)] {
        rig.with(|s, now| s.socket_closed(now));
        rig.open();
        rig.take_log();
        rig.say(Response::Reconnect(lk::ReconnectResponse { ice_servers: servers, ..Default::default() }));
        let log = rig.take_log();
        assert_eq!(log.first().is_some_and(|first| first == "servers later@turn:a other@turn:a"), told, "{log:?}");
        assert!(log.iter().any(|line| line == "create offer with restart"), "{log:?}");
        restarted(&mut rig);
        rig.pass(11_000);
    }
}

fn is_leave(request: &Request) -> bool {
    matches!(request, Request::Leave(leave) if leave.reason() == lk::DisconnectReason::ClientInitiated)
}

/// A member that leaves while its new WebSocket is being opened.
fn leaving() -> Rig {
    let mut rig = talking();
    rig.with(|s, now| s.socket_closed(now));
    rig.take_events();
    rig.take_log();
    rig.with(|s, now| s.leave(now));
    assert_eq!(rig.take_events(), [Event::Left { reason: 0 }], "at once");
    assert!(!rig.session.is_over() && rig.take_sent().is_empty());
    rig
}

#[test]
fn who_leaves_while_reconnecting_tells_the_server_once_it_answers() {
    let mut rig = leaving();
    rig.take_log();
    rig.open();
    assert!(rig.take_sent().is_empty(), "a membership of later would be the one to leave");
    rig.say(reconnected(0));
    assert!(matches!(&rig.take_sent()[..], [leave] if is_leave(leave)));
    assert_eq!(rig.take_log(), ["close"]);
    assert!(rig.session.is_over() && rig.session.timeout().is_none());
    // Attempts that fail are repeated, for two seconds.
    let mut rig = leaving();
    for _ in 0..3 {
        rig.with(|s, now| s.socket_failed(now, None, "unreachable"));
        rig.pass(310);
        let log = rig.take_log();
        assert!(matches!(&log[..], [open] if open.contains("&reconnect=1&sid=PA_me&")), "{log:?}");
    }
    rig.open();
    rig.say(reconnected(0));
    assert!(matches!(&rig.take_sent()[..], [leave] if is_leave(leave)));
}

#[test]
fn a_server_out_of_reach_holds_nobody_for_long() {
    let mut rig = leaving();
    rig.pass(1_900);
    assert!(!rig.session.is_over());
    assert_eq!(rig.with(|s, now| s.publish(now, track("v"))).unwrap_err().code, Code::REFUSED);
    assert_eq!(command(&mut rig, b"late").unwrap_err(), Code::DISCONNECTED);
    rig.with(|s, now| s.leave(now));
    rig.with(|s, now| s.network_changed(now));
    rig.with(|s, now| s.transport_closed(now, Target::Subscriber));
    rig.pass(200);
    assert!(rig.session.is_over() && rig.session.timeout().is_none());
    assert_eq!(rig.take_log().last().map(String::as_str), Some("close"));
    // A server that knows nothing of us.
    let mut rig = leaving();
    rig.with(|s, now| s.socket_failed(now, Some(404), "no such participant"));
    assert!(rig.session.is_over());
    let mut rig = leaving();
    rig.open();
    rig.say(Response::Leave(lk::LeaveRequest::default()));
    assert!(rig.session.is_over() && rig.take_sent().is_empty() && rig.take_events().is_empty());
}

/// What is lost without a word: the socket is dead when it is said, and nobody knows yet.
#[test]
fn what_went_into_a_dead_socket_is_said_again_by_a_resume() {
    let mut rig = talking();
    for cid in ["a", "b"] {
        rig.with(|s, now| s.publish(now, track(cid))).unwrap();
        rig.say(published(cid, &format!("TR_{cid}")));
    }
    let bob = lk::ParticipantInfo {
        sid: "PA_bob".into(),
        identity: "bob".into(),
        tracks: vec![lk::TrackInfo { sid: "TR_bob".into(), r#type: 1, ..Default::default() }],
        version: 1,
        ..Default::default()
    };
    rig.say(Response::Update(lk::ParticipantUpdate { participants: vec![bob] }));
    // This one is heard: the server answers to a later ping.
    rig.with(|s, now| s.set_muted(now, "b", true));
    rig.pass(5_000);
    let ping = rig.take_sent().into_iter().rev().find_map(|r| if let Request::PingReq(p) = r { Some(p) } else { None });
    let last_ping_timestamp = ping.unwrap().timestamp;
    rig.say(Response::PongResp(lk::Pong { last_ping_timestamp, timestamp: 1 }));
    rig.with(|s, now| {
        s.set_muted(now, "a", true);
        s.track_settings(now, "TR_bob", trtc_session::TrackSettings { width: 320, ..Default::default() });
        s.set_attributes(now, [("k".to_owned(), "v".to_owned())].into());
    });
    assert_eq!(rig.take_sent().len(), 3);
    rig.with(|s, now| s.socket_closed(now));
    rig.open();
    rig.say(reconnected(1));
    let sent = rig.take_sent();
    let mutes = sent.iter().filter_map(|r| if let Request::Mute(m) = r { Some((&m.sid[..], m.muted)) } else { None });
    assert_eq!(mutes.collect::<Vec<_>>(), [("TR_a", true)], "the server may have muted the other by itself");
    let shown = |r: &Request| matches!(r, Request::TrackSetting(s) if s.width == 320 && s.track_sids == ["TR_bob"]);
    assert_eq!(sent.iter().filter(|r| shown(r)).count(), 1, "{sent:?}");
    let attributes = |r: &Request| matches!(r, Request::UpdateMetadata(m) if m.attributes["k"] == "v");
    assert_eq!(sent.iter().filter(|r| attributes(r)).count(), 1, "{sent:?}");
    assert!(matches!(sent[0], Request::SyncState(_)));

    // A new membership has the attributes of the token, and the tracks as they are announced.
    let action = lk::leave_request::Action::Reconnect as i32;
    rig.say(Response::Leave(lk::LeaveRequest { action, ..Default::default() }));
    rig.pass(1_000);
    rig.open();
    rig.take_sent();
    rig.say(Response::Join(join(&[])));
    let sent = rig.take_sent();
    assert_eq!(sent.iter().filter(|r| attributes(r)).count(), 1, "{sent:?}");
    assert_eq!(sent.iter().filter(|r| matches!(r, Request::AddTrack(t) if t.muted)).count(), 2, "{sent:?}");
}

/// A server forgets an announced track with its section, and only then.
#[test]
fn a_track_withdrawn_before_it_has_a_sid_does_not_stay_at_the_server() {
    let mut rig = talking();
    rig.with(|s, now| s.publish(now, track("a"))).unwrap();
    rig.with(|s, now| s.unpublish(now, "a"));
    assert!(rig.take_log().is_empty());
    rig.say(published("a", "TR_a"));
    assert_eq!(rig.take_log(), ["add a TR_a", "create offer"]);
    rig.say(Response::Answer(sdp("answer", 0)));
    assert_eq!(rig.take_log(), ["accept answer", "remove a", "create offer"]);
    rig.say(Response::Answer(sdp("answer", 0)));
    assert_eq!(rig.take_log(), ["accept answer"]);
    assert!(rig.take_events().is_empty(), "the host does not want to hear of it");

    // Refused, or never answered: nothing is left of it either.
    for refused in [true, false] {
        rig.with(|s, now| s.publish(now, track("a"))).unwrap();
        rig.with(|s, now| s.unpublish(now, "a"));
        let asked = rig.take_sent().into_iter().find_map(|r| if let Request::AddTrack(t) = r { Some(t) } else { None });
        if refused {
            let request = asked.map(lk::request_response::Request::AddTrack);
            let reason = lk::request_response::Reason::NotAllowed as i32;
            rig.say(Response::RequestResponse(lk::RequestResponse { reason, request, ..Default::default() }));
        } else {
            (0..3).for_each(|_| {
                rig.pass(4_000);
                rig.say(Response::Pong(1));
            });
        }
        assert_eq!(rig.take_log(), ["remove a"]);
        assert!(rig.take_events().is_empty());
    }

    // A new membership is not told of it.
    rig.with(|s, now| s.publish(now, track("a"))).unwrap();
    rig.with(|s, now| s.unpublish(now, "a"));
    let action = lk::leave_request::Action::Reconnect as i32;
    rig.say(Response::Leave(lk::LeaveRequest { action, ..Default::default() }));
    rig.pass(1_000);
    rig.open();
    rig.take_sent();
    rig.say(Response::Join(join(&[])));
    assert!(!rig.take_sent().iter().any(|r| matches!(r, Request::AddTrack(_))));
    assert!(rig.take_log().contains(&"remove a".to_owned()));
}

#[test]
fn what_waits_is_bounded_and_refused_beyond() {
    let mut rig = talking();
    rig.with(|s, now| s.socket_closed(now));
    let mut refused = None;
    for n in 0..2_000 {
        if let Err(e) = rig.with(|s, now| s.send_user_data(now, "t", &[0; 100], true, &[])) {
            refused = Some((n, e.code));
            break;
        }
    }
    assert_eq!(refused, Some((256, Code::QUEUE_FULL)));
}

#[test]
fn messages_survive_a_full_reconnect_with_the_new_membership_s_numbers() {
    let mut rig = talking();
    sent(&mut rig);
    rig.with(|s, now| s.socket_closed(now));
    command(&mut rig, b"kept").unwrap();
    rig.open();
    let (reason, action) = (lk::DisconnectReason::StateMismatch as i32, lk::leave_request::Action::Reconnect as i32);
    rig.say(Response::Leave(lk::LeaveRequest { reason, action, ..Default::default() }));
    rig.pass(1000);
    rig.open();
    let mut answer = join(&[]);
    answer.participant.as_mut().unwrap().sid = "PA_new".into();
    rig.say(Response::Join(answer));
    rig.say(Response::Offer(sdp("offer", 3)));
    assert_eq!(rig.take_events().last(), Some(&Event::ConnectionRecovered));
    rig.say(Response::Answer(sdp("answer", 0)));
    rig.with(|s, now| s.data_channel_open(now, Target::Publisher, "_reliable"));
    let packet = lk::DataPacket::decode(&rig.data[0].0[..]).unwrap();
    assert_eq!(packet.participant_sid, "PA_new");
    assert_eq!(sent(&mut rig), [(1, 2)]);
}

#[test]
fn a_new_address_is_not_waited_for() {
    let mut rig = talking();
    rig.with(|s, now| s.network_changed(now));
    assert_eq!(rig.take_events(), [Event::ConnectionLost, Event::TryToReconnect]);
    rig.with(|s, now| s.network_changed(now));
    assert!(rig.take_events().is_empty(), "it is being reconnected already");
    let log = rig.take_log();
    assert!(log.last().unwrap().contains("&reconnect=1&sid=PA_me"), "{log:?}");
    rig.open();
    rig.say(reconnected(1));
    restarted(&mut rig);
    assert_eq!(rig.take_events(), [Event::ConnectionRecovered]);
    assert!(!rig.take_log().contains(&"transports".to_owned()), "keys and channels are kept");
}

#[test]
fn an_attempt_from_an_address_that_is_gone_is_made_again() {
    let mut rig = talking();
    rig.with(|s, now| s.socket_closed(now));
    rig.with(|s, now| s.socket_failed(now, None, "unreachable"));
    rig.take_log();
    for state in ["waiting", "opening", "greeting", "connecting"] {
        match state {
            "greeting" => rig.open(),
            "connecting" => {
                rig.open();
                rig.say(reconnected(1));
            }
            _ => {}
        }
        rig.take_log();
        rig.with(|s, now| s.network_changed(now));
        let log = rig.take_log();
        assert!(log.last().unwrap().contains("&reconnect=1&sid=PA_me"), "{state}: {log:?}");
        assert_eq!(log.len(), if state == "waiting" { 1 } else { 2 }, "{state}: {log:?}");
    }
    rig.open();
    rig.say(reconnected(1));
    restarted(&mut rig);
    assert_eq!(rig.take_events().last(), Some(&Event::ConnectionRecovered));
}

/// Breaks a connection and lets time pass until it is tried again; returns how long that took.
fn wait_after(rig: &mut Rig, lose: impl FnOnce(&mut Session, Instant)) -> Duration {
    rig.take_log();
    let lost = rig.now;
    rig.with(lose);
    while !rig.log.iter().any(|l| l.starts_with("open")) {
        rig.pass(10);
    }
    let waited = rig.now - lost;
    rig.open();
    waited
}

#[test]
fn transports_that_fail_over_and_over_are_tried_less_and_less_often() {
    let mut rig = talking();
    let mut waits = Vec::new();
    for _ in 0..8 {
        waits.push(wait_after(&mut rig, |s, now| s.transport_failed(now, Target::Subscriber)));
        // Declined every time: the way back in full takes no short cut around the wait.
        let action = lk::leave_request::Action::Reconnect as i32;
        rig.say(Response::Leave(lk::LeaveRequest { action, ..Default::default() }));
        rig.pass(1_000);
        rig.open();
        rig.say(Response::Join(join(&[])));
        rig.say(Response::Offer(sdp("offer", 4)));
        assert_eq!(rig.take_events().last(), Some(&Event::ConnectionRecovered));
        rig.pass(50);
    }
    assert!(waits[0].is_zero() && waits[7] >= Duration::from_secs(7), "{waits:?}");
}

#[test]
fn a_flapping_connection_is_tried_less_and_less_often() {
    let mut rig = talking();
    let mut waits = Vec::new();
    for _ in 0..8 {
        waits.push(wait_after(&mut rig, |s, now| s.socket_closed(now)));
        rig.say(reconnected(1));
        restarted(&mut rig);
        assert_eq!(rig.take_events().last(), Some(&Event::ConnectionRecovered));
        rig.pass(50);
    }
    assert!(waits[0].is_zero() && waits.is_sorted_by(|a, b| a <= b || *a > Duration::from_secs(7)), "{waits:?}");
    assert!(waits[7] >= Duration::from_secs(7), "{waits:?}");
    assert_eq!(rig.session.counters().flaps, 7);
    // A connection that has held is trusted again.
    for _ in 0..3 {
        rig.pass(4_000);
        rig.say(Response::Pong(1));
    }
    rig.take_log();
    rig.with(|s, now| s.socket_closed(now));
    assert!(rig.take_log().iter().any(|l| l.starts_with("open")));
}

#[test]
fn a_resume_that_brings_no_connection_becomes_a_full_reconnect() {
    let mut rig = talking();
    rig.with(|s, now| s.publish(now, track("a"))).unwrap();
    rig.say(published("a", "TR_a"));
    rig.with(|s, now| s.socket_closed(now));
    rig.open();
    rig.transports_work = false;
    rig.say(reconnected(1));
    restarted(&mut rig);
    for _ in 0..4 {
        rig.pass(4_000);
        rig.say(Response::Pong(1));
    }
    let log = rig.take_log();
    assert!(log.last().unwrap().starts_with("open") && !log.last().unwrap().contains("reconnect"), "{log:?}");
    rig.transports_work = true;
    rig.open();
    rig.take_sent();
    rig.say(Response::Join(join(&[])));
    rig.say(Response::Offer(sdp("offer", 4)));
    assert!(rig.take_sent().iter().any(|r| matches!(r, Request::AddTrack(t) if t.cid == "a")));
    assert_eq!(rig.take_events().last(), Some(&Event::ConnectionRecovered));
}
