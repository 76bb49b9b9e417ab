//! Kinds of parameters: what is allowed for each, tried just inside and just outside.
use crate::host::*;
use std::ffi::{CString, c_char, c_void};
use std::fmt::Debug;
use std::ptr::{null, null_mut, without_provenance_mut};
use trtc::capi::{
    audio::*, callbacks::*, cloud::*, code::*, device::*, message::*, params::*, room::*, source::*, video::*,
};

pub const OK: i32 = TRTC_OK;
pub const BAD: i32 = TRTC_ERR_INVALID_PARAMETER;

/// Gives each value to a new cloud. An error must name the parameter, unless it is about the state (`TRTC_ERR_REFUSED`).
pub fn each<T: Debug>(
    parameter: &str,
    cases: impl IntoIterator<Item = (T, i32)>,
    call: impl Fn(*mut trtc_cloud, &T) -> i32,
) {
    for (value, expected) in cases {
        let cloud = create(None, true);
        let result = call(cloud, &value);
        assert_eq!(result, expected, "{parameter} {value:?}: {}", if result == OK { String::new() } else { message() });
        let named = [OK, TRTC_ERR_REFUSED].contains(&result) || message().contains(parameter);
        assert!(named, "{parameter} {value:?} is not named: {}", message());
        destroy(cloud);
    }
}

pub type Call<T> = unsafe extern "C" fn(*mut trtc_cloud, T) -> i32;

/// Zero is false, anything else is true.
pub fn any_bool(call: impl Fn(*mut trtc_cloud, i32) -> i32) {
    each("", [0, 1, -1, i32::MIN, i32::MAX].map(|value| (value, OK)), |c, value| call(c, *value));
}

/// A pointer that is only handed back.
pub fn any_pointer(call: impl Fn(*mut trtc_cloud, *mut c_void) -> i32) {
    each("", [0, 1, usize::MAX].map(|value| (value, OK)), |c, value| call(c, handle(*value)));
}

/// Main and sub stream of the host; the small one is made by the library.
pub fn streams(call: impl Fn(*mut trtc_cloud, i32) -> i32) {
    let cases = [(-1, BAD), (0, OK), (1, TRTC_ERR_NOT_SUPPORTED), (2, OK), (3, BAD), (i32::MIN, BAD), (i32::MAX, BAD)];
    each("stream_type", cases, |c, value| call(c, *value));
}

/// Any stream of a remote user.
pub fn remote_streams(call: impl Fn(*mut trtc_cloud, i32) -> i32) {
    let cases = [(-1, BAD), (0, OK), (1, OK), (2, OK), (3, BAD), (i32::MIN, BAD), (i32::MAX, BAD)];
    each("stream_type", cases, |c, value| call(c, *value));
}

/// Main and small stream.
pub fn layers(call: impl Fn(*mut trtc_cloud, i32) -> i32) {
    let cases = [(-1, BAD), (0, OK), (1, OK), (2, BAD), (3, BAD), (i32::MIN, BAD), (i32::MAX, BAD)];
    each("stream_type", cases, |c, value| call(c, *value));
}

pub fn volumes(call: Call<u32>) {
    let cases = [(0, OK), (150, OK), (151, BAD), (u32::MAX, BAD)];
    each("volume", cases, |c, value| unsafe { call(c, *value) });
}

/// 1 to 256 bytes of UTF-8 without control characters.
pub fn users(call: impl Fn(*mut trtc_cloud, *const c_char) -> i32) {
    let refused = TRTC_ERR_INVALID_USER_ID;
    let cases = [
        ("a".into(), OK),
        ("\u{1f600}".into(), OK),
        ("u".repeat(256), OK),
        (String::new(), refused),
        ("u".repeat(257), refused),
        ("a\nb".into(), refused),
        ("u".repeat(70_000), BAD),
    ];
    each("user_id", cases, |c, value| call(c, CString::new(value.as_str()).unwrap().as_ptr()));
    each("user_id", [((), BAD)], |c, ()| call(c, null()));
    each("user_id", [((), TRTC_ERR_NOT_UTF8)], |c, ()| call(c, c"\xff".as_ptr()));
}

/// A place for a result: given, NULL, misaligned.
pub fn places<T: Default + Copy>(parameter: &str, when_null: i32, call: impl Fn(*mut trtc_cloud, *mut T) -> i32) {
    let mut room = [T::default(); 2];
    let place = room.as_mut_ptr();
    let odd = place.cast::<u8>().wrapping_add(1).cast::<T>();
    each(parameter, [(place, OK), (null_mut(), when_null), (odd, BAD)], |c, place| call(c, *place));
}

