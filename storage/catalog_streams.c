/*
 * storage/catalog_streams.c - streams and their ids.  Contract: catalog_index.h, catalog.h.
 *
 * Which id a set of labels has is asked by a keyed hash, in order of hash: a hundred thousand
 * look-ups then walk one B-tree once.  The labels themselves lie in chunks of consecutive ids,
 * compressed together (streams of a flush are sorted by their labels, so neighbours are alike).
 *
 * Chunk: {varint n, labels as in stream_blob.h} for each id; n == 0: no such stream any more.
 */
#include "storage/catalog_streams.h"

#include "base/mem.h"
#include "base/obj.h"
#include "storage/catalog_blob.h"
#include "storage/catalog_internal.h"
#include "storage/db.h"
#include "storage/le.h"
#include "storage/postings.h"
#include "storage/stream_blob.h"

#include <sqlite3.h>

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_STREAMS = 256,
    CHUNK_BYTES = 32 << 10,
    LABELS_MAX = 1 << 24, /* of one stream */
    CACHE_KIB = 16 << 10, /* SQLite's, while many streams come in */
    MANY = 1 << 12,
};

/* A stream on its way in. */
struct incoming {
    uint8_t hash[CATALOG_HASH];
    uint32_t number; /* in the list that was given */
    uint32_t same;   /* the first number with the same labels */
    uint32_t id;     /* 0: new */
};

/* The first half of SHA-256(hash key || labels): whoever has the file alone cannot test a guess. */
static void hash_labels(const struct catalog *c, struct str blob, uint8_t ret[CATALOG_HASH])
{
    const struct str pieces[] = {{(const char *)c->hash_key, CRYPT_KEY}, blob};
    uint8_t full[CRYPT_SHA256];

    crypt_sha256(pieces, 2, full);
    memcpy(ret, full, CATALOG_HASH);
}

int catalog_streams_end(struct catalog *c, uint32_t *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    uint64_t end = 1;
    int r = db_prepare(c->db, "SELECT first + n FROM stream_chunks ORDER BY first DESC LIMIT 1",
                       &st, err);

    if (r == 0)
        r = db_step(c->db, st, err);
    if (r < 0)
        return r;
    if (r == 0) {
        end = db_column_u64(st, 0);
        db_reset(st);
    }
    if (end == 0 || end > POSTINGS_ID_MAX)
        return err_set(err, ERR_CORRUPT, "catalog: id of a stream");
    *ret = (uint32_t)end;
    return 0;
}

/* ---- writing ---- */

/* Equal ones, of which a copied segment has some, in order of their numbers. */
static int by_hash(const void *a, const void *b)
{
    const struct incoming *x = a;
    const struct incoming *y = b;
    int cmp = memcmp(x->hash, y->hash, CATALOG_HASH);

    return cmp != 0 ? cmp : (x->number > y->number) - (x->number < y->number);
}

/* In order of hash. */
static void find_same(struct incoming *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        in[i].same = i > 0 && memcmp(in[i].hash, in[i - 1].hash, CATALOG_HASH) == 0 ? in[i - 1].same
                                                                                    : in[i].number;
}

static int by_number(const void *a, const void *b)
{
    const struct incoming *x = a;
    const struct incoming *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static int hash_all(struct catalog *c, const struct segment_stream *streams, size_t n,
                    struct incoming *in, struct err *err)
{
    struct buf blob;
    int r = 0;

    buf_init(&blob, LABELS_MAX);
    for (size_t i = 0; r == 0 && i < n; i++) {
        buf_clear(&blob);
        stream_blob_put(&blob, &streams[i].labels);
        r = buf_err(&blob, "labels of a stream", err);
        if (r == 0)
            hash_labels(c, buf_str(&blob), in[i].hash);
        in[i].number = (uint32_t)i;
    }
    buf_fini(&blob);
    return r;
}

/* In order of hash. */
static int look_up(struct catalog *c, struct incoming *in, size_t n, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++) {
        r = db_prepare(c->db, "SELECT id FROM stream_ids WHERE hash = ?", &st, err);
        if (r < 0)
            break;
        db_bind_blob(st, 1, in[i].hash, CATALOG_HASH);
        r = db_step(c->db, st, err);
        if (r != 0)
            continue;
        if (db_column_u64(st, 0) - 1 >= POSTINGS_ID_MAX - 1)
            r = err_set(err, ERR_CORRUPT, "catalog: id of a stream");
        else
            in[i].id = (uint32_t)db_column_u64(st, 0);
        db_reset(st);
    }
    return r < 0 ? r : 0;
}

