/*
 * collector/statedir.c - contract: statedir.h.
 *
 * Why so careful: the option may name any directory, and root who gives away /var/lib because of a
 * slip of the pen is worse than a collector that does not start.
 */
#include "collector/statedir.h"

#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 4 };

struct look {
    unsigned entries;
    bool is_state;
};

static int look_at(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct look *l = arg;

    (void)dir_fd;
    (void)err;
    l->entries++;
    if (strcmp(name, "lock") == 0 || strcmp(name, "checkpoint") == 0)
        l->is_state = true;
    return 0;
}

struct gift {
    const struct sandbox_user *to;
    unsigned depth;
};

/* NOLINTBEGIN(misc-no-recursion): DEPTH_MAX deep */
static int give(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct gift g = *(const struct gift *)arg;
    struct stat st;
    int fd, r;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* gone meanwhile */
    if (!S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || st.st_nlink != 1))
        return 0; /* nothing of ours */
    if (st.st_uid != g.to->uid &&
        fchownat(dir_fd, name, g.to->uid, g.to->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "give '%s' to user %u", name, (unsigned)g.to->uid);
    if (!S_ISDIR(st.st_mode) || ++g.depth > DEPTH_MAX)
        return 0;
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open '%s'", name);
    r = file_walk(fd, give, &g, err);
    (void)close(fd);
    return r;
}
/* NOLINTEND(misc-no-recursion) */

static int give_all(int fd, const struct sandbox_user *owner, struct err *err)
{
    struct look l = {0};
    struct gift g = {.to = owner};
    struct stat st;
    int r = file_walk(fd, look_at, &l, err);

    if (r < 0)
        return r;
    if (l.entries > 0 && !l.is_state)
        return err_set(err, ERR_INVALID,
                       "it holds other things: a directory of the collector's own is needed");
    if (fstat(fd, &st) < 0)
        return err_sys(err, "look at it");
    if (st.st_uid != owner->uid && fchown(fd, owner->uid, owner->gid) < 0)
        return err_sys(err, "give it to user %u", (unsigned)owner->uid);
    return file_walk(fd, give, &g, err);
}

int statedir_open(const char *path, const struct sandbox_user *owner, int *ret, struct err *err)
{
    int fd, r = file_make_dirs(AT_FDCWD, path, 0700, err);

    if (r == 0)
        r = file_open_dir(AT_FDCWD, path, &fd, err);
    if (r < 0)
        return err_wrap(err, "state_dir %s", path);
    if (owner != NULL)
        r = give_all(fd, owner, err);
    if (r < 0) {
        (void)close(fd);
        return err_wrap(err, "state_dir %s", path);
    }
    *ret = fd;
    return 0;
}
