//! One peer connection of a client: for the tests over HTTP, and for those of the media thread alone.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part")]
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Instant;
use trtc_peer::{Config, IceRole, Identity, Incoming, Peer, PeerEvent};
use trtc_rtp::{RtpHeader, write_rtp};

/// One peer connection with its socket.
pub struct Link {
    pub peer: Peer,
    pub socket: UdpSocket,
    pub connected: bool,
    pub open: Vec<String>,
    /// Decrypted RTP.
    pub rtp: Vec<Vec<u8>>,
    /// Messages of data channels.
    pub messages: Vec<Vec<u8>>,
}

impl Link {
    pub fn new(ice: IceRole) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let config = Config { ice, local_candidates: vec![socket.local_addr().unwrap()], ..Config::default() };
        let identity = Identity::generate(1_700_000_000).unwrap();
        let peer = Peer::new(Arc::new(config), Arc::new(identity));
        Self { peer, socket, connected: false, open: Vec::new(), rtp: Vec::new(), messages: Vec::new() }
    }

    pub fn turn(&mut self) {
        let now = Instant::now();
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = self.socket.recv_from(&mut buffer) {
            if let Some(Incoming::Rtp(packet)) = self.peer.feed(now, from, &mut buffer[..len]) {
                self.rtp.push(packet.to_vec());
            }
        }
        if self.peer.timeout().is_some_and(|at| at <= now) {
            self.peer.tick(now);
        }
        while let Some(event) = self.peer.poll_event() {
            match event {
                PeerEvent::Connected => self.connected = true,
                PeerEvent::ChannelOpen { label } => self.open.push(label),
                PeerEvent::Data { data, .. } => self.messages.push(data.to_vec()),
                _ => {}
            }
        }
        while let Some((to, bytes)) = self.peer.poll_send() {
            let _ = self.socket.send_to(&bytes, to);
        }
    }

    /// An encrypted RTP packet.
    pub fn send_rtp(&mut self, header: &RtpHeader, extensions: &[(u8, &[u8])], payload: &[u8]) {
        let mut packet = Vec::new();
        write_rtp(&mut packet, header, extensions, payload);
        if let Some(to) = self.peer.seal_rtp(&mut packet) {
            self.socket.send_to(&packet, to).unwrap();
        }
    }

    /// An encrypted RTCP packet.
    pub fn send_rtcp(&mut self, plain: &[u8]) {
        let mut packet = plain.to_vec();
        if let Some(to) = self.peer.seal_rtcp(&mut packet) {
            self.socket.send_to(&packet, to).unwrap();
        }
    }
}
