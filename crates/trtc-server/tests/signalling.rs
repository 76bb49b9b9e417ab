//! The signalling of a real server over real sockets, with honest clients.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::{Client, TestServer};
use std::collections::BTreeMap;
use std::time::Duration;
use trtc_proto::jwt::VideoGrant;
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::participant_info::State;
use trtc_proto::livekit::request_response::{Reason, Request};
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{
    AddTrackRequest, DisconnectReason, LeaveRequest, MuteTrackRequest, Ping, TrackSource, TrackType,
    UpdateParticipantMetadata, UpdateSubscription,
};
use trtc_server::ServerConfig;

fn microphone(cid: &str) -> AddTrackRequest {
    track(cid, TrackType::Audio, TrackSource::Microphone)
}

fn track(cid: &str, kind: TrackType, source: TrackSource) -> AddTrackRequest {
    AddTrackRequest { cid: cid.into(), r#type: kind.into(), source: source.into(), ..AddTrackRequest::default() }
}

fn leave_in(messages: &[Tell]) -> Option<(DisconnectReason, Action)> {
    messages.iter().find_map(|m| if let Tell::Leave(l) = m { Some((l.reason(), l.action())) } else { None })
}

#[test]
fn plain_http_answers_like_the_real_server() {
    let server = TestServer::start();
    let health = server.http("GET", "/", None);
    assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("OK"), "{health}");
    assert!(server.http("HEAD", "/", None).starts_with("HTTP/1.1 200"));
    for path in ["/rtc", "/rtc/v1", "/rtc/v1/validate", "/settings/regions"] {
        assert!(server.http("GET", path, None).starts_with("HTTP/1.1 404"), "{path}");
    }
    let token = server.token(&server.claims("r", "u"));
    let valid = server.http("GET", "/rtc/validate", Some(&token));
    assert!(valid.starts_with("HTTP/1.1 200") && valid.ends_with("success"), "{valid}");
    assert!(valid.contains("access-control-allow-origin: *"), "{valid}");
    let by_query = server.http("GET", &format!("/rtc/validate?access_token={token}"), None);
    assert!(by_query.ends_with("success"), "{by_query}");
    let refused = server.http("GET", "/rtc/validate", None);
    assert!(refused.starts_with("HTTP/1.1 401") && refused.ends_with("no permissions to access the room"), "{refused}");
}

#[test]
fn the_join_response_has_what_clients_insist_on() {
    let server = TestServer::start();
    let mut claims = server.claims("r", "ann");
    claims.name = "Ann".into();
    claims.metadata = "md".into();
    claims.attributes = BTreeMap::from([("k".into(), "v".into())]);
    let mut client = server.join_with(&claims, "");
    let join = client.joined();
    let (room, me, info) = (join.room.unwrap(), join.participant.unwrap(), join.server_info.unwrap());
    assert!(room.sid.starts_with("RM_") && room.name == "r");
    assert!(me.sid.starts_with("PA_") && me.identity == "ann" && me.name == "Ann" && me.metadata == "md");
    assert_eq!((me.state(), me.attributes.get("k").map(String::as_str)), (State::Joined, Some("v")));
    let permission = me.permission.unwrap();
    assert!(
        permission.can_publish
            && permission.can_subscribe
            && permission.can_publish_data
            && !permission.can_update_metadata
    );
    assert!(join.ping_interval == 5 && join.ping_timeout == 15 && join.subscriber_primary && join.fast_publish);
    assert!(!info.version.is_empty() && info.protocol == 16);
    assert!(!join.sif_trailer.is_empty() && !join.enabled_publish_codecs.is_empty() && join.ice_servers.is_empty());
    let token = client.wait("a token", |m| if let Tell::RefreshToken(t) = m { Some(t) } else { None });
    assert!(Client::connect(server.address, &token, "").is_ok());

    let mut mute_claims = server.claims("r", "deaf");
    mute_claims.video.as_mut().unwrap().can_subscribe = Some(false);
    assert!(!server.join_with(&mute_claims, "").joined().subscriber_primary);
}

#[test]
fn members_see_each_other_come_and_go() {
    let server = TestServer::start();
    let mut ann = server.join("r", "ann");
    assert!(ann.joined().other_participants.is_empty());
    let mut bob = server.join("r", "bob");
    let join = bob.joined();
    assert_eq!(join.other_participants.iter().map(|p| p.identity.as_str()).collect::<Vec<_>>(), ["ann"]);
    let seen = ann.update_of("bob");
    assert_eq!((seen.state(), seen.sid.as_str()), (State::Joined, join.participant.unwrap().sid.as_str()));
    assert_eq!(server.metric("trtc_members"), 2);
    let mut elsewhere = server.join("other", "carl");
    assert!(elsewhere.joined().other_participants.is_empty());

    bob.send(Ask::Leave(LeaveRequest::default()));
    let (messages, close) = bob.rest();
    assert_eq!(leave_in(&messages).map(|l| l.0), Some(DisconnectReason::ClientInitiated));
    assert_eq!(close.map(|c| u16::from(c.code)), Some(1000));
    let gone = ann.update_of("bob");
    assert_eq!((gone.state(), gone.disconnect_reason()), (State::Disconnected, DisconnectReason::ClientInitiated));
    assert!(gone.version > seen.version);

    // A dropped socket is a leave too, and the identity is free again.
    let mut bob = server.join("r", "bob");
    bob.joined();
    assert_eq!(ann.update_of("bob").state(), State::Joined);
    drop(bob);
    assert_eq!(ann.update_of("bob").disconnect_reason(), DisconnectReason::SignalClose);
    assert_eq!(server.metric("trtc_leaves_total"), 2);
}

