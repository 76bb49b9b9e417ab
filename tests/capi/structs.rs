//! Each struct's size as older, newer and confused hosts say it, and each field just inside and just outside.
use crate::header;
use crate::host::*;
use crate::kinds::each;
use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};
use trtc::capi::{audio::*, callbacks::*, cloud::*, code::*, params::*, room::*, source::*, video::*};

const OK: i32 = TRTC_OK;
const BAD: i32 = TRTC_ERR_INVALID_PARAMETER;

/// Gives a struct to the function that takes it.
type Give = fn(*mut trtc_cloud, *mut c_void) -> i32;

/// A good struct in a newer host's memory: the name, its size, how to fill it, who takes it.
struct Sized {
    name: &'static str,
    size: usize,
    init: fn(*mut c_void, u32),
    give: Give,
}

/// The fields behind the known ones, as a newer host might have.
const TAIL: usize = 24;

macro_rules! sized {
    ($($type:ident $good:expr, $give:expr;)*) => {
        fn sized() -> Vec<Sized> {
            vec![$(Sized {
                name: stringify!($type),
                size: size_of::<$type>(),
                init: |to, size| unsafe {
                    <$type as Init>::init(to.cast(), size);
                    let good: fn(&mut $type) = $good;
                    good(&mut *to.cast::<$type>());
                },
                give: |c, p| { let give: fn(*mut trtc_cloud, *mut $type) -> i32 = $give; give(c, p.cast()) },
            }),*]
        }
    };
}

static PIXELS: [u8; 16 * 16 * 4] = [0; 16 * 16 * 4];

fn small_picture(frame: &mut trtc_video_frame) {
    (frame.width, frame.height, frame.pixel_format) = (16, 16, TRTC_VIDEO_PIXEL_FORMAT_RGBA32);
    frame.planes[0] = PIXELS.as_ptr();
}

/// Buffers of the host that no test looks at.
fn short_sound(frame: &mut trtc_audio_frame) {
    (frame.samples_per_channel, frame.samples) = (480, Box::leak(Box::new([0i16; 960])).as_mut_ptr());
}

fn created(callbacks: *const trtc_callbacks, options: *const trtc_cloud_options) -> i32 {
    let mut cloud = null_mut();
    let result = unsafe { trtc_cloud_create(callbacks, options, &raw mut cloud) };
    assert_eq!(result == OK, !cloud.is_null());
    if result == OK {
        destroy(cloud);
    }
    result
}

fn send_picture(c: *mut trtc_cloud, frame: *const trtc_video_frame) -> i32 {
    unsafe {
        trtc_cloud_enable_custom_video_capture(c, 0, 1);
        trtc_cloud_send_custom_video_data(c, 0, frame, None, null_mut())
    }
}

fn send_sound(c: *mut trtc_cloud, frame: *const trtc_audio_frame) -> i32 {
    unsafe {
        trtc_cloud_enable_custom_audio_capture(c, 1);
        trtc_cloud_send_custom_audio_data(c, frame, None, null_mut())
    }
}

fn pull_sound(c: *mut trtc_cloud, frame: *mut trtc_audio_frame) -> i32 {
    unsafe {
        trtc_cloud_enable_custom_audio_rendering(c, 1);
        trtc_cloud_get_custom_audio_rendering_frame(c, frame)
    }
}

fn take_picture(c: *mut trtc_cloud, frame: *mut trtc_video_frame) -> i32 {
    let mut video = null_mut();
    let mut take = || unsafe { trtc_video_acquire(c, null(), 0, 1, &raw mut video, frame) };
    unsafe { trtc_cloud_start_pattern_source(c, 0, null()) };
    let mut result = take();
    until("a local picture", || {
        if result == TRTC_ERR_NO_FRAME {
            result = take();
        }
        result != TRTC_ERR_NO_FRAME
    });
    assert!(result != OK || unsafe { trtc_video_release(video) } == OK);
    result
}

