/*
 * collector/checkpoint_records.c - the bytes of the journal: docs/formats/checkpoint.md.
 *
 * A group of records (a file with its path, a chunk with its parts) is put by one call and counts
 * only when it is there whole.
 */
#include "collector/checkpoint_internal.h"

#include "base/crc.h"
#include "base/obj.h"
#include "collector/le.h"
#include "collector/metrics.h"

#include <string.h>

enum {
    RECORD_BYTES = CHECKPOINT_RECORD_BYTES,
    VERSION = 3,
    PATH_BYTES = 56, /* of a path per record */
};
static const char FILE_MAGIC[8] = {'L', 'Q', 'C', 'K', 'P', 'T', '\r', '\n'};

enum record_type {
    REC_FILE = 1,
    REC_PATH,
    REC_PLAN,
    REC_ACK,
    REC_RANGE,
    REC_FORGET,
    REC_SEEN,
    REC_SYNCED,
    REC_TOLD,
    REC_KEPT,
    REC_DROP,
    REC_SERVER,
    REC_MOVE,
    REC_LEAVE,
    REC_OLD
};
/* With the number of a server in a plan and a move. */
#define SERVER_MAYBE_TWICE 0x80000000u

static void seal(uint8_t *rec)
{
    le_put(rec, crc32c(0, rec + 4, RECORD_BYTES - 4), 4);
}

static bool is_whole(const uint8_t *rec)
{
    return le_get(rec, 4) == crc32c(0, rec + 4, RECORD_BYTES - 4);
}

/* ---- writing ---- */

/* Room for one more record, zeroed but for its type. */
static uint8_t *add_record(struct checkpoint *c, enum record_type type)
{
    uint8_t *rec;

    VEC_RESERVE(&c->waiting, c->waiting.n + RECORD_BYTES);
    rec = c->waiting.p + c->waiting.n;
    c->waiting.n += RECORD_BYTES;
    c->added++;
    memset(rec, 0, RECORD_BYTES);
    rec[4] = (uint8_t)type;
    return rec;
}

static size_t path_records(size_t bytes)
{
    return (bytes + PATH_BYTES - 1) / PATH_BYTES;
}

/* A path or an address, behind the record that it belongs to. */
static void put_path(struct checkpoint *c, const char *path)
{
    size_t n = strlen(path), n_path = path_records(n);

    for (size_t i = 0; i < n_path; i++) {
        size_t at = i * PATH_BYTES;
        size_t len = n - at < PATH_BYTES ? n - at : PATH_BYTES;
        uint8_t *rec = add_record(c, REC_PATH);
        rec[5] = (uint8_t)len;
        le_put(rec + 6, i, 2);
        memcpy(rec + 8, path + at, len);
        seal(rec);
    }
}

void checkpoint_put_file(struct checkpoint *c, const struct checkpoint_file *f)
{
    size_t n = strlen(f->path);
    uint8_t *rec = add_record(c, REC_FILE);

    le_put(rec + 6, path_records(n), 2);
    le_put(rec + 8, f->no, 8);
    le_put(rec + 16, f->dev, 8);
    le_put(rec + 24, f->ino, 8);
    le_put(rec + 32, f->head_hash, 8);
    le_put(rec + 40, f->head_len, 4);
    le_put(rec + 44, n, 4);
    le_put(rec + 48, f->salt, 4);
    le_put(rec + 52, f->server, 4);
    seal(rec);
    put_path(c, f->path);
}

void checkpoint_put_server(struct checkpoint *c, const struct checkpoint_server *s)
{
    size_t n = strlen(s->address);
    uint8_t *rec = add_record(c, REC_SERVER);

    le_put(rec + 6, path_records(n), 2);
    le_put(rec + 8, s->id, 4);
    le_put(rec + 44, n, 4);
    seal(rec);
    put_path(c, s->address);
}

static uint32_t server_of(const struct checkpoint_chunk *chunk)
{
    return chunk->server | (chunk->maybe_twice ? SERVER_MAYBE_TWICE : 0);
}

static void take_server(struct checkpoint_chunk *chunk, uint64_t v)
{
    chunk->server = (uint32_t)v & ~SERVER_MAYBE_TWICE;
    chunk->maybe_twice = (v & SERVER_MAYBE_TWICE) != 0;
}

