//! Pictures.
use super::check::{one_of, within};
use super::cloud::trtc_cloud;
use super::guard::{call, on_cloud};
use super::handle::{Kind, Table};
use super::out::Out;
use super::params::{
    TRTC_VIDEO_PIXEL_FORMAT_BGRA32, TRTC_VIDEO_PIXEL_FORMAT_I420, TRTC_VIDEO_PIXEL_FORMAT_NV12,
    TRTC_VIDEO_PIXEL_FORMAT_RGBA32, trtc_release_fn, trtc_video_enc_param, trtc_video_frame,
};
use super::sized::{self, SizedStruct};
use super::text::c_string;
use super::{text, trtc_bool, trtc_result};
use std::borrow::Cow;
use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Duration;
use trtc_sdk::{PixelFormat, RenderFrame, VideoEncoderParam, VideoInput};
use trtc_types::{Code, Error, I420, Result, StreamType};

/// Called with each picture of a stream; the frame is borrowed until it returns.
///
/// `user_id` is "" for the local user, `stream_type` is `TRTC_VIDEO_STREAM_TYPE_*`. Runs on a thread of that stream alone:
/// a slow host delays nobody else, late pictures are left out. Functions of the library may be called inside. May still be
/// running for a moment after it was replaced; `user_data`, which is only handed back, must live until `user_data_release`
/// of the cloud's callbacks.
pub type trtc_video_render_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        user_id: *const c_char,
        stream_type: i32,
        frame: *const trtc_video_frame,
    ),
>;

/// An acquired picture, to be given back by `trtc_video_release()`. A token like `trtc_cloud`.
pub struct trtc_video {
    _private: (),
}

static VIDEOS: Table<Pixels> = Table::new(Kind::Video);

/// Sends the camera as the main stream, in place of its source. `view` must be NULL for now: the host draws, by
/// `trtc_cloud_set_local_video_render_callback()` or `trtc_video_acquire()`.
///
/// The camera delivers in the format nearest to `trtc_cloud_set_video_encoder_param()` of before; `on_camera_did_ready`
/// follows. Without a camera `on_warning` tells `TRTC_WARN_CAMERA_DEVICE_EMPTY`, and nothing is sent. One that cannot be
/// opened or is pulled out is told by `TRTC_WARN_CAMERA_NOT_AUTHORIZED`, `TRTC_WARN_CAMERA_IS_OCCUPIED`,
/// `TRTC_WARN_CAMERA_START_FAILED` or `TRTC_WARN_CAMERA_DISCONNECTED` and tried again every second; one without pictures for
/// 5 s by `TRTC_WARN_CAMERA_DEVICE_ERROR`. Which camera: `trtc_device_set_current_device()`. On Linux (V4L2) only. Errors: `TRTC_ERR_NOT_SUPPORTED`
/// (`view`, or a system without cameras), `TRTC_ERR_FAILED` (the system gives no thread). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_start_local_preview(cloud: *mut trtc_cloud, view: *mut c_void) -> trtc_result {
    on_cloud(cloud, |entry| {
        no_view(view)?;
        entry.cloud.start_local_preview()
    })
}

/// Ends the camera; other sources are left alone. Errors: common. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_stop_local_preview(cloud: *mut trtc_cloud) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.stop_local_preview())
}

/// Size, rate and bitrate of a local stream, also while it runs. Pictures of another size are scaled to fit, with black
/// bars. Errors: `TRTC_ERR_INVALID_PARAMETER`, `TRTC_ERR_UNSUPPORTED_RESOLUTION` (unknown number), `TRTC_ERR_NOT_SUPPORTED`
/// (small stream). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_set_video_encoder_param(
    cloud: *mut trtc_cloud,
    stream_type: i32,
    param: *const trtc_video_enc_param,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        let stream: StreamType = one_of("stream_type", stream_type)?;
        // SAFETY: the host promises a sized struct.
        let given = unsafe { sized::read(param, "param") }?;
        entry.cloud.set_video_encoder_param(stream, encoder_param(&given)?)
    })
}

/// Sends the main stream in a second, small layer too (nonzero), or no longer (the default): of two layers made from one
/// picture each receiver takes one (`trtc_cloud_set_remote_video_stream_type()`), and one that nobody watches is not made.
///
/// `param` is the small layer's size, rate (at most the main stream's) and bitrate; NULL only with 0. Before the main stream
/// starts or while it runs; one that is published without a small layer becomes unavailable to others for a moment, once.
/// Errors: `TRTC_ERR_INVALID_PARAMETER` (also a picture larger than the main stream's), `TRTC_ERR_UNSUPPORTED_RESOLUTION`
/// (unknown number). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_enable_small_video_stream(
    cloud: *mut trtc_cloud,
    enable: trtc_bool,
    param: *const trtc_video_enc_param,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        if enable == 0 {
            return entry.cloud.enable_small_video_stream(None);
        }
        // SAFETY: the host promises a sized struct.
        let given = unsafe { sized::read(param, "param") }?;
        entry.cloud.enable_small_video_stream(Some(encoder_param(&given)?))
    })
}