static int insert_ids(struct catalog *c, const struct incoming *in, size_t n, uint32_t first_new,
                      struct err *err)
{
    struct sqlite3_stmt *st;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (in[i].id < first_new || in[i].same != in[i].number)
            continue;
        r = db_prepare(c->db, "INSERT INTO stream_ids(hash, id) VALUES (?, ?)", &st, err);
        if (r < 0)
            break;
        db_bind_blob(st, 1, in[i].hash, CATALOG_HASH);
        db_bind_u64(st, 2, in[i].id);
        r = db_step(c->db, st, err);
    }
    return r < 0 ? r : 0;
}

static int put_chunk(struct catalog *c, uint64_t first, uint64_t n, struct str plain,
                     struct buf *sealed, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = catalog_blob_seal(c->labels, (struct catalog_blob_id){CATALOG_CHUNK, first}, plain,
                              sealed, err);

    catalog_streams_changed(c);
    if (r == 0)
        r = db_prepare(c->db,
                       "INSERT OR REPLACE INTO stream_chunks(first, n, body) VALUES (?, ?, ?)", &st,
                       err);
    if (r < 0)
        return r;
    db_bind_u64(st, 1, first);
    db_bind_u64(st, 2, n);
    db_bind_blob(st, 3, sealed->p, sealed->n);
    r = db_step(c->db, st, err);
    return r < 0 ? r : 0;
}

/* Streams of consecutive ids, as chunks. */
static int insert_chunks(struct catalog *c, const struct segment_stream *const *streams, size_t n,
                         uint32_t first, struct err *err)
{
    struct buf plain, blob, sealed;
    size_t from = 0;
    int r = 0;

    buf_init(&plain, CATALOG_BLOB_MAX);
    buf_init(&blob, LABELS_MAX);
    buf_init(&sealed, (size_t)2 * CATALOG_BLOB_MAX);
    for (size_t i = 0; r == 0 && i < n; i++) {
        buf_clear(&blob);
        stream_blob_put(&blob, &streams[i]->labels);
        varint_put(&plain, blob.n);
        buf_add_str(&plain, buf_str(&blob));
        if (i + 1 - from < CHUNK_STREAMS && plain.n < CHUNK_BYTES && i + 1 < n)
            continue;
        r = buf_err(&plain, "labels of streams", err);
        if (r == 0)
            r = put_chunk(c, first + from, i + 1 - from, buf_str(&plain), &sealed, err);
        buf_clear(&plain);
        from = i + 1;
    }
    buf_fini(&plain);
    buf_fini(&blob);
    buf_fini(&sealed);
    return r;
}

/* Ids for those that have none, in the order of the list; *ret: those streams, malloc'ed. */
static const struct segment_stream **number_new(struct incoming *in, size_t n,
                                                const struct segment_stream *streams, uint32_t end,
                                                size_t *ret_n)
{
    const struct segment_stream **fresh = mem_new(n * sizeof(struct segment_stream *) + 1);
    size_t n_fresh = 0;

    qsort(in, n, sizeof(*in), by_number);
    for (size_t i = 0; i < n; i++) {
        if (in[i].same != in[i].number)
            in[i].id = in[in[i].same].id; /* a lower number: it has one by now */
        if (in[i].id != 0)
            continue;
        in[i].id = end + (uint32_t)n_fresh;
        fresh[n_fresh++] = &streams[i];
    }
    *ret_n = n_fresh;
    return fresh;
}

