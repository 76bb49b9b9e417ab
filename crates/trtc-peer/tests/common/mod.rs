//! Two peers and a lossy network in virtual time.
#![allow(dead_code, reason = "each test binary uses a part")]
pub mod rtp;
pub mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use trtc_peer::{Config, IceRole, Identity, Incoming, Peer, PeerEvent, SendTrack, Setup};
use trtc_types::{CodecKind, MediaKind};
use wire::Wire;

/// xorshift64*
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit.max(1)
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }
}

pub fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 40_000))
}

pub fn identity(which: usize) -> Arc<Identity> {
    static IDENTITIES: OnceLock<[Arc<Identity>; 2]> = OnceLock::new();
    let make = || Arc::new(Identity::generate(1_795_000_000).unwrap());
    IDENTITIES.get_or_init(|| [make(), make()])[which].clone()
}

pub fn config(ice: IceRole, host: u8) -> Config {
    Config { ice, local_candidates: vec![address(host)], ..Config::default() }
}

pub fn track(kind: MediaKind, ssrc: u32) -> SendTrack {
    SendTrack {
        kind,
        codec: if kind == MediaKind::Audio { CodecKind::Opus } else { CodecKind::H264 },
        codec_spec: None,
        stream_id: "stream".into(),
        track_id: format!("track{ssrc}"),
        ssrc,
        rtx_ssrc: (kind == MediaKind::Video).then_some(ssrc + 1),
    }
}

/// Peers 0 (offers first) and 1 at the addresses 1 and 2.
pub struct Net {
    pub now: Instant,
    pub peers: [Peer; 2],
    pub events: [Vec<PeerEvent>; 2],
    pub rtp: [Vec<Vec<u8>>; 2],
    pub rtcp: [Vec<Vec<u8>>; 2],
    pub wire: Wire,
    pub ticks: u64,
    /// Receiver and bytes of everything sent, when wanted.
    pub capture: Option<Vec<(usize, Vec<u8>)>>,
}

impl Net {
    pub fn new(configs: [Config; 2], seed: u64) -> Self {
        let [a, b] = configs;
        Self {
            now: Instant::now(),
            peers: [Peer::new(Arc::new(a), identity(0)), Peer::new(Arc::new(b), identity(1))],
            events: [Vec::new(), Vec::new()],
            rtp: [Vec::new(), Vec::new()],
            rtcp: [Vec::new(), Vec::new()],
            wire: Wire::new(seed),
            ticks: 0,
            capture: None,
        }
    }

    /// `of` offers, the other one answers.
    pub fn negotiate(&mut self, of: usize) -> (String, String) {
        let offer = self.peers[of].create_offer();
        let answer = self.peers[1 - of].accept_offer(self.now, &offer).unwrap();
        self.peers[of].accept_answer(self.now, &answer).unwrap();
        (offer, answer)
    }

    /// Runs until `done` or until `time` has passed; returns the time it took.
    pub fn run_until(&mut self, time: Duration, mut done: impl FnMut(&Net) -> bool) -> Option<Duration> {
        let (start, end) = (self.now, self.now + time);
        loop {
            self.collect();
            if done(self) {
                return Some(self.now - start);
            }
            let timer = self.peers.iter().filter_map(Peer::timeout).min();
            let Some(next) = timer.into_iter().chain(self.wire.arrival()).min().filter(|at| *at <= end) else {
                self.now = end;
                return None;
            };
            self.now = self.now.max(next);
            while let Some((to, datagram)) = self.wire.receive(self.now) {
                self.deliver(to, address(2 - to as u8), datagram);
            }
            for peer in &mut self.peers {
                if peer.timeout().is_some_and(|at| at <= self.now) {
                    self.ticks += 1;
                    peer.tick(self.now);
                }
            }
        }
    }

    pub fn run(&mut self, time: Duration) {
        assert!(self.run_until(time, |_| false).is_none());
    }

    pub fn deliver(&mut self, to: usize, from: SocketAddr, mut datagram: Vec<u8>) {
        match self.peers[to].feed(self.now, from, &mut datagram) {
            Some(Incoming::Rtp(packet)) => self.rtp[to].push(packet.to_vec()),
            Some(Incoming::Rtcp(packet)) => self.rtcp[to].push(packet.to_vec()),
            None => {}
        }
    }

    pub fn send(&mut self, from: usize, datagram: Vec<u8>) {
        if let Some(capture) = &mut self.capture {
            capture.push((1 - from, datagram.clone()));
        }
        self.wire.send(self.now, 1 - from, datagram);
    }

    fn collect(&mut self) {
        for from in 0..2 {
            while let Some((to, datagram)) = self.peers[from].poll_send() {
                if to == address(2 - from as u8) {
                    self.send(from, datagram.to_vec());
                }
            }
            while let Some(event) = self.peers[from].poll_event() {
                self.events[from].push(event);
            }
        }
    }

    pub fn both_connected(&self) -> bool {
        self.peers.iter().all(Peer::is_connected)
    }

    /// Sends one RTP packet of a track and lets it arrive.
    pub fn send_rtp(&mut self, from: usize, ssrc: u32, payload_type: u8, sequence: u16) -> bool {
        let mut packet = vec![0x80, payload_type];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 3, 0xc0]);
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(b"some payload of a packet");
        let sealed = self.peers[from].seal_rtp(&mut packet).is_some();
        if sealed {
            self.send(from, packet);
        }
        sealed
    }
}

pub fn pair_of(a: IceRole, b: IceRole, setup: Setup) -> [Config; 2] {
    let server = Config { accept_any_codec: true, answer_rids: true, answer_setup: setup, ..config(b, 2) };
    [config(a, 1), server]
}
