//! One of our peers and one of str0m's with the network between them.
use crate::common::rtp::{self, Piece, Report, Sender};
use crate::common::wire::Wire;
use crate::common::{Random, address, config, identity, track};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::change::{SdpAnswer, SdpApi, SdpOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::error::RtcError;
use str0m::media::{Direction, MediaKind as TheirKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpHeader, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};
use trtc_peer::{Config, IceRole, Incoming, Peer, PeerEvent, ReceiveSection, SectionId, Setup};
use trtc_types::MediaKind;

pub const OURS: usize = 0;
pub const THEIRS: usize = 1;
pub const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];
/// SSRCs of our tracks, in the order of `KINDS`.
pub const OUR_SSRCS: [u32; 2] = [1000, 2000];
/// Label, ordered, retransmissions; half of them opened by each side.
const OUR_CHANNELS: [(&str, bool, Option<u32>); 2] = [("ours", true, None), ("ours, lossy", false, Some(0))];
const THEIR_CHANNELS: [(&str, bool, Reliability); 2] =
    [("theirs", true, Reliability::Reliable), ("theirs, lossy", false, Reliability::MaxRetransmits { retransmits: 0 })];

/// Who does what in a connection.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub we_offer: bool,
    pub ice: IceRole,
    pub their_lite: bool,
    /// We are the DTLS client.
    pub active: bool,
}

/// Either side offers, either part of DTLS, every part of ICE that fits.
pub fn cases() -> impl Iterator<Item = Case> {
    let roles = |we_offer: bool| match we_offer {
        true => [(IceRole::Controlling, false), (IceRole::Lite, false), (IceRole::Controlling, true)],
        false => [(IceRole::Controlled, false), (IceRole::Lite, false), (IceRole::Controlled, true)],
    };
    let with = move |we_offer| {
        let roles = roles(we_offer).into_iter();
        roles.flat_map(move |(ice, their_lite)| [false, true].map(|active| Case { we_offer, ice, their_lite, active }))
    };
    [true, false].into_iter().flat_map(with)
}

/// Both ends, what they told and what they received.
pub struct Link {
    case: Case,
    /// str0m's offers leave us no choice of the DTLS part.
    pub insists: bool,
    pub now: Instant,
    pub ours: Peer,
    pub theirs: Rtc,
    /// When str0m wants to know the time.
    due: Instant,
    /// str0m tries each DTLS flight five times, after 1, 3, 7 and 15 s, and fails then.
    pub gave_up: bool,
    pub wire: Wire,
    pub our_events: Vec<PeerEvent>,
    pub their_events: Vec<Event>,
    pub rtp: Vec<Vec<u8>>,
    pub reports: Vec<Report>,
    pub our_tracks: Vec<(SectionId, u32)>,
    pub their_tracks: Vec<Mid>,
    /// Channels that str0m says are open.
    pub their_channels: BTreeMap<String, ChannelId>,
    pub senders: Vec<Sender>,
    /// Next sequence numbers of str0m's tracks.
    their_sequences: [u64; 2],
    pub transport_sequence: u16,
    pub random: Random,
}

impl Link {
    /// Both ends, with our tracks and channels wanted but nothing negotiated.
    pub fn new(case: Case, seed: u64) -> Self {
        let now = Instant::now();
        let answer_setup = if case.active { Setup::Active } else { Setup::Passive };
        let ours = Config { answer_setup, ..config(case.ice, 1 + OURS as u8) };
        let mut ours = Peer::new(Arc::new(ours), identity(OURS));
        let our_tracks = KINDS.iter().zip(OUR_SSRCS).map(|(kind, ssrc)| (ours.add_send(track(*kind, ssrc)), ssrc));
        let our_tracks = our_tracks.collect();
        for (label, ordered, retransmits) in OUR_CHANNELS {
            ours.create_channel(now, label, ordered, retransmits);
        }
        let mut theirs = Rtc::builder().set_rtp_mode(true).set_ice_lite(case.their_lite).build(now);
        theirs.add_local_candidate(Candidate::host(address(1 + THEIRS as u8), "udp").unwrap()).unwrap();
        Self {
            case,
            insists: false,
            now,
            ours,
            theirs,
            due: now,
            gave_up: false,
            wire: Wire::new(seed),
            our_events: Vec::new(),
            their_events: Vec::new(),
            rtp: Vec::new(),
            reports: Vec::new(),
            our_tracks,
            their_tracks: Vec::new(),
            their_channels: BTreeMap::new(),
            senders: Vec::new(),
            their_sequences: [0; 2],
            transport_sequence: 0,
            random: Random(seed | 1),
        }
    }

