/*
 * query/entry.c - see entry.h.
 *
 * Up to LINEAR_MAX labels a name is found by looking at all of them; a line may bring thousands,
 * and from then on a table of slots over the names is kept.
 *
 * Invariants
 *   (1) no two labels have the same name, those that are gone included;
 *   (2) slots != NULL when n > LINEAR_MAX, holds the position of each label, and is at most half
 *       full.
 */
#include "query/entry.h"

#include "base/hash.h"
#include "base/utf8.h"
#include "query/distinct.h"
#include "query/tmpl.h"

#include <stdlib.h>
#include <string.h>

enum {
    LINEAR_MAX = 24,
    FIRST_CAP = 64,
    NAME_MAX_BYTES = 2 * RECORD_LINE_MAX,
};

void entry_init(struct entry *e, struct mem_budget *budget)
{
    *e = (struct entry){.arena = arena_new(budget, 0), .budget = budget};
    buf_init(&e->name, NAME_MAX_BYTES);
}

void entry_fini(struct entry *e)
{
    arena_free(&e->arena);
    buf_fini(&e->name);
    tmpl_run_free(&e->tmpl);
    distinct_free(&e->dedup);
}

void entry_limit(struct entry *e, const struct str *wanted, size_t n)
{
    e->is_limited = true;
    e->wanted = wanted;
    e->n_wanted = n;
}

bool entry_is_done(const struct entry *e)
{
    return e->is_limited && e->n_found == e->n_wanted;
}

static bool is_wanted(const struct entry *e, struct str name)
{
    for (size_t i = 0; i < e->n_wanted; i++)
        if (str_eq(e->wanted[i], name))
            return true;
    return false;
}

/* ---- finding ---- */

static size_t slot_of(const struct entry *e, struct str name)
{
    return (size_t)hash_bytes(name.p, name.n, 0) & (e->n_slots - 1);
}

static void slot_put(struct entry *e, size_t position)
{
    size_t i = slot_of(e, e->v[position].name);

    while (e->slots[i] != 0)
        i = (i + 1) & (e->n_slots - 1);
    e->slots[i] = (uint32_t)position + 1;
}

/* The label of that name, also if it was removed. */
static struct entry_label *seen(struct entry *e, struct str name)
{
    if (e->slots == NULL) {
        for (size_t i = 0; i < e->n; i++)
            if (str_eq(e->v[i].name, name))
                return &e->v[i];
        return NULL;
    }
    for (size_t i = slot_of(e, name); e->slots[i] != 0; i = (i + 1) & (e->n_slots - 1)) {
        struct entry_label *l = &e->v[e->slots[i] - 1];
        if (str_eq(l->name, name))
            return l;
    }
    return NULL;
}

struct entry_label *entry_find(struct entry *e, struct str name)
{
    struct entry_label *l = seen(e, name);

    return l == NULL || l->gone ? NULL : l;
}

struct str entry_get(struct entry *e, struct str name)
{
    struct entry_label *l;

    if (str_eq(name, ENTRY_ERROR))
        return e->error;
    if (str_eq(name, ENTRY_DETAILS) && e->details.n > 0)
        return e->details;
    l = entry_find(e, name);
    return l == NULL ? STR_NULL : l->value;
}

static bool is_taken(const struct entry_label *l)
{
    return l != NULL && (l->base || (l->kind == LABEL_META && !l->gone));
}

bool entry_is_taken(struct entry *e, struct str name)
{
    return is_taken(seen(e, name));
}

void entry_remove(struct entry *e, struct str name)
{
    struct entry_label *l = entry_find(e, name);

    if (l != NULL)
        l->gone = true;
}

/* ---- adding ---- */

static bool grow(struct entry *e)
{
    size_t cap = e->cap == 0 ? FIRST_CAP : 2 * e->cap;
    struct entry_label *v = arena_alloc(e->arena, cap * sizeof(*v));

    if (v == NULL)
        return false;
    if (e->n > 0)
        memcpy(v, e->v, e->n * sizeof(*v));
    e->v = v;
    e->cap = cap;
    e->slots = NULL;
    return true;
}

