/*
 * storage/verify_catalog.c - one catalog against the segments of its day.
 *
 * Each row of `segments` and `blocks` repeats what a footer says, column by column.  Spans of a
 * class are disjoint and none reaches past `applied`; a flush's segment is there with those of the
 * other classes of its span.  `replaced` leads to what took the place.  Not compared, because
 * nothing else knows it: whether compaction means to write a segment anew (todo 0 or 1), whether a
 * file that is gone was marked as leaving, and root and rows of an ordinary segment whose file is
 * gone.
 */
#include "storage/verify_internal.h"

#include "base/mem.h"
#include "base/vec.h"
#include "storage/block_header.h"
#include "storage/catalog_internal.h"
#include "storage/db.h"
#include "storage/le.h"
#include "storage/objstore.h"

#include <sqlite3.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int verify_each(struct db *db, const char *sql, verify_row_fn *fn, void *arg, struct err *err)
{
    struct sqlite3_stmt *st = NULL;
    int r = db_prepare(db, sql, &st, err);

    while (r == 0) {
        r = db_step(db, st, err);
        if (r != 0)
            return r == 1 ? 0 : r;
        r = fn(arg, st, err);
    }
    if (st != NULL)
        db_reset(st);
    return r;
}

/* ---- rows ---- */

/* Numbers of a row of `segments`, in the order of SELECT_SEGMENTS. */
enum column {
    CLASS,
    LEVEL,
    WAL_FROM,
    WAL_TO,
    ROWS,
    LINE_BYTES,
    RAW_BYTES,
    STORED_BYTES,
    MIN_TS,
    MAX_TS,
    MIN_RECEIVED,
    MAX_RECEIVED,
    MIN_SEQ,
    MAX_SEQ,
    FOOTER,
    BLOCKS,
    COLUMNS,
};

static const char SELECT_SEGMENTS[] =
    "SELECT class, level, wal_from, wal_to, rows, line_bytes, raw_bytes, stored_bytes, min_ts,"
    " max_ts, min_received, max_received, min_seq, max_seq, footer, blocks, id, todo, uuid, root,"
    " streams FROM segments ORDER BY class, wal_from, id";
static const char *const NAMES[COLUMNS] = {
    "class",     "level",        "wal_from", "wal_to", "rows",         "line_bytes",
    "raw_bytes", "stored_bytes", "min_ts",   "max_ts", "min_received", "max_received",
    "min_seq",   "max_seq",      "footer",   "blocks",
};

struct row {
    uint64_t id, todo, v[COLUMNS];
    uint8_t uuid[SEGMENT_UUID];
    struct merkle_hash root;
    uint8_t *streams; /* owned; 4 bytes each */
    size_t n_streams;
    bool bad;   /* it was told that the row makes no sense */
    bool known; /* its footer was read: */
    unsigned span_classes;
    uint8_t *replaces; /* owned */
    size_t n_replaces;
};

struct replaced {
    uint8_t uuid[SEGMENT_UUID], new_uuid[SEGMENT_UUID];
    struct merkle_hash root, new_root;
    uint64_t class, rows, new_rows, leaving;
    bool bad;
};

struct look {
    struct verify_day *d;
    VEC(struct row) rows;
    VEC(struct replaced) replaced;
    struct verify_streams streams;
    uint64_t seen_blocks; /* rows of `blocks` that belong to a segment */
    bool emptied;         /* segments went without anything in their place */
};

/* A finding about the catalog itself. */
static void tell(struct look *l, const char *fmt, const char *what, const uint8_t *uuid)
{
    struct verify_finding where = {.file = l->d->catalog_file, .block = -1, .offset = -1};
    char name[SEGMENT_NAME_MAX] = "";

    if (uuid != NULL)
        segment_name(uuid, name);
    verify_tell(l->d->v, l->d->is_begun ? VERIFY_NOTE : VERIFY_DAMAGE, &where, "%s%s%s %s", fmt,
                uuid != NULL ? " " : "", name, what);
}

static bool get_uuid(struct sqlite3_stmt *st, int i, uint8_t ret[SEGMENT_UUID])
{
    struct str s = db_column_str(st, i);

    if (s.n != SEGMENT_UUID)
        return false;
    memcpy(ret, s.p, SEGMENT_UUID);
    return true;
}

