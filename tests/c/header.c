/* The header as C99, C11, C++11 and C++17: every init function sets its documented defaults. */
#include <stdio.h>
#include <string.h>
#include <trtc.h>

static int failed;

static void that(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "FAIL %s\n", what);
        failed = 1;
    }
}

int main(void)
{
    trtc_callbacks callbacks;
    trtc_cloud_options options;
    trtc_enter_params enter;
    trtc_video_enc_param encoder;
    trtc_video_frame picture;
    trtc_audio_frame sound;
    trtc_file_source file;
    trtc_pattern_source pattern;
    memset(&callbacks, 0xff, sizeof callbacks);
    memset(&enter, 0xff, sizeof enter);
    trtc_callbacks_init(&callbacks, sizeof callbacks);
    trtc_cloud_options_init(&options, sizeof options);
    trtc_enter_params_init(&enter, sizeof enter);
    trtc_video_enc_param_init(&encoder, sizeof encoder);
    trtc_video_frame_init(&picture, sizeof picture);
    trtc_audio_frame_init(&sound, sizeof sound);
    trtc_file_source_init(&file, sizeof file);
    trtc_pattern_source_init(&pattern, sizeof pattern);
    that(trtc_version() == TRTC_VERSION, "version");
    that(callbacks.struct_size == sizeof callbacks && !callbacks.on_error && !callbacks.user_data, "callbacks");
    that(options.struct_size == sizeof options && !options.pull_events, "options");
    that(enter.struct_size == sizeof enter && enter.role == TRTC_ROLE_ANCHOR && !enter.server_url, "enter");
    that(encoder.video_resolution == TRTC_VIDEO_RESOLUTION_640_360 && encoder.video_fps == 15 &&
         encoder.video_bitrate_kbps == 550, "encoder");
    that(picture.pixel_format == TRTC_VIDEO_PIXEL_FORMAT_I420 && !picture.planes[2], "picture");
    that(sound.sample_rate_hz == 48000 && sound.channels == 1, "sound");
    that(file.repeat == 1 && !file.path, "file");
    that(pattern.video && pattern.audio && pattern.tone_hz == 440, "pattern");
    return failed;
}
