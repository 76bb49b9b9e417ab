//! STUN messages (RFC 8489) with the attributes of ICE (RFC 8445) and TURN (RFC 8656). Parsing does not allocate.
use aws_lc_rs::hmac;
use md5::{Digest, Md5};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

pub(crate) const REQUEST: u16 = 0x0001;
pub(crate) const SUCCESS: u16 = 0x0101;
pub(crate) const ERROR: u16 = 0x0111;

/// ERROR-CODE of a role conflict.
pub(crate) const ROLE_CONFLICT: u16 = 487;

pub(crate) const PRIORITY: u16 = 0x0024;
pub(crate) const USERNAME: u16 = 0x0006;
pub(crate) const USE_CANDIDATE: u16 = 0x0025;
pub(crate) const ICE_CONTROLLED: u16 = 0x8029;
pub(crate) const ICE_CONTROLLING: u16 = 0x802a;

pub(crate) const CHANNEL_NUMBER: u16 = 0x000c;
pub(crate) const LIFETIME: u16 = 0x000d;
pub(crate) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(crate) const REALM: u16 = 0x0014;
pub(crate) const NONCE: u16 = 0x0015;
pub(crate) const REQUESTED_TRANSPORT: u16 = 0x0019;
const DATA: u16 = 0x0013;

const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;
const FINGERPRINT_XOR: u32 = 0x5354_554e;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER: usize = 20;

/// The ufrag of the receiver in a binding request (the first half of USERNAME): tells the peers behind a shared socket
/// apart. Nothing is authenticated yet.
#[must_use]
pub fn stun_ufrag(datagram: &[u8]) -> Option<&str> {
    let message = Message::parse(datagram)?;
    (message.kind == REQUEST).then_some(())?;
    message.receiver_ufrag()
}

pub(crate) type TransactionId = [u8; 12];

/// A parsed message. Attributes behind MESSAGE-INTEGRITY are ignored, except FINGERPRINT, which must fit.
#[derive(Debug, Default)]
pub(crate) struct Message<'a> {
    pub kind: u16,
    pub transaction: TransactionId,
    pub username: Option<&'a str>,
    pub use_candidate: bool,
    pub controlling: Option<u64>,
    pub controlled: Option<u64>,
    pub mapped: Option<SocketAddr>,
    pub error: u16,
    pub realm: Option<&'a [u8]>,
    pub nonce: Option<&'a [u8]>,
    /// Seconds.
    pub lifetime: Option<u32>,
    pub peer: Option<SocketAddr>,
    /// Where DATA lies in the message.
    pub data: Option<Range<usize>>,
    integrity_at: usize,
    raw: &'a [u8],
}

impl<'a> Message<'a> {
    pub fn parse(raw: &'a [u8]) -> Option<Self> {
        if raw.len() < HEADER || raw[0] >= 4 || raw[4..8] != COOKIE {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([raw[2], raw[3]]));
        if !length.is_multiple_of(4) || raw.len() != HEADER + length {
            return None;
        }
        let mut message = Message {
            kind: u16::from_be_bytes([raw[0], raw[1]]),
            transaction: raw[8..20].try_into().ok()?,
            raw,
            ..Default::default()
        };
        let mut at = HEADER;
        while at + 4 <= raw.len() {
            let kind = u16::from_be_bytes([raw[at], raw[at + 1]]);
            let length = usize::from(u16::from_be_bytes([raw[at + 2], raw[at + 3]]));
            let value = raw.get(at + 4..at + 4 + length)?;
            if kind == FINGERPRINT || message.integrity_at == 0 {
                message.attribute(kind, at, value)?;
            }
            at += 4 + length.next_multiple_of(4);
        }
        Some(message)
    }

