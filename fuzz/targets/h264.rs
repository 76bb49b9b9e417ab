//! H.264: NAL units, parameter sets, access units, payloads of packets, and frames put together from them.
use super::bytes::Bytes;
use std::time::{Duration, Instant};
use trtc_bitstream::h264::{self, NalType};
use trtc_rtp::h264::{Depacketizer, Packetizer, key_start};
use trtc_rtp::{RtpHeader, RtpPacket, VideoReceiver, write_rtp};
use trtc_sfu::Codec;

/// The first byte chooses.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.u8() % 3 {
        0 => stream(bytes.rest()),
        1 => payloads(&mut bytes),
        _ => receiver(&mut bytes),
    }
}

fn stream(file: &[u8]) {
    let units: Vec<&[u8]> = h264::access_units(file).collect();
    assert!(units.iter().map(|unit| unit.len()).sum::<usize>() <= file.len());
    for unit in &units {
        let _ = (h264::is_key(unit), h264::has_b_frames(unit));
    }
    let mut nals: Vec<&[u8]> = h264::nal_units(file).collect();
    for nal in &nals {
        let _ = (NalType::of(nal), h264::starts_picture(nal));
        if let Some(sps) = h264::parse_sps(nal) {
            let _ = format!("{sps:?}");
        }
    }
    // A parameter set without a start code around it.
    let _ = h264::parse_sps(file);
    // What is packed comes out again.
    let mut out = Vec::new();
    let (mut depacketizer, mut sound) = (Depacketizer::new(), true);
    let mut packed = 0;
    Packetizer::new().packetize(file, 100, &mut |payload, _| {
        assert!(payload.len() <= 100);
        packed += 1;
        sound &= depacketizer.push(payload, &mut out);
    });
    // Delimiters and filler are left out.
    nals.retain(|nal| !matches!(nal[0] & 0x1f, 9 | 12));
    let types = |nal: &&[u8]| (1..=23).contains(&(nal[0] & 0x1f)) && nal[0] & 0x80 == 0;
    if nals.iter().all(types) && !nals.is_empty() {
        assert!(sound && packed > 0, "{packed} packets");
        assert_eq!(h264::nal_units(&out).collect::<Vec<_>>(), nals);
    }
}

fn payloads(bytes: &mut Bytes<'_>) {
    let (mut depacketizer, mut out) = (Depacketizer::new(), Vec::new());
    while !bytes.is_empty() {
        let payload = bytes.chunk(200);
        let _ = key_start(payload);
        for codec in [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1] {
            let _ = codec.starts_here(payload);
        }
        let before = out.len();
        let _ = depacketizer.push(payload, &mut out);
        // A unit of one byte gets a start code of four and a length of two.
        assert!(out.len() - before <= 4 * payload.len() + 4);
        let _ = depacketizer.is_open();
    }
}

fn receiver(bytes: &mut Bytes<'_>) {
    let (mut now, mut receiver) = (Instant::now(), VideoReceiver::new(7));
    let (mut sequence, mut timestamp, mut lost) = (bytes.u16(), 0u32, Vec::new());
    while !bytes.is_empty() {
        let act = bytes.u8();
        // Mostly the next packet, of the same frame or the next.
        sequence = match act & 7 {
            0 => bytes.u16(),
            1 => sequence.wrapping_add(u16::from(bytes.u8())),
            2 => sequence.wrapping_sub(u16::from(bytes.u8())),
            _ => sequence.wrapping_add(1),
        };
        timestamp = timestamp.wrapping_add(if act & 8 == 0 { 0 } else { 3_000 });
        let header = RtpHeader { marker: act & 16 != 0, payload_type: 96, sequence, timestamp, ssrc: 7 };
        let mut packet = Vec::new();
        let payload: &[u8] = match act >> 5 {
            0 => &[24, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce],
            1 => &[0x65, 0x88, 1, 2],
            2 => &[0x41, 0x9a, 1, 2],
            _ => bytes.chunk(60),
        };
        write_rtp(&mut packet, &header, &[], payload);
        let packet = RtpPacket::parse(&packet).expect("our own packet");
        if act & 6 == 6 {
            receiver.insert_recovered(now, &packet, true);
        } else {
            receiver.insert(now, &packet, true);
        }
        now += Duration::from_millis(u64::from(bytes.u8()));
        while let Some(frame) = receiver.poll_frame(now) {
            assert!(!frame.data.is_empty());
            assert!(!frame.key || h264::is_key(&frame.data), "a key frame without an IDR picture");
        }
        receiver.poll_nack(now, &mut lost);
        lost.clear();
        let _ = (receiver.needs_key_frame(now), receiver.timeout(), receiver.report_block(now));
        if act == 0xff {
            receiver.require_key_frame();
            receiver.sender_report(now, u64::from(bytes.u32()) << 16);
            receiver.set_round_trip(Duration::from_millis(u64::from(bytes.u8())));
        }
    }
    let _ = receiver.stats();
}
