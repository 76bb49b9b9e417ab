//! The receiver's side of transport-wide congestion control: when each packet came.
use crate::rtcp;
use crate::sequence::Unwrapper;
use std::time::{Duration, Instant};

/// A report goes out at this many packets ..
const PACKETS: usize = 20;
/// .. or this long after the first unreported one.
const INTERVAL: Duration = Duration::from_millis(90);
/// Unreported packets kept; later ones are dropped and counted.
const MAX_PENDING: usize = 1024;
/// Losses before the first packet of a report are listed up to this many.
const MAX_LEADING_LOSS: u64 = 200;

/// Collects arrivals of all streams of a transport by their transport-wide numbers, and writes feedback about them.
#[derive(Clone, Debug, Default)]
pub struct TransportFeedbackRecorder {
    unwrapper: Unwrapper,
    epoch: Option<Instant>,
    /// (index, arrival in us since the epoch), ascending by index.
    pending: Vec<(u64, u64)>,
    oldest: Option<Instant>,
    next_index: Option<u64>,
    count: u8,
    dropped: u64,
}

impl TransportFeedbackRecorder {
    /// A recorder for one transport.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet with this transport-wide number arrived.
    pub fn received(&mut self, now: Instant, twcc_seq: u16) {
        let epoch = *self.epoch.get_or_insert(now);
        let index = self.unwrapper.unwrap(twcc_seq);
        if self.pending.len() >= MAX_PENDING {
            self.dropped += 1;
            return;
        }
        let arrival = (index, now.saturating_duration_since(epoch).as_micros() as u64);
        // Nearly always the end.
        match self.pending.iter().rposition(|&(other, _)| other <= index) {
            Some(at) if self.pending[at].0 == index => return,
            Some(at) => self.pending.insert(at + 1, arrival),
            None => self.pending.insert(0, arrival),
        }
        self.oldest.get_or_insert(now);
    }

    /// Appends a feedback packet to `out` if one is due. Call again while it returns `true`.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) -> bool {
        let due = self.pending.len() >= PACKETS || self.oldest.is_some_and(|oldest| now >= oldest + INTERVAL);
        let (true, Some(&(first, _))) = (due, self.pending.first()) else { return false };
        let start = self.next_index.filter(|&next| next < first && first - next <= MAX_LEADING_LOSS).unwrap_or(first);
        let written = rtcp::transport_feedback(out, sender_ssrc, media_ssrc, self.count, start, &self.pending).max(1);
        let last = self.pending[written - 1].0;
        self.pending.drain(..written);
        self.next_index = Some(self.next_index.map_or(last + 1, |next| next.max(last + 1)));
        self.count = self.count.wrapping_add(1);
        // What did not fit is as old as before.
        if self.pending.is_empty() {
            self.oldest = None;
        }
        true
    }

    /// When [`Self::poll`] has something to send at the latest.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.oldest.map(|oldest| if self.pending.len() >= PACKETS { oldest } else { oldest + INTERVAL })
    }

    /// Arrivals that were dropped because nobody polled.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::rtcp::Rtcp;

    fn packets(data: &[u8]) -> Vec<(u16, Option<i64>)> {
        rtcp::parse(data)
            .flat_map(|p| match p {
                Rtcp::TransportFeedback(f) => f.packets().collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn by_count_by_time_and_with_the_losses_between_reports() {
        let base = Instant::now();
        let mut recorder = TransportFeedbackRecorder::new();
        let mut out = Vec::new();
        for n in 0..20u16 {
            assert!(!recorder.poll(base, &mut out, 1, 2));
            recorder.received(base + Duration::from_millis(u64::from(n)), 65_530u16.wrapping_add(n));
        }
        assert!(recorder.poll(base, &mut out, 1, 2) && !recorder.poll(base, &mut out, 1, 2));
        let first = packets(&out);
        assert_eq!((first.len(), first[0], first[19]), (20, (65_530, Some(0)), (13, Some(19_000))));
        assert_eq!(recorder.timeout(), None);
        let later = base + Duration::from_secs(1);
        for sequence in [17, 16, 16, 18] {
            recorder.received(later, sequence);
        }
        assert!(!recorder.poll(later, &mut out, 1, 2));
        let due = recorder.timeout().unwrap();
        assert_eq!(due, later + INTERVAL);
        out.clear();
        assert!(recorder.poll(due, &mut out, 1, 2));
        let second = packets(&out);
        let lost: Vec<_> = second.iter().filter(|(_, t)| t.is_none()).map(|&(s, _)| s).collect();
        assert_eq!((lost, second.len()), (vec![14, 15], 5));
    }

    #[test]
    fn a_hostile_sender_is_bounded() {
        let base = Instant::now();
        let mut recorder = TransportFeedbackRecorder::new();
        for n in 0..5_000u32 {
            recorder.received(base + Duration::from_secs(u64::from(n) * 30), (n * 31_000) as u16);
        }
        assert!(recorder.pending.len() <= MAX_PENDING && recorder.dropped() > 0);
        let (mut out, mut polls) = (Vec::new(), 0);
        while recorder.poll(base + Duration::from_secs(1_000_000), &mut out, 1, 2) {
            polls += 1;
            out.clear();
        }
        assert!(polls <= MAX_PENDING && recorder.timeout().is_none());
    }
}
