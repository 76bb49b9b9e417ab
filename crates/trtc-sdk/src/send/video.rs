//! One local video stream: a `trtc-venc` thread that draws or reads pictures, encodes them and hands them to the member; the
//! main stream in two layers when the host wants a small one.
use super::files::{Picture, VideoFile};
use super::layer::{BIG, Counters, Layer, SMALL, fitted};
use crate::events::Event;
use crate::params::{RenderFrame, VideoEncoderParam};
use crate::receive::cell::Cell;
use crate::shared::{Shared, media_now};
use crate::threads;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use trtc_media::pattern::Pattern;
use trtc_member::Member;
use trtc_types::{Code, EncodedVideo, EncoderTarget, I420, Result, StreamType, VideoFrame};

/// The least that the encoder takes.
const BITRATE_MIN_BPS: u32 = 10_000;

pub(crate) enum VideoSource {
    /// The host pushes pictures.
    Custom,
    Pattern,
    File(VideoFile),
    /// A camera by its id, and how often one was chosen before.
    Camera {
        id: String,
        choices: u64,
    },
}

pub(crate) struct VideoSender {
    stream: StreamType,
    shared: Weak<Shared>,
    cell: Arc<Cell>,
    control: Mutex<Control>,
    wake: Condvar,
    /// The next frame of a layer is to be a key frame.
    keys: [AtomicBool; 2],
    pub(crate) counters: [Counters; 2],
}

/// Where the frames go.
#[derive(Clone)]
pub(crate) struct Sending {
    pub(crate) member: Member,
    pub(crate) cid: String,
    /// The track was published with both layers.
    pub(crate) layered: bool,
}

/// Newest wins in every field.
struct Control {
    picture: Option<VideoFrame>,
    param: VideoEncoderParam,
    /// The small layer is wanted by the host.
    small: Option<VideoEncoderParam>,
    /// Layers that somebody watches.
    watched: [bool; 2],
    /// What the network carries, bits per second; 0 unknown.
    estimate_bps: u32,
    sending: Option<Sending>,
    muted: bool,
    stop: bool,
}

/// State of the thread.
#[derive(Default)]
pub(super) struct Work {
    layers: [Layer; 2],
    shown: bool,
    index: u32,
    last_time: Duration,
}

