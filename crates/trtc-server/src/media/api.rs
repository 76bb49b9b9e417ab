//! What signalling and the media thread say to each other. Commands go in through a bounded queue, events come back
//! through one bounded queue per member.
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use trtc_net::batch::{StreamCounters, StreamLimits};
use trtc_types::MediaKind;

/// Names a room membership for the life of the process; never reused.
pub type MemberKey = u64;
/// Names a room for the life of the process; never reused.
pub type RoomKey = u64;

/// How the media plane is started.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Where the UDP socket listens; port 0 picks a free one.
    pub bind: SocketAddr,
    /// Media threads, each with its own UDP port; 1 for now.
    pub threads: usize,
    /// What clients are told to send to; a port of 0 is replaced by the bound one, empty means the bound address.
    pub public_candidates: Vec<SocketAddr>,
    /// Where TCP connections with media are taken (RFC 6544); port 0 picks a free one, `None` takes none.
    pub tcp: Option<SocketAddr>,
    /// How many of them, and how long they may be silent.
    pub stream_limits: StreamLimits,
    /// An offer must be answered within this time.
    pub answer_timeout: Duration,
    /// Commands that may wait for the media thread.
    pub commands_max: usize,
}

impl MediaConfig {
    /// One thread on an address.
    #[must_use]
    pub fn new(bind: SocketAddr) -> Self {
        let answer_timeout = Duration::from_secs(15);
        Self {
            bind,
            threads: 1,
            public_candidates: Vec::new(),
            tcp: None,
            stream_limits: StreamLimits::default(),
            answer_timeout,
            commands_max: 4096,
        }
    }
}

/// The command queue is full: the media thread is overloaded or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media thread does not take commands")]
pub struct QueueFull;

/// From signalling to the media thread.
#[derive(Debug)]
pub enum MediaCommand {
    /// A member entered. Its two peer connections are made on demand.
    AddMember {
        /// The room; made with its first member, gone with its last.
        room: RoomKey,
        /// The new member.
        member: MemberKey,
        /// Stamped on data packets, and what destination filters name.
        identity: String,
        /// `PA_...`, stamped on data packets.
        sid: String,
        /// May the member send data packets?
        can_publish_data: bool,
        /// Where its events go; give it a capacity of 1024.
        events: tokio::sync::mpsc::Sender<MediaEvent>,
    },
    /// A member left; its tracks end and its connections close.
    RemoveMember {
        /// Who.
        member: MemberKey,
    },
    /// The client's offer for its publisher connection; answered by [`MediaEvent::Answer`] or [`MediaEvent::BadSdp`].
    Offer {
        /// Whose.
        member: MemberKey,
        /// The description.
        sdp: String,
        /// Given back in the answer.
        id: u32,
    },
    /// The offer of a client that only watches (WHEP) for its subscriber connection, which carries one audio and one video
    /// stream whatever the member subscribes to; answered like [`Self::Offer`]. The server will not offer.
    ViewerOffer {
        /// Whose.
        member: MemberKey,
        /// The description.
        sdp: String,
        /// Given back in the answer.
        id: u32,
    },
    /// The client's answer for its subscriber connection.
    Answer {
        /// Whose.
        member: MemberKey,
        /// The description.
        sdp: String,
        /// The offer's id, or 0 when the client did not say.
        id: u32,
    },
    /// A trickled ICE candidate.
    Candidate {
        /// Whose.
        member: MemberKey,
        /// Publisher connection, else subscriber connection.
        publisher: bool,
        /// The `candidate:` line.
        candidate: String,
    },
    /// A track was announced; send it before the offer that carries it.
    ExpectTrack {
        /// Publisher.
        member: MemberKey,
        /// The client's id, matched with the track part of the section's msid; failing that the oldest of its kind.
        cid: String,
        /// `TR_...`
        sid: String,
        /// Audio or video.
        kind: MediaKind,
        /// Starts muted: nothing is forwarded.
        muted: bool,
        /// SDP name of the codec that the publisher wants to send; a browser leaves the order to the answer.
        codec: Option<String>,
    },
    /// The publisher withdrew a track.
    RemoveTrack {
        /// Publisher.
        member: MemberKey,
        /// Which.
        sid: String,
    },
    /// The publisher muted or unmuted a track.
    MuteTrack {
        /// Which.
        sid: String,
        /// New state.
        muted: bool,
    },
    /// Adds or removes a track on a member's subscriber connection.
    Subscribe {
        /// Subscriber.
        member: MemberKey,
        /// Which track; it may be announced but not flowing yet.
        sid: String,
        /// First token of its `a=msid`.
        stream_id: String,
        /// Add or remove.
        on: bool,
    },
    /// What the subscriber wants of a track (`track_setting`); until it says so, everything.
    TrackSetting {
        /// Subscriber.
        member: MemberKey,
        /// Which.
        sid: String,
        /// The highest simulcast layer that it wants, 0 is the smallest picture; `None`: nothing for now.
        layer: Option<u8>,
        /// Higher goes first when the link carries less than is wanted.
        priority: u8,
    },
    /// Make the subscriber connection and its first offer, with all tracks subscribed so far.
    StartSubscriber {
        /// Subscriber.
        member: MemberKey,
    },
    /// The client is back on a new WebSocket: answered by [`MediaEvent::Resumed`], then the subscriber connection is offered
    /// with an ICE restart. The client restarts its publisher connection itself.
    Resume {
        /// Who.
        member: MemberKey,
    },
    /// A data packet made by the server itself.
    SendData {
        /// Receivers; empty means the whole room.
        to: Vec<MemberKey>,
        /// The room.
        room: RoomKey,
        /// An encoded `DataPacket`.
        packet: Vec<u8>,
        /// Reliable or lossy channel.
        reliable: bool,
    },
    /// Permissions changed.
    SetPermissions {
        /// Who.
        member: MemberKey,
        /// May the member send data packets?
        can_publish_data: bool,
    },
}

