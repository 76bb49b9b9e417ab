//! Pictures, sound, texts and logs without a room.
use crate::host::*;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use trtc::capi::{audio::*, cloud::*, code::*, log::*, params::*, room::*, video::*};

#[test]
fn the_last_error_is_of_the_thread_and_of_the_cloud() {
    let (c, other) = (create(None, true), create(None, true));
    unsafe {
        assert_eq!(trtc_cloud_set_audio_capture_volume(c, 151), TRTC_ERR_INVALID_PARAMETER);
        let expected = message();
        let token = c.addr();
        std::thread::spawn(move || assert_eq!(message(), "", "another thread has its own")).join().unwrap();
        let text = |c| {
            let mut buffer = [1 as c_char; 200];
            assert_eq!(trtc_cloud_last_error(c, buffer.as_mut_ptr(), 200, null_mut()), TRTC_OK);
            CStr::from_ptr(buffer.as_ptr()).to_str().unwrap().to_owned()
        };
        assert_eq!((text(c), text(other)), (expected.clone(), String::new()));
        // A call that fails on another thread is the cloud's latest, not this thread's.
        std::thread::spawn(move || trtc_cloud_set_audio_playout_volume(handle(token), 999)).join().unwrap();
        assert_eq!((text(c), message()), ("volume must be 0..=150, got 999".to_owned(), expected));
    }
    destroy(c);
    destroy(other);
}

unsafe extern "C" fn count(context: *mut c_void) {
    unsafe { &*context.cast::<AtomicUsize>() }.fetch_add(1, SeqCst);
}

#[test]
fn pushed_pictures_are_released_once_and_shown() {
    let released = AtomicUsize::new(0);
    let context = (&raw const released).cast_mut().cast();
    let c = create(None, true);
    let pixels = vec![100u8; 64 * 48 * 4];
    let mut frame = made::<trtc_video_frame>();
    (frame.width, frame.height, frame.pixel_format) = (64, 48, TRTC_VIDEO_PIXEL_FORMAT_BGRA32);
    frame.planes[0] = pixels.as_ptr();
    let send = |frame: *const trtc_video_frame| {
        let before = released.load(SeqCst);
        let result = unsafe { trtc_cloud_send_custom_video_data(c, 0, frame, Some(count), context) };
        assert_eq!(released.load(SeqCst), before + 1, "once, also on failure");
        result
    };
    assert_eq!(send(&raw const frame), TRTC_ERR_REFUSED);
    assert_eq!(unsafe { trtc_cloud_enable_custom_video_capture(c, 0, 1) }, TRTC_OK);
    assert_eq!(send(&raw const frame), TRTC_OK);
    assert_eq!(send(null()), TRTC_ERR_INVALID_PARAMETER);
    assert_eq!(send(&trtc_video_frame { width: 15, ..frame }), TRTC_ERR_INVALID_PARAMETER);
    let (mut video, mut shown) = (null_mut(), made::<trtc_video_frame>());
    until("a local picture", || {
        (unsafe { trtc_video_acquire(c, null(), 0, TRTC_VIDEO_PIXEL_FORMAT_I420, &raw mut video, &raw mut shown) })
            == TRTC_OK
    });
    assert_eq!((shown.width, shown.height, shown.strides_bytes), (64, 48, [64, 32, 32]));
    unsafe {
        assert_eq!(trtc_cloud_exit_room(video.cast()), TRTC_ERR_INVALID_HANDLE, "a picture is no cloud");
        assert_eq!(trtc_cloud_exit_room(c), TRTC_OK);
    }
    destroy(c);
    // The picture is the host's until it is released, also after the cloud's end.
    unsafe {
        assert!(shown.planes[0].read().abs_diff(102) < 6, "luma of grey 100: {}", shown.planes[0].read());
        assert!(shown.planes[2].read().abs_diff(128) < 3);
        assert_eq!(trtc_video_release(video), TRTC_OK);
        assert_eq!(trtc_video_release(video), TRTC_ERR_INVALID_HANDLE);
    }
}

#[test]
fn every_format_comes_back_as_it_went_in() {
    let c = create(None, true);
    assert_eq!(unsafe { trtc_cloud_enable_custom_video_capture(c, 2, 1) }, TRTC_OK);
    // Grey has the same bytes in all planes of YUV, and in all channels of RGB but alpha.
    let bytes = [128u8; 32 * 16 * 4];
    for (format, planes, strides) in [
        (TRTC_VIDEO_PIXEL_FORMAT_I420, 3, [32, 16, 16]),
        (TRTC_VIDEO_PIXEL_FORMAT_NV12, 2, [32, 32, 0]),
        (TRTC_VIDEO_PIXEL_FORMAT_BGRA32, 1, [128, 0, 0]),
        (TRTC_VIDEO_PIXEL_FORMAT_RGBA32, 1, [128, 0, 0]),
    ] {
        let mut frame = made::<trtc_video_frame>();
        (frame.width, frame.height, frame.pixel_format) = (32, 16, format);
        frame.planes = [bytes.as_ptr(); 3];
        let (mut video, mut shown) = (null_mut(), made::<trtc_video_frame>());
        until("a picture", || unsafe {
            // An early picture is left out: the encoder's rate is lower than ours.
            let sent = trtc_cloud_send_custom_video_data(c, 2, &raw const frame, None, null_mut());
            assert!(sent == TRTC_OK || sent == TRTC_ERR_QUEUE_FULL);
            trtc_video_acquire(c, null(), 2, format, &raw mut video, &raw mut shown) == TRTC_OK
        });
        assert_eq!((shown.pixel_format, shown.width, shown.height), (format, 32, 16));
        assert_eq!(shown.strides_bytes, strides);
        for (plane, stride) in shown.planes.into_iter().zip(strides) {
            assert_eq!(plane.is_null(), stride == 0, "{planes} planes");
            assert!(stride == 0 || unsafe { plane.read() }.abs_diff(128) < 4);
        }
        assert_eq!(unsafe { trtc_video_release(video) }, TRTC_OK);
    }
    destroy(c);
}