void checkpoint_put_plan(struct checkpoint *c, const struct checkpoint_chunk *chunk)
{
    for (size_t i = 0; i < chunk->parts.n; i++) {
        const struct checkpoint_part *p = &chunk->parts.p[i];
        uint8_t *rec = add_record(c, REC_PLAN);
        rec[5] = (uint8_t)p->flags;
        le_put(rec + 6, p->closed, 2);
        le_put(rec + 8, chunk->no, 8);
        le_put(rec + 16, p->file->no, 8);
        le_put(rec + 24, p->start, 8);
        le_put(rec + 32, p->end, 8);
        le_put(rec + 40, p->count, 4);
        le_put(rec + 44, i, 2);
        le_put(rec + 46, chunk->parts.n, 2);
        le_put(rec + 48, p->rules, 3);
        le_put(rec + 51, p->flags >> 8, 1);
        le_put(rec + 52, (uint64_t)p->ts, 8);
        le_put(rec + 60, server_of(chunk), 4);
        seal(rec);
    }
}

void checkpoint_put_move(struct checkpoint *c, const struct checkpoint_chunk *chunk)
{
    uint8_t *rec = add_record(c, REC_MOVE);

    le_put(rec + 8, chunk->no, 8);
    le_put(rec + 16, server_of(chunk), 4);
    seal(rec);
}

void checkpoint_put_leave(struct checkpoint *c, uint32_t from, uint32_t to)
{
    uint8_t *rec = add_record(c, REC_LEAVE);

    le_put(rec + 8, from, 4);
    le_put(rec + 16, to, 4);
    seal(rec);
}

void checkpoint_put_range(struct checkpoint *c, const struct checkpoint_file *f,
                          struct checkpoint_range range)
{
    uint8_t *rec = add_record(c, REC_RANGE);

    le_put(rec + 8, f->no, 8);
    le_put(rec + 16, range.start, 8);
    le_put(rec + 24, range.end, 8);
    seal(rec);
}

void checkpoint_put_seen(struct checkpoint *c, const struct checkpoint_file *f)
{
    uint8_t *rec = add_record(c, REC_SEEN);

    le_put(rec + 8, f->no, 8);
    le_put(rec + 16, f->seen, 8);
    seal(rec);
}

void checkpoint_put_kept(struct checkpoint *c, const struct checkpoint_file *f)
{
    uint8_t *rec = add_record(c, REC_KEPT);

    le_put(rec + 8, f->no, 8);
    le_put(rec + 16, f->kept.start, 8);
    le_put(rec + 24, f->kept.end, 8);
    seal(rec);
}

void checkpoint_put_drop(struct checkpoint *c, const struct checkpoint_file *f,
                         const struct checkpoint_drop *d)
{
    uint8_t *rec = add_record(c, REC_DROP);

    le_put(rec + 8, f->no, 8);
    le_put(rec + 16, d->count, 8);
    le_put(rec + 24, d->bytes, 8);
    le_put(rec + 32, d->told_count, 8);
    le_put(rec + 40, d->told_bytes, 8);
    memcpy(rec + 48, d->name, CHECKPOINT_NAME_MAX);
    seal(rec);
}

static void put_number(struct checkpoint *c, enum record_type type, uint64_t no)
{
    uint8_t *rec = add_record(c, type);

    le_put(rec + 8, no, 8);
    seal(rec);
}

void checkpoint_put_ack(struct checkpoint *c, uint64_t chunk)
{
    put_number(c, REC_ACK, chunk);
}

void checkpoint_put_forget(struct checkpoint *c, uint64_t file)
{
    put_number(c, REC_FORGET, file);
}

void checkpoint_put_old(struct checkpoint *c)
{
    put_number(c, REC_OLD, c->next_file);
}

void checkpoint_put_told(struct checkpoint *c)
{
    put_number(c, REC_TOLD, c->incarnation);
}

void checkpoint_make_synced(uint8_t rec[CHECKPOINT_RECORD_BYTES], uint64_t offset)
{
    memset(rec, 0, RECORD_BYTES);
    rec[4] = REC_SYNCED;
    le_put(rec + 8, offset, 8);
    seal(rec);
}

