//! A member that lost its WebSocket comes back on a new one, and nobody else notices; dishonest comebacks are refused.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::call::Call;
use common::{Client, PATIENCE, TestServer};
use std::time::{Duration, Instant};
use trtc_proto::Message as _;
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::participant_info::State;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{
    DataPacket, DisconnectReason, LeaveRequest, ParticipantInfo, ReconnectResponse, SyncState, UserPacket, data_packet,
};
use trtc_rtp::{RtpHeader, RtpPacket};
use trtc_server::ServerConfig;
use trtc_types::MediaKind;

fn connect(server: &TestServer, identity: &str) -> Call {
    Call::connect(server, &server.claims("r", identity))
}

/// The first word after a resume.
fn reconnect(call: &mut Call) -> ReconnectResponse {
    call.until("a first message", |call| !call.heard.is_empty() || call.closed.is_some());
    match call.heard.first() {
        Some(Tell::Reconnect(reconnect)) => reconnect.clone(),
        other => panic!("first message is {other:?}, closed {:?}", call.closed),
    }
}

fn updates(call: &Call) -> impl Iterator<Item = &ParticipantInfo> {
    call.heard.iter().filter_map(|m| if let Tell::Update(u) = m { Some(&u.participants) } else { None }).flatten()
}

fn packet(sequence: u32) -> Vec<u8> {
    let payload = sequence.to_be_bytes().to_vec();
    let user = UserPacket { payload, topic: Some("n".into()), ..UserPacket::default() };
    DataPacket { sequence, value: Some(data_packet::Value::User(user)), ..DataPacket::default() }.encode_to_vec()
}

fn send(call: &mut Call, sequence: u32) {
    call.publisher.peer.send_data(Instant::now(), "_reliable", &packet(sequence)).unwrap();
}

/// Sequence numbers that came on the reliable channel.
fn sequences(call: &Call) -> Vec<u32> {
    call.subscriber.messages.iter().map(|m| DataPacket::decode(&m[..]).unwrap().sequence).collect()
}

fn restart_publisher(call: &mut Call) {
    call.publisher.peer.restart_ice();
    call.negotiate();
}

/// How a comeback is refused.
fn refused(server: &TestServer, identity: &str, query: &str) {
    let mut client = server.join_with(&server.claims("r", identity), query);
    let (messages, close) = client.rest();
    let Some(Tell::Leave(leave)) = messages.first() else { panic!("{messages:?}") };
    assert_eq!((leave.reason(), leave.action()), (DisconnectReason::StateMismatch, Action::Reconnect));
    assert_eq!((messages.len(), close.map(|c| u16::from(c.code))), (1, Some(1000)));
}

