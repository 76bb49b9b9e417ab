//! Statistics of a stream: what a receiver reports (RFC 3550 section 6.4.1, appendix A) and what a sender reports.
use crate::packet::RtpHeader;
use crate::rtcp::{ReportBlock, SenderInfo, ntp_middle};
use std::time::{Duration, Instant};

/// A jump forward above this, or backward above [`MAX_MISORDER`], means a restarted sender.
const MAX_DROPOUT: u16 = 3000;
const MAX_MISORDER: u16 = 100;
const SENDER_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A snapshot of a received stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StreamStats {
    /// Packets received, duplicates included.
    pub packets: u64,
    /// Payload bytes received.
    pub bytes: u64,
    /// Packets expected but not received (before repair).
    pub lost: u64,
    /// Interarrival jitter.
    pub jitter: Duration,
}

/// Reception statistics of one source.
#[derive(Clone, Debug)]
pub struct ReceiverStats {
    ssrc: u32,
    clock_rate: u32,
    source: Option<Source>,
    packets: u64,
    bytes: u64,
    earlier_expected: u64,
    prior: (u64, u64),
    jitter_q4: u64,
    last_report: Option<(u32, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    base: u64,
    /// Highest sequence number, cycles included.
    highest: u64,
    bad: Option<u16>,
    epoch: Instant,
    transit: i64,
}

impl ReceiverStats {
    /// For a source with a clock of `clock_rate` Hz (0 counts as 90,000).
    #[must_use]
    pub fn new(ssrc: u32, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate: if clock_rate == 0 { 90_000 } else { clock_rate },
            source: None,
            packets: 0,
            bytes: 0,
            earlier_expected: 0,
            prior: (0, 0),
            jitter_q4: 0,
            last_report: None,
        }
    }

    /// The source.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// A packet arrived by itself; retransmissions do not belong here.
    pub fn received(&mut self, now: Instant, header: &RtpHeader, payload_len: usize) {
        self.packets += 1;
        self.bytes += payload_len as u64;
        let Some(mut source) = self.source else {
            self.source = Some(Source::new(now, header, self.clock_rate, now));
            return;
        };
        let delta = header.sequence.wrapping_sub(source.highest as u16);
        if delta < MAX_DROPOUT {
            source.highest += u64::from(delta);
            source.bad = None;
        } else if delta <= u16::MAX - MAX_MISORDER {
            // Two consecutive strange numbers are a restart, one alone is a stray packet.
            if source.bad == Some(header.sequence) {
                self.earlier_expected += source.expected();
                source = Source::new(source.epoch, header, self.clock_rate, now);
            } else {
                source.bad = Some(header.sequence.wrapping_add(1));
            }
            self.source = Some(source);
            return;
        }
        let transit = transit(source.epoch, now, header.timestamp, self.clock_rate);
        // Both terms wrap at 32 bits.
        let difference = u64::from(((transit - source.transit) as i32).unsigned_abs());
        source.transit = transit;
        self.jitter_q4 = (self.jitter_q4 + difference).saturating_sub((self.jitter_q4 + 8) >> 4);
        self.source = Some(source);
    }

    /// The source's sender report arrived, with this NTP time.
    pub fn sender_report(&mut self, now: Instant, ntp: u64) {
        self.last_report = Some((ntp_middle(ntp), now));
    }

    /// The block for the next report, which starts a new loss interval; `None` before the first packet.
    pub fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let source = self.source?;
        let expected = self.earlier_expected + source.expected();
        let (expected_now, received_now) = (expected - self.prior.0, self.packets - self.prior.1);
        self.prior = (expected, self.packets);
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction_lost = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8;
        let lost = i64::try_from(expected).unwrap_or(i64::MAX) - i64::try_from(self.packets).unwrap_or(i64::MAX);
        let (last_sender_report, delay_since) = self.last_report.map_or((0, 0), |(middle, at)| {
            let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            (middle, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: source.highest as u32,
            jitter: (self.jitter_q4 >> 4) as u32,
            last_sender_report,
            delay_since,
        })
    }

