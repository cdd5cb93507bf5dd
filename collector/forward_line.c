/*
 * collector/forward_line.c - contract: forward_line.h, and that of decode_forward.
 *
 * Why not JSON as a whole: a text has to come out byte for byte as it came in, and most texts are
 * JSON or stack traces already, with much that JSON would escape.
 */
#include "collector/forward_line.h"

#include "base/json.h"
#include "base/record.h"
#include "collector/decode.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ESCAPE = 0x1a,
    TEXT_SLACK = 12 << 10,        /* of what escapes may add to a text */
    ATTRS = DECODE_ATTRS_MAX - 2, /* the tag and the count of those left out have a place */
    HEX = 16,
    END_MAX = 128,
    AROUND = 8, /* an attribute: quotes, colon, comma, a mark of its name */
};

/* ---- writing ---- */

/* A JSON string, but that bytes stay what they are. */
static void put_string(struct buf *out, struct str s)
{
    size_t from = 0;

    buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c != '"' && c != '\\' && c != '\n')
            continue;
        buf_add_str(out, str_sub(s, from, i - from));
        buf_add_char(out, '\\');
        buf_add_char(out, (char)(c == '\n' ? 'n' : c));
        from = i + 1;
    }
    buf_add_str(out, str_from(s, from));
    buf_add_char(out, '"');
}

/* How much of `s` takes at most `max` bytes when it is written; *ret_bytes: how many those are at
 * most. */
static size_t fitting(struct str s, size_t max, size_t *ret_bytes)
{
    size_t bytes = 0, i;

    if (s.n <= max / 2) {
        *ret_bytes = 2 * s.n;
        return s.n;
    }
    for (i = 0; i < s.n; i++) {
        size_t n = s.p[i] == '\n' || s.p[i] == ESCAPE ? 2 : 1;
        if (n > max - bytes)
            break;
        bytes += n;
    }
    *ret_bytes = bytes;
    return i;
}

static void put_text(struct buf *out, struct str s)
{
    bool plain = str_find_char(s, '\n') == SIZE_MAX && str_find_char(s, ESCAPE) == SIZE_MAX;
    size_t from = 0;

    for (size_t i = 0; !plain && i < s.n; i++) {
        if (s.p[i] != '\n' && s.p[i] != ESCAPE)
            continue;
        buf_add_str(out, str_sub(s, from, i - from));
        buf_add_char(out, ESCAPE);
        buf_add_char(out, (char)(s.p[i] == '\n' ? 'n' : '1'));
        from = i + 1;
    }
    buf_add_str(out, str_from(s, from));
}

/* Names that an entry of ours gives a meaning of its own. */
static bool is_reserved(struct str name)
{
    static const char *const NAMES[] = {"log", "stream", "partial", "truncated", "undecoded"};

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (str_eq(name, str_of(NAMES[i])))
            return true;
    return false;
}

static void put_attr(struct buf *out, const struct label *l, bool first)
{
    char name[16];
    struct str as = l->name;

    if (is_reserved(l->name)) {
        (void)snprintf(name, sizeof(name), "%.*s_", STR_ARG(l->name));
        as = str_of(name);
    }
    if (!first)
        buf_add_char(out, ',');
    put_string(out, as);
    buf_add_char(out, ':');
    put_string(out, l->value);
}

/* What a string takes: quotes, its bytes, some of them escaped. */
static size_t bytes_of(struct str s)
{
    size_t n = s.n + 2;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == '\n';
    return n;
}

/* Has it a place in *room bytes?  Then it is taken off. */
static bool take_room(const struct label *l, size_t *room)
{
    size_t n = 2 * (l->name.n + l->value.n) + AROUND; /* at most */

    if (n > *room)
        n = bytes_of(l->name) + bytes_of(l->value) + AROUND;
    if (n > *room)
        return false;
    *room -= n;
    return true;
}

