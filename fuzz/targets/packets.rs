//! Datagrams: STUN, DTLS, RTP and RTCP, as views of bytes and through peers that expect them.
use super::bytes::Bytes;
use super::sdp::{identity, track};
use aws_lc_rs::hmac;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_peer::fuzzing::Protection;
use trtc_peer::{Config, IceRole, Incoming, Peer, stun_ufrag};
use trtc_rtp::rtcp::{self, Rtcp};
use trtc_rtp::{RetransmissionCache, RtpPacket, unwrap_rtx, write_rtp, write_rtx};
use trtc_types::MediaKind;

/// The first byte chooses.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.u8() % 8 {
        0 | 4 => views(bytes.rest()),
        1 | 5 => handshake(&mut bytes, IceRole::Lite),
        2 | 6 => handshake(&mut bytes, IceRole::Controlled),
        3 => connected(&mut bytes),
        _ => protected(&mut bytes),
    }
}

/// Packets under each profile: what was sealed opens once, whatever came between.
fn protected(bytes: &mut Bytes<'_>) {
    let [mut ours, mut theirs] = Protection::pair(bytes.u8() % 3);
    for _ in 0..60 {
        if bytes.is_empty() {
            break;
        }
        let (act, is_rtcp) = (bytes.u8(), bytes.one_in(2));
        let plain = bytes.chunk(1_500).to_vec();
        let mut packet = plain.clone();
        if act.is_multiple_of(4) {
            let _ = theirs.open(&mut packet, is_rtcp);
            continue;
        }
        if !ours.seal(&mut packet, is_rtcp) {
            continue;
        }
        assert!(packet.len() > plain.len(), "a tag is appended");
        if act % 4 == 1 {
            let at = usize::from(bytes.u16()) % packet.len();
            let mut changed = packet.clone();
            changed[at] ^= 1 | bytes.u8();
            assert!(theirs.open(&mut changed, is_rtcp).is_none(), "a changed packet is taken");
        }
        let mut again = packet.clone();
        if let Some(length) = theirs.open(&mut packet, is_rtcp) {
            assert_eq!(packet[..length], plain);
            assert!(theirs.open(&mut again, is_rtcp).is_none(), "a packet is taken twice");
        }
    }
}

fn views(datagram: &[u8]) {
    let _ = stun_ufrag(datagram);
    if let Some(packet) = RtpPacket::parse(datagram) {
        let extensions: Vec<(u8, &[u8])> = packet.extensions().collect();
        let mut written = Vec::new();
        write_rtp(&mut written, &packet.header(), &extensions, packet.payload());
        let again = RtpPacket::parse(&written).expect("our own packet");
        assert_eq!((again.header(), again.payload()), (packet.header(), packet.payload()));
        let (mut rtx, mut back) = (Vec::new(), Vec::new());
        write_rtx(&mut rtx, datagram, 7, 97, 1);
        assert!(unwrap_rtx(&rtx, packet.header().ssrc, packet.header().payload_type, &mut back));
        let _ = unwrap_rtx(datagram, 7, 96, &mut back);
        let mut cache = RetransmissionCache::new(8);
        cache.insert(packet.header().sequence, datagram);
        cache.insert(packet.header().sequence.wrapping_sub(8), datagram);
        let _ = (cache.get(packet.header().sequence).map(<[u8]>::len), cache.rejected());
    }
    let mut out = Vec::new();
    for packet in rtcp::parse(datagram).take(2_000) {
        match packet {
            Rtcp::SenderReport { reports, .. } | Rtcp::ReceiverReport { reports, .. } => {
                let reports: Vec<_> = reports.collect();
                rtcp::receiver_report(&mut out, 1, &reports[..reports.len().min(31)]);
            }
            Rtcp::Nack { lost, .. } => rtcp::nack(&mut out, 1, 2, &lost.take(1_000).collect::<Vec<_>>()),
            Rtcp::Fir { entries } => drop(entries.count()),
            Rtcp::Remb { bitrate_bps, ssrcs } => {
                rtcp::remb(&mut out, 1, bitrate_bps, &ssrcs.take(8).collect::<Vec<_>>());
            }
            Rtcp::TransportFeedback(feedback) => {
                let packets: Vec<_> = feedback.packets().collect();
                assert!(packets.len() <= usize::from(u16::MAX));
                let _ = (feedback.feedback_sequence(), feedback.reference_us());
            }
            Rtcp::Bye { ssrcs } => rtcp::bye(&mut out, &ssrcs.take(31).collect::<Vec<_>>()),
            Rtcp::Pli { media_ssrc } => {
                rtcp::pli(&mut out, 1, media_ssrc);
                rtcp::fir(&mut out, 1, media_ssrc, 1);
                rtcp::sdes_cname(&mut out, media_ssrc, "x");
            }
            Rtcp::Unknown { .. } => {}
        }
    }
    // What we write we can read.
    assert!(rtcp::parse(&out).all(|packet| !matches!(packet, Rtcp::Unknown { packet_type, .. } if packet_type != 202)));
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 40_000))
}