#[test]
fn tracks_streams_and_keys_survive_and_the_others_notice_nothing() {
    let server = TestServer::start();
    let (mut ann, mut bob) = (connect(&server, "ann"), connect(&server, "bob"));
    ann.add_track("mic", MediaKind::Audio, 7, false);
    ann.negotiate();
    let mut sequence = 0;
    let mut speak = |ann: &mut Call, bob: &mut Call, count: usize| {
        let before = bob.subscriber.rtp.len();
        let end = Instant::now() + PATIENCE;
        while bob.subscriber.rtp.len() < before + count {
            assert!(Instant::now() < end, "no sound, {} packets", bob.subscriber.rtp.len());
            sequence += 1;
            let header =
                RtpHeader { marker: false, payload_type: 111, sequence, timestamp: u32::from(sequence) * 960, ssrc: 7 };
            ann.publisher.send_rtp(&header, &[], &[0xfc; 20]);
            ann.turn();
            bob.turn();
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    speak(&mut ann, &mut bob, 20);

    // Bob's WebSocket breaks; the media goes on, and so does the room.
    bob.client.socket.get_mut().shutdown(std::net::Shutdown::Both).unwrap();
    server.wait_metric("trtc_signals_lost_total", 1);
    speak(&mut ann, &mut bob, 20);
    let mut carl = server.join("r", "carl");
    let carl_sid = carl.joined().participant.unwrap().sid;
    carl.send(Ask::Leave(LeaveRequest::default()));
    carl.rest();
    connect(&server, "dora");
    let before = bob.subscriber.peer.local_ufrag().to_owned();
    bob.resume(&server, &server.claims("r", "bob"));
    reconnect(&mut bob);
    bob.client.send(Ask::SyncState(SyncState::default()));
    bob.until("an offer", |bob| !bob.offers.is_empty());
    assert_ne!(bob.subscriber.peer.local_ufrag(), before, "the offer restarts ICE");
    restart_publisher(&mut bob);
    speak(&mut ann, &mut bob, 20);

    let told: Vec<(String, State)> = updates(&bob).map(|p| (p.identity.clone(), p.state())).collect();
    assert!(updates(&bob).any(|p| p.sid == carl_sid && p.state() == State::Disconnected), "{told:?}");
    assert!(["ann", "bob", "dora"].iter().all(|who| told.iter().any(|(seen, _)| seen == who)), "{told:?}");
    assert!(bob.heard.iter().any(|m| matches!(m, Tell::RoomUpdate(_))));
    let ssrcs: Vec<u32> = bob.subscriber.rtp.iter().map(|p| RtpPacket::parse(p).unwrap().header().ssrc).collect();
    assert!(ssrcs.iter().all(|ssrc| *ssrc == ssrcs[0]), "one SSRC before and after");
    assert!(!updates(&ann).any(|p| p.identity == "bob" && p.state() == State::Disconnected));
    let versions: Vec<u32> = updates(&ann).filter(|p| p.identity == "bob").map(|p| p.version).collect();
    assert!(versions.is_sorted(), "{versions:?}");
    assert_eq!((server.metric("trtc_resumes_total"), server.metric("trtc_resumes_declined_total")), (1, 0));
}

#[test]
fn numbered_messages_are_neither_lost_nor_doubled() {
    let server = TestServer::start();
    let (mut ann, mut bob) = (connect(&server, "ann"), connect(&server, "bob"));
    let arrive = |ann: &mut Call, count| {
        ann.until("all at the server", |_| server.metric("trtc_media_data_in_total") >= count);
    };
    (1..=3).for_each(|n| send(&mut ann, n));
    arrive(&mut ann, 3);
    ann.client.socket.get_mut().shutdown(std::net::Shutdown::Both).unwrap();
    server.wait_metric("trtc_signals_lost_total", 1);
    (4..=5).for_each(|n| send(&mut ann, n));
    arrive(&mut ann, 5);
    ann.resume(&server, &server.claims("r", "ann"));
    let known = reconnect(&mut ann).last_message_seq;
    assert_eq!(known, 5);
    restart_publisher(&mut ann);
    // A client that missed the number repeats everything.
    server.counts("trtc_media_data_duplicates_total", || {
        (1..=7).for_each(|n| send(&mut ann, n));
        arrive(&mut ann, 12);
    });
    bob.until("all messages", |bob| sequences(bob).len() >= 7);
    bob.negotiate();
    assert_eq!(sequences(&bob), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn only_the_member_itself_comes_back() {
    let server = TestServer::start();
    let (ann, mut bob) = (connect(&server, "ann"), connect(&server, "bob"));
    refused(&server, "bob", &format!("&reconnect=1&sid={}", ann.sid));
    refused(&server, "mallory", &format!("&reconnect=1&sid={}", ann.sid));
    refused(&server, "ann", "&reconnect=1&sid=PA_wrong");
    refused(&server, "ann", "&reconnect=1");
    refused(&server, "ann", &format!("&reconnect=1&sid={}", "x".repeat(4000)));
    let other_room = server.claims("elsewhere", "ann");
    let (messages, _) = server.join_with(&other_room, &format!("&reconnect=1&sid={}", ann.sid)).rest();
    assert!(matches!(messages.first(), Some(Tell::Leave(leave)) if leave.action() == Action::Reconnect));
    let mut forged = server.token(&server.claims("r", "ann"));
    forged.replace_range(forged.len() - 4.., "AAAA");
    let status = Client::connect(server.address, &forged, &format!("&reconnect=1&sid={}", ann.sid)).err().unwrap().0;
    assert_eq!(status, 401);
    assert_eq!(server.metric("trtc_resumes_declined_total"), 6);
    assert_eq!((server.metric("trtc_rooms"), server.metric("trtc_members")), (1, 2), "nothing was made or lost");
    bob.client.send(Ask::Ping(1));
    bob.until("a pong", |bob| bob.heard.iter().any(|m| matches!(m, Tell::Pong(_))));
}

#[test]
fn a_newer_websocket_replaces_one_that_still_stands() {
    let server = TestServer::start();
    let (mut ann, mut bob) = (connect(&server, "ann"), connect(&server, "bob"));
    let claims = server.claims("r", "ann");
    let query = format!("&reconnect=1&sid={}", ann.sid);
    // Two at once: the later one has the member.
    let (mut first, mut second) = (server.join_with(&claims, &query), server.join_with(&claims, &query));
    second.wait("reconnect", |m| matches!(m, Tell::Reconnect(_)).then_some(()));
    let (_, close) = first.rest();
    assert_eq!(close.map(|c| u16::from(c.code)), Some(1000));
    // The old ones have no say: not even their leave counts.
    ann.client.send(Ask::Leave(LeaveRequest::default()));
    ann.until("the old socket's end", |ann| ann.closed.is_some());
    second.is_served();
    bob.client.send(Ask::Ping(1));
    bob.until("a pong", |bob| bob.heard.iter().any(|m| matches!(m, Tell::Pong(_))));
    assert!(!updates(&bob).any(|p| p.identity == "ann" && p.state() == State::Disconnected));
    assert_eq!(server.metric("trtc_leaves_total"), 0);
}

#[test]
fn a_storm_of_resumes_ends() {
    let server = TestServer::start();
    let ann = connect(&server, "ann");
    let query = format!("&reconnect=1&sid={}", ann.sid);
    let claims = server.claims("r", "ann");
    let mut granted = 0;
    for _ in 0..40 {
        let mut client = server.join_with(&claims, &query);
        granted += u32::from(matches!(client.next(), Ok(Tell::Reconnect(_))));
    }
    assert!((1..40).contains(&granted), "{granted}");
    assert!(server.metric("trtc_resumes_declined_total") > 0);
    assert_eq!(server.metric("trtc_members"), 1);
}

#[test]
fn who_does_not_come_back_in_time_has_left() {
    let config = ServerConfig { signal_timeout: Duration::from_millis(500), ..ServerConfig::dev(0, 0) };
    let server = TestServer::with(config);
    let (mut ann, mut bob) = (connect(&server, "ann"), connect(&server, "bob"));
    ann.client.socket.get_mut().shutdown(std::net::Shutdown::Both).unwrap();
    let left = |bob: &mut Call| updates(bob).any(|p| p.identity == "ann" && p.state() == State::Disconnected);
    bob.until("ann's leave", left);
    server.wait_metric("trtc_resumes_expired_total", 1);
    refused(&server, "ann", &format!("&reconnect=1&sid={}", ann.sid));
    // The client closes its connections as well: no need to wait.
    let server = TestServer::start();
    let (mut ann, mut bob) = (connect(&server, "ann"), connect(&server, "bob"));
    ann.client.socket.get_mut().shutdown(std::net::Shutdown::Both).unwrap();
    ann.subscriber.peer.close(Instant::now());
    ann.subscriber.turn();
    bob.until("ann's leave", left);
}
