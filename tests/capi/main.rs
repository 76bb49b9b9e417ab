//! The C door without a server: handles, sizes, ranges, destruction. No function may crash, whatever it is given.
#![allow(clippy::unwrap_used, clippy::undocumented_unsafe_blocks, missing_docs, unused_unsafe)]

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut, without_provenance_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use trtc::capi::{
    audio::*, callbacks::*, cloud::*, code::*, log::*, message::*, params::*, room::*, source::*, video::*,
};

fn create(callbacks: Option<&trtc_callbacks>, pull: bool) -> *mut trtc_cloud {
    let mut options = std::mem::MaybeUninit::uninit();
    let mut cloud = null_mut();
    unsafe {
        trtc_cloud_options_init(options.as_mut_ptr(), size_of::<trtc_cloud_options>() as u32);
        let mut options = options.assume_init();
        options.pull_events = i32::from(pull);
        let table = callbacks.map_or(null(), std::ptr::from_ref);
        assert_eq!(trtc_cloud_create(table, &raw const options, &raw mut cloud), TRTC_OK);
    }
    cloud
}

fn table() -> trtc_callbacks {
    let mut table = std::mem::MaybeUninit::uninit();
    unsafe {
        trtc_callbacks_init(table.as_mut_ptr(), size_of::<trtc_callbacks>() as u32);
        table.assume_init()
    }
}

fn message() -> String {
    unsafe { CStr::from_ptr(trtc::capi::error::trtc_last_error_message()) }.to_str().unwrap().to_owned()
}

macro_rules! made {
    ($type:ident, $init:ident) => {{
        let mut value = std::mem::MaybeUninit::<$type>::uninit();
        unsafe {
            $init(value.as_mut_ptr(), size_of::<$type>() as u32);
            value.assume_init()
        }
    }};
}

const USER: *const c_char = c"alice".as_ptr();

/// Every function that takes a cloud, with otherwise good arguments.
fn every_call(c: *mut trtc_cloud) -> Vec<(&'static str, i32)> {
    let enter = made!(trtc_enter_params, trtc_enter_params_init);
    let param = made!(trtc_video_enc_param, trtc_video_enc_param_init);
    let pattern = made!(trtc_pattern_source, trtc_pattern_source_init);
    let file = made!(trtc_file_source, trtc_file_source_init);
    let mut picture = made!(trtc_video_frame, trtc_video_frame_init);
    let mut sound = made!(trtc_audio_frame, trtc_audio_frame_init);
    let (mut number, mut video) = (0u32, null_mut());
    let mut text = [0 as c_char; 8];
    macro_rules! all {
        ($($name:ident($($arg:expr),*);)*) => { vec![$((stringify!($name), unsafe { $name(c $(, $arg)*) })),*] };
    }
    all! {
        trtc_cloud_dispatch(&raw mut number);
        trtc_cloud_last_error(text.as_mut_ptr(), 8, &raw mut number);
        trtc_cloud_enter_room(&raw const enter, 0);
        trtc_cloud_exit_room();
        trtc_cloud_set_default_stream_recv_mode(1, 1);
        trtc_cloud_start_local_preview(null_mut());
        trtc_cloud_stop_local_preview();
        trtc_cloud_set_video_encoder_param(0, &raw const param);
        trtc_cloud_mute_local_video(0, 0);
        trtc_cloud_enable_custom_video_capture(0, 0);
        trtc_cloud_send_custom_video_data(0, &raw const picture, None, null_mut());
        trtc_cloud_set_local_video_render_callback(0, 1, None, null_mut());
        trtc_cloud_set_remote_video_render_callback(USER, 0, 1, None, null_mut());
        trtc_cloud_start_remote_view(USER, 0, null_mut());
        trtc_cloud_stop_remote_view(USER, 0);
        trtc_cloud_stop_all_remote_view();
        trtc_cloud_mute_remote_video_stream(USER, 0, 1);
        trtc_cloud_mute_all_remote_video_streams(0);
        trtc_video_acquire(USER, 0, 1, &raw mut video, &raw mut picture);
        trtc_cloud_start_local_audio(2);
        trtc_cloud_stop_local_audio();
        trtc_cloud_mute_local_audio(0);
        trtc_cloud_enable_custom_audio_capture(0);
        trtc_cloud_send_custom_audio_data(&raw const sound, None, null_mut());
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
        trtc_cloud_destroy();
    }
}

