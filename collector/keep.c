/*
 * collector/keep.c - the directory of kept logs, and what is written there.  Contract: keep.h;
 * reading is keep_reader.c.
 *
 * Invariants
 *   (1) frames of a file follow each other without a hole: the first begins at head.start, each
 *       where the one before it ends;
 *   (2) a frame that was not written whole is the last one: a write that fails is cut off, or, when
 *       we were killed, lies behind everything that keep_sync has seen.
 */
#include "collector/keep.h"

#include "base/crc.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/obj.h"
#include "base/vec.h"
#include "collector/keep_internal.h"
#include "collector/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ZSTD_LEVEL = 1, NAMES_ARENA = 1 << 20 };
static const char DIR_NAME[] = "keep";
static const char SUFFIX[] = ".lqk";

struct keep_writer {
    unsigned magic;
#define KEEP_WRITER_MAGIC 0x4ee93417u
    struct keep *keep;
    int fd;
    uint64_t start, end; /* of the log */
    uint64_t size;       /* of our file */
    struct buf packed;
};

/* ---- the directory ---- */

void keep_name(uint64_t incarnation, uint64_t no, char name[KEEP_NAME_BYTES])
{
    (void)snprintf(name, KEEP_NAME_BYTES, "%016" PRIx64 "-%016" PRIx64 "%s", incarnation, no,
                   SUFFIX);
}

static bool is_ours(const char *name)
{
    return strlen(name) == 33 + sizeof(SUFFIX) - 1 && name[16] == '-' &&
           strcmp(name + 33, SUFFIX) == 0;
}

