//! What only fuzz targets and their regression tests need: data channels and protected media without DTLS around them.
use crate::channels::Reliability;
use crate::sctp::{Sctp, Shared};
use crate::srtp::{Profile, Srtp};
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

/// One side of protected media, with keys that everybody knows.
pub struct Protection(Srtp);

impl Protection {
    /// Both sides under a profile: 0 is AEAD_AES_128_GCM, 1 AEAD_AES_256_GCM, all others AES128_CM_SHA1_80.
    #[must_use]
    pub fn pair(profile: u8) -> [Self; 2] {
        let (profile, length) = match profile {
            0 => (Profile::AeadAes128Gcm, 56),
            1 => (Profile::AeadAes256Gcm, 88),
            _ => (Profile::Aes128CmSha1_80, 60),
        };
        [true, false].map(|client| Self(Srtp::new(profile, &vec![7; length], client).expect("the profile's length")))
    }

    /// Encrypts a packet; false when it is refused.
    pub fn seal(&mut self, packet: &mut Vec<u8>, is_rtcp: bool) -> bool {
        if is_rtcp { self.0.seal_rtcp(packet) } else { self.0.seal_rtp(packet) }
    }

    /// Decrypts in place; the length of the plain packet.
    pub fn open(&mut self, packet: &mut [u8], is_rtcp: bool) -> Option<usize> {
        if is_rtcp { self.0.open_rtcp(packet) } else { self.0.open_rtp(packet) }
    }
}
