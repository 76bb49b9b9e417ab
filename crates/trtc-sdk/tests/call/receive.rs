//! What is received, and what is not: by hand, muted, frozen.
use crate::guest::{Guest, until, user};
use crate::server::TestServer;
use std::sync::Arc;
use trtc_media::pattern::{Pattern, psnr_y, read_time_code};
use trtc_sdk::types::{Code, I420, StreamType};
use trtc_sdk::{Event, PatternSource};

const BIG: StreamType = StreamType::Big;

/// Frame indices of pattern pictures, each as good as it should be.
fn indices(pictures: &[Arc<I420>]) -> Vec<u16> {
    let read = |picture: &Arc<I420>| {
        let code = read_time_code(picture)?;
        let sent = Pattern::new(picture.width(), picture.height()).frame(code.index.into(), code.time_ms);
        assert!(psnr_y(&sent, picture) > 25.0, "frame {}: {} dB", code.index, psnr_y(&sent, picture));
        Some(code.index)
    };
    let indices: Vec<u16> = pictures.iter().filter_map(read).collect();
    assert!(indices.len() * 20 >= pictures.len() * 19, "{} of {} are readable", indices.len(), pictures.len());
    assert!(indices.is_sorted_by(|a, b| a < b), "{indices:?}");
    indices
}

#[test]
fn by_hand_nothing_comes_before_it_is_asked_for() {
    let server = TestServer::start();
    let (alice, bob) = (Guest::sending(), Guest::new());
    alice.enter(&server, "by hand", "alice");
    bob.cloud.set_default_stream_recv_mode(false, false).unwrap();
    bob.keep_pictures("alice", BIG);
    bob.enter(&server, "by hand", "bob");
    bob.wait("her picture", |e| matches!(e, Event::UserVideoAvailable(_, true)));
    bob.wait("her sound", |e| matches!(e, Event::UserAudioAvailable(_, true)));
    bob.statistics(1);
    assert_eq!((bob.heard("alice"), bob.pictures("alice", BIG).len()), (0, 0));

    bob.cloud.mute_remote_audio(&user("alice"), false).unwrap();
    bob.hear("alice", 440.0);
    let first = |e: &Event| matches!(e, Event::FirstVideoFrame { user: Some(_), .. });
    assert_eq!((bob.pictures("alice", BIG).len(), bob.count(first)), (0, 0));
    assert_eq!(bob.cloud.acquire_video(Some(&user("alice")), BIG).unwrap_err().code, Code::NO_FRAME);

    bob.cloud.start_remote_view(&user("alice"), BIG).unwrap();
    indices(&bob.see("alice", BIG, 20));
    // One is ended without the other.
    bob.cloud.mute_remote_audio(&user("alice"), true).unwrap();
    let only_video =
        |r: &trtc_sdk::types::stats::RemoteStatistics| r.audio_bitrate_kbps == 0 && r.video_bitrate_kbps > 0;
    bob.wait_remote("no sound on the wire", "alice", BIG, only_video);
    bob.cloud.stop_remote_view(&user("alice"), BIG).unwrap();
    bob.wait_remote("nothing on the wire", "alice", BIG, |r| r.audio_bitrate_kbps + r.video_bitrate_kbps == 0);
    bob.cloud.mute_remote_audio(&user("alice"), false).unwrap();
    bob.hear("alice", 440.0);
}

#[test]
fn by_hand_sound_may_be_asked_for_before_its_user_is_there() {
    let server = TestServer::start();
    let (alice, bob, carol) = (Guest::sending(), Guest::new(), Guest::sending());
    bob.cloud.set_default_stream_recv_mode(false, true).unwrap();
    bob.cloud.mute_remote_audio(&user("alice"), false).unwrap();
    bob.enter(&server, "early", "bob");
    carol.enter(&server, "early", "carol");
    alice.enter(&server, "early", "alice");
    bob.hear("alice", 440.0);
    // Another track of hers is wanted as well.
    alice.cloud.stop_local_audio().unwrap();
    bob.wait("silence", |e| matches!(e, Event::UserAudioAvailable(who, false) if who.as_str() == "alice"));
    let low = PatternSource { video: false, audio: true, tone_hz: 300 };
    alice.cloud.start_pattern_source(BIG, low).unwrap();
    bob.hear("alice", 300.0);
    assert_eq!(bob.heard("carol"), 0, "nobody asked for her");
    bob.cloud.mute_all_remote_audio(false).unwrap();
    bob.hear("carol", 440.0);
    // Everybody, but not her, and later users too.
    bob.cloud.mute_remote_audio(&user("carol"), true).unwrap();
    let dave = Guest::sending();
    dave.enter(&server, "early", "dave");
    bob.hear("dave", 440.0);
    bob.wait_remote("no sound of carol", "carol", BIG, |r| r.audio_bitrate_kbps == 0);
}

