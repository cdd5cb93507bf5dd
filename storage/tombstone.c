/*
 * storage/tombstone.c - delete requests in memory and as bytes.  Contract: tombstone.h.
 *
 * Bytes: {varint version 1, tenant, created, from, to (zigzag), seq, state, text query, text user,
 * varint matchers, each {varint op, text name, text value}, varint filters, each {varint flags (1
 * pattern, 2 negative), varint n, texts}}; a text is {varint length, bytes}.
 */
#include "storage/tombstone.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/find.h"
#include "storage/varint.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    ARENA_MAX = 4 << 20,
    MATCHERS_MAX = 64,
    FILTERS_MAX = 64,
    TEXTS_MAX = 64,
    FLAG_REGEXP = 1,
    FLAG_NEGATIVE = 2,
};

struct filter {
    struct store_delete_filter text;
    struct find *find;  /* of each text, or */
    struct regexp **re; /* owned */
};

struct tombstone {
    unsigned magic;
#define TOMBSTONE_MAGIC 0x70b57013u
    _Atomic unsigned refs;
    uint64_t id, tenant_id, seq;
    struct store_delete d; /* all that it points to is in the arena */
    struct matcher *matchers;
    struct filter *filters;
    _Atomic int state;
    _Atomic uint64_t marked;
    struct arena *arena;
};

static struct tombstone *blank(uint64_t id, uint64_t tenant_id)
{
    struct tombstone *t = mem_new(sizeof(*t));

    t->magic = TOMBSTONE_MAGIC;
    atomic_init(&t->refs, 1);
    atomic_init(&t->marked, UINT64_MAX);
    t->id = id;
    t->tenant_id = tenant_id;
    t->arena = arena_new(NULL, ARENA_MAX);
    (void)snprintf(t->d.id, sizeof(t->d.id), "%016" PRIx64, id);
    return t;
}

struct tombstone *tombstone_ref(struct tombstone *t)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tombstone_unref(struct tombstone **pt)
{
    struct tombstone *t = *pt;

    *pt = NULL;
    if (t == NULL)
        return;
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; t->matchers != NULL && i < t->d.n_matchers; i++)
        matcher_fini(&t->matchers[i]);
    for (size_t i = 0; t->filters != NULL && i < t->d.n_filters; i++)
        for (size_t k = 0; t->filters[i].re != NULL && k < t->filters[i].text.n; k++)
            regexp_free(&t->filters[i].re[k]);
    arena_free(&t->arena);
    t->magic = 0;
    free(t);
}

/* ---- making one ---- */

static int copy_matcher(struct tombstone *t, const struct matcher *from, struct matcher *ret,
                        struct err *err)
{
    struct str name = arena_str(t->arena, from->name);
    struct str value = arena_str(t->arena, from->value);

    if (name.p == NULL || value.p == NULL)
        return arena_err(t->arena, err);
    return matcher_init(ret, from->op, name, value, err);
}

static int copy_filter(struct tombstone *t, const struct store_delete_filter *from,
                       struct filter *ret, struct err *err)
{
    struct str *text = arena_alloc(t->arena, from->n * sizeof(*text) + 1);
    int r = 0;

    ret->text = *from;
    ret->text.text = text;
    if (from->regexp)
        ret->re = arena_alloc(t->arena, from->n * sizeof(struct regexp *) + 1);
    else
        ret->find = arena_alloc(t->arena, from->n * sizeof(*ret->find) + 1);
    if (text == NULL || (ret->re == NULL && ret->find == NULL))
        return arena_err(t->arena, err);
    for (size_t i = 0; r == 0 && i < from->n; i++) {
        text[i] = arena_str(t->arena, from->text[i]);
        if (text[i].p == NULL)
            r = arena_err(t->arena, err);
        else if (from->regexp)
            r = regexp_new(text[i], false, &ret->re[i], err);
        else
            find_init(&ret->find[i], text[i]);
    }
    return r;
}

