//! A token bucket: a burst, then a rate.
use std::time::Instant;

pub struct Bucket {
    depth: f64,
    rate: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// Full: `depth` at once, then `rate` a second.
    pub fn new(now: Instant, depth: u32, rate: u32) -> Self {
        Self { depth: depth.into(), rate: rate.into(), tokens: depth.into(), at: now }
    }

    /// Takes `count`; false, and nothing taken, when that is more than there is.
    pub fn take(&mut self, now: Instant, count: usize) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.depth);
        self.at = self.at.max(now);
        let enough = self.tokens >= count as f64;
        self.tokens -= if enough { count as f64 } else { 0.0 };
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 500, 100);
        assert!((0..5).all(|_| bucket.take(start, 100)));
        assert!(!bucket.take(start, 1));
        assert!(bucket.take(start + Duration::from_millis(50), 1));
        assert!(!bucket.take(start + Duration::from_secs(60), 501), "never more than its depth");
    }
}
