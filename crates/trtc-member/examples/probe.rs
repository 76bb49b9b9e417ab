//! A member that prints what it meets: `probe URL KEY SECRET ROOM USER SECONDS [publish]`.
//! With `publish` it sends H.264 and Opus test media; without, it only watches.
#![allow(clippy::unwrap_used)]
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use trtc_codec::{H264Decoder, H264Encoder, OpusEncoder};
use trtc_member::{
    EncodedAudio, Event, LocalTrack, MemberConfig, MemberSink, ReceivedAudio, ReceivedVideo, join, shutdown,
};
use trtc_proto::jwt::{Claims, VideoGrant, sign};
use trtc_types::*;

struct Sink {
    start: Instant,
    key: AtomicBool,
    decoder: Mutex<(H264Decoder, u32, u32)>,
}

impl MemberSink for Sink {
    fn event(&self, event: Event) {
        println!("{:7.1} {event:?}", self.start.elapsed().as_secs_f64() * 1e3);
    }
    fn video(&self, video: ReceivedVideo) {
        let mut guard = self.decoder.lock();
        let (decoder, frames, decoded) = &mut *guard;
        *frames += 1;
        let frame = EncodedVideo { data: video.data, key: video.key, time: Duration::ZERO };
        match decoder.decode(&frame) {
            Ok(Some(picture)) => {
                *decoded += 1;
                if *decoded == 1 {
                    let (w, h) = (picture.picture.width(), picture.picture.height());
                    println!("{:7.1} first picture {w}x{h}", self.start.elapsed().as_secs_f64() * 1e3);
                }
            }
            Ok(None) => {}
            Err(e) => println!("decode: {e}"),
        }
    }
    fn audio(&self, _: ReceivedAudio) {}
    fn key_frame_wanted(&self, _: &str, _: usize) {
        self.key.store(true, Ordering::Relaxed);
    }
    fn bitrate_estimate(&self, bps: u32) {
        println!("estimate {bps}");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, key, secret, room, user, seconds, rest @ ..] = &args[..] else {
        eprintln!("usage: probe URL KEY SECRET ROOM USER SECONDS [publish]");
        std::process::exit(2);
    };
    let video = VideoGrant { room_join: true, room: room.clone(), ..VideoGrant::default() };
    let claims = Claims { iss: key.clone(), sub: user.clone(), video: Some(video), ..Claims::default() };
    let decoder = Mutex::new((H264Decoder::new().unwrap(), 0, 0));
    let sink = Arc::new(Sink { start: Instant::now(), key: AtomicBool::new(false), decoder });
    let config = MemberConfig {
        hide_audience: false,
        url: url.clone(),
        token: sign(&claims, secret),
        auto_subscribe_audio: true,
        auto_subscribe_video: true,
        allow_plain: true,
    };
    let member = join(config, sink.clone()).unwrap();
    let publish = !rest.is_empty();
    std::thread::sleep(Duration::from_millis(500));
    if publish {
        for (cid, kind) in [("cam", MediaKind::Video), ("mic", MediaKind::Audio)] {
            let video = kind == MediaKind::Video;
            let source = if video { TrackSource::Camera } else { TrackSource::Microphone };
            let codec = if video { CodecKind::H264 } else { CodecKind::Opus };
            let track = LocalTrack {
                cid: cid.into(),
                kind,
                source,
                name: cid.into(),
                codec,
                width: 1280,
                height: 720,
                muted: false,
                stereo: false,
                layers: Vec::new(),
            };
            member.publish(track).unwrap();
        }
    }
    let target = EncoderTarget { width: 1280, height: 720, bitrate_bps: 2_000_000, fps: 30 };
    let mut encoder = H264Encoder::new(target).unwrap();
    let mut opus = OpusEncoder::new(1, AudioQuality::Default).unwrap();
    let epoch = Instant::now();
    for tick in 0..seconds.parse::<u32>().unwrap() * 100 {
        let time = Duration::from_millis(10 * u64::from(tick));
        std::thread::sleep((epoch + time).saturating_duration_since(Instant::now()));
        if publish && tick % 3 == 0 {
            let mut picture = I420::black(1280, 720);
            let [luma, ..] = picture.planes_mut();
            luma.iter_mut().enumerate().for_each(|(i, p)| *p = (((i % 1280 + tick as usize) / 3) ^ (i / 1280)) as u8);
            let frame = VideoFrame { picture: Arc::new(picture), time };
            if let Some(frame) = encoder.encode(&frame, sink.key.swap(false, Ordering::Relaxed)).unwrap() {
                member.send_video("cam", 0, &frame).unwrap();
            }
        }
        if publish && tick % 2 == 0 {
            let pcm: Vec<i16> =
                (0..960).map(|i| ((f64::from(tick * 480 + i) * 0.0576).sin() * 8_000.0) as i16).collect();
            let mut packet = Vec::new();
            opus.encode(&pcm, &mut packet).unwrap();
            if !packet.is_empty() {
                member
                    .send_audio("mic", &EncodedAudio { opus: &packet, samples_48k: 960, time, level: Some(20) })
                    .unwrap();
            }
        }
        if tick % 100 == 50 {
            let _ = member.send_data("probe", &[7; 100], tick % 200 == 50, &[]);
        }
    }
    println!("{:#?}", member.stats());
    let (_, frames, decoded) = *sink.decoder.lock();
    println!("frames {frames} decoded {decoded}");
    member.leave();
    println!("ended {}", shutdown(Duration::from_secs(5)));
}
