//! Which lost packets to ask for, and when to stop asking.
use crate::sequence::Unwrapper;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A packet may arrive this many places late without being asked for.
const REORDER: u64 = 3;
/// Without later packets, a gap is asked for after this time.
const REORDER_TIME: Duration = Duration::from_millis(40);
const CYCLE: Duration = Duration::from_millis(20);
const RETRY: Duration = Duration::from_millis(40);
const MAX_TRIES: u32 = 7;
const GIVE_UP: Duration = Duration::from_millis(1500);
/// A longer gap is a break: nothing of it is asked for.
const MAX_GAP: u64 = 1000;
const MAX_MISSING: usize = 1000;
/// The first packets of a stream may arrive in any order within this window.
const START_WINDOW: u64 = 32;

/// Finds gaps in a stream of sequence numbers and asks for the missing packets: 20 ms cycle, retry after n x 40 ms (or n
/// round trips), at most 7 tries and 1.5 s.
#[derive(Clone, Debug, Default)]
pub struct NackGenerator {
    unwrapper: Unwrapper,
    missing: BTreeMap<u64, Missing>,
    /// The lowest index seen, while the stream is young.
    start: Option<u64>,
    retry: Option<Duration>,
    last_cycle: Option<Instant>,
    given_up: u64,
    asked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    since: Instant,
    tries: u32,
    due: Instant,
}

