#![allow(clippy::disallowed_methods)]
use super::*;
use crate::h264::Packetizer;
use crate::packet::{RtpHeader, write_rtp};
use crate::retransmission::{RetransmissionCache, unwrap_rtx, write_rtx};
use proptest::prelude::*;

const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1e, 0xaa];
const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

/// A small seeded generator (xorshift64*): failures print the seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

fn annexb(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
}

/// Frame `n`: its number stands in the slice; every `gop`-th is a key frame.
fn frame(n: u32, gop: u32, size: usize) -> Vec<u8> {
    let tag: Vec<u8> = n.to_be_bytes().iter().flat_map(|b| [0x40 | b >> 4, 0x40 | (b & 15)]).collect();
    let body: Vec<u8> = tag.iter().copied().cycle().take(size.max(8)).collect();
    if n.is_multiple_of(gop) {
        annexb(&[SPS, PPS, &[&[0x65, 0x88], &body[..]].concat()])
    } else {
        annexb(&[&[&[0x41, 0x9a], &body[..]].concat()])
    }
}

/// Packets of frames, numbered from `sequence`.
struct Sender {
    sequence: u16,
    packets: Vec<Vec<u8>>,
}

impl Sender {
    fn new(sequence: u16) -> Self {
        Self { sequence, packets: Vec::new() }
    }

    fn raw(&mut self, marker: bool, timestamp: u32, payload: &[u8]) {
        let header = RtpHeader { marker, payload_type: 108, sequence: self.sequence, timestamp, ssrc: 7 };
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = Vec::new();
        write_rtp(&mut packet, &header, &[(3, &[1, 2])], payload);
        self.packets.push(packet);
    }

    fn frame(&mut self, data: &[u8], timestamp: u32) {
        let mut payloads = Vec::new();
        Packetizer::new().packetize(data, 100, &mut |payload, last| payloads.push((payload.to_vec(), last)));
        for (payload, last) in payloads {
            self.raw(last, timestamp, &payload);
        }
    }

    fn padding(&mut self, timestamp: u32) {
        self.raw(false, timestamp, &[0, 0, 3]);
        if let Some(packet) = self.packets.last_mut() {
            packet[0] |= 0x20;
        }
    }
}

fn insert(receiver: &mut VideoReceiver, now: Instant, packet: &[u8]) {
    receiver.insert(now, &RtpPacket::parse(packet).unwrap(), true);
}

fn drain(receiver: &mut VideoReceiver, now: Instant) -> Vec<AssembledFrame> {
    std::iter::from_fn(|| receiver.poll_frame(now)).collect()
}

fn ms(base: Instant, ms: u64) -> Instant {
    base + Duration::from_millis(ms)
}