sized! {
    trtc_callbacks |_| {}, |_, p| created(p, null());
    trtc_cloud_options |_| {}, |_, p| created(null(), p);
    trtc_enter_params |p| p.server_url = c"ws://127.0.0.1:9".as_ptr(), |c, p| {
        // Good but for the token, so that it goes no further.
        match unsafe { trtc_cloud_enter_room(c, p, 0) } { TRTC_ERR_ROOM_PARAM_NULL => OK, other => other }
    };
    trtc_video_enc_param |_| {}, |c, p| unsafe { trtc_cloud_set_video_encoder_param(c, 0, p) };
    trtc_video_frame small_picture, |c, p| send_picture(c, p);
    trtc_video_frame |_| {}, take_picture;
    trtc_audio_frame short_sound, |c, p| send_sound(c, p);
    trtc_audio_frame short_sound, pull_sound;
    trtc_file_source |p| p.path = c"/nonexistent/file.y4m".as_ptr(), |c, p| {
        match unsafe { trtc_cloud_start_file_source(c, 0, p) } { TRTC_ERR_FILE => OK, other => other }
    };
    trtc_pattern_source |_| {}, |c, p| unsafe { trtc_cloud_start_pattern_source(c, 0, p) };
}

/// Filled by the library alone; their `struct_size` is checked where every event is delivered.
const FROM_LIBRARY: &[&str] =
    &["trtc_statistics", "trtc_local_statistics", "trtc_remote_statistics", "trtc_volume_info", "trtc_quality_info"];

#[test]
fn no_struct_is_forgotten() {
    let covered = sized().into_iter().map(|s| s.name).chain(FROM_LIBRARY.iter().copied());
    header::same("structs", covered, header::structs().iter().map(|s| s.name));
}

#[test]
fn sizes_and_tails() {
    for Sized { name, size, init, give } in sized() {
        let given = |claimed: u32, tail: u8| {
            let cloud = create(None, true);
            let mut memory = vec![0u64; (size + TAIL).div_ceil(8)];
            let place: *mut c_void = memory.as_mut_ptr().cast();
            init(place, (size + TAIL) as u32);
            unsafe {
                place.cast::<u32>().write(claimed);
                place.cast::<u8>().add(size + TAIL - 1).write(tail);
            }
            let result = give(cloud, place);
            destroy(cloud);
            let bytes: Vec<u8> = memory.iter().flat_map(|w| w.to_ne_bytes()).collect();
            assert_eq!(bytes[..4], claimed.to_ne_bytes(), "{name}: the host's size stays");
            let zeros = bytes[size..size + TAIL - 1].iter().all(|b| *b == 0);
            assert!(zeros && bytes[size + TAIL - 1] == tail, "{name}: nothing is written behind the known fields");
            result
        };
        let (known, newer, wrong) = (size as u32, (size + TAIL) as u32, TRTC_ERR_STRUCT_SIZE);
        assert_eq!(given(known, 0), OK, "{name}: {}", message());
        assert_eq!(given(known, 1), OK, "{name}: what lies behind is the host's");
        assert_eq!(given(newer, 0), OK, "{name}: a newer host that uses nothing new");
        for (claimed, tail) in [(newer, 1), (0, 0), (4, 0), (known - 1, 0), (65_537, 0), (u32::MAX, 0)] {
            assert_eq!(given(claimed, tail), wrong, "{name} says {claimed}");
            assert!(message().contains(name), "{}", message());
        }
    }
}

/// Sets one field of a good struct to each value.
fn field<T: Init + Copy, V: std::fmt::Debug>(
    name: &str,
    good: fn(&mut T),
    give: impl Fn(*mut trtc_cloud, *mut T) -> i32,
    set: impl Fn(&mut T, &V),
    cases: impl IntoIterator<Item = (V, i32)>,
) {
    each(name, cases, |c, value| {
        let mut it = made::<T>();
        good(&mut it);
        set(&mut it, value);
        give(c, &raw mut it)
    });
}

fn enter(c: *mut trtc_cloud, params: *mut trtc_enter_params) -> i32 {
    unsafe { trtc_cloud_enter_room(c, params, 0) }
}

fn enterable(params: &mut trtc_enter_params) {
    let token: &'static CString = Box::leak(Box::new(token("r", "alice", "nobody's")));
    (params.server_url, params.access_token) = (c"ws://127.0.0.1:9".as_ptr(), token.as_ptr());
}

type Text = fn(&mut trtc_enter_params, *const c_char);

