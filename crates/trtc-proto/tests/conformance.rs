//! Byte-for-byte conformance with the published `livekit-protocol` 0.8.2: every field of every message is filled, decoded
//! and encoded by both, and must come out the same.
#![allow(clippy::unwrap_used, missing_docs)]

use livekit_protocol as theirs;
use std::collections::BTreeMap;
use std::fmt::Debug;
use trtc_proto::{Message, livekit as ours};

/// The fields of upstream's `.proto` files: tag and type (`s`tring, `b`ytes, `B`ool, `u`int32, `i`nt32, `I`nt64,
/// `U`int64, `f`loat, `d`ouble, `e`num, `E` packed enums, `M`ap of strings, `m:` message; `*` repeated; `(|)` oneof).
const SCHEMA: &str = "
SignalRequest: (1m:SessionDescription|2m:SessionDescription|3m:TrickleRequest|4m:AddTrackRequest|5m:MuteTrackRequest|6m:UpdateSubscription|7m:UpdateTrackSettings|8m:LeaveRequest|10m:UpdateVideoLayers|11m:SubscriptionPermission|12m:SyncState|13m:SimulateScenario|14I|15m:UpdateParticipantMetadata|16m:Ping|17m:UpdateLocalAudioTrack|18m:UpdateLocalVideoTrack)
SignalResponse: (1m:JoinResponse|2m:SessionDescription|3m:SessionDescription|4m:TrickleRequest|5m:ParticipantUpdate|6m:TrackPublishedResponse|8m:LeaveRequest|9m:MuteTrackRequest|10m:SpeakersChanged|11m:RoomUpdate|12m:ConnectionQualityUpdate|13m:StreamStateUpdate|14m:SubscribedQualityUpdate|15m:SubscriptionPermissionUpdate|16s|17m:TrackUnpublishedResponse|18I|19m:ReconnectResponse|20m:Pong|21m:SubscriptionResponse|22m:RequestResponse|23m:TrackSubscribed|24m:RoomMovedResponse|26m:SubscribedAudioCodecUpdate)
SessionDescription: 1s 2s 3u 4M
TrickleRequest: 1s 2e 3B
AddTrackRequest: 1s 2s 3e 4u 5u 6B 7B 8e 9*m:VideoLayer 10*m:SimulcastCodec 11s 12B 13B 14e 15s 16e 17E 18E
SimulcastCodec: 1s 2s 4*m:VideoLayer 5e
TrackPublishedResponse: 1s 2m:TrackInfo
TrackUnpublishedResponse: 1s
MuteTrackRequest: 1s 2B
JoinResponse: 1m:Room 2m:ParticipantInfo 3*m:ParticipantInfo 4s 5*m:IceServer 6B 7s 8m:ClientConfiguration 9s 10i 11i 12m:ServerInfo 13b 14*m:Codec 15B
ReconnectResponse: 1*m:IceServer 2m:ClientConfiguration 3m:ServerInfo 4u
LeaveRequest: 1B 2e 3e 4m:RegionSettings
RegionSettings: 1*m:RegionInfo
RegionInfo: 1s 2s 3I
IceServer: 1*s 2s 3s
ParticipantUpdate: 1*m:ParticipantInfo
RoomUpdate: 1m:Room
RoomMovedResponse: 1m:Room 2s 3m:ParticipantInfo 4*m:ParticipantInfo
UpdateSubscription: 1*s 2B 3*m:ParticipantTracks
UpdateTrackSettings: 1*s 3B 4e 5u 6u 7u 8u
UpdateLocalAudioTrack: 1s 2E
UpdateLocalVideoTrack: 1s 2u 3u
UpdateVideoLayers: 1s 2*m:VideoLayer
UpdateParticipantMetadata: 1s 2s 3M 4u
SubscriptionPermission: 1B 2*m:TrackPermission
TrackPermission: 1s 2B 3*s 4s
SubscriptionPermissionUpdate: 1s 2s 3B
SubscriptionResponse: 1s 2e
TrackSubscribed: 1s
SpeakersChanged: 1*m:SpeakerInfo
ConnectionQualityUpdate: 1*m:ConnectionQualityInfo
ConnectionQualityInfo: 1s 2e 3f
StreamStateInfo: 1s 2s 3e
StreamStateUpdate: 1*m:StreamStateInfo
SubscribedQuality: 1e 2B
SubscribedCodec: 1s 2*m:SubscribedQuality
SubscribedQualityUpdate: 1s 2*m:SubscribedQuality 3*m:SubscribedCodec
SubscribedAudioCodecUpdate: 1s 2*m:SubscribedAudioCodec
SubscribedAudioCodec: 1s 2B
SyncState: 1m:SessionDescription 2m:UpdateSubscription 3*m:TrackPublishedResponse 4*m:DataChannelInfo 5m:SessionDescription 6*s 7*m:DataChannelReceiveState
DataChannelReceiveState: 1s 2u
DataChannelInfo: 1s 2u 3e
SimulateScenario: (1i|2B|3B|4B|5e|6I|7B|8B|9B)
Ping: 1I 2I
Pong: 1I 2I
RequestResponse: 1u 2e 3s (4m:TrickleRequest|5m:AddTrackRequest|6m:MuteTrackRequest|7m:UpdateParticipantMetadata|8m:UpdateLocalAudioTrack|9m:UpdateLocalVideoTrack)
Room: 1s 2s 3u 14u 4u 5I 15I 6s 7*m:Codec 8s 9u 11u 10B 13m:TimedVersion
Codec: 1s 2s
TimedVersion: 1I 2i
ParticipantInfo: 1s 2s 3e 4*m:TrackInfo 5s 6I 17I 9s 10u 11m:ParticipantPermission 12s 13B 14e 15M 16e 18E 20i 21E
ParticipantPermission: 1B 2B 3B 9E 7B 8B 10B 11B 12B 13B
ParticipantTracks: 1s 2*s
TrackInfo: 1s 2e 3s 4B 5u 6u 7B 8B 9e 10*m:VideoLayer 11s 12s 13*m:SimulcastCodecInfo 14B 15B 16e 17s 18m:TimedVersion 19E 20e 21E
SimulcastCodecInfo: 1s 2s 3s 4*m:VideoLayer 5e 6s
VideoLayer: 1e 2u 3u 4u 5u 6i 7s 8u
SpeakerInfo: 1s 2f 3B
ServerInfo: 1e 2s 3i 4s 5s 6s 7i
ClientInfo: 1e 2s 3i 4s 5s 6s 7s 8s 9s 10s 11s 12i 13E
ClientConfiguration: 1m:VideoConfiguration 2m:VideoConfiguration 3e 4m:DisabledCodecs 5e
VideoConfiguration: 1e
DisabledCodecs: 1*m:Codec 2*m:Codec
DataPacket: 1e 4s 5*s (2m:UserPacket|3m:ActiveSpeakerUpdate|6m:SipDTMF|7m:Transcription|9m:ChatMessage|10m:RpcRequest|11m:RpcAck|12m:RpcResponse|13m:DataStream.Header|14m:DataStream.Chunk|15m:DataStream.Trailer|18m:EncryptedPacket) 16u 17s
UserPacket: 1s 5s 2b 3*s 6*s 4s 8s 9U 10U 11b
ChatMessage: 1s 2I 3I 4s 5B 6B
ActiveSpeakerUpdate: 1*m:SpeakerInfo
SipDTMF: 3u 4s
Transcription: 2s 3s 4*m:TranscriptionSegment
RpcRequest: 1s 2s 3s 4u 5u 6b
RpcAck: 1s
RpcResponse: 1s (2s|3m:RpcError|4b)
DataStream.Header: 1s 2I 3s 4s 5U 7e 8M (9m:DataStream.TextHeader|10m:DataStream.ByteHeader) 11b 12e
DataStream.Chunk: 1s 2U 3b 4i 5b
DataStream.Trailer: 1s 2s 3M
EncryptedPacket: 1e 2b 3u 4b
TranscriptionSegment: 1s 2s 3U 4U 5B 6s
RpcError: 1u 2s 3s
DataStream.TextHeader: 1e 2i 3s 4*s 5B
DataStream.ByteHeader: 1s
";