#[test]
fn sound_is_pulled_in_time_and_pushed_into_a_bounded_queue() {
    let c = create(None, true);
    let mut samples = [7i16; 9600];
    let mut frame = made::<trtc_audio_frame>();
    (frame.samples, frame.samples_per_channel) = (samples.as_mut_ptr(), 480);
    unsafe {
        assert_eq!(trtc_cloud_get_custom_audio_rendering_frame(c, &raw mut frame), TRTC_ERR_REFUSED);
        assert_eq!(trtc_cloud_enable_custom_audio_rendering(c, 1), TRTC_OK);
        assert_eq!(trtc_cloud_get_custom_audio_rendering_frame(c, &raw mut frame), TRTC_OK);
        assert!(samples[..480].iter().all(|s| *s == 0) && samples[480] == 7 && frame.timestamp_ms > 0);
        assert_eq!(trtc_cloud_send_custom_audio_data(c, &raw const frame, None, null_mut()), TRTC_ERR_REFUSED);
        assert_eq!(trtc_cloud_enable_custom_audio_capture(c, 1), TRTC_OK);
        (frame.channels, frame.samples_per_channel) = (2, 4800);
        let push = || trtc_cloud_send_custom_audio_data(c, &raw const frame, None, null_mut());
        assert!((0..10).all(|_| push() == TRTC_OK), "a second fits");
        assert!((0..1000).any(|_| push() == TRTC_ERR_QUEUE_FULL), "100 s do not");
    }
    destroy(c);
}

#[test]
fn volumes_come_back() {
    let c = create(None, true);
    let mut volume = 0;
    unsafe {
        assert_eq!((trtc_cloud_get_audio_capture_volume(c, &raw mut volume), volume), (TRTC_OK, 100));
        assert_eq!((trtc_cloud_get_audio_playout_volume(c, &raw mut volume), volume), (TRTC_OK, 100));
        assert_eq!(trtc_cloud_set_audio_capture_volume(c, 150), TRTC_OK);
        assert_eq!(trtc_cloud_set_audio_playout_volume(c, 0), TRTC_OK);
        assert_eq!((trtc_cloud_get_audio_capture_volume(c, &raw mut volume), volume), (TRTC_OK, 150));
        assert_eq!((trtc_cloud_get_audio_playout_volume(c, &raw mut volume), volume), (TRTC_OK, 0));
    }
    destroy(c);
}

unsafe extern "C" fn logged(lines: *mut c_void, level: i32, module: *const c_char, message: *const c_char) {
    let text = |p| unsafe { CStr::from_ptr(p) }.to_str().unwrap().to_owned();
    let line = (level, text(module), text(message));
    unsafe { &*lines.cast::<parking_lot::Mutex<Vec<(i32, String, String)>>>() }.lock().push(line);
}

#[test]
fn logs_go_to_the_host_and_to_a_file() {
    let _one = LOGS.lock();
    let lines = parking_lot::Mutex::new(Vec::new());
    let file = TempFile::new("log", 0);
    let c = create(None, true);
    unsafe {
        assert_eq!(trtc_set_log_callback(Some(logged), (&raw const lines).cast_mut().cast()), TRTC_OK);
        assert_eq!(trtc_set_log_file(file.path()), TRTC_OK);
        warn(c);
        assert_eq!(lines.lock().len(), 0, "nothing by default");
        assert_eq!(trtc_set_log_level(TRTC_LOG_LEVEL_WARN), TRTC_OK);
        warn(c);
        assert_eq!(trtc_set_log_level(TRTC_LOG_LEVEL_NONE), TRTC_OK);
        warn(c);
        assert_eq!(trtc_set_log_callback(None, null_mut()), TRTC_OK);
        assert_eq!(trtc_set_log_file(null()), TRTC_OK);
    }
    let lines = lines.into_inner();
    let ours = |l: &&(i32, String, String)| l.2.contains("no camera");
    let (level, module, _) = lines.iter().find(ours).expect("a line");
    assert_eq!((*level, module.starts_with("trtc_sdk")), (TRTC_LOG_LEVEL_WARN, true), "{module}");
    let written = std::fs::read_to_string(unsafe { CStr::from_ptr(file.path()) }.to_str().unwrap()).unwrap();
    assert!(written.contains("no camera"), "{written}");
    destroy(c);
}

#[test]
fn version_and_clock() {
    assert_eq!(trtc_version(), 1 << 8);
    assert_eq!(unsafe { CStr::from_ptr(trtc_version_string()) }, c"0.1.0");
    let mut pts = [0; 2];
    unsafe {
        assert_eq!(trtc_generate_custom_pts(&raw mut pts[0]), TRTC_OK);
        assert_eq!(trtc_generate_custom_pts(&raw mut pts[1]), TRTC_OK);
    }
    assert!(0 < pts[0] && pts[0] <= pts[1]);
}