/* As many as have a place in `room` bytes; returns how many have not. */
static size_t put_attrs(struct buf *out, const struct forward_record *rec, size_t room)
{
    size_t left_out = 0, put = 0;
    char number[32];

    buf_add_z(out, "\"a\":{");
    for (size_t i = 0; i < rec->n_attrs; i++) {
        const struct label *l = &rec->attrs[i];
        bool is_tag = i + 1 == rec->n_attrs; /* forward_record.h: the last one */
        if (l->value.n == 0)
            continue; /* an attribute without a value is none */
        if ((put >= ATTRS && !is_tag) || !take_room(l, &room)) {
            left_out++;
            continue;
        }
        put_attr(out, l, put == 0);
        put++;
    }
    if (left_out > 0) {
        struct label l = {STR("attributes_dropped"), {number, 0}};
        l.value.n = (size_t)snprintf(number, sizeof(number), "%zu", left_out);
        put_attr(out, &l, put == 0);
    }
    buf_add_char(out, '}');
    return left_out;
}

size_t forward_line_add(struct buf *out, ts_ns ts, const struct forward_record *rec,
                        size_t max_line)
{
    struct str text = str_sub(rec->line, 0, max_line);
    struct str container = str_sub(rec->container, 0, RECORD_LABEL_VALUE_MAX);
    size_t bytes, left_out;

    text.n = fitting(text, max_line + TEXT_SLACK, &bytes);
    buf_addf(out, "{\"t\":%" PRId64 ",", ts);
    if (rec->is_docker) {
        buf_add_z(out, "\"s\":");
        put_string(out, rec->stream);
        buf_add_z(out, ",\"c\":");
        put_string(out, container);
        buf_add_char(out, ',');
    }
    if (text.n < rec->line.n)
        buf_addf(out, "\"cut\":%zu,", rec->line.n - text.n);
    /* a little is for all that stands around them */
    left_out =
        put_attrs(out, rec, max_line + FORWARD_LINE_SLACK - bytes - 2 * container.n - 4 * END_MAX);
    buf_add_z(out, "}|");
    put_text(out, text);
    buf_add_char(out, '\n');
    return left_out;
}

void forward_line_end(struct buf *out, size_t last, uint64_t count, const struct hash128 *id)
{
    char end[END_MAX];
    size_t n = (size_t)snprintf(end, sizeof(end), "\"end\":%" PRIu64 ",", count);
    char *at;

    if (id != NULL)
        n += (size_t)snprintf(end + n, sizeof(end) - n,
                              "\"chunk\":\"%016" PRIx64 "%016" PRIx64 "\",", id->hi, id->lo);
    if (buf_room(out, n) == NULL)
        return;             /* it shows in the buf */
    at = out->p + last + 1; /* behind the brace */
    memmove(at + n, at, out->n - last - 1);
    memcpy(at, end, n);
    out->n += n;
}

/* ---- reading ---- */

static bool hex_of(struct str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n != HEX)
        return false;
    for (size_t i = 0; i < HEX; i++) {
        const char *digits = "0123456789abcdef";
        const char *at = memchr(digits, s.p[i], HEX);
        if (at == NULL)
            return false;
        v = v << 4 | (uint64_t)(at - digits);
    }
    *ret = v;
    return true;
}

bool forward_line_is_end(struct str head, bool *ret_has_id, struct hash128 *ret)
{
    static const char CHUNK[] = "\"chunk\":\"";
    uint64_t count;

    *ret_has_id = false;
    if (!str_starts(head, STR("{\"end\":")))
        return false;
    head = str_from(head, sizeof("{\"end\":") - 1);
    if (!str_to_u64(str_cut(&head, ','), &count))
        return false;
    if (str_starts(head, STR(CHUNK))) {
        head = str_from(head, sizeof(CHUNK) - 1);
        *ret_has_id =
            hex_of(str_sub(head, 0, HEX), &ret->hi) && hex_of(str_sub(head, HEX, HEX), &ret->lo);
        return *ret_has_id;
    }
    return true;
}

struct read {
    struct decoder *d;
    struct piece got;
    bool has_time, is_docker;
    struct str container;
};