static bool get_hash(struct sqlite3_stmt *st, int i, struct merkle_hash *ret)
{
    struct str s = db_column_str(st, i);

    if (s.n != MERKLE_HASH)
        return false;
    memcpy(ret->b, s.p, MERKLE_HASH);
    return true;
}

static int take_row(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct look *l = arg;
    struct row row = {.id = db_column_u64(st, COLUMNS), .todo = db_column_u64(st, COLUMNS + 1)};
    struct str streams = db_column_str(st, COLUMNS + 4);

    (void)err;
    for (int i = 0; i < COLUMNS; i++)
        row.v[i] = db_column_u64(st, i);
    if (!get_uuid(st, COLUMNS + 2, row.uuid)) {
        tell(l, "table segments:", "a row has no uuid", NULL);
        l->d->unsure = true;
        return 0;
    }
    if (!get_hash(st, COLUMNS + 3, &row.root) || streams.n % 4 != 0 ||
        streams.n / 4 > SEGMENT_STREAMS_MAX || row.todo > CATALOG_ALONE) {
        tell(l, "table segments:", "root, streams or todo of the row make no sense", row.uuid);
        row.bad = true;
    }
    row.n_streams = streams.n / 4;
    row.streams = mem_new(streams.n + 1);
    memcpy(row.streams, streams.n == 0 ? "" : streams.p, streams.n);
    VEC_PUSH(&l->rows, row);
    return 0;
}

static int take_replaced(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    static const struct merkle_hash no_root;
    static const uint8_t no_uuid[SEGMENT_UUID];
    struct look *l = arg;
    struct replaced p = {.class = db_column_u64(st, 1),
                         .rows = db_column_u64(st, 3),
                         .new_rows = db_column_u64(st, 6),
                         .leaving = db_column_u64(st, 7)};
    bool empty;

    (void)err;
    if (!get_uuid(st, 0, p.uuid) || !get_hash(st, 2, &p.root) || !get_uuid(st, 4, p.new_uuid) ||
        !get_hash(st, 5, &p.new_root) || p.leaving > 1 || p.rows == 0 ||
        (p.class != SEGMENT_ORDINARY && p.class != SEGMENT_STRICT)) {
        tell(l, "table replaced:", "a row makes no sense", NULL);
        return 0;
    }
    empty = memcmp(p.new_uuid, no_uuid, SEGMENT_UUID) == 0;
    if (empty != (p.new_rows == 0) ||
        empty != (memcmp(&p.new_root, &no_root, sizeof(no_root)) == 0))
        tell(l, "table replaced:", "is said to have had no successor, and one", p.uuid);
    l->emptied = l->emptied || empty;
    l->d->exchanging = l->d->exchanging || p.leaving == 1;
    VEC_PUSH(&l->replaced, p);
    return 0;
}

struct partition_row {
    struct look *l;
    size_t n;
};

static int take_partition(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct partition_row *p = arg;
    struct verify_day *d = p->l->d;

    (void)err;
    p->n++;
    if (db_column_u64(st, 0) != d->tenant_id || db_column_u64(st, 1) != (uint64_t)d->day)
        tell(p->l, "table partition:", "the catalog says to be another day's", NULL);
    d->applied = db_column_u64(st, 2);
    return 0;
}

static void free_look(struct look *l)
{
    struct row *row;

    VEC_EACH(&l->rows, row) {
        free(row->streams);
        free(row->replaces);
    }
    VEC_FINI(&l->rows);
    VEC_FINI(&l->replaced);
    free(l->streams.hash);
}

/* ---- a row against its segment ---- */

