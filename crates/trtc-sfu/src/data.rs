//! What one member may send as data packets: order and amount.
use std::time::{Duration, Instant};

/// Topics of TRTC's custom command messages start so.
const COMMAND_TOPIC: &str = "trtc.cmd.";

/// Longest stall that is made up for; clients notice that they are disconnected by then.
const EXCUSED_MAX: Duration = Duration::from_secs(20);

/// Decides about the data packets of one member.
#[derive(Debug)]
pub struct DataGate {
    command_messages: Bucket,
    command_bytes: Bucket,
    other_bytes: Bucket,
    last_sequence: u32,
}

/// Why a data packet is not relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The sequence number is not above the last one: a repetition after a reconnect.
    Duplicate,
    /// Command messages: more than 30 a second.
    MessageRate,
    /// Command messages: more than 8,000 bytes a second.
    ByteRate,
    /// Other topics: more than 64 KB a second.
    OtherByteRate,
}

impl Refusal {
    /// A sentence for the sender's log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Duplicate => "data packet repeats a sequence number",
            Self::MessageRate => "more than 30 command messages a second",
            Self::ByteRate => "more than 8000 bytes of command messages a second",
            Self::OtherByteRate => "more than 64 KB of data a second",
        }
    }
}

impl DataGate {
    /// Full buckets.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            // Twice the rate as depth: a stalled path that delivers two seconds at once costs an honest client nothing.
            command_messages: Bucket::new(now, 30, 60),
            command_bytes: Bucket::new(now, 8_000, 16_000),
            // Two of the largest packets may come at once.
            other_bytes: Bucket::new(now, 65_536, 131_072),
            last_sequence: 0,
        }
    }

    /// The way to the sender was dead for so long: what it sent meanwhile within its limits may come at once.
    pub fn excuse(&mut self, stalled: Duration) {
        let stalled = stalled.min(EXCUSED_MAX);
        for bucket in [&mut self.command_messages, &mut self.command_bytes, &mut self.other_bytes] {
            bucket.excuse(stalled);
        }
    }

    /// Number of the newest packet that passed, 0 before the first numbered one.
    #[must_use]
    pub fn last_sequence(&self) -> u32 {
        self.last_sequence
    }

    /// May this packet pass? `sequence` is 0 when the sender does not number (lossy packets, old clients).
    ///
    /// # Errors
    /// The first rule that it breaks; a refused packet takes nothing from the limits.
    pub fn admit(&mut self, now: Instant, topic: &str, bytes: usize, sequence: u32) -> Result<(), Refusal> {
        if sequence != 0 && sequence <= self.last_sequence {
            return Err(Refusal::Duplicate);
        }
        if topic.starts_with(COMMAND_TOPIC) {
            if !self.command_messages.has(now, 1) {
                return Err(Refusal::MessageRate);
            }
            if !self.command_bytes.has(now, bytes) {
                return Err(Refusal::ByteRate);
            }
            self.command_messages.take(1);
            self.command_bytes.take(bytes);
        } else {
            if !self.other_bytes.has(now, bytes) {
                return Err(Refusal::OtherByteRate);
            }
            self.other_bytes.take(bytes);
        }
        if sequence != 0 {
            self.last_sequence = sequence;
        }
        Ok(())
    }
}

/// A token bucket that counts in millionths of a token, so that no rounding is lost.
#[derive(Debug)]
struct Bucket {
    per_second: u64,
    depth: u64,
    micro_tokens: u64,
    filled: Instant,
}

const MICRO: u64 = 1_000_000;

impl Bucket {
    fn new(now: Instant, per_second: u64, depth: u64) -> Self {
        Self { per_second, depth: depth * MICRO, micro_tokens: depth * MICRO, filled: now }
    }