#[test]
fn bad_handles_are_errors_everywhere() {
    let stale = create(None, true);
    unsafe { assert_eq!(trtc_cloud_destroy(stale), TRTC_OK) };
    for bad in [null_mut(), stale, without_provenance_mut(1), without_provenance_mut(4097), without_provenance_mut(!0)]
    {
        for (name, result) in every_call(bad) {
            assert_eq!(result, TRTC_ERR_INVALID_HANDLE, "{name} with {bad:?}");
            assert!(message().contains("handle"), "{name}: {}", message());
        }
        unsafe { assert_eq!(trtc_video_release(bad.cast()), TRTC_ERR_INVALID_HANDLE) };
    }
}

#[test]
fn tokens_have_the_promised_shape() {
    let clouds: Vec<_> = (0..5).map(|_| create(None, true)).collect();
    for cloud in &clouds {
        assert!(cloud.addr() & 1 == 1 && (4096..1 << 31).contains(&cloud.addr()));
    }
    for cloud in clouds {
        unsafe {
            assert_eq!(trtc_cloud_destroy(cloud), TRTC_OK);
            assert_eq!(trtc_cloud_destroy(cloud), TRTC_ERR_INVALID_HANDLE);
        }
    }
}

#[test]
fn null_arguments_are_errors() {
    let c = create(None, true);
    unsafe {
        let bad = TRTC_ERR_INVALID_PARAMETER;
        assert_eq!(trtc_cloud_create(null(), null(), null_mut()), bad);
        assert_eq!(trtc_cloud_enter_room(c, null(), 0), bad);
        assert_eq!(trtc_cloud_set_video_encoder_param(c, 0, null()), bad);
        assert_eq!(trtc_cloud_send_custom_video_data(c, 0, null(), None, null_mut()), bad);
        assert_eq!(trtc_cloud_send_custom_audio_data(c, null(), None, null_mut()), bad);
        assert_eq!(trtc_cloud_get_custom_audio_rendering_frame(c, null_mut()), bad);
        assert_eq!(trtc_cloud_start_file_source(c, 0, null()), bad);
        assert_eq!(trtc_cloud_start_remote_view(c, null(), 0, null_mut()), bad);
        assert_eq!(trtc_cloud_mute_remote_audio(c, null(), 1), bad);
        assert_eq!(trtc_cloud_get_audio_playout_volume(c, null_mut()), bad);
        assert_eq!(trtc_cloud_send_custom_cmd_msg(c, 1, null(), 1, 1, 1), bad);
        assert_eq!(trtc::capi::cloud::trtc_generate_custom_pts(null_mut()), bad);
        let mut frame = made!(trtc_video_frame, trtc_video_frame_init);
        let mut video = null_mut();
        assert_eq!(trtc_video_acquire(c, null(), 0, 1, null_mut(), &raw mut frame), bad);
        assert_eq!(trtc_video_acquire(c, null(), 0, 1, &raw mut video, null_mut()), bad);
        trtc_cloud_options_init(null_mut(), 8);
        assert_eq!(trtc_cloud_last_error(c, null_mut(), 0, null_mut()), TRTC_ERR_BUFFER_TOO_SMALL);
        trtc_cloud_destroy(c);
    }
}

