//! Walking a compound packet. A bad length ends the walk; an unknown or malformed packet is skipped.
use super::{ReportBlock, Rtcp, TransportFeedback};

/// The packets of a compound RTCP datagram.
#[must_use]
pub fn parse(datagram: &[u8]) -> Compound<'_> {
    Compound { rest: datagram }
}

/// Iterator of [`parse`].
#[derive(Clone, Debug)]
pub struct Compound<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Compound<'a> {
    type Item = Rtcp<'a>;

    fn next(&mut self) -> Option<Rtcp<'a>> {
        let head = self.rest.get(..4)?;
        let len = 4 * (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1);
        if head[0] >> 6 != 2 || len > self.rest.len() {
            self.rest = &[];
            return None;
        }
        let (packet, rest) = self.rest.split_at(len);
        self.rest = rest;
        let (format, packet_type) = (head[0] & 0x1f, head[1]);
        let body = without_padding(packet);
        Some(body.and_then(|body| one(packet_type, format, body)).unwrap_or(Rtcp::Unknown { packet_type, format }))
    }
}

/// The packet's body behind its four-byte head, padding removed.
fn without_padding(packet: &[u8]) -> Option<&[u8]> {
    let mut end = packet.len();
    if packet[0] & 0x20 != 0 {
        let padding = usize::from(*packet.last()?);
        end = end.checked_sub(padding).filter(|&end| padding > 0 && end >= 4)?;
    }
    Some(&packet[4..end])
}

fn one(packet_type: u8, format: u8, body: &[u8]) -> Option<Rtcp<'_>> {
    match (packet_type, format) {
        (200, count) => Some(Rtcp::SenderReport {
            ssrc: word(body, 0)?,
            ntp: u64::from(word(body, 4)?) << 32 | u64::from(word(body, 8)?),
            rtp_time: word(body, 12)?,
            packets: word(body, 16)?,
            octets: word(body, 20)?,
            reports: Reports(counted(body, 24, count, 24)?),
        }),
        (201, count) => {
            Some(Rtcp::ReceiverReport { ssrc: word(body, 0)?, reports: Reports(counted(body, 4, count, 24)?) })
        }
        (203, count) => Some(Rtcp::Bye { ssrcs: Ssrcs(counted(body, 0, count, 4)?) }),
        (205, 1) => Some(Rtcp::Nack { media_ssrc: word(body, 4)?, lost: LostSequences::new(&body[8..]) }),
        (205, 15) => Some(Rtcp::TransportFeedback(TransportFeedback::parse(body)?)),
        (206, 1) => Some(Rtcp::Pli { media_ssrc: word(body, 4)? }),
        (206, 4) => Some(Rtcp::Fir { entries: FirEntries(body.get(8..)?) }),
        (206, 15) => remb(body),
        _ => None,
    }
}

fn remb(body: &[u8]) -> Option<Rtcp<'_>> {
    if body.get(8..12)? != b"REMB" {
        return None;
    }
    let word12 = word(body, 12)?;
    let (count, exponent, mantissa) = ((word12 >> 24) as u8, (word12 >> 18) & 0x3f, u64::from(word12 & 0x3_ffff));
    // 2^46 bit/s is beyond any wire: larger exponents are lies.
    let bitrate_bps = if exponent > 46 { u64::MAX } else { mantissa << exponent };
    Some(Rtcp::Remb { bitrate_bps, ssrcs: Ssrcs(counted(body, 16, count, 4)?) })
}

/// `count` items of `size` bytes from `at`, which must all be there.
fn counted(body: &[u8], at: usize, count: u8, size: usize) -> Option<&[u8]> {
    body.get(at..at + usize::from(count) * size)
}

pub(super) fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

/// Report blocks of a sender or receiver report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reports<'a>(&'a [u8]);

impl Iterator for Reports<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (b, rest) = self.0.split_at_checked(24)?;
        self.0 = rest;
        let lost = word(b, 4)?;
        Some(ReportBlock {
            ssrc: word(b, 0)?,
            fraction_lost: b[4],
            cumulative_lost: ((lost << 8) as i32) >> 8,
            highest_sequence: word(b, 8)?,
            jitter: word(b, 12)?,
            last_sender_report: word(b, 16)?,
            delay_since: word(b, 20)?,
        })
    }
}

/// Sequence numbers of a NACK: each item names one and a bit mask of the sixteen that follow (RFC 4585 section 6.2.1).
#[derive(Clone, Copy, Debug)]
pub struct LostSequences<'a> {
    items: &'a [u8],
    mask: u16,
    next: u16,
}

impl<'a> LostSequences<'a> {
    fn new(items: &'a [u8]) -> Self {
        Self { items, mask: 0, next: 0 }
    }
}

impl Iterator for LostSequences<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.mask != 0 {
            let skip = self.mask.trailing_zeros() as u16;
            let found = self.next.wrapping_add(skip);
            self.next = found.wrapping_add(1);
            self.mask = self.mask.checked_shr(u32::from(skip) + 1).unwrap_or(0);
            return Some(found);
        }
        let (item, rest) = self.items.split_at_checked(4)?;
        self.items = rest;
        let first = u16::from_be_bytes([item[0], item[1]]);
        self.mask = u16::from_be_bytes([item[2], item[3]]);
        self.next = first.wrapping_add(1);
        Some(first)
    }
}

