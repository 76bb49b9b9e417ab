//! What goes in and out.
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use trtc_types::{CodecKind, Error, LeaveReason, MediaKind, NetworkQuality, TrackSource, UserId};

/// One of the two peer connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// We offer; our media and data go out here.
    Publisher,
    /// The server offers; media and data of others come in here.
    Subscriber,
}

/// How to join.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Access token.
    pub token: String,
    /// Subscribe to the audio of others without being asked.
    pub auto_subscribe_audio: bool,
    /// Subscribe to the video of others without being asked.
    pub auto_subscribe_video: bool,
    /// Members who only watch (attribute `trtc.role` is `audience`, no tracks) are not told of, as in TRTC's live scenes.
    pub hide_audience: bool,
    /// Version that is told to the server.
    pub sdk_version: String,
}

/// A track to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTrack {
    /// Chosen by the caller, unique; also the second token of the section's msid.
    pub cid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// Where it comes from.
    pub source: TrackSource,
    /// Display name.
    pub name: String,
    /// The codec it is sent in.
    pub codec: CodecKind,
    /// Video width in pixels.
    pub width: u32,
    /// Video height in pixels.
    pub height: u32,
    /// Starts muted.
    pub muted: bool,
    /// Audio with two channels.
    pub stereo: bool,
    /// Video layers that are sent side by side (simulcast), the smallest first; at most three. Empty: one stream.
    pub layers: Vec<LocalLayer>,
}

/// One of several layers of a video track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalLayer {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bits per second that it is meant to have.
    pub bitrate_bps: u32,
}

/// Names of the layers in SDP, the smallest first, as LiveKit's clients name them.
pub const RIDS: [&str; 3] = ["q", "h", "f"];

/// Which layer of somebody else's video is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum VideoQuality {
    /// The smallest layer.
    Low,
    /// One between.
    Medium,
    /// The largest layer.
    #[default]
    High,
}

/// What of a subscribed track is of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackSettings {
    /// Nothing for now.
    pub disabled: bool,
    /// The wished layer; counts when no size is given.
    pub quality: VideoQuality,
    /// Width in which it is shown, in pixels; 0: see `quality`.
    pub width: u32,
    /// Height in which it is shown, in pixels; 0: see `quality`.
    pub height: u32,
}

/// A track of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTrack {
    /// Whose track.
    pub user: UserId,
    /// Id given by the server.
    pub sid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// Where it comes from.
    pub source: TrackSource,
    /// For example `video/H264`; may be empty until media flows.
    pub codec_mime: String,
    /// The publisher muted it.
    pub muted: bool,
    /// Video width in pixels.
    pub width: u32,
    /// Video height in pixels.
    pub height: u32,
    /// We want to receive it.
    pub subscribed: bool,
}

/// What the server lets us do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Publish tracks (anchor).
    pub can_publish: bool,
    /// Receive tracks.
    pub can_subscribe: bool,
    /// Send data.
    pub can_publish_data: bool,
    /// Change the own attributes.
    pub can_update_metadata: bool,
}

/// A STUN or TURN server, in the words of W3C's `RTCIceServer`.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// RFC 7064 and RFC 7065: `turn:host:port?transport=udp`.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: String,
    /// For TURN.
    pub credential: String,
}

