//! Constants and parameter structs.
use super::sized::{self, SizedStruct};
use super::trtc_bool;
use std::ffi::{c_char, c_void};
use std::mem::size_of;
use std::ptr::null;

macro_rules! sized_struct {
    ($type:ident, $defaults:expr) => {
        // SAFETY: repr(C), begins with struct_size, holds only integers, raw pointers and optional function pointers.
        unsafe impl SizedStruct for $type {
            const NAME: &'static str = stringify!($type);
            const FIRST: usize = size_of::<Self>();
            fn defaults() -> Self {
                $defaults
            }
        }
    };
}
pub(super) use sized_struct;

/// Role: may send and receive.
pub const TRTC_ROLE_ANCHOR: i32 = 20;
/// Role: may only receive (live scenes).
pub const TRTC_ROLE_AUDIENCE: i32 = 21;
/// Scene: video call. Roles are ignored.
pub const TRTC_APP_SCENE_VIDEO_CALL: i32 = 0;
/// Scene: interactive live streaming.
pub const TRTC_APP_SCENE_LIVE: i32 = 1;
/// Scene: audio call. Roles are ignored.
pub const TRTC_APP_SCENE_AUDIO_CALL: i32 = 2;
/// Scene: voice chat room.
pub const TRTC_APP_SCENE_VOICE_CHAT_ROOM: i32 = 3;
/// Stream: main, high quality.
pub const TRTC_VIDEO_STREAM_TYPE_BIG: i32 = 0;
/// Stream: main, low quality; see `trtc_cloud_enable_small_video_stream()`.
pub const TRTC_VIDEO_STREAM_TYPE_SMALL: i32 = 1;
/// Stream: sub (screen share).
pub const TRTC_VIDEO_STREAM_TYPE_SUB: i32 = 2;
/// Network: nothing is known yet.
pub const TRTC_QUALITY_UNKNOWN: i32 = 0;
/// Network: nothing is noticed.
pub const TRTC_QUALITY_EXCELLENT: i32 = 1;
/// Network: users are satisfied.
pub const TRTC_QUALITY_GOOD: i32 = 2;
/// Network: some users are dissatisfied.
pub const TRTC_QUALITY_POOR: i32 = 3;
/// Network: many users are dissatisfied.
pub const TRTC_QUALITY_BAD: i32 = 4;
/// Network: nearly all users are dissatisfied.
pub const TRTC_QUALITY_VBAD: i32 = 5;
/// Network: no connection.
pub const TRTC_QUALITY_DOWN: i32 = 6;
/// Audio: 18 kbit/s mono.
pub const TRTC_AUDIO_QUALITY_SPEECH: i32 = 1;
/// Audio: 50 kbit/s mono. The default.
pub const TRTC_AUDIO_QUALITY_DEFAULT: i32 = 2;
/// Audio: 128 kbit/s stereo.
pub const TRTC_AUDIO_QUALITY_MUSIC: i32 = 3;
/// Pixels: planes Y, U, V.
pub const TRTC_VIDEO_PIXEL_FORMAT_I420: i32 = 1;
/// Pixels: one plane of B, G, R, A bytes.
pub const TRTC_VIDEO_PIXEL_FORMAT_BGRA32: i32 = 3;
/// Pixels: one plane of R, G, B, A bytes.
pub const TRTC_VIDEO_PIXEL_FORMAT_RGBA32: i32 = 5;
/// Pixels: planes Y and interleaved UV. Our own number: the vendor's differ between platforms.
pub const TRTC_VIDEO_PIXEL_FORMAT_NV12: i32 = 100;
/// Resolution mode: as the number says.
pub const TRTC_VIDEO_RESOLUTION_MODE_LANDSCAPE: i32 = 0;
/// Resolution mode: width and height exchanged.
pub const TRTC_VIDEO_RESOLUTION_MODE_PORTRAIT: i32 = 1;
/// 320x180.
pub const TRTC_VIDEO_RESOLUTION_320_180: i32 = 104;
/// 640x360. The default.
pub const TRTC_VIDEO_RESOLUTION_640_360: i32 = 108;
/// 960x540.
pub const TRTC_VIDEO_RESOLUTION_960_540: i32 = 110;
/// 1280x720.
pub const TRTC_VIDEO_RESOLUTION_1280_720: i32 = 112;
/// 1920x1080.
pub const TRTC_VIDEO_RESOLUTION_1920_1080: i32 = 114;

/// How a cloud is made.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_cloud_options {
    /// `sizeof(trtc_cloud_options)`.
    pub struct_size: u32,
    /// Nonzero: callbacks run only inside `trtc_cloud_dispatch()`. Default 0: on a thread of the cloud.
    pub pull_events: trtc_bool,
}
sized_struct!(trtc_cloud_options, Self { struct_size: size_of::<Self>() as u32, pull_events: 0 });