static bool take_attrs(struct read *v, struct json_reader *r)
{
    struct json_token key, value;
    struct err err;
    int e = json_object(r, &err);

    while (e == 0 && (e = json_member(r, &key, &err)) == 0) {
        struct label *l = &v->d->attrs[v->got.n_attrs];
        if (json_next(r, &value, &err) < 0 || value.type != JSON_STRING ||
            v->got.n_attrs == DECODE_ATTRS_MAX)
            return false;
        *l = (struct label){json_text(&key, v->d->arena), json_text(&value, v->d->arena)};
        if (l->name.p == NULL || l->value.p == NULL)
            return false;
        v->got.n_attrs++;
    }
    return e == 1;
}

/* "s" and "c" */
static bool take_docker(struct read *v, struct str key, struct str text)
{
    if (str_eq(key, STR("c"))) {
        v->container = text;
        return true;
    }
    v->is_docker = str_eq(text, STR("stdout")) || str_eq(text, STR("stderr"));
    v->got.stream = str_eq(text, STR("stderr")) ? DECODE_STDERR : DECODE_STDOUT;
    return v->is_docker;
}

static bool take_member(struct read *v, struct json_reader *r, struct str key)
{
    struct json_token t;
    struct str text;
    struct err err;

    if (str_eq(key, STR("a")))
        return take_attrs(v, r);
    if (json_next(r, &t, &err) < 0)
        return false;
    if (str_eq(key, STR("t"))) {
        v->has_time = t.type == JSON_NUMBER && str_to_i64(t.raw, &v->got.ts);
        return v->has_time;
    }
    if (str_eq(key, STR("cut")))
        return t.type == JSON_NUMBER && str_to_u64(t.raw, &v->got.missing);
    if (t.type != JSON_STRING)
        return t.type == JSON_NUMBER && str_eq(key, STR("end"));
    text = json_text(&t, v->d->arena);
    if (text.p == NULL)
        return false;
    if (str_eq(key, STR("s")) || str_eq(key, STR("c")))
        return take_docker(v, key, text);
    return str_eq(key, STR("chunk"));
}

/* What put_text has made of it. */
static bool take_text(struct read *v, struct str text)
{
    struct buf *out = &v->d->scratch;
    const char *at = text.n == 0 ? NULL : memchr(text.p, ESCAPE, text.n);

    if (at == NULL) {
        v->got.text = text;
        return true;
    }
    buf_clear(out);
    while (at != NULL) {
        size_t n = (size_t)(at - text.p);
        char c = n + 1 < text.n ? at[1] : '\0';
        if (c != 'n' && c != '1')
            return false;
        buf_add(out, text.p, n);
        buf_add_char(out, (char)(c == 'n' ? '\n' : ESCAPE));
        text = str_from(text, n + 2);
        at = text.n == 0 ? NULL : memchr(text.p, ESCAPE, text.n);
    }
    buf_add_str(out, text);
    v->got.text = buf_str(out);
    return !out->over;
}

static void add_labels(struct read *v)
{
    struct decoder *d = v->d;
    size_t n = 0;

    d->labels[n++] =
        (struct label){STR("source"), v->is_docker ? STR("container") : STR("forward")};
    if (v->is_docker) {
        d->labels[n++] = (struct label){STR("runtime"), STR("docker")};
        d->labels[n++] = (struct label){STR("container"), v->container};
    }
    v->got.n_labels = labels_sort(d->labels, n);
    v->got.labels = d->labels;
}

bool decode_forward(struct decoder *d, struct str line, struct piece *ret)
{
    struct read v = {.d = d, .got = {.last = true}};
    struct json_reader r;
    struct json_token t;
    struct err err;
    int e;

    arena_reset(d->arena);
    e = json_reader_init_object(&r, line, &err);
    while (e == 0 && (e = json_member(&r, &t, &err)) == 0)
        if (!take_member(&v, &r, t.raw))
            return false;
    if (e < 0 || !v.has_time || !str_starts(json_rest(&r), STR("|")) ||
        !take_text(&v, str_from(json_rest(&r), 1)))
        return false;
    v.got.n_attrs = labels_sort(d->attrs, v.got.n_attrs);
    v.got.attrs = d->attrs;
    add_labels(&v);
    *ret = v.got;
    return true;
}
