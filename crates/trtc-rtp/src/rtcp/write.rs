//! Writers. Each appends one packet to `out`, so that calls in a row make a compound.
use super::{ReportBlock, SenderInfo};

/// Report blocks and sources that fit a five-bit count.
const MAX_COUNT: usize = 31;
/// NACK items in one packet; more would not fit a datagram.
const MAX_NACK_ITEMS: usize = 250;

/// A sender report; at most 31 blocks are written.
pub fn sender_report(out: &mut Vec<u8>, info: &SenderInfo, reports: &[ReportBlock]) {
    let reports = &reports[..reports.len().min(MAX_COUNT)];
    head(out, 200, reports.len(), 6 + 6 * reports.len());
    out.extend_from_slice(&info.ssrc.to_be_bytes());
    out.extend_from_slice(&info.ntp.to_be_bytes());
    for value in [info.rtp_time, info.packets, info.octets] {
        out.extend_from_slice(&value.to_be_bytes());
    }
    blocks(out, reports);
}

/// A receiver report; at most 31 blocks are written.
pub fn receiver_report(out: &mut Vec<u8>, ssrc: u32, reports: &[ReportBlock]) {
    let reports = &reports[..reports.len().min(MAX_COUNT)];
    head(out, 201, reports.len(), 1 + 6 * reports.len());
    out.extend_from_slice(&ssrc.to_be_bytes());
    blocks(out, reports);
}

/// A source description with the canonical name, which a compound with a report should carry; cut at 255 bytes.
pub fn sdes_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let name = &cname.as_bytes()[..cname.len().min(255)];
    // Source, item head, name, and one to four zeros up to a word.
    let words = (4 + 2 + name.len()) / 4 + 1;
    head(out, 202, 1, words);
    let end = out.len() + 4 * words;
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&[1, name.len() as u8]);
    out.extend_from_slice(name);
    out.resize(end, 0);
}

/// Goodbye of at most 31 sources.
pub fn bye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    let ssrcs = &ssrcs[..ssrcs.len().min(MAX_COUNT)];
    head(out, 203, ssrcs.len(), ssrcs.len());
    for ssrc in ssrcs {
        out.extend_from_slice(&ssrc.to_be_bytes());
    }
}

/// Asks for the packets in `lost`, ascending for the shortest form. Nothing is written for none; beyond what fits a
/// datagram the rest is left out.
pub fn nack(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, lost: &[u16]) {
    if lost.is_empty() {
        return;
    }
    let start = out.len();
    feedback_head(out, 205, 1, 0, sender_ssrc, media_ssrc);
    let (mut items, mut rest) = (0, lost);
    while let Some((&first, tail)) = rest.split_first() {
        if items == MAX_NACK_ITEMS {
            break;
        }
        let mut mask = 0u16;
        rest = tail;
        while let Some((&next, tail)) = rest.split_first() {
            let distance = next.wrapping_sub(first);
            if !(1..=16).contains(&distance) {
                break;
            }
            mask |= 1 << (distance - 1);
            rest = tail;
        }
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&mask.to_be_bytes());
        items += 1;
    }
    set_length(out, start);
}

/// Asks for a key frame.
pub fn pli(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) {
    feedback_head(out, 206, 1, 0, sender_ssrc, media_ssrc);
}

/// Asks for a key frame with a command number, which must change with every new request.
pub fn fir(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, command: u8) {
    feedback_head(out, 206, 4, 2, sender_ssrc, 0);
    out.extend_from_slice(&media_ssrc.to_be_bytes());
    out.extend_from_slice(&[command, 0, 0, 0]);
}

/// The receiver's bandwidth estimate for at most 255 sources.
pub fn remb(out: &mut Vec<u8>, sender_ssrc: u32, bitrate_bps: u64, ssrcs: &[u32]) {
    let ssrcs = &ssrcs[..ssrcs.len().min(255)];
    let exponent = (64 - bitrate_bps.leading_zeros()).saturating_sub(18);
    let mantissa = (bitrate_bps >> exponent) as u32;
    feedback_head(out, 206, 15, 2 + ssrcs.len(), sender_ssrc, 0);
    out.extend_from_slice(b"REMB");
    out.extend_from_slice(&((ssrcs.len() as u32) << 24 | exponent << 18 | mantissa).to_be_bytes());
    for ssrc in ssrcs {
        out.extend_from_slice(&ssrc.to_be_bytes());
    }
}

