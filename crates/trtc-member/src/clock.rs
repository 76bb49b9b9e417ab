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

/// Media times of tracks that begin so near to each other are of one clock; their encoders take different times.
const ONE_CLOCK: Duration = Duration::from_millis(200);
/// A jump of more than this is a new time base of the host.
const REBASE: Duration = Duration::from_secs(1);
/// A track's clock that is slower than ours is followed by this part of what is between them with each frame.
const FOLLOW: u32 = 512;

/// The instant of a track's media time zero: the earliest seen of late, so that an encoder's delay does not count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MediaZero(Option<Instant>);

impl MediaZero {
    /// A frame of this media time is here.
    pub fn seen(&mut self, now: Instant, time: Duration) {
        let zero = now.checked_sub(time).unwrap_or(now);
        let later = self.0.map(|known| (known, zero.saturating_duration_since(known)));
        self.0 = Some(match later {
            Some((known, later)) if !later.is_zero() && later <= REBASE => known + later / FOLLOW,
            _ => zero,
        });
    }

    /// The track's media time now, by the earliest zero of all tracks on the same clock.
    pub fn media(&self, now: Instant, all: &[Self]) -> Option<Duration> {
        let own = self.0?;
        let near = |zero: &Instant| own.max(*zero) - own.min(*zero) <= ONE_CLOCK;
        let zero = all.iter().filter_map(|zero| zero.0).filter(near).min().unwrap_or(own);
        Some(now.saturating_duration_since(zero))
    }
}

/// A time of sound this far from the running one is a gap, not jitter of the caller.
const GAP_TICKS: i32 = 1_920;
/// Part of what is between both clocks that counts as drift with each packet.
const DRIFT: f64 = 1.0 / 64.0;

/// The RTP time of a sound track: sample after sample until the caller's clock leaves a gap. That clock's drift against the samples
/// is no gap; reports tell it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SoundClock {
    next: Option<u32>,
    /// How far the RTP time is ahead of the caller's clock, in samples.
    ahead: f64,
}

impl SoundClock {
    /// The RTP time of the next `samples`, which by the caller's clock begin at `by_clock`; whether they begin after a gap.
    pub fn stamp(&mut self, by_clock: u32, samples: u32) -> (u32, bool) {
        let wanted = self.at(by_clock);
        let off = |next: &u32| next.wrapping_sub(wanted) as i32;
        let running = self.next.filter(|next| off(next).abs() < GAP_TICKS);
        self.ahead += running.as_ref().map_or(0.0, |next| f64::from(off(next)) * DRIFT);
        let time = running.unwrap_or(wanted);
        self.next = Some(time.wrapping_add(samples));
        (time, running.is_none())
    }

    /// The RTP time at a moment of the caller's clock.
    pub fn at(&self, by_clock: u32) -> u32 {
        by_clock.wrapping_add(self.ahead.round() as i64 as u32)
    }
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
    fn sound_runs_on_over_drift_and_its_reports_follow() {
        let (mut clock, base) = (SoundClock::default(), u32::MAX - 1_000);
        // An hour at 100 ppm: 360 ms between the samples and the clock.
        let by_clock = |packet: u32| base.wrapping_add((f64::from(packet) * 960.096) as u32);
        for packet in 0..180_000_u32 {
            let stamped = clock.stamp(by_clock(packet), 960);
            assert_eq!(stamped, (base.wrapping_add(packet * 960), packet == 0));
            let told = clock.at(by_clock(packet)).wrapping_sub(stamped.0) as i32;
            assert!(told.abs() < 48, "packet {packet}: the report is {told} samples off");
        }
        // A pause is a gap.
        let (time, begins) = clock.stamp(by_clock(180_000).wrapping_add(48_000), 960);
        let gap = time.wrapping_sub(base.wrapping_add(180_000 * 960));
        assert!(begins && (47_952..=48_048).contains(&gap), "{gap}");
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn tracks_of_one_clock_have_one_zero_and_others_their_own() {
        let (start, ms) = (Instant::now() + Duration::from_secs(100), Duration::from_millis);
        let mut zeros = [MediaZero::default(); 3];
        assert_eq!(zeros[0].media(start, &zeros), None);
        for frame in 0..30_000 {
            let time = ms(5_000 + 33 * frame);
            // Sound at once; a picture after its encoder; one whose host counts from 3 s earlier, by a clock that is 0.1 % slow.
            zeros[0].seen(start + ms(33 * frame), time);
            zeros[1].seen(start + ms(33 * frame + 30), time);
            zeros[2].seen(start + ms(33 * frame).mul_f64(1.001) + ms(10), ms(2_000 + 33 * frame));
        }
        let (now, all) = (start + ms(1_000_000), zeros);
        let media = |track: usize| all[track].media(now, &all).unwrap();
        assert_eq!(media(0), ms(1_005_000));
        assert_eq!(media(1), media(0), "the encoder's delay is no part of it");
        let slow = ms(2_000) + now.saturating_duration_since(start + ms(990)) - ms(10);
        assert!(media(2).abs_diff(slow) < ms(30), "{:?} {slow:?}", media(2));
    }

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
