/*
 * wire/mp.c - msgpack heads.  Contract: mp.h.
 */
#include "wire/mp.h"

#include "base/err.h"

#include <string.h>

/* Bytes of a head behind its first byte, for first bytes 0xc0..0xdf. */
static const unsigned char head_more[32] = {
    0, 0, 0, 0, 1, 2, 4, 2, 3, 5, 4, 8, 1, 2, 4, 8, /* c0..cf */
    1, 2, 4, 8, 1, 1, 1, 1, 1, 1, 2, 4, 2, 4, 2, 4, /* d0..df */
};

uint64_t mp_big_endian(const char *p, size_t n)
{
    uint64_t v = 0;
    size_t i;

    for (i = 0; i < n; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

static void set_int(struct mp_value *ret, int64_t i)
{
    ret->type = i < 0 ? MP_INT : MP_UINT;
    ret->i = i;
    ret->u = (uint64_t)i;
}

static void set_float(struct mp_value *ret, const char *p, size_t width)
{
    uint64_t bits = mp_big_endian(p, width);
    uint32_t bits32 = (uint32_t)bits;
    float f;

    ret->type = MP_FLOAT;
    if (width == 8) {
        memcpy(&ret->f, &bits, sizeof(ret->f));
        return;
    }
    memcpy(&f, &bits32, sizeof(f));
    ret->f = (double)f;
}

static void set_length(struct mp_value *ret, enum mp_type type, uint64_t n)
{
    ret->type = type;
    ret->n = (uint32_t)n;
}

/* First bytes 0xc0..0xdf; `p` is what stands behind, `more` bytes of it are there. */
static int wide_head(unsigned char c, const char *p, size_t more, struct mp_value *ret)
{
    switch (c) {
    case 0xc0:
        ret->type = MP_NIL;
        return 0;
    case 0xc1:
        return ERR_CORRUPT;
    case 0xc2:
    case 0xc3:
        ret->type = MP_BOOL;
        ret->u = c & 1u;
        return 0;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        set_length(ret, MP_BIN, mp_big_endian(p, more));
        return 0;
    case 0xc7:
    case 0xc8:
    case 0xc9:
        set_length(ret, MP_EXT, mp_big_endian(p, more - 1));
        ret->ext = (int8_t)p[more - 1];
        return 0;
    case 0xca:
    case 0xcb:
        set_float(ret, p, more);
        return 0;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        ret->type = MP_UINT;
        ret->u = mp_big_endian(p, more);
        return 0;
    case 0xd0:
        set_int(ret, (int8_t)mp_big_endian(p, more));
        return 0;
    case 0xd1:
        set_int(ret, (int16_t)mp_big_endian(p, more));
        return 0;
    case 0xd2:
        set_int(ret, (int32_t)mp_big_endian(p, more));
        return 0;
    case 0xd3:
        set_int(ret, (int64_t)mp_big_endian(p, more));
        return 0;
    case 0xd9:
    case 0xda:
    case 0xdb:
        set_length(ret, MP_STR, mp_big_endian(p, more));
        return 0;
    case 0xdc:
    case 0xdd:
        set_length(ret, MP_ARRAY, mp_big_endian(p, more));
        return 0;
    case 0xde:
    case 0xdf:
        set_length(ret, MP_MAP, mp_big_endian(p, more));
        return 0;
    default: /* 0xd4..0xd8: ext of 1, 2, 4, 8, 16 bytes */
        set_length(ret, MP_EXT, UINT64_C(1) << (c - 0xd4u));
        ret->ext = (int8_t)p[0];
        return 0;
    }
}

int mp_head(struct str bytes, struct mp_value *ret, size_t *head)
{
    unsigned char c;

    if (bytes.n == 0)
        return 1;
    c = (unsigned char)bytes.p[0];
    *head = 1;
    if (c < 0x80) {
        ret->type = MP_UINT;
        ret->u = c;
    } else if (c < 0x90) {
        set_length(ret, MP_MAP, c & 0x0fu);
    } else if (c < 0xa0) {
        set_length(ret, MP_ARRAY, c & 0x0fu);
    } else if (c < 0xc0) {
        set_length(ret, MP_STR, c & 0x1fu);
    } else if (c >= 0xe0) {
        set_int(ret, (int8_t)c);
    } else {
        size_t more = head_more[c - 0xc0u];
        if (more > bytes.n - 1)
            return 1;
        *head = 1 + more;
        return wide_head(c, bytes.p + 1, more, ret);
    }
    return 0;
}

int mp_next(struct str *rest, struct mp_value *ret)
{
    size_t head;
    int r = mp_head(*rest, ret, &head);

    if (r != 0)
        return r;
    if (ret->type == MP_STR || ret->type == MP_BIN || ret->type == MP_EXT) {
        if (ret->n > rest->n - head)
            return 1;
        ret->body = str_sub(*rest, head, ret->n);
        head += ret->n;
    }
    *rest = str_from(*rest, head);
    return 0;
}

int mp_take(struct str *rest, struct str *ret)
{
    struct str at = *rest;
    struct mp_value v;
    uint64_t due = 1;
    int r;

    while (due > 0) {
        r = mp_next(&at, &v);
        if (r != 0)
            return r;
        due--;
        if (v.type == MP_ARRAY)
            due += v.n;
        else if (v.type == MP_MAP)
            due += (uint64_t)v.n * 2;
    }
    *ret = str_sub(*rest, 0, rest->n - at.n);
    *rest = at;
    return 0;
}

bool mp_is_text(const struct mp_value *v)
{
    return v->type == MP_STR || v->type == MP_BIN;
}
