//! One RTP stream of a published track: the only stream, or one simulcast layer.
use std::time::{Duration, Instant};
use trtc_rtp::{NackGenerator, RetransmissionCache};

/// Requests for key frames are merged over this time.
pub(crate) const KEY_REQUEST_INTERVAL: Duration = Duration::from_millis(300);
/// A layer without packets for this long is not chosen.
const FLOWING: Duration = Duration::from_secs(1);
/// Bit rates are means over this time.
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// Packets further behind the newest one are dropped.
const WINDOW: u64 = 1024;

pub(crate) struct Layer {
    pub(crate) ssrc: u32,
    /// 0 is the smallest picture.
    pub(crate) rank: u8,
    pub(crate) cache: RetransmissionCache,
    pub(crate) nack: Option<NackGenerator>,
    /// Newest Sender Report: NTP and RTP time.
    pub(crate) report: Option<(u64, u32)>,
    highest: Option<u64>,
    seen: [u64; (WINDOW / 64) as usize],
    last_packet: Option<Instant>,
    window: Option<(Instant, u64)>,
    rate_bps: u64,
    key_wanted: bool,
    key_asked: Option<Instant>,
}

impl Layer {
    pub(crate) fn new(ssrc: u32, rank: u8, cache_packets: usize, nack: bool) -> Self {
        Self {
            ssrc,
            rank,
            cache: RetransmissionCache::new(cache_packets),
            nack: nack.then(NackGenerator::default),
            report: None,
            highest: None,
            seen: [0; (WINDOW / 64) as usize],
            last_packet: None,
            window: None,
            rate_bps: 0,
            key_wanted: false,
            key_asked: None,
        }
    }

    /// Unrolls a sequence number; `None` for a repetition or one that is too old. The flag says "newest so far".
    pub(crate) fn accept(&mut self, now: Instant, sequence: u16) -> Option<(u64, bool)> {
        if !self.is_flowing(now) {
            // The pause says nothing of the rate.
            (self.window, self.rate_bps) = (None, 0);
        }
        let Some(highest) = self.highest else {
            let first = (1 << 16) + u64::from(sequence);
            self.advance(first, first);
            self.last_packet = Some(now);
            return Some((first, true));
        };
        let distance = i64::from(sequence.wrapping_sub(highest as u16) as i16);
        let extended = highest.checked_add_signed(distance)?;
        if distance > 0 {
            self.advance(highest + 1, extended);
        } else if highest - extended >= WINDOW || self.seen(extended) {
            return None;
        } else {
            self.mark(extended);
        }
        self.last_packet = Some(now);
        Some((extended, distance > 0))
    }

    pub(crate) fn is_flowing(&self, now: Instant) -> bool {
        self.last_packet.is_some_and(|last| now.saturating_duration_since(last) < FLOWING)
    }

    /// Counts a packet for the bit rate.
    pub(crate) fn count(&mut self, now: Instant, bytes: usize) {
        let (since, sum) = self.window.get_or_insert((now, 0));
        *sum += bytes as u64;
        let elapsed = now.saturating_duration_since(*since);
        if elapsed >= RATE_WINDOW {
            self.rate_bps = *sum * 8_000_000 / elapsed.as_micros().max(1) as u64;
            self.window = Some((now, 0));
        }
    }

    /// Bits per second, the first second extrapolated; 0 when nothing flows.
    pub(crate) fn rate_bps(&self, now: Instant) -> u64 {
        match self.window {
            _ if !self.is_flowing(now) => 0,
            Some((since, sum)) if self.rate_bps == 0 => {
                let elapsed = now.saturating_duration_since(since).max(RATE_WINDOW / 4);
                sum * 8_000_000 / elapsed.as_micros() as u64
            }
            _ => self.rate_bps,
        }
    }

    pub(crate) fn want_key(&mut self) {
        self.key_wanted = true;
    }

    pub(crate) fn key_asked(&self) -> Option<Instant> {
        self.key_asked
    }

    pub(crate) fn key_came(&mut self) {
        self.key_wanted = false;
    }

    pub(crate) fn key_request_due(&self) -> Option<KeyRequest> {
        if !self.key_wanted {
            return None;
        }
        Some(self.key_asked.map_or(KeyRequest::Now, |asked| KeyRequest::At(asked + KEY_REQUEST_INTERVAL)))
    }

    pub(crate) fn poll_key_request(&mut self, now: Instant) -> bool {
        let due = match self.key_request_due() {
            None => false,
            Some(KeyRequest::Now) => true,
            Some(KeyRequest::At(at)) => at <= now,
        };
        if due {
            self.key_wanted = false;
            self.key_asked = Some(now);
        }
        due
    }

    fn advance(&mut self, from: u64, to: u64) {
        if to - from >= WINDOW {
            self.seen = [0; (WINDOW / 64) as usize];
        } else {
            for skipped in from..to {
                self.seen[Self::word(skipped)] &= !Self::bit(skipped);
            }
        }
        self.mark(to);
        self.highest = Some(to);
    }

    fn seen(&self, sequence: u64) -> bool {
        self.seen[Self::word(sequence)] & Self::bit(sequence) != 0
    }

    fn mark(&mut self, sequence: u64) {
        self.seen[Self::word(sequence)] |= Self::bit(sequence);
    }

    fn word(sequence: u64) -> usize {
        (sequence % WINDOW / 64) as usize
    }

    fn bit(sequence: u64) -> u64 {
        1 << (sequence % 64)
    }
}

pub(crate) enum KeyRequest {
    Now,
    At(Instant),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_old_packets_are_refused() {
        let now = Instant::now();
        let mut layer = Layer::new(1, 0, 8, false);
        let base = (1u64 << 16) + 65_530;
        assert_eq!(layer.accept(now, 65_530), Some((base, true)));
        assert_eq!(layer.accept(now, 65_530), None);
        assert_eq!(layer.accept(now, 4), Some((base + 10, true)));
        assert_eq!(layer.accept(now, 65_535), Some((base + 5, false)));
        assert_eq!(layer.accept(now, 65_535), None);
        assert_eq!(layer.accept(now, 2_000), Some((base + 2_006, true)));
        assert_eq!(layer.accept(now, 4), None, "outside the window");
        assert_eq!(layer.accept(now, 1_999), Some((base + 2_005, false)));
    }

    #[test]
    fn a_wrapped_window_forgets_what_it_must() {
        let now = Instant::now();
        let mut layer = Layer::new(1, 0, 8, false);
        for sequence in 0..1_024u16 {
            assert!(layer.accept(now, sequence).is_some());
        }
        assert!(layer.accept(now, 1_030).is_some());
        for sequence in 1_024..1_030u16 {
            assert!(layer.accept(now, sequence).is_some(), "{sequence}");
            assert!(layer.accept(now, sequence).is_none(), "{sequence}");
        }
    }
}