/// Sends packets one a millisecond in `order`, drops, repairs on NACK with a 50 ms round trip; returns what came out.
fn play(sender: &Sender, order: &[usize], drop: &dyn Fn(usize) -> bool) -> (Vec<AssembledFrame>, VideoReceiverStats) {
    let base = Instant::now();
    let mut receiver = VideoReceiver::new(7);
    let mut cache = RetransmissionCache::new(512);
    let (mut frames, mut repairs, mut lost, mut rtx_sequence) =
        (Vec::new(), Vec::<(u64, Vec<u8>)>::new(), Vec::new(), 0u16);
    let mut scratch = Vec::new();
    for step in 0..order.len() as u64 + 2_000 {
        let now = ms(base, step);
        if let Some(&index) = order.get(step as usize) {
            let packet = &sender.packets[index];
            cache.insert(RtpPacket::parse(packet).unwrap().header().sequence, packet);
            if !drop(index) {
                insert(&mut receiver, now, packet);
            }
        }
        for (_, rtx) in repairs.extract_if(.., |(at, _)| *at <= step) {
            assert!(unwrap_rtx(&rtx, 7, 108, &mut scratch));
            receiver.insert_recovered(now, &RtpPacket::parse(&scratch).unwrap(), true);
        }
        lost.clear();
        receiver.poll_nack(now, &mut lost);
        for &sequence in &lost {
            let mut rtx = Vec::new();
            write_rtx(&mut rtx, cache.get(sequence).unwrap(), 8, 109, rtx_sequence);
            rtx_sequence = rtx_sequence.wrapping_add(1);
            repairs.push((step + 50, rtx));
        }
        frames.extend(drain(&mut receiver, now));
    }
    assert!(receiver.packets.is_empty() && receiver.bytes == 0);
    (frames, receiver.stats())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Nothing plays in arrival order: shuffled within windows of three, duplicated, 1 % lost and repaired.
    #[test]
    fn repaired_streams_are_exact(seed in 1u64.., first: u16, count in 20u32..80, dup_percent in 0u64..20) {
        let mut random = Random(seed);
        let mut sender = Sender::new(first);
        let originals: Vec<Vec<u8>> = (0..count).map(|n| frame(n, 15, random.below(900) as usize)).collect();
        for (n, data) in originals.iter().enumerate() {
            sender.frame(data, n as u32 * 3000);
            if random.below(8) == 0 {
                sender.padding(n as u32 * 3000);
            }
        }
        for _ in 0..8 {
            sender.padding(count * 3000); // so that the last frame's losses show
        }
        let mut order: Vec<usize> = (0..sender.packets.len()).collect();
        for window in order.chunks_mut(3) {
            let (a, b) = (random.below(window.len() as u64) as usize, random.below(window.len() as u64) as usize);
            window.swap(0, a);
            let end = window.len() - 1;
            window.swap(end, b);
        }
        let dropped: Vec<bool> = (0..order.len()).map(|i| i > 2 && i + 8 < order.len() && random.below(100) == 0).collect();
        let mut with_duplicates = Vec::new();
        for &index in &order {
            with_duplicates.push(index);
            if random.below(100) < dup_percent {
                with_duplicates.push(order[random.below(order.len() as u64) as usize].min(index));
            }
        }
        let (frames, stats) = play(&sender, &with_duplicates, &|index| dropped[index]);
        let got: Vec<&[u8]> = frames.iter().map(|f| &f.data[..]).collect();
        let want: Vec<&[u8]> = originals.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(got.len(), want.len(), "stats {:?}", stats);
        prop_assert!(got == want);
        prop_assert!(frames.iter().enumerate().all(|(n, f)| f.rtp_time == n as u32 * 3000 && f.key == n.is_multiple_of(15)));
        prop_assert_eq!((stats.interruptions, stats.dropped), (0, 0));
        prop_assert_eq!(stats.recovered, dropped.iter().filter(|d| **d).count() as u64);
    }

    /// Without repair: what comes out is still made of whole original frames, in order, and starts anew at key frames.
    #[test]
    fn unrepaired_streams_skip_to_key_frames(seed in 1u64.., first: u16) {
        let mut random = Random(seed);
        let mut sender = Sender::new(first);
        let originals: Vec<Vec<u8>> = (0..200).map(|n| frame(n, 10, random.below(400) as usize)).collect();
        for (n, data) in originals.iter().enumerate() {
            sender.frame(data, n as u32);
        }
        let base = Instant::now();
        let mut receiver = VideoReceiver::new(7);
        let (mut frames, mut requests) = (Vec::new(), Vec::new());
        for (i, packet) in sender.packets.iter().enumerate() {
            let now = ms(base, 10 * i as u64);
            if random.below(50) != 0 {
                insert(&mut receiver, now, packet);
            }
            frames.extend(drain(&mut receiver, now));
            if receiver.needs_key_frame(now) {
                requests.push(now);
            }
        }
        let mut expected = 0;
        for frame in &frames {
            let n = frame.rtp_time;
            prop_assert!(n >= expected && frame.data == originals[n as usize]);
            prop_assert!(n == expected || frame.key, "{n} after {expected}");
            expected = n + 1;
        }
        prop_assert!(frames.len() > 20);
        prop_assert!(requests.windows(2).all(|pair| pair[1] - pair[0] >= KEY_REQUEST_INTERVAL));
    }

    #[test]
    fn anything_is_bounded(seed in 1u64..) {
        let mut random = Random(seed);
        let base = Instant::now();
        let mut receiver = VideoReceiver::new(7);
        let (mut now, mut sequence) = (base, random.below(65_536) as u16);
        let mut lost = Vec::new();
        for _ in 0..3_000 {
            now += Duration::from_millis(random.below(4));
            sequence = match random.below(40) {
                0 => random.below(65_536) as u16,
                1..4 => sequence.wrapping_sub(random.below(50) as u16),
                4..8 => sequence.wrapping_add(random.below(50) as u16),
                _ => sequence.wrapping_add(1),
            };
            let kinds = [0x67, 0x65, 0x41, 24, 28, 0x7c, 0, 30];
            let mut payload: Vec<u8> = (0..random.below(30)).map(|_| random.below(256) as u8).collect();
            if let Some(first) = payload.first_mut() {
                *first = kinds[random.below(8) as usize];
            }
            let header = RtpHeader {
                marker: random.below(3) == 0,
                payload_type: 1,
                sequence,
                timestamp: random.below(3) as u32,
                ssrc: 7,
            };
            let mut bytes = Vec::new();
            write_rtp(&mut bytes, &header, &[], &payload);
            let packet = RtpPacket::parse(&bytes).unwrap();
            if random.below(10) == 0 {
                receiver.insert_recovered(now, &packet, true);
            } else {
                receiver.insert(now, &packet, true);
            }
            if random.below(3) == 0 {
                drain(&mut receiver, now);
                receiver.poll_nack(now, &mut lost);
                let _ = (receiver.needs_key_frame(now), receiver.timeout(), receiver.report_block(now));
            }
            if random.below(500) == 0 {
                receiver.require_key_frame();
            }
            lost.clear();
            prop_assert!(receiver.packets.len() <= MAX_PACKETS);
            prop_assert_eq!(receiver.bytes, receiver.packets.values().map(|s| s.payload.len()).sum::<usize>());
        }
    }
}

