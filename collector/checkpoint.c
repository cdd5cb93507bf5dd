/*
 * collector/checkpoint.c - contract: checkpoint.h; bytes: docs/formats/checkpoint.md.
 *
 * Why a journal of our own and not a database: one record is 64 bytes, a chunk costs one write and
 * one fdatasync, and reading it all at start takes milliseconds.  Records wait in a buffer until
 * the next sync, so that several chunks share one fdatasync.
 *
 * Invariants
 *   (1) memory says what the file will say once the buffer is written;
 *   (2) a group of records (a file with its path, a chunk with its parts) is written by one call
 * and counts only when it is there whole; (3) after a write or fdatasync that failed nobody knows
 * what the file holds: the next sync writes a new file; (4) file and chunk numbers only grow,
 * through compaction too.
 */
#include "collector/checkpoint.h"

#include "base/crc.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/obj.h"
#include "collector/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    RECORD_BYTES = 64,
    VERSION = 1,
    PATH_BYTES = 56,         /* of a path per record */
    COMPACT_MIN = 1 << 20,   /* a journal below this is never rewritten */
    JOURNAL_MAX = 256 << 20, /* a journal over this was not written by us */
    PARTS_MAX = 1 << 16,
};
static const char NAME[] = "checkpoint";
static const char MAGIC[8] = {'L', 'Q', 'C', 'K', 'P', 'T', '\r', '\n'};

enum record_type { REC_FILE = 1, REC_PATH, REC_PLAN, REC_ACK, REC_RANGE, REC_FORGET };

struct checkpoint {
    unsigned magic;
#define CHECKPOINT_MAGIC 0xc4ec9017u
    int dir_fd, fd;
    uint64_t incarnation;
    uint64_t next_file, next_chunk;
    uint64_t size; /* of the journal on disk */
    bool broken;   /* (3) */
    bool unsynced; /* written and not fdatasync'd */
    VEC(struct checkpoint_file *) files;
    VEC(struct checkpoint_chunk *) chunks;
    VEC(uint8_t) waiting; /* records for the next write */
};

/* ---- bytes ---- */

