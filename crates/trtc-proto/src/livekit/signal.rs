//! What travels on the `/rtc` WebSocket: one `SignalRequest` (client) or `SignalResponse` (server) per binary frame.
#![allow(missing_docs, reason = "a field's meaning is its upstream name; what needs explaining is said at the message")]

use super::control::*;
use super::models::*;
use std::collections::BTreeMap;

/// Client to server.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SignalRequest {
    #[prost(oneof = "signal_request::Message", tags = "1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18")]
    pub message: Option<signal_request::Message>,
}

/// Inside [`SignalRequest`].
pub mod signal_request {
    /// The request.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Message {
        #[prost(message, tag = "1")]
        Offer(super::SessionDescription),
        #[prost(message, tag = "2")]
        Answer(super::SessionDescription),
        #[prost(message, tag = "3")]
        Trickle(super::TrickleRequest),
        #[prost(message, tag = "4")]
        AddTrack(super::AddTrackRequest),
        #[prost(message, tag = "5")]
        Mute(super::MuteTrackRequest),
        #[prost(message, tag = "6")]
        Subscription(super::UpdateSubscription),
        #[prost(message, tag = "7")]
        TrackSetting(super::UpdateTrackSettings),
        #[prost(message, tag = "8")]
        Leave(super::LeaveRequest),
        #[prost(message, tag = "10")]
        UpdateLayers(super::UpdateVideoLayers),
        #[prost(message, tag = "11")]
        SubscriptionPermission(super::SubscriptionPermission),
        #[prost(message, tag = "12")]
        SyncState(super::SyncState),
        #[prost(message, tag = "13")]
        Simulate(super::SimulateScenario),
        #[prost(int64, tag = "14")]
        Ping(i64),
        #[prost(message, tag = "15")]
        UpdateMetadata(super::UpdateParticipantMetadata),
        #[prost(message, tag = "16")]
        PingReq(super::Ping),
        #[prost(message, tag = "17")]
        UpdateAudioTrack(super::UpdateLocalAudioTrack),
        #[prost(message, tag = "18")]
        UpdateVideoTrack(super::UpdateLocalVideoTrack),
    }
}

/// Server to client.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SignalResponse {
    #[prost(
        oneof = "signal_response::Message",
        tags = "1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26"
    )]
    pub message: Option<signal_response::Message>,
}

/// Inside [`SignalResponse`].
pub mod signal_response {
    /// The response or notification.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Message {
        #[prost(message, tag = "1")]
        Join(super::JoinResponse),
        #[prost(message, tag = "2")]
        Answer(super::SessionDescription),
        #[prost(message, tag = "3")]
        Offer(super::SessionDescription),
        #[prost(message, tag = "4")]
        Trickle(super::TrickleRequest),
        #[prost(message, tag = "5")]
        Update(super::ParticipantUpdate),
        #[prost(message, tag = "6")]
        TrackPublished(super::TrackPublishedResponse),
        #[prost(message, tag = "8")]
        Leave(super::LeaveRequest),
        #[prost(message, tag = "9")]
        Mute(super::MuteTrackRequest),
        #[prost(message, tag = "10")]
        SpeakersChanged(super::SpeakersChanged),
        #[prost(message, tag = "11")]
        RoomUpdate(super::RoomUpdate),
        #[prost(message, tag = "12")]
        ConnectionQuality(super::ConnectionQualityUpdate),
        #[prost(message, tag = "13")]
        StreamStateUpdate(super::StreamStateUpdate),
        #[prost(message, tag = "14")]
        SubscribedQualityUpdate(super::SubscribedQualityUpdate),
        #[prost(message, tag = "15")]
        SubscriptionPermissionUpdate(super::SubscriptionPermissionUpdate),
        #[prost(string, tag = "16")]
        RefreshToken(String),
        #[prost(message, tag = "17")]
        TrackUnpublished(super::TrackUnpublishedResponse),
        #[prost(int64, tag = "18")]
        Pong(i64),
        #[prost(message, tag = "19")]
        Reconnect(super::ReconnectResponse),
        #[prost(message, tag = "20")]
        PongResp(super::Pong),
        #[prost(message, tag = "21")]
        SubscriptionResponse(super::SubscriptionResponse),
        #[prost(message, tag = "22")]
        RequestResponse(super::RequestResponse),
        #[prost(message, tag = "23")]
        TrackSubscribed(super::TrackSubscribed),
        #[prost(message, tag = "24")]
        RoomMoved(super::RoomMovedResponse),
        #[prost(message, tag = "26")]
        SubscribedAudioCodecUpdate(super::SubscribedAudioCodecUpdate),
    }
}

