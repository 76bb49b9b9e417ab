//! The callback table, and the events that fill it.
use super::params::sized_struct;
use super::sized::SizedStruct;
use super::text::c_string;
use super::trtc_bool;
use std::ffi::{c_char, c_void};
use std::mem::size_of;
use trtc_sdk::Event;
use trtc_types::stats::Statistics;
use trtc_types::{NetworkQuality, UserId};

/// What a cloud tells its host. NULL members are skipped; the table is copied.
///
/// Callbacks of one cloud never overlap and arrive in order: on a thread of the cloud or, with `pull_events`, inside
/// `trtc_cloud_dispatch()`. Pointers are valid until the callback returns. Every function of the library may be called
/// inside, `trtc_cloud_destroy()` included. At 4,096 waiting events (`on_statistics`, `on_network_quality` and
/// `on_user_voice_volume` do not count) the cloud closes itself with `TRTC_ERR_EVENT_OVERFLOW`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_callbacks {
    /// `sizeof(trtc_callbacks)`.
    pub struct_size: u32,
    /// Given to every callback. Stays the host's, and must live until `user_data_release`. Default NULL.
    pub user_data: *mut c_void,
    /// Called exactly once, after the last callback of the cloud (render callbacks included), on any thread. Not called
    /// when `trtc_cloud_create()` fails.
    pub user_data_release: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// Something failed for good. `code` is `TRTC_ERR_*`, `message` a sentence for people.
    pub on_error: Option<unsafe extern "C" fn(user_data: *mut c_void, code: i32, message: *const c_char)>,
    /// Something is worse than it should be; the call goes on. `code` is `TRTC_WARN_*`, `message` a sentence for people.
    pub on_warning: Option<unsafe extern "C" fn(user_data: *mut c_void, code: i32, message: *const c_char)>,
    /// Entering ended: above 0 the elapsed milliseconds, below 0 `TRTC_ERR_*` (`on_error` came first); never 0.
    pub on_enter_room: Option<unsafe extern "C" fn(user_data: *mut c_void, result: i32)>,
    /// The room was left: 0 own call, 1 kicked, 2 room dismissed, 3 server abnormal.
    pub on_exit_room: Option<unsafe extern "C" fn(user_data: *mut c_void, reason: i32)>,
    /// A remote user is in the room.
    pub on_remote_user_enter_room: Option<unsafe extern "C" fn(user_data: *mut c_void, user_id: *const c_char)>,
    /// A remote user has left: 0 by itself, 1 timed out, 2 kicked, 3 became audience.
    pub on_remote_user_leave_room:
        Option<unsafe extern "C" fn(user_data: *mut c_void, user_id: *const c_char, reason: i32)>,
    /// The main stream of a user can be watched (nonzero), or no longer; a muted one cannot.
    pub on_user_video_available:
        Option<unsafe extern "C" fn(user_data: *mut c_void, user_id: *const c_char, available: trtc_bool)>,
    /// The sub stream of a user can be watched (nonzero), or no longer; a muted one cannot.
    pub on_user_sub_stream_available:
        Option<unsafe extern "C" fn(user_data: *mut c_void, user_id: *const c_char, available: trtc_bool)>,
    /// A user can be heard (nonzero), or no longer; a muted microphone cannot.
    pub on_user_audio_available:
        Option<unsafe extern "C" fn(user_data: *mut c_void, user_id: *const c_char, available: trtc_bool)>,
    /// The first picture of a stream (`TRTC_VIDEO_STREAM_TYPE_*`); `user_id` is "" for the local user. Sizes in pixels.
    pub on_first_video_frame: Option<
        unsafe extern "C" fn(user_data: *mut c_void, user_id: *const c_char, stream_type: i32, width: u32, height: u32),
    >,
    /// The first sound of a remote user.
    pub on_first_audio_frame: Option<unsafe extern "C" fn(user_data: *mut c_void, user_id: *const c_char)>,
    /// The first picture of a local stream (`TRTC_VIDEO_STREAM_TYPE_*`) was sent.
    pub on_send_first_local_video_frame: Option<unsafe extern "C" fn(user_data: *mut c_void, stream_type: i32)>,
    /// The first local sound was sent.
    pub on_send_first_local_audio_frame: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// The size of a remote stream (`TRTC_VIDEO_STREAM_TYPE_*`), in pixels, also the first.
    pub on_user_video_size_changed: Option<
        unsafe extern "C" fn(user_data: *mut c_void, user_id: *const c_char, stream_type: i32, width: u32, height: u32),
    >,
    /// Measurements, every 2 s in a room. One that was not delivered yet is replaced.
    pub on_statistics: Option<unsafe extern "C" fn(user_data: *mut c_void, statistics: *const trtc_statistics)>,
    /// The connection to the server broke. Local streams stay.
    pub on_connection_lost: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// The library tries to come back; `on_connection_recovery` or `on_exit_room` follows.
    pub on_try_to_reconnect: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// The connection is back; local streams go on by themselves.
    pub on_connection_recovery: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// A command message: `cmd_id` 1..10, `size_bytes` at most 1,000; `seq` is the sender's running number.
    pub on_recv_custom_cmd_msg: Option<
        unsafe extern "C" fn(
            user_data: *mut c_void,
            user_id: *const c_char,
            cmd_id: i32,
            seq: u32,
            data: *const u8,
            size_bytes: u32,
        ),
    >,
    /// `missed` reliable command messages of a user got lost. `error` is -1 for now.
    pub on_miss_custom_cmd_msg: Option<
        unsafe extern "C" fn(user_data: *mut c_void, user_id: *const c_char, cmd_id: i32, error: i32, missed: i32),
    >,
    /// Loudness 0..100 of `count` users, the local one included, as `trtc_cloud_enable_audio_volume_evaluation()` asked
    /// for; `total` is that of the mixed playout. One that was not delivered yet is replaced.
    pub on_user_voice_volume: Option<
        unsafe extern "C" fn(user_data: *mut c_void, users: *const *const trtc_volume_info, count: u32, total: u32),
    >,
    /// `trtc_cloud_switch_role()` ended: `TRTC_OK`, or `TRTC_ERR_*` and the role is as it was. `message` is a sentence for
    /// people: why, or with `TRTC_OK` what could not be done; or "".
    pub on_switch_role: Option<unsafe extern "C" fn(user_data: *mut c_void, code: i32, message: *const c_char)>,
    /// The camera delivers pictures, for the first time or again.
    pub on_camera_did_ready: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// The microphone delivers sound.
    pub on_mic_did_ready: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// A device (`TRTC_DEVICE_TYPE_*`) came, went, is used now, or is the system's default now (`TRTC_DEVICE_STATE_*`; cameras
    /// have no default). Told of microphones and speakers while the cloud uses one, of cameras after
    /// `trtc_cloud_start_local_preview()`, and of each type after `trtc_device_get_devices_list()`; within about 1 s.
    pub on_device_change:
        Option<unsafe extern "C" fn(user_data: *mut c_void, device_id: *const c_char, device_type: i32, state: i32)>,
    /// How good the networks are, every 2 s in a room: `local` is ours (`user_id` ""), `remote` those of `count` users who
    /// send, each with their way to the server and ours from there. One that was not delivered yet is replaced.
    pub on_network_quality: Option<
        unsafe extern "C" fn(
            user_data: *mut c_void,
            local: *const trtc_quality_info,
            remote: *const *const trtc_quality_info,
            count: u32,
        ),
    >,
}

