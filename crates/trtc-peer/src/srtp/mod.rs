//! SRTP and SRTCP in place (RFC 3711, RFC 7714): packet indices, replay windows and the choice of cipher.
mod cm;
mod gcm;
mod kdf;
mod replay;

use cm::Cm;
use gcm::Gcm;
use replay::{SsrcTable, Window, extend};

/// Streams remembered per direction: more than a server sends to one member. Only authenticated packets create one; who forgets one
/// that goes on loses its roll-over counter.
const MAX_STREAMS: usize = 2_048;

/// Protection profiles of RFC 5764 and RFC 7714.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    AeadAes128Gcm,
    AeadAes256Gcm,
    Aes128CmSha1_80,
}

impl Profile {
    /// Length of a master key and of a master salt.
    const fn lengths(self) -> (usize, usize) {
        match self {
            Self::AeadAes128Gcm => (16, 12),
            Self::AeadAes256Gcm => (32, 12),
            Self::Aes128CmSha1_80 => (16, 14),
        }
    }
}

/// Both directions of one transport.
pub(crate) struct Srtp {
    seal: Cipher,
    open: Cipher,
    sent: SsrcTable<u64>,
    received: SsrcTable<Window>,
    received_rtcp: SsrcTable<Window>,
    rtcp_index: u32,
    pub failed: u64,
    pub replayed: u64,
}

impl Srtp {
    /// `keying`: client key, server key, client salt, server salt (RFC 5764 4.2). `None` when its length is wrong.
    pub fn new(profile: Profile, keying: &[u8], is_client: bool) -> Option<Self> {
        let (key, salt) = profile.lengths();
        if keying.len() != 2 * (key + salt) {
            return None;
        }
        let (client_key, rest) = keying.split_at(key);
        let (server_key, rest) = rest.split_at(key);
        let (client_salt, server_salt) = rest.split_at(salt);
        let client = Cipher::new(profile, client_key, client_salt)?;
        let server = Cipher::new(profile, server_key, server_salt)?;
        let (seal, open) = if is_client { (client, server) } else { (server, client) };
        Some(Self {
            seal,
            open,
            sent: SsrcTable::new(MAX_STREAMS),
            received: SsrcTable::new(MAX_STREAMS),
            received_rtcp: SsrcTable::new(MAX_STREAMS),
            rtcp_index: 0,
            failed: 0,
            replayed: 0,
        })
    }

    /// Encrypts a complete RTP packet and appends the tag. False: not an RTP packet, older than the stream, or a stream too many.
    ///
    /// Two different packets must never be sealed under one SSRC and sequence number (it would reveal key material):
    /// repeat the same bytes, or send RTX.
    pub fn seal_rtp(&mut self, packet: &mut Vec<u8>) -> bool {
        let Some(header) = header_length(packet) else { return false };
        let (sequence, ssrc) = (u16::from_be_bytes([packet[2], packet[3]]), ssrc_at(packet, 8));
        // To forget a stream of ours would be to use its numbers twice.
        if self.sent.is_full() && self.sent.get(ssrc).is_none() {
            return false;
        }
        let top = self.sent.get_or_insert(ssrc, || u64::from(sequence));
        let Some(index) = extend(*top, sequence) else { return false };
        *top = index.max(*top);
        self.seal.seal_rtp(packet, header, ssrc, index).is_some()
    }

