/*
 * wire/mp.h - one msgpack value at a time, straight from bytes.
 *
 * Why beside msgpack-c: its unpacker reserves memory for whatever count a header claims, before the
 * elements are there.  Everything that arrives is measured with these two functions first; they
 * hold no memory at all. They are pure and safe on any bytes.
 */
#ifndef LOGQ_WIRE_MP_H
#define LOGQ_WIRE_MP_H

#include "base/str.h"

enum mp_type {
    MP_NIL,
    MP_BOOL,
    MP_UINT,
    MP_INT, /* negative */
    MP_FLOAT,
    MP_STR,
    MP_BIN,
    MP_EXT,
    MP_ARRAY,
    MP_MAP,
};

struct mp_value {
    enum mp_type type;
    int8_t ext;      /* EXT: its type */
    uint32_t n;      /* ARRAY: elements; MAP: pairs; STR, BIN, EXT: bytes of the body */
    uint64_t u;      /* UINT; BOOL: 0 or 1 */
    int64_t i;       /* INT */
    double f;        /* FLOAT, of either width */
    struct str body; /* STR, BIN, EXT, after mp_next: in the input */
};

/*
 * Decode the head at the start of `bytes`: type, number or length; *head is its length in bytes
 * (1..9).  The body need not be there and ret->body is not set.  0; 1: the head is not whole yet;
 * ERR_CORRUPT: byte 0xc1.
 */
int mp_head(struct str bytes, struct mp_value *ret, size_t *head);

/*
 * Take one scalar, or the head of one array or map, off the front of *rest.  0; 1: *rest ends
 * inside it; ERR_CORRUPT.  On anything but 0 *rest is as it was.
 */
int mp_next(struct str *rest, struct mp_value *ret);

/* Take one whole value, with all that is in it, off the front of *rest and give its bytes.  Codes
 * as mp_next; time linear, whatever the depth. */
int mp_take(struct str *rest, struct str *ret);

/* The number in `n` <= 8 big-endian bytes. */
uint64_t mp_big_endian(const char *p, size_t n);

bool mp_is_text(const struct mp_value *v); /* str or bin */

#endif
