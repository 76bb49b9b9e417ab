//! Mixing of sample blocks and the volume scale.

/// Adds `src` times `gain` to the accumulator; what is longer than the other is ignored.
pub fn mix_into(acc: &mut [i32], src: &[i16], gain: f32) {
    // 1/4096 steps; a gain above 16 could only clip.
    let gain = (gain.clamp(0.0, 16.0) * 4096.0) as i32;
    if gain == 4096 {
        acc.iter_mut().zip(src).for_each(|(a, s)| *a = a.saturating_add(i32::from(*s)));
    } else {
        acc.iter_mut().zip(src).for_each(|(a, s)| *a = a.saturating_add((i32::from(*s) * gain) >> 12));
    }
}

/// Writes the mix to `out`, compressing what is above three quarters of full scale instead of cutting it off.
pub fn finish(acc: &[i32], out: &mut [i16]) {
    for (a, out) in acc.iter().zip(out) {
        *out = soft_clip(*a);
    }
}

fn soft_clip(sample: i32) -> i16 {
    const KNEE: i32 = 24_576;
    const ROOM: i32 = 32_767 - KNEE;
    let over = sample.saturating_abs() - KNEE;
    if over <= 0 {
        return sample as i16;
    }
    // x / (1 + x): slope one at the knee, never above full scale.
    let over = i64::from(over);
    let level = KNEE + (over * i64::from(ROOM) / (over + i64::from(ROOM))) as i32;
    (level * sample.signum()) as i16
}

/// Loudness 0..=100: 0 at -60 dBFS RMS and below, 100 at full scale.
#[must_use]
pub fn volume(samples: &[i16]) -> u32 {
    if samples.is_empty() {
        return 0;
    }
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64;
    // RMS of a full-scale sine is 0 dB.
    let db = 10.0 * (2.0 * energy / (32_767.0 * 32_767.0)).max(1e-12).log10();
    ((db + 60.0) / 60.0 * 100.0).clamp(0.0, 100.0).round() as u32
}

/// Audio level as of RFC 6464: 0 (overload) to 127 (-127 dBov or less), by RMS.
#[must_use]
pub fn level_dbov(samples: &[i16]) -> u8 {
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64;
    let dbov = 10.0 * (energy / (32_768.0 * 32_768.0)).max(1e-13).log10();
    (-dbov).clamp(0.0, 127.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_mixes_exactly_and_loud_never_wraps() {
        let mut acc = vec![0; 4];
        mix_into(&mut acc, &[100, -200, 30_000, -32_768], 1.0);
        mix_into(&mut acc, &[100, -200, 30_000, -32_768], 0.5);
        let mut out = [0; 4];
        finish(&acc, &mut out);
        assert_eq!(out[..2], [150, -300]);
        assert!(out[2] > 28_000 && out[3] < -28_000);
        let mut last = i16::MIN;
        for level in (-200_000..200_000).step_by(97) {
            let now = soft_clip(level);
            assert!(now >= last);
            last = now;
        }
        finish(&[i32::MAX, i32::MIN], &mut out);
        assert!(out[0] > 32_000 && out[1] < -32_000);
    }

    #[test]
    fn level_is_negative_dbov() {
        // A full-scale sine has -3 dBov (RFC 6464 appendix B counts from overload), a tenth of it 20 dB less.
        let sine = |a: f64| (0..4800).map(|i| (a * (f64::from(i) * 0.1309).sin()) as i16).collect::<Vec<_>>();
        let levels = [level_dbov(&[]), level_dbov(&[0; 480]), level_dbov(&sine(32_767.0)), level_dbov(&sine(3_276.7))];
        assert_eq!(levels, [127, 127, 3, 23]);
    }

    #[test]
    fn volume_scale() {
        let sine = |a: f64| (0..4800).map(|i| (a * (f64::from(i) * 0.1309).sin()) as i16).collect::<Vec<_>>();
        assert_eq!(volume(&[]), 0);
        assert_eq!(volume(&[0; 480]), 0);
        assert_eq!(volume(&sine(32_767.0)), 100);
        assert!((80..=86).contains(&volume(&sine(3_276.7 * 1.26))) || (64..=70).contains(&volume(&sine(3_276.7))));
    }
}
