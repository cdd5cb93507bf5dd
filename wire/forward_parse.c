/*
 * wire/forward_parse.c - the outer array of a message.  Contract: forward_parse.h, step 2.
 *
 * What a message is shows in its second element: an array is Forward mode, a string PackedForward,
 * a time Message mode.  Senders disagree about the rest (docs/formats/forward.md), so that options
 * may be absent, nil or a map of any width, keys in any order, and what is not known is passed
 * over.
 */
#include "wire/forward_parse.h"

#include "wire/forward_part.h"
#include "wire/mp.h"

#include <string.h>

static int corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "message: %s", what);
}

static int parse_ping(struct str rest, struct forward_message *ret, struct err *err)
{
    struct mp_value v;
    size_t i;

    for (i = 0; i < 5; i++) {
        if (mp_next(&rest, &v) != 0 || !mp_is_text(&v))
            return corrupt(err, "a PING whose elements are no strings");
        ret->ping[i] = v.body;
    }
    ret->kind = FORWARD_PING;
    return rest.n == 0 ? 0 : corrupt(err, "bytes behind its end");
}

static int option_chunk(const struct mp_value *v, struct forward_message *ret, struct err *err)
{
    if (v->type == MP_NIL)
        return 0;
    if (!mp_is_text(v))
        return corrupt(err, "option chunk is no string");
    if (v->n > FORWARD_TOKEN_MAX)
        return err_set(err, ERR_LIMIT, "message: option chunk has %u bytes, at most %d", v->n,
                       FORWARD_TOKEN_MAX);
    ret->has_chunk = true;
    ret->chunk = v->body;
    return 0;
}

static int option_compressed(const struct mp_value *v, struct forward_message *ret, struct err *err)
{
    if (v->type == MP_NIL)
        return 0;
    if (!mp_is_text(v))
        return corrupt(err, "option compressed is no string");
    if (str_eq(v->body, STR("gzip")))
        ret->codec = CODEC_GZIP;
    else if (str_eq(v->body, STR("zstd")))
        ret->codec = CODEC_ZSTD;
    else if (str_eq(v->body, STR("text")) || v->n == 0)
        ret->codec = CODEC_NONE;
    else
        return corrupt(err, "option compressed names no known codec");
    return 0;
}

struct option_parser {
    const struct forward_limits *limits;
    struct arena *a;
    struct forward_message *ret;
    struct err *err;
};

/* Attributes of parts outlive the message, those that unpack its payload included: so the option is
 * copied. */
static int option_lq(struct option_parser *o, struct str value)
{
    struct str copy = arena_str(o->a, value);
    struct forward_lq lq = {0};
    int r;

    if (copy.p == NULL)
        return arena_err(o->a, o->err);
    r = forward_part_parse(copy, o->limits, o->a, &lq, o->err);
    o->ret->parts = lq.parts;
    o->ret->n_parts = lq.n_parts;
    o->ret->about = lq.about;
    return r;
}

static int option(struct option_parser *o, struct str key, struct str value)
{
    struct str rest = value;
    struct mp_value v;

    if (str_eq(key, STR("lq")))
        return option_lq(o, value);
    if (mp_next(&rest, &v) != 0)
        return corrupt(o->err, "an option is cut off");
    if (str_eq(key, STR("chunk")))
        return option_chunk(&v, o->ret, o->err);
    if (str_eq(key, STR("compressed")))
        return option_compressed(&v, o->ret, o->err);
    if (str_eq(key, STR("metadata")) && v.type == MP_MAP)
        o->ret->metadata = value;
    if (str_eq(key, STR("fluent_signal")) && v.type == MP_UINT && v.u != 0)
        o->ret->kind = FORWARD_SIGNAL;
    return 0;
}