/// Which of the two peer connections is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum SignalTarget {
    Publisher = 0,
    Subscriber = 1,
}

/// An SDP with its type (`offer`, `answer`) and the number that ties an answer to its offer.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SessionDescription {
    #[prost(string, tag = "1")]
    pub r#type: String,
    #[prost(string, tag = "2")]
    pub sdp: String,
    #[prost(uint32, tag = "3")]
    pub id: u32,
    #[prost(btree_map = "string, string", tag = "4")]
    pub mid_to_track_id: BTreeMap<String, String>,
}

/// An ICE candidate as the JSON of `RTCIceCandidateInit`; all three of its fields must be present.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct TrickleRequest {
    #[prost(string, tag = "1")]
    pub candidate_init: String,
    #[prost(enumeration = "SignalTarget", tag = "2")]
    pub target: i32,
    #[prost(bool, tag = "3")]
    pub r#final: bool,
}

/// Announces a local track before it is offered; `cid` is the second token of its msid.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct AddTrackRequest {
    #[prost(string, tag = "1")]
    pub cid: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(enumeration = "TrackType", tag = "3")]
    pub r#type: i32,
    #[prost(uint32, tag = "4")]
    pub width: u32,
    #[prost(uint32, tag = "5")]
    pub height: u32,
    #[prost(bool, tag = "6")]
    pub muted: bool,
    #[prost(bool, tag = "7")]
    pub disable_dtx: bool,
    #[prost(enumeration = "TrackSource", tag = "8")]
    pub source: i32,
    #[prost(message, repeated, tag = "9")]
    pub layers: Vec<VideoLayer>,
    #[prost(message, repeated, tag = "10")]
    pub simulcast_codecs: Vec<SimulcastCodec>,
    #[prost(string, tag = "11")]
    pub sid: String,
    #[prost(bool, tag = "12")]
    pub stereo: bool,
    #[prost(bool, tag = "13")]
    pub disable_red: bool,
    #[prost(enumeration = "encryption::Type", tag = "14")]
    pub encryption: i32,
    #[prost(string, tag = "15")]
    pub stream: String,
    #[prost(enumeration = "BackupCodecPolicy", tag = "16")]
    pub backup_codec_policy: i32,
    #[prost(enumeration = "AudioTrackFeature", repeated, tag = "17")]
    pub audio_features: Vec<i32>,
    #[prost(enumeration = "PacketTrailerFeature", repeated, tag = "18")]
    pub packet_trailer_features: Vec<i32>,
}

/// A codec the track is sent in, with its layers.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SimulcastCodec {
    #[prost(string, tag = "1")]
    pub codec: String,
    #[prost(string, tag = "2")]
    pub cid: String,
    #[prost(message, repeated, tag = "4")]
    pub layers: Vec<VideoLayer>,
    #[prost(enumeration = "video_layer::Mode", tag = "5")]
    pub video_layer_mode: i32,
}

/// Answer to `AddTrackRequest`: the client id and the track with its server-given sid.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct TrackPublishedResponse {
    #[prost(string, tag = "1")]
    pub cid: String,
    #[prost(message, optional, tag = "2")]
    pub track: Option<TrackInfo>,
}

/// A local track is gone from the room.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct TrackUnpublishedResponse {
    #[prost(string, tag = "1")]
    pub track_sid: String,
}