#[test]
fn struct_sizes_are_checked_on_both_sides() {
    let c = create(None, true);
    let mut param = made!(trtc_video_enc_param, trtc_video_enc_param_init);
    unsafe {
        for wrong in [0, 4, param.struct_size - 1, 65_537, u32::MAX] {
            let good = param.struct_size;
            param.struct_size = wrong;
            assert_eq!(trtc_cloud_set_video_encoder_param(c, 0, &raw const param), TRTC_ERR_STRUCT_SIZE, "{wrong}");
            assert!(message().contains("trtc_video_enc_param"));
            param.struct_size = good;
        }
        // A newer host: its unknown tail must be zero.
        #[repr(C)]
        struct Newer {
            known: trtc_video_enc_param,
            tail: [u32; 4],
        }
        let mut newer = Newer { known: param, tail: [0; 4] };
        newer.known.struct_size = size_of::<Newer>() as u32;
        assert_eq!(trtc_cloud_set_video_encoder_param(c, 0, (&raw const newer).cast()), TRTC_OK);
        newer.tail[3] = 1;
        assert_eq!(trtc_cloud_set_video_encoder_param(c, 0, (&raw const newer).cast()), TRTC_ERR_STRUCT_SIZE);
        // The init functions of a newer host zero what they do not know.
        trtc_video_enc_param_init((&raw mut newer).cast(), size_of::<Newer>() as u32);
        assert_eq!((newer.tail, newer.known.struct_size as usize), ([0; 4], size_of::<Newer>()));
        let mut callbacks = table();
        callbacks.struct_size -= 8;
        let mut out = null_mut();
        assert_eq!(trtc_cloud_create(&raw const callbacks, null(), &raw mut out), TRTC_ERR_STRUCT_SIZE);
        trtc_cloud_destroy(c);
    }
}

#[test]
fn ranges_are_exact() {
    let c = create(None, true);
    let (ok, bad) = (TRTC_OK, TRTC_ERR_INVALID_PARAMETER);
    unsafe {
        for (volume, expected) in [(0, ok), (150, ok), (151, bad)] {
            assert_eq!(trtc_cloud_set_audio_capture_volume(c, volume), expected);
            assert_eq!(trtc_cloud_set_audio_playout_volume(c, volume), expected);
            assert_eq!(trtc_cloud_set_remote_audio_volume(c, USER, volume), expected);
        }
        assert!(message().contains("0..=150"), "{}", message());
        let mut volume = 0;
        assert_eq!((trtc_cloud_get_audio_capture_volume(c, &raw mut volume), volume), (ok, 150));
        for (interval, expected) in [(0, ok), (99, bad), (100, ok), (10_000, ok), (10_001, bad)] {
            assert_eq!(trtc_cloud_enable_audio_volume_evaluation(c, interval), expected);
        }
        for (stream, expected) in [(-1, bad), (0, ok), (1, TRTC_ERR_NOT_SUPPORTED), (2, ok), (3, bad)] {
            assert_eq!(trtc_cloud_mute_local_video(c, stream, 0), expected);
            assert_eq!(trtc_cloud_start_remote_view(c, USER, stream, null_mut()), expected);
        }
        assert_eq!(trtc_cloud_start_remote_view(c, USER, 0, without_provenance_mut(8)), TRTC_ERR_NOT_SUPPORTED);
        assert_eq!(trtc_cloud_start_remote_view(c, c"".as_ptr(), 0, null_mut()), TRTC_ERR_INVALID_USER_ID);
        assert_eq!(trtc_cloud_start_remote_view(c, c"\xff".as_ptr(), 0, null_mut()), TRTC_ERR_NOT_UTF8);
        for (quality, expected) in [(0, bad), (1, ok), (3, ok), (4, bad)] {
            assert_eq!(trtc_cloud_start_local_audio(c, quality), expected);
        }
        let mut param = made!(trtc_video_enc_param, trtc_video_enc_param_init);
        for (fps, expected) in [(0, bad), (1, ok), (60, ok), (61, bad)] {
            param.video_fps = fps;
            assert_eq!(trtc_cloud_set_video_encoder_param(c, 0, &raw const param), expected);
        }
        param = made!(trtc_video_enc_param, trtc_video_enc_param_init);
        param.video_resolution = 2;
        assert_eq!(trtc_cloud_set_video_encoder_param(c, 0, &raw const param), TRTC_ERR_UNSUPPORTED_RESOLUTION);
        let data = [0; 1001];
        for (id, size, ordered, expected) in [
            (0, 1, 1, bad),
            (11, 1, 1, bad),
            (1, 1001, 1, bad),
            (1, 1, 0, bad),
            (1, 1000, 1, TRTC_ERR_REFUSED),
            (10, 0, 1, TRTC_ERR_REFUSED),
        ] {
            assert_eq!(trtc_cloud_send_custom_cmd_msg(c, id, data.as_ptr(), size, 1, ordered), expected, "{id} {size}");
        }
        let mut enter = made!(trtc_enter_params, trtc_enter_params_init);
        assert_eq!(trtc_cloud_enter_room(c, &raw const enter, 0), TRTC_ERR_ROOM_PARAM_NULL);
        enter.server_url = c"ws://127.0.0.1:1".as_ptr();
        enter.user_sig = c"sig".as_ptr();
        assert_eq!(trtc_cloud_enter_room(c, &raw const enter, 0), TRTC_ERR_NOT_SUPPORTED);
        enter.access_token = c"garbage".as_ptr();
        assert_eq!(trtc_cloud_enter_room(c, &raw const enter, 0), TRTC_ERR_INVALID_USER_SIG);
        enter.room_id = u32::MAX;
        assert_eq!(trtc_cloud_enter_room(c, &raw const enter, 0), TRTC_ERR_INVALID_ROOM_ID);
        enter.role = 22;
        enter.room_id = 0;
        assert_eq!(trtc_cloud_enter_room(c, &raw const enter, 0), bad);
        trtc_cloud_destroy(c);
    }
}

