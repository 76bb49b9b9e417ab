//! Sources of our own: files and the pattern.
use super::cloud::trtc_cloud;
use super::guard::on_cloud;
use super::params::{trtc_file_source, trtc_pattern_source};
use super::{sized, text, trtc_result};
use trtc_sdk::{FileSource, PatternSource};
use trtc_types::StreamType;

/// Plays a file as a local stream: `.h264`, `.y4m` and `.yuv` as picture of `stream_type`, `.wav` as sound.
///
/// H.264 without B frames and with key frames at most 2 s apart is sent as it is; other files are (re-)encoded with
/// `trtc_cloud_set_video_encoder_param()` or, when that was never called, with the file's size and rate. A running source of
/// the stream ends. Errors: `TRTC_ERR_FILE`, `TRTC_ERR_INVALID_PARAMETER`, `TRTC_ERR_STRUCT_SIZE`, `TRTC_ERR_NOT_SUPPORTED`
/// (small stream). Blocks while the file is opened. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_start_file_source(
    cloud: *mut trtc_cloud,
    stream_type: i32,
    source: *const trtc_file_source,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        let stream = StreamType::try_from(stream_type)?;
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

/// Sends the built-in pattern: a moving picture with a burned-in time code (Unix time in ms modulo 2^32), a tone with a chirp
/// each second, or both. `source` may be NULL (defaults).
///
/// The picture has the size and rate of `trtc_cloud_set_video_encoder_param()`. Errors: `TRTC_ERR_INVALID_PARAMETER`,
/// `TRTC_ERR_STRUCT_SIZE`, `TRTC_ERR_NOT_SUPPORTED` (small stream). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_start_pattern_source(
    cloud: *mut trtc_cloud,
    stream_type: i32,
    source: *const trtc_pattern_source,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        let stream = StreamType::try_from(stream_type)?;
        let mut pattern = PatternSource::default();
        if !source.is_null() {
            // SAFETY: the host promises a sized struct.
            let given = unsafe { sized::read(source, "source") }?;
            pattern = PatternSource { video: given.video != 0, audio: given.audio != 0, tone_hz: given.tone_hz };
        }
        entry.cloud.start_pattern_source(stream, pattern)
    })
}

/// Ends the source of a stream; with the main stream also a file or pattern that sounds. Errors: `TRTC_ERR_NOT_SUPPORTED`
/// (small stream). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_stop_source(cloud: *mut trtc_cloud, stream_type: i32) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.stop_source(StreamType::try_from(stream_type)?))
}
