/*
 * query/detect.c - see detect.h.
 *
 * Values come from the very stages that a query would use (op_json, op_logfmt), so a field found
 * here is a field found there.  The stage `json` joins the keys of nested members to one name; a
 * second walk over the line tells which keys those were, and only when a field is new.
 *
 * Distinct values are counted exactly, by 128-bit hashes, up to DISTINCT_MAX of all fields
 * together: a sample has a few thousand lines.
 */
#include "query/detect.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/map.h"
#include "base/obj.h"
#include "base/vec.h"
#include "query/op.h"
#include "query/units.h"

#include <stdlib.h>
#include <string.h>

enum { DISTINCT_MAX = 1 << 20, DISTINCT_BYTES = 64, NAME_MAX_BYTES = 1024 };

struct field {
    struct detect_field seen;
    struct field *next;
    size_t at; /* in order of discovery: makes values of two fields differ */
};

struct detect {
    unsigned magic;
#define DETECT_MAGIC 0xde7ec7f1u
    struct arena *arena;
    struct entry entry;
    struct map *by_name;  /* struct field */
    struct map *distinct; /* of hashes */
    size_t n, max_fields;
    struct field *first;
    struct str watch;
    size_t max_values;
    VEC(struct str) values;
    VEC(struct detect_field) sorted;
};

struct detect *detect_new(size_t max_fields, struct str watch, size_t max_values,
                          struct mem_budget *budget)
{
    struct detect *d = mem_new(sizeof(*d));

    d->magic = DETECT_MAGIC;
    d->arena = arena_new(budget, 0);
    entry_init(&d->entry, budget);
    d->by_name = map_new(0, NULL);
    d->distinct = map_new(DISTINCT_MAX, NULL);
    d->max_fields = max_fields;
    d->watch = watch;
    d->max_values = max_values;
    return d;
}

void detect_free(struct detect **pd)
{
    struct detect *d = *pd;

    *pd = NULL;
    if (d == NULL)
        return;
    OBJ_CHECK(d, DETECT_MAGIC);
    VEC_FINI(&d->values);
    VEC_FINI(&d->sorted);
    map_free(&d->distinct);
    map_free(&d->by_name);
    entry_fini(&d->entry);
    arena_free(&d->arena);
    d->magic = 0;
    free(d);
}

/* ---- types ---- */

static bool is_int(struct str s)
{
    int64_t ignored;

    return s.n > 0 && str_to_i64(s, &ignored);
}

static bool is_bool(struct str s)
{
    static const char *const WORDS[] = {"true",  "false", "True", "False", "TRUE",
                                        "FALSE", "t",     "f",    "T",     "F"};

    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        if (str_eq(s, str_of(WORDS[i])))
            return true;
    return false;
}

static enum detect_type type_of(struct str s)
{
    double number;
    dur_ns duration;
    uint64_t bytes;

    if (is_int(s))
        return DETECT_INT;
    if (units_parse_float(s, &number))
        return DETECT_FLOAT;
    if (is_bool(s))
        return DETECT_BOOLEAN;
    if (units_parse_go_duration(s, &duration, NULL) == UNITS_OK)
        return DETECT_DURATION;
    if (units_parse_bytes(s, &bytes, NULL) == UNITS_OK)
        return DETECT_BYTES;
    return DETECT_STRING;
}

static enum detect_type both(enum detect_type a, enum detect_type b)
{
    if (a == b)
        return a;
    if ((a == DETECT_INT && b == DETECT_FLOAT) || (a == DETECT_FLOAT && b == DETECT_INT))
        return DETECT_FLOAT;
    return DETECT_STRING;
}

const char *detect_type_name(enum detect_type t)
{
    static const char *const NAMES[] = {"string", "int", "float", "boolean", "duration", "bytes"};

    return NAMES[t];
}

/* ---- fields ---- */

