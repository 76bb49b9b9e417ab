//! One watched remote stream: a decode thread, and a render thread that releases pictures at their time.
use super::cell::Cell;
use crate::events::Event;
use crate::params::RenderFrame;
use crate::shared::{Shared, media_time};
use crate::threads;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trtc_codec::H264Decoder;
use trtc_media::video_playout::VideoPlayout;
use trtc_member::ReceivedVideo;
use trtc_types::{Code, EncodedVideo, StreamType, UserId, VideoDecoder, VideoFrame};

/// Encoded frames that may wait for the decoder; beyond it everything up to the next key frame is dropped.
const INBOX_CAP: usize = 60;
/// Decoded pictures that may wait for their time.
const READY_CAP: usize = 24;
/// A pause between two shown pictures above this counts as a freeze.
const FREEZE: Duration = Duration::from_millis(500);

pub(crate) struct VideoIn {
    pub(crate) user: UserId,
    stream: StreamType,
    /// The host chose the small stream in place of the main one.
    small: AtomicBool,
    pub(crate) sid: String,
    cell: Arc<Cell>,
    shared: Weak<Shared>,
    inbox: Mutex<Inbox>,
    inbox_wake: Condvar,
    ready: Mutex<Ready>,
    ready_wake: Condvar,
    /// The host froze the stream.
    frozen: AtomicBool,
    /// The next pause between two pictures was wished for, and is no freeze.
    pause_expected: AtomicBool,
    pub(crate) counters: Counters,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) decoded: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) blocked_ms: AtomicU64,
    pub(crate) width: AtomicU32,
    pub(crate) height: AtomicU32,
    pub(crate) delay_ms: AtomicU32,
}

struct Inbox {
    queue: VecDeque<ReceivedVideo>,
    need_key: bool,
    stop: bool,
}

#[derive(Default)]
struct Ready {
    due: VecDeque<(Instant, VideoFrame)>,
    stop: bool,
}

impl VideoIn {
    /// Starts the two threads.
    pub(crate) fn start(
        shared: Weak<Shared>,
        user: UserId,
        stream: StreamType,
        sid: String,
        cell: Arc<Cell>,
        frozen: bool,
    ) -> std::io::Result<(Arc<Self>, Vec<JoinHandle<()>>)> {
        let input = Arc::new(Self {
            user,
            stream,
            small: AtomicBool::new(false),
            sid,
            cell,
            shared: shared.clone(),
            inbox: Mutex::new(Inbox { queue: VecDeque::new(), need_key: true, stop: false }),
            inbox_wake: Condvar::new(),
            ready: Mutex::default(),
            ready_wake: Condvar::new(),
            frozen: AtomicBool::new(frozen),
            pause_expected: AtomicBool::new(false),
            counters: Counters::default(),
        });
        let panicked = move || {
            if let Some(shared) = shared.upgrade() {
                shared.fail(Code::INTERNAL, "a video thread panicked");
            }
        };
        let (decoding, rendering) = (input.clone(), input.clone());
        let decode = threads::spawn("trtc-vdec", move || decoding.decode_all(), panicked.clone())?;
        match threads::spawn("trtc-render", move || rendering.render_all(), panicked) {
            Ok(render) => Ok((input, vec![decode, render])),
            Err(error) => {
                input.stop();
                threads::finish(decode, true);
                Err(error)
            }
        }
    }

    /// Takes an access unit from the network; never blocks.
    pub(crate) fn push(&self, frame: ReceivedVideo) {
        let mut inbox = self.inbox.lock();
        if inbox.queue.len() >= INBOX_CAP {
            self.counters.dropped.fetch_add(inbox.queue.len() as u64, Ordering::Relaxed);
            inbox.queue.clear();
            inbox.need_key = true;
        }
        inbox.queue.push_back(frame);
        drop(inbox);
        self.inbox_wake.notify_one();
    }

    /// Shows no further picture, or does so again; `false` when nothing changes.
    pub(crate) fn freeze(&self, frozen: bool) -> bool {
        self.expect_pause();
        self.frozen.swap(frozen, Ordering::Relaxed) != frozen
    }

    /// The small stream is shown in place of the main one, or no longer. Another size is told when it comes.
    pub(crate) fn set_small(&self, small: bool) {
        self.small.store(small, Ordering::Relaxed);
    }

    /// Which stream the host chose.
    pub(crate) fn stream(&self) -> StreamType {
        if self.small.load(Ordering::Relaxed) { StreamType::Small } else { self.stream }
    }

    /// The stream pauses because the host or its owner says so.
    pub(crate) fn expect_pause(&self) {
        self.pause_expected.store(true, Ordering::Relaxed);
    }

    /// Ends both threads, without waiting.
    pub(crate) fn stop(&self) {
        self.inbox.lock().stop = true;
        self.inbox_wake.notify_all();
        self.ready.lock().stop = true;
        self.ready_wake.notify_all();
    }

