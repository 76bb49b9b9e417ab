//! The peer: ICE, DTLS, SRTP, SCTP and the negotiation put together.
mod transport;

use crate::channels::Reliability;
use crate::dtls::{Dtls, Part};
use crate::ice::Ice;
use crate::identity::Identity;
use crate::negotiation::Negotiation;
use crate::sctp::{MAX_RECEIVE_MESSAGE, Sctp};
use crate::sdp::{self, Description, Head};
use crate::srtp::Srtp;
use crate::turn::Turn;
use crate::types::{
    CodecSpec, Config, Counters, IceRole, Incoming, PeerEvent, ReceiveSection, SectionId, SendParams, SendTrack, Setup,
    TurnServer,
};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_types::{Code, CodecKind, Error, MediaKind, Result, Way};

/// From the first remote description until media can flow.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// Most TURN servers that are used.
const TURNS_MAX: usize = 4;
/// Most addresses that are tried through them.
const RELAYABLE_MAX: usize = 4;

/// One WebRTC transport with its sections. See the crate's documentation for the calling order.
pub struct Peer {
    config: Arc<Config>,
    identity: Arc<Identity>,
    negotiation: Negotiation,
    session_id: u64,
    version: u64,
    /// Fingerprint that the other side announced.
    remote_fingerprint: String,
    /// Decided by the first negotiation: are we the DTLS client?
    dtls_part: Option<Part>,
    ice: Ice,
    /// By the number of their [`Way::Relay`].
    turns: Vec<Turn>,
    /// Candidates of the other side that a relay can reach.
    relayable: Vec<SocketAddr>,
    dtls: Option<Box<Dtls>>,
    srtp: Option<Box<Srtp>>,
    sctp: Option<Box<Sctp>>,
    state: State,
    deadline: Option<Instant>,
    /// DTLS that came before its address was validated or before the roles were known.
    early: Vec<(SocketAddr, Bytes)>,
    out: VecDeque<(SocketAddr, Bytes)>,
    events: VecDeque<PeerEvent>,
    counters: Counters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Connected,
    /// The path is lost; a check can bring it back.
    Lost,
    /// For good.
    Closed,
}

