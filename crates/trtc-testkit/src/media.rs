//! A member with its two peer connections, down to the datagrams.
use crate::PATIENCE;
use crate::client::{Client, refusal};
use livekit_protocol as lk;
use lk::signal_request::Message as Ask;
use lk::signal_response::Message as Tell;
use prost::Message as _;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_peer::{Config, IceRole, Identity, Incoming, Peer, PeerEvent, SectionId, SendTrack};
use trtc_types::{CodecKind, MediaKind};

/// A description of somebody who wants to send one picture.
#[must_use]
pub fn offer() -> String {
    let mut link = Link::new(IceRole::Controlling);
    link.peer.add_send(SendTrack {
        kind: MediaKind::Video,
        codec: CodecKind::H264,
        codec_spec: None,
        stream_id: "s".into(),
        track_id: "cam".into(),
        ssrc: 77,
        rtx_ssrc: None,
    });
    link.peer.create_offer()
}

/// One peer connection with its socket.
pub struct Link {
    /// The transport.
    pub peer: Peer,
    /// Its socket.
    pub socket: UdpSocket,
    /// Both sides have keys.
    pub connected: bool,
    /// Channels that are open.
    pub open: Vec<String>,
    /// Decrypted RTP.
    pub rtp: Vec<Vec<u8>>,
    /// Messages of data channels.
    pub messages: Vec<lk::DataPacket>,
}

impl Link {
    fn new(ice: IceRole) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let config = Config { ice, local_candidates: vec![socket.local_addr().unwrap()], ..Config::default() };
        let peer = Peer::new(Arc::new(config), Arc::new(Identity::generate(1_700_000_000).unwrap()));
        Self { peer, socket, connected: false, open: Vec::new(), rtp: Vec::new(), messages: Vec::new() }
    }

    fn turn(&mut self) {
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
                PeerEvent::Data { data, .. } => self.messages.extend(lk::DataPacket::decode(data)),
                _ => {}
            }
        }
        while let Some((to, bytes)) = self.peer.poll_send() {
            let _ = self.socket.send_to(&bytes, to);
        }
    }
}

/// A member with both connections.
pub struct Call {
    /// Its WebSocket.
    pub client: Client,
    /// What it sends.
    pub publisher: Link,
    /// What it receives.
    pub subscriber: Link,
    /// Everything that the server said, but offers and answers.
    pub heard: Vec<Tell>,
    answered: usize,
}

impl Call {
    /// Joins; both connections and their channels are up.
    pub fn connect(server: SocketAddr, token: &str) -> Self {
        let client = Client::connect(server, token, "").unwrap().joined();
        client.patience(Duration::from_millis(2));
        let (publisher, subscriber) = (Link::new(IceRole::Controlling), Link::new(IceRole::Controlled));
        let mut call = Self { client, publisher, subscriber, heard: Vec::new(), answered: 0 };
        call.publisher.peer.create_channel(Instant::now(), "_reliable", true, None);
        call.negotiate();
        // Who may not subscribe is offered nothing.
        let me = call.client.join.as_ref().and_then(|join| join.participant.as_ref()?.permission.clone());
        let offered = me.is_none_or(|permission| permission.can_subscribe);
        call.until("both connections", |c| !c.publisher.open.is_empty() && c.subscriber.open.is_empty() != offered);
        call
    }

    /// Lets everything act once.
    pub fn turn(&mut self) {
        while let Ok(Some(message)) = self.client.poll() {
            self.take(message);
        }
        self.publisher.turn();
        self.subscriber.turn();
    }

    /// Acts until something is true.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "{what} did not happen; heard {:?}", self.heard);
            self.turn();
        }
    }

    /// Acts until the server has acted on everything that was sent over the WebSocket.
    pub fn settle(&mut self) {
        let pongs = |c: &Self| c.heard.iter().filter(|m| matches!(m, Tell::Pong(_))).count();
        let before = pongs(self);
        self.client.send(Ask::Ping(4));
        self.until("pong", |c| pongs(c) > before);
    }

    /// Offers what the publisher has.
    pub fn negotiate(&mut self) {
        let (sdp, before) = (self.publisher.peer.create_offer(), self.answered);
        self.client.send(Ask::Offer(lk::SessionDescription { r#type: "offer".into(), sdp, ..Default::default() }));
        self.until("an answer", |c| c.answered > before && c.publisher.connected);
    }

    /// A sending section, announced or not.
    pub fn add_section(&mut self, cid: &str, kind: MediaKind, ssrc: u32) -> SectionId {
        self.publisher.peer.add_send(SendTrack {
            kind,
            codec: if kind == MediaKind::Video { CodecKind::H264 } else { CodecKind::Opus },
            codec_spec: None,
            stream_id: "-".into(),
            track_id: cid.into(),
            ssrc,
            rtx_ssrc: None,
        })
    }

    /// A packet of a section: some sound, or a picture that can be begun with.
    pub fn send_rtp(&mut self, section: SectionId, ssrc: u32, sequence: u16) {
        let payload_type = self.publisher.peer.send_params(section).map_or(111, |p| p.payload_type);
        let mut packet = vec![0x80, 0x80 | payload_type];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 960).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend([0x67, 1, 2, 3]);
        if let Some(to) = self.publisher.peer.seal_rtp(&mut packet) {
            let _ = self.publisher.socket.send_to(&packet, to);
        }
    }

    /// A data packet on the reliable channel.
    pub fn send_data(&mut self, packet: &lk::DataPacket) {
        self.publisher.peer.send_data(Instant::now(), "_reliable", &packet.encode_to_vec()).unwrap();
    }

    /// The refusals so far.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let texts =
            self.heard.iter().filter_map(|m| if let Tell::RequestResponse(r) = m { Some(refusal(r)) } else { None });
        texts.collect()
    }

    /// Others as last told, by identity.
    #[must_use]
    pub fn sees(&self, identity: &str) -> Option<lk::ParticipantInfo> {
        let join = self.client.join.iter().flat_map(|join| &join.other_participants);
        let updates =
            self.heard.iter().filter_map(|m| if let Tell::Update(u) = m { Some(&u.participants) } else { None });
        join.chain(updates.flatten()).filter(|p| p.identity == identity).max_by_key(|p| p.version).cloned()
    }

    fn take(&mut self, message: Tell) {
        match message {
            Tell::Offer(offer) => {
                let (r#type, id) = ("answer".into(), offer.id);
                let sdp = self.subscriber.peer.accept_offer(Instant::now(), &offer.sdp).unwrap();
                self.client.send(Ask::Answer(lk::SessionDescription { r#type, sdp, id, ..Default::default() }));
            }
            Tell::Answer(answer) => {
                self.publisher.peer.accept_answer(Instant::now(), &answer.sdp).unwrap();
                self.answered += 1;
            }
            other => self.heard.push(other),
        }
    }
}
