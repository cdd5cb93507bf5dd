/*
 * storage/objstore_fs.c - objects as files of one directory.  Contract: objstore.h.
 *
 * Reading is pread, never a mapping: a truncated file is then an error and not a SIGBUS.  Writing
 * is base/file.h's publish, so a half-written object is a .tmp and nothing else.
 */
#include "storage/objstore.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fs_store {
    struct objstore head;
    int dir_fd; /* owned */
};

struct fs_object {
    struct objstore_object head;
    int fd; /* owned */
};

struct fs_put {
    struct objstore_put head;
    struct file *file; /* owned */
};

static struct fs_store *store_of(struct objstore *os)
{
    return (struct fs_store *)os; /* head is its first member */
}

static struct fs_object *object_of(struct objstore_object *o)
{
    return (struct fs_object *)o;
}

static struct fs_put *put_of(struct objstore_put *put)
{
    return (struct fs_put *)put;
}

static int open_file(const struct fs_store *s, const char *name, int *ret_fd, uint64_t *ret_size,
                     struct err *err)
{
    struct stat st;
    int fd = -1;

    if (fault_hit("file.open"))
        errno = EMFILE;
    else
        fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_GONE, "there is no '%s'", name);
    if (fd < 0)
        return err_sys(err, "open '%s'", name);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)err_sys(err, "'%s' is no readable file", name);
        (void)close(fd); /* was not written */
        return ERR_IO;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int fs_open(struct objstore *os, const char *name, struct objstore_object **ret,
                   struct err *err)
{
    struct fs_object *o;
    uint64_t size = 0;
    int fd = -1;
    int r = open_file(store_of(os), name, &fd, &size, err);

    if (r < 0)
        return r;
    o = mem_new(sizeof(*o));
    o->head = (struct objstore_object){.magic = OBJSTORE_OBJECT_MAGIC, .store = os, .size = size};
    o->fd = fd;
    *ret = &o->head;
    return 0;
}

static int fs_read(struct objstore_object *o, uint64_t offset, void *dst, size_t n, struct err *err)
{
    return file_pread_all(object_of(o)->fd, dst, n, offset, err);
}

static void fs_close(struct objstore_object *o)
{
    (void)close(object_of(o)->fd); /* was only read */
    o->magic = 0;
    free(o);
}

static int fs_put(struct objstore *os, const char *name, struct objstore_put **ret, struct err *err)
{
    struct file *file = NULL;
    struct fs_put *put;
    int r;

    if (faccessat(store_of(os)->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(err, ERR_EXISTS, "there is a '%s' already", name);
    r = file_create_tmp(store_of(os)->dir_fd, name, 0600, &file, err);
    if (r < 0)
        return r;
    put = mem_new(sizeof(*put));
    put->head = (struct objstore_put){.magic = OBJSTORE_PUT_MAGIC, .store = os};
    put->file = file;
    *ret = &put->head;
    return 0;
}

static int fs_append(struct objstore_put *put, const void *p, size_t n, struct err *err)
{
    return file_append(put_of(put)->file, p, n, err);
}

static int fs_publish(struct objstore_put *put, struct err *err)
{
    return file_publish(put_of(put)->file, err);
}

static void fs_discard(struct objstore_put *put)
{
    file_discard(&put_of(put)->file);
    put->magic = 0;
    free(put);
}

struct walk {
    objstore_list_fn *fn;
    void *arg;
};

static int list_entry(void *arg, int dir_fd, const char *name, struct err *err)
{
    const struct walk *w = arg;

    (void)dir_fd;
    return objstore_name_ok(name) ? w->fn(w->arg, name, err) : 0;
}

static int fs_walk(struct objstore *os, objstore_list_fn *fn, void *arg, struct err *err)
{
    struct walk w = {fn, arg};

    return file_walk(store_of(os)->dir_fd, list_entry, &w, err);
}

static int fs_delete(struct objstore *os, const char *name, struct err *err)
{
    int dir_fd = store_of(os)->dir_fd;

    if (fault_hit("file.unlink"))
        errno = EIO;
    else if (unlinkat(dir_fd, name, 0) == 0)
        return file_sync_dir(dir_fd, err);
    if (errno == ENOENT)
        return 0;
    return err_sys(err, "remove '%s'", name);
}

static void fs_free(struct objstore *os)
{
    (void)close(store_of(os)->dir_fd); /* a directory: nothing unwritten */
    os->magic = 0;
    free(os);
}

static const struct objstore_ops FS_OPS = {
    .open = fs_open,
    .read = fs_read,
    .close = fs_close,
    .put = fs_put,
    .append = fs_append,
    .publish = fs_publish,
    .discard = fs_discard,
    .walk = fs_walk,
    .delete = fs_delete,
    .free = fs_free,
};

static int remove_tmp(void *arg, int dir_fd, const char *name, struct err *err)
{
    (void)arg;
    if (!str_ends(str_of(name), STR(".tmp")) || unlinkat(dir_fd, name, 0) == 0)
        return 0;
    return err_sys(err, "remove '%s'", name);
}

int objstore_fs_open(int dir_fd, struct objstore **ret, struct err *err)
{
    struct fs_store *s;
    int r = file_walk(dir_fd, remove_tmp, NULL, err);
    int fd;

    if (r < 0)
        return r;
    fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, "duplicate a directory's descriptor");
    s = mem_new(sizeof(*s));
    s->head = (struct objstore){.magic = OBJSTORE_MAGIC, .ops = &FS_OPS};
    s->dir_fd = fd;
    *ret = &s->head;
    return 0;
}
