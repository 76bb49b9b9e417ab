//! A cloud whose events, pictures and sound are kept.
use crate::server::TestServer;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_media::tone::{longest_gap_ms, tone_hz};
use trtc_sdk::types::stats::RemoteStatistics;
use trtc_sdk::types::{AppScene, Code, I420, StreamType, UserId};
use trtc_sdk::{Cloud, CloudOptions, EnterParams, Event, PatternSource, RenderFrame, VideoEncoderParam};

/// Nobody waits this long on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);
const RATE_HZ: u32 = 48_000;

type Pictures = BTreeMap<(UserId, StreamType), Vec<Arc<I420>>>;

#[derive(Default)]
struct Seen {
    events: Mutex<Vec<Event>>,
    pictures: Mutex<Pictures>,
    /// Mono.
    sound: Mutex<BTreeMap<UserId, Vec<i16>>>,
}

pub struct Guest {
    pub cloud: Cloud,
    seen: Arc<Seen>,
}

pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Waits until `done`.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Guest {
    pub fn new() -> Self {
        let seen = Arc::new(Seen::default());
        let told = seen.clone();
        let cloud = Cloud::new(&CloudOptions::default(), move |event| told.events.lock().push(event)).unwrap();
        let heard = seen.clone();
        let tap = move |played: trtc_sdk::PlayedAudio<'_>| {
            let mono = played.samples.chunks_exact(2).map(|s| ((i32::from(s[0]) + i32::from(s[1])) / 2) as i16);
            heard.sound.lock().entry(played.user.clone()).or_default().extend(mono);
        };
        cloud.set_remote_audio_tap(Some(Arc::new(tap))).unwrap();
        Self { cloud, seen }
    }

    /// Sends small pictures and a tone.
    pub fn sending() -> Self {
        let guest = Self::new();
        let param = VideoEncoderParam { width: 320, height: 192, fps: 10, bitrate_kbps: 400, min_bitrate_kbps: 0 };
        for stream in [StreamType::Big, StreamType::Sub] {
            guest.cloud.set_video_encoder_param(stream, param).unwrap();
        }
        guest.cloud.start_pattern_source(StreamType::Big, PatternSource::default()).unwrap();
        guest
    }

    pub fn enter(&self, server: &TestServer, room: &str, name: &str) {
        let before = self.count(|e| matches!(e, Event::EnterRoom(_)));
        let params = EnterParams::with_token(&server.url, &server.token(room, name));
        self.cloud.enter_room(&params, AppScene::VideoCall).unwrap();
        until("entering", || self.count(|e| matches!(e, Event::EnterRoom(_))) > before);
        let events = self.seen.events.lock();
        assert!(!events.iter().any(|e| matches!(e, Event::EnterRoom(..=0))), "{events:?}");
    }

    pub fn exit(&self) {
        let before = self.count(|e| matches!(e, Event::ExitRoom(_)));
        self.cloud.exit_room().unwrap();
        until("leaving", || self.count(|e| matches!(e, Event::ExitRoom(_))) > before);
    }

    pub fn count(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.seen.events.lock().iter().filter(|e| fits(e)).count()
    }

    pub fn events(&self) -> Vec<Event> {
        self.seen.events.lock().clone()
    }

    pub fn wait(&self, what: &str, fits: impl Fn(&Event) -> bool) {
        until(what, || self.count(&fits) > 0);
    }

    pub fn errors(&self) -> Vec<(Code, String)> {
        let of = |e: &Event| match e {
            Event::Error { code, message } => Some((*code, message.clone())),
            _ => None,
        };
        self.seen.events.lock().iter().filter_map(of).collect()
    }

    /// Waits for `count` more statistics, 2 s apart.
    pub fn statistics(&self, count: usize) {
        let is = |e: &Event| matches!(e, Event::Statistics(_));
        let before = self.count(is);
        until("statistics", || self.count(is) >= before + count);
    }

    /// Waits for statistics of a remote stream.
    pub fn wait_remote(&self, what: &str, name: &str, stream: StreamType, fits: impl Fn(&RemoteStatistics) -> bool) {
        let from = self.seen.events.lock().len();
        let ours = |r: &RemoteStatistics| r.user.as_str() == name && r.stream == stream && fits(r);
        until(what, || {
            let events = self.seen.events.lock();
            events[from..].iter().any(|e| matches!(e, Event::Statistics(s) if s.remote.iter().any(ours)))
        });
    }

    /// Keeps the pictures of a stream, which must be watched to have some.
    pub fn keep_pictures(&self, name: &str, stream: StreamType) {
        let seen = self.seen.clone();
        let keep = move |shown: &RenderFrame| {
            let key = (shown.user.clone().unwrap(), shown.stream);
            seen.pictures.lock().entry(key).or_default().push(shown.frame.picture.clone());
        };
        self.cloud.set_remote_video_callback(&user(name), stream, Some(Arc::new(keep))).unwrap();
    }

    pub fn watch(&self, name: &str, stream: StreamType) {
        self.keep_pictures(name, stream);
        self.cloud.start_remote_view(&user(name), stream).unwrap();
    }

    pub fn pictures(&self, name: &str, stream: StreamType) -> Vec<Arc<I420>> {
        self.seen.pictures.lock().get(&(user(name), stream)).cloned().unwrap_or_default()
    }

    /// Waits for `count` more pictures.
    pub fn see(&self, name: &str, stream: StreamType, count: usize) -> Vec<Arc<I420>> {
        let before = self.pictures(name, stream).len();
        until("pictures", || self.pictures(name, stream).len() >= before + count);
        self.pictures(name, stream).split_off(before)
    }

    /// How much of a user was heard, in samples.
    pub fn heard(&self, name: &str) -> usize {
        self.seen.sound.lock().get(&user(name)).map_or(0, Vec::len)
    }

    /// Waits until a whole second of a user, later than now, is one tone without a gap.
    pub fn hear(&self, name: &str, hz: f64) {
        let mut from = self.heard(name);
        let mut last = (None, 0);
        until(&format!("{hz} Hz of {name}"), || {
            let sound = self.seen.sound.lock().get(&user(name)).cloned().unwrap_or_default();
            let Some(second) = sound.get(from..from + RATE_HZ as usize) else { return false };
            // The next second need not be the one after this: it may have begun in silence.
            from += RATE_HZ as usize / 4;
            last = (tone_hz(second, RATE_HZ), longest_gap_ms(second, RATE_HZ));
            last.0.is_some_and(|found| (found - hz).abs() < 2.0) && last.1 <= 60
        });
    }
}
