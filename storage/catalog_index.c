/*
 * storage/catalog_index.c - label pairs and the streams that have them.  Contract: catalog_index.h.
 *
 * New streams make a run; while the newest run is not much larger than what comes, it is taken up
 * in it, so that there are few, each at least twice the next (catalog_run.h).
 *
 * A selector becomes a set of ids, matcher by matcher.  What is exact and positive is one posting.
 * Everything else asks each value of its label once: the set is that of the values that match, or,
 * when a stream without the label matches too, all but that of those which do not.  With few ids
 * left the rest is asked of the labels themselves, as they are anyway before anybody is told.
 */
#include "storage/catalog_index.h"

#include "base/mem.h"
#include "base/obj.h"
#include "storage/catalog_internal.h"
#include "storage/catalog_run.h"
#include "storage/postings.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAIRS_MAX = 1 << 18, /* sorted at once */
    SMALL_RUN = 16 << 10,
    FEW = 2048, /* ids that are rather looked at one by one */
    KEY_MAX = 1 << 24,
    ARENA_MAX = 64 << 20,
};

static void make_key(struct buf *key, struct str name, struct str value)
{
    buf_clear(key);
    buf_add_str(key, name);
    buf_add_char(key, '\0');
    buf_add_str(key, value);
}

/* A key's two halves; false: it has no NUL. */
static bool split_key(struct str key, struct str *name, struct str *value)
{
    size_t at = str_find_char(key, '\0');

    if (at == SIZE_MAX)
        return false;
    *name = str_sub(key, 0, at);
    *value = str_from(key, at + 1);
    return true;
}

static int corrupt(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "catalog: postings");
}

/* ---- merging ---- */

/* A run in the making, fed with ascending keys that may repeat. */
struct merger {
    struct catalog_run_writer to;
    struct buf key, postings;
    struct postings_writer ids;
    bool open; /* `key` is being gathered */
};

static int merger_flush(struct merger *m, struct err *err)
{
    int r;

    if (!m->open)
        return 0;
    m->open = false;
    postings_end(&m->ids);
    r = buf_err(&m->postings, "ids of a label", err);
    return r < 0 ? r : catalog_run_put(&m->to, buf_str(&m->key), buf_str(&m->postings), err);
}

/* From here on ids of `key`. */
static int merger_key(struct merger *m, struct str key, struct err *err)
{
    int r = 0;

    if (m->open && str_eq(buf_str(&m->key), key))
        return 0;
    r = merger_flush(m, err);
    buf_clear(&m->key);
    buf_add_str(&m->key, key);
    buf_clear(&m->postings);
    m->ids = (struct postings_writer){.out = &m->postings};
    m->open = true;
    return r;
}

static int merger_ids(struct merger *m, struct str postings, struct err *err)
{
    struct postings_reader pr = {.in = postings};
    uint32_t from, to;
    bool ok = true;

    while (postings_next(&pr, &from, &to, &ok)) {
        if (from < m->ids.to)
            return corrupt(err);
        postings_add(&m->ids, from, to);
    }
    return ok ? 0 : corrupt(err);
}

struct pair {
    struct str name, value;
    uint32_t id;
};

static int by_key(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;
    int order = str_cmp(x->name, y->name);

    if (order == 0)
        order = str_cmp(x->value, y->value);
    return order != 0 ? order : (x->id > y->id) - (x->id < y->id);
}

/* Is the key of `p` before `key`, or the same? */
static bool is_due(const struct pair *p, struct str key)
{
    struct str name, value;
    int order;

    if (!split_key(key, &name, &value))
        return true;
    order = str_cmp(p->name, name);
    return order < 0 || (order == 0 && str_cmp(p->value, value) < 0);
}

static int merger_pair(struct merger *m, const struct pair *p, struct buf *key, struct err *err)
{
    int r;

    make_key(key, p->name, p->value);
    r = buf_err(key, "a label", err);
    if (r == 0)
        r = merger_key(m, buf_str(key), err);
    if (r == 0)
        postings_add(&m->ids, p->id, p->id + 1);
    return r;
}

