/* storage/ballast.c - a reserve of disk space.  Contract: ballast.h. */
#include "storage/ballast.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char NAME[] = "ballast";

static bool reserve(struct ballast *b)
{
    struct stat st;
    bool ok = false;
    int fd = openat(b->dir_fd, NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return false;
    /* A file of the right length may have holes: reserving it again costs nothing. */
    if (fstat(fd, &st) == 0 && ((uint64_t)st.st_size <= b->bytes || ftruncate(fd, 0) == 0) &&
        !fault_hit("ballast.reserve"))
        ok = posix_fallocate(fd, 0, (off_t)b->bytes) == 0;
    (void)close(fd); /* holds no data */
    if (!ok)
        (void)unlinkat(b->dir_fd, NAME, 0); /* half of it is no use to anybody */
    return ok;
}

void ballast_init(struct ballast *b, int dir_fd, uint64_t bytes)
{
    *b = (struct ballast){.dir_fd = dir_fd, .bytes = bytes};
    if (bytes != 0)
        b->held = reserve(b);
    else
        (void)unlinkat(dir_fd, NAME, 0); /* of an earlier configuration; absent is fine */
}

bool ballast_release(struct ballast *b)
{
    if (!b->held)
        return false;
    b->held = false;
    return unlinkat(b->dir_fd, NAME, 0) == 0;
}

void ballast_restore(struct ballast *b, double min_free)
{
    uint64_t total;
    uint64_t room;

    if (b->held || b->bytes == 0)
        return;
    (void)ballast_free(b->dir_fd, &total, &room); /* the numbers are what counts here */
    if (room > b->bytes && (double)(room - b->bytes) >= min_free * (double)total)
        b->held = reserve(b);
}

double ballast_free(int dir_fd, uint64_t *ret_total, uint64_t *ret_free)
{
    struct statvfs v;

    *ret_total = *ret_free = UINT64_MAX;
    if (fstatvfs(dir_fd, &v) != 0 || v.f_blocks == 0)
        return 1.0;
    *ret_total = (uint64_t)v.f_blocks * v.f_frsize;
    *ret_free = (uint64_t)v.f_bavail * v.f_frsize;
    return (double)v.f_bavail / (double)v.f_blocks;
}