/// A struct that must be given (its fields and sizes have their own table).
pub fn structs<T: Init>(
    parameter: &str,
    when_good: i32,
    when_null: i32,
    call: impl Fn(*mut trtc_cloud, *mut T) -> i32,
) {
    let mut room = [made::<T>(), made::<T>()];
    let place = room.as_mut_ptr();
    let odd = place.cast::<u8>().wrapping_add(1).cast::<T>();
    each("", [(place, when_good)], |c, place| call(c, *place));
    each(parameter, [(null_mut(), when_null), (odd, BAD)], |c, place| call(c, *place));
}

pub unsafe extern "C" fn render(_: *mut c_void, _: *const c_char, _: i32, _: *const trtc_video_frame) {}
pub unsafe extern "C" fn release(_: *mut c_void) {}

pub fn formats(call: impl Fn(*mut trtc_cloud, i32) -> i32) {
    let bad = TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED;
    let cases = [
        (0, bad),
        (1, OK),
        (2, bad),
        (3, OK),
        (4, bad),
        (5, OK),
        (6, bad),
        (99, bad),
        (100, OK),
        (101, bad),
        (-1, bad),
    ];
    each("pixel_format", cases, |c, value| call(c, *value));
}

pub fn no_view(call: impl Fn(*mut trtc_cloud, *mut c_void) -> i32) {
    each("view", [(0, OK), (8, TRTC_ERR_NOT_SUPPORTED)], |c, view| call(c, handle(*view)));
}

/// A small picture of the host, and the cloud ready for it.
pub fn picture(c: *mut trtc_cloud, send: impl FnOnce(&trtc_video_frame) -> i32) -> i32 {
    let pixels = [0u8; 16 * 16 * 4];
    let mut frame = made::<trtc_video_frame>();
    (frame.width, frame.height, frame.pixel_format) = (16, 16, TRTC_VIDEO_PIXEL_FORMAT_BGRA32);
    frame.planes[0] = pixels.as_ptr();
    for stream in [TRTC_VIDEO_STREAM_TYPE_BIG, TRTC_VIDEO_STREAM_TYPE_SUB] {
        assert_eq!(unsafe { trtc_cloud_enable_custom_video_capture(c, stream, 1) }, OK);
    }
    send(&frame)
}

/// 10 ms of the host's sound, and the cloud ready to take or give it.
pub fn sound(c: *mut trtc_cloud, call: impl FnOnce(*mut trtc_audio_frame) -> i32) -> i32 {
    let (mut frame, mut samples) = (made::<trtc_audio_frame>(), [0i16; 480]);
    (frame.samples, frame.samples_per_channel) = (samples.as_mut_ptr(), 480);
    unsafe {
        assert_eq!(trtc_cloud_enable_custom_audio_capture(c, 1), OK);
        assert_eq!(trtc_cloud_enable_custom_audio_rendering(c, 1), OK);
    }
    call(&raw mut frame)
}

/// Takes the local picture that the pattern draws.
pub fn acquire(c: *mut trtc_cloud, stream: i32, take: impl Fn() -> i32) -> i32 {
    unsafe { trtc_cloud_start_pattern_source(c, if stream == 2 { 2 } else { 0 }, null()) };
    let mut result = take();
    until("a local picture", || {
        result = take();
        result != TRTC_ERR_NO_FRAME
    });
    result
}

pub fn shown(c: *mut trtc_cloud, user: *const c_char, stream: i32, format: i32) -> i32 {
    let (mut video, mut frame) = (null_mut(), made::<trtc_video_frame>());
    let result = unsafe { trtc_video_acquire(c, user, stream, format, &raw mut video, &raw mut frame) };
    if result == OK {
        assert_eq!((frame.pixel_format, unsafe { trtc_video_release(video) }), (format, OK));
    }
    result
}

pub fn inits<T: Init>() {
    let known = size_of::<T>();
    let words = known / 4 + 4;
    let fill = |size: usize| {
        let mut memory = vec![u64::MAX; words];
        unsafe { T::init(memory.as_mut_ptr().cast(), size as u32) };
        let bytes: Vec<u8> = memory.iter().flat_map(|w| w.to_ne_bytes()).collect();
        bytes
    };
    let untouched = |bytes: &[u8]| bytes.iter().all(|b| *b == 0xff);
    for size in [0, 4, known - 1, 65_537, u32::MAX as usize] {
        assert!(untouched(&fill(size)), "a wrong size does nothing: {size}");
    }
    for size in [known, known + 8] {
        let bytes = fill(size);
        assert_eq!(bytes[..4], (size as u32).to_ne_bytes());
        assert!(bytes[known..size].iter().all(|b| *b == 0) && untouched(&bytes[size..]), "{size} of {known}");
    }
    unsafe {
        T::init(null_mut(), known as u32);
        let mut memory = vec![u64::MAX; words];
        T::init(memory.as_mut_ptr().cast::<u8>().wrapping_add(1).cast(), known as u32);
        assert!(memory.iter().all(|w| *w == u64::MAX), "a misaligned place is left alone");
    }
}

