//! What the room tells, and when: a cloud without a room server.
use super::*;
use crate::hub::{Port, Tick};
use crate::params::{EnterParams, PatternSource};
use parking_lot::Mutex;
use std::time::{Duration, Instant};
use trtc_member::Event as RoomEvent;
use trtc_types::AppScene;

/// A silent cloud and its events.
fn cloud() -> (Cloud, Arc<Mutex<Vec<Event>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = events.clone();
    let options = CloudOptions { pull_events: true, no_speaker: true };
    (Cloud::new(&options, move |event| told.lock().push(event)).unwrap(), events)
}

fn room_event(cloud: &Cloud, event: RoomEvent) {
    let ended = cloud.shared.room_event(&mut cloud.shared.state.lock(), event);
    cloud.finish(ended);
    cloud.dispatch().unwrap();
}

#[test]
fn a_moderators_mute_stops_what_leaves_and_is_told() {
    let (cloud, events) = cloud();
    cloud.start_pattern_source(StreamType::Sub, PatternSource::default()).unwrap();
    {
        let mut state = cloud.shared.state.lock();
        state.local.audio.cid = Some("a".into());
        state.local.videos[1].cid = Some("v".into());
    }
    let muted = |cid: &str, muted| RoomEvent::LocalTrackMuted { cid: cid.into(), muted };
    room_event(&cloud, muted("a", true));
    room_event(&cloud, muted("v", true));
    room_event(&cloud, muted("unknown", true));
    assert!(cloud.shared.capture.is_muted() && cloud.shared.state.lock().local.videos[1].silenced);
    let refusals: Vec<String> = events
        .lock()
        .iter()
        .filter_map(
            |e| if let Event::Error { code: Code::REFUSED, message } = e { Some(message.clone()) } else { None },
        )
        .collect();
    assert_eq!(refusals, ["the server has muted the sound", "the server has muted the sub stream"]);
    // The host may ask for its voice again, and what it holds back itself nobody else gives away.
    cloud.mute_local_audio(false).unwrap();
    assert!(!cloud.shared.capture.is_muted());
    cloud.mute_local_audio(true).unwrap();
    room_event(&cloud, muted("a", false));
    assert!(cloud.shared.capture.is_muted());
    cloud.mute_local_audio(false).unwrap();
    assert!(!cloud.shared.capture.is_muted());
}

#[test]
fn leaving_a_join_that_fails_is_told_as_leaving() {
    let (cloud, events) = cloud();
    cloud.shared.state.lock().phase = Phase::Exiting;
    room_event(&cloud, RoomEvent::JoinFailed(Error::new(Code::CONNECT_SERVER_TIMEOUT, "nobody is there")));
    assert!(matches!(events.lock()[..], [Event::ExitRoom(0)]), "{:?}", events.lock());
    assert_eq!(cloud.shared.state.lock().phase, Phase::Idle);
}

#[test]
fn leaving_during_the_ticket_forgets_mutes_and_ends_the_request() {
    let (cloud, events) = cloud();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let params = EnterParams {
        user_sig: "x".into(),
        sdk_app_id: 1,
        user_id: "ann".into(),
        room: Some(trtc_types::RoomId::text("r").unwrap()),
        ..EnterParams::with_token(&url, "")
    };
    cloud.enter_room(&params, AppScene::VideoCall).unwrap();
    let bob = UserId::new("bob").unwrap();
    cloud.mute_remote_audio(&bob, true).unwrap();
    let (mut request, _) = silent.accept().unwrap();
    cloud.exit_room().unwrap();
    cloud.dispatch().unwrap();
    assert!(matches!(events.lock()[..], [Event::ExitRoom(0)]), "{:?}", events.lock());
    assert!(!cloud.shared.playout.is_muted(&bob), "forgotten, as after any room");
    // The connection ends without an answer.
    request.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    std::io::copy(&mut request, &mut std::io::sink()).unwrap();
}

#[test]
fn a_microphone_that_was_stopped_is_not_published_by_its_first_sound() {
    let (cloud, events) = cloud();
    let first_sound = |device| {
        cloud.shared.capture.set_source(Some(AudioSource::Device));
        cloud.shared.state.lock().local.audio.device = device;
        let tick = Tick { now: Instant::now(), index: 1, microphone: Some(&[0; 960]) };
        Port::tick(&*cloud.shared, &tick, &mut [0; 960]);
        cloud.dispatch().unwrap();
        let ready = events.lock().iter().filter(|e| matches!(e, Event::MicDidReady)).count();
        (cloud.shared.state.lock().local.audio.on, ready)
    };
    assert_eq!(first_sound(false), (false, 0));
    assert_eq!(first_sound(true), (true, 1));
}
