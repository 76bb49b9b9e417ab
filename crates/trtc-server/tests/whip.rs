//! WHIP and WHEP over HTTP: the statuses of RFC 9725, media through both, and clients that mean no good.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::link::Link;
use common::{PATIENCE, TestServer};
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use trtc_peer::{IceRole, ReceiveSection, SendTrack};
use trtc_proto::jwt::VideoGrant;
use trtc_rtp::{RtpHeader, RtpPacket};
use trtc_server::ServerConfig;
use trtc_types::{CodecKind, MediaKind};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

fn token(server: &TestServer, identity: &str) -> String {
    server.token(&server.claims("r", identity))
}

/// A client that sends one video track.
fn publisher() -> Link {
    let mut link = Link::new(IceRole::Controlling);
    link.peer.add_send(SendTrack {
        kind: MediaKind::Video,
        codec: CodecKind::H264,
        codec_spec: None,
        stream_id: "s".into(),
        track_id: "cam".into(),
        ssrc: 77,
        rtx_ssrc: None,
    });
    link
}

fn offer() -> String {
    publisher().peer.create_offer()
}

/// The same offer as somebody would write it who wants to receive.
fn to_watch(offer: &str) -> String {
    offer.replace("a=sendonly", "a=recvonly")
}

fn connect(link: &mut Link, answer: &str) {
    link.peer.accept_answer(Instant::now(), answer).unwrap();
    until("the connection", || {
        link.turn();
        link.connected
    });
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A frame that is a key frame in one packet: SPS and IDR in a STAP-A.
const KEY_FRAME: [u8; 10] = [0x78, 0, 3, 0x67, 0x42, 0xe0, 0, 2, 0x65, 0x88];

fn send_frame(link: &mut Link, sequence: u16) {
    let payload_type = link.peer.receive_sections().first().map_or(108, |s: &ReceiveSection| s.codecs[0].payload_type);
    let timestamp = u32::from(sequence) * 3000;
    link.send_rtp(&RtpHeader { marker: true, payload_type, sequence, timestamp, ssrc: 77 }, &[], &KEY_FRAME);
}

#[test]
fn every_request_has_the_status_of_the_rfc() {
    let server = TestServer::start();
    let (alice, sdp) = (token(&server, "alice"), offer());
    let with = |change: &dyn Fn(&mut VideoGrant)| {
        let mut claims = server.claims("r", "x");
        change(claims.video.as_mut().unwrap());
        server.token(&claims)
    };
    let text = |method: &str, path: &str, token: &str, headers: &[(&str, &str)], body: &str| {
        server.ask(method, path, token, headers, body).status
    };
    let sdp_type = [("Content-Type", SDP)];
    assert_eq!(text("POST", "/whip/r", "", &sdp_type, &sdp), 401);
    assert_eq!(text("POST", "/whip/r", "x.y.z", &sdp_type, &sdp), 401);
    assert_eq!(text("POST", "/whip/other", &alice, &sdp_type, &sdp), 403);
    assert_eq!(text("POST", "/whip?room=other", &alice, &sdp_type, &sdp), 403);
    assert_eq!(text("POST", "/whip/r", &with(&|g| g.can_publish = Some(false)), &sdp_type, &sdp), 403);
    assert_eq!(
        text("POST", "/whip/r", &with(&|g| g.can_publish_sources = vec!["microphone".into()]), &sdp_type, &sdp),
        403
    );
    assert_eq!(text("POST", "/whep/r", &with(&|g| g.can_subscribe = Some(false)), &sdp_type, &to_watch(&sdp)), 403);
    assert_eq!(text("POST", "/whip/r", &alice, &[("Content-Type", "text/plain")], &sdp), 415);
    assert_eq!(text("POST", "/whip/r", &alice, &[], &sdp), 415);
    assert_eq!(text("POST", "/whip/r", &alice, &[sdp_type[0], ("Accept", "text/html")], &sdp), 406);
    assert_eq!(text("POST", "/whip/r", &alice, &sdp_type, ""), 400);
    assert_eq!(text("POST", "/whip/r", &alice, &sdp_type, "v=0\r\nnonsense"), 400);
    assert_eq!(text("POST", "/whip/r", &alice, &sdp_type, &to_watch(&sdp)), 422);
    assert_eq!(text("POST", "/whep/r", &alice, &sdp_type, &sdp), 422);
    assert_eq!(text("POST", "/whip/r", &alice, &sdp_type, &sdp.replace("H264", "H265")), 406);
    assert_eq!(text("POST", "/whip/r", &alice, &sdp_type, &format!("v=0\r\n{}", "x".repeat(70_000))), 413);
    assert_eq!(text("POST", "/whep/r?source=moon", &alice, &sdp_type, &to_watch(&sdp)), 400);
    assert_eq!(text("PUT", "/whip/r", &alice, &sdp_type, &sdp), 405);
    assert_eq!(text("GET", "/whip/r", &alice, &[], ""), 204);
    assert_eq!(server.metric("trtc_members"), 0, "nobody is left behind");

    let made = server.post_sdp("/whip", &alice, &sdp);
    assert_eq!(
        (made.status, made.header("content-type"), made.header("etag")),
        (201, SDP, "\"ice-0\""),
        "{}",
        made.body
    );
    let location = made.header("location").to_owned();
    assert!(location.starts_with("/whip/r/WI_") && made.body.contains("a=recvonly"));
    let fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";
    let patch =
        |token: &str, headers: &[(&str, &str)], body: &str| server.ask("PATCH", &location, token, headers, body);
    let kind = ("Content-Type", FRAGMENT);
    assert_eq!(patch(&alice, &[("Content-Type", SDP), ("If-Match", "*")], fragment).status, 415);
    assert_eq!(patch(&alice, &[kind], fragment).status, 428);
    assert_eq!(patch(&alice, &[kind, ("If-Match", "\"old\"")], fragment).status, 412);
    assert_eq!(patch(&alice, &[kind, ("If-Match", "*")], "hello").status, 400);
    assert_eq!(patch(&alice, &[kind, ("If-Match", "*")], &"a=x:y\r\n".repeat(3_000)).status, 413);
    assert_eq!(patch("", &[kind, ("If-Match", "*")], fragment).status, 401);
    assert_eq!(
        patch(&token(&server, "mallory"), &[kind, ("If-Match", "*")], fragment).status,
        403,
        "another's session"
    );
    let candidate = "a=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n";
    assert_eq!(patch(&alice, &[kind, ("If-Match", "\"ice-0\"")], candidate).status, 204);
    let restart = patch(&alice, &[kind, ("If-Match", "*")], fragment);
    assert_eq!((restart.status, restart.header("etag"), restart.header("content-type")), (200, "\"ice-1\"", FRAGMENT));
    assert!(restart.body.contains("a=ice-ufrag:") && restart.body.contains("a=candidate:"));
    assert_eq!(patch(&alice, &[kind, ("If-Match", "\"ice-0\"")], candidate).status, 412, "of the old ICE session");
    assert_eq!(text("POST", &location, &alice, &sdp_type, &sdp), 405);
    assert_eq!(text("DELETE", &location, &token(&server, "mallory"), &[], ""), 403);
    assert_eq!(text("DELETE", &location, &alice, &[], ""), 200);
    until("the end", || text("DELETE", &location, &alice, &[], "") == 404);
    assert_eq!(text("DELETE", "/whip/r/WI_guess", &alice, &[], ""), 404);
    until("the leave", || server.metric("trtc_members") == 0);
}

#[test]
fn pages_of_other_origins_may_ask() {
    let server = TestServer::start();
    for (path, methods) in [("/whip/r", "POST"), ("/whep", "POST"), ("/whip/r/x", "PATCH"), ("/trtc/v1/streams", "GET")]
    {
        let answer = server.ask("OPTIONS", path, "", &[("Origin", "https://example.org")], "");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "*"), "{path}");
        assert!(answer.header("access-control-allow-methods").contains(methods), "{path}");
        assert!(answer.header("access-control-allow-headers").contains("authorization"), "{path}");
    }
    let refused = server.ask("POST", "/whip/r", "", &[], "");
    assert_eq!((refused.header("access-control-allow-origin"), refused.header("www-authenticate")), ("*", "Bearer"));
}

