/*
 * Joins a room, sends a moving grey picture, a tone and a message, and waits until it has seen, heard and read somebody else.
 *
 *   hello_room SERVER_URL ACCESS_TOKEN [SECONDS]
 *
 * Exit code 0: connected, and everything that the other side sent was received; 1: not; 2: wrong use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <trtc.h>

#define WIDTH 320
#define HEIGHT 180
#define RATE 48000

struct app {
    trtc_cloud *cloud;
    int entered, left, frames, loud_blocks, messages;
    char other[257];
};

static void on_error(void *data, int32_t code, const char *message)
{
    (void)data;
    fprintf(stderr, "error %d: %s\n", (int)code, message);
}

static void on_enter_room(void *data, int32_t result)
{
    struct app *app = data;
    printf("enter: %d\n", (int)result);
    app->entered = result;
}

static void on_exit_room(void *data, int32_t reason)
{
    struct app *app = data;
    printf("exit: %d\n", (int)reason);
    app->left = 1;
}

static void on_user_video_available(void *data, const char *user, trtc_bool available)
{
    struct app *app = data;
    printf("video of %s: %s\n", user, available ? "on" : "off");
    if (available) {
        trtc_cloud_start_remote_view(app->cloud, user, TRTC_VIDEO_STREAM_TYPE_BIG, NULL);
        strncpy(app->other, user, sizeof app->other - 1);
    }
}

static void on_message(void *data, const char *user, int32_t cmd_id, uint32_t seq, const uint8_t *bytes, uint32_t size)
{
    struct app *app = data;
    printf("message %d #%u of %s: %.*s\n", (int)cmd_id, (unsigned)seq, user, (int)size, (const char *)bytes);
    app->messages++;
}

static int check(trtc_result result, const char *what)
{
    if (result < 0)
        fprintf(stderr, "%s: %d: %s\n", what, (int)result, trtc_last_error_message());
    return result >= 0;
}

/* A grey picture that becomes lighter, and darker again. */
static void send_picture(struct app *app, unsigned number)
{
    static uint8_t pixels[WIDTH * HEIGHT * 4];
    trtc_video_frame frame;
    memset(pixels, (int)(64 + number % 128), sizeof pixels);
    trtc_video_frame_init(&frame, sizeof frame);
    frame.pixel_format = TRTC_VIDEO_PIXEL_FORMAT_BGRA32;
    frame.width = WIDTH;
    frame.height = HEIGHT;
    frame.planes[0] = pixels;
    frame.strides_bytes[0] = WIDTH * 4;
    trtc_cloud_send_custom_video_data(app->cloud, TRTC_VIDEO_STREAM_TYPE_BIG, &frame, NULL, NULL);
}

/* 20 ms of a square wave at 400 Hz. */
static void send_sound(struct app *app)
{
    int16_t samples[RATE / 50];
    trtc_audio_frame frame;
    int i;
    for (i = 0; i < RATE / 50; i++)
        samples[i] = (int16_t)(i / (RATE / 800) % 2 ? 6000 : -6000);
    trtc_audio_frame_init(&frame, sizeof frame);
    frame.samples = samples;
    frame.samples_per_channel = RATE / 50;
    trtc_cloud_send_custom_audio_data(app->cloud, &frame, NULL, NULL);
}

/* Takes the newest picture and the next 20 ms of everybody's sound. */
static void receive(struct app *app)
{
    int16_t samples[RATE / 50];
    trtc_audio_frame sound;
    trtc_video_frame picture;
    trtc_video *video;
    int i;
    trtc_audio_frame_init(&sound, sizeof sound);
    sound.samples = samples;
    sound.samples_per_channel = RATE / 50;
    if (trtc_cloud_get_custom_audio_rendering_frame(app->cloud, &sound) == TRTC_OK)
        for (i = 0; i < RATE / 50; i++)
            if (abs(samples[i]) > 1000) {
                app->loud_blocks++;
                break;
            }
    trtc_video_frame_init(&picture, sizeof picture);
    if (app->other[0] && trtc_video_acquire(app->cloud, app->other, TRTC_VIDEO_STREAM_TYPE_BIG,
                                            TRTC_VIDEO_PIXEL_FORMAT_I420, &video, &picture) == TRTC_OK) {
        if (app->frames++ == 0)
            printf("first picture: %ux%u\n", (unsigned)picture.width, (unsigned)picture.height);
        trtc_video_release(video);
    }
}