/// How to enter a room.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_enter_params {
    /// `sizeof(trtc_enter_params)`.
    pub struct_size: u32,
    /// TRTC application id 1..4294967295. Required with `user_sig`, ignored with a token. Default 0.
    pub sdk_app_id: u32,
    /// Server, required: `https://` or `wss://`; `http://` or `ws://` only on this machine, unless `allow_plain`. Default
    /// NULL.
    pub server_url: *const c_char,
    /// LiveKit token: names room and user, so that nothing else is needed, and wins over `user_sig`. Default NULL.
    pub access_token: *const c_char,
    /// User id, 1 to 256 bytes. Required with `user_sig`; with a token NULL or the token's. Default NULL.
    pub user_id: *const c_char,
    /// TRTC ticket (UserSig) of `user_id`, at most 4096 bytes; the server must know tickets. Needed without a token. Default
    /// NULL.
    pub user_sig: *const c_char,
    /// Text room, 1 to 64 bytes. With a token NULL or the token's. Default NULL.
    pub str_room_id: *const c_char,
    /// Numeric room 1..4294967294, wins over `str_room_id`. With a token 0 or the token's (`n/123`). Default 0.
    pub room_id: u32,
    /// `TRTC_ROLE_*`, for live scenes; ignored in calls. Default anchor.
    pub role: i32,
    /// Nonzero allows `http://` and `ws://` to other machines. Default 0.
    pub allow_plain: trtc_bool,
    /// PrivateMapKey of `user_id` for the room, at most 4096 bytes; for applications with advanced permission control.
    /// Ignored with a token. Default NULL.
    pub private_map_key: *const c_char,
}
sized_struct!(
    trtc_enter_params,
    Self {
        struct_size: size_of::<Self>() as u32,
        sdk_app_id: 0,
        server_url: null(),
        access_token: null(),
        user_id: null(),
        user_sig: null(),
        str_room_id: null(),
        room_id: 0,
        role: TRTC_ROLE_ANCHOR,
        allow_plain: 0,
        private_map_key: null(),
    }
);

/// Size, rate and bitrate of a local stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_video_enc_param {
    /// `sizeof(trtc_video_enc_param)`.
    pub struct_size: u32,
    /// `TRTC_VIDEO_RESOLUTION_*` or any other of the vendor's numbers. Ignored when `width` or `height` is set. Default
    /// 640x360.
    pub video_resolution: i32,
    /// `TRTC_VIDEO_RESOLUTION_MODE_*`, for `width` and `height` too. Default landscape.
    pub res_mode: i32,
    /// Frames per second, 1..60. Default 15.
    pub video_fps: u32,
    /// Highest bitrate in kbit/s, 10..50000. Default 550.
    pub video_bitrate_kbps: u32,
    /// Lowest bitrate in kbit/s, however bad the network, at most `video_bitrate_kbps`; 0 = a third of it. Default 0.
    pub min_video_bitrate_kbps: u32,
    /// Width in pixels 16..3840, floored to a multiple of 8; 0, with `height` 0, = by `video_resolution`. Default 0.
    pub width: u32,
    /// Height in pixels 16..2160, floored to a multiple of 2; 0, with `width` 0, = by `video_resolution`. Default 0.
    pub height: u32,
}
sized_struct!(
    trtc_video_enc_param,
    Self {
        struct_size: size_of::<Self>() as u32,
        video_resolution: TRTC_VIDEO_RESOLUTION_640_360,
        res_mode: TRTC_VIDEO_RESOLUTION_MODE_LANDSCAPE,
        video_fps: 15,
        video_bitrate_kbps: 550,
        min_video_bitrate_kbps: 0,
        width: 0,
        height: 0,
    }
);

/// A picture, from the host or to it. Planes are borrowed: the host's until the call returns, the library's until the
/// callback returns or the picture is released.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_video_frame {
    /// `sizeof(trtc_video_frame)`.
    pub struct_size: u32,
    /// `TRTC_VIDEO_PIXEL_FORMAT_*`. Default I420.
    pub pixel_format: i32,
    /// Width in pixels; from the host even, 16..3840. Default 0.
    pub width: u32,
    /// Height in pixels; from the host even, 16..2160. Default 0.
    pub height: u32,
    /// The planes: I420 has three, NV12 two, the others one. Unused ones are NULL. Default NULL.
    pub planes: [*const u8; 3],
    /// Bytes from one row of a plane to the next: at least a row, at most 1,048,576; from the host 0 means without gaps.
    /// Default 0.
    pub strides_bytes: [u32; 3],
    /// Degrees clockwise: 0. Others are not supported yet. Default 0.
    pub rotation: i32,
    /// Capture (from the host) or presentation time on the clock of `trtc_generate_custom_pts()`; 0 = now. Default 0.
    pub timestamp_ms: u64,
}
sized_struct!(
    trtc_video_frame,
    Self {
        struct_size: size_of::<Self>() as u32,
        pixel_format: TRTC_VIDEO_PIXEL_FORMAT_I420,
        width: 0,
        height: 0,
        planes: [null(); 3],
        strides_bytes: [0; 3],
        rotation: 0,
        timestamp_ms: 0,
    }
);

