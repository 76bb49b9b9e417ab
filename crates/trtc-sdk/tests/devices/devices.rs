//! Microphone and speaker, with devices of the test's own: their callbacks run on a clock of their own.
use crate::guest::{Guest, until};
use crate::server::TestServer;
use parking_lot::Mutex;
use std::f64::consts::TAU;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use trtc_media::tone::{longest_gap_ms, tone_hz};
use trtc_sdk::types::{
    AudioDevices, AudioQuality, AudioStream, CaptureSink, Code, DeviceInfo, DeviceKind, DeviceState, Error,
    PlayoutSource, Result, StereoFrame, StreamLost,
};
use trtc_sdk::{Event, set_audio_devices};

const PERIOD: usize = 480;

/// What the microphones hear and the speaker played, with the moment of each callback.
#[derive(Default)]
struct Rig {
    microphones: Mutex<Vec<DeviceInfo>>,
    /// The microphone hears 997 Hz, or in tenths of a second on and off; `mic-2` hears 500 Hz.
    steady: AtomicBool,
    /// When each tenth of a second began.
    onsets: Mutex<Vec<Instant>>,
    played: Mutex<Vec<(Instant, Vec<StereoFrame>)>>,
    lost: Mutex<Option<StreamLost>>,
    /// The sound service does not answer; microphones break when they are opened, and how often they were.
    silent: AtomicBool,
    breaks: AtomicBool,
    opened: AtomicUsize,
}

struct Devices(Arc<Rig>);

