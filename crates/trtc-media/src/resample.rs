//! Sample rate conversion by a windowed sinc, for hosts, files and devices that do not run at 48 kHz.
use std::collections::VecDeque;
use std::f64::consts::PI;

const TAPS: usize = 32;
const PHASES: usize = 256;
const MILLION: u64 = 1_000_000;

/// Converts interleaved samples. Equal fixed rates pass through.
pub struct Resampler {
    from_hz: u64,
    /// Input and output rate, in the same unit.
    from: u64,
    to: u64,
    channels: usize,
    /// Equal rates pass through unfiltered.
    fixed: bool,
    table: Vec<f32>,
    history: Vec<i16>,
    /// Position of the next output in the history, in units of 1/`to` input samples.
    position: u64,
}

impl Resampler {
    /// Between two fixed rates in Hz.
    #[must_use]
    pub fn new(from_hz: u32, to_hz: u32, channels: u16) -> Self {
        let channels = usize::from(channels.max(1));
        let cutoff = (f64::from(to_hz) / f64::from(from_hz)).min(1.0) * 0.95;
        let mut table = Vec::with_capacity((PHASES + 1) * TAPS);
        for phase in 0..=PHASES {
            let shift = phase as f64 / PHASES as f64;
            let row: Vec<f64> = (0..TAPS)
                .map(|tap| {
                    let x = tap as f64 - (TAPS / 2 - 1) as f64 - shift;
                    let sinc = if x.abs() < 1e-9 { cutoff } else { (PI * x * cutoff).sin() / (PI * x) };
                    let window = 0.5 + 0.5 * (PI * x / (TAPS as f64 / 2.0)).cos();
                    if x.abs() < TAPS as f64 / 2.0 { sinc * window } else { 0.0 }
                })
                .collect();
            let sum: f64 = row.iter().sum();
            table.extend(row.iter().map(|v| (v / sum) as f32));
        }
        Self {
            from_hz: u64::from(from_hz),
            from: u64::from(from_hz),
            to: u64::from(to_hz),
            channels,
            fixed: true,
            table,
            history: vec![0; (TAPS / 2 - 1) * channels],
            position: 0,
        }
    }

    /// Between two rates of which the first is only nearly known: see [`Resampler::set_ppm`].
    #[must_use]
    pub fn adjustable(from_hz: u32, to_hz: u32, channels: u16) -> Self {
        let fixed = Self::new(from_hz, to_hz, channels);
        Self { from: fixed.from * MILLION, to: fixed.to * MILLION, fixed: false, ..fixed }
    }

    /// Says by how many millionths the input is faster than its nominal rate; for an adjustable one.
    pub fn set_ppm(&mut self, ppm: i32) {
        if !self.fixed {
            let step = self.from_hz as i64 * i64::from(ppm.clamp(-100_000, 100_000));
            self.from = (self.from_hz * MILLION).saturating_add_signed(step);
        }
    }

    /// Converts what can be converted; the rest waits for the next call.
    pub fn push(&mut self, samples: &[i16], out: &mut VecDeque<i16>) {
        if self.fixed && self.from == self.to {
            out.extend(samples);
            return;
        }
        self.history.extend_from_slice(samples);
        let frames = self.history.len() / self.channels;
        loop {
            let start = (self.position / self.to) as usize;
            if start + TAPS > frames {
                break;
            }
            let phase = ((self.position % self.to) * PHASES as u64 / self.to) as usize;
            let row = &self.table[phase * TAPS..(phase + 1) * TAPS];
            for channel in 0..self.channels {
                let sum: f32 = row
                    .iter()
                    .enumerate()
                    .map(|(tap, weight)| weight * f32::from(self.history[(start + tap) * self.channels + channel]))
                    .sum();
                out.push_back(sum.round().clamp(-32_768.0, 32_767.0) as i16);
            }
            self.position += self.from;
        }
        let used = ((self.position / self.to) as usize).min(frames);
        self.history.drain(..used * self.channels);
        self.position -= used as u64 * self.to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::tone_hz;

    #[test]
    fn a_tone_keeps_its_pitch_and_level() {
        for (from, to) in [(16_000, 48_000), (44_100, 48_000), (48_000, 16_000), (48_000, 44_100)] {
            let input: Vec<i16> = (0..from)
                .map(|i| (10_000.0 * (2.0 * PI * 440.0 * f64::from(i) / f64::from(from)).sin()) as i16)
                .collect();
            let mut out = VecDeque::new();
            let mut resampler = Resampler::new(from, to, 1);
            for part in input.chunks(441) {
                resampler.push(part, &mut out);
            }
            let out: Vec<i16> = out.into_iter().collect();
            assert!(out.len().abs_diff(to as usize) < 120, "{from}->{to}: {}", out.len());
            let hz = tone_hz(&out[1000..], to).expect("a tone");
            assert!((hz - 440.0).abs() < 1.0, "{from}->{to}: {hz}");
            let peak = out[1000..].iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
            assert!((9_500..10_500).contains(&peak), "{from}->{to}: peak {peak}");
        }
    }
}
