/*
 * server/ingest_push.c - the body of Loki's push API, JSON form, into records (the protobuf form is
 * ingest_push_proto.c).
 *
 *     {"streams": [{"stream": {"a": "b"}, "values": [["<ns>", "<line>", {"meta": "data"}?], ...]},
 * ...]}
 *
 * One pass with the pull reader; `values` may come before `stream`, so a stream object is walked
 * for its labels first. Errors name the byte of the body.  A stream whose labels cannot be, or an
 * entry with too much metadata, is read to its end and left out (struct ingest_refused); a body
 * that is no such object is refused whole.
 */
#include "server/ingest_build.h"

#include "base/json.h"

#include <string.h>

struct push {
    struct ingest_build *ib;
    const struct ingest_decided *d;
    struct arena *a;
    struct str body;
    struct label *attr;   /* scratch: RECORD_ATTRS_MAX of them */
    struct label *labels; /* scratch of one stream: ingest_push_labels of them */
    struct err excess;    /* of read_pairs; code 0: there is none */
};

static int expect(struct json_reader *r, enum json_type type, const char *what,
                  struct json_token *ret, struct err *err)
{
    int n = json_next(r, ret, err);

    if (n == 0 && ret->type != type)
        return err_set(err, ERR_INVALID, "%s expected at byte %zu", what, ret->offset);
    return n;
}

static int text_of(struct push *p, const struct json_token *t, struct str *ret, struct err *err)
{
    *ret = json_text(t, p->a);
    return ret->p == NULL ? arena_err(p->a, err) : 0;
}

/* An object of strings into v[0..max).  Are there more it is read to its end all the same, and
 * p->excess says so and names the byte. */
static int read_pairs(struct push *p, struct json_reader *r, struct label *v, size_t max,
                      size_t *ret_n, struct err *err)
{
    struct json_token key, value;
    size_t n = 0;
    int e;

    p->excess.code = 0;
    while ((e = json_next(r, &key, err)) == 0 && key.type == JSON_KEY) {
        e = expect(r, JSON_STRING, "a string", &value, err);
        if (e == 0 && n == max) {
            if (p->excess.code == 0)
                (void)err_set(&p->excess, ERR_LIMIT, "more than %zu labels at byte %zu", max,
                              key.offset);
            continue;
        }
        if (e == 0)
            e = text_of(p, &key, &v[n].name, err);
        if (e == 0)
            e = text_of(p, &value, &v[n].value, err);
        if (e < 0)
            return e;
        n++;
    }
    *ret_n = n;
    return e;
}

static int check_name(struct str name, size_t offset, struct err *err)
{
    int shown = (int)(name.n < 64 ? name.n : 64);

    if (!label_name_ok(name))
        return err_set(err, ERR_INVALID, "'%.*s' is no label name (in the stream at byte %zu)",
                       shown, name.p, offset);
    if (name.n > RECORD_LABEL_NAME_MAX)
        return err_set(err, ERR_INVALID,
                       "a label's name has %zu bytes, more than %d: '%.*s...' (in the stream at "
                       "byte %zu)",
                       name.n, RECORD_LABEL_NAME_MAX, shown, name.p, offset);
    return 0;
}

size_t ingest_push_labels(const struct ingest_decided *d)
{
    return RECORD_LABELS_MAX + d->forced.n + 1;
}

int ingest_push_stream(struct ingest_build *ib, const struct ingest_decided *d, struct labels *l,
                       size_t offset, uint32_t *ret, struct err *err)
{
    struct err why;
    int r = 0;

    for (size_t i = 0; r == 0 && i < l->n; i++)
        r = check_name(l->v[i].name, offset, &why);
    if (r == 0)
        l->n = labels_sort(l->v, l->n);
    if (r == 0 && l->n == 0)
        r = err_set(&why, ERR_INVALID, "error at least one label pair is required per stream");
    if (r < 0) {
        ingest_build_refuse(ib, &why);
        return 1;
    }
    return ingest_build_stream(ib, l->v, l->n, &d->forced, ret, err);
}

/* 1: the stream is refused. */
static int read_stream_labels(struct push *p, struct str text, size_t offset, uint32_t *ret,
                              struct err *err)
{
    struct json_reader r;
    struct json_token t;
    struct labels l = {p->labels, 0};
    int e;

    json_reader_init_part(&r, p->body, text);
    e = expect(&r, JSON_OBJECT, "an object of labels", &t, err);
    if (e == 0)
        e = read_pairs(p, &r, l.v, RECORD_LABELS_MAX - 1, &l.n, err);
    if (e < 0)
        return e;
    if (p->excess.code == 0)
        return ingest_push_stream(p->ib, p->d, &l, offset, ret, err);
    ingest_build_refuse(p->ib, &p->excess);
    return 1;
}

/* An entry, whole, into the batch, or among the refused; shared == NULL: all of its stream are. */
static int take_item(struct push *p, struct ingest_shared *shared, const struct ingest_item *item,
                     struct err *err)
{
    if (shared != NULL && p->excess.code == 0)
        return ingest_build_add(p->ib, shared, item, err);
    p->ib->refused.entries++;
    if (shared != NULL)
        ingest_build_refuse(p->ib, &p->excess);
    return 0;
}