/* Make the table for e->cap labels, with those there are. */
static int make_slots(struct entry *e, struct err *err)
{
    e->n_slots = 2 * e->cap; /* keeps (2); cap is a power of two */
    e->slots = arena_alloc(e->arena, e->n_slots * sizeof(*e->slots));
    if (e->slots == NULL)
        return arena_err(e->arena, err);
    for (size_t i = 0; i < e->n; i++)
        slot_put(e, i);
    return 0;
}

/* Append a label whose name is not there. */
static int append(struct entry *e, enum label_kind kind, struct str name, struct str value,
                  struct err *err)
{
    if (e->n == e->cap && !grow(e))
        return arena_err(e->arena, err);
    e->v[e->n++] = (struct entry_label){
        .name = name,
        .value = value,
        .kind = kind,
        .base = kind == LABEL_STREAM,
        .parsed = kind == LABEL_PARSED,
    };
    if (e->slots != NULL)
        slot_put(e, e->n - 1);
    else if (e->n > LINEAR_MAX)
        return make_slots(e, err);
    return 0;
}

/* `name`_extracted in the arena; p == NULL when it is full. */
static struct str extracted(struct entry *e, struct str name)
{
    static const char suffix[] = "_extracted";
    size_t n = name.n + sizeof(suffix) - 1;
    char *p = arena_bytes(e->arena, n);

    if (p == NULL)
        return STR_NULL;
    memcpy(p, name.p, name.n);
    memcpy(p + name.n, suffix, sizeof(suffix) - 1);
    return (struct str){p, n};
}

int entry_begin(struct entry *e, const struct batch *b, const struct record *rec, struct err *err)
{
    const struct labels *stream = &b->streams[rec->stream];
    int r = 0;

    arena_reset(e->arena);
    e->v = NULL;
    e->slots = NULL;
    e->n = e->cap = 0;
    e->error = e->details = STR_NULL;
    e->n_found = 0;
    e->tested = false;
    e->ts = rec->ts;
    e->seq = rec->seq;
    e->line = rec->line;
    for (size_t i = 0; i < stream->n && r == 0; i++)
        r = append(e, LABEL_STREAM, stream->v[i].name, stream->v[i].value, err);
    for (uint32_t i = 0; i < rec->n_attr && r == 0; i++) {
        struct str name = rec->attr[i].name;
        if (seen(e, name) != NULL) {
            name = extracted(e, name);
            if (name.p == NULL)
                return arena_err(e->arena, err);
            if (seen(e, name) != NULL)
                continue; /* keeps (1): the name is taken as well */
        }
        r = append(e, LABEL_META, name, rec->attr[i].value, err);
    }
    return r;
}

/* `l`, or a new label if NULL, is now what a stage made. */
static int put(struct entry *e, struct entry_label *l, struct str name, struct str value,
               struct err *err)
{
    if (e->is_limited && (l == NULL || !l->parsed) && is_wanted(e, name))
        e->n_found++;
    if (l == NULL)
        return append(e, LABEL_PARSED, name, value, err);
    l->kind = LABEL_PARSED;
    l->value = value;
    l->parsed = true;
    l->gone = false;
    return 0;
}

/* What a parser found, under the name that is left for it. */
static int found(struct entry *e, struct str name, struct str value, bool replaces, struct err *err)
{
    struct entry_label *l = seen(e, name);

    if (is_taken(l)) {
        name = extracted(e, name);
        if (name.p == NULL)
            return arena_err(e->arena, err);
        l = seen(e, name);
    }
    return l != NULL && l->parsed && !replaces ? 0 : put(e, l, name, value, err);
}

int entry_parsed(struct entry *e, struct str name, struct str value, struct err *err)
{
    if (e->is_limited && !is_wanted(e, name) && !entry_is_taken(e, name))
        return 0;
    return found(e, name, value, false, err);
}