impl Peer {
    /// A peer that knows nothing of its other side yet.
    #[must_use]
    pub fn new(config: Arc<Config>, identity: Arc<Identity>) -> Self {
        Self {
            negotiation: Negotiation::new(config.clone()),
            ice: Ice::new(config.ice),
            turns: Vec::new(),
            relayable: Vec::new(),
            config,
            identity,
            session_id: rand::random::<u64>() >> 2,
            version: 0,
            remote_fingerprint: String::new(),
            dtls_part: None,
            dtls: None,
            srtp: None,
            sctp: None,
            state: State::New,
            deadline: None,
            early: Vec::new(),
            out: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Answers an offer. Payload types and extension ids of the answer are the offer's.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for a description that cannot be used; the peer stays as it was.
    pub fn accept_offer(&mut self, now: Instant, sdp: &str) -> Result<String> {
        self.refuse_when_closed()?;
        let offer = sdp::parse(sdp)?;
        self.negotiation.accept_offer(&offer)?;
        if self.dtls_part.is_none() {
            self.dtls_part = Some(match (offer.setup.as_str(), self.config.answer_setup) {
                ("passive", _) => Part::PatientClient,
                ("active", _) => Part::PatientServer,
                (_, Setup::Passive) => Part::Server,
                (_, Setup::Active) => Part::Client,
            });
        }
        self.take_transport(now, &offer, true);
        let setup = if self.dtls_part.is_some_and(Part::is_client) { "active" } else { "passive" };
        Ok(self.describe(setup))
    }

    /// Our offer as of now. Calling it again before the answer gives a newer version of the same offer.
    pub fn create_offer(&mut self) -> String {
        self.negotiation.offer();
        self.describe("actpass")
    }

    /// Takes the answer to the newest offer.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for a description that cannot be used or does not fit the offer.
    pub fn accept_answer(&mut self, now: Instant, sdp: &str) -> Result<()> {
        self.refuse_when_closed()?;
        let answer = sdp::parse(sdp)?;
        self.negotiation.accept_answer(&answer)?;
        if self.dtls_part.is_none() {
            self.dtls_part = Some(if answer.setup == "passive" { Part::Client } else { Part::Server });
        }
        self.take_transport(now, &answer, false);
        Ok(())
    }

    /// Adds a track of ours; it takes an inactive section of its kind or a new one. Needs a negotiation.
    pub fn add_send(&mut self, track: SendTrack) -> SectionId {
        self.negotiation.add_send(track)
    }

    /// Adds a track of ours for the other side's next offer whose codec may change at any time: the answer keeps every codec
    /// of the offer, and [`Self::send_params_as`] tells how to send in one of them. It is dropped when the offer has no
    /// section for it. Call it before [`Self::accept_offer`]; it is never offered by us.
    pub fn add_relay(
        &mut self,
        kind: MediaKind,
        stream_id: &str,
        track_id: &str,
        ssrc: u32,
        rtx_ssrc: Option<u32>,
    ) -> SectionId {
        let codec = if kind == MediaKind::Audio { CodecKind::Opus } else { CodecKind::H264 };
        let (stream_id, track_id) = (stream_id.to_owned(), track_id.to_owned());
        self.negotiation.add_relay(SendTrack { kind, codec, codec_spec: None, stream_id, track_id, ssrc, rtx_ssrc })
    }

    /// Turns a track of ours into simulcast: packets carry MID and these RIDs, no SSRC is announced. `ssrcs` are those of the layers and
    /// of their retransmissions, forgotten with the track.
    pub fn set_send_rids(&mut self, section: SectionId, rids: &[&str], ssrcs: &[u32]) {
        self.negotiation.set_rids(section, rids.iter().map(|rid| (*rid).to_owned()).collect(), ssrcs.to_vec());
    }

    /// Takes a track away; its section becomes inactive with the next negotiation. Its SSRCs must not be used again.
    pub fn remove_send(&mut self, section: SectionId) {
        for ssrc in self.negotiation.remove_send(section) {
            if let Some(srtp) = &mut self.srtp {
                srtp.forget(ssrc);
            }
        }
    }

    /// Puts a codec first in coming answers for the section whose `a=msid` names this track; an empty `track_id` is the
    /// default for all others. A browser sends the first codec of an answer, whatever order it offered.
    pub fn prefer_codec(&mut self, track_id: &str, codec: &str) {
        self.negotiation.prefer(track_id, codec);
    }

    /// The `a=mid` of a track of ours.
    #[must_use]
    pub fn section_mid(&self, section: SectionId) -> Option<String> {
        self.negotiation.mid(section).map(str::to_owned)
    }

    /// How packets of a track must look; `None` while the other side does not receive it.
    #[must_use]
    pub fn send_params(&self, section: SectionId) -> Option<SendParams> {
        self.negotiation.send_params(section)
    }

    /// How packets of a track added by [`Self::add_relay`] must look in this codec; `None` when the other side does not take it.
    #[must_use]
    pub fn send_params_as(&self, section: SectionId, codec: &CodecSpec) -> Option<SendParams> {
        self.negotiation.send_params_as(section, codec)
    }

    /// What the other side may send, section by section.
    #[must_use]
    pub fn receive_sections(&self) -> Vec<ReceiveSection> {
        self.negotiation.receive_sections()
    }

    /// Wants a data channel. The first one adds the application section, which needs a negotiation.
    pub fn create_channel(&mut self, now: Instant, label: &str, ordered: bool, max_retransmits: Option<u32>) {
        self.negotiation.add_application();
        self.use_sctp(now).create(now, label, Reliability::new(ordered, max_retransmits));
        self.exchange(now);
    }

    /// Sends a binary message; returns the bytes that wait on all channels.
    ///
    /// # Errors
    /// `REFUSED` while the channel is not open or when too much waits, `INVALID_PARAMETER` above the other side's limit,
    /// `DISCONNECTED` without an association.
    pub fn send_data(&mut self, now: Instant, label: &str, data: &[u8]) -> Result<usize> {
        self.send_message(now, label, data, false)
    }

    /// Sends a text message; otherwise like [`Self::send_data`].
    ///
    /// # Errors
    /// As [`Self::send_data`].
    pub fn send_text(&mut self, now: Instant, label: &str, text: &str) -> Result<usize> {
        self.send_message(now, label, text.as_bytes(), true)
    }

    /// Closes a data channel.
    pub fn close_channel(&mut self, now: Instant, label: &str) {
        if let Some(sctp) = &mut self.sctp {
            sctp.close_channel(now, label);
        }
        self.exchange(now);
    }

    /// A candidate of the other side, `candidate:..`. May come before its description.
    pub fn trickle(&mut self, now: Instant, candidate: &str) {
        if let Some(address) = sdp::parse_candidate(candidate) {
            self.add_remote_candidate(now, address);
            self.ice.tick(now);
        }
    }

    /// A TURN server that may be used when nothing else leads to the other side; the first ones go first, and more than
    /// four are ignored. After [`Self::retire_turn_servers`] one that is known takes these credentials, and a new one the place of
    /// one that is not named again.
    pub fn add_turn_server(&mut self, now: Instant, server: TurnServer) {
        if let Some(known) = self.turns.iter_mut().find(|turn| turn.address() == server.address) {
            if known.retired {
                known.renew(server);
            }
            return;
        }
        let number = if self.turns.len() < TURNS_MAX {
            self.turns.push(Turn::new(server));
            self.turns.len() - 1
        } else if let Some(number) =
            (0..TURNS_MAX).rfind(|number| self.turns[*number].retired && !self.is_path(*number))
        {
            self.release_turn(number);
            self.turns[number] = Turn::new(server);
            number
        } else {
            return;
        };
        for address in self.relayable.clone() {
            self.ice.add_remote_candidate(now, Way::Relay(number as u8).to(address));
        }
    }

    fn is_path(&self, turn: usize) -> bool {
        self.ice.path().is_some_and(|path| Way::of(path) == Way::Relay(turn as u8))
    }

    /// A newer list of TURN servers is about to come, one by one to [`Self::add_turn_server`]. What is in use stays so until then.
    pub fn retire_turn_servers(&mut self) {
        self.turns.iter_mut().for_each(|turn| turn.retired = true);
    }

    /// New ICE credentials for the next offer. The old ones stay valid, so media flows on.
    pub fn restart_ice(&mut self) {
        self.ice.restart();
    }

    /// Our address is another one, the port is the same: the next description says so.
    pub fn move_candidates(&mut self, ip: IpAddr) {
        if self.config.local_candidates.iter().any(|candidate| candidate.ip() != ip) {
            let mut config = (*self.config).clone();
            config.local_candidates.iter_mut().for_each(|candidate| candidate.set_ip(ip));
            self.config = Arc::new(config);
        }
    }

    /// Says good-bye to the other side. Drain [`Self::poll_send`] afterwards.
    pub fn close(&mut self, now: Instant) {
        if let Some(dtls) = &mut self.dtls {
            dtls.close(now);
        }
        self.exchange(now);
        self.state = State::Closed;
        self.deadline = None;
        self.farewell();
    }

    /// ICE and DTLS are up.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Newest local ufrag.
    #[must_use]
    pub fn local_ufrag(&self) -> &str {
        &self.ice.local().ufrag
    }

    /// Whether a binding request for this ufrag is ours; true for the old one during a restart.
    #[must_use]
    pub fn owns_ufrag(&self, ufrag: &str) -> bool {
        self.ice.owns(ufrag)
    }

    /// Whether datagrams of this address are ours: it passed an authenticated check.
    #[must_use]
    pub fn is_validated(&self, address: SocketAddr) -> bool {
        self.ice.is_validated(address)
    }

    /// Round trip of ICE checks (full) or of SCTP.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.ice.round_trip().or_else(|| self.sctp.as_ref().and_then(|sctp| sctp.round_trip()))
    }

    /// What was refused or lost.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let (bad_stun, dropped, path_moves) = self.ice.counters();
        let mut counters = Counters { bad_stun, path_moves, ..self.counters };
        counters.dropped += dropped + self.turns.iter().map(|turn| turn.dropped).sum::<u64>();
        if let Some(dtls) = &self.dtls {
            (counters.dtls_errors, counters.dtls_restarts) = (dtls.errors, dtls.restarts());
            counters.dropped += dtls.dropped;
        }
        if let Some(srtp) = &self.srtp {
            (counters.srtp_failed, counters.srtp_replayed) = (srtp.failed, srtp.replayed);
        }
        counters.dropped += self.sctp.as_ref().map_or(0, |sctp| sctp.dropped);
        counters
    }

