/*
 * libtrtc: real-time calls. TRTCCloud's vocabulary, LiveKit on the wire.
 *
 * Functions return trtc_result, but for those that initialise a struct or give a version or a text: 0, or a negative
 * TRTC_ERR_*; then trtc_last_error_message() says which argument was wrong and what is allowed. Success means accepted;
 * outcomes arrive by callback. Handles are tokens: using a stale one is an error, never a crash. Parameter structs are set up
 * by their trtc_x_init() function. Text is UTF-8, NUL-terminated, at most 65,536 bytes. What the host passes is read or copied
 * before the call returns, and nothing is freed across this boundary.
 *
 * Errors that any call may have are named here and not repeated there ("Errors: common"): TRTC_ERR_INVALID_HANDLE;
 * TRTC_ERR_EVENT_OVERFLOW or TRTC_ERR_INTERNAL once a cloud has closed itself (destroy it); TRTC_ERR_INVALID_PARAMETER for a
 * pointer that is NULL without being allowed to, or misaligned; TRTC_ERR_STRUCT_SIZE for a struct whose size is impossible, or
 * whose fields that this version does not know are not zero; TRTC_ERR_NOT_UTF8; TRTC_ERR_REFUSED inside the log callback.
 */

#ifndef TRTC_H
#define TRTC_H

/* Written by `cargo xtask header` from src/capi. Do not edit. */

#include <stdint.h>

/* Version of this header; compare with trtc_version(). */
#define TRTC_VERSION_MAJOR 0
#define TRTC_VERSION_MINOR 1
#define TRTC_VERSION_PATCH 0
#define TRTC_VERSION ((TRTC_VERSION_MAJOR << 16) | (TRTC_VERSION_MINOR << 8) | TRTC_VERSION_PATCH)

/* Define TRTC_STATIC when linking the static library on Windows. */
#if defined(_WIN32) && !defined(TRTC_STATIC)
#define TRTC_API __declspec(dllimport)
#else
#define TRTC_API
#endif

/* Calling convention of functions and callbacks: the platform's default for C. */
#define TRTC_CALL

#if defined(__GNUC__) || defined(__clang__)
#define TRTC_NONNULL __attribute__((nonnull))
#define TRTC_WARN_UNUSED __attribute__((warn_unused_result))
#else
#define TRTC_NONNULL
#define TRTC_WARN_UNUSED
#endif

/*
 Success.
 */
#define TRTC_OK 0

/*
 Unspecified failure.
 */
#define TRTC_ERR_FAILED -1

/*
 An argument is out of range; the message names the field and the allowed range.
 */
#define TRTC_ERR_INVALID_PARAMETER -2

/*
 The call is not allowed in the present state or role.
 */
#define TRTC_ERR_REFUSED -3

/*
 Not available in this build or version.
 */
#define TRTC_ERR_NOT_SUPPORTED -4

/*
 The server did not answer in time.
 */
#define TRTC_ERR_REQUEST_SERVER_TIMEOUT -6

/*
 The server answered with an error.
 */
#define TRTC_ERR_SERVER_PROCESS_FAILED -7

/*
 There is no connection to the server.
 */
#define TRTC_ERR_DISCONNECTED -8

/*
 A video encoder failed.
 */
#define TRTC_ERR_VIDEO_ENCODE_FAIL -1303

/*
 An audio encoder failed.
 */
#define TRTC_ERR_AUDIO_ENCODE_FAIL -1304

/*
 The resolution is not supported.
 */
#define TRTC_ERR_UNSUPPORTED_RESOLUTION -1305

/*
 The sample rate is not supported.
 */
#define TRTC_ERR_UNSUPPORTED_SAMPLERATE -1306

/*
 The pixel format is not supported.
 */
#define TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED -1327

/*
 Entering the room failed.
 */
#define TRTC_ERR_ENTER_ROOM_FAILED -3301

/*
 Connecting to the server timed out.
 */
#define TRTC_ERR_CONNECT_SERVER_TIMEOUT -3308

/*
 A required room parameter is missing.
 */
#define TRTC_ERR_ROOM_PARAM_NULL -3316

/*
 The application id is invalid.
 */
#define TRTC_ERR_INVALID_SDK_APPID -3317

/*
 The room id is invalid.
 */
#define TRTC_ERR_INVALID_ROOM_ID -3318

/*
 The user id is invalid.
 */
#define TRTC_ERR_INVALID_USER_ID -3319

/*
 The ticket is missing or malformed.
 */
#define TRTC_ERR_INVALID_USER_SIG -3320

/*
 Already in a room, or entering one.
 */
#define TRTC_ERR_ENTER_ROOM_REFUSED -3340

/*
 The PrivateMapKey is missing, wrong or expired.
 */
#define TRTC_ERR_INVALID_PRIVATE_MAPKEY -100006

/*
 The server refused the ticket.
 */
#define TRTC_ERR_USER_SIG_CHECK_FAILED -100018

/*
 The PrivateMapKey does not allow to create the room.
 */
#define TRTC_ERR_NO_RIGHT_TO_CREATE_ROOM -102010

/*
 The PrivateMapKey does not allow to enter the room.
 */
#define TRTC_ERR_NO_RIGHT_TO_ENTER_ROOM -102011

/*
 The sub stream of the room is taken by another user.
 */
#define TRTC_ERR_SCREEN_SHARE_OCCUPIED -102016

/*
 The handle is NULL, stale or garbage.
 */
#define TRTC_ERR_INVALID_HANDLE -900

/*
 A `struct_size` is smaller than the first version of the struct, or its unknown tail is not zero.
 */
#define TRTC_ERR_STRUCT_SIZE -901

/*
 The caller's buffer is too small; the needed size was written.
 */
#define TRTC_ERR_BUFFER_TOO_SMALL -902

/*
 A panic was caught; the instance is closed.
 */
#define TRTC_ERR_INTERNAL -903

/*
 The host did not take events for too long; the instance is closed.
 */
#define TRTC_ERR_EVENT_OVERFLOW -904

/*
 Nothing new is available.
 */
#define TRTC_ERR_NO_FRAME -905

/*
 A message limit (rate, bytes) was reached.
 */
#define TRTC_ERR_RATE_LIMITED -906

/*
 A queue is full; the item was dropped and counted.
 */
#define TRTC_ERR_QUEUE_FULL -907

/*
 Text is not UTF-8.
 */
#define TRTC_ERR_NOT_UTF8 -908

/*
 A file could not be read or has an unsupported format.
 */
#define TRTC_ERR_FILE -909

/*
 No microphone.
 */
#define TRTC_WARN_MICROPHONE_DEVICE_EMPTY 1201

/*
 No camera.
 */
#define TRTC_WARN_CAMERA_DEVICE_EMPTY 1111

/*
 No speaker.
 */
#define TRTC_WARN_SPEAKER_DEVICE_EMPTY 1202

/*
 The system does not let this process open the camera. Since 0.1.
 */
#define TRTC_WARN_CAMERA_NOT_AUTHORIZED 1112

/*
 Another program (or another cloud) uses the camera. Since 0.1.
 */
#define TRTC_WARN_CAMERA_IS_OCCUPIED 1114

/*
 The camera is open and delivers no pictures. Since 0.1.
 */
#define TRTC_WARN_CAMERA_DEVICE_ERROR 1115

/*
 The camera was pulled out.
 */
#define TRTC_WARN_CAMERA_DISCONNECTED 1116

/*
 The camera could not be started.
 */
#define TRTC_WARN_CAMERA_START_FAILED 1117

/*
 The microphone does not work, or was pulled out.
 */
#define TRTC_WARN_MICROPHONE_DEVICE_ABNORMAL 1204

/*
 The speaker does not work, or was pulled out.
 */
#define TRTC_WARN_SPEAKER_DEVICE_ABNORMAL 1205

/*
 A video frame could not be decoded, or its codec is not supported.
 */
#define TRTC_WARN_VIDEO_FRAME_DECODE_FAIL 2101

/*
 An audio frame could not be decoded, or its codec is not supported.
 */
#define TRTC_WARN_AUDIO_FRAME_DECODE_FAIL 2102

/*
 Audience members cannot send.
 */
#define TRTC_WARN_IGNORE_UPSTREAM_FOR_AUDIENCE 6001

/*
 Device: microphone.
 */
