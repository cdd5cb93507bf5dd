/*
 * storage/column_str.h - byte strings of one column; a value may be absent.
 *
 *     u8 kind
 *     PLAIN  lengths + 1 as a number column (0: absent), then the bytes of all values
 *     DICT   varint count <= n, the distinct values as PLAIN, then n ids as a number column
 *
 * Decoding copies no bytes: values point into the encoded bytes.  Pure functions.
 */
#ifndef LOGQ_STORAGE_COLUMN_STR_H
#define LOGQ_STORAGE_COLUMN_STR_H

#include "base/arena.h"
#include "base/buf.h"

/* Append `n` values in the smaller way; an absent one has p == NULL.  Ask buf_err when all is
 * written. */
void column_str_encode(struct buf *b, const struct str *v, size_t n);

struct column_str {
    struct str *value; /* n_values of them; absent: p == NULL */
    size_t n_values;
    uint32_t *id; /* of each row; NULL: row i has value i */
};

/* Take a column of `n` rows off the front of *in; arrays are in `a`, bytes stay those of `in`.
 * ERR_CORRUPT, ERR_LIMIT or ERR_NOMEM (arena). */
int column_str_decode(struct str *in, size_t n, struct arena *a, struct column_str *ret,
                      struct err *err);

static inline struct str column_str_get(const struct column_str *c, size_t row)
{
    return c->value[c->id == NULL ? row : c->id[row]];
}

#endif
