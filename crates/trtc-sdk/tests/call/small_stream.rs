//! Main and small stream: a receiver chooses, and no choice loses a picture.
use crate::guest::{Guest, user};
use crate::server::TestServer;
use std::collections::BTreeSet;
use trtc_media::pattern::read_time_code;
use trtc_sdk::types::{Code, NetworkQuality, StreamType};
use trtc_sdk::{Event, VideoEncoderParam};

const SMALL: VideoEncoderParam =
    VideoEncoderParam { width: 160, height: 96, fps: 10, bitrate_kbps: 120, min_bitrate_kbps: 0 };

fn available(event: &Event, on: bool) -> bool {
    matches!(event, Event::UserVideoAvailable(_, now) if *now == on)
}

fn size(event: &Event, stream: StreamType, width: u32) -> bool {
    matches!(event, Event::UserVideoSizeChanged { stream: s, width: w, .. } if (*s, *w) == (stream, width))
}

#[test]
fn a_receiver_chooses_between_two_layers_and_loses_no_picture() {
    let server = TestServer::start();
    let (alice, bob) = (Guest::sending(), Guest::new());
    let larger = VideoEncoderParam { width: 640, ..SMALL };
    let refused = alice.cloud.enable_small_video_stream(Some(larger)).unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (Code::INVALID_PARAMETER, "width must be 16..=320, got 640"));
    alice.enter(&server, "layers", "alice");
    bob.enter(&server, "layers", "bob");
    bob.watch("alice", StreamType::Big);
    bob.see("alice", StreamType::Big, 5);

    // In mid-call: published anew, and the view goes on by itself.
    alice.cloud.enable_small_video_stream(Some(SMALL)).unwrap();
    bob.wait("the end of the single stream", |e| available(e, false));
    alice.wait("the small stream", |e| matches!(e, Event::SendFirstLocalVideoFrame(StreamType::Small)));
    bob.see("alice", StreamType::Big, 10);
    let from = bob.pictures("alice", StreamType::Big).len();
    bob.cloud.set_remote_video_stream_type(&user("alice"), StreamType::Small).unwrap();
    bob.wait("the small size", |e| size(e, StreamType::Small, 160));
    bob.see("alice", StreamType::Small, 20);
    bob.cloud.set_prior_remote_video_stream_type(StreamType::Big).unwrap();
    bob.see("alice", StreamType::Big, 40);
    let mut seen = bob.pictures("alice", StreamType::Big).split_off(from);
    seen.extend(bob.pictures("alice", StreamType::Small));
    let widths: BTreeSet<usize> = seen.iter().map(|picture| picture.width()).collect();
    assert_eq!(widths, BTreeSet::from([160, 320]));
    let codes: BTreeSet<u16> = seen.iter().filter_map(|p| read_time_code(p)).map(|code| code.index).collect();
    let (first, last) = (codes.first().unwrap(), codes.last().unwrap());
    let expected = usize::from(last - first) + 1;
    assert!(codes.len() * 100 >= expected * 95, "{} of {expected}: {codes:?}", codes.len());

    // Who wants the small one gets the main one when it ends.
    bob.cloud.set_remote_video_stream_type(&user("alice"), StreamType::Small).unwrap();
    bob.see("alice", StreamType::Small, 20);
    let before = bob.count(|e| size(e, StreamType::Small, 320));
    alice.cloud.enable_small_video_stream(None).unwrap();
    crate::guest::until("the main size", || bob.count(|e| size(e, StreamType::Small, 320)) > before);
    bob.see("alice", StreamType::Small, 10);

    let is = |e: &Event| matches!(e, Event::NetworkQuality { local: NetworkQuality::Excellent, remote } if remote.len() == 1);
    bob.wait("the quality of the networks", is);
    assert_eq!((alice.errors(), bob.errors()), (vec![], vec![]));
}
