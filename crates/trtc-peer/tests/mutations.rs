//! Damaged descriptions and datagrams: nothing panics, no established pair is torn down, handshakes start anew.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod common;

use common::{Net, Random, address, config, identity, pair_of, track};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_peer::{Config, IceRole, Peer, PeerEvent, Setup};
use trtc_types::MediaKind;

const ROLES: [(IceRole, IceRole); 3] = [
    (IceRole::Controlling, IceRole::Lite),
    (IceRole::Lite, IceRole::Controlled),
    (IceRole::Controlling, IceRole::Controlled),
];
const SSRC: u32 = 1000;

/// Recorded offers of LiveKit's server and of its official clients.
fn recorded_offers() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdp");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let offers = files.iter().filter(|path| path.to_string_lossy().contains("_offer"));
    offers.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// One to six lines lost, doubled, moved, cut or damaged.
fn mutated_description(sdp: &str, random: &mut Random) -> String {
    let words = ["a=mid:0", "m=audio 9 x 1 2 3", "a=rid:x send", "a=extmap:99999 y", "a=rtcp-fb:* nack", "a=ssrc:1"];
    // short ones: thousands of rounds of the longest cost a minute
    let mut lines: Vec<String> = sdp.lines().take(90).map(str::to_owned).collect();
    for _ in 0..1 + random.below(6) {
        let at = random.below(lines.len());
        match random.below(5) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, words[random.below(words.len())].to_owned()),
            2 => {
                let other = random.below(lines.len());
                lines.swap(at, other);
            }
            3 => {
                let keep = random.below(lines[at].len() + 1);
                lines[at] = lines[at].chars().take(keep).collect();
            }
            _ => {
                let mut bytes = lines[at].clone().into_bytes();
                if !bytes.is_empty() {
                    let which = random.below(bytes.len());
                    bytes[which] = random.next() as u8;
                }
                lines[at] = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
    }
    lines.join("\r\n")
}

/// A datagram that lost its end, got one, or has flipped bits.
fn mutated_datagram(datagram: &[u8], random: &mut Random) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    match random.below(4) {
        0 => datagram.truncate(random.below(datagram.len() + 1)),
        1 => datagram.extend((0..random.below(40)).map(|byte| byte as u8)),
        _ => {}
    }
    for _ in 0..random.below(4) {
        if !datagram.is_empty() {
            let at = random.below(datagram.len());
            datagram[at] ^= 1 << random.below(8);
        }
    }
    datagram
}

/// A pair with a track and a channel, and everything that it sent so far.
fn connected(roles: (IceRole, IceRole), setup: Setup, seed: u64) -> Net {
    let mut net = Net::new(pair_of(roles.0, roles.1, setup), seed);
    let now = net.now;
    net.peers[0].create_channel(now, "_reliable", true, None);
    net.peers[0].add_send(track(MediaKind::Audio, SSRC));
    net.capture = Some(Vec::new());
    net.negotiate(0);
    assert!(net.run_until(Duration::from_secs(5), |net| net.events.iter().all(|events| events.len() >= 3)).is_some());
    net.events = Default::default();
    net
}

/// Media and data still arrive, and nobody was told of an end.
fn assert_alive(net: &mut Net, first_sequence: u16, what: &str) {
    net.rtp = Default::default();
    for sequence in first_sequence..first_sequence + 10 {
        assert!(net.send_rtp(0, SSRC, 111, sequence), "{what}");
    }
    let now = net.now;
    net.peers[0].send_data(now, "_reliable", b"alive").unwrap();
    let arrived = |net: &Net| {
        let data = |event: &PeerEvent| matches!(event, PeerEvent::Data { data, .. } if &data[..] == b"alive");
        net.rtp[1].len() == 10 && net.events[1].iter().any(data)
    };
    assert!(net.run_until(Duration::from_secs(30), arrived).is_some(), "{what}: {:?}", net.events);
    let over = |event: &PeerEvent| matches!(event, PeerEvent::Failed(_) | PeerEvent::Closed);
    assert!(net.both_connected() && !net.events.iter().flatten().any(over), "{what}: {:?}", net.events);
}

