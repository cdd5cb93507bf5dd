/*
 * wire/http_params.h - percent-encoding, and the parameters of a query string or a form body.
 *
 * Pure functions of bytes; any thread.
 */
#ifndef LOGQ_WIRE_HTTP_PARAMS_H
#define LOGQ_WIRE_HTTP_PARAMS_H

#include "base/arena.h"
#include "base/str.h"

enum { HTTP_PARAMS_MAX = 1024 };

struct http_param {
    struct str name, value; /* decoded */
};

struct http_params {
    struct http_param *v; /* in the arena */
    size_t n;
};

/* Decode `s` to `dst`, which holds s.n bytes; returns the length, SIZE_MAX when an escape is
 * malformed. */
size_t http_params_unescape(struct str s, bool plus_is_blank, char *dst);

/*
 * The parameters of `form`, then those of `query`, in their order, so that of one in both that of
 * the form comes first, as Loki's clients expect; a piece without '=' has an empty value, an empty
 * piece is none.  ERR_INVALID: a malformed escape; ERR_LIMIT: more than HTTP_PARAMS_MAX; the
 * arena's errors.
 */
int http_params_parse(struct arena *a, struct str query, struct str form, struct http_params *ret,
                      struct err *err);

#endif
