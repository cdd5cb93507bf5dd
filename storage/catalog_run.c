/*
 * storage/catalog_run.c - see catalog_run.h.
 *
 * Page: entries {varint bytes shared with the key before, varint rest, rest, varint n, postings}.
 * Directory: {varint n, first key} of each page.
 */
#include "storage/catalog_run.h"

#include "base/mem.h"
#include "storage/catalog_blob.h"
#include "storage/catalog_internal.h"
#include "storage/db.h"
#include "storage/varint.h"

#include <sqlite3.h>

#include <string.h>

enum { PAGE_BYTES = 16 << 10, PAGES_BITS = 24, KEY_MAX = 1 << 24 };

static uint64_t page_id(uint64_t run, uint64_t page)
{
    return run << PAGES_BITS | page;
}

int catalog_run_list(struct catalog *c, struct catalog_run ret[CATALOG_RUNS_MAX], size_t *n,
                     struct err *err)
{
    struct sqlite3_stmt *st = NULL;
    int r = db_prepare(c->db, "SELECT id, bytes, pages FROM index_runs ORDER BY id", &st, err);

    *n = 0;
    while (r == 0) {
        r = db_step(c->db, st, err);
        if (r != 0)
            break;
        if (*n == CATALOG_RUNS_MAX) {
            db_reset(st);
            return err_set(err, ERR_CORRUPT, "catalog: more than %d runs", CATALOG_RUNS_MAX);
        }
        ret[(*n)++] =
            (struct catalog_run){db_column_u64(st, 0), db_column_u64(st, 1), db_column_u64(st, 2)};
    }
    return r < 0 ? r : 0;
}

static int drop_by_id(struct catalog *c, const char *sql, uint64_t from, uint64_t to,
                      struct err *err)
{
    struct sqlite3_stmt *st;
    int r = db_prepare(c->db, sql, &st, err);

    if (r < 0)
        return r;
    db_bind_u64(st, 1, from);
    db_bind_u64(st, 2, to);
    r = db_step(c->db, st, err);
    return r < 0 ? r : 0;
}

int catalog_run_drop(struct catalog *c, const struct catalog_run *run, struct err *err)
{
    int r = drop_by_id(c, "DELETE FROM index_pages WHERE id >= ? AND id < ?", page_id(run->id, 0),
                       page_id(run->id + 1, 0), err);

    return r < 0 ? r
                 : drop_by_id(c, "DELETE FROM index_runs WHERE id >= ? AND id < ?", run->id,
                              run->id + 1, err);
}

/* ---- writing ---- */

void catalog_run_begin(struct catalog_run_writer *w, struct catalog *c, uint64_t id)
{
    *w = (struct catalog_run_writer){.c = c, .id = id};
    buf_init(&w->page, CATALOG_BLOB_MAX);
    buf_init(&w->directory, CATALOG_BLOB_MAX);
    buf_init(&w->last, KEY_MAX);
    buf_init(&w->sealed, (size_t)2 * CATALOG_BLOB_MAX);
}

static int put_blob(struct catalog_run_writer *w, struct catalog_blob_id id, struct str plain,
                    struct sqlite3_stmt *st, struct err *err)
{
    int r = catalog_blob_seal(w->c->labels, id, plain, &w->sealed, err);

    if (r < 0)
        return r;
    db_bind_u64(st, 1, id.number);
    db_bind_blob(st, 2, w->sealed.p, w->sealed.n);
    w->bytes += w->sealed.n;
    r = db_step(w->c->db, st, err);
    return r < 0 ? r : 0;
}

static int end_page(struct catalog_run_writer *w, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = buf_err(&w->page, "a page of the index", err);

    if (r < 0 || w->page.n == 0)
        return r;
    if (w->n_pages >> PAGES_BITS != 0)
        return err_set(err, ERR_LIMIT, "a run of the index has too many pages");
    r = db_prepare(w->c->db, "INSERT INTO index_pages(id, body) VALUES (?, ?)", &st, err);
    if (r == 0)
        r = put_blob(w, (struct catalog_blob_id){CATALOG_PAGE, page_id(w->id, w->n_pages)},
                     buf_str(&w->page), st, err);
    w->n_pages++;
    buf_clear(&w->page);
    buf_clear(&w->last);
    return r;
}

