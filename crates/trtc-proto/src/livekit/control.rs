//! Requests and notifications about running media: subscriptions, settings, quality, speakers, liveness.
#![allow(missing_docs, reason = "a field's meaning is its upstream name; what needs explaining is said at the message")]

use super::models::*;
use super::signal::*;
use std::collections::BTreeMap;

/// Subscribes to or unsubscribes from tracks.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct UpdateSubscription {
    #[prost(string, repeated, tag = "1")]
    pub track_sids: Vec<String>,
    #[prost(bool, tag = "2")]
    pub subscribe: bool,
    #[prost(message, repeated, tag = "3")]
    pub participant_tracks: Vec<ParticipantTracks>,
}

/// How a subscribed track is going to be used.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct UpdateTrackSettings {
    #[prost(string, repeated, tag = "1")]
    pub track_sids: Vec<String>,
    #[prost(bool, tag = "3")]
    pub disabled: bool,
    #[prost(enumeration = "VideoQuality", tag = "4")]
    pub quality: i32,
    #[prost(uint32, tag = "5")]
    pub width: u32,
    #[prost(uint32, tag = "6")]
    pub height: u32,
    #[prost(uint32, tag = "7")]
    pub fps: u32,
    #[prost(uint32, tag = "8")]
    pub priority: u32,
}

/// New features of a published audio track.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct UpdateLocalAudioTrack {
    #[prost(string, tag = "1")]
    pub track_sid: String,
    #[prost(enumeration = "AudioTrackFeature", repeated, tag = "2")]
    pub features: Vec<i32>,
}

/// New size of a published video track.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct UpdateLocalVideoTrack {
    #[prost(string, tag = "1")]
    pub track_sid: String,
    #[prost(uint32, tag = "2")]
    pub width: u32,
    #[prost(uint32, tag = "3")]
    pub height: u32,
}

/// New layers of a published video track (old clients).
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct UpdateVideoLayers {
    #[prost(string, tag = "1")]
    pub track_sid: String,
    #[prost(message, repeated, tag = "2")]
    pub layers: Vec<VideoLayer>,
}

/// Changes name, metadata or attributes of the sender.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct UpdateParticipantMetadata {
    #[prost(string, tag = "1")]
    pub metadata: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub attributes: BTreeMap<String, String>,
    #[prost(uint32, tag = "4")]
    pub request_id: u32,
}

/// Who may subscribe to the tracks of the sender.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SubscriptionPermission {
    #[prost(bool, tag = "1")]
    pub all_participants: bool,
    #[prost(message, repeated, tag = "2")]
    pub track_permissions: Vec<TrackPermission>,
}

/// Tracks that one participant may subscribe to.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct TrackPermission {
    #[prost(string, tag = "1")]
    pub participant_sid: String,
    #[prost(bool, tag = "2")]
    pub all_tracks: bool,
    #[prost(string, repeated, tag = "3")]
    pub track_sids: Vec<String>,
    #[prost(string, tag = "4")]
    pub participant_identity: String,
}

/// Whether the receiver may subscribe to a track.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SubscriptionPermissionUpdate {
    #[prost(string, tag = "1")]
    pub participant_sid: String,
    #[prost(string, tag = "2")]
    pub track_sid: String,
    #[prost(bool, tag = "3")]
    pub allowed: bool,
}

/// A subscription failed.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SubscriptionResponse {
    #[prost(string, tag = "1")]
    pub track_sid: String,
    #[prost(enumeration = "SubscriptionError", tag = "2")]
    pub err: i32,
}

/// A local track has its first subscriber.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct TrackSubscribed {
    #[prost(string, tag = "1")]
    pub track_sid: String,
}

/// Speakers whose state changed.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SpeakersChanged {
    #[prost(message, repeated, tag = "1")]
    pub speakers: Vec<SpeakerInfo>,
}

/// Connection quality of participants.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ConnectionQualityUpdate {
    #[prost(message, repeated, tag = "1")]
    pub updates: Vec<ConnectionQualityInfo>,
}

/// Connection quality of one participant.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ConnectionQualityInfo {
    #[prost(string, tag = "1")]
    pub participant_sid: String,
    #[prost(enumeration = "ConnectionQuality", tag = "2")]
    pub quality: i32,
    #[prost(float, tag = "3")]
    pub score: f32,
}

/// Whether the server forwards a video track or paused it for lack of bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum StreamState {
    Active = 0,
    Paused = 1,
}

/// State of one forwarded track.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct StreamStateInfo {
    #[prost(string, tag = "1")]
    pub participant_sid: String,
    #[prost(string, tag = "2")]
    pub track_sid: String,
    #[prost(enumeration = "StreamState", tag = "3")]
    pub state: i32,
}

/// Forwarded tracks whose state changed.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct StreamStateUpdate {
    #[prost(message, repeated, tag = "1")]
    pub stream_states: Vec<StreamStateInfo>,
}

/// Whether anybody wants a quality.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct SubscribedQuality {
    #[prost(enumeration = "VideoQuality", tag = "1")]
    pub quality: i32,
    #[prost(bool, tag = "2")]
    pub enabled: bool,
}

/// Wanted qualities of one codec.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SubscribedCodec {
    #[prost(string, tag = "1")]
    pub codec: String,
    #[prost(message, repeated, tag = "2")]
    pub qualities: Vec<SubscribedQuality>,
}