/// Transport-wide feedback from the packets `(index, arrival in us)`, ascending by index; numbers between them are
/// reported as lost. Returns how many entries were written: fewer than given when the span or a time step is too large
/// for one packet. `first_index` is where the report begins, at or before the first packet.
pub fn transport_feedback(
    out: &mut Vec<u8>,
    sender_ssrc: u32,
    media_ssrc: u32,
    count: u8,
    first_index: u64,
    arrivals: &[(u64, u64)],
) -> usize {
    super::twcc::write(out, sender_ssrc, media_ssrc, count, first_index, arrivals)
}

pub(super) fn feedback_head(
    out: &mut Vec<u8>,
    packet_type: u8,
    format: usize,
    words: usize,
    sender_ssrc: u32,
    media_ssrc: u32,
) {
    head(out, packet_type, format, 2 + words);
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    out.extend_from_slice(&media_ssrc.to_be_bytes());
}

/// Sets the length of the packet that began at `start` and ends at the end of `out`.
pub(super) fn set_length(out: &mut [u8], start: usize) {
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

fn head(out: &mut Vec<u8>, packet_type: u8, count: usize, words: usize) {
    out.extend_from_slice(&[0x80 | count as u8, packet_type]);
    out.extend_from_slice(&(words as u16).to_be_bytes());
}

fn blocks(out: &mut Vec<u8>, reports: &[ReportBlock]) {
    for r in reports {
        let lost =
            (r.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff) | u32::from(r.fraction_lost) << 24;
        for value in [r.ssrc, lost, r.highest_sequence, r.jitter, r.last_sender_report, r.delay_since] {
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::MAX_NACK_ITEMS;

    #[test]
    fn a_compound_reads_back() {
        let block = ReportBlock {
            ssrc: 7,
            fraction_lost: 128,
            cumulative_lost: -3,
            highest_sequence: 0x0001_0005,
            jitter: 90,
            last_sender_report: 1,
            delay_since: 2,
        };
        let mut out = Vec::new();
        receiver_report(&mut out, 1, &[block, block]);
        sdes_cname(&mut out, 1, "cname");
        fir(&mut out, 1, 9, 42);
        remb(&mut out, 1, 2_500_000, &[9, 10]);
        bye(&mut out, &[1]);
        let all: Vec<_> = parse(&out).collect();
        assert_eq!(all.len(), 5);
        let Rtcp::ReceiverReport { ssrc: 1, reports } = all[0] else { panic!("{:?}", all[0]) };
        assert_eq!(reports.collect::<Vec<_>>(), [block, block]);
        let Rtcp::Fir { entries } = all[2] else { panic!("{:?}", all[2]) };
        assert_eq!(entries.collect::<Vec<_>>(), [(9, 42)]);
        let Rtcp::Remb { bitrate_bps, ssrcs } = all[3] else { panic!("{:?}", all[3]) };
        assert!((2_499_900..=2_500_000).contains(&bitrate_bps));
        assert_eq!(ssrcs.collect::<Vec<_>>(), [9, 10]);
        let Rtcp::Bye { ssrcs } = all[4] else { panic!("{:?}", all[4]) };
        assert_eq!(ssrcs.collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn every_cname_length_ends_on_a_word_with_a_zero() {
        for len in 0..300 {
            let mut out = Vec::new();
            sdes_cname(&mut out, 1, &"x".repeat(len));
            assert_eq!(out.len() % 4, 0);
            assert_eq!(out.last(), Some(&0));
            assert_eq!(parse(&out).count(), 1, "{len}");
        }
    }

    #[test]
    fn extremes() {
        for bps in [0, 1, 0x3_ffff, 0x4_0000, u64::from(u32::MAX), 1 << 45] {
            let mut out = Vec::new();
            remb(&mut out, 1, bps, &[]);
            let Some(Rtcp::Remb { bitrate_bps, .. }) = parse(&out).next() else { panic!("{bps}") };
            assert!(bitrate_bps <= bps && bitrate_bps >= bps - bps / 100_000);
        }
        let mut out = Vec::new();
        nack(&mut out, 1, 2, &[]);
        assert!(out.is_empty());
        nack(&mut out, 1, 2, &(0..20_000u16).map(|n| n.wrapping_mul(40)).collect::<Vec<_>>());
        assert_eq!(out.len(), 12 + 4 * MAX_NACK_ITEMS);
        assert_eq!(ntp_middle(ntp_from_unix(std::time::Duration::from_millis(1_500))), 0x7e81_8000);
    }
}