/// Two peers that have exchanged descriptions; the first offered.
struct Pair {
    now: Instant,
    peers: [Peer; 2],
    descriptions: [String; 2],
    /// Transaction of the last binding request that each has sent.
    transactions: [[u8; 12]; 2],
}

impl Pair {
    fn new(role: IceRole) -> Self {
        let config = |ice, host| Config {
            ice,
            local_candidates: vec![address(host)],
            accept_any_codec: ice == IceRole::Lite,
            ..Config::default()
        };
        let now = Instant::now();
        let mut a = Peer::new(Arc::new(config(IceRole::Controlling, 1)), identity());
        let mut b = Peer::new(Arc::new(config(role, 2)), identity());
        a.create_channel(now, "_reliable", true, None);
        a.add_send(track(MediaKind::Audio, 1_000));
        let offer = a.create_offer();
        let answer = b.accept_offer(now, &offer).expect("our own offer");
        a.accept_answer(now, &answer).expect("our own answer");
        Self { now, peers: [a, b], descriptions: [offer, answer], transactions: Default::default() }
    }

    /// Lets both act; whatever they send arrives, unless it is `lost`.
    fn exchange(&mut self, lost: bool) {
        for _ in 0..200 {
            let mut moved = false;
            for from in 0..2 {
                if self.peers[from].timeout().is_some_and(|at| at <= self.now) {
                    self.peers[from].tick(self.now);
                }
                while self.peers[from].poll_event().is_some() {}
                while let Some((_, datagram)) = self.peers[from].poll_send() {
                    if datagram.len() >= 20 && datagram[..2] == [0, 1] {
                        self.transactions[from].copy_from_slice(&datagram[8..20]);
                    }
                    if !lost {
                        moved = true;
                        let mut datagram = datagram.to_vec();
                        let _ = self.peers[1 - from].feed(self.now, address(from as u8 + 1), &mut datagram);
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..50 {
            let next = self.peers.iter().filter_map(Peer::timeout).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            self.exchange(false);
        }
        self.now = end;
        self.exchange(false);
    }
}

/// Datagrams of strangers and, with the right password, of the other side, before and while it connects.
fn handshake(bytes: &mut Bytes<'_>, role: IceRole) {
    let mut pair = Pair::new(role);
    let value = |pair: &Pair, of: usize, name: &str| {
        let line = pair.descriptions[of].lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        line.unwrap_or_default()
    };
    for _ in 0..40 {
        if bytes.is_empty() {
            break;
        }
        let to = usize::from(bytes.u8() % 2);
        match bytes.u8() % 8 {
            0..=1 => {
                let mut datagram = bytes.chunk(1_500).to_vec();
                let _ = pair.peers[to].feed(pair.now, address(bytes.u8() % 4), &mut datagram);
            }
            2..=5 => {
                let (kind, known) = (u16::from(bytes.u8() % 2) << 8 | u16::from(bytes.u8() & 0x11), bytes.u8());
                let transaction = if known.is_multiple_of(4) { [known; 12] } else { pair.transactions[to] };
                let mut message = Stun::new(if known & 4 == 0 { 1 } else { kind }, transaction);
                if known & 8 == 0 {
                    let ours = value(&pair, to, "a=ice-ufrag:");
                    let theirs = value(&pair, 1 - to, "a=ice-ufrag:");
                    message.attribute(0x0006, format!("{ours}:{theirs}").as_bytes());
                }
                for _ in 0..bytes.u8() % 6 {
                    const KINDS: [u16; 8] = [0x0024, 0x0006, 0x0025, 0x8029, 0x802a, 0x0020, 0x0009, 0x8028];
                    let kind = bytes.u8();
                    let kind = KINDS.get(usize::from(kind)).copied().unwrap_or_else(|| bytes.u16());
                    message.attribute(kind, bytes.chunk(40));
                }
                // A request is signed with the receiver's password, an answer with that of who asked: the same.
                let of = if message.0[0] == 0 { to } else { 1 - to };
                let password = value(&pair, of, "a=ice-pwd:");
                let mut datagram = message.finish(&password);
                let _ = pair.peers[to].feed(
                    pair.now,
                    address(if known & 16 == 0 { 2 - to as u8 } else { 9 }),
                    &mut datagram,
                );
            }
            6 => {
                pair.now += Duration::from_millis(u64::from(bytes.u8()) * 20);
                pair.exchange(bytes.one_in(2));
            }
            _ => {
                pair.peers[to].trickle(pair.now, &bytes.text(100));
                if bytes.one_in(8) {
                    pair.peers[to].restart_ice();
                }
            }
        }
        while pair.peers[to].poll_event().is_some() {}
        let queued = std::iter::from_fn(|| pair.peers[to].poll_send()).take(5_000).count();
        assert!(queued < 5_000, "answers without end");
    }
}

/// Anything, plain and sealed with the right keys, for a peer that is connected.
fn connected(bytes: &mut Bytes<'_>) {
    let mut pair = Pair::new(if bytes.one_in(2) { IceRole::Lite } else { IceRole::Controlled });
    for _ in 0..20 {
        pair.pass(Duration::from_millis(100));
        if pair.peers.iter().all(Peer::is_connected) {
            break;
        }
    }
    assert!(pair.peers.iter().all(Peer::is_connected), "a quiet network connects");
    for _ in 0..60 {
        if bytes.is_empty() {
            break;
        }
        let to = usize::from(bytes.u8() % 2);
        let from = address(2 - to as u8);
        match bytes.u8() % 8 {
            0..=1 => {
                let mut datagram = bytes.chunk(1_500).to_vec();
                let _ = pair.peers[to].feed(pair.now, from, &mut datagram);
            }
            2..=4 => {
                let mut plain = bytes.chunk(1_500).to_vec();
                let is_rtcp = bytes.one_in(2);
                let sender = &mut pair.peers[1 - to];
                let sealed = if is_rtcp { sender.seal_rtcp(&mut plain) } else { sender.seal_rtp(&mut plain) };
                if sealed.is_some() {
                    for _ in 0..1 + bytes.u8() % 2 {
                        let mut datagram = plain.clone();
                        let _: Option<Incoming<'_>> = pair.peers[to].feed(pair.now, from, &mut datagram);
                    }
                }
            }
            5 => {
                let _ = pair.peers[to].send_data(pair.now, "_reliable", bytes.chunk(3_000));
                pair.exchange(bytes.one_in(4));
            }
            6 => pair.pass(Duration::from_millis(u64::from(bytes.u8()) * 100)),
            _ => {
                if bytes.one_in(4) {
                    pair.peers[to].close(pair.now);
                }
                pair.peers[to].create_channel(pair.now, &bytes.text(8), true, None);
                pair.exchange(false);
            }
        }
    }
    let _ = pair.peers.each_ref().map(|peer| (peer.counters(), peer.rtt()));
}

/// A binding message.
struct Stun(Vec<u8>);

impl Stun {
    fn new(kind: u16, transaction: [u8; 12]) -> Self {
        let [high, low] = kind.to_be_bytes();
        Self([&[high & 0x3f, low, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &transaction].concat())
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend(kind.to_be_bytes());
        self.0.extend((value.len() as u16).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// With MESSAGE-INTEGRITY.
    fn finish(mut self, password: &str) -> Vec<u8> {
        let length = (self.0.len() + 24 - 20) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let tag = hmac::sign(&key, &self.0);
        self.attribute(0x0008, tag.as_ref());
        self.0
    }
}