/// (source, command number) pairs of a FIR (RFC 5104 section 4.3.1).
#[derive(Clone, Copy, Debug)]
pub struct FirEntries<'a>(&'a [u8]);

impl Iterator for FirEntries<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        let (item, rest) = self.0.split_at_checked(8)?;
        self.0 = rest;
        Some((word(item, 0)?, item[4]))
    }
}

/// A list of sources.
#[derive(Clone, Copy, Debug)]
pub struct Ssrcs<'a>(&'a [u8]);

impl Iterator for Ssrcs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (item, rest) = self.0.split_at_checked(4)?;
        self.0 = rest;
        word(item, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use proptest::prelude::*;

    /// Reads everything that a datagram offers.
    fn walk(data: &[u8]) -> usize {
        parse(data)
            .map(|packet| match packet {
                Rtcp::SenderReport { reports, .. } | Rtcp::ReceiverReport { reports, .. } => reports.count(),
                Rtcp::Nack { lost, .. } => lost.count(),
                Rtcp::Fir { entries } => entries.count(),
                Rtcp::Remb { ssrcs, .. } | Rtcp::Bye { ssrcs } => ssrcs.count(),
                Rtcp::TransportFeedback(feedback) => feedback.packets().count(),
                Rtcp::Pli { .. } | Rtcp::Unknown { .. } => 0,
            })
            .sum()
    }

    #[test]
    fn unknown_sdes_items_do_not_hide_the_sender_report() {
        // LiveKit: sender report, then SDES with CNAME and item 15 (MID).
        let mut data = Vec::new();
        let info = SenderInfo { ssrc: 1, ntp: 0x0102_0304_0506_0708, rtp_time: 9, packets: 10, octets: 11 };
        sender_report(&mut data, &info, &[]);
        data.extend_from_slice(&[0x81, 202, 0, 4, 0, 0, 0, 1, 1, 2, b'a', b'b', 15, 3, b'm', b'i', b'd', 0, 0, 0]);
        pli(&mut data, 1, 2);
        let all: Vec<_> = parse(&data).collect();
        assert!(matches!(all[0], Rtcp::SenderReport { ssrc: 1, ntp: 0x0102_0304_0506_0708, rtp_time: 9, .. }));
        assert!(matches!(all[1], Rtcp::Unknown { packet_type: 202, .. }));
        assert!(matches!(all[2], Rtcp::Pli { media_ssrc: 2 }));
    }

    #[test]
    fn a_bad_length_ends_the_walk_only() {
        let mut data = Vec::new();
        pli(&mut data, 1, 2);
        data.extend_from_slice(&[0x80, 201, 0, 9, 0, 0, 0, 0]);
        assert_eq!(parse(&data).count(), 1);
        // A report count above what is there: skipped, not trusted.
        let lie = [0x85, 201, 0, 1, 0, 0, 0, 1];
        assert!(matches!(parse(&lie).next(), Some(Rtcp::Unknown { packet_type: 201, .. })));
        // NACK without room for its sources.
        let short = [0x81, 205, 0, 1, 0, 0, 0, 1];
        assert!(matches!(parse(&short).next(), Some(Rtcp::Unknown { packet_type: 205, .. })));
    }

    #[test]
    fn nack_masks() {
        let lost = [5, 6, 9, 21, 22, 40, 65_535, 0, 3];
        let mut data = Vec::new();
        nack(&mut data, 1, 2, &lost);
        let Some(Rtcp::Nack { media_ssrc: 2, lost: read }) = parse(&data).next() else { panic!("no NACK") };
        assert_eq!(read.collect::<Vec<_>>(), lost);
        let full = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0xff, 0xff];
        let Some(Rtcp::Nack { lost, .. }) = parse(&full).next() else { panic!("no NACK") };
        assert_eq!(lost.collect::<Vec<_>>(), (10..=26).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn anything_parses(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            walk(&data);
        }

        #[test]
        fn almost_valid_parses(packet_type in prop_oneof![Just(200u8), Just(201), Just(203), Just(205), Just(206)],
                               head in 0u8..64, body in proptest::collection::vec(any::<u8>(), 0..160)) {
            let words = body.len() / 4;
            let mut data = vec![0x80 | head, packet_type, 0, words as u8];
            data.extend_from_slice(&body[..4 * words]);
            // A transport feedback can announce 65,535 packets in a few run lengths.
            prop_assert!(walk(&data) <= 65_535);
        }

        #[test]
        fn nack_round_trip(lost in proptest::collection::btree_set(any::<u16>(), 1..60)) {
            let lost: Vec<u16> = lost.into_iter().collect();
            let mut data = Vec::new();
            nack(&mut data, 7, 8, &lost);
            let mut read: Vec<u16> = parse(&data).flat_map(|p| match p {
                Rtcp::Nack { lost, .. } => lost.collect::<Vec<_>>(),
                _ => Vec::new(),
            }).collect();
            read.sort_unstable();
            prop_assert_eq!(read, lost);
        }
    }
}
