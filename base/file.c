/*
 * base/file.c - see file.h.
 *
 * A publish that fails after the rename: the caller hears that the name is not there, so a name
 * that was new is taken away again.  One that replaced an older file stays, since that one is gone:
 * either text is whole.
 */
#include "base/file.h"

#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 1 << 16, TREE_DEPTH_MAX = 64 };

/* In an expression: let the named point fail with errno `e`. */
static bool fails(const char *point, int e)
{
    if (!fault_hit(point))
        return false;
    errno = e;
    return true;
}

/* ---- whole reads and writes ---- */

int file_pread_all(int fd, void *p, size_t n, uint64_t offset, struct err *err)
{
    size_t done = 0;

    if (offset > INT64_MAX || n > INT64_MAX - offset)
        return err_set(err, ERR_CORRUPT, "offset %llu is past any file",
                       (unsigned long long)offset);
    while (done < n) {
        ssize_t r = fails("file.read", EIO)
                        ? -1
                        : pread(fd, (char *)p + done, n - done, (off_t)(offset + done));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(err, "read %zu bytes at %llu", n, (unsigned long long)offset);
        if (r == 0)
            return err_set(err, ERR_CORRUPT, "file ends %zu bytes early, at %llu", n - done,
                           (unsigned long long)(offset + done));
        done += (size_t)r;
    }
    return 0;
}

/* write or, with at >= 0, pwrite.  A torn write is one that stops half-way. */
static int write_all(int fd, const void *p, size_t n, off_t at, struct err *err)
{
    size_t done = 0;
    bool torn;

    if (fails("file.write", ENOSPC))
        return err_sys(err, "write %zu bytes", n);
    torn = n > 1 && fault_hit("file.write_torn");
    while (done < (torn ? n / 2 : n)) {
        const char *from = (const char *)p + done;
        size_t left = (torn ? n / 2 : n) - done;
        ssize_t r = at < 0 ? write(fd, from, left) : pwrite(fd, from, left, at + (off_t)done);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(err, "write %zu bytes", n);
        done += (size_t)r;
    }
    if (!torn)
        return 0;
    errno = ENOSPC;
    return err_sys(err, "write %zu bytes", n);
}

int file_pwrite_all(int fd, const void *p, size_t n, uint64_t offset, struct err *err)
{
    if (offset > INT64_MAX || n > INT64_MAX - offset)
        return err_set(err, ERR_INVALID, "offset %llu is past any file",
                       (unsigned long long)offset);
    return write_all(fd, p, n, (off_t)offset, err);
}

int file_write_all(int fd, const void *p, size_t n, struct err *err)
{
    return write_all(fd, p, n, -1, err);
}

/* Read on until the end; 1 when there is more than fits. */
static int read_rest(int fd, struct buf *b, struct err *err)
{
    for (;;) {
        size_t room = b->max - b->n;
        size_t step = room < READ_STEP ? room : READ_STEP;
        char probe;
        char *to = room == 0 ? &probe : buf_room(b, step);
        ssize_t r;

        if (to == NULL)
            return err_set(err, ERR_NOMEM, "out of memory at %zu bytes", b->n);
        r = fails("file.read", EIO) ? -1 : read(fd, to, room == 0 ? 1 : step);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(err, "read");
        if (r == 0)
            return 0;
        if (room == 0)
            return 1;
        b->n += (size_t)r;
    }
}

int file_read_fd(int fd, struct buf *b, struct err *err)
{
    size_t before = b->n;
    int r = read_rest(fd, b, err);

    if (r == 0)
        return 0;
    b->n = before;
    return r == 1 ? err_set(err, ERR_LIMIT, "over %zu bytes", b->max - before) : r;
}

int file_read(int dir_fd, const char *path, struct buf *b, struct err *err)
{
    int fd = fails("file.open", EMFILE) ? -1 : openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_GONE, "there is no '%s'", path);
    if (fd < 0)
        return err_sys(err, "open '%s'", path);
    r = file_read_fd(fd, b, err);
    (void)close(fd); /* was only read */
    return r == 0 ? 0 : err_wrap(err, "'%s'", path);
}

/* ---- files that appear whole ---- */

struct file {
    unsigned magic;
#define FILE_MAGIC 0xf11e5a3cu
    int dir_fd;    /* the directory that will hold the name */
    bool owns_dir; /* dir_fd is ours to close */
    int fd;
    uint64_t size;
    bool published;
    bool broken; /* a write failed: what the file holds is not known */
    char *name, *tmp;
};