static size_t shared(struct str a, struct str b)
{
    size_t n = 0;

    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

int catalog_run_put(struct catalog_run_writer *w, struct str key, struct str postings,
                    struct err *err)
{
    size_t same = shared(buf_str(&w->last), key);

    if (w->page.n == 0) {
        same = 0;
        varint_put(&w->directory, key.n);
        buf_add_str(&w->directory, key);
    }
    varint_put(&w->page, same);
    varint_put(&w->page, key.n - same);
    buf_add_str(&w->page, str_from(key, same));
    varint_put(&w->page, postings.n);
    buf_add_str(&w->page, postings);
    buf_clear(&w->last);
    buf_add_str(&w->last, key);
    return w->page.n >= PAGE_BYTES ? end_page(w, err) : 0;
}

static int put_run(struct catalog_run_writer *w, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = buf_err(&w->directory, "the directory of an index", err);

    if (r == 0)
        r = db_prepare(w->c->db,
                       "INSERT INTO index_runs(id, directory, bytes, pages) VALUES (?, ?, ?, ?)",
                       &st, err);
    if (r < 0)
        return r;
    db_bind_u64(st, 3, w->bytes);
    db_bind_u64(st, 4, w->n_pages);
    return put_blob(w, (struct catalog_blob_id){CATALOG_DIRECTORY, w->id}, buf_str(&w->directory),
                    st, err);
}

int catalog_run_end(struct catalog_run_writer *w, int r, struct err *err)
{
    if (r == 0)
        r = end_page(w, err);
    if (r == 0 && w->n_pages > 0)
        r = put_run(w, err);
    buf_fini(&w->page);
    buf_fini(&w->directory);
    buf_fini(&w->last);
    buf_fini(&w->sealed);
    return r;
}

/* ---- reading ---- */

static int corrupt(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "catalog: page of the index");
}

static bool get_text(struct str *in, struct str *ret)
{
    uint64_t n;

    if (!varint_get(in, &n) || n > in->n)
        return false;
    *ret = str_sub(*in, 0, (size_t)n);
    *in = str_from(*in, (size_t)n);
    return true;
}

/* The blob of one row, opened into `a`. */
static int get_blob(struct catalog *c, const char *sql, struct catalog_blob_id id, struct arena *a,
                    struct str *ret, struct err *err)
{
    struct sqlite3_stmt *st;
    int r = db_prepare(c->db, sql, &st, err);

    if (r < 0)
        return r;
    db_bind_u64(st, 1, id.number);
    r = db_step(c->db, st, err);
    if (r != 0)
        return r == 1 ? corrupt(err) : r;
    r = catalog_blob_open(c->labels, id, db_column_str(st, 0), a, ret, err);
    db_reset(st);
    return r;
}

int catalog_run_open(struct catalog_run_cursor *cur, struct catalog *c,
                     const struct catalog_run *run, struct err *err)
{
    struct str dir;
    int r;

    *cur = (struct catalog_run_cursor){.c = c, .run = *run, .done = true};
    cur->directory_arena = arena_new(NULL, (size_t)4 * CATALOG_BLOB_MAX);
    cur->page_arena = arena_new(NULL, (size_t)4 * CATALOG_BLOB_MAX);
    buf_init(&cur->key_buf, KEY_MAX);
    r = get_blob(c, "SELECT directory FROM index_runs WHERE id = ?",
                 (struct catalog_blob_id){CATALOG_DIRECTORY, run->id}, cur->directory_arena, &dir,
                 err);
    while (r == 0 && dir.n > 0) {
        struct str key;
        if (!get_text(&dir, &key) || cur->first.n == run->pages)
            return corrupt(err);
        VEC_PUSH(&cur->first, key);
    }
    return r == 0 && cur->first.n != run->pages ? corrupt(err) : r;
}