sized_struct!(
    trtc_callbacks,
    Self {
        struct_size: size_of::<Self>() as u32,
        user_data: std::ptr::null_mut(),
        user_data_release: None,
        on_error: None,
        on_warning: None,
        on_enter_room: None,
        on_exit_room: None,
        on_remote_user_enter_room: None,
        on_remote_user_leave_room: None,
        on_user_video_available: None,
        on_user_sub_stream_available: None,
        on_user_audio_available: None,
        on_first_video_frame: None,
        on_first_audio_frame: None,
        on_send_first_local_video_frame: None,
        on_send_first_local_audio_frame: None,
        on_user_video_size_changed: None,
        on_statistics: None,
        on_connection_lost: None,
        on_try_to_reconnect: None,
        on_connection_recovery: None,
        on_recv_custom_cmd_msg: None,
        on_miss_custom_cmd_msg: None,
        on_user_voice_volume: None,
        on_switch_role: None,
        on_camera_did_ready: None,
        on_mic_did_ready: None,
        on_device_change: None,
        on_network_quality: None,
    }
);

// SAFETY: the table is a copy; `user_data` is only handed back, and the host promises that its functions may be called on the
// threads that the header names.
unsafe impl Send for trtc_callbacks {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for trtc_callbacks {}

/// How good somebody's network is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_quality_info {
    /// `sizeof(trtc_quality_info)` of the library.
    pub struct_size: u32,
    /// `TRTC_QUALITY_*`.
    pub quality: i32,
    /// Whose; "" is the local user.
    pub user_id: *const c_char,
}