/* The option element. */
static int parse_options(struct option_parser *o, struct str *rest)
{
    struct mp_value map, key;
    struct str key_bytes, value;
    uint32_t i;
    int r;

    if (mp_next(rest, &map) != 0)
        return corrupt(o->err, "its options are cut off");
    if (map.type == MP_NIL)
        return 0;
    if (map.type != MP_MAP)
        return corrupt(o->err, "its options are no map");
    for (i = 0; i < map.n; i++) {
        if (mp_take(rest, &key_bytes) != 0 || mp_take(rest, &value) != 0)
            return corrupt(o->err, "its options are cut off");
        if (mp_next(&key_bytes, &key) != 0 || !mp_is_text(&key))
            continue; /* no name that we know */
        r = option(o, key.body, value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The event stream: mode, entries, their number; how many elements of the array it took. */
static int parse_events(struct str *rest, struct forward_message *ret, uint32_t *took,
                        struct err *err)
{
    struct str begin = *rest, all = STR_NULL, record = STR_NULL;
    struct mp_value v;
    size_t head;

    if (mp_head(*rest, &v, &head) != 0 || mp_take(rest, &all) != 0)
        return corrupt(err, "its entries are cut off");
    *took = 1;
    if (v.type == MP_ARRAY) {
        ret->mode = FORWARD_FORWARD;
        ret->n_entries = v.n;
        ret->entries = str_from(all, head);
    } else if (v.type == MP_STR || v.type == MP_BIN) {
        ret->mode = FORWARD_PACKED;
        ret->entries = str_from(all, head);
    } else if (v.type == MP_BOOL || v.type == MP_MAP) {
        return corrupt(err, "its second element is no time and no entries");
    } else {
        ret->mode = FORWARD_MESSAGE;
        ret->n_entries = 1;
        if (mp_take(rest, &record) != 0)
            return corrupt(err, "it has a time and no record");
        ret->entries = str_sub(begin, 0, all.n + record.n);
        *took = 2;
    }
    return 0;
}

static int parse_message(struct str rest, uint32_t elements, struct option_parser *o)
{
    struct forward_message *ret = o->ret;
    struct mp_value tag;
    enum codec sniffed;
    uint32_t took = 0;
    int r;

    if (elements < 2 || elements > 4)
        return err_set(o->err, ERR_CORRUPT, "message: an array of %u", elements);
    if (mp_next(&rest, &tag) != 0 || !mp_is_text(&tag))
        return corrupt(o->err, "its tag is no string");
    ret->tag = tag.body;
    r = parse_events(&rest, ret, &took, o->err);
    if (r < 0)
        return r;
    if (elements < 1 + took || elements > 2 + took)
        return err_set(o->err, ERR_CORRUPT, "message: an array of %u", elements);
    ret->kind = FORWARD_EVENTS;
    if (elements > 1 + took)
        r = parse_options(o, &rest);
    if (r < 0)
        return r;
    if (rest.n != 0)
        return corrupt(o->err, "bytes behind its end");
    if (ret->mode != FORWARD_PACKED) {
        ret->codec = CODEC_NONE;
    } else {
        sniffed = codec_sniff(ret->entries);
        if (sniffed !=
            CODEC_NONE) /* no entry begins like this: a marked payload that was not declared */
            ret->codec = sniffed;
    }
    if (ret->kind == FORWARD_EVENTS && ret->entries.n == 0)
        ret->kind = FORWARD_HEARTBEAT;
    return 0;
}

int forward_parse(struct str bytes, const struct forward_limits *limits, struct arena *a,
                  struct forward_message *ret, struct err *err)
{
    struct option_parser o = {limits, a, ret, err};
    struct str rest = bytes, behind;
    struct mp_value v, name;

    memset(ret, 0, sizeof(*ret));
    if (mp_next(&rest, &v) != 0)
        return corrupt(err, "no msgpack or cut off");
    if (v.type == MP_NIL) {
        ret->kind = FORWARD_HEARTBEAT;
        return rest.n == 0 ? 0 : corrupt(err, "bytes behind its end");
    }
    if (v.type != MP_ARRAY)
        return corrupt(err, "neither nil nor an array");
    behind = rest;
    if (v.n == 6 && mp_next(&behind, &name) == 0 && mp_is_text(&name) &&
        str_eq(name.body, STR("PING")))
        return parse_ping(behind, ret, err);
    return parse_message(rest, v.n, &o);
}
