/* A directory for fuzz targets whose code reads files: made at the first call, removed at the end.
 */
#ifndef LOGQ_TESTS_FUZZ_SCRATCH_H
#define LOGQ_TESTS_FUZZ_SCRATCH_H

#include "base/file.h"

#include <fcntl.h>
#include <stdlib.h>

static char scratch_name[] = "/tmp/logq-fuzz-XXXXXX";

static void scratch_remove(void)
{
    struct err err;

    (void)file_remove_tree(AT_FDCWD, scratch_name, &err); /* what is left is small and in /tmp */
}

static int scratch_dir(void)
{
    static int fd = -1;
    struct err err;

    if (fd >= 0)
        return fd;
    if (atexit(scratch_remove) != 0 || mkdtemp(scratch_name) == NULL ||
        file_open_dir(AT_FDCWD, scratch_name, &fd, &err) < 0)
        abort();
    return fd;
}

#endif
