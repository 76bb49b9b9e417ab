"""include/trtc.h in ctypes: the same names, the same order. tests/test_call.py compares it with the header."""
import ctypes
import os
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int16, c_int32, c_uint8, c_uint32, c_uint64, c_void_p

OK, ERR_FAILED, ERR_REFUSED, ERR_DISCONNECTED, ERR_CONNECT_SERVER_TIMEOUT = 0, -1, -3, -8, -3308
ERR_INVALID_HANDLE, ERR_NO_FRAME, ERR_QUEUE_FULL = -900, -905, -907
APP_SCENE_VIDEO_CALL = 0
VIDEO_STREAM_TYPE_BIG, VIDEO_STREAM_TYPE_SUB = 0, 2
VIDEO_PIXEL_FORMAT_I420, VIDEO_PIXEL_FORMAT_BGRA32, VIDEO_PIXEL_FORMAT_RGBA32 = 1, 3, 5

release_fn = CFUNCTYPE(None, c_void_p)
log_fn = CFUNCTYPE(None, c_void_p, c_int32, c_char_p, c_char_p)


def _struct(name, **fields):
    return type(name, (Structure,), {"_fields_": [("struct_size", c_uint32), *fields.items()]})


def _callback(*args):
    return CFUNCTYPE(None, c_void_p, *args)


audio_frame = _struct("trtc_audio_frame", sample_rate_hz=c_uint32, channels=c_uint32, samples_per_channel=c_uint32,
    samples=POINTER(c_int16), timestamp_ms=c_uint64)
local_statistics = _struct("trtc_local_statistics", width=c_uint32, height=c_uint32, frame_rate=c_uint32,
    video_bitrate_kbps=c_uint32, audio_sample_rate_hz=c_uint32, audio_bitrate_kbps=c_uint32, stream_type=c_int32)
remote_statistics = _struct("trtc_remote_statistics", stream_type=c_int32, user_id=c_char_p, audio_packet_loss_percent=c_uint32,
    video_packet_loss_percent=c_uint32, width=c_uint32, height=c_uint32, frame_rate=c_uint32, video_bitrate_kbps=c_uint32,
    audio_bitrate_kbps=c_uint32, jitter_buffer_delay_ms=c_uint32, video_total_block_time_ms=c_uint32,
    audio_total_block_time_ms=c_uint32)
statistics = _struct("trtc_statistics", app_cpu_percent=c_uint32, up_loss_percent=c_uint32, down_loss_percent=c_uint32,
    rtt_ms=c_uint32, local_count=c_uint32, remote_count=c_uint32, sent_bytes=c_uint64, received_bytes=c_uint64,
    local=POINTER(POINTER(local_statistics)), remote=POINTER(POINTER(remote_statistics)))
volume_info = _struct("trtc_volume_info", volume=c_uint32, user_id=c_char_p)
quality_info = _struct("trtc_quality_info", quality=c_int32, user_id=c_char_p)
callbacks = _struct(
    "trtc_callbacks", user_data=c_void_p, user_data_release=release_fn,
    on_error=_callback(c_int32, c_char_p),
    on_warning=_callback(c_int32, c_char_p),
    on_enter_room=_callback(c_int32),
    on_exit_room=_callback(c_int32),
    on_remote_user_enter_room=_callback(c_char_p),
    on_remote_user_leave_room=_callback(c_char_p, c_int32),
    on_user_video_available=_callback(c_char_p, c_int32),
    on_user_sub_stream_available=_callback(c_char_p, c_int32),
    on_user_audio_available=_callback(c_char_p, c_int32),
    on_first_video_frame=_callback(c_char_p, c_int32, c_uint32, c_uint32),
    on_first_audio_frame=_callback(c_char_p),
    on_send_first_local_video_frame=_callback(c_int32),
    on_send_first_local_audio_frame=_callback(),
    on_user_video_size_changed=_callback(c_char_p, c_int32, c_uint32, c_uint32),
    on_statistics=_callback(POINTER(statistics)),
    on_connection_lost=_callback(),
    on_try_to_reconnect=_callback(),
    on_connection_recovery=_callback(),
    on_recv_custom_cmd_msg=_callback(c_char_p, c_int32, c_uint32, POINTER(c_uint8), c_uint32),
    on_miss_custom_cmd_msg=_callback(c_char_p, c_int32, c_int32, c_int32),
    on_user_voice_volume=_callback(POINTER(POINTER(volume_info)), c_uint32, c_uint32),
    on_switch_role=_callback(c_int32, c_char_p),
    on_camera_did_ready=_callback(),
    on_mic_did_ready=_callback(),
    on_device_change=_callback(c_char_p, c_int32, c_int32),
    on_network_quality=_callback(POINTER(quality_info), POINTER(POINTER(quality_info)), c_uint32))
