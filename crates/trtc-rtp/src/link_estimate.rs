//! What the link to a receiver carries, judged by its sender from RTCP: transport-wide feedback, or loss and REMB without it, and
//! the round-trip time.
//!
//! Nothing is limited until something shows that the link is full, because a receiver that gets little cannot know how much
//! more would fit: its REMB follows what arrives (draft-alvestrand-rmcat-remb-03, and at most 1.5 times that in libwebrtc). Full is
//! - a queue that grows, by transport-wide feedback ([`PathMonitor`](crate::PathMonitor)): what arrives then is what is carried,
//! - a loss above 10 % (the loss-based controller of draft-ietf-rmcat-gcc-02 section 6), while a queue stands to what arrives,
//! - a round trip that takes 0.4 s longer than the fastest of late, three times in a row and never shorter: a queue has built up,
//! - a REMB that falls below what is sent.
//!
//! From then on there is a capacity. After a time without new signs it grows, and with that the next layer is tried, which
//! is the probe; that time doubles with every failure. When everything that is wanted fits, the limit is forgotten.
use crate::delay_trend::Usage;
use crate::path_monitor::PathReport;
use std::time::{Duration, Instant};

const LOSS_HIGH: f64 = 0.10;
/// Loss alone does not take more: it may have nothing to do with load.
const LOSS_FLOOR_BPS: u64 = 150_000;
/// Loss out of a standing queue is the link's: below this it takes no more.
const LOSS_QUEUE_FLOOR_BPS: u64 = 100_000;
/// A growing queue alone takes no more either.
const QUEUE_FLOOR_BPS: u64 = 250_000;
/// A shorter queue is no reason for another layer, which everybody sees.
const GROWING_QUEUE: Duration = Duration::from_millis(50);
const CAPACITY_MIN_BPS: u64 = 10_000;
const QUEUE: Duration = Duration::from_millis(400);
/// How long reports may still tell of what was lost on a dead path.
const PARDON: Duration = Duration::from_secs(2);
/// Slow round trips in a row; a busy machine makes one or two.
const SLOW: u32 = 3;
/// What is left after a delay, as in GCC.
const BACK_OFF_PERCENT: u64 = 85;
/// Feedback speaks of the past: after a decrease it is not believed for this long.
const SETTLE: Duration = Duration::from_secs(1);
const HOLD_MIN: Duration = Duration::from_secs(5);
const HOLD_MAX: Duration = Duration::from_secs(60);
/// With transport-wide feedback a try that fails is over before anybody sees much of it.
const HOLD_MAX_MEASURED: Duration = Duration::from_secs(20);
/// Between two steps of growth.
const GROWTH_INTERVAL: Duration = Duration::from_secs(1);
const RATE_WINDOW: Duration = Duration::from_millis(500);
/// The fastest round trip is looked for in this time and the same time before.
const ROUND_TRIP_WINDOW: Duration = Duration::from_secs(30);

/// The estimate for one transport. Fed the time; wants [`Self::tick`] at [`Self::timeout`].
#[derive(Clone, Debug, Default)]
pub struct LinkEstimator {
    capacity_bps: Option<u64>,
    sent_bps: u64,
    /// When the window of the rate began, and the count of bytes then.
    window: Option<(Instant, u64)>,
    last_remb_bps: Option<u64>,
    pardoned_until: Option<Instant>,
    round_trips: RoundTrips,
    decreased_at: Option<Instant>,
    hold: Duration,
    measured: bool,
    /// More than a growing queue showed that the link is full.
    hard: bool,
    grow_at: Option<Instant>,
    satisfied: bool,
}

impl LinkEstimator {
    /// Bytes sent so far over the transport; call it before giving feedback.
    pub fn sent(&mut self, now: Instant, total_bytes: u64) {
        let (since, before) = *self.window.get_or_insert((now, total_bytes));
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= RATE_WINDOW {
            let bits = total_bytes.saturating_sub(before).saturating_mul(8_000_000);
            self.sent_bps = bits / (elapsed.as_micros() as u64).max(1);
            self.window = Some((now, total_bytes));
        }
    }

    /// A Receiver Estimated Maximum Bitrate in bits per second.
    pub fn remb(&mut self, now: Instant, bps: u64) {
        let fell = self.last_remb_bps.replace(bps).is_some_and(|last| bps < last / 100 * 95);
        if fell && bps < self.sent_bps {
            self.decrease(now, bps, true);
        }
    }