#[test]
fn a_muted_user_is_silent_and_not_pulled_and_others_are_heard() {
    let server = TestServer::start();
    let (alice, bob, carol) = (Guest::sending(), Guest::new(), Guest::sending());
    let high = PatternSource { video: false, audio: true, tone_hz: 700 };
    carol.cloud.start_pattern_source(BIG, high).unwrap();
    bob.cloud.mute_remote_audio(&user("alice"), true).unwrap();
    for (guest, name) in [(&alice, "alice"), (&bob, "bob"), (&carol, "carol")] {
        guest.enter(&server, "muted", name);
    }
    bob.hear("carol", 700.0);
    bob.cloud.mute_all_remote_audio(true).unwrap();
    bob.wait_remote("no sound of carol", "carol", BIG, |r| r.audio_bitrate_kbps == 0);
    // The latest word wins.
    bob.cloud.mute_remote_audio(&user("alice"), false).unwrap();
    bob.hear("alice", 440.0);
    bob.wait_remote("still none of carol", "carol", BIG, |r| r.audio_bitrate_kbps == 0);
}

#[test]
fn a_muted_stream_stays_at_its_last_picture() {
    let server = TestServer::start();
    let (alice, bob) = (Guest::sending(), Guest::new());
    alice.enter(&server, "frozen", "alice");
    bob.enter(&server, "frozen", "bob");
    bob.watch("alice", BIG);
    indices(&bob.see("alice", BIG, 10));
    bob.cloud.mute_remote_video_stream(&user("alice"), BIG, true).unwrap();
    bob.wait_remote("no picture on the wire", "alice", BIG, |r| r.video_bitrate_kbps == 0 && r.audio_bitrate_kbps > 0);
    let shown = bob.pictures("alice", BIG);
    // The last one is the host's to keep: it was not taken yet, and there is no other.
    let last = bob.cloud.acquire_video(Some(&user("alice")), BIG).unwrap().frame.picture;
    assert!(Arc::ptr_eq(&last, shown.last().unwrap()));
    bob.statistics(2);
    assert_eq!(bob.pictures("alice", BIG).len(), shown.len(), "frozen");
    assert_eq!(bob.cloud.acquire_video(Some(&user("alice")), BIG).unwrap_err().code, Code::NO_FRAME);
    // Watching again does not thaw it.
    bob.cloud.start_remote_view(&user("alice"), BIG).unwrap();
    bob.statistics(1);
    assert_eq!(bob.pictures("alice", BIG).len(), shown.len());
    bob.cloud.mute_remote_video_stream(&user("alice"), BIG, false).unwrap();
    let later = indices(&bob.see("alice", BIG, 10));
    assert!(later[0] > indices(&shown).last().copied().unwrap() + 10, "a live picture, no old one: {later:?}");
}

#[test]
fn muted_before_it_is_watched_and_forgotten_at_exit() {
    let server = TestServer::start();
    let (alice, bob) = (Guest::sending(), Guest::new());
    alice.enter(&server, "early mute", "alice");
    bob.cloud.mute_all_remote_video_streams(true).unwrap();
    bob.watch("alice", BIG);
    bob.enter(&server, "early mute", "bob");
    bob.wait("her picture", |e| matches!(e, Event::UserVideoAvailable(_, true)));
    bob.statistics(2);
    let first = |e: &Event| matches!(e, Event::FirstVideoFrame { user: Some(_), .. });
    assert_eq!((bob.pictures("alice", BIG).len(), bob.count(first)), (0, 0));
    // The latest word wins.
    bob.cloud.mute_remote_video_stream(&user("alice"), BIG, false).unwrap();
    indices(&bob.see("alice", BIG, 5));
    bob.cloud.mute_remote_video_stream(&user("alice"), BIG, true).unwrap();
    bob.exit();
    bob.enter(&server, "early mute", "bob");
    bob.cloud.start_remote_view(&user("alice"), BIG).unwrap();
    indices(&bob.see("alice", BIG, 5));
}

#[test]
fn what_was_wished_before_a_failed_entry_still_holds() {
    let server = TestServer::start();
    let (alice, bob) = (Guest::sending(), Guest::new());
    alice.enter(&server, "again", "alice");
    bob.watch("alice", BIG);
    bob.cloud.mute_remote_audio(&user("alice"), true).unwrap();
    bob.cloud.enable_custom_audio_rendering(true).unwrap();
    let nobody = trtc_sdk::EnterParams::with_token("ws://127.0.0.1:9", &server.token("again", "bob"));
    bob.cloud.enter_room(&nobody, trtc_sdk::types::AppScene::VideoCall).unwrap();
    bob.wait("the failure", |e| matches!(e, Event::EnterRoom(..=-1)));
    let params = trtc_sdk::EnterParams::with_token(&server.url, &server.token("again", "bob"));
    until("idle", || bob.cloud.enter_room(&params, trtc_sdk::types::AppScene::VideoCall).is_ok());
    indices(&bob.see("alice", BIG, 10));
    // What came before the server knew of the mute is silent.
    for _ in 0..100 {
        let frame = bob.cloud.custom_audio_rendering_frame(48_000, 1, 480).unwrap();
        assert!(frame.samples.iter().all(|s| *s == 0));
    }
    bob.wait_remote("no sound on the wire", "alice", BIG, |r| r.audio_bitrate_kbps == 0 && r.video_bitrate_kbps > 0);
}
