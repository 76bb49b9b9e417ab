//! What others learn of muted tracks, which is what livekit-server 1.13.5 tells them.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::{TestServer, bystanders, call::Call};
use std::time::{Duration, Instant};
use trtc_member::Event;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{MuteTrackRequest, ParticipantInfo};
use trtc_rtp::RtpHeader;
use trtc_types::MediaKind;

/// The updates about one member that this one heard.
fn updates<'a>(call: &'a Call, identity: &'a str) -> impl Iterator<Item = &'a ParticipantInfo> {
    let all = call.heard.iter().filter_map(|m| if let Tell::Update(u) = m { Some(&u.participants) } else { None });
    all.flatten().filter(move |p| p.identity == identity)
}

#[test]
fn a_mute_is_told_to_everybody() {
    let server = TestServer::start();
    let (ann, _ann_sink) = bystanders::member(&server, "r", "ann");
    let (_bob, bob) = bystanders::member(&server, "r", "bob");
    let mut call = Call::connect(&server, &server.claims("r", "carl"));
    // Muted before anything of it came; sound comes nevertheless.
    ann.publish(trtc_member::LocalTrack { muted: true, ..bystanders::track("mic", bystanders::Source::Microphone) })
        .unwrap();
    bob.event("the muted track", |e| matches!(e, Event::TrackAvailable(t) if t.muted && t.codec_mime == "audio/opus"));
    let ann_track = |call: &Call| {
        updates(call, "ann").last().and_then(|p| p.tracks.first()).map(|t| (t.muted, t.mime_type.clone()))
    };
    call.until("the muted track", |call| ann_track(call) == Some((true, "audio/opus".into())));
    for muted in [false, true, false] {
        let versions = updates(&call, "ann").map(|p| p.version).max().unwrap();
        ann.set_muted("mic", muted);
        call.until("the mute", |call| ann_track(call).is_some_and(|t| t.0 == muted));
        assert!(updates(&call, "ann").last().unwrap().version > versions);
    }
    bob.event("the mute at Bob's", |e| matches!(e, Event::TrackUpdated(t) if t.muted));
    ann.leave();
}

#[test]
fn a_video_that_starts_muted_is_seen_before_its_first_packet() {
    let server = TestServer::start();
    let mut watcher = Call::connect(&server, &server.claims("r", "watcher"));
    let mut call = Call::connect(&server, &server.claims("r", "dark"));
    let section = call.add_track("cam", MediaKind::Video, 77, true);
    call.negotiate();
    watcher.until("the muted track", |w| updates(w, "dark").any(|p| p.tracks.len() == 1));
    let track = updates(&watcher, "dark").last().unwrap().tracks[0].clone();
    assert!(track.muted && track.mime_type == "video/H264" && track.sid.starts_with("TR_VC"), "{track:?}");
    let late = server.join("r", "late").joined().other_participants;
    assert!(late.iter().any(|p| p.tracks.iter().any(|t| t.sid == track.sid)), "a late comer sees it too");

    // An unmuted one is told of with its first packet, as before.
    let second = call.add_track("cam2", MediaKind::Video, 78, false);
    call.negotiate();
    watcher.client.send(Ask::Ping(1));
    watcher.until("a pong", |w| w.heard.iter().any(|m| matches!(m, Tell::Pong(_))));
    assert_eq!(updates(&watcher, "dark").last().unwrap().tracks.len(), 1);

    // Unmuted, its media flows to those who subscribed when it was dark.
    call.client.send(Ask::Mute(MuteTrackRequest { sid: track.sid.clone(), muted: false }));
    watcher.until("the unmute", |w| updates(w, "dark").any(|p| p.tracks.iter().any(|t| !t.muted)));
    let payload_type = call.publisher.peer.send_params(section).unwrap().payload_type;
    assert!(call.publisher.peer.send_params(second).is_some());
    let (mut sequence, end) = (0, Instant::now() + common::PATIENCE);
    while watcher.subscriber.rtp.is_empty() {
        sequence += 1;
        assert!(Instant::now() < end, "no media came");
        let header = RtpHeader { marker: true, payload_type, sequence, timestamp: 3_000, ssrc: 77 };
        call.publisher.send_rtp(&header, &[], &[0x67, 1, 2]);
        call.turn_for(Duration::from_millis(5));
        watcher.turn_for(Duration::from_millis(5));
    }
}
