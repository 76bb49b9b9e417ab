//! When to show a picture: its RTP time mapped to an instant, late enough for the network's jitter and for the sound.
use crate::delay::{DelayEstimator, Unwrapper};
use std::time::{Duration, Instant};

const CLOCK_PER_MS: f64 = 90.0;
const TARGET_MAX_MS: f64 = 500.0;
const JITTER_PART: f64 = 0.95;
/// A jump of the sender's clock that is taken as a restart.
const JUMP_MS: f64 = 3_000.0;
/// The delay falls by at most this per frame, so that motion is not seen to hurry.
const FALL_MS: f64 = 1.0;
const RISE_MS: f64 = 10.0;
/// Sound is never so far behind (its buffer holds 600 ms): the sender's reports are wrong.
const IMPLAUSIBLE_MS: f64 = 2_000.0;

/// The playout clock of one received video track.
#[derive(Clone, Debug, Default)]
pub struct VideoPlayout {
    times: Unwrapper,
    delays: DelayEstimator,
    target_ms: f64,
    last_due: Option<(i64, Instant)>,
}

impl VideoPlayout {
    /// A new clock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a complete frame in and says when to show it: at once when the instant has passed. Frames in order are due in
    /// order.
    ///
    /// Lip sync: `sound` is when the same user's sound of that moment is played, where known. The picture waits for it, up to a delay
    /// of 500 ms, which it comes to step by step. Sound that is earlier than the network lets the picture be changes nothing, and
    /// neither does a moment that cannot be true.
    pub fn insert(&mut self, now: Instant, rtp_time: u32, sound: Option<Instant>) -> Instant {
        let rtp = self.times.extend(rtp_time);
        let media_ms = rtp as f64 / CLOCK_PER_MS;
        if self.delays.lag(now, media_ms).is_some_and(|lag| lag.abs() > JUMP_MS) {
            self.delays.rebase();
            self.last_due = None;
        }
        self.delays.insert(now, media_ms);
        let fastest = self.delays.instant_at(media_ms, 0.0);
        let behind = sound.zip(fastest).map_or(0.0, |(sound, fastest)| ms(sound.saturating_duration_since(fastest)));
        let sound_ms = if behind < IMPLAUSIBLE_MS { behind } else { 0.0 };
        let wanted = self.delays.quantile(JITTER_PART).max(sound_ms).min(TARGET_MAX_MS);
        self.target_ms = wanted.clamp(self.target_ms - FALL_MS, self.target_ms + RISE_MS);
        let mut due = self.delays.instant_at(media_ms, self.target_ms).unwrap_or(now);
        if let Some((_, last)) = self.last_due.filter(|(last_rtp, _)| *last_rtp <= rtp) {
            due = due.max(last);
        }
        self.last_due = Some((rtp, due));
        due
    }

    /// The delay in force.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_secs_f64(self.target_ms.max(0.0) / 1_000.0)
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    /// Frames each 33 ms; with `sound_ms` their sound is played that long after they were made.
    fn run(
        playout: &mut VideoPlayout,
        start: Instant,
        first: u64,
        frames: u64,
        jitter: impl Fn(u64) -> u64,
        sound_ms: Option<u64>,
    ) -> Vec<f64> {
        (first..first + frames)
            .map(|i| {
                let now = start + Duration::from_millis(i * 33 + jitter(i));
                let sound = sound_ms.map(|late| start + Duration::from_millis(i * 33 + late));
                let due = playout.insert(now, (u32::MAX - 5_000).wrapping_add((i * 33 * 90) as u32), sound);
                due.duration_since(start).as_secs_f64() * 1e3 - i as f64 * 33.0
            })
            .collect()
    }

    #[test]
    fn steady_arrival_has_no_delay_and_jitter_is_evened_out() {
        let start = Instant::now();
        let mut playout = VideoPlayout::new();
        assert!(run(&mut playout, start, 0, 200, |_| 0, None).iter().all(|d| d.abs() < 6.0));
        let lags = run(&mut playout, start, 200, 600, |i| i * 7 % 40, None);
        let late = &lags[300..];
        let (low, high) = late.iter().fold((f64::MAX, f64::MIN), |(l, h), d| (l.min(*d), h.max(*d)));
        assert!(low > 25.0 && high < 50.0 && high - low < 10.0, "{low} {high}");
    }

    #[test]
    fn picture_follows_sound_and_restarts() {
        let start = Instant::now();
        let mut playout = VideoPlayout::new();
        let lags = run(&mut playout, start, 0, 100, |_| 0, Some(120));
        assert!((119.0..121.0).contains(&lags[99]), "{}", lags[99]);
        let steps = lags.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.fold(0.0, f64::max) <= RISE_MS + 0.1, "the picture is slowed, not stopped");
        // Sound that is early is not waited for, reports that lie are not believed, and no delay is without end.
        let lags = run(&mut playout, start, 100, 300, |_| 0, Some(0));
        assert!(lags[299] < 6.0, "{}", lags[299]);
        assert!(run(&mut playout, start, 400, 100, |_| 0, Some(30_000)).iter().all(|lag| *lag < 6.0));
        let lags = run(&mut playout, start, 500, 100, |_| 0, Some(900));
        assert!((499.0..501.0).contains(&lags[99]), "{}", lags[99]);
        // The sender's clock jumps by minutes: due at once again, not minutes later.
        let now = start + Duration::from_secs(30);
        let due = playout.insert(now, 500_000_000, None);
        assert!(due <= now + Duration::from_millis(510) && due >= now);
    }
}