#[test]
fn descriptions_for_a_new_peer() {
    let seed = 0x5eed;
    let mut random = Random(seed);
    let offers = recorded_offers();
    let mut accepted = 0;
    for round in 0..20_000 {
        let offer = mutated_description(&offers[random.below(offers.len())], &mut random);
        let mut peer = match round % 2 {
            0 => {
                let config = Config { accept_any_codec: true, answer_rids: true, ..config(IceRole::Lite, 2) };
                Peer::new(Arc::new(config), identity(1))
            }
            _ => Peer::new(Arc::new(config(IceRole::Controlled, 1)), identity(0)),
        };
        peer.add_send(track(MediaKind::Video, 9));
        if let Ok(answer) = peer.accept_offer(Instant::now(), &offer) {
            accepted += 1;
            // our own answers must always be readable
            let mut offerer = Peer::new(Arc::new(config(IceRole::Controlled, 1)), identity(0));
            assert!(!answer.is_empty() && offerer.accept_answer(Instant::now(), &answer).is_err(), "no offer was made");
        }
        let _ = peer.create_offer();
    }
    assert!(accepted > 5_000, "{accepted}, seed {seed}");
}

/// A renegotiation with damaged offers and answers. What is left of them counts (other ICE credentials mean a restart,
/// for instance), but the path, the keys and the channels that exist stay in use.
#[test]
fn descriptions_for_an_established_peer() {
    let mut random = Random(0xdead);
    let mut accepted = [0, 0];
    for round in 0..300 {
        let offerer = round % 2;
        let mut net = connected(ROLES[round / 2 % 3], Setup::Passive, round as u64);
        net.peers[offerer].add_send(track(MediaKind::Video, 2000));
        let now = net.now;
        let offer = net.peers[offerer].create_offer();
        for _ in 0..3 {
            let bad = mutated_description(&offer, &mut random);
            accepted[0] += usize::from(net.peers[1 - offerer].accept_offer(now, &bad).is_ok());
        }
        let answer = net.peers[1 - offerer].accept_offer(now, &offer).unwrap_or(offer);
        for _ in 0..3 {
            let bad = mutated_description(&answer, &mut random);
            accepted[1] += usize::from(net.peers[offerer].accept_answer(now, &bad).is_ok());
        }
        assert_alive(&mut net, 10, &format!("round {round}"));
        net.run(Duration::from_secs(5));
        assert_alive(&mut net, 50, &format!("round {round} later"));
    }
    assert!(accepted.iter().all(|count| (100..900).contains(count)), "{accepted:?}");
}

/// Captured datagrams, the handshake's too, damaged and sent again from the right address and from a wrong one.
#[test]
fn datagrams_for_an_established_peer() {
    for (round, roles) in ROLES.into_iter().enumerate() {
        for setup in [Setup::Passive, Setup::Active] {
            let mut net = connected(roles, setup, 5);
            let mut random = Random(0xfeed + round as u64);
            for sequence in 0..50 {
                net.send_rtp(0, SSRC, 111, sequence);
                let now = net.now;
                net.peers[0].send_data(now, "_reliable", b"some data").unwrap();
                net.run(Duration::from_millis(10));
            }
            net.run(Duration::from_secs(3));
            let captured = net.capture.take().unwrap();
            for _ in 0..10_000 {
                let (to, datagram) = &captured[random.below(captured.len())];
                let from = address(if random.chance(90) { 2 - *to as u8 } else { 77 });
                net.deliver(*to, from, mutated_datagram(datagram, &mut random));
                if random.chance(2) {
                    net.run(Duration::from_millis(1));
                }
            }
            assert_alive(&mut net, 100, &format!("{roles:?} {setup:?}"));
            net.run(Duration::from_secs(30));
            assert_alive(&mut net, 200, &format!("{roles:?} {setup:?} later"));
        }
    }
}

/// One in twenty datagrams of a handshake comes after a damaged copy of itself. That can spoil an attempt; the next one
/// succeeds, mostly at once.
#[test]
fn datagrams_in_a_handshake() {
    let mut times = Vec::new();
    for seed in 0..120 {
        let setup = if seed % 2 == 0 { Setup::Passive } else { Setup::Active };
        let (one, other) = ROLES[seed % 3];
        let mut net = Net::new(pair_of(one, other, setup), seed as u64);
        let mut random = Random(1 + 77 * seed as u64);
        net.peers[0].add_send(track(MediaKind::Audio, SSRC));
        net.capture = Some(Vec::new());
        net.negotiate(0);
        let start = net.now;
        while !net.both_connected() && net.now < start + Duration::from_secs(30) {
            for (to, datagram) in std::mem::take(net.capture.as_mut().unwrap()) {
                if random.chance(5) {
                    net.deliver(to, address(2 - to as u8), mutated_datagram(&datagram, &mut random));
                }
            }
            net.run(Duration::from_millis(1));
        }
        times.push(net.now - start);
    }
    times.sort();
    println!("median {:?}, p90 {:?}, max {:?}", times[60], times[108], times[119]);
    assert!(times[108] < Duration::from_secs(2) && times[117] < Duration::from_secs(30), "{times:?}");
}