static void check_numbers(struct look *l, const struct row *row, const struct segment_info *info)
{
    const uint64_t want[COLUMNS] = {
        [CLASS] = (uint64_t)info->class,
        [LEVEL] = info->level,
        [WAL_FROM] = info->wal_from,
        [WAL_TO] = info->wal_to,
        [ROWS] = info->rows,
        [LINE_BYTES] = info->line_bytes,
        [RAW_BYTES] = info->raw_bytes,
        [STORED_BYTES] = info->file_bytes,
        [MIN_TS] = (uint64_t)info->min_ts,
        [MAX_TS] = (uint64_t)info->max_ts,
        [MIN_RECEIVED] = (uint64_t)info->min_received,
        [MAX_RECEIVED] = (uint64_t)info->max_received,
        [MIN_SEQ] = info->min_seq,
        [MAX_SEQ] = info->max_seq,
        [FOOTER] = info->footer_offset,
        [BLOCKS] = info->n_blocks,
    };
    struct verify_finding where = {.file = l->d->catalog_file, .block = -1, .offset = -1};
    char name[SEGMENT_NAME_MAX];

    segment_name(row->uuid, name);
    for (size_t i = 0; i < COLUMNS; i++)
        if (row->v[i] != want[i])
            verify_tell(l->d->v, VERIFY_DAMAGE, &where,
                        "table segments: %s of %s is %" PRIu64 ", the segment says %" PRIu64,
                        NAMES[i], name, row->v[i], want[i]);
    if (memcmp(row->root.b, info->root.b, MERKLE_HASH) != 0)
        tell(l, "table segments:", "has another root than its row says", row->uuid);
}

/* Its streams by their ids, as far as labels can be read. */
static void check_ids(struct look *l, const struct row *row, const struct segment_info *info)
{
    if (info->streams != NULL && row->n_streams != info->n_streams) {
        tell(l, "table segments:", "has another count of streams than its row", row->uuid);
        return;
    }
    for (size_t i = 0; i < row->n_streams; i++) {
        uint32_t id = le_get32(row->streams + 4 * i);
        if (id == 0 || id >= l->streams.n) {
            tell(l, "table segments:", "has a stream whose id nobody was given", row->uuid);
            return;
        }
        if (l->streams.hash == NULL || info->streams == NULL)
            continue;
        if (l->streams.hash[id] != verify_labels_hash(&info->streams[i].labels)) {
            tell(l, "table segments:", "has streams with other labels than their ids", row->uuid);
            return;
        }
    }
}

struct block_walk {
    struct look *l;
    const struct row *row;
    const struct segment_info *info;
    uint32_t n;
    bool told;
};

static int check_block(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct block_walk *w = arg;
    struct verify_finding where = {
        .file = w->l->d->catalog_file, .block = (int64_t)w->n, .offset = -1};
    char name[SEGMENT_NAME_MAX];
    const struct segment_block *b;
    static const char *const NAME[] = {"idx",    "offset", "stored_bytes", "raw_bytes",
                                       "rows",   "frames", "first_stream", "last_stream",
                                       "min_ts", "max_ts"};

    (void)err;
    w->l->seen_blocks++;
    segment_name(w->row->uuid, name);
    if (w->n >= w->info->n_blocks) {
        if (!w->told)
            verify_tell(w->l->d->v, VERIFY_DAMAGE, &where, "table blocks: %s has not so many",
                        name);
        w->told = true;
        return 0;
    }
    b = &w->info->blocks[w->n];
    const uint64_t want[] = {
        w->n,      b->offset,       b->stored_bytes, b->raw_bytes,        b->rows,
        b->frames, b->first_stream, b->last_stream,  (uint64_t)b->min_ts, (uint64_t)b->max_ts};
    for (int i = 0; i < (int)(sizeof(want) / sizeof(want[0])); i++)
        if (db_column_u64(st, i) != want[i])
            verify_tell(w->l->d->v, VERIFY_DAMAGE, &where,
                        "table blocks: %s of %s is %" PRIu64 ", the segment says %" PRIu64, NAME[i],
                        name, db_column_u64(st, i), want[i]);
    w->n++;
    return 0;
}

static int check_blocks(struct look *l, const struct row *row, const struct segment_info *info,
                        struct err *err)
{
    struct block_walk w = {.l = l, .row = row, .info = info};
    struct db *db = l->d->catalog->db;
    struct sqlite3_stmt *st = NULL;
    int r = db_prepare(db,
                       "SELECT idx, offset, stored_bytes, raw_bytes, rows, frames, first_stream,"
                       " last_stream, min_ts, max_ts FROM blocks WHERE segment = ? ORDER BY idx",
                       &st, err);

    if (r < 0)
        return r;
    db_bind_u64(st, 1, row->id);
    while ((r = db_step(db, st, err)) == 0)
        (void)check_block(&w, st, err);
    if (r < 0)
        return r;
    if (w.n < info->n_blocks)
        tell(l, "table blocks:", "has more blocks than rows here", row->uuid);
    return 0;
}

