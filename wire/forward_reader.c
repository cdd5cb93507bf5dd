/*
 * wire/forward_reader.c - one entry after another.  Contract: forward_parse.h, step 3.
 *
 * A plain payload is walked where it lies.  A compressed one is unpacked into windows that are
 * pieces of the caller's arena: texts point into them and nothing is copied but the entry that a
 * window's end cuts.
 *
 * What our collector sends, flat maps of short strings, is read in one pass (flat_entry).
 * Everything else is first measured (forward_frame: depth, size, number of values), then taken
 * apart.
 *
 * Invariants
 *   (1) `rest` is all that is known and not walked; in a window it is the window's end;
 *   (2) a new window has room for at least as many new bytes as it copies, so that memory and
 * copying stay within twice the payload; (3) what msgpack-c sees has been measured, and holds at
 * most FORWARD_VALUES_PER_FIELD * fields values.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "wire/forward_parse.h"
#include "wire/forward_render.h"
#include "wire/forward_time.h"
#include "wire/mp.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_MIN = 4 << 10,
    WINDOW_UNKNOWN = 64 << 10, /* first window when the payload does not say its size */
    WINDOW_MAX = 1 << 20,
    WINDOW_SPARE = 64, /* behind the claimed size, so that the end is found without a window more */
    FLAT_FIELDS_MAX = 15,
};

struct fields { /* a VEC with a name */
    struct forward_field *p;
    size_t n, cap;
};

struct forward_reader {
    unsigned magic;
#define FORWARD_READER_MAGIC 0x51f0c2d9u
    struct forward_limits limits;
    enum forward_mode mode;
    struct str metadata; /* MESSAGE: from the option; borrowed */
    ts_ns now;
    struct arena *a;               /* borrowed from _start on */
    struct codec_reader *codec;    /* owned */
    struct forward_render *render; /* owned */
    bool at_end;                   /* nothing comes behind `rest` */
    struct str rest;
    char *window; /* in the arena */
    size_t window_n, window_cap;
    uint64_t walked;  /* entries, group markers included */
    uint64_t skipped; /* group markers */
    struct fields fields, meta;
};

struct forward_reader *forward_reader_new(void)
{
    struct forward_reader *r = mem_new(sizeof(*r));

    r->magic = FORWARD_READER_MAGIC;
    r->codec = codec_reader_new();
    r->render = forward_render_new();
    r->at_end = true;
    VEC_RESERVE(&r->fields, FLAT_FIELDS_MAX + 1);
    return r;
}

void forward_reader_free(struct forward_reader **pr)
{
    struct forward_reader *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, FORWARD_READER_MAGIC);
    codec_reader_free(&r->codec);
    forward_render_free(&r->render);
    VEC_FINI(&r->fields);
    VEC_FINI(&r->meta);
    r->magic = 0;
    free(r);
    *pr = NULL;
}

static size_t first_window(enum codec c, struct str payload)
{
    uint64_t claim = codec_size_claim(c, payload);

    if (claim == 0)
        return WINDOW_UNKNOWN;
    if (claim > WINDOW_MAX - WINDOW_SPARE)
        return WINDOW_MAX;
    return claim < WINDOW_MIN ? WINDOW_MIN : (size_t)claim + WINDOW_SPARE;
}

int forward_reader_start(struct forward_reader *r, const struct forward_message *msg,
                         const struct forward_limits *limits, ts_ns now, struct arena *a,
                         struct err *err)
{
    OBJ_CHECK(r, FORWARD_READER_MAGIC);
    r->limits = forward_limits_resolve(limits);
    r->mode = msg->mode;
    r->metadata = msg->metadata;
    r->now = now;
    r->a = a;
    r->at_end = true;
    r->rest = STR_NULL;
    r->window = NULL;
    r->window_n = r->window_cap = 0;
    r->walked = r->skipped = 0;
    if (msg->kind != FORWARD_EVENTS)
        return 0;
    if (msg->codec == CODEC_NONE) {
        r->rest = msg->entries;
        return 0;
    }
    r->at_end = false;
    r->window_cap = first_window(msg->codec, msg->entries);
    return codec_reader_start(r->codec, msg->codec, msg->entries, r->limits.payload_bytes, err);
}

uint64_t forward_reader_skipped(const struct forward_reader *r)
{
    OBJ_CHECK(r, FORWARD_READER_MAGIC);
    return r->skipped;
}