    /// The part of the packets that was lost since the last report, 0 to 1.
    pub fn loss(&mut self, now: Instant, lost: f64) {
        if lost > LOSS_HIGH {
            let left = (self.sent_bps as f64 * (1.0 - 0.5 * lost.min(1.0))) as u64;
            self.decrease(now, left.max(LOSS_FLOOR_BPS), true);
        }
    }

    /// What transport-wide feedback taught. Says whether the capacity changed.
    pub fn path(&mut self, now: Instant, report: &PathReport) -> bool {
        let before = self.capacity_bps;
        self.measured = true;
        // When about as much arrives as was allowed, a burst waits, a key frame for one, and not more than the link carries.
        let as_allowed = |delivered: u64| before.is_some_and(|capacity| delivered >= capacity / 10 * 9);
        let full = report.usage == Usage::Over && report.queue >= GROWING_QUEUE;
        if let Some(delivered) = report.delivered_bps.filter(|bps| full && !as_allowed(*bps)) {
            let to = (delivered / 100 * BACK_OFF_PERCENT).max(QUEUE_FLOOR_BPS);
            // A sign that lowers nothing must not put off the next try either.
            if before.is_none_or(|capacity| to < capacity) {
                self.decrease(now, to, false);
            }
        }
        let waits = report.queue >= GROWING_QUEUE;
        match (report.loss.filter(|loss| *loss > LOSS_HIGH), report.delivered_bps) {
            // What is sent says little: it holds the repetitions of what the queue had no place for.
            (Some(_), Some(delivered)) if waits => self.decrease(now, delivered.max(LOSS_QUEUE_FLOOR_BPS), true),
            (Some(loss), _) => self.loss(now, loss),
            _ => {}
        }
        self.capacity_bps != before
    }

    /// The path was dead, or is another one: reports of the first time speak of that, not of what it carries.
    pub fn path_is_new(&mut self, now: Instant) {
        self.pardoned_until = Some(now + PARDON);
        self.round_trips = RoundTrips::default();
    }

    /// A round trip to the receiver, by its report on a Sender Report.
    pub fn round_trip(&mut self, now: Instant, time: Duration) {
        if self.round_trips.add(now, time) {
            self.decrease(now, self.sent_bps * BACK_OFF_PERCENT / 100, true);
        }
    }

    /// What the link carries, in bits per second; `None`: nothing shows that it is full.
    #[must_use]
    pub fn capacity_bps(&self) -> Option<u64> {
        self.capacity_bps
    }

    /// Whether the capacity may take the smallest picture away: a growing queue alone, which a busy receiver shows too, may not.
    #[must_use]
    pub fn takes_smallest(&self) -> bool {
        self.hard
    }

    /// Whether everything that is wanted fits the capacity.
    pub fn set_satisfied(&mut self, satisfied: bool) {
        self.satisfied = satisfied;
    }

    /// When the capacity may grow.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.grow_at
    }

    /// Lets the capacity grow if it is time. Says whether it changed.
    pub fn tick(&mut self, now: Instant) -> bool {
        let (Some(at), Some(capacity)) = (self.grow_at, self.capacity_bps) else { return false };
        if now < at {
            return false;
        }
        if self.satisfied {
            (self.capacity_bps, self.grow_at, self.hard) = (None, None, false);
        } else {
            self.capacity_bps = Some(capacity.saturating_mul(3) / 2);
            self.grow_at = Some(now + GROWTH_INTERVAL);
        }
        true
    }

    fn decrease(&mut self, now: Instant, to_bps: u64, hard: bool) {
        let since = self.decreased_at.map(|at| now.saturating_duration_since(at));
        let pardoned = self.pardoned_until.is_some_and(|until| now < until);
        if pardoned || since.is_some_and(|since| since < SETTLE) {
            return;
        }
        // Signs that follow closely tell of the same event; later ones of a growth that failed.
        self.hold = match since {
            Some(since) if since < HOLD_MIN => self.hold,
            Some(since) if since < 2 * HOLD_MAX => {
                (self.hold * 2).min(if self.measured { HOLD_MAX_MEASURED } else { HOLD_MAX })
            }
            _ => HOLD_MIN,
        };
        self.hard |= hard;
        let to = to_bps.max(CAPACITY_MIN_BPS);
        self.capacity_bps = Some(self.capacity_bps.map_or(to, |capacity| capacity.min(to)));
        self.decreased_at = Some(now);
        self.grow_at = Some(now + self.hold);
    }
}

