/* query/format.c - values, and entries as JSON lines; see format.h. */
#include "query/format.h"

#include "base/json.h"
#include "base/vec.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

/* The fewest significant digits that read back as `v`, as d.ddde+xx in `text`. */
static void shortest(double v, char *text, size_t cap)
{
    int digits = 0;

    do
        (void)snprintf(text, cap, "%.*e", digits, v);
    while (digits++ < 17 && strtod(text, NULL) != v);
}

void format_value(struct buf *out, double v)
{
    char text[40];
    char digits[40];
    size_t n = 0;
    const char *e;
    long exponent;

    if (isnan(v) || isinf(v)) {
        buf_add_z(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (v == floor(v) && fabs(v) < 1e15) { /* most are counts */
        buf_addf(out, "%.0f", v);
        return;
    }
    shortest(v, text, sizeof(text));
    e = strchr(text, 'e');
    exponent = strtol(e + 1, NULL, 10);
    for (const char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    if (v < 0)
        buf_add_char(out, '-');
    if (exponent < 0)
        buf_add_z(out, "0.");
    for (long i = exponent + 1; i < 0; i++)
        buf_add_char(out, '0');
    for (size_t i = 0; i < n; i++) {
        if (exponent >= 0 && (long)i == exponent + 1)
            buf_add_char(out, '.');
        buf_add_char(out, digits[i]);
    }
    for (long i = (long)n; i <= exponent; i++)
        buf_add_char(out, '0');
}

/* ---- JSON lines ---- */

static void write_labels(struct json_writer *w, const char *key, const struct labels *l)
{
    json_put_key(w, str_of(key));
    labels_put_json(w, l);
}

void format_entry_json(struct buf *out, const struct query_entry *e)
{
    struct json_writer w;
    char text[TIME_TEXT_MAX];

    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_str(&w, "ts", time_format_rfc3339(e->ts, text));
    (void)snprintf(text, sizeof(text), "%" PRId64, e->ts);
    json_put_kv_str(&w, "ts_ns", str_of(text));
    json_put_kv_u64(&w, "seq", e->seq);
    write_labels(&w, "labels", &e->stream);
    write_labels(&w, "attributes", &e->meta);
    write_labels(&w, "parsed", &e->parsed);
    json_put_kv_str(&w, "line", e->line);
    if (e->is_context) {
        json_put_key(&w, STR("context"));
        json_put_bool(&w, true);
    }
    json_put_object_end(&w);
}

static int no_entry(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "not an entry: %s", what);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

/* The next token, which must be of `type`, as text in `a`. */
static int read_text(struct json_reader *r, enum json_type type, struct arena *a, struct str *ret,
                     struct err *err)
{
    struct json_token tok;
    int x = json_next(r, &tok, err);

    if (x < 0)
        return x;
    if (tok.type != type)
        return no_entry("a value has the wrong type", err);
    *ret = json_text(&tok, a);
    if (ret->p == NULL)
        return arena_err(a, err);
    return 0;
}

typedef VEC(struct label) label_list;

static void add_label(label_list *to, struct label l)
{
    VEC_PUSH(to, l);
}

/* The members of an object of strings, up to its end. */
static int read_pairs(struct json_reader *r, struct arena *a, label_list *ret, struct err *err)
{
    enum { LABELS_MAX = 4096 };
    struct json_token tok;
    struct label l;
    int x = json_next(r, &tok, err);

    while (x == 0 && tok.type == JSON_KEY) {
        l = (struct label){json_text(&tok, a), STR_NULL};
        if (l.name.p == NULL)
            return arena_err(a, err);
        if (ret->n == LABELS_MAX)
            return no_entry("too many labels", err);
        x = read_text(r, JSON_STRING, a, &l.value, err);
        if (x != 0)
            return x;
        add_label(ret, l);
        x = json_next(r, &tok, err);
    }
    return x;
}

static int read_labels(struct json_reader *r, struct arena *a, struct labels *ret, struct err *err)
{
    label_list list = {0};
    struct json_token tok;
    int x = json_next(r, &tok, err);

    if (x == 0 && tok.type != JSON_OBJECT)
        x = no_entry("labels are no object", err);
    if (x == 0)
        x = read_pairs(r, a, &list, err);
    if (x == 0 && list.n > 0) {
        ret->v = arena_alloc(a, list.n * sizeof(*list.p));
        if (ret->v == NULL) {
            x = arena_err(a, err);
        } else {
            memcpy(ret->v, list.p, list.n * sizeof(*list.p));
            ret->n = list.n;
            qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
        }
    }
    VEC_FINI(&list);
    return x;
}

static int read_member(struct json_reader *r, struct str key, struct arena *a,
                       struct query_entry *ret, struct err *err)
{
    struct json_token tok;
    struct str text = STR_NULL;
    int x;

    if (str_eq(key, STR("labels")))
        return read_labels(r, a, &ret->stream, err);
    if (str_eq(key, STR("attributes")))
        return read_labels(r, a, &ret->meta, err);
    if (str_eq(key, STR("parsed")))
        return read_labels(r, a, &ret->parsed, err);
    if (str_eq(key, STR("line")))
        return read_text(r, JSON_STRING, a, &ret->line, err);
    if (str_eq(key, STR("ts_ns"))) {
        x = read_text(r, JSON_STRING, a, &text, err);
        if (x == 0 && !str_to_i64(text, &ret->ts))
            x = no_entry("bad ts_ns", err);
        return x;
    }
    if (str_eq(key, STR("seq"))) {
        x = json_next(r, &tok, err);
        if (x == 0 && (tok.type != JSON_NUMBER || !str_to_u64(tok.raw, &ret->seq)))
            x = no_entry("bad seq", err);
        return x;
    }
    if (str_eq(key, STR("context"))) {
        x = json_next(r, &tok, err);
        if (x == 0 && tok.type != JSON_TRUE)
            x = no_entry("bad context", err);
        ret->is_context = true;
        return x;
    }
    return json_skip(r, NULL, err);
}

int format_entry_parse(struct str json, struct arena *a, struct query_entry *ret, struct err *err)
{
    struct json_reader r;
    struct json_token tok;
    bool has_time = false;
    int x;

    *ret = (struct query_entry){.line = STR("")};
    json_reader_init(&r, json);
    x = json_next(&r, &tok, err);
    if (x == 0 && tok.type != JSON_OBJECT)
        x = no_entry("no JSON object", err);
    while (x == 0) {
        struct str key;
        x = json_next(&r, &tok, err);
        if (x < 0 || tok.type == JSON_OBJECT_END)
            break;
        key = json_text(&tok, a);
        if (key.p == NULL)
            return arena_err(a, err);
        has_time |= str_eq(key, STR("ts_ns"));
        x = read_member(&r, key, a, ret, err);
    }
    if (x == 0 && !has_time)
        return no_entry("no ts_ns", err);
    return x;
}