    fn send_message(&mut self, now: Instant, label: &str, data: &[u8], text: bool) -> Result<usize> {
        let sctp = self.sctp.as_mut().filter(|_| self.state == State::Connected);
        let sctp = sctp.ok_or_else(|| Error::new(Code::DISCONNECTED, "the data channels are not connected"))?;
        let buffered = sctp.send(now, label, data, text);
        self.exchange(now);
        buffered
    }

    fn refuse_when_closed(&self) -> Result<()> {
        if self.state == State::Closed {
            return Err(Error::new(Code::REFUSED, "the peer is closed"));
        }
        Ok(())
    }

    fn use_sctp(&mut self, now: Instant) -> &mut Sctp {
        let sctp = self.sctp.get_or_insert_with(|| Box::new(Sctp::new(&self.identity.sctp)));
        if let Some(dtls) = self.dtls.as_ref().filter(|dtls| dtls.is_connected()) {
            sctp.start(now, dtls.is_client());
        }
        sctp
    }

    /// ICE, DTLS and SCTP parts of a description.
    fn take_transport(&mut self, now: Instant, description: &Description, is_offer: bool) {
        if self.remote_fingerprint.is_empty() {
            self.remote_fingerprint.clone_from(&description.fingerprint);
            self.deadline = Some(now + CONNECT_DEADLINE);
        }
        let restarted = self.ice.set_remote(now, description.credentials.clone());
        if restarted {
            // What it says from now on is where it is.
            self.relayable.clear();
        }
        if restarted && is_offer {
            self.ice.restart();
            // our checks have to name the credentials of the answer
            self.ice.set_remote(now, description.credentials.clone());
        }
        if description.ice_lite {
            self.ice.remote_is_lite();
        }
        for address in &description.candidates {
            self.add_remote_candidate(now, *address);
        }
        if self.negotiation.has_application() {
            let size = description.max_message_size;
            let sctp = self.use_sctp(now);
            if let Some(size) = size {
                sctp.set_max_send(size);
            }
        }
        self.ice.tick(now);
        self.start_dtls(now);
    }

