//! Our peer on a loopback socket, driven by the test's thread, and one of `webrtc`'s in a tokio runtime.
use crate::common::rtp::{self, Piece, Report, Sender};
use crate::common::{config, identity, track};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use trtc_peer::{Config, IceRole, Incoming, Peer, PeerEvent, SectionId, Setup};
use trtc_types::MediaKind;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder, register_default_interceptors,
};

pub const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];
/// SSRCs of our tracks and of theirs, in the order of `KINDS`.
pub const OUR_SSRCS: [u32; 2] = [1000, 2000];
pub const THEIR_SSRCS: [u32; 2] = [3000, 4000];
/// Label, ordered, retransmissions; half of them opened by each side.
pub const OUR_CHANNELS: [(&str, bool, Option<u16>); 2] = [("ours", true, None), ("ours, lossy", false, Some(0))];
pub const THEIR_CHANNELS: [(&str, bool, Option<u16>); 2] = [("theirs", true, None), ("theirs, lossy", false, Some(0))];
/// What we announce as the largest message. webrtc announces the same: it drops what exceeds either limit.
pub const MAX_MESSAGE: u32 = 262_144;
/// Far above what anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who does what in a connection.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub we_offer: bool,
    pub lite: bool,
    /// We are the DTLS client.
    pub active: bool,
}

/// Our end.
pub struct Ours {
    pub peer: Peer,
    socket: UdpSocket,
    pub events: Vec<PeerEvent>,
    pub rtp: Vec<Vec<u8>>,
    pub reports: Vec<Report>,
    pub tracks: Vec<SectionId>,
    pub senders: Vec<Sender>,
    pub transport_sequence: u16,
}

impl Ours {
    fn new(case: Case) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let ice = match (case.lite, case.we_offer) {
            (true, _) => IceRole::Lite,
            (false, true) => IceRole::Controlling,
            (false, false) => IceRole::Controlled,
        };
        let answer_setup = if case.active { Setup::Active } else { Setup::Passive };
        let local_candidates = vec![socket.local_addr().unwrap()];
        let mut peer = Peer::new(Arc::new(Config { answer_setup, local_candidates, ..config(ice, 0) }), identity(0));
        let tracks = KINDS.iter().zip(OUR_SSRCS).map(|(kind, ssrc)| peer.add_send(track(*kind, ssrc))).collect();
        for (label, ordered, retransmits) in OUR_CHANNELS {
            peer.create_channel(Instant::now(), label, ordered, retransmits.map(u32::from));
        }
        let (events, rtp, reports, senders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { peer, socket, events, rtp, reports, tracks, senders, transport_sequence: 0 }
    }

    /// Sends what is to be sent and takes what came, or rests a moment.
    fn turn(&mut self) {
        while let Some((to, datagram)) = self.peer.poll_send() {
            self.send(to, &datagram);
        }
        self.events.extend(std::iter::from_fn(|| self.peer.poll_event()));
        let mut buffer = [0; 2048];
        match self.socket.recv_from(&mut buffer) {
            Ok((length, from)) => match self.peer.feed(Instant::now(), from, &mut buffer[..length]) {
                Some(Incoming::Rtp(packet)) => self.rtp.push(packet.to_vec()),
                Some(Incoming::Rtcp(packet)) => self.reports.extend(rtp::reports(packet)),
                None => {}
            },
            // the time-out of a blocking socket is not this fine
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
        let now = Instant::now();
        if self.peer.timeout().is_some_and(|at| at <= now) {
            self.peer.tick(now);
        }
    }

    /// The other end's socket may be closed already.
    fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let _ = self.socket.send_to(datagram, to);
    }

    /// The next plain RTP packet of a track.
    pub fn packet(&mut self, at: usize, piece: &Piece) -> Vec<u8> {
        self.senders[at].packet(piece, &mut self.transport_sequence)
    }

    /// Seals a plain RTP packet and sends it.
    pub fn send_sealed(&mut self, mut packet: Vec<u8>) {
        let path = self.peer.seal_rtp(&mut packet).unwrap();
        self.send(path, &packet);
    }