void checkpoint_make_header(const struct checkpoint *c, uint64_t bytes,
                            uint8_t rec[CHECKPOINT_RECORD_BYTES])
{
    memset(rec, 0, RECORD_BYTES);
    memcpy(rec + 4, FILE_MAGIC, sizeof(FILE_MAGIC));
    le_put(rec + 12, VERSION, 2);
    le_put(rec + 14, (uint64_t)c->renewal, 1);
    le_put(rec + 16, c->incarnation, 8);
    le_put(rec + 24, c->next_file, 8);
    le_put(rec + 32, c->next_chunk, 8);
    le_put(rec + 40, bytes, 8);
    le_put(rec + 48, c->previous, 8);
    seal(rec);
}

void checkpoint_put_everything(struct checkpoint *c)
{
    c->waiting.n = 0;
    for (size_t i = 0; i < c->servers.n; i++)
        if (checkpoint_has_use(c, &c->servers.p[i]))
            checkpoint_put_server(c, &c->servers.p[i]);
    for (size_t i = 0; i < c->files.n; i++) {
        const struct checkpoint_file *f = c->files.p[i];
        checkpoint_put_file(c, f);
        if (f->seen > 0)
            checkpoint_put_seen(c, f);
        if (f->kept.end > 0)
            checkpoint_put_kept(c, f);
        for (size_t k = 0; k < f->planned.n; k++)
            checkpoint_put_range(c, f, f->planned.p[k]);
        for (size_t k = 0; k < f->drops.n; k++)
            checkpoint_put_drop(c, f, &f->drops.p[k]);
    }
    for (size_t i = 0; i < c->chunks.n; i++)
        checkpoint_put_plan(c, c->chunks.p[i]);
}

uint64_t checkpoint_live_bytes(const struct checkpoint *c)
{
    uint64_t n = 1;

    for (size_t i = 0; i < c->servers.n; i++)
        n += 2 + strlen(c->servers.p[i].address) / PATH_BYTES;
    for (size_t i = 0; i < c->files.n; i++)
        n += 4 + strlen(c->files.p[i]->path) / PATH_BYTES + c->files.p[i]->planned.n +
             c->files.p[i]->drops.n;
    for (size_t i = 0; i < c->chunks.n; i++)
        n += c->chunks.p[i]->parts.n;
    return n * RECORD_BYTES;
}

/* ---- reading ---- */

/* Are the path records of the record at `rec` there, whole? */
static bool has_path(const uint8_t *rec, size_t left)
{
    size_t n_path = (size_t)le_get(rec + 6, 2), n = (size_t)le_get(rec + 44, 4);

    if (n_path >= left || n > CHECKPOINT_PATH_MAX || n_path != path_records(n))
        return false;
    for (size_t i = 1; i <= n_path; i++) {
        const uint8_t *p = rec + i * RECORD_BYTES;
        if (!is_whole(p) || p[4] != REC_PATH || le_get(p + 6, 2) != i - 1)
            return false;
    }
    return true;
}

/* Their text in the place of `old`. */
static char *take_path(char *old, const uint8_t *rec)
{
    size_t n = (size_t)le_get(rec + 44, 4);
    char *path = mem_grow(old, n + 1);

    for (size_t i = 0; i < path_records(n); i++) {
        size_t at = i * PATH_BYTES;
        memcpy(path + at, rec + (i + 1) * RECORD_BYTES + 8,
               n - at < PATH_BYTES ? n - at : PATH_BYTES);
    }
    path[n] = '\0';
    return path;
}

/* The file record at `rec` with the path records behind it; returns how many records, 0: not whole.
 */
static size_t load_file(struct checkpoint *c, const uint8_t *rec, size_t left)
{
    uint64_t no = le_get(rec + 8, 8);
    struct checkpoint_file *f;

    if (!has_path(rec, left) || le_get(rec + 40, 4) > CHECKPOINT_HEAD_MAX)
        return 0;
    f = checkpoint_file_find(c, no);
    if (f == NULL)
        f = checkpoint_add_file(c, no, (uint32_t)le_get(rec + 48, 4));
    f->dev = le_get(rec + 16, 8);
    f->ino = le_get(rec + 24, 8);
    f->head_hash = le_get(rec + 32, 8);
    f->head_len = (uint32_t)le_get(rec + 40, 4);
    f->server = (uint32_t)le_get(rec + 52, 4);
    f->path = take_path(f->path, rec);
    return 1 + (size_t)le_get(rec + 6, 2);
}

