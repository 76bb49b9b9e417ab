//! RTP packets (RFC 3550) with header extensions (RFC 8285): a view, a writer, and in-place changes for forwarding.

/// Bytes of an RTP header without CSRCs and extensions.
pub const FIXED_HEADER: usize = 12;
const ONE_BYTE_PROFILE: u16 = 0xbede;
const TWO_BYTE_PROFILE: u16 = 0x1000;

/// The fixed part of an RTP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtpHeader {
    /// The payload format's marker: for video, the last packet of a frame.
    pub marker: bool,
    /// Payload type, 0..=127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Media time in units of the clock rate.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// A checked view of an RTP packet.
#[derive(Clone, Copy, Debug)]
pub struct RtpPacket<'a> {
    bytes: &'a [u8],
    header_len: usize,
    payload_end: usize,
    extensions: (usize, usize),
    profile: u16,
}

impl<'a> RtpPacket<'a> {
    /// Checks version, lengths and padding; `None` when anything lies.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let &first = bytes.first()?;
        if first >> 6 != 2 || bytes.len() < FIXED_HEADER {
            return None;
        }
        let mut header_len = FIXED_HEADER + 4 * usize::from(first & 0x0f);
        let (mut extensions, mut profile) = ((0, 0), 0);
        if first & 0x10 != 0 {
            let head = bytes.get(header_len..header_len + 4)?;
            profile = u16::from_be_bytes([head[0], head[1]]);
            let len = 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
            extensions = (header_len + 4, header_len + 4 + len);
            header_len = extensions.1;
        }
        if header_len > bytes.len() {
            return None;
        }
        let mut payload_end = bytes.len();
        if first & 0x20 != 0 {
            let padding = usize::from(*bytes.last()?);
            payload_end = payload_end.checked_sub(padding).filter(|&end| padding > 0 && end >= header_len)?;
        }
        Some(Self { bytes, header_len, payload_end, extensions, profile })
    }

    /// The fixed header.
    #[must_use]
    pub fn header(&self) -> RtpHeader {
        let b = self.bytes;
        RtpHeader {
            marker: b[1] & 0x80 != 0,
            payload_type: b[1] & 0x7f,
            sequence: u16::from_be_bytes([b[2], b[3]]),
            timestamp: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            ssrc: u32::from_be_bytes([b[8], b[9], b[10], b[11]]),
        }
    }

    /// Length of the header with CSRCs and extensions.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// The whole packet.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The payload without padding; empty for padding-only packets.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header_len..self.payload_end]
    }

    /// The data of header extension `id` (1..=255), one-byte or two-byte form.
    #[must_use]
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions().find(|&(found, _)| found == id).map(|(_, data)| data)
    }

    /// All header extensions as (id, data).
    #[must_use]
    pub fn extensions(&self) -> Extensions<'a> {
        let one_byte = self.profile == ONE_BYTE_PROFILE;
        let known = one_byte || self.profile & 0xfff0 == TWO_BYTE_PROFILE;
        let data = if known { &self.bytes[self.extensions.0..self.extensions.1] } else { &[] };
        Extensions { data, one_byte }
    }
}

/// Iterator of [`RtpPacket::extensions`].
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    data: &'a [u8],
    one_byte: bool,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&head, rest) = self.data.split_first()?;
            if head == 0 {
                self.data = rest; // padding
                continue;
            }
            let (id, len, rest) = if self.one_byte {
                (head >> 4, usize::from(head & 0x0f) + 1, rest)
            } else {
                let (&len, rest) = rest.split_first()?;
                (head, usize::from(len), rest)
            };
            // Id 15 of the one-byte form ends the list (RFC 8285 section 4.2).
            if len > rest.len() || (self.one_byte && id == 15) {
                self.data = &[];
                return None;
            }
            let (data, rest) = rest.split_at(len);
            self.data = rest;
            return Some((id, data));
        }
    }
}

/// Whether a datagram of an RTP session is RTCP (RFC 5761 section 4).
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.len() >= 8 && datagram[0] >> 6 == 2 && (192..=223).contains(&datagram[1])
}

/// Appends a packet to `out`. Extensions take the one-byte form, or the two-byte form when an id is above 14 or a value is
/// empty or above 16 bytes; id 0 and values above 255 bytes are left out.
pub fn write_rtp(out: &mut Vec<u8>, h: &RtpHeader, extensions: &[(u8, &[u8])], payload: &[u8]) {
    let start = out.len();
    out.reserve(FIXED_HEADER + 4 + payload.len());
    out.extend_from_slice(&[0x80, u8::from(h.marker) << 7 | (h.payload_type & 0x7f)]);
    out.extend_from_slice(&h.sequence.to_be_bytes());
    out.extend_from_slice(&h.timestamp.to_be_bytes());
    out.extend_from_slice(&h.ssrc.to_be_bytes());
    if !extensions.is_empty() {
        out[start] |= 0x10;
        write_extensions(out, extensions);
    }
    out.extend_from_slice(payload);
}

fn write_extensions(out: &mut Vec<u8>, extensions: &[(u8, &[u8])]) {
    let one_byte = extensions.iter().all(|&(id, data)| id <= 14 && (1..=16).contains(&data.len()));
    let profile = if one_byte { ONE_BYTE_PROFILE } else { TWO_BYTE_PROFILE };
    out.extend_from_slice(&profile.to_be_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0, 0]);
    for &(id, data) in extensions {
        let Ok(len) = u8::try_from(data.len()) else { continue };
        if id == 0 {
            continue;
        }
        if one_byte {
            out.push(id << 4 | (len - 1));
        } else {
            out.extend_from_slice(&[id, len]);
        }
        out.extend_from_slice(data);
    }
    while !(out.len() - length_at - 2).is_multiple_of(4) {
        out.push(0);
    }
    // At most 255 ids of 257 bytes: fits.
    let words = u16::try_from((out.len() - length_at - 2) / 4).unwrap_or(u16::MAX);
    out[length_at..length_at + 2].copy_from_slice(&words.to_be_bytes());
}