    /// A pair with tracks in both directions and all channels open.
    pub fn connected(case: Case, seed: u64) -> Self {
        let mut link = Self::new(case, seed);
        link.negotiate();
        let time = link.run_until(Duration::from_secs(10), Link::all_open);
        assert!(time.is_some(), "{case:?}: {:?} {:?}", link.our_events, link.their_events);
        let sender = |&(id, ssrc): &(SectionId, u32)| Sender::new(link.ours.send_params(id).unwrap(), ssrc);
        link.senders = link.our_tracks.iter().map(sender).collect();
        link
    }

    /// Negotiates everything. str0m's tracks share our sections when it offers, and need an offer of their own otherwise.
    pub fn negotiate(&mut self) {
        let case = self.case;
        if case.we_offer {
            self.we_offer();
        }
        let direction = if case.we_offer { Direction::SendOnly } else { Direction::SendRecv };
        let mids = self.they_offer(|change| {
            for (label, ordered, reliability) in THEIR_CHANNELS {
                let label = label.to_owned();
                change.add_channel_with_config(ChannelConfig { label, ordered, reliability, ..Default::default() });
            }
            [TheirKind::Audio, TheirKind::Video]
                .map(|kind| change.add_media(kind, direction, Some("foreign".into()), None, None))
        });
        self.their_tracks = mids.to_vec();
    }

    /// We offer. str0m answers `actpass` passively, so its active part needs an offer that leaves no choice.
    pub fn we_offer(&mut self) {
        let active = self.case.active;
        let offer = self.ours.create_offer();
        let offer = if active { offer } else { offer.replace("a=setup:actpass", "a=setup:passive") };
        let offer = SdpOffer::from_sdp_string(&offer).unwrap();
        let answer = self.theirs.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
        assert!(answer.contains(if active { "a=setup:passive" } else { "a=setup:active" }));
        self.ours.accept_answer(self.now, &answer).unwrap();
    }

    /// str0m offers after a change.
    pub fn they_offer<R>(&mut self, change: impl FnOnce(&mut SdpApi<'_>) -> R) -> R {
        let mut api = self.theirs.sdp_api();
        let result = change(&mut api);
        let (offer, pending) = api.apply().unwrap();
        let offer = offer.to_sdp_string();
        let offer = if self.insists { offer.replace("a=setup:actpass", "a=setup:active") } else { offer };
        let answer = self.ours.accept_offer(self.now, &offer).unwrap();
        assert!(answer.contains(if self.case.active { "a=setup:active" } else { "a=setup:passive" }));
        let answer = SdpAnswer::from_sdp_string(&answer).unwrap();
        self.theirs.sdp_api().accept_answer(pending, answer).unwrap();
        result
    }

    /// Runs until `done` or until `time` has passed; returns the time it took.
    pub fn run_until(&mut self, time: Duration, mut done: impl FnMut(&Link) -> bool) -> Option<Duration> {
        let (start, end) = (self.now, self.now + time);
        loop {
            self.collect();
            if done(self) {
                return Some(self.now - start);
            }
            let due = Some(self.due).filter(|_| !self.gave_up);
            let timers = [self.ours.timeout(), self.wire.arrival(), due];
            let Some(next) = timers.into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return None;
            };
            self.now = next.max(self.now + Duration::from_micros(10));
            while let Some((to, datagram)) = self.wire.receive(self.now) {
                self.deliver(to, datagram);
            }
            if self.ours.timeout().is_some_and(|at| at <= self.now) {
                self.ours.tick(self.now);
            }
            if self.due <= self.now {
                self.tell_theirs(Input::Timeout(self.now));
            }
        }
    }

    pub fn run(&mut self, time: Duration) {
        assert!(self.run_until(time, |_| false).is_none());
    }

    fn deliver(&mut self, to: usize, mut datagram: Vec<u8>) {
        if to == THEIRS {
            let (source, destination) = (address(1 + OURS as u8), address(1 + THEIRS as u8));
            let receive = Receive::new(Protocol::Udp, source, destination, &datagram).unwrap();
            return self.tell_theirs(Input::Receive(self.now, receive));
        }
        match self.ours.feed(self.now, address(1 + THEIRS as u8), &mut datagram) {
            Some(Incoming::Rtp(packet)) => self.rtp.push(packet.to_vec()),
            Some(Incoming::Rtcp(packet)) => self.reports.extend(rtp::reports(packet)),
            None => {}
        }
    }