    /// Media of theirs with this SSRC.
    pub fn received(&self, ssrc: u32) -> Vec<rtp::View<'_>> {
        self.rtp.iter().map(|packet| rtp::view(packet)).filter(|view| view.ssrc == ssrc).collect()
    }
}

/// What their callbacks tell.
enum Told {
    State(RTCPeerConnectionState),
    Candidate(String),
    Channel(Arc<dyn DataChannel>),
    Open(String),
    Closed(String),
    Message(String, Vec<u8>, bool),
    Packet(rtc::rtp::Packet),
}

struct Handler(mpsc::Sender<Told>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let _ = self.0.send(Told::State(state));
    }

    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(candidate) = event.candidate.to_json() {
            let _ = self.0.send(Told::Candidate(candidate.candidate));
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        tokio::spawn(read_channel(channel.clone(), self.0.clone()));
        let _ = self.0.send(Told::Channel(channel));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let told = self.0.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let _ = told.send(Told::Packet(packet));
                }
            }
        });
    }
}

async fn read_channel(channel: Arc<dyn DataChannel>, told: mpsc::Sender<Told>) {
    let label = channel.label().await.unwrap();
    while let Some(event) = channel.poll().await {
        let _ = match event {
            DataChannelEvent::OnOpen => told.send(Told::Open(label.clone())),
            DataChannelEvent::OnMessage(message) => {
                told.send(Told::Message(label.clone(), message.data.to_vec(), message.is_string))
            }
            DataChannelEvent::OnClose => told.send(Told::Closed(label.clone())),
            _ => Ok(()),
        };
    }
}

/// Their end.
pub struct Theirs {
    runtime: Runtime,
    pub connection: Arc<dyn PeerConnection>,
    teller: mpsc::Sender<Told>,
    told: Receiver<Told>,
    pub states: Vec<RTCPeerConnectionState>,
    candidates: Vec<String>,
    pub channels: BTreeMap<String, Arc<dyn DataChannel>>,
    /// Labels of the open ones.
    pub open: BTreeSet<String>,
    pub messages: Vec<(String, Vec<u8>, bool)>,
    pub packets: Vec<rtc::rtp::Packet>,
    tracks: Vec<Arc<TrackLocalStaticRTP>>,
    /// Next sequence numbers of the tracks.
    sequences: [u16; 2],
}

