//! Answering NACKs: a ring of sent packets, and the RTX format (RFC 4588).
use crate::packet::{RtpPacket, set_payload_type, set_sequence, set_ssrc};
use crate::sequence::is_newer;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes of a slot: what fits into an Ethernet frame with IPv4 and UDP. WebRTC sends 1,200; other WHIP clients fill the frame.
const SLOT_BYTES: usize = 1_472;
const MAX_CAPACITY: usize = 16_384;

/// The last plain packets of one source, in a ring that is allocated once.
pub struct RetransmissionCache {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    rejected: u64,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    sequence: u16,
    len: u16,
}

impl RetransmissionCache {
    /// Room for `capacity_packets`, rounded up to a power of two, 1..=16,384.
    #[must_use]
    pub fn new(capacity_packets: usize) -> Self {
        let capacity = capacity_packets.clamp(1, MAX_CAPACITY).next_power_of_two();
        Self { slots: vec![Slot::default(); capacity], bytes: vec![0; capacity * SLOT_BYTES], rejected: 0 }
    }

    /// Keeps a packet. Not kept, but counted: a packet above 1,472 bytes, or one whose place a newer packet has.
    pub fn insert(&mut self, sequence: u16, packet: &[u8]) {
        let index = self.index(sequence);
        let slot = &mut self.slots[index];
        let outdated = slot.len > 0 && is_newer(slot.sequence, sequence);
        if packet.len() > SLOT_BYTES || outdated {
            self.rejected += 1;
            return;
        }
        *slot = Slot { sequence, len: packet.len() as u16 };
        let start = index * SLOT_BYTES;
        self.bytes[start..start + packet.len()].copy_from_slice(packet);
    }

    /// The packet with this sequence number, if it is still there.
    #[must_use]
    pub fn get(&self, sequence: u16) -> Option<&[u8]> {
        let index = self.index(sequence);
        let slot = self.slots[index];
        let start = index * SLOT_BYTES;
        (slot.len > 0 && slot.sequence == sequence).then(|| &self.bytes[start..start + usize::from(slot.len)])
    }

    /// Forgets everything, for a source that starts anew.
    pub fn clear(&mut self) {
        self.slots.fill(Slot::default());
    }

    /// Packets that were not kept.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    fn index(&self, sequence: u16) -> usize {
        usize::from(sequence) & (self.slots.len() - 1)
    }
}

/// Repeats that are remembered.
const RECENT_MAX: usize = 256;
/// A longer round trip is not waited for.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// What was repeated within a round trip: a NACK that names it again cannot know of it yet, and would fill a full link with copies.
#[derive(Clone, Debug, Default)]
pub struct RecentRepeats {
    recent: VecDeque<(u16, Instant)>,
}

