//! Rooms, participants, tracks and servers as both sides describe them.
#![allow(missing_docs, reason = "a field's meaning is its upstream name; what needs explaining is said at the message")]

use std::collections::BTreeMap;

/// A room.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Room {
    #[prost(string, tag = "1")]
    pub sid: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(uint32, tag = "3")]
    pub empty_timeout: u32,
    #[prost(uint32, tag = "14")]
    pub departure_timeout: u32,
    #[prost(uint32, tag = "4")]
    pub max_participants: u32,
    #[prost(int64, tag = "5")]
    pub creation_time: i64,
    #[prost(int64, tag = "15")]
    pub creation_time_ms: i64,
    #[prost(string, tag = "6")]
    pub turn_password: String,
    #[prost(message, repeated, tag = "7")]
    pub enabled_codecs: Vec<Codec>,
    #[prost(string, tag = "8")]
    pub metadata: String,
    #[prost(uint32, tag = "9")]
    pub num_participants: u32,
    #[prost(uint32, tag = "11")]
    pub num_publishers: u32,
    #[prost(bool, tag = "10")]
    pub active_recording: bool,
    #[prost(message, optional, tag = "13")]
    pub version: Option<TimedVersion>,
}

/// A codec by MIME type.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Codec {
    #[prost(string, tag = "1")]
    pub mime: String,
    #[prost(string, tag = "2")]
    pub fmtp_line: String,
}

/// A version that grows with time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct TimedVersion {
    #[prost(int64, tag = "1")]
    pub unix_micro: i64,
    #[prost(int32, tag = "2")]
    pub ticks: i32,
}

/// A participant with its tracks. `version` orders updates of one sid.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ParticipantInfo {
    #[prost(string, tag = "1")]
    pub sid: String,
    #[prost(string, tag = "2")]
    pub identity: String,
    #[prost(enumeration = "participant_info::State", tag = "3")]
    pub state: i32,
    #[prost(message, repeated, tag = "4")]
    pub tracks: Vec<TrackInfo>,
    #[prost(string, tag = "5")]
    pub metadata: String,
    #[prost(int64, tag = "6")]
    pub joined_at: i64,
    #[prost(int64, tag = "17")]
    pub joined_at_ms: i64,
    #[prost(string, tag = "9")]
    pub name: String,
    #[prost(uint32, tag = "10")]
    pub version: u32,
    #[prost(message, optional, tag = "11")]
    pub permission: Option<ParticipantPermission>,
    #[prost(string, tag = "12")]
    pub region: String,
    #[prost(bool, tag = "13")]
    pub is_publisher: bool,
    #[prost(enumeration = "participant_info::Kind", tag = "14")]
    pub kind: i32,
    #[prost(btree_map = "string, string", tag = "15")]
    pub attributes: BTreeMap<String, String>,
    #[prost(enumeration = "DisconnectReason", tag = "16")]
    pub disconnect_reason: i32,
    #[prost(enumeration = "participant_info::KindDetail", repeated, tag = "18")]
    pub kind_details: Vec<i32>,
    #[prost(int32, tag = "20")]
    pub client_protocol: i32,
    #[prost(enumeration = "client_info::Capability", repeated, tag = "21")]
    pub capabilities: Vec<i32>,
}

/// Inside [`ParticipantInfo`].
pub mod participant_info {
    /// Life cycle of a participant.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum State {
        Joining = 0,
        Joined = 1,
        Active = 2,
        Disconnected = 3,
    }
    /// What kind of program joined.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Kind {
        Standard = 0,
        Ingress = 1,
        Egress = 2,
        Sip = 3,
        Agent = 4,
        Connector = 7,
        Bridge = 8,
    }
    /// More about the kind.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum KindDetail {
        CloudAgent = 0,
        Forwarded = 1,
        ConnectorWhatsapp = 2,
        ConnectorTwilio = 3,
        BridgeRtsp = 4,
        Simulation = 5,
    }
}

/// What a participant may do.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ParticipantPermission {
    #[prost(bool, tag = "1")]
    pub can_subscribe: bool,
    #[prost(bool, tag = "2")]
    pub can_publish: bool,
    #[prost(bool, tag = "3")]
    pub can_publish_data: bool,
    #[prost(enumeration = "TrackSource", repeated, tag = "9")]
    pub can_publish_sources: Vec<i32>,
    #[prost(bool, tag = "7")]
    pub hidden: bool,
    #[prost(bool, tag = "8")]
    pub recorder: bool,
    #[prost(bool, tag = "10")]
    pub can_update_metadata: bool,
    #[prost(bool, tag = "11")]
    pub agent: bool,
    #[prost(bool, tag = "12")]
    pub can_subscribe_metrics: bool,
    #[prost(bool, tag = "13")]
    pub can_manage_agent_session: bool,
}

