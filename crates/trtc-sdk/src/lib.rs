//! TRTCCloud in Rust: a room membership with codecs, capture and playout pipelines and an event dispatcher.
//!
//! A [`Cloud`] is one membership. Calls return at once: `Ok` means accepted, outcomes arrive as [`Event`]s, in order, on
//! the `trtc-events` thread or, in pull mode, inside [`Cloud::dispatch`]. No lock is held while host code runs.
//!
//! | thread | count | runs host code |
//! | --- | --- | --- |
//! | `trtc-net` | one per process | never |
//! | `trtc-events` | one per cloud, none in pull mode | event handler |
//! | `trtc-audio` | one per process | audio taps |
//! | `trtc-mic`, `trtc-speaker` | one per process each, while used | never |
//! | `trtc-cameras` | one per process, once a cloud asked for cameras | never |
//! | `trtc-venc` | one per local video stream | local render callback |
//! | `trtc-vdec` | one per watched remote stream | never |
//! | `trtc-render` | one per remote stream with a callback | remote render callback |
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cloud;
mod devices;
mod dispatcher;
mod events;
mod gate;
mod hub;
mod local;
mod params;
mod receive;
mod remote;
mod room;
mod send;
mod shared;
mod stats;
mod switches;
mod threads;

pub use cloud::Cloud;
pub use devices::{set_audio_devices, set_cameras};
pub use dispatcher::EVENT_QUEUE_CAP;
pub use events::Event;
pub use params::{
    AudioInput, CloudOptions, EnterParams, FileSource, PatternSource, PlayedAudio, RenderFrame, VideoEncoderParam,
    VideoInput,
};
pub use receive::audio::RemoteAudioInfo;
pub use receive::cell::RenderCallback;
pub use shared::{AudioTap, media_now};
pub use trtc_media::convert::{PixelFormat, pack};
pub use trtc_types as types;
