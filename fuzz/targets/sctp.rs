//! SCTP: chunks with a right header and checksum, for both sides of an association that is being made or stands.
use super::bytes::Bytes;
use std::time::{Duration, Instant};
use trtc_peer::fuzzing::DataChannels;

const HEADER: usize = 12;

/// The first byte says how far the association is when the chunks come.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut now = Instant::now();
    let mut sides = [DataChannels::new(now, true), DataChannels::new(now, false)];
    // Ports and verification tag of what each side receives.
    let mut headers = [[0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0]; 2];
    sides[0].create(now, "_reliable", true, None);
    for _ in 0..bytes.u8() % 16 {
        now += Duration::from_millis(1);
        exchange(&mut sides, &mut headers, now, false);
    }
    for _ in 0..40 {
        if bytes.is_empty() {
            break;
        }
        let to = usize::from(bytes.u8() % 2);
        match bytes.u8() % 8 {
            0..=3 => {
                let mut packet = headers[to].to_vec();
                packet.extend([0; HEADER - 8]);
                packet.extend_from_slice(bytes.chunk(1_400));
                let sum = crc32c(&packet);
                packet[8..HEADER].copy_from_slice(&sum.to_le_bytes());
                sides[to].feed(now, &packet);
            }
            4 => {
                let _ = sides[to].send(now, "_reliable", bytes.chunk(5_000), bytes.one_in(2));
            }
            5 => {
                let label = bytes.text(12);
                let (ordered, limit) = (bytes.one_in(2), Some(u32::from(bytes.u8())).filter(|n| *n < 128));
                sides[to].create(now, &label, ordered, limit);
                let _ = sides[to].send(now, &label, b"x", false);
            }
            6 => sides[to].close(now, if bytes.one_in(2) { "_reliable" } else { "" }),
            _ => {
                now += Duration::from_millis(u64::from(bytes.u8()) * 10);
                exchange(&mut sides, &mut headers, now, bytes.one_in(4));
            }
        }
        exchange(&mut sides, &mut headers, now, false);
    }
}

fn exchange(sides: &mut [DataChannels; 2], headers: &mut [[u8; 8]; 2], now: Instant, lost: bool) {
    for _ in 0..100 {
        let mut moved = false;
        for from in 0..2 {
            if sides[from].timeout().is_some_and(|at| at <= now) {
                sides[from].tick(now);
            }
            for packet in sides[from].poll_burst(now) {
                moved = true;
                if packet.len() >= HEADER {
                    headers[1 - from].copy_from_slice(&packet[..8]);
                }
                if !lost {
                    sides[1 - from].feed(now, &packet);
                }
            }
            assert!(sides[from].poll_events().len() < 10_000, "events without end");
        }
        if !moved {
            return;
        }
    }
}

/// RFC 9260 appendix A; the field itself is zero.
fn crc32c(packet: &[u8]) -> u32 {
    !packet.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}
