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

/// A report so far from the packet is not believed: it belongs to another time.
const REPORT_REACH_SECONDS: i64 = 30;

/// The sender's wall clock (since 1900) at an RTP time, by its newest Sender Report: NTP and RTP time (RFC 3550 section 6.4.1).
/// Without a wall clock a sender may say 0.
pub(crate) fn captured(report: Option<(u64, u32)>, rtp_time: u32, rate: u32) -> Option<Duration> {
    let (ntp, reported) = report.filter(|(ntp, _)| *ntp != 0)?;
    let ticks = i64::from(rtp_time.wrapping_sub(reported) as i32);
    if rate == 0 || ticks.abs() > REPORT_REACH_SECONDS * i64::from(rate) {
        return None;
    }
    let at = i128::from(ntp) + i128::from(ticks) * (1 << 32) / i128::from(rate);
    let nanos = (u128::try_from(at).ok()? * 1_000_000_000 + (1 << 31)) >> 32;
    Some(Duration::from_nanos_u128(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_when_packets_around_it_were_captured() {
        let at = |rtp_time| captured(Some((100 << 32, 1_000)), rtp_time, 48_000);
        assert_eq!(at(1_000), Some(Duration::from_secs(100)));
        assert_eq!(at(1_000 + 480), Some(Duration::from_millis(100_010)));
        assert_eq!(at(1_000_u32.wrapping_sub(48_000)), Some(Duration::from_secs(99)));
        assert_eq!(at(48_000 * 31), None, "too far");
        assert_eq!(captured(Some((0, 1_000)), 1_000, 48_000), None, "no wall clock");
        assert_eq!(captured(None, 1_000, 48_000), None);
    }
}