/// From the media thread to the signalling of one member.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// Answer of the publisher connection.
    Answer {
        /// The description.
        sdp: String,
        /// The offer's id.
        id: u32,
    },
    /// Offer of the subscriber connection. The next one comes only after its answer.
    Offer {
        /// The description.
        sdp: String,
        /// To be given back in the answer.
        id: u32,
        /// mid and track sid of every section that carries a track.
        mid_to_track: Vec<(String, String)>,
    },
    /// A track of this member was negotiated and its first packet came, or it is muted and none will come.
    TrackStarted {
        /// Which.
        sid: String,
        /// `audio/opus`, `video/H264`, ...
        codec_mime: String,
    },
    /// What a negotiated track of this member is made of; comes before [`MediaEvent::TrackStarted`], and again when more is
    /// known.
    TrackLayers {
        /// Which.
        sid: String,
        /// The section that carries it.
        mid: String,
        /// Its simulcast layers, the smallest picture first.
        layers: Vec<LayerInfo>,
    },
    /// A track of this member begins, goes on louder or quieter, or ceases to speak.
    Speaking {
        /// Which.
        sid: String,
        /// Loudness in eighths, 1..=8; 0: it no longer speaks.
        level: u8,
    },
    /// Loss on a connection of this member in the last seconds, before repair. Not told of a connection without media.
    Loss {
        /// Publisher connection, else subscriber connection.
        publisher: bool,
        /// Of the worst track, 0..=100.
        percent: f32,
    },
    /// A track of this member lost its section.
    TrackEnded {
        /// Which.
        sid: String,
    },
    /// A track that this member receives is paused because its link does not even carry the lowest layer, or goes on.
    StreamState {
        /// Which.
        sid: String,
        /// New state.
        paused: bool,
    },
    /// A connection is up: ICE and DTLS done.
    Connected {
        /// Publisher connection, else subscriber connection.
        publisher: bool,
    },
    /// The connections of a member go on with a new WebSocket.
    Resumed {
        /// Number of the newest reliable data packet of this member, 0 when it sent none.
        last_sequence: u32,
    },
    /// The client closed a connection.
    Closed {
        /// Publisher connection, else subscriber connection.
        publisher: bool,
    },
    /// A connection failed or its offer was not answered in time; the member should be told to reconnect.
    Failed {
        /// Publisher connection, else subscriber connection.
        publisher: bool,
        /// For the log and the leave reason.
        reason: String,
    },
    /// A description could not be used; nothing changed.
    BadSdp {
        /// Publisher connection, else subscriber connection.
        publisher: bool,
        /// Why.
        reason: String,
    },
    /// A data packet of this member was not relayed.
    DataRejected {
        /// Why.
        reason: String,
    },
}

