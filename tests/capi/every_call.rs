//! Every function that takes a cloud: what it says to bad handles, on a closed instance, inside a log callback.
use crate::header;
use crate::host::*;
use std::collections::BTreeSet;
use std::ffi::{c_char, c_void};
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use trtc::capi::{audio::*, cloud::*, code::*, device::*, log::*, message::*, params::*, room::*, source::*, video::*};

/// Calls each with otherwise good arguments; `trtc_cloud_destroy` last. `released` counts release functions.
pub fn every_call(c: *mut trtc_cloud, released: &AtomicUsize) -> Vec<(&'static str, i32)> {
    unsafe extern "C" fn count(context: *mut c_void) {
        unsafe { &*context.cast::<AtomicUsize>() }.fetch_add(1, SeqCst);
    }
    let context: *mut c_void = std::ptr::from_ref(released).cast_mut().cast();
    let (enter, param) = (made::<trtc_enter_params>(), made::<trtc_video_enc_param>());
    let (pattern, mut file) = (made::<trtc_pattern_source>(), made::<trtc_file_source>());
    file.path = c"/nonexistent/file.y4m".as_ptr();
    let (mut picture, pixels) = (made::<trtc_video_frame>(), [0u8; 16 * 16 * 4]);
    (picture.width, picture.height, picture.pixel_format) = (16, 16, TRTC_VIDEO_PIXEL_FORMAT_RGBA32);
    picture.planes[0] = pixels.as_ptr();
    let (mut sound, mut samples) = (made::<trtc_audio_frame>(), [0i16; 480]);
    (sound.samples, sound.samples_per_channel) = (samples.as_mut_ptr(), 480);
    let (mut number, mut video, mut shown) = (0u32, null_mut(), made::<trtc_video_frame>());
    let mut text = [0 as c_char; 512];
    let (mut list, mut flag) = (null_mut(), 0i32);
    macro_rules! all {
        ($($name:ident($($arg:expr),*);)*) => { vec![$((stringify!($name), unsafe { $name(c $(, $arg)*) })),*] };
    }
    all! {
        trtc_cloud_dispatch(&raw mut number);
        trtc_cloud_last_error(text.as_mut_ptr(), 512, &raw mut number);
        trtc_cloud_enter_room(&raw const enter, 0);
        trtc_cloud_exit_room();
        trtc_cloud_switch_role(20, USER);
        trtc_cloud_update_private_map_key(USER);
        trtc_cloud_set_default_stream_recv_mode(1, 1);
        trtc_cloud_start_local_preview(null_mut());
        trtc_cloud_stop_local_preview();
        trtc_cloud_set_video_encoder_param(0, &raw const param);
        trtc_cloud_enable_small_video_stream(1, &raw const param);
        trtc_cloud_set_remote_video_stream_type(USER, 1);
        trtc_cloud_set_prior_remote_video_stream_type(0);
        trtc_cloud_mute_local_video(0, 0);
        trtc_cloud_enable_custom_video_capture(0, 0);
        trtc_cloud_send_custom_video_data(0, &raw const picture, Some(count), context);
        trtc_cloud_set_local_video_render_callback(0, 1, None, null_mut());
        trtc_cloud_set_remote_video_render_callback(USER, 0, 1, None, null_mut());
        trtc_cloud_start_remote_view(USER, 0, null_mut());
        trtc_cloud_stop_remote_view(USER, 0);
        trtc_cloud_stop_all_remote_view();
        trtc_cloud_mute_remote_video_stream(USER, 0, 1);
        trtc_cloud_mute_all_remote_video_streams(0);
        trtc_video_acquire(USER, 0, 1, &raw mut video, &raw mut shown);
        trtc_cloud_start_local_audio(2);
        trtc_cloud_stop_local_audio();
        trtc_cloud_mute_local_audio(0);
        trtc_cloud_enable_custom_audio_capture(0);
        trtc_cloud_send_custom_audio_data(&raw const sound, Some(count), context);
        trtc_cloud_set_audio_capture_volume(100);
        trtc_cloud_get_audio_capture_volume(&raw mut number);
        trtc_cloud_set_audio_playout_volume(100);
        trtc_cloud_get_audio_playout_volume(&raw mut number);
        trtc_cloud_set_remote_audio_volume(USER, 100);
        trtc_cloud_mute_remote_audio(USER, 1);
        trtc_cloud_mute_all_remote_audio(0);
        trtc_cloud_enable_audio_volume_evaluation(0);
        trtc_cloud_enable_custom_audio_rendering(0);
        trtc_cloud_get_custom_audio_rendering_frame(&raw mut sound);
        trtc_cloud_send_custom_cmd_msg(1, b"x".as_ptr(), 1, 1, 1);
        trtc_cloud_start_file_source(0, &raw const file);
        trtc_cloud_start_pattern_source(0, &raw const pattern);
        trtc_cloud_stop_source(0);
        trtc_device_get_devices_list(2, &raw mut list);
        trtc_device_set_current_device(2, c"nowhere".as_ptr());
        trtc_device_get_current_device(2, &raw mut list);
        trtc_device_enable_following_default_audio_device(0, 1);
        trtc_device_set_current_device_volume(0, 100);
        trtc_device_get_current_device_volume(0, &raw mut number);
        trtc_device_set_current_device_mute(0, 1);
        trtc_device_get_current_device_mute(0, &raw mut flag);
        trtc_cloud_destroy();
    }
}