/// The viewer's stream must go on as one: the same SSRC, no gap in its numbers, time that only rises.
#[test]
fn a_viewer_follows_publishers_who_come_and_go_without_another_offer() {
    let server = TestServer::start();
    let mut viewer = Link::new(IceRole::Controlling);
    viewer.peer.add_send(SendTrack {
        kind: MediaKind::Video,
        codec: CodecKind::H264,
        codec_spec: None,
        stream_id: "-".into(),
        track_id: "-".into(),
        ssrc: 1,
        rtx_ssrc: None,
    });
    let sdp = to_watch(&viewer.peer.create_offer());
    let watched = server.post_sdp("/whep/r", &token(&server, "viewer"), &sdp);
    assert_eq!(watched.status, 201, "{}", watched.body);
    assert!(watched.body.contains("a=sendonly") && watched.body.contains("a=ssrc:"), "{}", watched.body);
    connect(&mut viewer, &watched.body);
    let before = server.metric("trtc_media_bad_sdp_total");
    for identity in ["one", "two"] {
        let mut link = publisher();
        let sdp = link.peer.create_offer();
        let made = server.post_sdp("/whip/r", &token(&server, identity), &sdp);
        assert_eq!(made.status, 201, "{}", made.body);
        connect(&mut link, &made.body);
        let (seen, mut sequence) = (viewer.rtp.len(), 500);
        until("pictures", || {
            sequence += 1;
            send_frame(&mut link, sequence);
            link.turn();
            viewer.turn();
            viewer.rtp.len() >= seen + 5
        });
        let listed = server.ask("GET", "/trtc/v1/streams?room=r", &token(&server, "viewer"), &[], "").body;
        let one = format!("{{\"identity\":\"{identity}\",\"name\":\"\",\"kind\":\"ingress\"");
        assert!(listed.contains(&one) && listed.contains("\"codec\":\"video/H264\""), "{listed}");
        assert_eq!(server.ask("DELETE", made.header("location"), &token(&server, identity), &[], "").status, 200);
        until("the leave", || server.metric("trtc_members") == 1);
        viewer.turn();
    }
    let headers: Vec<RtpHeader> = viewer.rtp.iter().map(|p| RtpPacket::parse(p).unwrap().header()).collect();
    for pair in headers.windows(2) {
        assert_eq!(pair[0].ssrc, pair[1].ssrc);
        assert_eq!(pair[0].sequence.wrapping_add(1), pair[1].sequence);
        assert!((pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32) > 0, "{pair:?}");
    }
    assert_eq!(server.metric("trtc_media_bad_sdp_total"), before);
    assert_eq!((server.metric("trtc_whip_opened_total"), server.metric("trtc_whep_opened_total")), (2, 1));
}

