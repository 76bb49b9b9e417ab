//! The network between two ends in virtual time.
use super::Random;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Datagrams under way between the ends 0 and 1: late, in some disorder, or lost.
pub struct Wire {
    pub random: Random,
    pub loss_percent: u32,
    pub delay: Duration,
    /// Added to the delay by chance; it brings disorder.
    pub jitter: Duration,
    /// Receiver and bytes, by arrival and order of sending.
    flying: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    order: u64,
}

impl Wire {
    /// 25 ms one way with up to 2 ms of jitter, nothing lost.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random(seed | 1),
            loss_percent: 0,
            delay: Duration::from_millis(25),
            jitter: Duration::from_millis(2),
            flying: BTreeMap::new(),
            order: 0,
        }
    }

    /// Sends a datagram to an end.
    pub fn send(&mut self, now: Instant, to: usize, datagram: Vec<u8>) {
        if !self.random.chance(self.loss_percent) {
            self.order += 1;
            let jitter = Duration::from_micros(self.random.below(self.jitter.as_micros() as usize) as u64);
            self.flying.insert((now + self.delay + jitter, self.order), (to, datagram));
        }
    }

    /// Loses everything that is under way.
    pub fn lose(&mut self) {
        self.flying.clear();
    }

    /// When the next datagram arrives.
    pub fn arrival(&self) -> Option<Instant> {
        self.flying.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next datagram that has arrived by `now`, with its receiver.
    pub fn receive(&mut self, now: Instant) -> Option<(usize, Vec<u8>)> {
        let next = self.flying.first_entry()?;
        (next.key().0 <= now).then(|| next.remove())
    }
}
