//! Each parameter of each function, just inside and just outside of what the header allows. A row for each; the header decides
//! which there must be.
use crate::header;
use crate::host::*;
use crate::kinds::*;
use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut, without_provenance_mut};
use trtc::capi::{
    audio::*, callbacks::*, cloud::*, code::*, device::*, log::*, message::*, params::*, room::*, source::*, video::*,
};

macro_rules! rows {
    ($($function:ident { $($parameter:ident => $check:expr;)* })*) => {
        fn rows() -> Vec<(&'static str, &'static str, fn())> {
            // The names are the functions'.
            $(let _ = $function as *const ();)*
            vec![$($((stringify!($function), stringify!($parameter), || { $check; }),)*)*]
        }
    };
}

rows! {
    trtc_callbacks_init { callbacks => inits::<trtc_callbacks>(); size => inits::<trtc_callbacks>(); }
    trtc_cloud_options_init { params => inits::<trtc_cloud_options>(); size => inits::<trtc_cloud_options>(); }
    trtc_enter_params_init { params => inits::<trtc_enter_params>(); size => inits::<trtc_enter_params>(); }
    trtc_video_enc_param_init { params => inits::<trtc_video_enc_param>(); size => inits::<trtc_video_enc_param>(); }
    trtc_video_frame_init { params => inits::<trtc_video_frame>(); size => inits::<trtc_video_frame>(); }
    trtc_audio_frame_init { params => inits::<trtc_audio_frame>(); size => inits::<trtc_audio_frame>(); }
    trtc_file_source_init { params => inits::<trtc_file_source>(); size => inits::<trtc_file_source>(); }
    trtc_pattern_source_init { params => inits::<trtc_pattern_source>(); size => inits::<trtc_pattern_source>(); }
    trtc_cloud_create {
        callbacks => structs::<trtc_callbacks>("callbacks", OK, OK, |_, p| create_with(p, null(), &mut null_mut()));
        options => structs::<trtc_cloud_options>("options", OK, OK, |_, p| create_with(null(), p, &mut null_mut()));
        out_cloud => places::<usize>("out_cloud", BAD, |_, p| create_with(null(), null(), p.cast()));
    }
    trtc_cloud_dispatch { out_count => places("out_count", OK, |c, p| unsafe { trtc_cloud_dispatch(c, p) }); }
    trtc_cloud_last_error {
        buffer => each("buffer", [(0, TRTC_ERR_BUFFER_TOO_SMALL)], |c, _| last_error(c, null_mut(), 100, null_mut()));
        size_bytes => {
            let (short, exact) = (LAST_ERROR.len() as u32, LAST_ERROR.len() as u32 + 1);
            let small = TRTC_ERR_BUFFER_TOO_SMALL;
            each("size_bytes", [(0, small), (short, small), (exact, OK), (exact + 1, OK)], |c, size| {
                let mut buffer = [1 as c_char; 100];
                let result = last_error(c, buffer.as_mut_ptr(), *size, null_mut());
                let written: Vec<u8> = buffer.iter().map(|b| *b as u8).take_while(|b| *b != 1).collect();
                assert_eq!(written, if result == OK { format!("{LAST_ERROR}\0").into_bytes() } else { vec![] });
                result
            });
        };
        out_need_bytes => places::<u32>("out_need_bytes", OK, |c, p| {
            let result = last_error(c, [0; 100].as_mut_ptr(), 100, p);
            assert!(result != OK || p.is_null() || unsafe { p.read() } as usize == LAST_ERROR.len() + 1);
            result
        });
    }
    trtc_generate_custom_pts { out_pts_ms => places::<u64>("out_pts_ms", BAD, |_, p| unsafe { trtc_generate_custom_pts(p) }); }
    trtc_set_log_level {
        level => {
            let _one = LOGS.lock();
            each("level", [(-1, BAD), (0, OK), (1, OK), (2, OK), (3, OK), (4, OK), (5, OK), (7, BAD), (6, OK)], |_, level| {
                trtc_set_log_level(*level)
            });
        };
    }
    trtc_set_log_file {
        path => {
            let _one = LOGS.lock();
            let cases = [("/nonexistent/x".into(), TRTC_ERR_FILE), (String::new(), TRTC_ERR_FILE), ("/".repeat(70_000), BAD)];
            each("path", cases, |_, path| unsafe { trtc_set_log_file(CString::new(path.as_str()).unwrap().as_ptr()) });
            each("path", [((), TRTC_ERR_NOT_UTF8)], |_, ()| unsafe { trtc_set_log_file(c"\xff".as_ptr()) });
            each("path", [((), OK)], |_, ()| unsafe { trtc_set_log_file(null()) });
        };
    }
    trtc_set_log_callback {
        callback => { let _one = LOGS.lock(); unsafe { assert_eq!(trtc_set_log_callback(None, null_mut()), OK) } };
        user_data => {
            let _one = LOGS.lock();
            any_pointer(|_, p| unsafe { trtc_set_log_callback(None, p) });
        };
    }
    trtc_video_release {
        video => for bad in [0, 1, 4097, usize::MAX] {
            assert_eq!(unsafe { trtc_video_release(without_provenance_mut(bad)) }, TRTC_ERR_INVALID_HANDLE);
        };
    }
    trtc_cloud_enter_room {
        params => structs::<trtc_enter_params>("params", TRTC_ERR_ROOM_PARAM_NULL, BAD, |c, p| unsafe { trtc_cloud_enter_room(c, p, 0) });
        scene => each("scene", [(-1, BAD), (0, OK), (1, OK), (2, OK), (3, OK), (4, BAD)], |c, scene| enter(c, *scene));
    }
    trtc_cloud_switch_role {
        role => each("role", [(0, BAD), (19, BAD), (20, TRTC_ERR_REFUSED), (21, TRTC_ERR_REFUSED), (22, BAD)], |c, role| unsafe { trtc_cloud_switch_role(c, *role, null()) });
        private_map_key => keys(TRTC_ERR_REFUSED, |c, key| unsafe { trtc_cloud_switch_role(c, 20, key) });
    }
    trtc_cloud_update_private_map_key {
        private_map_key => keys(TRTC_ERR_INVALID_PRIVATE_MAPKEY, |c, key| unsafe { trtc_cloud_update_private_map_key(c, key) });
    }
    trtc_cloud_set_default_stream_recv_mode {
        auto_recv_audio => any_bool(|c, on| unsafe { trtc_cloud_set_default_stream_recv_mode(c, on, 1) });
        auto_recv_video => any_bool(|c, on| unsafe { trtc_cloud_set_default_stream_recv_mode(c, 1, on) });
    }
    trtc_cloud_start_local_preview { view => no_view(|c, view| unsafe { trtc_cloud_start_local_preview(c, view) }); }
    trtc_cloud_set_video_encoder_param {
        stream_type => streams(|c, s| unsafe { trtc_cloud_set_video_encoder_param(c, s, &made::<trtc_video_enc_param>()) });
        param => structs::<trtc_video_enc_param>("param", OK, BAD, |c, p| unsafe { trtc_cloud_set_video_encoder_param(c, 0, p) });
    }
    trtc_cloud_enable_small_video_stream {
        enable => any_bool(|c, on| unsafe { trtc_cloud_enable_small_video_stream(c, on, &made::<trtc_video_enc_param>()) });
        param => structs::<trtc_video_enc_param>("param", OK, BAD, |c, p| unsafe { trtc_cloud_enable_small_video_stream(c, 1, p) });
    }
    trtc_cloud_set_remote_video_stream_type {
        user_id => users(|c, u| unsafe { trtc_cloud_set_remote_video_stream_type(c, u, 1) });
        stream_type => layers(|c, s| unsafe { trtc_cloud_set_remote_video_stream_type(c, USER, s) });
    }
    trtc_cloud_set_prior_remote_video_stream_type { stream_type => layers(|c, s| unsafe { trtc_cloud_set_prior_remote_video_stream_type(c, s) }); }
    trtc_cloud_mute_local_video {
        stream_type => streams(|c, s| unsafe { trtc_cloud_mute_local_video(c, s, 1) });
        mute => any_bool(|c, on| unsafe { trtc_cloud_mute_local_video(c, 0, on) });
    }
    trtc_cloud_enable_custom_video_capture {
        stream_type => streams(|c, s| unsafe { trtc_cloud_enable_custom_video_capture(c, s, 1) });
        enable => any_bool(|c, on| unsafe { trtc_cloud_enable_custom_video_capture(c, 0, on) });
    }
    trtc_cloud_send_custom_video_data {
        stream_type => streams(|c, s| picture(c, |f| unsafe { trtc_cloud_send_custom_video_data(c, s, f, None, null_mut()) }));
        frame => {
            let send = |c, f: *mut _| picture(c, |_| unsafe { trtc_cloud_send_custom_video_data(c, 0, f, None, null_mut()) });
            // The default frame has no size.
            structs::<trtc_video_frame>("frame", BAD, BAD, send);
        };
        release => for release in [None, Some(release as unsafe extern "C" fn(*mut c_void))] {
            each("", [((), OK)], |c, ()| picture(c, |f| unsafe { trtc_cloud_send_custom_video_data(c, 0, f, release, null_mut()) }));
        };
        release_context => any_pointer(|c, p| picture(c, |f| unsafe { trtc_cloud_send_custom_video_data(c, 0, f, Some(release), p) }));
    }
    trtc_cloud_set_local_video_render_callback {
        stream_type => streams(|c, s| unsafe { trtc_cloud_set_local_video_render_callback(c, s, 1, Some(render), null_mut()) });
        pixel_format => formats(|c, f| unsafe { trtc_cloud_set_local_video_render_callback(c, 0, f, Some(render), null_mut()) });
        callback => each("", [((), OK)], |c, ()| unsafe { trtc_cloud_set_local_video_render_callback(c, 0, 1, None, null_mut()) });
        user_data => any_pointer(|c, p| unsafe { trtc_cloud_set_local_video_render_callback(c, 0, 1, Some(render), p) });
    }
    trtc_cloud_set_remote_video_render_callback {
        user_id => users(|c, u| unsafe { trtc_cloud_set_remote_video_render_callback(c, u, 0, 1, Some(render), null_mut()) });
        stream_type => remote_streams(|c, s| unsafe { trtc_cloud_set_remote_video_render_callback(c, USER, s, 1, Some(render), null_mut()) });
        pixel_format => formats(|c, f| unsafe { trtc_cloud_set_remote_video_render_callback(c, USER, 0, f, Some(render), null_mut()) });
        callback => each("", [((), OK)], |c, ()| unsafe { trtc_cloud_set_remote_video_render_callback(c, USER, 0, 1, None, null_mut()) });
        user_data => any_pointer(|c, p| unsafe { trtc_cloud_set_remote_video_render_callback(c, USER, 0, 1, Some(render), p) });
    }
    trtc_cloud_start_remote_view {
        user_id => users(|c, u| unsafe { trtc_cloud_start_remote_view(c, u, 0, null_mut()) });
        stream_type => remote_streams(|c, s| unsafe { trtc_cloud_start_remote_view(c, USER, s, null_mut()) });
        view => no_view(|c, view| unsafe { trtc_cloud_start_remote_view(c, USER, 0, view) });
    }
    trtc_cloud_stop_remote_view {
        user_id => users(|c, u| unsafe { trtc_cloud_stop_remote_view(c, u, 0) });
        stream_type => remote_streams(|c, s| unsafe { trtc_cloud_stop_remote_view(c, USER, s) });
    }
    trtc_cloud_mute_remote_video_stream {
        user_id => users(|c, u| unsafe { trtc_cloud_mute_remote_video_stream(c, u, 0, 1) });
        stream_type => remote_streams(|c, s| unsafe { trtc_cloud_mute_remote_video_stream(c, USER, s, 1) });
        mute => any_bool(|c, on| unsafe { trtc_cloud_mute_remote_video_stream(c, USER, 0, on) });
    }
    trtc_cloud_mute_all_remote_video_streams { mute => any_bool(|c, on| unsafe { trtc_cloud_mute_all_remote_video_streams(c, on) }); }
    trtc_video_acquire {
        user_id => {
            // Nobody is watched.
            let empty = |u: &str| (u.to_owned(), if u.is_empty() { TRTC_ERR_INVALID_USER_ID } else { TRTC_ERR_NO_FRAME });
            each("", ["", "a", "u"].map(empty), |c, u| shown(c, CString::new(u.as_str()).unwrap().as_ptr(), 0, 1));
            each("user_id", [((), TRTC_ERR_NOT_UTF8)], |c, ()| shown(c, c"\xff".as_ptr(), 0, 1));
            each("", [((), OK)], |c, ()| acquire(c, 0, || shown(c, null(), 0, 1)));
        };
        stream_type => streams(|c, s| acquire(c, s, || shown(c, null(), s, 1)));
        pixel_format => formats(|c, f| acquire(c, 0, || shown(c, null(), 0, f)));
        out_video => places::<usize>("out_video", BAD, |c, p| acquire(c, 0, || unsafe {
            trtc_video_acquire(c, null(), 0, 1, p.cast(), &mut made::<trtc_video_frame>())
        }));
        frame => structs::<trtc_video_frame>("frame", OK, BAD, |c, p| acquire(c, 0, || unsafe {
            trtc_video_acquire(c, null(), 0, 1, &mut null_mut(), p)
        }));
    }
    trtc_cloud_start_local_audio {
        quality => each("quality", [(0, BAD), (1, OK), (2, OK), (3, OK), (4, BAD), (-1, BAD)], |c, q| unsafe {
            trtc_cloud_start_local_audio(c, *q)
        });
    }
    trtc_cloud_mute_local_audio { mute => any_bool(|c, on| unsafe { trtc_cloud_mute_local_audio(c, on) }); }
    trtc_cloud_enable_custom_audio_capture { enable => any_bool(|c, on| unsafe { trtc_cloud_enable_custom_audio_capture(c, on) }); }
    trtc_cloud_send_custom_audio_data {
        frame => {
            let send = |c, f: *mut _| sound(c, |_| unsafe { trtc_cloud_send_custom_audio_data(c, f, None, null_mut()) });
            // The default frame has no samples.
            structs::<trtc_audio_frame>("frame", BAD, BAD, send);
        };
        release => for release in [None, Some(release as unsafe extern "C" fn(*mut c_void))] {
            each("", [((), OK)], |c, ()| sound(c, |f| unsafe { trtc_cloud_send_custom_audio_data(c, f, release, null_mut()) }));
        };
        release_context => any_pointer(|c, p| sound(c, |f| unsafe { trtc_cloud_send_custom_audio_data(c, f, Some(release), p) }));
    }
    trtc_cloud_set_audio_capture_volume { volume => volumes(trtc_cloud_set_audio_capture_volume); }
    trtc_cloud_get_audio_capture_volume { out_volume => places::<u32>("out_volume", BAD, |c, p| unsafe { trtc_cloud_get_audio_capture_volume(c, p) }); }
    trtc_cloud_set_audio_playout_volume { volume => volumes(trtc_cloud_set_audio_playout_volume); }
    trtc_cloud_get_audio_playout_volume { out_volume => places::<u32>("out_volume", BAD, |c, p| unsafe { trtc_cloud_get_audio_playout_volume(c, p) }); }
    trtc_cloud_set_remote_audio_volume {
        user_id => users(|c, u| unsafe { trtc_cloud_set_remote_audio_volume(c, u, 100) });
        volume => each("volume", [(0, OK), (150, OK), (151, BAD)], |c, v| unsafe { trtc_cloud_set_remote_audio_volume(c, USER, *v) });
    }
    trtc_cloud_mute_remote_audio {
        user_id => users(|c, u| unsafe { trtc_cloud_mute_remote_audio(c, u, 1) });
        mute => any_bool(|c, on| unsafe { trtc_cloud_mute_remote_audio(c, USER, on) });
    }
    trtc_cloud_mute_all_remote_audio { mute => any_bool(|c, on| unsafe { trtc_cloud_mute_all_remote_audio(c, on) }); }
    trtc_cloud_enable_audio_volume_evaluation {
        interval_ms => {
            let cases = [(0, OK), (1, BAD), (99, BAD), (100, OK), (10_000, OK), (10_001, BAD), (u32::MAX, BAD)];
            each("interval_ms", cases, |c, ms| unsafe { trtc_cloud_enable_audio_volume_evaluation(c, *ms) });
        };
    }
    trtc_cloud_enable_custom_audio_rendering { enable => any_bool(|c, on| unsafe { trtc_cloud_enable_custom_audio_rendering(c, on) }); }
    trtc_cloud_get_custom_audio_rendering_frame {
        frame => {
            let get = |c, f: *mut _| sound(c, |_| unsafe { trtc_cloud_get_custom_audio_rendering_frame(c, f) });
            structs::<trtc_audio_frame>("frame", BAD, BAD, get);
        };
    }
    trtc_cloud_send_custom_cmd_msg {
        cmd_id => {
            let cases = [(i32::MIN, BAD), (0, BAD), (1, TRTC_ERR_REFUSED), (10, TRTC_ERR_REFUSED), (11, BAD)];
            each("cmd_id", cases, |c, id| command(c, *id, 1, (1, 1)));
        };
        data => {
            each("data", [(1, BAD), (0, TRTC_ERR_REFUSED)], |c, size| unsafe {
                trtc_cloud_send_custom_cmd_msg(c, 1, null(), *size, 1, 1)
            });
        };
        size_bytes => {
            let cases = [(0, TRTC_ERR_REFUSED), (1000, TRTC_ERR_REFUSED), (1001, BAD), (u32::MAX, BAD)];
            each("size_bytes", cases, |c, size| command(c, 1, *size, (1, 1)));
        };
        reliable => each("reliable", [((1, 0), BAD), ((-1, 1), TRTC_ERR_REFUSED)], |c, flags| command(c, 1, 1, *flags));
        ordered => each("ordered", [((0, 1), BAD), ((0, 0), TRTC_ERR_REFUSED)], |c, flags| command(c, 1, 1, *flags));
    }
    trtc_cloud_start_file_source {
        stream_type => {
            let file = TempFile::new("stream", 16 * 16 * 3 / 2);
            streams(|c, s| {
                let mut source = made::<trtc_file_source>();
                (source.path, source.width, source.height) = (file.path(), 16, 16);
                unsafe { trtc_cloud_start_file_source(c, s, &raw const source) }
            });
        };
        source => {
            let start = |c, p: *mut _| unsafe { trtc_cloud_start_file_source(c, 0, p) };
            // The default has no path.
            structs::<trtc_file_source>("source", BAD, BAD, start);
        };
    }
    trtc_cloud_start_pattern_source {
        stream_type => streams(|c, s| unsafe { trtc_cloud_start_pattern_source(c, s, null()) });
        source => structs::<trtc_pattern_source>("source", OK, OK, |c, p| unsafe { trtc_cloud_start_pattern_source(c, 0, p) });
    }
    trtc_device_get_devices_list {
        device_type => device_types([OK; 3], |c, t| {
            let mut list = null_mut();
            let result = unsafe { trtc_device_get_devices_list(c, t, &raw mut list) };
            assert_eq!(list.is_null(), result != OK);
            assert!(list.is_null() || unsafe { trtc_device_list_release(list) } == OK);
            result
        });
        out_list => places::<usize>("out_list", BAD, |c, p| unsafe { trtc_device_get_devices_list(c, 2, p.cast()) });
    }
    trtc_device_get_current_device {
        device_type => device_types([OK; 3], |c, t| unsafe { trtc_device_get_current_device(c, t, &mut null_mut()) });
        out_list => places::<usize>("out_list", BAD, |c, p| unsafe { trtc_device_get_current_device(c, 2, p.cast()) });
    }
    trtc_device_set_current_device {
        device_type => each("device_type", [(-1, BAD), (3, BAD)], |c, t| unsafe { trtc_device_set_current_device(c, *t, c"x".as_ptr()) });
        device_id => {
            each("device_id", [(c"x", BAD), (c"", BAD)], |c, id| unsafe { trtc_device_set_current_device(c, 2, id.as_ptr()) });
            each("device_id", [((), BAD)], |c, ()| unsafe { trtc_device_set_current_device(c, 2, null()) });
            each("device_id", [((), TRTC_ERR_NOT_UTF8)], |c, ()| unsafe { trtc_device_set_current_device(c, 2, c"\xff".as_ptr()) });
        };
    }
    trtc_device_enable_following_default_audio_device {
        device_type => device_types([OK, OK, TRTC_ERR_NOT_SUPPORTED], |c, t| unsafe {
            trtc_device_enable_following_default_audio_device(c, t, 1)
        });
        enable => any_bool(|c, on| unsafe { trtc_device_enable_following_default_audio_device(c, 0, on) });
    }
    trtc_device_set_current_device_volume {
        device_type => device_types(NO_VOLUME, |c, t| unsafe { trtc_device_set_current_device_volume(c, t, 0) });
        volume => each("volume", [(0, TRTC_ERR_NOT_SUPPORTED), (100, TRTC_ERR_NOT_SUPPORTED), (101, BAD)], |c, v| unsafe {
            trtc_device_set_current_device_volume(c, 0, *v)
        });
    }
    trtc_device_get_current_device_volume {
        device_type => device_types(NO_VOLUME, |c, t| unsafe { trtc_device_get_current_device_volume(c, t, &mut 0) });
        out_volume => unsupported_places("out_volume", |c, p| unsafe { trtc_device_get_current_device_volume(c, 0, p) });
    }
    trtc_device_set_current_device_mute {
        device_type => device_types(NO_VOLUME, |c, t| unsafe { trtc_device_set_current_device_mute(c, t, 1) });
        mute => each("", [0, 1, -1].map(|m| (m, TRTC_ERR_NOT_SUPPORTED)), |c, m| unsafe { trtc_device_set_current_device_mute(c, 0, *m) });
    }
    trtc_device_get_current_device_mute {
        device_type => device_types(NO_VOLUME, |c, t| unsafe { trtc_device_get_current_device_mute(c, t, &mut 0) });
        out_mute => unsupported_places("out_mute", |c, p| unsafe { trtc_device_get_current_device_mute(c, 0, p) });
    }
    trtc_device_list_get_count {
        list => bad_lists(|list| unsafe { trtc_device_list_get_count(list, &mut 0) });
        out_count => places::<u32>("out_count", BAD, |c, p| with_list(c, |list| unsafe { trtc_device_list_get_count(list, p) }));
    }
    trtc_device_list_get_device_name {
        list => bad_lists(|list| unsafe { trtc_device_list_get_device_name(list, 0, null_mut(), 0, null_mut()) });
        index => list_text(trtc_device_list_get_device_name);
        buffer => list_text(trtc_device_list_get_device_name);
        size_bytes => list_text(trtc_device_list_get_device_name);
        out_need_bytes => list_text(trtc_device_list_get_device_name);
    }
    trtc_device_list_get_device_pid {
        list => bad_lists(|list| unsafe { trtc_device_list_get_device_pid(list, 0, null_mut(), 0, null_mut()) });
        index => list_text(trtc_device_list_get_device_pid);
        buffer => list_text(trtc_device_list_get_device_pid);
        size_bytes => list_text(trtc_device_list_get_device_pid);
        out_need_bytes => list_text(trtc_device_list_get_device_pid);
    }
    trtc_device_list_get_device_properties {
        list => bad_lists(|list| unsafe { trtc_device_list_get_device_properties(list, 0, null_mut(), 0, null_mut()) });
        index => list_text(trtc_device_list_get_device_properties);
        buffer => list_text(trtc_device_list_get_device_properties);
        size_bytes => list_text(trtc_device_list_get_device_properties);
        out_need_bytes => list_text(trtc_device_list_get_device_properties);
    }
    trtc_device_list_release { list => bad_lists(|list| unsafe { trtc_device_list_release(list) }); }
    trtc_cloud_stop_source { stream_type => streams(|c, s| unsafe { trtc_cloud_stop_source(c, s) }); }
}

#[test]
fn no_parameter_is_forgotten() {
    let covered = rows().into_iter().map(|(function, parameter, _)| (function, parameter));
    let wanted = header::functions().into_iter().flat_map(|f| {
        // Handles of clouds are covered by every_call.
        let parameters = f.parameters.into_iter().filter(|p| !p.starts_with("trtc_cloud *cloud"));
        parameters.map(move |p| (f.name, header::name(p))).collect::<Vec<_>>()
    });
    header::same("parameters", covered, wanted);
}

#[test]
fn every_parameter_just_inside_and_just_outside() {
    for (function, parameter, check) in rows() {
        if let Err(panic) = std::panic::catch_unwind(check) {
            eprintln!("in the row of {function}, {parameter}");
            std::panic::resume_unwind(panic);
        }
    }
}