#[test]
fn a_gap_is_waited_for_then_given_up() {
    let base = Instant::now();
    let mut sender = Sender::new(65_530);
    for n in 0..30 {
        sender.frame(&frame(n, 20, 150), n);
    }
    let mut receiver = VideoReceiver::new(7);
    let lost = sender.packets.iter().position(|p| RtpPacket::parse(p).unwrap().header().timestamp == 3).unwrap();
    let mut times = Vec::new();
    for (i, packet) in sender.packets.iter().enumerate().filter(|(i, _)| *i != lost) {
        insert(&mut receiver, base, packet);
        times.extend(drain(&mut receiver, base).iter().map(|f| f.rtp_time));
        assert!(i < lost || times == [0, 1, 2]);
    }
    // The wait ends by itself, with a deadline that the machine told.
    assert!(!receiver.needs_key_frame(base));
    let (mut now, mut out) = (base, Vec::new());
    while times.len() == 3 {
        now = receiver.timeout().unwrap().max(now);
        receiver.poll_nack(now, &mut out);
        times.extend(drain(&mut receiver, now).iter().map(|f| f.rtp_time));
    }
    assert_eq!(now - base, MAX_WAIT);
    assert_eq!(times, [&[0, 1, 2][..], &(20..30).collect::<Vec<u32>>()[..]].concat());
    let stats = receiver.stats();
    assert_eq!((stats.frames, stats.key_frames, stats.interruptions, stats.stream.lost), (13, 2, 1, 1));
    assert!(stats.nacks >= 4 && stats.dropped > 0);
}