#[test]
fn sdk_members_see_an_ingress_and_no_viewers() {
    let server = TestServer::start();
    let mut member = server.join("r", "sdk");
    member.joined();
    server.post_sdp("/whep/r", &token(&server, "viewer"), &to_watch(&offer()));
    let made = server.post_sdp("/whip/r", &token(&server, "alice"), &offer());
    assert_eq!(made.status, 201);
    let update = member.wait("somebody", |tell| match tell {
        trtc_proto::livekit::signal_response::Message::Update(u) => Some(u.participants[0].clone()),
        _ => None,
    });
    let update = if update.identity == "sdk" { member.update_of("alice") } else { update };
    assert_eq!(update.identity, "alice", "the viewer came first and is not seen");
    assert_eq!(update.kind(), trtc_proto::livekit::participant_info::Kind::Ingress);
    // The same identity by another door: the newest one stays.
    let mut again = server.join("r", "alice");
    again.joined();
    until("the old one's end", || {
        server.ask("DELETE", made.header("location"), &token(&server, "alice"), &[], "").status == 404
    });
    assert_eq!(server.metric("trtc_duplicate_identities_total"), 1);
}

#[test]
fn a_thousand_offers_without_a_connection_are_bounded_and_forgotten() {
    let server =
        TestServer::with(ServerConfig { join_timeout: Duration::from_millis(1500), ..ServerConfig::dev(0, 0) });
    let sdp = to_watch(&offer());
    let mut statuses = std::collections::BTreeMap::new();
    for i in 0..1000 {
        let made = server.post_sdp("/whep/r", &token(&server, &format!("v{}", i % 25)), &sdp);
        *statuses.entry(made.status).or_insert(0) += 1;
        assert!(server.metric("trtc_members") <= 512);
    }
    assert_eq!(statuses.values().sum::<i32>(), 1000);
    assert!(statuses.keys().all(|status| [201, 429, 503].contains(status)), "{statuses:?}");
    server.wait_metric("trtc_whip_timeouts_total", 1);
    until("everybody's end", || server.metric("trtc_members") == 0);
    // None of these may run out of time before the last one is asked for.
    let server = TestServer::start();
    let one: Vec<u16> = (0..40).map(|_| server.post_sdp("/whep/r", &token(&server, "v"), &sdp).status).collect();
    assert_eq!((one[31], one[32]), (201, 429), "one participant has 32 at a time: {one:?}");
    // Who hangs up before the answer has no more.
    let server = TestServer::start();
    let (bearer, host, length) = (token(&server, "h"), server.address, sdp.len());
    for _ in 0..200 {
        let mut tcp = TcpStream::connect(host).unwrap();
        let head = format!("POST /whep/r HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {bearer}\r\n");
        write!(tcp, "{head}Content-Type: {SDP}\r\nContent-Length: {length}\r\n\r\n{sdp}").unwrap();
        assert!(server.metric("trtc_members") <= 32);
    }
    assert_eq!(server.post_sdp("/whep/r", &token(&server, "after"), &sdp).status, 201);
    assert!(server.metric("trtc_members") <= 32 + 1);
}
