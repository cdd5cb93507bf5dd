/*
 * query/pattern.h - line patterns: literal text and captures in turn, `<ip> - <_> [<when>]`.
 *
 * A capture is `<name>`, or `<_>` where nobody wants the text; any other `<` stands for itself. The
 * stage `pattern` takes labels out of a line, the filters `|>` and `!>` only ask whether the line
 * has this form.
 */
#ifndef LOGQ_QUERY_PATTERN_H
#define LOGQ_QUERY_PATTERN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct pattern_piece {
    struct str text; /* of a literal, or the name of a capture ("_": none) */
    bool is_capture;
};

struct pattern { /* no two captures are neighbours, nor two literals */
    const struct pattern_piece *v;
    size_t n;
};

/* Read `text`, which *ret keeps pointing into, as one for the stage (`is_stage`: some capture has a
 * name, no two have the same) or for a filter (none has one).  Pieces lie in `a`.  ERR_INVALID,
 * ERR_NOMEM, ERR_LIMIT. */
int pattern_parse(struct str text, bool is_stage, struct arena *a, struct pattern *ret,
                  struct err *err);

/* Has `line` this form to its end?  Each capture stands for one byte or more, each literal for its
 * first place; before a literal in front anything may stand, as with Loki, which searches for it.
 * Linear in the line. */
bool pattern_matches(const struct pattern *p, struct str line);

/* Captures of a line, one after the other.  A line that does not begin with the literal in front
 * has none; where a literal is missing the capture before it gets the rest, and is the last. */
struct pattern_walk {
    const struct pattern *p;
    size_t at;
    struct str rest;
};
void pattern_walk_init(struct pattern_walk *w, const struct pattern *p, struct str line);
/* The next capture that has a name, as views; false: no more. */
bool pattern_next(struct pattern_walk *w, struct str *name, struct str *value);

#endif