#[test]
fn the_same_identity_replaces_the_old_member() {
    let server = TestServer::start();
    let mut observer = server.join("r", "observer");
    observer.joined();
    let mut first = server.join("r", "same");
    let old = first.joined().participant.unwrap().sid;
    assert_eq!(observer.update_of("same").sid, old);
    let mut second = server.join("r", "same");
    let join = second.joined();
    assert!(join.other_participants.iter().all(|p| p.identity == "observer"));
    let (messages, _) = first.rest();
    assert_eq!(leave_in(&messages), Some((DisconnectReason::DuplicateIdentity, Action::Disconnect)));
    let (gone, new) = (observer.update_of("same"), observer.update_of("same"));
    assert_eq!((gone.sid, gone.state), (old, State::Disconnected.into()));
    assert_eq!((new.sid, new.state), (join.participant.unwrap().sid, State::Joined.into()));
    assert_eq!(server.metric("trtc_duplicate_identities_total"), 1);
    assert_eq!(server.metric("trtc_members"), 2);
}

#[test]
fn pings_are_answered_in_milliseconds() {
    let server = TestServer::start();
    let mut client = server.join("r", "u");
    client.joined();
    client.send(Ask::Ping(7));
    let pong = client.wait("pong", |m| if let Tell::Pong(at) = m { Some(at) } else { None });
    client.send(Ask::PingReq(Ping { timestamp: 1234, rtt: 5 }));
    let answer = client.wait("pong_resp", |m| if let Tell::PongResp(p) = m { Some(p) } else { None });
    assert_eq!(answer.last_ping_timestamp, 1234);
    assert!((1_600_000_000_000..4_000_000_000_000).contains(&pong) && answer.timestamp >= pong);
}

#[test]
fn tracks_are_announced_refused_and_muted() {
    let server = TestServer::start();
    let mut client = server.join("r", "u");
    client.joined();
    client.send(Ask::AddTrack(microphone("c1")));
    let published = client.wait("track_published", |m| if let Tell::TrackPublished(p) = m { Some(p) } else { None });
    let info = published.track.unwrap();
    assert!(published.cid == "c1" && info.sid.starts_with("TR_AM") && info.source() == TrackSource::Microphone);

    client.send(Ask::AddTrack(microphone("c1")));
    let again = client.refusal();
    assert_eq!(again.reason(), Reason::Queued);
    assert!(matches!(again.request, Some(Request::AddTrack(r)) if r.cid == "c1"));
    client.send(Ask::AddTrack(track("c2", TrackType::Audio, TrackSource::Camera)));
    assert_eq!(client.refusal().reason(), Reason::InvalidRequest);

    client.send(Ask::Mute(MuteTrackRequest { sid: info.sid.clone(), muted: true }));
    client.update_of("u");
    client.send(Ask::Mute(MuteTrackRequest { sid: "TR_unknown".into(), muted: true }));
    let unknown = client.refusal();
    assert_eq!(unknown.reason(), Reason::NotFound);
    assert!(matches!(unknown.request, Some(Request::Mute(m)) if m.sid == "TR_unknown"));
    // Silence for a subscription to nothing, as on the real server.
    let nothing =
        UpdateSubscription { track_sids: vec!["TR_nothing".into()], subscribe: true, ..UpdateSubscription::default() };
    client.send(Ask::Subscription(nothing));
    client.send(Ask::Ping(1));
    client.wait("pong", |m| matches!(m, Tell::Pong(_)).then_some(()));
    assert_eq!(server.metric("trtc_tracks_announced_total"), 1);
}

