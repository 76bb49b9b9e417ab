//! The public vocabulary of the crate.
use crate::sctp::MAX_RECEIVE_MESSAGE;
use bytes::Bytes;
use std::fmt;
use std::net::SocketAddr;
use trtc_types::{CodecKind, MediaKind};

/// URIs of the RTP header extensions that are negotiated.
pub mod extension {
    /// RFC 8843: the section of a packet.
    pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    /// RFC 8852: the simulcast layer of a packet.
    pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    /// RFC 8852: the layer that a retransmission repairs.
    pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
    /// Transport-wide sequence number.
    pub const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    /// Absolute send time (24 bits, 6.18 seconds).
    pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    /// RFC 6464: audio level.
    pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
}

/// Part that a peer plays in ICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceRole {
    /// Answers checks only; for servers with a public address.
    Lite,
    /// Full ICE, nominates (the offerer's part).
    Controlling,
    /// Full ICE, the other side nominates.
    Controlled,
}

/// DTLS part taken in an answer to `setup:actpass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// DTLS client.
    Active,
    /// DTLS server; preferred, because AES-GCM wins then.
    Passive,
}

/// What a peer offers and accepts. Shared by all peers of a kind.
#[derive(Clone, Debug)]
pub struct Config {
    /// Part in ICE; a remote `ice-lite` turns a full agent into the controlling one.
    pub ice: IceRole,
    /// Host candidates written into our descriptions.
    pub local_candidates: Vec<SocketAddr>,
    /// Passive TCP candidates (RFC 6544) written behind them.
    pub tcp_candidates: Vec<SocketAddr>,
    /// The host opens TCP connections for addresses with [`trtc_types::Way::Tcp`] (active candidates of RFC 6544).
    pub active_tcp: bool,
    /// DTLS part when the offer leaves the choice.
    pub answer_setup: Setup,
    /// Negotiate transport-wide feedback: offered for pictures, wins over `remb` in answers.
    pub transport_cc: bool,
    /// Negotiate `goog-remb` and `abs-send-time`: offered for pictures, for receivers that have nothing better.
    pub remb: bool,
    /// Answer with every media codec of the offer (servers forward, they do not decode). Otherwise with opus and H.264,
    /// or with everything where the offer has neither, so that the section stays observable.
    pub accept_any_codec: bool,
    /// Accept simulcast by RID.
    pub answer_rids: bool,
    /// Longest data message that the host takes, 1 to 262,144 bytes: `a=max-message-size` (RFC 8841 section 6). A longer one that comes all
    /// the same is the host's to refuse; above 262,144 bytes it ends the association.
    pub max_message_bytes: u32,
    /// Accept RED around Opus (RFC 2198) and offer it around Opus that has it already: for servers, who forward it. A publisher is
    /// answered with RED first, which makes browsers send it.
    pub audio_redundancy: bool,
}

impl Default for Config {
    /// A full, controlled agent that answers passively with transport-wide feedback and REMB, without simulcast.
    fn default() -> Self {
        Self {
            ice: IceRole::Controlled,
            local_candidates: Vec::new(),
            tcp_candidates: Vec::new(),
            active_tcp: false,
            answer_setup: Setup::Passive,
            transport_cc: true,
            remb: true,
            accept_any_codec: false,
            answer_rids: false,
            max_message_bytes: MAX_RECEIVE_MESSAGE,
            audio_redundancy: false,
        }
    }
}