static void put(uint8_t *p, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void seal(uint8_t *rec)
{
    put(rec, crc32c(0, rec + 4, RECORD_BYTES - 4), 4);
}

static bool is_whole(const uint8_t *rec)
{
    return get(rec, 4) == crc32c(0, rec + 4, RECORD_BYTES - 4);
}

/* Room for one more record, zeroed but for its type. */
static uint8_t *add_record(struct checkpoint *c, enum record_type type)
{
    uint8_t *rec;

    VEC_RESERVE(&c->waiting, c->waiting.n + RECORD_BYTES);
    rec = c->waiting.p + c->waiting.n;
    c->waiting.n += RECORD_BYTES;
    memset(rec, 0, RECORD_BYTES);
    rec[4] = (uint8_t)type;
    return rec;
}

static void add_file(struct checkpoint *c, const struct checkpoint_file *f)
{
    size_t n = strlen(f->path);
    size_t n_path = (n + PATH_BYTES - 1) / PATH_BYTES;
    uint8_t *rec = add_record(c, REC_FILE);

    put(rec + 6, n_path, 2);
    put(rec + 8, f->no, 8);
    put(rec + 16, f->dev, 8);
    put(rec + 24, f->ino, 8);
    put(rec + 32, f->head_hash, 8);
    put(rec + 40, f->head_len, 4);
    put(rec + 44, n, 4);
    seal(rec);
    for (size_t i = 0; i < n_path; i++) {
        size_t at = i * PATH_BYTES;
        size_t len = n - at < PATH_BYTES ? n - at : PATH_BYTES;
        rec = add_record(c, REC_PATH);
        rec[5] = (uint8_t)len;
        put(rec + 6, i, 2);
        memcpy(rec + 8, f->path + at, len);
        seal(rec);
    }
}

static void add_plan(struct checkpoint *c, const struct checkpoint_chunk *chunk)
{
    for (size_t i = 0; i < chunk->parts.n; i++) {
        const struct checkpoint_part *p = &chunk->parts.p[i];
        uint8_t *rec = add_record(c, REC_PLAN);
        rec[5] = p->flags;
        put(rec + 8, chunk->no, 8);
        put(rec + 16, p->file->no, 8);
        put(rec + 24, p->start, 8);
        put(rec + 32, p->end, 8);
        put(rec + 40, p->count, 4);
        put(rec + 44, i, 4);
        put(rec + 48, chunk->parts.n, 4);
        put(rec + 52, (uint64_t)p->ts, 8);
        seal(rec);
    }
}

static void add_range(struct checkpoint *c, const struct checkpoint_file *f,
                      struct checkpoint_range range)
{
    uint8_t *rec = add_record(c, REC_RANGE);

    put(rec + 8, f->no, 8);
    put(rec + 16, range.start, 8);
    put(rec + 24, range.end, 8);
    seal(rec);
}

static void add_number(struct checkpoint *c, enum record_type type, uint64_t no)
{
    uint8_t *rec = add_record(c, type);

    put(rec + 8, no, 8);
    seal(rec);
}

/* ---- files and ranges in memory ---- */

static struct checkpoint_file *file_add(struct checkpoint *c, uint64_t no)
{
    struct checkpoint_file *f = mem_new(sizeof(*f));

    f->no = no;
    (void)snprintf(f->id, sizeof(f->id), "%016" PRIx64 "-%" PRIx64, c->incarnation, no);
    f->path = mem_dup("", 0);
    VEC_PUSH(&c->files, f);
    if (no >= c->next_file)
        c->next_file = no + 1; /* keeps (4) */
    return f;
}

static void file_free(struct checkpoint_file *f)
{
    VEC_FINI(&f->planned);
    free(f->path);
    free(f);
}

static void file_remove(struct checkpoint *c, struct checkpoint_file *f)
{
    for (size_t i = 0; i < c->files.n; i++)
        if (c->files.p[i] == f) {
            VEC_REMOVE(&c->files, i);
            break;
        }
    file_free(f);
}

/* Put [start, end) into the sorted set. */
static void range_add(struct checkpoint_file *f, uint64_t start, uint64_t end)
{
    size_t i = 0, last;

    if (start >= end)
        return;
    while (i < f->planned.n && f->planned.p[i].end < start)
        i++;
    last = i;
    while (last < f->planned.n && f->planned.p[last].start <= end) {
        if (f->planned.p[last].start < start)
            start = f->planned.p[last].start;
        if (f->planned.p[last].end > end)
            end = f->planned.p[last].end;
        last++;
    }
    if (last == i) {
        VEC_RESERVE(&f->planned, f->planned.n + 1);
        memmove(&f->planned.p[i + 1], &f->planned.p[i],
                (f->planned.n - i) * sizeof(f->planned.p[0]));
        f->planned.n++;
    } else {
        memmove(&f->planned.p[i + 1], &f->planned.p[last],
                (f->planned.n - last) * sizeof(f->planned.p[0]));
        f->planned.n -= last - i - 1;
    }
    f->planned.p[i] = (struct checkpoint_range){start, end};
}

uint64_t checkpoint_file_end(const struct checkpoint_file *f)
{
    return f->planned.n == 0 ? 0 : f->planned.p[f->planned.n - 1].end;
}

void checkpoint_file_hole(const struct checkpoint_file *f, uint64_t from, uint64_t *start,
                          uint64_t *end)
{
    *start = *end = from;
    for (size_t i = 0; i < f->planned.n; i++) {
        if (f->planned.p[i].start > *start) {
            *end = f->planned.p[i].start;
            return;
        }
        if (f->planned.p[i].end > *start)
            *start = f->planned.p[i].end;
    }
    *end = *start;
}

struct checkpoint_file *checkpoint_file_at(const struct checkpoint *c, size_t i)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    return i < c->files.n ? c->files.p[i] : NULL;
}

