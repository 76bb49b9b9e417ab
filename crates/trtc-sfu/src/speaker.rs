//! Who speaks: audio levels (RFC 6464) of a track, window by window. The figures are those of a LiveKit server: a window of
//! 400 ms is speech when 40 % of it is above -35 dBov; its level is smoothed over two windows and told in eighths.
use std::time::{Duration, Instant};

/// Levels are judged in windows of this length.
pub const WINDOW: Duration = Duration::from_millis(400);
/// Quieter than this, in -dBov, is no speech.
const THRESHOLD: u8 = 35;
/// Speech in a window, at least.
const SPEECH_MIN: Duration = Duration::from_millis(160);
/// Weight of the newest of two smoothed windows: 2 / (2 + 1).
const NEWEST: f32 = 2.0 / 3.0;
const STEPS: f32 = 8.0;
/// A longer step of the RTP clock is a pause (discontinuous transmission), not a long packet.
const PACKET_MAX: Duration = Duration::from_millis(120);
const PACKET_USUAL: Duration = Duration::from_millis(20);

/// How loud one audio track is. Nothing is due while it is silent and nothing comes.
#[derive(Debug, Default)]
pub struct SpeakerLevel {
    window_end: Option<Instant>,
    last_rtp_time: Option<u32>,
    speech: Duration,
    /// Sound power of the window's speech, weighted by its time in seconds.
    power: f32,
    smoothed: f32,
    told: u8,
}

impl SpeakerLevel {
    /// A packet with its audio level (in -dBov, 0..=127) and RTP time at `clock_rate` Hz.
    pub fn observe(&mut self, now: Instant, level: u8, rtp_time: u32, clock_rate: u32) {
        let step = self.last_rtp_time.replace(rtp_time).map(|last| rtp_time.wrapping_sub(last));
        let length = step.map(|ticks| Duration::from_secs(1) * ticks / clock_rate.max(1));
        let length = length.filter(|length| *length > Duration::ZERO && *length <= PACKET_MAX).unwrap_or(PACKET_USUAL);
        if level > THRESHOLD {
            return;
        }
        self.window_end.get_or_insert(now + WINDOW);
        self.speech += length;
        self.power += 10f32.powf(-f32::from(level) / 10.0) * length.as_secs_f32();
    }

    /// When a window ends.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.window_end
    }

    /// The level in eighths (0: does not speak) when it changed with a window that has ended by now.
    pub fn poll(&mut self, now: Instant) -> Option<u8> {
        let end = self.window_end.filter(|end| *end <= now)?;
        let loudness = if self.speech < SPEECH_MIN { 0.0 } else { (self.power / WINDOW.as_secs_f32()).sqrt() };
        (self.speech, self.power) = (Duration::ZERO, 0.0);
        self.smoothed += (loudness - self.smoothed) * NEWEST;
        let eighths = if loudness > 0.0 { (self.smoothed * STEPS).ceil().clamp(1.0, STEPS) as u8 } else { 0 };
        if eighths == 0 {
            self.smoothed = 0.0;
        }
        // Windows follow each other while somebody speaks; the next packet begins a new row.
        self.window_end = (eighths > 0).then_some(now.max(end) + WINDOW);
        (std::mem::replace(&mut self.told, eighths) != eighths).then_some(eighths)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests may read a clock")]
mod tests {
    use super::*;

    /// Feeds packets of 20 ms for `ms`, loud as `level` says of each, and collects what is told.
    fn run(speaker: &mut SpeakerLevel, now: &mut Instant, ms: u32, level: impl Fn(u32) -> Option<u8>) -> Vec<u8> {
        let mut told = Vec::new();
        for packet in 0..ms / 20 {
            if let Some(level) = level(packet) {
                speaker.observe(*now, level, packet * 960, 48_000);
            }
            *now += Duration::from_millis(20);
            told.extend(speaker.poll(*now));
        }
        told
    }

    #[test]
    fn speech_is_told_when_it_begins_changes_and_ends() {
        let (mut speaker, mut now) = (SpeakerLevel::default(), Instant::now());
        assert_eq!(run(&mut speaker, &mut now, 2_000, |_| Some(60)), [], "a quiet room");
        assert_eq!(speaker.timeout(), None, "nothing to wait for");
        assert_eq!(run(&mut speaker, &mut now, 2_000, |_| Some(20)), [1], "a tenth of the scale");
        assert_eq!(run(&mut speaker, &mut now, 2_000, |_| Some(3)), [5, 6], "0.7 of it, smoothed");
        assert_eq!(run(&mut speaker, &mut now, 2_000, |_| None), [0], "nothing comes any longer");
        assert_eq!(speaker.timeout(), None);
    }

    #[test]
    fn less_than_two_fifths_of_a_window_is_a_noise() {
        let (mut speaker, mut now) = (SpeakerLevel::default(), Instant::now());
        assert_eq!(run(&mut speaker, &mut now, 4_000, |packet| Some(if packet % 20 < 7 { 10 } else { 80 })), []);
        assert_eq!(
            run(&mut speaker, &mut now, 4_000, |packet| Some(if packet % 20 < 9 { 10 } else { 80 })).first(),
            Some(&2)
        );
    }

    #[test]
    fn pauses_and_jumps_of_the_clock_are_no_long_packets() {
        let (mut speaker, now) = (SpeakerLevel::default(), Instant::now());
        for rtp_time in [0, 48_000 * 60, 5, u32::MAX] {
            speaker.observe(now, 0, rtp_time, 48_000);
        }
        speaker.observe(now, 0, 7, 0);
        assert_eq!(speaker.poll(now + WINDOW), None, "100 ms of sound are too little");
    }
}