/// Which layers of a published track anybody wants.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SubscribedQualityUpdate {
    #[prost(string, tag = "1")]
    pub track_sid: String,
    #[prost(message, repeated, tag = "2")]
    pub subscribed_qualities: Vec<SubscribedQuality>,
    #[prost(message, repeated, tag = "3")]
    pub subscribed_codecs: Vec<SubscribedCodec>,
}

/// Which audio codecs of a published track anybody wants.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SubscribedAudioCodecUpdate {
    #[prost(string, tag = "1")]
    pub track_sid: String,
    #[prost(message, repeated, tag = "2")]
    pub subscribed_audio_codecs: Vec<SubscribedAudioCodec>,
}

/// Whether anybody wants an audio codec.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SubscribedAudioCodec {
    #[prost(string, tag = "1")]
    pub codec: String,
    #[prost(bool, tag = "2")]
    pub enabled: bool,
}

/// What the client knew before a resume, for a server that has to catch up.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SyncState {
    #[prost(message, optional, tag = "1")]
    pub answer: Option<SessionDescription>,
    #[prost(message, optional, tag = "2")]
    pub subscription: Option<UpdateSubscription>,
    #[prost(message, repeated, tag = "3")]
    pub publish_tracks: Vec<TrackPublishedResponse>,
    #[prost(message, repeated, tag = "4")]
    pub data_channels: Vec<DataChannelInfo>,
    #[prost(message, optional, tag = "5")]
    pub offer: Option<SessionDescription>,
    #[prost(string, repeated, tag = "6")]
    pub track_sids_disabled: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub datachannel_receive_states: Vec<DataChannelReceiveState>,
}

/// Last reliable sequence number seen of a sender.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct DataChannelReceiveState {
    #[prost(string, tag = "1")]
    pub publisher_sid: String,
    #[prost(uint32, tag = "2")]
    pub last_seq: u32,
}

/// An open data channel.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct DataChannelInfo {
    #[prost(string, tag = "1")]
    pub label: String,
    #[prost(uint32, tag = "2")]
    pub id: u32,
    #[prost(enumeration = "SignalTarget", tag = "3")]
    pub target: i32,
}

/// Transport of an ICE candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum CandidateProtocol {
    Udp = 0,
    Tcp = 1,
    Tls = 2,
}

/// Asks the server to simulate a failure.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SimulateScenario {
    #[prost(oneof = "simulate_scenario::Scenario", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub scenario: Option<simulate_scenario::Scenario>,
}

/// Inside [`SimulateScenario`].
pub mod simulate_scenario {
    /// The failure.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Scenario {
        #[prost(int32, tag = "1")]
        SpeakerUpdate(i32),
        #[prost(bool, tag = "2")]
        NodeFailure(bool),
        #[prost(bool, tag = "3")]
        Migration(bool),
        #[prost(bool, tag = "4")]
        ServerLeave(bool),
        #[prost(enumeration = "super::CandidateProtocol", tag = "5")]
        SwitchCandidateProtocol(i32),
        #[prost(int64, tag = "6")]
        SubscriberBandwidth(i64),
        #[prost(bool, tag = "7")]
        DisconnectSignalOnResume(bool),
        #[prost(bool, tag = "8")]
        DisconnectSignalOnResumeNoMessages(bool),
        #[prost(bool, tag = "9")]
        LeaveRequestFullReconnect(bool),
    }
}

/// Liveness probe; milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Ping {
    #[prost(int64, tag = "1")]
    pub timestamp: i64,
    #[prost(int64, tag = "2")]
    pub rtt: i64,
}

/// Answer to a `Ping`; milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Pong {
    #[prost(int64, tag = "1")]
    pub last_ping_timestamp: i64,
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// Result of a request that failed or was queued; carries the request.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct RequestResponse {
    #[prost(uint32, tag = "1")]
    pub request_id: u32,
    #[prost(enumeration = "request_response::Reason", tag = "2")]
    pub reason: i32,
    #[prost(string, tag = "3")]
    pub message: String,
    #[prost(oneof = "request_response::Request", tags = "4, 5, 6, 7, 8, 9")]
    pub request: Option<request_response::Request>,
}

/// Inside [`RequestResponse`].
pub mod request_response {
    /// The request this answers.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Request {
        #[prost(message, tag = "4")]
        Trickle(super::TrickleRequest),
        #[prost(message, tag = "5")]
        AddTrack(super::AddTrackRequest),
        #[prost(message, tag = "6")]
        Mute(super::MuteTrackRequest),
        #[prost(message, tag = "7")]
        UpdateMetadata(super::UpdateParticipantMetadata),
        #[prost(message, tag = "8")]
        UpdateAudioTrack(super::UpdateLocalAudioTrack),
        #[prost(message, tag = "9")]
        UpdateVideoTrack(super::UpdateLocalVideoTrack),
    }
    /// The result.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Reason {
        Ok = 0,
        NotFound = 1,
        NotAllowed = 2,
        LimitExceeded = 3,
        Queued = 4,
        UnsupportedType = 5,
        UnclassifiedError = 6,
        InvalidHandle = 7,
        InvalidName = 8,
        DuplicateHandle = 9,
        DuplicateName = 10,
        InvalidRequest = 11,
    }
}