impl VideoSender {
    pub(crate) fn start(
        shared: Weak<Shared>,
        stream: StreamType,
        source: VideoSource,
        param: VideoEncoderParam,
        cell: Arc<Cell>,
    ) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let control = Control {
            picture: None,
            param,
            small: None,
            watched: [true; 2],
            estimate_bps: 0,
            sending: None,
            muted: false,
            stop: false,
        };
        let sender = Arc::new(Self {
            stream,
            shared: shared.clone(),
            cell,
            control: Mutex::new(control),
            wake: Condvar::new(),
            keys: Default::default(),
            counters: Default::default(),
        });
        let panicked = move || {
            if let Some(shared) = shared.upgrade() {
                shared.fail(Code::INTERNAL, "the video encoder thread panicked");
            }
        };
        let running = sender.clone();
        let thread = threads::spawn("trtc-venc", move || running.run(source), panicked)?;
        Ok((sender, thread))
    }

    /// Offers a custom picture; `false` when it replaced one that was still waiting.
    pub(crate) fn push(&self, frame: VideoFrame) -> bool {
        let mut control = self.control.lock();
        let replaced = control.picture.replace(frame).is_some();
        if replaced {
            self.counters[BIG].dropped.fetch_add(1, Ordering::Relaxed);
        }
        drop(control);
        self.wake.notify_all();
        !replaced
    }

    /// The member asks for a key frame of a track's layer.
    pub(crate) fn want_key(&self, layer: usize) {
        let layered = self.control.lock().sending.as_ref().is_some_and(|s| s.layered);
        let layer = if layered { layer.min(BIG) } else { BIG };
        self.keys[layer].store(true, Ordering::Release);
    }

    fn want_all_keys(&self) {
        self.keys.iter().for_each(|key| key.store(true, Ordering::Release));
    }

    /// The small layer begins, changes or ends (`None`).
    pub(crate) fn set_small(&self, small: Option<VideoEncoderParam>) {
        self.control.lock().small = small;
    }

    /// Somebody watches, or nobody does, each layer. One that nobody watches is not encoded.
    pub(crate) fn set_watched(&self, watched: &[bool]) {
        if let Ok(watched) = watched.try_into() {
            self.control.lock().watched = watched;
        }
    }

    pub(crate) fn set_param(&self, param: VideoEncoderParam) {
        self.control.lock().param = param;
    }

    pub(crate) fn set_estimate(&self, bps: u32) {
        self.control.lock().estimate_bps = bps;
    }

    pub(crate) fn set_muted(&self, muted: bool) {
        self.control.lock().muted = muted;
        self.want_all_keys();
    }

    pub(crate) fn set_sending(&self, sending: Option<Sending>) {
        let mut control = self.control.lock();
        control.sending = sending;
        control.watched = [true; 2];
        drop(control);
        self.want_all_keys();
    }

    pub(crate) fn stop(&self) {
        let mut control = self.control.lock();
        control.stop = true;
        control.sending = None;
        drop(control);
        self.wake.notify_all();
    }

    pub(super) fn param(&self) -> VideoEncoderParam {
        self.control.lock().param
    }

    pub(super) fn tell(&self, event: Event) {
        if let Some(shared) = self.shared.upgrade() {
            shared.emit(event);
        }
    }

    pub(super) fn warn(&self, code: Code, message: &str) {
        if let Some(shared) = self.shared.upgrade() {
            shared.warn(code, message);
        }
    }

    fn run(&self, source: VideoSource) {
        let mut work = Work::default();
        let outcome = match source {
            VideoSource::Custom => self.run_custom(&mut work),
            VideoSource::Pattern => self.run_pattern(&mut work),
            VideoSource::File(file) => self.run_file(file, &mut work),
            VideoSource::Camera { id, choices } => self.run_camera(id, choices, &mut work),
        };
        if let (Err(error), Some(shared)) = (outcome, self.shared.upgrade()) {
            shared.emit(Event::Error { code: error.code, message: error.message });
        }
    }

    fn run_custom(&self, work: &mut Work) -> Result<()> {
        let mut next = Duration::ZERO;
        while let Some(frame) = self.wait_picture() {
            // The encoder's rate wins over the host's: early pictures are left out.
            let interval = Duration::from_secs(1) / self.control.lock().param.fps;
            let now = media_now();
            if now + interval / 4 < next {
                self.counters[BIG].dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            next = (next + interval).max(now.saturating_sub(interval));
            self.process(frame, work)?;
        }
        Ok(())
    }

    fn run_pattern(&self, work: &mut Work) -> Result<()> {
        let mut pattern: Option<(Pattern, (u32, u32))> = None;
        let mut due = Instant::now();
        loop {
            let param = self.control.lock().param;
            due = next_due(due, Duration::from_secs(1) / param.fps);
            if !self.sleep_until(due) {
                return Ok(());
            }
            let size = (param.width, param.height);
            if pattern.as_ref().is_none_or(|(_, drawn)| *drawn != size) {
                pattern = Some((Pattern::new(size.0 as usize, size.1 as usize), size));
            }
            if let Some((pattern, _)) = &pattern {
                let mut picture = I420::black(size.0 as usize, size.1 as usize);
                pattern.draw(work.index, unix_ms(), &mut picture);
                self.process(VideoFrame { picture: Arc::new(picture), time: media_now() }, work)?;
            }
            work.index = work.index.wrapping_add(1);
        }
    }

    fn run_file(&self, mut file: VideoFile, work: &mut Work) -> Result<()> {
        let mut due = Instant::now();
        loop {
            due = next_due(due, file.interval);
            if !self.sleep_until(due) {
                return Ok(());
            }
            if self.control.lock().small.is_some() {
                file.reencode()?;
            }
            match file.next()? {
                None => return Ok(()),
                Some(Picture::Raw(picture)) => self.process(VideoFrame { picture, time: media_now() }, work)?,
                Some(Picture::Encoded(unit)) => {
                    let key = unit.key;
                    let muted = self.control.lock().muted;
                    if !muted && (work.layers[BIG].flowing || key) {
                        self.hand_over(BIG, &EncodedVideo { time: media_now(), ..unit }, work);
                    }
                }
            }
        }
    }

    /// Shows a picture to the host's local view, encodes and sends it.
    pub(super) fn process(&self, mut frame: VideoFrame, work: &mut Work) -> Result<()> {
        if frame.time <= work.last_time {
            frame.time = work.last_time + Duration::from_millis(1);
        }
        work.last_time = frame.time;
        let Some(shared) = self.shared.upgrade() else { return Ok(()) };
        if !std::mem::replace(&mut work.shown, true) {
            let (width, height) = (frame.picture.width() as u32, frame.picture.height() as u32);
            shared.emit(Event::FirstVideoFrame { user: None, stream: self.stream, width, height });
        }
        self.cell.show(&shared.gate, RenderFrame { user: None, stream: self.stream, frame: frame.clone() });
        drop(shared);
        let (targets, fps) = {
            let control = self.control.lock();
            (control.targets(), control.param.fps)
        };
        // The small picture is made of the main one where that is made at all: less to read.
        for layer in [BIG, SMALL] {
            let Some(target) = targets[layer] else {
                work.layers[layer].flowing = false;
                continue;
            };
            if target.fps < fps && !work.layers[layer].is_due(frame.time, target.fps) {
                continue;
            }
            frame = fitted(&frame, target);
            let force_key = self.keys[layer].swap(false, Ordering::AcqRel);
            if let Some(unit) = work.layers[layer].encode(&frame, target, force_key)? {
                self.hand_over(layer, &unit, work);
            }
        }
        Ok(())
    }

    fn hand_over(&self, layer: usize, unit: &EncodedVideo, work: &mut Work) {
        let counters = &self.counters[layer];
        let work = &mut work.layers[layer];
        let Some(Sending { member, cid, layered }) = self.control.lock().sending.clone() else {
            work.flowing = false;
            return;
        };
        let index = if layered { layer } else { 0 };
        let sent = member.send_video(&cid, index, unit);
        if let Err(error) = &sent {
            log::trace!("video frame not sent: {}", error.message);
        }
        // What the member has dropped it knows of: it asks for a key frame when that can be sent.
        work.flowing = sent.is_ok();
        if sent != Ok(true) {
            counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        counters.frames.fetch_add(1, Ordering::Relaxed);
        counters.bytes.fetch_add(unit.data.len() as u64, Ordering::Relaxed);
        // Once for each publication, and so in every room.
        if work.first_sent.as_ref() != Some(&cid)
            && let Some(shared) = self.shared.upgrade()
        {
            let stream = if layer == SMALL { StreamType::Small } else { self.stream };
            shared.emit(Event::SendFirstLocalVideoFrame(stream));
            work.first_sent = Some(cid);
        }
    }

    fn wait_picture(&self) -> Option<VideoFrame> {
        let mut control = self.control.lock();
        loop {
            if control.stop {
                return None;
            }
            if let Some(frame) = control.picture.take() {
                return Some(frame);
            }
            self.wake.wait(&mut control);
        }
    }

    /// `false` when the stream ends.
    pub(super) fn sleep_until(&self, due: Instant) -> bool {
        let mut control = self.control.lock();
        while !control.stop && Instant::now() < due {
            self.wake.wait_until(&mut control, due);
        }
        !control.stop
    }
}

/// The next deadline of a steady rate; after a long stall it starts afresh.
fn next_due(last: Instant, interval: Duration) -> Instant {
    let due = last + interval;
    let now = Instant::now();
    if now > due + Duration::from_millis(500) { now } else { due }
}

impl Control {
    /// What each layer is to make; `None` where nothing is sent or nobody watches.
    fn targets(&self) -> [Option<EncoderTarget>; 2] {
        let Some(sending) = self.sending.as_ref().filter(|_| !self.muted) else { return [None; 2] };
        let small = self.small.filter(|_| sending.layered && self.watched[SMALL]);
        // Who wants the small one, and there is none, gets the main one.
        let big_watched = self.watched[BIG] || self.small.is_none() && self.watched[SMALL];
        let big = Some(self.param).filter(|_| !sending.layered || big_watched);
        // The small layer has its share first: it is the one that reaches everybody.
        let small = small.map(|param| target(param, self.estimate_bps));
        let used = small.map_or(0, |target| target.bitrate_bps);
        let left = if self.estimate_bps == 0 { 0 } else { self.estimate_bps.saturating_sub(used).max(1) };
        [small, big.map(|param| target(param, left))]
    }
}

/// `estimate_bps` is what the network carries for this layer; 0 unknown.
fn target(param: VideoEncoderParam, estimate_bps: u32) -> EncoderTarget {
    let VideoEncoderParam { width, height, fps, bitrate_kbps, min_bitrate_kbps } = param;
    let top = bitrate_kbps * 1000;
    let floor = if min_bitrate_kbps > 0 { min_bitrate_kbps * 1000 } else { top / 3 };
    // In steps of an eighth, so that the encoder is not reconfigured for noise.
    let step = (top / 8).max(1);
    let carried = if estimate_bps == 0 { top } else { estimate_bps / step * step };
    let bitrate_bps = carried.min(top).max(floor).max(BITRATE_MIN_BPS);
    EncoderTarget { width: width as usize, height: height as usize, bitrate_bps, fps }
}

fn unix_ms() -> u32 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trtc_codec::H264Encoder;

    #[test]
    fn every_target_is_one_that_the_encoder_takes() {
        for (bitrate_kbps, min_bitrate_kbps) in [(10, 0), (29, 0), (400, 1), (400, 9), (10, 10), (1500, 0)] {
            let param = VideoEncoderParam { width: 64, height: 48, fps: 15, bitrate_kbps, min_bitrate_kbps };
            for estimate_bps in [0, 1, 9_999, 64_000, u32::MAX] {
                let target = target(param, estimate_bps);
                assert!(H264Encoder::new(target).is_ok(), "{target:?}");
                assert!(target.bitrate_bps <= bitrate_kbps * 1000);
            }
        }
    }
}
