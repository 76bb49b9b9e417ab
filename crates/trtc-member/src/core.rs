//! A membership as a machine: the session, its two connections and the media on them. Fed and polled; owns no socket.
use crate::clock::Wall;
use crate::outbound::Outbound;
use crate::publish::Publish;
use crate::receive::Receive;
use crate::relay::Relays;
use crate::stats::MemberStats;
use crate::{Delivery, EncodedAudio, MemberConfig};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_net::ServerUrl;
use trtc_net::driver::{Input, NetAction, SOCKETS};
use trtc_peer::{Config, IceRole, Identity, Incoming, Peer, PeerEvent};
use trtc_session::{Action, Event, LocalTrack, Session, SessionConfig, Target};
use trtc_types::{EncodedVideo, Result, UserId};

/// Index of the connection that carries our media; also the index of its socket.
const PUBLISHER: usize = 0;
/// Index of the connection that carries everybody else's.
const SUBSCRIBER: usize = 1;
const RELIABLE: &str = "_reliable";
const LOSSY: &str = "_lossy";

pub(crate) struct Core {
    base: ServerUrl,
    pub session: Session,
    identity: Arc<Identity>,
    peers: Option<[Peer; SOCKETS]>,
    /// Sockets were asked for; the session waits.
    opening: bool,
    relays: Relays,
    publish: Publish,
    receive: Receive,
    pub actions: VecDeque<NetAction>,
    pub told: VecDeque<Delivery>,
    data_dropped: u64,
    datagrams_dropped: u64,
    /// The host heard its last event.
    pub leaving: bool,
    closed: bool,
}

impl Core {
    pub fn new(now: Instant, unix: Duration, base: ServerUrl, config: MemberConfig, identity: Arc<Identity>) -> Self {
        let mut session = Session::new(SessionConfig {
            token: config.token,
            auto_subscribe_audio: config.auto_subscribe_audio,
            auto_subscribe_video: config.auto_subscribe_video,
            hide_audience: config.hide_audience,
            sdk_version: env!("CARGO_PKG_VERSION").into(),
        });
        session.connect(now);
        Self {
            base,
            session,
            identity,
            peers: None,
            opening: false,
            relays: Relays::default(),
            publish: Publish::new(Wall::new(now, unix)),
            receive: Receive::new(),
            actions: VecDeque::new(),
            told: VecDeque::new(),
            data_dropped: 0,
            datagrams_dropped: 0,
            leaving: false,
            closed: false,
        }
    }