fn enter_text(name: &str, set: Text, cases: &[(Option<&str>, i32)]) {
    let text = |value: &Option<&str>| value.map(|v| CString::new(v).unwrap());
    for (value, expected) in cases {
        let text = text(value);
        let pointer = text.as_ref().map_or(null(), |t| t.as_ptr());
        field(name, enterable, enter, |p, ()| set(p, pointer), [((), *expected)]);
    }
    field(name, enterable, enter, |p, ()| set(p, c"\xff".as_ptr()), [((), TRTC_ERR_NOT_UTF8)]);
}

/// Size of the local picture that the pattern makes with these parameters.
fn pattern_size(c: *mut trtc_cloud, param: &trtc_video_enc_param) -> (u32, u32) {
    let mut frame = made::<trtc_video_frame>();
    assert_eq!(unsafe { trtc_cloud_set_video_encoder_param(c, 0, param) }, OK, "{}", message());
    assert_eq!(take_picture(c, &raw mut frame), OK);
    (frame.width, frame.height)
}

fn encoder(c: *mut trtc_cloud, param: *mut trtc_video_enc_param) -> i32 {
    unsafe { trtc_cloud_set_video_encoder_param(c, 0, param) }
}

/// A picture of up to 3840 x 2160 in any format.
fn large_picture(frame: &mut trtc_video_frame) {
    small_picture(frame);
    let data: &'static [u8] = Box::leak(vec![0u8; 3840 * 16 * 4].into_boxed_slice());
    frame.planes = [data.as_ptr(); 3];
}

fn raw_file(c: *mut trtc_cloud, change: impl Fn(&mut trtc_file_source)) -> i32 {
    let file = TempFile::new("fields", 3840 * 16 * 3 / 2);
    let mut source = made::<trtc_file_source>();
    (source.path, source.width, source.height) = (file.path(), 16, 16);
    change(&mut source);
    unsafe { trtc_cloud_start_file_source(c, 0, &raw const source) }
}

fn pattern(c: *mut trtc_cloud, source: *mut trtc_pattern_source) -> i32 {
    unsafe { trtc_cloud_start_pattern_source(c, 0, source) }
}

fn any_bool<T: Init + Copy>(
    give: impl Fn(*mut trtc_cloud, *mut T) -> i32,
    good: fn(&mut T),
    set: impl Fn(&mut T, &i32),
) {
    field("", good, give, set, [0, 1, -1, i32::MIN].map(|v| (v, OK)));
}

macro_rules! fields {
    ($($type:ident { $($field:ident => $check:expr;)* })*) => {
        fn fields() -> Vec<(&'static str, &'static str, fn())> {
            // The names are the structs'.
            $($(let _ = std::mem::offset_of!($type, $field);)*)*
            vec![$($((stringify!($type), stringify!($field), || { $check; }),)*)*]
        }
    };
}