    /// Decrypts in place; returns the length of the plain packet.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let header = header_length(packet)?;
        let (sequence, ssrc) = (u16::from_be_bytes([packet[2], packet[3]]), ssrc_at(packet, 8));
        if let Some(window) = self.received.get(ssrc) {
            let fresh = extend(window.top(), sequence).filter(|index| window.is_new(*index));
            let Some(index) = fresh else {
                self.replayed += 1;
                return None;
            };
            let length = self.check(packet, header, ssrc, index)?;
            self.received.get_or_insert(ssrc, Window::default).accept(index);
            return Some(length);
        }
        // A stream may wrap before its first packet arrives: then the roll-over counter is already 1.
        let wrapped = (sequence < 0x400).then(|| packet.to_vec());
        let mut index = u64::from(sequence);
        let mut length = self.open.open_rtp(packet, header, ssrc, index);
        if let (None, Some(copy)) = (length, wrapped) {
            packet.copy_from_slice(&copy);
            index += 1 << 16;
            length = self.open.open_rtp(packet, header, ssrc, index);
        }
        if length.is_none() {
            self.failed += 1;
        } else {
            self.received.get_or_insert(ssrc, Window::default).accept(index);
        }
        length
    }

    fn check(&mut self, packet: &mut [u8], header: usize, ssrc: u32, index: u64) -> Option<usize> {
        let length = self.open.open_rtp(packet, header, ssrc, index);
        self.failed += u64::from(length.is_none());
        length
    }

    /// Encrypts a compound RTCP packet and appends index and tag.
    pub fn seal_rtcp(&mut self, packet: &mut Vec<u8>) -> bool {
        // 2^31 packets are years; afterwards new keys are needed
        if packet.len() < 8 || self.rtcp_index >= 0x7fff_ffff {
            return false;
        }
        self.rtcp_index += 1;
        self.seal.seal_rtcp(packet, ssrc_at(packet, 4), self.rtcp_index).is_some()
    }

    /// Decrypts in place; returns the length of the plain packet.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        if packet.len() < 8 {
            return None;
        }
        let ssrc = ssrc_at(packet, 4);
        let index = u64::from(self.open.rtcp_index(packet)?);
        if self.received_rtcp.get(ssrc).is_some_and(|window| !window.is_new(index)) {
            self.replayed += 1;
            return None;
        }
        let length = self.open.open_rtcp(packet, ssrc);
        if length.is_none() {
            self.failed += 1;
        } else {
            self.received_rtcp.get_or_insert(ssrc, Window::default).accept(index);
        }
        length
    }

    /// Drops the sending state of a stream that is gone for good; its SSRC must not come back.
    pub fn forget(&mut self, ssrc: u32) {
        self.sent.remove(ssrc);
    }
}

/// Length of the RTP header with CSRCs and extension; `None` when the packet is not RTP version 2 or too short.
pub(crate) fn header_length(packet: &[u8]) -> Option<usize> {
    if packet.len() < 12 || packet[0] >> 6 != 2 {
        return None;
    }
    let mut length = 12 + 4 * usize::from(packet[0] & 15);
    if packet[0] & 0x10 != 0 {
        let words = u16::from_be_bytes([*packet.get(length + 2)?, *packet.get(length + 3)?]);
        length += 4 + 4 * usize::from(words);
    }
    (length <= packet.len()).then_some(length)
}

/// RTCP among RTP (RFC 5761 4).
pub(crate) fn is_rtcp(packet: &[u8]) -> bool {
    packet.len() >= 8 && (192..=223).contains(&packet[1])
}

fn ssrc_at(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

enum Cipher {
    Gcm(Box<Gcm>),
    Cm(Box<Cm>),
}

impl Cipher {
    fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Option<Self> {
        Some(match profile {
            Profile::Aes128CmSha1_80 => Self::Cm(Box::new(Cm::new(key, salt)?)),
            _ => Self::Gcm(Box::new(Gcm::new(key, salt)?)),
        })
    }

    fn seal_rtp(&self, packet: &mut Vec<u8>, header: usize, ssrc: u32, index: u64) -> Option<()> {
        match self {
            Self::Gcm(gcm) => gcm.seal_rtp(packet, header, ssrc, index),
            Self::Cm(cm) => cm.seal_rtp(packet, header, ssrc, index),
        }
    }

    fn open_rtp(&self, packet: &mut [u8], header: usize, ssrc: u32, index: u64) -> Option<usize> {
        match self {
            Self::Gcm(gcm) => gcm.open_rtp(packet, header, ssrc, index),
            Self::Cm(cm) => cm.open_rtp(packet, header, ssrc, index),
        }
    }

    fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32) -> Option<()> {
        match self {
            Self::Gcm(gcm) => gcm.seal_rtcp(packet, ssrc, index),
            Self::Cm(cm) => cm.seal_rtcp(packet, ssrc, index),
        }
    }

    /// The index that a received packet claims.
    fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let behind = if matches!(self, Self::Cm(_)) { cm::TAG } else { 0 };
        let at = packet.len().checked_sub(behind + 4).filter(|at| *at >= 8)?;
        Some(ssrc_at(packet, at) & 0x7fff_ffff)
    }

    fn open_rtcp(&self, packet: &mut [u8], ssrc: u32) -> Option<usize> {
        match self {
            Self::Gcm(gcm) => gcm.open_rtcp(packet, ssrc),
            Self::Cm(cm) => cm.open_rtcp(packet, ssrc),
        }
    }
}

#[cfg(test)]
mod tests;
