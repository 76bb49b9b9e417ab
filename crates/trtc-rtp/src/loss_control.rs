//! What a sender may send, by loss alone: the loss-based half of draft-ietf-rmcat-gcc-02 (section 6). It speaks after the first
//! heavy loss; until then nothing is known to be too much.
use std::time::{Duration, Instant};

/// Loss above it is congestion, in percent.
const HEAVY: f32 = 10.0;
/// Below it there is room for more.
const LIGHT: f32 = 2.0;
const RISE: f64 = 1.05;
/// One step for each of them, however many reports come; the draft's figures are for reports of one second.
const STEP: Duration = Duration::from_millis(900);
/// Never above what really flows by more than this: an estimate that nobody tried is worth nothing.
const AHEAD: f64 = 1.5;
const MIN_BPS: f64 = 30_000.0;

/// The estimate of one path.
#[derive(Clone, Debug, Default)]
pub struct LossControl {
    estimate_bps: Option<f64>,
    stepped: Option<Instant>,
}

impl LossControl {
    /// A report: loss since the one before in percent, and what is sent in bits per second. The new estimate where it moved.
    pub fn report(&mut self, now: Instant, loss_percent: f32, sent_bps: u64) -> Option<u32> {
        if self.stepped.is_some_and(|at| now.saturating_duration_since(at) < STEP) {
            return None;
        }
        let sent = sent_bps as f64;
        let next = match (loss_percent, self.estimate_bps) {
            (loss, known) if loss > HEAVY => {
                known.unwrap_or(sent).min(sent * AHEAD) * (1.0 - 0.5 * f64::from(loss) / 100.0)
            }
            (loss, Some(known)) if loss < LIGHT => (known * RISE).min((sent * AHEAD).max(known)),
            _ => return None,
        };
        self.stepped = Some(now);
        let next = next.max(MIN_BPS);
        let moved = self.estimate_bps.replace(next) != Some(next);
        moved.then_some(next.min(f64::from(u32::MAX)) as u32)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests may read a clock")]
mod tests {
    use super::*;

    /// A bottleneck: whatever is above it is lost. The encoder sends what it may, up to 1 Mbit/s.
    fn through(bottleneck_bps: f64, control: &mut LossControl, now: &mut Instant, may: &mut f64, seconds: u32) {
        for _ in 0..seconds {
            let sent = may.min(1_000_000.0);
            let loss = ((sent - bottleneck_bps) / sent).max(0.0) * 100.0;
            *now += Duration::from_secs(1);
            if let Some(estimate) = control.report(*now, loss as f32, sent as u64) {
                *may = f64::from(estimate);
            }
        }
    }

    #[test]
    fn it_follows_a_bottleneck_down_and_up_again() {
        let (mut control, mut now, mut may) = (LossControl::default(), Instant::now(), f64::INFINITY);
        through(2_000_000.0, &mut control, &mut now, &mut may, 30);
        assert!(may.is_infinite(), "without loss nothing is said");
        through(400_000.0, &mut control, &mut now, &mut may, 30);
        assert!((300_000.0..460_000.0).contains(&may), "{may}");
        through(2_000_000.0, &mut control, &mut now, &mut may, 60);
        assert!((1_000_000.0..=1_500_000.0).contains(&may), "{may}");
    }

    #[test]
    fn reports_in_a_burst_are_one_step_and_nothing_is_the_floor() {
        let (mut control, now) = (LossControl::default(), Instant::now());
        assert_eq!(control.report(now, 20.0, 1_000_000), Some(900_000));
        assert_eq!(control.report(now, 20.0, 1_000_000), None);
        let mut last = None;
        for step in 1..200 {
            last = control.report(now + Duration::from_secs(step), 100.0, 1_000_000).or(last);
        }
        assert_eq!(last, Some(30_000));
    }
}
