/* dlopen, use, dlclose, a hundred times: no thread of the library may outlive the last cloud. Each round has a cloud that ends
   itself inside its callback, and one that is entering a room with a picture and a tone running. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <trtc.h>
#include <unistd.h>

/* A token with nobody's key: the server is not there anyway. */
static const char token[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJpc3MiOiJrZXkiLCJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMCwidmlkZW8iOnsicm9vbSI6InIiLCJyb29tSm9pbiI6dHJ1ZX19.AAAA";

/* What a round takes from the library. */
static struct {
    trtc_result (*create)(const trtc_callbacks *, const trtc_cloud_options *, trtc_cloud **);
    trtc_result (*destroy)(trtc_cloud *);
    trtc_result (*pattern)(trtc_cloud *, int32_t, const trtc_pattern_source *);
    trtc_result (*preview)(trtc_cloud *, void *);
    trtc_result (*enter)(trtc_cloud *, const trtc_enter_params *, int32_t);
    void (*callbacks_init)(trtc_callbacks *, uint32_t);
    void (*enter_init)(trtc_enter_params *, uint32_t);
} lib;

static int load(void *library)
{
    static const struct {
        void *to;
        const char *name;
    } names[] = {
        {&lib.create, "trtc_cloud_create"},
        {&lib.destroy, "trtc_cloud_destroy"},
        {&lib.pattern, "trtc_cloud_start_pattern_source"},
        {&lib.preview, "trtc_cloud_start_local_preview"},
        {&lib.enter, "trtc_cloud_enter_room"},
        {&lib.callbacks_init, "trtc_callbacks_init"},
        {&lib.enter_init, "trtc_enter_params_init"},
    };
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++)
        if (!(*(void **)names[i].to = dlsym(library, names[i].name)))
            return 0;
    return 1;
}

static trtc_cloud *ending;
static int ended;

static void on_warning(void *user_data, int32_t code, const char *message)
{
    (void)user_data, (void)code, (void)message;
    lib.destroy(ending);
}

static void on_release(void *user_data)
{
    __atomic_store_n((int *)user_data, 1, __ATOMIC_SEQ_CST);
}

static int threads(void)
{
    int count = 0;
    struct dirent *entry;
    DIR *dir = opendir("/proc/self/task");
    while (dir && (entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

/* A joined thread stays in /proc until the kernel has reaped it, a moment after pthread_join() returned. */
static int threads_after_reaping(void)
{
    int tries;
    for (tries = 0; tries < 200 && threads() != 1; tries++)
        usleep(10 * 1000);
    return threads();
}

static int use(void)
{
    trtc_callbacks callbacks;
    trtc_enter_params enter;
    trtc_cloud *last = NULL;
    lib.callbacks_init(&callbacks, sizeof callbacks);
    callbacks.user_data = &ended;
    callbacks.user_data_release = on_release;
    callbacks.on_warning = on_warning;
    lib.enter_init(&enter, sizeof enter);
    enter.server_url = "ws://127.0.0.1:9";
    enter.access_token = token;
    ended = 0;
    if (lib.create(&callbacks, NULL, &ending) != TRTC_OK || lib.create(NULL, NULL, &last) != TRTC_OK)
        return 0;
    if (lib.pattern(last, TRTC_VIDEO_STREAM_TYPE_BIG, NULL) != TRTC_OK || lib.enter(last, &enter, TRTC_APP_SCENE_VIDEO_CALL) != TRTC_OK)
        return 0;
    if (lib.preview(ending, NULL) != TRTC_OK)
        return 0;
    while (!__atomic_load_n(&ended, __ATOMIC_SEQ_CST))
        usleep(1000);
    return lib.destroy(last) == TRTC_OK && lib.destroy(last) == TRTC_ERR_INVALID_HANDLE;
}

int main(int argc, char **argv)
{
    int round;
    for (round = 0; argc > 1 && round < 100; round++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        int left;
        if (!library) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        if (!load(library) || !use()) {
            fprintf(stderr, "round %d: a call failed\n", round);
            return 1;
        }
        left = threads_after_reaping();
        if (left != 1) {
            fprintf(stderr, "round %d: %d threads left\n", round, left);
            return 1;
        }
        dlclose(library);
    }
    return round == 100 ? 0 : 1;
}
