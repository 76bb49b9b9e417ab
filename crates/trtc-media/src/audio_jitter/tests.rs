//! Virtual time: a sender of 20 ms packets, a network function, a player that pulls 10 ms.
#![allow(clippy::disallowed_methods)]
use super::*;
use crate::tone::{Tone, longest_gap_ms, tone_hz};
use std::time::Duration;
use trtc_types::Result;

const HZ: f64 = 440.0;

/// "Decodes" packet n to the tone of its place. Concealment is silence, so that every hole shows.
#[derive(Default)]
struct Fake {
    decoded: u64,
}

fn tone_at(packet: u32, out: &mut Vec<i16>) -> usize {
    let start = out.len();
    out.resize(start + FRAME, 0);
    Tone::new(HZ).fill(u64::from(packet) * FRAME as u64, &mut out[start..], 1);
    FRAME
}

fn index(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet.try_into().unwrap())
}

impl AudioDecoder for Fake {
    fn channels(&self) -> u16 {
        1
    }
    fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) -> Result<usize> {
        self.decoded += 1;
        Ok(tone_at(index(packet), out))
    }
    fn decode_fec(&mut self, packet: &[u8], samples: usize, out: &mut Vec<i16>) -> Result<usize> {
        assert_eq!(samples, FRAME);
        Ok(tone_at(index(packet) - 1, out))
    }
    fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) -> Result<usize> {
        out.resize(out.len() + samples, 0);
        Ok(samples)
    }
}

struct Run {
    sound: Vec<i16>,
    stats: AudioJitterStats,
    delays: Vec<u64>,
    infos: Vec<PullInfo>,
}

/// `arrivals` gives, for packet n, the milliseconds after its sending at which copies arrive. `sent` maps n to its media
/// packet number (for pauses).
fn run(packets: u32, sent: impl Fn(u32) -> u32, arrivals: impl Fn(u32) -> Vec<u64>) -> Run {
    run_pulled(packets, sent, arrivals, |tick| tick as f64 * 10.0)
}

/// The same with a player that makes its pulls at `pull_ms`.
fn run_pulled(
    packets: u32,
    sent: impl Fn(u32) -> u32,
    arrivals: impl Fn(u32) -> Vec<u64>,
    pull_ms: impl Fn(u64) -> f64,
) -> Run {
    let start = Instant::now() + Duration::from_secs(1);
    let mut network: Vec<(u64, u32)> = (0..packets)
        .flat_map(|n| {
            let at = u64::from(sent(n)) * 20;
            arrivals(n).into_iter().map(move |delay| (at + delay, n))
        })
        .collect();
    network.sort_by_key(|(at, _)| *at);
    let mut network = network.into_iter().peekable();
    let mut buffer = AudioJitterBuffer::new(1);
    let mut decoder = Fake::default();
    let mut result = Run { sound: Vec::new(), stats: buffer.stats(), delays: Vec::new(), infos: Vec::new() };
    for tick in 0..u64::from(sent(packets - 1)) * 2 {
        let ms = pull_ms(tick);
        let now = start + Duration::from_secs_f64(ms / 1e3);
        while let Some((at, n)) = network.next_if(|(at, _)| *at as f64 <= ms) {
            let (sequence, time) =
                (65_500u16.wrapping_add(n as u16), (u32::MAX - 50_000).wrapping_add(sent(n) * FRAME as u32));
            buffer.insert(
                start + Duration::from_millis(at),
                sequence,
                time,
                Bytes::copy_from_slice(&sent(n).to_be_bytes()),
            );
        }
        let mut block = [0; 480];
        let info = buffer.pull(now, &mut decoder, &mut block);
        if info.playing {
            result.sound.extend_from_slice(&block);
            result.delays.push(buffer.stats().delay_ms.into());
        }
        result.infos.push(info);
    }
    result.stats = buffer.stats();
    result
}

/// A small deterministic hash in 0..1000.
fn dice(n: u32) -> u64 {
    let mut x = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995;
    x = (x ^ x >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ x >> 29) % 1_000
}

fn assert_tone(sound: &[i16], gap_ms: u32) {
    let hz = tone_hz(sound, 48_000).unwrap();
    assert!((hz - HZ).abs() < 2.0, "tone reads {hz}");
    let gap = longest_gap_ms(sound, 48_000);
    assert!(gap <= gap_ms, "gap of {gap} ms");
}

#[test]
fn a_perfect_network_needs_no_concealment() {
    let r = run(1_000, |n| n, |_| vec![30]);
    let s = r.stats;
    assert_eq!((s.concealed, s.recovered, s.comfort, s.late, s.lost, s.duplicate), (0, 0, 0, 0, 0, 0), "{s:?}");
    assert!(r.delays.iter().skip(300).all(|d| *d <= 50), "{:?}", s);
    assert_tone(&r.sound, 0);
}

#[test]
fn reordering_by_three_is_learnt() {
    // Every tenth packet comes after the three that follow it.
    let r = run(1_500, |n| n, |n| vec![if n % 10 == 5 { 95 } else { 30 }]);
    let s = r.stats;
    assert!(s.concealed + s.recovered < s.played / 50, "{s:?}");
    let later = &r.infos[600..];
    assert!(later.iter().map(|i| i.concealed + i.recovered).sum::<usize>() < 480 * later.len() / 200, "{s:?}");
    assert!(r.delays.last().is_some_and(|d| (60..=130).contains(d)), "{s:?}");
    assert_tone(&r.sound, 60);
}

#[test]
fn single_losses_are_recovered_by_fec() {
    let r = run(2_000, |n| n, |n| if dice(n) < 10 { vec![] } else { vec![30] });
    let s = r.stats;
    assert!(s.lost >= 10 && s.recovered > 0, "{s:?}");
    assert!(s.concealed < s.played / 200, "{s:?}");
    assert!(s.delay_ms < 80);
    assert_tone(&r.sound, 40);
}