/// A thread that calls back every 10 ms until dropped.
struct Running(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Running {
    fn start(mut each: impl FnMut(usize) + Send + 'static) -> AudioStream {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let body = move || {
            let start = Instant::now();
            for block in 0.. {
                if flag.load(Ordering::Acquire) {
                    return;
                }
                each(block);
                let due = start + Duration::from_millis(10) * (block as u32 + 1);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        };
        AudioStream { rate_hz: 48_000, guard: Box::new(Running(stop, Some(std::thread::spawn(body)))) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        let _ = self.1.take().unwrap().join();
    }
}

fn device(id: &str, is_default: bool) -> DeviceInfo {
    DeviceInfo { id: id.to_owned(), name: format!("the {id}"), is_default, formats: Vec::new() }
}

impl AudioDevices for Devices {
    fn microphones(&self) -> Result<Vec<DeviceInfo>> {
        if self.0.silent.load(Ordering::Acquire) {
            return Err(Error::new(Code::FAILED, "no answer"));
        }
        Ok(self.0.microphones.lock().clone())
    }

    fn speakers(&self) -> Result<Vec<DeviceInfo>> {
        Ok(vec![device("speaker", true)])
    }

    fn open_microphone(&self, id: &str, mut sink: Box<dyn CaptureSink>, lost: StreamLost) -> Result<AudioStream> {
        if !self.0.microphones.lock().iter().any(|d| d.id == id) {
            return Err(Error::new(Code::FAILED, "no such microphone"));
        }
        self.0.opened.fetch_add(1, Ordering::AcqRel);
        if self.0.breaks.load(Ordering::Acquire) {
            lost(Error::new(Code::FAILED, "it breaks at once"));
        }
        *self.0.lost.lock() = Some(lost);
        let (rig, hz) = (self.0.clone(), if id == "mic-2" { 500.0 } else { 997.0 });
        Ok(Running::start(move |block| {
            let steady = rig.steady.load(Ordering::Acquire);
            let loud = steady || block % 20 < 10;
            let frames: Vec<StereoFrame> = (block * PERIOD..(block + 1) * PERIOD)
                .map(|i| if loud { [(12_000.0 * (TAU * hz * i as f64 / 48_000.0).sin()) as i16; 2] } else { [0, 0] })
                .collect();
            if !steady && block % 20 == 0 {
                rig.onsets.lock().push(Instant::now());
            }
            sink.captured(&frames);
        }))
    }

    fn open_speaker(&self, _: &str, mut source: Box<dyn PlayoutSource>, _: StreamLost) -> Result<AudioStream> {
        let rig = self.0.clone();
        Ok(Running::start(move |_| {
            let mut frames = vec![[0, 0]; PERIOD];
            source.play(&mut frames);
            rig.played.lock().push((Instant::now(), frames));
        }))
    }
}

impl Rig {
    /// The last `seconds` at the speaker, mono.
    fn heard(&self, seconds: usize) -> Vec<i16> {
        let played = self.played.lock();
        let from = played.len().saturating_sub(seconds * 100);
        played[from..].iter().flat_map(|(_, frames)| frames.iter().map(|f| f[0])).collect()
    }

    /// From the capture callback of each burst to the playout of its first loud sample, after quiet. The first sample of a block
    /// was heard at the microphone's callback; that of the speaker's plays at its callback.
    fn delays_ms(&self) -> Vec<f64> {
        let (mut quiet, mut heard) = (0, Vec::new());
        for (at, frames) in self.played.lock().iter() {
            for (i, frame) in frames.iter().enumerate() {
                if frame[0].unsigned_abs() < 2_000 {
                    quiet += 1;
                } else if std::mem::take(&mut quiet) > 2_400 {
                    heard.push(*at + Duration::from_micros(i as u64 * 1_000_000 / 48_000));
                }
            }
        }
        let onsets = self.onsets.lock();
        let first = |from: &Instant| heard.iter().find(|at| *at > from && **at < *from + Duration::from_millis(190));
        onsets.iter().filter_map(|from| Some((*first(from)? - *from).as_secs_f64() * 1_000.0)).collect()
    }

    fn hear(&self, hz: f64) {
        let mut last = (None, 0);
        until(&format!("{hz} Hz at the speaker"), || {
            std::thread::sleep(Duration::from_millis(100));
            let heard = self.heard(1);
            last = (tone_hz(&heard, 48_000), longest_gap_ms(&heard, 48_000));
            last.0.is_some_and(|f| (f - hz).abs() < 2.0) && last.1 <= 60
        });
        println!("at the speaker: {:.2} Hz, longest gap {} ms", last.0.unwrap(), last.1);
    }
}

fn summary(what: &str, values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
    format!("{what}, {} times: median {:.1} ms, 95 % below {:.1} ms", sorted.len(), at(0.5), at(0.95))
}

/// One test, since the devices belong to the process.
#[test]
fn a_microphone_is_heard_at_a_speaker() {
    let rig = Arc::new(Rig::default());
    set_audio_devices(Arc::new(Devices(rig.clone())));
    let server = TestServer::start();
    let (talks, hears) = (Guest::new(), Guest::new());
    hears.enter(&server, "devices", "hears");
    talks.enter(&server, "devices", "talks");

    // Without a microphone: a warning, and others do not expect sound.
    talks.cloud.start_local_audio(AudioQuality::Default).unwrap();
    let empty = |e: &Event| matches!(e, Event::Warning { code: Code::WARN_MICROPHONE_DEVICE_EMPTY, .. });
    talks.wait("the warning", empty);
    assert_eq!(hears.count(|e| matches!(e, Event::UserAudioAvailable(_, true))), 0);

    // One is plugged in: it is used.
    *rig.microphones.lock() = vec![device("mic-1", true)];
    let changed = |id: &'static str, to: DeviceState| move |e: &Event| matches!(e, Event::DeviceChange { id: i, kind: DeviceKind::Microphone, state } if i == id && *state == to);
    talks.wait("the new microphone", changed("mic-1", DeviceState::Add));
    talks.wait("its use", changed("mic-1", DeviceState::Active));
    talks.wait("its first sound", |e| matches!(e, Event::MicDidReady));
    hears.wait("sound", |e| matches!(e, Event::UserAudioAvailable(_, true)));
    until("bursts at the speaker", || {
        std::thread::sleep(Duration::from_millis(500));
        rig.delays_ms().len() >= 30
    });
    println!("{}", summary("capture callback to playout callback", &rig.delays_ms()[10..]));
    rig.steady.store(true, Ordering::Release);
    rig.hear(997.0);

    // Another default is followed, and a chosen one is used.
    *rig.microphones.lock() = vec![device("mic-1", false), device("mic-2", true)];
    talks.wait("the other default", changed("mic-2", DeviceState::DefaultDeviceChanged));
    rig.hear(500.0);
    talks.cloud.set_current_device(DeviceKind::Microphone, "mic-1").unwrap();
    rig.hear(997.0);
    assert_eq!(talks.cloud.current_device(DeviceKind::Microphone).unwrap().unwrap().id, "mic-1");
    assert_eq!(talks.cloud.set_current_device(DeviceKind::Speaker, "gone").unwrap_err().code, Code::INVALID_PARAMETER);

    // Pulled out: the default takes over, with a warning; back: it is used again.
    *rig.microphones.lock() = vec![device("mic-2", true)];
    talks.wait("the loss", |e| matches!(e, Event::Warning { code: Code::WARN_MICROPHONE_DEVICE_ABNORMAL, .. }));
    rig.hear(500.0);
    *rig.microphones.lock() = vec![device("mic-1", false), device("mic-2", true)];
    rig.hear(997.0);

    // A stream that breaks is opened again.
    let lost = rig.lost.lock().take().unwrap();
    lost(Error::new(Code::FAILED, "the test broke it"));
    let broken = |e: &Event| matches!(e, Event::Warning { message, .. } if message == "the test broke it");
    talks.wait("the broken stream", broken);
    until("a new stream", || rig.lost.lock().is_some());
    rig.hear(997.0);

    // One that breaks at once, again and again, is told once and not tried all the time.
    rig.breaks.store(true, Ordering::Release);
    let (before, warned) = (rig.opened.load(Ordering::Acquire), talks.count(|e| matches!(e, Event::Warning { .. })));
    let lost = rig.lost.lock().take().unwrap();
    lost(Error::new(Code::FAILED, "the test broke it"));
    until("some attempts", || rig.opened.load(Ordering::Acquire) >= before + 3);
    assert!(talks.count(|e| matches!(e, Event::Warning { .. })) <= warned + 1, "{:?}", talks.events());
    rig.breaks.store(false, Ordering::Release);
    rig.hear(997.0);

    // A service that is silent for a moment takes no device away; one that stays silent does, and says why.
    let removed = |e: &Event| changed("mic-1", DeviceState::Remove)(e);
    let gone = talks.count(removed);
    rig.silent.store(true, Ordering::Release);
    until("its loss", || talks.count(removed) > gone);
    let silent = |e: &Event| matches!(e, Event::Warning { code: Code::WARN_MICROPHONE_DEVICE_EMPTY, message } if message == "no microphone: no answer");
    talks.wait("the reason", silent);
    rig.silent.store(false, Ordering::Release);
    rig.hear(997.0);

    talks.cloud.stop_local_audio().unwrap();
    hears.wait("the end", |e| matches!(e, Event::UserAudioAvailable(_, false)));
    assert_eq!(talks.errors(), []);
    assert_eq!(hears.errors(), []);
}