    fn add_remote_candidate(&mut self, now: Instant, address: SocketAddr) {
        let way = Way::of(address);
        if way != Way::Udp && !self.config.active_tcp {
            return;
        }
        self.ice.add_remote_candidate(now, address);
        // Our allocations have IPv4 addresses: what a server gives that is not asked for another family (RFC 8656 7.2).
        if way == Way::Udp && address.is_ipv4() {
            if !self.relayable.contains(&address) {
                if self.relayable.len() == RELAYABLE_MAX {
                    return;
                }
                self.relayable.push(address);
            }
            // A restart of ICE forgot those that were never heard of.
            for turn in 0..self.turns.len() {
                self.ice.add_remote_candidate(now, Way::Relay(turn as u8).to(address));
            }
        }
    }

    fn describe(&mut self, setup: &str) -> String {
        self.version += 1;
        let head = Head {
            session_id: self.session_id,
            version: self.version,
            ice_lite: self.config.ice == IceRole::Lite,
            credentials: self.ice.local(),
            fingerprint: self.identity.fingerprint(),
            setup,
            candidates: &self.config.local_candidates,
            tcp_candidates: &self.config.tcp_candidates,
            active_tcp: self.config.active_tcp,
            max_message_bytes: self.config.max_message_bytes.clamp(1, MAX_RECEIVE_MESSAGE),
        };
        sdp::write(&head, self.negotiation.local())
    }
}

impl CodecSpec {
    /// The kind that our decoders know it by.
    #[must_use]
    pub fn kind(&self) -> trtc_types::CodecKind {
        trtc_types::CodecKind::from_name(&self.name)
    }
}

impl Incoming<'_> {
    /// The packet's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Rtp(packet) | Self::Rtcp(packet) => packet,
        }
    }
}

#[cfg(test)]
mod tests;