struct checkpoint_file *checkpoint_file_find(const struct checkpoint *c, uint64_t no)
{
    for (size_t i = c->files.n; i > 0; i--) /* the one that is asked for is mostly young */
        if (c->files.p[i - 1]->no == no)
            return c->files.p[i - 1];
    return NULL;
}

/* ---- chunks in memory ---- */

static void chunk_free(struct checkpoint_chunk *chunk)
{
    VEC_FINI(&chunk->parts);
    free(chunk);
}

static struct checkpoint_chunk *chunk_add(struct checkpoint *c, uint64_t no)
{
    struct checkpoint_chunk *chunk = mem_new(sizeof(*chunk));

    chunk->no = no;
    VEC_PUSH(&c->chunks, chunk);
    if (no >= c->next_chunk)
        c->next_chunk = no + 1; /* keeps (4) */
    return chunk;
}

static void chunk_take_part(struct checkpoint_chunk *chunk, struct checkpoint_part part)
{
    VEC_PUSH(&chunk->parts, part);
    part.file->unacked++;
    range_add(part.file, part.start, part.end);
}

/* Unknown numbers pass: an ack that came twice, or one of a chunk that a compaction has left out.
 */
static bool chunk_remove(struct checkpoint *c, uint64_t no)
{
    for (size_t i = 0; i < c->chunks.n; i++) {
        struct checkpoint_chunk *chunk = c->chunks.p[i];
        if (chunk->no != no)
            continue;
        for (size_t p = 0; p < chunk->parts.n; p++)
            chunk->parts.p[p].file->unacked--;
        VEC_REMOVE(&c->chunks, i);
        chunk_free(chunk);
        return true;
    }
    return false;
}

struct checkpoint_chunk *checkpoint_chunk_at(const struct checkpoint *c, size_t i)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    return i < c->chunks.n ? c->chunks.p[i] : NULL;
}

struct checkpoint_chunk *checkpoint_chunk_find(const struct checkpoint *c, uint64_t no)
{
    for (size_t i = 0; i < c->chunks.n; i++)
        if (c->chunks.p[i]->no == no)
            return c->chunks.p[i];
    return NULL;
}

/* ---- writing ---- */

static void make_header(const struct checkpoint *c, uint8_t *rec)
{
    memset(rec, 0, RECORD_BYTES);
    memcpy(rec + 4, MAGIC, sizeof(MAGIC));
    put(rec + 12, VERSION, 4);
    put(rec + 16, c->incarnation, 8);
    put(rec + 24, c->next_file, 8);
    put(rec + 32, c->next_chunk, 8);
    seal(rec);
}

/* All that is known, as records behind what waits. */
static void add_everything(struct checkpoint *c)
{
    for (size_t i = 0; i < c->files.n; i++) {
        const struct checkpoint_file *f = c->files.p[i];
        add_file(c, f);
        for (size_t k = 0; k < f->planned.n; k++)
            add_range(c, f, f->planned.p[k]);
    }
    for (size_t i = 0; i < c->chunks.n; i++)
        add_plan(c, c->chunks.p[i]);
}

