//! How late packets come: the delay of each packet against the fastest of the last seconds, and a histogram of it.
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Extends a 32-bit RTP timestamp to 64 bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    last: Option<i64>,
}

impl Unwrapper {
    /// The value nearest to the previous one.
    pub fn extend(&mut self, value: u32) -> i64 {
        let next = match self.last {
            None => i64::from(value),
            Some(last) => last + i64::from(value.wrapping_sub(last as u32) as i32),
        };
        self.last = Some(next);
        next
    }
}

/// Extends a 16-bit sequence number to 64 bits: the value nearest to `near`.
#[must_use]
pub fn extend_sequence(near: i64, sequence: u16) -> i64 {
    near + i64::from(sequence.wrapping_sub(near as u16) as i16)
}

const WINDOW: Duration = Duration::from_secs(3);
const BUCKET_MS: f64 = 5.0;
const BUCKETS: usize = 201;
const BURST_MS: f64 = 3.0;
/// Weight that a packet keeps when the next one comes: half is forgotten after 350 packets (7 s of 20 ms frames).
const KEEP: f64 = 0.998;

/// Learns the spread of packet delays. Milliseconds as `f64` from the instant of the first packet.
#[derive(Clone, Debug)]
pub struct DelayEstimator {
    epoch: Option<Instant>,
    /// (arrival, offset) with offsets rising: the front is the smallest of the window.
    fastest: VecDeque<(f64, f64)>,
    histogram: Vec<f64>,
    total: f64,
    /// Arrival and delay of the previous packet.
    last: Option<(f64, f64)>,
}

impl Default for DelayEstimator {
    fn default() -> Self {
        Self { epoch: None, fastest: VecDeque::new(), histogram: vec![0.0; BUCKETS], total: 0.0, last: None }
    }
}

impl DelayEstimator {
    /// Takes a packet in: its arrival and its media time in milliseconds. Returns its delay against the fastest one.
    pub fn insert(&mut self, now: Instant, media_ms: f64) -> f64 {
        let arrival = self.millis(now);
        let offset = arrival - media_ms;
        while self.fastest.back().is_some_and(|(_, o)| *o >= offset) {
            self.fastest.pop_back();
        }
        self.fastest.push_back((arrival, offset));
        let horizon = arrival - WINDOW.as_secs_f64() * 1_000.0;
        while self.fastest.front().is_some_and(|(t, _)| *t < horizon) {
            self.fastest.pop_front();
        }
        let delay = (offset - self.base().unwrap_or(offset)).max(0.0);
        // Packets that were held up together and come together are one event: its first tells how long it was.
        let same_burst = self.last.is_some_and(|(t, d)| arrival - t < BURST_MS && delay < d);
        self.last = Some((arrival, delay));
        if same_burst {
            return delay;
        }
        let bucket = ((delay / BUCKET_MS) as usize).min(BUCKETS - 1);
        self.histogram.iter_mut().for_each(|w| *w *= KEEP);
        self.histogram[bucket] += 1.0;
        self.total = self.total * KEEP + 1.0;
        delay
    }

    /// The delay that this part (0..1) of the packets stays below, in milliseconds.
    #[must_use]
    pub fn quantile(&self, part: f64) -> f64 {
        let mut rest = self.total * part;
        for (i, weight) in self.histogram.iter().enumerate() {
            rest -= weight;
            if rest <= 0.0 {
                // The first bucket is "no delay": nothing is added for it.
                return i as f64 * BUCKET_MS;
            }
        }
        0.0
    }

    /// How far media time `media_ms` lies behind the fastest packet at `now`, in milliseconds.
    #[must_use]
    pub fn lag(&mut self, now: Instant, media_ms: f64) -> Option<f64> {
        let now = self.millis(now);
        self.base().map(|base| now - media_ms - base)
    }

    /// The instant at which media of `media_ms` lies `lag_ms` behind the fastest packet.
    #[must_use]
    pub fn instant_at(&self, media_ms: f64, lag_ms: f64) -> Option<Instant> {
        let at = (self.base()? + media_ms + lag_ms).max(0.0);
        self.epoch?.checked_add(Duration::from_secs_f64(at / 1_000.0))
    }

    /// Forgets which packet was the fastest, keeps the spread: for a source that restarts its clock.
    pub fn rebase(&mut self) {
        self.fastest.clear();
    }

    fn base(&self) -> Option<f64> {
        self.fastest.front().map(|(_, offset)| *offset)
    }

    fn millis(&mut self, now: Instant) -> f64 {
        let epoch = *self.epoch.get_or_insert(now);
        now.saturating_duration_since(epoch).as_secs_f64() * 1_000.0
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn wraps_are_extended() {
        let mut u = Unwrapper::default();
        assert_eq!(u.extend(u32::MAX - 10), i64::from(u32::MAX) - 10);
        assert_eq!(u.extend(9), i64::from(u32::MAX) + 10);
        assert_eq!(u.extend(u32::MAX), i64::from(u32::MAX));
        assert_eq!(extend_sequence(65_535, 2), 65_538);
        assert_eq!(extend_sequence(65_536, 65_535), 65_535);
    }

    #[test]
    fn quantile_follows_jitter_and_drift_does_not_count() {
        let start = Instant::now();
        let mut d = DelayEstimator::default();
        for i in 0..2_000u64 {
            // A sender clock that is 200 ppm slow, and 40 ms of jitter on every tenth packet.
            let late = if i % 10 == 0 { 40.0 } else { 0.0 };
            let arrival = start + Duration::from_secs_f64((i as f64 * 20.004 + late) / 1e3);
            d.insert(arrival, i as f64 * 20.0);
        }
        assert!((35.0..=50.0).contains(&d.quantile(0.96)), "{}", d.quantile(0.96));
        assert!(d.quantile(0.8) <= 5.0);
    }
}
