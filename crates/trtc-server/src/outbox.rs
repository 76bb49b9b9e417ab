//! The bounded way from a room to a client's WebSocket.
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// Messages that may wait for a client; a client that lets more pile up is removed.
pub const OUTBOX_CAP: usize = 1024;

/// What the socket task does next.
#[derive(Debug)]
pub enum Outgoing {
    /// One encoded `SignalResponse`.
    Message(Bytes),
    /// Close the WebSocket with a code and a reason; nothing follows.
    Close(u16, &'static str),
}

/// The client does not read.
#[derive(Debug)]
pub struct Overflow;

/// The sending side; never blocks.
#[derive(Clone, Debug)]
pub struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    kill: Arc<Notify>,
}

impl Outbox {
    /// An outbox, its other end, and what the socket task must obey at once.
    pub fn new() -> (Self, mpsc::Receiver<Outgoing>, Arc<Notify>) {
        let (queue, receiver) = mpsc::channel(OUTBOX_CAP);
        let kill = Arc::new(Notify::new());
        (Self { queue, kill: kill.clone() }, receiver, kill)
    }

    /// Queues a message. A socket that is already gone is not an error: its task reports that itself.
    pub fn send(&self, message: Bytes) -> Result<(), Overflow> {
        match self.queue.try_send(Outgoing::Message(message)) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Overflow),
            _ => Ok(()),
        }
    }

    /// Closes after what is queued; at once when the queue is full.
    pub fn close(&self, code: u16, reason: &'static str) {
        if self.queue.try_send(Outgoing::Close(code, reason)).is_err() {
            self.kill.notify_one();
        }
    }
}