    fn decode_all(&self) {
        let mut decoder = match H264Decoder::new() {
            Ok(decoder) => decoder,
            Err(error) => {
                if let Some(shared) = self.shared.upgrade() {
                    shared.warn(Code::WARN_VIDEO_FRAME_DECODE_FAIL, error.message);
                }
                return;
            }
        };
        let mut playout = VideoPlayout::new();
        self.ask_key_frame();
        while let Some((frame, need_key)) = self.next_frame() {
            if need_key && !frame.key {
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                self.ask_key_frame();
                continue;
            }
            let due = playout.insert(frame.received, frame.rtp_time, self.sound_of(&frame));
            self.counters.delay_ms.store(playout.delay().as_millis() as u32, Ordering::Relaxed);
            let unit = EncodedVideo { data: frame.data, key: frame.key, time: media_time(due) };
            match decoder.decode(&unit) {
                Ok(Some(picture)) => self.decoded(due, VideoFrame { time: media_time(due), ..picture }),
                Ok(None) => {}
                Err(error) => {
                    log::debug!("video of {} needs a key frame: {}", self.sid, error.message);
                    self.inbox.lock().need_key = true;
                    self.ask_key_frame();
                }
            }
        }
    }

    /// When the sound of the moment that a frame shows is played, where the reports of both tell.
    fn sound_of(&self, frame: &ReceivedVideo) -> Option<Instant> {
        let shared = self.shared.upgrade()?;
        shared.playout.plays_at(&self.user, self.stream, frame.captured?, frame.received)
    }

    fn next_frame(&self) -> Option<(ReceivedVideo, bool)> {
        let mut inbox = self.inbox.lock();
        loop {
            if inbox.stop {
                return None;
            }
            if let Some(frame) = inbox.queue.pop_front() {
                let need_key = inbox.need_key;
                if frame.key {
                    inbox.need_key = false;
                }
                return Some((frame, need_key));
            }
            self.inbox_wake.wait(&mut inbox);
        }
    }

    fn ask_key_frame(&self) {
        if let Some(shared) = self.shared.upgrade() {
            let member = { shared.state.lock().member.clone() };
            if let Some(member) = member {
                member.request_key_frame(&self.sid);
            }
        }
    }

    fn decoded(&self, due: Instant, frame: VideoFrame) {
        let (width, height) = (frame.picture.width() as u32, frame.picture.height() as u32);
        let first = self.counters.decoded.fetch_add(1, Ordering::Relaxed) == 0;
        let old_width = self.counters.width.swap(width, Ordering::Relaxed);
        let old_height = self.counters.height.swap(height, Ordering::Relaxed);
        if (old_width, old_height) != (width, height)
            && let Some(shared) = self.shared.upgrade()
        {
            let (user, stream) = (self.user.clone(), self.stream());
            shared.emit(Event::UserVideoSizeChanged { user, stream, width, height });
        }
        if first && let Some(shared) = self.shared.upgrade() {
            let (user, stream) = (Some(self.user.clone()), self.stream());
            shared.emit(Event::FirstVideoFrame { user, stream, width, height });
        }
        let mut ready = self.ready.lock();
        if ready.due.len() >= READY_CAP
            && let Some((due, oldest)) = ready.due.pop_front()
        {
            let now = Instant::now();
            if due > now {
                // Too many wait for their time: early is better than never.
                ready.due.push_front((now, oldest));
            } else {
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        ready.due.push_back((due, frame));
        drop(ready);
        self.ready_wake.notify_one();
    }

    fn render_all(&self) {
        let mut shown_at: Option<Instant> = None;
        while let Some(frame) = self.next_due() {
            let now = Instant::now();
            if self.frozen.load(Ordering::Relaxed) {
                continue;
            }
            let expected = self.pause_expected.swap(false, Ordering::Relaxed);
            if let Some(pause) = shown_at.replace(now).map(|before| now - before)
                && pause > FREEZE
                && !expected
            {
                self.counters.blocked_ms.fetch_add(pause.as_millis() as u64, Ordering::Relaxed);
            }
            let Some(gate) = self.shared.upgrade().map(|s| s.gate.clone()) else { return };
            self.cell.show(&gate, RenderFrame { user: Some(self.user.clone()), stream: self.stream(), frame });
        }
    }

    /// Waits for the next picture's time. A host that is late gets the newest due picture, not the backlog.
    fn next_due(&self) -> Option<VideoFrame> {
        let mut ready = self.ready.lock();
        loop {
            if ready.stop {
                return None;
            }
            let now = Instant::now();
            match ready.due.front().map(|(due, _)| *due) {
                None => self.ready_wake.wait(&mut ready),
                Some(due) if due > now => {
                    self.ready_wake.wait_until(&mut ready, due);
                }
                Some(_) => {
                    // Several due pictures mean that the callback is slower than the stream.
                    let late = ready.due.iter().take_while(|(due, _)| *due <= now).count();
                    if late > 3 {
                        self.counters.dropped.fetch_add(late as u64 - 1, Ordering::Relaxed);
                        ready.due.drain(..late - 1);
                    }
                    return ready.due.pop_front().map(|(_, frame)| frame);
                }
            }
        }
    }
}