/// Pauses a local stream (nonzero), or no longer (the default). Others see it become unavailable; the source and local
/// pictures go on. Holds for later sources and rooms too. Errors: `TRTC_ERR_INVALID_PARAMETER` (`stream_type`),
/// `TRTC_ERR_NOT_SUPPORTED` (small stream). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_mute_local_video(
    cloud: *mut trtc_cloud,
    stream_type: i32,
    mute: trtc_bool,
) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.mute_local_video(one_of("stream_type", stream_type)?, mute != 0))
}

/// Starts (nonzero) a stream of pictures pushed by the host, in place of any other source, or ends it (the default).
/// Errors: `TRTC_ERR_INVALID_PARAMETER` (`stream_type`), `TRTC_ERR_NOT_SUPPORTED` (small stream), `TRTC_ERR_FAILED` (the
/// system gives no thread). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_enable_custom_video_capture(
    cloud: *mut trtc_cloud,
    stream_type: i32,
    enable: trtc_bool,
) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.enable_custom_video_capture(one_of("stream_type", stream_type)?, enable != 0))
}

/// Sends one picture of the host. The encoder's frame rate decides how many are sent; the newest wins.
///
/// The pixels are copied. `release` (may be NULL) is called exactly once with `release_context`, whatever the result.
/// Errors: `TRTC_ERR_REFUSED` (custom capture is not enabled), `TRTC_ERR_INVALID_PARAMETER`,
/// `TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED`, `TRTC_ERR_NOT_SUPPORTED` (small stream, rotation), `TRTC_ERR_QUEUE_FULL` (an older
/// picture that was still waiting was dropped, this one taken). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_send_custom_video_data(
    cloud: *mut trtc_cloud,
    stream_type: i32,
    frame: *const trtc_video_frame,
    release: trtc_release_fn,
    release_context: *mut c_void,
) -> trtc_result {
    let result = on_cloud(cloud, |entry| {
        let stream: StreamType = one_of("stream_type", stream_type)?;
        // SAFETY: the host promises a sized struct whose planes hold what format, size and strides say.
        unsafe {
            let given = sized::read(frame, "frame")?;
            with_planes(&given, |input| entry.cloud.send_custom_video(stream, input))
        }
    });
    // SAFETY: the host promises that it may be called.
    unsafe { release_once(release, release_context) };
    result
}

/// Pictures of a local stream, as `TRTC_VIDEO_PIXEL_FORMAT_*`, as they are before encoding, also outside of rooms. It
/// replaces an earlier callback; NULL ends it. Errors: `TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED`, `TRTC_ERR_INVALID_PARAMETER`
/// (`stream_type`), `TRTC_ERR_NOT_SUPPORTED` (small stream). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_set_local_video_render_callback(
    cloud: *mut trtc_cloud,
    stream_type: i32,
    pixel_format: i32,
    callback: trtc_video_render_fn,
    user_data: *mut c_void,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        let stream: StreamType = one_of("stream_type", stream_type)?;
        entry.cloud.set_local_video_callback(stream, renderer(pixel_format, callback, user_data)?)
    })
}

/// Pictures of a remote stream, which must also be watched (`trtc_cloud_start_remote_view()`), as
/// `TRTC_VIDEO_PIXEL_FORMAT_*`. It replaces an earlier callback; NULL ends it. May be set before the user is there. Errors:
/// `TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED`, `TRTC_ERR_INVALID_USER_ID`, `TRTC_ERR_INVALID_PARAMETER` (`stream_type`). Any
/// thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_set_remote_video_render_callback(
    cloud: *mut trtc_cloud,
    user_id: *const c_char,
    stream_type: i32,
    pixel_format: i32,
    callback: trtc_video_render_fn,
    user_data: *mut c_void,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        let stream: StreamType = one_of("stream_type", stream_type)?;
        // SAFETY: the host promises a NUL-terminated text.
        let user = unsafe { text::user(user_id, "user_id") }?;
        entry.cloud.set_remote_video_callback(&user, stream, renderer(pixel_format, callback, user_data)?)
    })
}

