//! Hostile signalling. Each client is told why, a counter moves, and the members beside do not notice.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::call::Call;
use common::{Client, TestServer, beside, bystanders};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use trtc_member::Event;
use trtc_proto::Message as _;
use trtc_proto::jwt::{Claims, VideoGrant};
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::request_response::{Reason, Request};
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{
    AddTrackRequest, DisconnectReason, MuteTrackRequest, SessionDescription, SignalRequest, SyncState, TrackSource,
    TrackType, TrickleRequest, UpdateParticipantMetadata, UpdateSubscription,
};
use trtc_server::ServerConfig;
use trtc_types::Code;
use tungstenite::Message;

fn dev() -> ServerConfig {
    ServerConfig::dev(0, 0)
}

/// Joined to the room of the bystanders.
fn enter(server: &TestServer, identity: &str) -> Client {
    let mut client = server.join("r", identity);
    client.joined();
    client
}

/// May change its own metadata.
fn owner(server: &TestServer, identity: &str) -> Claims {
    let mut claims = server.claims("r", identity);
    claims.video.as_mut().unwrap().can_update_own_metadata = Some(true);
    claims
}

fn microphone(cid: &str) -> AddTrackRequest {
    track(cid, TrackType::Audio, TrackSource::Microphone)
}

fn track(cid: &str, kind: TrackType, source: TrackSource) -> AddTrackRequest {
    AddTrackRequest { cid: cid.into(), r#type: kind.into(), source: source.into(), ..AddTrackRequest::default() }
}

fn description(sdp: String) -> SessionDescription {
    SessionDescription { r#type: "offer".into(), sdp, ..SessionDescription::default() }
}

fn frame(ask: Ask) -> Vec<u8> {
    SignalRequest { message: Some(ask) }.encode_to_vec()
}

#[test]
fn a_join_without_the_right_token_is_refused_with_a_sentence() {
    let config = ServerConfig { max_rooms: 1, ..dev() };
    beside(config, |server| {
        let good = server.claims("r", "mallory");
        let grant = good.video.clone().unwrap();
        let forged = trtc_proto::jwt::sign(&good, "another secret of at least 32 characters");
        let long_name = "n".repeat(257);
        let claims = |change: &dyn Fn(&mut Claims)| {
            let mut claims = good.clone();
            change(&mut claims);
            server.token(&claims)
        };
        let room = |room: &str| {
            let video = Some(VideoGrant { room: room.into(), ..grant.clone() });
            server.token(&Claims { video, ..good.clone() })
        };
        let cases = [
            (String::new(), "", 401, "no permissions to access the room"),
            ("not a token".into(), "", 401, "invalid authorization token"),
            (forged, "", 401, "invalid token, error: "),
            (claims(&|c| c.iss = "stranger".into()), "", 401, "invalid API key: stranger"),
            (claims(&|c| (c.nbf, c.exp) = (None, Some(1_000))), "", 401, "expired"),
            (claims(&|c| (c.nbf, c.exp) = (c.exp, None)), "", 401, "not valid yet"),
            (claims(&|c| c.video = None), "", 401, "no permissions to access the room"),
            (claims(&|c| c.video.as_mut().unwrap().room_join = false), "", 401, "permissions denied"),
            (server.token(&good), "&room=elsewhere", 401, "permissions denied"),
            (claims(&|c| c.sub.clear()), "", 400, "identity cannot be empty"),
            (
                claims(&|c| c.sub.clone_from(&long_name)),
                "",
                400,
                "participant identity length exceeds limits: max length 256",
            ),
            (room(""), "", 400, "no room name"),
            (room(&long_name), "", 400, "room name length exceeds limits: max length 256"),
            (room("one too many"), "", 503, "the server takes no more rooms"),
        ];
        for (token, query, status, text) in cases {
            server.counts("trtc_joins_refused_total", || match Client::connect(server.address, &token, query) {
                Err((s, t)) => assert!(s == status && t.contains(text), "{s} {t} instead of {status} {text}"),
                Ok(_) => panic!("joined, instead of {text}"),
            });
        }
        assert_eq!(server.metric("trtc_members"), 2);
    });
}

#[test]
fn a_full_room_says_so() {
    // The third place is for the late comer that proves that others can still join.
    beside(ServerConfig { max_members: 3, ..dev() }, |server| {
        let mut third = enter(server, "third");
        server.counts("trtc_joins_refused_total", || {
            let end = server.join("r", "fourth").end();
            let text = "the room takes no more members".to_owned();
            assert_eq!(end, (DisconnectReason::JoinFailure, Action::Disconnect, 1000, text));
        });
        let _again = enter(server, "third");
        assert_eq!(third.end().0, DisconnectReason::DuplicateIdentity, "its own place is free for it");
    });
}

#[test]
fn frames_that_are_no_requests_end_their_client() {
    beside(dev(), |server| {
        let truncated = |ask| {
            let mut bytes = frame(ask);
            bytes.truncate(bytes.len() - 2);
            bytes
        };
        let binary = |bytes: Vec<u8>| Message::Binary(bytes.into());
        let cases = [
            ("garbage", binary((0..200u8).map(|i| i.wrapping_mul(37) | 0x87).collect()), "bad_frames", 1002),
            ("truncated", binary(truncated(Ask::AddTrack(microphone("cid")))), "bad_frames", 1002),
            // Field 1 says that 2^63 bytes follow.
            ("endless", binary(vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), "bad_frames", 1002),
            ("json", Message::Text("{\"ping\":1}".into()), "text_frames", 1003),
            ("large", binary(vec![0; (1 << 20) + 1]), "oversize_frames", 1009),
        ];
        for (name, bytes, counter, code) in cases {
            let mut client = enter(server, name);
            server.counts(&format!("trtc_{counter}_total"), || {
                client.socket.send(bytes).unwrap();
                let end = client.end();
                assert!(
                    end.0 == DisconnectReason::StateMismatch && end.2 == code && !end.3.is_empty(),
                    "{name}: {end:?}"
                );
            });
        }
        // This one is not read to its end, so that its sender may never hear the answer.
        let mut client = enter(server, "too large to read");
        server.counts("trtc_oversize_frames_total", || client.send_frame(vec![0; 3 << 20]));
        client.rest();
    });
}

#[test]
fn unknown_and_unusable_requests_are_refused_and_the_client_stays() {
    beside(dev(), |server| {
        let mut client = enter(server, "newer");
        // Field 99 stands for a message of the future, an empty frame for nothing at all.
        for unknown in [vec![0x9a, 0x06, 0x01, 0x00], Vec::new()] {
            let refused = server.counts("trtc_unknown_messages_total", || {
                client.send_frame(unknown);
                client.refusal()
            });
            assert_eq!(
                (refused.reason(), refused.message.as_str()),
                (Reason::UnsupportedType, "this server does not know the message")
            );
        }
        let nested = "[".repeat(2_000);
        for candidate in ["{not json", nested.as_str(), &format!("{{\"candidate\":\"{}\"}}", "c".repeat(4_000))] {
            let refused = server.counts("trtc_requests_refused_total", || {
                client.send(Ask::Trickle(TrickleRequest {
                    candidate_init: candidate.into(),
                    ..TrickleRequest::default()
                }));
                client.refusal()
            });
            assert!(refused.reason() == Reason::UnclassifiedError && !refused.message.is_empty());
            assert!(matches!(refused.request, Some(Request::Trickle(t)) if t.candidate_init.len() <= 256));
        }
        let many = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".repeat(7_000);
        let late = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=fingerprint:sha-256 AB\r\n".to_owned();
        for sdp in [String::new(), "v=0\r\nnonsense".into(), "\u{0}".repeat(1_000), format!("v=0\r\n{many}"), late] {
            let refused = server.counts("trtc_bad_sdp_total", || {
                client.send(Ask::Offer(description(sdp)));
                client.refusal()
            });
            assert!(
                refused.reason() == Reason::InvalidRequest && refused.message.contains("could not be used"),
                "{refused:?}"
            );
        }
        client.is_served();
    });
}

#[test]
fn a_megabyte_of_sdp_ends_its_client() {
    beside(dev(), |server| {
        for (name, offer) in [("offers", true), ("answers", false)] {
            let mut client = enter(server, name);
            let sdp = description("v=0\r\n".repeat(200_000));
            let (refused, end) = server.counts("trtc_oversize_sdp_total", || {
                client.send(if offer { Ask::Offer(sdp) } else { Ask::Answer(sdp) });
                (client.refusal(), client.end())
            });
            assert_eq!(refused.reason(), Reason::LimitExceeded);
            assert!(refused.message.contains("1000000 bytes"), "{}", refused.message);
            assert_eq!(
                end,
                (DisconnectReason::StateMismatch, Action::Disconnect, 1000, "the description is too large".into())
            );
        }
        // An answer that cannot be used: the client has to start over.
        let mut client = enter(server, "answers nonsense");
        client.wait("an offer", |m| matches!(m, Tell::Offer(_)).then_some(()));
        let end = server.counts("trtc_bad_sdp_total", || {
            client.send(Ask::Answer(description("v=0\r\nnonsense".into())));
            client.end()
        });
        assert_eq!(
            (end.0, end.1, end.3.as_str()),
            (DisconnectReason::StateMismatch, Action::Reconnect, "the answer could not be used")
        );
    });
}

#[test]
fn a_client_that_never_answers_is_told_to_reconnect() {
    beside(ServerConfig { answer_timeout: Duration::from_secs(3), ..dev() }, |server| {
        let expected = |end: (DisconnectReason, Action, u16, String)| {
            let text = "an offer was not answered in time".to_owned();
            assert_eq!(end, (DisconnectReason::StateMismatch, Action::Reconnect, 1000, text));
        };
        // Not even the first offer.
        let mut silent = enter(server, "silent");
        server.counts("trtc_answer_timeouts_total", || expected(silent.end()));

        // In the middle of a call.
        let mut call = Call::connect(server, &server.claims("r", "tired"));
        call.until("Ann's tracks", |call| call.subscriber.rtp.len() > 10);
        call.answers = false;
        let sid = call.offers.iter().rev().find_map(|o| o.mid_to_track_id.values().next().cloned()).unwrap();
        let before = call.offers.len();
        server.counts("trtc_media_offers_unanswered_total", || {
            call.client
                .send(Ask::Subscription(UpdateSubscription { track_sids: vec![sid], ..UpdateSubscription::default() }));
            call.until("the end", |call| call.closed.is_some());
        });
        assert_eq!(call.offers.len(), before + 1, "no second offer before the answer");
        let leave =
            call.heard.iter().find_map(|m| if let Tell::Leave(l) = m { Some((l.reason(), l.action())) } else { None });
        assert_eq!(leave, Some((DisconnectReason::StateMismatch, Action::Reconnect)));
    });
}

#[test]
fn floods_of_requests_end_their_client() {
    beside(dev(), |server| {
        let binary = |ask| Message::Binary(frame(ask).into());
        let mute = |i: u32, sid: &str| Ask::Mute(MuteTrackRequest { sid: sid.into(), muted: i.is_multiple_of(2) });
        type Flood<'a> = &'a dyn Fn(u32, &str) -> Message;
        let floods: [(&str, Flood<'_>, &str, &str); 4] = [
            (
                "messages",
                &|_, _| binary(Ask::SyncState(SyncState::default())),
                "signal_floods",
                "too many signal messages",
            ),
            // Their number alone would pass.
            ("bytes", &|i, _| binary(mute(i, &"x".repeat(65_000))), "signal_floods", "too many signal messages"),
            ("pings", &|_, _| Message::Ping(vec![0; 100].into()), "signal_floods", "too many pings"),
            // Everybody would be told 30 kB of metadata each time.
            ("changes", &|i, sid| binary(mute(i, sid)), "update_floods", "too many changes"),
        ];
        for (name, flood, counter, text) in floods {
            // The room must have had enough of changes before the socket has had enough of messages.
            let most = if name == "changes" { 100 } else { u32::MAX };
            let claims = Claims { metadata: "m".repeat(30_000), ..server.claims("r", name) };
            let mut client = server.join_with(&claims, "");
            client.joined();
            client.send(Ask::AddTrack(microphone("mic")));
            let published = |m| if let Tell::TrackPublished(p) = m { p.track } else { None };
            let sid = client.wait("track_published", published).sid;
            let close = server.counts(&format!("trtc_{counter}_total"), || {
                // Until it is closed, however slowly this machine sends.
                let end = Instant::now() + common::PATIENCE;
                let mut sent = 0;
                while sent < most && client.socket.send(flood(sent, &sid)).is_ok() {
                    assert!(Instant::now() < end, "{name}: {sent} are not too many");
                    sent += 1;
                }
                client.rest().1
            });
            // What the server says last may get lost in a reset, because its client still sends.
            assert!(close.is_none_or(|close| close.reason.as_str() == text), "{name}");
        }
    });
}

#[test]
fn a_client_that_does_not_read_is_removed() {
    // By the time that a write takes, and by what waits for it.
    for (send_timeout, crowd) in [(Duration::from_millis(500), 0), (Duration::from_secs(60), 4)] {
        beside(ServerConfig { send_timeout, ..dev() }, |server| {
            let mut deaf = enter(server, "deaf");
            server.counts("trtc_slow_readers_total", || {
                // Each is refused with an echo, which nobody takes; the kernel keeps the first of them.
                for _ in 0..400 {
                    deaf.send(Ask::Mute(MuteTrackRequest { sid: "x".repeat(4_000), muted: true }));
                }
                for name in 0..crowd {
                    let mut busy = enter(server, &name.to_string());
                    busy.send(Ask::AddTrack(microphone("mic")));
                    let published = |m| if let Tell::TrackPublished(p) = m { p.track } else { None };
                    let sid = busy.wait("track_published", published).sid;
                    for i in 0..400 {
                        busy.send(Ask::Mute(MuteTrackRequest { sid: sid.clone(), muted: i % 2 == 0 }));
                        busy.update_of(&name.to_string());
                    }
                }
            });
            server.wait_metric("trtc_leaves_total", 1 + crowd);
            let (_, close) = deaf.rest();
            assert!(close.is_none_or(|c| c.reason.as_str() == "the client does not read"));
        });
    }
}

#[test]
fn more_tracks_than_the_cap_are_refused() {
    beside(dev(), |server| {
        let mut client = enter(server, "greedy");
        for i in 0..32 {
            client.send(Ask::AddTrack(microphone(&i.to_string())));
            client.wait("track_published", |m| matches!(m, Tell::TrackPublished(_)).then_some(()));
        }
        // Not the reason of a taken sub stream, whatever the source.
        for source in [TrackSource::Camera, TrackSource::ScreenShare] {
            let refused = server.counts("trtc_requests_refused_total", || {
                client.send(Ask::AddTrack(track("one too many", TrackType::Video, source)));
                client.refusal()
            });
            let text = "a member may publish at most 32 tracks";
            assert_eq!((refused.reason(), refused.message.as_str()), (Reason::NotAllowed, text));
            assert!(matches!(refused.request, Some(Request::AddTrack(r)) if r.cid == "one too many"));
        }
        let long = AddTrackRequest { name: "n".repeat(257), ..microphone("long") };
        client.send(Ask::AddTrack(long));
        assert_eq!(client.refusal().reason(), Reason::InvalidRequest);
        client.is_served();
    });
}

/// The real client has an error of its own for this, which no other refusal of the server may cause.
#[test]
fn a_taken_sub_stream_is_told_as_such() {
    beside(dev(), |server| {
        let (first, _sink) = bystanders::member(server, "r", "first");
        first.publish(bystanders::track("screen", bystanders::Source::ScreenShare)).unwrap();
        server.wait_metric("trtc_tracks_announced_total", 3);
        let (second, sink) = bystanders::member(server, "r", "second");
        let failed = server.counts("trtc_requests_refused_total", || {
            second.publish(bystanders::track("screen", bystanders::Source::ScreenShare)).unwrap();
            sink.event("a failure", |e| matches!(e, Event::LocalTrackFailed { .. }))
        });
        let Event::LocalTrackFailed { error, .. } = failed else { panic!() };
        assert_eq!(error.code, Code::SCREEN_SHARE_OCCUPIED);
        assert!(error.to_string().contains("is taken by first"), "{error}");

        [first, second].iter().for_each(trtc_member::Member::leave);
    });
}

#[test]
fn what_a_member_tells_of_itself_must_fit_into_a_token() {
    beside(dev(), |server| {
        let mut client = server.join_with(&owner(server, "novelist"), "");
        client.joined();
        let update = |request_id| UpdateParticipantMetadata { request_id, ..UpdateParticipantMetadata::default() };
        let attributes: BTreeMap<String, String> = (0..500).map(|i| (format!("key {i}"), "v".repeat(100))).collect();
        let cases = [
            UpdateParticipantMetadata { metadata: "m".repeat(50_000), ..update(1) },
            // Each control character takes six in JSON.
            UpdateParticipantMetadata { metadata: "\u{1}".repeat(10_000), ..update(2) },
            UpdateParticipantMetadata { attributes, ..update(3) },
            UpdateParticipantMetadata { name: "n".repeat(257), ..update(4) },
        ];
        for request in cases {
            let id = request.request_id;
            let refused = server.counts("trtc_requests_refused_total", || {
                client.send(Ask::UpdateMetadata(request));
                client.refusal()
            });
            assert_eq!((refused.request_id, refused.reason()), (id, Reason::LimitExceeded));
            assert!(refused.message.contains(if id == 4 { "256 bytes" } else { "60000 bytes" }), "{}", refused.message);
        }
        // What is accepted comes back in a token that still fits into a URL.
        client.send(Ask::UpdateMetadata(UpdateParticipantMetadata { metadata: "m".repeat(40_000), ..update(5) }));
        let token = client.wait("a long token", |m| {
            if let Tell::RefreshToken(t) = m { Some(t).filter(|t| t.len() > 50_000) } else { None }
        });
        assert_eq!(client.refusal().reason(), Reason::Ok);
        let valid = server.http("GET", &format!("/rtc/validate?access_token={token}"), None);
        assert!(valid.ends_with("success"), "{}", &valid[..valid.len().min(200)]);
    });
}

/// A short queue stands for a slow media thread.
#[test]
fn a_full_media_queue_costs_only_who_fills_it() {
    beside(ServerConfig { media_queue: 64, ..dev() }, |server| {
        let mut head =
            String::from("v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\n");
        head += &format!("a=fingerprint:sha-256 {}\r\n", ["AB"; 32].join(":"));
        let section = |mid| format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:{mid}\r\na=rtpmap:111 opus/48000/2\r\n");
        let sdp = head + &(0..200).map(section).collect::<String>();
        let mut client = enter(server, "busy");
        let end = server.counts("trtc_media_queue_full_total", || {
            for _ in 0..400 {
                client.send(Ask::Offer(description(sdp.clone())));
            }
            client.end()
        });
        let text = "the media thread does not take commands".to_owned();
        assert_eq!(end, (DisconnectReason::MediaFailure, Action::Reconnect, 1000, text));
    });
}