/// A TURN server (RFC 8656) and its long-term credential.
#[derive(Clone)]
pub struct TurnServer {
    /// Over UDP, or with [`trtc_types::Way::TurnTcp`] or [`trtc_types::Way::TurnTls`].
    pub address: SocketAddr,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for TurnServer {
    /// Without the password: logs are no place for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A datagram that [`crate::Peer::feed`] decrypted in place.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A plain RTP packet.
    Rtp(&'a mut [u8]),
    /// A plain compound RTCP packet.
    Rtcp(&'a mut [u8]),
}

/// What happened to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// Media can flow: ICE and DTLS are up and the certificate is the announced one. Comes again after an ICE restart
    /// was verified and after a lost path came back.
    Connected,
    /// The transport does not work (any more): no answer from the network, or DTLS refused. An ICE restart can help
    /// unless the reason names DTLS.
    Failed(String),
    /// Datagrams go to this address from now on.
    PathChanged(SocketAddr),
    /// A data channel can be written to, whoever opened it.
    ChannelOpen {
        /// Its label.
        label: String,
    },
    /// A message.
    Data {
        /// Label of its channel.
        label: String,
        /// Its bytes.
        data: Bytes,
        /// Sent as text.
        text: bool,
    },
    /// A data channel was closed.
    ChannelClosed {
        /// Its label.
        label: String,
    },
    /// The other side left on purpose: it closed DTLS, or the SCTP association, which stacks close first.
    Closed,
}

/// A codec as negotiated in a section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodecSpec {
    /// Encoding name in lower case.
    pub name: String,
    /// RTP payload type.
    pub payload_type: u8,
    /// Payload type of its retransmissions (RFC 4588).
    pub rtx_payload_type: Option<u8>,
    /// Payload type under which it comes with repetitions of earlier frames (RED, RFC 2198).
    pub red_payload_type: Option<u8>,
    /// RTP clock in Hz.
    pub clock_rate: u32,
    /// Audio channels, 1 for video.
    pub channels: u8,
    /// Format parameters, empty when there are none.
    pub fmtp: String,
    /// RTCP feedback, for instance `nack pli`.
    pub feedback: Vec<String>,
}

impl CodecSpec {
    /// Every payload type that belongs to it.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> + use<> {
        [Some(self.payload_type), self.rtx_payload_type, self.red_payload_type].into_iter().flatten()
    }
}

/// A track of ours.
#[derive(Clone, Debug)]
pub struct SendTrack {
    /// Audio or video.
    pub kind: MediaKind,
    /// Its codec.
    pub codec: CodecKind,
    /// Exact codec to offer (name, clock, channels, fmtp; payload types are chosen here). For servers that forward a
    /// publisher's codec. `None`: our own parameters for `codec`.
    pub codec_spec: Option<CodecSpec>,
    /// First token of `a=msid`.
    pub stream_id: String,
    /// Second token of `a=msid`.
    pub track_id: String,
    /// SSRC of the media packets.
    pub ssrc: u32,
    /// SSRC of the retransmissions; none: no RTX is offered.
    pub rtx_ssrc: Option<u32>,
}

/// Names a track added by [`crate::Peer::add_send`]; never reused within a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionId(pub(crate) u32);

/// How packets of a track of ours must look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendParams {
    /// Payload type of media packets.
    pub payload_type: u8,
    /// Payload type of retransmissions.
    pub rtx_payload_type: Option<u8>,
    /// Payload type of packets with repetitions of earlier frames (RED).
    pub red_payload_type: Option<u8>,
    /// Id of the MID extension.
    pub ext_mid: Option<u8>,
    /// Id of the transport-wide sequence number.
    pub ext_twcc: Option<u8>,
    /// Id of the absolute send time.
    pub ext_abs_send_time: Option<u8>,
    /// Id of the audio level.
    pub ext_audio_level: Option<u8>,
    /// Id of the RID extension.
    pub ext_rid: Option<u8>,
    /// Id of the repaired RID extension.
    pub ext_repaired_rid: Option<u8>,
    /// Value of the MID extension.
    pub mid: String,
    /// The codec with the other side's parameters.
    pub codec: CodecSpec,
}

/// A media section as the other side may fill it.
#[derive(Clone, Debug)]
pub struct ReceiveSection {
    /// `a=mid`.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// The other side sends here and we accept it.
    pub direction_active: bool,
    /// `a=msid`: stream and track.
    pub msid: Option<(String, String)>,
    /// Negotiated codecs, the preferred one first.
    pub codecs: Vec<CodecSpec>,
    /// Announced SSRCs.
    pub ssrcs: Vec<u32>,
    /// Announced pairs of media and retransmission SSRC.
    pub fid: Vec<(u32, u32)>,
    /// Simulcast layers in the order of the offer.
    pub rids: Vec<String>,
    /// Negotiated header extensions.
    pub extensions: Vec<(u8, String)>,
}

/// What a peer refused or lost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// STUN messages that are malformed or fail MESSAGE-INTEGRITY.
    pub bad_stun: u64,
    /// Datagrams from addresses that passed no authenticated check.
    pub unvalidated: u64,
    /// RTP and RTCP packets that fail authentication.
    pub srtp_failed: u64,
    /// RTP and RTCP packets seen before, or too old to know.
    pub srtp_replayed: u64,
    /// Records that DTLS refused.
    pub dtls_errors: u64,
    /// Handshakes started anew.
    pub dtls_restarts: u64,
    /// Datagrams and messages dropped because a queue was full.
    pub dropped: u64,
    /// Times that the path moved to another address.
    pub path_moves: u64,
}
