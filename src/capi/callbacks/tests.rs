//! Every event calls its member, with what the event says.
use super::*;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::ffi::CStr;
use trtc_types::stats::{LocalStatistics, RemoteStatistics};
use trtc_types::{Code, DeviceKind, DeviceState, LeaveReason, NetworkQuality, StreamType};

type Lines = Mutex<Vec<String>>;

/// Notes one line.
///
/// # Safety
/// `data` is [`Lines`].
unsafe fn note(data: *mut c_void, line: String) {
    // SAFETY: the caller's promise.
    unsafe { &*data.cast::<Lines>() }.lock().push(line);
}

trait Said {
    fn said(self) -> String;
}

impl Said for i32 {
    fn said(self) -> String {
        self.to_string()
    }
}

impl Said for u32 {
    fn said(self) -> String {
        self.to_string()
    }
}

impl Said for *const c_char {
    fn said(self) -> String {
        // SAFETY: the library's texts are NUL-terminated and live during the callback.
        format!("{:?}", unsafe { CStr::from_ptr(self) }.to_str().unwrap())
    }
}

/// A table whose members note their name and arguments.
macro_rules! recording {
    ($lines:expr; $($member:ident($($arg:ident: $type:ty),*);)*) => {{
        $(unsafe extern "C" fn $member(data: *mut c_void $(, $arg: $type)*) {
            #[allow(unused_mut, reason = "some have no arguments")]
            let mut line = stringify!($member).to_owned();
            $(line += " "; line += &$arg.said();)*
            // SAFETY: `user_data` is the lines.
            unsafe { note(data, line) }
        })*
        trtc_callbacks {
            user_data: std::ptr::from_ref($lines).cast_mut().cast(),
            $($member: Some($member),)*
            ..trtc_callbacks::defaults()
        }
    }};
}

unsafe extern "C" fn message(data: *mut c_void, user: *const c_char, id: i32, seq: u32, bytes: *const u8, size: u32) {
    // SAFETY: the library's promises.
    unsafe {
        let bytes = std::slice::from_raw_parts(bytes, size as usize);
        note(data, format!("on_recv_custom_cmd_msg {} {id} {seq} {bytes:?}", user.said()));
    }
}

unsafe extern "C" fn volumes(data: *mut c_void, users: *const *const trtc_volume_info, count: u32, total: u32) {
    // SAFETY: the library's promises: `count` pointers to sized structs.
    unsafe {
        let users = std::slice::from_raw_parts(users, count as usize);
        let text: Vec<String> = users
            .iter()
            .map(|user| {
                assert_eq!((**user).struct_size as usize, size_of::<trtc_volume_info>());
                format!("{} {}", (**user).user_id.said(), (**user).volume)
            })
            .collect();
        note(data, format!("on_user_voice_volume {} {total}", text.join(" ")));
    }
}

unsafe extern "C" fn qualities(
    data: *mut c_void,
    local: *const trtc_quality_info,
    remote: *const *const trtc_quality_info,
    count: u32,
) {
    // SAFETY: the library's promises: a sized struct, and `count` pointers to sized structs.
    unsafe {
        let remote = std::slice::from_raw_parts(remote, count as usize);
        let all: Vec<String> = std::iter::once(&local)
            .chain(remote)
            .map(|info| {
                assert_eq!((**info).struct_size as usize, size_of::<trtc_quality_info>());
                format!("{} {}", (**info).user_id.said(), (**info).quality)
            })
            .collect();
        note(data, format!("on_network_quality {}", all.join(" ")));
    }
}

