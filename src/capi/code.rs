//! Result and warning codes. The vendor's number where the meaning is equal; -900..=-999 are of this boundary alone.
/// Success.
pub const TRTC_OK: i32 = 0;
/// Unspecified failure.
pub const TRTC_ERR_FAILED: i32 = -1;
/// An argument is out of range; the message names the field and the allowed range.
pub const TRTC_ERR_INVALID_PARAMETER: i32 = -2;
/// The call is not allowed in the present state or role.
pub const TRTC_ERR_REFUSED: i32 = -3;
/// Not available in this build or version.
pub const TRTC_ERR_NOT_SUPPORTED: i32 = -4;
/// The server did not answer in time.
pub const TRTC_ERR_REQUEST_SERVER_TIMEOUT: i32 = -6;
/// The server answered with an error.
pub const TRTC_ERR_SERVER_PROCESS_FAILED: i32 = -7;
/// There is no connection to the server.
pub const TRTC_ERR_DISCONNECTED: i32 = -8;
/// A video encoder failed.
pub const TRTC_ERR_VIDEO_ENCODE_FAIL: i32 = -1303;
/// An audio encoder failed.
pub const TRTC_ERR_AUDIO_ENCODE_FAIL: i32 = -1304;
/// The resolution is not supported.
pub const TRTC_ERR_UNSUPPORTED_RESOLUTION: i32 = -1305;
/// The sample rate is not supported.
pub const TRTC_ERR_UNSUPPORTED_SAMPLERATE: i32 = -1306;
/// The pixel format is not supported.
pub const TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED: i32 = -1327;
/// Entering the room failed.
pub const TRTC_ERR_ENTER_ROOM_FAILED: i32 = -3301;
/// Connecting to the server timed out.
pub const TRTC_ERR_CONNECT_SERVER_TIMEOUT: i32 = -3308;
/// A required room parameter is missing.
pub const TRTC_ERR_ROOM_PARAM_NULL: i32 = -3316;
/// The application id is invalid.
pub const TRTC_ERR_INVALID_SDK_APPID: i32 = -3317;
/// The room id is invalid.
pub const TRTC_ERR_INVALID_ROOM_ID: i32 = -3318;
/// The user id is invalid.
pub const TRTC_ERR_INVALID_USER_ID: i32 = -3319;
/// The ticket is missing or malformed.
pub const TRTC_ERR_INVALID_USER_SIG: i32 = -3320;
/// Already in a room, or entering one.
pub const TRTC_ERR_ENTER_ROOM_REFUSED: i32 = -3340;
/// The PrivateMapKey is missing, wrong or expired.
pub const TRTC_ERR_INVALID_PRIVATE_MAPKEY: i32 = -100006;
/// The server refused the ticket.
pub const TRTC_ERR_USER_SIG_CHECK_FAILED: i32 = -100018;
/// The PrivateMapKey does not allow to create the room.
pub const TRTC_ERR_NO_RIGHT_TO_CREATE_ROOM: i32 = -102010;
/// The PrivateMapKey does not allow to enter the room.
pub const TRTC_ERR_NO_RIGHT_TO_ENTER_ROOM: i32 = -102011;
/// The sub stream of the room is taken by another user.
pub const TRTC_ERR_SCREEN_SHARE_OCCUPIED: i32 = -102016;
/// The handle is NULL, stale or garbage.
pub const TRTC_ERR_INVALID_HANDLE: i32 = -900;
/// A `struct_size` is smaller than the first version of the struct, or its unknown tail is not zero.
pub const TRTC_ERR_STRUCT_SIZE: i32 = -901;
/// The caller's buffer is too small; the needed size was written.
pub const TRTC_ERR_BUFFER_TOO_SMALL: i32 = -902;
/// A panic was caught; the instance is closed.
pub const TRTC_ERR_INTERNAL: i32 = -903;
/// The host did not take events for too long; the instance is closed.
pub const TRTC_ERR_EVENT_OVERFLOW: i32 = -904;
/// Nothing new is available.
pub const TRTC_ERR_NO_FRAME: i32 = -905;
/// A message limit (rate, bytes) was reached.
pub const TRTC_ERR_RATE_LIMITED: i32 = -906;
/// A queue is full; the item was dropped and counted.
pub const TRTC_ERR_QUEUE_FULL: i32 = -907;
/// Text is not UTF-8.
pub const TRTC_ERR_NOT_UTF8: i32 = -908;
/// A file could not be read or has an unsupported format.
pub const TRTC_ERR_FILE: i32 = -909;
/// No microphone.
pub const TRTC_WARN_MICROPHONE_DEVICE_EMPTY: i32 = 1201;
/// No camera.
pub const TRTC_WARN_CAMERA_DEVICE_EMPTY: i32 = 1111;
/// No speaker.
pub const TRTC_WARN_SPEAKER_DEVICE_EMPTY: i32 = 1202;
/// The system does not let this process open the camera. Since 0.1.
pub const TRTC_WARN_CAMERA_NOT_AUTHORIZED: i32 = 1112;
/// Another program (or another cloud) uses the camera. Since 0.1.
pub const TRTC_WARN_CAMERA_IS_OCCUPIED: i32 = 1114;
/// The camera is open and delivers no pictures. Since 0.1.
pub const TRTC_WARN_CAMERA_DEVICE_ERROR: i32 = 1115;
/// The camera was pulled out.
pub const TRTC_WARN_CAMERA_DISCONNECTED: i32 = 1116;
/// The camera could not be started.
pub const TRTC_WARN_CAMERA_START_FAILED: i32 = 1117;
/// The microphone does not work, or was pulled out.
pub const TRTC_WARN_MICROPHONE_DEVICE_ABNORMAL: i32 = 1204;
/// The speaker does not work, or was pulled out.
pub const TRTC_WARN_SPEAKER_DEVICE_ABNORMAL: i32 = 1205;
/// A video frame could not be decoded, or its codec is not supported.
pub const TRTC_WARN_VIDEO_FRAME_DECODE_FAIL: i32 = 2101;
/// An audio frame could not be decoded, or its codec is not supported.
pub const TRTC_WARN_AUDIO_FRAME_DECODE_FAIL: i32 = 2102;
/// Audience members cannot send.
pub const TRTC_WARN_IGNORE_UPSTREAM_FOR_AUDIENCE: i32 = 6001;

