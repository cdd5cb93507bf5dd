/*
 * collector/statedir.c - contract: statedir.h.
 *
 * Why so careful: the option may name any directory, and root who gives away /var/lib because of a
 * slip of the pen is worse than a collector that does not start.
 */
#include "collector/statedir.h"

#include "base/file.h"
#include "base/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 4 };

struct look {
    bool has_journal, has_others;
};

/* One that has lost its journal is known by holding nothing else; "lock" alone is no sign, package
 * managers have one too. */
static bool is_ours(const char *name)
{
    static const char *const NAMES[] = {
        "lock", "addresses.json", "spool",      "refused",
        "keep", "kube.cache",     "containers", "journald.position"};
    struct str s = str_of(name);

    if (str_ends(s, STR(".tmp")))
        s.n -= sizeof(".tmp") - 1;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (str_eq(s, str_of(NAMES[i])))
            return true;
    return str_starts(s, STR("checkpoint"));
}

static int look_at(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct look *l = arg;

    (void)dir_fd;
    (void)err;
    if (strcmp(name, "checkpoint") == 0)
        l->has_journal = true;
    else if (!is_ours(name))
        l->has_others = true;
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
    /* by descriptor: whoever it belongs to by now may exchange the name at any time */
    int r = 0, fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return 0; /* gone meanwhile */
    if (fstat(fd, &st) < 0)
        r = err_sys(err, "look at '%s'", name);
    else if (!S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || st.st_nlink != 1))
        r = 0; /* nothing of ours */
    else if (st.st_uid != g.to->uid && fchownat(fd, "", g.to->uid, g.to->gid, AT_EMPTY_PATH) < 0)
        r = err_sys(err, "give '%s' to user %u", name, (unsigned)g.to->uid);
    else if (S_ISDIR(st.st_mode) && ++g.depth <= DEPTH_MAX)
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
    if (l.has_others && !l.has_journal)
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
