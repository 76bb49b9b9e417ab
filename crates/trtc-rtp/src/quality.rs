//! How good a connection is, by loss and delay: the transmission rating of the E-model (ITU-T G.107), as a mean opinion score
//! and in the steps of LiveKit's `connection_quality`.
use std::time::Duration;

/// Steps of quality. A connection that carries nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// No sign of life.
    Lost,
    /// Many users are dissatisfied (a rating below 60, ITU-T G.109).
    Poor,
    /// Some are.
    Good,
    /// They are satisfied (80 and above).
    Excellent,
}

/// The rating of a lost connection in place of one by figures.
pub const LOST: (Quality, f32) = (Quality::Lost, 1.0);

/// Robustness of a codec with loss concealment against random loss (Bpl of G.711 with it, ITU-T G.113 appendix I).
const LOSS_ROBUSTNESS: f32 = 25.1;

/// The transmission rating, 0..=100, for loss (0..=100 %) and round trip.
#[must_use]
pub fn rating(loss_percent: f32, round_trip: Duration) -> f32 {
    let loss = loss_percent.clamp(0.0, 100.0);
    let by_loss = 95.0 * loss / (loss + LOSS_ROBUSTNESS);
    // The usual short form of the model's delay impairment (Cole and Rosenbluth, SIGCOMM CCR 31-2, 2001).
    let delay_ms = (round_trip.as_secs_f32() * 500.0).min(10_000.0);
    let by_delay = 0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0);
    (100.0 - by_loss - by_delay).clamp(0.0, 100.0)
}

/// As [`rating`], as a step and as a score; without impairment that is 4.5, the largest of the scale.
#[must_use]
pub fn rate(loss_percent: f32, round_trip: Duration) -> (Quality, f32) {
    let rating = rating(loss_percent, round_trip);
    // G.107 annex B.
    let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    let quality = match rating {
        r if r >= 80.0 => Quality::Excellent,
        r if r >= 60.0 => Quality::Good,
        _ => Quality::Poor,
    };
    (quality, score.clamp(1.0, 4.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_delay_cost() {
        let of = |loss, ms| rate(loss, Duration::from_millis(ms)).0;
        assert_eq!(rate(0.0, Duration::ZERO), (Quality::Excellent, 4.5));
        assert_eq!([of(0.0, 50), of(4.0, 50), of(10.0, 50), of(20.0, 50)].map(|q| q as u8), [3, 3, 2, 1]);
        assert_eq!([of(0.0, 500), of(0.0, 700), of(0.0, 1000)].map(|q| q as u8), [3, 2, 1]);
        let mut last = 5.0;
        for loss in 0..=100u8 {
            let (_, score) = rate(f32::from(loss), Duration::from_millis(20));
            assert!(score <= last && score >= 1.0, "{loss} %: {score}");
            last = score;
        }
    }
}