#[test]
fn the_last_error_goes_into_the_callers_buffer() {
    let c = create(None, true);
    unsafe {
        assert_eq!(trtc_cloud_set_audio_capture_volume(c, 151), TRTC_ERR_INVALID_PARAMETER);
        let expected = message();
        let mut need = 0;
        assert_eq!(trtc_cloud_last_error(c, null_mut(), 0, &raw mut need), TRTC_ERR_BUFFER_TOO_SMALL);
        assert_eq!(need as usize, expected.len() + 1);
        let mut buffer = vec![1 as c_char; need as usize];
        assert_eq!(trtc_cloud_last_error(c, buffer.as_mut_ptr(), need - 1, null_mut()), TRTC_ERR_BUFFER_TOO_SMALL);
        assert_eq!(buffer[0], 1);
        assert_eq!(trtc_cloud_last_error(c, buffer.as_mut_ptr(), need, null_mut()), TRTC_OK);
        assert_eq!(CStr::from_ptr(buffer.as_ptr()).to_str().unwrap(), expected);
        trtc_cloud_destroy(c);
    }
}

#[test]
fn frames_are_checked_and_released_once() {
    unsafe extern "C" fn count(context: *mut c_void) {
        unsafe { &*context.cast::<AtomicUsize>() }.fetch_add(1, SeqCst);
    }
    let released = AtomicUsize::new(0);
    let context = (&raw const released).cast_mut().cast();
    let c = create(None, true);
    let pixels = vec![100u8; 64 * 48 * 4];
    let mut frame = made!(trtc_video_frame, trtc_video_frame_init);
    (frame.width, frame.height, frame.pixel_format) = (64, 48, TRTC_VIDEO_PIXEL_FORMAT_BGRA32);
    frame.planes[0] = pixels.as_ptr();
    let mut expected = 0;
    let mut send = |frame: &trtc_video_frame| {
        let result = unsafe { trtc_cloud_send_custom_video_data(c, 0, frame, Some(count), context) };
        expected += 1;
        assert_eq!(released.load(SeqCst), expected);
        result
    };
    unsafe {
        assert_eq!(send(&frame), TRTC_ERR_REFUSED);
        assert_eq!(trtc_cloud_enable_custom_video_capture(c, 0, 1), TRTC_OK);
        assert_eq!(send(&frame), TRTC_OK);
        for (width, result) in
            [(15, TRTC_ERR_INVALID_PARAMETER), (65, TRTC_ERR_INVALID_PARAMETER), (3842, TRTC_ERR_INVALID_PARAMETER)]
        {
            assert_eq!(send(&trtc_video_frame { width, ..frame }), result);
        }
        assert_eq!(send(&trtc_video_frame { rotation: 1, ..frame }), TRTC_ERR_NOT_SUPPORTED);
        assert_eq!(send(&trtc_video_frame { pixel_format: 2, ..frame }), TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED);
        assert_eq!(send(&trtc_video_frame { planes: [null(); 3], ..frame }), TRTC_ERR_INVALID_PARAMETER);
        assert_eq!(send(&trtc_video_frame { strides_bytes: [64 * 4 - 1, 0, 0], ..frame }), TRTC_ERR_INVALID_PARAMETER);
        // The local view shows it, without any room.
        let (mut video, mut shown) = (null_mut(), made!(trtc_video_frame, trtc_video_frame_init));
        let end = Instant::now() + Duration::from_secs(5);
        while trtc_video_acquire(c, null(), 0, TRTC_VIDEO_PIXEL_FORMAT_I420, &raw mut video, &raw mut shown) != TRTC_OK
        {
            assert!(Instant::now() < end, "no local picture: {}", message());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!((shown.width, shown.height, shown.strides_bytes), (64, 48, [64, 32, 32]));
        assert!(shown.planes[0].read().abs_diff(102) < 6, "luma of grey 100: {}", shown.planes[0].read());
        trtc_cloud_destroy(c);
        assert!(shown.planes[2].read().abs_diff(128) < 3);
        assert_eq!(trtc_video_release(video), TRTC_OK);
        assert_eq!(trtc_video_release(video), TRTC_ERR_INVALID_HANDLE);
    }
}

#[test]
fn sound_is_pulled_and_pushed_within_its_limits() {
    let c = create(None, true);
    let mut samples = [7i16; 960];
    let mut frame = made!(trtc_audio_frame, trtc_audio_frame_init);
    frame.samples = samples.as_mut_ptr();
    frame.samples_per_channel = 480;
    unsafe {
        assert_eq!(trtc_cloud_get_custom_audio_rendering_frame(c, &raw mut frame), TRTC_ERR_REFUSED);
        assert_eq!(trtc_cloud_enable_custom_audio_rendering(c, 1), TRTC_OK);
        assert_eq!(trtc_cloud_get_custom_audio_rendering_frame(c, &raw mut frame), TRTC_OK);
        assert!(samples[..480].iter().all(|s| *s == 0) && samples[480] == 7 && frame.timestamp_ms > 0);
        frame.samples_per_channel = 481;
        assert_eq!(trtc_cloud_get_custom_audio_rendering_frame(c, &raw mut frame), TRTC_ERR_INVALID_PARAMETER);
        frame.samples_per_channel = 480;
        frame.sample_rate_hz = 22_050;
        assert_eq!(trtc_cloud_get_custom_audio_rendering_frame(c, &raw mut frame), TRTC_ERR_UNSUPPORTED_SAMPLERATE);
        frame.sample_rate_hz = 48_000;
        assert_eq!(trtc_cloud_send_custom_audio_data(c, &raw const frame, None, null_mut()), TRTC_ERR_REFUSED);
        assert_eq!(trtc_cloud_enable_custom_audio_capture(c, 1), TRTC_OK);
        assert_eq!(trtc_cloud_send_custom_audio_data(c, &raw const frame, None, null_mut()), TRTC_OK);
        for (count, expected) in [(239, TRTC_ERR_INVALID_PARAMETER), (240, TRTC_OK), (0, TRTC_ERR_INVALID_PARAMETER)] {
            frame.samples_per_channel = count;
            assert_eq!(trtc_cloud_send_custom_audio_data(c, &raw const frame, None, null_mut()), expected);
        }
        frame.channels = 3;
        assert_eq!(
            trtc_cloud_send_custom_audio_data(c, &raw const frame, None, null_mut()),
            TRTC_ERR_INVALID_PARAMETER
        );
        trtc_cloud_destroy(c);
    }
}

/// What the callbacks of a cloud see.
#[derive(Default)]
struct Host {
    cloud: AtomicPtr<trtc_cloud>,
    warnings: AtomicUsize,
    released: AtomicUsize,
    after_release: AtomicUsize,
    destroy_inside: bool,
    slow: bool,
}

unsafe extern "C" fn on_warning(data: *mut c_void, code: i32, _: *const c_char) {
    let host = unsafe { &*data.cast::<Host>() };
    assert!(code == TRTC_WARN_CAMERA_DEVICE_EMPTY || code == TRTC_WARN_MICROPHONE_DEVICE_EMPTY);
    if host.slow {
        std::thread::sleep(Duration::from_millis(100));
    }
    if host.released.load(SeqCst) > 0 {
        host.after_release.fetch_add(1, SeqCst);
    }
    host.warnings.fetch_add(1, SeqCst);
    if host.destroy_inside {
        let cloud = host.cloud.load(SeqCst);
        let start = Instant::now();
        unsafe {
            assert_eq!(trtc_cloud_destroy(cloud), TRTC_OK);
            assert_eq!(trtc_cloud_destroy(cloud), TRTC_ERR_INVALID_HANDLE);
        }
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(host.released.load(SeqCst), 0);
    }
}

unsafe extern "C" fn on_release(data: *mut c_void) {
    unsafe { &*data.cast::<Host>() }.released.fetch_add(1, SeqCst);
}

fn host_cloud(host: &Arc<Host>, pull: bool) -> *mut trtc_cloud {
    let mut callbacks = table();
    callbacks.user_data = Arc::as_ptr(host).cast_mut().cast();
    callbacks.user_data_release = Some(on_release);
    callbacks.on_warning = Some(on_warning);
    let cloud = create(Some(&callbacks), pull);
    host.cloud.store(cloud, SeqCst);
    cloud
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < end, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn destroy_inside_a_callback() {
    for pull in [false, true] {
        let host = Arc::new(Host { destroy_inside: true, ..Host::default() });
        let cloud = host_cloud(&host, pull);
        unsafe {
            assert_eq!(trtc_cloud_start_local_preview(cloud, null_mut()), TRTC_OK);
            trtc_cloud_start_local_preview(cloud, null_mut());
            if pull {
                assert_eq!(trtc_cloud_dispatch(cloud, null_mut()), TRTC_OK);
            }
        }
        until("release", || host.released.load(SeqCst) == 1);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!((host.warnings.load(SeqCst), host.released.load(SeqCst)), (1, 1));
    }
}

#[test]
fn destroy_from_another_thread_waits_for_the_callback() {
    let host = Arc::new(Host { slow: true, ..Host::default() });
    let cloud = host_cloud(&host, false);
    unsafe {
        trtc_cloud_start_local_preview(cloud, null_mut());
        std::thread::sleep(Duration::from_millis(20));
        let token = cloud.addr();
        std::thread::spawn(move || assert_eq!(trtc_cloud_destroy(without_provenance_mut(token)), TRTC_OK))
            .join()
            .unwrap();
    }
    assert_eq!((host.warnings.load(SeqCst), host.released.load(SeqCst), host.after_release.load(SeqCst)), (1, 1, 0));
}

#[test]
fn two_threads_destroy_and_one_wins() {
    for _ in 0..20 {
        let host = Arc::new(Host::default());
        let token = host_cloud(&host, false).addr();
        let destroy = move || unsafe { trtc_cloud_destroy(without_provenance_mut(token)) };
        let (a, b) = (std::thread::spawn(destroy), std::thread::spawn(destroy));
        let mut results = [a.join().unwrap(), b.join().unwrap()];
        results.sort_unstable();
        assert_eq!(results, [TRTC_ERR_INVALID_HANDLE, TRTC_OK]);
        assert_eq!(host.released.load(SeqCst), 1);
    }
}

#[test]
fn pull_mode_calls_back_only_inside_dispatch() {
    let host = Arc::new(Host::default());
    let cloud = host_cloud(&host, true);
    unsafe {
        for _ in 0..3 {
            trtc_cloud_start_local_preview(cloud, null_mut());
        }
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(host.warnings.load(SeqCst), 0);
        let mut count = 0;
        assert_eq!((trtc_cloud_dispatch(cloud, &raw mut count), count), (TRTC_OK, 3));
        assert_eq!(host.warnings.load(SeqCst), 3);
        assert_eq!(trtc_cloud_destroy(cloud), TRTC_OK);
        assert_eq!(host.released.load(SeqCst), 1);
        let threaded = create(None, false);
        assert_eq!(trtc_cloud_dispatch(threaded, null_mut()), TRTC_ERR_REFUSED);
        trtc_cloud_destroy(threaded);
    }
}

#[test]
fn a_host_that_takes_no_events_is_told_so() {
    let host = Arc::new(Host::default());
    let cloud = host_cloud(&host, true);
    let overflowed =
        (0..5000).any(|_| unsafe { trtc_cloud_start_local_preview(cloud, null_mut()) } == TRTC_ERR_EVENT_OVERFLOW);
    assert!(overflowed);
    unsafe {
        assert_eq!(trtc_cloud_mute_local_audio(cloud, 1), TRTC_ERR_EVENT_OVERFLOW);
        assert_eq!(trtc_cloud_destroy(cloud), TRTC_OK);
    }
    assert_eq!(host.released.load(SeqCst), 1);
}

#[test]
fn joining_nowhere_can_be_destroyed_at_any_time() {
    // A token with nobody's key: the server is not there anyway.
    let token = c"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJrZXkiLCJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMCwidmlkZW8iOnsicm9vbSI6InIiLCJyb29tSm9pbiI6dHJ1ZX19.AAAA";
    for wait_ms in [0, 1, 5, 30] {
        let cloud = create(None, false);
        let mut enter = made!(trtc_enter_params, trtc_enter_params_init);
        enter.server_url = c"ws://127.0.0.1:9".as_ptr();
        enter.access_token = token.as_ptr();
        unsafe {
            assert_eq!(trtc_cloud_enter_room(cloud, &raw const enter, 0), TRTC_OK, "{}", message());
            std::thread::sleep(Duration::from_millis(wait_ms));
            assert_eq!(trtc_cloud_destroy(cloud), TRTC_OK);
        }
    }
}

#[test]
fn logs_and_version() {
    assert_eq!(trtc_version(), 1 << 8);
    assert_eq!(unsafe { CStr::from_ptr(trtc_version_string()) }, c"0.1.0");
    assert_eq!(trtc_set_log_level(7), TRTC_ERR_INVALID_PARAMETER);
    assert_eq!(trtc_set_log_level(TRTC_LOG_LEVEL_NONE), TRTC_OK);
    unsafe {
        assert_eq!(trtc_set_log_file(c"/nonexistent/x".as_ptr()), TRTC_ERR_FILE);
        assert_eq!(trtc_set_log_file(null()), TRTC_OK);
        assert_eq!(trtc_set_log_callback(None, null_mut()), TRTC_OK);
    }
    let mut pts = [0; 2];
    unsafe {
        assert_eq!(trtc_generate_custom_pts(&raw mut pts[0]), TRTC_OK);
        assert_eq!(trtc_generate_custom_pts(&raw mut pts[1]), TRTC_OK);
    }
    assert!(pts[0] <= pts[1]);
}