static uint64_t size_of(const struct keep *k, const char *name)
{
    struct stat st;

    return fstatat(k->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : (uint64_t)st.st_size;
}

static int add_size(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct keep *k = arg;
    uint64_t no;

    (void)dir_fd;
    (void)err;
    if (!is_ours(name))
        return 0;
    k->bytes += size_of(k, name);
    no = strtoull(name + 17, NULL, 16);
    if (strtoull(name, NULL, 16) == k->incarnation && no >= k->next)
        k->next = no + 1;
    return 0;
}

int keep_open(int state_fd, uint64_t incarnation, struct keep **ret, struct err *err)
{
    struct keep *k = mem_new(sizeof(*k));
    int r;

    k->magic = KEEP_MAGIC;
    k->incarnation = incarnation;
    k->dir_fd = -1;
    r = file_make_dirs(state_fd, DIR_NAME, 0700, err);
    if (r == 0)
        r = file_open_dir(state_fd, DIR_NAME, &k->dir_fd, err);
    if (r == 0)
        r = file_walk(k->dir_fd, add_size, k, err);
    if (r < 0) {
        keep_close(&k);
        return err_wrap(err, "%s", DIR_NAME);
    }
    metric_set(METRIC_SPOOL_BYTES, k->bytes);
    *ret = k;
    return 0;
}

void keep_close(struct keep **pk)
{
    struct keep *k = *pk;

    if (k == NULL)
        return;
    OBJ_CHECK(k, KEEP_MAGIC);
    INVARIANT(k->writers == 0);
    if (k->dir_fd >= 0)
        (void)close(k->dir_fd);
    k->magic = 0;
    free(k);
    *pk = NULL;
}

bool keep_has(const struct keep *k, uint64_t no)
{
    char name[KEEP_NAME_BYTES];
    struct stat st;

    OBJ_CHECK(k, KEEP_MAGIC);
    keep_name(k->incarnation, no, name);
    return fstatat(k->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

uint64_t keep_bytes(const struct keep *k)
{
    return k->bytes;
}

uint64_t keep_next(const struct keep *k)
{
    return k->next;
}

void keep_set_bytes(struct keep *k, uint64_t less, uint64_t more)
{
    k->bytes = (k->bytes > less ? k->bytes - less : 0) + more;
    metric_set(METRIC_SPOOL_BYTES, k->bytes);
}

void keep_remove(struct keep *k, uint64_t no)
{
    char name[KEEP_NAME_BYTES];
    uint64_t size;

    OBJ_CHECK(k, KEEP_MAGIC);
    keep_name(k->incarnation, no, name);
    size = size_of(k, name);
    if (unlinkat(k->dir_fd, name, 0) == 0)
        keep_set_bytes(k, size, 0);
}

static void remove_orphan(struct keep *k, const char *name, const char *why)
{
    uint64_t size = size_of(k, name);

    if (unlinkat(k->dir_fd, name, 0) < 0)
        return; /* the next start tries again */
    keep_set_bytes(k, size, 0);
    metric_add(METRIC_SPOOL_ORPHANS, 1);
    log_info("spool.orphan", LOG_Z("file", name), LOG_U64("bytes", size), LOG_Z("why", why));
}

void keep_remove_orphan(struct keep *k, uint64_t no, const char *why)
{
    char name[KEEP_NAME_BYTES];

    OBJ_CHECK(k, KEEP_MAGIC);
    keep_name(k->incarnation, no, name);
    remove_orphan(k, name, why);
}

/* ---- writing ---- */

/* All of it or nothing. */
static int append(struct keep_writer *w, const void *p, size_t n, struct err *err)
{
    int r = file_pwrite_all(w->fd, p, n, w->size, err);

    if (r < 0) {
        if (ftruncate(w->fd, (off_t)w->size) < 0) /* then the next write lies over it */
            log_warn("keep.cut_failed", LOG_I64("errno", errno));
        return r;
    }
    w->size += n;
    keep_set_bytes(w->keep, 0, n);
    return 0;
}

/* One write, so that nothing of it is there when it fails: keeps (2). */
static int append_frame(struct keep_writer *w, struct keep_frame f, struct str stored,
                        struct err *err)
{
    uint8_t head[KEEP_FRAME_BYTES];
    struct buf both;
    int r;

    f.stored = (uint32_t)stored.n;
    f.crc = crc32c(0, stored.p, stored.n);
    keep_format_frame(&f, head);
    buf_init(&both, sizeof(head) + stored.n);
    buf_add(&both, head, sizeof(head));
    buf_add_str(&both, stored);
    r = append(w, both.p, both.n, err);
    buf_fini(&both);
    return r;
}

static int write_beginning(struct keep_writer *w, const struct keep_head *head,
                           const struct keep_names *names, struct err *err)
{
    struct keep_names bare = {.path = names->path};
    struct keep_frame frame = {.kind = KEEP_NAMES, .offset = head->start};
    uint8_t bytes[KEEP_HEAD_BYTES];
    struct buf text;
    int r;

    buf_init(&text, KEEP_RAW_MAX);
    keep_format_head(head, bytes);
    r = append(w, bytes, sizeof(bytes), err);
    if (r == 0 && keep_format_names(names, &text, err) < 0) {
        buf_clear(&text);
        r = keep_format_names(&bare, &text, err); /* they are found out again */
    }
    if (r == 0)
        r = append_frame(w, frame, buf_str(&text), err);
    buf_fini(&text);
    return r;
}

int keep_begin(struct keep *k, const struct keep_head *head, const struct keep_names *names,
               struct keep_writer **ret, struct err *err)
{
    struct keep_writer *w;
    char name[KEEP_NAME_BYTES];
    int fd, r;

    OBJ_CHECK(k, KEEP_MAGIC);
    keep_remove(k, head->no);
    keep_name(k->incarnation, head->no, name);
    fd = openat(k->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, "create keep/%s", name);
    w = mem_new(sizeof(*w));
    w->magic = KEEP_WRITER_MAGIC;
    w->keep = k;
    w->fd = fd;
    w->start = w->end = head->start;
    buf_init(&w->packed, KEEP_RAW_MAX);
    if (k->writers++ == 0)
        k->codec = codec_writer_new();
    r = write_beginning(w, head, names, err);
    if (r == 0)
        r = file_sync_dir(k->dir_fd, err);
    if (r < 0) {
        keep_writer_free(&w);
        keep_remove(k, head->no);
        return err_wrap(err, "keep/%s", name);
    }
    *ret = w;
    return 0;
}

int keep_put(struct keep_writer *w, struct str bytes, struct err *err)
{
    struct keep_frame f = {.kind = KEEP_ZSTD, .raw = (uint32_t)bytes.n, .offset = w->end};
    struct err why;
    int r;

    OBJ_CHECK(w, KEEP_WRITER_MAGIC);
    INVARIANT(bytes.n > 0 && bytes.n <= KEEP_RAW_MAX);
    buf_clear(&w->packed);
    if (codec_pack(w->keep->codec, CODEC_ZSTD, ZSTD_LEVEL, bytes, &w->packed, &why) == 0 &&
        w->packed.n < bytes.n) {
        r = append_frame(w, f, buf_str(&w->packed), err);
    } else {
        f.kind = KEEP_PLAIN;
        r = append_frame(w, f, bytes, err);
    }
    if (r < 0)
        return err_wrap(err, "keep");
    w->end += bytes.n;
    return 0;
}

int keep_sync_data(int fd, struct err *err)
{
    if (fault_hit("file.fdatasync")) {
        errno = EIO;
        return err_sys(err, "sync a kept log");
    }
    return fdatasync(fd) < 0 ? err_sys(err, "sync a kept log") : 0;
}

int keep_sync(struct keep_writer *w, struct err *err)
{
    OBJ_CHECK(w, KEEP_WRITER_MAGIC);
    return keep_sync_data(w->fd, err);
}

uint64_t keep_start(const struct keep_writer *w)
{
    return w->start;
}

uint64_t keep_end(const struct keep_writer *w)
{
    return w->end;
}

void keep_writer_free(struct keep_writer **pw)
{
    struct keep_writer *w = *pw;

    if (w == NULL)
        return;
    OBJ_CHECK(w, KEEP_WRITER_MAGIC);
    if (--w->keep->writers == 0)
        codec_writer_free(&w->keep->codec);
    (void)close(w->fd);
    buf_fini(&w->packed);
    w->magic = 0;
    free(w);
    *pw = NULL;
}

/* ---- what there is ---- */

struct name {
    char text[KEEP_NAME_BYTES];
};
struct found {
    VEC(struct name) v;
};

static int add_name(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct found *all = arg;
    struct name n;

    (void)dir_fd;
    (void)err;
    if (!is_ours(name))
        return 0;
    memcpy(n.text, name, strlen(name) + 1);
    VEC_PUSH(&all->v, n);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

/* The name must be the one that the head asks for. */
static int restore_name(struct keep *k, const char *name, const struct keep_head *head,
                        struct err *err)
{
    char right[KEEP_NAME_BYTES];

    keep_name(head->incarnation, head->no, right);
    if (strcmp(name, right) == 0)
        return 0;
    if (renameat(k->dir_fd, name, k->dir_fd, right) < 0)
        return err_sys(err, "rename keep/%s", name);
    return file_sync_dir(k->dir_fd, err);
}

static int look_at(struct keep *k, const char *name, struct arena *a, struct buf *text,
                   struct keep_head *head, struct keep_names *names, struct err *err)
{
    struct keep_frame f;
    int r, fd = openat(k->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fault_hit("keep.look") && fd >= 0) {
        (void)close(fd);
        errno = EMFILE;
        fd = -1;
    }
    if (fd < 0)
        return err_sys(err, "open keep/%s", name);
    r = keep_read_head(fd, head, err);
    if (r == 0)
        r = keep_read_frame(fd, KEEP_HEAD_BYTES, UINT64_MAX, &f, err);
    if (r == 0 && f.kind != KEEP_NAMES)
        r = err_set(err, ERR_CORRUPT, "no names");
    if (r == 0)
        r = keep_read_content(fd, KEEP_HEAD_BYTES, &f, text, err);
    if (r == 0)
        r = keep_parse_names(buf_str(text), a, names, err);
    (void)close(fd);
    return r == 0 ? restore_name(k, name, head, err) : r;
}

int keep_each(struct keep *k, keep_found_fn *fn, void *arg, struct err *err)
{
    struct found all = {{0}};
    struct arena *a = arena_new(NULL, NAMES_ARENA);
    struct buf text;
    bool all_read = true;
    int r;

    OBJ_CHECK(k, KEEP_MAGIC);
    buf_init(&text, KEEP_RAW_MAX);
    r = file_walk(k->dir_fd, add_name, &all, err);
    if (r == 0 && all.v.n > 1)
        qsort(all.v.p, all.v.n, sizeof(all.v.p[0]), by_name);
    for (size_t i = 0; r == 0 && i < all.v.n; i++) {
        const char *name = all.v.p[i].text;
        struct keep_head head;
        struct keep_names names;
        struct err why;
        int e;
        arena_reset(a);
        e = look_at(k, name, a, &text, &head, &names, &why);
        if (e == 0)
            fn(arg, &head, &names);
        else if (e == ERR_CORRUPT) /* also when it is shorter: killed while it was begun */
            remove_orphan(k, name, why.text);
        else
            metric_add(METRIC_FILES_UNREADABLE, 1);
        if (e == ERR_IO) {
            all_read = false;
            *err = why;
        }
    }
    VEC_FINI(&all.v);
    buf_fini(&text);
    arena_free(&a);
    return r == 0 && !all_read ? ERR_IO : r;
}

int keep_adopt(struct keep *k, const struct keep_head *log, uint64_t no, uint32_t salt,
               struct err *err)
{
    struct keep_head now = *log;
    uint8_t bytes[KEEP_HEAD_BYTES];
    char name[KEEP_NAME_BYTES];
    int fd, r;

    OBJ_CHECK(k, KEEP_MAGIC);
    keep_name(log->incarnation, log->no, name);
    fd = openat(k->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(err, "open keep/%s", name);
    now.incarnation = k->incarnation;
    now.no = no;
    now.salt = salt;
    keep_format_head(&now, bytes);
    r = file_pwrite_all(fd, bytes, sizeof(bytes), 0, err);
    if (r == 0 && fdatasync(fd) < 0)
        r = err_sys(err, "sync keep/%s", name);
    (void)close(fd);
    return r == 0 ? restore_name(k, name, &now, err) : r; /* killed before it: at the next start */
}
