//! What a member saw and heard of one other member, by content.
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};
use trtc_media::pattern::{Pattern, psnr_y, read_time_code};
use trtc_media::tone::{longest_gap_ms, tone_hz};
use trtc_sdk::types::{I420, VideoFrame};

/// Every n-th picture is compared with the pattern.
const PSNR_EVERY: u64 = 10;
/// Samples kept per figure; later ones replace earlier ones.
const KEPT: usize = 4096;
/// At most this much sound is kept for the tone and gap figures.
const SOUND_SECONDS: usize = 60;
/// The rate of everything that the library plays.
pub const RATE_HZ: u32 = 48_000;

/// A time code older than this was not burned in by a running clock (a file, say).
const LATENCY_MAX_MS: u32 = 10_000;

/// Figures about one remote video stream.
#[derive(Default)]
pub struct VideoMeter {
    frames: u64,
    gaps_ms: Vec<f64>,
    last_ms: Option<f64>,
    indices: BTreeSet<u16>,
    latencies_ms: Vec<u32>,
    psnr_db: Vec<f64>,
    /// The newest picture.
    pub last: Option<VideoFrame>,
}

impl VideoMeter {
    /// Takes a picture at the moment it is shown; `now_ms` is any steady clock.
    pub fn take(&mut self, frame: VideoFrame, now_ms: f64) {
        self.frames += 1;
        if let Some(last) = self.last_ms.replace(now_ms) {
            keep(&mut self.gaps_ms, now_ms - last);
        }
        if let Some(code) = read_time_code(&frame.picture) {
            self.indices.insert(code.index);
            let latency = unix_ms().wrapping_sub(code.time_ms);
            if latency < LATENCY_MAX_MS {
                keep(&mut self.latencies_ms, latency);
            }
            if self.frames.is_multiple_of(PSNR_EVERY) {
                let mut sent = I420::black(frame.picture.width(), frame.picture.height());
                Pattern::new(sent.width(), sent.height()).draw(u32::from(code.index), code.time_ms, &mut sent);
                keep(&mut self.psnr_db, psnr_y(&sent, &frame.picture));
            }
        }
        self.last = Some(frame);
    }

    /// Pictures so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The sender's number of the newest picture, if it carries one.
    pub fn newest_index(&self) -> Option<u16> {
        Some(read_time_code(&self.last.as_ref()?.picture)?.index)
    }

    /// The figures; `null` where nothing was measured.
    pub fn summary(&self) -> Value {
        let Some(last) = &self.last else { return Value::Null };
        let total_ms: f64 = self.gaps_ms.iter().sum();
        let mean = total_ms / self.gaps_ms.len().max(1) as f64;
        // A freeze as WebRTC's statistics define it: a gap above max(3 x mean, mean + 150 ms).
        let limit = (3.0 * mean).max(mean + 150.0);
        let frozen = self.gaps_ms.iter().filter(|gap| **gap > limit).fold(0.0, |sum, gap| sum + gap);
        let mut latencies = self.latencies_ms.clone();
        latencies.sort_unstable();
        json!({
            "width": last.picture.width(), "height": last.picture.height(), "frames": self.frames,
            "fps": round(if total_ms > 0.0 { self.gaps_ms.len() as f64 * 1000.0 / total_ms } else { 0.0 }, 1),
            "freeze_ratio": round(if total_ms > 0.0 { frozen / total_ms } else { 0.0 }, 4),
            "seen_ratio": self.seen_ratio(), "psnr_db": median(&self.psnr_db).map(|db| round(db, 2)),
            "latency_ms": { "p50": percentile(&latencies, 50), "p95": percentile(&latencies, 95) },
        })
    }

    /// Share of the sender's frame indices between the first and the last seen that were seen.
    fn seen_ratio(&self) -> Option<f64> {
        let (first, last) = (self.indices.first()?, self.indices.last()?);
        Some(round(self.indices.len() as f64 / f64::from(last - first + 1), 4))
    }
}

/// Figures about one remote user's sound, mono.
#[derive(Default)]
pub struct AudioMeter {
    heard: Vec<i16>,
    blocks: u64,
    concealed: u64,
}

impl AudioMeter {
    /// Takes 10 ms of stereo.
    pub fn take(&mut self, stereo: &[i16], concealed: bool) {
        self.blocks += 1;
        self.concealed += u64::from(concealed);
        if self.heard.len() < SOUND_SECONDS * RATE_HZ as usize {
            self.heard.extend(stereo.chunks_exact(2).map(|s| ((i32::from(s[0]) + i32::from(s[1])) / 2) as i16));
        }
    }

    /// The figures; `null` where nothing was heard.
    pub fn summary(&self) -> Value {
        let sound = self.without_silent_ends();
        if sound.is_empty() {
            return Value::Null;
        }
        let middle = &sound[sound.len() / 4..(sound.len() / 4 + 4 * RATE_HZ as usize).min(sound.len())];
        json!({
            "seconds": round(sound.len() as f64 / f64::from(RATE_HZ), 2),
            "tone_hz": tone_hz(middle, RATE_HZ).map(|hz| round(hz, 2)),
            "longest_gap_ms": longest_gap_ms(sound, RATE_HZ),
            "concealed_ratio": round(self.concealed as f64 / self.blocks.max(1) as f64, 4),
        })
    }

    /// What was heard, mono at 48 kHz.
    pub fn samples(&self) -> &[i16] {
        &self.heard
    }

    fn without_silent_ends(&self) -> &[i16] {
        let loud = |s: &i16| s.unsigned_abs() > 300;
        match (self.heard.iter().position(loud), self.heard.iter().rposition(loud)) {
            (Some(first), Some(last)) => &self.heard[first..=last],
            _ => &[],
        }
    }
}

/// Unix time in milliseconds, modulo 2^32: what the pattern burns in.
pub fn unix_ms() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as u32)
}

fn keep<T>(samples: &mut Vec<T>, value: T) {
    if samples.len() == KEPT {
        samples.remove(0);
    }
    samples.push(value);
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    sorted.get((sorted.len().saturating_sub(1)) * percent / 100).copied()
}
