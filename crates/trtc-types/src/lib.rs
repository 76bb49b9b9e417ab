//! Vocabulary of the project: ids that cannot be malformed, TRTC enums with the vendor's numbers, result codes,
//! frames, statistics, and the traits that adapters implement. No behaviour beyond validation lives here.
#![forbid(unsafe_code)]

pub mod code;
pub mod codec;
pub mod device;
pub mod enums;
pub mod frame;
pub mod ids;
pub mod stats;
pub mod way;

pub use code::{Code, Error, Result};
pub use codec::{
    AudioDecoder, AudioEncoder, CodecKind, EncodedVideo, EncoderTarget, MediaKind, VideoDecoder, VideoEncoder,
};
pub use device::{
    AudioDevices, AudioStream, Camera, CameraFormat, CameraPixel, Cameras, CaptureSink, DeviceInfo, PlayoutSource,
    StereoFrame, StreamLost,
};
pub use enums::{
    AppScene, AudioQuality, DeviceKind, DeviceState, LeaveReason, NetworkQuality, Quality, Role, StreamType,
    TrackSource,
};
pub use frame::{AudioFrame, I420, VideoFrame};
pub use ids::{RoomId, UserId};
pub use way::Way;
