//! What travels on the data channels `_reliable` and `_lossy`: one `DataPacket` per message.
#![allow(missing_docs, reason = "a field's meaning is its upstream name; what needs explaining is said at the message")]

/// A message from one participant to others. Values that only clients interpret are kept as undecoded bytes, so that a relay forwards them unchanged.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct DataPacket {
    #[prost(enumeration = "data_packet::Kind", tag = "1")]
    pub kind: i32,
    #[prost(string, tag = "4")]
    pub participant_identity: String,
    #[prost(string, repeated, tag = "5")]
    pub destination_identities: Vec<String>,
    #[prost(oneof = "data_packet::Value", tags = "2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18")]
    pub value: Option<data_packet::Value>,
    #[prost(uint32, tag = "16")]
    pub sequence: u32,
    #[prost(string, tag = "17")]
    pub participant_sid: String,
}

/// Inside [`DataPacket`].
pub mod data_packet {
    /// The content.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Value {
        #[prost(message, tag = "2")]
        User(super::UserPacket),
        #[prost(bytes = "bytes", tag = "3")]
        Speaker(bytes::Bytes),
        #[prost(bytes = "bytes", tag = "6")]
        SipDtmf(bytes::Bytes),
        #[prost(bytes = "bytes", tag = "7")]
        Transcription(bytes::Bytes),
        #[prost(bytes = "bytes", tag = "8")]
        Metrics(bytes::Bytes),
        #[prost(message, tag = "9")]
        ChatMessage(super::ChatMessage),
        #[prost(bytes = "bytes", tag = "10")]
        RpcRequest(bytes::Bytes),
        #[prost(bytes = "bytes", tag = "11")]
        RpcAck(bytes::Bytes),
        #[prost(bytes = "bytes", tag = "12")]
        RpcResponse(bytes::Bytes),
        #[prost(bytes = "bytes", tag = "13")]
        StreamHeader(bytes::Bytes),
        #[prost(bytes = "bytes", tag = "14")]
        StreamChunk(bytes::Bytes),
        #[prost(bytes = "bytes", tag = "15")]
        StreamTrailer(bytes::Bytes),
        #[prost(bytes = "bytes", tag = "18")]
        EncryptedPacket(bytes::Bytes),
    }
    /// Channel of a packet.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Kind {
        Reliable = 0,
        Lossy = 1,
    }
}

/// Content made by an application.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct UserPacket {
    #[prost(string, tag = "1")]
    pub participant_sid: String,
    #[prost(string, tag = "5")]
    pub participant_identity: String,
    #[prost(bytes = "vec", tag = "2")]
    pub payload: Vec<u8>,
    #[prost(string, repeated, tag = "3")]
    pub destination_sids: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub destination_identities: Vec<String>,
    #[prost(string, optional, tag = "4")]
    pub topic: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub id: Option<String>,
    #[prost(uint64, optional, tag = "9")]
    pub start_time: Option<u64>,
    #[prost(uint64, optional, tag = "10")]
    pub end_time: Option<u64>,
    #[prost(bytes = "vec", tag = "11")]
    pub nonce: Vec<u8>,
}

/// A chat message.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ChatMessage {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
    #[prost(int64, optional, tag = "3")]
    pub edit_timestamp: Option<i64>,
    #[prost(string, tag = "4")]
    pub message: String,
    #[prost(bool, tag = "5")]
    pub deleted: bool,
    #[prost(bool, tag = "6")]
    pub generated: bool,
}