#define TRTC_DEVICE_TYPE_MIC 0

/*
 Device: speaker.
 */
#define TRTC_DEVICE_TYPE_SPEAKER 1

/*
 Device: camera.
 */
#define TRTC_DEVICE_TYPE_CAMERA 2

/*
 Device change: it was plugged in.
 */
#define TRTC_DEVICE_STATE_ADD 0

/*
 Device change: it was pulled out.
 */
#define TRTC_DEVICE_STATE_REMOVE 1

/*
 Device change: it is in use now.
 */
#define TRTC_DEVICE_STATE_ACTIVE 2

/*
 Device change: it is the system's default now.
 */
#define TRTC_DEVICE_STATE_DEFAULT_DEVICE_CHANGED 3

/*
 Everything.
 */
#define TRTC_LOG_LEVEL_VERBOSE 0

/*
 Debug and above.
 */
#define TRTC_LOG_LEVEL_DEBUG 1

/*
 Info and above.
 */
#define TRTC_LOG_LEVEL_INFO 2

/*
 Warnings and errors.
 */
#define TRTC_LOG_LEVEL_WARN 3

/*
 Errors.
 */
#define TRTC_LOG_LEVEL_ERROR 4

/*
 As error; the library has no fatal messages.
 */
#define TRTC_LOG_LEVEL_FATAL 5

/*
 Nothing. The default.
 */
#define TRTC_LOG_LEVEL_NONE 6

/*
 Role: may send and receive.
 */
#define TRTC_ROLE_ANCHOR 20

/*
 Role: may only receive (live scenes).
 */
#define TRTC_ROLE_AUDIENCE 21

/*
 Scene: video call. Roles are ignored.
 */
#define TRTC_APP_SCENE_VIDEO_CALL 0

/*
 Scene: interactive live streaming.
 */
#define TRTC_APP_SCENE_LIVE 1

/*
 Scene: audio call. Roles are ignored.
 */
#define TRTC_APP_SCENE_AUDIO_CALL 2

/*
 Scene: voice chat room.
 */
#define TRTC_APP_SCENE_VOICE_CHAT_ROOM 3

/*
 Stream: main, high quality.
 */
#define TRTC_VIDEO_STREAM_TYPE_BIG 0

/*
 Stream: main, low quality; see `trtc_cloud_enable_small_video_stream()`.
 */
#define TRTC_VIDEO_STREAM_TYPE_SMALL 1

/*
 Stream: sub (screen share).
 */
#define TRTC_VIDEO_STREAM_TYPE_SUB 2

/*
 Network: nothing is known yet.
 */
#define TRTC_QUALITY_UNKNOWN 0

/*
 Network: nothing is noticed.
 */
#define TRTC_QUALITY_EXCELLENT 1

/*
 Network: users are satisfied.
 */
#define TRTC_QUALITY_GOOD 2

/*
 Network: some users are dissatisfied.
 */
#define TRTC_QUALITY_POOR 3

/*
 Network: many users are dissatisfied.
 */
#define TRTC_QUALITY_BAD 4

/*
 Network: nearly all users are dissatisfied.
 */
#define TRTC_QUALITY_VBAD 5

/*
 Network: no connection.
 */
#define TRTC_QUALITY_DOWN 6

/*
 Audio: 18 kbit/s mono.
 */
#define TRTC_AUDIO_QUALITY_SPEECH 1

/*
 Audio: 50 kbit/s mono. The default.
 */
#define TRTC_AUDIO_QUALITY_DEFAULT 2

/*
 Audio: 128 kbit/s stereo.
 */
#define TRTC_AUDIO_QUALITY_MUSIC 3

/*
 Pixels: planes Y, U, V.
 */
#define TRTC_VIDEO_PIXEL_FORMAT_I420 1

/*
 Pixels: one plane of B, G, R, A bytes.
 */
#define TRTC_VIDEO_PIXEL_FORMAT_BGRA32 3

/*
 Pixels: one plane of R, G, B, A bytes.
 */
#define TRTC_VIDEO_PIXEL_FORMAT_RGBA32 5

/*
 Pixels: planes Y and interleaved UV. Our own number: the vendor's differ between platforms.
 */
#define TRTC_VIDEO_PIXEL_FORMAT_NV12 100

/*
 Resolution mode: as the number says.
 */
#define TRTC_VIDEO_RESOLUTION_MODE_LANDSCAPE 0

/*
 Resolution mode: width and height exchanged.
 */
#define TRTC_VIDEO_RESOLUTION_MODE_PORTRAIT 1

/*
 320x180.
 */
#define TRTC_VIDEO_RESOLUTION_320_180 104

/*
 640x360. The default.
 */
#define TRTC_VIDEO_RESOLUTION_640_360 108

/*
 960x540.
 */
#define TRTC_VIDEO_RESOLUTION_960_540 110

/*
 1280x720.
 */
#define TRTC_VIDEO_RESOLUTION_1280_720 112

/*
 1920x1080.
 */
#define TRTC_VIDEO_RESOLUTION_1920_1080 114

/*
 One room membership with its local and remote streams. A handle is a token, not an address; a stale, wrong or NULL one
 is an error (`TRTC_ERR_INVALID_HANDLE`), never a crash. Any number of clouds may exist.
 */
typedef struct trtc_cloud trtc_cloud;

/*
 A list of devices as they were when it was made. A handle like `trtc_cloud`: given back with
 `trtc_device_list_release()`; at most 8,192 at a time.
 */
typedef struct trtc_device_list trtc_device_list;

/*
 An acquired picture, to be given back by `trtc_video_release()`. A token like `trtc_cloud`.
 */
typedef struct trtc_video trtc_video;

/*
 Outcome of a call: 0 is success, negative an error (`TRTC_ERR_*`). Success means accepted; outcomes arrive by callback.
 */
typedef int32_t trtc_result;

/*
 0 is false, anything else is true.
 */
typedef int32_t trtc_bool;

/*
 Sound: signed 16 bit in the machine's byte order, channels interleaved.
 */
typedef struct {
  /*
   `sizeof(trtc_audio_frame)`.
   */
  uint32_t struct_size;
  /*
   16000, 24000, 32000, 44100 or 48000. Default 48000.
   */
  uint32_t sample_rate_hz;
  /*
   1 or 2. Default 1.
   */
  uint32_t channels;
  /*
   Samples of one channel. To be sent: 5 to 100 ms. To be pulled: 10 or 20 ms. Default 0.
   */
  uint32_t samples_per_channel;
  /*
   The samples, `channels * samples_per_channel` of them, aligned to 2 bytes, the host's. Written to when sound is
   pulled, never when it is sent. Default NULL.
   */
  int16_t *samples;
  /*
   Out: time on the clock of `trtc_generate_custom_pts()`. In: ignored for now; sound is stamped when it is sent.
   Default 0.
   */
  uint64_t timestamp_ms;
} trtc_audio_frame;

/*
 Called exactly once when the library no longer needs what `context` stands for; `context` is only handed back. Any
 thread. Functions of the library may be called inside. NULL calls nothing.
 */
typedef void (*trtc_release_fn)(void *context);

/*
 One local stream, over the last 2 s. The sound stands with the main stream, or alone.
 */
typedef struct {
  /*
   `sizeof(trtc_local_statistics)` of the library.
   */
  uint32_t struct_size;
  /*
   Width in pixels.
   */
  uint32_t width;
  /*
   Height in pixels.
   */
  uint32_t height;
  /*
   Frames per second sent.
   */
  uint32_t frame_rate;
  /*
   Video kbit/s sent.
   */
  uint32_t video_bitrate_kbps;
  /*
   Samples per second of the sound; 0 without.
   */
  uint32_t audio_sample_rate_hz;
  /*
   Audio kbit/s sent.
   */
  uint32_t audio_bitrate_kbps;
  /*
   `TRTC_VIDEO_STREAM_TYPE_*`.
   */
  int32_t stream_type;
} trtc_local_statistics;

/*
 One remote stream. Rates and losses are those of the last 2 s, times those since entering. The sound stands with the
 main stream.
 */