impl Theirs {
    fn new(case: Case) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (teller, told) = mpsc::channel();
        let role = if case.active { RTCDtlsRole::Server } else { RTCDtlsRole::Client };
        let mut media = MediaEngine::default();
        media.register_default_codecs().unwrap();
        let settings = SettingEngineBuilder::new()
            .with_answering_dtls_role(role)
            .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE))
            .with_discard_local_candidates_during_ice_restart(true)
            .build();
        let interceptors = register_default_interceptors(Registry::new(), &mut media).unwrap();
        let builder = PeerConnectionBuilder::new()
            .with_media_engine(media)
            .with_interceptor_registry(interceptors)
            .with_setting_engine(settings)
            .with_handler(Arc::new(Handler(teller.clone())))
            .with_udp_addrs(vec!["127.0.0.1:0"]);
        let connection = Arc::new(runtime.block_on(builder.build()).unwrap());
        Self {
            runtime,
            connection,
            teller,
            told,
            states: Vec::new(),
            candidates: Vec::new(),
            channels: BTreeMap::new(),
            open: BTreeSet::new(),
            messages: Vec::new(),
            packets: Vec::new(),
            tracks: Vec::new(),
            sequences: [0; 2],
        }
    }

    /// Adds tracks and channels, which want an offer.
    fn add_all(&mut self) {
        for (kind, ssrc) in KINDS.into_iter().zip(THEIR_SSRCS) {
            let track = Arc::new(TrackLocalStaticRTP::new(local_track(kind, ssrc)));
            self.runtime.block_on(self.connection.add_track(track.clone())).unwrap();
            self.tracks.push(track);
        }
        for (label, ordered, max_retransmits) in THEIR_CHANNELS {
            let init = RTCDataChannelInit { ordered, max_retransmits, ..Default::default() };
            let channel = self.runtime.block_on(self.connection.create_data_channel(label, Some(init))).unwrap();
            self.runtime.spawn(read_channel(channel.clone(), self.teller.clone()));
            self.channels.insert(label.to_owned(), channel);
        }
    }

    fn listen(&mut self) {
        while let Ok(told) = self.told.try_recv() {
            match told {
                Told::State(state) => self.states.push(state),
                Told::Candidate(candidate) => self.candidates.push(candidate),
                Told::Channel(channel) => {
                    let label = self.runtime.block_on(channel.label()).unwrap();
                    self.channels.insert(label, channel);
                }
                Told::Open(label) => drop(self.open.insert(label)),
                Told::Closed(label) => drop(self.open.remove(&label)),
                Told::Message(label, data, text) => self.messages.push((label, data, text)),
                Told::Packet(packet) => self.packets.push(packet),
            }
        }
    }

    /// The next packet of a track.
    pub fn packet(&mut self, at: usize, payload_type: u8, piece: &Piece) -> rtc::rtp::Packet {
        let mut packet = rtc::rtp::Packet::default();
        packet.header.version = 2;
        packet.header.payload_type = payload_type;
        packet.header.marker = piece.marker;
        packet.header.sequence_number = self.sequences[at];
        packet.header.timestamp = piece.timestamp;
        packet.header.ssrc = THEIR_SSRCS[at];
        packet.payload = piece.payload.clone().into();
        self.sequences[at] += 1;
        packet
    }

    pub fn send_rtp(&self, at: usize, packet: rtc::rtp::Packet) {
        self.runtime.block_on(self.tracks[at].write_rtp(packet)).unwrap();
    }

    pub fn send_data(&self, label: &str, data: &[u8]) {
        self.runtime.block_on(self.channels[label].send(data.into())).unwrap();
    }

    pub fn send_text(&self, label: &str, text: &str) {
        self.runtime.block_on(self.channels[label].send_text(text)).unwrap();
    }

    pub fn close(&self) {
        self.runtime.block_on(self.connection.close()).unwrap();
    }

    /// Media of ours with this SSRC.
    pub fn received(&self, ssrc: u32) -> Vec<(u8, Piece)> {
        let ours = self.packets.iter().filter(|packet| packet.header.ssrc == ssrc);
        let piece = |packet: &rtc::rtp::Packet| {
            let (marker, timestamp) = (packet.header.marker, packet.header.timestamp);
            (packet.header.payload_type, Piece { payload: packet.payload.to_vec(), marker, timestamp })
        };
        ours.map(piece).collect()
    }
}

fn local_track(kind: MediaKind, ssrc: u32) -> MediaStreamTrack {
    let (kind, mime_type, clock_rate, channels, fmtp) = match kind {
        MediaKind::Audio => (RtpCodecKind::Audio, "audio/opus", 48_000, 2, "minptime=10;useinbandfec=1"),
        MediaKind::Video => {
            let fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
            (RtpCodecKind::Video, "video/H264", 90_000, 0, fmtp)
        }
    };
    let (mime_type, sdp_fmtp_line) = (mime_type.to_owned(), fmtp.to_owned());
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
        codec: RTCRtpCodec { mime_type, clock_rate, channels, sdp_fmtp_line, rtcp_feedback: Vec::new() },
        ..Default::default()
    };
    MediaStreamTrack::new("foreign".into(), format!("track{ssrc}"), "label".into(), kind, vec![encoding])
}

/// Both ends.
pub struct Call {
    case: Case,
    pub ours: Ours,
    pub theirs: Theirs,
}