static int add_new(struct catalog *c, const struct segment_stream *streams, struct incoming *in,
                   size_t n, struct err *err)
{
    const struct segment_stream **fresh;
    uint32_t end = 0;
    size_t n_fresh = 0;
    int r = catalog_streams_end(c, &end, err);

    if (r < 0)
        return r;
    fresh = number_new(in, n, streams, end, &n_fresh);
    if (n_fresh > (size_t)POSTINGS_ID_MAX - end)
        r = err_set(err, ERR_LIMIT, "more than %d streams in one partition", POSTINGS_ID_MAX);
    if (r == 0 && n_fresh > 0)
        r = insert_chunks(c, fresh, n_fresh, end, err);
    if (r == 0 && n_fresh > 0)
        r = catalog_index_add(c, fresh, n_fresh, end, err);
    free((void *)fresh);
    return r == 0 ? (int)(end < INT32_MAX ? end : 0) : r;
}

static void set_cache(struct catalog *c, int kib)
{
    char sql[64];
    struct err ignored; /* it is only slower without */

    (void)sqlite3_snprintf((int)sizeof(sql), sql, "PRAGMA cache_size=-%d", kib);
    (void)db_exec(c->db, sql, &ignored);
}

int catalog_streams_add(struct catalog *c, const struct segment_stream *streams, size_t n,
                        struct buf *ids, struct err *err)
{
    struct incoming *in = mem_new(n * sizeof(*in) + 1);
    uint32_t first_new = 0;
    int r;

    if (n >= MANY)
        set_cache(c, CACHE_KIB);
    r = hash_all(c, streams, n, in, err);
    qsort(in, n, sizeof(*in), by_hash);
    find_same(in, n);
    if (r == 0)
        r = look_up(c, in, n, err);
    if (r == 0)
        r = add_new(c, streams, in, n, err); /* sorts by number */
    if (r > 0) {
        first_new = (uint32_t)r;
        r = 0;
    }
    for (size_t i = 0; r == 0 && i < n; i++) {
        uint8_t le[4];
        le_put32(le, in[i].id);
        buf_add(ids, le, sizeof(le));
    }
    qsort(in, n, sizeof(*in), by_hash);
    if (r == 0)
        r = insert_ids(c, in, n, first_new, err);
    if (n >= MANY)
        set_cache(c, 2000);
    free(in);
    return r;
}

/* ---- reading ---- */

struct chunk {
    uint64_t first, n;
    struct str left;
};

/* The chunk that holds `id`, or the first behind it.  1: none. */
static int get_chunk(struct catalog *c, uint64_t id, struct arena *a, struct chunk *ret,
                     struct err *err)
{
    struct sqlite3_stmt *st;
    int r = db_prepare(c->db,
                       "SELECT first, n, body FROM stream_chunks WHERE first >= coalesce("
                       " (SELECT max(first) FROM stream_chunks WHERE first <= ?1), ?1)"
                       " ORDER BY first LIMIT 1",
                       &st, err);

    if (r < 0)
        return r;
    db_bind_u64(st, 1, id);
    r = db_step(c->db, st, err);
    if (r != 0)
        return r;
    ret->first = db_column_u64(st, 0);
    ret->n = db_column_u64(st, 1);
    if (ret->n == 0 || ret->first == 0 || ret->first >= POSTINGS_ID_MAX ||
        ret->n > POSTINGS_ID_MAX - ret->first)
        r = err_set(err, ERR_CORRUPT, "catalog: chunk of streams");
    if (r == 0)
        r = catalog_blob_open(c->labels, (struct catalog_blob_id){CATALOG_CHUNK, ret->first},
                              db_column_str(st, 2), a, &ret->left, err);
    db_reset(st);
    return r;
}

/* Its streams that are asked for (ids == NULL: all). */
static int tell_chunk(struct chunk *ch, const struct idset *ids, struct arena *a,
                      catalog_stream_fn *fn, void *arg, struct err *err)
{
    int r = 0;

    for (uint64_t id = ch->first; r == 0 && id < ch->first + ch->n; id++) {
        struct str blob;
        struct labels l;
        uint64_t n;
        if (!varint_get(&ch->left, &n) || n > ch->left.n)
            return err_set(err, ERR_CORRUPT, "catalog: chunk of streams is cut");
        blob = str_sub(ch->left, 0, (size_t)n);
        ch->left = str_from(ch->left, (size_t)n);
        if (n == 0 || (ids != NULL && !idset_has(ids, id)))
            continue;
        arena_reset(a);
        r = stream_blob_get(&blob, a, &l, err);
        if (r == 0)
            r = fn(arg, id, &l, err);
    }
    return r;
}