unsafe extern "C" fn statistics(data: *mut c_void, all: *const trtc_statistics) {
    // SAFETY: the library's promises: a sized struct with arrays of pointers to sized structs.
    unsafe {
        let s = &*all;
        assert_eq!(s.struct_size as usize, size_of::<trtc_statistics>());
        let local = &**std::slice::from_raw_parts(s.local, s.local_count as usize).first().unwrap();
        let remote = &**std::slice::from_raw_parts(s.remote, s.remote_count as usize).first().unwrap();
        assert_eq!(local.struct_size as usize, size_of::<trtc_local_statistics>());
        assert_eq!(remote.struct_size as usize, size_of::<trtc_remote_statistics>());
        let trtc_local_statistics { width, height, frame_rate, video_bitrate_kbps, .. } = *local;
        let local =
            [width, height, frame_rate, video_bitrate_kbps, local.audio_sample_rate_hz, local.audio_bitrate_kbps];
        let heads = [s.app_cpu_percent, s.up_loss_percent, s.down_loss_percent, s.rtt_ms];
        let r = remote;
        let loss = [r.audio_packet_loss_percent, r.video_packet_loss_percent];
        let rates = [r.width, r.height, r.frame_rate, r.video_bitrate_kbps, r.audio_bitrate_kbps];
        let times = [r.jitter_buffer_delay_ms, r.video_total_block_time_ms, r.audio_total_block_time_ms];
        let user = r.user_id.said();
        note(
            data,
            format!(
                "on_statistics {heads:?} {} {} {local:?} {user} {} {loss:?} {rates:?} {times:?}",
                s.sent_bytes, s.received_bytes, r.stream_type
            ),
        );
    }
}

fn events() -> Vec<Event> {
    let user = || UserId::new("bob").unwrap();
    let local = LocalStatistics {
        stream: StreamType::Sub,
        width: 1,
        height: 2,
        frame_rate: 3,
        video_bitrate_kbps: 4,
        audio_sample_rate_hz: 5,
        audio_bitrate_kbps: 6,
    };
    let remote = RemoteStatistics {
        user: user(),
        stream: StreamType::Sub,
        audio_packet_loss_percent: 11,
        video_packet_loss_percent: 12,
        width: 13,
        height: 14,
        frame_rate: 15,
        video_bitrate_kbps: 16,
        audio_bitrate_kbps: 17,
        jitter_buffer_delay_ms: 18,
        video_total_block_time_ms: 19,
        audio_total_block_time_ms: 20,
    };
    let statistics = Statistics {
        app_cpu_percent: 21,
        up_loss_percent: 22,
        down_loss_percent: 23,
        rtt_ms: 24,
        sent_bytes: 1 << 40,
        received_bytes: 26,
        local: vec![local],
        remote: vec![remote],
    };
    vec![
        Event::Error { code: Code::FILE, message: "no \0 file".into() },
        Event::Warning { code: Code::WARN_CAMERA_DEVICE_EMPTY, message: "no camera".into() },
        Event::EnterRoom(42),
        Event::ExitRoom(2),
        Event::RemoteUserEnterRoom(user()),
        Event::RemoteUserLeaveRoom(user(), LeaveReason::Kicked),
        Event::UserVideoAvailable(user(), true),
        Event::UserSubStreamAvailable(user(), false),
        Event::UserAudioAvailable(user(), true),
        Event::FirstVideoFrame { user: None, stream: StreamType::Big, width: 640, height: 360 },
        Event::FirstVideoFrame { user: Some(user()), stream: StreamType::Sub, width: 64, height: 36 },
        Event::FirstAudioFrame(user()),
        Event::SendFirstLocalVideoFrame(StreamType::Sub),
        Event::SendFirstLocalAudioFrame,
        Event::UserVideoSizeChanged { user: user(), stream: StreamType::Big, width: 320, height: 180 },
        Event::Statistics(Box::new(statistics)),
        Event::UserVoiceVolume { users: vec![(None, 7), (Some(user()), 8)], total: 9 },
        Event::CameraDidReady,
        Event::MicDidReady,
        Event::DeviceChange { id: "mic".into(), kind: DeviceKind::Speaker, state: DeviceState::Active },
        Event::NetworkQuality { local: NetworkQuality::Good, remote: vec![(user(), NetworkQuality::Down)] },
        Event::ConnectionLost,
        Event::TryToReconnect,
        Event::ConnectionRecovery,
        Event::RecvCustomCmdMsg { user: user(), cmd_id: 10, seq: 4_000_000_000, data: vec![0, 255] },
        Event::MissCustomCmdMsg { user: user(), cmd_id: 1, error: -1, missed: 3 },
        Event::SwitchRole { code: Code::REFUSED, message: "no".into() },
        Event::UserData { from: None, topic: "chat".into(), data: vec![1], reliable: true },
    ]
}

