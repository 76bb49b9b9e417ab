//! The bounded way from a room to a client's WebSocket.
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, mpsc};

/// Messages and bytes that may wait for a client; one that lets more pile up is removed.
const MESSAGES_MAX: usize = 1024;
const BYTES_MAX: usize = 4 << 20;

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
    bytes: Arc<AtomicUsize>,
    kill: Arc<Notify>,
}

/// The socket's side.
pub struct OutboxReader {
    queue: mpsc::Receiver<Outgoing>,
    bytes: Arc<AtomicUsize>,
}

impl Outbox {
    /// An outbox, its other end, and what the socket task must obey at once.
    pub fn new() -> (Self, OutboxReader, Arc<Notify>) {
        let (queue, receiver) = mpsc::channel(MESSAGES_MAX);
        let (bytes, kill) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let reader = OutboxReader { queue: receiver, bytes: bytes.clone() };
        (Self { queue, bytes, kill: kill.clone() }, reader, kill)
    }

    /// Queues a message. A socket that is already gone is not an error: its task reports that itself.
    pub fn send(&self, message: Bytes) -> Result<(), Overflow> {
        let length = message.len();
        // A single message may be longer: the join response of a large room.
        let waiting = self.bytes.fetch_add(length, Ordering::Relaxed);
        let fits = waiting == 0 || waiting + length <= BYTES_MAX;
        if fits && self.queue.try_send(Outgoing::Message(message)).is_ok() || self.queue.is_closed() {
            return Ok(());
        }
        self.bytes.fetch_sub(length, Ordering::Relaxed);
        Err(Overflow)
    }

    /// Closes after what is queued; at once when the queue is full.
    pub fn close(&self, code: u16, reason: &'static str) {
        if self.queue.try_send(Outgoing::Close(code, reason)).is_err() {
            self.kill.notify_one();
        }
    }

    /// Closes without what is queued.
    pub fn kill(&self) {
        self.kill.notify_one();
    }
}

impl OutboxReader {
    /// The member is gone: what still waits are its last words.
    pub fn is_orphan(&self) -> bool {
        self.queue.is_closed()
    }

    /// What to do next; `None` when the room is gone.
    pub async fn recv(&mut self) -> Option<Outgoing> {
        let next = self.queue.recv().await;
        if let Some(Outgoing::Message(message)) = &next {
            self.bytes.fetch_sub(message.len(), Ordering::Relaxed);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Bytes {
        Bytes::from(vec![0; length])
    }

    #[test]
    fn a_client_that_does_not_read_fills_its_own_outbox_only() {
        let (outbox, _reader, _) = Outbox::new();
        assert!((0..MESSAGES_MAX).all(|_| outbox.send(message(10)).is_ok()));
        assert!(outbox.send(message(1)).is_err(), "too many messages");
        let (outbox, mut reader, _) = Outbox::new();
        assert!(outbox.send(message(BYTES_MAX + 1)).is_ok(), "one may be large");
        assert!(outbox.send(message(1)).is_err(), "too many bytes");
        assert!(matches!(done(reader.recv()), Some(Outgoing::Message(m)) if m.len() == BYTES_MAX + 1));
        assert!((0..4).all(|_| outbox.send(message(1 << 20)).is_ok()));
        assert!(outbox.send(message(1)).is_err(), "refused ones are not counted twice");
        done(reader.recv());
        assert!(outbox.send(message(1 << 20)).is_ok());
        drop(reader);
        assert!(outbox.send(message(1)).is_ok(), "its task knows that the socket is gone");
    }

    fn done<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(future)
    }
}
