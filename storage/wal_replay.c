/*
 * storage/wal_replay.c - finding the WAL's files and reading them again.  Contract: wal.h.
 *
 * Torn or damaged?  A crash leaves a tail of which any part may be missing, also the middle, when
 * the disk reordered writes.  A frame that is bad although it was durable is damage, and must not
 * pass for such a tail.  It was durable when
 *   - a later file exists and its `after` is behind the frame (that file was made only when all up
 * to there had been synced, or read back); or
 *   - a good frame later in the same file says `synced` past it.
 * Every other bad frame begins a torn tail: nothing behind it was ever acknowledged.
 *
 * Invariants
 *   (1) bodies are delivered in ascending position, each once, none that is void by a later header;
 *   (2) memory is bounded by WAL_BODY_MAX and one frame, whatever the files hold.
 */
#include "storage/wal.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/le.h"
#include "storage/wal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How far positions jump at each start: should files have been lost, positions that a catalog may
 * know from them are not given again. */
#define START_JUMP (UINT64_C(1) << 36)

enum { OUT_MAX = 4 << 20, FILES_MAX = 1 << 20, SCAN = 1 << 20 };

/* ---- the files ---- */

static int note_file(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct wal *w = arg;
    struct wal_file file = {.end = 0};

    if (str_ends(str_of(name), STR(".tmp"))) {
        if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT)
            return err_sys(err, "remove '%s'", name);
        return 0;
    }
    if (!wal_format_parse_name(name, &file.header.number))
        return 0; /* not ours; left alone */
    if (w->files.n >= FILES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d WAL files", FILES_MAX);
    VEC_PUSH(&w->files, file);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct wal_file *x = a;
    const struct wal_file *y = b;

    return x->header.number < y->header.number ? -1 : x->header.number > y->header.number;
}

