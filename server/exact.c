/* server/exact.c - see exact.h. */
#include "server/exact.h"

#include "base/json.h"
#include "base/utf8.h"

#include <openssl/evp.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* ---- writing ---- */

static bool is_text(struct str s)
{
    return utf8_valid(s) == s.n;
}

static void put_base64(struct buf *out, struct str s)
{
    char *room = s.n > INT_MAX / 2 ? NULL : buf_room(out, (s.n + 2) / 3 * 4 + 1);

    if (room == NULL) {
        out->over = true;
        return;
    }
    out->n += (size_t)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)s.p, (int)s.n);
}

static void put_base64_value(struct json_writer *w, struct str s)
{
    struct buf *out = w->out;

    json_put_raw(w, STR("\"")); /* commas and colons are the writer's */
    put_base64(out, s);
    buf_add_char(out, '"');
}

static void put_pairs(struct json_writer *w, const char *key, const struct labels *l, bool text)
{
    json_put_key(w, str_of(key));
    json_put_object(w);
    for (size_t i = 0; i < l->n; i++) {
        if (is_text(l->v[i].value) != text)
            continue;
        json_put_key(w, l->v[i].name);
        if (text)
            json_put_string(w, l->v[i].value);
        else
            put_base64_value(w, l->v[i].value);
    }
    json_put_object_end(w);
}

static bool has_bytes(const struct labels *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (!is_text(l->v[i].value))
            return true;
    return false;
}

void exact_put(struct buf *out, const struct query_entry *e)
{
    struct json_writer w;

    char ts[24];

    (void)snprintf(ts, sizeof(ts), "%" PRId64, e->ts);
    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_str(&w, "ts_ns", str_of(ts)); /* these two first: a resumed export reads them */
    json_put_kv_u64(&w, "seq", e->seq);
    put_pairs(&w, "labels", &e->stream, true);
    if (has_bytes(&e->stream))
        put_pairs(&w, "labels_base64", &e->stream, false);
    put_pairs(&w, "attributes", &e->meta, true);
    if (has_bytes(&e->meta))
        put_pairs(&w, "attributes_base64", &e->meta, false);
    if (is_text(e->line)) {
        json_put_kv_str(&w, "line", e->line);
    } else {
        json_put_key(&w, STR("line_base64"));
        put_base64_value(&w, e->line);
    }
    json_put_object_end(&w);
    buf_add_char(out, '\n');
}

/* ---- reading ---- */

static int take_text(const struct json_token *t, bool base64, struct arena *a, struct str *ret,
                     struct err *err)
{
    struct str s = json_text(t, a);
    size_t pad = 0;
    char *room;
    int n;

    if (s.p == NULL)
        return arena_err(a, err);
    if (!base64) {
        *ret = s;
        return 0;
    }
    room = s.n % 4 != 0 || s.n > INT_MAX ? NULL : arena_bytes(a, s.n / 4 * 3 + 1);
    n = room == NULL ? -1
                     : EVP_DecodeBlock((unsigned char *)room, (const unsigned char *)s.p, (int)s.n);
    while (n > 0 && pad < 2 && s.p[s.n - 1 - pad] == '=')
        pad++;
    if (n < 0 || (size_t)n < pad)
        return err_set(err, ERR_INVALID, "base64 expected at byte %zu", t->offset);
    *ret = (struct str){room, (size_t)n - pad};
    return 0;
}

struct pairs {
    struct label *v;
    size_t n, max;
};

static int read_pairs(struct json_reader *r, bool base64, struct arena *a, struct pairs *p,
                      struct err *err)
{
    struct json_token key, value;
    int e = json_next(r, &key, err);