/// Takes the main (`TRTC_VIDEO_STREAM_TYPE_BIG`, the default) or the small stream of a user, also while it is watched: the
/// picture changes its size (`on_user_video_size_changed`) when the next key frame is there, and never stands still. A user
/// who sends no small stream shows the main one. Events, pictures and statistics name the chosen stream.
///
/// May be set before entering, and before the user is there; forgotten at exit. Errors: `TRTC_ERR_INVALID_USER_ID`,
/// `TRTC_ERR_INVALID_PARAMETER` (`stream_type`; a sub stream has no small one). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_set_remote_video_stream_type(
    cloud: *mut trtc_cloud,
    user_id: *const c_char,
    stream_type: i32,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a NUL-terminated text.
        let user = unsafe { text::user(user_id, "user_id") }?;
        entry.cloud.set_remote_video_stream_type(&user, one_of("stream_type", stream_type)?)
    })
}

/// As `trtc_cloud_set_remote_video_stream_type()`, for everybody, later users and rooms included. Errors:
/// `TRTC_ERR_INVALID_PARAMETER` (`stream_type`; a sub stream has no small one). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_set_prior_remote_video_stream_type(
    cloud: *mut trtc_cloud,
    stream_type: i32,
) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.set_prior_remote_video_stream_type(one_of("stream_type", stream_type)?))
}

/// Watches a remote stream: subscribes and decodes, now or as soon as it is there. The small stream comes in place of the
/// main one, as by `trtc_cloud_set_remote_video_stream_type()`; asking for the main one leaves an earlier choice as it is. A
/// muted stream (`trtc_cloud_mute_remote_video_stream()`) begins when it is no longer muted. `view` must be NULL for now;
/// take the pictures by callback or `trtc_video_acquire()`. Errors: `TRTC_ERR_INVALID_USER_ID`,
/// `TRTC_ERR_INVALID_PARAMETER` (`stream_type`), `TRTC_ERR_NOT_SUPPORTED` (`view`). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_start_remote_view(
    cloud: *mut trtc_cloud,
    user_id: *const c_char,
    stream_type: i32,
    view: *mut c_void,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        no_view(view)?;
        // SAFETY: the host promises a NUL-terminated text.
        let user = unsafe { text::user(user_id, "user_id") }?;
        entry.cloud.start_remote_view(&user, one_of("stream_type", stream_type)?)
    })
}

/// Stops watching a remote stream; one that is not watched is left alone. The render callback stays set. Errors:
/// `TRTC_ERR_INVALID_USER_ID`, `TRTC_ERR_INVALID_PARAMETER` (`stream_type`). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_stop_remote_view(
    cloud: *mut trtc_cloud,
    user_id: *const c_char,
    stream_type: i32,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a NUL-terminated text.
        let user = unsafe { text::user(user_id, "user_id") }?;
        entry.cloud.stop_remote_view(&user, one_of("stream_type", stream_type)?)
    })
}

/// Stops watching everybody, main and sub streams. Errors: common. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_stop_all_remote_view(cloud: *mut trtc_cloud) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.stop_all_remote_view())
}

/// Freezes a remote stream (nonzero): the host keeps the last picture, no further one comes and none is pulled; or no
/// longer (the default). The latest call wins, that for everybody included.
///
/// May be set before entering, and before the user is there; forgotten at exit. Errors: `TRTC_ERR_INVALID_USER_ID`,
/// `TRTC_ERR_INVALID_PARAMETER` (`stream_type`). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_mute_remote_video_stream(
    cloud: *mut trtc_cloud,
    user_id: *const c_char,
    stream_type: i32,
    mute: trtc_bool,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a NUL-terminated text.
        let user = unsafe { text::user(user_id, "user_id") }?;
        entry.cloud.mute_remote_video_stream(&user, one_of("stream_type", stream_type)?, mute != 0)
    })
}

/// As `trtc_cloud_mute_remote_video_stream()`, for everybody, later users included, main and sub streams. Errors: common.
/// Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_mute_all_remote_video_streams(
    cloud: *mut trtc_cloud,
    mute: trtc_bool,
) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.mute_all_remote_video_streams(mute != 0))
}