/* Into a blank one; d's arrays may be anybody's. */
static int fill(struct tombstone *t, const struct store_delete *d, struct err *err)
{
    int r = 0;

    if (d->n_matchers > MATCHERS_MAX || d->n_filters > FILTERS_MAX)
        return err_set(err, ERR_LIMIT,
                       "a delete request or hold has at most %d matchers and %d filters",
                       MATCHERS_MAX, FILTERS_MAX);
    t->d.query = arena_str(t->arena, d->query);
    t->d.user = arena_str(t->arena, d->user);
    t->d.from = d->from;
    t->d.to = d->to;
    t->matchers = arena_alloc(t->arena, d->n_matchers * sizeof(*t->matchers) + 1);
    t->filters = arena_alloc(t->arena, d->n_filters * sizeof(*t->filters) + 1);
    if (t->d.query.p == NULL || t->d.user.p == NULL || t->matchers == NULL || t->filters == NULL)
        return arena_err(t->arena, err);
    t->d.matchers = t->matchers;
    for (size_t i = 0; r == 0 && i < d->n_matchers; i++) {
        t->d.n_matchers = i + 1;
        r = copy_matcher(t, &d->matchers[i], &t->matchers[i], err);
    }
    for (size_t i = 0; r == 0 && i < d->n_filters; i++) {
        if (d->filters[i].n > TEXTS_MAX)
            return err_set(err, ERR_LIMIT, "a filter has more than %d alternatives", TEXTS_MAX);
        t->d.n_filters = i + 1;
        r = copy_filter(t, &d->filters[i], &t->filters[i], err);
    }
    return r;
}

int tombstone_new(uint64_t id, uint64_t tenant_id, const struct store_delete *d, uint64_t seq,
                  struct tombstone **ret, struct err *err)
{
    struct tombstone *t = blank(id, tenant_id);
    int r;

    t->seq = seq;
    t->d.created = d->created;
    r = fill(t, d, err);
    if (r < 0)
        tombstone_unref(&t);
    else
        *ret = t;
    return r;
}

/* ---- bytes ---- */

static void put_text(struct buf *out, struct str s)
{
    varint_put(out, s.n);
    buf_add_str(out, s);
}

void tombstone_put(const struct tombstone *t, enum store_delete_state state, struct buf *out)
{
    const uint64_t head[] = {VERSION,
                             t->tenant_id,
                             zigzag((uint64_t)t->d.created),
                             zigzag((uint64_t)t->d.from),
                             zigzag((uint64_t)t->d.to),
                             t->seq,
                             (uint64_t)state};

    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
        varint_put(out, head[i]);
    put_text(out, t->d.query);
    put_text(out, t->d.user);
    varint_put(out, t->d.n_matchers);
    for (size_t i = 0; i < t->d.n_matchers; i++) {
        varint_put(out, (uint64_t)t->matchers[i].op);
        put_text(out, t->matchers[i].name);
        put_text(out, t->matchers[i].value);
    }
    varint_put(out, t->d.n_filters);
    for (size_t i = 0; i < t->d.n_filters; i++) {
        const struct store_delete_filter *f = &t->filters[i].text;
        varint_put(out, (f->regexp ? 1U : 0U) + (f->negative ? 2U : 0U)); /* FLAG_* */
        varint_put(out, f->n);
        for (size_t k = 0; k < f->n; k++)
            put_text(out, f->text[k]);
    }
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

static bool get_count(struct str *in, uint64_t max, size_t *ret)
{
    uint64_t n;

    if (!varint_get(in, &n) || n > max)
        return false;
    *ret = (size_t)n;
    return true;
}

/* What the bytes say, before it is copied and compiled; small, so on the stack of the caller. */
struct parsed {
    struct store_delete d;
    uint64_t head[7];
    struct matcher matchers[MATCHERS_MAX];
    struct store_delete_filter filters[FILTERS_MAX];
    struct str texts[FILTERS_MAX * TEXTS_MAX];
};

static bool get_lists(struct str *in, struct parsed *p)
{
    size_t n_texts = 0;

    if (!get_count(in, MATCHERS_MAX, &p->d.n_matchers))
        return false;
    for (size_t i = 0; i < p->d.n_matchers; i++) {
        size_t op;
        if (!get_count(in, MATCH_NRE, &op) || !get_text(in, &p->matchers[i].name) ||
            !get_text(in, &p->matchers[i].value))
            return false;
        p->matchers[i].op = (enum match_op)op;
    }
    if (!get_count(in, FILTERS_MAX, &p->d.n_filters))
        return false;
    for (size_t i = 0; i < p->d.n_filters; i++) {
        struct store_delete_filter *f = &p->filters[i];
        size_t flags;
        if (!get_count(in, FLAG_REGEXP + FLAG_NEGATIVE, &flags) || !get_count(in, TEXTS_MAX, &f->n))
            return false;
        f->regexp = (flags & FLAG_REGEXP) != 0;
        f->negative = (flags & FLAG_NEGATIVE) != 0;
        f->text = p->texts + n_texts;
        for (size_t k = 0; k < f->n; k++)
            if (!get_text(in, &p->texts[n_texts++]))
                return false;
    }
    return in->n == 0;
}

static bool parse(struct str in, struct parsed *p)
{
    for (size_t i = 0; i < sizeof(p->head) / sizeof(p->head[0]); i++)
        if (!varint_get(&in, &p->head[i]))
            return false;
    p->d.matchers = p->matchers;
    p->d.filters = p->filters;
    p->d.created = (ts_ns)unzigzag(p->head[2]);
    p->d.from = (ts_ns)unzigzag(p->head[3]);
    p->d.to = (ts_ns)unzigzag(p->head[4]);
    return p->head[0] == VERSION && p->head[6] <= STORE_DELETE_PROCESSED &&
           get_text(&in, &p->d.query) && get_text(&in, &p->d.user) && get_lists(&in, p);
}

int tombstone_get(uint64_t id, struct str bytes, struct tombstone **ret, struct err *err)
{
    struct parsed *p = mem_new(sizeof(*p));
    int r = 0;

    if (!parse(bytes, p))
        r = err_set(err, ERR_CORRUPT, "delete request or hold %016" PRIx64 " is damaged", id);
    if (r == 0)
        r = tombstone_new(id, p->head[1], &p->d, p->head[5], ret, err);
    if (r == 0)
        tombstone_set_state(*ret, (enum store_delete_state)p->head[6]);
    free(p);
    return r;
}

/* ---- asking ---- */

uint64_t tombstone_id(const struct tombstone *t)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    return t->id;
}