    fn collect(&mut self) {
        while let Some((to, datagram)) = self.ours.poll_send() {
            if to == address(1 + THEIRS as u8) {
                self.wire.send(self.now, THEIRS, datagram.to_vec());
            }
        }
        self.our_events.extend(std::iter::from_fn(|| self.ours.poll_event()));
        self.drain_theirs();
    }

    /// str0m wants to be drained after every input.
    fn tell_theirs(&mut self, input: Input<'_>) {
        if !self.gave_up {
            self.theirs.handle_input(input).unwrap();
            self.drain_theirs();
        }
    }

    fn drain_theirs(&mut self) {
        while !self.gave_up {
            match self.theirs.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.due = at;
                    return;
                }
                Ok(Output::Transmit(packet)) if packet.destination == address(1 + OURS as u8) => {
                    self.wire.send(self.now, OURS, packet.contents.to_vec());
                }
                Ok(Output::Transmit(_)) => {}
                Ok(Output::Event(Event::ChannelOpen(id, label))) => {
                    self.their_channels.insert(label, id);
                }
                Ok(Output::Event(event)) => self.their_events.push(event),
                Err(RtcError::Dtls(error)) if error.to_string().contains("timeout: handshake") => self.gave_up = true,
                Err(error) => panic!("str0m: {error}"),
            }
        }
    }

    pub fn both_connected(&self) -> bool {
        self.ours.is_connected() && self.theirs.is_connected()
    }

    pub fn all_open(&self) -> bool {
        let ours = self.our_events.iter().filter(|event| matches!(event, PeerEvent::ChannelOpen { .. })).count();
        let all = OUR_CHANNELS.len() + THEIR_CHANNELS.len();
        self.both_connected() && ours >= all && self.their_channels.len() >= all
    }

    /// Sends one packet of our track number `at`; returns its plain text.
    pub fn send_ours(&mut self, at: usize, piece: &Piece, lose: bool) -> Vec<u8> {
        let plain = self.senders[at].packet(piece, &mut self.transport_sequence);
        let mut packet = plain.clone();
        assert_eq!(self.ours.seal_rtp(&mut packet), Some(address(1 + THEIRS as u8)));
        if !lose {
            self.wire.send(self.now, THEIRS, packet);
        }
        plain
    }

    /// Sends one packet of str0m's track number `at`.
    pub fn send_theirs(&mut self, at: usize, piece: &Piece) {
        let payload_type = Pt::from(self.section(at).codecs[0].payload_type);
        let (sequence, now) = (self.their_sequences[at], self.now);
        self.their_sequences[at] += 1;
        let mut api = self.theirs.direct_api();
        let stream = api.stream_tx_by_mid(self.their_tracks[at], None).unwrap();
        let packet = RtpWrite::new(payload_type, sequence.into(), piece.timestamp, now, piece.payload.clone());
        stream.write_rtp(packet.marker(piece.marker).nackable(true));
        self.tell_theirs(Input::Timeout(now));
    }

    /// Where we receive str0m's track number `at`.
    pub fn section(&self, at: usize) -> ReceiveSection {
        let mid = self.their_tracks[at].to_string();
        self.ours.receive_sections().into_iter().find(|section| section.mid == mid).unwrap()
    }

    pub fn their_ssrc(&mut self, at: usize) -> u32 {
        *self.theirs.direct_api().stream_tx_by_mid(self.their_tracks[at], None).unwrap().ssrc()
    }

    pub fn their_ufrag(&mut self) -> String {
        self.theirs.direct_api().local_ice_credentials().ufrag
    }

    /// Media of str0m's with this SSRC, as we got it.
    pub fn received(&self, ssrc: u32) -> Vec<rtp::View<'_>> {
        self.rtp.iter().map(|packet| rtp::view(packet)).filter(|view| view.ssrc == ssrc).collect()
    }

    /// Media of ours with this SSRC, as str0m got it.
    pub fn they_received(&self, ssrc: u32) -> Vec<(&RtpHeader, Piece)> {
        let events = self.their_events.iter();
        let packets = events.filter_map(|event| match event {
            Event::RtpPacket(packet) if *packet.header.ssrc == ssrc => Some(packet),
            _ => None,
        });
        let piece = |packet: &RtpPacket| Piece {
            payload: packet.payload.to_vec(),
            marker: packet.header.marker,
            timestamp: packet.header.timestamp,
        };
        packets.map(|packet| (&packet.header, piece(packet))).collect()
    }
}
