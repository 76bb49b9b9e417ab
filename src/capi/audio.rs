//! Sound.
use super::check::{one_of, within};
use super::cloud::trtc_cloud;
use super::guard::on_cloud;
use super::out::Out;
use super::params::{trtc_audio_frame, trtc_release_fn};
use super::{sized, text, trtc_bool, trtc_result};
use std::ffi::{c_char, c_void};
use trtc_sdk::AudioInput;
use trtc_types::{AudioQuality, Error, Result};

/// Starts local sound from the microphone with `TRTC_AUDIO_QUALITY_*`; while custom sound, a file or the pattern runs, only
/// the quality is kept.
///
/// `on_mic_did_ready` and, for the others, the sound's availability follow with the first of it. Without a microphone
/// `on_warning` tells `TRTC_WARN_MICROPHONE_DEVICE_EMPTY`, and one that is plugged in is used. One that is pulled out is
/// told by `TRTC_WARN_MICROPHONE_DEVICE_ABNORMAL` and replaced. Which microphone: `trtc_device_set_current_device()`. Errors:
/// `TRTC_ERR_INVALID_PARAMETER` (`quality`), `TRTC_ERR_FAILED` (the system gives no thread). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_start_local_audio(cloud: *mut trtc_cloud, quality: i32) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.start_local_audio(one_of::<AudioQuality>("quality", quality)?))
}

/// Ends local sound, whatever its source: microphone, custom capture, file or pattern. Others see it become unavailable. Without local
/// sound it does nothing. Errors: common. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_stop_local_audio(cloud: *mut trtc_cloud) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.stop_local_audio())
}

/// Silences local sound (nonzero), or no longer (the default). The track stays and carries silence, yet others see it
/// become unavailable. Holds for later sources and rooms too. Errors: common. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_mute_local_audio(cloud: *mut trtc_cloud, mute: trtc_bool) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.mute_local_audio(mute != 0))
}

/// Starts (nonzero) sound pushed by the host, in place of any other source, or ends it (the default). Errors: common. Any
/// thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_enable_custom_audio_capture(
    cloud: *mut trtc_cloud,
    enable: trtc_bool,
) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.enable_custom_audio_capture(enable != 0))
}

/// Sends sound of the host: 5 to 100 ms a call, in real time. What waits longer than 150 ms for two seconds on end is cut to 40 ms.
///
/// The samples are copied. `release` (may be NULL) is called exactly once with `release_context`, whatever the result.
/// Errors: `TRTC_ERR_REFUSED` (custom capture is not enabled), `TRTC_ERR_UNSUPPORTED_SAMPLERATE`,
/// `TRTC_ERR_INVALID_PARAMETER` (`channels`, `samples_per_channel`, `samples`), `TRTC_ERR_QUEUE_FULL` (more than 1 s was
/// waiting: the oldest was dropped, this one taken). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_send_custom_audio_data(
    cloud: *mut trtc_cloud,
    frame: *const trtc_audio_frame,
    release: trtc_release_fn,
    release_context: *mut c_void,
) -> trtc_result {
    let result = on_cloud(cloud, |entry| {
        // SAFETY: the host promises a sized struct with that many samples.
        let given = unsafe { sized::read(frame, "frame") }?;
        let count = sample_count(&given)?;
        // SAFETY: not NULL and aligned; the host promises `count` samples.
        let samples = unsafe { std::slice::from_raw_parts(given.samples.cast_const(), count) };
        let channels = given.channels as u16;
        entry.cloud.send_custom_audio(AudioInput { sample_rate_hz: given.sample_rate_hz, channels, samples })
    });
    // SAFETY: the host promises that it may be called.
    unsafe { super::video::release_once(release, release_context) };
    result
}

/// Volume of local sound in percent: 0..150, default 100; above 100 it may clip. Errors: `TRTC_ERR_INVALID_PARAMETER`
/// (`volume`). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_set_audio_capture_volume(cloud: *mut trtc_cloud, volume: u32) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.set_audio_capture_volume(volume))
}

/// Volume of local sound in percent, as it was set. Errors: common. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_get_audio_capture_volume(
    cloud: *mut trtc_cloud,
    out_volume: *mut u32,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a writable u32.
        unsafe { Out::required(out_volume, "out_volume") }?.put(entry.cloud.audio_capture_volume());
        Ok(())
    })
}

/// Volume of the mixed playout in percent: 0..150, default 100. Errors: `TRTC_ERR_INVALID_PARAMETER` (`volume`). Any
/// thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_set_audio_playout_volume(cloud: *mut trtc_cloud, volume: u32) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.set_audio_playout_volume(volume))
}

