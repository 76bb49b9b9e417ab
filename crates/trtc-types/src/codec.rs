//! The codec traits and encoded media. An adapter (`trtc-codec`, or a host's own encoder) implements them.
use crate::{Result, VideoFrame};
use bytes::Bytes;
use std::time::Duration;

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// A codec by its SDP name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CodecKind {
    /// `H264`.
    H264,
    /// `opus`.
    Opus,
    /// Any other; forwarded untouched, not decoded here. The SDP name in lower case.
    Other(String),
}

impl CodecKind {
    /// From an SDP encoding name, any case.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "h264" => Self::H264,
            "opus" => Self::Opus,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The SDP name in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::H264 => "h264",
            Self::Opus => "opus",
            Self::Other(name) => name,
        }
    }
}

/// What a video encoder should aim at; newest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderTarget {
    /// Picture width in pixels, even, 16..=3840.
    pub width: usize,
    /// Picture height in pixels, even, 16..=2160.
    pub height: usize,
    /// Bits per second.
    pub bitrate_bps: u32,
    /// Frames per second, 1..=60.
    pub fps: u32,
}

/// One encoded access unit.
#[derive(Clone, Debug)]
pub struct EncodedVideo {
    /// H.264: Annex B, with SPS and PPS before each IDR picture.
    pub data: Bytes,
    /// Decodable without any earlier frame.
    pub key: bool,
    /// Capture time since the instance's epoch.
    pub time: Duration,
}

/// A video encoder. Called on one thread at a time.
pub trait VideoEncoder: Send {
    /// Changes the target while running; a size change forces a key frame.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` or `VIDEO_ENCODE_FAIL`.
    fn set_target(&mut self, target: EncoderTarget) -> Result<()>;

    /// Encodes a picture of the target's size. `None` when the rate control skipped it.
    ///
    /// # Errors
    /// `VIDEO_ENCODE_FAIL`, or `INVALID_PARAMETER` for a picture of another size.
    fn encode(&mut self, frame: &VideoFrame, force_key: bool) -> Result<Option<EncodedVideo>>;
}

/// A video decoder. Called on one thread at a time.
pub trait VideoDecoder: Send {
    /// Decodes one access unit (Annex B). `None` when it gave no picture (yet).
    ///
    /// # Errors
    /// Any error means that a key frame is needed.
    fn decode(&mut self, frame: &EncodedVideo) -> Result<Option<VideoFrame>>;
}

/// An Opus encoder: 48 kHz, 20 ms frames.
pub trait AudioEncoder: Send {
    /// Changes the bitrate, bits per second.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` outside 6000..=510000.
    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<()>;

    /// Tells the expected packet loss in percent (0..=100), which steers in-band FEC.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` outside the range.
    fn set_expected_loss(&mut self, percent: u8) -> Result<()>;

    /// Encodes 960 interleaved samples per channel into `out` (cleared first). An empty `out` means DTX: send nothing.
    ///
    /// # Errors
    /// `AUDIO_ENCODE_FAIL`, or `INVALID_PARAMETER` for another length.
    fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) -> Result<()>;
}

/// An Opus decoder: 48 kHz out.
pub trait AudioDecoder: Send {
    /// Channels of the output, 1 or 2.
    fn channels(&self) -> u16;

    /// Decodes a packet and appends interleaved samples to `out`; returns samples per channel.
    ///
    /// # Errors
    /// `FAILED` for a corrupt packet.
    fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) -> Result<usize>;

    /// Recovers the frame *before* `packet` from its in-band FEC (or conceals when there is none): `samples` per channel.
    ///
    /// # Errors
    /// `FAILED` for a corrupt packet.
    fn decode_fec(&mut self, packet: &[u8], samples: usize, out: &mut Vec<i16>) -> Result<usize>;

    /// Conceals `samples` per channel of missing sound.
    ///
    /// # Errors
    /// `FAILED` when the decoder refuses.
    fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) -> Result<usize>;
}