/* The directory part of `path` and what follows it.  Borrows dir_fd when there is none. */
static int split_path(int dir_fd, const char *path, struct file *f, struct err *err)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    char *dir;

    f->dir_fd = dir_fd;
    if (slash != NULL || dir_fd == AT_FDCWD) {
        dir = slash == NULL ? mem_dup(".", 1)
                            : mem_dup(path, slash == path ? 1 : (size_t)(slash - path));
        f->dir_fd = openat(dir_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        free(dir);
        if (f->dir_fd < 0)
            return err_sys(err, "open the directory of '%s'", path);
        f->owns_dir = true;
    }
    f->name = mem_dup(base, strlen(base));
    f->tmp = mem_new(strlen(base) + sizeof(".tmp"));
    (void)sprintf(f->tmp, "%s.tmp", base);
    return 0;
}

/* A .tmp that is there already is litter of a crash. */
static int open_tmp(const struct file *f, mode_t mode)
{
    const int flags = O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC;
    int fd;

    if (fails("file.create", ENOSPC))
        return -1;
    fd = openat(f->dir_fd, f->tmp, flags, mode);
    if (fd < 0 && errno == EEXIST && unlinkat(f->dir_fd, f->tmp, 0) == 0)
        fd = openat(f->dir_fd, f->tmp, flags, mode);
    return fd;
}

static void release(struct file *f)
{
    if (f->fd >= 0)
        (void)close(f->fd); /* errors were seen by fsync, or the file is thrown away */
    if (f->owns_dir)
        (void)close(f->dir_fd);
    free(f->name);
    free(f->tmp);
    f->magic = 0;
    free(f);
}

int file_create_tmp(int dir_fd, const char *name, mode_t mode, struct file **ret, struct err *err)
{
    struct file *f = mem_new(sizeof(*f));
    int r;

    f->magic = FILE_MAGIC;
    f->fd = -1;
    r = split_path(dir_fd, name, f, err);
    if (r == 0) {
        f->fd = open_tmp(f, mode);
        if (f->fd < 0)
            r = err_sys(err, "create '%s'", f->tmp);
    }
    if (r < 0) {
        release(f);
        return r;
    }
    *ret = f;
    return 0;
}

int file_append(struct file *f, const void *p, size_t n, struct err *err)
{
    OBJ_CHECK(f, FILE_MAGIC);
    INVARIANT(!f->published);
    if (f->broken)
        return err_set(err, ERR_IO, "'%s': an earlier write failed", f->tmp);
    if (write_all(f->fd, p, n, -1, err) < 0) {
        f->broken = true;
        return err_wrap(err, "'%s'", f->tmp);
    }
    f->size += n;
    return 0;
}

uint64_t file_size(const struct file *f)
{
    OBJ_CHECK(f, FILE_MAGIC);
    return f->size;
}

/* 0: the name is new; 1: it replaced a file; -1 with errno. */
static int rename_tmp(const struct file *f)
{
    if (fails("file.rename", EIO))
        return -1;
    if (renameat2(f->dir_fd, f->tmp, f->dir_fd, f->name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EEXIST && errno != EINVAL && errno != ENOSYS)
        return -1;
    /* Where the file system cannot tell (EINVAL), count it as replaced: nothing is then unlinked.
     */
    return renameat(f->dir_fd, f->tmp, f->dir_fd, f->name) == 0 ? 1 : -1;
}

int file_publish(struct file *f, struct err *err)
{
    int replaced;

    OBJ_CHECK(f, FILE_MAGIC);
    INVARIANT(!f->published);
    if (f->broken)
        return err_set(err, ERR_IO, "'%s': an earlier write failed", f->tmp);
    f->broken = true; /* until all is done; a second try would prove nothing */
    if (fails("file.fsync", EIO) || fsync(f->fd) != 0)
        return err_sys(err, "fsync '%s'", f->tmp);
    replaced = rename_tmp(f);
    if (replaced < 0)
        return err_sys(err, "rename '%s'", f->tmp);
    if (file_sync_dir(f->dir_fd, err) < 0) {
        if (replaced == 0)
            (void)unlinkat(f->dir_fd, f->name, 0); /* best effort: see the top */
        return err_wrap(err, "publish '%s'", f->name);
    }
    f->broken = false;
    f->published = true;
    return 0;
}

void file_discard(struct file **pf)
{
    struct file *f = *pf;

    if (f == NULL)
        return;
    OBJ_CHECK(f, FILE_MAGIC);
    if (!f->published)
        (void)unlinkat(f->dir_fd, f->tmp, 0); /* may be renamed away already */
    release(f);
    *pf = NULL;
}

int file_replace(int dir_fd, const char *name, mode_t mode, struct str s, struct err *err)
{
    struct file *f = NULL;
    int r = file_create_tmp(dir_fd, name, mode, &f, err);

    if (r == 0)
        r = file_append(f, s.p, s.n, err);
    if (r == 0)
        r = file_publish(f, err);
    file_discard(&f);
    return r;
}

/* ---- directories ---- */

int file_sync_dir(int dir_fd, struct err *err)
{
    if (fails("file.sync_dir", EIO) || fsync(dir_fd) != 0)
        return err_sys(err, "fsync the directory");
    return 0;
}

int file_make_dirs(int dir_fd, const char *path, mode_t mode, struct err *err)
{
    char *copy = mem_dup(path, strlen(path));
    char *end = copy;
    int r = 0;

    do {
        char saved;
        end += strspn(end, "/");
        end += strcspn(end, "/");
        saved = *end;
        *end = '\0';
        if (copy[0] != '\0' &&
            (fails("file.mkdir", ENOSPC) || (mkdirat(dir_fd, copy, mode) != 0 && errno != EEXIST)))
            r = err_sys(err, "make directory '%s'", copy);
        *end = saved;
    } while (r == 0 && *end != '\0');
    free(copy);
    return r;
}

int file_open_dir(int dir_fd, const char *path, int *ret_fd, struct err *err)
{
    int fd =
        fails("file.open", EMFILE) ? -1 : openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_GONE, "there is no directory '%s'", path);
    if (fd < 0)
        return err_sys(err, "open directory '%s'", path);
    *ret_fd = fd;
    return 0;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A stream of entries with a position of its own. */
static DIR *open_entries(int dir_fd, const char *path, int flags, struct err *err)
{
    int fd = fails("file.walk", EMFILE)
                 ? -1
                 : openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL) {
        (void)err_sys(err, "list directory '%s'", path);
        if (fd >= 0)
            (void)close(fd);
    }
    return dir;
}