#[test]
fn every_message_is_byte_for_byte_upstreams() {
    macro_rules! check_all {
        ($($name:ident),* $(,)?) => { $(check::<ours::$name, theirs::$name>(stringify!($name));)* };
    }
    check_all!(
        SignalRequest,
        SignalResponse,
        SessionDescription,
        TrickleRequest,
        AddTrackRequest,
        SimulcastCodec,
        TrackPublishedResponse,
        TrackUnpublishedResponse,
        MuteTrackRequest,
        JoinResponse,
        ReconnectResponse,
        LeaveRequest,
        RegionSettings,
        RegionInfo,
        IceServer,
        ParticipantUpdate,
        RoomUpdate,
        RoomMovedResponse,
        UpdateSubscription,
        UpdateTrackSettings,
        UpdateLocalAudioTrack,
        UpdateLocalVideoTrack,
        UpdateVideoLayers,
        UpdateParticipantMetadata,
        SubscriptionPermission,
        TrackPermission,
        SubscriptionPermissionUpdate,
        SubscriptionResponse,
        TrackSubscribed,
        SpeakersChanged,
        ConnectionQualityUpdate,
        ConnectionQualityInfo,
        StreamStateInfo,
        StreamStateUpdate,
        SubscribedQuality,
        SubscribedCodec,
        SubscribedQualityUpdate,
        SubscribedAudioCodecUpdate,
        SubscribedAudioCodec,
        SyncState,
        DataChannelReceiveState,
        DataChannelInfo,
        SimulateScenario,
        Ping,
        Pong,
        RequestResponse,
        Room,
        Codec,
        TimedVersion,
        ParticipantInfo,
        ParticipantPermission,
        ParticipantTracks,
        TrackInfo,
        SimulcastCodecInfo,
        VideoLayer,
        SpeakerInfo,
        ServerInfo,
        ClientInfo,
        ClientConfiguration,
        VideoConfiguration,
        DisabledCodecs,
        DataPacket,
        UserPacket,
        ChatMessage
    );
}

