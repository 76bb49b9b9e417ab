//! Whether packets take longer and longer: the delay-based half of draft-ietf-rmcat-gcc-02 (sections 5.1 to 5.4), with a line fitted
//! through the delays in place of the Kalman filter, as libwebrtc does, and the adaptive threshold of Carlucci et al., "Analysis
//! and Design of the Google Congestion Control for Web Real-time Communication" (2016).
use std::collections::VecDeque;

/// Packets that were sent within this time are one group (section 5.1).
const BURST_US: i64 = 5_000;
/// A group that arrives in one piece, because something held it up, stays one up to this length.
const CLUMP_MAX_US: i64 = 100_000;
/// Sending and arriving that differ by more than this between two groups tell of another path or clock.
const JUMP_US: i64 = 3_000_000;
/// Groups behind the line.
const WINDOW: usize = 20;
/// Weight of the past in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// The slope times this, times the groups so far (at most [`GROUPS_MAX`]), is compared with the threshold, in ms.
const GAIN: f64 = 4.0;
const GROUPS_MAX: u32 = 60;
const THRESHOLD_START_MS: f64 = 12.5;
const THRESHOLD_MIN_MS: f64 = 6.0;
const THRESHOLD_MAX_MS: f64 = 600.0;
/// The threshold follows the trend up by this a millisecond, and down by that.
const THRESHOLD_UP: f64 = 0.0087;
const THRESHOLD_DOWN: f64 = 0.039;
/// Peaks further above the threshold do not move it.
const PEAK_MS: f64 = 15.0;
/// A trend must last so long to count (section 5.4).
const OVERUSE_MS: f64 = 10.0;

/// What the delays say about the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// They stay as they are.
    #[default]
    Normal,
    /// They grow: more is sent than the path carries.
    Over,
    /// They shrink: a queue is emptied.
    Under,
}

/// Fed packets as they were sent and as they arrived, in the order of sending. The two clocks need not agree.
#[derive(Clone, Debug)]
pub struct DelayTrend {
    current: Option<Group>,
    previous: Option<Group>,
    /// (arrival, smoothed delay) in ms.
    line: VecDeque<(f64, f64)>,
    origin_us: Option<i64>,
    groups: u32,
    delay_ms: f64,
    smoothed_ms: f64,
    slope: f64,
    threshold_ms: f64,
    above_ms: f64,
    above_count: u32,
    usage: Usage,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent_us: i64,
    last_sent_us: i64,
    first_arrival_us: i64,
    last_arrival_us: i64,
}

impl Default for DelayTrend {
    fn default() -> Self {
        Self {
            current: None,
            previous: None,
            line: VecDeque::new(),
            origin_us: None,
            groups: 0,
            delay_ms: 0.0,
            smoothed_ms: 0.0,
            slope: 0.0,
            threshold_ms: THRESHOLD_START_MS,
            above_ms: 0.0,
            above_count: 0,
            usage: Usage::Normal,
        }
    }
}

impl DelayTrend {
    /// A packet arrived. The verdict changes with whole groups only.
    pub fn arrived(&mut self, sent_us: i64, arrival_us: i64) -> Usage {
        match &mut self.current {
            Some(group) if sent_us < group.first_sent_us => return self.usage, // overtaken by the next group
            Some(group) if group.takes(sent_us, arrival_us) => {
                group.last_sent_us = group.last_sent_us.max(sent_us);
                group.last_arrival_us = group.last_arrival_us.max(arrival_us);
                return self.usage;
            }
            _ => {}
        }
        let fresh = Group {
            first_sent_us: sent_us,
            last_sent_us: sent_us,
            first_arrival_us: arrival_us,
            last_arrival_us: arrival_us,
        };
        let Some(done) = self.current.replace(fresh) else { return self.usage };
        if let Some(before) = self.previous.replace(done) {
            self.compare(before, done);
        }
        self.usage
    }

    /// Begins anew: another path, or another clock.
    pub fn restart(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        *self = Self { line, ..Self::default() };
    }

