//! Two clocks: a microphone fills a ring at its own rate, the audio thread reads it at the speaker's. The sound that the
//! microphone has not yet handed over counts as there, so that blocks make no steps, and the reader keeps the level at what one
//! block and its usual lateness need, by resampling at most 0.1 % faster or slower (1.7 cents: nobody hears it). A ring that ran
//! dry raises the level; after a stall the old sound is skipped.
use crate::resample::Resampler;
use crate::ring::FrameRing;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use trtc_types::StereoFrame;

/// Samples in 10 ms of 48 kHz stereo.
const BLOCK: usize = 960;
const PPM_MAX: f64 = 1_000.0;
/// Time in which an error of the level would be gone.
const CORRECT_S: f64 = 2.0;
/// Blocks over which the level is averaged.
const WINDOW: u32 = 50;
/// Kept beyond what was ever needed, in ms.
const SPARE_MS: f64 = 1.5;
/// Added when the ring ran dry.
const LATE_STEP_MS: f64 = 5.0;
const LATE_MAX_MS: f64 = 60.0;
/// Blocks after which the largest block is measured anew and 1 ms of lateness is forgotten (5 s).
const FORGET: u32 = 500;
/// More than this above the level is old sound, in ms.
const STALE_MS: f64 = 60.0;

/// What a microphone's callback and the audio thread share: the sound, and when it came.
pub struct CaptureRing {
    frames: FrameRing,
    /// Time of the last push in microseconds, from any fixed moment.
    pushed_us: AtomicU64,
    /// Most frames that came at once, lately.
    largest: AtomicUsize,
}

impl CaptureRing {
    /// Room for `capacity` frames, rounded up to a power of two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { frames: FrameRing::new(capacity), pushed_us: AtomicU64::new(0), largest: AtomicUsize::new(0) }
    }

    /// Writer: appends what fits. `now` counts from the same moment as the reader's.
    pub fn push(&self, now: Duration, frames: &[StereoFrame]) {
        self.largest.fetch_max(frames.len(), Ordering::Relaxed);
        self.frames.push(frames);
        self.pushed_us.store(now.as_micros() as u64, Ordering::Release);
    }

    /// Frames dropped because the ring was full.
    #[must_use]
    pub fn overrun(&self) -> u64 {
        self.frames.overrun()
    }
}

/// The reading side of a microphone's ring.
pub struct DriftReader {
    ring: Arc<CaptureRing>,
    frames_per_ms: f64,
    resampler: Resampler,
    ready: VecDeque<i16>,
    /// Sum of the levels of this window, in ms, and blocks of it.
    levels_ms: f64,
    blocks: u32,
    /// The microphone's block, and how much later than its length one came when a read wanted it.
    block_ms: f64,
    late_ms: f64,
    age: u32,
    flowing: bool,
    skipped: u64,
    dry: u64,
}

impl DriftReader {
    /// Reads `ring`, which a device fills at about `rate_hz`.
    #[must_use]
    pub fn new(ring: Arc<CaptureRing>, rate_hz: u32) -> Self {
        Self {
            ring,
            frames_per_ms: f64::from(rate_hz) / 1_000.0,
            resampler: Resampler::adjustable(rate_hz, 48_000, 2),
            ready: VecDeque::with_capacity(4 * BLOCK),
            levels_ms: 0.0,
            blocks: 0,
            block_ms: 0.0,
            late_ms: 0.0,
            age: 0,
            flowing: false,
            skipped: 0,
            dry: 0,
        }
    }

    /// The next 10 ms at 48 kHz stereo; `false` while none flow (`out` is then untouched).
    pub fn read(&mut self, now: Duration, out: &mut [i16; BLOCK]) -> bool {
        let since_push_ms = self.since_push_ms(now);
        let largest = self.ring.largest.load(Ordering::Relaxed) as f64 / self.frames_per_ms;
        self.block_ms = self.block_ms.max(largest);
        let wanted_ms = 10.0 + self.wanted_ms();
        let level_ms = self.waiting_ms() + since_push_ms.min(self.block_ms);
        if !self.flowing && level_ms < wanted_ms {
            return false;
        }
        if !self.flowing || level_ms > wanted_ms + STALE_MS {
            let excess = ((level_ms - wanted_ms) * self.frames_per_ms) as usize;
            self.ring.frames.skip(excess);
            self.skipped += if self.flowing { excess as u64 } else { 0 };
            (self.flowing, self.levels_ms, self.blocks) = (true, 0.0, 0);
        }
        self.late_ms = self.late_ms.max(since_push_ms - self.block_ms).min(LATE_MAX_MS);
        self.take(out);
        self.steer(since_push_ms);
        true
    }

    /// Frames of the device that were skipped after a stall.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How often the microphone did not deliver in time.
    #[must_use]
    pub fn dry(&self) -> u64 {
        self.dry
    }

    /// Sound that waits, what is already converted included.
    fn waiting_ms(&self) -> f64 {
        self.ring.frames.len() as f64 / self.frames_per_ms + self.ready.len() as f64 / 96.0
    }

