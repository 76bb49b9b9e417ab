//! What a sender whose encoder follows may send: the rate control of draft-ietf-rmcat-gcc-02 (section 5.5) over
//! [`PathMonitor`](crate::PathMonitor), and the loss-based half (section 6) beside it; the lower of both holds.
//!
//! It differs from the draft in its beginning, until a sign of a full path there is no estimate and the encoder does as it was told,
//! in that it empties a long queue before it uses all of the path again, and in what a sign means to a sender that used little
//! of what it may (a still screen): nothing about the rest. That is found again quickly, as libwebrtc's probes do after a drop
//! in the application-limited region (its `alr_detector` and `probe_controller`).
use crate::delay_trend::Usage;
use crate::loss_control::LossControl;
use crate::path_monitor::PathReport;
use std::time::{Duration, Instant};

const BACK_OFF: f64 = 0.85;
/// Growth a second while the limit is far or unknown.
const RISE: f64 = 1.08;
/// Never above what really arrives by more than this, and a little for small rates.
const AHEAD: f64 = 1.5;
const AHEAD_BPS: f64 = 10_000.0;
const MIN_BPS: f64 = 30_000.0;
/// Signs closer together than this, plus a round trip, tell of the same queue.
const REACTION: Duration = Duration::from_millis(100);
/// Weight of a new measurement in the average rate at which the path was full.
const AVERAGE_WEIGHT: f64 = 0.05;
/// Bounds of its relative variance.
const VARIANCE: (f64, f64) = (0.4, 2.5);
const PACKET_BITS: f64 = 1_200.0 * 8.0;
/// A longer queue is drained: a tenth of a second of it takes a tenth of the rate, at most half.
const QUEUE: Duration = Duration::from_millis(50);
/// Less is no congestion (section 6).
const LIGHT_LOSS: f64 = 0.02;
const HEAVY_LOSS: f64 = 0.1;
/// Who sends less of what it may is limited by what there is to send.
const USED: f64 = 0.65;
/// What such a sender may again after a sign of a full path, as a part of what it might, and the growth a second towards it.
const AGAIN: f64 = 0.85;
const RETURN: f64 = 2.0;
const RATE_STEP_MAX: Duration = Duration::from_secs(1);

/// The estimate for one transport.
#[derive(Clone, Debug, Default)]
pub struct SendRate {
    by_delay: Option<f64>,
    loss: LossControl,
    by_loss: Option<f64>,
    full: FullRate,
    /// The most that arrived without loss or queue.
    proven: f64,
    returns: Option<Return>,
    stepped: Option<Instant>,
    decreased: Option<Instant>,
    told: Option<f64>,
}

impl SendRate {
    /// What one feedback taught; `round_trip` as measured. Returns the estimate in bits per second when it moved by 2 % or more.
    pub fn report(&mut self, now: Instant, path: &PathReport, round_trip: Duration) -> Option<u32> {
        let delivered = path.delivered_bps? as f64;
        match path.usage {
            Usage::Over => self.decrease(now, delivered, round_trip),
            Usage::Normal => self.increase(now, delivered, round_trip),
            Usage::Under => {}
        }
        self.stepped = Some(now);
        if let Some(loss) = path.loss {
            let sent = delivered / (1.0 - loss.min(0.9));
            if loss > HEAVY_LOSS {
                self.note_limit(sent);
            }
            let estimate = self.loss.report(now, (loss * 100.0) as f32, sent as u64);
            self.by_loss = estimate.map(f64::from).or(self.by_loss);
            if loss < LIGHT_LOSS && path.queue < QUEUE {
                self.proven = self.proven.max(delivered);
                self.recover();
            }
        }
        let drained = 1.0 - path.queue.saturating_sub(QUEUE).as_secs_f64().min(0.5);
        let estimate = (self.estimate()? * drained).max(MIN_BPS);
        if self.told.is_some_and(|told| (estimate - told).abs() < told * 0.02) {
            return None;
        }
        self.told = Some(estimate);
        self.told_bps()
    }

    /// The estimate that was told last.
    #[must_use]
    pub fn told_bps(&self) -> Option<u32> {
        self.told.map(|bps| bps.min(f64::from(u32::MAX)) as u32)
    }

