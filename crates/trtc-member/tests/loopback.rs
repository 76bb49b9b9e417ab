//! Two members in one room: video, audio and messages, compared byte for byte. `TRTC_TEST_URL` names another server than ours
//! (`http://127.0.0.1:7880`), `TRTC_TEST_KEY` and `TRTC_TEST_SECRET` its key, `TRTC_TEST_SECONDS` how long it goes on.
#![allow(clippy::unwrap_used)]
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_codec::{H264Encoder, OpusEncoder};
use trtc_member::{
    EncodedAudio, Event, LocalTrack, Member, MemberConfig, MemberSink, ReceivedAudio, ReceivedVideo, join, shutdown,
};
use trtc_proto::jwt::{Claims, VideoGrant, sign};
use trtc_server::{Server, ServerConfig};
use trtc_types::{
    AudioEncoder, AudioQuality, CodecKind, EncodedVideo, EncoderTarget, I420, MediaKind, TrackSource, VideoEncoder,
    VideoFrame,
};

const FPS: u32 = 30;

#[derive(Default)]
struct Seen {
    events: Vec<(Instant, Event)>,
    video: Vec<ReceivedVideo>,
    audio: Vec<ReceivedAudio>,
    keys_wanted: usize,
}

#[derive(Default)]
struct Sink {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Sink {
    fn wait(&self, what: &str, done: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut seen = self.seen.lock();
        while !done(&seen) {
            let late = self.changed.wait_until(&mut seen, deadline).timed_out();
            assert!(
                !late,
                "no {what}; events {:?}, {} video, {} audio",
                seen.events,
                seen.video.len(),
                seen.audio.len()
            );
        }
    }