impl NackGenerator {
    /// A generator for one source.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells the round-trip time: retries wait at least that long.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        let bounded = round_trip.min(Duration::from_millis(500)) + Duration::from_millis(10);
        self.retry = Some(bounded.max(RETRY));
    }

    /// A packet arrived, by itself or as a retransmission.
    pub fn received(&mut self, now: Instant, sequence: u16) {
        let before = self.unwrapper.highest();
        let index = self.unwrapper.unwrap(sequence);
        let Some(highest) = before else {
            self.start = Some(index);
            return;
        };
        if index <= highest {
            self.missing.remove(&index);
            self.extend_start(now, index, highest);
            return;
        }
        if index - highest > MAX_GAP {
            self.give_up_all();
            return;
        }
        self.add_missing(now, highest + 1..index);
        while self.missing.len() > MAX_MISSING {
            self.missing.pop_first();
            self.given_up += 1;
        }
        if !self.missing.is_empty() {
            self.hurry(now, index);
        }
    }

    /// Appends the sequence numbers to ask for now, in ascending order.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<u16>) {
        if self.missing.is_empty() || self.last_cycle.is_some_and(|last| now < last + CYCLE) {
            return;
        }
        let (retry, before) = (self.retry.unwrap_or(RETRY), out.len());
        self.missing.retain(|&index, entry| {
            let keep = now < entry.since + GIVE_UP && (entry.tries < MAX_TRIES || now < entry.due);
            if keep && entry.due <= now {
                entry.tries += 1;
                entry.due = now + retry * entry.tries;
                out.push(index as u16);
            }
            self.given_up += u64::from(!keep);
            keep
        });
        if out.len() > before {
            self.asked += (out.len() - before) as u64;
            self.last_cycle = Some(now);
        }
    }

    /// When [`Self::poll`] has something to do next.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        let due = self.missing.values().map(|entry| entry.due.min(entry.since + GIVE_UP)).min()?;
        Some(self.last_cycle.map_or(due, |last| due.max(last + CYCLE)))
    }

    /// Since when the packet is known to be missing and still hoped for; `None` once it came or was given up.
    #[must_use]
    pub fn pending_since(&self, sequence: u16) -> Option<Instant> {
        self.missing.get(&self.unwrapper.peek(sequence)).map(|entry| entry.since)
    }

    /// Whether the packet is being asked for, or about to be.
    #[must_use]
    pub fn is_pending(&self, sequence: u16) -> bool {
        self.pending_since(sequence).is_some()
    }

    /// Stops asking for anything before `sequence`.
    pub fn forget_before(&mut self, sequence: u16) {
        self.start = None;
        if !self.missing.is_empty() {
            let first = self.unwrapper.peek(sequence);
            self.missing = self.missing.split_off(&first);
        }
    }

    /// A generator for the same source after it started anew: counters and round-trip time stay.
    #[must_use]
    pub fn restarted(&self) -> Self {
        let given_up = self.given_up + self.missing.len() as u64;
        Self { retry: self.retry, given_up, asked: self.asked, ..Self::default() }
    }

    /// Packets given up so far.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Requests made so far, one for each packet and try.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked
    }

    fn add_missing(&mut self, now: Instant, lost: std::ops::Range<u64>) {
        self.missing.extend(lost.map(|index| (index, Missing { since: now, tries: 0, due: now + REORDER_TIME })));
    }

    /// The first packet to arrive need not be the first that was sent: what lies between is missing too.
    fn extend_start(&mut self, now: Instant, index: u64, highest: u64) {
        let Some(start) = self.start else { return };
        if highest - index > START_WINDOW {
            self.start = None;
        } else if index < start {
            self.start = Some(index);
            self.add_missing(now, index + 1..start);
        }
    }

    /// Makes gaps due that no reordering explains any more.
    fn hurry(&mut self, now: Instant, highest: u64) {
        // Entries younger than the reorder window may still come by themselves.
        for (_, entry) in self.missing.range_mut(..highest.saturating_sub(REORDER)).rev() {
            if entry.tries > 0 {
                break; // everything older was hurried before
            }
            entry.due = entry.due.min(now);
        }
    }

    fn give_up_all(&mut self) {
        self.given_up += self.missing.len() as u64;
        self.missing.clear();
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn ms(base: Instant, ms: u64) -> Instant {
        base + Duration::from_millis(ms)
    }

    fn ask(nack: &mut NackGenerator, now: Instant) -> Vec<u16> {
        let mut out = Vec::new();
        nack.poll(now, &mut out);
        out
    }

    #[test]
    fn three_places_late_is_not_lost() {
        let (base, mut nack) = (Instant::now(), NackGenerator::new());
        for sequence in [10, 12, 13, 14] {
            nack.received(base, sequence);
            assert!(ask(&mut nack, base).is_empty());
        }
        nack.received(base, 11);
        assert_eq!(nack.timeout(), None);
        for sequence in [16, 17, 18, 19] {
            nack.received(base, sequence);
        }
        assert_eq!(ask(&mut nack, base), [15]);
    }

    #[test]
    fn the_start_may_be_reordered() {
        let (base, mut nack) = (Instant::now(), NackGenerator::new());
        nack.received(base, 3);
        nack.received(base, 1);
        assert!(nack.is_pending(2) && !nack.is_pending(0));
        nack.received(base, 50);
        nack.received(base, 0);
        assert!(!nack.is_pending(0) && nack.is_pending(2));
    }

    #[test]
    fn a_gap_at_the_end_is_asked_for_by_time() {
        let (base, mut nack) = (Instant::now(), NackGenerator::new());
        nack.received(base, 65_534);
        nack.received(base, 1);
        assert!(ask(&mut nack, base).is_empty());
        assert_eq!(nack.timeout(), Some(ms(base, 40)));
        assert_eq!(ask(&mut nack, ms(base, 40)), [65_535, 0]);
    }

    #[test]
    fn retries_back_off_and_end() {
        let (base, mut nack) = (Instant::now(), NackGenerator::new());
        nack.received(base, 1);
        nack.received(base, 10);
        let mut times = Vec::new();
        while let Some(at) = nack.timeout() {
            let lost = ask(&mut nack, at);
            if lost.contains(&2) {
                times.push((at - base).as_millis());
            }
            assert!(at < ms(base, 2000));
        }
        assert_eq!(times, [0, 40, 120, 240, 400, 600, 840]);
        assert_eq!((nack.given_up(), nack.is_pending(2)), (8, false));
    }

    #[test]
    fn cycle_round_trip_and_bounds() {
        let (base, mut nack) = (Instant::now(), NackGenerator::new());
        nack.set_round_trip(Duration::from_millis(200));
        nack.received(base, 1);
        nack.received(base, 6);
        assert_eq!(ask(&mut nack, base), [2]);
        // Becomes due at once, but waits for the cycle.
        nack.received(ms(base, 5), 7);
        assert_eq!(nack.timeout(), Some(ms(base, 20)));
        assert!(ask(&mut nack, ms(base, 5)).is_empty());
        assert_eq!(ask(&mut nack, ms(base, 20)), [3]);
        assert_eq!(ask(&mut nack, ms(base, 40)), [4, 5]);
        assert!(ask(&mut nack, ms(base, 150)).is_empty());
        assert_eq!(ask(&mut nack, ms(base, 210)), [2]);
        nack.forget_before(5);
        assert!(!nack.is_pending(4) && nack.is_pending(5));
        // A jump of more than a thousand is a new start.
        nack.received(ms(base, 211), 5_000);
        assert_eq!(nack.timeout(), None);
        for step in 1..100u16 {
            nack.received(ms(base, 212), 5_000u16.wrapping_add(step.wrapping_mul(900)));
        }
        assert!(nack.missing.len() <= MAX_MISSING);
    }
}