int catalog_streams_of(struct catalog *c, const struct idset *ids, catalog_stream_fn *fn, void *arg,
                       struct err *err)
{
    struct arena *chunk_arena = arena_new(NULL, (size_t)4 * CATALOG_BLOB_MAX);
    struct arena *a = arena_new(NULL, LABELS_MAX); /* one stream at a time */
    size_t id = ids == NULL ? 1 : idset_next(ids, 0);
    int r = 0;

    while (r == 0 && id != SIZE_MAX) {
        struct chunk ch = {.first = 0};
        arena_reset(chunk_arena);
        r = get_chunk(c, id, chunk_arena, &ch, err);
        if (r == 1) {
            r = 0;
            break;
        }
        if (r < 0)
            break;
        if (ch.first + ch.n <= id) { /* no chunk has it: behind the last, or a hole */
            id = ids == NULL ? SIZE_MAX : idset_next(ids, id + 1);
            continue;
        }
        r = tell_chunk(&ch, ids, a, fn, arg, err);
        id = ids == NULL ? ch.first + ch.n : idset_next(ids, ch.first + ch.n);
    }
    arena_free(&a);
    arena_free(&chunk_arena);
    return r;
}

int catalog_streams(struct catalog *c, catalog_stream_fn *fn, void *arg, struct err *err)
{
    OBJ_CHECK(c, CATALOG_MAGIC);
    return catalog_streams_of(c, NULL, fn, arg, err);
}

/* ---- forgetting ---- */

static int drop_id(struct catalog *c, struct str blob, struct err *err)
{
    uint8_t hash[CATALOG_HASH];
    struct sqlite3_stmt *st;
    int r = db_prepare(c->db, "DELETE FROM stream_ids WHERE hash = ?", &st, err);

    if (r < 0)
        return r;
    hash_labels(c, blob, hash);
    db_bind_blob(st, 1, hash, CATALOG_HASH);
    r = db_step(c->db, st, err);
    return r < 0 ? r : 0;
}

/* The chunk without those that go: `plain` is what is left of it.  *gone: how many went. */
static int thin_chunk(struct catalog *c, struct chunk *ch, const struct idset *ids,
                      struct buf *plain, size_t *gone, struct err *err)
{
    int r = 0;

    buf_clear(plain);
    for (uint64_t id = ch->first; r == 0 && id < ch->first + ch->n; id++) {
        struct str blob;
        uint64_t n;
        if (!varint_get(&ch->left, &n) || n > ch->left.n)
            return err_set(err, ERR_CORRUPT, "catalog: chunk of streams is cut");
        blob = str_sub(ch->left, 0, (size_t)n);
        ch->left = str_from(ch->left, (size_t)n);
        if (n > 0 && !idset_has(ids, id)) {
            r = drop_id(c, blob, err);
            blob.n = 0;
            (*gone)++;
        }
        varint_put(plain, blob.n);
        buf_add_str(plain, blob);
    }
    return r == 0 ? buf_err(plain, "labels of streams", err) : r;
}

int catalog_streams_keep(struct catalog *c, const struct idset *ids, struct err *err)
{
    struct arena *a = arena_new(NULL, (size_t)4 * CATALOG_BLOB_MAX);
    struct buf plain, sealed;
    struct chunk ch = {.first = 0};
    uint64_t id = 1;
    int r = 0;

    buf_init(&plain, CATALOG_BLOB_MAX);
    buf_init(&sealed, (size_t)2 * CATALOG_BLOB_MAX);
    while (r == 0) {
        size_t gone = 0;
        arena_reset(a);
        r = get_chunk(c, id, a, &ch, err);
        if (r != 0 || ch.first + ch.n <= id)
            break;
        r = thin_chunk(c, &ch, ids, &plain, &gone, err);
        if (r == 0 && gone > 0)
            r = put_chunk(c, ch.first, ch.n, buf_str(&plain), &sealed, err);
        id = ch.first + ch.n;
    }
    buf_fini(&plain);
    buf_fini(&sealed);
    arena_free(&a);
    return r < 0 ? r : 0;
}