impl fmt::Debug for IceServer {
    /// Without the credential: logs are no place for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// What the holder of socket and transports has to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open a WebSocket; replaces an open one.
    OpenSocket {
        /// `/rtc?...`, to be appended to the server's address.
        path_and_query: String,
        /// For `Authorization: Bearer`.
        token: String,
    },
    /// Close the WebSocket after what was sent; no `socket_closed` is needed.
    CloseSocket,
    /// Send a binary frame.
    SendSignal(Vec<u8>),
    /// Create both peers anew and drop old ones.
    OpenTransports {
        /// STUN and TURN servers.
        ice_servers: Vec<IceServer>,
    },
    /// The transports stay; these servers take the place of those that they know, or bring new credentials.
    RenewIceServers {
        /// STUN and TURN servers, at least one.
        ice_servers: Vec<IceServer>,
    },
    /// Subscriber: take the server's offer; give the answer back with `local_answer(.., id)`.
    AcceptOffer {
        /// The offer.
        sdp: String,
        /// Number of the offer.
        id: u32,
        /// Track sids by mid.
        mid_to_track: BTreeMap<String, String>,
    },
    /// Publisher: take the server's answer.
    AcceptAnswer {
        /// The answer.
        sdp: String,
    },
    /// A candidate of the server, possibly before its description.
    AddCandidate {
        /// Which peer.
        target: Target,
        /// `candidate:...`.
        candidate: String,
    },
    /// The server knows the track: add the sending section with msid `- <cid>`. A `CreateOffer` follows.
    AddTrack {
        /// The track's client id.
        cid: String,
        /// The track's server id.
        sid: String,
    },
    /// Stop the sending section. A `CreateOffer` follows.
    RemoveTrack {
        /// The track's client id.
        cid: String,
    },
    /// Publisher: make an offer (with the data channels) and give it back with `local_offer`. One at a time.
    CreateOffer {
        /// With new ICE credentials.
        ice_restart: bool,
    },
    /// Send on the publisher's `_reliable` or `_lossy` channel.
    SendData {
        /// An encoded data packet.
        payload: Vec<u8>,
        /// Which channel.
        reliable: bool,
    },
    /// Tell the host.
    Event(Event),
}

/// What the host is told; named after TRTC.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// In the room and able to receive.
    Joined {
        /// Own id, as the server knows it.
        user: UserId,
        /// Room name.
        room: String,
        /// Since `connect`.
        elapsed: Duration,
        /// What is allowed.
        privileges: Privileges,
    },
    /// Not in the room; the session is over.
    JoinFailed(Error),
    /// No longer in the room; the session is over.
    Left {
        /// 0 own wish, 1 kicked, 2 room dismissed, 3 server abnormal.
        reason: i32,
    },
    /// Somebody is in the room.
    UserEntered {
        /// Who.
        user: UserId,
    },
    /// Somebody left.
    UserLeft {
        /// Who.
        user: UserId,
        /// Why.
        reason: LeaveReason,
    },
    /// A track can be subscribed to, or already is.
    TrackAvailable(RemoteTrack),
    /// Mute state, size, codec or subscription of a track changed.
    TrackUpdated(RemoteTrack),
    /// A track is gone.
    TrackUnavailable {
        /// Whose.
        user: UserId,
        /// Its server id.
        sid: String,
        /// Its source.
        source: TrackSource,
        /// Audio or video.
        kind: MediaKind,
    },
    /// The server accepted a local track; comes again, with another sid, after a full reconnect.
    LocalTrackPublished {
        /// Client id.
        cid: String,
        /// Server id.
        sid: String,
    },
    /// A local track was refused or removed by the server.
    LocalTrackFailed {
        /// Client id.
        cid: String,
        /// Why.
        error: Error,
    },
    /// The server muted or unmuted a local track.
    LocalTrackMuted {
        /// Client id.
        cid: String,
        /// Muted from now on.
        muted: bool,
    },
    /// Somebody watches (`true`) or nobody does: each layer of a local video track, the smallest first.
    LocalLayersWanted {
        /// Client id.
        cid: String,
        /// As many as the track has layers.
        wanted: Vec<bool>,
    },
    /// How the server rates somebody's connection.
    ConnectionQuality {
        /// Whose; never our own.
        user: UserId,
        /// How.
        quality: NetworkQuality,
    },
    /// The server changed what is allowed.
    PrivilegesChanged(Privileges),
    /// A user packet that is no command.
    Data {
        /// `None` for the server itself.
        from: Option<UserId>,
        /// Topic.
        topic: String,
        /// Content.
        payload: Vec<u8>,
        /// Came on the reliable channel.
        reliable: bool,
    },
    /// A custom command message.
    Command {
        /// Who sent it.
        from: UserId,
        /// 1..=10.
        cmd_id: i32,
        /// The sender's number.
        seq: u32,
        /// Content.
        data: Vec<u8>,
    },
    /// Reliable commands that never came.
    CommandsMissed {
        /// Who sent them.
        from: UserId,
        /// 1..=10.
        cmd_id: i32,
        /// How many.
        missed: u32,
    },
    /// The connection broke.
    ConnectionLost,
    /// Trying to get it back.
    TryToReconnect,
    /// It is back.
    ConnectionRecovered,
}