/// Tracks of one participant.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ParticipantTracks {
    #[prost(string, tag = "1")]
    pub participant_sid: String,
    #[prost(string, repeated, tag = "2")]
    pub track_sids: Vec<String>,
}

/// A published track.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct TrackInfo {
    #[prost(string, tag = "1")]
    pub sid: String,
    #[prost(enumeration = "TrackType", tag = "2")]
    pub r#type: i32,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(bool, tag = "4")]
    pub muted: bool,
    #[prost(uint32, tag = "5")]
    pub width: u32,
    #[prost(uint32, tag = "6")]
    pub height: u32,
    #[prost(bool, tag = "7")]
    pub simulcast: bool,
    #[prost(bool, tag = "8")]
    pub disable_dtx: bool,
    #[prost(enumeration = "TrackSource", tag = "9")]
    pub source: i32,
    #[prost(message, repeated, tag = "10")]
    pub layers: Vec<VideoLayer>,
    #[prost(string, tag = "11")]
    pub mime_type: String,
    #[prost(string, tag = "12")]
    pub mid: String,
    #[prost(message, repeated, tag = "13")]
    pub codecs: Vec<SimulcastCodecInfo>,
    #[prost(bool, tag = "14")]
    pub stereo: bool,
    #[prost(bool, tag = "15")]
    pub disable_red: bool,
    #[prost(enumeration = "encryption::Type", tag = "16")]
    pub encryption: i32,
    #[prost(string, tag = "17")]
    pub stream: String,
    #[prost(message, optional, tag = "18")]
    pub version: Option<TimedVersion>,
    #[prost(enumeration = "AudioTrackFeature", repeated, tag = "19")]
    pub audio_features: Vec<i32>,
    #[prost(enumeration = "BackupCodecPolicy", tag = "20")]
    pub backup_codec_policy: i32,
    #[prost(enumeration = "PacketTrailerFeature", repeated, tag = "21")]
    pub packet_trailer_features: Vec<i32>,
}

/// A codec a track is published in.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SimulcastCodecInfo {
    #[prost(string, tag = "1")]
    pub mime_type: String,
    #[prost(string, tag = "2")]
    pub mid: String,
    #[prost(string, tag = "3")]
    pub cid: String,
    #[prost(message, repeated, tag = "4")]
    pub layers: Vec<VideoLayer>,
    #[prost(enumeration = "video_layer::Mode", tag = "5")]
    pub video_layer_mode: i32,
    #[prost(string, tag = "6")]
    pub sdp_cid: String,
}

/// One layer of a video track.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct VideoLayer {
    #[prost(enumeration = "VideoQuality", tag = "1")]
    pub quality: i32,
    #[prost(uint32, tag = "2")]
    pub width: u32,
    #[prost(uint32, tag = "3")]
    pub height: u32,
    #[prost(uint32, tag = "4")]
    pub bitrate: u32,
    #[prost(uint32, tag = "5")]
    pub ssrc: u32,
    #[prost(int32, tag = "6")]
    pub spatial_layer: i32,
    #[prost(string, tag = "7")]
    pub rid: String,
    #[prost(uint32, tag = "8")]
    pub repair_ssrc: u32,
}

/// Inside [`VideoLayer`].
pub mod video_layer {
    /// How layers map to RTP streams.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Mode {
        Unused = 0,
        OneSpatialLayerPerStream = 1,
        MultipleSpatialLayersPerStream = 2,
        OneSpatialLayerPerStreamIncompleteRtcpSr = 3,
    }
}

/// End-to-end encryption of a track or packet.
pub mod encryption {
    /// The cipher.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Type {
        None = 0,
        Gcm = 1,
        Custom = 2,
    }
}

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum TrackType {
    Audio = 0,
    Video = 1,
    Data = 2,
}

/// Where a track comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum TrackSource {
    Unknown = 0,
    Camera = 1,
    Microphone = 2,
    ScreenShare = 3,
    ScreenShareAudio = 4,
}

/// A simulcast layer by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum VideoQuality {
    Low = 0,
    Medium = 1,
    High = 2,
    Off = 3,
}

/// Connection quality in four steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum ConnectionQuality {
    Poor = 0,
    Good = 1,
    Excellent = 2,
    Lost = 3,
}

/// What happens when a subscriber cannot decode the primary codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum BackupCodecPolicy {
    PreferRegression = 0,
    Simulcast = 1,
    Regression = 2,
}

/// Feature of an audio track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum AudioTrackFeature {
    TfStereo = 0,
    TfNoDtx = 1,
    TfAutoGainControl = 2,
    TfEchoCancellation = 3,
    TfNoiseSuppression = 4,
    TfEnhancedNoiseCancellation = 5,
    TfPreconnectBuffer = 6,
}