typedef struct {
  /*
   `sizeof(trtc_remote_statistics)` of the library.
   */
  uint32_t struct_size;
  /*
   `TRTC_VIDEO_STREAM_TYPE_*`.
   */
  int32_t stream_type;
  /*
   Whose.
   */
  const char *user_id;
  /*
   Audio packets lost on the way, before repair, in percent: 0..100.
   */
  uint32_t audio_packet_loss_percent;
  /*
   Video packets lost on the way, before repair, in percent: 0..100.
   */
  uint32_t video_packet_loss_percent;
  /*
   Width in pixels.
   */
  uint32_t width;
  /*
   Height in pixels.
   */
  uint32_t height;
  /*
   Frames per second decoded.
   */
  uint32_t frame_rate;
  /*
   Video kbit/s received.
   */
  uint32_t video_bitrate_kbps;
  /*
   Audio kbit/s received.
   */
  uint32_t audio_bitrate_kbps;
  /*
   Present delay of the jitter buffer, the larger one of sound and picture.
   */
  uint32_t jitter_buffer_delay_ms;
  /*
   Time during which the picture stood still for more than 500 ms.
   */
  uint32_t video_total_block_time_ms;
  /*
   Time during which sound was missing and had to be made up.
   */
  uint32_t audio_total_block_time_ms;
} trtc_remote_statistics;

/*
 Measurements of a membership. Rates and losses are those of the last 2 s.
 */
typedef struct {
  /*
   `sizeof(trtc_statistics)` of the library.
   */
  uint32_t struct_size;
  /*
   Processor time of the whole process in percent of one core; may exceed 100. 0 where the system does not tell.
   */
  uint32_t app_cpu_percent;
  /*
   Loss on the way to the server in percent: 0..100.
   */
  uint32_t up_loss_percent;
  /*
   Loss on the way from the server in percent: 0..100.
   */
  uint32_t down_loss_percent;
  /*
   Round trip to the server; 0 unknown.
   */
  uint32_t rtt_ms;
  /*
   How many `local` has.
   */
  uint32_t local_count;
  /*
   How many `remote` has.
   */
  uint32_t remote_count;
  /*
   Bytes of media sent since entering.
   */
  uint64_t sent_bytes;
  /*
   Bytes of media received since entering.
   */
  uint64_t received_bytes;
  /*
   Local streams: `local_count` pointers.
   */
  const trtc_local_statistics *const *local;
  /*
   Remote streams: `remote_count` pointers.
   */
  const trtc_remote_statistics *const *remote;
} trtc_statistics;

/*
 How loud somebody is.
 */
typedef struct {
  /*
   `sizeof(trtc_volume_info)` of the library.
   */
  uint32_t struct_size;
  /*
   Loudness, 0..100.
   */
  uint32_t volume;
  /*
   Whose; "" is the local user.
   */
  const char *user_id;
} trtc_volume_info;

/*
 How good somebody's network is.
 */
typedef struct {
  /*
   `sizeof(trtc_quality_info)` of the library.
   */
  uint32_t struct_size;
  /*
   `TRTC_QUALITY_*`.
   */
  int32_t quality;
  /*
   Whose; "" is the local user.
   */
  const char *user_id;
} trtc_quality_info;

/*
 What a cloud tells its host. NULL members are skipped; the table is copied.

 Callbacks of one cloud never overlap and arrive in order: on a thread of the cloud or, with `pull_events`, inside
 `trtc_cloud_dispatch()`. Pointers are valid until the callback returns. Every function of the library may be called
 inside, `trtc_cloud_destroy()` included. At 4,096 waiting events (`on_statistics`, `on_network_quality` and
 `on_user_voice_volume` do not count) the cloud closes itself with `TRTC_ERR_EVENT_OVERFLOW`.
 */
typedef struct {
  /*
   `sizeof(trtc_callbacks)`.
   */
  uint32_t struct_size;
  /*
   Given to every callback. Stays the host's, and must live until `user_data_release`. Default NULL.
   */
  void *user_data;
  /*
   Called exactly once, after the last callback of the cloud (render callbacks included), on any thread. Not called
   when `trtc_cloud_create()` fails.
   */
  void (*user_data_release)(void *user_data);
  /*
   Something failed for good. `code` is `TRTC_ERR_*`, `message` a sentence for people.
   */
  void (*on_error)(void *user_data, int32_t code, const char *message);
  /*
   Something is worse than it should be; the call goes on. `code` is `TRTC_WARN_*`, `message` a sentence for people.
   */
  void (*on_warning)(void *user_data, int32_t code, const char *message);
  /*
   Entering ended: above 0 the elapsed milliseconds, below 0 `TRTC_ERR_*` (`on_error` came first); never 0.
   */
  void (*on_enter_room)(void *user_data, int32_t result);
  /*
   The room was left: 0 own call, 1 kicked, 2 room dismissed, 3 server abnormal.
   */
  void (*on_exit_room)(void *user_data, int32_t reason);
  /*
   A remote user is in the room.
   */
  void (*on_remote_user_enter_room)(void *user_data, const char *user_id);
  /*
   A remote user has left: 0 by itself, 1 timed out, 2 kicked, 3 became audience.
   */
  void (*on_remote_user_leave_room)(void *user_data, const char *user_id, int32_t reason);
  /*
   The main stream of a user can be watched (nonzero), or no longer; a muted one cannot.
   */
  void (*on_user_video_available)(void *user_data, const char *user_id, trtc_bool available);
  /*
   The sub stream of a user can be watched (nonzero), or no longer; a muted one cannot.
   */
  void (*on_user_sub_stream_available)(void *user_data, const char *user_id, trtc_bool available);
  /*
   A user can be heard (nonzero), or no longer; a muted microphone cannot.
   */
  void (*on_user_audio_available)(void *user_data, const char *user_id, trtc_bool available);
  /*
   The first picture of a stream (`TRTC_VIDEO_STREAM_TYPE_*`); `user_id` is "" for the local user. Sizes in pixels.
   */
  void (*on_first_video_frame)(void *user_data,
                               const char *user_id,
                               int32_t stream_type,
                               uint32_t width,
                               uint32_t height);
  /*
   The first sound of a remote user.
   */
  void (*on_first_audio_frame)(void *user_data, const char *user_id);
  /*
   The first picture of a local stream (`TRTC_VIDEO_STREAM_TYPE_*`) was sent.
   */
  void (*on_send_first_local_video_frame)(void *user_data, int32_t stream_type);
  /*
   The first local sound was sent.
   */
  void (*on_send_first_local_audio_frame)(void *user_data);
  /*
   The size of a remote stream (`TRTC_VIDEO_STREAM_TYPE_*`), in pixels, also the first.
   */
  void (*on_user_video_size_changed)(void *user_data,
                                     const char *user_id,
                                     int32_t stream_type,
                                     uint32_t width,
                                     uint32_t height);
  /*
   Measurements, every 2 s in a room. One that was not delivered yet is replaced.
   */
  void (*on_statistics)(void *user_data, const trtc_statistics *statistics);
  /*
   The connection to the server broke. Local streams stay.
   */
  void (*on_connection_lost)(void *user_data);
  /*
   The library tries to come back; `on_connection_recovery` or `on_exit_room` follows.
   */
  void (*on_try_to_reconnect)(void *user_data);
  /*
   The connection is back; local streams go on by themselves.
   */
  void (*on_connection_recovery)(void *user_data);
  /*
   A command message: `cmd_id` 1..10, `size_bytes` at most 1,000; `seq` is the sender's running number.
   */
  void (*on_recv_custom_cmd_msg)(void *user_data,
                                 const char *user_id,
                                 int32_t cmd_id,
                                 uint32_t seq,
                                 const uint8_t *data,
                                 uint32_t size_bytes);
  /*
   `missed` reliable command messages of a user got lost. `error` is -1 for now.
   */
  void (*on_miss_custom_cmd_msg)(void *user_data, const char *user_id, int32_t cmd_id, int32_t error, int32_t missed);
  /*
   Loudness 0..100 of `count` users, the local one included, as `trtc_cloud_enable_audio_volume_evaluation()` asked
   for; `total` is that of the mixed playout. One that was not delivered yet is replaced.
   */
  void (*on_user_voice_volume)(void *user_data, const trtc_volume_info *const *users, uint32_t count, uint32_t total);
  /*
   `trtc_cloud_switch_role()` ended: `TRTC_OK`, or `TRTC_ERR_*` and the role is as it was. `message` is a sentence for
   people: why, or with `TRTC_OK` what could not be done; or "".
   */
  void (*on_switch_role)(void *user_data, int32_t code, const char *message);
  /*
   The camera delivers pictures, for the first time or again.
   */
  void (*on_camera_did_ready)(void *user_data);
  /*
   The microphone delivers sound.
   */
  void (*on_mic_did_ready)(void *user_data);
  /*
   A device (`TRTC_DEVICE_TYPE_*`) came, went, is used now, or is the system's default now (`TRTC_DEVICE_STATE_*`; cameras
   have no default). Told of microphones and speakers while the cloud uses one, of cameras after
   `trtc_cloud_start_local_preview()`, and of each type after `trtc_device_get_devices_list()`; within about 1 s.
   */
  void (*on_device_change)(void *user_data, const char *device_id, int32_t device_type, int32_t state);
  /*
   How good the networks are, every 2 s in a room: `local` is ours (`user_id` ""), `remote` those of `count` users who
   send, each with their way to the server and ours from there. One that was not delivered yet is replaced.
   */
  void (*on_network_quality)(void *user_data,
                             const trtc_quality_info *local,
                             const trtc_quality_info *const *remote,
                             uint32_t count);
} trtc_callbacks;