fields! {
    trtc_cloud_options {
        pull_events => for (pull, dispatched) in [(0, TRTC_ERR_REFUSED), (1, OK), (-1, OK)] {
            let mut options = made::<trtc_cloud_options>();
            options.pull_events = pull;
            let mut cloud = null_mut();
            unsafe {
                assert_eq!(trtc_cloud_create(null(), &raw const options, &raw mut cloud), OK);
                assert_eq!(trtc_cloud_dispatch(cloud, null_mut()), dispatched);
            }
            destroy(cloud);
        };
    }
    trtc_enter_params {
        sdk_app_id => field("", enterable, enter, |p, id| p.sdk_app_id = *id, [(0, OK), (u32::MAX, OK)]);
        server_url => enter_text("server_url", |p, text| p.server_url = text, &[
            (None, TRTC_ERR_ROOM_PARAM_NULL), (Some(""), TRTC_ERR_ROOM_PARAM_NULL), (Some("127.0.0.1"), BAD),
            (Some("ftp://127.0.0.1"), BAD), (Some("ws://"), BAD), (Some("ws://192.0.2.1:9"), BAD),
            (Some("http://127.0.0.1:9"), OK), (Some("wss://127.0.0.1:9/prefix"), OK), (Some("https://localhost:9"), OK),
        ]);
        access_token => enter_text("access_token", |p, text| p.access_token = text, &[
            (None, TRTC_ERR_ROOM_PARAM_NULL), (Some(""), TRTC_ERR_ROOM_PARAM_NULL), (Some("garbage"), TRTC_ERR_INVALID_USER_SIG),
            (Some("a.b.c"), TRTC_ERR_INVALID_USER_SIG),
        ]);
        user_id => enter_text("user_id", |p, text| p.user_id = text, &[
            (None, OK), (Some(""), OK), (Some("alice"), OK), (Some("bob"), TRTC_ERR_INVALID_USER_ID),
        ]);
        user_sig => {
            enter_text("user_sig", |p, text| p.user_sig = text, &[(None, OK), (Some(""), OK), (Some("a ticket"), OK)]);
            let without_token = |p: &mut trtc_enter_params, (): &()| {
                (p.access_token, p.user_sig) = (null(), c"a ticket".as_ptr());
            };
            field("user_sig", enterable, enter, without_token, [((), TRTC_ERR_INVALID_SDK_APPID)]);
        };
        str_room_id => enter_text("str_room_id", |p, text| p.str_room_id = text, &[
            (None, OK), (Some(""), OK), (Some("r"), OK), (Some("other"), TRTC_ERR_INVALID_ROOM_ID),
            (Some("a/b"), TRTC_ERR_INVALID_ROOM_ID), (Some(&"r".repeat(65)), TRTC_ERR_INVALID_ROOM_ID),
        ]);
        room_id => {
            let bad = TRTC_ERR_INVALID_ROOM_ID;
            field("room_id", enterable, enter, |p, id| p.room_id = *id, [(0, OK), (1, bad), (u32::MAX - 1, bad), (u32::MAX, bad)]);
            // The token's own number; it wins over the text.
            let token = token("n/4294967294", "alice", "nobody's");
            let number = |p: &mut trtc_enter_params, id: &u32| {
                (p.access_token, p.room_id, p.str_room_id) = (token.as_ptr(), *id, c"other".as_ptr());
            };
            field("room_id", enterable, enter, number, [(u32::MAX - 1, OK), (1, bad)]);
        };
        role => field("role", enterable, enter, |p, role| p.role = *role, [(0, BAD), (19, BAD), (20, OK), (21, OK), (22, BAD)]);
        private_map_key => enter_text("private_map_key", |p, text| p.private_map_key = text, &[
            (None, OK), (Some(""), OK), (Some("a key"), OK),
        ]);
        allow_plain => for (url, allow, expected) in [
            (c"ws://192.0.2.1:9", 0, BAD), (c"ws://192.0.2.1:9", 1, OK), (c"ws://192.0.2.1:9", -1, OK), (c"ws://127.0.0.1:9", 0, OK),
        ] {
            let set = |p: &mut trtc_enter_params, (): &()| (p.server_url, p.allow_plain) = (url.as_ptr(), allow);
            field("server_url", enterable, enter, set, [((), expected)]);
        };
    }
    trtc_video_enc_param {
        video_resolution => {
            let bad = TRTC_ERR_UNSUPPORTED_RESOLUTION;
            let cases = [(0, bad), (1, OK), (2, bad), (7, OK), (50, OK), (64, OK), (100, OK), (114, OK), (115, bad), (-1, bad)];
            field("video_resolution", |_| {}, encoder, |p, v| p.video_resolution = *v, cases);
            for (number, size) in [(104, (320, 180)), (56, (320, 240)), (1, (120, 120)), (54, (280, 210)), (5, (264, 270))] {
                let cloud = create(None, true);
                let param = trtc_video_enc_param { video_resolution: number, ..made::<trtc_video_enc_param>() };
                assert_eq!(pattern_size(cloud, &param), size);
                destroy(cloud);
            }
        };
        res_mode => {
            field("res_mode", |_| {}, encoder, |p, v| p.res_mode = *v, [(-1, BAD), (0, OK), (1, OK), (2, BAD)]);
            let cloud = create(None, true);
            // 180x320, and the width floored to a multiple of 8.
            let param = trtc_video_enc_param { video_resolution: 104, res_mode: 1, ..made::<trtc_video_enc_param>() };
            assert_eq!(pattern_size(cloud, &param), (176, 320));
            destroy(cloud);
        };
        video_fps => field("video_fps", |_| {}, encoder, |p, v| p.video_fps = *v, [(0, BAD), (1, OK), (60, OK), (61, BAD)]);
        video_bitrate_kbps => {
            let cases = [(9, BAD), (10, OK), (50_000, OK), (50_001, BAD)];
            field("video_bitrate_kbps", |_| {}, encoder, |p, v| p.video_bitrate_kbps = *v, cases);
        };
        min_video_bitrate_kbps => {
            let cases = [(0, OK), (550, OK), (551, BAD), (u32::MAX, BAD)];
            field("min_video_bitrate_kbps", |_| {}, encoder, |p, v| p.min_video_bitrate_kbps = *v, cases);
        };
        width => {
            let cases = [(0, BAD), (15, BAD), (16, OK), (3840, OK), (3841, BAD)];
            field("width", |p| p.height = 16, encoder, |p, v| p.width = *v, cases);
            let cloud = create(None, true);
            let param = trtc_video_enc_param { width: 87, height: 51, ..made::<trtc_video_enc_param>() };
            assert_eq!(pattern_size(cloud, &param), (80, 50));
            destroy(cloud);
        };
        height => {
            let cases = [(0, BAD), (15, BAD), (16, OK), (2160, OK), (2161, BAD)];
            field("height", |p| p.width = 16, encoder, |p, v| p.height = *v, cases);
        };
    }
    trtc_video_frame {
        pixel_format => {
            let bad = TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED;
            let cases = [(0, bad), (1, OK), (2, bad), (3, OK), (4, bad), (5, OK), (99, bad), (100, OK), (101, bad)];
            field("pixel_format", large_picture, |c, p| send_picture(c, p), |p, v| p.pixel_format = *v, cases);
        };
        width => {
            let cases = [(0, BAD), (14, BAD), (15, BAD), (16, OK), (17, BAD), (3840, OK), (3842, BAD), (u32::MAX, BAD)];
            field("width", large_picture, |c, p| send_picture(c, p), |p, v| p.width = *v, cases);
        };
        height => {
            let cases = [(0, BAD), (14, BAD), (15, BAD), (16, OK), (17, BAD), (2160, OK), (2162, BAD), (u32::MAX, BAD)];
            field("height", large_picture, |c, p| send_picture(c, p), |p, v| p.height = *v, cases);
        };
        planes => for (format, count) in [(1, 3), (100, 2), (3, 1), (5, 1)] {
            for missing in 0..3 {
                let set = |p: &mut trtc_video_frame, at: &usize| (p.pixel_format, p.planes[*at]) = (format, null());
                field("planes", large_picture, |c, p| send_picture(c, p), set, [(missing, if missing < count { BAD } else { OK })]);
            }
        };
        strides_bytes => {
            let cases = [(0, OK), (63, BAD), (64, OK), (65, OK), ((1 << 20) + 1, BAD), (u32::MAX, BAD)];
            field("strides_bytes", large_picture, |c, p| send_picture(c, p), |p, v| p.strides_bytes[0] = *v, cases);
        };
        rotation => {
            let refused = TRTC_ERR_NOT_SUPPORTED;
            let cases = [(0, OK), (1, refused), (90, refused), (-1, refused)];
            field("rotation", large_picture, |c, p| send_picture(c, p), |p, v| p.rotation = *v, cases);
        };
        timestamp_ms => {
            let cases = [(0, OK), (1, OK), (u64::MAX, OK)];
            field("timestamp_ms", large_picture, |c, p| send_picture(c, p), |p, v| p.timestamp_ms = *v, cases);
        };
    }
    trtc_audio_frame {
        sample_rate_hz => {
            let bad = TRTC_ERR_UNSUPPORTED_SAMPLERATE;
            for rate in [16_000, 24_000, 32_000, 44_100, 48_000] {
                for (rate, expected) in [(rate - 1, bad), (rate, OK), (rate + 1, bad)] {
                    let set = |p: &mut trtc_audio_frame, v: &u32| (p.sample_rate_hz, p.samples_per_channel) = (*v, *v / 100);
                    field("sample_rate_hz", short_sound, |c, p| send_sound(c, p), set, [(rate, expected)]);
                    field("sample_rate_hz", short_sound, pull_sound, set, [(rate, expected)]);
                }
            }
        };
        channels => {
            let cases = [(0, BAD), (1, OK), (2, OK), (3, BAD), (65_537, BAD)];
            field("channels", short_sound, |c, p| send_sound(c, p), |p, v| p.channels = *v, cases);
            field("channels", short_sound, pull_sound, |p, v| p.channels = *v, cases);
        };
        samples_per_channel => {
            fn ample(frame: &mut trtc_audio_frame) {
                frame.samples = Box::leak(Box::new([0i16; 4801])).as_mut_ptr();
            }
            let push = [(0, BAD), (239, BAD), (240, OK), (4800, OK), (4801, BAD), (u32::MAX, BAD)];
            field("samples_per_channel", ample, |c, p| send_sound(c, p), |p, v| p.samples_per_channel = *v, push);
            let pull = [(0, BAD), (479, BAD), (480, OK), (481, BAD), (959, BAD), (960, OK), (961, BAD)];
            field("samples_per_channel", ample, pull_sound, |p, v| p.samples_per_channel = *v, pull);
        };
        samples => {
            let odd = short_buffer().cast::<u8>().wrapping_add(1).cast::<i16>();
            for (place, expected) in [(null_mut(), BAD), (odd, BAD), (short_buffer(), OK)] {
                field("samples", short_sound, |c, p| send_sound(c, p), |p, ()| p.samples = place, [((), expected)]);
                field("samples", short_sound, pull_sound, |p, ()| p.samples = place, [((), expected)]);
            }
        };
        timestamp_ms => {
            field("timestamp_ms", short_sound, |c, p| send_sound(c, p), |p, v| p.timestamp_ms = *v, [(0, OK), (u64::MAX, OK)]);
            let cloud = create(None, true);
            let mut frame = made::<trtc_audio_frame>();
            short_sound(&mut frame);
            assert_eq!((pull_sound(cloud, &raw mut frame), frame.timestamp_ms > 0), (OK, true));
            destroy(cloud);
        };
    }
    trtc_file_source {
        fps => each("fps", [(0, OK), (1, OK), (60, OK), (61, BAD)], |c, fps| raw_file(c, |s| s.fps = *fps));
        path => for (path, expected) in [
            (null(), BAD), (c"".as_ptr(), TRTC_ERR_FILE), (c"/nonexistent/x.yuv".as_ptr(), TRTC_ERR_FILE),
            (c"/nonexistent/x.wav".as_ptr(), TRTC_ERR_FILE), (c"/etc/passwd".as_ptr(), TRTC_ERR_FILE), (c"\xff.yuv".as_ptr(), TRTC_ERR_NOT_UTF8),
        ] {
            each("path", [((), expected)], |c, ()| raw_file(c, |s| s.path = path));
        };
        width => each("width", [(0, BAD), (15, BAD), (16, OK), (3840, OK), (3841, BAD)], |c, v| raw_file(c, |s| s.width = *v));
        height => each("height", [(0, BAD), (15, BAD), (16, OK), (2160, OK), (2161, BAD)], |c, v| raw_file(c, |s| s.height = *v));
        repeat => each("", [0, 1, -1].map(|v| (v, OK)), |c, v| raw_file(c, |s| s.repeat = *v));
    }
    trtc_pattern_source {
        video => any_bool(pattern, |_| {}, |s, v| s.video = *v);
        audio => any_bool(pattern, |_| {}, |s, v| s.audio = *v);
        tone_hz => field("tone_hz", |_| {}, pattern, |s, v| s.tone_hz = *v, [(49, BAD), (50, OK), (4000, OK), (4001, BAD)]);
    }
}

fn short_buffer() -> *mut i16 {
    Box::leak(Box::new([0i16; 960])).as_mut_ptr()
}

#[test]
fn no_field_is_forgotten() {
    let covered = fields().into_iter().map(|(name, field, _)| (name, field));
    // The table of callbacks is covered where every event is delivered, sizes by `sizes_and_tails`.
    let theirs =
        header::structs().into_iter().filter(|s| !FROM_LIBRARY.contains(&s.name) && s.name != "trtc_callbacks");
    let wanted = theirs.flat_map(|s| s.fields.into_iter().map(move |(field, _)| (s.name, field)));
    header::same("fields", covered, wanted.filter(|(_, field)| *field != "struct_size"));
}

#[test]
fn every_field_just_inside_and_just_outside() {
    for (name, field, check) in fields() {
        if let Err(panic) = std::panic::catch_unwind(check) {
            eprintln!("in the row of {name}, {field}");
            std::panic::resume_unwind(panic);
        }
    }
}
