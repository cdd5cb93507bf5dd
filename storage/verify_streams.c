/*
 * storage/verify_streams.c - the streams of a catalog: every id has labels, a hash and its place in
 * the index.
 *
 * Chunks and pages are sealed, so each opens only where it was put; beyond that, labels and index
 * must say the same.  Each id gets the sum of the hashes of its label pairs; the index, walked
 * once, must give the same sums.
 */
#include "storage/verify_internal.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/vec.h"
#include "storage/catalog_internal.h"
#include "storage/catalog_run.h"
#include "storage/db.h"
#include "storage/postings.h"
#include "storage/stream_blob.h"

#include <sqlite3.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES_BITS = 24, LABELS_MAX = 1 << 24 };

struct look {
    struct verify_day *d;
    uint64_t *hash, *pairs; /* by id; owned */
    size_t n;
    uint64_t live;      /* streams with labels */
    uint64_t hashes;    /* rows of stream_ids */
    uint64_t next;      /* first id that no chunk had so far */
    uint64_t run_pages; /* of the run at hand */
    uint64_t run_bytes, pages;
    struct buf blob;
};

static void tell(struct look *l, const char *text)
{
    const struct verify_finding where = {.file = l->d->catalog_file, .block = -1, .offset = -1};

    verify_tell(l->d->v, VERIFY_DAMAGE, &where, "%s", text);
}

uint64_t verify_labels_hash(const struct labels *l)
{
    struct hash128 h = labels_hash(l);

    return (h.lo ^ h.hi) | 1; /* 0 says that there are none */
}

/* ---- chunks ---- */

static int see_chunk(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct look *l = arg;
    uint64_t first = db_column_u64(st, 0);
    uint64_t n = db_column_u64(st, 1);

    (void)err;
    if (first != l->next || n == 0 || n > POSTINGS_ID_MAX - first) {
        tell(l, "table stream_chunks: ids do not follow each other");
        return 1;
    }
    l->next = first + n;
    return 0;
}

static uint64_t pair_hash(struct str key)
{
    return hash_bytes(key.p, key.n, 1);
}

static int see_stream(void *arg, uint64_t id, const struct labels *labels, struct err *err)
{
    struct look *l = arg;
    const struct catalog *c = l->d->catalog;
    uint8_t full[CRYPT_SHA256];
    struct sqlite3_stmt *st;
    int r;

    if (id >= l->n)
        return err_set(err, ERR_CORRUPT, "catalog: id of a stream");
    l->hash[id] = verify_labels_hash(labels);
    l->live++;
    for (size_t i = 0; i < labels->n; i++) {
        buf_clear(&l->blob);
        buf_add_str(&l->blob, labels->v[i].name);
        buf_add_char(&l->blob, '\0');
        buf_add_str(&l->blob, labels->v[i].value);
        l->pairs[id] += pair_hash(buf_str(&l->blob));
    }
    buf_clear(&l->blob);
    stream_blob_put(&l->blob, labels);
    const struct str pieces[] = {{(const char *)c->hash_key, CRYPT_KEY}, buf_str(&l->blob)};
    crypt_sha256(pieces, 2, full);
    r = db_prepare(c->db, "SELECT id FROM stream_ids WHERE hash = ?", &st, err);
    if (r < 0)
        return r;
    db_bind_blob(st, 1, full, CATALOG_HASH);
    r = db_step(c->db, st, err);
    if (r < 0)
        return r;
    if (r == 1 || db_column_u64(st, 0) != id) {
        tell(l, "table stream_ids: a stream is not found by the hash of its labels");
        l->hash[id] = 0;
    }
    if (r == 0)
        db_reset(st);
    return 0;
}

static int see_id(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct look *l = arg;
    uint64_t id = db_column_u64(st, 0);

    (void)err;
    l->hashes++;
    if (id != 0 && id < l->n)
        return 0;
    tell(l, "table stream_ids: an id that no chunk has");
    return 1;
}

/* ---- index ---- */

static int see_page(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct look *l = arg;

    (void)err;
    l->run_pages = db_column_u64(st, 0);
    l->run_bytes = db_column_u64(st, 1);
    return 0;
}

/* The pages of a run, by what SQLite knows of them. */
static int count_pages(struct look *l, const struct catalog_run *run, struct err *err)
{
    struct db *db = l->d->catalog->db;
    struct sqlite3_stmt *st;
    int r = db_prepare(db,
                       "SELECT count(*), coalesce(sum(length(body)), 0) FROM index_pages"
                       " WHERE id >= ?1 AND id < ?1 + ?2",
                       &st, err);

    if (r < 0)
        return r;
    db_bind_u64(st, 1, run->id << PAGES_BITS);
    db_bind_u64(st, 2, run->pages);
    r = db_step(db, st, err);
    if (r != 0)
        return r;
    (void)see_page(l, st, err);
    db_reset(st);
    l->pages += l->run_pages;
    if (l->run_pages != run->pages || l->run_bytes != run->bytes)
        tell(l, "table index_runs: pages or bytes of a run are others than there are");
    return 0;
}

