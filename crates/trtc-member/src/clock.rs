//! Wall time for Sender Reports, derived from the time that is fed in.
use std::time::{Duration, Instant};
use trtc_rtp::rtcp::ntp_from_unix;

/// Ties the monotonic clock to the wall clock once, at the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    start: Instant,
    unix: Duration,
}

impl Wall {
    pub fn new(start: Instant, unix: Duration) -> Self {
        Self { start, unix }
    }

    /// NTP time, 32.32 bits.
    pub fn ntp(&self, now: Instant) -> u64 {
        ntp_from_unix(self.unix + now.saturating_duration_since(self.start))
    }

    /// The 24-bit absolute send time (6.18 bits of seconds), big-endian.
    pub fn abs_send_time(&self, now: Instant) -> [u8; 3] {
        let [_, a, b, c] = ((self.ntp(now) >> 14) as u32).to_be_bytes();
        [a, b, c]
    }
}

/// `base` plus a media time in units of `rate` Hz, wrapping.
pub(crate) fn rtp_time(base: u32, time: Duration, rate: u32) -> u32 {
    let ticks = u128::from(rate) * time.as_nanos() / 1_000_000_000;
    base.wrapping_add(ticks as u32)
}