uint64_t tombstone_tenant(const struct tombstone *t)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    return t->tenant_id;
}

uint64_t tombstone_seq(const struct tombstone *t)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    return t->seq;
}

enum store_delete_state tombstone_state(const struct tombstone *t)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    return (enum store_delete_state)atomic_load(&t->state);
}

void tombstone_set_state(struct tombstone *t, enum store_delete_state state)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    atomic_store(&t->state, (int)state);
}

uint64_t tombstone_marked(const struct tombstone *t)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    return atomic_load(&t->marked);
}

void tombstone_set_marked(struct tombstone *t, uint64_t marked)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    atomic_store(&t->marked, marked);
}

void tombstone_describe(const struct tombstone *t, struct store_delete *ret)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    *ret = t->d;
    ret->n_filters = 0; /* their texts are in `query` */
    ret->state = tombstone_state(t);
}

ts_ns tombstone_from(const struct tombstone *t)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    return t->d.from;
}

ts_ns tombstone_to(const struct tombstone *t)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    return t->d.to;
}

bool tombstone_has_matchers(const struct tombstone *t)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    return t->d.n_matchers > 0;
}

bool tombstone_has_filters(const struct tombstone *t)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    return t->d.n_filters > 0;
}

bool tombstone_hits_stream(const struct tombstone *t, const struct labels *l)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    return matchers_match(t->matchers, t->d.n_matchers, l);
}

static bool is_in(const struct filter *f, struct str line)
{
    for (size_t i = 0; i < f->text.n; i++)
        if (f->text.regexp ? regexp_matches(f->re[i], line)
                           : find_next(&f->find[i], line, 0) != SIZE_MAX)
            return true;
    return false;
}

bool tombstone_hits_line(const struct tombstone *t, struct str line)
{
    OBJ_CHECK(t, TOMBSTONE_MAGIC);
    for (size_t i = 0; i < t->d.n_filters; i++)
        if (is_in(&t->filters[i], line) == t->filters[i].text.negative)
            return false;
    return true;
}
