//! One cloud in one room after the other.
use crate::guest::Guest;
use crate::server::TestServer;
use trtc_sdk::Event;
use trtc_sdk::types::StreamType;

#[test]
fn the_first_frames_are_told_in_every_room() {
    let server = TestServer::start();
    let ann = Guest::sending();
    for (at, room) in ["one", "two"].into_iter().enumerate() {
        ann.enter(&server, room, "ann");
        let is_video = |e: &Event| matches!(e, Event::SendFirstLocalVideoFrame(StreamType::Big));
        let is_audio = |e: &Event| matches!(e, Event::SendFirstLocalAudioFrame);
        crate::guest::until("first frames", || ann.count(is_video) > at && ann.count(is_audio) > at);
        assert_eq!((ann.count(is_video), ann.count(is_audio)), (at + 1, at + 1));
        ann.exit();
    }
}