static size_t load_server(struct checkpoint *c, const uint8_t *rec, size_t left)
{
    uint32_t id = (uint32_t)le_get(rec + 8, 4);

    if (id == 0 || id >= SERVER_MAYBE_TWICE - 1 || !has_path(rec, left))
        return 0;
    checkpoint_add_server(c, id, take_path(NULL, rec));
    return 1 + (size_t)le_get(rec + 6, 2);
}

static size_t load_move(struct checkpoint *c, const uint8_t *rec)
{
    struct checkpoint_chunk *chunk = checkpoint_chunk_find(c, le_get(rec + 8, 8));

    if (chunk == NULL)
        return 0;
    take_server(chunk, le_get(rec + 16, 4));
    return 1;
}

static size_t load_leave(struct checkpoint *c, const uint8_t *rec)
{
    for (size_t i = 0; i < c->files.n; i++)
        if (c->files.p[i]->server == le_get(rec + 8, 4))
            c->files.p[i]->server = (uint32_t)le_get(rec + 16, 4);
    return 1;
}

static struct checkpoint_part read_part(struct checkpoint *c, const uint8_t *p)
{
    return (struct checkpoint_part){
        .file = checkpoint_file_find(c, le_get(p + 16, 8)),
        .start = le_get(p + 24, 8),
        .end = le_get(p + 32, 8),
        .ts = (int64_t)le_get(p + 52, 8),
        .count = (uint32_t)le_get(p + 40, 4),
        .flags = (uint16_t)(p[5] | p[51] << 8),
        .closed = (uint16_t)le_get(p + 6, 2),
        .rules = (uint32_t)le_get(p + 48, 3),
    };
}

/* A chunk: all of its parts, or nothing.  One that is there has these records from now on. */
static size_t load_plan(struct checkpoint *c, const uint8_t *rec, size_t left)
{
    size_t n = (size_t)le_get(rec + 46, 2);
    uint64_t no = le_get(rec + 8, 8);
    struct checkpoint_chunk *chunk = checkpoint_chunk_find(c, no);
    bool again = chunk != NULL;

    if (n == 0 || n > left || n >= CHECKPOINT_PARTS_MAX || (again && chunk->parts.n != n))
        return 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = rec + i * RECORD_BYTES;
        struct checkpoint_part part = read_part(c, p);
        if (!is_whole(p) || p[4] != REC_PLAN || le_get(p + 8, 8) != no || le_get(p + 44, 2) != i ||
            le_get(p + 46, 2) != n || part.start > part.end || part.file == NULL ||
            (again && !checkpoint_is_part(&chunk->parts.p[i], &part)))
            return 0;
    }
    if (!again)
        chunk = checkpoint_add_chunk(c, no);
    take_server(chunk, le_get(rec + 60, 4));
    for (size_t i = 0; i < n; i++) {
        struct checkpoint_part part = read_part(c, rec + i * RECORD_BYTES);
        if (again)
            chunk->parts.p[i] = part;
        else
            checkpoint_take_part(chunk, part);
    }
    return n;
}

/* What a rule dropped in all; a later record replaces one before. */
static size_t load_drop(struct checkpoint_file *f, const uint8_t *rec)
{
    char name[CHECKPOINT_NAME_MAX];
    struct checkpoint_drop *d;

    memcpy(name, rec + 48, sizeof(name));
    if (name[sizeof(name) - 1] != '\0')
        return 0;
    d = checkpoint_add_drop(f, name);
    d->count = le_get(rec + 16, 8);
    d->bytes = le_get(rec + 24, 8);
    d->told_count = le_get(rec + 32, 8);
    d->told_bytes = le_get(rec + 40, 8);
    return 1;
}

/* A record of file `f`; 0: it is no valid one. */
static size_t load_of_file(struct checkpoint *c, struct checkpoint_file *f, const uint8_t *rec)
{
    if (f == NULL)
        return 0;
    switch (rec[4]) {
    case REC_RANGE:
        if (le_get(rec + 16, 8) > le_get(rec + 24, 8))
            return 0;
        checkpoint_add_range(f, le_get(rec + 16, 8), le_get(rec + 24, 8));
        return 1;
    case REC_SEEN:
        if (le_get(rec + 16, 8) > f->seen)
            f->seen = le_get(rec + 16, 8);
        return 1;
    case REC_KEPT:
        if (le_get(rec + 16, 8) > le_get(rec + 24, 8))
            return 0;
        f->kept = (struct checkpoint_range){le_get(rec + 16, 8), le_get(rec + 24, 8)};
        return 1;
    case REC_DROP:
        return load_drop(f, rec);
    case REC_FORGET:
        if (f->unacked > 0)
            return 0;
        checkpoint_remove_file(c, f);
        return 1;
    default:
        return 0;
    }
}

