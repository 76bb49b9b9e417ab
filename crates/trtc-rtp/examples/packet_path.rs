//! A deterministic loop over the work that forwarding does per packet, to be counted by callgrind: parse, loss detection, cache,
//! header rewrite. Prints the number of packets and a checksum of what was written.
//!
//! `valgrind --tool=callgrind target/release/examples/packet_path 20000`
use std::time::{Duration, Instant};
use trtc_rtp::{
    NackGenerator, RetransmissionCache, RtpHeader, RtpPacket, set_payload_type, set_sequence, set_ssrc, set_timestamp,
    write_rtp,
};

const PAYLOAD: usize = 1_100;

fn main() {
    let packets: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000);
    println!("packets={packets} checksum={:016x}", forward(packets));
}

fn forward(packets: u64) -> u64 {
    // Only a starting point: all times below are virtual.
    #[allow(clippy::disallowed_methods)]
    let mut now = Instant::now();
    let mut nack = NackGenerator::new();
    let mut cache = RetransmissionCache::new(512);
    let (mut input, mut output, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let mut checksum = 0xcbf2_9ce4_8422_2325u64;
    let payload: Vec<u8> = (0..PAYLOAD).map(|n| n as u8).collect();
    for n in 0..packets {
        now += Duration::from_millis(1);
        let sequence = n as u16;
        let header =
            RtpHeader { marker: n % 8 == 7, payload_type: 108, sequence, timestamp: (n / 8) as u32 * 3000, ssrc: 7 };
        input.clear();
        write_rtp(&mut input, &header, &[(1, b"0"), (3, &sequence.to_be_bytes())], &payload);
        // One in two hundred is lost.
        if n % 200 == 199 {
            continue;
        }
        let Some(packet) = RtpPacket::parse(&input) else { continue };
        let header = packet.header();
        nack.received(now, header.sequence);
        cache.insert(header.sequence, &input);
        lost.clear();
        nack.poll(now, &mut lost);
        output.clear();
        output.extend_from_slice(packet.bytes());
        set_sequence(&mut output, header.sequence.wrapping_add(1_000));
        set_timestamp(&mut output, header.timestamp.wrapping_add(90_000));
        set_ssrc(&mut output, 99);
        set_payload_type(&mut output, 96);
        let twcc = packet.extension(3).map_or(0, |data| u64::from(data[0]));
        for value in [u64::from(output[3]), output.len() as u64, lost.len() as u64, twcc] {
            checksum = (checksum ^ value).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    checksum
}
