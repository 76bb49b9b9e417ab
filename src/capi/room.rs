//! Entering and leaving.
use super::check::one_of;
use super::cloud::trtc_cloud;
use super::guard::on_cloud;
use super::params::trtc_enter_params;
use super::{sized, text, trtc_bool, trtc_result};
use trtc_sdk::EnterParams;
use trtc_types::{AppScene, Result, Role, RoomId};

/// Enters a room. The outcome comes by `on_enter_room`.
///
/// `scene` is `TRTC_APP_SCENE_*`. Sources that run are published by themselves. Errors, at once:
/// `TRTC_ERR_ENTER_ROOM_REFUSED` (in a room already, entering or leaving), `TRTC_ERR_ROOM_PARAM_NULL` (`server_url` or
/// `access_token` is missing), `TRTC_ERR_INVALID_PARAMETER` (`server_url`, `role`, `scene`), `TRTC_ERR_INVALID_ROOM_ID` and
/// `TRTC_ERR_INVALID_USER_ID` (malformed, or not the token's), `TRTC_ERR_INVALID_USER_SIG` (`access_token` is no token),
/// `TRTC_ERR_NOT_SUPPORTED` (`user_sig`), `TRTC_ERR_FAILED` (the system gives no thread). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_enter_room(
    cloud: *mut trtc_cloud,
    params: *const trtc_enter_params,
    scene: i32,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a sized struct with NUL-terminated texts.
        let given = unsafe { sized::read(params, "params") }?;
        // SAFETY: as above.
        let enter = unsafe { enter_params(&given) }?;
        entry.cloud.enter_room(&enter, one_of::<AppScene>("scene", scene)?)
    })
}

/// Leaves the room; `on_exit_room` follows: wait for it before entering again. Local sources go on running. Views and mutes
/// of remote users are forgotten, render callbacks and volumes stay. Outside of rooms it does nothing. Errors: common. Any
/// thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_exit_room(cloud: *mut trtc_cloud) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.exit_room())
}

/// Whether remote sound and pictures come by themselves (nonzero, the default of both). Before entering.
///
/// By hand, a picture comes with `trtc_cloud_start_remote_view()`, and sound with `trtc_cloud_mute_remote_audio()` or
/// `trtc_cloud_mute_all_remote_audio()` and 0, both also before the user is there. Pictures that come by themselves are
/// held back at the server when nobody has watched them for 5 s. Errors: `TRTC_ERR_REFUSED` (in a room, entering or
/// leaving). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_set_default_stream_recv_mode(
    cloud: *mut trtc_cloud,
    auto_recv_audio: trtc_bool,
    auto_recv_video: trtc_bool,
) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.set_default_stream_recv_mode(auto_recv_audio != 0, auto_recv_video != 0))
}

unsafe fn enter_params(given: &trtc_enter_params) -> Result<EnterParams> {
    // SAFETY: the caller's promise.
    let read = |pointer, field| unsafe { text::optional(pointer, field) }.map(Option::unwrap_or_default);
    let str_room_id = read(given.str_room_id, "str_room_id")?;
    let room = match (given.room_id, str_room_id.as_str()) {
        (0, "") => None,
        (0, text) => Some(RoomId::text(text)?),
        (number, _) => Some(RoomId::number(number)?),
    };
    Ok(EnterParams {
        server_url: read(given.server_url, "server_url")?,
        access_token: read(given.access_token, "access_token")?,
        user_sig: read(given.user_sig, "user_sig")?,
        sdk_app_id: given.sdk_app_id,
        user_id: read(given.user_id, "user_id")?,
        room,
        role: one_of::<Role>("role", given.role)?,
        allow_plain: given.allow_plain != 0,
    })
}
