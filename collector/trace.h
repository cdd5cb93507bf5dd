/*
 * collector/trace.h - which lines belong together: stack traces of seven languages, or what a start
 * pattern says.
 *
 * A pure function of the line and of one byte of state.  Matchers by hand over the beginning of a
 * line and its colons: no regex, and a line that has nothing to do with a trace is passed in one
 * memchr per colon.  Everything here is only a guess: a wrong one costs a record that is cut in two
 * or has a line too many, never a byte.
 */
#ifndef LOGQ_COLLECTOR_TRACE_H
#define LOGQ_COLLECTOR_TRACE_H

#include "base/str.h"

#include <stdbool.h>

enum trace_format {
    TRACE_NONE,
    TRACE_AUTO, /* all of the following */
    TRACE_JAVA,
    TRACE_GO,
    TRACE_PYTHON,
    TRACE_DOTNET,
    TRACE_RUST,
    TRACE_RUBY,
    TRACE_NODE,
    TRACE_START, /* a record begins where `starts` says so, and only there */
};

struct trace_rule {
    enum trace_format format;
    bool (*starts)(const void *arg, struct str line);
    const void *arg; /* borrowed: lives with whoever gave the rule */
};

enum trace_step {
    TRACE_ALONE,   /* a record by itself */
    TRACE_BEGINS,  /* a record that lines may follow */
    TRACE_GOES_ON, /* belongs to the record before, or begins one when none is open */
};

/* What `line` is; *state is 0 when no record is open, and changes. */
enum trace_step trace_step(const struct trace_rule *rule, unsigned *state, struct str line);

/* "java" and so on, as in the configuration; false: no such format. */
bool trace_by_name(struct str name, enum trace_format *ret);

#endif
