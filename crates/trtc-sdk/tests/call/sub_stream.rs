//! One sub stream for each room: the server arbitrates.
use crate::guest::{Guest, until};
use crate::server::TestServer;
use trtc_sdk::types::{Code, StreamType};
use trtc_sdk::{Event, PatternSource};

const PICTURE: PatternSource = PatternSource { video: true, audio: false, tone_hz: 440 };

fn sub(event: &Event, name: &str, available: bool) -> bool {
    matches!(event, Event::UserSubStreamAvailable(who, on) if who.as_str() == name && *on == available)
}

#[test]
fn the_second_sub_stream_is_refused_until_the_first_ends() {
    let server = TestServer::start();
    let (alice, bob, carol) = (Guest::sending(), Guest::sending(), Guest::new());
    carol.enter(&server, "sub", "carol");
    alice.enter(&server, "sub", "alice");
    alice.cloud.start_pattern_source(StreamType::Sub, PICTURE).unwrap();
    carol.wait("alice's sub stream", |e| sub(e, "alice", true));
    bob.enter(&server, "sub", "bob");
    bob.cloud.start_pattern_source(StreamType::Sub, PICTURE).unwrap();
    let occupied = || bob.errors().iter().filter(|(code, _)| *code == Code::SCREEN_SHARE_OCCUPIED).count();
    until("the refusal", || occupied() == 1);
    let (code, message) = bob.errors().remove(0);
    assert_eq!(code.0, -102_016);
    assert!(message.contains("alice"), "{message}");

    // His main stream and sound do not suffer, and publishing something else does not try again.
    bob.cloud.stop_local_audio().unwrap();
    bob.cloud
        .start_pattern_source(StreamType::Big, PatternSource { tone_hz: 300, ..PatternSource::default() })
        .unwrap();
    carol.hear("bob", 300.0);
    carol.watch("bob", StreamType::Big);
    carol.watch("alice", StreamType::Sub);
    assert_eq!(carol.see("bob", StreamType::Big, 10).len(), 10);
    let pictures = carol.see("alice", StreamType::Sub, 10);
    assert!(pictures.iter().all(|p| (p.width(), p.height()) == (320, 192)));
    assert_eq!((occupied(), carol.count(|e| sub(e, "bob", true))), (1, 0));

    alice.cloud.stop_source(StreamType::Sub).unwrap();
    carol.wait("its end", |e| sub(e, "alice", false));
    bob.cloud.start_pattern_source(StreamType::Sub, PICTURE).unwrap();
    carol.wait("bob's sub stream", |e| sub(e, "bob", true));
    carol.watch("bob", StreamType::Sub);
    assert!(carol.see("bob", StreamType::Sub, 10).len() >= 10);
    assert_eq!(occupied(), 1);
    assert_eq!(alice.errors(), []);
    drop((alice, bob, carol));
    until("an empty server", || server.members() == 0);
}