cloud_options = _struct("trtc_cloud_options", pull_events=c_int32)
enter_params = _struct("trtc_enter_params", sdk_app_id=c_uint32, server_url=c_char_p, access_token=c_char_p, user_id=c_char_p,
    user_sig=c_char_p, str_room_id=c_char_p, room_id=c_uint32, role=c_int32, allow_plain=c_int32, private_map_key=c_char_p)
video_enc_param = _struct("trtc_video_enc_param", video_resolution=c_int32, res_mode=c_int32, video_fps=c_uint32,
    video_bitrate_kbps=c_uint32, min_video_bitrate_kbps=c_uint32, width=c_uint32, height=c_uint32)
video_frame = _struct("trtc_video_frame", pixel_format=c_int32, width=c_uint32, height=c_uint32, planes=POINTER(c_uint8) * 3,
    strides_bytes=c_uint32 * 3, rotation=c_int32, timestamp_ms=c_uint64)
file_source = _struct("trtc_file_source", fps=c_uint32, path=c_char_p, width=c_uint32, height=c_uint32, repeat=c_int32)
pattern_source = _struct("trtc_pattern_source", video=c_int32, audio=c_int32, tone_hz=c_uint32)

# What the package calls. A cloud and a picture are opaque: c_void_p.
FUNCTIONS = {
    "trtc_cloud_create": (POINTER(callbacks), POINTER(cloud_options), POINTER(c_void_p)),
    "trtc_cloud_destroy": (c_void_p,),
    "trtc_cloud_dispatch": (c_void_p, POINTER(c_uint32)),
    "trtc_cloud_enter_room": (c_void_p, POINTER(enter_params), c_int32),
    "trtc_cloud_exit_room": (c_void_p,),
    "trtc_cloud_send_custom_cmd_msg": (c_void_p, c_int32, c_void_p, c_uint32, c_int32, c_int32),
    "trtc_cloud_start_pattern_source": (c_void_p, c_int32, POINTER(pattern_source)),
    "trtc_cloud_stop_source": (c_void_p, c_int32),
    "trtc_cloud_set_video_encoder_param": (c_void_p, c_int32, POINTER(video_enc_param)),
    "trtc_cloud_enable_custom_video_capture": (c_void_p, c_int32, c_int32),
    "trtc_cloud_send_custom_video_data": (c_void_p, c_int32, POINTER(video_frame), release_fn, c_void_p),
    "trtc_cloud_start_remote_view": (c_void_p, c_char_p, c_int32, c_void_p),
    "trtc_video_acquire": (c_void_p, c_char_p, c_int32, c_int32, POINTER(c_void_p), POINTER(video_frame)),
    "trtc_video_release": (c_void_p,),
    "trtc_cloud_enable_custom_audio_capture": (c_void_p, c_int32),
    "trtc_cloud_send_custom_audio_data": (c_void_p, POINTER(audio_frame), release_fn, c_void_p),
    "trtc_cloud_enable_custom_audio_rendering": (c_void_p, c_int32),
    "trtc_cloud_get_custom_audio_rendering_frame": (c_void_p, POINTER(audio_frame)),
}
PARAMS = (callbacks, cloud_options, enter_params, video_enc_param, video_frame, audio_frame, file_source, pattern_source)


def load():
    """The library of the stage that TRTC_STAGE names, or the system's."""
    stage = os.environ.get("TRTC_STAGE")
    lib = ctypes.CDLL(os.path.join(stage, "lib", "libtrtc.so") if stage else "libtrtc.so.0")
    for name, args in FUNCTIONS.items():
        getattr(lib, name).argtypes, getattr(lib, name).restype = args, c_int32
    for params in PARAMS:
        init = getattr(lib, f"{params.__name__}_init")
        init.argtypes, init.restype = (POINTER(params), c_uint32), None
    for name in ("trtc_version_string", "trtc_last_error_message"):
        getattr(lib, name).argtypes, getattr(lib, name).restype = (), c_char_p
    return lib
