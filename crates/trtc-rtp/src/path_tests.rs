//! A sender, a bottleneck with a queue, a receiver that feeds back, all in virtual time.
use super::*;
use crate::rtcp::{self, Rtcp};
use crate::{SendRate, TransportFeedbackRecorder};
use std::collections::VecDeque;

const STEP: Duration = Duration::from_millis(1);
const FRAME: Duration = Duration::from_millis(33);
const PATH: Duration = Duration::from_millis(20);
const PACKET_BYTES: usize = 1_100;

#[allow(clippy::disallowed_methods)]
fn start() -> Instant {
    Instant::now()
}

struct Rig {
    now: Instant,
    begin: Instant,
    link_bps: f64,
    /// What the queue holds at most, in time.
    queue_max: Duration,
    loss: f64,
    /// The part of the feedback that is lost, and that comes late.
    feedback_lost: f64,
    feedback_late: f64,
    /// The wanted rate of the encoder.
    wanted_bps: f64,
    monitor: PathMonitor,
    rate: SendRate,
    estimate_bps: Option<u32>,
    reports: Vec<PathReport>,
    recorder: TransportFeedbackRecorder,
    link_free: Instant,
    next_frame: Instant,
    flight: VecDeque<(Instant, u16)>,
    back: Vec<(Instant, Vec<u8>)>,
    random: u64,
    queue: Duration,
}

impl Rig {
    fn new(link_bps: f64) -> Self {
        let now = start();
        Self {
            now,
            begin: now,
            link_bps,
            queue_max: Duration::from_millis(1_000),
            loss: 0.0,
            feedback_lost: 0.0,
            feedback_late: 0.0,
            wanted_bps: 2_000_000.0,
            monitor: PathMonitor::default(),
            rate: SendRate::default(),
            estimate_bps: None,
            reports: Vec::new(),
            recorder: TransportFeedbackRecorder::new(),
            link_free: now,
            next_frame: now,
            flight: VecDeque::new(),
            back: Vec::new(),
            random: 0x9e37_79b9,
            queue: Duration::ZERO,
        }
    }

    fn chance(&mut self, part: f64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 11) as f64 / (1u64 << 53) as f64) < part
    }

    /// Runs for a time; the longest queue in the last second of it.
    fn run(&mut self, seconds: u64) -> Duration {
        let end = self.now + Duration::from_secs(seconds);
        let mut longest = Duration::ZERO;
        while self.now < end {
            self.step();
            if self.now + Duration::from_secs(1) > end {
                longest = longest.max(self.queue);
            }
        }
        longest
    }

    fn step(&mut self) {
        self.now += STEP;
        let now = self.now;
        if now >= self.next_frame {
            self.next_frame += FRAME;
            let bps = self.estimate_bps.map_or(self.wanted_bps, |bps| self.wanted_bps.min(f64::from(bps)));
            let mut bytes = (bps * FRAME.as_secs_f64() / 8.0) as usize;
            while bytes > 0 {
                self.send(bytes.min(PACKET_BYTES));
                bytes -= bytes.min(PACKET_BYTES);
            }
        }
        self.queue = self.link_free.saturating_duration_since(now);
        while let Some((at, sequence)) = self.flight.front().copied().filter(|(at, _)| *at <= now) {
            self.flight.pop_front();
            self.recorder.received(at, sequence);
        }
        let mut packet = Vec::new();
        while self.recorder.poll(now, &mut packet, 1, 2) {
            let late = if self.chance(self.feedback_late) { Duration::from_millis(150) } else { Duration::ZERO };
            if !self.chance(self.feedback_lost) {
                self.back.push((now + PATH + late, packet.clone()));
            }
            packet.clear();
        }
        let mut due = Vec::new();
        self.back.retain(|(at, packet)| {
            let waits = *at > now;
            if !waits {
                due.push(packet.clone());
            }
            waits
        });
        due.iter().for_each(|packet| self.feed_back(packet));
    }

    fn send(&mut self, bytes: usize) {
        let sequence = self.monitor.next_sequence();
        self.monitor.sent(self.now, bytes);
        let waits = self.link_free.saturating_duration_since(self.now);
        if waits > self.queue_max || self.chance(self.loss) {
            return;
        }
        self.link_free = self.now + waits + Duration::from_secs_f64(bytes as f64 * 8.0 / self.link_bps);
        self.flight.push_back((self.link_free + PATH, sequence));
    }

    fn feed_back(&mut self, packet: &[u8]) {
        for part in rtcp::parse(packet) {
            let Rtcp::TransportFeedback(feedback) = part else { continue };
            let report = self.monitor.feedback(self.now, &feedback);
            let round_trip = self.monitor.round_trip().unwrap_or_default();
            self.estimate_bps = self.rate.report(self.now, &report, round_trip).or(self.estimate_bps);
            self.reports.push(report);
        }
    }

    fn estimate(&self) -> f64 {
        self.estimate_bps.map_or(f64::INFINITY, f64::from)
    }
}

