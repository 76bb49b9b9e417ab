//! openh264 and Opus behind the codec traits.
//!
//! The only crate of the media path with `unsafe`: the raw openh264 interface. Everything here is one object used by one
//! thread at a time; nothing starts threads of its own.

mod annexb;
pub mod conformance;
mod h264_decoder;
mod h264_encoder;
mod opus_decoder;
mod opus_encoder;

pub use h264_decoder::H264Decoder;
pub use h264_encoder::H264Encoder;
pub use opus_decoder::OpusDecoder;
pub use opus_encoder::OpusEncoder;

/// Samples per channel of one 20 ms frame at 48 kHz: what the Opus encoder takes.
pub const OPUS_FRAME_SAMPLES: usize = 960;
