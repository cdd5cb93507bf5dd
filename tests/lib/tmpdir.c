/* tests/lib/tmpdir.c - see tmpdir.h.  The kernel remembers which path a descriptor belongs to. */
#include "tests/lib/tmpdir.h"

#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn static void give_up(const char *what)
{
    perror(what);
    abort();
}

int tmpdir_open(char path[TMPDIR_PATH_MAX])
{
    const char *below = getenv("TMPDIR");
    char own[TMPDIR_PATH_MAX];
    int fd;

    (void)memset(own, 0, sizeof(own));
    if (snprintf(own, sizeof(own), "%s/logq-test-XXXXXX", below == NULL ? "/tmp" : below) >=
        (int)sizeof(own))
        give_up("TMPDIR is too long");
    if (mkdtemp(own) == NULL)
        give_up("mkdtemp");
    fd = open(own, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        give_up(own);
    if (path != NULL)
        memcpy(path, own, sizeof(own));
    return fd;
}

bool tmpdir_has(int dir, const char *name)
{
    return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

unsigned tmpdir_count(int dir)
{
    DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    unsigned n = 0;

    if (d == NULL)
        give_up("count entries");
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    (void)closedir(d); /* only read from */
    return n;
}

void tmpdir_close(int dir)
{
    char link[64];
    char path[TMPDIR_PATH_MAX];
    struct err err;
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
    n = readlink(link, path, sizeof(path) - 1);
    if (n < 0)
        give_up(link);
    path[n] = '\0';
    (void)close(dir);
    if (strstr(path, "/logq-test-") == NULL || file_remove_tree(AT_FDCWD, path, &err) < 0)
        give_up(path);
}
