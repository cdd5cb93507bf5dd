/* A directory for fuzz targets whose code reads files: made at the first call, removed at the end.
 * In memory where there is such a place: syncs of a disk would be most of a run's time. */
#ifndef LOGQ_TESTS_FUZZ_SCRATCH_H
#define LOGQ_TESTS_FUZZ_SCRATCH_H

#include "base/file.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>

static const char *scratch_name;

static bool scratch_make(void)
{
    static char in_memory[] = "/dev/shm/logq-fuzz-XXXXXX", on_disk[] = "/tmp/logq-fuzz-XXXXXX";

    scratch_name = mkdtemp(in_memory);
    if (scratch_name == NULL)
        scratch_name = mkdtemp(on_disk);
    return scratch_name != NULL;
}

static void scratch_remove(void)
{
    struct err err;

    (void)file_remove_tree(AT_FDCWD, scratch_name, &err); /* what is left is small */
}

static int scratch_dir(void)
{
    static int fd = -1;
    struct err err;

    if (fd >= 0)
        return fd;
    if (!scratch_make() || atexit(scratch_remove) != 0 ||
        file_open_dir(AT_FDCWD, scratch_name, &fd, &err) < 0)
        abort();
    return fd;
}

#endif