/*
 How a cloud is made.
 */
typedef struct {
  /*
   `sizeof(trtc_cloud_options)`.
   */
  uint32_t struct_size;
  /*
   Nonzero: callbacks run only inside `trtc_cloud_dispatch()`. Default 0: on a thread of the cloud.
   */
  trtc_bool pull_events;
} trtc_cloud_options;

/*
 Called with each log line; `level` is `TRTC_LOG_LEVEL_*`, `module` says which part of the library speaks. The texts are
 valid until it returns. Any thread, one at a time. Must be quick; calls of the library inside it are refused
 (`TRTC_ERR_REFUSED`).
 */
typedef void (*trtc_log_fn)(void *user_data, int32_t level, const char *module, const char *message);

/*
 How to enter a room.
 */
typedef struct {
  /*
   `sizeof(trtc_enter_params)`.
   */
  uint32_t struct_size;
  /*
   TRTC application id 1..4294967295. Required with `user_sig`, ignored with a token. Default 0.
   */
  uint32_t sdk_app_id;
  /*
   Server, required: `https://` or `wss://`; `http://` or `ws://` only on this machine, unless `allow_plain`. Default
   NULL.
   */
  const char *server_url;
  /*
   LiveKit token: names room and user, so that nothing else is needed, and wins over `user_sig`. Default NULL.
   */
  const char *access_token;
  /*
   User id, 1 to 256 bytes. Required with `user_sig`; with a token NULL or the token's. Default NULL.
   */
  const char *user_id;
  /*
   TRTC ticket (UserSig) of `user_id`, at most 4096 bytes; the server must know tickets. Needed without a token. Default
   NULL.
   */
  const char *user_sig;
  /*
   Text room, 1 to 64 bytes. With a token NULL or the token's. Default NULL.
   */
  const char *str_room_id;
  /*
   Numeric room 1..4294967294, wins over `str_room_id`. With a token 0 or the token's (`n/123`). Default 0.
   */
  uint32_t room_id;
  /*
   `TRTC_ROLE_*`, for live scenes; ignored in calls. Default anchor.
   */
  int32_t role;
  /*
   Nonzero allows `http://` and `ws://` to other machines. Default 0.
   */
  trtc_bool allow_plain;
  /*
   PrivateMapKey of `user_id` for the room, at most 4096 bytes; for applications with advanced permission control.
   Ignored with a token. Default NULL.
   */
  const char *private_map_key;
} trtc_enter_params;

/*
 Size, rate and bitrate of a local stream.
 */
typedef struct {
  /*
   `sizeof(trtc_video_enc_param)`.
   */
  uint32_t struct_size;
  /*
   `TRTC_VIDEO_RESOLUTION_*` or any other of the vendor's numbers. Ignored when `width` or `height` is set. Default
   640x360.
   */
  int32_t video_resolution;
  /*
   `TRTC_VIDEO_RESOLUTION_MODE_*`, for `width` and `height` too. Default landscape.
   */
  int32_t res_mode;
  /*
   Frames per second, 1..60. Default 15.
   */
  uint32_t video_fps;
  /*
   Highest bitrate in kbit/s, 10..50000. Default 550.
   */
  uint32_t video_bitrate_kbps;
  /*
   Lowest bitrate in kbit/s, however bad the network, at most `video_bitrate_kbps`; 0 = a third of it. Default 0.
   */
  uint32_t min_video_bitrate_kbps;
  /*
   Width in pixels 16..3840, floored to a multiple of 8; 0, with `height` 0, = by `video_resolution`. Default 0.
   */
  uint32_t width;
  /*
   Height in pixels 16..2160, floored to a multiple of 2; 0, with `width` 0, = by `video_resolution`. Default 0.
   */
  uint32_t height;
} trtc_video_enc_param;

/*
 A picture, from the host or to it. Planes are borrowed: the host's until the call returns, the library's until the
 callback returns or the picture is released.
 */
typedef struct {
  /*
   `sizeof(trtc_video_frame)`.
   */
  uint32_t struct_size;
  /*
   `TRTC_VIDEO_PIXEL_FORMAT_*`. Default I420.
   */
  int32_t pixel_format;
  /*
   Width in pixels; from the host even, 16..3840. Default 0.
   */
  uint32_t width;
  /*
   Height in pixels; from the host even, 16..2160. Default 0.
   */
  uint32_t height;
  /*
   The planes: I420 has three, NV12 two, the others one. Unused ones are NULL. Default NULL.
   */
  const uint8_t *planes[3];
  /*
   Bytes from one row of a plane to the next: at least a row, at most 1,048,576; from the host 0 means without gaps.
   Default 0.
   */
  uint32_t strides_bytes[3];
  /*
   Degrees clockwise: 0. Others are not supported yet. Default 0.
   */
  int32_t rotation;
  /*
   Capture (from the host) or presentation time on the clock of `trtc_generate_custom_pts()`; 0 = now. Default 0.
   */
  uint64_t timestamp_ms;
} trtc_video_frame;

/*
 A file that plays as a local stream.
 */
typedef struct {
  /*
   `sizeof(trtc_file_source)`.
   */
  uint32_t struct_size;
  /*
   Frames per second, 1..60; 0 = the file's, or 30 when it does not tell. Ignored for `.wav`. Default 0.
   */
  uint32_t fps;
  /*
   Path, required: `.h264` (Annex B, at most 512 MB), `.y4m` (4:2:0, 8 bit), `.yuv` (raw I420) or `.wav` (1 or 2
   channels, at most an hour at 48 kHz). Default NULL.
   */
  const char *path;
  /*
   Width of raw I420 in pixels, 16..3840; ignored for others. Default 0.
   */
  uint32_t width;
  /*
   Height of raw I420 in pixels, 16..2160; ignored for others. Default 0.
   */
  uint32_t height;
  /*
   Nonzero begins again at the end, zero plays it once. Default 1.
   */
  trtc_bool repeat;
} trtc_file_source;

/*
 The built-in pattern.
 */
typedef struct {
  /*
   `sizeof(trtc_pattern_source)`.
   */
  uint32_t struct_size;
  /*
   Nonzero sends the picture. Default 1.
   */
  trtc_bool video;
  /*
   Nonzero sends the tone. Default 1.
   */
  trtc_bool audio;
  /*
   Tone in Hz, 50..4000. Default 440.
   */
  uint32_t tone_hz;
} trtc_pattern_source;

/*
 Called with each picture of a stream; the frame is borrowed until it returns.

 `user_id` is "" for the local user, `stream_type` is `TRTC_VIDEO_STREAM_TYPE_*`. Runs on a thread of that stream alone:
 a slow host delays nobody else, late pictures are left out. Functions of the library may be called inside. May still be
 running for a moment after it was replaced; `user_data`, which is only handed back, must live until `user_data_release`
 of the cloud's callbacks.
 */
