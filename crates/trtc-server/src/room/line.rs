//! The way from a room to one client's WebSocket, which may be gone for a while.
use crate::outbox::{Outbox, Overflow};
use bytes::Bytes;
use std::time::Instant;

/// Messages and bytes that are kept for a client until it resumes; with more it has to join anew.
const MISSED_MAX: usize = 256;
const MISSED_BYTES_MAX: usize = 1 << 20;

/// Names a WebSocket for the life of the process, so that what a replaced one still says is told apart.
pub type SocketKey = u64;

/// What becomes of a message that finds no WebSocket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The resume tells it, in order.
    Keep,
    /// Stale by then, or part of what every resume tells anyway.
    Drop,
}

/// Where the messages for a member go.
pub struct Line {
    socket: SocketKey,
    state: State,
    missed: Vec<Bytes>,
    missed_bytes: usize,
    overflowed: bool,
}

enum State {
    Open(Outbox),
    /// The WebSocket is gone.
    Lost(Instant),
    /// A new WebSocket is here; the first that it hears is `reconnect`.
    Resuming(Outbox),
}

impl Line {
    pub fn new(socket: SocketKey, outbox: Outbox) -> Self {
        Self { socket, state: State::Open(outbox), missed: Vec::new(), missed_bytes: 0, overflowed: false }
    }

    /// Whether that WebSocket is the present one.
    pub fn is(&self, socket: SocketKey) -> bool {
        self.socket == socket && !matches!(self.state, State::Lost(_))
    }

    /// Since when there is no WebSocket.
    pub fn lost_since(&self) -> Option<Instant> {
        if let State::Lost(since) = self.state { Some(since) } else { None }
    }

    /// More was missed than is kept.
    pub fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    pub fn send(&mut self, message: Bytes, missed: Missed) -> Result<(), Overflow> {
        match &self.state {
            State::Open(outbox) => return outbox.send(message),
            State::Lost(_) | State::Resuming(_) if missed == Missed::Keep => {
                self.overflowed |=
                    self.missed.len() >= MISSED_MAX || self.missed_bytes + message.len() > MISSED_BYTES_MAX;
                if !self.overflowed {
                    self.missed_bytes += message.len();
                    self.missed.push(message);
                }
            }
            State::Lost(_) | State::Resuming(_) => {}
        }
        Ok(())
    }

    pub fn lose(&mut self, now: Instant) {
        self.state = State::Lost(now);
    }

    /// A new WebSocket takes the member over; an older one is closed.
    pub fn take_over(&mut self, socket: SocketKey, outbox: Outbox) {
        self.socket = socket;
        let old = std::mem::replace(&mut self.state, State::Resuming(outbox));
        if let State::Open(old) | State::Resuming(old) = old {
            old.close(1000, "resumed on another connection");
        }
    }

    /// Opens a resumed line with its first message and what was missed. False when nothing is being resumed.
    pub fn greet(&mut self, reconnect: Bytes) -> Result<bool, Overflow> {
        let State::Resuming(outbox) = &self.state else { return Ok(false) };
        let outbox = outbox.clone();
        self.missed_bytes = 0;
        outbox.send(reconnect)?;
        for message in self.missed.drain(..) {
            outbox.send(message)?;
        }
        self.state = State::Open(outbox);
        Ok(true)
    }

    /// Last words, then the end of the WebSocket.
    pub fn close(&mut self, last: Bytes, why: &'static str) {
        if let State::Open(outbox) | State::Resuming(outbox) = &self.state {
            let _ = outbox.send(last);
            outbox.close(1000, why);
        }
    }

    /// Ends the WebSocket without what is queued.
    pub fn kill(&self) {
        if let State::Open(outbox) | State::Resuming(outbox) = &self.state {
            outbox.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Outgoing;

    fn text(bytes: &'static [u8]) -> Bytes {
        Bytes::from_static(bytes)
    }

    async fn next(reader: &mut crate::outbox::OutboxReader) -> String {
        match reader.recv().await {
            Some(Outgoing::Message(message)) => String::from_utf8_lossy(&message).into_owned(),
            Some(Outgoing::Close(code, _)) => format!("close {code}"),
            None => "end".into(),
        }
    }

    #[tokio::test]
    async fn a_resume_hears_reconnect_and_then_what_it_missed() {
        let (first, mut first_reader, _) = Outbox::new();
        let mut line = Line::new(1, first);
        assert!(line.send(text(b"a"), Missed::Keep).is_ok() && line.is(1));
        line.lose(Instant::now());
        assert!(!line.is(1), "a lost socket has no say any more");
        assert!(line.send(text(b"kept"), Missed::Keep).is_ok() && line.send(text(b"stale"), Missed::Drop).is_ok());
        let (second, mut reader, _) = Outbox::new();
        line.take_over(2, second);
        assert!(line.send(text(b"late"), Missed::Keep).is_ok(), "reconnect goes first");
        assert!(line.greet(text(b"reconnect")).unwrap_or(false));
        assert!(!line.greet(text(b"reconnect")).unwrap_or(true), "only once");
        assert!(line.send(text(b"b"), Missed::Keep).is_ok());
        for expected in ["reconnect", "kept", "late", "b"] {
            assert_eq!(next(&mut reader).await, expected);
        }
        assert_eq!(next(&mut first_reader).await, "a");
        assert_eq!(next(&mut first_reader).await, "end");
    }

    #[tokio::test]
    async fn a_second_resume_closes_the_first() {
        let (old, mut old_reader, _) = Outbox::new();
        let mut line = Line::new(1, old);
        let (new, mut reader, _) = Outbox::new();
        line.take_over(2, new);
        let (newest, _newest_reader, _) = Outbox::new();
        line.take_over(3, newest);
        assert_eq!(next(&mut old_reader).await, "close 1000");
        assert_eq!(next(&mut reader).await, "close 1000");
        assert!(line.is(3) && !line.is(2));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (outbox, _reader, _) = Outbox::new();
        let mut line = Line::new(1, outbox);
        line.lose(Instant::now());
        (0..MISSED_MAX).for_each(|_| assert!(line.send(text(b"x"), Missed::Keep).is_ok()));
        assert!(!line.has_overflowed());
        assert!(line.send(text(b"x"), Missed::Keep).is_ok() && line.has_overflowed());
        assert_eq!(line.missed.len(), MISSED_MAX);
    }
}
