/*
 * collector/keep_reader.c - a kept log is read as if from the log.  Contract: keep.h.
 *
 * All whole frames are indexed when it is opened; one at a time is unpacked.  A frame that is
 * damaged is a hole; behind it the next one that is whole is looked for byte by byte, should the
 * head that says how long it is be damaged itself.
 */
#include "base/fault.h"
#include "base/file.h"
#include "base/obj.h"
#include "base/vec.h"
#include "collector/keep_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEEK_BYTES = 64 << 10 };

struct keep_place {
    uint64_t offset, at; /* in the log; of the frame's head in our file */
    uint32_t raw;
};

struct keep_reader {
    unsigned magic;
#define KEEP_READER_MAGIC 0x4ee94ead
    int fd;
    uint64_t start, end;
    VEC(struct keep_place) frames;
    struct buf raw; /* frame `cached`, if cached < frames.n */
    size_t cached;
    bool damaged; /* a read ended at */
    uint64_t bad; /* this byte of the log */
};

/* ---- frames ---- */

int keep_read_head(int fd, struct keep_head *ret, struct err *err)
{
    uint8_t bytes[KEEP_HEAD_BYTES];
    int r = file_pread_all(fd, bytes, sizeof(bytes), 0, err);

    return r < 0 ? r : keep_parse_head(bytes, ret, err);
}

int keep_read_frame(int fd, uint64_t at, uint64_t size, struct keep_frame *ret, struct err *err)
{
    uint8_t bytes[KEEP_FRAME_BYTES];
    int r = file_pread_all(fd, bytes, sizeof(bytes), at, err);

    if (r == 0)
        r = keep_parse_frame(bytes, ret, err);
    if (r == 0 && ret->stored > size - at - sizeof(bytes))
        r = err_set(err, ERR_CORRUPT, "a frame that is not whole");
    return r;
}

int keep_read_content(int fd, uint64_t at, const struct keep_frame *f, struct buf *out,
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

/* ---- the index ---- */

/* Is there a whole frame at `at`, of bytes from `min` on?  0, ERR_CORRUPT, ERR_IO. */
static int try_frame(struct keep_reader *r, uint64_t at, uint64_t size, uint64_t min,
                     struct keep_frame *ret, struct err *err)
{
    int e = keep_read_frame(r->fd, at, size, ret, err);

    if (e == 0 && (ret->kind == KEEP_NAMES || ret->offset < min))
        e = err_set(err, ERR_CORRUPT, "a frame in another's place");
    return e == 0 ? keep_read_content(r->fd, at, ret, &r->raw, err) : e;
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
        e = keep_read_frame(r->fd, *at, size, &f, err);
        if (e == 0 && (f.offset != r->end || (f.kind == KEEP_NAMES) != (*at == KEEP_HEAD_BYTES)))
            e = ERR_CORRUPT;
        if (e == 0 && r->end + f.raw > sure)
            e = keep_read_content(r->fd, *at, &f, &r->raw, err);
        if (e == ERR_CORRUPT)
            e = pass_damage(r, sure, at, size, &f, err);
        if (e != 0)
            break;
        if (f.raw > 0) {
            struct keep_place place = {f.offset, *at, f.raw};
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
    e = keep_read_head(r->fd, &head, err);
    if (e < 0)
        return e;
    r->start = r->end = head.start;
    e = find_frames(r, sure, (uint64_t)st.st_size, &used, err);
    if (e < 0)
        return e;
    if (used < (uint64_t)st.st_size && r->end >= sure && ftruncate(r->fd, (off_t)used) == 0)
        keep_set_bytes(k, (uint64_t)st.st_size - used, 0); /* torn; it must not grow a new end */
    return 0;
}

int keep_read(struct keep *k, uint64_t no, uint64_t sure, struct keep_reader **ret, struct err *err)
{
    struct keep_reader *r = mem_new(sizeof(*r));
    char name[KEEP_NAME_BYTES];
    int e;

    OBJ_CHECK(k, KEEP_MAGIC);
    r->magic = KEEP_READER_MAGIC;
    r->fd = -1;
    buf_init(&r->raw, KEEP_RAW_MAX);
    keep_name(k->incarnation, no, name);
    e = open_reader(k, name, sure, r, err);
    if (e < 0) {
        keep_reader_free(&r);
        return err_wrap(err, "keep/%s", name);
    }
    *ret = r;
    return 0;
}

/* ---- reading ---- */

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
    return keep_sync_data(r->fd, err);
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

static bool has(const struct keep_place *place, uint64_t offset)
{
    return offset >= place->offset && offset - place->offset < place->raw;
}

/* Have frame `i` unpacked.  -1 and errno. */
static int load_frame(struct keep_reader *r, size_t i)
{
    const struct keep_place *place = &r->frames.p[i];
    struct keep_frame f;
    struct err err;
    int e;

    if (r->raw.n > 0 && r->cached == i)
        return 0;
    e = keep_read_frame(r->fd, place->at, UINT64_MAX, &f, &err);
    if (e == 0 && (f.offset != place->offset || f.raw != place->raw))
        e = err_set(&err, ERR_CORRUPT, "another frame");
    if (e == 0)
        e = keep_read_content(r->fd, place->at, &f, &r->raw, &err);
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
        keep_set_bytes(k, size - at, 0);
    keep_reader_free(&r);
    return e;
}
