//! What a real livekit-server said, fed through the machine.
#![allow(clippy::unwrap_used, missing_docs)]
mod common;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{Rig, sdp, track};
use std::time::Duration;
use trtc_proto::livekit::{signal_request::Message as Request, signal_response::Message as Response};
use trtc_session::{Event, LocalTrack};
use trtc_types::{LeaveReason, MediaKind, TrackSource};

#[test]
fn an_empty_room() {
    let rig = replay(Rig::new(true, true), include_str!("traces/a_empty.txt"), |_, _| {});
    let events: Vec<_> = rig.events.iter().map(|(_, e)| e).collect();
    let [Event::Joined { user, room, elapsed, privileges }, Event::Left { reason: 0 }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((user.as_str(), room.as_str()), ("raw1", "ta"));
    assert!(privileges.can_publish && privileges.can_subscribe && *elapsed < Duration::from_millis(150));
    assert!(rig.sent.iter().any(|r| matches!(r, Request::Answer(a) if a.id == 137)));
    let pings = rig.sent.iter().filter(|r| matches!(r, Request::PingReq(_))).count();
    assert_eq!(pings, 2, "every 5 s in 11 s");
    assert!(rig.session.refreshed_token().contains(".eyJpc3MiOiJkZXZrZXki"), "the refreshed token is kept");
    assert_eq!(rig.session.counters(), Default::default());
}

#[test]
fn a_room_with_a_publisher() {
    let rig = replay(Rig::new(true, true), include_str!("traces/b_join_h264.txt"), |_, _| {});
    let story = story(&rig);
    assert_eq!(story[0], "joined tbh264 as raw1", "{story:#?}");
    assert_eq!(story[1], "pub enters");
    assert!(story[2].starts_with("pub Audio Microphone TR_AM") && story[2].ends_with("audio/red"), "{story:#?}");
    assert!(story[3].starts_with("pub Video Camera TR_VC") && story[3].ends_with("1280x720 video/H264"), "{story:#?}");
    let tail = &story[story.len() - 4..];
    assert!(tail[0].starts_with("gone: pub TR_AM") && tail[1].starts_with("gone: pub TR_VC"), "{tail:?}");
    assert_eq!(tail[2..], ["pub leaves (Left)", "left 0"]);
    let answers = rig.sent.iter().filter(|r| matches!(r, Request::Answer(_))).count();
    let offers = rig.log.iter().filter(|l| l.starts_with("accept offer")).count();
    assert!(offers == 5 && answers == offers, "{:?}", rig.log);
    assert!(!rig.sent.iter().any(|r| matches!(r, Request::Subscription(_))), "the server subscribes by itself");
}

#[test]
fn only_sound_is_asked_for_by_request() {
    let rig = replay(Rig::new(true, false), include_str!("traces/b2_manual.txt"), |_, _| {});
    assert!(rig.log[0].contains("auto_subscribe=0"));
    let asked: Vec<_> = rig
        .sent
        .iter()
        .filter_map(|r| if let Request::Subscription(s) = r { Some((s.subscribe, s.track_sids.clone())) } else { None })
        .collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].0 && asked[0].1.len() == 1 && asked[0].1[0].starts_with("TR_AM"));
    let subscribed = |kind: MediaKind| {
        rig.events.iter().any(|(_, e)| matches!(e, Event::TrackAvailable(t) if t.kind == kind && t.subscribed))
    };
    assert!(subscribed(MediaKind::Audio) && !subscribed(MediaKind::Video));
}

#[test]
fn the_life_of_somebody_else() {
    let rig = replay(Rig::new(true, true), include_str!("traces/c_other.txt"), |_, _| {});
    let story = story(&rig);
    let starts = |prefix: &str| story.iter().filter(|s| s.starts_with(prefix)).count();
    assert_eq!(
        (starts("bob enters"), starts("bob leaves"), starts("bob Audio"), starts("bob Video")),
        (1, 1, 1, 1),
        "{story:#?}"
    );
    assert_eq!(starts("gone: bob"), 2);
    let muted: Vec<bool> = rig
        .events
        .iter()
        .filter_map(|(_, e)| match e {
            Event::TrackUpdated(t) if t.kind == MediaKind::Audio => Some(t.muted),
            _ => None,
        })
        .collect();
    assert_eq!(muted, [true, false], "{story:#?}");
    let data: Vec<_> = rig
        .events
        .iter()
        .filter_map(|(_, e)| match e {
            Event::Data { from: Some(from), topic, payload, reliable } => {
                Some((from.as_str(), topic.as_str(), &payload[..], *reliable))
            }
            _ => None,
        })
        .collect();
    assert_eq!(data, [("bob", "t", &b"rel"[..], true), ("bob", "", b"los", false), ("bob", "", b"dst", true)]);
    let leaves = |e: &Event| matches!(e, Event::UserLeft { reason: LeaveReason::Left, .. });
    assert!(rig.events.iter().any(|(_, e)| leaves(e)));
}