/// Tells a queue by round trips.
#[derive(Clone, Debug, Default)]
struct RoundTrips {
    /// Fastest of the running window and of the one before.
    fastest: [Option<Duration>; 2],
    since: Option<Instant>,
    last: Duration,
    slow: u32,
}

impl RoundTrips {
    /// Says whether a queue stands.
    fn add(&mut self, now: Instant, time: Duration) -> bool {
        if now.saturating_duration_since(*self.since.get_or_insert(now)) >= ROUND_TRIP_WINDOW {
            self.fastest = [None, self.fastest[0]];
            self.since = Some(now);
        }
        let fastest = self.fastest.iter().flatten().min().copied().unwrap_or(time);
        self.fastest[0] = Some(self.fastest[0].map_or(time, |fastest| fastest.min(time)));
        // A queue that shrinks is on its way out.
        let stands = time > fastest + QUEUE && time >= self.last;
        self.last = time;
        self.slow = if stands { self.slow + 1 } else { 0 };
        self.slow >= SLOW
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    const LAYERS_BPS: [u64; 3] = [160_000, 450_000, 1_700_000];

    /// A bottleneck with a queue of one second at most, a receiver that reports every second, and a sender that takes the
    /// highest layer that fits.
    struct Rig {
        estimator: LinkEstimator,
        now: Instant,
        total_bytes: u64,
        queue_bits: f64,
        layer: Option<usize>,
        switches: u32,
    }

    impl Rig {
        fn new() -> Self {
            let estimator = LinkEstimator::default();
            let mut rig =
                Self { estimator, now: Instant::now(), total_bytes: 0, queue_bits: 0.0, layer: Some(2), switches: 0 };
            rig.estimator.sent(rig.now, 0);
            rig
        }

        fn second(&mut self, link_bps: u64) {
            self.now += Duration::from_secs(1);
            let sent = self.layer.map_or(0, |layer| LAYERS_BPS[layer]);
            self.total_bytes += sent / 8;
            let link = link_bps as f64;
            let (queued, room) = (self.queue_bits + sent as f64, 2.0 * link);
            let lost = (queued - room).max(0.0);
            self.queue_bits = (queued.min(room) - link).max(0.0);
            self.estimator.sent(self.now, self.total_bytes);
            if sent > 0 {
                self.estimator.loss(self.now, lost / sent as f64);
                self.estimator.round_trip(self.now, Duration::from_secs_f64(0.03 + self.queue_bits / link));
            }
            self.estimator.tick(self.now);
            let capacity = self.estimator.capacity_bps();
            let fits = |bps: u64| capacity.is_none_or(|capacity| bps <= capacity);
            let layer = (0..3).rev().find(|layer| fits(LAYERS_BPS[*layer]));
            self.estimator.set_satisfied(layer == Some(2));
            self.switches += u32::from(layer != self.layer);
            self.layer = layer;
        }
    }

    #[test]
    fn a_queue_tells_what_the_link_carries_and_a_burst_within_it_nothing() {
        let (mut estimator, start) = (LinkEstimator::default(), Instant::now());
        let report = |usage, bps| PathReport { usage, delivered_bps: Some(bps), queue: GROWING_QUEUE, loss: None };
        assert!(!estimator.path(start, &report(Usage::Normal, 900_000)));
        assert!(estimator.path(start, &report(Usage::Over, 400_000)));
        assert_eq!(estimator.capacity_bps(), Some(340_000));
        let later = start + 2 * SETTLE;
        assert!(!estimator.path(later, &report(Usage::Over, 320_000)), "as allowed");
        assert!(estimator.path(later, &report(Usage::Over, 200_000)));
        assert_eq!(estimator.capacity_bps(), Some(250_000), "no less");
        let next = estimator.timeout();
        for second in 2..20 {
            estimator.path(later + Duration::from_secs(second), &report(Usage::Over, 150_000));
        }
        assert_eq!(estimator.timeout(), next, "little that flows puts off nothing");
        assert!(!estimator.takes_smallest());
        estimator.loss(later + Duration::from_secs(30), 0.5);
        assert!(estimator.takes_smallest());
    }

    #[test]
    fn a_full_queue_that_loses_packets_tells_what_the_link_carries_whatever_is_repeated() {
        let (mut estimator, start) = (LinkEstimator::default(), Instant::now());
        let report =
            |queue, loss| PathReport { usage: Usage::Normal, delivered_bps: Some(60_000), queue, loss: Some(loss) };
        for second in 0..5 {
            estimator.sent(start + Duration::from_secs(second), second * 400_000 / 8);
        }
        let now = start + Duration::from_secs(5);
        assert!(!estimator.path(now, &report(QUEUE, 0.05)), "little loss");
        assert!(estimator.clone().path(now, &report(Duration::ZERO, 0.6)));
        assert!(estimator.path(now, &report(QUEUE, 0.6)));
        assert_eq!((estimator.capacity_bps(), estimator.takes_smallest()), (Some(100_000), true));
    }

    #[test]
    fn an_ample_link_is_never_limited() {
        let mut rig = Rig::new();
        for _ in 0..600 {
            rig.second(3_000_000);
            assert_eq!((rig.layer, rig.estimator.capacity_bps()), (Some(2), None));
        }
    }

    #[test]
    fn a_narrow_link_gets_what_it_carries_most_of_the_time() {
        for (link, best) in [(800_000, Some(1)), (250_000, Some(0))] {
            let mut rig = Rig::new();
            let mut at_best = 0;
            for _ in 0..600 {
                rig.second(link);
                at_best += u32::from(rig.layer == best);
            }
            assert!(at_best > 480, "{link}: {at_best} of 600 s");
            assert!(rig.switches < 120, "{link}: {} switches", rig.switches);
            assert!(rig.estimator.capacity_bps().is_some());
        }
    }

    #[test]
    fn a_link_that_recovers_is_used_again() {
        let mut rig = Rig::new();
        (0..120).for_each(|_| rig.second(300_000));
        assert!(rig.layer < Some(2));
        (0..90).for_each(|_| rig.second(5_000_000));
        assert_eq!((rig.layer, rig.estimator.capacity_bps()), (Some(2), None));
    }

    #[test]
    fn a_dead_link_is_paused_and_tried_again() {
        let mut rig = Rig::new();
        (0..30).for_each(|_| rig.second(30_000));
        assert!(rig.estimator.timeout().is_some());
        let mut paused = 0;
        for _ in 0..120 {
            rig.second(30_000);
            paused += u32::from(rig.layer.is_none());
        }
        assert!(paused > 60, "{paused}");
        (0..120).for_each(|_| rig.second(3_000_000));
        assert_eq!(rig.layer, Some(2));
    }

    #[test]
    fn a_dead_path_says_nothing_about_what_it_carries() {
        let mut rig = Rig::new();
        (0..20).for_each(|_| rig.second(3_000_000));
        rig.now += Duration::from_secs(8);
        rig.estimator.path_is_new(rig.now);
        // Sound and pictures may be reported one after the other.
        [0.9, 0.9].iter().for_each(|lost| rig.estimator.loss(rig.now, *lost));
        (0..20).for_each(|_| rig.second(3_000_000));
        assert_eq!((rig.switches, rig.estimator.capacity_bps()), (0, None));
        rig.now += Duration::from_secs(1);
        rig.estimator.loss(rig.now, 0.9);
        assert!(rig.estimator.capacity_bps().is_some(), "on a path that lives it is taken for what it is");
    }

    #[test]
    fn a_remb_counts_only_when_it_falls() {
        let mut estimator = LinkEstimator::default();
        let mut now = Instant::now();
        let mut second = |estimator: &mut LinkEstimator, at: u64| {
            now += Duration::from_secs(1);
            estimator.sent(now, at * 125_000);
            now
        };
        for (at, remb) in (0..).zip([300_000, 250_000, 310_000, 400_000]) {
            let now = second(&mut estimator, at * u64::from(at > 1));
            estimator.remb(now, remb);
        }
        assert_eq!(estimator.capacity_bps(), None, "less than is sent, but it rises");
        let now = second(&mut estimator, 4);
        estimator.remb(now, 350_000);
        assert_eq!(estimator.capacity_bps(), Some(350_000));
    }
}
