//! Two clocks: a microphone fills a ring at its own rate, the audio thread reads it at the speaker's. The reader keeps the
//! least that is left over near a margin, by resampling at most 0.1 % faster or slower (1.7 cents: nobody hears it). A ring
//! that ran dry widens the margin; after a stall the old sound is skipped.
use crate::resample::Resampler;
use crate::ring::FrameRing;
use std::collections::VecDeque;
use std::sync::Arc;

/// Samples in 10 ms of 48 kHz stereo.
const BLOCK: usize = 960;
const PPM_MAX: f64 = 1_000.0;
/// Time in which an error of the margin would be gone.
const CORRECT_S: f64 = 2.0;
/// Blocks over which the least that was left over is looked for.
const WINDOW: u32 = 50;
/// What should be left after a block was read, in ms: a block of the microphone may come just too late for a read. Grows by
/// the step when the ring ran dry.
const MARGIN_MS: f64 = 11.0;
const MARGIN_STEP_MS: f64 = 5.0;
const MARGIN_MAX_MS: f64 = 60.0;
/// Blocks without running dry after which the margin shrinks by 1 ms.
const CALM_BLOCKS: u32 = 3_000;
/// More than this over block and margin is old sound, in ms.
const LATE_MS: f64 = 60.0;

/// The reading side of a microphone's ring.
pub struct DriftReader {
    ring: Arc<FrameRing>,
    frames_per_ms: f64,
    resampler: Resampler,
    ready: VecDeque<i16>,
    /// Least left over in this window, in ms, and blocks of it.
    least_ms: f64,
    blocks: u32,
    margin_ms: f64,
    calm: u32,
    flowing: bool,
    skipped: u64,
    dry: u64,
}

impl DriftReader {
    /// Reads `ring`, which a device fills at about `rate_hz`.
    #[must_use]
    pub fn new(ring: Arc<FrameRing>, rate_hz: u32) -> Self {
        Self {
            ring,
            frames_per_ms: f64::from(rate_hz) / 1_000.0,
            resampler: Resampler::adjustable(rate_hz, 48_000, 2),
            ready: VecDeque::with_capacity(4 * BLOCK),
            least_ms: f64::MAX,
            blocks: 0,
            margin_ms: MARGIN_MS,
            calm: 0,
            flowing: false,
            skipped: 0,
            dry: 0,
        }
    }

    /// The next 10 ms at 48 kHz stereo; `false` while none flow (`out` is then untouched).
    pub fn read(&mut self, out: &mut [i16; BLOCK]) -> bool {
        let waiting_ms = self.waiting_ms();
        let wanted_ms = 10.0 + self.margin_ms;
        if !self.flowing && waiting_ms < wanted_ms {
            return false;
        }
        if !self.flowing || waiting_ms > wanted_ms + LATE_MS {
            let excess = ((waiting_ms - wanted_ms) * self.frames_per_ms) as usize;
            self.ring.skip(excess);
            self.skipped += if self.flowing { excess as u64 } else { 0 };
            (self.flowing, self.least_ms, self.blocks) = (true, f64::MAX, 0);
        }
        self.take(out);
        self.steer();
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
        self.ring.len() as f64 / self.frames_per_ms + self.ready.len() as f64 / 96.0
    }

    fn steer(&mut self) {
        self.least_ms = self.least_ms.min(self.waiting_ms());
        self.blocks += 1;
        if self.blocks < WINDOW {
            return;
        }
        let error_s = (self.least_ms - self.margin_ms) / 1_000.0;
        self.resampler.set_ppm((error_s / CORRECT_S * 1e6).clamp(-PPM_MAX, PPM_MAX) as i32);
        (self.least_ms, self.blocks) = (f64::MAX, 0);
    }

    fn take(&mut self, out: &mut [i16; BLOCK]) {
        let mut part = [[0, 0]; 96];
        while self.ready.len() < BLOCK {
            let there = self.ring.pop(&mut part);
            if there == 0 {
                return self.run_dry(out);
            }
            self.resampler.push(part[..there].as_flattened(), &mut self.ready);
        }
        self.ready.drain(..BLOCK).zip(out).for_each(|(sample, out)| *out = sample);
        self.calm += 1;
        if self.calm >= CALM_BLOCKS {
            (self.calm, self.margin_ms) = (0, (self.margin_ms - 1.0).max(MARGIN_MS));
        }
    }

    /// What is there, then silence until the margin is full again.
    fn run_dry(&mut self, out: &mut [i16; BLOCK]) {
        out.fill(0);
        self.ready.drain(..).zip(out).for_each(|(sample, out)| *out = sample);
        self.dry += 1;
        (self.flowing, self.calm) = (false, 0);
        self.margin_ms = (self.margin_ms + MARGIN_STEP_MS).min(MARGIN_MAX_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{longest_gap_ms, tone_hz};
    use std::f64::consts::PI;

    /// A microphone that is `ppm` faster than the reader, in blocks of `frames`, for `seconds`; `stall_s` at second 5.
    fn heard(rate: f64, ppm: f64, frames: usize, seconds: usize, stall_s: f64) -> (DriftReader, Vec<i16>) {
        let ring = Arc::new(FrameRing::new(16_384));
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
                ring.push(&part);
                sent += frames;
            }
            if reader.read(&mut block) {
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
            assert!(reader.waiting_ms() < 35.0, "{rate} {ppm}: {}", reader.waiting_ms());
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
        assert!(reader.waiting_ms() < MARGIN_MAX_MS, "{}", reader.waiting_ms());
    }

    #[test]
    fn large_blocks_widen_the_margin() {
        let (reader, heard) = heard(48_000.0, 50.0, 1_920, 30, 0.0);
        let end = &heard[heard.len() - 480_000..];
        assert!(longest_gap_ms(end, 48_000) < 5 && reader.dry() < 10, "{}", reader.dry());
    }
}