/// How loud somebody is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_volume_info {
    /// `sizeof(trtc_volume_info)` of the library.
    pub struct_size: u32,
    /// Loudness, 0..100.
    pub volume: u32,
    /// Whose; "" is the local user.
    pub user_id: *const c_char,
}

/// One local stream, over the last 2 s. The sound stands with the main stream, or alone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_local_statistics {
    /// `sizeof(trtc_local_statistics)` of the library.
    pub struct_size: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second sent.
    pub frame_rate: u32,
    /// Video kbit/s sent.
    pub video_bitrate_kbps: u32,
    /// Samples per second of the sound; 0 without.
    pub audio_sample_rate_hz: u32,
    /// Audio kbit/s sent.
    pub audio_bitrate_kbps: u32,
    /// `TRTC_VIDEO_STREAM_TYPE_*`.
    pub stream_type: i32,
}

/// One remote stream. Rates and losses are those of the last 2 s, times those since entering. The sound stands with the
/// main stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_remote_statistics {
    /// `sizeof(trtc_remote_statistics)` of the library.
    pub struct_size: u32,
    /// `TRTC_VIDEO_STREAM_TYPE_*`.
    pub stream_type: i32,
    /// Whose.
    pub user_id: *const c_char,
    /// Audio packets lost on the way, before repair, in percent: 0..100.
    pub audio_packet_loss_percent: u32,
    /// Video packets lost on the way, before repair, in percent: 0..100.
    pub video_packet_loss_percent: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second decoded.
    pub frame_rate: u32,
    /// Video kbit/s received.
    pub video_bitrate_kbps: u32,
    /// Audio kbit/s received.
    pub audio_bitrate_kbps: u32,
    /// Present delay of the jitter buffer, the larger one of sound and picture.
    pub jitter_buffer_delay_ms: u32,
    /// Time during which the picture stood still for more than 500 ms.
    pub video_total_block_time_ms: u32,
    /// Time during which sound was missing and had to be made up.
    pub audio_total_block_time_ms: u32,
}

/// Measurements of a membership. Rates and losses are those of the last 2 s.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct trtc_statistics {
    /// `sizeof(trtc_statistics)` of the library.
    pub struct_size: u32,
    /// Processor time of the whole process in percent of one core; may exceed 100. 0 where the system does not tell.
    pub app_cpu_percent: u32,
    /// Loss on the way to the server in percent: 0..100.
    pub up_loss_percent: u32,
    /// Loss on the way from the server in percent: 0..100.
    pub down_loss_percent: u32,
    /// Round trip to the server; 0 unknown.
    pub rtt_ms: u32,
    /// How many `local` has.
    pub local_count: u32,
    /// How many `remote` has.
    pub remote_count: u32,
    /// Bytes of media sent since entering.
    pub sent_bytes: u64,
    /// Bytes of media received since entering.
    pub received_bytes: u64,
    /// Local streams: `local_count` pointers.
    pub local: *const *const trtc_local_statistics,
    /// Remote streams: `remote_count` pointers.
    pub remote: *const *const trtc_remote_statistics,
}

/// Sets the defaults of `trtc_callbacks` (no callback), and `struct_size` to `size`, the host's `sizeof(trtc_callbacks)`.
/// NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_callbacks_init(callbacks: *mut trtc_callbacks, size: u32) {
    // SAFETY: the host promises `size` writable bytes.
    unsafe { super::sized::init(callbacks, size) }
}