    /// A sign of a full path at this rate. Says whether it tells what the path carries.
    fn note_limit(&mut self, sent_bps: f64) -> bool {
        let may = self.told.unwrap_or(self.proven);
        // The signs of one disturbance lower what may be sent to little more than what is.
        let same = |known: &Return| sent_bps < 2.0 * known.sent_bps;
        self.returns = match self.returns.filter(same) {
            None if sent_bps < USED * may => Some(Return { sent_bps, to_bps: AGAIN * may }),
            known => known,
        };
        if self.returns.is_none() {
            self.proven = sent_bps;
        }
        self.returns.is_none()
    }

    /// Loss and queue are gone: the way up is that of the delay alone.
    fn recover(&mut self) {
        if let Some(by_loss) = self.by_loss.take() {
            self.by_delay = Some(self.by_delay.map_or(by_loss, |by_delay| by_delay.min(by_loss)));
            self.loss = LossControl::default();
        }
    }

    fn estimate(&self) -> Option<f64> {
        self.by_delay.into_iter().chain(self.by_loss).min_by(f64::total_cmp)
    }

    fn decrease(&mut self, now: Instant, delivered: f64, round_trip: Duration) {
        let pause = REACTION + round_trip.min(Duration::from_millis(500));
        if self.decreased.is_some_and(|at| now.saturating_duration_since(at) < pause) {
            return;
        }
        self.decreased = Some(now);
        if self.note_limit(delivered) {
            self.full.add(delivered);
        }
        let to = (BACK_OFF * delivered).max(MIN_BPS);
        self.by_delay = Some(self.by_delay.map_or(to, |before| before.min(to)));
    }

    fn increase(&mut self, now: Instant, delivered: f64, round_trip: Duration) {
        let (Some(before), Some(stepped)) = (self.by_delay, self.stepped) else { return };
        let elapsed = now.saturating_duration_since(stepped).min(RATE_STEP_MAX).as_secs_f64();
        if let Some(back) = self.returns {
            let next = before.max((before * RETURN.powf(elapsed)).min(back.to_bps));
            self.returns = self.returns.filter(|_| next < back.to_bps);
            self.by_delay = Some(next);
            return;
        }
        if self.full.is_below(delivered) {
            self.full = FullRate::default(); // the path carries more than it did
        }
        let next = if self.full.is_near(delivered) {
            // About half a packet for each response time.
            let response = (REACTION + round_trip).as_secs_f64();
            before + 0.5 * PACKET_BITS.min(before / 30.0) * elapsed / response
        } else {
            before * RISE.powf(elapsed)
        };
        self.by_delay = Some(next.min(before.max(AHEAD * delivered + AHEAD_BPS)));
    }
}

/// The way back of a sender that was limited by what there was to send.
#[derive(Clone, Copy, Debug)]
struct Return {
    /// What it sent then.
    sent_bps: f64,
    to_bps: f64,
}

/// The rate at which the path was full, over the last decreases.
#[derive(Clone, Copy, Debug, Default)]
struct FullRate {
    average_bps: Option<f64>,
    /// Relative to the average, in kbit/s, as in libwebrtc's link capacity estimator.
    variance: f64,
}

impl FullRate {
    fn add(&mut self, bps: f64) {
        let Some(average) = self.average_bps else {
            *self = Self { average_bps: Some(bps), variance: VARIANCE.0 };
            return;
        };
        let next = average + AVERAGE_WEIGHT * (bps - average);
        let error = (bps - next) / 1_000.0;
        let relative = error * error / (next / 1_000.0).max(1.0);
        let variance = (1.0 - AVERAGE_WEIGHT) * self.variance + AVERAGE_WEIGHT * relative;
        *self = Self { average_bps: Some(next), variance: variance.clamp(VARIANCE.0, VARIANCE.1) };
    }

    fn deviation(&self, average_bps: f64) -> f64 {
        3.0 * (self.variance * average_bps / 1_000.0).sqrt() * 1_000.0
    }

    fn is_near(&self, bps: f64) -> bool {
        self.average_bps.is_some_and(|average| (bps - average).abs() <= self.deviation(average))
    }

    fn is_below(&self, bps: f64) -> bool {
        self.average_bps.is_some_and(|average| bps > average + self.deviation(average))
    }
}
