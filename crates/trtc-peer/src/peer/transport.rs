//! The wire side of a peer: datagrams, time, keys.
use super::{Peer, State};
use crate::dtls::{Dtls, DtlsEvent};
use crate::sctp::SctpEvent;
use crate::srtp::{self, Profile, Srtp};
use crate::turn::Turn;
use crate::types::{Incoming, PeerEvent};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Instant;
use trtc_types::Way;

const MAX_EARLY: usize = 8;
const MAX_QUEUE: usize = 4096;

impl Peer {
    /// A datagram from the socket. Returns media decrypted in place; everything else is consumed. RFC 7983 tells the
    /// protocols apart.
    pub fn feed<'a>(&mut self, now: Instant, from: SocketAddr, datagram: &'a mut [u8]) -> Option<Incoming<'a>> {
        if self.state == State::Closed {
            return None;
        }
        if let Some(number) = self.turns.iter().position(|turn| turn.address() == from) {
            let (peer, range) = self.turns[number].feed(now, datagram)?;
            return self.feed_from(now, Way::Relay(number as u8).to(peer), &mut datagram[range]);
        }
        self.feed_from(now, from, datagram)
    }

    fn feed_from<'a>(&mut self, now: Instant, from: SocketAddr, datagram: &'a mut [u8]) -> Option<Incoming<'a>> {
        match *datagram.first()? {
            0..=3 => self.feed_stun(now, from, datagram),
            20..=63 => self.feed_dtls(now, from, datagram),
            128..=191 => return self.feed_media(now, from, datagram),
            _ => self.counters.unvalidated += 1,
        }
        None
    }

    /// When [`Self::tick`] is due; `None`: never.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        if self.state == State::Closed {
            return None;
        }
        let dtls = self.dtls.as_ref().and_then(|dtls| dtls.timeout());
        let sctp = self.sctp.as_ref().and_then(|sctp| sctp.timeout());
        let turns = self.turns.iter().filter_map(Turn::timeout).min();
        [self.ice.timeout(), self.deadline, dtls, sctp, turns].into_iter().flatten().min()
    }

    /// Lets the time pass.
    pub fn tick(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        self.turns.iter_mut().for_each(|turn| turn.tick(now));
        let path = self.ice.path();
        self.ice.tick(now);
        self.tell_path(path);
        if let Some(dtls) = &mut self.dtls
            && dtls.timeout().is_some_and(|at| at <= now)
        {
            dtls.tick(now);
        }
        if let Some(sctp) = &mut self.sctp
            && sctp.timeout().is_some_and(|at| at <= now)
        {
            sctp.tick(now);
        }
        if self.ice.is_dead(now) {
            self.ice.give_up();
            self.lose("no answer from the network");
        }
        if self.deadline.is_some_and(|at| at <= now) {
            self.deadline = None;
            let part = if self.ice.path().is_some() { "DTLS" } else { "ICE" };
            self.lose(&format!("{part} did not connect in time"));
        }
        self.exchange(now);
    }

    /// The next datagram for the socket.
    pub fn poll_send(&mut self) -> Option<(SocketAddr, Bytes)> {
        loop {
            let of_turn = |turn: &mut Turn| turn.poll_send().map(|datagram| (turn.address(), Bytes::from(datagram)));
            if let Some(next) = self.turns.iter_mut().find_map(of_turn) {
                return Some(next);
            }
            let check = self.ice.poll_send().map(|(to, datagram)| (to, Bytes::from(datagram)));
            let (to, datagram) = check.or_else(|| self.out.pop_front())?;
            let Way::Relay(number) = Way::of(to) else { return Some((to, datagram)) };
            let mut datagram = datagram.to_vec();
            if let Some(server) = self.relay(number, to, &mut datagram) {
                return Some((server, datagram.into()));
            }
        }
    }

    /// Wraps a datagram for a TURN server in place; tells the server's address. `None`: it does not relay (yet).
    fn relay(&mut self, number: u8, to: SocketAddr, datagram: &mut Vec<u8>) -> Option<SocketAddr> {
        let turn = self.turns.get_mut(usize::from(number))?;
        turn.wrap(to, datagram).then(|| turn.address())
    }

    /// Gives back what TURN servers hold for us, behind what still goes through them.
    pub(super) fn farewell(&mut self) {
        for (to, datagram) in std::mem::take(&mut self.out) {
            let mut datagram = datagram.to_vec();
            let to = match Way::of(to) {
                Way::Relay(number) => self.relay(number, to, &mut datagram),
                _ => Some(to),
            };
            self.out.extend(to.map(|to| (to, Bytes::from(datagram))));
        }
        (0..self.turns.len()).for_each(|number| self.release_turn(number));
    }

    /// Gives back what a TURN server holds for us.
    pub(super) fn release_turn(&mut self, number: usize) {
        let turn = &mut self.turns[number];
        turn.release();
        let last = std::iter::from_fn(|| turn.poll_send().map(|datagram| (turn.address(), Bytes::from(datagram))));
        self.out.extend(last);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        self.events.pop_front()
    }

    /// Seals a complete RTP packet in place (the tag is appended) and tells where to send it. `None` while it cannot be
    /// sent. Never seal different packets under one SSRC and sequence number; repeat the same bytes or use RTX.
    pub fn seal_rtp(&mut self, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        let path = self.ice.path().filter(|_| self.state == State::Connected)?;
        self.srtp.as_mut()?.seal_rtp(packet).then_some(())?;
        self.sealed(path, packet)
    }

    /// Seals a compound RTCP packet in place; otherwise like [`Self::seal_rtp`].
    pub fn seal_rtcp(&mut self, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        let path = self.ice.path().filter(|_| self.state == State::Connected)?;
        self.srtp.as_mut()?.seal_rtcp(packet).then_some(())?;
        self.sealed(path, packet)
    }

    fn sealed(&mut self, path: SocketAddr, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        match Way::of(path) {
            Way::Relay(number) if !self.turns.is_empty() => {
                let server = self.relay(number, path, packet);
                self.counters.dropped += u64::from(server.is_none());
                server
            }
            _ => Some(path),
        }
    }

    fn feed_stun(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let (path, restarting) = (self.ice.path(), self.ice.is_restarting());
        self.ice.feed(now, from, datagram);
        self.tell_path(path);
        let verified = restarting && !self.ice.is_restarting();
        let back = self.state == State::Lost && self.ice.heard_at() == Some(now);
        if (verified || back) && self.is_secured() {
            self.state = State::Connected;
            self.events.push_back(PeerEvent::Connected);
        }
        self.start_dtls(now);
        self.feed_early(now);
    }

    fn tell_path(&mut self, before: Option<SocketAddr>) {
        if let Some(path) = self.ice.path().filter(|path| Some(*path) != before) {
            self.events.push_back(PeerEvent::PathChanged(path));
        }
    }

    fn feed_dtls(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if !self.ice.is_validated(from) || self.dtls.is_none() {
            if self.early.len() < MAX_EARLY {
                self.early.push((from, Bytes::copy_from_slice(datagram)));
            } else {
                self.counters.unvalidated += 1;
            }
            return;
        }
        if let Some(dtls) = &mut self.dtls {
            dtls.feed(now, datagram);
        }
        self.exchange(now);
    }

    fn feed_media<'a>(&mut self, now: Instant, from: SocketAddr, datagram: &'a mut [u8]) -> Option<Incoming<'a>> {
        if !self.ice.is_validated(from) {
            self.counters.unvalidated += 1;
            return None;
        }
        let srtp = self.srtp.as_mut()?;
        let rtcp = srtp::is_rtcp(datagram);
        let length = if rtcp { srtp.open_rtcp(datagram) } else { srtp.open_rtp(datagram) }?;
        self.ice.heard_media(now);
        if let Some(dtls) = &mut self.dtls {
            dtls.confirm();
        }
        let packet = &mut datagram[..length];
        Some(if rtcp { Incoming::Rtcp(packet) } else { Incoming::Rtp(packet) })
    }

    /// DTLS that waited for its address or for the roles.
    fn feed_early(&mut self, now: Instant) {
        if self.dtls.is_none() || self.early.is_empty() {
            return;
        }
        for (from, datagram) in std::mem::take(&mut self.early) {
            if self.ice.is_validated(from) {
                if let Some(dtls) = &mut self.dtls {
                    dtls.feed(now, &datagram);
                }
            } else {
                self.early.push((from, datagram));
            }
        }
        self.exchange(now);
    }

    /// Starts DTLS once there is a path and the roles are known.
    pub(super) fn start_dtls(&mut self, now: Instant) {
        let (Some(part), Some(_), None) = (self.dtls_part, self.ice.path(), &self.dtls) else { return };
        self.dtls = Some(Box::new(Dtls::new(self.identity.clone(), now, part)));
        self.feed_early(now);
        self.exchange(now);
    }

    /// Moves data between DTLS, SCTP and the queues until nothing moves.
    pub(super) fn exchange(&mut self, now: Instant) {
        let Some(mut dtls) = self.dtls.take() else { return };
        while let Some(event) = dtls.poll_event() {
            self.dtls_event(now, &dtls, event);
        }
        if let Some(sctp) = &mut self.sctp {
            for packet in sctp.poll_burst(now) {
                dtls.send(now, &packet);
            }
            while let Some(event) = sctp.poll_event() {
                self.events.push_back(match event {
                    SctpEvent::Open(label) => PeerEvent::ChannelOpen { label },
                    SctpEvent::Data { label, data, text } => PeerEvent::Data { label, data, text },
                    SctpEvent::Closed(label) => PeerEvent::ChannelClosed { label },
                    SctpEvent::Ended | SctpEvent::Failed(_) if self.state == State::Closed => continue,
                    SctpEvent::Ended => {
                        // The close_notify that belongs to it may be lost; ours is the answer.
                        dtls.close(now);
                        self.state = State::Closed;
                        PeerEvent::Closed
                    }
                    SctpEvent::Failed(reason) => PeerEvent::Failed(reason),
                });
            }
        }
        if let Some(path) = self.ice.path() {
            while let Some(datagram) = dtls.poll_send() {
                if self.out.len() < MAX_QUEUE {
                    self.out.push_back((path, datagram));
                } else {
                    self.counters.dropped += 1;
                }
            }
        }
        self.dtls = Some(dtls);
    }

    fn dtls_event(&mut self, now: Instant, dtls: &Dtls, event: DtlsEvent) {
        match event {
            DtlsEvent::Connected { fingerprint, .. } if fingerprint != self.remote_fingerprint => {
                self.fail(format!("DTLS: the certificate is not the announced one but {fingerprint}"));
            }
            DtlsEvent::Connected { keys, .. } => self.secured(now, dtls.is_client(), keys),
            DtlsEvent::Data(packet) => {
                if self.state != State::Closed
                    && let Some(sctp) = &mut self.sctp
                {
                    sctp.feed(now, packet);
                }
            }
            DtlsEvent::Closed => {
                self.state = State::Closed;
                self.events.push_back(PeerEvent::Closed);
            }
            DtlsEvent::Failed(reason) => self.fail(reason),
        }
    }

    fn secured(&mut self, now: Instant, is_client: bool, keys: Option<(Profile, Vec<u8>)>) {
        self.srtp = keys.and_then(|(profile, keys)| Srtp::new(profile, &keys, is_client)).map(Box::new);
        self.deadline = None;
        self.state = State::Connected;
        self.events.push_back(PeerEvent::Connected);
        if let Some(sctp) = &mut self.sctp {
            sctp.start(now, is_client);
        }
    }

    fn is_secured(&self) -> bool {
        self.dtls.as_ref().is_some_and(|dtls| dtls.is_connected())
    }

    /// The path is gone; ICE may find another.
    fn lose(&mut self, reason: &str) {
        if self.state != State::Lost {
            self.state = State::Lost;
            self.events.push_back(PeerEvent::Failed(reason.to_owned()));
        }
    }

    /// Nothing can help.
    fn fail(&mut self, reason: String) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.srtp = None;
            self.deadline = None;
            self.events.push_back(PeerEvent::Failed(reason));
        }
    }
}