#[test]
fn equal_maps_give_equal_bytes() {
    let build = |keys: &[&str]| {
        let attributes = keys.iter().map(|k| (k.to_string(), k.to_string())).collect();
        ours::ParticipantInfo { attributes, ..Default::default() }.encode_to_vec()
    };
    assert_eq!(build(&["a", "b", "c", "d"]), build(&["d", "c", "b", "a"]));
}

fn check<O: Message + Default + PartialEq + Debug, T: Message + Default>(name: &str) {
    let schema = schema();
    let fillings = fillings(&schema, name);
    assert!(!fillings.is_empty(), "{name} is not in the schema");
    for wire in fillings {
        let first = O::decode(&wire[..]).unwrap();
        let bytes = first.encode_to_vec();
        assert_eq!(bytes.len(), wire.len(), "{name}: a field is missing or has another type: {first:?}");
        let upstream = T::decode(&bytes[..]).unwrap().encode_to_vec();
        assert_eq!(upstream, bytes, "{name}");
        assert_eq!(O::decode(&upstream[..]).unwrap(), first, "{name}");
        assert_eq!(T::decode(&wire[..]).unwrap().encode_to_vec(), bytes, "{name}");
    }
}

type Schema<'a> = BTreeMap<&'a str, &'a str>;

fn schema() -> Schema<'static> {
    SCHEMA.lines().filter_map(|line| line.split_once(": ").or(line.strip_suffix(':').map(|n| (n, "")))).collect()
}

/// One encoding of the message with all fields; with a `oneof`, one for each of its values.
fn fillings(schema: &Schema<'_>, name: &str) -> Vec<Vec<u8>> {
    let Some(fields) = schema.get(name) else { return Vec::new() };
    let mut all = vec![Vec::new()];
    for field in fields.split_whitespace() {
        let values: Vec<_> = field.trim_matches(['(', ')']).split('|').map(|one| encode(schema, one)).collect();
        all = all.iter().flat_map(|head| values.iter().map(|v| [head.clone(), v.clone()].concat())).collect();
    }
    all
}

fn encode(schema: &Schema<'_>, field: &str) -> Vec<u8> {
    let split = field.find(|c: char| !c.is_ascii_digit()).unwrap();
    let tag: u64 = field[..split].parse().unwrap();
    let (kind, times) = field[split..].strip_prefix('*').map_or((&field[split..], 1), |kind| (kind, 2));
    let text = format!("value of {tag}");
    let one = match kind {
        "s" | "b" => delimited(tag, text.as_bytes()),
        "B" | "e" => [varint(tag << 3), varint(1)].concat(),
        "u" => [varint(tag << 3), varint(u64::from(u32::MAX))].concat(),
        "i" => [varint(tag << 3), varint(i64::from(i32::MIN).cast_unsigned())].concat(),
        "I" | "U" => [varint(tag << 3), varint(u64::MAX - tag)].concat(),
        "f" => [varint(tag << 3 | 5), 1.5f32.to_le_bytes().to_vec()].concat(),
        "d" => [varint(tag << 3 | 1), 2.5f64.to_le_bytes().to_vec()].concat(),
        "E" => delimited(tag, &[1, 0, 2]),
        "M" => delimited(tag, &[delimited(1, b"key"), delimited(2, text.as_bytes())].concat()),
        message => {
            let inner = fillings(schema, message.strip_prefix("m:").unwrap());
            delimited(tag, inner.first().unwrap())
        }
    };
    one.repeat(times)
}

fn delimited(tag: u64, content: &[u8]) -> Vec<u8> {
    [varint(tag << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
