//! Two honest members of a room, with the real client: sound, picture and messages flow from one to the other while
//! somebody else misbehaves.
use super::{Client, PATIENCE, TestServer};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trtc_member::{
    EncodedAudio, Event, LocalTrack, Member, MemberConfig, MemberSink, ReceivedAudio, ReceivedVideo, join,
};
pub use trtc_types::TrackSource as Source;
use trtc_types::{CodecKind, EncodedVideo, MediaKind};

/// What was sent or came, by its running number.
#[derive(Clone, Default)]
struct Numbers {
    audio: Vec<u32>,
    video: Vec<u32>,
    messages: Vec<u32>,
}

impl Numbers {
    fn counts(&self) -> [usize; 3] {
        [self.audio.len(), self.video.len(), self.messages.len()]
    }
}

/// Keeps what a member is told.
#[derive(Default)]
pub struct Sink {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    events: Vec<Event>,
    numbers: Numbers,
    /// Messages of others.
    others: BTreeMap<String, usize>,
    key_wanted: bool,
}

impl Sink {
    /// Waits for an event.
    pub fn event(&self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        self.wait(what, |seen| seen.events.iter().find(|e| fits(e)).cloned())
    }

    pub fn has(&self, fits: impl Fn(&Event) -> bool) -> bool {
        self.seen.lock().events.iter().any(fits)
    }

    fn wait<T>(&self, what: &str, done: impl Fn(&Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + 2 * PATIENCE;
        let mut seen = self.seen.lock();
        loop {
            if let Some(found) = done(&seen) {
                return found;
            }
            let late = self.changed.wait_until(&mut seen, deadline).timed_out();
            assert!(!late, "no {what}; {:?} came; events {:?}", seen.numbers.counts(), seen.events);
        }
    }

    fn change(&self, f: impl FnOnce(&mut Seen)) {
        f(&mut self.seen.lock());
        self.changed.notify_all();
    }
}

impl MemberSink for Sink {
    fn event(&self, event: Event) {
        self.change(|seen| match event {
            Event::Data { topic, payload, .. } if topic == "bystander" => {
                seen.numbers.messages.extend(number(&payload));
            }
            Event::Data { from: Some(user), .. } | Event::Command { from: user, .. } => {
                *seen.others.entry(user.as_str().to_owned()).or_default() += 1;
            }
            other => seen.events.push(other),
        });
    }
    fn video(&self, video: ReceivedVideo) {
        self.change(|seen| seen.numbers.video.extend(number(&video.data[video.data.len() - 8..])));
    }
    fn audio(&self, audio: ReceivedAudio) {
        self.change(|seen| seen.numbers.audio.extend(number(&audio.payload)));
    }
    fn key_frame_wanted(&self, _: &str, _: usize) {
        self.change(|seen| seen.key_wanted = true);
    }
    fn bitrate_estimate(&self, _: u32) {}
}

/// Joins with the real client and waits until it is in.
pub fn member(server: &TestServer, room: &str, identity: &str) -> (Member, Arc<Sink>) {
    let config = MemberConfig {
        hide_audience: false,
        url: format!("http://{}", server.address),
        token: server.token(&server.claims(room, identity)),
        auto_subscribe_audio: true,
        auto_subscribe_video: true,
        allow_plain: false,
    };
    let sink = Arc::new(Sink::default());
    let member = join(config, sink.clone()).unwrap();
    sink.event("Joined", |e| matches!(e, Event::Joined { .. }));
    (member, sink)
}

/// A track of the real client.
pub fn track(cid: &str, source: Source) -> LocalTrack {
    let video = matches!(source, Source::Camera | Source::ScreenShare);
    LocalTrack {
        cid: cid.into(),
        kind: if video { MediaKind::Video } else { MediaKind::Audio },
        source,
        name: cid.into(),
        codec: if video { CodecKind::H264 } else { CodecKind::Opus },
        width: 0,
        height: 0,
        muted: false,
        stereo: false,
        layers: Vec::new(),
    }
}

/// Ann sends to Bob.
pub struct Bystanders {
    room: String,
    ann: (Member, Arc<Sink>),
    bob: (Member, Arc<Sink>),
    stop: Arc<AtomicBool>,
    sent: Arc<Mutex<Numbers>>,
    sender: JoinHandle<()>,
    /// What was sent before the flow was established does not count.
    from: [u32; 2],
}

impl Bystanders {
    /// Returns when everything flows.
    pub fn start(server: &TestServer, room: &str) -> Self {
        let (bob, ann) = (member(server, room, "bob"), member(server, room, "ann"));
        for (cid, source) in [("cam", Source::Camera), ("mic", Source::Microphone)] {
            ann.0.publish(track(cid, source)).unwrap();
        }
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Numbers::default())));
        let (stopped, numbers, member, sink) = (stop.clone(), sent.clone(), ann.0.clone(), ann.1.clone());
        let sender = std::thread::spawn(move || send(&member, &sink, &numbers, &stopped));
        bob.1.wait("flow", |seen| seen.numbers.counts().iter().all(|n| *n >= 3).then_some(()));
        let newest = sent.lock().clone();
        let from = [newest.audio, newest.video].map(|sent| sent.last().copied().unwrap_or(0) + 1);
        Self { room: room.to_owned(), ann, bob, stop, sent, sender, from }
    }

    /// Messages that a third member got through to Bob.
    pub fn received_from(&self, identity: &str) -> usize {
        self.bob.1.seen.lock().others.get(identity).copied().unwrap_or(0)
    }

    /// Everything still flows, nothing was lost on the way, nobody was thrown out, and others can still join.
    pub fn undisturbed(self, server: &TestServer) {
        let before = self.bob.1.seen.lock().numbers.counts();
        self.bob.1.wait("flow afterwards", |seen| {
            let now = seen.numbers.counts();
            (now[0] >= before[0] + 20 && now[1] >= before[1] + 10 && now[2] >= before[2] + 3).then_some(())
        });
        let mut late = Client::connect(server.address, &server.token(&server.claims(&self.room, "late")), "").unwrap();
        let present = late.joined().other_participants;
        for name in ["ann", "bob"] {
            assert!(present.iter().any(|p| p.identity == name), "{name} is not in {present:?}");
        }
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().unwrap();
        let sent = self.sent.lock().clone();
        let last = *sent.messages.last().unwrap();
        self.bob.1.wait("the last message", |seen| seen.numbers.messages.contains(&last).then_some(()));
        let share = |sent: &[u32], came: &[u32], from: u32| {
            let sent = sent.iter().filter(|n| **n >= from).count();
            let came: BTreeSet<u32> = came.iter().copied().filter(|n| *n >= from).collect();
            (came.len(), sent)
        };
        // Some datagrams are still on their way.
        let [audio, video] = self.bob.1.wait("95 % of sound and picture", |seen| {
            let audio = share(&sent.audio, &seen.numbers.audio, self.from[0]);
            let video = share(&sent.video, &seen.numbers.video, self.from[1]);
            let enough = |(came, sent): (usize, usize)| came * 100 >= sent * 95;
            (enough(audio) && enough(video)).then_some([audio, video])
        });
        let seen = self.bob.1.seen.lock();
        let first = seen.numbers.messages[0];
        assert_eq!(seen.numbers.messages, (first..=last).collect::<Vec<_>>(), "reliable messages, in order");
        println!("bystanders: {audio:?} audio packets, {video:?} frames, {} messages", last - first + 1);
        drop(seen);
        for (name, sink) in [("ann", &self.ann.1), ("bob", &self.bob.1)] {
            let harmed = |e: &Event| match e {
                Event::ConnectionLost | Event::Left { .. } | Event::LocalTrackFailed { .. } => true,
                Event::UserLeft { user, .. } | Event::TrackUnavailable { user, .. } => {
                    ["ann", "bob"].contains(&user.as_str())
                }
                _ => false,
            };
            assert!(!sink.has(harmed), "{name}: {:?}", sink.seen.lock().events);
        }
        self.ann.0.leave();
        self.bob.0.leave();
    }
}