#[test]
fn jitter_of_50_ms_settles() {
    let r = run(2_000, |n| n, |n| vec![30 + dice(n) / 20]);
    let s = r.stats;
    assert!(s.concealed < s.played / 50, "{s:?}");
    let later = &r.infos[800..];
    assert!(later.iter().map(|i| i.concealed).sum::<usize>() < 480 * later.len() / 100, "{s:?}");
    assert!((40..=110).contains(&s.delay_ms), "{s:?}");
    assert_tone(&r.sound, 60);
}

#[test]
fn delay_falls_again_when_jitter_ends() {
    let r = run(3_000, |n| n, |n| vec![if n < 500 { 30 + dice(n) / 8 } else { 30 }]);
    let peak = r.delays.iter().max().copied().unwrap_or(0);
    assert!(peak > 100 && r.stats.delay_ms < 70, "{peak} {:?}", r.stats);
    assert!(r.stats.accelerated > 0);
    assert_tone(&r.sound[48_000 * 15..], 0);
}

#[test]
fn duplicates_change_nothing() {
    let r = run(500, |n| n, |_| vec![30, 31, 50]);
    assert_eq!((r.stats.concealed, r.stats.lost), (0, 0));
    assert!(r.stats.duplicate + r.stats.late >= 990, "{:?}", r.stats);
    assert_tone(&r.sound, 0);
}

#[test]
fn a_pause_of_the_sender_is_not_loss() {
    // Packets 200.. are sent after two seconds of silence, with the numbering going on.
    let r = run(600, |n| if n < 200 { n } else { n + 100 }, |_| vec![30]);
    let s = r.stats;
    assert_eq!((s.concealed, s.lost, s.recovered), (0, 0, 0), "{s:?}");
    assert!((80_000..110_000).contains(&s.comfort), "{s:?}");
    assert!(s.delay_ms < 70, "{s:?}");
    assert_tone(&r.sound[..48_000 * 3], 0);
}

#[test]
fn an_outage_does_not_leave_delay_behind() {
    for recovered in [false, true] {
        // Two seconds are lost, or come all at once.
        let r = run(
            1_000,
            |n| n,
            |n| match n {
                300..400 if recovered => vec![30 + u64::from(400 - n) * 20],
                300..400 => vec![],
                _ => vec![30],
            },
        );
        let s = r.stats;
        assert!(s.delay_ms < 150, "{recovered} {s:?}");
        assert_tone(&r.sound[r.sound.len() - 48_000 * 5..], 20);
    }
}

#[test]
fn a_restarted_sender_is_followed() {
    let start = Instant::now();
    let mut buffer = AudioJitterBuffer::new(2);
    let mut decoder = Fake::default();
    let mut block = [0; 960];
    for tick in 0..600u32 {
        let now = start + Duration::from_millis(u64::from(tick) * 10);
        if tick % 2 == 0 {
            let n = tick / 2;
            let (jump, shift) = if n >= 150 { (30_000, 900_000_000) } else { (0, 0) };
            buffer.insert(
                now,
                (n as u16).wrapping_add(jump),
                (n * 960).wrapping_add(shift),
                Bytes::copy_from_slice(&n.to_be_bytes()),
            );
        }
        buffer.pull(now, &mut decoder, &mut block);
    }
    let s = buffer.stats();
    assert_eq!(s.restarts, 1);
    assert!(s.played > 560 * 480 && s.concealed < 4_800 && s.delay_ms < 80, "{s:?}");
}

#[test]
fn memory_is_bounded_and_rubbish_is_harmless() {
    let now = Instant::now();
    let mut buffer = AudioJitterBuffer::new(1);
    for n in 0..50_000u32 {
        let r = n.wrapping_mul(2_654_435_761);
        buffer.insert(now, r as u16, r, Bytes::from_static(&[0, 0, 0, 1]));
        buffer.insert(now, n as u16, n * 960, Bytes::new());
        assert!(buffer.waiting() <= PACKETS_MAX);
    }
    for n in 0..400u32 {
        buffer.insert(now, n as u16, n * 960, Bytes::copy_from_slice(&n.to_be_bytes()));
    }
    assert!(buffer.waiting() <= PACKETS_MAX && buffer.stats().overflow > 0);
    let mut block = [0; 480];
    for tick in 0..500 {
        buffer.pull(now + Duration::from_millis(tick * 10), &mut Fake::default(), &mut block);
    }
}

#[test]
fn a_player_that_pulls_in_bursts_is_served() {
    // Two blocks each 20 ms, then four each 40 ms: what sound devices do.
    for burst in [2, 4] {
        let r = run_pulled(1_500, |n| n, |_| vec![31], |tick| (tick / burst * burst) as f64 * 10.0);
        let later: usize = r.infos[300..].iter().map(|i| i.concealed).sum();
        assert!(later == 0 && r.stats.delay_ms < 110, "{burst}: {later} {:?}", r.stats);
        assert_tone(&r.sound, 60);
    }
}

#[test]
fn clocks_that_drift_apart_are_bridged() {
    // The player runs 0.1 % slow, then fast: 60 s drift by 60 ms.
    for rate in [1.001, 0.999] {
        let r = run_pulled(3_000, |n| n, |_| vec![30], |tick| tick as f64 * 10.0 * rate);
        assert!(r.stats.concealed < 4_800 && r.stats.delay_ms < 90, "{rate} {:?}", r.stats);
        assert!(r.stats.accelerated + r.stats.expanded > 480, "{rate} {:?}", r.stats);
        assert_tone(&r.sound, 10);
    }
}
