/* collector/spool.c - contract: spool.h. */
#include "collector/spool.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/time.h"
#include "collector/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MAX = 4 << 20,
    ROTATE_AT = 1 << 20,
    DIGITS = 8,
    BLOCK = 4 << 10,
    HEADS_BLOCK = 256 << 10,
    RETRY_MS = 200,
};

struct spool {
    unsigned magic;
#define SPOOL_MAGIC 0x5900c41bu
    int dir_fd, fd;
    unsigned no; /* of the file that is written */
    uint64_t size;
    uint64_t there; /* >= size: what a reader may have had of it */
    bool unnamed;   /* its name may not be on the disk */
    bool by_hand;
    struct buf held; /* lines of spool_keep that are not durable, */
    size_t written;  /* so much of it is in the file, at its end */
    dur_ns retry_at; /* not before; 0: the last sync went well */
    struct spool_missed missed;
};

static void name_of(unsigned no, char name[32])
{
    (void)snprintf(name, 32, "%0*u%s", DIGITS, no, SPOOL_SUFFIX);
}

/* The number in a file's name; 0: it is none of ours. */
static unsigned number_of(const char *name)
{
    char *end = NULL;
    unsigned long no = strtoul(name, &end, 10);

    return end == name + DIGITS && strcmp(end, SPOOL_SUFFIX) == 0 ? (unsigned)no : 0;
}

static int find_last(void *arg, int dir_fd, const char *name, struct err *err)
{
    unsigned *last = arg;
    unsigned no = number_of(name);

    (void)dir_fd;
    (void)err;
    if (no > *last)
        *last = no;
    return 0;
}

static int sync_name(struct spool *s, struct err *err)
{
    int r = s->unnamed ? file_sync_dir(s->dir_fd, err) : 0;

    s->unnamed = r < 0;
    return r;
}

/* When only its name could not be synced it is the one that is written all the same. */
static int open_file(struct spool *s, unsigned no, struct err *err)
{
    char name[32];
    struct stat st;
    int fd;

    name_of(no, name);
    fd = openat(s->dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = err_sys(err, "open spool file %s", name);
        if (fd >= 0)
            (void)close(fd);
        return r;
    }
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = fd;
    s->no = no;
    s->size = s->there = (uint64_t)st.st_size;
    s->unnamed = true;
    return sync_name(s, err);
}

int spool_cut(struct spool *s, uint64_t size, struct err *err)
{
    OBJ_CHECK(s, SPOOL_MAGIC);
    if (ftruncate(s->fd, (off_t)size) < 0)
        return err_sys(err, "cut spool file");
    s->size = s->there = size;
    return 0;
}

/* A line that was being written when we were killed was never read as a whole line: cut it off. */
static int cut_torn(struct spool *s, struct err *err)
{
    char block[BLOCK];
    uint64_t end = s->size;
    const char *nl = NULL;

    while (end > 0 && nl == NULL) {
        size_t n = end < BLOCK ? (size_t)end : BLOCK;
        int r = file_pread_all(s->fd, block, n, end - n, err);
        if (r < 0)
            return r;
        nl = memrchr(block, '\n', n);
        end -= n;
    }
    return spool_cut(s, nl == NULL ? 0 : end + (uint64_t)(nl - block) + 1, err);
}

int spool_open(int state_fd, const char *name, struct spool **ret, struct err *err)
{
    struct spool *s = mem_new(sizeof(*s));
    char path[128];
    unsigned last = 0;
    int r;

    s->magic = SPOOL_MAGIC;
    s->dir_fd = s->fd = -1;
    buf_init(&s->held, SPOOL_LATE_MAX);
    (void)snprintf(path, sizeof(path), "%s/%s", SPOOL_DIR, name);
    r = file_make_dirs(state_fd, path, 0700, err);
    if (r == 0)
        r = file_open_dir(state_fd, path, &s->dir_fd, err);
    if (r == 0)
        r = file_walk(s->dir_fd, find_last, &last, err);
    if (r == 0)
        r = open_file(s, last == 0 ? 1 : last, err);
    if (r == 0)
        r = cut_torn(s, err);
    if (r < 0) {
        spool_close(&s);
        return err_wrap(err, "spool %s", name);
    }
    *ret = s;
    return 0;
}

void spool_close(struct spool **ps)
{
    struct spool *s = *ps;

    if (s == NULL)
        return;
    OBJ_CHECK(s, SPOOL_MAGIC);
    s->retry_at = 0;
    if (!spool_retry(s))
        metric_sub(METRIC_SPOOL_WAITING_BYTES, s->held.n);
    if (s->fd >= 0)
        (void)close(s->fd);
    if (s->dir_fd >= 0)
        (void)close(s->dir_fd);
    buf_fini(&s->held);
    s->magic = 0;
    free(s);
    *ps = NULL;
}