/// 50 audio packets, 25 frames of three packets and 10 reliable messages a second.
fn send(ann: &Member, sink: &Sink, sent: &Mutex<Numbers>, stop: &AtomicBool) {
    let start = Instant::now();
    for tick in 0u32.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep((start + Duration::from_millis(20) * tick).saturating_duration_since(Instant::now()));
        // Not what should have been sent by now, but what is: a busy machine may be late.
        let time = start.elapsed();
        let text = format!("{tick:08x}");
        let opus = format!("{text}{}", "a".repeat(60));
        let sound = EncodedAudio { opus: opus.as_bytes(), samples_48k: 960, time, level: None };
        if ann.send_audio("mic", &sound).is_ok() {
            sent.lock().audio.push(tick);
        }
        if tick % 2 == 0 {
            let key = std::mem::take(&mut sink.seen.lock().key_wanted) || tick % 50 == 0;
            let mut data = Vec::new();
            if key {
                data.extend([
                    0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xec, 0, 0, 0, 1, 0x68, 0xce, 0x3c,
                ]);
            }
            data.extend([0, 0, 0, 1, if key { 0x65 } else { 0x41 }, 0xb8]);
            data.extend([0x55; 3_000]);
            data.extend(text.as_bytes());
            if ann.send_video("cam", 0, &EncodedVideo { data: data.into(), key, time }).is_ok() {
                sent.lock().video.push(tick);
            }
        }
        if tick % 5 == 0 && ann.send_data("bystander", format!("{:08x}", tick / 5).as_bytes(), true, &[]).is_ok() {
            sent.lock().messages.push(tick / 5);
        }
    }
}

/// Eight hexadecimal digits at the front.
fn number(bytes: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(bytes.get(..8)?).ok()?, 16).ok()
}