/// Volume of the mixed playout in percent, as it was set. Errors: common. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_get_audio_playout_volume(
    cloud: *mut trtc_cloud,
    out_volume: *mut u32,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a writable u32.
        unsafe { Out::required(out_volume, "out_volume") }?.put(entry.cloud.audio_playout_volume());
        Ok(())
    })
}

/// Volume of one remote user in percent: 0..150, default 100. May be set before the user is there; kept as long as the
/// cloud. Errors: `TRTC_ERR_INVALID_PARAMETER` (`volume`), `TRTC_ERR_INVALID_USER_ID`. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_set_remote_audio_volume(
    cloud: *mut trtc_cloud,
    user_id: *const c_char,
    volume: u32,
) -> trtc_result {
    // SAFETY: the host promises a NUL-terminated text.
    on_cloud(cloud, |entry| entry.cloud.set_remote_audio_volume(&unsafe { text::user(user_id, "user_id") }?, volume))
}

/// Silences a remote user (nonzero) and stops pulling the sound; zero pulls it, also when sound does not come by itself
/// (`trtc_cloud_set_default_stream_recv_mode()`). The latest call wins, that for everybody included.
///
/// May be set before entering, and before the user is there; forgotten at exit. Errors: `TRTC_ERR_INVALID_USER_ID`. Any
/// thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_mute_remote_audio(
    cloud: *mut trtc_cloud,
    user_id: *const c_char,
    mute: trtc_bool,
) -> trtc_result {
    // SAFETY: the host promises a NUL-terminated text.
    on_cloud(cloud, |entry| entry.cloud.mute_remote_audio(&unsafe { text::user(user_id, "user_id") }?, mute != 0))
}

/// As `trtc_cloud_mute_remote_audio()`, for everybody, later users included. Errors: common. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_mute_all_remote_audio(cloud: *mut trtc_cloud, mute: trtc_bool) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.mute_all_remote_audio(mute != 0))
}

/// Tells loudness by `on_user_voice_volume`, in a room, every `interval_ms`: 100..10000, in steps of 10; 0 ends it (the
/// default). Errors: `TRTC_ERR_INVALID_PARAMETER` (`interval_ms`). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_enable_audio_volume_evaluation(
    cloud: *mut trtc_cloud,
    interval_ms: u32,
) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.enable_audio_volume_evaluation(interval_ms))
}

/// The host pulls the mixed playout by itself (nonzero), or the library plays it to the speaker while in a room (the
/// default; without a speaker `on_warning` tells `TRTC_WARN_SPEAKER_DEVICE_EMPTY`). Before entering. Errors:
/// `TRTC_ERR_REFUSED` (in a room, entering or leaving). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_enable_custom_audio_rendering(
    cloud: *mut trtc_cloud,
    enable: trtc_bool,
) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.enable_custom_audio_rendering(enable != 0))
}

/// Pulls the next 10 or 20 ms of the mixed playout, in real time; silence when nobody speaks.
///
/// The host sets rate, channels, `samples_per_channel` and the buffer `samples`; the library writes the samples and the
/// time. Errors: `TRTC_ERR_REFUSED` (custom rendering is not enabled), `TRTC_ERR_UNSUPPORTED_SAMPLERATE`,
/// `TRTC_ERR_INVALID_PARAMETER` (`channels`, `samples_per_channel`, `samples`). Any thread, one at a time. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_get_custom_audio_rendering_frame(
    cloud: *mut trtc_cloud,
    frame: *mut trtc_audio_frame,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a sized struct with a buffer for that many samples.
        let mut given = unsafe { sized::read(frame.cast_const(), "frame") }?;
        let count = sample_count(&given)?;
        let (rate, channels, samples) = (given.sample_rate_hz, given.channels as u16, given.samples_per_channel);
        let sound = entry.cloud.custom_audio_rendering_frame(rate, channels, samples as usize)?;
        // SAFETY: not NULL and aligned; the host promises room for `count` samples.
        unsafe { std::ptr::copy_nonoverlapping(sound.samples.as_ptr(), given.samples, count.min(sound.samples.len())) };
        given.timestamp_ms = sound.time.as_millis() as u64;
        // SAFETY: as above.
        unsafe { sized::write(frame, &given, "frame") }
    })
}

/// Number of samples in all channels, when the frame can hold them.
fn sample_count(frame: &trtc_audio_frame) -> Result<usize> {
    within("channels", frame.channels, 1..=2)?;
    // 100 ms at 48 kHz; the bound of the given rate follows.
    within("samples_per_channel", frame.samples_per_channel, 1..=4800)?;
    if frame.samples.is_null() || !frame.samples.is_aligned() {
        return Err(Error::invalid("samples must be a buffer aligned to 2 bytes, not NULL"));
    }
    Ok(frame.channels as usize * frame.samples_per_channel as usize)
}