#[test]
fn the_publishers_own_view() {
    let (audio, video) = ("043ca681-7203-412b-b6c8-4f7761cd5d24", "235f845c-fe93-4b87-98b7-a46aa964a5f9");
    let mut done = false;
    let rig = replay(Rig::new(true, true), include_str!("traces/c2_rawpub.txt"), |rig, t| {
        if t >= 1.5 && !std::mem::replace(&mut done, true) {
            let microphone = LocalTrack { kind: MediaKind::Audio, source: TrackSource::Microphone, ..track(audio) };
            rig.with(|s, now| s.publish(now, microphone)).unwrap();
            rig.with(|s, now| s.publish(now, track(video))).unwrap();
        }
    });
    let sids: Vec<_> = rig
        .events
        .iter()
        .filter_map(|(_, e)| match e {
            Event::LocalTrackPublished { cid, sid } => Some((cid.as_str(), &sid[..5])),
            _ => None,
        })
        .collect();
    assert_eq!(sids, [(audio, "TR_AM"), (video, "TR_VC")]);
    let negotiation: Vec<_> =
        rig.log.iter().filter(|l| ["add", "create", "accept answer"].iter().any(|p| l.starts_with(p))).collect();
    assert_eq!(negotiation.len(), 6, "{negotiation:?}");
    assert!(negotiation[0].starts_with("add 043c") && negotiation[1] == "create offer");
    assert!(
        negotiation[2].starts_with("add 235f") && negotiation[3] == "accept answer" && negotiation[4] == "create offer"
    );
    assert!(!rig.events.iter().any(|(_, e)| matches!(e, Event::UserEntered { user } if user.as_str() == "raw1")));
    assert!(rig.events.iter().any(|(_, e)| matches!(e, Event::UserEntered { user } if user.as_str() == "bob")));
}

#[test]
fn a_resume_after_half_a_second() {
    let (mut done, mut restarted) = (false, false);
    let rig = replay(Rig::new(true, true), include_str!("traces/e_resume.txt"), |rig, t| {
        if t >= 1.0 && !std::mem::replace(&mut done, true) {
            let cid = "1682cf90-1f90-440c-9bcd-c66d75b2719a";
            let microphone = LocalTrack { kind: MediaKind::Audio, source: TrackSource::Microphone, ..track(cid) };
            rig.with(|s, now| s.publish(now, microphone)).unwrap();
        }
        // The recorded client did not restart its publisher's ICE; ours does, and is answered.
        if t >= 4.6 && !std::mem::replace(&mut restarted, true) {
            rig.say(Response::Answer(sdp("answer", 0)));
        }
    });
    let events: Vec<_> = rig.events.iter().map(|(_, e)| e).collect();
    let at = |want: &Event| events.iter().position(|e| *e == want).unwrap_or_else(|| panic!("{want:?} in {events:?}"));
    let (lost, attempt, back) =
        (at(&Event::ConnectionLost), at(&Event::TryToReconnect), at(&Event::ConnectionRecovered));
    assert!(lost < attempt && attempt < back);
    assert!(!events[back..].iter().any(|e| matches!(e, Event::TrackAvailable(_) | Event::UserEntered { .. })));
    assert!(rig.log.iter().any(|l| l.contains("&reconnect=1&sid=PA_ukx3GqpFFYU3&")), "{:?}", rig.log);
    assert_eq!(rig.log.iter().filter(|l| *l == "transports").count(), 1, "the transports are kept");
    assert!(rig.log.iter().any(|l| l == "create offer with restart"));
    let state = rig.sent.iter().find_map(|r| if let Request::SyncState(s) = r { Some(s) } else { None }).unwrap();
    assert_eq!(state.publish_tracks.len(), 1);
    assert!(state.answer.is_some() && state.offer.is_some());
    assert_eq!(rig.sent.iter().filter(|r| matches!(r, Request::AddTrack(_))).count(), 1, "nothing is published again");
}

#[test]
fn thrown_out_by_the_same_identity() {
    let rig = replay(Rig::new(true, true), include_str!("traces/g_dup.txt"), |_, _| {});
    assert_eq!(story(&rig), ["joined tg as same", "obs enters", "left 1"]);
    assert_eq!(rig.session.timeout(), None);
}

/// Feeds a recording at its own pace. `at` may act before each line.
fn replay(mut rig: Rig, trace: &str, mut at: impl FnMut(&mut Rig, f64)) -> Rig {
    let mut start = None;
    for line in trace.lines() {
        let mut words = line.split(' ');
        let (t, kind): (f64, &str) = (words.next().unwrap().parse().unwrap(), words.next().unwrap());
        let start = *start.get_or_insert(t);
        let target = rig.start + Duration::from_secs_f64(t - start);
        let ms = target.saturating_duration_since(rig.now).as_millis() as u64;
        // The recorded client decided when to open its socket; ours decides by itself.
        if kind == "ws_open" && rig.log.is_empty() {
            rig.with(|s, now| s.connect(now));
            continue;
        }
        rig.pass(ms);
        at(&mut rig, t);
        let bytes = words.next().map(|b64| STANDARD.decode(b64).unwrap());
        match (kind, bytes) {
            ("ws_open", _) => {}
            ("ws_upgraded", _) => rig.open(),
            ("ws_close", _) => rig.with(|s, now| s.socket_closed(now)),
            ("dc_reliable", Some(packet)) => rig.with(|s, now| s.data_received(now, &packet, true)),
            ("dc_lossy", Some(packet)) => rig.with(|s, now| s.data_received(now, &packet, false)),
            (_, Some(frame)) => rig.with(|s, now| s.socket_message(now, &frame)),
            (kind, None) => panic!("{kind}"),
        }
    }
    rig
}

fn story(rig: &Rig) -> Vec<String> {
    let tell = |event: &Event| match event {
        Event::Joined { user, room, .. } => format!("joined {room} as {user}"),
        Event::Left { reason } => format!("left {reason}"),
        Event::UserEntered { user } => format!("{user} enters"),
        Event::UserLeft { user, reason } => format!("{user} leaves ({reason:?})"),
        Event::TrackAvailable(t) => {
            let size = if t.kind == MediaKind::Video { format!(" {}x{}", t.width, t.height) } else { String::new() };
            format!("{} {:?} {:?} {}{size} {}", t.user, t.kind, t.source, t.sid, t.codec_mime)
        }
        Event::TrackUnavailable { user, sid, .. } => format!("gone: {user} {sid}"),
        other => format!("{other:?}"),
    };
    rig.events.iter().map(|(_, event)| tell(event)).collect()
}