/* A fresh window that begins with `rest`. */
static int next_window(struct forward_reader *r, struct err *err)
{
    size_t cap = r->window_cap;
    char *p;

    if (r->window != NULL) {
        cap = cap < WINDOW_MAX / 2 ? cap * 2 : WINDOW_MAX;
        if (cap < 2 * r->rest.n) /* keeps (2) */
            cap = 2 * r->rest.n;
    }
    p = arena_bytes(r->a, cap);
    if (p == NULL)
        return arena_err(r->a, err);
    if (r->rest.n > 0)
        memcpy(p, r->rest.p, r->rest.n);
    r->rest.p = p;
    r->window = p;
    r->window_n = r->rest.n;
    r->window_cap = cap;
    return 0;
}

/* More of the payload behind `rest`: the window is filled, or the payload ends. */
static int refill(struct forward_reader *r, struct err *err)
{
    size_t n;
    int e;

    if (r->window == NULL || r->window_n == r->window_cap) {
        e = next_window(r, err);
        if (e < 0)
            return e;
    }
    while (r->window_n < r->window_cap) {
        e = codec_reader_pull(r->codec, r->window + r->window_n, r->window_cap - r->window_n, &n,
                              err);
        if (e < 0)
            return e;
        if (e == 1) {
            r->at_end = true;
            return 0;
        }
        r->window_n += n;
        r->rest.n += n;
    }
    return 0;
}

/* One str at *p, moved behind it. */
static inline bool flat_text(const char **p, const char *end, struct str *ret)
{
    size_t left = (size_t)(end - *p), head, n;
    const unsigned char *b = (const unsigned char *)*p;

    if (left < 5) /* the widest head; entries this short are not worth a case of their own */
        return false;
    if ((b[0] & 0xe0u) == 0xa0u) {
        head = 1;
        n = b[0] & 0x1fu;
    } else if (b[0] == 0xd9) {
        head = 2;
        n = b[1];
    } else if (b[0] == 0xda) {
        head = 3;
        n = (size_t)b[1] << 8 | b[2];
    } else if (b[0] == 0xdb) {
        head = 5;
        n = (size_t)b[1] << 24 | (size_t)b[2] << 16 | (size_t)b[3] << 8 | b[4];
    } else {
        return false;
    }
    if (n > left - head)
        return false;
    *ret = (struct str){*p + head, n};
    *p += head + n;
    return true;
}

/* [EventTime, {str: str ...}] in one pass; false, and nothing has changed: it is another shape or
 * not whole. */
static bool flat_entry(struct forward_reader *r, struct forward_entry *ret)
{
    const unsigned char *b = (const unsigned char *)r->rest.p;
    const char *p = r->rest.p, *end = p + r->rest.n;
    uint64_t seconds;
    size_t i, n;

    if (r->rest.n < 12 || b[0] != 0x92 || b[1] != 0xd7 || b[2] != FORWARD_EVENT_TIME ||
        (b[11] & 0xf0u) != 0x80u)
        return false;
    seconds = mp_big_endian(p + 3, 4);
    n = b[11] & 0x0fu;
    if (seconds > FORWARD_SECONDS_MAX || n > r->limits.fields)
        return false;
    p += 12;
    for (i = 0; i < n; i++) {
        struct forward_field *f = &r->fields.p[i];
        if (!flat_text(&p, end, &f->key) || !flat_text(&p, end, &f->text))
            return false;
        f->type = FORWARD_STR;
    }
    ret->ts = (ts_ns)seconds * NS_PER_S + (ts_ns)mp_big_endian(r->rest.p + 7, 4);
    if (ret->ts == 0)
        ret->ts = r->now;
    ret->fields = r->fields.p;
    ret->n_fields = n;
    ret->meta = NULL;
    ret->n_meta = 0;
    r->rest = (struct str){p, (size_t)(end - p)};
    return true;
}

/* The bytes of the next whole value, measured; refills as often as it takes. */
static int measure(struct forward_reader *r, struct str *ret, struct err *err)
{
    struct forward_limits limits = r->limits;
    struct forward_frame frame;
    size_t need;
    int e;

    memset(&frame, 0, sizeof(frame));
    limits.message_bytes = r->limits.payload_bytes;
    while ((e = forward_frame_scan(&frame, r->rest, &limits, &need, err)) == 1) {
        if (r->at_end)
            return err_set(err, ERR_CORRUPT, "it is cut off");
        e = refill(r, err);
        if (e < 0)
            return e;
    }
    if (e < 0)
        return e;
    if (frame.values / FORWARD_VALUES_PER_FIELD > r->limits.fields) /* keeps (3) */
        return err_set(err, ERR_LIMIT, "it holds %llu values", (unsigned long long)frame.values);
    *ret = str_sub(r->rest, 0, need);
    r->rest = str_from(r->rest, need);
    return 0;
}

static int take_field(struct forward_reader *r, struct str *rest, struct fields *to,
                      struct err *err)
{
    struct forward_field key, f;
    int e = forward_render_value(r->render, rest, r->a, &key, err);