    fn attribute(&mut self, kind: u16, at: usize, value: &'a [u8]) -> Option<()> {
        match kind {
            USERNAME => self.username = std::str::from_utf8(value).ok(),
            MESSAGE_INTEGRITY if value.len() == 20 => self.integrity_at = at,
            ERROR_CODE if value.len() >= 4 => self.error = u16::from(value[2] & 7) * 100 + u16::from(value[3]),
            XOR_MAPPED_ADDRESS => self.mapped = unmask_address(value, &self.raw[4..20]),
            USE_CANDIDATE => self.use_candidate = true,
            REALM => self.realm = Some(value),
            NONCE => self.nonce = Some(value),
            LIFETIME => self.lifetime = Some(u32::from_be_bytes(value.try_into().ok()?)),
            XOR_PEER_ADDRESS => self.peer = unmask_address(value, &self.raw[4..20]),
            DATA => self.data = Some(at + 4..at + 4 + value.len()),
            ICE_CONTROLLED => self.controlled = Some(u64::from_be_bytes(value.try_into().ok()?)),
            ICE_CONTROLLING => self.controlling = Some(u64::from_be_bytes(value.try_into().ok()?)),
            FINGERPRINT => {
                let expected = u32::from_be_bytes(value.try_into().ok()?);
                (crc32(&self.raw[..at]) ^ FINGERPRINT_XOR == expected).then_some(())?;
            }
            _ => {}
        }
        Some(())
    }

    /// First half of USERNAME.
    pub fn receiver_ufrag(&self) -> Option<&'a str> {
        self.username.and_then(|name| name.split(':').next())
    }

    /// MESSAGE-INTEGRITY: HMAC-SHA1 up to the attribute, with the length as if it were the last one (RFC 8489 14.5).
    pub fn verify(&self, password: &str) -> bool {
        self.verify_with(password.as_bytes())
    }

    /// [`Self::verify`] with a key that is no password.
    pub fn verify_with(&self, key: &[u8]) -> bool {
        if self.integrity_at == 0 {
            return false;
        }
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = hmac::Context::with_key(&key);
        context.update(&self.raw[..2]);
        context.update(&((self.integrity_at + 24 - HEADER) as u16).to_be_bytes());
        context.update(&self.raw[4..self.integrity_at]);
        let tag = &self.raw[self.integrity_at + 4..self.integrity_at + 24];
        aws_lc_rs::constant_time::verify_slices_are_equal(context.sign().as_ref(), tag).is_ok()
    }
}