/// A simulcast layer; numbers are 0 until its first packet comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its name in the description.
    pub rid: String,
    /// SSRC of its packets.
    pub ssrc: u32,
    /// SSRC of its retransmissions.
    pub repair_ssrc: u32,
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What the media plane counted since its start; rendered by `GET /metrics`.
        #[derive(Default)]
        pub struct MediaCounters { $($(#[doc = $doc])* pub $name: AtomicU64,)* }

        impl MediaCounters {
            /// Every counter by name, with what it counts, for a metrics page.
            #[must_use]
            pub fn snapshot(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($doc),*).trim_ascii(), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Datagrams received.
    datagrams_in,
    /// Datagrams sent.
    datagrams_out,
    /// Bytes received.
    bytes_in,
    /// Bytes sent.
    bytes_out,
    /// RTP packets received and decrypted.
    rtp_in,
    /// RTP packets forwarded, first transmissions.
    rtp_out,
    /// RTP packets sent again on a NACK.
    rtx_out,
    /// Retransmissions of publishers that filled a gap.
    repairs_in,
    /// Transport-wide feedbacks of subscribers taken.
    path_feedbacks,
    /// ICE restarts agreed upon with publishers.
    publisher_restarts,
    /// ICE restarts agreed upon with subscribers.
    subscriber_restarts,
    /// Datagrams of nobody: no known address and no STUN request.
    unknown_source,
    /// STUN messages that name no connection of ours or are not authentic.
    bad_stun,
    /// RTP or RTCP that could not be authenticated or parsed.
    srtp_errors,
    /// RTP of no negotiated track.
    unknown_ssrc,
    /// RTP beyond the SSRC limit of its connection.
    ssrc_limit,
    /// Sequence numbers asked for again by subscribers.
    nacks,
    /// NACKed packets that were no longer in the cache.
    nack_misses,
    /// NACKs sent to publishers.
    nacks_sent,
    /// Key frame requests from subscribers.
    plis,
    /// Key frame requests passed on to publishers.
    plis_sent,
    /// Data packets received from members.
    data_in,
    /// Data packets relayed, one per receiver.
    data_out,
    /// Data packets refused: permission, limits, malformed.
    data_rejected,
    /// Reliable data packets dropped as duplicates.
    data_duplicates,
    /// Data packets a receiver's full channel refused.
    data_dropped,
    /// Commands that named an unknown member or track.
    stale_commands,
    /// Events that a member's full queue refused.
    events_dropped,
    /// Commands refused because the queue was full.
    commands_refused,
    /// Descriptions that could not be used.
    bad_sdp,
    /// Connections that came up.
    peers_connected,
    /// Connections that failed.
    peers_failed,
    /// Subscriber offers that were not answered in time.
    offers_unanswered,
    /// Datagrams that could not be sent.
    send_errors,
    /// System calls that waited: one for each turn of the media thread.
    wait_calls,
    /// System calls that received, a batch each.
    receive_calls,
    /// System calls that sent, a batch each.
    send_calls,
    /// TCP connections with media closed, by whomever.
    tcp_closed,
    /// TCP connections with media accepted.
    tcp_accepted,
    /// TCP connections closed at once: too many, in all or of one address.
    tcp_refused,
    /// TCP connections closed because they sent something else than framed STUN, DTLS and media.
    tcp_garbage,
    /// TCP connections closed because they proved nothing in time, or fell silent.
    tcp_timeouts,
    /// Datagrams received over TCP.
    tcp_in,
    /// Datagrams queued for TCP.
    tcp_out,
    /// Datagrams dropped because their TCP connection was too slow or gone.
    tcp_dropped,
}

impl MediaCounters {
    pub(super) fn streamed(&self, so_far: &StreamCounters) {
        for (counter, value) in [
            (&self.tcp_closed, so_far.accepted - so_far.open),
            (&self.tcp_accepted, so_far.accepted),
            (&self.tcp_refused, so_far.refused),
            (&self.tcp_garbage, so_far.garbage),
            (&self.tcp_timeouts, so_far.timeouts),
            (&self.tcp_in, so_far.datagrams_in),
            (&self.tcp_out, so_far.datagrams_out),
            (&self.tcp_dropped, so_far.dropped),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
    }

    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

impl fmt::Debug for MediaCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.snapshot().iter().map(|(name, _, value)| (name, value))).finish()
    }
}
