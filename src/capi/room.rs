//! Entering and leaving.
use super::check::one_of;
use super::cloud::trtc_cloud;
use super::guard::on_cloud;
use super::params::trtc_enter_params;
use super::{sized, text, trtc_bool, trtc_result};
use std::ffi::c_char;
use trtc_sdk::EnterParams;
use trtc_types::{AppScene, Result, Role, RoomId};

/// Enters a room. The outcome comes by `on_enter_room`.
///
/// `scene` is `TRTC_APP_SCENE_*`. Sources that run are published by themselves. Without `access_token` the `user_sig` is first
/// exchanged for one at the server; that does not block, takes at most 10 s, and its refusals come by `on_enter_room` too:
/// `TRTC_ERR_USER_SIG_CHECK_FAILED`, `TRTC_ERR_INVALID_PRIVATE_MAPKEY`, `TRTC_ERR_NO_RIGHT_TO_ENTER_ROOM`,
/// `TRTC_ERR_NO_RIGHT_TO_CREATE_ROOM`, `TRTC_ERR_INVALID_SDK_APPID`, `TRTC_ERR_NOT_SUPPORTED` (the server knows no tickets).
///
/// Errors, at once: `TRTC_ERR_ENTER_ROOM_REFUSED` (in a room already, entering or leaving), `TRTC_ERR_ROOM_PARAM_NULL`
/// (`server_url`, or both of `access_token` and `user_sig`, missing), `TRTC_ERR_INVALID_PARAMETER` (`server_url`, `role`,
/// `scene`), `TRTC_ERR_INVALID_ROOM_ID`, `TRTC_ERR_INVALID_USER_ID` and `TRTC_ERR_INVALID_SDK_APPID` (malformed, missing with
/// a `user_sig`, or not the token's), `TRTC_ERR_INVALID_USER_SIG` (`access_token` is no token, `user_sig` too long),
/// `TRTC_ERR_INVALID_PRIVATE_MAPKEY` (too long), `TRTC_ERR_FAILED` (the system gives no thread). Any thread. Since 0.1.
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

/// Becomes anchor or audience (`TRTC_ROLE_*`) in a live or voice chat scene. The outcome comes by `on_switch_role`.
///
/// `private_map_key` is for applications with advanced permission control; NULL or "" for the one that is known. Audience
/// members are not told of to others, and what they send ends; sources go on running and are published when they become
/// anchor. Entered with `user_sig` the server decides: who asks to be anchor with an expired PrivateMapKey is removed
/// (`on_exit_room` 1). With an `access_token` of another server the library itself stops sending, and `on_switch_role` says
/// what could not be done. Errors: `TRTC_ERR_REFUSED` (outside of rooms, in a call scene, or an earlier call is under way),
/// `TRTC_ERR_INVALID_PARAMETER` (`role`), `TRTC_ERR_INVALID_PRIVATE_MAPKEY` (longer than 4096 bytes). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_switch_role(
    cloud: *mut trtc_cloud,
    role: i32,
    private_map_key: *const c_char,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises NUL-terminated text.
        let key = unsafe { text::optional(private_map_key, "private_map_key") }?.unwrap_or_default();
        entry.cloud.switch_role(one_of::<Role>("role", role)?, &key)
    })
}

/// Replaces the PrivateMapKey of a member that entered with `user_sig`; what the new one no longer allows ends. A refusal comes
/// by `on_error`. Errors: `TRTC_ERR_REFUSED` (outside of rooms), `TRTC_ERR_INVALID_PRIVATE_MAPKEY` (not 1 to 4096 bytes),
/// `TRTC_ERR_NOT_SUPPORTED` (entered with an `access_token`). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_update_private_map_key(
    cloud: *mut trtc_cloud,
    private_map_key: *const c_char,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises NUL-terminated text.
        let key = unsafe { text::optional(private_map_key, "private_map_key") }?.unwrap_or_default();
        entry.cloud.update_private_map_key(&key)
    })
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
        private_map_key: read(given.private_map_key, "private_map_key")?,
    })
}