    /// The verdict so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    fn compare(&mut self, before: Group, group: Group) {
        let sent_us = group.last_sent_us - before.last_sent_us;
        let arrival_us = group.last_arrival_us - before.last_arrival_us;
        if arrival_us < 0 {
            return; // one overtook the other: says nothing about a queue
        }
        if (arrival_us - sent_us).abs() > JUMP_US {
            let current = self.current;
            self.restart();
            self.current = current;
            return;
        }
        let (sent_ms, arrival_ms) = (sent_us as f64 / 1_000.0, arrival_us as f64 / 1_000.0);
        self.groups = (self.groups + 1).min(GROUPS_MAX);
        self.delay_ms += arrival_ms - sent_ms;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.delay_ms;
        let origin = *self.origin_us.get_or_insert(group.last_arrival_us);
        if self.line.len() == WINDOW {
            self.line.pop_front();
        }
        self.line.push_back(((group.last_arrival_us - origin) as f64 / 1_000.0, self.smoothed_ms));
        let slope = if self.line.len() == WINDOW { slope(&self.line).unwrap_or(self.slope) } else { 0.0 };
        self.judge(slope, sent_ms, arrival_ms);
    }

    fn judge(&mut self, slope: f64, sent_ms: f64, arrival_ms: f64) {
        let trend_ms = f64::from(self.groups) * slope * GAIN;
        if trend_ms > self.threshold_ms {
            self.above_ms += if self.above_count == 0 { sent_ms / 2.0 } else { sent_ms };
            self.above_count += 1;
            if self.above_ms > OVERUSE_MS && self.above_count > 1 && slope >= self.slope {
                (self.above_ms, self.above_count) = (0.0, 0);
                self.usage = Usage::Over;
            }
        } else {
            (self.above_ms, self.above_count) = (0.0, 0);
            self.usage = if trend_ms < -self.threshold_ms { Usage::Under } else { Usage::Normal };
        }
        self.slope = slope;
        let distance = trend_ms.abs() - self.threshold_ms;
        if distance <= PEAK_MS {
            let speed = if distance < 0.0 { THRESHOLD_DOWN } else { THRESHOLD_UP };
            let next = self.threshold_ms + speed * distance * arrival_ms.min(100.0);
            self.threshold_ms = next.clamp(THRESHOLD_MIN_MS, THRESHOLD_MAX_MS);
        }
    }
}

impl Group {
    fn takes(&self, sent_us: i64, arrival_us: i64) -> bool {
        if sent_us - self.first_sent_us <= BURST_US {
            return true;
        }
        let after = arrival_us - self.last_arrival_us;
        let caught_up = after < sent_us - self.last_sent_us;
        caught_up && after <= BURST_US && arrival_us - self.first_arrival_us <= CLUMP_MAX_US
    }
}

/// Of the line with the least squares.
fn slope(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), (x, y)| {
        (above + (x - mean_x) * (y - mean_y), below + (x - mean_x) * (x - mean_x))
    });
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of three packets every 33 ms, delayed as `delay_us` says of the group's index. Every verdict.
    fn verdicts(groups: i64, delay_us: impl Fn(i64) -> i64) -> Vec<Usage> {
        let mut trend = DelayTrend::default();
        let packets = (0..groups).flat_map(|group| (0..3).map(move |packet| (group, packet)));
        packets
            .map(|(group, packet)| {
                let sent = group * 33_000 + packet * 500;
                trend.arrived(sent, 1_000_000_000 + sent + delay_us(group))
            })
            .collect()
    }

    #[test]
    fn a_queue_that_grows_is_seen_and_one_that_shrinks_too() {
        let grows = verdicts(90, |group| (group - 30).max(0) * 10_000);
        let first = grows.iter().position(|usage| *usage == Usage::Over).unwrap() / 3;
        assert!((31..45).contains(&first), "{first}");
        let shrinks = verdicts(90, |group| 600_000 - (group - 30).max(0) * 10_000);
        assert!(shrinks.contains(&Usage::Under) && !shrinks.contains(&Usage::Over));
    }

    #[test]
    fn noise_clumps_and_clocks_that_drift_say_nothing() {
        let noise = |group: i64| (group * 7_919 % 13) * 1_000;
        assert!(!verdicts(3_000, noise).contains(&Usage::Over));
        assert!(!verdicts(3_000, |group| group * 7).contains(&Usage::Over), "200 parts in a million");
        // Every now and then three groups arrive at one moment.
        let clump = |group: i64| if group % 20 < 3 { (3 - group % 20) * 33_000 } else { 0 };
        let over = verdicts(3_000, clump).iter().filter(|usage| **usage == Usage::Over).count();
        assert!(over < 90, "{over}");
    }

    #[test]
    fn times_may_be_anything() {
        let mut trend = DelayTrend::default();
        for n in 0..10_000i64 {
            let wild = n.wrapping_mul(0x5851_f42d_4c95_7f2d) >> 20;
            trend.arrived(n * 9_000, wild);
            assert!(trend.threshold_ms.is_finite() && trend.line.len() <= WINDOW);
        }
    }
}