void catalog_run_close(struct catalog_run_cursor *cur)
{
    arena_free(&cur->directory_arena);
    arena_free(&cur->page_arena);
    buf_fini(&cur->key_buf);
    VEC_FINI(&cur->first);
}

static int open_page(struct catalog_run_cursor *cur, struct err *err)
{
    arena_reset(cur->page_arena);
    buf_clear(&cur->key_buf);
    return get_blob(cur->c, "SELECT body FROM index_pages WHERE id = ?",
                    (struct catalog_blob_id){CATALOG_PAGE, page_id(cur->run.id, cur->page++)},
                    cur->page_arena, &cur->left, err);
}

int catalog_run_next(struct catalog_run_cursor *cur, struct err *err)
{
    uint64_t same;
    struct str rest;
    int r = 0;

    while (r == 0 && cur->left.n == 0) {
        cur->done = cur->page == cur->run.pages;
        if (cur->done)
            return 0;
        r = open_page(cur, err);
    }
    if (r < 0)
        return r;
    if (!varint_get(&cur->left, &same) || same > cur->key_buf.n || !get_text(&cur->left, &rest) ||
        !get_text(&cur->left, &cur->postings))
        return corrupt(err);
    cur->key_buf.n = (size_t)same;
    buf_add_str(&cur->key_buf, rest);
    cur->key = buf_str(&cur->key_buf);
    cur->done = false;
    return buf_err(&cur->key_buf, "a key of the index", err);
}

/* The last page whose first key is at or before `key`; 0 when none is. */
static uint64_t find_page(const struct catalog_run_cursor *cur, struct str key)
{
    size_t lo = 0;
    size_t hi = cur->first.n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (str_cmp(cur->first.p[mid], key) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == 0 ? 0 : lo - 1;
}

int catalog_run_seek(struct catalog_run_cursor *cur, struct str key, struct err *err)
{
    uint64_t page = find_page(cur, key);
    bool ahead = !cur->done && cur->page == page + 1 && str_cmp(cur->key, key) <= 0;
    int r = 0;

    if (!ahead) { /* not in the open page, behind where it stands */
        cur->page = page;
        cur->left = STR_NULL;
        r = catalog_run_next(cur, err);
    }
    while (r == 0 && !cur->done && str_cmp(cur->key, key) < 0)
        r = catalog_run_next(cur, err);
    return r;
}

/* ---- all of them ---- */

static void choose(struct catalog_runs *rs)
{
    rs->at = SIZE_MAX;
    for (size_t i = 0; i < rs->n; i++) {
        if (rs->cur[i].done)
            continue;
        if (rs->at == SIZE_MAX || str_cmp(rs->cur[i].key, rs->cur[rs->at].key) < 0)
            rs->at = i;
    }
}

int catalog_runs_open(struct catalog_runs *rs, struct catalog *c, const struct catalog_run *runs,
                      size_t n, struct err *err)
{
    int r = 0;

    rs->n = 0;
    rs->at = SIZE_MAX;
    while (r == 0 && rs->n < n) {
        r = catalog_run_open(&rs->cur[rs->n], c, &runs[rs->n], err);
        rs->n++;
    }
    return r;
}

void catalog_runs_close(struct catalog_runs *rs)
{
    while (rs->n > 0)
        catalog_run_close(&rs->cur[--rs->n]);
}

int catalog_runs_seek(struct catalog_runs *rs, struct str key, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < rs->n; i++)
        r = catalog_run_seek(&rs->cur[i], key, err);
    choose(rs);
    return r;
}

int catalog_runs_next(struct catalog_runs *rs, struct err *err)
{
    int r = catalog_run_next(&rs->cur[rs->at], err);

    choose(rs);
    return r;
}
