//! Time stretching of decoded sound by whole pitch periods (WSOLA): a period is cross-faded away, or in once more.

/// Shortest and longest period in samples per channel at 48 kHz: 2.5 ms (400 Hz) and 12.5 ms (80 Hz).
const LAG_MIN: usize = 120;
const LAG_MAX: usize = 600;
/// Samples per channel that an operation wants to see.
pub const STRETCH_NEEDS: usize = 2 * LAG_MAX;
/// Below this likeness of two neighbouring periods a change would be heard.
const LIKENESS_MIN: f64 = 0.85;
/// Mean square below which anything may be cut: about -54 dBFS.
const QUIET: f64 = 64.0 * 64.0;

/// Removes one period from the beginning of interleaved `pcm`. Returns the samples per channel that are gone, 0 when there
/// was no good place.
pub fn accelerate(pcm: &mut Vec<i16>, channels: usize) -> usize {
    let Some(lag) = find_period(pcm, channels) else { return 0 };
    let width = lag * channels;
    for i in 0..width {
        pcm[i] = fade(pcm[i], pcm[i + width], i / channels, lag);
    }
    pcm.drain(width..2 * width);
    lag
}

/// Repeats one period at the beginning of interleaved `pcm`. Returns the samples per channel that were added, 0 when there
/// was no good place.
pub fn expand(pcm: &mut Vec<i16>, channels: usize) -> usize {
    let Some(lag) = find_period(pcm, channels) else { return 0 };
    let width = lag * channels;
    let bridge: Vec<i16> = (0..width).map(|i| fade(pcm[width + i], pcm[i], i / channels, lag)).collect();
    pcm.splice(width..width, bridge);
    lag
}

fn fade(from: i16, to: i16, at: usize, length: usize) -> i16 {
    let (at, length) = (at as i32, length as i32);
    ((i32::from(from) * (length - at) + i32::from(to) * at) / length) as i16
}

/// The lag at which the first two periods are most alike, or the longest one in silence.
fn find_period(pcm: &[i16], channels: usize) -> Option<usize> {
    if channels == 0 || pcm.len() < STRETCH_NEEDS * channels {
        return None;
    }
    let mono: Vec<f32> = pcm[..STRETCH_NEEDS * channels]
        .chunks_exact(channels)
        .map(|frame| frame.iter().map(|s| f32::from(*s)).sum::<f32>() / channels as f32)
        .collect();
    let energy: f64 = mono.iter().map(|s| f64::from(s * s)).sum::<f64>() / mono.len() as f64;
    if energy < QUIET {
        return Some(LAG_MAX);
    }
    // Coarse search on every fourth sample, then every lag around the best.
    let (best, _) = search(&mono, (LAG_MIN..=LAG_MAX).step_by(4), 4)?;
    let (lag, likeness) = search(&mono, best.saturating_sub(4).max(LAG_MIN)..=(best + 4).min(LAG_MAX), 1)?;
    (likeness >= LIKENESS_MIN).then_some(lag)
}

fn search(mono: &[f32], lags: impl Iterator<Item = usize>, step: usize) -> Option<(usize, f64)> {
    let mut best: Option<(usize, f64)> = None;
    for lag in lags {
        // A short lag is compared over more than itself, or any slope would look alike.
        let window = lag.max(240).min(mono.len() - lag);
        let (mut cross, mut a2, mut b2) = (0.0f32, 1.0f32, 1.0f32);
        for i in (0..window).step_by(step) {
            let (a, b) = (mono[i], mono[i + lag]);
            cross += a * b;
            a2 += a * a;
            b2 += b * b;
        }
        let likeness = f64::from(cross) / (f64::from(a2) * f64::from(b2)).sqrt();
        if best.is_none_or(|(_, b)| likeness > b) {
            best = Some((lag, likeness));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{Tone, longest_gap_ms, tone_hz};

    /// Stretches a tone many times; the rest must be the same tone without clicks.
    fn stretched(hz: f64, channels: u16, change: impl Fn(&mut Vec<i16>, usize) -> usize) -> (Vec<i16>, usize) {
        let width = usize::from(channels);
        let mut input = vec![0; 96_000 * width];
        Tone::new(hz).fill(2_000, &mut input, channels);
        let (mut out, mut changed) = (Vec::new(), 0);
        for chunk in input.chunks(4_800 * width) {
            let mut block = chunk.to_vec();
            changed += change(&mut block, width);
            out.extend(block.chunks(width).map(|f| f[0]));
        }
        (out, changed)
    }

    #[test]
    fn tone_keeps_pitch_both_ways() {
        for (hz, channels) in [(440.0, 1), (997.0, 2), (131.0, 1)] {
            let (fast, removed) = stretched(hz, channels, accelerate);
            assert!(removed > 2_000 && fast.len() == 96_000 - removed);
            let (slow, added) = stretched(hz, channels, expand);
            assert!(added > 2_000 && slow.len() == 96_000 + added);
            for sound in [fast, slow] {
                let found = tone_hz(&sound, 48_000).unwrap();
                assert!((found - hz).abs() < 1.0, "{hz} became {found}");
                assert_eq!(longest_gap_ms(&sound, 48_000), 0);
            }
        }
    }

    #[test]
    fn noise_is_left_alone_and_silence_gives_most() {
        let mut seed = 1u32;
        let mut noise: Vec<i16> = (0..2_400)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) as i16 / 4
            })
            .collect();
        assert_eq!(accelerate(&mut noise, 1), 0);
        assert_eq!(expand(&mut vec![0; 2_400], 1), LAG_MAX);
        assert_eq!(accelerate(&mut vec![0; 100], 1), 0);
    }
}