impl trtc_callbacks {
    /// Calls the member of an event.
    pub(super) fn deliver(&self, event: Event) {
        let data = self.user_data;
        let flag = i32::from;
        // SAFETY: the host promises that its functions have these signatures and may be called; pointers live until they return.
        unsafe {
            match event {
                Event::Error { code, message } => {
                    if let Some(call) = self.on_error {
                        call(data, code.0, c_string(&message).as_ptr());
                    }
                }
                Event::Warning { code, message } => {
                    if let Some(call) = self.on_warning {
                        call(data, code.0, c_string(&message).as_ptr());
                    }
                }
                Event::EnterRoom(result) => {
                    if let Some(call) = self.on_enter_room {
                        call(data, result);
                    }
                }
                Event::ExitRoom(reason) => {
                    if let Some(call) = self.on_exit_room {
                        call(data, reason);
                    }
                }
                Event::SwitchRole { code, message } => {
                    if let Some(call) = self.on_switch_role {
                        call(data, code.0, c_string(&message).as_ptr());
                    }
                }
                Event::RemoteUserEnterRoom(user) => {
                    if let Some(call) = self.on_remote_user_enter_room {
                        call(data, name(&user).as_ptr());
                    }
                }
                Event::RemoteUserLeaveRoom(user, reason) => {
                    if let Some(call) = self.on_remote_user_leave_room {
                        call(data, name(&user).as_ptr(), reason as i32);
                    }
                }
                Event::UserVideoAvailable(user, on) => {
                    if let Some(call) = self.on_user_video_available {
                        call(data, name(&user).as_ptr(), flag(on));
                    }
                }
                Event::UserSubStreamAvailable(user, on) => {
                    if let Some(call) = self.on_user_sub_stream_available {
                        call(data, name(&user).as_ptr(), flag(on));
                    }
                }
                Event::UserAudioAvailable(user, on) => {
                    if let Some(call) = self.on_user_audio_available {
                        call(data, name(&user).as_ptr(), flag(on));
                    }
                }
                Event::FirstVideoFrame { user, stream, width, height } => {
                    if let Some(call) = self.on_first_video_frame {
                        let user = user.as_ref().map(name).unwrap_or_default();
                        call(data, user.as_ptr(), stream as i32, width, height);
                    }
                }
                Event::FirstAudioFrame(user) => {
                    if let Some(call) = self.on_first_audio_frame {
                        call(data, name(&user).as_ptr());
                    }
                }
                Event::SendFirstLocalVideoFrame(stream) => {
                    if let Some(call) = self.on_send_first_local_video_frame {
                        call(data, stream as i32);
                    }
                }
                Event::SendFirstLocalAudioFrame => self.plain(self.on_send_first_local_audio_frame),
                Event::UserVideoSizeChanged { user, stream, width, height } => {
                    if let Some(call) = self.on_user_video_size_changed {
                        call(data, name(&user).as_ptr(), stream as i32, width, height);
                    }
                }
                Event::Statistics(statistics) => self.statistics(&statistics),
                Event::UserVoiceVolume { users, total } => self.volumes(&users, total),
                Event::CameraDidReady => self.plain(self.on_camera_did_ready),
                Event::MicDidReady => self.plain(self.on_mic_did_ready),
                Event::DeviceChange { id, kind, state } => {
                    if let Some(call) = self.on_device_change {
                        call(data, c_string(&id).as_ptr(), kind as i32, state as i32);
                    }
                }
                Event::NetworkQuality { local, remote } => self.qualities(local, &remote),
                Event::ConnectionLost => self.plain(self.on_connection_lost),
                Event::TryToReconnect => self.plain(self.on_try_to_reconnect),
                Event::ConnectionRecovery => self.plain(self.on_connection_recovery),
                Event::RecvCustomCmdMsg { user, cmd_id, seq, data: bytes } => {
                    if let Some(call) = self.on_recv_custom_cmd_msg {
                        call(data, name(&user).as_ptr(), cmd_id, seq, bytes.as_ptr(), bytes.len() as u32);
                    }
                }
                Event::MissCustomCmdMsg { user, cmd_id, error, missed } => {
                    if let Some(call) = self.on_miss_custom_cmd_msg {
                        call(data, name(&user).as_ptr(), cmd_id, error, missed);
                    }
                }
                // Packets of LiveKit clients on their own topics: TRTC knows command messages only.
                Event::UserData { .. } => {}
            }
        }
    }

    fn plain(&self, callback: Option<unsafe extern "C" fn(*mut c_void)>) {
        if let Some(call) = callback {
            // SAFETY: the host's promise.
            unsafe { call(self.user_data) };
        }
    }

