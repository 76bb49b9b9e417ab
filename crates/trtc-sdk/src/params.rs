//! Parameters, with their documented defaults and limits.
use std::path::PathBuf;
use std::time::Duration;
use trtc_media::convert::PixelFormat;
use trtc_types::{Error, Result, Role, RoomId, StreamType, UserId, VideoFrame};

/// How a [`crate::Cloud`] is made.
#[derive(Clone, Debug, Default)]
pub struct CloudOptions {
    /// `true`: events are delivered only inside [`crate::Cloud::dispatch`]; no `trtc-events` thread.
    pub pull_events: bool,
    /// `true`: nothing is played to a speaker; remote sound is mixed for taps and meters only.
    pub no_speaker: bool,
}

/// How to enter a room.
#[derive(Clone, Debug)]
pub struct EnterParams {
    /// Base address: `https`/`wss`, or `http`/`ws` on loopback. Required.
    pub server_url: String,
    /// A LiveKit token; it names the room and the user. Wins over `user_sig`.
    pub access_token: String,
    /// A UserSig of `user_id`, at most 4,096 bytes: needs `sdk_app_id`, `user_id` and `room`, and a server that takes tickets.
    pub user_sig: String,
    /// Only for tickets.
    pub sdk_app_id: u32,
    /// Only for tickets; with a token it may stay empty.
    pub user_id: String,
    /// Only for tickets; with a token it may stay `None`.
    pub room: Option<RoomId>,
    /// Role in live scenes. Default anchor.
    pub role: Role,
    /// A PrivateMapKey of `user_id` for `room`, for applications with advanced permission control. Default empty.
    pub private_map_key: String,
    /// Allows `http`/`ws` beyond loopback. Default `false`.
    pub allow_plain: bool,
}

impl EnterParams {
    /// Enters with a LiveKit token.
    #[must_use]
    pub fn with_token(server_url: &str, access_token: &str) -> Self {
        Self {
            server_url: server_url.to_owned(),
            access_token: access_token.to_owned(),
            user_sig: String::new(),
            sdk_app_id: 0,
            user_id: String::new(),
            room: None,
            role: Role::Anchor,
            private_map_key: String::new(),
            allow_plain: false,
        }
    }
}

/// Size, rate and bitrate of a local video stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoEncoderParam {
    /// 16..=3840, floored to a multiple of 8.
    pub width: u32,
    /// 16..=2160, floored to a multiple of 2.
    pub height: u32,
    /// 1..=60.
    pub fps: u32,
    /// 10..=50000.
    pub bitrate_kbps: u32,
    /// 0 = automatic, at most `bitrate_kbps`.
    pub min_bitrate_kbps: u32,
}

impl Default for VideoEncoderParam {
    fn default() -> Self {
        Self { width: 640, height: 360, fps: 15, bitrate_kbps: 550, min_bitrate_kbps: 0 }
    }
}

impl VideoEncoderParam {
    /// Checks the ranges and floors the size.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` naming the field and its range.
    pub fn checked(self) -> Result<Self> {
        within("width", self.width, 16, 3840)?;
        within("height", self.height, 16, 2160)?;
        within("fps", self.fps, 1, 60)?;
        within("bitrate_kbps", self.bitrate_kbps, 10, 50_000)?;
        within("min_bitrate_kbps", self.min_bitrate_kbps, 0, self.bitrate_kbps)?;
        Ok(Self { width: self.width / 8 * 8, height: self.height / 2 * 2, ..self })
    }
}

pub(crate) fn within(field: &str, value: u32, low: u32, high: u32) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("{field} must be {low}..={high}, got {value}")))
}

/// A raw picture from the host. Planes are borrowed; the cloud copies them.
#[derive(Clone, Debug)]
pub struct VideoInput<'a> {
    /// Pixel format; decides how many planes there are (I420 3, NV12 2, others 1).
    pub format: PixelFormat,
    /// Width in pixels, 16..=3840, even.
    pub width: u32,
    /// Height in pixels, 16..=2160, even.
    pub height: u32,
    /// Bytes and row length in bytes of each plane.
    pub planes: &'a [(&'a [u8], usize)],
    /// Capture time on [`crate::media_now`]'s clock; `None` is now.
    pub time: Option<Duration>,
}

/// PCM from the host: signed 16 bit, interleaved.
#[derive(Clone, Copy, Debug)]
pub struct AudioInput<'a> {
    /// 16000, 24000, 32000, 44100 or 48000.
    pub sample_rate_hz: u32,
    /// 1 or 2.
    pub channels: u16,
    /// 5 to 100 ms; 20 ms advised.
    pub samples: &'a [i16],
}

/// A file that plays as a local stream.
#[derive(Clone, Debug)]
pub struct FileSource {
    /// `.h264` (Annex B), `.y4m` (4:2:0, 8 bit), `.yuv` (raw I420, needs the size) or `.wav`.
    pub path: PathBuf,
    /// Starts again at the end. Default `true`.
    pub repeat: bool,
    /// Frames per second; 0 takes the file's (`.y4m`) or 30. At most 60.
    pub fps: u32,
    /// Width of raw I420.
    pub width: u32,
    /// Height of raw I420.
    pub height: u32,
}

impl FileSource {
    /// Plays `path` for ever with its own rate.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), repeat: true, fps: 0, width: 0, height: 0 }
    }
}

/// The built-in pattern: a moving picture with a burned-in time code (Unix time in ms modulo 2^32) and a tone with chirps.
#[derive(Clone, Copy, Debug)]
pub struct PatternSource {
    /// Sends the picture with the stream's encoder parameters.
    pub video: bool,
    /// Sends the tone.
    pub audio: bool,
    /// Tone in Hz, 50..=4000.
    pub tone_hz: u32,
}

impl Default for PatternSource {
    fn default() -> Self {
        Self { video: true, audio: true, tone_hz: 440 }
    }
}

/// A picture for a render callback.
#[derive(Clone, Debug)]
pub struct RenderFrame {
    /// Whose picture; `None` is the local user.
    pub user: Option<UserId>,
    /// Which stream.
    pub stream: StreamType,
    /// The picture, shared: cloning is cheap.
    pub frame: VideoFrame,
}

/// 10 ms of one remote user's sound, before the mix: 48 kHz, two channels interleaved.
#[derive(Clone, Copy, Debug)]
pub struct PlayedAudio<'a> {
    /// Who is heard.
    pub user: &'a UserId,
    /// 960 samples (480 for each channel).
    pub samples: &'a [i16],
    /// Part of it was made up: for loss or lateness, or in a pause of the sender, which is known only when the next packet comes.
    pub concealed: bool,
}