/// Takes the newest picture that was not acquired yet: of a watched remote user, or the local one (`user_id` NULL).
///
/// `frame`, set up by its init function, gets pointers into the picture, valid until `trtc_video_release()` of `out_video`,
/// also after the cloud's end. Errors: `TRTC_ERR_NO_FRAME` (nothing new, or not watched),
/// `TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED`, `TRTC_ERR_INVALID_USER_ID`, `TRTC_ERR_INVALID_PARAMETER` (`stream_type`),
/// `TRTC_ERR_NOT_SUPPORTED` (local small stream), `TRTC_ERR_FAILED` (8,192 pictures are acquired). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_video_acquire(
    cloud: *mut trtc_cloud,
    user_id: *const c_char,
    stream_type: i32,
    pixel_format: i32,
    out_video: *mut *mut trtc_video,
    frame: *mut trtc_video_frame,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        let stream: StreamType = one_of("stream_type", stream_type)?;
        let format = pixels(pixel_format)?;
        // SAFETY: the host promises writable places and NUL-terminated text; the struct is read only to check its size.
        let (out, user) = unsafe {
            let out = Out::required(out_video, "out_video")?;
            out.put(std::ptr::null_mut());
            sized::read(frame.cast_const(), "frame")?;
            (out, if user_id.is_null() { None } else { Some(text::user(user_id, "user_id")?) })
        };
        let taken = entry.cloud.acquire_video(user.as_ref(), stream)?;
        let pixels = Arc::new(Pixels::new(&taken, format));
        let described = pixels.describe(pixel_format);
        let token = VIDEOS.insert(pixels)?;
        // SAFETY: as above.
        unsafe { sized::write(frame, &described, "frame") }?;
        out.put(std::ptr::without_provenance_mut(token));
        Ok(())
    })
}

/// Gives an acquired picture back; its pointers end. Errors: `TRTC_ERR_INVALID_HANDLE`. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_video_release(video: *mut trtc_video) -> trtc_result {
    call(|| VIDEOS.remove(video.addr()).map(|_| ()))
}

/// A picture in the host's format.
struct Pixels {
    picture: Arc<I420>,
    converted: Option<Vec<u8>>,
    format: PixelFormat,
    time: Duration,
}

impl Pixels {
    fn new(frame: &RenderFrame, format: PixelFormat) -> Self {
        let picture = frame.frame.picture.clone();
        let converted = (format != PixelFormat::I420).then(|| trtc_sdk::pack(&picture, format));
        Self { picture, converted, format, time: frame.frame.time }
    }

    fn describe(&self, pixel_format: i32) -> trtc_video_frame {
        let (width, height) = (self.picture.width(), self.picture.height());
        let data: Cow<'_, [u8]> = Cow::Borrowed(self.converted.as_deref().unwrap_or_else(|| self.picture.data()));
        let mut frame = trtc_video_frame {
            pixel_format,
            width: width as u32,
            height: height as u32,
            timestamp_ms: self.time.as_millis() as u64,
            ..trtc_video_frame::defaults()
        };
        let mut at = 0;
        for (i, (row, rows)) in self.format.planes(width, height).into_iter().enumerate().take(3) {
            frame.planes[i] = data[at..].as_ptr();
            frame.strides_bytes[i] = row as u32;
            at += row * rows;
        }
        frame
    }
}

struct Renderer {
    call: unsafe extern "C" fn(*mut c_void, *const c_char, i32, *const trtc_video_frame),
    user_data: *mut c_void,
}