/// Overwrites the marker of a packet with a full fixed header; shorter slices are left alone. So do the other setters.
pub fn set_marker(packet: &mut [u8], marker: bool) {
    if packet.len() >= FIXED_HEADER {
        packet[1] = (packet[1] & 0x7f) | u8::from(marker) << 7;
    }
}

/// Overwrites the payload type.
pub fn set_payload_type(packet: &mut [u8], payload_type: u8) {
    if packet.len() >= FIXED_HEADER {
        packet[1] = (packet[1] & 0x80) | (payload_type & 0x7f);
    }
}

/// Overwrites the sequence number.
pub fn set_sequence(packet: &mut [u8], sequence: u16) {
    set(packet, 2, sequence.to_be_bytes());
}

/// Overwrites the timestamp.
pub fn set_timestamp(packet: &mut [u8], timestamp: u32) {
    set(packet, 4, timestamp.to_be_bytes());
}

/// Overwrites the synchronisation source.
pub fn set_ssrc(packet: &mut [u8], ssrc: u32) {
    set(packet, 8, ssrc.to_be_bytes());
}

fn set<const N: usize>(packet: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(field) = packet.get_mut(at..at + N) {
        field.copy_from_slice(&value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: RtpHeader =
        RtpHeader { marker: true, payload_type: 108, sequence: 0xabcd, timestamp: 0x0102_0304, ssrc: 0xdead_beef };

    #[test]
    fn header_and_one_byte_extensions() {
        let mut out = Vec::new();
        write_rtp(&mut out, &HEADER, &[(3, &[7, 8]), (5, b"mid0")], b"hello");
        assert_eq!(&out[12..16], [0xbe, 0xde, 0, 2]);
        let p = RtpPacket::parse(&out).unwrap();
        assert_eq!((p.header(), p.payload(), p.header_len()), (HEADER, &b"hello"[..], 24));
        assert_eq!((p.extension(3), p.extension(5), p.extension(4)), (Some(&[7, 8][..]), Some(&b"mid0"[..]), None));
        assert!(!is_rtcp(&out));
    }

    #[test]
    fn two_byte_extensions_when_needed() {
        let mut out = Vec::new();
        write_rtp(&mut out, &HEADER, &[(20, &[1; 17]), (2, &[])], b"x");
        let p = RtpPacket::parse(&out).unwrap();
        assert_eq!((p.extension(20), p.extension(2)), (Some(&[1; 17][..]), Some(&[][..])));
        assert_eq!(p.payload(), b"x");
    }

    #[test]
    fn padding_csrc_and_lies() {
        let mut out = Vec::new();
        write_rtp(&mut out, &HEADER, &[], &[1, 2, 3, 0, 0, 3]);
        out[0] |= 0x20;
        assert_eq!(RtpPacket::parse(&out).unwrap().payload(), [1, 2, 3]);
        *out.last_mut().unwrap() = 6;
        assert!(RtpPacket::parse(&out).unwrap().payload().is_empty());
        for lie in [0, 7, 255] {
            *out.last_mut().unwrap() = lie;
            assert!(RtpPacket::parse(&out).is_none());
        }
        let mut csrc = vec![0x82; 1];
        csrc.resize(19, 0);
        assert!(RtpPacket::parse(&csrc).is_none());
        csrc.push(0);
        assert_eq!(RtpPacket::parse(&csrc).unwrap().header_len(), 20);
    }

    #[test]
    fn setters_change_only_their_field() {
        let mut out = Vec::new();
        write_rtp(&mut out, &HEADER, &[(1, &[9])], b"payload");
        set_marker(&mut out, false);
        set_payload_type(&mut out, 96);
        set_sequence(&mut out, 1);
        set_timestamp(&mut out, 2);
        set_ssrc(&mut out, 3);
        let p = RtpPacket::parse(&out).unwrap();
        assert_eq!(p.header(), RtpHeader { marker: false, payload_type: 96, sequence: 1, timestamp: 2, ssrc: 3 });
        assert_eq!((p.payload(), p.extension(1)), (&b"payload"[..], Some(&[9][..])));
        set_ssrc(&mut [0; 3], 1);
    }

    proptest! {
        #[test]
        fn anything_parses(mut data in proptest::collection::vec(any::<u8>(), 0..80), valid: bool) {
            if valid && !data.is_empty() {
                data[0] = 0x80 | (data[0] & 0x3f);
            }
            let _ = is_rtcp(&data);
            if let Some(p) = RtpPacket::parse(&data) {
                prop_assert!(p.header_len() + p.payload().len() <= data.len());
                let total: usize = p.extensions().map(|(_, d)| d.len()).sum();
                prop_assert!(total <= data.len());
            }
        }

        #[test]
        fn written_packets_read_back(
            marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32,
            ext in proptest::collection::btree_map(1u8..40, proptest::collection::vec(any::<u8>(), 0..30), 0..5),
            payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let header = RtpHeader { marker, payload_type, sequence, timestamp, ssrc };
            let list: Vec<(u8, &[u8])> = ext.iter().map(|(k, v)| (*k, v.as_slice())).collect();
            let mut out = Vec::new();
            write_rtp(&mut out, &header, &list, &payload);
            let p = RtpPacket::parse(&out).unwrap();
            prop_assert_eq!(p.header(), header);
            prop_assert_eq!(p.payload(), payload.as_slice());
            for (id, data) in list {
                prop_assert_eq!(p.extension(id), Some(data));
            }
        }
    }
}