pub fn create_with(
    callbacks: *const trtc_callbacks,
    options: *const trtc_cloud_options,
    out: *mut *mut trtc_cloud,
) -> i32 {
    let result = unsafe { trtc_cloud_create(callbacks, options, out) };
    if result == OK {
        destroy(unsafe { out.read() });
    }
    result
}

pub fn enter(c: *mut trtc_cloud, scene: i32) -> i32 {
    let token = token("r", "alice", "nobody's");
    let mut params = made::<trtc_enter_params>();
    (params.server_url, params.access_token) = (c"ws://127.0.0.1:9".as_ptr(), token.as_ptr());
    unsafe { trtc_cloud_enter_room(c, &raw const params, scene) }
}

/// At most 4,096 bytes; none at all gives `when_none`.
pub fn keys(when_none: i32, call: impl Fn(*mut trtc_cloud, *const c_char) -> i32) {
    let cases = [
        (String::new(), when_none),
        ("k".repeat(4096), TRTC_ERR_REFUSED),
        ("k".repeat(4097), TRTC_ERR_INVALID_PRIVATE_MAPKEY),
    ];
    each("private_map_key", cases, |c, value| call(c, CString::new(value.as_str()).unwrap().as_ptr()));
    each("private_map_key", [((), when_none)], |c, ()| call(c, null()));
    each("private_map_key", [((), TRTC_ERR_NOT_UTF8)], |c, ()| call(c, c"\xff".as_ptr()));
}

pub fn command(c: *mut trtc_cloud, id: i32, size: u32, flags: (i32, i32)) -> i32 {
    unsafe { trtc_cloud_send_custom_cmd_msg(c, id, [0u8; 1001].as_ptr(), size, flags.0, flags.1) }
}

/// The last error of a cloud, which is `LAST_ERROR` here, into a buffer.
pub fn last_error(c: *mut trtc_cloud, buffer: *mut c_char, size: u32, need: *mut u32) -> i32 {
    unsafe {
        assert_eq!(trtc_cloud_set_audio_capture_volume(c, 151), BAD);
        trtc_cloud_last_error(c, buffer, size, need)
    }
}

pub const LAST_ERROR: &str = "volume must be 0..=150, got 151";

/// Every type; what is not there for one says so.
pub fn device_types(expected: [i32; 3], call: impl Fn(*mut trtc_cloud, i32) -> i32) {
    let [mic, speaker, camera] = expected;
    each("", [(0, mic), (1, speaker), (2, camera)], |c, value| call(c, *value));
    each("device_type", [(-1, BAD), (3, BAD), (i32::MAX, BAD)], |c, value| call(c, *value));
}

pub const NO_VOLUME: [i32; 3] = [TRTC_ERR_NOT_SUPPORTED; 3];

/// A place that a call without support looks at, but does not write to.
pub fn unsupported_places<T: Default + Copy>(parameter: &str, call: impl Fn(*mut trtc_cloud, *mut T) -> i32) {
    let supported = |result| if result == TRTC_ERR_NOT_SUPPORTED { OK } else { result };
    places(parameter, BAD, |c, p| supported(call(c, p)));
}

/// No list is valid.
pub fn bad_lists(call: impl Fn(*mut trtc_device_list) -> i32) {
    for bad in [0, 1, 4097, usize::MAX] {
        assert_eq!(call(without_provenance_mut(bad)), TRTC_ERR_INVALID_HANDLE);
    }
}

/// A list of cameras, given back.
pub fn with_list(c: *mut trtc_cloud, call: impl FnOnce(*mut trtc_device_list) -> i32) -> i32 {
    let mut list = null_mut();
    unsafe {
        assert_eq!(trtc_device_get_devices_list(c, TRTC_DEVICE_TYPE_CAMERA, &raw mut list), OK);
        let result = call(list);
        let text = message();
        assert_eq!(trtc_device_list_release(list), OK);
        assert_eq!(text, message());
        result
    }
}

pub type Text = unsafe extern "C" fn(*mut trtc_device_list, u32, *mut c_char, u32, *mut u32) -> i32;

/// No list has so many devices. The buffer is written as that of `trtc_cloud_last_error`, which is covered there.
pub fn list_text(call: Text) {
    each("index", [(1_000, BAD), (u32::MAX, BAD)], |c, index| {
        with_list(c, |list| unsafe { call(list, *index, [0; 8].as_mut_ptr(), 8, &mut 0) })
    });
}