fn unmask_address(value: &[u8], mask: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([*value.get(2)? ^ mask[0], *value.get(3)? ^ mask[1]]);
    let ip = match (value[1], &value[4..]) {
        (1, ip) => IpAddr::from(xor::<4>(ip, mask)?),
        (2, ip) => IpAddr::from(xor::<16>(ip, mask)?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn xor<const N: usize>(value: &[u8], mask: &[u8]) -> Option<[u8; N]> {
    let mut out: [u8; N] = value.try_into().ok()?;
    out.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    Some(out)
}

/// Writes one message.
pub(crate) struct Builder(Vec<u8>);

impl Builder {
    pub fn new(kind: u16, transaction: &TransactionId) -> Self {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&COOKIE);
        out.extend_from_slice(transaction);
        Self(out)
    }

    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&kind.to_be_bytes());
        self.0.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub fn mapped_address(self, address: SocketAddr) -> Self {
        self.address(XOR_MAPPED_ADDRESS, address)
    }

    pub fn address(self, kind: u16, address: SocketAddr) -> Self {
        let mask: [u8; 16] = self.0[4..20].try_into().expect("header is 20 bytes");
        let port = address.port().to_be_bytes();
        let mut value = vec![0, 1, port[0] ^ mask[0], port[1] ^ mask[1]];
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => value.extend(ip.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask)),
            IpAddr::V6(ip) => {
                value[1] = 2;
                value.extend(ip.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
            }
        }
        self.attribute(kind, &value)
    }

    pub fn error(self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend_from_slice(reason.as_bytes());
        self.attribute(ERROR_CODE, &value)
    }

    /// Adds MESSAGE-INTEGRITY and FINGERPRINT.
    pub fn finish(self, password: &str) -> Vec<u8> {
        self.finish_with(password.as_bytes())
    }

    /// [`Self::finish`] with a key that is no password.
    pub fn finish_with(mut self, key: &[u8]) -> Vec<u8> {
        self.set_length(24);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let tag = hmac::sign(&key, &self.0);
        self.attribute(MESSAGE_INTEGRITY, tag.as_ref()).finish_open()
    }

    /// Adds FINGERPRINT only.
    pub fn finish_open(mut self) -> Vec<u8> {
        self.set_length(8);
        let crc = crc32(&self.0) ^ FINGERPRINT_XOR;
        self.attribute(FINGERPRINT, &crc.to_be_bytes()).0
    }

    fn set_length(&mut self, extra: usize) {
        let length = (self.0.len() + extra - HEADER) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

/// The key of a long-term credential (RFC 8489 section 9.2.2).
pub(crate) fn long_term_key(username: &[u8], realm: &[u8], password: &[u8]) -> [u8; 16] {
    Md5::digest([username, realm, password].join(&b":"[..])).into()
}

fn crc32(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0u32; 256];
        let mut i = 0;
        while i < 256 {
            let mut crc = i as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 != 0 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !data.iter().fold(!0u32, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    /// RFC 5769 2.1
    #[test]
    fn sample_request() {
        let raw = hex(
            "00010058 2112a442 b7e7a701bc34d686fa87dfae 80220010 5354554e207465737420636c69656e74 00240004 6e0001ff
             80290008 932ff9b151263b36 00060009 6576746a3a68367659202020 00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
             80280004 e57a3bcf",
        );
        let message = Message::parse(&raw).unwrap();
        assert_eq!(message.kind, REQUEST);
        assert_eq!(message.username, Some("evtj:h6vY"));
        assert_eq!(message.controlled, Some(0x932f_f9b1_5126_3b36));
        assert!(message.verify(PASSWORD));
        assert!(!message.verify("VOkJxbRl1RmTxUk/WvJxBu"));
        assert_eq!(stun_ufrag(&raw), Some("evtj"));
    }

    /// RFC 5769 2.2 and 2.3
    #[test]
    fn sample_responses() {
        let raw = hex(
            "0101003c 2112a442 b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220 00200008 0001a147e112a643
             00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004 c07d4c96",
        );
        let message = Message::parse(&raw).unwrap();
        assert_eq!(message.kind, SUCCESS);
        assert_eq!(message.mapped, Some("192.0.2.1:32853".parse().unwrap()));
        assert!(message.verify(PASSWORD));
        let raw = hex("01010048 2112a442 b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220
             00200014 0002a147 0113a9faa5d3f179bc25f4b5bed2b9d9 00080014 a382954e4be67bf11784c97c8292c275bfe3ed41
             80280004 c8fb0b4c");
        let message = Message::parse(&raw).unwrap();
        assert_eq!(message.mapped, Some("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()));
        assert!(message.verify(PASSWORD));
    }

    /// RFC 5769 2.4
    #[test]
    fn sample_request_with_long_term_credentials() {
        let raw = hex("00010060 2112a442 78ad3433c6ad72c029da412e
             00060012 e3839ee38388e383aae38383e382af e382b90000
             0015001c 662f2f3439396b39353464364f4c33346f4c39465354767936347341
             0014000b 6578616d706c652e6f726700 00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666");
        let message = Message::parse(&raw).unwrap();
        let realm = message.realm.unwrap();
        assert_eq!((realm, message.nonce), (&b"example.org"[..], Some(&b"f//499k954d6OL34oL9FSTvy64sA"[..])));
        let key = long_term_key(message.username.unwrap().as_bytes(), realm, b"TheMatrIX");
        assert!(message.verify_with(&key) && !message.verify_with(b"TheMatrIX"));
    }

    #[test]
    fn round_trip_and_tampering() {
        for address in ["192.0.2.7:4000", "[2001:db8::7]:4000"] {
            let address: SocketAddr = address.parse().unwrap();
            let mut raw = Builder::new(SUCCESS, &[7; 12])
                .mapped_address(address)
                .attribute(ICE_CONTROLLING, &9u64.to_be_bytes())
                .error(ROLE_CONFLICT, "Role Conflict")
                .finish("secret");
            let message = Message::parse(&raw).unwrap();
            assert_eq!((message.mapped, message.controlling, message.error), (Some(address), Some(9), ROLE_CONFLICT));
            assert!(message.verify("secret"));
            raw[25] ^= 1;
            assert!(Message::parse(&raw).is_none(), "FINGERPRINT must notice");
        }
    }
}