static int check_row(struct look *l, struct row *row, struct err *err)
{
    struct verify_day *d = l->d;
    struct segment_info *info = NULL;
    uint64_t before = d->v->ret->damage;
    struct verify_finding where;
    char file[VERIFY_NAME];
    int r = verify_segment(d, row->uuid, &info, err);

    if (r < 0 || info == NULL)
        return r;
    if (row->todo == CATALOG_ALONE && before == d->v->ret->damage) {
        verify_segment_file(d, row->uuid, file);
        where = (struct verify_finding){.file = file, .block = -1, .offset = -1};
        verify_tell(d->v, VERIFY_DAMAGE, &where,
                    "the catalog calls it damaged (todo 2), and it is not");
    }
    if (row->todo == CATALOG_DUE && row->v[CLASS] == SEGMENT_STRICT)
        tell(l, "table segments:", "is strict and marked to be written anew", row->uuid);
    check_numbers(l, row, info);
    check_ids(l, row, info);
    r = check_blocks(l, row, info, err);
    row->known = true;
    row->span_classes = info->span_classes;
    row->n_replaces = info->n_replaces;
    row->replaces = mem_new(info->n_replaces * (size_t)SEGMENT_UUID + 1);
    memcpy(row->replaces, info->replaces, info->n_replaces * (size_t)SEGMENT_UUID);
    segment_info_free(&info);
    return r;
}

/* ---- spans ---- */

static bool has_class(const struct look *l, const struct row *of, unsigned class)
{
    const struct row *row;

    VEC_EACH(&l->rows, row) {
        if (row->v[CLASS] == class && row->v[WAL_FROM] <= of->v[WAL_FROM] &&
            row->v[WAL_TO] >= of->v[WAL_TO])
            return true;
    }
    return false;
}

/* Rows are sorted by class and wal_from. */
static void check_spans(struct look *l)
{
    struct verify_finding where = {.file = l->d->catalog_file, .block = -1, .offset = -1};
    const struct row *before = NULL;
    uint64_t end = 0;
    struct row *row;

    VEC_EACH(&l->rows, row) {
        if (row->v[WAL_FROM] >= row->v[WAL_TO])
            tell(l, "table segments:", "has a span that is none", row->uuid);
        if (before != NULL && before->v[CLASS] == row->v[CLASS] &&
            row->v[WAL_FROM] < before->v[WAL_TO])
            tell(l, "table segments:", "begins within the span of the one before", row->uuid);
        for (unsigned class = 1; class <= SEGMENT_CLASSES && row->known && !l->emptied; class <<= 1)
            if ((row->span_classes & class) != 0 && row->v[CLASS] != class &&
                !has_class(l, row, class))
                tell(l, "table segments:", "was published with one of another class, which is gone",
                     row->uuid);
        end = row->v[WAL_TO] > end ? row->v[WAL_TO] : end;
        before = row;
    }
    if (l->d->applied < end)
        verify_tell(l->d->v, VERIFY_DAMAGE, &where,
                    "table partition: applied is %" PRIu64 ", segments go up to %" PRIu64,
                    l->d->applied, end);
    else if (l->d->applied > end && l->d->applied > l->d->v->wal_end &&
             l->d->applied > l->d->v->wal_pos && l->d->v->wal_end != UINT64_MAX)
        verify_tell(l->d->v, VERIFY_DAMAGE, &where,
                    "table partition: applied is %" PRIu64 ", the WAL never came as far (%" PRIu64
                    ")",
                    l->d->applied, l->d->v->wal_end);
}

/* ---- what was replaced ---- */

static struct row *row_of(struct look *l, const uint8_t *uuid)
{
    struct row *row;

    VEC_EACH(&l->rows, row) {
        if (memcmp(row->uuid, uuid, SEGMENT_UUID) == 0)
            return row;
    }
    return NULL;
}

static const struct replaced *replaced_of(const struct look *l, const uint8_t *uuid)
{
    const struct replaced *p;

    VEC_EACH(&l->replaced, p) {
        if (memcmp(p->uuid, uuid, SEGMENT_UUID) == 0)
            return p;
    }
    return NULL;
}

static bool is_listed(const struct row *row, const uint8_t *uuid)
{
    for (size_t i = 0; i < row->n_replaces; i++)
        if (memcmp(row->replaces + i * SEGMENT_UUID, uuid, SEGMENT_UUID) == 0)
            return true;
    return false;
}