#[test]
fn the_estimate_finds_a_bottleneck_and_keeps_its_queue_short() {
    for link_bps in [150_000.0, 400_000.0, 1_000_000.0, 1_800_000.0] {
        let mut rig = Rig::new(link_bps);
        rig.run(10);
        for _ in 0..20 {
            let longest = rig.run(2);
            let part = rig.estimate() / link_bps;
            assert!((0.6..1.15).contains(&part), "{link_bps}: {} s: {part:.2} of it", (rig.now - rig.begin).as_secs());
            assert!(longest < Duration::from_millis(250), "{link_bps}: {longest:?}");
        }
    }
}

#[test]
fn what_fits_is_never_limited_and_random_loss_is_no_reason() {
    let mut rig = Rig::new(2_500_000.0);
    rig.loss = 0.02;
    rig.run(60);
    assert_eq!(rig.estimate_bps, None);
    assert!(rig.reports.iter().all(|report| report.usage != Usage::Over));
    let loss: Vec<f64> = rig.reports.iter().filter_map(|report| report.loss).collect();
    let mean = loss.iter().sum::<f64>() / loss.len() as f64;
    assert!((50..=60).contains(&loss.len()) && (0.015..0.025).contains(&mean), "{} {mean}", loss.len());
}

#[test]
fn a_link_that_narrows_is_seen_within_a_second_and_one_that_widens_is_found() {
    let mut rig = Rig::new(5_000_000.0);
    rig.run(20);
    assert_eq!(rig.estimate_bps, None);
    rig.link_bps = 500_000.0;
    rig.run(1);
    assert!(rig.estimate_bps.is_some(), "within a second");
    rig.run(9);
    assert!((300_000.0..575_000.0).contains(&rig.estimate()), "{}", rig.estimate());
    rig.link_bps = 5_000_000.0;
    rig.run(30);
    assert!(rig.estimate() > 1_900_000.0, "{}", rig.estimate());
}

#[test]
fn a_policer_is_seen_by_its_loss() {
    let mut rig = Rig::new(600_000.0);
    rig.queue_max = Duration::from_millis(10);
    rig.run(20);
    assert!((200_000.0..800_000.0).contains(&rig.estimate()), "{}", rig.estimate());
}

/// A still screen meets loss that has nothing to do with what it sends, then moves again.
fn still_screen_after_loss() -> Rig {
    let mut rig = Rig::new(5_000_000.0);
    rig.run(10);
    rig.wanted_bps = 60_000.0;
    rig.run(20);
    assert_eq!(rig.estimate_bps, None);
    rig.loss = 0.3;
    rig.run(6);
    assert!(rig.estimate() < 150_000.0, "{}", rig.estimate());
    rig.loss = 0.0;
    rig
}

