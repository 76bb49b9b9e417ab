//! When publishers are told to stop layers that nobody wants.
use super::rig::{Rig, Seat};
use crate::media::MediaEvent;
use std::time::Duration;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{
    AddTrackRequest, StreamState, StreamStateInfo, SubscribedQualityUpdate, TrackSource, TrackType,
    UpdateTrackSettings, VideoQuality,
};

/// LiveKit's publishers are promised that an unwanted layer stops within this time.
const STOPS_WITHIN: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(100);
const ALL: &[VideoQuality] = &[VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];

/// A publisher of three layers, its track, and one who watches it.
async fn call() -> (Rig, Seat, String, Seat) {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.join(1, "ann").await, rig.join(2, "bob").await);
    let (r#type, source) = (TrackType::Video.into(), TrackSource::Camera.into());
    rig.says(&ann, Ask::AddTrack(AddTrackRequest { cid: "cam".into(), r#type, source, ..AddTrackRequest::default() }));
    let (told, _) = rig.heard(ann.wire.socket).await;
    let published = told.into_iter().find_map(|m| if let Tell::TrackPublished(p) = m { p.track } else { None });
    let sid = published.expect("a track").sid;
    rig.media(1, MediaEvent::TrackStarted { sid: sid.clone(), codec_mime: "video/VP8".into() });
    (rig, ann, sid, bob)
}

fn wants(rig: &mut Rig, who: &Seat, sid: &str, quality: VideoQuality, disabled: bool) {
    let (track_sids, quality) = (vec![sid.to_owned()], quality.into());
    rig.says(who, Ask::TrackSetting(UpdateTrackSettings { track_sids, disabled, quality, ..Default::default() }));
}

/// The layers that a publisher was told to send since the last look.
async fn told(rig: &mut Rig, publisher: &Seat) -> Vec<Vec<VideoQuality>> {
    let enabled = |update: SubscribedQualityUpdate| {
        update.subscribed_qualities.into_iter().filter(|q| q.enabled).map(|q| q.quality()).collect()
    };
    let (told, _) = rig.heard(publisher.wire.socket).await;
    let updates =
        told.into_iter().filter_map(|m| if let Tell::SubscribedQualityUpdate(u) = m { Some(u) } else { None });
    updates.map(enabled).collect()
}

/// The room's clock ticks each second, starting `late` from now.
async fn time_until_told(rig: &mut Rig, publisher: &Seat, late: Duration) -> (Duration, Vec<Vec<VideoQuality>>) {
    let begin = rig.now;
    rig.now += late;
    while rig.now - begin <= 2 * STOPS_WITHIN {
        rig.room.tick(rig.now);
        let layers = told(rig, publisher).await;
        if !layers.is_empty() {
            return (rig.now - begin, layers);
        }
        rig.now += super::TICK;
    }
    panic!("nothing was told");
}

#[tokio::test]
async fn unwatched_layers_stop_within_five_seconds() {
    let (mut rig, ann, sid, bob) = call().await;
    assert_eq!(told(&mut rig, &ann).await, [ALL]);
    // Wherever the wish falls between two ticks.
    for late in (1..=10).map(|n| STEP * n) {
        wants(&mut rig, &bob, &sid, VideoQuality::Low, false);
        let (time, layers) = time_until_told(&mut rig, &ann, late).await;
        assert_eq!(layers, [&ALL[..1]]);
        assert!(time <= STOPS_WITHIN, "{time:?}");
        wants(&mut rig, &bob, &sid, VideoQuality::High, false);
        assert_eq!(told(&mut rig, &ann).await, [ALL], "more is told at once");
    }
    wants(&mut rig, &bob, &sid, VideoQuality::High, true);
    let (time, layers) = time_until_told(&mut rig, &ann, super::TICK).await;
    assert!(layers == [&ALL[..0]] && time <= STOPS_WITHIN, "{layers:?} {time:?}");
}

#[tokio::test]
async fn a_subscriber_is_told_that_its_link_pauses_a_track_and_that_it_goes_on() {
    let (mut rig, ann, sid, bob) = call().await;
    rig.heard(bob.wire.socket).await;
    for (paused, state) in [(true, StreamState::Paused), (false, StreamState::Active)] {
        rig.media(2, MediaEvent::StreamState { sid: sid.clone(), paused });
        let (told, _) = rig.heard(bob.wire.socket).await;
        let states = told.into_iter().filter_map(|m| if let Tell::StreamStateUpdate(u) = m { Some(u) } else { None });
        let states: Vec<_> = states.flat_map(|u| u.stream_states).collect();
        let info = StreamStateInfo { participant_sid: ann.sid.clone(), track_sid: sid.clone(), state: state.into() };
        assert_eq!(states, [info]);
    }
}

#[tokio::test]
async fn a_mind_that_changes_in_time_stops_nothing() {
    let (mut rig, ann, sid, bob) = call().await;
    let carl = rig.join(3, "carl").await;
    told(&mut rig, &ann).await;
    wants(&mut rig, &bob, &sid, VideoQuality::Low, false);
    rig.pass(2 * STOPS_WITHIN);
    assert!(told(&mut rig, &ann).await.is_empty(), "somebody else still watches");
    wants(&mut rig, &carl, &sid, VideoQuality::Medium, false);
    rig.pass(3 * super::TICK);
    wants(&mut rig, &carl, &sid, VideoQuality::High, false);
    rig.pass(2 * STOPS_WITHIN);
    assert!(told(&mut rig, &ann).await.is_empty());
    rig.lose(&carl);
    wants(&mut rig, &bob, &sid, VideoQuality::Medium, false);
    rig.pass(STOPS_WITHIN);
    assert!(told(&mut rig, &ann).await.is_empty(), "one that may come back still wants it");
    rig.pass(Duration::from_secs(70));
    assert_eq!(told(&mut rig, &ann).await, [&ALL[..2]], "and no more when it is gone");
}
