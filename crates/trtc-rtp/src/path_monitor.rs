//! What transport-wide feedback says about the path to a receiver: how much arrives, how much is lost, whether a queue grows.
use crate::delay_trend::{DelayTrend, Usage};
use crate::rtcp::TransportFeedback;
use crate::send_history::{News, SendHistory};
use std::time::{Duration, Instant};

/// What arrived is counted over two of these.
const WINDOW_US: i64 = 150_000;
/// A growing delay counts as a queue when even the fastest packet of two windows took so much longer than the fastest of late:
/// a busy receiver takes packets late too, but then several at once, and the last of them has not waited.
const QUEUE: Duration = Duration::from_millis(25);
/// The fastest is looked for in this time and the same time before.
const FASTEST_WINDOW_US: i64 = 10_000_000;
/// Loss is told over at least this time and so many packets.
const LOSS_WINDOW: Duration = Duration::from_secs(1);
const LOSS_PACKETS: u32 = 20;
/// Packets that are looked at in one feedback. A sender of the numbers remembers no more.
const LOOK_MAX: usize = 1024;
/// The receiver's 24-bit clock in units of 64 ms comes round.
/// Nothing is compared over a longer time, so a clock that jumps by more begins anew.
const STEP_MAX_US: i64 = 60_000_000;
const CLOCK_US: i64 = (1 << 24) * 64_000;

/// The sender's books of one transport.
#[derive(Clone, Debug, Default)]
pub struct PathMonitor {
    history: SendHistory,
    trend: DelayTrend,
    arrivals: Arrivals,
    clock: Option<Clock>,
    /// Feedback told news last.
    heard: Option<Instant>,
    losses: Losses,
    round_trip: Option<Duration>,
    /// Bytes without a number on the same transport since the last full window.
    plain_bytes: u64,
}

/// What one feedback taught.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PathReport {
    /// More is sent than the path carries ([`Usage::Over`]), and a queue proves it.
    pub usage: Usage,
    /// What arrives, in bits per second; `None` in the first moments.
    pub delivered_bps: Option<u64>,
    /// The part of the packets that was lost lately, 0 to 1; about once a second.
    pub loss: Option<f64>,
    /// How long packets wait now: what the fastest of the last moments took longer than the fastest of late.
    pub queue: Duration,
}

impl PathMonitor {
    /// The transport-wide number of the next packet.
    #[must_use]
    pub fn next_sequence(&self) -> u16 {
        self.history.next_sequence()
    }

    /// The packet with that number left.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        self.history.sent(now, bytes);
    }

    /// A packet without a number left, over which nobody reports; it counts as delivered.
    pub fn sent_plain(&mut self, bytes: usize) {
        self.plain_bytes += bytes as u64;
    }

    /// Feedback came; of everything that it says about packets that were not sent, or that is old, nothing is taken.
    pub fn feedback(&mut self, now: Instant, feedback: &TransportFeedback<'_>) -> PathReport {
        if !self.is_heard(now) {
            self.losses = Losses::default(); // of before a pause
        }
        let reference = self.clock.get_or_insert_with(|| Clock::new(feedback.reference_us()));
        let shift = reference.unroll(feedback.reference_us()) - feedback.reference_us();
        let now_us = self.history.since_epoch(now).as_micros() as i64;
        let mut newest = None;
        for (sequence, arrival) in feedback.packets().take(LOOK_MAX) {
            let Some(arrival_us) = arrival else {
                self.losses.lost(u32::from(self.history.lost(sequence)));
                continue;
            };
            let Some(News { sent, bytes, was_lost }) = self.history.received(now, sequence) else { continue };
            self.losses.received(was_lost);
            let (sent_us, arrival_us) = (sent.as_micros() as i64, arrival_us + shift);
            self.trend.arrived(sent_us, arrival_us);
            self.arrivals.add(sent_us, arrival_us, u64::from(bytes), &mut self.plain_bytes);
            newest = newest.max(Some(sent_us));
        }
        if let Some(sent_us) = newest {
            self.heard = Some(now);
            self.round_trip = Some(Duration::from_micros((now_us - sent_us).max(0) as u64));
        }
        let queue = self.arrivals.queue();
        let usage = match self.trend.usage() {
            Usage::Over if newest.is_none() || queue < QUEUE => Usage::Normal,
            usage => usage,
        };
        PathReport { usage, delivered_bps: self.arrivals.delivered_bps(), loss: self.losses.take(now), queue }
    }

    /// The path is another one, or was dead: what is known of delays and losses is not about it. The numbers go on.
    pub fn restart(&mut self) {
        self.history.forget();
        self.trend.restart();
        (self.arrivals, self.losses) = Default::default();
        (self.round_trip, self.plain_bytes) = (None, 0);
    }

    /// Whether feedback came within the last seconds, so that it is known better than by reports.
    #[must_use]
    pub fn is_heard(&self, now: Instant) -> bool {
        self.heard.is_some_and(|at| now.saturating_duration_since(at) < 3 * LOSS_WINDOW)
    }

    /// From sending a packet to the feedback about it.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