/// Sound: signed 16 bit in the machine's byte order, channels interleaved.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_audio_frame {
    /// `sizeof(trtc_audio_frame)`.
    pub struct_size: u32,
    /// 16000, 24000, 32000, 44100 or 48000. Default 48000.
    pub sample_rate_hz: u32,
    /// 1 or 2. Default 1.
    pub channels: u32,
    /// Samples of one channel. To be sent: 5 to 100 ms. To be pulled: 10 or 20 ms. Default 0.
    pub samples_per_channel: u32,
    /// The samples, `channels * samples_per_channel` of them, aligned to 2 bytes, the host's. Written to when sound is
    /// pulled, never when it is sent. Default NULL.
    pub samples: *mut i16,
    /// Out: time on the clock of `trtc_generate_custom_pts()`. In: ignored for now; sound is stamped when it is sent.
    /// Default 0.
    pub timestamp_ms: u64,
}
sized_struct!(
    trtc_audio_frame,
    Self {
        struct_size: size_of::<Self>() as u32,
        sample_rate_hz: 48_000,
        channels: 1,
        samples_per_channel: 0,
        samples: std::ptr::null_mut(),
        timestamp_ms: 0,
    }
);

/// A file that plays as a local stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_file_source {
    /// `sizeof(trtc_file_source)`.
    pub struct_size: u32,
    /// Frames per second, 1..60; 0 = the file's, or 30 when it does not tell. Ignored for `.wav`. Default 0.
    pub fps: u32,
    /// Path, required: `.h264` (Annex B, at most 512 MB), `.y4m` (4:2:0, 8 bit), `.yuv` (raw I420) or `.wav` (1 or 2
    /// channels, at most an hour at 48 kHz). Default NULL.
    pub path: *const c_char,
    /// Width of raw I420 in pixels, 16..3840; ignored for others. Default 0.
    pub width: u32,
    /// Height of raw I420 in pixels, 16..2160; ignored for others. Default 0.
    pub height: u32,
    /// Nonzero begins again at the end, zero plays it once. Default 1.
    pub repeat: trtc_bool,
}
sized_struct!(
    trtc_file_source,
    Self { struct_size: size_of::<Self>() as u32, fps: 0, path: null(), width: 0, height: 0, repeat: 1 }
);

/// The built-in pattern.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_pattern_source {
    /// `sizeof(trtc_pattern_source)`.
    pub struct_size: u32,
    /// Nonzero sends the picture. Default 1.
    pub video: trtc_bool,
    /// Nonzero sends the tone. Default 1.
    pub audio: trtc_bool,
    /// Tone in Hz, 50..4000. Default 440.
    pub tone_hz: u32,
}
sized_struct!(trtc_pattern_source, Self { struct_size: size_of::<Self>() as u32, video: 1, audio: 1, tone_hz: 440 });

/// Called exactly once when the library no longer needs what `context` stands for; `context` is only handed back. Any
/// thread. Functions of the library may be called inside. NULL calls nothing.
pub type trtc_release_fn = Option<unsafe extern "C" fn(context: *mut c_void)>;

/// Sets the defaults of `trtc_cloud_options`, and `struct_size` to `size`, the host's `sizeof(trtc_cloud_options)`.
/// NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_options_init(params: *mut trtc_cloud_options, size: u32) {
    // SAFETY: the host promises `size` writable bytes.
    unsafe { sized::init(params, size) }
}

/// Sets the defaults of `trtc_enter_params`, and `struct_size` to `size`, the host's `sizeof(trtc_enter_params)`.
/// NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_enter_params_init(params: *mut trtc_enter_params, size: u32) {
    // SAFETY: the host promises `size` writable bytes.
    unsafe { sized::init(params, size) }
}

/// Sets the defaults of `trtc_video_enc_param`, and `struct_size` to `size`, the host's `sizeof(trtc_video_enc_param)`.
/// NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_video_enc_param_init(params: *mut trtc_video_enc_param, size: u32) {
    // SAFETY: the host promises `size` writable bytes.
    unsafe { sized::init(params, size) }
}

/// Sets the defaults of `trtc_video_frame`, and `struct_size` to `size`, the host's `sizeof(trtc_video_frame)`.
/// NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_video_frame_init(params: *mut trtc_video_frame, size: u32) {
    // SAFETY: the host promises `size` writable bytes.
    unsafe { sized::init(params, size) }
}

/// Sets the defaults of `trtc_audio_frame`, and `struct_size` to `size`, the host's `sizeof(trtc_audio_frame)`.
/// NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_audio_frame_init(params: *mut trtc_audio_frame, size: u32) {
    // SAFETY: the host promises `size` writable bytes.
    unsafe { sized::init(params, size) }
}

/// Sets the defaults of `trtc_file_source`, and `struct_size` to `size`, the host's `sizeof(trtc_file_source)`.
/// NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_file_source_init(params: *mut trtc_file_source, size: u32) {
    // SAFETY: the host promises `size` writable bytes.
    unsafe { sized::init(params, size) }
}

/// Sets the defaults of `trtc_pattern_source`, and `struct_size` to `size`, the host's `sizeof(trtc_pattern_source)`.
/// NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_pattern_source_init(params: *mut trtc_pattern_source, size: u32) {
    // SAFETY: the host promises `size` writable bytes.
    unsafe { sized::init(params, size) }
}
