/*
 * wire/forward_about.h - what a collector tells a server about itself, and is told back: the keys
 * `hello`, `status`, `next` of option `lq`, and `known` of its answer.  Format:
 * docs/formats/forward.md, section 6.
 *
 * Whoever does not know these keys passes over them.  Pure functions of bytes.
 */
#ifndef LOGQ_WIRE_FORWARD_ABOUT_H
#define LOGQ_WIRE_FORWARD_ABOUT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum { FORWARD_ABOUT_TEXT_MAX = 255 };

/* Who it is; does not change while it runs, but for `incarnation` and what is next. */
struct forward_hello {
    struct str version, host; /* at most FORWARD_ABOUT_TEXT_MAX bytes each */
    uint64_t started_ns;
    uint64_t incarnation; /* of its journal; 0: not known, as all of these */
    uint64_t previous;    /* the one before */
};

/* How it is. */
struct forward_status {
    uint64_t files;            /* that it follows */
    uint64_t lag_bytes, lag_s; /* on its disk and not acknowledged: how much, since when */
    uint64_t gaps, gap_bytes;  /* lost and reported, since it was started */
    uint64_t twice_bytes;      /* sent again, maybe stored twice, since it was started */
    uint64_t restarts;         /* of its worker */
};

struct forward_about {
    bool has_hello, has_status;
    struct forward_hello hello;
    struct forward_status status;
    uint64_t next; /* the number that its next new file will get; 0: not said */
};

/* Take the value of key `key`.  `key` may be any: 1 when it is none of these.  Texts point into
 * `value`.  ERR_CORRUPT. */
int forward_about_parse(struct str key, struct str value, struct forward_about *ret,
                        struct err *err);

/* A message without entries that says it; its answer has `token`. */
void forward_about_pack(struct buf *b, struct str token, const struct forward_about *about);

/* {"ack": token, "lq": {"known": [incarnation, next]}}: the highest `next` that this incarnation
 * has told this server. */
void forward_about_answer(struct buf *b, struct str token, uint64_t incarnation, uint64_t next);

#endif