static void check_replaced(struct look *l, const struct replaced *p)
{
    const struct row *now = row_of(l, p->new_uuid);
    const struct replaced *later = now == NULL ? replaced_of(l, p->new_uuid) : NULL;
    const struct merkle_hash *root = now != NULL ? &now->root : later != NULL ? &later->root : NULL;
    uint64_t rows = now != NULL ? now->v[ROWS] : later != NULL ? later->rows : 0;
    uint64_t class = now != NULL ? now->v[CLASS] : later != NULL ? later->class : 0;

    if (row_of(l, p->uuid) != NULL)
        tell(l, "table replaced:", "is in the catalog, and said to be replaced", p->uuid);
    if (p->new_rows == 0)
        return;
    if (root == NULL) {
        tell(l, "table replaced:", "was replaced by one that is not there", p->uuid);
        return;
    }
    if (memcmp(root->b, p->new_root.b, MERKLE_HASH) != 0 || rows != p->new_rows ||
        class != p->class)
        tell(l, "table replaced:", "was replaced by one of another root, rows or class", p->uuid);
    if (now != NULL && now->known && !is_listed(now, p->uuid))
        tell(l, "table replaced:", "is not among those that its successor replaces", p->uuid);
}

/* What the footers of copies and merges list must be on record. */
static void check_listed(struct look *l, const struct row *row)
{
    for (size_t i = 0; i < row->n_replaces; i++)
        if (replaced_of(l, row->replaces + i * SEGMENT_UUID) == NULL)
            tell(l, "table replaced:", "lacks a row for one that this segment replaces", row->uuid);
}

/* ---- files that the catalog does not count ---- */

static bool is_covered(const struct look *l, const struct segment_info *info)
{
    const struct row *row;

    VEC_EACH(&l->rows, row) {
        if (row->v[CLASS] == (uint64_t)info->class && row->v[WAL_FROM] < info->wal_to &&
            row->v[WAL_TO] > info->wal_from)
            return true;
    }
    return false;
}

struct stray {
    struct look *l;
    VEC(uint8_t) uuids; /* one after the other */
};

static int see_file(void *arg, const char *name, struct err *err)
{
    struct stray *s = arg;
    uint8_t uuid[SEGMENT_UUID];
    struct verify_day *d = s->l->d;
    struct verify_finding where = {.block = -1, .offset = -1};
    char file[VERIFY_NAME];

    (void)err;
    if (segment_uuid_of(name, uuid)) {
        if (row_of(s->l, uuid) == NULL)
            for (size_t i = 0; i < SEGMENT_UUID; i++)
                VEC_PUSH(&s->uuids, uuid[i]);
        return 0;
    }
    if (str_starts(str_of(name), STR("catalog.db")))
        return 0;
    (void)snprintf(file, sizeof(file), "%s/%.60s", d->dir, name);
    where.file = file;
    verify_tell(d->v, VERIFY_NOTE, &where, "is no file of ours");
    return 0;
}

static int check_stray(struct look *l, const uint8_t *uuid, struct err *err)
{
    struct verify_day *d = l->d;
    const struct replaced *p = replaced_of(l, uuid);
    struct verify_finding where = {.block = -1, .offset = -1};
    struct segment_info *info = NULL;
    char file[VERIFY_NAME];
    int r;

    if (d->v->store != NULL && p == NULL)
        return 0; /* on its way in, or out */
    verify_segment_file(d, uuid, file);
    where.file = file;
    d->is_stray = true;
    r = verify_segment(d, uuid, &info, err);
    d->is_stray = false;
    if (r < 0 || info == NULL)
        return r;
    if (p != NULL && p->leaving == 0 && d->v->store == NULL)
        tell(l, "table replaced:", "is said to be gone, and its file is there", uuid);
    else if (p != NULL && (memcmp(p->root.b, info->root.b, MERKLE_HASH) != 0 ||
                           p->rows != info->rows || p->class != (uint64_t)info->class))
        tell(l, "table replaced:", "has another root, rows or class than its row", uuid);
    else if (p == NULL && !d->unsure && info->wal_from < d->applied && !is_covered(l, info))
        verify_tell(d->v, VERIFY_DAMAGE, &where,
                    "is not in the catalog, and no other segment has its span");
    else
        verify_tell(d->v, VERIFY_NOTE, &where,
                    p != NULL ? "was replaced; the next start removes it"
                              : "is not in the catalog; the next start takes it in or removes it");
    segment_info_free(&info);
    return 0;
}