    if (e == 0 && key.type != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "an object expected at byte %zu", key.offset);
    while (e == 0 && (e = json_next(r, &key, err)) == 0 && key.type == JSON_KEY) {
        e = json_next(r, &value, err);
        if (e == 0 && value.type != JSON_STRING)
            e = err_set(err, ERR_INVALID, "a string expected at byte %zu", value.offset);
        if (e == 0 && p->n == p->max)
            e = err_set(err, ERR_LIMIT, "more than %zu labels or attributes", p->max);
        if (e == 0)
            e = take_text(&key, false, a, &p->v[p->n].name, err);
        if (e == 0)
            e = take_text(&value, base64, a, &p->v[p->n].value, err);
        p->n++;
    }
    return e;
}

struct reading {
    struct arena *a;
    struct exact_record *ret;
    struct pairs labels, attrs;
    bool has_ts, has_line;
};

static int read_field(struct json_reader *r, const struct json_token *key, struct reading *in,
                      struct err *err)
{
    struct str name = key->raw;
    bool base64 = str_ends(name, STR("_base64"));
    struct json_token t;
    int e;

    if (str_eq(name, STR("labels")) || str_eq(name, STR("labels_base64")))
        return read_pairs(r, base64, in->a, &in->labels, err);
    if (str_eq(name, STR("attributes")) || str_eq(name, STR("attributes_base64")))
        return read_pairs(r, base64, in->a, &in->attrs, err);
    if (!str_eq(name, STR("ts_ns")) && !str_eq(name, STR("line")) &&
        !str_eq(name, STR("line_base64")))
        return json_skip(r, NULL, err);
    e = json_next(r, &t, err);
    if (e == 0 && t.type != JSON_STRING)
        e = err_set(err, ERR_INVALID, "a string expected at byte %zu", t.offset);
    if (e < 0)
        return e;
    if (str_eq(name, STR("ts_ns"))) {
        in->has_ts = str_to_i64(t.raw, &in->ret->ts);
        return 0;
    }
    in->has_line = true;
    return take_text(&t, base64, in->a, &in->ret->line, err);
}

static int read_object(struct json_reader *r, struct reading *in, struct err *err)
{
    struct json_token key;
    int e = json_next(r, &key, err);

    if (e == 0 && key.type != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "an object expected at byte %zu", key.offset);
    while (e == 0 && (e = json_next(r, &key, err)) == 0 && key.type == JSON_KEY)
        e = read_field(r, &key, in, err);
    return e;
}

/* As many as there are: a body may have a line for every few bytes. */
static int keep_pairs(const struct pairs *p, struct arena *a, struct labels *ret, struct err *err)
{
    *ret = (struct labels){NULL, 0};
    if (p->n == 0)
        return 0;
    ret->v = arena_alloc(a, p->n * sizeof(*ret->v));
    if (ret->v == NULL)
        return arena_err(a, err);
    memcpy(ret->v, p->v, p->n * sizeof(*ret->v));
    ret->n = labels_sort(ret->v, p->n);
    return 0;
}

int exact_get(struct str line, struct arena *a, struct exact_record *ret, struct err *err)
{
    struct label labels[RECORD_LABELS_MAX + 1], attrs[RECORD_ATTRS_MAX + 1];
    struct reading in = {.a = a,
                         .ret = ret,
                         .labels = {labels, 0, RECORD_LABELS_MAX},
                         .attrs = {attrs, 0, RECORD_ATTRS_MAX}};
    struct json_reader r;
    struct json_token end;
    int e;

    json_reader_init(&r, line);
    e = read_object(&r, &in, err);
    if (e == 0)
        e = json_next(&r, &end, err);
    if (e == ERR_CORRUPT)
        err->code = e = ERR_INVALID;
    if (e < 0)
        return e;
    if (!in.has_ts || !in.has_line)
        return err_set(err, ERR_INVALID, "a record needs 'ts_ns' and 'line' or 'line_base64'");
    e = keep_pairs(&in.labels, a, &ret->labels, err);
    return e < 0 ? e : keep_pairs(&in.attrs, a, &ret->attrs, err);
}