#[cfg(test)]
mod tests {
    use super::*;
    use trtc_types::Code;

    #[test]
    fn numbers_are_the_librarys() {
        assert_eq!(TRTC_OK, Code::OK.0);
        assert_eq!(TRTC_ERR_FAILED, Code::FAILED.0);
        assert_eq!(TRTC_ERR_INVALID_PARAMETER, Code::INVALID_PARAMETER.0);
        assert_eq!(TRTC_ERR_REFUSED, Code::REFUSED.0);
        assert_eq!(TRTC_ERR_NOT_SUPPORTED, Code::NOT_SUPPORTED.0);
        assert_eq!(TRTC_ERR_REQUEST_SERVER_TIMEOUT, Code::REQUEST_SERVER_TIMEOUT.0);
        assert_eq!(TRTC_ERR_SERVER_PROCESS_FAILED, Code::SERVER_PROCESS_FAILED.0);
        assert_eq!(TRTC_ERR_DISCONNECTED, Code::DISCONNECTED.0);
        assert_eq!(TRTC_ERR_VIDEO_ENCODE_FAIL, Code::VIDEO_ENCODE_FAIL.0);
        assert_eq!(TRTC_ERR_AUDIO_ENCODE_FAIL, Code::AUDIO_ENCODE_FAIL.0);
        assert_eq!(TRTC_ERR_UNSUPPORTED_RESOLUTION, Code::UNSUPPORTED_RESOLUTION.0);
        assert_eq!(TRTC_ERR_UNSUPPORTED_SAMPLERATE, Code::UNSUPPORTED_SAMPLERATE.0);
        assert_eq!(TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED, Code::PIXEL_FORMAT_UNSUPPORTED.0);
        assert_eq!(TRTC_ERR_ENTER_ROOM_FAILED, Code::ENTER_ROOM_FAILED.0);
        assert_eq!(TRTC_ERR_CONNECT_SERVER_TIMEOUT, Code::CONNECT_SERVER_TIMEOUT.0);
        assert_eq!(TRTC_ERR_ROOM_PARAM_NULL, Code::ROOM_PARAM_NULL.0);
        assert_eq!(TRTC_ERR_INVALID_SDK_APPID, Code::INVALID_SDK_APPID.0);
        assert_eq!(TRTC_ERR_INVALID_ROOM_ID, Code::INVALID_ROOM_ID.0);
        assert_eq!(TRTC_ERR_INVALID_USER_ID, Code::INVALID_USER_ID.0);
        assert_eq!(TRTC_ERR_INVALID_USER_SIG, Code::INVALID_USER_SIG.0);
        assert_eq!(TRTC_ERR_ENTER_ROOM_REFUSED, Code::ENTER_ROOM_REFUSED.0);
        assert_eq!(TRTC_ERR_INVALID_PRIVATE_MAPKEY, Code::INVALID_PRIVATE_MAPKEY.0);
        assert_eq!(TRTC_ERR_USER_SIG_CHECK_FAILED, Code::USER_SIG_CHECK_FAILED.0);
        assert_eq!(TRTC_ERR_NO_RIGHT_TO_CREATE_ROOM, Code::NO_RIGHT_TO_CREATE_ROOM.0);
        assert_eq!(TRTC_ERR_NO_RIGHT_TO_ENTER_ROOM, Code::NO_RIGHT_TO_ENTER_ROOM.0);
        assert_eq!(TRTC_ERR_SCREEN_SHARE_OCCUPIED, Code::SCREEN_SHARE_OCCUPIED.0);
        assert_eq!(TRTC_ERR_INVALID_HANDLE, Code::INVALID_HANDLE.0);
        assert_eq!(TRTC_ERR_STRUCT_SIZE, Code::STRUCT_SIZE.0);
        assert_eq!(TRTC_ERR_BUFFER_TOO_SMALL, Code::BUFFER_TOO_SMALL.0);
        assert_eq!(TRTC_ERR_INTERNAL, Code::INTERNAL.0);
        assert_eq!(TRTC_ERR_EVENT_OVERFLOW, Code::EVENT_OVERFLOW.0);
        assert_eq!(TRTC_ERR_NO_FRAME, Code::NO_FRAME.0);
        assert_eq!(TRTC_ERR_RATE_LIMITED, Code::RATE_LIMITED.0);
        assert_eq!(TRTC_ERR_QUEUE_FULL, Code::QUEUE_FULL.0);
        assert_eq!(TRTC_ERR_NOT_UTF8, Code::NOT_UTF8.0);
        assert_eq!(TRTC_ERR_FILE, Code::FILE.0);
        assert_eq!(TRTC_WARN_MICROPHONE_DEVICE_EMPTY, Code::WARN_MICROPHONE_DEVICE_EMPTY.0);
        assert_eq!(TRTC_WARN_CAMERA_DEVICE_EMPTY, Code::WARN_CAMERA_DEVICE_EMPTY.0);
        assert_eq!(TRTC_WARN_SPEAKER_DEVICE_EMPTY, Code::WARN_SPEAKER_DEVICE_EMPTY.0);
        assert_eq!(TRTC_WARN_CAMERA_NOT_AUTHORIZED, Code::WARN_CAMERA_NOT_AUTHORIZED.0);
        assert_eq!(TRTC_WARN_CAMERA_IS_OCCUPIED, Code::WARN_CAMERA_IS_OCCUPIED.0);
        assert_eq!(TRTC_WARN_CAMERA_DEVICE_ERROR, Code::WARN_CAMERA_DEVICE_ERROR.0);
        assert_eq!(TRTC_WARN_CAMERA_DISCONNECTED, Code::WARN_CAMERA_DISCONNECTED.0);
        assert_eq!(TRTC_WARN_CAMERA_START_FAILED, Code::WARN_CAMERA_START_FAILED.0);
        assert_eq!(TRTC_WARN_MICROPHONE_DEVICE_ABNORMAL, Code::WARN_MICROPHONE_DEVICE_ABNORMAL.0);
        assert_eq!(TRTC_WARN_SPEAKER_DEVICE_ABNORMAL, Code::WARN_SPEAKER_DEVICE_ABNORMAL.0);
        assert_eq!(TRTC_WARN_VIDEO_FRAME_DECODE_FAIL, Code::WARN_VIDEO_FRAME_DECODE_FAIL.0);
        assert_eq!(TRTC_WARN_AUDIO_FRAME_DECODE_FAIL, Code::WARN_AUDIO_FRAME_DECODE_FAIL.0);
        assert_eq!(TRTC_WARN_IGNORE_UPSTREAM_FOR_AUDIENCE, Code::WARN_IGNORE_UPSTREAM_FOR_AUDIENCE.0);
    }
}