/* Runs and sorted pairs, which come last among equals, into one run. */
static int merge(struct merger *m, struct catalog_runs *old, const struct pair *pairs, size_t n,
                 struct err *err)
{
    struct buf key;
    size_t i = 0;
    int r = 0;

    buf_init(&key, KEY_MAX);
    while (r == 0 && (i < n || old->at != SIZE_MAX)) {
        if (old->at == SIZE_MAX || (i < n && is_due(&pairs[i], old->cur[old->at].key))) {
            r = merger_pair(m, &pairs[i++], &key, err);
            continue;
        }
        r = merger_key(m, old->cur[old->at].key, err);
        if (r == 0)
            r = merger_ids(m, old->cur[old->at].postings, err);
        if (r == 0)
            r = catalog_runs_next(old, err);
    }
    buf_fini(&key);
    return r;
}

/* How many of the newest runs are taken up by one of about `bytes`. */
static size_t count_taken(const struct catalog_run *runs, size_t n, uint64_t bytes)
{
    size_t taken = 0;

    while (taken < n) {
        const struct catalog_run *next = &runs[n - 1 - taken];
        if (next->bytes > SMALL_RUN && next->bytes > 2 * bytes)
            break;
        bytes += next->bytes;
        taken++;
    }
    return taken;
}

/* Sorted pairs, and the newest runs as far as it pays, become a run. */
static int add_run(struct catalog *c, const struct pair *pairs, size_t n, uint64_t bytes,
                   struct err *err)
{
    struct catalog_run runs[CATALOG_RUNS_MAX];
    struct catalog_runs *old = mem_new(sizeof(*old));
    struct merger m = {.open = false};
    size_t n_runs = 0;
    size_t taken = 0;
    int r = catalog_run_list(c, runs, &n_runs, err);

    if (r < 0) {
        free(old);
        return r;
    }
    taken = count_taken(runs, n_runs, bytes);
    catalog_run_begin(&m.to, c, n_runs == 0 ? 1 : runs[n_runs - 1].id + 1);
    buf_init(&m.key, KEY_MAX);
    buf_init(&m.postings, ARENA_MAX);
    r = catalog_runs_open(old, c, runs + n_runs - taken, taken, err);
    if (r == 0)
        r = catalog_runs_seek(old, STR(""), err);
    if (r == 0)
        r = merge(&m, old, pairs, n, err);
    if (r == 0)
        r = merger_flush(&m, err);
    r = catalog_run_end(&m.to, r, err);
    catalog_runs_close(old);
    for (size_t i = n_runs - taken; r == 0 && i < n_runs; i++)
        r = catalog_run_drop(c, &runs[i], err);
    buf_fini(&m.key);
    buf_fini(&m.postings);
    free(old);
    return r;
}

int catalog_index_add(struct catalog *c, const struct segment_stream *const *streams, size_t n,
                      uint32_t first, struct err *err)
{
    VEC(struct pair) pairs = {0};
    uint64_t bytes = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct labels *l = streams[i] == NULL ? NULL : &streams[i]->labels;
        for (size_t k = 0; l != NULL && k < l->n; k++) {
            struct pair p = {l->v[k].name, l->v[k].value, first + (uint32_t)i};
            VEC_PUSH(&pairs, p);
            bytes += 4 + l->v[k].value.n / 2; /* about what it takes, sealed */
        }
        if (pairs.n < PAIRS_MAX && i + 1 < n)
            continue;
        if (pairs.n > 1)
            qsort(pairs.p, pairs.n, sizeof(*pairs.p), by_key);
        if (pairs.n > 0)
            r = add_run(c, pairs.p, pairs.n, bytes, err);
        pairs.n = 0;
        bytes = 0;
    }
    VEC_FINI(&pairs);
    return r;
}

/* ---- selecting ---- */

/* One question to a catalog. */
struct asking {
    struct catalog *c;
    struct arena *arena;
    struct catalog_runs runs;
    struct buf key;
    uint32_t end; /* ids are below it */
};

static void asking_close(struct asking *q)
{
    catalog_runs_close(&q->runs);
    buf_fini(&q->key);
    arena_free(&q->arena);
    free(q);
}