    /// Sound that the microphone has and we have not.
    fn since_push_ms(&self, now: Duration) -> f64 {
        let pushed = Duration::from_micros(self.ring.pushed_us.load(Ordering::Acquire));
        now.saturating_sub(pushed).as_secs_f64() * 1_000.0
    }

    /// The level after a read: enough when a block comes as late as ever.
    fn wanted_ms(&self) -> f64 {
        self.block_ms + self.late_ms + SPARE_MS
    }

    fn steer(&mut self, since_push_ms: f64) {
        self.levels_ms += self.waiting_ms() + since_push_ms.min(self.block_ms + self.late_ms);
        self.blocks += 1;
        if self.blocks < WINDOW {
            return;
        }
        let error_s = (self.levels_ms / f64::from(WINDOW) - self.wanted_ms()) / 1_000.0;
        self.resampler.set_ppm((error_s / CORRECT_S * 1e6).clamp(-PPM_MAX, PPM_MAX) as i32);
        (self.levels_ms, self.blocks) = (0.0, 0);
    }

    fn take(&mut self, out: &mut [i16; BLOCK]) {
        let mut part = [[0, 0]; 96];
        while self.ready.len() < BLOCK {
            let there = self.ring.frames.pop(&mut part);
            if there == 0 {
                return self.run_dry(out);
            }
            self.resampler.push(part[..there].as_flattened(), &mut self.ready);
        }
        self.ready.drain(..BLOCK).zip(out).for_each(|(sample, out)| *out = sample);
        self.age += 1;
        if self.age >= FORGET {
            (self.age, self.late_ms) = (0, (self.late_ms - 1.0).max(0.0));
            self.block_ms = self.ring.largest.swap(0, Ordering::Relaxed) as f64 / self.frames_per_ms;
        }
    }

    /// What is there, then silence until the level is reached again.
    fn run_dry(&mut self, out: &mut [i16; BLOCK]) {
        out.fill(0);
        self.ready.drain(..).zip(out).for_each(|(sample, out)| *out = sample);
        self.dry += 1;
        (self.flowing, self.age) = (false, 0);
        self.late_ms = (self.late_ms + LATE_STEP_MS).min(LATE_MAX_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{longest_gap_ms, tone_hz};
    use std::f64::consts::PI;

    /// A microphone that is `ppm` faster than the reader, in blocks of `frames`, for `seconds`; `stall_s` at second 5.
    fn heard(rate: f64, ppm: f64, frames: usize, seconds: usize, stall_s: f64) -> (DriftReader, Vec<i16>) {
        let ring = Arc::new(CaptureRing::new(16_384));
        let mut reader = DriftReader::new(ring.clone(), rate as u32);
        let (mut sent, mut heard, mut block) = (0usize, Vec::new(), [0; BLOCK]);
        for tick in 0..seconds * 100 {
            let now = tick as f64 / 100.0;
            let due = now * rate * (1.0 + ppm / 1e6);
            let stalled = (5.0..5.0 + stall_s).contains(&now);
            while !stalled && (sent + frames) as f64 <= due {
                let part: Vec<_> = (sent..sent + frames)
                    .map(|i| [(12_000.0 * (2.0 * PI * 997.0 * i as f64 / (rate * (1.0 + ppm / 1e6))).sin()) as i16; 2])
                    .collect();
                sent += frames;
                ring.push(Duration::from_secs_f64(sent as f64 / rate / (1.0 + ppm / 1e6)), &part);
            }
            if reader.read(Duration::from_secs_f64(now), &mut block) {
                heard.extend(block.iter().step_by(2));
            }
        }
        (reader, heard)
    }

    #[test]
    fn clocks_that_differ_never_run_dry_nor_late() {
        for (rate, ppm, frames) in [
            (48_000.0, 0.0, 480),
            (48_000.0, 300.0, 250),
            (48_000.0, -300.0, 480),
            (44_100.0, 100.0, 441),
            (16_000.0, -200.0, 160),
        ] {
            let (reader, heard) = heard(rate, ppm, frames, 60, 0.0);
            assert!(reader.dry() <= 3 && reader.skipped() == 0, "{rate} {ppm}: {} {}", reader.dry(), reader.skipped());
            assert!(reader.waiting_ms() < 16.0, "{rate} {ppm}: {}", reader.waiting_ms());
            // The margin is found in the first seconds; after that nothing is missing.
            let end = &heard[480_000..];
            let hz = tone_hz(end, 48_000).expect("a tone");
            assert!((hz - 997.0).abs() < 1.0, "{rate} {ppm}: {hz}");
            assert!(longest_gap_ms(end, 48_000) < 5, "{rate} {ppm}");
        }
    }

    #[test]
    fn after_a_stall_the_old_sound_is_skipped() {
        let (reader, _) = heard(48_000.0, 0.0, 480, 20, 0.25);
        assert!(reader.dry() >= 1);
        assert!(reader.waiting_ms() < LATE_MAX_MS, "{}", reader.waiting_ms());
    }

    #[test]
    fn large_blocks_widen_the_margin() {
        let (reader, heard) = heard(48_000.0, 50.0, 1_920, 30, 0.0);
        let end = &heard[heard.len() - 480_000..];
        assert!(longest_gap_ms(end, 48_000) < 5 && reader.dry() < 10, "{}", reader.dry());
    }
}