typedef void (*trtc_video_render_fn)(void *user_data,
                                     const char *user_id,
                                     int32_t stream_type,
                                     const trtc_video_frame *frame);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Starts local sound from the microphone with `TRTC_AUDIO_QUALITY_*`; while custom sound, a file or the pattern runs, only
 the quality is kept.

 `on_mic_did_ready` and, for the others, the sound's availability follow with the first of it. Without a microphone
 `on_warning` tells `TRTC_WARN_MICROPHONE_DEVICE_EMPTY`, and one that is plugged in is used. One that is pulled out is
 told by `TRTC_WARN_MICROPHONE_DEVICE_ABNORMAL` and replaced. Which microphone: `trtc_device_set_current_device()`. Errors:
 `TRTC_ERR_INVALID_PARAMETER` (`quality`), `TRTC_ERR_FAILED` (the system gives no thread). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_start_local_audio(trtc_cloud *cloud,
                                         int32_t quality);

/*
 Ends local sound, whatever its source: microphone, custom capture, file or pattern. Others see it become unavailable. Without local
 sound it does nothing. Errors: common. Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_stop_local_audio(trtc_cloud *cloud);

/*
 Silences local sound (nonzero), or no longer (the default). The track stays and carries silence, yet others see it
 become unavailable. Holds for later sources and rooms too. Errors: common. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_mute_local_audio(trtc_cloud *cloud, trtc_bool mute);

/*
 Starts (nonzero) sound pushed by the host, in place of any other source, or ends it (the default). Errors: common. Any
 thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_enable_custom_audio_capture(trtc_cloud *cloud, trtc_bool enable);

/*
 Sends sound of the host: 5 to 100 ms a call, in real time. What waits longer than 150 ms for two seconds on end is cut to 40 ms.

 The samples are copied. `release` (may be NULL) is called exactly once with `release_context`, whatever the result.
 Errors: `TRTC_ERR_REFUSED` (custom capture is not enabled), `TRTC_ERR_UNSUPPORTED_SAMPLERATE`,
 `TRTC_ERR_INVALID_PARAMETER` (`channels`, `samples_per_channel`, `samples`), `TRTC_ERR_QUEUE_FULL` (more than 1 s was
 waiting: the oldest was dropped, this one taken). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_send_custom_audio_data(trtc_cloud *cloud,
                                              const trtc_audio_frame *frame,
                                              trtc_release_fn release,
                                              void *release_context);

/*
 Volume of local sound in percent: 0..150, default 100; above 100 it may clip. Errors: `TRTC_ERR_INVALID_PARAMETER`
 (`volume`). Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_set_audio_capture_volume(trtc_cloud *cloud, uint32_t volume);

/*
 Volume of local sound in percent, as it was set. Errors: common. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_get_audio_capture_volume(trtc_cloud *cloud, uint32_t *out_volume);

/*
 Volume of the mixed playout in percent: 0..150, default 100. Errors: `TRTC_ERR_INVALID_PARAMETER` (`volume`). Any
 thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_set_audio_playout_volume(trtc_cloud *cloud, uint32_t volume);

/*
 Volume of the mixed playout in percent, as it was set. Errors: common. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_get_audio_playout_volume(trtc_cloud *cloud, uint32_t *out_volume);

/*
 Volume of one remote user in percent: 0..150, default 100. May be set before the user is there; kept as long as the
 cloud. Errors: `TRTC_ERR_INVALID_PARAMETER` (`volume`), `TRTC_ERR_INVALID_USER_ID`. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_set_remote_audio_volume(trtc_cloud *cloud, const char *user_id, uint32_t volume);

/*
 Silences a remote user (nonzero) and stops pulling the sound; zero pulls it, also when sound does not come by itself
 (`trtc_cloud_set_default_stream_recv_mode()`). The latest call wins, that for everybody included.

 May be set before entering, and before the user is there; forgotten at exit. Errors: `TRTC_ERR_INVALID_USER_ID`. Any
 thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_mute_remote_audio(trtc_cloud *cloud, const char *user_id, trtc_bool mute);

/*
 As `trtc_cloud_mute_remote_audio()`, for everybody, later users included. Errors: common. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_mute_all_remote_audio(trtc_cloud *cloud, trtc_bool mute);

/*
 Tells loudness by `on_user_voice_volume`, in a room, every `interval_ms`: 100..10000, in steps of 10; 0 ends it (the
 default). Errors: `TRTC_ERR_INVALID_PARAMETER` (`interval_ms`). Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_enable_audio_volume_evaluation(trtc_cloud *cloud, uint32_t interval_ms);

/*
 The host pulls the mixed playout by itself (nonzero), or the library plays it to the speaker while in a room (the
 default; without a speaker `on_warning` tells `TRTC_WARN_SPEAKER_DEVICE_EMPTY`). Before entering. Errors:
 `TRTC_ERR_REFUSED` (in a room, entering or leaving). Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_enable_custom_audio_rendering(trtc_cloud *cloud, trtc_bool enable);

/*
 Pulls the next 10 or 20 ms of the mixed playout, in real time; silence when nobody speaks.

 The host sets rate, channels, `samples_per_channel` and the buffer `samples`; the library writes the samples and the
 time. Errors: `TRTC_ERR_REFUSED` (custom rendering is not enabled), `TRTC_ERR_UNSUPPORTED_SAMPLERATE`,
 `TRTC_ERR_INVALID_PARAMETER` (`channels`, `samples_per_channel`, `samples`). Any thread, one at a time. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_get_custom_audio_rendering_frame(trtc_cloud *cloud, trtc_audio_frame *frame);

/*
 Sets the defaults of `trtc_callbacks` (no callback), and `struct_size` to `size`, the host's `sizeof(trtc_callbacks)`.
 NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
 */
TRTC_API void trtc_callbacks_init(trtc_callbacks *callbacks, uint32_t size);

/*
 Version of the library: `major << 16 | minor << 8 | patch`. Compare with `TRTC_VERSION`. Any thread. Since 0.1.
 */
TRTC_API uint32_t trtc_version(void);

/*
 Version of the library as text, such as "0.1.0". Static: valid until the library is unloaded. Any thread. Since 0.1.
 */
TRTC_API const char *trtc_version_string(void);

/*
 Makes a cloud, to be ended by `trtc_cloud_destroy()`.

 `callbacks` may be NULL (nothing is told), `options` may be NULL (defaults). `out_cloud` gets the handle, or NULL.
 Errors: `TRTC_ERR_FAILED` (the system gives no thread, or 8,192 clouds exist). Any thread. Since 0.1.
 */
TRTC_API
TRTC_WARN_UNUSED
trtc_result trtc_cloud_create(const trtc_callbacks *callbacks,
                              const trtc_cloud_options *options,
                              trtc_cloud **out_cloud);

/*
 Ends a cloud: leaves the room, ends its threads. Allowed anywhere but in the log callback. The handle is stale at once,
 and no new callback of the cloud starts.

 Outside of callbacks it returns after the cloud's running callbacks have returned and `user_data_release` has run.
 Inside a callback, of this cloud or of another one (render callbacks and `user_data_release` included), it never waits,
 so that clouds can end each other: callbacks of the cloud that run at the moment go on, and `user_data_release` runs
 when they have returned. The last cloud of all, when it is destroyed outside of callbacks, also waits for what earlier
 ones left behind; only then may the library be unloaded. Errors: `TRTC_ERR_INVALID_HANDLE`, also for the second of two
 calls. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_destroy(trtc_cloud *cloud);

/*
 Runs the waiting callbacks on the calling thread (pull mode); without waiting ones it returns at once. `out_count` (may
 be NULL) gets how many events there were.

 Errors: `TRTC_ERR_REFUSED` (without `pull_events`, inside a callback of the cloud, or while another thread dispatches).
 Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_dispatch(trtc_cloud *cloud, uint32_t *out_count);

/*
 The message of the latest failed call on this cloud, from any thread; "" when there was none.

 `buffer` (of `size_bytes`; may be NULL to ask for the size) gets the text with its NUL; `out_need_bytes` (may be NULL)
 gets the size that is needed. Errors: `TRTC_ERR_BUFFER_TOO_SMALL` (`buffer` was not touched). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_last_error(trtc_cloud *cloud,
                                  char *buffer,
                                  uint32_t size_bytes,
                                  uint32_t *out_need_bytes);

/*
 The clock of frame timestamps, in milliseconds since a moment of the process; it only goes forward. Errors: common. Any
 thread. Since 0.1.
 */
TRTC_API trtc_result trtc_generate_custom_pts(uint64_t *out_pts_ms);