int file_walk(int dir_fd, file_dir_fn *fn, void *arg, struct err *err)
{
    DIR *dir = open_entries(dir_fd, ".", 0, err);
    int r = 0;

    if (dir == NULL)
        return ERR_IO;
    while (r == 0) {
        const struct dirent *e;
        errno = 0;
        e = readdir(dir);
        if (e == NULL) {
            if (errno != 0)
                r = err_sys(err, "list a directory");
            break;
        }
        if (!is_dots(e->d_name))
            r = fn(arg, dir_fd, e->d_name, err);
    }
    (void)closedir(dir);
    return r;
}

static int remove_entry(int dir_fd, const char *name, unsigned depth, struct err *err);

static int empty_dir(int dir_fd, const char *name, unsigned depth, struct err *err)
{
    DIR *dir;
    const struct dirent *e;
    int r = 0;

    if (depth == TREE_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "directories are nested deeper than %d", TREE_DEPTH_MAX);
    dir = open_entries(dir_fd, name, O_NOFOLLOW, err);
    if (dir == NULL)
        return ERR_IO;
    while (r == 0 && (e = readdir(dir)) != NULL)
        if (!is_dots(e->d_name))
            r = remove_entry(dirfd(dir), e->d_name, depth + 1, err);
    (void)closedir(dir);
    return r;
}

/* A directory is not known as one until unlink says so (EISDIR; POSIX has EPERM). */
static int remove_entry(int dir_fd, const char *name, unsigned depth, struct err *err)
{
    int r;

    if (fails("file.unlink", EIO))
        return err_sys(err, "remove '%s'", name);
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return err_sys(err, "remove '%s'", name);
    r = empty_dir(dir_fd, name, depth, err);
    if (r < 0)
        return r;
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return err_sys(err, "remove directory '%s'", name);
    return 0;
}

int file_remove_tree(int dir_fd, const char *path, struct err *err)
{
    return remove_entry(dir_fd, path, 0, err);
}

/* ---- locks ---- */

/* Who holds it, as far as the file tells. */
static int lock_is_held(int fd, const char *name, struct err *err)
{
    char pid[24] = "";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

    pid[n < 0 ? 0 : n] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    (void)close(fd);
    return err_set(err, ERR_EXISTS, "'%s' is locked by process %s", name,
                   pid[0] == '\0' ? "(unknown)" : pid);
}

int file_lock(int dir_fd, const char *name, int *ret_fd, struct err *err)
{
    char pid[24];
    int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    int fd = fails("file.lock", EACCES)
                 ? -1
                 : openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_sys(err, "open lock '%s'", name);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return lock_is_held(fd, name, err);
        (void)err_sys(err, "lock '%s'", name);
        (void)close(fd);
        return ERR_IO;
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n) {
        (void)err_sys(err, "write lock '%s'", name);
        (void)close(fd);
        return ERR_IO;
    }
    *ret_fd = fd;
    return 0;
}

int file_hold_standard(struct err *err)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int wrong_way = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        if (open("/dev/null", wrong_way | O_CLOEXEC) != fd) /* the lowest that is free */
            return err_sys(err, "open '/dev/null'");
    }
    return 0;
}