#[test]
fn what_was_not_tried_when_loss_came_is_found_again_quickly() {
    let mut rig = still_screen_after_loss();
    rig.run(2);
    rig.wanted_bps = 2_000_000.0;
    rig.run(8);
    assert!(rig.estimate() > 1_500_000.0, "{}", rig.estimate());
    // Also while nothing is sent that could prove it.
    let mut rig = still_screen_after_loss();
    rig.run(10);
    assert!(rig.estimate() > 1_500_000.0, "{}", rig.estimate());
}

#[test]
fn what_is_no_more_there_after_loss_is_not_taken_for_granted() {
    let mut rig = still_screen_after_loss();
    rig.link_bps = 400_000.0;
    rig.wanted_bps = 2_000_000.0;
    rig.run(15);
    for _ in 0..10 {
        let longest = rig.run(2);
        assert!((240_000.0..460_000.0).contains(&rig.estimate()), "{}", rig.estimate());
        assert!(longest < Duration::from_millis(250), "{longest:?}");
    }
}

#[test]
fn feedback_may_be_lost_late_or_absent() {
    let mut rig = Rig::new(500_000.0);
    (rig.feedback_lost, rig.feedback_late) = (0.2, 0.2);
    rig.run(15);
    for _ in 0..10 {
        let longest = rig.run(2);
        assert!((250_000.0..600_000.0).contains(&rig.estimate()), "{}", rig.estimate());
        assert!(longest < Duration::from_millis(600), "{longest:?}");
    }
    let (before, heard) = (rig.estimate_bps, rig.monitor.is_heard(rig.now));
    rig.feedback_lost = 1.0;
    rig.run(10);
    assert_eq!((rig.estimate_bps, heard, rig.monitor.is_heard(rig.now)), (before, true, false));
}

#[test]
fn garbage_changes_nothing() {
    let mut rig = Rig::new(5_000_000.0);
    rig.run(3);
    let mut random = 7u64;
    for round in 0..2_000u32 {
        let mut packet = vec![0x8f, 205, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2];
        for _ in 0..7 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            packet.extend_from_slice(&(random >> 32).to_be_bytes()[4..]);
        }
        rig.feed_back(&packet);
        // Numbers that are known, at times that cannot be.
        let arrivals: Vec<(u64, u64)> = (0..30).map(|n| (n, u64::from(round) * 7_919_000 + n * 8_000_000)).collect();
        packet.clear();
        rtcp::transport_feedback(&mut packet, 1, 2, 0, 0, &arrivals);
        rig.feed_back(&packet);
        assert!(rig.estimate_bps.is_none_or(|bps| bps >= 30_000));
    }
    // The receiver is still believed.
    rig.link_bps = 500_000.0;
    rig.run(15);
    assert!((250_000.0..600_000.0).contains(&rig.estimate()), "{}", rig.estimate());
}

#[test]
fn another_path_is_judged_by_itself() {
    let mut rig = Rig::new(5_000_000.0);
    rig.run(20);
    // A second of everything is lost, then the path is a slower one.
    rig.loss = 1.0;
    rig.run(1);
    rig.loss = 0.0;
    rig.monitor.restart();
    rig.link_free = rig.now + Duration::from_millis(150);
    rig.reports.clear();
    rig.run(10);
    assert!(rig.reports.iter().all(|report| report.usage != Usage::Over && report.loss.is_none_or(|loss| loss == 0.0)));
    assert_eq!(rig.estimate_bps, None);
}

#[test]
fn the_clock_of_the_receiver_comes_round() {
    let mut clock = Clock::new(CLOCK_US / 2 - 64_000);
    assert_eq!(clock.unroll(-CLOCK_US / 2), CLOCK_US / 2);
    assert_eq!(clock.unroll(-CLOCK_US / 2 + 64_000), CLOCK_US / 2 + 64_000);
    assert_eq!(clock.unroll(CLOCK_US / 2 - 64_000), CLOCK_US / 2 - 64_000, "late feedback");
    assert_eq!(clock.unroll(0), 0, "another clock");
}
