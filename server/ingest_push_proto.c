/*
 * server/ingest_push_proto.c - the body of Loki's push API, protobuf form, into records.
 *
 *     PushRequest {1: Stream ...}                     Stream {1: labels text, 2: Entry ...}
 *     Entry {1: Timestamp, 2: line, 3: Pair ...}      Timestamp {1: seconds, 2: nanoseconds}
 *     Pair {1: name, 2: value}
 *
 * Protobuf's wire form is a row of (key, value): key = number << 3 | kind, kind 0 a varint, 1 eight
 * bytes, 2 a length and bytes, 5 four bytes.  Fields may come in any order and unknown ones are
 * passed over, so a stream is walked for its labels first.  A field is a view into the body;
 * nothing nests deeper than the five messages above, so nothing recurses.
 */
#include "server/ingest_build.h"

#include <string.h>

enum { LABELS_TEXT_MAX = 4 << 20 }; /* of one stream, taken apart */

enum wire_kind { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct push {
    struct ingest_build *ib;
    const struct ingest_decided *d;
    struct arena *a;
    const char *begin;    /* of the body, for offsets */
    struct label *attr;   /* scratch: RECORD_ATTRS_MAX of them */
    struct label *labels; /* scratch of one stream: ingest_push_labels of them */
    struct arena *parsed; /* scratch: its text, taken apart */
};

struct field {
    uint64_t number;
    enum wire_kind kind;
    uint64_t value;   /* WIRE_VARINT */
    struct str bytes; /* WIRE_BYTES */
};

static int broken(const struct push *p, const char *at, struct err *err)
{
    return err_set(err, ERR_INVALID, "the protobuf breaks off at byte %zu",
                   (size_t)(at - p->begin));
}

static int read_varint(const struct push *p, struct str *rest, uint64_t *ret, struct err *err)
{
    enum { BYTES_MAX = 10 };
    uint64_t v = 0;

    for (unsigned i = 0; i < BYTES_MAX && i < rest->n; i++) {
        unsigned char c = (unsigned char)rest->p[i];
        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if ((c & 0x80) == 0) {
            *rest = str_from(*rest, i + 1);
            *ret = v;
            return 0;
        }
    }
    return broken(p, rest->p, err);
}

/* The next field of a message.  1: there is none. */
static int next_field(const struct push *p, struct str *rest, struct field *ret, struct err *err)
{
    const char *at = rest->p;
    uint64_t n = 0;
    int e;

    if (rest->n == 0)
        return 1;
    e = read_varint(p, rest, &n, err);
    if (e < 0)
        return e;
    ret->number = n >> 3;
    ret->kind = (enum wire_kind)(n & 7);
    ret->bytes = STR("");
    ret->value = 0;
    switch (n & 7) {
    case WIRE_VARINT:
        return read_varint(p, rest, &ret->value, err);
    case WIRE_FIXED64:
        n = 8;
        break;
    case WIRE_FIXED32:
        n = 4;
        break;
    case WIRE_BYTES:
        e = read_varint(p, rest, &n, err);
        if (e < 0)
            return e;
        break;
    default:
        return broken(p, at, err);
    }
    if (n > rest->n || ret->number == 0)
        return broken(p, at, err);
    ret->bytes = str_sub(*rest, 0, (size_t)n);
    *rest = str_from(*rest, (size_t)n);
    return 0;
}

static bool is_bytes(const struct field *f, uint64_t number)
{
    return f->number == number && f->kind == WIRE_BYTES;
}

static bool is_varint(const struct field *f, uint64_t number)
{
    return f->number == number && f->kind == WIRE_VARINT;
}

static int read_time(const struct push *p, struct str rest, ts_ns *ret, struct err *err)
{
    const char *at = rest.p;
    int64_t seconds = 0, part = 0;
    struct field f;
    int e;

    while ((e = next_field(p, &rest, &f, err)) == 0) {
        if (is_varint(&f, 1))
            seconds = (int64_t)f.value;
        else if (is_varint(&f, 2))
            part = (int64_t)f.value;
    }
    if (e < 0)
        return e;
    if (part < 0 || part >= NS_PER_S || __builtin_mul_overflow(seconds, NS_PER_S, ret) ||
        __builtin_add_overflow(*ret, part, ret))
        return err_set(err, ERR_INVALID, "the timestamp at byte %zu is out of range",
                       (size_t)(at - p->begin));
    return 0;
}

static int read_pair(const struct push *p, struct str rest, struct label *ret, struct err *err)
{
    struct field f;
    int e;

    ret->name = ret->value = STR("");
    while ((e = next_field(p, &rest, &f, err)) == 0) {
        if (is_bytes(&f, 1))
            ret->name = f.bytes;
        else if (is_bytes(&f, 2))
            ret->value = f.bytes;
    }
    return e < 0 ? e : 0;
}

/* An entry into the batch, or among the refused; shared == NULL: all of its stream are. */
static int read_entry(struct push *p, struct str rest, struct ingest_shared *shared,
                      struct err *err)
{
    const size_t max = RECORD_ATTRS_MAX - INGEST_OWN_ATTRS;
    struct ingest_item item = {.attr = p->attr, .line = STR("")};
    struct err excess = {.code = 0};
    struct label unused;
    struct field f;
    int e;