/*
 Lists the devices of a type (`TRTC_DEVICE_TYPE_*`) that are there now, by a handle in `out_list`.

 From now on the cloud tells changes by `on_device_change`. On Linux microphones and speakers are those of the PulseAudio
 (or PipeWire) server, without one ALSA's; the first use of them keeps the library loaded after a later `dlclose`. Waits for the system's answer, up to some 100 ms. Errors: `TRTC_ERR_INVALID_PARAMETER`
 (`device_type`), `TRTC_ERR_NOT_SUPPORTED` (cameras on systems other than Linux), `TRTC_ERR_FAILED` (there are
 cameras, and the system lets this process open none). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_device_get_devices_list(trtc_cloud *cloud,
                                         int32_t device_type,
                                         trtc_device_list **out_list);

/*
 How many devices a list has. Errors: `TRTC_ERR_INVALID_HANDLE`, `TRTC_ERR_INVALID_PARAMETER` (`out_count`). Any thread.
 Since 0.1.
 */
TRTC_API trtc_result trtc_device_list_get_count(trtc_device_list *list, uint32_t *out_count);

/*
 The name of a device, for people.

 `buffer` (of `size_bytes`; may be NULL to ask for the size) gets the text with its NUL; `out_need_bytes` (may be NULL)
 gets the size that is needed. Errors: `TRTC_ERR_INVALID_HANDLE`, `TRTC_ERR_INVALID_PARAMETER` (`index`),
 `TRTC_ERR_BUFFER_TOO_SMALL` (`buffer` was not touched). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_device_list_get_device_name(trtc_device_list *list,
                                             uint32_t index,
                                             char *buffer,
                                             uint32_t size_bytes,
                                             uint32_t *out_need_bytes);

/*
 The id of a device, for `trtc_device_set_current_device()`: the same after a restart, as far as the system's names are.
 Arguments and errors as for `trtc_device_list_get_device_name()`. Errors: as there. Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_device_list_get_device_pid(trtc_device_list *list,
                                            uint32_t index,
                                            char *buffer,
                                            uint32_t size_bytes,
                                            uint32_t *out_need_bytes);

/*
 What a camera can do, as JSON: `{"SupportedResolution":[{"width":1280,"height":720}]}`; for other devices the list is
 empty. Arguments and errors as for `trtc_device_list_get_device_name()`. Errors: as there. Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_device_list_get_device_properties(trtc_device_list *list,
                                                   uint32_t index,
                                                   char *buffer,
                                                   uint32_t size_bytes,
                                                   uint32_t *out_need_bytes);

/*
 Gives a list back. Errors: `TRTC_ERR_INVALID_HANDLE`. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_device_list_release(trtc_device_list *list);

/*
 Uses a device (`device_id` as of the list) from now on, also in place of one that is in use.

 Devices belong to the process: the latest call of any cloud wins. The system's default is no longer followed; a
 microphone or speaker that is pulled out is replaced by the default until it is back. No other camera is switched on by
 itself in place of one that is pulled out. Errors: `TRTC_ERR_INVALID_PARAMETER` (`device_type`,
 `device_id`: not there now), `TRTC_ERR_NOT_SUPPORTED` (cameras on systems other than Linux). Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_device_set_current_device(trtc_cloud *cloud, int32_t device_type, const char *device_id);

/*
 The device in use, or else the one that would be used: a list of one, or of none without any, by a handle in `out_list`.
 Errors: `TRTC_ERR_INVALID_PARAMETER` (`device_type`), `TRTC_ERR_NOT_SUPPORTED` (cameras on systems other than Linux). Any
 thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_device_get_current_device(trtc_cloud *cloud,
                                           int32_t device_type,
                                           trtc_device_list **out_list);

/*
 Follows the system's default microphone or speaker (nonzero, the default), or stays with the device of now. Errors:
 `TRTC_ERR_INVALID_PARAMETER` (`device_type`), `TRTC_ERR_NOT_SUPPORTED` (camera). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_device_enable_following_default_audio_device(trtc_cloud *cloud,
                                                              int32_t device_type,
                                                              trtc_bool enable);

/*
 Sets the system's volume of a microphone or speaker in percent: 0..100. Not available yet; see
 `trtc_cloud_set_audio_capture_volume()` and `trtc_cloud_set_audio_playout_volume()`. Errors:
 `TRTC_ERR_INVALID_PARAMETER` (`device_type`, `volume`), `TRTC_ERR_NOT_SUPPORTED`. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_device_set_current_device_volume(trtc_cloud *cloud, int32_t device_type, uint32_t volume);

/*
 The system's volume of a microphone or speaker in percent. Not available yet. Errors: `TRTC_ERR_INVALID_PARAMETER`
 (`device_type`), `TRTC_ERR_NOT_SUPPORTED`. Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_device_get_current_device_volume(trtc_cloud *cloud,
                                                  int32_t device_type,
                                                  uint32_t *out_volume);

/*
 Mutes a microphone or speaker in the system. Not available yet; see `trtc_cloud_mute_local_audio()`. Errors:
 `TRTC_ERR_INVALID_PARAMETER` (`device_type`), `TRTC_ERR_NOT_SUPPORTED`. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_device_set_current_device_mute(trtc_cloud *cloud, int32_t device_type, trtc_bool mute);

/*
 Whether a microphone or speaker is muted in the system. Not available yet. Errors: `TRTC_ERR_INVALID_PARAMETER`
 (`device_type`), `TRTC_ERR_NOT_SUPPORTED`. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_device_get_current_device_mute(trtc_cloud *cloud, int32_t device_type, trtc_bool *out_mute);

/*
 The message of the latest failed call on this thread, naming the field and the allowed range; "" when there was none.

 The text belongs to the library and is valid until the next failing call on the same thread. Never NULL. Any thread.
 Since 0.1.
 */
TRTC_API const char *trtc_last_error_message(void);

/*
 Lowest level that is logged, in the whole process: `TRTC_LOG_LEVEL_*`. Default none. Errors:
 `TRTC_ERR_INVALID_PARAMETER` (`level`). Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_set_log_level(int32_t level);

/*
 Appends log lines to a file, which is made when it is not there; NULL ends it (the default). Errors: `TRTC_ERR_FILE`
 (`path` cannot be opened). Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_set_log_file(const char *path);

/*
 Gives log lines to the host; NULL ends it (the default). When it returns, the earlier callback is not running and will
 not be called again. `user_data` is only handed back. Errors: common. Any thread, not inside the log callback. Since
 0.1.
 */
TRTC_API trtc_result trtc_set_log_callback(trtc_log_fn callback, void *user_data);

/*
 Sends a command message to everybody in the room.

 `cmd_id` 1..10; `data`, which is copied, at most 1,000 bytes (NULL only with 0 bytes); at most 30 messages and 8,000
 bytes in any 1,000 ms; `reliable` and `ordered` must be equal: nonzero arrives in order, zero may get lost. While the
 connection is broken reliable messages wait for it, at most 256 of them. Errors: `TRTC_ERR_REFUSED` (not in a room, or
 audience: warning 6001 too), `TRTC_ERR_INVALID_PARAMETER`, `TRTC_ERR_RATE_LIMITED`, `TRTC_ERR_DISCONNECTED` (the
 connection is broken and the message not reliable), `TRTC_ERR_QUEUE_FULL` (too much waits). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_send_custom_cmd_msg(trtc_cloud *cloud,
                                           int32_t cmd_id,
                                           const uint8_t *data,
                                           uint32_t size_bytes,
                                           trtc_bool reliable,
                                           trtc_bool ordered);

/*
 Sets the defaults of `trtc_cloud_options`, and `struct_size` to `size`, the host's `sizeof(trtc_cloud_options)`.
 NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
 */
TRTC_API void trtc_cloud_options_init(trtc_cloud_options *params, uint32_t size);

/*
 Sets the defaults of `trtc_enter_params`, and `struct_size` to `size`, the host's `sizeof(trtc_enter_params)`.
 NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
 */
TRTC_API void trtc_enter_params_init(trtc_enter_params *params, uint32_t size);

/*
 Sets the defaults of `trtc_video_enc_param`, and `struct_size` to `size`, the host's `sizeof(trtc_video_enc_param)`.
 NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
 */
TRTC_API void trtc_video_enc_param_init(trtc_video_enc_param *params, uint32_t size);

/*
 Sets the defaults of `trtc_video_frame`, and `struct_size` to `size`, the host's `sizeof(trtc_video_frame)`.
 NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
 */