/* The field of this name; 1: there are too many already. */
static int find_field(struct detect *d, struct str name, struct field **ret, struct err *err)
{
    struct field *f = map_get(d->by_name, name);

    if (f == NULL) {
        if (d->n == d->max_fields || name.n > NAME_MAX_BYTES)
            return 1;
        f = arena_alloc(d->arena, sizeof(*f));
        if (f == NULL)
            return arena_err(d->arena, err);
        f->seen.name = arena_str(d->arena, name);
        if (f->seen.name.p == NULL)
            return arena_err(d->arena, err);
        f->at = d->n++;
        f->next = d->first;
        d->first = f;
        (void)map_put(d->by_name, f->seen.name, f);
    }
    *ret = f;
    return 0;
}

static int keep_value(struct detect *d, struct str value, struct err *err)
{
    struct str copy;

    if (d->values.n == d->max_values)
        return 0;
    copy = arena_str(d->arena, value);
    if (copy.p == NULL)
        return arena_err(d->arena, err);
    VEC_PUSH(&d->values, copy);
    return 0;
}

static int add_value(struct detect *d, const struct label *l, unsigned parser, struct field **ret,
                     struct err *err)
{
    static char present; /* the map wants a value */
    struct hash128 h;
    struct str id = {(const char *)&h, sizeof(h)};
    struct field *f = NULL;
    int r = find_field(d, l->name, &f, err);

    *ret = f;
    if (f == NULL)
        return r < 0 ? r : 0;
    f->seen.type = f->seen.values == 0 ? type_of(l->value) : both(f->seen.type, type_of(l->value));
    f->seen.parsers |= parser;
    h = hash128_bytes(l->value.p, l->value.n);
    h.lo += f->at * UINT64_C(0x9e3779b97f4a7c15); /* equal values of two fields are two */
    if (map_get(d->distinct, id) != NULL)
        return 0;
    if (arena_bytes(d->arena, DISTINCT_BYTES) == NULL) /* stands for what the map takes */
        return arena_err(d->arena, err);
    if (!map_put(d->distinct, id, &present))
        return 0; /* more than we count */
    f->seen.values++;
    return str_eq(l->name, d->watch) ? keep_value(d, l->value, err) : 0;
}

/* ---- JSON paths ---- */

/* Is `name` the label that members with this flattened name become? */
static bool is_named(struct str label, struct str name)
{
    static const char SUFFIX[] = "_extracted";

    return str_eq(label, name) || (label.n == name.n + sizeof(SUFFIX) - 1 &&
                                   str_starts(label, name) && str_ends(label, str_of(SUFFIX)));
}

static int keep_path(struct detect *d, struct field *f, const struct str *key, size_t n,
                     struct err *err)
{
    struct str *path = arena_alloc(d->arena, n * sizeof(*path));

    if (path == NULL)
        return arena_err(d->arena, err);
    for (size_t i = 0; i < n; i++) {
        path[i] = arena_str(d->arena, key[i]);
        if (path[i].p == NULL)
            return arena_err(d->arena, err);
    }
    f->seen.path = path;
    f->seen.n_path = n;
    return 0;
}

/* The flattened name of the member that `key` leads to, in entry.name. */
static struct str flat_name(struct detect *d, const struct str *key, size_t n)
{
    d->entry.name.n = 0;
    for (size_t i = 0; i < n; i++) {
        struct str part = str_trim(key[i]);
        if (part.n > 0 && d->entry.name.n > 0)
            buf_add_char(&d->entry.name, '_');
        entry_add_name(&d->entry, part);
    }
    return buf_str(&d->entry.name);
}

/* Look for the first member of the line that has become the label of `f`. */
static int find_path(struct detect *d, struct field *f, struct str line, struct err *err)
{
    struct str key[JSON_DEPTH_MAX + 1];
    struct json_reader r;
    struct json_token t;
    struct err ignored;
    size_t depth = 0;

    json_reader_init(&r, line);
    json_reader_lenient(&r);
    if (json_next(&r, &t, &ignored) < 0 || t.type != JSON_OBJECT)
        return 0;
    while (json_next(&r, &t, &ignored) == 0 && t.type != JSON_END) {
        struct json_reader ahead = r;
        if (t.type == JSON_OBJECT_END) {
            if (depth-- == 0)
                return 0;
            continue;
        }
        key[depth] = json_text(&t, d->entry.arena); /* in an object: it is a key */
        if (key[depth].p == NULL)
            return arena_err(d->entry.arena, err);
        if (json_next(&ahead, &t, &ignored) < 0)
            return 0;
        if (t.type == JSON_OBJECT) {
            r = ahead;
            depth++;
        } else if (t.type != JSON_ARRAY && is_named(f->seen.name, flat_name(d, key, depth + 1))) {
            return keep_path(d, f, key, depth + 1, err);
        } else if (json_skip(&r, NULL, &ignored) < 0) {
            return 0;
        }
    }
    return 0;
}

