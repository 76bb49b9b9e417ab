/*
 * Microphone, speaker and camera through the C door: lists them, selects, sends, and says what happened, one JSON object a line.
 *
 *   devices SERVER_URL ACCESS_TOKEN [mic[=NAME]] [camera[=NAME]] [speaker[=NAME]]
 *
 * Stays in the room until SIGTERM. Exit code 0: everything that was asked for was accepted, and the room was entered.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <trtc.h>

static volatile sig_atomic_t ended;
static int entered;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static void on_error(void *data, int32_t code, const char *message)
{
    (void)data;
    printf("{\"event\": \"error\", \"code\": %d, \"message\": \"%s\"}\n", (int)code, message);
}

static void on_warning(void *data, int32_t code, const char *message)
{
    (void)data, (void)message; /* which may have quotes */
    printf("{\"event\": \"warning\", \"code\": %d}\n", (int)code);
}

static void on_enter_room(void *data, int32_t result)
{
    (void)data;
    entered = result;
    printf("{\"event\": \"joined\", \"ms\": %d}\n", (int)result);
}

static void on_mic_did_ready(void *data)
{
    (void)data;
    puts("{\"event\": \"mic_ready\"}");
}

static void on_camera_did_ready(void *data)
{
    (void)data;
    puts("{\"event\": \"camera_ready\"}");
}

static void on_device_change(void *data, const char *device, int32_t type, int32_t state)
{
    (void)data;
    printf("{\"event\": \"device_change\", \"device\": \"%s\", \"type\": %d, \"state\": %d}\n", device, (int)type, (int)state);
}

static int check(trtc_result result, const char *what)
{
    if (result != TRTC_OK)
        printf("{\"event\": \"refused\", \"call\": \"%s\", \"code\": %d}\n", what, (int)result);
    return result == TRTC_OK;
}

/* Prints a list of devices; selects the one of this name, or else the first. */
static int use(trtc_cloud *cloud, int32_t type, const char *wanted)
{
    trtc_device_list *list = NULL, *now = NULL;
    char name[300], id[300], properties[2000], current[300] = "";
    uint32_t count = 0, i;
    int good = check(trtc_device_get_devices_list(cloud, type, &list), "trtc_device_get_devices_list") &&
               check(trtc_device_list_get_count(list, &count), "trtc_device_list_get_count");
    for (i = 0; good && i < count; i++) {
        good = check(trtc_device_list_get_device_name(list, i, name, sizeof name, NULL), "name") &&
               check(trtc_device_list_get_device_pid(list, i, id, sizeof id, NULL), "pid") &&
               check(trtc_device_list_get_device_properties(list, i, properties, sizeof properties, NULL), "properties");
        printf("{\"event\": \"device\", \"type\": %d, \"id\": \"%s\", \"name\": \"%s\", \"properties\": %s}\n", (int)type, id, name,
               properties);
        if (wanted ? strcmp(wanted, name) == 0 : i == 0)
            good = good && check(trtc_device_set_current_device(cloud, type, id), "trtc_device_set_current_device");
    }
    if (good && check(trtc_device_get_current_device(cloud, type, &now), "trtc_device_get_current_device")) {
        if (trtc_device_list_get_device_pid(now, 0, current, sizeof current, NULL) == TRTC_OK)
            printf("{\"event\": \"current\", \"type\": %d, \"id\": \"%s\"}\n", (int)type, current);
        good = check(trtc_device_list_release(now), "trtc_device_list_release");
    }
    return check(trtc_device_list_release(list), "trtc_device_list_release") && good;
}

/* Y, U and V at eight places near the lower edge: the upper part has text of the test camera. */
static void print_colours(const trtc_video_frame *frame, int pictures)
{
    unsigned i, row = frame->height * 15 / 16;
    printf("{\"event\": \"local\", \"pictures\": %d, \"width\": %u, \"height\": %u, \"colours\": [", pictures,
           (unsigned)frame->width, (unsigned)frame->height);
    for (i = 0; i < 8; i++) {
        unsigned x = (2 * i + 1) * frame->width / 16;
        size_t half = (size_t)(row / 2) * frame->strides_bytes[1] + x / 2;
        printf("%s[%u, %u, %u]", i ? ", " : "", (unsigned)frame->planes[0][row * frame->strides_bytes[0] + x],
               (unsigned)frame->planes[1][half], (unsigned)frame->planes[2][half]);
    }
    puts("]}");
}