    pub fn input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Datagram { socket, from, data } => self.datagram(now, socket, from, data),
            Input::UdpOpened(Ok(addresses)) => self.open_peers(now, addresses),
            Input::UdpOpened(Err(reason)) => {
                self.opening = false;
                log::error!("{reason}");
                self.session.transport_failed(now, Target::Subscriber);
            }
            Input::ServerFound { tag, address } => {
                let server = address.and_then(|address| self.relays.found(tag, address));
                for (peer, server) in self.peers.iter_mut().flatten().zip(server.iter().cycle()) {
                    peer.add_turn_server(now, server.clone());
                }
            }
            Input::Dropped(datagrams) => self.datagrams_dropped += datagrams,
            Input::SocketOpened(ip) => {
                self.use_address(ip);
                self.session.socket_opened(now);
            }
            Input::NetworkChanged => self.session.network_changed(now),
            Input::SocketFailed { status, body } => self.session.socket_failed(now, status, body),
            Input::SocketClosed => self.session.socket_closed(now),
            Input::SocketMessage(message) => self.session.socket_message(now, message),
        }
    }

    /// Runs due timers and moves everything as far as it goes; returns the next timer.
    pub fn advance(&mut self, now: Instant) -> Option<Instant> {
        if self.closed {
            return None;
        }
        if self.session.timeout().is_some_and(|at| at <= now) {
            self.session.tick(now);
        }
        for index in 0..SOCKETS {
            if let Some(peer) = self.peers.as_mut().map(|peers| &mut peers[index])
                && peer.timeout().is_some_and(|at| at <= now)
            {
                peer.tick(now);
            }
        }
        self.settle(now);
        if let Some(peers) = &mut self.peers {
            let [publisher, subscriber] = peers;
            self.receive.set_round_trip(subscriber.rtt());
            let out = &mut Outbound { peer: publisher, socket: PUBLISHER, actions: &mut self.actions };
            self.publish.advance(now, out, &mut self.told);
            let out = &mut Outbound { peer: subscriber, socket: SUBSCRIBER, actions: &mut self.actions };
            self.receive.advance(now, out, &mut self.told);
        }
        if self.leaving {
            self.close_peers(now);
            if self.session.is_over() {
                self.close();
                return None;
            }
        }
        let peers = self.peers.iter().flatten().filter_map(Peer::timeout).min();
        [self.session.timeout(), peers, self.publish.timeout(), self.receive.timeout()].into_iter().flatten().min()
    }

    pub fn publish(&mut self, now: Instant, track: LocalTrack) -> Result<()> {
        self.session.publish(now, track.clone())?;
        self.publish.add(track);
        Ok(())
    }

    pub fn unpublish(&mut self, now: Instant, cid: &str) {
        self.session.unpublish(now, cid);
    }

    pub fn set_muted(&mut self, now: Instant, cid: &str, muted: bool) {
        self.session.set_muted(now, cid, muted);
        self.publish.set_muted(now, cid, muted, &mut self.told);
    }

    pub fn send_video(&mut self, now: Instant, cid: &str, layer: usize, frame: &EncodedVideo) -> Result<bool> {
        self.publish.send_video(now, cid, layer, frame, &mut self.told)
    }

    pub fn send_audio(&mut self, now: Instant, cid: &str, sound: &EncodedAudio<'_>) -> Result<bool> {
        match &mut self.peers {
            Some([peer, _]) => {
                let out = &mut Outbound { peer, socket: PUBLISHER, actions: &mut self.actions };
                self.publish.send_audio(now, cid, sound, out)
            }
            None => Ok(false),
        }
    }

    pub fn request_key_frame(&mut self, sid: &str) {
        self.receive.request_key_frame(sid);
    }

    pub fn send_data(
        &mut self,
        now: Instant,
        topic: &str,
        payload: &[u8],
        reliable: bool,
        to: &[UserId],
    ) -> Result<()> {
        self.session.send_user_data(now, topic, payload, reliable, to)
    }

    pub fn send_command(
        &mut self,
        now: Instant,
        cmd_id: i32,
        data: &[u8],
        reliable: bool,
        ordered: bool,
    ) -> Result<()> {
        self.session.send_command(now, cmd_id, data, reliable, ordered)
    }

    pub fn stats(&self) -> MemberStats {
        let local = self.publish.stats();
        let by_checks = self.peers.iter().flatten().find_map(Peer::rtt);
        MemberStats {
            rtt: self.publish.rtt().or(by_checks),
            up_loss_percent: local.iter().map(|track| track.loss_percent).fold(0.0, f32::max),
            down_loss_percent: self.receive.loss_percent,
            sent_bytes: self.publish.sent_bytes,
            received_bytes: self.receive.received_bytes,
            data_dropped: self.data_dropped,
            datagrams_dropped: self.datagrams_dropped,
            local,
            remote: self.receive.stats(),
        }
    }

    fn datagram(&mut self, now: Instant, socket: usize, from: SocketAddr, data: &mut [u8]) {
        let Some([publisher, subscriber]) = &mut self.peers else { return };
        if socket == PUBLISHER {
            if let Some(Incoming::Rtcp(packet)) = publisher.feed(now, from, data) {
                let out = &mut Outbound { peer: publisher, socket: PUBLISHER, actions: &mut self.actions };
                self.publish.rtcp(now, packet, out, &mut self.told);
            }
        } else {
            match subscriber.feed(now, from, data) {
                Some(Incoming::Rtp(packet)) => self.receive.rtp(now, packet, &mut self.told),
                Some(Incoming::Rtcp(packet)) => self.receive.rtcp(now, packet),
                None => {}
            }
        }
    }

    fn open_peers(&mut self, now: Instant, addresses: [SocketAddr; SOCKETS]) {
        self.opening = false;
        // Another path: nothing is known of it.
        self.told.push_back(Delivery::Bitrate(0));
        let [publisher, subscriber] = addresses;
        // A server that receives has transport-wide feedback; one that sends may only know REMB.
        let config = |ice, address| {
            Arc::new(Config {
                ice,
                local_candidates: vec![address],
                active_tcp: true,
                remb: ice != IceRole::Controlling,
                ..Config::default()
            })
        };
        let mut peers = [
            Peer::new(config(IceRole::Controlling, publisher), self.identity.clone()),
            Peer::new(config(IceRole::Controlled, subscriber), self.identity.clone()),
        ];
        // Before the first offer, so that it has the application section.
        peers[PUBLISHER].create_channel(now, RELIABLE, true, None);
        peers[PUBLISHER].create_channel(now, LOSSY, false, Some(0));
        self.peers = Some(peers);
    }

    /// Media leaves from here now: coming descriptions say so. The sockets are bound to no address and stay.
    fn use_address(&mut self, ip: IpAddr) {
        for peer in self.peers.iter_mut().flatten() {
            peer.move_candidates(ip);
        }
    }

    /// Lets session and connections talk until neither has anything to say.
    fn settle(&mut self, now: Instant) {
        loop {
            let mut busy = false;
            while !self.opening
                && let Some(action) = self.session.poll()
            {
                busy = true;
                self.act(now, action);
            }
            for index in 0..SOCKETS {
                while let Some(event) = self.peers.as_mut().and_then(|peers| peers[index].poll_event()) {
                    busy = true;
                    self.peer_event(now, index, event);
                }
            }
            if !busy {
                break;
            }
        }
        self.drain_peers();
    }

    fn drain_peers(&mut self) {
        for (socket, peer) in self.peers.iter_mut().flatten().enumerate() {
            while let Some((to, data)) = peer.poll_send() {
                self.actions.push_back(NetAction::Send { socket, to, data });
            }
        }
    }

    fn act(&mut self, now: Instant, action: Action) {
        match action {
            Action::OpenSocket { path_and_query, token } => {
                let base = self.base.clone();
                self.actions.push_back(NetAction::OpenWebSocket { base, path_and_query, token });
            }
            Action::CloseSocket => self.actions.push_back(NetAction::CloseWebSocket),
            Action::SendSignal(message) => self.actions.push_back(NetAction::SendWebSocket(message)),
            Action::OpenTransports { ice_servers } => {
                self.close_peers(now);
                self.opening = true;
                self.actions.push_back(NetAction::OpenUdp);
                self.actions.extend(self.relays.replace(&ice_servers));
            }
            Action::RenewIceServers { ice_servers } => {
                self.peers.iter_mut().flatten().for_each(Peer::retire_turn_servers);
                self.actions.extend(self.relays.replace(&ice_servers));
            }
            Action::Event(event) => self.event(now, event),
            Action::RemoveTrack { cid } => {
                if let (Some(section), Some([peer, _])) = (self.publish.remove(&cid), &mut self.peers) {
                    peer.remove_send(section);
                }
            }
            other => self.negotiate(now, other),
        }
    }

    fn negotiate(&mut self, now: Instant, action: Action) {
        let Some([publisher, subscriber]) = &mut self.peers else { return };
        match action {
            Action::AcceptOffer { sdp, id, mid_to_track } => match subscriber.accept_offer(now, &sdp) {
                Ok(answer) => {
                    self.receive.sections(now, &subscriber.receive_sections(), &mid_to_track);
                    self.session.local_answer(now, answer, id);
                }
                Err(e) => {
                    log::warn!("the server's offer cannot be answered: {e}");
                    self.session.transport_failed(now, Target::Subscriber);
                }
            },
            Action::AcceptAnswer { sdp } => match publisher.accept_answer(now, &sdp) {
                Ok(()) => self.publish.negotiated(now, publisher, &mut self.told),
                Err(e) => {
                    log::warn!("the server's answer cannot be used: {e}");
                    self.session.transport_failed(now, Target::Publisher);
                }
            },
            Action::AddCandidate { target: Target::Publisher, candidate } => publisher.trickle(now, &candidate),
            Action::AddCandidate { target: Target::Subscriber, candidate } => subscriber.trickle(now, &candidate),
            Action::AddTrack { cid, sid } => self.publish.attach(&cid, &sid, publisher),
            Action::CreateOffer { ice_restart } => {
                if ice_restart {
                    publisher.restart_ice();
                }
                let offer = publisher.create_offer();
                self.session.local_offer(now, offer);
            }
            Action::SendData { payload, reliable } => {
                let label = if reliable { RELIABLE } else { LOSSY };
                if let Err(e) = publisher.send_data(now, label, &payload) {
                    self.data_dropped += 1;
                    log::debug!("data: {e}");
                }
            }
            _ => {}
        }
    }

    fn event(&mut self, now: Instant, event: Event) {
        match &event {
            Event::TrackAvailable(track) | Event::TrackUpdated(track) => self.receive.track_available(track),
            Event::TrackUnavailable { sid, .. } => self.receive.track_gone(sid),
            Event::Left { .. } | Event::JoinFailed(_) => self.leaving = true,
            Event::LocalTrackFailed { cid, .. } => {
                self.publish.remove(cid);
            }
            Event::LocalTrackMuted { cid, muted } => self.publish.set_muted(now, cid, *muted, &mut self.told),
            _ => {}
        }
        self.told.push_back(Delivery::Event(event));
    }

    fn peer_event(&mut self, now: Instant, index: usize, event: PeerEvent) {
        let target = || if index == PUBLISHER { Target::Publisher } else { Target::Subscriber };
        match event {
            PeerEvent::Connected => self.session.transport_connected(now, target()),
            PeerEvent::Failed(reason) => {
                log::info!("{} connection: {reason}", if index == PUBLISHER { "publisher" } else { "subscriber" });
                self.session.transport_failed(now, target());
            }
            PeerEvent::Closed => self.session.transport_closed(now, target()),
            PeerEvent::ChannelOpen { label } => self.session.data_channel_open(now, target(), &label),
            PeerEvent::Data { label, data, .. } => self.session.data_received(now, &data, label == RELIABLE),
            PeerEvent::PathChanged(_) if index == PUBLISHER => self.publish.path_is_new(&mut self.told),
            PeerEvent::PathChanged(_) | PeerEvent::ChannelClosed { .. } => {}
        }
    }

    fn close_peers(&mut self, now: Instant) {
        for peer in self.peers.iter_mut().flatten() {
            peer.close(now);
        }
        self.drain_peers();
        self.peers = None;
        self.publish.detach_all();
        self.receive.detach_all();
    }

    fn close(&mut self) {
        self.actions.push_back(NetAction::CloseWebSocket);
        self.actions.push_back(NetAction::Closed);
        self.closed = true;
    }
}
