/*
 * base/level.h - how grave a record is, by Loki's rules (docs/logql.md).
 *
 * One implementation for who stores the level and for who decides by it before.  Pure functions,
 * any thread.
 */
#ifndef LOGQ_BASE_LEVEL_H
#define LOGQ_BASE_LEVEL_H

#include "base/labels.h"

enum level {
    LEVEL_UNKNOWN,
    LEVEL_TRACE,
    LEVEL_DEBUG,
    LEVEL_INFO,
    LEVEL_WARN,
    LEVEL_ERROR,
    LEVEL_CRITICAL,
    LEVEL_FATAL,
    LEVEL_OTHER, /* given by a label or attribute in a word of its own, as "notice" */
    LEVEL_COUNT
};

enum {
    LEVEL_OTHER_MAX = 64, /* bytes of such a word; what is longer is no level */
    LEVEL_RULE = 2        /* grows when a record may get another level than by the rule before */
};

/* LEVEL_OTHER: *ret_other is the word, borrowed from who gave it; "unknown" is LEVEL_UNKNOWN. */
enum level level_of(const struct labels *stream, const struct label *attr, size_t n_attr,
                    struct str line, struct str *ret_other);
/* Its halves: what stream and attributes say, and, if that is LEVEL_UNKNOWN, what the line does;
 * that is never LEVEL_OTHER.  Who says "unknown" is believed: here it is LEVEL_OTHER. */
enum level level_given(const struct labels *stream, const struct label *attr, size_t n_attr,
                       struct str *ret_other);
enum level level_of_line(struct str line);

/* "unknown", "trace" ... "fatal"; and the level of such a name: false if there is none.
 * LEVEL_OTHER has no name. */
struct str level_name(enum level level);
bool level_by_name(struct str name, enum level *ret);

#endif
