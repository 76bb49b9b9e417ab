//! One connection's way out: seals packets and hands them to the net thread.
use bytes::Bytes;
use std::collections::VecDeque;
use trtc_net::driver::NetAction;
use trtc_peer::Peer;

pub(crate) struct Outbound<'a> {
    pub peer: &'a mut Peer,
    pub socket: usize,
    pub actions: &'a mut VecDeque<NetAction>,
}

impl Outbound<'_> {
    /// Seals and sends an RTP packet; dropped when there are no keys or no path yet.
    pub fn rtp(&mut self, mut packet: Vec<u8>) {
        if let Some(to) = self.peer.seal_rtp(&mut packet) {
            self.actions.push_back(NetAction::Send { socket: self.socket, to, data: Bytes::from(packet) });
        }
    }

    /// Seals and sends an RTCP packet.
    pub fn rtcp(&mut self, mut packet: Vec<u8>) {
        if let Some(to) = self.peer.seal_rtcp(&mut packet) {
            self.actions.push_back(NetAction::Send { socket: self.socket, to, data: Bytes::from(packet) });
        }
    }
}