/* ---- lines ---- */

/* `e` anew in d->entry, without what the query's own stages made. */
static int begin(struct detect *d, const struct query_entry *e, struct err *err)
{
    struct labels stream = e->stream;
    struct batch b = {.magic = BATCH_MAGIC, .streams = &stream, .n_streams = 1};
    struct record rec = {.ts = e->ts,
                         .seq = e->seq,
                         .line = e->line,
                         .attr = e->meta.v,
                         .n_attr = (uint32_t)e->meta.n};

    return entry_begin(&d->entry, &b, &rec, err);
}

static bool is_error(struct str name)
{
    return str_eq(name, ENTRY_ERROR) || str_eq(name, ENTRY_DETAILS);
}

/* What a stage made of the line.  1: it was broken. */
static int take_parsed(struct detect *d, unsigned parser, struct err *err)
{
    struct labels l;
    struct str line = d->entry.line;
    int r;

    if (entry_failed(&d->entry))
        return 1;
    r = entry_labels(&d->entry, LABEL_PARSED, &l, err);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        struct field *f = NULL;
        r = add_value(d, &l.v[i], parser, &f, err);
        if (r == 0 && f != NULL && parser == DETECT_JSON && f->seen.n_path == 0)
            r = find_path(d, f, line, err);
    }
    return r;
}

static int parse_line(struct detect *d, const struct query_entry *e, struct err *err)
{
    static const struct ast_stage JSON = {.kind = STAGE_JSON};
    static const struct ast_stage LOGFMT = {.kind = STAGE_LOGFMT};
    bool object = str_starts(str_trim(e->line), STR("{"));
    int r = begin(d, e, err);

    if (r == 0)
        r = object ? op_json(&JSON, &d->entry, err) : op_logfmt(&LOGFMT, &d->entry, err);
    if (r < 0)
        return r;
    r = take_parsed(d, object ? DETECT_JSON : DETECT_LOGFMT, err);
    return r < 0 ? r : 0;
}

int detect_add(struct detect *d, const struct query_entry *e, struct err *err)
{
    struct field *ignored;
    int r = 0;

    OBJ_CHECK(d, DETECT_MAGIC);
    for (size_t i = 0; r == 0 && i < e->meta.n; i++)
        r = add_value(d, &e->meta.v[i], 0, &ignored, err);
    for (size_t i = 0; r == 0 && i < e->parsed.n; i++)
        if (!is_error(e->parsed.v[i].name))
            r = add_value(d, &e->parsed.v[i], 0, &ignored, err);
    return r < 0 ? r : parse_line(d, e, err);
}

/* ---- results ---- */

static int compare_fields(const void *a, const void *b)
{
    const struct detect_field *x = a;
    const struct detect_field *y = b;

    return str_cmp(x->name, y->name);
}

static int compare_texts(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

const struct detect_field *detect_fields(struct detect *d, size_t *n)
{
    OBJ_CHECK(d, DETECT_MAGIC);
    d->sorted.n = 0;
    for (const struct field *f = d->first; f != NULL; f = f->next)
        VEC_PUSH(&d->sorted, f->seen);
    if (d->sorted.n > 0)
        qsort(d->sorted.p, d->sorted.n, sizeof(*d->sorted.p), compare_fields);
    *n = d->sorted.n;
    return d->sorted.p;
}

const struct str *detect_values(struct detect *d, size_t *n)
{
    OBJ_CHECK(d, DETECT_MAGIC);
    if (d->values.n > 0)
        qsort(d->values.p, d->values.n, sizeof(*d->values.p), compare_texts);
    *n = d->values.n;
    return d->values.p;
}
