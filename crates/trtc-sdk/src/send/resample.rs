//! Sample rate conversion by a windowed sinc, for hosts and files that do not run at 48 kHz.
use std::collections::VecDeque;
use std::f64::consts::PI;

const TAPS: usize = 32;
const PHASES: usize = 256;

/// Converts interleaved samples. Equal rates pass through.
pub(crate) struct Resampler {
    from: u64,
    to: u64,
    channels: usize,
    table: Vec<f32>,
    history: Vec<i16>,
    /// Position of the next output in the history, in units of 1/`to` input samples.
    position: u64,
}

impl Resampler {
    pub(crate) fn new(from_hz: u32, to_hz: u32, channels: u16) -> Self {
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
            from: u64::from(from_hz),
            to: u64::from(to_hz),
            channels,
            table,
            history: vec![0; (TAPS / 2 - 1) * channels],
            position: 0,
        }
    }

    /// Converts what can be converted; the rest waits for the next call.
    pub(crate) fn push(&mut self, samples: &[i16], out: &mut VecDeque<i16>) {
        if self.from == self.to {
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
    use trtc_media::tone::tone_hz;

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