static int check_strays(struct look *l, struct err *err)
{
    struct stray s = {.l = l};
    int r = objstore_list(l->d->objects, see_file, &s, err);

    if (r < 0) {
        const struct verify_finding where = {.file = l->d->dir, .block = -1, .offset = -1};
        r = verify_note(l->d->v, &where, err);
    }
    for (size_t i = 0; r == 0 && i < s.uuids.n; i += SEGMENT_UUID)
        r = check_stray(l, s.uuids.p + i, err);
    VEC_FINI(&s.uuids);
    return r;
}

/* ---- all of it ---- */

static int take_text(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct look *l = arg;
    struct str s = db_column_str(st, 0);
    char text[160];

    (void)err;
    if (!str_eq(s, STR("ok")))
        tell(l, "SQLite's check:", str_to_z(s, text, sizeof(text)), NULL);
    return 0;
}

static int count_blocks(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct look *l = arg;

    (void)err;
    if (db_column_u64(st, 0) != l->seen_blocks && !l->d->unsure)
        tell(l, "table blocks:", "there are rows of no segment", NULL);
    return 0;
}

static int read_tables(struct look *l, struct err *err)
{
    struct db *db = l->d->catalog->db;
    struct partition_row p = {.l = l};
    int r = verify_each(db, "PRAGMA integrity_check(20)", take_text, l, err);

    if (r == 0)
        r = verify_each(db, "SELECT tenant, day, applied FROM partition", take_partition, &p, err);
    if (r == 0 && p.n != 1)
        tell(l, "table partition:", "has not one row", NULL);
    if (r == 0)
        r = verify_each(db, SELECT_SEGMENTS, take_row, l, err);
    if (r == 0)
        r = verify_each(db,
                        "SELECT uuid, class, root, rows, new_uuid, new_root, new_rows, leaving"
                        " FROM replaced ORDER BY uuid",
                        take_replaced, l, err);
    return r;
}

static void add_up(struct look *l)
{
    struct verify_day *d = l->d;
    const struct row *row;

    VEC_EACH(&l->rows, row) {
        int64_t min = (int64_t)row->v[MIN_TS];
        int64_t max = (int64_t)row->v[MAX_TS];
        int64_t received = (int64_t)row->v[MAX_RECEIVED];
        bool first = d->segments++ == 0;
        d->rows += row->v[ROWS];
        d->line_bytes += row->v[LINE_BYTES];
        d->stored_bytes += row->v[STORED_BYTES];
        d->min_ts = first || min < d->min_ts ? min : d->min_ts;
        d->max_ts = first || max > d->max_ts ? max : d->max_ts;
        d->newest_received = first || received > d->newest_received ? received : d->newest_received;
    }
}

static int check_all(struct look *l, struct err *err)
{
    const struct replaced *p;
    struct row *row;
    int r = read_tables(l, err);

    if (r == 0)
        r = verify_streams(l->d, &l->streams, err);
    VEC_EACH(&l->rows, row) {
        if (r == 0)
            r = check_row(l, row, err);
    }
    if (r == 0)
        r = verify_each(l->d->catalog->db, "SELECT count(*) FROM blocks", count_blocks, l, err);
    if (r < 0)
        return r;
    check_spans(l);
    VEC_EACH(&l->replaced, p) {
        check_replaced(l, p);
    }
    VEC_EACH(&l->rows, row) {
        check_listed(l, row);
    }
    add_up(l);
    return 0;
}

int verify_catalog(struct verify_day *d, struct err *err)
{
    const struct verify_finding where = {.file = d->catalog_file, .block = -1, .offset = -1};
    struct look l = {.d = d};
    int r = 0;

    if (d->catalog != NULL) {
        r = check_all(&l, err);
        if (r == ERR_CORRUPT || r == ERR_EXISTS || r == ERR_IO || r == ERR_TIMEOUT) {
            d->unsure = true;
            r = verify_note(d->v, &where, err);
        }
    } else {
        d->unsure = true;
    }
    if (r == 0)
        r = check_strays(&l, err);
    free_look(&l);
    return r;
}
