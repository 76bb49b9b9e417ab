//! The audio thread's side of an open speaker: a ring that the device empties and the thread keeps filled.
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};
use trtc_media::{FrameRing, Resampler};
use trtc_types::{PlayoutSource, StereoFrame};

/// A device that has asked for nothing for so long is no clock.
const SILENT: Duration = Duration::from_millis(100);
/// Silence in a fresh ring, in frames: devices fill their own buffer first, and that must not make time run ahead.
const PREFILL: usize = 1_920;
const CAPACITY: usize = 16_384;
/// Blocks after which the size of the device's requests is measured anew (5 s).
const WINDOW: u32 = 500;
const MARGIN_MAX: usize = 3;

/// What the device's callback and the audio thread share.
pub(crate) struct SpeakerLine {
    ring: FrameRing,
    /// Largest request in this window, in frames.
    asked: AtomicUsize,
    /// Who fills the ring.
    filler: OnceLock<Thread>,
}

impl SpeakerLine {
    pub(crate) fn new() -> Arc<Self> {
        let ring = FrameRing::new(CAPACITY);
        ring.push(&[[0, 0]; PREFILL]);
        Arc::new(Self { ring, asked: AtomicUsize::new(0), filler: OnceLock::new() })
    }

    /// Frames of silence that were played for want of sound.
    pub(crate) fn underrun(&self) -> u64 {
        self.ring.underrun()
    }
}

/// Given to the device.
pub(crate) struct SpeakerSource(pub(crate) Arc<SpeakerLine>);

impl PlayoutSource for SpeakerSource {
    fn play(&mut self, frames: &mut [StereoFrame]) {
        self.0.ring.pop_or_silence(frames);
        self.0.asked.fetch_max(frames.len(), Ordering::Relaxed);
        if let Some(filler) = self.0.filler.get() {
            filler.unpark();
        }
    }
}

/// The open speaker, where the audio thread finds it.
static OPEN: Mutex<Option<(Arc<SpeakerLine>, u32)>> = Mutex::new(None);

pub(crate) fn set_open(line: Arc<SpeakerLine>, rate_hz: u32) {
    *OPEN.lock() = Some((line, rate_hz));
}

/// Forgets a line, unless another one took its place.
pub(crate) fn set_closed(line: &Arc<SpeakerLine>) {
    OPEN.lock().take_if(|(open, _)| Arc::ptr_eq(open, line));
}

/// The audio thread's view of the open speaker.
#[derive(Default)]
pub(crate) struct Filler {
    playing: Option<Playing>,
}

struct Playing {
    line: Arc<SpeakerLine>,
    resampler: Option<Resampler>,
    converted: VecDeque<i16>,
    /// 10 ms of the device.
    block: usize,
    /// What the device had taken when last looked at, and when that changed; `None` before its first request.
    taken: usize,
    taken_at: Option<Instant>,
    /// Largest request of the last window.
    asked: usize,
    blocks: u32,
    /// Blocks kept beyond a request, since the thread was late for one.
    margin: usize,
    underrun: u64,
}

impl Filler {
    /// Looks at the speaker; `true` when one plays now and is the clock.
    pub(crate) fn is_clock(&mut self, now: Instant) -> bool {
        self.refresh();
        self.playing.as_mut().is_some_and(|p| p.is_live(now))
    }

    /// The device will want the next 10 ms soon.
    pub(crate) fn wants_block(&self) -> bool {
        self.playing.as_ref().is_some_and(|p| p.line.ring.len() < p.wanted())
    }

    /// 10 ms of 48 kHz stereo for a device that plays.
    pub(crate) fn fill(&mut self, block: &[i16]) {
        if let Some(playing) = self.playing.as_mut().filter(|p| p.taken_at.is_some()) {
            playing.fill(block);
        }
    }

    fn refresh(&mut self) {
        let open = OPEN.lock();
        let same = match (&*open, &self.playing) {
            (Some((line, _)), Some(playing)) => Arc::ptr_eq(line, &playing.line),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        self.playing = open.as_ref().map(|(line, rate)| {
            let _ = line.filler.set(std::thread::current());
            Playing {
                line: line.clone(),
                resampler: (*rate != 48_000).then(|| Resampler::new(48_000, *rate, 2)),
                converted: VecDeque::new(),
                block: *rate as usize / 100,
                taken: 0,
                taken_at: None,
                asked: 0,
                blocks: 0,
                margin: 0,
                underrun: 0,
            }
        });
    }
}

impl Playing {
    fn is_live(&mut self, now: Instant) -> bool {
        let taken = self.line.ring.taken() + self.line.ring.underrun() as usize;
        if taken != self.taken {
            (self.taken, self.taken_at) = (taken, Some(now));
        }
        if self.taken_at.is_some_and(|at| now.saturating_duration_since(at) > SILENT) {
            self.taken_at = None;
        }
        self.taken_at.is_some()
    }

    /// The next request; the thread has until then. When it was late, 10 ms more (three times at most).
    fn wanted(&self) -> usize {
        let asked = self.asked.max(self.line.asked.load(Ordering::Relaxed)).min(CAPACITY / 2);
        asked + self.margin * self.block
    }

    fn fill(&mut self, block: &[i16]) {
        self.blocks += 1;
        if self.blocks >= WINDOW {
            (self.blocks, self.asked) = (0, self.line.asked.swap(0, Ordering::Relaxed));
            self.margin = self.margin.saturating_sub(1);
        }
        let underrun = self.line.underrun();
        if underrun > self.underrun {
            (self.blocks, self.margin) = (0, (self.margin + 1).min(MARGIN_MAX));
        }
        self.underrun = underrun;
        match &mut self.resampler {
            None => self.line.ring.push(block.as_chunks().0),
            Some(resampler) => {
                resampler.push(block, &mut self.converted);
                self.converted.make_contiguous();
                self.line.ring.push(self.converted.as_slices().0.as_chunks().0);
                self.converted.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speaker_is_the_clock_while_it_asks() {
        let line = SpeakerLine::new();
        set_open(line.clone(), 48_000);
        let (mut filler, start) = (Filler::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!filler.is_clock(at(0)), "it has not asked yet");
        let mut source = SpeakerSource(line.clone());
        let mut heard = Vec::new();
        for i in 1..=200u64 {
            let mut frames = [[0, 0]; 480];
            source.play(&mut frames);
            heard.extend(frames);
            assert!(filler.is_clock(at(i * 10)));
            while filler.wants_block() {
                filler.fill(&[i as i16; 960]);
            }
            assert!(line.ring.len() <= PREFILL, "no more waits than needed");
        }
        assert_eq!(line.underrun(), 0);
        assert!(heard[..PREFILL].iter().all(|f| *f == [0, 0]) && heard[PREFILL..].iter().all(|f| *f != [0, 0]));
        assert!(filler.is_clock(at(2_090)) && !filler.is_clock(at(2_120)), "a device that stopped is no clock");
        set_closed(&line);
        assert!(!filler.is_clock(at(2_130)));
    }
}
