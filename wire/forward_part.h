/*
 * wire/forward_part.h - reading our own option key `lq`.  Format: docs/formats/forward.md.
 */
#ifndef LOGQ_WIRE_FORWARD_PART_H
#define LOGQ_WIRE_FORWARD_PART_H

#include "base/arena.h"
#include "wire/forward.h"
#include "wire/forward_about.h"

/* What the option says. */
struct forward_lq {
    struct forward_part *parts;
    size_t n_parts;
    struct forward_about about;
};

/*
 * Parse `lq`, the msgpack value of the option.  Parts and their label arrays lie in `a`, all texts
 * in `lq`.  Labels come out sorted.  ERR_CORRUPT names the part; ERR_LIMIT or ERR_NOMEM when `a` is
 * full.
 */
int forward_part_parse(struct str lq, const struct forward_limits *limits, struct arena *a,
                       struct forward_lq *ret, struct err *err);

#endif