static uint64_t now_ms(void)
{
    uint64_t ms = 0;
    trtc_generate_custom_pts(&ms);
    return ms;
}

static void sleep_until(uint64_t ms)
{
    uint64_t now = now_ms();
    struct timespec pause = {0, 0};
    if (now < ms)
        pause.tv_nsec = (long)(ms - now) * 1000000L;
    nanosleep(&pause, NULL);
}

int main(int argc, char **argv)
{
    struct app app;
    trtc_callbacks callbacks;
    trtc_cloud_options options;
    trtc_enter_params params;
    unsigned step, steps;
    uint64_t start;
    int good;

    if (argc < 3) {
        fprintf(stderr, "usage: %s SERVER_URL ACCESS_TOKEN [SECONDS]\n", argv[0]);
        return 2;
    }
    steps = (argc > 3 ? (unsigned)atoi(argv[3]) : 5) * 50;
    printf("libtrtc %s\n", trtc_version_string());
    memset(&app, 0, sizeof app);
    trtc_callbacks_init(&callbacks, sizeof callbacks);
    callbacks.user_data = &app;
    callbacks.on_error = on_error;
    callbacks.on_enter_room = on_enter_room;
    callbacks.on_exit_room = on_exit_room;
    callbacks.on_user_video_available = on_user_video_available;
    callbacks.on_recv_custom_cmd_msg = on_message;
    trtc_cloud_options_init(&options, sizeof options);
    options.pull_events = 1; /* callbacks run inside trtc_cloud_dispatch(), on this thread */
    if (!check(trtc_cloud_create(&callbacks, &options, &app.cloud), "create"))
        return 1;
    trtc_enter_params_init(&params, sizeof params);
    params.server_url = argv[1];
    params.access_token = argv[2];
    good = check(trtc_cloud_enable_custom_audio_rendering(app.cloud, 1), "rendering") &&
           check(trtc_cloud_enable_custom_video_capture(app.cloud, TRTC_VIDEO_STREAM_TYPE_BIG, 1), "video") &&
           check(trtc_cloud_enable_custom_audio_capture(app.cloud, 1), "audio") &&
           check(trtc_cloud_enter_room(app.cloud, &params, TRTC_APP_SCENE_VIDEO_CALL), "enter");
    start = now_ms();
    for (step = 0; good && app.entered >= 0 && !app.left && step < steps; step++) {
        trtc_cloud_dispatch(app.cloud, NULL);
        if (step % 3 == 0)
            send_picture(&app, step);
        send_sound(&app);
        receive(&app);
        if (app.entered > 0 && step % 50 == 25)
            trtc_cloud_send_custom_cmd_msg(app.cloud, 1, (const uint8_t *)"hello", 5, 1, 1);
        sleep_until(start + (step + 1) * 20);
    }
    trtc_cloud_exit_room(app.cloud);
    for (step = 0; app.entered > 0 && !app.left && step < 100; step++) {
        trtc_cloud_dispatch(app.cloud, NULL);
        sleep_until(now_ms() + 20);
    }
    trtc_cloud_destroy(app.cloud);
    printf("pictures %d, loud blocks %d, messages %d\n", app.frames, app.loud_blocks, app.messages);
    return app.entered > 0 && app.frames > 0 && app.loud_blocks > 0 && app.messages > 0 ? 0 : 1;
}
