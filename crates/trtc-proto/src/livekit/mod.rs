//! LiveKit's signalling and data messages, as prost structs with the names and tags of the published `livekit-protocol`
//! 0.8.2 (maps are ordered, so that equal values give equal bytes). Only what two-connection clients and servers exchange
//! is here; unknown fields and unknown `oneof` values are ignored when decoding, as protobuf demands.
mod control;
mod data;
mod models;
#[allow(clippy::large_enum_variant, reason = "upstream's shape; a message lives for one call")]
mod signal;

pub use control::*;
pub use data::*;
pub use models::*;
pub use signal::*;

use prost::Message as _;

impl SignalRequest {
    /// The frame of one request.
    #[must_use]
    pub fn frame(message: signal_request::Message) -> Vec<u8> {
        Self { message: Some(message) }.encode_to_vec()
    }
}

impl SignalResponse {
    /// The frame of one response.
    #[must_use]
    pub fn frame(message: signal_response::Message) -> Vec<u8> {
        Self { message: Some(message) }.encode_to_vec()
    }
}