static int asking_open(struct catalog *c, struct asking **ret, struct err *err)
{
    struct catalog_run runs[CATALOG_RUNS_MAX];
    struct asking *q = mem_new(sizeof(*q));
    size_t n = 0;
    int r;

    q->c = c;
    q->arena = arena_new(NULL, ARENA_MAX);
    buf_init(&q->key, KEY_MAX);
    r = catalog_streams_end(c, &q->end, err);
    if (r == 0)
        r = catalog_run_list(c, runs, &n, err);
    if (r == 0)
        r = catalog_runs_open(&q->runs, c, runs, n, err);
    if (r < 0)
        asking_close(q);
    else
        *ret = q;
    return r;
}

static int add_postings(struct idset *to, struct str postings, struct err *err)
{
    struct postings_reader pr = {.in = postings};
    uint32_t from, end;
    bool ok = true;

    while (postings_next(&pr, &from, &end, &ok))
        idset_add_range(to, from, end);
    return ok ? 0 : corrupt(err);
}

/* Add the ids that have exactly this pair. */
static int add_exact(struct asking *q, struct str name, struct str value, struct idset *to,
                     struct err *err)
{
    struct catalog_runs *rs = &q->runs;
    int r;

    make_key(&q->key, name, value);
    r = catalog_runs_seek(rs, buf_str(&q->key), err);
    while (r == 0 && rs->at != SIZE_MAX && str_eq(rs->cur[rs->at].key, buf_str(&q->key))) {
        r = add_postings(to, rs->cur[rs->at].postings, err);
        if (r == 0)
            r = catalog_runs_next(rs, err);
    }
    return r;
}

/* Add the ids whose value of the label the matcher gives `want` for. */
static int add_values(struct asking *q, const struct matcher *m, bool want, struct idset *to,
                      struct err *err)
{
    struct catalog_runs *rs = &q->runs;
    struct str name, value;
    int r;

    make_key(&q->key, m->name, STR(""));
    r = catalog_runs_seek(rs, buf_str(&q->key), err);
    while (r == 0 && rs->at != SIZE_MAX) {
        if (!split_key(rs->cur[rs->at].key, &name, &value))
            return corrupt(err);
        if (!str_eq(name, m->name))
            break;
        if (matcher_matches(m, value) == want)
            r = add_postings(to, rs->cur[rs->at].postings, err);
        if (r == 0)
            r = catalog_runs_next(rs, err);
    }
    return r;
}

static bool is_exact(const struct matcher *m)
{
    return m->op == MATCH_EQ && m->value.n > 0;
}

/* Keep what the matcher lets pass. */
static int narrow(struct asking *q, const struct matcher *m, struct idset *set, struct err *err)
{
    bool empty_passes = matcher_matches(m, STR(""));
    struct idset hits;
    int r = idset_init(&hits, q->end, false, q->arena, err);

    if (r == 0 && is_exact(m))
        r = add_exact(q, m->name, m->value, &hits, err);
    else if (r == 0 && m->op == MATCH_NE && m->value.n > 0)
        r = add_exact(q, m->name, m->value, &hits, err);
    else if (r == 0)
        r = add_values(q, m, !empty_passes, &hits, err);
    if (r < 0)
        return r;
    if (empty_passes)
        idset_and_not(set, &hits);
    else
        idset_and(set, &hits);
    return 0;
}

/* The ids that may match: all that do, and perhaps others while they are few.  *exact: no others.
 */
static int select_ids(struct asking *q, const struct catalog_selector *sel, struct idset *set,
                      bool *exact, struct err *err)
{
    int r = idset_init(set, q->end, true, q->arena, err);

    *exact = true;
    if (r == 0 && sel->within != NULL)
        idset_and(set, sel->within);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; r == 0 && i < sel->n_matchers; i++) {
            if (is_exact(&sel->matchers[i]) != (pass == 0))
                continue;
            if (pass == 1 && idset_count(set) <= FEW) {
                *exact = false;
                continue;
            }
            r = narrow(q, &sel->matchers[i], set, err);
        }
    return r;
}

struct teller {
    const struct catalog_selector *sel;
    catalog_stream_fn *fn;
    void *arg;
};