#[test]
fn key_frames_are_requested_while_packets_come() {
    let base = Instant::now();
    let mut receiver = VideoReceiver::new(7);
    assert!(!receiver.needs_key_frame(base) && receiver.timeout().is_none());
    let mut sender = Sender::new(1);
    for n in 1..5 {
        sender.frame(&frame(n, 100, 50), n);
    }
    sender.frame(&frame(100, 100, 50), 100);
    insert(&mut receiver, base, &sender.packets[0]);
    assert_eq!(receiver.timeout(), Some(base));
    assert!(receiver.needs_key_frame(base) && !receiver.needs_key_frame(ms(base, 400)));
    insert(&mut receiver, ms(base, 100), &sender.packets[1]);
    assert!(!receiver.needs_key_frame(ms(base, 299)));
    assert_eq!(receiver.timeout(), Some(ms(base, 300)));
    assert!(receiver.needs_key_frame(ms(base, 300)));
    for packet in &sender.packets[2..] {
        insert(&mut receiver, ms(base, 301), packet);
    }
    assert_eq!(drain(&mut receiver, ms(base, 301)).len(), 1);
    assert!(!receiver.needs_key_frame(ms(base, 1_000)));
    receiver.require_key_frame();
    assert!(receiver.needs_key_frame(ms(base, 1_000)));
}

#[test]
fn parameter_sets_are_remembered_and_may_travel_alone() {
    let base = Instant::now();
    let mut receiver = VideoReceiver::new(7);
    let mut sender = Sender::new(10);
    let idr = annexb(&[&[0x65, 0x88, 1, 2, 3]]);
    sender.frame(&annexb(&[SPS, PPS]), 1); // alone, with its own timestamp
    sender.frame(&idr, 2);
    sender.frame(&idr, 3);
    for packet in &sender.packets {
        insert(&mut receiver, base, packet);
    }
    let frames = drain(&mut receiver, base);
    let whole = annexb(&[SPS, PPS, &[0x65, 0x88, 1, 2, 3]]);
    assert_eq!(frames.iter().map(|f| &f.data[..]).collect::<Vec<_>>(), [&whole[..], &whole[..]]);
}

#[test]
fn senders_without_markers_and_restarted_senders() {
    let base = Instant::now();
    let mut receiver = VideoReceiver::new(7);
    let mut sender = Sender::new(40_000);
    for n in 0..4 {
        sender.frame(&frame(n, 10, 250), n);
    }
    for packet in &mut sender.packets {
        crate::packet::set_marker(packet, false);
        insert(&mut receiver, base, packet);
    }
    assert_eq!(drain(&mut receiver, base).len(), 3);
    for first in [10_000u16, 30_000, 65_000] {
        let mut sender = Sender::new(first);
        sender.padding(0);
        for n in 0..3 {
            sender.frame(&frame(n, 10, 250), n);
        }
        let frames: usize = sender
            .packets
            .iter()
            .map(|p| {
                insert(&mut receiver, base, p);
                drain(&mut receiver, base).len()
            })
            .sum();
        assert_eq!(frames, 3, "{first}");
    }
}

#[test]
fn the_buffer_is_bounded_and_other_codecs_are_only_counted() {
    let base = Instant::now();
    let mut receiver = VideoReceiver::new(7);
    let mut sender = Sender::new(0);
    sender.raw(false, 1, SPS);
    sender.raw(false, 1, &[0x7c, 0x85, 1]);
    for _ in 0..3_000 {
        sender.raw(false, 1, &[[0x7c, 0x05].as_slice(), &[9; 1000]].concat()); // a frame without end
    }
    for packet in &sender.packets {
        insert(&mut receiver, base, packet);
        assert!(drain(&mut receiver, base).is_empty());
        assert!(receiver.packets.len() <= MAX_PACKETS && receiver.bytes <= MAX_BYTES);
    }
    assert!(receiver.stats().dropped >= 2048);
    let mut other = VideoReceiver::new(7);
    for packet in &sender.packets {
        other.insert(base, &RtpPacket::parse(packet).unwrap(), false);
    }
    assert_eq!((other.stats().stream.packets, other.packets.len(), other.timeout()), (3_002, 0, None));
}
