/*
 * wire/forward_part.c - contract: forward_part.h.
 *
 * What is not understood is passed over (keys of the map, elements behind the seventh of a part),
 * so that a newer sender may say more; what is understood is checked in full, because ranges decide
 * what is stored.
 */
#include "wire/forward_part.h"

#include "wire/mp.h"

enum { PART_ELEMENTS = 7, PART_MAYBE_TWICE = 1 };

struct parser {
    struct str rest; /* of the array of parts */
    struct forward_limits limits;
    struct arena *a;
    size_t index; /* of the part being read */
    struct err *err;
};

static int bad(const struct parser *p, const char *what)
{
    return err_set(p->err, ERR_CORRUPT, "option lq: part %zu: %s", p->index, what);
}

static int text(struct parser *p, struct str *ret, const char *what)
{
    struct mp_value v;

    if (mp_next(&p->rest, &v) != 0 || !mp_is_text(&v))
        return bad(p, what);
    *ret = v.body;
    return 0;
}

static int number(struct parser *p, uint64_t max, uint64_t *ret, const char *what)
{
    struct mp_value v;

    if (mp_next(&p->rest, &v) != 0 || v.type != MP_UINT || v.u > max)
        return bad(p, what);
    *ret = v.u;
    return 0;
}

static int label(struct parser *p, bool is_stream, struct label *ret)
{
    int r = text(p, &ret->name, "a label name is no string");

    if (r == 0)
        r = text(p, &ret->value, "a label value is no string");
    if (r < 0)
        return r;
    if (ret->name.n == 0 || ret->name.n > RECORD_LABEL_NAME_MAX)
        return bad(p, "a label name is empty or too long");
    if (is_stream && !label_name_ok(ret->name))
        return bad(p, "a label name has a byte that no label name has");
    if (is_stream && ret->value.n > RECORD_LABEL_VALUE_MAX)
        return bad(p, "a label value is too long");
    return 0;
}

static int labels(struct parser *p, bool is_stream, struct labels *ret)
{
    size_t max = is_stream ? RECORD_LABELS_MAX : RECORD_ATTRS_MAX;
    struct mp_value v;
    uint32_t i;
    int r;

    if (mp_next(&p->rest, &v) != 0 || v.type != MP_MAP)
        return bad(p, is_stream ? "labels are no map" : "attributes are no map");
    if (v.n > max)
        return bad(p, is_stream ? "too many labels" : "too many attributes");
    if (v.n == 0)
        return 0;
    ret->v = arena_alloc(p->a, v.n * sizeof(*ret->v));
    if (ret->v == NULL)
        return arena_err(p->a, p->err);
    for (i = 0; i < v.n; i++) {
        r = label(p, is_stream, &ret->v[i]);
        if (r < 0)
            return r;
    }
    ret->n = labels_sort(ret->v, v.n);
    return 0;
}

static int part(struct parser *p, struct forward_part *ret)
{
    uint64_t count = 0, flags = 0;
    struct mp_value v;
    struct str later;
    uint32_t i;
    int r;

    if (mp_next(&p->rest, &v) != 0 || v.type != MP_ARRAY || v.n < PART_ELEMENTS)
        return bad(p, "it is no array of seven");
    r = text(p, &ret->file_id, "its file id is no string");
    if (r == 0 && (ret->file_id.n == 0 || ret->file_id.n > RECORD_FILE_ID_MAX))
        r = bad(p, "its file id is empty or too long");
    if (r == 0)
        r = number(p, UINT64_MAX, &ret->start, "its start is no number");
    if (r == 0)
        r = number(p, UINT64_MAX, &ret->end, "its end is no number");
    if (r == 0 && ret->start > ret->end)
        r = bad(p, "it ends before it starts");
    if (r == 0)
        r = number(p, p->limits.entries < UINT32_MAX ? p->limits.entries : UINT32_MAX, &count,
                   "its count is no number or too high");
    if (r == 0)
        r = labels(p, true, &ret->labels);
    if (r == 0)
        r = labels(p, false, &ret->attrs);
    if (r == 0)
        r = number(p, UINT64_MAX, &flags, "its flags are no number");
    for (i = PART_ELEMENTS; r == 0 && i < v.n; i++)
        r = mp_take(&p->rest, &later) == 0 ? 0 : bad(p, "it is cut off");
    ret->count = (uint32_t)count;
    ret->maybe_twice = (flags & PART_MAYBE_TWICE) != 0;
    return r;
}

static int parts(struct parser *p, struct forward_part **ret, size_t *ret_n)
{
    struct forward_part *all;
    struct mp_value v;
    int r = 0;

    if (mp_next(&p->rest, &v) != 0 || v.type != MP_ARRAY)
        return err_set(p->err, ERR_CORRUPT, "option lq: p is no array");
    if (v.n > FORWARD_PARTS_MAX)
        return err_set(p->err, ERR_CORRUPT, "option lq: %u parts, at most %d", v.n,
                       FORWARD_PARTS_MAX);
    if (v.n >
        p->rest.n) /* each is a byte at least: do not believe a count that has nothing behind */
        return err_set(p->err, ERR_CORRUPT, "option lq: p is cut off");
    *ret_n = 0;
    if (v.n == 0)
        return 0;
    all = arena_alloc(p->a, v.n * sizeof(*all));
    if (all == NULL)
        return arena_err(p->a, p->err);
    for (p->index = 0; r == 0 && p->index < v.n; p->index++)
        r = part(p, &all[p->index]);
    if (r < 0)
        return r;
    *ret = all;
    *ret_n = v.n;
    return 0;
}

int forward_part_parse(struct str lq, const struct forward_limits *limits, struct arena *a,
                       struct forward_lq *ret, struct err *err)
{
    struct parser p = {.limits = forward_limits_resolve(limits), .a = a, .err = err};
    struct mp_value map, key, v;
    struct str value;
    bool versioned = false;
    uint32_t i;
    int r = 0;

    if (mp_next(&lq, &map) != 0 || map.type != MP_MAP)
        return err_set(err, ERR_CORRUPT, "option lq is no map");
    for (i = 0; r >= 0 && i < map.n; i++) {
        if (mp_next(&lq, &key) != 0 || !mp_is_text(&key) || mp_take(&lq, &value) != 0)
            return err_set(err, ERR_CORRUPT, "option lq: a key is no string");
        p.rest = value;
        if (str_eq(key.body, STR("v")))
            versioned = mp_next(&value, &v) == 0 && v.type == MP_UINT && v.u == 1;
        else if (str_eq(key.body, STR("p")))
            r = parts(&p, &ret->parts, &ret->n_parts);
        else
            r = forward_about_parse(key.body, value, &ret->about, err);
    }
    if (r >= 0 && !versioned)
        return err_set(err, ERR_CORRUPT, "option lq: its version is not 1");
    return r < 0 ? r : 0;
}
