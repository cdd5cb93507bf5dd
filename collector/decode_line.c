/*
 * collector/decode_line.c - a log of JSON lines: one object a line, of whatever program.
 *
 * The line stays as it is, for the server reads JSON when it is asked; what is taken from it is its
 * time, and its level as an attribute.  With a message key the record is that text, and all other
 * members become attributes, nested ones under names joined by '_', as `| json` names them.  If
 * anything of the line has no place there (too many members, an empty or reserved name, one that
 * is there twice), the line stays whole: nothing is lost for tidiness.
 */
#include "collector/decode.h"

#include "base/json.h"

#include <string.h>

enum { DEPTH_MAX = 8 };

struct walk {
    struct decoder *d;
    const struct decode_keys *keys;
    struct str line;
    struct piece got;
    struct str level;
    bool has_message, whole; /* whole: the line must stay as it is */
};

/* 1970.. in seconds, milli-, micro- or nanoseconds, whichever makes it a time of these decades. */
static bool time_of_number(struct str s, ts_ns *ret)
{
    static const double UNITS[] = {1e9, 1e6, 1e3, 1};
    static const double NEWEST = 1e10; /* seconds: the year 2286 */
    static const double HOLDS = 9.2e9; /* and 2261: how far nanoseconds reach in 64 bits */
    size_t whole = str_find_char(s, '.');
    int64_t integer;
    double v;

    if (whole > s.n && str_to_i64(s, &integer) && integer >= INT64_C(100000000000000000)) {
        *ret = integer; /* nanoseconds: all digits count */
        return true;
    }
    if (!str_to_f64(s, &v) || !(v > 0))
        return false;
    for (int i = 0; i < 4; i++, v /= 1e3)
        if (v < NEWEST) {
            if (v >= HOLDS)
                return false;
            *ret = (ts_ns)(v * 1e9);
            if (whole > s.n && i < 3 && str_to_i64(s, &integer))
                *ret = integer * (ts_ns)UNITS[i];
            return true;
        }
    return false;
}

static void take_time(struct walk *w, struct str text)
{
    if (w->got.ts != 0)
        return;
    if (!time_parse_rfc3339(text, &w->got.ts) && !time_of_number(text, &w->got.ts))
        w->got.ts = 0;
}

static bool is_time_key(const struct walk *w, struct str path)
{
    static const char *const USUAL[] = {"time", "timestamp", "ts", "@timestamp"};

    if (w->keys->time.n > 0)
        return str_eq(path, w->keys->time);
    for (size_t i = 0; i < sizeof(USUAL) / sizeof(USUAL[0]); i++)
        if (str_eq(path, str_of(USUAL[i])))
            return true;
    return false;
}

static bool is_reserved(struct str name)
{
    return str_eq(name, STR("log")) || str_eq(name, STR("stream")) ||
           str_eq(name, STR("partial")) || str_eq(name, STR("truncated")) ||
           str_eq(name, STR("undecoded")) || str_eq(name, STR("unresolved"));
}

/* `path` with '_' between the names; empty: it cannot be one. */
static struct str attr_name(struct walk *w, struct str path)
{
    struct str name = arena_str(w->d->arena, path);
    char *p = (char *)(uintptr_t)name.p;

    for (size_t i = 0; name.p != NULL && i < name.n; i++)
        if (p[i] == '.')
            p[i] = '_';
    return name.p == NULL || is_reserved(name) ? STR_NULL : name;
}

static void add_attr(struct walk *w, struct str path, struct str value)
{
    struct str name = attr_name(w, path);

    if (name.n == 0 || value.p == NULL || w->got.n_attrs == DECODE_ATTRS_MAX) {
        w->whole = true;
        return;
    }
    w->d->attrs[w->got.n_attrs++] = (struct label){name, value};
}

/* One value that is no object; `text` is it, or its JSON. */
static void take_value(struct walk *w, struct str path, struct str text)
{
    if (is_time_key(w, path))
        take_time(w, text);
    if (w->keys->level.n > 0 && str_eq(path, w->keys->level))
        w->level = text;
    if (w->keys->message.n == 0 || w->whole)
        return;
    if (!str_eq(path, w->keys->message)) {
        add_attr(w, w->keys->level.n > 0 && str_eq(path, w->keys->level) ? STR("level") : path,
                 text);
        return;
    }
    w->whole = w->whole || w->has_message;
    w->has_message = true;
    w->got.text = text;
}

/* The rest of an array or object that begins at token `t`: its text. */
static bool take_nested(struct walk *w, struct json_reader *r, const struct json_token *t,
                        struct str *ret)
{
    struct json_token inner;
    struct err err;

    for (unsigned open = 1; open > 0;) {
        if (json_next(r, &inner, &err) < 0)
            return false;
        if (inner.type == JSON_OBJECT || inner.type == JSON_ARRAY)
            open++;
        else if (inner.type == JSON_OBJECT_END || inner.type == JSON_ARRAY_END)
            open--;
    }
    *ret = (struct str){w->line.p + t->offset, (size_t)(json_rest(r).p - w->line.p) - t->offset};
    return true;
}

/* The members of an object whose '{' was read.  The names that lead to one are in d->scratch. */
static bool take_members(struct walk *w, struct json_reader *r)
{
    struct buf *path = &w->d->scratch;
    size_t begin[DEPTH_MAX] = {0}; /* where the name of a member of each depth begins */
    unsigned depth = 0;
    struct json_token t;
    struct err err;
    struct str text;

    buf_clear(path);
    for (;;) {
        if (json_next(r, &t, &err) < 0)
            return false;
        if (t.type == JSON_OBJECT_END && depth == 0)
            return true;
        if (t.type == JSON_OBJECT_END) {
            path->n = begin[--depth];
            continue;
        }
        begin[depth] = path->n;
        if (depth > 0)
            buf_add_char(path, '.');
        buf_add_str(path, json_text(&t, w->d->arena));
        if (path->over || json_next(r, &t, &err) < 0)
            return false;
        if (t.type == JSON_OBJECT && depth + 1 < DEPTH_MAX) {
            depth++;
            continue;
        }
        text = t.type == JSON_STRING ? json_text(&t, w->d->arena) : t.raw;
        if ((t.type == JSON_OBJECT || t.type == JSON_ARRAY) && !take_nested(w, r, &t, &text))
            return false;
        take_value(w, buf_str(path), text);
        path->n = begin[depth];
    }
}

/* What came of the line: its message and attributes, or the line and its level. */
static void finish(struct walk *w, struct piece *ret)
{
    struct piece *p = &w->got;
    size_t n = p->n_attrs;

    if (w->has_message && !w->whole)
        p->n_attrs = labels_sort(w->d->attrs, n);
    if (!w->has_message || w->whole || p->n_attrs < n) { /* one was there twice */
        p->text = w->line;
        p->n_attrs = 0;
        if (w->level.n > 0)
            w->d->attrs[p->n_attrs++] = (struct label){STR("level"), w->level};
    }
    p->attrs = w->d->attrs;
    p->last = true;
    *ret = *p;
}

bool decode_json_line(struct decoder *d, struct str line, struct piece *ret)
{
    static const struct decode_keys NONE = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct walk w = {.d = d, .keys = d->keys == NULL ? &NONE : d->keys, .line = line};
    struct json_reader r;
    struct json_token t;
    struct err err;

    arena_reset(d->arena);
    json_reader_init(&r, line);
    if (json_next(&r, &t, &err) < 0 || t.type != JSON_OBJECT || !take_members(&w, &r))
        return false;
    if (str_trim(json_rest(&r)).n > 0)
        return false;
    finish(&w, ret);
    return true;
}