/* What the index says is proved on the labels, which are here by now. */
static int tell_if(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    const struct teller *t = arg;

    if (!matchers_match(t->sel->matchers, t->sel->n_matchers, l))
        return 0;
    return t->fn(t->arg, id, l, err);
}

int catalog_select(struct catalog *c, const struct catalog_selector *sel, catalog_stream_fn *fn,
                   void *arg, struct err *err)
{
    struct teller t = {sel, fn, arg};
    struct asking *q = NULL;
    struct idset set;
    bool exact;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = asking_open(c, &q, err);
    if (r < 0)
        return r;
    r = select_ids(q, sel, &set, &exact, err);
    if (r == 0)
        r = catalog_streams_of(c, &set, tell_if, &t, err);
    asking_close(q);
    return r;
}

/* ---- labels ---- */

struct within {
    struct idset *set;
    const struct catalog_selector *sel;
};

static int note_id(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    const struct within *w = arg;

    (void)err;
    if (matchers_match(w->sel->matchers, w->sel->n_matchers, l))
        idset_add(w->set, id);
    return 0;
}

/* The ids that do match. */
static int select_exactly(struct asking *q, const struct catalog_selector *sel, struct idset *ret,
                          struct err *err)
{
    struct idset rough;
    struct within w = {ret, sel};
    bool exact;
    int r = select_ids(q, sel, &rough, &exact, err);

    if (r < 0 || exact) {
        *ret = rough;
        return r;
    }
    r = idset_init(ret, q->end, false, q->arena, err);
    return r < 0 ? r : catalog_streams_of(q->c, &rough, note_id, &w, err);
}

/* 1: one of them is in the set. */
static int has_any(const struct idset *set, struct str postings, struct err *err)
{
    struct postings_reader pr = {.in = postings};
    uint32_t from, to;
    bool ok = true;

    if (set == NULL)
        return 1;
    while (postings_next(&pr, &from, &to, &ok))
        if (idset_has_any(set, from, to))
            return 1;
    return ok ? 0 : corrupt(err);
}

/* Tell of each name, or of each value of `name`, that an id of `set` has (NULL: anybody). */
static int tell_texts(struct asking *q, const struct idset *set, struct str name,
                      catalog_text_fn *fn, void *arg, struct err *err)
{
    struct catalog_runs *rs = &q->runs;
    struct buf last;
    bool told = false; /* of `last` */
    int r;

    buf_init(&last, KEY_MAX);
    make_key(&q->key, name, STR(""));
    if (name.n == 0)
        buf_clear(&q->key);
    r = catalog_runs_seek(rs, buf_str(&q->key), err);
    while (r == 0 && rs->at != SIZE_MAX) {
        struct str have, value, text;
        if (!split_key(rs->cur[rs->at].key, &have, &value)) {
            r = corrupt(err);
            break;
        }
        if (name.n > 0 && !str_eq(have, name))
            break;
        text = name.n > 0 ? value : have;
        if (last.n == 0 || !str_eq(text, buf_str(&last))) {
            buf_clear(&last);
            buf_add_str(&last, text);
            told = false;
        }
        if (!told) {
            r = has_any(set, rs->cur[rs->at].postings, err);
            told = r == 1;
            if (told)
                r = fn(arg, buf_str(&last), err);
        }
        if (r != 0)
            break;
        if (told && name.n == 0) { /* over the rest of its values */
            make_key(&q->key, buf_str(&last), STR(""));
            q->key.p[q->key.n - 1] = '\1';
            r = catalog_runs_seek(rs, buf_str(&q->key), err);
        } else {
            r = catalog_runs_next(rs, err);
        }
    }
    buf_fini(&last);
    return r;
}

int catalog_labels(struct catalog *c, const struct catalog_selector *sel, struct str name,
                   catalog_text_fn *fn, void *arg, struct err *err)
{
    bool all = sel->n_matchers == 0 && sel->within == NULL;
    struct asking *q = NULL;
    struct idset set;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    r = asking_open(c, &q, err);
    if (r < 0)
        return r;
    if (!all)
        r = select_exactly(q, sel, &set, err);
    if (r == 0)
        r = tell_texts(q, all ? NULL : &set, name, fn, arg, err);
    asking_close(q);
    return r;
}
