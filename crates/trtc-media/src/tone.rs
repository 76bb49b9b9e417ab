//! A test tone with a mark at each full second, and the meters that read it back.
use std::f64::consts::TAU;

/// Sample rate of the generated sound.
pub const RATE_HZ: u32 = 48_000;
/// Length of a mark: a sweep from 3 kHz to 6 kHz.
pub const MARK_SAMPLES: usize = 960;

const TONE_LEVEL: f64 = 10_000.0;
const MARK_LEVEL: f64 = 6_000.0;
const MARK_FROM_HZ: f64 = 3_000.0;
const MARK_TO_HZ: f64 = 6_000.0;

/// A steady sine with a short chirp added at each full second. Keep the tone below 2 kHz, away from the chirp.
#[derive(Clone, Copy, Debug)]
pub struct Tone {
    /// Frequency of the sine.
    pub hz: f64,
}

impl Tone {
    /// A tone of `hz`.
    #[must_use]
    pub fn new(hz: f64) -> Self {
        Self { hz }
    }

    /// Fills `out` (interleaved, `channels` alike) with the sound from sample `sample_index` on; any order of calls will do.
    pub fn fill(&mut self, sample_index: u64, out: &mut [i16], channels: u16) {
        for (i, frame) in out.chunks_mut(usize::from(channels.max(1))).enumerate() {
            frame.fill(self.sample(sample_index + i as u64));
        }
    }

    fn sample(&self, index: u64) -> i16 {
        let rate = f64::from(RATE_HZ);
        // Whole seconds are cut off before the product, so that the phase stays exact for days of sound.
        let (seconds, within) = (index / u64::from(RATE_HZ), index % u64::from(RATE_HZ));
        let cycles = (self.hz * seconds as f64).fract() + self.hz * within as f64 / rate;
        let mut value = TONE_LEVEL * (TAU * cycles).sin();
        if let Some(mark) = mark_shape(within as usize) {
            value += MARK_LEVEL * mark;
        }
        value as i16
    }
}

fn mark_shape(at: usize) -> Option<f64> {
    (at < MARK_SAMPLES).then(|| {
        let (t, length) = (at as f64 / f64::from(RATE_HZ), MARK_SAMPLES as f64 / f64::from(RATE_HZ));
        let cycles = MARK_FROM_HZ * t + (MARK_TO_HZ - MARK_FROM_HZ) * t * t / (2.0 * length);
        (TAU * cycles).sin() * (TAU / 2.0 * t / length).sin()
    })
}

/// The frequency of a steady tone in mono samples: the median of up to 12 sections of 100 ms. `None` for less than 50 ms, for
/// silence, or when most sections hold no clear tone.
#[must_use]
pub fn tone_hz(samples: &[i16], rate: u32) -> Option<f64> {
    let length = (rate as usize / 10).min(samples.len());
    if rate < 4_000 || length < rate as usize / 20 {
        return None;
    }
    let sections = (samples.len() / length).min(12);
    let spacing = (samples.len() - length) / sections.max(2).saturating_sub(1);
    let mut found: Vec<f64> =
        (0..sections).filter_map(|i| section_hz(&samples[i * spacing..i * spacing + length], rate)).collect();
    if found.len() * 2 < sections {
        return None;
    }
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).copied()
}

fn section_hz(samples: &[i16], rate: u32) -> Option<f64> {
    // Averaging down to about 12 kHz keeps 50..=3000 Hz and costs a quarter.
    let step = (rate as usize / 12_000).max(1);
    let rate = f64::from(rate) / step as f64;
    let low: Vec<f64> =
        samples.chunks_exact(step).map(|c| c.iter().map(|s| f64::from(*s)).sum::<f64>() / step as f64).collect();
    let n = low.len() as f64;
    let energy: f64 = low.iter().map(|s| s * s).sum::<f64>() / n;
    if energy < 50.0 * 50.0 {
        return None;
    }
    let windowed: Vec<f64> =
        low.iter().enumerate().map(|(i, s)| s * (0.5 - 0.5 * (TAU * (i as f64 + 0.5) / n).cos())).collect();
    let top = (rate / 2.0).min(3_000.0);
    let mut best = (0.0, 0.0);
    for i in 0..((top - 50.0) / 5.0) as usize {
        let hz = 50.0 + 5.0 * i as f64;
        let power = goertzel(&windowed, hz, rate);
        if power > best.1 {
            best = (hz, power);
        }
    }
    // A pure sine puts n^2 / 8 of its energy into the peak of a Hann window.
    if best.1 < 0.4 * energy * n * n / 8.0 {
        return None;
    }
    let mut hz = best.0;
    for step in [2.0, 0.5, 0.1] {
        // Parabola through the logarithms of three neighbours.
        let [a, b, c] = [hz - step, hz, hz + step].map(|f| goertzel(&windowed, f, rate).max(1e-9).ln());
        let curve = a - 2.0 * b + c;
        if curve < 0.0 {
            hz += (step * 0.5 * (a - c) / curve).clamp(-5.0, 5.0);
        }
    }
    Some(hz)
}

