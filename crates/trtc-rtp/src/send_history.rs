//! What was sent under which transport-wide number (draft-holmer-rmcat-transport-wide-cc-extensions-01), until feedback tells
//! what became of it.
use std::time::{Duration, Instant};

/// Packets remembered: half a second at 20 Mbit/s, several at the rates of one viewer. A power of two.
const CAPACITY: usize = 1024;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unknown,
    Lost,
    Received,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Since the first packet, modulo 2^32 us.
    at_us: u32,
    bytes: u16,
    fate: Fate,
}

/// A ring of the packets that were sent last. Allocated with the first one; nothing grows.
#[derive(Clone, Debug, Default)]
pub struct SendHistory {
    packets: Vec<Sent>,
    epoch: Option<Instant>,
    next: u16,
    /// Numbers in use, up to the capacity.
    known: usize,
}

/// News about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// When it was sent, since the first packet.
    pub sent: Duration,
    /// Its size.
    pub bytes: u16,
    /// It was taken for lost before.
    pub was_lost: bool,
}

impl SendHistory {
    /// The number of the next packet.
    #[must_use]
    pub fn next_sequence(&self) -> u16 {
        self.next
    }

    /// The packet with that number left.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        let at_us = self.since_epoch(now).as_micros() as u32;
        let sent = Sent { at_us, bytes: u16::try_from(bytes).unwrap_or(u16::MAX), fate: Fate::Unknown };
        if self.packets.is_empty() {
            self.packets = vec![sent; CAPACITY];
        }
        self.packets[usize::from(self.next) % CAPACITY] = sent;
        self.next = self.next.wrapping_add(1);
        self.known = (self.known + 1).min(CAPACITY);
    }

    /// What was sent so far is none of ours any more; the numbers go on.
    pub fn forget(&mut self) {
        self.known = 0;
    }

    /// Feedback says that a packet arrived: `None` when that is old news or it was never sent.
    pub fn received(&mut self, now: Instant, sequence: u16) -> Option<News> {
        let now_us = self.since_epoch(now).as_micros() as u64;
        let sent = self.find(sequence)?;
        let was_lost = match std::mem::replace(&mut sent.fate, Fate::Received) {
            Fate::Received => return None,
            Fate::Lost => true,
            Fate::Unknown => false,
        };
        let age_us = (now_us as u32).wrapping_sub(sent.at_us);
        Some(News { sent: Duration::from_micros(now_us - u64::from(age_us).min(now_us)), bytes: sent.bytes, was_lost })
    }

    /// Feedback says that a packet has not arrived; `true` when that is news.
    pub fn lost(&mut self, sequence: u16) -> bool {
        let Some(sent) = self.find(sequence).filter(|sent| sent.fate == Fate::Unknown) else { return false };
        sent.fate = Fate::Lost;
        true
    }

    /// Time since the first packet.
    pub fn since_epoch(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.epoch.get_or_insert(now))
    }

    fn find(&mut self, sequence: u16) -> Option<&mut Sent> {
        let behind = usize::from(self.next.wrapping_sub(sequence));
        if !(1..=self.known).contains(&behind) {
            return None;
        }
        self.packets.get_mut(usize::from(sequence) % CAPACITY)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_lately_and_only_once() {
        let (mut history, start) = (SendHistory { next: 65_530, ..SendHistory::default() }, Instant::now());
        assert_eq!(history.received(start, 65_529), None);
        for n in 0..20u64 {
            assert_eq!(history.next_sequence(), 65_530u16.wrapping_add(n as u16));
            history.sent(start + Duration::from_millis(n), 100 + n as usize);
        }
        let later = start + Duration::from_millis(50);
        let news = |ms, bytes, was_lost| Some(News { sent: Duration::from_millis(ms), bytes, was_lost });
        assert_eq!(history.received(later, 65_530), news(0, 100, false));
        assert_eq!(history.received(later, 65_530), None, "told twice");
        assert!(history.lost(2) && !history.lost(2) && !history.lost(65_530) && !history.lost(14));
        assert_eq!(history.received(later, 2), news(8, 108, true));
        assert_eq!(history.received(later, 14), None, "not sent yet");
        assert_eq!(history.received(later, 65_529), None, "before the first");
        for _ in 0..CAPACITY {
            history.sent(later, 1);
        }
        assert_eq!(history.received(later, 13), None, "its place is taken");
        assert_eq!(history.packets.len(), CAPACITY);
        // The 32 bits of the time wrap after 71 minutes.
        let hours = start + Duration::from_secs(7_200);
        history.sent(hours, 9);
        let last = history.next_sequence().wrapping_sub(1);
        assert_eq!(history.received(hours + Duration::from_secs(1), last), news(7_200_000, 9, false));
    }
}