/// The receiver's clock, unrolled.
#[derive(Clone, Copy, Debug)]
struct Clock {
    raw_us: i64,
    total_us: i64,
}

impl Clock {
    fn new(raw_us: i64) -> Self {
        Self { raw_us, total_us: raw_us }
    }

    fn unroll(&mut self, raw_us: i64) -> i64 {
        let step = (raw_us - self.raw_us + CLOCK_US / 2).rem_euclid(CLOCK_US) - CLOCK_US / 2;
        if step.abs() > STEP_MAX_US {
            *self = Self::new(raw_us);
            return raw_us;
        }
        (self.raw_us, self.total_us) = (raw_us, self.total_us + step);
        self.total_us
    }
}

#[derive(Clone, Debug, Default)]
struct Losses {
    since: Option<Instant>,
    lost: u32,
    received: u32,
}

impl Losses {
    fn lost(&mut self, count: u32) {
        self.lost += count;
    }

    fn received(&mut self, was_lost: bool) {
        self.received += 1;
        // It may have been counted before the window.
        self.lost = self.lost.saturating_sub(u32::from(was_lost));
    }

    fn take(&mut self, now: Instant) -> Option<f64> {
        let since = *self.since.get_or_insert(now);
        let total = self.lost + self.received;
        if now.saturating_duration_since(since) < LOSS_WINDOW || total < LOSS_PACKETS {
            return None;
        }
        let lost = f64::from(self.lost) / f64::from(total);
        *self = Self { since: Some(now), ..Self::default() };
        Some(lost)
    }
}

/// Rate and delay of what arrives, by the receiver's clock.
#[derive(Clone, Debug)]
struct Arrivals {
    running: Option<Window>,
    /// The two before it, the newer one first.
    full: [Option<Window>; 2],
    /// Fastest of the running time and of the one before (the greatest number: none), with the start of the running one.
    fastest_us: [i64; 2],
    fastest_since_us: i64,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start_us: i64,
    length_us: i64,
    bytes: u64,
    fastest_us: i64,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { running: None, full: [None; 2], fastest_us: [i64::MAX; 2], fastest_since_us: 0 }
    }
}

impl Arrivals {
    fn add(&mut self, sent_us: i64, arrival_us: i64, bytes: u64, plain_bytes: &mut u64) {
        let delay_us = arrival_us - sent_us;
        if self.fastest_us[0] == i64::MAX || arrival_us - self.fastest_since_us >= FASTEST_WINDOW_US {
            self.fastest_us = [i64::MAX, self.fastest_us[0]];
            self.fastest_since_us = arrival_us;
        }
        self.fastest_us[0] = self.fastest_us[0].min(delay_us);
        let fresh = Window { start_us: arrival_us, length_us: 0, bytes: 0, fastest_us: delay_us };
        if self.running.is_none() {
            *plain_bytes = 0; // of before, over whatever time
        }
        let running = self.running.get_or_insert(fresh);
        let length_us = arrival_us - running.start_us;
        // A clock that jumps begins anew.
        if !(-WINDOW_US..FASTEST_WINDOW_US).contains(&length_us) {
            *self = Self { running: Some(fresh), ..Self::default() };
            *plain_bytes = 0;
            return;
        }
        if length_us >= WINDOW_US {
            let bytes = running.bytes + std::mem::take(plain_bytes);
            self.full = [Some(Window { length_us, bytes, ..*running }), self.full[0]];
            *running = fresh;
        }
        running.bytes += bytes;
        running.length_us = running.length_us.max(arrival_us - running.start_us);
        running.fastest_us = running.fastest_us.min(delay_us);
    }

    fn delivered_bps(&self) -> Option<u64> {
        let (newer, older) = (self.full[0]?, self.full[1]);
        let bytes = newer.bytes + older.map_or(0, |window| window.bytes);
        let length_us = newer.length_us + older.map_or(0, |window| window.length_us);
        Some(bytes.saturating_mul(8_000_000) / length_us.max(1) as u64)
    }

    fn queue(&self) -> Duration {
        let (Some(full), Some(running)) = (self.full[0], self.running) else { return Duration::ZERO };
        let fastest_us = self.fastest_us[0].min(self.fastest_us[1]);
        let waited_us = full.fastest_us.min(running.fastest_us).saturating_sub(fastest_us);
        Duration::from_micros(u64::try_from(waited_us).unwrap_or(0))
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