impl Call {
    /// A pair with tracks in both directions and all channels open.
    pub fn connected(case: Case) -> Self {
        let mut call = Self { case, ours: Ours::new(case), theirs: Theirs::new(case) };
        if case.we_offer {
            call.we_offer();
        }
        // Our sections only send, so their tracks need an offer of their own.
        call.theirs.add_all();
        call.they_offer();
        let labels = || OUR_CHANNELS.into_iter().chain(THEIR_CHANNELS).map(|(label, ..)| label);
        call.run_until("connect", |call| {
            let open = |label: &str| call.ours.events.contains(&PeerEvent::ChannelOpen { label: label.into() });
            call.theirs.is_connected() && labels().all(|label| open(label) && call.theirs.knows(label))
        });
        let sender = |(id, ssrc)| Sender::new(call.ours.peer.send_params(id).unwrap(), ssrc);
        call.ours.senders = call.ours.tracks.iter().copied().zip(OUR_SSRCS).map(sender).collect();
        call
    }

    pub fn we_offer(&mut self) {
        let offer = RTCSessionDescription::offer(self.ours.peer.create_offer()).unwrap();
        let connection = &self.theirs.connection;
        let answer = self.theirs.runtime.block_on(async {
            connection.set_remote_description(offer).await.unwrap();
            let answer = connection.create_answer(None).await.unwrap();
            connection.set_local_description(answer.clone()).await.unwrap();
            answer
        });
        assert!(answer.sdp.contains(if self.case.active { "a=setup:passive" } else { "a=setup:active" }));
        self.ours.peer.accept_answer(Instant::now(), &answer.sdp).unwrap();
    }

    pub fn they_offer(&mut self) {
        let connection = &self.theirs.connection;
        let offer = self.theirs.runtime.block_on(async {
            let offer = connection.create_offer(None).await.unwrap();
            connection.set_local_description(offer.clone()).await.unwrap();
            offer
        });
        let answer = self.ours.peer.accept_offer(Instant::now(), &offer.sdp).unwrap();
        assert!(answer.contains(if self.case.active { "a=setup:active" } else { "a=setup:passive" }));
        let answer = RTCSessionDescription::answer(answer).unwrap();
        self.theirs.runtime.block_on(connection.set_remote_description(answer)).unwrap();
    }

    /// Runs until `done`.
    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&Call) -> bool) {
        self.run_until_with(what, |call| done(call));
    }

    fn summary(&self) -> String {
        let messages = self.theirs.messages.iter().map(|(label, data, _)| format!("{label}: {} bytes", data.len()));
        let events = self.ours.events.iter().map(|event| match event {
            PeerEvent::Data { label, data, .. } => format!("{label}: {} bytes", data.len()),
            other => format!("{other:?}"),
        });
        let (ours, theirs): (Vec<_>, Vec<_>) = (events.collect(), messages.collect());
        format!("we {ours:?} {:?}, they {theirs:?} {:?}", self.ours.peer.counters(), self.theirs.states)
    }

    /// Runs until `done`, which may do something itself. Their candidates trickle meanwhile.
    pub fn run_until_with(&mut self, what: &str, mut done: impl FnMut(&mut Call) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.theirs.listen();
            for candidate in self.theirs.candidates.drain(..) {
                self.ours.peer.trickle(Instant::now(), &candidate);
            }
            if done(self) {
                return;
            }
            assert!(Instant::now() < end, "{what}: {}", self.summary());
            self.ours.turn();
        }
    }
}

impl Theirs {
    pub fn is_connected(&self) -> bool {
        self.states.last() == Some(&RTCPeerConnectionState::Connected)
    }

    fn knows(&self, label: &str) -> bool {
        self.channels.contains_key(label) && self.open.contains(label)
    }

    pub fn ufrag(&self) -> String {
        let description = self.runtime.block_on(self.connection.local_description()).unwrap();
        let line = description.sdp.lines().find(|line| line.starts_with("a=ice-ufrag:")).unwrap();
        line.to_owned()
    }

    pub fn restart_ice(&self) {
        self.runtime.block_on(self.connection.restart_ice()).unwrap();
    }
}