/// Mutes or unmutes a track of the receiver of the message, in either direction.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct MuteTrackRequest {
    #[prost(string, tag = "1")]
    pub sid: String,
    #[prost(bool, tag = "2")]
    pub muted: bool,
}

/// First message after a join. `room`, `participant` and a positive `ping_interval` are required by deployed clients.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct JoinResponse {
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    #[prost(message, optional, tag = "2")]
    pub participant: Option<ParticipantInfo>,
    #[prost(message, repeated, tag = "3")]
    pub other_participants: Vec<ParticipantInfo>,
    #[prost(string, tag = "4")]
    pub server_version: String,
    #[prost(message, repeated, tag = "5")]
    pub ice_servers: Vec<IceServer>,
    #[prost(bool, tag = "6")]
    pub subscriber_primary: bool,
    #[prost(string, tag = "7")]
    pub alternative_url: String,
    #[prost(message, optional, tag = "8")]
    pub client_configuration: Option<ClientConfiguration>,
    #[prost(string, tag = "9")]
    pub server_region: String,
    #[prost(int32, tag = "10")]
    pub ping_timeout: i32,
    #[prost(int32, tag = "11")]
    pub ping_interval: i32,
    #[prost(message, optional, tag = "12")]
    pub server_info: Option<ServerInfo>,
    #[prost(bytes = "vec", tag = "13")]
    pub sif_trailer: Vec<u8>,
    #[prost(message, repeated, tag = "14")]
    pub enabled_publish_codecs: Vec<Codec>,
    #[prost(bool, tag = "15")]
    pub fast_publish: bool,
}

/// First message after a successful resume.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ReconnectResponse {
    #[prost(message, repeated, tag = "1")]
    pub ice_servers: Vec<IceServer>,
    #[prost(message, optional, tag = "2")]
    pub client_configuration: Option<ClientConfiguration>,
    #[prost(message, optional, tag = "3")]
    pub server_info: Option<ServerInfo>,
    #[prost(uint32, tag = "4")]
    pub last_message_seq: u32,
}

/// Ends the membership (client) or says how to go on (server).
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct LeaveRequest {
    #[prost(bool, tag = "1")]
    pub can_reconnect: bool,
    #[prost(enumeration = "DisconnectReason", tag = "2")]
    pub reason: i32,
    #[prost(enumeration = "leave_request::Action", tag = "3")]
    pub action: i32,
    #[prost(message, optional, tag = "4")]
    pub regions: Option<RegionSettings>,
}

/// Inside [`LeaveRequest`].
pub mod leave_request {
    /// What the receiver should do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Action {
        Disconnect = 0,
        Resume = 1,
        Reconnect = 2,
    }
}

/// Alternative servers.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct RegionSettings {
    #[prost(message, repeated, tag = "1")]
    pub regions: Vec<RegionInfo>,
}

/// An alternative server.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct RegionInfo {
    #[prost(string, tag = "1")]
    pub region: String,
    #[prost(string, tag = "2")]
    pub url: String,
    #[prost(int64, tag = "3")]
    pub distance: i64,
}

/// A STUN or TURN server.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct IceServer {
    #[prost(string, repeated, tag = "1")]
    pub urls: Vec<String>,
    #[prost(string, tag = "2")]
    pub username: String,
    #[prost(string, tag = "3")]
    pub credential: String,
}

/// Participants that changed, each in full.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ParticipantUpdate {
    #[prost(message, repeated, tag = "1")]
    pub participants: Vec<ParticipantInfo>,
}

/// The room changed.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct RoomUpdate {
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
}

/// The participant was moved to another room.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct RoomMovedResponse {
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    #[prost(string, tag = "2")]
    pub token: String,
    #[prost(message, optional, tag = "3")]
    pub participant: Option<ParticipantInfo>,
    #[prost(message, repeated, tag = "4")]
    pub other_participants: Vec<ParticipantInfo>,
}
