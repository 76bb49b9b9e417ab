/* A host with an opus_encode of its own links the static library, and each side uses its own. */
#include <stddef.h>
#include <trtc.h>

int opus_encode(void);

int opus_encode(void)
{
    return 42;
}

int main(void)
{
    trtc_cloud *cloud = NULL;
    if (trtc_cloud_create(NULL, NULL, &cloud) != TRTC_OK)
        return 1;
    if (trtc_cloud_start_pattern_source(cloud, TRTC_VIDEO_STREAM_TYPE_BIG, NULL) != TRTC_OK)
        return 1;
    return trtc_cloud_destroy(cloud) == TRTC_OK && opus_encode() == 42 ? 0 : 1;
}
