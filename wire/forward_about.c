/*
 * wire/forward_about.c - contract: forward_about.h.
 *
 * Both maps are read by one table: a key that is not in it, or whose value is of another kind, is
 * passed over, so that a newer side may say more.
 */
#include "wire/forward_about.h"

#include "wire/mp.h"
#include "wire/mp_pack.h"

#include <stddef.h>

struct member {
    const char *key;
    bool is_text;
    size_t offset;
};

#define HELLO(field)  offsetof(struct forward_hello, field)
#define STATUS(field) offsetof(struct forward_status, field)

static const struct member IN_HELLO[] = {
    {"version", true, HELLO(version)},     {"host", true, HELLO(host)},
    {"started", false, HELLO(started_ns)}, {"incarnation", false, HELLO(incarnation)},
    {"previous", false, HELLO(previous)},
};
static const struct member IN_STATUS[] = {
    {"files", false, STATUS(files)},         {"lag_bytes", false, STATUS(lag_bytes)},
    {"lag_s", false, STATUS(lag_s)},         {"gaps", false, STATUS(gaps)},
    {"gap_bytes", false, STATUS(gap_bytes)}, {"twice_bytes", false, STATUS(twice_bytes)},
    {"restarts", false, STATUS(restarts)},
};
enum {
    N_HELLO = sizeof(IN_HELLO) / sizeof(IN_HELLO[0]),
    N_STATUS = sizeof(IN_STATUS) / sizeof(IN_STATUS[0])
};

/* ---- in ---- */

static int bad(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "option lq: %s", what);
}

static const struct member *find(const struct member *m, size_t n, struct str key)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(key, str_of(m[i].key)))
            return &m[i];
    return NULL;
}

static void set(char *object, const struct member *m, const struct mp_value *v)
{
    if (m->is_text && mp_is_text(v))
        *(struct str *)(void *)(object + m->offset) = str_sub(v->body, 0, FORWARD_ABOUT_TEXT_MAX);
    else if (!m->is_text && v->type == MP_UINT)
        *(uint64_t *)(void *)(object + m->offset) = v->u;
}

static int parse_map(struct str rest, const struct member *members, size_t n, void *object,
                     struct err *err)
{
    struct mp_value map, key, value;
    struct str bytes;

    if (mp_next(&rest, &map) != 0 || map.type != MP_MAP)
        return bad(err, "hello or status is no map");
    for (uint32_t i = 0; i < map.n; i++) {
        const struct member *m;
        if (mp_next(&rest, &key) != 0 || !mp_is_text(&key) || mp_take(&rest, &bytes) != 0)
            return bad(err, "a key of hello or status is no string");
        m = find(members, n, key.body);
        if (m != NULL && mp_next(&bytes, &value) == 0)
            set(object, m, &value);
    }
    return 0;
}

int forward_about_parse(struct str key, struct str value, struct forward_about *ret,
                        struct err *err)
{
    struct mp_value v;

    if (str_eq(key, STR("hello"))) {
        ret->has_hello = true;
        return parse_map(value, IN_HELLO, N_HELLO, &ret->hello, err);
    }
    if (str_eq(key, STR("status"))) {
        ret->has_status = true;
        return parse_map(value, IN_STATUS, N_STATUS, &ret->status, err);
    }
    if (!str_eq(key, STR("next")))
        return 1;
    if (mp_next(&value, &v) == 0 && v.type == MP_UINT)
        ret->next = v.u;
    return 0;
}

/* ---- out ---- */

static void pack_map(msgpack_packer *pk, const char *key, const struct member *members, size_t n,
                     const void *object)
{
    mp_pack_text(pk, str_of(key));
    (void)msgpack_pack_map(pk, n);
    for (size_t i = 0; i < n; i++) {
        const void *at = (const char *)object + members[i].offset;
        mp_pack_text(pk, str_of(members[i].key));
        if (members[i].is_text)
            mp_pack_text(pk, *(const struct str *)at);
        else
            (void)msgpack_pack_uint64(pk, *(const uint64_t *)at);
    }
}

void forward_about_pack(struct buf *b, struct str token, const struct forward_about *about)
{
    msgpack_packer pk;

    mp_pack_init(&pk, b);
    (void)msgpack_pack_array(&pk, 3);
    mp_pack_text(&pk, STR("logq"));
    (void)msgpack_pack_bin_with_body(&pk, "", 0);
    (void)msgpack_pack_map(&pk, 2);
    mp_pack_text(&pk, STR("chunk"));
    mp_pack_text(&pk, token);
    mp_pack_text(&pk, STR("lq"));
    (void)msgpack_pack_map(&pk,
                           1u + about->has_hello + about->has_status + (about->next != 0 ? 1u : 0));
    mp_pack_text(&pk, STR("v"));
    (void)msgpack_pack_uint8(&pk, 1);
    if (about->has_hello)
        pack_map(&pk, "hello", IN_HELLO, N_HELLO, &about->hello);
    if (about->has_status)
        pack_map(&pk, "status", IN_STATUS, N_STATUS, &about->status);
    if (about->next != 0) {
        mp_pack_text(&pk, STR("next"));
        (void)msgpack_pack_uint64(&pk, about->next);
    }
}

void forward_about_answer(struct buf *b, struct str token, uint64_t incarnation, uint64_t next)
{
    msgpack_packer pk;

    mp_pack_init(&pk, b);
    mp_pack_ack(&pk, token, true);
    (void)msgpack_pack_map(&pk, 1);
    mp_pack_text(&pk, STR("known"));
    (void)msgpack_pack_array(&pk, 2);
    (void)msgpack_pack_uint64(&pk, incarnation);
    (void)msgpack_pack_uint64(&pk, next);
}