    fn qualities(&self, local: NetworkQuality, remote: &[(UserId, NetworkQuality)]) {
        let Some(call) = self.on_network_quality else { return };
        let info = |quality: NetworkQuality, user: &std::ffi::CStr| trtc_quality_info {
            struct_size: size_of::<trtc_quality_info>() as u32,
            quality: quality as i32,
            user_id: user.as_ptr(),
        };
        let names: Vec<_> = remote.iter().map(|(user, _)| name(user)).collect();
        let infos: Vec<_> = remote.iter().zip(&names).map(|((_, quality), name)| info(*quality, name)).collect();
        let pointers: Vec<*const trtc_quality_info> = infos.iter().map(std::ptr::from_ref).collect();
        let local = info(local, c"");
        // SAFETY: the host's promise; everything pointed to lives until it returns.
        unsafe { call(self.user_data, &raw const local, pointers.as_ptr(), pointers.len() as u32) };
    }

    fn volumes(&self, users: &[(Option<UserId>, u32)], total: u32) {
        let Some(call) = self.on_user_voice_volume else { return };
        let names: Vec<_> = users.iter().map(|(user, _)| user.as_ref().map(name).unwrap_or_default()).collect();
        let infos: Vec<trtc_volume_info> = users
            .iter()
            .zip(&names)
            .map(|((_, volume), name)| trtc_volume_info {
                struct_size: size_of::<trtc_volume_info>() as u32,
                volume: *volume,
                user_id: name.as_ptr(),
            })
            .collect();
        let pointers: Vec<*const trtc_volume_info> = infos.iter().map(std::ptr::from_ref).collect();
        // SAFETY: the host's promise; everything pointed to lives until it returns.
        unsafe { call(self.user_data, pointers.as_ptr(), pointers.len() as u32, total) };
    }

    fn statistics(&self, s: &Statistics) {
        let Some(call) = self.on_statistics else { return };
        let local: Vec<trtc_local_statistics> = s
            .local
            .iter()
            .map(|l| trtc_local_statistics {
                struct_size: size_of::<trtc_local_statistics>() as u32,
                width: l.width,
                height: l.height,
                frame_rate: l.frame_rate,
                video_bitrate_kbps: l.video_bitrate_kbps,
                audio_sample_rate_hz: l.audio_sample_rate_hz,
                audio_bitrate_kbps: l.audio_bitrate_kbps,
                stream_type: l.stream as i32,
            })
            .collect();
        let names: Vec<_> = s.remote.iter().map(|r| name(&r.user)).collect();
        let remote: Vec<trtc_remote_statistics> = s
            .remote
            .iter()
            .zip(&names)
            .map(|(r, name)| trtc_remote_statistics {
                struct_size: size_of::<trtc_remote_statistics>() as u32,
                stream_type: r.stream as i32,
                user_id: name.as_ptr(),
                audio_packet_loss_percent: r.audio_packet_loss_percent,
                video_packet_loss_percent: r.video_packet_loss_percent,
                width: r.width,
                height: r.height,
                frame_rate: r.frame_rate,
                video_bitrate_kbps: r.video_bitrate_kbps,
                audio_bitrate_kbps: r.audio_bitrate_kbps,
                jitter_buffer_delay_ms: r.jitter_buffer_delay_ms,
                video_total_block_time_ms: r.video_total_block_time_ms,
                audio_total_block_time_ms: r.audio_total_block_time_ms,
            })
            .collect();
        let local_pointers: Vec<*const trtc_local_statistics> = local.iter().map(std::ptr::from_ref).collect();
        let remote_pointers: Vec<*const trtc_remote_statistics> = remote.iter().map(std::ptr::from_ref).collect();
        let all = trtc_statistics {
            struct_size: size_of::<trtc_statistics>() as u32,
            app_cpu_percent: s.app_cpu_percent,
            up_loss_percent: s.up_loss_percent,
            down_loss_percent: s.down_loss_percent,
            rtt_ms: s.rtt_ms,
            local_count: local.len() as u32,
            remote_count: remote.len() as u32,
            sent_bytes: s.sent_bytes,
            received_bytes: s.received_bytes,
            local: local_pointers.as_ptr(),
            remote: remote_pointers.as_ptr(),
        };
        // SAFETY: the host's promise; everything pointed to lives until it returns.
        unsafe { call(self.user_data, &raw const all) };
    }
}

fn name(user: &UserId) -> std::ffi::CString {
    c_string(user.as_str())
}

#[cfg(test)]
mod tests;
