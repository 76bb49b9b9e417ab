//! What a membership measured.
use std::time::Duration;
use trtc_types::{MediaKind, TrackSource, UserId};

/// Counters since joining.
#[derive(Clone, Debug, Default)]
pub struct MemberStats {
    /// Round trip to the server: by Sender Reports, else by connectivity checks.
    pub rtt: Option<Duration>,
    /// Uplink loss in percent, the worst of our tracks, from the latest receiver reports.
    pub up_loss_percent: f32,
    /// Downlink loss in percent before repair, over all remote tracks since the previous reports.
    pub down_loss_percent: f32,
    /// Bytes sent as media, headers included.
    pub sent_bytes: u64,
    /// Bytes received as media, headers included.
    pub received_bytes: u64,
    /// Data messages that could not be sent.
    pub data_dropped: u64,
    /// Datagrams that the network of this machine did not take: a full socket, or a full or missing TCP connection.
    pub datagrams_dropped: u64,
    /// Tracks of ours.
    pub local: Vec<LocalTrackStats>,
    /// Tracks of others.
    pub remote: Vec<RemoteTrackStats>,
}

/// A track of ours; one with layers comes once for each layer.
#[derive(Clone, Debug, Default)]
pub struct LocalTrackStats {
    /// The client's id of the track.
    pub cid: String,
    /// The server's id of the track, empty before it was published.
    pub sid: String,
    /// Name of the layer in SDP, empty where there is only one.
    pub rid: String,
    /// Packets sent, without repetitions.
    pub packets: u64,
    /// Bytes sent, without repetitions.
    pub bytes: u64,
    /// Frames sent.
    pub frames: u64,
    /// Frames given up: not connected, waiting for a key frame, or too much at once.
    pub frames_dropped: u64,
    /// Packets repeated.
    pub retransmitted: u64,
    /// Key frames that the other side asked for.
    pub key_frames_asked: u64,
    /// Packets lost on the way, as the server counts.
    pub lost: i64,
    /// Loss in percent, by the latest report.
    pub loss_percent: f32,
}

/// A track of somebody else.
#[derive(Clone, Debug)]
pub struct RemoteTrackStats {
    /// Whose.
    pub user: UserId,
    /// The server's id of the track.
    pub sid: String,
    /// Which.
    pub source: TrackSource,
    /// Audio or video.
    pub kind: MediaKind,
    /// SDP name of the codec of the latest packet, lower case.
    pub codec: String,
    /// Packets received, without repetitions.
    pub packets: u64,
    /// Packets lost before repair.
    pub lost: i64,
    /// Interarrival jitter in ms.
    pub jitter_ms: f32,
    /// Bytes received, headers included.
    pub bytes: u64,
    /// Whole frames handed on: access units for video, packets for audio.
    pub frames: u64,
    /// Retransmissions received.
    pub repaired: u64,
    /// Packets asked for again.
    pub nacked: u64,
    /// Key frames asked for.
    pub key_frames_asked: u64,
}
