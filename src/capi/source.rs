//! Sources of our own: files and the pattern.
use super::check::one_of;
use super::cloud::trtc_cloud;
use super::guard::on_cloud;
use super::params::{trtc_file_source, trtc_pattern_source};
use super::{sized, text, trtc_result};
use trtc_sdk::{FileSource, PatternSource};
use trtc_types::StreamType;

/// Plays a file as a local stream: `.h264`, `.y4m` and `.yuv` as picture of `stream_type`, `.wav` as sound.
///
/// H.264 without B frames and with key frames at most 500 ms apart is sent as it is, and has no local pictures; other files
/// are (re-)encoded with `trtc_cloud_set_video_encoder_param()` or, when that was never called, with the file's size and
/// rate. A last picture that is cut off is left out. A running source of the stream ends, unless this call fails. A file
/// that cannot be read any more later on is told by `on_error`. Errors: `TRTC_ERR_FILE` (`path` is missing, of an unknown
/// kind, or holds nothing that can be played), `TRTC_ERR_INVALID_PARAMETER` (`stream_type`, `fps`, `width`, `height`),
/// `TRTC_ERR_NOT_SUPPORTED` (small stream), `TRTC_ERR_FAILED` (the system gives no thread). Blocks while the file is
/// opened. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_start_file_source(
    cloud: *mut trtc_cloud,
    stream_type: i32,
    source: *const trtc_file_source,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        let stream: StreamType = one_of("stream_type", stream_type)?;
        // SAFETY: the host promises a sized struct with a NUL-terminated path.
        let (given, path) = unsafe {
            let given = sized::read(source, "source")?;
            (given, text::required(given.path, "path")?)
        };
        let (fps, width, height) = (given.fps, given.width, given.height);
        let source = FileSource { path: path.into(), repeat: given.repeat != 0, fps, width, height };
        entry.cloud.start_file_source(stream, &source)
    })
}

/// Sends the built-in pattern: a moving picture with a burned-in time code (Unix time in ms modulo 2^32), a tone with a
/// chirp each second, or both. `source` may be NULL (defaults).
///
/// The picture has the size and rate of `trtc_cloud_set_video_encoder_param()`. A running source of the stream ends.
/// Errors: `TRTC_ERR_INVALID_PARAMETER` (`stream_type`, `tone_hz`), `TRTC_ERR_NOT_SUPPORTED` (small stream),
/// `TRTC_ERR_FAILED` (the system gives no thread). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_start_pattern_source(
    cloud: *mut trtc_cloud,
    stream_type: i32,
    source: *const trtc_pattern_source,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        let stream: StreamType = one_of("stream_type", stream_type)?;
        let mut pattern = PatternSource::default();
        if !source.is_null() {
            // SAFETY: the host promises a sized struct.
            let given = unsafe { sized::read(source, "source") }?;
            pattern = PatternSource { video: given.video != 0, audio: given.audio != 0, tone_hz: given.tone_hz };
        }
        entry.cloud.start_pattern_source(stream, pattern)
    })
}

/// Ends the source of a stream, whatever it is; with the main stream also a file or pattern that sounds. Without one it
/// does nothing. Errors: `TRTC_ERR_INVALID_PARAMETER` (`stream_type`), `TRTC_ERR_NOT_SUPPORTED` (small stream). Any thread.
/// Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_stop_source(cloud: *mut trtc_cloud, stream_type: i32) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.stop_source(one_of("stream_type", stream_type)?))
}
