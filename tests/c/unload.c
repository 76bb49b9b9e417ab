/* dlopen, create, destroy, dlclose, a hundred times: no thread of the library may outlive the last cloud. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <trtc.h>
#include <unistd.h>

typedef trtc_result (*create_fn)(const trtc_callbacks *, const trtc_cloud_options *, trtc_cloud **);
typedef trtc_result (*destroy_fn)(trtc_cloud *);
typedef trtc_result (*pattern_fn)(trtc_cloud *, int32_t, const trtc_pattern_source *);

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

int main(int argc, char **argv)
{
    int round;
    for (round = 0; argc > 1 && round < 100; round++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        create_fn create;
        destroy_fn destroy;
        pattern_fn pattern;
        trtc_cloud *cloud = NULL;
        int left;
        if (!library) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        *(void **)&create = dlsym(library, "trtc_cloud_create");
        *(void **)&destroy = dlsym(library, "trtc_cloud_destroy");
        *(void **)&pattern = dlsym(library, "trtc_cloud_start_pattern_source");
        if (create(NULL, NULL, &cloud) != TRTC_OK || pattern(cloud, 0, NULL) != TRTC_OK || destroy(cloud) != TRTC_OK)
            return 1;
        left = threads_after_reaping();
        if (left != 1) {
            fprintf(stderr, "round %d: %d threads left\n", round, left);
            return 1;
        }
        dlclose(library);
    }
    return round == 100 ? 0 : 1;
}