static int take_ids(struct look *l, struct str key, struct str postings)
{
    struct postings_reader pr = {.in = postings};
    uint64_t hash = pair_hash(key);
    uint32_t from, to;
    bool ok = true;

    while (postings_next(&pr, &from, &to, &ok)) {
        if (to > l->n) {
            ok = false;
            break;
        }
        for (uint32_t id = from; id < to; id++)
            l->pairs[id] -= hash;
    }
    if (!ok)
        tell(l, "table index_pages: a list of ids makes no sense");
    return ok ? 0 : 1;
}

/* Keys of one run ascend. */
static int walk_run(struct look *l, const struct catalog_run *run, struct err *err)
{
    struct catalog_run_cursor cur;
    struct buf last;
    int r = catalog_run_open(&cur, l->d->catalog, run, err);

    buf_init(&last, LABELS_MAX);
    if (r == 0)
        r = catalog_run_seek(&cur, STR(""), err);
    while (r == 0 && !cur.done) {
        if (last.n > 0 && str_cmp(buf_str(&last), cur.key) >= 0) {
            tell(l, "table index_pages: keys are not in order");
            r = 1;
            break;
        }
        buf_clear(&last);
        buf_add_str(&last, cur.key);
        r = take_ids(l, cur.key, cur.postings);
        if (r == 0)
            r = catalog_run_next(&cur, err);
    }
    catalog_run_close(&cur);
    buf_fini(&last);
    return r;
}

static int check_index(struct look *l, struct err *err)
{
    struct catalog_run runs[CATALOG_RUNS_MAX];
    size_t n = 0;
    int r = catalog_run_list(l->d->catalog, runs, &n, err);
    bool whole = l->d->has_key;

    for (size_t i = 0; r == 0 && i < n; i++) {
        r = count_pages(l, &runs[i], err);
        if (r == 0 && l->d->has_key) {
            r = walk_run(l, &runs[i], err);
            whole = whole && r == 0;
            r = r == 1 ? 0 : r;
        }
    }
    for (size_t id = 0; r == 0 && whole && id < l->n; id++) {
        if (l->pairs[id] == 0)
            continue;
        tell(l, "table index_pages: the index has a stream under other labels than its own");
        break;
    }
    return r;
}

static int see_pages(void *arg, struct sqlite3_stmt *st, struct err *err)
{
    struct look *l = arg;

    (void)err;
    if (db_column_u64(st, 0) != l->pages)
        tell(l, "table index_pages: there are pages of no run");
    return 0;
}

/* ---- all of it ---- */

static int check_chunks(struct look *l, struct err *err)
{
    struct db *db = l->d->catalog->db;
    int r = verify_each(db, "SELECT first, n FROM stream_chunks ORDER BY first", see_chunk, l, err);

    if (r != 0)
        return r;
    l->n = (size_t)l->next;
    l->hash = mem_new(l->n * sizeof(*l->hash)); /* ids are below 2^24 */
    l->pairs = mem_new(l->n * sizeof(*l->pairs));
    if (l->d->has_key)
        r = catalog_streams(l->d->catalog, see_stream, l, err);
    if (r == 0)
        r = verify_each(db, "SELECT id FROM stream_ids", see_id, l, err);
    if (r == 0 && l->d->has_key && l->hashes != l->live)
        tell(l, "table stream_ids: there are hashes of no stream");
    return r;
}

int verify_streams(struct verify_day *d, struct verify_streams *ret, struct err *err)
{
    const struct verify_finding where = {.file = d->catalog_file, .block = -1, .offset = -1};
    struct look l = {.d = d, .next = 1};
    int r;

    buf_init(&l.blob, LABELS_MAX);
    r = check_chunks(&l, err);
    if (r == 0)
        r = check_index(&l, err);
    if (r == 0)
        r = verify_each(d->catalog->db, "SELECT count(*) FROM index_pages", see_pages, &l, err);
    buf_fini(&l.blob);
    free(l.pairs);
    *ret = (struct verify_streams){.n = (size_t)l.next};
    if (r == 0 && d->has_key)
        ret->hash = l.hash;
    else
        free(l.hash);
    if (r == ERR_CORRUPT)
        return verify_note(d->v, &where, err);
    return r < 0 ? r : 0;
}