    if (e == 0)
        e = forward_render_value(r->render, rest, r->a, &f, err);
    if (e < 0)
        return e;
    f.key = key.text;
    VEC_PUSH(to, f);
    return 0;
}

/* A map off *rest into `to`; nil is an empty one. */
static int take_map(struct forward_reader *r, struct str *rest, struct fields *to, struct err *err)
{
    struct mp_value map;
    uint32_t i;
    int e = 0;

    to->n = 0;
    if (mp_next(rest, &map) != 0)
        return err_set(err, ERR_CORRUPT, "a map is cut off");
    if (map.type == MP_NIL)
        return 0;
    if (map.type != MP_MAP)
        return err_set(err, ERR_CORRUPT, "the record or its metadata is no map");
    if (map.n > r->limits.fields)
        return err_set(err, ERR_LIMIT, "%u fields, at most %zu", map.n, r->limits.fields);
    for (i = 0; e == 0 && i < map.n; i++)
        e = take_field(r, rest, to, err);
    return e;
}

/* Time and, in the v1.5 header [time, metadata], the metadata.  *group: it is a marker. */
static int take_time(struct forward_reader *r, struct str *rest, ts_ns *ts, bool *group,
                     struct err *err)
{
    struct mp_value v;
    bool header;
    int e = 0;

    if (mp_next(rest, &v) != 0)
        return err_set(err, ERR_CORRUPT, "its time is cut off");
    header = v.type == MP_ARRAY;
    if (header && (v.n != 2 || mp_next(rest, &v) != 0))
        return err_set(err, ERR_CORRUPT, "its header is not [time, metadata]");
    *group = forward_time_is_group(&v);
    if (!forward_time_of(&v, r->now, ts))
        return err_set(err, ERR_CORRUPT, "its time is none");
    if (header)
        e = take_map(r, rest, &r->meta, err);
    return e;
}

/* In Message mode the message is the entry, and its metadata an option. */
static int message_entry(struct forward_reader *r, ts_ns *ts, bool *group, struct err *err)
{
    struct str rest = r->rest, metadata = r->metadata, measured;
    int e = measure(r, &measured, err); /* the time */

    if (e == 0)
        e = measure(r, &measured, err); /* the record */
    if (e == 0 && metadata.n > 0) {
        r->rest = metadata;
        e = measure(r, &measured, err);
    }
    r->rest = STR_NULL;
    if (e == 0)
        e = take_time(r, &rest, ts, group, err);
    if (e == 0)
        e = take_map(r, &rest, &r->fields, err);
    if (e == 0 && metadata.n > 0)
        e = take_map(r, &metadata, &r->meta, err);
    return e;
}

static int array_entry(struct forward_reader *r, ts_ns *ts, bool *group, struct err *err)
{
    struct mp_value v;
    struct str rest;
    int e = measure(r, &rest, err);

    if (e < 0)
        return e;
    if (mp_next(&rest, &v) != 0 || v.type != MP_ARRAY || v.n != 2)
        return err_set(err, ERR_CORRUPT, "it is not [time, record]");
    e = take_time(r, &rest, ts, group, err);
    if (e == 0)
        e = take_map(r, &rest, &r->fields, err);
    return e;
}

/* One entry of any shape; 1: it was a group marker. */
static int any_entry(struct forward_reader *r, struct forward_entry *ret, struct err *err)
{
    bool group = false;
    int e;

    r->meta.n = 0;
    if (r->mode == FORWARD_MESSAGE)
        e = message_entry(r, &ret->ts, &group, err);
    else
        e = array_entry(r, &ret->ts, &group, err);
    if (e < 0)
        return e;
    ret->fields = r->fields.p;
    ret->n_fields = r->fields.n;
    ret->meta = r->meta.p;
    ret->n_meta = r->meta.n;
    return group;
}

int forward_reader_next(struct forward_reader *r, struct forward_entry *ret, struct err *err)
{
    int e;

    OBJ_CHECK(r, FORWARD_READER_MAGIC);
    for (;;) {
        e = 0;
        if (r->rest.n == 0 && !r->at_end)
            e = refill(r, err);
        if (e < 0)
            return err_wrap(err, "entry %llu", (unsigned long long)r->walked);
        if (r->rest.n == 0)
            return 1; /* a refill that brings nothing found the end */
        if (r->walked >= r->limits.entries)
            return err_set(err, ERR_LIMIT, "more than %zu entries", r->limits.entries);
        if (r->mode == FORWARD_MESSAGE || !flat_entry(r, ret))
            e = any_entry(r, ret, err);
        if (e < 0)
            return err_wrap(err, "entry %llu", (unsigned long long)r->walked);
        r->walked++;
        if (e == 0)
            return 0;
        r->skipped++;
    }
}