static int read_value(struct push *p, struct json_reader *r, struct ingest_shared *shared,
                      struct err *err)
{
    struct ingest_item item = {.attr = p->attr};
    struct json_token t;
    int e = expect(r, JSON_STRING, "a timestamp as a string of nanoseconds", &t, err);

    if (e == 0 && (t.escaped || !str_to_i64(t.raw, &item.ts)))
        e = err_set(err, ERR_INVALID, "'%.*s' at byte %zu is no timestamp in nanoseconds",
                    (int)(t.raw.n < 40 ? t.raw.n : 40), t.raw.p, t.offset);
    if (e == 0)
        e = expect(r, JSON_STRING, "the line as a string", &t, err);
    if (e == 0)
        e = text_of(p, &t, &item.line, err);
    if (e == 0)
        e = json_next(r, &t, err);
    p->excess.code = 0;
    if (e == 0 && t.type == JSON_OBJECT) {
        e = read_pairs(p, r, p->attr, RECORD_ATTRS_MAX - INGEST_OWN_ATTRS, &item.n_attr, err);
        if (e == 0)
            e = json_next(r, &t, err);
    }
    if (e == 0 && t.type != JSON_ARRAY_END)
        e = err_set(err, ERR_INVALID, "end of the value expected at byte %zu", t.offset);
    return e < 0 ? e : take_item(p, shared, &item, err);
}

static int read_values(struct push *p, struct json_reader *r, struct ingest_shared *shared,
                       struct err *err)
{
    struct json_token t;
    int e = expect(r, JSON_ARRAY, "an array of values", &t, err);

    while (e == 0 && (e = json_next(r, &t, err)) == 0 && t.type != JSON_ARRAY_END) {
        if (t.type != JSON_ARRAY)
            return err_set(err, ERR_INVALID, "a value [timestamp, line] expected at byte %zu",
                           t.offset);
        e = read_value(p, r, shared, err);
    }
    return e;
}

/* The reader stands behind the `{` of a stream.  A copy of it looks for the labels first. */
static int read_stream(struct push *p, struct json_reader *r, size_t offset, struct err *err)
{
    struct json_reader ahead = *r;
    struct ingest_shared shared = {0};
    struct json_token t;
    struct str raw;
    bool have_labels = false, is_refused = false;
    int e;

    while ((e = json_next(&ahead, &t, err)) == 0 && t.type == JSON_KEY) {
        bool is_stream = str_eq(t.raw, STR("stream"));
        e = json_skip(&ahead, &raw, err);
        if (e == 0 && is_stream) {
            e = read_stream_labels(p, raw, offset, &shared.stream, err);
            have_labels = true;
            is_refused = is_refused || e > 0;
        }
        if (e < 0)
            return e;
    }
    if (e == 0 && !have_labels)
        e = err_set(err, ERR_INVALID, "the stream at byte %zu has no \"stream\" labels", offset);
    while (e == 0 && (e = json_next(r, &t, err)) == 0 && t.type == JSON_KEY)
        e = str_eq(t.raw, STR("values")) ? read_values(p, r, is_refused ? NULL : &shared, err)
                                         : json_skip(r, NULL, err);
    return e;
}

static int read_streams(struct push *p, struct json_reader *r, struct err *err)
{
    struct json_token t;
    int e = expect(r, JSON_ARRAY, "an array of streams", &t, err);

    while (e == 0 && (e = json_next(r, &t, err)) == 0 && t.type != JSON_ARRAY_END) {
        if (t.type != JSON_OBJECT)
            return err_set(err, ERR_INVALID, "a stream object expected at byte %zu", t.offset);
        e = read_stream(p, r, t.offset, err);
    }
    return e;
}

int ingest_push(struct ingest_build *ib, const struct store_payload *sp,
                const struct ingest_decided *d, struct err *err)
{
    struct push p = {.ib = ib, .d = d, .a = ib->b->arena};
    struct json_reader r;
    struct json_token t;
    bool have_streams = false;
    int e;

    p.body = arena_str(p.a, sp->bytes); /* lines without escapes stay where they are */
    p.attr = arena_alloc(p.a, RECORD_ATTRS_MAX * sizeof(*p.attr));
    p.labels = arena_alloc(p.a, ingest_push_labels(d) * sizeof(*p.labels));
    if (p.body.p == NULL || p.attr == NULL || p.labels == NULL)
        return arena_err(p.a, err);
    json_reader_init(&r, p.body);
    e = expect(&r, JSON_OBJECT, "an object", &t, err);
    while (e == 0 && (e = json_next(&r, &t, err)) == 0 && t.type == JSON_KEY) {
        bool is_streams = str_eq(t.raw, STR("streams"));
        have_streams = have_streams || is_streams;
        e = is_streams ? read_streams(&p, &r, err) : json_skip(&r, NULL, err);
    }
    if (e == 0 && !have_streams)
        e = err_set(err, ERR_INVALID, "the body has no \"streams\"");
    if (e == 0 && str_trim(json_rest(&r)).n > 0)
        e = err_set(err, ERR_INVALID, "bytes behind the end of the body's object");
    return e < 0 ? err_wrap(err, "push") : 0;
}
