//! One local video stream: a `trtc-venc` thread that draws or reads pictures, encodes them and hands them to the member.
use super::files::{Picture, VideoFile};
use crate::events::Event;
use crate::params::{RenderFrame, VideoEncoderParam};
use crate::receive::cell::Cell;
use crate::shared::{Shared, media_now};
use crate::threads;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use trtc_codec::H264Encoder;
use trtc_media::pattern::Pattern;
use trtc_media::scale::scale_to_fit;
use trtc_member::Member;
use trtc_types::{Code, EncodedVideo, EncoderTarget, I420, Result, StreamType, VideoEncoder, VideoFrame};

pub(crate) enum VideoSource {
    /// The host pushes pictures.
    Custom,
    Pattern,
    File(VideoFile),
}

pub(crate) struct VideoSender {
    stream: StreamType,
    shared: Weak<Shared>,
    cell: Arc<Cell>,
    control: Mutex<Control>,
    wake: Condvar,
    key: AtomicBool,
    pub(crate) counters: Counters,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

/// Newest wins in every field.
struct Control {
    picture: Option<VideoFrame>,
    param: VideoEncoderParam,
    /// What the network carries, bits per second; 0 unknown.
    estimate_bps: u32,
    sending: Option<(Member, String)>,
    muted: bool,
    stop: bool,
}

/// State of the thread.
struct Work {
    encoder: Option<H264Encoder>,
    target: Option<EncoderTarget>,
    first_local: bool,
    first_sent: bool,
    sent_ok: bool,
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
        let control = Control { picture: None, param, estimate_bps: 0, sending: None, muted: false, stop: false };
        let sender = Arc::new(Self {
            stream,
            shared: shared.clone(),
            cell,
            control: Mutex::new(control),
            wake: Condvar::new(),
            key: AtomicBool::new(false),
            counters: Counters::default(),
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
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        drop(control);
        self.wake.notify_all();
        !replaced
    }

    pub(crate) fn want_key(&self) {
        self.key.store(true, Ordering::Release);
    }

    pub(crate) fn set_param(&self, param: VideoEncoderParam) {
        self.control.lock().param = param;
    }

    pub(crate) fn set_estimate(&self, bps: u32) {
        self.control.lock().estimate_bps = bps;
    }

    pub(crate) fn set_muted(&self, muted: bool) {
        self.control.lock().muted = muted;
        self.want_key();
    }

    pub(crate) fn set_sending(&self, sending: Option<(Member, String)>) {
        self.control.lock().sending = sending;
        self.want_key();
    }

    pub(crate) fn stop(&self) {
        let mut control = self.control.lock();
        control.stop = true;
        control.sending = None;
        drop(control);
        self.wake.notify_all();
    }

    fn run(&self, source: VideoSource) {
        let mut work = Work {
            encoder: None,
            target: None,
            first_local: true,
            first_sent: false,
            sent_ok: false,
            index: 0,
            last_time: Duration::ZERO,
        };
        let outcome = match source {
            VideoSource::Custom => self.run_custom(&mut work),
            VideoSource::Pattern => self.run_pattern(&mut work),
            VideoSource::File(file) => self.run_file(file, &mut work),
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
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
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
            match file.next()? {
                None => return Ok(()),
                Some(Picture::Raw(picture)) => self.process(VideoFrame { picture, time: media_now() }, work)?,
                Some(Picture::Encoded(unit)) => {
                    let key = unit.key;
                    let muted = self.control.lock().muted;
                    if !muted && (work.sent_ok || key) {
                        self.hand_over(EncodedVideo { time: media_now(), ..unit }, work);
                    }
                }
            }
        }
    }

    /// Shows a picture to the host's local view, encodes and sends it.
    fn process(&self, mut frame: VideoFrame, work: &mut Work) -> Result<()> {
        if frame.time <= work.last_time {
            frame.time = work.last_time + Duration::from_millis(1);
        }
        work.last_time = frame.time;
        let Some(shared) = self.shared.upgrade() else { return Ok(()) };
        if std::mem::take(&mut work.first_local) {
            let (width, height) = (frame.picture.width() as u32, frame.picture.height() as u32);
            shared.emit(Event::FirstVideoFrame { user: None, stream: self.stream, width, height });
        }
        self.cell.show(&shared.gate, RenderFrame { user: None, stream: self.stream, frame: frame.clone() });
        drop(shared);
        let (target, idle) = {
            let control = self.control.lock();
            (target(&control), control.muted || control.sending.is_none())
        };
        if idle {
            work.sent_ok = false;
            return Ok(());
        }
        if (frame.picture.width(), frame.picture.height()) != (target.width, target.height) {
            frame.picture = Arc::new(scale_to_fit(&frame.picture, target.width, target.height));
        }
        if work.target != Some(target) {
            match &mut work.encoder {
                Some(encoder) => encoder.set_target(target)?,
                None => work.encoder = Some(H264Encoder::new(target)?),
            }
            work.target = Some(target);
        }
        let force_key = self.key.swap(false, Ordering::AcqRel) || !work.sent_ok;
        if let Some(encoder) = &mut work.encoder
            && let Some(unit) = encoder.encode(&frame, force_key)?
        {
            self.hand_over(unit, work);
        }
        Ok(())
    }

    fn hand_over(&self, unit: EncodedVideo, work: &mut Work) {
        let Some((member, cid)) = self.control.lock().sending.clone() else {
            work.sent_ok = false;
            return;
        };
        work.sent_ok = match member.send_video(&cid, &unit) {
            Ok(()) => true,
            Err(error) => {
                log::trace!("video frame not sent: {}", error.message);
                false
            }
        };
        if !work.sent_ok {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.counters.frames.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(unit.data.len() as u64, Ordering::Relaxed);
        if !std::mem::replace(&mut work.first_sent, true)
            && let Some(shared) = self.shared.upgrade()
        {
            shared.emit(Event::SendFirstLocalVideoFrame(self.stream));
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
    fn sleep_until(&self, due: Instant) -> bool {
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

fn target(control: &Control) -> EncoderTarget {
    let VideoEncoderParam { width, height, fps, bitrate_kbps, min_bitrate_kbps } = control.param;
    let top = bitrate_kbps * 1000;
    let floor = if min_bitrate_kbps > 0 { min_bitrate_kbps * 1000 } else { top / 3 };
    // In steps of an eighth, so that the encoder is not reconfigured for noise.
    let step = (top / 8).max(1);
    let carried = if control.estimate_bps == 0 { top } else { control.estimate_bps / step * step };
    EncoderTarget { width: width as usize, height: height as usize, bitrate_bps: carried.clamp(floor, top), fps }
}

fn unix_ms() -> u32 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u32)
}