/* Write everything to a new file in place of the old one. */
static int rewrite(struct checkpoint *c, struct err *err)
{
    uint8_t header[RECORD_BYTES];
    struct file *file = NULL;
    int fd = -1, r;

    c->broken = true; /* until it is done; what waits is in memory too (1) */
    c->waiting.n = 0;
    add_everything(c);
    make_header(c, header);
    r = file_create_tmp(c->dir_fd, NAME, 0600, &file, err);
    if (r == 0)
        r = file_append(file, header, sizeof(header), err);
    if (r == 0)
        r = file_append(file, c->waiting.p, c->waiting.n, err);
    if (r == 0)
        r = file_publish(file, err);
    file_discard(&file);
    if (r == 0 && (fd = openat(c->dir_fd, NAME, O_RDWR | O_CLOEXEC)) < 0)
        r = err_sys(err, "open %s", NAME);
    if (r < 0)
        return r;
    if (c->fd >= 0)
        (void)close(c->fd); /* the old file: all of it is in the new one */
    c->fd = fd;
    c->size = RECORD_BYTES + c->waiting.n;
    c->waiting.n = 0;
    c->broken = c->unsynced = false;
    metric_add(METRIC_CHECKPOINT_COMPACTIONS, 1);
    return 0;
}

static int write_waiting(struct checkpoint *c, struct err *err)
{
    int r;

    if (c->waiting.n == 0)
        return 0;
    r = file_pwrite_all(c->fd, c->waiting.p, c->waiting.n, c->size, err);
    if (r < 0) {
        c->broken = true;
        return r;
    }
    c->size += c->waiting.n;
    c->waiting.n = 0;
    c->unsynced = true;
    return 0;
}

static int data_sync(struct checkpoint *c, struct err *err)
{
    if (fault_hit("file.fdatasync")) {
        errno = EIO;
        return err_sys(err, "fdatasync %s", NAME);
    }
    return fdatasync(c->fd) < 0 ? err_sys(err, "fdatasync %s", NAME) : 0;
}

/* Bytes a rewritten journal would have, about. */
static uint64_t live_bytes(const struct checkpoint *c)
{
    uint64_t n = 1;

    for (size_t i = 0; i < c->files.n; i++)
        n += 2 + strlen(c->files.p[i]->path) / PATH_BYTES + c->files.p[i]->planned.n;
    for (size_t i = 0; i < c->chunks.n; i++)
        n += c->chunks.p[i]->parts.n;
    return n * RECORD_BYTES;
}

int checkpoint_sync(struct checkpoint *c, struct err *err)
{
    int r;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (!c->broken && c->waiting.n == 0 && !c->unsynced)
        return 0;
    if (c->broken || (c->size > COMPACT_MIN && c->size > 4 * live_bytes(c))) {
        r = rewrite(c, err);
    } else {
        r = write_waiting(c, err);
        if (r == 0 && (r = data_sync(c, err)) < 0)
            c->broken = true;
        if (r == 0)
            c->unsynced = false;
    }
    metric_add(r == 0 ? METRIC_CHECKPOINT_SYNCS : METRIC_CHECKPOINT_FAILED, 1);
    (void)fault_hit("checkpoint.planned"); /* a place to be killed at */
    return r;
}

/* ---- changes ---- */

struct checkpoint_file *checkpoint_file_new(struct checkpoint *c, uint64_t dev, uint64_t ino,
                                            const char *path)
{
    struct checkpoint_file *f;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    f = file_add(c, c->next_file);
    f->dev = dev;
    f->ino = ino;
    free(f->path);
    f->path = mem_dup(path, strlen(path));
    add_file(c, f);
    return f;
}

void checkpoint_file_changed(struct checkpoint *c, struct checkpoint_file *f)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    add_file(c, f);
}

void checkpoint_file_set_path(struct checkpoint *c, struct checkpoint_file *f, const char *path)
{
    if (strcmp(f->path, path) == 0)
        return;
    free(f->path);
    f->path = mem_dup(path, strlen(path));
    checkpoint_file_changed(c, f);
}

void checkpoint_file_forget(struct checkpoint *c, struct checkpoint_file *f)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    INVARIANT(f->unacked == 0);
    add_number(c, REC_FORGET, f->no);
    file_remove(c, f);
}

uint64_t checkpoint_plan(struct checkpoint *c, const struct checkpoint_part *parts, size_t n)
{
    struct checkpoint_chunk *chunk;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    INVARIANT(n > 0 && n < PARTS_MAX);
    chunk = chunk_add(c, c->next_chunk);
    for (size_t i = 0; i < n; i++)
        chunk_take_part(chunk, parts[i]);
    add_plan(c, chunk);
    return chunk->no;
}