/// Power of one frequency.
fn goertzel(samples: &[f64], hz: f64, rate: f64) -> f64 {
    let k = 2.0 * (TAU * hz / rate).cos();
    let (mut s1, mut s2) = (0.0, 0.0);
    for s in samples {
        (s1, s2) = (s + k * s1 - s2, s1);
    }
    s1 * s1 + s2 * s2 - k * s1 * s2
}

/// The longest run of near silence in mono samples, in milliseconds (steps of 5): below a tenth of the usual level.
/// Everything counts as silence when the usual level is below -54 dBFS.
#[must_use]
pub fn longest_gap_ms(samples: &[i16], rate: u32) -> u32 {
    let window = (rate as usize / 200).max(1);
    let levels: Vec<u32> = samples
        .chunks_exact(window)
        .map(|w| w.iter().map(|s| u32::from(s.unsigned_abs())).max().unwrap_or(0))
        .collect();
    let mut sorted = levels.clone();
    sorted.sort_unstable();
    // The 75th percentile: a recording that is half silent still has its sound's level.
    let usual = sorted.get(sorted.len() * 3 / 4).copied().unwrap_or(0);
    if usual < 64 {
        return levels.len() as u32 * 5;
    }
    let (mut longest, mut run) = (0, 0);
    for level in levels {
        run = if level * 10 < usual { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest * 5
}

/// Sample indexes at which the marks of [`Tone`] begin in mono samples of 48 kHz, within about a millisecond.
#[must_use]
pub fn marks(samples: &[i16]) -> Vec<usize> {
    const STEP: usize = 8;
    let shape: Vec<f64> = (0..MARK_SAMPLES).filter_map(mark_shape).collect();
    let norm: f64 = shape.iter().map(|s| s * s).sum();
    // Matched filter; the tone's share of it is small, because it is far from the sweep.
    let score = |at: usize| -> f64 {
        let sum: f64 = shape.iter().zip(&samples[at..]).map(|(m, s)| m * f64::from(*s)).sum();
        sum / norm
    };
    let threshold = MARK_LEVEL * 0.35;
    let mut found: Vec<usize> = Vec::new();
    let mut best: Option<(usize, f64)> = None;
    let last = samples.len().saturating_sub(MARK_SAMPLES);
    for at in (0..last).step_by(STEP) {
        let value = score(at).abs();
        if value > threshold && best.is_none_or(|(_, b)| value > b) {
            best = Some((at, value));
        }
        // Half a mark after the peak nothing better can come from the same mark.
        if let Some((peak, _)) = best.filter(|(peak, _)| at > peak + MARK_SAMPLES / 2) {
            found.push(peak);
            best = None;
        }
    }
    found.extend(best.map(|(peak, _)| peak));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, samples: usize) -> Vec<i16> {
        let mut out = vec![0; samples];
        Tone::new(hz).fill(0, &mut out, 1);
        out
    }

    #[test]
    fn meter_finds_the_tone() {
        for hz in [100.0, 440.0, 441.5, 997.0, 1000.0, 1873.3] {
            let found = tone_hz(&tone(hz, 96_000), 48_000).unwrap();
            assert!((found - hz).abs() < 0.5, "{hz} read as {found}");
        }
        let short: Vec<i16> = tone(997.0, 9_600).iter().step_by(3).copied().collect();
        assert!((tone_hz(&short, 16_000).unwrap() - 997.0).abs() < 1.0);
        assert_eq!(tone_hz(&[0; 48_000], 48_000), None);
        assert_eq!(tone_hz(&[], 48_000), None);
        let mut seed = 1u32;
        let noise: Vec<i16> = (0..48_000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) as i16 / 4
            })
            .collect();
        assert_eq!(tone_hz(&noise, 48_000), None);
    }

    #[test]
    fn any_order_gives_the_same_sound() {
        let whole = tone(440.0, 60_000);
        let mut part = vec![0; 2_000];
        Tone::new(440.0).fill(47_500, &mut part, 2);
        assert!(part.chunks(2).zip(&whole[47_500..]).all(|(f, w)| f[0] == *w && f[1] == *w));
    }

    #[test]
    fn gaps_are_measured() {
        let mut sound = tone(440.0, 96_000);
        assert_eq!(longest_gap_ms(&sound, 48_000), 0);
        sound[24_000..24_000 + 4_800].fill(0);
        assert!((90..=105).contains(&longest_gap_ms(&sound, 48_000)));
        assert_eq!(longest_gap_ms(&[0; 48_000], 48_000), 1_000);
    }

    #[test]
    fn marks_are_found() {
        let found = marks(&tone(440.0, 120_000)[4_000..]);
        assert_eq!(found.len(), 2, "{found:?}");
        for (found, expected) in found.iter().zip([44_000, 92_000]) {
            assert!(found.abs_diff(expected) < 48, "{found} {expected}");
        }
    }
}
