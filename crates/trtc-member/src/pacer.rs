//! Spreads bursts of video packets (a key frame is dozens of them) over a few milliseconds: a leaky bucket.
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes that may leave at once after a pause.
const BURST_BYTES: u64 = 16_000;
/// .. and what a slow path carries in this time.
const BURST: Duration = Duration::from_millis(20);
/// Never slower than this, so that the first key frame is not held back by an estimate of nothing.
const FLOOR_BPS: u64 = 16_000_000;
/// Multiple of the measured bitrate, and of what the path carries where that is known.
const FACTOR_TENTHS: u64 = 25;
/// Packets waiting at most; more means that the host encodes far above what leaves.
const CAPACITY: usize = 2_048;

/// A packet that waits for its turn, not yet sealed.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Which local track; an index that its owner understands.
    pub track: usize,
    /// Which layer of it.
    pub layer: usize,
    /// The packet.
    pub packet: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Pacer {
    queue: VecDeque<Waiting>,
    next: Option<Instant>,
    /// Smoothed input, bits per second, and the running second of it.
    rate_bps: u64,
    window_start: Option<Instant>,
    window_bytes: u64,
    floor_bps: u64,
}

impl Pacer {
    pub fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            next: None,
            rate_bps: 0,
            window_start: None,
            window_bytes: 0,
            floor_bps: FLOOR_BPS,
        }
    }

    /// Queues a packet; `false` when the queue is full.
    pub fn push(&mut self, now: Instant, (track, layer): (usize, usize), packet: Vec<u8>) -> bool {
        if self.queue.len() >= CAPACITY {
            return false;
        }
        self.measure(now, packet.len() as u64);
        self.queue.push_back(Waiting { track, layer, packet });
        true
    }

    /// Forgets the waiting packets of a track.
    pub fn clear(&mut self, track: usize) {
        self.queue.retain(|waiting| waiting.track != track);
    }

    /// What the path carries, in bits per second; `None`: unknown. A burst far above it would only wait, or be lost, on the way.
    pub fn set_link(&mut self, bps: Option<u32>) {
        self.floor_bps = bps.map_or(FLOOR_BPS, |bps| u64::from(bps) * FACTOR_TENTHS / 10);
    }

    /// The next packet that may leave now.
    pub fn pop(&mut self, now: Instant) -> Option<Waiting> {
        let size = self.queue.front()?.packet.len() as u64;
        let rate = (self.rate_bps * FACTOR_TENTHS / 10).max(self.floor_bps).max(1);
        let earliest = now.checked_sub(duration(BURST_BYTES, rate).min(BURST)).unwrap_or(now);
        let at = self.next.map_or(earliest, |next| next.max(earliest));
        if at > now {
            return None;
        }
        self.next = Some(at + duration(size, rate));
        self.queue.pop_front()
    }

    /// When [`Self::pop`] will give something.
    pub fn timeout(&self) -> Option<Instant> {
        if self.queue.is_empty() { None } else { self.next }
    }

    /// What comes in, smoothed, in bits per second.
    pub fn rate_bps(&self) -> u64 {
        self.rate_bps
    }

    fn measure(&mut self, now: Instant, bytes: u64) {
        let start = *self.window_start.get_or_insert(now);
        self.window_bytes += bytes;
        let elapsed = now.saturating_duration_since(start);
        if elapsed >= Duration::from_secs(1) {
            let bps = self.window_bytes * 8_000 / (elapsed.as_millis() as u64).max(1);
            self.rate_bps = if self.rate_bps == 0 { bps } else { (self.rate_bps * 3 + bps) / 4 };
            self.window_start = Some(now);
            self.window_bytes = 0;
        }
    }
}

fn duration(bytes: u64, bps: u64) -> Duration {
    Duration::from_nanos(bytes * 8 * 1_000_000_000 / bps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_frame_is_spread_and_a_small_frame_leaves_at_once() {
        let (mut pacer, start) = (Pacer::new(), Instant::now());
        for _ in 0..100 {
            assert!(pacer.push(start, (0, 0), vec![0; 1_200]));
        }
        let mut at_once = 0;
        while pacer.pop(start).is_some() {
            at_once += 1;
        }
        assert!((13..=15).contains(&at_once), "{at_once}");
        let mut now = start;
        let mut left = 100 - at_once;
        while let Some(next) = pacer.timeout() {
            now = next;
            while pacer.pop(now).is_some() {
                left -= 1;
            }
        }
        assert_eq!(left, 0);
        let took = now - start;
        assert!(took > Duration::from_millis(45) && took < Duration::from_millis(60), "{took:?}");
        let later = now + Duration::from_millis(33);
        for _ in 0..5 {
            pacer.push(later, (0, 0), vec![0; 1_200]);
        }
        assert_eq!(std::iter::from_fn(|| pacer.pop(later)).count(), 5);
    }

    #[test]
    fn the_queue_is_bounded_and_can_be_cleared() {
        let (mut pacer, now) = (Pacer::new(), Instant::now());
        assert_eq!((0..5_000).filter(|i| pacer.push(now, (i % 2, 0), vec![0; 10])).count(), CAPACITY);
        pacer.clear(0);
        assert!(pacer.queue.iter().all(|w| w.track == 1) && pacer.queue.len() == CAPACITY / 2);
    }
}