const EXPECTED: &[&str] = &[
    r#"on_error -909 "no   file""#,
    r#"on_warning 1111 "no camera""#,
    "on_enter_room 42",
    "on_exit_room 2",
    r#"on_remote_user_enter_room "bob""#,
    r#"on_remote_user_leave_room "bob" 2"#,
    r#"on_user_video_available "bob" 1"#,
    r#"on_user_sub_stream_available "bob" 0"#,
    r#"on_user_audio_available "bob" 1"#,
    r#"on_first_video_frame "" 0 640 360"#,
    r#"on_first_video_frame "bob" 2 64 36"#,
    r#"on_first_audio_frame "bob""#,
    "on_send_first_local_video_frame 2",
    "on_send_first_local_audio_frame",
    r#"on_user_video_size_changed "bob" 0 320 180"#,
    r#"on_statistics [21, 22, 23, 24] 1099511627776 26 [1, 2, 3, 4, 5, 6] "bob" 2 [11, 12] [13, 14, 15, 16, 17] [18, 19, 20]"#,
    r#"on_user_voice_volume "" 7 "bob" 8 9"#,
    "on_camera_did_ready",
    "on_mic_did_ready",
    r#"on_device_change "mic" 1 2"#,
    r#"on_network_quality "" 2 "bob" 6"#,
    "on_connection_lost",
    "on_try_to_reconnect",
    "on_connection_recovery",
    r#"on_recv_custom_cmd_msg "bob" 10 4000000000 [0, 255]"#,
    r#"on_miss_custom_cmd_msg "bob" 1 -1 3"#,
    r#"on_switch_role -3 "no""#,
];

#[test]
fn every_event_calls_its_member() {
    let lines = Lines::default();
    let mut table = recording! { &lines;
        on_error(code: i32, message: *const c_char);
        on_warning(code: i32, message: *const c_char);
        on_enter_room(result: i32);
        on_exit_room(reason: i32);
        on_remote_user_enter_room(user: *const c_char);
        on_remote_user_leave_room(user: *const c_char, reason: i32);
        on_user_video_available(user: *const c_char, available: trtc_bool);
        on_user_sub_stream_available(user: *const c_char, available: trtc_bool);
        on_user_audio_available(user: *const c_char, available: trtc_bool);
        on_first_video_frame(user: *const c_char, stream: i32, width: u32, height: u32);
        on_first_audio_frame(user: *const c_char);
        on_send_first_local_video_frame(stream: i32);
        on_send_first_local_audio_frame();
        on_user_video_size_changed(user: *const c_char, stream: i32, width: u32, height: u32);
        on_camera_did_ready();
        on_mic_did_ready();
        on_device_change(id: *const c_char, kind: i32, state: i32);
        on_connection_lost();
        on_try_to_reconnect();
        on_connection_recovery();
        on_miss_custom_cmd_msg(user: *const c_char, id: i32, error: i32, missed: i32);
        on_switch_role(code: i32, message: *const c_char);
    };
    table.on_recv_custom_cmd_msg = Some(message);
    table.on_user_voice_volume = Some(volumes);
    table.on_statistics = Some(statistics);
    table.on_network_quality = Some(qualities);
    events().into_iter().for_each(|event| table.deliver(event));
    let lines = lines.into_inner();
    assert_eq!(lines, EXPECTED);
    // No member of the header was forgotten.
    let called: BTreeSet<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    let members = include_str!("../../../include/trtc.h").split("(*on_").skip(1);
    let members: BTreeSet<String> =
        members.map(|rest| format!("on_{}", rest.split(')').next().unwrap_or_default())).collect();
    assert_eq!(called.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), members);
}

#[test]
fn missing_members_are_skipped() {
    let table = trtc_callbacks::defaults();
    events().into_iter().for_each(|event| table.deliver(event));
}
