/*
 * collector/keep.c - contract: keep.h.
 *
 * A frame that is damaged is a hole; behind it the next one that is whole is looked for byte by
 * byte, should the head that says how long it is be damaged itself.
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
#include "collector/metrics.h"
#include "wire/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ZSTD_LEVEL = 1, NAME_BYTES = 48, NAMES_ARENA = 1 << 20, SEEK_BYTES = 64 << 10 };
static const char DIR_NAME[] = "keep";
static const char SUFFIX[] = ".lqk";

struct keep {
    unsigned magic;
#define KEEP_MAGIC 0x4ee9f11eu
    int dir_fd;
    uint64_t incarnation;
    uint64_t bytes;
    struct codec_writer *codec; /* while something is written */
    unsigned writers;
};

struct keep_writer {
    unsigned magic;
#define KEEP_WRITER_MAGIC 0x4ee93417u
    struct keep *keep;
    int fd;
    uint64_t start, end; /* of the log */
    uint64_t size;       /* of our file */
    struct buf packed;
};

struct place {
    uint64_t offset, at; /* in the log; of the frame's head in our file */
    uint32_t raw;
};

struct keep_reader {
    unsigned magic;
#define KEEP_READER_MAGIC 0x4ee94ead
    int fd;
    uint64_t start, end;
    VEC(struct place) frames;
    struct buf raw; /* frame `cached`, if cached < frames.n */
    size_t cached;
    bool damaged; /* a read ended at */
    uint64_t bad; /* this byte of the log */
};

/* ---- the directory ---- */