impl RecentRepeats {
    /// Whether to repeat a packet now; then it is remembered. `round_trip` is zero while it is not known.
    pub fn take(&mut self, now: Instant, sequence: u16, round_trip: Duration) -> bool {
        let wait = round_trip.min(WAIT_MAX);
        let is_old = |at: Instant| now.saturating_duration_since(at) >= wait;
        while self.recent.front().is_some_and(|(_, at)| is_old(*at)) {
            self.recent.pop_front();
        }
        if self.recent.iter().any(|(known, at)| *known == sequence && !is_old(*at)) {
            return false;
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((sequence, now));
        true
    }
}

/// Appends `original` as a retransmission: header and extensions as they were, without padding, the original sequence
/// number before the payload. Appends nothing when `original` is no RTP packet.
pub fn write_rtx(out: &mut Vec<u8>, original: &[u8], rtx_ssrc: u32, rtx_pt: u8, rtx_seq: u16) {
    let Some(packet) = RtpPacket::parse(original) else { return };
    let start = out.len();
    out.extend_from_slice(&original[..packet.header_len()]);
    out.extend_from_slice(&packet.header().sequence.to_be_bytes());
    out.extend_from_slice(packet.payload());
    let written = &mut out[start..];
    written[0] &= !0x20;
    set_payload_type(written, rtx_pt);
    set_sequence(written, rtx_seq);
    set_ssrc(written, rtx_ssrc);
}

/// Restores the original of a retransmission into `out` (cleared first). `false` for a probe, which has no original:
/// its payload is padding or shorter than two bytes. The original of a payload of exactly two bytes was padding only.
pub fn unwrap_rtx(packet: &[u8], media_ssrc: u32, media_pt: u8, out: &mut Vec<u8>) -> bool {
    out.clear();
    let Some(rtx) = RtpPacket::parse(packet) else { return false };
    let Some((sequence, payload)) = rtx.payload().split_at_checked(2) else { return false };
    out.extend_from_slice(&packet[..rtx.header_len()]);
    out.extend_from_slice(payload);
    out[0] &= !0x20;
    set_payload_type(out, media_pt);
    set_sequence(out, u16::from_be_bytes([sequence[0], sequence[1]]));
    set_ssrc(out, media_ssrc);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{RtpHeader, write_rtp};
    use proptest::prelude::*;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn nothing_is_repeated_twice_within_a_round_trip() {
        let (mut repeats, start, trip) = (RecentRepeats::default(), Instant::now(), Duration::from_millis(80));
        assert!(repeats.take(start, 7, trip) && repeats.take(start, 8, trip));
        let later = start + Duration::from_millis(79);
        assert!(!repeats.take(later, 7, trip) && repeats.take(later, 9, trip));
        assert!(repeats.take(start + trip, 7, trip) && !repeats.take(start + trip, 9, trip));
        assert!(repeats.take(start + trip, 9, Duration::from_millis(1)), "the round trip is shorter now");
        assert!((0..3).all(|_| repeats.take(start + trip, 9, Duration::ZERO)), "not known");
        (0..10_000).for_each(|n| {
            repeats.take(start + trip, n, WAIT_MAX);
        });
        assert_eq!(repeats.recent.len(), RECENT_MAX);
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let mut cache = RetransmissionCache::new(500);
        for sequence in 65_000..=65_535u16 {
            cache.insert(sequence, &sequence.to_be_bytes());
        }
        for sequence in 0..100u16 {
            cache.insert(sequence, &sequence.to_be_bytes());
        }
        assert_eq!(cache.get(99), Some(&99u16.to_be_bytes()[..]));
        assert_eq!(cache.get(65_200), Some(&65_200u16.to_be_bytes()[..]));
        assert_eq!(cache.get(65_100), None); // 536 behind: its place is taken
        cache.insert(65_100, &[1]);
        cache.insert(1, &[0; SLOT_BYTES + 1]);
        assert_eq!((cache.get(65_100), cache.rejected()), (None, 2));
        cache.clear();
        assert_eq!(cache.get(99), None);
    }

    #[test]
    fn probes_have_no_original() {
        let mut out = vec![1];
        let header = RtpHeader { payload_type: 97, ..RtpHeader::default() };
        for payload in [&[][..], &[1]] {
            let mut packet = Vec::new();
            write_rtp(&mut packet, &header, &[], payload);
            assert!(!unwrap_rtx(&packet, 1, 96, &mut out));
        }
        assert!(!unwrap_rtx(&[0x80, 1, 2], 1, 96, &mut out));
        write_rtx(&mut out, &[1, 2, 3], 1, 2, 3);
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn rtx_round_trip(sequence: u16, marker: bool, payload in proptest::collection::vec(any::<u8>(), 0..50), padding in 0u8..5) {
            let header = RtpHeader { marker, payload_type: 108, sequence, timestamp: 5, ssrc: 6 };
            let (mut plain, mut padded, mut rtx, mut back) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            write_rtp(&mut plain, &header, &[(4, b"a")], &payload);
            padded.extend_from_slice(&plain);
            if padding > 0 {
                padded[0] |= 0x20;
                padded.extend(std::iter::repeat_n(padding, usize::from(padding)));
            }
            write_rtx(&mut rtx, &padded, 77, 109, 1000);
            let view = RtpPacket::parse(&rtx).unwrap().header();
            prop_assert_eq!((view.ssrc, view.payload_type, view.sequence, view.marker), (77, 109, 1000, marker));
            prop_assert!(unwrap_rtx(&rtx, 6, 108, &mut back));
            prop_assert_eq!(back, plain);
        }

        #[test]
        fn anything_unwraps(data in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut out = Vec::new();
            unwrap_rtx(&data, 1, 2, &mut out);
            write_rtx(&mut out, &data, 1, 2, 3);
        }
    }
}