    fn has(&mut self, now: Instant, tokens: usize) -> bool {
        let passed = now.saturating_duration_since(self.filled).min(Duration::from_secs(60));
        let micros = passed.as_micros() as u64;
        // More than the depth is there after an excuse only, and only until it is used.
        let most = self.depth.max(self.micro_tokens);
        self.micro_tokens = (self.micro_tokens + micros * self.per_second).min(most);
        self.filled = self.filled.max(now);
        self.micro_tokens >= tokens as u64 * MICRO
    }

    fn excuse(&mut self, stalled: Duration) {
        let most = self.depth + EXCUSED_MAX.as_micros() as u64 * self.per_second;
        self.micro_tokens = (self.micro_tokens + stalled.as_micros() as u64 * self.per_second).min(most);
    }

    fn take(&mut self, tokens: usize) {
        self.micro_tokens = self.micro_tokens.saturating_sub(tokens as u64 * MICRO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_commands_at_once_then_thirty_a_second() {
        let start = Instant::now();
        let mut gate = DataGate::new(start);
        for _ in 0..60 {
            assert_eq!(gate.admit(start, "trtc.cmd.1", 100, 0), Ok(()));
        }
        assert_eq!(gate.admit(start, "trtc.cmd.1", 100, 0), Err(Refusal::MessageRate));
        let later = start + Duration::from_secs(1);
        let passed = (0..100).filter(|_| gate.admit(later, "trtc.cmd.2", 1, 0).is_ok()).count();
        assert_eq!(passed, 30);
    }

    #[test]
    fn command_bytes_have_their_own_limit() {
        let start = Instant::now();
        let mut gate = DataGate::new(start);
        for _ in 0..16 {
            assert_eq!(gate.admit(start, "trtc.cmd.10", 1_000, 0), Ok(()));
        }
        assert_eq!(gate.admit(start, "trtc.cmd.10", 1, 0), Err(Refusal::ByteRate));
        assert_eq!(gate.admit(start, "chat", 65_000, 0), Ok(()), "other topics are not touched");
        assert_eq!(gate.admit(start, "chat", 65_000, 0), Ok(()));
        assert_eq!(gate.admit(start, "chat", 65_000, 0), Err(Refusal::OtherByteRate));
    }

    #[test]
    fn an_honest_sender_is_never_refused() {
        let start = Instant::now();
        let mut gate = DataGate::new(start);
        for i in 0..3_000u32 {
            let now = start + Duration::from_millis(u64::from(i) * 1000 / 30 + 1);
            assert_eq!(gate.admit(now, "trtc.cmd.3", 266, i + 1), Ok(()), "message {i}");
        }
    }

    #[test]
    fn what_a_dead_path_held_back_may_come_at_once() {
        let start = Instant::now();
        let mut gate = DataGate::new(start);
        let later = start + Duration::from_secs(8);
        gate.excuse(Duration::from_secs(8));
        assert!((0..300).all(|_| gate.admit(later, "trtc.cmd.1", 50, 0).is_ok()), "8 s of 30 a second, and the burst");
        assert_eq!(gate.admit(later, "trtc.cmd.1", 50, 0), Err(Refusal::MessageRate), "once");
        (0..1000).for_each(|_| gate.excuse(Duration::from_secs(3600)));
        let passed = (0..10_000).filter(|_| gate.admit(later, "trtc.cmd.1", 1, 0).is_ok()).count();
        assert_eq!(passed, 60 + 600, "bounded");
    }

    #[test]
    fn repeated_sequences_are_dropped_and_gaps_allowed() {
        let now = Instant::now();
        let mut gate = DataGate::new(now);
        assert_eq!(gate.admit(now, "a", 1, 1), Ok(()));
        assert_eq!(gate.admit(now, "a", 1, 3), Ok(()));
        assert_eq!(gate.admit(now, "a", 1, 3), Err(Refusal::Duplicate));
        assert_eq!(gate.admit(now, "a", 1, 2), Err(Refusal::Duplicate));
        assert_eq!(gate.admit(now, "a", 1, 0), Ok(()), "unnumbered packets pass");
    }
}