    fn event(&self, what: &str, fits: impl Fn(&Event) -> bool) {
        self.wait(what, |seen| seen.events.iter().any(|(_, event)| fits(event)));
    }
}

impl MemberSink for Sink {
    fn event(&self, event: Event) {
        self.seen.lock().events.push((Instant::now(), event));
        self.changed.notify_all();
    }
    fn video(&self, video: ReceivedVideo) {
        self.seen.lock().video.push(video);
        self.changed.notify_all();
    }
    fn audio(&self, audio: ReceivedAudio) {
        self.seen.lock().audio.push(audio);
        self.changed.notify_all();
    }
    fn key_frame_wanted(&self, _: &str, _: usize) {
        self.seen.lock().keys_wanted += 1;
    }
    fn bitrate_estimate(&self, _: u32) {}
}

fn enter(url: &str, room: &str, user: &str) -> (Member, Arc<Sink>, Instant) {
    let (key, secret) = ServerConfig::dev_keys();
    let key = std::env::var("TRTC_TEST_KEY").unwrap_or_else(|_| key.into());
    let secret = std::env::var("TRTC_TEST_SECRET").unwrap_or_else(|_| secret.into());
    let video = VideoGrant { room_join: true, room: room.into(), ..VideoGrant::default() };
    let claims = Claims { iss: key, sub: user.into(), video: Some(video), ..Claims::default() };
    let config = MemberConfig {
        hide_audience: false,
        url: url.into(),
        token: sign(&claims, &secret),
        auto_subscribe_audio: true,
        auto_subscribe_video: true,
        allow_plain: false,
    };
    let sink = Arc::new(Sink::default());
    let start = Instant::now();
    (join(config, sink.clone()).unwrap(), sink, start)
}

fn track(cid: &str, kind: MediaKind) -> LocalTrack {
    let video = kind == MediaKind::Video;
    LocalTrack {
        cid: cid.into(),
        kind,
        source: if video { TrackSource::Camera } else { TrackSource::Microphone },
        name: cid.into(),
        codec: if video { CodecKind::H264 } else { CodecKind::Opus },
        width: if video { 640 } else { 0 },
        height: if video { 360 } else { 0 },
        muted: false,
        stereo: false,
        layers: Vec::new(),
    }
}

fn picture(index: u32) -> I420 {
    let mut picture = I420::black(640, 360);
    let [luma, ..] = picture.planes_mut();
    for (at, pixel) in luma.iter_mut().enumerate() {
        let (x, y) = (at % 640, at / 640);
        *pixel = ((x + 3 * index as usize) ^ (y * 2)) as u8;
    }
    picture
}

/// NAL units without delimiters and start codes.
fn units(data: &[u8]) -> Vec<&[u8]> {
    trtc_bitstream::h264::nal_units(data).filter(|nal| nal.first().is_some_and(|first| first & 0x1f != 9)).collect()
}

#[test]
fn two_members_hear_and_see_each_other() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ours = runtime.block_on(Server::start(ServerConfig::dev(0, 0))).unwrap();
    let url = std::env::var("TRTC_TEST_URL").unwrap_or_else(|_| format!("http://{}", ours.http_addr()));
    let seconds: u32 = std::env::var("TRTC_TEST_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    let room = format!("loopback-{}", std::process::id());
    let (bob, bob_sink, bob_start) = enter(&url, &room, "bob");
    bob_sink.event("bob's Joined", |e| matches!(e, Event::Joined { .. }));
    let bob_joined = bob_start.elapsed();
    let (alice, alice_sink, alice_start) = enter(&url, &room, "alice");
    alice_sink.event("alice's Joined", |e| matches!(e, Event::Joined { .. }));
    println!("join_ms {:.1} {:.1}", bob_joined.as_secs_f64() * 1e3, alice_start.elapsed().as_secs_f64() * 1e3);
    bob_sink.event("alice at bob's", |e| matches!(e, Event::UserEntered { user } if user.as_str() == "alice"));

    let published = Instant::now();
    alice.publish(track("cam", MediaKind::Video)).unwrap();
    alice.publish(track("mic", MediaKind::Audio)).unwrap();
    for cid in ["cam", "mic"] {
        alice_sink.event("LocalTrackPublished", |e| matches!(e, Event::LocalTrackPublished { cid: c, .. } if c == cid));
    }
    println!("published_ms {:.1}", published.elapsed().as_secs_f64() * 1e3);

    let target = EncoderTarget { width: 640, height: 360, bitrate_bps: 1_500_000, fps: FPS };
    let mut encoder = H264Encoder::new(target).unwrap();
    let mut opus = OpusEncoder::new(1, AudioQuality::Default).unwrap();
    let (epoch, mut sent, mut sent_audio) = (Instant::now(), Vec::<EncodedVideo>::new(), Vec::<Bytes>::new());
    let (mut keys, mut messages, mut last_sound) = (0, 0_u8, Duration::ZERO);
    for tick in 0..seconds * 100 {
        let time = Duration::from_millis(10 * u64::from(tick));
        std::thread::sleep((epoch + time).saturating_duration_since(Instant::now()));
        if tick * FPS / 100 != (tick + 1) * FPS / 100 {
            let wanted = alice_sink.seen.lock().keys_wanted;
            let frame = VideoFrame { picture: Arc::new(picture(tick)), time };
            if let Some(frame) = encoder.encode(&frame, std::mem::replace(&mut keys, wanted) != wanted).unwrap() {
                alice.send_video("cam", 0, &frame).unwrap();
                sent.push(frame);
            }
        }
        if tick % 2 == 0 {
            let pcm: Vec<i16> =
                (0..960).map(|i| ((f64::from(tick * 480 + i) * 0.0576).sin() * 8_000.0) as i16).collect();
            let mut packet = Vec::new();
            opus.encode(&pcm, &mut packet).unwrap();
            if !packet.is_empty() {
                alice
                    .send_audio("mic", &EncodedAudio { opus: &packet, samples_48k: 960, time, level: Some(20) })
                    .unwrap();
                sent_audio.push(packet.into());
                last_sound = time;
            }
        }
        if tick >= 100 && tick % 20 == 0 {
            alice.send_data("t", &[messages; 300], messages % 2 == 0, &[]).unwrap();
            alice.send_command(3, &[messages], true, true).unwrap();
            messages += 1;
        }
    }
    bob_sink.wait("all", |seen| {
        let data = |reliable: bool| {
            let ours = |e: &&(Instant, Event)| matches!(&e.1, Event::Data { topic, reliable: r, .. } if topic == "t" && *r == reliable);
            seen.events.iter().filter(ours).count()
        };
        let commands = seen.events.iter().filter(|(_, e)| matches!(e, Event::Command { cmd_id: 3, .. })).count();
        let last = |got: Option<&ReceivedVideo>| got.is_some_and(|v| units(&v.data) == units(&sent[sent.len() - 1].data));
        data(true) + data(false) == usize::from(messages)
            && commands == usize::from(messages)
            && last(seen.video.last())
            && seen.audio.last().map(|a| &a.payload) == sent_audio.last()
    });

    let stats = (alice.stats(), bob.stats());
    println!("{:#?}", stats);
    {
        let seen = bob_sink.seen.lock();
        let first = seen.video.first().expect("a video frame came");
        println!("first_frame_ms {:.1} after publish", (first.received - published).as_secs_f64() * 1e3);
        let first_sent =
            sent.iter().position(|f| units(&f.data) == units(&first.data)).expect("the first frame was sent");
        for (got, sent) in seen.video.iter().zip(&sent[first_sent..]) {
            assert_eq!(units(&got.data), units(&sent.data));
        }
        println!("video {}/{} from frame {first_sent}", seen.video.len(), sent.len());
        assert!(seen.video.len() * 100 >= (sent.len() - first_sent) * 95);
        let first_audio =
            sent_audio.iter().position(|p| *p == seen.audio[0].payload).expect("the first packet was sent");
        let heard =
            seen.audio.iter().zip(&sent_audio[first_audio..]).filter(|(got, sent)| got.payload == **sent).count();
        println!("audio {}/{} from packet {first_audio}, equal {heard}", seen.audio.len(), sent_audio.len());
        assert!(heard * 100 >= (sent_audio.len() - first_audio) * 99);
        // By the Sender Reports that the server hands on, the last frame and the last sound lie apart as they were captured.
        let captured = |at: Option<Duration>| at.expect("a Sender Report came").as_secs_f64() * 1e3;
        let apart =
            captured(seen.video[seen.video.len() - 1].captured) - captured(seen.audio[seen.audio.len() - 1].captured);
        let really = (sent[sent.len() - 1].time.as_secs_f64() - last_sound.as_secs_f64()) * 1e3;
        println!("skew_ms {:.3} by the reports", apart - really);
        assert!((apart - really).abs() < 10.0, "{apart} {really}");
        let data = |reliable: bool| {
            let all = seen.events.iter().filter_map(move |(_, e)| match e {
                Event::Data { payload, reliable: r, topic, .. } if topic == "t" && *r == reliable => Some(payload[0]),
                _ => None,
            });
            all.collect::<Vec<u8>>()
        };
        let commands = seen.events.iter().filter(|(_, e)| matches!(e, Event::Command { cmd_id: 3, .. })).count();
        println!("data {:?} {:?}, commands {commands} of {messages}", data(true), data(false));
        assert_eq!(data(true), (0..messages).step_by(2).collect::<Vec<_>>());
        assert_eq!(data(false).len(), usize::from(messages) / 2);
        assert_eq!(commands, usize::from(messages));
    }

    alice.set_muted("cam", true);
    bob_sink.event("the mute", |e| matches!(e, Event::TrackUpdated(t) if t.kind == MediaKind::Video && t.muted));
    alice.leave();
    alice_sink.event("alice's Left", |e| matches!(e, Event::Left { reason: 0 }));
    bob_sink.event("alice gone", |e| matches!(e, Event::UserLeft { user, .. } if user.as_str() == "alice"));
    bob.leave();
    bob_sink.event("bob's Left", |e| matches!(e, Event::Left { .. }));
    assert!(shutdown(Duration::from_secs(60)));
    assert_eq!((Arc::strong_count(&alice_sink), Arc::strong_count(&bob_sink)), (1, 1), "the sinks are dropped");
    runtime.block_on(ours.shutdown());
}