static void name_of(uint64_t incarnation, uint64_t no, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "%016" PRIx64 "-%016" PRIx64 "%s", incarnation, no, SUFFIX);
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

    (void)dir_fd;
    (void)err;
    if (is_ours(name))
        k->bytes += size_of(k, name);
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
    char name[NAME_BYTES];
    struct stat st;

    OBJ_CHECK(k, KEEP_MAGIC);
    name_of(k->incarnation, no, name);
    return fstatat(k->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

uint64_t keep_bytes(const struct keep *k)
{
    return k->bytes;
}

static void set_bytes(struct keep *k, uint64_t less, uint64_t more)
{
    k->bytes = (k->bytes > less ? k->bytes - less : 0) + more;
    metric_set(METRIC_SPOOL_BYTES, k->bytes);
}

void keep_remove(struct keep *k, uint64_t no)
{
    char name[NAME_BYTES];
    uint64_t size;

    OBJ_CHECK(k, KEEP_MAGIC);
    name_of(k->incarnation, no, name);
    size = size_of(k, name);
    if (unlinkat(k->dir_fd, name, 0) == 0)
        set_bytes(k, size, 0);
}

static void remove_orphan(struct keep *k, const char *name, const char *why)
{
    uint64_t size = size_of(k, name);

    if (unlinkat(k->dir_fd, name, 0) < 0)
        return; /* the next start tries again */
    set_bytes(k, size, 0);
    metric_add(METRIC_SPOOL_ORPHANS, 1);
    log_info("spool.orphan", LOG_Z("file", name), LOG_U64("bytes", size), LOG_Z("why", why));
}

void keep_remove_orphan(struct keep *k, uint64_t no, const char *why)
{
    char name[NAME_BYTES];

    OBJ_CHECK(k, KEEP_MAGIC);
    name_of(k->incarnation, no, name);
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
    set_bytes(w->keep, 0, n);
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
    char name[NAME_BYTES];
    int fd, r;

    OBJ_CHECK(k, KEEP_MAGIC);
    keep_remove(k, head->no);
    name_of(k->incarnation, head->no, name);
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

static int sync_data(int fd, struct err *err)
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
    return sync_data(w->fd, err);
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

/* ---- reading ---- */

static int read_head(int fd, struct keep_head *ret, struct err *err)
{
    uint8_t bytes[KEEP_HEAD_BYTES];
    int r = file_pread_all(fd, bytes, sizeof(bytes), 0, err);

    return r < 0 ? r : keep_parse_head(bytes, ret, err);
}

/* The head of the frame at `at` of `size` bytes. */
static int read_frame(int fd, uint64_t at, uint64_t size, struct keep_frame *ret, struct err *err)
{
    uint8_t bytes[KEEP_FRAME_BYTES];
    int r = file_pread_all(fd, bytes, sizeof(bytes), at, err);

    if (r == 0)
        r = keep_parse_frame(bytes, ret, err);
    if (r == 0 && ret->stored > size - at - sizeof(bytes))
        r = err_set(err, ERR_CORRUPT, "a frame that is not whole");
    return r;
}

/* What the frame at `at` holds, in place of what is in `out`. */
static int read_content(int fd, uint64_t at, const struct keep_frame *f, struct buf *out,
                        struct err *err)
{
    char *stored = mem_new(f->stored);
    int r = file_pread_all(fd, stored, f->stored, at + KEEP_FRAME_BYTES, err);

    buf_clear(out);
    if (r == 0)
        r = keep_unpack(f, (struct str){stored, f->stored}, out, err);
    free(stored);
    return r;
}

/* Is there a whole frame at `at`, of bytes from `min` on?  0, ERR_CORRUPT, ERR_IO. */
static int try_frame(struct keep_reader *r, uint64_t at, uint64_t size, uint64_t min,
                     struct keep_frame *ret, struct err *err)
{
    int e = read_frame(r->fd, at, size, ret, err);

    if (e == 0 && (ret->kind == KEEP_NAMES || ret->offset < min))
        e = err_set(err, ERR_CORRUPT, "a frame in another's place");
    return e == 0 ? read_content(r->fd, at, ret, &r->raw, err) : e;
}

/* Does it look so, before its checksum is taken? */
static bool may_be_frame(const uint8_t *p)
{
    return (p[4] == KEEP_PLAIN || p[4] == KEEP_ZSTD) && p[5] == 0 && p[6] == 0 && p[7] == 0;
}

/* The first whole frame at `*at` or behind it.  1: there is none. */
static int find_whole(struct keep_reader *r, uint64_t *at, uint64_t size, struct keep_frame *ret,
                      struct err *err)
{
    uint8_t *p = mem_new(SEEK_BYTES);
    int e = 1;

    while (e == 1 && size - *at > KEEP_FRAME_BYTES) {
        size_t n = size - *at < SEEK_BYTES ? (size_t)(size - *at) : SEEK_BYTES, i;
        int got = file_pread_all(r->fd, p, n, *at, err);
        if (got < 0) {
            e = got;
            break;
        }
        for (i = 0; i + KEEP_FRAME_BYTES < n && e == 1; i++)
            if (may_be_frame(p + i) && keep_parse_frame(p + i, ret, err) == 0 &&
                try_frame(r, *at + i, size, r->end, ret, err) == 0)
                e = 0;
        *at += e == 0 ? i - 1 : i;
    }
    free(p);
    return e;
}

/* What is at `at` is not the frame that belongs there.  Is it the torn end, or damage with whole
 * frames behind it?  1: nothing is behind it. */
static int pass_damage(struct keep_reader *r, uint64_t sure, uint64_t *at, uint64_t size,
                       struct keep_frame *ret, struct err *err)
{
    uint64_t from = *at + 1;
    int e = r->end >= sure || *at == KEEP_HEAD_BYTES ? 1 : find_whole(r, &from, size, ret, err);

    if (e == 0)
        *at = from;
    return e;
}

/* Index all frames that are whole; *at is behind the last.  ERR_IO. */
static int find_frames(struct keep_reader *r, uint64_t sure, uint64_t size, uint64_t *at,
                       struct err *err)
{
    struct keep_frame f;
    int e = 0;

    *at = KEEP_HEAD_BYTES;
    while (*at < size) {
        e = read_frame(r->fd, *at, size, &f, err);
        if (e == 0 && (f.offset != r->end || (f.kind == KEEP_NAMES) != (*at == KEEP_HEAD_BYTES)))
            e = ERR_CORRUPT;
        if (e == 0 && r->end + f.raw > sure)
            e = read_content(r->fd, *at, &f, &r->raw, err);
        if (e == ERR_CORRUPT)
            e = pass_damage(r, sure, at, size, &f, err);
        if (e != 0)
            break;
        if (f.raw > 0) {
            struct place place = {f.offset, *at, f.raw};
            VEC_PUSH(&r->frames, place);
        }
        r->end = f.offset + f.raw;
        *at += KEEP_FRAME_BYTES + f.stored;
    }
    keep_reader_rest(r);
    return e == ERR_IO ? e : 0;
}

static int open_reader(struct keep *k, const char *name, uint64_t sure, struct keep_reader *r,
                       struct err *err)
{
    struct keep_head head;
    struct stat st;
    uint64_t used;
    int e;

    if (fault_hit("keep.open")) {
        errno = EIO;
        return err_sys(err, "open");
    }
    r->fd = openat(k->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (r->fd < 0 && errno == ENOENT)
        return err_set(err, ERR_GONE, "there is none");
    if (r->fd < 0 || fstat(r->fd, &st) < 0)
        return err_sys(err, "open");
    e = read_head(r->fd, &head, err);
    if (e < 0)
        return e;
    r->start = r->end = head.start;
    e = find_frames(r, sure, (uint64_t)st.st_size, &used, err);
    if (e < 0)
        return e;
    if (used < (uint64_t)st.st_size && r->end >= sure && ftruncate(r->fd, (off_t)used) == 0)
        set_bytes(k, (uint64_t)st.st_size - used, 0); /* torn; it must not grow a new end */
    return 0;
}

int keep_read(struct keep *k, uint64_t no, uint64_t sure, struct keep_reader **ret, struct err *err)
{
    struct keep_reader *r = mem_new(sizeof(*r));
    char name[NAME_BYTES];
    int e;

    OBJ_CHECK(k, KEEP_MAGIC);
    r->magic = KEEP_READER_MAGIC;
    r->fd = -1;
    buf_init(&r->raw, KEEP_RAW_MAX);
    name_of(k->incarnation, no, name);
    e = open_reader(k, name, sure, r, err);
    if (e < 0) {
        keep_reader_free(&r);
        return err_wrap(err, "keep/%s", name);
    }
    *ret = r;
    return 0;
}

uint64_t keep_reader_start(const struct keep_reader *r)
{
    return r->start;
}

uint64_t keep_reader_end(const struct keep_reader *r)
{
    return r->end;
}

int keep_reader_fd(const struct keep_reader *r)
{
    return r->fd;
}

int keep_reader_sync(struct keep_reader *r, struct err *err)
{
    OBJ_CHECK(r, KEEP_READER_MAGIC);
    return sync_data(r->fd, err);
}

/* The last frame that begins at `offset` or before it, the first if none does. */
static size_t find_frame(const struct keep_reader *r, uint64_t offset)
{
    size_t low = 0, high = r->frames.n;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (r->frames.p[mid].offset <= offset)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static bool has(const struct place *place, uint64_t offset)
{
    return offset >= place->offset && offset - place->offset < place->raw;
}

/* Have frame `i` unpacked.  -1 and errno. */
static int load_frame(struct keep_reader *r, size_t i)
{
    const struct place *place = &r->frames.p[i];
    struct keep_frame f;
    struct err err;
    int e;

    if (r->raw.n > 0 && r->cached == i)
        return 0;
    e = read_frame(r->fd, place->at, UINT64_MAX, &f, &err);
    if (e == 0 && (f.offset != place->offset || f.raw != place->raw))
        e = err_set(&err, ERR_CORRUPT, "another frame");
    if (e == 0)
        e = read_content(r->fd, place->at, &f, &r->raw, &err);
    r->cached = i;
    if (e == 0)
        return 0;
    buf_clear(&r->raw);
    errno = e == ERR_CORRUPT || err.sys == 0 ? EBADMSG : err.sys;
    return -1;
}

/* Have the frame with `offset` unpacked.  -1 and errno. */
static int load(struct keep_reader *r, uint64_t offset, size_t *ret)
{
    int e;

    *ret = find_frame(r, offset);
    if (has(&r->frames.p[*ret], offset)) {
        e = load_frame(r, *ret);
    } else {
        errno = EBADMSG; /* a hole */
        e = -1;
    }
    if (e < 0 && errno == EBADMSG) {
        r->damaged = true;
        r->bad = offset;
    }
    return e;
}

ssize_t keep_reader_read(struct keep_reader *r, char *p, size_t n, uint64_t offset)
{
    size_t done = 0;

    OBJ_CHECK(r, KEEP_READER_MAGIC);
    if (offset < r->start) {
        errno = EBADMSG;
        return -1;
    }
    while (done < n && offset < r->end) {
        size_t i, from, take;
        if (load(r, offset, &i) < 0)
            return done > 0 ? (ssize_t)done : -1;
        from = (size_t)(offset - r->frames.p[i].offset);
        take = r->raw.n - from < n - done ? r->raw.n - from : n - done;
        memcpy(p + done, r->raw.p + from, take);
        done += take;
        offset += take;
    }
    return (ssize_t)done;
}

bool keep_reader_is_damaged(const struct keep_reader *r)
{
    return r->damaged;
}

uint64_t keep_reader_skip(struct keep_reader *r, uint64_t offset)
{
    size_t i;

    OBJ_CHECK(r, KEEP_READER_MAGIC);
    if (!r->damaged)
        return offset;
    r->damaged = false;
    i = find_frame(r, r->bad);
    if (r->frames.p[i].offset <= r->bad)
        i++;
    return i < r->frames.n ? r->frames.p[i].offset : r->end;
}

void keep_reader_rest(struct keep_reader *r)
{
    buf_fini(&r->raw);
    buf_init(&r->raw, KEEP_RAW_MAX);
}

bool keep_reader_is_resting(const struct keep_reader *r)
{
    return r->raw.p == NULL;
}

void keep_reader_free(struct keep_reader **pr)
{
    struct keep_reader *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, KEEP_READER_MAGIC);
    if (r->fd >= 0)
        (void)close(r->fd);
    VEC_FINI(&r->frames);
    buf_fini(&r->raw);
    r->magic = 0;
    free(r);
    *pr = NULL;
}

int keep_cut(struct keep *k, uint64_t no, uint64_t end, uint64_t *ret, struct err *err)
{
    struct keep_reader *r;
    uint64_t at = 0, size;
    struct stat st;
    int e = keep_read(k, no, end, &r, err);

    if (e < 0)
        return e;
    *ret = 0;
    for (size_t i = 0; i < r->frames.n && r->frames.p[i].offset < end; i++) {
        *ret = r->frames.p[i].offset + r->frames.p[i].raw;
        at = i + 1 < r->frames.n ? r->frames.p[i + 1].at : UINT64_MAX;
    }
    size = fstat(r->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
    if (*ret == 0)
        keep_remove(k, no);
    else if (at < size && ftruncate(r->fd, (off_t)at) < 0)
        e = err_sys(err, "cut a kept log");
    else if (at < size)
        set_bytes(k, size - at, 0);
    keep_reader_free(&r);
    return e;
}

/* ---- what there is ---- */

struct name {
    char text[NAME_BYTES];
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
    char right[NAME_BYTES];

    name_of(head->incarnation, head->no, right);
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
    r = read_head(fd, head, err);
    if (r == 0)
        r = read_frame(fd, KEEP_HEAD_BYTES, UINT64_MAX, &f, err);
    if (r == 0 && f.kind != KEEP_NAMES)
        r = err_set(err, ERR_CORRUPT, "no names");
    if (r == 0)
        r = read_content(fd, KEEP_HEAD_BYTES, &f, text, err);
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
    char name[NAME_BYTES];
    int fd, r;

    OBJ_CHECK(k, KEEP_MAGIC);
    name_of(log->incarnation, log->no, name);
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
