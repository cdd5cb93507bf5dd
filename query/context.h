/*
 * query/context.h - the lines around the hits of a log query.
 *
 * Hits are gathered first; then what lies next to each in its own stream is read, whatever the
 * pipeline would say of it, by one scan for all that are near each other.  Everything is given out
 * in one order, each line once, and what is not a hit is marked.
 */
#ifndef LOGQ_QUERY_CONTEXT_H
#define LOGQ_QUERY_CONTEXT_H

#include "query/exec.h"

struct context;

/* Within the limits of a context?  ERR_INVALID. */
int context_check(const struct query_params *p, struct err *err);
struct context *context_new(struct exec *x);
/* A hit: `e` is what the pipeline made of a record of the stream `l`.  ERR_NOMEM, ERR_LIMIT. */
int context_hit(struct context *c, const struct labels *l, const struct query_entry *e,
                struct err *err);
/* Read what is around the hits, and give all of it out.  As exec_each. */
int context_finish(struct context *c, const struct exec_sink *sink, struct err *err);
void context_free(struct context **pc);

#endif