/* The newest local picture, if there is one; the tenth is described. */
static void look(trtc_cloud *cloud, int *pictures)
{
    trtc_video *video;
    trtc_video_frame frame;
    trtc_video_frame_init(&frame, sizeof frame);
    if (trtc_video_acquire(cloud, NULL, TRTC_VIDEO_STREAM_TYPE_BIG, TRTC_VIDEO_PIXEL_FORMAT_I420, &video, &frame) != TRTC_OK)
        return;
    if (++*pictures == 10)
        print_colours(&frame, *pictures);
    check(trtc_video_release(video), "trtc_video_release");
}

/* What follows `name` or `name=` among the arguments: NULL without it, "" for any. */
static const char *wish(int argc, char **argv, const char *name)
{
    size_t length = strlen(name);
    int i;
    for (i = 3; i < argc; i++)
        if (strncmp(argv[i], name, length) == 0 && (argv[i][length] == 0 || argv[i][length] == '='))
            return argv[i][length] ? argv[i] + length + 1 : "";
    return NULL;
}

int main(int argc, char **argv)
{
    static const char *const KINDS[] = {"mic", "speaker", "camera"}; /* TRTC_DEVICE_TYPE_* */
    const char *wishes[3];
    trtc_cloud *cloud = NULL;
    trtc_callbacks callbacks;
    trtc_cloud_options options;
    trtc_enter_params params;
    trtc_video_enc_param encoder;
    const struct timespec pause = {0, 20000000};
    int good = argc > 2, pictures = 0, i;

    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, on_signal);
    trtc_callbacks_init(&callbacks, sizeof callbacks);
    callbacks.on_error = on_error;
    callbacks.on_warning = on_warning;
    callbacks.on_enter_room = on_enter_room;
    callbacks.on_mic_did_ready = on_mic_did_ready;
    callbacks.on_camera_did_ready = on_camera_did_ready;
    callbacks.on_device_change = on_device_change;
    trtc_cloud_options_init(&options, sizeof options);
    options.pull_events = 1;
    for (i = 0; i < 3; i++)
        wishes[i] = wish(argc, argv, KINDS[i]);
    good = good && check(trtc_cloud_create(&callbacks, &options, &cloud), "trtc_cloud_create");
    for (i = 0; good && i < 3; i++)
        if (wishes[i])
            good = use(cloud, i, wishes[i][0] ? wishes[i] : NULL);
    trtc_video_enc_param_init(&encoder, sizeof encoder);
    encoder.width = 320;
    encoder.height = 180;
    encoder.video_fps = 5;
    encoder.video_bitrate_kbps = 150;
    trtc_enter_params_init(&params, sizeof params);
    params.server_url = argv[1];
    params.access_token = argv[2];
    good = good && check(trtc_cloud_set_video_encoder_param(cloud, TRTC_VIDEO_STREAM_TYPE_BIG, &encoder), "encoder param");
    if (good && wishes[TRTC_DEVICE_TYPE_CAMERA])
        good = check(trtc_cloud_start_local_preview(cloud, NULL), "trtc_cloud_start_local_preview");
    if (good && wishes[TRTC_DEVICE_TYPE_MIC])
        good = check(trtc_cloud_start_local_audio(cloud, TRTC_AUDIO_QUALITY_DEFAULT), "trtc_cloud_start_local_audio");
    good = good && check(trtc_cloud_enter_room(cloud, &params, TRTC_APP_SCENE_VIDEO_CALL), "trtc_cloud_enter_room");
    while (good && !ended && entered >= 0) {
        trtc_cloud_dispatch(cloud, NULL);
        look(cloud, &pictures);
        nanosleep(&pause, NULL);
    }
    good = good && entered > 0;
    if (good) {
        good = check(trtc_cloud_stop_local_preview(cloud), "trtc_cloud_stop_local_preview") &&
               check(trtc_cloud_stop_local_audio(cloud), "trtc_cloud_stop_local_audio") &&
               check(trtc_cloud_exit_room(cloud), "trtc_cloud_exit_room");
        nanosleep(&pause, NULL);
    }
    trtc_cloud_destroy(cloud);
    printf("{\"event\": \"end\", \"pictures\": %d, \"good\": %s}\n", pictures, good ? "true" : "false");
    return good ? 0 : 1;
}