/// Functions that take no cloud, and where their arguments are covered.
const WITHOUT_CLOUD: &[&str] = &[
    "trtc_callbacks_init",
    "trtc_cloud_options_init",
    "trtc_enter_params_init",
    "trtc_video_enc_param_init",
    "trtc_video_frame_init",
    "trtc_audio_frame_init",
    "trtc_file_source_init",
    "trtc_pattern_source_init",
    "trtc_version",
    "trtc_version_string",
    "trtc_cloud_create",
    "trtc_generate_custom_pts",
    "trtc_last_error_message",
    "trtc_set_log_level",
    "trtc_set_log_file",
    "trtc_set_log_callback",
    "trtc_video_release",
    "trtc_device_list_get_count",
    "trtc_device_list_get_device_name",
    "trtc_device_list_get_device_pid",
    "trtc_device_list_get_device_properties",
    "trtc_device_list_release",
];

#[test]
fn no_function_is_forgotten() {
    let called = every_call(null_mut(), &AtomicUsize::new(0)).into_iter().map(|(name, _)| name);
    header::same("functions", called.chain(WITHOUT_CLOUD.iter().copied()), header::functions().iter().map(|f| f.name));
    let takes_cloud = |f: &&header::Function| f.parameters.iter().any(|p| p.starts_with("trtc_cloud *cloud"));
    let functions = header::functions();
    let with_cloud: BTreeSet<&str> = functions.iter().filter(takes_cloud).map(|f| f.name).collect();
    assert!(WITHOUT_CLOUD.iter().all(|name| !with_cloud.contains(name)));
}

#[test]
fn bad_handles_are_errors_everywhere() {
    let stale = create(None, true);
    destroy(stale);
    // A picture's handle is no cloud's, even where the numbers agree.
    let garbage = [1, 2, 4096, 4097, 1 << 31, (1 << 31) + 1, !0].map(without_provenance_mut);
    for bad in [null_mut(), stale].into_iter().chain(garbage) {
        let released = AtomicUsize::new(0);
        for (name, result) in every_call(bad, &released) {
            assert_eq!(result, TRTC_ERR_INVALID_HANDLE, "{name} with {bad:?}");
        }
        assert!(message().contains("handle"), "{}", message());
        assert_eq!(released.into_inner(), 2, "what was pushed is released, also in vain");
        assert_eq!(unsafe { trtc_video_release(bad.cast()) }, TRTC_ERR_INVALID_HANDLE);
    }
}

#[test]
fn a_host_that_takes_no_events_is_told_so() {
    let host = std::sync::Arc::new(Host::default());
    let cloud = host.cloud(true);
    let overflowed =
        (0..5000).any(|_| unsafe { trtc_cloud_start_local_preview(cloud, null_mut()) } == TRTC_ERR_EVENT_OVERFLOW);
    assert!(overflowed);
    // These go on: the waiting events, and what only tells.
    let still = [
        "trtc_cloud_dispatch",
        "trtc_cloud_last_error",
        "trtc_cloud_get_audio_capture_volume",
        "trtc_cloud_get_audio_playout_volume",
        "trtc_cloud_destroy",
    ];
    for (name, result) in every_call(cloud, &AtomicUsize::new(0)) {
        assert_eq!(
            result,
            if still.contains(&name) { TRTC_OK } else { TRTC_ERR_EVENT_OVERFLOW },
            "{name}: {}",
            message()
        );
    }
    assert_eq!((host.warnings.load(SeqCst), host.released()), (4096, 1));
}

/// The results of every call inside the log callback, which may run under any lock of the library.
static INSIDE_LOG: Mutex<Vec<(&str, i32)>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_log(cloud: *mut c_void, _: i32, module: *const c_char, message: *const c_char) {
    assert!(!module.is_null() && !message.is_null());
    let mut results = every_call(cloud.cast(), &AtomicUsize::new(0));
    unsafe {
        results.push(("trtc_set_log_callback", trtc_set_log_callback(None, null_mut())));
        results.push(("trtc_set_log_file", trtc_set_log_file(std::ptr::null())));
        results.push(("trtc_set_log_level", trtc_set_log_level(TRTC_LOG_LEVEL_NONE)));
        results.push(("trtc_video_release", trtc_video_release(null_mut())));
    }
    INSIDE_LOG.lock().unwrap().extend(results);
}

#[test]
fn calls_inside_a_log_callback_are_refused() {
    let _one = LOGS.lock();
    let cloud = create(None, true);
    unsafe {
        assert_eq!(trtc_set_log_callback(Some(on_log), cloud.cast()), TRTC_OK);
        assert_eq!(trtc_set_log_level(TRTC_LOG_LEVEL_WARN), TRTC_OK);
        warn(cloud);
        assert_eq!(trtc_set_log_callback(None, null_mut()), TRTC_OK);
        assert_eq!(trtc_set_log_level(TRTC_LOG_LEVEL_NONE), TRTC_OK);
    }
    let results = INSIDE_LOG.lock().unwrap();
    assert!(!results.is_empty());
    for (name, result) in results.iter() {
        assert_eq!(*result, TRTC_ERR_REFUSED, "{name}");
    }
    destroy(cloud);
}