#[test]
fn permissions_are_enforced() {
    let server = TestServer::start();
    let mut claims = server.claims("r", "listener");
    claims.video = Some(VideoGrant { can_publish: Some(false), ..claims.video.unwrap() });
    let mut listener = server.join_with(&claims, "");
    listener.joined();
    listener.send(Ask::AddTrack(microphone("c")));
    assert_eq!(listener.refusal().reason(), Reason::NotAllowed);

    let mut claims = server.claims("r", "speaker");
    claims.video = Some(VideoGrant { can_publish_sources: vec!["microphone".into()], ..claims.video.unwrap() });
    let mut speaker = server.join_with(&claims, "");
    speaker.joined();
    speaker.send(Ask::AddTrack(track("c", TrackType::Video, TrackSource::Camera)));
    assert_eq!(speaker.refusal().reason(), Reason::NotAllowed);
    speaker.send(Ask::AddTrack(microphone("m")));
    speaker.wait("track_published", |m| matches!(m, Tell::TrackPublished(_)).then_some(()));
    let rename = UpdateParticipantMetadata { name: "N".into(), request_id: 9, ..UpdateParticipantMetadata::default() };
    speaker.send(Ask::UpdateMetadata(rename.clone()));
    let refused = speaker.refusal();
    assert_eq!((refused.request_id, refused.reason()), (9, Reason::NotAllowed));

    let mut claims = server.claims("r", "owner");
    claims.video = Some(VideoGrant { can_update_own_metadata: Some(true), ..claims.video.unwrap() });
    let mut owner = server.join_with(&claims, "");
    let version = owner.joined().participant.unwrap().version;
    owner.send(Ask::UpdateMetadata(rename));
    let update = speaker.update_of("owner");
    let update = if update.name == "N" { update } else { speaker.update_of("owner") };
    assert!(update.name == "N" && update.version > version);
    let granted = owner.refusal();
    assert_eq!((granted.request_id, granted.reason()), (9, Reason::Ok));
}

#[test]
fn one_sub_stream_a_room() {
    let server = TestServer::start();
    let (mut ann, mut bob) = (server.join("r", "ann"), server.join("r", "bob"));
    ann.joined();
    bob.joined();
    ann.send(Ask::AddTrack(track("a", TrackType::Video, TrackSource::ScreenShare)));
    ann.wait("track_published", |m| matches!(m, Tell::TrackPublished(_)).then_some(()));
    bob.send(Ask::AddTrack(track("b", TrackType::Video, TrackSource::ScreenShare)));
    let refused = bob.refusal();
    assert_eq!(refused.reason(), Reason::LimitExceeded);
    assert!(refused.message.contains("ann"), "{}", refused.message);
    assert!(matches!(refused.request, Some(Request::AddTrack(r)) if r.cid == "b"));
    ann.send(Ask::Leave(LeaveRequest::default()));
    ann.rest();
    bob.send(Ask::AddTrack(track("b", TrackType::Video, TrackSource::ScreenShare)));
    bob.wait("track_published", |m| matches!(m, Tell::TrackPublished(_)).then_some(()));
}

#[test]
fn a_resume_of_nobody_is_answered_with_reconnect() {
    let server = TestServer::start();
    let mut client = server.join_with(&server.claims("r", "u"), "&reconnect=1&sid=PA_gone");
    let (messages, close) = client.rest();
    assert_eq!(leave_in(&messages), Some((DisconnectReason::StateMismatch, Action::Reconnect)));
    assert_eq!(close.map(|c| u16::from(c.code)), Some(1000));
    assert_eq!(server.metric("trtc_resumes_declined_total"), 1);
    assert_eq!(server.metric("trtc_members"), 0);
}

#[test]
fn a_silent_joiner_is_removed() {
    let server = TestServer::with(ServerConfig { join_timeout: Duration::from_millis(300), ..ServerConfig::dev(0, 0) });
    let mut client = server.join("r", "u");
    client.joined();
    let (messages, _) = client.rest();
    assert_eq!(leave_in(&messages), Some((DisconnectReason::JoinFailure, Action::Disconnect)));
    assert_eq!(server.metric("trtc_join_timeouts_total"), 1);
}

#[test]
fn an_empty_room_ends_and_comes_back_new() {
    let server =
        TestServer::with(ServerConfig { departure_timeout: Duration::ZERO, max_rooms: 1, ..ServerConfig::dev(0, 0) });
    let mut client = server.join("r", "u");
    let first = client.joined().room.unwrap().sid;
    let full = Client::connect(server.address, &server.token(&server.claims("second", "u")), "");
    assert_eq!(full.err().map(|e| e.0), Some(503));
    drop(client);
    server.wait_metric("trtc_leaves_total", 1);
    server.wait_for("the room's end", |server| server.metric("trtc_rooms") == 0);
    assert_ne!(server.join("r", "u").joined().room.unwrap().sid, first);
}

#[test]
fn shutdown_invites_members_back() {
    let mut server = TestServer::start();
    let mut client = server.join("r", "u");
    client.joined();
    let reader = std::thread::spawn(move || client.rest());
    server.stop();
    let (messages, close) = reader.join().unwrap();
    assert_eq!(leave_in(&messages), Some((DisconnectReason::ServerShutdown, Action::Reconnect)));
    assert_eq!(close.map(|c| u16::from(c.code)), Some(1000));
}