void checkpoint_skip(struct checkpoint *c, struct checkpoint_file *f, uint64_t start, uint64_t end)
{
    struct checkpoint_range range = {start, end};

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (start >= end)
        return;
    range_add(f, start, end);
    add_range(c, f, range);
}

void checkpoint_ack(struct checkpoint *c, uint64_t no)
{
    struct err err;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (!chunk_remove(c, no))
        return;
    add_number(c, REC_ACK, no);
    if (!c->broken)
        (void)write_waiting(c,
                            &err); /* a failure marks the journal broken: the next sync mends it */
    (void)fault_hit("checkpoint.acked");
}

/* ---- loading ---- */

/* The file record at `rec` with the path records behind it; returns how many records, 0: not whole.
 */
static size_t load_file(struct checkpoint *c, const uint8_t *rec, size_t left)
{
    size_t n_path = (size_t)get(rec + 6, 2), n = (size_t)get(rec + 44, 4);
    uint64_t no = get(rec + 8, 8);
    struct checkpoint_file *f;

    if (n_path >= left || n > CHECKPOINT_PATH_MAX || n_path != (n + PATH_BYTES - 1) / PATH_BYTES)
        return 0;
    for (size_t i = 1; i <= n_path; i++) {
        const uint8_t *p = rec + i * RECORD_BYTES;
        if (!is_whole(p) || p[4] != REC_PATH || get(p + 6, 2) != i - 1)
            return 0;
    }
    f = checkpoint_file_find(c, no);
    if (f == NULL)
        f = file_add(c, no);
    f->dev = get(rec + 16, 8);
    f->ino = get(rec + 24, 8);
    f->head_hash = get(rec + 32, 8);
    f->head_len = (uint32_t)get(rec + 40, 4);
    f->path = mem_grow(f->path, n + 1);
    for (size_t i = 0; i < n_path; i++) {
        size_t at = i * PATH_BYTES;
        memcpy(f->path + at, rec + (i + 1) * RECORD_BYTES + 8,
               n - at < PATH_BYTES ? n - at : PATH_BYTES);
    }
    f->path[n] = '\0';
    return f->head_len > CHECKPOINT_HEAD_MAX ? 0 : 1 + n_path;
}

/* A chunk: all of its parts, or nothing. */
static size_t load_plan(struct checkpoint *c, const uint8_t *rec, size_t left)
{
    size_t n = (size_t)get(rec + 48, 4);
    uint64_t no = get(rec + 8, 8);
    struct checkpoint_chunk *chunk;

    if (n == 0 || n > left || n >= PARTS_MAX || checkpoint_chunk_find(c, no) != NULL)
        return 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = rec + i * RECORD_BYTES;
        if (!is_whole(p) || p[4] != REC_PLAN || get(p + 8, 8) != no || get(p + 44, 4) != i ||
            get(p + 48, 4) != n || get(p + 24, 8) > get(p + 32, 8) ||
            checkpoint_file_find(c, get(p + 16, 8)) == NULL)
            return 0;
    }
    chunk = chunk_add(c, no);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = rec + i * RECORD_BYTES;
        chunk_take_part(chunk, (struct checkpoint_part){
                                   .file = checkpoint_file_find(c, get(p + 16, 8)),
                                   .start = get(p + 24, 8),
                                   .end = get(p + 32, 8),
                                   .ts = (int64_t)get(p + 52, 8),
                                   .count = (uint32_t)get(p + 40, 4),
                                   .flags = p[5],
                               });
    }
    return n;
}