int spool_append(struct spool *s, struct str lines, struct err *err)
{
    int r = 0;

    OBJ_CHECK(s, SPOOL_MAGIC);
    if (s->size >= ROTATE_AT && !s->by_hand && s->written == 0) /* a sync is of one file */
        r = open_file(s, s->no + 1, err);
    if (r == 0)
        r = file_pwrite_all(s->fd, lines.p, lines.n, s->size, err);
    if (r < 0) {
        /* A reader takes whole lines only: half of one may go, and the next lies over it anyway. */
        if (ftruncate(s->fd, (off_t)s->there) < 0)
            log_warn("spool.cut_failed", LOG_I64("errno", errno));
        return r;
    }
    s->size += lines.n;
    if (s->there < s->size)
        s->there = s->size;
    return 0;
}

void spool_again(struct spool *s, size_t n)
{
    OBJ_CHECK(s, SPOOL_MAGIC);
    INVARIANT(n <= s->size);
    s->size -= n;
}

int spool_keep(struct spool *s, struct str line, struct err *err)
{
    bool in_order;

    OBJ_CHECK(s, SPOOL_MAGIC);
    if (line.n > SPOOL_LATE_MAX - s->held.n)
        (void)spool_retry(s);
    if (line.n > SPOOL_LATE_MAX - s->held.n)
        return err_set(err, ERR_LIMIT, "%zu bytes wait for the disk already", s->held.n);
    in_order = s->written == s->held.n;
    buf_add_str(&s->held, line);
    metric_add(METRIC_SPOOL_WAITING_BYTES, line.n);
    if (in_order && spool_append(s, line, err) == 0)
        s->written += line.n;
    return 0;
}

struct spool_missed *spool_missed(struct spool *s)
{
    OBJ_CHECK(s, SPOOL_MAGIC);
    return &s->missed;
}

bool spool_retry(struct spool *s)
{
    bool is_first = s->retry_at == 0;
    struct err err;

    OBJ_CHECK(s, SPOOL_MAGIC);
    if (s->held.n == 0)
        return true;
    if (time_mono() < s->retry_at)
        return false;
    if (spool_sync(s, &err) == 0)
        return true;
    if (is_first)
        log_error("spool.not_synced", LOG_U64("bytes", s->held.n), LOG_ERR(&err));
    s->retry_at = time_mono() + RETRY_MS * NS_PER_MS;
    return false;
}

static int write_held(struct spool *s, struct err *err)
{
    int r = 0;

    if (s->written < s->held.n)
        r = spool_append(s, str_from(buf_str(&s->held), s->written), err);
    if (r == 0)
        s->written = s->held.n;
    return r;
}

static int sync_file(struct spool *s, struct err *err)
{
    if (fault_hit("spool.sync")) {
        errno = EIO;
        return err_sys(err, "sync spool file");
    }
    return fdatasync(s->fd) < 0 ? err_sys(err, "sync spool file") : sync_name(s, err);
}

int spool_sync(struct spool *s, struct err *err)
{
    int r;

    OBJ_CHECK(s, SPOOL_MAGIC);
    r = write_held(s, err);
    if (r == 0)
        r = sync_file(s, err);
    if (r < 0) {
        spool_again(s, s->written);
        s->written = 0;
        metric_add(METRIC_SPOOL_SYNC_FAILED, 1);
        return r;
    }
    metric_sub(METRIC_SPOOL_WAITING_BYTES, s->held.n);
    buf_fini(&s->held);
    buf_init(&s->held, SPOOL_LATE_MAX);
    s->written = 0;
    s->retry_at = 0;
    return 0;
}

static int replay_file(struct spool *s, unsigned no, spool_line_fn *fn, void *arg, struct err *err)
{
    char name[32];
    struct buf text;
    struct str rest, line;
    int r;

    name_of(no, name);
    buf_init(&text, FILE_MAX);
    r = file_read(s->dir_fd, name, &text, err);
    rest = buf_str(&text);
    while (r == 0 && rest.n > 0) {
        line = str_cut(&rest, '\n');
        if (line.n > 0)
            fn(arg, line);
    }
    buf_fini(&text);
    return r == ERR_GONE ? 0 : r;
}

int spool_replay(struct spool *s, spool_line_fn *fn, void *arg, struct err *err)
{
    int r = 0;

    OBJ_CHECK(s, SPOOL_MAGIC);
    if (s->no > 1)
        r = replay_file(s, s->no - 1, fn, arg, err);
    return r < 0 ? r : replay_file(s, s->no, fn, arg, err);
}

/* ---- by hand ---- */

void spool_by_hand(struct spool *s)
{
    OBJ_CHECK(s, SPOOL_MAGIC);
    s->by_hand = true;
}

int spool_next(struct spool *s, struct err *err)
{
    OBJ_CHECK(s, SPOOL_MAGIC);
    return open_file(s, s->no + 1, err);
}

uint64_t spool_size(const struct spool *s)
{
    OBJ_CHECK(s, SPOOL_MAGIC);
    return s->size;
}

int spool_dir(const struct spool *s)
{
    OBJ_CHECK(s, SPOOL_MAGIC);
    return s->dir_fd;
}