int entry_named(struct entry *e, struct str name, struct str value, struct err *err)
{
    return found(e, name, value, true, err);
}

int entry_set(struct entry *e, struct str name, struct str value, struct err *err)
{
    return put(e, seen(e, name), name, value, err);
}

void entry_fail(struct entry *e, struct str error, struct str details)
{
    e->error = error;
    e->details = details;
}

bool entry_failed(const struct entry *e)
{
    return e->error.n > 0;
}

/* ---- taking out ---- */

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static void sort(struct label *v, size_t n)
{
    if (n > LINEAR_MAX) {
        qsort(v, n, sizeof(*v), by_name);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct label x = v[i];
        size_t j = i;
        for (; j > 0 && str_cmp(v[j - 1].name, x.name) > 0; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

/* Is it hidden by the error of the entry? */
static bool is_hidden(const struct entry *e, const struct entry_label *l)
{
    return (e->error.n > 0 && str_eq(l->name, ENTRY_ERROR)) ||
           (e->details.n > 0 && str_eq(l->name, ENTRY_DETAILS));
}

bool entry_has_labels(const struct entry *e)
{
    bool has = e->error.n > 0 || e->details.n > 0;

    for (size_t i = 0; i < e->n && !has; i++)
        has = !e->v[i].gone && !is_hidden(e, &e->v[i]);
    return has;
}

int entry_labels(struct entry *e, enum label_kind kind, struct labels *ret, struct err *err)
{
    struct label *v = arena_alloc(e->arena, (e->n + 2) * sizeof(*v));
    size_t n = 0;

    if (v == NULL)
        return arena_err(e->arena, err);
    for (size_t i = 0; i < e->n; i++) {
        const struct entry_label *l = &e->v[i];
        if (!l->gone && (kind == LABEL_KINDS || l->kind == kind) && !is_hidden(e, l))
            v[n++] = (struct label){l->name, l->value};
    }
    if (e->error.n > 0 && kind >= LABEL_PARSED)
        v[n++] = (struct label){ENTRY_ERROR, e->error};
    if (e->details.n > 0 && kind >= LABEL_PARSED)
        v[n++] = (struct label){ENTRY_DETAILS, e->details};
    sort(v, n);
    *ret = (struct labels){v, n};
    return 0;
}

/* ---- text ---- */

static bool is_ascii(struct str s)
{
    unsigned char all = 0;

    for (size_t i = 0; i < s.n; i++)
        all |= (unsigned char)s.p[i];
    return all < 0x80;
}

struct str entry_clean(struct entry *e, struct str s)
{
    static const char mark[] = "\xef\xbf\xbd"; /* U+FFFD */
    size_t n = 0;
    char *to;

    if (is_ascii(s) || (utf8_valid(s) == s.n && str_find(s, STR("\xef\xbf\xbd")) == SIZE_MAX))
        return s;
    to = arena_bytes(e->arena, s.n);
    if (to == NULL)
        return STR_NULL;
    while (s.n > 0) {
        size_t valid = utf8_valid(s);
        for (size_t i = 0; i < valid;) {
            if (valid - i >= 3 && memcmp(s.p + i, mark, 3) == 0) {
                to[n++] = ' ';
                i += 3;
            } else {
                to[n++] = s.p[i++];
            }
        }
        s = str_from(s, valid);
        if (s.n > 0) {
            to[n++] = ' ';
            s = str_from(s, 1);
        }
    }
    return (struct str){to, n};
}

void entry_add_name(struct entry *e, struct str key)
{
    key = str_trim(key);
    if (key.n > 0 && e->name.n == 0 && key.p[0] >= '0' && key.p[0] <= '9')
        buf_add_char(&e->name, '_');
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
            buf_add_char(&e->name, c);
        else if (((unsigned char)c & 0xc0) != 0x80)
            buf_add_char(&e->name, '_'); /* once for all bytes of a character */
    }
}

struct str entry_name(struct entry *e)
{
    return arena_str(e->arena, buf_str(&e->name));
}