// SAFETY: the host promises that the callback may be called on the stream's thread with this `user_data`.
unsafe impl Send for Renderer {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Renderer {}

type Callback = Arc<dyn Fn(&RenderFrame) + Send + Sync>;

fn renderer(pixel_format: i32, callback: trtc_video_render_fn, user_data: *mut c_void) -> Result<Option<Callback>> {
    let Some(call) = callback else { return Ok(None) };
    let format = pixels(pixel_format)?;
    let renderer = Renderer { call, user_data };
    Ok(Some(Arc::new(move |frame: &RenderFrame| {
        let renderer = &renderer;
        let user = frame.user.as_ref().map(|u| c_string(u.as_str())).unwrap_or_default();
        let pixels = Pixels::new(frame, format);
        let described = pixels.describe(pixel_format);
        // SAFETY: the host's promise; text and pixels live until it returns.
        unsafe { (renderer.call)(renderer.user_data, user.as_ptr(), frame.stream as i32, &raw const described) };
    })))
}

fn pixels(pixel_format: i32) -> Result<PixelFormat> {
    match pixel_format {
        TRTC_VIDEO_PIXEL_FORMAT_I420 => Ok(PixelFormat::I420),
        TRTC_VIDEO_PIXEL_FORMAT_NV12 => Ok(PixelFormat::Nv12),
        TRTC_VIDEO_PIXEL_FORMAT_BGRA32 => Ok(PixelFormat::Bgra),
        TRTC_VIDEO_PIXEL_FORMAT_RGBA32 => Ok(PixelFormat::Rgba),
        other => Err(Error::new(
            Code::PIXEL_FORMAT_UNSUPPORTED,
            format!("pixel_format must be 1 (I420), 3 (BGRA32), 5 (RGBA32) or 100 (NV12), got {other}"),
        )),
    }
}

/// Gives the frame's planes as slices.
///
/// # Safety
/// Planes hold what format, size and strides say.
unsafe fn with_planes(frame: &trtc_video_frame, send: impl FnOnce(&VideoInput<'_>) -> Result<()>) -> Result<()> {
    let format = pixels(frame.pixel_format)?;
    if frame.rotation != 0 {
        return Err(Error::not_supported(format!("rotation must be 0 for now, got {}", frame.rotation)));
    }
    for (field, value, high) in [("width", frame.width, 3840), ("height", frame.height, 2160)] {
        within(field, value, 16..=high)?;
        if value % 2 != 0 {
            return Err(Error::invalid(format!("{field} must be even, got {value}")));
        }
    }
    let mut planes = Vec::with_capacity(3);
    let shape = format.planes(frame.width as usize, frame.height as usize);
    for (i, ((row, rows), (data, stride))) in
        shape.into_iter().zip(frame.planes.into_iter().zip(frame.strides_bytes)).enumerate()
    {
        let stride = if stride == 0 { row } else { stride as usize };
        if data.is_null() {
            return Err(Error::invalid(format!("planes[{i}] must not be NULL for this pixel_format")));
        }
        if !(row..=1 << 20).contains(&stride) {
            return Err(Error::invalid(format!("strides_bytes[{i}] must be 0 or {row}..={}, got {stride}", 1 << 20)));
        }
        // SAFETY: the caller promises rows of this stride; the last one may end after its pixels.
        planes.push((unsafe { std::slice::from_raw_parts(data, stride * (rows - 1) + row) }, stride));
    }
    let time = (frame.timestamp_ms != 0).then(|| Duration::from_millis(frame.timestamp_ms));
    send(&VideoInput { format, width: frame.width, height: frame.height, planes: &planes, time })
}

/// Runs a release function of the host.
///
/// # Safety
/// The host promises that it may be called.
pub(super) unsafe fn release_once(release: trtc_release_fn, context: *mut c_void) {
    if let Some(release) = release {
        // SAFETY: the caller's promise.
        unsafe { release(context) };
    }
}

fn no_view(view: *mut c_void) -> Result<()> {
    if view.is_null() {
        return Ok(());
    }
    Err(Error::not_supported("view must be NULL: take the pictures by callback or trtc_video_acquire"))
}

/// The vendor's resolution numbers.
const RESOLUTIONS: [(i32, u32, u32); 20] = [
    (1, 120, 120),
    (3, 160, 160),
    (5, 270, 270),
    (7, 480, 480),
    (50, 160, 120),
    (52, 240, 180),
    (54, 280, 210),
    (56, 320, 240),
    (58, 400, 300),
    (60, 480, 360),
    (62, 640, 480),
    (64, 960, 720),
    (100, 160, 90),
    (102, 256, 144),
    (104, 320, 180),
    (106, 480, 270),
    (108, 640, 360),
    (110, 960, 540),
    (112, 1280, 720),
    (114, 1920, 1080),
];

fn encoder_param(given: &trtc_video_enc_param) -> Result<VideoEncoderParam> {
    let (mut width, mut height) = if given.width == 0 && given.height == 0 {
        RESOLUTIONS.iter().find(|(number, ..)| *number == given.video_resolution).map(|(_, w, h)| (*w, *h)).ok_or_else(
            || {
                let known = RESOLUTIONS.map(|(number, ..)| number);
                let message = format!("video_resolution must be one of {known:?}, got {}", given.video_resolution);
                Error::new(Code::UNSUPPORTED_RESOLUTION, message)
            },
        )?
    } else {
        (given.width, given.height)
    };
    match given.res_mode {
        0 => {}
        1 => std::mem::swap(&mut width, &mut height),
        other => return Err(Error::invalid(format!("res_mode must be 0 (landscape) or 1 (portrait), got {other}"))),
    }
    within("video_fps", given.video_fps, 1..=60)?;
    within("video_bitrate_kbps", given.video_bitrate_kbps, 10..=50_000)?;
    within("min_video_bitrate_kbps", given.min_video_bitrate_kbps, 0..=given.video_bitrate_kbps)?;
    Ok(VideoEncoderParam {
        width,
        height,
        fps: given.video_fps,
        bitrate_kbps: given.video_bitrate_kbps,
        min_bitrate_kbps: given.min_video_bitrate_kbps,
    })
}