/// Trailer that a publisher appends to frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum PacketTrailerFeature {
    PtfUserTimestamp = 0,
    PtfFrameId = 1,
    PtfUserData = 2,
}

/// Why a subscription failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum SubscriptionError {
    SeUnknown = 0,
    SeCodecUnsupported = 1,
    SeTrackNotfound = 2,
}

/// Why a membership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum DisconnectReason {
    UnknownReason = 0,
    ClientInitiated = 1,
    DuplicateIdentity = 2,
    ServerShutdown = 3,
    ParticipantRemoved = 4,
    RoomDeleted = 5,
    StateMismatch = 6,
    JoinFailure = 7,
    Migration = 8,
    SignalClose = 9,
    RoomClosed = 10,
    UserUnavailable = 11,
    UserRejected = 12,
    SipTrunkFailure = 13,
    ConnectionTimeout = 14,
    MediaFailure = 15,
    AgentError = 16,
}

/// Why a client resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum ReconnectReason {
    RrUnknown = 0,
    RrSignalDisconnected = 1,
    RrPublisherFailed = 2,
    RrSubscriberFailed = 3,
    RrSwitchCandidate = 4,
}

/// Loudness of a participant, 0 to 1.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SpeakerInfo {
    #[prost(string, tag = "1")]
    pub sid: String,
    #[prost(float, tag = "2")]
    pub level: f32,
    #[prost(bool, tag = "3")]
    pub active: bool,
}

/// The server; `version` must not be empty.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ServerInfo {
    #[prost(enumeration = "server_info::Edition", tag = "1")]
    pub edition: i32,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(int32, tag = "3")]
    pub protocol: i32,
    #[prost(string, tag = "4")]
    pub region: String,
    #[prost(string, tag = "5")]
    pub node_id: String,
    #[prost(string, tag = "6")]
    pub debug_info: String,
    #[prost(int32, tag = "7")]
    pub agent_protocol: i32,
}

/// Inside [`ServerInfo`].
pub mod server_info {
    /// Edition of the server.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Edition {
        Standard = 0,
        Cloud = 1,
    }
}

/// The program of a participant.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ClientInfo {
    #[prost(enumeration = "client_info::Sdk", tag = "1")]
    pub sdk: i32,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(int32, tag = "3")]
    pub protocol: i32,
    #[prost(string, tag = "4")]
    pub os: String,
    #[prost(string, tag = "5")]
    pub os_version: String,
    #[prost(string, tag = "6")]
    pub device_model: String,
    #[prost(string, tag = "7")]
    pub browser: String,
    #[prost(string, tag = "8")]
    pub browser_version: String,
    #[prost(string, tag = "9")]
    pub address: String,
    #[prost(string, tag = "10")]
    pub network: String,
    #[prost(string, tag = "11")]
    pub other_sdks: String,
    #[prost(int32, tag = "12")]
    pub client_protocol: i32,
    #[prost(enumeration = "client_info::Capability", repeated, tag = "13")]
    pub capabilities: Vec<i32>,
}

/// Inside [`ClientInfo`].
pub mod client_info {
    /// The library of a client.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Sdk {
        Unknown = 0,
        Js = 1,
        Swift = 2,
        Android = 3,
        Flutter = 4,
        Go = 5,
        Unity = 6,
        ReactNative = 7,
        Rust = 8,
        Python = 9,
        Cpp = 10,
        UnityWeb = 11,
        Node = 12,
        Unreal = 13,
        Esp32 = 14,
        Dotnet = 15,
    }
    /// Optional wire feature of a client.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Capability {
        CapUnused = 0,
        CapPacketTrailer = 1,
        CapCompressionDeflateRaw = 2,
    }
}

/// What the server wants the client to do.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ClientConfiguration {
    #[prost(message, optional, tag = "1")]
    pub video: Option<VideoConfiguration>,
    #[prost(message, optional, tag = "2")]
    pub screen: Option<VideoConfiguration>,
    #[prost(enumeration = "ClientConfigSetting", tag = "3")]
    pub resume_connection: i32,
    #[prost(message, optional, tag = "4")]
    pub disabled_codecs: Option<DisabledCodecs>,
    #[prost(enumeration = "ClientConfigSetting", tag = "5")]
    pub force_relay: i32,
}

/// Three-state switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum ClientConfigSetting {
    Unset = 0,
    Disabled = 1,
    Enabled = 2,
}

/// Video part of a client configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct VideoConfiguration {
    #[prost(enumeration = "ClientConfigSetting", tag = "1")]
    pub hardware_encoder: i32,
}

/// Codecs that do not work in this client.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct DisabledCodecs {
    #[prost(message, repeated, tag = "1")]
    pub codecs: Vec<Codec>,
    #[prost(message, repeated, tag = "2")]
    pub publish: Vec<Codec>,
}
