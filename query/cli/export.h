/*
 * query/cli/export.h - the lines of a log query, streamed from /api/v1/export.
 */
#ifndef LOGQ_QUERY_CLI_EXPORT_H
#define LOGQ_QUERY_CLI_EXPORT_H

#include "query/cli/remote.h"

struct export_request {
    struct str query;
    ts_ns from, to; /* from <= ts < to */
    bool backward;  /* newest first */
    uint64_t limit; /* 0: all */
    uint64_t after_seq;
    uint64_t before, after; /* lines around each entry, which are marked */
    bool once;              /* export_resume does not take it up: the rest is no answer by itself */
    uint64_t idle_ms;
    bool asks_again; /* as in remote_request */
};

/* One line: parsed, and as the JSON it came in; both valid during the call.  < 0 (with *err set)
 * ends the run. */
typedef int export_entry_fn(void *arg, const struct query_entry *e, struct str json,
                            struct err *err);

typedef int export_runner(struct remote *r, const struct export_request *q, export_entry_fn *fn,
                          void *arg, struct remote_failure *fail, struct err *err);
/* Errors as remote_call, those of `fn`, and ERR_IO with the server's sentence when it gives up
 * midway. */
int export_run(struct remote *r, const struct export_request *q, export_entry_fn *fn, void *arg,
               struct remote_failure *fail, struct err *err);

/* The same; a connection that breaks after entries have come is taken up behind the last one, some
 * times, which is said on stderr. */
int export_resume(struct remote *r, const struct export_request *q, export_entry_fn *fn, void *arg,
                  struct remote_failure *fail, struct err *err);

#endif