    /// The figures so far.
    #[must_use]
    pub fn snapshot(&self) -> StreamStats {
        let expected = self.earlier_expected + self.source.map_or(0, |s| s.expected());
        StreamStats {
            packets: self.packets,
            bytes: self.bytes,
            lost: expected.saturating_sub(self.packets),
            jitter: Duration::from_secs_f64((self.jitter_q4 >> 4) as f64 / f64::from(self.clock_rate)),
        }
    }
}

impl Source {
    fn new(epoch: Instant, header: &RtpHeader, clock_rate: u32, now: Instant) -> Self {
        let first = u64::from(header.sequence);
        Self {
            base: first,
            highest: first,
            bad: None,
            epoch,
            transit: transit(epoch, now, header.timestamp, clock_rate),
        }
    }

    fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }
}

/// Arrival minus media time, in clock units.
fn transit(epoch: Instant, now: Instant, timestamp: u32, clock_rate: u32) -> i64 {
    clock_units(now.saturating_duration_since(epoch), clock_rate) as i64 - i64::from(timestamp)
}

fn clock_units(time: Duration, clock_rate: u32) -> u64 {
    (time.as_micros() * u128::from(clock_rate) / 1_000_000) as u64
}

/// What a sender of one stream must remember for its reports and for the round-trip time.
#[derive(Clone, Debug)]
pub struct SenderState {
    ssrc: u32,
    clock_rate: u32,
    packets: u64,
    octets: u64,
    last_sent: Option<(Instant, u32)>,
    last_report: Option<Instant>,
    unreported: bool,
    /// Middle of the NTP time and moment of the last reports, newest last.
    reports: [Option<(u32, Instant)>; 4],
    round_trip: Option<Duration>,
    fraction_lost: u8,
}