static int add_size(void *arg, int dir_fd, const char *name, struct err *err)
{
    uint64_t *total = arg;
    struct stat st;

    (void)err;
    if (number_of(name) != 0 && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        *total += (uint64_t)st.st_size; /* else it was removed just now */
    return 0;
}

int spool_total(struct spool *s, uint64_t *ret, struct err *err)
{
    uint64_t total = 0;
    int r;

    OBJ_CHECK(s, SPOOL_MAGIC);
    r = file_walk(s->dir_fd, add_size, &total, err);
    if (r == 0)
        *ret = total;
    return r;
}

/* The lines of one block; `head` is the beginning of the one that goes on in it. */
static void take_heads(struct buf *head, struct str block, uint64_t at, spool_head_fn *fn,
                       void *arg)
{
    const char *begin = block.p;

    while (block.n > 0) {
        size_t nl = str_find_char(block, '\n');
        size_t n = nl < block.n ? nl : block.n;
        size_t room = SPOOL_HEAD_MAX - head->n;
        buf_add(head, block.p, n < room ? n : room);
        if (nl >= block.n)
            return;
        block = str_from(block, nl + 1);
        fn(arg, buf_str(head), at + (uint64_t)(block.p - begin));
        buf_clear(head);
    }
}

int spool_heads(struct spool *s, spool_head_fn *fn, void *arg, struct err *err)
{
    char *block;
    struct buf head;
    int r = 0;

    OBJ_CHECK(s, SPOOL_MAGIC);
    block = mem_new(HEADS_BLOCK);
    buf_init(&head, SPOOL_HEAD_MAX);
    for (uint64_t at = 0; r == 0 && at < s->size;) {
        size_t n = s->size - at < HEADS_BLOCK ? (size_t)(s->size - at) : HEADS_BLOCK;
        r = file_pread_all(s->fd, block, n, at, err);
        if (r == 0)
            take_heads(&head, (struct str){block, n}, at, fn, arg);
        at += n;
    }
    buf_fini(&head);
    free(block);
    return r;
}

/* The end of file `no`, as spool_end has it.  ERR_GONE: there is no such file. */
static int end_of_file(const struct spool *s, unsigned no, char *p, size_t cap, size_t *n,
                       struct err *err)
{
    char name[32];
    const char *nl;
    struct stat st;
    size_t have;
    int fd, r;

    name_of(no, name);
    *n = 0;
    fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_GONE : err_sys(err, "open spool file %s", name);
    r = fstat(fd, &st) < 0 ? err_sys(err, "look at spool file %s", name) : 0;
    if (r == 0 && st.st_size > 1) {
        uint64_t end = (uint64_t)st.st_size - 1; /* without its newline */
        have = end < cap ? (size_t)end : cap;
        r = file_pread_all(fd, p, have, end - have, err);
        nl = r < 0 ? NULL : memrchr(p, '\n', have);
        *n = r < 0 ? 0 : have;
        if (nl != NULL) {
            *n = have - (size_t)(nl + 1 - p);
            memmove(p, nl + 1, *n);
        }
    }
    (void)close(fd);
    return r;
}

int spool_end(struct spool *s, char *p, size_t cap, size_t *n, struct err *err)
{
    int r = 0;

    OBJ_CHECK(s, SPOOL_MAGIC);
    *n = 0;
    for (unsigned no = s->no; r == 0 && *n == 0 && no > 0; no--)
        r = end_of_file(s, no, p, cap, n, err);
    return r == ERR_GONE ? 0 : r;
}

/* One that is empty may have been begun and no more: what is in front of it is where a source goes
 * on from. */
struct later {
    unsigned no;
    bool may_be_empty, found;
};

static int find_later(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct later *l = arg;
    struct stat st;

    (void)err;
    if (number_of(name) > l->no && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        l->found = l->found || st.st_size > 0 || l->may_be_empty;
    return 0;
}

/* `path` begins with directory `name`. */
static bool is_of(const char *path, const char *name)
{
    size_t n = strlen(name);

    return strncmp(path, name, n) == 0 && path[n] == '/';
}

bool spool_retire(int state_fd, const char *path)
{
    const char *base = strrchr(path, '/'), *source = base;
    struct later l = {.no = base == NULL ? 0 : number_of(base + 1)};
    char dir[256];
    struct err err;
    int fd;
    bool done;

    if (l.no == 0)
        return false;
    while (source > path && source[-1] != '/')
        source--;
    /* what is remembered of its lines lies beside them */
    l.may_be_empty = is_of(source, SPOOL_FORWARD);
    if (is_of(source, SPOOL_DOCKER) || is_of(source, SPOOL_PODMAN))
        l.no++; /* an engine tells events again, and they are known by the last two files */
    (void)snprintf(dir, sizeof(dir), SPOOL_DIR "/%.*s", (int)(base - source), source);
    if (file_open_dir(state_fd, dir, &fd, &err) < 0)
        return false;
    /* any later one: that which followed may have gone before */
    done = file_walk(fd, find_later, &l, &err) == 0 && l.found && unlinkat(fd, base + 1, 0) == 0;
    (void)close(fd);
    return done;
}