static int read_header(struct wal *w, struct wal_file *f, struct err *err)
{
    uint64_t number = f->header.number;
    char bytes[WAL_HEADER];
    char name[WAL_NAME + 1];
    struct stat st;
    int fd;
    int r = 0;

    wal_format_name(number, name);
    fd = openat(w->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(err, "open WAL file '%s'", name);
    if (fstat(fd, &st) != 0)
        r = err_sys(err, "stat WAL file '%s'", name);
    if (r == 0)
        r = file_pread_all(fd, bytes, sizeof(bytes), 0, err);
    if (r == 0)
        r = wal_format_parse_header(bytes, &f->header, err);
    (void)close(fd); /* only read from */
    if (r == 0 && f->header.number != number)
        r = err_set(err, ERR_CORRUPT, "it says to be file %llx",
                    (unsigned long long)f->header.number);
    if (r == 0 && (uint64_t)st.st_size > UINT64_MAX / 2 - f->header.base)
        r = err_set(err, ERR_CORRUPT, "the file is impossibly long");
    f->header.number = number;
    if (r == 0)
        f->end = f->header.base + (uint64_t)st.st_size;
    return r == 0 ? 0 : err_wrap(err, "WAL file '%s'", name);
}

/* Is there a hole before file `i`, and do its positions follow? */
static int check_order(const struct wal *w, size_t i, struct err *err)
{
    const struct wal_file *f = &w->files.p[i];
    const struct wal_file *before = i == 0 ? NULL : &w->files.p[i - 1];
    char name[WAL_NAME + 1];

    wal_format_name(f->header.number, name);
    if (before == NULL && f->header.after > w->floor)
        return err_set(err, ERR_CORRUPT, "WAL files before '%s' are missing", name);
    if (before != NULL && before->header.number + 1 != f->header.number)
        return err_set(err, ERR_CORRUPT, "the WAL file before '%s' is missing", name);
    if (before != NULL && !before->damaged && f->header.base < before->end)
        return err_set(err, ERR_CORRUPT, "WAL file '%s' begins within the one before", name);
    return 0;
}

static int read_files(struct wal *w, struct err *err)
{
    int r;

    r = file_walk(w->dir_fd, note_file, w, err);
    if (r < 0)
        return r;
    if (w->files.n > 1)
        qsort(w->files.p, w->files.n, sizeof(*w->files.p), by_number);
    for (size_t i = 0; i < w->files.n; i++) {
        struct wal_file *f = &w->files.p[i];
        r = read_header(w, f, err);
        if (r == 0)
            r = check_order(w, i, err);
        if (r == ERR_CORRUPT && w->recover) {
            f->damaged = f->end == 0;
            f->hole = !f->damaged;
            if (f->damaged)
                f->end = i == 0 ? w->floor : w->files.p[i - 1].end;
            atomic_fetch_add(&w->skipped_frames, 1);
        } else if (r < 0) {
            return r;
        }
    }
    return 0;
}

int wal_open(const struct wal_options *opt, struct wal **ret, struct err *err)
{
    struct wal *w = mem_new(sizeof(*w));
    int r;

    INVARIANT(opt->file_bytes > WAL_HEADER);
    w->magic = WAL_MAGIC;
    w->dir_fd = opt->dir_fd;
    memcpy(w->key, opt->key, sizeof(w->key));
    w->file_bytes = opt->file_bytes;
    w->floor = opt->floor;
    w->recover = opt->recover;
    w->fd = -1;
    buf_init(&w->out, OUT_MAX);
    buf_init(&w->plain, WAL_CHUNK);
    (void)pthread_mutex_init(&w->mutex, NULL); /* cannot fail for a default mutex here */
    r = read_files(w, err);
    if (r < 0) {
        wal_close(&w);
        return r;
    }
    w->next_number = 1;
    w->next_base = w->floor;
    if (w->files.n != 0) {
        const struct wal_file *last = &w->files.p[w->files.n - 1];
        w->next_number = last->header.number + 1;
        w->next_base = last->end > w->floor ? last->end : w->floor;
    }
    if (w->next_base < opt->known)
        w->next_base = opt->known;
    w->next_base += START_JUMP;
    atomic_store(&w->committed, w->floor);
    *ret = w;
    return 0;
}

/* ---- reading one file ---- */

struct reader {
    struct wal *w;
    const struct wal_file *file;
    char name[WAL_NAME + 1];
    int fd;
    uint64_t size;        /* of the file */
    uint64_t limit;       /* frames that end past this position are void */
    bool is_last;         /* no later file: `limit` proves nothing */
    bool again;           /* the second reading: nothing is counted, gaps are not told */
    struct crypt *crypt;  /* owned */
    char *sealed, *plain; /* owned; one frame */
    struct buf body;      /* frames of an unfinished body */
    bool in_body;
    uint64_t next_frame; /* number that the next frame must have */
    wal_replay_fn *fn;
    void *arg;
};

static int reader_open(struct reader *rd, struct err *err)
{
    const struct wal_header *h = &rd->file->header;
    uint8_t key[CRYPT_KEY];
    char bytes[WAL_HEADER];
    int r;

    rd->size = rd->file->end - h->base;
    rd->fd = openat(rd->w->dir_fd, rd->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (rd->fd < 0)
        return err_sys(err, "open WAL file '%s'", rd->name);
    wal_format_header(h, bytes);
    r = crypt_unwrap(rd->w->key, (struct str){bytes, WAL_HEADER_AAD}, h->wrapped, key, err);
    if (r < 0)
        return err_wrap(err, "WAL file '%s'", rd->name);
    rd->crypt = crypt_new(key);
    crypt_wipe(key, sizeof(key));
    rd->sealed = mem_new(WAL_CHUNK + CRYPT_TAG);
    rd->plain = mem_new(WAL_CHUNK);
    return 0;
}

static void reader_close(struct reader *rd)
{
    if (rd->fd >= 0)
        (void)close(rd->fd); /* only read from */
    crypt_free(&rd->crypt);
    if (rd->plain != NULL)
        crypt_wipe(rd->plain, WAL_CHUNK);
    free(rd->sealed);
    free(rd->plain);
    buf_fini(&rd->body);
}

/* Read the header of the frame at `off`.  1: there is none; ERR_IO. */
static int read_head(const struct reader *rd, uint64_t off, char head[WAL_FRAME],
                     struct wal_frame *f, struct err *err)
{
    int r;

    if (rd->size < WAL_FRAME || off > rd->size - WAL_FRAME)
        return 1;
    r = file_pread_all(rd->fd, head, WAL_FRAME, off, err);
    if (r < 0)
        return r == ERR_CORRUPT ? 1 : r; /* shorter than fstat said: as if torn */
    return !wal_format_parse_frame(head, f) || f->position != rd->file->header.base + off ||
           f->length > rd->size - off - WAL_FRAME;
}

/* Read the frame at `off` into rd->plain.  1: there is no good frame; ERR_IO. */
static int read_frame(struct reader *rd, uint64_t off, struct wal_frame *f, struct err *err)
{
    uint8_t nonce[CRYPT_NONCE];
    char head[WAL_FRAME];
    int r = read_head(rd, off, head, f, err);

    if (r != 0)
        return r;
    r = file_pread_all(rd->fd, rd->sealed, f->length, off + WAL_FRAME, err);
    if (r < 0)
        return r == ERR_CORRUPT ? 1 : r;
    crypt_nonce(f->number, nonce);
    r = crypt_open(rd->crypt, nonce, (struct str){head, WAL_FRAME},
                   (struct str){rd->sealed, f->length}, rd->plain, err);
    return r < 0 ? 1 : 0;
}

/* What stands behind a bad frame. */
struct behind {
    uint64_t good;     /* offset of the first good frame, 0: none */
    uint64_t number;   /* of that frame */
    uint64_t synced;   /* the highest position that good frames call synced */
    uint64_t last_set; /* offset behind the last byte that is not zero */
};

/* Look at every place in `chunk` (which stands at `off` in the file) where a frame may begin. */
static int scan_chunk(struct reader *rd, const char *chunk, size_t n, uint64_t off,
                      struct behind *ret, struct err *err)
{
    struct str rest = {chunk, n};
    char magic[4];

    if (n == 0 || (chunk[0] == 0 && memcmp(chunk, chunk + 1, n - 1) == 0))
        return 0; /* as all is behind the last frame of a file */
    le_put32(magic, WAL_FRAME_MAGIC);
    for (size_t i = n; i > 0; i--) {
        if (chunk[i - 1] != 0) {
            ret->last_set = off + i;
            break;
        }
    }
    for (;;) {
        size_t hit = str_find(rest, (struct str){magic, 4});
        struct wal_frame f;
        uint64_t at;
        int r;

        if (hit == SIZE_MAX)
            return 0;
        at = off + (uint64_t)(rest.p - chunk) + hit;
        r = rd->file->header.base + at < rd->limit ? read_frame(rd, at, &f, err) : 1;
        if (r < 0)
            return r;
        if (r == 0 && ret->good == 0) {
            ret->good = at;
            ret->number = f.number;
        }
        if (r == 0 && f.synced > ret->synced)
            ret->synced = f.synced;
        rest = str_from(rest, hit + 1);
    }
}

/* The first byte at or behind `off` that was ever written: what lies between reads as zeros. */
static uint64_t skip_hole(const struct reader *rd, uint64_t off)
{
    off_t data = lseek(rd->fd, (off_t)off, SEEK_DATA);

    if (data < 0) /* there is none, or the file system cannot say */
        return errno == ENXIO ? rd->size : off;
    return (uint64_t)data > off ? (uint64_t)data : off;
}

static int look_behind(struct reader *rd, uint64_t bad, struct behind *ret, struct err *err)
{
    char *chunk = mem_new(SCAN + 3);
    uint64_t off = bad;
    int r = 0;

    *ret = (struct behind){.last_set = bad};
    while (r == 0 && (off = skip_hole(rd, off)) < rd->size) {
        uint64_t left = rd->size - off;
        size_t n = left < SCAN + 3 ? (size_t)left : SCAN + 3;
        r = file_pread_all(rd->fd, chunk, n, off, err);
        if (r == 0)
            r = scan_chunk(rd, chunk, n, off, ret, err);
        off += n <= SCAN ? n : SCAN; /* the last 3 bytes again: a magic may lie across */
    }
    free(chunk);
    return r;
}

static int deliver_gap(struct reader *rd, uint64_t from, uint64_t to, struct err *err)
{
    struct wal_body gap = {
        .gap = true,
        .from = rd->file->header.base + from,
        .position = rd->file->header.base + to,
        .file = rd->name,
    };

    rd->in_body = false;
    return rd->again ? 0 : rd->fn(rd->arg, &gap, err);
}

/* The frame at `off` is not good.  0: go on at the new *off; 1: the file ends here. */
static int handle_bad(struct reader *rd, uint64_t *off, struct err *err)
{
    uint64_t position = rd->file->header.base + *off;
    uint64_t to = rd->size;
    struct behind b;
    int r;

    r = look_behind(rd, *off, &b, err);
    if (r < 0)
        return r;
    if (rd->is_last && !rd->again && b.synced <= position) {
        atomic_fetch_add(&rd->w->torn_bytes, b.last_set - *off);
        return 1;
    }
    if (!rd->w->recover && b.good != 0)
        return err_set(err, ERR_CORRUPT,
                       "WAL file '%s': the frame at offset %llu is damaged, good ones follow at "
                       "%llu",
                       rd->name, (unsigned long long)*off, (unsigned long long)b.good);
    if (!rd->w->recover)
        return err_set(err, ERR_CORRUPT,
                       "WAL file '%s': the frame at offset %llu is damaged, and it was durable",
                       rd->name, (unsigned long long)*off);
    if (!rd->again)
        atomic_fetch_add(&rd->w->skipped_frames,
                         b.good != 0 && b.number > rd->next_frame ? b.number - rd->next_frame : 1);
    if (b.good != 0) {
        to = b.good;
        rd->next_frame = b.number;
    } else if (rd->limit - rd->file->header.base < rd->size) {
        to = rd->limit - rd->file->header.base;
    }
    r = deliver_gap(rd, *off, to, err);
    *off = to;
    return r == 0 && b.good == 0 ? 1 : r;
}

/* Join a good frame to its body; deliver the body when it is whole. */
static int take_frame(struct reader *rd, const struct wal_frame *f, uint64_t end, struct err *err)
{
    struct wal_body body = {.position = end, .file = rd->name};

    if ((f->flags & WAL_FIRST) != 0) {
        buf_clear(&rd->body);
        rd->in_body = true;
    }
    if (!rd->in_body)
        return 0; /* the rest of a body whose beginning was passed over; the gap says so */
    buf_add(&rd->body, rd->plain, f->length - CRYPT_TAG);
    if (rd->body.over)
        return err_set(err, ERR_CORRUPT, "WAL file '%s': a body is over %d bytes", rd->name,
                       WAL_BODY_MAX);
    if ((f->flags & WAL_LAST) == 0)
        return 0;
    rd->in_body = false;
    if (end <= rd->w->floor)
        return 0;
    if (!rd->again)
        atomic_fetch_add(&rd->w->replayed_bodies, 1);
    body.bytes = buf_str(&rd->body);
    return rd->fn(rd->arg, &body, err);
}

/* Pass over the frames before the floor by their headers: their records are elsewhere, and they may
 * be most of the file.  A header that is not as it should be is left to read_all. */
static int skip_taken(struct reader *rd, uint64_t *off, struct err *err)
{
    uint64_t floor = rd->w->floor < rd->limit ? rd->w->floor : rd->limit;

    for (;;) {
        char head[WAL_FRAME];
        struct wal_frame f;
        uint64_t end;
        int r = read_head(rd, *off, head, &f, err);

        if (r != 0)
            return r < 0 ? r : 0;
        end = *off + WAL_FRAME + f.length;
        if (f.number != rd->next_frame || rd->file->header.base + end > floor)
            return 0;
        rd->next_frame++;
        *off = end;
    }
}

static int read_all(struct reader *rd, struct err *err)
{
    uint64_t base = rd->file->header.base;
    uint64_t off = WAL_HEADER;
    int r = skip_taken(rd, &off, err);

    while (r == 0 && base + off < rd->limit && off < rd->size) {
        struct wal_frame f;
        uint64_t end;

        r = read_frame(rd, off, &f, err);
        if (r < 0)
            return r;
        if (r == 1 || f.number != rd->next_frame) {
            r = handle_bad(rd, &off, err);
            continue;
        }
        end = base + off + WAL_FRAME + f.length;
        if (end > rd->limit)
            break;
        rd->next_frame++;
        off += WAL_FRAME + f.length;
        if (end > rd->w->floor)
            atomic_fetch_add(rd->again ? &rd->w->again_bytes : &rd->w->past_bytes,
                             WAL_FRAME + f.length);
        if (!rd->again && end > atomic_load(&rd->w->committed))
            atomic_store(&rd->w->committed, end);
        r = take_frame(rd, &f, end, err);
    }
    return r < 0 ? r : 0;
}

/* Where file `i` ends for a reader: see `limit` in docs/formats/wal.md. */
static void set_limit(struct reader *rd, const struct wal_file *files, size_t n, size_t i)
{
    rd->limit = UINT64_MAX;
    rd->is_last = i + 1 == n;
    for (size_t j = i + 1; j < n; j++)
        if (!files[j].damaged && files[j].header.after < rd->limit)
            rd->limit = files[j].header.after; /* keeps (1) */
    if (!rd->is_last && rd->limit == UINT64_MAX)
        rd->is_last = true; /* all later headers are lost: nothing proves what was durable */
    if (rd->again && rd->limit > rd->w->past_end)
        rd->limit = rd->w->past_end; /* what is behind it was torn */
}

/* Everything in it was taken over since the first reading; it may be gone at any moment. */
static bool is_trimmed(const struct reader *rd)
{
    return rd->again && rd->file->end <= atomic_load(&rd->w->trimmed);
}

static int replay_file(struct reader *rd, struct err *err)
{
    struct wal *w = rd->w;
    int r = 0;

    wal_format_name(rd->file->header.number, rd->name);
    if (rd->file->hole || rd->file->damaged) {
        r = deliver_gap(rd, 0, 0, err);
        if (r < 0 || rd->file->damaged)
            return r;
    }
    if (rd->limit <= w->floor || rd->limit <= rd->file->header.base || is_trimmed(rd))
        return 0;
    buf_init(&rd->body, WAL_BODY_MAX);
    r = reader_open(rd, err);
    if (r == ERR_CORRUPT && w->recover) {
        if (!rd->again)
            atomic_fetch_add(&w->skipped_frames, 1);
        r = deliver_gap(rd, WAL_HEADER, rd->size, err);
    } else if (r == 0) {
        r = read_all(rd, err);
    } else if (is_trimmed(rd)) {
        r = 0;
    }
    reader_close(rd);
    return r;
}

int wal_replay(struct wal *w, wal_replay_fn *fn, void *arg, struct err *err)
{
    int r = 0;

    OBJ_CHECK(w, WAL_MAGIC);
    for (size_t i = 0; r == 0 && i < w->files.n; i++) {
        struct reader rd = {.w = w, .file = &w->files.p[i], .fd = -1, .fn = fn, .arg = arg};
        set_limit(&rd, w->files.p, w->files.n, i);
        r = replay_file(&rd, err);
    }
    w->next_after = w->past_end = atomic_load(&w->committed);
    for (size_t i = 0; r == 0 && i < w->files.n; i++)
        VEC_PUSH(&w->past, w->files.p[i]);
    return r;
}

int wal_replay_again(struct wal *w, wal_replay_fn *fn, void *arg, struct err *err)
{
    int r = 0;

    OBJ_CHECK(w, WAL_MAGIC);
    atomic_store(&w->again_bytes, 0);
    for (size_t i = 0; r == 0 && i < w->past.n; i++) {
        struct reader rd = {
            .w = w, .file = &w->past.p[i], .again = true, .fd = -1, .fn = fn, .arg = arg};
        set_limit(&rd, w->past.p, w->past.n, i);
        r = replay_file(&rd, err);
    }
    return r;
}