/* One record, or one group of them; 0: it is no valid one. */
static size_t load_record(struct checkpoint *c, const uint8_t *rec, size_t left)
{
    switch (rec[4]) {
    case REC_FILE:
        return load_file(c, rec, left);
    case REC_PLAN:
        return load_plan(c, rec, left);
    case REC_ACK:
        (void)checkpoint_remove_chunk(c,
                                      le_get(rec + 8, 8)); /* one written twice changes nothing */
        return 1;
    case REC_SYNCED:
        return 1;
    case REC_SERVER:
        return load_server(c, rec, left);
    case REC_MOVE:
        return load_move(c, rec);
    case REC_LEAVE:
        return load_leave(c, rec);
    case REC_OLD:
        if (le_get(rec + 8, 8) > c->next_file)
            c->next_file = le_get(rec + 8, 8);
        c->renewal = CHECKPOINT_OLD;
        return 1;
    case REC_TOLD:
        c->renewal = CHECKPOINT_SAME;
        return 1;
    default:
        return load_of_file(c, checkpoint_file_find(c, le_get(rec + 8, 8)), rec);
    }
}

static int load_header(struct checkpoint *c, const uint8_t *p, struct err *err)
{
    if (le_get(p + 12, 2) != VERSION)
        return err_set(err, ERR_UNSUPPORTED, "the journal has version %u, this program knows %d",
                       (unsigned)le_get(p + 12, 2), VERSION);
    c->renewal = p[14] <= CHECKPOINT_OLD ? (enum checkpoint_renewal)p[14] : CHECKPOINT_SAME;
    c->incarnation = le_get(p + 16, 8);
    c->next_file = le_get(p + 24, 8);
    c->next_chunk = le_get(p + 32, 8);
    c->previous = le_get(p + 48, 8);
    return 0;
}

/* How far the journal was on the disk, by what is written behind record `at`. */
static uint64_t find_synced(const uint8_t *p, size_t at, size_t n)
{
    uint64_t synced = 0;

    for (; at < n; at++) {
        const uint8_t *rec = p + at * RECORD_BYTES;
        if (rec[4] == REC_SYNCED && is_whole(rec) && le_get(rec + 8, 8) > synced)
            synced = le_get(rec + 8, 8);
    }
    return synced;
}

/* Behind the last record a journal has zeros only; others are a torn tail, cut off and counted. */
static uint64_t torn_bytes(struct str bytes, uint64_t used)
{
    static const uint8_t ZEROS[RECORD_BYTES];
    size_t end = bytes.n;

    /* Room for a megabyte of records is usual. */
    while (end > used && end - used >= RECORD_BYTES &&
           memcmp(bytes.p + end - RECORD_BYTES, ZEROS, RECORD_BYTES) == 0)
        end -= RECORD_BYTES;
    while (end > used && bytes.p[end - 1] == 0)
        end--;
    return end > used ? end - used : 0;
}

int checkpoint_records_load(struct checkpoint *c, struct str bytes, struct checkpoint_loaded *ret,
                            struct err *err)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    size_t n = bytes.n / RECORD_BYTES, at = 1;
    uint64_t must = 0, torn;
    int r;

    ret->damaged = n == 0 || !is_whole(p) || memcmp(p + 4, FILE_MAGIC, sizeof(FILE_MAGIC)) != 0;
    if (!ret->damaged) {
        r = load_header(c, p, err);
        if (r < 0)
            return r;
        must = le_get(p + 40, 8);
    }
    while (at < n) {
        const uint8_t *rec = p + at * RECORD_BYTES;
        size_t whole = is_whole(rec) ? load_record(c, rec, n - at) : 0;
        if (whole == 0)
            break;
        at += whole;
    }
    ret->used = at * RECORD_BYTES;
    if (ret->used < must || find_synced(p, at, n) > ret->used)
        ret->damaged = true;
    torn = torn_bytes(bytes, ret->used);
    ret->torn = torn > 0;
    metric_add(METRIC_CHECKPOINT_CUT, torn);
    return 0;
}
