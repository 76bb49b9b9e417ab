//! What only fuzz targets and their regression tests need: data channels without DTLS around them.
use crate::channels::Reliability;
use crate::sctp::{Sctp, Shared};
use bytes::Bytes;
use std::time::Instant;

/// One side of an SCTP association, fed plain packets.
pub struct DataChannels(Sctp);

impl DataChannels {
    /// As the DTLS client or server.
    #[must_use]
    pub fn new(now: Instant, is_client: bool) -> Self {
        let mut sctp = Sctp::new(&Shared::new());
        sctp.start(now, is_client);
        Self(sctp)
    }

    /// Wants a channel.
    pub fn create(&mut self, now: Instant, label: &str, ordered: bool, max_retransmits: Option<u32>) {
        self.0.create(now, label, Reliability::new(ordered, max_retransmits));
    }

    /// Queues a message; `None` when it is refused.
    pub fn send(&mut self, now: Instant, label: &str, data: &[u8], text: bool) -> Option<usize> {
        self.0.send(now, label, data, text).ok()
    }

    /// Closes a channel.
    pub fn close(&mut self, now: Instant, label: &str) {
        self.0.close_channel(now, label);
    }

    /// A packet from the other side.
    pub fn feed(&mut self, now: Instant, packet: &[u8]) {
        self.0.feed(now, Bytes::copy_from_slice(packet));
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.0.timeout()
    }

    /// Lets the time pass.
    pub fn tick(&mut self, now: Instant) {
        self.0.tick(now);
    }

    /// The packets that may go out now.
    pub fn poll_burst(&mut self, now: Instant) -> Vec<Bytes> {
        self.0.poll_burst(now)
    }

    /// The bytes of the messages that arrived since the last call, and the other events as text.
    pub fn poll_events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.poll_event()).map(|event| format!("{event:?}")).collect()
    }
}
