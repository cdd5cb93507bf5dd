/*
 * wire/forward_ack.c - an acknowledgement or a refusal, as the sender reads it.  Contract:
 * forward_parse.h.
 */
#include "wire/forward_parse.h"
#include "wire/mp.h"

#include <string.h>

static int bad(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "ack: %s", what);
}

/* Text of a pair's value; other kinds are passed over, for they are not what we know. */
static void take_text(struct str value, struct str *ret)
{
    struct mp_value v;

    if (mp_next(&value, &v) == 0 && mp_is_text(&v))
        *ret = v.body;
}

/* The next pair of a map; `key` is empty for a key that is no string. */
static int next_pair(struct str *rest, struct str *key, struct str *value, struct err *err)
{
    struct str bytes;

    if (mp_take(rest, &bytes) != 0 || mp_take(rest, value) != 0)
        return bad(err, "cut off");
    *key = STR_NULL;
    take_text(bytes, key);
    return 0;
}

/* [incarnation, next] */
static void take_known(struct str value, struct forward_ack *ret)
{
    struct mp_value list, a, b;

    if (mp_next(&value, &list) != 0 || list.type != MP_ARRAY || list.n < 2 ||
        mp_next(&value, &a) != 0 || mp_next(&value, &b) != 0 || a.type != MP_UINT ||
        b.type != MP_UINT)
        return;
    ret->has_known = true;
    ret->known_incarnation = a.u;
    ret->known_next = b.u;
}

static int parse_ours(struct str rest, struct forward_ack *ret, struct err *err)
{
    struct str key = STR_NULL, value = STR_NULL;
    struct mp_value map;
    uint32_t i;
    int r;

    if (mp_next(&rest, &map) != 0 || map.type != MP_MAP)
        return bad(err, "lq is no map");
    for (i = 0; i < map.n; i++) {
        r = next_pair(&rest, &key, &value, err);
        if (r < 0)
            return r;
        if (str_eq(key, STR("refused"))) {
            ret->refused = true;
            take_text(value, &ret->code);
        } else if (str_eq(key, STR("text"))) {
            take_text(value, &ret->text);
        } else if (str_eq(key, STR("parts"))) {
            ret->has_parts = true;
            ret->parts = value;
        } else if (str_eq(key, STR("known"))) {
            take_known(value, ret);
        }
    }
    return 0;
}

/* false: it is no array of numbers below `n`. */
static bool take_parts(struct str rest, size_t n, bool *ret)
{
    struct mp_value list, v;

    if (mp_next(&rest, &list) != 0 || list.type != MP_ARRAY)
        return false;
    for (uint32_t i = 0; i < list.n; i++) {
        if (mp_next(&rest, &v) != 0 || v.type != MP_UINT || v.u >= n)
            return false;
        ret[v.u] = true;
    }
    return true;
}

void forward_ack_parts(const struct forward_ack *ack, size_t n, bool *ret)
{
    memset(ret, 0, n * sizeof(*ret));
    if (!ack->has_parts || !take_parts(ack->parts, n, ret))
        for (size_t i = 0; i < n; i++)
            ret[i] = true;
}

int forward_ack_parse(struct str bytes, struct forward_ack *ret, struct err *err)
{
    struct str rest = bytes, key = STR_NULL, value = STR_NULL;
    struct mp_value map;
    bool has_token = false;
    uint32_t i;
    int r = 0;

    memset(ret, 0, sizeof(*ret));
    if (mp_next(&rest, &map) != 0 || map.type != MP_MAP)
        return bad(err, "no map; does a Forward server listen there?");
    for (i = 0; r == 0 && i < map.n; i++) {
        r = next_pair(&rest, &key, &value, err);
        if (r == 0 && str_eq(key, STR("ack"))) {
            take_text(value, &ret->token);
            has_token = ret->token.p != NULL;
        } else if (r == 0 && str_eq(key, STR("lq"))) {
            r = parse_ours(value, ret, err);
        }
    }
    if (r < 0)
        return r;
    if (!has_token)
        return bad(err, "it has no token");
    return rest.n == 0 ? 0 : bad(err, "bytes behind its end");
}