impl SenderState {
    /// For a stream with a clock of `clock_rate` Hz.
    #[must_use]
    pub fn new(ssrc: u32, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate,
            packets: 0,
            octets: 0,
            last_sent: None,
            last_report: None,
            unreported: false,
            reports: [None; 4],
            round_trip: None,
            fraction_lost: 0,
        }
    }

    /// A packet goes out now. `rtp_time` is its timestamp.
    pub fn sent(&mut self, now: Instant, rtp_time: u32, payload_len: usize) {
        self.packets += 1;
        self.octets += payload_len as u64;
        // The first packet of a frame is the closest to its capture.
        if self.last_sent.is_none_or(|(_, last)| last != rtp_time) {
            self.last_sent = Some((now, rtp_time));
        }
        self.unreported = true;
    }

    /// When [`Self::poll_report`] gives the next report: 1 s after the last one, if anything was sent since.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        let (sent, _) = self.last_sent.filter(|_| self.unreported)?;
        Some(self.last_report.map_or(sent, |last| last + SENDER_REPORT_INTERVAL))
    }

    /// The sender report if it is due. `ntp` is the wall clock at `now`.
    pub fn poll_report(&mut self, now: Instant, ntp: u64) -> Option<SenderInfo> {
        self.timeout().filter(|&due| due <= now)?;
        Some(self.report(now, ntp))
    }

    /// A sender report at once.
    pub fn report(&mut self, now: Instant, ntp: u64) -> SenderInfo {
        let rtp_time = self.last_sent.map_or(0, |(at, rtp)| {
            rtp.wrapping_add(clock_units(now.saturating_duration_since(at), self.clock_rate) as u32)
        });
        self.last_report = Some(now);
        self.unreported = false;
        self.reports.rotate_left(1);
        self.reports[3] = Some((ntp_middle(ntp), now));
        SenderInfo { ssrc: self.ssrc, ntp, rtp_time, packets: self.packets as u32, octets: self.octets as u32 }
    }

    /// A receiver reported on this stream. Returns the round-trip time if it quotes one of the last sender reports.
    pub fn reported(&mut self, now: Instant, block: &ReportBlock) -> Option<Duration> {
        self.fraction_lost = block.fraction_lost;
        let (_, sent) = self.reports.iter().flatten().find(|(middle, _)| *middle == block.last_sender_report)?;
        let held = Duration::from_micros(u64::from(block.delay_since) * 1_000_000 / 65_536);
        let round_trip = now.saturating_duration_since(*sent).saturating_sub(held);
        self.round_trip = Some(round_trip);
        self.round_trip
    }

    /// The last measured round-trip time.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Loss in percent that the receiver last reported.
    #[must_use]
    pub fn loss_percent(&self) -> f32 {
        f32::from(self.fraction_lost) / 2.56
    }

    /// Packets sent.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload bytes sent.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::rtcp::ntp_from_unix;
    use proptest::prelude::*;

    fn header(sequence: u16, timestamp: u32) -> RtpHeader {
        RtpHeader { sequence, timestamp, ssrc: 5, ..RtpHeader::default() }
    }

    #[test]
    fn loss_over_a_wrap() {
        let base = Instant::now();
        let mut stats = ReceiverStats::new(5, 90_000);
        for n in (0..100u16).filter(|n| n % 4 != 1) {
            stats.received(base, &header(65_500u16.wrapping_add(n), 0), 10);
        }
        let block = stats.report_block(base).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost, block.highest_sequence), (64, 25, 65_536 + 63));
        assert_eq!((stats.snapshot().lost, stats.snapshot().bytes), (25, 750));
        for n in 100..110 {
            stats.received(base, &header(65_500u16.wrapping_add(n), 0), 10);
        }
        let block = stats.report_block(base).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 25));
    }

    #[test]
    fn jitter_settles_at_the_mean_difference() {
        let base = Instant::now();
        let mut stats = ReceiverStats::new(5, 48_000);
        for n in 0..1000u32 {
            // Every second packet is 10 ms late: each difference is 10 ms.
            let late = u64::from(n % 2) * 10;
            let at = base + Duration::from_millis(u64::from(n) * 20 + late);
            stats.received(at, &header(n as u16, (n * 960).wrapping_sub(5_000)), 100);
        }
        let jitter = stats.snapshot().jitter.as_secs_f64() * 1000.0;
        assert!((9.0..11.0).contains(&jitter), "{jitter}");
    }

    #[test]
    fn a_restart_counts_no_loss() {
        let base = Instant::now();
        let mut stats = ReceiverStats::new(5, 90_000);
        for sequence in [10, 11, 12, 40_000, 13, 30_000, 30_001, 30_002] {
            stats.received(base, &header(sequence, 0), 1);
        }
        assert_eq!(stats.snapshot().lost, 0);
        assert_eq!(stats.report_block(base).unwrap().highest_sequence, 30_002);
    }

    #[test]
    fn round_trip_through_both_ends() {
        let base = Instant::now();
        let ms = Duration::from_millis;
        let mut sender = SenderState::new(5, 90_000);
        let mut receiver = ReceiverStats::new(5, 90_000);
        assert_eq!(sender.timeout(), None);
        sender.sent(base, 1_000, 500);
        assert_eq!(sender.timeout(), Some(base));
        let info = sender.poll_report(base + ms(10), ntp_from_unix(ms(5_000))).unwrap();
        assert_eq!((info.rtp_time, info.packets, info.octets), (1_900, 1, 500));
        assert_eq!(sender.poll_report(base + ms(2_000), 1), None);
        receiver.received(base + ms(20), &header(1, 1_000), 500);
        receiver.sender_report(base + ms(30), info.ntp);
        let block = receiver.report_block(base + ms(530)).unwrap();
        let round_trip = sender.reported(base + ms(550), &block).unwrap();
        assert!(round_trip.abs_diff(ms(40)) < ms(1), "{round_trip:?}");
        sender.sent(base + ms(600), 2_000, 1);
        assert_eq!(sender.timeout(), Some(base + ms(1_010)));
    }

    proptest! {
        #[test]
        fn any_packets_any_time(packets in proptest::collection::vec((any::<u16>(), any::<u32>(), 0u64..10_000_000), 0..200)) {
            let base = Instant::now();
            let mut stats = ReceiverStats::new(1, 0);
            for (sequence, timestamp, at) in packets {
                let now = base + Duration::from_millis(at);
                stats.received(now, &header(sequence, timestamp), 5);
                let _ = (stats.report_block(now), stats.snapshot());
            }
        }
    }
}
