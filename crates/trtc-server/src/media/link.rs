//! One peer connection of a member, with what the media thread remembers about it.
use super::api::MemberKey;
use super::limits::Limits;
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;
use trtc_peer::{Peer, ReceiveSection, SectionId};
use trtc_rtp::{ReceiverStats, TransportFeedbackRecorder};
use trtc_sfu::Left;
use trtc_types::MediaKind;

/// Incoming SSRCs of one connection.
pub(super) const SSRCS_MAX: usize = 64;
/// Addresses that lead to one connection.
pub(super) const ADDRESSES_MAX: usize = 8;
/// Reliable packets, and their bytes, that wait for a channel to open or a connection to come back.
pub(super) const WAITING_DATA_MAX: usize = 1024;
pub(super) const WAITING_BYTES_MAX: usize = 256 * 1024;

pub(super) struct Link {
    pub(super) peer: Peer,
    pub(super) member: MemberKey,
    /// The client offers and sends, else the server offers and sends.
    pub(super) publisher: bool,
    pub(super) connected: bool,
    /// When the last datagram of the client came.
    pub(super) heard: Option<Instant>,
    /// SSRC of our own RTCP.
    pub(super) rtcp_ssrc: u32,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) ufrags: Vec<String>,
    /// The local one of the latest exchange of descriptions.
    agreed_ufrag: String,
    pub(super) open_channels: Vec<String>,
    pub(super) waiting_data: VecDeque<Bytes>,
    pub(super) waiting_bytes: usize,
    /// The earliest entry of this link in the timer heap.
    pub(super) armed: Option<Instant>,
    /// Tells the entries of an earlier link in the same place from ours.
    pub(super) generation: u64,
    pub(super) dirty: bool,
    pub(super) losses: Losses,
    pub(super) receiving: Receiving,
    pub(super) offering: Offering,
    pub(super) limits: Limits,
}

/// What reports said since it was told.
#[derive(Default)]
pub(super) struct Losses {
    pub(super) since: Option<Instant>,
    pub(super) sum: u32,
    pub(super) reports: u32,
}

/// The receiving half, used on publisher connections.
#[derive(Default)]
pub(super) struct Receiving {
    pub(super) sections: Vec<Section>,
    pub(super) streams: Vec<Stream>,
    pub(super) feedback: Option<Feedback>,
    pub(super) report_due: Option<Instant>,
}

pub(super) struct Feedback {
    pub(super) extension: u8,
    pub(super) recorder: TransportFeedbackRecorder,
    pub(super) media_ssrc: u32,
}

pub(super) struct Section {
    pub(super) description: ReceiveSection,
    pub(super) mid_extension: Option<u8>,
    pub(super) rid_extension: Option<u8>,
    pub(super) repaired_extension: Option<u8>,
    pub(super) track: Option<usize>,
}

/// What an SSRC of the publisher carries.
pub(super) struct Stream {
    pub(super) ssrc: u32,
    pub(super) track: usize,
    pub(super) rid: Option<String>,
    pub(super) role: StreamRole,
}

pub(super) enum StreamRole {
    Media {
        layer: usize,
        payload_type: u8,
        /// Of packets with repetitions.
        red_payload_type: Option<u8>,
        stats: ReceiverStats,
    },
    /// Retransmissions of another stream of the same connection.
    Repair { media_ssrc: u32, media_payload_type: u8 },
}

/// The offering half, used on subscriber connections.
#[derive(Default)]
pub(super) struct Offering {
    pub(super) last_id: u32,
    /// When the outstanding offer is given up.
    pub(super) outstanding: Option<Instant>,
    /// Something changed: when the next offer may go out.
    pub(super) due: Option<Instant>,
    /// Our SSRC and the track behind it.
    pub(super) outgoing: Vec<(u32, usize)>,
    /// Streams of a client that offered by itself (WHEP); we never offer to it.
    pub(super) relays: Option<Vec<Relay>>,
}

/// One stream to a client for all that it will ever see: tracks take turns on it.
pub(super) struct Relay {
    pub(super) kind: MediaKind,
    pub(super) section: SectionId,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: Option<u32>,
    /// Where the last track left it.
    pub(super) left: Option<Left>,
}

impl Link {
    pub(super) fn new(peer: Peer, member: MemberKey, publisher: bool, generation: u64) -> Self {
        Self {
            peer,
            member,
            publisher,
            connected: false,
            heard: None,
            rtcp_ssrc: rand::random(),
            addresses: Vec::new(),
            ufrags: Vec::new(),
            agreed_ufrag: String::new(),
            open_channels: Vec::new(),
            waiting_data: VecDeque::new(),
            waiting_bytes: 0,
            armed: None,
            generation,
            dirty: false,
            losses: Losses::default(),
            receiving: Receiving::default(),
            offering: Offering::default(),
            limits: Limits::default(),
        }
    }

    /// Descriptions were exchanged; says whether they restart ICE.
    pub(super) fn restarts(&mut self) -> bool {
        let ufrag = self.peer.local_ufrag();
        self.agreed_ufrag != ufrag && !std::mem::replace(&mut self.agreed_ufrag, ufrag.to_owned()).is_empty()
    }

    /// Keeps a reliable packet until it can be sent; false when too much waits.
    pub(super) fn keep(&mut self, packet: &Bytes) -> bool {
        let fits = self.waiting_data.len() < WAITING_DATA_MAX && self.waiting_bytes + packet.len() <= WAITING_BYTES_MAX;
        if fits {
            self.waiting_bytes += packet.len();
            self.waiting_data.push_back(packet.clone());
        }
        fits
    }

    pub(super) fn has_channel(&self, label: &str) -> bool {
        self.open_channels.iter().any(|open| open == label)
    }
}

impl Section {
    pub(super) fn new(description: ReceiveSection, track: Option<usize>) -> Self {
        let id = |uri: &str| description.extensions.iter().find(|(_, u)| u == uri).map(|(id, _)| *id);
        Self {
            mid_extension: id(trtc_peer::extension::MID),
            rid_extension: id(trtc_peer::extension::RID),
            repaired_extension: id(trtc_peer::extension::REPAIRED_RID),
            track,
            description,
        }
    }

    pub(super) fn extension(&self, uri: &str) -> Option<u8> {
        self.description.extensions.iter().find(|(_, u)| u == uri).map(|(id, _)| *id)
    }
}
