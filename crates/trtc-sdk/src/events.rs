//! What a cloud tells its host, with TRTC's names.
use trtc_types::stats::Statistics;
use trtc_types::{Code, DeviceKind, DeviceState, LeaveReason, NetworkQuality, StreamType, UserId};

/// An event of one [`crate::Cloud`]. Events of one cloud never overlap and arrive in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// Something failed for good.
    Error {
        /// What, for programs; negative.
        code: Code,
        /// What, for people.
        message: String,
    },
    /// Something is worse than it should be; the call goes on.
    Warning {
        /// What, for programs; positive.
        code: Code,
        /// What, for people.
        message: String,
    },
    /// Entering ended: above 0 the elapsed milliseconds, below 0 the error code; never 0.
    EnterRoom(i32),
    /// The room was left: 0 own call, 1 kicked, 2 room dismissed, 3 server abnormal.
    ExitRoom(i32),
    /// `switch_role` ended.
    SwitchRole {
        /// `OK`, or why the role is as it was.
        code: Code,
        /// For people; with `OK` what could not be done.
        message: String,
    },
    /// A remote user is in the room.
    RemoteUserEnterRoom(UserId),
    /// A remote user has left the room.
    RemoteUserLeaveRoom(UserId, LeaveReason),
    /// The main video stream of a user can (not) be watched.
    UserVideoAvailable(UserId, bool),
    /// The sub stream of a user can (not) be watched.
    UserSubStreamAvailable(UserId, bool),
    /// A user can (not) be heard; a muted microphone is unavailable.
    UserAudioAvailable(UserId, bool),
    /// The first picture of a stream is ready. `None` is the local user.
    FirstVideoFrame {
        /// Whose stream; `None` is the local user.
        user: Option<UserId>,
        /// Which stream.
        stream: StreamType,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The first sound of a remote user was decoded.
    FirstAudioFrame(UserId),
    /// The first picture of a local stream was sent.
    SendFirstLocalVideoFrame(StreamType),
    /// The first local sound was sent.
    SendFirstLocalAudioFrame,
    /// The size of a remote stream changed.
    UserVideoSizeChanged {
        /// Whose stream.
        user: UserId,
        /// Which stream.
        stream: StreamType,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Measurements, every 2 s while in a room. Replaces an undelivered predecessor.
    Statistics(Box<Statistics>),
    /// How good the networks are, every 2 s while in a room. Replaces an undelivered predecessor.
    NetworkQuality {
        /// Ours, both ways.
        local: NetworkQuality,
        /// Of those who send: their way to the server as it rates it, and ours from there, whichever is worse.
        remote: Vec<(UserId, NetworkQuality)>,
    },
    /// Loudness (0..=100) of everybody who is heard. Replaces an undelivered predecessor.
    UserVoiceVolume {
        /// `None` is the local user.
        users: Vec<(Option<UserId>, u32)>,
        /// Loudness of the mixed playout.
        total: u32,
    },
    /// The camera delivers.
    CameraDidReady,
    /// The microphone delivers.
    MicDidReady,
    /// A device came, went, is used now, or is the system's default now.
    DeviceChange {
        /// As in the device list.
        id: String,
        /// Which kind.
        kind: DeviceKind,
        /// What happened.
        state: DeviceState,
    },
    /// The connection to the server broke.
    ConnectionLost,
    /// The library tries to come back.
    TryToReconnect,
    /// The connection is back; local streams go on.
    ConnectionRecovery,
    /// A command message arrived.
    RecvCustomCmdMsg {
        /// From whom.
        user: UserId,
        /// 1..=10.
        cmd_id: i32,
        /// The sender's running number.
        seq: u32,
        /// At most 1,000 bytes.
        data: Vec<u8>,
    },
    /// Command messages of a user got lost.
    MissCustomCmdMsg {
        /// From whom.
        user: UserId,
        /// 1..=10.
        cmd_id: i32,
        /// Always -1 for now.
        error: i32,
        /// How many.
        missed: i32,
    },
    /// A data packet that is no command message, as LiveKit clients send them on topics other than `trtc.cmd.*`. For Rust hosts
    /// that talk to LiveKit clients; TRTC knows command messages only, so the C header has no callback for it.
    UserData {
        /// From whom; `None` when the server sent it.
        from: Option<UserId>,
        /// The sender's topic.
        topic: String,
        /// The bytes.
        data: Vec<u8>,
        /// Whether it came on the reliable channel.
        reliable: bool,
    },
}

impl Event {
    /// Slot of a periodic event, which replaces its predecessor.
    pub(crate) fn periodic_slot(&self) -> Option<usize> {
        match self {
            Self::Statistics(_) => Some(0),
            Self::UserVoiceVolume { .. } => Some(1),
            Self::NetworkQuality { .. } => Some(2),
            _ => None,
        }
    }
}