    while ((e = next_field(p, &rest, &f, err)) == 0) {
        if (is_bytes(&f, 1)) {
            e = read_time(p, f.bytes, &item.ts, err);
        } else if (is_bytes(&f, 2)) {
            item.line = f.bytes;
        } else if (is_bytes(&f, 3)) {
            if (item.n_attr == max && excess.code == 0)
                (void)err_set(&excess, ERR_LIMIT, "more than %zu labels at byte %zu", max,
                              (size_t)(f.bytes.p - p->begin));
            e = read_pair(p, f.bytes, item.n_attr < max ? &p->attr[item.n_attr++] : &unused, err);
        }
        if (e < 0)
            return e;
    }
    if (e < 0)
        return e;
    if (shared != NULL && excess.code == 0)
        return ingest_build_add(p->ib, shared, &item, err);
    p->ib->refused.entries++;
    if (shared != NULL)
        ingest_build_refuse(p->ib, &excess);
    return 0;
}

/* {a="b"} with room for what the server adds.  1: the stream is refused. */
static int read_labels(struct push *p, struct str text, uint32_t *ret, struct err *err)
{
    struct labels parsed = {NULL, 0};
    struct labels l;
    struct err why;
    int e;

    arena_reset(p->parsed); /* the batch has copies */
    e = labels_parse(p->parsed, text, &parsed, &why);
    if (e < 0 && e != ERR_INVALID) {
        *err = why;
        return e;
    }
    if (e < 0)
        (void)err_wrap(&why, "labels of the stream at byte %zu", (size_t)(text.p - p->begin));
    else if (parsed.n > RECORD_LABELS_MAX - 1)
        e = err_set(&why, ERR_LIMIT, "more than %d labels at byte %zu",
                    (int)(RECORD_LABELS_MAX - 1), (size_t)(text.p - p->begin));
    if (e < 0) {
        ingest_build_refuse(p->ib, &why);
        return 1;
    }
    l.n = parsed.n;
    l.v = p->labels;
    if (parsed.n > 0)
        memcpy(l.v, parsed.v, parsed.n * sizeof(*l.v));
    return ingest_push_stream(p->ib, p->d, &l, (size_t)(text.p - p->begin), ret, err);
}

static int read_stream(struct push *p, struct str bytes, struct err *err)
{
    struct ingest_shared shared = {0};
    struct str labels = STR("{}");
    struct str rest = bytes;
    bool is_refused;
    struct field f;
    int e;

    while ((e = next_field(p, &rest, &f, err)) == 0)
        if (is_bytes(&f, 1))
            labels = f.bytes;
    if (e > 0)
        e = read_labels(p, labels.p == NULL ? STR("{}") : labels, &shared.stream, err);
    if (e < 0)
        return e;
    is_refused = e > 0;
    rest = bytes;
    while ((e = next_field(p, &rest, &f, err)) == 0) {
        e = is_bytes(&f, 2) ? read_entry(p, f.bytes, is_refused ? NULL : &shared, err) : 0;
        if (e < 0)
            return e;
    }
    return e < 0 ? e : 0;
}

int ingest_push_proto(struct ingest_build *ib, const struct store_payload *sp,
                      const struct ingest_decided *d, struct err *err)
{
    struct push p = {.ib = ib, .d = d, .a = ib->b->arena};
    struct str rest = arena_str(p.a, sp->bytes); /* lines stay where they are */
    struct field f;
    int e;

    p.begin = rest.p;
    p.attr = arena_alloc(p.a, RECORD_ATTRS_MAX * sizeof(*p.attr));
    p.labels = arena_alloc(p.a, ingest_push_labels(d) * sizeof(*p.labels));
    if (rest.p == NULL || p.attr == NULL || p.labels == NULL)
        return arena_err(p.a, err);
    p.parsed = arena_new(NULL, LABELS_TEXT_MAX);
    while ((e = next_field(&p, &rest, &f, err)) == 0) {
        e = is_bytes(&f, 1) ? read_stream(&p, f.bytes, err) : 0;
        if (e < 0)
            break;
    }
    arena_free(&p.parsed);
    return e < 0 ? err_wrap(err, "push") : 0;
}