TRTC_API void trtc_video_frame_init(trtc_video_frame *params, uint32_t size);

/*
 Sets the defaults of `trtc_audio_frame`, and `struct_size` to `size`, the host's `sizeof(trtc_audio_frame)`.
 NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
 */
TRTC_API void trtc_audio_frame_init(trtc_audio_frame *params, uint32_t size);

/*
 Sets the defaults of `trtc_file_source`, and `struct_size` to `size`, the host's `sizeof(trtc_file_source)`.
 NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
 */
TRTC_API void trtc_file_source_init(trtc_file_source *params, uint32_t size);

/*
 Sets the defaults of `trtc_pattern_source`, and `struct_size` to `size`, the host's `sizeof(trtc_pattern_source)`.
 NULL, a misaligned place or a wrong size does nothing. Any thread. Since 0.1.
 */
TRTC_API void trtc_pattern_source_init(trtc_pattern_source *params, uint32_t size);

/*
 Enters a room. The outcome comes by `on_enter_room`.

 `scene` is `TRTC_APP_SCENE_*`. Sources that run are published by themselves. Without `access_token` the `user_sig` is first
 exchanged for one at the server; that does not block, takes at most 10 s, and its refusals come by `on_enter_room` too:
 `TRTC_ERR_USER_SIG_CHECK_FAILED`, `TRTC_ERR_INVALID_PRIVATE_MAPKEY`, `TRTC_ERR_NO_RIGHT_TO_ENTER_ROOM`,
 `TRTC_ERR_NO_RIGHT_TO_CREATE_ROOM`, `TRTC_ERR_INVALID_SDK_APPID`, `TRTC_ERR_NOT_SUPPORTED` (the server knows no tickets).

 Errors, at once: `TRTC_ERR_ENTER_ROOM_REFUSED` (in a room already, entering or leaving), `TRTC_ERR_ROOM_PARAM_NULL`
 (`server_url`, or both of `access_token` and `user_sig`, missing), `TRTC_ERR_INVALID_PARAMETER` (`server_url`, `role`,
 `scene`), `TRTC_ERR_INVALID_ROOM_ID`, `TRTC_ERR_INVALID_USER_ID` and `TRTC_ERR_INVALID_SDK_APPID` (malformed, missing with
 a `user_sig`, or not the token's), `TRTC_ERR_INVALID_USER_SIG` (`access_token` is no token, `user_sig` too long),
 `TRTC_ERR_INVALID_PRIVATE_MAPKEY` (too long), `TRTC_ERR_FAILED` (the system gives no thread). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_enter_room(trtc_cloud *cloud,
                                  const trtc_enter_params *params,
                                  int32_t scene);

/*
 Leaves the room; `on_exit_room` follows: wait for it before entering again. Local sources go on running. Views and mutes
 of remote users are forgotten, render callbacks and volumes stay. Outside of rooms it does nothing. Errors: common. Any
 thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_exit_room(trtc_cloud *cloud);

/*
 Becomes anchor or audience (`TRTC_ROLE_*`) in a live or voice chat scene. The outcome comes by `on_switch_role`.

 `private_map_key` is for applications with advanced permission control; NULL or "" for the one that is known. Audience
 members are not told of to others, and what they send ends; sources go on running and are published when they become
 anchor. Entered with `user_sig` the server decides: who asks to be anchor with an expired PrivateMapKey is removed
 (`on_exit_room` 1). With an `access_token` of another server the library itself stops sending, and `on_switch_role` says
 what could not be done. Errors: `TRTC_ERR_REFUSED` (outside of rooms, in a call scene, or an earlier call is under way),
 `TRTC_ERR_INVALID_PARAMETER` (`role`), `TRTC_ERR_INVALID_PRIVATE_MAPKEY` (longer than 4096 bytes). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_switch_role(trtc_cloud *cloud,
                                   int32_t role,
                                   const char *private_map_key);

/*
 Replaces the PrivateMapKey of a member that entered with `user_sig`; what the new one no longer allows ends. A refusal comes
 by `on_error`. Errors: `TRTC_ERR_REFUSED` (outside of rooms), `TRTC_ERR_INVALID_PRIVATE_MAPKEY` (not 1 to 4096 bytes),
 `TRTC_ERR_NOT_SUPPORTED` (entered with an `access_token`). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_update_private_map_key(trtc_cloud *cloud,
                                              const char *private_map_key);

/*
 Whether remote sound and pictures come by themselves (nonzero, the default of both). Before entering.

 By hand, a picture comes with `trtc_cloud_start_remote_view()`, and sound with `trtc_cloud_mute_remote_audio()` or
 `trtc_cloud_mute_all_remote_audio()` and 0, both also before the user is there. Pictures that come by themselves are
 held back at the server when nobody has watched them for 5 s. Errors: `TRTC_ERR_REFUSED` (in a room, entering or
 leaving). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_set_default_stream_recv_mode(trtc_cloud *cloud,
                                                    trtc_bool auto_recv_audio,
                                                    trtc_bool auto_recv_video);

/*
 Plays a file as a local stream: `.h264`, `.y4m` and `.yuv` as picture of `stream_type`, `.wav` as sound.

 H.264 without B frames and with key frames at most 500 ms apart is sent as it is, and has no local pictures; other files
 are (re-)encoded with `trtc_cloud_set_video_encoder_param()` or, when that was never called, with the file's size and
 rate. A last picture that is cut off is left out. A running source of the stream ends, unless this call fails. A file
 that cannot be read any more later on is told by `on_error`. Errors: `TRTC_ERR_FILE` (`path` is missing, of an unknown
 kind, or holds nothing that can be played), `TRTC_ERR_INVALID_PARAMETER` (`stream_type`, `fps`, `width`, `height`),
 `TRTC_ERR_NOT_SUPPORTED` (small stream), `TRTC_ERR_FAILED` (the system gives no thread). Blocks while the file is
 opened. Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_start_file_source(trtc_cloud *cloud,
                                         int32_t stream_type,
                                         const trtc_file_source *source);

/*
 Sends the built-in pattern: a moving picture with a burned-in time code (Unix time in ms modulo 2^32), a tone with a
 chirp each second, or both. `source` may be NULL (defaults).

 The picture has the size and rate of `trtc_cloud_set_video_encoder_param()`. A running source of the stream ends.
 Errors: `TRTC_ERR_INVALID_PARAMETER` (`stream_type`, `tone_hz`), `TRTC_ERR_NOT_SUPPORTED` (small stream),
 `TRTC_ERR_FAILED` (the system gives no thread). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_start_pattern_source(trtc_cloud *cloud,
                                            int32_t stream_type,
                                            const trtc_pattern_source *source);

/*
 Ends the source of a stream, whatever it is; with the main stream also a file or pattern that sounds. Without one it
 does nothing. Errors: `TRTC_ERR_INVALID_PARAMETER` (`stream_type`), `TRTC_ERR_NOT_SUPPORTED` (small stream). Any thread.
 Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_stop_source(trtc_cloud *cloud,
                                   int32_t stream_type);

/*
 Sends the camera as the main stream, in place of its source. `view` must be NULL for now: the host draws, by
 `trtc_cloud_set_local_video_render_callback()` or `trtc_video_acquire()`.

 The camera delivers in the format nearest to `trtc_cloud_set_video_encoder_param()` of before; `on_camera_did_ready`
 follows. Without a camera `on_warning` tells `TRTC_WARN_CAMERA_DEVICE_EMPTY`, and nothing is sent. One that cannot be
 opened or is pulled out is told by `TRTC_WARN_CAMERA_NOT_AUTHORIZED`, `TRTC_WARN_CAMERA_IS_OCCUPIED`,
 `TRTC_WARN_CAMERA_START_FAILED` or `TRTC_WARN_CAMERA_DISCONNECTED` and tried again every second; one without pictures for
 5 s by `TRTC_WARN_CAMERA_DEVICE_ERROR`. Which camera: `trtc_device_set_current_device()`. On Linux (V4L2) only. Errors: `TRTC_ERR_NOT_SUPPORTED`
 (`view`, or a system without cameras), `TRTC_ERR_FAILED` (the system gives no thread). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_start_local_preview(trtc_cloud *cloud,
                                           void *view);

/*
 Ends the camera; other sources are left alone. Errors: common. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_stop_local_preview(trtc_cloud *cloud);

/*
 Size, rate and bitrate of a local stream, also while it runs. Pictures of another size are scaled to fit, with black
 bars. Errors: `TRTC_ERR_INVALID_PARAMETER`, `TRTC_ERR_UNSUPPORTED_RESOLUTION` (unknown number), `TRTC_ERR_NOT_SUPPORTED`
 (small stream). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_set_video_encoder_param(trtc_cloud *cloud,
                                               int32_t stream_type,
                                               const trtc_video_enc_param *param);

/*
 Sends the main stream in a second, small layer too (nonzero), or no longer (the default): of two layers made from one
 picture each receiver takes one (`trtc_cloud_set_remote_video_stream_type()`), and one that nobody watches is not made.

 `param` is the small layer's size, rate (at most the main stream's) and bitrate; NULL only with 0. Before the main stream
 starts or while it runs; one that is published without a small layer becomes unavailable to others for a moment, once.
 Errors: `TRTC_ERR_INVALID_PARAMETER` (also a picture larger than the main stream's), `TRTC_ERR_UNSUPPORTED_RESOLUTION`
 (unknown number). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_enable_small_video_stream(trtc_cloud *cloud,
                                                 trtc_bool enable,
                                                 const trtc_video_enc_param *param);

/*
 Pauses a local stream (nonzero), or no longer (the default). Others see it become unavailable; the source and local
 pictures go on. Holds for later sources and rooms too. Errors: `TRTC_ERR_INVALID_PARAMETER` (`stream_type`),
 `TRTC_ERR_NOT_SUPPORTED` (small stream). Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_mute_local_video(trtc_cloud *cloud, int32_t stream_type, trtc_bool mute);

/*
 Starts (nonzero) a stream of pictures pushed by the host, in place of any other source, or ends it (the default).
 Errors: `TRTC_ERR_INVALID_PARAMETER` (`stream_type`), `TRTC_ERR_NOT_SUPPORTED` (small stream), `TRTC_ERR_FAILED` (the
 system gives no thread). Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_enable_custom_video_capture(trtc_cloud *cloud, int32_t stream_type, trtc_bool enable);

/*
 Sends one picture of the host. The encoder's frame rate decides how many are sent; the newest wins.

 The pixels are copied. `release` (may be NULL) is called exactly once with `release_context`, whatever the result.
 Errors: `TRTC_ERR_REFUSED` (custom capture is not enabled), `TRTC_ERR_INVALID_PARAMETER`,
 `TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED`, `TRTC_ERR_NOT_SUPPORTED` (small stream, rotation), `TRTC_ERR_QUEUE_FULL` (an older
 picture that was still waiting was dropped, this one taken). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_send_custom_video_data(trtc_cloud *cloud,
                                              int32_t stream_type,
                                              const trtc_video_frame *frame,
                                              trtc_release_fn release,
                                              void *release_context);

/*
 Pictures of a local stream, as `TRTC_VIDEO_PIXEL_FORMAT_*`, as they are before encoding, also outside of rooms. It
 replaces an earlier callback; NULL ends it. Errors: `TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED`, `TRTC_ERR_INVALID_PARAMETER`
 (`stream_type`), `TRTC_ERR_NOT_SUPPORTED` (small stream). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_set_local_video_render_callback(trtc_cloud *cloud,
                                                       int32_t stream_type,
                                                       int32_t pixel_format,
                                                       trtc_video_render_fn callback,
                                                       void *user_data);

/*
 Pictures of a remote stream, which must also be watched (`trtc_cloud_start_remote_view()`), as
 `TRTC_VIDEO_PIXEL_FORMAT_*`. It replaces an earlier callback; NULL ends it. May be set before the user is there. Errors:
 `TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED`, `TRTC_ERR_INVALID_USER_ID`, `TRTC_ERR_INVALID_PARAMETER` (`stream_type`). Any
 thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_set_remote_video_render_callback(trtc_cloud *cloud,
                                                        const char *user_id,
                                                        int32_t stream_type,
                                                        int32_t pixel_format,
                                                        trtc_video_render_fn callback,
                                                        void *user_data);

/*
 Takes the main (`TRTC_VIDEO_STREAM_TYPE_BIG`, the default) or the small stream of a user, also while it is watched: the
 picture changes its size (`on_user_video_size_changed`) when the next key frame is there, and never stands still. A user
 who sends no small stream shows the main one. Events, pictures and statistics name the chosen stream.

 May be set before entering, and before the user is there; forgotten at exit. Errors: `TRTC_ERR_INVALID_USER_ID`,
 `TRTC_ERR_INVALID_PARAMETER` (`stream_type`; a sub stream has no small one). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_set_remote_video_stream_type(trtc_cloud *cloud,
                                                    const char *user_id,
                                                    int32_t stream_type);

/*
 As `trtc_cloud_set_remote_video_stream_type()`, for everybody, later users and rooms included. Errors:
 `TRTC_ERR_INVALID_PARAMETER` (`stream_type`; a sub stream has no small one). Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_set_prior_remote_video_stream_type(trtc_cloud *cloud, int32_t stream_type);

/*
 Watches a remote stream: subscribes and decodes, now or as soon as it is there. The small stream comes in place of the
 main one, as by `trtc_cloud_set_remote_video_stream_type()`; asking for the main one leaves an earlier choice as it is. A
 muted stream (`trtc_cloud_mute_remote_video_stream()`) begins when it is no longer muted. `view` must be NULL for now;
 take the pictures by callback or `trtc_video_acquire()`. Errors: `TRTC_ERR_INVALID_USER_ID`,
 `TRTC_ERR_INVALID_PARAMETER` (`stream_type`), `TRTC_ERR_NOT_SUPPORTED` (`view`). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_start_remote_view(trtc_cloud *cloud,
                                         const char *user_id,
                                         int32_t stream_type,
                                         void *view);

/*
 Stops watching a remote stream; one that is not watched is left alone. The render callback stays set. Errors:
 `TRTC_ERR_INVALID_USER_ID`, `TRTC_ERR_INVALID_PARAMETER` (`stream_type`). Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_stop_remote_view(trtc_cloud *cloud, const char *user_id, int32_t stream_type);

/*
 Stops watching everybody, main and sub streams. Errors: common. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_stop_all_remote_view(trtc_cloud *cloud);

/*
 Freezes a remote stream (nonzero): the host keeps the last picture, no further one comes and none is pulled; or no
 longer (the default). The latest call wins, that for everybody included.

 May be set before entering, and before the user is there; forgotten at exit. Errors: `TRTC_ERR_INVALID_USER_ID`,
 `TRTC_ERR_INVALID_PARAMETER` (`stream_type`). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_cloud_mute_remote_video_stream(trtc_cloud *cloud,
                                                const char *user_id,
                                                int32_t stream_type,
                                                trtc_bool mute);

/*
 As `trtc_cloud_mute_remote_video_stream()`, for everybody, later users included, main and sub streams. Errors: common.
 Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_cloud_mute_all_remote_video_streams(trtc_cloud *cloud, trtc_bool mute);

/*
 Takes the newest picture that was not acquired yet: of a watched remote user, or the local one (`user_id` NULL).

 `frame`, set up by its init function, gets pointers into the picture, valid until `trtc_video_release()` of `out_video`,
 also after the cloud's end. Errors: `TRTC_ERR_NO_FRAME` (nothing new, or not watched),
 `TRTC_ERR_PIXEL_FORMAT_UNSUPPORTED`, `TRTC_ERR_INVALID_USER_ID`, `TRTC_ERR_INVALID_PARAMETER` (`stream_type`),
 `TRTC_ERR_NOT_SUPPORTED` (local small stream), `TRTC_ERR_FAILED` (8,192 pictures are acquired). Any thread. Since 0.1.
 */
TRTC_API
trtc_result trtc_video_acquire(trtc_cloud *cloud,
                               const char *user_id,
                               int32_t stream_type,
                               int32_t pixel_format,
                               trtc_video **out_video,
                               trtc_video_frame *frame);

/*
 Gives an acquired picture back; its pointers end. Errors: `TRTC_ERR_INVALID_HANDLE`. Any thread. Since 0.1.
 */
TRTC_API trtc_result trtc_video_release(trtc_video *video);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TRTC_H */
