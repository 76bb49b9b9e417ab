//! TRTC's limits for custom command messages, exactly: in every window of 1,000 ms at most 30 messages and 8,000 bytes.
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Length of the sliding window. Messages exactly this far apart are not in one window.
pub const COMMAND_WINDOW: Duration = Duration::from_millis(1000);
/// Most messages in a window.
pub const COMMANDS_MAX_COUNT: usize = 30;
/// Most data bytes in a window.
pub const COMMANDS_MAX_BYTES: usize = 8000;

/// Remembers the messages of the last window.
#[derive(Debug, Default)]
pub struct CommandLimiter {
    sent: VecDeque<(Instant, usize)>,
    bytes: usize,
}

impl CommandLimiter {
    /// Whether a message of `bytes` may go now; if so it is counted.
    pub fn admit(&mut self, now: Instant, bytes: usize) -> bool {
        while let Some(&(at, size)) = self.sent.front() {
            if now.saturating_duration_since(at) < COMMAND_WINDOW {
                break;
            }
            self.sent.pop_front();
            self.bytes -= size;
        }
        if self.sent.len() >= COMMANDS_MAX_COUNT || self.bytes + bytes > COMMANDS_MAX_BYTES {
            return false;
        }
        self.sent.push_back((now, bytes));
        self.bytes += bytes;
        true
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn thirty_and_then_none_until_the_first_is_a_second_old() {
        let (mut limiter, start) = (CommandLimiter::default(), Instant::now());
        assert_eq!((0..40).filter(|i| limiter.admit(start + ms(*i), 1)).count(), 30);
        assert!(!limiter.admit(start + ms(999), 1));
        assert!(limiter.admit(start + ms(1000), 1));
        assert!(!limiter.admit(start + ms(1000), 1));
        assert!(limiter.admit(start + ms(1001), 1));
    }

    #[test]
    fn eight_thousand_bytes_exactly() {
        let (mut limiter, start) = (CommandLimiter::default(), Instant::now());
        assert_eq!((0..9).filter(|_| limiter.admit(start, 1000)).count(), 8);
        assert!(limiter.admit(start, 0));
        assert!(!limiter.admit(start + ms(999), 1));
        assert!(limiter.admit(start + ms(1000), 1000));
    }

    proptest! {
        /// Whatever the phase, no window holds more than allowed, and nothing is refused that would have fitted.
        #[test]
        fn exact_at_every_phase(steps in prop::collection::vec((0u64..120, 0usize..=1000), 1..400)) {
            let (mut limiter, start) = (CommandLimiter::default(), Instant::now());
            let mut at = 0;
            let mut sent: Vec<(u64, usize)> = Vec::new();
            for (gap, bytes) in steps {
                at += gap;
                let window = sent.iter().filter(|(t, _)| at - t < 1000);
                let (count, sum) = window.fold((0, 0), |(c, s), (_, b)| (c + 1, s + b));
                let fits = count < COMMANDS_MAX_COUNT && sum + bytes <= COMMANDS_MAX_BYTES;
                prop_assert_eq!(limiter.admit(start + ms(at), bytes), fits, "at {} ms", at);
                if fits {
                    sent.push((at, bytes));
                }
            }
            for phase in 0..=at {
                let window = sent.iter().filter(|(t, _)| (phase..phase + 1000).contains(t));
                let (count, sum) = window.fold((0, 0), |(c, s), (_, b)| (c + 1, s + b));
                prop_assert!(count <= COMMANDS_MAX_COUNT && sum <= COMMANDS_MAX_BYTES, "window at {} ms", phase);
            }
        }
    }
}