/* One record, or one group of them; 0: it is no valid one. */
static size_t load_record(struct checkpoint *c, const uint8_t *rec, size_t left)
{
    struct checkpoint_file *f;

    switch (rec[4]) {
    case REC_FILE:
        return load_file(c, rec, left);
    case REC_PLAN:
        return load_plan(c, rec, left);
    case REC_ACK:
        (void)chunk_remove(c, get(rec + 8, 8)); /* one written twice changes nothing */
        return 1;
    case REC_RANGE:
        f = checkpoint_file_find(c, get(rec + 8, 8));
        if (f == NULL || get(rec + 16, 8) > get(rec + 24, 8))
            return 0;
        range_add(f, get(rec + 16, 8), get(rec + 24, 8));
        return 1;
    case REC_FORGET:
        f = checkpoint_file_find(c, get(rec + 8, 8));
        if (f == NULL || f->unacked > 0)
            return 0;
        file_remove(c, f);
        return 1;
    default:
        return 0;
    }
}

static int load(struct checkpoint *c, struct str bytes, struct err *err)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    size_t n = bytes.n / RECORD_BYTES, at = 1;

    if (n == 0 || !is_whole(p) || memcmp(p + 4, MAGIC, sizeof(MAGIC)) != 0)
        return err_set(err, ERR_CORRUPT, "%s does not begin as a journal of positions", NAME);
    if (get(p + 12, 4) != VERSION)
        return err_set(err, ERR_UNSUPPORTED, "%s has version %u, this program knows %d", NAME,
                       (unsigned)get(p + 12, 4), VERSION);
    c->incarnation = get(p + 16, 8);
    c->next_file = get(p + 24, 8);
    c->next_chunk = get(p + 32, 8);
    while (at < n) {
        const uint8_t *rec = p + at * RECORD_BYTES;
        size_t used = is_whole(rec) ? load_record(c, rec, n - at) : 0;
        if (used == 0)
            break;
        at += used;
    }
    c->size = at * RECORD_BYTES;
    metric_add(METRIC_CHECKPOINT_CUT, bytes.n - c->size);
    return 0;
}

static int open_existing(struct checkpoint *c, struct err *err)
{
    struct buf bytes;
    int r;

    buf_init(&bytes, JOURNAL_MAX);
    r = file_read(c->dir_fd, NAME, &bytes, err);
    if (r == 0)
        r = load(c, buf_str(&bytes), err);
    buf_fini(&bytes);
    /* Rewriting cuts the torn tail, and shows now and not later whether the directory can be
     * written. */
    return r < 0 ? r : rewrite(c, err);
}

static int begin(struct checkpoint *c, struct err *err)
{
    if (getrandom(&c->incarnation, sizeof(c->incarnation), 0) != sizeof(c->incarnation))
        return err_sys(err, "random number");
    c->next_file = c->next_chunk = 1;
    return rewrite(c, err);
}

int checkpoint_open(int dir_fd, struct checkpoint **ret, struct err *err)
{
    struct checkpoint *c = mem_new(sizeof(*c));
    int r;

    c->magic = CHECKPOINT_MAGIC;
    c->dir_fd = dir_fd;
    c->fd = -1;
    r = open_existing(c, err);
    if (r == ERR_GONE)
        r = begin(c, err);
    if (r < 0) {
        checkpoint_close(&c);
        return err_wrap(err, "journal of positions");
    }
    *ret = c;
    return 0;
}

void checkpoint_close(struct checkpoint **pc)
{
    struct checkpoint *c = *pc;
    struct checkpoint_file **f;
    struct checkpoint_chunk **chunk;

    if (c == NULL)
        return;
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    VEC_EACH(&c->chunks, chunk)
        chunk_free(*chunk);
    VEC_EACH(&c->files, f)
        file_free(*f);
    VEC_FINI(&c->chunks);
    VEC_FINI(&c->files);
    VEC_FINI(&c->waiting);
    if (c->fd >= 0)
        (void)close(c->fd);
    c->magic = 0;
    free(c);
    *pc = NULL;
}
